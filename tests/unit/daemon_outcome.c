#include <criterion/criterion.h>

#include "leaks.h"
#include "outcome.h"

TestSuite(outcome, .fini = leaks_check);

static struct resp_status reply(enum status status, enum code code, const char *code_name, const char *args, const char *text)
{
	return (struct resp_status){ .status = status, .code = code, .code_name = span_str(code_name),
		.code_args = span_str(args), .text = span_str(text) };
}

static void assert_judged(enum command command, enum code code, const char *text, enum radius radius, enum heal heal)
{
	struct resp_status st = reply(STATUS_NO, code, "", "", text);
	struct outcome o;

	memset(&o, 0x55, sizeof(o));
	outcome_of_reply(&o, SOURCE, command, &st);
	cr_assert(o.radius == radius && o.heal == heal, "%s, code %d, \"%s\": radius %d, heal %d", command_name(command), code,
		text, o.radius, o.heal);
	cr_assert_eq(o.at, AT_WORK);
	cr_assert_eq(o.side, SOURCE);
	cr_assert_eq(o.code, code);
	cr_assert_not(o.refused);
}

/* Whatever was asked: the server, not the thing asked for, is the trouble, and time heals it. */
Test(outcome, trouble_of_the_server_ends_the_connection)
{
	static const enum code codes[] = { CODE_THROTTLED, CODE_UNAVAILABLE, CODE_INUSE, CODE_SERVERBUG, CODE_TEMPFAIL };
	static const enum command commands[] = { CMD_APPEND, CMD_UID_FETCH, CMD_EXAMINE, CMD_CREATE, CMD_LIST };

	for (size_t c = 0; c < 5; c++) {
		for (size_t i = 0; i < 5; i++)
			assert_judged(commands[c], codes[i], "x", RADIUS_CONNECTION, HEAL_TIME);
		assert_judged(commands[c], CODE_NONE, "Request is throttled. Suggested Backoff Time: 299951 milliseconds",
			RADIUS_CONNECTION, HEAL_TIME);
		assert_judged(commands[c], CODE_NONE, "rEQUEST IS THROTTLED", RADIUS_CONNECTION, HEAL_TIME);
		assert_judged(commands[c], CODE_CONTACTADMIN, "x", RADIUS_MAILBOX, HEAL_OPERATOR);
		assert_judged(commands[c], CODE_NONE, "User is authenticated but not connected.", RADIUS_MAILBOX, HEAL_OPERATOR);
	}
}

Test(outcome, appends)
{
	assert_judged(CMD_APPEND, CODE_NONE, "Message contains NUL characters", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_APPEND, CODE_TOOBIG, "too big", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_APPEND, CODE_NONE, "", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_APPEND, CODE_OTHER, "", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_APPEND, CODE_OVERQUOTA, "full", RADIUS_MAILBOX, HEAL_OPERATOR);
	assert_judged(CMD_APPEND, CODE_ALERT, "Over Quota", RADIUS_MAILBOX, HEAL_OPERATOR);
	assert_judged(CMD_APPEND, CODE_ALERT, "something else", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_APPEND, CODE_NONE, "You have exceeded your mail quota.", RADIUS_MAILBOX, HEAL_OPERATOR);
	assert_judged(CMD_APPEND, CODE_TRYCREATE, "no such mailbox", RADIUS_FOLDER, HEAL_TIME);
	assert_judged(CMD_APPEND, CODE_NONEXISTENT, "no such mailbox", RADIUS_FOLDER, HEAL_TIME);
	assert_judged(CMD_APPEND, CODE_NOPERM, "no", RADIUS_FOLDER, HEAL_OPERATOR);
}

Test(outcome, other_commands)
{
	assert_judged(CMD_FETCH, CODE_NONE, "x", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_UID_FETCH, CODE_NONE, "x", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_UID_FETCH, CODE_OVERQUOTA, "x", RADIUS_MESSAGE, HEAL_NEVER);
	assert_judged(CMD_EXAMINE, CODE_NONE, "x", RADIUS_FOLDER, HEAL_OPERATOR);
	assert_judged(CMD_SELECT, CODE_NOPERM, "x", RADIUS_FOLDER, HEAL_OPERATOR);
	assert_judged(CMD_STATUS, CODE_NONEXISTENT, "x", RADIUS_FOLDER, HEAL_OPERATOR);
	assert_judged(CMD_CREATE, CODE_ALREADYEXISTS, "x", RADIUS_NONE, HEAL_NEVER);
	assert_judged(CMD_CREATE, CODE_CANNOT, "x", RADIUS_FOLDER, HEAL_OPERATOR);
	assert_judged(CMD_LIST, CODE_NONE, "x", RADIUS_MAILBOX, HEAL_OPERATOR);
	assert_judged(CMD_NAMESPACE, CODE_ALREADYEXISTS, "x", RADIUS_MAILBOX, HEAL_OPERATOR);
}

