#include "scan.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define SHOWN 64		/* bytes of a name in a message */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,		/* bare or quoted */
	TOKEN_EQUALS = '=',
	TOKEN_OPEN = '{',
	TOKEN_CLOSE = '}',
	TOKEN_COMMA = ',',
};

struct token {
	enum token_kind kind;
	int line;
	const char *text;	/* without the quotes */
	size_t len;
};

struct scanner {
	const char *p;
	int line;
	const char *file;
	struct scan *scan;
	struct conf_error *err;
	bool in_list;		/* where libConfuse has no comments */
};

static int scan_shown(size_t len)
{
	return len < SHOWN ? (int)len : SHOWN;
}

/* Skips blanks and comments. */
static int scan_blanks(struct scanner *s)
{
	for (;;) {
		if (*s->p == '\n') {
			s->line++;
			s->p++;
		} else if (*s->p == ' ' || *s->p == '\t' || *s->p == '\r') {
			s->p++;
		} else if (s->in_list && (*s->p == '#' || (s->p[0] == '/' && strchr("/*", s->p[1]) && s->p[1]))) {
			return conf_error_at(s->err, s->file, s->line, "a comment stands inside a list; "
					     "write it before the list");
		} else if (*s->p == '#' || (s->p[0] == '/' && s->p[1] == '/')) {
			s->p += strcspn(s->p, "\n");
		} else if (s->p[0] == '/' && s->p[1] == '*') {
			const char *end = strstr(s->p + 2, "*/");

			if (!end)
				return conf_error_at(s->err, s->file, s->line,
						     "the comment is not closed; end it with */");
			for (; s->p < end; s->p++)
				s->line += *s->p == '\n';
			s->p += 2;
		} else {
			return 0;
		}
	}
}

static int scan_variable(struct scanner *s)
{
	return conf_error_at(s->err, s->file, s->line, "${...} is not replaced by a variable; "
			     "write the value itself");
}

static int scan_quoted(struct scanner *s, struct token *ret)
{
	char quote = *s->p++;

	ret->kind = TOKEN_WORD;
	ret->text = s->p;
	for (; *s->p != quote; s->p++) {
		if (*s->p == '\0' || *s->p == '\n')
			return conf_error_at(s->err, s->file, s->line, "the string is not closed; "
					     "end it with %c on the same line", quote);
		if (quote == '"' && s->p[0] == '$' && s->p[1] == '{')
			return scan_variable(s);
		if (*s->p != '\\')
			continue;
		if (s->p[1] == '\0' || !strchr("\"'\\$", s->p[1]))
			return conf_error_at(s->err, s->file, s->line, "a \\ stands before another "
					     "character than \" or \\; write \\\\ for a \\ itself");
		s->p++;
	}
	ret->len = (size_t)(s->p - ret->text);
	s->p++;
	return 0;
}

static int scan_bare(struct scanner *s, struct token *ret)
{
	ret->kind = TOKEN_WORD;
	ret->text = s->p;
	ret->len = strcspn(s->p, " #\"'\t\n\r={}()+,*;");
	s->p += ret->len;
	if (memmem(ret->text, ret->len, "//", 2) || (ret->len > 0 && *s->p == '*'))
		return conf_error_at(s->err, s->file, s->line, "a value with // or * in it stands "
				     "without quotes; write it in double quotes");
	if (ret->len > 0 && ret->text[ret->len - 1] == '$' && *s->p == '{')
		return scan_variable(s);
	if (ret->len > 0)
		return 0;
	if (*s->p == ';')
		return conf_error_at(s->err, s->file, s->line, "unexpected \";\"; leave it out, "
				     "a value ends by itself");
	return conf_error_at(s->err, s->file, s->line, "unexpected \"%c\"; write NAME = VALUE, "
			     "one value for each name", *s->p);
}

static int scan_token(struct scanner *s, struct token *ret)
{
	if (scan_blanks(s) < 0)
		return -1;
	*ret = (struct token){ .line = s->line, .text = s->p, .len = 1 };
	switch (*s->p) {
	case '\0':
		ret->kind = TOKEN_END;
		ret->len = 0;
		return 0;
	case '=':
	case '{':
	case '}':
	case ',':
		ret->kind = (enum token_kind)*s->p++;
		return 0;
	case '"':
	case '\'':
		return scan_quoted(s, ret);
	default:
		return scan_bare(s, ret);
	}
}

