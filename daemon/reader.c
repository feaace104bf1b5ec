#include "reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "asking.h"
#include "err.h"
#include "reader_p.h"

/* Bytes in one FETCH, by estimate: they wait in sockets, not in memory. The next is asked for when half of it is here. */
#define CHUNK_LEAST (4u << 20)
#define CHUNK_MOST (32u << 20)
#define CHUNK_MESSAGES_MAX 2000
#define SCAN_MESSAGES 250
#define COUNT_MESSAGES 1000
#define LIST_MESSAGES 20000
#define COUNTS 2 /* in flight */
/* After a break, when the target has no more than so many bytes that are in doubt, all of them are read: then the folder need not be counted. */
#define DOUBT_LITTLE (4u << 20)
#define NEWEST_MESSAGES 100 /* in one FETCH, where the newest messages go first: a server tells those of one FETCH the other way round */

#define BODY_ITEMS (FETCH_UID | FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_BODY)
#define SCAN_ITEMS (READER_META | FETCH_SIZE | FETCH_HEADER)

void reader_init(struct reader *r)
{
	*r = (struct reader){ .average = READER_AVERAGE };
	buf_init(&r->meta_flags, 64u << 10);
	buf_init(&r->scratch, 128u << 10);
	buf_init(&r->mended, 8u << 20);
}

void reader_done(struct reader *r)
{
	for (int i = 0; i < READER_JOBS; i++) {
		uidset_done(&r->job[i].seen);
		uidset_done(&r->job[i].asked);
	}
	uidset_done(&r->wanted);
	for (int why = 0; why < SELECTION_WHY_N; why++)
		uidset_done(&r->not_selected[why]);
	buf_done(&r->meta_flags);
	buf_done(&r->scratch);
	buf_done(&r->mended);
}

bool reader_is_fetching(const struct lane *l)
{
	const struct reader *r = &l->reader;

	for (unsigned i = 0; i < r->jobs; i++) {
		const struct reader_job *j = &r->job[(r->first + i) % READER_JOBS];

		if (j->kind == READ_BODIES && !j->done)
			return true;
	}
	return false;
}

/* The caller has seen to it that there is room. */
static struct reader_job *job_new(struct reader *r, enum reader_job_kind kind, struct folder *f, uint32_t lo, uint32_t hi)
{
	struct reader_job *j = reader_job_at(r, r->jobs);

	assert(r->jobs < READER_JOBS);
	*j = (struct reader_job){ .kind = kind, .folder = f, .lo = lo, .hi = hi };
	r->jobs++;
	return j;
}

static void remember(struct lane *l, struct reader_job *j, uint32_t tag)
{
	session_set_user(peer_session(l->peer[SOURCE]), tag, (uint64_t)(j - l->reader.job));
}

/* How many UIDs to ask for so that about `messages` come: UIDs have gaps. */
static uint32_t width_for(const struct folder *f, uint64_t messages)
{
	uint64_t uids = f->messages == 0 ? messages : messages * f->uidnext / f->messages;

	return uids < 1 ? 1 : uids > UINT32_MAX ? UINT32_MAX : (uint32_t)uids;
}

static uint64_t chunk(const struct reader *r)
{
	return 2 * flow_window(&r->flow, CHUNK_LEAST / 2, CHUNK_MOST / 2);
}

static uint64_t chunk_messages(const struct reader *r)
{
	uint64_t n = chunk(r) / (r->average + 1);

	return n < 4 ? 4 : n > CHUNK_MESSAGES_MAX ? CHUNK_MESSAGES_MAX : n;
}

static uint32_t end_of_range(uint32_t from, uint32_t width, uint32_t last)
{
	return last - from < width ? last : from + width - 1;
}

static int send_fetch(struct lane *l, struct reader_job *j, struct span set, unsigned items)
{
	uint32_t tag;
	int err = session_fetch(peer_session(l->peer[SOURCE]), CMD_UID_FETCH, set, items, 0, &tag);

	if (err == 0)
		remember(l, j, tag);
	return err;
}

static int fetch_range(struct lane *l, struct reader_job *j, unsigned items)
{
	char set[32];
	int n = j->lo == j->hi ? snprintf(set, sizeof(set), "%u", j->lo) : snprintf(set, sizeof(set), "%u:%u", j->lo, j->hi);

	return send_fetch(l, j, span_of(set, (size_t)n), items);
}

/* Whether a FETCH of bodies of this folder may be sent now. Servers may answer a second one before the first is through (Dovecot does when its output is
 * blocked), and the order of the messages would be lost. So the next is sent when the one before is nearly through, and where a server was seen
 * to mix them, when it is done. An EXAMINE between keeps them apart anyway. */
