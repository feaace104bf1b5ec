#include "pass.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "log.h"

/* ms */
#define SETTLE_EVERY 250
#define SETTLE_TIMES 20 /* not longer than so many times the quiet that is wanted */

static void pass_destroy(struct pass *p);

struct log_context pass_context(const struct pass *p, const struct folder *f, uint32_t uid)
{
	/* The name has the migration in it. */
	return (struct log_context){ .mailbox = p->spec->name, .uid = uid,
		.folder = f != NULL ? f->row.source_path : NULL };
}

bool pass_is_copying(const struct pass *p)
{
	return p->step == PASS_COPY && p->peer[SOURCE] != NULL;
}

void pass_hold(struct folder *f, uint32_t uid)
{
	if (f->hold == 0 || uid < f->hold)
		f->hold = uid;
}

int pass_redo(struct folder *f, uint32_t uid)
{
	pass_hold(f, uid);
	return uidset_add(&f->redo, uid);
}

/* Calls to the ledger. */

struct pass_call {
	struct pass *p;
	struct folder *f;
	pass_call_fn *fn;
};

struct pass_call *pass_call_new(struct pass *p, struct folder *f, pass_call_fn *fn)
{
	struct pass_call *call = malloc(sizeof(*call));

	if (call == NULL)
		return NULL;
	*call = (struct pass_call){ p, f, fn };
	p->calls++;
	return call;
}

struct folder *pass_call_folder(void *arg)
{
	struct pass_call *call = arg;

	return call->p->abandoned || call->p->step == PASS_ENDED ? NULL : call->f;
}

static void ledger_failed(struct pass *p)
{
	struct outcome why;

	outcome_set(&why, RADIUS_RUN, HEAL_OPERATOR, TARGET, "%s", ledger_error(p->env->ledger));
	pass_fail(p, &why);
}

void pass_call_id(void *arg, int err, int64_t id)
{
	struct pass_call call = *(struct pass_call *)arg;
	struct pass *p = call.p;

	free(arg);
	p->calls--;
	if (p->abandoned) {
		if (p->calls == 0)
			pass_destroy(p);
		return;
	}
	if (err != LEDGER_OK)
		ledger_failed(p);
	else if (p->step != PASS_ENDED && call.fn != NULL)
		call.fn(p, call.f, id);
	pass_check_end(p);
}

void pass_call_done(void *arg, int err)
{
	pass_call_id(arg, err, 0);
}

/* Ends. */

static void tell_end(void *arg)
{
	struct pass *p = arg;

	p->ended(p->owner, &p->outcome);
}

static void pass_end(struct pass *p)
{
	if (p->step == PASS_ENDED)
		return;
	p->step = PASS_ENDED;
	writer_flush(p, true);
	/* The owner frees the pass: not while somebody of it is still on the stack. */
	timer_set(p->soon, 0);
}

static bool nothing_under_way(const struct pass *p)
{
	return p->writer.n == 0 && !p->writer.sending;
}

void pass_check_end(struct pass *p)
{
	if (p->step == PASS_DRAIN && nothing_under_way(p) && p->writer.recording == 0)
		pass_end(p);
	else if (p->step == PASS_COPY && p->open_folders == 0 && writer_is_idle(p) && p->calls == 0 &&
		relay_head(&p->relay) == NULL)
		pass_end(p);
}

static void drain(struct pass *p)
{
	p->step = PASS_DRAIN;
	reader_stop(p);
	writer_pump(p);
}

/* The first reason is the one that is told, unless nothing can go on at all. */
void pass_fail(struct pass *p, const struct outcome *why)
{
	if (p->step == PASS_ENDED)
		return;
	if (p->step != PASS_DRAIN || why->radius == RADIUS_RUN)
		p->outcome = *why;
	if (why->radius == RADIUS_RUN || p->step == PASS_SURVEY || p->peer[TARGET] == NULL || nothing_under_way(p)) {
		pass_end(p);
	} else if (p->step == PASS_COPY) {
		struct relay_item *h = relay_head(&p->relay);

		/* A message whose rest will not come cannot be finished: its connection is given up. */
		if (p->writer.sending && p->peer[SOURCE] == NULL && !h->whole)
			pass_end(p);
		else
			drain(p);
	}
}

