/* pool with peers that do what the test says, and a clock that is moved by hand. */
#include "log.h"
#include "pool.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "leaks.h"

struct peer {
	const struct endpoint *ep;
	enum side side;
	peer_funnel *funnel;
	void *owner;
	struct session *session;
	const struct credentials *login;
	bool *spoilt;
	bool up, away, vacant, may_not;
};

struct timer {
	loop_fn *fn;
	void *arg;
	uint64_t due; /* UINT64_MAX: not set */
};

static uint64_t now;
static unsigned dials, open_n, logouts, said;
static bool no_memory;
static struct timer *the_timer;
static struct endpoint old = { .server = "old", .admin_user = "boss", .admin_password = "x" };
static struct endpoint new = { .server = "new", .admin_user = "boss", .admin_password = "x" };
static const struct credentials ann = { .user = "ann" }, bob = { .user = "bob" };
static const struct peer_limits limits = { 1000, 1000, NULL };
static struct pool *pool;

uint64_t loop_now(const struct loop *l)
{
	(void)l;
	return now;
}

struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	(void)l;
	cr_assert_null(the_timer);
	the_timer = calloc(1, sizeof(*the_timer));
	*the_timer = (struct timer){ fn, arg, UINT64_MAX };
	return the_timer;
}

void timer_set(struct timer *t, uint64_t ms)
{
	t->due = now + ms;
}

void timer_clear(struct timer *t)
{
	t->due = UINT64_MAX;
}

void timer_free(struct timer **t)
{
	free(*t);
	*t = the_timer = NULL;
}

void log_event(enum log_kind kind, const struct log_context *context, const char *format, ...)
{
	(void)context;
	cr_assert_eq(kind, LOG_DIAL);
	if (strstr(format, "%s") != NULL)
		said++;
}

static void pass_time(uint64_t ms)
{
	now += ms;
	while (the_timer != NULL && the_timer->due <= now) {
		the_timer->due = UINT64_MAX;
		the_timer->fn(the_timer->arg);
	}
}

struct peer *peer_dial(struct dialer *d, enum side side, const struct endpoint *ep, const struct credentials *login,
	const struct peer_limits *l, peer_funnel *funnel, void *owner)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct resp_caps caps = { .bits = UINT64_C(1) << CAP_UNAUTHENTICATE };
	cr_assert(d == NULL && l == &limits);
	*p = (struct peer){ .ep = ep, .side = side, .funnel = funnel, .owner = owner, .login = login, .session = session_new(NULL), .up = true };
	session_hint_caps(p->session, &caps);
	dials++;
	open_n++;
	return p;
}

void peer_close(struct peer **p)
{
	if (*p == NULL)
		return;
	session_free(&(*p)->session);
	free(*p);
	*p = NULL;
	open_n--;
}

bool peer_may_vacate(const struct peer *p)
{
	return p->up && !p->may_not;
}

bool peer_vacate(struct peer *p, peer_funnel *funnel, void *owner)
{
	if (no_memory)
		return false;
	p->funnel = funnel;
	p->owner = owner;
	p->up = false;
	p->away = true;
	return true;
}

void peer_occupy(struct peer *p, enum side side, const struct credentials *login, const struct peer_limits *l, peer_funnel *funnel,
	void *owner, bool *spoilt)
{
	cr_assert(p->away && l == &limits);
	p->side = side;
	p->login = login;
	p->funnel = funnel;
	p->owner = owner;
	p->spoilt = spoilt;
	p->away = p->vacant = false;
	p->up = true;
}

bool peer_is_vacant(const struct peer *p)
{
	return p->vacant;
}

bool peer_is_up(const struct peer *p)
{
	return p->up;
}

bool peer_is_full(const struct peer *p)
{
	(void)p;
	return false;
}

struct session *peer_session(struct peer *p)
{
	return p->session;
}

void peer_flush_now(struct peer *p)
{
	struct span out = session_output(p->session);
	logouts += span_eq(out, SPAN("g1 LOGOUT\r\n"));
}

enum side peer_side(const struct peer *p)
{
	return p->side;
}

const struct endpoint *peer_endpoint(const struct peer *p)
{
	return p->ep;
}

static void nothing(void *owner, const struct peer_event *ev)
{
	(void)owner;
	(void)ev;
}

static void begin(void)
{
	now = 1000;
	dials = open_n = logouts = said = 0;
	no_memory = false;
	pool = pool_new(NULL);
	cr_assert_not_null(pool);
}

static void end(void)
{
	pool_free(&pool);
	cr_assert_eq(open_n, 0);
	leaks_check();
}

TestSuite(daemon_pool, .init = begin, .fini = end);

static struct peer *dial(const struct endpoint *ep, const struct credentials *login)
{
	return pool_dial(pool, NULL, ep == &old ? SOURCE : TARGET, ep, login, &limits, nothing, &now);
}

static void vacant(struct peer *p)
{
	p->vacant = true;
	p->funnel(p->owner, &(struct peer_event){ .kind = PEER_VACANT });
}

static void down(struct peer *p, enum conn_fault fault)
{
	p->away = p->vacant = p->up = false;
	p->funnel(p->owner, &(struct peer_event){ .kind = PEER_DOWN, .failure = &(struct conn_failure){ .fault = fault } });
}

