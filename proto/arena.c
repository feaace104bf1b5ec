#include "arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include "err.h"

/* AddressSanitizer shall see a read beyond what was handed out, although the block goes on. */
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum {
	UNIT = alignof(max_align_t),
	BLOCK_MIN = 2048,
	BLOCK_MAX = 32768, /* blocks double up to here; a larger request gets a block of its own size */
	KEEP_MAX = 16384,  /* one long response shall not cost an idle connection its memory for ever */
};

struct arena_block {
	struct arena_block *next;
	size_t size, used; /* bytes of data */
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t cap)
{
	assert(cap > 0);
	*a = (struct arena){ .cap = cap };
}

static void free_blocks(struct arena_block *b)
{
	while (b != NULL) {
		struct arena_block *next = b->next;

		ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
		free(b);
		b = next;
	}
}

void arena_done(struct arena *a)
{
	if (a == NULL)
		return;
	free_blocks(a->first);
	*a = (struct arena){ .cap = a->cap };
}

void arena_reset(struct arena *a)
{
	struct arena_block *first = a->first;

	a->used = 0;
	if (first == NULL)
		return;
	free_blocks(first->next);
	first->next = NULL;
	if (first->size > KEEP_MAX) {
		free_blocks(first);
		a->first = a->now = NULL;
		return;
	}
	first->used = 0;
	ASAN_POISON_MEMORY_REGION(first->data, first->size);
	a->now = first;
}

static struct arena_block *add_block(struct arena *a, size_t need)
{
	size_t size = BLOCK_MIN;
	struct arena_block *b;

	if (a->now != NULL)
		size = a->now->size >= BLOCK_MAX / 2 ? BLOCK_MAX : a->now->size * 2;
	if (size < need)
		size = need;
	if (size > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	b->next = NULL;
	b->size = size;
	b->used = 0;
	ASAN_POISON_MEMORY_REGION(b->data, size);
	if (a->now != NULL)
		a->now->next = b;
	else
		a->first = b;
	a->now = b;
	return b;
}

/* What a request takes from the arena: whole units, so that a million tiny ones are capped, too; 0 when too much. */
static size_t cost_of(const struct arena *a, size_t n)
{
	size_t cost;

	assert(a->cap > 0);
	if (n > SIZE_MAX - UNIT)
		return 0;
	cost = n == 0 ? UNIT : (n + UNIT - 1) / UNIT * UNIT;
	return cost <= a->cap - a->used ? cost : 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t cost = cost_of(a, n);
	struct arena_block *b = a->now;
	char *p;

	if (cost == 0)
		return NULL;
	if (b == NULL || cost > b->size - b->used)
		b = add_block(a, cost);
	if (b == NULL)
		return NULL;
	p = b->data + b->used;
	ASAN_UNPOISON_MEMORY_REGION(p, n);
	b->used += cost;
	a->used += cost;
	return p;
}

int arena_copy(struct arena *a, struct span s, struct span *ret)
{
	char *p;

	if (cost_of(a, s.n) == 0)
		return PROTO_ERR_CAP;
	p = arena_alloc(a, s.n);
	if (p == NULL)
		return PROTO_ERR_NOMEM;
	if (s.n != 0)
		memcpy(p, s.p, s.n);
	*ret = span_of(p, s.n);
	return 0;
}
