#include "session.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

#if defined(__SANITIZE_ADDRESS__) || defined(GODWIT_SANITIZERS)
size_t __sanitizer_get_current_allocated_bytes(void); /* not every compiler brings the header */
#define allocated() __sanitizer_get_current_allocated_bytes()
#else
#include <malloc.h>
#define allocated() mallinfo2().uordblks
#endif

TestSuite(proto_session, .fini = leaks_check);

static const char *const kinds[] = {
#define EVENT(name, text) #name,
#include "events.def"
#undef EVENT
};

/* What came out of feed(), as text: "DONE g1 OK; RESPONSE g2 23; ". */
static char told[4096];

static void tell(const struct session_event *ev)
{
	size_t n = strlen(told), room = sizeof(told) - n;
	int added;

	if (ev->kind == EVENT_BODY_DATA)
		added = snprintf(told + n, room, "DATA %.*s; ", SPAN_ARG(ev->data));
	else if (ev->kind == EVENT_DONE)
		added = snprintf(told + n, room, "DONE g%u %s; ", ev->tag, status_name(ev->resp.status.status));
	else if (ev->kind == EVENT_BODY_BEGIN)
		added = snprintf(told + n, room, "BEGIN g%u %u; ", ev->tag, (unsigned)ev->size);
	else if (ev->kind == EVENT_BODY_END)
		added = snprintf(told + n, room, "END g%u uid %u form %d; ", ev->tag, ev->resp.fetch.uid, ev->resp.fetch.body_form);
	else
		added = snprintf(told + n, room, "%s g%u; ", kinds[ev->kind], ev->tag);
	cr_assert(added > 0 && (size_t)added < room);
}

/* The input is a copy of its own for each call, as the driver's buffer is: AddressSanitizer sees what is used too long. */
static int feed(struct session *s, const char *bytes)
{
	struct span in = span_str(bytes);
	struct session_event ev;
	int err;

	told[0] = '\0';
	do {
		char *copy = strndup(in.n != 0 ? in.p : "", in.n); /* not malloc(): that one may be told to fail */
		struct span left = span_of(copy, in.n);

		err = session_next(s, &left, &ev);
		if (err == 0 && ev.kind != EVENT_NONE)
			tell(&ev);
		in = span_from(in, in.n - left.n);
		free(copy);
	} while (err == 0 && ev.kind != EVENT_NONE);
	cr_assert(err != 0 || in.n == 0);
	return err;
}

#define TOLD(s, bytes, want)                                                                                           \
	do {                                                                                                           \
		cr_assert_eq(feed(s, bytes), 0, "%s", session_error(s));                                               \
		cr_assert_str_eq(told, want);                                                                          \
	} while (0)

/* Sends all that may be sent but the bytes of messages; NUL-terminated. */
static const char *sent(struct session *s)
{
	static char all[8192];
	size_t n = 0;

	for (struct span out; (out = session_output(s)).n != 0;) {
		cr_assert_lt(n + out.n, sizeof(all));
		memcpy(all + n, out.p, out.n);
		n += out.n;
		session_sent(s, out.n);
	}
	all[n] = '\0';
	return all;
}

static struct session *with_caps(uint64_t bits)
{
	struct session *s = session_new(NULL);
	struct resp_caps caps = { .bits = bits };

	cr_assert_not_null(s);
	session_hint_caps(s, &caps);
	return s;
}
#define BIT(name) (UINT64_C(1) << CAP_##name)

static uint32_t noop(struct session *s)
{
	uint32_t tag = 0;

	cr_assert_eq(session_simple(s, CMD_NOOP, &tag), 0);
	return tag;
}

static uint32_t begin(struct session *s)
{
	uint32_t tag = 0;

	cr_assert_eq(session_append_begin(s, SPAN("INBOX"), &tag), 0);
	return tag;
}

static int message(struct session *s, uint64_t size)
{
	return session_append_message(s, &(struct append_message){ .size = size });
}

static int any(struct session *s)
{
	uint32_t tag;

	return session_simple(s, CMD_NOOP, &tag);
}

/* The text of each command. */

#define IS(call, want)                                                                                                 \
	do {                                                                                                           \
		uint32_t tag = 0;                                                                                      \
		char line[512];                                                                                        \
		cr_assert_eq(call, 0);                                                                                 \
		snprintf(line, sizeof(line), "g%u %s\r\n", tag, want);                                                 \
		cr_assert_str_eq(sent(s), line);                                                                       \
	} while (0)

Test(proto_session, commands_without_arguments)
{
	static const enum command simple[] = { CMD_NOOP, CMD_CAPABILITY, CMD_NAMESPACE, CMD_UNSELECT, CMD_CLOSE };
	struct session *s = with_caps(0);

	for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
		IS(session_simple(s, simple[i], &tag), command_name(simple[i]));
	session_free(&s);
	s = with_caps(0);
	IS(session_simple(s, CMD_COMPRESS, &tag), "COMPRESS DEFLATE");
	session_free(&s);
	cr_assert_null(s);
	session_free(&s);
	session_free(NULL);
}

Test(proto_session, commands_about_folders)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	IS(session_list(s, SPAN("*"), 0, 0, &tag), "LIST \"\" \"*\"");
	IS(session_list(s, SPAN("INBOX"), LIST_SUBSCRIBED | LIST_SPECIAL_USE, 0, &tag),
		"LIST \"\" INBOX RETURN (SUBSCRIBED SPECIAL-USE)");
	IS(session_list(s, SPAN("a.%"), LIST_CHILDREN | LIST_STATUS, FS_MESSAGES | FS_SIZE, &tag),
		"LIST \"\" \"a.%\" RETURN (CHILDREN STATUS (MESSAGES SIZE))");
	IS(session_lsub(s, SPAN("*"), &tag), "LSUB \"\" \"*\"");
	IS(session_status(s, SPAN("x y"), 511, &tag),
		"STATUS \"x y\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ APPENDLIMIT DELETED RECENT)");
	IS(session_folder(s, CMD_EXAMINE, SPAN("a"), true, &tag), "EXAMINE a (CONDSTORE)");
	IS(session_folder(s, CMD_SELECT, SPAN("a"), false, &tag), "SELECT a");
	IS(session_folder(s, CMD_CREATE, SPAN("\xe9"), true, &tag), "CREATE {1+}\r\n\xe9");
	IS(session_folder(s, CMD_DELETE, SPAN("[x]"), false, &tag), "DELETE \"[x]\"");
	IS(session_folder(s, CMD_GETQUOTAROOT, SPAN("INBOX"), false, &tag), "GETQUOTAROOT INBOX");
	IS(session_create(s, SPAN("x y"), "\\Sent", &tag), "CREATE \"x y\" (USE (\\Sent))");
	IS(session_folder(s, CMD_SUBSCRIBE, SPAN("a"), false, &tag), "SUBSCRIBE a");
	IS(session_folder(s, CMD_UNSUBSCRIBE, SPAN("a"), false, &tag), "UNSUBSCRIBE a");
	session_free(&s);
}

