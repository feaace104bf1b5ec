/*
 * verify: compares the two sides of a mailbox, from the servers, between two logged-in peers. Nothing is written: folders are opened with EXAMINE, bodies are
 * looked at with PEEK, and the ledger, where there is one, is only asked what is known of a message that is missing or extra.
 *
 *   VERIFY_SURVEY   both sides' folders
 *   VERIFY_LIST     of one folder after the other, on both sides at once: what each message is (compare.h), then what is the same
 *   VERIFY_HASH     messages without a partner on either side: their headers once more, to find what was altered
 *   VERIFY_NAME     what differs is asked for its Message-ID, date, size and flags, and told
 *   VERIFY_ENDED    told to the owner, once
 *
 * A message is recognised by Message-ID, Date and size, and where it has neither of the two headers by INTERNALDATE and size; with `deep` by the SHA-256 of
 * its bytes (the first half of it, of which 64 bits are kept). In memory are 24 bytes for each message of one folder, on each side, and about 150 for each one that differs.
 */
#ifndef GODWIT_VERIFY_H
#define GODWIT_VERIFY_H

#include "compare.h"
#include "ledger_read.h"
#include "mailbox.h"

/* What may be said of a message, in the order in which it is told. */
#define VERIFY_KINDS(X)                                                                                                \
	X(MISSING, "missing")       /* on the source, not on the target */                                             \
	X(LEFT_OUT, "left out")     /* the same, and the ledger says why */                                            \
	X(ALTERED, "altered")       /* on both sides, but its bytes, size, header or INTERNALDATE differ */            \
	X(FLAGS, "flags differ")    /* on both sides, only flags and keywords differ; a user may have changed them */  \
	X(TWICE, "twice")           /* on the target more often than on the source */                                  \
	X(UNSUBSCRIBED, "unsubscribed") /* the folder: subscribed on the source, not on the target */                  \
	X(UNREADABLE, "unreadable") /* a server does not give it: nothing can be said */                               \
	X(EXTRA, "extra")           /* on the target, not on the source: no difference that counts */
enum verify_kind {
#define X(name, text) VERIFY_##name,
	VERIFY_KINDS(X)
#undef X
	VERIFY_KIND_N
};
const char *verify_kind_name(enum verify_kind k);

/* Did we bring what is extra on the target? */
enum verify_ours { OURS_UNKNOWN, OURS_NO, OURS_YES };

struct verify_counts {
	uint64_t messages[SIDES], equal;
	uint64_t kind[VERIFY_KIND_N];
	uint64_t ours;           /* of those that are extra */
	uint64_t folders, folders_missing, folders_extra; /* of the mailbox */
};

struct verify_folder {
	const char *source_path; /* "": the source does not have it */
	const char *target_path;
	bool absent;             /* from the target */
	enum verify_ours ours;   /* of a folder that only the target has */
};

struct verify_item {
	enum verify_kind kind;
	unsigned what;           /* ALTERED, FLAGS: of enum compare_what */
	enum side side;          /* UNREADABLE: which of them */
	uint32_t uid[SIDES];     /* 0: it is not there; both 0: the folder as such */
	const char *message_id;  /* "" when it has none, or is not known */
	const char *date[SIDES], *flags[SIDES]; /* "" when not known; canonical text */
	uint64_t size[SIDES];    /* bytes; as the server announces it, with `deep` as they came */
	enum verify_ours ours;   /* EXTRA, TWICE */
	const char *reason;      /* what is known beside; "" nothing */
};

enum verify_event_kind {
	VERIFY_FOLDER,     /* its items follow */
	VERIFY_ITEM,
	VERIFY_FOLDER_END  /* counts of the folder; of one that only the target has: how many messages are in it */
};

struct verify_event {
	enum verify_event_kind kind;
	const char *mailbox;
	const struct verify_folder *folder;
	const struct verify_item *item;
	const struct verify_counts *counts;
};

typedef void verify_fn(void *arg, const struct verify_event *ev);

/* Of all mailboxes; borrowed. */
struct verify_env {
	bool deep;
	bool ignore_flags;
	struct ledger_reader *ledger; /* NULL: there is none */
	verify_fn *tell;
	void *arg;
};

typedef void verify_ended_fn(void *owner, const struct outcome *outcome);

struct verify;
/* NULL when memory is out. Borrows the peers, takes over their events. `ended` never comes from within these calls. */
struct verify *verify_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	verify_ended_fn *ended, void *owner);
void verify_free(struct verify **v);
void verify_stop(struct verify *v);
const struct mailbox_progress *verify_progress(const struct verify *v);
/* Of the whole mailbox, so far. */
const struct verify_counts *verify_counts(const struct verify *v);

#endif
