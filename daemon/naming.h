/*
 * naming: the last thing in a pass: the source is asked for Message-ID, INTERNALDATE and size of the messages that were left out or altered in it, so that
 * the report can name them. It is done on the first lane; what cannot be had stays without a name, and nothing of the pass depends on it.
 */
#ifndef GODWIT_NAMING_H
#define GODWIT_NAMING_H

#include "session.h"
#include "side.h"

#define NAMING_MAX 10000 /* messages in one pass: an alteration may be that of all */

struct folder;
struct pass;

struct naming {
	size_t at;         /* the folder in hand */
	size_t asked;      /* messages, of all folders */
	unsigned pending;  /* commands without their answer */
	bool opened;       /* the folder is selected, and is the one of the survey */
	bool over;
};

/* False: there is nothing to be named. */
bool naming_begin(struct pass *p);
void naming_on(struct pass *p, enum side side, const struct session_event *ev);

#endif
