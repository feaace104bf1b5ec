#include "lexer.h"

#include "err.h"

#include <assert.h>

void lexer_init(struct lexer *l, struct span response, size_t streamed, struct arena *arena)
{
	*l = (struct lexer){ .in = response, .streamed = streamed, .arena = arena };
}

static void advance(struct lexer *l, size_t n)
{
	assert(n <= l->in.n);
	if (n == 0) /* the span may be NULL */
		return;
	l->in.p += n;
	l->in.n -= n;
	l->at += n;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_atom_byte(char c)
{
	unsigned char u = (unsigned char)c;

	return u > ' ' && u != 0x7f && u != '(' && u != ')' && u != '"';
}

/* Bytes of "{n}" with its line end at s.p[i], and n; 0: none there. A number that does not fit becomes UINT64_MAX. */
static size_t announcement_at(struct span s, size_t i, uint64_t *n)
{
	size_t from = i;
	uint64_t v = 0;

	if (i >= s.n || s.p[i] != '{')
		return 0;
	for (++i; i < s.n && is_digit(s.p[i]); ++i) {
		unsigned digit = (unsigned)(s.p[i] - '0');
		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	if (i == from + 1)
		return 0;
	if (i < s.n && s.p[i] == '+')
		++i;
	if (i >= s.n || s.p[i] != '}')
		return 0;
	++i;
	if (i < s.n && s.p[i] == '\r')
		++i;
	if (i >= s.n || s.p[i] != '\n')
		return 0;
	*n = v;
	return i + 1 - from;
}

/* The position behind the quoted string that begins at i, or SIZE_MAX. */
static size_t quoted_end(struct span s, size_t i, bool *escaped)
{
	*escaped = false;
	for (++i; i < s.n; ++i) {
		char c = s.p[i];
		if (c == '"')
			return i + 1;
		if (c == '\n')
			return SIZE_MAX;
		if (c == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\')) {
			*escaped = true;
			++i;
		}
	}
	return SIZE_MAX;
}

/* A backslash before any other byte than '"' and '\\' stands for itself: servers forget to escape it. */
static int unescape(struct arena *a, struct span s, struct span *ret)
{
	struct span copy;
	size_t n = 0;
	int err = arena_copy(a, s, &copy);

	if (err != 0)
		return err;
	char *p = (char *)copy.p; /* the arena's bytes are ours to write */
	for (size_t i = 0; i < s.n; ++i) {
		if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\'))
			++i;
		p[n++] = s.p[i];
	}
	*ret = span_of(p, n);
	return 0;
}

static int quoted_take(struct lexer *l, struct token *ret, bool raw)
{
	bool escaped;
	size_t end = quoted_end(l->in, 0, &escaped);
	struct token t = { .kind = TOKEN_QUOTED };

	if (end == SIZE_MAX)
		return PROTO_ERR_SYNTAX;
	t.text = span_of(l->in.p + 1, end - 2);
	if (escaped && !raw) {
		int err = unescape(l->arena, t.text, &t.text);
		if (err != 0)
			return err;
	}
	*ret = t;
	advance(l, end);
	return 0;
}

/* `head` bytes of announcement begin at `from`. */
static int literal_take(struct lexer *l, size_t from, size_t head, uint64_t n, struct token *ret)
{
	if (l->at + from == l->streamed) {
		*ret = (struct token){ .kind = TOKEN_STREAMED };
		advance(l, from + head);
		return 0;
	}
	if (n > l->in.n - from - head)
		return PROTO_ERR_SYNTAX;
	*ret = (struct token){ .kind = TOKEN_LITERAL, .text = span_of(l->in.p + from + head, (size_t)n) };
	advance(l, from + head + (size_t)n);
	return 0;
}

/* The position behind the ']' of the section whose '[' is at i, or SIZE_MAX. */
static size_t section_end(const struct lexer *l, size_t i)
{
	struct span s = l->in;
	bool escaped;
	uint64_t n;

	for (++i; i < s.n && s.p[i] != ']' && s.p[i] != '\n';) {
		size_t head = announcement_at(s, i, &n);
		if (head > 0) {
			if (l->at + i == l->streamed || n > s.n - i - head)
				return SIZE_MAX;
			i += head + (size_t)n;
		} else if (s.p[i] == '"') {
			i = quoted_end(s, i, &escaped);
			if (i == SIZE_MAX)
				return SIZE_MAX;
		} else {
			++i;
		}
	}
	return i < s.n && s.p[i] == ']' ? i + 1 : SIZE_MAX;
}

static int atom_take(struct lexer *l, struct token *ret, bool section)
{
	struct span s = l->in;
	size_t i = 0;
	uint64_t n;

	while (i < s.n && is_atom_byte(s.p[i])) {
		if (s.p[i] == '{' && i > 0 && (s.p[i - 1] == ']' || s.p[i - 1] == '>') && announcement_at(s, i, &n) > 0)
			break;
		if (s.p[i] == '[' && section) {
			i = section_end(l, i);
			if (i == SIZE_MAX)
				return PROTO_ERR_SYNTAX;
			section = false;
		} else {
			++i;
		}
	}
	if (i == 0)
		return PROTO_ERR_SYNTAX;
	*ret = (struct token){ .kind = TOKEN_ATOM, .text = span_of(s.p, i) };
	if (i == 3 && span_eq_nocase(ret->text, SPAN("NIL")))
		ret->kind = TOKEN_NIL;
	advance(l, i);
	return 0;
}

static bool is_at_end(struct span s)
{
	return s.n == 0 || s.p[0] == '\n' || (s.p[0] == '\r' && (s.n == 1 || s.p[1] == '\n'));
}

/* `raw`: a quoted string is not unescaped, the token's kind is enough; `section`: see lexer_item(). */
static int take(struct lexer *l, struct token *ret, bool raw, bool section)
{
	uint64_t n;
	size_t from, head, blanks = 0;

	while (blanks < l->in.n && l->in.p[blanks] == ' ')
		++blanks;
	advance(l, blanks);
	if (is_at_end(l->in)) {
		*ret = (struct token){ .kind = TOKEN_END };
		return 0;
	}
	switch (l->in.p[0]) {
	case '(':
	case ')':
		*ret = (struct token){ l->in.p[0] == '(' ? TOKEN_OPEN : TOKEN_CLOSE, span_first(l->in, 1) };
		advance(l, 1);
		return 0;
	case '"':
		return quoted_take(l, ret, raw);
	case '{':
	case '~':
		from = l->in.p[0] == '~' ? 1 : 0;
		head = announcement_at(l->in, from, &n);
		if (head > 0)
			return literal_take(l, from, head, n, ret);
		break;
	}
	return atom_take(l, ret, section);
}

int lexer_next(struct lexer *l, struct token *ret)
{
	return take(l, ret, false, false);
}

int lexer_item(struct lexer *l, struct token *ret)
{
	return take(l, ret, false, true);
}

int lexer_peek(struct lexer *l, struct token *ret)
{
	struct lexer ahead = *l;

	return take(&ahead, ret, false, false);
}

static int number(struct lexer *l, uint64_t max, uint64_t *ret)
{
	struct lexer ahead = *l;
	struct token t;
	uint64_t v = 0;
	bool fits = true;
	int err = take(&ahead, &t, true, false);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_ATOM)
		return PROTO_ERR_SYNTAX;
	for (size_t i = 0; i < t.text.n; ++i) {
		if (!is_digit(t.text.p[i]))
			return PROTO_ERR_SYNTAX;
		unsigned digit = (unsigned)(t.text.p[i] - '0');
		fits = fits && v <= (max - digit) / 10;
		v = fits ? v * 10 + digit : 0;
	}
	if (!fits)
		return PROTO_ERR_RANGE;
	*ret = v;
	*l = ahead;
	return 0;
}

int lexer_u32(struct lexer *l, uint32_t *ret)
{
	uint64_t v;
	int err = number(l, UINT32_MAX, &v);

	if (err == 0)
		*ret = (uint32_t)v;
	return err;
}

int lexer_u64(struct lexer *l, uint64_t *ret)
{
	return number(l, UINT64_MAX, ret);
}

int lexer_astring(struct lexer *l, struct span *ret)
{
	struct lexer ahead = *l;
	struct token t;
	int err = take(&ahead, &t, false, false);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_ATOM && t.kind != TOKEN_QUOTED && t.kind != TOKEN_LITERAL && t.kind != TOKEN_NIL)
		return PROTO_ERR_SYNTAX;
	*ret = t.kind == TOKEN_NIL ? SPAN_NONE : t.text;
	*l = ahead;
	return 0;
}

