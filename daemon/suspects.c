#include "suspects.h"

#include <stdlib.h>

#include "err.h"

/* Messages of one name are a chain, so that a folder full of one message costs no more than any other. */
struct suspect {
	struct identity name;
	uint32_t uid;
	uint32_t next; /* as in struct chain */
	uint32_t size; /* UINT32_MAX: as much or more */
	bool strong, tried;
};

struct chain {
	uint32_t first; /* the item, counted from 1; 0: the slot is free */
	uint32_t last;
	uint32_t n, left; /* in all; not taken */
	uint32_t sources; /* of names */
	union {
		uint32_t unread;  /* of names: all before it are tried */
		uint32_t untaken; /* of bodies: the first */
	};
};

/* Chains by name. */
struct table {
	struct chain *slot; /* open addressing; a power of two, at most half full */
	size_t slots, used;
};

/* A message whose bytes are known. Items of the same name and bytes are a chain of their own. */
struct body {
	struct identity key; /* of both */
	uint32_t uid, next;
};

struct suspects {
	struct suspect *item; /* in the order in which they were added */
	size_t size, used, left;
	uint64_t bytes;
	struct table names;
	struct body *body;
	size_t body_size, body_used;
	struct table bodies;
	bool unordered; /* UIDs did not come in ascending order */
	bool counted;
};

#define FIRST 32

struct suspects *suspects_new(void)
{
	struct suspects *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->item = malloc(FIRST * sizeof(*s->item));
	s->size = FIRST;
	s->names.slot = calloc(2 * FIRST, sizeof(*s->names.slot));
	s->names.slots = 2 * FIRST;
	if (s->item == NULL || s->names.slot == NULL)
		suspects_free(&s);
	return s;
}

void suspects_free(struct suspects **s)
{
	if (*s == NULL)
		return;
	free((*s)->item);
	free((*s)->names.slot);
	free((*s)->body);
	free((*s)->bodies.slot);
	free(*s);
	*s = NULL;
}

/* Of the n-th item, counted from 1. */
typedef const struct identity *name_fn(const struct suspects *s, uint32_t n);

static const struct identity *item_name(const struct suspects *s, uint32_t n)
{
	return &s->item[n - 1].name;
}

static const struct identity *body_name(const struct suspects *s, uint32_t n)
{
	return &s->body[n - 1].key;
}

/* The chain of this name, or the free slot where it would begin. */
static struct chain *find(const struct suspects *s, const struct table *t, name_fn *name_of, struct identity name)
{
	size_t at = name.half[0] & (t->slots - 1);

	for (; t->slot[at].first != 0; at = (at + 1) & (t->slots - 1)) {
		const struct identity *other = name_of(s, t->slot[at].first);

		if (other->half[0] == name.half[0] && other->half[1] == name.half[1])
			break;
	}
	return &t->slot[at];
}

static bool make_room(const struct suspects *s, struct table *t, name_fn *name_of)
{
	struct table bigger = { .slots = t->slots == 0 ? 2 * FIRST : t->slots * 2, .used = t->used };

	if ((t->used + 1) * 2 <= t->slots)
		return true;
	bigger.slot = calloc(bigger.slots, sizeof(*bigger.slot));
	if (bigger.slot == NULL)
		return false;
	for (size_t i = 0; i < t->slots; i++)
		if (t->slot[i].first != 0)
			*find(s, &bigger, name_of, *name_of(s, t->slot[i].first)) = t->slot[i];
	free(t->slot);
	*t = bigger;
	return true;
}