Test(daemon_pool, the_next_one_takes_what_is_kept)
{
	struct peer *p = dial(&old, &ann), *first = p;
	pool_give(pool, &p);
	cr_assert(p == NULL && open_n == 1 && logouts == 0);
	vacant(first);
	p = dial(&old, &bob);
	cr_assert(p == first && dials == 1 && p->login == &bob && p->funnel == nothing && p->owner == &now && p->side == SOURCE);
	struct peer *second = dial(&old, &ann);
	cr_assert(second != first && dials == 2);
	pool_give(pool, &p);
	pool_give(pool, &second);
	cr_assert_eq(open_n, 2);
}

Test(daemon_pool, also_before_the_answer_to_unauthenticate)
{
	struct peer *p = dial(&old, &ann), *first = p;
	pool_give(pool, &p);
	p = dial(&old, &bob);
	cr_assert(p == first && dials == 1);
	pool_give(pool, &p);
}

Test(daemon_pool, another_server_gets_another_connection)
{
	struct peer *p = dial(&old, &ann), *first = p;
	pool_give(pool, &p);
	vacant(first);
	p = dial(&new, &ann);
	cr_assert(p != first && dials == 2 && p->side == TARGET);
	pool_give(pool, &p);
	p = dial(&old, &ann);
	cr_assert(p == first && dials == 2);
	pool_give(pool, &p);
}

Test(daemon_pool, the_last_that_came_goes_first_but_not_before_it_is_vacant)
{
	struct peer *a = dial(&old, &ann), *b = dial(&old, &ann), *c = dial(&old, &ann), *A = a, *B = b, *C = c;
	pool_give(pool, &a);
	pool_give(pool, &b);
	pool_give(pool, &c);
	vacant(A);
	vacant(B);
	a = dial(&old, &ann);
	b = dial(&old, &ann);
	c = dial(&old, &ann);
	cr_assert(a == B && b == A && c == C && dials == 3);
	pool_give(pool, &a);
	pool_give(pool, &b);
	pool_give(pool, &c);
}

Test(daemon_pool, closed_after_a_while_each_at_its_time)
{
	struct peer *a = dial(&old, &ann), *b = dial(&old, &ann), *A = a, *B = b;
	pool_give(pool, &a);
	vacant(A);
	pass_time(POOL_IDLE / 2);
	pool_give(pool, &b);
	vacant(B);
	pass_time(POOL_IDLE / 2 - 1);
	cr_assert_eq(open_n, 2);
	pass_time(1);
	cr_assert(open_n == 1 && logouts == 1);
	a = dial(&old, &ann);
	cr_assert_eq(a, B);
	pass_time(10 * POOL_IDLE); /* in use: nobody closes it */
	cr_assert_eq(open_n, 1);
	pool_give(pool, &a);
	pass_time(POOL_IDLE - 1);
	cr_assert_eq(open_n, 1);
	pass_time(1);
	cr_assert_eq(open_n, 0);
	cr_assert_eq(the_timer->due, UINT64_MAX);
}

Test(daemon_pool, one_that_dies_is_forgotten)
{
	struct peer *p = dial(&old, &ann), *first = p;
	pool_give(pool, &p);
	vacant(first);
	down(first, CONN_FAULT_LOST);
	cr_assert(open_n == 0 && the_timer->due == UINT64_MAX);
	p = dial(&old, &bob);
	cr_assert_eq(dials, 2);
	first = p;
	pool_give(pool, &p);
	cr_assert_eq(open_n, 1); /* dying is no reason to keep none any more */
	vacant(first);
}

Test(daemon_pool, a_server_that_does_not_do_it_is_not_asked_again)
{
	struct peer *p = dial(&old, &ann), *first = p;
	pool_give(pool, &p);
	down(first, CONN_FAULT_GARBAGE);
	for (int i = 0; i < 3; i++) {
		p = dial(&old, &ann);
		pool_give(pool, &p);
		cr_assert(open_n == 0 && logouts == (unsigned)i + 1 && said == 1);
	}
	/* That is about this server alone. */
	p = dial(&new, &ann);
	pool_give(pool, &p);
	cr_assert_eq(open_n, 1);
}

Test(daemon_pool, what_a_peer_finds_out_counts_as_well)
{
	struct peer *p = dial(&old, &ann), *first = p;
	pool_give(pool, &p);
	vacant(first);
	p = dial(&old, &bob);
	*p->spoilt = true;
	pool_give(pool, &p);
	cr_assert_eq(open_n, 0);
}

Test(daemon_pool, what_cannot_be_kept_is_logged_out_and_closed)
{
	struct peer *p = dial(&old, &ann);
	p->may_not = true;
	pool_give(pool, &p);
	cr_assert(p == NULL && open_n == 0 && logouts == 1);
	p = dial(&old, &ann);
	no_memory = true;
	pool_give(pool, &p);
	cr_assert(p == NULL && open_n == 0 && logouts == 2);
	p = dial(&old, &ann);
	p->up = false; /* still dialling: nothing can be said */
	pool_give(pool, &p);
	cr_assert(p == NULL && open_n == 0 && logouts == 2);
	p = dial(&old, &ann);
	pool_drop(&p);
	cr_assert(p == NULL && open_n == 0 && logouts == 3);
	pool_give(pool, &p);
	pool_drop(&p);
}
