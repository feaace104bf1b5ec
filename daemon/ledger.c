#include "ledger_p.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUEST_MAX ((size_t)1 << 30) /* bytes of rows in one call */

/* Answers are given out for so long at a time, at least one; the rest waits for the next turn of the loop, as others do. */
#define TURN_US 4000
/* The write-ahead log is brought into the file when it has so many pages, or when nothing was asked for so long. */
#define FULL_PAGES 4000
#define IDLE_S 1

struct ledger {
	struct loop *loop;
	struct ledger_db db;
	char *path;
	int lock;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct request *first, **last;      /* to be worked off; by the mutex */
	struct request *ready, **ready_end; /* worked off, to be answered; by the mutex */
	struct door *door;                  /* posted to the loop, not called yet; by the mutex */
	bool closing;                       /* by the mutex */
	struct ledger_failure failure;      /* of the thread, until a request that it made fail was handed over; then it stays as it is */
	struct ledger_failure told;         /* loop's thread: the same, once it was delivered */
	bool *gone;                         /* loop's thread: set when the ledger is closed from within a callback */
	struct histogram answers;           /* loop's thread */
	size_t waiting, waiting_most;       /* loop's thread */
	struct histogram commits, checkpoints; /* by the mutex */
};

/* What is posted to the loop: it may come by after the ledger was closed. */
struct door {
	struct ledger *ledger; /* NULL: it was closed */
};

void *request_alloc(struct request *r, size_t n, size_t size)
{
	void *p = n != 0 && size > REQUEST_MAX / n ? NULL : arena_alloc(&r->mem, n * size + 1);

	if (p == NULL)
		abort();
	memset(p, 0, n * size + 1);
	return p;
}

const char *request_copy(struct request *r, const char *text)
{
	size_t n = strlen(text != NULL ? text : "") + 1;
	char *copy = request_alloc(r, n, 1);

	memcpy(copy, text != NULL ? text : "", n);
	return copy;
}

static struct request *request_new(enum request_kind kind, void *arg)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		abort();
	r->kind = kind;
	r->arg = arg;
	arena_init(&r->mem, REQUEST_MAX);
	return r;
}

static void request_free(struct request *r)
{
	arena_done(&r->mem);
	free(r);
}

static void answer(struct request *r)
{
	switch (r->kind) {
	case REQUEST_REGISTER:
		if (r->fn.mailboxes != NULL)
			r->fn.mailboxes(r->arg, r->err, r->answer.mailboxes, r->err == 0 ? r->answer.n : 0);
		break;
	case REQUEST_LOAD_FOLDERS:
		if (r->fn.folders != NULL)
			r->fn.folders(r->arg, r->err, r->answer.folders, r->err == 0 ? r->answer.n : 0);
		break;
	case REQUEST_SAVE_FOLDER:
		if (r->fn.id != NULL)
			r->fn.id(r->arg, r->err, r->answer.id);
		break;
	case REQUEST_LOAD_KNOWN:
		if (r->fn.known != NULL)
			r->fn.known(r->arg, r->err, r->answer.known, r->err == 0 ? r->answer.n : 0, &r->answer.followed);
		break;
	case REQUEST_LOAD_SETS:
	case REQUEST_LOAD_SETS_AFTER:
		if (r->fn.sets != NULL)
			r->fn.sets(r->arg, r->err, r->answer.source_uids, r->answer.target_uids,
				r->err == 0 ? r->answer.n : 0);
		break;
	default:
		if (r->fn.done != NULL)
			r->fn.done(r->arg, r->err);
		break;
	}
}

