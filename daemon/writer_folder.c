/*
 * What the writer says between two APPENDs: CREATE, SUBSCRIBE, the look at what is on the target already, and the end of a folder.
 */
#include <stdio.h>

#include "asking.h"
#include "err.h"
#include "log.h"
#include "pass.h"

#define REQUESTS_MAX 128 /* CREATE, SUBSCRIBE, STATUS in flight */

static struct session *target_session(struct lane *l)
{
	return peer_session(l->peer[TARGET]);
}

static bool send_create(struct lane *l, size_t i)
{
	struct folder *f = &l->pass->folder[i];
	uint32_t tag;
	int err;

	if (f->use != ROLE_NONE && peer_has(l->peer[TARGET], CAP_CREATE_SPECIAL_USE))
		err = session_create(target_session(l), f->target_wire, role_name(f->use), &tag);
	else
		err = session_folder(target_session(l), CMD_CREATE, f->target_wire, false, &tag);
	if (writer_failed(l, err))
		return false;
	session_set_user(target_session(l), tag, i);
	l->writer.requests++;
	f->on_target = f->creating = true;
	f->creator = l;
	f->created = ++l->pass->sent;
	return true;
}

static bool send_creates(struct lane *l)
{
	struct writer *w = &l->writer;

	for (; lane_is_first(l) && w->next_create < l->pass->folder_n && w->requests < REQUESTS_MAX; w->next_create++)
		if (!l->pass->folder[w->next_create].on_target && l->pass->folder[w->next_create].step != FOLDER_LEFT_OUT &&
			!send_create(l, w->next_create))
			return false;
	return true;
}

static bool send_subscribes(struct lane *l)
{
	struct writer *w = &l->writer;
	struct survey *from = &l->pass->survey[SOURCE], *to = &l->pass->survey[TARGET];
	uint32_t tag;

	for (; lane_is_first(l) && w->next_create == l->pass->folder_n && w->next_subscribe < from->subscribed_n && w->requests < REQUESTS_MAX;
		w->next_subscribe++) {
		struct span source_path = from->subscribed[w->next_subscribe], path;

		if (!mapping_subscription(&l->pass->mapping, source_path, &path) || survey_is_subscribed(to, path))
			continue;
		buf_reset(&w->wire);
		if (name_from_path(&w->wire, path, &to->style) != 0) {
			pass_leave_out_subscription(l->pass, source_path, "the target cannot have a folder of this name");
			continue;
		}
		if (writer_failed(l, session_folder(target_session(l), CMD_SUBSCRIBE, buf_span(&w->wire), false, &tag)))
			return false;
		session_set_user(target_session(l), tag, w->next_subscribe);
		w->requests++;
	}
	return true;
}

static bool send_status(struct lane *l, size_t i)
{
	struct folder *f = &l->pass->folder[i];
	uint32_t tag;

	if (writer_failed(l, session_status(target_session(l), f->target_wire, FS_UIDNEXT | FS_UIDVALIDITY, &tag)))
		return false;
	session_set_user(target_session(l), tag, i);
	l->writer.requests++;
	return true;
}

static bool send_lookup(struct lane *l, struct folder *f)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%u:*", f->row.floor == 0 ? 1 : f->row.floor);
	uint32_t tag;

	f->suspects = suspects_new();
	if (f->suspects == NULL)
		return !writer_failed(l, PROTO_ERR_NOMEM);
	l->writer.looking = f;
	l->writer.look_failed = false;
	return !writer_failed(l, session_folder(target_session(l), CMD_EXAMINE, f->target_wire, false, &tag)) &&
		!writer_failed(l, session_fetch(target_session(l), CMD_UID_FETCH, span_of(text, (size_t)n),
					  FETCH_UID | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_HEADER, 0, &tag));
}

/* The messages that this lane has in doubt. */
static bool send_doubt(struct lane *l)
{
	struct writer *w = &l->writer;
	struct doubt *d = &l->doubt;
	uint32_t tag;

	if (!d->theirs_due || w->looking != NULL)
		return true;
	d->theirs_due = false;
	d->theirs_under_way = true;
	w->looking = d->folder;
	w->look_bodies = true;
	w->look_failed = false;
	w->look_pending = 1;
	return !writer_failed(l, session_folder(target_session(l), CMD_EXAMINE, d->folder->target_wire, false, &tag)) &&
		!writer_failed(l, asking_fetch(target_session(l), &d->theirs, FETCH_UID | FETCH_BODY, &w->look_pending));
}

void writer_wish(struct lane *l, struct folder *f, bool *wish)
{
	if (*wish)
		return;
	/* One lane has all that is wished for a folder. */
	if (!f->create_wanted && !f->status_wanted && !f->lookup_wanted && !f->flags_wanted)
		f->wisher = l;
	f->wisher->writer.wishes++;
	*wish = true;
}

static void granted(struct lane *l, bool *wish)
{
	*wish = false;
	l->writer.wishes--;
}

