#include "header.h"
#include "leaks.h"

static struct buf out;

static void setup(void)
{
	buf_init(&out, 64);
}

static void teardown(void)
{
	buf_done(&out);
	leaks_check();
}

TestSuite(daemon_header, .init = setup, .fini = teardown);

static void expect(const char *text, const char *name, const char *value)
{
	buf_reset(&out);
	cr_expect_eq(header_field(span_str(text), span_str(name), &out), value != NULL, "%s", text);
	cr_expect(span_eq(buf_span(&out), span_str(value)), "%.*s", SPAN_ARG(buf_span(&out)));
}

Test(daemon_header, the_first_field_of_that_name)
{
	expect("Message-ID: <a@b>\r\nDate: x\r\n\r\n", "message-id", "<a@b>");
	expect("Date: x\r\nMESSAGE-ID:<a@b>  \r\n", "Message-ID", "<a@b>");
	expect("Message-ID \t: <a@b>\n", "Message-ID", "<a@b>");
	expect("Message-ID: <1>\r\nMessage-ID: <2>\r\n", "Message-ID", "<1>");
	expect("Message-ID: <1>", "Message-ID", "<1>");
}

Test(daemon_header, folded_lines_become_one)
{
	expect("Message-ID:\r\n <a\r\n\t b@c>\r\nDate: x\r\n", "Message-ID", "<a b@c>");
	expect("Message-ID: a  \t b\n\n c\n", "Message-ID", "a b");
}

Test(daemon_header, what_is_not_there)
{
	expect("", "Message-ID", NULL);
	expect("Message-ID:\r\nDate: x\r\n", "Message-ID", NULL);
	expect("Message-IDs: x\r\n", "Message-ID", NULL);
	expect("X: \r\n Message-ID: x\r\n", "Message-ID", NULL);
	expect("Date: x\r\n\r\nMessage-ID: <body>\r\n", "Message-ID", NULL);
	expect("\nMessage-ID: <body>\r\n", "Message-ID", NULL);
	expect("Message-ID", "Message-ID", NULL);
}

Test(daemon_header, no_control_characters_and_no_more_than_fits)
{
	char text[128] = "Message-ID: ";

	expect("Message-ID: a\033[2Jb\177\r\n", "Message-ID", "a?[2Jb?");
	memset(text + 12, 'x', 100);
	buf_reset(&out);
	cr_expect(header_field(span_of(text, 112), SPAN("Message-ID"), &out));
	cr_expect_eq(out.n, 64);
}
