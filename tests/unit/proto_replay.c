/*
 * The transcripts of tests/wire are played to a session: in one piece, cut in two at every byte, byte by byte, and with
 * every allocation failing in turn.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"
#include "wire.h"

TestSuite(proto_replay, .fini = leaks_check, .timeout = 300);

#define WHOLE (SIZE_MAX - 1)
#define EACH_BYTE SIZE_MAX
#define EVENTS_MAX 4096

/* One run: what came out, and where the client's side stands. */
struct play {
	const struct wire *w;
	struct session *s;
	size_t cut;                  /* offset in the server's bytes, WHOLE or EACH_BYTE */
	size_t action, said, may_say; /* said: bytes of the client that the session has sent; may_say: the bytes of messages that are at hand */
	uint64_t event[EVENTS_MAX];  /* a digest of each; the pieces of one body are one event */
	size_t event_n;
	bool in_body;
	int err;
};

static void digest(uint64_t *d, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*d = (*d ^ ((const unsigned char *)p)[i]) * UINT64_C(0x100000001b3);
}

static void digest_number(uint64_t *d, uint64_t v)
{
	digest(d, &v, sizeof(v));
}

static void digest_span(uint64_t *d, struct span s)
{
	digest_number(d, s.n);
	digest(d, s.p, s.n);
}

static void digest_flags(uint64_t *d, const struct flags *f)
{
	digest_number(d, f->system + 1000 * f->unknown + (f->any_keyword ? 1000000 : 0));
	for (size_t i = 0; i < f->keyword_n; i++)
		digest_span(d, f->keywords[i]);
}

static void digest_status(uint64_t *d, const struct resp_status *s)
{
	digest_number(d, s->status * 1000 + s->code);
	digest_span(d, s->code_name);
	digest_span(d, s->code_args);
	digest_span(d, s->text);
	digest_number(d, s->uidvalidity);
	digest_number(d, s->uidnext);
	digest_number(d, s->modseq);
	digest_span(d, s->uids);
	digest_span(d, s->uids_to);
	digest_flags(d, &s->flags);
	digest_number(d, s->caps.bits);
}

static void digest_fetch(uint64_t *d, const struct resp_fetch *f)
{
	digest_number(d, f->seq);
	digest_number(d, f->has);
	digest_number(d, f->uid);
	digest_flags(d, &f->flags);
	digest_span(d, f->internaldate);
	digest_number(d, f->announced_size);
	digest_number(d, f->modseq);
	digest_span(d, f->header);
	digest_number(d, f->body_form);
	digest_span(d, f->body);
	digest_span(d, f->emailid);
}

static void digest_folder_status(uint64_t *d, const struct resp_folder_status *s)
{
	digest_span(d, s->name);
	digest_number(d, s->has);
	digest_number(d, s->messages);
	digest_number(d, s->uidnext);
	digest_number(d, s->uidvalidity);
	digest_number(d, s->unseen);
	digest_number(d, s->size);
	digest_number(d, s->highestmodseq);
	digest_number(d, s->append_limit);
}

static void digest_namespace(uint64_t *d, const struct resp_namespace *n)
{
	for (size_t c = 0; c < 3; c++)
		for (size_t i = 0; i < n->class[c].n; i++) {
			digest_span(d, n->class[c].entry[i].prefix);
			digest_number(d, c * 256 + (unsigned char)n->class[c].entry[i].delimiter);
		}
}

static void digest_resp(uint64_t *d, const struct resp *r)
{
	digest_number(d, r->kind);
	switch (r->kind) {
	case RESP_TAGGED:
	case RESP_STATUS:
	case RESP_CONTINUE:
		digest_status(d, &r->status);
		break;
	case RESP_CAPABILITY:
	case RESP_ENABLED:
		digest_number(d, r->caps.bits);
		digest_number(d, r->caps.append_limit);
		break;
	case RESP_LIST:
	case RESP_LSUB:
		digest_span(d, r->list.name);
		digest_number(d, r->list.attrs * UINT64_C(256) + (unsigned char)r->list.delimiter);
		break;
	case RESP_FOLDER_STATUS:
		digest_folder_status(d, &r->folder_status);
		break;
	case RESP_SEARCH:
		digest_span(d, r->search.numbers);
		break;
	case RESP_ESEARCH:
		digest_span(d, r->esearch.tag);
		digest_span(d, r->esearch.all);
		break;
	case RESP_FLAGS:
		digest_flags(d, &r->flags);
		break;
	case RESP_EXISTS:
	case RESP_RECENT:
	case RESP_EXPUNGE:
		digest_number(d, r->number);
		break;
	case RESP_VANISHED:
		digest_span(d, r->vanished.uids);
		break;
	case RESP_FETCH:
		digest_fetch(d, &r->fetch);
		break;
	case RESP_NAMESPACE:
		digest_namespace(d, &r->namespace);
		break;
	case RESP_QUOTA:
		digest_number(d, r->quota.storage.used);
		digest_number(d, r->quota.storage.limit);
		digest_number(d, r->quota.messages.used);
		digest_number(d, r->quota.messages.limit);
		break;
	case RESP_OTHER:
		digest_span(d, r->other);
		break;
	}
}

