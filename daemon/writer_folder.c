/*
 * What the writer says between two APPENDs: CREATE, SUBSCRIBE, the look at what is on the target already, and the end of a folder.
 */
#include <stdio.h>

#include "err.h"
#include "log.h"
#include "pass.h"

#define REQUESTS_MAX 128 /* CREATE, SUBSCRIBE, STATUS in flight */

static struct session *target_session(struct pass *p)
{
	return peer_session(p->peer[TARGET]);
}

static bool send_create(struct pass *p, size_t i)
{
	struct folder *f = &p->folder[i];
	uint32_t tag;

	if (writer_failed(p, session_folder(target_session(p), CMD_CREATE, f->target_wire, false, &tag)))
		return false;
	session_set_user(target_session(p), tag, i);
	p->writer.requests++;
	f->on_target = f->creating = true;
	f->create_tag = tag;
	return true;
}

static bool send_creates(struct pass *p)
{
	struct writer *w = &p->writer;

	for (; w->next_create < p->folder_n && w->requests < REQUESTS_MAX; w->next_create++)
		if (!p->folder[w->next_create].on_target && p->folder[w->next_create].step != FOLDER_LEFT_OUT &&
			!send_create(p, w->next_create))
			return false;
	return true;
}

static bool send_subscribes(struct pass *p)
{
	struct writer *w = &p->writer;
	struct survey *from = &p->survey[SOURCE], *to = &p->survey[TARGET];
	uint32_t tag;

	for (; w->next_create == p->folder_n && w->next_subscribe < from->subscribed_n && w->requests < REQUESTS_MAX;
		w->next_subscribe++) {
		struct span path = from->subscribed[w->next_subscribe];

		if (survey_is_subscribed(to, path))
			continue;
		buf_reset(&w->wire);
		if (name_from_path(&w->wire, path, &to->style) != 0) {
			pass_leave_out_subscription(p, path, "the target cannot have a folder of this name");
			continue;
		}
		if (writer_failed(p, session_folder(target_session(p), CMD_SUBSCRIBE, buf_span(&w->wire), false, &tag)))
			return false;
		session_set_user(target_session(p), tag, w->next_subscribe);
		w->requests++;
	}
	return true;
}

static bool send_status(struct pass *p, size_t i)
{
	struct folder *f = &p->folder[i];
	uint32_t tag;

	if (writer_failed(p, session_status(target_session(p), f->target_wire, FS_UIDNEXT | FS_UIDVALIDITY, &tag)))
		return false;
	session_set_user(target_session(p), tag, i);
	p->writer.requests++;
	return true;
}

static bool send_lookup(struct pass *p, struct folder *f)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%u:*", f->row.floor == 0 ? 1 : f->row.floor);
	uint32_t tag;

	f->suspects = suspects_new();
	if (f->suspects == NULL)
		return !writer_failed(p, PROTO_ERR_NOMEM);
	p->writer.looking = f;
	p->writer.look_failed = false;
	return !writer_failed(p, session_folder(target_session(p), CMD_EXAMINE, f->target_wire, false, &tag)) &&
		!writer_failed(p, session_fetch(target_session(p), CMD_UID_FETCH, span_of(text, (size_t)n),
					  FETCH_UID | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_HEADER, 0, &tag));
}

void writer_wish(struct pass *p, bool *wish)
{
	if (!*wish)
		p->writer.wishes++;
	*wish = true;
}

static void granted(struct pass *p, bool *wish)
{
	*wish = false;
	p->writer.wishes--;
}

static bool send_wishes(struct pass *p)
{
	struct writer *w = &p->writer;

	for (size_t i = 0; i < p->folder_n && w->wishes != 0; i++) {
		struct folder *f = &p->folder[i];

		if (f->create_wanted) {
			granted(p, &f->create_wanted);
			if (!send_create(p, i))
				return false;
		}
		if (f->status_wanted) {
			granted(p, &f->status_wanted);
			if (!send_status(p, i))
				return false;
		}
		if (f->lookup_wanted && w->looking == NULL) {
			granted(p, &f->lookup_wanted);
			if (!send_lookup(p, f))
				return false;
		}
	}
	return true;
}

bool writer_has_requests(const struct pass *p)
{
	const struct writer *w = &p->writer;

	return (w->next_create < p->folder_n && w->requests < REQUESTS_MAX) || (w->wishes != 0 && w->looking == NULL);
}

bool writer_send_requests(struct pass *p)
{
	return send_creates(p) && send_wishes(p) && send_subscribes(p);
}

static void on_create_done(struct pass *p, const struct session_event *ev)
{
	struct folder *f = &p->folder[ev->user];
	struct outcome why;

	p->writer.requests--;
	f->creating = false;
	if (ev->resp.status.status != STATUS_OK) {
		outcome_of_reply(&why, TARGET, CMD_CREATE, &ev->resp.status);
		if (why.radius == RADIUS_FOLDER)
			pass_leave_out_folder(p, f, why.text);
		else if (why.radius != RADIUS_NONE)
			pass_fail(p, &why);
	}
	writer_check_folder(p, f);
}

static void on_subscribe_done(struct pass *p, const struct session_event *ev)
{
	struct span path = p->survey[SOURCE].subscribed[ev->user];
	struct outcome why;

	p->writer.requests--;
	if (ev->resp.status.status == STATUS_OK)
		return;
	outcome_of_reply(&why, TARGET, CMD_SUBSCRIBE, &ev->resp.status);
	if (why.radius == RADIUS_CONNECTION)
		pass_fail(p, &why);
	else
		pass_leave_out_subscription(p, path, why.text);
}

