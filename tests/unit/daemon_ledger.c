#include "leaks.h"
#include "ledger.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 64

static struct loop *loop;
static struct ledger *ledger;
static struct ledger_failure failure;
static char dir[64], file[96], lock[96];

/* The last answer. */
static int answers, last_err;
static size_t last_n;
static int64_t last_id;
static struct ledger_mailbox mailbox[MAX];
static struct ledger_folder folder[MAX];
static char text[3][MAX][512];

static void path_set(char *path, const char *name)
{
	cr_assert_lt(snprintf(path, 96, "%s/%s", dir, name), 96);
}

static void setup(void)
{
	strcpy(dir, "/tmp/godwit-ledger-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	strcat(dir, "/state");
	path_set(file, "ledger.sqlite");
	path_set(lock, "lock");
	loop = loop_new();
	cr_assert_not_null(loop);
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

TestSuite(daemon_ledger, .init = setup, .fini = teardown, .timeout = 60);

static int try_open(void)
{
	return ledger_open(loop, dir, &ledger, &failure);
}

static void open_ledger(void)
{
	int err = try_open();
	cr_assert_eq(err, LEDGER_OK, "%s", failure.text);
	cr_assert_not_null(ledger);
}

static void reopen(void)
{
	ledger_close(&ledger);
	cr_assert_null(ledger);
	open_ledger();
}

static void answered(int err, size_t n)
{
	answers++;
	last_err = err;
	last_n = n;
	cr_assert(err == 0 || n == 0);
	cr_assert_leq(n, MAX);
	loop_stop(loop);
}

static const char *keep(int column, size_t i, const char *s)
{
	cr_assert_not_null(s);
	snprintf(text[column][i], sizeof(text[column][i]), "%s", s);
	return text[column][i];
}

static void on_done(void *arg, int err)
{
	cr_assert_eq(arg, &loop);
	answered(err, 0);
}

static void on_mailboxes(void *arg, int err, const struct ledger_mailbox *rows, size_t n)
{
	cr_assert_eq(arg, &loop);
	answered(err, n);
	for (size_t i = 0; i < n; i++) {
		mailbox[i] = rows[i];
		mailbox[i].name = keep(0, i, rows[i].name);
		mailbox[i].reason = keep(1, i, rows[i].reason);
	}
}

static void on_folders(void *arg, int err, const struct ledger_folder *rows, size_t n)
{
	cr_assert_eq(arg, &loop);
	answered(err, n);
	for (size_t i = 0; i < n; i++) {
		folder[i] = rows[i];
		folder[i].source_path = keep(0, i, rows[i].source_path);
		folder[i].target_path = keep(1, i, rows[i].target_path);
		folder[i].selection = keep(2, i, rows[i].selection);
	}
}

static void on_id(void *arg, int err, int64_t id)
{
	cr_assert_eq(arg, &loop);
	answered(err, 0);
	last_id = id;
}

static void on_sets(void *arg, int err, const char *const *source, const char *const *target, size_t n)
{
	cr_assert_eq(arg, &loop);
	answered(err, n);
	for (size_t i = 0; i < n; i++) {
		keep(0, i, source[i]);
		keep(1, i, target[i]);
	}
}

static int wait_for_it(void)
{
	int before = answers;
	loop_run(loop);
	cr_assert_eq(answers, before + 1);
	return last_err;
}

static int64_t add_mailbox(const char *name)
{
	ledger_register(ledger, &name, 1, on_mailboxes, &loop);
	cr_assert_eq(wait_for_it(), 0, "%s", ledger_error(ledger));
	cr_assert_eq(last_n, 1);
	return mailbox[0].id;
}

static int64_t save_folder(const struct ledger_folder *row, bool forget)
{
	ledger_save_folder(ledger, row, forget, on_id, &loop);
	cr_assert_eq(wait_for_it(), 0, "%s", ledger_error(ledger));
	cr_assert_gt(last_id, 0);
	return last_id;
}

static int64_t add_folder(int64_t of, const char *path)
{
	struct ledger_folder row = { .mailbox = of, .source_path = path, .target_path = path };
	return save_folder(&row, false);
}

static size_t load_folders(int64_t of)
{
	ledger_load_folders(ledger, of, on_folders, &loop);
	cr_assert_eq(wait_for_it(), 0, "%s", ledger_error(ledger));
	return last_n;
}

static size_t load_sets(int64_t of, uint32_t source_from, uint32_t target_from)
{
	ledger_load_sets(ledger, of, source_from, target_from, on_sets, &loop);
	cr_assert_eq(wait_for_it(), 0, "%s", ledger_error(ledger));
	return last_n;
}

static void add_batch(int64_t to, const char *source, const char *target)
{
	struct ledger_batch row = { .folder = to, .source_uids = source, .target_uids = target, .flags = "" };
	ledger_add_batches(ledger, &row, 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0, "%s", ledger_error(ledger));
}

static void add_skip(int64_t of, const char *path, uint32_t uid, const char *reason)
{
	struct ledger_skip row = {
		.mailbox = of, .folder_path = path, .uid = uid, .message_id = "<a@b>", .reason = reason
	};
	ledger_add_skips(ledger, &row, 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0, "%s", ledger_error(ledger));
}

static struct ledger_meter meter(void)
{
	struct ledger_meter m;
	ledger_meter(ledger, &m);
	return m;
}

/* By other means than the ledger's. */
static void sql(const char *words)
{
	sqlite3 *db;
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, words, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void sql_text(const char *words, char *ret, size_t n)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, words, -1, &st, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(st), SQLITE_ROW);
	snprintf(ret, n, "%s", (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static void write_file(const char *path, const char *bytes)
{
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(bytes, f);
	fclose(f);
}

static void refused(int want, const char *words)
{
	ledger = NULL;
	cr_assert_eq(try_open(), want, "%s", failure.text);
	cr_assert_null(ledger);
	cr_assert_eq((int)failure.err, want);
	cr_assert_not_null(strstr(failure.text, words), "%s", failure.text);
}

static void make_state(void)
{
	cr_assert_eq(mkdir(dir, 0700), 0);
}

/* Round trips. */

Test(daemon_ledger, states_have_the_names_that_operators_see)
{
	cr_assert_str_eq(mailbox_state_name(MAILBOX_QUEUED), "queued");
	cr_assert_str_eq(mailbox_state_name(MAILBOX_FAILED), "failed");
}

Test(daemon_ledger, names_are_found_or_made_and_answered_in_order)
{
	open_ledger();
	const char *first[] = { "m/b", "m/a" };
	ledger_register(ledger, first, 2, on_mailboxes, &loop);
	cr_assert_eq(wait_for_it(), 0);
	cr_assert_eq(last_n, 2);
	int64_t b = mailbox[0].id, a = mailbox[1].id;
	cr_assert(a > 0 && b > 0 && a != b);
	cr_assert_str_eq(mailbox[0].name, "m/b");
	cr_assert_eq(mailbox[0].state, MAILBOX_QUEUED);
	cr_assert_str_eq(mailbox[0].reason, "");
	cr_assert_eq(mailbox[0].attempts, 0);
	cr_assert_eq(mailbox[0].next_attempt, 0);
	cr_assert_eq(mailbox[0].last_synced, 0);
	cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 0);

	const char *second[] = { "m/a", "m/c", "m/b", "m/a" };
	ledger_register(ledger, second, 4, on_mailboxes, &loop);
	cr_assert_eq(wait_for_it(), 0);
	cr_assert_eq(last_n, 4);
	cr_assert_eq(mailbox[0].id, a);
	cr_assert(mailbox[1].id != a && mailbox[1].id != b);
	cr_assert_eq(mailbox[2].id, b);
	cr_assert_eq(mailbox[3].id, a);
	cr_assert_str_eq(mailbox[1].name, "m/c");

	ledger_register(ledger, NULL, 0, on_mailboxes, &loop);
	cr_assert_eq(wait_for_it(), 0);
	cr_assert_eq(last_n, 0);
}

Test(daemon_ledger, every_state_and_all_of_a_mailbox_comes_back)
{
	open_ledger();
	for (int s = 0; s < MAILBOX_STATE_N; s++) {
		char name[16], reason[16];
		snprintf(name, sizeof(name), "m/%d", s);
		snprintf(reason, sizeof(reason), "why %d", s);
		/* Made by its name, and saved by its id. */
		struct ledger_mailbox row = { .id = s % 2 == 0 ? add_mailbox(name) : 0,
			.name = name,
			.state = s,
			.reason = reason,
			.attempts = UINT32_MAX,
			.next_attempt = 1700000000001,
			.since = 1700000000002,
			.last_synced = INT64_MAX,
			.copied = 99,
			.adopted = 99,
			.bytes = 99,
			.skips = { 99 } };
		ledger_save_mailboxes(ledger, &row, 1, on_done, &loop);
		/* The rows are the ledger's from here on. */
		memset(name, 'x', sizeof(name) - 1);
		memset(reason, 'x', sizeof(reason) - 1);
		cr_assert_eq(wait_for_it(), 0);
	}
	reopen();
	for (int s = 0; s < MAILBOX_STATE_N; s++) {
		char name[16], reason[16];
		snprintf(name, sizeof(name), "m/%d", s);
		snprintf(reason, sizeof(reason), "why %d", s);
		add_mailbox(name);
		cr_assert_eq((int)mailbox[0].state, s);
		cr_assert_str_eq(mailbox[0].name, name);
		cr_assert_str_eq(mailbox[0].reason, reason);
		cr_assert_eq(mailbox[0].attempts, UINT32_MAX);
		cr_assert_eq(mailbox[0].next_attempt, 1700000000001);
		cr_assert_eq(mailbox[0].since, 1700000000002);
		cr_assert_eq(mailbox[0].last_synced, INT64_MAX);
		/* These are what was recorded, not what a caller believes. */
		cr_assert_eq(mailbox[0].copied + mailbox[0].adopted + mailbox[0].bytes + mailbox[0].skips[SKIP_LEFT_OUT], 0);
	}
	/* Without an id a row that is there is written, too. */
	struct ledger_mailbox again = { .name = "m/1", .state = MAILBOX_HELD, .reason = "new" };
	ledger_save_mailboxes(ledger, &again, 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	add_mailbox("m/1");
	cr_assert_eq(mailbox[0].state, MAILBOX_HELD);
	cr_assert_str_eq(mailbox[0].reason, "new");
	cr_assert_eq(mailbox[0].attempts, 0);
}

Test(daemon_ledger, all_of_a_folder_comes_back)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), other = add_mailbox("m/b");
	struct ledger_folder row = { .mailbox = m,
		.source_path = "INBOX",
		.target_path = "In",
		.source_uidvalidity = UINT32_MAX,
		.target_uidvalidity = 2,
		.source_next = 3,
		.floor = UINT32_MAX,
		.open = true,
		.source_messages = 5,
		.source_uidnext = 6,
		.source_modseq = UINT64_MAX };
	int64_t id = save_folder(&row, false);
	row.target_path = "Out";
	int64_t second = save_folder(&row, false);
	row.target_path = "In";
	row.mailbox = other;
	int64_t third = save_folder(&row, false);
	cr_assert(id != second && second != third && id != third);

	cr_assert_eq(load_folders(m), 2);
	cr_assert_eq(folder[0].id, id);
	cr_assert_eq(folder[0].mailbox, m);
	cr_assert_str_eq(folder[0].source_path, "INBOX");
	cr_assert_str_eq(folder[0].target_path, "In");
	cr_assert_str_eq(folder[1].target_path, "Out");
	cr_assert_eq(folder[0].source_uidvalidity, UINT32_MAX);
	cr_assert_eq(folder[0].target_uidvalidity, 2);
	cr_assert_eq(folder[0].source_next, 3);
	cr_assert_eq(folder[0].floor, UINT32_MAX);
	cr_assert(folder[0].open);
	cr_assert_eq(folder[0].source_messages, 5);
	cr_assert_eq(folder[0].source_uidnext, 6);
	cr_assert_eq(folder[0].source_modseq, UINT64_MAX);
	cr_assert_eq(folder[0].copied + folder[0].adopted, 0);

	row = folder[0];
	row.open = false;
	row.floor = 0;
	row.source_modseq = 8;
	cr_assert_eq(save_folder(&row, false), id);
	row.id = 0; /* the same paths are the same row */
	row.source_next = 77;
	cr_assert_eq(save_folder(&row, false), id);
	cr_assert_eq(load_folders(m), 2);
	cr_assert(!folder[0].open);
	cr_assert_eq(folder[0].floor, 0);
	cr_assert_eq(folder[0].source_modseq, 8);
	cr_assert_eq(folder[0].source_next, 77);
	cr_assert(folder[1].open);
	cr_assert_eq(load_folders(other), 1);
	cr_assert(folder[0].open);
	cr_assert_eq(load_folders(999), 0);
}

Test(daemon_ledger, more_folders_and_sets_than_the_first_guess)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), f = 0;
	for (int i = 0; i < 50; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		f = add_folder(m, name);
	}
	cr_assert_eq(load_folders(m), 50);
	cr_assert_str_eq(folder[0].source_path, "f0");
	cr_assert_str_eq(folder[49].source_path, "f49");
	for (int i = 0; i < 49; i++) {
		char uids[16];
		snprintf(uids, sizeof(uids), "%d", i + 2);
		add_batch(f, uids, uids);
	}
	cr_assert_eq(load_sets(f, 2, UINT32_MAX), 49);
	cr_assert_str_eq(text[0][0], "2");
	cr_assert_str_eq(text[0][48], "50");
}

