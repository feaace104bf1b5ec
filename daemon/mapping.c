#include "mapping.h"

#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "mapping_name.h"

static const char no_such_name[] = "the target cannot have a folder of its name";
static const char name_is_taken[] = "another folder goes to that of its name";
static const char name_is_refused[] = "the target does not take its name";

/* Paths that are taken: open addressing. */
struct table {
	struct taken {
		struct span path;
		const void *owner;
	} *slot;
	size_t size; /* a power of two, more than twice of what will be in it */
};

/* One side's folders by their roles. */
struct roles {
	const struct survey *s;
	enum role *of;              /* of each folder */
	unsigned *rank;             /* among those of its role, the lower the better */
	const struct survey_folder *best[ROLE_N];
};

struct making {
	struct mapping *m;
	struct table paths, folded; /* of entries; of entries and of the target's folders */
	const struct ledger_folder **row;
	size_t row_n;
	struct roles side[SIDES];
	unsigned *above;            /* of each entry: the roles of it and what is above it, as bits */
};

static size_t hash(struct span s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.n; i++) {
		h ^= (unsigned char)s.p[i];
		h *= UINT64_C(0x100000001b3);
	}
	return (size_t)(h ^ h >> 32);
}

static int table_init(struct table *t, size_t n)
{
	for (t->size = 64; t->size / 2 <= n; t->size *= 2)
		;
	t->slot = calloc(t->size, sizeof(*t->slot));
	return t->slot != NULL ? 0 : PROTO_ERR_NOMEM;
}

static struct taken *table_at(const struct table *t, struct span path)
{
	size_t i = hash(path) & (t->size - 1);

	while (t->slot[i].owner != NULL && !span_eq(t->slot[i].path, path))
		i = (i + 1) & (t->size - 1);
	return &t->slot[i];
}

/* Who has it; NULL: nobody had, and now `owner` has. */
static const void *table_take(struct table *t, struct span path, const void *owner)
{
	struct taken *at = table_at(t, path);
	const void *before = at->owner;

	if (before == NULL)
		*at = (struct taken){ path, owner };
	return before;
}

/* Roles. */

static bool roles_init(struct roles *r, const struct survey *s)
{
	r->s = s;
	r->of = calloc(s->folder_n + 1, sizeof(*r->of));
	r->rank = calloc(s->folder_n + 1, sizeof(*r->rank));
	return r->of != NULL && r->rank != NULL;
}

/* Others have folders for their sent mail, too. */
static bool may_have_role(const struct survey *s, const struct survey_folder *f)
{
	return survey_can_open(f) && !(s->all && survey_is_foreign(s, f->wire));
}

/* Where a side says of a folder what it is for, names count no more for that role. */
static void find_roles(struct roles *r)
{
	bool said[ROLE_N] = { false };

	for (size_t i = 0; i < r->s->folder_n; i++) {
		r->of[i] = may_have_role(r->s, &r->s->folder[i]) ? role_of_attrs(r->s->folder[i].attrs) : ROLE_NONE;
		said[r->of[i]] = true;
	}
	for (size_t i = 0; i < r->s->folder_n; i++) {
		const struct survey_folder *f = &r->s->folder[i];
		unsigned rank = 0;
		enum role by_name = may_have_role(r->s, f) ? role_of_path(f->path, &rank) : ROLE_NONE;

		r->rank[i] = by_name != ROLE_NONE ? rank : UINT32_MAX;
		if (r->of[i] == ROLE_NONE && !said[by_name])
			r->of[i] = by_name;
		else if (r->of[i] != by_name)
			r->rank[i] = UINT32_MAX;
		if (r->of[i] != ROLE_NONE && (r->best[r->of[i]] == NULL || r->rank[i] < r->rank[r->best[r->of[i]] - r->s->folder]))
			r->best[r->of[i]] = f;
	}
}

