#include <criterion/criterion.h>
#include <stdio.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"
#include "relay.h"

TestSuite(relay, .fini = leaks_check);

/* A folder is only handed on: any two addresses do. */
static char place[2];
#define INBOX ((struct folder *)&place[0])
#define SENT ((struct folder *)&place[1])

static void put(struct relay *r, uint32_t uid, const char *date, const char *flags, const char *body)
{
	cr_assert_eq(relay_begin(r, INBOX, strlen(body), false), 0);
	cr_assert_eq(relay_know(r, uid, span_str(date), span_str(flags)), 0);
	cr_assert_eq(relay_bytes(r, span_str(body)), 0);
	relay_end(r);
}

static void assert_head(const struct relay *r, const char *date, const char *flags, const char *ready)
{
	cr_assert(span_eq(relay_date(r), span_str(date)), "%.*s", SPAN_ARG(relay_date(r)));
	cr_assert(span_eq(relay_flags(r), span_str(flags)), "%.*s", SPAN_ARG(relay_flags(r)));
	cr_assert(span_eq(relay_ready(r), span_str(ready)), "%.*s", SPAN_ARG(relay_ready(r)));
}

static void take_all(struct relay *r)
{
	relay_take(r, relay_ready(r).n);
	relay_pop(r);
}

Test(relay, empty)
{
	struct relay r;

	relay_init(&r);
	cr_assert_null(relay_head(&r));
	cr_assert_not(relay_is_full(&r));
	cr_assert(relay_is_low(&r));
	cr_assert_not(relay_is_open(&r));
	cr_assert_not(relay_take_back(&r));
	relay_done(&r);
	relay_done(&r);
}

Test(relay, a_message_as_it_arrives)
{
	struct relay r;
	struct relay_item *h;

	relay_init(&r);
	cr_assert_eq(relay_begin(&r, SENT, 10, true), 0);
	cr_assert(relay_is_open(&r));
	h = relay_head(&r);
	cr_assert_eq(h, relay_tail(&r));
	cr_assert(h->kind == RELAY_MESSAGE && h->folder == SENT && h->most == 1 && !h->known && !h->whole && !h->dropped);
	cr_assert(h->size == 10 && h->left == 10 && h->missing == 10);
	cr_assert_eq(relay_ready(&r).n, 0);
	cr_assert_eq(relay_bytes(&r, SPAN("abcd")), 0);
	cr_assert_eq(relay_know(&r, 42, SPAN("yesterday"), SPAN("\\Seen x")), 0);
	cr_assert(h->known && h->uid == 42 && h->left == 10 && h->missing == 6);
	assert_head(&r, "yesterday", "\\Seen x", "abcd");
	relay_take(&r, 3);
	assert_head(&r, "yesterday", "\\Seen x", "d");
	cr_assert(h->left == 7 && h->missing == 6);
	cr_assert_eq(relay_bytes(&r, SPAN("efghij")), 0);
	assert_head(&r, "yesterday", "\\Seen x", "defghij");
	cr_assert_not(h->whole);
	relay_end(&r);
	cr_assert(h->whole);
	cr_assert_not(relay_is_open(&r));
	take_all(&r);
	cr_assert_null(relay_head(&r));
	relay_done(&r);
}

Test(relay, messages_and_marks_keep_their_order)
{
	struct relay r;
	struct relay_item *h;

	relay_init(&r);
	put(&r, 1, "d1", "f1", "first");
	cr_assert_eq(relay_mark(&r, RELAY_MARK, INBOX, 2), 0);
	put(&r, 5, "", "", "");
	put(&r, 6, "d3", "", "third");
	cr_assert_eq(relay_mark(&r, RELAY_END, SENT, 0), 0);
	assert_head(&r, "d1", "f1", "first");
	take_all(&r);
	h = relay_head(&r);
	cr_assert(h->kind == RELAY_MARK && h->uid == 2 && h->folder == INBOX);
	cr_assert_eq(relay_ready(&r).n, 0);
	relay_pop(&r);
	cr_assert_eq(relay_head(&r)->uid, 5);
	assert_head(&r, "", "", "");
	take_all(&r);
	assert_head(&r, "d3", "", "third");
	take_all(&r);
	h = relay_head(&r);
	cr_assert(h->kind == RELAY_END && h->folder == SENT);
	relay_pop(&r);
	cr_assert_null(relay_head(&r));
	relay_done(&r);
}

