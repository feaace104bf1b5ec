#include "leaks.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

TestSuite(daemon_log, .fini = leaks_check);

static int old_stderr, in;
static char seen[65536];

static void grab(void)
{
	int fd[2];
	cr_assert_eq(pipe2(fd, O_NONBLOCK), 0);
	old_stderr = dup(STDERR_FILENO);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	in = fd[0];
}

static const char *grabbed(void)
{
	dup2(old_stderr, STDERR_FILENO);
	close(old_stderr);
	ssize_t n = read(in, seen, sizeof(seen) - 1);
	seen[n > 0 ? n : 0] = '\0';
	close(in);
	return seen;
}

Test(daemon_log, a_line_says_where_and_what)
{
	struct log_context ctx = { .migration = "acme", .mailbox = "ann@new.example", .server = "new", .side = TARGET + 1 };
	grab();
	log_event(LOG_LOGIN_RETRY, &ctx, "the login was refused %d times", 3);
	cr_assert_str_eq(grabbed(), "godwit: warning: acme/ann@new.example: target: the login was refused 3 times\n");

	ctx.folder = "Archive/2019";
	ctx.uid = 4294967295u;
	ctx.side = SOURCE + 1;
	grab();
	log_event(LOG_MESSAGE_LEFT_OUT, &ctx, "too large");
	cr_assert_str_eq(grabbed(), "godwit: warning: acme/ann@new.example: source: folder \"Archive/2019\", UID 4294967295: too large\n");

	grab();
	log_event(LOG_SERVER_DOWN, &(struct log_context){ .server = "old" }, "does not answer");
	cr_assert_str_eq(grabbed(), "godwit: warning: server old: does not answer\n");

	grab();
	log_event(LOG_FOLDER_FENCED, &(struct log_context){ .migration = "acme", .folder = "INBOX" }, "UIDVALIDITY changed");
	cr_assert_str_eq(grabbed(), "godwit: warning: acme: folder \"INBOX\": UIDVALIDITY changed\n");
}

/* A pipe with room for one page, and a reader who comes late. */
static void grab_little(void)
{
	grab();
	cr_assert_geq(fcntl(in, F_SETPIPE_SZ, 4096), 4096);
}

static int behind;

static void on_behind(void *arg)
{
	cr_assert_eq(arg, &behind);
	behind++;
}

/* Reads line by line; checks that they are numbered from `first`. Returns the next number. */
static int read_lines(int first, char *rest, size_t *rest_n)
{
	char bytes[8192];
	ssize_t n;
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			cr_assert_lt(*rest_n, 400);
			rest[(*rest_n)++] = bytes[i];
			if (bytes[i] != '\n')
				continue;
			char want[64];
			snprintf(want, sizeof(want), "godwit: line %d ", first);
			if (strncmp(rest, want, strlen(want)) != 0)
				return first;
			first++;
			*rest_n = 0;
		}
	return first;
}

Test(daemon_log, a_reader_who_is_late_gets_all_in_order_and_nobody_waits_for_him, .timeout = 20)
{
	static char rest[512];
	size_t rest_n = 0;
	int next = 0;
	behind = 0;
	log_set_behind(on_behind, &behind);
	grab_little();
	for (int i = 0; i < 1000; i++)
		log_event(LOG_STOPPING, NULL, "line %d %0150d", i, 0);
	cr_assert_eq(behind, 1);
	cr_assert(!log_flush());
	do
		next = read_lines(next, rest, &rest_n);
	while (!log_flush());
	next = read_lines(next, rest, &rest_n);
	cr_assert_eq(next, 1000, "after %d: %s", next, rest);
	log_event(LOG_STOPPING, NULL, "line %d now", 1000);
	cr_assert_eq(read_lines(next, rest, &rest_n), 1001);
	cr_assert_eq(behind, 1);
	grabbed();
	log_set_behind(NULL, NULL);
	log_end(0);
}

