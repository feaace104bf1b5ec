#include "resp_p.h"

#include "err.h"

static const struct span attr_names[] = {
#define ATTR(name, text) { text, sizeof(text) - 1 },
#include "attrs.def"
#undef ATTR
};

_Static_assert(ATTR_INDEX_N <= 32, "resp_list.attrs has room for all");

static int attrs_parse(struct lexer *l, uint32_t *ret)
{
	struct token t;
	int err = lexer_expect(l, TOKEN_OPEN);

	while (err == 0) {
		err = lexer_next(l, &t);
		if (err != 0 || t.kind == TOKEN_CLOSE)
			break;
		if (t.kind != TOKEN_ATOM)
			return PROTO_ERR_SYNTAX;
		for (unsigned i = 0; i < ATTR_INDEX_N; ++i) {
			if (t.text.n == attr_names[i].n && span_eq_nocase(t.text, attr_names[i]))
				*ret |= 1u << i;
		}
	}
	return err;
}

/* NIL, or one character; an empty string is read as NIL. */
static int delimiter_parse(struct lexer *l, char *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0)
		return err;
	if (t.kind == TOKEN_NIL)
		return 0;
	if ((t.kind != TOKEN_QUOTED && t.kind != TOKEN_LITERAL && t.kind != TOKEN_ATOM) || t.text.n > 1)
		return PROTO_ERR_SYNTAX;
	if (t.text.n == 1)
		*ret = t.text.p[0];
	return 0;
}

/* A folder's name is an astring: NIL and 123 are names. */
static int name_parse(struct lexer *l, struct span *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_ATOM && t.kind != TOKEN_NIL && t.kind != TOKEN_QUOTED && t.kind != TOKEN_LITERAL)
		return PROTO_ERR_SYNTAX;
	*ret = t.text;
	return 0;
}

/* RFC 9051 section 7.3.1. Behind the name only parenthesised extension data may stand: an atom there means that the
 * name had blanks and no quotes, and half a name is worse than none. */
int resp_list_parse(struct lexer *l, struct resp *ret)
{
	struct token t;
	int err = attrs_parse(l, &ret->list.attrs);

	if (err == 0)
		err = delimiter_parse(l, &ret->list.delimiter);
	if (err == 0)
		err = name_parse(l, &ret->list.name);
	while (err == 0) {
		err = lexer_peek(l, &t);
		if (err != 0 || t.kind == TOKEN_END)
			break;
		err = t.kind == TOKEN_OPEN ? lexer_skip_value(l) : PROTO_ERR_SYNTAX;
	}
	return err;
}

/* RFC 7889 section 4: APPENDLIMIT NIL. */
static int limit_parse(struct lexer *l, uint64_t *ret)
{
	struct token t;
	int err = lexer_peek(l, &t);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_NIL)
		return lexer_u64(l, ret);
	*ret = UINT64_MAX;
	return lexer_expect(l, TOKEN_NIL);
}

static int status_item_parse(struct lexer *l, struct span name, struct resp_folder_status *ret)
{
	const struct {
		struct span name;
		enum folder_status_item item;
		uint32_t *u32;
		uint64_t *u64;
	} items[] = {
		{ SPAN("MESSAGES"), FS_MESSAGES, &ret->messages, NULL },
		{ SPAN("UIDNEXT"), FS_UIDNEXT, &ret->uidnext, NULL },
		{ SPAN("UIDVALIDITY"), FS_UIDVALIDITY, &ret->uidvalidity, NULL },
		{ SPAN("UNSEEN"), FS_UNSEEN, &ret->unseen, NULL },
		{ SPAN("DELETED"), FS_DELETED, &ret->deleted, NULL },
		{ SPAN("RECENT"), FS_RECENT, &ret->recent, NULL },
		{ SPAN("SIZE"), FS_SIZE, NULL, &ret->size },
		{ SPAN("HIGHESTMODSEQ"), FS_HIGHESTMODSEQ, NULL, &ret->highestmodseq },
		{ SPAN("APPENDLIMIT"), FS_APPENDLIMIT, NULL, &ret->append_limit },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); ++i) {
		if (!span_eq_nocase(name, items[i].name))
			continue;
		ret->has |= items[i].item;
		if (items[i].item == FS_APPENDLIMIT)
			return limit_parse(l, items[i].u64);
		return items[i].u32 != NULL ? lexer_u32(l, items[i].u32) : lexer_u64(l, items[i].u64);
	}
	return lexer_skip_value(l);
}