/* Batches. */

Test(daemon_ledger, a_batch_moves_the_marks_and_the_counts)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), f = add_folder(m, "INBOX"), g = add_folder(m, "Sent");
	struct ledger_batch rows[] = {
		{ .folder = f,
			.source_uids = "1:3",
			.target_uids = "7:9",
			.flags = "\\Seen=1:2",
			.source_next = 4,
			.floor = 10,
			.copied = 2,
			.adopted = 1,
			.bytes = UINT64_C(5000000000) },
		{ .folder = f,
			.source_uids = "4",
			.target_uids = "",
			.flags = "",
			.source_next = 5,
			.floor = 11,
			.copied = 1,
			.bytes = 1 },
		/* Nothing was copied, but the marks went on. */
		{ .folder = g,
			.source_uids = "1",
			.target_uids = "1",
			.flags = "",
			.source_next = UINT32_MAX,
			.floor = UINT32_MAX,
			.adopted = 5 },
	};
	ledger_add_batches(ledger, rows, 3, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	cr_assert_eq(load_folders(m), 2);
	cr_assert_eq(folder[0].source_next, 5);
	cr_assert_eq(folder[0].floor, 11);
	cr_assert_eq(folder[0].copied, 3);
	cr_assert_eq(folder[0].adopted, 1);
	cr_assert_eq(folder[1].source_next, UINT32_MAX);
	cr_assert_eq(folder[1].floor, UINT32_MAX);
	cr_assert_eq(folder[1].adopted, 5);
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].copied, 3);
	cr_assert_eq(mailbox[0].adopted, 6);
	cr_assert_eq(mailbox[0].bytes, UINT64_C(5000000001));
	/* A row with older counts does not take them back. */
	struct ledger_folder row = folder[0];
	row.copied = row.adopted = 0;
	save_folder(&row, false);
	load_folders(m);
	cr_assert_eq(folder[0].copied, 3);
	char flags[32];
	sql_text("SELECT flags FROM batches WHERE source_lo = 1 AND source_hi = 3 AND target_lo = 7 AND target_hi = 9",
		flags, sizeof(flags));
	cr_assert_str_eq(flags, "\\Seen=1:2");
}

