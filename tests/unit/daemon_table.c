#include "leaks.h"
#include "record.h"
#include "table.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t size;
static FILE *out;

static void setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	out = open_memstream(&text, &size);
	cr_assert_not_null(out);
}

static void teardown(void)
{
	fclose(out);
	free(text);
	leaks_check();
}

TestSuite(daemon_table, .init = setup, .fini = teardown);

static void expect(const char *want)
{
	fflush(out);
	cr_expect_str_eq(text, want);
	rewind(out);
}

Test(daemon_table, cells_are_filled_up_or_cut)
{
	table_cell(out, "abc", 5, false);
	putc('|', out);
	table_cell(out, "abcdef", 5, false);
	putc('|', out);
	table_cell(out, "abcdef", 5, true);
	putc('|', out);
	table_cell(out, "abcde", 5, true);
	putc('|', out);
	table_right(out, "12", 4);
	expect("abc  |abcdef|abc..|abcde|  12");
}

Test(daemon_table, columns_are_those_of_a_terminal)
{
	cr_expect_eq(table_width("Entw\xc3\xbcrfe"), 8);
	cr_expect_eq(table_width("\xe6\x9d\xb1\xe4\xba\xac"), 4);
	table_cell(out, "\xe6\x9d\xb1\xe4\xba\xac", 5, false);
	putc('|', out);
	table_cell(out, "\xe6\x9d\xb1\xe4\xba\xac\xe6\x9d\xb1", 5, true); /* half a character does not fit */
	putc('|', out);
	expect("\xe6\x9d\xb1\xe4\xba\xac |\xe6\x9d\xb1.. |");
}

Test(daemon_table, what_a_terminal_would_obey_is_not_shown)
{
	cr_expect_eq(table_width("a\033[2J\r\xff"), 7);
	table_text(out, "a\033[2J\r\xff" "b\xc3");
	expect("a?[2J??b?");
}

Test(daemon_table, times)
{
	char buf[TABLE_TIME];

	setenv("TZ", "UTC", 1);
	cr_expect_str_eq(table_time(buf, 0), "never");
	cr_expect_str_eq(table_time(buf, 837596665000), "1996-07-17 09:44:25");
	cr_expect_str_eq(table_iso(buf, 837596665999), "1996-07-17T09:44:25Z");
	cr_expect_str_eq(table_iso(buf, 0), "");
	cr_expect_str_eq(table_span(buf, -5), "0s");
	cr_expect_str_eq(table_span(buf, 99999), "99s");
	cr_expect_str_eq(table_span(buf, 100000), "1m");
	cr_expect_str_eq(table_span(buf, 5999000), "99m");
	cr_expect_str_eq(table_span(buf, 6000000), "1h");
	cr_expect_str_eq(table_span(buf, 359999000), "99h");
	cr_expect_str_eq(table_span(buf, 360000000), "4d");
}

Test(daemon_table, a_record_is_one_line_of_JSON)
{
	struct record *r = record_new(), *inner = record_new();

	record_text(r, "a", "quote \" and \\ and \n");
	record_text_or_null(r, "b", "");
	record_number(r, "c", UINT64_MAX);
	record_flag(r, "d", true);
	record_time(r, "e", 837596665000);
	record_time(r, "f", 0);
	record_number(inner, "g", 0);
	record_put(r, "h", &inner);
	cr_expect_null(inner);
	record_print(&r, out, false);
	cr_expect_null(r);
	expect("{\"a\":\"quote \\\" and \\\\ and \\n\",\"b\":null,\"c\":9223372036854775807,\"d\":true,\"e\":\"1996-07-17T09:44:25Z\","
	       "\"f\":null,\"h\":{\"g\":0}}");
}

Test(daemon_table, a_record_takes_bytes_that_are_not_UTF_8)
{
	struct record *r = record_new();

	record_text(r, "a", "caf\xe9 \xc3\xa9 \xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf \xe2\x82");
	record_print(&r, out, true);
	expect("{\"a\":\"caf\xef\xbf\xbd \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
	       "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\"");
}
