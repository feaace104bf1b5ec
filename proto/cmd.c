#include "cmd.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"
#include "utf7.h"

#define LITERAL_MINUS_MAX 4096 /* RFC 7888 section 5 */

void cmd_init(struct cmd *c, size_t cap, enum literal_mode mode)
{
	*c = (struct cmd){ .mode = mode, .sync_above = UINT64_MAX };
	buf_init(&c->text, cap);
}

void cmd_done(struct cmd *c)
{
	if (c->secret_from != c->secret_to)
		buf_wipe(&c->text);
	else
		buf_done(&c->text);
	free(c->mark);
	c->mark = NULL;
	c->mark_n = c->mark_size = 0;
	c->secret_from = c->secret_to = 0;
}

/* Takes a half-written addition back. */
static int roll_back(struct cmd *c, size_t text_n, size_t mark_n, int err)
{
	c->text.n = text_n;
	c->mark_n = mark_n;
	return err;
}

int cmd_text(struct cmd *c, struct span raw)
{
	return buf_append(&c->text, raw);
}

int cmd_str(struct cmd *c, const char *raw)
{
	return buf_append(&c->text, span_str(raw));
}

static int add_mark(struct cmd *c, enum cmd_mark_kind kind, uint64_t size)
{
	if (c->mark_n == c->mark_size) {
		size_t n = c->mark_size == 0 ? 2 : c->mark_size * 2;
		struct cmd_mark *p = realloc(c->mark, n * sizeof(*p));

		if (p == NULL)
			return PROTO_ERR_NOMEM;
		c->mark = p;
		c->mark_size = n;
	}
	c->mark[c->mark_n++] = (struct cmd_mark){ .at = c->text.n, .kind = kind, .size = size };
	return 0;
}

int cmd_wait(struct cmd *c)
{
	return add_mark(c, CMD_WAIT, 0);
}

/* Base64 (RFC 4648 section 4) of parts that follow one another. */
struct base64 {
	struct cmd *c;
	uint32_t bits;
	unsigned have; /* bytes in it */
};

static void base64_digits(struct base64 *b, unsigned n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (unsigned i = 0; i < 4; i++)
		buf_add_char(&b->c->text, i < n ? digits[b->bits >> (18 - 6 * i) & 63] : '=');
	b->bits = 0;
	b->have = 0;
}

static void base64_add(struct base64 *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		b->bits |= (uint32_t)(unsigned char)s.p[i] << (16 - 8 * b->have);
		if (++b->have == 3)
			base64_digits(b, 4);
	}
}

int cmd_plain(struct cmd *c, struct span behalf, struct span user, struct span password)
{
	struct base64 b = { .c = c };
	size_t n = behalf.n + user.n + password.n + 2;
	char *room;

	if (span_find(behalf, '\0') != SIZE_MAX || span_find(user, '\0') != SIZE_MAX || span_find(password, '\0') != SIZE_MAX)
		return PROTO_ERR_SYNTAX;
	/* All of it now: an error adds nothing. */
	int err = buf_reserve(&c->text, (n + 2) / 3 * 4 + 2, &room);
	if (err != 0)
		return err;
	c->secret_from = c->text.n;
	base64_add(&b, behalf);
	base64_add(&b, span_of("", 1));
	base64_add(&b, user);
	base64_add(&b, span_of("", 1));
	base64_add(&b, password);
	if (b.have != 0)
		base64_digits(&b, b.have + 1);
	explicit_bzero(&b, sizeof(b));
	c->secret_to = c->text.n;
	return 0;
}

static bool is_sync(const struct cmd *c, uint64_t size)
{
	switch (c->mode) {
	case LITERAL_PLUS:
		return false;
	case LITERAL_MINUS:
		return size > LITERAL_MINUS_MAX;
	case LITERAL_SYNC:
		break;
	}
	return true;
}

/* "{n}CRLF" or "{n+}CRLF" and the mark for the wait. */
static int add_announcement(struct cmd *c, uint64_t size, bool sync)
{
	int err = buf_add_char(&c->text, '{');

	if (err == 0)
		err = buf_add_u64(&c->text, size);
	if (err == 0)
		err = cmd_str(c, sync ? "}\r\n" : "+}\r\n");
	if (err == 0 && sync)
		err = add_mark(c, CMD_WAIT, 0);
	return err;
}

static bool is_alpha(char ch)
{
	return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
}

/* Narrower than the grammar: servers exist that trip over unquoted names of digits, "NIL", or with ']' or '[' in them. */
static bool is_plain_atom(struct span s)
{
	if (s.n == 0 || !is_alpha(s.p[0]) || span_eq_nocase(s, SPAN("NIL")))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char ch = s.p[i];

		if (!is_alpha(ch) && !(ch >= '0' && ch <= '9') && memchr("-_./&+,=:", ch, 9) == NULL)
			return false;
	}
	return true;
}

static bool is_quotable(const struct cmd *c, struct span s)
{
	bool eight_bit = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' || s.p[i] == '\n')
			return false;
		eight_bit |= (unsigned char)s.p[i] >= 0x80;
	}
	return !eight_bit || (c->utf8_quoted && utf8_is_valid(s));
}

static int add_quoted(struct cmd *c, struct span s)
{
	int err = buf_add_char(&c->text, '"');

	for (size_t i = 0; i < s.n && err == 0; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			err = buf_add_char(&c->text, '\\');
		if (err == 0)
			err = buf_add_char(&c->text, s.p[i]);
	}
	return err != 0 ? err : buf_add_char(&c->text, '"');
}

int cmd_astring(struct cmd *c, struct span s)
{
	size_t text_n = c->text.n, mark_n = c->mark_n;
	int err;

	if (span_find(s, '\0') != SIZE_MAX)
		return PROTO_ERR_SYNTAX;
	if (is_plain_atom(s))
		return cmd_text(c, s);
	if (is_quotable(c, s)) {
		err = add_quoted(c, s);
	} else {
		err = add_announcement(c, s.n, is_sync(c, s.n));
		if (err == 0)
			err = cmd_text(c, s);
	}
	return err != 0 ? roll_back(c, text_n, mark_n, err) : 0;
}

int cmd_body(struct cmd *c, uint64_t size, bool binary)
{
	size_t text_n = c->text.n, mark_n = c->mark_n;
	int err = cmd_str(c, binary ? " ~" : " ");

	if (err == 0)
		err = add_announcement(c, size, is_sync(c, size) || size > c->sync_above);
	if (err == 0)
		err = add_mark(c, CMD_BODY, size);
	return err != 0 ? roll_back(c, text_n, mark_n, err) : 0;
}

int cmd_redacted(const struct cmd *c, struct buf *out)
{
	struct span text = buf_span(&c->text);
	size_t before = out->n;
	int err = 0;

	assert(c->secret_from <= c->secret_to && c->secret_to <= text.n);
	for (size_t i = 0; i < text.n && err == 0; i++) {
		unsigned char ch = (unsigned char)text.p[i];

		if (i >= c->secret_from && i < c->secret_to) {
			err = buf_append(out, SPAN("***"));
			i = c->secret_to - 1;
		} else if (ch < 0x20 || ch == 0x7f) {
			/* The CRLF of a literal's announcement is no news; other control bytes must not reach a terminal. */
			if (ch != '\r' && ch != '\n')
				err = buf_add_char(out, '?');
		} else {
			err = buf_add_char(out, (char)ch);
		}
	}
	if (err != 0)
		out->n = before;
	return err;
}
