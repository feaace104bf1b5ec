#include "line.h"

#include <criterion/criterion.h>

#include "leaks.h"

TestSuite(daemon_line, .fini = leaks_check);

/* A world with a clock: what comes or goes on one connection in each millisecond, a sample at each tick. */
struct world {
	struct line l;
	uint64_t now;
	struct line_sample s; /* what each sample says beside time and bytes */
	uint64_t left;        /* bytes of the present tick */
	enum line_news news;  /* the last that was not LINE_NOTHING */
	uint64_t news_at;
};

static void begin(struct world *w, enum side side)
{
	*w = (struct world){ .now = 5000000, .s = { .busy = 1, .held = 1, .load = 100 } };
	line_init(&w->l, side);
}

static void pass_ms(struct world *w, uint64_t n)
{
	w->left += n;
	if (w->l.side == SOURCE && n > 0)
		line_came(&w->l, w->now, (size_t)n);
	if (++w->now % LINE_TICK != 0)
		return;
	struct line_sample s = w->s;
	s.now = w->now;
	s.bytes = w->left;
	w->left = 0;
	enum line_news news = line_sample(&w->l, &s);
	if (news != LINE_NOTHING) {
		cr_assert_eq(w->news, LINE_NOTHING, "more than one thing happened");
		w->news = news;
		w->news_at = w->now;
	}
}

/* `burst` bytes at once every `every` ms, for so long or until something is told. Bytes per second: burst * 1000 / every. */
static enum line_news go(struct world *w, uint64_t ms, uint64_t burst, uint64_t every)
{
	w->news = LINE_NOTHING;
	for (uint64_t end = w->now + ms; w->now < end && w->news == LINE_NOTHING;)
		pass_ms(w, w->now % every == 0 ? burst : 0);
	return w->news;
}

Test(daemon_line, a_full_line_is_slow)
{
	/* segments of 1448 bytes at 14 kB/s, 140 kB/s, 1 MB/s and 5.8 MB/s */
	static const uint64_t rates[][2] = { { 1448, 100 }, { 1448, 10 }, { 1000, 1 }, { 5800, 1 } };
	for (size_t i = 0; i < 4; i++)
		for (int side = SOURCE; side <= TARGET; side++) {
			struct world w;
			begin(&w, side);
			uint64_t start = w.now;
			cr_assert(!line_compresses(&w.l));
			cr_assert_eq(go(&w, 60000, rates[i][0], rates[i][1]), LINE_IS_SLOW, "%zu %d", i, side);
			cr_assert(line_compresses(&w.l));
			double rate = (double)rates[i][0] * 1000 / (double)rates[i][1];
			cr_assert(w.l.before > 0.9 * rate && w.l.before < 1.1 * rate, "%f", w.l.before);
			/* Not sooner than the header says, and not much later. */
			uint64_t least = (uint64_t)(LINE_LEAST_BYTES * 1000.0 / rate);
			least = least > LINE_LEAST_TIME ? least : LINE_LEAST_TIME;
			cr_assert(w.now - start >= least && w.now - start <= least + least / 5 + 3 * LINE_TICK, "%d", (int)(w.now - start));
		}
}

Test(daemon_line, one_that_jitters_is_slow_all_the_same)
{
	struct world w;
	uint32_t seed = 1;
	begin(&w, SOURCE);
	/* 1 MB/s in segments, up to four of them at once, as a radio link does it */
	for (int ms = 0, due = 0; ms < 10000 && w.news == LINE_NOTHING; ms++) {
		due += 1000;
		seed = seed * 1664525 + 1013904223;
		uint64_t n = due >= 1448 && (seed >> 24) % 3 == 0 ? (uint64_t)due / 1448 * 1448 : 0;
		due -= (int)n;
		pass_ms(&w, n);
	}
	cr_assert_eq(w.news, LINE_IS_SLOW);
}

