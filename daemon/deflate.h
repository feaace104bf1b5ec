/*
 * deflate: streams of raw deflate (RFC 1951) in both directions, as COMPRESS=DEFLATE has them (RFC 4978). zlib is known only here.
 *
 * A stream takes all its memory at birth, but for the 32 KB of the inflater's window, which come with its first bytes; how much it holds is counted.
 * Output goes into a piece that the caller lends, so that no input, however well it was compressed, makes more than one piece at a time.
 */
#ifndef GODWIT_DEFLATE_H
#define GODWIT_DEFLATE_H

#include "span.h"

#include <stdbool.h>

enum deflater_kind {
	DEFLATER_SMALL, /* for commands: 8 KB of memory, and a window of 512 bytes, in which the next command finds the one before */
	DEFLATER_LARGE  /* for messages: 100 KB, a window of 8 KB. Twice the memory would save 5 % of the bytes of text, and none of attachments */
};

/* Bytes that one stream never exceeds. */
#define DEFLATER_SMALL_MAX (12u << 10)
#define DEFLATER_LARGE_MAX (108u << 10)
#define INFLATER_MAX (44u << 10)
/* The least room for output: less could make zlib repeat the mark of a flush. */
#define DEFLATER_ROOM 64u

struct deflater;
/* NULL when memory is out. */
struct deflater *deflater_new(enum deflater_kind kind);
void deflater_free(struct deflater **d);
/* Takes bytes off the front of *in and puts what comes of them into out[room], room >= DEFLATER_ROOM; returns how many. Call again while that is `room`.
 * With `flush`, and then in each call until it is less, all that was put in comes out (Z_SYNC_FLUSH); without it much may stay within. */
size_t deflater_put(struct deflater *d, struct span *in, bool flush, char *out, size_t room);
size_t deflater_memory(const struct deflater *d);

struct inflater;
/* NULL when memory is out. */
struct inflater *inflater_new(void);
void inflater_free(struct inflater **i);
/* Takes bytes off the front of *in and puts what comes of them into out[room], room > 0: *ret bytes. Call again while that is `room` or *in is not empty.
 * 0; PROTO_ERR_SYNTAX: these bytes are not deflate, or come behind its end; PROTO_ERR_NOMEM. Errors are final. */
int inflater_put(struct inflater *i, struct span *in, char *out, size_t room, size_t *ret);
size_t inflater_memory(const struct inflater *i);

#endif