/* Takes tokens until as many lists are closed as were open; `depth` are open already. */
static int skip_to_close(struct lexer *l, unsigned depth)
{
	struct token t;

	while (depth > 0) {
		int err = take(l, &t, true, false);
		if (err != 0)
			return err;
		if (t.kind == TOKEN_END || t.kind == TOKEN_STREAMED)
			return PROTO_ERR_SYNTAX;
		if (t.kind == TOKEN_OPEN && ++depth > LEXER_DEPTH_MAX)
			return PROTO_ERR_CAP;
		if (t.kind == TOKEN_CLOSE)
			--depth;
	}
	return 0;
}

int lexer_skip_value(struct lexer *l)
{
	struct lexer ahead = *l;
	struct token t;
	int err = take(&ahead, &t, true, false);

	if (err == 0 && t.kind == TOKEN_OPEN)
		err = skip_to_close(&ahead, 1);
	if (err != 0)
		return err;
	if (t.kind == TOKEN_END || t.kind == TOKEN_CLOSE || t.kind == TOKEN_STREAMED)
		return PROTO_ERR_SYNTAX;
	*l = ahead;
	return 0;
}

int lexer_list(struct lexer *l, struct span *ret)
{
	struct lexer ahead = *l;
	struct token t;
	int err = take(&ahead, &t, true, false);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_OPEN)
		return PROTO_ERR_SYNTAX;
	const char *from = ahead.in.p;
	err = skip_to_close(&ahead, 1);
	if (err != 0)
		return err;
	*ret = span_of(from, (size_t)(ahead.in.p - 1 - from));
	*l = ahead;
	return 0;
}

int lexer_expect(struct lexer *l, enum token_kind kind)
{
	struct lexer ahead = *l;
	struct token t;
	int err = take(&ahead, &t, true, false);

	if (err != 0)
		return err;
	if (t.kind != kind)
		return PROTO_ERR_SYNTAX;
	*l = ahead;
	return 0;
}

struct span lexer_rest(struct lexer *l)
{
	struct span s = l->in;

	advance(l, l->in.n);
	if (s.n > 0 && s.p[s.n - 1] == '\n')
		--s.n;
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		--s.n;
	while (s.n > 0 && s.p[0] == ' ')
		s = span_from(s, 1);
	return s;
}

struct span lexer_word(struct span *s)
{
	size_t i = 0, from;

	while (i < s->n && s->p[i] == ' ')
		++i;
	from = i;
	while (i < s->n && s->p[i] != ' ' && s->p[i] != '(' && s->p[i] != '[' && s->p[i] != '\r' && s->p[i] != '\n')
		++i;
	struct span word = span_first(span_from(*s, from), i - from);
	*s = span_from(*s, i);
	return word;
}
