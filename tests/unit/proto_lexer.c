#include "lexer.h"

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(proto_lexer, .fini = leaks_check);

/* A lexer over a copy of the very size of the text. */
struct fixture {
	struct arena arena;
	struct lexer l;
	char *copy;
};

static void open_bytes(struct fixture *f, struct span s, size_t streamed)
{
	f->copy = malloc(s.n + (s.n == 0));
	cr_assert(f->copy != NULL);
	if (s.n > 0)
		memcpy(f->copy, s.p, s.n);
	arena_init(&f->arena, 4096);
	lexer_init(&f->l, span_of(f->copy, s.n), streamed, &f->arena);
}

static void open_text(struct fixture *f, const char *text)
{
	open_bytes(f, span_str(text), SIZE_MAX);
}

static void done(struct fixture *f)
{
	arena_done(&f->arena);
	free(f->copy);
}

/* All tokens up to the end as text: a<atom> q<quoted> l<literal> s n ( ) . and !err, with '|' between. */
static void tokens(struct fixture *f, bool items, char *ret, size_t size)
{
	static const char letters[] = { '.', 'a', 'q', 'l', 's', 'n', '(', ')' };
	struct token t;
	size_t n = 0;

	for (;;) {
		int err = items ? lexer_item(&f->l, &t) : lexer_next(&f->l, &t);
		if (err != 0) {
			snprintf(ret + n, size - n, "!%d", err);
			return;
		}
		bool texted = t.kind == TOKEN_ATOM || t.kind == TOKEN_QUOTED || t.kind == TOKEN_LITERAL;
		n += (size_t)snprintf(ret + n, size - n, "%c%.*s%s", letters[t.kind], texted ? (int)t.text.n : 0,
			texted ? t.text.p : "", t.kind == TOKEN_END ? "" : "|");
		cr_assert_lt(n, size);
		if (t.kind == TOKEN_END)
			return;
	}
}

struct sample {
	const char *in, *out;
};

static void samples_check(const struct sample *s, size_t n, bool items)
{
	char out[512];

	for (size_t i = 0; i < n; ++i) {
		struct fixture f;
		open_text(&f, s[i].in);
		tokens(&f, items, out, sizeof(out));
		cr_expect_str_eq(out, s[i].out, "\"%s\": \"%s\" and not \"%s\"", s[i].in, out, s[i].out);
		done(&f);
	}
}

Test(proto_lexer, tokens)
{
	static const struct sample samples[] = {
		{ "", "." },
		{ "\r\n", "." },
		{ "\n", "." },
		{ "  \r\n", "." },
		{ "\r", "." },
		{ "a b\r\n", "aa|ab|." },
		{ "a b\n", "aa|ab|." },
		{ "a b", "aa|ab|." },
		{ "a  b  \r\n", "aa|ab|." },
		{ "(a)b()", "(|aa|)|ab|(|)|." },
		{ "\\Seen \\* $a %*]~x", "a\\Seen|a\\*|a$a|a%*]~x|." },
		{ "NIL nil Nil NILS \"NIL\"", "n|n|n|aNILS|qNIL|." },
		{ "123 0 1:5,*", "a123|a0|a1:5,*|." },
		{ "caf\303\251", "acaf\303\251|." },
		{ "\"\" \"a b\" \"(\"", "q|qa b|q(|." },
		{ "\"\\\\\" \"\\\"\" \"a\\\"b\\\\c\"", "q\\|q\"|qa\"b\\c|." },
		{ "\"a\\b\" \"\\Seen\"", "qa\\b|q\\Seen|." },
		{ "\"a\\\\\\\"b\"x", "qa\\\"b|ax|." },
		{ "a\"b\"c", "aa|qb|ac|." },
		{ "\"open\r\n", "!-3" },
		{ "\"", "!-3" },
		{ "\"\\\"\r\n", "!-3" },
		{ "\"a\\", "!-3" },
		{ "a\001b", "aa|!-3" },
		{ "a\177", "aa|!-3" },
		{ "a\tb", "aa|!-3" },
		{ "a\rb", "aa|!-3" },
		{ "a[b c]", "aa[b|ac]|." },
	};

	samples_check(samples, sizeof(samples) / sizeof(samples[0]), false);
}

