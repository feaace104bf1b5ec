/* conf: the configuration file: what is read, and the line and words of every refusal. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "conf.h"
#include "keydoc.h"
#include "keys.h"
#include "leaks.h"

static char folder[] = "/tmp/conf-XXXXXX";
static char start[4096];

static void put(const char *name, const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(name, "w");

	cr_assert(f && fwrite(text, 1, len, f) == len && fclose(f) == 0);
	cr_assert(chmod(name, mode) == 0);
}

/* Every test has a folder of its own with a mailbox list and certificates in it. */
static void set_up(void)
{
	cr_assert(getcwd(start, sizeof(start)) && mkdtemp(folder) && chdir(folder) == 0);
	put("acme.csv", "", 0, 0600);
	put("ca.pem", "", 0, 0644);
	cr_assert(mkdir("folder", 0700) == 0);
}

static void tear_down(void)
{
	unlink("acme.csv");
	unlink("ca.pem");
	unlink("godwit.conf");
	rmdir("folder");
	cr_assert(chdir(start) == 0 && rmdir(folder) == 0);
	leaks_check();
}

TestSuite(conf_conf, .init = set_up, .fini = tear_down);
TestSuite(conf_docs, .fini = leaks_check);

static struct conf *load(const char *text)
{
	struct conf_error err = { "" };
	struct conf *conf = NULL;

	put("godwit.conf", text, strlen(text), 0644);
	cr_assert(conf_load("godwit.conf", &conf, &err) == 0, "%s", err.text);
	return conf;
}

/* right: what follows "godwit.conf:" */
static void fails(const char *text, const char *right)
{
	struct conf *conf = (struct conf *)text;
	struct conf_error err = { "" };

	put("godwit.conf", text, strlen(text), 0644);
	cr_expect(conf_load("godwit.conf", &conf, &err) == EX_CONFIG, "%s", text);
	cr_expect_null(conf);
	cr_expect(strncmp(err.text, "godwit.conf:", 12) == 0, "%s", err.text);
	cr_expect_str_eq(err.text + 12, right);
}

static const char *in_folder(const char *name)
{
	static char path[8192];
	char here[4096];

	cr_assert(getcwd(here, sizeof(here)) != NULL);
	snprintf(path, sizeof(path), "%s/%s", here, name);
	return path;
}

#define SERVERS "server \"old\" { url = \"imap://old.example\" }\n" \
	"server \"new\" { url = \"imaps://new.example\" }\n"

Test(conf_conf, empty_file_is_all_defaults)
{
	struct conf *conf = load("");

	cr_expect_str_eq(conf->file, "godwit.conf");
	cr_expect_str_eq(conf->state, "/var/lib/godwit");
	cr_expect_str_eq(conf->control, "/run/godwit/control.sock");
	cr_expect(conf->max_login_retries == 60);
	cr_expect(conf->login_retry_interval_ms == 60000);
	cr_expect(conf->pass_interval_ms == 3600000);
	cr_expect(conf->max_mailboxes == 50);
	cr_expect(conf->connect_timeout_ms == 30000);
	cr_expect(conf->login_timeout_ms == 30000);
	cr_expect(conf->command_timeout_ms == 300000);
	cr_expect(conf->shutdown_timeout_ms == 10000);
	cr_expect(conf->server_n == 0 && conf->migration_n == 0 && conf->warning_n == 0);
	cr_expect(conf_overrides(conf, NULL, NULL) == 0);
	conf_free(&conf);
	cr_expect_null(conf);
	conf_free(&conf);
	conf_free(NULL);
}

Test(conf_conf, defaults_without_a_file)
{
	struct conf conf;

	conf_defaults(&conf);
	cr_expect_str_eq(conf.state, "/var/lib/godwit");
	cr_expect(conf.login_retry_interval_ms == 60000 && conf.max_login_retries == 60);
	cr_expect(conf.server_n == 0 && !conf.file);
	cr_expect(conf_overrides(&conf, NULL, NULL) == 0);
}

