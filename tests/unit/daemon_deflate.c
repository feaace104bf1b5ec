#include "deflate.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(daemon_deflate, .fini = leaks_check);

#define PLAIN_N (300u << 10)

static char plain[PLAIN_N], packed[2 * PLAIN_N], back[2 * PLAIN_N];
static uint32_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* Lines of words, with stretches that no compressor makes smaller. */
static void make_plain(void)
{
	static const char *const words[] = { "Received: ", "from ", "mail ", "the ", "of ", "\r\n", "Subject: ", "meeting ", "invoice " };

	seed = 1;
	for (size_t n = 0; n < PLAIN_N;) {
		const char *word = words[any(9)];

		for (size_t i = 0; word[i] != '\0' && n < PLAIN_N; i++)
			plain[n++] = word[i];
		for (uint32_t i = any(50) == 0 ? any(5000) : 0; i > 0 && n < PLAIN_N; i--)
			plain[n++] = (char)any(256);
	}
}

/* Puts all of `in` in, in pieces of at most `piece`, with room for `room`; returns the end of the output. */
static size_t deflate_all(struct deflater *d, struct span in, size_t piece, size_t room, bool flush_each, size_t at)
{
	do {
		struct span one = span_first(in, piece);
		bool flush = flush_each || one.n == in.n;
		size_t n;

		in = span_from(in, one.n);
		do {
			n = deflater_put(d, &one, flush, packed + at, room);
			cr_assert_leq(n, room);
			at += n;
		} while (n == room || one.n > 0);
	} while (in.n > 0);
	return at;
}

static size_t inflate_all(struct inflater *i, struct span in, size_t piece, size_t room, size_t at)
{
	while (in.n > 0) {
		struct span one = span_first(in, piece);
		size_t n;

		in = span_from(in, one.n);
		do {
			cr_assert_eq(inflater_put(i, &one, back + at, room, &n), 0);
			cr_assert_leq(n, room);
			at += n;
		} while (n == room || one.n > 0);
	}
	return at;
}

Test(daemon_deflate, what_goes_in_comes_out_in_whatever_pieces)
{
	static const size_t piece[] = { 1, 7, 100, 4096, 16384, PLAIN_N }, room[] = { DEFLATER_ROOM, 65, 1000, 16384 };

	make_plain();
	for (int kind = DEFLATER_SMALL; kind <= DEFLATER_LARGE; kind++)
		for (size_t p = 0; p < 6; p++)
			for (size_t r = 0; r < 4; r++) {
				struct deflater *d = deflater_new(kind);
				struct inflater *i = inflater_new();
				size_t n = p == 0 ? 3000 : PLAIN_N, out, in;

				out = deflate_all(d, span_of(plain, n), piece[p], room[r], false, 0);
				in = inflate_all(i, span_of(packed, out), piece[5 - p], room[r] - 63, 0);
				cr_assert(in == n && memcmp(plain, back, n) == 0, "kind %d, pieces of %zu, room for %zu", kind, piece[p], room[r]);
				deflater_free(&d);
				inflater_free(&i);
				cr_assert(d == NULL && i == NULL);
			}
	deflater_free(NULL);
	inflater_free(NULL);
}

Test(daemon_deflate, a_flush_brings_out_all_that_went_in)
{
	struct deflater *d = deflater_new(DEFLATER_LARGE);
	struct inflater *i = inflater_new();
	size_t out = 0, in = 0;

	make_plain();
	for (size_t n = 0; n < 20000; n += 100) {
		size_t from = out;

		out = deflate_all(d, span_of(plain + n, 100), 100, 64, true, out);
		in = inflate_all(i, span_of(packed + from, out - from), 16384, 16384, in);
		cr_assert_eq(in, n + 100);
	}
	cr_assert_eq(memcmp(plain, back, in), 0);
	deflater_free(&d);
	inflater_free(&i);
}

Test(daemon_deflate, a_flush_of_nothing_is_nothing)
{
	struct deflater *d = deflater_new(DEFLATER_SMALL);
	struct span none = SPAN_NONE, noop = SPAN("g1 NOOP\r\n");

	cr_assert_gt(deflater_put(d, &noop, true, packed, 100), 0);
	cr_assert_eq(deflater_put(d, &none, true, packed, 100), 0);
	cr_assert_eq(deflater_put(d, &none, false, packed, 100), 0);
	deflater_free(&d);
}

Test(daemon_deflate, without_a_flush_small_pieces_stay_within)
{
	struct deflater *d = deflater_new(DEFLATER_LARGE);
	struct span piece = SPAN("From: Ann Archer <ann@old.example>\r\n");

	cr_assert_eq(deflater_put(d, &piece, false, packed, 100), 0);
	cr_assert_eq(piece.n, 0);
	deflater_free(&d);
}

