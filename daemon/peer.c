#include "peer_p.h"
#include "again.h"
#include "err.h"
#include "log.h"
#include "squeeze.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void peer_drop(struct peer *p)
{
	p->state = PEER_OVER;
	if (p->conn != NULL) {
		p->bytes_in = conn_bytes_in(p->conn);
		p->bytes_out = conn_bytes_out(p->conn);
	}
	gauge_leave(&p->gauge);
	squeeze_stop(p->squeeze);
	conn_close(&p->conn);
	timer_free(&p->timer);
}

static void peer_free(struct peer *p)
{
	session_free(&p->session);
	squeeze_free(&p->squeeze);
	free(p->again);
	free(p);
}

void peer_close(struct peer **p)
{
	if (p == NULL || *p == NULL)
		return;
	struct peer *x = *p;
	*p = NULL;
	peer_drop(x);
	if (x->busy)
		x->closed = true;
	else
		peer_free(x);
}

/* --- telling; the callers below stand between peer_enter() and peer_leave(), so that the memory stays --- */

static bool peer_enter(struct peer *p)
{
	bool outer = !p->busy;
	p->busy = true;
	return outer;
}

static void peer_leave(struct peer *p, bool outer)
{
	if (!outer)
		return;
	p->busy = false;
	if (p->closed)
		peer_free(p);
}

void peer_tell(struct peer *p, const struct peer_event *ev)
{
	p->funnel(p->owner, ev);
}

/* Somebody wants in, and this connection is none: a new one at the next turn. */
static void dial_instead(struct peer *p, const struct conn_failure *why)
{
	struct log_context ctx = { .server = p->ep->server, .side = (int)p->side + 1 };
	log_event(LOG_DIAL, &ctx, "%s: dialling instead: %s", p->ep->server, why->text);
	if (why->fault == CONN_FAULT_GARBAGE)
		*p->spoilt = true;
	conn_close(&p->conn);
	timer_set(p->timer, 0);
}

static void tell_down(struct peer *p, const struct conn_failure *failure)
{
	struct conn_failure f = *failure;
	peer_compress_down(p);
	if (p->state == PEER_AWAY && p->again->login != NULL) {
		dial_instead(p, &f);
		return;
	}
	/* The server's words say more than the end of the connection that follows them. */
	if (p->parting.text[0] != '\0' && f.fault != CONN_FAULT_MEMORY)
		f = p->parting;
	peer_drop(p);
	peer_tell(p, &(struct peer_event){ .kind = PEER_DOWN, .failure = &f });
}

void peer_fail(struct peer *p, enum conn_fault fault, const char *what)
{
	struct conn_failure f = { .fault = fault, .code = CODE_NONE };
	snprintf(f.text, sizeof(f.text), "%s:%u: %s", p->ep->host, (unsigned)p->ep->port, what);
	tell_down(p, &f);
}

static void fail_session(struct peer *p, int err)
{
	if (err == PROTO_ERR_NOMEM) {
		peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
		return;
	}
	const char *what = session_error(p->session);
	peer_fail(p, CONN_FAULT_GARBAGE, what[0] != '\0' ? what : proto_strerror(err));
}

/* --- the log of the dialogue --- */

static bool wire_is_logged(void)
{
	return log_get_level() >= LOG_LEVEL_DEBUG;
}

static void log_wire(const struct peer *p, const char *arrow, struct span what)
{
	struct log_context ctx = { .server = p->ep->server, .side = (int)p->side + 1 };
	log_event(LOG_WIRE, &ctx, "%s %s %.*s", p->ep->server, arrow, SPAN_ARG(what));
}

static void log_commands(struct peer *p)
{
	struct buf text;
	buf_init(&text, 4096);
	while (session_describe(p->session, p->logged + 1, &text) == 0) {
		log_wire(p, ">", buf_span(&text));
		p->logged++;
		buf_reset(&text);
	}
	buf_done(&text);
}

static void log_done(struct peer *p, const struct session_event *ev)
{
	/* Debug may be switched on later: what is done then is not looked for any more. */
	if (p->logged < ev->tag)
		p->logged = ev->tag;
	if (!wire_is_logged())
		return;
	char text[600];
	const struct resp_status *s = &ev->resp.status;
	int n = snprintf(text, sizeof(text), "%u %s: %s %.*s %.*s", (unsigned)ev->tag, command_name(ev->command), status_name(s->status),
		SPAN_ARG(span_first(s->code_name, 64)), SPAN_ARG(span_first(s->text, 256)));
	log_wire(p, "<", span_of(text, n > 0 && (size_t)n < sizeof(text) ? (size_t)n : 0));
}