Test(proto_session, commands_about_messages)
{
	struct session *s = with_caps(0);
	struct resp_caps esearch = { .bits = BIT(ESEARCH) };

	IS(session_fetch(s, CMD_UID_FETCH, SPAN("1:*"), FETCH_UID | FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE, 0, &tag),
		"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)");
	IS(session_fetch(s, CMD_FETCH, SPAN("3,5"), FETCH_HEADER | FETCH_BODY | FETCH_EMAILID, 0, &tag),
		"FETCH 3,5 (EMAILID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)] BODY.PEEK[])");
	IS(session_fetch(s, CMD_UID_FETCH, SPAN("1:*"), FETCH_MODSEQ, UINT64_MAX, &tag),
		"UID FETCH 1:* (MODSEQ) (CHANGEDSINCE 18446744073709551615)");
	IS(session_store(s, SPAN("7"), "+FLAGS.SILENT", SPAN("\\Seen $x"), &tag), "UID STORE 7 +FLAGS.SILENT (\\Seen $x)");
	IS(session_search(s, SPAN("UID 1:9 DELETED"), &tag), "UID SEARCH UID 1:9 DELETED");
	session_hint_caps(s, &esearch);
	IS(session_search(s, SPAN("ALL"), &tag), "UID SEARCH RETURN (ALL) ALL");
	IS(session_uid_expunge(s, SPAN("4:6"), &tag), "UID EXPUNGE 4:6");
	IS(session_enable(s, SPAN("CONDSTORE QRESYNC"), &tag), "ENABLE CONDSTORE QRESYNC");
	IS(session_id(s, NULL, 0, &tag), "ID NIL");
	IS(session_id(s, (struct span[]){ SPAN("name"), SPAN("a \"b\\") }, 1, &tag), "ID (\"name\" \"a \\\"b\\\\\")");
	session_free(&s);
}