Test(daemon_ledger, sets_at_the_boundaries)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), f = add_folder(m, "INBOX"), g = add_folder(m, "Sent");
	add_batch(f, "10:20", "100:110");
	add_batch(f, "35,21:30", "98:99,90:97,121,120"); /* in no order: 21..35, 90..121 */
	add_batch(f, "40:4294967295", "");               /* the target tells no UIDs */
	add_batch(g, "10:20", "100:110");

	cr_assert_eq(load_sets(f, 20, UINT32_MAX), 3);
	cr_assert_str_eq(text[0][0], "10:20");
	cr_assert_str_eq(text[1][0], "100:110");
	cr_assert_str_eq(text[0][1], "35,21:30");
	cr_assert_str_eq(text[1][1], "98:99,90:97,121,120");
	cr_assert_str_eq(text[0][2], "40:4294967295");
	cr_assert_str_eq(text[1][2], "");
	cr_assert_eq(load_sets(f, 21, UINT32_MAX), 2);
	cr_assert_eq(load_sets(f, 35, UINT32_MAX), 2);
	cr_assert_eq(load_sets(f, 36, UINT32_MAX), 1);
	cr_assert_str_eq(text[0][0], "40:4294967295");
	cr_assert_eq(load_sets(f, UINT32_MAX, UINT32_MAX), 1);
	/* By either side; each set once, in the order in which it was added. */
	cr_assert_eq(load_sets(f, UINT32_MAX, 110), 3);
	cr_assert_eq(load_sets(f, UINT32_MAX, 111), 2);
	cr_assert_str_eq(text[0][0], "35,21:30");
	cr_assert_eq(load_sets(f, UINT32_MAX, 121), 2);
	cr_assert_eq(load_sets(f, UINT32_MAX, 122), 1);
	cr_assert_eq(load_sets(f, 0, 0), 3);
	cr_assert_eq(load_sets(g, 20, UINT32_MAX), 1);
	cr_assert_eq(load_sets(g, 21, 111), 0);
	cr_assert_eq(load_sets(999, 0, 0), 0);
}

Test(daemon_ledger, sets_of_later_batches)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), f = add_folder(m, "INBOX"), g = add_folder(m, "Sent"), last;
	const struct ledger_folder open = { .mailbox = m, .source_path = "INBOX", .target_path = "INBOX", .open = true };

	add_batch(f, "1:5", "1:5");
	save_folder(&open, false);
	load_folders(m);
	last = folder[0].last_batch;
	cr_assert_gt(last, 0);
	cr_expect_eq(folder[1].last_batch, 0);
	add_batch(g, "1:5", "1:5");
	add_batch(f, "7", "7");
	add_batch(f, "6", "");
	ledger_load_sets_after(ledger, f, last, on_sets, &loop);
	cr_assert_eq(wait_for_it(), 0);
	cr_assert_eq(last_n, 2);
	cr_expect_str_eq(text[0][0], "7");
	cr_expect_str_eq(text[0][1], "6");
	cr_expect_str_eq(text[1][1], "");
	ledger_load_sets_after(ledger, f, 0, on_sets, &loop);
	cr_assert_eq(wait_for_it(), 0);
	cr_expect_eq(last_n, 3);
}

static bool has_echoes(const struct ledger_folder *f, uint32_t floor, uint32_t next, int64_t batch, uint32_t sends, uint32_t looks)
{
	const struct ledger_echoes *e = &f->echoes;

	return e->floor == floor && e->next == next && e->batch == batch && e->sends == sends && e->looks == looks;
}

Test(daemon_ledger, what_a_break_leaves_behind_is_kept)
{
	open_ledger();
	int64_t m = add_mailbox("m/a");
	struct ledger_folder row = { .mailbox = m, .source_path = "INBOX", .target_path = "INBOX", .floor = 9, .open_floor = 4294967295u,
		.open_next = 8, .echoes = { .floor = 1, .next = 2, .batch = 1ll << 40, .sends = 3, .looks = 4 } };

	save_folder(&row, false);
	add_folder(m, "Sent");
	ledger_close(&ledger);
	open_ledger();
	add_mailbox("m/a");
	cr_assert_eq(load_folders(m), 2);
	cr_expect(folder[0].open_floor == 4294967295u && folder[0].open_next == 8 && has_echoes(&folder[0], 1, 2, 1ll << 40, 3, 4));
	cr_expect(folder[1].open_floor == 0 && folder[1].open_next == 0 && has_echoes(&folder[1], 0, 0, 0, 0, 0));
	row.echoes = (struct ledger_echoes){ .floor = 5, .next = 6, .batch = 7, .sends = 8, .looks = 1 };
	save_folder(&row, false);
	load_folders(m);
	cr_expect(has_echoes(&folder[0], 5, 6, 7, 8, 1));
	/* Of what is written beside, nothing changes. */
	row.echoes = (struct ledger_echoes){ 0 };
	ledger_save_echoes(ledger, folder[0].id, &row.echoes, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	load_folders(m);
	cr_expect(has_echoes(&folder[0], 0, 0, 0, 0, 0) && folder[0].floor == 9 && folder[0].open_next == 8);
}

Test(daemon_ledger, loading_sets_is_served_by_an_index)
{
	open_ledger();
	sqlite3 *db;
	sqlite3_stmt *st;
	int steps = 0;
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db,
			     "EXPLAIN QUERY PLAN SELECT source_uids, target_uids FROM batches"
			     " WHERE (folder = 1 AND source_hi >= 2) OR (folder = 1 AND target_hi >= 3) ORDER BY id",
			     -1, &st, NULL),
		SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(st, 3);
		steps += strstr(detail, "USING INDEX batches_source (folder=? AND source_hi>?)") != NULL ||
			strstr(detail, "USING INDEX batches_target (folder=? AND target_hi>?)") != NULL;
		cr_assert_null(strstr(detail, "SCAN"), "%s", detail);
	}
	cr_assert_eq(steps, 2);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

