#include "relay.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

#define ITEMS_FIRST 16
#define ITEMS_MAX 512
#define TEXT_MAX (256u << 10)
#define BYTES_MAX (1u << 20)

void relay_init(struct relay *r)
{
	*r = (struct relay){ 0 };
	buf_init(&r->bytes, BYTES_MAX);
	buf_init(&r->text, TEXT_MAX);
}

void relay_done(struct relay *r)
{
	free(r->ring);
	buf_done(&r->bytes);
	buf_done(&r->text);
	r->ring = NULL;
	r->ring_size = r->first = r->n = 0;
	r->open = false;
}

bool relay_is_full(const struct relay *r)
{
	return r->bytes.n >= RELAY_HIGH || r->text.n >= TEXT_MAX / 2 || r->n >= ITEMS_MAX / 2;
}

bool relay_is_low(const struct relay *r)
{
	return r->bytes.n <= RELAY_LOW && r->text.n <= TEXT_MAX / 4 && r->n <= ITEMS_MAX / 4;
}

struct relay_item *relay_tail(struct relay *r)
{
	assert(r->n != 0);
	return &r->ring[(r->first + r->n - 1) & (r->ring_size - 1)];
}

static int add(struct relay *r, const struct relay_item *item)
{
	if (r->n == r->ring_size) {
		size_t size = r->ring_size == 0 ? ITEMS_FIRST : r->ring_size * 2;
		struct relay_item *bigger;

		if (r->n >= ITEMS_MAX * 4)
			return PROTO_ERR_CAP;
		bigger = malloc(size * sizeof(*bigger));
		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		for (size_t i = 0; i < r->n; i++)
			bigger[i] = r->ring[(r->first + i) & (r->ring_size - 1)];
		free(r->ring);
		r->ring = bigger;
		r->ring_size = size;
		r->first = 0;
	}
	r->n++;
	*relay_tail(r) = *item;
	return 0;
}

int relay_begin(struct relay *r, struct folder *f, uint64_t size, uint8_t most)
{
	int err = add(r, &(struct relay_item){ .kind = RELAY_MESSAGE, .folder = f, .size = size, .left = size,
				 .missing = size, .most = most });

	if (err == 0)
		r->open = true;
	return err;
}

int relay_know(struct relay *r, uint32_t uid, struct span date, struct span flags)
{
	struct relay_item *t = relay_tail(r);
	size_t before = r->text.n;
	int err;

	if (date.n > UINT8_MAX || flags.n > UINT16_MAX)
		return PROTO_ERR_CAP;
	err = buf_append(&r->text, date);
	if (err == 0)
		err = buf_append(&r->text, flags);
	if (err != 0) {
		buf_truncate(&r->text, before);
		return err;
	}
	t->uid = uid;
	t->date_n = (uint8_t)date.n;
	t->flags_n = (uint16_t)flags.n;
	t->known = true;
	return 0;
}

int relay_bytes(struct relay *r, struct span bytes)
{
	struct relay_item *t = relay_tail(r);
	int err = 0;

	assert(bytes.n <= t->missing);
	if (t->dropped)
		t->left -= bytes.n;
	else
		err = buf_append(&r->bytes, bytes);
	if (err == 0)
		t->missing -= bytes.n;
	return err;
}

void relay_end(struct relay *r)
{
	struct relay_item *t = relay_tail(r);

	assert(r->open && t->missing == 0 && t->known);
	t->whole = true;
	r->open = false;
}

struct span relay_tail_bytes(struct relay *r)
{
	const struct relay_item *t = relay_tail(r);
	size_t here = (size_t)(t->left - t->missing);

	return t->begun || t->dropped ? SPAN_NONE : span_from(buf_span(&r->bytes), r->bytes.n - here);
}

bool relay_take_back(struct relay *r)
{
	struct relay_item *t;

	if (!r->open)
		return false;
	t = relay_tail(r);
	if (t->begun && !t->dropped)
		return false;
	buf_truncate(&r->bytes, r->bytes.n - (size_t)(t->left - t->missing));
	if (t->known)
		buf_truncate(&r->text, r->text.n - t->date_n - t->flags_n);
	r->n--;
	r->open = false;
	return true;
}

bool relay_is_open(const struct relay *r)
{
	return r->open;
}

int relay_mark(struct relay *r, enum relay_kind kind, struct folder *f, uint32_t uid)
{
	return add(r, &(struct relay_item){ .kind = kind, .folder = f, .uid = uid, .known = true, .whole = true });
}

struct relay_item *relay_head(struct relay *r)
{
	return r->n == 0 ? NULL : &r->ring[r->first];
}

struct span relay_date(const struct relay *r)
{
	return span_first(buf_span(&r->text), r->ring[r->first].date_n);
}

struct span relay_flags(const struct relay *r)
{
	const struct relay_item *h = &r->ring[r->first];

	return span_first(span_from(buf_span(&r->text), h->date_n), h->flags_n);
}

struct span relay_ready(const struct relay *r)
{
	const struct relay_item *h = &r->ring[r->first];

	return span_first(buf_span(&r->bytes), (size_t)(h->left - h->missing));
}

void relay_take(struct relay *r, size_t n)
{
	struct relay_item *h = &r->ring[r->first];

	assert(n <= h->left - h->missing);
	buf_consume(&r->bytes, n);
	h->left -= n;
}

void relay_pop(struct relay *r)
{
	struct relay_item *h = relay_head(r);

	assert(h != NULL && h->left == 0 && h->missing == 0);
	if (h->kind == RELAY_MESSAGE)
		buf_consume(&r->text, (size_t)h->date_n + h->flags_n);
	r->first = (r->first + 1) & (r->ring_size - 1);
	if (--r->n == 0)
		r->open = false;
}
