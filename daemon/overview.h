/*
 * overview: all mailboxes as the lists and the ledger have them, for the commands that report: those of the lists, in their order, and behind them those that only
 * the ledger knows. Nothing is written; a daemon may be at work meanwhile.
 *
 * What a daemon that runs knows better than its ledger it is asked for on its socket: how far the mailboxes are that it is working on.
 *
 * What the ledger calls running while no godwit is at work was broken off: it is queued.
 */
#ifndef GODWIT_OVERVIEW_H
#define GODWIT_OVERVIEW_H

#include "command.h"
#include "ledger_read.h"
#include "run.h"

/* Of the pass that is being made. */
struct overview_progress {
	bool known;
	uint64_t folders, folders_done, messages, messages_done, bytes, bytes_done; /* as in struct mailbox_progress */
};

struct overview_row {
	struct ledger_mailbox m; /* texts live as long as the overview; id 0: the ledger does not know it */
	struct overview_progress progress;
	uint32_t migration;      /* index */
	bool listed;             /* it is in a mailbox list; always when there are none to look at */
	bool chosen;
};

struct overview_sum {
	uint32_t mailboxes, state[MAILBOX_STATE_N], unlisted;
	uint64_t copied, adopted, bytes, skips[SKIP_KIND_N];
};

struct overview {
	/* By the command, before overview_open(). */
	const char *ledger;           /* folder of the ledger to be looked at, without a configuration; NULL: as configured */

	const char **only;            /* names of migrations, see overview_only() */
	size_t only_n;
	struct run run;               /* configuration and lists */
	struct arena texts;
	const char *state;            /* folder of the ledger */
	struct ledger_reader *reader; /* NULL: there is no ledger yet */
	struct overview_row *rows;
	size_t row_n, row_size;
	uint32_t *by_name;            /* the first by_name_n rows, sorted */
	size_t by_name_n;
	const char **migrations;
	size_t migration_n;
	long owner;                   /* pid of the godwit that is at work with the ledger; 0: none */
};

/* Before overview_open(): only the mailboxes of this migration, and of those named so far. */
void overview_only(struct overview *o, const char *migration);
/* Reads everything. `patterns`: see run_fits(). 0, or an exit code when said on
 * stderr. overview_close() is due in any case; a struct overview begins as zeroes. */
int overview_open(struct overview *o, const struct verb *c, const char *config, char **patterns, int pattern_n);
/* Asks the daemon, if one is at work; where it does not answer, that is said on stderr, and all stays as the ledger has it. */
void overview_ask(struct overview *o);
void overview_close(struct overview *o);
/* Sorts all rows that are there, for overview_find(), which looks among these only. */
void overview_sort(struct overview *o);
struct overview_row *overview_find(const struct overview *o, const char *name);
/* Keeps a copy of the text as long as the overview lives. */
const char *overview_keep(struct overview *o, const char *text);
/* Of what is chosen of the migration; SIZE_MAX: of all together. */
struct overview_sum overview_sum(const struct overview *o, size_t migration);

#endif
