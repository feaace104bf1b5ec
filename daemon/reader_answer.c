/*
 * What comes from the source: scans, bodies, and the ends of commands.
 */
#include "err.h"
#include "header.h"
#include "reader_p.h"

#define KNOWN_ITEMS (FETCH_UID | FETCH_FLAGS)
#define FLAGS_TEXT_MAX 7000 /* bytes of the flags of one message */

/* The job that asked for this message; NULL: nobody did. */
static struct reader_job *job_for(struct reader *r, enum reader_job_kind kind, const struct resp_fetch *m)
{
	for (unsigned i = 0; i < r->jobs; i++) {
		struct reader_job *j = reader_job_at(r, i);

		if (j->kind != kind || j->done || j->folder != r->selected)
			continue;
		/* A server that leaves out the UID can only be believed to work in order. */
		if ((m->has & FETCH_UID) == 0 || (m->uid >= j->lo && m->uid <= j->hi && !uidset_has(&j->seen, m->uid)))
			return j;
	}
	return NULL;
}

static void leave_out_large(struct lane *l, struct folder *f, uint32_t uid, enum selection_why why, uint64_t size)
{
	char text[SELECTION_TEXT];

	selection_reason(&l->pass->spec->rules.selection, f->limit, why, size, text);
	pass_leave_out_message(l->pass, f, uid, text);
}

/* A message that is not on the target: wanted, or not. */
static int judge_message(struct lane *l, struct folder *f, const struct resp_fetch *m)
{
	enum selection_why why = selection_judge(&l->pass->spec->rules.selection, f->limit, m);
	int err = 0;

	if (why == SELECTION_WANTED)
		return uidset_add(&l->reader.wanted, m->uid);
	if (why >= SELECTION_MAX_SIZE) {
		leave_out_large(l, f, m->uid, why, m->announced_size);
		return 0;
	}
	err = uidset_add(&l->reader.not_selected[why], m->uid);
	return err == 0 ? uidset_add(&f->delivered, m->uid) : err;
}

/* Behind what was recorded before, and before the mark that goes beyond them. */
static void tell_not_selected(struct lane *l, struct folder *f)
{
	char text[SELECTION_TEXT];

	for (int why = 0; why < SELECTION_WHY_N; why++) {
		selection_reason(&l->pass->spec->rules.selection, f->limit, (enum selection_why)why, 0, text);
		pass_not_selected(l->pass, f, &l->reader.not_selected[why], text);
		uidset_reset(&l->reader.not_selected[why]);
	}
}

/* INTERNALDATE may be missing, or be none ("00-Jan-0000"). Then the date of the header is the next best, else "": the target's clock. */
static enum reader_dated date_of(struct span internaldate, struct span header, char ret[DATE_TEXT])
{
	enum reader_dated dated = DATED_INTERNALDATE;
	struct buf field;
	struct date d;

	ret[0] = '\0';
	buf_init(&field, 200);
	if (!date_parse(internaldate, &d)) {
		dated = DATED_CLOCK;
		if (header_field(header, SPAN("Date"), &field) && date_parse_header(buf_span(&field), &d))
			dated = DATED_HEADER;
	}
	buf_done(&field);
	if (dated != DATED_CLOCK)
		date_print(d, ret);
	return dated;
}

/* As many as fit into a command line that any server reads (RFC 7162 section 4). *odd: not all that the source has. */
static int print_flags(struct buf *out, const struct flags *flags, bool *odd)
{
	struct flags some = *flags;
	int err;

	*odd = flags->unknown != 0;
	do {
		buf_reset(out);
		err = flags_print(out, &some);
		if (err != PROTO_ERR_CAP && out->n <= FLAGS_TEXT_MAX)
			break;
		*odd = true;
		some.keyword_n /= 2;
	} while (err == 0 || err == PROTO_ERR_CAP);
	return err;
}

