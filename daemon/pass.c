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

int pass_redo_few(struct folder *f, uint32_t uid)
{
	pass_hold(f, uid);
	return uidset_add(&f->redo_few, uid);
}

/* Calls to the ledger. */

struct pass_call {
	struct lane *l;
	struct folder *f;
	pass_call_fn *fn;
};

struct pass_call *pass_call_new(struct lane *l, struct folder *f, pass_call_fn *fn)
{
	struct pass_call *call = malloc(sizeof(*call));

	if (call == NULL)
		return NULL;
	*call = (struct pass_call){ l, f, fn };
	l->pass->calls++;
	return call;
}

struct folder *pass_call_folder(void *arg)
{
	struct pass_call *call = arg;

	return call->l->pass->abandoned || call->l->pass->step == PASS_ENDED ? NULL : call->f;
}

struct pass *pass_call_pass(void *arg)
{
	return ((struct pass_call *)arg)->l->pass;
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
	struct pass *p = call.l->pass;

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
		call.fn(call.l, call.f, id);
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
	for (unsigned i = 0; i < p->lane_n; i++)
		writer_flush(p->lane[i], true);
	/* The owner frees the pass: not while somebody of it is still on the stack. */
	timer_set(p->soon, 0);
}

static bool any_lane(const struct pass *p, bool (*is)(const struct lane *l))
{
	for (unsigned i = 0; i < p->lane_n; i++)
		if (is(p->lane[i]))
			return true;
	return false;
}

static bool lane_is_recording(const struct lane *l)
{
	return l->writer.recording != 0;
}

/* Answers of the source are still to come: what comes next must not be taken for them. */
static bool lane_is_reading(const struct lane *l)
{
	return l->reader.jobs != 0;
}

static bool lane_is_busy(const struct lane *l)
{
	return !writer_is_idle(l) || l->relay.n != 0;
}

static bool is_stuck(const struct pass *p)
{
	for (unsigned i = 0; i < p->lane_n; i++)
		if (lane_is_stuck(p->lane[i]))
			return true;
	return false;
}

static void name_or_end(struct pass *p)
{
	if (!naming_begin(p))
		pass_end(p);
}

static void sweep_or_name(struct pass *p)
{
	if (!sweep_begin(p))
		name_or_end(p);
}

/* All mail is where it belongs, and one lane is enough for what is left. */
static bool is_afterwards(const struct pass *p)
{
	return p->step == PASS_FOLLOW || p->step == PASS_SWEEP || p->step == PASS_NAME;
}

void pass_check_end(struct pass *p)
{
	pass_check_leave(p);
	if (p->step == PASS_DRAIN && !any_lane(p, lane_is_under_way) && !any_lane(p, lane_is_recording))
		pass_end(p);
	else if (p->step == PASS_COPY && p->open_folders == 0 && p->calls == 0 && !any_lane(p, lane_is_busy) &&
		!any_lane(p, lane_is_reading) && !follow_begin(p))
		sweep_or_name(p);
	else if (p->step == PASS_FOLLOW && p->follow.done == p->follow.n)
		sweep_or_name(p);
	else if (p->step == PASS_SWEEP && p->sweep.over)
		name_or_end(p);
	else if (p->step == PASS_NAME && p->naming.over)
		pass_end(p);
}

void pass_pump(struct pass *p)
{
	for (unsigned i = 0; i < p->lane_n && p->step == PASS_COPY; i++)
		reader_pump(p->lane[i]);
}

static void drain(struct pass *p)
{
	p->step = PASS_DRAIN;
	work_drop(&p->work);
	for (unsigned i = 0; i < p->lane_n; i++)
		lane_drain(p->lane[i]);
}

/* The first reason is the one that is told, unless nothing can go on at all. */
void pass_fail(struct pass *p, const struct outcome *why)
{
	if (p->step == PASS_ENDED)
		return;
	/* In PASS_NAME its work is done. */
	if ((p->step != PASS_DRAIN && p->step != PASS_NAME) || why->radius == RADIUS_RUN)
		p->outcome = *why;
	/* A message whose rest will not come cannot be finished: its connection is given up. */
	if (why->radius == RADIUS_RUN || p->step == PASS_SURVEY || is_afterwards(p) || !any_lane(p, lane_is_under_way) || is_stuck(p))
		pass_end(p);
	else if (p->step == PASS_COPY)
		drain(p);
}

void pass_abort(struct pass *p, const struct outcome *why)
{
	if (p->step != PASS_DRAIN && p->step != PASS_NAME && p->step != PASS_ENDED)
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
	if (p->step != PASS_NAME)
		outcome_set(&p->outcome, RADIUS_CONNECTION, HEAL_TIME, SOURCE, "stopped");
	if (now || p->step == PASS_SURVEY || is_afterwards(p))
		pass_end(p);
	else if (p->step == PASS_COPY) {
		drain(p);
		pass_check_end(p);
	}
}