Test(conf_conf, whole_file)
{
	struct conf *conf = load(
		"\xef\xbb\xbf# a comment\r\n"
		"state = \"/srv/\\\"odd\\\"\"\r\n"
		"control = 'run/control.sock' // another\r\n"
		"max_login_retries = 0\n/* and\n another */ login_retry_interval = 200ms\n"
		"migration \"acme\" { source = \"old\" target = new mailboxes = \"acme.csv\" }\n"
		"server \"old\" {\n  url = \"imap://[::1]:1143/\"\n  ca_file = \"ca.pem\"\n"
		"  allow_plaintext = yes\n  compress = \"On\" max_connections = 10000 }\n"
		"server new { url = \"imaps://new.example\" }");
	const struct conf_server *old = conf_server_find(conf, "old");
	const struct conf_migration *acme = conf->migrations;

	cr_expect_str_eq(conf->state, "/srv/\"odd\"");
	cr_expect_str_eq(conf->control, in_folder("run/control.sock"));
	cr_expect(conf->max_login_retries == 0 && conf->login_retry_interval_ms == 200);
	cr_assert(conf->server_n == 2 && conf->migration_n == 1 && old == &conf->servers[0]);
	cr_expect(!old->url.tls_first && old->url.port == 1143 && old->allow_plaintext);
	cr_expect_str_eq(old->url.host, "::1");
	cr_expect_str_eq(old->ca_file, in_folder("ca.pem"));
	cr_expect(old->max_connections == 10000 && old->line == 8);
	cr_expect(old->compress == CONF_COMPRESS_ON && conf->servers[1].compress == CONF_COMPRESS_AUTO);
	cr_expect(conf->servers[1].max_connections == 20 && !conf->servers[1].ca_file);
	cr_expect_str_eq(acme->name, "acme");
	cr_expect(acme->source == old && acme->target == &conf->servers[1] && acme->line == 7);
	cr_expect_str_eq(acme->mailboxes, in_folder("acme.csv"));
	cr_expect_null(conf_server_find(conf, "newer"));
	cr_expect(conf->warning_n == 0);
	conf_free(&conf);
}

struct seen {
	char text[1024];
	size_t len;
};

static void see(const struct conf_override *o, void *arg)
{
	struct seen *seen = arg;
	int n = snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len,
			 "%s/%s/%s: %s (%s)%s\n", o->section, o->title ? o->title : "", o->name,
			 o->value, o->default_value, o->reloadable ? "" : " restart");

	seen->len += (size_t)n;
}

Test(conf_conf, overrides_are_told)
{
	struct conf *conf = load("max_login_retries = 3\nlogin_retry_interval = \"90s\"\n"
				 "pass_interval = \"60m\"\nstate = /srv/godwit\n"
				 "server a { url = \"imap://a\" max_connections = 5 compress = on }\n"
				 "server b { url = \"imap://b\" allow_plaintext = true\n"
				 "ca_file = /dev/null }\n");
	struct seen seen = { .len = 0 };

	cr_expect(conf_overrides(conf, see, &seen) == 7);
	cr_expect_str_eq(seen.text, "//state: /srv/godwit (/var/lib/godwit) restart\n"
			 "//max_login_retries: 3 (60)\n//login_retry_interval: 90s (60s)\n"
			 "server/a/compress: on (auto)\nserver/a/max_connections: 5 (20)\nserver/b/ca_file: /dev/null ()\n"
			 "server/b/allow_plaintext: true (false)\n");
	conf_free(&conf);
}

#define MIGRATION(keys) SERVERS "migration \"m\" { source = old target = new mailboxes = acme.csv\n" keys "\n}\n"