Test(proto_session, arguments_cannot_end_the_line)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	cr_assert_eq(session_folder(s, CMD_CREATE, SPAN("a\0b"), false, &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(session_fetch(s, CMD_UID_FETCH, SPAN("1\r\nx NOOP"), FETCH_UID, 0, &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(session_store(s, SPAN("1"), "FLAGS", SPAN("a\nb"), &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(session_search(s, SPAN("ALL\n"), &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(session_enable(s, SPAN("A\rB"), &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(session_id(s, (struct span[]){ SPAN("a"), SPAN("\n") }, 1, &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(begin(s), 1, "what was refused takes no tag");
	cr_assert_eq(session_append_message(s, &(struct append_message){ .flags = SPAN("a\n"), .size = 1 }), PROTO_ERR_SYNTAX);
	for (const char *c = "(){%*\"]\x7f\x80\xff"; *c != '\0'; c++) {
		char flag[3] = { 'a', *c, 'b' };

		cr_assert_eq(session_append_message(s, &(struct append_message){ .flags = span_of(flag, 3), .size = 1 }), PROTO_ERR_SYNTAX);
	}
	cr_assert_eq(session_append_message(s, &(struct append_message){ .date = SPAN("\r"), .size = 1 }), PROTO_ERR_SYNTAX);
	cr_assert_str_eq(sent(s), "");
	session_free(&s);
}

/* Tags, attribution, events. */

Test(proto_session, answers_end_commands_and_data_belong_to_the_oldest)
{
	struct session *s = with_caps(0);

	cr_assert_eq(noop(s), 1);
	session_set_user(s, 1, 77);
	TOLD(s, "* 3 EXISTS\r\n", "RESPONSE g0; "); /* nothing was sent yet */
	cr_assert_str_eq(sent(s), "g1 NOOP\r\n");
	cr_assert_eq(noop(s), 2);
	cr_assert_str_eq(sent(s), "g2 NOOP\r\n");
	cr_assert_eq(session_inflight(s), 2);
	TOLD(s, "* 3 EXISTS\r\ng1 OK x\r\n* 4 EXISTS\r\n", "RESPONSE g1; DONE g1 OK; RESPONSE g2; ");
	TOLD(s, "g2 NO [LIMIT] x\r\n* 5 EXISTS\r\n", "DONE g2 NO; RESPONSE g0; ");
	cr_assert_eq(session_inflight(s), 0);
	session_free(&s);
}

Test(proto_session, users_number_comes_back)
{
	struct session *s = with_caps(0);
	struct session_event ev;
	struct span in = SPAN("* 1 EXISTS\r\ng1 BAD x\r\n");

	session_set_user(s, noop(s), UINT64_MAX);
	sent(s);
	cr_assert_eq(session_next(s, &in, &ev), 0);
	cr_assert(ev.kind == EVENT_RESPONSE && ev.user == UINT64_MAX && ev.command == CMD_NOOP && ev.resp.number == 1);
	cr_assert_eq(session_next(s, &in, &ev), 0);
	cr_assert(ev.kind == EVENT_DONE && ev.user == UINT64_MAX && ev.resp.kind == RESP_TAGGED);
	cr_assert_eq(ev.resp.status.status, STATUS_BAD);
	cr_assert_eq(session_next(s, &in, &ev), 0);
	cr_assert(ev.kind == EVENT_NONE && in.n == 0);
	session_free(&s);
}

Test(proto_session, answers_out_of_order)
{
	struct session *s = with_caps(0);

	noop(s), noop(s), noop(s);
	sent(s);
	TOLD(s, "g2 OK\r\n* 1 EXISTS\r\ng3 OK\r\n* 1 EXISTS\r\ng1 OK\r\n",
		"DONE g2 OK; RESPONSE g1; DONE g3 OK; RESPONSE g1; DONE g1 OK; ");
	noop(s);
	cr_assert_str_eq(sent(s), "g4 NOOP\r\n");
	session_free(&s);
}

static void bad_tag(const char *line)
{
	struct session *s = with_caps(0);

	noop(s), noop(s), noop(s);
	session_sent(s, session_output(s).n);
	session_sent(s, session_output(s).n);
	TOLD(s, "g1 OK\r\n", "DONE g1 OK; ");
	cr_assert_eq(feed(s, line), PROTO_ERR_SYNTAX, "%s", line);
	cr_assert_not_null(strstr(session_error(s), "not in flight: "), "%s", session_error(s));
	cr_assert_eq(feed(s, "g2 OK\r\n"), PROTO_ERR_SYNTAX); /* final */
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	cr_assert_eq(session_output(s).n, 0);
	session_free(&s);
}

Test(proto_session, tags_that_are_not_in_flight_are_errors)
{
	bad_tag("g1 OK again\r\n");
	bad_tag("g3 OK was not sent\r\n");
	bad_tag("g4 OK\r\n");
	bad_tag("g0 OK\r\n");
	bad_tag("A2 OK\r\n");
	bad_tag("g OK\r\n");
	bad_tag("g4294967298 OK\r\n");
	bad_tag("2 OK\r\n");
}

Test(proto_session, errors_are_told_in_words)
{
	struct session_limits small = session_limits_default;
	struct session *s;

	small.framer.line_max = 40;
	s = session_new(&small);
	cr_assert_str_eq(session_error(s), "");
	cr_assert_eq(feed(s, "* OK 0123456789012345678901234567890123456789\r\n"), PROTO_ERR_CAP);
	cr_assert_not_null(strstr(session_error(s), "longer than 40 bytes"), "%s", session_error(s));
	session_free(&s);
	s = with_caps(0);
	cr_assert_eq(feed(s, "* 1 FETCH (UID \x01x\x1b)\r\n"), PROTO_ERR_SYNTAX);
	cr_assert_not_null(strstr(session_error(s), "not IMAP: * 1 FETCH (UID ?x?)"), "%s", session_error(s));
	session_free(&s);
}

Test(proto_session, limit_of_a_body_is_kept)
{
	struct session_limits small = session_limits_default;
	struct session *s;

	small.framer.body_max = 9;
	s = session_new(&small);
	cr_assert_eq(feed(s, "* 1 FETCH (BODY[] {9}\r\n012345678)\r\n* 1 FETCH (BODY[] {10}\r\n"), PROTO_ERR_CAP);
	cr_assert_not_null(strstr(session_error(s), "larger than 9 bytes"), "%s", session_error(s));
	session_free(&s);
}

/* Bodies. */

Test(proto_session, body_that_is_streamed)
{
	struct session *s = with_caps(0);

	noop(s);
	sent(s);
	TOLD(s, "* 1 FETCH (UID 5 BODY[] {6}\r\nab", "BEGIN g1 6; DATA ab; ");
	TOLD(s, "cdef", "DATA cdef; ");
	TOLD(s, " FLAGS (\\Seen))\r\n", "END g1 uid 5 form 1; ");
	TOLD(s, "* 1 FETCH (BODY[] {0}\r\n UID 6)\r\n", "BEGIN g1 0; END g1 uid 6 form 1; ");
	session_free(&s);
}

Test(proto_session, body_that_is_a_string_comes_in_the_same_events)
{
	struct session *s = with_caps(0);

	noop(s);
	sent(s);
	TOLD(s, "* 1 FETCH (UID 5 BODY[] \"a \\\"b\")\r\n* 1 EXISTS\r\n", "BEGIN g1 4; DATA a \"b; END g1 uid 5 form 2; RESPONSE g1; ");
	TOLD(s, "* 1 FETCH (BODY[] \"\" UID 6)\r\n", "BEGIN g1 0; END g1 uid 6 form 2; ");
	cr_assert_eq(feed(s, "* 1 FETCH (UID 5 BODY[] \"x"), 0);
	TOLD(s, "y\")\r\ng1 OK\r\n", "BEGIN g1 2; DATA xy; END g1 uid 5 form 2; DONE g1 OK; ");
	session_free(&s);
}

Test(proto_session, body_that_is_nil_has_only_an_end)
{
	struct session *s = with_caps(0);

	TOLD(s, "* 1 FETCH (UID 5 BODY[] NIL)\r\n", "END g0 uid 5 form 3; ");
	TOLD(s, "* 1 FETCH (UID 5 FLAGS ())\r\n", "RESPONSE g0; ");
	session_free(&s);
}

/* Capabilities. */

Test(proto_session, capabilities_are_remembered)
{
	struct session *s = with_caps(BIT(IDLE));

	cr_assert_eq(session_caps(s)->bits, BIT(IDLE));
	TOLD(s, "* OK [CAPABILITY IMAP4rev1 ID] hello\r\n", "RESPONSE g0; ");
	cr_assert_eq(session_caps(s)->bits, BIT(IMAP4REV1) | BIT(ID));
	TOLD(s, "* CAPABILITY IMAP4rev1 LITERAL+ APPENDLIMIT=5\r\n", "RESPONSE g0; ");
	cr_assert_eq(session_caps(s)->bits, BIT(IMAP4REV1) | BIT(LITERAL_PLUS));
	cr_assert(session_caps(s)->append_limit_known && session_caps(s)->append_limit == 5);
	noop(s), noop(s);
	sent(s);
	TOLD(s, "g1 OK [CAPABILITY IMAP4rev1 MOVE] x\r\n", "DONE g1 OK; ");
	cr_assert_eq(session_caps(s)->bits, BIT(IMAP4REV1) | BIT(MOVE));
	TOLD(s, "g2 NO [CAPABILITY IMAP4rev1] x\r\n", "DONE g2 NO; ");
	cr_assert_eq(session_caps(s)->bits, BIT(IMAP4REV1) | BIT(MOVE));
	session_free(&s);
}

Test(proto_session, literals_are_chosen_by_capability)
{
	static const struct {
		uint64_t bits;
		uint64_t size;
		const char *want;
	} table[] = {
		{ 0, 1, "g1 APPEND INBOX {1}\r\n" },
		{ BIT(LITERAL_MINUS), 4096, "g1 APPEND INBOX {4096+}\r\n" },
		{ BIT(LITERAL_MINUS), 4097, "g1 APPEND INBOX {4097}\r\n" },
		{ BIT(IMAP4REV2), 4096, "g1 APPEND INBOX {4096+}\r\n" },
		{ BIT(LITERAL_PLUS) | BIT(IMAP4REV2), 4097, "g1 APPEND INBOX {4097+}\r\n" },
		{ BIT(LITERAL_PLUS), 32u << 20, "g1 APPEND INBOX {33554432+}\r\n" },
		{ BIT(LITERAL_PLUS), (32u << 20) + 1, "g1 APPEND INBOX {33554433}\r\n" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct session *s = with_caps(table[i].bits);

		begin(s);
		cr_assert_eq(message(s, table[i].size), 0);
		cr_assert_str_eq(sent(s), table[i].want);
		session_free(&s);
	}
}

Test(proto_session, utf8_is_quoted_once_it_is_enabled)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS) | BIT(UTF8_ACCEPT));

	IS(session_folder(s, CMD_CREATE, SPAN("\xc3\xa9"), false, &tag), "CREATE {2+}\r\n\xc3\xa9");
	cr_assert_eq(feed(s, "* ENABLED UTF8=ACCEPT\r\ng1 OK\r\n"), 0);
	IS(session_folder(s, CMD_CREATE, SPAN("\xc3\xa9"), false, &tag), "CREATE \"\xc3\xa9\"");
	cr_assert_eq(feed(s, "g2 OK\r\n"), 0);
	IS(session_simple(s, CMD_UNAUTHENTICATE, &tag), "UNAUTHENTICATE");
	cr_assert_eq(feed(s, "g3 OK [CAPABILITY LITERAL+] who?\r\n"), 0);
	IS(session_folder(s, CMD_CREATE, SPAN("\xc3\xa9"), false, &tag), "CREATE {2+}\r\n\xc3\xa9");
	session_free(&s);
}

/* Waits. */

Test(proto_session, wait_stops_the_output_until_plus)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	cr_assert_eq(session_folder(s, CMD_CREATE, SPAN("a\xe9"), false, &tag), 0);
	noop(s);
	TOLD(s, "+ too early\r\n", "");
	cr_assert_str_eq(sent(s), "g1 CREATE {2}\r\n");
	cr_assert_str_eq(sent(s), "");
	TOLD(s, "+ go\r\n", ""); /* a name, not a message: no GO_AHEAD */
	cr_assert_str_eq(sent(s), "a\xe9\r\ng2 NOOP\r\n");
	TOLD(s, "+ nobody waits\r\n+\r\n", "");
	TOLD(s, "g1 OK\r\ng2 OK\r\n", "DONE g1 OK; DONE g2 OK; ");
	session_free(&s);
}

Test(proto_session, refused_at_a_wait_the_rest_is_dropped)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	cr_assert_eq(session_folder(s, CMD_CREATE, SPAN("a\xe9"), false, &tag), 0);
	noop(s);
	sent(s);
	TOLD(s, "g1 BAD no literals here\r\n", "DONE g1 BAD; ");
	cr_assert_str_eq(sent(s), "g2 NOOP\r\n");
	TOLD(s, "g2 OK\r\n", "DONE g2 OK; ");
	session_free(&s);
}

Test(proto_session, refused_before_the_wait_is_reached)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	cr_assert_eq(session_folder(s, CMD_CREATE, SPAN("a\xe9"), false, &tag), 0);
	noop(s);
	cr_assert_eq(session_output(s).n, 15);
	session_sent(s, 4);
	TOLD(s, "g1 BAD\r\n", "DONE g1 BAD; ");
	cr_assert_eq(session_inflight(s), 1);
	cr_assert_str_eq(sent(s), "REATE {2}\r\ng2 NOOP\r\n"); /* the line that was begun is ended, the literal is not sent */
	session_free(&s);
}

/* APPEND. */

Test(proto_session, append_text_of_one_message)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));
	struct append_message m = { .flags = SPAN("\\Seen $x"), .date = SPAN("17-Jul-1996 02:44:25 -0700"), .size = 5, .binary = true };

	cr_assert_not(session_append_is_open(s));
	begin(s);
	cr_assert(session_append_is_open(s));
	cr_assert_str_eq(sent(s), "", "nothing before the first message");
	cr_assert_eq(session_append_message(s, &m), 0);
	cr_assert_eq(session_body_due(s), 0, "not before the text is sent");
	cr_assert(session_is_mid_body(s));
	cr_assert_str_eq(sent(s), "g1 APPEND INBOX (\\Seen $x) \"17-Jul-1996 02:44:25 -0700\" ~{5+}\r\n");
	cr_assert_eq(session_body_due(s), 5);
	cr_assert_eq(session_body_tag(s), 1);
	session_body_sent(s, 2);
	cr_assert_eq(session_body_due(s), 3);
	cr_assert(session_is_mid_body(s));
	session_body_sent(s, 3);
	cr_assert_eq(session_body_due(s), 0);
	cr_assert_eq(session_body_tag(s), 0);
	cr_assert_not(session_is_mid_body(s));
	cr_assert_eq(session_output(s).n, 0);
	cr_assert_eq(any(s), PROTO_ERR_STATE, "an APPEND is open");
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_not(session_append_is_open(s));
	cr_assert_str_eq(sent(s), "\r\n");
	TOLD(s, "g1 OK [APPENDUID 1 2] x\r\n", "DONE g1 OK; ");
	session_free(&s);
}

Test(proto_session, append_of_three_messages_waiting_for_each)
{
	struct session *s = with_caps(BIT(MULTIAPPEND));

	begin(s);
	for (unsigned i = 1; i <= 3; i++) {
		char want[64];

		cr_assert_eq(message(s, i), 0);
		snprintf(want, sizeof(want), "%s {%u}\r\n", i == 1 ? "g1 APPEND INBOX" : "", i);
		cr_assert_str_eq(sent(s), want);
		cr_assert_eq(session_body_due(s), 0);
		cr_assert(session_is_mid_body(s));
		cr_assert_eq(message(s, 1), PROTO_ERR_STATE);
		TOLD(s, "+ ok\r\n", "GO_AHEAD g1; ");
		cr_assert_eq(session_body_due(s), i);
		cr_assert_eq(message(s, 1), PROTO_ERR_STATE);
		session_body_sent(s, i);
	}
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_str_eq(sent(s), "\r\n");
	session_free(&s);
}

Test(proto_session, append_of_an_empty_message)
{
	struct session *s = with_caps(0);

	begin(s);
	cr_assert_eq(message(s, 0), 0);
	cr_assert_str_eq(sent(s), "g1 APPEND INBOX {0}\r\n");
	cr_assert(session_is_mid_body(s));
	TOLD(s, "+\r\n", "GO_AHEAD g1; ");
	cr_assert_not(session_is_mid_body(s));
	cr_assert_eq(session_body_due(s), 0);
	cr_assert_eq(message(s, 0), 0);
	cr_assert_str_eq(sent(s), " {0}\r\n");
	TOLD(s, "+\r\n", "GO_AHEAD g1; ");
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_str_eq(sent(s), "\r\n");
	session_free(&s);
}

Test(proto_session, append_ended_early_lets_others_queue_behind_its_bytes)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	begin(s);
	cr_assert_eq(message(s, 3), 0);
	cr_assert_eq(session_append_end(s), 0);
	noop(s);
	cr_assert_eq(begin(s), 3);
	cr_assert_eq(message(s, 4), 0);
	cr_assert_str_eq(sent(s), "g1 APPEND INBOX {3+}\r\n");
	cr_assert_eq(session_body_tag(s), 1);
	session_body_sent(s, 3);
	cr_assert_str_eq(sent(s), "\r\ng2 NOOP\r\ng3 APPEND INBOX {4+}\r\n");
	cr_assert_eq(session_body_tag(s), 3);
	session_free(&s);
}

Test(proto_session, append_without_message_is_taken_back)
{
	struct session *s = with_caps(0);

	begin(s);
	cr_assert_eq(session_inflight(s), 1);
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_eq(session_inflight(s), 0);
	noop(s);
	begin(s);
	cr_assert_eq(session_append_end(s), 0);
	noop(s);
	cr_assert_str_eq(sent(s), "g2 NOOP\r\ng4 NOOP\r\n");
	cr_assert_eq(session_append_end(s), PROTO_ERR_STATE);
	cr_assert_eq(message(s, 1), PROTO_ERR_STATE);
	session_free(&s);
}

Test(proto_session, append_refused_at_the_wait)
{
	struct session *s = with_caps(0);

	begin(s);
	cr_assert_eq(message(s, 3), 0);
	sent(s);
	TOLD(s, "g1 NO [OVERQUOTA] full\r\n", "DONE g1 NO; ");
	cr_assert_not(session_append_is_open(s));
	cr_assert_not(session_is_mid_body(s));
	cr_assert_eq(session_body_due(s), 0);
	cr_assert_eq(message(s, 3), PROTO_ERR_STATE);
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_eq(session_append_end(s), 0);
	noop(s);
	cr_assert_str_eq(sent(s), "g2 NOOP\r\n");
	session_free(&s);
}

Test(proto_session, append_refused_in_the_middle_of_its_bytes)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	begin(s);
	cr_assert_eq(message(s, 10), 0);
	sent(s);
	session_body_sent(s, 4);
	TOLD(s, "g1 NO no\r\n", "DONE g1 NO; ");
	cr_assert_eq(session_inflight(s), 0);
	cr_assert_eq(session_body_due(s), 6);
	cr_assert_eq(session_body_tag(s), 1);
	cr_assert(session_is_mid_body(s));
	cr_assert(session_append_is_open(s));
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	cr_assert_eq(message(s, 1), PROTO_ERR_STATE);
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_eq(session_output(s).n, 0);
	session_body_sent(s, 6);
	cr_assert_not(session_append_is_open(s));
	noop(s);
	cr_assert_str_eq(sent(s), "\r\ng2 NOOP\r\n");
	cr_assert_eq(feed(s, "g1 OK\r\n"), PROTO_ERR_SYNTAX, "answered twice");
	session_free(&s);
}

Test(proto_session, append_refused_between_two_messages)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	begin(s);
	cr_assert_eq(message(s, 2), 0);
	sent(s);
	session_body_sent(s, 2);
	TOLD(s, "g1 NO no\r\n", "DONE g1 NO; ");
	cr_assert_not(session_append_is_open(s));
	cr_assert_eq(message(s, 2), PROTO_ERR_STATE);
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_eq(begin(s), 2);
	cr_assert_str_eq(sent(s), "\r\n");
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_eq(session_append_end(s), PROTO_ERR_STATE, "that was of the one before");
	session_free(&s);
}