/* A message of 64 MiB goes through a queue that never holds more than the high water and one piece. */
Test(relay, a_large_message_is_never_kept_whole)
{
	enum { PIECE = 64 << 10, PIECES = 1024 };
	static char piece[PIECE];
	struct relay r;
	uint64_t arrived = 0;
	bool was_full = false;

	relay_init(&r);
	cr_assert_eq(relay_begin(&r, INBOX, (uint64_t)PIECE * PIECES, false), 0);
	cr_assert_eq(relay_know(&r, 1, SPAN("d"), SPAN("f")), 0);
	for (unsigned i = 0; i < PIECES; i++) {
		memset(piece, (int)(i & 0xff), PIECE);
		cr_assert_eq(relay_bytes(&r, span_of(piece, PIECE)), 0);
		cr_assert_leq(r.bytes.n, RELAY_HIGH + PIECE);
		if (!relay_is_full(&r))
			continue;
		was_full = true;
		while (!relay_is_low(&r)) {
			struct span ready = relay_ready(&r);
			size_t n = ready.n < 10000 ? ready.n : 10000;

			for (size_t b = 0; b < n; b++, arrived++)
				cr_assert((unsigned char)ready.p[b] == (arrived / PIECE & 0xff));
			relay_take(&r, n);
		}
	}
	relay_end(&r);
	cr_assert(was_full);
	cr_assert_eq(relay_head(&r)->left, (uint64_t)PIECE * PIECES - arrived);
	cr_assert_leq(r.bytes.size, 1 << 20);
	take_all(&r);
	relay_done(&r);
}

Test(relay, water_marks_of_bytes)
{
	static char piece[RELAY_HIGH];
	struct relay r;

	relay_init(&r);
	cr_assert_eq(relay_begin(&r, INBOX, RELAY_HIGH, false), 0);
	cr_assert_eq(relay_bytes(&r, span_of(piece, RELAY_LOW)), 0);
	cr_assert(relay_is_low(&r));
	cr_assert_eq(relay_bytes(&r, span_of(piece, 1)), 0);
	cr_assert_not(relay_is_low(&r));
	cr_assert_eq(relay_bytes(&r, span_of(piece, RELAY_HIGH - RELAY_LOW - 2)), 0);
	cr_assert_not(relay_is_full(&r));
	cr_assert_eq(relay_bytes(&r, span_of(piece, 1)), 0);
	cr_assert(relay_is_full(&r));
	relay_take(&r, RELAY_HIGH - RELAY_LOW - 1);
	cr_assert_not(relay_is_full(&r));
	cr_assert_not(relay_is_low(&r));
	relay_take(&r, 1);
	cr_assert(relay_is_low(&r));
	relay_done(&r);
}

/* Messages without a byte, and flags without end, are bounded, too. */
Test(relay, many_small_things_make_it_full)
{
	static char flags[40000];
	struct relay r;
	unsigned n = 0;

	relay_init(&r);
	for (; !relay_is_full(&r); n++)
		put(&r, n + 1, "", "", "");
	cr_assert_leq(n, 1000);
	cr_assert_not(relay_is_low(&r));
	while (!relay_is_low(&r))
		take_all(&r);
	cr_assert_not_null(relay_head(&r));
	while (relay_head(&r) != NULL)
		take_all(&r);
	memset(flags, 'f', sizeof(flags));
	for (n = 0; !relay_is_full(&r); n++) {
		cr_assert_eq(relay_begin(&r, INBOX, 0, false), 0);
		cr_assert_eq(relay_know(&r, 1, SPAN_NONE, span_of(flags, sizeof(flags))), 0);
		relay_end(&r);
	}
	cr_assert_leq(n, 10);
	cr_assert_not(relay_is_low(&r));
	while (!relay_is_low(&r))
		take_all(&r);
	relay_done(&r);
}

Test(relay, limits)
{
	static char big[1 << 20];
	struct relay r;
	size_t n;

	relay_init(&r);
	put(&r, 1, "d", "f", "body");
	cr_assert_eq(relay_begin(&r, INBOX, 2 << 20, false), 0);
	memset(big, 'x', sizeof(big));
	cr_assert_eq(relay_know(&r, 1, span_of(big, 256), SPAN_NONE), PROTO_ERR_CAP);
	cr_assert_eq(relay_know(&r, 1, SPAN_NONE, span_of(big, 65536)), PROTO_ERR_CAP);
	cr_assert_not(relay_tail(&r)->known);
	cr_assert_eq(relay_know(&r, 2, span_of(big, 255), span_of(big, 65535)), 0);
	cr_assert_eq(relay_bytes(&r, span_of(big, sizeof(big))), PROTO_ERR_CAP);
	cr_assert_eq(relay_tail(&r)->missing, 2 << 20);
	cr_assert_eq(relay_bytes(&r, span_of(big, sizeof(big) - 4)), 0);
	cr_assert_eq(relay_bytes(&r, SPAN("y")), PROTO_ERR_CAP);
	assert_head(&r, "d", "f", "body");
	for (n = 2; n < 2048; n++)
		cr_assert_eq(relay_mark(&r, RELAY_MARK, INBOX, 1), 0);
	cr_assert_eq(relay_mark(&r, RELAY_MARK, INBOX, 1), PROTO_ERR_CAP);
	cr_assert_eq(relay_begin(&r, INBOX, 1, false), PROTO_ERR_CAP);
	assert_head(&r, "d", "f", "body");
	relay_done(&r);
}