/* Where both sides have a folder of that role and path, these two belong together. */
static void pair_roles(struct roles *from, struct roles *to)
{
	bool paired[ROLE_N] = { false };

	for (size_t i = 0; i < from->s->folder_n; i++) {
		enum role r = from->of[i];
		const struct survey_folder *other = r != ROLE_NONE && !paired[r] ? survey_find(to->s, from->s->folder[i].path) : NULL;

		if (other == NULL || to->of[other - to->s->folder] != r)
			continue;
		paired[r] = true;
		from->best[r] = &from->s->folder[i];
		to->best[r] = other;
	}
}

static size_t index_of(const struct mapping *m, const struct survey_folder *f)
{
	return (size_t)(f - m->from->folder);
}

static struct mapping_entry *find_entry(const struct mapping *m, struct span path)
{
	const struct survey_folder *f = survey_find(m->from, path);

	return f != NULL ? &m->entry[index_of(m, f)] : NULL;
}

static const struct survey_folder *find_target(const struct mapping *m, struct span path)
{
	const struct survey_folder *f = survey_find(m->to, path);

	return f != NULL && survey_can_open(f) ? f : NULL;
}

static int look_at(struct making *k, size_t i)
{
	struct mapping *m = k->m;
	struct mapping_entry *e = &m->entry[i];
	size_t parent = name_parent(m->from->folder[i].path);
	const struct mapping_entry *above = parent != 0 ? find_entry(m, span_first(m->from->folder[i].path, parent)) : NULL;
	int taken;

	*e = (struct mapping_entry){ .from = &m->from->folder[i], .role = k->side[SOURCE].of[i] };
	e->level = !survey_can_open(e->from);
	e->twin = !e->level && i != 0 && !m->entry[i - 1].level && span_eq(e[-1].from->path, e->from->path);
	k->above[i] = (above != NULL ? k->above[index_of(m, above->from)] : 0) | (e->role != ROLE_NONE ? 1u << e->role : 0);
	taken = folder_rules_take(m->rules, e->from->path, k->above[i]);
	e->excluded = taken != 1;
	return taken < 0 ? taken : 0;
}

static bool goes(const struct mapping_entry *e)
{
	return !e->level && !e->excluded && !e->twin;
}

/* Paths. */

/* Some folders of the target cannot have others below them: what should be there stands beside. */
static int beside_childless(const struct mapping *m, struct span *path)
{
	struct span changed;
	int err;

	if (survey_find(m->to, *path) != NULL)
		return 0;
	for (size_t n = name_level(*path); n < path->n; n += 1 + name_level(span_from(*path, n + 1))) {
		const struct survey_folder *above = survey_find(m->to, span_first(*path, n));

		if (above == NULL || (above->attrs & ATTR_BIT(NOINFERIORS)) == 0)
			continue;
		err = arena_copy(m->memory, *path, &changed);
		if (err == 0) {
			((char *)(uintptr_t)changed.p)[n] = m->to->style.delimiter == '_' ? '-' : '_';
			*path = changed;
		}
		return err;
	}
	return 0;
}

/* What the target can have in place of it. */
static int fit(const struct mapping *m, struct span path, struct span *ret)
{
	struct buf wire;
	int err = mapping_name_fit(path, &m->to->style, m->memory, ret);

	if (err == 0)
		err = beside_childless(m, ret);
	if (err != 0 || m->to->foreign_n == 0)
		return err;
	buf_init(&wire, 1u << 20);
	err = name_from_path(&wire, *ret, &m->to->style);
	if (err == 0 && survey_is_foreign(m->to, buf_span(&wire)))
		err = mapping_name_number(*ret, 2, true, m->memory, ret);
	buf_done(&wire);
	return err == PROTO_ERR_NAME ? 0 : err; /* who makes it finds that out, too */
}

/* 1: the map says where; 0: it does not; or an error. */
static int by_map(const struct mapping *m, struct span path, enum role role, struct span *ret)
{
	struct span to = SPAN_NONE;
	int rc = folder_rules_map(m->rules, path, role, m->memory, &to);
	int err = rc == 1 ? mapping_name_join(folder_rules_prefix(m->rules), to, m->memory, ret) : 0;

	return err != 0 ? err : rc;
}