static int note_losses(struct folder *f, uint32_t uid, enum reader_dated dated, bool odd)
{
	int err = 0;

	if (dated != DATED_INTERNALDATE)
		err = losses_note(&f->losses, uid, SKIP_ALTERED, "date", dated == DATED_HEADER ?
				"its INTERNALDATE is missing or impossible: it has the date of its header" :
				"it has no readable date: it has the time at which it was copied");
	if (err == 0 && odd)
		err = losses_note(&f->losses, uid, SKIP_ALTERED, "flags", "some of its flags cannot be set by any client, or are too many");
	return err;
}

/* Adopted messages have no losses that were noted on the way: what their date is was found by it. */
static int adopt_message(struct lane *l, struct folder *f, const struct resp_fetch *m, enum reader_dated dated, uint32_t target_uid)
{
	struct uidset one = { 0 };
	int err = uidset_add(&f->recorded, m->uid);

	if (err == 0)
		err = note_losses(f, m->uid, dated, m->flags.unknown != 0);
	if (err == 0)
		err = uidset_add(&one, m->uid);
	if (err == 0) {
		writer_adopt(l, f, m->uid, target_uid);
		pass_tell_losses(l->pass, f, &one);
	}
	uidset_done(&one);
	return err;
}

/* Keeps what a scan found: adopted, in doubt, or wanted. */
static int plan_message(struct lane *l, struct reader_job *j, const struct resp_fetch *m)
{
	struct reader *r = &l->reader;
	struct folder *f = j->folder;
	struct date date = { 0 };
	enum suspects_answer answer = SUSPECTS_NONE;
	struct identity name = { 0 };
	char text[DATE_TEXT];
	enum reader_dated dated;
	uint32_t target_uid = 0;

	if ((m->has & FETCH_UID) == 0 || m->uid < j->lo || m->uid > j->hi || uidset_has(&f->recorded, m->uid) || uidset_has(&f->delivered, m->uid) ||
		(r->cut != 0 && m->uid >= r->cut))
		return 0;
	if (r->scanned >= READER_WANTED_MAX) {
		r->cut = m->uid;
		return uidset_remove_range(&r->wanted, m->uid, UINT32_MAX);
	}
	r->scanned++;
	dated = date_of(m->internaldate, m->header, text);
	if (f->suspects != NULL && date_parse(span_str(text), &date)) {
		name = identity_of(m->header, date, 0);
		answer = suspects_ask(f->suspects, name, m->announced_size, identity_is_strong(m->header), &target_uid);
	}
	if (answer == SUSPECTS_DOUBTFUL && selection_judge(&l->pass->spec->rules.selection, f->limit, m) == SELECTION_WANTED)
		return doubt_add(l, f, m->uid, name);
	if (answer == SUSPECTS_NONE || answer == SUSPECTS_DOUBTFUL)
		return judge_message(l, f, m);
	return adopt_message(l, f, m, dated, target_uid);
}

static void count_message(struct folder *f, const struct resp_fetch *m)
{
	char text[DATE_TEXT];
	struct date date;

	date_of(m->internaldate, m->header, text);
	if ((m->has & FETCH_UID) != 0 && f->suspects != NULL && !uidset_has(&f->recorded, m->uid) && date_parse(span_str(text), &date))
		suspects_count(f->suspects, identity_of(m->header, date, 0));
}

static void count_done(struct lane *l, struct folder *f)
{
	f->counts--;
	if (f->counts == 0 && f->count_next == 0 && f->suspects != NULL)
		suspects_counted(f->suspects);
	pass_pump(l->pass); /* others wait for it, or can go on with it */
}

static int keep_meta(struct reader *r, const struct resp_fetch *m, uint32_t uid)
{
	if (r->meta_known && r->meta_uid == uid && (m->has & FETCH_INTERNALDATE) == 0)
		return 0; /* a mere change of flags, behind what was asked for */
	r->meta_uid = uid;
	r->meta_known = true;
	r->meta_dated = date_of(m->internaldate, m->header, r->meta_date);
	return print_flags(&r->meta_flags, &m->flags, &r->meta_odd);
}

static struct reader_job *job_of(struct reader *r, const struct session_event *ev)
{
	return &r->job[ev->user % READER_JOBS];
}