static void free_all(struct request *r)
{
	while (r != NULL) {
		struct request *next = r->next;

		request_free(r);
		r = next;
	}
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void deliver(void *arg);

/* With the mutex. */
static void knock(struct ledger *l)
{
	if (l->door != NULL || l->ready == NULL)
		return;
	l->door = malloc(sizeof(*l->door));
	if (l->door == NULL)
		abort();
	l->door->ledger = l;
	loop_post(l->loop, deliver, l->door);
}

static struct request *take_ready(struct ledger *l)
{
	struct request *r;

	pthread_mutex_lock(&l->mutex);
	r = l->ready;
	if (r != NULL && (l->ready = r->next) == NULL)
		l->ready_end = &l->ready;
	if (r != NULL && r->err != LEDGER_OK && l->told.err == LEDGER_OK)
		l->told = l->failure;
	pthread_mutex_unlock(&l->mutex);
	return r;
}

/* On the loop's thread. A callback may close the ledger: then nothing more is answered. */
static void deliver(void *arg)
{
	struct door *door = arg;
	struct ledger *l = door->ledger;
	uint64_t begun = now_us(), now = begun;
	bool gone = false;
	struct request *r;

	free(door);
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->mutex);
	l->door = NULL;
	pthread_mutex_unlock(&l->mutex);
	while (now - begun < TURN_US && (r = take_ready(l)) != NULL) {
		l->waiting--;
		histogram_add(&l->answers, now - r->asked);
		l->gone = &gone;
		answer(r);
		request_free(r);
		if (gone)
			return;
		l->gone = NULL;
		now = now_us();
	}
	pthread_mutex_lock(&l->mutex);
	knock(l);
	pthread_mutex_unlock(&l->mutex);
}

/* With the mutex, which is released meanwhile. A checkpoint that fails is made up for by a later one: what is in the log is durable. */
static void checkpoint(struct ledger *l)
{
	uint64_t begun = now_us();

	pthread_mutex_unlock(&l->mutex);
	ledger_db_checkpoint(&l->db);
	pthread_mutex_lock(&l->mutex);
	histogram_add(&l->checkpoints, now_us() - begun);
}

/* With the mutex. False: the ledger is being closed, and all is done. */
static bool wait_for_requests(struct ledger *l)
{
	struct timespec until;

	while (l->first == NULL && !l->closing) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += IDLE_S;
		if (l->db.log_pages == 0)
			pthread_cond_wait(&l->wake, &l->mutex);
		else if (pthread_cond_timedwait(&l->wake, &l->mutex, &until) == ETIMEDOUT && l->first == NULL)
			checkpoint(l);
	}
	return l->first != NULL;
}

static void hand_over(struct ledger *l, struct request *first)
{
	while (first != NULL) {
		struct request *r = first;

		first = r->next;
		r->next = NULL;
		*l->ready_end = r;
		l->ready_end = &r->next;
	}
	knock(l);
}

static void *work(void *arg)
{
	struct ledger *l = arg;

	pthread_mutex_lock(&l->mutex);
	while (wait_for_requests(l)) {
		struct request *first = l->first;
		uint64_t begun = now_us();

		l->first = NULL;
		l->last = &l->first;
		pthread_mutex_unlock(&l->mutex);
		bool committed = l->failure.err == LEDGER_OK && ledger_db_work(&l->db, first) == LEDGER_OK;
		/* Before the answers, and so before the APPENDs: a log that is lost later must not take the mark with it, for nothing else would tell that
		 * there is something on the target to be looked at. (What the ledger does not know at all is looked at anyway.) */
		if (committed && l->db.reopened)
			ledger_db_land(&l->db);
		if (l->failure.err != LEDGER_OK)
			for (struct request *r = first; r != NULL; r = r->next)
				r->err = l->failure.err;
		pthread_mutex_lock(&l->mutex);
		if (committed)
			histogram_add(&l->commits, now_us() - begun);
		if (l->closing)
			free_all(first);
		else
			hand_over(l, first);
		/* After the answers: nobody waits for it but who comes later. */
		if (l->db.log_pages >= FULL_PAGES && !l->closing)
			checkpoint(l);
	}
	pthread_mutex_unlock(&l->mutex);
	return NULL;
}

static void enqueue(struct ledger *l, struct request *r)
{
	r->asked = now_us();
	if (++l->waiting > l->waiting_most)
		l->waiting_most = l->waiting;
	pthread_mutex_lock(&l->mutex);
	*l->last = r;
	l->last = &r->next;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->mutex);
}

