#include "cmd.h"

#include <criterion/criterion.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(proto_cmd, .fini = leaks_check);

#define CAP 8192

static void assert_text(const struct cmd *c, struct span want)
{
	struct span got = buf_span(&c->text);

	cr_assert(span_eq(got, want), "\"%.*s\" instead of \"%.*s\"", SPAN_ARG(got), SPAN_ARG(want));
}

static void assert_mark(const struct cmd *c, size_t i, enum cmd_mark_kind kind, size_t at, uint64_t size)
{
	cr_assert_lt(i, c->mark_n);
	cr_assert_eq(c->mark[i].kind, kind);
	cr_assert_eq(c->mark[i].at, at);
	cr_assert_eq(c->mark[i].size, size);
}

static void astring_is(enum literal_mode mode, struct span in, struct span want, size_t marks)
{
	struct cmd c;

	cmd_init(&c, CAP, mode);
	cr_assert_eq(cmd_astring(&c, in), 0);
	assert_text(&c, want);
	cr_assert_eq(c.mark_n, marks);
	cmd_done(&c);
}

Test(proto_cmd, astring_is_an_atom_where_every_server_takes_one)
{
	astring_is(LITERAL_SYNC, SPAN("INBOX"), SPAN("INBOX"), 0);
	astring_is(LITERAL_SYNC, SPAN("a"), SPAN("a"), 0);
	astring_is(LITERAL_SYNC, SPAN("Sent/2024_x-y.z&AOk-,+=:"), SPAN("Sent/2024_x-y.z&AOk-,+=:"), 0);
	astring_is(LITERAL_SYNC, SPAN("NILS"), SPAN("NILS"), 0);
}

Test(proto_cmd, astring_is_quoted_where_an_atom_could_be_misread)
{
	astring_is(LITERAL_SYNC, SPAN(""), SPAN("\"\""), 0);
	astring_is(LITERAL_SYNC, SPAN("nil"), SPAN("\"nil\""), 0);
	astring_is(LITERAL_SYNC, SPAN("2024"), SPAN("\"2024\""), 0);
	astring_is(LITERAL_SYNC, SPAN("[Gmail]/Sent"), SPAN("\"[Gmail]/Sent\""), 0);
	astring_is(LITERAL_SYNC, SPAN("a b"), SPAN("\"a b\""), 0);
	astring_is(LITERAL_SYNC, SPAN("*"), SPAN("\"*\""), 0);
	astring_is(LITERAL_SYNC, SPAN("a{3}"), SPAN("\"a{3}\""), 0);
	astring_is(LITERAL_SYNC, SPAN("a\"b\\c"), SPAN("\"a\\\"b\\\\c\""), 0);
	astring_is(LITERAL_SYNC, SPAN("a\tb"), SPAN("\"a\tb\""), 0);
}

Test(proto_cmd, astring_is_a_literal_for_what_cannot_be_quoted)
{
	struct cmd c;

	astring_is(LITERAL_PLUS, SPAN("a\r\nb"), SPAN("{4+}\r\na\r\nb"), 0);
	astring_is(LITERAL_MINUS, SPAN("\xc3\xa9"), SPAN("{2+}\r\n\xc3\xa9"), 0);
	cmd_init(&c, CAP, LITERAL_SYNC);
	cr_assert_eq(cmd_str(&c, "x "), 0);
	cr_assert_eq(cmd_astring(&c, SPAN("a\nb")), 0);
	assert_text(&c, SPAN("x {3}\r\na\nb"));
	cr_assert_eq(c.mark_n, 1);
	assert_mark(&c, 0, CMD_WAIT, 7, 0);
	cmd_done(&c);
}

Test(proto_cmd, utf8_is_quoted_only_where_that_is_enabled_and_valid)
{
	struct cmd c;

	cmd_init(&c, CAP, LITERAL_PLUS);
	c.utf8_quoted = true;
	cr_assert_eq(cmd_astring(&c, SPAN("\xc3\xa9")), 0);
	cr_assert_eq(cmd_astring(&c, SPAN("\xe9")), 0);
	assert_text(&c, SPAN("\"\xc3\xa9\"{1+}\r\n\xe9"));
	cmd_done(&c);
}

