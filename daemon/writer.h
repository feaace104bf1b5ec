/*
 * writer: the target's side of a lane: CREATE, SUBSCRIBE, and from the relay APPEND after APPEND: several messages in one command where the target has
 * MULTIAPPEND (a window), one after the other without waiting where it has LITERAL+. What is answered OK goes to the ledger in batches.
 *
 * A window that is refused costs only itself: its messages are sent once more, WRITER_FEW at a time, then each alone; the one that is refused alone is
 * left out.
 */
#ifndef GODWIT_WRITER_H
#define GODWIT_WRITER_H

#include "batch.h"
#include "flow.h"
#include "outcome.h"
#include "peer.h"

struct lane;
struct pass;
struct folder;

struct window {
	struct folder *folder;
	struct batch batch;
	uint32_t tag;
	uint64_t sent;     /* when it was begun, in pass->sent */
	uint32_t mark;     /* all source UIDs below were sent in this window or before */
	uint32_t highest;  /* target UID of what it stored; 0: not told */
	size_t text;       /* bytes of flags and dates, that are kept until it ends */
	bool answered;
	uint32_t most;     /* messages it may hold */
};

#define WRITER_WINDOWS 64
#define WRITER_FEW 8 /* messages of a refused window that are sent together once more: what one of them costs the others */

struct writer {
	struct window window[WRITER_WINDOWS]; /* ring; the answers come in order */
	unsigned first, n;
	struct window *open;      /* its APPEND is not ended yet */
	bool sending;             /* the relay's head is announced, its bytes are going out */
	bool draining_refused;    /* the open window was refused in the middle of a literal: the rest of it is still due */
	uint64_t under_way;       /* bytes in windows without answer */
	struct flow flow;
	size_t next_create, next_subscribe;
	unsigned requests;        /* CREATE, SUBSCRIBE, STATUS without answer */
	struct folder *looking;   /* whose suspects are being listed */
	bool look_failed;
	bool look_bodies;         /* it is messages in doubt that are being read */
	unsigned look_pending;    /* commands of that without their answer */
	struct batch pending;     /* answered, not yet given to the ledger */
	struct folder *pending_folder;
	unsigned recording;       /* batches with the ledger */
	unsigned wishes;          /* of folders: lookup_wanted, status_wanted, create_wanted */
	uint32_t mark;            /* all source UIDs of mark_folder below it have come here */
	struct folder *mark_folder;
	struct buf texts, wire, flags;
};

void writer_init(struct writer *w);
void writer_done(struct writer *w);
void writer_pump(struct lane *l);
void writer_on(struct lane *l, const struct session_event *ev);
/* A message of the source is on the target already. */
void writer_adopt(struct lane *l, struct folder *f, uint32_t uid, uint32_t target_uid);
/* Nothing is under way that should be waited for. */
bool writer_is_idle(const struct lane *l);
/* Gives what is answered to the ledger: when the batch before is written, or now. */
void writer_flush(struct lane *l, bool now);
/* Now, of all lanes. */
void writer_flush_folder(struct pass *p, struct folder *f);
/* The folder's round is over on the reader's side and nothing of it is under way: redo, or close. */
void writer_check_folder(struct lane *l, struct folder *f);


/* writer_folder.c: between two APPENDs. */
bool writer_has_requests(const struct lane *l);
bool writer_send_requests(struct lane *l); /* false: the pass failed */
/* writer.c; `next`: all source UIDs below are recorded with it, or were before. */
void writer_record(struct lane *l, struct folder *f, struct batch *b, uint32_t next);
/* The writer of this lane is to ask for it. */
void writer_wish(struct lane *l, struct folder *f, bool *wish);
void writer_on_folder(struct lane *l, const struct session_event *ev);
bool writer_failed(struct lane *l, int err); /* fails the pass when err is not 0; returns err != 0 */

/* writer_flags.c: what the target does not keep is not sent. */
/* False: it must be asked first, and that is wished. */
bool writer_flags_ready(struct lane *l, struct folder *f, struct span flags);
/* What is left of the flags of this message; lives until the next call. What is not sent is noted. 0 or PROTO_ERR_*. */
int writer_flags(struct lane *l, struct folder *f, uint32_t uid, struct span flags, struct span *ret);
bool writer_send_flags(struct lane *l, size_t i);
void writer_on_flags(struct lane *l, const struct session_event *ev);
/* writer_refusal.c: the message of this window was refused, alone. True: it will be sent in another form. */
bool writer_try_otherwise(struct lane *l, struct window *win, const struct outcome *why);

#endif
