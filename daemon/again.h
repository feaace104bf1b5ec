/*
 * again: one connection for one user after the other (RFC 8437): from UNAUTHENTICATE to the answer to the next login. Without I/O and without clock: it
 * gives commands to the session, and is told every event of it in between.
 *
 *   LEAVING --OK--> VACANT --again_enter()--> ENTERING --OK--> in, by the word of the server
 *
 * What comes before the OK to UNAUTHENTICATE may still be about the user before, and is passed over. Behind it a server that is told nothing has
 * nothing to say of folders or messages: one that does so, or does not understand a command here, has lost the thread, and the connection is
 * useless. A login that is refused is that user's own trouble, in the same words as on a new connection.
 */
#ifndef GODWIT_AGAIN_H
#define GODWIT_AGAIN_H

#include "conn.h"
#include "session.h"

enum again_step { AGAIN_LEAVING, AGAIN_VACANT, AGAIN_ENTERING };

struct again {
	enum again_step step;
	const struct credentials *login; /* who wants in, borrowed; NULL: nobody yet */
	uint32_t tag;                    /* UNAUTHENTICATE or AUTHENTICATE; 0: none in flight */
	char other[256];                 /* an untagged NO, BAD, BYE or ALERT during the login */
};

enum again_verdict {
	AGAIN_GOES_ON,
	AGAIN_FREE,    /* VACANT now */
	AGAIN_IN,      /* logged in; what is offered is known when the answer's code is CAPABILITY */
	AGAIN_REFUSED, /* *failure */
	AGAIN_USELESS  /* of no use to anybody; *failure says why */
};

/* Whether the session can leave its user: UNAUTHENTICATE is offered, and nothing is under way. */
bool again_may_leave(const struct session *s);
/* Both give a command, and return 0 or PROTO_ERR_*. again_enter() after AGAIN_FREE, with `login` set; the administrator of `ep` logs in on its behalf. */
int again_leave(struct again *a, struct session *s);
int again_enter(struct again *a, struct session *s, const struct endpoint *ep);
enum again_verdict again_event(struct again *a, const struct session_event *ev, const struct endpoint *ep, struct conn_failure *failure);

#endif