Test(conf_conf, lists)
{
	struct conf *conf = load(MIGRATION("map = { \"a => b\",\n\n \"/x\\\\.(.*)/ => y/\\\\1\", }\nexclude = '\\\\Trash'\n"
					   "special_use = off namespaces = all prefix = Old"));
	const struct conf_migration *m = conf->migrations;
	struct seen seen = { .len = 0 };

	cr_assert(m->map.n == 2 && m->exclude.n == 1 && m->include.n == 0);
	cr_expect_str_eq(m->map.item[0], "a => b");
	cr_expect_str_eq(m->map.item[1], "/x\\.(.*)/ => y/\\1");
	cr_expect_str_eq(m->exclude.item[0], "\\Trash");
	cr_expect(m->map.line == 4 && m->exclude.line == 7);
	cr_expect(m->special_use == CONF_SPECIAL_USE_OFF && m->namespaces == CONF_NAMESPACES_ALL);
	cr_expect_str_eq(m->prefix, "Old");
	cr_expect(conf_overrides(conf, see, &seen) == 5);
	cr_expect_str_eq(seen.text, "migration/m/special_use: off (auto)\n"
			 "migration/m/map: { \"a => b\", \"/x\\\\.(.*)/ => y/\\\\1\" } ()\n"
			 "migration/m/exclude: { \"\\\\Trash\" } ()\nmigration/m/prefix: Old ()\nmigration/m/namespaces: all (personal)\n");
	conf_free(&conf);
	fails(MIGRATION("map = { }"), "4: map is empty; give it a value or leave it out");
	fails(MIGRATION("map = { \"a\", \"\" }"), "4: a value of map is empty or not UTF-8; give it another or leave it out");
	fails(MIGRATION("map = { a b }"), "4: the list of map is not complete; write map = { \"VALUE\", \"VALUE\" }");
	fails(MIGRATION("map = { a,\n# one\n b }"), "5: a comment stands inside a list; write it before the list");
	fails(MIGRATION("map = { a // one\n }"), "4: a comment stands inside a list; write it before the list");
	fails(MIGRATION("map = { , }"), "4: the list of map is not complete; write map = { \"VALUE\", \"VALUE\" }");
	fails(MIGRATION("source = { old }"), "4: source is given a list; write one value");
}

Test(conf_conf, file_that_is_not_there)
{
	struct conf_error err;
	struct conf *conf;

	cr_expect(conf_load("none.conf", &conf, &err) == 78);
	cr_expect_str_eq(err.text, "none.conf: No such file or directory; "
			 "create it or name another one with -c");
	cr_expect(conf_load("folder", &conf, &err) == 78);
	cr_expect_str_eq(err.text, "folder: Is a directory; it must be a text file");
	put("godwit.conf", "# one\nstate\0", 12, 0644);
	cr_expect(conf_load("godwit.conf", &conf, &err) == 78);
	cr_expect_str_eq(err.text, "godwit.conf:2: a NUL byte; it must be a text file");
}

Test(conf_conf, form)
{
	fails("# one\n\nstate = \"/srv\ncontrol = \"/run\"\n",
	      "3: the string is not closed; end it with \" on the same line");
	fails("state = '/srv", "1: the string is not closed; end it with ' on the same line");
	fails("\n/* one\n two", "2: the comment is not closed; end it with */");
	fails("\n}\n", "2: unexpected \"}\"; write NAME = VALUE or SECTION \"NAME\" { ... }");
	fails("max_mailboxes = 5;", "1: unexpected \";\"; leave it out, a value ends by itself");
	fails("max_mailboxes += 5", "1: unexpected \"+\"; write NAME = VALUE, one value for each name");
	fails("max_mailboxes = { 5 }", "1: max_mailboxes is given a list; write one value");
	fails("max_mailboxes 5", "1: \"=\" is missing after max_mailboxes; write max_mailboxes = VALUE");
	fails("max_mailboxes\n", "1: \"=\" is missing after max_mailboxes; write max_mailboxes = VALUE");
	fails("state =\ncontrol = \"/run\"",
	      "1: the value of state is missing; write state = VALUE on one line");
	fails("state = \"${HOME}/x\"",
	      "1: ${...} is not replaced by a variable; write the value itself");
	fails("state = ${HOME}", "1: ${...} is not replaced by a variable; write the value itself");
	fails("state = \"C:\\new\"", "1: a \\ stands before another character than \" or \\; "
	      "write \\\\ for a \\ itself");
	fails("server a { url = imap://a }", "1: a value with // or * in it stands without quotes; "
	      "write it in double quotes");
	fails("# one\nserver \"a\" {\n url = \"imap://a\"\n",
	      "2: the section server is not closed; end it with }");
	fails("server \"a\" {\n\nserver \"b\" { }\n",
	      "3: a section begins inside the section server of line 1; end that one with } before");
}