Test(proto_cmd, nul_is_refused_and_adds_nothing)
{
	struct cmd c;

	cmd_init(&c, CAP, LITERAL_PLUS);
	cr_assert_eq(cmd_str(&c, "x"), 0);
	cr_assert_eq(cmd_astring(&c, SPAN("a\0b")), PROTO_ERR_SYNTAX);
	assert_text(&c, SPAN("x"));
	cmd_done(&c);
}

static void body_is(enum literal_mode mode, uint64_t sync_above, uint64_t size, bool binary, const char *want, bool waits)
{
	struct cmd c;
	size_t at = strlen(want);

	cmd_init(&c, CAP, mode);
	c.sync_above = sync_above;
	cr_assert_eq(cmd_body(&c, size, binary), 0);
	assert_text(&c, span_str(want));
	cr_assert_eq(c.mark_n, waits ? 2 : 1);
	if (waits)
		assert_mark(&c, 0, CMD_WAIT, at, 0);
	assert_mark(&c, waits ? 1 : 0, CMD_BODY, at, size);
	cmd_done(&c);
}

Test(proto_cmd, body_waits_as_the_mode_and_the_size_want_it)
{
	body_is(LITERAL_SYNC, UINT64_MAX, 5, false, " {5}\r\n", true);
	body_is(LITERAL_SYNC, UINT64_MAX, 0, false, " {0}\r\n", true);
	body_is(LITERAL_MINUS, UINT64_MAX, 4096, false, " {4096+}\r\n", false);
	body_is(LITERAL_MINUS, UINT64_MAX, 4097, false, " {4097}\r\n", true);
	body_is(LITERAL_PLUS, UINT64_MAX, UINT64_MAX, false, " {18446744073709551615+}\r\n", false);
	body_is(LITERAL_PLUS, 1000, 1000, false, " {1000+}\r\n", false);
	body_is(LITERAL_PLUS, 1000, 1001, false, " {1001}\r\n", true);
	body_is(LITERAL_PLUS, UINT64_MAX, 7, true, " ~{7+}\r\n", false);
	body_is(LITERAL_SYNC, UINT64_MAX, 7, true, " ~{7}\r\n", true);
}

Test(proto_cmd, cap_is_kept_and_what_does_not_fit_leaves_no_trace)
{
	struct cmd c;

	cmd_init(&c, 8, LITERAL_SYNC);
	cr_assert_eq(cmd_text(&c, SPAN("12345678")), 0);
	cr_assert_eq(cmd_text(&c, SPAN("9")), PROTO_ERR_CAP);
	cmd_done(&c);
	for (size_t cap = 1; cap < 7; cap++) {
		cmd_init(&c, cap, LITERAL_SYNC);
		cr_assert_eq(cmd_astring(&c, SPAN("a\nb")), PROTO_ERR_CAP);
		cr_assert_eq(c.text.n, 0);
		cr_assert_eq(c.mark_n, 0);
		cr_assert_eq(cmd_astring(&c, SPAN("a b c d")), PROTO_ERR_CAP);
		cr_assert_eq(c.text.n, 0);
		cr_assert_eq(cmd_body(&c, 12345, true), PROTO_ERR_CAP);
		cr_assert_eq(c.text.n, 0);
		cr_assert_eq(c.mark_n, 0);
		cmd_done(&c);
	}
}