Test(proto_session, append_refused_while_the_announcement_is_sent)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	begin(s);
	cr_assert_eq(message(s, 2), 0);
	session_sent(s, 5);
	TOLD(s, "g1 BAD\r\n", "DONE g1 BAD; ");
	cr_assert(session_append_is_open(s));
	cr_assert_str_eq(sent(s), "PEND INBOX {2+}\r\n");
	cr_assert_eq(session_body_due(s), 2);
	session_body_sent(s, 2);
	cr_assert_not(session_append_is_open(s));
	cr_assert_str_eq(sent(s), "\r\n");
	session_free(&s);

	/* With a wait before the bytes the server has not asked for them. */
	s = with_caps(0);
	begin(s);
	cr_assert_eq(message(s, 2), 0);
	session_sent(s, 5);
	TOLD(s, "g1 BAD\r\n", "DONE g1 BAD; ");
	cr_assert_not(session_is_mid_body(s));
	cr_assert_str_eq(sent(s), "PEND INBOX {2}\r\n");
	cr_assert_not(session_append_is_open(s));
	cr_assert_eq(session_body_due(s), 0);
	session_free(&s);
}

Test(proto_session, append_ended_and_refused_at_the_wait)
{
	struct session *s = with_caps(0);

	begin(s);
	cr_assert_eq(message(s, 2), 0);
	cr_assert_eq(session_append_end(s), 0);
	noop(s);
	sent(s);
	TOLD(s, "g1 NO\r\n", "DONE g1 NO; ");
	cr_assert_str_eq(sent(s), "g2 NOOP\r\n");
	session_free(&s);
}

