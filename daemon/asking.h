/*
 * asking: sets of UIDs in commands and in answers, for what asks about single messages of a folder that is open.
 */
#ifndef GODWIT_ASKING_H
#define GODWIT_ASKING_H

#include "session.h"
#include "uidset.h"

#define ASKING_LINE 7000 /* bytes of a set in one command */

/* UID FETCH of all of them, in as many commands as that takes, each counted in *pending. 0 or PROTO_ERR_*. */
int asking_fetch(struct session *s, const struct uidset *uids, unsigned items, unsigned *pending);
/* What SEARCH or ESEARCH has found, added to *ret. False: it was not by UID. 0 or PROTO_ERR_* in *err. */
bool asking_found(const struct resp *r, struct uidset *ret, int *err);

#endif
