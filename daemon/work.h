/*
 * work: what a pass has to read, in the order in which it is to be read, and how the lanes share it. A piece of work is a range of a folder's
 * UIDs. When nothing is left in the queue, a lane takes the upper half of what another lane has not asked for yet. A folder of which two lanes have had
 * pieces is `split`: its target UIDs no longer grow with its source UIDs, so the floor stays where it was until the folder is closed, and only the
 * lowest piece moves source_next.
 */
#ifndef GODWIT_WORK_H
#define GODWIT_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct folder;
struct lane;
struct pass;

enum work_round {
	ROUND_FIRST, /* all that is not accounted for */
	ROUND_FEW,   /* the UIDs in folder->redo_few, in small windows */
	ROUND_REDO,  /* the UIDs in folder->redo, each alone */
	ROUND_LIST   /* it may be that not all came that the source has: ask which it has */
};

struct work {
	struct folder *folder; /* NULL: none */
	bool careful;          /* scanned first */
	bool single, examined;
	bool redo;             /* the UIDs of folder->redo (single) or redo_few, nothing is scanned */
	bool list;             /* only asked which UIDs there are */
	bool marks;            /* all below it is done or sent before: it moves source_next */
	uint32_t next, last;   /* UIDs not yet asked for; next > last: none */
	bool down;             /* from last to next: the newest first */
	uint32_t width;        /* down: so many UIDs at a time at most, since more messages were found than the folder's density says; 0: any */
	uint32_t top;          /* down: all from next to it will have come in the end, in this piece */
};

struct work_queue {
	struct work *work;
	size_t n, size, at;
};

/* Messages of a piece that are not worth another connection's trouble. */
#define WORK_SPLIT_LEAST 256

void work_done(struct work_queue *q);
/* Adds a folder to the end. 0 or PROTO_ERR_NOMEM. */
int work_add(struct work_queue *q, struct folder *f, enum work_round round);
/* The messages of a range that have not come, each alone: its FETCH was refused, or answered without UIDs. */
int work_add_range(struct work_queue *q, struct folder *f, uint32_t lo, uint32_t hi);
/* Gives the lane its next piece in *ret. False: there is none. */
bool work_take(struct pass *p, const struct lane *l, struct work *ret);
/* What a lane has not asked for yet goes back to the front; all that it has asked for must be answered. *t is empty then. 0 or PROTO_ERR_NOMEM. */
int work_give_back(struct work_queue *q, struct work *t);
/* Forgets what is queued. */
void work_drop(struct work_queue *q);
/* Messages of a piece that are not asked for yet, and of the queue, as far as they are known before they are read. */
uint64_t work_left(const struct work *t);
uint64_t work_messages(const struct work_queue *q);

#endif
