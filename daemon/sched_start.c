#include "sched_p.h"

#include <assert.h>
#include <stdlib.h>

#define GRACE_TIMES 4     /* the usual login */
#define GRACE_LEAST 250   /* ms */
/* Mailboxes that are started, refused or taken from the heap in one turn: what a thousand of them need would keep the others waiting. */
#define STARTS_AT_ONCE 4
#define ENTRIES_AT_ONCE 500

/* How long a login may take until it is somebody's trouble: login_grace, or less where logins are seen to be quick. A refused one takes some
 * seconds at many servers, and nobody should wait for that. */
static uint64_t grace(const struct sched *s, const struct migration *m)
{
	uint64_t ms = m->login_usual * GRACE_TIMES < GRACE_LEAST ? GRACE_LEAST : m->login_usual * GRACE_TIMES;
	return m->login_usual == 0 || ms > s->limits.login_grace ? s->limits.login_grace : ms;
}

/* How long one that is late keeps the side that is up, when others need that connection: where all logins are slow, taking it away from one for another would
 * only make more of them. */
static uint64_t lend_after(const struct sched *s, const struct migration *m)
{
	uint64_t ms = grace(s, m);
	return m->login_usual * GRACE_TIMES > ms ? m->login_usual * GRACE_TIMES : ms;
}

static struct migration *migration_of(const struct active *a)
{
	return &a->s->migrations[a->s->entries[a->entry].migration];
}

/* All logins are looked at when the first of them may be late, not at each event. */
static void look_before(struct sched *s, uint64_t when)
{
	if (when < s->late_at)
		s->late_at = when;
}

void start_took(struct active *a)
{
	struct sched *s = a->s;
	struct migration *m = migration_of(a);
	uint64_t took = a->took + 1, most = grace(s, m) * 2;
	/* The late ones, too: were only the quick ones looked at, a server with much to do would be seen as many mailboxes with a trouble of their own, and
	 * ever more of them be dialled. One that took very long is no more than late. */
	if (took > most)
		took = most;
	m->login_usual = m->login_usual == 0 ? took : (m->login_usual * 7 + took) / 8;
	/* Those that began under a longer grace are to be judged by this one, a little later or earlier. */
	if (grace(s, m) * 8 < m->grace_seen * 7)
		s->late_at = 0;
}

static void step_fresh(struct active *a)
{
	struct sched *s = a->s;
	struct migration *m = migration_of(a);
	uint64_t ms = grace(s, m);
	active_step(a, STEP_FRESH);
	if (ms > m->grace_seen)
		m->grace_seen = ms;
	look_before(s, a->since + ms);
}

void start_age(struct sched *s, uint64_t now)
{
	struct active *next;
	if (now < s->late_at)
		return;
	s->late_at = SCHED_NEVER;
	for (uint32_t i = 0; i < s->migration_n; i++)
		s->migrations[i].grace_seen = grace(s, &s->migrations[i]);
	for (struct active *a = TAILQ_FIRST(&s->steps[STEP_FRESH]); a != NULL; a = next) {
		uint64_t late = a->since + grace(s, migration_of(a));
		next = TAILQ_NEXT(a, link);
		if (now < late) {
			look_before(s, late);
			continue;
		}
		for (int side = 0; side < SIDES; side++)
			active_login_over(a, (enum side)side);
		active_step(a, STEP_SLOW);
	}
}

void active_login_over(struct active *a, enum side side)
{
	if (a->login[side])
		limits_login_over(&active_server(a, side)->limits);
	a->login[side] = false;
}

static void dial(struct active *a, enum side side)
{
	struct limits *l = &active_server(a, side)->limits;
	uint64_t now = a->s->clock.now(a->s->clock.arg);
	/* A redial does not ask at the door, but where it is open or busy it is nobody's probe. */
	if (limits_door(l, now) == DOOR_PROBE) {
		limits_probe(l);
		a->probe[side] = true;
	}
	l = &active_server(a, side)->admin;
	if (limits_door(l, now) == DOOR_PROBE) {
		limits_probe(l);
		a->vouches[side] = true;
		active_server(a, side)->admin_last = !active_server(a, side)->admin_last;
	}
	l = &active_server(a, side)->limits;
	a->dialled[side] = now;
	a->login[side] = true;
	limits_login(l);
	say_dial(a, side);
	mailbox_dial(a->mailbox, side);
}

/* Both permits are taken. A side that could not be logged in to the last time is tried first: as long as it goes on failing, the other server has nothing
 * to do with it. Its permit is given back, as if it had been lent. */