static struct scan_item *scan_add(struct scanner *s, enum scan_kind kind,
				  const struct token *token)
{
	struct scan *scan = s->scan;

	if (scan->item_n == scan->item_cap) {
		size_t cap = scan->item_cap ? scan->item_cap * 2 : 32;
		struct scan_item *items = reallocarray(scan->items, cap, sizeof(*items));

		if (!items) {
			conf_error_at(s->err, s->file, 0, "out of memory; free some");
			return NULL;
		}
		scan->items = items;
		scan->item_cap = cap;
	}
	scan->items[scan->item_n] = (struct scan_item){
		.kind = kind, .line = token->line, .name = token->text, .name_len = token->len,
	};
	return &scan->items[scan->item_n++];
}

/* What follows "NAME = {": values with commas in between, on as many lines as one likes. */
static int scan_list(struct scanner *s, const struct token *name)
{
	struct scan_item *item = scan_add(s, SCAN_KEY, name);
	struct token token;

	if (!item)
		return -1;
	item->list = s->in_list = true;
	if (scan_token(s, &token) < 0)
		return -1;
	while (token.kind == TOKEN_WORD) {
		if (scan_token(s, &token) < 0)
			return -1;
		if (token.kind != TOKEN_COMMA)
			break;
		if (scan_token(s, &token) < 0)
			return -1;
	}
	s->in_list = false;
	if (token.kind == TOKEN_CLOSE)
		return 0;
	return conf_error_at(s->err, s->file, name->line, "the list of %.*s is not complete; write "
			     "%.*s = { \"VALUE\", \"VALUE\" }", scan_shown(name->len), name->text,
			     scan_shown(name->len), name->text);
}

/* What follows "NAME =". */
static int scan_key(struct scanner *s, const struct token *name)
{
	struct token value;

	if (scan_token(s, &value) < 0)
		return -1;
	if (value.kind == TOKEN_OPEN && value.line == name->line)
		return scan_list(s, name);
	/* a value on a later line is, more likely, the next key */
	if (value.kind != TOKEN_WORD || value.line != name->line)
		return conf_error_at(s->err, s->file, name->line, "the value of %.*s is missing; "
				     "write %.*s = VALUE on one line",
				     scan_shown(name->len), name->text,
				     scan_shown(name->len), name->text);
	return scan_add(s, SCAN_KEY, name) ? 0 : -1;
}

/*
 * A statement that begins with name. *ret_open becomes the index of the section
 * when it opens one.
 */
static int scan_statement(struct scanner *s, const struct token *name, ptrdiff_t *ret_open)
{
	struct scan_item *item;
	struct token next, title = { .kind = TOKEN_END };

	if (scan_token(s, &next) < 0)
		return -1;
	if (next.kind == TOKEN_EQUALS)
		return scan_key(s, name);
	if (next.kind == TOKEN_WORD && next.line == name->line) {
		title = next;
		if (scan_token(s, &next) < 0)
			return -1;
	}
	if (next.kind != TOKEN_OPEN)
		return conf_error_at(s->err, s->file, name->line, "\"=\" is missing after %.*s; "
				     "write %.*s = VALUE", scan_shown(name->len), name->text,
				     scan_shown(name->len), name->text);
	item = scan_add(s, SCAN_SECTION, name);
	if (!item)
		return -1;
	if (title.kind == TOKEN_WORD) {
		item->title = title.text;
		item->title_len = title.len;
	}
	if (*ret_open >= 0) {
		const struct scan_item *outer = &s->scan->items[*ret_open];

		return conf_error_at(s->err, s->file, item->line, "a section begins inside the "
				     "section %.*s of line %d; end that one with } before",
				     scan_shown(outer->name_len), outer->name, outer->line);
	}
	*ret_open = item - s->scan->items;
	return 0;
}

int scan_text(const char *text, const char *file, struct scan *ret, struct conf_error *err)
{
	struct scanner s = { .p = text, .line = 1, .file = file, .scan = ret, .err = err };
	ptrdiff_t open = -1;
	struct token token;

	*ret = (struct scan){ 0 };
	for (;;) {
		if (scan_token(&s, &token) < 0)
			return -1;
		if (token.kind == TOKEN_END)
			break;
		if (token.kind == TOKEN_CLOSE && open >= 0) {
			open = -1;
			if (!scan_add(&s, SCAN_END, &token))
				return -1;
		} else if (token.kind == TOKEN_WORD) {
			if (scan_statement(&s, &token, &open) < 0)
				return -1;
		} else {
			return conf_error_at(err, file, token.line, "unexpected \"%c\"; "
					     "write NAME = VALUE or SECTION \"NAME\" { ... }",
					     *token.text);
		}
	}
	if (open >= 0)
		return conf_error_at(err, file, ret->items[open].line,
				     "the section %.*s is not closed; end it with }",
				     scan_shown(ret->items[open].name_len), ret->items[open].name);
	return 0;
}

void scan_done(struct scan *scan)
{
	free(scan->items);
	*scan = (struct scan){ 0 };
}
