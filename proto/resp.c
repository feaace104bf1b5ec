#include "resp_p.h"

#include "err.h"

bool resp_is_set(struct span s)
{
	bool digit = false;

	for (size_t i = 0; i < s.n; ++i) {
		bool was = digit;
		digit = s.p[i] >= '0' && s.p[i] <= '9';
		if (!digit && (!was || (s.p[i] != ',' && s.p[i] != ':')))
			return false;
	}
	return digit;
}

static int caps_response(struct lexer *l, struct resp *ret)
{
	resp_caps_parse(lexer_rest(l), &ret->caps);
	return 0;
}

static int flags_response(struct lexer *l, struct resp *ret)
{
	struct span list;
	int err = lexer_list(l, &list);

	if (err == 0)
		err = flags_parse(&ret->flags, list, l->arena);
	return err != 0 ? err : lexer_expect(l, TOKEN_END);
}

/* Numbers, then perhaps "(MODSEQ n)" (RFC 7162 section 3.1.5). */
static int search_response(struct lexer *l, struct resp *ret)
{
	const char *from = NULL, *to = NULL;
	struct lexer before = *l;
	struct token t;
	uint32_t number;
	int err;

	for (; (err = lexer_next(l, &t)) == 0 && t.kind == TOKEN_ATOM; before = *l) {
		err = lexer_u32(&before, &number);
		if (err != 0)
			return err;
		from = from != NULL ? from : t.text.p;
		to = t.text.p + t.text.n;
	}
	if (err != 0)
		return err;
	if (from != NULL)
		ret->search.numbers = span_of(from, (size_t)(to - from));
	if (t.kind == TOKEN_END)
		return 0;
	if (t.kind != TOKEN_OPEN)
		return PROTO_ERR_SYNTAX;
	err = lexer_next(l, &t);
	if (err == 0 && (t.kind != TOKEN_ATOM || !span_eq_nocase(t.text, SPAN("MODSEQ"))))
		err = PROTO_ERR_SYNTAX;
	if (err == 0)
		err = lexer_u64(l, &ret->search.modseq);
	if (err == 0)
		err = lexer_expect(l, TOKEN_CLOSE);
	return err != 0 ? err : lexer_expect(l, TOKEN_END);
}

/* Behind "(": TAG "x", and what RFC 7377 adds. */
static int correlator_parse(struct lexer *l, struct resp_esearch *ret)
{
	struct token t;

	for (;;) {
		int err = lexer_next(l, &t);
		if (err != 0 || t.kind == TOKEN_CLOSE)
			return err;
		if (t.kind != TOKEN_ATOM)
			return PROTO_ERR_SYNTAX;
		if (span_eq_nocase(t.text, SPAN("TAG")))
			err = lexer_astring(l, &ret->tag);
		else
			err = lexer_skip_value(l);
		if (err != 0)
			return err;
	}
}

static int esearch_item_parse(struct lexer *l, struct span name, struct resp_esearch *ret)
{
	struct token t;
	int err;

	if (span_eq_nocase(name, SPAN("MIN")))
		return lexer_u32(l, &ret->min);
	if (span_eq_nocase(name, SPAN("MAX")))
		return lexer_u32(l, &ret->max);
	if (span_eq_nocase(name, SPAN("MODSEQ")))
		return lexer_u64(l, &ret->modseq);
	if (span_eq_nocase(name, SPAN("COUNT"))) {
		ret->has_count = true;
		return lexer_u32(l, &ret->count);
	}
	if (!span_eq_nocase(name, SPAN("ALL")))
		return lexer_skip_value(l);
	err = lexer_next(l, &t);
	if (err != 0)
		return err;
	if (t.kind != TOKEN_ATOM || !resp_is_set(t.text))
		return PROTO_ERR_SYNTAX;
	ret->has_all = true;
	ret->all = t.text;
	return 0;
}

