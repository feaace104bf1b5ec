#include <criterion/criterion.h>
#include <stdlib.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"
#include "utf7.h"

TestSuite(utf7, .fini = leaks_check);

static const struct {
	const char *utf7, *utf8;
} pairs[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a b~!\"\\/", "a b~!\"\\/" },
	{ "&-", "&" },
	{ "R&-D&-", "R&D&" },
	{ "&-&-", "&&" },
	{ "&-AOk-", "&AOk-" },
	{ "Gel&APY-scht", "Gel\xc3\xb6scht" },
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	  "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&U,BTF2XlZyyKng-", "\xe5\x8f\xb0\xe5\x8c\x97\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&Jjo-!", "\xe2\x98\xba!" },
	{ "&AOk-&-&AOk-", "\xc3\xa9&\xc3\xa9" },
	{ "&AOkA6Q-", "\xc3\xa9\xc3\xa9" },
	{ "&AOkA6QDp-", "\xc3\xa9\xc3\xa9\xc3\xa9" },
	{ "-&AOk--", "-\xc3\xa9-" },
	{ "&2D3eAA-", "\xf0\x9f\x98\x80" },
	{ "&2ADcAA-", "\xf0\x90\x80\x80" },
	{ "&2,,f,w-", "\xf4\x8f\xbf\xbf" },
	{ "&AAoAfw-", "\n\x7f" },
	{ "&,,8-", "\xef\xbf\xbf" },
};

Test(utf7, known_pairs_both_ways)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct buf a = { .cap = 100 }, b = { .cap = 100 };

		cr_assert_eq(buf_add_char(&a, '>'), 0);
		cr_assert_eq(buf_add_char(&b, '>'), 0);
		cr_assert_eq(utf7_decode(&a, span_str(pairs[i].utf7)), 0, "%s", pairs[i].utf7);
		cr_assert(span_eq(span_from(buf_span(&a), 1), span_str(pairs[i].utf8)), "%s", pairs[i].utf7);
		cr_assert_eq(utf7_encode(&b, span_str(pairs[i].utf8)), 0, "%s", pairs[i].utf7);
		cr_assert(span_eq(span_from(buf_span(&b), 1), span_str(pairs[i].utf7)), "%s", pairs[i].utf7);
		buf_done(&a);
		buf_done(&b);
	}
}

Test(utf7, nul_and_empty)
{
	struct buf b = { .cap = 100 };

	cr_assert_eq(utf7_encode(&b, SPAN("a\0")), 0);
	cr_assert(span_eq(buf_span(&b), SPAN("a&AAA-")));
	buf_reset(&b);
	cr_assert_eq(utf7_decode(&b, SPAN("&AAA-b")), 0);
	cr_assert(span_eq(buf_span(&b), SPAN("\0b")));
	buf_reset(&b);
	cr_assert_eq(utf7_decode(&b, SPAN_NONE), 0);
	cr_assert_eq(utf7_encode(&b, SPAN_NONE), 0);
	cr_assert_eq(b.n, 0);
	cr_assert(utf8_is_valid(SPAN_NONE));
	buf_done(&b);
}

