/*
 * selection: which messages of the source the operator wants, and which the target can take. Pure.
 *
 * A message of which something is not known (no INTERNALDATE, no size) is not left out for that reason.
 */
#ifndef GODWIT_SELECTION_H
#define GODWIT_SELECTION_H

#include "resp.h"

struct selection {
	uint64_t max_size;      /* bytes; 0: any */
	uint32_t since, before; /* days as date_day() has them; 0: any */
	bool skip_deleted;
};

/* Why a message is left out. Those before SELECTION_MAX_SIZE are counted, the others are told one by one. */
enum selection_why {
	SELECTION_WANTED,
	SELECTION_DELETED,
	SELECTION_SINCE,
	SELECTION_BEFORE,
	SELECTION_MAX_SIZE,
	SELECTION_LIMIT,
	SELECTION_WHY_N
};

#define SELECTION_TEXT 160 /* room for any text of it */

/* `limit`, here and below: bytes that the target takes at most in one message (APPENDLIMIT, RFC 7889); UINT64_MAX: it has not told. */
bool selection_is_any(const struct selection *s, uint64_t limit);
/* Needs FLAGS, INTERNALDATE and RFC822.SIZE of the message. */
enum selection_why selection_judge(const struct selection *s, uint64_t limit, const struct resp_fetch *m);
/* The same for a message of which only its true size is known. */
enum selection_why selection_judge_size(const struct selection *s, uint64_t limit, uint64_t size);
/* For people; `size` is used where it was the reason. */
void selection_reason(const struct selection *s, uint64_t limit, enum selection_why why, uint64_t size, char ret[SELECTION_TEXT]);
/* The rules in force, to be compared with later ones: equal rules give equal texts, and no rules give "". */
void selection_print(const struct selection *s, uint64_t limit, char ret[SELECTION_TEXT]);

#endif
