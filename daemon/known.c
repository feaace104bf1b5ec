#include "known.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

#define FLAGS_MAX 1024 /* different flags in one folder; others are not followed */

void known_done(struct known *k)
{
	for (size_t i = 0; i < k->flag_n; i++) {
		free(k->flag[i].name);
		uidset_done(&k->flag[i].uids);
		uidset_done(&k->flag[i].added);
		uidset_done(&k->flag[i].removed);
		uidset_done(&k->flag[i].shown);
	}
	free(k->flag);
	free(k->run);
	uidset_done(&k->gone);
	uidset_done(&k->touched);
	*k = (struct known){ 0 };
}

static int add_run(struct known *k, uint32_t source, uint32_t target, bool adopted)
{
	struct known_run *last = k->run_n != 0 ? &k->run[k->run_n - 1] : NULL;

	if (last != NULL && last->adopted == adopted && source == last->source + last->n &&
		(last->target == 0 ? target == 0 : target == last->target + last->n)) {
		last->n++;
		return 0;
	}
	if (k->run_n == k->run_size) {
		size_t size = k->run_size == 0 ? 16 : k->run_size * 2;
		struct known_run *bigger = realloc(k->run, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		k->run = bigger;
		k->run_size = size;
	}
	k->run[k->run_n++] = (struct known_run){ .source = source, .target = target, .n = 1, .adopted = adopted };
	return 0;
}

int known_add(struct known *k, struct span source_uids, struct span target_uids, struct span flags, bool adopted)
{
	struct uidset source = { 0 }, target = { 0 };
	struct uidset_walk s = { 0 }, t = { 0 };
	int err = source_uids.n != 0 ? uidset_parse_list(&source, source_uids) : 0;
	uint32_t uid;

	if (err == 0 && target_uids.n != 0)
		err = uidset_parse_list(&target, target_uids);
	if (err == 0 && target.n != 0 && uidset_count(&target) != uidset_count(&source))
		err = PROTO_ERR_SYNTAX;
	while (err == 0 && (uid = uidset_walk(&source, &s)) != 0)
		err = add_run(k, uid, target.n != 0 ? uidset_walk(&target, &t) : 0, adopted);
	uidset_done(&source);
	uidset_done(&target);
	return err == 0 ? known_add_flags(k, flags) : err;
}

static struct known_flag *look_up(const struct known *k, struct span name)
{
	for (size_t i = 0; i < k->flag_n; i++)
		if (span_eq_nocase(span_str(k->flag[i].name), name))
			return &k->flag[i];
	return NULL;
}

/* *ret NULL: one too many. */
static int find_flag(struct known *k, struct span name, struct known_flag **ret)
{
	*ret = look_up(k, name);
	if (*ret != NULL || k->flag_n >= FLAGS_MAX)
		return 0;
	if (k->flag_n == k->flag_size) {
		size_t size = k->flag_size == 0 ? 8 : k->flag_size * 2;
		struct known_flag *bigger = realloc(k->flag, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		k->flag = bigger;
		k->flag_size = size;
	}
	char *copy = malloc(name.n + 1);
	if (copy == NULL)
		return PROTO_ERR_NOMEM;
	memcpy(copy, name.p, name.n);
	copy[name.n] = '\0';
	*ret = &k->flag[k->flag_n++];
	**ret = (struct known_flag){ .name = copy };
	return 0;
}

/* The first word, and the rest behind the blank. */
static struct span cut_word(struct span *text)
{
	size_t end = span_find(*text, ' ');
	struct span word = span_first(*text, end);

	*text = end == SIZE_MAX ? SPAN_NONE : span_from(*text, end + 1);
	return word;
}

/* The first word is NAME=UIDS. */
static int cut_flag(struct span *text, struct span *name, struct span *uids)
{
	struct span word = cut_word(text);
	size_t end = word.n;

	/* The last one: a keyword may have it, too. */
	while (end != 0 && word.p[end - 1] != '=')
		end--;
	if (end < 2)
		return PROTO_ERR_SYNTAX;
	*name = span_first(word, end - 1);
	*uids = span_from(word, end);
	return 0;
}

int known_add_flags(struct known *k, struct span flags)
{
	int err = 0;

	while (err == 0 && flags.n != 0) {
		struct span name, uids;
		struct known_flag *f = NULL;

		err = cut_flag(&flags, &name, &uids);
		if (err == 0)
			err = find_flag(k, name, &f);
		if (err == 0 && f != NULL)
			err = uidset_parse(&f->uids, uids);
	}
	return err;
}

static int by_source(const void *a, const void *b)
{
	uint32_t x = ((const struct known_run *)a)->source, y = ((const struct known_run *)b)->source;

	return x < y ? -1 : x > y;
}

void known_sort(struct known *k)
{
	if (k->run_n != 0)
		qsort(k->run, k->run_n, sizeof(*k->run), by_source);
}

static const struct known_run *find_run(const struct known *k, uint32_t source_uid)
{
	size_t lo = 0, hi = k->run_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->run[mid].source <= source_uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo != 0 && source_uid - k->run[lo - 1].source < k->run[lo - 1].n ? &k->run[lo - 1] : NULL;
}

uint32_t known_target(const struct known *k, uint32_t source_uid, bool *adopted)
{
	const struct known_run *r = find_run(k, source_uid);

	if (r == NULL || r->target == 0)
		return 0;
	if (adopted != NULL)
		*adopted = r->adopted;
	return r->target + (source_uid - r->source);
}

int known_sources(const struct known *k, struct uidset *ret)
{
	int err = 0;

	for (size_t i = 0; i < k->run_n && err == 0; i++)
		if (k->run[i].target != 0)
			err = uidset_add_range(ret, k->run[i].source, k->run[i].source + k->run[i].n - 1);
	return err;
}

/* Marks the flag as one that the message has now. */
static int see(struct known *k, struct span name, bool add)
{
	struct known_flag *f = NULL;
	int err = 0;

	if (add)
		err = find_flag(k, name, &f);
	else
		f = look_up(k, name);
	if (f != NULL)
		f->seen = k->turn;
	return err;
}

/* Marks all of them. `add`: also those that no message had before. */
static int see_all(struct known *k, const struct flags *now, bool add)
{
	static const struct {
		unsigned bit;
		struct span name;
	} system[] = {
#define X(name, bit, text) { bit, { text, sizeof(text) - 1 } },
		FLAGS_SYSTEM(X)
#undef X
	};
	int err = 0;

	k->turn++;
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]) && err == 0; i++)
		if ((now->system & system[i].bit) != 0)
			err = see(k, system[i].name, add);
	for (size_t i = 0; i < now->keyword_n && err == 0; i++)
		err = see(k, now->keywords[i], add);
	return err;
}

