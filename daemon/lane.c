#include "lane.h"

#include <stdlib.h>

#include "pass.h"

struct lane *lane_new(struct pass *p)
{
	struct lane *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->pass = p;
	relay_init(&l->relay);
	reader_init(&l->reader);
	writer_init(&l->writer);
	return l;
}

void lane_take(struct lane *l, struct peer *source, struct peer *target)
{
	l->peer[SOURCE] = source;
	l->peer[TARGET] = target;
	l->reader.selected = NULL;
	l->reader.mixes = l->reader.paused = false;
}

void lane_measure(struct lane *l, const struct lane *first)
{
	flow_init(&l->reader.flow, peer_rtt(first->peer[SOURCE]));
	flow_init(&l->writer.flow, peer_rtt(first->peer[TARGET]));
}

void lane_free(struct lane **l)
{
	if (*l == NULL)
		return;
	relay_done(&(*l)->relay);
	reader_done(&(*l)->reader);
	writer_done(&(*l)->writer);
	doubt_done(&(*l)->doubt);
	free(*l);
	*l = NULL;
}

bool lane_is_first(const struct lane *l)
{
	return l == l->pass->lane[0];
}

bool lane_is_copying(const struct lane *l)
{
	return l->pass->step == PASS_COPY && l->peer[SOURCE] != NULL;
}

bool lane_is_under_way(const struct lane *l)
{
	return l->writer.n != 0 || l->writer.sending;
}

bool lane_is_stuck(struct lane *l)
{
	const struct relay_item *h = relay_head(&l->relay);

	return l->peer[SOURCE] == NULL && l->writer.sending && h != NULL && !h->whole;
}

bool lane_may_leave(const struct lane *l)
{
	return l->leaving && l->doubt.step == DOUBT_NONE && l->reader.jobs == 0 && l->reader.wanted.n == 0 && l->relay.n == 0 && writer_is_idle(l) && l->writer.wishes == 0;
}

void lane_drain(struct lane *l)
{
	reader_stop(l);
	writer_pump(l);
}
