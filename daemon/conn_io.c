/*
 * The bytes of a connection, by the shortest way: straight to the socket, or to the TLS session that libcurl made on it. libcurl's own
 * functions look through all connections at each call, and read a TLS record in two steps. They are the way where something else stands
 * between us and the socket (a proxy), and where libcurl's TLS is not our OpenSSL.
 */
#include "conn_p.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

/* As libcurl looks for them. Whether NO_PROXY names this host is its business. */
bool conn_io_may_be_proxied(void)
{
	static const char *const names[] = { "imap_proxy", "IMAP_PROXY", "imaps_proxy", "IMAPS_PROXY", "all_proxy", "ALL_PROXY" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *proxy = getenv(names[i]);
		if (proxy != NULL && proxy[0] != '\0')
			return true;
	}
	return false;
}

bool conn_io_knows_tls(void)
{
	static const char prefix[] = "OpenSSL/";
	const char *of_curl = curl_version_info(CURLVERSION_NOW)->ssl_version;
	return of_curl != NULL && strncmp(of_curl, prefix, sizeof(prefix) - 1) == 0 &&
	       strcmp(of_curl + sizeof(prefix) - 1, OpenSSL_version(OPENSSL_VERSION_STRING)) == 0;
}

static SSL *tls_of(CURL *easy)
{
	/* It lets go of a connection that is set up, and takes it again at the first use. */
	char none;
	size_t n;
	curl_easy_recv(easy, &none, 0, &n);
	struct curl_tlssessioninfo *info = NULL;
	if (!conn_io_knows_tls() || curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL ||
	    info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

void conn_io_begin(struct conn *c, int fd)
{
	c->fd = fd;
	if (conn_io_may_be_proxied())
		return;
	if (!c->tls) {
		c->way = CONN_WAY_SOCKET;
		return;
	}
	SSL *tls = tls_of(c->easy);
	/* Its own way to the socket leads through libcurl's state, which is there only during libcurl's calls. */
	if (tls == NULL || SSL_set_fd(tls, fd) != 1)
		return;
	/* What a socket did not take is offered again with what has come behind it, wherever that lies now. */
	SSL_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_set_options(tls, SSL_OP_NO_RENEGOTIATION);
	SSL_set_read_ahead(tls, 1);
	SSL_set_default_read_buffer_len(tls, CONN_TLS_READ);
	c->ssl = tls;
	c->way = CONN_WAY_TLS;
}

static CURLcode socket_result(struct conn *c, ssize_t n, CURLcode error, size_t *ret)
{
	if (n >= 0) {
		*ret = (size_t)n;
		return CURLE_OK;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return CURLE_AGAIN;
	c->io_errno = errno;
	return error;
}

static CURLcode tls_result(struct conn *c, int n, CURLcode error, size_t *ret)
{
	if (n > 0) {
		*ret = (size_t)n;
		return CURLE_OK;
	}
	int os_errno = errno;
	int why = SSL_get_error(c->ssl, n);
	unsigned long first = ERR_peek_error();
	ERR_clear_error();
	switch (why) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		/* In reading: the answer to a key update does not go out. The other way round there is nothing without renegotiation. */
		c->crossed = c->crossed || (why == SSL_ERROR_WANT_WRITE && error == CURLE_RECV_ERROR);
		return CURLE_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		break;
	case SSL_ERROR_SYSCALL:
		if (os_errno == 0)
			break;
		c->io_errno = os_errno;
		return error;
	default:
		if (ERR_GET_REASON(first) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			break;
		c->io_reason = ERR_reason_error_string(first);
		return error;
	}
	*ret = 0;
	return error == CURLE_SEND_ERROR ? error : CURLE_OK;
}

/* What another connection, or libcurl, left behind would be taken for this one's. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	errno = 0;
}

CURLcode conn_io_recv(struct conn *c, char *p, size_t n, size_t *ret)
{
	*ret = 0;
	switch (c->way) {
	case CONN_WAY_SOCKET:
		return socket_result(c, recv(c->fd, p, n, 0), CURLE_RECV_ERROR, ret);
	case CONN_WAY_TLS:
		forget_errors();
		return tls_result(c, SSL_read(c->ssl, p, n < INT_MAX ? (int)n : INT_MAX), CURLE_RECV_ERROR, ret);
	case CONN_WAY_CURL:
		break;
	}
	return curl_easy_recv(c->easy, p, n, ret);
}

/* A TLS library that could not send wants the same bytes again at the same address: so all goes through one buffer of the dialer's, in
 * pieces of one record. */
static CURLcode curl_send(struct conn *c, const char *p, size_t n, size_t *ret)
{
	if (c->tls) {
		n = c->refused != 0 ? c->refused : n < CONN_OUT_CHUNK ? n : CONN_OUT_CHUNK;
		memcpy(c->d->out, p, n);
		p = c->d->out;
	}
	CURLcode r = curl_easy_send(c->easy, p, n, ret);
	if (c->secret && c->tls)
		explicit_bzero(c->d->out, n);
	if (r == CURLE_OK && *ret == 0)
		r = CURLE_AGAIN;
	c->refused = c->tls && r == CURLE_AGAIN ? n : 0;
	return r;
}

CURLcode conn_io_send(struct conn *c, const char *p, size_t n, size_t *ret)
{
	*ret = 0;
	switch (c->way) {
	case CONN_WAY_SOCKET:
		return socket_result(c, send(c->fd, p, n, MSG_NOSIGNAL), CURLE_SEND_ERROR, ret);
	case CONN_WAY_TLS:
		forget_errors();
		return tls_result(c, SSL_write(c->ssl, p, n < INT_MAX ? (int)n : INT_MAX), CURLE_SEND_ERROR, ret);
	case CONN_WAY_CURL:
		break;
	}
	return curl_send(c, p, n, ret);
}

const char *conn_describe(const struct conn *c, char *text, size_t size)
{
	if (!c->tls)
		snprintf(text, size, "plaintext");
	else if (c->ssl == NULL)
		snprintf(text, size, "TLS");
	else
		snprintf(text, size, "%s%s", SSL_get_version(c->ssl), SSL_session_reused(c->ssl) ? ", resumed" : "");
	return text;
}
