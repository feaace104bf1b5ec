#include "sched_p.h"

#include <assert.h>
#include <stdio.h>

const char *sched_order_name(enum sched_order o)
{
	static const char *const names[] = {
#define X(name, text) [SCHED_##name] = text,
		SCHED_ORDERS(X)
#undef X
	};
	return names[o];
}

const char *sched_effect_name(enum sched_effect e)
{
	static const char *const names[] = {
#define X(name, text) [SCHED_##name] = text,
		SCHED_EFFECTS(X)
#undef X
	};
	return names[e];
}

void entry_pause(struct sched *s, uint32_t e, bool paused)
{
	struct entry *en = &s->entries[e];
	if (en->paused == paused)
		return;
	en->paused = paused;
	if (paused)
		s->migrations[en->migration].counts.paused++;
	else
		s->migrations[en->migration].counts.paused--;
}

void entry_hold(struct sched *s, uint32_t e)
{
	const struct entry *en = &s->entries[e];
	char reason[700];
	if ((en->state == MAILBOX_HELD || en->state == MAILBOX_FAILED) && en->reason != NULL)
		snprintf(reason, sizeof(reason), "paused by the operator; %s before: %s",
			mailbox_state_name((enum mailbox_state)en->state), en->reason);
	else
		snprintf(reason, sizeof(reason), "paused by the operator");
	entry_set(s, e, MAILBOX_HELD, reason);
	say_paused(s, en);
}

static void stop(struct sched *s, struct active *a)
{
	if (a->asked)
		return;
	a->asked = true;
	a->stop_until = s->clock.now(s->clock.arg) + s->limits.shutdown_timeout;
	if (a->stop_until < s->asked_until)
		s->asked_until = a->stop_until;
	mailbox_stop(a->mailbox, false);
}

void stop_asked(struct sched *s, uint64_t now)
{
	if (now < s->asked_until)
		return;
	s->asked_until = SCHED_NEVER;
	for (int i = 0; i < STEP_N; i++) {
		struct active *a;
		TAILQ_FOREACH(a, &s->steps[i], link) {
			if (a->stop_until <= now) {
				a->stop_until = SCHED_NEVER;
				mailbox_stop(a->mailbox, true);
			} else if (a->stop_until < s->asked_until) {
				s->asked_until = a->stop_until;
			}
		}
	}
}

/* To the queue, from wherever it is and nothing of it runs. */
static void queue(struct sched *s, uint32_t e, const char *reason)
{
	struct entry *en = &s->entries[e];
	entry_unwait(s, e);
	en->attempts = 0;
	en->said = 0;
	entry_set(s, e, MAILBOX_QUEUED, reason);
	entry_queue(s, e);
}

/* The same; the operator may know that a server is there again. */
static void try_now(struct sched *s, uint32_t e, const char *reason)
{
	const struct migration *m = &s->migrations[s->entries[e].migration];
	for (int side = 0; side < SIDES; side++)
		limits_hurry(&s->servers[m->server[side]].limits);
	queue(s, e, reason);
}

static enum sched_effect retry_it(struct sched *s, uint32_t e, const char **words)
{
	const struct entry *en = &s->entries[e];
	if (en->paused || (en->state != MAILBOX_PARKED && en->state != MAILBOX_HELD && en->state != MAILBOX_FAILED))
		return SCHED_UNFIT;
	try_now(s, e, "tried now, as the operator asked");
	*words = "tried now";
	return SCHED_CHANGED;
}

static enum sched_effect pause_it(struct sched *s, uint32_t e, const char **words)
{
	struct entry *en = &s->entries[e];
	if (en->state == MAILBOX_DONE)
		return SCHED_UNFIT;
	*words = "paused already";
	if (en->paused)
		return SCHED_ALREADY;
	entry_pause(s, e, true);
	*words = "paused";
	if (en->active != NULL) {
		entry_set(s, e, (enum mailbox_state)en->state, "being paused: what is on its way is finished");
		stop(s, en->active);
		*words = "being stopped, then paused";
		return SCHED_CHANGED;
	}
	entry_unwait(s, e);
	entry_hold(s, e);
	return SCHED_CHANGED;
}

static enum sched_effect resume_it(struct sched *s, uint32_t e, const char **words)
{
	struct entry *en = &s->entries[e];
	if (!en->paused && en->state != MAILBOX_HELD && en->state != MAILBOX_DONE)
		return SCHED_UNFIT;
	*words = en->state == MAILBOX_DONE ? "queued: passes are made again, it is not done" : "queued";
	entry_pause(s, e, false);
	if (en->active == NULL) {
		queue(s, e, "resumed by the operator");
		return SCHED_CHANGED;
	}
	entry_set(s, e, (enum mailbox_state)en->state, "");
	*words = "goes on when it has been stopped";
	return SCHED_CHANGED;
}

static enum sched_effect finish_it(struct sched *s, uint32_t e, const char **words)
{
	static const char due[] = "a last pass is due";
	struct entry *en = &s->entries[e];
	enum mailbox_state state = (enum mailbox_state)en->state;
	if (state == MAILBOX_DONE) {
		*words = "done already";
		return SCHED_ALREADY;
	}
	/* One that waits otherwise is tried now. */
	if (en->finishing && (en->paused || state == MAILBOX_QUEUED || state == MAILBOX_RUNNING)) {
		*words = "a last pass is due already";
		return SCHED_ALREADY;
	}
	en->finishing = true;
	*words = "a last pass, then done";
	if (en->paused) {
		entry_set(s, e, state, en->reason != NULL ? en->reason : "");
		*words = "paused: a last pass when it is resumed, then done";
	} else if (state == MAILBOX_RUNNING) {
		/* What came since this pass looked at the source is not in it. */
		entry_set(s, e, state, due);
		*words = "running: one more pass, then done";
	} else if (state == MAILBOX_QUEUED) {
		entry_set(s, e, state, due);
	} else {
		try_now(s, e, due);
	}
	return SCHED_CHANGED;
}

enum sched_effect sched_order(struct sched *s, uint32_t mailbox, enum sched_order o, const char **words)
{
	assert(sched_takes_orders(s) && mailbox < s->entry_n);
	*words = NULL;
	switch (o) {
	case SCHED_RETRY:
		return retry_it(s, mailbox, words);
	case SCHED_PAUSE:
		return pause_it(s, mailbox, words);
	case SCHED_RESUME:
		return resume_it(s, mailbox, words);
	case SCHED_FINISH:
		return finish_it(s, mailbox, words);
	case SCHED_ORDER_N:
		break;
	}
	assert(false && "there is no such order");
	return SCHED_UNFIT;
}

bool sched_is_started(const struct sched *s)
{
	return s->started;
}

bool sched_takes_orders(const struct sched *s)
{
	return s->started && !s->stopping;
}

uint64_t sched_marked(const struct sched *s)
{
	return s->marked;
}

uint64_t sched_saved(const struct sched *s)
{
	return s->saved;
}
