#include "leaks.h"
#include "loop.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

TestSuite(daemon_loop, .fini = leaks_check, .timeout = 20);

struct world {
	struct loop *l;
	int calls;
	int order[4096];
	struct timer *t;
	uint64_t at;
};

static uint64_t clock_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void stop(void *arg)
{
	struct world *w = arg;
	w->calls++;
	w->at = clock_ms();
	loop_stop(w->l);
}

Test(daemon_loop, a_timer_runs_out_once_and_not_early)
{
	struct world w = { .l = loop_new() };
	struct timer *t = timer_new(w.l, stop, &w);
	cr_assert(!timer_is_set(t));
	usleep(60000); /* the loop's own clock is now stale */
	uint64_t start = clock_ms();
	timer_set(t, 50);
	cr_assert(timer_is_set(t));
	cr_assert_eq(w.calls, 0);
	loop_run(w.l);
	cr_assert_eq(w.calls, 1);
	cr_assert_geq(w.at - start, 49);
	cr_assert(!timer_is_set(t));
	timer_free(&t);
	cr_assert_null(t);
	loop_free(&w.l);
	cr_assert_null(w.l);
}

static void again(void *arg)
{
	struct world *w = arg;
	usleep(3000);
	if (++w->calls < 50)
		timer_set(w->t, 1);
}

static void count_calls(void *arg)
{
	struct world *w = arg;
	w->order[0] = w->calls;
	loop_stop(w->l);
}

Test(daemon_loop, timers_that_set_themselves_again_leave_others_their_turn)
{
	static struct world w;
	w.l = loop_new();
	w.t = timer_new(w.l, again, &w);
	timer_set(w.t, 0);
	loop_post(w.l, count_calls, &w);
	loop_run(w.l);
	cr_assert_leq(w.order[0], 2, "%d turns of the timer came first", w.order[0]);
	timer_free(&w.t);
	loop_free(&w.l);
}

static void never(void *arg)
{
	(void)arg;
	cr_assert_fail("called");
}

Test(daemon_loop, a_timer_is_replaced_cleared_and_freed_while_set)
{
	struct world w = { .l = loop_new() };
	struct timer *cleared = timer_new(w.l, never, NULL);
	struct timer *freed = timer_new(w.l, never, NULL);
	struct timer *t = timer_new(w.l, stop, &w);
	timer_set(cleared, 1);
	timer_set(freed, 1);
	timer_set(t, 100000);
	timer_set(t, 20);
	timer_clear(cleared);
	cr_assert(!timer_is_set(cleared));
	timer_free(&freed);
	loop_run(w.l);
	cr_assert_eq(w.calls, 1);
	timer_free(&t);
	timer_free(&cleared);
	timer_free(&cleared);
	timer_free(NULL);
	loop_free(&w.l);
	loop_free(&w.l);
	loop_free(NULL);
}

static void free_own_timer(void *arg)
{
	struct world *w = arg;
	timer_free(&w->t);
	stop(w);
}

Test(daemon_loop, a_timer_may_be_freed_by_its_own_callback)
{
	struct world w = { .l = loop_new() };
	w.t = timer_new(w.l, free_own_timer, &w);
	timer_set(w.t, 0);
	cr_assert_eq(w.calls, 0);
	loop_run(w.l);
	cr_assert_eq(w.calls, 1);
	loop_free(&w.l);
}

struct numbered {
	struct world *w;
	int n;
};

#define POSTS 1000

static void note(void *arg)
{
	struct numbered *x = arg;
	x->w->order[x->w->calls++] = x->n;
	if (x->w->calls == POSTS)
		loop_stop(x->w->l);
}

static void *poster(void *arg)
{
	struct numbered *x = arg;
	for (int i = 0; i < POSTS; i++)
		loop_post(x[i].w->l, note, &x[i]);
	return NULL;
}

