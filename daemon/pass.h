/*
 * pass: one comparison and copy over a mailbox, from two logged-in peers to the end.
 *
 *   PASS_SURVEY   both sides' folders, and the ledger's rows of this mailbox; after a break again and again, until the target is quiet; names that the
 *                 target may refuse are tried
 *   PASS_COPY     lanes: source -> reader -> relay -> writer -> target -> batches -> ledger
 *   PASS_FOLLOW   what changed about messages that were brought before
 *   PASS_SWEEP    echoes of what was under way at a break
 *   PASS_NAME     messages that were left out or altered are named for the report; what fails now is no failure of the pass
 *   PASS_DRAIN    no more is read; APPENDs under way are answered and recorded
 *   PASS_ENDED    told to the owner, once
 *
 * The parts (lanes with reader and writer, work) share this struct; each file changes only its own part and the folder members that are marked as its own.
 */
#ifndef GODWIT_PASS_H
#define GODWIT_PASS_H

#include "batch.h"
#include "follow.h"
#include "lane.h"
#include "losses.h"
#include "mend.h"
#include "mailbox.h"
#include "mapping.h"
#include "naming.h"
#include "suspects.h"
#include "survey.h"
#include "sweep.h"
#include "work.h"

enum folder_step {
	FOLDER_IDLE,     /* nothing to be copied */
	FOLDER_OPENING,  /* the ledger is told that APPENDs may leave; none has */
	FOLDER_COPYING,
	FOLDER_CLOSING,  /* all is answered; the ledger is being told */
	FOLDER_COMPLETE,
	FOLDER_LEFT_OUT
};

/* What is known of the flags that the target keeps. */
enum folder_flags { FLAGS_UNKNOWN, FLAGS_ASKED, FLAGS_KNOWN, FLAGS_ANY };

struct folder {
	struct span source_wire, target_wire; /* in the pass's memory */
	struct ledger_folder row;             /* paths too */
	enum folder_step step;
	/* The source as the survey saw it. */
	uint32_t messages, uidnext, uidvalidity;
	uint32_t target_uidnext, target_messages;
	uint64_t modseq;     /* HIGHESTMODSEQ; 0: the source does not tell */
	/* What the ledger said: where the last pass had come to. */
	uint32_t was_next, was_messages;
	uint64_t was_modseq;
	bool failed;         /* something of it was left out in this pass */
	uint64_t limit;      /* bytes that the target takes in one message; UINT64_MAX: it has not told */
	bool newest_first;
	bool judged;         /* not all of its messages may be wanted: scanned before they are fetched */
	struct losses losses; /* of messages that are on their way */
	struct uidset unnamed; /* source UIDs of what was left out or altered (naming) */
	bool on_target;      /* it is there, or its CREATE is sent (writer) */
	bool created_again;
	bool forget;         /* a fence: what the ledger knows of it is void */
	bool careful;        /* messages may be on the target that are not recorded: look before sending */
	bool looked;         /* careful: `suspects` is complete (writer) */
	struct suspects *suspects;
	struct uidset recorded;        /* source UIDs from source_next on that are recorded */
	struct uidset recorded_target; /* target UIDs from the floor on */
	bool recorded_bad;
	struct uidset delivered; /* source UIDs whose bodies came in this pass, or that were left out in it */
	bool uncounted;      /* a pass that fetched below source_next without a scan was broken: it may have missed some */
	bool counted_again;
	uint32_t hold;       /* 0, or the lowest UID that is to be asked for once more: source_next stays below it */
	struct uidset redo;  /* to be sent once more, each on its own (writer, reader) */
	struct uidset redo_few; /* to be sent once more, few at a time (writer) */
	uint32_t safe_next;  /* all source UIDs below are stored, or left out for good */
	uint32_t told_next;  /* what the ledger was told of that last */
	uint32_t floor;      /* the highest target UID seen, plus one */
	const struct lane *lane; /* which took the first piece of it (work) */
	bool split;          /* between lanes: target UIDs do not come in order, so the floor in the ledger stays */
	bool no_uids;        /* the target did not tell the UIDs of what it stored */
	struct batch unrecorded; /* then: stored, given to the ledger together with the new floor */
	enum folder_flags flags_step; /* whether it is known which flags the target keeps (writer_flags) */
	struct flags permanent; /* then: these */
	struct uidset undated; /* without a readable INTERNALDATE, and too large to look into: their headers are asked for, too (reader) */
	struct uidset binary; /* to be sent as literal8: it was refused for its NUL bytes */
	struct mend *mend;   /* to be repaired */
	struct uidset bare;  /* to be sent without keywords: it was refused with them */
	bool lookup_wanted, create_wanted, status_wanted, flags_wanted; /* what a writer is to say before the next APPEND */
	struct lane *wisher; /* whose writer that is */
	unsigned rounds;     /* of the readers, whose end has not come */
	bool creating;       /* CREATE is not answered */
	enum role use;       /* it is to be made for this role */
	struct lane *creator; /* whose connection carries it */
	uint64_t created;    /* when it was sent, in pass->sent */
	bool broken;         /* careful: only what was under way is in doubt */
	uint32_t count_next; /* careful: the source UID from which on names are still to be counted; 0: all are asked for */
	unsigned counts;     /* commands without their answer */
	unsigned windows;    /* APPENDs without their answer */
};