/* RFC 9051 section 7.3.4. */
static int esearch_response(struct lexer *l, struct resp *ret)
{
	struct resp_esearch *e = &ret->esearch;
	struct token t;
	bool first = true; /* "UID" stands before the first item only */
	int err = lexer_next(l, &t);

	if (err == 0 && t.kind == TOKEN_OPEN) {
		err = correlator_parse(l, e);
		if (err == 0)
			err = lexer_next(l, &t);
	}
	for (; err == 0 && t.kind != TOKEN_END; first = false) {
		if (t.kind != TOKEN_ATOM)
			return PROTO_ERR_SYNTAX;
		if (first && span_eq_nocase(t.text, SPAN("UID")))
			e->uid = true;
		else
			err = esearch_item_parse(l, t.text, e);
		if (err == 0)
			err = lexer_next(l, &t);
	}
	return err;
}

/* RFC 7162 section 3.2.10. */
static int vanished_response(struct lexer *l, struct resp *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err == 0 && t.kind == TOKEN_OPEN) {
		err = lexer_next(l, &t);
		if (err == 0 && (t.kind != TOKEN_ATOM || !span_eq_nocase(t.text, SPAN("EARLIER"))))
			err = PROTO_ERR_SYNTAX;
		if (err == 0)
			err = lexer_expect(l, TOKEN_CLOSE);
		if (err == 0)
			err = lexer_next(l, &t);
		ret->vanished.earlier = true;
	}
	if (err != 0)
		return err;
	if (t.kind != TOKEN_ATOM || !resp_is_set(t.text))
		return PROTO_ERR_SYNTAX;
	ret->vanished.uids = t.text;
	return lexer_expect(l, TOKEN_END);
}

static const struct {
	struct span name;
	enum resp_kind kind;
	int (*parse)(struct lexer *l, struct resp *ret);
} untagged[] = {
	{ { "CAPABILITY", 10 }, RESP_CAPABILITY, caps_response },
	{ { "ENABLED", 7 }, RESP_ENABLED, caps_response },
	{ { "LIST", 4 }, RESP_LIST, resp_list_parse },
	{ { "LSUB", 4 }, RESP_LSUB, resp_list_parse },
	{ { "STATUS", 6 }, RESP_FOLDER_STATUS, resp_folder_status_parse },
	{ { "SEARCH", 6 }, RESP_SEARCH, search_response },
	{ { "ESEARCH", 7 }, RESP_ESEARCH, esearch_response },
	{ { "FLAGS", 5 }, RESP_FLAGS, flags_response },
	{ { "VANISHED", 8 }, RESP_VANISHED, vanished_response },
	{ { "NAMESPACE", 9 }, RESP_NAMESPACE, resp_namespace_parse },
	{ { "QUOTA", 5 }, RESP_QUOTA, resp_quota_parse },
};

static bool status_lookup(struct span word, enum status last, enum status *ret)
{
	for (unsigned i = 0; i <= last; ++i) {
		if (span_eq_nocase(word, span_str(status_name((enum status)i)))) {
			*ret = (enum status)i;
			return true;
		}
	}
	return false;
}

static int other_response(struct lexer *l, struct span line, struct resp *ret)
{
	*l = (struct lexer){ .in = line, .streamed = SIZE_MAX, .arena = l->arena };
	ret->kind = RESP_OTHER;
	ret->other = lexer_rest(l);
	return 0;
}

/* "* 5 EXISTS": `word` is the number, `l` stands behind the blank that follows it. */
static int numbered_parse(struct lexer *l, struct span number, struct span line, struct resp *ret)
{
	struct lexer digits;
	struct span rest = l->in;
	struct span word = lexer_word(&rest);
	int err;

	if (span_eq_nocase(word, SPAN("FETCH")))
		ret->kind = RESP_FETCH;
	else if (span_eq_nocase(word, SPAN("EXISTS")))
		ret->kind = RESP_EXISTS;
	else if (span_eq_nocase(word, SPAN("RECENT")))
		ret->kind = RESP_RECENT;
	else if (span_eq_nocase(word, SPAN("EXPUNGE")))
		ret->kind = RESP_EXPUNGE;
	else
		return other_response(l, line, ret);
	lexer_init(&digits, number, SIZE_MAX, l->arena);
	err = lexer_u32(&digits, &ret->number);
	if (err != 0)
		return err;
	if (ret->number == 0 && (ret->kind == RESP_FETCH || ret->kind == RESP_EXPUNGE))
		return PROTO_ERR_RANGE;
	l->at += l->in.n - rest.n;
	l->in = rest;
	if (ret->kind != RESP_FETCH)
		return lexer_expect(l, TOKEN_END);
	ret->fetch.seq = ret->number;
	return resp_fetch_parse(l, false, &ret->fetch);
}

