#include "repair.h"

#include <stdio.h>

#define LINE_MAX 998 /* bytes of a line without its CRLF (RFC 5322 section 2.1.1) */
#define REPAIR_KEYWORDS 0u

static const struct {
	unsigned kind;
	const char *words;
} refusals[] = {
#define REFUSAL(what, words) { REPAIR_##what, words },
#include "refusals.def"
#undef REFUSAL
};

static bool fits(size_t i, struct span words)
{
	return span_search_nocase(words, span_str(refusals[i].words)) != SIZE_MAX;
}

unsigned repair_for(struct span words)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (fits(i, words))
			kinds |= refusals[i].kind;
	return kinds;
}

bool repair_is_about_flags(struct span words)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].kind == REPAIR_KEYWORDS && fits(i, words))
			return true;
	return false;
}

void repair_begin(struct repair *r, unsigned kinds)
{
	*r = (struct repair){ .kinds = kinds, .ended = true };
}

static int newline(struct repair *r, struct buf *out)
{
	r->column = 0;
	r->ended = true;
	return buf_append(out, SPAN("\r\n"));
}

static int byte(struct repair *r, char c, struct buf *out)
{
	int err = 0;

	if (r->column == LINE_MAX && (r->kinds & REPAIR_LINES) != 0) {
		r->done |= REPAIR_LINES;
		err = newline(r, out);
	}
	r->column++;
	r->ended = false;
	return err == 0 ? buf_add_char(out, c) : err;
}

/* A CR that was not followed by LF. */
static int bare_cr(struct repair *r, struct buf *out)
{
	r->cr = false;
	if ((r->kinds & REPAIR_NEWLINES) == 0)
		return byte(r, '\r', out);
	r->done |= REPAIR_NEWLINES;
	return newline(r, out);
}

static int line_feed(struct repair *r, struct buf *out)
{
	if (r->cr) {
		r->cr = false;
		return newline(r, out);
	}
	if ((r->kinds & REPAIR_NEWLINES) != 0) {
		r->done |= REPAIR_NEWLINES;
		return newline(r, out);
	}
	r->column = 0;
	r->ended = false;
	return buf_add_char(out, '\n');
}

int repair_add(struct repair *r, struct span in, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < in.n && err == 0; i++) {
		char c = in.p[i];

		if (c == '\0' && (r->kinds & REPAIR_NUL) != 0) {
			r->done |= REPAIR_NUL;
			continue;
		}
		if (c == '\n') {
			err = line_feed(r, out);
			continue;
		}
		if (r->cr)
			err = bare_cr(r, out);
		if (c == '\r')
			r->cr = true;
		else if (err == 0)
			err = byte(r, c, out);
	}
	return err;
}

int repair_end(struct repair *r, struct buf *out)
{
	int err = r->cr ? bare_cr(r, out) : 0;

	if (err != 0 || r->ended || (r->kinds & REPAIR_END) == 0)
		return err;
	r->done |= REPAIR_END;
	return newline(r, out);
}

void repair_words(unsigned kinds, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
#define X(name, bit, word, words)                                                                                      \
	if ((kinds & bit) != 0 && n < size)                                                                            \
		n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : "; ", words);
	REPAIRS(X)
#undef X
}