static void dial_sides(struct active *a)
{
	const struct entry *en = &a->s->entries[a->entry];
	if (en->doubt != 0 && a->s->mode != SCHED_CHECK) {
		enum side side = (enum side)(en->doubt - 1);
		active_give(a, side == SOURCE ? TARGET : SOURCE);
		dial(a, side);
		return;
	}
	dial(a, SOURCE);
	dial(a, TARGET);
}

static void start(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	struct migration *m = &s->migrations[en->migration];
	struct active *a = calloc(1, sizeof(*a));
	if (a == NULL)
		abort();
	*a = (struct active){ .s = s, .entry = e, .step = STEP_N, .permit = { true, true },
		.stop_until = SCHED_NEVER };
	a->name = sched_name(s, e);
	a->spec = (struct mailbox_spec){
		.job = s->mode == SCHED_CHECK ? JOB_CHECK : s->mode == SCHED_VERIFY ? s->env->look : JOB_COPY,
		.migration = m->name,
		.name = a->name,
		.endpoint = { s->servers[m->server[SOURCE]].endpoint, s->servers[m->server[TARGET]].endpoint },
		.login = { en->login[SOURCE], en->login[TARGET] },
		.ledger_id = en->ledger_id,
		.lanes = lanes_allowed(s, e),
		.rules = m->rules,
	};
	a->mailbox = mailbox_new(s->env, &a->spec, active_on_mailbox, a);
	if (a->mailbox == NULL)
		abort();
	en->active = a;
	step_fresh(a);
	dial_sides(a);
}

static bool may_start(const struct sched *s)
{
	int64_t room = (int64_t)s->limits.max_mailboxes - s->step_n[STEP_RUNNING] - s->step_n[STEP_READY] + 1 +
		s->limits.max_mailboxes / 8;
	return s->step_n[STEP_FRESH] < room;
}

bool start_may_log_in(const struct server *source, const struct server *target)
{
	if (source == target)
		return limits_may_log_in(&source->limits, SIDES);
	return limits_may_log_in(&source->limits, 1) && limits_may_log_in(&target->limits, 1);
}

/* Gets up to n permits of that server back from mailboxes whose other side is somebody's trouble. `really` false: only counts them. */
static uint32_t reclaim(struct sched *s, const struct server *server, uint32_t n, bool really)
{
	uint32_t found = 0;
	struct active *a;
	uint64_t now = s->clock.now(s->clock.arg);
	/* A check has its result on the side that is up, or is about to. */
	if (s->mode == SCHED_CHECK)
		return 0;
	TAILQ_FOREACH(a, &s->steps[STEP_SLOW], link)
		for (int i = 0; i < SIDES && found < n; i++) {
			enum side side = (enum side)i;
			/* One that is over gives all back by itself. */
			if (active_server(a, side) != server || !mailbox_is_up(a->mailbox, side) || mailbox_is_over(a->mailbox))
				continue;
			uint64_t when = a->dialled[side == SOURCE ? TARGET : SOURCE] + lend_after(s, migration_of(a));
			if (now < when) {
				look_before(s, when);
				continue;
			}
			found++;
			if (!really)
				continue;
			mailbox_hang_up(a->mailbox, side);
			active_give(a, side);
		}
	return found;
}

/* Both permits or none: nobody who starts waits for a permit while holding one. Those who had to give one back and wait for it (STEP_REDIAL) come
 * before those who start, and cannot wait for each other in a circle: of any such circle, the one that held both its permits last
 * held them beside all that the others still hold, so what it waits for is with somebody outside, who ends. */
static bool take_permits(struct sched *s, const struct migration *m)
{
	struct server *server[SIDES] = { &s->servers[m->server[SOURCE]], &s->servers[m->server[TARGET]] };
	uint32_t kinds = server[SOURCE] == server[TARGET] ? 1 : SIDES;
	uint32_t need = SIDES / kinds, missing[SIDES] = { 0, 0 };
	for (uint32_t i = 0; i < kinds; i++) {
		uint32_t free_n = server[i]->limits.max - server[i]->limits.used;
		missing[i] = need > free_n ? need - free_n : 0;
		if (missing[i] > 0 && reclaim(s, server[i], missing[i], false) < missing[i]) {
			server[i]->wanted = true;
			return false;
		}
	}
	for (uint32_t i = 0; i < kinds; i++) {
		if (missing[i] > 0)
			reclaim(s, server[i], missing[i], true);
		bool taken = limits_take(&server[i]->limits, need);
		assert(taken);
		(void)taken;
	}
	return true;
}

