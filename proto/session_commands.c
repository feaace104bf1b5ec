/*
 * The commands: text from typed arguments. Tags are "g1", "g2", ...
 */
#include <assert.h>

#include "err.h"
#include "session_p.h"

static const char *const names[] = {
	[CMD_NOOP] = "NOOP", [CMD_CAPABILITY] = "CAPABILITY", [CMD_ENABLE] = "ENABLE", [CMD_NAMESPACE] = "NAMESPACE",
	[CMD_ID] = "ID", [CMD_LIST] = "LIST", [CMD_LSUB] = "LSUB", [CMD_STATUS] = "STATUS", [CMD_CREATE] = "CREATE",
	[CMD_SUBSCRIBE] = "SUBSCRIBE", [CMD_UNSUBSCRIBE] = "UNSUBSCRIBE", [CMD_EXAMINE] = "EXAMINE", [CMD_SELECT] = "SELECT",
	[CMD_UNSELECT] = "UNSELECT", [CMD_CLOSE] = "CLOSE", [CMD_FETCH] = "FETCH", [CMD_UID_FETCH] = "UID FETCH",
	[CMD_UID_STORE] = "UID STORE", [CMD_UID_SEARCH] = "UID SEARCH", [CMD_UID_EXPUNGE] = "UID EXPUNGE",
	[CMD_APPEND] = "APPEND", [CMD_LOGOUT] = "LOGOUT", [CMD_COMPRESS] = "COMPRESS DEFLATE",
	[CMD_UNAUTHENTICATE] = "UNAUTHENTICATE", [CMD_AUTHENTICATE] = "AUTHENTICATE PLAIN", [CMD_DELETE] = "DELETE", [CMD_RENAME] = "RENAME",
	[CMD_GETQUOTAROOT] = "GETQUOTAROOT",
};

const char *command_name(enum command c)
{
	return names[c];
}

void session_cmd_init(const struct session *s, struct cmd *c)
{
	enum literal_mode mode = LITERAL_SYNC;

	if (caps_has(&s->caps, CAP_LITERAL_PLUS))
		mode = LITERAL_PLUS;
	else if (caps_has(&s->caps, CAP_LITERAL_MINUS) || caps_has(&s->caps, CAP_IMAP4REV2))
		mode = LITERAL_MINUS;
	cmd_init(c, s->limits.command_max, mode);
	c->sync_above = s->limits.sync_above;
	c->utf8_quoted = s->utf8;
}

/* A command under construction: the first error sticks, the end frees or queues. */
struct making {
	struct session *s;
	struct cmd cmd;
	enum command command;
	uint32_t tag;
	int err;
};

static void text(struct making *m, const char *words)
{
	if (m->err == 0)
		m->err = cmd_str(&m->cmd, words);
}

/* Bytes that go as they are: a set, criteria. Never a line's end. */
static void raw(struct making *m, struct span s)
{
	for (size_t i = 0; i < s.n && m->err == 0; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			m->err = PROTO_ERR_SYNTAX;
	if (m->err == 0)
		m->err = cmd_text(&m->cmd, s);
}

/* Flags that a server cannot read are worse than an error: Dovecot answers BAD, and then takes the bytes of the message for commands. */
static void flag_list(struct making *m, struct span flags)
{
	for (size_t i = 0; i < flags.n && m->err == 0; i++)
		if ((unsigned char)flags.p[i] < ' ' || (unsigned char)flags.p[i] >= 0x7f || memchr("(){%*\"]", flags.p[i], 7) != NULL)
			m->err = PROTO_ERR_SYNTAX;
	text(m, " (");
	raw(m, flags);
	text(m, ")");
}

static void astring(struct making *m, struct span s)
{
	text(m, " ");
	if (m->err == 0)
		m->err = cmd_astring(&m->cmd, s);
}

static void number(struct making *m, uint64_t n)
{
	if (m->err == 0)
		m->err = buf_add_u64(&m->cmd.text, n);
}

static void make(struct making *m, struct session *s, enum command c)
{
	*m = (struct making){ .s = s, .command = c, .tag = s->next_tag };
	m->err = session_may_queue(s, c);
	session_cmd_init(s, &m->cmd);
	text(m, "g");
	number(m, m->tag);
	text(m, " ");
	text(m, names[c]);
}

static int queue(struct making *m, uint32_t *ret_tag)
{
	if (m->err == 0)
		return session_queue(m->s, m->command, &m->cmd, m->tag, ret_tag);
	cmd_done(&m->cmd);
	return m->err;
}

static int finish(struct making *m, uint32_t *ret_tag)
{
	text(m, "\r\n");
	return queue(m, ret_tag);
}

int session_simple(struct session *s, enum command c, uint32_t *ret_tag)
{
	struct making m;
	int err;

	assert(c == CMD_NOOP || c == CMD_CAPABILITY || c == CMD_NAMESPACE || c == CMD_UNSELECT || c == CMD_CLOSE || c == CMD_LOGOUT ||
		c == CMD_COMPRESS || c == CMD_UNAUTHENTICATE);
	make(&m, s, c);
	err = finish(&m, ret_tag);
	if (err == 0 && c == CMD_LOGOUT)
		s->logged_out = true;
	if (err == 0 && c == CMD_UNAUTHENTICATE)
		s->alone = true;
	return err;
}

int session_authenticate(struct session *s, struct span behalf, struct span user, struct span password, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_AUTHENTICATE);
	if (caps_has(&s->caps, CAP_SASL_IR)) {
		text(&m, " ");
	} else {
		text(&m, "\r\n");
		if (m.err == 0)
			m.err = cmd_wait(&m.cmd);
	}
	if (m.err == 0)
		m.err = cmd_plain(&m.cmd, behalf, user, password);
	int err = finish(&m, ret_tag);
	if (err == 0)
		s->alone = true;
	return err;
}

