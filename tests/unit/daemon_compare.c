#include "compare.h"
#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

#include <stdio.h>

static struct compare_list source, target;
static struct compare_pairs differ;
static struct uidset twice;
static uint64_t equal;

static void teardown(void)
{
	compare_list_done(&source);
	compare_list_done(&target);
	compare_pairs_done(&differ);
	uidset_done(&twice);
	leaks_check();
}

TestSuite(daemon_compare, .fini = teardown);

static void add(struct compare_list *l, uint32_t uid, uint32_t key, uint32_t date, uint32_t flags, uint32_t size)
{
	cr_assert_eq(compare_add(l, &(struct compare_entry){ .key = { key, key / 2 }, .date = date, .flags = flags, .size = size,
		.uid = uid }), 0);
}

static void match(void)
{
	cr_assert_eq(compare_match(&source, &target, 0, &differ, &equal, &twice), 0);
}

static void left(const struct compare_list *l, const char *want)
{
	char text[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u", i != 0 ? " " : "", l->entry[i].uid);
	cr_expect_str_eq(text, want);
}

/* "SOURCE-TARGET:WHAT", in any order. */
static void pairs(size_t n, const char *const want[])
{
	cr_expect_eq(differ.n, n);
	for (size_t i = 0; i < n; i++) {
		bool met = false;

		for (size_t k = 0; k < differ.n; k++) {
			char text[64];

			snprintf(text, sizeof(text), "%u-%u:%u", differ.pair[k].source.uid, differ.pair[k].target.uid, differ.pair[k].what);
			met = met || strcmp(text, want[i]) == 0;
		}
		cr_expect(met, "%s", want[i]);
	}
}

Test(daemon_compare, equal_whatever_the_order)
{
	for (uint32_t i = 1; i <= 50; i++) {
		add(&source, i, i * 7919, i, 1, 100);
		add(&target, 100 + i, (51 - i) * 7919, 51 - i, 1, 100);
	}
	match();
	cr_expect_eq(equal, 50);
	left(&source, "");
	left(&target, "");
	pairs(0, NULL);
	cr_expect_eq(twice.n, 0);
}

Test(daemon_compare, nothing_on_either_side)
{
	match();
	cr_expect_eq(equal, 0);
	add(&source, 3, 1, 1, 1, 1);
	add(&source, 2, 2, 1, 1, 1);
	match();
	left(&source, "2 3");
	compare_list_reset(&source);
	add(&target, 3, 1, 1, 1, 1);
	match();
	left(&target, "3");
	cr_expect_eq(twice.n, 0);
}

Test(daemon_compare, missing_and_extra)
{
	add(&source, 1, 10, 1, 1, 1);
	add(&source, 2, 20, 1, 1, 1);
	add(&source, 3, 30, 1, 1, 1);
	add(&target, 7, 30, 1, 1, 1);
	add(&target, 8, 25, 1, 1, 1);
	add(&target, 9, 40, 1, 1, 1);
	match();
	cr_expect_eq(equal, 1);
	left(&source, "1 2");
	left(&target, "8 9");
	cr_expect_eq(twice.n, 0);
}

Test(daemon_compare, keys_that_are_half_the_same_are_not_the_same)
{
	add(&source, 1, 10, 1, 1, 1);
	cr_assert_eq(compare_add(&target, &(struct compare_entry){ .key = { 10, 6 }, .date = 1, .flags = 1, .size = 1, .uid = 1 }), 0);
	match();
	cr_expect_eq(equal, 0);
	left(&source, "1");
	left(&target, "1");
}

Test(daemon_compare, a_multiset_not_a_set)
{
	/* Two here, one there; one here, three there. */
	add(&source, 1, 10, 1, 1, 1);
	add(&source, 2, 10, 1, 1, 1);
	add(&source, 3, 20, 1, 1, 1);
	add(&target, 1, 10, 1, 1, 1);
	add(&target, 2, 20, 1, 1, 1);
	add(&target, 3, 20, 1, 1, 1);
	add(&target, 4, 20, 1, 1, 1);
	match();
	cr_expect_eq(equal, 2);
	left(&source, "2");
	left(&target, "3 4");
	cr_expect(uidset_has(&twice, 3) && uidset_has(&twice, 4) && uidset_count(&twice) == 2);
}

Test(daemon_compare, what_differs_is_told)
{
	add(&source, 1, 10, 1, 1, 1);
	add(&target, 11, 10, 1, 2, 1);
	add(&source, 2, 20, 1, 1, 1);
	add(&target, 12, 20, 2, 1, 1);
	add(&source, 3, 30, 1, 1, 1);
	add(&target, 13, 30, 1, 1, 2);
	add(&source, 4, 40, 1, 1, 1);
	add(&target, 14, 40, 2, 2, 2);
	match();
	cr_expect_eq(equal, 0);
	pairs(4, (const char *const[]){ "1-11:1", "2-12:2", "3-13:4", "4-14:7" });
	left(&source, "");
	left(&target, "");
}

Test(daemon_compare, of_the_same_those_that_differ_least)
{
	/* In the order of UIDs they would all differ. */
	add(&source, 1, 10, 5, 1, 1);
	add(&source, 2, 10, 5, 2, 1);
	add(&source, 3, 10, 6, 1, 1);
	add(&source, 4, 10, 9, 1, 1);
	add(&target, 11, 10, 6, 1, 1);
	add(&target, 12, 10, 5, 3, 1); /* only its flags are other than those of 1 or 2 */
	add(&target, 13, 10, 5, 2, 1);
	add(&target, 14, 10, 7, 1, 1);
	match();
	cr_expect_eq(equal, 2);
	pairs(2, (const char *const[]){ "1-12:1", "4-14:2" });
}

Test(daemon_compare, a_difference_that_is_known_beforehand)
{
	add(&source, 1, 10, 1, 1, 1);
	add(&target, 2, 10, 1, 1, 1);
	cr_assert_eq(compare_match(&source, &target, COMPARE_BYTES, &differ, &equal, &twice), 0);
	cr_expect_eq(equal, 0);
	pairs(1, (const char *const[]){ "1-2:8" });
}

Test(daemon_compare, a_list_is_settled)
{
	add(&source, 5, 1, 1, 1, 1);
	add(&source, 3, 1, 1, 1, 1);
	add(&source, 5, 1, 1, 1, 1);
	add(&source, 9, 1, 1, 1, 1);
	add(&source, 9, 1, 1, 1, 1);
	cr_expect(source.unordered);
	compare_settle(&source);
	left(&source, "3 5 9");
	cr_expect_eq(compare_find(&source, 5)->uid, 5);
	cr_expect_null(compare_find(&source, 4));
	cr_expect_null(compare_find(&target, 4));
}

static int fill_and_match(void)
{
	int err = 0;

	for (uint32_t i = 1; i <= 100 && err == 0; i++) {
		struct compare_entry e = { .key = { i / 4, i }, .date = 1, .flags = 1, .size = 1, .uid = i };

		err = compare_add(&source, &e);
		e.flags = 2;
		if (err == 0)
			err = compare_add(&target, &e);
		e.uid = i * 1000;
		if (err == 0)
			err = compare_add(&target, &e);
	}
	return err == 0 ? compare_match(&source, &target, 0, &differ, &equal, &twice) : err;
}

Test(daemon_compare, every_allocation_may_fail)
{
	size_t n = 0;
	int err;

	do {
		failmalloc_arm(++n);
		err = fill_and_match();
		failmalloc_disarm();
		cr_expect_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		cr_expect(failmalloc_fired() || (differ.n == 100 && uidset_count(&twice) == 100 && source.n == 0 && target.n == 100));
		compare_list_done(&source);
		compare_list_done(&target);
		compare_pairs_done(&differ);
		uidset_done(&twice);
	} while (failmalloc_fired());
	cr_expect_gt(n, 10);
}