Test(daemon_log, what_is_too_much_is_lost_and_that_is_said, .timeout = 20)
{
	static char rest[512];
	size_t rest_n = 0;
	int next = 0;
	grab_little();
	for (int i = 0; i < 10000; i++)
		log_event(LOG_STOPPING, NULL, "line %d %0150d", i, 0);
	behind = 0;
	log_set_behind(on_behind, &behind);
	cr_assert_eq(behind, 1, "lines were kept before");
	log_set_behind(NULL, NULL);
	do
		next = read_lines(next, rest, &rest_n);
	while (!log_flush());
	next = read_lines(next, rest, &rest_n);
	cr_assert(next > 1000 && next < 3000, "%d", next);
	char want[96];
	snprintf(want, sizeof(want), "godwit: warning: %d lines of the log lost: nobody has read them\n", 10000 - next);
	rest[rest_n] = '\0';
	cr_assert_str_eq(rest, want);
	grabbed();
	/* Nobody reads what is left: the end does not wait for long. */
	grab_little();
	for (int i = 0; i < 1000; i++)
		log_event(LOG_STOPPING, NULL, "line %d %0150d", i, 0);
	log_end(10);
	grabbed();
}

Test(daemon_log, a_reader_who_is_gone_is_no_reader, .timeout = 20)
{
	signal(SIGPIPE, SIG_IGN);
	grab_little();
	for (int i = 0; i < 100; i++)
		log_event(LOG_STOPPING, NULL, "line %d %0150d", i, 0);
	close(in);
	cr_assert(log_flush());
	log_event(LOG_STOPPING, NULL, "to nobody");
	dup2(old_stderr, STDERR_FILENO);
	log_end(0);
}

Test(daemon_log, level_words)
{
	log_set_level(LOG_LEVEL_DEBUG);
	cr_assert_eq(log_get_level(), LOG_LEVEL_DEBUG);
	grab();
	log_event(LOG_CONFIG, NULL, "a");
	log_event(LOG_CONFIG_WARNING, NULL, "b");
	log_event(LOG_SETTING, NULL, "c");
	log_event(LOG_STARTED, NULL, "d");
	log_event(LOG_WIRE, NULL, "e");
	cr_assert_str_eq(grabbed(), "godwit: error: a\ngodwit: warning: b\ngodwit: c\ngodwit: d\ngodwit: debug: e\n");
}

Test(daemon_log, lines_above_the_level_are_dropped)
{
	grab();
	log_event(LOG_STARTED, NULL, "info");
	log_event(LOG_SETTING, NULL, "notice");
	log_set_level(LOG_LEVEL_ERROR);
	log_event(LOG_CONFIG_WARNING, NULL, "warning");
	log_event(LOG_CONFIG, NULL, "error");
	cr_assert_str_eq(grabbed(), "godwit: notice\ngodwit: error: error\n");
}

Test(daemon_log, level_names_are_read)
{
	cr_assert_eq(log_level_parse("error"), LOG_LEVEL_ERROR);
	cr_assert_eq(log_level_parse("warning"), LOG_LEVEL_WARNING);
	cr_assert_eq(log_level_parse("notice"), LOG_LEVEL_NOTICE);
	cr_assert_eq(log_level_parse("info"), LOG_LEVEL_INFO);
	cr_assert_eq(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	cr_assert_eq(log_level_parse("Debug"), -1);
	cr_assert_eq(log_level_parse(""), -1);
	cr_assert_str_eq(log_kind_name(LOG_LOGIN_RETRY), "LOGIN_RETRY");
	cr_assert_str_eq(log_kind_name(LOG_PASS), "PASS");
}

Test(daemon_log, timestamps_are_utc)
{
	setenv("TZ", "Asia/Tokyo", 1);
	log_set_timestamps(1);
	time_t before = time(NULL);
	grab();
	log_event(LOG_SETTING, NULL, "x");
	const char *s = grabbed();
	struct tm tm = { 0 };
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);
	cr_assert_not_null(rest, "%s", s);
	cr_assert_str_eq(rest, " godwit: x\n");
	cr_assert(timegm(&tm) >= before && timegm(&tm) <= before + 2);
	log_set_timestamps(0);
	grab();
	log_event(LOG_SETTING, NULL, "x");
	cr_assert_str_eq(grabbed(), "godwit: x\n");
}

Test(daemon_log, nothing_can_forge_a_line_or_steer_the_terminal)
{
	struct log_context ctx = { .mailbox = "a\nb", .folder = "\x1b[31mred" };
	grab();
	log_event(LOG_SETTING, &ctx, "%s", "NO\r\ngodwit: error: fake\t\x7f \xc2\x9b \xe2\x80\xae \xe2\x80\xa8");
	cr_assert_str_eq(grabbed(), "godwit: a\\x0ab: folder \"\\x1b[31mred\": NO\\x0d\\x0agodwit: error: fake\\x09\\x7f \\xc2\\x9b "
				    "\\xe2\\x80\\xae \\xe2\\x80\\xa8\n");
}

