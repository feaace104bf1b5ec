/*
 * flow: how much may be under way on a connection so that the line never runs dry: the bandwidth-delay product, from the round-trip time and the rate
 * that was seen. What is under way towards the target is in doubt after a break, so it should not be more than that.
 *
 * Pure: `now` is in ms of any clock that does not go back.
 */
#ifndef GODWIT_FLOW_H
#define GODWIT_FLOW_H

#include <stdint.h>

struct flow {
	uint64_t rtt;    /* ms */
	uint64_t rate;   /* bytes per second: the best of late */
	uint64_t since;  /* of the sample that is being taken; 0: none yet */
	uint64_t bytes;
};

/* rtt: ms between a command and its answer when nothing else is under way. */
void flow_init(struct flow *f, uint64_t rtt);
/* So many bytes have arrived on the other side. */
void flow_count(struct flow *f, uint64_t bytes, uint64_t now);
/* Twice the bandwidth-delay product, no less than `least`, no more than `most` bytes. */
uint64_t flow_window(const struct flow *f, uint64_t least, uint64_t most);

#endif
