#include "line.h"

#include <string.h>

/* So much at once is no burst: some segments that arrived together. */
#define CLUMP_BYTES 6000u

static void window_begin(struct line *l, uint64_t now)
{
	l->began = now;
	l->bytes = 0;
	l->bin_ms = LINE_BIN_MS;
	memset(l->bin, 0, sizeof(l->bin));
}

void line_init(struct line *l, enum side side)
{
	*l = (struct line){ .side = side };
}

/* Twice as long moments, so that the window fits. */
static void bins_halve(struct line *l)
{
	for (size_t i = 0; i < LINE_BINS; i++)
		l->bin[i] = i < LINE_BINS / 2 ? l->bin[2 * i] + l->bin[2 * i + 1] : 0;
	l->bin_ms *= 2;
}

void line_came(struct line *l, uint64_t now, size_t n)
{
	if (l->began == 0 || now < l->began)
		return;
	while ((now - l->began) / l->bin_ms >= LINE_BINS)
		bins_halve(l);
	l->bin[(now - l->began) / l->bin_ms] += n < UINT32_MAX / LINE_BINS ? (uint32_t)n : UINT32_MAX / LINE_BINS;
}

/* Thousandths of the bytes that came in moments with more than twice their share. */
static uint32_t bursts(const struct line *l, uint64_t now)
{
	size_t n = (size_t)((now - l->began) / l->bin_ms);
	uint64_t all = 0, much = 0;

	if (n > LINE_BINS)
		n = LINE_BINS;
	for (size_t i = 0; i < n; i++)
		all += l->bin[i];
	for (size_t i = 0; i < n; i++)
		if (l->bin[i] > 2 * all / n + CLUMP_BYTES)
			much += l->bin[i];
	return all == 0 ? 1000 : (uint32_t)(much * 1000 / all);
}

static bool is_held(const struct line_sample *s)
{
	return s->held > 0 && 4 * (uint64_t)s->held >= 3 * (uint64_t)s->busy;
}

/* True when the window is long enough to be judged. */
static bool window_add(struct line *l, const struct line_sample *s)
{
	uint64_t took = s->now - l->began;

	l->bytes += s->bytes;
	if (took < LINE_LEAST_TIME || l->bytes < LINE_LEAST_BYTES)
		return false;
	l->rate = (double)l->bytes * 1000 / (double)took;
	return true;
}

static enum line_news look(struct line *l, const struct line_sample *s)
{
	bool slow;

	if (l->began == 0 || !is_held(s) || s->compressed != 0 || s->load > LINE_LOAD_MAX || s->now - l->began > LINE_MOST_TIME) {
		window_begin(l, s->now);
		return LINE_NOTHING;
	}
	if (!window_add(l, s))
		return LINE_NOTHING;
	slow = l->rate <= LINE_RATE_MAX && (l->side == TARGET || bursts(l, s->now) <= LINE_BURSTS_MAX);
	window_begin(l, s->now);
	if (!slow)
		return LINE_NOTHING;
	l->state = LINE_TRIED;
	l->before = l->rate;
	l->began = 0;
	return LINE_IS_SLOW;
}

void line_refused(struct line *l, uint64_t now)
{
	l->state = LINE_SULKING;
	l->until = now + LINE_SULK;
	l->began = 0;
}

static enum line_news judge(struct line *l, const struct line_sample *s)
{
	/* The connections change one after the other, each when what it does just now is done. */
	if (s->busy == 0 || 4 * (uint64_t)s->compressed < 3 * (uint64_t)s->busy) {
		l->began = 0;
		return LINE_NOTHING;
	}
	if (l->began == 0) {
		window_begin(l, s->now);
		return LINE_NOTHING;
	}
	if (is_held(s) && !window_add(l, s))
		return LINE_NOTHING;
	if (!is_held(s) || l->rate >= l->before * LINE_GAIN) {
		l->state = LINE_SLOW;
		l->until = s->now + LINE_KEEP;
		return LINE_HELPED;
	}
	line_refused(l, s->now);
	return LINE_NO_HELP;
}

enum line_news line_sample(struct line *l, const struct line_sample *s)
{
	l->load = s->load;
	switch (l->state) {
	case LINE_UNKNOWN:
		return look(l, s);
	case LINE_TRIED:
		return judge(l, s);
	case LINE_SLOW:
	case LINE_SULKING:
		if (s->now >= l->until) {
			l->state = LINE_UNKNOWN;
			l->began = 0;
		}
		break;
	}
	return LINE_NOTHING;
}

bool line_compresses(const struct line *l)
{
	return (l->state == LINE_TRIED || l->state == LINE_SLOW) && l->load <= LINE_LOAD_MAX;
}
