/*
 * peer: one side's server as its owner sees it: a conn, a proto/session on it, and a deadline, as one stream of events. The
 * first thing said on a new connection is CAPABILITY: it tells what is offered after the login, and proves that both ends agree where
 * the dialogue stands (bytes can be lost behind the login's reply).
 *
 * The deadline is progress: while commands are in flight, `command_timeout` without any ends the connection, unless the peer is paused by its
 * owner. Progress is a whole response, however short (servers that take long say so now and then), or so many bytes in either direction that it
 * comes to PEER_LEAST a second over the time: a byte now and then could go on for years. An idle connection is kept alive by a NOOP every `keepalive`.
 *
 * COMPRESS=DEFLATE is the peer's own business: where the endpoint wants it, it is asked for behind CAPABILITY, or when the gauge says so; the owner's
 * commands wait in the session until it is answered; then PEER_DRAINED tells that a message may be due. A refusal is no failure.
 */
#ifndef GODWIT_PEER_H
#define GODWIT_PEER_H

#include "conn.h"
#include "gauge.h"
#include "session.h"
#include "side.h"

#define PEER_LEAST 10 /* bytes a second; fifty connections over a line of 4 kbit/s have as much */

struct peer_limits {
	uint64_t command_timeout; /* ms */
	uint64_t keepalive;       /* ms */
	struct gauge *gauge;      /* COMPRESS_AUTO: says when; NULL: never */
};

enum peer_event_kind {
	PEER_UP,      /* logged in and capabilities are known */
	PEER_VACANT,  /* after peer_vacate(): nobody is logged in */
	PEER_SESSION, /* session: any event of session.h but NONE */
	PEER_DRAINED, /* bytes may go out again: the socket takes them, or what held them back is over */
	PEER_DOWN     /* failure; also protocol errors (CONN_FAULT_GARBAGE), deadlines (CONN_FAULT_TIMEOUT), BYE (bye is set, text is the server's) */
};

struct peer_event {
	enum peer_event_kind kind;
	const struct session_event *session;
	const struct conn_failure *failure;
};

typedef void peer_funnel(void *owner, const struct peer_event *ev);

struct peer;
struct peer *peer_dial(struct dialer *d, enum side side, const struct endpoint *ep, const struct credentials *login,
	const struct peer_limits *limits, peer_funnel *funnel, void *owner);
/* May be called from within the funnel. */
void peer_close(struct peer **p);
/* Whether the connection can serve one user after the other: an administrator logs in, the server offers UNAUTHENTICATE (RFC 8437), and nothing is
 * under way. */
bool peer_may_vacate(const struct peer *p);
/* Logs the user out, and keeps the connection. From now on events go to `funnel`: PEER_VACANT, and PEER_DOWN at any time. False: out of memory,
 * nothing has changed. */
bool peer_vacate(struct peer *p, peer_funnel *funnel, void *owner);
/* Logs the next user in, after peer_vacate() (PEER_VACANT may be still to come). What follows is as after peer_dial(), refused logins included. A connection that has died
 * meanwhile, or turns out to be of no use, is replaced by a new one, and nobody hears of it; the second is noted in *spoilt. */
void peer_occupy(struct peer *p, enum side side, const struct credentials *login, const struct peer_limits *limits, peer_funnel *funnel,
	void *owner, bool *spoilt);
/* PEER_VACANT was told, and nobody has come. */
bool peer_is_vacant(const struct peer *p);
/* Lends the events to another owner. */
void peer_lend(struct peer *p, peer_funnel *funnel, void *owner);

struct session *peer_session(struct peer *p);
enum side peer_side(const struct peer *p);
const struct endpoint *peer_endpoint(const struct peer *p);
bool peer_is_up(const struct peer *p);
bool peer_has(const struct peer *p, enum cap cap);
/* Sends what the session has to say. Call after issuing commands; not needed from within the funnel (it is done behind it). */
void peer_flush(struct peer *p);
/* The same without waiting for the end of the turn: before peer_close(). */
void peer_flush_now(struct peer *p);
/* Sends bytes of the message literal that is due: at most session_body_due(); tells how many were taken in *ret (all, in fact: what the socket does not take is
 * kept, see peer_is_full()). 0 or PROTO_ERR_*. */
int peer_body(struct peer *p, struct span bytes, size_t *ret);
bool peer_is_full(const struct peer *p);
/* No further events after the present one until peer_resume(). */
void peer_pause(struct peer *p);
void peer_resume(struct peer *p);
/* ms between the first command and its answer, 0 while that has not come. */
uint64_t peer_rtt(const struct peer *p);
/* Of the network, since the login. */
uint64_t peer_bytes_in(const struct peer *p);
uint64_t peer_bytes_out(const struct peer *p);

#endif
