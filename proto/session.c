#include "session_p.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

const struct session_limits session_limits_default = {
	.framer = { .line_max = 1u << 20, .body_max = (uint64_t)4 << 30 },
	.arena_max = 1u << 20,
	.command_max = 64u << 10,
	.output_max = 1u << 20,
	.inflight_max = 512,
	.sync_above = 32u << 20,
};

/* Bytes of a command that are kept for session_describe() when it is sent; a longer one is described by its name. */
#define KEEP_MAX 512

struct session *session_new(const struct session_limits *limits)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->limits = limits != NULL ? *limits : session_limits_default;
	s->framer = framer_new(&s->limits.framer);
	arena_init(&s->arena, s->limits.arena_max);
	buf_init(&s->held, s->limits.framer.line_max + 2);
	s->next_tag = 1;
	if (s->framer == NULL)
		session_free(&s);
	return s;
}

static void flight_free(struct flight *f)
{
	cmd_done(&f->cmd);
	free(f);
}

void session_free(struct session **s)
{
	if (s == NULL || *s == NULL)
		return;
	while ((*s)->first != NULL) {
		struct flight *f = (*s)->first;

		(*s)->first = f->next;
		flight_free(f);
	}
	framer_free(&(*s)->framer);
	arena_done(&(*s)->arena);
	buf_done(&(*s)->held);
	free(*s);
	*s = NULL;
}

static void say(struct session *s, const char *words)
{
	size_t n = strlen(s->text), room = sizeof(s->text) - 1 - n, add = strlen(words);

	add = add < room ? add : room;
	memcpy(s->text + n, words, add);
	s->text[n + add] = '\0';
}

static void say_number(struct session *s, uint64_t v)
{
	char digits[21], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	say(s, p);
}

/* What a peer sent, made fit for a line of text. */
static void say_bytes(struct session *s, struct span bytes)
{
	bytes = span_first(span_trim(bytes), 60);
	for (size_t i = 0; i < bytes.n && bytes.p[i] != '\r' && bytes.p[i] != '\n'; i++) {
		char one[2] = { bytes.p[i] >= 0x20 && bytes.p[i] < 0x7f ? bytes.p[i] : '?', '\0' };

		say(s, one);
	}
}

/* The first error stands. `bytes`: what was wrong. No allocation: memory may be what is missing. */
static int fail(struct session *s, int err, const char *words, struct span bytes)
{
	if (s->err != 0)
		return s->err;
	s->err = err;
	say(s, words);
	if (bytes.n != 0) {
		say(s, ": ");
		say_bytes(s, bytes);
	}
	return err;
}

static int fail_input(struct session *s, int err, struct span bytes)
{
	if (err == PROTO_ERR_NOMEM)
		return fail(s, err, "out of memory", SPAN_NONE);
	if (err != PROTO_ERR_CAP)
		return fail(s, err, "the server sent something that is not IMAP", bytes);
	fail(s, err, "the server sent a response longer than ", SPAN_NONE);
	say_number(s, s->limits.framer.line_max);
	say(s, " bytes, or one that is too deep, or a message larger than ");
	say_number(s, s->limits.framer.body_max);
	say(s, " bytes");
	return err;
}

/* Output. */

/* Takes out of the list what is answered and has nothing left to send. */
static void forget(struct session *s, struct flight *gone)
{
	struct flight **at = &s->first, *before = NULL;

	while (*at != gone) {
		before = *at;
		at = &before->next;
	}
	*at = gone->next;
	if (s->last == gone)
		s->last = before;
	if (s->append == gone)
		s->append = NULL;
	flight_free(gone);
}

void session_take_back(struct session *s, struct flight *f)
{
	assert(f == s->append && !f->begun);
	s->unsent -= f->cmd.text.n;
	s->inflight--;
	if (s->out == f)
		s->out = f->next; /* COMPRESS may stand behind it */
	forget(s, f);
}

void session_append_close(struct session *s)
{
	struct flight *f = s->append;
	int err = cmd_text(&f->cmd, SPAN("\r\n"));

	assert(err == 0); /* the room was taken with the message */
	s->unsent += 2;
	f->open = false;
	s->append = NULL;
}

static const struct cmd_mark *mark_here(const struct flight *f)
{
	if (f->mark >= f->cmd.mark_n || f->cmd.mark[f->mark].at != f->sent)
		return NULL;
	return &f->cmd.mark[f->mark];
}

