#include "sched_p.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct sched *sched_new(enum sched_mode mode, const struct sched_limits *limits, const struct sched_clock *clock,
	const struct mailbox_env *env, sched_funnel *funnel, void *owner)
{
	struct sched *s = must(calloc(1, sizeof(*s)));
	assert(limits->max_mailboxes > 0);
	*s = (struct sched){ .mode = mode, .limits = *limits, .clock = *clock, .env = env, .funnel = funnel, .owner = owner };
	s->late_at = s->asked_until = SCHED_NEVER;
	for (int i = 0; i < STEP_N; i++)
		TAILQ_INIT(&s->steps[i]);
	return s;
}

void sched_free(struct sched **ps)
{
	if (ps == NULL || *ps == NULL)
		return;
	struct sched *s = *ps;
	for (int i = 0; i < STEP_N; i++)
		while (!TAILQ_EMPTY(&s->steps[i])) {
			struct active *a = TAILQ_FIRST(&s->steps[i]);
			TAILQ_REMOVE(&s->steps[i], a, link);
			mailbox_free(&a->mailbox);
			free(a->name);
			free(a);
		}
	for (uint32_t i = 0; i < s->entry_n; i++)
		free(s->entries[i].reason);
	free(s->entries);
	free(s->migrations);
	free(s->servers);
	free(s->heap);
	free(s->dirty);
	free(s);
	*ps = NULL;
}

uint32_t sched_add_server(struct sched *s, const struct endpoint *ep, uint32_t max_connections)
{
	assert(!s->started);
	s->servers = must(reallocarray(s->servers, s->server_n + 1, sizeof(*s->servers)));
	struct server *v = &s->servers[s->server_n];
	*v = (struct server){ .endpoint = ep, .per_mailbox = 1 };
	limits_init(&v->limits, ep->server, max_connections);
	limits_init(&v->admin, ep->server, max_connections);
	if (ep->admin_user != NULL)
		limits_doubt(&v->admin);
	return s->server_n++;
}

uint32_t sched_add_migration(struct sched *s, const char *name, uint32_t source_server, uint32_t target_server)
{
	assert(!s->started && source_server < s->server_n && target_server < s->server_n && s->migration_n < UINT16_MAX);
	assert(source_server != target_server || s->servers[source_server].limits.max >= SIDES);
	s->migrations = must(reallocarray(s->migrations, s->migration_n + 1, sizeof(*s->migrations)));
	s->migrations[s->migration_n] = (struct migration){
		.name = name,
		.server = { [SOURCE] = source_server, [TARGET] = target_server },
		.first = NO_ENTRY,
		.last = NO_ENTRY,
	};
	return s->migration_n++;
}

void sched_set_rules(struct sched *s, uint32_t migration, const struct mailbox_rules *rules)
{
	assert(!s->started && migration < s->migration_n);
	s->migrations[migration].rules = *rules;
}

uint32_t sched_add_mailbox(struct sched *s, uint32_t migration, const struct credentials login[SIDES])
{
	assert(!s->started && migration < s->migration_n && s->entry_n < NO_ENTRY / 2);
	if (s->entry_n == s->entry_size) {
		s->entry_size = s->entry_size == 0 ? 16 : s->entry_size + s->entry_size / 2;
		s->entries = must(reallocarray(s->entries, s->entry_size, sizeof(*s->entries)));
	}
	s->entries[s->entry_n] = (struct entry){
		.login = { [SOURCE] = login[SOURCE], [TARGET] = login[TARGET] },
		.migration = (uint16_t)migration,
		.state = MAILBOX_QUEUED,
		.heap_at = NO_ENTRY,
		.next = NO_ENTRY,
		.prev = NO_ENTRY,
	};
	s->migrations[migration].counts.mailboxes++;
	s->migrations[migration].counts.state[MAILBOX_QUEUED]++;
	return s->entry_n++;
}

void sched_restore(struct sched *s, uint32_t mailbox, const struct ledger_mailbox *row)
{
	assert(!s->started && mailbox < s->entry_n);
	struct entry *en = &s->entries[mailbox];
	struct sched_counts *c = &s->migrations[en->migration].counts;
	enum mailbox_state state = row->state < MAILBOX_STATE_N ? row->state : MAILBOX_QUEUED;
	en->ledger_id = row->id;
	en->attempts = row->attempts;
	en->since = row->since;
	en->next_attempt = row->next_attempt;
	en->last_synced = row->last_synced;
	en->finishing = row->finishing;
	entry_pause(s, mailbox, row->paused);
	entry_reason(en, row->reason);
	c->state[en->state]--;
	c->state[state]++;
	en->state = (uint8_t)state;
}