/* The text of a message that could not be added must not be taken for the next one's. */
Test(relay, text_that_does_not_fit_leaves_nothing_behind)
{
	static char flags[65535];
	struct relay r;

	relay_init(&r);
	memset(flags, 'f', sizeof(flags));
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(relay_begin(&r, INBOX, 0, false), 0);
		cr_assert_eq(relay_know(&r, 1, SPAN_NONE, span_of(flags, sizeof(flags))), 0);
		relay_end(&r);
	}
	/* 4 bytes are left. */
	cr_assert_eq(relay_begin(&r, INBOX, 0, false), 0);
	cr_assert_eq(relay_know(&r, 2, SPAN("abc"), SPAN("de")), PROTO_ERR_CAP);
	cr_assert_eq(relay_know(&r, 2, SPAN("xyz"), SPAN("w")), 0);
	relay_end(&r);
	for (int i = 0; i < 4; i++)
		take_all(&r);
	assert_head(&r, "xyz", "w", "");
	relay_done(&r);
}

Test(relay, a_dropped_message_is_thrown_away_as_it_comes)
{
	struct relay r;
	struct relay_item *h;

	relay_init(&r);
	cr_assert_eq(relay_begin(&r, INBOX, 10, false), 0);
	cr_assert_eq(relay_know(&r, 7, SPAN("date"), SPAN("flags")), 0);
	cr_assert_eq(relay_bytes(&r, SPAN("abc")), 0);
	h = relay_head(&r);
	h->begun = h->dropped = true;
	cr_assert_eq(relay_bytes(&r, SPAN("defg")), 0);
	cr_assert_eq(relay_ready(&r).n, 3);
	relay_take(&r, 3);
	cr_assert(h->left == 3 && h->missing == 3);
	cr_assert_eq(relay_bytes(&r, SPAN("hij")), 0);
	cr_assert_eq(r.bytes.n, 0);
	relay_end(&r);
	relay_pop(&r);
	put(&r, 8, "d", "f", "next");
	assert_head(&r, "d", "f", "next");
	take_all(&r);
	relay_done(&r);
}

Test(relay, take_back)
{
	struct relay r;

	relay_init(&r);
	put(&r, 1, "d1", "f1", "first");
	/* There is nothing open. */
	cr_assert_not(relay_take_back(&r));
	cr_assert_eq(relay_begin(&r, INBOX, 10, false), 0);
	cr_assert_eq(relay_bytes(&r, SPAN("abc")), 0);
	cr_assert(relay_take_back(&r));
	cr_assert_not(relay_is_open(&r));
	cr_assert_not(relay_take_back(&r));
	cr_assert_eq(relay_begin(&r, INBOX, 10, false), 0);
	cr_assert_eq(relay_know(&r, 2, SPAN("lost"), SPAN("lost")), 0);
	cr_assert_eq(relay_bytes(&r, SPAN("abc")), 0);
	cr_assert(relay_take_back(&r));
	put(&r, 3, "d3", "f3", "third");
	assert_head(&r, "d1", "f1", "first");
	take_all(&r);
	assert_head(&r, "d3", "f3", "third");
	/* The open one is the head now. */
	cr_assert_eq(relay_begin(&r, INBOX, 10, false), 0);
	take_all(&r);
	cr_assert(relay_take_back(&r));
	cr_assert_null(relay_head(&r));
	relay_done(&r);
}