void pass_abort(struct pass *p, const struct outcome *why)
{
	if (p->step == PASS_SURVEY || p->step == PASS_COPY)
		p->outcome = *why;
	pass_end(p);
}

/* Nothing may be sent any more: what the session holds may be half a command. */
void pass_fail_proto(struct pass *p, enum side side, int err)
{
	struct outcome why;

	outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, side, "%s", proto_strerror(err));
	pass_abort(p, &why);
}

void pass_stop(struct pass *p, bool now)
{
	if (p->step == PASS_ENDED)
		return;
	outcome_set(&p->outcome, RADIUS_CONNECTION, HEAL_TIME, SOURCE, "stopped");
	if (now || p->step == PASS_SURVEY)
		pass_end(p);
	else if (p->step == PASS_COPY) {
		drain(p);
		pass_check_end(p);
	}
}

void pass_lost(struct pass *p, enum side side, const struct conn_failure *failure)
{
	struct outcome why;

	outcome_of_failure(&why, side, AT_WORK, failure);
	p->peer[side] = NULL;
	pass_fail(p, &why);
	/* Without the target nothing can be waited for; without the source a half-sent message cannot be finished. */
	if (p->step == PASS_DRAIN &&
		(side == TARGET || (p->writer.sending && relay_head(&p->relay) != NULL && !relay_head(&p->relay)->whole)))
		pass_end(p);
}

/* What is left out. */

static void add_skip(struct pass *p, struct folder *f, uint32_t uid, const char *reason)
{
	struct ledger_skip row = { .folder = f->row.id, .mailbox = p->spec->ledger_id,
		.folder_path = f->row.source_path, .uid = uid, .message_id = "", .reason = reason };

	ledger_add_skips(p->env->ledger, &row, 1, NULL, NULL);
}

void pass_leave_out_message(struct pass *p, struct folder *f, uint32_t uid, const char *reason)
{
	struct log_context ctx = pass_context(p, f, uid);

	log_event(LOG_MESSAGE_LEFT_OUT, &ctx, "a message is left out: %s", reason);
	add_skip(p, f, uid, reason);
	/* Nor is it looked for again in this pass; out of memory, it is told twice. */
	(void)uidset_add(&f->delivered, uid);
	p->progress.left_out++;
	pass_count(p, 1);
}

static void folder_is_done(struct pass *p)
{
	assert(p->open_folders != 0);
	p->open_folders--;
	p->progress.folders_done++;
}

void pass_leave_out_folder(struct pass *p, struct folder *f, const char *reason)
{
	struct log_context ctx = pass_context(p, f, 0);

	if (f->step == FOLDER_LEFT_OUT || f->step == FOLDER_COMPLETE)
		return;
	log_event(LOG_FOLDER_LEFT_OUT, &ctx, "the folder is left out: %s", reason);
	add_skip(p, f, 0, reason);
	if (f->step == FOLDER_OPENING || f->step == FOLDER_COPYING || f->step == FOLDER_CLOSING)
		folder_is_done(p);
	f->step = FOLDER_LEFT_OUT;
	p->progress.folders_left_out++;
}

void pass_leave_out_subscription(struct pass *p, struct span path, const char *reason)
{
	struct log_context ctx = pass_context(p, NULL, 0);
	char text[600];

	if (survey_find(&p->survey[SOURCE], path) == NULL)
		return;
	log_event(LOG_SUBSCRIBE_FAILED, &ctx, "the subscription of %.*s is left out: %s", SPAN_ARG(path), reason);
	snprintf(text, sizeof(text), "its subscription: %s", reason);
	for (size_t i = 0; i < p->folder_n; i++)
		if (span_eq(span_str(p->folder[i].row.source_path), path) && p->folder[i].step != FOLDER_LEFT_OUT)
			add_skip(p, &p->folder[i], 0, text);
}

void pass_folder_complete(struct pass *p, struct folder *f)
{
	if (f->step != FOLDER_CLOSING)
		return;
	f->step = FOLDER_COMPLETE;
	suspects_free(&f->suspects);
	p->progress.any = true;
	folder_is_done(p);
	pass_check_end(p);
}

