#include "folder_rules.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "error.h"
#include "name.h"
#include "utf7.h"

#define GROUPS 10     /* the whole and \1 to \9 */
#define PATH_MAX_LEN 65536

struct rule {
	enum role role;       /* else */
	struct span from;     /* a path, else */
	regex_t *regex;
	struct span to;
};

struct pattern {
	enum role role;       /* else */
	struct span text;
};

struct patterns {
	struct pattern *p;
	size_t n;
};

struct folder_rules {
	struct rule *rule;
	size_t rule_n;
	struct patterns include, exclude;
	struct span prefix;
	bool special_use, all_namespaces;
	struct arena texts;
};

/* Patterns. */

/* Bytes of the character of a path at i; a '\' belongs to what follows it. */
static size_t unit(struct span s, size_t i)
{
	uint32_t c;
	size_t n;

	if (s.p[i] == '\\' && i + 1 < s.n)
		return 2;
	n = utf8_take(span_from(s, i), &c);
	return n != 0 ? n : 1;
}

/* One step of the pattern: from the places in `now` to those in `next`. Returns its length in the pattern. */
static size_t step(struct span pattern, struct span path, const bool *now, bool *next)
{
	bool deep = pattern.n > 1 && pattern.p[1] == '*', any = pattern.p[0] == '*', one = pattern.p[0] == '?';
	/* "\*" is a star; "\/" and "\\" stand in paths as they do here. */
	bool literal = pattern.p[0] == '\\' && pattern.n > 1 && (pattern.p[1] == '*' || pattern.p[1] == '?');
	struct span what = literal ? span_of(pattern.p + 1, 1) : span_first(pattern, unit(pattern, 0));

	memset(next, 0, path.n + 1);
	for (size_t i = 0; i <= path.n; i++) {
		size_t n = i < path.n ? unit(path, i) : 0;
		bool slash = n == 1 && path.p[i] == '/';

		if (any) {
			next[i] = next[i] || now[i];
			if (next[i] && n != 0 && (deep || !slash))
				next[i + n] = true;
		} else if (now[i] && n != 0 && (one ? !slash : span_eq(span_first(span_from(path, i), n), what))) {
			next[i + n] = true;
		}
	}
	return any ? deep ? 2 : 1 : literal ? 2 : what.n;
}

static bool fits(struct span pattern, struct span path, bool *places[2])
{
	unsigned now = 0;

	memset(places[now], 0, path.n + 1);
	places[now][0] = true;
	while (pattern.n != 0) {
		pattern = span_from(pattern, step(pattern, path, places[now], places[!now]));
		now = !now;
	}
	return places[now][path.n];
}

int folder_rules_fits(struct span pattern, struct span path)
{
	bool *room, *places[2], yes;

	if (path.n > PATH_MAX_LEN)
		return 0;
	room = calloc(2, path.n + 1);
	if (room == NULL)
		return PROTO_ERR_NOMEM;
	places[0] = room;
	places[1] = room + path.n + 1;
	yes = fits(pattern, path, places);
	/* What is below a folder, and the folder itself. */
	if (!yes && pattern.n > 3 && span_eq(span_from(pattern, pattern.n - 3), SPAN("/**")))
		yes = fits(span_first(pattern, pattern.n - 3), path, places);
	free(room);
	return yes;
}

static int any_fits(const struct patterns *list, struct span path, unsigned roles)
{
	int rc = 0;

	for (size_t i = 0; i < list->n && rc == 0; i++)
		rc = list->p[i].role != ROLE_NONE ? (int)(roles >> list->p[i].role & 1) : folder_rules_fits(list->p[i].text, path);
	return rc;
}

int folder_rules_take(const struct folder_rules *r, struct span path, unsigned roles)
{
	int rc = r == NULL || r->include.n == 0 ? 1 : any_fits(&r->include, path, roles);

	if (r == NULL || rc != 1)
		return rc;
	rc = any_fits(&r->exclude, path, roles);
	return rc < 0 ? rc : !rc;
}

/* The map. */

static int expand(const struct rule *rule, const char *path, const regmatch_t *match, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < rule->to.n && err == 0; i++) {
		char c = rule->to.p[i];

		if (c == '\\' && i + 1 < rule->to.n && rule->to.p[i + 1] >= '1' && rule->to.p[i + 1] <= '9') {
			const regmatch_t *m = &match[rule->to.p[++i] - '0'];

			if (m->rm_so >= 0)
				err = buf_append(out, span_of(path + m->rm_so, (size_t)(m->rm_eo - m->rm_so)));
		} else {
			err = buf_add_char(out, c);
		}
	}
	return err;
}

