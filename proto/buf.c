#include "buf.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

enum { SIZE_MIN = 64 };

void buf_init(struct buf *b, size_t cap)
{
	assert(cap > 0);
	*b = (struct buf){ .cap = cap };
}

void buf_done(struct buf *b)
{
	if (b == NULL)
		return;
	free(b->p);
	*b = (struct buf){ .cap = b->cap };
}

void buf_wipe(struct buf *b)
{
	if (b != NULL && b->p != NULL)
		explicit_bzero(b->p, b->size);
	buf_done(b);
}

void buf_reset(struct buf *b)
{
	b->off = b->n = 0;
}

static void move_to_front(struct buf *b)
{
	if (b->off != 0 && b->n != 0)
		memmove(b->p, b->p + b->off, b->n);
	b->off = 0;
}

static size_t next_size(const struct buf *b, size_t need)
{
	size_t size = b->size < SIZE_MIN / 2 ? SIZE_MIN / 2 : b->size;

	size = size > b->cap / 2 ? b->cap : size * 2;
	if (size < need)
		size = need;
	return size < b->cap ? size : b->cap;
}

/* Not realloc(): it could leave a copy of a secret behind where buf_wipe() does not reach. */
static int grow(struct buf *b, size_t need)
{
	size_t size = next_size(b, need);
	char *p = malloc(size);

	if (p == NULL)
		return PROTO_ERR_NOMEM;
	if (b->n != 0)
		memcpy(p, b->p + b->off, b->n);
	if (b->p != NULL)
		explicit_bzero(b->p, b->size);
	free(b->p);
	b->p = p;
	b->off = 0;
	b->size = size;
	return 0;
}

int buf_reserve(struct buf *b, size_t n, char **ret)
{
	assert(b->cap > 0 && b->n <= b->cap);
	if (n > b->cap - b->n)
		return PROTO_ERR_CAP;
	if (n > b->size - b->off - b->n) {
		bool fits = n <= b->size - b->n;

		/* Moving pays only where the gap is at least as long as what is moved, or where nothing else helps. */
		if (fits && (b->off >= b->n || b->size == b->cap)) {
			move_to_front(b);
		} else {
			int err = grow(b, b->n + n);

			if (err != 0)
				return err;
		}
	}
	*ret = b->p != NULL ? b->p + b->off + b->n : NULL;
	return 0;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->size - b->off - b->n);
	b->n += n;
}

int buf_append(struct buf *b, struct span s)
{
	char *to;
	int err;

	if (s.n == 0)
		return 0;
	assert((uintptr_t)s.p + s.n <= (uintptr_t)b->p || (uintptr_t)s.p >= (uintptr_t)b->p + b->size);
	err = buf_reserve(b, s.n, &to);
	if (err != 0)
		return err;
	memcpy(to, s.p, s.n);
	b->n += s.n;
	return 0;
}

int buf_add_char(struct buf *b, char c)
{
	return buf_append(b, span_of(&c, 1));
}

int buf_add_str(struct buf *b, const char *s)
{
	return buf_append(b, span_str(s));
}

int buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	return buf_append(b, span_of(digits + at, sizeof(digits) - at));
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n -= n;
	b->off = b->n != 0 ? b->off + n : 0;
}

void buf_truncate(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n = n;
}
