/*
 * run: what the commands that work with mailboxes share: configuration and lists, the loop, the dialer, the ledger, the sched, signals.
 *
 *   run_load (or fill in conf) -> run_open -> [run_add] -> run_go -> counts and exit code -> run_done
 *
 * Nothing is touched before run_open(). run_done() is due in any case; a struct run begins as zeroes.
 */
#ifndef GODWIT_RUN_H
#define GODWIT_RUN_H

#include "conf.h"
#include "folder_rules.h"
#include "mailboxes.h"
#include "password.h"
#include "sched.h"

/* Exit codes (sysexits where there is one). */
enum {
	EXIT_LEFT_OUT = 1,     /* something failed or was left out */
	EXIT_USAGE = 64,
	EXIT_LIST = 65,
	EXIT_LEDGER = 74,      /* the ledger cannot be written */
	EXIT_LATER = 75,       /* mailboxes remain that a later run will retry */
	EXIT_REFUSED = 77,     /* a credential or certificate was refused */
	EXIT_CONFIGURATION = 78
};

struct run {
	/* By the command, before run_open(). */
	enum sched_mode mode;
	bool no_wait;               /* SCHED_ONCE: parked ones are not waited for */
	uint32_t login_retries;     /* 0: as configured */
	const char *state;          /* folder of the ledger; NULL: none (SCHED_CHECK, SCHED_VERIFY) */
	char **patterns;            /* only mailboxes whose names fit one of them, see run_fits() */
	int pattern_n;
	void (*started)(void *owner);  /* the first mailboxes are about to start; may be NULL */
	void (*stopping)(void *owner); /* a signal came; may be NULL */
	sched_funnel *funnel;       /* behind the run's own; may be NULL */
	void *owner;

	struct conf *conf;          /* borrowed when conf_loaded is NULL */
	struct conf *conf_loaded;
	struct folder_rules **rules; /* of each migration; NULL: no file was loaded */
	struct mailbox_list *lists; /* of each migration */
	size_t list_n;
	struct endpoint *endpoints; /* of each server */
	bool *any_keyword;          /* the same */
	uint64_t connections_most;  /* to one server: what the limit of open files leaves, whatever its max_connections */
	char (*admin_passwords)[PASSWORD_SIZE]; /* of each server; NULL: no list was loaded */

	struct loop *loop;
	struct dialer *dialer;
	struct pool *pool;
	struct gauge *gauge;
	struct ledger *ledger;
	struct mailbox_env env;
	struct sched *sched;
	struct timer *timer;
	struct timer *log_timer;    /* while lines of the log wait for their reader */
	struct loop_signal *signals[2];

	bool sched_started, finishing, broken;
	unsigned stops;             /* signals to stop */
	uint64_t begun, took;       /* ms */
	uint64_t *left_out;         /* of each migration, as the ledger has it at the end */
};

/* Reads and checks the file and all lists. 0, or 65, 78 when said on stderr. */
int run_load(struct run *r, const char *file);
/* Makes everything but connections; adds servers, migrations, and the mailboxes of the lists. 0, or an exit code when said on stderr. */
int run_open(struct run *r);
/* Until all is done or a signal stops it. 0, or 74 when said on stderr. */
int run_go(struct run *r);
/* How loop and ledger keep up, at debug level; run_go() says it at its end. */
void run_say_meters(const struct run *r);
void run_done(struct run *r);

/* True when one of the patterns, names or such with "*" and the like (fnmatch), fits the name; `met`, of as many, marks those. No pattern fits everything. */
bool run_fits(const char *name, char *const *patterns, int n, bool *met);

/* Was it ended by a signal? */
bool run_was_stopped(const struct run *r);
/* Of all migrations, together. */
uint32_t run_count(const struct run *r, enum mailbox_state state);
/* Held by the operator. */
uint32_t run_paused(const struct run *r);
/* Messages and folders that are left out, by this run or an earlier one. */
uint64_t run_left_out(const struct run *r, uint32_t migration);
/* "1,234 messages copied (56.7 MB), 3 adopted, 0 left out; 1 m 12 s" and the end of the line, on stdout. */
void run_print_work(const struct run *r, uint32_t migration);
/* 0, 1 or 75, from what the mailboxes have come to. */
int run_exit_code(const struct run *r);
/* A log line for each setting that has not its default value. */
void run_say_settings(const struct conf *conf);

#endif
