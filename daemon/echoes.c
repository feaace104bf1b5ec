#include "echoes.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

void echoes_done(struct echoes *e)
{
	free(e->item);
	*e = (struct echoes){ 0 };
}

static int identity_order(struct identity a, struct identity b)
{
	if (a.half[0] != b.half[0])
		return a.half[0] < b.half[0] ? -1 : 1;
	return a.half[1] < b.half[1] ? -1 : a.half[1] > b.half[1];
}

static int by_name(const void *x, const void *y)
{
	const struct echoes_item *a = x, *b = y;

	return identity_order(a->name, b->name);
}

static int by_uid(const void *x, const void *y)
{
	const struct echoes_item *a = x, *b = y;

	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	if (a->uid != 0)
		return 0;
	return a->source < b->source ? -1 : a->source > b->source;
}

/* In which order what is the same is looked at. */
static int kind_of(const struct echoes_item *i)
{
	return i->source == 0 ? 2 : i->uid == 0 ? 1 : 0;
}

/* What is the same stands together: first what was sent, those that are not told last, then the strangers, the latest first. */
static int by_message(const void *x, const void *y)
{
	const struct echoes_item *a = x, *b = y;
	int order = identity_order(a->name, b->name);

	if (order == 0)
		order = identity_order(a->body, b->body);
	if (order == 0)
		order = kind_of(a) - kind_of(b);
	return order != 0 ? order : -by_uid(x, y);
}

static int add(struct echoes *e, const struct echoes_item *item)
{
	if (e->n == e->size) {
		size_t size = e->size == 0 ? 32 : e->size * 2;
		struct echoes_item *bigger = realloc(e->item, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		e->item = bigger;
		e->size = size;
	}
	e->item[e->n++] = *item;
	return 0;
}

int echoes_add_stranger(struct echoes *e, uint32_t uid, struct identity name)
{
	const struct echoes_item item = { .uid = uid, .name = name };

	assert(!e->sorted);
	e->strangers++;
	return add(e, &item);
}

/* The first stranger of this name; NULL: there is none. */
static struct echoes_item *find(struct echoes *e, struct identity name)
{
	const struct echoes_item key = { .name = name };
	struct echoes_item *found;

	if (!e->sorted && e->strangers != 0)
		qsort(e->item, e->strangers, sizeof(*e->item), by_name);
	e->sorted = true;
	found = e->strangers == 0 ? NULL : bsearch(&key, e->item, e->strangers, sizeof(key), by_name);
	while (found != NULL && found != e->item && by_name(found - 1, &key) == 0)
		found--;
	return found;
}

int echoes_add_sent(struct echoes *e, uint32_t uid, uint32_t source, struct identity name)
{
	const struct echoes_item item = { .uid = uid, .source = source, .name = name, .alike = true };
	struct echoes_item *first = find(e, name);

	if (first == NULL)
		return 0;
	for (struct echoes_item *i = first; !first->alike && i < e->item + e->strangers && by_name(i, first) == 0; i++)
		if (i != first)
			i->alike = true;
	first->alike = true;
	return add(e, &item);
}

/* Of n messages with one name: there may be more than were sent. */
static bool is_doubtful(const struct echoes_item *group, size_t n)
{
	size_t of[3] = { 0 };

	for (size_t i = 0; i < n; i++)
		of[kind_of(&group[i])]++;
	return of[2] > of[1] && of[0] + of[1] != 0;
}

int echoes_doubtful(struct echoes *e, struct uidset *target, struct uidset *source)
{
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < e->n; i++)
		if (e->item[i].alike)
			e->item[n++] = e->item[i];
	e->n = n;
	if (n != 0)
		qsort(e->item, e->n, sizeof(*e->item), by_name);
	n = 0;
	for (size_t first = 0, next; first < e->n && err == 0; first = next) {
		bool doubtful;

		for (next = first + 1; next < e->n && by_name(&e->item[next], &e->item[first]) == 0;)
			next++;
		doubtful = is_doubtful(&e->item[first], next - first);
		for (size_t i = first; doubtful && i < next && err == 0; i++) {
			err = e->item[i].uid != 0 ? uidset_add(target, e->item[i].uid) : uidset_add(source, e->item[i].source);
			e->item[n++] = e->item[i];
		}
	}
	e->n = n;
	if (n != 0)
		qsort(e->item, n, sizeof(*e->item), by_uid);
	return err;
}