/* RFC 9051 section 7.3.4. */
int resp_folder_status_parse(struct lexer *l, struct resp *ret)
{
	struct token t;
	int err = name_parse(l, &ret->folder_status.name);

	if (err == 0)
		err = lexer_expect(l, TOKEN_OPEN);
	while (err == 0) {
		err = lexer_next(l, &t);
		if (err != 0 || t.kind == TOKEN_CLOSE)
			break;
		if (t.kind != TOKEN_ATOM)
			return PROTO_ERR_SYNTAX;
		err = status_item_parse(l, t.text, &ret->folder_status);
	}
	return err != 0 ? err : lexer_expect(l, TOKEN_END);
}

/* ("prefix" "delimiter" *extensions), RFC 9051 section 7.3.5. */
static int entry_parse(struct lexer *l, struct resp_namespace_entry *ret)
{
	struct token t;
	int err = lexer_expect(l, TOKEN_OPEN);

	*ret = (struct resp_namespace_entry){ .delimiter = 0 };
	if (err == 0)
		err = lexer_astring(l, &ret->prefix);
	if (err == 0)
		err = delimiter_parse(l, &ret->delimiter);
	while (err == 0) {
		err = lexer_peek(l, &t);
		if (err != 0 || t.kind == TOKEN_CLOSE)
			break;
		err = lexer_skip_value(l);
	}
	return err != 0 ? err : lexer_expect(l, TOKEN_CLOSE);
}

/* Counts first, so that one allocation of the right size will do. */
static int entries_count(struct lexer ahead, size_t *ret)
{
	struct token t;
	int err;

	for (*ret = 0;; ++*ret) {
		err = lexer_peek(&ahead, &t);
		if (err != 0 || t.kind == TOKEN_CLOSE)
			return err;
		err = lexer_skip_value(&ahead);
		if (err != 0)
			return err;
	}
}

static int class_parse(struct lexer *l, const struct resp_namespace_entry **ret, size_t *ret_n)
{
	struct resp_namespace_entry *e;
	struct token t;
	size_t n;
	int err = lexer_next(l, &t);

	if (err != 0 || t.kind == TOKEN_NIL)
		return err;
	if (t.kind != TOKEN_OPEN)
		return PROTO_ERR_SYNTAX;
	err = entries_count(*l, &n);
	if (err != 0)
		return err;
	if (n > (l->arena->cap - l->arena->used) / sizeof(*e))
		return PROTO_ERR_CAP;
	e = arena_alloc(l->arena, n * sizeof(*e));
	if (e == NULL)
		return PROTO_ERR_NOMEM;
	for (size_t i = 0; i < n; ++i) {
		err = entry_parse(l, &e[i]);
		if (err != 0)
			return err;
	}
	*ret = e;
	*ret_n = n;
	return lexer_expect(l, TOKEN_CLOSE);
}

int resp_namespace_parse(struct lexer *l, struct resp *ret)
{
	for (size_t i = 0; i < 3; ++i) {
		int err = class_parse(l, &ret->namespace.class[i].entry, &ret->namespace.class[i].n);
		if (err != 0)
			return err;
	}
	return lexer_expect(l, TOKEN_END);
}

static int quota_parse(struct lexer *l, struct resp_quota *ret)
{
	struct span root;
	struct token t;
	int err = name_parse(l, &root);

	if (err == 0)
		err = lexer_expect(l, TOKEN_OPEN);
	while (err == 0) {
		struct quota_resource r = { .known = true };

		err = lexer_next(l, &t);
		if (err != 0 || t.kind == TOKEN_CLOSE)
			break;
		if (t.kind != TOKEN_ATOM)
			return PROTO_ERR_SYNTAX;
		err = lexer_u64(l, &r.used);
		if (err == 0)
			err = lexer_u64(l, &r.limit);
		if (err == 0 && span_eq_nocase(t.text, SPAN("STORAGE")))
			ret->storage = r;
		else if (err == 0 && span_eq_nocase(t.text, SPAN("MESSAGE")))
			ret->messages = r;
	}
	return err != 0 ? err : lexer_expect(l, TOKEN_END);
}

/* Servers say this in many ways, also unasked: what cannot be read tells nothing, and is no reason to give up the connection. */
int resp_quota_parse(struct lexer *l, struct resp *ret)
{
	int err = quota_parse(l, &ret->quota);

	if (err == PROTO_ERR_NOMEM || err == PROTO_ERR_CAP)
		return err;
	if (err != 0)
		memset(&ret->quota, 0, sizeof(ret->quota));
	return 0;
}
