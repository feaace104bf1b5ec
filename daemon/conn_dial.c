#include "conn_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* When TCP, and TLS from the first byte, stood: loop_now(), or 0. */
static uint64_t connected_at(const struct conn *c)
{
	curl_off_t us = 0;
	curl_easy_getinfo(c->easy, c->tls ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T, &us);
	return us > 0 ? c->dialing->resolved + (uint64_t)us / 1000 + 1 : 0;
}

void dialing_free(struct dialing **g)
{
	if (*g == NULL)
		return;
	timer_free(&(*g)->timer);
	resolve_cancel(&(*g)->waiting);
	curl_slist_free_all((*g)->resolve);
	free(*g);
	*g = NULL;
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
	char where[CONN_WHERE];
	conn_where(c, where);
	if (g->words.bye)
		conn_failure_of_bye(&f, c);
	else if (connected == 0)
		conn_failure_set(&f, CONN_FAULT_TIMEOUT, CODE_NONE, "no connection to %s within %g s", where,
			seconds(c->ep->connect_timeout));
	else if (!g->words.greeted)
		conn_failure_set(&f, CONN_FAULT_TIMEOUT, CODE_NONE, "no greeting from %s within %g s", where,
			seconds(c->ep->login_timeout));
	else
		conn_failure_set(&f, CONN_FAULT_TIMEOUT, CODE_NONE, "no answer to the login from %s within %g s", where,
			seconds(c->ep->login_timeout));
	f.greeted = g->words.greeted;
	conn_tell_down(c, &f);
}

void conn_dial_done(struct conn *c, CURLcode result)
{
	if (result == CURLE_OK) {
		struct resp_caps caps = c->dialing->words.caps;
		curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
		curl_easy_setopt(c->easy, CURLOPT_RESOLVE, NULL);
		dialing_free(&c->dialing);
		conn_open(c, &caps);
		return;
	}
	struct conn_failure f;
	conn_failure_of(&f, result, c);
	if (f.fault == CONN_FAULT_TLS || f.fault == CONN_FAULT_LOST)
		conn_site_forget(c->d, c->ep);
	conn_tell_down(c, &f);
}

/* As libcurl does it, but for what it does not tell: that there is no descriptor left. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct conn *c = arg;
	(void)purpose;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if (fd < 0 && c->dialing != NULL)
		c->dialing->no_files = errno == EMFILE || errno == ENFILE ? errno : 0;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
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
	struct site *site = conn_site(c->d, ep);
	if (r == CURLE_OK)
		r = site != NULL ? conn_site_join(site, e) : CURLE_OUT_OF_MEMORY;
#define SET(option, value)                                                                                             \
	if (r == CURLE_OK)                                                                                             \
		r = curl_easy_setopt(e, option, value)
	SET(CURLOPT_PRIVATE, (void *)c);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, (void *)c);
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
	/* A proxy is not who has to speak IMAP. */
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
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
	buf_init(&c->sealed, CONN_SEALED_CHUNK);
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

/* Told at the next turn. */
static void dial_broken(struct conn *c, enum conn_fault fault, const char *why)
{
	c->state = CONN_BROKEN;
	c->broken = fault;
	c->why = why;
	conn_queue(c);
}

static void dial_begin(struct conn *c)
{
	c->dialing->resolved = loop_now(c->d->loop);
	if (curl_multi_add_handle(c->d->multi, c->easy) != CURLM_OK)
		dial_broken(c, CONN_FAULT_MEMORY, NULL);
}

static void on_resolved(void *arg, const struct resolve_answer *answer)
{
	struct conn *c = arg;
	struct dialing *g = c->dialing;
	g->waiting = NULL;
	if (answer->addresses == NULL) {
		snprintf(g->error, sizeof(g->error), "%s", answer->error);
		bool files = answer->os_errno == EMFILE || answer->os_errno == ENFILE;
		dial_broken(c, files ? CONN_FAULT_FILES : CONN_FAULT_RESOLVE, g->error);
		return;
	}
	/* Without any that can be said like this, libcurl asks for itself. */
	if (answer->addresses[0] != '\0') {
		size_t size = strlen(c->ep->host) + strlen(answer->addresses) + sizeof("+::65535");
		char *entry = malloc(size);
		if (entry != NULL)
			snprintf(entry, size, "+%s:%u:%s", c->ep->host, (unsigned)c->ep->port, answer->addresses);
		g->resolve = entry != NULL ? curl_slist_append(NULL, entry) : NULL;
		free(entry);
		if (g->resolve == NULL || curl_easy_setopt(c->easy, CURLOPT_RESOLVE, g->resolve) != CURLE_OK) {
			dial_broken(c, CONN_FAULT_MEMORY, NULL);
			return;
		}
	}
	dial_begin(c);
}

/* A proxy's name, and what a proxy makes of the server's, is libcurl's business. False: out of memory. */
static bool dial_start(struct conn *c)
{
	if (conn_io_may_be_proxied() || !resolve_is_needed(c->ep->host)) {
		dial_begin(c);
		return true;
	}
	c->dialing->waiting = resolve_ask(c->d->resolver, c->ep->host, on_resolved, c);
	return c->dialing->waiting != NULL;
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
	if (r != CURLE_OK && r != CURLE_OUT_OF_MEMORY) {
		/* A library that was built without something needed: told like a failure to connect. */
		dial_broken(c, CONN_FAULT_CONNECT, curl_easy_strerror(r));
		return c;
	}
	if (r != CURLE_OK || !dial_start(c)) {
		conn_close(&c);
		return NULL;
	}
	uint64_t first = ep->connect_timeout < ep->login_timeout ? ep->connect_timeout : ep->login_timeout;
	timer_set(c->dialing->timer, first);
	c->dialing->started = loop_now(d->loop);
	return c;
}