static void assert_words(const struct resp_status *st, const char *text)
{
	struct outcome o;

	outcome_of_reply(&o, TARGET, CMD_APPEND, st);
	cr_assert_str_eq(o.text, text);
	cr_assert_eq(o.side, TARGET);
}

Test(outcome, the_words_are_the_servers_own)
{
	struct resp_status st = reply(STATUS_NO, CODE_OVERQUOTA, "OVERQUOTA", "", "Quota exceeded");

	assert_words(&st, "NO [OVERQUOTA] Quota exceeded");
	st = reply(STATUS_BAD, CODE_NONE, "", "", "Error: %s %n 100%");
	assert_words(&st, "BAD Error: %s %n 100%");
	st = reply(STATUS_NO, CODE_OTHER, "x-Code", "1 2", "no");
	assert_words(&st, "NO [x-Code 1 2] no");
}

Test(outcome, words_without_end_are_cut)
{
	static char flood[4096];
	struct outcome o;
	struct resp_status st = { .status = STATUS_NO, .text = { flood, sizeof(flood) } };

	memset(flood, 'a', sizeof(flood));
	memset(&o, 0x55, sizeof(o));
	outcome_of_reply(&o, SOURCE, CMD_APPEND, &st);
	cr_assert_eq(strnlen(o.text, sizeof(o.text)), sizeof(o.text) - 1);
	st.code_name = st.text;
	st.code_args = st.text;
	outcome_of_reply(&o, SOURCE, CMD_APPEND, &st);
	cr_assert_eq(strnlen(o.text, sizeof(o.text)), sizeof(o.text) - 1);
}

Test(outcome, failures_of_connections)
{
	static const struct {
		enum conn_fault fault;
		bool refused;
	} rows[] = { { CONN_FAULT_RESOLVE, false }, { CONN_FAULT_CONNECT, false }, { CONN_FAULT_TIMEOUT, false },
		{ CONN_FAULT_TLS, true }, { CONN_FAULT_NO_TLS, true }, { CONN_FAULT_LOGIN, true }, { CONN_FAULT_LOST, false },
		{ CONN_FAULT_GARBAGE, false }, { CONN_FAULT_MEMORY, false } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct conn_failure f = { .fault = rows[i].fault, .code = CODE_UNAVAILABLE, .text = "NO [UNAVAILABLE] 50% down" };
		struct outcome o;

		memset(&o, 0x55, sizeof(o));
		outcome_of_failure(&o, TARGET, i % 2 == 0 ? AT_LOGIN : AT_WORK, &f);
		cr_assert_eq(o.radius, RADIUS_CONNECTION);
		cr_assert_eq(o.heal, HEAL_TIME);
		cr_assert_eq(o.at, i % 2 == 0 ? AT_LOGIN : AT_WORK);
		cr_assert_eq(o.side, TARGET);
		cr_assert_eq(o.fault, rows[i].fault);
		cr_assert_eq(o.refused, rows[i].refused, "fault %d", rows[i].fault);
		cr_assert_eq(o.code, CODE_UNAVAILABLE);
		cr_assert_str_eq(o.text, "NO [UNAVAILABLE] 50% down");
	}
}

Test(outcome, own_words)
{
	struct outcome o;

	memset(&o, 0x55, sizeof(o));
	outcome_set(&o, RADIUS_RUN, HEAL_OPERATOR, SOURCE, "%s: %d", "the disk is full", 28);
	cr_assert_eq(o.radius, RADIUS_RUN);
	cr_assert_eq(o.heal, HEAL_OPERATOR);
	cr_assert_eq(o.side, SOURCE);
	cr_assert_eq(o.at, AT_WORK);
	cr_assert_eq(o.code, CODE_NONE);
	cr_assert_not(o.refused);
	cr_assert_str_eq(o.text, "the disk is full: 28");
	outcome_set(&o, RADIUS_NONE, HEAL_NEVER, TARGET, "%*s", 4000, "");
	cr_assert_eq(strnlen(o.text, sizeof(o.text)), sizeof(o.text) - 1);
}

Test(daemon_outcome, a_bye_costs_the_connection_and_time_heals_it)
{
	struct session_event ev = { .kind = EVENT_RESPONSE, .resp = { .kind = RESP_STATUS, .status = { .status = STATUS_BYE, .text = SPAN("going down") } } };
	struct outcome o;
	cr_assert(outcome_of_bye(&o, TARGET, &ev));
	cr_expect(o.radius == RADIUS_CONNECTION && o.heal == HEAL_TIME && o.side == TARGET && o.at == AT_WORK);
	cr_expect(strstr(o.text, "going down") != NULL, "%s", o.text);
	ev.resp.status.status = STATUS_OK;
	cr_expect(!outcome_of_bye(&o, TARGET, &ev));
	ev.kind = EVENT_DONE;
	ev.resp.status.status = STATUS_BYE;
	cr_expect(!outcome_of_bye(&o, TARGET, &ev), "a tagged answer is none");
}