/* Signals are the loop's thread's. */
static int start_thread(struct ledger *l)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&l->thread, NULL, work, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int ledger_open(struct loop *loop, const char *dir, struct ledger **ret, struct ledger_failure *failure)
{
	struct ledger *l = calloc(1, sizeof(*l));
	bool unclean = false;
	int err;

	*failure = (struct ledger_failure){ 0 };
	if (l == NULL || asprintf(&l->path, "%s/ledger.sqlite", dir) < 0) {
		free(l);
		return ledger_fail(failure, LEDGER_FAILED, "out of memory");
	}
	l->loop = loop;
	l->lock = -1;
	l->last = &l->first;
	l->ready_end = &l->ready;
	l->db.path = l->path;
	l->db.failure = &l->failure;
	err = ledger_lock(dir, l->path, &l->lock, &unclean, failure);
	if (err == LEDGER_OK) {
		err = ledger_db_open(&l->db, unclean);
		*failure = l->failure;
	}
	if (err == LEDGER_OK) {
		pthread_mutex_init(&l->mutex, NULL);
		pthread_cond_init(&l->wake, NULL);
		if (start_thread(l) != 0) {
			pthread_cond_destroy(&l->wake);
			pthread_mutex_destroy(&l->mutex);
			err = ledger_fail(failure, LEDGER_FAILED, "no thread can be started for the ledger");
		}
	}
	if (err != LEDGER_OK) {
		ledger_db_close(&l->db);
		ledger_unlock(&l->lock, false);
		free(l->path);
		free(l);
		return err;
	}
	*ret = l;
	return LEDGER_OK;
}

void ledger_close(struct ledger **ret)
{
	struct ledger *l = ret != NULL ? *ret : NULL;

	if (l == NULL)
		return;
	*ret = NULL;
	pthread_mutex_lock(&l->mutex);
	l->closing = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->mutex);
	pthread_join(l->thread, NULL);
	if (l->gone != NULL)
		*l->gone = true;
	if (l->door != NULL)
		l->door->ledger = NULL;
	free_all(l->ready);
	ledger_db_close(&l->db);
	ledger_unlock(&l->lock, l->failure.err == LEDGER_OK);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->mutex);
	free(l->path);
	free(l);
}

const char *ledger_error(const struct ledger *l)
{
	return l->told.text;
}

void ledger_meter(struct ledger *l, struct ledger_meter *ret)
{
	pthread_mutex_lock(&l->mutex);
	*ret = (struct ledger_meter){ .answers = l->answers, .commits = l->commits, .checkpoints = l->checkpoints,
		.waiting = l->waiting, .waiting_most = l->waiting_most };
	pthread_mutex_unlock(&l->mutex);
}

/* The calls. */

void ledger_register(struct ledger *l, const char *const *names, size_t n, ledger_mailboxes_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_REGISTER, arg);

	r->fn.mailboxes = fn;
	r->rows.names = request_alloc(r, n, sizeof(*r->rows.names));
	for (size_t i = 0; i < n; i++)
		r->rows.names[i] = request_copy(r, names[i]);
	r->n = n;
	enqueue(l, r);
}

void ledger_save_mailboxes(struct ledger *l, const struct ledger_mailbox *rows, size_t n, ledger_done_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_SAVE_MAILBOXES, arg);

	r->fn.done = fn;
	r->rows.mailboxes = request_alloc(r, n, sizeof(*r->rows.mailboxes));
	for (size_t i = 0; i < n; i++) {
		r->rows.mailboxes[i] = rows[i];
		r->rows.mailboxes[i].name = request_copy(r, rows[i].name);
		r->rows.mailboxes[i].reason = request_copy(r, rows[i].reason);
	}
	r->n = n;
	enqueue(l, r);
}

void ledger_load_folders(struct ledger *l, int64_t mailbox, ledger_folders_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_LOAD_FOLDERS, arg);

	r->fn.folders = fn;
	r->id = mailbox;
	enqueue(l, r);
}

void ledger_save_folder(struct ledger *l, const struct ledger_folder *row, bool forget, ledger_id_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_SAVE_FOLDER, arg);

	r->fn.id = fn;
	r->forget = forget;
	r->rows.folder = request_alloc(r, 1, sizeof(*r->rows.folder));
	*r->rows.folder = *row;
	r->rows.folder->source_path = request_copy(r, row->source_path);
	r->rows.folder->target_path = request_copy(r, row->target_path);
	r->rows.folder->selection = row->selection != NULL ? request_copy(r, row->selection) : NULL;
	r->n = 1;
	enqueue(l, r);
}