bool suspects_add(struct suspects *s, struct identity name, uint32_t uid, uint64_t size, bool strong)
{
	struct chain *c;

	if (s->used == s->size) {
		struct suspect *bigger = s->used >= UINT32_MAX / 2 ? NULL : realloc(s->item, s->size * 2 * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		s->item = bigger;
		s->size *= 2;
	}
	if (!make_room(s, &s->names, item_name))
		return false;
	c = find(s, &s->names, item_name, name);
	s->unordered = s->unordered || (s->used != 0 && s->item[s->used - 1].uid >= uid);
	s->item[s->used++] = (struct suspect){ .name = name, .uid = uid, .size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size, .strong = strong };
	if (c->first == 0) {
		c->first = c->unread = (uint32_t)s->used;
		s->names.used++;
	} else {
		s->item[c->last - 1].next = (uint32_t)s->used;
	}
	c->last = (uint32_t)s->used;
	c->n++;
	c->left++;
	s->left++;
	if (size < UINT64_MAX - s->bytes)
		s->bytes += size;
	return true;
}

size_t suspects_left(const struct suspects *s)
{
	return s->left;
}

uint64_t suspects_bytes(const struct suspects *s)
{
	return s->bytes;
}

void suspects_count(struct suspects *s, struct identity name)
{
	struct chain *c = find(s, &s->names, item_name, name);

	if (c->first != 0 && c->sources != UINT32_MAX)
		c->sources++;
}

void suspects_counted(struct suspects *s)
{
	s->counted = true;
}

bool suspects_are_counted(const struct suspects *s)
{
	return s->counted;
}

static void take(struct suspects *s, struct chain *c)
{
	c->left--;
	s->left--;
}

enum suspects_answer suspects_ask(struct suspects *s, struct identity name, uint64_t size, bool strong, uint32_t *ret_uid)
{
	struct chain *c = find(s, &s->names, item_name, name);
	const struct suspect *first;

	if (c->first == 0 || c->left == 0)
		return SUSPECTS_NONE;
	first = &s->item[c->first - 1];
	if (!s->counted || !strong || !first->strong || c->n != 1 || c->sources > 1 || size != first->size)
		return SUSPECTS_DOUBTFUL;
	take(s, c);
	*ret_uid = first->uid;
	return SUSPECTS_CLEAR;
}

int suspects_unread(struct suspects *s, struct identity name, struct uidset *ret)
{
	struct chain *c = find(s, &s->names, item_name, name);
	int err = 0;

	if (c->first == 0)
		return 0;
	while (c->unread != 0 && s->item[c->unread - 1].tried)
		c->unread = s->item[c->unread - 1].next;
	/* The name was here before: a folder may be full of one. */
	if (c->unread != 0 && uidset_has(ret, s->item[c->unread - 1].uid))
		return 0;
	for (uint32_t i = c->unread; i != 0 && err == 0; i = s->item[i - 1].next)
		if (!s->item[i - 1].tried)
			err = uidset_add(ret, s->item[i - 1].uid);
	return err;
}

static struct suspect *by_uid(const struct suspects *s, uint32_t uid)
{
	size_t lo = 0, hi = s->used;

	while (!s->unordered && lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->item[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (s->unordered && lo < s->used && s->item[lo].uid != uid)
		lo++;
	return lo < s->used && s->item[lo].uid == uid ? &s->item[lo] : NULL;
}

int suspects_read(struct suspects *s, uint32_t uid, struct identity body)
{
	struct suspect *i = by_uid(s, uid);
	struct chain *c;

	if (i == NULL || i->tried)
		return 0;
	if (s->body_used == s->body_size) {
		size_t size = s->body_size == 0 ? FIRST : s->body_size * 2;
		struct body *bigger = realloc(s->body, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		s->body = bigger;
		s->body_size = size;
	}
	if (!make_room(s, &s->bodies, body_name))
		return PROTO_ERR_NOMEM;
	i->tried = true;
	s->body[s->body_used++] = (struct body){ .key = identity_with(i->name, body), .uid = uid };
	c = find(s, &s->bodies, body_name, s->body[s->body_used - 1].key);
	if (c->first == 0) {
		c->first = (uint32_t)s->body_used;
		s->bodies.used++;
	} else {
		s->body[c->last - 1].next = (uint32_t)s->body_used;
	}
	c->last = (uint32_t)s->body_used;
	if (c->left++ == 0)
		c->untaken = c->last;
	return 0;
}

void suspects_tried(struct suspects *s, const struct uidset *uids)
{
	struct uidset_walk w = { 0 };
	uint32_t uid;

	while ((uid = uidset_walk(uids, &w)) != 0) {
		struct suspect *i = by_uid(s, uid);

		if (i != NULL)
			i->tried = true;
	}
}

uint32_t suspects_take(struct suspects *s, struct identity name, struct identity body)
{
	struct chain *c = s->bodies.used == 0 ? NULL : find(s, &s->bodies, body_name, identity_with(name, body));
	struct chain *all = find(s, &s->names, item_name, name);
	const struct body *taken;

	if (c == NULL || c->first == 0 || c->left == 0 || all->left == 0)
		return 0;
	taken = &s->body[c->untaken - 1];
	c->untaken = taken->next;
	c->left--;
	take(s, all);
	return taken->uid;
}
