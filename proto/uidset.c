#include "uidset.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

void uidset_done(struct uidset *s)
{
	if (s == NULL)
		return;
	free(s->r);
	*s = (struct uidset){ .cap = s->cap };
}

void uidset_reset(struct uidset *s)
{
	s->n = 0;
}

/* Room for `more` further ranges. */
static int make_room(struct uidset *s, size_t more)
{
	size_t max = s->cap != 0 ? s->cap : SIZE_MAX / sizeof(*s->r), size;
	struct uid_range *r;

	if (s->n > max || more > max - s->n)
		return PROTO_ERR_CAP;
	if (more <= s->size - s->n)
		return 0;
	size = s->size < 4 ? 4 : s->size > max / 2 ? max : s->size * 2;
	if (size < s->n + more)
		size = s->n + more;
	if (size > max)
		size = max;
	r = realloc(s->r, size * sizeof(*r));
	if (r == NULL)
		return PROTO_ERR_NOMEM;
	s->r = r;
	s->size = size;
	return 0;
}

static void close_gap(struct uidset *s, size_t at, size_t n)
{
	if (n != 0 && at + n < s->n)
		memmove(s->r + at, s->r + at + n, (s->n - at - n) * sizeof(*s->r));
	s->n -= n;
}

static int insert(struct uidset *s, size_t at, struct uid_range range)
{
	int err = make_room(s, 1);

	if (err != 0)
		return err;
	if (at < s->n)
		memmove(s->r + at + 1, s->r + at, (s->n - at) * sizeof(*s->r));
	s->r[at] = range;
	s->n++;
	return 0;
}

/* Index of the first range of a set that ends at uid or later. */
static size_t first_reaching(const struct uidset *s, uint32_t uid)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->r[mid].hi < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int order(uint32_t *lo, uint32_t *hi)
{
	if (*lo == 0 || *hi == 0)
		return PROTO_ERR_RANGE;
	if (*lo > *hi) {
		uint32_t swap = *lo;

		*lo = *hi;
		*hi = swap;
	}
	return 0;
}

int uidset_add(struct uidset *s, uint32_t uid)
{
	return uidset_add_range(s, uid, uid);
}

int uidset_add_range(struct uidset *s, uint32_t lo, uint32_t hi)
{
	size_t first, end;
	int err = order(&lo, &hi);

	if (err != 0)
		return err;
	/* Ranges that only touch the new one are merged, too. */
	first = first_reaching(s, lo - 1 != 0 ? lo - 1 : 1);
	end = hi < UINT32_MAX ? first_reaching(s, hi + 1) : s->n;
	if (end < s->n && hi < UINT32_MAX && s->r[end].lo <= hi + 1)
		end++;
	if (first == end)
		return insert(s, first, (struct uid_range){ lo, hi });
	if (s->r[first].lo > lo)
		s->r[first].lo = lo;
	s->r[first].hi = s->r[end - 1].hi > hi ? s->r[end - 1].hi : hi;
	close_gap(s, first + 1, end - first - 1);
	return 0;
}

/* Appends to ranges in order of lo; one that overlaps or touches the last melts into it. */
static size_t melt(struct uid_range *r, size_t n, struct uid_range next)
{
	if (n == 0 || (r[n - 1].hi < next.lo && next.lo - r[n - 1].hi > 1)) {
		r[n] = next;
		return n + 1;
	}
	if (r[n - 1].hi < next.hi)
		r[n - 1].hi = next.hi;
	return n;
}

static int compare_lo(const void *a, const void *b)
{
	const struct uid_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Unites s with m ranges in order of lo: one pass, and all or nothing. */
static int unite(struct uidset *s, const struct uid_range *other, size_t m)
{
	size_t i = 0, j = 0, n = 0;
	struct uid_range *r;

	if (m == 0)
		return 0;
	if (m > SIZE_MAX / sizeof(*r) - s->n)
		return PROTO_ERR_CAP;
	r = malloc((s->n + m) * sizeof(*r));
	if (r == NULL)
		return PROTO_ERR_NOMEM;
	while (i < s->n || j < m) {
		bool mine = j == m || (i < s->n && s->r[i].lo <= other[j].lo);

		n = melt(r, n, mine ? s->r[i++] : other[j++]);
	}
	if (s->cap != 0 && n > s->cap) {
		free(r);
		return PROTO_ERR_CAP;
	}
	free(s->r);
	s->r = r;
	s->size = s->n + m;
	s->n = n;
	return 0;
}

int uidset_add_set(struct uidset *s, const struct uidset *other)
{
	/* The usual case of a pass that goes on: a piece behind, or one range anywhere. */
	if (other->n == 1)
		return uidset_add_range(s, other->r[0].lo, other->r[0].hi);
	return unite(s, other->r, other->n);
}

int uidset_remove_range(struct uidset *s, uint32_t lo, uint32_t hi)
{
	size_t first, end;
	int err = order(&lo, &hi);

	if (err != 0)
		return err;
	first = first_reaching(s, lo);
	if (first < s->n && s->r[first].lo < lo) {
		if (s->r[first].hi > hi) {
			struct uid_range rest = { hi + 1, s->r[first].hi };

			err = insert(s, first + 1, rest);
			if (err == 0)
				s->r[first].hi = lo - 1;
			return err;
		}
		s->r[first++].hi = lo - 1;
	}
	end = first_reaching(s, hi);
	if (end < s->n && s->r[end].hi == hi)
		end++;
	else if (end < s->n && s->r[end].lo <= hi)
		s->r[end].lo = hi + 1;
	close_gap(s, first, end - first);
	return 0;
}

bool uidset_has(const struct uidset *s, uint32_t uid)
{
	size_t at = first_reaching(s, uid);

	return at < s->n && s->r[at].lo <= uid;
}

uint32_t uidset_next(const struct uidset *s, uint32_t uid)
{
	size_t at = first_reaching(s, uid);

	if (at == s->n)
		return 0;
	return s->r[at].lo > uid ? s->r[at].lo : uid;
}

uint64_t uidset_count(const struct uidset *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += (uint64_t)s->r[i].hi - s->r[i].lo + 1;
	return n;
}

uint32_t uidset_max(const struct uidset *s)
{
	return s->n != 0 ? s->r[s->n - 1].hi : 0;
}

int uidset_push(struct uidset *s, uint32_t uid)
{
	if (uid == 0)
		return PROTO_ERR_RANGE;
	if (s->n != 0 && s->r[s->n - 1].hi == uid - 1) {
		s->r[s->n - 1].hi = uid;
		return 0;
	}
	return insert(s, s->n, (struct uid_range){ uid, uid });
}

uint32_t uidset_at(const struct uidset *s, uint64_t i)
{
	for (size_t at = 0; at < s->n; at++) {
		uint64_t n = (uint64_t)s->r[at].hi - s->r[at].lo + 1;

		if (i < n)
			return s->r[at].lo + (uint32_t)i;
		i -= n;
	}
	return 0;
}

static int parse_uid(struct span text, uint32_t *ret)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return PROTO_ERR_SYNTAX;
	if (text.n == 0)
		return PROTO_ERR_SYNTAX;
	return span_to_u32(text, ret) && *ret != 0 ? 0 : PROTO_ERR_RANGE;
}