int session_enable(struct session *s, struct span what, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_ENABLE);
	text(&m, " ");
	raw(&m, what);
	return finish(&m, ret_tag);
}

static void quoted(struct making *m, struct span s)
{
	text(m, "\"");
	for (size_t i = 0; i < s.n && m->err == 0; i++) {
		if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f)
			m->err = PROTO_ERR_SYNTAX;
		else if (s.p[i] == '"' || s.p[i] == '\\')
			text(m, "\\");
		if (m->err == 0)
			m->err = buf_add_char(&m->cmd.text, s.p[i]);
	}
	text(m, "\"");
}

int session_id(struct session *s, const struct span *pairs, size_t n, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_ID);
	text(&m, n == 0 ? " NIL" : " (");
	for (size_t i = 0; i < 2 * n; i++) {
		if (i != 0)
			text(&m, " ");
		quoted(&m, pairs[i]);
	}
	if (n != 0)
		text(&m, ")");
	return finish(&m, ret_tag);
}

static void status_items(struct making *m, unsigned items)
{
	static const struct {
		unsigned item;
		const char *name;
	} table[] = {
		{ FS_MESSAGES, "MESSAGES" }, { FS_UIDNEXT, "UIDNEXT" }, { FS_UIDVALIDITY, "UIDVALIDITY" },
		{ FS_UNSEEN, "UNSEEN" }, { FS_SIZE, "SIZE" }, { FS_HIGHESTMODSEQ, "HIGHESTMODSEQ" },
		{ FS_APPENDLIMIT, "APPENDLIMIT" }, { FS_DELETED, "DELETED" }, { FS_RECENT, "RECENT" },
	};
	const char *before = "(";

	assert(items != 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((items & table[i].item) != 0) {
			text(m, before);
			text(m, table[i].name);
			before = " ";
		}
	text(m, ")");
}

int session_list(struct session *s, struct span pattern, unsigned options, unsigned items, uint32_t *ret_tag)
{
	static const struct {
		unsigned option;
		const char *name;
	} table[] = { { LIST_SUBSCRIBED, "SUBSCRIBED" }, { LIST_SPECIAL_USE, "SPECIAL-USE" },
		{ LIST_CHILDREN, "CHILDREN" }, { LIST_STATUS, "STATUS " } };
	const char *before = " RETURN (";
	struct making m;

	make(&m, s, CMD_LIST);
	text(&m, " \"\"");
	astring(&m, pattern);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((options & table[i].option) != 0) {
			text(&m, before);
			text(&m, table[i].name);
			if (table[i].option == LIST_STATUS)
				status_items(&m, items);
			before = " ";
		}
	if (options != 0)
		text(&m, ")");
	return finish(&m, ret_tag);
}

int session_lsub(struct session *s, struct span pattern, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_LSUB);
	text(&m, " \"\"");
	astring(&m, pattern);
	return finish(&m, ret_tag);
}

int session_status(struct session *s, struct span name, unsigned items, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_STATUS);
	astring(&m, name);
	text(&m, " ");
	status_items(&m, items);
	return finish(&m, ret_tag);
}

