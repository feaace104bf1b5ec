#include "loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

struct post {
	struct post *next;
	loop_fn *fn;
	void *arg;
};

struct loop {
	uv_loop_t uv; /* first: timers find the loop by its address */
	uv_async_t wake;
	uv_mutex_t lock;     /* of the two below */
	struct post *first;
	struct post **last;
	uv_prepare_t prepare; /* its callback comes right before each poll */
	uint64_t polled;      /* ns of uv_hrtime(), when the last turn ended and the poll began */
	uint64_t waited;      /* ns of uv_metrics_idle_time(), at the same moment */
	uint64_t used;        /* ns of this thread's processor time, at the same moment */
	bool interrupted;     /* a signal came in this turn */
	uint64_t busy, ran;   /* ns, see loop_meter */
	struct loop_meter meter;
};

struct timer {
	uv_timer_t uv; /* first: the close callback frees by its address */
	loop_fn *fn;
	void *arg;
};

struct loop_signal {
	uv_signal_t uv; /* first, as above */
	loop_fn *fn;
	void *arg;
};

struct loop_watch {
	uv_poll_t uv; /* first, as above */
	loop_fn *fn;
	void *arg;
};

static void on_close_free(uv_handle_t *h)
{
	free(h);
}

static struct post *take_posts(struct loop *l)
{
	uv_mutex_lock(&l->lock);
	struct post *p = l->first;
	l->first = NULL;
	l->last = &l->first;
	uv_mutex_unlock(&l->lock);
	return p;
}

/* What is posted from within these callbacks waits for the next call: the list was taken as a whole. False: there was nothing. */
static bool run_posts(struct loop *l)
{
	struct post *p = take_posts(l);
	bool some = p != NULL;
	while (p != NULL) {
		struct post *next = p->next;
		loop_fn *fn = p->fn;
		void *arg = p->arg;
		free(p);
		fn(arg);
		p = next;
	}
	return some;
}

static void on_wake(uv_async_t *a)
{
	run_posts(a->data);
}

static uint64_t cpu_time(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void turn_begin(struct loop *l)
{
	l->used = cpu_time();
	l->polled = uv_hrtime();
	l->waited = uv_metrics_idle_time(&l->uv);
}

/* libuv calls back from within its poll: the turn is what of the time since the last one was not spent waiting in the kernel. */
static void turn_end(struct loop *l)
{
	uint64_t polled = l->polled, waited = l->waited, used = l->used;
	turn_begin(l);
	uint64_t all = l->polled - polled, wait = l->waited - waited;
	uint64_t busy = wait < all ? all - wait : 0;
	l->ran += all;
	l->meter.ran = l->ran / 1000;
	/* A poll that a signal breaks off has lost count of its time. */
	if (l->interrupted) {
		l->interrupted = false;
		return;
	}
	l->busy += busy;
	histogram_add(&l->meter.turns, busy / 1000);
	histogram_add(&l->meter.cpu, (l->used - used) / 1000);
	l->meter.busy = l->busy / 1000;
}

uint64_t loop_turn(const struct loop *l)
{
	uint64_t all = uv_hrtime() - l->polled;
	uint64_t wait = uv_metrics_idle_time((uv_loop_t *)&l->uv) - l->waited;
	return wait < all ? (all - wait) / 1000 : 0;
}

static void on_prepare(uv_prepare_t *h)
{
	turn_end(h->data);
}

const struct loop_meter *loop_meter(const struct loop *l)
{
	return &l->meter;
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->last = &l->first;
	if (uv_loop_init(&l->uv) != 0)
		goto no_loop;
	if (uv_mutex_init(&l->lock) != 0)
		goto no_mutex;
	if (uv_async_init(&l->uv, &l->wake, on_wake) != 0)
		goto no_async;
	l->wake.data = l;
	uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME);
	uv_prepare_init(&l->uv, &l->prepare);
	uv_prepare_start(&l->prepare, on_prepare);
	uv_unref((uv_handle_t *)&l->prepare);
	l->prepare.data = l;
	/* A connection that went away is told by EPIPE where it is written to. */
	signal(SIGPIPE, SIG_IGN);
	return l;
no_async:
	uv_mutex_destroy(&l->lock);
no_mutex:
	uv_loop_close(&l->uv);
no_loop:
	free(l);
	return NULL;
}