/* --- progress --- */

static void progress(struct peer *p)
{
	p->last = loop_now(p->loop);
	p->moved = 0;
}

static void move(struct peer *p, uint64_t bytes)
{
	p->moved += bytes;
	if (p->moved > 0 && p->moved >= p->limits.command_timeout / 1000 * PEER_LEAST)
		progress(p);
}

/* --- what goes out --- */

static int put(struct peer *p, struct span bytes)
{
	int err = p->squeeze != NULL ? squeeze_write(p->squeeze, bytes) : conn_write(p->conn, bytes);
	gauge_went(&p->gauge, bytes.n);
	progress(p);
	p->out_seen = conn_bytes_out(p->conn) + conn_pending(p->conn);
	return err;
}

static void flush(struct peer *p)
{
	if (p->conn == NULL || p->session == NULL)
		return;
	if (wire_is_logged())
		log_commands(p);
	for (;;) {
		struct span out = session_output(p->session);
		if (out.n == 0)
			return;
		/* What goes wrong in sending comes as CONN_DOWN. */
		put(p, out);
		session_sent(p->session, out.n);
	}
}

bool peer_say(struct peer *p, enum command c)
{
	uint32_t tag;
	if (session_simple(p->session, c, &tag) != 0)
		return false;
	p->own = tag;
	flush(p);
	return true;
}

/* --- what comes in --- */

static void keep_parting(struct peer *p, const struct resp_status *s)
{
	struct conn_failure *f = &p->parting;
	*f = (struct conn_failure){ .fault = CONN_FAULT_LOST, .code = s->code, .bye = true };
	if (s->code == CODE_NONE)
		snprintf(f->text, sizeof(f->text), "BYE %.*s", SPAN_ARG(span_first(s->text, 400)));
	else
		snprintf(f->text, sizeof(f->text), "BYE [%.*s] %.*s", SPAN_ARG(span_first(s->code_name, 64)),
			SPAN_ARG(span_first(s->text, 400)));
}

static bool is_bye(const struct session_event *ev)
{
	return ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_STATUS && ev->resp.status.status == STATUS_BYE;
}

/* The end of the peer's own command. */
static void own_done(struct peer *p, const struct session_event *ev)
{
	p->own = 0;
	if (ev->command == CMD_COMPRESS) {
		peer_compress_done(p, &ev->resp.status);
		return;
	}
	if (ev->command == CMD_CAPABILITY && p->rtt == 0)
		p->rtt = loop_now(p->loop) - p->asked;
	if (ev->command == CMD_CAPABILITY && (!p->proved || ev->resp.status.status != STATUS_OK)) {
		peer_fail(p, CONN_FAULT_GARBAGE, "the server does not answer CAPABILITY");
		return;
	}
	peer_compress_consider(p);
	if (p->state == PEER_PROVING) {
		p->state = PEER_READY;
		peer_tell(p, &(struct peer_event){ .kind = PEER_UP });
	}
}

/* True when the event is the peer's own business alone. */
static bool is_own(struct peer *p, struct session_event *ev)
{
	bool answer = p->own != 0 && ev->tag == p->own;
	if (is_bye(ev))
		keep_parting(p, &ev->resp.status);
	if (ev->kind == EVENT_RESPONSE && answer && ev->resp.kind == RESP_CAPABILITY)
		p->proved = true;
	if (answer && (ev->kind == EVENT_DONE || (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_CAPABILITY)))
		return true;
	if (answer) {
		/* What a server says on its own account while it works on our NOOP belongs to nobody's command. */
		ev->tag = 0;
		ev->user = 0;
	}
	return p->state != PEER_READY;
}

/* --- one user after the other --- */

static void enter(struct peer *p)
{
	struct conn_failure f = { .fault = CONN_FAULT_LOST, .text = "it is closing" };
	conn_keep_secret(p->conn);
	p->proved = false;
	if (again_enter(p->again, p->session, p->ep) != 0)
		tell_down(p, &f);
	else
		flush(p);
}

