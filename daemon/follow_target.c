/*
 * The target's half of following: SELECT, then one UID STORE for each flag that was added somewhere, and one for each that was taken away.
 */
#include "err.h"
#include "follow.h"
#include "log.h"
#include "pass.h"

#include <stdio.h>

#define STORES 32     /* in flight */
#define SET_MAX 7000  /* bytes of a UID set in one command */

static struct session *target_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[TARGET]);
}

/* The next that has to be changed on the target; those before it are done. */
static struct following *next(struct pass *p)
{
	struct follow *w = &p->follow;

	for (; w->selected < w->n && w->following[w->selected].step >= FOLLOWING_ASKED; w->selected++) {
		struct following *g = &w->following[w->selected];

		if (g->step != FOLLOWING_ASKED)
			continue;
		if (!g->failed && known_has_changes(&g->known)) {
			w->selected++;
			return g;
		}
		follow_save(p, g);
	}
	return NULL;
}

static bool begin(struct pass *p, struct following *g)
{
	uint32_t tag;
	/* With CONDSTORE told to it, the target keeps the modification sequences that are asked for after a break. */
	bool condstore = peer_has(p->lane[0]->peer[TARGET], CAP_CONDSTORE);
	int err = session_folder(target_session(p), CMD_SELECT, g->folder->target_wire, condstore, &tag);

	if (err != 0) {
		pass_fail_proto(p, TARGET, err);
		return false;
	}
	session_set_user(target_session(p), tag, (uint64_t)(g - p->follow.following) << FOLLOW_FLAG_BITS);
	g->step = FOLLOWING_SELECTS;
	g->same = false;
	g->target_modseq = 0;
	p->follow.storing = g;
	return true;
}

/* Makes the next set of target UIDs. False: there is none left. */
static bool next_set(struct pass *p, struct following *g)
{
	while (g->at >= g->set.n) {
		const struct known_flag *f;
		int err;

		if (g->flag >= g->known.flag_n)
			return false;
		f = &g->known.flag[g->flag];
		uidset_reset(&g->set);
		g->at = 0;
		err = f->refused ? 0 : known_changes(&g->known, f, !g->removing, &g->set);
		if (err != 0) {
			pass_fail_proto(p, TARGET, err);
			return false;
		}
		if (g->set.n != 0)
			return true;
		g->flag += g->removing;
		g->removing = !g->removing;
	}
	return true;
}

static int store(struct pass *p, struct following *g)
{
	const char *name = g->known.flag[g->flag].name;
	struct buf text;
	uint32_t tag;
	int err;

	buf_init(&text, SET_MAX * 2);
	err = uidset_print(&g->set, &text, &g->at, SET_MAX);
	if (err == 0)
		err = session_store(target_session(p), buf_span(&text), g->removing ? "-FLAGS.SILENT" : "+FLAGS.SILENT",
			span_str(name), &tag);
	buf_done(&text);
	if (err != 0)
		return err;
	session_set_user(target_session(p), tag,
		(uint64_t)(g - p->follow.following) << FOLLOW_FLAG_BITS | g->flag << 1 | (g->removing ? 1 : 0));
	g->pending++;
	if (g->at >= g->set.n) {
		g->flag += g->removing;
		g->removing = !g->removing;
	}
	return 0;
}

static void send_stores(struct pass *p, struct following *g)
{
	int err = 0;

	while (err == 0 && g->pending < STORES && next_set(p, g))
		err = store(p, g);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
}

/* What was answered OK is what was written last. */
static void stored(struct pass *p, struct following *g)
{
	int err = 0;

	for (size_t i = 0; i < g->known.flag_n && err == 0; i++) {
		struct known_flag *f = &g->known.flag[i];

		if (f->refused)
			continue;
		p->progress.flags_changed += uidset_count(&f->added) + uidset_count(&f->removed);
		err = known_changed(f, true);
		if (err == 0)
			err = known_changed(f, false);
	}
	p->progress.any = true;
	g->changed = true;
	p->follow.storing = NULL;
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
	else
		follow_save(p, g);
}

void follow_target_pump(struct pass *p)
{
	struct follow *w = &p->follow;

	while (p->step == PASS_FOLLOW && p->lane[0]->peer[TARGET] != NULL) {
		struct following *g = w->storing;

		if (g == NULL) {
			g = next(p);
			if (g == NULL || !begin(p, g))
				break;
		}
		if (g->step != FOLLOWING_STORES)
			break;
		send_stores(p, g);
		if (p->step != PASS_FOLLOW || g->pending != 0)
			break;
		stored(p, g);
	}
	if (p->lane[0]->peer[TARGET] != NULL)
		peer_flush(p->lane[0]->peer[TARGET]);
}

