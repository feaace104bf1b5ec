#include "flow.h"

#define SAMPLE 200 /* ms: a rate over less says little */

void flow_init(struct flow *f, uint64_t rtt)
{
	*f = (struct flow){ .rtt = rtt };
}

void flow_count(struct flow *f, uint64_t bytes, uint64_t now)
{
	uint64_t took;

	if (f->since == 0) {
		f->since = now == 0 ? 1 : now;
		return; /* what came until now came in a time that is not known */
	}
	f->bytes += bytes;
	took = now - f->since;
	if (took < SAMPLE)
		return;
	/* Quick to grow, slow to shrink: a pause of the other side is no narrower line. */
	if (f->bytes / took * 1000 >= f->rate)
		f->rate = f->bytes / took * 1000;
	else
		f->rate = (f->rate * 7 + f->bytes / took * 1000) / 8;
	f->since = now;
	f->bytes = 0;
}

uint64_t flow_window(const struct flow *f, uint64_t least, uint64_t most)
{
	uint64_t per_ms = f->rate / 1000;
	uint64_t window = f->rtt != 0 && per_ms > most / f->rtt ? most : per_ms * f->rtt * 2;

	return window < least ? least : window > most ? most : window;
}
