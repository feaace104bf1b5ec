/* value: texts into typed values, with the words for each refusal. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "leaks.h"
#include "value.h"

TestSuite(conf_value, .fini = leaks_check);
TestSuite(conf_url, .fini = leaks_check);

static void duration_is(const char *text, int64_t right)
{
	struct conf_error err = { "" };
	int64_t ms = -7;

	cr_expect(conf_value_duration(text, &ms, &err) == 0, "%s: %s", text, err.text);
	cr_expect(ms == right, "%s: %lld", text, (long long)ms);
}

static void duration_fails(const char *text, const char *right)
{
	struct conf_error err = { "" };
	int64_t ms = -7;

	cr_expect(conf_value_duration(text, &ms, &err) == -1, "%s", text);
	cr_expect_str_eq(err.text, right);
	cr_expect(ms == -7, "a refused text changed the value");
}

#define DURATION "it must be a number with one of the units ms s m h d, like \"90s\""
#define SIZE "it must be a number with one of the units K M G, like \"10M\""

Test(conf_value, duration)
{
	duration_is("500ms", 500);
	duration_is("90s", 90000);
	duration_is("5m", 300000);
	duration_is("24h", 86400000);
	duration_is("7d", 604800000);
	duration_is("0s", 0);
	duration_is("9223372036854775807ms", INT64_MAX);
	duration_fails("90", "is \"90\", a number without a unit; " DURATION);
	duration_fails("", "is \"\"; " DURATION);
	duration_fails("s", "is \"s\"; " DURATION);
	duration_fails("-1s", "is \"-1s\"; " DURATION);
	duration_fails("+1s", "is \"+1s\"; " DURATION);
	duration_fails("1 s", "is \"1 s\"; " DURATION);
	duration_fails("1S", "is \"1S\"; " DURATION);
	duration_fails("1.5h", "is \"1.5h\"; " DURATION);
	duration_fails("1h30m", "is \"1h30m\"; " DURATION);
	duration_fails("9223372036854775808ms", "is \"9223372036854775808ms\"; " DURATION);
	duration_fails("9223372036854775807d",
		       "is \"9223372036854775807d\", which is too large; " DURATION);
}

static void day_gives(const char *text, int rc, int64_t right)
{
	struct conf_error err = { "" };
	int64_t day = -7;
	char again[16];

	cr_expect_eq(conf_value_date(text, &day, &err), rc, "%s: %s", text, err.text);
	cr_expect_eq(day, rc == 0 ? right : -7, "%s: %lld", text, (long long)day);
	if (rc == 0) {
		conf_value_print_date(day, again, sizeof(again));
		cr_expect_str_eq(again, text);
	} else {
		cr_expect_not_null(strstr(err.text, "it must be a day like \"2020-01-31\""), "%s", err.text);
	}
}

Test(conf_value, day)
{
	char text[16];

	day_gives("2020-01-31", 0, 20200131);
	day_gives("0001-01-01", 0, 10101);
	day_gives("9999-12-31", 0, 99991231);
	day_gives("2020-02-29", 0, 20200229);
	day_gives("2000-02-29", 0, 20000229);
	day_gives("1900-02-29", -1, 0);
	day_gives("2021-02-29", -1, 0);
	day_gives("2020-04-31", -1, 0);
	day_gives("2020-13-01", -1, 0);
	day_gives("2020-00-01", -1, 0);
	day_gives("2020-01-00", -1, 0);
	day_gives("0000-01-01", -1, 0);
	day_gives("2020-1-1", -1, 0);
	day_gives("2020-01-01 ", -1, 0);
	day_gives("2020/01/01", -1, 0);
	day_gives("20200101", -1, 0);
	day_gives("yesterday.", -1, 0);
	day_gives("", -1, 0);
	conf_value_print_date(0, text, sizeof(text));
	cr_expect_str_eq(text, "");
}

static void size_gives(const char *text, int rc, int64_t right, const char *words)
{
	struct conf_error err = { "" };
	int64_t bytes = -7;

	cr_expect(conf_value_size(text, &bytes, &err) == rc, "%s", text);
	cr_expect(bytes == right, "%s: %lld", text, (long long)bytes);
	cr_expect_str_eq(err.text, words);
}

Test(conf_value, size)
{
	size_gives("64K", 0, 65536, "");
	size_gives("10M", 0, 10485760, "");
	size_gives("1G", 0, 1073741824, "");
	size_gives("10", -1, -7, "is \"10\", a number without a unit; " SIZE);
	size_gives("10MB", -1, -7, "is \"10MB\"; " SIZE);
	size_gives("9223372036854775807G", -1, -7,
		   "is \"9223372036854775807G\", which is too large; " SIZE);
}

Test(conf_value, integer)
{
	struct conf_error err = { "" };
	int64_t n = 0;

	cr_expect(conf_value_int("1000000", &n, &err) == 0 && n == 1000000);
	cr_expect(conf_value_int("-3", &n, &err) == 0 && n == -3);
	cr_expect(conf_value_int("9223372036854775808", &n, &err) == -1);
	cr_expect_str_eq(err.text, "is \"9223372036854775808\"; it must be a whole number");
	cr_expect(conf_value_int("", &n, &err) == -1);
	cr_expect(conf_value_int("--1", &n, &err) == -1);
	cr_expect(conf_value_int(" 1", &n, &err) == -1);
	cr_expect(conf_value_int("0x10", &n, &err) == -1);
	cr_expect(n == -3);
}

Test(conf_value, boolean)
{
	struct conf_error err = { "" };
	bool b = false;

	cr_expect(conf_value_bool("true", &b, &err) == 0 && b);
	cr_expect(conf_value_bool("No", &b, &err) == 0 && !b);
	cr_expect(conf_value_bool("ON", &b, &err) == 0 && b);
	cr_expect(conf_value_bool("1", &b, &err) == -1 && b);
	cr_expect_str_eq(err.text, "is \"1\"; it must be true or false");
}

Test(conf_value, printing_takes_the_largest_exact_unit)
{
	char buf[32];

	conf_value_print_duration(90000, buf, sizeof(buf));
	cr_expect_str_eq(buf, "90s");
	conf_value_print_duration(3600000, buf, sizeof(buf));
	cr_expect_str_eq(buf, "1h");
	conf_value_print_duration(1001, buf, sizeof(buf));
	cr_expect_str_eq(buf, "1001ms");
	conf_value_print_duration(0, buf, sizeof(buf));
	cr_expect_str_eq(buf, "0s");
	conf_value_print_size(10485760, buf, sizeof(buf));
	cr_expect_str_eq(buf, "10M");
	conf_value_print_size(1000, buf, sizeof(buf));
	cr_expect_str_eq(buf, "1000");
}

Test(conf_value, utf8)
{
	cr_expect(conf_value_is_utf8("", 0));
	cr_expect(conf_value_is_utf8("m\xc3\xbcller \xf0\x9f\x90\xa6", 12));
	cr_expect(!conf_value_is_utf8("m\xfcller", 6), "Latin-1");
	cr_expect(!conf_value_is_utf8("\xc3", 1), "cut off");
	cr_expect(!conf_value_is_utf8("\xc0\xaf", 2), "longer than needed");
	cr_expect(!conf_value_is_utf8("\xe0\x80\x80", 3), "longer than needed");
	cr_expect(!conf_value_is_utf8("\xed\xa0\x80", 3), "a surrogate");
	cr_expect(!conf_value_is_utf8("\xf4\x90\x80\x80", 4), "beyond the last character");
	cr_expect(!conf_value_is_utf8("\x80", 1));
}

Test(conf_value, long_text_is_cut_at_a_character)
{
	struct conf_error err;
	char text[1024];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(text + 510, "\xc3\xbc", 2);
	conf_error_set(&err, "%s", text);
	cr_expect(strlen(err.text) == 510);
	memcpy(text + 509, "\xc3\xbcx", 3);
	conf_error_set(&err, "%s", text);
	cr_expect(strlen(err.text) == 511, "a whole character at the end was cut off");
	cr_expect(conf_value_is_utf8(err.text, strlen(err.text)));
	conf_error_at(&err, text, 12, "what is wrong");
	cr_expect_str_eq(err.text + strlen(err.text) - 18, ":12: what is wrong");
}

static void url_is(const char *text, const char *origin, const char *user, bool tls_first)
{
	char buf[CONF_URL_ORIGIN_MAX];
	struct conf_error err = { "" };
	struct conf_url url = { 0 };

	cr_assert(conf_url_read(text, &url, &err) == 0, "%s: %s", text, err.text);
	cr_expect(conf_url_origin(&url, buf, sizeof(buf)) == 0);
	cr_expect_str_eq(buf, origin);
	cr_expect(url.tls_first == tls_first, "%s", text);
	if (user)
		cr_expect_str_eq(url.user, user);
	else
		cr_expect_null(url.user);
	cr_expect(conf_url_origin(&url, buf, strlen(origin)) == -1, "no room for the end");
	conf_url_done(&url);
	cr_expect(!url.host && !url.user && url.port == 0);
	conf_url_done(&url);
}

static void url_fails(const char *text, const char *right)
{
	struct conf_error err = { "" };
	struct conf_url url = { .port = 7 };

	cr_expect(conf_url_read(text, &url, &err) == -1, "%s", text);
	cr_expect_str_eq(err.text, right);
	cr_expect(url.port == 7, "a refused text changed the value");
}

Test(conf_url, accepted)
{
	url_is("imap://old.example", "imap://old.example:143", NULL, false);
	url_is("imaps://old.example", "imaps://old.example:993", NULL, true);
	url_is("IMAPS://Old.Example/", "imaps://Old.Example:993", NULL, true);
	url_is("imap://old.example:1", "imap://old.example:1", NULL, false);
	url_is("imaps://127.0.0.1:65535/", "imaps://127.0.0.1:65535", NULL, true);
	url_is("imaps://[::1]", "imaps://[::1]:993", NULL, true);
	url_is("imaps://[2001:db8::1]:1993", "imaps://[2001:db8::1]:1993", NULL, true);
	url_is("imaps://ann@old.example:993/", "imaps://old.example:993", "ann", true);
	url_is("imaps://ann%40acme.example@[::1]", "imaps://[::1]:993", "ann@acme.example", true);
	url_is("imap://m%C3%BCller%2f%25@h", "imap://h:143", "m\xc3\xbcller/%", false);
	url_is("imap://ann;AUTH=*@h", "imap://h:143", "ann", false);
	url_is("imap://ann;auth=@h", "imap://h:143", "ann", false);
}

#define FOLDER "names a folder or a message; leave out what follows the host, all folders are copied"
#define PASSWORD "has a password in it, where others can see it; passwords go into " \
	"the environment, a password file or the mailbox list"
#define HOST "has a bad host; it must be a name of letters, digits, . and -, " \
	"or an address (IPv6 in brackets)"
#define PORT "has a bad port; it must be a number from 1 to 65535"
#define PERCENT "has a % without two hexadecimal digits in its user; write %25 for a percent sign"
#define SCHEME "is no IMAP URL; it must begin with imaps:// (TLS) or imap:// (STARTTLS)"
#define AUTH "asks for a mechanism (;AUTH=); leave that out, the best one that the server has is used"

Test(conf_url, refused)
{
	url_fails("", SCHEME);
	url_fails("old.example", SCHEME);
	url_fails("https://old.example", SCHEME);
	url_fails("imaps://", "has no host; write imaps://HOST");
	url_fails("imaps:///", "has no host; write imaps://HOST");
	url_fails("imaps://h/INBOX", FOLDER);
	url_fails("imaps://h/;UID=4", FOLDER);
	url_fails("imaps://h//", FOLDER);
	url_fails("imaps://h?x", FOLDER);
	url_fails("imaps://h#x", FOLDER);
	url_fails("imaps://h:", PORT);
	url_fails("imaps://h:0", PORT);
	url_fails("imaps://h:65536", PORT);
	url_fails("imaps://h:4294968289", PORT);
	url_fails("imaps://h:imap", PORT);
	url_fails("imaps://h:-1", PORT);
	url_fails("imaps://a b", HOST);
	url_fails("imaps://a%20b", HOST);
	url_fails("imaps://::1", "has a second colon in its host; an IPv6 address stands in brackets: "
		  "imaps://[2001:db8::1]:993");
	url_fails("imaps://[::1", "has a [ without its ]; write imaps://[ADDRESS]:PORT");
	url_fails("imaps://[old.example]", "has no IPv6 address in its brackets; "
		  "write imaps://[2001:db8::1]:993");
	url_fails("imaps://[::1]993", "has something other than a port behind the ]; "
		  "write imaps://[ADDRESS]:PORT");
}

Test(conf_url, refused_user)
{
	url_fails("imaps://@h", "has an empty user before the @; write imaps://USER@HOST");
	url_fails("imaps://ann@acme.example@h", "has two @; write %40 for the one in the user, "
		  "like imaps://ann%40example.org@HOST");
	url_fails("imaps://ann;AUTH=PLAIN@h", AUTH);
	url_fails("imaps://ann;x@h", AUTH);
	url_fails("imaps://a%4@h", PERCENT);
	url_fails("imaps://a%@h", PERCENT);
	url_fails("imaps://a%zz@h", PERCENT);
	url_fails("imaps://a%00@h", "has a control character in its user; leave it out");
	url_fails("imaps://a%0a@h", "has a control character in its user; leave it out");
	url_fails("imaps://m%FCller@h", "has a user that is not UTF-8; "
		  "percent-encode the bytes of its UTF-8 form");
}

Test(conf_url, password_is_refused_and_never_repeated)
{
	url_fails("imaps://ann:hunter2@h", PASSWORD);
	url_fails("imaps://ann:@h", PASSWORD);
	url_fails("imaps://ann:hunt/er2@h", "has a password or a folder in it; it must be "
		  "imaps://USER@HOST, with %2F for a / in the user");
	url_fails("imaps://ann:hunter2@h/INBOX", FOLDER);
}
