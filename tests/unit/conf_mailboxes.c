/* mailboxes: the mailbox list: what is read, and the line and words of every refusal. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "error.h"
#include "leaks.h"
#include "mailboxes.h"

static char folder[] = "/tmp/conf-XXXXXX";
static char start[4096];
static struct mailbox_admins admins;

static void set_up(void)
{
	cr_assert(getcwd(start, sizeof(start)) && mkdtemp(folder) && chdir(folder) == 0);
}

static void tear_down(void)
{
	unlink("acme.csv");
	cr_assert(chdir(start) == 0 && rmdir(folder) == 0);
	leaks_check();
}

TestSuite(conf_mailboxes, .init = set_up, .fini = tear_down);

static void put(const char *text, size_t len)
{
	FILE *f = fopen("acme.csv", "w");

	cr_assert(f && fwrite(text, 1, len, f) == len && fclose(f) == 0);
}

static void load(const char *text, struct mailbox_list *list)
{
	struct conf_error err = { "" };

	put(text, strlen(text));
	cr_assert(mailboxes_load("acme.csv", &admins, list, &err) == 0, "%s", err.text);
}

static void fails_bytes(const char *text, size_t len, const char *right)
{
	struct mailbox_list list = { .row_n = 7 };
	struct conf_error err = { "" };

	put(text, len);
	cr_expect(mailboxes_load("acme.csv", &admins, &list, &err) == EX_DATAERR, "%s", text);
	cr_expect(strncmp(err.text, "acme.csv:", 9) == 0, "%s", err.text);
	cr_expect_str_eq(err.text + 9, right);
	cr_expect(!list.rows && !list.texts && list.row_n == 0);
	mailboxes_free(&list);
}

/* right: what follows "acme.csv:" */
static void fails(const char *text, const char *right)
{
	fails_bytes(text, strlen(text), right);
}

static void row_is(const struct mailbox_list *list, size_t row, uint32_t line, const char *source,
		   const char *source_password, const char *target, const char *target_password)
{
	cr_assert(row < list->row_n);
	cr_expect(list->rows[row].line == line, "%u", (unsigned)list->rows[row].line);
	cr_expect_str_eq(mailboxes_get(list, row, MAILBOX_SOURCE_USER), source);
	cr_expect_str_eq(mailboxes_get(list, row, MAILBOX_SOURCE_PASSWORD), source_password);
	cr_expect_str_eq(mailboxes_get(list, row, MAILBOX_TARGET_USER), target);
	cr_expect_str_eq(mailboxes_get(list, row, MAILBOX_TARGET_PASSWORD), target_password);
}

#define HEADER "source_user,source_password,target_user,target_password\n"
#define COLUMNS "source_user, source_password, target_user, target_password"
#define EXCHANGE "EmailAddress, UserName, Password and, where it differs, TargetPassword"

Test(conf_mailboxes, plain)
{
	struct mailbox_list list;

	load(HEADER "ann,s1,ann@new,t1\nbob,s2,bob@new,t2", &list);
	cr_expect(list.row_n == 2);
	row_is(&list, 0, 2, "ann", "s1", "ann@new", "t1");
	row_is(&list, 1, 3, "bob", "s2", "bob@new", "t2");
	mailboxes_free(&list);
	mailboxes_free(&list);
	mailboxes_free(NULL);
}

Test(conf_mailboxes, header_in_any_order_and_case)
{
	struct mailbox_list list;

	load("\xef\xbb\xbfTarget_Password, TARGET_USER ,\" source_user\",source_password\r\n"
	     "t1, ann@new ,ann,s1\r\n\r\n   \r\nt2,bob@new,bob,s2\r\n", &list);
	cr_expect(list.row_n == 2);
	row_is(&list, 0, 2, "ann", "s1", "ann@new", "t1");
	row_is(&list, 1, 5, "bob", "s2", "bob@new", "t2");
	mailboxes_free(&list);
}

Test(conf_mailboxes, quotes_commas_breaks_and_utf8_in_passwords)
{
	struct mailbox_list list;

	load(HEADER "ann,\"a,\"\"b\"\"\nc\r\nd\",ann@new,\" blanks \"\n"
	     "m\xc3\xbcller,\xf0\x9f\x90\xa6,\"m\xc3\xbcller\",p\xe4ss\n", &list);
	row_is(&list, 0, 2, "ann", "a,\"b\"\nc\r\nd", "ann@new", " blanks ");
	row_is(&list, 1, 5, "m\xc3\xbcller", "\xf0\x9f\x90\xa6", "m\xc3\xbcller", "p\xe4ss");
	mailboxes_free(&list);
}

