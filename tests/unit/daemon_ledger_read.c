#include "leaks.h"
#include "ledger_read.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop *loop;
static struct ledger *ledger;
static struct ledger_reader *reader;
static struct ledger_failure failure;
static char dir[64], file[96], seen[2048];

static void setup(void)
{
	strcpy(dir, "/tmp/godwit-reader-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/ledger.sqlite", dir);
	loop = loop_new();
	cr_assert_not_null(loop);
	seen[0] = '\0';
}

static void teardown(void)
{
	char command[128];

	ledger_reader_close(&reader);
	ledger_close(&ledger);
	loop_free(&loop);
	snprintf(command, sizeof(command), "rm -rf '%.40s'", dir);
	cr_assert_eq(system(command), 0);
	leaks_check();
}

TestSuite(daemon_ledger_read, .init = setup, .fini = teardown, .timeout = 60);

static void on_done(void *arg, int err)
{
	(void)arg;
	cr_assert_eq(err, LEDGER_OK);
	loop_stop(loop);
}

static void on_rows(void *arg, int err, const struct ledger_mailbox *rows, size_t n)
{
	(void)rows, (void)n;
	on_done(arg, err);
}

static void on_id(void *arg, int err, int64_t id)
{
	(void)id;
	on_done(arg, err);
}

/* Two mailboxes: one with a folder, a batch and skips of each kind, one that is parked. */
static void fill(void)
{
	const char *names[] = { "m/b", "m/a" };

	cr_assert_eq(ledger_open(loop, dir, &ledger, &failure), LEDGER_OK, "%s", failure.text);
	ledger_register(ledger, names, 2, on_rows, NULL);
	loop_run(loop);
	ledger_save_mailboxes(ledger,
		&(struct ledger_mailbox){ .id = 2, .name = "m/a", .state = MAILBOX_PARKED, .reason = "source: no", .attempts = 3,
			.next_attempt = 1000, .since = 500, .last_synced = 400 }, 1, on_done, NULL);
	loop_run(loop);
	ledger_save_folder(ledger,
		&(struct ledger_folder){ .mailbox = 1, .source_path = "INBOX", .target_path = "Old/INBOX", .source_uidvalidity = 7,
			.target_uidvalidity = 8, .source_next = 4, .floor = 5, .open = true }, false, on_id, NULL);
	loop_run(loop);
	ledger_add_batches(ledger,
		&(struct ledger_batch){ .folder = 1, .source_uids = "1:3", .target_uids = "4:6", .flags = "", .source_next = 4,
			.floor = 7, .copied = 2, .adopted = 1, .bytes = 99 }, 1, on_done, NULL);
	loop_run(loop);
	struct ledger_skip skips[] = {
		{ .mailbox = 1, .folder = 1, .folder_path = "INBOX", .uid = 9, .message_id = "<a@b>",
			.internaldate = "17-Jul-1996 02:44:25 -0700", .size = 12, .reason = "no" },
		{ .kind = SKIP_ALTERED, .mailbox = 1, .folder = 1, .folder_path = "INBOX", .uid = 2, .message_id = "", .reason = "flag" },
		{ .kind = SKIP_REPAIRED, .mailbox = 1, .folder = 1, .folder_path = "INBOX", .uid = 2, .message_id = "", .reason = "LF" },
		{ .mailbox = 1, .folder_path = "Lost", .message_id = "", .reason = "name" },
	};
	ledger_add_skips(ledger, skips, 4, on_done, NULL);
	loop_run(loop);
}

static void open_reader(void)
{
	cr_assert_eq(ledger_reader_open(dir, &reader, &failure), LEDGER_OK, "%s", failure.text);
}

static void note(const char *words)
{
	strncat(seen, words, sizeof(seen) - strlen(seen) - 1);
}

static void on_mailbox(void *arg, const struct ledger_mailbox *m)
{
	char line[200];

	(void)arg;
	snprintf(line, sizeof(line), "%d %s %s '%s' %u %d %d %d %d %d %d %d/%d/%d%s%s\n", (int)m->id, m->name,
		mailbox_state_name(m->state), m->reason, m->attempts, (int)m->next_attempt, (int)m->since, (int)m->last_synced,
		(int)m->copied, (int)m->adopted, (int)m->bytes, (int)m->skips[SKIP_LEFT_OUT], (int)m->skips[SKIP_ALTERED],
		(int)m->skips[SKIP_REPAIRED], m->paused ? " paused" : "", m->finishing ? " finishing" : "");
	note(line);
}

