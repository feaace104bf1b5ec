/* flow: windows out of round trips and rates. */
#include "flow.h"

#include <criterion/criterion.h>

#define MB (UINT64_C(1) << 20)

static uint64_t now;

/* `bytes` per second for so many ms, told every 10 ms. */
static void run(struct flow *f, uint64_t bytes, unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 10) {
		now += 10;
		flow_count(f, bytes / 100, now);
	}
}

Test(daemon_flow, knows_nothing_at_first)
{
	struct flow f;
	flow_init(&f, 100);
	cr_expect_eq(flow_window(&f, 2 * MB, 16 * MB), 2 * MB);
	flow_count(&f, 1000 * MB, 5);
	cr_expect_eq(flow_window(&f, 2 * MB, 16 * MB), 2 * MB, "the time that took is not known");
}

Test(daemon_flow, is_twice_the_product_of_rate_and_round_trip)
{
	struct flow f;
	now = 1000;
	flow_init(&f, 100);
	run(&f, 20 * MB, 1000);
	uint64_t w = flow_window(&f, 1 * MB, 64 * MB);
	cr_expect(w > 39 * MB / 10 && w <= 4 * MB, "%llu", (unsigned long long)w);
	flow_init(&f, 25);
	run(&f, 20 * MB, 1000);
	w = flow_window(&f, 100000, 64 * MB);
	cr_expect(w > 9 * MB / 10 && w <= MB, "%llu", (unsigned long long)w);
}

Test(daemon_flow, stays_between_its_bounds)
{
	struct flow f;
	now = 1000;
	flow_init(&f, 1000);
	run(&f, 100 * MB, 1000);
	cr_expect_eq(flow_window(&f, 1 * MB, 16 * MB), 16 * MB);
	flow_init(&f, 0);
	run(&f, 100 * MB, 1000);
	cr_expect_eq(flow_window(&f, 1 * MB, 16 * MB), 1 * MB, "no round trip, no need");
	flow_init(&f, UINT64_MAX / 4);
	run(&f, 1, 1000);
	run(&f, 100 * MB, 1000);
	cr_expect_eq(flow_window(&f, 1 * MB, 16 * MB), 16 * MB, "no overflow");
}

Test(daemon_flow, grows_at_once_and_shrinks_slowly)
{
	struct flow f;
	now = 1;
	flow_init(&f, 100);
	run(&f, 1 * MB, 1000);
	uint64_t slow = flow_window(&f, 1, 64 * MB);
	run(&f, 10 * MB, 250);
	uint64_t fast = flow_window(&f, 1, 64 * MB);
	cr_expect(fast > slow * 9, "%llu %llu", (unsigned long long)slow, (unsigned long long)fast);
	run(&f, 1 * MB, 400);
	cr_expect(flow_window(&f, 1, 64 * MB) > fast / 2);
	run(&f, 1 * MB, 20000);
	cr_expect(flow_window(&f, 1, 64 * MB) < slow * 11 / 10);
}
