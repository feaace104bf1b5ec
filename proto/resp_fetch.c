#include "resp_p.h"

#include "err.h"

enum item {
	ITEM_UNKNOWN,
	ITEM_UID,
	ITEM_FLAGS,
	ITEM_INTERNALDATE,
	ITEM_SIZE,
	ITEM_MODSEQ,
	ITEM_HEADER,
	ITEM_BODY,
	ITEM_EMAILID
};

/* "[]", or "[]<0>": the section that is the whole message; *other: a section there is, but another one. */
static bool is_whole(struct span section, bool *other)
{
	if (section.n >= 2 && section.p[0] == '[' && section.p[1] == ']')
		return section.n == 2 || section.p[2] == '<';
	*other = section.n > 0 && section.p[0] == '[';
	return false;
}

static enum item item_lookup(struct span name)
{
	static const struct {
		struct span name;
		enum item item;
	} items[] = {
		{ { "UID", 3 }, ITEM_UID },
		{ { "FLAGS", 5 }, ITEM_FLAGS },
		{ { "INTERNALDATE", 12 }, ITEM_INTERNALDATE },
		{ { "RFC822.SIZE", 11 }, ITEM_SIZE },
		{ { "MODSEQ", 6 }, ITEM_MODSEQ },
		{ { "RFC822", 6 }, ITEM_BODY },
		{ { "RFC822.HEADER", 13 }, ITEM_HEADER },
		{ { "EMAILID", 7 }, ITEM_EMAILID },
	};
	bool other = false;

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); ++i) {
		if (name.n == items[i].name.n && span_eq_nocase(name, items[i].name))
			return items[i].item;
	}
	if (span_starts_nocase(name, SPAN("BODY["))) {
		if (is_whole(span_from(name, 4), &other))
			return ITEM_BODY;
		return other ? ITEM_HEADER : ITEM_UNKNOWN;
	}
	if (span_starts_nocase(name, SPAN("BINARY[")) && is_whole(span_from(name, 6), &other))
		return ITEM_BODY;
	return ITEM_UNKNOWN;
}

/* RFC 9051 section 9: a nstring. Once streamed the body has been given away; a second one cannot take its place. */
static int body_parse(struct lexer *l, struct resp_fetch *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0)
		return err;
	if (t.kind == TOKEN_STREAMED) {
		ret->body_form = BODY_STREAMED;
		ret->body = SPAN_NONE;
	} else if (t.kind == TOKEN_QUOTED || t.kind == TOKEN_LITERAL) {
		if (ret->body_form != BODY_STREAMED) {
			ret->body_form = BODY_INLINE;
			ret->body = t.text;
		}
	} else if (t.kind == TOKEN_NIL) {
		if (ret->body_form == BODY_NONE)
			ret->body_form = BODY_NIL;
	} else {
		return PROTO_ERR_SYNTAX;
	}
	ret->has |= FETCH_BODY;
	return 0;
}

static int header_parse(struct lexer *l, struct resp_fetch *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_QUOTED && t.kind != TOKEN_LITERAL && t.kind != TOKEN_NIL)
		return PROTO_ERR_SYNTAX;
	ret->header = t.kind == TOKEN_NIL ? SPAN_NONE : t.text;
	ret->has |= FETCH_HEADER;
	return 0;
}

static int flags_item_parse(struct lexer *l, struct resp_fetch *ret)
{
	struct span list;
	int err = lexer_list(l, &list);

	if (err == 0)
		err = flags_parse(&ret->flags, list, l->arena);
	if (err == 0)
		ret->has |= FETCH_FLAGS;
	return err;
}

static int uid_parse(struct lexer *l, struct resp_fetch *ret)
{
	int err = lexer_u32(l, &ret->uid);

	if (err == 0 && ret->uid == 0)
		err = PROTO_ERR_RANGE;
	if (err == 0)
		ret->has |= FETCH_UID;
	return err;
}

static int date_item_parse(struct lexer *l, struct resp_fetch *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0)
		return err;
	if (t.kind == TOKEN_NIL)
		return 0;
	if (t.kind != TOKEN_QUOTED && t.kind != TOKEN_LITERAL)
		return PROTO_ERR_SYNTAX;
	ret->internaldate = t.text;
	ret->has |= FETCH_INTERNALDATE;
	return 0;
}

/* NIL, which no RFC has, is not told. */
static int size_parse(struct lexer *l, struct resp_fetch *ret)
{
	struct token t;
	int err = lexer_peek(l, &t);

	if (err == 0 && t.kind == TOKEN_NIL)
		return lexer_expect(l, TOKEN_NIL);
	if (err == 0)
		err = lexer_u64(l, &ret->announced_size);
	if (err == 0)
		ret->has |= FETCH_SIZE;
	return err;
}

/* RFC 7162 section 3.1.4: MODSEQ (123). */
static int modseq_parse(struct lexer *l, struct resp_fetch *ret)
{
	int err = lexer_expect(l, TOKEN_OPEN);

	if (err == 0)
		err = lexer_u64(l, &ret->modseq);
	if (err == 0)
		err = lexer_expect(l, TOKEN_CLOSE);
	if (err == 0)
		ret->has |= FETCH_MODSEQ;
	return err;
}

/* RFC 8474 section 5.1: EMAILID (M6d99ac3275bb4e). */
static int emailid_parse(struct lexer *l, struct resp_fetch *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0 || t.kind == TOKEN_NIL)
		return err;
	if (t.kind != TOKEN_OPEN)
		return PROTO_ERR_SYNTAX;
	err = lexer_astring(l, &ret->emailid);
	if (err == 0)
		err = lexer_expect(l, TOKEN_CLOSE);
	if (err == 0)
		ret->has |= FETCH_EMAILID;
	return err;
}

static int item_parse(struct lexer *l, struct span name, struct resp_fetch *ret)
{
	switch (item_lookup(name)) {
	case ITEM_UID:
		return uid_parse(l, ret);
	case ITEM_FLAGS:
		return flags_item_parse(l, ret);
	case ITEM_INTERNALDATE:
		return date_item_parse(l, ret);
	case ITEM_SIZE:
		return size_parse(l, ret);
	case ITEM_MODSEQ:
		return modseq_parse(l, ret);
	case ITEM_HEADER:
		return header_parse(l, ret);
	case ITEM_BODY:
		return body_parse(l, ret);
	case ITEM_EMAILID:
		return emailid_parse(l, ret);
	case ITEM_UNKNOWN:
		break;
	}
	return lexer_skip_value(l);
}

int resp_fetch_parse(struct lexer *l, bool begin, struct resp_fetch *ret)
{
	struct token t;
	int err = lexer_expect(l, TOKEN_OPEN);

	if (err != 0)
		return err;
	for (;;) {
		err = lexer_item(l, &t);
		if (err != 0)
			return err;
		if (t.kind == TOKEN_CLOSE)
			break;
		if (t.kind != TOKEN_ATOM)
			return PROTO_ERR_SYNTAX;
		err = item_parse(l, t.text, ret);
		if (err != 0)
			return err;
		if (begin && ret->body_form == BODY_STREAMED)
			break;
	}
	if (begin && ret->body_form != BODY_STREAMED)
		return PROTO_ERR_SYNTAX;
	return lexer_expect(l, TOKEN_END);
}
