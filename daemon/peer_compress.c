/* COMPRESS=DEFLATE: when it is asked for, and what changes with the answer. */
#include "peer_p.h"

#include "err.h"
#include "log.h"
#include "squeeze.h"

static void say(const struct peer *p, const char *what, struct span words)
{
	struct log_context ctx = { .server = p->ep->server, .side = (int)p->side + 1 };
	log_event(LOG_COMPRESS, &ctx, "%s: %s%.*s", p->ep->server, what, SPAN_ARG(span_first(words, 200)));
}

static void ask(struct peer *p)
{
	if (!peer_has(p, CAP_COMPRESS_DEFLATE)) {
		p->compression = COMPRESSION_REFUSED;
		say(p, "the server does not offer COMPRESS=DEFLATE", SPAN_NONE);
	} else if (peer_say(p, CMD_COMPRESS)) {
		p->compression = COMPRESSION_ASKED;
	}
}

static void on_gauge(void *arg)
{
	struct peer *p = arg;
	if (p->compression != COMPRESSION_NONE)
		return;
	p->compression = COMPRESSION_WANTED;
	if (p->own == 0)
		ask(p);
}

void peer_compress_init(struct peer *p)
{
	p->compression = p->ep->compress == COMPRESS_ON ? COMPRESSION_WANTED : COMPRESSION_NONE;
}

void peer_compress_consider(struct peer *p)
{
	if (p->compression == COMPRESSION_NONE && p->ep->compress == COMPRESS_AUTO && p->limits.gauge != NULL && p->gauge.way == NULL &&
	    peer_has(p, CAP_COMPRESS_DEFLATE) && gauge_join(p->limits.gauge, &p->gauge, p->ep, p->side, p->conn, p->session, on_gauge, p))
		p->compression = COMPRESSION_WANTED;
	if (p->compression == COMPRESSION_WANTED)
		ask(p);
}

/* Both directions change with the server's OK. */
void peer_compress_done(struct peer *p, const struct resp_status *s)
{
	if (s->status != STATUS_OK) {
		p->compression = COMPRESSION_REFUSED;
		gauge_refused(&p->gauge);
		say(p, "the server does not compress: ", s->text);
	} else {
		p->squeeze = squeeze_new(p->loop, p->conn, p->side);
		if (p->squeeze == NULL) {
			peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
			return;
		}
		p->compression = COMPRESSION_ON;
		gauge_compressed(&p->gauge);
		say(p, "compressed from here on", SPAN_NONE);
	}
	/* The session held back what came behind; a message may be due now. */
	if (p->state == PEER_READY)
		peer_tell(p, &(struct peer_event){ .kind = PEER_DRAINED });
}

void peer_compress_down(struct peer *p)
{
	/* What lies between may not bear it. With all that come later, too, the line would go on being tried for ever. */
	if (p->compression == COMPRESSION_ASKED)
		gauge_refused(&p->gauge);
}

bool peer_compress_refill(struct peer *p, struct span *data, size_t *budget)
{
	size_t n;
	if (p->squeeze == NULL)
		return false;
	int err = squeeze_next(p->squeeze, data, &n);
	if (err != 0) {
		gauge_refused(&p->gauge);
		if (err == PROTO_ERR_NOMEM)
			peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
		else
			peer_fail(p, CONN_FAULT_GARBAGE, "the server said that it compresses (COMPRESS=DEFLATE), but what it sends is something else");
		return false;
	}
	gauge_came(&p->gauge, n);
	if (n > 0 && *budget == 0) {
		/* Comes again at the next turn, be it empty. */
		conn_pause(p->conn);
		conn_resume(p->conn);
		return false;
	}
	*budget -= n < *budget ? n : *budget;
	return n > 0;
}