static void drop_rest(struct session *s, struct flight *f)
{
	s->unsent -= f->cmd.text.n - f->sent;
	f->cmd.text.n = f->sent;
	f->cmd.mark_n = f->mark;
	if (f->open) {
		f->open = false;
		s->append = NULL;
		s->append_refused = true;
	}
}

/* Nothing may be sent behind it before it is answered. */
static bool is_barrier(const struct flight *f)
{
	return f->command == CMD_COMPRESS || f->command == CMD_UNAUTHENTICATE;
}

/* True when the output goes on with the next command. */
static bool is_over(struct session *s, struct flight *f)
{
	const struct cmd_mark *m;

	if (!f->begun)
		return false;
	while ((m = mark_here(f)) != NULL) {
		if (m->kind == CMD_WAIT) {
			if (!f->answered)
				return false;
			drop_rest(s, f);
			return true;
		}
		if (f->body_sent < m->size)
			return false;
		f->mark++;
		f->body_sent = 0;
	}
	if (f->sent < f->cmd.text.n || (is_barrier(f) && !f->answered))
		return false;
	/* Refused before its end. Servers that read on up to the end of the line must get one: the next command would be swallowed. */
	if (f->open && f->answered) {
		session_append_close(s);
		s->append_refused = true;
		return false;
	}
	return !f->open;
}

void session_advance(struct session *s)
{
	while (s->out != NULL && is_over(s, s->out)) {
		struct flight *f = s->out;

		s->out = f->next;
		if (f->answered)
			forget(s, f);
		else if (f->cmd.text.size > KEEP_MAX)
			cmd_done(&f->cmd);
	}
}

struct span session_output(struct session *s)
{
	struct flight *f;
	size_t end;

	session_advance(s);
	f = s->out;
	if (f == NULL || !f->begun || s->err != 0)
		return SPAN_NONE;
	/* What is answered is in the list no longer. */
	if (is_barrier(f) && f != s->first)
		return SPAN_NONE;
	end = f->mark < f->cmd.mark_n ? f->cmd.mark[f->mark].at : f->cmd.text.n;
	return span_from(span_first(buf_span(&f->cmd.text), end), f->sent);
}

void session_sent(struct session *s, size_t n)
{
	assert(n <= session_output(s).n);
	if (n == 0)
		return;
	s->out->sent += n;
	s->unsent -= n;
	session_advance(s);
}

static uint64_t due(const struct session *s, const struct flight *f)
{
	const struct cmd_mark *m = f == NULL || s->err != 0 ? NULL : mark_here(f);

	return m == NULL || m->kind != CMD_BODY ? 0 : m->size - f->body_sent;
}

uint64_t session_body_due(const struct session *s)
{
	return due(s, s->out);
}

uint32_t session_body_tag(const struct session *s)
{
	return session_body_due(s) != 0 ? s->out->tag : 0;
}

void session_body_sent(struct session *s, uint64_t n)
{
	assert(n <= session_body_due(s));
	if (n == 0)
		return;
	s->out->body_sent += n;
	session_advance(s);
}

bool session_is_mid_body(const struct session *s)
{
	for (const struct flight *f = s->out; f != NULL; f = f->next)
		for (size_t i = f->mark; i < f->cmd.mark_n; i++) {
			const struct cmd_mark *m = &f->cmd.mark[i];

			if (m->kind == CMD_WAIT && f->answered)
				break; /* the rest will be dropped */
			if (m->kind == CMD_BODY && (i != f->mark || f->body_sent < m->size || f->sent < m->at))
				return true;
		}
	return false;
}

/* Input. */

static struct flight *find(const struct session *s, uint32_t tag)
{
	for (struct flight *f = s->first; f != NULL; f = f->next)
		if (f->tag == tag)
			return f;
	return NULL;
}

static bool is_sent_in_part(const struct session *s, const struct flight *f)
{
	for (const struct flight *o = s->out; o != NULL; o = o->next)
		if (o == f)
			return f->sent != 0;
	return true;
}

/* A barrier may not be answered in its middle: its rest would then go out under what the answer has changed. */
static bool may_be_answered(const struct session *s, const struct flight *f)
{
	return !f->answered && is_sent_in_part(s, f) && (!is_barrier(f) || f->sent == f->cmd.text.n);
}

static void about(struct session_event *ev, const struct flight *f)
{
	ev->tag = f->tag;
	ev->command = f->command;
	ev->user = f->user;
}

static void about_oldest(const struct session *s, struct session_event *ev)
{
	for (const struct flight *f = s->first; f != NULL; f = f->next)
		if (!f->answered) {
			if (is_sent_in_part(s, f))
				about(ev, f);
			return;
		}
}

