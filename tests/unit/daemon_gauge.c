/* The loop, its clock, the kernel and the session are this file's: the functions that gauge.c calls for them are wrapped by the linker. */
#include "gauge.h"
#include "line.h"

#include <criterion/criterion.h>

#include "leaks.h"

TestSuite(daemon_gauge, .fini = leaks_check);

static struct {
	uint64_t now;
	struct loop_meter meter;
	loop_fn *tick;
	void *arg;
	bool set, kernel_tells;
	struct conn_tcp tcp;
	size_t pending;
	unsigned inflight;
} fake;

struct timer *__wrap_timer_new(struct loop *l, loop_fn *fn, void *arg);
struct timer *__wrap_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	(void)l;
	fake.tick = fn;
	fake.arg = arg;
	return (struct timer *)&fake;
}

void __wrap_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms)
{
	(void)t;
	cr_assert_eq(ms, LINE_TICK);
	fake.set = true;
}

void __wrap_timer_clear(struct timer *t);
void __wrap_timer_clear(struct timer *t)
{
	(void)t;
	fake.set = false;
}

void __wrap_timer_free(struct timer **t);
void __wrap_timer_free(struct timer **t)
{
	*t = NULL;
}

uint64_t __wrap_loop_now(const struct loop *l);
uint64_t __wrap_loop_now(const struct loop *l)
{
	(void)l;
	return fake.now;
}

const struct loop_meter *__wrap_loop_meter(const struct loop *l);
const struct loop_meter *__wrap_loop_meter(const struct loop *l)
{
	(void)l;
	return &fake.meter;
}

bool __wrap_conn_tcp(const struct conn *c, struct conn_tcp *ret);
bool __wrap_conn_tcp(const struct conn *c, struct conn_tcp *ret)
{
	(void)c;
	*ret = fake.tcp;
	return fake.kernel_tells;
}

size_t __wrap_conn_pending(const struct conn *c);
size_t __wrap_conn_pending(const struct conn *c)
{
	(void)c;
	return fake.pending;
}

unsigned __wrap_session_inflight(const struct session *s);
unsigned __wrap_session_inflight(const struct session *s)
{
	(void)s;
	return fake.inflight;
}

struct world {
	struct gauge *g;
	struct endpoint old, new;
	struct gauge_member m[3];
	int compressed;
	unsigned load, busy, closed; /* thousandths of the time */
};

static void compress(void *arg)
{
	((struct world *)arg)->compressed++;
}

static bool join(struct world *w, size_t i, const struct endpoint *ep, enum side side)
{
	return gauge_join(w->g, &w->m[i], ep, side, NULL, NULL, compress, w);
}

/* Two connections of the side, at 600 KB/s each; the kernel says that all of it waits for the network. */
static void begin(struct world *w, enum side side)
{
	memset(&fake, 0, sizeof(fake));
	fake.now = 1000000;
	fake.kernel_tells = true;
	fake.pending = 1;
	fake.inflight = 1;
	*w = (struct world){ .g = gauge_new(NULL), .old = { .server = "old" }, .new = { .server = "new" }, .load = 100, .busy = 1000 };
	cr_assert_not_null(w->g);
	cr_assert(!fake.set);
	for (size_t i = 0; i < 2; i++)
		cr_assert(!join(w, i, &w->old, side));
	cr_assert(fake.set);
}

static void end(struct world *w)
{
	for (size_t i = 0; i < 3; i++)
		gauge_leave(&w->m[i]);
	cr_assert(!fake.set);
	gauge_free(&w->g);
	cr_assert_null(w->g);
}