int session_folder(struct session *s, enum command c, struct span name, bool condstore, uint32_t *ret_tag)
{
	struct making m;

	assert(c == CMD_EXAMINE || c == CMD_SELECT || c == CMD_CREATE || c == CMD_SUBSCRIBE || c == CMD_UNSUBSCRIBE || c == CMD_DELETE ||
		c == CMD_GETQUOTAROOT);
	make(&m, s, c);
	astring(&m, name);
	if (condstore && (c == CMD_EXAMINE || c == CMD_SELECT))
		text(&m, " (CONDSTORE)");
	return finish(&m, ret_tag);
}

int session_create(struct session *s, struct span name, const char *use, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_CREATE);
	astring(&m, name);
	text(&m, " (USE (");
	text(&m, use);
	text(&m, "))");
	return finish(&m, ret_tag);
}

int session_fetch(struct session *s, enum command c, struct span set, unsigned items, uint64_t changed_since, uint32_t *ret_tag)
{
	static const struct {
		unsigned item;
		const char *name;
	} table[] = { { FETCH_UID, "UID" }, { FETCH_FLAGS, "FLAGS" }, { FETCH_INTERNALDATE, "INTERNALDATE" },
		{ FETCH_SIZE, "RFC822.SIZE" }, { FETCH_MODSEQ, "MODSEQ" }, { FETCH_EMAILID, "EMAILID" },
		{ FETCH_HEADER, "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]" }, { FETCH_BODY, "BODY.PEEK[]" } };
	const char *before = " (";
	struct making m;

	assert((c == CMD_FETCH || c == CMD_UID_FETCH) && items != 0);
	make(&m, s, c);
	text(&m, " ");
	raw(&m, set);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((items & table[i].item) != 0) {
			text(&m, before);
			text(&m, table[i].name);
			before = " ";
		}
	text(&m, ")");
	if (changed_since != 0) {
		text(&m, " (CHANGEDSINCE ");
		number(&m, changed_since);
		text(&m, ")");
	}
	return finish(&m, ret_tag);
}

int session_store(struct session *s, struct span set, const char *how, struct span flags, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_UID_STORE);
	text(&m, " ");
	raw(&m, set);
	text(&m, " ");
	text(&m, how);
	flag_list(&m, flags);
	return finish(&m, ret_tag);
}

int session_search(struct session *s, struct span criteria, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_UID_SEARCH);
	if (caps_has(&s->caps, CAP_ESEARCH) || caps_has(&s->caps, CAP_IMAP4REV2))
		text(&m, " RETURN (ALL)");
	text(&m, " ");
	raw(&m, criteria);
	return finish(&m, ret_tag);
}

int session_uid_expunge(struct session *s, struct span set, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_UID_EXPUNGE);
	text(&m, " ");
	raw(&m, set);
	return finish(&m, ret_tag);
}

int session_append_begin(struct session *s, struct span name, uint32_t *ret_tag)
{
	struct making m;

	make(&m, s, CMD_APPEND);
	astring(&m, name);
	return queue(&m, ret_tag);
}

/* " (flags) "date" {n}CRLF" and room for the CRLF behind the last message, so that a refusal can always be followed by it. */
static void append_text(struct making *m, const struct append_message *a)
{
	char *room;

	if (a->flags.n != 0)
		flag_list(m, a->flags);
	if (a->date.n != 0) {
		text(m, " ");
		quoted(m, a->date);
	}
	if (m->err == 0)
		m->err = cmd_body(&m->cmd, a->size, a->binary);
	if (m->err == 0)
		m->err = buf_reserve(&m->cmd.text, 2, &room);
}

int session_append_message(struct session *s, const struct append_message *a)
{
	struct flight *f = s->append;
	struct making m;
	size_t before, marks;

	if (s->err != 0 || f == NULL || f->answered || (f->begun && f->mark < f->cmd.mark_n))
		return PROTO_ERR_STATE;
	m = (struct making){ .s = s, .cmd = f->cmd };
	before = f->cmd.text.n;
	marks = f->cmd.mark_n;
	append_text(&m, a);
	if (m.err == 0 && s->unsent + (m.cmd.text.n - before) > s->limits.output_max)
		m.err = PROTO_ERR_CAP;
	f->cmd = m.cmd; /* its memory may have moved */
	if (m.err != 0) {
		buf_truncate(&f->cmd.text, before);
		f->cmd.mark_n = marks;
		return m.err;
	}
	s->unsent += f->cmd.text.n - before;
	f->begun = true;
	return 0;
}

int session_append_end(struct session *s)
{
	struct flight *f = s->append;

	if (s->err != 0 || (f == NULL && !s->append_refused))
		return PROTO_ERR_STATE;
	if (f == NULL || f->answered)
		return 0;
	if (f->begun)
		session_append_close(s);
	else
		session_take_back(s, f);
	session_advance(s);
	return 0;
}
