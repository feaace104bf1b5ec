/*
 * line: whether the line to a server is what holds its connections up, so that compressing would make them faster; told from
 * samples of these connections. One for each server and side.
 *
 * What speaks for the line, and against everything else that may be the brake:
 *   source  answers are outstanding and we never paused, and what comes comes evenly: a line that is full lets through the same in each moment, a
 *           server that is slow sends a message and then thinks
 *   target  bytes wait in the socket all the time, and TCP says that they wait for the network, not for the receiver to make room
 *   both    the rate is one that deflate can keep up with at both ends, and this process has time: its loop stands still for half of it at least
 * All of that for LINE_LEAST_TIME and LINE_LEAST_BYTES without interruption, and the line is slow.
 *
 * Then it is tried: the connections are compressed, and the plain bytes per second are compared with those before. When it is still the brake, and they are
 * not LINE_GAIN times as many, it was an error: whoever comes later begins uncompressed, and nothing is tried again for LINE_SULK. Where it helps, it is looked at
 * anew after LINE_KEEP, when those that are compressed have ended: lines change.
 *
 * Pure: no clock, no log. `now` is in ms of any clock that does not go back.
 */
#ifndef GODWIT_LINE_H
#define GODWIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "side.h"

#define LINE_TICK 250u                 /* ms between two samples */
#define LINE_LEAST_TIME 2000u          /* ms */
#define LINE_LEAST_BYTES (256u << 10)
#define LINE_MOST_TIME 30000u          /* ms: what is not decided by then is begun anew */
#define LINE_RATE_MAX (6u << 20)       /* bytes a second, all connections together: twice as many plain ones keep half a core busy with deflate */
#define LINE_LOAD_MAX 500u             /* thousandths of the loop's time */
#define LINE_BURSTS_MAX 150u           /* thousandths of the bytes that may come in bursts */
#define LINE_GAIN 1.15
#define LINE_SULK (60u * 60 * 1000)    /* ms */
#define LINE_KEEP (60u * 60 * 1000)    /* ms */

#define LINE_BINS 256u
#define LINE_BIN_MS 8u                 /* the shortest moment that is told from the next */

enum line_state {
	LINE_UNKNOWN,
	LINE_TRIED,  /* was found to be slow, compressing has begun */
	LINE_SLOW,   /* and it helps */
	LINE_SULKING /* it did not help */
};

struct line {
	enum side side;
	enum line_state state;
	uint64_t began;      /* of the window of samples under way; 0: none */
	uint64_t until;      /* LINE_SLOW, LINE_SULKING: then it is looked at anew */
	uint64_t bytes;      /* in the window */
	uint32_t load;       /* of the last sample */
	double before, rate; /* bytes a second: when it was found to be slow; of the last whole window */
	uint64_t bin_ms;
	uint32_t bin[LINE_BINS]; /* what came in each moment of the window */
};

/* What all connections of the side did since the last sample. */
struct line_sample {
	uint64_t now;
	uint64_t bytes;      /* plain ones: before they are compressed, after they are inflated */
	uint32_t busy;       /* connections that had something to move, */
	uint32_t held;       /* of these: held up in the way above, */
	uint32_t compressed; /* and: compressed already */
	uint32_t load;       /* thousandths of the time that the loop was not waiting */
};

enum line_news {
	LINE_NOTHING,
	LINE_IS_SLOW,  /* compress all connections of the side */
	LINE_HELPED,   /* `before` and `rate` tell by how much */
	LINE_NO_HELP
};

void line_init(struct line *l, enum side side);
/* LINE_UNKNOWN, side SOURCE: n bytes came just now. */
void line_came(struct line *l, uint64_t now, size_t n);
/* Each LINE_TICK. */
enum line_news line_sample(struct line *l, const struct line_sample *s);
/* The server does not compress, although it offers to. */
void line_refused(struct line *l, uint64_t now);
/* Whether a connection that is up now should begin compressed. */
bool line_compresses(const struct line *l);

#endif
