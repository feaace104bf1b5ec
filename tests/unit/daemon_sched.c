/* sched against mailboxes that do what the test says, a ledger that remembers what it is given, and a clock that is moved by hand. */
#include "log.h"
#include "sched.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leaks.h"

#define MAX 256
#define LINES 4096

struct mailbox {
	const struct mailbox_spec *spec;
	mailbox_funnel *funnel;
	void *owner;
	bool dialled[SIDES], up[SIDES];
	bool running, stopped, stopped_now, over;
	unsigned wanted, lanes, leaving;
	struct mailbox_progress progress;
};

static struct mailbox *live[MAX];
static size_t live_n;
static unsigned dials[MAX]; /* by name's number, mN */
static char *lines[LINES];
static size_t line_n;
static uint64_t now;
static uint64_t armed;
static struct sched *s;
static struct endpoint endpoints[4];
static struct mailbox_env env;
static struct sched_limits limits;
static unsigned events[SCHED_STOPPED + 1];
static char last_words[600];
static bool stop_when_idle;
static struct ledger_mailbox saved[MAX]; /* the last row of each, by id */
static char saved_reason[MAX][600];
static ledger_done_fn *save_done;
static void *save_arg;
static int save_err;
static bool save_hold; /* nothing is answered */
static unsigned saves;

static unsigned number(const char *name)
{
	return (unsigned)strtoul(strstr(name, "/m") + 2, NULL, 10);
}

struct mailbox *mailbox_new(const struct mailbox_env *e, const struct mailbox_spec *spec, mailbox_funnel *funnel, void *owner)
{
	cr_assert(e == &env && live_n < MAX);
	struct mailbox *m = calloc(1, sizeof(*m));
	*m = (struct mailbox){ .spec = spec, .funnel = funnel, .owner = owner };
	live[live_n++] = m;
	return m;
}

void mailbox_free(struct mailbox **m)
{
	for (size_t i = 0; i < live_n; i++)
		if (live[i] == *m) {
			memmove(&live[i], &live[i + 1], (live_n - i - 1) * sizeof(live[0]));
			live_n--;
			break;
		}
	free(*m);
	*m = NULL;
}

/* Connections to one server at this moment, counted here, not there. */
static unsigned connections(const struct endpoint *ep)
{
	unsigned n = 0;
	for (size_t i = 0; i < live_n; i++)
		for (int side = 0; side < SIDES; side++)
			if (live[i]->spec->endpoint[side] == ep)
				n += live[i]->dialled[side] + live[i]->lanes;
	return n;
}

void mailbox_dial(struct mailbox *m, enum side side)
{
	cr_assert(!m->dialled[side]);
	m->dialled[side] = true;
	dials[number(m->spec->name)]++;
	for (uint32_t i = 0; i < 4; i++)
		if (&endpoints[i] == m->spec->endpoint[side])
			cr_assert(connections(&endpoints[i]) <= sched_server(s, i)->max, "too many connections to server %u", i);
}

bool mailbox_is_up(const struct mailbox *m, enum side side)
{
	return m->up[side];
}

bool mailbox_is_over(const struct mailbox *m)
{
	return m->over;
}

void mailbox_hang_up(struct mailbox *m, enum side side)
{
	cr_assert(m->up[side] && !m->running && !m->over);
	m->up[side] = m->dialled[side] = false;
}

void mailbox_run(struct mailbox *m)
{
	cr_assert(m->up[SOURCE] && m->up[TARGET] && !m->running);
	m->running = true;
}

unsigned mailbox_lanes_wanted(const struct mailbox *m)
{
	unsigned most = m->wanted < m->spec->lanes ? m->wanted : m->spec->lanes;
	return most > m->lanes + 1 ? most - m->lanes - 1 : 0;
}

void mailbox_add_lane(struct mailbox *m)
{
	m->lanes++;
	for (uint32_t i = 0; i < 4; i++)
		if (&endpoints[i] == m->spec->endpoint[SOURCE] || &endpoints[i] == m->spec->endpoint[TARGET])
			cr_assert(connections(&endpoints[i]) <= sched_server(s, i)->max, "too many connections to server %u", i);
}

void mailbox_drop_lane(struct mailbox *m)
{
	m->leaving++;
	cr_assert(m->running && m->leaving <= m->lanes, "more is asked back than was given");
}

void mailbox_stop(struct mailbox *m, bool at_once)
{
	m->stopped = true;
	m->stopped_now = at_once;
}

const struct outcome *mailbox_check_result(const struct mailbox *m, enum side side)
{
	static const struct outcome none;
	(void)m, (void)side;
	return &none;
}

const struct mailbox_progress *mailbox_progress(const struct mailbox *m)
{
	return &m->progress;
}

void ledger_save_mailboxes(struct ledger *l, const struct ledger_mailbox *rows, size_t n, ledger_done_fn *fn, void *arg)
{
	(void)l;
	for (size_t i = 0; i < n; i++) {
		cr_assert(rows[i].id < MAX);
		saved[rows[i].id] = rows[i];
		snprintf(saved_reason[rows[i].id], sizeof(saved_reason[0]), "%s", rows[i].reason);
	}
	saves++;
	save_done = fn;
	save_arg = arg;
	if (!save_hold)
		fn(arg, save_err);
}

const char *ledger_error(const struct ledger *l)
{
	(void)l;
	return "disk full";
}

void log_event(enum log_kind kind, const struct log_context *ctx, const char *format, ...)
{
	static const char *const names[] = {
#define LOG(name, level) #name,
#include "logs.def"
#undef LOG
	};
	char text[2000];
	int n = snprintf(text, sizeof(text), "%s %s%s%s: ", names[kind], ctx != NULL && ctx->mailbox != NULL ? ctx->mailbox :
		ctx != NULL && ctx->server != NULL ? ctx->server : "", ctx != NULL && ctx->side != 0 ? ": " : "",
		ctx != NULL && ctx->side != 0 ? side_name((enum side)(ctx->side - 1)) : "");
	va_list ap;
	va_start(ap, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, ap);
	va_end(ap);
	cr_assert(line_n < LINES);
	lines[line_n++] = strdup(text);
}

static unsigned said(const char *what)
{
	unsigned n = 0;
	for (size_t i = 0; i < line_n; i++)
		n += strstr(lines[i], what) != NULL;
	return n;
}

static void lines_forget(void)
{
	while (line_n > 0)
		free(lines[--line_n]);
}

static uint64_t clock_now(void *arg)
{
	(void)arg;
	return now;
}

static int64_t clock_wall(void *arg)
{
	(void)arg;
	return (int64_t)now + 1000000;
}

static void clock_arm(void *arg, uint64_t ms)
{
	(void)arg;
	armed = ms == SCHED_NEVER ? SCHED_NEVER : now + ms;
}

/* Time goes on by ms, the timer runs out where it must. */
static void advance(uint64_t ms)
{
	uint64_t end = now + ms;
	for (unsigned turns = 0; armed <= end; turns++) {
		cr_assert(turns < 1000000, "the timer does not get anywhere");
		if (armed > now)
			now = armed;
		armed = SCHED_NEVER;
		sched_tick(s);
	}
	now = end;
}

static void on_sched(void *owner, const struct sched_event *ev)
{
	(void)owner;
	events[ev->kind]++;
	if (ev->words != NULL)
		snprintf(last_words, sizeof(last_words), "%s", ev->words);
	if (ev->kind == SCHED_IDLE && stop_when_idle)
		sched_stop(s, true);
}

static void make_mode(enum sched_mode mode)
{
	struct sched_clock clock = { clock_now, clock_wall, clock_arm, NULL };
	s = sched_new(mode, &limits, &clock, &env, on_sched, NULL);
}

/* Servers a and b with room for n, and a migration from a to b. */
static void make(enum sched_mode mode, uint32_t n)
{
	make_mode(mode);
	sched_add_server(s, &endpoints[0], n);
	sched_add_server(s, &endpoints[1], n);
	sched_add_migration(s, "acme", 0, 1);
}

static char names[MAX][8];

static void add(uint32_t migration, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned k = sched_mailboxes(s);
		snprintf(names[k], sizeof(names[0]), "m%u", k);
		struct credentials login[SIDES] = { { names[k], "geheim-s" }, { names[k], "geheim-t" } };
		sched_add_mailbox(s, migration, login);
		struct ledger_mailbox row = { .id = k, .name = names[k], .state = MAILBOX_QUEUED, .reason = "" };
		sched_restore(s, k, &row);
	}
}

/* One turn starts a few only: so many as it takes, while the clock stands still. */
static void turns(void)
{
	/* What is due by then for another reason does not come while the clock stands. */
	for (int i = 0; i < 100 && armed == now + 1; i++)
		sched_tick(s);
}

static void go(void)
{
	sched_start(s);
	advance(0);
	turns();
}

static struct mailbox *get(unsigned n)
{
	for (size_t i = 0; i < live_n; i++)
		if (number(live[i]->spec->name) == n)
			return live[i];
	return NULL;
}

static void up(unsigned n, enum side side)
{
	struct mailbox *m = get(n);
	cr_assert(m != NULL && m->dialled[side], "m%u is not dialling its %s", n, side_name(side));
	m->up[side] = true;
	m->funnel(m->owner, &(struct mailbox_event){ .kind = MAILBOX_UP, .side = side });
}