Test(conf_conf, names)
{
	fails("# a\n# b\n# c\nmax_login_retrys = 3\n",
	      "4: unknown key \"max_login_retrys\"; did you mean \"max_login_retries\"?");
	fails("server a {\n  ca-file = \"x\"\n}", "2: unknown key \"ca-file\"; did you mean \"ca_file\"?");
	fails("stat\001\xff = 3", "1: unknown key \"stat??\"; did you mean \"state\"?");
	fails("servers a { }", "1: unknown section \"servers\"; did you mean \"server\"?");
	fails("ca_file = \"ca.pem\"", "1: ca_file stands in the wrong place; "
	      "write it into a section server \"NAME\" { ... }");
	fails("server a {\nmax_mailboxes = 3 }",
	      "2: max_mailboxes stands in a section; write it outside of the braces");
	fails("state \"x\" { }", "1: state is not a section; write state = VALUE");
	fails("server = \"x\"", "1: server is a section; write server \"NAME\" { ... }");
	fails("\nmax_mailboxes = 3\n\nmax_mailboxes = 4",
	      "4: max_mailboxes stands on line 2 already; leave one of them out");
	fails("server a { url = \"imap://a\"\nurl = \"imap://b\" }",
	      "2: url stands on line 1 already; leave one of them out");
	fails("server { }", "1: a section server without a name; write server \"NAME\" { ... }");
	fails("server \"\" { }", "1: a section server without a name; write server \"NAME\" { ... }");
	fails("server \"a/b\" { }", "1: the name of a section has a /, a quote or the like in it; "
	      "use letters, digits, - . and _");
	fails("server \"m\xfcller\" { }", "1: the name of a section is not UTF-8; save the file as UTF-8");
	fails(SERVERS "\nserver old {\n}",
	      "4: server \"old\" stands on line 1 already; give each server its own name");
	fails(SERVERS "migration x {}\nmigration x {}",
	      "4: migration \"x\" stands on line 3 already; give each migration its own name");
}

Test(conf_conf, same_key_or_title_elsewhere_is_no_duplicate)
{
	struct conf *conf = load("server a { url = \"imap://a\" }\nserver b { url = \"imap://b\" }\n"
				 "migration a { source = a target = b mailboxes = acme.csv }\n"
				 "migration b { source = a target = a mailboxes = acme.csv }\n"
				 "max_mailboxes = 3");

	cr_expect(conf->migrations[1].target == &conf->servers[0] && conf->max_mailboxes == 3);
	conf_free(&conf);
}

