#include "conn_p.h"
#include "err.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void on_poll(uv_poll_t *h, int status, int events);

const char *conn_where(const struct conn *c, char text[CONN_WHERE])
{
	bool v6 = strchr(c->ep->host, ':') != NULL;
	snprintf(text, CONN_WHERE, "%s%s%s:%u", v6 ? "[" : "", c->ep->host, v6 ? "]" : "", (unsigned)c->ep->port);
	return text;
}

static void on_close_free(uv_handle_t *h)
{
	free(h);
}

static void out_done(struct conn *c)
{
	if (c->secret)
		buf_wipe(&c->out);
	else
		buf_done(&c->out);
	c->secret = false;
}

void conn_drop(struct conn *c)
{
	c->state = CONN_OVER;
	if (c->queued) {
		TAILQ_REMOVE(&c->d->queue, c, entry);
		c->queued = false;
	}
	if (c->unsent) {
		TAILQ_REMOVE(&c->d->unsent, c, unsent_entry);
		c->unsent = false;
	}
	/* Before curl closes the descriptor under it. */
	if (c->poll != NULL)
		uv_close((uv_handle_t *)c->poll, on_close_free);
	c->poll = NULL;
	conn_io_end(c);
	if (c->easy != NULL) {
		curl_multi_remove_handle(c->d->multi, c->easy);
		curl_easy_cleanup(c->easy);
	}
	c->easy = NULL;
	dialing_free(&c->dialing);
	buf_done(&c->in);
	out_done(c);
}

void conn_close(struct conn **c)
{
	if (c == NULL || *c == NULL)
		return;
	struct conn *x = *c;
	*c = NULL;
	/* The bytes that the owner holds in its hands stay until the funnel returns. */
	struct buf lent = x->in;
	if (x->busy)
		buf_init(&x->in, lent.cap);
	conn_drop(x);
	x->d->conns--;
	if (x->busy) {
		x->in = lent;
		x->closed = true;
	} else {
		free(x);
	}
}

bool conn_tell(struct conn *c, const struct conn_event *ev)
{
	assert(!c->busy);
	c->busy = true;
	c->funnel(c->owner, ev);
	c->busy = false;
	if (!c->closed)
		return true;
	buf_done(&c->in);
	free(c);
	return false;
}

bool conn_tell_down(struct conn *c, const struct conn_failure *failure)
{
	conn_drop(c);
	return conn_tell(c, &(struct conn_event){ .kind = CONN_DOWN, .failure = failure });
}

/* Waits for what is wanted now. A poll that fails shows as a broken connection. */
static void poll_update(struct conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	int want = (c->paused || c->write_error != CURLE_OK ? 0 : UV_READABLE) | ((c->out.n > 0 && !c->unsent) || c->crossed ? UV_WRITABLE : 0);
	if (want == c->polled)
		return;
	int err = want != 0 ? uv_poll_start(c->poll, want, on_poll) : uv_poll_stop(c->poll);
	assert(err == 0);
	(void)err;
	c->polled = want;
}

static bool tell_broken(struct conn *c)
{
	struct conn_failure f;
	char where[CONN_WHERE];
	conn_where(c, where);
	switch (c->broken) {
	case CONN_FAULT_MEMORY:
		conn_failure_set(&f, c->broken, CODE_NONE, "out of memory for the connection to %s", where);
		break;
	case CONN_FAULT_RESOLVE:
		conn_failure_set(&f, c->broken, CODE_NONE, "the host name %s has no address, or no name server answers (%s)", c->ep->host,
			c->why);
		break;
	case CONN_FAULT_FILES:
	case CONN_FAULT_CONNECT:
		conn_failure_set(&f, c->broken, CODE_NONE, "cannot connect to %s: %s", where, c->why);
		break;
	default:
		if (c->write_error != CURLE_OK)
			conn_failure_set(&f, c->broken, CODE_NONE, "the connection to %s was lost: %s", where,
				c->why != NULL ? c->why : curl_easy_strerror(c->write_error));
		else
			conn_failure_set(&f, c->broken, CODE_NONE, "%s closed the connection", where);
	}
	return conn_tell_down(c, &f);
}

static const char *last_reason(struct conn *c)
{
	if (c->io_reason != NULL)
		return c->io_reason;
	if (c->io_errno != 0)
		return strerror(c->io_errno);
	long e = 0;
	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &e);
	/* Others may be left over from an address that was tried before. */
	return e == ECONNRESET || e == EPIPE || e == ETIMEDOUT ? strerror((int)e) : NULL;
}

