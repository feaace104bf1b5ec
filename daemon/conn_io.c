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

/*
 * TLS takes a record in two steps, and servers send small ones. So what the socket has is read by the buffer, which the dialer has one of: whose
 * bytes are still in it when another connection reads gets them to keep.
 */
static void sealed_keep(struct dialer *d)
{
	struct conn *of = d->sealed_of;
	if (of != NULL && d->sealed.n > 0 && buf_append(&of->sealed, d->sealed) != 0) {
		/* What follows will make no sense; this is why. */
		of->broken = CONN_FAULT_MEMORY;
		of->write_error = CURLE_OUT_OF_MEMORY;
	}
	d->sealed_of = NULL;
	d->sealed = SPAN_NONE;
}

/* What came and was not decrypted yet; n 0: the end, < 0: see errno. */
static ssize_t sealed_more(struct conn *c, struct span *ret)
{
	struct dialer *d = c->d;
	if (d->sealed_of != c)
		sealed_keep(d);
	if (c->sealed.n > 0) {
		*ret = buf_span(&c->sealed);
	} else {
		if (d->sealed.n == 0) {
			ssize_t n = recv(c->fd, d->sealed_in, sizeof(d->sealed_in), 0);
			if (n <= 0)
				return n;
			d->sealed_of = c;
			d->sealed = span_of(d->sealed_in, (size_t)n);
		}
		*ret = d->sealed;
	}
	return (ssize_t)ret->n;
}

static int bio_read(BIO *b, char *to, int size)
{
	struct conn *c = BIO_get_data(b);
	struct span s;
	BIO_clear_retry_flags(b);
	ssize_t n = sealed_more(c, &s);
	if (n <= 0) {
		if (n < 0 && BIO_sock_should_retry((int)n))
			BIO_set_retry_read(b);
		return (int)n;
	}
	if (n > size)
		n = size;
	memcpy(to, s.p, (size_t)n);
	if (c->sealed.n == 0) {
		c->d->sealed = span_from(s, (size_t)n);
	} else {
		buf_consume(&c->sealed, (size_t)n);
		if (c->sealed.n == 0)
			buf_done(&c->sealed);
	}
	return (int)n;
}

static int bio_write(BIO *b, const char *from, int size)
{
	struct conn *c = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t n = send(c->fd, from, (size_t)size, MSG_NOSIGNAL);
	if (n < 0 && BIO_sock_should_retry((int)n))
		BIO_set_retry_write(b);
	return (int)n;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return what == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct conn *c)
{
	static BIO_METHOD *method;
	if (method == NULL) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
		if (method == NULL)
			return NULL;
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	BIO *b = BIO_new(method);
	if (b != NULL) {
		BIO_set_data(b, c);
		BIO_set_init(b, 1);
	}
	return b;
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
	/* libcurl's own way to the socket leads through its state, which is there only during its calls. */
	SSL *tls = tls_of(c->easy);
	BIO *b = tls != NULL ? bio_new(c) : NULL;
	if (b == NULL)
		return;
	SSL_set_bio(tls, b, b);
	/* What a socket did not take is offered again with what has come behind it, wherever that lies now. */
	SSL_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_set_options(tls, SSL_OP_NO_RENEGOTIATION);
	c->ssl = tls;
	c->way = CONN_WAY_TLS;
}

void conn_io_end(struct conn *c)
{
	/* libcurl says goodbye, perhaps when we are gone. */
	if (c->ssl != NULL)
		SSL_set_fd(c->ssl, c->fd);
	c->ssl = NULL;
	if (c->d->sealed_of == c) {
		c->d->sealed_of = NULL;
		c->d->sealed = SPAN_NONE;
	}
	buf_done(&c->sealed);
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