Test(conf_conf, values)
{
	fails("\nmax_login_retries = 1000001",
	      "2: max_login_retries is 1000001; it must be between 0 and 1000000");
	fails("max_login_retries = -1", "1: max_login_retries is -1; it must be between 0 and 1000000");
	fails("max_login_retries = \"many\"",
	      "1: max_login_retries is \"many\"; it must be a whole number");
	fails("login_retry_interval = 9ms",
	      "1: login_retry_interval is 9ms; it must be between 10ms and 1d");
	fails("login_retry_interval = 25h",
	      "1: login_retry_interval is 25h; it must be between 10ms and 1d");
	fails("login_retry_interval = 60", "1: login_retry_interval is \"60\", a number without a "
	      "unit; it must be a number with one of the units ms s m h d, like \"90s\"");
	fails("pass_interval = 31d", "1: pass_interval is 31d; it must be between 1s and 30d");
	fails("pass_interval = 999ms", "1: pass_interval is 999ms; it must be between 1s and 30d");
	fails("max_mailboxes = 0", "1: max_mailboxes is 0; it must be between 1 and 10000");
	fails("state = \"\"", "1: state is empty; give it a value or leave it out");
	fails("server a {\n\nallow_plaintext = maybe }",
	      "3: allow_plaintext is \"maybe\"; it must be true or false");
	fails("server a {\n\ncompress = o }", "3: compress is \"o\"; it must be auto, on or off");
	fails("server a {\n\ncompress = offf }", "3: compress is \"offf\"; it must be auto, on or off");
	fails(SERVERS "migration m {\n since = \"2020-02-30\" }", "4: since is \"2020-02-30\"; it must be a day like \"2020-01-31\"");
	fails(SERVERS "migration m {\n repair = \"newlines, all\" }", "4: repair is \"newlines, all\"; it must be some of the words newlines nul lines end, or off");
	fails(SERVERS "migration m {\n repair = \"nul off\" }", "4: repair is \"nul off\"; it must be some of the words newlines nul lines end, or off");
	fails(SERVERS "migration m {\n repair = \"off nul\" }", "4: repair is \"off nul\"; it must be some of the words newlines nul lines end, or off");
	fails(SERVERS "migration m {\n repair = \", \" }", "4: repair is \", \"; it must be some of the words newlines nul lines end, or off");
	fails(SERVERS "migration m {\n max_size = 1 }", "4: max_size is \"1\", a number without a unit; it must be a number with one of the "
	      "units K M G, like \"10M\"");
	fails("server a { url = \"imaps://ann:secret@a\" }", "1: url has a password in it, where "
	      "others can see it; passwords go into the environment, a password file or the mailbox list");
	fails("server a { url = \"imaps://ann@a\" }", "1: url names a user; leave USER@ out, "
	      "the users stand in the mailbox list");
	fails("server a { url = \"imap://a\" max_connections = 10001 }",
	      "1: max_connections is 10001; it must be between 1 and 10000");
	fails("control = \"/0123456789012345678901234567890123456789012345678901234567890123456789"
	      "01234567890123456789012345678901234567\"",
	      "1: control is longer than a socket's path can be; shorten it to 107 bytes");
}

Test(conf_conf, what_a_section_needs)
{
	fails("\nserver old {\n max_connections = 5\n}", "2: url is missing in server \"old\"; it is "
	      "where it is: imaps://HOST[:PORT] for TLS, imap://HOST[:PORT] for STARTTLS");
	fails(SERVERS "migration acme {\n source = old\n target = new\n}",
	      "3: mailboxes is missing in migration \"acme\"; it is the mailbox list, a CSV file");
	fails(SERVERS "migration acme {\n source = old\n target = nwe\n mailboxes = acme.csv\n}",
	      "5: target is \"nwe\", but there is no such server; "
	      "write a section server \"nwe\" { ... } or name another");
	fails("migration acme {\n mailboxes = acme.csv\n target = new\n source = old\n}",
	      "4: source is \"old\", but there is no such server; "
	      "write a section server \"old\" { ... } or name another");
}

static void fails_with_path(const char *text, const char *before, const char *path, const char *after)
{
	char right[9000];

	snprintf(right, sizeof(right), "%s%s%s", before, path, after);
	fails(text, right);
}

Test(conf_conf, files_that_it_names)
{
	fails_with_path("server a { url = \"imap://a\"\nca_file = none.pem }", "2: ca_file is \"",
			in_folder("none.pem"),
			"\": No such file or directory; it must be a file that can be read");
	fails_with_path(SERVERS "migration x { source = old target = new\n mailboxes = folder }",
			"4: mailboxes is \"", in_folder("folder"),
			"\": Is a directory; it must be a file that can be read");
}

