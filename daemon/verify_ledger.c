/*
 * What the ledger knows of messages that are missing, extra or altered: why they were left out, as what they were brought, whether they are ours. It is never
 * taken for the truth: what is on the servers is.
 */
#include "verify_p.h"

#include <stdio.h>
#include <stdlib.h>

#include "err.h"

struct mailbox_id {
	int64_t id;
};

static void take_id(void *arg, const struct ledger_mailbox *m)
{
	((struct mailbox_id *)arg)->id = m->id;
}

struct rows {
	struct verify *v;
	size_t size;
	int err;
};

static void take_row(void *arg, const struct ledger_folder *f)
{
	struct rows *rows = arg;
	struct verify *v = rows->v;
	struct ledger_folder *row;

	if (v->row_n == rows->size) {
		size_t size = rows->size == 0 ? 16 : rows->size * 2;
		struct ledger_folder *bigger = realloc(v->row, size * sizeof(*bigger));

		if (bigger == NULL)
			rows->err = PROTO_ERR_NOMEM;
		if (rows->err != 0)
			return;
		v->row = bigger;
		rows->size = size;
	}
	row = &v->row[v->row_n];
	*row = *f;
	row->source_path = verify_keep(&v->memory, span_str(f->source_path));
	row->target_path = verify_keep(&v->memory, span_str(f->target_path));
	if (row->source_path == NULL || row->target_path == NULL)
		rows->err = PROTO_ERR_NOMEM;
	else
		v->row_n++;
}

int verify_ledger_mailbox(struct verify *v)
{
	struct mailbox_id found = { 0 };
	struct rows rows = { .v = v };

	if (v->how->ledger == NULL)
		return 0;
	/* A ledger that cannot be read is as good as none here: what is compared is on the servers. */
	if (ledger_read_mailboxes(v->how->ledger, v->spec->name, take_id, &found) == LEDGER_OK && found.id != 0 &&
		ledger_read_folders(v->how->ledger, found.id, take_row, &rows) == LEDGER_OK)
		v->ledger_id = found.id;
	return rows.err;
}

enum verify_ours verify_ledger_folder_ours(const struct verify *v, const char *target_path)
{
	if (v->ledger_id == 0)
		return OURS_UNKNOWN;
	for (size_t i = 0; i < v->row_n; i++)
		if (strcmp(v->row[i].target_path, target_path) == 0)
			return OURS_YES;
	return OURS_NO;
}

static const struct ledger_folder *row_now(const struct verify *v)
{
	const struct verify_pair *p = verify_pair_now(v);

	for (size_t i = 0; i < v->row_n && v->ledger_id != 0; i++)
		if (strcmp(v->row[i].source_path, p->source_path) == 0 && strcmp(v->row[i].target_path, p->target_path) == 0)
			return &v->row[i];
	return NULL;
}

/* UIDs of that side still mean what they meant. */
static bool is_valid(const struct verify *v, const struct ledger_folder *row, enum side side)
{
	const struct survey_folder *f = verify_pair_now(v)->folder[side];
	uint32_t known = side == SOURCE ? row->source_uidvalidity : row->target_uidvalidity;

	return f != NULL && (f->has & FS_UIDVALIDITY) != 0 && f->uidvalidity == known;
}

/* Walks both lists of a batch together. */
struct walk {
	struct uidset source, target;
	struct uidset_walk at[SIDES];
};

static int walk_begin(struct walk *w, const char *source, const char *target)
{
	uidset_reset(&w->source);
	uidset_reset(&w->target);
	w->at[SOURCE] = w->at[TARGET] = (struct uidset_walk){ 0 };
	/* A row that cannot be read tells nothing. */
	if (uidset_parse_list(&w->source, span_str(source)) != 0 ||
		(target[0] != '\0' && uidset_parse_list(&w->target, span_str(target)) != 0)) {
		uidset_reset(&w->source);
		uidset_reset(&w->target);
	}
	return 0;
}

static bool walk_next(struct walk *w, uint32_t *source, uint32_t *target)
{
	*source = uidset_walk(&w->source, &w->at[SOURCE]);
	*target = uidset_walk(&w->target, &w->at[TARGET]);
	return *source != 0;
}

