/*
 * overview: all mailboxes as the lists and the ledger have them, for the commands that report: those of the lists, in their order, and behind them those that only
 * the ledger knows. Nothing is written; a daemon may be at work meanwhile.
 *
 * What the ledger calls running while no godwit is at work was broken off: it is queued.
 */
#ifndef GODWIT_OVERVIEW_H
#define GODWIT_OVERVIEW_H

#include "command.h"
#include "ledger_read.h"
#include "run.h"

struct overview_row {
	struct ledger_mailbox m; /* texts live as long as the overview; id 0: the ledger does not know it */
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
	const char **migrations;
	size_t migration_n;
	long owner;                   /* pid of the godwit that is at work with the ledger; 0: none */
};

/* Before overview_open(): only the mailboxes of this migration, and of those named so far. */
void overview_only(struct overview *o, const char *migration);
/* Reads everything. `patterns`: see run_fits(). 0, or an exit code when said on
 * stderr. overview_close() is due in any case; a struct overview begins as zeroes. */
int overview_open(struct overview *o, const struct verb *c, const char *config, char **patterns, int pattern_n);
void overview_close(struct overview *o);
/* Of what is chosen of the migration; SIZE_MAX: of all together. */
struct overview_sum overview_sum(const struct overview *o, size_t migration);

#endif
