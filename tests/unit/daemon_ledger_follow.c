/* The ledger's record of what later passes did: flags as they were written last, and what vanished. */
#include "leaks.h"
#include "ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static struct loop *loop;
static struct ledger *ledger;
static char dir[64];
static int64_t mailbox, folder;
static char told[1024]; /* "SOURCE>TARGET FLAGS[ adopted];... gone GONE" */

static void on_mailboxes(void *arg, int err, const struct ledger_mailbox *rows, size_t n)
{
	cr_assert(arg == &loop && err == 0 && n == 1);
	mailbox = rows[0].id;
	loop_stop(loop);
}

static void on_id(void *arg, int err, int64_t id)
{
	cr_assert(arg == &loop && err == 0);
	folder = id;
	loop_stop(loop);
}

static void on_done(void *arg, int err)
{
	cr_assert(arg == &loop && err == 0, "%s", ledger_error(ledger));
	loop_stop(loop);
}

static void on_known(void *arg, int err, const struct ledger_known *rows, size_t n,
	const struct ledger_followed *also)
{
	size_t at = 0;
	cr_assert(arg == &loop && err == 0);
	told[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(told + at, sizeof(told) - at, "%s>%s %s%s;", rows[i].source_uids, rows[i].target_uids,
			rows[i].flags, rows[i].adopted ? " adopted" : "");
	at += (size_t)snprintf(told + at, sizeof(told) - at, " gone %s", also->gone);
	if (also->tried[0] != '\0')
		snprintf(told + at, sizeof(told) - at, " tried %s at %llu", also->tried, (unsigned long long)also->target_modseq);
	loop_stop(loop);
}

static void save_folder(bool forget)
{
	struct ledger_folder row = { .mailbox = mailbox, .source_path = "INBOX", .target_path = "INBOX", .source_uidvalidity = 1,
		.target_uidvalidity = 2, .source_next = 1, .floor = 1 };
	ledger_save_folder(ledger, &row, forget, on_id, &loop);
	loop_run(loop);
}

static void open_ledger(void)
{
	struct ledger_failure failure;
	const char *name = "m/a";
	cr_assert_eq(ledger_open(loop, dir, &ledger, &failure), LEDGER_OK, "%s", failure.text);
	ledger_register(ledger, &name, 1, on_mailboxes, &loop);
	loop_run(loop);
}

static void setup(void)
{
	strcpy(dir, "/tmp/godwit-follow-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	strcat(dir, "/state");
	loop = loop_new();
	open_ledger();
	save_folder(false);
}

static void teardown(void)
{
	char command[128];
	ledger_close(&ledger);
	loop_free(&loop);
	snprintf(command, sizeof(command), "rm -rf '%.25s'", dir);
	cr_assert_eq(system(command), 0);
	leaks_check();
}

TestSuite(daemon_ledger_follow, .init = setup, .fini = teardown, .timeout = 60);

static void batch(const char *source, const char *target, const char *flags, uint32_t copied, uint32_t adopted)
{
	struct ledger_batch row = { .folder = folder, .source_uids = source, .target_uids = target, .flags = flags, .source_next = 1,
		.floor = 1, .copied = copied, .adopted = adopted };
	ledger_add_batches(ledger, &row, 1, on_done, &loop);
	loop_run(loop);
}

static void follow(const char *flags, const char *gone, uint64_t modseq)
{
	struct ledger_follow row = { .folder = folder, .flags = flags, .gone = gone, .source_messages = 7, .source_uidnext = 12,
		.source_modseq = modseq };
	ledger_save_follow(ledger, &row, on_done, &loop);
	loop_run(loop);
}

static void try(const char *changes, uint64_t modseq)
{
	struct ledger_tried row = { .folder = folder, .changes = changes, .target_modseq = modseq };
	ledger_save_tried(ledger, &row, on_done, &loop);
	loop_run(loop);
}

static const char *known(void)
{
	ledger_load_known(ledger, folder, on_known, &loop);
	loop_run(loop);
	return told;
}

Test(daemon_ledger_follow, nothing_is_known_at_first)
{
	cr_expect_str_eq(known(), " gone ");
}

Test(daemon_ledger_follow, batches_in_their_order_with_their_flags)
{
	batch("5:9", "15:19", "\\Seen=5", 5, 0);
	batch("1:2", "7,3", "", 0, 2);
	batch("3", "", "x=3", 1, 0);
	cr_expect_str_eq(known(), "5:9>15:19 \\Seen=5;1:2>7,3  adopted;3> x=3; gone ");
}

Test(daemon_ledger_follow, what_was_written_later_counts_and_new_batches_come_to_it)
{
	batch("1:5", "11:15", "\\Seen=1:5", 5, 0);
	follow("\\Seen=1:2 work=4", "3", 77);
	cr_expect_str_eq(known(), "> \\Seen=1:2 work=4;1:5>11:15 ; gone 3");
	batch("6:7", "16:17", "\\Draft=7", 2, 0);
	cr_expect_str_eq(known(), "> \\Seen=1:2 work=4;1:5>11:15 ;6:7>16:17 \\Draft=7; gone 3");
	follow("\\Seen=7", "3,5", 78);
	ledger_close(&ledger);
	open_ledger();
	cr_expect_str_eq(known(), "> \\Seen=7;1:5>11:15 ;6:7>16:17 ; gone 3,5");
}

static struct ledger_folder row_told;

static void on_folders(void *arg, int err, const struct ledger_folder *rows, size_t n)
{
	cr_assert(arg == &loop && err == 0 && n == 1);
	row_told = rows[0];
	loop_stop(loop);
}

Test(daemon_ledger_follow, marks_what_the_source_was)
{
	follow("", "", UINT64_C(9007199254740993));
	ledger_load_folders(ledger, mailbox, on_folders, &loop);
	loop_run(loop);
	cr_expect_eq(row_told.source_messages, 7);
	cr_expect_eq(row_told.source_uidnext, 12);
	cr_expect_eq(row_told.source_modseq, UINT64_C(9007199254740993));
}

Test(daemon_ledger_follow, what_is_tried_stands_beside_what_was_written_until_that_is_saved)
{
	batch("1:5", "11:15", "\\Seen=1:5", 5, 0);
	try("+a=1 -b=2:3", UINT64_C(9007199254740993));
	cr_expect_str_eq(known(), "> ;1:5>11:15 \\Seen=1:5; gone  tried +a=1 -b=2:3 at 9007199254740993");
	try("+c=1", 5);
	ledger_close(&ledger);
	open_ledger();
	cr_expect_str_eq(known(), "> ;1:5>11:15 \\Seen=1:5; gone  tried +c=1 at 5");
	follow("a=1", "3", 1);
	cr_expect_str_eq(known(), "> a=1;1:5>11:15 ; gone 3");
	try("+d=4", 6);
	cr_expect_str_eq(known(), "> a=1;1:5>11:15 ; gone 3 tried +d=4 at 6");
}

Test(daemon_ledger_follow, a_fence_forgets_it)
{
	batch("1:5", "11:15", "\\Seen=1:5", 5, 0);
	try("+a=1", 9);
	follow("\\Seen=1:2", "3", 77);
	save_folder(true);
	cr_expect_str_eq(known(), " gone ");
	batch("1", "21", "a=1", 1, 0);
	cr_expect_str_eq(known(), "1>21 a=1; gone ");
}

/* As versions before 6 have the table. */
#define WITHOUT_ECHOES                                                                                                         \
	"ALTER TABLE folders DROP COLUMN open_floor; ALTER TABLE folders DROP COLUMN open_next;"                           \
	"ALTER TABLE folders DROP COLUMN echo_floor; ALTER TABLE folders DROP COLUMN echo_next;"                           \
	"ALTER TABLE folders DROP COLUMN echo_batch; ALTER TABLE folders DROP COLUMN echo_sends;"                          \
	"ALTER TABLE folders DROP COLUMN echo_looks;"

Test(daemon_ledger_follow, a_ledger_of_the_version_before_learns_it)
{
	char path[96];
	sqlite3 *db;
	batch("1:5", "11:15", "\\Seen=1:5", 5, 0);
	ledger_close(&ledger);
	snprintf(path, sizeof(path), "%s/ledger.sqlite", dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "DROP TABLE follows; CREATE TABLE old AS SELECT id, folder, source_lo, source_hi, target_lo, target_hi,"
		" source_uids, target_uids, flags FROM batches; DROP TABLE batches; ALTER TABLE old RENAME TO batches;"
		" ALTER TABLE mailboxes DROP COLUMN paused; ALTER TABLE mailboxes DROP COLUMN finishing;"
		WITHOUT_ECHOES " ALTER TABLE skips DROP COLUMN messages; ALTER TABLE skips DROP COLUMN uids; ALTER TABLE folders DROP COLUMN selection; PRAGMA user_version = 2", NULL, NULL,
		NULL), SQLITE_OK);
	sqlite3_close(db);
	open_ledger();
	cr_expect_str_eq(known(), "1:5>11:15 \\Seen=1:5; gone ");
	follow("\\Seen=1", "", 3);
	cr_expect_str_eq(known(), "> \\Seen=1;1:5>11:15 ; gone ");
	try("+a=1", 9);
	cr_expect_str_eq(known(), "> \\Seen=1;1:5>11:15 ; gone  tried +a=1 at 9");
}

Test(daemon_ledger_follow, a_ledger_of_version_4_learns_what_is_tried)
{
	char path[96];
	sqlite3 *db;
	batch("1:5", "11:15", "\\Seen=1:5", 5, 0);
	follow("\\Seen=1", "4", 3);
	ledger_close(&ledger);
	snprintf(path, sizeof(path), "%s/ledger.sqlite", dir);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "ALTER TABLE follows DROP COLUMN tried; ALTER TABLE follows DROP COLUMN target_modseq;"
		WITHOUT_ECHOES " ALTER TABLE skips DROP COLUMN messages; ALTER TABLE skips DROP COLUMN uids; ALTER TABLE folders DROP COLUMN selection; PRAGMA user_version = 4", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	open_ledger();
	cr_expect_str_eq(known(), "> \\Seen=1;1:5>11:15 ; gone 4");
	try("+a=1", 9);
	cr_expect_str_eq(known(), "> \\Seen=1;1:5>11:15 ; gone 4 tried +a=1 at 9");
}