static void add_body(struct echoes *e, const struct echoes_item *key, struct identity body)
{
	struct echoes_item *i = e->n == 0 ? NULL : bsearch(key, e->item, e->n, sizeof(*key), by_uid);

	if (i == NULL)
		return;
	i->body = body;
	i->read = true;
}

void echoes_add_body(struct echoes *e, uint32_t uid, struct identity body)
{
	const struct echoes_item key = { .uid = uid };

	add_body(e, &key, body);
}

void echoes_add_source_body(struct echoes *e, uint32_t source, struct identity body)
{
	const struct echoes_item key = { .source = source };

	add_body(e, &key, body);
}

static bool is_same(const struct echoes_item *a, const struct echoes_item *b)
{
	return a->read && b->read && identity_order(a->name, b->name) == 0 && identity_order(a->body, b->body) == 0;
}

/* Of n items that are the same: appends its echoes. `doubt`: so many of the strangers may be what was recorded. */
static void find_in(const struct echoes_item *group, size_t n, uint64_t doubt, uint32_t sends, struct echo *ret, size_t *ret_n)
{
	size_t told = 0, sent = 0, over;

	while (told < n && kind_of(&group[told]) == 0)
		told++;
	for (sent = told; sent < n && kind_of(&group[sent]) == 1;)
		sent++;
	if (!group->read || sent == 0 || n - sent <= sent - told)
		return;
	over = n - sent - (sent - told); /* the earliest are what was sent and not told */
	for (uint64_t i = 0; i < over && i < (uint64_t)sent * sends; i++) {
		const struct echoes_item *twin = told != 0 ? &group[i % told] : &group[n - 1 - i % (sent - told)];

		ret[(*ret_n)++] = (struct echo){ .uid = group[sent + i].uid, .twin = twin->uid, .told = told != 0 && doubt < over && i < over - doubt,
			.same = group, .same_n = told, .source = told != 0 ? twin->source : group[i % (sent - told)].source };
	}
}

static size_t count_untold(const struct echoes_item *group, size_t n)
{
	size_t untold = 0;

	for (size_t i = 0; i < n; i++)
		untold += kind_of(&group[i]) == 1;
	return untold;
}

/* Of n items with one name. */
static void find_in_name(const struct echoes_item *named, size_t n, uint64_t lost, uint32_t sends, struct echo *ret, size_t *ret_n)
{
	size_t untold = count_untold(named, n);

	for (size_t first = 0, next; first < n; first = next) {
		for (next = first + 1; next < n && is_same(&named[next], &named[first]);)
			next++;
		find_in(&named[first], next - first, lost + untold - count_untold(&named[first], next - first), sends, ret, ret_n);
	}
}

int echoes_find(struct echoes *e, uint32_t sends, struct echo **ret, size_t *n)
{
	*n = 0;
	*ret = e->n == 0 ? NULL : calloc(e->n, sizeof(**ret));
	if (e->n == 0)
		return 0;
	if (*ret == NULL)
		return PROTO_ERR_NOMEM;
	qsort(e->item, e->n, sizeof(*e->item), by_message);
	for (size_t first = 0, next; first < e->n; first = next) {
		for (next = first + 1; next < e->n && by_name(&e->item[next], &e->item[first]) == 0;)
			next++;
		find_in_name(&e->item[first], next - first, e->lost, sends, *ret, n);
	}
	return 0;
}
