#include <criterion/criterion.h>

#include "buf.h"
#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(buf, .fini = leaks_check);

Test(buf, appends_and_consumes)
{
	struct buf b;

	buf_init(&b, 100);
	cr_assert_eq(buf_span(&b).n, 0);
	cr_assert_eq(buf_append(&b, SPAN("abc")), 0);
	cr_assert_eq(buf_append(&b, SPAN_NONE), 0);
	cr_assert_eq(buf_add_str(&b, "de"), 0);
	cr_assert_eq(buf_add_str(&b, NULL), 0);
	cr_assert_eq(buf_add_char(&b, '\0'), 0);
	cr_assert(span_eq(buf_span(&b), SPAN("abcde\0")));
	buf_consume(&b, 2);
	cr_assert(span_eq(buf_span(&b), SPAN("cde\0")));
	buf_truncate(&b, 1);
	cr_assert(span_eq(buf_span(&b), SPAN("c")));
	buf_consume(&b, 1);
	cr_assert_eq(b.off, 0);
	cr_assert_eq(b.n, 0);
	cr_assert_eq(buf_add_str(&b, "x"), 0);
	buf_reset(&b);
	cr_assert_eq(buf_span(&b).n, 0);
	cr_assert_neq(b.p, NULL);
	buf_done(&b);
	cr_assert_eq(b.p, NULL);
	cr_assert_eq(b.size, 0);
	cr_assert_eq(b.cap, 100);
	cr_assert_eq(buf_add_str(&b, "again"), 0);
	buf_wipe(&b);
	cr_assert_eq(b.p, NULL);
	buf_wipe(&b);
	buf_done(&b);
	buf_done(NULL);
	buf_wipe(NULL);
}

Test(buf, numbers)
{
	struct buf b = { .cap = 100 };

	cr_assert_eq(buf_add_u64(&b, 0), 0);
	cr_assert_eq(buf_add_char(&b, ' '), 0);
	cr_assert_eq(buf_add_u64(&b, 10), 0);
	cr_assert_eq(buf_add_char(&b, ' '), 0);
	cr_assert_eq(buf_add_u64(&b, UINT64_MAX), 0);
	cr_assert(span_eq(buf_span(&b), SPAN("0 10 18446744073709551615")));
	buf_done(&b);
}

Test(buf, the_cap_is_exact)
{
	for (size_t cap = 1; cap < 300; cap++) {
		struct buf b, same;
		char *to = NULL;

		buf_init(&b, cap);
		for (size_t i = 0; i < cap; i++)
			cr_assert_eq(buf_add_char(&b, (char)i), 0);
		cr_assert_eq(b.n, cap);
		cr_assert_leq(b.size, cap);
		same = b;
		cr_assert_eq(buf_add_char(&b, 'x'), PROTO_ERR_CAP);
		cr_assert_eq(buf_add_u64(&b, 1), PROTO_ERR_CAP);
		cr_assert_eq(buf_reserve(&b, 1, &to), PROTO_ERR_CAP);
		cr_assert_eq(buf_reserve(&b, SIZE_MAX, &to), PROTO_ERR_CAP);
		cr_assert_eq(memcmp(&b, &same, sizeof(b)), 0);
		cr_assert_eq(to, NULL);
		for (size_t i = 0; i < cap; i++)
			cr_assert_eq(b.p[i], (char)i);
		/* What is consumed can be used again. */
		buf_consume(&b, 1);
		cr_assert_eq(buf_add_char(&b, 'x'), 0);
		cr_assert_eq(buf_add_char(&b, 'x'), PROTO_ERR_CAP);
		cr_assert_eq(buf_span(&b).p[cap - 1], 'x');
		buf_done(&b);
	}
}

Test(buf, reserve_and_commit)
{
	struct buf b = { .cap = 5000 };
	char *to = NULL;

	cr_assert_eq(buf_reserve(&b, 0, &to), 0);
	cr_assert_eq(buf_reserve(&b, 5000, &to), 0);
	memset(to, 'a', 5000);
	buf_commit(&b, 3);
	cr_assert(span_eq(buf_span(&b), SPAN("aaa")));
	buf_commit(&b, 4997);
	cr_assert_eq(buf_reserve(&b, 1, &to), PROTO_ERR_CAP);
	buf_consume(&b, 4999);
	cr_assert_eq(buf_reserve(&b, 4999, &to), 0);
	memset(to, 'b', 4999);
	buf_commit(&b, 4999);
	cr_assert_eq(buf_span(&b).p[0], 'a');
	cr_assert_eq(buf_span(&b).p[4999], 'b');
	buf_done(&b);
}

/* Random appends and consumes against a plain array. */
Test(buf, behaves_like_a_queue)
{
	static unsigned char model[70000];
	uint32_t seed = 1;
	struct buf b = { .cap = 700 };
	size_t from = 0, to = 0;
	unsigned char next = 0;

	while (to < sizeof(model) - 100) {
		size_t n;

		seed = seed * 1664525 + 1013904223;
		n = (seed >> 16) % 90;
		if ((seed >> 8 & 3) != 0) {
			char piece[90];
			int err;

			for (size_t i = 0; i < n; i++)
				piece[i] = (char)(next + i);
			err = buf_append(&b, span_of(piece, n));
			cr_assert_eq(err, n > 700 - (to - from) ? PROTO_ERR_CAP : 0);
			for (size_t i = 0; err == 0 && i < n; i++)
				model[to++] = next++;
		} else {
			n = n * 4 < to - from ? n * 4 : to - from;
			buf_consume(&b, n);
			from += n;
		}
		cr_assert_eq(b.n, to - from);
		cr_assert(b.off + b.n <= b.size && b.size <= b.cap);
		cr_assert(span_eq(buf_span(&b), span_of((char *)model + from, to - from)));
	}
	buf_done(&b);
}

Test(buf, a_failed_allocation_changes_nothing)
{
	struct buf b = { .cap = 1000 }, same = b;
	char *to = NULL;

	failmalloc_arm(1);
	cr_assert_eq(buf_add_char(&b, 'a'), PROTO_ERR_NOMEM);
	failmalloc_disarm();
	cr_assert(failmalloc_fired());
	cr_assert_eq(memcmp(&b, &same, sizeof(b)), 0);
	cr_assert_eq(buf_add_str(&b, "0123456789012345678901234567890123456789"), 0);
	buf_consume(&b, 3);
	same = b;
	failmalloc_arm(1);
	cr_assert_eq(buf_reserve(&b, 900, &to), PROTO_ERR_NOMEM);
	failmalloc_disarm();
	cr_assert_eq(memcmp(&b, &same, sizeof(b)), 0);
	cr_assert_eq(to, NULL);
	cr_assert(span_eq(buf_span(&b), SPAN("3456789012345678901234567890123456789")));
	buf_done(&b);
}

/* A buffer that has reached its size does not allocate any more. */
Test(buf, steady_use_does_not_allocate)
{
	struct buf b = { .cap = 4096 };
	char piece[512] = { 0 };

	for (int i = 0; i < 8; i++)
		cr_assert_eq(buf_append(&b, span_of(piece, sizeof(piece))), 0);
	failmalloc_arm(0);
	for (int i = 0; i < 1000; i++) {
		buf_consume(&b, 300);
		cr_assert_eq(buf_append(&b, span_of(piece, 300)), 0);
	}
	failmalloc_disarm();
	cr_assert_eq(failmalloc_count(), 0);
	buf_done(&b);
}
