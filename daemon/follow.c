#include "follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "log.h"
#include "pass.h"

#define AHEAD 8 /* folders in memory at a time */

static void following_done(struct following *g)
{
	known_done(&g->known);
	uidset_done(&g->set);
	uidset_done(&g->there);
	uidset_done(&g->vanished);
	free(g->tried);
	g->tried = NULL;
}

void follow_done(struct follow *f)
{
	for (size_t i = 0; i < f->n; i++)
		following_done(&f->following[i]);
	free(f->following);
	*f = (struct follow){ 0 };
}

static void pump(struct pass *p);

/* Who ends one pumps: not from within, since what is pumped ends some, too. */
static void end_one(struct pass *p, struct following *g)
{
	g->step = FOLLOWING_DONE;
	following_done(g);
	p->follow.done++;
}

void follow_drop(struct pass *p, struct following *g)
{
	end_one(p, g);
}

void follow_skip(struct pass *p, struct following *g, const char *reason)
{
	struct log_context ctx = pass_context(p, g->folder, 0);

	log_event(LOG_FOLLOW_FAILED, &ctx, "changed flags are not followed this time: %s", reason);
	g->failed = true;
	p->progress.folders_not_followed++;
}

/* Saving. */

static void saved(struct lane *l, struct folder *f, int64_t id)
{
	struct pass *p = l->pass;

	(void)id;
	for (size_t i = 0; i < p->follow.n; i++)
		if (p->follow.following[i].folder == f && p->follow.following[i].step == FOLLOWING_SAVES)
			end_one(p, &p->follow.following[i]);
	pump(p);
}

static int print_gone(const struct known *k, struct buf *out)
{
	size_t at = 0;

	return k->gone.n == 0 ? 0 : uidset_print(&k->gone, out, &at, SIZE_MAX);
}

void follow_save(struct pass *p, struct following *g)
{
	struct folder *f = g->folder;

	if (g->vanished.n != 0 && !p->follow.expunging && !g->failed) {
		g->step = FOLLOWING_RESTS;
		p->follow.resting++;
		return;
	}
	g->step = FOLLOWING_SAVES;
	/* Without HIGHESTMODSEQ each folder is looked at in each pass: most of them for nothing. */
	if (g->failed || (!g->changed && f->modseq == 0))
		end_one(p, g);
	else
		follow_record(p, g, !f->failed && !g->again, saved);
}

void follow_record(struct pass *p, struct following *g, bool as_seen,
	void (*fn)(struct lane *l, struct folder *f, int64_t id))
{
	struct folder *f = g->folder;
	/* What is owed keeps all that shows it: not every server raises HIGHESTMODSEQ at an expunge. What vanished while nobody asked is found when
	 * deletions are mirrored later. */
	struct ledger_follow row = { .folder = f->row.id,
		.source_messages = !as_seen ? f->was_messages : p->spec->rules.mirror_deletions ? f->messages : UINT32_MAX, .source_uidnext = f->uidnext,
		.source_modseq = as_seen ? f->modseq : f->was_modseq };
	struct pass_call *call;
	struct buf flags, gone;
	int err;

	buf_init(&flags, 256u << 20);
	buf_init(&gone, 64u << 20);
	err = known_print_flags(&g->known, &flags);
	if (err == 0)
		err = buf_add_char(&flags, '\0');
	if (err == 0)
		err = print_gone(&g->known, &gone);
	if (err == 0)
		err = buf_add_char(&gone, '\0');
	call = err == 0 ? pass_call_new(p->lane[0], f, fn) : NULL;
	if (call != NULL) {
		row.flags = buf_span(&flags).p;
		row.gone = buf_span(&gone).p;
		ledger_save_follow(p->env->ledger, &row, pass_call_done, call);
	}
	buf_done(&flags);
	buf_done(&gone);
	if (call == NULL)
		pass_fail_proto(p, TARGET, err == 0 ? PROTO_ERR_NOMEM : err);
}

/* Asking the source. */

static struct session *source_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[SOURCE]);
}