Test(daemon_loop, posts_from_another_thread_arrive_in_order)
{
	static struct world w;
	static struct numbered x[POSTS];
	w.l = loop_new();
	for (int i = 0; i < POSTS; i++)
		x[i] = (struct numbered){ &w, i };
	pthread_t th;
	cr_assert_eq(pthread_create(&th, NULL, poster, x), 0);
	loop_run(w.l);
	pthread_join(th, NULL);
	cr_assert_eq(w.calls, POSTS);
	for (int i = 0; i < POSTS; i++)
		cr_assert_eq(w.order[i], i);
	loop_free(&w.l);
}

static void post_again(void *arg)
{
	struct world *w = arg;
	if (++w->calls < 3) {
		loop_post(w->l, post_again, w);
		w->order[w->calls] = w->calls; /* proof that the post did not run from within */
		cr_assert_eq(w->order[w->calls + 1], 0);
	} else {
		loop_stop(w->l);
	}
}

Test(daemon_loop, a_post_from_the_loop_itself_waits_for_the_next_turn)
{
	static struct world w;
	w.l = loop_new();
	loop_post(w.l, post_again, &w);
	cr_assert_eq(w.calls, 0);
	loop_run(w.l);
	cr_assert_eq(w.calls, 3);
	loop_free(&w.l);
}

static void free_timer_then_post(void *arg)
{
	struct world *w = arg;
	if (w->calls++ == 0) {
		timer_free(&w->t);
		loop_post(w->l, free_timer_then_post, w);
	}
}

Test(daemon_loop, posts_that_are_left_are_called_when_the_loop_is_freed)
{
	struct world w = { .l = loop_new() };
	w.t = timer_new(w.l, never, NULL);
	timer_set(w.t, 0);
	loop_post(w.l, free_timer_then_post, &w);
	loop_free(&w.l);
	cr_assert_eq(w.calls, 2);
	cr_assert_null(w.t);
}

Test(daemon_loop, a_signal_is_told_each_time)
{
	struct world w = { .l = loop_new() };
	struct loop_signal *s = loop_signal_new(w.l, SIGUSR1, stop, &w);
	cr_assert_not_null(s);
	for (int i = 1; i <= 2; i++) {
		kill(getpid(), SIGUSR1);
		loop_run(w.l);
		cr_assert_eq(w.calls, i);
	}
	loop_signal_free(&s);
	loop_signal_free(&s);
	cr_assert_null(loop_signal_new(w.l, 12345, stop, &w));
	loop_free(&w.l);
}

Test(daemon_loop, a_broken_pipe_does_not_kill)
{
	struct world w = { .l = loop_new() };
	int fd[2];
	cr_assert_eq(pipe(fd), 0);
	close(fd[0]);
	cr_assert_eq(write(fd[1], "x", 1), -1);
	close(fd[1]);
	loop_free(&w.l);
}

Test(daemon_loop, clocks)
{
	struct world w = { .l = loop_new() };
	cr_assert_leq(llabs(loop_wall(w.l) / 1000 - (int64_t)time(NULL)), 1);
	struct timer *t = timer_new(w.l, stop, &w);
	uint64_t before = loop_now(w.l);
	timer_set(t, 30);
	loop_run(w.l);
	cr_assert_geq(loop_now(w.l) - before, 30);
	timer_free(&t);
	loop_free(&w.l);
}

#define BLOCK_MS 60

static void block(void *arg)
{
	uint64_t until = clock_ms() + BLOCK_MS;
	while (clock_ms() < until)
		;
	(void)arg;
}

static void sleep_ms(void *arg)
{
	usleep(BLOCK_MS * 1000);
	(void)arg;
}

Test(daemon_loop, a_callback_that_sleeps_takes_time_but_no_processor)
{
	struct world w = { .l = loop_new() };
	loop_post(w.l, sleep_ms, NULL);
	loop_post(w.l, stop, &w);
	loop_run(w.l);
	const struct loop_meter *m = loop_meter(w.l);
	cr_assert_geq(m->turns.max, BLOCK_MS * 1000 - 1000);
	cr_assert_lt(m->cpu.max, BLOCK_MS * 1000 / 2);
	loop_free(&w.l);
}

