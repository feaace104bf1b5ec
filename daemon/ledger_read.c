#include "ledger_read.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger_p.h"

#define BUSY_MS 30000 /* the moment in which a daemon makes or ends the write-ahead log */

struct ledger_reader {
	sqlite3 *sql;
	char *path;
	int version; /* of the schema */
	struct ledger_failure failure;
};

static int failed(struct ledger_reader *r)
{
	return ledger_fail(&r->failure, LEDGER_FAILED, "the ledger %s cannot be read: %s", r->path,
		r->sql != NULL ? sqlite3_errmsg(r->sql) : "out of memory");
}

static int begin(struct ledger_reader *r, const char *text, sqlite3_stmt **st)
{
	return sqlite3_prepare_v2(r->sql, text, -1, st, NULL) == SQLITE_OK ? LEDGER_OK : failed(r);
}

static int unknown(struct ledger_reader *r, const char *what)
{
	return ledger_fail(&r->failure, LEDGER_DAMAGED, "the ledger %s is damaged: %s that does not exist; move it and its -wal away: " LEDGER_WAY_OUT,
		r->path, what);
}

/* rc: of the last step; err: what was wrong with a row. */
static int end(struct ledger_reader *r, sqlite3_stmt *st, int rc, int err)
{
	if (err == LEDGER_OK && rc != SQLITE_DONE)
		err = failed(r);
	sqlite3_finalize(st);
	return err;
}

static int read_version(struct ledger_reader *r)
{
	sqlite3_stmt *st = NULL;
	int err = begin(r, "PRAGMA user_version", &st), rc;

	if (err != LEDGER_OK)
		return err;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		r->version = sqlite3_column_int(st, 0);
		rc = sqlite3_step(st);
	}
	err = end(r, st, rc, LEDGER_OK);
	if (err == LEDGER_OK && r->version > LEDGER_VERSION)
		return ledger_fail(&r->failure, LEDGER_NEWER,
			"the ledger %s was written by a newer godwit (version %d, this one knows %d)", r->path, r->version,
			LEDGER_VERSION);
	if (err == LEDGER_OK && r->version <= 0)
		return ledger_fail(&r->failure, LEDGER_ABSENT, "there is no ledger in %s", r->path);
	return err;
}

