#include "sched_p.h"

#include <assert.h>

void sched_set_per_mailbox(struct sched *s, uint32_t server, uint32_t connections)
{
	assert(!s->started && server < s->server_n);
	s->servers[server].per_mailbox = connections;
	if (connections > 1)
		s->several = true;
}

unsigned lanes_allowed(const struct sched *s, uint32_t e)
{
	const struct migration *m = &s->migrations[s->entries[e].migration];
	uint32_t source = s->servers[m->server[SOURCE]].per_mailbox, target = s->servers[m->server[TARGET]].per_mailbox;
	if (s->entries[e].alone || s->mode == SCHED_CHECK || s->mode == SCHED_VERIFY)
		return 1;
	return source < target ? source : target;
}

/* Some stay free for those that come back from their timers. */
static bool has_room(const struct limits *l, uint32_t n)
{
	uint32_t spare = l->max < 16 ? n : l->max / 8;
	return l->used + n + spare <= l->max;
}

static bool take_pair(struct active *a)
{
	struct server *source = active_server(a, SOURCE), *target = active_server(a, TARGET);
	/* They log in like others: by the window, and not where the server is being probed. */
	if (source->limits.down || target->limits.down || !start_may_log_in(source, target))
		return false;
	if (source == target)
		return has_room(&source->limits, SIDES) && limits_take(&source->limits, SIDES);
	if (!has_room(&source->limits, 1) || !has_room(&target->limits, 1))
		return false;
	limits_take(&source->limits, 1);
	limits_take(&target->limits, 1);
	return true;
}

static void give_pair(struct active *a)
{
	assert(a->lanes > 0);
	a->lanes--;
	limits_give(&active_server(a, SOURCE)->limits);
	limits_give(&active_server(a, TARGET)->limits);
}

void lanes_give(struct active *a)
{
	while (a->lane_logins > 0)
		lanes_dialled(a);
	while (a->lanes > 0)
		give_pair(a);
}

void lanes_dialled(struct active *a)
{
	assert(a->lane_logins > 0);
	a->lane_logins--;
	limits_login_over(&active_server(a, SOURCE)->limits);
	limits_login_over(&active_server(a, TARGET)->limits);
}

void lanes_grow(struct sched *s)
{
	struct active *a;
	/* One more for each, then the next round: who comes first does not get all. */
	for (bool given = s->several && s->queued_n == 0; given;) {
		given = false;
		TAILQ_FOREACH(a, &s->steps[STEP_RUNNING], link) {
			if (a->asked || mailbox_lanes_wanted(a->mailbox) == 0 || !take_pair(a))
				continue;
			a->lanes++;
			a->lane_logins++;
			limits_login(&active_server(a, SOURCE)->limits);
			limits_login(&active_server(a, TARGET)->limits);
			given = true;
			say_lanes(a, NULL);
			mailbox_add_lane(a->mailbox);
		}
	}
}

void lanes_shrink(struct sched *s)
{
	uint32_t waiting = s->queued_n + s->step_n[STEP_REDIAL], asked = 0;
	struct active *a;
	if (!s->several || waiting == 0)
		return;
	TAILQ_FOREACH(a, &s->steps[STEP_RUNNING], link)
		asked += a->leaving;
	/* One from each, then the next round. */
	for (bool found = true; found && asked < waiting;) {
		found = false;
		TAILQ_FOREACH(a, &s->steps[STEP_RUNNING], link) {
			if (asked >= waiting || a->lanes == a->leaving || !(active_server(a, SOURCE)->wanted || active_server(a, TARGET)->wanted))
				continue;
			a->leaving++;
			asked++;
			found = true;
			mailbox_drop_lane(a->mailbox);
		}
	}
}

void lanes_gone(struct active *a, const struct outcome *why)
{
	if (a->leaving > 0)
		a->leaving--;
	give_pair(a);
	if (why->radius != RADIUS_NONE)
		say_lanes(a, why);
}