/* Below what is above it, wherever that goes; else by its own path. */
static int by_name(const struct mapping *m, struct span path, struct span *ret)
{
	for (size_t n = name_parent(path); n != 0; n = name_parent(span_first(path, n))) {
		struct span above = span_first(path, n), to = SPAN_NONE;
		const struct mapping_entry *e = find_entry(m, above);
		int rc = 1;

		if (e != NULL && e->path.n != 0)
			to = e->path;
		else if (e == NULL)
			rc = by_map(m, above, ROLE_NONE, &to);
		if (rc < 0)
			return rc;
		if (to.n != 0)
			return mapping_name_join(to, span_from(path, n + 1), m->memory, ret);
	}
	return mapping_name_join(folder_rules_prefix(m->rules), path, m->memory, ret);
}

static int set_path(const struct mapping *m, struct mapping_entry *e, struct span wanted)
{
	int err = fit(m, wanted, &e->path);

	if (err == 0 && !span_eq(e->path, wanted))
		e->renamed = no_such_name;
	return err;
}

static void note_conflict(struct mapping *m, const struct mapping_entry *a, const struct mapping_entry *b)
{
	if (m->conflict[0] != NULL)
		return;
	m->conflict[0] = a;
	m->conflict[1] = b;
}

/* What was brought before. */

static int by_source(const void *a, const void *b)
{
	const struct ledger_folder *x = *(const struct ledger_folder *const *)a, *y = *(const struct ledger_folder *const *)b;
	int order = strcmp(x->source_path, y->source_path);

	if (order == 0) /* the one with more first */
		order = x->copied + x->adopted > y->copied + y->adopted ? -1 : x->copied + x->adopted < y->copied + y->adopted;
	return order != 0 ? order : strcmp(x->target_path, y->target_path);
}

static int sort_rows(struct making *k, const struct ledger_folder *row, size_t n)
{
	k->row = calloc(n + 1, sizeof(*k->row));
	if (k->row == NULL)
		return PROTO_ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (row[i].copied + row[i].adopted != 0 || row[i].open)
			k->row[k->row_n++] = &row[i];
	if (k->row_n > 1)
		qsort(k->row, k->row_n, sizeof(*k->row), by_source);
	return 0;
}

