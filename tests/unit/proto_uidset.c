#include <criterion/criterion.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"
#include "uidset.h"

TestSuite(uidset, .fini = leaks_check);

enum { WORLD = 400 };

static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void assert_text(const struct uidset *s, const char *text)
{
	struct buf b = { .cap = 100000 };
	size_t at = 0;

	cr_assert_eq(uidset_print(s, &b, &at, 100000), 0);
	cr_assert_eq(at, s->n);
	cr_assert(span_eq(buf_span(&b), span_str(text)), "%.*s, not %s", SPAN_ARG(buf_span(&b)), text);
	buf_done(&b);
}

static void assert_is_set(const struct uidset *s)
{
	for (size_t i = 0; i < s->n; i++) {
		cr_assert(s->r[i].lo >= 1 && s->r[i].lo <= s->r[i].hi);
		if (i != 0)
			cr_assert(s->r[i].lo > s->r[i - 1].hi && s->r[i].lo - s->r[i - 1].hi > 1);
	}
}

/* `offset` moves the world along the numbers, to either end. */
static void assert_same(const struct uidset *s, const bool *world, uint32_t offset)
{
	struct uidset_walk w = { 0 };
	uint64_t count = 0;
	uint32_t max = 0;

	assert_is_set(s);
	for (uint32_t i = 0; i < WORLD; i++) {
		uint32_t next = i;

		cr_assert_eq(uidset_has(s, offset + i), world[i]);
		while (next < WORLD && !world[next])
			next++;
		cr_assert_eq(uidset_next(s, offset + i), next < WORLD ? offset + next : 0);
		if (!world[i])
			continue;
		cr_assert_eq(uidset_at(s, count), offset + i);
		cr_assert_eq(uidset_walk(s, &w), offset + i);
		count++;
		max = offset + i;
	}
	cr_assert_eq(uidset_walk(s, &w), 0);
	cr_assert_eq(uidset_walk(s, &w), 0);
	cr_assert_eq(uidset_at(s, count), 0);
	cr_assert_eq(uidset_count(s), count);
	cr_assert_eq(uidset_max(s), max);
}

static void random_range(struct uidset *s, bool *world, uint32_t offset)
{
	uint32_t a = random_below(WORLD), b = random_below(8) == 0 ? random_below(WORLD) : a + random_below(12);
	bool remove = random_below(5) < 2;
	uint32_t lo, hi;
	int err;

	b = b < WORLD ? b : WORLD - 1;
	lo = a < b ? a : b;
	hi = a < b ? b : a;
	err = remove ? uidset_remove_range(s, offset + a, offset + b) :
	      a == b ? uidset_add(s, offset + a) : uidset_add_range(s, offset + a, offset + b);
	cr_assert_eq(err, 0);
	for (uint32_t i = lo; i <= hi; i++)
		world[i] = !remove;
}

static void random_set(struct uidset *s, bool *world, uint32_t offset)
{
	struct uidset other = { 0 };

	for (uint32_t n = random_below(6); n > 0; n--) {
		uint32_t lo = random_below(WORLD), hi = lo + random_below(4);

		hi = hi < WORLD ? hi : WORLD - 1;
		cr_assert_eq(uidset_add_range(&other, offset + lo, offset + hi), 0);
		for (uint32_t i = lo; i <= hi; i++)
			world[i] = true;
	}
	cr_assert_eq(uidset_add_set(s, &other), 0);
	uidset_done(&other);
}

/* The text of a set, read again into a fresh one, a part of it twice. */
static void assert_reads_back(const struct uidset *s, const bool *world, uint32_t offset)
{
	struct buf text = { .cap = 100000 };
	struct uidset copy = { 0 }, list = { 0 };
	size_t at = 0;

	if (s->n == 0)
		return;
	cr_assert_eq(uidset_print(s, &text, &at, 100000), 0);
	cr_assert_eq(uidset_parse(&copy, buf_span(&text)), 0);
	assert_same(&copy, world, offset);
	cr_assert_eq(uidset_parse(&copy, buf_span(&text)), 0);
	assert_same(&copy, world, offset);
	cr_assert_eq(uidset_parse_list(&list, buf_span(&text)), 0);
	assert_same(&list, world, offset);
	uidset_done(&copy);
	uidset_done(&list);
	buf_done(&text);
}

static void compare_with_bitmap(uint32_t offset, int rounds)
{
	struct uidset s = { 0 };
	bool world[WORLD] = { 0 };

	seed = offset;
	for (int i = 0; i < rounds; i++) {
		if (random_below(10) == 0)
			random_set(&s, world, offset);
		else
			random_range(&s, world, offset);
		assert_same(&s, world, offset);
		if (i % 16 == 0)
			assert_reads_back(&s, world, offset);
		if (i % 500 == 499) {
			uidset_reset(&s);
			memset(world, 0, sizeof(world));
		}
	}
	uidset_done(&s);
	cr_assert_eq(s.r, NULL);
}

