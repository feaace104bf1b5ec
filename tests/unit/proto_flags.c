#include <criterion/criterion.h>

#include "err.h"
#include "failmalloc.h"
#include "flags.h"
#include "leaks.h"

static struct arena arena;

static void set_up(void)
{
	arena_init(&arena, 1 << 16);
}

static void tear_down(void)
{
	arena_done(&arena);
	leaks_check();
}

TestSuite(flags, .init = set_up, .fini = tear_down);

static struct flags parsed(const char *text)
{
	struct flags f;

	cr_assert_eq(flags_parse(&f, span_str(text), &arena), 0, "%s", text);
	return f;
}

static void assert_text(const struct flags *f, const char *text)
{
	struct buf b = { .cap = 10000 };

	cr_assert_eq(buf_add_char(&b, '('), 0);
	cr_assert_eq(flags_print(&b, f), 0);
	cr_assert(span_eq(span_from(buf_span(&b), 1), span_str(text)), "%.*s, not (%s", SPAN_ARG(buf_span(&b)), text);
	buf_done(&b);
}

static void assert_canonical(const char *text, const char *canonical)
{
	struct flags f = parsed(text), again;

	assert_text(&f, canonical);
	again = parsed(canonical);
	assert_text(&again, canonical);
	cr_assert_eq(again.system, f.system);
	cr_assert_eq(again.keyword_n, f.keyword_n);
}

Test(flags, equal_sets_give_equal_bytes)
{
	assert_canonical("", "");
	assert_canonical("   ", "");
	assert_canonical("\\Seen", "\\Seen");
	assert_canonical("\\SEEN \\answered \\dElEtEd \\Flagged \\Draft \\Seen",
			 "\\Answered \\Deleted \\Draft \\Flagged \\Seen");
	assert_canonical("b a c \\Seen", "\\Seen a b c");
	assert_canonical("B a $C", "$C a B");
	assert_canonical("  a\t  \\Seen  ", "\\Seen a");
	assert_canonical("\\Recent a", "a");
	assert_canonical("ab a abc", "a ab abc");
	assert_canonical("NonJunk $MDNSent foo:bar a/b x.y 'z' [gmail", "$MDNSent 'z' [gmail a/b foo:bar NonJunk x.y");
}

Test(flags, one_of_keywords_alike_stays_whatever_the_order)
{
	assert_canonical("$mdnsent $MDNSent $MDNsent", "$MDNSent");
	assert_canonical("$MDNSent $mdnsent $MDNsent", "$MDNSent");
	assert_canonical("a A b B c", "A B c");
}

Test(flags, keywords_point_into_the_text)
{
	const char *text = "z \\Seen y";
	struct flags f = parsed(text);

	cr_assert_eq(f.keyword_n, 2);
	cr_assert_eq(f.keywords[0].p, text + 8);
	cr_assert_eq(f.keywords[1].p, text);
	cr_assert_eq(f.system, FLAG_SEEN);
}

Test(flags, counts_what_it_drops)
{
	struct flags f = parsed("\\Recent \\Seen \\Junk \\XYZ \\Recent a \x62\xc3\xa4 x]y");

	cr_assert_eq(f.unknown, 4);
	cr_assert(!f.any_keyword);
	assert_text(&f, "\\Seen a");
	f = parsed("\\RECENT");
	cr_assert_eq(f.unknown, 0);
	f = parsed("\\Seen \\*");
	cr_assert(f.any_keyword);
	cr_assert_eq(f.unknown, 0);
	cr_assert_eq(f.system, FLAG_SEEN);
}

