#include "conn_p.h"
#include "conn_words.h"
#include "err.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* While libcurl is at work. */
struct dialing {
	struct conn_words words;
	const struct credentials *login;
	struct timer *timer;
	uint64_t started;       /* loop_now() */
	char error[CURL_ERROR_SIZE];
	char url[];
};

/* One socket of curl's; there can be several for one connection until one of them wins. */
struct watch {
	uv_poll_t uv; /* first: freed by its address */
	struct dialer *d;
	curl_socket_t fd;
};

static void dial_done(struct conn *c, CURLcode result);

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
			dial_done(c, result);
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
	d->loop = l;
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

void dialing_free(struct dialing **g)
{
	if (*g == NULL)
		return;
	timer_free(&(*g)->timer);
	free(*g);
	*g = NULL;
}

static size_t on_line(char *p, size_t size, size_t n, void *arg)
{
	struct conn *c = arg;
	/* Nothing of the login comes behind the login, but curl may think otherwise. */
	if (c->dialing == NULL)
		return size * n;
	conn_words_line(&c->dialing->words, span_of(p, size * n));
	return c->dialing->words.garbage ? 0 : size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

static double seconds(uint64_t ms)
{
	return (double)ms / 1000;
}

__attribute__((format(printf, 4, 5))) static void failure_set(struct conn_failure *f, enum conn_fault fault, enum code code,
	const char *format, ...)
{
	*f = (struct conn_failure){ .fault = fault, .code = code };
	va_list ap;
	va_start(ap, format);
	vsnprintf(f->text, sizeof(f->text), format, ap);
	va_end(ap);
}

/* When TCP, and TLS from the first byte, stood: loop_now(), or 0. */
static uint64_t connected_at(const struct conn *c)
{
	curl_off_t us = 0;
	curl_easy_getinfo(c->easy, c->tls ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T, &us);
	return us > 0 ? c->dialing->started + (uint64_t)us / 1000 + 1 : 0;
}

static bool says(const char *text, const char *what)
{
	return strcasestr(text, what) != NULL;
}

/* The kind of trouble first, then OpenSSL's or GnuTLS's own words. */
static void failure_tls(struct conn_failure *f, CURLcode result, const struct conn *c, const char *error, const char *where)
{
	const char *reason = error;
	static const char *const noise[] = { "SSL certificate problem: ", "SSL: ", "server certificate verification failed. " };
	for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
		if (strncmp(reason, noise[i], strlen(noise[i])) == 0)
			reason += strlen(noise[i]);
	if (result == CURLE_SSL_CACERT_BADFILE)
		failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the file of CA certificates %s cannot be used: %s",
			c->ep->ca_file != NULL ? c->ep->ca_file : "of the system", reason);
	else if (result != CURLE_PEER_FAILED_VERIFICATION)
		failure_set(f, CONN_FAULT_TLS, CODE_NONE, "TLS with %s failed: %s%s", where, reason,
			says(reason, "wrong version number") || says(reason, "packet length") ?
				" (the server does not speak TLS on this port)" : "");
	else if (says(reason, "expired"))
		failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s has expired (%s)", where, reason);
	else if (says(reason, "not yet valid"))
		failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s is not valid yet (%s)", where, reason);
	else if (says(reason, "subject name") || says(reason, "host name") || says(reason, "hostname") || says(reason, "IP address"))
		failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s is for another host name (%s)", where, reason);
	else
		failure_set(f, CONN_FAULT_TLS, CODE_NONE, "the certificate of %s is not trusted (%s); if it should be, name its authority with ca_file (copy: --ca-file)", where, reason);
}

static void failure_refused(struct conn_failure *f, const struct conn *c)
{
	const struct conn_words *w = &c->dialing->words;
	const char *more = w->bye ? w->parting : w->other;
	char words[sizeof(w->refusal) + sizeof(w->parting) + 2];
	snprintf(words, sizeof(words), "%s%s%s", w->refusal, more[0] != '\0' ? "; " : "", more);
	conn_words_refused(f, w->refusal_code, words, c->ep, c->dialing->login);
}