static void both_up(unsigned n)
{
	/* One that failed is dialled alone at first. */
	enum side first = get(n) != NULL && get(n)->dialled[SOURCE] ? SOURCE : TARGET;
	up(n, first);
	up(n, first == SOURCE ? TARGET : SOURCE);
}

static void end(unsigned n, const struct outcome *o)
{
	struct mailbox *m = get(n);
	cr_assert(m != NULL, "m%u is not there", n);
	m->up[SOURCE] = m->up[TARGET] = m->dialled[SOURCE] = m->dialled[TARGET] = false;
	m->funnel(m->owner, &(struct mailbox_event){ .kind = MAILBOX_ENDED, .outcome = o });
}

static void done(unsigned n)
{
	cr_assert(get(n) != NULL && get(n)->running, "m%u is not running", n);
	end(n, &(struct outcome){ .radius = RADIUS_NONE });
}

static bool greeted;

static void fault(unsigned n, enum side side, enum conn_fault f, const char *words)
{
	struct outcome o = { .radius = RADIUS_CONNECTION, .heal = HEAL_TIME, .at = AT_LOGIN, .side = side, .fault = f,
		.refused = f == CONN_FAULT_LOGIN, .greeted = greeted };
	snprintf(o.text, sizeof(o.text), "%s", words);
	end(n, &o);
}

static void refused(unsigned n)
{
	fault(n, TARGET, CONN_FAULT_LOGIN, "NO [AUTHENTICATIONFAILED] no");
}

static void broken(unsigned n, enum radius radius, enum heal heal, bool any)
{
	struct outcome o = { .radius = radius, .heal = heal, .at = AT_WORK, .side = SOURCE, .fault = CONN_FAULT_LOST,
		.text = "gone" };
	get(n)->progress.any = any;
	end(n, &o);
}

static unsigned running(void)
{
	unsigned n = 0;
	for (size_t i = 0; i < live_n; i++)
		n += live[i]->running;
	return n;
}

static uint32_t in_state(enum mailbox_state state)
{
	return sched_counts(s, 0)->state[state];
}

static void before(void)
{
	static const char *const server_names[] = { "a", "b", "c", "d" };
	for (int i = 0; i < 4; i++)
		endpoints[i] = (struct endpoint){ .server = server_names[i] };
	env = (struct mailbox_env){ .ledger = (struct ledger *)&env };
	limits = (struct sched_limits){ .max_mailboxes = 8, .max_login_retries = 60, .login_retry_interval = 60000,
		.login_grace = 2000, .pass_interval = 3600000, .shutdown_timeout = 10000 };
	now = 5000;
	armed = SCHED_NEVER;
}

static void after(void)
{
	sched_free(&s);
	cr_assert(s == NULL && live_n == 0);
	lines_forget();
	leaks_check();
}

TestSuite(daemon_sched, .init = before, .fini = after);

Test(daemon_sched, a_refused_login_holds_nothing_and_stalls_nobody)
{
	limits.max_mailboxes = 1;
	make(SCHED_ONCE, 2);
	add(0, 3);
	go();
	up(0, SOURCE);
	cr_expect(said("slot taken") == 0, "no slot before both sides are logged in");
	refused(0);
	cr_expect(sched_state(s, 0) == MAILBOX_PARKED);
	cr_expect(get(0) == NULL);
	both_up(1);
	cr_expect(get(1)->running);
	cr_expect(said("SLOT m1: slot taken (1 of 1)") == 1);
	done(1);
	cr_expect(said("SLOT m1: slot returned (0 of 1)") == 1);
	both_up(2);
	done(2);
	cr_expect(sched_server(s, 0)->used == 0 && sched_server(s, 1)->used == 0);
	cr_expect(events[SCHED_IDLE] == 1 && sched_waiting(s) == 1);
	advance(59999);
	cr_expect(get(0) == NULL);
	advance(1);
	cr_expect(get(0) != NULL, "it is tried again at its time");
	both_up(0);
	done(0);
	cr_expect(in_state(MAILBOX_SYNCED) == 3);
	cr_expect(events[SCHED_IDLE] == 2 && sched_waiting(s) == 0);
}

Test(daemon_sched, the_words_of_a_refused_login)
{
	limits.max_login_retries = 60;
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	for (unsigned i = 1; i <= 60; i++) {
		cr_assert(get(0) != NULL, "attempt %u", i);
		if (i == 15)
			fault(0, TARGET, CONN_FAULT_LOGIN, "NO other words");
		else
			refused(0);
		cr_expect(saved[0].attempts == i);
		cr_expect(saved[0].state == (i < 60 ? MAILBOX_PARKED : MAILBOX_FAILED));
		cr_expect(saved[0].next_attempt == (i < 60 ? clock_wall(NULL) + 60000 : 0));
		cr_expect_str_eq(saved_reason[0], i == 15 ? "target: NO other words" : "target: NO [AUTHENTICATIONFAILED] no");
		if (i == 1)
			cr_expect(said("LOGIN_RETRY m0: target: cannot log in as \"m0\" after 1 attempt: NO [AUTHENTICATIONFAILED] no; "
				"will try every 60 s for another 59 attempts before reporting failure") == 1);
		advance(60000);
	}
	/* 1, 10, 15 (new words), 16 (new words), 20, 30, 40, 50 */
	cr_expect(said("LOGIN_RETRY") == 8, "%u", said("LOGIN_RETRY"));
	cr_expect(said("after 50 attempts: NO [AUTHENTICATIONFAILED] no; will try every 60 s for another 10 attempts before") == 1);
	cr_expect(said("LOGIN_FAILED m0: failed to log in to the target mailbox with the address \"m0\" after 60 attempts: "
		"NO [AUTHENTICATIONFAILED] no") == 1);
	cr_expect(said("geheim") == 0);
	cr_expect(armed == SCHED_NEVER && get(0) == NULL && sched_waiting(s) == 0);
}

Test(daemon_sched, no_retries_are_one_attempt)
{
	limits.max_login_retries = 0;
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	refused(0);
	cr_expect(sched_state(s, 0) == MAILBOX_FAILED);
	cr_expect(said("after 1 attempt: ") == 1);
}

Test(daemon_sched, one_notice_when_it_works_again)
{
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	refused(0);
	advance(60000);
	refused(0);
	advance(60000);
	both_up(0);
	cr_expect(said("LOGIN_OK_AGAIN m0: logged in on both sides again after 2 failed attempts") == 1);
	done(0);
	cr_expect(said("LOGIN_OK_AGAIN") == 1);
	cr_expect(saved[0].attempts == 0 && saved[0].state == MAILBOX_SYNCED && saved[0].last_synced == clock_wall(NULL));
	cr_expect_str_eq(saved_reason[0], "");
}

Test(daemon_sched, no_more_dial_than_can_run_soon)
{
	make(SCHED_ONCE, 100);
	add(0, 60);
	go();
	cr_expect(live_n == 8 + 1 + 1);
	for (unsigned i = 0; i < 8; i++)
		both_up(i);
	cr_expect(running() == 8);
	cr_expect(live_n == 8 + 2, "two log in while eight copy");
	both_up(8);
	cr_expect(running() == 8 && live_n == 8 + 1 + 1, "one is ready, it counts as one of the two");
	both_up(9);
	cr_expect(running() == 8 && live_n == 10);
	done(0);
	cr_expect(get(8)->running, "the first that was ready");
	cr_expect(live_n == 10, "one ready, one more dials");
}

Test(daemon_sched, slow_logins_do_not_count)
{
	make(SCHED_ONCE, 100);
	add(0, 60);
	go();
	cr_expect(live_n == 10);
	advance(1999);
	cr_expect(live_n == 10);
	advance(1);
	turns();
	cr_expect(live_n == 20);
	advance(2000);
	turns();
	cr_expect(live_n == 30);
}

Test(daemon_sched, a_server_with_much_to_do_is_not_dialled_ever_more)
{
	unsigned n = 0;
	make(SCHED_ONCE, 100);
	add(0, 250);
	go();
	while (n < 20) {
		advance(10);
		both_up(n);
		done(n++);
		turns();
	}
	/* Now a second passes before anybody is logged in. Those who are late at first are thought to have a trouble of their own; then it shows. */
	for (unsigned second = 0; n < 200; second++) {
		advance(1000);
		turns();
		size_t dialling = live_n;
		if (second > 3)
			cr_expect(dialling <= 8 + 2, "%zu are being dialled in second %u", dialling, second);
		for (size_t i = 0; i < dialling; i++) {
			both_up(n);
			done(n++);
		}
		turns();
	}
}

Test(daemon_sched, where_all_logins_are_slow_nobody_is_hung_up_for_another)
{
	unsigned n = 0, before_it = 0;
	limits.max_mailboxes = 3;
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 12);
	sched_add_server(s, &endpoints[1], 4);
	sched_add_migration(s, "acme", 0, 1);
	add(0, 40);
	go();
	/* The target is quick, the source takes three seconds: more than login_grace. It must be seen first. */
	for (; n < 39; n++) {
		for (unsigned i = 0; i < 40; i++)
			if (get(i) != NULL && get(i)->dialled[TARGET] && !get(i)->up[TARGET])
				up(i, TARGET);
		if (n == 20)
			for (unsigned i = 0; i < 40; i++)
				before_it += dials[i];
		advance(1000);
		if (get(n)->dialled[SOURCE] && !get(n)->up[SOURCE])
			up(n, SOURCE);
		if (get(n) != NULL && get(n)->dialled[TARGET] && !get(n)->up[TARGET])
			up(n, TARGET);
		if (get(n) == NULL || !get(n)->running)
			break;
		done(n);
		turns();
	}
	cr_assert_eq(n, 39, "%u", n);
	unsigned after_it = 0;
	for (unsigned i = 0; i < 40; i++)
		after_it += dials[i];
	cr_expect(after_it - before_it <= 2 * 20, "%u dials for 20 mailboxes", after_it - before_it);
}