static void on_selected(struct pass *p, struct following *g, const struct session_event *ev)
{
	struct outcome why;

	if (ev->resp.status.status == STATUS_OK && !g->same && !g->failed)
		follow_skip(p, g, "the target's UIDVALIDITY changed, or is not told");
	if (ev->resp.status.status == STATUS_OK && !g->failed) {
		follow_try(p, g);
	} else {
		if (!g->failed) {
			outcome_of_reply(&why, TARGET, CMD_SELECT, &ev->resp.status);
			if (why.radius > RADIUS_FOLDER) {
				pass_fail(p, &why);
				return;
			}
			follow_skip(p, g, why.text);
		}
		p->follow.storing = NULL;
		follow_save(p, g);
	}
	follow_pump(p);
}

/* What PERMANENTFLAGS does not have is lost at the end of the session, whatever STORE is answered (RFC 9051 section 7.1). */
static void take_permanent(struct pass *p, struct following *g, const struct flags *permanent)
{
	for (size_t i = 0; i < g->known.flag_n; i++) {
		struct known_flag *f = &g->known.flag[i];
		char text[200];

		if (f->added.n == 0 || flags_allow(permanent, span_str(f->name)))
			continue;
		f->refused = true;
		snprintf(text, sizeof(text), "the target does not keep the flag %.80s (PERMANENTFLAGS)", f->name);
		pass_alter_messages(p, g->folder, &f->added, SKIP_ALTERED, text);
	}
}

/* A flag that the target does not take: said, and not tried again until the source changes it. */
static void refused(struct pass *p, struct following *g, size_t flag, const struct session_event *ev)
{
	struct known_flag *f = &g->known.flag[flag];
	struct outcome why;
	char text[700];

	outcome_of_reply(&why, TARGET, CMD_UID_STORE, &ev->resp.status);
	if (why.radius == RADIUS_CONNECTION || why.radius > RADIUS_MAILBOX) {
		pass_fail(p, &why);
		return;
	}
	if (f->refused)
		return;
	f->refused = true;
	if (why.heal == HEAL_TIME || why.code == CODE_OVERQUOTA) {
		g->again = true; /* it may do so another time */
		return;
	}
	snprintf(text, sizeof(text), "the target does not change the flag %.80s: %.500s", f->name, why.text);
	pass_alter_messages(p, g->folder, &f->added, SKIP_ALTERED, text);
	pass_alter_messages(p, g->folder, &f->removed, SKIP_ALTERED, text);
}

void follow_on_target(struct pass *p, const struct session_event *ev)
{
	struct follow *w = &p->follow;
	struct following *g = ev->tag != 0 && ev->user >> FOLLOW_FLAG_BITS < w->n ? &w->following[ev->user >> FOLLOW_FLAG_BITS] : NULL;

	if (g == NULL)
		return;
	if (ev->kind == EVENT_RESPONSE && ev->command == CMD_SELECT && ev->resp.kind == RESP_STATUS &&
		ev->resp.status.code == CODE_UIDVALIDITY)
		g->same = ev->resp.status.uidvalidity == g->folder->row.target_uidvalidity;
	if (ev->kind == EVENT_RESPONSE && g->step == FOLLOWING_SELECTS && ev->resp.kind == RESP_STATUS &&
		ev->resp.status.code == CODE_PERMANENTFLAGS)
		take_permanent(p, g, &ev->resp.status.flags);
	if (ev->kind == EVENT_RESPONSE && ev->command == CMD_SELECT && ev->resp.kind == RESP_STATUS &&
		ev->resp.status.code == CODE_HIGHESTMODSEQ)
		g->target_modseq = ev->resp.status.modseq;
	if (g->step == FOLLOWING_RECALLS) {
		follow_on_recall(p, g, ev);
		return;
	}
	if (ev->kind != EVENT_DONE)
		return;
	if (g->step == FOLLOWING_EXPUNGES) {
		follow_on_expunge(p, g, ev);
	} else if (ev->command == CMD_SELECT) {
		on_selected(p, g, ev);
	} else if (ev->command == CMD_UID_STORE) {
		g->pending--;
		if (ev->resp.status.status != STATUS_OK)
			refused(p, g, (ev->user & ((1u << FOLLOW_FLAG_BITS) - 1)) >> 1, ev);
		follow_pump(p);
	}
}