/* `l` stands behind "* ". */
static int untagged_parse(struct lexer *l, struct resp *ret)
{
	struct span line = l->in, rest = l->in;
	struct span word = lexer_word(&rest);
	enum status status;

	if (word.n == 0)
		return PROTO_ERR_SYNTAX;
	l->at += l->in.n - rest.n;
	l->in = rest;
	if (word.p[0] >= '0' && word.p[0] <= '9')
		return numbered_parse(l, word, line, ret);
	if (status_lookup(word, STATUS_PREAUTH, &status)) {
		ret->kind = RESP_STATUS;
		return resp_status_parse(lexer_rest(l), status, l->arena, &ret->status);
	}
	for (size_t i = 0; i < sizeof(untagged) / sizeof(untagged[0]); ++i) {
		if (span_eq_nocase(word, untagged[i].name)) {
			ret->kind = untagged[i].kind;
			return untagged[i].parse(l, ret);
		}
	}
	return other_response(l, line, ret);
}

static int tagged_parse(struct lexer *l, struct resp *ret)
{
	struct token tag;
	enum status status;
	int err = lexer_next(l, &tag);

	if (err != 0)
		return err;
	struct span rest = l->in;
	if (tag.kind != TOKEN_ATOM || !status_lookup(lexer_word(&rest), STATUS_BAD, &status))
		return PROTO_ERR_SYNTAX;
	l->in = rest;
	ret->kind = RESP_TAGGED;
	ret->tag = tag.text;
	return resp_status_parse(lexer_rest(l), status, l->arena, &ret->status);
}

static int line_parse(struct lexer *l, struct resp *ret)
{
	struct span s = l->in;

	if (s.n > 0 && s.p[0] == '+') {
		l->in = span_from(s, 1);
		ret->kind = RESP_CONTINUE;
		ret->status.text = lexer_rest(l);
		return 0;
	}
	if (s.n < 2 || s.p[0] != '*' || s.p[1] != ' ')
		return tagged_parse(l, ret);
	l->in = span_from(s, 2);
	l->at = 2;
	return untagged_parse(l, ret);
}

int resp_parse(struct span response, size_t streamed, struct arena *arena, struct resp *ret)
{
	struct resp r;
	struct lexer l;
	int err;

	memset(&r, 0, sizeof(r));
	lexer_init(&l, response, streamed, arena);
	err = line_parse(&l, &r);
	if (err != 0)
		return err;
	/* The body was given away: a response that does not own up to it cannot be understood. */
	if (streamed != SIZE_MAX && (r.kind != RESP_FETCH || r.fetch.body_form != BODY_STREAMED))
		return PROTO_ERR_SYNTAX;
	*ret = r;
	return 0;
}

int resp_parse_fetch_begin(struct span beginning, size_t streamed, struct arena *arena, struct resp_fetch *ret)
{
	struct resp_fetch f;
	struct lexer l;
	struct token t;
	int err;

	memset(&f, 0, sizeof(f));
	lexer_init(&l, beginning, streamed, arena);
	err = lexer_next(&l, &t);
	if (err == 0 && (t.kind != TOKEN_ATOM || !span_eq(t.text, SPAN("*"))))
		err = PROTO_ERR_SYNTAX;
	if (err == 0)
		err = lexer_u32(&l, &f.seq);
	if (err == 0 && f.seq == 0)
		err = PROTO_ERR_RANGE;
	if (err == 0)
		err = lexer_next(&l, &t);
	if (err == 0 && (t.kind != TOKEN_ATOM || !span_eq_nocase(t.text, SPAN("FETCH"))))
		err = PROTO_ERR_SYNTAX;
	if (err == 0)
		err = resp_fetch_parse(&l, true, &f);
	if (err == 0)
		*ret = f;
	return err;
}