static void *interrupt(void *arg)
{
	usleep(200 * 1000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

Test(daemon_loop, waiting_for_a_signal_is_waiting)
{
	struct world w = { .l = loop_new() };
	struct loop_signal *s = loop_signal_new(w.l, SIGUSR1, stop, &w);
	pthread_t self = pthread_self(), th;
	cr_assert_eq(pthread_create(&th, NULL, interrupt, &self), 0);
	loop_run(w.l);
	pthread_join(th, NULL);
	const struct loop_meter *m = loop_meter(w.l);
	cr_assert_geq(m->ran, 150 * 1000);
	cr_assert_leq(m->turns.max, 100 * 1000);
	loop_signal_free(&s);
	loop_free(&w.l);
}

static void block_twice(void *arg)
{
	block(arg);
	block(arg);
}

Test(daemon_loop, a_callback_that_blocks_shows_and_waiting_does_not)
{
	struct world w = { .l = loop_new() };
	struct timer *blocker = timer_new(w.l, block, NULL), *end = timer_new(w.l, stop, &w);
	timer_set(blocker, 100);
	timer_set(end, 600);
	loop_run(w.l);
	const struct loop_meter *m = loop_meter(w.l);
	cr_assert_geq(m->turns.n, 2);
	cr_assert_geq(m->turns.max, BLOCK_MS * 1000 - 1000);
	cr_assert_geq(m->ran, 599 * 1000);
	cr_assert_eq(m->cpu.n, m->turns.n);
	cr_assert_gt(m->cpu.max, 0);
	cr_assert_leq(m->cpu.max, m->turns.max + 1000);
	cr_assert_geq(m->busy, BLOCK_MS * 1000 - 1000);
	/* 540 ms were waited. The machine may be busy with other things, but hardly for so long. */
	cr_assert_leq(m->busy, m->ran - 100 * 1000, "%llu of %llu us", (unsigned long long)m->busy, (unsigned long long)m->ran);
	timer_free(&blocker);
	timer_free(&end);
	loop_free(&w.l);
}

Test(daemon_loop, a_turn_that_ends_the_run_counts_and_time_between_runs_does_not)
{
	struct world w = { .l = loop_new() };
	loop_post(w.l, block_twice, NULL);
	loop_post(w.l, stop, &w);
	loop_run(w.l);
	const struct loop_meter *m = loop_meter(w.l);
	cr_assert_geq(m->turns.max, 2 * BLOCK_MS * 1000 - 2000);
	uint64_t ran = m->ran;
	usleep(500 * 1000);
	loop_post(w.l, stop, &w);
	loop_run(w.l);
	cr_assert_lt(m->ran - ran, 400 * 1000);
	loop_free(&w.l);
}

/* Readable descriptors. */

static void on_readable(void *arg)
{
	struct world *w = arg;
	char byte;
	cr_assert_eq(read(w->order[0], &byte, 1), 1);
	if (++w->calls == 2)
		loop_stop(w->l);
}

Test(daemon_loop, a_descriptor_is_watched_while_there_is_something_to_read)
{
	struct world w = { .l = loop_new() };
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	w.order[0] = ends[0];
	struct loop_watch *watch = loop_watch_new(w.l, ends[0], on_readable, &w);
	cr_assert_not_null(watch);
	cr_assert_eq(write(ends[1], "ab", 2), 2);
	cr_assert_eq(w.calls, 0);
	loop_run(w.l);
	cr_assert_eq(w.calls, 2, "what one call left is told again");
	loop_watch_free(&watch);
	cr_assert_null(watch);
	loop_watch_free(&watch);
	cr_assert_eq(write(ends[1], "c", 1), 1);
	w.t = timer_new(w.l, stop, &w);
	timer_set(w.t, 20);
	loop_run(w.l);
	cr_assert_eq(w.calls, 3, "the timer alone");
	timer_free(&w.t);
	cr_assert_null(loop_watch_new(w.l, 100000, on_readable, &w));
	loop_free(&w.l);
	close(ends[0]);
	close(ends[1]);
}
