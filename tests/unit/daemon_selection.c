#include <criterion/criterion.h>

#include "leaks.h"
#include "selection.h"

TestSuite(daemon_selection, .fini = leaks_check);

static const struct selection all = { 0 };

static enum selection_why judge(const struct selection *s, uint64_t limit, const char *date, unsigned flags, unsigned has, uint64_t size)
{
	struct resp_fetch m = { .has = has, .internaldate = span_str(date), .announced_size = size };

	m.flags.system = flags;
	return selection_judge(s, limit, &m);
}

static enum selection_why on(const struct selection *s, const char *date)
{
	return judge(s, UINT64_MAX, date, 0, FETCH_SIZE, 1000);
}

Test(daemon_selection, without_rules_all_is_wanted)
{
	cr_expect(!selection_is_any(&all, UINT64_MAX));
	cr_expect_eq(judge(&all, UINT64_MAX, "01-Jan-1970 00:00:00 +0000", FLAG_DELETED, FETCH_SIZE, UINT64_MAX), SELECTION_WANTED);
	cr_expect(selection_is_any(&all, 0));
	for (int i = 0; i < 4; i++) {
		struct selection s = { .max_size = i == 0, .since = i == 1, .before = i == 2, .skip_deleted = i == 3 };

		cr_expect(selection_is_any(&s, UINT64_MAX), "%d", i);
	}
}

Test(daemon_selection, sizes)
{
	struct selection s = { .max_size = 100 };

	cr_expect_eq(selection_judge_size(&s, UINT64_MAX, 100), SELECTION_WANTED);
	cr_expect_eq(selection_judge_size(&s, UINT64_MAX, 101), SELECTION_MAX_SIZE);
	cr_expect_eq(selection_judge_size(&s, 50, 50), SELECTION_WANTED);
	cr_expect_eq(selection_judge_size(&s, 50, 51), SELECTION_LIMIT);
	cr_expect_eq(selection_judge_size(&all, 0, 0), SELECTION_WANTED);
	cr_expect_eq(selection_judge_size(&all, 0, 1), SELECTION_LIMIT);
	cr_expect_eq(judge(&s, UINT64_MAX, "", 0, FETCH_SIZE, 101), SELECTION_MAX_SIZE);
	/* A size that was not told is none. */
	cr_expect_eq(judge(&s, UINT64_MAX, "", 0, 0, 101), SELECTION_WANTED);
}

Test(daemon_selection, days)
{
	struct selection s = { .since = 20200101, .before = 20210101 };

	cr_expect_eq(on(&s, "31-Dec-2019 23:59:59 +0000"), SELECTION_SINCE);
	cr_expect_eq(on(&s, "01-Jan-2020 00:00:00 +0000"), SELECTION_WANTED);
	cr_expect_eq(on(&s, "01-Jan-2020 00:00:00 +0200"), SELECTION_WANTED);
	cr_expect_eq(on(&s, "31-Dec-2020 23:59:59 -0500"), SELECTION_WANTED);
	cr_expect_eq(on(&s, "01-Jan-2021 00:00:00 +0000"), SELECTION_BEFORE);
	cr_expect_eq(on(&s, "00-Jan-0000 00:00:00 +0000"), SELECTION_WANTED);
	cr_expect_eq(on(&s, ""), SELECTION_WANTED);
}

Test(daemon_selection, deleted_ones)
{
	struct selection s = { .skip_deleted = true, .max_size = 10 };

	cr_expect_eq(judge(&s, UINT64_MAX, "", FLAG_DELETED | FLAG_SEEN, FETCH_SIZE, 99), SELECTION_DELETED);
	cr_expect_eq(judge(&s, UINT64_MAX, "", FLAG_SEEN, FETCH_SIZE, 9), SELECTION_WANTED);
}

Test(daemon_selection, reasons_name_both_sizes)
{
	struct selection s = { .max_size = 1048576, .since = 20200131, .before = 20210201, .skip_deleted = true };
	char text[SELECTION_TEXT];

	selection_reason(&s, 5000, SELECTION_LIMIT, 70000, text);
	cr_expect_str_eq(text, "it has 70000 bytes, more than the 5000 that the target takes (APPENDLIMIT)");
	selection_reason(&s, 5000, SELECTION_MAX_SIZE, 2000000, text);
	cr_expect_str_eq(text, "it has 2000000 bytes, more than the 1048576 of max_size");
	selection_reason(&s, 5000, SELECTION_SINCE, 0, text);
	cr_expect_str_eq(text, "it arrived before 2020-01-31 (since)");
	selection_reason(&s, 5000, SELECTION_BEFORE, 0, text);
	cr_expect_str_eq(text, "it did not arrive before 2021-02-01 (before)");
	selection_reason(&s, 5000, SELECTION_DELETED, 0, text);
	cr_expect_str_eq(text, "it has the flag \\Deleted (skip_deleted)");
}

Test(daemon_selection, rules_as_a_text)
{
	struct selection s = { .max_size = UINT64_MAX, .since = 99991231, .before = 99991231, .skip_deleted = true };
	char text[SELECTION_TEXT];

	selection_print(&all, UINT64_MAX, text);
	cr_expect_str_eq(text, "");
	selection_print(&s, UINT64_MAX - 1, text);
	cr_expect_str_eq(text, " max_size=18446744073709551615 since=99991231 before=99991231 skip_deleted limit=18446744073709551614");
	selection_print(&all, 0, text);
	cr_expect_str_eq(text, " limit=0");
}