Test(conf_mailboxes, old_line_ends_count)
{
	struct mailbox_list list;

	load("source_user,source_password,target_user,target_password\rann,s,ann@new,t\rb,s,b,t", &list);
	row_is(&list, 1, 3, "b", "s", "b", "t");
	mailboxes_free(&list);
}

Test(conf_mailboxes, header_alone_is_an_empty_list)
{
	struct mailbox_list list;

	load(HEADER, &list);
	cr_expect(list.row_n == 0);
	mailboxes_free(&list);
	load("source_user,source_password,target_user,target_password", &list);
	cr_expect(list.row_n == 0);
	mailboxes_free(&list);
}

Test(conf_mailboxes, exchange)
{
	struct mailbox_list list;

	load("EmailAddress,UserName,Password\nann@new,ann,s1\n", &list);
	row_is(&list, 0, 2, "ann", "s1", "ann@new", "s1");
	mailboxes_free(&list);
	load("Password,emailaddress,TargetPassword,username\ns1,ann@new,t1,ann\n", &list);
	row_is(&list, 0, 2, "ann", "s1", "ann@new", "t1");
	mailboxes_free(&list);
	fails("EmailAddress,UserName\na,b\n", "1: the column Password is missing; the columns are " EXCHANGE);
	fails("EmailAddress,UserName,Password,UserRoot\na,b,c,d\n",
	      "1: unknown column \"UserRoot\"; the columns are " EXCHANGE);
	fails("EmailAddress,UserName,Password,TargetPassword\nann@new,ann,s1,\n",
	      "2: TargetPassword is empty; every mailbox needs one");
	fails("EmailAddress,UserName,Password,target_password\na,b,c,d\n",
	      "1: the column target_password is of another kind of list than EmailAddress; "
	      "the columns are either " COLUMNS ", or " EXCHANGE);
}

Test(conf_mailboxes, header_errors)
{
	fails("", "1: the header line is missing; the first line names the columns: " COLUMNS);
	fails("\n\n", "1: the header line is missing; the first line names the columns: " COLUMNS);
	fails("\nsource_user,source_password,target_user\n",
	      "2: the column target_password is missing; the columns are " COLUMNS);
	fails("source_user,source_password,target_user,target_password,color\n",
	      "1: unknown column \"color\"; the columns are " COLUMNS);
	fails("source_user,source_password,target_user,target_password,\n",
	      "1: unknown column \"\"; the columns are " COLUMNS);
	fails("source_user,source_password,target_user,target_password,Source_User\n",
	      "1: the column source_user stands twice; leave one of them out");
	fails("source_user;source_password;target_user;target_password\n",
	      "1: the columns are separated by semicolons; separate them by commas");
	fails("source_user\tsource_password\ttarget_user\ttarget_password\n",
	      "1: the columns are separated by tabs; separate them by commas");
	fails("source_user,a,b,c,d,e,f,g,h,i,j\n", "1: unknown column \"a\"; the columns are " COLUMNS);
	fails("source_user,a\xff\n", "1: a column's name is not UTF-8; save the list as UTF-8");
	fails("source_user,\"a\nb\"\n", "1: unknown column \"a?b\"; the columns are " COLUMNS);
}

Test(conf_mailboxes, first_row_is_never_repeated_as_a_header)
{
	fails("ann,hunter2,ann@new,hunter3\n",
	      "1: this is no header line; the first line names the columns: " COLUMNS);
}

Test(conf_mailboxes, administrators)
{
	struct mailbox_list list;

	admins = (struct mailbox_admins){ .source = "old" };
	load("target_user,target_password,source_user\na,b,c\nd,e,f\n", &list);
	cr_expect_null(mailboxes_get(&list, 1, MAILBOX_SOURCE_PASSWORD));
	cr_expect_str_eq(mailboxes_get(&list, 1, MAILBOX_SOURCE_USER), "f");
	cr_expect_str_eq(mailboxes_get(&list, 1, MAILBOX_TARGET_PASSWORD), "e");
	mailboxes_free(&list);
	fails("source_user,target_user\na,b\n", "1: the column target_password is missing; the columns are " COLUMNS);
	fails(HEADER "a,b,c,d\n", "1: the column source_password is of no use: the admin_user of server \"old\" "
	      "logs in for all; leave the column out");
	fails("source_user,target_user,target_password\na,b,\n", "2: target_password is empty; every mailbox needs one");
	admins = (struct mailbox_admins){ .target = "new" };
	load("target_user,source_password,source_user\na,b,c\n", &list);
	cr_expect_null(mailboxes_get(&list, 0, MAILBOX_TARGET_PASSWORD));
	cr_expect_str_eq(mailboxes_get(&list, 0, MAILBOX_SOURCE_PASSWORD), "b");
	mailboxes_free(&list);
	fails(HEADER "a,b,c,d\n", "1: the column target_password is of no use: the admin_user of server \"new\" "
	      "logs in for all; leave the column out");
	admins = (struct mailbox_admins){ "old", "new" };
	load("target_user,source_user\na,b\n", &list);
	cr_expect_null(mailboxes_get(&list, 0, MAILBOX_SOURCE_PASSWORD));
	cr_expect_null(mailboxes_get(&list, 0, MAILBOX_TARGET_PASSWORD));
	cr_expect_str_eq(mailboxes_get(&list, 0, MAILBOX_SOURCE_USER), "b");
	mailboxes_free(&list);
	fails("target_user\na\n", "1: the column source_user is missing; the columns are " COLUMNS);
	admins = (struct mailbox_admins){ 0 };
}

