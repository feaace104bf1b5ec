#include "flags.h"

#include <stdlib.h>

#include "err.h"

enum kind { KIND_NONE, KIND_SYSTEM, KIND_KEYWORD, KIND_ANY, KIND_UNKNOWN, KIND_BAD };

static const struct {
	enum flag bit;
	struct span text;
} system_flags[] = {
#define X(name, value, string) { name, { string, sizeof(string) - 1 } },
	FLAGS_SYSTEM(X)
#undef X
};

enum { SYSTEM_N = sizeof(system_flags) / sizeof(system_flags[0]) };

/* The next word between blanks; false at the end. */
static bool next_word(struct span *text, struct span *ret)
{
	size_t end;

	*text = span_trim(*text);
	if (text->n == 0)
		return false;
	for (end = 0; end < text->n && text->p[end] != ' ' && text->p[end] != '\t';)
		end++;
	*ret = span_first(*text, end);
	*text = span_from(*text, end);
	return true;
}

/* How the bytes of an atom look (RFC 9051 section 9); ']' and 8-bit ones are read, but never sent. */
static enum kind kind_of_atom(struct span atom)
{
	enum kind kind = KIND_KEYWORD;

	if (atom.n == 0)
		return KIND_BAD;
	for (size_t i = 0; i < atom.n; i++) {
		unsigned char c = (unsigned char)atom.p[i];

		if (c <= ' ' || c == 0x7f || memchr("(){%*\"\\", c, 7) != NULL)
			return KIND_BAD;
		if (c >= 0x80 || c == ']')
			kind = KIND_UNKNOWN;
	}
	return kind;
}

static enum kind kind_of(struct span word, unsigned *bit)
{
	if (word.p[0] != '\\')
		return kind_of_atom(word);
	for (size_t i = 0; i < SYSTEM_N; i++)
		if (span_eq_nocase(word, system_flags[i].text)) {
			*bit = system_flags[i].bit;
			return KIND_SYSTEM;
		}
	if (span_eq(word, SPAN("\\*")))
		return KIND_ANY;
	if (span_eq_nocase(word, SPAN("\\Recent")))
		return KIND_NONE;
	return kind_of_atom(span_from(word, 1)) == KIND_BAD ? KIND_BAD : KIND_UNKNOWN;
}

static int compare_nocase(struct span a, struct span b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++) {
		unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];

		x = x >= 'A' && x <= 'Z' ? x + ('a' - 'A') : x;
		y = y >= 'A' && y <= 'Z' ? y + ('a' - 'A') : y;
		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a.n > b.n) - (a.n < b.n);
}

/* The spelling decides between keywords that are alike: which one stays does not depend on the server's order. */
static int compare_keywords(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	int c = compare_nocase(*x, *y);

	return c != 0 ? c : span_cmp(*x, *y);
}

static int collect_keywords(struct flags *f, struct span text, struct arena *a)
{
	struct span *keywords, word;
	size_t n = 0, kept = 1;
	unsigned bit;

	if (f->keyword_n > SIZE_MAX / sizeof(*keywords) || f->keyword_n * sizeof(*keywords) > a->cap - a->used)
		return PROTO_ERR_CAP;
	keywords = arena_alloc(a, f->keyword_n * sizeof(*keywords));
	if (keywords == NULL)
		return PROTO_ERR_NOMEM;
	while (next_word(&text, &word))
		if (kind_of(word, &bit) == KIND_KEYWORD)
			keywords[n++] = word;
	qsort(keywords, n, sizeof(*keywords), compare_keywords);
	for (size_t i = 1; i < n; i++)
		if (!span_eq_nocase(keywords[i], keywords[kept - 1]))
			keywords[kept++] = keywords[i];
	f->keywords = keywords;
	f->keyword_n = kept;
	return 0;
}

int flags_parse(struct flags *ret, struct span text, struct arena *a)
{
	struct span rest = text, word;
	struct flags f = { 0 };
	unsigned bit = 0;

	while (next_word(&rest, &word)) {
		switch (kind_of(word, &bit)) {
		case KIND_NONE:
			break;
		case KIND_SYSTEM:
			f.system |= bit;
			break;
		case KIND_KEYWORD:
			f.keyword_n++;
			break;
		case KIND_ANY:
			f.any_keyword = true;
			break;
		case KIND_UNKNOWN:
			f.unknown++;
			break;
		case KIND_BAD:
			f.unknown++; /* one odd keyword must not cost the message */
			break;
		}
	}
	if (f.keyword_n != 0) {
		int err = collect_keywords(&f, text, a);

		if (err != 0)
			return err;
	}
	*ret = f;
	return 0;
}

static int print_word(struct buf *out, struct span word, size_t start)
{
	int err = out->n != start ? buf_add_char(out, ' ') : 0;

	return err != 0 ? err : buf_append(out, word);
}

int flags_print(struct buf *out, const struct flags *f)
{
	size_t start = out->n;
	int err = 0;

	for (size_t i = 0; err == 0 && i < SYSTEM_N; i++)
		if ((f->system & system_flags[i].bit) != 0)
			err = print_word(out, system_flags[i].text, start);
	for (size_t i = 0; err == 0 && i < f->keyword_n; i++)
		err = print_word(out, f->keywords[i], start);
	if (err != 0)
		buf_truncate(out, start);
	return err;
}

/* Writes the keywords that both have to `to` unless it is NULL; returns how many there are. */
static size_t common_keywords(const struct flags *f, const struct flags *permanent, struct span *to)
{
	size_t n = 0;

	for (size_t i = 0, j = 0; i < f->keyword_n && j < permanent->keyword_n;) {
		int c = compare_nocase(f->keywords[i], permanent->keywords[j]);

		if (c == 0 && to != NULL)
			to[n] = f->keywords[i];
		n += c == 0;
		i += c <= 0;
		j += c >= 0;
	}
	return n;
}

size_t flags_restrict(struct flags *f, const struct flags *permanent, struct arena *a)
{
	size_t kept = permanent->any_keyword ? f->keyword_n : common_keywords(f, permanent, NULL);
	size_t gone = f->keyword_n - kept;

	if (kept != 0 && gone != 0) {
		struct span *keywords = arena_alloc(a, kept * sizeof(*keywords));

		if (keywords == NULL)
			return SIZE_MAX;
		common_keywords(f, permanent, keywords);
		f->keywords = keywords;
	} else if (kept == 0) {
		f->keywords = NULL;
	}
	f->keyword_n = kept;
	gone += (size_t)__builtin_popcount(f->system & ~permanent->system);
	f->system &= permanent->system;
	return gone;
}

bool flags_allow(const struct flags *permanent, struct span name)
{
	static const struct {
		unsigned bit;
		struct span name;
	} system[] = {
#define X(id, bit, text) { bit, { text, sizeof(text) - 1 } },
		FLAGS_SYSTEM(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		if (span_eq_nocase(system[i].name, name))
			return (permanent->system & system[i].bit) != 0;
	for (size_t i = 0; i < permanent->keyword_n; i++)
		if (span_eq_nocase(permanent->keywords[i], name))
			return true;
	return permanent->any_keyword;
}
