/*
 * histogram: how long things took, in buckets whose width grows with the value: eight to a doubling, so that what is read out of it is at
 * most an eighth too high, from 1 us to more than an hour, in a fixed 2 KB and some ns per value.
 *
 * Pure: no clock. Values are in microseconds.
 */
#ifndef GODWIT_HISTOGRAM_H
#define GODWIT_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 256

struct histogram {
	uint64_t n, sum, max;
	uint64_t bucket[HISTOGRAM_BUCKETS]; /* the last one takes all that is larger, too */
};

void histogram_add(struct histogram *h, uint64_t us);
/* Not less than `percent` of the values are at most so large; never more than `max`. 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
/* The largest value that falls into this bucket; UINT64_MAX for the last one. */
uint64_t histogram_bound(unsigned bucket);

#endif
