#include "sched_p.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *sched_order_name(enum sched_order o)
{
	static const char *const names[] = {
#define X(name, text) [SCHED_##name] = text,
		SCHED_ORDERS(X)
#undef X
	};
	return names[o];
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

static const char *pause_it(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	entry_pause(s, e, true);
	if (en->active != NULL) {
		entry_set(s, e, (enum mailbox_state)en->state, "is being paused: what is on its way is finished");
		stop(s, en->active);
		return "is being stopped, and will be held";
	}
	entry_unwait(s, e);
	entry_hold(s, e);
	return "is held";
}

static const char *resume_it(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	bool done = en->state == MAILBOX_DONE;
	entry_pause(s, e, false);
	if (en->active != NULL) {
		entry_set(s, e, (enum mailbox_state)en->state, "");
		return "goes on when it has been stopped";
	}
	queue(s, e, "resumed by the operator");
	return done ? "is queued; passes are made again, it is not done" : "is queued";
}

static const char *finish_it(struct sched *s, uint32_t e)
{
	static const char due[] = "a last pass is due";
	struct entry *en = &s->entries[e];
	en->finishing = true;
	if (en->paused) {
		entry_set(s, e, (enum mailbox_state)en->state, en->reason != NULL ? en->reason : "");
		return "is paused; its last pass comes when it is resumed";
	}
	if (en->active != NULL) {
		entry_set(s, e, (enum mailbox_state)en->state, due);
		return en->state == MAILBOX_RUNNING ? "is running; one more pass, then it is done" : "gets a last pass, then it is done";
	}
	if (en->state == MAILBOX_QUEUED)
		entry_set(s, e, MAILBOX_QUEUED, due);
	else
		try_now(s, e, due);
	return "gets a last pass, then it is done";
}

/* NULL: nothing is to be done; `words` says why. */
static const char *obey(struct sched *s, uint32_t e, enum sched_order o, char words[SCHED_WORDS])
{
	const struct entry *en = &s->entries[e];
	enum mailbox_state state = (enum mailbox_state)en->state;
	bool waits = state == MAILBOX_PARKED || state == MAILBOX_HELD || state == MAILBOX_FAILED;
	snprintf(words, SCHED_WORDS, "is %s: nothing to %s", mailbox_state_name(state), sched_order_name(o));
	switch (o) {
	case SCHED_RETRY:
		if (en->paused)
			snprintf(words, SCHED_WORDS, "is paused: to be resumed, not retried");
		else if (waits) {
			try_now(s, e, "tried now, as the operator asked");
			return "is tried now";
		}
		return NULL;
	case SCHED_PAUSE:
		if (en->paused)
			snprintf(words, SCHED_WORDS, "is paused already");
		else if (state != MAILBOX_DONE)
			return pause_it(s, e);
		return NULL;
	case SCHED_RESUME:
		return en->paused || state == MAILBOX_HELD || state == MAILBOX_DONE ? resume_it(s, e) : NULL;
	case SCHED_FINISH:
		if (state == MAILBOX_DONE)
			snprintf(words, SCHED_WORDS, "is done already");
		else if (en->finishing && (en->paused || state == MAILBOX_QUEUED || state == MAILBOX_RUNNING))
			snprintf(words, SCHED_WORDS, "has been asked for a last pass already");
		else
			return finish_it(s, e);
		return NULL;
	case SCHED_ORDER_N:
		break;
	}
	assert(false && "an order that does not exist");
	return NULL;
}

bool sched_takes_orders(const struct sched *s)
{
	return s->started && !s->stopping;
}

bool sched_order(struct sched *s, uint32_t mailbox, enum sched_order o, char words[SCHED_WORDS])
{
	assert(sched_takes_orders(s) && mailbox < s->entry_n);
	const char *done = obey(s, mailbox, o, words);
	if (done != NULL)
		snprintf(words, SCHED_WORDS, "%s", done);
	return done != NULL;
}

uint64_t sched_marked(const struct sched *s)
{
	return s->marked;
}

uint64_t sched_saved(const struct sched *s)
{
	return s->saved;
}
