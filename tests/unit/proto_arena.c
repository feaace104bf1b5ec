#include <criterion/criterion.h>
#include <stdalign.h>

#include "arena.h"
#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(arena, .fini = leaks_check);

Test(arena, pieces_are_aligned_and_apart)
{
	struct arena a;
	unsigned char *piece[500];

	arena_init(&a, 1 << 20);
	arena_reset(&a);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 500; i++) {
			piece[i] = arena_alloc(&a, i);
			cr_assert_neq(piece[i], NULL);
			cr_assert_eq((uintptr_t)piece[i] % alignof(max_align_t), 0);
			memset(piece[i], (int)(i & 0xff), i);
		}
		for (size_t i = 0; i < 500; i++)
			for (size_t j = 0; j < i; j++)
				cr_assert_eq(piece[i][j], i & 0xff);
		cr_assert_geq(a.used, 499 * 500 / 2);
		arena_reset(&a);
		cr_assert_eq(a.used, 0);
	}
	arena_done(&a);
	cr_assert_eq(a.first, NULL);
	cr_assert_eq(a.cap, 1 << 20);
	arena_done(&a);
	arena_done(NULL);
}

Test(arena, the_cap_holds_for_large_and_tiny_ones)
{
	struct arena a;
	size_t n = 0;

	arena_init(&a, 10000);
	cr_assert_eq(arena_alloc(&a, 10001), NULL);
	cr_assert_eq(arena_alloc(&a, SIZE_MAX), NULL);
	cr_assert_eq(arena_alloc(&a, SIZE_MAX - 8), NULL);
	cr_assert_eq(a.used, 0);
	cr_assert_neq(arena_alloc(&a, 10000), NULL);
	cr_assert_eq(arena_alloc(&a, 1), NULL);
	cr_assert_eq(arena_alloc(&a, 0), NULL);
	arena_reset(&a);
	while (arena_alloc(&a, 0) != NULL)
		n++;
	cr_assert(n > 0 && n <= 10000);
	cr_assert_leq(a.used, 10000);
	arena_done(&a);
}

Test(arena, copies)
{
	struct arena a;
	struct span copy = SPAN("before");
	char text[] = "hello";

	arena_init(&a, 64);
	cr_assert_eq(arena_copy(&a, span_of(text, 5), &copy), 0);
	text[0] = 'x';
	cr_assert(span_eq(copy, SPAN("hello")));
	cr_assert_eq(arena_copy(&a, SPAN_NONE, &copy), 0);
	cr_assert_eq(copy.n, 0);
	copy = SPAN("before");
	cr_assert_eq(arena_copy(&a, SPAN("01234567890123456789012345678901234567890123456789012345678901234"), &copy),
		     PROTO_ERR_CAP);
	cr_assert(span_eq(copy, SPAN("before")));
	arena_reset(&a);
	arena_done(&a);
	failmalloc_arm(1);
	cr_assert_eq(arena_copy(&a, SPAN("a"), &copy), PROTO_ERR_NOMEM);
	failmalloc_disarm();
	cr_assert(failmalloc_fired());
	cr_assert(span_eq(copy, SPAN("before")));
	cr_assert_eq(a.used, 0);
	cr_assert_eq(arena_copy(&a, SPAN("a"), &copy), 0);
	arena_done(&a);
}

Test(arena, a_failed_block_leaves_the_others)
{
	struct arena a;
	char *first, *second;

	arena_init(&a, 1 << 20);
	first = arena_alloc(&a, 2000);
	memset(first, 'a', 2000);
	failmalloc_arm(1);
	cr_assert_eq(arena_alloc(&a, 2000), NULL);
	failmalloc_disarm();
	cr_assert_leq(a.used, 2016);
	second = arena_alloc(&a, 2000);
	cr_assert_neq(second, NULL);
	memset(second, 'b', 2000);
	cr_assert_eq(first[1999], 'a');
	arena_done(&a);
}

Test(arena, small_responses_need_no_allocation_and_a_huge_one_is_given_back)
{
	struct arena a;

	arena_init(&a, 1 << 24);
	cr_assert_neq(arena_alloc(&a, 100), NULL);
	cr_assert_neq(arena_alloc(&a, 1 << 22), NULL);
	arena_reset(&a);
	failmalloc_arm(0);
	for (int i = 0; i < 1000; i++) {
		cr_assert_neq(arena_alloc(&a, 700), NULL);
		arena_reset(&a);
	}
	failmalloc_disarm();
	cr_assert_eq(failmalloc_count(), 0);
	arena_done(&a);
	cr_assert_neq(arena_alloc(&a, 1 << 22), NULL);
	arena_reset(&a);
	cr_assert_eq(a.first, NULL);
	cr_assert_neq(arena_alloc(&a, 1), NULL);
	arena_done(&a);
}
