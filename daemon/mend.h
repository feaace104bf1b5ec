/*
 * mend: messages that the target refused for what can be repaired (repair.h). Each is fetched twice more: first to learn how long it will be, then to be sent.
 */
#ifndef GODWIT_MEND_H
#define GODWIT_MEND_H

#include "repair.h"

struct mend {
	struct mend *next;
	uint32_t uid;      /* of the source */
	unsigned kinds;    /* of enum repair_kind: what may be changed */
	unsigned done;     /* measured: what is changed */
	bool measured;
	uint64_t size;     /* measured: its bytes as they will be sent */
	char why[512];     /* the server's words */
};

/* NULL when memory is out. */
struct mend *mend_add(struct mend **list, uint32_t uid, unsigned kinds, const char *why);
struct mend *mend_find(struct mend *list, uint32_t uid);
void mend_done(struct mend **list);

#endif
