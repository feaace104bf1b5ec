/* work: who gets which piece, and when a folder is split. */
#include "pass.h"

#include <criterion/criterion.h>

#include "leaks.h"

TestSuite(daemon_work, .fini = leaks_check);

static unsigned flushed;

void writer_flush_folder(struct pass *p, struct folder *f)
{
	(void)p;
	cr_assert(!f->split, "before the floor is fixed");
	flushed++;
}

void pass_hold(struct folder *f, uint32_t uid)
{
	f->hold = uid;
}

struct world {
	struct pass p;
	struct lane lane[2];
	struct folder f;
};

static void begin(struct world *w)
{
	*w = (struct world){ .p = { .lane_n = 2 }, .f = { .messages = 1000, .uidnext = 1001, .row = { .source_next = 1, .floor = 1 }, .floor = 1 } };
	w->p.lane[0] = &w->lane[0];
	w->p.lane[1] = &w->lane[1];
	flushed = 0;
}

static struct work *take(struct world *w, unsigned lane)
{
	struct work *t = &w->lane[lane].reader.work;
	return work_take(&w->p, &w->lane[lane], t) ? t : NULL;
}

Test(daemon_work, the_upper_half_goes_to_a_lane_without_work)
{
	struct world w;
	begin(&w);
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	cr_assert(take(&w, 0) != NULL && !w.f.split);
	w.lane[0].reader.work.next = 201;
	w.f.floor = 77;
	struct work *t = take(&w, 1);
	cr_assert(t != NULL && t->next == 601 && t->last == 1000 && !t->marks);
	cr_assert(w.lane[0].reader.work.last == 600 && w.lane[0].reader.work.marks);
	cr_assert(w.f.split && flushed == 1 && w.f.row.floor == 77);
	cr_assert_eq(w.f.rounds, 2);
	work_done(&w.p.work);
}

Test(daemon_work, what_was_refused_and_goes_to_another_lane_splits_the_folder)
{
	struct world w;
	begin(&w);
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	cr_assert(take(&w, 0) != NULL);
	w.f.floor = 55;
	cr_assert_eq(work_add_range(&w.p.work, &w.f, 10, 20), 0);
	struct work *t = take(&w, 1);
	cr_assert(t != NULL && t->single && t->next == 10 && t->last == 20);
	/* Both append to it now: what one of them stores may lie below what the other has recorded. */
	cr_assert(w.f.split && flushed == 1 && w.f.row.floor == 55);
	w.f.floor = 66;
	cr_assert_eq(work_add_range(&w.p.work, &w.f, 30, 40), 0);
	cr_assert(take(&w, 0) != NULL);
	cr_assert(flushed == 1 && w.f.row.floor == 55, "once is enough");
	work_done(&w.p.work);
}

Test(daemon_work, what_was_refused_and_comes_back_to_the_same_lane_does_not)
{
	struct world w;
	begin(&w);
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	cr_assert(take(&w, 0) != NULL);
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FEW), 0);
	cr_assert(take(&w, 0) != NULL && !w.f.split && flushed == 0);
	work_done(&w.p.work);
}

Test(daemon_work, a_floor_that_is_fixed_already_stays)
{
	struct world w;
	begin(&w);
	w.f.careful = true;
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	cr_assert(take(&w, 0) != NULL);
	w.f.floor = 90;
	cr_assert(take(&w, 1) != NULL && w.f.split && w.f.row.floor == 1);
	work_done(&w.p.work);
}

Test(daemon_work, little_is_not_divided)
{
	struct world w;
	begin(&w);
	w.f.messages = 2 * WORK_SPLIT_LEAST - 1;
	w.f.uidnext = 2 * WORK_SPLIT_LEAST;
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	cr_assert(take(&w, 0) != NULL);
	cr_assert(take(&w, 1) == NULL && !w.f.split);
	work_done(&w.p.work);
}

Test(daemon_work, the_newest_first_and_shared)
{
	struct world w;
	begin(&w);
	w.f.newest_first = true;
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	struct work *t = take(&w, 0);
	cr_assert(t != NULL && t->down && t->top == 1000);
	w.lane[0].reader.work.last = 800; /* what is above was asked for */
	struct work *other = take(&w, 1);
	cr_assert(other != NULL && other->down && other->next == 401 && other->last == 800 && !other->marks);
	/* In the end all below is through, but not what the other has. */
	cr_assert(t->last == 400 && t->top == 400 && t->marks);
	work_done(&w.p.work);
	/* With care, or for the second time: upwards. */
	begin(&w);
	w.f.newest_first = w.f.careful = true;
	cr_assert_eq(work_add(&w.p.work, &w.f, ROUND_FIRST), 0);
	t = take(&w, 0);
	cr_assert(t != NULL && !t->down);
	work_done(&w.p.work);
}
