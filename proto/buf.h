/*
 * buf: owned bytes with a mandatory cap. Bytes are added at the end and consumed at the front.
 *
 *   p ....... p+off ............... p+off+n ........ p+size (<= cap)
 *     consumed      the content             free
 *
 * A buf that is all zero except for its cap owns nothing. Growing past the cap is PROTO_ERR_CAP and changes nothing.
 */
#ifndef GODWIT_BUF_H
#define GODWIT_BUF_H

#include "span.h"

struct buf {
	char *p;
	size_t off, n, size;
	size_t cap; /* bytes, > 0 */
};

void buf_init(struct buf *b, size_t cap);
/* Frees; the buf may be used again with the same cap. */
void buf_done(struct buf *b);
/* The same for secrets: overwrites first. */
void buf_wipe(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_reset(struct buf *b);
/* 0, PROTO_ERR_NOMEM or PROTO_ERR_CAP. */
int buf_append(struct buf *b, struct span s); /* s must not lie in b */
int buf_add_char(struct buf *b, char c);
int buf_add_str(struct buf *b, const char *s);
int buf_add_u64(struct buf *b, uint64_t v);
/* Makes room for n more bytes and returns where they go; valid until the next call. buf_commit() takes n of them in. */
int buf_reserve(struct buf *b, size_t n, char **ret);
void buf_commit(struct buf *b, size_t n);
/* Drops n bytes from the front; n <= b->n. */
void buf_consume(struct buf *b, size_t n);
/* Keeps the first n bytes; n <= b->n. Takes back what was appended before a failure. */
void buf_truncate(struct buf *b, size_t n);
/* The content; valid until the buf changes. */
static inline struct span buf_span(const struct buf *b)
{
	return (struct span){ b->p != NULL ? b->p + b->off : NULL, b->n };
}

#endif
