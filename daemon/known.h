/*
 * known: what the ledger knows of the messages that were brought into a folder: which source UID became which target UID, and the flags as they were
 * written last; and what has changed since, found by comparing with the source.
 *
 * Flags merge three ways without the target being read: what the source changed since they were written last is added to, or taken from, what the
 * target has now. So a flag that a user changed on the target stays as it is, unless the source changed the very same flag.
 *
 * Pure. Memory: 16 bytes for each run of UIDs that grow together on both sides, 8 for each range of UIDs with a flag.
 */
#ifndef GODWIT_KNOWN_H
#define GODWIT_KNOWN_H

#include "flags.h"
#include "uidset.h"

struct known_run {
	uint32_t source, target, n; /* source + i became target + i, for i < n; target 0: the target did not tell */
	bool adopted;               /* were there before */
};

struct known_flag {
	char *name;
	struct uidset uids;         /* source UIDs: it was written, and not taken away since */
	struct uidset added, removed; /* source UIDs: the source changed it since */
	struct uidset shown;        /* target UIDs, of those that were touched: it is there now */
	unsigned seen;
	bool refused;               /* by the target, in this pass */
};

struct known {
	struct known_run *run;      /* sorted by source UID after known_sort() */
	size_t run_n, run_size;
	struct known_flag *flag;
	size_t flag_n, flag_size;
	struct uidset gone;         /* source UIDs: vanished from the source, and dealt with */
	struct uidset touched;      /* target UIDs: something changed there since it was tried what a break left in doubt */
	unsigned turn;
};

/* All zero is empty. */
void known_done(struct known *k);
/* A row of the ledger: lists in the notation and order of COPYUID, flags as batch.h writes them. target_uids may be empty. PROTO_ERR_SYNTAX: it cannot be
 * read; PROTO_ERR_NOMEM. */
int known_add(struct known *k, struct span source_uids, struct span target_uids, struct span flags, bool adopted);
/* "\\Seen=1:4,9 $Forwarded=3", added to what is there. The same errors. */
int known_add_flags(struct known *k, struct span flags);
void known_sort(struct known *k);
/* 0: it was not brought, or the target did not tell its UID. *adopted may be NULL. */
uint32_t known_target(const struct known *k, uint32_t source_uid, bool *adopted);
/* All source UIDs that were brought, whose target UID is known. */
int known_sources(const struct known *k, struct uidset *ret);

/* The source has these flags now. 0 or PROTO_ERR_NOMEM. Counts nothing for a message that was not brought. */
int known_compare(struct known *k, uint32_t source_uid, const struct flags *now);
bool known_has_changes(const struct known *k);
/* The target UIDs to which the flag is to be added (or from which it is to be taken). */
int known_changes(const struct known *k, const struct known_flag *f, bool added, struct uidset *ret);
/* The change was made: it is what was written last. */
int known_changed(struct known_flag *f, bool added);
/* The flags in the notation of known_add_flags(). 0 or PROTO_ERR_*. */
int known_print_flags(const struct known *k, struct buf *out);

/* The changes that are to be made, but for what was refused: "+\\Seen=1:4 -work=9", source UIDs. 0 or PROTO_ERR_*. */
int known_print_tried(const struct known *k, struct buf *out);
/* Of such a text: the target UIDs of its messages are added to *ret. 0, PROTO_ERR_SYNTAX, PROTO_ERR_NOMEM. */
int known_tried(struct known *k, struct span tried, struct uidset *ret);
/* After known_tried(): the target says that the message has changed since, and has these flags now. 0 or PROTO_ERR_NOMEM. */
int known_touched(struct known *k, uint32_t target_uid, const struct flags *now);
/* Settles what became of what was tried, in the order of the text. Counts as written, for a message that was touched:
 *   - a change that it shows, and all that were tried with it before that one: a user has changed those back;
 *   - a change that at least half of the touched messages show that it was tried with, one with a higher target UID among them, and all before it: the
 *     STORE was carried out, and a user has changed it back.
 * All else never came about, as far as anybody can tell: known_compare() finds it once more. Before known_compare(). The errors of known_tried(). */
int known_settle(struct known *k, struct span tried);

#endif
