#include <criterion/criterion.h>
#include <stdlib.h>

#include "err.h"
#include "leaks.h"
#include "repair.h"

TestSuite(daemon_repair, .fini = leaks_check);

#define ALL (REPAIR_NEWLINES | REPAIR_NUL | REPAIR_LINES | REPAIR_END)

/* Cut at every byte, and whole: always the same. */
static void expect(unsigned kinds, struct span in, struct span out, unsigned done)
{
	for (size_t cut = 0; cut <= in.n; cut++) {
		struct repair r;
		struct buf b;

		buf_init(&b, 1u << 20);
		repair_begin(&r, kinds);
		cr_assert_eq(repair_add(&r, span_first(in, cut), &b), 0);
		cr_assert_eq(repair_add(&r, span_from(in, cut), &b), 0);
		cr_assert_eq(repair_end(&r, &b), 0);
		cr_expect(span_eq(buf_span(&b), out), "cut at %zu: <%.*s>", cut, SPAN_ARG(buf_span(&b)));
		cr_expect_eq(r.done, done, "cut at %zu: %u", cut, r.done);
		buf_done(&b);
	}
}

Test(daemon_repair, what_is_right_stays)
{
	expect(ALL, SPAN("Subject: a\r\n\r\nb\r\n"), SPAN("Subject: a\r\n\r\nb\r\n"), 0);
	expect(ALL, SPAN("\r\n"), SPAN("\r\n"), 0);
	expect(ALL, SPAN(""), SPAN(""), 0);
	expect(0, SPAN("a\rb\nc\0d\r\ne\r"), SPAN("a\rb\nc\0d\r\ne\r"), 0);
}

Test(daemon_repair, bare_newlines)
{
	expect(REPAIR_NEWLINES, SPAN("a\nb\rc\r\nd\n\re\r\r\nf"), SPAN("a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf"), REPAIR_NEWLINES);
	expect(REPAIR_NEWLINES, SPAN("a\r"), SPAN("a\r\n"), REPAIR_NEWLINES);
	expect(REPAIR_NEWLINES, SPAN("\n"), SPAN("\r\n"), REPAIR_NEWLINES);
}

Test(daemon_repair, nul_bytes)
{
	expect(REPAIR_NUL, SPAN("\0a\0\0b\r\0\nc\0"), SPAN("ab\r\nc"), REPAIR_NUL);
	expect(REPAIR_NUL, SPAN("a\nb"), SPAN("a\nb"), 0);
}

Test(daemon_repair, the_line_end_that_is_missing)
{
	expect(REPAIR_END, SPAN("a"), SPAN("a\r\n"), REPAIR_END);
	expect(REPAIR_END, SPAN("a\r\n"), SPAN("a\r\n"), 0);
	expect(REPAIR_END, SPAN("a\n"), SPAN("a\n\r\n"), REPAIR_END);
	expect(REPAIR_END | REPAIR_NEWLINES, SPAN("a\n"), SPAN("a\r\n"), REPAIR_NEWLINES);
	expect(REPAIR_END | REPAIR_NEWLINES, SPAN("a\r"), SPAN("a\r\n"), REPAIR_NEWLINES);
	expect(REPAIR_END, SPAN(""), SPAN(""), 0);
}

Test(daemon_repair, long_lines)
{
	static char in[3002], out[3010];

	for (int n = 997; n <= 999; n++) {
		size_t at = (size_t)n;

		memset(in, 'x', sizeof(in));
		memcpy(in + n, "\r\n", 2);
		memcpy(out, in, sizeof(in));
		if (n == 999) {
			memcpy(out + 998, "\r\nx\r\n", 5);
			at += 2;
		}
		expect(ALL, span_of(in, (size_t)n + 2), span_of(out, at + 2), n == 999 ? REPAIR_LINES : 0);
	}
	memset(in, 'x', sizeof(in));
	memset(out, 'x', sizeof(out));
	memcpy(out + 998, "\r\n", 2);
	memcpy(out + 1998, "\r\n", 2);
	memcpy(out + 2998, "\r\n", 2);
	expect(REPAIR_LINES, span_of(in, 3000), span_of(out, 3006), REPAIR_LINES);
	/* Not cut when it is not asked for. */
	expect(REPAIR_END, span_of(in, 3000), span_of((memset(out, 'x', 3000), memcpy(out + 3000, "\r\n", 2), out), 3002), REPAIR_END);
}

Test(daemon_repair, no_room)
{
	struct repair r;
	struct buf b;

	buf_init(&b, 3);
	repair_begin(&r, ALL);
	cr_expect_eq(repair_add(&r, SPAN("abc"), &b), 0);
	cr_expect_eq(repair_add(&r, SPAN("\n"), &b), PROTO_ERR_CAP);
	cr_expect_eq(repair_end(&r, &b), 0);
	buf_done(&b);
}

Test(daemon_repair, words)
{
	char text[200], small[8];

	cr_expect_eq(repair_for(SPAN("NO Message contains bare newlines")), REPAIR_NEWLINES);
	cr_expect_eq(repair_for(SPAN("NO Message contains NUL characters")), REPAIR_NUL);
	cr_expect_eq(repair_for(SPAN("BAD line too long, and a null byte")), REPAIR_LINES | REPAIR_NUL);
	cr_expect_eq(repair_for(SPAN("BAD Command Argument Error. 11")), REPAIR_LINES);
	cr_expect_eq(repair_for(SPAN("NO the result is null and void")), 0);
	cr_expect_eq(repair_for(SPAN("NO Message contains invalid header")), 0);
	cr_expect_eq(repair_for(SPAN("NO Invalid flag in Append command")), 0);
	cr_expect(repair_is_about_flags(SPAN("NO Invalid flag in Append command")));
	cr_expect(repair_is_about_flags(SPAN("NO [LIMIT] Too many keywords")));
	cr_expect(!repair_is_about_flags(SPAN("NO Message contains bare newlines")));
	repair_words(REPAIR_NUL | REPAIR_END, text, sizeof(text));
	cr_expect_str_eq(text, "NUL bytes were taken out; the line end that was missing was added");
	repair_words(ALL, small, sizeof(small));
	cr_expect_str_eq(small, "bare ne");
	repair_words(0, text, sizeof(text));
	cr_expect_str_eq(text, "");
}
