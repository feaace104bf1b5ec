/*
 * arena: many small allocations with one end. Used for one response at a time and reset between responses, so that a server
 * that sends a million flags costs a counted, capped amount.
 */
#ifndef GODWIT_ARENA_H
#define GODWIT_ARENA_H

#include "span.h"

struct arena_block;
struct arena {
	struct arena_block *first, *now;
	size_t used; /* bytes handed out since the last reset */
	size_t cap;  /* bytes, > 0 */
};

void arena_init(struct arena *a, size_t cap);
void arena_done(struct arena *a);
/* All allocations become invalid; one block is kept for the next response. */
void arena_reset(struct arena *a);
/* n bytes aligned for any type, not cleared; NULL when memory or the cap is exhausted. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy of s in the arena; 0, PROTO_ERR_NOMEM or PROTO_ERR_CAP. */
int arena_copy(struct arena *a, struct span s, struct span *ret);

#endif
