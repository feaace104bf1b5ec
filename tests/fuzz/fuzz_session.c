/*
 * A session between a driver that does whatever the interface allows and a server that sends anything. Run twice, with the
 * server's bytes as they come and one by one: both must agree.
 *
 * The input: one byte of settings; then operations: one byte what (modulo 16), one byte how much or which. FEED is followed by
 * that many of the server's bytes. tests/fuzz/wire_seeds.c writes this form.
 */
#include "err.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s: %d\n", #condition, __LINE__), abort()))

struct run {
	struct session *s;
	bool by_byte, in_body;
	unsigned issued, done, taken_back;
	uint32_t last_tag;
	bool append_empty; /* an open APPEND has no message yet */
	uint64_t digest;
	uint64_t sent;
	int err;
};

static const struct span names[] = { SPAN("INBOX"), SPAN("a b"), SPAN("\xc3\xa9\n"), SPAN("[x]/\"y\\"), SPAN(""), SPAN("a\0b"), SPAN("*") };
static const struct span sets[] = { SPAN("1:*"), SPAN("1,3:5"), SPAN("1\n"), SPAN("") };
#define PICK(table, i) ((table)[(i) % (sizeof(table) / sizeof((table)[0]))])

static void tell(struct run *r, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->digest = (r->digest ^ ((const uint8_t *)p)[i]) * UINT64_C(0x100000001b3);
}

static void tell_number(struct run *r, uint64_t v)
{
	tell(r, &v, sizeof(v));
}

static void tell_span(struct run *r, struct span s)
{
	tell_number(r, s.n);
	tell(r, s.p, s.n);
}

static void check_idle(struct run *r)
{
	CHECK(session_inflight(r->s) == r->issued - r->done - r->taken_back);
	CHECK((session_error(r->s)[0] != '\0') == (r->err != 0));
	CHECK(session_output(r->s).n == 0 || session_body_due(r->s) == 0);
	CHECK((session_body_due(r->s) != 0) == (session_body_tag(r->s) != 0));
	CHECK(session_body_due(r->s) == 0 || session_is_mid_body(r->s));
}

static void take_event(struct run *r, const struct session_event *ev)
{
	CHECK(ev->tag <= r->last_tag);
	if (ev->kind == EVENT_BODY_DATA) {
		CHECK(r->in_body && ev->data.n > 0);
		tell(r, ev->data.p, ev->data.n);
		return;
	}
	tell_number(r, ev->kind * UINT64_C(1000000) + ev->tag);
	tell_number(r, ev->resp.kind);
	switch (ev->kind) {
	case EVENT_BODY_BEGIN:
		CHECK(!r->in_body && ev->resp.kind == RESP_FETCH);
		r->in_body = true;
		tell_number(r, ev->size);
		break;
	case EVENT_BODY_END:
		CHECK(ev->resp.kind == RESP_FETCH && (r->in_body || ev->resp.fetch.body_form == BODY_NIL));
		r->in_body = false;
		tell_number(r, ev->resp.fetch.uid);
		tell_span(r, ev->resp.fetch.body);
		break;
	case EVENT_DONE:
		CHECK(ev->tag != 0 && ev->resp.kind == RESP_TAGGED && !r->in_body && ev->user == ev->tag);
		r->done++;
		tell_span(r, ev->resp.status.text);
		break;
	case EVENT_GO_AHEAD:
		CHECK(ev->command == CMD_APPEND && !r->in_body);
		break;
	default:
		CHECK(ev->kind == EVENT_RESPONSE && !r->in_body);
		if (ev->resp.kind == RESP_OTHER)
			tell_span(r, ev->resp.other);
	}
}

/* The bytes of a call are gone when it has returned, and so are the memory's neighbours. */
static void feed_piece(struct run *r, const uint8_t *p, size_t n)
{
	struct session_event ev;
	size_t done = 0;

	do {
		char *copy = malloc(n - done + 1);
		struct span in = span_of(copy, n - done);

		CHECK(copy != NULL);
		memcpy(copy, p + done, n - done);
		r->err = session_next(r->s, &in, &ev);
		CHECK(in.n <= n - done);
		done = n - in.n;
		if (r->err == 0 && ev.kind != EVENT_NONE)
			take_event(r, &ev);
		free(copy);
	} while (r->err == 0 && ev.kind != EVENT_NONE);
	CHECK(r->err != 0 || done == n);
}

static void feed(struct run *r, const uint8_t *p, size_t n)
{
	if (!r->by_byte)
		feed_piece(r, p, n);
	for (size_t i = 0; r->by_byte && i < n && r->err == 0; i++)
		feed_piece(r, p + i, 1);
}

static int give(struct run *r, unsigned which, uint32_t *tag)
{
	static const enum command simple[] = { CMD_NOOP, CMD_CAPABILITY, CMD_NAMESPACE, CMD_UNSELECT, CMD_CLOSE, CMD_LOGOUT, CMD_COMPRESS, CMD_UNAUTHENTICATE };
	static const enum command folder[] = { CMD_CREATE, CMD_SUBSCRIBE, CMD_UNSUBSCRIBE, CMD_EXAMINE, CMD_SELECT, CMD_DELETE };
	unsigned of = which / 16;

	switch (which % 16) {
	case 0:
		return session_simple(r->s, PICK(simple, of), tag);
	case 1:
	case 2:
		return session_folder(r->s, PICK(folder, of), PICK(names, of * 5 + which % 16), of % 2 == 0, tag);
	case 3:
		return session_list(r->s, PICK(names, of), of, of + 1, tag);
	case 4:
		return session_lsub(r->s, PICK(names, of), tag);
	case 5:
		return session_status(r->s, PICK(names, of), 1 + of * 30, tag);
	case 6:
		return session_fetch(r->s, CMD_FETCH, PICK(sets, of), 1 + of * 16, of, tag);
	case 7:
		return session_store(r->s, PICK(sets, of), "FLAGS.SILENT", PICK(names, of), tag);
	case 8:
		return session_search(r->s, PICK(names, of), tag);
	case 9:
		return session_uid_expunge(r->s, PICK(sets, of), tag);
	case 10:
		return session_enable(r->s, PICK(names, of), tag);
	case 11:
		return session_id(r->s, names, of % 3, tag);
	case 12:
		return session_fetch(r->s, CMD_UID_FETCH, PICK(sets, of), FETCH_UID | FETCH_BODY, 0, tag);
	case 13:
		return session_authenticate(r->s, PICK(names, of), SPAN("boss"), PICK(names, of + 1), tag);
	default:
		return session_simple(r->s, CMD_NOOP, tag);
	}
}

