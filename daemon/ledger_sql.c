/*
 * ledger_sql: all that is SQL. One transaction for whatever has piled up; synchronous=FULL, so what is committed survives a
 * power loss.
 */
#include "ledger_p.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uidset.h"

#define BUSY_MS 30000 /* a person may look into the file with the tools of SQLite */

static const char *const sql[ST_N] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_MAILBOX_NEW] = "INSERT INTO mailboxes (name, state) VALUES (?1, 'queued') ON CONFLICT (name) DO NOTHING",
	[ST_MAILBOX_FIND] =
		"SELECT m.id, m.name, m.state, m.reason, m.attempts, m.next_attempt, m.since, m.last_synced, m.copied, m.adopted,"
		" m.bytes, m.paused, m.finishing FROM mailboxes m WHERE m.name = ?1",
	[ST_MAILBOX_SKIPS] = "SELECT kind, sum(messages) FROM skips WHERE mailbox = ?1 GROUP BY kind",
	[ST_MAILBOX_SAVE] =
		"UPDATE mailboxes SET state = ?2, reason = ?3, attempts = ?4, next_attempt = ?5, since = ?6,"
		" last_synced = ?7, paused = ?8, finishing = ?9 WHERE id = ?1",
	[ST_MAILBOX_SAVE_NEW] =
		"INSERT INTO mailboxes (name, state, reason, attempts, next_attempt, since, last_synced, paused, finishing)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (name) DO UPDATE SET state = ?2, reason = ?3,"
		" attempts = ?4, next_attempt = ?5, since = ?6, last_synced = ?7, paused = ?8, finishing = ?9",
	[ST_MAILBOX_COUNT] = "UPDATE mailboxes SET copied = copied + ?2, adopted = adopted + ?3, bytes = bytes + ?4"
			     " WHERE id = (SELECT mailbox FROM folders WHERE id = ?1)",
	[ST_FOLDER_LIST] =
		"SELECT id, source_path, target_path, source_uidvalidity, target_uidvalidity, source_next, floor, open,"
		" source_messages, source_uidnext, source_modseq, copied, adopted, open_floor, open_next, echo_floor, echo_next,"
		" echo_batch, echo_sends, echo_looks,"
		" CASE WHEN open THEN (SELECT coalesce(max(b.id), 0) FROM batches b WHERE b.folder = folders.id) ELSE 0 END"
		", selection FROM folders WHERE mailbox = ?1 ORDER BY id",
	[ST_FOLDER_SAVE] =
		"UPDATE folders SET source_uidvalidity = ?4, target_uidvalidity = ?5, source_next = ?6, floor = ?7, open = ?8,"
		" source_messages = ?9, source_uidnext = ?10, source_modseq = ?11, open_floor = ?12, open_next = ?13,"
		" echo_floor = ?14, echo_next = ?15, echo_batch = ?16, echo_sends = ?17, echo_looks = ?18, selection = ?19"
		" WHERE mailbox = ?1 AND source_path = ?2 AND target_path = ?3 RETURNING id",
	[ST_FOLDER_NEW] =
		"INSERT INTO folders (mailbox, source_path, target_path, source_uidvalidity, target_uidvalidity,"
		" source_next, floor, open, source_messages, source_uidnext, source_modseq, open_floor, open_next,"
		" echo_floor, echo_next, echo_batch, echo_sends, echo_looks, selection)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) RETURNING id",
	[ST_FOLDER_ECHOES] =
		"UPDATE folders SET echo_floor = ?14, echo_next = ?15, echo_batch = ?16, echo_sends = ?17, echo_looks = ?18"
		" WHERE id = ?1",
	[ST_FOLDER_FORGET] = "DELETE FROM batches WHERE folder = ?1",
	[ST_FOLDER_RECOUNT] = "UPDATE folders SET copied = ?2, adopted = ?3 WHERE id = ?1",
	[ST_FOLDER_MOVE] =
		"UPDATE folders SET source_next = ?2, floor = ?3, copied = copied + ?4, adopted = adopted + ?5,"
		" target_uidvalidity = coalesce(nullif(?6, 0), target_uidvalidity) WHERE id = ?1",
	[ST_BATCH_NEW] =
		"INSERT INTO batches (folder, source_lo, source_hi, target_lo, target_hi, source_uids, target_uids, flags, adopted)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[ST_BATCH_KNOWN] =
		"SELECT source_uids, target_uids, CASE WHEN id > ?2 THEN flags ELSE '' END, adopted FROM batches WHERE folder = ?1"
		" ORDER BY id",
	[ST_FOLLOW_FORGET] = "DELETE FROM follows WHERE folder = ?1",
	[ST_FOLLOW_LOAD] = "SELECT batch, flags, gone, tried, target_modseq FROM follows WHERE folder = ?1",
	[ST_FOLLOW_SAVE] =
		"INSERT OR REPLACE INTO follows (folder, batch, flags, gone)"
		" VALUES (?1, (SELECT coalesce(max(id), 0) FROM batches WHERE folder = ?1), ?2, ?3)",
	[ST_FOLLOW_TRIED] =
		"INSERT INTO follows (folder, batch, flags, gone, tried, target_modseq) VALUES (?1, 0, '', '', ?2, ?3)"
		" ON CONFLICT (folder) DO UPDATE SET tried = ?2, target_modseq = ?3",
	[ST_FOLLOW_MARK] =
		"UPDATE folders SET source_messages = ?2, source_uidnext = ?3, source_modseq = ?4 WHERE id = ?1",
	/* The folder is said twice: so each half is served by its own index. */
	[ST_BATCH_LIST] = "SELECT source_uids, target_uids FROM batches WHERE (folder = ?1 AND source_hi >= ?2)"
			  " OR (folder = ?1 AND target_hi >= ?3) ORDER BY id",
	[ST_BATCH_AFTER] = "SELECT source_uids, target_uids FROM batches WHERE folder = ?1 AND id > ?2 ORDER BY id",
	[ST_SKIP_NEW] =
		"INSERT OR REPLACE INTO skips (mailbox, folder_path, uid, folder, message_id, reason, kind, internaldate, size, messages, uids)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[ST_SKIP_NAME] = "UPDATE skips SET message_id = ?4, internaldate = ?5, size = ?6"
			 " WHERE mailbox = ?1 AND folder_path = ?2 AND uid = ?3",
	[ST_SKIP_CLEAR] = "DELETE FROM skips WHERE mailbox = ?1 AND"
			  " ((?2 = '' AND uid = 0) OR (folder_path = ?2 AND uid > 0 AND uid >= ?3))",
};