/* In RFC 9051 "4:2" and "2:4" are the same range. */
static int parse_range(struct span text, struct uid_range *ret)
{
	size_t colon = span_find(text, ':');
	int err = parse_uid(span_first(text, colon), &ret->lo);

	if (err != 0)
		return err;
	if (colon == SIZE_MAX) {
		ret->hi = ret->lo;
		return 0;
	}
	err = parse_uid(span_from(text, colon + 1), &ret->hi);
	return err != 0 ? err : order(&ret->lo, &ret->hi);
}

/* All ranges of the text as they are written, in memory of the caller's. */
static int parse_ranges(struct span text, struct uid_range **ret, size_t *ret_n)
{
	size_t n = 1;
	struct uid_range *r;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == ',';
	if (n > SIZE_MAX / sizeof(*r))
		return PROTO_ERR_CAP;
	r = malloc(n * sizeof(*r));
	if (r == NULL)
		return PROTO_ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t comma = span_find(text, ',');
		int err = parse_range(span_first(text, comma), &r[i]);

		if (err != 0) {
			free(r);
			return err;
		}
		text = comma != SIZE_MAX ? span_from(text, comma + 1) : SPAN_NONE;
	}
	*ret = r;
	*ret_n = n;
	return 0;
}

int uidset_parse(struct uidset *s, struct span text)
{
	struct uid_range *r;
	size_t n;
	int err = parse_ranges(text, &r, &n);

	if (err != 0)
		return err;
	qsort(r, n, sizeof(*r), compare_lo);
	err = unite(s, r, n);
	free(r);
	return err;
}

/* Neighbours that go on where the one before ended become one range: the order stays. */
static size_t join_list(struct uid_range *r, size_t n)
{
	size_t kept = 1;

	for (size_t i = 1; i < n; i++) {
		if (r[kept - 1].hi != UINT32_MAX && r[kept - 1].hi + 1 == r[i].lo)
			r[kept - 1].hi = r[i].hi;
		else
			r[kept++] = r[i];
	}
	return kept;
}

int uidset_parse_list(struct uidset *s, struct span text)
{
	struct uid_range *r;
	size_t n, skip;
	int err = parse_ranges(text, &r, &n);

	if (err != 0)
		return err;
	n = join_list(r, n);
	skip = s->n != 0 && s->r[s->n - 1].hi == r[0].lo - 1;
	err = make_room(s, n - skip);
	if (err == 0) {
		if (skip)
			s->r[s->n - 1].hi = r[0].hi;
		if (n > skip)
			memcpy(s->r + s->n, r + skip, (n - skip) * sizeof(*r));
		s->n += n - skip;
	}
	free(r);
	return err;
}

static size_t digits_of(uint32_t v)
{
	size_t n = 1;

	for (; v >= 10; v /= 10)
		n++;
	return n;
}

/* Bytes of the range's text. */
static size_t length_of(struct uid_range range)
{
	return digits_of(range.lo) + (range.hi != range.lo ? 1 + digits_of(range.hi) : 0);
}

static int print_range(struct buf *out, struct uid_range range)
{
	int err = buf_add_u64(out, range.lo);

	if (err == 0 && range.hi != range.lo)
		err = buf_add_char(out, ':');
	if (err == 0 && range.hi != range.lo)
		err = buf_add_u64(out, range.hi);
	return err;
}

int uidset_print(const struct uidset *s, struct buf *out, size_t *at, size_t max)
{
	size_t start = out->n, i = *at;

	assert(i <= s->n);
	for (; i < s->n; i++) {
		size_t used = out->n - start;
		int err = 0;

		if (i != *at) {
			if (used >= max || length_of(s->r[i]) > max - used - 1)
				break;
			err = buf_add_char(out, ',');
		}
		if (err == 0)
			err = print_range(out, s->r[i]);
		if (err != 0) {
			buf_truncate(out, start);
			return err;
		}
	}
	*at = i;
	return 0;
}

uint32_t uidset_walk(const struct uidset *s, struct uidset_walk *w)
{
	struct uid_range range;

	if (w->range >= s->n)
		return 0;
	range = s->r[w->range];
	if (w->within < range.hi - range.lo)
		return range.lo + w->within++;
	w->range++;
	w->within = 0;
	return range.hi;
}
