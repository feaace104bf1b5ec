/*
 * plan: what a first pass, or the next one, would do with a mailbox: which folder goes where, how much is in it, what would not be taken along, and whether it has room
 * on the target. Between two logged-in peers; nothing is written: NAMESPACE, LIST, LSUB, STATUS on both sides, GETQUOTAROOT on the target, and with `scan` EXAMINE
 * and FETCH (RFC822.SIZE) on the source. The ledger, where there is one, is only read.
 *
 *   PLAN_SURVEY   both sides' folders
 *   PLAN_QUOTA    the target's quota, where it offers QUOTA
 *   PLAN_SCAN     the source's folders, one after the other: sizes of all messages
 *   PLAN_ENDED    told to the owner, once
 */
#ifndef GODWIT_PLAN_H
#define GODWIT_PLAN_H

#include "ledger_read.h"
#include "mailbox.h"
#include "mapping.h"

/* Of all mailboxes; borrowed. */
struct plan_env {
	bool scan;
	struct ledger_reader *ledger; /* NULL: there is none */
};

#define PLAN_FATES(X)                                                                                                  \
	X(GOES, "goes")           /* to `target_path` */                                                               \
	X(EXCLUDED, "excluded")   /* by the operator's rules */                                                        \
	X(LEFT_OUT, "left out")   /* it cannot be taken along; `note` says why */                                      \
	X(CONFLICT, "conflict")   /* it would go where another one goes: the mailbox would be held */
enum plan_fate {
#define X(name, text) PLAN_##name,
	PLAN_FATES(X)
#undef X
	PLAN_FATE_N
};
const char *plan_fate_name(enum plan_fate f);

struct plan_folder {
	enum plan_fate fate;
	const char *source_path, *target_path; /* the latter "" when it does not go */
	const char *role;        /* "\\Sent"; "" none */
	const char *by;          /* "name", "role", "map", "ledger" */
	const char *note;        /* what is to be said of it; "" nothing */
	bool exists;             /* on the target */
	bool messages_known, bytes_known;
	uint64_t messages, bytes;
	uint64_t brought;        /* messages, by the ledger */
	uint64_t too_big;        /* of the messages: larger than the target takes; 0 unless scanned */
	uint64_t target_messages;
	/* for the scan */
	const struct survey_folder *from;
};

struct plan_room {
	bool known;
	uint64_t used, limit;
};

struct plan_result {
	const struct plan_folder *folder;
	size_t folder_n;
	uint64_t folders[PLAN_FATE_N], made; /* made: that would be made on the target */
	uint64_t messages, bytes;      /* in the folders that go */
	uint64_t messages_to_come;     /* without what the ledger knows to be there */
	uint64_t bytes_to_come;        /* the same, by the average size */
	bool bytes_known;
	uint64_t too_big;
	bool scanned;
	struct plan_room storage, count; /* quota of the target: bytes, messages */
	bool append_limit_known;
	uint64_t append_limit;         /* bytes that a message may have */
	const char *conflict;          /* ""; else why the mailbox would be held */
};
/* Something would not be on the target after it, or nothing would. */
bool plan_is_short(const struct plan_result *r);
/* What is to come has no room there. */
bool plan_is_over_quota(const struct plan_result *r);

typedef void plan_ended_fn(void *owner, const struct outcome *outcome);

struct plan;
/* NULL when memory is out. Borrows the peers, takes over their events. `ended` never comes from within these calls. */
struct plan *plan_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	plan_ended_fn *ended, void *owner);
void plan_free(struct plan **p);
void plan_stop(struct plan *p);
/* After its end without a failure. Lives as long as the plan, which needs its peers no more then. */
const struct plan_result *plan_result(const struct plan *p);

#endif