Test(daemon_sched, the_side_that_failed_is_tried_alone_until_it_works)
{
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	cr_expect(get(0)->dialled[SOURCE] && get(0)->dialled[TARGET]);
	refused(0);
	for (int i = 0; i < 3; i++) {
		advance(60000);
		cr_expect(get(0)->dialled[TARGET] && !get(0)->dialled[SOURCE]);
		cr_expect(sched_server(s, 0)->used == 0 && sched_server(s, 1)->used == 1);
		refused(0);
	}
	advance(60000);
	up(0, TARGET);
	cr_expect(get(0)->dialled[SOURCE], "then the other");
	fault(0, SOURCE, CONN_FAULT_LOGIN, "NO");
	advance(60000);
	cr_expect(get(0)->dialled[SOURCE] && !get(0)->dialled[TARGET]);
	both_up(0);
	cr_expect(get(0)->running);
	broken(0, RADIUS_CONNECTION, HEAL_TIME, true);
	cr_expect(get(0)->dialled[SOURCE] && get(0)->dialled[TARGET], "nothing is held against it");
	both_up(0);
	done(0);
	cr_expect(sched_server(s, 0)->used == 0 && sched_server(s, 1)->used == 0);
}

Test(daemon_sched, a_server_without_permits_blocks_only_its_own)
{
	make_mode(SCHED_ONCE);
	for (uint32_t i = 0; i < 3; i++)
		sched_add_server(s, &endpoints[i], i == 2 ? 50 : 2);
	sched_add_migration(s, "one", 0, 2);
	sched_add_migration(s, "two", 1, 2);
	add(0, 10);
	add(1, 4);
	go();
	cr_expect(live_n == 4);
	cr_expect(get(0) && get(1) && get(10) && get(11), "by turns");
	both_up(10);
	done(10);
	cr_expect(get(12) != NULL && get(2) == NULL);
}

Test(daemon_sched, a_server_on_both_sides_needs_two_permits)
{
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 3);
	sched_add_migration(s, "same", 0, 0);
	add(0, 3);
	go();
	cr_expect(live_n == 1 && sched_server(s, 0)->used == 2);
	both_up(0);
	done(0);
	cr_expect(get(1) != NULL && live_n == 1);
}

Test(daemon_sched, the_good_side_of_a_slow_login_is_lent_to_others)
{
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 5);
	sched_add_server(s, &endpoints[1], 1);
	sched_add_migration(s, "acme", 0, 1);
	add(0, 2);
	go();
	up(0, TARGET);
	advance(1999);
	cr_expect(get(1) == NULL && get(0)->up[TARGET]);
	advance(1);
	cr_assert(get(1) != NULL, "the target's only connection went to the next");
	cr_expect(!get(0)->dialled[TARGET] && get(0)->dialled[SOURCE]);
	up(0, SOURCE);
	cr_expect(!get(0)->dialled[TARGET], "it waits for the permit");
	both_up(1);
	cr_expect(get(1)->running);
	advance(100000);
	cr_expect(get(1)->running, "who runs is left alone");
	done(1);
	cr_expect(get(0)->dialled[TARGET]);
	up(0, TARGET);
	cr_expect(get(0)->running);
	done(0);
	cr_expect(in_state(MAILBOX_SYNCED) == 2);
	cr_expect(sched_server(s, 0)->used == 0 && sched_server(s, 1)->used == 0);
}

Test(daemon_sched, nothing_is_lent_when_it_helps_nobody)
{
	make(SCHED_ONCE, 1);
	add(0, 2);
	go();
	up(0, TARGET);
	advance(10000);
	cr_expect(get(0)->up[TARGET] && get(1) == NULL, "the source's only connection is taken, too");
}

Test(daemon_sched, one_who_waits_for_a_permit_and_fails_gives_all_back)
{
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 5);
	sched_add_server(s, &endpoints[1], 1);
	sched_add_migration(s, "acme", 0, 1);
	add(0, 2);
	go();
	up(0, TARGET);
	advance(2000);
	up(0, SOURCE);
	both_up(1);
	fault(0, SOURCE, CONN_FAULT_LOST, "closed");
	cr_expect(sched_server(s, 0)->used == 1);
	done(1);
	cr_expect(sched_server(s, 0)->used == 0 && sched_server(s, 1)->used == 0);
	cr_expect(sched_state(s, 0) == MAILBOX_PARKED);
}

Test(daemon_sched, a_break_with_progress_goes_on_at_once)
{
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	for (int i = 0; i < 5; i++) {
		both_up(0);
		broken(0, RADIUS_CONNECTION, HEAL_TIME, true);
		cr_assert(get(0) != NULL);
		cr_expect(saved[0].attempts == 0);
	}
	cr_expect(said("MAILBOX_BROKEN m0: source: the connection was lost: gone; goes on with a new one") == 5);
}

Test(daemon_sched, breaks_without_progress_are_counted_although_the_login_works)
{
	limits.max_login_retries = 3;
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	for (unsigned i = 1; i < 3; i++) {
		both_up(0);
		broken(0, RADIUS_CONNECTION, HEAL_TIME, false);
		cr_expect(sched_state(s, 0) == MAILBOX_PARKED && saved[0].attempts == i);
		advance(60000);
	}
	cr_expect(said("MAILBOX_BROKEN") == 1, "the same words are not said again");
	both_up(0);
	broken(0, RADIUS_MAILBOX, HEAL_TIME, true);
	cr_expect(sched_state(s, 0) == MAILBOX_FAILED);
	cr_expect(said("MAILBOX_FAILED m0: failed to work with the source mailbox with the address \"m0\" after 3 attempts: gone") == 1);
}

Test(daemon_sched, losing_the_connection_while_waiting_for_a_slot_is_no_login_trouble)
{
	limits.max_mailboxes = 1;
	make(SCHED_ONCE, 5);
	add(0, 2);
	go();
	both_up(0);
	both_up(1);
	fault(1, SOURCE, CONN_FAULT_LOST, "closed");
	cr_expect(said("cannot log in") == 0 && said("MAILBOX_BROKEN m1") == 1);
	cr_expect(sched_state(s, 1) == MAILBOX_PARKED);
}

Test(daemon_sched, a_person_is_waited_for)
{
	make(SCHED_DAEMON, 2);
	add(0, 2);
	go();
	both_up(0);
	broken(0, RADIUS_MAILBOX, HEAL_OPERATOR, true);
	cr_expect(sched_state(s, 0) == MAILBOX_HELD && said("MAILBOX_HELD m0: source: held, waits for a person: gone") == 1);
	cr_expect(saved[0].state == MAILBOX_HELD);
	both_up(1);
	broken(1, RADIUS_MAILBOX, HEAL_NEVER, true);
	cr_expect(sched_state(s, 1) == MAILBOX_FAILED && said("MAILBOX_FAILED m1: source: failed: gone") == 1);
	cr_expect(sched_waiting(s) == 0);
	advance(100000000);
	cr_expect(live_n == 0);
}

Test(daemon_sched, a_server_that_is_down_is_probed_by_one)
{
	limits.max_login_retries = 4;
	make(SCHED_ONCE, 5);
	add(0, 100);
	go();
	cr_expect(live_n == 5);
	fault(0, TARGET, CONN_FAULT_CONNECT, "connection refused");
	fault(1, TARGET, CONN_FAULT_CONNECT, "connection refused");
	cr_expect(live_n == 5);
	fault(2, TARGET, CONN_FAULT_CONNECT, "connection refused");
	cr_expect(said("SERVER_DOWN b: down, after 3 failures in a row: connection refused;") == 1);
	cr_expect(live_n == 4, "those that dial go on dialling");
	cr_expect(in_state(MAILBOX_PARKED) == 96, "the others are parked, %u", in_state(MAILBOX_PARKED));
	cr_expect(saved[99].attempts == 1 && saved[99].state == MAILBOX_PARKED);
	cr_expect_str_eq(saved_reason[99], "target: connection refused");
	cr_expect(said("LOGIN_RETRY") == 3, "the server's line speaks for all that were not dialled");
	while (live_n > 0)
		fault(number(live[0]->spec->name), TARGET, CONN_FAULT_CONNECT, "connection refused");
	cr_expect(said("SERVER_DOWN") == 1);
	advance(59999);
	cr_expect(live_n == 0);
	advance(1);
	cr_expect(live_n == 1, "one probes");
	advance(1000);
	cr_expect(live_n == 1);
	fault(number(live[0]->spec->name), TARGET, CONN_FAULT_CONNECT, "connection refused");
	cr_expect(live_n == 0 && in_state(MAILBOX_PARKED) == 100);
	cr_expect(saved[99].attempts == 2, "it counts for all that were due");
	advance(60000);
	cr_expect(live_n == 1);
	unsigned probe = number(live[0]->spec->name);
	up(probe, TARGET);
	cr_expect(said("SERVER_UP b: up again") == 1);
	cr_expect(live_n == 5, "all go on");
	lines_forget();
	refused(probe);
	cr_expect(said("LOGIN_RETRY m") == 1);
}

