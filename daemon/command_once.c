#include "command.h"

#include "log.h"
#include "run.h"

#include <stdio.h>
#include <unistd.h>

enum { OPT_NO_WAIT = COMMAND_OPTION_OWN };

struct once {
	struct run run;
	bool said; /* the settings */
};

/* Cron sends mail when there is output: what the settings are is said only before something else is. */
static void before_line(void *arg)
{
	struct once *once = arg;
	if (once->said)
		return;
	once->said = true;
	run_say_settings(once->run.conf);
}

static int take(void *arg, int val, const char *value)
{
	struct once *once = arg;
	(void)value;
	if (val == OPT_NO_WAIT)
		once->run.no_wait = true;
	return -1;
}

static void print_summary(const struct run *r, uint32_t migration)
{
	const struct sched_counts *c = sched_counts(r->sched, migration);
	const char *sep = " ";
	printf("%s: %u mailbox%s:", sched_migration_name(r->sched, migration), (unsigned)c->mailboxes,
		c->mailboxes == 1 ? "" : "es");
	static const enum mailbox_state order[] = { MAILBOX_SYNCED, MAILBOX_DONE, MAILBOX_QUEUED, MAILBOX_RUNNING,
		MAILBOX_PARKED, MAILBOX_HELD, MAILBOX_FAILED };
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (c->state[order[i]] == 0 && order[i] != MAILBOX_SYNCED)
			continue;
		printf("%s%u %s", sep, (unsigned)c->state[order[i]], mailbox_state_name(order[i]));
		sep = ", ";
	}
	fputs("; ", stdout);
	run_print_work(r, migration);
}

/* That they have no pass is what somebody asked for; that the run is not complete for it must be said. */
static void on_started(void *owner)
{
	const struct once *once = owner;
	unsigned n = (unsigned)run_paused(&once->run);
	if (n > 0)
		log_event(LOG_ORDER, NULL, "%u mailbox%s paused and left alone, until the daemon is told to resume %s", n,
			n == 1 ? " is" : "es are", n == 1 ? "it" : "them");
}

static int once_run(struct once *once, const struct command_options *options)
{
	struct run *r = &once->run;
	int rc = run_load(r, options->config);
	if (rc != 0)
		return rc;
	r->mode = SCHED_ONCE;
	r->state = r->conf->state;
	r->started = on_started;
	r->owner = once;
	log_set_guard(before_line, NULL, once);
	rc = run_open(r);
	if (rc != 0)
		return rc;
	unsigned n = (unsigned)sched_mailboxes(r->sched);
	log_event(LOG_STARTED, NULL, "one pass over %u mailbox%s", n, n == 1 ? "" : "es");
	rc = run_go(r);
	if (rc == 0)
		rc = run_exit_code(r);
	if (rc != 0 || isatty(STDOUT_FILENO) || log_get_level() >= LOG_LEVEL_INFO)
		for (uint32_t i = 0; i < sched_migrations(r->sched); i++)
			print_summary(r, i);
	return rc;
}

static int once(int argc, char **argv)
{
	static const struct option own[] = {
		{ "no-wait", no_argument, NULL, OPT_NO_WAIT },
		{ 0 },
	};
	struct once state = { 0 };
	struct command_options options;
	int rc = command_read_options(&command_once, argc, argv, &options, own, take, &state);
	if (rc == -1)
		rc = command_no_arguments(&command_once, argc, argv);
	if (rc == -1)
		rc = once_run(&state, &options);
	log_set_guard(NULL, NULL, NULL);
	run_done(&state.run);
	return rc;
}

const struct verb command_once = {
	.name = "once",
	.arguments = "",
	.summary = "Makes one pass over all mailboxes configured, and ends.",
	.options = "      --no-wait                 end when only parked mailboxes remain\n",
	.configured = true,
	.run = once,
};