static void entered(struct peer *p, const struct session_event *ev)
{
	free(p->again);
	p->again = NULL;
	p->state = PEER_PROVING;
	progress(p);
	if (!peer_say(p, CMD_CAPABILITY)) {
		peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
		return;
	}
	if (ev->resp.status.code != CODE_CAPABILITY)
		return;
	p->state = PEER_READY;
	peer_tell(p, &(struct peer_event){ .kind = PEER_UP });
}

static void take_away_event(struct peer *p, const struct session_event *ev)
{
	struct conn_failure f;
	if (is_bye(ev))
		keep_parting(p, &ev->resp.status);
	switch (again_event(p->again, ev, p->ep, &f)) {
	case AGAIN_GOES_ON:
		break;
	case AGAIN_FREE:
		if (p->again->login != NULL)
			enter(p);
		else
			peer_tell(p, &(struct peer_event){ .kind = PEER_VACANT });
		break;
	case AGAIN_IN:
		entered(p, ev);
		break;
	case AGAIN_REFUSED:
		/* A BYE stands in its words. */
		p->again->login = NULL;
		p->parting.text[0] = '\0';
		tell_down(p, &f);
		break;
	case AGAIN_USELESS:
		tell_down(p, &f);
		break;
	}
}

static bool is_gone(const struct peer *p)
{
	return p->state == PEER_OVER || p->conn == NULL;
}

static void take_data(struct peer *p, struct span *data)
{
	size_t budget = PEER_TURN_BYTES;
	if (p->squeeze == NULL)
		gauge_came(&p->gauge, data->n);
	move(p, data->n);
	if (p->drained && !p->paused) {
		p->drained = false;
		peer_tell(p, &(struct peer_event){ .kind = PEER_DRAINED });
	}
	while (!is_gone(p) && !p->paused) {
		struct session_event ev = { 0 };
		int err = session_next(p->session, p->squeeze != NULL ? squeeze_plain(p->squeeze) : data, &ev);
		if (err != 0) {
			fail_session(p, err);
			return;
		}
		if (ev.kind == EVENT_NONE) {
			if (!peer_compress_refill(p, data, &budget))
				break;
			continue;
		}
		if (ev.kind != EVENT_BODY_DATA)
			progress(p);
		if (ev.kind == EVENT_DONE)
			log_done(p, &ev);
		if (p->state == PEER_AWAY) {
			take_away_event(p, &ev);
			continue;
		}
		bool own_end = ev.kind == EVENT_DONE && p->own != 0 && ev.tag == p->own;
		bool own = is_own(p, &ev);
		if (own_end)
			own_done(p, &ev);
		else if (!own)
			peer_tell(p, &(struct peer_event){ .kind = PEER_SESSION, .session = &ev });
	}
	if (is_gone(p))
		return;
	flush(p);
	/* Else the answers to what is in flight may still come (RFC 9051 section 7.1.5). */
	if (!p->paused && session_has_bye(p->session) && session_inflight(p->session) == 0)
		tell_down(p, &p->parting);
}

static void on_timer(void *arg);

static void log_up(const struct peer *p)
{
	struct log_context ctx = { .server = p->ep->server, .side = (int)p->side + 1 };
	char text[64];
	log_event(LOG_DIAL, &ctx, "logged in to server %s (%s)", p->ep->server, conn_describe(p->conn, text, sizeof(text)));
}

static void on_up(struct peer *p, const struct resp_caps *caps)
{
	log_up(p);
	p->session = session_new(NULL);
	p->timer = timer_new(p->loop, on_timer, p);
	if (p->session == NULL || p->timer == NULL) {
		peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
		return;
	}
	progress(p);
	timer_set(p->timer, p->limits.command_timeout < p->limits.keepalive ? p->limits.command_timeout : p->limits.keepalive);
	bool known = caps->bits != 0;
	if (known)
		session_hint_caps(p->session, caps);
	p->state = PEER_PROVING;
	p->asked = loop_now(p->loop);
	if (!peer_say(p, CMD_CAPABILITY)) {
		peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
		return;
	}
	if (!known)
		return;
	/* The proof is still to come, but the owner's commands may go behind the question. */
	p->state = PEER_READY;
	peer_tell(p, &(struct peer_event){ .kind = PEER_UP });
	if (p->state != PEER_OVER)
		flush(p);
}

