#include "name.h"

#include "err.h"
#include "utf7.h"

static const struct span inbox = { "INBOX", 5 };

/* Takes the next wire level off *rest; *more tells whether a delimiter followed. */
static struct span take_level(struct span *rest, char delimiter, bool *more)
{
	size_t end = delimiter != 0 ? span_find(*rest, delimiter) : SIZE_MAX;
	struct span level = span_first(*rest, end);

	*more = end != SIZE_MAX;
	*rest = *more ? span_from(*rest, end + 1) : SPAN_NONE;
	return level;
}

/* Whether the wire name begins with the prefix and goes on. An INBOX at the prefix's beginning has no case. */
static bool has_prefix(struct span wire, const struct name_style *style)
{
	bool more;
	struct span rest = style->prefix;
	size_t n = take_level(&rest, style->delimiter, &more).n;

	if (!span_eq_nocase(span_first(style->prefix, n), inbox))
		n = 0;
	return wire.n > style->prefix.n && span_starts_nocase(wire, span_first(style->prefix, n)) &&
	       span_eq(span_from(span_first(wire, style->prefix.n), n), span_from(style->prefix, n));
}

/* INBOX behind the prefix as often as one likes. Such names are their own paths: without the prefix "INBOX.INBOX" would
 * have that of INBOX, "INBOX.INBOX.INBOX" then that of "INBOX.INBOX", and so on. All others lose or get it once. */
static bool keeps_prefix(struct span wire, const struct name_style *style)
{
	while (style->prefix.n != 0 && has_prefix(wire, style))
		wire = span_from(wire, style->prefix.n);
	return span_eq_nocase(wire, inbox);
}

static struct span without_prefix(struct span wire, const struct name_style *style)
{
	return has_prefix(wire, style) && !keeps_prefix(wire, style) ? span_from(wire, style->prefix.n) : wire;
}

bool name_is_within(struct span wire, const struct name_style *style)
{
	return span_eq_nocase(wire, inbox) || has_prefix(wire, style);
}

/* Escapes '/' and '\' in what was appended behind `from`. */
static int escape(struct buf *out, size_t from)
{
	size_t more = 0, at = out->n;
	char *unused, *p;
	int err;

	for (size_t i = from; i < out->n; i++)
		more += buf_span(out).p[i] == '/' || buf_span(out).p[i] == '\\';
	if (more == 0)
		return 0;
	err = buf_reserve(out, more, &unused);
	if (err != 0)
		return err;
	buf_commit(out, more);
	p = out->p + out->off;
	/* From the end, so that nothing is overwritten before it has moved. */
	for (size_t to = out->n; to != at;) {
		p[--to] = p[--at];
		if (p[to] == '/' || p[to] == '\\')
			p[--to] = '\\';
	}
	return 0;
}

/* Valid UTF-8 as it is, U+FFFD for every other byte. */
static int append_lossy(struct buf *out, struct span s)
{
	int err = 0;

	while (err == 0 && s.n != 0) {
		uint32_t c;
		size_t n = utf8_take(s, &c);

		err = n != 0 ? buf_append(out, span_first(s, n)) : buf_add_str(out, "\xef\xbf\xbd");
		s = span_from(s, n != 0 ? n : 1);
	}
	return err;
}

static int append_level(struct buf *out, struct span level, bool utf8)
{
	size_t from = out->n;
	int err = utf8 ? PROTO_ERR_SYNTAX : utf7_decode(out, level);

	if (err == PROTO_ERR_SYNTAX)
		err = append_lossy(out, level);
	return err != 0 ? err : escape(out, from);
}

int name_to_path(struct buf *out, struct span wire, const struct name_style *style)
{
	size_t start = out->n;
	bool more = true;
	int err = 0;

	wire = without_prefix(wire, style);
	for (bool first = true; err == 0 && more; first = false) {
		struct span level = take_level(&wire, style->delimiter, &more);

		if (first && span_eq_nocase(level, inbox))
			level = inbox;
		err = append_level(out, level, style->utf8);
		if (err == 0 && more)
			err = buf_add_char(out, '/');
	}
	if (err != 0)
		buf_truncate(out, start);
	return err;
}

