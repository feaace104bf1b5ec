#include "header.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The line that begins at `at`, with its end. */
static struct span line_at(struct span text, size_t at)
{
	struct span rest = span_from(text, at);
	size_t end = span_find(rest, '\n');

	return end == SIZE_MAX ? rest : span_first(rest, end + 1);
}

static bool begins_field(struct span line, struct span name)
{
	size_t n = name.n;

	if (!span_starts_nocase(line, name))
		return false;
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	return n < line.n && line.p[n] == ':';
}

static void add_line(struct buf *out, struct span value, size_t start)
{
	bool blank = out->n != start;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (is_blank(c)) {
			blank = out->n != start;
			continue;
		}
		if ((blank && buf_add_char(out, ' ') != 0) ||
			buf_add_char(out, (unsigned char)c < 0x20 || c == 0x7f ? '?' : c) != 0)
			return;
		blank = false;
	}
}

bool header_field(struct span text, struct span name, struct buf *out)
{
	size_t start = out->n;
	bool within = false;

	for (size_t at = 0; at < text.n;) {
		struct span line = line_at(text, at);

		at += line.n;
		if (line.p[0] == '\n' || (line.n > 1 && line.p[0] == '\r' && line.p[1] == '\n'))
			break;
		if (within && line.p[0] != ' ' && line.p[0] != '\t')
			break;
		if (within)
			add_line(out, line, start);
		else if (begins_field(line, name)) {
			within = true;
			add_line(out, span_from(line, span_find(line, ':') + 1), start);
		}
	}
	return out->n != start;
}