/* The source has it: has it been seen, in this pass or one before it? */
static int list_message(struct lane *l, struct folder *f, uint32_t uid)
{
	if (uidset_has(&f->recorded, uid) || uidset_has(&f->delivered, uid))
		return 0;
	/* Where the target may have it, it is scanned first. */
	return f->careful ? work_add_range(&l->pass->work, f, uid, uid) : pass_redo_few(f, uid);
}

static int on_fetch(struct lane *l, const struct resp_fetch *m)
{
	struct reader *r = &l->reader;
	struct reader_job *j = job_for(r, READ_SCAN, m);

	if (j != NULL && (m->has & FETCH_HEADER) != 0 && j->folder->step == FOLDER_COPYING)
		return plan_message(l, j, m);
	j = (m->has & FETCH_HEADER) != 0 ? job_for(r, READ_COUNT, m) : NULL;
	if (j != NULL)
		count_message(j->folder, m);
	j = (m->has & FETCH_UID) != 0 ? job_for(r, READ_LIST, m) : NULL;
	if (j != NULL)
		return list_message(l, j->folder, m->uid);
	j = (m->has & KNOWN_ITEMS) == KNOWN_ITEMS ? job_for(r, READ_META, m) : NULL;
	return j != NULL ? keep_meta(r, m, j->lo) : 0;
}

static void on_response(struct lane *l, const struct session_event *ev)
{
	struct reader_job *j = ev->tag != 0 ? job_of(&l->reader, ev) : NULL;
	int err = 0;

	if (ev->resp.kind == RESP_FETCH)
		err = on_fetch(l, &ev->resp.fetch);
	else if (ev->resp.kind == RESP_STATUS && j != NULL && j->kind == READ_EXAMINE &&
		ev->resp.status.code == CODE_UIDVALIDITY && ev->resp.status.uidvalidity != j->folder->uidvalidity)
		pass_leave_out_folder(l->pass, j->folder, "its UIDVALIDITY changed while it was copied; the next pass looks at it anew");
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
}

/* What the relay must know of a message before it can be sent. `header`: as much as is here. False: not told yet. */
static bool know(struct lane *l, const struct reader_job *j, const struct resp_fetch *m, struct span header, int *err)
{
	struct reader *r = &l->reader;
	char date[DATE_TEXT];
	enum reader_dated dated;
	bool odd;

	if (j->single && r->meta_known && r->meta_uid == j->lo) {
		if (r->meta_dated == DATED_CLOCK && header.n != 0)
			r->meta_dated = date_of(SPAN_NONE, header, r->meta_date);
		else if (r->meta_dated == DATED_CLOCK && !uidset_has(&j->folder->undated, j->lo))
			return false;
		*err = relay_know(&l->relay, j->lo, span_str(r->meta_date), buf_span(&r->meta_flags));
		if (*err == 0)
			*err = note_losses(j->folder, j->lo, r->meta_dated, r->meta_odd);
		return true;
	}
	if ((m->has & KNOWN_ITEMS) != KNOWN_ITEMS)
		return false;
	dated = date_of(m->internaldate, header, date);
	if (dated != DATED_INTERNALDATE && header.n == 0)
		return false;
	*err = print_flags(&r->scratch, &m->flags, &odd);
	if (*err == 0)
		*err = relay_know(&l->relay, m->uid, span_str(date), buf_span(&r->scratch));
	if (*err == 0)
		*err = note_losses(j->folder, m->uid, dated, odd);
	return true;
}

static const struct reader_job *oldest_fetch(struct reader *r)
{
	for (unsigned i = 0; i < r->jobs; i++)
		if (reader_job_at(r, i)->kind == READ_BODIES && !reader_job_at(r, i)->done)
			return reader_job_at(r, i);
	return NULL;
}

