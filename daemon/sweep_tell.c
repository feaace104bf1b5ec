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

static const struct sweep_detail *detail_of(const struct sweep *s, uint32_t uid)
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

	if (s->detail_n == 2 * s->echo_n || detail_of(s, m->uid) != NULL)
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
	struct span flags = echo != NULL && twin != NULL ? span_str(echo->flags) : SPAN_NONE;

	if (echo == NULL || twin == NULL)
		return false;
	while (flags.n != 0) {
		size_t end = span_find(flags, ' ');
		struct span flag = span_first(flags, end);

		if (!span_eq_nocase(flag, SPAN("\\Deleted")) && !has_word(span_str(twin->flags), flag))
			return false;
		flags = end == SIZE_MAX ? SPAN_NONE : span_from(flags, end + 1);
	}
	return true;
}

int sweep_choose(struct sweep *s)
{
	int err = 0;

	for (size_t i = 0; i < s->echo_n && err == 0; i++)
		if (s->echo[i].told && is_covered(detail_of(s, s->echo[i].uid), detail_of(s, s->echo[i].twin)))
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
			s->objection != NULL ? s->objection : !e->told ? "nobody knows which of them came first" :
							"it has flags that the other one has not");
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
