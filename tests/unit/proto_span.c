#include <criterion/criterion.h>
#include <stdlib.h>

#include "err.h"
#include "leaks.h"
#include "span.h"

TestSuite(span, .fini = leaks_check);

/* A copy on the heap without a NUL behind it: a read beyond the end is seen by AddressSanitizer. */
static char *exact(const char *s, struct span *ret)
{
	size_t n = strlen(s);
	char *p = malloc(n != 0 ? n : 1);

	memcpy(p, s, n);
	*ret = span_of(p, n);
	return p;
}

Test(span, eq_nocase_ignores_only_ascii_case)
{
	cr_assert(span_eq_nocase(SPAN("InBoX"), SPAN("INBOX")));
	cr_assert(!span_eq_nocase(SPAN("INBOX"), SPAN("INBO")));
	cr_assert(!span_eq_nocase(SPAN("@"), SPAN("`")));
	cr_assert(!span_eq_nocase(SPAN("["), SPAN("{")));
	cr_assert(!span_eq_nocase(SPAN("\xc3\x84"), SPAN("\xc3\xa4")));
	cr_assert(span_eq_nocase(SPAN_NONE, SPAN("")));
	cr_assert(span_eq_nocase(SPAN_NONE, SPAN_NONE));
	cr_assert(!span_eq_nocase(SPAN_NONE, SPAN("a")));
	cr_assert(span_eq(SPAN_NONE, SPAN("")));
	cr_assert(!span_eq(SPAN("a"), SPAN("A")));
}

Test(span, starts_nocase)
{
	cr_assert(span_starts_nocase(SPAN("inbox.a"), SPAN("INBOX.")));
	cr_assert(span_starts_nocase(SPAN("INBOX"), SPAN("INBOX")));
	cr_assert(!span_starts_nocase(SPAN("INBO"), SPAN("INBOX")));
	cr_assert(!span_starts_nocase(SPAN("XINBOX"), SPAN("INBOX")));
	cr_assert(span_starts_nocase(SPAN("a"), SPAN_NONE));
	cr_assert(span_starts_nocase(SPAN_NONE, SPAN_NONE));
	cr_assert(!span_starts_nocase(SPAN_NONE, SPAN("a")));
}

Test(span, cmp_is_memcmp_order)
{
	cr_assert(span_cmp(SPAN("a"), SPAN("b")) < 0);
	cr_assert(span_cmp(SPAN("b"), SPAN("a")) > 0);
	cr_assert(span_cmp(SPAN("a"), SPAN("ab")) < 0);
	cr_assert(span_cmp(SPAN("ab"), SPAN("a")) > 0);
	cr_assert(span_cmp(SPAN("b"), SPAN("ab")) > 0);
	cr_assert(span_cmp(SPAN("\x7f"), SPAN("\x80")) < 0);
	cr_assert_eq(span_cmp(SPAN("ab"), SPAN("ab")), 0);
	cr_assert_eq(span_cmp(SPAN_NONE, SPAN("")), 0);
	cr_assert(span_cmp(SPAN_NONE, SPAN("a")) < 0);
	cr_assert(span_cmp(SPAN("a"), SPAN_NONE) > 0);
}

Test(span, parts)
{
	cr_assert(span_eq(span_from(SPAN("abc"), 0), SPAN("abc")));
	cr_assert(span_eq(span_from(SPAN("abc"), 2), SPAN("c")));
	cr_assert_eq(span_from(SPAN("abc"), 3).n, 0);
	cr_assert_eq(span_from(SPAN("abc"), SIZE_MAX).n, 0);
	cr_assert_eq(span_from(SPAN_NONE, 0).n, 0);
	cr_assert_eq(span_from(SPAN_NONE, 1).n, 0);
	cr_assert(span_eq(span_first(SPAN("abc"), 2), SPAN("ab")));
	cr_assert(span_eq(span_first(SPAN("abc"), SIZE_MAX), SPAN("abc")));
	cr_assert_eq(span_first(SPAN("abc"), 0).n, 0);
	cr_assert_eq(span_first(SPAN_NONE, 4).n, 0);
	cr_assert_eq(span_str(NULL).n, 0);
	cr_assert(span_eq(span_str("xy"), SPAN("xy")));
}