Test(proto_session, append_to_a_name_that_needs_a_literal)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	cr_assert_eq(session_append_begin(s, SPAN("\xe9"), &tag), 0);
	cr_assert_eq(message(s, 3), 0);
	cr_assert_str_eq(sent(s), "g1 APPEND {1}\r\n");
	TOLD(s, "+\r\n", "");
	cr_assert_str_eq(sent(s), "\xe9 {3}\r\n");
	TOLD(s, "+\r\n", "GO_AHEAD g1; ");
	cr_assert_eq(session_body_due(s), 3);
	session_free(&s);
}

/* Limits and states. */

Test(proto_session, inflight_is_limited)
{
	struct session_limits small = session_limits_default;
	struct session *s;

	small.inflight_max = 2;
	s = session_new(&small);
	noop(s), noop(s);
	cr_assert_eq(any(s), PROTO_ERR_CAP);
	sent(s);
	cr_assert_eq(any(s), PROTO_ERR_CAP);
	TOLD(s, "g1 OK\r\n", "DONE g1 OK; ");
	cr_assert_eq(any(s), 0);
	session_free(&s);
}

Test(proto_session, unsent_output_is_limited)
{
	struct session_limits small = session_limits_default;
	struct session *s;

	small.output_max = 20;
	s = session_new(&small);
	noop(s), noop(s); /* 9 bytes each */
	cr_assert_eq(any(s), PROTO_ERR_CAP);
	session_sent(s, 7);
	cr_assert_eq(any(s), 0);
	sent(s);
	begin(s); /* 15 bytes */
	cr_assert_eq(message(s, 1), PROTO_ERR_CAP);
	cr_assert(session_append_is_open(s));
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_eq(any(s), 0, "the text is taken back");
	session_free(&s);
}