static void walk_done(struct walk *w)
{
	uidset_done(&w->source);
	uidset_done(&w->target);
}

/* Messages that were brought, and have no equal partner: their partner is the one that they became. */
struct pairing {
	struct verify *v;
	struct walk walk;
	int err;
};

static void pair_up(void *arg, const char *source_uids, const char *target_uids)
{
	struct pairing *p = arg;
	struct verify *v = p->v;
	uint32_t s, t;

	if (p->err != 0 || walk_begin(&p->walk, source_uids, target_uids) != 0)
		return;
	while (p->err == 0 && walk_next(&p->walk, &s, &t)) {
		struct compare_entry *from = compare_find(&v->side[SOURCE].list, s);
		struct compare_entry *to = from != NULL && t != 0 ? compare_find(&v->side[TARGET].list, t) : NULL;
		unsigned what;

		/* Taken ones keep their UID, so that they can be searched; their key says that they are taken. */
		if (to == NULL || (from->key[0] == 0 && from->key[1] == 0) || (to->key[0] == 0 && to->key[1] == 0))
			continue;
		what = compare_attributes(from, to) | (v->how->deep ? COMPARE_BYTES : 0);
		if ((what & (COMPARE_BYTES | COMPARE_SIZE)) == 0)
			what |= COMPARE_HEADER;
		p->err = compare_pair_add(&v->differ, from, to, what);
		from->key[0] = from->key[1] = to->key[0] = to->key[1] = 0;
	}
}

static void drop_taken(struct compare_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->entry[i].key[0] != 0 || l->entry[i].key[1] != 0)
			l->entry[n++] = l->entry[i];
	l->n = n;
}

int verify_ledger_pair(struct verify *v)
{
	const struct ledger_folder *row = row_now(v);
	struct pairing p = { .v = v };

	if (row == NULL || !is_valid(v, row, SOURCE) || !is_valid(v, row, TARGET))
		return 0;
	(void)ledger_read_sets(v->how->ledger, row->id, pair_up, &p);
	walk_done(&p.walk);
	for (int side = 0; side < SIDES; side++)
		drop_taken(&v->side[side].list);
	return p.err;
}

/* Explaining. The diffs are sorted by the UIDs of one side, so that they can be searched. */

static int by_source(const void *x, const void *y)
{
	const struct verify_diff *a = x, *b = y;

	return a->uid[SOURCE] < b->uid[SOURCE] ? -1 : a->uid[SOURCE] > b->uid[SOURCE];
}

static int by_target(const void *x, const void *y)
{
	const struct verify_diff *a = x, *b = y;

	return a->uid[TARGET] < b->uid[TARGET] ? -1 : a->uid[TARGET] > b->uid[TARGET];
}

static struct verify_diff *find(struct verify *v, enum side side, uint32_t uid)
{
	struct verify_diff key = { .uid = { uid, uid } };

	if (v->diff_n == 0 || uid == 0)
		return NULL;
	return bsearch(&key, v->diff, v->diff_n, sizeof(key), side == SOURCE ? by_source : by_target);
}

static void sort(struct verify *v, enum side side)
{
	if (v->diff_n != 0)
		qsort(v->diff, v->diff_n, sizeof(*v->diff), side == SOURCE ? by_source : by_target);
}

struct explaining {
	struct verify *v;
	struct walk walk;
	enum side side;
	bool valid[SIDES];
	bool untold; /* a batch without target UIDs: what is extra may be ours */
	int err;
};

static void say(struct explaining *x, struct verify_diff *d, const char *words)
{
	if (d->reason == NULL && (d->reason = verify_keep(&x->v->folder_texts, span_str(words))) == NULL)
		x->err = PROTO_ERR_NOMEM;
}