static int take_tagged(struct session *s, struct session_event *ev)
{
	struct span tag = ev->resp.tag;
	struct flight *f = NULL;
	uint32_t number;

	if (tag.n > 1 && tag.p[0] == 'g' && span_to_u32(span_from(tag, 1), &number))
		f = find(s, number);
	if (f == NULL || !may_be_answered(s, f))
		return fail(s, PROTO_ERR_SYNTAX, "the server answered a command that is not in flight", tag);
	ev->kind = EVENT_DONE;
	about(ev, f);
	f->answered = true;
	s->inflight--;
	if (f->command == CMD_UNAUTHENTICATE || f->command == CMD_AUTHENTICATE)
		s->alone = false;
	if (f->command == CMD_UNAUTHENTICATE && ev->resp.status.status == STATUS_OK) {
		/* RFC 8437 section 3: what was enabled is not any more. What is offered is not what was. */
		s->utf8 = false;
		if (ev->resp.status.code != CODE_CAPABILITY)
			s->caps = (struct resp_caps){ 0 };
	}
	for (const struct flight *o = s->out; o != NULL; o = o->next)
		if (o == f) {
			session_advance(s);
			return 0;
		}
	forget(s, f);
	return 0;
}

static bool take_continue(struct session *s, struct session_event *ev)
{
	struct flight *f = s->out;
	const struct cmd_mark *m = f == NULL ? NULL : mark_here(f);

	if (m == NULL || m->kind != CMD_WAIT || f->answered)
		return false;
	f->mark++;
	m = mark_here(f);
	if (m == NULL || m->kind != CMD_BODY)
		return false;
	ev->kind = EVENT_GO_AHEAD;
	about(ev, f);
	session_advance(s); /* past an empty message */
	return true;
}

static void note(struct session *s, const struct resp *r)
{
	bool is_status = r->kind == RESP_STATUS || r->kind == RESP_TAGGED;

	if (r->kind == RESP_CAPABILITY)
		s->caps = r->caps;
	else if (is_status && r->status.code == CODE_CAPABILITY && (r->status.status == STATUS_OK || r->status.status == STATUS_PREAUTH))
		s->caps = r->status.caps;
	else if (r->kind == RESP_STATUS && r->status.status == STATUS_BYE)
		s->bye = true;
	else if (r->kind == RESP_ENABLED && caps_has(&r->caps, CAP_UTF8_ACCEPT))
		s->utf8 = true; /* RFC 6855 section 3 */
}

/* A body that came as a string is told like a streamed one: in three events, from a copy of the response. */
static int hold(struct session *s, struct span line, struct session_event *ev)
{
	int err;

	err = buf_append(&s->held, line);
	if (err != 0)
		return fail_input(s, err, SPAN_NONE);
	s->held_step = HELD_DATA;
	ev->kind = EVENT_BODY_BEGIN;
	ev->size = ev->resp.fetch.body.n;
	return 0;
}

static int next_held(struct session *s, struct session_event *ev)
{
	int err = resp_parse(buf_span(&s->held), SIZE_MAX, &s->arena, &ev->resp);

	if (err != 0)
		return fail_input(s, err, SPAN_NONE);
	about_oldest(s, ev);
	if (s->held_step == HELD_DATA && ev->resp.fetch.body.n != 0) {
		ev->kind = EVENT_BODY_DATA;
		ev->data = ev->resp.fetch.body;
		s->held_step = HELD_END;
		return 0;
	}
	ev->kind = EVENT_BODY_END;
	s->held_step = HELD_NONE;
	return 0;
}

/* A complete response. True when it makes an event, or an error. */
static bool take_line(struct session *s, const struct frame *frame, struct session_event *ev, int *err)
{
	*err = resp_parse(frame->bytes, frame->streamed, &s->arena, &ev->resp);
	if (*err != 0) {
		fail_input(s, *err, frame->bytes);
		return true;
	}
	note(s, &ev->resp);
	if (ev->resp.kind == RESP_TAGGED) {
		*err = take_tagged(s, ev);
		return true;
	}
	if (ev->resp.kind == RESP_CONTINUE)
		return take_continue(s, ev);
	about_oldest(s, ev);
	ev->kind = EVENT_RESPONSE;
	if (s->in_body) {
		s->in_body = false;
		ev->kind = EVENT_BODY_END;
	} else if (ev->resp.kind == RESP_FETCH && ev->resp.fetch.body_form == BODY_NIL) {
		ev->kind = EVENT_BODY_END;
	} else if (ev->resp.kind == RESP_FETCH && ev->resp.fetch.body_form == BODY_INLINE) {
		*err = hold(s, frame->bytes, ev);
	}
	return true;
}