/* What the server said decides before what curl made of it. True: it did. */
static bool failure_of_words(struct conn_failure *f, CURLcode result, const struct conn *c, const char *where)
{
	const struct conn_words *w = &c->dialing->words;
	bool protocol = result == CURLE_LOGIN_DENIED || result == CURLE_WEIRD_SERVER_REPLY || result == CURLE_RECV_ERROR ||
			result == CURLE_SEND_ERROR || result == CURLE_GOT_NOTHING || result == CURLE_AUTH_ERROR ||
			result == CURLE_REMOTE_ACCESS_DENIED;
	if (w->garbage) {
		failure_set(f, CONN_FAULT_GARBAGE, CODE_NONE, "%s does not speak IMAP, but says: %s", where, w->other);
	} else if (!protocol) {
		return false;
	} else if (w->refused && (result == CURLE_LOGIN_DENIED || result == CURLE_AUTH_ERROR || result == CURLE_REMOTE_ACCESS_DENIED)) {
		failure_refused(f, c);
	} else if (w->bye) {
		failure_set(f, CONN_FAULT_LOST, w->parting_code, "%s", w->parting);
		f->bye = true;
	} else if (result == CURLE_LOGIN_DENIED) {
		failure_set(f, CONN_FAULT_LOGIN, CODE_NONE, c->ep->admin_user != NULL ?
			"%s offers no way to log in on behalf of others (AUTH=PLAIN)" : "%s offers no way to log in with a password", where);
	} else if (w->other[0] != '\0') {
		failure_set(f, CONN_FAULT_LOST, w->other_code, "%s", w->other);
	} else {
		return false;
	}
	return true;
}

static void failure_of_curl(struct conn_failure *f, CURLcode result, const struct conn *c, const char *error, const char *where)
{
	long os_errno = 0;
	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_errno);
	bool cut_off = result == CURLE_SSL_CONNECT_ERROR && (os_errno == ECONNRESET || os_errno == EPIPE || says(error, "reset by peer") ||
		says(error, "unexpected eof") || says(error, "SSL_ERROR_SYSCALL"));
	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		failure_set(f, CONN_FAULT_RESOLVE, CODE_NONE, "the host name %s has no address, or no name server answers (%s)",
			c->ep->host, error);
		break;
	case CURLE_COULDNT_CONNECT:
		failure_set(f, CONN_FAULT_CONNECT, CODE_NONE, "cannot connect to %s: %s", where,
			os_errno != 0 ? strerror((int)os_errno) : error);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		failure_set(f, CONN_FAULT_TIMEOUT, CODE_NONE, "no answer from %s: %s", where, error);
		break;
	case CURLE_USE_SSL_FAILED:
		if (c->dialing->words.refused)
			failure_set(f, CONN_FAULT_NO_TLS, CODE_NONE, "%s refuses STARTTLS: %s", where, c->dialing->words.refusal);
		else
			failure_set(f, CONN_FAULT_NO_TLS, CODE_NONE,
				"%s does not offer STARTTLS, and plaintext was not asked for (allow_plaintext)", where);
		break;
	case CURLE_OUT_OF_MEMORY:
		failure_set(f, CONN_FAULT_MEMORY, CODE_NONE, "out of memory while connecting to %s", where);
		break;
	case CURLE_WEIRD_SERVER_REPLY:
		failure_set(f, CONN_FAULT_GARBAGE, CODE_NONE, "%s does not speak IMAP: %s", where, error);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		if (!cut_off) {
			failure_tls(f, result, c, error, where);
			break;
		}
		/* fall through */
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		failure_set(f, CONN_FAULT_LOST, CODE_NONE, "%s closed the connection before the login was done (%s)", where, error);
		break;
	default:
		failure_set(f, CONN_FAULT_CONNECT, CODE_NONE, "cannot connect to %s: %s", where, error);
	}
}