Test(proto_session, command_is_limited_but_can_always_be_ended)
{
	struct session_limits small = session_limits_default;
	struct session *s;
	uint32_t tag;
	unsigned n = 0;

	small.command_max = 37;
	s = session_new(&small);
	session_hint_caps(s, &(struct resp_caps){ .bits = BIT(LITERAL_PLUS) });
	cr_assert_eq(session_folder(s, CMD_CREATE, SPAN("0123456789012345678901234567890123456789"), false, &tag), PROTO_ERR_CAP);
	begin(s);
	while (message(s, 1) == 0) {
		n++;
		sent(s);
		session_body_sent(s, 1);
	}
	cr_assert_eq(n, 2); /* 15 + 3 * 7 <= 37, but the CRLF behind it is not */
	cr_assert_eq(message(s, 1), PROTO_ERR_CAP);
	cr_assert_eq(session_append_end(s), 0);
	cr_assert_str_eq(sent(s), "\r\n");
	session_free(&s);
}

Test(proto_session, nothing_behind_bye_or_logout)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	noop(s);
	sent(s);
	cr_assert_not(session_has_bye(s));
	TOLD(s, "* BYE going down\r\n", "RESPONSE g1; ");
	cr_assert(session_has_bye(s));
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	TOLD(s, "g1 OK\r\n", "DONE g1 OK; ");
	session_free(&s);
	s = with_caps(0);
	cr_assert_eq(session_simple(s, CMD_LOGOUT, &tag), 0);
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	sent(s);
	TOLD(s, "* BYE x\r\ng1 OK\r\n", "RESPONSE g1; DONE g1 OK; ");
	session_free(&s);
}

Test(proto_session, nothing_behind_unauthenticate_until_it_is_answered)
{
	struct session *s = with_caps(0);
	uint32_t tag;

	cr_assert_eq(session_simple(s, CMD_UNAUTHENTICATE, &tag), 0);
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	sent(s);
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	TOLD(s, "g1 NO x\r\n", "DONE g1 NO; ");
	cr_assert_eq(any(s), 0);
	session_free(&s);
}

/* AUTHENTICATE behind it. */

Test(proto_session, authenticate_with_and_without_initial_response)
{
	struct session *s = with_caps(BIT(SASL_IR));
	uint32_t tag;

	cr_assert_eq(session_authenticate(s, SPAN("ann"), SPAN("boss"), SPAN("secret"), &tag), 0);
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	cr_assert_str_eq(sent(s), "g1 AUTHENTICATE PLAIN YW5uAGJvc3MAc2VjcmV0\r\n");
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	TOLD(s, "g1 OK\r\n", "DONE g1 OK; ");
	cr_assert_eq(any(s), 0);
	session_free(&s);
	s = with_caps(0);
	cr_assert_eq(session_authenticate(s, SPAN("ann"), SPAN("boss"), SPAN("secret"), &tag), 0);
	cr_assert_str_eq(sent(s), "g1 AUTHENTICATE PLAIN\r\n");
	TOLD(s, "+ \r\n", "");
	cr_assert_str_eq(sent(s), "YW5uAGJvc3MAc2VjcmV0\r\n");
	TOLD(s, "g1 NO\r\n", "DONE g1 NO; ");
	/* Refused before the secret was asked for: it is not sent. */
	cr_assert_eq(session_authenticate(s, SPAN("ann"), SPAN("boss"), SPAN("secret"), &tag), 0);
	cr_assert_str_eq(sent(s), "g2 AUTHENTICATE PLAIN\r\n");
	TOLD(s, "g2 NO\r\n", "DONE g2 NO; ");
	noop(s);
	cr_assert_str_eq(sent(s), "g3 NOOP\r\n");
	TOLD(s, "g3 OK\r\n", "DONE g3 OK; ");
	cr_assert_eq(session_authenticate(s, SPAN("a\0n"), SPAN("boss"), SPAN("secret"), &tag), PROTO_ERR_SYNTAX);
	cr_assert_eq(any(s), 0);
	session_free(&s);
}