int ledger_reader_open(const char *dir, struct ledger_reader **ret, struct ledger_failure *failure)
{
	struct ledger_reader *r = calloc(1, sizeof(*r));
	int err;

	*failure = (struct ledger_failure){ 0 };
	if (r == NULL || asprintf(&r->path, "%s/ledger.sqlite", dir) < 0) {
		free(r);
		return ledger_fail(failure, LEDGER_FAILED, "out of memory");
	}
	if (access(r->path, R_OK) != 0)
		err = ledger_fail(&r->failure, errno == ENOENT || errno == ENOTDIR ? LEDGER_ABSENT : LEDGER_FAILED,
			errno == ENOENT || errno == ENOTDIR ? "there is no ledger %s" : "the ledger %s cannot be read: %m", r->path);
	else if (sqlite3_open_v2(r->path, &r->sql, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		err = failed(r);
	else {
		sqlite3_busy_timeout(r->sql, BUSY_MS);
		err = read_version(r);
	}
	*failure = r->failure;
	if (err != LEDGER_OK)
		ledger_reader_close(&r);
	*ret = r;
	return err;
}

void ledger_reader_close(struct ledger_reader **r)
{
	if (r == NULL || *r == NULL)
		return;
	sqlite3_close((*r)->sql);
	free((*r)->path);
	free(*r);
	*r = NULL;
}

const char *ledger_reader_error(const struct ledger_reader *r)
{
	return r->failure.text;
}

static const char *text(sqlite3_stmt *st, int at)
{
	const char *s = (const char *)sqlite3_column_text(st, at);

	return s != NULL ? s : "";
}

static uint64_t count(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

static uint32_t small(sqlite3_stmt *st, int at)
{
	return (uint32_t)sqlite3_column_int64(st, at);
}

static enum mailbox_state state_of(const char *name)
{
	int i = 0;

	while (i < MAILBOX_STATE_N && strcmp(mailbox_state_name((enum mailbox_state)i), name) != 0)
		i++;
	return (enum mailbox_state)i;
}

static enum skip_kind kind_of(const char *name)
{
	int i = 0;

	while (i < SKIP_KIND_N && strcmp(skip_kind_name((enum skip_kind)i), name) != 0)
		i++;
	return (enum skip_kind)i;
}

static struct ledger_mailbox mailbox_of(sqlite3_stmt *st)
{
	return (struct ledger_mailbox){
		.id = sqlite3_column_int64(st, 0),
		.name = text(st, 1),
		.state = state_of(text(st, 2)),
		.reason = text(st, 3),
		.attempts = small(st, 4),
		.next_attempt = sqlite3_column_int64(st, 5),
		.since = sqlite3_column_int64(st, 6),
		.last_synced = sqlite3_column_int64(st, 7),
		.copied = count(st, 8),
		.adopted = count(st, 9),
		.bytes = count(st, 10),
		.skips = { [SKIP_LEFT_OUT] = count(st, 11), [SKIP_ALTERED] = count(st, 12), [SKIP_REPAIRED] = count(st, 13),
			[SKIP_ECHO] = count(st, 14), [SKIP_NOT_SELECTED] = count(st, 15) },
		.paused = count(st, 16) != 0,
		.finishing = count(st, 17) != 0,
	};
}

#define MAILBOX                                                                                                        \
	"SELECT id, name, state, reason, attempts, next_attempt, since, last_synced, copied, adopted, bytes,"          \
	" (SELECT count(*) FROM skips WHERE mailbox = m.id"
#define MAILBOX_KINDS                                                                                                  \
	" AND kind = 'left out'), (SELECT count(*) FROM skips WHERE mailbox = m.id AND kind = 'altered'),"            \
	" (SELECT count(*) FROM skips WHERE mailbox = m.id AND kind = 'repaired'),"                                   \
	" (SELECT count(*) FROM skips WHERE mailbox = m.id AND kind = 'echo')"
#define MAILBOX_SELECTED ", (SELECT coalesce(sum(messages), 0) FROM skips WHERE mailbox = m.id AND kind = 'not selected')"
#define MAILBOX_END " FROM mailboxes m WHERE ?1 IS NULL OR name = ?1 ORDER BY name"

int ledger_read_mailboxes(struct ledger_reader *r, const char *name, ledger_mailbox_row *fn, void *arg)
{
	const char *words = r->version == 1 ? MAILBOX "), 0, 0, 0, 0, 0, 0" MAILBOX_END :
		r->version < 4 ? MAILBOX MAILBOX_KINDS ", 0, 0, 0" MAILBOX_END :
		r->version < LEDGER_SELECTS ? MAILBOX MAILBOX_KINDS ", 0, paused, finishing" MAILBOX_END :
				 MAILBOX MAILBOX_KINDS MAILBOX_SELECTED ", paused, finishing" MAILBOX_END;
	sqlite3_stmt *st;
	int rc = SQLITE_DONE, err = begin(r, words, &st);

	if (err != LEDGER_OK)
		return err;
	if (name != NULL)
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	while (err == LEDGER_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct ledger_mailbox m = mailbox_of(st);

		if (m.state == MAILBOX_STATE_N)
			err = unknown(r, "a mailbox is in a state");
		else
			fn(arg, &m);
	}
	return end(r, st, rc, err);
}

int ledger_read_folders(struct ledger_reader *r, int64_t mailbox, ledger_folder_row *fn, void *arg)
{
	sqlite3_stmt *st;
	int rc, err = begin(r,
		"SELECT id, source_path, target_path, source_uidvalidity, target_uidvalidity, source_next, floor, open, source_messages,"
		" source_uidnext, source_modseq, copied, adopted FROM folders WHERE mailbox = ?1 ORDER BY source_path, target_path",
		&st);

	if (err != LEDGER_OK)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, &(struct ledger_folder){
				.id = sqlite3_column_int64(st, 0),
				.mailbox = mailbox,
				.source_path = text(st, 1),
				.target_path = text(st, 2),
				.source_uidvalidity = small(st, 3),
				.target_uidvalidity = small(st, 4),
				.source_next = small(st, 5),
				.floor = small(st, 6),
				.open = sqlite3_column_int64(st, 7) != 0,
				.source_messages = small(st, 8),
				.source_uidnext = small(st, 9),
				.source_modseq = count(st, 10),
				.copied = count(st, 11),
				.adopted = count(st, 12),
			});
	return end(r, st, rc, LEDGER_OK);
}

#define SKIP_END " FROM skips WHERE mailbox = ?1 AND (?2 IS NULL OR folder_path = ?2) ORDER BY folder_path, uid"

int ledger_read_skips(struct ledger_reader *r, int64_t mailbox, const char *folder_path, ledger_skip_row *fn, void *arg)
{
	static const char *const words[] = {
		[1] = "SELECT folder_path, uid, folder, message_id, reason, 'left out', '', 0, 1, ''" SKIP_END,
		[2] = "SELECT folder_path, uid, folder, message_id, reason, kind, internaldate, size, 1, ''" SKIP_END ", kind",
		[3] = "SELECT folder_path, uid, folder, message_id, reason, kind, internaldate, size, messages, uids" SKIP_END ", kind",
	};
	sqlite3_stmt *st;
	int rc = SQLITE_DONE, err = begin(r, words[r->version == 1 ? 1 : r->version < LEDGER_SELECTS ? 2 : 3], &st);

	if (err != LEDGER_OK)
		return err;
	sqlite3_bind_int64(st, 1, mailbox);
	if (folder_path != NULL)
		sqlite3_bind_text(st, 2, folder_path, -1, SQLITE_STATIC);
	while (err == LEDGER_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct ledger_skip s = { .mailbox = mailbox, .folder_path = text(st, 0), .uid = small(st, 1),
			.folder = sqlite3_column_int64(st, 2), .message_id = text(st, 3), .reason = text(st, 4),
			.kind = kind_of(text(st, 5)), .internaldate = text(st, 6), .size = count(st, 7),
			.messages = count(st, 8), .uids = text(st, 9) };

		if (s.kind == SKIP_KIND_N)
			err = unknown(r, "a message was left out in a way");
		else
			fn(arg, &s);
	}
	return end(r, st, rc, err);
}

int ledger_read_sets(struct ledger_reader *r, int64_t folder, ledger_sets_row *fn, void *arg)
{
	sqlite3_stmt *st;
	int rc, err = begin(r, "SELECT source_uids, target_uids FROM batches WHERE folder = ?1 ORDER BY id", &st);

	if (err != LEDGER_OK)
		return err;
	sqlite3_bind_int64(st, 1, folder);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, text(st, 0), text(st, 1));
	return end(r, st, rc, LEDGER_OK);
}