static void issued(struct run *r, int err, uint32_t tag)
{
	if (err != 0) {
		CHECK(err == PROTO_ERR_CAP || err == PROTO_ERR_STATE || err == PROTO_ERR_SYNTAX);
		CHECK(r->err == 0 || err == PROTO_ERR_STATE);
		return;
	}
	CHECK(tag > r->last_tag && r->err == 0);
	r->last_tag = tag;
	r->issued++;
	session_set_user(r->s, tag, tag);
}

static void append_message(struct run *r, unsigned how)
{
	struct append_message m = { .size = how % 64, .binary = how % 3 == 0 };
	bool was_open = session_append_is_open(r->s);
	int err;

	if (how >= 250)
		m.size = UINT64_C(1) << (how % 4 * 12);
	if (how % 5 == 0)
		m.flags = SPAN("\\Seen x");
	if (how % 7 == 0)
		m.date = SPAN("17-Jul-1996 02:44:25 -0700");
	err = session_append_message(r->s, &m);
	CHECK(err == 0 || err == PROTO_ERR_STATE || err == PROTO_ERR_CAP);
	CHECK(was_open || err == PROTO_ERR_STATE);
	if (err == 0)
		r->append_empty = false;
}

static void append_end(struct run *r)
{
	bool was_open = session_append_is_open(r->s);
	int err = session_append_end(r->s);

	CHECK(err == 0 || err == PROTO_ERR_STATE);
	CHECK(err == 0 || !was_open || r->err != 0);
	if (err == 0 && was_open && r->append_empty)
		r->taken_back++;
	r->append_empty = false;
}

static void send(struct run *r, unsigned n)
{
	struct span out = session_output(r->s);

	if (n < 250)
		out = span_first(out, n);
	tell(r, out.p, out.n);
	r->sent += out.n;
	session_sent(r->s, out.n);
}

static void send_body(struct run *r, unsigned n)
{
	uint64_t due = session_body_due(r->s);

	session_body_sent(r->s, n < 250 && n < due ? n : due);
}

static void describe(struct run *r, unsigned tag)
{
	struct buf b;
	int err;

	buf_init(&b, 200);
	err = session_describe(r->s, tag, &b);
	CHECK(err == 0 || err == PROTO_ERR_STATE || err == PROTO_ERR_CAP);
	for (size_t i = 0; i < b.n; i++)
		CHECK((unsigned char)b.p[b.off + i] >= 0x20);
	buf_done(&b);
}

static void step(struct run *r, unsigned what, unsigned how)
{
	uint32_t tag = 0;
	int err;

	switch (what) {
	case 0:
	case 1:
		err = give(r, how, &tag);
		issued(r, err, tag);
		break;
	case 2:
		err = session_append_begin(r->s, PICK(names, how), &tag);
		issued(r, err, tag);
		if (err == 0)
			r->append_empty = true;
		break;
	case 3:
		append_message(r, how);
		break;
	case 4:
		append_end(r);
		break;
	case 5:
		send(r, how);
		break;
	case 6:
		send_body(r, how);
		break;
	case 7:
		describe(r, how);
		break;
	default: /* as a driver does it: all that can be sent */
		for (int i = 0; i < 100; i++) {
			send(r, 255);
			send_body(r, 255);
		}
	}
	check_idle(r);
}

static void run(struct run *r, bool by_byte, const uint8_t *data, size_t size)
{
	static const struct session_limits small = {
		.framer = { .line_max = 300, .body_max = 1000 }, .arena_max = 600, .command_max = 100, .output_max = 200, .inflight_max = 5, .sync_above = 30
	};
	static const uint64_t caps[] = { 0, UINT64_C(1) << CAP_LITERAL_PLUS, UINT64_C(1) << CAP_LITERAL_MINUS,
		UINT64_C(1) << CAP_LITERAL_PLUS | UINT64_C(1) << CAP_ESEARCH };

	*r = (struct run){ .by_byte = by_byte, .s = session_new(data[0] & 4 ? &small : NULL) };
	CHECK(r->s != NULL);
	session_hint_caps(r->s, &(struct resp_caps){ .bits = caps[data[0] & 3] });
	for (size_t i = 1; i + 1 < size;) {
		unsigned what = data[i] % 16, how = data[i + 1];

		i += 2;
		if (what < 9) {
			step(r, what, how);
			continue;
		}
		size_t n = how < size - i ? how : size - i;
		if (r->err == 0)
			feed(r, data + i, n);
		i += n;
		check_idle(r);
	}
	tell_number(r, (uint64_t)-r->err);
	session_free(&r->s);
	CHECK(r->s == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole, bytes;

	if (size < 2)
		return 0;
	run(&whole, false, data, size);
	run(&bytes, true, data, size);
	CHECK(whole.err == bytes.err && whole.digest == bytes.digest && whole.sent == bytes.sent && whole.done == bytes.done);
	return 0;
}