Test(uidset, behaves_like_a_bitmap)
{
	compare_with_bitmap(1, 3000);
	compare_with_bitmap(70000, 1500);
	compare_with_bitmap(UINT32_MAX - (WORLD - 1), 3000);
}

Test(uidset, bounds_and_order)
{
	struct uidset s = { 0 };

	cr_assert_eq(uidset_has(&s, 0), false);
	cr_assert_eq(uidset_next(&s, 0), 0);
	cr_assert_eq(uidset_max(&s), 0);
	cr_assert_eq(uidset_add(&s, 0), PROTO_ERR_RANGE);
	cr_assert_eq(uidset_add_range(&s, 0, 5), PROTO_ERR_RANGE);
	cr_assert_eq(uidset_add_range(&s, 5, 0), PROTO_ERR_RANGE);
	cr_assert_eq(uidset_remove_range(&s, 0, 5), PROTO_ERR_RANGE);
	cr_assert_eq(uidset_push(&s, 0), PROTO_ERR_RANGE);
	cr_assert_eq(s.n, 0);
	cr_assert_eq(uidset_add_range(&s, UINT32_MAX, 1), 0);
	assert_text(&s, "1:4294967295");
	cr_assert_eq(uidset_count(&s), UINT32_MAX);
	cr_assert_eq(uidset_at(&s, UINT32_MAX - 1u), UINT32_MAX);
	cr_assert_eq(uidset_at(&s, UINT32_MAX), 0);
	cr_assert_eq(uidset_has(&s, 0), false);
	cr_assert_eq(uidset_next(&s, 0), 1);
	cr_assert_eq(uidset_add(&s, UINT32_MAX), 0);
	cr_assert_eq(uidset_add(&s, 1), 0);
	cr_assert_eq(s.n, 1);
	cr_assert_eq(uidset_remove_range(&s, 9, 3), 0);
	assert_text(&s, "1:2,10:4294967295");
	cr_assert_eq(uidset_remove_range(&s, UINT32_MAX, UINT32_MAX), 0);
	cr_assert_eq(uidset_remove_range(&s, 1, 1), 0);
	assert_text(&s, "2,10:4294967294");
	cr_assert_eq(uidset_remove_range(&s, 1, UINT32_MAX), 0);
	cr_assert_eq(s.n, 0);
	uidset_done(&s);
	uidset_done(NULL);
}

Test(uidset, the_cap_counts_ranges)
{
	struct uidset s = { .cap = 3 }, other = { 0 };

	cr_assert_eq(uidset_parse(&s, SPAN("1:3,10,20")), 0);
	cr_assert_eq(uidset_add(&s, 30), PROTO_ERR_CAP);
	cr_assert_eq(uidset_push(&s, 30), PROTO_ERR_CAP);
	cr_assert_eq(uidset_remove_range(&s, 2, 2), PROTO_ERR_CAP);
	cr_assert_eq(uidset_parse(&s, SPAN("11,30")), PROTO_ERR_CAP);
	cr_assert_eq(uidset_parse_list(&s, SPAN("30,40")), PROTO_ERR_CAP);
	cr_assert_eq(uidset_parse_list(&s, SPAN("21,30")), PROTO_ERR_CAP);
	cr_assert_eq(uidset_parse(&other, SPAN("30,40")), 0);
	cr_assert_eq(uidset_add_set(&s, &other), PROTO_ERR_CAP);
	assert_text(&s, "1:3,10,20");
	cr_assert_eq(uidset_add(&s, 4), 0);
	cr_assert_eq(uidset_push(&s, 21), 0);
	cr_assert_eq(uidset_parse(&s, SPAN("30,22:30,5:9,4,11:19")), 0);
	assert_text(&s, "1:30");
	uidset_done(&s);
	cr_assert_eq(s.cap, 3);
	for (uint32_t uid = 2; uid <= 6; uid += 2)
		cr_assert_eq(uidset_add(&s, uid), 0);
	cr_assert_eq(uidset_add(&s, 8), PROTO_ERR_CAP);
	cr_assert_leq(s.size, 3);
	assert_text(&s, "2,4,6");
	uidset_done(&s);
	uidset_done(&other);
}

Test(uidset, add_set_with_nothing_and_itself)
{
	struct uidset s = { 0 }, none = { 0 };

	cr_assert_eq(uidset_add_set(&s, &none), 0);
	cr_assert_eq(s.n, 0);
	cr_assert_eq(uidset_parse(&s, SPAN("5,7")), 0);
	cr_assert_eq(uidset_add_set(&s, &none), 0);
	cr_assert_eq(uidset_add_set(&s, &s), 0);
	assert_text(&s, "5,7");
	cr_assert_eq(uidset_add_set(&none, &s), 0);
	assert_text(&none, "5,7");
	uidset_done(&s);
	uidset_done(&none);
}