/* The whole path must fit. A match is the leftmost one, and the longest of those: when the whole one is possible it is this one. */
static int map_regex(const struct rule *rule, const char *path, struct arena *a, struct span *ret)
{
	regmatch_t match[GROUPS];
	struct buf out;
	int err;

	if (regexec(rule->regex, path, GROUPS, match, 0) != 0 || match[0].rm_so != 0 || (size_t)match[0].rm_eo != strlen(path))
		return 0;
	buf_init(&out, PATH_MAX_LEN);
	err = expand(rule, path, match, &out);
	/* A group that is empty may leave an empty level: such a rule does not fit. */
	if (err == 0 && !name_is_path(buf_span(&out))) {
		buf_done(&out);
		return 0;
	}
	if (err == 0)
		err = arena_copy(a, buf_span(&out), ret);
	buf_done(&out);
	return err != 0 ? err : 1;
}

int folder_rules_map(const struct folder_rules *r, struct span path, enum role role, struct arena *a, struct span *ret)
{
	struct span text = SPAN_NONE;

	for (size_t i = 0; r != NULL && i < r->rule_n; i++) {
		const struct rule *rule = &r->rule[i];
		int rc;

		if (rule->regex == NULL) {
			if (rule->role != ROLE_NONE ? rule->role == role : span_eq(rule->from, path)) {
				*ret = rule->to;
				return 1;
			}
			continue;
		}
		if (text.n == 0) {
			char *copy = arena_alloc(a, path.n + 1);

			if (copy == NULL)
				return PROTO_ERR_NOMEM;
			memcpy(copy, path.p, path.n);
			copy[path.n] = '\0';
			text = span_of(copy, path.n + 1);
		}
		rc = map_regex(rule, text.p, a, ret);
		if (rc != 0)
			return rc;
	}
	return 0;
}

struct span folder_rules_prefix(const struct folder_rules *r)
{
	return r != NULL ? r->prefix : SPAN_NONE;
}

bool folder_rules_special_use(const struct folder_rules *r)
{
	return r == NULL || r->special_use;
}

bool folder_rules_all_namespaces(const struct folder_rules *r)
{
	return r != NULL && r->all_namespaces;
}

/* Making. */

struct making {
	struct folder_rules *r;
	const char *file;
	int line;
	struct conf_error *err;
};

#define MAKE_FAIL(m, ...) (conf_error_at((m)->err, (m)->file, (m)->line, __VA_ARGS__), false)

static struct span keep(struct making *m, struct span text)
{
	struct span kept = SPAN_NONE;

	if (arena_copy(&m->r->texts, text, &kept) != 0)
		abort();
	return kept;
}

/* INBOX has no case, and paths have it in capitals. */
static struct span keep_path(struct making *m, struct span path)
{
	struct span kept = keep(m, path);

	if (name_level(kept) == 5 && span_eq_nocase(span_first(kept, 5), SPAN("INBOX")))
		memcpy((char *)(uintptr_t)kept.p, "INBOX", 5);
	return kept;
}

static bool is_role(struct span text)
{
	return text.n > 1 && text.p[0] == '\\' && ((text.p[1] >= 'A' && text.p[1] <= 'Z') || (text.p[1] >= 'a' && text.p[1] <= 'z'));
}

static bool make_role(struct making *m, const char *key, struct span text, enum role *ret)
{
	*ret = role_lookup(text);
	if (*ret != ROLE_NONE)
		return true;
	return MAKE_FAIL(m, "%s names \"%.*s\", which is no role; write \\\\Sent, \\\\Drafts, \\\\Trash, \\\\Junk, \\\\Archive, \\\\All, \\\\Flagged "
		"or \\\\Important", key, SPAN_ARG(text));
}

/* The rest of a path that holds more than a path may: "\*" in a pattern, "\1" in what a regular expression leads to. */
static bool is_path_with(struct span text, const char *more)
{
	struct buf b;
	bool yes;

	buf_init(&b, text.n + 1);
	for (size_t i = 0; i < text.n; i++) {
		int err;

		if (text.p[i] == '\\' && i + 1 < text.n && strchr(more, text.p[i + 1]) != NULL) {
			err = buf_add_char(&b, 'x');
			i++;
		} else {
			err = buf_add_char(&b, text.p[i]);
			if (err == 0 && text.p[i] == '\\' && i + 1 < text.n)
				err = buf_add_char(&b, text.p[++i]);
		}
		if (err != 0)
			abort();
	}
	yes = name_is_path(buf_span(&b));
	buf_done(&b);
	return yes;
}

#define PATH_FORM "levels are divided by /, none of them is empty, and \\\\ stands for a \\, \\/ for a / inside a name"

static bool make_patterns(struct making *m, const char *key, const struct conf_list *list, struct patterns *ret)
{
	m->line = list->line;
	ret->p = calloc(list->n + 1, sizeof(*ret->p));
	if (ret->p == NULL)
		abort();
	for (; ret->n < list->n; ret->n++) {
		struct span text = span_str(list->item[ret->n]);
		struct pattern *p = &ret->p[ret->n];

		if (is_role(text)) {
			if (!make_role(m, key, text, &p->role))
				return false;
		} else if (!is_path_with(text, "*?")) {
			return MAKE_FAIL(m, "%s names \"%.*s\", which is no pattern for a folder: " PATH_FORM, key, SPAN_ARG(text));
		} else {
			p->text = keep_path(m, text);
		}
	}
	return true;
}

