/*
 * ledger_read: looks into a ledger, for commands that report. It writes nothing and takes no lock: a daemon may be at work with the ledger meanwhile
 * (WAL: readers and the writer do not wait for each other).
 *
 * Calls block, on the caller's thread, and give rows to a callback; texts in them live until it returns. Each call sees the ledger at one moment; the next call may see
 * a later one. A ledger of an older version is read as it is.
 */
#ifndef GODWIT_LEDGER_READ_H
#define GODWIT_LEDGER_READ_H

#include "ledger.h"

struct ledger_reader;

/* DIR/ledger.sqlite. LEDGER_OK, LEDGER_ABSENT (there is none), or another error; *failure says what for all but LEDGER_OK. */
int ledger_reader_open(const char *dir, struct ledger_reader **ret, struct ledger_failure *failure);
void ledger_reader_close(struct ledger_reader **r);
/* What went wrong; "" while nothing did. */
const char *ledger_reader_error(const struct ledger_reader *r);

typedef void ledger_mailbox_row(void *arg, const struct ledger_mailbox *row);
typedef void ledger_folder_row(void *arg, const struct ledger_folder *row);
typedef void ledger_skip_row(void *arg, const struct ledger_skip *row);
typedef void ledger_sets_row(void *arg, const char *source_uids, const char *target_uids);

/* All return LEDGER_OK or an error. In the order of their names; `name` NULL: all. */
int ledger_read_mailboxes(struct ledger_reader *r, const char *name, ledger_mailbox_row *fn, void *arg);
/* In the order of their paths. */
int ledger_read_folders(struct ledger_reader *r, int64_t mailbox, ledger_folder_row *fn, void *arg);
/* In the order of folders and UIDs. `folder_path` NULL: all folders. */
int ledger_read_skips(struct ledger_reader *r, int64_t mailbox, const char *folder_path, ledger_skip_row *fn, void *arg);
/* Which source UIDs became which target UIDs, in the notation and order of COPYUID. */
int ledger_read_sets(struct ledger_reader *r, int64_t folder, ledger_sets_row *fn, void *arg);

/* The process that has the ledger in DIR now, 0: none. */
long ledger_owner(const char *dir);

#endif