Test(uidset, parse_takes_any_order)
{
	struct uidset s = { 0 };

	cr_assert_eq(uidset_parse(&s, SPAN("9,5:1,3:7,20:18,8,4294967295,4294967294")), 0);
	assert_text(&s, "1:9,18:20,4294967294:4294967295");
	cr_assert_eq(uidset_parse(&s, SPAN("17,1:5")), 0);
	assert_text(&s, "1:9,17:20,4294967294:4294967295");
	uidset_done(&s);
}

Test(uidset, lists_keep_order_and_duplicates)
{
	struct uidset s = { 0 };
	static const uint32_t uids[] = { 5, 6, 3, 4, 3, 9, 8, 9, 10, 10, 4294967295u };
	struct uidset_walk w = { 0 };

	for (size_t i = 0; i < 7; i++)
		cr_assert_eq(uidset_push(&s, uids[i]), 0);
	assert_text(&s, "5:6,3:4,3,9,8");
	cr_assert_eq(uidset_parse_list(&s, SPAN("9:10,10,4294967295")), 0);
	assert_text(&s, "5:6,3:4,3,9,8:10,10,4294967295");
	cr_assert_eq(uidset_count(&s), 11);
	for (size_t i = 0; i < 11; i++) {
		cr_assert_eq(uidset_at(&s, i), uids[i]);
		cr_assert_eq(uidset_walk(&s, &w), uids[i]);
	}
	cr_assert_eq(uidset_at(&s, 11), 0);
	cr_assert_eq(uidset_walk(&s, &w), 0);
	/* The largest UID has none behind it. */
	cr_assert_eq(uidset_push(&s, 1), 0);
	assert_text(&s, "5:6,3:4,3,9,8:10,10,4294967295,1");
	uidset_reset(&s);
	cr_assert_eq(uidset_parse_list(&s, SPAN("4294967295,1:2,3,7:4,8")), 0);
	assert_text(&s, "4294967295,1:8");
	uidset_done(&s);
}

Test(uidset, bad_text_changes_nothing)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{ "", PROTO_ERR_SYNTAX }, { ",", PROTO_ERR_SYNTAX }, { "1,", PROTO_ERR_SYNTAX },
		{ ",1", PROTO_ERR_SYNTAX },
		{ "1,,2", PROTO_ERR_SYNTAX }, { ":", PROTO_ERR_SYNTAX }, { "1:", PROTO_ERR_SYNTAX },
		{ ":1", PROTO_ERR_SYNTAX }, { "1:2:3", PROTO_ERR_SYNTAX }, { "*", PROTO_ERR_SYNTAX },
		{ "1:*", PROTO_ERR_SYNTAX }, { "1 ", PROTO_ERR_SYNTAX }, { " 1", PROTO_ERR_SYNTAX },
		{ "-1", PROTO_ERR_SYNTAX }, { "+1", PROTO_ERR_SYNTAX }, { "1x", PROTO_ERR_SYNTAX },
		{ "$", PROTO_ERR_SYNTAX },
		{ "0", PROTO_ERR_RANGE }, { "0:1", PROTO_ERR_RANGE }, { "1:0", PROTO_ERR_RANGE },
		{ "4294967296", PROTO_ERR_RANGE }, { "1:4294967296", PROTO_ERR_RANGE },
		{ "99999999999999999999999999", PROTO_ERR_RANGE }, { "9,4294967296", PROTO_ERR_RANGE },
	};
	struct uidset s = { 0 };

	cr_assert_eq(uidset_parse(&s, SPAN("5:6,8")), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(uidset_parse(&s, span_str(bad[i].text)), bad[i].err, "%s", bad[i].text);
		cr_assert_eq(uidset_parse_list(&s, span_str(bad[i].text)), bad[i].err, "%s", bad[i].text);
	}
	cr_assert_eq(uidset_parse(&s, SPAN_NONE), PROTO_ERR_SYNTAX);
	cr_assert_eq(uidset_parse(&s, SPAN("1\0")), PROTO_ERR_SYNTAX);
	assert_text(&s, "5:6,8");
	uidset_done(&s);
}

/* A hostile server's order must not cost quadratic time: this ends at once or never. */
Test(uidset, a_descending_set_is_read_in_no_time, .timeout = 10)
{
	struct buf text = { .cap = 1 << 24 };
	struct uidset s = { 0 };

	for (uint32_t i = 400000; i > 0; i--) {
		cr_assert_eq(buf_add_u64(&text, (uint64_t)i * 2), 0);
		cr_assert_eq(buf_add_char(&text, i > 1 ? ',' : '1'), 0);
	}
	cr_assert_eq(uidset_parse(&s, buf_span(&text)), 0);
	assert_is_set(&s);
	cr_assert_eq(uidset_count(&s), 400000);
	uidset_done(&s);
	buf_done(&text);
}