/* Without the target nothing can be waited for. */
static void lane_lost(struct lane *l, enum side side, const struct conn_failure *failure)
{
	struct pass *p = l->pass;
	struct outcome why;

	outcome_of_failure(&why, side, AT_WORK, failure);
	l->peer[side] = NULL;
	if (is_afterwards(p) && !lane_is_first(l))
		return; /* its work is done */
	pass_fail(p, &why);
	if (p->step == PASS_DRAIN && (side == TARGET || lane_is_stuck(l)))
		pass_end(p);
}

/* The end of a folder. */

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
	pass_add_skip(p, f, 0, reason);
	if (f->step == FOLDER_OPENING || f->step == FOLDER_COPYING || f->step == FOLDER_CLOSING)
		folder_is_done(p);
	f->step = FOLDER_LEFT_OUT;
	p->progress.folders_left_out++;
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

/* Something may be sent there again. What the source has no more cannot be doubled, and must not make each later pass wait. */
static bool is_at_stake(const struct pass *p, const struct ledger_folder *row)
{
	const struct survey_folder *f = row->open ? survey_find(&p->survey[SOURCE], span_str(row->source_path)) : NULL;

	return f != NULL && (f->has == 0 || f->messages != 0);
}

/* APPENDs that left before a break may be carried out long after it: the server has them in its buffers. What is sent again before they have
 * landed is there twice. True: the target changed lately, it is looked at again soon. */
static bool is_settling(struct pass *p)
{
	uint64_t now = loop_now(p->env->loop), seen = 0;
	bool open = false;

	for (size_t i = 0; i < p->row_n; i++)
		open = open || is_at_stake(p, &p->row[i]);
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

void pass_look_again(struct pass *p)
{
	int err;

	struct peer *target = p->lane[0]->peer[TARGET];

	if (p->step != PASS_SURVEY || target == NULL)
		return;
	survey_done(&p->survey[TARGET]);
	survey_init(&p->survey[TARGET], TARGET);
	p->surveyed[TARGET] = false;
	err = survey_start(&p->survey[TARGET], target);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
}

static void look_again(void *arg)
{
	pass_look_again(arg);
}

/* False: it does not go on from here, or not yet. */
static bool make_mapping(struct pass *p)
{
	struct outcome why;
	char words[400];
	int err = mapping_make(&p->mapping, p->spec->rules.folders, &p->survey[SOURCE], &p->survey[TARGET], p->row, p->row_n, &p->memory);

	if (err != 0) {
		pass_fail_proto(p, SOURCE, err);
		return false;
	}
	if (p->mapping.conflict[0] != NULL) {
		mapping_print_conflict(&p->mapping, words, sizeof(words));
		outcome_set(&why, RADIUS_MAILBOX, HEAL_OPERATOR, SOURCE, "%s", words);
		pass_fail(p, &why);
		return false;
	}
	return !pass_names_begin(p);
}

static void begin_copy(struct pass *p)
{
	int err;

	if (p->step != PASS_SURVEY || !p->surveyed[SOURCE] || !p->surveyed[TARGET] || !p->rows_loaded || is_settling(p) || !make_mapping(p))
		return;
	p->step = PASS_COPY;
	lane_measure(p->lane[0], p->lane[0]);
	err = pass_plan(p);
	if (err != 0) {
		pass_fail_proto(p, SOURCE, err);
		return;
	}
	pass_pump(p);
	if (p->step == PASS_COPY)
		p->began(p->owner);
}

static int copy_rows(struct pass *p, const struct ledger_folder *rows, size_t n)
{
	p->row = calloc(n + 1, sizeof(*p->row));
	if (p->row == NULL)
		return PROTO_ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct span source, target, selection;
		int err = arena_copy(&p->memory, span_of(rows[i].source_path, strlen(rows[i].source_path) + 1), &source);

		if (err == 0)
			err = arena_copy(&p->memory, span_of(rows[i].target_path, strlen(rows[i].target_path) + 1), &target);
		if (err == 0)
			err = arena_copy(&p->memory, span_of(rows[i].selection, strlen(rows[i].selection) + 1), &selection);
		if (err != 0)
			return err;
		p->row[i] = rows[i];
		p->row[i].source_path = source.p;
		p->row[i].target_path = target.p;
		p->row[i].selection = selection.p;
		p->row_n++;
	}
	return 0;
}

static void rows_loaded(struct lane *l, struct folder *f, int64_t id)
{
	(void)f, (void)id;
	l->pass->rows_loaded = true;
	begin_copy(l->pass);
}