static bool send_wishes(struct lane *l)
{
	struct writer *w = &l->writer;

	for (size_t i = 0; i < l->pass->folder_n && w->wishes != 0; i++) {
		struct folder *f = &l->pass->folder[i];

		if (f->wisher != l)
			continue;
		if (f->create_wanted) {
			granted(l, &f->create_wanted);
			if (!send_create(l, i))
				return false;
		}
		if (f->status_wanted) {
			granted(l, &f->status_wanted);
			if (!send_status(l, i))
				return false;
		}
		if (f->flags_wanted) {
			granted(l, &f->flags_wanted);
			if (!writer_send_flags(l, i))
				return false;
		}
		if (f->lookup_wanted && w->looking == NULL) {
			granted(l, &f->lookup_wanted);
			if (!send_lookup(l, f))
				return false;
		}
	}
	return true;
}

bool writer_has_requests(const struct lane *l)
{
	const struct writer *w = &l->writer;

	return (lane_is_first(l) && w->next_create < l->pass->folder_n && w->requests < REQUESTS_MAX) || ((w->wishes != 0 || l->doubt.theirs_due) && w->looking == NULL);
}

bool writer_send_requests(struct lane *l)
{
	return send_creates(l) && send_wishes(l) && send_doubt(l) && send_subscribes(l);
}

static void on_create_done(struct lane *l, const struct session_event *ev)
{
	struct folder *f = &l->pass->folder[ev->user];
	struct outcome why;

	l->writer.requests--;
	f->creating = false;
	if (ev->resp.status.status != STATUS_OK && f->use != ROLE_NONE && peer_has(l->peer[TARGET], CAP_CREATE_SPECIAL_USE) &&
		ev->resp.status.code != CODE_ALREADYEXISTS) {
		/* [USEATTR] (RFC 6154 section 3), or another reason: as an ordinary folder, then. */
		f->use = ROLE_NONE;
		f->on_target = false;
		writer_wish(l, f, &f->create_wanted);
		pass_pump(l->pass);
		return;
	}
	if (ev->resp.status.status != STATUS_OK) {
		outcome_of_reply(&why, TARGET, CMD_CREATE, &ev->resp.status);
		if (why.radius == RADIUS_FOLDER)
			pass_leave_out_folder(l->pass, f, why.text);
		else if (why.radius != RADIUS_NONE)
			pass_fail(l->pass, &why);
	}
	writer_check_folder(l, f);
	pass_pump(l->pass); /* other lanes may have waited for it */
}

static void on_subscribe_done(struct lane *l, const struct session_event *ev)
{
	struct span path = l->pass->survey[SOURCE].subscribed[ev->user];
	struct outcome why;

	l->writer.requests--;
	if (ev->resp.status.status == STATUS_OK)
		return;
	outcome_of_reply(&why, TARGET, CMD_SUBSCRIBE, &ev->resp.status);
	if (why.radius == RADIUS_CONNECTION)
		pass_fail(l->pass, &why);
	else
		pass_leave_out_subscription(l->pass, path, why.text);
}

static void on_suspect(struct lane *l, const struct resp_fetch *m)
{
	struct folder *f = l->writer.looking;
	struct date date;

	if (f == NULL || l->writer.look_bodies || (m->has & (FETCH_UID | FETCH_HEADER)) != (FETCH_UID | FETCH_HEADER))
		return;
	/* "floor:*" brings the last message even when its UID is lower (RFC 9051 section 9, seq-range). */
	if (m->uid < f->row.floor || uidset_has(&f->recorded_target, m->uid) || !date_parse(m->internaldate, &date))
		return;
	if (m->uid >= f->floor && m->uid != UINT32_MAX)
		f->floor = m->uid + 1;
	if (!suspects_add(f->suspects, identity_of(m->header, date, 0), m->uid, m->announced_size, identity_is_strong(m->header)))
		pass_fail_proto(l->pass, TARGET, PROTO_ERR_NOMEM);
}

static void on_lookup_done(struct lane *l, const struct session_event *ev)
{
	struct writer *w = &l->writer;
	struct folder *f = w->looking;
	struct outcome why;

	if (f == NULL)
		return;
	if (ev->resp.status.status != STATUS_OK && !w->look_failed) {
		w->look_failed = true;
		outcome_of_reply(&why, TARGET, w->look_bodies ? ev->command : CMD_EXAMINE, &ev->resp.status);
		if (why.radius == RADIUS_FOLDER)
			pass_leave_out_folder(l->pass, f, why.text);
		else if (!w->look_bodies || why.radius != RADIUS_MESSAGE) /* what cannot be read cannot be recognised */
			pass_fail(l->pass, &why);
	}
	if (w->look_bodies ? --w->look_pending != 0 : ev->command == CMD_EXAMINE)
		return;
	w->looking = NULL;
	f->looked = true;
	if (w->look_bodies) {
		w->look_bodies = false;
		doubt_answered(l, TARGET);
	}
	pass_pump(l->pass);
}

