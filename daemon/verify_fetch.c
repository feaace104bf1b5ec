/*
 * One side: opens a folder, asks for messages in pieces, and keeps what comes. A piece that is refused is asked for in halves, so that one bad message does not
 * hide its neighbours.
 */
#include "verify_p.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "header.h"

#define LIST_MESSAGES 1000 /* in one FETCH, by estimate */
#define DEEP_MESSAGES 200
#define RANGES_MAX 300     /* in one command: a line of about 6000 bytes */
#define REFUSED_MAX 500    /* FETCHes in one folder: then it is given up */

#define META_ITEMS (FETCH_UID | FETCH_FLAGS | FETCH_INTERNALDATE)
#define LIST_ITEMS (META_ITEMS | FETCH_SIZE | FETCH_HEADER)

void verify_side_reset(struct verify_side *s)
{
	compare_list_reset(&s->list);
	uidset_reset(&s->wanted);
	while (s->redo_n != 0)
		uidset_done(&s->redo[--s->redo_n]);
	for (int i = 0; i < VERIFY_JOBS; i++)
		uidset_reset(&s->job[i].asked);
	s->folder = NULL;
	s->opened = s->failed = s->again = s->exists_known = s->in_body = false;
	s->exists = s->refused = s->lost = 0;
	s->last = UINT32_MAX;
	s->name_n = 0;
}

void verify_side_free(struct verify_side *s)
{
	verify_side_reset(s);
	compare_list_done(&s->list);
	uidset_done(&s->wanted);
	for (int i = 0; i < VERIFY_JOBS; i++)
		uidset_done(&s->job[i].asked);
	free(s->redo);
	body_digest_free(&s->digest);
}

/* Asking. */

static unsigned items_of(const struct verify *v)
{
	if (v->step == VERIFY_HASH)
		return FETCH_UID | FETCH_HEADER;
	return v->step == VERIFY_LIST && v->how->deep ? META_ITEMS | FETCH_BODY : LIST_ITEMS;
}

/* The next piece of what is wanted. */
static int take_wanted(struct verify *v, struct verify_side *s, struct uidset *ret)
{
	uint64_t left = s->width;
	uint32_t first = s->wanted.r[0].lo, hi = 0;
	int err = 0;

	for (size_t i = 0; i < s->wanted.n && i < RANGES_MAX && left != 0 && err == 0; i++) {
		uint32_t lo = s->wanted.r[i].lo;

		hi = s->wanted.r[i].hi;
		if (hi - lo >= left)
			hi = (uint32_t)(lo + left - 1);
		left -= (uint64_t)(hi - lo) + 1;
		if (v->step == VERIFY_LIST && hi >= s->last)
			hi = s->wanted.r[i].hi; /* there is hardly anything behind: no pieces of nothing */
		err = uidset_add_range(ret, lo, hi);
	}
	return err == 0 ? uidset_remove_range(&s->wanted, first, hi) : err;
}

static int take_piece(struct verify *v, struct verify_side *s, struct uidset *ret)
{
	uidset_reset(ret);
	if (s->redo_n == 0)
		return take_wanted(v, s, ret);
	uidset_done(ret);
	*ret = s->redo[--s->redo_n];
	return 0;
}

static struct verify_job *free_job(struct verify_side *s)
{
	for (int i = 0; i < VERIFY_JOBS; i++)
		if (!s->job[i].busy)
			return &s->job[i];
	return NULL;
}

int verify_pump(struct verify *v, enum side side)
{
	struct verify_side *s = &v->side[side];
	struct session *ss = v->peer[side] != NULL ? peer_session(v->peer[side]) : NULL;
	struct verify_job *j;
	int err = 0;

	while (err == 0 && ss != NULL && (s->redo_n != 0 || s->wanted.n != 0) && (j = free_job(s)) != NULL) {
		size_t at = 0;
		uint32_t tag;

		err = take_piece(v, s, &j->asked);
		buf_reset(&v->scratch);
		if (err == 0)
			err = uidset_print(&j->asked, &v->scratch, &at, SIZE_MAX);
		if (err == 0)
			err = session_fetch(ss, CMD_UID_FETCH, buf_span(&v->scratch), items_of(v), 0, &tag);
		if (err == 0) {
			session_set_user(ss, tag, (uint64_t)(j - s->job));
			j->busy = true;
			s->pending++;
		}
	}
	if (ss != NULL)
		peer_flush(v->peer[side]);
	return err;
}