static void explain_batch(void *arg, const char *source_uids, const char *target_uids)
{
	struct explaining *x = arg;
	struct verify_diff *d;
	uint32_t s, t;
	char words[96];

	x->untold = x->untold || target_uids[0] == '\0';
	if (x->err != 0 || walk_begin(&x->walk, source_uids, target_uids) != 0)
		return;
	while (x->err == 0 && walk_next(&x->walk, &s, &t)) {
		if (x->side == TARGET && (d = find(x->v, TARGET, t)) != NULL)
			d->ours = OURS_YES;
		if (x->side == SOURCE && (d = find(x->v, SOURCE, s)) != NULL && d->kind == VERIFY_MISSING) {
			if (t != 0 && x->valid[TARGET])
				snprintf(words, sizeof(words), "it was brought as UID %u, and is gone from there", t);
			else
				snprintf(words, sizeof(words), "it was brought, and is not there any more");
			say(x, d, words);
		}
	}
}

static void explain_not_selected(struct explaining *x, const struct ledger_skip *s)
{
	struct uidset uids = { 0 };

	if (x->valid[SOURCE] && uidset_parse(&uids, span_str(s->uids)) == 0)
		for (size_t i = 0; i < x->v->diff_n && x->err == 0; i++) {
			struct verify_diff *d = &x->v->diff[i];

			if (d->kind != VERIFY_MISSING || !uidset_has(&uids, d->uid[SOURCE]))
				continue;
			d->kind = VERIFY_LEFT_OUT;
			say(x, d, s->reason);
		}
	uidset_done(&uids);
}

static void explain_skip(void *arg, const struct ledger_skip *s)
{
	struct explaining *x = arg;
	struct verify *v = x->v;
	struct verify_diff *d = find(v, SOURCE, s->uid);

	if (s->kind == SKIP_NOT_SELECTED) {
		explain_not_selected(x, s);
		return;
	}
	if (s->uid == 0 && s->kind == SKIP_LEFT_OUT && v->folder.absent) {
		/* The folder as a whole. */
		for (size_t i = 0; i < v->diff_n && x->err == 0; i++) {
			v->diff[i].kind = VERIFY_LEFT_OUT;
			say(x, &v->diff[i], s->reason);
		}
		return;
	}
	if (s->uid == 0 || d == NULL || !x->valid[SOURCE])
		return;
	if (d->kind == VERIFY_MISSING && s->kind == SKIP_LEFT_OUT)
		d->kind = VERIFY_LEFT_OUT;
	else if ((d->kind != VERIFY_ALTERED && d->kind != VERIFY_FLAGS) || s->kind == SKIP_LEFT_OUT || s->kind == SKIP_ECHO)
		return;
	say(x, d, s->reason);
}

static void explain_new(struct explaining *x, const struct ledger_folder *row)
{
	for (size_t i = 0; i < x->v->diff_n && x->err == 0; i++) {
		struct verify_diff *d = &x->v->diff[i];

		if (d->kind == VERIFY_MISSING && d->uid[SOURCE] >= row->source_next)
			say(x, d, "it is newer than the last pass");
	}
}

int verify_ledger_explain(struct verify *v)
{
	const struct ledger_folder *row = row_now(v);
	struct explaining x = { .v = v };

	if (v->ledger_id == 0 || v->diff_n == 0)
		return 0;
	for (int side = 0; side < SIDES && row != NULL; side++)
		x.valid[side] = is_valid(v, row, (enum side)side);
	sort(v, SOURCE);
	(void)ledger_read_skips(v->how->ledger, v->ledger_id, verify_pair_now(v)->source_path, explain_skip, &x);
	if (row != NULL && x.valid[SOURCE]) {
		(void)ledger_read_sets(v->how->ledger, row->id, explain_batch, &x);
		explain_new(&x, row);
	}
	if (x.err == 0 && row != NULL && x.valid[TARGET]) {
		x.side = TARGET;
		sort(v, TARGET);
		(void)ledger_read_sets(v->how->ledger, row->id, explain_batch, &x);
		for (size_t i = 0; i < v->diff_n && !x.untold; i++)
			if (v->diff[i].ours == OURS_UNKNOWN)
				v->diff[i].ours = OURS_NO;
	}
	walk_done(&x.walk);
	return x.err;
}
