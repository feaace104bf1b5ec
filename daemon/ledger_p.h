/*
 * ledger_p: what the files of the ledger share. ledger.c has the interface, the queue and the thread; ledger_lock.c the state
 * folder and its lock; ledger_sql.c all that is SQL, ledger_schema.c the tables.
 *
 * A request belongs to one thread at a time: the caller's while it is made, the ledger's while it is worked off, the loop's while
 * it is answered. After ledger_open() the database belongs to the ledger's thread until that is joined.
 */
#ifndef GODWIT_LEDGER_P_H
#define GODWIT_LEDGER_P_H

#include "arena.h"
#include "ledger.h"

struct sqlite3;
struct sqlite3_stmt;

enum request_kind {
	REQUEST_REGISTER,
	REQUEST_SAVE_MAILBOXES,
	REQUEST_LOAD_FOLDERS,
	REQUEST_SAVE_FOLDER,
	REQUEST_ADD_BATCHES,
	REQUEST_LOAD_SETS,
	REQUEST_LOAD_SETS_AFTER,
	REQUEST_SAVE_ECHOES,
	REQUEST_LOAD_KNOWN,
	REQUEST_SAVE_FOLLOW,
	REQUEST_SAVE_TRIED,
	REQUEST_ADD_SKIPS,
	REQUEST_NAME_SKIPS,
	REQUEST_CLEAR_SKIPS
};

struct request {
	struct request *next;
	enum request_kind kind;
	int err;
	uint64_t asked;      /* monotonic us */
	struct arena mem;    /* all rows and texts, asked and answered */
	union {
		ledger_done_fn *done;
		ledger_mailboxes_fn *mailboxes;
		ledger_folders_fn *folders;
		ledger_id_fn *id;
		ledger_sets_fn *sets;
		ledger_known_fn *known;
	} fn;
	void *arg;

	union {
		const char **names;
		struct ledger_mailbox *mailboxes;
		struct ledger_folder *folder;
		struct ledger_batch *batches;
		struct ledger_skip *skips;
		struct ledger_follow *follow;
		struct ledger_tried *tried;
		struct ledger_echoes *echoes;
	} rows;
	size_t n;            /* of rows */
	int64_t id;          /* of the mailbox or folder that is asked for */
	int64_t after;       /* batch */
	const char *path;
	uint32_t source_from, target_from;
	bool forget;

	struct {
		struct ledger_mailbox *mailboxes;
		struct ledger_folder *folders;
		const char **source_uids, **target_uids;
		struct ledger_known *known;
		struct ledger_followed followed;
		int64_t id;
		size_t n, size;
	} answer;
};

/* Aborts when memory is out, as loop_post() does: a record that cannot be kept must not be taken for one that was. */
void *request_alloc(struct request *r, size_t n, size_t size);
const char *request_copy(struct request *r, const char *text);

enum statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
	ST_MAILBOX_NEW, ST_MAILBOX_FIND, ST_MAILBOX_SKIPS, ST_MAILBOX_SAVE, ST_MAILBOX_SAVE_NEW, ST_MAILBOX_COUNT,
	ST_FOLDER_LIST, ST_FOLDER_SAVE, ST_FOLDER_NEW, ST_FOLDER_FORGET, ST_FOLDER_RECOUNT, ST_FOLDER_MOVE,
	ST_FOLDER_ECHOES,
	ST_BATCH_NEW, ST_BATCH_LIST, ST_BATCH_AFTER, ST_BATCH_KNOWN,
	ST_FOLLOW_FORGET, ST_FOLLOW_LOAD, ST_FOLLOW_SAVE, ST_FOLLOW_MARK, ST_FOLLOW_TRIED,
	ST_SKIP_NEW, ST_SKIP_NAME, ST_SKIP_CLEAR,
	ST_N
};

struct ledger_db {
	struct sqlite3 *sql;
	struct sqlite3_stmt *st[ST_N];
	const char *path;               /* borrowed */
	int log_pages;                  /* in the write-ahead log, not yet in the file */
	bool reopened;                  /* what was committed last holds the mark that APPENDs may leave, of a folder that was closed before */
	struct ledger_failure *failure; /* borrowed; where a call that does not return LEDGER_OK leaves what went wrong */
};

#define LEDGER_WAY_OUT "the next run finds what is on the target by itself (godwit(1): When the ledger is lost)"

extern const char ledger_schema[];
#define LEDGER_VERSION 7 /* of the schema */
#define LEDGER_SELECTS 7 /* the first that knows of messages that are not selected */
/* What makes version i + 1 out of version i. */
extern const char *const ledger_upgrades[LEDGER_VERSION];

/* `check`: look the whole file over for damage first. LEDGER_OK, or an error; ledger_db_close() is due in either case. */
int ledger_db_open(struct ledger_db *db, bool check);
void ledger_db_close(struct ledger_db *db);
/* Works off a list of requests in one transaction: all of it is durable, or nothing of it is written. */
int ledger_db_work(struct ledger_db *db, struct request *first);
/* Brings the write-ahead log into the file, as far as no reader is in the way. Nothing depends on its success. */
void ledger_db_checkpoint(struct ledger_db *db);
/* The same at once, and the log is empty afterwards. Waits for no reader: then it is left to a later one. */
void ledger_db_land(struct ledger_db *db);

/* Makes the folder (0700) if need be, takes the lock and makes the file (0600). *fd is the lock's, to be given to ledger_unlock().
 * *unclean: the last one to have it did not come to its ledger_unlock(clean). */
int ledger_lock(const char *dir, const char *path, int *fd, bool *unclean, struct ledger_failure *failure);
void ledger_unlock(int *fd, bool clean);
/* Why the folder of this file cannot be written, or the file not be read: an errno, 0 when it can. */
int ledger_probe_write(const char *path);
int ledger_probe_read(const char *path);
/* Fills *failure and returns err. */
int ledger_fail(struct ledger_failure *failure, enum ledger_err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
