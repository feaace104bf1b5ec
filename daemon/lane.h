/*
 * lane: one connection to the source, one to the target, and the way of the messages between them: reader -> relay -> writer. A pass has one lane, the
 * first, and more where the operator allows it (connections_per_mailbox). The lanes take their work from one queue (work.h): a folder, or, when there is
 * none left, the upper half of what another lane has still to ask for.
 *
 * The first lane surveys, creates folders and subscribes. All lanes belong to the pass, and are lost and ended together. One of the others may leave: it
 * asks for nothing new, and when all is answered what it had not asked for goes back to the queue. Its place stays, for the ledger's answers and for the next.
 */
#ifndef GODWIT_LANE_H
#define GODWIT_LANE_H

#include "doubt.h"
#include "peer.h"
#include "reader.h"
#include "relay.h"
#include "writer.h"

#define LANES_MAX 16

struct pass;

struct lane {
	struct pass *pass;
	struct peer *peer[SIDES]; /* borrowed; NULL once lost, or left */
	bool leaving;
	struct relay relay;
	struct reader reader;
	struct writer writer;
	struct doubt doubt;
};

/* Without connections. NULL when memory is out. */
struct lane *lane_new(struct pass *p);
/* New, or left: works with these from now on. */
void lane_take(struct lane *l, struct peer *source, struct peer *target);
void lane_free(struct lane **l);
/* The round trips that the first lane has seen are those of this one. */
void lane_measure(struct lane *l, const struct lane *first);
bool lane_is_first(const struct lane *l);
/* Bodies may be asked for and sent on. */
bool lane_is_copying(const struct lane *l);
/* A message is half sent, or APPENDs wait for their answer. */
bool lane_is_under_way(const struct lane *l);
/* A message is half sent whose rest will not come. */
bool lane_is_stuck(struct lane *l);
/* It is leaving, and nothing of it is under way. */
bool lane_may_leave(const struct lane *l);
/* Reads no more; what was read in part and not begun is dropped. */
void lane_drain(struct lane *l);

#endif
