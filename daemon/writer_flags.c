/*
 * Flags that the target does not keep (PERMANENTFLAGS, RFC 9051 section 7.1) are not sent: some servers drop them without a word, others refuse the message. It is asked
 * once for each server that keeps any keyword, and before the first message with keywords: SELECT, since EXAMINE says that nothing can be changed.
 */
#include <stdio.h>

#include "err.h"
#include "pass.h"

static struct session *target_session(struct lane *l)
{
	return peer_session(l->peer[TARGET]);
}

/* The next word of canonical text. */
static struct span next_word(struct span *text)
{
	size_t end = span_find(*text, ' ');
	struct span word = span_first(*text, end == SIZE_MAX ? text->n : end);

	*text = end == SIZE_MAX ? SPAN_NONE : span_from(*text, end + 1);
	return word;
}

/* System flags come first. */
static bool has_keyword(struct span flags)
{
	while (flags.n != 0)
		if (next_word(&flags).p[0] != '\\')
			return true;
	return false;
}

static bool server_takes_any(const struct lane *l)
{
	const bool *any = l->pass->spec->endpoint[TARGET]->any_keyword;

	return any != NULL && *any;
}

bool writer_flags_ready(struct lane *l, struct folder *f, struct span flags)
{
	if (f->flags_step == FLAGS_UNKNOWN && has_keyword(flags)) {
		if (server_takes_any(l)) {
			f->flags_step = FLAGS_ANY;
		} else {
			writer_wish(l, f, &f->flags_wanted);
			f->flags_step = FLAGS_ASKED;
		}
	}
	return f->flags_step != FLAGS_ASKED;
}

static bool is_kept(const struct folder *f, uint32_t uid, struct span word)
{
	/* The system's own are refused by nobody; those of the bare ones are told in other words. */
	if (word.p[0] == '\\' || uidset_has(&f->bare, uid))
		return true;
	return f->flags_step != FLAGS_KNOWN || flags_allow(&f->permanent, word);
}

int writer_flags(struct lane *l, struct folder *f, uint32_t uid, struct span flags, struct span *ret)
{
	struct buf *out = &l->writer.flags;
	bool bare = uidset_has(&f->bare, uid);
	char gone[200] = "";
	size_t n = 0;
	int err = 0;

	*ret = flags;
	if (f->flags_step != FLAGS_KNOWN && !bare)
		return 0;
	buf_reset(out);
	while (flags.n != 0 && err == 0) {
		struct span word = next_word(&flags);

		if (!is_kept(f, uid, word)) {
			if (n < sizeof(gone))
				n += (size_t)snprintf(gone + n, sizeof(gone) - n, " %.*s", SPAN_ARG(word));
			continue;
		}
		if (bare && word.p[0] != '\\')
			continue;
		if (out->n != 0)
			err = buf_add_char(out, ' ');
		if (err == 0)
			err = buf_append(out, word);
	}
	*ret = buf_span(out);
	if (err == 0 && n != 0) {
		char text[300];

		snprintf(text, sizeof(text), "the target does not keep the flags%s (PERMANENTFLAGS)", gone);
		err = losses_note(&f->losses, uid, SKIP_ALTERED, "flags", text);
	}
	return err;
}

bool writer_send_flags(struct lane *l, size_t i)
{
	struct folder *f = &l->pass->folder[i];
	uint32_t tag;

	if (writer_failed(l, session_folder(target_session(l), CMD_SELECT, f->target_wire, false, &tag)))
		return false;
	session_set_user(target_session(l), tag, i);
	l->writer.requests++;
	/* What comes into a selected folder is no longer \Recent for its user. */
	return !peer_has(l->peer[TARGET], CAP_UNSELECT) || !writer_failed(l, session_simple(target_session(l), CMD_UNSELECT, &tag));
}

static int keep_permanent(struct pass *p, struct folder *f, const struct flags *permanent)
{
	struct span text;
	struct buf b;
	int err;

	buf_init(&b, 64u << 10);
	err = flags_print(&b, permanent);
	if (err == 0)
		err = arena_copy(&p->memory, buf_span(&b), &text);
	if (err == 0)
		err = flags_parse(&f->permanent, text, &p->memory);
	buf_done(&b);
	f->permanent.any_keyword = permanent->any_keyword;
	return err;
}

void writer_on_flags(struct lane *l, const struct session_event *ev)
{
	struct folder *f = &l->pass->folder[ev->user];

	if (ev->kind == EVENT_DONE) {
		l->writer.requests--;
		/* What is not told is not forbidden. */
		if (f->flags_step == FLAGS_ASKED)
			f->flags_step = FLAGS_ANY;
		pass_pump(l->pass);
		return;
	}
	if (ev->resp.kind != RESP_STATUS || ev->resp.status.code != CODE_PERMANENTFLAGS || f->flags_step != FLAGS_ASKED)
		return;
	if (writer_failed(l, keep_permanent(l->pass, f, &ev->resp.status.flags)))
		return;
	/* Nothing at all is no list of flags, but a folder, or a server, of which they are not told. */
	f->flags_step = f->permanent.any_keyword || (f->permanent.keyword_n == 0 && f->permanent.system == 0) ? FLAGS_ANY : FLAGS_KNOWN;
	if (f->permanent.any_keyword && l->pass->spec->endpoint[TARGET]->any_keyword != NULL)
		*l->pass->spec->endpoint[TARGET]->any_keyword = true;
}
