#include "histogram.h"

#include <assert.h>

#define STEPS_LOG 3
#define STEPS (1u << STEPS_LOG) /* to a doubling */

/* Below STEPS each value has its own bucket; above, the three bits behind the leading one choose. */
static unsigned bucket_of(uint64_t us)
{
	if (us < STEPS)
		return (unsigned)us;
	unsigned doubling = 63u - (unsigned)__builtin_clzll(us) - STEPS_LOG;
	unsigned i = (doubling << STEPS_LOG) + (unsigned)(us >> doubling);
	return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1;
}

uint64_t histogram_bound(unsigned bucket)
{
	assert(bucket < HISTOGRAM_BUCKETS);
	if (bucket == HISTOGRAM_BUCKETS - 1)
		return UINT64_MAX;
	if (bucket < STEPS)
		return bucket;
	unsigned doubling = (bucket >> STEPS_LOG) - 1;
	return (((uint64_t)(bucket & (STEPS - 1)) + STEPS + 1) << doubling) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
	h->n++;
	h->sum += us;
	if (us > h->max)
		h->max = us;
	h->bucket[bucket_of(us)]++;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	uint64_t seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->n > 0; i++) {
		seen += h->bucket[i];
		if ((double)seen * 100 >= percent * (double)h->n && seen > 0)
			return histogram_bound(i) < h->max ? histogram_bound(i) : h->max;
	}
	return h->max;
}
