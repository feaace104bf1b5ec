/* known: what was brought, and what changed since. */
#include "known.h"
#include "err.h"
#include "failmalloc.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "leaks.h"

TestSuite(daemon_known, .fini = leaks_check);

static struct known k;
static struct arena arena;

static void add(const char *source, const char *target, const char *flags)
{
	cr_assert_eq(known_add(&k, span_str(source), span_str(target), span_str(flags), false), 0);
}

/* The source has these flags now; "" none. */
static void now(uint32_t uid, const char *text)
{
	struct flags f;
	arena_init(&arena, 1 << 16);
	cr_assert_eq(flags_parse(&f, span_str(text), &arena), 0);
	cr_assert_eq(known_compare(&k, uid, &f), 0);
	arena_done(&arena);
}

static struct known_flag *flag(const char *name)
{
	for (size_t i = 0; i < k.flag_n; i++)
		if (strcmp(k.flag[i].name, name) == 0)
			return &k.flag[i];
	return NULL;
}

/* The target UIDs of a change, as text. */
static const char *changes(const char *name, bool added)
{
	static char text[256];
	struct uidset s = { 0 };
	struct buf b;
	size_t at = 0;
	cr_assert_not_null(flag(name), "%s", name);
	cr_assert_eq(known_changes(&k, flag(name), added, &s), 0);
	buf_init(&b, sizeof(text));
	if (s.n != 0)
		cr_assert_eq(uidset_print(&s, &b, &at, SIZE_MAX), 0);
	cr_assert_eq(buf_add_char(&b, '\0'), 0);
	snprintf(text, sizeof(text), "%s", buf_span(&b).p);
	buf_done(&b);
	uidset_done(&s);
	return text;
}

static const char *printed(void)
{
	static char text[256];
	struct buf b;
	buf_init(&b, sizeof(text));
	cr_assert_eq(known_print_flags(&k, &b), 0);
	cr_assert_eq(buf_add_char(&b, '\0'), 0);
	snprintf(text, sizeof(text), "%s", buf_span(&b).p);
	buf_done(&b);
	return text;
}

Test(daemon_known, finds_the_target_of_a_source_uid)
{
	bool adopted = true;
	add("5:9,3", "105:109,200", "");
	cr_assert_eq(known_add(&k, SPAN("20:21"), SPAN("7,6"), SPAN_NONE, true), 0);
	add("30:31", "", "");
	known_sort(&k);
	cr_expect_eq(known_target(&k, 5, &adopted), 105);
	cr_expect(!adopted);
	cr_expect_eq(known_target(&k, 9, NULL), 109);
	cr_expect_eq(known_target(&k, 3, NULL), 200);
	cr_expect_eq(known_target(&k, 20, &adopted), 7);
	cr_expect(adopted);
	cr_expect_eq(known_target(&k, 21, NULL), 6, "in the order of COPYUID, not sorted");
	cr_expect_eq(known_target(&k, 4, NULL), 0);
	cr_expect_eq(known_target(&k, 10, NULL), 0);
	cr_expect_eq(known_target(&k, 1, NULL), 0);
	cr_expect_eq(known_target(&k, UINT32_MAX, NULL), 0);
	cr_expect_eq(known_target(&k, 30, NULL), 0, "the target did not tell");
	struct uidset s = { 0 };
	cr_assert_eq(known_sources(&k, &s), 0);
	cr_expect_eq(uidset_count(&s), 8);
	cr_expect(!uidset_has(&s, 30));
	uidset_done(&s);
	known_done(&k);
}

Test(daemon_known, a_run_costs_as_much_as_a_message)
{
	add("1:100000", "500001:600000", "");
	add("100001:200000", "600001:700000", "");
	cr_expect_eq(k.run_n, 1);
	known_done(&k);
}

Test(daemon_known, a_row_that_cannot_be_read)
{
	cr_expect_eq(known_add(&k, SPAN("1:x"), SPAN("1"), SPAN_NONE, false), PROTO_ERR_SYNTAX);
	cr_expect_eq(known_add(&k, SPAN("1:3"), SPAN("1:2"), SPAN_NONE, false), PROTO_ERR_SYNTAX);
	cr_expect_eq(known_add_flags(&k, SPAN("\\Seen")), PROTO_ERR_SYNTAX);
	cr_expect_eq(known_add_flags(&k, SPAN("=1:2")), PROTO_ERR_SYNTAX);
	cr_expect_eq(known_add_flags(&k, SPAN("\\Seen=")), PROTO_ERR_SYNTAX);
	known_done(&k);
}