void pass_count(struct pass *p, uint64_t messages)
{
	p->progress.messages_done += messages;
	if (p->progress.messages_done > p->progress.messages)
		p->progress.messages = p->progress.messages_done;
}

/* The survey. */

/* APPENDs that left before a break may be carried out long after it: the server has them in its buffers. What is sent again before they have
 * landed is there twice. True: the target changed lately, it is looked at again soon. */
static bool is_settling(struct pass *p)
{
	uint64_t now = loop_now(p->env->loop), seen = 0;
	bool open = false;

	for (size_t i = 0; i < p->row_n; i++)
		open = open || p->row[i].open;
	if (!open)
		return false;
	for (size_t i = 0; i < p->survey[TARGET].folder_n; i++)
		seen += (uint64_t)p->survey[TARGET].folder[i].uidnext + p->survey[TARGET].folder[i].messages;
	if (p->settle_began == 0)
		p->settle_began = p->settle_changed = now;
	else if (seen != p->settle_seen)
		p->settle_changed = now;
	p->settle_seen = seen;
	if (now - p->settle_changed >= p->env->settle || now - p->settle_began >= p->env->settle * SETTLE_TIMES)
		return false;
	timer_set(p->settle, SETTLE_EVERY);
	return true;
}

static void look_again(void *arg)
{
	struct pass *p = arg;
	int err;

	if (p->step != PASS_SURVEY || p->peer[TARGET] == NULL)
		return;
	survey_done(&p->survey[TARGET]);
	survey_init(&p->survey[TARGET], TARGET);
	p->surveyed[TARGET] = false;
	err = survey_start(&p->survey[TARGET], p->peer[TARGET]);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
}

static void begin_copy(struct pass *p)
{
	int err;

	if (p->step != PASS_SURVEY || !p->surveyed[SOURCE] || !p->surveyed[TARGET] || !p->rows_loaded || is_settling(p))
		return;
	p->step = PASS_COPY;
	err = pass_plan(p);
	if (err != 0) {
		pass_fail_proto(p, SOURCE, err);
		return;
	}
	reader_pump(p);
}

static int copy_rows(struct pass *p, const struct ledger_folder *rows, size_t n)
{
	p->row = calloc(n + 1, sizeof(*p->row));
	if (p->row == NULL)
		return PROTO_ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct span source, target;
		int err = arena_copy(&p->memory, span_of(rows[i].source_path, strlen(rows[i].source_path) + 1), &source);

		if (err == 0)
			err = arena_copy(&p->memory, span_of(rows[i].target_path, strlen(rows[i].target_path) + 1), &target);
		if (err != 0)
			return err;
		p->row[i] = rows[i];
		p->row[i].source_path = source.p;
		p->row[i].target_path = target.p;
		p->row_n++;
	}
	return 0;
}

static void rows_loaded(struct pass *p, struct folder *f, int64_t id)
{
	(void)f, (void)id;
	p->rows_loaded = true;
	begin_copy(p);
}

static void take_rows(void *arg, int err, const struct ledger_folder *rows, size_t n)
{
	struct pass_call *call = arg;

	if (err == LEDGER_OK && !call->p->abandoned && call->p->step == PASS_SURVEY && copy_rows(call->p, rows, n) != 0)
		pass_fail_proto(call->p, SOURCE, PROTO_ERR_NOMEM);
	pass_call_done(arg, err);
}

static void survey_event(struct pass *p, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (p->surveyed[side])
		return;
	switch (survey_on(&p->survey[side], p->peer[side], ev, &why)) {
	case SURVEY_FAILED:
		pass_fail(p, &why);
		break;
	case SURVEY_COMPLETE:
		p->surveyed[side] = true;
		begin_copy(p);
		break;
	default:
		break;
	}
}

/* Events of the peers. */

/* A BYE at any time: nothing more may be asked for; what is under way may still be answered. */
static bool is_bye(struct pass *p, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (ev->kind != EVENT_RESPONSE || ev->resp.kind != RESP_STATUS || ev->resp.status.status != STATUS_BYE)
		return false;
	outcome_of_reply(&why, side, CMD_NOOP, &ev->resp.status);
	why.radius = RADIUS_CONNECTION;
	why.heal = HEAL_TIME;
	pass_fail(p, &why);
	return true;
}