/* Lets go of what one response needed: idle sessions are many. */
static void rest(struct session *s)
{
	if (s->inflight != 0)
		return;
	arena_done(&s->arena);
	framer_trim(s->framer);
}

static int body_begin(struct session *s, const struct frame *frame, struct session_event *ev)
{
	int err = resp_parse_fetch_begin(frame->bytes, frame->streamed, &s->arena, &ev->resp.fetch);

	if (err != 0)
		return fail_input(s, err, frame->bytes);
	s->in_body = true;
	ev->kind = EVENT_BODY_BEGIN;
	ev->size = frame->size;
	ev->binary = frame->literal8;
	ev->resp.kind = RESP_FETCH;
	about_oldest(s, ev);
	return 0;
}

int session_next(struct session *s, struct span *in, struct session_event *ev)
{
	struct frame frame;
	int err = s->err;

	*ev = (struct session_event){ .kind = EVENT_NONE };
	if (err != 0)
		return err;
	arena_reset(&s->arena);
	if (s->held_step != HELD_NONE)
		return next_held(s, ev);
	buf_done(&s->held);
	for (;;) {
		err = framer_next(s->framer, in, &frame);
		if (err != 0)
			return fail_input(s, err, SPAN_NONE);
		switch (frame.kind) {
		case FRAME_NONE:
			rest(s);
			return 0;
		case FRAME_LINE:
			if (take_line(s, &frame, ev, &err))
				return err;
			*ev = (struct session_event){ .kind = EVENT_NONE };
			arena_reset(&s->arena);
			break;
		case FRAME_BODY_BEGIN:
			return body_begin(s, &frame, ev);
		case FRAME_BODY_DATA:
			ev->kind = EVENT_BODY_DATA;
			ev->data = frame.bytes;
			about_oldest(s, ev);
			return 0;
		case FRAME_BODY_END:
			break;
		}
	}
}

const char *session_error(const struct session *s)
{
	return s->text;
}

const struct resp_caps *session_caps(const struct session *s)
{
	return &s->caps;
}

void session_hint_caps(struct session *s, const struct resp_caps *caps)
{
	s->caps = *caps;
}

unsigned session_inflight(const struct session *s)
{
	return s->inflight;
}

bool session_has_bye(const struct session *s)
{
	return s->bye;
}

void session_set_user(struct session *s, uint32_t tag, uint64_t user)
{
	struct flight *f = find(s, tag);

	assert(f != NULL && !f->answered);
	f->user = user;
}

int session_describe(const struct session *s, uint32_t tag, struct buf *out)
{
	const struct flight *f = find(s, tag);

	if (f == NULL || f->answered)
		return PROTO_ERR_STATE;
	if (f->cmd.text.n == 0)
		return buf_add_str(out, command_name(f->command));
	return cmd_redacted(&f->cmd, out);
}

/* Queueing. */

int session_may_queue(const struct session *s, enum command c)
{
	if (s->err != 0 || s->bye || s->logged_out || s->alone || (session_append_is_open(s) && c != CMD_COMPRESS))
		return PROTO_ERR_STATE;
	return s->inflight >= s->limits.inflight_max || s->next_tag == UINT32_MAX ? PROTO_ERR_CAP : 0;
}

int session_queue(struct session *s, enum command c, struct cmd *cmd, uint32_t tag, uint32_t *ret_tag)
{
	struct flight *f = NULL;
	int err = 0;

	if (cmd->text.n > s->limits.output_max || s->unsent > s->limits.output_max - cmd->text.n)
		err = PROTO_ERR_CAP;
	else if ((f = calloc(1, sizeof(*f))) == NULL)
		err = PROTO_ERR_NOMEM;
	if (err != 0) {
		cmd_done(cmd);
		return err;
	}
	*f = (struct flight){ .tag = tag, .command = c, .cmd = *cmd, .begun = c != CMD_APPEND, .open = c == CMD_APPEND };
	if (s->last != NULL)
		s->last->next = f;
	else
		s->first = f;
	s->last = f;
	if (s->out == NULL)
		s->out = f;
	if (f->open) {
		s->append = f;
		s->append_refused = false;
	}
	s->unsent += f->cmd.text.n;
	s->inflight++;
	s->next_tag = tag + 1;
	*ret_tag = tag;
	return 0;
}

bool session_append_is_open(const struct session *s)
{
	return s->append != NULL;
}
