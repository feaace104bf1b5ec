#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "date.h"
#include "leaks.h"

TestSuite(date, .fini = leaks_check);

static void assert_parses(const char *text, int64_t instant, int zone)
{
	struct date d = { 77, 77 };
	char *exact = malloc(strlen(text));

	memcpy(exact, text, strlen(text));
	cr_assert(date_parse(span_of(exact, strlen(text)), &d), "%s", text);
	cr_assert_eq(d.instant, instant, "%s: %lld", text, (long long)d.instant);
	cr_assert_eq(d.zone, zone, "%s: %d", text, d.zone);
	free(exact);
}

static void assert_prints(int64_t instant, int zone, const char *text)
{
	char got[DATE_TEXT];

	memset(got, 'x', sizeof(got));
	date_print((struct date){ instant, (int16_t)zone }, got);
	cr_assert_str_eq(got, text);
}

Test(date, parses)
{
	assert_parses("17-Jul-1996 02:44:25 -0700", 837596665, -420);
	assert_parses("01-Jan-1970 00:00:00 +0000", 0, 0);
	assert_parses("01-Jan-1970 00:00:00 -0000", 0, 0);
	assert_parses(" 1-Jan-1970 00:00:01 +0000", 1, 0);
	assert_parses("1-JAN-1970 00:00:01 +0000", 1, 0);
	assert_parses("31-dec-1969 23:59:59 +0000", -1, 0);
	assert_parses("31-Dec-1969 23:59:60 +0000", 0, 0);
	assert_parses("30-Dec-1899 00:00:00 +0000", -2209161600, 0);
	assert_parses("01-Jan-0000 00:00:00 +0000", -62167219200, 0);
	assert_parses("31-Dec-9999 23:59:59 +0000", 253402300799, 0);
	assert_parses("29-Feb-2000 12:00:00 +0530", 951805800, 330);
	assert_parses("29-Feb-2024 00:00:00 +0000", 1709164800, 0);
	assert_parses("29-Feb-0000 00:00:00 +0000", -62167219200 + 59 * 86400, 0);
	assert_parses("01-Jan-1970 00:00:00 +2359", -86340, 1439);
	assert_parses("01-Jan-1970 00:00:00 -2359", 86340, -1439);
	assert_parses("19-Jan-2038 03:14:08 +0000", 2147483648, 0);
}

Test(date, refuses_everything_else)
{
	static const char *const bad[] = {
		"", "17", "NIL", "17-Jul-1996", "17-Jul-1996 02:44:25", "17-Jul-1996 02:44:25 ",
		"17-Jul-1996 02:44:25 -070",
		"17-Jul-1996 02:44:25 -07000", "17-Jul-1996 02:44:25 -0700 ", " 17-Jul-1996 02:44:25 -0700",
		"00-Jan-1996 00:00:00 +0000", "0-Jan-1996 00:00:00 +0000", " 0-Jan-1996 00:00:00 +0000",
		"  1-Jan-1996 00:00:00 +0000", "1 -Jan-1996 00:00:00 +0000", "001-Jan-1996 00:00:00 +0000",
		"32-Jan-1996 00:00:00 +0000", "29-Feb-1900 00:00:00 +0000", "29-Feb-2023 00:00:00 +0000",
		"29-Feb-2100 00:00:00 +0000", "30-Feb-2000 00:00:00 +0000", "31-Apr-2000 00:00:00 +0000",
		"31-Jun-2000 00:00:00 +0000", "31-Sep-2000 00:00:00 +0000", "31-Nov-2000 00:00:00 +0000",
		"17-Jux-1996 02:44:25 -0700", "17-Ju-1996 02:44:25 -0700", "17-July-1996 02:44:25 -0700",
		"17-07-1996 02:44:25 -0700", "17-Jul-96 02:44:25 -0700", "17-Jul-19960 02:44:25 -0700",
		"17-Jul--996 02:44:25 -0700", "17 Jul 1996 02:44:25 -0700", "17-Jul-1996  02:44:25 -0700",
		"17-Jul-1996 24:00:00 -0700", "17-Jul-1996 02:60:00 -0700", "17-Jul-1996 02:44:61 -0700",
		"17-Jul-1996 2:44:25 -0700", "17-Jul-1996 02:4:25 -0700", "17-Jul-1996 02-44-25 -0700",
		"17-Jul-1996 02:44:25 0700", "17-Jul-1996 02:44:25 GMT", "17-Jul-1996 02:44:25 +0060",
		"17-Jul-1996 02:44:25 +2400", "17-Jul-1996 02:44:25 +9999", "17-Jul-1996 02:44:25 +-700",
		"\"17-Jul-1996 02:44:25 -0700\"", "+7-Jul-1996 02:44:25 -0700", "17-Jul-1996\t02:44:25 -0700",
	};
	struct date d = { 77, 78 };
	const char *good = "17-Jul-1996 02:44:25 -0700";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(!date_parse(span_str(bad[i]), &d), "%s", bad[i]);
	for (size_t n = 0; n < strlen(good); n++) {
		char *part = malloc(n + 1);

		memcpy(part + 1, good, n);
		cr_assert(!date_parse(span_of(part + 1, n), &d), "first %zu", n);
		free(part);
	}
	cr_assert(!date_parse(SPAN_NONE, &d));
	cr_assert(!date_parse(SPAN("17-Jul-1996 02:44:25 -0700\0"), &d));
	cr_assert_eq(d.instant, 77);
	cr_assert_eq(d.zone, 78);
}

