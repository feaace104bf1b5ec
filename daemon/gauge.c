#include "gauge.h"
#include "line.h"
#include "log.h"

#include <assert.h>
#include <stdlib.h>

/* Of the time between two samples: so long must bytes have been waiting, and so long may the receiver have been the reason. */
#define WAITING_LEAST 0.9
#define RECEIVER_MOST 0.2

/* A server in one of its two roles. */
struct gauge_way {
	struct gauge *gauge;
	struct gauge_way *next;
	const struct endpoint *ep;
	struct line line;
	LIST_HEAD(, gauge_member) members;
};

struct gauge {
	struct loop *loop;
	struct timer *timer;
	struct gauge_way *ways;
	size_t members;
	uint64_t last;      /* loop_now() of the last sample */
	uint64_t busy, ran; /* of loop_meter() at that time */
};

static void on_tick(void *arg);

struct gauge *gauge_new(struct loop *l)
{
	struct gauge *g = calloc(1, sizeof(*g));
	if (g == NULL)
		return NULL;
	g->loop = l;
	g->timer = timer_new(l, on_tick, g);
	if (g->timer == NULL)
		gauge_free(&g);
	return g;
}

void gauge_free(struct gauge **g)
{
	if (g == NULL || *g == NULL)
		return;
	assert((*g)->members == 0);
	for (struct gauge_way *w = (*g)->ways, *next; w != NULL; w = next) {
		next = w->next;
		free(w);
	}
	timer_free(&(*g)->timer);
	free(*g);
	*g = NULL;
}

/* NULL when memory is out: then this one goes without. */
static struct gauge_way *way_of(struct gauge *g, const struct endpoint *ep, enum side side)
{
	struct gauge_way *w = g->ways;
	while (w != NULL && (w->ep != ep || w->line.side != side))
		w = w->next;
	if (w != NULL || (w = calloc(1, sizeof(*w))) == NULL)
		return w;
	w->gauge = g;
	w->ep = ep;
	line_init(&w->line, side);
	LIST_INIT(&w->members);
	w->next = g->ways;
	g->ways = w;
	return w;
}

bool gauge_join(struct gauge *g, struct gauge_member *m, const struct endpoint *ep, enum side side, struct conn *conn, struct session *session,
	gauge_compress_fn *compress, void *arg)
{
	struct gauge_way *w = way_of(g, ep, side);
	assert(m->way == NULL);
	if (w == NULL)
		return false;
	*m = (struct gauge_member){ .way = w, .conn = conn, .session = session, .compress = compress, .arg = arg };
	LIST_INSERT_HEAD(&w->members, m, entry);
	if (g->members++ == 0) {
		g->last = loop_now(g->loop);
		g->busy = loop_meter(g->loop)->busy;
		g->ran = loop_meter(g->loop)->ran;
		timer_set(g->timer, LINE_TICK);
	}
	return line_compresses(&w->line);
}

void gauge_leave(struct gauge_member *m)
{
	if (m->way == NULL)
		return;
	struct gauge *g = m->way->gauge;
	LIST_REMOVE(m, entry);
	m->way = NULL;
	if (--g->members == 0)
		timer_clear(g->timer);
}

void gauge_came(struct gauge_member *m, size_t n)
{
	if (m->way == NULL || m->way->line.side != SOURCE)
		return;
	m->moved += n;
	line_came(&m->way->line, loop_now(m->way->gauge->loop), n);
}

void gauge_went(struct gauge_member *m, size_t n)
{
	if (m->way != NULL && m->way->line.side == TARGET)
		m->moved += n;
}

void gauge_pause(struct gauge_member *m, bool paused)
{
	m->paused = paused;
	m->was_paused = m->was_paused || paused;
}

void gauge_compressed(struct gauge_member *m)
{
	m->compressed = true;
}

void gauge_refused(struct gauge_member *m)
{
	if (m->way == NULL)
		return;
	line_refused(&m->way->line, loop_now(m->way->gauge->loop));
	gauge_leave(m);
}

/* Whether its bytes have been waiting for the network, and for nothing else. */
static bool is_clogged(struct gauge_member *m, uint64_t ms)
{
	struct conn_tcp t;
	if (!conn_tcp(m->conn, &t))
		return false;
	uint64_t waited = t.busy - m->busy, closed = t.closed - m->closed;
	bool before = m->measured;
	m->measured = true;
	m->busy = t.busy;
	m->closed = t.closed;
	return before && conn_pending(m->conn) > 0 && (double)waited >= WAITING_LEAST * 1000 * (double)ms &&
	       (double)closed <= RECEIVER_MOST * (double)waited;
}

static void sample_member(struct gauge_member *m, uint64_t ms, struct line_sample *s)
{
	bool busy, held;
	if (m->way->line.side == SOURCE) {
		busy = session_inflight(m->session) > 0;
		held = busy && !m->was_paused;
	} else {
		busy = m->moved > 0 || conn_pending(m->conn) > 0;
		held = busy && is_clogged(m, ms);
	}
	s->busy += busy;
	s->held += held;
	s->compressed += busy && m->compressed;
	s->bytes += m->moved;
	m->moved = 0;
	m->was_paused = m->paused;
}

static void tell(const struct gauge_way *w, enum line_news news)
{
	const struct line *l = &w->line;
	struct log_context ctx = { .server = w->ep->server, .side = (int)l->side + 1 };
	const char *server = w->ep->server;
	if (news == LINE_IS_SLOW)
		log_event(LOG_LINE, &ctx, "%s: the line is the brake (%.2f MB/s); compressing", server, l->before / 1e6);
	else if (news == LINE_HELPED && l->rate >= l->before * LINE_GAIN)
		log_event(LOG_LINE, &ctx, "%s: compressing helps: %.2f MB/s instead of %.2f", server, l->rate / 1e6, l->before / 1e6);
	else if (news == LINE_HELPED)
		log_event(LOG_LINE, &ctx, "%s: compressing helps: the line is not the brake any more", server);
	else
		log_event(LOG_LINE, &ctx, "%s: compressing does not help (%.2f MB/s, %.2f before); no more connections are compressed", server, l->rate / 1e6,
			l->before / 1e6);
}

static void sample_way(struct gauge_way *w, uint64_t now, uint64_t ms, uint32_t load)
{
	struct line_sample s = { .now = now, .load = load };
	struct gauge_member *m, *next;
	LIST_FOREACH(m, &w->members, entry)
		sample_member(m, ms, &s);
	enum line_news news = line_sample(&w->line, &s);
	if (news == LINE_NOTHING)
		return;
	tell(w, news);
	if (news != LINE_IS_SLOW)
		return;
	for (m = LIST_FIRST(&w->members); m != NULL; m = next) {
		next = LIST_NEXT(m, entry);
		m->compress(m->arg);
	}
}

static void on_tick(void *arg)
{
	struct gauge *g = arg;
	const struct loop_meter *l = loop_meter(g->loop);
	uint64_t now = loop_now(g->loop), ms = now - g->last, ran = l->ran - g->ran;
	uint32_t load = ran == 0 ? 0 : (uint32_t)((l->busy - g->busy) * 1000 / ran);
	g->last = now;
	g->busy = l->busy;
	g->ran = l->ran;
	for (struct gauge_way *w = g->ways; w != NULL; w = w->next)
		sample_way(w, now, ms, load);
	timer_set(g->timer, LINE_TICK);
}