int known_compare(struct known *k, uint32_t source_uid, const struct flags *now)
{
	int err;

	if (known_target(k, source_uid, NULL) == 0)
		return 0;
	err = see_all(k, now, true);
	for (size_t i = 0; i < k->flag_n && err == 0; i++) {
		struct known_flag *f = &k->flag[i];
		bool has = f->seen == k->turn, had = uidset_has(&f->uids, source_uid);

		/* It may be told twice, and be another thing the second time. */
		err = uidset_remove_range(has ? &f->removed : &f->added, source_uid, source_uid);
		if (err == 0 && has != had)
			err = uidset_add(has ? &f->added : &f->removed, source_uid);
	}
	return err;
}

bool known_has_changes(const struct known *k)
{
	for (size_t i = 0; i < k->flag_n; i++)
		if (k->flag[i].added.n != 0 || k->flag[i].removed.n != 0)
			return true;
	return false;
}

int known_changes(const struct known *k, const struct known_flag *f, bool added, struct uidset *ret)
{
	struct uidset_walk w = { 0 };
	uint32_t uid;
	int err = 0;

	while (err == 0 && (uid = uidset_walk(added ? &f->added : &f->removed, &w)) != 0)
		err = uidset_add(ret, known_target(k, uid, NULL));
	return err;
}

int known_changed(struct known_flag *f, bool added)
{
	int err = 0;

	if (added)
		err = uidset_add_set(&f->uids, &f->added);
	for (size_t i = 0; !added && i < f->removed.n && err == 0; i++)
		err = uidset_remove_range(&f->uids, f->removed.r[i].lo, f->removed.r[i].hi);
	uidset_reset(added ? &f->added : &f->removed);
	return err;
}

/* " NAME=UIDS", behind what begins at `begin`. */
static int print_flag(struct buf *out, size_t begin, const char *way, const char *name, const struct uidset *uids)
{
	size_t at = 0;
	int err = 0;

	if (uids->n == 0)
		return 0;
	if (out->n != begin)
		err = buf_add_char(out, ' ');
	if (err == 0)
		err = buf_add_str(out, way);
	if (err == 0)
		err = buf_add_str(out, name);
	if (err == 0)
		err = buf_add_char(out, '=');
	return err == 0 ? uidset_print(uids, out, &at, SIZE_MAX) : err;
}

int known_print_flags(const struct known *k, struct buf *out)
{
	size_t begin = out->n;
	int err = 0;

	for (size_t i = 0; i < k->flag_n && err == 0; i++)
		err = print_flag(out, begin, "", k->flag[i].name, &k->flag[i].uids);
	return err;
}