/* Allocates nothing: allocations may be told to fail. */
static void note(struct play *p, const struct session_event *ev)
{
	uint64_t d = UINT64_C(0xcbf29ce484222325);

	if (ev->kind == EVENT_BODY_DATA && p->in_body) {
		digest(&p->event[p->event_n - 1], ev->data.p, ev->data.n);
		return;
	}
	cr_assert_lt(p->event_n, EVENTS_MAX);
	p->in_body = ev->kind == EVENT_BODY_DATA;
	digest_number(&d, ev->kind);
	digest_number(&d, ev->tag);
	digest_number(&d, ev->command);
	digest_number(&d, ev->size);
	digest_number(&d, ev->binary);
	if (p->in_body)
		digest(&d, ev->data.p, ev->data.n);
	else
		digest_resp(&d, &ev->resp);
	p->event[p->event_n++] = d;
}

/* Sends what the session has: it must be what the client of the transcript said. */
static void pump(struct play *p)
{
	for (;;) {
		struct span out = session_output(p->s);
		uint64_t due;

		if (out.n != 0) {
			cr_assert(out.n <= p->w->client_n - p->said && memcmp(out.p, p->w->client + p->said, out.n) == 0,
				"sent \"%.*s\" instead of \"%.60s\"", SPAN_ARG(out), p->w->client + p->said);
			p->said += out.n;
			session_sent(p->s, out.n);
			continue;
		}
		due = session_body_due(p->s);
		if (due > p->may_say - p->said)
			due = p->said < p->may_say ? p->may_say - p->said : 0;
		if (due == 0)
			return;
		p->said += (size_t)due;
		session_body_sent(p->s, due);
	}
}

static void client_turn(struct play *p, const struct wire_turn *t)
{
	p->may_say = t->from + t->n;
	for (; p->action < p->w->action_n && p->w->action[p->action].at < p->may_say; p->action++) {
		const struct wire_action *a = &p->w->action[p->action];
		int err = wire_act(a, p->s);

		/* Nothing has changed, so it can be tried again. */
		if (err == PROTO_ERR_NOMEM)
			err = wire_act(a, p->s);
		cr_assert_eq(err, 0, "%d for \"%.*s\"", err, SPAN_ARG(a->text));
		pump(p);
	}
	pump(p);
}

/* Each piece is an allocation of its own, gone before the next call. Not by malloc(): that one may be told to fail. */
static void feed(struct play *p, const char *bytes, size_t n)
{
	struct session_event ev;
	size_t done = 0;

	do {
		char *copy = aligned_alloc(1, n - done + 1);
		struct span in = span_of(copy, n - done);

		memcpy(copy, bytes + done, n - done);
		p->err = session_next(p->s, &in, &ev);
		done = n - in.n;
		if (p->err == 0 && ev.kind != EVENT_NONE)
			note(p, &ev);
		free(copy);
	} while (p->err == 0 && ev.kind != EVENT_NONE);
	cr_assert(p->err != 0 || done == n);
	if (p->err == 0)
		pump(p);
}

static void server_turn(struct play *p, const struct wire_turn *t)
{
	const char *bytes = p->w->server + t->from;

	if (p->cut == EACH_BYTE) {
		for (size_t i = 0; i < t->n && p->err == 0; i++)
			feed(p, bytes + i, 1);
	} else if (p->cut > t->from && p->cut < t->from + t->n) {
		feed(p, bytes, p->cut - t->from);
		if (p->err == 0)
			feed(p, bytes + (p->cut - t->from), t->from + t->n - p->cut);
	} else {
		feed(p, bytes, t->n);
	}
}

static void play(struct play *p, const struct wire *w, size_t cut)
{
	struct session_limits limits = session_limits_default;

	*p = (struct play){ .w = w, .cut = cut };
	if (w->line_max != 0)
		limits.framer.line_max = w->line_max;
	if (w->body_max != 0)
		limits.framer.body_max = w->body_max;
	p->s = session_new(&limits);
	if (p->s == NULL)
		p->err = PROTO_ERR_NOMEM;
	for (size_t i = 0; i < w->turn_n && p->err == 0; i++) {
		if (w->turn[i].is_server)
			server_turn(p, &w->turn[i]);
		else
			client_turn(p, &w->turn[i]);
	}
}