Test(daemon_ledger, a_fence_forgets_the_batches_of_its_folder_only)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), f = add_folder(m, "INBOX"), g = add_folder(m, "Sent");
	struct ledger_batch rows[] = {
		{ .folder = f,
			.source_uids = "1:3",
			.target_uids = "7:9",
			.flags = "",
			.source_next = 4,
			.floor = 10,
			.copied = 3 },
		{ .folder = g,
			.source_uids = "1",
			.target_uids = "1",
			.flags = "",
			.source_next = 2,
			.floor = 2,
			.copied = 1 },
	};
	ledger_add_batches(ledger, rows, 2, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	struct ledger_folder row = { .id = f,
		.mailbox = m,
		.source_path = "INBOX",
		.target_path = "INBOX",
		.source_uidvalidity = 9,
		.source_next = 1,
		.floor = 1 };
	cr_assert_eq(save_folder(&row, true), f);
	cr_assert_eq(load_sets(f, 0, 0), 0);
	cr_assert_eq(load_sets(g, 0, 0), 1);
	cr_assert_eq(load_folders(m), 2);
	cr_assert_eq(folder[0].source_uidvalidity, 9);
	cr_assert_eq(folder[0].source_next, 1);
	cr_assert_eq(folder[0].floor, 1);
	cr_assert_eq(folder[0].copied, 0);
	cr_assert_eq(folder[1].copied, 1);
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].copied, 4); /* over all passes */
}

/* What was left out. */

Test(daemon_ledger, skips_are_replaced_counted_and_cleared)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), other = add_mailbox("m/b"), f = add_folder(m, "INBOX");
	struct ledger_skip rows[] = {
		{ .folder = f,
			.mailbox = m,
			.folder_path = "INBOX",
			.uid = 5,
			.message_id = "<x@y>",
			.reason = "too large" },
		{ .folder = f,
			.mailbox = m,
			.folder_path = "INBOX",
			.uid = UINT32_MAX,
			.message_id = "",
			.reason = "refused" },
		{ .folder = 0,
			.mailbox = m,
			.folder_path = "Notes",
			.uid = 0,
			.message_id = "",
			.reason = "cannot be made" },
		{ .folder = 0,
			.mailbox = other,
			.folder_path = "INBOX",
			.uid = 5,
			.message_id = "",
			.reason = "refused" },
	};
	ledger_add_skips(ledger, rows, 4, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 3);

	rows[0].reason = "still too large";
	ledger_add_skips(ledger, rows, 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 3);
	char reason[32];
	sql_text("SELECT reason FROM skips WHERE mailbox = 1 AND folder_path = 'INBOX' AND uid = 5", reason,
		sizeof(reason));
	cr_assert_str_eq(reason, "still too large");

	ledger_clear_skips(ledger, m, "INBOX", 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 1);
	add_mailbox("m/b");
	cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 1);
	ledger_clear_skips(ledger, m, "no such folder", 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	reopen();
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 1);
}

Test(daemon_ledger, names_are_no_sql)
{
	static const char *const evil[] = { "it's", "\"; DROP TABLE mailboxes; --", "'); DELETE FROM folders; --",
		"Entwürfe/日本語/🦊", "%s%n%d", "a\\b\tc\nd", "", " ", "?1", "x' OR '1'='1" };
	open_ledger();
	for (size_t i = 0; i < sizeof(evil) / sizeof(*evil); i++) {
		int64_t m = add_mailbox(evil[i]);
		cr_assert_str_eq(mailbox[0].name, evil[i]);
		cr_assert_eq(m, (int64_t)i + 1);
		struct ledger_mailbox row = { .id = m, .name = evil[i], .state = MAILBOX_HELD, .reason = evil[i] };
		ledger_save_mailboxes(ledger, &row, 1, on_done, &loop);
		cr_assert_eq(wait_for_it(), 0);
		add_folder(m, evil[i]);
		cr_assert_eq(load_folders(m), 1);
		cr_assert_str_eq(folder[0].source_path, evil[i]);
		cr_assert_str_eq(folder[0].target_path, evil[i]);
		add_skip(m, evil[i], 1, evil[i]);
		add_mailbox(evil[i]);
		cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 1);
		cr_assert_str_eq(mailbox[0].reason, evil[i]);
		ledger_clear_skips(ledger, m, evil[i], 1, on_done, &loop);
		cr_assert_eq(wait_for_it(), 0);
		add_mailbox(evil[i]);
		cr_assert_eq(mailbox[0].skips[SKIP_LEFT_OUT], 0);
	}
}

/* Order and commits. */

static int order[4096], order_n;
static int order_want;

static void on_in_order(void *arg, int err)
{
	cr_assert_eq(err, 0);
	order[order_n++] = (int)(intptr_t)arg;
	if (order_n == order_want)
		loop_stop(loop);
}

Test(daemon_ledger, what_piled_up_is_one_transaction_and_answers_keep_their_order)
{
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	uint64_t before = meter().commits.n;
	cr_assert_eq(before, 2);
	/* Somebody else writes: the ledger's thread waits, and does not fail. */
	sqlite3 *db;
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	order_want = 4096;
	for (int i = 0; i < order_want; i++) {
		char uids[16];
		snprintf(uids, sizeof(uids), "%d", i + 1);
		struct ledger_batch row = {
			.folder = f, .source_uids = uids, .target_uids = uids, .flags = "", .copied = 1
		};
		ledger_add_batches(ledger, &row, 1, on_in_order, (void *)(intptr_t)i);
	}
	cr_assert_eq(meter().commits.n, before);
	cr_assert_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	cr_assert_eq(order_n, 0); /* never from within the call */
	loop_run(loop);
	for (int i = 0; i < order_want; i++)
		cr_assert_eq(order[i], i);
	/* The one that the thread had taken before it had to wait, and all others. */
	cr_assert_leq(meter().commits.n, before + 2);
	cr_assert_gt(meter().commits.n, before);
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].copied, 4096);
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_many(void *arg, int err, const struct ledger_mailbox *rows, size_t n)
{
	(void)arg;
	cr_assert_eq(err, 0);
	cr_assert_eq(n, 10000);
	for (size_t i = 0; i < n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "m/user%zu", i);
		cr_assert_str_eq(rows[i].name, name);
	}
	loop_stop(loop);
}

Test(daemon_ledger, ten_thousand_mailboxes_at_once)
{
	static char names[10000][32];
	static const char *list[10000];
	for (int i = 0; i < 10000; i++) {
		snprintf(names[i], sizeof(names[i]), "m/user%d", i);
		list[i] = names[i];
	}
	open_ledger();
	double start = seconds();
	for (int i = 0; i < 2; i++) { /* made, and found */
		ledger_register(ledger, list, 10000, on_many, NULL);
		loop_run(loop);
	}
	cr_assert_lt(seconds() - start, 10.0);
	cr_assert_eq(meter().commits.n, 2);
}

static int late;

static void on_late(void *arg)
{
	late++;
	loop_stop(arg);
}

static int slow_answers;

static void on_slow(void *arg, int err)
{
	cr_assert_eq(err, 0);
	slow_answers++;
	usleep(3000);
	if (slow_answers == 1)
		loop_post(arg, on_late, arg);
	if (slow_answers == 20)
		loop_stop(arg);
}

Test(daemon_ledger, answers_leave_others_their_turn)
{
	open_ledger();
	sqlite3 *db;
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 20; i++)
		ledger_clear_skips(ledger, 1, "a", 1, on_slow, loop);
	cr_assert_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	while (late == 0)
		loop_run(loop);
	cr_assert_leq(slow_answers, 10, "%d answers came before the one who asked during the first", slow_answers);
	while (slow_answers < 20)
		loop_run(loop);
}

static void on_hundredth(void *arg, int err)
{
	cr_assert_eq(err, 0);
	if (arg != NULL)
		loop_stop(loop);
}

