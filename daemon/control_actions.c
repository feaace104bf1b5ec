#include "control_actions.h"

#include "log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

/* Mailboxes in one turn of the loop. */
#define FIND_AT_ONCE 2000u
#define ORDER_AT_ONCE 500u
#define UNKNOWN_SHOWN 20
#define KINDS 16 /* of what becomes of mailboxes, counted when all were asked for */
#define NONE UINT32_MAX

enum job_step {
	JOB_FIND,  /* looks for the names */
	JOB_ORDER, /* gives the orders */
	JOB_SAVE   /* waits until all of it is durable */
};

struct kind {
	char words[96];
	uint32_t n;
};

struct job {
	TAILQ_ENTRY(job) link;
	struct control_call *call;
	const struct control_request *rq;
	enum job_step step;
	uint32_t at;          /* how far the step has come: JOB_FIND a mailbox, JOB_ORDER a name or a mailbox */
	uint32_t *found;      /* of each name; NONE: not yet */
	uint64_t marked;      /* JOB_SAVE: sched_marked() */
	uint32_t effects[SCHED_EFFECT_N];
	struct kind kinds[KINDS];
	struct record *answer;
};

struct actions {
	struct loop *loop;
	struct sched *sched;
	struct timer *timer;
	TAILQ_HEAD(, job) jobs;
};

static void job_free(struct actions *a, struct job *j)
{
	TAILQ_REMOVE(&a->jobs, j, link);
	if (j->answer != NULL)
		record_free(&j->answer);
	free(j->found);
	free(j);
}

static void job_refuse(struct actions *a, struct job *j, unsigned status, const char *words)
{
	control_refuse(j->call, status, "%s", words);
	job_free(a, j);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "es";
}

static void job_answer(struct actions *a, struct job *j)
{
	struct record *answer = j->answer;
	j->answer = NULL;
	record_text(answer, "order", sched_order_name(j->rq->order));
	for (int i = 0; i < SCHED_EFFECT_N; i++)
		record_number(answer, sched_effect_name((enum sched_effect)i), j->effects[i]);
	for (int i = 0; i < KINDS && j->kinds[i].n > 0; i++) {
		struct record *kind = record_new();
		record_text(kind, "words", j->kinds[i].words);
		record_number(kind, "mailboxes", j->kinds[i].n);
		record_append(answer, "summary", &kind);
	}
	control_answer(j->call, 200, &answer);
	job_free(a, j);
}

/* Where the name stands among the sorted ones. */
static uint32_t find_name(const struct control_request *rq, const char *name)
{
	size_t lo = 0, hi = rq->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(name, rq->names[mid]);
		if (cmp == 0)
			return (uint32_t)mid;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NONE;
}

/* False: a name does not exist; that has been answered. */
static bool all_found(struct actions *a, struct job *j)
{
	char words[1024];
	int used = 0;
	size_t unknown = 0;
	for (size_t i = 0; i < j->rq->n; i++) {
		if (j->found[i] != NONE)
			continue;
		if (unknown++ < UNKNOWN_SHOWN && used < (int)sizeof(words) - 200)
			used += snprintf(words + used, sizeof(words) - (size_t)used, "%s\"%.120s\"", used > 0 ? ", " : "", j->rq->names[i]);
	}
	if (unknown == 0)
		return true;
	control_refuse(j->call, 404, "there is no mailbox %s%s; nothing was done", words, unknown > UNKNOWN_SHOWN ? ", ..." : "");
	job_free(a, j);
	return false;
}

static void step_find(struct actions *a, struct job *j)
{
	uint32_t n = sched_mailboxes(a->sched), end = n - j->at < FIND_AT_ONCE ? n : j->at + FIND_AT_ONCE;
	for (; j->at < end; j->at++) {
		char *name = sched_name(a->sched, j->at);
		uint32_t k = find_name(j->rq, name);
		if (k != NONE)
			j->found[k] = j->at;
		free(name);
	}
	if (j->at == n && all_found(a, j)) {
		j->step = JOB_ORDER;
		j->at = 0;
	}
}

