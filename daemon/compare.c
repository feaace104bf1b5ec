#include "compare.h"

#include <stdlib.h>

#include "err.h"

#define ENTRIES_MAX (SIZE_MAX / 2 / sizeof(struct compare_pair)) /* there are fewer UIDs, where size_t has 64 bits */

void compare_list_done(struct compare_list *l)
{
	free(l->entry);
	*l = (struct compare_list){ 0 };
}

void compare_pairs_done(struct compare_pairs *p)
{
	free(p->pair);
	*p = (struct compare_pairs){ 0 };
}

void compare_list_reset(struct compare_list *l)
{
	l->n = 0;
	l->unordered = false;
}

int compare_add(struct compare_list *l, const struct compare_entry *e)
{
	if (l->n == l->size) {
		size_t size = l->size == 0 ? 64 : l->size + l->size / 2;
		struct compare_entry *bigger = l->n > ENTRIES_MAX ? NULL : realloc(l->entry, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		l->entry = bigger;
		l->size = size;
	}
	if (l->n != 0 && l->entry[l->n - 1].uid >= e->uid)
		l->unordered = true;
	l->entry[l->n++] = *e;
	return 0;
}

static int order(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int by_uid(const void *a, const void *b)
{
	return order(((const struct compare_entry *)a)->uid, ((const struct compare_entry *)b)->uid);
}

static int by_key(const struct compare_entry *a, const struct compare_entry *b)
{
	int c = order(a->key[0], b->key[0]);

	return c != 0 ? c : order(a->key[1], b->key[1]);
}

static int by_all(const void *x, const void *y)
{
	const struct compare_entry *a = x, *b = y;
	int c = by_key(a, b);

	if (c == 0)
		c = order(a->date, b->date);
	if (c == 0)
		c = order(a->flags, b->flags);
	return c != 0 ? c : order(a->uid, b->uid);
}

static void sort(struct compare_list *l, int (*by)(const void *, const void *))
{
	if (l->n != 0)
		qsort(l->entry, l->n, sizeof(*l->entry), by);
}

void compare_settle(struct compare_list *l)
{
	size_t n = 0;

	if (!l->unordered)
		return;
	sort(l, by_uid);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->entry[n - 1].uid != l->entry[i].uid)
			l->entry[n++] = l->entry[i];
	l->n = n;
	l->unordered = false;
}

struct compare_entry *compare_find(const struct compare_list *l, uint32_t uid)
{
	struct compare_entry key = { .uid = uid };

	return l->n == 0 ? NULL : bsearch(&key, l->entry, l->n, sizeof(key), by_uid);
}

unsigned compare_attributes(const struct compare_entry *source, const struct compare_entry *target)
{
	return (source->flags != target->flags ? COMPARE_FLAGS : 0) | (source->date != target->date ? COMPARE_DATE : 0) |
	       (source->size != target->size ? COMPARE_SIZE : 0);
}

int compare_pair_add(struct compare_pairs *p, const struct compare_entry *source, const struct compare_entry *target, unsigned what)
{
	if (p->n == p->size) {
		size_t size = p->size == 0 ? 16 : p->size + p->size / 2;
		struct compare_pair *bigger = p->n > ENTRIES_MAX ? NULL : realloc(p->pair, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		p->pair = bigger;
		p->size = size;
	}
	p->pair[p->n++] = (struct compare_pair){ *source, *target, what };
	return 0;
}

/* Entries of one key, on either side. One that is taken has the UID 0. */
struct group {
	struct compare_entry *source, *target;
	size_t source_n, target_n;
};

/* How much must be the same to be put together: at first all, at last the key alone. */
enum closeness { CLOSE_ALL, CLOSE_DATE, CLOSE_KEY, CLOSE_N };

static int by_closeness(const struct compare_entry *a, const struct compare_entry *b, enum closeness c)
{
	int way = c == CLOSE_KEY ? 0 : order(a->date, b->date);

	return way == 0 && c == CLOSE_ALL ? order(a->flags, b->flags) : way;
}

static int sweep(struct group *g, enum closeness c, unsigned always, struct compare_pairs *differ, uint64_t *equal)
{
	size_t i = 0, j = 0;

	while (i < g->source_n && j < g->target_n) {
		struct compare_entry *s = &g->source[i], *t = &g->target[j];
		int way = s->uid == 0 ? -1 : t->uid == 0 ? 1 : by_closeness(s, t, c);
		unsigned what;

		if (way < 0)
			i++;
		else if (way > 0)
			j++;
		else {
			what = compare_attributes(s, t) | always;
			if (what == 0)
				(*equal)++;
			else if (compare_pair_add(differ, s, t, what) != 0)
				return PROTO_ERR_NOMEM;
			s->uid = t->uid = 0;
			i++;
			j++;
		}
	}
	return 0;
}

static int match_group(struct group *g, unsigned always, struct compare_pairs *differ, uint64_t *equal, struct uidset *twice)
{
	int err = 0;

	for (int c = 0; c < CLOSE_N && err == 0; c++)
		err = sweep(g, (enum closeness)c, always, differ, equal);
	for (size_t j = 0; j < g->target_n && err == 0; j++)
		if (g->target[j].uid != 0)
			err = uidset_add(twice, g->target[j].uid);
	return err;
}

static size_t group_end(const struct compare_list *l, size_t from)
{
	size_t to = from + 1;

	while (to < l->n && by_key(&l->entry[from], &l->entry[to]) == 0)
		to++;
	return to;
}

/* What is not taken, by UID. */
static void keep_left(struct compare_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->entry[i].uid != 0)
			l->entry[n++] = l->entry[i];
	l->n = n;
	sort(l, by_uid);
	l->unordered = false;
}

int compare_match(struct compare_list *source, struct compare_list *target, unsigned always, struct compare_pairs *differ,
	uint64_t *equal, struct uidset *twice)
{
	size_t i = 0, j = 0;
	int err = 0;

	sort(source, by_all);
	sort(target, by_all);
	while (i < source->n && j < target->n && err == 0) {
		int way = by_key(&source->entry[i], &target->entry[j]);
		size_t i_end = way <= 0 ? group_end(source, i) : i;
		size_t j_end = way >= 0 ? group_end(target, j) : j;

		if (way == 0)
			err = match_group(&(struct group){ &source->entry[i], &target->entry[j], i_end - i, j_end - j }, always,
				differ, equal, twice);
		i = i_end;
		j = j_end;
	}
	keep_left(source);
	keep_left(target);
	return err;
}