static void mask_words(struct conn *c)
{
	struct conn_words *w = &c->dialing->words;
	conn_words_mask(w->refusal, sizeof(w->refusal), c->ep, c->dialing->login);
	conn_words_mask(w->parting, sizeof(w->parting), c->ep, c->dialing->login);
	conn_words_mask(w->other, sizeof(w->other), c->ep, c->dialing->login);
}

/* Looks again at the earliest moment at which one of the two could have run out: curl does not tell when it gets from one to the other. */
static void on_dial_timer(void *arg)
{
	struct conn *c = arg;
	struct dialing *g = c->dialing;
	uint64_t now = loop_now(c->d->loop), connected = connected_at(c);
	uint64_t end = connected != 0 ? connected + c->ep->login_timeout : g->started + c->ep->connect_timeout;
	if (now < end) {
		uint64_t next = end;
		if (connected == 0 && now + c->ep->login_timeout < end)
			next = now + c->ep->login_timeout;
		timer_set(g->timer, next - now);
		return;
	}
	struct conn_failure f;
	char where[300];
	conn_where(c, where, sizeof(where));
	mask_words(c);
	if (g->words.bye)
		failure_of_words(&f, CURLE_RECV_ERROR, c, where);
	else if (connected == 0)
		failure_set(&f, CONN_FAULT_TIMEOUT, CODE_NONE, "no connection to %s within %g s", where,
			seconds(c->ep->connect_timeout));
	else if (!g->words.greeted)
		failure_set(&f, CONN_FAULT_TIMEOUT, CODE_NONE, "no greeting from %s within %g s", where,
			seconds(c->ep->login_timeout));
	else
		failure_set(&f, CONN_FAULT_TIMEOUT, CODE_NONE, "no answer to the login from %s within %g s", where,
			seconds(c->ep->login_timeout));
	conn_tell_down(c, &f);
}

static void dial_done(struct conn *c, CURLcode result)
{
	struct dialing *g = c->dialing;
	if (result == CURLE_OK) {
		struct resp_caps caps = g->words.caps;
		curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
		dialing_free(&c->dialing);
		conn_open(c, &caps);
		return;
	}
	mask_words(c);
	struct conn_failure f;
	char where[300];
	const char *error = g->error[0] != '\0' ? g->error : curl_easy_strerror(result);
	conn_where(c, where, sizeof(where));
	if (!failure_of_words(&f, result, c, where))
		failure_of_curl(&f, result, c, error, where);
	conn_tell_down(c, &f);
}

static long ms_for_curl(uint64_t ms)
{
	return ms > 1000u * 3600 * 24 ? 1000L * 3600 * 24 : (long)ms;
}

/* Only the file named by the operator counts when there is one. Without the folder of certificates curl can share one store
 * among all connections; with it, each would load its own. */
static CURLcode set_trust(CURL *e, const struct endpoint *ep)
{
	CURLcode r = curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	if (r == CURLE_OK)
		r = curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	const char *system = curl_version_info(CURLVERSION_NOW)->cainfo;
	if (r == CURLE_OK && (ep->ca_file != NULL || (system != NULL && access(system, R_OK) == 0)))
		r = curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	if (r == CURLE_OK && ep->ca_file != NULL)
		r = curl_easy_setopt(e, CURLOPT_CAINFO, ep->ca_file);
	return r;
}