static bool may_fetch(struct reader *r, const struct work *t)
{
	unsigned before = 0;

	for (unsigned i = r->jobs; i-- > 0;) {
		struct reader_job *j = reader_job_at(r, i);

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

static int issue_examine(struct lane *l, struct work *t)
{
	struct reader_job *j = job_new(&l->reader, READ_EXAMINE, t->folder, 0, 0);
	uint32_t tag;
	int err = session_folder(peer_session(l->peer[SOURCE]), CMD_EXAMINE, t->folder->source_wire, false, &tag);

	if (err != 0)
		return err;
	remember(l, j, tag);
	t->examined = true;
	return 0;
}

/* Takes the next range of so many UIDs out of the work; the last that is taken leaves next > last. */
static void take_range(struct work *t, uint32_t width, uint32_t *lo, uint32_t *hi)
{
	if (t->down) {
		if (t->width != 0 && width > t->width)
			width = t->width;
		*hi = t->last;
		*lo = t->last - t->next < width ? t->next : t->last - width + 1;
		t->last = *lo - 1;
	} else {
		*lo = t->next;
		*hi = end_of_range(t->next, width, t->last);
		t->next = *hi == UINT32_MAX ? *hi : *hi + 1;
	}
}

uint32_t reader_mark_of(const struct work *t, uint32_t hi)
{
	if (!t->marks || (t->down && t->next <= t->last))
		return 0;
	hi = t->down ? t->top : hi;
	return hi == UINT32_MAX ? hi : hi + 1;
}

static uint64_t at_most(const struct work *t, uint64_t messages)
{
	return t->down && messages > NEWEST_MESSAGES ? NEWEST_MESSAGES : messages;
}

static int issue_direct(struct lane *l, struct work *t)
{
	struct reader *r = &l->reader;
	uint64_t messages = at_most(t, chunk_messages(r));
	struct reader_job *j;
	uint32_t lo, hi;

	take_range(t, width_for(t->folder, messages), &lo, &hi);
	j = job_new(r, READ_BODIES, t->folder, lo, hi);
	j->mark = reader_mark_of(t, hi);
	charge(r, j, messages < t->folder->messages ? messages : t->folder->messages);
	return fetch_range(l, j, BODY_ITEMS);
}

static int issue_scan(struct lane *l, struct work *t)
{
	struct reader *r = &l->reader;
	uint32_t lo, hi;

	take_range(t, width_for(t->folder, at_most(t, SCAN_MESSAGES)), &lo, &hi);
	r->scanning = true;
	r->scanned = 0;
	r->cut = 0;
	r->window_hi = hi;
	return fetch_range(l, job_new(r, READ_SCAN, t->folder, lo, hi), SCAN_ITEMS);
}

static bool must_be_counted(const struct folder *f)
{
	return f->step != FOLDER_LEFT_OUT && f->suspects != NULL && suspects_left(f->suspects) != 0 && !suspects_are_counted(f->suspects) &&
		!(f->broken && suspects_bytes(f->suspects) <= DOUBT_LITTLE);
}

/* The next piece of the folder, by whichever lane; false: nothing is to be asked for now. */
static bool issue_count(struct lane *l, struct folder *f, int *err)
{
	struct reader_job *j;
	uint32_t hi;

	if (f->counts == COUNTS || f->count_next == 0)
		return false;
	hi = end_of_range(f->count_next, width_for(f, COUNT_MESSAGES), f->uidnext - 1);
	j = job_new(&l->reader, READ_COUNT, f, f->count_next, hi);
	f->count_next = hi == f->uidnext - 1 ? 0 : hi + 1;
	f->counts++;
	*err = fetch_range(l, j, SCAN_ITEMS);
	return true;
}

int reader_digest(struct lane *l, struct folder *f, struct uidset *uids)
{
	struct reader_job *j = job_new(&l->reader, READ_DIGEST, f, uids->r[0].lo, uidset_max(uids));
	size_t at = 0;
	int err;

	buf_reset(&l->reader.scratch);
	err = uidset_print(uids, &l->reader.scratch, &at, ASKING_LINE);
	if (err == 0)
		err = uidset_remove_range(uids, 1, uids->r[at - 1].hi);
	return err == 0 ? send_fetch(l, j, buf_span(&l->reader.scratch), FETCH_UID | FETCH_BODY) : err;
}

static int issue_list(struct lane *l, struct work *t)
{
	uint32_t hi = end_of_range(t->next, width_for(t->folder, LIST_MESSAGES), t->last);
	struct reader_job *j = job_new(&l->reader, READ_LIST, t->folder, t->next, hi);

	t->next = hi == UINT32_MAX ? hi : hi + 1;
	return fetch_range(l, j, FETCH_UID);
}

/* The next of the wanted UIDs: as many as make a chunk, or one alone, with a fetch before that tells its flags and date. */
static int issue_wanted(struct lane *l, struct work *t)
{
	struct reader *r = &l->reader;
	uint32_t lo = uidset_next(&r->wanted, 1), uid = lo, hi = lo;
	uint64_t n = 0, most = t->single ? 1 : chunk_messages(r);
	struct uidset set = { 0 };
	struct reader_job *j;
	size_t at = 0;
	int err = 0;

	for (; n < most && uid != 0 && err == 0; n++, uid = uid == UINT32_MAX ? 0 : uidset_next(&r->wanted, uid + 1)) {
		err = uidset_add(&set, uid);
		hi = uid;
	}
	buf_reset(&r->scratch);
	if (err == 0)
		err = uidset_print(&set, &r->scratch, &at, 7000);
	/* What did not fit into one command line stays wanted. */
	if (err == 0 && at < set.n)
		hi = set.r[at - 1].hi;
	if (err == 0)
		err = uidset_remove_range(&r->wanted, lo, hi);
	if (err == 0 && at < set.n && hi != UINT32_MAX)
		err = uidset_remove_range(&set, hi + 1, UINT32_MAX);
	if (err == 0 && t->single)
		err = fetch_range(l, job_new(r, READ_META, t->folder, lo, lo),
			uidset_has(&t->folder->undated, lo) ? READER_META | FETCH_HEADER : READER_META);
	if (err != 0) {
		uidset_done(&set);
		return err;
	}
	j = job_new(r, READ_BODIES, t->folder, lo, hi);
	j->asked = set;
	j->single = t->single;
	j->few = t->redo;
	if (r->wanted.n == 0)
		j->mark = reader_mark_of(t, r->window_hi);
	charge(r, j, n);
	return send_fetch(l, j, buf_span(&r->scratch), t->single ? FETCH_UID | FETCH_BODY : BODY_ITEMS);
}

void reader_end_round(struct lane *l, struct folder *f)
{
	int err = relay_mark(&l->relay, RELAY_END, f, 0);

	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
}

/* One command, or none: false when there is nothing to ask for now. */
static bool issue(struct lane *l)
{
	struct reader *r = &l->reader;
	struct work *t = &r->work;
	int err = 0;

	if (r->jobs + 3 > READER_JOBS || r->scanning || (t->folder == NULL && (l->leaving || !work_take(l->pass, l, t))))
		return false;
	/* What a scan has found is its own to fetch. */
	if (l->leaving && (!t->examined || (r->wanted.n == 0 && !t->redo && t->next <= t->last && t->next != 0)))
		return false;
	if (r->asked >= 2 * chunk(r) && r->jobs >= 2)
		return false;
	if (t->folder->step == FOLDER_LEFT_OUT) {
		uidset_reset(&r->wanted);
		t->next = 1;
		t->last = 0;
		t->examined = true;
	} else if (t->folder->careful && !t->folder->looked) {
		if (t->folder->suspects == NULL)
			writer_wish(l, t->folder, &t->folder->lookup_wanted);
		return false;
	} else if (t->careful && t->folder->step != FOLDER_COPYING) {
		return false; /* what is adopted needs the folder's row */
	}
	if (!t->examined) {
		err = issue_examine(l, t);
		if (err == 0 && t->redo) {
			struct uidset *again = t->single ? &t->folder->redo : &t->folder->redo_few;

			uidset_reset(&r->wanted);
			err = uidset_add_set(&r->wanted, again);
			uidset_reset(again);
		}
	} else if (t->careful && must_be_counted(t->folder)) {
		if (!issue_count(l, t->folder, &err))
			return false;
	} else if (r->wanted.n != 0) {
		if (!may_fetch(r, t))
			return false;
		err = issue_wanted(l, t);
	} else if (t->next <= t->last && t->next != 0 && !t->redo) {
		if (!t->careful && !t->list && !may_fetch(r, t))
			return false;
		err = t->list ? issue_list(l, t) : t->careful ? issue_scan(l, t) : issue_direct(l, t);
		if (t->next == UINT32_MAX)
			t->last = 0;
	} else {
		struct reader_job *newest = r->jobs != 0 ? reader_job_at(r, r->jobs - 1) : NULL;

		if (newest != NULL && newest->ends != NULL)
			return false;
		if (newest != NULL)
			newest->ends = t->folder;
		else
			reader_end_round(l, t->folder);
		t->folder = NULL;
		return true;
	}
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
	return err == 0;
}

void reader_pump(struct lane *l)
{
	bool more;

	if (lane_is_copying(l))
		doubt_pump(l);
	do {
		more = false;
		/* Folders that are left out put their ends into the relay without anything being asked for. */
		while (!more && lane_is_copying(l) && issue(l))
			more = l->reader.jobs == 0 && relay_is_full(&l->relay);
		if (l->peer[SOURCE] != NULL)
			peer_flush(l->peer[SOURCE]);
		writer_pump(l);
	} while (more);
}

void reader_stop(struct lane *l)
{
	struct reader *r = &l->reader;

	r->work.folder = NULL;
	doubt_drop(l);
	if (r->in_body && !r->discard && relay_take_back(&l->relay))
		r->discard = true;
}

void reader_resume(struct lane *l)
{
	if (l->reader.paused && relay_is_low(&l->relay)) {
		l->reader.paused = false;
		if (l->peer[SOURCE] != NULL)
			peer_resume(l->peer[SOURCE]);
	}
}