Test(daemon_line, a_server_that_thinks_between_messages_is_no_line)
{
	/* 20 to 200 KB, and then nothing for a while */
	static const uint64_t rates[][2] = { { 200000, 200 }, { 60000, 50 }, { 20000, 40 }, { 50000, 1000 }, { 20000, 30 } };
	for (size_t i = 0; i < 5; i++) {
		struct world w;
		begin(&w, SOURCE);
		cr_assert_eq(go(&w, 60000, rates[i][0], rates[i][1]), LINE_NOTHING, "%zu", i);
	}
}

Test(daemon_line, one_stop_in_a_window_is_none_of_its_own)
{
	struct world w;
	begin(&w, SOURCE);
	go(&w, 900, 1000, 1);
	/* 60 ms without a byte, then what has piled up at once: a segment was lost and sent again */
	go(&w, 60, 0, 1);
	pass_ms(&w, 60000);
	cr_assert_eq(go(&w, 1700, 1000, 1), LINE_IS_SLOW);
}

static void never(enum side side, struct line_sample s, uint64_t bytes_per_ms)
{
	struct world w;
	begin(&w, side);
	w.s = s;
	cr_assert_eq(go(&w, 40000, bytes_per_ms, 1), LINE_NOTHING);
	cr_assert(!line_compresses(&w.l));
}

Test(daemon_line, what_speaks_against_it)
{
	for (int side = SOURCE; side <= TARGET; side++) {
		/* too fast for deflate */
		never(side, (struct line_sample){ .busy = 1, .held = 1, .load = 100 }, 6600);
		never(side, (struct line_sample){ .busy = 1, .held = 1, .load = 100 }, 100000);
		/* this process is busy */
		never(side, (struct line_sample){ .busy = 1, .held = 1, .load = 501 }, 1000);
		/* we paused; the receiver had no room */
		never(side, (struct line_sample){ .busy = 1, .held = 0, .load = 100 }, 1000);
		never(side, (struct line_sample){ .busy = 8, .held = 5, .load = 100 }, 1000);
		/* nothing was asked for */
		never(side, (struct line_sample){ .load = 100 }, 1000);
		/* too little to tell */
		never(side, (struct line_sample){ .busy = 1, .held = 1, .load = 100 }, 0);
		never(side, (struct line_sample){ .busy = 1, .held = 1, .load = 100 }, 8);
	}
}

Test(daemon_line, most_connections_are_enough)
{
	struct world w;
	begin(&w, SOURCE);
	w.s = (struct line_sample){ .busy = 8, .held = 6, .load = 500 };
	cr_assert_eq(go(&w, 5000, 1000, 1), LINE_IS_SLOW);
}

Test(daemon_line, an_interruption_begins_it_anew)
{
	struct line_sample good = { .busy = 1, .held = 1, .load = 100 }, bad[] = { good, good, good };
	bad[0].held = 0;
	bad[1].load = 800;
	bad[2].busy = bad[2].held = 0;
	for (int side = SOURCE; side <= TARGET; side++)
		for (size_t i = 0; i < 3; i++) {
			struct world w;
			begin(&w, side);
			for (int k = 0; k < 20; k++) {
				w.s = good;
				cr_assert_eq(go(&w, LINE_LEAST_TIME - LINE_TICK, 1000, 1), LINE_NOTHING);
				w.s = bad[i];
				cr_assert_eq(go(&w, LINE_TICK, 1000, 1), LINE_NOTHING);
			}
			w.s = good;
			cr_assert_eq(go(&w, LINE_LEAST_TIME + 2 * LINE_TICK, 1000, 1), LINE_IS_SLOW);
		}
}

/* Found slow at 1 MB/s, and compressed. */
static void tried(struct world *w)
{
	begin(w, SOURCE);
	cr_assert_eq(go(w, 5000, 1000, 1), LINE_IS_SLOW);
	/* Not judged before the connections are compressed. */
	cr_assert_eq(go(w, 10000, 500, 1), LINE_NOTHING);
	w->s.compressed = 1;
}