/* The promise of memory is kept by what zlib asks for in the end, not at birth alone. */
Test(daemon_deflate, memory_is_bounded_from_birth)
{
	static const size_t most[] = { DEFLATER_SMALL_MAX, DEFLATER_LARGE_MAX };
	struct inflater *i;

	make_plain();
	for (int kind = DEFLATER_SMALL; kind <= DEFLATER_LARGE; kind++) {
		struct deflater *d = deflater_new(kind);
		size_t born = deflater_memory(d), out;

		cr_assert_leq(born, most[kind], "%zu", born);
		cr_assert_gt(born, most[kind] / 2, "%zu", born);
		out = deflate_all(d, span_of(plain, PLAIN_N), 5000, 5000, false, 0);
		cr_assert_eq(deflater_memory(d), born);
		deflater_free(&d);
		i = inflater_new();
		born = inflater_memory(i);
		inflate_all(i, span_of(packed, out), 5000, 5000, 0);
		cr_assert_leq(inflater_memory(i), INFLATER_MAX, "%zu", inflater_memory(i));
		cr_assert_geq(inflater_memory(i), born + (kind == DEFLATER_LARGE ? 32u << 10 : 0));
		inflater_free(&i);
	}
}

/* A thousand times as much comes out as went in: never more than there is room for, and all of it in the end. */
Test(daemon_deflate, a_bomb_comes_in_pieces)
{
	struct deflater *d = deflater_new(DEFLATER_LARGE);
	struct inflater *i = inflater_new();
	size_t out = 0, n, all = 0;
	struct span in;

	memset(plain, 'a', sizeof(plain));
	for (int k = 0; k < 100; k++)
		out = deflate_all(d, span_of(plain, PLAIN_N), PLAIN_N, 16384, false, out);
	cr_assert_lt(out, sizeof(plain) / 2);
	in = span_of(packed, out);
	do {
		cr_assert_eq(inflater_put(i, &in, back, 1000, &n), 0);
		cr_assert_leq(n, 1000);
		all += n;
	} while (n == 1000 || in.n > 0);
	cr_assert_eq(all, 100 * (size_t)PLAIN_N);
	cr_assert_leq(inflater_memory(i), INFLATER_MAX);
	deflater_free(&d);
	inflater_free(&i);
}

Test(daemon_deflate, what_is_not_deflate_is_an_error)
{
	static const struct span bad[] = { SPAN("* OK still here\r\n"), SPAN("\xff\xff\xff\xff"), SPAN("\x06") };
	char room[100];
	size_t n;

	for (size_t k = 0; k < 3; k++) {
		struct inflater *i = inflater_new();
		struct span in = bad[k];

		cr_assert_eq(inflater_put(i, &in, room, sizeof(room), &n), PROTO_ERR_SYNTAX, "%zu", k);
		in = SPAN_NONE;
		cr_assert_eq(inflater_put(i, &in, room, sizeof(room), &n), PROTO_ERR_SYNTAX);
		inflater_free(&i);
	}
}

Test(daemon_deflate, nothing_comes_behind_the_end_of_the_stream)
{
	/* A last block, stored: "hi". */
	struct span in = SPAN("\x01\x02\x00\xfd\xffhi");
	struct inflater *i = inflater_new();
	char room[100];
	size_t n;

	cr_assert_eq(inflater_put(i, &in, room, sizeof(room), &n), 0);
	cr_assert(n == 2 && in.n == 0 && memcmp(room, "hi", 2) == 0);
	cr_assert_eq(inflater_put(i, &in, room, sizeof(room), &n), 0);
	cr_assert_eq(n, 0);
	in = SPAN("x");
	cr_assert_eq(inflater_put(i, &in, room, sizeof(room), &n), PROTO_ERR_SYNTAX);
	inflater_free(&i);
}

Test(daemon_deflate, every_allocation_may_fail)
{
	struct inflater *i = NULL;
	struct deflater *d = deflater_new(DEFLATER_SMALL);
	size_t n = 0, all, out;

	make_plain();
	all = deflate_all(d, span_of(plain, 1000), 1000, 1000, true, 0);
	deflater_free(&d);
	do {
		failmalloc_arm(++n);
		d = deflater_new(DEFLATER_LARGE);
		failmalloc_disarm();
		cr_assert_eq(d == NULL, failmalloc_fired());
		deflater_free(&d);
	} while (failmalloc_fired());
	cr_assert_gt(n, 4);
	n = 0;
	do {
		struct span in = span_of(packed, all);
		int err = PROTO_ERR_NOMEM;

		failmalloc_arm(++n);
		i = inflater_new();
		if (i != NULL)
			err = inflater_put(i, &in, back, sizeof(back), &out);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0, "%zu: %d", n, err);
		inflater_free(&i);
	} while (failmalloc_fired());
	cr_assert_gt(n, 3);
}