/* The tests, one for each file. */

static char paths[64][256];
static size_t path_n;

static void find_transcripts(void)
{
	static const char *const families[] = { "dovecot", "cyrus", "courier", "exchange", "gmail", "broken" };
	const char *top = getenv("srcdir") != NULL ? getenv("srcdir") : ".";

	path_n = 0;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		char folder[200];
		DIR *dir;
		size_t before = path_n;

		snprintf(folder, sizeof(folder), "%.150s/tests/wire/%s", top, families[i]);
		dir = opendir(folder);
		cr_assert_not_null(dir, "%s", folder);
		for (struct dirent *e; (e = readdir(dir)) != NULL;) {
			size_t n = strlen(e->d_name);

			if (n < 5 || strcmp(e->d_name + n - 5, ".wire") != 0)
				continue;
			cr_assert_lt(path_n, sizeof(paths) / sizeof(paths[0]));
			cr_assert_lt(snprintf(paths[path_n++], sizeof(paths[0]), "%s/%s", folder, e->d_name), (int)sizeof(paths[0]));
		}
		closedir(dir);
		cr_assert_gt(path_n, before, "no transcripts in %s", folder);
	}
}

static void for_each(void (*test)(const char *path, const struct wire *w))
{
	find_transcripts();
	for (size_t i = 0; i < path_n; i++) {
		struct wire w;
		bool ok = wire_read(&w, paths[i]);

		cr_assert(ok, "%s: %s", paths[i], w.error);
		test(paths[i], &w);
		wire_free(&w);
	}
}

static void ends_as_it_says(const char *path, const struct wire *w)
{
	static struct play p;

	play(&p, w, WHOLE);
	cr_assert_eq(p.err, w->expect, "%s: %d %s", path, p.err, session_error(p.s));
	cr_assert_eq(session_error(p.s)[0] != '\0', p.err != 0, "%s", path);
	if (p.err == 0) {
		cr_assert_eq(session_inflight(p.s), w->open, "%s: %u commands are not answered", path, session_inflight(p.s));
		cr_assert_eq(p.said, w->client_n, "%s: %zu of %zu bytes sent", path, p.said, w->client_n);
	}
	cr_assert_eq(p.action, w->action_n, "%s", path);
	cr_assert_gt(p.event_n, 0, "%s", path);
	session_free(&p.s);
}

Test(proto_replay, each_ends_as_it_says)
{
	for_each(ends_as_it_says);
}

static void same(const char *path, const struct wire *w, const struct play *whole, size_t cut)
{
	static struct play p;

	play(&p, w, cut);
	cr_assert_eq(p.err, whole->err, "%s cut at %zu: %d", path, cut, p.err);
	for (size_t i = 0; i < p.event_n && i < whole->event_n; i++)
		cr_assert_eq(p.event[i], whole->event[i], "%s cut at %zu: event %zu differs", path, cut, i);
	cr_assert_eq(p.event_n, whole->event_n, "%s cut at %zu: %zu events instead of %zu", path, cut, p.event_n, whole->event_n);
	cr_assert_eq(p.said, whole->said, "%s cut at %zu", path, cut);
	session_free(&p.s);
}

static void same_however_cut(const char *path, const struct wire *w)
{
	static struct play whole;

	play(&whole, w, WHOLE);
	session_free(&whole.s);
	same(path, w, &whole, EACH_BYTE);
	for (size_t cut = 1; cut < w->server_n; cut++)
		same(path, w, &whole, cut);
}

Test(proto_replay, each_is_the_same_however_it_is_cut)
{
	for_each(same_however_cut);
}

static void survives(const char *path, const struct wire *w)
{
	static struct play whole, p;
	size_t n = 0;

	play(&whole, w, WHOLE);
	session_free(&whole.s);
	do {
		failmalloc_arm(++n);
		play(&p, w, w->server_n / 2);
		failmalloc_disarm();
		if (failmalloc_fired() && p.err == PROTO_ERR_NOMEM) {
			cr_assert(p.s == NULL || strcmp(session_error(p.s), "out of memory") == 0, "%s: %s", path, session_error(p.s));
		} else {
			/* Either none failed, or a command was given a second time. */
			cr_assert_eq(p.err, whole.err, "%s, allocation %zu: %d", path, n, p.err);
			cr_assert_eq(p.event_n, whole.event_n, "%s, allocation %zu", path, n);
			cr_assert_eq(memcmp(p.event, whole.event, p.event_n * sizeof(p.event[0])), 0, "%s, allocation %zu", path, n);
		}
		session_free(&p.s);
	} while (failmalloc_fired());
	cr_assert_gt(n, 3);
}

Test(proto_replay, each_survives_any_allocation_failing)
{
	for_each(survives);
}
