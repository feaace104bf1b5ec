#include "framer.h"

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(proto_framer, .fini = leaks_check);

static const struct framer_limits wide = { .line_max = 4096, .body_max = UINT64_MAX };

/* What a framer told, as text: "L<bytes>" "B<size>[~]@<streamed>:<bytes>" "D<bytes>" "E" "!<err>", each with a '|'
 * behind. */
struct trace {
	char text[16384];
	size_t n;
	bool in_data;
	int err;
};

static void trace_bytes(struct trace *t, struct span s)
{
	cr_assert(t->n + s.n < sizeof(t->text));
	if (s.n > 0)
		memcpy(t->text + t->n, s.p, s.n);
	t->n += s.n;
	t->text[t->n] = '\0';
}

static void trace_frame(struct trace *t, const struct frame *f)
{
	char head[80];

	if (t->in_data && f->kind != FRAME_BODY_DATA && f->kind != FRAME_NONE) {
		trace_bytes(t, SPAN("|"));
		t->in_data = false;
	}
	switch (f->kind) {
	case FRAME_NONE:
		return;
	case FRAME_LINE:
		snprintf(head, sizeof(head), f->streamed != SIZE_MAX ? "L@%zu:" : "L", f->streamed);
		break;
	case FRAME_BODY_BEGIN:
		snprintf(head, sizeof(head), "B%" PRIu64 "%s@%zu:", f->size, f->literal8 ? "~" : "", f->streamed);
		break;
	case FRAME_BODY_DATA:
		snprintf(head, sizeof(head), "%s", t->in_data ? "" : "D");
		t->in_data = true;
		break;
	case FRAME_BODY_END:
		snprintf(head, sizeof(head), "E");
		break;
	}
	trace_bytes(t, span_str(head));
	trace_bytes(t, f->bytes);
	if (!t->in_data)
		trace_bytes(t, SPAN("|"));
}

/* Every piece is a copy of its very size, and gone when the next one comes. */
static void feed(struct framer *f, struct span piece, struct trace *t)
{
	char *bytes = malloc(piece.n + 1);
	char head[32];

	cr_assert(bytes != NULL);
	if (piece.n > 0)
		memcpy(bytes, piece.p, piece.n);
	struct span in = span_of(bytes, piece.n);
	struct frame frame = { .kind = FRAME_LINE };
	while (t->err == 0 && frame.kind != FRAME_NONE) {
		t->err = framer_next(f, &in, &frame);
		if (t->err != 0) {
			snprintf(head, sizeof(head), "!%d|", t->err);
			trace_bytes(t, span_str(head));
		} else {
			trace_frame(t, &frame);
		}
	}
	if (t->err == 0)
		cr_assert_eq(in.n, 0);
	free(bytes);
}

static void run(const struct framer_limits *limits, struct span in, size_t cut, size_t step, struct trace *t)
{
	struct framer *f = framer_new(limits);

	t->n = 0;
	t->text[0] = '\0';
	t->in_data = false;
	t->err = 0;
	cr_assert(f != NULL);
	if (step == 0) {
		feed(f, span_first(in, cut), t);
		feed(f, span_from(in, cut), t);
	}
	for (size_t i = 0; step > 0 && i < in.n; i += step)
		feed(f, span_first(span_from(in, i), step), t);
	framer_free(&f);
	cr_assert(f == NULL);
}

struct sample {
	const char *in, *out;
	size_t line_max;
	uint64_t body_max;
};