void loop_free(struct loop **l)
{
	if (l == NULL || *l == NULL)
		return;
	struct loop *x = *l;
	/* Who posted gave away what the callback frees. Before anything is closed, since callbacks may post again and free timers. */
	while (run_posts(x))
		;
	uv_close((uv_handle_t *)&x->wake, NULL);
	uv_close((uv_handle_t *)&x->prepare, NULL);
	/* Handles that are closing are freed by their callbacks, which need a turn of the loop. */
	while (uv_run(&x->uv, UV_RUN_NOWAIT) != 0)
		;
	int err = uv_loop_close(&x->uv);
	assert(err == 0 && "a timer, signal or connection outlives the loop");
	(void)err;
	uv_mutex_destroy(&x->lock);
	free(x);
	*l = NULL;
}

void loop_run(struct loop *l)
{
	turn_begin(l);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	turn_end(l);
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

struct uv_loop_s *loop_uv(struct loop *l)
{
	return &l->uv;
}

uint64_t loop_now(const struct loop *l)
{
	return uv_now(&l->uv);
}

int64_t loop_wall(const struct loop *l)
{
	(void)l;
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_timer(uv_timer_t *h)
{
	struct timer *t = (struct timer *)h;
	t->fn(t->arg);
}

struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct timer *t = malloc(sizeof(*t));
	if (t == NULL)
		return NULL;
	uv_timer_init(&l->uv, &t->uv);
	t->fn = fn;
	t->arg = arg;
	return t;
}

/* The loop's clock stands still during a turn and before the first one: "from now" would come too early. To move it on would be worse: timers
 * that are set by timers would run out one after another within one turn, and nobody else would have his. */
uint64_t loop_behind(const struct loop *l)
{
	uint64_t now = uv_hrtime() / 1000000;
	return now > uv_now(&l->uv) ? now - uv_now(&l->uv) : 0;
}

void timer_set(struct timer *t, uint64_t ms)
{
	const struct loop *l = (const struct loop *)t->uv.loop;
	uv_timer_start(&t->uv, on_timer, ms + loop_behind(l), 0);
}

void timer_clear(struct timer *t)
{
	uv_timer_stop(&t->uv);
}

bool timer_is_set(const struct timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

void timer_free(struct timer **t)
{
	if (t == NULL || *t == NULL)
		return;
	uv_close((uv_handle_t *)&(*t)->uv, on_close_free);
	*t = NULL;
}

static void on_signal(uv_signal_t *h, int signo)
{
	(void)signo;
	struct loop_signal *s = (struct loop_signal *)h;
	((struct loop *)h->loop)->interrupted = true;
	s->fn(s->arg);
}

struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	struct loop_signal *s = malloc(sizeof(*s));
	if (s == NULL)
		return NULL;
	if (uv_signal_init(&l->uv, &s->uv) != 0) {
		free(s);
		return NULL;
	}
	s->fn = fn;
	s->arg = arg;
	if (uv_signal_start(&s->uv, on_signal, signo) != 0)
		loop_signal_free(&s);
	return s;
}

void loop_signal_free(struct loop_signal **s)
{
	if (s == NULL || *s == NULL)
		return;
	uv_close((uv_handle_t *)&(*s)->uv, on_close_free);
	*s = NULL;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	(void)status, (void)events;
	struct loop_watch *w = (struct loop_watch *)h;
	w->fn(w->arg);
}

struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_fn *fn, void *arg)
{
	struct loop_watch *w = malloc(sizeof(*w));
	if (w == NULL)
		return NULL;
	if (uv_poll_init(&l->uv, &w->uv, fd) != 0) {
		free(w);
		return NULL;
	}
	w->fn = fn;
	w->arg = arg;
	if (uv_poll_start(&w->uv, UV_READABLE, on_readable) != 0)
		loop_watch_free(&w);
	return w;
}

void loop_watch_free(struct loop_watch **w)
{
	if (w == NULL || *w == NULL)
		return;
	uv_close((uv_handle_t *)&(*w)->uv, on_close_free);
	*w = NULL;
}

void loop_post(struct loop *l, loop_fn *fn, void *arg)
{
	struct post *p = malloc(sizeof(*p));
	if (p == NULL)
		abort();
	*p = (struct post){ .fn = fn, .arg = arg };
	uv_mutex_lock(&l->lock);
	*l->last = p;
	l->last = &p->next;
	uv_mutex_unlock(&l->lock);
	uv_async_send(&l->wake);
}