static void on_conn(void *owner, const struct conn_event *ev)
{
	struct peer *p = owner;
	bool outer = peer_enter(p);
	switch (ev->kind) {
	case CONN_UP:
		on_up(p, ev->caps);
		break;
	case CONN_DATA:
		take_data(p, ev->data);
		break;
	case CONN_DRAINED:
		progress(p);
		if (p->squeeze != NULL)
			squeeze_drained(p->squeeze);
		if (p->paused)
			p->drained = true;
		else if (p->state == PEER_READY)
			peer_tell(p, &(struct peer_event){ .kind = PEER_DRAINED });
		if (p->state != PEER_OVER)
			flush(p);
		break;
	case CONN_DOWN:
		tell_down(p, ev->failure);
		break;
	}
	peer_leave(p, outer);
}

/* --- the deadline --- */

/* The server owes nothing while it is us who have to go on. */
static bool is_waiting(const struct peer *p)
{
	if (session_inflight(p->session) == 0)
		return false;
	return session_body_due(p->session) == 0 || conn_pending(p->conn) > 0;
}

/* The timer is not touched by what comes and goes. So it looks again no later than any deadline could be that begins now: a command
 * may be given, or answered, at any moment. */
static void timer_again(struct peer *p, uint64_t now)
{
	uint64_t command = p->limits.command_timeout, idle = p->limits.keepalive;
	uint64_t end = p->last + (is_waiting(p) ? command : idle);
	uint64_t latest = now + (command < idle ? command : idle);
	if (end > latest)
		end = latest;
	timer_set(p->timer, end > now ? end - now : 1);
}

/* In place of a connection that was of no use. */
static void redial(struct peer *p)
{
	const struct credentials *login = p->again->login;
	free(p->again);
	p->again = NULL;
	session_free(&p->session);
	timer_free(&p->timer);
	p->state = PEER_DIALING;
	p->own = p->logged = 0;
	p->proved = p->drained = false;
	p->out_seen = 0;
	p->parting.text[0] = '\0';
	peer_compress_init(p);
	p->conn = conn_dial(p->dialer, p->ep, login, on_conn, p);
	if (p->conn == NULL)
		peer_fail(p, CONN_FAULT_MEMORY, "out of memory");
}

static void on_away_timer(struct peer *p)
{
	uint64_t now = loop_now(p->loop), end = p->again_since + p->ep->login_timeout;
	if (p->conn == NULL) {
		redial(p);
		return;
	}
	if (p->again->step == AGAIN_VACANT)
		return;
	if (now >= end)
		peer_fail(p, CONN_FAULT_TIMEOUT, "no answer between two users");
	else
		timer_set(p->timer, end - now);
}

static void on_timer(void *arg)
{
	struct peer *p = arg;
	bool outer = peer_enter(p);
	if (p->state == PEER_AWAY) {
		on_away_timer(p);
		peer_leave(p, outer);
		return;
	}
	uint64_t now = loop_now(p->loop), out = conn_bytes_out(p->conn);
	/* What had not left when it was written has, at some time, or is leaving. */
	if (p->paused || out < p->out_seen)
		progress(p);
	else
		move(p, out - p->out_seen);
	p->out_seen = out;
	if (is_waiting(p)) {
		if (now >= p->last + p->limits.command_timeout) {
			char text[96];
			double time = (double)p->limits.command_timeout / 1000;
			if (p->moved == 0)
				snprintf(text, sizeof(text), "no answer within %g s", time);
			else
				snprintf(text, sizeof(text), "no more than %llu bytes within %g s", (unsigned long long)p->moved, time);
			peer_fail(p, CONN_FAULT_TIMEOUT, text);
		}
	} else if (session_inflight(p->session) == 0 && now >= p->last + p->limits.keepalive) {
		peer_say(p, CMD_NOOP);
		progress(p);
	}
	if (p->state != PEER_OVER)
		timer_again(p, now);
	peer_leave(p, outer);
}

/* --- the owner's side --- */

