#include "writer.h"

#include <assert.h>

#include "err.h"
#include "pass.h"

#define WINDOW_MESSAGES 200u
#define WINDOW_MESSAGES_MOST 1000u
#define WINDOW_FOLDER 100u         /* of a large folder, one part in so many */
#define WINDOW_BYTES (2u << 20)    /* two of them are under way at least */
#define WINDOW_TEXT (64u << 10)
#define WINDOW_MESSAGE (4u << 20) /* a larger message goes alone: what a break in it costs is only itself */
/* Bytes in APPENDs without answer, to which the last one comes: what is in doubt after a break. */
#define UNDER_WAY_LEAST (4u << 20)
#define UNDER_WAY_MOST (32u << 20)

void writer_init(struct writer *w)
{
	*w = (struct writer){ 0 };
	buf_init(&w->texts, 4u << 20);
	buf_init(&w->wire, 1u << 20);
	buf_init(&w->flags, 1u << 20);
}

void writer_done(struct writer *w)
{
	for (unsigned i = 0; i < WRITER_WINDOWS; i++)
		batch_done(&w->window[i].batch);
	batch_done(&w->pending);
	buf_done(&w->texts);
	buf_done(&w->wire);
	buf_done(&w->flags);
}

static struct session *target_session(struct lane *l)
{
	return peer_session(l->peer[TARGET]);
}

bool writer_failed(struct lane *l, int err)
{
	if (err != 0)
		pass_fail_proto(l->pass, TARGET, err);
	return err != 0;
}

/* What the ledger is told. */

static void batch_recorded(void *arg, int err)
{
	pass_call_done(arg, err);
}

static void after_batch(struct lane *l, struct folder *f, int64_t id)
{
	(void)f, (void)id;
	l->writer.recording--;
	writer_flush(l, false);
	pass_check_end(l->pass);
}

/* Gives a batch to the ledger, and empties it. */
void writer_record(struct lane *l, struct folder *f, struct batch *b, uint32_t next)
{
	struct writer *w = &l->writer;
	struct ledger_batch row = { .folder = f->row.id, .source_next = next, .target_uidvalidity = f->row.target_uidvalidity,
		.floor = f->careful || f->no_uids || f->split ? f->row.floor : f->floor };
	int err = batch_row(b, &w->texts, &row);
	struct pass_call *call = err == 0 ? pass_call_new(l, f, after_batch) : NULL;

	if (call == NULL) {
		pass_fail_proto(l->pass, TARGET, err == 0 ? PROTO_ERR_NOMEM : err);
		return;
	}
	batch_reset(b);
	f->told_next = next;
	w->recording++;
	ledger_add_batches(l->pass->env->ledger, &row, 1, batch_recorded, call);
}

void writer_flush(struct lane *l, bool now)
{
	struct writer *w = &l->writer;

	if (w->pending_folder == NULL || w->pending.messages == 0 || (w->recording != 0 && !now))
		return;
	/* source_next speaks of all lanes: what they have goes first. */
	if (w->pending_folder->split)
		writer_flush_folder(l->pass, w->pending_folder);
	else
		writer_record(l, w->pending_folder, &w->pending, w->pending_folder->safe_next);
}

void writer_flush_folder(struct pass *p, struct folder *f)
{
	struct lane *last = NULL;

	/* Each is a row of its own, and the thread may be killed between two: only the last one may say that all have come. */
	for (unsigned i = 0; i < p->lane_n; i++) {
		struct writer *w = &p->lane[i]->writer;

		if (w->pending_folder != f || w->pending.messages == 0)
			continue;
		if (last != NULL)
			writer_record(last, f, &last->writer.pending, f->told_next);
		last = p->lane[i];
	}
	if (last != NULL)
		writer_record(last, f, &last->writer.pending, f->safe_next);
}