/* The examples were made with base64(1). */
Test(proto_cmd, plain_message_in_base64)
{
	static const struct {
		struct span behalf, user, password;
		const char *want;
	} table[] = {
		{ SPAN("ann"), SPAN("boss"), SPAN("secret"), "YW5uAGJvc3MAc2VjcmV0" },
		{ SPAN("ann"), SPAN("boss"), SPAN("secret!"), "YW5uAGJvc3MAc2VjcmV0IQ==" },
		{ SPAN("ann"), SPAN("boss"), SPAN("secret!!"), "YW5uAGJvc3MAc2VjcmV0ISE=" },
		{ SPAN(""), SPAN("tim"), SPAN("tanstaaftanstaaf"), "AHRpbQB0YW5zdGFhZnRhbnN0YWFm" }, /* RFC 4616 section 4, first */
		{ SPAN("\xc3\xbc"), SPAN(""), SPAN("\xff"), "w7wAAP8=" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct cmd c;

		cmd_init(&c, CAP, LITERAL_SYNC);
		cr_assert_eq(cmd_str(&c, "x "), 0);
		cr_assert_eq(cmd_plain(&c, table[i].behalf, table[i].user, table[i].password), 0);
		cr_assert(span_eq(span_from(buf_span(&c.text), 2), span_str(table[i].want)), "%.*s", SPAN_ARG(buf_span(&c.text)));
		cr_assert_eq(c.secret_from, 2);
		cr_assert_eq(c.secret_to, c.text.n);
		cmd_done(&c);
	}
}

Test(proto_cmd, plain_message_is_whole_or_not_at_all)
{
	struct cmd c;

	cmd_init(&c, 24, LITERAL_SYNC);
	cr_assert_eq(cmd_str(&c, "x "), 0);
	cr_assert_eq(cmd_plain(&c, SPAN("ann"), SPAN("bo\0s"), SPAN("secret")), PROTO_ERR_SYNTAX);
	cr_assert_eq(cmd_plain(&c, SPAN("a\0n"), SPAN("boss"), SPAN("secret")), PROTO_ERR_SYNTAX);
	cr_assert_eq(cmd_plain(&c, SPAN("ann"), SPAN("boss"), SPAN("secre\0")), PROTO_ERR_SYNTAX);
	cr_assert_eq(cmd_plain(&c, SPAN("ann"), SPAN("boss"), SPAN("secret!")), PROTO_ERR_CAP);
	assert_text(&c, SPAN("x "));
	cr_assert_eq(c.secret_from, c.secret_to);
	/* The end of the line fits behind it. */
	cr_assert_eq(cmd_plain(&c, SPAN("ann"), SPAN("boss"), SPAN("secret")), 0);
	cr_assert_eq(cmd_str(&c, "\r\n"), 0);
	cmd_done(&c);
}

Test(proto_cmd, redacted_shows_no_secret_and_no_control_bytes)
{
	struct cmd c;
	struct buf out;

	cmd_init(&c, CAP, LITERAL_SYNC);
	cr_assert_eq(cmd_str(&c, "g1 LOGIN ann "), 0);
	c.secret_from = c.text.n;
	cr_assert_eq(cmd_str(&c, "hunter2"), 0);
	c.secret_to = c.text.n;
	cr_assert_eq(cmd_str(&c, " \x1b[2J\x7f"), 0);
	cr_assert_eq(cmd_body(&c, 10, false), 0);
	cr_assert_eq(cmd_str(&c, "\r\n"), 0);
	buf_init(&out, CAP);
	cr_assert_eq(buf_add_str(&out, "> "), 0);
	cr_assert_eq(cmd_redacted(&c, &out), 0);
	cr_assert(span_eq(buf_span(&out), SPAN("> g1 LOGIN ann *** ?[2J? {10}")), "%.*s", SPAN_ARG(buf_span(&out)));
	buf_done(&out);
	buf_init(&out, 5);
	cr_assert_eq(cmd_redacted(&c, &out), PROTO_ERR_CAP);
	cr_assert_eq(out.n, 0);
	buf_done(&out);
	cmd_done(&c);
	cmd_done(&c); /* nothing is left to be freed */
}

static int build(struct cmd *c)
{
	int err = cmd_astring(c, SPAN("a\nb"));

	if (err == 0)
		err = cmd_astring(c, SPAN("c d"));
	for (int i = 0; i < 5 && err == 0; i++)
		err = cmd_body(c, 9, false);
	return err;
}

Test(proto_cmd, every_allocation_may_fail)
{
	size_t n = 0;

	do {
		struct cmd c;
		int err;

		cmd_init(&c, CAP, LITERAL_SYNC);
		failmalloc_arm(++n);
		err = build(&c);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		if (err != 0) {
			/* No half announcement: each mark still stands at the end of one. */
			for (size_t i = 0; i < c.mark_n; i++)
				cr_assert_eq(c.text.p[c.mark[i].at - 1], '\n');
			cr_assert(c.mark_n == 0 || c.mark[c.mark_n - 1].kind == CMD_BODY || c.mark_n == 1);
		}
		cmd_done(&c);
	} while (failmalloc_fired());
	cr_assert_gt(n, 3);
}
