#include "reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "pass.h"

#define BUDGET (8u << 20)          /* bytes asked for and not yet here; they wait in sockets, not in memory */
#define CHUNK (4u << 20)           /* bytes in one FETCH, by estimate */
#define CHUNK_MESSAGES_MAX 2000
#define AVERAGE_FIRST (16u << 10)  /* bytes of a message before any was seen */
#define SCAN_MESSAGES 250
#define WANTED_MAX 4096            /* UIDs of one scan kept in memory */

#define BODY_ITEMS (FETCH_UID | FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_BODY)
#define META_ITEMS (FETCH_UID | FETCH_FLAGS | FETCH_INTERNALDATE)
#define SCAN_ITEMS (META_ITEMS | FETCH_SIZE | FETCH_HEADER)

void reader_init(struct reader *r)
{
	*r = (struct reader){ .average = AVERAGE_FIRST };
	buf_init(&r->meta_flags, 64u << 10);
	buf_init(&r->scratch, 128u << 10);
}

void reader_done(struct reader *r)
{
	for (int i = 0; i < READER_JOBS; i++)
		uidset_done(&r->job[i].seen);
	free(r->task);
	uidset_done(&r->wanted);
	buf_done(&r->meta_flags);
	buf_done(&r->scratch);
	r->task = NULL;
}