/* In one piece, cut at every byte, and byte by byte. */
static void samples_check(const struct sample *samples, size_t n)
{
	static struct trace t;

	for (size_t i = 0; i < n; ++i) {
		const struct sample *s = &samples[i];
		struct framer_limits limits = wide;
		struct span in = span_str(s->in);
		if (s->line_max > 0)
			limits.line_max = s->line_max;
		if (s->body_max > 0)
			limits.body_max = s->body_max;
		for (size_t cut = 0; cut <= in.n; ++cut) {
			run(&limits, in, cut, 0, &t);
			cr_expect_str_eq(t.text, s->out, "sample \"%s\" cut at %zu: \"%s\"", s->in, cut, t.text);
		}
		for (size_t step = 1; step <= 3; ++step) {
			run(&limits, in, 0, step, &t);
			cr_expect_str_eq(t.text, s->out, "sample \"%s\" in steps of %zu: \"%s\"", s->in, step, t.text);
		}
	}
}

#define CHECK_ALL(table) samples_check(table, sizeof(table) / sizeof(table[0]))

Test(proto_framer, lines)
{
	static const struct sample samples[] = {
		{ "* OK hello\r\n", "L* OK hello\r\n|", 0, 0 },
		{ "* OK a\r\na1 OK b\r\n+\r\n", "L* OK a\r\n|La1 OK b\r\n|L+\r\n|", 0, 0 },
		{ "* 1 EXISTS\n* 2 RECENT\n", "L* 1 EXISTS\n|L* 2 RECENT\n|", 0, 0 },
		{ "\r\n\n", "L\r\n|L\n|", 0, 0 },
		{ "* OK half", "", 0, 0 },
		{ "* OK a\rb\r\r\n", "L* OK a\rb\r\r\n|", 0, 0 },
		{ "}\r\n+}\r\n{}\r\n", "L}\r\n|L+}\r\n|L{}\r\n|", 0, 0 },
	};

	CHECK_ALL(samples);
}

Test(proto_framer, text_for_people_holds_no_literals)
{
	static const struct sample samples[] = {
		{ "* OK see {5}\r\n", "L* OK see {5}\r\n|", 0, 0 },
		{ "* no {5}\r\n", "L* no {5}\r\n|", 0, 0 },
		{ "* BAD {5}\r\n", "L* BAD {5}\r\n|", 0, 0 },
		{ "* BYE {5}\r\n", "L* BYE {5}\r\n|", 0, 0 },
		{ "* PREAUTH {5}\r\n", "L* PREAUTH {5}\r\n|", 0, 0 },
		{ "* OK[X] {5}\r\n", "L* OK[X] {5}\r\n|", 0, 0 },
		{ "+ {5}\r\n", "L+ {5}\r\n|", 0, 0 },
		{ "a7 NO {5}\r\n", "La7 NO {5}\r\n|", 0, 0 },
		{ "a7 OK {99999999999999999999}\r\n", "La7 OK {99999999999999999999}\r\n|", 0, 0 },
	};

	CHECK_ALL(samples);
}

Test(proto_framer, small_literals)
{
	static const struct sample samples[] = {
		{ "* LIST () \"/\" {3}\r\na\nb\r\n", "L* LIST () \"/\" {3}\r\na\nb\r\n|", 0, 0 },
		{ "* LIST () \"/\" {3}\na\nb\n", "L* LIST () \"/\" {3}\na\nb\n|", 0, 0 },
		{ "* LIST () \"/\" {0}\r\n\r\n", "L* LIST () \"/\" {0}\r\n\r\n|", 0, 0 },
		{ "* LIST () {1}\r\n/ {4}\r\n{9}\n\r\n", "L* LIST () {1}\r\n/ {4}\r\n{9}\n\r\n|", 0, 0 },
		{ "* LIST () {1}\r\n/{2}\r\nab\r\n", "L* LIST () {1}\r\n/{2}\r\nab\r\n|", 0, 0 },
		{ "* X ~{2}\r\nab\r\n", "L* X ~{2}\r\nab\r\n|", 0, 0 },
		{ "* X {2+}\r\nab\r\n", "L* X {2+}\r\nab\r\n|", 0, 0 },
		{ "* LIST () \"/\" foo{3}\r\n", "L* LIST () \"/\" foo{3}\r\n|", 0, 0 },
		{ "* LIST () \"/\" \"foo {3}\"\r\n", "L* LIST () \"/\" \"foo {3}\"\r\n|", 0, 0 },
		{ "* LIST () \"/\" {x}\r\n", "L* LIST () \"/\" {x}\r\n|", 0, 0 },
		{ "* LIST () \"/\" {}\r\n", "L* LIST () \"/\" {}\r\n|", 0, 0 },
		{ "* LIST () \"/\" {-3}\r\n", "L* LIST () \"/\" {-3}\r\n|", 0, 0 },
		{ "* LIST () \"/\" {3} \r\n", "L* LIST () \"/\" {3} \r\n|", 0, 0 },
		/* Bodies outside of FETCH are no bodies. */
		{ "* 1 FETCHED (BODY[] {2}\r\nab)\r\n", "L* 1 FETCHED (BODY[] {2}\r\nab)\r\n|", 0, 0 },
		{ "* X FETCH (BODY[] {2}\r\nab)\r\n", "L* X FETCH (BODY[] {2}\r\nab)\r\n|", 0, 0 },
		{ "* SEARCH BODY[] {2}\r\nab\r\n", "L* SEARCH BODY[] {2}\r\nab\r\n|", 0, 0 },
	};

	CHECK_ALL(samples);
}

