#include "work.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "pass.h"

void work_done(struct work_queue *q)
{
	free(q->work);
	*q = (struct work_queue){ 0 };
}

static bool make_room(struct work_queue *q)
{
	size_t size = q->size == 0 ? 16 : q->size * 2;
	struct work *bigger;

	if (q->n < q->size)
		return true;
	bigger = realloc(q->work, size * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	q->work = bigger;
	q->size = size;
	return true;
}

static struct work *work_new(struct work_queue *q, struct folder *f)
{
	if (!make_room(q))
		return NULL;
	f->rounds++;
	q->work[q->n] = (struct work){ .folder = f, .next = 1 };
	return &q->work[q->n++];
}

int work_add(struct work_queue *q, struct folder *f, enum work_round round)
{
	struct work *t = work_new(q, f);

	if (t == NULL)
		return PROTO_ERR_NOMEM;
	t->single = round == ROUND_REDO;
	t->redo = round == ROUND_REDO || round == ROUND_FEW;
	if (t->redo)
		return 0;
	t->last = f->uidnext - 1;
	t->list = round == ROUND_LIST;
	if (t->list)
		return 0;
	/* What is new since the last pass is scanned, too: only then is it known whether all of it came. */
	t->careful = f->careful || f->row.source_next != 1 || f->judged;
	t->marks = true;
	t->next = f->row.source_next;
	t->top = t->last;
	t->down = round == ROUND_FIRST && f->newest_first && !f->careful;
	return 0;
}

int work_add_range(struct work_queue *q, struct folder *f, uint32_t lo, uint32_t hi)
{
	struct work *t = work_new(q, f);

	if (t == NULL)
		return PROTO_ERR_NOMEM;
	pass_hold(f, lo);
	t->careful = t->single = true;
	t->next = lo;
	t->last = hi;
	return 0;
}

/* By the folder's density: UIDs have gaps. */
uint64_t work_left(const struct work *t)
{
	const struct folder *f = t->folder;

	if (t->folder == NULL || t->redo || t->list || t->next == 0 || t->next > t->last || f->uidnext == 0)
		return 0;
	return (uint64_t)f->messages * (t->last - t->next + 1) / f->uidnext;
}

uint64_t work_messages(const struct work_queue *q)
{
	uint64_t n = 0;

	for (size_t i = q->at; i < q->n; i++)
		n += work_left(&q->work[i]);
	return n;
}

/* The upper half of what is left to the lane that has most. */
static bool split(struct pass *p, const struct lane *l, struct work *ret)
{
	struct work *most = NULL;
	struct folder *f;
	uint32_t mid;

	for (unsigned i = 0; i < p->lane_n; i++) {
		struct work *t = &p->lane[i]->reader.work;

		if (p->lane[i] != l && !t->single && (most == NULL || work_left(t) > work_left(most)))
			most = t;
	}
	if (most == NULL || work_left(most) < 2 * WORK_SPLIT_LEAST)
		return false;
	f = most->folder;
	mid = most->next + (most->last - most->next) / 2;
	*ret = *most;
	ret->next = mid + 1;
	ret->marks = ret->examined = false;
	most->last = most->top = mid;
	f->rounds++;
	return true;
}

/* From the second lane on that has messages of the folder, be it only those to be sent once more, its target UIDs are told in any order. */
static void share(struct pass *p, struct folder *f, const struct lane *l)
{
	if (f->lane == NULL)
		f->lane = l;
	if (f->lane == l || f->split)
		return;
	/* What is below the floor must be recorded before the floor is. */
	writer_flush_folder(p, f);
	if (!f->careful && !f->no_uids)
		f->row.floor = f->floor;
	f->split = true;
}

bool work_take(struct pass *p, const struct lane *l, struct work *ret)
{
	struct work_queue *q = &p->work;

	if (q->at < q->n) {
		*ret = q->work[q->at++];
	} else {
		q->at = q->n = 0;
		if (p->lane_n == 1 || !split(p, l, ret))
			return false;
	}
	share(p, ret->folder, l);
	return true;
}

int work_give_back(struct work_queue *q, struct work *t)
{
	if (t->folder == NULL)
		return 0;
	if (q->at == 0 && !make_room(q))
		return PROTO_ERR_NOMEM;
	if (q->at == 0) {
		memmove(q->work + 1, q->work, q->n * sizeof(*q->work));
		q->n++;
	} else {
		q->at--;
	}
	q->work[q->at] = *t;
	q->work[q->at].examined = false;
	*t = (struct work){ 0 };
	return 0;
}

void work_drop(struct work_queue *q)
{
	q->at = q->n = 0;
}