static void on_folder(void *arg, const struct ledger_folder *f)
{
	char line[200];

	(void)arg;
	snprintf(line, sizeof(line), "%d %s %s %u %u %u %u %d %d %d\n", (int)f->id, f->source_path, f->target_path,
		f->source_uidvalidity, f->target_uidvalidity, f->source_next, f->floor, f->open, (int)f->copied, (int)f->adopted);
	note(line);
}

static void on_skip(void *arg, const struct ledger_skip *s)
{
	char line[200];

	(void)arg;
	snprintf(line, sizeof(line), "%s %s %u '%s' '%s' %d %s %d\n", skip_kind_name(s->kind), s->folder_path, s->uid, s->message_id,
		s->internaldate, (int)s->size, s->reason, (int)s->folder);
	note(line);
}

static void on_sets(void *arg, const char *source, const char *target)
{
	(void)arg;
	note(source);
	note(" ");
	note(target);
	note("\n");
}

static void expect_all(void)
{
	cr_expect_eq(ledger_read_mailboxes(reader, NULL, on_mailbox, NULL), LEDGER_OK);
	cr_expect_str_eq(seen, "2 m/a parked 'source: no' 3 1000 500 400 0 0 0 0/0/0\n1 m/b queued '' 0 0 0 0 2 1 99 2/1/1\n");
	seen[0] = '\0';
	cr_expect_eq(ledger_read_folders(reader, 1, on_folder, NULL), LEDGER_OK);
	cr_expect_str_eq(seen, "1 INBOX Old/INBOX 7 8 4 7 1 2 1\n");
	seen[0] = '\0';
	cr_expect_eq(ledger_read_skips(reader, 1, NULL, on_skip, NULL), LEDGER_OK);
	cr_expect_str_eq(seen, "altered INBOX 2 '' '' 0 flag 1\nrepaired INBOX 2 '' '' 0 LF 1\n"
			       "left out INBOX 9 '<a@b>' '17-Jul-1996 02:44:25 -0700' 12 no 1\nleft out Lost 0 '' '' 0 name 0\n");
	seen[0] = '\0';
	cr_expect_eq(ledger_read_sets(reader, 1, on_sets, NULL), LEDGER_OK);
	cr_expect_str_eq(seen, "1:3 4:6\n");
	seen[0] = '\0';
}

Test(daemon_ledger_read, everything_while_the_ledger_is_in_use)
{
	fill();
	open_reader();
	expect_all();
	cr_expect_eq(ledger_owner(dir), getpid());
	/* The writer goes on while the reader is open, and the reader sees it. */
	ledger_clear_skips(ledger, 1, "INBOX", 1, on_done, NULL);
	loop_run(loop);
	cr_expect_eq(ledger_read_skips(reader, 1, NULL, on_skip, NULL), LEDGER_OK);
	cr_expect_str_eq(seen, "left out Lost 0 '' '' 0 name 0\n");
}

Test(daemon_ledger_read, everything_after_the_ledger_was_closed)
{
	fill();
	ledger_close(&ledger);
	cr_expect_eq(ledger_owner(dir), 0);
	open_reader();
	expect_all();
	ledger_reader_close(&reader);
	cr_assert_eq(ledger_open(loop, dir, &ledger, &failure), LEDGER_OK, "%s", failure.text);
}

Test(daemon_ledger_read, one_mailbox_one_folder_and_what_is_not_there)
{
	fill();
	open_reader();
	ledger_read_mailboxes(reader, "m/a", on_mailbox, NULL);
	cr_expect_eq(strncmp(seen, "2 m/a parked", 12), 0);
	seen[0] = '\0';
	ledger_read_mailboxes(reader, "m/c", on_mailbox, NULL);
	ledger_read_folders(reader, 2, on_folder, NULL);
	ledger_read_skips(reader, 2, NULL, on_skip, NULL);
	ledger_read_skips(reader, 1, "Inbox", on_skip, NULL);
	ledger_read_sets(reader, 2, on_sets, NULL);
	cr_expect_str_eq(seen, "");
	ledger_read_skips(reader, 1, "Lost", on_skip, NULL);
	cr_expect_str_eq(seen, "left out Lost 0 '' '' 0 name 0\n");
}

static void sql(const char *words)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, words, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void refused(int want, const char *words)
{
	cr_expect_eq(ledger_reader_open(dir, &reader, &failure), want);
	cr_expect_null(reader);
	cr_expect_not_null(strstr(failure.text, words), "%s", failure.text);
	cr_expect_not_null(strstr(failure.text, dir), "%s", failure.text);
}