/* Makes `pending` ready to take messages of this folder: one ledger row is of one folder, and of messages that were all brought, or all adopted. */
static void pending_for(struct lane *l, struct folder *f, bool adopted)
{
	struct writer *w = &l->writer;

	if (w->pending_folder != f || (w->pending.messages != 0 && (w->pending.adopted != 0) != adopted))
		writer_flush(l, true);
	w->pending_folder = f;
}

void writer_adopt(struct lane *l, struct folder *f, uint32_t uid, uint32_t target_uid)
{
	struct writer *w = &l->writer;
	int err;

	pending_for(l, f, true);
	/* Its flags were not written by us: they are compared at the end of the pass. */
	f->was_next = f->uidnext;
	f->was_modseq = 0;
	err = batch_add(&w->pending, uid, SPAN_NONE, 0);
	if (err == 0)
		err = uidset_push(&w->pending.target, target_uid);
	if (err != 0) {
		pass_fail_proto(l->pass, TARGET, err);
		return;
	}
	w->pending.adopted++;
	l->pass->progress.any = true;
	f->row.adopted++;
	if (target_uid >= f->floor)
		f->floor = target_uid + 1;
	l->pass->progress.adopted++;
	pass_count(l->pass, 1);
	writer_flush(l, false);
}

/* Windows. */

static struct window *window_at(struct writer *w, unsigned i)
{
	return &w->window[(w->first + i) % WRITER_WINDOWS];
}

static bool window_begin(struct lane *l, struct folder *f, uint32_t most)
{
	struct writer *w = &l->writer;
	struct window *win = window_at(w, w->n);
	uint32_t tag;

	if (writer_failed(l, session_append_begin(target_session(l), f->target_wire, &tag)))
		return false;
	batch_reset(&win->batch);
	*win = (struct window){ .folder = f, .batch = win->batch, .tag = tag, .sent = ++l->pass->sent, .most = most };
	session_set_user(target_session(l), tag, (uint64_t)(win - w->window));
	if (w->n++ == 0)
		flow_count(&w->flow, 0, loop_now(l->pass->env->loop));
	w->open = win;
	f->windows++;
	return true;
}

static void window_end(struct lane *l)
{
	struct writer *w = &l->writer;

	if (w->open == NULL)
		return;
	if (session_append_is_open(target_session(l)) && writer_failed(l, session_append_end(target_session(l))))
		return;
	w->open->mark = w->open->folder == w->mark_folder ? w->mark : 0;
	w->open = NULL;
	peer_flush(l->peer[TARGET]);
}

static bool window_is_full(const struct lane *l, const struct window *win)
{
	return !peer_has(l->peer[TARGET], CAP_MULTIAPPEND) || win->batch.messages >= win->most ||
		win->batch.bytes >= WINDOW_BYTES || win->text >= WINDOW_TEXT;
}

/* Adds what was stored to the pending batch. */
static void record(struct lane *l, struct window *win)
{
	struct writer *w = &l->writer;
	struct folder *f = win->folder;

	l->pass->progress.copied += win->batch.messages;
	l->pass->progress.bytes_copied += win->batch.bytes;
	f->row.copied += win->batch.messages;
	l->pass->progress.any = true;
	pass_count(l->pass, win->batch.messages);
	/* Without their UIDs they are not told from other messages above the floor: recorded when the floor is above them. */
	if (f->no_uids) {
		writer_failed(l, batch_move(&f->unrecorded, &win->batch));
		return;
	}
	pending_for(l, f, false);
	writer_failed(l, batch_move(&w->pending, &win->batch));
}

static uint32_t highest_of(const struct uidset *list)
{
	uint32_t highest = 0;

	for (size_t i = 0; i < list->n; i++)
		highest = list->r[i].hi > highest ? list->r[i].hi : highest;
	return highest;
}

