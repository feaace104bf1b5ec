/*
 * losses: what of a message will not be on the target as it is on the source, as it is found out on the way; told when the message is stored. Pure.
 *
 * One loss is for all messages of a folder with the same words; of more than LOSSES_MAX different ones the further are put together.
 */
#ifndef GODWIT_LOSSES_H
#define GODWIT_LOSSES_H

#include "ledger.h"
#include "uidset.h"

#define LOSSES_MAX 64

struct loss {
	enum skip_kind kind;
	const char *what;   /* static: "flags", "date", "bytes" */
	char *reason;
	struct uidset uids; /* of the source */
};

struct losses { /* all zero is empty */
	struct loss *loss;
	size_t n;
};

void losses_done(struct losses *l);
/* 0 or PROTO_ERR_NOMEM. */
int losses_note(struct losses *l, uint32_t uid, enum skip_kind kind, const char *what, const char *reason);
/* Nothing of that kind is lost of it, or was said in other words. */
void losses_forget_kind(struct losses *l, uint32_t uid, enum skip_kind kind);
/* The message will not be stored. */
void losses_forget(struct losses *l, uint32_t uid);
/* Moves those of `stored`, a set or a list, into *ret, a set. 0 or PROTO_ERR_NOMEM. */
int loss_take(struct loss *l, const struct uidset *stored, struct uidset *ret);

#endif