Test(span, trim_takes_blanks_and_tabs_alone)
{
	cr_assert(span_eq(span_trim(SPAN(" \ta b\t ")), SPAN("a b")));
	cr_assert(span_eq(span_trim(SPAN("\r a\n")), SPAN("\r a\n")));
	cr_assert_eq(span_trim(SPAN(" \t ")).n, 0);
	cr_assert_eq(span_trim(SPAN_NONE).n, 0);
}

Test(span, find_and_search)
{
	struct span s, what;
	char *p = exact("* BYE Too Many Connections", &s), *q;

	cr_assert_eq(span_find(s, '*'), 0);
	cr_assert_eq(span_find(s, 's'), s.n - 1);
	cr_assert_eq(span_find(s, 'z'), SIZE_MAX);
	cr_assert_eq(span_find(s, '\0'), SIZE_MAX);
	cr_assert_eq(span_find(SPAN_NONE, 'a'), SIZE_MAX);
	cr_assert_eq(span_search_nocase(s, SPAN("too many")), 6);
	cr_assert_eq(span_search_nocase(s, SPAN("CONNECTIONS")), 15);
	cr_assert_eq(span_search_nocase(s, SPAN("CONNECTIONSX")), SIZE_MAX);
	cr_assert_eq(span_search_nocase(s, SPAN("o many t")), SIZE_MAX);
	cr_assert_eq(span_search_nocase(s, SPAN("* bye")), 0);
	cr_assert_eq(span_search_nocase(s, SPAN_NONE), 0);
	cr_assert_eq(span_search_nocase(SPAN_NONE, SPAN_NONE), 0);
	cr_assert_eq(span_search_nocase(SPAN_NONE, SPAN("a")), SIZE_MAX);
	cr_assert_eq(span_search_nocase(SPAN("aab"), SPAN("ab")), 1);
	q = exact("* BYE Too Many Connections", &what);
	cr_assert_eq(span_search_nocase(s, what), 0);
	free(p);
	free(q);
}

Test(span, numbers)
{
	uint32_t a = 7;
	uint64_t b = 7;
	struct span s;
	char *p;

	cr_assert(span_to_u32(SPAN("0"), &a) && a == 0);
	cr_assert(span_to_u32(SPAN("4294967295"), &a) && a == UINT32_MAX);
	cr_assert(span_to_u32(SPAN("0004294967295"), &a) && a == UINT32_MAX);
	cr_assert(span_to_u64(SPAN("18446744073709551615"), &b) && b == UINT64_MAX);
	p = exact("12", &s);
	cr_assert(span_to_u32(s, &a) && a == 12);
	free(p);
	a = 7;
	b = 7;
	cr_assert(!span_to_u32(SPAN("4294967296"), &a));
	cr_assert(!span_to_u32(SPAN("42949672950"), &a));
	cr_assert(!span_to_u64(SPAN("18446744073709551616"), &b));
	cr_assert(!span_to_u64(SPAN("99999999999999999999999999999999"), &b));
	for (const char *const *bad = (const char *const[]){ "", "-1", "+1", " 1", "1 ", "1a", "/", ":", "\xb2", NULL };
	     *bad != NULL; bad++) {
		cr_assert(!span_to_u32(span_str(*bad), &a), "%s", *bad);
		cr_assert(!span_to_u64(span_str(*bad), &b), "%s", *bad);
	}
	cr_assert(!span_to_u32(SPAN_NONE, &a));
	cr_assert(!span_to_u32(SPAN("1\0"), &a));
	cr_assert_eq(a, 7);
	cr_assert_eq(b, 7);
}

Test(err, every_error_has_words)
{
	cr_assert_str_eq(proto_strerror(PROTO_ERR_NOMEM), "out of memory");
	cr_assert_str_eq(proto_strerror(PROTO_ERR_NAME), "the name cannot be expressed on this server");
	cr_assert_str_eq(proto_strerror(0), "no error");
	cr_assert_str_eq(proto_strerror(1), "unknown error");
	cr_assert_str_eq(proto_strerror(-1000), "unknown error");
}