/* The UIDs of what was stored, if the target told them and they make sense. */
static void take_uids(struct lane *l, struct window *win, const struct resp_status *st)
{
	struct folder *f = win->folder;

	if (st->code == CODE_APPENDUID && st->uidvalidity != 0 &&
		uidset_parse_list(&win->batch.target, st->uids) == 0 &&
		uidset_count(&win->batch.target) == win->batch.messages) {
		if (f->row.target_uidvalidity == 0)
			f->row.target_uidvalidity = st->uidvalidity;
		if (f->row.target_uidvalidity == st->uidvalidity) {
			win->highest = highest_of(&win->batch.target);
			return;
		}
		pass_leave_out_folder(l->pass, f, "its UIDVALIDITY changed while it was copied; the next pass looks at it anew");
	}
	f->no_uids = true;
	uidset_reset(&win->batch.target);
}

/* A refused window: its messages again, few at a time; then each alone; the one that was alone is left out. */
static void window_refused(struct lane *l, struct window *win, const struct session_event *ev)
{
	struct folder *f = win->folder;
	struct outcome why;
	uint32_t uid;
	bool few;

	outcome_of_reply(&why, TARGET, CMD_APPEND, &ev->resp.status);
	if (why.radius == RADIUS_FOLDER && why.heal == HEAL_TIME) {
		/* [TRYCREATE]: once more, then all that was sent before. */
		if (!f->created_again)
			writer_wish(l, f, &f->create_wanted);
		f->created_again = true;
		if (f->create_wanted || win->sent < f->created)
			why.radius = RADIUS_NONE;
	}
	if (why.radius == RADIUS_FOLDER) {
		pass_leave_out_folder(l->pass, f, why.text);
		return;
	}
	if (why.radius != RADIUS_MESSAGE && why.radius != RADIUS_NONE) {
		pass_fail(l->pass, &why);
		return;
	}
	uid = uidset_at(&win->batch.source, 0);
	if (why.radius == RADIUS_MESSAGE && win->batch.messages == 1 && writer_try_otherwise(l, win, &why))
		return;
	if (why.radius == RADIUS_MESSAGE && win->batch.messages == 1) {
		pass_leave_out_message(l->pass, f, uid, why.text);
		return;
	}
	few = win->batch.messages > WRITER_FEW;
	for (struct uidset_walk w = { 0 }; (uid = uidset_walk(&win->batch.source, &w)) != 0;)
		if (writer_failed(l, few ? pass_redo_few(f, uid) : pass_redo(f, uid)))
			return;
}

static void windows_retire(struct lane *l)
{
	struct writer *w = &l->writer;

	while (w->n != 0 && window_at(w, 0)->answered && window_at(w, 0) != w->open) {
		struct window *win = window_at(w, 0);
		struct folder *f = win->folder;

		/* Only in the order of sending: what came before is answered, too. */
		if (!f->no_uids && win->mark > f->safe_next && (f->hold == 0 || win->mark <= f->hold))
			f->safe_next = win->mark;
		if (win->highest >= f->floor && win->highest != UINT32_MAX)
			f->floor = win->highest + 1;
		f->windows--;
		batch_reset(&win->batch);
		w->first = (w->first + 1) % WRITER_WINDOWS;
		w->n--;
		writer_flush(l, false);
		writer_check_folder(l, f);
	}
}