/* The end of a folder. */

static void folder_closed(struct lane *l, struct folder *f, int64_t id)
{
	(void)id;
	pass_folder_complete(l->pass, f);
}

static void folder_close(struct lane *l, struct folder *f)
{
	struct pass_call *call;

	f->step = FOLDER_CLOSING;
	writer_flush_folder(l->pass, f);
	f->row.floor = f->floor;
	f->safe_next = f->uidnext;
	if (f->unrecorded.messages != 0)
		writer_record(l, f, &f->unrecorded, f->safe_next);
	call = pass_call_new(l, f, folder_closed);
	if (call == NULL) {
		pass_fail_proto(l->pass, TARGET, PROTO_ERR_NOMEM);
		return;
	}
	f->row.open = f->careful && !f->looked; /* a fence, met while the source had nothing: nobody has looked yet */
	f->row.source_next = f->uidnext;
	f->row.source_uidnext = f->uidnext;
	f->row.source_messages = f->was_next > 1 ? f->was_messages : f->messages;
	/* Where older messages are to be looked at, too, it is kept behind that. */
	f->row.source_modseq = f->was_next > 1 ? f->was_modseq : f->failed ? 0 : f->modseq;
	ledger_save_folder(l->pass->env->ledger, &f->row, false, pass_call_id, call);
}

/* A folder gave fewer messages than the source said it has, or a pass that fetched it without a scan was broken, and nobody counted: expunged
 * meanwhile, or lost on the way? The source is asked, once, which it has. */
static bool is_short(struct folder *f)
{
	/* What was scanned was counted, and not all of it is wanted. */
	if (f->judged || f->counted_again)
		return false;
	if (!f->uncounted && (f->row.source_next != 1 || uidset_count(&f->delivered) + uidset_count(&f->recorded) >= f->messages))
		return false;
	f->counted_again = true;
	return true;
}

void writer_check_folder(struct lane *l, struct folder *f)
{
	if (f->step != FOLDER_COPYING || f->rounds != 0 || f->windows != 0 || f->creating || f->create_wanted ||
		l->pass->step != PASS_COPY)
		return;
	if (f->redo_few.n != 0 || f->redo.n != 0 || is_short(f)) {
		int err = work_add(&l->pass->work, f, f->redo_few.n != 0 ? ROUND_FEW : f->redo.n != 0 ? ROUND_REDO : ROUND_LIST);

		if (err != 0)
			pass_fail_proto(l->pass, SOURCE, err);
		else
			pass_pump(l->pass); /* nothing else may come that would wake it */
		return;
	}
	if (f->no_uids) { /* the floor must be asked for */
		f->step = FOLDER_CLOSING;
		writer_wish(l, f, &f->status_wanted);
		return;
	}
	folder_close(l, f);
}

static void on_status_done(struct lane *l, const struct session_event *ev)
{
	struct folder *f = &l->pass->folder[ev->user];

	l->writer.requests--;
	if (f->step != FOLDER_CLOSING)
		return;
	if (ev->resp.status.status == STATUS_OK)
		folder_close(l, f);
	else /* The floor is not known, so nothing of it is recorded: the next pass finds what is there. */
		pass_leave_out_folder(l->pass, f, "the target does not tell its UIDNEXT (STATUS)");
}

static void on_target_status(struct folder *f, const struct resp_folder_status *st)
{
	if ((st->has & FS_UIDNEXT) != 0)
		f->floor = st->uidnext;
	if ((st->has & FS_UIDVALIDITY) != 0 && f->row.target_uidvalidity == 0)
		f->row.target_uidvalidity = st->uidvalidity;
}

void writer_on_folder(struct lane *l, const struct session_event *ev)
{
	if (ev->kind == EVENT_BODY_BEGIN || ev->kind == EVENT_BODY_DATA || ev->kind == EVENT_BODY_END) {
		if (doubt_is_reading(l, TARGET))
			doubt_on_body(l, TARGET, ev);
	} else if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_FETCH) {
		on_suspect(l, &ev->resp.fetch);
	} else if (ev->kind == EVENT_RESPONSE && ev->tag != 0 && ev->command == CMD_SELECT) {
		writer_on_flags(l, ev);
	} else if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_FOLDER_STATUS && ev->tag != 0 &&
		ev->command == CMD_STATUS) {
		on_target_status(&l->pass->folder[ev->user], &ev->resp.folder_status);
	} else if (ev->kind == EVENT_DONE) {
		switch (ev->command) {
		case CMD_CREATE:
			on_create_done(l, ev);
			break;
		case CMD_SUBSCRIBE:
			on_subscribe_done(l, ev);
			break;
		case CMD_STATUS:
			on_status_done(l, ev);
			break;
		case CMD_SELECT:
			writer_on_flags(l, ev);
			break;
		case CMD_EXAMINE:
		case CMD_UID_FETCH:
			on_lookup_done(l, ev);
			break;
		default:
			break;
		}
	}
}