Test(proto_lexer, literals)
{
	static const struct sample samples[] = {
		{ "{3}\r\na\nb c\r\n", "la\nb|ac|." },
		{ "{3}\na b\n", "la b|." },
		{ "{0}\r\n\r\n", "l|." },
		{ "{3}\r\nabc", "labc|." },
		{ "{3+}\r\nabc", "labc|." },
		{ "~{3}\r\nabc)", "labc|)|." },
		{ "({2}\r\n() {1}\r\n\")", "(|l()|l\"|)|." },
		{ "{1}\r\na{1}\r\nb", "la|lb|." },
		{ "\"a\"{1}\r\nb", "qa|lb|." },
		{ "x]{1}\r\nb y>{1}\r\nc", "ax]|lb|ay>|lc|." },
		{ "{4}\r\nabc", "!-3" },
		{ "{18446744073709551615}\r\nabc", "!-3" },
		{ "{18446744073709551616}\r\nabc", "!-3" },
		{ "{99999999999999999999999}\r\nabc", "!-3" },
		/* No literals: part of an atom, not a number, no line end behind. */
		{ "foo{3}\r\nabc", "afoo{3}|." },
		{ "foo~{3}\r\nabc", "afoo~{3}|." },
		{ "{3} abc", "a{3}|aabc|." },
		{ "{}\r\n", "a{}|." },
		{ "{x}\r\n", "a{x}|." },
		{ "{3", "a{3|." },
		{ "{3}", "a{3}|." },
		{ "{3}\r", "a{3}|." },
		{ "{", "a{|." },
		{ "~", "a~|." },
		{ "~{", "a~{|." },
	};

	samples_check(samples, sizeof(samples) / sizeof(samples[0]), false);
}

Test(proto_lexer, items)
{
	static const struct sample samples[] = {
		{ "BODY[HEADER.FIELDS (A B)]<0> {1}\r\nx", "aBODY[HEADER.FIELDS (A B)]<0>|lx|." },
		{ "BODY[] NIL)", "aBODY[]|n|)|." },
		{ "BODY[]{1}\r\nx", "aBODY[]|lx|." },
		{ "BODY[A (\"]\" \"\\\"]\")] x", "aBODY[A (\"]\" \"\\\"]\")]|ax|." },
		{ "BODY[A ({1}\r\n])] x", "aBODY[A ({1}\r\n])]|ax|." },
		{ "BODY[A ({9}\r\n])] x", "!-3" },
		{ "BODY[A\r\n]", "!-3" },
		{ "BODY[", "!-3" },
		{ "BODY[\"", "!-3" },
		{ "BODY[a][b c]", "aBODY[a][b|ac]|." },
		{ "UID 5", "aUID|a5|." },
	};

	samples_check(samples, sizeof(samples) / sizeof(samples[0]), true);
}

Test(proto_lexer, nul_bytes)
{
	struct fixture f;
	struct token t;

	open_bytes(&f, SPAN("\"a\0b\" {2}\r\n\0\0 a\0"), SIZE_MAX);
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert(span_eq(t.text, SPAN("a\0b")));
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert(span_eq(t.text, SPAN("\0\0")));
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert(span_eq(t.text, SPAN("a")));
	cr_assert_eq(lexer_next(&f.l, &t), PROTO_ERR_SYNTAX);
	done(&f);
}