Test(daemon_sched, a_server_that_stays_down_fails_all_in_the_end)
{
	limits.max_login_retries = 4;
	make(SCHED_ONCE, 5);
	add(0, 50);
	go();
	for (int i = 0; i < 1000 && in_state(MAILBOX_FAILED) < 50; i++) {
		if (live_n > 0)
			fault(number(live[0]->spec->name), SOURCE, CONN_FAULT_RESOLVE, "no such host");
		else
			advance(1000);
	}
	cr_expect(in_state(MAILBOX_FAILED) == 50);
	cr_expect(said("LOGIN_FAILED") == 50);
	unsigned all = 0;
	for (int i = 0; i < 50; i++)
		all += dials[i];
	cr_expect(all <= 2 * (7 + 3), "a few dial at first, then one at a time: %u", all);
}

Test(daemon_sched, a_refused_login_is_a_success_of_the_server)
{
	make(SCHED_ONCE, 5);
	add(0, 10);
	go();
	fault(0, TARGET, CONN_FAULT_CONNECT, "x");
	fault(1, TARGET, CONN_FAULT_CONNECT, "x");
	refused(2);
	fault(3, TARGET, CONN_FAULT_CONNECT, "x");
	fault(4, TARGET, CONN_FAULT_CONNECT, "x");
	cr_expect(said("SERVER_DOWN") == 0);
	fault(5, TARGET, CONN_FAULT_CONNECT, "x");
	cr_expect(said("SERVER_DOWN") == 1);
}

/* An administrator logs in on the source. */
static void make_admin(uint32_t n)
{
	endpoints[0].admin_user = "mover";
	make(SCHED_ONCE, n);
}

static void admin_refused(unsigned n)
{
	fault(n, SOURCE, CONN_FAULT_LOGIN, "NO [AUTHENTICATIONFAILED] no");
}

Test(daemon_sched, an_administrator_who_is_refused_is_tried_by_one)
{
	limits.max_login_retries = 6;
	make_admin(5);
	add(0, 100);
	go();
	cr_expect(live_n == 1 && get(0) != NULL, "the others wait for what the first one meets");
	admin_refused(0);
	turns();
	cr_expect(live_n == 1 && get(99) != NULL, "it may be the user's trouble: one more is tried, of the other end of the list");
	cr_expect(said("ADMIN_REFUSED") == 0);
	admin_refused(99);
	cr_expect(said("ADMIN_REFUSED a: its administrator cannot log in: NO [AUTHENTICATIONFAILED] no;") == 1);
	turns();
	cr_expect(live_n == 0 && in_state(MAILBOX_PARKED) == 100);
	cr_expect(saved[50].attempts == 1);
	cr_expect_str_eq(saved_reason[50], "source: NO [AUTHENTICATIONFAILED] no");
	cr_expect(said("LOGIN_RETRY") == 2 && said("SERVER_DOWN") == 0);
	unsigned probes = 0;
	for (int i = 0; i < 3; i++) {
		advance(59999);
		cr_expect(live_n == 0);
		for (int ms = 0; ms < 500 && live_n == 0; ms++)
			advance(1);
		cr_assert(live_n == 1, "one probes");
		unsigned probe = number(live[0]->spec->name);
		cr_expect(probe != 0 && probe != 99 && dials[probe] == 1, "m%u was refused before", probe);
		admin_refused(probe);
		probes++;
	}
	cr_expect(said("ADMIN_REFUSED") == 1, "it is told once");
	advance(60000);
	turns();
	cr_assert(live_n == 1);
	unsigned probe = number(live[0]->spec->name);
	up(probe, SOURCE);
	turns();
	cr_expect(said("ADMIN_ACCEPTED a") == 1);
	cr_expect(live_n == 5, "all go on: %zu", live_n);
}

Test(daemon_sched, users_whom_nobody_may_act_for_stall_nobody)
{
	make_admin(5);
	add(0, 100);
	go();
	/* The first twenty are unknown there. */
	for (int i = 0; i < 10000 && in_state(MAILBOX_SYNCED) < 80; i++) {
		bool any = false;
		for (size_t k = 0; k < live_n && !any; k++) {
			unsigned n = number(live[k]->spec->name);
			any = true;
			if (live[k]->running)
				done(n);
			else if (live[k]->dialled[SOURCE] && !live[k]->up[SOURCE] && n < 20)
				admin_refused(n);
			else if (live[k]->dialled[SOURCE] && !live[k]->up[SOURCE])
				up(n, SOURCE);
			else if (live[k]->dialled[TARGET] && !live[k]->up[TARGET])
				up(n, TARGET);
			else
				any = false;
		}
		turns();
		cr_assert(any || live_n > 0 || armed <= now + 1, "they wait: %u synced", in_state(MAILBOX_SYNCED));
		if (!any)
			advance(1);
	}
	cr_expect(in_state(MAILBOX_SYNCED) == 80);
	cr_expect(now < limits.login_retry_interval, "no interval is waited for: %llu ms", (unsigned long long)now);
}

Test(daemon_sched, an_administrator_who_may_not_act_for_one_user_is_not_refused)
{
	make_admin(5);
	add(0, 10);
	go();
	struct outcome o = { .radius = RADIUS_CONNECTION, .heal = HEAL_TIME, .at = AT_LOGIN, .side = SOURCE, .fault = CONN_FAULT_LOGIN,
		.code = CODE_AUTHORIZATIONFAILED, .text = "NO [AUTHORIZATIONFAILED] not for him" };
	end(0, &o);
	turns();
	cr_expect(live_n == 5, "his password is right: %zu", live_n);
	cr_expect(said("ADMIN_REFUSED") == 0);
}

Test(daemon_sched, unanswered_logins_are_not_the_servers_trouble_while_others_are_logged_in)
{
	make(SCHED_ONCE, 8);
	add(0, 20);
	go();
	both_up(0);
	greeted = true;
	for (unsigned i = 1; i < 6; i++)
		fault(i, SOURCE, CONN_FAULT_TIMEOUT, "no answer to the login");
	cr_expect(said("SERVER_DOWN") == 0);
	done(0);
	for (unsigned i = 6; i < 9; i++)
		fault(i, SOURCE, CONN_FAULT_TIMEOUT, "no answer to the login");
	cr_expect(said("SERVER_DOWN") == 1);
}

Test(daemon_sched, a_server_that_does_not_greet_is_down_whoever_is_logged_in)
{
	make(SCHED_ONCE, 8);
	add(0, 20);
	go();
	both_up(0);
	for (unsigned i = 1; i < 4; i++)
		fault(i, SOURCE, CONN_FAULT_TIMEOUT, "no greeting");
	cr_expect(said("SERVER_DOWN") == 1);
}

Test(daemon_sched, no_descriptor_left_is_not_the_servers_trouble)
{
	make(SCHED_ONCE, 8);
	add(0, 20);
	go();
	for (unsigned i = 0; i < 6; i++)
		fault(i, SOURCE, CONN_FAULT_FILES, "Too many open files");
	cr_expect(said("SERVER_DOWN") == 0);
}

Test(daemon_sched, the_probe_of_a_server_on_both_sides_ends_with_either)
{
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 20);
	sched_add_migration(s, "same", 0, 0);
	add(0, 10);
	go();
	for (unsigned i = 0; i < 3; i++)
		fault(i, TARGET, CONN_FAULT_CONNECT, "x");
	while (live_n > 0)
		fault(number(live[0]->spec->name), TARGET, CONN_FAULT_CONNECT, "x");
	advance(60000);
	cr_expect(live_n == 1);
	fault(number(live[0]->spec->name), TARGET, CONN_FAULT_CONNECT, "x");
	cr_expect(live_n == 0, "the next interval has begun");
}

Test(daemon_sched, what_the_ledger_knows_goes_on)
{
	limits.max_login_retries = 5;
	make(SCHED_ONCE, 20);
	add(0, 6);
	int64_t wall = clock_wall(NULL);
	struct ledger_mailbox row = { .id = 0, .state = MAILBOX_PARKED, .attempts = 4, .next_attempt = wall + 30000,
		.reason = "target: NO" };
	sched_restore(s, 0, &row);
	row.id = 1;
	row.next_attempt = wall - 5;
	sched_restore(s, 1, &row);
	row = (struct ledger_mailbox){ .id = 2, .state = MAILBOX_FAILED, .attempts = 60, .reason = "x" };
	sched_restore(s, 2, &row);
	row = (struct ledger_mailbox){ .id = 3, .state = MAILBOX_HELD, .reason = "x" };
	sched_restore(s, 3, &row);
	row = (struct ledger_mailbox){ .id = 4, .state = MAILBOX_DONE, .reason = "" };
	sched_restore(s, 4, &row);
	row = (struct ledger_mailbox){ .id = 5, .state = MAILBOX_RUNNING, .reason = "" };
	sched_restore(s, 5, &row);
	go();
	cr_expect(get(0) == NULL && get(1) && get(2) && get(3) && get(4) == NULL && get(5));
	refused(1);
	cr_expect(sched_state(s, 1) == MAILBOX_FAILED, "the fifth attempt");
	refused(2);
	cr_expect(sched_state(s, 2) == MAILBOX_PARKED && saved[2].attempts == 1, "anew");
	advance(29999);
	cr_expect(get(0) == NULL);
	advance(1);
	cr_expect(get(0) != NULL);
}