static void on_peer(struct pass *p, enum side side, const struct peer_event *ev)
{
	if (p->step == PASS_ENDED)
		return;
	switch (ev->kind) {
	case PEER_SESSION:
		if (is_bye(p, side, ev->session))
			break;
		if (p->step == PASS_SURVEY)
			survey_event(p, side, ev->session);
		else if (side == SOURCE)
			reader_on(p, ev->session);
		else
			writer_on(p, ev->session);
		break;
	case PEER_DRAINED:
		if (side == TARGET)
			writer_pump(p);
		break;
	case PEER_DOWN:
		pass_lost(p, side, ev->failure);
		break;
	case PEER_UP:
		break;
	}
}

/* Every command has a deadline. What has none is a mistake of our own: it must not hold a slot for ever. */
static void watch(void *arg)
{
	struct pass *p = arg;
	struct outcome why;
	bool quiet = p->calls == 0 && !timer_is_set(p->settle);

	for (int side = 0; side < SIDES; side++)
		if (p->peer[side] != NULL && session_inflight(peer_session(p->peer[side])) != 0)
			quiet = false;
	if (quiet && p->quiet && p->step != PASS_ENDED) {
		outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, SOURCE, "nothing is under way, and the pass is not at its end");
		p->outcome = why;
		pass_end(p);
		return;
	}
	p->quiet = quiet;
	timer_set(p->watch, p->env->peer_limits.command_timeout);
}

static void on_source(void *owner, const struct peer_event *ev)
{
	on_peer(owner, SOURCE, ev);
}

static void on_target(void *owner, const struct peer_event *ev)
{
	on_peer(owner, TARGET, ev);
}

/* Life. */

static void start(struct pass *p)
{
	struct pass_call *call = pass_call_new(p, NULL, rows_loaded);
	int err = call == NULL ? PROTO_ERR_NOMEM : 0;

	if (err == 0)
		ledger_load_folders(p->env->ledger, p->spec->ledger_id, take_rows, call);
	for (int side = 0; side < SIDES && err == 0; side++)
		err = survey_start(&p->survey[side], p->peer[side]);
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
}

struct pass *pass_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	pass_ended_fn *ended, void *owner)
{
	struct pass *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->env = env;
	p->spec = spec;
	p->peer[SOURCE] = source;
	p->peer[TARGET] = target;
	p->ended = ended;
	p->owner = owner;
	arena_init(&p->memory, 64u << 20);
	survey_init(&p->survey[SOURCE], SOURCE);
	survey_init(&p->survey[TARGET], TARGET);
	relay_init(&p->relay);
	reader_init(&p->reader);
	writer_init(&p->writer);
	p->soon = timer_new(env->loop, tell_end, p);
	p->watch = timer_new(env->loop, watch, p);
	p->settle = timer_new(env->loop, look_again, p);
	if (p->soon == NULL || p->watch == NULL || p->settle == NULL) {
		pass_free(&p);
		return NULL;
	}
	timer_set(p->watch, env->peer_limits.command_timeout);
	peer_lend(source, on_source, p);
	peer_lend(target, on_target, p);
	start(p);
	return p;
}

static void pass_destroy(struct pass *p)
{
	for (size_t i = 0; i < p->folder_n; i++) {
		struct folder *f = &p->folder[i];

		suspects_free(&f->suspects);
		uidset_done(&f->recorded);
		uidset_done(&f->recorded_target);
		uidset_done(&f->redo);
		uidset_done(&f->delivered);
		batch_done(&f->unrecorded);
	}
	free(p->folder);
	free(p->row);
	survey_done(&p->survey[SOURCE]);
	survey_done(&p->survey[TARGET]);
	relay_done(&p->relay);
	reader_done(&p->reader);
	writer_done(&p->writer);
	arena_done(&p->memory);
	free(p);
}

void pass_free(struct pass **p)
{
	struct pass *gone = *p;

	if (gone == NULL)
		return;
	*p = NULL;
	timer_free(&gone->soon);
	timer_free(&gone->watch);
	timer_free(&gone->settle);
	gone->step = PASS_ENDED;
	gone->abandoned = true;
	if (gone->calls == 0)
		pass_destroy(gone);
}

const struct mailbox_progress *pass_progress(const struct pass *p)
{
	return &p->progress;
}