/* How many UIDs to ask for so that about so many messages come: UIDs have gaps. */
static uint32_t width_for(const struct survey_folder *f, uint64_t messages)
{
	uint64_t uids = f->messages == 0 ? messages : messages * f->uidnext / f->messages;

	return uids < messages ? (uint32_t)messages : uids > UINT32_MAX ? UINT32_MAX : (uint32_t)uids;
}

/* With what has come since the survey. */
static int want_all(struct verify *v, struct verify_side *s)
{
	const struct survey_folder *f = s->folder;

	uidset_reset(&s->wanted);
	s->last = (f->has & FS_UIDNEXT) != 0 && f->uidnext > 1 ? f->uidnext - 1 : 1;
	s->width = width_for(f, v->how->deep ? DEEP_MESSAGES : LIST_MESSAGES);
	return uidset_add_range(&s->wanted, 1, UINT32_MAX);
}

int verify_list(struct verify *v, enum side side)
{
	struct verify_side *s = &v->side[side];
	uint32_t tag;
	int err;

	compare_list_reset(&s->list);
	s->opened = s->exists_known = false;
	s->lost = 0;
	if (v->how->deep && s->digest == NULL)
		s->digest = body_digest_new();
	err = session_folder(peer_session(v->peer[side]), CMD_EXAMINE, s->folder->wire, false, &tag);
	if (err == 0) {
		s->pending++;
		err = want_all(v, s);
	}
	return err == 0 ? verify_pump(v, side) : err;
}

/* What comes. */

static bool is_asked_for(const struct verify_side *s, const struct resp_fetch *m)
{
	if ((m->has & FETCH_UID) == 0 || m->uid == 0)
		return false;
	for (int i = 0; i < VERIFY_JOBS; i++)
		if (s->job[i].busy && uidset_has(&s->job[i].asked, m->uid))
			return true;
	return false;
}

/* FNV-1a of the canonical text; keywords are the same in any case. */
static int hash_flags(struct verify *v, const struct flags *f, uint32_t *ret)
{
	int err = 0;

	*ret = 0;
	if (v->how->ignore_flags)
		return 0;
	buf_reset(&v->scratch);
	err = flags_print(&v->scratch, f);
	*ret = 2166136261u;
	for (size_t i = 0; i < v->scratch.n && err == 0; i++) {
		char c = buf_span(&v->scratch).p[i];

		*ret = (*ret ^ (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c)) * 16777619u;
	}
	return err;
}

static void set_key(struct compare_entry *e, struct identity id)
{
	e->key[0] = (uint32_t)id.half[0];
	e->key[1] = (uint32_t)(id.half[0] >> 32);
}

static bool has_name(struct span header)
{
	for (size_t i = 0; i < header.n; i++)
		if (header.p[i] != '\r' && header.p[i] != '\n' && header.p[i] != ' ' && header.p[i] != '\t')
			return true;
	return false;
}

static int make_entry(struct verify *v, const struct resp_fetch *m, struct compare_entry *ret, struct date *date)
{
	*ret = (struct compare_entry){ .uid = m->uid };
	if (date_parse(m->internaldate, date))
		ret->date = (uint32_t)date->instant;
	return hash_flags(v, &m->flags, &ret->flags);
}

static int keep_entry(struct verify *v, struct verify_side *s, const struct compare_entry *e)
{
	v->progress.messages_done++;
	return compare_add(&s->list, e);
}

static int listed(struct verify *v, struct verify_side *s, const struct resp_fetch *m)
{
	struct compare_entry e;
	struct date date = { 0 };
	int err = make_entry(v, m, &e, &date);

	e.size = m->announced_size > UINT32_MAX ? UINT32_MAX : (uint32_t)m->announced_size;
	/* Without Message-ID and Date it has no other name than its INTERNALDATE and its size. */
	set_key(&e, identity_of(m->header, has_name(m->header) ? (struct date){ 0 } : date, m->announced_size));
	return err == 0 ? keep_entry(v, s, &e) : err;
}

static int listed_deep(struct verify *v, struct verify_side *s, const struct resp_fetch *m)
{
	struct compare_entry e;
	struct date date = { 0 };
	int err = make_entry(v, m, &e, &date);

	e.size = s->body_size > UINT32_MAX ? UINT32_MAX : (uint32_t)s->body_size;
	set_key(&e, body_digest_end(s->digest));
	return err == 0 ? keep_entry(v, s, &e) : err;
}

