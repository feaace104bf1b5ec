/*
 * What vanished from the source goes from the target only if it was brought by us, by UID EXPUNGE (RFC 4315 section 2.1) or not at all, never more than the ceiling,
 * and never in a pass in which anything failed.
 */
#include <stdio.h>

#include "asking.h"
#include "err.h"
#include "follow.h"
#include "log.h"
#include "pass.h"

#define LEAST 10     /* messages that may always go */

void follow_on_search(struct pass *p, struct following *g, const struct resp *r)
{
	int err;

	g->searched = asking_found(r, &g->there, &err);
	if (err == PROTO_ERR_NOMEM)
		pass_fail_proto(p, SOURCE, err);
	else if (err != 0 && !g->failed)
		follow_skip(p, g, "the source's answer to SEARCH cannot be read");
}

int follow_find_vanished(struct pass *p, struct following *g)
{
	struct log_context ctx = pass_context(p, g->folder, 0);
	struct uidset sources = { 0 };
	struct uidset_walk w = { 0 };
	uint64_t all, most;
	uint32_t uid;
	int err = 0;

	if (!p->spec->rules.mirror_deletions)
		return 0;
	if (!g->searched) {
		follow_skip(p, g, "the source does not tell which messages it has");
		return 0;
	}
	err = known_sources(&g->known, &sources);
	all = uidset_count(&sources);
	while (err == 0 && (uid = uidset_walk(&sources, &w)) != 0) {
		bool adopted = false;

		if (uid >= g->folder->was_next || uidset_has(&g->there, uid) || uidset_has(&g->known.gone, uid))
			continue;
		known_target(&g->known, uid, &adopted);
		if (!adopted)
			err = uidset_add(&g->vanished, uid);
	}
	uidset_done(&sources);
	uidset_done(&g->there);
	most = all * p->spec->rules.max_deletions / 100;
	if (most < LEAST)
		most = LEAST;
	if (err == 0 && uidset_count(&g->vanished) > most) {
		log_event(LOG_DELETIONS_HELD, &ctx, "%llu of %llu messages vanished from the source, more than max_deletions = %u percent: "
			"nothing is deleted; raise it if this is right", (unsigned long long)uidset_count(&g->vanished),
			(unsigned long long)all, (unsigned)p->spec->rules.max_deletions);
		p->progress.deletions_held += uidset_count(&g->vanished);
		uidset_reset(&g->vanished);
		g->again = true;
	}
	return err;
}

static struct session *target_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[TARGET]);
}

/* Why nothing may be deleted in this pass; NULL: it may. */
static const char *objection(const struct pass *p)
{
	if (p->progress.left_out + p->progress.folders_left_out + p->progress.folders_not_followed != 0)
		return "something was left out in this pass";
	if (!peer_has(p->lane[0]->peer[TARGET], CAP_UIDPLUS))
		return "the target cannot expunge single messages (UIDPLUS)";
	return NULL;
}

static struct following *next(struct follow *w)
{
	while (w->expunged < w->n)
		if (w->following[w->expunged++].step == FOLLOWING_RESTS)
			return &w->following[w->expunged - 1];
	return NULL;
}

static void leave(struct pass *p, struct following *g, const char *why)
{
	struct log_context ctx = pass_context(p, g->folder, 0);

	log_event(LOG_DELETIONS_HELD, &ctx, "%llu messages vanished from the source; nothing is deleted: %s",
		(unsigned long long)uidset_count(&g->vanished), why);
	p->progress.deletions_held += uidset_count(&g->vanished);
	g->again = true;
	p->follow.resting--;
	follow_save(p, g);
}

void follow_expunge_pump(struct pass *p)
{
	struct follow *w = &p->follow;
	struct following *g;
	uint32_t tag;
	int err = 0;

	w->expunging = true;
	while (p->step == PASS_FOLLOW && w->storing == NULL && err == 0 && (g = next(w)) != NULL) {
		if (objection(p) != NULL) {
			leave(p, g, objection(p));
			continue;
		}
		g->step = FOLLOWING_EXPUNGES;
		g->same = false;
		w->storing = g;
		g->at = 0;
		uidset_reset(&g->set);
		for (struct uidset_walk walk = { 0 }; err == 0;) {
			uint32_t uid = uidset_walk(&g->vanished, &walk);

			if (uid == 0)
				break;
			err = uidset_add(&g->set, known_target(&g->known, uid, NULL));
		}
		if (err == 0)
			err = session_folder(target_session(p), CMD_SELECT, g->folder->target_wire, false, &tag);
		if (err == 0)
			session_set_user(target_session(p), tag, (uint64_t)(g - w->following) << FOLLOW_FLAG_BITS);
	}
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
	else if (p->lane[0]->peer[TARGET] != NULL)
		peer_flush(p->lane[0]->peer[TARGET]);
}

/* One piece after the other: what is marked is expunged by the next command. */
static int expunge(struct pass *p, struct following *g)
{
	uint64_t user = (uint64_t)(g - p->follow.following) << FOLLOW_FLAG_BITS;
	struct buf text;
	uint32_t tag;
	int err;

	buf_init(&text, ASKING_LINE * 2);
	err = uidset_print(&g->set, &text, &g->at, ASKING_LINE);
	if (err == 0)
		err = session_store(target_session(p), buf_span(&text), "+FLAGS.SILENT", SPAN("\\Deleted"), &tag);
	if (err == 0) {
		session_set_user(target_session(p), tag, user);
		err = session_uid_expunge(target_session(p), buf_span(&text), &tag);
	}
	if (err == 0) {
		session_set_user(target_session(p), tag, user);
		g->pending += 2;
	}
	buf_done(&text);
	return err;
}

static void expunge_done(struct pass *p, struct following *g)
{
	struct log_context ctx = pass_context(p, g->folder, 0);
	uint64_t n = uidset_count(&g->vanished);

	p->follow.storing = NULL;
	if (g->failed) {
		leave(p, g, "the target refused it");
		return;
	}
	log_event(LOG_DELETED, &ctx, "%llu messages that vanished from the source were deleted", (unsigned long long)n);
	p->progress.deleted += n;
	g->changed = true;
	p->progress.any = true;
	p->follow.resting--;
	if (uidset_add_set(&g->known.gone, &g->vanished) != 0)
		pass_fail_proto(p, TARGET, PROTO_ERR_NOMEM);
	else
		follow_save(p, g);
}

void follow_on_expunge(struct pass *p, struct following *g, const struct session_event *ev)
{
	struct outcome why;
	int err = 0;

	if (ev->resp.status.status != STATUS_OK) {
		outcome_of_reply(&why, TARGET, ev->command, &ev->resp.status);
		if (why.radius == RADIUS_CONNECTION) {
			pass_fail(p, &why);
			return;
		}
		if (!g->failed)
			follow_skip(p, g, why.text);
	}
	if (ev->command == CMD_SELECT && !g->same && !g->failed)
		follow_skip(p, g, "the target's UIDVALIDITY changed, or is not told");
	if (ev->command != CMD_SELECT)
		g->pending--;
	if (!g->failed && g->pending == 0 && g->at < g->set.n)
		err = expunge(p, g);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
	else if (g->pending == 0)
		expunge_done(p, g);
	follow_pump(p);
}