/* Where a mailbox begins, by what is known of it. */
static void begin(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	int64_t wall = s->clock.wall(s->clock.arg);
	int64_t wait = 0;
	/* It may have been running, and no longer does. */
	if (en->paused) {
		if (en->state != MAILBOX_HELD)
			entry_hold(s, e);
		return;
	}
	switch ((enum mailbox_state)en->state) {
	case MAILBOX_DONE:
		return;
	case MAILBOX_PARKED:
		/* Not later than one interval from now: the clock may have been set back, the interval been made shorter. */
		wait = en->next_attempt - wall;
		if (wait > (int64_t)s->limits.login_retry_interval)
			wait = (int64_t)s->limits.login_retry_interval;
		if (wait > 0) {
			entry_park(s, e, (uint64_t)wait);
			return;
		}
		break;
	case MAILBOX_SYNCED:
		if (s->mode != SCHED_DAEMON)
			break;
		wait = en->last_synced + (int64_t)s->limits.pass_interval - wall;
		if (wait > (int64_t)s->limits.pass_interval)
			wait = (int64_t)s->limits.pass_interval;
		if (wait > 0) {
			entry_park(s, e, (uint64_t)wait);
			return;
		}
		break;
	case MAILBOX_FAILED:
	case MAILBOX_HELD:
		en->attempts = s->mode == SCHED_DAEMON ? sched_attempts(s) - 1 : 0;
		break;
	default:
		break;
	}
	if (en->state != MAILBOX_QUEUED)
		entry_set(s, e, MAILBOX_QUEUED, en->attempts > 0 && en->reason != NULL ? en->reason : "");
	entry_queue(s, e);
}

void sched_start(struct sched *s)
{
	assert(!s->started);
	s->started = true;
	s->heap = must(calloc(s->entry_n + 1, sizeof(*s->heap)));
	s->dirty = must(calloc(s->entry_n + 1, sizeof(*s->dirty)));
	for (uint32_t e = 0; e < s->entry_n; e++)
		begin(s, e);
	s->clock.arm(s->clock.arg, 0);
}

struct server *active_server(const struct active *a, enum side side)
{
	struct sched *s = a->s;
	return &s->servers[s->migrations[s->entries[a->entry].migration].server[side]];
}

void active_give(struct active *a, enum side side)
{
	assert(a->permit[side]);
	a->permit[side] = false;
	limits_give(&active_server(a, side)->limits);
}

/* STEP_N: none any more. */
void active_step(struct active *a, enum step step)
{
	struct sched *s = a->s;
	assert(a->step != step);
	if (a->step != STEP_N) {
		TAILQ_REMOVE(&s->steps[a->step], a, link);
		s->step_n[a->step]--;
	}
	a->step = step;
	a->since = s->clock.now(s->clock.arg);
	if (step == STEP_N)
		return;
	TAILQ_INSERT_TAIL(&s->steps[step], a, link);
	s->step_n[step]++;
}

void sched_tell(struct sched *s, const struct sched_event *ev)
{
	s->funnel(s->owner, ev);
}

static void active_up(struct active *a, enum side side)
{
	struct sched *s = a->s;
	struct entry *en = &s->entries[a->entry];
	struct limits *l = &active_server(a, side)->limits;
	probe_over(a, active_server(a, side));
	active_login_over(a, side);
	uint64_t took = s->clock.now(s->clock.arg) - a->dialled[side];
	limits_login_took(l, took);
	if (took > a->took)
		a->took = took;
	if (en->doubt == 1 + side)
		en->doubt = 0;
	if (limits_succeeded(l))
		say_server_up(l);
	admin_accepted(a, side);
	if (s->stopping)
		return;
	if (!a->permit[SOURCE] || !a->permit[TARGET]) {
		active_step(a, STEP_REDIAL);
	} else if (mailbox_is_up(a->mailbox, SOURCE) && mailbox_is_up(a->mailbox, TARGET)) {
		start_took(a);
		active_step(a, STEP_READY);
		if (en->attempts > 0 && !en->broke) {
			if (en->said != 0)
				say_again(s, en);
			en->attempts = 0;
			en->said = 0;
		}
	}
}

void active_on_mailbox(void *owner, const struct mailbox_event *ev)
{
	struct active *a = owner;
	struct sched *s = a->s;
	switch (ev->kind) {
	case MAILBOX_UP:
		active_up(a, ev->side);
		break;
	case MAILBOX_LANES:
		break;
	case MAILBOX_LANE_DIALLED:
		lanes_dialled(a);
		break;
	case MAILBOX_LANE_GONE:
		lanes_gone(a, ev->outcome);
		break;
	case MAILBOX_ENDED:
		active_end(a, ev->outcome);
		break;
	}
	sched_tick(s);
}