static size_t put(char *p, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--) {
		p[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	p[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
	return n;
}

/* All at the borders, and a sample between them: 1 or 7 further. */
static uint32_t character_after(uint32_t c)
{
	uint32_t low = c & 0xfff;

	return c + (c < 0x3000 || c > 0x10ff00 || low < 2 || low >= 0xff8 ? 1 : 7);
}

/* Characters of all planes, alone and beside others, so that it stands at every offset of the base64. */
Test(utf7, characters_round_trip)
{
	static const char *const before[] = { "",  "x", "\xc3\xa9", "\xe2\x98\xba\xe2\x98\xba",
					      "&", "\xf0\x9f\x98\x80" };
	struct buf wire = { .cap = 100 }, back = { .cap = 100 };

	for (uint32_t c = 0; c <= 0x10ffff; c = character_after(c)) {
		bool surrogate = c >= 0xd800 && c <= 0xdfff;

		for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
			char text[20];
			size_t n = strlen(before[i]);
			int err;

			memcpy(text, before[i], n);
			n += put(text + n, c);
			text[n++] = i % 2 ? '-' : '\xc2';
			if (i % 2 == 0)
				text[n++] = '\x80';
			buf_reset(&wire);
			buf_reset(&back);
			err = utf7_encode(&wire, span_of(text, n));
			if (err != (surrogate ? PROTO_ERR_SYNTAX : 0) || utf8_is_valid(span_of(text, n)) == surrogate)
				cr_assert_fail("U+%x: %d", c, err);
			for (size_t k = 0; k < wire.n; k++)
				if (wire.p[k] < 0x20 || wire.p[k] > 0x7e)
					cr_assert_fail("U+%x is not sent as ASCII", c);
			if (!surrogate && (utf7_decode(&back, buf_span(&wire)) != 0 ||
					   !span_eq(buf_span(&back), span_of(text, n))))
				cr_assert_fail("U+%x does not round trip", c);
		}
	}
	buf_done(&wire);
	buf_done(&back);
}

Test(utf7, invalid_forms_append_nothing)
{
	static const char *const bad[] = {
		"&", "a&", "&AOk", "&AOk.", "&AOk ", "&AOk-&", "a&b", "&&-", "& -",          /* no end */
		"\xc3\xa9", "a\x80", "a\xff", "&AO\xc3-", "\x7f", "a\n", "\x01", "a\tb",     /* bytes that no name has */
		"&A-", "&AA-", "&AOkA-", "&AOkA6-", "&AOkAA-", "&AOkAAA-x&A-",               /* units cut short */
		"&AOl-", "&AOm-", "&AOn-", "&AOkA6R-", "&AOkAAAB-",                          /* padding is not zero */
		"&AOk=-", "&AOk/-", "&U/BTFw-", "&AO*-", "&AO&-", "&A.k-",                   /* not of the alphabet */
		"&AGE-", "&ACY-", "&AC0-", "&ACA-", "&AH4-", "&AOkAYQ-", "&AGEA6Q-",         /* ASCII in base64 */
		"&2D0-", "&2D0A6Q-", "&2D3YPQ-", "&3gA-", "&3gDYPQ-", "&AOncAA-", "&2ADcANwA-", /* lone surrogates */
		"&AOk-&AOk-", "&U,BTFw-&ZeVnLIqe-", "&-&AOk-&AOk-",                          /* shifted twice */
		"good &AOk- then bad &",
	};
	struct buf b = { .cap = 1000 };

	cr_assert_eq(buf_add_str(&b, "kept"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = strlen(bad[i]);
		char *exact = malloc(n);

		memcpy(exact, bad[i], n);
		cr_assert_eq(utf7_decode(&b, span_of(exact, n)), PROTO_ERR_SYNTAX, "%s", bad[i]);
		cr_assert(span_eq(buf_span(&b), SPAN("kept")));
		free(exact);
	}
	cr_assert_eq(utf7_decode(&b, SPAN("a\0")), PROTO_ERR_SYNTAX);
	buf_done(&b);
}

/* Whatever four bytes are decoded give back the same four bytes. */
Test(utf7, what_is_valid_is_the_only_form)
{
	static const char digits[] = "&-AOk6EB,+Z2D3eg";
	struct buf text = { .cap = 100 }, wire = { .cap = 100 };
	size_t valid = 0;

	for (uint32_t i = 0; i < 1u << 24; i += 3) {
		char in[8] = { '&' };

		for (int k = 0; k < 6; k++)
			in[k + 1] = digits[i >> (4 * k) & 15];
		in[7] = '-';
		buf_reset(&text);
		if (utf7_decode(&text, span_of(in, 8)) != 0)
			continue;
		valid++;
		buf_reset(&wire);
		if (utf7_encode(&wire, buf_span(&text)) != 0 || !span_eq(buf_span(&wire), span_of(in, 8)))
			cr_assert_fail("%.8s has a second form", in);
	}
	cr_assert_gt(valid, 10000);
	buf_done(&text);
	buf_done(&wire);
}

Test(utf7, bad_utf8)
{
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xc2\xc2", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xe2\x98",
		"\xe2\x98x", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "ok\xe2\x98",
		"\xc3\xa9\xa9",
	};
	struct buf b = { .cap = 100 };
	uint32_t c = 7;

	cr_assert_eq(buf_add_str(&b, "kept"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = strlen(bad[i]);
		char *exact = malloc(n);

		memcpy(exact, bad[i], n);
		cr_assert(!utf8_is_valid(span_of(exact, n)), "%zu", i);
		cr_assert_eq(utf7_encode(&b, span_of(exact, n)), PROTO_ERR_SYNTAX, "%zu", i);
		if (i < 20)
			cr_assert_eq(utf8_take(span_of(exact, n), &c), 0);
		free(exact);
	}
	cr_assert_eq(utf8_take(SPAN_NONE, &c), 0);
	cr_assert_eq(c, 7);
	cr_assert_eq(utf8_take(SPAN("\xe2\x98\xba\xff"), &c), 3);
	cr_assert_eq(c, 0x263a);
	cr_assert(span_eq(buf_span(&b), SPAN("kept")));
	buf_done(&b);
}

static void with_each_failure(int (*function)(struct buf *, struct span), struct span in, size_t length)
{
	for (size_t cap = 1; cap <= length + 1; cap++) {
		struct buf b = { .cap = cap };
		int err;

		cr_assert_eq(buf_add_char(&b, 'x'), 0);
		err = function(&b, in);
		cr_assert_eq(err, cap < length + 1 ? PROTO_ERR_CAP : 0);
		cr_assert_eq(b.n, cap < length + 1 ? 1 : length + 1);
		buf_done(&b);
	}
	for (size_t n = 1;; n++) {
		struct buf b = { .cap = 1000 };
		int err;

		failmalloc_arm(n);
		err = function(&b, in);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		cr_assert_eq(b.n, err != 0 ? 0 : length);
		buf_done(&b);
		if (err == 0) {
			cr_assert_gt(n, 2);
			break;
		}
	}
}

Test(utf7, caps_and_failed_allocations_append_nothing)
{
	static const char wire[] = "Gel&APY-scht more &-&2D3eAA-&- "
				   "0123456789012345678901234567890123456789012345678901234567890123456789";
	struct buf text = { .cap = 1000 };

	cr_assert_eq(utf7_decode(&text, span_str(wire)), 0);
	with_each_failure(utf7_decode, span_str(wire), text.n);
	with_each_failure(utf7_encode, buf_span(&text), strlen(wire));
	buf_done(&text);
}
