/*
 * control_request: what somebody asks for on the operator's socket, from the parts of an HTTP request. Pure: no socket, no sched.
 *
 *   GET  /v1/status?after=N&limit=N       how all stand, and some of the mailboxes
 *   POST /v1/mailboxes/ORDER              {"mailboxes": ["acme/ann", ...]} or {"all": true}; ORDER as sched_order_name()
 *
 * A request that is not exactly that is refused with the status that HTTP has for it and words for a person. Unknown members of an object are refused, too: a
 * later version of godwit may mean something by them.
 */
#ifndef GODWIT_CONTROL_REQUEST_H
#define GODWIT_CONTROL_REQUEST_H

#include "sched.h"

#define CONTROL_BODY_MAX ((size_t)1 << 20) /* bytes */
#define CONTROL_NAMES_MAX 10000u           /* in one request: what is more would hold up the loop */
#define CONTROL_PAGE 500u                  /* mailboxes of a status, at most and unless asked for fewer */
#define CONTROL_WORDS 256

enum control_what { CONTROL_STATUS, CONTROL_ORDER };

struct control_request {
	enum control_what what;
	uint32_t after, limit;  /* CONTROL_STATUS: skip so many mailboxes, tell so many */
	enum sched_order order; /* CONTROL_ORDER: this, and who is meant */
	bool all;
	char **names;           /* owned; each at least one byte long, none twice */
	size_t n;
	unsigned uid;           /* who asks */
	long pid;
};

/* All return 0, or the status with which the request is refused, and words. control_request_done() is due in either case. */
unsigned control_request_route(struct control_request *rq, const char *method, const char *path, char words[CONTROL_WORDS]);
/* For each argument of the query. `value` NULL: it has none. */
unsigned control_request_argument(struct control_request *rq, const char *name, const char *value, char words[CONTROL_WORDS]);
/* The whole body; n 0: there is none. */
unsigned control_request_body(struct control_request *rq, const char *body, size_t n, char words[CONTROL_WORDS]);
void control_request_done(struct control_request *rq);

#endif