struct peer *peer_dial(struct dialer *d, enum side side, const struct endpoint *ep, const struct credentials *login,
	const struct peer_limits *limits, peer_funnel *funnel, void *owner)
{
	struct peer *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->dialer = d;
	p->loop = dialer_loop(d);
	p->ep = ep;
	p->limits = *limits;
	p->funnel = funnel;
	p->owner = owner;
	p->side = side;
	peer_compress_init(p);
	p->conn = conn_dial(d, ep, login, on_conn, p);
	if (p->conn == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

bool peer_may_vacate(const struct peer *p)
{
	/* Compression ends with the user, but not at a place in the stream that can be told for sure. */
	return p->state == PEER_READY && p->ep->admin_user != NULL && p->squeeze == NULL && !p->paused && !p->drained && !conn_is_full(p->conn) &&
	       again_may_leave(p->session);
}

bool peer_vacate(struct peer *p, peer_funnel *funnel, void *owner)
{
	struct again *again = calloc(1, sizeof(*again));
	assert(peer_may_vacate(p));
	if (again == NULL || again_leave(again, p->session) != 0) {
		free(again);
		return false;
	}
	peer_lend(p, funnel, owner);
	gauge_leave(&p->gauge);
	p->again = again;
	p->state = PEER_AWAY;
	p->again_since = loop_now(p->loop);
	timer_set(p->timer, p->ep->login_timeout);
	flush(p);
	return true;
}

void peer_occupy(struct peer *p, enum side side, const struct credentials *login, const struct peer_limits *limits, peer_funnel *funnel,
	void *owner, bool *spoilt)
{
	assert(p->state == PEER_AWAY && p->again->login == NULL);
	peer_lend(p, funnel, owner);
	p->side = side;
	p->limits = *limits;
	p->spoilt = spoilt;
	p->again->login = login;
	p->again_since = loop_now(p->loop);
	timer_set(p->timer, p->ep->login_timeout);
	if (p->again->step == AGAIN_VACANT)
		enter(p);
}

bool peer_is_vacant(const struct peer *p)
{
	return p->state == PEER_AWAY && p->again->step == AGAIN_VACANT && p->conn != NULL;
}

void peer_lend(struct peer *p, peer_funnel *funnel, void *owner)
{
	p->funnel = funnel;
	p->owner = owner;
}

struct session *peer_session(struct peer *p)
{
	return p->session;
}

const struct endpoint *peer_endpoint(const struct peer *p)
{
	return p->ep;
}

enum side peer_side(const struct peer *p)
{
	return p->side;
}

bool peer_is_up(const struct peer *p)
{
	return p->state == PEER_READY;
}

bool peer_has(const struct peer *p, enum cap cap)
{
	return p->session != NULL && caps_has(session_caps(p->session), cap);
}

void peer_flush(struct peer *p)
{
	flush(p);
}

void peer_flush_now(struct peer *p)
{
	flush(p);
	if (p->squeeze != NULL)
		squeeze_flush(p->squeeze);
	if (p->conn != NULL)
		conn_flush(p->conn);
}

int peer_body(struct peer *p, struct span bytes, size_t *ret)
{
	*ret = 0;
	if (p->conn == NULL || p->session == NULL)
		return PROTO_ERR_STATE;
	/* The announcement first. */
	flush(p);
	uint64_t due = session_body_due(p->session);
	if (bytes.n > due)
		bytes.n = (size_t)due;
	if (bytes.n == 0)
		return 0;
	int err = put(p, bytes);
	if (err != 0)
		return err;
	session_body_sent(p->session, bytes.n);
	*ret = bytes.n;
	flush(p);
	return 0;
}

bool peer_is_full(const struct peer *p)
{
	return p->conn != NULL && conn_is_full(p->conn);
}

void peer_pause(struct peer *p)
{
	p->paused = true;
	gauge_pause(&p->gauge, true);
	if (p->conn != NULL)
		conn_pause(p->conn);
}

void peer_resume(struct peer *p)
{
	if (!p->paused)
		return;
	p->paused = false;
	gauge_pause(&p->gauge, false);
	progress(p);
	if (p->conn != NULL)
		conn_resume(p->conn);
}

uint64_t peer_rtt(const struct peer *p)
{
	return p->rtt;
}

uint64_t peer_bytes_in(const struct peer *p)
{
	return p->conn != NULL ? conn_bytes_in(p->conn) : p->bytes_in;
}

uint64_t peer_bytes_out(const struct peer *p)
{
	return p->conn != NULL ? conn_bytes_out(p->conn) : p->bytes_out;
}
