#include "resp_p.h"

#include "err.h"

static const struct span code_names[] = {
	{ "", 0 },
#define CODE(name, text) { text, sizeof(text) - 1 },
#include "codes.def"
#undef CODE
};

static const struct span cap_names[] = {
#define CAP(name, text) { text, sizeof(text) - 1 },
#include "caps.def"
#undef CAP
};

_Static_assert(CAP_N <= 64, "resp_caps.bits has room for all");

const char *cap_name(enum cap cap)
{
	return cap < CAP_N ? cap_names[cap].p : "";
}

const char *code_name(enum code code)
{
	return code < CODE_OTHER ? code_names[code].p : "";
}

const char *status_name(enum status status)
{
	static const char *const names[] = { "OK", "NO", "BAD", "BYE", "PREAUTH" };

	return names[status];
}

enum cap cap_lookup(struct span name)
{
	for (unsigned i = 0; i < CAP_N; ++i) {
		if (name.n == cap_names[i].n && span_eq_nocase(name, cap_names[i]))
			return (enum cap)i;
	}
	return CAP_N;
}

enum code code_lookup(struct span name)
{
	for (unsigned i = CODE_NONE + 1; i < CODE_OTHER; ++i) {
		if (name.n == code_names[i].n && span_eq_nocase(name, code_names[i]))
			return (enum code)i;
	}
	return CODE_OTHER;
}

void resp_caps_parse(struct span text, struct resp_caps *ret)
{
	static const struct span limit = SPAN("APPENDLIMIT=");
	size_t i = 0;

	while (i < text.n) {
		size_t from = i;
		while (i < text.n && text.p[i] != ' ')
			++i;
		struct span name = span_of(text.p + from, i - from);
		enum cap cap = cap_lookup(name);
		if (cap != CAP_N)
			ret->bits |= (uint64_t)1 << cap;
		else if (span_starts_nocase(name, limit) && span_to_u64(span_from(name, limit.n), &ret->append_limit))
			ret->append_limit_known = true;
		while (i < text.n && text.p[i] == ' ')
			++i;
	}
}

/* The position of the ']' that closes the code at s.p[0], minding quoted strings, lists and brackets within;
 * SIZE_MAX: none. */
static size_t code_end(struct span s)
{
	unsigned brackets = 0, lists = 0;

	for (size_t i = 0; i < s.n; ++i) {
		switch (s.p[i]) {
		case '"':
			for (++i; i < s.n && s.p[i] != '"'; ++i) {
				if (s.p[i] == '\\')
					++i;
			}
			break;
		case '(':
			++lists;
			break;
		case ')':
			if (lists > 0)
				--lists;
			break;
		case '[':
			if (lists == 0)
				++brackets;
			break;
		case ']':
			if (lists == 0 && --brackets == 0)
				return i;
			break;
		}
	}
	/* What does not balance is not well-formed: the first bracket will have been meant. */
	return span_find(s, ']');
}

static int number32_parse(struct lexer *l, uint32_t *ret)
{
	int err = lexer_u32(l, ret);

	if (err != 0)
		return err;
	return *ret > 0 ? 0 : PROTO_ERR_RANGE;
}

static int set_parse(struct lexer *l, struct span *ret)
{
	struct token t;
	int err = lexer_next(l, &t);

	if (err != 0)
		return err;
	if (t.kind != TOKEN_ATOM || !resp_is_set(t.text))
		return PROTO_ERR_SYNTAX;
	*ret = t.text;
	return 0;
}

/* RFC 4315 section 3. Whether the two sets are of one length is for those to see who expand them. */
static int uids_parse(struct lexer *l, bool copy, struct resp_status *ret)
{
	int err = number32_parse(l, &ret->uidvalidity);

	if (err == 0)
		err = set_parse(l, &ret->uids);
	if (err == 0 && copy)
		err = set_parse(l, &ret->uids_to);
	return err;
}

static int permanentflags_parse(struct lexer *l, struct resp_status *ret)
{
	struct span list;
	int err = lexer_list(l, &list);

	return err != 0 ? err : flags_parse(&ret->flags, list, l->arena);
}

static int args_parse(struct resp_status *ret, struct arena *a)
{
	struct lexer l;
	int err = 0;

	lexer_init(&l, ret->code_args, SIZE_MAX, a);
	switch (ret->code) {
	case CODE_UIDVALIDITY:
		err = number32_parse(&l, &ret->uidvalidity);
		break;
	case CODE_UIDNEXT:
		err = number32_parse(&l, &ret->uidnext);
		break;
	case CODE_HIGHESTMODSEQ:
		err = lexer_u64(&l, &ret->modseq);
		break;
	case CODE_APPENDUID:
	case CODE_COPYUID:
		err = uids_parse(&l, ret->code == CODE_COPYUID, ret);
		break;
	case CODE_PERMANENTFLAGS:
		err = permanentflags_parse(&l, ret);
		break;
	case CODE_CAPABILITY:
		resp_caps_parse(ret->code_args, &ret->caps);
		return 0;
	default:
		return 0;
	}
	return err != 0 ? err : lexer_expect(&l, TOKEN_END);
}

int resp_status_parse(struct span rest, enum status status, struct arena *a, struct resp_status *ret)
{
	struct resp_status s = { .status = status, .text = rest };
	size_t end = rest.n > 0 && rest.p[0] == '[' ? code_end(rest) : SIZE_MAX;

	if (end != SIZE_MAX) {
		struct span inside = span_of(rest.p + 1, end - 1);
		struct span name = lexer_word(&inside);
		if (name.n > 0) {
			s.code = code_lookup(name);
			s.code_name = name;
			s.code_args = span_trim(inside);
			s.text = span_trim(span_from(rest, end + 1));
		}
	}
	*ret = s;
	int err = args_parse(&s, a);
	if (err == PROTO_ERR_NOMEM || err == PROTO_ERR_CAP)
		return err;
	if (err != 0)
		ret->code = CODE_OTHER;
	else
		*ret = s;
	return 0;
}