Test(proto_framer, inline_items_of_fetch)
{
	static const struct sample samples[] = {
		{ "* 1 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID DATE)] {2}\r\n\r\n UID 5)\r\n",
			"L* 1 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID DATE)] {2}\r\n\r\n UID 5)\r\n|", 0, 0 },
		{ "* 1 FETCH (BODY[HEADER.FIELDS ({4}\r\nDATE)] {2}\r\n\r\n)\r\n",
			"L* 1 FETCH (BODY[HEADER.FIELDS ({4}\r\nDATE)] {2}\r\n\r\n)\r\n|", 0, 0 },
		{ "* 1 FETCH (BODY[TEXT] {2}\r\nab)\r\n", "L* 1 FETCH (BODY[TEXT] {2}\r\nab)\r\n|", 0, 0 },
		{ "* 1 FETCH (BODY[1]<0> {2}\r\nab)\r\n", "L* 1 FETCH (BODY[1]<0> {2}\r\nab)\r\n|", 0, 0 },
		{ "* 1 FETCH (RFC822.HEADER {2}\r\nab)\r\n", "L* 1 FETCH (RFC822.HEADER {2}\r\nab)\r\n|", 0, 0 },
		{ "* 1 FETCH (XRFC822 {2}\r\nab)\r\n", "L* 1 FETCH (XRFC822 {2}\r\nab)\r\n|", 0, 0 },
		{ "* 1 FETCH (XBODY[] {2}\r\nab)\r\n", "L* 1 FETCH (XBODY[] {2}\r\nab)\r\n|", 0, 0 },
		{ "* 1 FETCH (BODY[]<> {2}\r\nab)\r\n* 2 FETCH (BODY[]0> {2}\r\nab)\r\n",
			"B2@20:* 1 FETCH (BODY[]<> {2}\r\n|Dab|E|L@20:* 1 FETCH (BODY[]<> {2}\r\n)\r\n|"
			"L* 2 FETCH (BODY[]0> {2}\r\nab)\r\n|", 0, 0 },
		/* The end of one literal looks like the name of an item: the text behind it does not belong to
		 * that. */
		{ "* 1 FETCH (X {6}\r\nRFC822 {2}\r\nab)\r\n", "L* 1 FETCH (X {6}\r\nRFC822 {2}\r\nab)\r\n|", 0, 0 },
		{ "* 1 FETCH (X {7}\r\n(BODY[] {2}\r\nab)\r\n", "L* 1 FETCH (X {7}\r\n(BODY[] {2}\r\nab)\r\n|", 0, 0 },
	};

	CHECK_ALL(samples);
}