int follow_ask(struct pass *p, struct following *g)
{
	struct folder *f = g->folder;
	uint64_t user = (uint64_t)(g - p->follow.following);
	char set[32];
	int n = snprintf(set, sizeof(set), "1:%u", f->was_next - 1);
	uint32_t tag;
	int err = session_folder(source_session(p), CMD_EXAMINE, f->source_wire, false, &tag);

	if (err == 0)
		session_set_user(source_session(p), tag, user);
	if (err == 0)
		err = session_fetch(source_session(p), CMD_UID_FETCH, span_of(set, (size_t)n), FETCH_UID | FETCH_FLAGS, g->since, &tag);
	if (err == 0)
		session_set_user(source_session(p), tag, user);
	if (err == 0 && p->spec->rules.mirror_deletions) {
		n = snprintf(set, sizeof(set), "UID 1:%u", f->was_next - 1);
		err = session_search(source_session(p), span_of(set, (size_t)n), &tag);
		if (err == 0)
			session_set_user(source_session(p), tag, user);
	}
	g->step = FOLLOWING_ASKS;
	g->asked = p->spec->rules.mirror_deletions ? 2 : 1;
	return err;
}

static void loaded(struct lane *l, struct folder *f, int64_t id)
{
	struct pass *p = l->pass;
	int err = 0;

	(void)id;
	for (size_t i = 0; i < p->follow.n && err == 0; i++) {
		struct following *g = &p->follow.following[i];

		if (g->folder != f || g->step != FOLLOWING_LOADS)
			continue;
		if (g->failed)
			end_one(p, g);
		else if (g->known.run_n == 0)
			follow_save(p, g); /* all that was there was left out */
		else if (g->tried == NULL)
			err = follow_ask(p, g);
		else
			{
				g->step = FOLLOWING_DOUBTS;
			p->follow.doubting++;
		}
	}
	if (err != 0) {
		pass_fail_proto(p, SOURCE, err);
		return;
	}
	if (p->lane[0]->peer[SOURCE] != NULL)
		peer_flush(p->lane[0]->peer[SOURCE]);
	pump(p);
}

/* Without the target's modification sequences it cannot tell what became of what was tried: it is done again. */
static int take_tried(struct pass *p, struct following *g, const struct ledger_followed *also)
{
	if (also->tried[0] == '\0' || also->target_modseq == 0 || !peer_has(p->lane[0]->peer[TARGET], CAP_CONDSTORE))
		return 0;
	g->tried_modseq = also->target_modseq;
	g->tried = strdup(also->tried);
	return g->tried == NULL ? PROTO_ERR_NOMEM : 0;
}

static void take_known(void *arg, int err, const struct ledger_known *rows, size_t n, const struct ledger_followed *also)
{
	struct pass *p = pass_call_pass(arg);
	struct folder *f = pass_call_folder(arg);
	struct following *g = NULL;
	int bad = 0;

	for (size_t i = 0; f != NULL && i < p->follow.n; i++)
		if (p->follow.following[i].folder == f)
			g = &p->follow.following[i];
	for (size_t i = 0; g != NULL && i < n && bad == 0; i++)
		bad = known_add(&g->known, span_str(rows[i].source_uids), span_str(rows[i].target_uids), span_str(rows[i].flags),
			rows[i].adopted);
	if (g != NULL && n != 0 && bad == 0 && also->gone[0] != '\0')
		bad = uidset_parse(&g->known.gone, span_str(also->gone));
	if (g != NULL && n != 0 && bad == 0)
		bad = take_tried(p, g, also);
	if (g != NULL && bad == 0)
		known_sort(&g->known);
	else if (g != NULL)
		follow_skip(p, g, "the ledger's record of the folder cannot be read");
	pass_call_done(arg, err);
}

static void load_some(struct pass *p)
{
	struct follow *w = &p->follow;

	while (p->step == PASS_FOLLOW && w->loaded < w->n && w->loaded < w->done + w->resting + AHEAD) {
		struct following *g = &w->following[w->loaded++];
		struct pass_call *call = pass_call_new(p->lane[0], g->folder, loaded);

		if (call == NULL) {
			pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
			return;
		}
		g->step = FOLLOWING_LOADS;
		ledger_load_known(p->env->ledger, g->folder->row.id, take_known, call);
	}
}