void ledger_add_batches(struct ledger *l, const struct ledger_batch *rows, size_t n, ledger_done_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_ADD_BATCHES, arg);

	r->fn.done = fn;
	r->rows.batches = request_alloc(r, n, sizeof(*r->rows.batches));
	for (size_t i = 0; i < n; i++) {
		r->rows.batches[i] = rows[i];
		r->rows.batches[i].source_uids = request_copy(r, rows[i].source_uids);
		r->rows.batches[i].target_uids = request_copy(r, rows[i].target_uids);
		r->rows.batches[i].flags = request_copy(r, rows[i].flags);
	}
	r->n = n;
	enqueue(l, r);
}

void ledger_load_sets(
	struct ledger *l, int64_t folder, uint32_t source_from, uint32_t target_from, ledger_sets_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_LOAD_SETS, arg);

	r->fn.sets = fn;
	r->id = folder;
	r->source_from = source_from;
	r->target_from = target_from;
	enqueue(l, r);
}

void ledger_load_known(struct ledger *l, int64_t folder, ledger_known_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_LOAD_KNOWN, arg);

	r->fn.known = fn;
	r->id = folder;
	enqueue(l, r);
}

void ledger_load_sets_after(struct ledger *l, int64_t folder, int64_t batch, ledger_sets_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_LOAD_SETS_AFTER, arg);

	r->fn.sets = fn;
	r->id = folder;
	r->after = batch;
	enqueue(l, r);
}

void ledger_save_echoes(struct ledger *l, int64_t folder, const struct ledger_echoes *e, ledger_done_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_SAVE_ECHOES, arg);

	r->fn.done = fn;
	r->id = folder;
	r->rows.echoes = request_alloc(r, 1, sizeof(*e));
	*r->rows.echoes = *e;
	enqueue(l, r);
}

void ledger_save_follow(struct ledger *l, const struct ledger_follow *row, ledger_done_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_SAVE_FOLLOW, arg);

	r->fn.done = fn;
	r->rows.follow = request_alloc(r, 1, sizeof(*row));
	*r->rows.follow = *row;
	r->rows.follow->flags = request_copy(r, row->flags);
	r->rows.follow->gone = request_copy(r, row->gone);
	enqueue(l, r);
}

void ledger_save_tried(struct ledger *l, const struct ledger_tried *row, ledger_done_fn *fn, void *arg)
{
	struct request *r = request_new(REQUEST_SAVE_TRIED, arg);

	r->fn.done = fn;
	r->rows.tried = request_alloc(r, 1, sizeof(*row));
	*r->rows.tried = *row;
	r->rows.tried->changes = request_copy(r, row->changes);
	enqueue(l, r);
}

static void send_skips(struct ledger *l, enum request_kind kind, const struct ledger_skip *rows, size_t n, ledger_done_fn *fn, void *arg)
{
	struct request *r = request_new(kind, arg);

	r->fn.done = fn;
	r->rows.skips = request_alloc(r, n, sizeof(*r->rows.skips));
	for (size_t i = 0; i < n; i++) {
		r->rows.skips[i] = rows[i];
		r->rows.skips[i].folder_path = request_copy(r, rows[i].folder_path);
		r->rows.skips[i].message_id = request_copy(r, rows[i].message_id);
		r->rows.skips[i].internaldate = request_copy(r, rows[i].internaldate);
		r->rows.skips[i].reason = request_copy(r, rows[i].reason);
		r->rows.skips[i].uids = rows[i].uids != NULL ? request_copy(r, rows[i].uids) : NULL;
	}
	r->n = n;
	enqueue(l, r);
}

void ledger_add_skips(struct ledger *l, const struct ledger_skip *rows, size_t n, ledger_done_fn *fn, void *arg)
{
	send_skips(l, REQUEST_ADD_SKIPS, rows, n, fn, arg);
}

void ledger_name_skips(struct ledger *l, const struct ledger_skip *rows, size_t n, ledger_done_fn *fn, void *arg)
{
	send_skips(l, REQUEST_NAME_SKIPS, rows, n, fn, arg);
}

void ledger_clear_skips(struct ledger *l, int64_t mailbox, const char *folder_path, uint32_t from, ledger_done_fn *fn,
	void *arg)
{
	struct request *r = request_new(REQUEST_CLEAR_SKIPS, arg);

	r->fn.done = fn;
	r->id = mailbox;
	r->path = request_copy(r, folder_path);
	r->source_from = from;
	enqueue(l, r);
}