Test(daemon_known, tells_what_the_source_changed_in_uids_of_the_target)
{
	add("1:10", "101:110", "\\Seen=1:5 work=2");
	known_sort(&k);
	for (uint32_t uid = 1; uid <= 10; uid++)
		now(uid, uid <= 5 ? uid == 2 ? "\\Seen WORK" : "\\Seen" : "");
	cr_expect(!known_has_changes(&k), "names of keywords are alike in any case");
	now(1, "");
	now(2, "\\Seen");
	now(6, "\\Seen \\Flagged");
	now(9, "\\Seen new");
	now(99, "\\Seen");
	cr_expect(known_has_changes(&k));
	cr_expect_str_eq(changes("\\Seen", true), "106,109");
	cr_expect_str_eq(changes("\\Seen", false), "101");
	cr_expect_str_eq(changes("work", false), "102");
	cr_expect_str_eq(changes("\\Flagged", true), "106");
	cr_expect_str_eq(changes("new", true), "109");
	cr_expect_str_eq(changes("work", true), "");
	known_done(&k);
}

Test(daemon_known, a_keyword_may_have_an_equals_sign)
{
	add("1:3", "11:13", "label=x=2:3 a===1");
	known_sort(&k);
	cr_expect_not_null(flag("label=x"));
	cr_expect_not_null(flag("a=="));
	cr_expect_str_eq(printed(), "label=x=2:3 a===1");
	known_done(&k);
}

Test(daemon_known, the_last_word_counts)
{
	add("1:3", "11:13", "\\Seen=1");
	known_sort(&k);
	now(1, "");
	now(2, "\\Seen");
	now(1, "\\Seen");
	now(2, "");
	cr_expect(!known_has_changes(&k));
	known_done(&k);
}

Test(daemon_known, what_was_changed_is_what_was_written_last)
{
	add("1:6", "11:16", "\\Seen=1:3");
	known_sort(&k);
	now(1, "");
	now(5, "\\Seen $Junk");
	cr_assert_eq(known_changed(flag("\\Seen"), true), 0);
	cr_expect_str_eq(changes("\\Seen", false), "11", "the other change is still to be made");
	cr_assert_eq(known_changed(flag("\\Seen"), false), 0);
	cr_expect_str_eq(printed(), "\\Seen=2:3,5");
	cr_assert_eq(known_changed(flag("$Junk"), true), 0);
	cr_expect_str_eq(printed(), "\\Seen=2:3,5 $Junk=5");
	cr_expect(!known_has_changes(&k));
	/* And round again. */
	struct known other = { 0 };
	cr_assert_eq(known_add_flags(&other, span_str(printed())), 0);
	cr_expect_eq(other.flag_n, 2);
	known_done(&other);
	known_done(&k);
}

static const char *tried(void)
{
	static char text[256];
	struct buf b;
	buf_init(&b, sizeof(text));
	cr_assert_eq(known_print_tried(&k, &b), 0);
	cr_assert_eq(buf_add_char(&b, '\0'), 0);
	snprintf(text, sizeof(text), "%s", buf_span(&b).p);
	buf_done(&b);
	return text;
}

/* The target says that the message has changed, and has these flags now. */
static void touched_now(uint32_t target_uid, const char *text)
{
	struct flags f;
	arena_init(&arena, 1 << 16);
	cr_assert_eq(flags_parse(&f, span_str(text), &arena), 0);
	cr_assert_eq(known_touched(&k, target_uid, &f), 0);
	arena_done(&arena);
}

/* The pass after a break: what is known, and what was tried. */
static void recall(const char *source, const char *target, const char *flags, const char *text)
{
	struct uidset targets = { 0 };
	add(source, target, flags);
	known_sort(&k);
	cr_assert_eq(known_tried(&k, span_str(text), &targets), 0);
	uidset_done(&targets);
}

Test(daemon_known, what_was_tried_counts_as_written_where_the_target_shows_it)
{
	struct uidset touched = { 0 };
	char text[256];
	add("1:6", "11:16", "\\Seen=1:3 +=6");
	known_sort(&k);
	for (uint32_t uid = 1; uid <= 6; uid++)
		now(uid, uid <= 2 ? "" : "\\Seen -a+=1");
	snprintf(text, sizeof(text), "%s", tried());
	cr_expect_str_eq(text, "+\\Seen=4:6 -\\Seen=1:2 -+=6 +-a+=1=3:6");
	flag("+")->refused = true;
	cr_expect_str_eq(tried(), "+\\Seen=4:6 -\\Seen=1:2 +-a+=1=3:6");
	cr_assert_eq(known_tried(&k, span_str(text), &touched), 0);
	cr_expect_eq(uidset_count(&touched), 6);
	cr_expect_eq(uidset_max(&touched), 16);
	known_done(&k);
	/* The next pass: of 2 and 6 the target's 12 and 16 have changed since. */
	recall("1:6", "11:16", "\\Seen=1:3 +=6", text);
	touched_now(12, "\\Flagged theirs");
	touched_now(16, "\\Seen -A+=1");
	cr_expect_null(flag("theirs"), "flags that were not tried are nobody's concern");
	cr_assert_eq(known_settle(&k, span_str(text)), 0);
	cr_expect_str_eq(printed(), "\\Seen=1,3,6 -a+=1=6");
	cr_expect_eq(known_settle(&k, SPAN("Seen=1")), PROTO_ERR_SYNTAX);
	cr_expect_eq(known_settle(&k, SPAN("+=1")), PROTO_ERR_SYNTAX);
	cr_expect_eq(known_tried(&k, SPAN("+a=x"), &touched), PROTO_ERR_SYNTAX);
	uidset_done(&touched);
	known_done(&k);
}

