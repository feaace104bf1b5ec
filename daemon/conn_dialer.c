#include "conn_p.h"

#include <assert.h>
#include <stdlib.h>

/* One socket of curl's; there can be several for one connection until one of them wins. */
struct watch {
	uv_poll_t uv; /* first: freed by its address */
	struct dialer *d;
	curl_socket_t fd;
};

static void on_close_free(uv_handle_t *h)
{
	free(h);
}

/* What curl has finished. Never called from within curl, so that the owners may dial and close. */
static void dialer_collect(struct dialer *d)
{
	CURLMsg *m;
	int left;
	while (d->multi != NULL && (m = curl_multi_info_read(d->multi, &left)) != NULL) {
		struct conn *c = NULL;
		CURLcode result = m->data.result;
		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c) == CURLE_OK && c != NULL)
			conn_dial_done(c, result);
	}
}

static void on_watch(uv_poll_t *h, int status, int events)
{
	struct watch *w = (struct watch *)h;
	struct dialer *d = w->d;
	/* A hundred handshakes at once would keep everybody else waiting. It is told again at the next turn. */
	if (loop_turn(d->loop) > CONN_TURN_US)
		return;
	int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
		    (status < 0 ? CURL_CSELECT_ERR : 0);
	int running;
	curl_multi_socket_action(d->multi, w->fd, flags, &running);
	dialer_collect(d);
}

static void on_curl_timer(uv_timer_t *t)
{
	struct dialer *d = t->data;
	int running;
	curl_multi_socket_action(d->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	dialer_collect(d);
}

static int curl_wants_timer(CURLM *multi, long ms, void *arg)
{
	(void)multi;
	struct dialer *d = arg;
	if (d->multi == NULL || ms < 0) {
		uv_timer_stop(&d->timer);
	} else {
		uv_timer_start(&d->timer, on_curl_timer, (uint64_t)ms + loop_behind(d->loop), 0);
	}
	return 0;
}

static int curl_wants_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	struct dialer *d = arg;
	struct watch *w = socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			curl_multi_assign(d->multi, fd, NULL);
			uv_close((uv_handle_t *)&w->uv, on_close_free);
		}
		return 0;
	}
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL)
			return -1;
		w->d = d;
		w->fd = fd;
		if (uv_poll_init_socket(loop_uv(d->loop), &w->uv, fd) != 0) {
			free(w);
			return -1;
		}
		curl_multi_assign(d->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&w->uv, events, on_watch) != 0 ? -1 : 0;
}

static void on_idle(uv_idle_t *h)
{
	struct dialer *d = h->data;
	/* Who queues itself again waits for the next turn. What is too much for this one, too: it comes first then. */
	d->turn++;
	uint64_t begun = loop_turn(d->loop);
	struct conn *c;
	while ((c = TAILQ_FIRST(&d->queue)) != NULL && c->queued_turn != d->turn && loop_turn(d->loop) - begun <= CONN_TURN_US) {
		TAILQ_REMOVE(&d->queue, c, entry);
		c->queued = false;
		conn_turn(c);
	}
	if (TAILQ_EMPTY(&d->queue))
		uv_idle_stop(&d->idle);
}

void conn_queue(struct conn *c)
{
	struct dialer *d = c->d;
	if (c->queued)
		return;
	c->queued = true;
	c->queued_turn = d->turn;
	TAILQ_INSERT_TAIL(&d->queue, c, entry);
	/* No effect when it runs already. */
	uv_idle_start(&d->idle, on_idle);
}

static void on_prepare(uv_prepare_t *h)
{
	struct dialer *d = h->data;
	struct conn *c;
	while ((c = TAILQ_FIRST(&d->unsent)) != NULL)
		conn_send_unsent(c);
	uv_prepare_stop(h);
}

void conn_send_later(struct conn *c)
{
	if (c->unsent)
		return;
	c->unsent = true;
	TAILQ_INSERT_TAIL(&c->d->unsent, c, unsent_entry);
	uv_prepare_start(&c->d->prepare, on_prepare);
}

struct dialer *dialer_new(struct loop *l)
{
	struct dialer *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(d);
		return NULL;
	}
	d->multi = curl_multi_init();
	if (d->multi == NULL) {
		curl_global_cleanup();
		free(d);
		return NULL;
	}
	d->resolver = resolver_new(l);
	if (d->resolver == NULL) {
		curl_multi_cleanup(d->multi);
		curl_global_cleanup();
		free(d);
		return NULL;
	}
	d->loop = l;
	SLIST_INIT(&d->sites);
	TAILQ_INIT(&d->queue);
	TAILQ_INIT(&d->unsent);
	uv_timer_init(loop_uv(l), &d->timer);
	uv_idle_init(loop_uv(l), &d->idle);
	uv_prepare_init(loop_uv(l), &d->prepare);
	d->timer.data = d->idle.data = d->prepare.data = d;
	d->handles = 3;
	curl_multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, curl_wants_socket);
	curl_multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d);
	curl_multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION, curl_wants_timer);
	curl_multi_setopt(d->multi, CURLMOPT_TIMERDATA, d);
	/* Connections that are handed over count as idle ones of its cache, and must not be pushed out of it. */
	curl_multi_setopt(d->multi, CURLMOPT_MAXCONNECTS, 1000000L);
	return d;
}

static void on_dialer_closed(uv_handle_t *h)
{
	struct dialer *d = h->data;
	if (--d->handles == 0)
		free(d);
}

void dialer_free(struct dialer **d)
{
	if (d == NULL || *d == NULL)
		return;
	struct dialer *x = *d;
	assert(x->conns == 0);
	CURLM *multi = x->multi;
	x->multi = NULL;
	curl_multi_cleanup(multi);
	conn_sites_done(x);
	resolver_free(&x->resolver);
	curl_global_cleanup();
	uv_close((uv_handle_t *)&x->timer, on_dialer_closed);
	uv_close((uv_handle_t *)&x->idle, on_dialer_closed);
	uv_close((uv_handle_t *)&x->prepare, on_dialer_closed);
	*d = NULL;
}

struct loop *dialer_loop(struct dialer *d)
{
	return d->loop;
}