Test(daemon_ledger_read, no_ledger_and_none_that_is_made)
{
	struct stat st;

	refused(LEDGER_ABSENT, "no ledger");
	cr_expect_neq(stat(file, &st), 0);
	sql("PRAGMA journal_mode = WAL");
	refused(LEDGER_ABSENT, "no ledger");
	strcat(dir, "/deeper");
	refused(LEDGER_ABSENT, "no ledger");
	dir[strlen(dir) - 7] = '\0';
}

Test(daemon_ledger_read, a_newer_one_and_one_that_is_damaged)
{
	FILE *f;

	sql("PRAGMA user_version = 77");
	refused(LEDGER_NEWER, "newer godwit");
	sql("PRAGMA user_version = 6"); /* and no tables */
	open_reader();
	cr_expect_eq(ledger_read_mailboxes(reader, NULL, on_mailbox, NULL), LEDGER_FAILED);
	cr_expect_not_null(strstr(ledger_reader_error(reader), "no such table"));
	ledger_reader_close(&reader);
	f = fopen(file, "w");
	cr_assert_not_null(f);
	fputs("Dear diary, this file is longer than the header of a database, which has 100 bytes: so it is not taken for empty.", f);
	fclose(f);
	refused(LEDGER_FAILED, "not a database");
}

Test(daemon_ledger_read, words_that_no_version_writes)
{
	fill();
	open_reader();
	sql("UPDATE skips SET kind = 'eaten' WHERE uid = 9");
	cr_expect_eq(ledger_read_skips(reader, 1, NULL, on_skip, NULL), LEDGER_DAMAGED);
	sql("UPDATE mailboxes SET state = 'elsewhere' WHERE id = 2");
	cr_expect_eq(ledger_read_mailboxes(reader, NULL, on_mailbox, NULL), LEDGER_DAMAGED);
	cr_expect_not_null(strstr(ledger_reader_error(reader), "damaged"));
}

Test(daemon_ledger_read, a_ledger_of_the_first_version_is_read_as_it_is)
{
	fill();
	ledger_close(&ledger);
	sql("DROP TABLE skips; CREATE TABLE skips (mailbox INTEGER NOT NULL, folder_path TEXT NOT NULL, uid INTEGER NOT NULL,"
	    " folder INTEGER, message_id TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (mailbox, folder_path, uid)) WITHOUT ROWID;"
	    "INSERT INTO skips VALUES (1, 'INBOX', 3, 1, '', 'no'); PRAGMA user_version = 1");
	open_reader();
	ledger_read_mailboxes(reader, "m/b", on_mailbox, NULL);
	ledger_read_skips(reader, 1, NULL, on_skip, NULL);
	cr_expect_str_eq(seen, "1 m/b queued '' 0 0 0 0 2 1 99 1/0/0\nleft out INBOX 3 '' '' 0 no 1\n");
}

Test(daemon_ledger_read, orders_of_the_operator_and_a_version_without_them)
{
	fill();
	sql("UPDATE mailboxes SET paused = 1 WHERE id = 2; UPDATE mailboxes SET finishing = 1 WHERE id = 1");
	open_reader();
	ledger_read_mailboxes(reader, NULL, on_mailbox, NULL);
	cr_expect_not_null(strstr(seen, "2 m/a parked 'source: no' 3 1000 500 400 0 0 0 0/0/0 paused\n"), "%s", seen);
	cr_expect_not_null(strstr(seen, "/1 finishing\n"), "%s", seen);
	ledger_reader_close(&reader);
	ledger_close(&ledger);
	sql("ALTER TABLE mailboxes DROP COLUMN paused; ALTER TABLE mailboxes DROP COLUMN finishing; PRAGMA user_version = 3");
	seen[0] = '\0';
	open_reader();
	ledger_read_mailboxes(reader, NULL, on_mailbox, NULL);
	cr_expect_not_null(strstr(seen, "2 m/a parked 'source: no' 3 1000 500 400 0 0 0 0/0/0\n"), "%s", seen);
}

Test(daemon_ledger_read, a_lock_of_a_process_that_is_gone_or_another_program)
{
	char lock[96];
	FILE *f;

	snprintf(lock, sizeof(lock), "%s/lock", dir);
	for (int i = 0; i < 2; i++) {
		f = fopen(lock, "w");
		cr_assert_not_null(f);
		fprintf(f, "%d\n", i == 0 ? 99999999 : 1); /* 1 is there, and is no test */
		fclose(f);
		cr_expect_eq(ledger_owner(dir), 0);
	}
}
