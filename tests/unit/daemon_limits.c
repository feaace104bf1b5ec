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