Test(date, prints)
{
	assert_prints(837596665, -420, "17-Jul-1996 02:44:25 -0700");
	assert_prints(0, 0, "01-Jan-1970 00:00:00 +0000");
	assert_prints(-1, 0, "31-Dec-1969 23:59:59 +0000");
	assert_prints(-1, 1, "01-Jan-1970 00:00:59 +0001");
	assert_prints(0, -1, "31-Dec-1969 23:59:00 -0001");
	assert_prints(0, 1439, "01-Jan-1970 23:59:00 +2359");
	assert_prints(0, -1439, "31-Dec-1969 00:01:00 -2359");
}

static void assert_day(const char *text, uint32_t day)
{
	struct date d;

	cr_assert(date_parse(span_str(text), &d), "%s", text);
	cr_expect_eq(date_day(d), day, "%s: %u", text, date_day(d));
}

Test(date, day_in_its_own_zone)
{
	assert_day("31-Dec-2019 23:59:59 +0000", 20191231);
	assert_day("01-Jan-2020 00:00:00 +0000", 20200101);
	assert_day("01-Jan-2020 00:00:00 +1400", 20200101);
	assert_day("31-Dec-2019 23:59:59 -1130", 20191231);
	assert_day("29-Feb-2020 12:00:00 +0000", 20200229);
	assert_day("31-Dec-1969 23:59:59 +0000", 19691231);
	assert_day("01-Jan-0000 00:00:00 +0000", 101);
	assert_day("31-Dec-9999 23:59:60 +0000", 99991231);
	cr_expect_eq(date_day((struct date){ INT64_MAX, INT16_MAX }), 99991231);
	cr_expect_eq(date_day((struct date){ INT64_MIN, INT16_MIN }), 101);
}

static void assert_header(const char *text, const char *printed)
{
	struct date d;
	char got[DATE_TEXT];

	cr_expect_eq(date_parse_header(span_str(text), &d), printed != NULL, "%s", text);
	if (printed == NULL)
		return;
	date_print(d, got);
	cr_expect_str_eq(got, printed);
}

Test(date, of_headers)
{
	assert_header("Wed, 17 Jul 1996 02:44:25 -0700 (PDT)", "17-Jul-1996 02:44:25 -0700");
	assert_header("17 Jul 1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700");
	assert_header("Mon,1 jan 2020 9:05 +0545", "01-Jan-2020 09:05:00 +0545");
	assert_header("  1 Jan 2020  09:05:60 GMT", "01-Jan-2020 09:06:00 +0000");
	assert_header("1 Jan 49 00:00:00 EST", "01-Jan-2049 00:00:00 -0500");
	assert_header("1 Jan 50 00:00:00 PDT", "01-Jan-1950 00:00:00 -0700");
	assert_header("1 Jan 100 00:00:00 UT", "01-Jan-2000 00:00:00 +0000");
	assert_header("29 Feb 2020 23:59:59", "29-Feb-2020 23:59:59 +0000");
	assert_header("29 Feb 2021 23:59:59 +0000", NULL);
	assert_header("0 Jan 2020 00:00:00 +0000", NULL);
	assert_header("32 Jan 2020 00:00:00 +0000", NULL);
	assert_header("1 Foo 2020 00:00:00 +0000", NULL);
	assert_header("1 Jan 2020 24:00:00 +0000", NULL);
	assert_header("1 Jan 2020 00:60:00 +0000", NULL);
	assert_header("1 Jan 2020", NULL);
	assert_header("1 Jan", NULL);
	assert_header("Mon,", NULL);
	assert_header("", NULL);
	assert_header("yesterday", NULL);
}