/* The -wal belongs to the file: with another one it would be damage, too. */
static int damaged(struct ledger_db *db, const char *how)
{
	return ledger_fail(db->failure, LEDGER_DAMAGED, "the ledger %s is damaged: %.160s; move it and its -wal away: " LEDGER_WAY_OUT,
		db->path, how);
}

static int failed(struct ledger_db *db)
{
	int rc = db->sql != NULL ? sqlite3_errcode(db->sql) : SQLITE_NOMEM;
	const char *words = db->sql != NULL ? sqlite3_errmsg(db->sql) : "out of memory";

	/* SQLite takes what cannot be read for damage, too. */
	errno = rc == SQLITE_CORRUPT ? ledger_probe_read(db->path) : 0;
	if (errno != 0)
		return ledger_fail(db->failure, LEDGER_FAILED, "the ledger %s cannot be read: %m", db->path);
	if (rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT)
		return damaged(db, words);
	if (rc == SQLITE_CONSTRAINT) /* damage that SQLite cannot see, or a fault of ours */
		return ledger_fail(db->failure, LEDGER_FAILED,
			"the ledger %s does not fit together: %s; when the next run says so, too, move it and its -wal away: " LEDGER_WAY_OUT,
			db->path, words);
	if (rc == SQLITE_FULL)
		return ledger_fail(db->failure, LEDGER_FAILED,
			"the ledger %s cannot be written: the disk is full; make room and run again", db->path);
	/* What SQLite does after a failure has overwritten its reason more often than not. */
	if (rc == SQLITE_IOERR || rc == SQLITE_CANTOPEN) {
		errno = ledger_probe_write(db->path);
		if (errno == 0)
			errno = sqlite3_system_errno(db->sql);
	}
	if (errno != 0)
		return ledger_fail(
			db->failure, LEDGER_FAILED, "the ledger %s cannot be used: %s (%m)", db->path, words);
	return ledger_fail(db->failure, LEDGER_FAILED, "the ledger %s cannot be used: %s", db->path, words);
}

