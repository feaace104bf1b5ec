#include "deflate.h"
#include "err.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

/* In front of each block, so that giving it back can be counted. */
union block {
	size_t size;
	max_align_t align;
};

struct stream {
	z_stream z;
	size_t memory;
};

struct deflater {
	struct stream stream;
};

struct inflater {
	struct stream stream;
	int err;
	bool ended;
};

static void *block_new(void *arg, uInt n, uInt size)
{
	struct stream *s = arg;
	size_t bytes = (size_t)n * size;
	union block *b = size != 0 && bytes / size != n ? NULL : calloc(1, sizeof(*b) + bytes);
	if (b == NULL)
		return NULL;
	b->size = sizeof(*b) + bytes;
	s->memory += b->size;
	return b + 1;
}

static void block_free(void *arg, void *p)
{
	struct stream *s = arg;
	union block *b = (union block *)p - 1;
	s->memory -= b->size;
	free(b);
}

static void stream_init(struct stream *s)
{
	s->z.zalloc = block_new;
	s->z.zfree = block_free;
	s->z.opaque = s;
}

/* One step of zlib, which counts in unsigned int. */
static int step(struct stream *s, int (*fn)(z_stream *, int), int flush, struct span *in, char *out, size_t room, size_t *ret)
{
	uInt lent = in->n < UINT_MAX ? (uInt)in->n : UINT_MAX;
	s->z.next_in = (Bytef *)(uintptr_t)in->p;
	s->z.avail_in = lent;
	s->z.next_out = (Bytef *)out;
	s->z.avail_out = room < UINT_MAX ? (uInt)room : UINT_MAX;
	int r = fn(&s->z, flush);
	*in = span_from(*in, lent - s->z.avail_in);
	*ret = (size_t)((char *)s->z.next_out - out);
	return r;
}

struct deflater *deflater_new(enum deflater_kind kind)
{
	static const struct {
		int level, window_bits, mem_level;
	} table[] = { [DEFLATER_SMALL] = { 1, 9, 1 }, [DEFLATER_LARGE] = { 3, 13, 7 } };
	struct deflater *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	stream_init(&d->stream);
	if (deflateInit2(&d->stream.z, table[kind].level, Z_DEFLATED, -table[kind].window_bits, table[kind].mem_level,
		    Z_DEFAULT_STRATEGY) != Z_OK) {
		free(d);
		return NULL;
	}
	return d;
}

void deflater_free(struct deflater **d)
{
	if (d == NULL || *d == NULL)
		return;
	deflateEnd(&(*d)->stream.z);
	assert((*d)->stream.memory == 0);
	free(*d);
	*d = NULL;
}

size_t deflater_put(struct deflater *d, struct span *in, bool flush, char *out, size_t room)
{
	size_t n;
	assert(room >= DEFLATER_ROOM);
	int r = step(&d->stream, deflate, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH, in, out, room, &n);
	/* Z_BUF_ERROR: there was nothing to do. */
	assert(r == Z_OK || r == Z_BUF_ERROR);
	(void)r;
	return n;
}

size_t deflater_memory(const struct deflater *d)
{
	return sizeof(*d) + d->stream.memory;
}

struct inflater *inflater_new(void)
{
	struct inflater *i = calloc(1, sizeof(*i));
	if (i == NULL)
		return NULL;
	stream_init(&i->stream);
	if (inflateInit2(&i->stream.z, -MAX_WBITS) != Z_OK) {
		free(i);
		return NULL;
	}
	return i;
}

void inflater_free(struct inflater **i)
{
	if (i == NULL || *i == NULL)
		return;
	inflateEnd(&(*i)->stream.z);
	assert((*i)->stream.memory == 0);
	free(*i);
	*i = NULL;
}

int inflater_put(struct inflater *i, struct span *in, char *out, size_t room, size_t *ret)
{
	*ret = 0;
	if (i->err == 0 && i->ended && in->n > 0)
		i->err = PROTO_ERR_SYNTAX;
	if (i->err != 0 || i->ended)
		return i->err;
	int r = step(&i->stream, inflate, Z_SYNC_FLUSH, in, out, room, ret);
	i->ended = r == Z_STREAM_END;
	if (r == Z_MEM_ERROR)
		i->err = PROTO_ERR_NOMEM;
	else if (r != Z_OK && r != Z_BUF_ERROR && r != Z_STREAM_END)
		i->err = PROTO_ERR_SYNTAX;
	return i->err;
}

size_t inflater_memory(const struct inflater *i)
{
	return sizeof(*i) + i->stream.memory;
}