enum pass_step { PASS_SURVEY, PASS_COPY, PASS_FOLLOW, PASS_SWEEP, PASS_NAME, PASS_DRAIN, PASS_ENDED };

typedef void pass_began_fn(void *owner);
typedef void pass_left_fn(void *owner, const struct peer *source);
typedef void pass_ended_fn(void *owner, const struct outcome *outcome);

struct pass {
	const struct mailbox_env *env;
	const struct mailbox_spec *spec;
	struct lane *lane[LANES_MAX];
	unsigned lane_n;
	enum pass_step step;
	struct outcome outcome;
	pass_began_fn *began;
	pass_left_fn *left;
	pass_ended_fn *ended;
	void *owner;
	bool abandoned;                /* the owner is gone; memory stays until the ledger has answered */
	unsigned calls;                /* ledger calls without their answer */
	struct timer *soon, *watch, *leave;
	bool quiet;                    /* nothing was under way when the watch last looked */
	struct arena memory;
	struct survey survey[SIDES];
	bool surveyed[SIDES], rows_loaded;
	struct timer *settle;
	uint64_t settle_began, settle_changed, settle_seen; /* ms, ms, of the target's folders at the last look */
	struct mapping mapping;
	struct pass_names {
		bool tried, under_way;
		unsigned pending;      /* commands without their answer */
		size_t next;           /* entry of the mapping */
	} names;
	struct ledger_folder *row;     /* of the ledger, for matching */
	size_t row_n;
	struct folder *folder;         /* in the order of the source's paths */
	size_t folder_n;
	size_t open_folders;           /* not yet complete or left out */
	struct work_queue work;
	struct follow follow;
	struct sweep sweep;
	struct naming naming;
	uint64_t sent;                 /* counts the APPENDs and CREATEs of all lanes */
	struct mailbox_progress progress;
};

/* NULL when memory is out. Borrows the peers, takes over their events. `began`: it is known what is to be done, see pass_lanes_useful(). `left`: the lane with
 * that source is no more, see pass_drop_lane(). None comes from within these calls. */
struct pass *pass_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	pass_began_fn *began, pass_left_fn *left, pass_ended_fn *ended, void *owner);
void pass_free(struct pass **p);
void pass_stop(struct pass *p, bool now);
/* A further lane, while there is work for it: how many lanes in all would have some. It borrows the peers as pass_new() does. False, and
 * nothing is changed: the pass has no use for it any more, or memory is out. */