static void count_kind(struct job *j, const char *words)
{
	int i = 0;
	while (i < KINDS - 1 && j->kinds[i].n > 0 && strcmp(j->kinds[i].words, words) != 0)
		i++;
	snprintf(j->kinds[i].words, sizeof(j->kinds[i].words), "%s", words);
	j->kinds[i].n++;
}

static void order_one(struct actions *a, struct job *j, uint32_t mailbox)
{
	struct ledger_mailbox before = sched_row(a->sched, mailbox);
	char nothing[96];
	const char *words;
	enum sched_effect effect = sched_order(a->sched, mailbox, j->rq->order, &words);
	if (effect == SCHED_UNFIT) {
		snprintf(nothing, sizeof(nothing), "nothing to %s: it is %s", sched_order_name(j->rq->order),
			before.paused ? "paused" : mailbox_state_name(before.state));
		words = nothing;
	}
	j->effects[effect]++;
	if (j->rq->all) {
		count_kind(j, words);
		return;
	}
	struct record *r = record_new();
	char *name = sched_name(a->sched, mailbox);
	record_text(r, "mailbox", name);
	record_text(r, "state", mailbox_state_name(sched_state(a->sched, mailbox)));
	record_text(r, "effect", sched_effect_name(effect));
	record_text(r, "words", words);
	record_append(j->answer, "mailboxes", &r);
	free(name);
}

static void step_order(struct actions *a, struct job *j)
{
	uint32_t n = j->rq->all ? sched_mailboxes(a->sched) : (uint32_t)j->rq->n;
	uint32_t end = n - j->at < ORDER_AT_ONCE ? n : j->at + ORDER_AT_ONCE;
	for (; j->at < end; j->at++)
		order_one(a, j, j->rq->all ? j->at : j->found[j->at]);
	sched_tick(a->sched);
	j->marked = sched_marked(a->sched);
	if (j->at < n)
		return;
	log_event(LOG_ORDER, NULL, "%s of %s%u mailbox%s, asked for by uid %u (pid %ld): %u changed", sched_order_name(j->rq->order),
		j->rq->all ? "all " : "", (unsigned)n, plural(n), j->rq->uid, j->rq->pid, (unsigned)j->effects[SCHED_CHANGED]);
	j->step = JOB_SAVE;
}

/* Rows are handed to the ledger in the order in which they were marked. */
static void answer_saved(struct actions *a)
{
	struct job *next;
	for (struct job *j = TAILQ_FIRST(&a->jobs); j != NULL; j = next) {
		next = TAILQ_NEXT(j, link);
		if (j->step == JOB_SAVE && sched_saved(a->sched) >= j->marked)
			job_answer(a, j);
	}
}

/* The first order that is not given yet. */
static struct job *job_due(const struct actions *a)
{
	struct job *j = TAILQ_FIRST(&a->jobs);
	while (j != NULL && j->step == JOB_SAVE)
		j = TAILQ_NEXT(j, link);
	return j;
}

/* One part of it. */
static void work(void *arg)
{
	struct actions *a = arg;
	struct job *j = job_due(a);
	if (j == NULL)
		return;
	if (!sched_takes_orders(a->sched))
		job_refuse(a, j, 503, j->step == JOB_FIND ? "godwit is stopping; nothing was done" :
			"godwit is stopping; not all of it was done");
	else if (j->step == JOB_FIND)
		step_find(a, j);
	else
		step_order(a, j);
	answer_saved(a);
	if (job_due(a) != NULL)
		timer_set(a->timer, 0);
}

static void put_state(struct record *r, const struct sched_counts *c)
{
	struct record *states = record_new();
	for (int i = 0; i < MAILBOX_STATE_N; i++)
		record_number(states, mailbox_state_name((enum mailbox_state)i), c->state[i]);
	record_number(r, "mailboxes", c->mailboxes);
	record_put(r, "states", &states);
	record_number(r, "paused", c->paused);
}

static void put_progress(struct record *r, const struct mailbox_progress *p)
{
	struct record *progress = record_new();
	record_number(progress, "folders", p->folders);
	record_number(progress, "folders_done", p->folders_done);
	record_number(progress, "messages", p->messages);
	record_number(progress, "messages_done", p->messages_done);
	record_number(progress, "bytes", p->bytes);
	record_number(progress, "bytes_done", p->bytes_done);
	record_put(r, "progress", &progress);
}