Test(relay, what_is_being_sent_is_not_taken_back)
{
	struct relay r;

	relay_init(&r);
	cr_assert_eq(relay_begin(&r, INBOX, 10, false), 0);
	cr_assert_eq(relay_know(&r, 2, SPAN("d"), SPAN("f")), 0);
	relay_head(&r)->begun = true; /* announced, and no byte has gone yet */
	cr_assert_not(relay_take_back(&r));
	cr_assert(relay_is_open(&r));
	cr_assert_eq(relay_bytes(&r, SPAN("abcde")), 0);
	relay_take(&r, 2);
	cr_assert_not(relay_take_back(&r));
	assert_head(&r, "d", "f", "cde");
	/* Unless it was refused meanwhile. */
	relay_head(&r)->dropped = true;
	cr_assert(relay_take_back(&r));
	cr_assert_null(relay_head(&r));
	cr_assert_eq(r.bytes.n, 0);
	cr_assert_eq(r.text.n, 0);
	put(&r, 3, "d3", "f3", "third");
	assert_head(&r, "d3", "f3", "third");
	relay_done(&r);
}

/* The last byte may be on its way before the source's response ends. */
Test(relay, a_message_may_be_sent_before_its_end_is_told)
{
	struct relay r;

	relay_init(&r);
	cr_assert_eq(relay_begin(&r, INBOX, 3, false), 0);
	cr_assert_eq(relay_know(&r, 2, SPAN("d"), SPAN("f")), 0);
	cr_assert_eq(relay_bytes(&r, SPAN("abc")), 0);
	take_all(&r);
	cr_assert_not(relay_is_open(&r));
	cr_assert_not(relay_take_back(&r));
	cr_assert_null(relay_head(&r));
	put(&r, 3, "d3", "f3", "third");
	assert_head(&r, "d3", "f3", "third");
	relay_done(&r);
}

static uint32_t seed = 7;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void text_of(uint32_t uid, char *date, char *flags, char *body)
{
	snprintf(date, 32, "%.*s", (int)(uid % 9), "date-date");
	snprintf(flags, 32, "f%u", uid * 7);
	snprintf(body, 64, "%u:%.*s", uid, (int)(uid % 41), "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop");
}

/* Reader and writer take turns at random; the ring grows while it is turned. */
Test(relay, at_random)
{
	struct relay r;
	uint32_t in = 1, out = 1;
	char date[32], flags[32], body[64];

	relay_init(&r);
	while (out < 20000) {
		if (random_below(2) == 0 && !relay_is_full(&r)) {
			for (uint32_t n = random_below(40); n > 0; n--, in++) {
				text_of(in, date, flags, body);
				if (in % 5 == 0)
					cr_assert_eq(relay_mark(&r, RELAY_MARK, SENT, in), 0);
				else
					put(&r, in, date, flags, body);
			}
		} else {
			for (uint32_t n = random_below(41); n > 0 && relay_head(&r) != NULL; n--, out++) {
				text_of(out, date, flags, body);
				cr_assert_eq(relay_head(&r)->uid, out);
				if (out % 5 == 0) {
					cr_assert_eq(relay_head(&r)->kind, RELAY_MARK);
				} else {
					assert_head(&r, date, flags, body);
					relay_take(&r, strlen(body));
				}
				relay_pop(&r);
			}
		}
	}
	relay_done(&r);
}

static int work(struct relay *r)
{
	int err = 0;

	for (uint32_t uid = 1; uid < 200 && err == 0; uid++) {
		err = relay_begin(r, INBOX, 100, false);
		if (err == 0)
			err = relay_know(r, uid, SPAN("12345678901234567890123456"), SPAN("\\Seen"));
		for (int i = 0; i < 2 && err == 0; i++)
			err = relay_bytes(r, SPAN("12345678901234567890123456789012345678901234567890"));
		if (err == 0)
			relay_end(r);
		if (err == 0)
			err = relay_mark(r, RELAY_MARK, INBOX, uid);
	}
	return err;
}

Test(relay, out_of_memory)
{
	size_t n = 0;
	int err;

	do {
		struct relay r;

		relay_init(&r);
		failmalloc_arm(++n);
		err = work(&r);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		/* What came before is whole. */
		if (relay_is_open(&r))
			cr_assert(relay_take_back(&r));
		for (uint32_t uid = 1; relay_head(&r) != NULL; uid++) {
			cr_assert_eq(relay_head(&r)->uid, uid);
			assert_head(&r, "12345678901234567890123456", "\\Seen",
				"12345678901234567890123456789012345678901234567890"
				"12345678901234567890123456789012345678901234567890");
			take_all(&r);
			if (relay_head(&r) != NULL) {
				cr_assert(relay_head(&r)->kind == RELAY_MARK && relay_head(&r)->uid == uid);
				relay_pop(&r);
			}
		}
		relay_done(&r);
	} while (failmalloc_fired());
	cr_assert_gt(n, 10);
}
