#include "squeeze.h"
#include "deflate.h"

#include <assert.h>
#include <stdlib.h>

/* Plain bytes made at a time: enough for inflate to be fast, little enough for each connection to have its own. */
#define PLAIN_ROOM (16u << 10)
/* Compressed bytes handed to the conn at a time. */
#define OUT_ROOM 4096u

struct squeeze {
	struct conn *conn;   /* NULL: stopped */
	struct timer *timer; /* the end of the turn */
	struct deflater *deflater;
	struct inflater *inflater;
	bool unflushed;      /* something was written and may stay within */
	struct span plain;   /* in room */
	char room[PLAIN_ROOM];
};

/* What goes wrong in sending comes as CONN_DOWN. */
static int deflate_out(struct squeeze *q, struct span bytes, bool flush)
{
	char out[OUT_ROOM];
	int err = 0;
	size_t n;
	do {
		n = deflater_put(q->deflater, &bytes, flush, out, sizeof(out));
		if (n > 0 && err == 0)
			err = conn_write(q->conn, span_of(out, n));
	} while (n == sizeof(out) || bytes.n > 0);
	return err;
}

static void on_turn_end(void *arg)
{
	struct squeeze *q = arg;
	if (!conn_is_full(q->conn))
		squeeze_flush(q);
}

struct squeeze *squeeze_new(struct loop *l, struct conn *c, enum side side)
{
	struct squeeze *q = malloc(sizeof(*q));
	if (q == NULL)
		return NULL;
	q->conn = c;
	q->unflushed = false;
	q->plain = SPAN_NONE;
	q->timer = timer_new(l, on_turn_end, q);
	q->deflater = deflater_new(side == TARGET ? DEFLATER_LARGE : DEFLATER_SMALL);
	q->inflater = inflater_new();
	if (q->timer == NULL || q->deflater == NULL || q->inflater == NULL)
		squeeze_free(&q);
	return q;
}

void squeeze_stop(struct squeeze *q)
{
	if (q == NULL)
		return;
	q->conn = NULL;
	timer_free(&q->timer);
}

void squeeze_free(struct squeeze **q)
{
	if (q == NULL || *q == NULL)
		return;
	squeeze_stop(*q);
	deflater_free(&(*q)->deflater);
	inflater_free(&(*q)->inflater);
	free(*q);
	*q = NULL;
}

int squeeze_write(struct squeeze *q, struct span bytes)
{
	assert(q->conn != NULL);
	int err = deflate_out(q, bytes, false);
	if (!q->unflushed)
		timer_set(q->timer, 0);
	q->unflushed = true;
	return err;
}

void squeeze_flush(struct squeeze *q)
{
	if (q->conn == NULL || !q->unflushed)
		return;
	q->unflushed = false;
	timer_clear(q->timer);
	deflate_out(q, SPAN_NONE, true);
}

void squeeze_drained(struct squeeze *q)
{
	if (q->conn != NULL && q->unflushed)
		timer_set(q->timer, 0);
}

struct span *squeeze_plain(struct squeeze *q)
{
	return &q->plain;
}

int squeeze_next(struct squeeze *q, struct span *data, size_t *ret)
{
	assert(q->plain.n == 0);
	*ret = 0;
	size_t n;
	/* Input may make no output yet. */
	do {
		int err = inflater_put(q->inflater, data, q->room, sizeof(q->room), &n);
		if (err != 0)
			return err;
	} while (n == 0 && data->n > 0);
	q->plain = span_of(q->room, n);
	*ret = n;
	return 0;
}

size_t squeeze_memory(const struct squeeze *q)
{
	return sizeof(*q) + deflater_memory(q->deflater) + inflater_memory(q->inflater);
}
