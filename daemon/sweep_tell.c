/*
 * What is said of echoes, in the log and in the ledger; and which of them may go.
 */
#include <stdio.h>

#include "err.h"
#include "header.h"
#include "log.h"
#include "pass.h"

static const char *keep(struct sweep *s, struct span text)
{
	char *copy = arena_alloc(&s->texts, text.n + 1);

	if (copy == NULL)
		return NULL;
	if (text.n != 0)
		memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return copy;
}

static struct sweep_detail *detail_of(const struct sweep *s, uint32_t uid)
{
	for (size_t i = 0; i < s->detail_n; i++)
		if (s->detail[i].uid == uid)
			return &s->detail[i];
	return NULL;
}

int sweep_keep_detail(struct sweep *s, const struct resp_fetch *m)
{
	struct sweep_detail *d = &s->detail[s->detail_n];
	char date[DATE_TEXT] = "";
	struct buf text;
	struct date when;
	int err;

	if (s->detail_n == s->detail_size || detail_of(s, m->uid) != NULL)
		return 0;
	buf_init(&text, 64u << 10);
	err = flags_print(&text, &m->flags);
	*d = (struct sweep_detail){ .uid = m->uid, .size = m->announced_size, .flags = keep(s, buf_span(&text)) };
	buf_reset(&text);
	header_field(m->header, SPAN("Message-ID"), &text);
	d->message_id = keep(s, span_first(buf_span(&text), 998));
	buf_done(&text);
	if (date_parse(m->internaldate, &when))
		date_print(when, date);
	d->date = keep(s, span_str(date));
	s->detail_n++;
	return err == 0 && (d->flags == NULL || d->message_id == NULL || d->date == NULL) ? PROTO_ERR_NOMEM : err;
}

void sweep_forget_flags(struct sweep *s)
{
	for (size_t i = 0; i < s->detail_n; i++)
		s->detail[i].flags = NULL;
}

int sweep_keep_flags(struct sweep *s, const struct resp_fetch *m)
{
	struct sweep_detail *d = (m->has & FETCH_UID) != 0 && (m->has & FETCH_FLAGS) != 0 ? detail_of(s, m->uid) : NULL;
	struct buf text;
	int err;

	if (d == NULL)
		return 0;
	buf_init(&text, 64u << 10);
	err = flags_print(&text, &m->flags);
	d->flags = err == 0 ? keep(s, buf_span(&text)) : NULL;
	buf_done(&text);
	return err == 0 && d->flags == NULL ? PROTO_ERR_NOMEM : err;
}

static bool has_word(struct span text, struct span word)
{
	while (text.n != 0) {
		size_t end = span_find(text, ' ');

		if (span_eq_nocase(span_first(text, end), word))
			return true;
		text = end == SIZE_MAX ? SPAN_NONE : span_from(text, end + 1);
	}
	return false;
}

/* With the echo goes nothing that a user has set: its twin has all its flags. */
static bool is_covered(const struct sweep_detail *echo, const struct sweep_detail *twin)
{
	struct span flags = span_str(echo->flags);

	while (flags.n != 0) {
		size_t end = span_find(flags, ' ');
		struct span flag = span_first(flags, end);

		if (!span_eq_nocase(flag, SPAN("\\Deleted")) && !has_word(span_str(twin->flags), flag))
			return false;
		flags = end == SIZE_MAX ? SPAN_NONE : span_from(flags, end + 1);
	}
	return true;
}

static bool is_there(const struct sweep_detail *d)
{
	return d != NULL && d->flags != NULL;
}

/* Why this one must stay; NULL: it may go. What is marked \Deleted goes sooner or later, and then the echo is what the user has kept. */
static const char *why_it_stays(const struct sweep *s, const struct echo *e)
{
	const struct sweep_detail *echo = detail_of(s, e->uid), *twin = detail_of(s, e->twin);

	if (!e->told)
		return "nobody knows which of them came first";
	if (!is_there(echo))
		return "one of them is not there any more";
	for (size_t i = 0; i < e->same_n; i++) {
		const struct sweep_detail *d = detail_of(s, e->same[i].uid);

		if (!is_there(d))
			return "one of them is not there any more";
		if (has_word(span_str(d->flags), SPAN("\\Deleted")))
			return "the other one is marked as deleted";
	}
	return is_covered(echo, twin) ? NULL : "it has flags that the other one has not";
}

int sweep_choose(struct sweep *s)
{
	int err = 0;

	for (size_t i = 0; i < s->echo_n && err == 0; i++)
		if (why_it_stays(s, &s->echo[i]) == NULL)
			err = uidset_add(&s->removed, s->echo[i].uid);
	return err;
}

static void tell_one(struct pass *p, struct folder *f, const struct echo *e)
{
	struct sweep *s = &p->sweep;
	struct log_context ctx = pass_context(p, f, 0);
	const struct sweep_detail *d = detail_of(s, e->uid);
	bool gone = uidset_has(&s->removed, e->uid);
	const char *name = d == NULL || d->message_id[0] == '\0' ? "without Message-ID" : d->message_id;
	struct ledger_skip row = { .kind = SKIP_ECHO, .folder = f->row.id, .mailbox = p->spec->ledger_id, .folder_path = f->row.source_path,
		.uid = e->source, .message_id = d != NULL ? d->message_id : "", .internaldate = d != NULL ? d->date : "",
		.size = d != NULL ? d->size : 0 };
	char reason[900];

	if (gone)
		snprintf(reason, sizeof(reason), "it was on the target twice: what was sent before a break landed late, as UID %u beside UID %u, "
			"and was removed", (unsigned)e->uid, (unsigned)e->twin);
	else
		snprintf(reason, sizeof(reason), "it is on the target twice: what was sent before a break landed late, as UID %u beside UID %u; "
			"it stays: %s", (unsigned)e->uid, (unsigned)e->twin,
			s->objection != NULL ? s->objection : why_it_stays(s, e));
	row.reason = reason;
	/* The report has it anyway. */
	log_event(gone ? LOG_ECHO_REMOVED : f->row.echoes.looks == 1 ? LOG_ECHO_LEFT : LOG_ECHO, &ctx, "UID %u of the source (%s): %s", (unsigned)e->source, name, reason);
	ledger_add_skips(p->env->ledger, &row, 1, NULL, NULL);
}

void sweep_tell(struct pass *p)
{
	for (size_t i = 0; i < p->sweep.echo_n; i++)
		tell_one(p, &p->folder[p->sweep.at], &p->sweep.echo[i]);
	if (p->sweep.removed.n != 0)
		p->progress.any = true;
}
