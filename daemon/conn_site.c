/*
 * What the connections to one server have in common: the last TLS session, so that the next one resumes it and neither end has to prove
 * itself again. Only among connections that trust alike: same host, port, way and file of authorities.
 *
 * libcurl's own store of sessions (CURLSH) does not find those of STARTTLS again in 7.88: it looks for "imap" and keeps them under "imaps".
 */
#include "conn_p.h"

#include <openssl/ssl.h>
#include <stdlib.h>

struct site {
	SLIST_ENTRY(site) entry;
	SSL_SESSION *session; /* the newest; NULL: none */
	uint16_t port;
	bool tls_first;
	char *ca_file;        /* NULL: the system's */
	char host[];
};

/* Where a SSL_CTX has its site. */
static int site_index = -1;

static bool is_of(const struct site *s, const struct endpoint *ep)
{
	return strcmp(s->host, ep->host) == 0 && s->port == ep->port && s->tls_first == ep->tls_first &&
	       (s->ca_file == NULL) == (ep->ca_file == NULL) && (s->ca_file == NULL || strcmp(s->ca_file, ep->ca_file) == 0);
}

static void site_free(struct site *s)
{
	SSL_SESSION_free(s->session);
	free(s->ca_file);
	free(s);
}

struct site *conn_site(struct dialer *d, const struct endpoint *ep)
{
	struct site *s;
	SLIST_FOREACH(s, &d->sites, entry)
		if (is_of(s, ep))
			return s;
	size_t size = strlen(ep->host) + 1;
	s = calloc(1, sizeof(*s) + size);
	if (s == NULL)
		return NULL;
	memcpy(s->host, ep->host, size);
	s->port = ep->port;
	s->tls_first = ep->tls_first;
	s->ca_file = ep->ca_file != NULL ? strdup(ep->ca_file) : NULL;
	if (ep->ca_file != NULL && s->ca_file == NULL) {
		site_free(s);
		return NULL;
	}
	SLIST_INSERT_HEAD(&d->sites, s, entry);
	return s;
}

static void forget(struct site *s)
{
	SSL_SESSION_free(s->session);
	s->session = NULL;
}

void conn_site_forget(struct dialer *d, const struct endpoint *ep)
{
	struct site *s;
	SLIST_FOREACH(s, &d->sites, entry)
		if (is_of(s, ep))
			forget(s);
}

void conn_sites_done(struct dialer *d)
{
	struct site *s;
	while ((s = SLIST_FIRST(&d->sites)) != NULL) {
		SLIST_REMOVE_HEAD(&d->sites, entry);
		site_free(s);
	}
}

static struct site *site_of(const SSL *tls)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(tls), site_index);
}

/* A connection's own session is spoiled when it ends without a word: so copies are kept, and given. */
static int on_session(SSL *tls, SSL_SESSION *session)
{
	struct site *s = site_of(tls);
	SSL_SESSION *copy = s != NULL && SSL_SESSION_is_resumable(session) ? SSL_SESSION_dup(session) : NULL;
	if (copy != NULL) {
		forget(s);
		s->session = copy;
	}
	return 0;
}

static void on_tls_step(const SSL *tls, int where, int ret)
{
	(void)ret;
	struct site *s = (where & SSL_CB_HANDSHAKE_START) != 0 ? site_of(tls) : NULL;
	if (s == NULL || s->session == NULL || !SSL_in_before(tls))
		return;
	SSL_SESSION *copy = SSL_SESSION_dup(s->session);
	/* The one moment at which libcurl's session can still be given one. */
	if (copy != NULL)
		SSL_set_session((SSL *)(uintptr_t)tls, copy);
	SSL_SESSION_free(copy);
}

static CURLcode on_tls_context(CURL *easy, void *context, void *arg)
{
	(void)easy;
	SSL_CTX *ctx = context;
	SSL_CTX_set_ex_data(ctx, site_index, arg);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_info_callback(ctx, on_tls_step);
	return CURLE_OK;
}

CURLcode conn_site_join(struct site *s, CURL *easy)
{
	if (!conn_io_knows_tls())
		return CURLE_OK;
	if (site_index < 0)
		site_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	CURLcode r = curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, (void *)s);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
	return r;
}