static void on_body_begin(struct lane *l, const struct session_event *ev)
{
	struct reader *r = &l->reader;
	struct reader_job *j = job_for(r, READ_BODIES, &ev->resp.fetch);
	uint64_t size = ev->size;
	int err = 0;

	if (j != NULL && j != oldest_fetch(r))
		r->mixes = true;
	r->in_body = true;
	r->too_large = 0;
	r->mend = NULL;
	r->discard = l->pass->step != PASS_COPY || j == NULL || j->folder->step == FOLDER_LEFT_OUT;
	if (r->discard)
		return;
	/* The source announced another size. */
	if (selection_judge_size(&l->pass->spec->rules.selection, j->folder->limit, ev->size) != SELECTION_WANTED) {
		r->too_large = ev->size;
		r->discard = true;
		return;
	}
	err = reader_mend_begin(r, j, &size);
	if (err == 0 && reader_is_measuring(r))
		return;
	if (err == 0)
		err = relay_begin(&l->relay, j->folder, size, j->single ? 1 : j->few ? WRITER_FEW : 0);
	/* A large message is sent while it arrives: without its date and flags it cannot, and is asked for once more, alone. */
	if (err == 0 && size > RELAY_SMALL && !know(l, j, &ev->resp.fetch, SPAN_NONE, &err)) {
		relay_take_back(&l->relay);
		r->discard = true;
	}
	r->bodies++;
	r->body_bytes += ev->size;
	r->average = (r->body_bytes + READER_PRIOR * READER_AVERAGE) / (r->bodies + READER_PRIOR);
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
}

static void pause_if_full(struct lane *l)
{
	if (relay_is_full(&l->relay) && l->peer[SOURCE] != NULL && !l->reader.paused) {
		l->reader.paused = true;
		peer_pause(l->peer[SOURCE]);
	}
}

static void on_body_data(struct lane *l, const struct session_event *ev)
{
	struct reader *r = &l->reader;
	int err;

	flow_count(&r->flow, ev->data.n, loop_now(l->pass->env->loop));
	if (r->discard)
		return;
	err = r->mend != NULL ? reader_mend_data(l, ev->data) : relay_bytes(&l->relay, ev->data);
	if (err != 0) {
		pass_fail_proto(l->pass, SOURCE, err);
		return;
	}
	writer_pump(l);
	pause_if_full(l);
}

/* A body that came without what belongs to it (UID, flags, date), or out of order for a large one: asked for once more, alone. */
static int body_unusable(struct lane *l, struct reader_job *j, uint32_t uid)
{
	if (j->single && l->reader.meta_known && !uidset_has(&j->folder->undated, j->lo)) {
		int err = uidset_add(&j->folder->undated, j->lo);

		return err == 0 ? pass_redo(j->folder, j->lo) : err;
	}
	if (j->single) {
		pass_leave_out_message(l->pass, j->folder, j->lo, "the source did not tell its flags");
		return 0;
	}
	if (uid == 0) {
		j->unnamed = true;
		return 0;
	}
	return uid >= j->lo && uid <= j->hi ? pass_redo(j->folder, uid) : 0;
}

static int finish_body(struct lane *l, struct reader_job *j, const struct resp_fetch *m, uint32_t uid)
{
	struct relay *relay = &l->relay;
	int err = 0;

	if (l->reader.mend != NULL && (err = reader_mend_end(l)) != 0)
		return err;
	if (!relay_is_open(relay)) /* its last byte is out already, or the writer had no use for it */
		return 0;
	if (!relay_tail(relay)->known && !know(l, j, m, relay_tail_bytes(relay), &err)) {
		relay_take_back(relay);
		return body_unusable(l, j, uid);
	}
	if (err == 0)
		relay_end(relay);
	return err;
}