static int execute(struct ledger_db *db, const char *text)
{
	return sqlite3_exec(db->sql, text, NULL, NULL, NULL) == SQLITE_OK ? LEDGER_OK : failed(db);
}

/* The one number that the statement gives. */
static int ask(struct ledger_db *db, const char *text, sqlite3_int64 *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db->sql, text, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	rc = rc == SQLITE_ROW ? LEDGER_OK : failed(db);
	sqlite3_finalize(st);
	return rc;
}

static int check_damage(struct ledger_db *db)
{
	sqlite3_stmt *st = NULL;
	int err = LEDGER_OK;

	if (sqlite3_prepare_v2(db->sql, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK ||
		sqlite3_step(st) != SQLITE_ROW)
		err = failed(db);
	else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
		err = damaged(db, (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	return err;
}

/* Without WAL (a file system may refuse it) a commit costs more, and readers stand in the way. */
static int use_wal(struct ledger_db *db)
{
	sqlite3_stmt *st = NULL;
	int err = LEDGER_OK;

	if (sqlite3_prepare_v2(db->sql, "PRAGMA journal_mode = WAL", -1, &st, NULL) != SQLITE_OK ||
		sqlite3_step(st) != SQLITE_ROW)
		err = failed(db);
	else if (strcmp((const char *)sqlite3_column_text(st, 0), "wal") != 0)
		err = ledger_fail(db->failure, LEDGER_FAILED,
			"the ledger %s cannot be used: its file system has no write-ahead logs", db->path);
	sqlite3_finalize(st);
	return err;
}

/* Of version 0 is only what is empty. */
static int check_empty(struct ledger_db *db)
{
	sqlite3_int64 n = 0;
	int err = ask(db, "SELECT count(*) FROM sqlite_master", &n);

	return err == LEDGER_OK && n != 0 ? damaged(db, "it is not a ledger of godwit") : err;
}

static int prepare(struct ledger_db *db)
{
	for (int i = 0; i < ST_N; i++) {
		int rc = sqlite3_prepare_v3(db->sql, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->st[i], NULL);

		if (rc == SQLITE_ERROR) /* a table or a column is not there */
			return damaged(db, sqlite3_errmsg(db->sql));
		if (rc != SQLITE_OK)
			return failed(db);
	}
	return LEDGER_OK;
}

/* `version` is what is there; 0: nothing. */
static int make_tables(struct ledger_db *db, int version)
{
	char set[64];
	int err = execute(db, "BEGIN IMMEDIATE");

	snprintf(set, sizeof(set), "PRAGMA user_version = %d", LEDGER_VERSION);
	if (err == LEDGER_OK && version == 0)
		err = execute(db, ledger_schema);
	for (; err == LEDGER_OK && version > 0 && version < LEDGER_VERSION; version++)
		err = execute(db, ledger_upgrades[version]);
	if (err != LEDGER_OK && sqlite3_errcode(db->sql) == SQLITE_ERROR) /* a table or a column is not there */
		err = damaged(db, sqlite3_errmsg(db->sql));
	if (err == LEDGER_OK)
		err = execute(db, set);
	return err == LEDGER_OK ? execute(db, "COMMIT") : err;
}

/* SQLite's own would do its checkpoint within the COMMIT, and all that was committed would wait for it. */
static int on_log(void *arg, sqlite3 *connection, const char *name, int pages)
{
	struct ledger_db *db = arg;

	(void)connection, (void)name;
	db->log_pages = pages;
	return SQLITE_OK;
}

void ledger_db_checkpoint(struct ledger_db *db)
{
	/* Where it fails or is held up, the next one is due when the next commit has told of its pages. */
	db->log_pages = 0;
	sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

void ledger_db_land(struct ledger_db *db)
{
	db->log_pages = 0;
	db->reopened = false;
	sqlite3_busy_timeout(db->sql, 0);
	sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(db->sql, BUSY_MS);
}

int ledger_db_open(struct ledger_db *db, bool check)
{
	sqlite3_int64 version = 0;
	int err = LEDGER_OK;

	if (sqlite3_open_v2(db->path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		    NULL) != SQLITE_OK)
		return failed(db);
	sqlite3_busy_timeout(db->sql, BUSY_MS);
	err = ask(db, "PRAGMA user_version", &version);
	if (err == LEDGER_OK && version > LEDGER_VERSION)
		return ledger_fail(db->failure, LEDGER_NEWER,
			"the ledger %s was written by a newer godwit (version %lld, this one knows %d); use that one, or move the file away: " LEDGER_WAY_OUT,
			db->path, (long long)version, LEDGER_VERSION);
	if (err == LEDGER_OK && version <= 0)
		err = check_empty(db);
	if (err == LEDGER_OK)
		err = use_wal(db);
	if (err == LEDGER_OK)
		err = execute(db,
			"PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
			"PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000; PRAGMA wal_autocheckpoint = 0");
	if (err == LEDGER_OK)
		sqlite3_wal_hook(db->sql, on_log, db);
	if (err == LEDGER_OK && check && version > 0)
		err = check_damage(db);
	if (err == LEDGER_OK && version < LEDGER_VERSION)
		err = make_tables(db, version > 0 ? (int)version : 0);
	return err == LEDGER_OK ? prepare(db) : err;
}

void ledger_db_close(struct ledger_db *db)
{
	for (int i = 0; i < ST_N; i++)
		sqlite3_finalize(db->st[i]);
	if (db->sql != NULL) {
		if (db->failure->err == LEDGER_OK)
			sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		sqlite3_close(db->sql);
	}
	db->sql = NULL;
}

/* Statements. */

static void text(sqlite3_stmt *st, int at, const char *value)
{
	sqlite3_bind_text(st, at, value != NULL ? value : "", -1, SQLITE_STATIC);
}

static void number(sqlite3_stmt *st, int at, int64_t value)
{
	sqlite3_bind_int64(st, at, value);
}

/* Runs a statement that gives no rows, or whose first row is *ret. */
static int run(struct ledger_db *db, sqlite3_stmt *st, int64_t *ret)
{
	int rc = sqlite3_step(st), err = LEDGER_OK;

	if (rc == SQLITE_ROW && ret != NULL) {
		*ret = sqlite3_column_int64(st, 0);
		rc = sqlite3_step(st);
	}
	if (rc != SQLITE_DONE)
		err = failed(db);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

/* For an UPDATE that must have met its row. */
static int run_on(struct ledger_db *db, sqlite3_stmt *st, const char *what, int64_t id)
{
	int err = run(db, st, NULL);

	if (err == LEDGER_OK && sqlite3_changes(db->sql) == 0)
		err = ledger_fail(
			db->failure, LEDGER_FAILED, "the ledger %s has no %s %lld", db->path, what, (long long)id);
	return err;
}

static const char *column(struct request *r, sqlite3_stmt *st, int at)
{
	return request_copy(r, (const char *)sqlite3_column_text(st, at));
}

static enum mailbox_state state_of(const char *name)
{
	for (int i = 0; i < MAILBOX_STATE_N; i++)
		if (strcmp(mailbox_state_name((enum mailbox_state)i), name) == 0)
			return (enum mailbox_state)i;
	return MAILBOX_STATE_N;
}

static int count_skips(struct ledger_db *db, struct ledger_mailbox *m)
{
	sqlite3_stmt *st = db->st[ST_MAILBOX_SKIPS];
	int rc, err;

	number(st, 1, m->id);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		for (int kind = 0; kind < SKIP_KIND_N; kind++)
			if (strcmp(skip_kind_name((enum skip_kind)kind), (const char *)sqlite3_column_text(st, 0)) == 0)
				m->skips[kind] = (uint64_t)sqlite3_column_int64(st, 1);
	err = rc == SQLITE_DONE ? LEDGER_OK : failed(db);
	sqlite3_reset(st);
	return err;
}

static int find_mailbox(struct ledger_db *db, struct request *r, const char *name, struct ledger_mailbox *m)
{
	sqlite3_stmt *st = db->st[ST_MAILBOX_FIND];
	int err = LEDGER_OK;

	text(st, 1, name);
	if (sqlite3_step(st) == SQLITE_ROW)
		*m = (struct ledger_mailbox){ .id = sqlite3_column_int64(st, 0),
			.name = column(r, st, 1),
			.state = state_of(column(r, st, 2)),
			.reason = column(r, st, 3),
			.attempts = (uint32_t)sqlite3_column_int64(st, 4),
			.next_attempt = sqlite3_column_int64(st, 5),
			.since = sqlite3_column_int64(st, 6),
			.last_synced = sqlite3_column_int64(st, 7),
			.copied = (uint64_t)sqlite3_column_int64(st, 8),
			.adopted = (uint64_t)sqlite3_column_int64(st, 9),
			.bytes = (uint64_t)sqlite3_column_int64(st, 10),
			.paused = sqlite3_column_int64(st, 11) != 0,
			.finishing = sqlite3_column_int64(st, 12) != 0 };
	else
		err = failed(db);
	sqlite3_reset(st);
	if (err == LEDGER_OK && m->state == MAILBOX_STATE_N)
		err = damaged(db, "a mailbox is in a state that does not exist");
	return err == LEDGER_OK ? count_skips(db, m) : err;
}

static int register_names(struct ledger_db *db, struct request *r)
{
	int err = LEDGER_OK;

	r->answer.mailboxes = request_alloc(r, r->n, sizeof(*r->answer.mailboxes));
	for (size_t i = 0; i < r->n && err == LEDGER_OK; i++) {
		text(db->st[ST_MAILBOX_NEW], 1, r->rows.names[i]);
		err = run(db, db->st[ST_MAILBOX_NEW], NULL);
		if (err == LEDGER_OK)
			err = find_mailbox(db, r, r->rows.names[i], &r->answer.mailboxes[i]);
	}
	r->answer.n = r->n;
	return err;
}

static int save_mailboxes(struct ledger_db *db, struct request *r)
{
	int err = LEDGER_OK;

	for (size_t i = 0; i < r->n && err == LEDGER_OK; i++) {
		const struct ledger_mailbox *m = &r->rows.mailboxes[i];
		sqlite3_stmt *st = db->st[m->id != 0 ? ST_MAILBOX_SAVE : ST_MAILBOX_SAVE_NEW];

		if (m->id != 0)
			number(st, 1, m->id);
		else
			text(st, 1, m->name);
		text(st, 2, mailbox_state_name(m->state));
		text(st, 3, m->reason);
		number(st, 4, m->attempts);
		number(st, 5, m->next_attempt);
		number(st, 6, m->since);
		number(st, 7, m->last_synced);
		number(st, 8, m->paused);
		number(st, 9, m->finishing);
		err = run_on(db, st, "mailbox", m->id);
	}
	return err;
}

static void grow_folders(struct request *r)
{
	size_t size = r->answer.size == 0 ? 16 : r->answer.size * 2;
	struct ledger_folder *bigger = request_alloc(r, size, sizeof(*bigger));

	if (r->answer.n != 0)
		memcpy(bigger, r->answer.folders, r->answer.n * sizeof(*bigger));
	r->answer.folders = bigger;
	r->answer.size = size;
}

static int load_folders(struct ledger_db *db, struct request *r)
{
	sqlite3_stmt *st = db->st[ST_FOLDER_LIST];
	int rc, err;

	number(st, 1, r->id);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (r->answer.n == r->answer.size)
			grow_folders(r);
		r->answer.folders[r->answer.n++] = (struct ledger_folder){ .id = sqlite3_column_int64(st, 0),
			.mailbox = r->id,
			.source_path = column(r, st, 1),
			.target_path = column(r, st, 2),
			.source_uidvalidity = (uint32_t)sqlite3_column_int64(st, 3),
			.target_uidvalidity = (uint32_t)sqlite3_column_int64(st, 4),
			.source_next = (uint32_t)sqlite3_column_int64(st, 5),
			.floor = (uint32_t)sqlite3_column_int64(st, 6),
			.open = sqlite3_column_int64(st, 7) != 0,
			.source_messages = (uint32_t)sqlite3_column_int64(st, 8),
			.source_uidnext = (uint32_t)sqlite3_column_int64(st, 9),
			.source_modseq = (uint64_t)sqlite3_column_int64(st, 10),
			.copied = (uint64_t)sqlite3_column_int64(st, 11),
			.adopted = (uint64_t)sqlite3_column_int64(st, 12),
			.open_floor = (uint32_t)sqlite3_column_int64(st, 13),
			.open_next = (uint32_t)sqlite3_column_int64(st, 14),
			.echoes = { .floor = (uint32_t)sqlite3_column_int64(st, 15),
				.next = (uint32_t)sqlite3_column_int64(st, 16),
				.batch = sqlite3_column_int64(st, 17),
				.sends = (uint32_t)sqlite3_column_int64(st, 18),
				.looks = (uint32_t)sqlite3_column_int64(st, 19) },
			.last_batch = sqlite3_column_int64(st, 20),
			.selection = column(r, st, 21) };
	}
	err = rc == SQLITE_DONE ? LEDGER_OK : failed(db);
	sqlite3_reset(st);
	return err;
}

static void bind_echoes(sqlite3_stmt *st, const struct ledger_echoes *e)
{
	number(st, 14, e->floor);
	number(st, 15, e->next);
	number(st, 16, e->batch);
	number(st, 17, e->sends);
	number(st, 18, e->looks);
}

static int save_echoes(struct ledger_db *db, struct request *r)
{
	number(db->st[ST_FOLDER_ECHOES], 1, r->id);
	bind_echoes(db->st[ST_FOLDER_ECHOES], r->rows.echoes);
	return run_on(db, db->st[ST_FOLDER_ECHOES], "folder", r->id);
}

static void bind_folder(sqlite3_stmt *st, const struct ledger_folder *f)
{
	number(st, 1, f->mailbox);
	text(st, 2, f->source_path);
	text(st, 3, f->target_path);
	number(st, 4, f->source_uidvalidity);
	number(st, 5, f->target_uidvalidity);
	number(st, 6, f->source_next);
	number(st, 7, f->floor);
	number(st, 8, f->open);
	number(st, 9, f->source_messages);
	number(st, 10, f->source_uidnext);
	number(st, 11, (int64_t)f->source_modseq);
	number(st, 12, f->open_floor);
	number(st, 13, f->open_next);
	bind_echoes(st, &f->echoes);
	text(st, 19, f->selection);
}

static int save_folder(struct ledger_db *db, struct request *r)
{
	const struct ledger_folder *f = r->rows.folder;
	int64_t id = 0;
	int err;

	bind_folder(db->st[ST_FOLDER_SAVE], f);
	err = run(db, db->st[ST_FOLDER_SAVE], &id);
	if (err == LEDGER_OK && id == 0) {
		bind_folder(db->st[ST_FOLDER_NEW], f);
		err = run(db, db->st[ST_FOLDER_NEW], &id);
	} else if (f->open) {
		db->reopened = true;
	}
	if (err == LEDGER_OK && r->forget) {
		number(db->st[ST_FOLDER_FORGET], 1, id);
		err = run(db, db->st[ST_FOLDER_FORGET], NULL);
		number(db->st[ST_FOLLOW_FORGET], 1, id);
		if (err == LEDGER_OK)
			err = run(db, db->st[ST_FOLLOW_FORGET], NULL);
		number(db->st[ST_FOLDER_RECOUNT], 1, id);
		number(db->st[ST_FOLDER_RECOUNT], 2, (int64_t)f->copied);
		number(db->st[ST_FOLDER_RECOUNT], 3, (int64_t)f->adopted);
		if (err == LEDGER_OK)
			err = run(db, db->st[ST_FOLDER_RECOUNT], NULL);
	}
	r->answer.id = id;
	return err;
}

/* Lowest and highest UID of a list; false when it is empty or not readable. */
static bool bounds(const char *uids, uint32_t *lo, uint32_t *hi)
{
	struct uidset s = { 0 };
	bool ok = uids[0] != '\0' && uidset_parse(&s, span_str(uids)) == 0 && s.n != 0;

	if (ok) {
		*lo = s.r[0].lo;
		*hi = s.r[s.n - 1].hi;
	}
	uidset_done(&s);
	return ok;
}

static int add_batch(struct ledger_db *db, const struct ledger_batch *b)
{
	sqlite3_stmt *st = db->st[ST_BATCH_NEW];
	uint32_t lo, hi;
	int err;

	number(st, 1, b->folder);
	if (!bounds(b->source_uids, &lo, &hi))
		return ledger_fail(db->failure, LEDGER_FAILED, "a batch without source UIDs cannot be recorded");
	number(st, 2, lo);
	number(st, 3, hi);
	if (bounds(b->target_uids, &lo, &hi)) {
		number(st, 4, lo);
		number(st, 5, hi);
	}
	text(st, 6, b->source_uids);
	text(st, 7, b->target_uids);
	text(st, 8, b->flags);
	number(st, 9, b->adopted != 0 && b->copied == 0);
	err = run(db, st, NULL);
	st = db->st[ST_FOLDER_MOVE];
	if (err == LEDGER_OK) {
		number(st, 1, b->folder);
		number(st, 2, b->source_next);
		number(st, 3, b->floor);
		number(st, 4, b->copied);
		number(st, 5, b->adopted);
		number(st, 6, b->target_uidvalidity);
		err = run_on(db, st, "folder", b->folder);
	}
	st = db->st[ST_MAILBOX_COUNT];
	if (err == LEDGER_OK) {
		number(st, 1, b->folder);
		number(st, 2, b->copied);
		number(st, 3, b->adopted);
		number(st, 4, (int64_t)b->bytes);
		err = run(db, st, NULL);
	}
	return err;
}

static void grow_sets(struct request *r)
{
	size_t size = r->answer.size == 0 ? 16 : r->answer.size * 2;
	const char **source = request_alloc(r, size, sizeof(*source));
	const char **target = request_alloc(r, size, sizeof(*target));

	if (r->answer.n != 0) {
		memcpy(source, r->answer.source_uids, r->answer.n * sizeof(*source));
		memcpy(target, r->answer.target_uids, r->answer.n * sizeof(*target));
	}
	r->answer.source_uids = source;
	r->answer.target_uids = target;
	r->answer.size = size;
}

static int load_sets(struct ledger_db *db, struct request *r)
{
	bool after = r->kind == REQUEST_LOAD_SETS_AFTER;
	sqlite3_stmt *st = db->st[after ? ST_BATCH_AFTER : ST_BATCH_LIST];
	int rc, err;

	number(st, 1, r->id);
	number(st, 2, after ? r->after : r->source_from);
	if (!after)
		number(st, 3, r->target_from);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (r->answer.n == r->answer.size)
			grow_sets(r);
		r->answer.source_uids[r->answer.n] = column(r, st, 0);
		r->answer.target_uids[r->answer.n++] = column(r, st, 1);
	}
	err = rc == SQLITE_DONE ? LEDGER_OK : failed(db);
	sqlite3_reset(st);
	return err;
}

static struct ledger_known *add_known(struct request *r)
{
	if (r->answer.n == r->answer.size) {
		size_t size = r->answer.size == 0 ? 16 : r->answer.size * 2;
		struct ledger_known *rows = request_alloc(r, size, sizeof(*rows));

		if (r->answer.n != 0)
			memcpy(rows, r->answer.known, r->answer.n * sizeof(*rows));
		r->answer.known = rows;
		r->answer.size = size;
	}
	return &r->answer.known[r->answer.n++];
}

static int load_known(struct ledger_db *db, struct request *r)
{
	sqlite3_stmt *st = db->st[ST_FOLLOW_LOAD];
	int64_t batch = 0;
	int rc;

	r->answer.followed = (struct ledger_followed){ .gone = "", .tried = "" };
	number(st, 1, r->id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		batch = sqlite3_column_int64(st, 0);
		*add_known(r) = (struct ledger_known){ .source_uids = "", .target_uids = "", .flags = column(r, st, 1) };
		r->answer.followed = (struct ledger_followed){ .gone = column(r, st, 2), .tried = column(r, st, 3),
			.target_modseq = (uint64_t)sqlite3_column_int64(st, 4) };
	}
	sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return failed(db);
	st = db->st[ST_BATCH_KNOWN];
	number(st, 1, r->id);
	number(st, 2, batch);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		*add_known(r) = (struct ledger_known){ .source_uids = column(r, st, 0), .target_uids = column(r, st, 1),
			.flags = column(r, st, 2), .adopted = sqlite3_column_int(st, 3) != 0 };
	rc = rc == SQLITE_DONE ? LEDGER_OK : failed(db);
	sqlite3_reset(st);
	return rc;
}

static int save_follow(struct ledger_db *db, const struct ledger_follow *f)
{
	sqlite3_stmt *st = db->st[ST_FOLLOW_SAVE];
	int err;

	number(st, 1, f->folder);
	text(st, 2, f->flags);
	text(st, 3, f->gone);
	err = run(db, st, NULL);
	st = db->st[ST_FOLLOW_MARK];
	if (err == LEDGER_OK) {
		number(st, 1, f->folder);
		number(st, 2, f->source_messages);
		number(st, 3, f->source_uidnext);
		number(st, 4, (int64_t)f->source_modseq);
		err = run_on(db, st, "folder", f->folder);
	}
	return err;
}

static int save_tried(struct ledger_db *db, const struct ledger_tried *t)
{
	sqlite3_stmt *st = db->st[ST_FOLLOW_TRIED];

	number(st, 1, t->folder);
	text(st, 2, t->changes);
	number(st, 3, (int64_t)t->target_modseq);
	return run(db, st, NULL);
}

static int add_skips(struct ledger_db *db, struct request *r)
{
	sqlite3_stmt *st = db->st[ST_SKIP_NEW];
	int err = LEDGER_OK;

	for (size_t i = 0; i < r->n && err == LEDGER_OK; i++) {
		const struct ledger_skip *s = &r->rows.skips[i];

		number(st, 1, s->mailbox);
		text(st, 2, s->folder_path);
		number(st, 3, s->uid);
		if (s->folder != 0)
			number(st, 4, s->folder);
		text(st, 5, s->message_id);
		text(st, 6, s->reason);
		text(st, 7, skip_kind_name(s->kind));
		text(st, 8, s->internaldate);
		number(st, 9, (int64_t)s->size);
		number(st, 10, s->messages != 0 ? (int64_t)s->messages : 1);
		text(st, 11, s->uids);
		err = run(db, st, NULL);
	}
	return err;
}

static int name_skips(struct ledger_db *db, struct request *r)
{
	sqlite3_stmt *st = db->st[ST_SKIP_NAME];
	int err = LEDGER_OK;

	for (size_t i = 0; i < r->n && err == LEDGER_OK; i++) {
		const struct ledger_skip *s = &r->rows.skips[i];

		number(st, 1, s->mailbox);
		text(st, 2, s->folder_path);
		number(st, 3, s->uid);
		text(st, 4, s->message_id);
		text(st, 5, s->internaldate);
		number(st, 6, (int64_t)s->size);
		err = run(db, st, NULL);
	}
	return err;
}

static int work_one(struct ledger_db *db, struct request *r)
{
	int err = LEDGER_OK;

	switch (r->kind) {
	case REQUEST_REGISTER:
		return register_names(db, r);
	case REQUEST_SAVE_MAILBOXES:
		return save_mailboxes(db, r);
	case REQUEST_LOAD_FOLDERS:
		return load_folders(db, r);
	case REQUEST_SAVE_FOLDER:
		return save_folder(db, r);
	case REQUEST_ADD_BATCHES:
		for (size_t i = 0; i < r->n && err == LEDGER_OK; i++)
			err = add_batch(db, &r->rows.batches[i]);
		return err;
	case REQUEST_LOAD_SETS:
	case REQUEST_LOAD_SETS_AFTER:
		return load_sets(db, r);
	case REQUEST_SAVE_ECHOES:
		return save_echoes(db, r);
	case REQUEST_LOAD_KNOWN:
		return load_known(db, r);
	case REQUEST_SAVE_FOLLOW:
		return save_follow(db, r->rows.follow);
	case REQUEST_SAVE_TRIED:
		return save_tried(db, r->rows.tried);
	case REQUEST_ADD_SKIPS:
		return add_skips(db, r);
	case REQUEST_NAME_SKIPS:
		return name_skips(db, r);
	case REQUEST_CLEAR_SKIPS:
		number(db->st[ST_SKIP_CLEAR], 1, r->id);
		text(db->st[ST_SKIP_CLEAR], 2, r->path);
		number(db->st[ST_SKIP_CLEAR], 3, r->source_from);
		return run(db, db->st[ST_SKIP_CLEAR], NULL);
	}
	return LEDGER_FAILED;
}

int ledger_db_work(struct ledger_db *db, struct request *first)
{
	int err = run(db, db->st[ST_BEGIN], NULL);

	for (struct request *r = first; r != NULL && err == LEDGER_OK; r = r->next)
		err = work_one(db, r);
	if (err == LEDGER_OK)
		err = run(db, db->st[ST_COMMIT], NULL);
	if (err != LEDGER_OK && !sqlite3_get_autocommit(db->sql)) {
		sqlite3_step(db->st[ST_ROLLBACK]);
		sqlite3_reset(db->st[ST_ROLLBACK]);
	}
	return err;
}