Test(daemon_sched, a_wait_beyond_the_interval_is_cut)
{
	make(SCHED_ONCE, 20);
	add(0, 1);
	struct ledger_mailbox row = { .state = MAILBOX_PARKED, .attempts = 4, .next_attempt = clock_wall(NULL) + 86400000,
		.reason = "target: NO" };
	sched_restore(s, 0, &row);
	go();
	advance(60000);
	cr_expect(get(0) != NULL);
}

Test(daemon_sched, the_daemon_tries_failed_ones_once_after_a_start)
{
	make(SCHED_DAEMON, 20);
	add(0, 2);
	struct ledger_mailbox row = { .state = MAILBOX_FAILED, .attempts = 60, .reason = "target: NO" };
	sched_restore(s, 0, &row);
	row = (struct ledger_mailbox){ .id = 1, .state = MAILBOX_SYNCED, .last_synced = clock_wall(NULL) - 3590000, .reason = "" };
	sched_restore(s, 1, &row);
	go();
	refused(0);
	cr_expect(sched_state(s, 0) == MAILBOX_FAILED);
	cr_expect(get(1) == NULL);
	advance(10000);
	cr_expect(get(1) != NULL, "its next pass is due");
}

Test(daemon_sched, the_daemon_passes_again)
{
	make(SCHED_DAEMON, 2);
	add(0, 1);
	go();
	for (int i = 0; i < 3; i++) {
		both_up(0);
		done(0);
		cr_expect(sched_state(s, 0) == MAILBOX_SYNCED);
		advance(3599999);
		cr_expect(get(0) == NULL);
		advance(1);
		cr_assert(get(0) != NULL);
	}
}

Test(daemon_sched, counts_are_added_up)
{
	make(SCHED_ONCE, 2);
	add(0, 1);
	go();
	both_up(0);
	get(0)->progress = (struct mailbox_progress){ .copied = 3, .bytes_copied = 100, .adopted = 1, .any = true };
	cr_expect(sched_progress(s, 0)->copied == 3);
	struct outcome o = { .radius = RADIUS_CONNECTION, .heal = HEAL_TIME, .at = AT_WORK, .text = "gone" };
	end(0, &o);
	cr_expect(sched_progress(s, 0) == NULL);
	both_up(0);
	get(0)->progress = (struct mailbox_progress){ .copied = 4, .bytes_copied = 10, .left_out = 2, .folders_left_out = 1 };
	done(0);
	const struct sched_counts *c = sched_counts(s, 0);
	cr_expect(c->copied == 7 && c->bytes == 110 && c->adopted == 1 && c->left_out == 2 && c->folders_left_out == 1);
	cr_expect(c->mailboxes == 1 && c->state[MAILBOX_SYNCED] == 1 && c->state[MAILBOX_QUEUED] == 0 &&
		c->state[MAILBOX_RUNNING] == 0);
	cr_expect_str_eq(sched_reason(s, 0), "2 messages and 1 folders were left out");
}

Test(daemon_sched, a_stop_lets_what_runs_come_to_an_end)
{
	make(SCHED_DAEMON, 20);
	add(0, 30);
	go();
	both_up(0);
	both_up(1);
	sched_stop(s, false);
	advance(0);
	cr_expect(get(0)->stopped && !get(0)->stopped_now && get(5)->stopped);
	struct outcome o = { .radius = RADIUS_CONNECTION, .heal = HEAL_TIME, .text = "stopped" };
	size_t n = live_n;
	for (unsigned i = 2; live_n > 2; i++)
		end(i, &o);
	cr_expect(n > 2 && live_n == 2, "nothing starts");
	cr_expect(saved[2].attempts == 0 && saved[2].state == MAILBOX_QUEUED, "a stop is no failed attempt");
	done(0);
	cr_expect(saved[0].state == MAILBOX_SYNCED);
	cr_expect(events[SCHED_STOPPED] == 0);
	advance(9999);
	cr_expect(!get(1)->stopped_now);
	advance(1);
	cr_expect(get(1)->stopped_now);
	end(1, &o);
	cr_expect(events[SCHED_STOPPED] == 1);
	cr_expect(saved[1].state == MAILBOX_QUEUED);
	advance(100000000);
	cr_expect(live_n == 0 && events[SCHED_STOPPED] == 1);
}

Test(daemon_sched, a_second_stop_is_at_once)
{
	make(SCHED_DAEMON, 20);
	add(0, 1);
	go();
	both_up(0);
	sched_stop(s, false);
	advance(10);
	sched_stop(s, true);
	advance(0);
	cr_expect(get(0)->stopped_now);
}

Test(daemon_sched, it_may_be_stopped_from_within_its_events)
{
	make(SCHED_ONCE, 20);
	add(0, 1);
	stop_when_idle = true;
	go();
	both_up(0);
	done(0);
	advance(0);
	cr_expect(events[SCHED_STOPPED] == 1);
}

Test(daemon_sched, without_mailboxes_it_is_idle)
{
	make(SCHED_ONCE, 20);
	stop_when_idle = true;
	go();
	advance(0);
	cr_expect(events[SCHED_IDLE] == 1 && events[SCHED_STOPPED] == 1);
}

Test(daemon_sched, a_mailbox_that_meets_a_dead_ledger_ends_the_run)
{
	make(SCHED_ONCE, 20);
	add(0, 3);
	go();
	both_up(0);
	both_up(1);
	broken(0, RADIUS_RUN, HEAL_OPERATOR, true);
	cr_expect(events[SCHED_BROKEN] == 1);
	cr_expect_str_eq(last_words, "gone");
	advance(0);
	cr_expect(get(1)->stopped_now && get(2)->stopped_now);
	struct outcome o = { .radius = RADIUS_RUN, .heal = HEAL_OPERATOR, .text = "gone" };
	end(1, &o);
	end(2, &o);
	cr_expect(events[SCHED_BROKEN] == 1 && events[SCHED_STOPPED] == 1);
}

Test(daemon_sched, a_row_that_cannot_be_saved_ends_the_run)
{
	make(SCHED_ONCE, 20);
	add(0, 2);
	go();
	both_up(0);
	cr_assert(save_done != NULL);
	save_done(save_arg, LEDGER_FAILED);
	cr_expect(events[SCHED_BROKEN] == 1);
	cr_expect_str_eq(last_words, "disk full");
	advance(0);
	cr_expect(get(0)->stopped_now);
}

Test(daemon_sched, rows_wait_while_others_are_being_saved_and_are_saved_once)
{
	save_hold = true;
	make(SCHED_DAEMON, 20);
	add(0, 3);
	limits.max_login_retries = 60;
	go();
	refused(0);
	cr_expect_eq(saves, 1);
	cr_expect_eq(saved[0].state, MAILBOX_PARKED);
	for (int i = 0; i < 10; i++) {
		advance(limits.login_retry_interval);
		refused(0);
	}
	refused(1);
	cr_expect_eq(saves, 1, "%u", saves);
	/* What has changed meanwhile goes in one call. */
	save_hold = false;
	save_done(save_arg, LEDGER_OK);
	cr_expect_eq(saves, 2, "%u", saves);
	cr_expect_eq(saved[0].attempts, 11);
	cr_expect_eq(saved[1].state, MAILBOX_PARKED);
	save_done(save_arg, LEDGER_OK);
	cr_expect_eq(saves, 2);
}

Test(daemon_sched, at_the_end_rows_do_not_wait)
{
	save_hold = true;
	make(SCHED_ONCE, 20);
	add(0, 2);
	go();
	both_up(0);
	both_up(1);
	done(0);
	sched_stop(s, true);
	advance(0);
	done(1);
	cr_expect_eq(events[SCHED_STOPPED], 1);
	cr_expect(saved[0].state == MAILBOX_SYNCED && saved[1].state == MAILBOX_SYNCED);
}

Test(daemon_sched, one_turn_starts_a_few_and_the_next_one_follows_soon)
{
	limits.max_mailboxes = 200;
	make(SCHED_ONCE, 200);
	add(0, 60);
	sched_start(s);
	sched_tick(s);
	size_t first = live_n;
	cr_expect(first >= 1 && first < 60, "%zu", first);
	cr_expect_eq(armed, now + 1);
	advance(60);
	cr_expect_eq(live_n, 60);
}

Test(daemon_sched, logins_wait_for_the_window_of_the_server)
{
	limits.max_mailboxes = 200;
	make(SCHED_ONCE, 200);
	add(0, 150);
	go();
	cr_expect_eq(live_n, LOGINS_FIRST);
	up(0, SOURCE);
	cr_expect_eq(live_n, LOGINS_FIRST, "the other side is still under way");
	/* One of both is over, and it was quick. */
	up(0, TARGET);
	cr_expect_eq(live_n, LOGINS_FIRST + 2);
	refused(1);
	cr_expect_eq(live_n, LOGINS_FIRST + 2, "the next one, for the one that is gone");
	/* Those that take long do not count. */
	advance(limits.login_grace);
	cr_expect_gt(live_n, LOGINS_FIRST + 32);
}

Test(daemon_sched, one_that_is_over_is_not_made_to_give_its_other_side)
{
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 2);
	sched_add_server(s, &endpoints[1], 1);
	sched_add_migration(s, "acme", 0, 1);
	add(0, 2);
	go();
	cr_assert(get(0) != NULL && get(1) == NULL);
	up(0, TARGET);
	/* Its source has failed; that is told in the next turn of the loop. A turn of the sched comes first. */
	get(0)->over = true;
	advance(limits.login_grace);
	cr_expect_null(get(1));
	fault(0, SOURCE, CONN_FAULT_TIMEOUT, "no answer");
	advance(0);
	cr_expect_not_null(get(1));
}

