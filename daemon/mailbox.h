/*
 * mailbox: one user's mail, source and target, while it is being worked on: from dialling to the end of a pass. It owns its two peers and lends
 * them to the parts that do the copying. It knows nothing of slots, timers between attempts, or other mailboxes: that is sched's.
 *
 * Life:  mailbox_new -> mailbox_dial(SOURCE), mailbox_dial(TARGET) -> MAILBOX_UP for each -> mailbox_run -> MAILBOX_ENDED -> mailbox_free
 * MAILBOX_ENDED comes exactly once, also when a login fails or mailbox_stop() was called; after it both connections are closed, or back in the pool. Funnel calls never come from within
 * mailbox_new/dial/run/stop, and the mailbox may be freed from within the funnel.
 */
#ifndef GODWIT_MAILBOX_H
#define GODWIT_MAILBOX_H

#include "ledger.h"
#include "outcome.h"
#include "pool.h"
#include "selection.h"

enum mailbox_job {
	JOB_COPY,  /* one pass */
	JOB_CHECK, /* EXAMINE INBOX on both sides, write nothing */
	JOB_VERIFY, /* compare both sides, write nothing; see verify.h */
	JOB_PLAN   /* say what would be done, write nothing; see plan.h */
};

/* What all mailboxes of a run share. Borrowed for the life of the mailbox. */
struct mailbox_env {
	struct loop *loop;
	struct dialer *dialer;
	struct pool *pool;
	struct ledger *ledger; /* NULL but for JOB_COPY */
	enum mailbox_job look; /* the job of SCHED_VERIFY: JOB_VERIFY or JOB_PLAN */
	const struct verify_env *verify; /* JOB_VERIFY */
	const struct plan_env *plan; /* JOB_PLAN */
	struct peer_limits peer_limits;
	uint64_t settle;       /* ms the target must be quiet after a break */
};

/* What the operator wants of a migration. */
struct mailbox_rules {
	bool mirror_deletions;   /* what vanishes from the source is expunged on the target */
	uint32_t max_deletions;  /* percent of a folder */
	bool repair_echoes;      /* what landed twice is expunged on the target */
	const struct folder_rules *folders; /* which are taken along, and where they go; NULL: all, as they are */
	struct selection selection;
	bool newest_first;
	unsigned repair;         /* of enum repair_kind: what may be changed in a message that the target refuses for it */
};

struct mailbox_spec {          /* borrowed for the life of the mailbox */
	enum mailbox_job job;
	const char *migration, *name; /* name: MIGRATION/TARGET_USER, as shown */
	const struct endpoint *endpoint[SIDES];
	struct credentials login[SIDES];
	int64_t ledger_id;     /* row of the ledger */
	struct mailbox_rules rules;
	unsigned lanes;        /* pairs of connections it may use; 0 is as 1 */
};

/* Counts of the pass under way; for the progress bar, the summary and the ledger. */
struct mailbox_progress {
	const char *folder;          /* path of the folder being written; NULL: none. Valid until the next event. */
	uint32_t folders, folders_done;
	uint64_t messages, messages_done; /* in the folders that have something to do; adopted and left out ones count as done */
	uint64_t bytes, bytes_done;  /* bytes 0: the source does not tell (STATUS=SIZE) */
	uint64_t copied, adopted, left_out, folders_left_out;
	uint64_t not_selected;       /* messages, as the rules want it; those that are too large are among left_out */
	uint64_t bytes_copied;
	uint64_t flags_changed, altered, deleted; /* flags of single messages; messages */
	uint64_t deletions_held;         /* messages that vanished from the source and stay on the target, although deletions are mirrored */
	uint32_t folders_not_followed;   /* changed flags are still to be looked for */
	bool any;                    /* something was moved forward: the next break is a new one, not a repetition */
};

enum mailbox_event_kind {
	MAILBOX_UP,   /* `side` is logged in; when both are: ready for mailbox_run */
	MAILBOX_LANES, /* mailbox_lanes_wanted() has changed */
	MAILBOX_LANE_DIALLED, /* the logins of a pair that was added are over, well or not */
	MAILBOX_LANE_GONE, /* a pair that was added is closed, or back in the pool; with a reason in outcome: it did not come up, and no more are wanted */
	MAILBOX_ENDED /* outcome: RADIUS_NONE when the pass is complete (messages may be left out: see progress) */
};

struct mailbox_event {
	enum mailbox_event_kind kind;
	enum side side;
	const struct outcome *outcome;
};

typedef void mailbox_funnel(void *owner, const struct mailbox_event *ev);

struct mailbox;
/* NULL when memory is out. */
struct mailbox *mailbox_new(const struct mailbox_env *env, const struct mailbox_spec *spec, mailbox_funnel *funnel, void *owner);
void mailbox_free(struct mailbox **m);
/* Starts connecting and logging in. Not while that side is dialled already. */
void mailbox_dial(struct mailbox *m, enum side side);
bool mailbox_is_up(const struct mailbox *m, enum side side);
/* MAILBOX_ENDED is about to come. */
bool mailbox_is_over(const struct mailbox *m);
/* Lets a logged-in side go again while the other is still waiting for its login; it can be dialled again.
 * Not when it is over. */
void mailbox_hang_up(struct mailbox *m, enum side side);
/* Both sides are up: does the job. */
void mailbox_run(struct mailbox *m);
/* How many pairs of connections more the pass could use now. */
unsigned mailbox_lanes_wanted(const struct mailbox *m);
/* Dials one such pair. It is in use until MAILBOX_LANE_GONE or MAILBOX_ENDED. */
void mailbox_add_lane(struct mailbox *m);
/* One such pair is to go, as soon as what it has begun is done: MAILBOX_LANE_GONE with RADIUS_NONE. Not more often than pairs were added. */
void mailbox_drop_lane(struct mailbox *m);
/* Reads no more, lets the APPENDs under way be answered, then MAILBOX_ENDED (RADIUS_CONNECTION, HEAL_TIME). `now`: gives them up at once. */
void mailbox_stop(struct mailbox *m, bool now);
/* JOB_CHECK, after MAILBOX_ENDED: what came of this side; RADIUS_NONE: it works. */
const struct outcome *mailbox_check_result(const struct mailbox *m, enum side side);
/* JOB_VERIFY, until mailbox_free(): how the two sides compare, as far as they have been compared. */
struct verify_counts;
const struct verify_counts *mailbox_verify_counts(const struct mailbox *m);
/* JOB_PLAN, after MAILBOX_ENDED without a failure, until mailbox_free(). */
struct plan_result;
const struct plan_result *mailbox_plan_result(const struct mailbox *m);
const struct mailbox_progress *mailbox_progress(const struct mailbox *m);

#endif