unsigned pass_lanes_useful(const struct pass *p);
bool pass_add_lane(struct pass *p, struct peer *source, struct peer *target);
/* One of the further lanes leaves as soon as what it has asked for is on the target. False: there is none that is not leaving already. */
bool pass_drop_lane(struct pass *p);
const struct mailbox_progress *pass_progress(const struct pass *p);

/* For the parts. */
void pass_fail(struct pass *p, const struct outcome *why);             /* drains or ends, by the radius */
void pass_abort(struct pass *p, const struct outcome *why);            /* ends at once: nothing more may be sent */
void pass_fail_proto(struct pass *p, enum side side, int err);         /* the session refused a command, or memory is out */
void pass_add_skip(struct pass *p, struct folder *f, uint32_t uid, const char *reason); /* uid 0: the folder */
void pass_leave_out_folder(struct pass *p, struct folder *f, const char *reason);
void pass_leave_out_message(struct pass *p, struct folder *f, uint32_t uid, const char *reason);
/* These messages are not wanted, by the rules of the migration. */
void pass_not_selected(struct pass *p, struct folder *f, const struct uidset *uids, const char *reason);
/* These messages of the source are on the target, but not quite as they are there. */
void pass_alter_messages(struct pass *p, struct folder *f, const struct uidset *uids, enum skip_kind kind, const char *reason);
/* These messages, a set or a list, are stored: what of them was lost is told. */
void pass_tell_losses(struct pass *p, struct folder *f, const struct uidset *stored);
/* Of a folder that the source has; a subscription without its folder is not missed. */
void pass_leave_out_subscription(struct pass *p, struct span path, const char *reason);
/* It is on the target, or will be, but not by its own name. */
void pass_alter_folder(struct pass *p, struct folder *f, const char *reason);
void pass_folder_complete(struct pass *p, struct folder *f);
void pass_count(struct pass *p, uint64_t messages);  /* towards progress */
/* The message is to be sent once more, alone. 0 or PROTO_ERR_NOMEM. */
int pass_redo(struct folder *f, uint32_t uid);
/* The same, in company of a few. */
int pass_redo_few(struct folder *f, uint32_t uid);
void pass_hold(struct folder *f, uint32_t uid);
/* All lanes look whether they can go on. */
void pass_pump(struct pass *p);
void pass_check_end(struct pass *p);                                   /* ends when nothing is left to wait for */
struct log_context;
struct log_context pass_context(const struct pass *p, const struct folder *f, uint32_t uid);
/* A ledger call whose answer goes to fn(lane, folder, id) unless the pass is gone; `arg` for the ledger. */
typedef void pass_call_fn(struct lane *l, struct folder *f, int64_t id);
struct pass_call;
struct pass_call *pass_call_new(struct lane *l, struct folder *f, pass_call_fn *fn);
struct folder *pass_call_folder(void *arg); /* NULL: the pass is gone or over */
struct pass *pass_call_pass(void *arg);
void pass_call_done(void *arg, int err);
void pass_call_id(void *arg, int err, int64_t id);

/* Looks at the target's folders once more, while in PASS_SURVEY. */
void pass_look_again(struct pass *p);

/* pass_names.c: tries to make the folders whose names the target may refuse, and what takes their place. True: it is under way, and the target will be looked at again. */
bool pass_names_begin(struct pass *p);
void pass_names_on(struct pass *p, const struct session_event *ev);

/* The pass hears what the lane's peers tell. */
void pass_listen(struct lane *l);
/* pass_lanes.c. NULL: memory is out, or there are LANES_MAX. */
struct lane *pass_take_lane(struct pass *p, struct peer *source, struct peer *target);
void pass_check_leave(struct pass *p);
void pass_leave(void *arg); /* of p->leave */

/* pass_plan.c: turns surveys and rows into folders. 0 or PROTO_ERR_*. */
int pass_plan(struct pass *p);

#endif