/* The highest group that TO speaks of. */
static unsigned highest_group(struct span to)
{
	unsigned highest = 0;

	for (size_t i = 0; i + 1 < to.n; i++)
		if (to.p[i] == '\\') {
			i++;
			if (to.p[i] >= '1' && to.p[i] <= '9' && (unsigned)(to.p[i] - '0') > highest)
				highest = (unsigned)(to.p[i] - '0');
		}
	return highest;
}

static bool make_regex(struct making *m, struct span from, struct rule *rule)
{
	char *text, words[128];
	int rc;

	if (asprintf(&text, "%.*s", SPAN_ARG(from)) < 0)
		abort();
	rule->regex = calloc(1, sizeof(*rule->regex));
	if (rule->regex == NULL)
		abort();
	rc = regcomp(rule->regex, text, REG_EXTENDED);
	free(text);
	if (rc != 0) {
		regerror(rc, rule->regex, words, sizeof(words));
		free(rule->regex);
		rule->regex = NULL;
		return MAKE_FAIL(m, "map has the regular expression /%.*s/: %s; correct it", SPAN_ARG(from), words);
	}
	if (highest_group(rule->to) > rule->regex->re_nsub)
		return MAKE_FAIL(m, "map leads to \"%.*s\", but /%.*s/ has only %zu groups", SPAN_ARG(rule->to), SPAN_ARG(from),
			rule->regex->re_nsub);
	return true;
}

static bool make_rule(struct making *m, struct span text, struct rule *rule)
{
	size_t arrow = span_search_nocase(text, SPAN("=>"));
	struct span from = arrow != SIZE_MAX ? span_trim(span_first(text, arrow)) : SPAN_NONE;
	struct span to = arrow != SIZE_MAX ? span_trim(span_from(text, arrow + 2)) : SPAN_NONE;
	bool regex = from.n > 2 && from.p[0] == '/' && from.p[from.n - 1] == '/';

	if (from.n == 0 || to.n == 0)
		return MAKE_FAIL(m, "map has \"%.*s\"; write \"FROM => TO\"", SPAN_ARG(text));
	if (!is_path_with(to, regex ? "123456789" : ""))
		return MAKE_FAIL(m, "map leads to \"%.*s\", which is no folder: " PATH_FORM, SPAN_ARG(to));
	rule->to = keep_path(m, to);
	if (regex)
		return make_regex(m, span_of(from.p + 1, from.n - 2), rule);
	if (is_role(from))
		return make_role(m, "map", from, &rule->role);
	if (!name_is_path(from))
		return MAKE_FAIL(m, "map begins with \"%.*s\", which is no folder: " PATH_FORM, SPAN_ARG(from));
	rule->from = keep_path(m, from);
	return true;
}

static bool make_map(struct making *m, const struct conf_list *list)
{
	struct folder_rules *r = m->r;

	m->line = list->line;
	r->rule = calloc(list->n + 1, sizeof(*r->rule));
	if (r->rule == NULL)
		abort();
	while (r->rule_n < list->n) {
		r->rule_n++;
		if (!make_rule(m, span_str(list->item[r->rule_n - 1]), &r->rule[r->rule_n - 1]))
			return false;
	}
	return true;
}

static bool make_prefix(struct making *m, const struct conf_migration *from)
{
	struct span prefix = span_str(from->prefix);

	m->line = from->line;
	if (prefix.n == 0)
		return true;
	if (!name_is_path(prefix))
		return MAKE_FAIL(m, "prefix is \"%.*s\", which is no folder: " PATH_FORM, SPAN_ARG(prefix));
	m->r->prefix = keep_path(m, prefix);
	return true;
}

struct folder_rules *folder_rules_new(const struct conf_migration *from, const char *file, struct conf_error *err)
{
	struct making m = { .r = calloc(1, sizeof(*m.r)), .file = file, .err = err };

	if (m.r == NULL)
		abort();
	arena_init(&m.r->texts, 16u << 20);
	m.r->special_use = from->special_use == CONF_SPECIAL_USE_AUTO;
	m.r->all_namespaces = from->namespaces == CONF_NAMESPACES_ALL;
	if (!make_map(&m, &from->map) || !make_patterns(&m, "include", &from->include, &m.r->include) ||
		!make_patterns(&m, "exclude", &from->exclude, &m.r->exclude) || !make_prefix(&m, from))
		folder_rules_free(&m.r);
	return m.r;
}

void folder_rules_free(struct folder_rules **ret)
{
	struct folder_rules *r = *ret;

	if (r == NULL)
		return;
	*ret = NULL;
	for (size_t i = 0; i < r->rule_n; i++)
		if (r->rule[i].regex != NULL) {
			regfree(r->rule[i].regex);
			free(r->rule[i].regex);
		}
	free(r->rule);
	free(r->include.p);
	free(r->exclude.p);
	arena_done(&r->texts);
	free(r);
}
