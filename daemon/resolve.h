/*
 * resolve: the addresses of a host name, asked for once for all that dial there: one question per name is under way at a time, everybody who
 * asks meanwhile gets its answer, and an answer holds for RESOLVE_KEEP. A failure holds for RESOLVE_KEEP_FAILURE, so that those who come
 * together share it.
 *
 * The question is the system's (getaddrinfo: files, DNS, whatever is configured), on a thread of its own that nobody waits for: a name
 * server that does not answer holds up neither the loop nor the end of the process.
 */
#ifndef GODWIT_RESOLVE_H
#define GODWIT_RESOLVE_H

#include "loop.h"

#define RESOLVE_KEEP 60000u
#define RESOLVE_KEEP_FAILURE 1000u

struct resolve_answer {
	const char *addresses; /* "192.0.2.1,[2001:db8::1]": in the order in which they are to be tried; "": only such as hold on one interface;
	                        * NULL: none, `error` says why */
	const char *error;     /* one line for people */
	int os_errno;          /* the system's part in the failure (EMFILE), or 0 */
};

/* `answer` is borrowed for the call. Must not call back into the resolver, but for resolve_cancel() of others. */
typedef void resolve_fn(void *arg, const struct resolve_answer *answer);

struct resolver;
struct resolver *resolver_new(struct loop *l);
/* Nobody may be waiting any more. */
void resolver_free(struct resolver **r);

/* Whether there is anything to ask: a numeric address is none, and of a name that is not plain ASCII only others know how it is to be asked for. */
bool resolve_is_needed(const char *host);

/* fn is called at a later turn, once, and the waiting is over; NULL when memory is out. */
struct waiting;
struct waiting *resolve_ask(struct resolver *r, const char *host, resolve_fn *fn, void *arg);
void resolve_cancel(struct waiting **w);

#endif