static void on_body_end(struct lane *l, const struct session_event *ev)
{
	struct reader *r = &l->reader;
	const struct resp_fetch *m = &ev->resp.fetch;
	struct reader_job *j = l->pass->step == PASS_ENDED ? NULL : job_for(r, READ_BODIES, m);
	uint32_t uid = (m->has & FETCH_UID) != 0 ? m->uid : j != NULL && j->single ? j->lo : 0;
	bool live = j != NULL && l->pass->step == PASS_COPY && j->folder->step != FOLDER_LEFT_OUT;
	int err = 0;

	if (live && m->body_form == BODY_NIL && uid == 0)
		j->unnamed = true;
	else if (live && m->body_form == BODY_NIL)
		pass_leave_out_message(l->pass, j->folder, uid, "the source gave no body for it (NIL)");
	else if (live && r->too_large != 0 && uid != 0)
		leave_out_large(l, j->folder, uid, selection_judge_size(&l->pass->spec->rules.selection, j->folder->limit, r->too_large),
			r->too_large);
	else if (r->in_body && !r->discard && reader_is_measuring(r))
		err = live ? reader_mend_measured(l, j) : 0;
	else if (r->in_body && !r->discard && j != NULL)
		err = finish_body(l, j, m, uid);
	else if (r->in_body && !r->discard && !relay_take_back(&l->relay))
		err = PROTO_ERR_SYNTAX; /* another UID behind the body than before it, and it is on its way to the target */
	else if (r->in_body && live)
		err = body_unusable(l, j, uid);
	if (err == 0 && j != NULL && uid != 0)
		err = uidset_add(&j->seen, uid);
	if (err == 0 && j != NULL && uid != 0)
		err = uidset_add(&j->folder->delivered, uid);
	r->in_body = r->discard = false;
	r->too_large = 0;
	r->mend = NULL;
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
	pause_if_full(l);
	reader_pump(l); /* the next FETCH may be due */
}

/* A FETCH that was refused: the messages that have not come are asked for one by one; the one that is refused alone is left out. */
static int fetch_refused(struct lane *l, struct reader_job *j, const struct session_event *ev)
{
	struct folder *f = j->folder;
	struct outcome why;

	outcome_of_reply(&why, SOURCE, ev->command, &ev->resp.status);
	if (why.radius != RADIUS_MESSAGE)
		pass_fail(l->pass, &why);
	else if (j->kind == READ_SCAN || j->kind == READ_COUNT || j->kind == READ_LIST)
		pass_leave_out_folder(l->pass, f, why.text);
	else if (j->kind == READ_BODIES && (j->single || j->lo == j->hi))
		pass_leave_out_message(l->pass, f, j->lo, why.text);
	else if (j->kind == READ_BODIES)
		return work_add_range(&l->pass->work, f, j->lo, j->hi);
	return 0;
}

/* A FETCH that was answered: what a scan had found, and has not come, is asked for once more; what does not come alone is left out. */
static int fetch_done(struct lane *l, struct reader_job *j)
{
	struct reader *r = &l->reader;
	struct uidset_walk w = { 0 };
	uint32_t uid;
	int err = 0;

	if (j->unnamed)
		return work_add_range(&l->pass->work, j->folder, j->lo, j->hi);
	while (err == 0 && (uid = uidset_walk(&j->asked, &w)) != 0) {
		if (uidset_has(&j->seen, uid) || uidset_has(&j->folder->redo, uid))
			continue;
		if (!j->single)
			err = pass_redo(j->folder, uid);
		else if (r->meta_known && r->meta_uid == uid)
			pass_leave_out_message(l->pass, j->folder, uid, "the source lists it, but does not send it");
	}
	return err;
}

/* More was found than is kept at a time: what is from the cut on is scanned once more, together with what is wanted below it when that goes downwards. */
static void give_back(struct reader *r, struct work *t, const struct reader_job *j)
{
	if (!t->down) {
		t->next = r->cut;
		r->window_hi = r->cut - 1;
		return;
	}
	uidset_reset(&r->wanted);
	t->last = r->window_hi;
	t->width = (j->hi - j->lo) / 4 + 1;
}

static int scan_done(struct lane *l, struct reader_job *j)
{
	struct reader *r = &l->reader;
	struct work *t = &r->work;

	if (l->pass->step != PASS_COPY) {
		r->scanning = false;
		return 0; /* there is no work any more */
	}
	tell_not_selected(l, j->folder);
	if (r->cut != 0)
		give_back(r, t, j);
	if (doubt_begin(l))
		return 0;
	r->scanning = false;
	/* Told when all commands before it are done: bodies of an earlier window may still be coming. */
	if (r->wanted.n == 0)
		j->mark = reader_mark_of(t, r->window_hi);
	return 0;
}