Test(conf_mailboxes, administrators_and_exchange)
{
	struct mailbox_list list;

	admins = (struct mailbox_admins){ .source = "old" };
	load("EmailAddress,UserName,Password\na,b,c\n", &list);
	cr_expect_str_eq(mailboxes_get(&list, 0, MAILBOX_TARGET_PASSWORD), "c");
	mailboxes_free(&list);
	load("EmailAddress,UserName,TargetPassword\na,b,c\n", &list);
	cr_expect_null(mailboxes_get(&list, 0, MAILBOX_SOURCE_PASSWORD));
	cr_expect_str_eq(mailboxes_get(&list, 0, MAILBOX_TARGET_PASSWORD), "c");
	mailboxes_free(&list);
	fails("EmailAddress,UserName\na,b\n", "1: the column Password is missing; the columns are " EXCHANGE);
	fails("EmailAddress,UserName,Password,TargetPassword\na,b,c,d\n", "1: the column Password is of no use: the admin_user "
	      "of server \"old\" logs in for all; leave the column out");
	admins = (struct mailbox_admins){ .target = "new" };
	load("EmailAddress,UserName,Password\na,b,c\n", &list);
	cr_expect_str_eq(mailboxes_get(&list, 0, MAILBOX_SOURCE_PASSWORD), "c");
	cr_expect_null(mailboxes_get(&list, 0, MAILBOX_TARGET_PASSWORD));
	mailboxes_free(&list);
	fails("EmailAddress,UserName,Password,TargetPassword\na,b,c,d\n", "1: the column TargetPassword is of no use: the "
	      "admin_user of server \"new\" logs in for all; leave the column out");
	admins = (struct mailbox_admins){ "old", "new" };
	load("EmailAddress,UserName\na,b\n", &list);
	cr_expect_null(mailboxes_get(&list, 0, MAILBOX_TARGET_PASSWORD));
	mailboxes_free(&list);
	fails("EmailAddress,UserName,Password\na,b,c\n", "1: the column Password is of no use: the admin_user of server "
	      "\"new\" logs in for all; leave the column out");
	admins = (struct mailbox_admins){ 0 };
}

Test(conf_mailboxes, row_errors)
{
	fails(HEADER "a,b,c,d\na,b,c\n",
	      "3: 3 values where the header has 4 columns; give every column a value");
	fails(HEADER "a\n", "2: 1 value where the header has 4 columns; give every column a value");
	fails(HEADER "a,b,c,d,e\n", "2: 5 values where the header has 4 columns; "
	      "put a value with a comma in it in double quotes");
	fails(HEADER "a,b,c,\n", "2: target_password is empty; every mailbox needs one");
	fails(HEADER ",b,c,d\n", "2: source_user is empty; every mailbox needs one");
	fails(HEADER "a,\"\",c,d\n", "2: source_password is empty; every mailbox needs one");
	fails(HEADER "a,\"x\ny\",a,d\nb,b, ,d", "4: target_user is empty; every mailbox needs one");
	fails(HEADER "m\xfcller,b,c,d\n", "2: source_user is not UTF-8; save the list as UTF-8");
	fails(HEADER "a,b,\"c\nd\",e\n", "2: target_user has a line break or another control "
	      "character in it; leave that out");
	fails_bytes(HEADER "a,\"b\n\0\",c,d\n", sizeof(HEADER "a,\"b\n\0\",c,d\n") - 1,
		    "3: a NUL byte; the list must be UTF-8 text");
}

Test(conf_mailboxes, quoting_errors)
{
	static const char wrong[] = "a double quote in the wrong place; put the whole value in "
				    "double quotes and double those in it";
	char right[256];

	snprintf(right, sizeof(right), "3: %s", wrong);
	fails(HEADER "a,b,c,d\ne,f\"f,g,h\n", right);
	fails(HEADER "a,\"b\nb\"x,c,d\n", right);
	fails(HEADER "a,b,c,d\nx,\"open,c,d\ne,f,g,h\n",
	      "3: a double quote is not closed; close it with another one");
	fails(HEADER "a,b,c,\"", "2: a double quote is not closed; close it with another one");
}

