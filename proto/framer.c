#include "framer.h"

#include "err.h"
#include "lexer.h"

#include <stdlib.h>

/* Bytes of memory that stay allocated between responses: idle connections are many. */
#define KEEP_MAX ((size_t)16 * 1024)

enum framer_state {
	AT_LINE,
	AT_LITERAL, /* `left` bytes of a small literal are to come */
	AT_BODY     /* `left` bytes of the streamed literal are to come */
};

enum line_kind {
	LINE_UNKNOWN, /* the first line end was not seen yet */
	LINE_TEXT,    /* ends in text for people: no literals */
	LINE_FETCH,
	LINE_DATA
};

struct framer {
	struct framer_limits limits;
	struct buf kept; /* the response so far, when it did not lie whole in one input */
	enum framer_state state;
	enum line_kind kind;
	size_t segment;  /* offset in the response of the text behind the last literal */
	size_t streamed;
	uint64_t left;
	bool given;      /* `kept` was handed out as a complete response */
	int err;
};

/* "{n}" at the end of a line. */
struct announcement {
	size_t before; /* offset of "{" or "~{" in the segment */
	size_t open;   /* offset of '{' */
	uint64_t n;    /* UINT64_MAX when it does not fit */
	bool literal8;
};

struct framer *framer_new(const struct framer_limits *limits)
{
	struct framer *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->limits = *limits;
	f->streamed = SIZE_MAX;
	buf_init(&f->kept, limits->line_max);
	return f;
}

void framer_free(struct framer **f)
{
	if (f == NULL || *f == NULL)
		return;
	buf_done(&(*f)->kept);
	free(*f);
	*f = NULL;
}

static void response_forget(struct framer *f)
{
	if (f->kept.size > KEEP_MAX)
		buf_done(&f->kept);
	else
		buf_reset(&f->kept);
	f->kind = LINE_UNKNOWN;
	f->segment = 0;
	f->streamed = SIZE_MAX;
	f->given = false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Judged by the first line, which is complete up to its LF. */
static enum line_kind line_classify(struct span line)
{
	static const struct span texts[] = { SPAN("OK"), SPAN("NO"), SPAN("BAD"), SPAN("BYE"), SPAN("PREAUTH") };
	struct span word;

	if (line.n < 2 || line.p[0] != '*' || line.p[1] != ' ')
		return LINE_TEXT;
	line = span_from(line, 2);
	word = lexer_word(&line);
	if (word.n > 0 && is_digit(word.p[0]))
		return span_eq_nocase(lexer_word(&line), SPAN("FETCH")) ? LINE_FETCH : LINE_DATA;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
		if (span_eq_nocase(word, texts[i]))
			return LINE_TEXT;
	}
	return LINE_DATA;
}

/* A '{' inside an atom ("foo{3}", seen as unquoted folder name) is not a literal. lexer.c draws the same line. */
static bool may_precede_literal(char c, bool literal8)
{
	return c == ' ' || c == '(' || c == ')' || c == '"' || (!literal8 && (c == ']' || c == '>'));
}

/* `segment` ends in LF. */
static bool announcement_find(struct span segment, struct announcement *ret)
{
	const char *p = segment.p;
	size_t i = segment.n - 1, end;
	struct announcement a = { 0 };

	if (i > 0 && p[i - 1] == '\r')
		--i;
	if (i < 3 || p[i - 1] != '}')
		return false;
	--i;
	if (p[i - 1] == '+') /* only clients may write it; understood all the same */
		--i;
	end = i;
	while (i > 0 && is_digit(p[i - 1]))
		--i;
	if (i == end || i == 0 || p[i - 1] != '{')
		return false;
	if (!span_to_u64(span_of(p + i, end - i), &a.n))
		a.n = UINT64_MAX;
	a.open = i - 1;
	a.literal8 = a.open > 0 && p[a.open - 1] == '~';
	a.before = a.literal8 ? a.open - 1 : a.open;
	if (a.before > 0 && !may_precede_literal(p[a.before - 1], a.literal8))
		return false;
	*ret = a;
	return true;
}

static bool ends_with_item(struct span s, struct span name)
{
	if (s.n < name.n || !span_eq_nocase(span_from(s, s.n - name.n), name))
		return false;
	if (s.n == name.n)
		return true;
	char c = s.p[s.n - name.n - 1];
	return c == ' ' || c == '(' || c == ')' || c == '"';
}

/* True when the text in front of a literal ends with the name of an item that is a whole message. */
static bool is_body_item(struct span s)
{
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		--s.n;
	if (ends_with_item(s, SPAN("RFC822")))
		return true;
	if (s.n > 0 && s.p[s.n - 1] == '>') {
		size_t i = s.n - 1;
		while (i > 0 && is_digit(s.p[i - 1]))
			--i;
		if (i == 0 || s.p[i - 1] != '<')
			return false;
		s.n = i - 1;
	}
	return ends_with_item(s, SPAN("BODY[]")) || ends_with_item(s, SPAN("BINARY[]"));
}

