/*
 * loop: the one event loop of the process, its clocks, timers, signals, and the door through which other threads hand in
 * finished work. Only loop.c, conn*.c and (its poll handles) know libuv. Callbacks run on the loop's thread, never from within the call
 * that armed them.
 */
#ifndef GODWIT_LOOP_H
#define GODWIT_LOOP_H

#include "histogram.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct timer;
struct loop_signal;
struct loop_watch;
struct uv_loop_s;
typedef void loop_fn(void *arg);

/* NULL when memory or descriptors are out. */
struct loop *loop_new(void);
/* All timers, signals and connections must be gone. Work that was posted and not yet handed in is handed in now. */
void loop_free(struct loop **l);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
struct uv_loop_s *loop_uv(struct loop *l);

/* How long the turns of loop_run() took: from the return of one poll to the next poll. So long did all that had become ready in between wait.
 * A turn that took longer than its `cpu` waited: for a processor, or because something blocked. */
struct loop_meter {
	struct histogram turns, cpu; /* wall, and processor time of the thread */
	uint64_t busy, ran; /* us in turns; us in loop_run(), waiting included */
};
const struct loop_meter *loop_meter(const struct loop *l);
/* How long this turn has taken so far, in us. Who has work for many turns leaves the rest for the next one. */
uint64_t loop_turn(const struct loop *l);

/* Milliseconds of a monotonic clock (as of this turn of the loop), and of wall time since 1970. */
uint64_t loop_now(const struct loop *l);
int64_t loop_wall(const struct loop *l);
/* By how many ms loop_now() is behind the clock: for timers that are not of this file. */
uint64_t loop_behind(const struct loop *l);

/* A one-shot timer; `fn` is called on the loop when it runs out. NULL when memory is out. */
struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg);
void timer_set(struct timer *t, uint64_t ms); /* from now; replaces an earlier setting */
void timer_clear(struct timer *t);
bool timer_is_set(const struct timer *t);
void timer_free(struct timer **t);

/* Calls fn(arg) each time the signal arrives. */
struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *arg);
void loop_signal_free(struct loop_signal **s);

/* Calls fn(arg) in each turn in which there is something to read at the descriptor, which stays the caller's and outlives the watch. NULL when memory is
 * out, or it cannot be watched. */
struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_fn *fn, void *arg);
void loop_watch_free(struct loop_watch **w);

/* From any thread, the loop's own included: fn(arg) is called on the loop's thread at a later turn, in the order of the calls, never from
 * within. What is still waiting at loop_free() is called there. Aborts when memory is out. */
void loop_post(struct loop *l, loop_fn *fn, void *arg);

#endif
