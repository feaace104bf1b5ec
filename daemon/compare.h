/*
 * compare: two folders as multisets of messages. No I/O, no digests: what is the same message is in the key, which the caller makes.
 *
 * An entry is what is kept of a message while its folder is looked at: 24 bytes. Two entries with the same key are the same message; the other members
 * are what may differ in it. Of several with the same key those are put together that differ least.
 */
#ifndef GODWIT_COMPARE_H
#define GODWIT_COMPARE_H

#include "uidset.h"

struct compare_entry {
	uint32_t key[2];
	uint32_t date;  /* the INTERNALDATE's seconds, their low half */
	uint32_t flags; /* a hash of them */
	uint32_t size;  /* bytes; UINT32_MAX: as many or more */
	uint32_t uid;
};

struct compare_list {
	struct compare_entry *entry;
	size_t n, size;
	bool unordered; /* UIDs did not come in ascending order */
};

/* In what two messages differ. */
enum compare_what {
	COMPARE_FLAGS = 1,
	COMPARE_DATE = 2,
	COMPARE_SIZE = 4,
	COMPARE_BYTES = 8,  /* for the caller, here and below */
	COMPARE_HEADER = 16
};

struct compare_pair {
	struct compare_entry source, target;
	unsigned what; /* of enum compare_what, not 0 */
};

struct compare_pairs {
	struct compare_pair *pair;
	size_t n, size;
};

void compare_list_done(struct compare_list *l);
void compare_pairs_done(struct compare_pairs *p);
/* Keeps the memory. */
void compare_list_reset(struct compare_list *l);
/* 0 or PROTO_ERR_NOMEM. */
int compare_add(struct compare_list *l, const struct compare_entry *e);
/* Puts the entries into the order of their UIDs, each UID once. */
void compare_settle(struct compare_list *l);
/* By UID, in a list that is settled; NULL: not there. */
struct compare_entry *compare_find(const struct compare_list *l, uint32_t uid);
/* The attributes in which the two differ, by the bits of enum compare_what. */
unsigned compare_attributes(const struct compare_entry *source, const struct compare_entry *target);
/* 0 or PROTO_ERR_NOMEM. */
int compare_pair_add(struct compare_pairs *p, const struct compare_entry *source, const struct compare_entry *target, unsigned what);

/*
 * Takes out of both lists what has a partner in the other: counts those that are equal in *equal, and appends those that differ to `differ`. What is left in
 * the lists has none, and is settled. `twice` gets the UIDs of what is left of the target although the source has its key: there are more of it than
 * in the source. `always`: differences that are known beforehand, so that none is equal. 0 or PROTO_ERR_NOMEM; the lists are of no more use then.
 */
int compare_match(struct compare_list *source, struct compare_list *target, unsigned always, struct compare_pairs *differ,
	uint64_t *equal, struct uidset *twice);

#endif