static void on_append_done(struct lane *l, const struct session_event *ev)
{
	struct writer *w = &l->writer;
	struct window *win = &w->window[ev->user % WRITER_WINDOWS];
	bool ok = ev->resp.status.status == STATUS_OK;

	if (win->tag != ev->tag || win->answered)
		return;
	if (ok && win == w->open) {
		struct outcome why;

		/* Its window has no answer that would count: there is nothing to wait for. */
		outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, TARGET, "the server said OK to an APPEND before its end");
		pass_abort(l->pass, &why);
		return;
	}
	/* A server that did not understand the command may not have read the literal as one: then the bytes of the message would go on as commands. */
	if (ev->resp.status.status == STATUS_BAD && session_body_tag(target_session(l)) == ev->tag) {
		struct outcome why;

		outcome_of_reply(&why, TARGET, CMD_APPEND, &ev->resp.status);
		why.radius = RADIUS_CONNECTION;
		why.heal = HEAL_TIME;
		pass_abort(l->pass, &why);
		return;
	}
	win->answered = true;
	w->under_way -= win->batch.bytes;
	flow_count(&w->flow, win->batch.bytes, loop_now(l->pass->env->loop));
	if (win == w->open) {
		/* The head of the relay belongs to the refused window as soon as it is announced. */
		if (w->sending) {
			struct relay_item *h = relay_head(&l->relay);

			w->draining_refused = session_is_mid_body(target_session(l));
			writer_failed(l, batch_add(&win->batch, h->uid, SPAN_NONE, h->size));
			h->dropped = !w->draining_refused;
			w->sending = w->draining_refused;
		}
		if (!w->draining_refused)
			w->open = NULL;
	}
	if (ok) {
		take_uids(l, win, &ev->resp.status);
		pass_tell_losses(l->pass, win->folder, &win->batch.source);
		record(l, win);
	} else {
		window_refused(l, win, ev);
	}
	windows_retire(l);
}

/* Messages. */

static bool may_begin(const struct lane *l, const struct relay_item *h)
{
	const struct folder *f = h->folder;

	return f->step == FOLDER_COPYING && f->on_target && !f->create_wanted && (!f->creating || f->creator == l) && h->known && (h->whole || h->size > RELAY_SMALL) &&
		l->writer.looking == NULL;
}

static void drop_head(struct lane *l)
{
	struct relay_item *h = relay_head(&l->relay);

	h->dropped = true;
	relay_take(&l->relay, relay_ready(&l->relay).n);
	if (h->missing == 0)
		relay_pop(&l->relay);
}

/* What a server does at the end of an APPEND it does with the whole folder's index: the larger that is, the more should come of it. */
static uint32_t window_most(const struct folder *f)
{
	uint32_t part = (f->messages > f->target_messages ? f->messages : f->target_messages) / WINDOW_FOLDER;

	return part < WINDOW_MESSAGES ? WINDOW_MESSAGES : part > WINDOW_MESSAGES_MOST ? WINDOW_MESSAGES_MOST : part;
}

/* Announces the head of the relay, in the open APPEND or a new one. False: not now. */
static bool message_begin(struct lane *l, struct relay_item *h)
{
	struct writer *w = &l->writer;
	uint32_t most = h->size > WINDOW_MESSAGE ? 1 : h->most != 0 ? h->most : window_most(h->folder);
	struct append_message m = { .date = relay_date(&l->relay), .size = h->size, .binary = uidset_has(&h->folder->binary, h->uid) };
	bool ready = (!h->folder->creating || h->folder->creator == l) && writer_flags_ready(l, h->folder, relay_flags(&l->relay));

	if (w->open != NULL && (most != w->open->most || w->open->folder != h->folder || window_is_full(l, w->open) || writer_has_requests(l)))
		window_end(l);
	if (l->pass->step == PASS_ENDED || (w->open == NULL && !writer_send_requests(l)))
		return false;
	if (!ready || !may_begin(l, h) || writer_failed(l, writer_flags(l, h->folder, h->uid, relay_flags(&l->relay), &m.flags)))
		return false;
	if (w->open == NULL) {
		if (w->n == WRITER_WINDOWS || w->under_way >= flow_window(&w->flow, UNDER_WAY_LEAST, UNDER_WAY_MOST))
			return false;
		if (!window_begin(l, h->folder, most))
			return false;
	}
	if (writer_failed(l, session_append_message(target_session(l), &m)))
		return false;
	h->begun = true;
	w->sending = true;
	w->open->text += m.flags.n + m.date.n + 32;
	l->pass->progress.folder = h->folder->row.source_path;
	return true;
}

