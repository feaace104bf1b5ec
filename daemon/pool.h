/*
 * pool: connections that one mailbox is through with and the next may use (RFC 8437). Where an administrator logs in on behalf of the users and
 * the server offers UNAUTHENTICATE, a connection is not closed but un-authenticated, kept, and the next login at that server takes it.
 *
 * A kept connection counts as one to its server, and needs no permit of its own: it comes from somebody who gives a permit back, and whoever takes
 * a permit to dial there is given a kept one before a new one is made. So never more are open than permits were out at the same
 * time. What nobody takes within POOL_IDLE is closed.
 */
#ifndef GODWIT_POOL_H
#define GODWIT_POOL_H

#include "peer.h"

#define POOL_IDLE 10000u /* ms */

struct pool;
/* NULL when memory is out. */
struct pool *pool_new(struct loop *l);
/* Logs out of and closes what is kept. The peers that came from it must be closed. */
void pool_free(struct pool **pool);

/* As peer_dial(), over a kept connection where there is one. */
struct peer *pool_dial(struct pool *pool, struct dialer *d, enum side side, const struct endpoint *ep, const struct credentials *login,
	const struct peer_limits *limits, peer_funnel *funnel, void *owner);
/* The owner is through with it, in whatever state, or it is NULL: keeps it, or logs out where the dialogue allows it, and closes it. */
void pool_give(struct pool *pool, struct peer **peer);
/* The same, but never keeps it. */
void pool_drop(struct peer **peer);

#endif