int known_print_tried(const struct known *k, struct buf *out)
{
	size_t begin = out->n;
	int err = 0;

	for (size_t i = 0; i < k->flag_n && err == 0; i++) {
		const struct known_flag *f = &k->flag[i];

		if (f->refused)
			continue;
		err = print_flag(out, begin, "+", f->name, &f->added);
		if (err == 0)
			err = print_flag(out, begin, "-", f->name, &f->removed);
	}
	return err;
}

/* The first word of what was tried. */
static int cut_tried(struct span *text, bool *added, struct span *name, struct uidset *uids)
{
	struct span digits;
	int err = cut_flag(text, name, &digits);

	uidset_reset(uids);
	if (err != 0 || name->n < 2 || (name->p[0] != '+' && name->p[0] != '-'))
		return PROTO_ERR_SYNTAX;
	*added = name->p[0] == '+';
	*name = span_from(*name, 1);
	return uidset_parse(uids, digits);
}

int known_tried(struct known *k, struct span tried, struct uidset *ret)
{
	struct uidset uids = { 0 };
	struct span name;
	bool added;
	int err = 0;

	while (err == 0 && tried.n != 0) {
		struct uidset_walk w = { 0 };
		struct known_flag *f;
		uint32_t uid, target;

		err = cut_tried(&tried, &added, &name, &uids);
		if (err == 0)
			err = find_flag(k, name, &f);
		while (err == 0 && (uid = uidset_walk(&uids, &w)) != 0)
			if ((target = known_target(k, uid, NULL)) != 0)
				err = uidset_add(ret, target);
	}
	uidset_done(&uids);
	return err;
}

int known_touched(struct known *k, uint32_t target_uid, const struct flags *now)
{
	int err = see_all(k, now, false);

	if (err == 0)
		err = uidset_add(&k->touched, target_uid);
	for (size_t i = 0; i < k->flag_n && err == 0; i++) {
		struct known_flag *f = &k->flag[i];

		err = f->seen == k->turn ? uidset_add(&f->shown, target_uid) : uidset_remove_range(&f->shown, target_uid, target_uid);
	}
	return err;
}

static bool shows(const struct known_flag *f, bool added, uint32_t target_uid)
{
	return uidset_has(&f->shown, target_uid) == added;
}

/* A STORE is one command for all its messages. The target UID below which it was carried out, as far as they tell; 0: it was not. */
static uint32_t carried_out(const struct known *k, const struct known_flag *f, bool added, const struct uidset *uids)
{
	struct uidset_walk w = { 0 };
	uint64_t touched = 0, shown = 0;
	uint32_t uid, last = 0;

	while ((uid = uidset_walk(uids, &w)) != 0) {
		uint32_t target = known_target(k, uid, NULL);

		if (!uidset_has(&k->touched, target))
			continue;
		touched++;
		if (!shows(f, added, target))
			continue;
		shown++;
		if (target > last)
			last = target;
	}
	return shown >= touched - shown ? last : 0;
}

/* One change that was tried. `later`: source UIDs of the messages that a later one has reached; those that this one has reached are added. */
static int settle(struct known *k, struct known_flag *f, bool added, const struct uidset *uids, struct uidset *later)
{
	struct uidset reached = { 0 };
	struct uidset_walk w = { 0 };
	uint32_t uid, below = carried_out(k, f, added, uids);
	int err = 0;

	while (err == 0 && (uid = uidset_walk(uids, &w)) != 0) {
		uint32_t target = known_target(k, uid, NULL);

		if (uidset_has(&k->touched, target) && (shows(f, added, target) || target < below || uidset_has(later, uid)))
			err = uidset_add(&reached, uid);
	}
	if (err == 0)
		err = uidset_add_set(later, &reached);
	if (err == 0 && added)
		err = uidset_add_set(&f->uids, &reached);
	for (size_t i = 0; !added && i < reached.n && err == 0; i++)
		err = uidset_remove_range(&f->uids, reached.r[i].lo, reached.r[i].hi);
	uidset_done(&reached);
	return err;
}

int known_settle(struct known *k, struct span tried)
{
	struct uidset uids = { 0 }, later = { 0 };
	int err = 0;

	/* From the last to the first; they were sent in the order of the text. */
	while (err == 0 && tried.n != 0) {
		struct known_flag *f = NULL;
		struct span word, name;
		size_t at = tried.n;
		bool added;

		while (at != 0 && tried.p[at - 1] != ' ')
			at--;
		word = span_from(tried, at);
		tried = span_first(tried, at != 0 ? at - 1 : 0);
		err = cut_tried(&word, &added, &name, &uids);
		if (err == 0)
			err = find_flag(k, name, &f);
		if (err == 0 && f != NULL)
			err = settle(k, f, added, &uids, &later);
	}
	uidset_done(&uids);
	uidset_done(&later);
	return err;
}
