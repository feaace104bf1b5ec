#include "mailbox.h"

#include <assert.h>
#include <stdlib.h>

#include "log.h"
#include "pass.h"
#include "plan.h"
#include "verify.h"

enum mailbox_step {
	STEP_LOGIN, /* until both sides are up and mailbox_run() is called */
	STEP_PASS,
	STEP_CHECK,
	STEP_VERIFY,
	STEP_PLAN,
	STEP_END
};

/* A pair of connections more, for another lane of the pass. */
struct pair {
	struct mailbox *m;
	struct peer *peer[SIDES];
	bool lent;  /* to the pass */
};

struct mailbox {
	const struct mailbox_env *env;
	const struct mailbox_spec *spec;
	mailbox_funnel *funnel;
	void *owner;
	enum mailbox_step step;
	struct peer *peer[SIDES];
	struct pair *pair[LANES_MAX];
	unsigned pairs;
	unsigned unwanted; /* pairs that are still being dialled, and are to go again */
	bool no_more;  /* a pair was refused */
	struct pass *pass;
	struct verify *verify;
	struct verify_counts verified;
	struct plan *plan; /* until the end of the mailbox: its owner reads it */
	struct timer *soon;
	struct outcome outcome;
	struct outcome result[SIDES]; /* JOB_CHECK */
	bool checked[SIDES];
	struct mailbox_progress progress;
};

/* What is through with its work in good order may serve the next mailbox. */
static void leave(struct mailbox *m, struct peer *peer[SIDES])
{
	for (int side = 0; side < SIDES; side++)
		if (m->outcome.radius != RADIUS_NONE && m->outcome.side == (enum side)side)
			pool_drop(&peer[side]);
		else
			pool_give(m->env->pool, &peer[side]);
}

static void leave_pair(struct mailbox *m, struct pair **pair)
{
	leave(m, (*pair)->peer);
	free(*pair);
	*pair = NULL;
}

static void tell_end(void *arg)
{
	struct mailbox *m = arg;
	struct mailbox_event ev = { .kind = MAILBOX_ENDED, .outcome = &m->outcome };

	if (m->pass != NULL) {
		m->progress = *pass_progress(m->pass);
		m->progress.folder = NULL;
	}
	if (m->verify != NULL) {
		m->progress = *verify_progress(m->verify);
		m->progress.folder = NULL;
		m->verified = *verify_counts(m->verify);
	}
	verify_free(&m->verify);
	/* First the pass: what it has half sent must not be sent on; then the connections. */
	pass_free(&m->pass);
	leave(m, m->peer);
	while (m->pairs != 0)
		leave_pair(m, &m->pair[--m->pairs]);
	m->funnel(m->owner, &ev);
}

static void end(struct mailbox *m, const struct outcome *why)
{
	if (m->step == STEP_END)
		return;
	m->step = STEP_END;
	m->outcome = *why;
	timer_set(m->soon, 0);
}

static void job_ended(void *owner, const struct outcome *why)
{
	end(owner, why);
}

static void pass_began(void *owner)
{
	struct mailbox *m = owner;
	struct mailbox_event ev = { .kind = MAILBOX_LANES };

	if (m->step == STEP_PASS && m->spec->lanes > 1)
		m->funnel(m->owner, &ev);
}

/* JOB_CHECK: both sides have a say, also when one of them fails. */
static void check_result(struct mailbox *m, enum side side, const struct outcome *why)
{
	if (m->checked[side])
		return;
	m->checked[side] = true;
	m->result[side] = *why;
	if (m->checked[SOURCE] && m->checked[TARGET])
		end(m, m->result[SOURCE].radius != RADIUS_NONE ? &m->result[SOURCE] : &m->result[TARGET]);
}

static void check_event(struct mailbox *m, enum side side, const struct session_event *ev)
{
	struct outcome why = { .side = side };

	if (ev->kind != EVENT_DONE || ev->command != CMD_EXAMINE)
		return;
	if (ev->resp.status.status != STATUS_OK)
		outcome_of_reply(&why, side, CMD_EXAMINE, &ev->resp.status);
	check_result(m, side, &why);
}

static void check_begin(struct mailbox *m, enum side side)
{
	struct outcome why;
	uint32_t tag;

	if (session_folder(peer_session(m->peer[side]), CMD_EXAMINE, SPAN("INBOX"), false, &tag) != 0) {
		outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, side, "out of memory");
		check_result(m, side, &why);
		return;
	}
	peer_flush(m->peer[side]);
}

