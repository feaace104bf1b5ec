/* What goes out is tested with a conn behind it, in daemon_peer.c. */
#include "squeeze.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "deflate.h"
#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(daemon_squeeze, .fini = leaks_check);

#define PLAIN_N 200000u

static char plain[PLAIN_N], packed[2 * PLAIN_N];

static size_t pack(void)
{
	struct deflater *d = deflater_new(DEFLATER_LARGE);
	struct span in = span_of(plain, PLAIN_N);
	size_t n;

	for (size_t i = 0; i < PLAIN_N; i++)
		plain[i] = (char)(i * i / 7 % 251);
	n = deflater_put(d, &in, true, packed, sizeof(packed));
	deflater_free(&d);
	return n;
}

/* Takes all plain bytes as a session would: some of each piece, then the rest. */
static size_t take(struct squeeze *q, struct span data, size_t at)
{
	size_t n;

	do {
		struct span *in = squeeze_plain(q);

		while (in->n > 0) {
			size_t some = (in->n + 1) / 2;

			cr_assert(at + some <= PLAIN_N && memcmp(in->p, plain + at, some) == 0);
			*in = span_from(*in, some);
			at += some;
		}
		cr_assert_eq(squeeze_next(q, &data, &n), 0);
		cr_assert_eq(squeeze_plain(q)->n, n);
	} while (n > 0);
	cr_assert_eq(data.n, 0);
	return at;
}

Test(daemon_squeeze, all_comes_in_whatever_the_pieces)
{
	static const size_t piece[] = { 1, 100, 4096, sizeof(packed) };
	struct loop *l = loop_new();
	size_t all = pack();

	for (size_t i = 0; i < 4; i++) {
		struct squeeze *q = squeeze_new(l, NULL, SOURCE);
		size_t at = 0;

		for (size_t from = 0; from < all; from += piece[i])
			at = take(q, span_first(span_of(packed + from, all - from), piece[i]), at);
		cr_assert_eq(at, PLAIN_N);
		squeeze_free(&q);
		cr_assert_null(q);
	}
	loop_free(&l);
}

Test(daemon_squeeze, what_is_not_deflate_is_an_error)
{
	struct loop *l = loop_new();
	struct squeeze *q = squeeze_new(l, NULL, TARGET);
	struct span in = SPAN("* OK still here\r\n");
	size_t n;

	cr_assert_eq(squeeze_next(q, &in, &n), PROTO_ERR_SYNTAX);
	cr_assert_eq(n, 0);
	squeeze_free(&q);
	loop_free(&l);
}

Test(daemon_squeeze, a_mailbox_keeps_its_promise_of_memory)
{
	struct loop *l = loop_new();
	size_t all = pack(), memory[SIDES];

	for (int side = SOURCE; side <= TARGET; side++) {
		struct squeeze *q = squeeze_new(l, NULL, side);

		take(q, span_of(packed, all), 0);
		memory[side] = squeeze_memory(q);
		squeeze_free(&q);
	}
	cr_assert_leq(memory[SOURCE], 72u << 10, "%zu", memory[SOURCE]);
	cr_assert_leq(memory[TARGET], 168u << 10, "%zu", memory[TARGET]);
	loop_free(&l);
}

Test(daemon_squeeze, every_allocation_may_fail)
{
	struct loop *l = loop_new();
	struct squeeze *q;
	size_t n = 0;

	do {
		failmalloc_arm(++n);
		q = squeeze_new(l, NULL, TARGET);
		failmalloc_disarm();
		cr_assert_eq(q == NULL, failmalloc_fired());
		squeeze_free(&q);
	} while (failmalloc_fired());
	cr_assert_gt(n, 8);
	squeeze_free(NULL);
	squeeze_stop(NULL);
	loop_free(&l);
}
