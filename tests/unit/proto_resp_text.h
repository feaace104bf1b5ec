/*
 * proto_resp_text: a response as text, so that tests can compare the whole of it with a line of a table. Numbers that
 * are 0, empty spans and flags that are not there are left out.
 */
#ifndef GODWIT_TESTS_PROTO_RESP_TEXT_H
#define GODWIT_TESTS_PROTO_RESP_TEXT_H

#include "resp.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Responses as text, one after the other with '|' between. */
struct text {
	char p[8192];
	size_t n;
};

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, format, ap);
	va_end(ap);
	cr_assert(n >= 0 && t->n + (size_t)n < sizeof(t->p));
	t->n += (size_t)n;
}

static void say_span(struct text *t, const char *name, struct span s)
{
	if (s.n > 0)
		say(t, " %s=<%.*s>", name, SPAN_ARG(s));
}

static void say_number(struct text *t, const char *name, uint64_t v)
{
	if (v != 0)
		say(t, " %s=%" PRIu64, name, v);
}

static void say_flags(struct text *t, const struct flags *f)
{
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(flags_print(&b, f), 0);
	say_span(t, "flags", buf_span(&b));
	buf_done(&b);
	say_number(t, "unknown", f->unknown);
	say_number(t, "any", f->any_keyword);
}

static void say_caps(struct text *t, const struct resp_caps *c)
{
	for (unsigned i = 0; i < CAP_N; ++i) {
		if (caps_has(c, (enum cap)i))
			say(t, " %s", cap_name((enum cap)i));
	}
	if (c->append_limit_known)
		say(t, " limit=%" PRIu64, c->append_limit);
}

static void say_status(struct text *t, const struct resp_status *s)
{
	say(t, " %s", status_name(s->status));
	if (s->code != CODE_NONE)
		say(t, " [%s]", s->code == CODE_OTHER ? "?" : code_name(s->code));
	say_span(t, "name", s->code_name);
	say_span(t, "args", s->code_args);
	say_number(t, "uidvalidity", s->uidvalidity);
	say_number(t, "uidnext", s->uidnext);
	say_number(t, "modseq", s->modseq);
	say_span(t, "uids", s->uids);
	say_span(t, "to", s->uids_to);
	say_flags(t, &s->flags);
	say_caps(t, &s->caps);
	say_span(t, "text", s->text);
}

static void say_fetch(struct text *t, const struct resp_fetch *f)
{
	static const char *const forms[] = { "none", "streamed", "inline", "nil" };

	say(t, " %" PRIu32 " has=%u", f->seq, f->has);
	say_number(t, "uid", f->uid);
	say_flags(t, &f->flags);
	say_span(t, "date", f->internaldate);
	say_number(t, "size", f->announced_size);
	say_number(t, "modseq", f->modseq);
	say_span(t, "header", f->header);
	if (f->body_form != BODY_NONE)
		say(t, " body:%s", forms[f->body_form]);
	say_span(t, "body", f->body);
	say_span(t, "email", f->emailid);
}

static void say_folder_status(struct text *t, const struct resp_folder_status *s)
{
	say_span(t, "name", s->name);
	say(t, " has=%u", s->has);
	say_number(t, "messages", s->messages);
	say_number(t, "uidnext", s->uidnext);
	say_number(t, "uidvalidity", s->uidvalidity);
	say_number(t, "unseen", s->unseen);
	say_number(t, "deleted", s->deleted);
	say_number(t, "recent", s->recent);
	say_number(t, "size", s->size);
	say_number(t, "modseq", s->highestmodseq);
	say_number(t, "limit", s->append_limit);
}

static void say_esearch(struct text *t, const struct resp_esearch *e)
{
	say_span(t, "tag", e->tag);
	say(t, "%s%s", e->uid ? " uid" : "", e->has_all ? " all" : "");
	say_span(t, "set", e->all);
	say_number(t, "min", e->min);
	say_number(t, "max", e->max);
	if (e->has_count)
		say(t, " count=%" PRIu32, e->count);
	say_number(t, "modseq", e->modseq);
}

static void say_namespace(struct text *t, const struct resp *r)
{
	for (size_t i = 0; i < 3; ++i) {
		say(t, " (");
		for (size_t j = 0; j < r->namespace.class[i].n; ++j) {
			const struct resp_namespace_entry *e = &r->namespace.class[i].entry[j];
			say(t, "<%.*s>%c", SPAN_ARG(e->prefix), e->delimiter != 0 ? e->delimiter : '0');
		}
		say(t, ")");
	}
}

static void say_list(struct text *t, const struct resp_list *l)
{
	say(t, " attrs=%x delimiter=%c name=<%.*s>", l->attrs,
		l->delimiter != 0 ? l->delimiter : '0', SPAN_ARG(l->name));
}

static void say_resp(struct text *t, const struct resp *r)
{
	static const char *const names[] = { "TAGGED", "STATUS", "CONTINUE", "CAPABILITY", "ENABLED", "LIST", "LSUB",
		"FOLDER", "SEARCH", "ESEARCH", "FLAGS", "EXISTS", "RECENT", "EXPUNGE", "VANISHED", "FETCH", "NAMESPACE",
		"QUOTA", "OTHER" };

	say(t, "%s", names[r->kind]);
	switch (r->kind) {
	case RESP_TAGGED:
		say_span(t, "tag", r->tag);
		say_status(t, &r->status);
		break;
	case RESP_STATUS:
		say_status(t, &r->status);
		break;
	case RESP_CONTINUE:
		say_span(t, "text", r->status.text);
		break;
	case RESP_CAPABILITY:
	case RESP_ENABLED:
		say_caps(t, &r->caps);
		break;
	case RESP_LIST:
	case RESP_LSUB:
		say_list(t, &r->list);
		break;
	case RESP_FOLDER_STATUS:
		say_folder_status(t, &r->folder_status);
		break;
	case RESP_SEARCH:
		say_span(t, "numbers", r->search.numbers);
		say_number(t, "modseq", r->search.modseq);
		break;
	case RESP_ESEARCH:
		say_esearch(t, &r->esearch);
		break;
	case RESP_FLAGS:
		say_flags(t, &r->flags);
		break;
	case RESP_EXISTS:
	case RESP_RECENT:
	case RESP_EXPUNGE:
		say(t, " %" PRIu32, r->number);
		break;
	case RESP_VANISHED:
		say(t, "%s", r->vanished.earlier ? " earlier" : "");
		say_span(t, "uids", r->vanished.uids);
		break;
	case RESP_FETCH:
		cr_assert_eq(r->number, r->fetch.seq);
		say_fetch(t, &r->fetch);
		break;
	case RESP_NAMESPACE:
		say_namespace(t, r);
		break;
	case RESP_QUOTA:
		if (r->quota.storage.known)
			say(t, " storage %" PRIu64 "/%" PRIu64, r->quota.storage.used, r->quota.storage.limit);
		if (r->quota.messages.known)
			say(t, " messages %" PRIu64 "/%" PRIu64, r->quota.messages.used, r->quota.messages.limit);
		break;
	case RESP_OTHER:
		say_span(t, "text", r->other);
		break;
	}
}

#endif