static void lose(struct conn *c, CURLcode why)
{
	c->broken = why == CURLE_OUT_OF_MEMORY ? CONN_FAULT_MEMORY : CONN_FAULT_LOST;
	c->write_error = why;
	c->why = why == CURLE_RECV_ERROR || why == CURLE_SEND_ERROR ? last_reason(c) : NULL;
}

void conn_open(struct conn *c, const struct resp_caps *caps)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	c->poll = calloc(1, sizeof(*c->poll));
	if (c->poll == NULL || curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD ||
	    uv_poll_init_socket(loop_uv(c->d->loop), c->poll, fd) != 0) {
		c->broken = c->poll == NULL ? CONN_FAULT_MEMORY : CONN_FAULT_LOST;
		free(c->poll);
		c->poll = NULL;
		tell_broken(c);
		return;
	}
	c->poll->data = c;
	c->state = CONN_OPEN;
	/* A connection that began in the clear may have become TLS. */
	curl_off_t handshake = 0;
	curl_easy_getinfo(c->easy, CURLINFO_APPCONNECT_TIME_T, &handshake);
	c->tls = c->tls || !c->ep->allow_plaintext || handshake > 0;
	conn_io_begin(c, (int)fd);
	/* TLS may hold bytes that the socket no longer tells of. */
	conn_queue(c);
	if (conn_tell(c, &(struct conn_event){ .kind = CONN_UP, .caps = caps }))
		poll_update(c);
}

enum fill { FILL_MORE, FILL_DRY, FILL_END };

/* Reads until the buffer is full, the socket dry, or the connection at its end. */
static enum fill fill(struct conn *c, size_t *ret)
{
	size_t have = 0;
	enum fill end = FILL_MORE;
	while (have < CONN_IN_CHUNK) {
		size_t n = 0;
		CURLcode r = conn_io_recv(c, c->d->in + have, CONN_IN_CHUNK - have, &n);
		if (r == CURLE_AGAIN) {
			end = FILL_DRY;
			break;
		}
		if (r != CURLE_OK || n == 0) {
			if (c->write_error == CURLE_OK)
				lose(c, r);
			end = FILL_END;
			break;
		}
		have += n;
	}
	c->bytes_in += have;
	*ret = have;
	return end;
}

/* What the owner leaves is kept, and reading stops. False: the conn is gone. */
static bool tell_data(struct conn *c, struct span bytes)
{
	struct span left = bytes;
	if (!conn_tell(c, &(struct conn_event){ .kind = CONN_DATA, .data = &left }))
		return false;
	if (c->state != CONN_OPEN || left.n == 0)
		return true;
	assert(left.n <= bytes.n);
	/* Resumed from within: it comes again at the next turn. */
	if (!c->queued)
		c->paused = c->held = true;
	if (buf_append(&c->in, left) != 0)
		lose(c, CURLE_OUT_OF_MEMORY);
	return true;
}

/* Hands out what was kept. False: the conn is gone, or down. */
static bool tell_kept(struct conn *c)
{
	if (c->in.n == 0)
		return true;
	c->held = false;
	struct span left = buf_span(&c->in);
	if (!conn_tell(c, &(struct conn_event){ .kind = CONN_DATA, .data = &left }))
		return false;
	if (c->state != CONN_OPEN)
		return false;
	assert(left.n <= c->in.n);
	buf_consume(&c->in, c->in.n - left.n);
	if (c->in.n == 0) {
		buf_done(&c->in);
	} else if (!c->queued) {
		c->paused = c->held = true;
	}
	return true;
}

static void conn_read(struct conn *c)
{
	if (!c->paused && !tell_kept(c))
		return;
	for (size_t total = 0; !c->paused && c->in.n == 0;) {
		size_t n;
		enum fill end = fill(c, &n);
		bool held = c->held;
		c->held = false;
		if ((n > 0 || held) && !tell_data(c, span_of(c->d->in, n)))
			return;
		if (c->state != CONN_OPEN)
			return;
		if (c->in.n > 0 || c->paused)
			break;
		if (end == FILL_END || (end == FILL_DRY && c->write_error != CURLE_OK)) {
			tell_broken(c);
			return;
		}
		total += n;
		if (end == FILL_DRY)
			break;
		if (total >= CONN_TURN_BYTES) {
			conn_queue(c);
			break;
		}
	}
	poll_update(c);
}

void conn_turn(struct conn *c)
{
	if (c->state == CONN_BROKEN)
		tell_broken(c);
	else if (c->state == CONN_OPEN)
		conn_read(c);
}