/* A server's odd keyword must not cost the message that has it. */
Test(flags, what_no_flag_can_be_is_unknown)
{
	static const char *const bad[] = {
		"(", ")", "a(b", "a)b", "a{3}", "\"a\"", "a%", "*", "a*", "\\**", "\\", "\\ a", "a\\",
		"a\\b", "\\a\\b", "\\Seen)", "a\rb", "a\nb", "\x01", "a\x7f", "\\Se(n", "\\Seen\x1f",
	};
	struct flags f = { .system = 99 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		cr_assert_eq(flags_parse(&f, span_str(bad[i]), &arena), 0, "%s", bad[i]);
		cr_assert(f.unknown > 0 && f.system == 0, "%s", bad[i]);
	}
	cr_assert_eq(flags_parse(&f, SPAN("a\0b"), &arena), 0);
	cr_assert_eq(f.unknown, 1);
	cr_assert_eq(flags_parse(&f, SPAN("ok \0"), &arena), 0);
	cr_assert_eq(f.unknown, 1);
	cr_assert_eq(f.keyword_n, 1);
	cr_assert_eq(flags_parse(&f, SPAN_NONE, &arena), 0);
	cr_assert_eq(f.system, 0);
	cr_assert_eq(f.keywords, NULL);
}

Test(flags, limits)
{
	struct flags f = { .system = 99 };
	struct buf b = { .cap = 8 };
	struct arena small;

	arena_init(&small, 2 * sizeof(struct span));
	cr_assert_eq(flags_parse(&f, SPAN("a b c"), &small), PROTO_ERR_CAP);
	cr_assert_eq(f.system, 99);
	failmalloc_arm(1);
	cr_assert_eq(flags_parse(&f, SPAN("a b"), &small), PROTO_ERR_NOMEM);
	failmalloc_disarm();
	cr_assert_eq(f.system, 99);
	cr_assert_eq(small.used, 0);
	cr_assert_eq(flags_parse(&f, SPAN("a b \\Seen"), &small), 0);
	failmalloc_arm(1);
	cr_assert_eq(flags_print(&b, &f), PROTO_ERR_NOMEM);
	failmalloc_disarm();
	cr_assert_eq(flags_print(&b, &f), PROTO_ERR_CAP);
	cr_assert_eq(b.n, 0);
	buf_done(&b);
	b.cap = 9;
	cr_assert_eq(flags_print(&b, &f), 0);
	cr_assert(span_eq(buf_span(&b), SPAN("\\Seen a b")));
	buf_done(&b);
	arena_done(&small);
}

Test(flags, restrict_to_permanent_flags)
{
	static const struct {
		const char *flags, *permanent, *left;
		size_t gone;
	} rows[] = {
		{ "\\Seen \\Draft a b", "\\Seen \\Draft \\*", "\\Draft \\Seen a b", 0 },
		{ "\\Seen \\Draft a b", "\\Seen a b", "\\Seen a b", 1 },
		{ "\\Seen \\Draft a b c", "\\Seen \\Answered C A", "\\Seen a c", 2 },
		{ "\\Seen a b c", "b", "b", 3 },
		{ "\\Seen a b", "", "", 3 },
		{ "\\Seen a b", "x aa 0", "", 3 },
		{ "", "\\Seen a \\*", "", 0 },
		{ "a b", "\\Seen \\*", "a b", 0 },
		{ "$MDNSent", "$mdnsent", "$MDNSent", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flags f = parsed(rows[i].flags), permanent = parsed(rows[i].permanent);

		cr_assert_eq(flags_restrict(&f, &permanent, &arena), rows[i].gone, "row %zu", i);
		assert_text(&f, rows[i].left);
	}
}

Test(flags, restrict_without_memory_changes_nothing)
{
	struct flags f = parsed("\\Seen a b c"), permanent = parsed("a c");
	struct arena none;

	arena_init(&none, 1000);
	failmalloc_arm(1);
	cr_assert_eq(flags_restrict(&f, &permanent, &none), SIZE_MAX);
	failmalloc_disarm();
	assert_text(&f, "\\Seen a b c");
	arena_done(&none);
	none.cap = 8;
	cr_assert_eq(flags_restrict(&f, &permanent, &none), SIZE_MAX);
	assert_text(&f, "\\Seen a b c");
	cr_assert_eq(flags_restrict(&f, &permanent, &arena), 2);
	assert_text(&f, "a c");
	arena_done(&none);
}
