#include "limits.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "leaks.h"

TestSuite(daemon_limits, .fini = leaks_check);

Test(daemon_limits, permits_are_never_more_than_the_maximum)
{
	struct limits l;
	limits_init(&l, "old", 3);
	cr_expect(limits_take(&l, 2));
	cr_expect(!limits_take(&l, 2), "two of one");
	cr_expect(l.used == 2, "a refused one takes nothing");
	cr_expect(limits_take(&l, 1));
	cr_expect(!limits_take(&l, 1));
	limits_give(&l);
	cr_expect(limits_take(&l, 1));
	cr_expect(l.used == 3);
}

Test(daemon_limits, giving_back_what_was_not_taken_is_our_bug, .signal = SIGABRT)
{
	struct limits l;
	limits_init(&l, "old", 3);
	limits_give(&l);
}

Test(daemon_limits, three_failures_in_a_row_and_the_server_is_down)
{
	struct limits l;
	limits_init(&l, "old", 3);
	cr_expect(!limits_failed(&l, false, 100, 1000, "a"));
	cr_expect(!limits_failed(&l, false, 200, 1000, "b"));
	cr_expect(limits_door(&l, 200) == DOOR_OPEN);
	cr_expect(limits_failed(&l, false, 300, 1000, "c"));
	cr_expect(limits_door(&l, 300) == DOOR_DOWN);
	cr_expect(limits_door(&l, 1299) == DOOR_DOWN);
	cr_expect(limits_door(&l, 1300) == DOOR_PROBE);
	cr_expect_str_eq(l.words, "c");
}

Test(daemon_limits, a_hurry_ends_the_interval_not_the_outage)
{
	struct limits l;
	limits_init(&l, "old", 3);
	limits_hurry(&l);
	cr_expect(limits_door(&l, 100) == DOOR_OPEN);
	for (int i = 0; i < 3; i++)
		limits_failed(&l, false, 300, 1000, "a");
	limits_hurry(&l);
	cr_expect(limits_door(&l, 301) == DOOR_PROBE);
	limits_probe(&l);
	limits_hurry(&l);
	cr_expect(limits_door(&l, 302) == DOOR_BUSY, "one at a time all the same");
	limits_failed(&l, true, 400, 1000, "b");
	cr_expect(limits_door(&l, 1399) == DOOR_DOWN);
}

Test(daemon_limits, a_success_between_starts_the_count_again)
{
	struct limits l;
	limits_init(&l, "old", 3);
	limits_failed(&l, false, 100, 1000, "a");
	limits_failed(&l, false, 200, 1000, "a");
	cr_expect(!limits_succeeded(&l), "it was not down");
	cr_expect(!limits_failed(&l, false, 300, 1000, "a"));
	cr_expect(!limits_failed(&l, false, 400, 1000, "a"));
	cr_expect(limits_failed(&l, false, 500, 1000, "a"));
}

Test(daemon_limits, one_probe_at_a_time)
{
	struct limits l;
	limits_init(&l, "old", 3);
	for (int i = 0; i < 3; i++)
		limits_failed(&l, false, 0, 1000, "a");
	limits_probe(&l);
	cr_expect(limits_door(&l, 5000) == DOOR_BUSY);
	limits_probe_void(&l);
	cr_expect(limits_door(&l, 5000) == DOOR_PROBE, "an unanswered one is free for the next");
	limits_probe(&l);
	cr_expect(!limits_failed(&l, true, 6000, 1000, "still"), "it has not just become down");
	cr_expect(limits_door(&l, 6999) == DOOR_DOWN);
	cr_expect(limits_door(&l, 7000) == DOOR_PROBE);
	cr_expect_str_eq(l.words, "still");
	limits_probe(&l);
	cr_expect(limits_succeeded(&l));
	cr_expect(limits_door(&l, 7000) == DOOR_OPEN);
	cr_expect(!limits_succeeded(&l));
	cr_expect(!limits_failed(&l, false, 8000, 1000, "a"), "the count begins at none");
}

