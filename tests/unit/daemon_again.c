/* again: from one user to the next on a session that is fed by hand. */
#include "again.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "leaks.h"

static const struct endpoint ep = { .host = "h", .port = 1, .admin_user = "boss", .admin_password = "geheim" };
static const struct credentials ann = { .user = "ann" };
static struct session *s;
static struct again a;
static struct conn_failure f;

static void begin(void)
{
	struct resp_caps caps = { .bits = UINT64_C(1) << CAP_UNAUTHENTICATE };
	s = session_new(NULL);
	cr_assert_not_null(s);
	session_hint_caps(s, &caps);
	f = (struct conn_failure){ .text = "" };
}

static void end(void)
{
	session_free(&s);
	leaks_check();
}

TestSuite(daemon_again, .init = begin, .fini = end);

static void sent(const char *want)
{
	struct span out = session_output(s);
	cr_assert(span_eq(out, span_str(want)), "%.*s", SPAN_ARG(out));
	session_sent(s, out.n);
}

/* The last verdict. */
static enum again_verdict take(const char *bytes)
{
	struct span in = span_str(bytes);
	struct session_event ev;
	enum again_verdict verdict = AGAIN_GOES_ON;
	for (;;) {
		cr_assert_eq(session_next(s, &in, &ev), 0);
		if (ev.kind == EVENT_NONE)
			return verdict;
		cr_assert_eq(verdict, AGAIN_GOES_ON);
		verdict = again_event(&a, &ev, &ep, &f);
	}
}

static void leave(void)
{
	cr_assert(again_may_leave(s));
	cr_assert_eq(again_leave(&a, s), 0);
	sent("g1 UNAUTHENTICATE\r\n");
	cr_assert(!again_may_leave(s));
}

static void enter(void)
{
	leave();
	cr_assert_eq(take("g1 OK [CAPABILITY IMAP4rev1 SASL-IR] who?\r\n"), AGAIN_FREE);
	a.login = &ann;
	cr_assert_eq(again_enter(&a, s, &ep), 0);
	sent("g2 AUTHENTICATE PLAIN YW5uAGJvc3MAZ2VoZWlt\r\n");
}

Test(daemon_again, from_one_user_to_the_next)
{
	enter();
	cr_assert_eq(take("* CAPABILITY IMAP4rev1 UNAUTHENTICATE\r\n* OK hello\r\ng2 OK in\r\n"), AGAIN_IN);
	cr_assert(again_may_leave(s));
}

Test(daemon_again, what_is_left_over_is_passed_over)
{
	leave();
	cr_assert_eq(take("* 3 EXISTS\r\n* 1 FETCH (UID 7 BODY[] {2}\r\nab)\r\n* LIST () NIL x\r\n* OK [ALERT] x\r\ng1 OK\r\n"), AGAIN_FREE);
	cr_assert_eq(a.step, AGAIN_VACANT);
}

Test(daemon_again, leaving_is_refused)
{
	static const char *const answers[] = { "g1 NO x\r\n", "g1 BAD x\r\n" };
	for (int i = 0; i < 2; i++) {
		leave();
		cr_assert_eq(take(answers[i]), AGAIN_USELESS);
		cr_assert(f.fault == CONN_FAULT_GARBAGE && strstr(f.text, "h:1: ") != NULL);
		session_free(&s);
		begin();
	}
}

Test(daemon_again, who_talks_of_folders_has_lost_the_thread)
{
	static const char *const lines[] = { "* 3 EXISTS\r\n", "* 1 FETCH (UID 7)\r\n", "* 1 FETCH (UID 7 BODY[] {1}\r\n", "* LIST () NIL x\r\n",
		"* FLAGS ()\r\n" };
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		leave();
		cr_assert_eq(take("g1 OK\r\n"), AGAIN_FREE);
		cr_assert_eq(take(lines[i]), AGAIN_USELESS, "%s", lines[i]);
		session_free(&s);
		begin();
		enter();
		cr_assert_eq(take(lines[i]), AGAIN_USELESS, "%s", lines[i]);
		session_free(&s);
		begin();
	}
}

Test(daemon_again, a_refused_login_is_told_in_the_words_of_the_server)
{
	enter();
	cr_assert_eq(take("* NO [ALERT] do not shout geheim\r\ng2 NO [AUTHORIZATIONFAILED] not you, YW5uAGJvc3MAZ2VoZWlt\r\n"), AGAIN_REFUSED);
	cr_assert(f.fault == CONN_FAULT_LOGIN && f.code == CODE_AUTHORIZATIONFAILED);
	cr_assert_str_eq(f.text, "NO [AUTHORIZATIONFAILED] not you, ***; NO [ALERT] do not shout *** (login of \"boss\" on behalf of \"ann\")");
}

Test(daemon_again, a_login_that_is_not_understood_says_nothing_of_the_user)
{
	enter();
	cr_assert_eq(take("g2 BAD already authenticated\r\n"), AGAIN_USELESS);
	cr_assert_eq(f.fault, CONN_FAULT_GARBAGE);
}

Test(daemon_again, not_left_while_anything_is_under_way)
{
	struct resp_caps none = { 0 };
	uint32_t tag;
	cr_assert_eq(session_simple(s, CMD_NOOP, &tag), 0);
	cr_assert(!again_may_leave(s));
	sent("g1 NOOP\r\n");
	cr_assert(!again_may_leave(s));
	struct span in = SPAN("g1 OK\r\n");
	struct session_event ev;
	cr_assert_eq(session_next(s, &in, &ev), 0);
	cr_assert(again_may_leave(s));
	cr_assert_eq(session_append_begin(s, SPAN("x"), &tag), 0);
	cr_assert(!again_may_leave(s));
	cr_assert_eq(session_append_end(s), 0);
	cr_assert(again_may_leave(s));
	in = SPAN("* BYE\r\n");
	cr_assert_eq(session_next(s, &in, &ev), 0);
	cr_assert(!again_may_leave(s));
	session_free(&s);
	begin();
	session_hint_caps(s, &none);
	cr_assert(!again_may_leave(s));
}