Test(daemon_ledger, the_meter_tells_how_long_calls_waited)
{
	open_ledger();
	cr_assert_eq(meter().answers.n, 0);
	sqlite3 *db;
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 1; i <= 100; i++)
		ledger_clear_skips(ledger, 1, "a", 1, on_hundredth, i == 100 ? loop : NULL);
	cr_assert_eq(meter().waiting, 100);
	usleep(50000);
	cr_assert_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	loop_run(loop);
	struct ledger_meter m = meter();
	cr_assert_eq(m.waiting, 0);
	cr_assert_eq(m.waiting_most, 100);
	cr_assert_eq(m.answers.n, 100);
	cr_assert_geq(histogram_percentile(&m.answers, 1), 50000);
	cr_assert_geq(m.commits.n, 1);
}

static off_t size_of(const char *path)
{
	struct stat st;
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_size;
}

/* Without looking away: a timer that goes on until it is so. */
static void until_checkpoint(void *arg)
{
	struct timer **t = arg;
	if (meter().checkpoints.n > 0)
		loop_stop(loop);
	else
		timer_set(*t, 20);
}

Test(daemon_ledger, the_log_is_brought_into_the_file_when_there_is_nothing_to_do)
{
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	add_batch(f, "1:5", "1:5");
	struct timer *t = timer_new(loop, until_checkpoint, &t);
	timer_set(t, 20);
	loop_run(loop);
	timer_free(&t);
	/* The file alone, as in a copy without its log, has the batch. */
	char command[256], copy[96];
	path_set(copy, "copy");
	snprintf(command, sizeof(command), "cp '%s' '%s'", file, copy);
	cr_assert_eq(system(command), 0);
	strcpy(file, copy);
	char uids[16];
	sql_text("SELECT source_uids FROM batches", uids, sizeof(uids));
	cr_assert_str_eq(uids, "1:5");
}

Test(daemon_ledger, the_log_does_not_grow_without_end)
{
	static char uids[60000];
	char wal[96];
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	memset(uids, '1', sizeof(uids) - 1);
	for (size_t i = 1; i < sizeof(uids) - 2; i += 2)
		uids[i] = ',';
	path_set(wal, "ledger.sqlite-wal");
	off_t grown = 0;
	for (int i = 0; i < 250; i++) {
		add_batch(f, uids, uids);
		grown += 2 * (off_t)sizeof(uids);
	}
	cr_assert_gt(grown, 28 << 20);
	cr_assert_gt(meter().checkpoints.n, 0);
	cr_assert_lt(size_of(wal), 22 << 20);
}

/* Closing and coming back. */

static void never(void *arg, int err)
{
	(void)arg, (void)err;
	cr_assert_fail("called after the ledger was closed");
}

static void never_id(void *arg, int err, int64_t id)
{
	(void)id;
	never(arg, err);
}

Test(daemon_ledger, closing_writes_all_and_calls_nothing)
{
	open_ledger();
	int64_t m = add_mailbox("m/a"), f = add_folder(m, "INBOX");
	struct ledger_folder row = { .mailbox = m, .source_path = "Last", .target_path = "Last" };
	for (int i = 0; i < 200; i++) {
		struct ledger_batch batch = {
			.folder = f, .source_uids = "1", .target_uids = "", .flags = "", .copied = 1
		};
		ledger_add_batches(ledger, &batch, 1, i % 2 == 0 ? never : NULL, NULL);
		if (i == 100)
			usleep(20000); /* some are on their way to the loop, some wait */
	}
	ledger_save_folder(ledger, &row, false, never_id, NULL);
	ledger_close(&ledger);
	cr_assert_null(ledger);
	ledger_close(&ledger);
	ledger_close(NULL);
	char wal[96];
	path_set(wal, "ledger.sqlite-wal");
	cr_assert_neq(access(wal, F_OK), 0);
	open_ledger();
	add_mailbox("m/a"); /* a turn of the loop: what was posted before comes by */
	cr_assert_eq(mailbox[0].copied, 200);
	cr_assert_eq(load_folders(m), 2);
}

static void on_close(void *arg, int err)
{
	(void)arg;
	cr_assert_eq(err, 0);
	ledger_close(&ledger);
	answered(err, 0);
}

Test(daemon_ledger, may_be_closed_from_within_a_callback)
{
	open_ledger();
	ledger_clear_skips(ledger, 1, "a", 1, on_close, NULL);
	for (int i = 0; i < 50; i++)
		ledger_clear_skips(ledger, 1, "a", 1, never, NULL);
	cr_assert_eq(wait_for_it(), 0);
	cr_assert_null(ledger);
	open_ledger();
	add_mailbox("m/a");
}

Test(daemon_ledger, closes_while_answers_wait_and_the_loop_goes_too)
{
	open_ledger();
	for (int i = 0; i < 50; i++)
		ledger_clear_skips(ledger, 1, "a", 1, never, NULL);
	usleep(50000);
	ledger_close(&ledger);
	loop_free(&loop);
}

static void on_pull_the_plug(void *arg, int err)
{
	(void)arg;
	_exit(err == 0 ? 42 : 1);
}

Test(daemon_ledger, what_was_answered_outlives_the_process)
{
	pid_t pid = fork();
	if (pid == 0) {
		open_ledger();
		int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
		struct ledger_batch row = { .folder = f,
			.source_uids = "1:5",
			.target_uids = "11:15",
			.flags = "",
			.source_next = 6,
			.floor = 16,
			.copied = 5 };
		ledger_add_batches(ledger, &row, 1, on_pull_the_plug, NULL);
		loop_run(loop);
		_exit(2);
	}
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	open_ledger();
	int64_t m = add_mailbox("m/a");
	cr_assert_eq(mailbox[0].copied, 5);
	cr_assert_eq(load_folders(m), 1);
	cr_assert_eq(folder[0].source_next, 6);
	cr_assert_eq(load_sets(folder[0].id, 0, 0), 1);
	cr_assert_str_eq(text[1][0], "11:15");
}

/* The state folder. */

Test(daemon_ledger, a_second_one_is_told_who_has_it)
{
	open_ledger();
	add_mailbox("m/a");
	char words[192];
	snprintf(words, sizeof(words), "another godwit (pid %ld) is using %s", (long)getpid(), dir);
	pid_t pid = fork();
	if (pid == 0) {
		struct ledger *second = NULL;
		int err = ledger_open(loop, dir, &second, &failure);
		_exit(err == LEDGER_BUSY && failure.err == LEDGER_BUSY && second == NULL &&
					strcmp(failure.text, words) == 0
				? 42
				: 1);
	}
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	/* The first one is not disturbed, and the second may have it afterwards. */
	add_mailbox("m/b");
	struct ledger *first = ledger;
	refused(LEDGER_BUSY, words);
	ledger = first;
	cr_assert_eq(truncate(lock, 0), 0);
	snprintf(words, sizeof(words), "another godwit is using %s", dir);
	refused(LEDGER_BUSY, words);
	ledger = first;
	reopen();
}