Test(daemon_line, it_helps_when_more_plain_bytes_pass)
{
	struct world w;
	tried(&w);
	cr_assert_eq(go(&w, 5000, 1200, 1), LINE_HELPED);
	cr_assert(w.l.rate > 1.15e6 && w.l.rate < 1.25e6);
	cr_assert(line_compresses(&w.l));
	cr_assert_eq(go(&w, LINE_KEEP - 2 * LINE_TICK, 10, 1), LINE_NOTHING);
	cr_assert(line_compresses(&w.l));
}

Test(daemon_line, a_line_that_was_slow_is_looked_at_anew)
{
	struct world w;
	tried(&w);
	cr_assert_eq(go(&w, 5000, 1200, 1), LINE_HELPED);
	cr_assert_eq(go(&w, LINE_KEEP + LINE_TICK, 10, 1), LINE_NOTHING);
	cr_assert(!line_compresses(&w.l));
	/* Of those that are compressed nothing can be told. */
	cr_assert_eq(go(&w, 10000, 1000, 1), LINE_NOTHING);
	w.s.compressed = 0;
	cr_assert_eq(go(&w, 5000, 1000, 1), LINE_IS_SLOW);
}

Test(daemon_line, it_helps_when_something_else_is_the_brake_now)
{
	struct world w;
	tried(&w);
	cr_assert_eq(go(&w, 1000, 500, 1), LINE_NOTHING);
	w.s.held = 0;
	cr_assert_eq(go(&w, 1000, 500, 1), LINE_HELPED);
	cr_assert(line_compresses(&w.l));
}

Test(daemon_line, it_was_an_error_when_nothing_has_become_faster)
{
	struct world w;
	tried(&w);
	cr_assert_eq(go(&w, 5000, 1100, 1), LINE_NO_HELP);
	cr_assert(!line_compresses(&w.l));
	w.s.compressed = 0;
	cr_assert_eq(go(&w, LINE_SULK - 10000, 1000, 1), LINE_NOTHING);
	cr_assert(!line_compresses(&w.l));
	/* Lines change with the hour. */
	cr_assert_eq(go(&w, 20000, 1000, 1), LINE_IS_SLOW);
}

Test(daemon_line, a_refusal_ends_it)
{
	struct world w;
	tried(&w);
	line_refused(&w.l, w.now);
	cr_assert(!line_compresses(&w.l));
	w.s.compressed = 0;
	cr_assert_eq(go(&w, LINE_SULK - 10000, 1000, 1), LINE_NOTHING);
	cr_assert_eq(go(&w, 20000, 1000, 1), LINE_IS_SLOW);
}

Test(daemon_line, nothing_to_move_is_no_judgement)
{
	struct world w;
	tried(&w);
	w.s = (struct line_sample){ .load = 100 };
	cr_assert_eq(go(&w, 100000, 0, 1), LINE_NOTHING);
	cr_assert_eq(w.l.state, LINE_TRIED);
}

Test(daemon_line, a_busy_process_begins_uncompressed)
{
	struct world w;
	tried(&w);
	cr_assert_eq(go(&w, 5000, 2000, 1), LINE_HELPED);
	w.s.load = 600;
	go(&w, 2 * LINE_TICK, 1000, 1);
	cr_assert(!line_compresses(&w.l));
	w.s.load = 300;
	go(&w, 2 * LINE_TICK, 1000, 1);
	cr_assert(line_compresses(&w.l));
}

Test(daemon_line, clocks_and_counts_at_their_ends)
{
	struct world w;
	begin(&w, SOURCE);
	line_came(&w.l, w.now, SIZE_MAX);
	for (int i = 0; i < 300; i++)
		line_came(&w.l, w.now, SIZE_MAX);
	cr_assert_eq(go(&w, LINE_TICK, 1000, 1), LINE_NOTHING);
	for (int i = 0; i < 300; i++)
		line_came(&w.l, w.now, SIZE_MAX);
	line_came(&w.l, w.now - 2 * LINE_TICK, 1);
	line_came(&w.l, w.now + (UINT64_C(1) << 40), 1);
	cr_assert_eq(go(&w, LINE_LEAST_TIME, 1000, 1), LINE_NOTHING);
}