int reader_add(struct pass *p, struct folder *f, enum reader_round round)
{
	struct reader *r = &p->reader;
	bool redo = round == ROUND_REDO;

	if (r->task_n == r->task_size) {
		size_t size = r->task_size == 0 ? 16 : r->task_size * 2;
		struct reader_task *bigger = realloc(r->task, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		r->task = bigger;
		r->task_size = size;
	}
	r->task[r->task_n++] = (struct reader_task){
		.folder = f,
		.careful = (f->careful && !redo) || round == ROUND_COUNT,
		.single = redo,
		.next = redo ? 1 : f->row.source_next,
		.last = redo ? 0 : f->uidnext - 1,
	};
	f->end_seen = false;
	return 0;
}

static struct reader_job *job_at(struct reader *r, unsigned i)
{
	return &r->job[(r->first + i) % READER_JOBS];
}

/* The caller has seen to it that there is room. */
static struct reader_job *job_new(struct reader *r, enum reader_job_kind kind, struct folder *f, uint32_t lo, uint32_t hi)
{
	struct reader_job *j = job_at(r, r->jobs);

	assert(r->jobs < READER_JOBS);
	*j = (struct reader_job){ .kind = kind, .folder = f, .lo = lo, .hi = hi };
	r->jobs++;
	return j;
}

static void remember(struct pass *p, struct reader_job *j, uint32_t tag)
{
	session_set_user(peer_session(p->peer[SOURCE]), tag, (uint64_t)(j - p->reader.job));
}

/* The job that asked for this message; NULL: nobody did. */
static struct reader_job *job_for(struct reader *r, enum reader_job_kind kind, const struct resp_fetch *m)
{
	for (unsigned i = 0; i < r->jobs; i++) {
		struct reader_job *j = job_at(r, i);

		if (j->kind != kind || j->done || j->folder != r->selected)
			continue;
		/* A server that leaves out the UID can only be believed to work in order. */
		if ((m->has & FETCH_UID) == 0 || (m->uid >= j->lo && m->uid <= j->hi && !uidset_has(&j->seen, m->uid)))
			return j;
	}
	return NULL;
}

/* How many UIDs to ask for so that about `messages` come: UIDs have gaps. */
static uint32_t width_for(const struct folder *f, uint64_t messages)
{
	uint64_t uids = f->messages == 0 ? messages : messages * f->uidnext / f->messages;

	return uids < 1 ? 1 : uids > UINT32_MAX ? UINT32_MAX : (uint32_t)uids;
}

static uint64_t chunk_messages(const struct reader *r)
{
	uint64_t n = CHUNK / (r->average + 1);

	return n < 4 ? 4 : n > CHUNK_MESSAGES_MAX ? CHUNK_MESSAGES_MAX : n;
}

static uint32_t end_of_range(uint32_t from, uint32_t width, uint32_t last)
{
	return last - from < width ? last : from + width - 1;
}

static int send_fetch(struct pass *p, struct reader_job *j, struct span set, unsigned items)
{
	uint32_t tag;
	int err = session_fetch(peer_session(p->peer[SOURCE]), CMD_UID_FETCH, set, items, 0, &tag);

	if (err == 0)
		remember(p, j, tag);
	return err;
}

static int fetch_range(struct pass *p, struct reader_job *j, unsigned items)
{
	char set[32];
	int n = j->lo == j->hi ? snprintf(set, sizeof(set), "%u", j->lo) : snprintf(set, sizeof(set), "%u:%u", j->lo, j->hi);

	return send_fetch(p, j, span_of(set, (size_t)n), items);
}

/* Whether a FETCH of bodies of this folder may be sent now. Servers may answer a second one before the first is through (Dovecot does when its output is
 * blocked), and the order of the messages would be lost. So the next is sent when the one before is nearly through, and where a server was seen
 * to mix them, when it is done. An EXAMINE between keeps them apart anyway. */
static bool may_fetch(struct reader *r, const struct reader_task *t)
{
	unsigned before = 0;

	for (unsigned i = r->jobs; i-- > 0;) {
		struct reader_job *j = job_at(r, i);

		if (j->kind == READ_EXAMINE)
			break;
		if (j->kind != READ_BODIES || j->done)
			continue;
		before++;
		if (t->single || r->mixes || before > 1 || uidset_max(&j->seen) < j->lo + (j->hi - j->lo) / 2)
			return false;
	}
	return true;
}

static void charge(struct reader *r, struct reader_job *j, uint64_t messages)
{
	j->estimate = messages * r->average;
	r->asked += j->estimate;
}

static int issue_examine(struct pass *p, struct reader_task *t)
{
	struct reader_job *j = job_new(&p->reader, READ_EXAMINE, t->folder, 0, 0);
	uint32_t tag;
	int err = session_folder(peer_session(p->peer[SOURCE]), CMD_EXAMINE, t->folder->source_wire, false, &tag);

	if (err != 0)
		return err;
	remember(p, j, tag);
	t->examined = true;
	return 0;
}

static int issue_direct(struct pass *p, struct reader_task *t)
{
	struct reader *r = &p->reader;
	uint64_t messages = chunk_messages(r);
	uint32_t hi = end_of_range(t->next, width_for(t->folder, messages), t->last);
	struct reader_job *j = job_new(r, READ_BODIES, t->folder, t->next, hi);

	j->mark = hi == UINT32_MAX ? hi : hi + 1;
	charge(r, j, messages < t->folder->messages ? messages : t->folder->messages);
	t->next = j->mark;
	return fetch_range(p, j, BODY_ITEMS);
}

static int issue_scan(struct pass *p, struct reader_task *t)
{
	struct reader *r = &p->reader;
	uint32_t hi = end_of_range(t->next, width_for(t->folder, SCAN_MESSAGES), t->last);
	struct reader_job *j = job_new(r, READ_SCAN, t->folder, t->next, hi);

	r->scanning = true;
	r->scanned = 0;
	r->cut = 0;
	r->window_hi = hi;
	t->next = hi == UINT32_MAX ? hi : hi + 1;
	return fetch_range(p, j, SCAN_ITEMS);
}

/* The next of the wanted UIDs: as many as make a chunk, or one alone, with a fetch before that tells its flags and date. */
static int issue_wanted(struct pass *p, struct reader_task *t)
{
	struct reader *r = &p->reader;
	uint32_t lo = uidset_next(&r->wanted, 1), uid = lo, hi = lo;
	uint64_t n = 0, most = t->single ? 1 : chunk_messages(r);
	struct uidset chunk = { 0 };
	struct reader_job *j;
	size_t at = 0;
	int err = 0;

	for (; n < most && uid != 0 && err == 0; n++, uid = uid == UINT32_MAX ? 0 : uidset_next(&r->wanted, uid + 1)) {
		err = uidset_add(&chunk, uid);
		hi = uid;
	}
	buf_reset(&r->scratch);
	if (err == 0)
		err = uidset_print(&chunk, &r->scratch, &at, 7000);
	/* What did not fit into one command line stays wanted. */
	if (err == 0 && at < chunk.n)
		hi = chunk.r[at - 1].hi;
	if (err == 0)
		err = uidset_remove_range(&r->wanted, lo, hi);
	uidset_done(&chunk);
	if (err == 0 && t->single)
		err = fetch_range(p, job_new(r, READ_META, t->folder, lo, lo), META_ITEMS);
	if (err != 0)
		return err;
	j = job_new(r, READ_BODIES, t->folder, lo, hi);
	j->single = t->single;
	if (!t->single && r->wanted.n == 0)
		j->mark = r->window_hi == UINT32_MAX ? UINT32_MAX : r->window_hi + 1;
	charge(r, j, n);
	return send_fetch(p, j, buf_span(&r->scratch), t->single ? FETCH_UID | FETCH_BODY : BODY_ITEMS);
}

static void end_round(struct pass *p, struct folder *f)
{
	int err = relay_mark(&p->relay, RELAY_END, f, 0);

	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
}

/* One command, or none: false when there is nothing to ask for now. */
static bool issue(struct pass *p)
{
	struct reader *r = &p->reader;
	struct reader_task *t = r->task_at < r->task_n ? &r->task[r->task_at] : NULL;
	int err;

	if (t == NULL || r->jobs + 3 > READER_JOBS || r->scanning)
		return false;
	if (r->asked >= BUDGET && r->jobs >= 2)
		return false;
	if (t->folder->step == FOLDER_LEFT_OUT) {
		uidset_reset(&r->wanted);
		t->next = 1;
		t->last = 0;
		t->examined = true;
	} else if (t->careful && !t->folder->looked) {
		if (p->writer.looking != t->folder)
			writer_wish(p, &t->folder->lookup_wanted);
		return false;
	} else if (t->careful && t->folder->step != FOLDER_COPYING) {
		return false; /* what is adopted needs the folder's row */
	}
	if (!t->examined) {
		err = issue_examine(p, t);
		if (err == 0 && t->single) {
			uidset_reset(&r->wanted);
			err = uidset_add_set(&r->wanted, &t->folder->redo);
			uidset_reset(&t->folder->redo);
		}
	} else if (r->wanted.n != 0) {
		if (!may_fetch(r, t))
			return false;
		err = issue_wanted(p, t);
	} else if (t->next <= t->last && t->next != 0 && !t->single) {
		if (!t->careful && !may_fetch(r, t))
			return false;
		err = t->careful ? issue_scan(p, t) : issue_direct(p, t);
		if (t->next == UINT32_MAX)
			t->last = 0;
	} else {
		struct reader_job *newest = r->jobs != 0 ? job_at(r, r->jobs - 1) : NULL;

		if (newest != NULL && newest->ends != NULL)
			return false;
		r->task_at++;
		if (newest != NULL)
			newest->ends = t->folder;
		else
			end_round(p, t->folder);
		return true;
	}
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
	return err == 0;
}

void reader_pump(struct pass *p)
{
	while (pass_is_copying(p) && issue(p))
		;
	if (p->peer[SOURCE] != NULL)
		peer_flush(p->peer[SOURCE]);
	writer_pump(p);
}

/* Keeps what a scan found: adopted, or wanted. */
static int plan_message(struct pass *p, struct reader_job *j, const struct resp_fetch *m)
{
	struct reader *r = &p->reader;
	struct folder *f = j->folder;
	struct date date = { 0 };
	uint32_t target_uid = 0;
	int err;

	if ((m->has & FETCH_UID) == 0 || m->uid < j->lo || m->uid > j->hi || uidset_has(&f->recorded, m->uid) || uidset_has(&f->delivered, m->uid) ||
		(r->cut != 0 && m->uid >= r->cut))
		return 0;
	if (r->scanned >= WANTED_MAX) {
		r->cut = m->uid;
		return uidset_remove_range(&r->wanted, m->uid, UINT32_MAX);
	}
	r->scanned++;
	if (f->suspects != NULL && date_parse(m->internaldate, &date))
		target_uid = suspects_take(f->suspects, identity_of(m->header, date, m->announced_size));
	if (target_uid == 0)
		return uidset_add(&r->wanted, m->uid);
	err = uidset_add(&f->recorded, m->uid);
	buf_reset(&r->scratch);
	if (err == 0)
		err = flags_print(&r->scratch, &m->flags);
	if (err == 0)
		writer_adopt(p, f, m->uid, target_uid, buf_span(&r->scratch));
	return err;
}

static void date_text(struct span internaldate, char ret[DATE_TEXT])
{
	struct date d;

	ret[0] = '\0';
	if (date_parse(internaldate, &d))
		date_print(d, ret);
}

static int keep_meta(struct reader *r, const struct resp_fetch *m, uint32_t uid)
{
	r->meta_uid = uid;
	r->meta_known = true;
	date_text(m->internaldate, r->meta_date);
	buf_reset(&r->meta_flags);
	return flags_print(&r->meta_flags, &m->flags);
}

static struct reader_job *job_of(struct reader *r, const struct session_event *ev)
{
	return &r->job[ev->user % READER_JOBS];
}

static int on_fetch(struct pass *p, const struct resp_fetch *m)
{
	struct reader *r = &p->reader;
	struct reader_job *j = job_for(r, READ_SCAN, m);

	if (j != NULL && (m->has & FETCH_HEADER) != 0 && j->folder->step == FOLDER_COPYING)
		return plan_message(p, j, m);
	j = (m->has & META_ITEMS) == META_ITEMS ? job_for(r, READ_META, m) : NULL;
	return j != NULL ? keep_meta(r, m, j->lo) : 0;
}

static void on_response(struct pass *p, const struct session_event *ev)
{
	struct reader_job *j = ev->tag != 0 ? job_of(&p->reader, ev) : NULL;
	int err = 0;

	if (ev->resp.kind == RESP_FETCH)
		err = on_fetch(p, &ev->resp.fetch);
	else if (ev->resp.kind == RESP_STATUS && j != NULL && j->kind == READ_EXAMINE &&
		ev->resp.status.code == CODE_UIDVALIDITY && ev->resp.status.uidvalidity != j->folder->uidvalidity)
		pass_leave_out_folder(p, j->folder, "its UIDVALIDITY changed while it was copied; the next pass looks at it anew");
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
}

/* What the relay must know of a message before it can be sent. False: not told yet. */
static bool know(struct pass *p, const struct reader_job *j, const struct resp_fetch *m, int *err)
{
	struct reader *r = &p->reader;
	char date[DATE_TEXT];

	if (j->single && r->meta_known && r->meta_uid == j->lo) {
		*err = relay_know(&p->relay, j->lo, span_str(r->meta_date), buf_span(&r->meta_flags));
		return true;
	}
	if ((m->has & META_ITEMS) != META_ITEMS)
		return false;
	date_text(m->internaldate, date);
	buf_reset(&r->scratch);
	*err = flags_print(&r->scratch, &m->flags);
	if (*err == 0)
		*err = relay_know(&p->relay, m->uid, span_str(date), buf_span(&r->scratch));
	return true;
}

static const struct reader_job *oldest_fetch(struct reader *r)
{
	for (unsigned i = 0; i < r->jobs; i++)
		if (job_at(r, i)->kind == READ_BODIES && !job_at(r, i)->done)
			return job_at(r, i);
	return NULL;
}

static void on_body_begin(struct pass *p, const struct session_event *ev)
{
	struct reader *r = &p->reader;
	struct reader_job *j = job_for(r, READ_BODIES, &ev->resp.fetch);
	int err = 0;

	if (j != NULL && j != oldest_fetch(r))
		r->mixes = true;
	r->in_body = true;
	r->discard = p->step != PASS_COPY || j == NULL || j->folder->step == FOLDER_LEFT_OUT;
	if (r->discard)
		return;
	err = relay_begin(&p->relay, j->folder, ev->size, j->single);
	/* A large message is sent while it arrives: without its date and flags it cannot, and is asked for once more, alone. */
	if (err == 0 && ev->size > RELAY_SMALL && !know(p, j, &ev->resp.fetch, &err)) {
		relay_take_back(&p->relay);
		r->discard = true;
	}
	r->average = (r->average * 15 + ev->size) / 16;
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
}

static void pause_if_full(struct pass *p)
{
	if (relay_is_full(&p->relay) && p->peer[SOURCE] != NULL && !p->reader.paused) {
		p->reader.paused = true;
		peer_pause(p->peer[SOURCE]);
	}
}

static void on_body_data(struct pass *p, const struct session_event *ev)
{
	struct reader *r = &p->reader;
	int err;

	if (r->discard)
		return;
	err = relay_bytes(&p->relay, ev->data);
	if (err != 0) {
		pass_fail_proto(p, SOURCE, err);
		return;
	}
	writer_pump(p);
	pause_if_full(p);
}

/* A body that came without what belongs to it (UID, flags, date), or out of order for a large one: asked for once more, alone. */
static int body_unusable(struct pass *p, struct reader_job *j, uint32_t uid)
{
	if (j->single) {
		pass_leave_out_message(p, j->folder, j->lo, "the source did not tell its flags and date");
		return 0;
	}
	if (uid == 0) {
		j->unnamed = true;
		return 0;
	}
	return uid >= j->lo && uid <= j->hi ? uidset_add(&j->folder->redo, uid) : 0;
}

static int finish_body(struct pass *p, struct reader_job *j, const struct resp_fetch *m, uint32_t uid)
{
	struct relay *relay = &p->relay;
	int err = 0;

	if (!relay_is_open(relay)) /* its last byte is out already, or the writer had no use for it */
		return 0;
	if (!relay_tail(relay)->known && !know(p, j, m, &err)) {
		relay_take_back(relay);
		return body_unusable(p, j, uid);
	}
	if (err == 0)
		relay_end(relay);
	return err;
}

static void on_body_end(struct pass *p, const struct session_event *ev)
{
	struct reader *r = &p->reader;
	const struct resp_fetch *m = &ev->resp.fetch;
	struct reader_job *j = p->step == PASS_ENDED ? NULL : job_for(r, READ_BODIES, m);
	uint32_t uid = (m->has & FETCH_UID) != 0 ? m->uid : j != NULL && j->single ? j->lo : 0;
	bool live = j != NULL && p->step == PASS_COPY && j->folder->step != FOLDER_LEFT_OUT;
	int err = 0;

	if (live && m->body_form == BODY_NIL)
		pass_leave_out_message(p, j->folder, uid, "the source gave no body for it (NIL)");
	else if (r->in_body && !r->discard && j != NULL)
		err = finish_body(p, j, m, uid);
	else if (r->in_body && !r->discard && !relay_take_back(&p->relay))
		err = PROTO_ERR_SYNTAX; /* another UID behind the body than before it, and it is on its way to the target */
	else if (r->in_body && live)
		err = body_unusable(p, j, uid);
	if (err == 0 && j != NULL && uid != 0)
		err = uidset_add(&j->seen, uid);
	if (err == 0 && j != NULL && uid != 0)
		err = uidset_add(&j->folder->delivered, uid);
	r->in_body = r->discard = false;
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
	pause_if_full(p);
	reader_pump(p); /* the next FETCH may be due */
}

/* UIDs that do not exist cost a question each; this is rare. */
static int redo_unseen(struct reader_job *j)
{
	int err = 0;

	for (uint64_t uid = j->lo; uid <= j->hi && j->folder->redo.n < WANTED_MAX && err == 0; uid++)
		if (!uidset_has(&j->seen, (uint32_t)uid))
			err = uidset_add(&j->folder->redo, (uint32_t)uid);
	return err;
}

/* A FETCH that was refused: the messages that have not come are asked for one by one; the one that is refused alone is left out. */
static int fetch_refused(struct pass *p, struct reader_job *j, const struct session_event *ev)
{
	struct folder *f = j->folder;
	struct outcome why;

	outcome_of_reply(&why, SOURCE, ev->command, &ev->resp.status);
	if (why.radius != RADIUS_MESSAGE) {
		pass_fail(p, &why);
		return 0;
	}
	if (j->kind == READ_META)
		return 0;
	if (j->single || j->lo == j->hi) {
		pass_leave_out_message(p, f, j->lo, why.text);
		return 0;
	}
	if (j->kind == READ_SCAN) {
		pass_leave_out_folder(p, f, why.text);
		return 0;
	}
	return redo_unseen(j);
}

static int scan_done(struct pass *p, struct reader_job *j)
{
	struct reader *r = &p->reader;
	struct reader_task *t = &r->task[r->task_at];

	r->scanning = false;
	if (r->cut != 0) {
		t->next = r->cut;
		r->window_hi = r->cut - 1;
	}
	if (r->wanted.n != 0)
		return 0;
	return relay_mark(&p->relay, RELAY_MARK, j->folder, r->window_hi == UINT32_MAX ? UINT32_MAX : r->window_hi + 1);
}

static void refused(struct pass *p, struct reader_job *j, const struct session_event *ev, int *err)
{
	struct outcome why;

	if (p->step != PASS_COPY || j->folder->step == FOLDER_LEFT_OUT)
		return;
	if (j->kind != READ_EXAMINE) {
		*err = fetch_refused(p, j, ev);
		return;
	}
	outcome_of_reply(&why, SOURCE, ev->command, &ev->resp.status);
	if (why.radius == RADIUS_FOLDER)
		pass_leave_out_folder(p, j->folder, why.text);
	else
		pass_fail(p, &why);
}

/* What the jobs at the front promise comes true, in the order in which they were sent. */
static int retire(struct pass *p)
{
	struct reader *r = &p->reader;
	int err = 0;

	while (r->jobs != 0 && job_at(r, 0)->done && err == 0) {
		struct reader_job *j = job_at(r, 0);

		if (j->mark != 0)
			err = relay_mark(&p->relay, RELAY_MARK, j->folder, j->mark);
		if (err == 0 && j->ends != NULL && p->step == PASS_COPY)
			end_round(p, j->ends);
		uidset_done(&j->seen);
		r->first = (r->first + 1) % READER_JOBS;
		r->jobs--;
	}
	return err;
}

static void on_done(struct pass *p, const struct session_event *ev)
{
	struct reader *r = &p->reader;
	struct reader_job *j = job_of(r, ev);
	bool ok = ev->resp.status.status == STATUS_OK;
	int err = 0;

	if (j->kind == READ_EXAMINE)
		r->selected = ok ? j->folder : NULL;
	if (!ok)
		refused(p, j, ev, &err);
	else if (j->unnamed)
		err = redo_unseen(j);
	if (err == 0 && j->kind == READ_SCAN)
		err = scan_done(p, j);
	if (j->single && j->kind == READ_BODIES)
		r->meta_known = false;
	r->asked -= j->estimate;
	j->estimate = 0;
	j->done = true;
	if (err == 0)
		err = retire(p);
	if (err != 0)
		pass_fail_proto(p, SOURCE, err);
	reader_pump(p);
}

void reader_on(struct pass *p, const struct session_event *ev)
{
	switch (ev->kind) {
	case EVENT_RESPONSE:
		on_response(p, ev);
		break;
	case EVENT_BODY_BEGIN:
		on_body_begin(p, ev);
		break;
	case EVENT_BODY_DATA:
		on_body_data(p, ev);
		break;
	case EVENT_BODY_END:
		on_body_end(p, ev);
		break;
	case EVENT_DONE:
		on_done(p, ev);
		break;
	default:
		break;
	}
}

void reader_stop(struct pass *p)
{
	struct reader *r = &p->reader;

	r->task_at = r->task_n;
	if (r->in_body && !r->discard && relay_take_back(&p->relay))
		r->discard = true;
}

void reader_resume(struct pass *p)
{
	if (p->reader.paused && relay_is_low(&p->relay)) {
		p->reader.paused = false;
		if (p->peer[SOURCE] != NULL)
			peer_resume(p->peer[SOURCE]);
	}
}