size_t name_level(struct span path)
{
	size_t i = 0;

	while (i < path.n && path.p[i] != '/')
		i += path.p[i] == '\\' && i + 1 < path.n ? 2 : 1;
	return i;
}

int name_from_level(struct buf *out, struct span level)
{
	for (size_t i = 0; i < level.n; i++) {
		int err;

		if (level.p[i] == '\\' && (++i == level.n || (level.p[i] != '/' && level.p[i] != '\\')))
			return PROTO_ERR_NAME;
		err = buf_add_char(out, level.p[i]);
		if (err != 0)
			return err;
	}
	return 0;
}

/* A server with UTF8=ACCEPT takes Net-Unicode (RFC 5198), where control characters have no place. */
static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return utf8_is_valid(s);
}

static int encode_level(struct buf *out, struct span level, const struct name_style *style)
{
	size_t from = out->n;
	int err;

	if (level.n == 0)
		return PROTO_ERR_NAME;
	if (style->utf8)
		err = is_plain(level) ? buf_append(out, level) : PROTO_ERR_NAME;
	else
		err = utf7_encode(out, level);
	if (err != 0)
		return err == PROTO_ERR_SYNTAX ? PROTO_ERR_NAME : err;
	/* As it is written, since a delimiter may be one of the bytes of modified UTF-7, too. */
	if (style->delimiter != 0 && span_find(span_from(buf_span(out), from), style->delimiter) != SIZE_MAX)
		return PROTO_ERR_NAME;
	return 0;
}

/* Appends all levels; `level` is for one of them at a time. */
static int join_levels(struct buf *out, struct span path, const struct name_style *style, struct buf *level)
{
	for (bool first = true;; first = false) {
		size_t n = name_level(path);
		struct span text;
		int err = name_from_level(level, span_first(path, n));

		if (err != 0)
			return err;
		text = buf_span(level);
		err = encode_level(out, first && span_eq_nocase(text, inbox) ? inbox : text, style);
		if (err != 0 || n == path.n)
			return err;
		if (style->delimiter == 0)
			return PROTO_ERR_NAME;
		err = buf_add_char(out, style->delimiter);
		if (err != 0)
			return err;
		path = span_from(path, n + 1);
		buf_reset(level);
	}
}

int name_from_path(struct buf *out, struct span path, const struct name_style *style)
{
	size_t start = out->n;
	struct span joined;
	struct buf level;
	int err;

	if (path.n == 0)
		return PROTO_ERR_NAME;
	buf_init(&level, path.n);
	err = buf_append(out, style->prefix);
	if (err == 0)
		err = join_levels(out, path, style, &level);
	buf_done(&level);
	if (err != 0) {
		buf_truncate(out, start);
		return err;
	}
	joined = span_from(buf_span(out), start + style->prefix.n);
	if (keeps_prefix(joined, style)) {
		memmove(out->p + out->off + start, joined.p, joined.n);
		buf_truncate(out, start + joined.n);
	}
	return 0;
}

size_t name_parent(struct span path)
{
	size_t parent = 0;

	for (size_t at = name_level(path); at < path.n; at += 1 + name_level(span_from(path, at + 1)))
		parent = at;
	return parent;
}

int name_to_level(struct buf *out, struct span text)
{
	size_t from = out->n;
	int err = buf_append(out, text);

	if (err == 0)
		err = escape(out, from);
	if (err != 0)
		buf_truncate(out, from);
	return err;
}

bool name_is_path(struct span path)
{
	for (;;) {
		size_t n = name_level(path);

		if (n == 0)
			return false;
		for (size_t i = 0; i < n; i++)
			if (path.p[i] == '\\' && (++i == n || (path.p[i] != '/' && path.p[i] != '\\')))
				return false;
		if (n == path.n)
			return true;
		path = span_from(path, n + 1);
	}
}