Test(conf_mailboxes, same_target_twice)
{
	fails(HEADER "a,b,ann@new,d\n\"e\",\"f\nf\",bob,h\ni,j,Ann@NEW,l\n",
	      "5: target_user \"Ann@NEW\" stands on line 2 already; leave one of them out");
	fails("EmailAddress,UserName,Password\na,b,c\na,d,e\n",
	      "3: EmailAddress \"a\" stands on line 2 already; leave one of them out");
}

Test(conf_mailboxes, same_source_twice_is_allowed)
{
	struct mailbox_list list;

	load(HEADER "a,b,c,d\na,b,e,f\n", &list);
	cr_expect(list.row_n == 2);
	mailboxes_free(&list);
}

static char *with_password(size_t n, const char *quote)
{
	char *text = malloc(n + 256), *p = text;

	cr_assert_not_null(text);
	p += snprintf(p, 128, "%sx,y,z,w\na,%s", HEADER, quote);
	memset(p, 'p', n);
	p += n;
	snprintf(p, 64, "%s,c,d\n", quote);
	return text;
}

Test(conf_mailboxes, longest_value)
{
	static const char right[] = "3: a value of more than 4096 bytes; shorten it, "
				    "or close its double quote";
	struct mailbox_list list;
	char *text = with_password(4096, "\"");

	load(text, &list);
	cr_expect(strlen(mailboxes_get(&list, 1, MAILBOX_SOURCE_PASSWORD)) == 4096);
	mailboxes_free(&list);
	free(text);
	text = with_password(4097, "");
	fails(text, right);
	free(text);
	text = with_password(100000, "\"");
	fails(text, right);
	free(text);
}

Test(conf_mailboxes, file_that_is_not_there)
{
	struct mailbox_list list;
	struct conf_error err;

	cr_expect(mailboxes_load("none.csv", &admins, &list, &err) == 65);
	cr_expect_str_eq(err.text, "none.csv: No such file or directory; "
			 "it must be a file that can be read");
	cr_expect(mailboxes_load(".", &admins, &list, &err) == 65);
	cr_expect_str_eq(err.text, ".: Is a directory; it must be a file that can be read");
}

static void put_many(size_t n)
{
	FILE *f = fopen("acme.csv", "w");

	cr_assert_not_null(f);
	fputs(HEADER, f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "user%zu@old.example,source-secret-%zu,user%zu@new.example,target-secret-%zu\n",
			i, i, i, i);
	cr_assert(fclose(f) == 0);
}

Test(conf_mailboxes, hundred_thousand_in_30_mb)
{
	struct mailbox_list list;
	struct conf_error err = { "" };
	size_t bytes;

	put_many(100000);
	cr_assert(mailboxes_load("acme.csv", &admins, &list, &err) == 0, "%s", err.text);
	bytes = list.text_cap + list.row_cap * sizeof(*list.rows);
	cr_expect(list.row_n == 100000 && bytes < 16u * 1024 * 1024, "%zu bytes", bytes);
	cr_expect_str_eq(mailboxes_get(&list, 99999, MAILBOX_TARGET_PASSWORD), "target-secret-99999");
	mailboxes_free(&list);
}

Test(conf_mailboxes, a_million_is_the_most)
{
	struct mailbox_list list;
	struct conf_error err = { "" };

	put_many(MAILBOXES_ROW_MAX + 1);
	cr_expect(mailboxes_load("acme.csv", &admins, &list, &err) == EX_DATAERR);
	cr_expect_str_eq(err.text, "acme.csv:1000002: more than 1000000 mailboxes; split the list");
}

Test(conf_mailboxes, secrets_are_never_in_the_words)
{
	static const char *const lists[] = {
		HEADER "ann,hunter2,ann@new\n",
		HEADER "ann,hunter2,,hunter2\n",
		HEADER "ann,hunter2,ann@new,hunter2,hunter2\n",
		HEADER "ann,hunter2\"hunter2,ann@new,hunter2\n",
		HEADER "ann,\"hunter2,ann@new,hunter2\n",
		HEADER "ann,hunter2,a,hunter2\nann,hunter2,a,hunter2\n",
		"hunter2;hunter2\n",
		"hunter2,source_uzer\n",
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct mailbox_list list;
		struct conf_error err = { "" };

		put(lists[i], strlen(lists[i]));
		cr_expect(mailboxes_load("acme.csv", &admins, &list, &err) == EX_DATAERR);
		cr_expect(!strstr(err.text, "hunter2"), "%s", err.text);
	}
}
