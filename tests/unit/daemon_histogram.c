#include "histogram.h"
#include "leaks.h"

TestSuite(daemon_histogram, .fini = leaks_check, .timeout = 20);

Test(daemon_histogram, nothing_in_it)
{
	struct histogram h = { 0 };
	cr_assert_eq(histogram_percentile(&h, 50), 0);
	cr_assert_eq(histogram_percentile(&h, 100), 0);
}

Test(daemon_histogram, small_values_are_exact)
{
	struct histogram h = { 0 };
	for (uint64_t v = 1; v <= 8; v++)
		histogram_add(&h, v);
	cr_assert_eq(h.n, 8);
	cr_assert_eq(h.sum, 36);
	cr_assert_eq(h.max, 8);
	cr_assert_eq(histogram_percentile(&h, 0), 1);
	cr_assert_eq(histogram_percentile(&h, 50), 4);
	cr_assert_eq(histogram_percentile(&h, 51), 5);
	cr_assert_eq(histogram_percentile(&h, 100), 8);
}

Test(daemon_histogram, the_bounds_grow_and_every_value_falls_below_the_bound_of_its_bucket)
{
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++)
		cr_assert_gt(histogram_bound(i), histogram_bound(i - 1));
	cr_assert_eq(histogram_bound(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
	for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++)
		for (uint64_t above = 0; above <= 1; above++) {
			struct histogram h = { 0 };
			histogram_add(&h, histogram_bound(i) + above);
			cr_assert_eq(h.bucket[i + above], 1, "bucket %u, %u above its bound", i, (unsigned)above);
		}
}

Test(daemon_histogram, a_percentile_is_at_most_an_eighth_too_high)
{
	for (uint64_t v = 1; v < 4000000000; v = v * 5 / 4 + 1) {
		struct histogram h = { 0 };
		histogram_add(&h, v);
		histogram_add(&h, v * 4);
		uint64_t p = histogram_percentile(&h, 50);
		cr_assert(p >= v && p - v <= v / 8, "%llu for %llu", (unsigned long long)p, (unsigned long long)v);
	}
}

Test(daemon_histogram, one_in_a_hundred)
{
	struct histogram h = { 0 };
	for (int i = 0; i < 990; i++)
		histogram_add(&h, 100);
	for (int i = 0; i < 10; i++)
		histogram_add(&h, 50000);
	cr_assert_leq(histogram_percentile(&h, 99), 112);
	cr_assert_geq(histogram_percentile(&h, 99.1), 50000);
	cr_assert_eq(histogram_percentile(&h, 100), 50000);
}

Test(daemon_histogram, what_is_too_large_is_kept_as_the_largest)
{
	struct histogram h = { 0 };
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, 1);
	cr_assert_eq(h.bucket[HISTOGRAM_BUCKETS - 1], 1);
	cr_assert_eq(h.max, UINT64_MAX);
	cr_assert_eq(histogram_percentile(&h, 100), UINT64_MAX);
}