/* Moves the bytes looked at from *in to the end of what is kept. */
static int bytes_keep(struct framer *f, struct span *in, size_t *used)
{
	int err = *used > 0 ? buf_append(&f->kept, span_first(*in, *used)) : 0;

	if (err != 0)
		return err;
	*in = span_from(*in, *used);
	*used = 0;
	return 0;
}

/* `all` is the response so far, with the announcement at its end. */
static int literal_begin(struct framer *f, size_t all, struct span segment, const struct announcement *a)
{
	if (f->kind == LINE_FETCH && f->streamed == SIZE_MAX && is_body_item(span_first(segment, a->before))) {
		if (a->n > f->limits.body_max)
			return PROTO_ERR_CAP;
		f->streamed = f->segment + a->open;
		f->state = AT_BODY;
	} else {
		if (a->n > f->limits.line_max - all)
			return PROTO_ERR_CAP;
		f->state = a->n > 0 ? AT_LITERAL : AT_LINE;
	}
	f->left = a->n;
	f->segment = all;
	return 0;
}

static int line_end(struct framer *f, struct span all, struct span *in, size_t used, struct frame *ret)
{
	*ret = (struct frame){ .kind = FRAME_LINE, .bytes = all, .streamed = f->streamed };
	if (f->kept.n > 0) {
		f->given = true;
	} else {
		*in = span_from(*in, used);
		response_forget(f);
	}
	return 0;
}

static int body_begin(struct framer *f, struct span *in, size_t used, bool literal8, struct frame *ret)
{
	int err = bytes_keep(f, in, &used);

	if (err != 0)
		return err;
	*ret = (struct frame){ .kind = FRAME_BODY_BEGIN, .bytes = buf_span(&f->kept), .size = f->left,
		.streamed = f->streamed, .literal8 = literal8 };
	return 0;
}

static void body_next(struct framer *f, struct span *in, struct frame *ret)
{
	*ret = (struct frame){ .kind = FRAME_NONE, .streamed = f->streamed };
	if (f->left == 0) {
		f->state = AT_LINE;
		ret->kind = FRAME_BODY_END;
	} else if (in->n > 0) {
		ret->kind = FRAME_BODY_DATA;
		ret->bytes = span_first(*in, f->left < in->n ? (size_t)f->left : in->n);
		f->left -= ret->bytes.n;
		*in = span_from(*in, ret->bytes.n);
	}
}

static size_t literal_pass(struct framer *f, size_t n)
{
	size_t take = f->left < n ? (size_t)f->left : n;

	f->left -= take;
	if (f->left == 0)
		f->state = AT_LINE;
	return take;
}

static int line_next(struct framer *f, struct span *in, struct frame *ret)
{
	size_t used = 0; /* bytes of *in that belong to this response and are not kept yet */
	int err;

	while (used < in->n) {
		if (f->state == AT_LITERAL) {
			used += literal_pass(f, in->n - used);
			f->segment = f->kept.n + used;
			continue;
		}
		const char *lf = memchr(in->p + used, '\n', in->n - used);
		used = lf != NULL ? (size_t)(lf + 1 - in->p) : in->n;
		if (f->kept.n + used > f->limits.line_max)
			return PROTO_ERR_CAP;
		if (lf == NULL)
			break;
		if (f->kept.n > 0 && (err = bytes_keep(f, in, &used)) != 0)
			return err;
		struct span all = f->kept.n > 0 ? buf_span(&f->kept) : span_first(*in, used);
		struct span segment = span_from(all, f->segment);
		struct announcement a;
		if (f->kind == LINE_UNKNOWN)
			f->kind = line_classify(all);
		if (f->kind == LINE_TEXT || !announcement_find(segment, &a))
			return line_end(f, all, in, used, ret);
		err = literal_begin(f, all.n, segment, &a);
		if (err != 0)
			return err;
		if (f->state == AT_BODY)
			return body_begin(f, in, used, a.literal8, ret);
	}
	err = bytes_keep(f, in, &used);
	if (err != 0)
		return err;
	*ret = (struct frame){ .kind = FRAME_NONE, .streamed = f->streamed };
	return 0;
}

int framer_next(struct framer *f, struct span *in, struct frame *ret)
{
	if (f->err != 0)
		return f->err;
	if (f->given)
		response_forget(f);
	if (f->state == AT_BODY)
		body_next(f, in, ret);
	else
		f->err = line_next(f, in, ret);
	return f->err;
}

void framer_trim(struct framer *f)
{
	if (f->kept.n == 0)
		buf_done(&f->kept);
}