void run_ready(struct sched *s)
{
	struct active *next;
	for (struct active *a = TAILQ_FIRST(&s->steps[STEP_READY]);
		a != NULL && s->step_n[STEP_RUNNING] < s->limits.max_mailboxes; a = next) {
		next = TAILQ_NEXT(a, link);
		if (a->asked)
			continue;
		active_step(a, STEP_RUNNING);
		a->last = s->entries[a->entry].finishing;
		say_slot(a, true);
		if (s->mode != SCHED_CHECK) {
			const struct entry *en = &s->entries[a->entry];
			struct log_context ctx = entry_context(s, en);
			entry_set(s, a->entry, MAILBOX_RUNNING, "");
			log_event(LOG_MAILBOX_STARTED, &ctx, "started");
		}
		mailbox_run(a->mailbox);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When something is to be done even if nothing happens. */
static void arm(struct sched *s, uint64_t now)
{
	uint64_t at = SCHED_NEVER;
	if (s->stopping) {
		if (!s->stopped_now)
			at = s->stop_until;
	} else if (start_has_more(s)) {
		/* The loop goes round once for others; a timer of 0 ms may run out in the same turn. */
		at = now + 1;
	} else {
		at = earlier(s->late_at, s->asked_until);
		if (s->heap_n > 0)
			at = earlier(at, s->entries[s->heap[0]].due);
	}
	s->clock.arm(s->clock.arg, at == SCHED_NEVER ? SCHED_NEVER : at > now ? at - now : 0);
}

static uint32_t active_n(const struct sched *s)
{
	uint32_t n = 0;
	for (int i = 0; i < STEP_N; i++)
		n += s->step_n[i];
	return n;
}

static void stop_all(struct sched *s, bool now)
{
	for (int i = 0; i < STEP_N; i++) {
		struct active *a;
		TAILQ_FOREACH(a, &s->steps[i], link)
			mailbox_stop(a->mailbox, now);
	}
}

static void tick_stopping(struct sched *s, uint64_t now)
{
	if (!s->stopped_now && now >= s->stop_until) {
		s->stopped_now = true;
		stop_all(s, true);
	}
	entry_flush(s);
	arm(s, now);
	if (active_n(s) == 0 && !s->over) {
		s->over = true;
		s->clock.arm(s->clock.arg, SCHED_NEVER);
		sched_tell(s, &(struct sched_event){ .kind = SCHED_STOPPED });
	}
}

void sched_tick(struct sched *s)
{
	uint64_t now = s->clock.now(s->clock.arg);
	if (s->over || !s->started)
		return;
	if (s->stopping) {
		tick_stopping(s, now);
		return;
	}
	stop_asked(s, now);
	start_turn(s, now);
	lanes_grow(s);
	lanes_shrink(s);
	/* An owner that was told of a refused mailbox may have stopped everything. */
	if (s->stopping) {
		tick_stopping(s, now);
		return;
	}
	entry_flush(s);
	arm(s, now);
	bool idle = s->queued_n == 0 && active_n(s) == 0;
	bool told = s->idle;
	s->idle = idle;
	if (idle && !told)
		sched_tell(s, &(struct sched_event){ .kind = SCHED_IDLE });
}

void sched_stop(struct sched *s, bool now)
{
	if (s->stopping && (s->stopped_now || !now))
		return;
	bool first = !s->stopping;
	s->stopping = true;
	s->stop_until = now ? 0 : s->clock.now(s->clock.arg) + s->limits.shutdown_timeout;
	if (first && !now)
		stop_all(s, false);
	if (s->started)
		s->clock.arm(s->clock.arg, 0);
}

void sched_break(struct sched *s, const char *words)
{
	if (s->broken)
		return;
	s->broken = true;
	sched_tell(s, &(struct sched_event){ .kind = SCHED_BROKEN, .words = words });
	sched_stop(s, true);
}

uint32_t sched_mailboxes(const struct sched *s)
{
	return s->entry_n;
}

uint32_t sched_migrations(const struct sched *s)
{
	return s->migration_n;
}

uint32_t sched_waiting(const struct sched *s)
{
	return s->heap_n;
}

const char *sched_migration_name(const struct sched *s, uint32_t migration)
{
	return s->migrations[migration].name;
}

const struct sched_counts *sched_counts(const struct sched *s, uint32_t migration)
{
	return &s->migrations[migration].counts;
}

const struct limits *sched_server(const struct sched *s, uint32_t server)
{
	return &s->servers[server].limits;
}

uint32_t sched_migration_of(const struct sched *s, uint32_t mailbox)
{
	return s->entries[mailbox].migration;
}

enum mailbox_state sched_state(const struct sched *s, uint32_t mailbox)
{
	return (enum mailbox_state)s->entries[mailbox].state;
}

const char *sched_reason(const struct sched *s, uint32_t mailbox)
{
	return s->entries[mailbox].reason != NULL ? s->entries[mailbox].reason : "";
}

char *sched_name(const struct sched *s, uint32_t mailbox)
{
	const struct entry *en = &s->entries[mailbox];
	char *name;
	if (asprintf(&name, "%s/%s", s->migrations[en->migration].name, en->login[TARGET].user) < 0)
		abort();
	return name;
}

const struct mailbox_progress *sched_progress(const struct sched *s, uint32_t mailbox)
{
	const struct active *a = s->entries[mailbox].active;
	return a != NULL && a->step == STEP_RUNNING ? mailbox_progress(a->mailbox) : NULL;
}
