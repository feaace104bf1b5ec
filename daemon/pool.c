#include "pool.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "log.h"

/* A server from which connections have come. */
struct place {
	struct place *next;
	const struct endpoint *ep;
	bool spoilt; /* it offers what it does not do: nothing is kept any more */
	bool said;   /* and that is in the log */
};

struct kept {
	TAILQ_ENTRY(kept) link;
	struct pool *pool;
	struct place *place;
	struct peer *peer;
	bool vacant;
	uint64_t since; /* loop_now() */
};
TAILQ_HEAD(kept_list, kept);

struct pool {
	struct loop *loop;
	struct timer *timer;
	struct kept_list kept; /* the oldest first */
	struct place *places;
};

/* A polite end, where the dialogue allows it; the answer is not waited for. */
static void log_out(struct peer *p)
{
	uint32_t tag;

	if (!peer_is_vacant(p) && (!peer_is_up(p) || session_is_mid_body(peer_session(p)) || peer_is_full(p)))
		return;
	if (session_simple(peer_session(p), CMD_LOGOUT, &tag) == 0)
		peer_flush_now(p);
}

static void kept_free(struct kept *k)
{
	TAILQ_REMOVE(&k->pool->kept, k, link);
	pool_drop(&k->peer);
	free(k);
}

static void arm(struct pool *pool)
{
	const struct kept *oldest = TAILQ_FIRST(&pool->kept);
	uint64_t now = loop_now(pool->loop);

	if (oldest == NULL)
		timer_clear(pool->timer);
	else
		timer_set(pool->timer, oldest->since + POOL_IDLE > now ? oldest->since + POOL_IDLE - now : 0);
}

static void on_timer(void *arg)
{
	struct pool *pool = arg;
	struct kept *k;

	while ((k = TAILQ_FIRST(&pool->kept)) != NULL && loop_now(pool->loop) >= k->since + POOL_IDLE)
		kept_free(k);
	arm(pool);
}

struct pool *pool_new(struct loop *l)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->loop = l;
	TAILQ_INIT(&pool->kept);
	pool->timer = timer_new(l, on_timer, pool);
	if (pool->timer == NULL)
		pool_free(&pool);
	return pool;
}

void pool_free(struct pool **pool)
{
	if (pool == NULL || *pool == NULL)
		return;
	while (!TAILQ_EMPTY(&(*pool)->kept))
		kept_free(TAILQ_FIRST(&(*pool)->kept));
	while ((*pool)->places != NULL) {
		struct place *place = (*pool)->places;

		(*pool)->places = place->next;
		free(place);
	}
	timer_free(&(*pool)->timer);
	free(*pool);
	*pool = NULL;
}

/* NULL when memory is out. */
static struct place *place_of(struct pool *pool, const struct endpoint *ep)
{
	struct place *place = pool->places;

	while (place != NULL && place->ep != ep)
		place = place->next;
	if (place != NULL || (place = calloc(1, sizeof(*place))) == NULL)
		return place;
	place->ep = ep;
	place->next = pool->places;
	pool->places = place;
	return place;
}

static void say(const struct endpoint *ep, enum side side, const char *what)
{
	struct log_context ctx = { .server = ep->server, .side = (int)side + 1 };

	log_event(LOG_DIAL, &ctx, "%s: %s", ep->server, what);
}

static void on_peer(void *owner, const struct peer_event *ev)
{
	struct kept *k = owner;

	if (ev->kind == PEER_VACANT) {
		k->vacant = true;
	} else if (ev->kind == PEER_DOWN) {
		struct pool *pool = k->pool;

		if (ev->failure->fault == CONN_FAULT_GARBAGE)
			k->place->spoilt = true;
		kept_free(k);
		arm(pool);
	}
}

/* The last one that came: it is the least likely to have died. One that waits for an answer only when there is no other. */
static struct kept *find(struct pool *pool, const struct endpoint *ep)
{
	struct kept *k, *found = NULL;

	TAILQ_FOREACH_REVERSE(k, &pool->kept, kept_list, link)
		if (k->place->ep == ep && (found == NULL || (k->vacant && !found->vacant)))
			found = k;
	return found;
}

struct peer *pool_dial(struct pool *pool, struct dialer *d, enum side side, const struct endpoint *ep, const struct credentials *login,
	const struct peer_limits *limits, peer_funnel *funnel, void *owner)
{
	struct kept *k = find(pool, ep);

	if (k == NULL)
		return peer_dial(d, side, ep, login, limits, funnel, owner);
	struct peer *peer = k->peer;
	struct place *place = k->place;

	k->peer = NULL;
	kept_free(k);
	arm(pool);
	say(ep, side, "an open connection is used again");
	peer_occupy(peer, side, login, limits, funnel, owner, &place->spoilt);
	return peer;
}

static bool keep(struct pool *pool, struct peer *peer)
{
	struct place *place = peer_may_vacate(peer) ? place_of(pool, peer_endpoint(peer)) : NULL;

	if (place == NULL)
		return false;
	if (place->spoilt) {
		if (!place->said)
			say(place->ep, peer_side(peer), "no connection is kept any more: the server offers UNAUTHENTICATE, but does not do it");
		place->said = true;
		return false;
	}
	struct kept *k = calloc(1, sizeof(*k));

	if (k == NULL || !peer_vacate(peer, on_peer, k)) {
		free(k);
		return false;
	}
	*k = (struct kept){ .pool = pool, .place = place, .peer = peer, .since = loop_now(pool->loop) };
	TAILQ_INSERT_TAIL(&pool->kept, k, link);
	arm(pool);
	return true;
}

void pool_drop(struct peer **peer)
{
	if (*peer != NULL)
		log_out(*peer);
	peer_close(peer);
}

void pool_give(struct pool *pool, struct peer **peer)
{
	if (*peer != NULL && keep(pool, *peer))
		*peer = NULL;
	else
		pool_drop(peer);
}
