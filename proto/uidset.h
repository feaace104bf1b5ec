/*
 * uidset: UIDs as ranges, in two uses of one struct:
 *   a set      sorted, disjoint, merged: uidset_add(), uidset_parse(), and the set operations below;
 *   a list     in the order in which it was made, duplicates allowed: uidset_push(), uidset_parse_list(). The order is that of
 *              COPYUID and APPENDUID (RFC 4315 section 3), where the n-th of one list belongs to the n-th of the other.
 * A uidset that is all zero is empty and has no cap; its memory is 8 bytes a range.
 */
#ifndef GODWIT_UIDSET_H
#define GODWIT_UIDSET_H

#include "buf.h"

struct uid_range {
	uint32_t lo, hi; /* 1 <= lo <= hi */
};

struct uidset {
	struct uid_range *r;
	size_t n, size; /* ranges */
	size_t cap;     /* ranges; 0: none */
};

void uidset_done(struct uidset *s);
void uidset_reset(struct uidset *s);
/* 0, PROTO_ERR_NOMEM or PROTO_ERR_CAP; lo and hi may come in any order, 0 is PROTO_ERR_RANGE. */
int uidset_add(struct uidset *s, uint32_t uid);
int uidset_add_range(struct uidset *s, uint32_t lo, uint32_t hi);
int uidset_add_set(struct uidset *s, const struct uidset *other);
int uidset_remove_range(struct uidset *s, uint32_t lo, uint32_t hi);
bool uidset_has(const struct uidset *s, uint32_t uid);
/* The smallest member >= uid, or 0. */
uint32_t uidset_next(const struct uidset *s, uint32_t uid);
/* How many UIDs (of a list: with duplicates). */
uint64_t uidset_count(const struct uidset *s);
uint32_t uidset_max(const struct uidset *s); /* of a set; 0 when empty */
/* Adds at the end of a list. The same errors as uidset_add(). */
int uidset_push(struct uidset *s, uint32_t uid);
/* The i-th UID (from 0) of a list, or 0. Linear in ranges. */
uint32_t uidset_at(const struct uidset *s, uint64_t i);
/* The notation of RFC 9051 sequence-set without '*': "1:5,9". PROTO_ERR_SYNTAX, PROTO_ERR_RANGE. A set accepts any order and
 * overlaps; a list keeps the order written and refuses nothing but bad syntax. Adds to what is there; on error unchanged. */
int uidset_parse(struct uidset *s, struct span text);
int uidset_parse_list(struct uidset *s, struct span text);
/* Appends the text of ranges from index *at on, as many as fit into max bytes (at least one), and moves *at on. Call until
 * *at == s->n. Servers limit command lines (RFC 7162 section 4 asks for at least 8192 bytes). */
int uidset_print(const struct uidset *s, struct buf *out, size_t *at, size_t max);

/* Walks a set or list: struct uidset_walk w = {0}; while ((uid = uidset_walk(s, &w)) != 0) */
struct uidset_walk {
	size_t range;
	uint32_t within;
};
uint32_t uidset_walk(const struct uidset *s, struct uidset_walk *w);

#endif