Test(daemon_known, a_break_between_two_changes_of_a_message_loses_none)
{
	/* The first STORE came about. */
	recall("1", "11", "", "+work=1 +\\Seen=1");
	touched_now(11, "work");
	cr_assert_eq(known_settle(&k, SPAN("+work=1 +\\Seen=1")), 0);
	cr_expect_str_eq(printed(), "work=1");
	known_done(&k);
	/* None did, and a user changed something else. */
	recall("1", "11", "old=1", "+work=1 -old=1");
	touched_now(11, "\\Flagged old");
	cr_assert_eq(known_settle(&k, SPAN("+work=1 -old=1")), 0);
	cr_expect_str_eq(printed(), "old=1");
	known_done(&k);
}

Test(daemon_known, what_a_user_changed_back_is_not_tried_again)
{
	/* A later STORE came about: so did the earlier ones. Told twice: the second time counts. */
	recall("1:2", "11:12", "old=1:2", "+work=1 -old=1 +\\Seen=1:2");
	touched_now(11, "");
	touched_now(11, "old \\Seen");
	cr_assert_eq(known_settle(&k, SPAN("+work=1 -old=1 +\\Seen=1:2")), 0);
	cr_expect_str_eq(printed(), "old=2 work=1 \\Seen=1");
	known_done(&k);
	/* Half of the messages show the STORE; but it may have been sent in pieces, and 4 be in one that did not arrive. */
	recall("1:6", "11:16", "", "+work=1:4");
	touched_now(11, "");
	touched_now(12, "work");
	touched_now(13, "work");
	touched_now(14, "");
	cr_assert_eq(known_settle(&k, SPAN("+work=1:4")), 0);
	cr_expect_str_eq(printed(), "work=1:3");
	known_done(&k);
	/* Less than half: by chance. */
	recall("1:3", "11:13", "", "+work=1:3");
	touched_now(11, "");
	touched_now(12, "");
	touched_now(13, "work");
	cr_assert_eq(known_settle(&k, SPAN("+work=1:3")), 0);
	cr_expect_str_eq(printed(), "work=3");
	known_done(&k);
}

static bool recalled(void)
{
	struct uidset targets = { 0 };
	struct flags f;
	arena_init(&arena, 1 << 16);
	bool ok = known_tried(&k, SPAN("+x=1 -\\Seen=2"), &targets) == 0 && flags_parse(&f, SPAN("x b"), &arena) == 0 &&
		known_touched(&k, 11, &f) == 0 && known_touched(&k, 12, &f) == 0 && known_settle(&k, SPAN("+x=1 -\\Seen=2")) == 0;
	arena_done(&arena);
	uidset_done(&targets);
	return ok;
}

static bool all(void)
{
	struct flags f;
	bool ok = known_add(&k, SPAN("1:4,9"), SPAN("11:14,2"), SPAN("\\Seen=1:2 a=4"), false) == 0;
	known_sort(&k);
	ok = ok && recalled();
	arena_init(&arena, 1 << 16);
	ok = ok && flags_parse(&f, SPAN("\\Flagged b"), &arena) == 0 && known_compare(&k, 1, &f) == 0 && known_compare(&k, 4, &f) == 0;
	arena_done(&arena);
	for (size_t i = 0; ok && i < k.flag_n; i++)
		ok = known_changed(&k.flag[i], true) == 0 && known_changed(&k.flag[i], false) == 0;
	known_done(&k);
	return ok;
}

Test(daemon_known, survives_every_failing_allocation)
{
	size_t n = 0;
	do {
		failmalloc_arm(++n);
		bool ok = all();
		failmalloc_disarm();
		cr_assert_eq(ok, !failmalloc_fired());
	} while (failmalloc_fired());
	cr_expect_gt(n, 5);
}