static void on_suspect(struct pass *p, const struct resp_fetch *m)
{
	struct folder *f = p->writer.looking;
	struct date date;

	if (f == NULL || (m->has & (FETCH_UID | FETCH_HEADER)) != (FETCH_UID | FETCH_HEADER))
		return;
	/* "floor:*" brings the last message even when its UID is lower (RFC 9051 section 9, seq-range). */
	if (m->uid < f->row.floor || uidset_has(&f->recorded_target, m->uid) || !date_parse(m->internaldate, &date))
		return;
	if (m->uid >= f->floor && m->uid != UINT32_MAX)
		f->floor = m->uid + 1;
	if (!suspects_add(f->suspects, identity_of(m->header, date, m->announced_size), m->uid))
		pass_fail_proto(p, TARGET, PROTO_ERR_NOMEM);
}

static void on_lookup_done(struct pass *p, const struct session_event *ev)
{
	struct writer *w = &p->writer;
	struct folder *f = w->looking;
	struct outcome why;

	if (f == NULL)
		return;
	if (ev->resp.status.status != STATUS_OK && !w->look_failed) {
		w->look_failed = true;
		outcome_of_reply(&why, TARGET, CMD_EXAMINE, &ev->resp.status);
		if (why.radius == RADIUS_FOLDER)
			pass_leave_out_folder(p, f, why.text);
		else
			pass_fail(p, &why);
	}
	if (ev->command == CMD_EXAMINE)
		return;
	w->looking = NULL;
	f->looked = true;
	reader_pump(p);
}

/* The end of a folder. */

static void folder_closed(struct pass *p, struct folder *f, int64_t id)
{
	(void)id;
	pass_folder_complete(p, f);
}

static void folder_close(struct pass *p, struct folder *f)
{
	struct pass_call *call;

	f->step = FOLDER_CLOSING;
	if (p->writer.pending_folder == f)
		writer_flush(p, true);
	f->row.floor = f->floor;
	f->safe_next = f->uidnext;
	if (f->unrecorded.messages != 0)
		writer_record(p, f, &f->unrecorded);
	call = pass_call_new(p, f, folder_closed);
	if (call == NULL) {
		pass_fail_proto(p, TARGET, PROTO_ERR_NOMEM);
		return;
	}
	f->row.open = f->careful && !f->looked; /* a fence, met while the source had nothing: nobody has looked yet */
	f->row.source_next = f->uidnext;
	f->row.source_uidnext = f->uidnext;
	f->row.source_messages = f->messages;
	ledger_save_folder(p->env->ledger, &f->row, false, pass_call_id, call);
}

/* A folder that was fetched without a scan gave fewer messages than the source said it has: expunged meanwhile, or lost on the way? It is
 * scanned, once. */
static bool is_short(struct folder *f)
{
	if (f->careful || f->counted_again || f->row.source_next != 1 || uidset_count(&f->delivered) >= f->messages)
		return false;
	f->counted_again = true;
	f->looked = true;
	return true;
}

void writer_check_folder(struct pass *p, struct folder *f)
{
	if (f->step != FOLDER_COPYING || f->rounds != 0 || f->windows != 0 || f->creating || f->create_wanted ||
		p->step != PASS_COPY)
		return;
	if (f->redo.n != 0 || is_short(f)) {
		int err = reader_add(p, f, f->redo.n != 0 ? ROUND_REDO : ROUND_COUNT);

		if (err != 0)
			pass_fail_proto(p, SOURCE, err);
		else
			reader_pump(p); /* nothing else may come that would wake it */
		return;
	}
	if (f->no_uids) { /* the floor must be asked for */
		f->step = FOLDER_CLOSING;
		writer_wish(p, &f->status_wanted);
		return;
	}
	folder_close(p, f);
}

static void on_status_done(struct pass *p, const struct session_event *ev)
{
	struct folder *f = &p->folder[ev->user];

	p->writer.requests--;
	if (f->step != FOLDER_CLOSING)
		return;
	if (ev->resp.status.status == STATUS_OK)
		folder_close(p, f);
	else /* The floor is not known, so nothing of it is recorded: the next pass finds what is there. */
		pass_leave_out_folder(p, f, "the target does not tell its UIDNEXT (STATUS)");
}

static void on_target_status(struct folder *f, const struct resp_folder_status *st)
{
	if ((st->has & FS_UIDNEXT) != 0)
		f->floor = st->uidnext;
	if ((st->has & FS_UIDVALIDITY) != 0 && f->row.target_uidvalidity == 0)
		f->row.target_uidvalidity = st->uidvalidity;
}

void writer_on_folder(struct pass *p, const struct session_event *ev)
{
	if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_FETCH) {
		on_suspect(p, &ev->resp.fetch);
	} else if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_FOLDER_STATUS && ev->tag != 0 &&
		ev->command == CMD_STATUS) {
		on_target_status(&p->folder[ev->user], &ev->resp.folder_status);
	} else if (ev->kind == EVENT_DONE) {
		switch (ev->command) {
		case CMD_CREATE:
			on_create_done(p, ev);
			break;
		case CMD_SUBSCRIBE:
			on_subscribe_done(p, ev);
			break;
		case CMD_STATUS:
			on_status_done(p, ev);
			break;
		case CMD_EXAMINE:
		case CMD_UID_FETCH:
			on_lookup_done(p, ev);
			break;
		default:
			break;
		}
	}
}
