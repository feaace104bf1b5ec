/*
 * ledger: the durable record of what is known to be done (SQLite in WAL mode, one file in the state folder). The target is the truth; the ledger is
 * what is known of it.
 *
 * A thread of its own does the work, in the order of the calls; what has piled up is committed as one transaction, then the
 * callbacks of it are called on the loop, in order, a few ms of them in one turn. When a callback is called with err 0, what was written is durable.
 * Rows given to a call are copied; rows given to a callback live until it returns. The calls take batches and answer by callback so
 * that a database over a network can stand behind the same interface.
 *
 * After a failure (disk full, I/O error, damage) the ledger is dead: every call answers with the same error, nothing more is written;
 * ledger_error() says what and which file.
 */
#ifndef GODWIT_LEDGER_H
#define GODWIT_LEDGER_H

#include "loop.h"

#include <stddef.h>

enum ledger_err {
	LEDGER_OK = 0,
	LEDGER_BUSY = -1,   /* another godwit has it */
	LEDGER_FAILED = -2, /* see ledger_error() */
	LEDGER_NEWER = -3,  /* written by a newer godwit */
	LEDGER_DAMAGED = -4,
	LEDGER_ABSENT = -5   /* there is none (ledger_read.h) */
};

/* States of a mailbox as operators see them. */
#define MAILBOX_STATES(X)                                                                                              \
	X(QUEUED, "queued")                                                                                            \
	X(RUNNING, "running")                                                                                          \
	X(PARKED, "parked")                                                                                            \
	X(HELD, "held")                                                                                                \
	X(SYNCED, "synced")                                                                                            \
	X(DONE, "done")                                                                                                \
	X(FAILED, "failed")
enum mailbox_state {
#define X(name, text) MAILBOX_##name,
	MAILBOX_STATES(X)
#undef X
	MAILBOX_STATE_N
};
const char *mailbox_state_name(enum mailbox_state s);

/* What became of a message that did not arrive as it was. */
#define SKIP_KINDS(X)                                                                                                  \
	X(LEFT_OUT, "left out") /* it is not on the target, or the folder is not */                                    \
	X(ALTERED, "altered")   /* it is, but something of it could not be kept: a flag, the date */                   \
	X(REPAIRED, "repaired") /* it is, with bytes that were changed so that the target takes it */                    \
	X(ECHO, "echo")         /* it was there twice: an APPEND from before a break was carried out behind the next one */ \
	X(NOT_SELECTED, "not selected") /* it is not, since the migration's rules do not want it: many in one row */
enum skip_kind {
#define X(name, text) SKIP_##name,
	SKIP_KINDS(X)
#undef X
	SKIP_KIND_N
};
const char *skip_kind_name(enum skip_kind k);

struct ledger_mailbox {
	int64_t id;            /* of the ledger; 0: new */
	const char *name;      /* MIGRATION/TARGET_USER */
	enum mailbox_state state;
	const char *reason;    /* words; "" when there is nothing to say */
	uint32_t attempts;     /* login attempts used since the last success */
	int64_t next_attempt;  /* wall ms; 0: none */
	int64_t since;         /* wall ms of the last change of state */
	int64_t last_synced;   /* wall ms of the last complete pass; 0: never */
	uint64_t copied, adopted, bytes; /* over all passes */
	uint64_t skips[SKIP_KIND_N]; /* messages and folders, by what became of them */
	bool paused;           /* held by the operator, until he resumes it */
	bool finishing;        /* the next pass that leaves nothing out is the last one */
};

struct ledger_echoes {               /* APPENDs that were under way at a break, and may land when they were sent again */
	uint32_t floor;              /* what they store has no target UID below it; 0: there are none */
	uint32_t next;               /* nor is it a source UID from this one on */
	int64_t batch;               /* nor is it in a batch up to this one */
	uint32_t sends;              /* how often each of them was sent in vain, at most */
	uint32_t looks;              /* 0: nobody is to look for them any more; else see sweep.h */
};