Test(proto_framer, bodies)
{
	static const struct sample samples[] = {
		{ "* 1 FETCH (BODY[] {5}\r\nab\r\ncUID 5)\r\n* 2 EXISTS\r\n",
			"B5@18:* 1 FETCH (BODY[] {5}\r\n|Dab\r\nc|E|"
			"L@18:* 1 FETCH (BODY[] {5}\r\nUID 5)\r\n|L* 2 EXISTS\r\n|", 0, 0 },
		{ "* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)\r\n",
			"B3@27:* 1 FETCH (UID 7 BODY[]<0> {3}\r\n|Dabc|E|"
			"L@27:* 1 FETCH (UID 7 BODY[]<0> {3}\r\n)\r\n|", 0, 0 },
		{ "* 1 fetch (rfc822 {3}\r\nabc)\r\n",
			"B3@18:* 1 fetch (rfc822 {3}\r\n|Dabc|E|L@18:* 1 fetch (rfc822 {3}\r\n)\r\n|", 0, 0 },
		{ "* 1 FETCH(FLAGS ()BODY[]  {3}\r\nabc)\r\n",
			"B3@26:* 1 FETCH(FLAGS ()BODY[]  {3}\r\n|Dabc|E|"
			"L@26:* 1 FETCH(FLAGS ()BODY[]  {3}\r\n)\r\n|", 0, 0 },
		{ "* 1 FETCH (BINARY[] ~{3}\r\na\001c)\r\n",
			"B3~@21:* 1 FETCH (BINARY[] ~{3}\r\n|Da\001c|E|L@21:* 1 FETCH (BINARY[] ~{3}\r\n)\r\n|", 0, 0 },
		{ "* 1 FETCH (BODY[] {0}\r\n)\r\n",
			"B0@18:* 1 FETCH (BODY[] {0}\r\n|E|L@18:* 1 FETCH (BODY[] {0}\r\n)\r\n|", 0, 0 },
		{ "* 1 FETCH (BODY[] {1}\na)\n",
			"B1@18:* 1 FETCH (BODY[] {1}\n|Da|E|L@18:* 1 FETCH (BODY[] {1}\n)\n|", 0, 0 },
		{ "* 1 FETCH (BODY[]{1}\r\na)\r\n",
			"B1@17:* 1 FETCH (BODY[]{1}\r\n|Da|E|L@17:* 1 FETCH (BODY[]{1}\r\n)\r\n|", 0, 0 },
		/* Small literals before and behind; a second body is small. */
		{ "* 1 FETCH (BODY[1] {2}\r\nab BODY[] {1}\r\nx BODY[2] {2}\r\ncd BODY[] {3}\r\nefg)\r\n",
			"B1@34:* 1 FETCH (BODY[1] {2}\r\nab BODY[] {1}\r\n|Dx|E|"
			"L@34:* 1 FETCH (BODY[1] {2}\r\nab BODY[] {1}\r\n "
			"BODY[2] {2}\r\ncd BODY[] {3}\r\nefg)\r\n|", 0, 0 },
		/* The body is cut off. */
		{ "* 1 FETCH (BODY[] {5}\r\nab", "B5@18:* 1 FETCH (BODY[] {5}\r\n|Dab", 0, 0 },
		{ "* 1 FETCH (BODY[] {2}\r\nab", "B2@18:* 1 FETCH (BODY[] {2}\r\n|Dab|E|", 0, 0 },
	};

	CHECK_ALL(samples);
}