Test(proto_lexer, streamed_literal)
{
	static const struct {
		const char *in;
		size_t streamed;
		const char *out;
	} samples[] = {
		{ "A {5}\r\n B {1}\r\nx\r\n", 2, "aA|s|aB|lx|." },
		{ "A ~{5}\r\n)\r\n", 3, "aA|s|)|." },
		{ "A {5}\r\n", 2, "aA|s|." },
		{ "A {99999999999999999999}\r\n", 2, "aA|s|." },
		{ "A {1}\r\nx {5}\r\n", 9, "aA|lx|s|." },
		{ "A]{5}\r\n", 2, "aA]|s|." },
		/* The offset points to what is no announcement: it is not believed. */
		{ "A {1}\r\nx", 0, "aA|lx|." },
	};
	char out[256];

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); ++i) {
		struct fixture f;
		open_bytes(&f, span_str(samples[i].in), samples[i].streamed);
		tokens(&f, false, out, sizeof(out));
		cr_expect_str_eq(out, samples[i].out, "\"%s\": \"%s\"", samples[i].in, out);
		done(&f);
	}
}

Test(proto_lexer, streamed_literal_is_no_value)
{
	struct span list, in = SPAN("(A {5}\r\n)\r\n");
	struct fixture f;
	struct token t;

	open_bytes(&f, in, 3);
	cr_assert_eq(lexer_list(&f.l, &list), PROTO_ERR_SYNTAX);
	cr_assert_eq(lexer_skip_value(&f.l), PROTO_ERR_SYNTAX);
	cr_assert_eq(f.l.at, 0);
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert_eq(lexer_skip_value(&f.l), PROTO_ERR_SYNTAX);
	cr_assert_eq(lexer_astring(&f.l, &list), PROTO_ERR_SYNTAX);
	cr_assert_eq(lexer_expect(&f.l, TOKEN_STREAMED), 0);
	done(&f);
	open_bytes(&f, SPAN("BODY[A ({1}\r\n])]"), 8);
	cr_assert_eq(lexer_item(&f.l, &t), PROTO_ERR_SYNTAX);
	done(&f);
}

Test(proto_lexer, peek_takes_nothing)
{
	struct fixture f;
	struct token t;

	open_text(&f, " (a \"\\\"\"");
	cr_assert_eq(lexer_peek(&f.l, &t), 0);
	cr_assert_eq(t.kind, TOKEN_OPEN);
	cr_assert_eq(lexer_peek(&f.l, &t), 0);
	cr_assert_eq(t.kind, TOKEN_OPEN);
	cr_assert_eq(lexer_expect(&f.l, TOKEN_OPEN), 0);
	cr_assert_eq(lexer_peek(&f.l, &t), 0);
	cr_assert(span_eq(t.text, SPAN("a")));
	cr_assert_eq(lexer_expect(&f.l, TOKEN_QUOTED), PROTO_ERR_SYNTAX);
	cr_assert_eq(lexer_expect(&f.l, TOKEN_ATOM), 0);
	cr_assert_eq(lexer_peek(&f.l, &t), 0);
	cr_assert(span_eq(t.text, SPAN("\"")));
	cr_assert_eq(lexer_expect(&f.l, TOKEN_QUOTED), 0);
	cr_assert_eq(lexer_expect(&f.l, TOKEN_END), 0);
	cr_assert_eq(lexer_expect(&f.l, TOKEN_END), 0);
	done(&f);
}