struct ledger_folder {
	int64_t id;                  /* 0: new */
	int64_t mailbox;             /* id */
	const char *source_path, *target_path; /* name.h; unique together within a mailbox */
	uint32_t source_uidvalidity, target_uidvalidity;
	uint32_t source_next;        /* every source UID below is accounted for */
	uint32_t floor;              /* every target UID below is accounted for; 0: not known */
	bool open;                   /* APPENDs may have left us that are not recorded: look before sending */
	uint32_t source_messages;    /* as of the last complete pass, to see that nothing happened */
	uint32_t source_uidnext;
	uint64_t source_modseq;
	uint64_t copied, adopted;
	uint32_t open_floor;         /* open: what this pass stores has no target UID below it; 0: not known */
	uint32_t open_next;          /* open: the source's UIDNEXT when it began */
	int64_t last_batch;          /* open: as of ledger_load_folders(); not written */
	struct ledger_echoes echoes;
	const char *selection;       /* the rules by which source_next came about (selection.h); NULL is "" */
};

struct ledger_batch {
	int64_t folder;
	const char *source_uids;     /* in the notation and order of COPYUID (RFC 4315 section 3) */
	const char *target_uids;     /* the n-th belongs to the n-th; "" when the target does not tell UIDs */
	const char *flags;           /* what was written: "\\Seen=1:4,9 $Forwarded=3", source UIDs; "" none */
	uint32_t source_next, floor; /* of the folder, from now on */
	uint32_t target_uidvalidity; /* the same; 0: as it was */
	uint32_t copied, adopted;    /* messages, added to the counts */
	uint64_t bytes;
};

struct ledger_known {                /* messages that were brought before */
	const char *source_uids, *target_uids; /* as in a batch; both "" where only flags are told */
	const char *flags;           /* as they were written last */
	bool adopted;
};

struct ledger_follow {               /* what a folder was found to be after a pass */
	int64_t folder;
	const char *flags;           /* of all messages that were brought before, as they were written last */
	const char *gone;            /* source UIDs that vanished and were dealt with */
	uint32_t source_messages, source_uidnext;
	uint64_t source_modseq;
};

/* What is about to be changed on the target: written before, so that after a break it is not done again over what a user has changed since. */
struct ledger_tried {
	int64_t folder;
	const char *changes;         /* "+\\Seen=1:4 -work=9": added, taken away; source UIDs */
	uint64_t target_modseq;      /* HIGHESTMODSEQ of the target before that */
};

struct ledger_followed {             /* what the ledger has of all that */
	const char *gone, *tried;    /* "" none */
	uint64_t target_modseq;
};

struct ledger_skip {                 /* a message or a folder that was left out, altered or repaired */
	enum skip_kind kind;
	int64_t folder;              /* 0 with folder_path: a folder that has no row */
	int64_t mailbox;
	const char *folder_path;
	uint32_t uid;                /* 0: the folder itself */
	const char *message_id;      /* "" when not known, here and below */
	const char *internaldate;    /* as date_print() writes it */
	uint64_t size;               /* bytes; 0: not known */
	uint64_t messages;           /* NOT_SELECTED: how many, `uid` is the first; 0 is as 1 */
	const char *uids;            /* NOT_SELECTED: all of them, as a set; NULL is "" */
	const char *reason;
};

struct ledger;
struct ledger_failure {
	enum ledger_err err;
	char text[512]; /* what, which file, and the way out */
};

/* Opens or makes DIR/ledger.sqlite, and takes the lock DIR/lock (flock) for the life of the process. The folder is made (0700) when its parent exists. Blocks. */
int ledger_open(struct loop *l, const char *dir, struct ledger **ret, struct ledger_failure *failure);
/* Writes all that was asked for, calls no more callbacks, closes. */
void ledger_close(struct ledger **l);
/* What went wrong, "" while nothing did: as of the callbacks that were called so far. */
const char *ledger_error(const struct ledger *l);
/* How it keeps up. Times in us. */
struct ledger_meter {
	struct histogram answers;     /* from the call to its callback */
	struct histogram commits;     /* of the transactions, what waits for the disk included */
	struct histogram checkpoints; /* of bringing the write-ahead log into the file */
	size_t waiting, waiting_most; /* calls without their callback: now, and at most */
};
void ledger_meter(struct ledger *l, struct ledger_meter *ret);