Test(proto_framer, limits)
{
	static const struct sample samples[] = {
		/* 10 bytes, LF included, are allowed, one more is not; whether the end is in sight or not. */
		{ "* OK 678\r\n* OK 678\r\n", "L* OK 678\r\n|L* OK 678\r\n|", 10, 0 },
		{ "* OK 6789\r\n", "!-2|", 10, 0 },
		{ "* OK 678901234567890", "!-2|", 10, 0 },
		{ "* OK 67890", "", 10, 0 },
		{ "a OK\r\n* OK 6789\r\n", "La OK\r\n|!-2|", 10, 0 },
		/* Small literals count: 15 + 3 + 2. */
		{ "* SEARCH {3}\r\nabc\r\n", "L* SEARCH {3}\r\nabc\r\n|", 19, 0 },
		{ "* SEARCH {3}\r\nabc\r\n", "!-2|", 18, 0 },
		{ "* SEARCH {4}\r\nabcd", "", 18, 0 },
		{ "* SEARCH {5}\r\n", "!-2|", 18, 0 },
		{ "* SEARCH {5000}\r\n", "!-2|", 0, 0 },
		{ "* SEARCH {18446744073709551615}\r\n", "!-2|", 0, 0 },
		{ "* SEARCH {18446744073709551616}\r\n", "!-2|", 0, 0 },
		{ "* SEARCH {99999999999999999999}\r\n", "!-2|", 0, 0 },
		{ "* SEARCH {00000000000000000000000000000001}\r\na\r\n",
			"L* SEARCH {00000000000000000000000000000001}\r\na\r\n|", 0, 0 },
		/* Streamed ones do not count for the line, and have a limit of their own. */
		{ "* 1 FETCH (BODY[] {9}\r\n123456789)\r\n",
			"B9@18:* 1 FETCH (BODY[] {9}\r\n|D123456789|E|L@18:* 1 FETCH (BODY[] {9}\r\n)\r\n|", 26, 9 },
		{ "* 1 FETCH (BODY[] {9}\r\n123456789)\r\n",
			"B9@18:* 1 FETCH (BODY[] {9}\r\n|D123456789|E|!-2|", 25, 9 },
		{ "* 1 FETCH (BODY[] {9}\r\n123456789)\r\n", "!-2|", 100, 8 },
		{ "* 1 FETCH (BODY[] {99999999999999999999}\r\n", "!-2|", 0, 1000 },
		{ "* 1 FETCH (BODY[1] {9}\r\n123456789)\r\n", "!-2|", 26, 9 },
	};

	CHECK_ALL(samples);
}

Test(proto_framer, any_byte_may_come)
{
	static const char in[] = "* LIST () \"/\" \"a\0b\"\r\n* OK \0\377\r\n* 1 FETCH (BODY[] {4}\r\n\0\r\n\0)\r\n";
	static const char out[] = "L* LIST () \"/\" \"a\0b\"\r\n|L* OK \0\377\r\n|"
		"B4@18:* 1 FETCH (BODY[] {4}\r\n|D\0\r\n\0|E|"
		"L@18:* 1 FETCH (BODY[] {4}\r\n)\r\n|";
	static struct trace t;

	for (size_t cut = 0; cut < sizeof(in); ++cut) {
		run(&wide, span_of(in, sizeof(in) - 1), cut, 0, &t);
		cr_assert_eq(t.n, sizeof(out) - 1);
		cr_assert_arr_eq(t.text, out, sizeof(out) - 1);
	}
}

Test(proto_framer, whole_lines_are_not_copied)
{
	struct span in = SPAN("* 1 EXISTS\r\n* LIST () \"/\" {3}\r\nabc\r\n* 2 FETCH (BODY[] {2}\r\nab)\r\n");
	const char *from = in.p;
	struct framer *f = framer_new(&wide);
	struct frame frame;

	failmalloc_arm(0);
	cr_assert_eq(framer_next(f, &in, &frame), 0);
	cr_assert(frame.bytes.p == from);
	cr_assert_eq(frame.bytes.n, 12);
	cr_assert_eq(framer_next(f, &in, &frame), 0);
	cr_assert(frame.bytes.p == from + 12);
	cr_assert_eq(frame.bytes.n, 24);
	cr_assert_eq(failmalloc_count(), 0);
	cr_assert_eq(framer_next(f, &in, &frame), 0);
	cr_assert_eq(frame.kind, FRAME_BODY_BEGIN);
	cr_assert_eq(framer_next(f, &in, &frame), 0);
	cr_assert_eq(frame.kind, FRAME_BODY_DATA);
	cr_assert(frame.bytes.p == from + 59);
	failmalloc_disarm();
	framer_free(&f);
}