static void take_rows(void *arg, int err, const struct ledger_folder *rows, size_t n)
{
	struct pass *p = ((struct pass_call *)arg)->l->pass;

	if (err == LEDGER_OK && !p->abandoned && p->step == PASS_SURVEY && copy_rows(p, rows, n) != 0)
		pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
	pass_call_done(arg, err);
}

static void survey_event(struct pass *p, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (p->surveyed[side])
		return;
	switch (survey_on(&p->survey[side], p->lane[0]->peer[side], ev, &why)) {
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

	if (!outcome_of_bye(&why, side, ev))
		return false;
	pass_fail(p, &why);
	return true;
}

static void on_peer(struct lane *l, enum side side, const struct peer_event *ev)
{
	struct pass *p = l->pass;

	if (p->step == PASS_ENDED)
		return;
	switch (ev->kind) {
	case PEER_SESSION:
		if (is_afterwards(p) && !lane_is_first(l))
			break;
		if (is_bye(p, side, ev->session))
			break;
		if (p->step == PASS_SURVEY && side == TARGET && p->names.under_way)
			pass_names_on(p, ev->session);
		else if (p->step == PASS_SURVEY)
			survey_event(p, side, ev->session);
		else if (p->step == PASS_FOLLOW)
			follow_on(p, side, ev->session);
		else if (p->step == PASS_SWEEP)
			sweep_on(p, side, ev->session);
		else if (p->step == PASS_NAME)
			naming_on(p, side, ev->session);
		else if (side == SOURCE)
			reader_on(l, ev->session);
		else
			writer_on(l, ev->session);
		break;
	case PEER_DRAINED:
		if (side == TARGET)
			writer_pump(l);
		break;
	case PEER_DOWN:
		lane_lost(l, side, ev->failure);
		break;
	case PEER_UP:
	case PEER_VACANT:
		break;
	}
}

/* Every command has a deadline. What has none is a mistake of our own: it must not hold a slot for ever. */
static void watch(void *arg)
{
	struct pass *p = arg;
	struct outcome why;
	bool quiet = p->calls == 0 && !timer_is_set(p->settle);

	for (unsigned i = 0; i < p->lane_n; i++)
		for (int side = 0; side < SIDES; side++)
			if (p->lane[i]->peer[side] != NULL && session_inflight(peer_session(p->lane[i]->peer[side])) != 0)
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
	struct pass_call *call = pass_call_new(p->lane[0], NULL, rows_loaded);
	int err = call == NULL ? PROTO_ERR_NOMEM : 0;

	if (err == 0)
		ledger_load_folders(p->env->ledger, p->spec->ledger_id, take_rows, call);
	for (int side = 0; side < SIDES && err == 0; side++)
		err = survey_start(&p->survey[side], p->lane[0]->peer[side]);
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
}

void pass_listen(struct lane *l)
{
	peer_lend(l->peer[SOURCE], on_source, l);
	peer_lend(l->peer[TARGET], on_target, l);
}

struct pass *pass_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	pass_began_fn *began, pass_left_fn *left, pass_ended_fn *ended, void *owner)
{
	struct pass *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->env = env;
	p->spec = spec;
	p->began = began;
	p->left = left;
	p->ended = ended;
	p->owner = owner;
	arena_init(&p->memory, 64u << 20);
	survey_init(&p->survey[SOURCE], SOURCE);
	survey_init(&p->survey[TARGET], TARGET);
	p->survey[SOURCE].all = folder_rules_all_namespaces(spec->rules.folders);
	p->soon = timer_new(env->loop, tell_end, p);
	p->watch = timer_new(env->loop, watch, p);
	p->settle = timer_new(env->loop, look_again, p);
	p->leave = timer_new(env->loop, pass_leave, p);
	if (p->soon == NULL || p->watch == NULL || p->settle == NULL || p->leave == NULL || pass_take_lane(p, source, target) == NULL) {
		pass_free(&p);
		return NULL;
	}
	timer_set(p->watch, env->peer_limits.command_timeout);
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
		uidset_done(&f->bare);
		uidset_done(&f->binary);
		uidset_done(&f->undated);
		mend_done(&f->mend);
		uidset_done(&f->redo_few);
		uidset_done(&f->delivered);
		uidset_done(&f->unnamed);
		losses_done(&f->losses);
		batch_done(&f->unrecorded);
	}
	free(p->folder);
	free(p->row);
	survey_done(&p->survey[SOURCE]);
	survey_done(&p->survey[TARGET]);
	for (unsigned i = 0; i < p->lane_n; i++)
		lane_free(&p->lane[i]);
	work_done(&p->work);
	follow_done(&p->follow);
	sweep_done(&p->sweep);
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
	timer_free(&gone->leave);
	gone->step = PASS_ENDED;
	gone->abandoned = true;
	if (gone->calls == 0)
		pass_destroy(gone);
}

const struct mailbox_progress *pass_progress(const struct pass *p)
{
	return &p->progress;
}