/* Sends from the front of `bytes` until the socket is full; tells how many went. */
static size_t conn_send(struct conn *c, struct span bytes)
{
	size_t sent = 0;
	while (sent < bytes.n && c->write_error == CURLE_OK) {
		size_t n = 0;
		CURLcode r = conn_io_send(c, bytes.p + sent, bytes.n - sent, &n);
		if (r == CURLE_AGAIN)
			break;
		if (r != CURLE_OK) {
			lose(c, r);
			break;
		}
		sent += n;
	}
	c->bytes_out += sent;
	return sent;
}

/* The reading side first tells what the server said before it went away. */
static void write_failed(struct conn *c)
{
	out_done(c);
	conn_queue(c);
}

int conn_write(struct conn *c, struct span bytes)
{
	if (c->state != CONN_OPEN || c->write_error != CURLE_OK)
		return 0;
	/* Small pieces wait for the others of this turn: a command and the messages behind it go in one record. What makes more than a record
	 * goes at once, and only what the socket does not take is copied. */
	bool small = c->out.n + bytes.n < CONN_OUT_CHUNK;
	if (!small && c->out.n > 0 && c->out.n < CONN_OUT_CHUNK)
		buf_consume(&c->out, conn_send(c, buf_span(&c->out)));
	size_t sent = !small && c->out.n == 0 ? conn_send(c, bytes) : 0;
	if (c->write_error == CURLE_OK && sent < bytes.n && buf_append(&c->out, span_from(bytes, sent)) != 0)
		lose(c, CURLE_OUT_OF_MEMORY);
	if (c->out.n > CONN_HIGH_WATER)
		c->full = true;
	if (c->write_error != CURLE_OK)
		write_failed(c);
	else if (small && (c->polled & UV_WRITABLE) == 0)
		conn_send_later(c);
	poll_update(c);
	return c->broken == CONN_FAULT_MEMORY ? PROTO_ERR_NOMEM : 0;
}

void conn_flush(struct conn *c)
{
	if (c->state == CONN_OPEN && c->write_error == CURLE_OK && c->out.n > 0)
		buf_consume(&c->out, conn_send(c, buf_span(&c->out)));
}

/* False: the conn is gone. */
static bool send_pending(struct conn *c)
{
	buf_consume(&c->out, conn_send(c, buf_span(&c->out)));
	if (c->write_error != CURLE_OK) {
		write_failed(c);
		return true;
	}
	if (c->out.n == 0)
		out_done(c);
	if (!c->full || c->out.n > CONN_LOW_WATER)
		return true;
	c->full = false;
	return conn_tell(c, &(struct conn_event){ .kind = CONN_DRAINED });
}

void conn_send_unsent(struct conn *c)
{
	TAILQ_REMOVE(&c->d->unsent, c, unsent_entry);
	c->unsent = false;
	if (c->state == CONN_OPEN && c->out.n > 0 && !send_pending(c))
		return;
	poll_update(c);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct conn *c = h->data;
	/* An error of the socket shows when it is used. */
	if (status < 0)
		events = c->polled;
	/* In the queue it has its turn, whatever the order in which the kernel tells of those that are ready. */
	if ((events & UV_READABLE) != 0 && loop_turn(c->d->loop) > CONN_TURN_US) {
		conn_queue(c);
		events &= ~UV_READABLE;
	}
	if ((events & UV_WRITABLE) != 0 && c->out.n > 0 && !send_pending(c))
		return;
	if (c->state != CONN_OPEN)
		return;
	bool readable = (events & UV_READABLE) != 0 || (c->crossed && !c->paused);
	c->crossed = false;
	if (readable && !c->queued)
		conn_read(c);
	else
		poll_update(c);
}

void conn_keep_secret(struct conn *c)
{
	c->secret = true;
}

size_t conn_pending(const struct conn *c)
{
	return c->out.n;
}

bool conn_is_full(const struct conn *c)
{
	return c->full;
}

void conn_pause(struct conn *c)
{
	c->paused = c->held = true;
	poll_update(c);
}

void conn_resume(struct conn *c)
{
	/* From within the funnel it is about the bytes that the owner is going to leave. */
	if (!c->paused && !c->busy)
		return;
	c->paused = false;
	if (c->state != CONN_OPEN)
		return;
	conn_queue(c);
	poll_update(c);
}

int conn_fd(const struct conn *c)
{
	return c->state == CONN_OPEN ? c->fd : -1;
}

uint64_t conn_bytes_in(const struct conn *c)
{
	return c->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *c)
{
	return c->bytes_out;
}