Test(proto_framer, errors_are_final)
{
	struct framer_limits limits = { .line_max = 8, .body_max = 1 };
	struct framer *f = framer_new(&limits);
	struct span in = SPAN("* OK much too long\r\n"), good = SPAN("a OK\r\n");
	struct frame frame = { .size = 77 };

	cr_assert_eq(framer_next(f, &in, &frame), PROTO_ERR_CAP);
	cr_assert_eq(framer_next(f, &good, &frame), PROTO_ERR_CAP);
	cr_assert_eq(good.n, 6, "a dead framer takes no bytes");
	cr_assert_eq(frame.size, 77, "a failed call leaves its result alone");
	framer_free(&f);
}

/* The line cap also bounds what is kept of a line that never ends. */
Test(proto_framer, endless_line_costs_no_more_than_the_cap)
{
	struct framer_limits limits = { .line_max = 5000, .body_max = 1 };
	struct framer *f = framer_new(&limits);
	struct frame frame;
	size_t sent = 0;
	int err = 0;

	while (err == 0 && sent < 100000) {
		struct span in = SPAN("xxxxxxx");
		err = framer_next(f, &in, &frame);
		sent += 7;
	}
	cr_assert_eq(err, PROTO_ERR_CAP);
	cr_assert_eq(sent, 5005);
	framer_free(&f);
}

/* Idle framers do not hold on to the memory of one long line. */
Test(proto_framer, memory_of_a_long_line_is_given_back)
{
	struct framer_limits limits = { .line_max = 1 << 20, .body_max = 1 };
	struct framer *f = framer_new(&limits);
	static char long_line[100000];
	struct frame frame;
	struct span in = span_of(long_line, sizeof(long_line)), end = SPAN("\r\n"), part = SPAN("* O");

	memset(long_line, 'x', sizeof(long_line));
	cr_assert_eq(framer_next(f, &in, &frame), 0);
	cr_assert_eq(framer_next(f, &end, &frame), 0);
	cr_assert_eq(frame.kind, FRAME_LINE);
	cr_assert_eq(frame.bytes.n, sizeof(long_line) + 2);
	cr_assert_eq(framer_next(f, &end, &frame), 0);
	failmalloc_arm(0);
	cr_assert_eq(framer_next(f, &part, &frame), 0);
	failmalloc_disarm();
	cr_assert_eq(failmalloc_count(), 1, "the next line begins with new memory");
	framer_free(&f);
}

Test(proto_framer, every_allocation_may_fail)
{
	static const char text[] = "* OK one\r\n* 1 FETCH (FLAGS () BODY[] {5}\r\nabcde UID 5)\r\n"
		"* LIST () \"/\" {3}\r\nabc\r\n";
	size_t n = 0;

	do {
		struct framer *f;
		struct frame frame;
		int err = 0;
		failmalloc_arm(++n);
		f = framer_new(&wide);
		for (size_t i = 0; f != NULL && err == 0 && i < sizeof(text) - 1; ++i) {
			struct span in = span_of(text + i, 1);
			do
				err = framer_next(f, &in, &frame);
			while (err == 0 && frame.kind != FRAME_NONE);
		}
		failmalloc_disarm();
		if (f != NULL) {
			struct span in = SPAN("a OK\r\n");
			cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
			cr_assert_eq(framer_next(f, &in, &frame), err, "an error stays");
		} else {
			cr_assert(failmalloc_fired());
		}
		framer_free(&f);
		framer_free(&f);
	} while (failmalloc_fired());
	cr_assert_gt(n, 2);
	framer_free(NULL);
}