/* All commands before are done. */
int reader_window_over(struct lane *l)
{
	struct reader *r = &l->reader;
	struct work *t = &r->work;
	uint32_t mark;

	r->scanning = false;
	if (l->pass->step != PASS_COPY || t->folder == NULL || r->wanted.n != 0)
		return 0;
	mark = reader_mark_of(t, r->window_hi);
	return mark != 0 ? relay_mark(&l->relay, RELAY_MARK, t->folder, mark) : 0;
}

static void refused(struct lane *l, struct reader_job *j, const struct session_event *ev, int *err)
{
	struct outcome why;

	if (l->pass->step != PASS_COPY || j->folder->step == FOLDER_LEFT_OUT)
		return;
	if (j->kind != READ_EXAMINE) {
		*err = fetch_refused(l, j, ev);
		return;
	}
	outcome_of_reply(&why, SOURCE, ev->command, &ev->resp.status);
	if (why.radius == RADIUS_FOLDER)
		pass_leave_out_folder(l->pass, j->folder, why.text);
	else
		pass_fail(l->pass, &why);
}

/* What the jobs at the front promise comes true, in the order in which they were sent. */
static int retire(struct lane *l)
{
	struct reader *r = &l->reader;
	int err = 0;

	while (r->jobs != 0 && reader_job_at(r, 0)->done && err == 0) {
		struct reader_job *j = reader_job_at(r, 0);

		if (j->mark != 0)
			err = relay_mark(&l->relay, RELAY_MARK, j->folder, j->mark);
		if (err == 0 && j->ends != NULL && l->pass->step == PASS_COPY)
			reader_end_round(l, j->ends);
		uidset_done(&j->seen);
		uidset_done(&j->asked);
		r->first = (r->first + 1) % READER_JOBS;
		r->jobs--;
	}
	return err;
}

static void on_done(struct lane *l, const struct session_event *ev)
{
	struct reader *r = &l->reader;
	struct reader_job *j = job_of(r, ev);
	struct folder *counted = j->kind == READ_COUNT ? j->folder : NULL;
	bool ok = ev->resp.status.status == STATUS_OK;
	int err = 0;

	if (j->kind == READ_EXAMINE)
		r->selected = ok ? j->folder : NULL;
	if (!ok)
		refused(l, j, ev, &err);
	else if (l->pass->step == PASS_COPY && j->kind == READ_BODIES && j->folder->step != FOLDER_LEFT_OUT)
		err = fetch_done(l, j);
	if (err == 0 && j->kind == READ_SCAN)
		err = scan_done(l, j);
	if (j->single && j->kind == READ_BODIES)
		r->meta_known = false;
	r->asked -= j->estimate;
	j->estimate = 0;
	j->done = true;
	if (j->kind == READ_DIGEST)
		doubt_answered(l, SOURCE);
	if (err == 0)
		err = retire(l);
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
	if (counted != NULL)
		count_done(l, counted);
	/* A range that was refused is anybody's work. */
	if (l->pass->lane_n > 1 && l->pass->work.at < l->pass->work.n)
		pass_pump(l->pass);
	reader_pump(l);
}

void reader_on(struct lane *l, const struct session_event *ev)
{
	if (doubt_is_reading(l, SOURCE) && (ev->kind == EVENT_BODY_BEGIN || ev->kind == EVENT_BODY_DATA || ev->kind == EVENT_BODY_END)) {
		doubt_on_body(l, SOURCE, ev);
		return;
	}
	switch (ev->kind) {
	case EVENT_RESPONSE:
		on_response(l, ev);
		break;
	case EVENT_BODY_BEGIN:
		on_body_begin(l, ev);
		break;
	case EVENT_BODY_DATA:
		on_body_data(l, ev);
		break;
	case EVENT_BODY_END:
		on_body_end(l, ev);
		break;
	case EVENT_DONE:
		on_done(l, ev);
		break;
	default:
		break;
	}
}