Test(proto_session, what_was_offered_does_not_outlive_unauthenticate)
{
	struct session *s = with_caps(BIT(SASL_IR) | BIT(LITERAL_PLUS) | BIT(UNAUTHENTICATE));
	uint32_t tag;

	cr_assert_eq(session_simple(s, CMD_UNAUTHENTICATE, &tag), 0);
	sent(s);
	TOLD(s, "g1 NO not now\r\n", "DONE g1 NO; ");
	cr_assert_eq(session_caps(s)->bits, BIT(SASL_IR) | BIT(LITERAL_PLUS) | BIT(UNAUTHENTICATE));
	cr_assert_eq(session_simple(s, CMD_UNAUTHENTICATE, &tag), 0);
	sent(s);
	TOLD(s, "g2 OK [CAPABILITY IMAP4rev1 SASL-IR] who?\r\n", "DONE g2 OK; ");
	cr_assert_eq(session_caps(s)->bits, BIT(IMAP4REV1) | BIT(SASL_IR));
	cr_assert_eq(session_simple(s, CMD_UNAUTHENTICATE, &tag), 0);
	sent(s);
	TOLD(s, "g3 OK who?\r\n", "DONE g3 OK; ");
	cr_assert_eq(session_caps(s)->bits, 0);
	session_free(&s);
}

/* COMPRESS. */

static uint32_t compress(struct session *s)
{
	uint32_t tag = 0;

	cr_assert_eq(session_simple(s, CMD_COMPRESS, &tag), 0);
	return tag;
}

Test(proto_session, compress_waits_for_all_before_it_and_holds_back_all_behind_it)
{
	static const char *const answers[] = { "OK", "NO", "BAD" };

	for (size_t i = 0; i < 3; i++) {
		struct session *s = with_caps(BIT(LITERAL_PLUS));
		char line[64], want[64];

		noop(s);
		noop(s);
		compress(s);
		noop(s);
		begin(s);
		cr_assert_eq(message(s, 3), 0);
		cr_assert_str_eq(sent(s), "g1 NOOP\r\ng2 NOOP\r\n");
		TOLD(s, "g2 OK\r\n", "DONE g2 OK; ");
		cr_assert_str_eq(sent(s), "");
		TOLD(s, "* 1 EXISTS\r\ng1 OK\r\n* 2 EXISTS\r\n", "RESPONSE g1; DONE g1 OK; RESPONSE g0; ");
		cr_assert_str_eq(sent(s), "g3 COMPRESS DEFLATE\r\n");
		cr_assert_str_eq(sent(s), "");
		cr_assert_eq(session_body_due(s), 0);
		cr_assert_eq(session_inflight(s), 3);
		snprintf(line, sizeof(line), "* 3 EXISTS\r\ng3 %s x\r\n", answers[i]);
		snprintf(want, sizeof(want), "RESPONSE g3; DONE g3 %s; ", answers[i]);
		TOLD(s, line, want);
		cr_assert_str_eq(sent(s), "g4 NOOP\r\ng5 APPEND INBOX {3+}\r\n");
		cr_assert_eq(session_body_due(s), 3);
		session_free(&s);
	}
}

Test(proto_session, compress_comes_behind_an_open_append)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	begin(s);
	cr_assert_eq(message(s, 3), 0);
	compress(s);
	cr_assert_eq(any(s), PROTO_ERR_STATE);
	cr_assert_str_eq(sent(s), "g1 APPEND INBOX {3+}\r\n");
	session_body_sent(s, 3);
	cr_assert_eq(message(s, 1), 0);
	cr_assert_str_eq(sent(s), " {1+}\r\n");
	cr_assert_eq(session_append_end(s), 0);
	noop(s);
	session_body_sent(s, 1);
	cr_assert_str_eq(sent(s), "\r\n");
	TOLD(s, "g1 OK\r\n", "DONE g1 OK; ");
	cr_assert_str_eq(sent(s), "g2 COMPRESS DEFLATE\r\n");
	TOLD(s, "g2 OK\r\n", "DONE g2 OK; ");
	cr_assert_str_eq(sent(s), "g3 NOOP\r\n");
	session_free(&s);
}

Test(proto_session, compress_goes_on_when_the_append_before_it_comes_to_nothing)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));

	begin(s);
	compress(s);
	cr_assert_eq(session_append_end(s), 0); /* taken back: no message */
	cr_assert_str_eq(sent(s), "g2 COMPRESS DEFLATE\r\n");
	TOLD(s, "g2 NO\r\n", "DONE g2 NO; ");
	begin(s);
	cr_assert_eq(message(s, 3), 0);
	sent(s);
	compress(s);
	TOLD(s, "g3 NO\r\n", "DONE g3 NO; "); /* refused in the middle of its message: the rest of it is due all the same */
	cr_assert_str_eq(sent(s), "");
	session_body_sent(s, 3);
	cr_assert_str_eq(sent(s), "\r\ng4 COMPRESS DEFLATE\r\n");
	session_free(&s);
}

Test(proto_session, compress_cannot_be_answered_before_it_is_sent_whole)
{
	struct session *s = with_caps(0);

	compress(s);
	session_sent(s, 5);
	cr_assert_eq(feed(s, "g1 OK\r\n"), PROTO_ERR_SYNTAX);
	cr_assert_str_eq(session_error(s), "the server answered a command that is not in flight: g1");
	session_free(&s);
	s = with_caps(0);
	noop(s);
	compress(s);
	sent(s);
	cr_assert_eq(feed(s, "g2 OK\r\n"), PROTO_ERR_SYNTAX);
	session_free(&s);
}

