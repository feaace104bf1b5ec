/*
 * verify_p: what the files of verify share. verify.c has the life, the folders and the steps; verify_fetch.c asks a side for messages and takes them apart;
 * verify_name.c makes items of what differs; verify_ledger.c knows what the ledger knows.
 */
#ifndef GODWIT_VERIFY_P_H
#define GODWIT_VERIFY_P_H

#include "identity.h"
#include "survey.h"
#include "verify.h"

#define VERIFY_JOBS 2      /* FETCHes under way on one side */
#define VERIFY_NAMES 500   /* messages that are named at once */

enum verify_step { VERIFY_SURVEY, VERIFY_LIST, VERIFY_HASH, VERIFY_NAME, VERIFY_ENDED };

/* What is told of one message. Texts in the arena `names`. */
struct verify_detail {
	uint32_t uid;
	const char *message_id, *date, *flags;
	uint64_t size;
};

struct verify_job {
	bool busy;
	struct uidset asked;
};

struct verify_side {
	const struct survey_folder *folder; /* NULL: it does not have it */
	bool opened;               /* EXAMINE was answered OK */
	bool failed;               /* it cannot be read: that is told, nothing more is compared */
	bool again;                /* it was listed once more, since less came than it holds */
	uint32_t exists;           /* messages, by EXAMINE and EXPUNGE */
	bool exists_known;
	struct compare_list list;
	uint32_t refused;          /* FETCHes, in this folder */
	uint32_t lost;             /* messages that were refused alone: told, and not in the list */
	uint32_t last;             /* there is hardly a message beyond this UID */
	struct uidset wanted;      /* still to be asked for */
	uint32_t width;            /* UIDs to be asked for at once */
	struct uidset *redo;       /* refused in company: in halves */
	size_t redo_n, redo_size;
	struct verify_job job[VERIFY_JOBS];
	unsigned pending;          /* commands without their answer */
	struct body_digest *digest; /* deep */
	uint64_t body_size;
	bool in_body;
	struct verify_detail name[VERIFY_NAMES];
	size_t name_n;
};

/* What will be told of a message. */
struct verify_diff {
	uint32_t uid[SIDES];
	uint32_t size[SIDES];      /* deep; else 0 */
	uint32_t what;
	enum verify_kind kind;
	enum verify_ours ours;
	const char *reason;        /* in the arena `folder_texts`; NULL: none */
};

struct verify_pair {               /* of folders */
	const struct survey_folder *folder[SIDES];
	const char *source_path, *target_path;
};

struct verify {
	const struct mailbox_env *env;
	const struct verify_env *how;
	const struct mailbox_spec *spec;
	struct peer *peer[SIDES];  /* borrowed; NULL once lost */
	enum verify_step step;
	struct outcome outcome;
	verify_ended_fn *ended;
	void *owner;
	struct timer *soon;
	struct arena memory;
	struct survey survey[SIDES];
	bool surveyed[SIDES];
	struct verify_pair *pair;
	size_t pair_n, at;         /* at: the one in hand */
	struct verify_side side[SIDES];
	struct compare_pairs differ;
	struct uidset twice;
	struct verify_diff *diff;
	size_t diff_n, diff_size, asked, named; /* so many are asked for; so many are told */
	struct arena folder_texts, names;
	struct buf scratch;
	struct verify_folder folder;
	struct verify_counts counts, all; /* of the folder; of the mailbox */
	struct ledger_folder *row; /* of the ledger, with their texts in `memory` */
	size_t row_n;
	int64_t ledger_id;         /* of the mailbox; 0: the ledger does not know it */
	struct mailbox_progress progress;
};

/* verify.c */
void verify_fail(struct verify *v, const struct outcome *why);
void verify_fail_proto(struct verify *v, enum side side, int err);
/* A side has all that it was asked for. */
void verify_side_done(struct verify *v);
const struct verify_pair *verify_pair_now(const struct verify *v);
/* 0 or PROTO_ERR_NOMEM. */
int verify_add_diff(struct verify *v, const struct verify_diff *d);
/* Text in the arena of the folder; NULL when memory is out. */
const char *verify_keep(struct arena *a, struct span text);

/* verify_fetch.c */
/* Opens the folder and asks for all messages of it. 0 or PROTO_ERR_*. */
int verify_list(struct verify *v, enum side side);
/* Asks for what is in `wanted`, by v->step. */
int verify_pump(struct verify *v, enum side side);
void verify_on(struct verify *v, enum side side, const struct session_event *ev);
void verify_side_reset(struct verify_side *s);
void verify_side_free(struct verify_side *s);

/* verify_name.c */
/* Makes diffs of what the comparison has left. */
int verify_make_diffs(struct verify *v);
/* Asks for the next ones. False: all are told. */
bool verify_name_next(struct verify *v, int *err);
void verify_tell_named(struct verify *v);
/* The folder is, on the source, and is not on the target. */
void verify_tell_unsubscribed(struct verify *v);
void verify_tell_unreadable(struct verify *v, enum side side, uint32_t uid, uint64_t messages, const char *reason);

/* verify_ledger.c; without a ledger, or when it does not know the folder, they do nothing. 0 or PROTO_ERR_NOMEM. */
int verify_ledger_mailbox(struct verify *v);
/* Puts together what the ledger knows to belong together. */
int verify_ledger_pair(struct verify *v);
/* Says of diffs what is known. */
int verify_ledger_explain(struct verify *v);
enum verify_ours verify_ledger_folder_ours(const struct verify *v, const char *target_path);

#endif