/* Proxies are left to libcurl's environment variables (ALL_PROXY), as people expect of programs that use it. */
static CURLcode set_options(struct conn *c)
{
	const struct endpoint *ep = c->ep;
	CURL *e = c->easy;
	struct dialing *g = c->dialing;
	/* curl's own clocks come behind ours: they cannot tell connecting from logging in. */
	long all = ms_for_curl(ep->connect_timeout) + ms_for_curl(ep->login_timeout) + 60000;
	CURLcode r = set_trust(e, ep);
#define SET(option, value)                                                                                             \
	if (r == CURLE_OK)                                                                                             \
		r = curl_easy_setopt(e, option, value)
	SET(CURLOPT_PRIVATE, (void *)c);
	SET(CURLOPT_ERRORBUFFER, (char *)g->error);
	SET(CURLOPT_URL, (const char *)g->url);
	SET(CURLOPT_PORT, (long)ep->port);
	SET(CURLOPT_PROTOCOLS_STR, "imap,imaps");
	SET(CURLOPT_CONNECT_ONLY, 1L);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	/* It takes connections that lie still, and ours may, for dead. */
	SET(CURLOPT_MAXAGE_CONN, 365L * 24 * 3600);
	SET(CURLOPT_MAXLIFETIME_CONN, 0L); /* later versions have a day as their default */
	SET(CURLOPT_NOSIGNAL, 1L);
	/* Else giving up on a name would wait for the name server. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_USE_SSL, ep->allow_plaintext ? (long)CURLUSESSL_TRY : (long)CURLUSESSL_ALL);
	if (ep->admin_user != NULL) {
		/* No other mechanism has a place for the second name. */
		SET(CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN");
		SET(CURLOPT_SASL_AUTHZID, g->login->user);
	}
	SET(CURLOPT_USERNAME, ep->admin_user != NULL ? ep->admin_user : g->login->user);
	SET(CURLOPT_PASSWORD, ep->admin_user != NULL ? ep->admin_password : g->login->password);
	SET(CURLOPT_HEADERFUNCTION, on_line);
	SET(CURLOPT_HEADERDATA, (void *)c);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_CONNECTTIMEOUT_MS, all);
	SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, all / 1000);
#undef SET
	return r;
}

static struct conn *conn_new(struct dialer *d, const struct endpoint *ep, const struct credentials *login, conn_funnel *funnel,
	void *owner)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->d = d;
	d->conns++;
	c->ep = ep;
	c->tls = ep->tls_first;
	c->funnel = funnel;
	c->owner = owner;
	buf_init(&c->in, CONN_IN_CHUNK);
	buf_init(&c->out, CONN_OUT_CAP);
	size_t url_size = strlen(ep->host) + sizeof("imaps://[]/");
	c->dialing = calloc(1, sizeof(*c->dialing) + url_size);
	c->easy = curl_easy_init();
	if (c->dialing == NULL || c->easy == NULL)
		return c;
	bool v6 = strchr(ep->host, ':') != NULL;
	snprintf(c->dialing->url, url_size, "%s://%s%s%s/", ep->tls_first ? "imaps" : "imap", v6 ? "[" : "", ep->host, v6 ? "]" : "");
	c->dialing->login = login;
	c->dialing->timer = timer_new(d->loop, on_dial_timer, c);
	return c;
}

struct conn *conn_dial(struct dialer *d, const struct endpoint *ep, const struct credentials *login, conn_funnel *funnel,
	void *owner)
{
	struct conn *c = conn_new(d, ep, login, funnel, owner);
	if (c == NULL)
		return NULL;
	CURLcode r = CURLE_OUT_OF_MEMORY;
	if (c->dialing != NULL && c->easy != NULL && c->dialing->timer != NULL)
		r = set_options(c);
	if (r == CURLE_OUT_OF_MEMORY || (r == CURLE_OK && curl_multi_add_handle(d->multi, c->easy) != CURLM_OK)) {
		conn_close(&c);
		return NULL;
	}
	if (r != CURLE_OK) {
		/* A library that was built without something needed: told like a failure to connect. */
		c->state = CONN_BROKEN;
		c->broken = CONN_FAULT_CONNECT;
		c->write_error = r;
		conn_queue(c);
		return c;
	}
	uint64_t first = ep->connect_timeout < ep->login_timeout ? ep->connect_timeout : ep->login_timeout;
	timer_set(c->dialing->timer, first);
	c->dialing->started = loop_now(d->loop);
	return c;
}