Test(proto_lexer, numbers)
{
	static const struct {
		const char *in;
		int err32;
		uint32_t v32;
		int err64;
		uint64_t v64;
	} samples[] = {
		{ "0", 0, 0, 0, 0 },
		{ "007 ", 0, 7, 0, 7 },
		{ "4294967295)", 0, UINT32_MAX, 0, UINT32_MAX },
		{ "4294967296", PROTO_ERR_RANGE, 0, 0, 4294967296 },
		{ "18446744073709551615\r\n", PROTO_ERR_RANGE, 0, 0, UINT64_MAX },
		{ "18446744073709551616", PROTO_ERR_RANGE, 0, PROTO_ERR_RANGE, 0 },
		{ "99999999999999999999999999999999", PROTO_ERR_RANGE, 0, PROTO_ERR_RANGE, 0 },
		{ "99999999999999999999999999999999x", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
		{ "00000000000000000000000000000001", 0, 1, 0, 1 },
		{ "-1", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
		{ "1x", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
		{ "\"1\"", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
		{ "NIL", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
		{ "(1)", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
		{ "", PROTO_ERR_SYNTAX, 0, PROTO_ERR_SYNTAX, 0 },
	};

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); ++i) {
		struct fixture f;
		uint32_t v32 = 77;
		uint64_t v64 = 77;
		open_text(&f, samples[i].in);
		cr_expect_eq(lexer_u32(&f.l, &v32), samples[i].err32, "%s", samples[i].in);
		cr_expect_eq(v32, samples[i].err32 == 0 ? samples[i].v32 : 77, "%s", samples[i].in);
		cr_expect(samples[i].err32 == 0 || f.l.at == 0, "%s: nothing is taken", samples[i].in);
		done(&f);
		open_text(&f, samples[i].in);
		cr_expect_eq(lexer_u64(&f.l, &v64), samples[i].err64, "%s", samples[i].in);
		cr_expect_eq(v64, samples[i].err64 == 0 ? samples[i].v64 : 77, "%s", samples[i].in);
		done(&f);
	}
}

Test(proto_lexer, astrings)
{
	struct fixture f;
	struct span s = SPAN("untouched");

	open_text(&f, "a 123 \"b c\" {2}\r\nde NIL (f)");
	cr_assert_eq(lexer_astring(&f.l, &s), 0);
	cr_assert(span_eq(s, SPAN("a")));
	cr_assert_eq(lexer_astring(&f.l, &s), 0);
	cr_assert(span_eq(s, SPAN("123")));
	cr_assert_eq(lexer_astring(&f.l, &s), 0);
	cr_assert(span_eq(s, SPAN("b c")));
	cr_assert_eq(lexer_astring(&f.l, &s), 0);
	cr_assert(span_eq(s, SPAN("de")));
	cr_assert_eq(lexer_astring(&f.l, &s), 0);
	cr_assert_eq(s.n, 0);
	s = SPAN("untouched");
	cr_assert_eq(lexer_astring(&f.l, &s), PROTO_ERR_SYNTAX);
	cr_assert(span_eq(s, SPAN("untouched")));
	cr_assert_eq(lexer_expect(&f.l, TOKEN_OPEN), 0);
	done(&f);
	open_text(&f, "\r\n");
	cr_assert_eq(lexer_astring(&f.l, &s), PROTO_ERR_SYNTAX);
	done(&f);
}

Test(proto_lexer, lists_and_values)
{
	static const struct {
		const char *in;
		int err;
		const char *list, *rest;
	} samples[] = {
		{ "() x", 0, "", "x" },
		{ " (a b) x", 0, "a b", "x" },
		{ "(\")\" (b) {2}\r\n)) c) x", 0, "\")\" (b) {2}\r\n)) c", "x" },
		{ "(BODY[x y) z", 0, "BODY[x y", "z" },
		{ "(a", PROTO_ERR_SYNTAX, NULL, "(a" },
		{ "((a)\r\n)", PROTO_ERR_SYNTAX, NULL, NULL },
		{ "(\"a)", PROTO_ERR_SYNTAX, NULL, "(\"a)" },
	};

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); ++i) {
		struct fixture f;
		struct span s = SPAN("untouched");
		open_text(&f, samples[i].in);
		cr_expect_eq(lexer_list(&f.l, &s), samples[i].err, "%s", samples[i].in);
		cr_expect(span_eq(s, span_str(samples[i].err == 0 ? samples[i].list : "untouched")), "%s", samples[i].in);
		if (samples[i].rest != NULL)
			cr_expect(span_eq(lexer_rest(&f.l), span_str(samples[i].rest)), "%s", samples[i].in);
		done(&f);
		open_text(&f, samples[i].in);
		cr_expect_eq(lexer_skip_value(&f.l), samples[i].err, "%s", samples[i].in);
		if (samples[i].rest != NULL)
			cr_expect(span_eq(lexer_rest(&f.l), span_str(samples[i].rest)), "%s", samples[i].in);
		done(&f);
	}
}

Test(proto_lexer, values_of_one_token)
{
	static const char *const good[] = { "a x", "\"b\\\"\" x", "{1}\r\n) x", "NIL x", "5 x" };
	static const char *const bad[] = { "", "\r\n", ")", "\001" };
	struct fixture f;
	struct span s;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i) {
		open_text(&f, good[i]);
		cr_expect_eq(lexer_skip_value(&f.l), 0, "%s", good[i]);
		cr_expect(span_eq(lexer_rest(&f.l), SPAN("x")), "%s", good[i]);
		done(&f);
		open_text(&f, good[i]);
		cr_expect_eq(lexer_list(&f.l, &s), PROTO_ERR_SYNTAX, "%s", good[i]);
		done(&f);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
		open_text(&f, bad[i]);
		cr_expect_eq(lexer_skip_value(&f.l), PROTO_ERR_SYNTAX, "%s", bad[i]);
		done(&f);
	}
}

Test(proto_lexer, depth_is_limited)
{
	char text[2 * LEXER_DEPTH_MAX + 3];
	struct fixture f;
	struct span s;

	for (size_t depth = LEXER_DEPTH_MAX; depth <= LEXER_DEPTH_MAX + 1; ++depth) {
		memset(text, '(', depth);
		memset(text + depth, ')', depth);
		text[2 * depth] = '\0';
		int expected = depth > LEXER_DEPTH_MAX ? PROTO_ERR_CAP : 0;
		open_text(&f, text);
		cr_assert_eq(lexer_skip_value(&f.l), expected);
		done(&f);
		open_text(&f, text);
		cr_assert_eq(lexer_list(&f.l, &s), expected);
		done(&f);
	}
}

Test(proto_lexer, rest)
{
	static const struct sample samples[] = {
		{ "", "" },
		{ "\r\n", "" },
		{ "  a b  \r\n", "a b  " },
		{ "a\n", "a" },
		{ "a\r\nb\r\n", "a\r\nb" },
		{ "a\r\r\n", "a\r" },
		{ "   ", "" },
	};

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); ++i) {
		struct fixture f;
		open_text(&f, samples[i].in);
		cr_expect(span_eq(lexer_rest(&f.l), span_str(samples[i].out)), "%s", samples[i].in);
		cr_expect_eq(lexer_rest(&f.l).n, 0, "it is taken");
		done(&f);
	}
}

