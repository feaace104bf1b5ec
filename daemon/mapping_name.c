#include "mapping_name.h"

#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "utf7.h"

#define PATH_CAP (1u << 20)
#define LEVEL_MAX 255 /* bytes on the wire: what most file systems take */

static char in_place_of(const struct name_style *style)
{
	return style->delimiter == '_' ? '-' : '_';
}

static int fit_level(struct buf *out, struct span text, const struct name_style *style)
{
	int err = text.n == 0 ? buf_add_char(out, in_place_of(style)) : 0;

	for (size_t i = 0; i < text.n && err == 0; i++)
		err = buf_add_char(out, style->delimiter != 0 && text.p[i] == style->delimiter ? in_place_of(style) : text.p[i]);
	return err;
}

static int wire_length(struct span text, const struct name_style *style, size_t *ret)
{
	struct buf b;
	int err = 0;

	*ret = text.n;
	if (style->utf8)
		return 0;
	buf_init(&b, PATH_CAP);
	err = utf7_encode(&b, text);
	if (err == 0)
		*ret = b.n;
	buf_done(&b);
	return err == PROTO_ERR_NOMEM || err == PROTO_ERR_CAP ? err : 0;
}

static bool is_odd(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f || strchr("%*\"\\/;{}<>|^~?:#&", c) != NULL;
}

static struct span without_last(struct span text)
{
	do
		text.n--;
	while (text.n != 0 && ((unsigned char)text.p[text.n] & 0xc0) == 0x80);
	return text;
}

static int plain_level(struct buf *out, struct span text, const struct name_style *style)
{
	size_t from = out->n, wire = 0;
	struct span made;
	int err = 0;

	text = span_trim(text);
	for (size_t i = 0; i < text.n && err == 0; i++)
		if (text.p[i] != ' ' || i == 0 || text.p[i - 1] != ' ')
			err = buf_add_char(out, is_odd(text.p[i]) ? in_place_of(style) : text.p[i]);
	if (err != 0)
		return err;
	made = span_from(buf_span(out), from);
	while ((err = wire_length(made, style, &wire)) == 0 && wire > LEVEL_MAX)
		made = without_last(made);
	if (err != 0)
		return err;
	made = span_trim(made);
	buf_truncate(out, from + made.n);
	return made.n == 0 ? buf_add_char(out, in_place_of(style)) : 0;
}

typedef int level_fn(struct buf *out, struct span text, const struct name_style *style);

/* Rewrites the levels of a path, one by one; `made` and `text` are for one of them at a time. */
static int rewrite(struct span path, const struct name_style *style, level_fn *fn, struct buf *out, struct buf *text, struct buf *made)
{
	for (bool first = true;; first = false) {
		size_t n = name_level(path);
		int err = 0;

		buf_reset(text);
		buf_reset(made);
		if (!first)
			err = buf_add_char(out, style->delimiter == 0 ? in_place_of(style) : '/');
		if (err == 0)
			err = name_from_level(text, span_first(path, n));
		if (err == 0)
			err = fn(made, buf_span(text), style);
		if (err == 0)
			err = name_to_level(out, buf_span(made));
		if (err != 0 || n == path.n)
			return err;
		path = span_from(path, n + 1);
	}
}

static int with_levels(struct span path, const struct name_style *style, level_fn *fn, struct arena *a, struct span *ret)
{
	struct buf out, text, made;
	int err;

	buf_init(&out, PATH_CAP);
	buf_init(&text, PATH_CAP);
	buf_init(&made, PATH_CAP);
	err = rewrite(path, style, fn, &out, &text, &made);
	if (err == 0 && span_eq(buf_span(&out), path))
		*ret = path;
	else if (err == 0)
		err = arena_copy(a, buf_span(&out), ret);
	buf_done(&out);
	buf_done(&text);
	buf_done(&made);
	return err;
}

int mapping_name_fit(struct span path, const struct name_style *style, struct arena *a, struct span *ret)
{
	return with_levels(path, style, fit_level, a, ret);
}

int mapping_name_plain(struct span path, const struct name_style *style, struct arena *a, struct span *ret)
{
	return with_levels(path, style, plain_level, a, ret);
}

bool mapping_name_is_reserved(struct span path)
{
	/* Exchange and Microsoft 365; Gmail. */
	static const char *const names[] = { "Files", "Calendar", "Contacts", "Tasks", "Notes", "Journal", "Outbox", "Conversation History", "Sync Issues",
		"Starred", "Important", "Muted", "Chats", "Scheduled", "Snoozed" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_eq_nocase(path, span_str(names[i])))
			return true;
	return false;
}

int mapping_name_number(struct span path, unsigned n, bool first, struct arena *a, struct span *ret)
{
	size_t at = first ? name_level(path) : path.n;
	struct buf out;
	char text[16];
	int err;

	snprintf(text, sizeof(text), " (%u)", n);
	buf_init(&out, PATH_CAP);
	err = buf_append(&out, span_first(path, at));
	if (err == 0)
		err = buf_add_str(&out, text);
	if (err == 0)
		err = buf_append(&out, span_from(path, at));
	if (err == 0)
		err = arena_copy(a, buf_span(&out), ret);
	buf_done(&out);
	return err;
}

int mapping_name_fold(struct span path, struct arena *a, struct span *ret)
{
	int err = arena_copy(a, path, ret);

	for (size_t i = 0; i < path.n && err == 0; i++)
		if (path.p[i] >= 'A' && path.p[i] <= 'Z')
			((char *)(uintptr_t)ret->p)[i] = (char)(path.p[i] - 'A' + 'a');
	return err;
}

int mapping_name_join(struct span a, struct span b, struct arena *memory, struct span *ret)
{
	char *p;

	if (a.n == 0) {
		*ret = b;
		return 0;
	}
	p = arena_alloc(memory, a.n + 1 + b.n);
	if (p == NULL)
		return PROTO_ERR_NOMEM;
	memcpy(p, a.p, a.n);
	p[a.n] = '/';
	memcpy(p + a.n + 1, b.p, b.n);
	*ret = span_of(p, a.n + 1 + b.n);
	return 0;
}