/* What follows the answer are other bytes than IMAP. The answer may come in any two pieces, and the second with the bytes behind it. */
Test(proto_session, input_stops_exactly_behind_the_answer_to_compress)
{
	static const char answer[] = "* 7 EXISTS\r\ng2 OK [CAPABILITY IMAP4rev1] {3}\r\n", behind[] = "\x03\0\n{1}\r\n* BYE\r\n";
	const size_t n = sizeof(answer) - 1, all = n + sizeof(behind) - 1;
	char bytes[sizeof(answer) + sizeof(behind)];

	memcpy(bytes, answer, n);
	memcpy(bytes + n, behind, sizeof(behind) - 1);
	for (size_t cut = 0; cut <= n; cut++) {
		struct session *s = with_caps(0);
		struct span piece[2] = { span_of(bytes, cut), span_of(bytes + cut, all - cut) };
		struct session_event ev = { 0 };

		noop(s);
		sent(s);
		compress(s);
		TOLD(s, "g1 OK\r\n", "DONE g1 OK; ");
		sent(s);
		for (size_t i = 0; i < 2 && ev.kind != EVENT_DONE; i++) {
			do
				cr_assert_eq(session_next(s, &piece[i], &ev), 0);
			while (ev.kind != EVENT_NONE && ev.kind != EVENT_DONE);
			cr_assert(ev.kind == EVENT_DONE || piece[i].n == 0);
		}
		cr_assert(ev.kind == EVENT_DONE && ev.command == CMD_COMPRESS);
		cr_assert_eq(piece[0].n + piece[1].n, sizeof(behind) - 1, "cut at %zu", cut);
		session_free(&s);
	}
}

static void described_as(struct session *s, uint32_t tag, const char *want)
{
	struct buf b;

	buf_init(&b, 1024);
	cr_assert_eq(session_describe(s, tag, &b), 0);
	cr_assert(span_eq(buf_span(&b), span_str(want)), "%.*s", SPAN_ARG(buf_span(&b)));
	buf_done(&b);
}

Test(proto_session, commands_are_described_as_long_as_they_are_in_flight)
{
	struct session *s = with_caps(BIT(LITERAL_PLUS));
	char set[600];
	struct buf b;
	uint32_t tag;

	buf_init(&b, 1024);
	memset(set, '1', sizeof(set));
	cr_assert_eq(session_fetch(s, CMD_UID_FETCH, span_of(set, sizeof(set)), FETCH_UID, 0, &tag), 0);
	cr_assert_eq(session_append_begin(s, SPAN("a b"), &tag), 0);
	cr_assert_eq(message(s, 7), 0);
	described_as(s, 2, "g2 APPEND \"a b\" {7+}");
	sent(s);
	session_body_sent(s, 7);
	cr_assert_eq(session_append_end(s), 0);
	sent(s);
	described_as(s, 1, "UID FETCH");
	described_as(s, 2, "g2 APPEND \"a b\" {7+}");
	compress(s);
	described_as(s, 3, "g3 COMPRESS DEFLATE");
	cr_assert_eq(session_authenticate(s, SPAN("ann"), SPAN("boss"), SPAN("secret"), &tag), 0);
	described_as(s, 4, "g4 AUTHENTICATE PLAIN***");
	cr_assert_eq(feed(s, "g2 OK\r\n"), 0);
	cr_assert_eq(session_describe(s, 2, &b), PROTO_ERR_STATE);
	cr_assert_eq(session_describe(s, 5, &b), PROTO_ERR_STATE);
	buf_done(&b);
	session_free(&s);
}

Test(proto_session, an_idle_session_is_small)
{
	size_t before = allocated();
	struct session *s = with_caps(BIT(LITERAL_PLUS));
	struct session_event ev;
	char line[3000];
	uint32_t tag;

	for (int i = 0; i < 50; i++) {
		cr_assert_eq(session_list(s, SPAN("*"), 0, 0, &tag), 0);
		sent(s);
		memset(line, 'x', sizeof(line));
		line[sizeof(line) - 1] = '\0';
		memcpy(line, "* LIST () \"/\" \"", 15);
		cr_assert_eq(feed(s, line), 0);
		cr_assert_eq(feed(s, "\\\"\"\r\n* 1 FETCH (UID 3 FLAGS (a b c) BODY[] \"x\")\r\n"), 0);
		snprintf(line, sizeof(line), "g%u OK\r\n", tag);
		cr_assert_eq(feed(s, line), 0);
		memset(line, 'x', sizeof(line));
		memcpy(line, "* 1 FETCH (BODY[] \"", 19);
		snprintf(line + sizeof(line) - 6, 6, "\")\r\n");
		cr_assert_eq(session_next(s, &(struct span){ line, sizeof(line) - 2 }, &ev), 0);
		cr_assert(feed(s, "") == 0 && !strncmp(told, "DATA x", 6));
	}
	cr_assert_lt(allocated(), before + 4096);
	session_free(&s);
}

/* Memory. */

static int dialogue(struct session *s)
{
	uint32_t tag;
	int err = session_folder(s, CMD_EXAMINE, SPAN("x\xe9"), true, &tag);

	if (err == 0)
		err = session_append_begin(s, SPAN("a b"), &tag);
	if (err == 0)
		err = session_simple(s, CMD_COMPRESS, &tag);
	for (int i = 0; i < 6 && err == 0; i++) {
		err = message(s, 0);
		if (err == 0)
			sent(s);
		if (err == 0)
			err = feed(s, "+ x\r\n");
		if (err == 0 && i == 0) {
			sent(s);
			err = feed(s, "+ x\r\n");
		}
	}
	if (err == 0)
		err = session_append_end(s);
	if (err == 0)
		err = feed(s, "* 1 FETCH (UID 1 FLAGS (a b) BODY[] \"x\\\"y\" INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n* 1 FETCH (BODY[] {3}");
	if (err == 0)
		err = feed(s, "\r\nabc UID 4)\r\ng1 NO x\r\n");
	return err;
}

Test(proto_session, every_allocation_may_fail)
{
	size_t n = 0;

	do {
		struct session *s;
		int err = PROTO_ERR_NOMEM;

		failmalloc_arm(++n);
		s = session_new(NULL);
		if (s != NULL)
			err = dialogue(s);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0, "%zu: %d", n, err);
		session_free(&s);
	} while (failmalloc_fired());
	cr_assert_gt(n, 10);
}
