/*
 * span: borrowed bytes. A span never owns, is never NUL-terminated, and may hold any byte. It and `struct buf` are the only
 * two types that carry bytes from the network.
 */
#ifndef GODWIT_SPAN_H
#define GODWIT_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p; /* may be NULL when n is 0 */
	size_t n;      /* bytes */
};

/* A span over a string literal. */
#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })
#define SPAN_NONE ((struct span){ NULL, 0 })
/* For printf("%.*s", SPAN_ARG(s)). */
#define SPAN_ARG(s) (int)(s).n, (s).n != 0 ? (s).p : ""

static inline struct span span_of(const char *p, size_t n)
{
	return (struct span){ p, n };
}

/* The bytes of a NUL-terminated string; NULL gives an empty span. */
static inline struct span span_str(const char *s)
{
	return (struct span){ s, s != NULL ? strlen(s) : 0 };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case is ignored, as RFC 9051 section 9 note (1) wants it for keywords of the grammar. */
bool span_eq_nocase(struct span a, struct span b);
bool span_starts_nocase(struct span s, struct span prefix);
/* memcmp order, the shorter first when one is a prefix of the other. */
int span_cmp(struct span a, struct span b);
/* The part from byte `from` on; empty when from is beyond the end. */
struct span span_from(struct span s, size_t from);
/* The first n bytes, or all of a shorter one. */
struct span span_first(struct span s, size_t n);
/* Without the blanks and tabs at both ends. */
struct span span_trim(struct span s);
/* Position of the byte, or SIZE_MAX. */
size_t span_find(struct span s, char c);
/* Position of the bytes, ASCII case ignored, or SIZE_MAX. For the texts of servers, not for hot loops. */
size_t span_search_nocase(struct span s, struct span what);
/* Decimal digits only, the whole span, no sign; false (and *ret untouched) when empty, not digits, or too large. */
bool span_to_u32(struct span s, uint32_t *ret);
bool span_to_u64(struct span s, uint64_t *ret);

#endif
