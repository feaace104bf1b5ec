/*
 * What a break leaves in doubt: STOREs that may have been carried out, and are not recorded as written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "follow.h"
#include "log.h"
#include "pass.h"

static struct session *target_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[TARGET]);
}

static struct following *following_of(struct pass *p, const struct folder *f, enum following_step step)
{
	for (size_t i = 0; i < p->follow.n; i++)
		if (p->follow.following[i].folder == f && p->follow.following[i].step == step)
			return &p->follow.following[i];
	return NULL;
}

static void tried_saved(struct lane *l, struct folder *f, int64_t id)
{
	struct following *g = following_of(l->pass, f, FOLLOWING_TRIES);

	(void)id;
	if (g != NULL)
		g->step = FOLLOWING_STORES;
	follow_pump(l->pass);
}

void follow_try(struct pass *p, struct following *g)
{
	struct ledger_tried row = { .folder = g->folder->row.id, .target_modseq = g->target_modseq };
	struct pass_call *call;
	struct buf text;
	int err;

	if (g->target_modseq == 0) {
		g->step = FOLLOWING_STORES;
		return;
	}
	g->step = FOLLOWING_TRIES;
	buf_init(&text, 256u << 20);
	err = known_print_tried(&g->known, &text);
	if (err == 0)
		err = buf_add_char(&text, '\0');
	call = err == 0 ? pass_call_new(p->lane[0], g->folder, tried_saved) : NULL;
	if (call != NULL) {
		row.changes = buf_span(&text).p;
		ledger_save_tried(p->env->ledger, &row, pass_call_done, call);
	}
	buf_done(&text);
	if (call == NULL)
		pass_fail_proto(p, TARGET, err == 0 ? PROTO_ERR_NOMEM : err);
}

/* After a break. */

static struct following *next(struct follow *w)
{
	for (size_t i = 0; w->doubting != 0 && i < w->loaded; i++)
		if (w->following[i].step == FOLLOWING_DOUBTS)
			return &w->following[i];
	return NULL;
}

/* All UIDs between the first and the last of them: what else has changed there is told for nothing, and is little. */
static int ask(struct pass *p, struct following *g, const struct uidset *targets)
{
	uint64_t user = (uint64_t)(g - p->follow.following) << FOLLOW_FLAG_BITS;
	char set[32];
	int n = snprintf(set, sizeof(set), "%u:%u", targets->r[0].lo, targets->r[targets->n - 1].hi);
	uint32_t tag;
	int err = session_folder(target_session(p), CMD_SELECT, g->folder->target_wire, true, &tag);

	if (err == 0) {
		session_set_user(target_session(p), tag, user);
		err = session_fetch(target_session(p), CMD_UID_FETCH, span_of(set, (size_t)n), FETCH_UID | FETCH_FLAGS | FETCH_MODSEQ,
			g->tried_modseq, &tag);
	}
	if (err == 0)
		session_set_user(target_session(p), tag, user);
	return err;
}

void follow_recall_pump(struct pass *p)
{
	struct follow *w = &p->follow;
	struct uidset targets = { 0 };
	struct following *g;
	int err;

	if (p->step != PASS_FOLLOW || p->lane[0]->peer[TARGET] == NULL || w->storing != NULL || (g = next(w)) == NULL)
		return;
	w->doubting--;
	err = known_tried(&g->known, span_str(g->tried), &targets);
	if (err == 0 && targets.n != 0) {
		g->step = FOLLOWING_RECALLS;
		g->same = false;
		g->target_modseq = 0;
		g->pending = 2;
		w->storing = g;
		err = ask(p, g, &targets);
	} else if (err == PROTO_ERR_SYNTAX) {
		follow_skip(p, g, "the ledger's record of the folder cannot be read");
		follow_drop(p, g);
		err = 0;
	} else if (err == 0) {
		err = follow_ask(p, g); /* nothing of it is known any more */
	}
	uidset_done(&targets);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
	else if (p->lane[0]->peer[TARGET] != NULL)
		peer_flush(p->lane[0]->peer[TARGET]);
}

static void settled(struct lane *l, struct folder *f, int64_t id)
{
	struct following *g = following_of(l->pass, f, FOLLOWING_SETTLES);
	int err = g != NULL && l->peer[SOURCE] != NULL ? follow_ask(l->pass, g) : 0;

	(void)id;
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
	else if (l->peer[SOURCE] != NULL)
		peer_flush(l->peer[SOURCE]);
	follow_pump(l->pass);
}

/* What was reached is recorded before anything else is tried: that will take the place of the record. */
static int settle(struct pass *p, struct following *g)
{
	int err;

	/* A target that counts anew tells nothing. */
	if (g->target_modseq < g->tried_modseq)
		uidset_reset(&g->known.touched);
	err = known_settle(&g->known, span_str(g->tried));
	free(g->tried);
	g->tried = NULL;
	if (err != 0)
		return err;
	g->step = FOLLOWING_SETTLES;
	g->changed = true;
	follow_record(p, g, false, settled);
	return 0;
}

void follow_on_recall(struct pass *p, struct following *g, const struct session_event *ev)
{
	const unsigned need = FETCH_UID | FETCH_FLAGS | FETCH_MODSEQ;
	const struct resp *r = &ev->resp;
	struct outcome why;
	int err = 0;

	if (ev->kind == EVENT_RESPONSE && r->kind == RESP_FETCH && (r->fetch.has & need) == need && r->fetch.modseq > g->tried_modseq)
		err = known_touched(&g->known, r->fetch.uid, &r->fetch.flags);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
	if (ev->kind != EVENT_DONE || err != 0)
		return;
	if (r->status.status != STATUS_OK && !g->failed) {
		outcome_of_reply(&why, TARGET, ev->command, &r->status);
		if (why.radius > RADIUS_FOLDER) {
			pass_fail(p, &why);
			return;
		}
		follow_skip(p, g, why.text);
	}
	if (ev->command == CMD_SELECT && !g->same && !g->failed)
		follow_skip(p, g, "the target's UIDVALIDITY changed, or is not told");
	if (--g->pending != 0)
		return;
	p->follow.storing = NULL;
	if (g->failed)
		follow_drop(p, g);
	else if ((err = settle(p, g)) != 0)
		pass_fail_proto(p, TARGET, err);
	follow_pump(p);
}
