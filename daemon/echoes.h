/*
 * echoes: which messages of a target folder are there a second time because an APPEND that was given up at a break was carried out after all.
 *
 * A stranger is a message of which the ledger knows nothing; what was sent is one that the ledger knows to be ours, and that was under way at the break.
 * A stranger is an echo only if it is, with INTERNALDATE, size, Message-ID, Date and every byte, a message that was sent and is still there beside it;
 * and of those that are the same there are never more than were sent in vain. Pure.
 *
 * Where the target did not tell the UIDs of what it stored, what was sent is among the strangers itself, and is known from the source: then as many of
 * them are no echoes. So it is with what was told and is not where it was: a user may have moved it away and back again, under another UID. What the source
 * does not have any more, or has with other bytes, may be any of the strangers: then as many of them are found, but not `told`.
 *
 *   echoes_add_stranger..., echoes_add_sent..., echoes_doubtful, echoes_add_body..., echoes_find
 */
#ifndef GODWIT_ECHOES_H
#define GODWIT_ECHOES_H

#include "identity.h"
#include "uidset.h"

struct echoes_item {
	struct identity name, body;
	uint32_t uid, source; /* source 0: a stranger; uid 0: the target did not tell it, or has it no more */
	bool alike;           /* there is one of the other kind with its name */
	bool read;            /* `body` is known */
};

struct echoes {
	struct echoes_item *item; /* strangers first, sorted by name once one was asked for; then what was sent and looks like one of them */
	size_t n, size, strangers;
	uint64_t lost; /* sent, and neither on the target nor on the source any more */
	bool sorted;
};

struct echo {
	uint32_t uid, twin, source; /* target UIDs, and the source UID that became `twin` */
	bool told;                  /* which of the two is recorded, and that the other one is none that was recorded */
	const struct echoes_item *same; /* all that is recorded and the same, `twin` with it; valid until echoes_done() */
	size_t same_n;
};

/* All zero is empty. */
void echoes_done(struct echoes *e);
/* All strangers before all that was sent. 0 or PROTO_ERR_NOMEM, here and below. */
int echoes_add_stranger(struct echoes *e, uint32_t uid, struct identity name);
int echoes_add_sent(struct echoes *e, uint32_t uid, uint32_t source, struct identity name);
/* The messages whose bytes must be compared, on the target and on the source; the others are forgotten. */
int echoes_doubtful(struct echoes *e, struct uidset *target, struct uidset *source);
void echoes_add_body(struct echoes *e, uint32_t uid, struct identity body);
/* The same of one that the target did not tell, by its source UID. */
void echoes_add_source_body(struct echoes *e, uint32_t source, struct identity body);
/* *ret, to be freed, has *n echoes. `sends`: how often each message was sent in vain, at most. */
int echoes_find(struct echoes *e, uint32_t sends, struct echo **ret, size_t *n);

#endif
