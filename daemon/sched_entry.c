#include "sched_p.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 1000

void entry_queue(struct sched *s, uint32_t e)
{
	struct migration *m = &s->migrations[s->entries[e].migration];
	s->entries[e].next = NO_ENTRY;
	s->entries[e].prev = m->last;
	if (m->first == NO_ENTRY)
		m->first = e;
	else
		s->entries[m->last].next = e;
	m->last = e;
	s->queued_n++;
}

static void unlink(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	struct migration *m = &s->migrations[en->migration];
	if (en->prev == NO_ENTRY)
		m->first = en->next;
	else
		s->entries[en->prev].next = en->next;
	if (en->next == NO_ENTRY)
		m->last = en->prev;
	else
		s->entries[en->next].prev = en->prev;
	s->queued_n--;
}

uint32_t entry_unqueue(struct sched *s, uint32_t migration)
{
	struct migration *m = &s->migrations[migration];
	uint32_t e = m->first;
	assert(e != NO_ENTRY);
	unlink(s, e);
	return e;
}

static void heap_put(struct sched *s, uint32_t at, uint32_t e)
{
	s->heap[at] = e;
	s->entries[e].heap_at = at;
}

/* Of two that are due together the one that was added first comes first: the order of the list. */
static bool heap_before(const struct sched *s, uint32_t a, uint32_t b)
{
	const struct entry *x = &s->entries[a], *y = &s->entries[b];
	return x->due != y->due ? x->due < y->due : a < b;
}

/* Puts e at `at` or above, where it belongs. */
static void heap_rise(struct sched *s, uint32_t at, uint32_t e)
{
	while (at > 0 && heap_before(s, e, s->heap[(at - 1) / 2])) {
		heap_put(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(s, at, e);
}

/* The same, below. */
static void heap_sink(struct sched *s, uint32_t at, uint32_t e)
{
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= s->heap_n)
			break;
		if (child + 1 < s->heap_n && heap_before(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (!heap_before(s, s->heap[child], e))
			break;
		heap_put(s, at, s->heap[child]);
		at = child;
	}
	heap_put(s, at, e);
}

static void heap_remove(struct sched *s, uint32_t e)
{
	uint32_t at = s->entries[e].heap_at, last = s->heap[--s->heap_n];
	s->entries[e].heap_at = NO_ENTRY;
	if (last == e)
		return;
	if (at > 0 && heap_before(s, last, s->heap[(at - 1) / 2]))
		heap_rise(s, at, last);
	else
		heap_sink(s, at, last);
}

void entry_heap_push(struct sched *s, uint32_t e, uint64_t due)
{
	assert(s->entries[e].heap_at == NO_ENTRY && s->heap_n < s->entry_n);
	s->entries[e].due = due;
	heap_rise(s, s->heap_n++, e);
}

uint32_t entry_heap_pop(struct sched *s, uint64_t now)
{
	if (s->heap_n == 0 || s->entries[s->heap[0]].due > now)
		return NO_ENTRY;
	uint32_t first = s->heap[0];
	heap_remove(s, first);
	return first;
}

void entry_unwait(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	if (en->heap_at != NO_ENTRY)
		heap_remove(s, e);
	else if (en->state == MAILBOX_QUEUED && en->active == NULL)
		unlink(s, e);
}

void entry_reason(struct entry *en, const char *reason)
{
	if (strcmp(en->reason != NULL ? en->reason : "", reason) == 0)
		return;
	free(en->reason);
	en->reason = reason[0] != '\0' ? strdup(reason) : NULL;
}

void entry_set(struct sched *s, uint32_t e, enum mailbox_state state, const char *reason)
{
	struct entry *en = &s->entries[e];
	struct sched_counts *c = &s->migrations[en->migration].counts;
	if (en->state != state) {
		c->state[en->state]--;
		c->state[state]++;
		en->state = (uint8_t)state;
		en->since = s->clock.wall(s->clock.arg);
	}
	if (state != MAILBOX_PARKED)
		en->next_attempt = 0;
	entry_reason(en, reason);
	if (s->env->ledger != NULL && !en->dirty) {
		en->dirty = true;
		s->dirty[(s->dirty_first + s->dirty_n++) % s->entry_n] = e;
		s->marked++;
	}
}

struct ledger_mailbox sched_row(const struct sched *s, uint32_t mailbox)
{
	const struct entry *en = &s->entries[mailbox];
	return (struct ledger_mailbox){
		.id = en->ledger_id,
		.state = (enum mailbox_state)en->state,
		.reason = en->reason != NULL ? en->reason : "",
		.attempts = en->attempts,
		.next_attempt = en->next_attempt,
		.since = en->since,
		.last_synced = en->last_synced,
		.paused = en->paused,
		.finishing = en->finishing,
	};
}

static void on_saved(void *arg, int err)
{
	struct sched *s = arg;
	s->saving--;
	if (err != LEDGER_OK) {
		sched_break(s, ledger_error(s->env->ledger));
		return;
	}
	if (s->saving == 0)
		s->saved = s->handed;
	entry_flush(s);
	sched_tell(s, &(struct sched_event){ .kind = SCHED_SAVED });
}

static void save_some(struct sched *s)
{
	struct ledger_mailbox rows[ROWS_AT_ONCE];
	char *names[ROWS_AT_ONCE];
	uint32_t n = 0;
	assert(s->dirty_n > 0);
	do {
		uint32_t e = s->dirty[s->dirty_first];
		s->dirty_first = (s->dirty_first + 1) % s->entry_n;
		s->dirty_n--;
		s->entries[e].dirty = false;
		names[n] = sched_name(s, e);
		rows[n] = sched_row(s, e);
		rows[n].name = names[n];
		n++;
	} while (s->dirty_n > 0 && n < ROWS_AT_ONCE);
	s->saving++;
	s->handed += n;
	ledger_save_mailboxes(s->env->ledger, rows, n, on_saved, s);
	for (uint32_t k = 0; k < n; k++)
		free(names[k]);
}

void entry_flush(struct sched *s)
{
	/* The ledger is dead: it would only say so again. */
	if (s->broken)
		s->dirty_n = 0;
	/* At the end nothing may be left behind. */
	while (s->dirty_n > 0 && (s->saving == 0 || s->stopping))
		save_some(s);
}