/* Every limit gives pieces no longer than the limit, and all pieces together are the set. */
Test(uidset, prints_in_pieces)
{
	struct uidset s = { 0 };

	cr_assert_eq(uidset_parse(&s, SPAN("1,3:9,11:99,200,1000:2000,99999,4000000000:4294967295")), 0);
	for (size_t max = 0; max < 70; max++) {
		struct uidset again = { 0 };
		size_t at = 0;

		while (at < s.n) {
			struct buf b = { .cap = 1000 };
			size_t before = at;

			cr_assert_eq(buf_add_str(&b, "UID FETCH "), 0);
			cr_assert_eq(uidset_print(&s, &b, &at, max), 0);
			cr_assert_gt(at, before);
			cr_assert(b.n - 10 <= max || at == before + 1);
			cr_assert_eq(uidset_parse_list(&again, span_from(buf_span(&b), 10)), 0);
			/* One more range would not have fitted. */
			if (at < s.n) {
				struct buf more = { .cap = 1000 };
				size_t from = before;
				struct uidset head = { s.r, at + 1, 0, 0 };

				cr_assert_eq(uidset_print(&head, &more, &from, 1000), 0);
				cr_assert_gt(more.n, max);
				buf_done(&more);
			}
			buf_done(&b);
		}
		cr_assert_eq(again.n, s.n);
		cr_assert_eq(memcmp(again.r, s.r, s.n * sizeof(*s.r)), 0);
		uidset_done(&again);
	}
	uidset_done(&s);
}

Test(uidset, print_respects_the_buffer)
{
	struct uidset s = { 0 };

	cr_assert_eq(uidset_parse(&s, SPAN("1:3,10,20")), 0);
	for (size_t cap = 1; cap < 12; cap++) {
		struct buf b = { .cap = cap };
		size_t at = 0;

		cr_assert_eq(buf_add_char(&b, '('), 0);
		cr_assert_eq(uidset_print(&s, &b, &at, 100), cap < 10 ? PROTO_ERR_CAP : 0);
		cr_assert_eq(at, cap < 10 ? 0 : 3);
		cr_assert(span_eq(buf_span(&b), cap < 10 ? SPAN("(") : SPAN("(1:3,10,20")));
		buf_truncate(&b, 1);
		/* As long as the limit fits into the buffer, so do the pieces. */
		at = 0;
		cr_assert_eq(uidset_print(&s, &b, &at, cap - 1), cap < 4 ? PROTO_ERR_CAP : 0);
		buf_done(&b);
	}
	uidset_done(&s);
}

static int do_step(int step, struct uidset *s, const struct uidset *other, struct buf *b)
{
	size_t at = 0;

	switch (step) {
	case 0:
		return uidset_add(s, 100);
	case 1:
		return uidset_add_set(s, other);
	case 2:
		return uidset_remove_range(s, 2, 2);
	case 3:
		return uidset_push(s, 1);
	case 4:
		return uidset_parse(s, SPAN("90,80"));
	case 5:
		return uidset_parse_list(s, SPAN("13,90,80"));
	default:
		return uidset_print(s, b, &at, 1000);
	}
}

Test(uidset, failed_allocations_change_nothing)
{
	struct uidset other = { 0 };
	static const int allocations[] = { 1, 1, 1, 1, 2, 2, 1 };

	cr_assert_eq(uidset_parse(&other, SPAN("40,50,60")), 0);
	for (int step = 0; step < 7; step++) {
		int fails = 0;

		for (size_t n = 1;; n++) {
			struct uidset s = { 0 };
			struct buf b = { .cap = 100 };
			int err;

			/* Four ranges fill the first allocation. */
			cr_assert_eq(uidset_add_range(&s, 1, 3), 0);
			for (uint32_t uid = 8; uid <= 12; uid += 2)
				cr_assert_eq(uidset_add(&s, uid), 0);
			cr_assert_eq(s.size, 4);
			failmalloc_arm(n);
			err = do_step(step, &s, &other, &b);
			failmalloc_disarm();
			cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
			if (failmalloc_fired()) {
				fails++;
				assert_text(&s, "1:3,8,10,12");
				cr_assert_eq(b.n, 0);
			}
			uidset_done(&s);
			buf_done(&b);
			if (err == 0)
				break;
		}
		cr_assert_eq(fails, allocations[step], "step %d: %d", step, fails);
	}
	uidset_done(&other);
}
