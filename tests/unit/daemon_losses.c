#include <criterion/criterion.h>
#include <stdio.h>

#include "leaks.h"
#include "losses.h"

TestSuite(daemon_losses, .fini = leaks_check);

static uint64_t taken(struct loss *l, const struct uidset *stored)
{
	struct uidset ret = { 0 };
	uint64_t n;

	cr_assert_eq(loss_take(l, stored, &ret), 0);
	n = uidset_count(&ret);
	uidset_done(&ret);
	return n;
}

Test(daemon_losses, told_once_of_what_is_stored)
{
	struct losses l = { 0 };
	struct uidset stored = { 0 };

	losses_note(&l, 5, SKIP_ALTERED, "date", "no date");
	losses_note(&l, 3, SKIP_ALTERED, "date", "no date");
	losses_note(&l, 5, SKIP_ALTERED, "date", "no date");
	losses_note(&l, 5, SKIP_ALTERED, "flags", "no date");
	losses_note(&l, 5, SKIP_REPAIRED, "bytes", "cut");
	cr_assert_eq(l.n, 3);
	/* A list may be in any order. */
	uidset_push(&stored, 9);
	uidset_push(&stored, 5);
	uidset_push(&stored, 4);
	cr_expect_eq(taken(&l.loss[0], &stored), 1);
	cr_expect_eq(taken(&l.loss[0], &stored), 0);
	uidset_push(&stored, 3);
	cr_expect_eq(taken(&l.loss[0], &stored), 1);
	cr_expect_eq(taken(&l.loss[1], &stored), 1);
	cr_expect_eq(taken(&l.loss[2], &stored), 1);
	uidset_done(&stored);
	losses_done(&l);
	cr_expect_eq(l.n, 0);
}

Test(daemon_losses, forgotten)
{
	struct losses l = { 0 };
	struct uidset stored = { 0 };

	uidset_add_range(&stored, 1, 9);
	losses_note(&l, 5, SKIP_ALTERED, "date", "a");
	losses_note(&l, 5, SKIP_REPAIRED, "bytes", "b");
	losses_note(&l, 6, SKIP_REPAIRED, "bytes", "b");
	losses_forget_kind(&l, 5, SKIP_REPAIRED);
	cr_expect_eq(taken(&l.loss[1], &stored), 1);
	losses_forget(&l, 5);
	cr_expect_eq(taken(&l.loss[0], &stored), 0);
	uidset_done(&stored);
	losses_done(&l);
}

Test(daemon_losses, more_kinds_than_are_told_apart)
{
	struct losses l = { 0 };
	struct uidset stored = { 0 };
	char text[32];
	uint64_t all = 0;

	uidset_add_range(&stored, 1, 1000);
	for (uint32_t i = 1; i <= 200; i++) {
		snprintf(text, sizeof(text), "flag %u", i);
		cr_assert_eq(losses_note(&l, i, SKIP_ALTERED, "flags", text), 0);
	}
	cr_expect_eq(l.n, LOSSES_MAX + 1);
	for (size_t i = 0; i < l.n; i++)
		all += taken(&l.loss[i], &stored);
	cr_expect_eq(all, 200);
	uidset_done(&stored);
	losses_done(&l);
}
