/*
 * follow: the second half of a later pass: what happened on the source to messages that were brought before. It begins when all that is new has been
 * copied, and works on the pass's first lane, some folders ahead on the source of the one that is being changed on the target.
 *
 *   load what is known (ledger) -> EXAMINE, UID FETCH flags, UID SEARCH (source) -> SELECT (target) -> save what is tried (ledger) -> UID STORE (target)
 *   -> save (ledger)
 *
 * Where deletions are mirrored, folders from which something vanished rest until all others are done: then, when nothing failed in the whole pass, it
 * is expunged: UID STORE \Deleted, UID EXPUNGE (target), and only then saved.
 *
 * With CONDSTORE (RFC 7162) a folder whose HIGHESTMODSEQ is the one of the last complete pass is not touched, and of the others only what changed is told.
 * Without it the flags of all messages are asked for. What was written is recorded behind the target's answer. After a break in between, a STORE that is
 * repeated could undo what a user has changed since. So what is tried is recorded before, with the target's HIGHESTMODSEQ, and the next pass asks the target
 * what has changed since that, and the flags of it. What was carried out, as these tell (known_settle()), is left as it is, also where a user has changed it
 * back; with the rest it begins anew. A target without CONDSTORE cannot tell: there STOREs are repeated.
 */
#ifndef GODWIT_FOLLOW_H
#define GODWIT_FOLLOW_H

#include "known.h"
#include "session.h"
#include "side.h"

#define FOLLOW_FLAG_BITS 12 /* of a command's number on the target: which flag, and which way */

struct folder;
struct lane;
struct pass;

enum following_step {
	FOLLOWING_WAITS,
	FOLLOWING_LOADS,   /* the ledger is asked */
	FOLLOWING_DOUBTS,  /* waits for its turn on the target: something was tried when the last pass broke */
	FOLLOWING_RECALLS, /* the target is asked what became of it */
	FOLLOWING_SETTLES, /* that is being saved */
	FOLLOWING_ASKS,    /* the source */
	FOLLOWING_ASKED,   /* waits for its turn on the target */
	FOLLOWING_SELECTS,
	FOLLOWING_TRIES,   /* what is about to be stored is being saved */
	FOLLOWING_STORES,
	FOLLOWING_RESTS,   /* something is to be expunged, when all others are done */
	FOLLOWING_EXPUNGES,
	FOLLOWING_SAVES,
	FOLLOWING_DONE
};

struct following {
	struct folder *folder;
	enum following_step step;
	struct known known;
	uint64_t since;       /* 0, or: only what changed since this HIGHESTMODSEQ is asked for */
	bool failed;          /* nothing is saved: the next pass begins anew with it */
	bool same;            /* the target's UIDVALIDITY is the one that is known */
	uint64_t target_modseq; /* HIGHESTMODSEQ of the target when it was selected; 0: it does not tell */
	/* What was tried when the last pass broke; NULL: nothing. */
	char *tried;
	uint64_t tried_modseq;
	bool changed;         /* something was stored or expunged */
	unsigned asked;       /* commands to the source without their answer */
	/* What is sent next: the flag, whether its messages lose it, and from which range on. */
	size_t flag, at;
	bool removing;
	struct uidset set;    /* target UIDs of it */
	unsigned pending;     /* STOREs and EXPUNGEs without their answer */
	/* Deletions. */
	bool searched;        /* the source has told which messages it has */
	bool again;           /* what vanished is not dealt with: the next pass must look again */
	struct uidset there;  /* source UIDs */
	struct uidset vanished;
};

struct follow {
	struct following *following;
	size_t n, loaded, selected, done, resting; /* how many have been begun in each way */
	size_t expunged;                  /* those before it that rested have had their turn */
	bool expunging;
	struct following *examined;       /* selected on the source; NULL: none */
	struct following *storing;        /* selected on the target, or about to be */
	size_t doubting;                  /* how many wait for the target to tell what became of what was tried */
};

void follow_done(struct follow *f);
/* False: there is nothing to follow. */
bool follow_begin(struct pass *p);
void follow_on(struct pass *p, enum side side, const struct session_event *ev);

/* Goes on with whatever can go on. */
void follow_pump(struct pass *p);

/* follow_target.c */
void follow_target_pump(struct pass *p);
void follow_on_target(struct pass *p, const struct session_event *ev);
/* follow_tried.c: it is selected on the target. Steps to FOLLOWING_STORES, now or when it is saved what will be stored. */
void follow_try(struct pass *p, struct following *g);
/* Asks what became of what was tried, where that is in doubt. */
void follow_recall_pump(struct pass *p);
void follow_on_recall(struct pass *p, struct following *g, const struct session_event *ev);
/* follow_delete.c */
void follow_on_search(struct pass *p, struct following *g, const struct resp *r);
/* The source's answers are complete: works out what vanished. 0 or PROTO_ERR_*. */
int follow_find_vanished(struct pass *p, struct following *g);
/* All others are done: goes on with what rests. */
void follow_expunge_pump(struct pass *p);
void follow_on_expunge(struct pass *p, struct following *g, const struct session_event *ev);
/* follow.c: all of this folder is done, or nothing is to be done with it any more. */
void follow_save(struct pass *p, struct following *g);
void follow_skip(struct pass *p, struct following *g, const char *reason);
/* Nothing is to be done with it any more, and nothing is saved. Then follow_pump() is due. */
void follow_drop(struct pass *p, struct following *g);
/* Asks the source. 0 or PROTO_ERR_*. */
int follow_ask(struct pass *p, struct following *g);
/* Saves what is known, and whether the folder is as it was when this pass looked at it; then fn is called. */
void follow_record(struct pass *p, struct following *g, bool as_seen,
	void (*fn)(struct lane *l, struct folder *f, int64_t id));

#endif