static void pump(struct pass *p)
{
	struct follow *w = &p->follow;
	size_t before;

	do {
		before = w->done + w->resting;
		load_some(p);
		follow_recall_pump(p);
		follow_target_pump(p);
		if (p->step == PASS_FOLLOW && w->done + w->resting == w->n && w->resting != 0)
			follow_expunge_pump(p);
	} while (p->step == PASS_FOLLOW && w->done + w->resting != before);
	pass_check_end(p);
}

void follow_pump(struct pass *p)
{
	pump(p);
}

static void on_source(struct pass *p, const struct session_event *ev)
{
	struct follow *w = &p->follow;
	const struct resp *r = &ev->resp;
	struct following *g = ev->tag != 0 && ev->user < w->n ? &w->following[ev->user] : NULL;
	struct outcome why;
	int err = 0;

	if (g != NULL && g->step != FOLLOWING_ASKS)
		g = NULL;
	if (ev->kind == EVENT_RESPONSE && r->kind == RESP_STATUS && g != NULL && ev->command == CMD_EXAMINE &&
		r->status.code == CODE_UIDVALIDITY && r->status.uidvalidity != g->folder->uidvalidity && !g->failed)
		follow_skip(p, g, "the source's UIDVALIDITY changed");
	else if (ev->kind == EVENT_RESPONSE && r->kind == RESP_FETCH && w->examined != NULL && !w->examined->failed &&
		(r->fetch.has & (FETCH_UID | FETCH_FLAGS)) == (FETCH_UID | FETCH_FLAGS) && r->fetch.uid < w->examined->folder->was_next)
		err = known_compare(&w->examined->known, r->fetch.uid, &r->fetch.flags);
	else if (ev->kind == EVENT_RESPONSE && (r->kind == RESP_SEARCH || r->kind == RESP_ESEARCH) && w->examined != NULL)
		follow_on_search(p, w->examined, r);
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
	if (ev->kind != EVENT_DONE || g == NULL || err != 0)
		return;
	if (ev->command == CMD_EXAMINE)
		w->examined = r->status.status == STATUS_OK ? g : NULL;
	if (r->status.status != STATUS_OK && !g->failed) {
		outcome_of_reply(&why, SOURCE, ev->command, &r->status);
		if (why.radius > RADIUS_FOLDER) {
			pass_fail(p, &why);
			return;
		}
		follow_skip(p, g, why.text);
	}
	if (ev->command != CMD_EXAMINE && --g->asked == 0) {
		g->step = FOLLOWING_ASKED;
		if (!g->failed && follow_find_vanished(p, g) != 0)
			pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
		else
			pump(p);
	}
}

void follow_on(struct pass *p, enum side side, const struct session_event *ev)
{
	if (side == SOURCE)
		on_source(p, ev);
	else
		follow_on_target(p, ev);
}

/* A folder whose messages were brought before, and in which something may have happened since. An expunge alone need not raise HIGHESTMODSEQ. */
static bool is_due(const struct pass *p, const struct folder *f)
{
	if (f->step == FOLDER_LEFT_OUT || f->row.id == 0 || f->was_next <= 1 || f->row.target_uidvalidity == 0 || f->no_uids)
		return false;
	return f->modseq == 0 || f->modseq != f->was_modseq ||
		(p->spec->rules.mirror_deletions && f->messages != f->was_messages);
}

bool follow_begin(struct pass *p)
{
	struct follow *w = &p->follow;

	w->following = calloc(p->folder_n + 1, sizeof(*w->following));
	if (w->following == NULL) {
		pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
		return true;
	}
	for (size_t i = 0; i < p->folder_n; i++)
		if (is_due(p, &p->folder[i]))
			w->following[w->n++] = (struct following){ .folder = &p->folder[i],
				.since = p->folder[i].modseq >= p->folder[i].was_modseq ? p->folder[i].was_modseq : 0 };
	if (w->n == 0)
		return false;
	p->step = PASS_FOLLOW;
	pump(p);
	return true;
}