Test(daemon_sched, a_check_makes_one_attempt_and_saves_nothing)
{
	env.ledger = NULL;
	make(SCHED_CHECK, 3);
	add(0, 10);
	go();
	cr_expect(live_n == 3 && live[0]->spec->job == JOB_CHECK);
	for (unsigned i = 0; i < 9; i++)
		fault(i, SOURCE, CONN_FAULT_CONNECT, "connection refused");
	cr_expect(said("SERVER_DOWN") == 0 && said("LOGIN") == 0);
	cr_expect(dials[8] == 2, "each is tried");
	end(9, &(struct outcome){ .radius = RADIUS_NONE });
	cr_expect(in_state(MAILBOX_FAILED) == 9 && in_state(MAILBOX_SYNCED) == 1);
	cr_expect(save_done == NULL && sched_waiting(s) == 0);
	cr_expect(events[SCHED_IDLE] == 1);
}

/* Ten thousand turns of whatever happens: the fake counts the connections, the end must come. */
static void wants(unsigned n, unsigned lanes)
{
	struct mailbox *m = get(n);
	m->wanted = lanes;
	m->funnel(m->owner, &(struct mailbox_event){ .kind = MAILBOX_LANES });
}

static void several(uint32_t source, uint32_t target)
{
	sched_set_per_mailbox(s, 0, source);
	sched_set_per_mailbox(s, 1, target);
}

Test(daemon_sched, further_connections_are_given_by_turns_and_never_the_last_ones)
{
	make(SCHED_ONCE, 10);
	several(8, 8);
	add(0, 2);
	go();
	both_up(0);
	both_up(1);
	wants(0, 8);
	cr_expect_eq(get(0)->lanes, 7, "nobody else wants any: %u", get(0)->lanes);
	cr_expect_eq(sched_server(s, 0)->used, 9);
	wants(1, 8);
	cr_expect_eq(get(1)->lanes, 0, "one of ten stays free");
	done(0);
	cr_expect_eq(get(1)->lanes, 7, "what is given back is given on: %u", get(1)->lanes);
	done(1);
	cr_expect_eq(sched_server(s, 0)->used, 0);
	cr_expect_eq(sched_server(s, 1)->used, 0);
}

Test(daemon_sched, further_connections_are_as_many_as_both_servers_allow)
{
	make(SCHED_ONCE, 20);
	several(4, 2);
	add(0, 1);
	go();
	both_up(0);
	wants(0, 16);
	cr_expect_eq(get(0)->lanes, 1);
	done(0);
}

Test(daemon_sched, further_connections_come_after_those_who_wait)
{
	limits.max_mailboxes = 1;
	make(SCHED_ONCE, 20);
	several(4, 4);
	add(0, 9);
	go();
	both_up(0);
	wants(0, 4);
	cr_expect_eq(get(0)->lanes, 0, "mailboxes are queued");
	cr_expect_gt(sched_counts(s, 0)->state[MAILBOX_QUEUED], 0);
}

/* One of those that were asked back is closed. */
static void left(struct mailbox *m)
{
	struct outcome o = { .radius = RADIUS_NONE };
	m->lanes--;
	m->leaving--;
	m->funnel(m->owner, &(struct mailbox_event){ .kind = MAILBOX_LANE_GONE, .outcome = &o });
}

Test(daemon_sched, further_connections_are_asked_back_for_those_who_wait)
{
	limits.max_mailboxes = 9;
	make(SCHED_ONCE, 10);
	several(8, 8);
	add(0, 5);
	go();
	for (unsigned i = 1; i < 5; i++)
		refused(i);
	both_up(0);
	wants(0, 8);
	struct mailbox *m = get(0);
	cr_expect_eq(m->lanes, 7);
	advance(limits.login_retry_interval); /* two find a permit, two do not */
	cr_expect_eq(live_n, 3);
	cr_expect_eq(m->leaving, 2, "one for each who waits: %u", m->leaving);
	advance(1000);
	cr_expect_eq(m->leaving, 2, "and not again: %u", m->leaving);
	left(m);
	cr_expect_eq(live_n, 4);
	cr_expect_eq(m->lanes, 6, "nothing is given while somebody waits");
	left(m);
	cr_expect_eq(live_n, 5);
	cr_expect_eq(m->leaving, 0);
	for (unsigned i = 1; i < 5; i++) {
		both_up(i);
		done(i);
	}
	cr_expect_gt(m->lanes, 5, "given once more: %u", m->lanes);
	done(0);
	cr_expect_eq(sched_server(s, 0)->used, 0);
	cr_expect_eq(sched_server(s, 1)->used, 0);
}

Test(daemon_sched, further_connections_are_kept_when_others_wait_for_a_slot)
{
	limits.max_mailboxes = 2;
	make(SCHED_ONCE, 40);
	several(8, 8);
	add(0, 6);
	go();
	for (unsigned i = 1; i < 6; i++)
		refused(i);
	both_up(0);
	wants(0, 8);
	cr_expect_eq(get(0)->lanes, 7);
	advance(limits.login_retry_interval);
	cr_expect_gt(sched_counts(s, 0)->state[MAILBOX_QUEUED], 0);
	cr_expect_eq(get(0)->leaving, 0, "they would not help");
}

Test(daemon_sched, further_connections_log_in_by_the_window)
{
	unsigned lanes = 0;
	make(SCHED_ONCE, 250);
	several(16, 16);
	add(0, 8);
	go();
	for (unsigned n = 0; n < 8; n++)
		both_up(n);
	for (unsigned n = 0; n < 8; n++)
		wants(n, 16);
	for (unsigned n = 0; n < 8; n++)
		lanes += get(n)->lanes;
	cr_expect_eq(lanes, LOGINS_FIRST);
	for (unsigned n = 0; n < 8; n++)
		for (unsigned i = get(n)->lanes; i > 0; i--)
			get(n)->funnel(get(n)->owner, &(struct mailbox_event){ .kind = MAILBOX_LANE_DIALLED });
	for (unsigned n = lanes = 0; n < 8; n++)
		lanes += get(n)->lanes;
	cr_expect_eq(lanes, 8 * 15, "%u", lanes);
	for (unsigned n = 0; n < 8; n++)
		done(n);
	cr_expect(sched_server(s, 0)->logins == 0 && sched_server(s, 1)->logins == 0 && sched_server(s, 0)->used == 0);
}

Test(daemon_sched, a_refused_further_connection_gives_its_permits_back)
{
	make(SCHED_ONCE, 20);
	several(3, 3);
	add(0, 1);
	go();
	both_up(0);
	wants(0, 3);
	struct mailbox *m = get(0);
	cr_expect_eq(m->lanes, 2);
	struct outcome o = { .radius = RADIUS_CONNECTION, .heal = HEAL_TIME, .at = AT_LOGIN, .side = TARGET, .text = "too many" };
	m->lanes--;
	m->wanted = 0;
	m->funnel(m->owner, &(struct mailbox_event){ .kind = MAILBOX_LANE_GONE, .outcome = &o });
	cr_expect_eq(sched_server(s, 0)->used, 2);
	cr_expect_eq(sched_server(s, 1)->used, 2);
	cr_expect_eq(said("LANES_REFUSED m0: target: no further connection: too many; it goes on with 2"), 1);
	cr_expect_eq(sched_server(s, 1)->failures, 0, "the server is not blamed");
	done(0);
	cr_expect_eq(sched_server(s, 0)->used, 0);
}

Test(daemon_sched, a_mailbox_that_broke_with_several_connections_goes_on_with_one)
{
	make(SCHED_ONCE, 20);
	several(3, 3);
	add(0, 1);
	go();
	both_up(0);
	wants(0, 3);
	cr_expect_eq(get(0)->lanes, 2);
	broken(0, RADIUS_CONNECTION, HEAL_TIME, true);
	both_up(0);
	wants(0, 3);
	cr_expect_eq(get(0)->lanes, 0);
	done(0);
	cr_expect_eq(sched_server(s, 1)->used, 0);
}

