/*
 * batch: messages that were stored on the target together, as the ledger records them: two UID lists in the order of COPYUID and, for each flag
 * that was written, the source UIDs that have it.
 */
#ifndef GODWIT_BATCH_H
#define GODWIT_BATCH_H

#include "ledger.h"
#include "uidset.h"

struct batch_flag {
	char *name;
	struct uidset uids;
};

struct batch {
	struct uidset source, target;
	struct batch_flag *flag;
	size_t flag_n, flag_size;
	uint32_t messages;
	uint32_t adopted;  /* of them: were there before */
	uint64_t bytes;
};

/* A batch that is all zero is empty. */
void batch_reset(struct batch *b);
void batch_done(struct batch *b);
/* `flags` is canonical text (flags.h). 0 or PROTO_ERR_NOMEM. The caller adds the target's UIDs to `target`, in the same order. */
int batch_add(struct batch *b, uint32_t source_uid, struct span flags, uint64_t bytes);
/* `from` behind `to`; `from` is empty afterwards. 0 or PROTO_ERR_NOMEM. */
int batch_move(struct batch *to, struct batch *from);
/* The texts of a ledger row; they live in `texts` until it changes. 0 or PROTO_ERR_*. */
int batch_row(const struct batch *b, struct buf *texts, struct ledger_batch *ret);

#endif