static unsigned mode_of(const char *path)
{
	struct stat st;
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

static void check_modes(mode_t mask)
{
	char wal[96];
	umask(mask);
	open_ledger();
	add_mailbox("m/a");
	path_set(wal, "ledger.sqlite-wal");
	cr_assert_eq(mode_of(dir), 0700);
	cr_assert_eq(mode_of(file), 0600);
	cr_assert_eq(mode_of(lock), 0600);
	cr_assert_eq(mode_of(wal), 0600);
}

Test(daemon_ledger, is_private_without_a_umask)
{
	check_modes(0);
}

Test(daemon_ledger, is_private_and_usable_with_the_strictest_umask)
{
	check_modes(0777);
}

Test(daemon_ledger, the_folder_cannot_be_used)
{
	char path[64], words[128];
	strcpy(path, dir);
	strcat(dir, "/deeper"); /* only the last one is made */
	snprintf(words, sizeof(words), "%s cannot be used: No such file or directory", dir);
	refused(LEDGER_FAILED, words);
	strcpy(dir, path);
	write_file(dir, "a file");
	snprintf(words, sizeof(words), "%s cannot be used: Not a directory", dir);
	refused(LEDGER_FAILED, words);
}

Test(daemon_ledger, a_folder_where_the_file_should_be)
{
	char words[160];
	make_state();
	cr_assert_eq(mkdir(file, 0700), 0);
	snprintf(words, sizeof(words), "%s cannot be opened: Is a directory", file);
	refused(LEDGER_FAILED, words);
	cr_assert_eq(rmdir(file), 0);
	open_ledger(); /* the lock was given back */
	ledger_close(&ledger);
	cr_assert_eq(unlink(lock), 0);
	cr_assert_eq(mkdir(lock, 0700), 0);
	snprintf(words, sizeof(words), "%s cannot be opened: Is a directory", lock);
	refused(LEDGER_FAILED, words);
}

/* Files that are not ours, or not any more. */

Test(daemon_ledger, a_newer_format_is_left_alone)
{
	open_ledger();
	add_mailbox("m/a");
	ledger_close(&ledger);
	sql("PRAGMA user_version = 8");
	refused(LEDGER_NEWER, "newer godwit");
	cr_assert_not_null(strstr(failure.text, file));
	cr_assert_not_null(strstr(failure.text, "version 8"));
	sql("PRAGMA user_version = 7");
	open_ledger();
	cr_assert_eq(add_mailbox("m/a"), 1);
}

/* As the first version made it. */
static const char version_1[] =
	"PRAGMA journal_mode = WAL;"
	"CREATE TABLE mailboxes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',"
	" attempts INTEGER NOT NULL DEFAULT 0, next_attempt INTEGER NOT NULL DEFAULT 0, since INTEGER NOT NULL DEFAULT 0,"
	" last_synced INTEGER NOT NULL DEFAULT 0, copied INTEGER NOT NULL DEFAULT 0, adopted INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE folders (id INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL REFERENCES mailboxes (id), source_path TEXT NOT NULL,"
	" target_path TEXT NOT NULL, source_uidvalidity INTEGER NOT NULL, target_uidvalidity INTEGER NOT NULL,"
	" source_next INTEGER NOT NULL, floor INTEGER NOT NULL, open INTEGER NOT NULL, source_messages INTEGER NOT NULL,"
	" source_uidnext INTEGER NOT NULL, source_modseq INTEGER NOT NULL, copied INTEGER NOT NULL DEFAULT 0,"
	" adopted INTEGER NOT NULL DEFAULT 0, UNIQUE (mailbox, source_path, target_path));"
	"CREATE TABLE batches (id INTEGER PRIMARY KEY, folder INTEGER NOT NULL REFERENCES folders (id), source_lo INTEGER NOT NULL,"
	" source_hi INTEGER NOT NULL, target_lo INTEGER, target_hi INTEGER, source_uids TEXT NOT NULL, target_uids TEXT NOT NULL,"
	" flags TEXT NOT NULL);"
	"CREATE INDEX batches_source ON batches (folder, source_hi);"
	"CREATE INDEX batches_target ON batches (folder, target_hi);"
	"CREATE TABLE skips (mailbox INTEGER NOT NULL REFERENCES mailboxes (id), folder_path TEXT NOT NULL, uid INTEGER NOT NULL,"
	" folder INTEGER REFERENCES folders (id), message_id TEXT NOT NULL, reason TEXT NOT NULL,"
	" PRIMARY KEY (mailbox, folder_path, uid)) WITHOUT ROWID;"
	"INSERT INTO mailboxes (name, state, copied) VALUES ('m/a', 'synced', 7);"
	"INSERT INTO folders VALUES (1, 1, 'INBOX', 'INBOX', 1, 2, 9, 10, 0, 8, 9, 0, 7, 0);"
	"INSERT INTO batches VALUES (1, 1, 1, 7, 1, 7, '1:7', '1:7', '');"
	"INSERT INTO skips VALUES (1, 'INBOX', 8, 1, '<a@b>', 'too big'), (1, 'Lost', 0, NULL, '', 'no name');"
	"PRAGMA user_version = 1";

Test(daemon_ledger, a_ledger_of_the_first_version_is_kept)
{
	char row[64];

	make_state();
	sql(version_1);
	open_ledger();
	cr_assert_eq(add_mailbox("m/a"), 1);
	cr_expect_eq(mailbox[0].copied, 7);
	cr_expect_eq(mailbox[0].skips[SKIP_LEFT_OUT], 2);
	cr_assert_eq(load_folders(1), 1);
	cr_expect_eq(folder[0].source_next, 9);
	cr_assert_eq(load_sets(1, 1, 1), 1);
	add_skip(1, "INBOX", 9, "new");
	ledger_close(&ledger);
	sql_text("SELECT kind || size || internaldate || message_id || reason || folder FROM skips WHERE uid = 8", row, sizeof(row));
	cr_expect_str_eq(row, "left out0<a@b>too big1");
	sql_text("PRAGMA user_version", row, sizeof(row));
	cr_expect_str_eq(row, "7");
	open_ledger(); /* not made anew once more */
	cr_assert_eq(add_mailbox("m/a"), 1);
	cr_expect_eq(mailbox[0].skips[SKIP_LEFT_OUT], 3);
}

Test(daemon_ledger, a_ledger_that_knows_no_orders_of_the_operator_learns_them)
{
	open_ledger();
	add_mailbox("m/a");
	ledger_close(&ledger);
	sql("ALTER TABLE mailboxes DROP COLUMN paused; ALTER TABLE mailboxes DROP COLUMN finishing;"
	    "ALTER TABLE follows DROP COLUMN tried; ALTER TABLE follows DROP COLUMN target_modseq;"
	    "ALTER TABLE folders DROP COLUMN open_floor; ALTER TABLE folders DROP COLUMN open_next;"
	    "ALTER TABLE folders DROP COLUMN echo_floor; ALTER TABLE folders DROP COLUMN echo_next;"
	    "ALTER TABLE folders DROP COLUMN echo_batch; ALTER TABLE folders DROP COLUMN echo_sends;"
	    "ALTER TABLE folders DROP COLUMN echo_looks; "
	    "ALTER TABLE skips DROP COLUMN messages; ALTER TABLE skips DROP COLUMN uids; ALTER TABLE folders DROP COLUMN selection; PRAGMA user_version = 3");
	open_ledger();
	cr_assert_eq(add_mailbox("m/a"), 1);
	cr_expect(!mailbox[0].paused && !mailbox[0].finishing);
	struct ledger_mailbox row = mailbox[0];
	row.state = MAILBOX_HELD;
	row.reason = "";
	for (int i = 1; i < 4; i++) {
		row.paused = i & 1;
		row.finishing = i & 2;
		ledger_save_mailboxes(ledger, &row, 1, NULL, NULL);
		add_mailbox("m/a");
		cr_expect(mailbox[0].paused == (i & 1) && mailbox[0].finishing == ((i & 2) != 0), "%d", i);
	}
}

Test(daemon_ledger, what_is_not_selected_is_counted_in_rows_of_many)
{
	struct ledger_skip row = { .kind = SKIP_NOT_SELECTED, .mailbox = 1, .folder_path = "INBOX", .uid = 3, .message_id = "",
		.internaldate = "", .messages = 40, .uids = "3:40,50:51", .reason = "old" };
	struct ledger_folder one = { .mailbox = 1, .source_path = "INBOX", .target_path = "INBOX", .source_uidvalidity = 1, .selection = "since=20200101" };
	char row_text[96];

	open_ledger();
	add_mailbox("m/a");
	ledger_add_skips(ledger, &row, 1, NULL, NULL);
	row.uid = 60;
	row.messages = 2;
	row.uids = "60:61";
	ledger_add_skips(ledger, &row, 1, NULL, NULL);
	add_skip(1, "INBOX", 9, "too big");
	ledger_save_folder(ledger, &one, false, NULL, NULL);
	reopen();
	add_mailbox("m/a");
	cr_expect_eq(mailbox[0].skips[SKIP_NOT_SELECTED], 42);
	cr_expect_eq(mailbox[0].skips[SKIP_LEFT_OUT], 1);
	/* A new look from a UID on. */
	ledger_clear_skips(ledger, 1, "INBOX", 60, NULL, NULL);
	add_mailbox("m/a");
	cr_expect_eq(mailbox[0].skips[SKIP_NOT_SELECTED], 40);
	ledger_close(&ledger);
	sql_text("SELECT uid || ' ' || uids || ' ' || kind FROM skips WHERE messages = 40", row_text, sizeof(row_text));
	cr_expect_str_eq(row_text, "3 3:40,50:51 not selected");
	sql_text("SELECT selection FROM folders", row_text, sizeof(row_text));
	cr_expect_str_eq(row_text, "since=20200101");
	/* The version before knew nothing of it. */
	sql("DELETE FROM skips WHERE kind = 'not selected';"
	    "ALTER TABLE skips DROP COLUMN messages; ALTER TABLE skips DROP COLUMN uids; ALTER TABLE folders DROP COLUMN selection; PRAGMA user_version = 6");
	open_ledger();
	add_mailbox("m/a");
	cr_expect_eq(mailbox[0].skips[SKIP_LEFT_OUT], 1);
	ledger_close(&ledger);
	sql_text("SELECT selection || messages || uids FROM folders, skips", row_text, sizeof(row_text));
	cr_expect_str_eq(row_text, "1");
}

Test(daemon_ledger, what_was_left_out_gets_its_name_later)
{
	char row[96];

	open_ledger();
	add_mailbox("m/a");
	add_skip(1, "INBOX", 5, "no");
	add_skip(1, "INBOX", 6, "no");
	add_skip(1, "Other", 5, "no");
	ledger_name_skips(ledger,
		&(struct ledger_skip){ .mailbox = 1, .folder_path = "INBOX", .uid = 5, .message_id = "<new@b>",
			.internaldate = "17-Jul-1996 02:44:25 -0700", .size = 77 }, 1, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	ledger_name_skips(ledger, &(struct ledger_skip){ .mailbox = 1, .folder_path = "INBOX", .uid = 9, .message_id = "<x>" }, 1,
		on_done, &loop);
	cr_assert_eq(wait_for_it(), 0); /* it was cleared meanwhile */
	ledger_close(&ledger);
	sql_text("SELECT group_concat(folder_path || uid || message_id || internaldate || size || reason, ' ') FROM skips", row, sizeof(row));
	cr_expect_str_eq(row, "INBOX5<new@b>17-Jul-1996 02:44:25 -070077no INBOX6<a@b>0no Other5<a@b>0no");
}

Test(daemon_ledger, one_message_may_be_altered_and_repaired)
{
	struct ledger_skip rows[2];

	open_ledger();
	add_mailbox("m/a");
	rows[0] = (struct ledger_skip){ .kind = SKIP_ALTERED, .mailbox = 1, .folder_path = "INBOX", .uid = 5, .message_id = "<a@b>",
		.internaldate = "17-Jul-1996 02:44:25 -0700", .size = 5000000000, .reason = "the keyword Work cannot be kept" };
	rows[1] = rows[0];
	rows[1].kind = SKIP_REPAIRED;
	ledger_add_skips(ledger, rows, 2, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	ledger_add_skips(ledger, rows, 2, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	add_mailbox("m/a");
	cr_expect(mailbox[0].skips[SKIP_ALTERED] == 1 && mailbox[0].skips[SKIP_REPAIRED] == 1 && mailbox[0].skips[SKIP_LEFT_OUT] == 0);
	ledger_clear_skips(ledger, 1, "INBOX", 5, on_done, &loop);
	cr_assert_eq(wait_for_it(), 0);
	add_mailbox("m/a");
	cr_expect_eq(mailbox[0].skips[SKIP_ALTERED] + mailbox[0].skips[SKIP_REPAIRED], 0);
}

Test(daemon_ledger, a_file_that_is_no_database)
{
	make_state();
	write_file(file,
		"Dear diary, this file is longer than the header of a database, which has 100 bytes: so it is not taken for empty.");
	refused(LEDGER_DAMAGED, file);
	cr_assert_not_null(strstr(failure.text, "not a database"), "%s", failure.text);
	cr_assert_not_null(strstr(failure.text, "away"), "%s", failure.text);
	char moved[96];
	path_set(moved, "away");
	cr_assert_eq(rename(file, moved), 0);
	open_ledger();
	add_mailbox("m/a");
}

Test(daemon_ledger, a_database_of_somebody_else)
{
	make_state();
	sql("CREATE TABLE recipes (name TEXT)");
	refused(LEDGER_DAMAGED, "not a ledger of godwit");
	char tables[8];
	sql_text("SELECT count(*) FROM sqlite_master", tables, sizeof(tables));
	cr_assert_str_eq(tables, "1");
	sql("PRAGMA user_version = 1");
	refused(LEDGER_DAMAGED, "no such table");
}

Test(daemon_ledger, an_empty_file_is_a_new_ledger)
{
	make_state();
	write_file(file, "");
	open_ledger();
	cr_assert_eq(add_mailbox("m/a"), 1);
}

Test(daemon_ledger, a_state_that_does_not_exist)
{
	open_ledger();
	add_mailbox("m/a");
	sql("UPDATE mailboxes SET state = 'elsewhere'");
	const char *name = "m/a";
	ledger_register(ledger, &name, 1, on_mailboxes, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_DAMAGED);
}

static void spoil_page_of(const char *table)
{
	char words[96], number[16];
	snprintf(words, sizeof(words), "SELECT rootpage FROM sqlite_master WHERE name = '%s'", table);
	sql_text(words, number, sizeof(number));
	char page[4096];
	memset(page, 0xAA, sizeof(page));
	int fd = open(file, O_WRONLY);
	cr_assert_eq(pwrite(fd, page, sizeof(page), (strtol(number, NULL, 10) - 1) * 4096), 4096);
	close(fd);
}

Test(daemon_ledger, a_log_that_is_lost_takes_no_mark_with_it)
{
	char command[512];
	open_ledger();
	int64_t m = add_mailbox("m/a");
	struct ledger_folder row = { .mailbox = m, .source_path = "INBOX", .target_path = "INBOX", .source_next = 7, .floor = 9 };
	save_folder(&row, false);
	reopen();
	row.open = true;
	save_folder(&row, false);
	/* What is there when all of this is killed, and then the log goes. */
	snprintf(command, sizeof(command), "mkdir -m 700 '%s/killed' && cp '%s' '%s/killed'", dir, file, dir);
	cr_assert_eq(system(command), 0);
	ledger_close(&ledger);
	strcat(dir, "/killed");
	open_ledger();
	cr_assert_eq(load_folders(m), 1);
	cr_expect(folder[0].open && folder[0].source_next == 7 && folder[0].floor == 9);
	ledger_close(&ledger);
	*strrchr(dir, '/') = '\0';
}

Test(daemon_ledger, the_way_out_is_told_however_much_sqlite_has_to_say)
{
	sqlite3 *db;
	open_ledger();
	ledger_close(&ledger);
	cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "PRAGMA writable_schema = ON;"
		"UPDATE sqlite_schema SET sql = 'CREATE TABLE mailboxes (`' || hex(zeroblob(2000)) WHERE name = 'mailboxes'", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	cr_assert_eq(try_open(), LEDGER_DAMAGED, "%s", failure.text);
	cr_expect(strstr(failure.text, "When the ledger is lost") != NULL, "%s", failure.text);
}

Test(daemon_ledger, damage_is_looked_for_after_a_bad_end_only)
{
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	add_batch(f, "1", "1");
	ledger_close(&ledger);
	struct stat st;
	cr_assert_eq(stat(lock, &st), 0);
	cr_assert_eq(st.st_size, 0);
	spoil_page_of("batches");

	write_file(lock, "123\n");
	refused(LEDGER_DAMAGED, file);
	cr_assert_not_null(strstr(failure.text, "away"), "%s", failure.text);

	/* Else it is found when it is met: all that comes behind gets the same answer. */
	write_file(lock, "");
	open_ledger();
	add_mailbox("m/a");
	cr_assert_str_eq(ledger_error(ledger), "");
	ledger_load_sets(ledger, f, 0, 0, on_sets, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_DAMAGED);
	cr_assert_not_null(strstr(ledger_error(ledger), file), "%s", ledger_error(ledger));
	const char *name = "m/a";
	ledger_register(ledger, &name, 1, on_mailboxes, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_DAMAGED);
	ledger_close(&ledger);
	/* That was not a clean end. */
	refused(LEDGER_DAMAGED, file);
}

/* The ledger dies. */

static int deaths;

static void on_death(void *arg, int err)
{
	(void)arg;
	cr_assert_eq(err, LEDGER_FAILED);
	if (++deaths == 100)
		loop_stop(loop);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(daemon_ledger, no_more_bytes_can_be_written)
{
	static char uids[20000];
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	add_batch(f, "1", "1");
	uint64_t commits = meter().commits.n;
	memset(uids, '1', sizeof(uids) - 1);
	for (size_t i = 1; i < sizeof(uids) - 2; i += 2)
		uids[i] = ',';
	limit_files(8192);
	struct ledger_batch row = { .folder = f, .source_uids = uids, .target_uids = uids, .flags = "", .copied = 1 };
	for (int i = 0; i < 100; i++)
		ledger_add_batches(ledger, &row, 1, on_death, NULL);
	loop_run(loop);
	cr_assert_eq(deaths, 100);
	limit_files(RLIM_INFINITY);
	cr_assert_not_null(strstr(ledger_error(ledger), file), "%s", ledger_error(ledger));
	cr_assert_gt(strlen(ledger_error(ledger)), strlen(file) + 20, "%s", ledger_error(ledger));
	char words[512];
	strcpy(words, ledger_error(ledger));

	/* It stays dead, although there is room again: for reads, too. */
	ledger_load_sets(ledger, f, 0, 0, on_sets, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_FAILED);
	ledger_save_folder(ledger, &(struct ledger_folder){ .mailbox = 1, .source_path = "a", .target_path = "a" },
		false, on_id, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_FAILED);
	ledger_load_folders(ledger, 1, on_folders, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_FAILED);
	cr_assert_str_eq(ledger_error(ledger), words);
	cr_assert_eq(meter().commits.n, commits);

	/* What had been answered before is there, and nothing else. */
	reopen();
	int64_t m = add_mailbox("m/a");
	cr_assert_eq(mailbox[0].copied, 0);
	cr_assert_eq(load_folders(m), 1);
	cr_assert_eq(load_sets(f, 0, 0), 1);
	cr_assert_str_eq(text[0][0], "1");
}

Test(daemon_ledger, one_bad_request_takes_back_what_shares_its_transaction)
{
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	struct ledger_batch rows[] = {
		{ .folder = f, .source_uids = "1", .target_uids = "1", .flags = "", .copied = 1 },
		{ .folder = 999, .source_uids = "1", .target_uids = "1", .flags = "", .copied = 1 },
	};
	ledger_add_batches(ledger, rows, 2, on_done, &loop);
	cr_assert_eq(wait_for_it(), LEDGER_FAILED);
	cr_assert_not_null(strstr(ledger_error(ledger), file), "%s", ledger_error(ledger));
	reopen();
	add_mailbox("m/a");
	cr_assert_eq(mailbox[0].copied, 0);
	cr_assert_eq(load_sets(f, 0, 0), 0);
}

static void expect_failed(void)
{
	cr_assert_eq(wait_for_it(), LEDGER_FAILED);
	cr_assert_str_neq(ledger_error(ledger), "");
	reopen();
}

Test(daemon_ledger, rows_that_do_not_exist_are_not_written)
{
	open_ledger();
	int64_t m = add_mailbox("m/a");
	ledger_save_mailboxes(
		ledger, &(struct ledger_mailbox){ .id = m + 1, .name = "m/b", .reason = "" }, 1, on_done, &loop);
	expect_failed();
	ledger_save_folder(ledger, &(struct ledger_folder){ .mailbox = m + 1, .source_path = "a", .target_path = "a" },
		false, on_id, &loop);
	expect_failed();
	ledger_add_skips(ledger,
		&(struct ledger_skip){ .mailbox = m + 1, .folder_path = "a", .message_id = "", .reason = "" }, 1,
		on_done, &loop);
	expect_failed();
	ledger_add_skips(ledger,
		&(struct ledger_skip){ .mailbox = m, .folder = 9, .folder_path = "a", .message_id = "", .reason = "" },
		1, on_done, &loop);
	expect_failed();
	cr_assert_eq(load_folders(m), 0);
}

/* Two threads and everything at once: for the thread sanitizer. */
static void on_load(void *arg, int err, const char *const *source, const char *const *target, size_t n)
{
	(void)arg, (void)source, (void)target;
	cr_assert_eq(err, 0);
	if (n == 500)
		loop_stop(loop);
}

Test(daemon_ledger, asks_while_the_thread_is_at_work)
{
	open_ledger();
	int64_t f = add_folder(add_mailbox("m/a"), "INBOX");
	for (int i = 0; i < 500; i++) {
		struct ledger_batch row = {
			.folder = f, .source_uids = "1:9", .target_uids = "1:9", .flags = "", .copied = 9
		};
		ledger_add_batches(ledger, &row, 1, NULL, NULL);
		ledger_load_sets(ledger, f, 0, 0, on_load, NULL);
		cr_assert_str_eq(ledger_error(ledger), "");
		(void)meter();
	}
	loop_run(loop);
	cr_assert_eq(load_folders(1), 1);
	cr_assert_eq(folder[0].copied, 4500);
}