static size_t first_row(const struct making *k, struct span source)
{
	size_t low = 0, high = k->row_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (span_cmp(span_str(k->row[middle]->source_path), source) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void place_by_ledger(struct making *k, struct mapping_entry *e)
{
	for (size_t i = first_row(k, e->from->path); i < k->row_n && span_eq(span_str(k->row[i]->source_path), e->from->path); i++) {
		struct span path = span_str(k->row[i]->target_path);

		if (find_target(k->m, path) == NULL || table_take(&k->paths, path, e) != NULL)
			continue;
		e->path = path;
		e->by = MAPPING_BY_LEDGER;
		return;
	}
}

static int place_by_map(struct making *k, struct mapping_entry *e)
{
	struct span wanted = SPAN_NONE;
	int rc = by_map(k->m, e->from->path, e->role, &wanted);
	const struct mapping_entry *other;

	if (rc == 0 && e->by == MAPPING_BY_LEDGER && folder_rules_prefix(k->m->rules).n != 0)
		rc = by_name(k->m, e->from->path, &wanted);
	if (rc < 0 || wanted.n == 0)
		return rc;
	if (e->by == MAPPING_BY_LEDGER) {
		rc = fit(k->m, wanted, &wanted);
		if (rc == 0 && !span_eq(wanted, e->path))
			e->wanted = wanted;
		return rc;
	}
	e->by = MAPPING_BY_MAP;
	rc = set_path(k->m, e, wanted);
	if (rc != 0 || !goes(e))
		return rc;
	other = table_take(&k->paths, e->path, e);
	if (other != NULL)
		note_conflict(k->m, other, e);
	return 0;
}

static void place_by_role(struct making *k, enum role r)
{
	const struct survey_folder *from = k->side[SOURCE].best[r], *to = k->side[TARGET].best[r];
	struct mapping_entry *e = from != NULL ? &k->m->entry[index_of(k->m, from)] : NULL;

	if (e == NULL || e->path.n != 0 || e->excluded || e->twin)
		return;
	if (to == NULL) {
		e->use = role_is_placed(r);
		return;
	}
	if (!role_is_placed(r) && ((role_of_attrs(from->attrs) != r) || role_of_attrs(to->attrs) != r))
		return;
	if (table_take(&k->paths, to->path, e) != NULL)
		return;
	e->path = to->path;
	e->by = MAPPING_BY_ROLE;
}

static int place_by_name(struct making *k, struct mapping_entry *e)
{
	const struct mapping_entry *other, *above;
	struct span wanted = SPAN_NONE;
	int err = by_name(k->m, e->from->path, &wanted);

	if (err == 0)
		err = set_path(k->m, e, wanted);
	if (err != 0 || !goes(e))
		return err;
	/* Of a mere level nobody else tells that it is called otherwise. */
	above = find_entry(k->m, span_first(e->from->path, name_parent(e->from->path)));
	if (above != NULL && above->level && e->renamed == NULL)
		e->renamed = above->renamed;
	wanted = e->path;
	for (unsigned n = 2; (other = table_take(&k->paths, e->path, e)) != NULL && err == 0; n++) {
		if (other->by == MAPPING_BY_MAP) {
			note_conflict(k->m, e, other);
			return 0;
		}
		e->renamed = name_is_taken;
		err = mapping_name_number(wanted, n, false, k->m->memory, &e->path);
	}
	return err;
}

static int place_all(struct making *k)
{
	struct mapping *m = k->m;
	int err = 0;

	for (size_t i = 0; i < m->entry_n; i++)
		if (goes(&m->entry[i]))
			place_by_ledger(k, &m->entry[i]);
	for (size_t i = 0; i < m->entry_n && err == 0; i++)
		err = place_by_map(k, &m->entry[i]);
	if (folder_rules_special_use(m->rules) && folder_rules_prefix(m->rules).n == 0)
		for (int r = ROLE_NONE + 1; r < ROLE_N; r++)
			place_by_role(k, (enum role)r);
	for (size_t i = 0; i < m->entry_n && err == 0; i++)
		if (m->entry[i].path.n == 0)
			err = place_by_name(k, &m->entry[i]);
	for (size_t i = 0; i < m->entry_n; i++)
		m->entry[i].to = find_target(m, m->entry[i].path);
	return err;
}

/* Spares. */

static int take_folded(struct making *k, struct span path, const void *owner, bool *ret)
{
	struct span folded;
	int err = mapping_name_fold(path, k->m->memory, &folded);

	if (err == 0)
		*ret = table_take(&k->folded, folded, owner) != NULL;
	return err;
}

/* `taken`: another folder's name looks the same, or the server may keep the name for itself. */
static int find_spare(struct making *k, struct mapping_entry *e, bool taken)
{
	struct span spare = e->path;
	int err = mapping_name_plain(e->path, &k->m->to->style, k->m->memory, &spare);
	bool plain = err == 0 && span_eq(spare, e->path);

	if (err != 0 || (plain && !taken))
		return err;
	for (unsigned n = 2; err == 0 && (plain || table_at(&k->paths, spare)->owner != NULL); n++) {
		plain = false;
		err = mapping_name_number(spare, n, false, k->m->memory, &spare);
	}
	if (err != 0)
		return err;
	table_take(&k->paths, spare, e);
	e->to = find_target(k->m, spare);
	if (e->to == NULL) {
		e->spare = spare;
		return 0;
	}
	e->path = spare;
	e->renamed = name_is_refused;
	return 0;
}

/* What is below a folder goes with it to its spare. */
static int follow_spare(struct making *k, size_t i, struct span before)
{
	struct mapping *m = k->m;
	struct span source = m->entry[i].from->path, path;

	for (size_t j = i + 1; j < m->entry_n && span_eq(span_first(m->entry[j].from->path, source.n), source); j++) {
		struct mapping_entry *e = &m->entry[j];
		int err;

		if (e->by != MAPPING_BY_NAME || e->to != NULL || e->path.n <= before.n || !span_eq(span_first(e->path, before.n), before) ||
			e->path.p[before.n] != '/')
			continue;
		err = mapping_name_join(m->entry[i].path, span_from(e->path, before.n + 1), m->memory, &path);
		if (err != 0)
			return err;
		if (goes(e) && table_take(&k->paths, path, e) != NULL)
			continue;
		e->path = path;
		e->to = find_target(m, path);
	}
	return 0;
}

static int find_spares(struct making *k)
{
	struct mapping *m = k->m;
	bool taken;
	int err = 0;

	for (size_t i = 0; i < m->to->folder_n && err == 0; i++)
		err = take_folded(k, m->to->folder[i].path, &m->to->folder[i], &taken);
	for (size_t i = 0; i < m->entry_n && err == 0; i++) {
		struct mapping_entry *e = &m->entry[i];
		struct span before = e->path;

		if (!goes(e) || e->to != NULL)
			continue;
		/* Of the target itself: a level of its hierarchy, say. */
		taken = false;
		if (survey_find(m->to, e->path) == NULL)
			err = take_folded(k, e->path, e, &taken);
		if (err == 0)
			err = find_spare(k, e, taken || mapping_name_is_reserved(e->path));
		if (err == 0 && !span_eq(e->path, before))
			err = follow_spare(k, i, before);
	}
	return err;
}

static int make_all(struct making *k, const struct ledger_folder *row, size_t row_n)
{
	struct mapping *m = k->m;
	int err = table_init(&k->paths, 2 * m->entry_n);

	if (err == 0)
		err = table_init(&k->folded, m->entry_n + m->to->folder_n);
	if (err == 0)
		err = sort_rows(k, row, row_n);
	k->above = calloc(m->entry_n + 1, sizeof(*k->above));
	if (err != 0 || k->above == NULL || !roles_init(&k->side[SOURCE], m->from) || !roles_init(&k->side[TARGET], m->to))
		return PROTO_ERR_NOMEM;
	find_roles(&k->side[SOURCE]);
	find_roles(&k->side[TARGET]);
	pair_roles(&k->side[SOURCE], &k->side[TARGET]);
	for (size_t i = 0; i < m->entry_n && err == 0; i++)
		err = look_at(k, i);
	if (err == 0)
		err = place_all(k);
	return err == 0 && m->conflict[0] == NULL ? find_spares(k) : err;
}

int mapping_make(struct mapping *m, const struct folder_rules *rules, const struct survey *from, const struct survey *to,
	const struct ledger_folder *row, size_t row_n, struct arena *memory)
{
	struct making k = { .m = m };
	int err;

	*m = (struct mapping){ .rules = rules, .from = from, .to = to, .memory = memory, .entry_n = from->folder_n };
	m->entry = arena_alloc(memory, (from->folder_n + 1) * sizeof(*m->entry));
	if (m->entry == NULL)
		return PROTO_ERR_NOMEM;
	err = make_all(&k, row, row_n);
	free(k.paths.slot);
	free(k.folded.slot);
	free(k.row);
	free(k.above);
	for (int side = 0; side < SIDES; side++) {
		free(k.side[side].of);
		free(k.side[side].rank);
	}
	return err;
}

bool mapping_subscription(const struct mapping *m, struct span path, struct span *ret)
{
	const struct mapping_entry *e = find_entry(m, path);
	int rc;

	if (e != NULL) {
		*ret = e->path;
		return !e->excluded && !e->twin;
	}
	if (folder_rules_take(m->rules, path, 0) != 1)
		return false;
	rc = by_map(m, path, ROLE_NONE, ret);
	if (rc == 0)
		rc = by_name(m, path, ret) == 0;
	return rc == 1 && fit(m, *ret, ret) == 0;
}

void mapping_print_conflict(const struct mapping *m, char *buf, size_t size)
{
	const struct mapping_entry *a = m->conflict[0], *b = m->conflict[1];

	snprintf(buf, size, "the folders \"%.*s\" and \"%.*s\" of the source would both go to \"%.*s\"; the setting map must send them to two", SPAN_ARG(a->from->path),
		SPAN_ARG(b->from->path), SPAN_ARG(b->path));
}
