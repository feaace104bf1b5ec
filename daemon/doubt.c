#include "doubt.h"

#include <stdlib.h>

#include "err.h"
#include "reader_p.h"

void doubt_done(struct doubt *d)
{
	free(d->item);
	uidset_done(&d->ours);
	uidset_done(&d->theirs);
	body_digest_free(&d->digest[SOURCE]);
	body_digest_free(&d->digest[TARGET]);
	*d = (struct doubt){ 0 };
}

void doubt_drop(struct lane *l)
{
	struct doubt *d = &l->doubt;

	d->step = DOUBT_NONE;
	d->n = 0;
	d->theirs_due = false;
	uidset_reset(&d->ours);
	uidset_reset(&d->theirs);
}

int doubt_add(struct lane *l, struct folder *f, uint32_t uid, struct identity name)
{
	struct doubt *d = &l->doubt;

	if (d->n == d->size) {
		size_t size = d->size == 0 ? 32 : d->size * 2;
		struct doubt_item *bigger = realloc(d->item, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		d->item = bigger;
		d->size = size;
	}
	d->step = DOUBT_COLLECTS;
	d->folder = f;
	d->item[d->n++] = (struct doubt_item){ .uid = uid, .name = name };
	return 0;
}

bool doubt_begin(struct lane *l)
{
	if (l->doubt.n == 0)
		return false;
	l->doubt.step = DOUBT_WAITS;
	return true;
}

static int by_uid(const void *x, const void *y)
{
	const struct doubt_item *a = x, *b = y;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* What is to be read on both sides. */
static int collect(struct doubt *d, uint32_t cut)
{
	size_t n = 0;
	int err = 0;

	qsort(d->item, d->n, sizeof(*d->item), by_uid);
	for (size_t i = 0; i < d->n && err == 0; i++) {
		/* Beyond the end of the window it is met once more; and a server may tell of a message twice. */
		if ((cut != 0 && d->item[i].uid >= cut) || (n != 0 && d->item[n - 1].uid == d->item[i].uid))
			continue;
		d->item[n++] = d->item[i];
		err = uidset_add(&d->ours, d->item[i].uid);
		if (err == 0)
			err = suspects_unread(d->folder->suspects, d->item[i].name, &d->theirs);
	}
	d->n = n;
	return err;
}

/* Each message that is there is adopted, the others are wanted. */
static int decide(struct lane *l)
{
	struct doubt *d = &l->doubt;
	struct folder *f = d->folder;
	int err = 0;

	for (size_t i = 0; i < d->n && err == 0; i++) {
		const struct doubt_item *m = &d->item[i];
		uint32_t target_uid = m->read ? suspects_take(f->suspects, m->name, m->body) : 0;

		if (target_uid == 0) {
			err = uidset_add(&l->reader.wanted, m->uid);
			continue;
		}
		err = uidset_add(&f->recorded, m->uid);
		if (err == 0)
			writer_adopt(l, f, m->uid, target_uid);
	}
	return err;
}

static void end(struct lane *l)
{
	int err = l->doubt.folder->step == FOLDER_COPYING ? decide(l) : 0;

	doubt_drop(l);
	if (err == 0)
		err = reader_window_over(l);
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
}

void doubt_pump(struct lane *l)
{
	struct doubt *d = &l->doubt;
	int err = 0;

	if (d->step == DOUBT_WAITS && !reader_is_fetching(l)) {
		d->step = DOUBT_READS;
		err = collect(d, l->reader.cut);
		d->theirs_due = err == 0 && d->theirs.n != 0;
		for (int side = 0; side < SIDES; side++)
			if (d->digest[side] == NULL)
				d->digest[side] = body_digest_new();
	}
	if (err == 0 && d->step == DOUBT_READS && !d->ours_under_way && d->ours.n != 0) {
		err = reader_digest(l, d->folder, &d->ours);
		d->ours_under_way = err == 0;
	}
	if (err != 0)
		pass_fail_proto(l->pass, SOURCE, err);
	else if (d->step == DOUBT_READS && !d->ours_under_way && d->ours.n == 0 && !d->theirs_due && !d->theirs_under_way)
		end(l);
}

bool doubt_is_reading(const struct lane *l, int side)
{
	return side == SOURCE ? l->doubt.ours_under_way : l->doubt.theirs_under_way;
}

static void keep_body(struct lane *l, int side, uint32_t uid, struct identity body)
{
	struct doubt *d = &l->doubt;
	const struct doubt_item key = { .uid = uid };
	struct doubt_item *m;
	int err;

	if (d->step != DOUBT_READS)
		return;
	if (side == SOURCE) {
		m = bsearch(&key, d->item, d->n, sizeof(key), by_uid);
		if (m != NULL) {
			m->body = body;
			m->read = true;
		}
		return;
	}
	err = d->folder->suspects == NULL ? 0 : suspects_read(d->folder->suspects, uid, body);
	if (err != 0)
		pass_fail_proto(l->pass, TARGET, err);
}

void doubt_on_body(struct lane *l, int side, const struct session_event *ev)
{
	struct doubt *d = &l->doubt;

	if (ev->kind == EVENT_BODY_BEGIN) {
		d->in_body[side] = true;
		body_digest_begin(d->digest[side]);
	} else if (ev->kind == EVENT_BODY_DATA && d->in_body[side]) {
		body_digest_add(d->digest[side], ev->data);
	} else if (ev->kind == EVENT_BODY_END && d->in_body[side]) {
		struct identity body = body_digest_end(d->digest[side]);

		d->in_body[side] = false;
		if ((ev->resp.fetch.has & FETCH_UID) != 0)
			keep_body(l, side, ev->resp.fetch.uid, body);
	}
}

void doubt_answered(struct lane *l, int side)
{
	struct doubt *d = &l->doubt;

	if (side == SOURCE)
		d->ours_under_way = false;
	else
		d->theirs_under_way = false;
	if (side == TARGET && d->step == DOUBT_READS && d->folder->suspects != NULL)
		suspects_tried(d->folder->suspects, &d->theirs);
}