/* A message without a partner gets the name by which one that was altered can be found. */
static void rehashed(struct verify *v, struct verify_side *s, const struct resp_fetch *m)
{
	struct compare_entry *e = compare_find(&s->list, m->uid);

	if (e == NULL)
		return;
	if (has_name(m->header))
		set_key(e, identity_of(m->header, (struct date){ 0 }, 0));
	else if (v->how->deep)
		set_key(e, identity_of(SPAN(""), (struct date){ .instant = e->date }, e->size));
}

static int named(struct verify *v, struct verify_side *s, const struct resp_fetch *m)
{
	struct verify_detail *d;
	struct date date;
	char text[DATE_TEXT] = "";
	int err;

	if (s->name_n == VERIFY_NAMES)
		return 0;
	for (size_t i = 0; i < s->name_n; i++)
		if (s->name[i].uid == m->uid)
			return 0;
	d = &s->name[s->name_n];
	*d = (struct verify_detail){ .uid = m->uid, .size = m->announced_size };
	buf_reset(&v->scratch);
	header_field(m->header, SPAN("Message-ID"), &v->scratch);
	d->message_id = verify_keep(&v->names, span_first(buf_span(&v->scratch), 998));
	buf_reset(&v->scratch);
	err = flags_print(&v->scratch, &m->flags);
	d->flags = verify_keep(&v->names, buf_span(&v->scratch));
	if (date_parse(m->internaldate, &date))
		date_print(date, text);
	d->date = verify_keep(&v->names, span_str(text));
	if (err == 0 && (d->message_id == NULL || d->flags == NULL || d->date == NULL))
		err = PROTO_ERR_NOMEM;
	s->name_n++;
	return err;
}

static int on_fetch(struct verify *v, struct verify_side *s, const struct resp_fetch *m)
{
	if (!is_asked_for(s, m))
		return 0;
	if (v->step == VERIFY_HASH && (m->has & FETCH_HEADER) != 0)
		rehashed(v, s, m);
	else if (v->step == VERIFY_NAME && (m->has & LIST_ITEMS) == LIST_ITEMS)
		return named(v, s, m);
	else if (v->step == VERIFY_LIST && !v->how->deep && (m->has & LIST_ITEMS) == LIST_ITEMS)
		return listed(v, s, m);
	return 0;
}

static int on_body(struct verify *v, struct verify_side *s, const struct session_event *ev)
{
	const struct resp_fetch *m = &ev->resp.fetch;
	bool was_in_body = s->in_body;

	switch (ev->kind) {
	case EVENT_BODY_BEGIN:
		s->in_body = v->step == VERIFY_LIST && v->how->deep;
		s->body_size = 0;
		if (s->in_body)
			body_digest_begin(s->digest);
		return 0;
	case EVENT_BODY_DATA:
		s->body_size += ev->data.n;
		if (s->in_body)
			body_digest_add(s->digest, ev->data);
		return 0;
	default:
		s->in_body = false;
		if (!was_in_body || !is_asked_for(s, m) || (m->has & META_ITEMS) != META_ITEMS)
			return 0;
		return listed_deep(v, s, m);
	}
}

static void on_response(struct verify *v, enum side side, const struct session_event *ev, int *err)
{
	struct verify_side *s = &v->side[side];
	const struct resp *r = &ev->resp;
	struct outcome why;

	switch (r->kind) {
	case RESP_FETCH:
		*err = on_fetch(v, s, &r->fetch);
		break;
	case RESP_EXISTS:
		if (ev->tag != 0 && ev->command == CMD_EXAMINE) {
			s->exists = r->number;
			s->exists_known = true;
		}
		break;
	case RESP_EXPUNGE:
		if (s->opened && s->exists != 0)
			s->exists--;
		break;
	case RESP_STATUS:
		if (r->status.code != CODE_UIDVALIDITY || ev->tag == 0 || ev->command != CMD_EXAMINE || s->folder == NULL ||
			(s->folder->has & FS_UIDVALIDITY) == 0 || r->status.uidvalidity == s->folder->uidvalidity)
			break;
		outcome_set(&why, RADIUS_MAILBOX, HEAL_TIME, side, "the UIDVALIDITY of a folder changed while it was looked at");
		verify_fail(v, &why);
		break;
	default:
		break;
	}
}