static void on_up(struct mailbox *m, enum side side)
{
	struct mailbox_event ev = { .kind = MAILBOX_UP, .side = side };

	if (m->spec->job == JOB_CHECK) {
		check_begin(m, side);
		return;
	}
	m->funnel(m->owner, &ev);
}

static void on_down(struct mailbox *m, enum side side, const struct conn_failure *failure)
{
	struct outcome why;

	outcome_of_failure(&why, side, AT_LOGIN, failure);
	if (m->spec->job == JOB_CHECK)
		check_result(m, side, &why);
	else
		end(m, &why);
}

static void on_peer(struct mailbox *m, enum side side, const struct peer_event *ev)
{
	if (m->step == STEP_END)
		return;
	switch (ev->kind) {
	case PEER_UP:
		on_up(m, side);
		break;
	case PEER_DOWN:
		on_down(m, side, ev->failure);
		break;
	case PEER_SESSION:
		if (m->spec->job == JOB_CHECK)
			check_event(m, side, ev->session);
		break;
	case PEER_DRAINED:
	case PEER_VACANT:
		break;
	}
}

static void on_source(void *owner, const struct peer_event *ev)
{
	on_peer(owner, SOURCE, ev);
}

static void on_target(void *owner, const struct peer_event *ev)
{
	on_peer(owner, TARGET, ev);
}

struct mailbox *mailbox_new(const struct mailbox_env *env, const struct mailbox_spec *spec, mailbox_funnel *funnel, void *owner)
{
	struct mailbox *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->env = env;
	m->spec = spec;
	m->funnel = funnel;
	m->owner = owner;
	m->soon = timer_new(env->loop, tell_end, m);
	if (m->soon == NULL)
		mailbox_free(&m);
	return m;
}

void mailbox_free(struct mailbox **m)
{
	if (*m == NULL)
		return;
	pass_free(&(*m)->pass);
	verify_free(&(*m)->verify);
	plan_free(&(*m)->plan);
	peer_close(&(*m)->peer[SOURCE]);
	peer_close(&(*m)->peer[TARGET]);
	while ((*m)->pairs != 0) {
		struct pair *pair = (*m)->pair[--(*m)->pairs];

		peer_close(&pair->peer[SOURCE]);
		peer_close(&pair->peer[TARGET]);
		free(pair);
	}
	timer_free(&(*m)->soon);
	free(*m);
	*m = NULL;
}

/* Further pairs. */

static void pair_gone(struct pair *pair, const struct outcome *why)
{
	struct mailbox *m = pair->m;
	struct mailbox_event ev = { .kind = MAILBOX_LANE_GONE, .outcome = why };
	unsigned i = 0;

	while (m->pair[i] != pair)
		i++;
	m->pair[i] = m->pair[--m->pairs];
	leave_pair(m, &pair);
	if (why->radius != RADIUS_NONE)
		m->no_more = true;
	m->funnel(m->owner, &ev);
}

static void on_pair(struct pair *pair, enum side side, const struct peer_event *ev)
{
	struct mailbox *m = pair->m;
	struct outcome why = { .side = side };
	struct mailbox_event dialled = { .kind = MAILBOX_LANE_DIALLED };

	if (m->step != STEP_PASS || pair->lent)
		return;
	if (ev->kind == PEER_DOWN) {
		outcome_of_failure(&why, side, AT_LOGIN, ev->failure);
		if (m->unwanted != 0)
			m->unwanted--;
		pair_gone(pair, &why);
		m->funnel(m->owner, &dialled);
	} else if (ev->kind == PEER_UP && pair->peer[SOURCE] != NULL && pair->peer[TARGET] != NULL && peer_is_up(pair->peer[SOURCE]) &&
		peer_is_up(pair->peer[TARGET])) {
		if (m->unwanted != 0)
			m->unwanted--;
		else
			pair->lent = pass_add_lane(m->pass, pair->peer[SOURCE], pair->peer[TARGET]);
		if (!pair->lent)
			pair_gone(pair, &why);
		m->funnel(m->owner, &dialled);
	}
}

static void pass_left(void *owner, const struct peer *source)
{
	struct mailbox *m = owner;
	struct outcome why = { .side = SOURCE };

	for (unsigned i = 0; i < m->pairs; i++)
		if (m->pair[i]->peer[SOURCE] == source) {
			pair_gone(m->pair[i], &why);
			return;
		}
}

static void on_pair_source(void *owner, const struct peer_event *ev)
{
	on_pair(owner, SOURCE, ev);
}

static void on_pair_target(void *owner, const struct peer_event *ev)
{
	on_pair(owner, TARGET, ev);
}

