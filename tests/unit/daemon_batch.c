#include <criterion/criterion.h>
#include <stdio.h>

#include "batch.h"
#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(batch, .fini = leaks_check);

static void add(struct batch *b, uint32_t source, uint32_t target, const char *flags, uint64_t bytes)
{
	cr_assert_eq(batch_add(b, source, span_str(flags), bytes), 0);
	cr_assert_eq(uidset_push(&b->target, target), 0);
}

static void assert_row(const struct batch *b, const char *source, const char *target, const char *flags)
{
	struct buf texts = { .cap = 1 << 20 };
	struct ledger_batch row = { .folder = 77, .source_next = 88, .floor = 99 };

	cr_assert_eq(batch_row(b, &texts, &row), 0);
	cr_assert_str_eq(row.source_uids, source);
	cr_assert_str_eq(row.target_uids, target);
	cr_assert_str_eq(row.flags, flags);
	cr_assert_eq(row.copied, b->messages - b->adopted);
	cr_assert_eq(row.adopted, b->adopted);
	cr_assert_eq(row.bytes, b->bytes);
	cr_assert(row.folder == 77 && row.source_next == 88 && row.floor == 99);
	buf_done(&texts);
}

Test(batch, empty)
{
	struct batch b = { 0 };

	assert_row(&b, "", "", "");
	batch_reset(&b);
	batch_done(&b);
	batch_done(&b);
}

Test(batch, lists_and_flags)
{
	struct batch b = { 0 };

	add(&b, 5, 101, "\\Seen", 10);
	add(&b, 6, 102, "", 20);
	add(&b, 7, 103, "\\Answered \\Seen $Forwarded", UINT64_C(5000000000));
	add(&b, 9, 90, "$forwarded", 0);
	b.adopted = 1;
	cr_assert_eq(b.messages, 4);
	cr_assert_eq(b.bytes, UINT64_C(5000000030));
	assert_row(&b, "5:7,9", "101:103,90", "\\Seen=5,7 \\Answered=7 $Forwarded=7,9");
	batch_done(&b);
}

/* The lists keep the order of COPYUID: the n-th belongs to the n-th. */
Test(batch, lists_are_not_sorted)
{
	struct batch b = { 0 };

	add(&b, 9, 3, "", 0);
	add(&b, 4, 2, "", 0);
	add(&b, 5, 1, "", 0);
	assert_row(&b, "9,4:5", "3,2,1", "");
	batch_done(&b);
}

Test(batch, without_uids_of_the_target)
{
	struct batch b = { 0 };

	cr_assert_eq(batch_add(&b, 1, SPAN("\\Draft"), 3), 0);
	assert_row(&b, "1", "", "\\Draft=1");
	batch_done(&b);
}

Test(batch, reset_forgets_everything)
{
	struct batch b = { 0 };

	add(&b, 5, 101, "\\Seen a", 10);
	b.adopted = 1;
	batch_reset(&b);
	cr_assert(b.messages == 0 && b.adopted == 0 && b.bytes == 0);
	assert_row(&b, "", "", "");
	add(&b, 1, 1, "b", 1);
	assert_row(&b, "1", "1", "b=1");
	batch_done(&b);
}

Test(batch, move_into_an_empty_one)
{
	struct batch to = { 0 }, from = { 0 };

	add(&from, 5, 101, "\\Seen", 10);
	from.adopted = 1;
	cr_assert_eq(batch_move(&to, &from), 0);
	cr_assert_eq(to.messages, 1);
	assert_row(&to, "5", "101", "\\Seen=5");
	cr_assert(from.messages == 0 && from.adopted == 0 && from.bytes == 0);
	assert_row(&from, "", "", "");
	batch_done(&to);
	batch_done(&from);
}