Test(date, prints_clamped)
{
	assert_prints(-62167219200, 0, "01-Jan-0000 00:00:00 +0000");
	assert_prints(-62167219201, 0, "01-Jan-0000 00:00:00 +0000");
	assert_prints(-62167219200, -60, "01-Jan-0000 00:00:00 -0100");
	assert_prints(-62167219200 - 3600, 60, "01-Jan-0000 00:00:00 +0100");
	assert_prints(253402300799, 0, "31-Dec-9999 23:59:59 +0000");
	assert_prints(253402300800, 0, "31-Dec-9999 23:59:59 +0000");
	assert_prints(253402300799, 1, "31-Dec-9999 23:59:59 +0001");
	assert_prints(253402300799 + 60, -1, "31-Dec-9999 23:59:59 -0001");
	assert_prints(INT64_MIN, INT16_MIN, "01-Jan-0000 00:00:00 -2359");
	assert_prints(INT64_MIN, INT16_MAX, "01-Jan-0000 00:00:00 +2359");
	assert_prints(INT64_MAX, INT16_MAX, "31-Dec-9999 23:59:59 +2359");
	assert_prints(INT64_MAX, INT16_MIN, "31-Dec-9999 23:59:59 -2359");
	assert_prints(0, INT16_MAX, "01-Jan-1970 23:59:00 +2359");
}

/* Every few hours of 10,000 years, in changing zones, against the C library. */
Test(date, round_trips_and_agrees_with_the_c_library)
{
	int zone = -1439;

	for (int64_t instant = -62167219200 + 86400; instant < 253402300799 - 86400; instant += 86400 * 3 + 12347) {
		struct date d = { instant, (int16_t)zone }, again = { 0, 0 };
		char text[DATE_TEXT], wanted[64], date[32], sign = zone < 0 ? '-' : '+';
		time_t local = (time_t)(instant + zone * 60);
		struct tm tm;

		date_print(d, text);
		cr_assert_neq(gmtime_r(&local, &tm), NULL);
		strftime(date, sizeof(date), "%d-%b-", &tm);
		snprintf(wanted, sizeof(wanted), "%s%04d %02d:%02d:%02d %c%02d%02d", date, tm.tm_year + 1900,
			 tm.tm_hour, tm.tm_min, tm.tm_sec, sign, abs(zone) / 60, abs(zone) % 60);
		if (strcmp(text, wanted) != 0)
			cr_assert_str_eq(text, wanted);
		if (!date_parse(span_str(text), &again) || again.instant != instant || again.zone != zone)
			cr_assert_fail("%s is not read back", text);
		zone = zone == 1439 ? -1439 : zone + 1;
	}
}

/* Every day of 400 years and their ends. */
Test(date, every_day_follows_the_one_before)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	int64_t expected = -11676096000; /* 1600-01-01 */

	for (int year = 1600; year < 2000; year++)
		for (int month = 0; month < 12; month++)
			for (int day = 1; day <= 31; day++) {
				char text[64];
				struct date d;

				snprintf(text, sizeof(text), "%02d-%s-%04d 00:00:00 +0000", day, months[month], year);
				if (!date_parse(span_str(text), &d)) {
					cr_assert_gt(day, 28);
					continue;
				}
				if (d.instant != expected)
					cr_assert_fail("%s is %lld", text, (long long)d.instant);
				expected += 86400;
			}
	cr_assert_eq(expected, 946684800);
}