/* Nothing more is asked for in this folder. */
static void give_up(struct verify *v, enum side side, const char *words)
{
	struct verify_side *s = &v->side[side];

	if (s->failed)
		return;
	s->failed = true;
	uidset_reset(&s->wanted);
	while (s->redo_n != 0)
		uidset_done(&s->redo[--s->redo_n]);
	verify_tell_unreadable(v, side, 0, 1, words);
}

static int push_redo(struct verify_side *s, const struct uidset *from, uint32_t lo, uint32_t hi)
{
	struct uidset half = { 0 };
	int err = uidset_add_set(&half, from);

	if (err == 0 && lo > 1)
		err = uidset_remove_range(&half, 1, lo - 1);
	if (err == 0 && hi < UINT32_MAX)
		err = uidset_remove_range(&half, hi + 1, UINT32_MAX);
	if (err == 0 && s->redo_n == s->redo_size) {
		size_t size = s->redo_size == 0 ? 8 : s->redo_size * 2;
		struct uidset *bigger = realloc(s->redo, size * sizeof(*bigger));

		if (bigger == NULL)
			err = PROTO_ERR_NOMEM;
		else {
			s->redo = bigger;
			s->redo_size = size;
		}
	}
	if (err != 0)
		uidset_done(&half);
	else
		s->redo[s->redo_n++] = half;
	return err;
}

static int refused(struct verify *v, enum side side, struct verify_job *j, const struct session_event *ev)
{
	struct verify_side *s = &v->side[side];
	uint64_t n = uidset_count(&j->asked);
	uint32_t middle;
	struct outcome why;
	int err;

	outcome_of_reply(&why, side, ev->command, &ev->resp.status);
	if (why.radius != RADIUS_MESSAGE) {
		verify_fail(v, &why);
		return 0;
	}
	if (++s->refused > REFUSED_MAX) {
		give_up(v, side, why.text);
		return 0;
	}
	if (n == 1) {
		/* What cannot be named is told without a name. */
		if (v->step == VERIFY_LIST) {
			s->lost++;
			verify_tell_unreadable(v, side, j->asked.r[0].lo, 1, why.text);
		}
		return 0;
	}
	middle = uidset_at(&j->asked, n / 2);
	err = push_redo(s, &j->asked, middle, UINT32_MAX);
	return err == 0 ? push_redo(s, &j->asked, 1, middle - 1) : err;
}

static int examined(struct verify *v, enum side side, const struct session_event *ev)
{
	struct verify_side *s = &v->side[side];
	struct outcome why;

	s->opened = ev->resp.status.status == STATUS_OK;
	if (s->opened)
		return 0;
	outcome_of_reply(&why, side, ev->command, &ev->resp.status);
	if (why.radius == RADIUS_FOLDER)
		give_up(v, side, why.text);
	else
		verify_fail(v, &why);
	return 0;
}

static int on_done(struct verify *v, enum side side, const struct session_event *ev)
{
	struct verify_side *s = &v->side[side];
	struct verify_job *j = &s->job[ev->user % VERIFY_JOBS];
	int err = 0;

	assert(s->pending != 0);
	s->pending--;
	if (ev->command == CMD_EXAMINE)
		return examined(v, side, ev);
	j->busy = false;
	if (ev->resp.status.status != STATUS_OK && !s->failed)
		err = refused(v, side, j, ev);
	return err;
}

void verify_on(struct verify *v, enum side side, const struct session_event *ev)
{
	int err = 0;

	switch (ev->kind) {
	case EVENT_RESPONSE:
		on_response(v, side, ev, &err);
		break;
	case EVENT_BODY_BEGIN:
	case EVENT_BODY_DATA:
	case EVENT_BODY_END:
		err = on_body(v, &v->side[side], ev);
		break;
	case EVENT_DONE:
		if (ev->command != CMD_EXAMINE && ev->command != CMD_UID_FETCH)
			break; /* of the survey */
		err = on_done(v, side, ev);
		if (err == 0 && v->step != VERIFY_ENDED)
			err = verify_pump(v, side);
		break;
	default:
		break;
	}
	if (err != 0)
		verify_fail_proto(v, side, err);
	else if (ev->kind == EVENT_DONE)
		verify_side_done(v);
}
