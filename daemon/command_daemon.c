#include "command.h"

#include "control_actions.h"
#include "log.h"
#include "notify.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>

#define STATUS_EVERY 5000 /* ms */
#define METERS_EVERY 12   /* of the above */

struct service {
	struct run run;
	struct timer *status;
	struct actions *actions;
	struct control *control;
	unsigned ticks;
};

static void tell_status(void *arg)
{
	struct service *d = arg;
	const struct run *r = &d->run;
	if (++d->ticks % METERS_EVERY == 0)
		run_say_meters(r);
	notify_status("%u mailboxes: %u running, %u queued, %u synced, %u parked, %u held, %u failed",
		(unsigned)sched_mailboxes(r->sched), (unsigned)run_count(r, MAILBOX_RUNNING),
		(unsigned)run_count(r, MAILBOX_QUEUED), (unsigned)run_count(r, MAILBOX_SYNCED),
		(unsigned)run_count(r, MAILBOX_PARKED), (unsigned)run_count(r, MAILBOX_HELD),
		(unsigned)run_count(r, MAILBOX_FAILED));
	timer_set(d->status, STATUS_EVERY);
}

static void on_started(void *owner)
{
	struct service *d = owner;
	unsigned mailboxes = (unsigned)sched_mailboxes(d->run.sched), migrations = (unsigned)sched_migrations(d->run.sched);
	/* After an earlier run nothing may be due for an hour: silence would look like a fault. */
	log_event(LOG_STARTED, NULL, "%u mailbox%s in %u migration%s, %u of them synced and waiting for the next pass", mailboxes,
		mailboxes == 1 ? "" : "es", migrations, migrations == 1 ? "" : "s", (unsigned)run_count(&d->run, MAILBOX_SYNCED));
	notify_ready();
	tell_status(d);
}

static void on_stopping(void *owner)
{
	(void)owner;
	notify_stopping();
}

static void on_sched(void *owner, const struct sched_event *ev)
{
	const struct service *d = owner;
	actions_on_sched(d->actions, ev);
}

static int open_control(struct service *d)
{
	struct run *r = &d->run;
	struct control_failure failure;
	d->actions = actions_new(r->loop, r->sched);
	int err = control_open(r->loop, r->conf->control, actions_on_request, d->actions, &d->control, &failure);
	if (err == CONTROL_OK)
		return 0;
	log_event(LOG_CONTROL, NULL, "%s", failure.text);
	return err == CONTROL_BUSY ? EXIT_LATER : EXIT_CONFIGURATION;
}

static int service_run(struct service *d, const struct command_options *options)
{
	struct run *r = &d->run;
	int rc = run_load(r, options->config);
	if (rc != 0)
		return rc;
	run_say_settings(r->conf);
	r->mode = SCHED_DAEMON;
	r->state = r->conf->state;
	r->started = on_started;
	r->stopping = on_stopping;
	r->funnel = on_sched;
	r->owner = d;
	rc = run_open(r);
	if (rc == 0)
		rc = open_control(d);
	if (rc != 0)
		return rc;
	d->status = timer_new(r->loop, tell_status, d);
	if (d->status == NULL)
		abort();
	rc = run_go(r);
	log_event(LOG_STOPPED, NULL, "stopped");
	return rc;
}

static int service(int argc, char **argv)
{
	struct service d = { 0 };
	struct command_options options;
	int rc = command_read_options(&command_daemon, argc, argv, &options, NULL, NULL, NULL);
	if (rc == -1)
		rc = command_no_arguments(&command_daemon, argc, argv);
	if (rc != -1)
		return rc;
	if (!options.level_set)
		log_set_level(LOG_LEVEL_INFO);
	/* The journal has its own clock. */
	log_set_timestamps(getenv("JOURNAL_STREAM") == NULL);
	rc = service_run(&d, &options);
	timer_free(&d.status);
	control_close(&d.control);
	actions_free(&d.actions);
	run_done(&d.run);
	return rc;
}

const struct verb command_daemon = {
	.name = "daemon",
	.arguments = "",
	.summary = "Makes passes over all mailboxes configured until it is stopped; runs in the foreground.",
	.options = "",
	.configured = true,
	.run = service,
};