static struct record *mailbox_record(const struct sched *s, uint32_t mailbox)
{
	struct ledger_mailbox m = sched_row(s, mailbox);
	const struct mailbox_progress *p = sched_progress(s, mailbox);
	struct record *r = record_new();
	char *name = sched_name(s, mailbox);
	record_text(r, "mailbox", name);
	record_text(r, "migration", sched_migration_name(s, sched_migration_of(s, mailbox)));
	record_text(r, "state", mailbox_state_name(m.state));
	record_text(r, "reason", m.reason);
	record_number(r, "attempts", m.attempts);
	record_time(r, "next_attempt", m.next_attempt);
	record_time(r, "since", m.since);
	record_time(r, "last_synced", m.last_synced);
	record_flag(r, "paused", m.paused);
	record_flag(r, "finishing", m.finishing);
	if (p != NULL)
		put_progress(r, p);
	free(name);
	return r;
}

/* Out of memory alone, and no more of it than one turn of the loop can bear. */
static void answer_status(const struct actions *a, struct control_call *call, const struct control_request *rq)
{
	const struct sched *s = a->sched;
	uint32_t n = sched_mailboxes(s), from = rq->after < n ? rq->after : n;
	uint32_t end = n - from < rq->limit ? n : from + rq->limit;
	struct record *r = record_new();
	record_number(r, "pid", (uint64_t)getpid());
	record_time(r, "time", loop_wall(a->loop));
	for (uint32_t i = 0; i < sched_migrations(s); i++) {
		struct record *m = record_new();
		record_text(m, "migration", sched_migration_name(s, i));
		put_state(m, sched_counts(s, i));
		record_append(r, "migrations", &m);
	}
	record_texts(r, "mailboxes", NULL, 0);
	for (uint32_t i = from; i < end; i++) {
		struct record *m = mailbox_record(s, i);
		record_append(r, "mailboxes", &m);
	}
	if (end < n)
		record_number(r, "next", end);
	else
		record_null(r, "next");
	control_answer(call, 200, &r);
}

void actions_on_request(void *owner, struct control_call *call, const struct control_request *rq)
{
	struct actions *a = owner;
	if (!sched_is_started(a->sched)) {
		control_refuse(call, 503, "godwit is starting");
		return;
	}
	if (rq->what == CONTROL_STATUS) {
		answer_status(a, call, rq);
		return;
	}
	struct job *j = calloc(1, sizeof(*j));
	if (j == NULL)
		abort();
	*j = (struct job){ .call = call, .rq = rq, .step = rq->all ? JOB_ORDER : JOB_FIND, .answer = record_new() };
	if (!rq->all) {
		j->found = malloc(rq->n * sizeof(*j->found));
		if (j->found == NULL)
			abort();
		for (size_t i = 0; i < rq->n; i++)
			j->found[i] = NONE;
	}
	TAILQ_INSERT_TAIL(&a->jobs, j, link);
	timer_set(a->timer, 0);
}

void actions_on_sched(void *owner, const struct sched_event *ev)
{
	struct actions *a = owner;
	if (a == NULL)
		return;
	if (ev->kind == SCHED_SAVED)
		answer_saved(a);
	while (ev->kind == SCHED_BROKEN && !TAILQ_EMPTY(&a->jobs))
		job_refuse(a, TAILQ_FIRST(&a->jobs), 500, ev->words);
}

struct actions *actions_new(struct loop *l, struct sched *s)
{
	struct actions *a = calloc(1, sizeof(*a));
	if (a == NULL)
		abort();
	*a = (struct actions){ .loop = l, .sched = s };
	TAILQ_INIT(&a->jobs);
	a->timer = timer_new(l, work, a);
	if (a->timer == NULL)
		abort();
	return a;
}

void actions_free(struct actions **a)
{
	if (a == NULL || *a == NULL)
		return;
	while (!TAILQ_EMPTY(&(*a)->jobs))
		job_free(*a, TAILQ_FIRST(&(*a)->jobs));
	timer_free(&(*a)->timer);
	free(*a);
	*a = NULL;
}