Test(conf_conf, administrators)
{
	put("admin.secret", "geheim\n", 7, 0600);
	struct conf *conf = load("server a { url = \"imap://a\" admin_user = boss admin_password_file = admin.secret }");

	cr_expect_str_eq(conf->servers[0].admin_user, "boss");
	cr_expect_str_eq(conf->servers[0].admin_password_file, in_folder("admin.secret"));
	cr_expect(conf->warning_n == 0);
	conf_free(&conf);
	fails("\nserver a { url = \"imap://a\"\n admin_user = boss }", "2: server \"a\" has admin_user without "
	      "admin_password_file; write both, or none");
	fails("server a { url = \"imap://a\"\n admin_password_file = admin.secret }", "1: server \"a\" has admin_password_file "
	      "without admin_user; write both, or none");
	fails("server a { url = \"imap://a\" admin_user = \"bo\tss\" admin_password_file = admin.secret }", "1: admin_user of "
	      "server \"a\" has a control character in it; leave that out");
	fails("server a { url = \"imap://a\" admin_user = \"\xfc\" admin_password_file = admin.secret }", "1: admin_user of "
	      "server \"a\" is not UTF-8; save the file as UTF-8");
	fails("server a { url = \"imap://a\"\n admin_user = \"\" }", "2: admin_user is empty; give it a value or leave it out");
	fails_with_path("server a { url = \"imap://a\" admin_user = boss\nadmin_password_file = none }", "2: admin_password_file is \"",
			in_folder("none"), "\": No such file or directory; it must be a file that can be read");
	unlink("admin.secret");
}

Test(conf_conf, password_files_open_to_others)
{
	static const char text[] = "server a { url = \"imap://a\" admin_user = boss admin_password_file = admin.secret }";
	char folder_there[4200];
	struct conf *conf;

	put("admin.secret", "geheim\n", 7, 0640);
	conf = load(text);
	cr_assert(conf->warning_n == 1);
	cr_expect(strstr(conf->warnings[0], "admin.secret: holds passwords and has the mode 0640") != NULL, "%s", conf->warnings[0]);
	conf_free(&conf);
	/* What systemd hands to a service is guarded by access lists, which look like a mode for the group. */
	snprintf(folder_there, sizeof(folder_there), "%s", in_folder("admin.secret"));
	*strrchr(folder_there, '/') = '\0';
	setenv("CREDENTIALS_DIRECTORY", folder_there, 1);
	conf = load(text);
	cr_expect(conf->warning_n == 0);
	conf_free(&conf);
	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/other", 1);
	conf = load(text);
	cr_expect(conf->warning_n == 1);
	conf_free(&conf);
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink("admin.secret");
}

Test(conf_conf, relative_paths_start_at_the_file)
{
	struct conf_error err = { "" };
	struct conf *conf = NULL;
	char file[8192];

	conf = load(SERVERS "migration x { source = old target = new mailboxes = acme.csv }");
	conf_free(&conf);
	snprintf(file, sizeof(file), "%s", in_folder("godwit.conf"));
	cr_assert(chdir("/") == 0);
	cr_expect(conf_load(file, &conf, &err) == 0, "%s", err.text);
	cr_assert(chdir(folder) == 0);
	if (conf)
		cr_expect_str_eq(conf->migrations[0].mailboxes, in_folder("acme.csv"));
	conf_free(&conf);
}

Test(conf_conf, list_open_to_others_is_a_warning)
{
	char right[9000];
	struct conf *conf;

	cr_assert(chmod("acme.csv", 0640) == 0);
	conf = load(SERVERS "migration x { source = old target = new mailboxes = acme.csv }");
	snprintf(right, sizeof(right), "%s: holds passwords and has the mode 0640, open to others "
		 "than its owner; chmod 600 it", in_folder("acme.csv"));
	cr_assert(conf->warning_n == 1);
	cr_expect_str_eq(conf->warnings[0], right);
	conf_free(&conf);
}