Test(daemon_limits, stragglers_do_not_lengthen_the_interval)
{
	struct limits l;
	limits_init(&l, "old", 3);
	for (int i = 0; i < 3; i++)
		limits_failed(&l, false, 0, 1000, "a");
	cr_expect(!limits_failed(&l, false, 900, 1000, "late"));
	cr_expect(limits_door(&l, 1000) == DOOR_PROBE);
}

/* A server that has so many processors, and needs so many ms for one login: n logins at once each take n times as long, beyond that. */
static uint64_t login_of(uint32_t at_once, uint32_t processors, uint64_t ms)
{
	return at_once <= processors ? ms : ms * at_once / processors;
}

/* Waves of as many logins as may be under way. */
static void waves(struct limits *l, unsigned n, uint32_t processors, uint64_t ms)
{
	while (n-- > 0) {
		uint32_t wave = 0;
		for (; limits_may_log_in(l, 1); wave++)
			limits_login(l);
		for (uint32_t i = 1; i <= wave; i++) {
			limits_login_took(l, login_of(i, processors, ms));
			limits_login_over(l);
		}
	}
}

Test(daemon_limits, logins_under_way_are_never_more_than_the_window)
{
	struct limits l;
	unsigned n = 0;
	limits_init(&l, "old", 1000);
	for (; limits_may_log_in(&l, 1); n++)
		limits_login(&l);
	cr_expect_eq(n, LOGINS_FIRST);
	limits_login_over(&l);
	cr_expect(!limits_may_log_in(&l, 2), "two of one");
	cr_expect(limits_may_log_in(&l, 1));
	while (l.logins > 0)
		limits_login_over(&l);
	/* Who needs two at once is not shut out. */
	l.window = 1;
	cr_expect(limits_may_log_in(&l, 2));
}

Test(daemon_limits, quick_logins_open_the_window_up_to_the_maximum)
{
	struct limits l;
	limits_init(&l, "old", 700);
	waves(&l, 1, 1000, 600);
	cr_expect_gt(l.window, LOGINS_FIRST + LOGINS_FIRST / 4);
	waves(&l, 20, 1000, 600);
	cr_expect_eq(l.window, 700);
}

Test(daemon_limits, a_crowd_at_the_door_closes_it_to_what_the_server_bears)
{
	struct limits l;
	limits_init(&l, "old", 1000);
	waves(&l, 50, 2, 40);
	uint32_t bears = l.window;
	cr_expect(bears >= LOGINS_LEAST && bears <= 32, "%u", (unsigned)bears);
	/* It stays so, */
	waves(&l, 500, 2, 40);
	cr_expect(l.window <= bears * 2 && l.window >= LOGINS_LEAST, "%u", (unsigned)l.window);
	/* and opens when the server can do more. */
	waves(&l, 500, 100, 40);
	cr_expect_gt(l.window, 64);
}

Test(daemon_limits, a_few_at_once_do_not_open_it)
{
	struct limits l;
	limits_init(&l, "old", 1000);
	for (int i = 0; i < 10000; i++) {
		limits_login(&l);
		limits_login_took(&l, 10);
		limits_login_over(&l);
	}
	cr_expect_eq(l.window, LOGINS_FIRST);
}

Test(daemon_limits, the_way_may_become_longer_for_good)
{
	struct limits l;
	limits_init(&l, "old", 200);
	waves(&l, 10, 1000, 20);
	waves(&l, 2000, 1000, 2000);
	cr_expect_gt(l.window, 100, "%u", (unsigned)l.window);
}

Test(daemon_limits, a_login_that_is_over_twice_is_our_bug, .signal = SIGABRT)
{
	struct limits l;
	limits_init(&l, "old", 3);
	limits_login(&l);
	limits_login_over(&l);
	limits_login_over(&l);
}