/* For so long, or until the connections are to be compressed. */
static int go(struct world *w, uint64_t ms)
{
	for (uint64_t until = fake.now + ms; fake.now < until && w->compressed == 0;) {
		fake.now++;
		fake.meter.ran += 1000;
		fake.meter.busy += w->load;
		fake.tcp.busy += w->busy;
		fake.tcp.closed += w->closed;
		for (size_t i = 0; i < 2; i++) {
			gauge_came(&w->m[i], 600);
			gauge_went(&w->m[i], 600);
		}
		if (fake.now % LINE_TICK == 0 && fake.set)
			fake.tick(fake.arg);
	}
	return w->compressed;
}

Test(daemon_gauge, all_connections_of_a_slow_line_are_compressed)
{
	for (int side = SOURCE; side <= TARGET; side++) {
		struct world w;
		begin(&w, side);
		cr_assert_eq(go(&w, 5000), 2);
		/* It is known to those that come later, for this server and this side alone. */
		cr_assert(join(&w, 2, &w.old, side));
		gauge_leave(&w.m[2]);
		cr_assert(!join(&w, 2, &w.new, side));
		gauge_leave(&w.m[2]);
		cr_assert(!join(&w, 2, &w.old, side == SOURCE ? TARGET : SOURCE));
		end(&w);
	}
}

Test(daemon_gauge, it_is_known_when_nobody_is_there_any_more)
{
	struct world w;
	begin(&w, SOURCE);
	go(&w, 5000);
	gauge_leave(&w.m[0]);
	gauge_leave(&w.m[1]);
	cr_assert(!fake.set);
	cr_assert(join(&w, 2, &w.old, SOURCE));
	end(&w);
}

Test(daemon_gauge, a_source_that_was_paused_is_not_held_up_by_its_line)
{
	struct world w;
	begin(&w, SOURCE);
	gauge_pause(&w.m[0], true);
	cr_assert_eq(go(&w, 5000), 0);
	/* Nor when it was for a moment in each tick. */
	gauge_pause(&w.m[0], false);
	for (int i = 0; i < 30; i++) {
		gauge_pause(&w.m[0], true);
		gauge_pause(&w.m[0], false);
		cr_assert_eq(go(&w, LINE_TICK), 0);
	}
	cr_assert_eq(go(&w, 5000), 2);
	end(&w);
}

Test(daemon_gauge, nothing_outstanding_is_nothing_held_up)
{
	struct world w;
	begin(&w, SOURCE);
	fake.inflight = 0;
	cr_assert_eq(go(&w, 5000), 0);
	end(&w);
}

Test(daemon_gauge, a_target_waits_for_the_network_and_for_nothing_else)
{
	struct world w;
	begin(&w, TARGET);
	/* the receiver had no room for a fifth of the time, and more */
	w.closed = 250;
	cr_assert_eq(go(&w, 5000), 0);
	w.closed = 100;
	/* nothing to send now and then */
	w.busy = 800;
	cr_assert_eq(go(&w, 5000), 0);
	w.busy = 1000;
	fake.pending = 0;
	cr_assert_eq(go(&w, 5000), 0);
	fake.pending = 1;
	fake.kernel_tells = false;
	cr_assert_eq(go(&w, 5000), 0);
	fake.kernel_tells = true;
	cr_assert_eq(go(&w, 5000), 2);
	end(&w);
}

Test(daemon_gauge, a_busy_process_does_not_compress)
{
	for (int side = SOURCE; side <= TARGET; side++) {
		struct world w;
		begin(&w, side);
		w.load = 510;
		cr_assert_eq(go(&w, 5000), 0);
		w.load = 490;
		cr_assert_eq(go(&w, 5000), 2);
		end(&w);
	}
}

Test(daemon_gauge, a_refusal_is_remembered)
{
	struct world w;
	begin(&w, SOURCE);
	go(&w, 5000);
	gauge_refused(&w.m[0]);
	cr_assert(!join(&w, 2, &w.old, SOURCE));
	/* The one that has left may still be told of things. */
	gauge_refused(&w.m[0]);
	gauge_came(&w.m[0], 1);
	gauge_went(&w.m[0], 1);
	gauge_pause(&w.m[0], true);
	end(&w);
}