/* A check dials servers that are down, but no more than the others with an administrator who is refused. */
static enum limits_door door_of(const struct sched *s, const struct server *server, uint64_t now)
{
	enum limits_door door = s->mode == SCHED_CHECK ? DOOR_OPEN : limits_door(&server->limits, now);
	enum limits_door admin = limits_door(&server->admin, now);
	return door > admin ? door : admin;
}

/* Who starts next: the first, unless it would be the probe of an administrator. NO_ENTRY: the first may not, it was refused. */
static uint32_t next_entry(struct sched *s, uint32_t migration, const struct server *server, uint64_t now)
{
	const struct migration *m = &s->migrations[migration];
	uint32_t e = server->admin_last ? m->last : m->first;
	if (limits_door(&server->admin, now) != DOOR_PROBE)
		return m->first;
	/* As long as others come by, who were made to wait for it. */
	if (s->entries[e].barred && now < server->admin.down_until + s->limits.login_retry_interval) {
		entry_unwait(s, e);
		entry_refuse(s, e, m->server[SOURCE] == server - s->servers ? SOURCE : TARGET);
		return NO_ENTRY;
	}
	return e;
}

/* Starts the first in the queue of the migration, if it may. */
static bool start_one(struct sched *s, uint32_t migration, uint64_t now)
{
	struct migration *m = &s->migrations[migration];
	struct server *source = &s->servers[m->server[SOURCE]], *target = &s->servers[m->server[TARGET]];
	while (m->first != NO_ENTRY && !s->stopping && s->turn_entries < ENTRIES_AT_ONCE && s->turn_starts < STARTS_AT_ONCE) {
		enum limits_door door[SIDES] = { door_of(s, source, now), door_of(s, target, now) };
		if (door[SOURCE] == DOOR_DOWN || door[TARGET] == DOOR_DOWN) {
			s->turn_entries++;
			entry_refuse(s, entry_unqueue(s, migration), door[SOURCE] == DOOR_DOWN ? SOURCE : TARGET);
			continue;
		}
		if (door[SOURCE] == DOOR_BUSY || door[TARGET] == DOOR_BUSY || !may_start(s) || !start_may_log_in(source, target))
			return false;
		uint32_t e = next_entry(s, migration, source, now);
		if (e == m->first)
			e = next_entry(s, migration, target, now);
		if (e == NO_ENTRY) {
			s->turn_entries++;
			continue;
		}
		if (!take_permits(s, m))
			return false;
		s->turn_starts++;
		entry_unwait(s, e);
		start(s, e);
		return true;
	}
	return false;
}

static void start_all(struct sched *s, uint64_t now)
{
	for (uint32_t asked = 0; asked < s->migration_n && s->queued_n > 0; ) {
		uint32_t migration = s->turn;
		s->turn = (s->turn + 1) % s->migration_n;
		if (start_one(s, migration, now))
			asked = 0;
		else
			asked++;
	}
}

static void redial(struct sched *s)
{
	struct active *next;
	for (struct active *a = TAILQ_FIRST(&s->steps[STEP_REDIAL]); a != NULL; a = next) {
		next = TAILQ_NEXT(a, link);
		enum side missing = a->permit[SOURCE] ? TARGET : SOURCE;
		if (a->asked || mailbox_is_over(a->mailbox))
			continue;
		if (!limits_take(&active_server(a, missing)->limits, 1)) {
			active_server(a, missing)->wanted = true;
			continue;
		}
		a->permit[missing] = true;
		step_fresh(a);
		dial(a, missing);
	}
}

static void wake(struct sched *s, uint64_t now)
{
	uint32_t e;
	while (s->turn_entries < ENTRIES_AT_ONCE && (e = entry_heap_pop(s, now)) != NO_ENTRY) {
		const struct entry *en = &s->entries[e];
		s->turn_entries++;
		entry_set(s, e, MAILBOX_QUEUED, en->reason != NULL ? en->reason : "");
		entry_queue(s, e);
	}
}

void start_turn(struct sched *s, uint64_t now)
{
	s->turn_entries = s->turn_starts = 0;
	for (uint32_t i = 0; i < s->server_n; i++)
		s->servers[i].wanted = false;
	wake(s, now);
	start_age(s, now);
	redial(s);
	run_ready(s);
	start_all(s, now);
}

bool start_has_more(const struct sched *s)
{
	return s->turn_entries >= ENTRIES_AT_ONCE || s->turn_starts >= STARTS_AT_ONCE;
}