typedef void ledger_done_fn(void *arg, int err);
typedef void ledger_mailboxes_fn(void *arg, int err, const struct ledger_mailbox *rows, size_t n);
typedef void ledger_folders_fn(void *arg, int err, const struct ledger_folder *rows, size_t n);
typedef void ledger_id_fn(void *arg, int err, int64_t id);
typedef void ledger_known_fn(void *arg, int err, const struct ledger_known *rows, size_t n,
	const struct ledger_followed *also);
typedef void ledger_sets_fn(void *arg, int err, const char *const *source_uids, const char *const *target_uids, size_t n);

/* Finds or makes the rows of these names; answers with one row for each, in order. */
void ledger_register(struct ledger *l, const char *const *names, size_t n, ledger_mailboxes_fn *fn, void *arg);
/* Writes the rows but for the skips, and the counts, which grow by ledger_add_batches(). Where id is 0 the row is found or
 * made by its name. */
void ledger_save_mailboxes(struct ledger *l, const struct ledger_mailbox *rows, size_t n, ledger_done_fn *fn, void *arg);
void ledger_load_folders(struct ledger *l, int64_t mailbox, ledger_folders_fn *fn, void *arg);
/* Writes the row of these two paths (new when there is none) and answers with its id. The counts grow by
 * ledger_add_batches(). `forget`: drops all batches of the folder (a changed UIDVALIDITY is a fence), and its counts
 * become the row's. */
void ledger_save_folder(struct ledger *l, const struct ledger_folder *row, bool forget, ledger_id_fn *fn, void *arg);
/* Records batches; updates source_next, floor and counts of folder and mailbox in the same transaction. fn may be NULL here and below. */
void ledger_add_batches(struct ledger *l, const struct ledger_batch *rows, size_t n, ledger_done_fn *fn, void *arg);
/* The recorded sets with any source UID >= source_from or target UID >= target_from: what is above source_next and above the floor. */
void ledger_load_sets(struct ledger *l, int64_t folder, uint32_t source_from, uint32_t target_from, ledger_sets_fn *fn, void *arg);
/* The same, of batches after this one, whatever their UIDs. */
void ledger_load_sets_after(struct ledger *l, int64_t folder, int64_t batch, ledger_sets_fn *fn, void *arg);
/* Writes this part of the folder's row. */
void ledger_save_echoes(struct ledger *l, int64_t folder, const struct ledger_echoes *e, ledger_done_fn *fn, void *arg);
/* All that was brought into the folder. */
void ledger_load_known(struct ledger *l, int64_t folder, ledger_known_fn *fn, void *arg);
/* Between it and ledger_load_known() no batch was added to the folder. What was tried before is in it. */
void ledger_save_follow(struct ledger *l, const struct ledger_follow *row, ledger_done_fn *fn, void *arg);
/* Takes the place of what was tried before. */
void ledger_save_tried(struct ledger *l, const struct ledger_tried *row, ledger_done_fn *fn, void *arg);
/* Gives the rows of these folders and UIDs, of any kind, their Message-ID, INTERNALDATE and size. */
void ledger_name_skips(struct ledger *l, const struct ledger_skip *rows, size_t n, ledger_done_fn *fn, void *arg);
/* Adds to what was left out, altered, repaired; the same kind, folder and UID again replaces the row. ledger_clear_skips() forgets the messages of a folder from a UID
 * on: a new look at them begins. With the path "" it forgets the folders of the mailbox that were left out as a whole. */
void ledger_add_skips(struct ledger *l, const struct ledger_skip *rows, size_t n, ledger_done_fn *fn, void *arg);
void ledger_clear_skips(struct ledger *l, int64_t mailbox, const char *folder_path, uint32_t from, ledger_done_fn *fn,
	void *arg);

#endif