Test(conf_conf, good_file_after_a_bad_one)
{
	struct conf *conf;

	fails("state = \"/srv", "1: the string is not closed; end it with \" on the same line");
	conf = load("max_mailboxes = 3\n");
	cr_expect(conf->max_mailboxes == 3);
	conf_free(&conf);
}

/* The tables below are the tree's own files: srcdir is set by "make check". */
static char *slurp(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[4200];
	size_t cap = 1 << 20;
	char *text = malloc(cap);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", srcdir ? srcdir : ".", name);
	f = fopen(path, "r");
	cr_assert(f && text, "%s", path);
	text[fread(text, 1, cap - 1, f)] = '\0';
	fclose(f);
	return text;
}

Test(conf_docs, sample_is_what_the_table_gives)
{
	char *sample = slurp("conf/godwit.conf.sample"), *right = NULL;
	size_t len;
	FILE *out = open_memstream(&right, &len);

	keydoc_write_sample(out);
	fclose(out);
	cr_expect(strcmp(sample, right) == 0, "run conf/confdoc sample >conf/godwit.conf.sample");
	free(sample);
	free(right);
}

/* With the comment sign before each default taken away, it says the defaults, and the examples of what has none. */
Test(conf_docs, sample_can_be_read)
{
	char *sample = slurp("conf/godwit.conf.sample"), *from = sample, *to = sample;
	char dir[] = "/tmp/conf-XXXXXX", path[64], list[64];
	struct conf_error err = { "" };
	struct conf *conf = NULL;

	for (; *from; from++) {
		if (*from == '#' && from[1] != ' ' && strncmp(from, "#ca_file", 8) != 0 &&
			strncmp(from, "#admin_", 7) != 0)
			continue;
		*to++ = *from;
	}
	*to = '\0';
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/godwit.conf", dir);
	snprintf(list, sizeof(list), "%s/acme.csv", dir);
	put(path, sample, strlen(sample), 0600);
	put(list, "", 0, 0600);
	cr_expect(conf_load(path, &conf, &err) == 0, "%s", err.text);
	cr_expect(conf && conf->migration_n == 1 && conf->server_n == 2);
	cr_expect(conf && conf_overrides(conf, NULL, NULL) == 8); /* map, include, exclude, prefix, max_size, since, before, repair */
	cr_expect(conf && conf->migrations[0].map.n == 2 && conf->migrations[0].exclude.n == 2);
	conf_free(&conf);
	unlink(path);
	unlink(list);
	rmdir(dir);
	free(sample);
}

Test(conf_docs, man_page_has_every_key_and_default)
{
	char *frame = slurp("conf/godwit.conf.5.in"), *man = NULL, item[128], word[128];
	size_t len;
	FILE *out = open_memstream(&man, &len);

	keydoc_write_man(out);
	fclose(out);
	cr_expect(strstr(frame, "\n@KEYS@\n"), "the generated part has no place");
	for (size_t i = 0; i < conf_key_n; i++) {
		const struct conf_key *key = &conf_keys[i];
		const char *at, *end;

		snprintf(item, sizeof(item), ".It Ic %s\n", key->name);
		at = strstr(man, item);
		cr_assert(at, "%s", key->name);
		end = strchr(at + strlen(item), '\n');
		if (!key->def)
			snprintf(word, sizeof(word), ", required.");
		else if (*key->def)
			snprintf(word, sizeof(word), ", default %s.", key->def);
		else
			snprintf(word, sizeof(word), ", not set by default.");
		cr_expect((size_t)(end - at) > strlen(word) &&
			  strncmp(end - strlen(word), word, strlen(word)) == 0,
			  "%s: %s", key->name, word);
	}
	free(frame);
	free(man);
}