Test(proto_lexer, words)
{
	struct span s = SPAN("  one two(three[four\r\nfive");

	cr_assert(span_eq(lexer_word(&s), SPAN("one")));
	cr_assert(span_eq(lexer_word(&s), SPAN("two")));
	cr_assert_eq(lexer_word(&s).n, 0);
	s = span_from(s, 1);
	cr_assert(span_eq(lexer_word(&s), SPAN("three")));
	s = span_from(s, 1);
	cr_assert(span_eq(lexer_word(&s), SPAN("four")));
	cr_assert(span_eq(s, SPAN("\r\nfive")));
	cr_assert_eq(lexer_word(&s).n, 0);
	s = SPAN_NONE;
	cr_assert_eq(lexer_word(&s).n, 0);
}

Test(proto_lexer, only_escapes_cost_memory)
{
	struct fixture f;
	struct token t;

	open_text(&f, "a \"b\" \"c\\\"d\"");
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert_eq(lexer_next(&f.l, &t), 0);
	cr_assert(t.text.p == f.copy + 3);
	cr_assert_eq(f.arena.used, 0);
	failmalloc_arm(1);
	t.kind = TOKEN_NIL;
	cr_assert_eq(lexer_next(&f.l, &t), PROTO_ERR_NOMEM);
	failmalloc_disarm();
	cr_assert(failmalloc_fired());
	cr_assert_eq(t.kind, TOKEN_NIL);
	cr_assert_eq(lexer_skip_value(&f.l), 0, "what is skipped costs none");
	cr_assert_eq(f.arena.used, 0);
	done(&f);

	open_text(&f, "\"c\\\"d\"");
	arena_init(&f.arena, 1);
	cr_assert_eq(lexer_next(&f.l, &t), PROTO_ERR_CAP);
	done(&f);
}