Test(batch, move_behind_another)
{
	struct batch to = { 0 }, from = { 0 };

	add(&to, 9, 100, "\\Seen", 10);
	add(&to, 10, 101, "a", 10);
	to.adopted = 2;
	add(&from, 5, 102, "\\Flagged a", 1);
	add(&from, 11, 99, "\\Seen", 2);
	from.adopted = 1;
	cr_assert_eq(batch_move(&to, &from), 0);
	cr_assert(to.messages == 4 && to.adopted == 3 && to.bytes == 23);
	assert_row(&to, "9:10,5,11", "100:102,99", "\\Seen=9,11 a=5,10 \\Flagged=5");
	cr_assert_eq(from.messages, 0);
	assert_row(&from, "", "", "");
	/* Nothing moved is nothing changed. */
	cr_assert_eq(batch_move(&to, &from), 0);
	cr_assert_eq(to.messages, 4);
	assert_row(&to, "9:10,5,11", "100:102,99", "\\Seen=9,11 a=5,10 \\Flagged=5");
	batch_done(&to);
	batch_done(&from);
}

static size_t flag_count(const struct batch *b, const char *name)
{
	for (size_t i = 0; i < b->flag_n; i++)
		if (strcmp(b->flag[i].name, name) == 0)
			return uidset_count(&b->flag[i].uids);
	return 0;
}

/* Keywords are the server's to choose: their number is bounded, and the ones that are known, and the system's flags, go on. */
Test(batch, keywords_are_bounded)
{
	struct batch b = { 0 }, more = { 0 };
	char name[32];

	for (uint32_t uid = 1; uid <= 1000; uid++) {
		snprintf(name, sizeof(name), "k%u", uid);
		add(&b, uid, uid, name, 1);
	}
	cr_assert_leq(b.flag_n, 256);
	cr_assert_eq(b.messages, 1000);
	add(&b, 1001, 1001, "\\Seen k1 k999", 1);
	cr_assert_eq(flag_count(&b, "k1"), 2);
	cr_assert_eq(flag_count(&b, "k999"), 0);
	cr_assert_eq(flag_count(&b, "\\Seen"), 1);
	add(&more, 1002, 1002, "\\Seen k1 other", 1);
	cr_assert_eq(batch_move(&b, &more), 0);
	cr_assert_eq(flag_count(&b, "k1"), 3);
	cr_assert_eq(flag_count(&b, "\\Seen"), 2);
	cr_assert_eq(flag_count(&b, "other"), 0);
	cr_assert_leq(b.flag_n, 256 + 5);
	batch_done(&b);
	batch_done(&more);
}

Test(batch, a_row_that_is_too_long)
{
	struct batch b = { 0 };
	struct buf texts = { .cap = 1 };
	struct ledger_batch row;

	add(&b, 5, 101, "\\Seen", 10);
	/* "5" 0 "101" 0 "\Seen=5" 0 is 14 bytes. */
	for (; texts.cap < 14; texts.cap++)
		cr_assert_eq(batch_row(&b, &texts, &row), PROTO_ERR_CAP, "%zu", texts.cap);
	cr_assert_eq(batch_row(&b, &texts, &row), 0);
	buf_done(&texts);
	batch_done(&b);
}

static int work(struct batch *b, struct batch *from, struct buf *texts)
{
	struct ledger_batch row;
	char flags[64];
	int err = 0;

	for (uint32_t i = 0; i < 20 && err == 0; i++) {
		snprintf(flags, sizeof(flags), "\\Seen k%u", i);
		err = batch_add(i % 2 == 0 ? b : from, 1 + i * 3, span_str(flags), 7);
		if (err == 0)
			err = uidset_push(i % 2 == 0 ? &b->target : &from->target, 1000 - i * 3);
	}
	if (err == 0)
		err = batch_move(b, from);
	return err != 0 ? err : batch_row(b, texts, &row);
}

/* It says so, and nothing is leaked or broken. */
Test(batch, out_of_memory)
{
	size_t n = 0;
	int err;

	do {
		struct batch b = { 0 }, from = { 0 };
		struct buf texts = { .cap = 1 << 20 };

		failmalloc_arm(++n);
		err = work(&b, &from, &texts);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		batch_done(&b);
		batch_done(&from);
		buf_done(&texts);
	} while (failmalloc_fired());
	cr_assert_gt(n, 40);
}