Test(daemon_sched, whatever_happens_permits_and_slots_come_back)
{
	limits.max_mailboxes = 3;
	limits.max_login_retries = 50;
	limits.login_retry_interval = 3000;
	make_mode(SCHED_ONCE);
	sched_add_server(s, &endpoints[0], 3);
	sched_add_server(s, &endpoints[1], 2);
	sched_add_server(s, &endpoints[2], 4);
	sched_add_migration(s, "one", 0, 1);
	sched_add_migration(s, "two", 1, 0);
	sched_add_migration(s, "three", 1, 2);
	sched_add_migration(s, "four", 2, 2);
	several(2, 2);
	sched_set_per_mailbox(s, 2, 2);
	for (uint32_t i = 0; i < 4; i++)
		add(i, 50);
	go();
	uint32_t x = 12345;
	unsigned turn = 0;
	for (; turn < 200000 && (live_n > 0 || sched_waiting(s) > 0); turn++) {
		x = x * 1664525 + 1013904223;
		uint32_t dice = x >> 16;
		lines_forget();
		cr_assert(running() <= 3);
		if (live_n == 0 || dice % 4 == 0) {
			advance(dice % 2500);
			continue;
		}
		struct mailbox *m = live[dice % live_n];
		unsigned n = number(m->spec->name);
		enum side side = dice & 64 ? SOURCE : TARGET;
		if (m->running && m->leaving > 0 && dice % 8 == 3)
			left(m);
		else if (m->running && m->wanted == 0 && dice % 8 == 4)
			wants(n, 2);
		else if (m->running && dice % 8 == 1)
			broken(n, RADIUS_CONNECTION, HEAL_TIME, dice & 128);
		else if (m->running)
			done(n);
		else if (m->dialled[side] && !m->up[side] && dice % 8 == 2)
			fault(n, side, dice & 128 ? CONN_FAULT_CONNECT : CONN_FAULT_LOGIN, "no");
		else if (m->dialled[side] && !m->up[side])
			up(n, side);
	}
	cr_expect(live_n == 0 && sched_waiting(s) == 0, "%u turns", turn);
	for (uint32_t i = 0; i < 3; i++)
		cr_expect(sched_server(s, i)->used == 0);
	for (uint32_t i = 0; i < 4; i++) {
		const struct sched_counts *c = sched_counts(s, i);
		cr_expect(c->state[MAILBOX_SYNCED] + c->state[MAILBOX_FAILED] == 50 && c->state[MAILBOX_SYNCED] > 0);
	}
}

/* What the operator asks for. */

static const char *words;
static enum sched_effect effect;

static bool order(uint32_t n, enum sched_order o)
{
	cr_assert(sched_takes_orders(s));
	effect = sched_order(s, n, o, &words);
	sched_tick(s);
	turns();
	return effect == SCHED_CHANGED;
}

#define unfit(n, o)                                                                                                    \
	do {                                                                                                           \
		cr_expect_not(order(n, o));                                                                            \
		cr_expect(effect == SCHED_UNFIT && words == NULL);                                                     \
	} while (0)
#define already(n, o, why)                                                                                             \
	do {                                                                                                           \
		cr_expect_not(order(n, o));                                                                            \
		cr_expect_eq(effect, SCHED_ALREADY);                                                                   \
		cr_expect_str_eq(words, why);                                                                          \
	} while (0)

/* As a sched would do that is started on what this one has saved. */
static void restart(enum sched_mode mode, unsigned n)
{
	struct ledger_mailbox rows[MAX];
	static char reasons[MAX][600];
	memcpy(rows, saved, sizeof(rows));
	memcpy(reasons, saved_reason, sizeof(reasons));
	sched_free(&s);
	lines_forget();
	make(mode, 4);
	add(0, n);
	for (unsigned i = 0; i < n; i++) {
		rows[i].reason = reasons[i];
		sched_restore(s, i, &rows[i]);
	}
	go();
}

Test(daemon_sched, a_paused_mailbox_is_held_wherever_it_waited)
{
	limits.max_mailboxes = 1;
	make(SCHED_DAEMON, 1);
	add(0, 5);
	go();
	both_up(0);
	done(0); /* synced */
	refused(1); /* parked */
	both_up(2);
	cr_assert(get(2)->running && get(3) == NULL && get(4) == NULL);
	cr_expect(order(0, SCHED_PAUSE) && order(1, SCHED_PAUSE) && order(3, SCHED_PAUSE));
	cr_expect_str_eq(words, "paused");
	cr_expect(in_state(MAILBOX_HELD) == 3 && sched_counts(s, 0)->paused == 3);
	cr_expect(said("MAILBOX_PAUSED m3: paused by the operator") == 1);
	already(3, SCHED_PAUSE, "paused already");
	unfit(3, SCHED_RETRY);
	done(2);
	cr_expect(get(4) != NULL && get(3) == NULL, "who was behind a paused one comes next");
	both_up(4);
	done(4);
	advance(3 * limits.pass_interval);
	cr_expect(dials[0] == 2 && dials[1] == 2 && dials[3] == 0, "no pass for who is paused");
	cr_expect(saved[3].state == MAILBOX_HELD && saved[3].paused && !saved[3].finishing);
	cr_expect_str_eq(saved_reason[3], "paused by the operator");
	cr_expect_str_eq(saved_reason[1], "paused by the operator");
}

Test(daemon_sched, resumed_mailboxes_go_back_to_the_queue)
{
	limits.max_login_retries = 1;
	make(SCHED_DAEMON, 4);
	add(0, 3);
	go();
	refused(0);
	both_up(1);
	broken(1, RADIUS_MAILBOX, HEAL_OPERATOR, false);
	both_up(2);
	done(2);
	cr_assert(sched_state(s, 0) == MAILBOX_FAILED && sched_state(s, 1) == MAILBOX_HELD);
	unfit(0, SCHED_RESUME);
	unfit(2, SCHED_RESUME);
	cr_expect(order(0, SCHED_PAUSE));
	cr_expect_str_eq(sched_reason(s, 0), "paused by the operator; failed before: target: NO [AUTHENTICATIONFAILED] no");
	cr_expect(order(0, SCHED_RESUME));
	cr_expect_str_eq(words, "queued");
	cr_expect(get(0) != NULL && sched_counts(s, 0)->paused == 0 && saved[0].attempts == 0 && !saved[0].paused);
	cr_expect(order(1, SCHED_RESUME), "a person has done what it waited for");
	cr_expect(get(1) != NULL);
	unfit(1, SCHED_RESUME);
}

Test(daemon_sched, a_running_mailbox_is_stopped_then_held)
{
	make(SCHED_DAEMON, 4);
	add(0, 3);
	go();
	both_up(0);
	cr_expect(order(0, SCHED_PAUSE) && order(1, SCHED_PAUSE));
	cr_expect_str_eq(words, "being stopped, then paused");
	cr_expect(get(0)->stopped && !get(0)->stopped_now && get(1)->stopped && !get(2)->stopped);
	cr_expect(saved[0].state == MAILBOX_RUNNING && saved[0].paused, "it is durable before it has stopped");
	already(0, SCHED_PAUSE, "paused already");
	advance(limits.shutdown_timeout - 1);
	cr_expect_not(get(0)->stopped_now);
	advance(1);
	cr_expect(get(0)->stopped_now && get(1)->stopped_now && !get(2)->stopped);
	broken(0, RADIUS_CONNECTION, HEAL_TIME, true);
	fault(1, SOURCE, CONN_FAULT_RESOLVE, "stopped");
	cr_expect(in_state(MAILBOX_HELD) == 2 && sched_server(s, 0)->failures == 0, "a stop is no trouble of the server");
	cr_expect(sched_server(s, 0)->used == 1 && sched_server(s, 1)->used == 1);
	restart(SCHED_DAEMON, 3);
	cr_expect(in_state(MAILBOX_HELD) == 2 && get(0) == NULL && get(1) == NULL && get(2) != NULL);
	cr_expect(order(0, SCHED_RESUME) && get(0) != NULL);
}

Test(daemon_sched, what_was_killed_while_it_was_being_paused_is_held)
{
	make(SCHED_DAEMON, 4);
	add(0, 1);
	go();
	both_up(0);
	order(0, SCHED_PAUSE);
	for (int i = 0; i < 2; i++) {
		restart(i == 0 ? SCHED_DAEMON : SCHED_ONCE, 1);
		cr_expect(sched_state(s, 0) == MAILBOX_HELD && get(0) == NULL && sched_counts(s, 0)->paused == 1);
		cr_expect_str_eq(sched_reason(s, 0), "paused by the operator");
	}
}

Test(daemon_sched, resumed_before_it_has_stopped)
{
	make(SCHED_DAEMON, 4);
	add(0, 1);
	go();
	both_up(0);
	order(0, SCHED_PAUSE);
	cr_expect(order(0, SCHED_RESUME));
	cr_expect_str_eq(words, "goes on when it has been stopped");
	broken(0, RADIUS_CONNECTION, HEAL_TIME, false);
	cr_expect(get(0) != NULL && sched_state(s, 0) == MAILBOX_QUEUED && saved[0].attempts == 0);
	both_up(0);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_SYNCED);
}

Test(daemon_sched, a_pass_that_was_complete_all_the_same)
{
	make(SCHED_DAEMON, 4);
	add(0, 1);
	go();
	both_up(0);
	order(0, SCHED_PAUSE);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_HELD && saved[0].last_synced != 0 && sched_waiting(s) == 0);
}

Test(daemon_sched, parked_held_and_failed_ones_are_tried_now)
{
	limits.max_login_retries = 2;
	make(SCHED_DAEMON, 4);
	add(0, 3);
	go();
	refused(0);
	refused(1);
	advance(60000);
	refused(1);
	cr_assert(sched_state(s, 1) == MAILBOX_FAILED && get(0) != NULL);
	refused(0);
	both_up(2);
	unfit(2, SCHED_RETRY);
	done(2);
	unfit(2, SCHED_RETRY);
	cr_expect(order(0, SCHED_RETRY) && order(1, SCHED_RETRY));
	cr_expect_str_eq(words, "tried now");
	refused(0);
	cr_expect(sched_state(s, 0) == MAILBOX_PARKED && saved[0].attempts == 1, "attempts begin anew");
	cr_expect(order(0, SCHED_RETRY) && get(0) != NULL && sched_waiting(s) == 1, "not at its time");
	both_up(0);
	both_up(1);
	done(0);
	done(1);
	cr_expect(in_state(MAILBOX_SYNCED) == 3 && sched_waiting(s) == 3);
}