static void out_of_memory(struct mailbox *m, enum side side)
{
	struct outcome why;

	outcome_set(&why, RADIUS_MAILBOX, HEAL_TIME, side, "out of memory");
	end(m, &why);
}

void mailbox_dial(struct mailbox *m, enum side side)
{
	assert(m->peer[side] == NULL);
	m->peer[side] = pool_dial(m->env->pool, m->env->dialer, side, m->spec->endpoint[side], &m->spec->login[side],
		&m->env->peer_limits, side == SOURCE ? on_source : on_target, m);
	if (m->peer[side] == NULL)
		out_of_memory(m, side);
}

bool mailbox_is_up(const struct mailbox *m, enum side side)
{
	return m->peer[side] != NULL && peer_is_up(m->peer[side]);
}

bool mailbox_is_over(const struct mailbox *m)
{
	return m->step == STEP_END;
}

void mailbox_hang_up(struct mailbox *m, enum side side)
{
	assert(m->step == STEP_LOGIN);
	pool_give(m->env->pool, &m->peer[side]);
}

void mailbox_run(struct mailbox *m)
{
	if (m->step == STEP_END)
		return;
	assert(mailbox_is_up(m, SOURCE) && mailbox_is_up(m, TARGET) && m->spec->job != JOB_CHECK);
	if (m->spec->job == JOB_VERIFY) {
		m->step = STEP_VERIFY;
		m->verify = verify_new(m->env, m->spec, m->peer[SOURCE], m->peer[TARGET], job_ended, m);
		if (m->verify == NULL)
			out_of_memory(m, SOURCE);
		return;
	}
	if (m->spec->job == JOB_PLAN) {
		m->step = STEP_PLAN;
		m->plan = plan_new(m->env, m->spec, m->peer[SOURCE], m->peer[TARGET], job_ended, m);
		if (m->plan == NULL)
			out_of_memory(m, SOURCE);
		return;
	}
	m->step = STEP_PASS;
	m->pass = pass_new(m->env, m->spec, m->peer[SOURCE], m->peer[TARGET], pass_began, pass_left, job_ended, m);
	if (m->pass == NULL)
		out_of_memory(m, SOURCE);
}

unsigned mailbox_lanes_wanted(const struct mailbox *m)
{
	unsigned useful = m->step == STEP_PASS && !m->no_more ? pass_lanes_useful(m->pass) : 0;

	if (useful > m->spec->lanes)
		useful = m->spec->lanes;
	return useful > m->pairs + 1 ? useful - m->pairs - 1 : 0;
}

void mailbox_add_lane(struct mailbox *m)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert(m->step == STEP_PASS && m->pairs + 1 < LANES_MAX);
	if (pair == NULL)
		abort();
	pair->m = m;
	m->pair[m->pairs++] = pair;
	for (int side = 0; side < SIDES; side++) {
		pair->peer[side] = pool_dial(m->env->pool, m->env->dialer, (enum side)side, m->spec->endpoint[side], &m->spec->login[side],
			&m->env->peer_limits, side == SOURCE ? on_pair_source : on_pair_target, pair);
		if (pair->peer[side] == NULL)
			out_of_memory(m, (enum side)side);
	}
}

void mailbox_drop_lane(struct mailbox *m)
{
	if (m->step == STEP_PASS && !pass_drop_lane(m->pass))
		m->unwanted++;
}

void mailbox_stop(struct mailbox *m, bool now)
{
	struct outcome why;

	if (m->pass != NULL && m->step == STEP_PASS) {
		pass_stop(m->pass, now);
		return;
	}
	if (m->verify != NULL && m->step == STEP_VERIFY) {
		verify_stop(m->verify);
		return;
	}
	if (m->plan != NULL && m->step == STEP_PLAN) {
		plan_stop(m->plan);
		return;
	}
	outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, SOURCE, "stopped");
	end(m, &why);
}

const struct outcome *mailbox_check_result(const struct mailbox *m, enum side side)
{
	return &m->result[side];
}

const struct verify_counts *mailbox_verify_counts(const struct mailbox *m)
{
	return m->verify != NULL ? verify_counts(m->verify) : &m->verified;
}

const struct plan_result *mailbox_plan_result(const struct mailbox *m)
{
	return plan_result(m->plan);
}

const struct mailbox_progress *mailbox_progress(const struct mailbox *m)
{
	if (m->verify != NULL)
		return verify_progress(m->verify);
	return m->pass != NULL ? pass_progress(m->pass) : &m->progress;
}