Test(daemon_log, only_valid_utf8_is_written)
{
	static const char *const valid[] = { "Gr\xc3\xbc\xc3\x9f" "e", "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x90\xa6", "\xf4\x8f\xbf\xbf" };
	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		char want[64];
		snprintf(want, sizeof(want), "godwit: %s|\n", valid[i]);
		grab();
		log_event(LOG_SETTING, NULL, "%s|", valid[i]);
		cr_assert_str_eq(grabbed(), want);
	}
	static const struct {
		const char *bytes, *want;
	} bad[] = {
		{ "\xff", "\\xff" }, { "\xc0\xaf", "\\xc0\\xaf" }, { "\xe0\x80\x80", "\\xe0\\x80\\x80" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80" }, { "caf\xe9 x", "caf\\xe9 x" }, { "\xc3", "\\xc3" },
		{ "\xf0\x9f\x90", "\\xf0\\x9f\\x90" }, { "\xc3(", "\\xc3(" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char want[64];
		snprintf(want, sizeof(want), "godwit: %s\n", bad[i].want);
		grab();
		log_event(LOG_SETTING, NULL, "%s", bad[i].bytes);
		cr_assert_str_eq(grabbed(), want);
	}
}

/* The longest line is 8192 bytes with its newline, and a cut falls between characters. */
static void check_long(const char *unit, size_t unit_n, size_t shown_n)
{
	static char text[20000];
	for (size_t shift = 0; shift < 5; shift++) {
		size_t n = shift;
		memset(text, 'x', shift);
		for (; n + unit_n < sizeof(text) - 1; n += unit_n)
			memcpy(text + n, unit, unit_n);
		text[n] = '\0';
		grab();
		log_event(LOG_SETTING, NULL, "%s", text);
		const char *s = grabbed();
		size_t len = strlen(s);
		cr_assert(len <= 8192 && len > 8192 - shown_n - 5, "%zu", len);
		cr_assert_str_eq(s + len - 4, "...\n");
		cr_assert_eq((len - 4 - strlen("godwit: ") - shift) % shown_n, 0);
		cr_assert_null(memchr(s, '\n', len - 1));
	}
}

Test(daemon_log, long_lines_are_cut)
{
	check_long("a", 1, 1);
	check_long("\xc3\xa9", 2, 2);
	check_long("\xe6\x97\xa5", 3, 3);
	check_long("\xf0\x9f\x90\xa6", 4, 4);
	check_long("\n", 1, 4);
}

Test(daemon_log, a_line_that_just_fits_is_not_cut)
{
	static char text[8192];
	size_t fits = 8192 - strlen("godwit: ") - strlen("...\n");
	memset(text, 'a', fits);
	grab();
	log_event(LOG_SETTING, NULL, "%s", text);
	const char *s = grabbed();
	cr_assert_eq(strlen(s), strlen("godwit: ") + fits + 1);
	text[fits] = 'a';
	grab();
	log_event(LOG_SETTING, NULL, "%s", text);
	s = grabbed();
	cr_assert_eq(strlen(s), 8192);
	cr_assert_str_eq(s + 8188, "...\n");
}

static void mark(void *arg)
{
	const char *s = arg;
	cr_assert_eq(write(STDERR_FILENO, s, 1), 1);
}

static void unmark(void *arg)
{
	const char *s = arg;
	cr_assert_eq(write(STDERR_FILENO, s + 1, 1), 1);
}

Test(daemon_log, the_guard_stands_around_each_line)
{
	char marks[] = "<>";
	log_set_guard(mark, unmark, marks);
	grab();
	log_event(LOG_SETTING, NULL, "x");
	log_event(LOG_STARTED, NULL, "not shown");
	cr_assert_str_eq(grabbed(), "<godwit: x\n>");
	log_set_guard(NULL, NULL, NULL);
	grab();
	log_event(LOG_SETTING, NULL, "x");
	cr_assert_str_eq(grabbed(), "godwit: x\n");
}

Test(daemon_log, errno_is_kept)
{
	int old = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	errno = ENOSPC;
	log_event(LOG_SETTING, NULL, "nowhere to go");
	int now = errno;
	dup2(old, STDERR_FILENO);
	close(old);
	cr_assert_eq(now, ENOSPC);
}