/* Sends bytes of the head. True when the message is out. */
static bool message_send(struct lane *l, struct relay_item *h)
{
	struct writer *w = &l->writer;
	struct span flags;

	peer_flush(l->peer[TARGET]);
	while (h->left != 0) {
		struct span ready = relay_ready(&l->relay);
		size_t taken = 0;

		/* The last byte waits until the source's response has come to its proper end: what was cut, or mixed with
		 * other bytes on the way, never becomes a message. */
		if (!h->whole && ready.n == h->left)
			ready.n--;
		if (ready.n == 0 || session_body_due(target_session(l)) == 0 || peer_is_full(l->peer[TARGET]))
			return false;
		if (writer_failed(l, peer_body(l->peer[TARGET], ready, &taken)) || taken == 0)
			return false;
		relay_take(&l->relay, taken);
	}
	if (!w->draining_refused && session_is_mid_body(target_session(l)))
		return false; /* an empty message whose literal is not asked for yet */
	if (w->draining_refused) {
		w->draining_refused = false;
		w->open = NULL;
	} else {
		if (writer_failed(l, writer_flags(l, h->folder, h->uid, relay_flags(&l->relay), &flags)) ||
			writer_failed(l, batch_add(&w->open->batch, h->uid, flags, h->size)))
			return false;
		w->under_way += h->size;
	}
	w->sending = false;
	return true;
}

/* One step with the head of the relay; false when nothing can be done now. */
static bool step(struct lane *l)
{
	struct writer *w = &l->writer;
	struct relay_item *h = relay_head(&l->relay);
	struct folder *f;

	if (h == NULL)
		return false;
	f = h->folder;
	if (w->sending) {
		if (!message_send(l, h))
			return false;
		relay_pop(&l->relay);
		if (w->open != NULL && window_is_full(l, w->open))
			window_end(l);
		windows_retire(l);
		return true;
	}
	if (h->kind == RELAY_MARK) {
		w->mark = h->uid;
		w->mark_folder = f;
		relay_pop(&l->relay);
		return true;
	}
	if (h->kind == RELAY_END) {
		if (w->open != NULL && w->open->folder == f)
			window_end(l);
		assert(f->rounds != 0);
		f->rounds--;
		relay_pop(&l->relay);
		writer_check_folder(l, f);
		return true;
	}
	if (h->dropped || f->step == FOLDER_LEFT_OUT || l->pass->step == PASS_DRAIN) {
		bool all = h->missing == 0;

		drop_head(l);
		return all;
	}
	return message_begin(l, h);
}

void writer_pump(struct lane *l)
{
	struct writer *w = &l->writer;

	if ((l->pass->step != PASS_COPY && l->pass->step != PASS_DRAIN) || l->peer[TARGET] == NULL)
		return;
	while (l->pass->step != PASS_ENDED && step(l))
		;
	if (l->pass->step == PASS_ENDED)
		return;
	/* An APPEND is not left open for messages that may never come. */
	if (w->open != NULL && !w->sending &&
		(l->pass->step == PASS_DRAIN || writer_has_requests(l) ||
			(relay_head(&l->relay) == NULL && !reader_is_fetching(l))))
		window_end(l);
	if (w->open == NULL && l->pass->step == PASS_COPY)
		writer_send_requests(l);
	if (l->pass->step == PASS_ENDED)
		return;
	peer_flush(l->peer[TARGET]);
	reader_resume(l);
	pass_check_end(l->pass);
}

void writer_on(struct lane *l, const struct session_event *ev)
{
	if (ev->kind == EVENT_DONE && ev->command == CMD_APPEND)
		on_append_done(l, ev);
	else
		writer_on_folder(l, ev);
	writer_pump(l);
}

bool writer_is_idle(const struct lane *l)
{
	const struct writer *w = &l->writer;

	return w->n == 0 && !w->sending && w->requests == 0 && w->looking == NULL && (!lane_is_first(l) || (
		w->next_create == l->pass->folder_n && w->next_subscribe == l->pass->survey[SOURCE].subscribed_n));
}
