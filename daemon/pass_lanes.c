/*
 * The lanes of a pass: how they come, and how they leave while it goes on.
 */
#include "err.h"
#include "pass.h"

static struct lane *lane_place(struct pass *p)
{
	for (unsigned i = 0; i < p->lane_n; i++)
		if (p->lane[i]->peer[SOURCE] == NULL && p->lane[i]->peer[TARGET] == NULL)
			return p->lane[i];
	if (p->lane_n < LANES_MAX && (p->lane[p->lane_n] = lane_new(p)) != NULL)
		return p->lane[p->lane_n++];
	return NULL;
}

struct lane *pass_take_lane(struct pass *p, struct peer *source, struct peer *target)
{
	struct lane *l = lane_place(p);

	if (l == NULL)
		return NULL;
	lane_take(l, source, target);
	pass_listen(l);
	return l;
}

static struct lane *one_that_may_leave(const struct pass *p)
{
	for (unsigned i = 1; i < p->lane_n; i++)
		if (lane_may_leave(p->lane[i]))
			return p->lane[i];
	return NULL;
}

void pass_check_leave(struct pass *p)
{
	if (one_that_may_leave(p) != NULL)
		timer_set(p->leave, 0);
}

/* A lane is through with what it had asked for. One at a time: the owner may do anything then. */
void pass_leave(void *arg)
{
	struct pass *p = arg;
	const struct peer *source;
	struct lane *l = one_that_may_leave(p);

	if (l == NULL || p->step == PASS_ENDED)
		return;
	/* Whoever goes on with the folder records behind it. */
	writer_flush(l, true);
	if (work_give_back(&p->work, &l->reader.work) != 0) {
		pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
		return;
	}
	source = l->peer[SOURCE];
	l->peer[SOURCE] = l->peer[TARGET] = NULL;
	l->leaving = false;
	pass_check_leave(p);
	pass_pump(p);
	p->left(p->owner, source);
}

bool pass_drop_lane(struct pass *p)
{
	struct lane *least = NULL;

	for (unsigned i = 1; i < p->lane_n && p->step != PASS_ENDED && p->step != PASS_DRAIN; i++) {
		struct lane *l = p->lane[i];

		if (l->peer[SOURCE] != NULL && l->peer[TARGET] != NULL && !l->leaving &&
			(least == NULL || work_left(&l->reader.work) < work_left(&least->reader.work)))
			least = l;
	}
	if (least == NULL)
		return false;
	least->leaving = true;
	timer_set(p->leave, 0);
	return true;
}

unsigned pass_lanes_useful(const struct pass *p)
{
	uint64_t useful = p->step == PASS_COPY ? work_messages(&p->work) : 0;

	for (unsigned i = 0; i < p->lane_n; i++)
		useful += work_left(&p->lane[i]->reader.work);
	useful = 1 + useful / WORK_SPLIT_LEAST;
	return useful > LANES_MAX ? LANES_MAX : (unsigned)useful;
}

bool pass_add_lane(struct pass *p, struct peer *source, struct peer *target)
{
	struct lane *l = p->step == PASS_COPY ? pass_take_lane(p, source, target) : NULL;

	if (l == NULL)
		return false;
	lane_measure(l, p->lane[0]);
	pass_pump(p);
	return true;
}