Test(daemon_sched, a_server_that_is_down_is_probed_when_the_operator_asks)
{
	make(SCHED_DAEMON, 4);
	add(0, 5);
	go();
	for (unsigned i = 0; i < 3; i++)
		fault(i, TARGET, CONN_FAULT_CONNECT, "connection refused");
	cr_assert(sched_server(s, 1)->down && in_state(MAILBOX_PARKED) >= 3);
	fault(3, TARGET, CONN_FAULT_CONNECT, "connection refused");
	unsigned before_it = dials[1];
	order(1, SCHED_RETRY);
	order(2, SCHED_RETRY);
	cr_expect(dials[1] == before_it + 1 && get(1)->dialled[TARGET] && get(2) == NULL, "one of them probes");
	both_up(1);
	cr_expect(get(2) != NULL && !sched_server(s, 1)->down);
}

Test(daemon_sched, who_held_deletions_back_is_not_done)
{
	make(SCHED_DAEMON, 4);
	add(0, 1);
	go();
	both_up(0);
	done(0);
	cr_expect(order(0, SCHED_FINISH));
	both_up(0);
	get(0)->progress.deletions_held = 12;
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_SYNCED && saved[0].finishing);
	cr_expect_str_eq(saved_reason[0], "12 deletions were held back; not done, a last pass is due");
}

Test(daemon_sched, a_finishing_mailbox_is_done_after_its_last_pass)
{
	make(SCHED_DAEMON, 4);
	add(0, 2);
	go();
	both_up(0);
	done(0);
	cr_expect(order(0, SCHED_FINISH));
	cr_expect_str_eq(words, "a last pass, then done");
	cr_expect(saved[0].finishing && get(0) != NULL, "not at its time");
	already(0, SCHED_FINISH, "a last pass is due already");
	both_up(0);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_DONE && saved[0].state == MAILBOX_DONE && !saved[0].finishing);
	cr_expect_str_eq(saved_reason[0], "its last pass left nothing out");
	cr_expect(said("MAILBOX_DONE m0: done: no more passes will come") == 1);
	already(0, SCHED_FINISH, "done already");
	unfit(0, SCHED_PAUSE);
	unfit(0, SCHED_RETRY);
	advance(3 * limits.pass_interval);
	cr_expect(get(0) == NULL);
	restart(SCHED_ONCE, 2);
	cr_expect(get(0) == NULL && get(1) != NULL);
	restart(SCHED_DAEMON, 2);
	cr_expect(get(0) == NULL && order(0, SCHED_RESUME) && get(0) != NULL);
	cr_expect_str_eq(words, "queued: passes are made again, it is not done");
	both_up(0);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_SYNCED);
}

Test(daemon_sched, a_pass_that_had_begun_is_not_the_last_one)
{
	make(SCHED_DAEMON, 4);
	add(0, 2);
	go();
	both_up(0);
	order(0, SCHED_FINISH);
	cr_expect_str_eq(words, "running: one more pass, then done");
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_QUEUED && get(0) != NULL);
	cr_expect_str_eq(sched_reason(s, 0), "a last pass is due");
	both_up(0);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_DONE);
	order(1, SCHED_FINISH); /* dialling: its pass has not begun */
	both_up(1);
	done(1);
	cr_expect(sched_state(s, 1) == MAILBOX_DONE);
}

Test(daemon_sched, a_last_pass_that_fails_or_leaves_something_out_is_made_again)
{
	limits.max_login_retries = 2;
	make(SCHED_DAEMON, 4);
	add(0, 1);
	go();
	order(0, SCHED_FINISH);
	refused(0);
	cr_expect_str_eq(saved_reason[0], "last pass: target: NO [AUTHENTICATIONFAILED] no");
	restart(SCHED_DAEMON, 1);
	advance(60000);
	refused(0);
	cr_expect(sched_state(s, 0) == MAILBOX_FAILED && saved[0].finishing);
	cr_expect(order(0, SCHED_FINISH), "asked for once more");
	both_up(0);
	get(0)->progress.left_out = 2;
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_SYNCED && saved[0].finishing);
	cr_expect_str_eq(saved_reason[0], "2 messages and 0 folders were left out; not done, a last pass is due");
	advance(limits.pass_interval);
	both_up(0);
	broken(0, RADIUS_CONNECTION, HEAL_TIME, true);
	both_up(0);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_DONE);
}

Test(daemon_sched, paused_and_finishing)
{
	make(SCHED_DAEMON, 4);
	add(0, 1);
	go();
	order(0, SCHED_PAUSE);
	fault(0, SOURCE, CONN_FAULT_LOST, "stopped");
	cr_expect(order(0, SCHED_FINISH));
	cr_expect_str_eq(words, "paused: a last pass when it is resumed, then done");
	cr_expect(get(0) == NULL && saved[0].paused && saved[0].finishing);
	order(0, SCHED_RESUME);
	both_up(0);
	order(0, SCHED_PAUSE);
	broken(0, RADIUS_CONNECTION, HEAL_TIME, true);
	cr_expect(saved[0].state == MAILBOX_HELD && saved[0].finishing);
	order(0, SCHED_RESUME);
	both_up(0);
	done(0);
	cr_expect(sched_state(s, 0) == MAILBOX_DONE && sched_counts(s, 0)->paused == 0);
}

Test(daemon_sched, an_order_is_durable_when_its_row_is)
{
	make(SCHED_DAEMON, 4);
	add(0, 2);
	go();
	both_up(0);
	save_hold = true;
	done(0);
	order(0, SCHED_PAUSE); /* its row is on its way: this waits for the next time */
	uint64_t marked = sched_marked(s);
	unsigned told = events[SCHED_SAVED];
	save_done(save_arg, LEDGER_OK);
	cr_expect(events[SCHED_SAVED] == told + 1 && sched_saved(s) < marked);
	save_done(save_arg, LEDGER_OK);
	cr_expect(sched_saved(s) == marked);
	sched_stop(s, true);
	cr_expect_not(sched_takes_orders(s));
	save_hold = false;
}

Test(daemon_sched, whatever_the_operator_asks_for_permits_and_queues_fit)
{
	limits.max_mailboxes = 3;
	limits.max_login_retries = 3;
	limits.login_retry_interval = 3000;
	make_mode(SCHED_DAEMON);
	sched_add_server(s, &endpoints[0], 4);
	sched_add_server(s, &endpoints[1], 4);
	sched_add_migration(s, "one", 0, 1);
	sched_add_migration(s, "two", 1, 0);
	add(0, 20);
	add(1, 20);
	go();
	uint32_t x = 54321;
	for (unsigned turn = 0; turn < 50000; turn++) {
		x = x * 1664525 + 1013904223;
		uint32_t dice = x >> 12;
		lines_forget();
		cr_assert(running() <= 3);
		if (dice % 8 < 3)
			order((dice >> 3) % 40, (enum sched_order)((dice >> 9) % SCHED_ORDER_N));
		if (live_n == 0 || dice % 4 == 0) {
			advance(dice % 100000);
			continue;
		}
		struct mailbox *m = live[dice % live_n];
		unsigned n = number(m->spec->name);
		enum side side = dice & 64 ? SOURCE : TARGET;
		if (m->stopped && !m->running)
			fault(n, side, CONN_FAULT_RESOLVE, "stopped");
		else if (m->running && (m->stopped || dice % 8 == 1))
			broken(n, RADIUS_CONNECTION, HEAL_TIME, dice & 128);
		else if (m->running)
			done(n);
		else if (m->dialled[side] && !m->up[side] && dice % 8 == 2)
			fault(n, side, CONN_FAULT_LOGIN, "no");
		else if (m->dialled[side] && !m->up[side])
			up(n, side);
		uint32_t paused = 0, held = 0;
		for (uint32_t i = 0; i < 40; i++) {
			paused += sched_row(s, i).paused;
			held += sched_row(s, i).paused && sched_state(s, i) == MAILBOX_HELD;
		}
		cr_assert(paused == sched_counts(s, 0)->paused + sched_counts(s, 1)->paused && held <= paused);
	}
	for (uint32_t i = 0; i < 40; i++)
		if (sched_row(s, i).paused)
			order(i, SCHED_RESUME);
	for (uint32_t i = 0; i < 40; i++)
		order(i, SCHED_FINISH);
	for (unsigned turn = 0; turn < 10000 && sched_counts(s, 0)->state[MAILBOX_DONE] + sched_counts(s, 1)->state[MAILBOX_DONE] < 40; turn++) {
		if (live_n == 0) {
			advance(60000);
			continue;
		}
		struct mailbox *m = live[turn % live_n];
		unsigned n = number(m->spec->name);
		lines_forget();
		if (m->running && m->stopped)
			broken(n, RADIUS_CONNECTION, HEAL_TIME, true);
		else if (m->running)
			done(n);
		else if (m->stopped)
			fault(n, SOURCE, CONN_FAULT_RESOLVE, "stopped");
		else if (m->dialled[SOURCE] && !m->up[SOURCE])
			up(n, SOURCE);
		else if (m->dialled[TARGET] && !m->up[TARGET])
			up(n, TARGET);
	}
	cr_expect(sched_counts(s, 0)->state[MAILBOX_DONE] == 20 && sched_counts(s, 1)->state[MAILBOX_DONE] == 20, "nobody was lost");
	cr_expect(sched_server(s, 0)->used == 0 && sched_server(s, 1)->used == 0 && live_n == 0);
}
