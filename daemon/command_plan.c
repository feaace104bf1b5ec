#include "command.h"

#include "log.h"
#include "plan_print.h"
#include "progress.h"
#include "record.h"
#include "run.h"
#include "unreached.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHOW_EVERY 200 /* ms */

enum { OPT_SCAN = COMMAND_OPTION_OWN, OPT_NO_WAIT, OPT_JSON };

struct planning {
	struct run run;
	struct plan_env how;
	bool json;
	struct progress progress;
	struct timer *timer;
	uint32_t planned, brief, not_planned; /* brief: of them, something would not be on the target */
	bool refused;  /* a credential or certificate */
	bool gone_bad; /* held, or failed otherwise */
	bool *done;    /* of each mailbox */
};

static void begin_mailbox(struct planning *p)
{
	progress_hide(&p->progress);
	if (p->json)
		fputs(p->planned + p->not_planned == 0 ? "\n" : ",\n", stdout);
}

static void print_planned(struct planning *p, const char *name, const struct plan_result *r)
{
	begin_mailbox(p);
	if (p->json)
		plan_print_json(stdout, name, r);
	else
		plan_print_text(stdout, name, r);
	fflush(stdout);
	p->planned++;
	p->brief += plan_is_short(r);
}

static void print_not_planned(struct planning *p, uint32_t mailbox)
{
	begin_mailbox(p);
	unreached_print(p->run.sched, mailbox, "not known", p->json);
	p->not_planned++;
}

static void print_rest(struct planning *p)
{
	uint32_t all = sched_mailboxes(p->run.sched);

	for (uint32_t i = 0; i < all; i++)
		if (!p->done[i])
			print_not_planned(p, i);
	if (p->json)
		fputs("]}\n", stdout);
	else if (all > 1)
		printf("%u mailboxes: %u would be complete, %u not, %u not known\n", (unsigned)all, (unsigned)(p->planned - p->brief),
			(unsigned)p->brief, (unsigned)p->not_planned);
}

static void on_sched(void *owner, const struct sched_event *ev)
{
	struct planning *p = owner;
	enum mailbox_state state;
	char *name;

	if (ev->kind != SCHED_ENDED)
		return;
	if (ev->outcome != NULL && ev->outcome->radius == RADIUS_NONE) {
		name = sched_name(p->run.sched, ev->mailbox);
		p->done[ev->mailbox] = true;
		print_planned(p, name, mailbox_plan_result(ev->object));
		free(name);
		return;
	}
	state = sched_state(p->run.sched, ev->mailbox);
	if (state != MAILBOX_FAILED && state != MAILBOX_HELD)
		return;
	if (ev->outcome != NULL && ev->outcome->refused)
		p->refused = true;
	else
		p->gone_bad = true;
}

static void on_timer(void *arg)
{
	struct planning *p = arg;
	char text[128];

	snprintf(text, sizeof(text), "%u of %u mailbox%s looked at", (unsigned)p->planned, (unsigned)sched_mailboxes(p->run.sched),
		sched_mailboxes(p->run.sched) == 1 ? "" : "es");
	progress_wait(&p->progress, text);
	timer_set(p->timer, SHOW_EVERY);
}

static void before_line(void *arg)
{
	progress_hide(&((struct planning *)arg)->progress);
}

static int take(void *arg, int val, const char *value)
{
	struct planning *p = arg;

	(void)value;
	switch (val) {
	case OPT_SCAN:
		p->how.scan = true;
		break;
	case OPT_NO_WAIT:
		p->run.no_wait = true;
		break;
	case OPT_JSON:
		p->json = true;
		break;
	}
	return -1;
}

/* What was brought before says where folders go on to; it is not needed. */
static void open_ledger(struct planning *p)
{
	struct ledger_failure failure;

	if (ledger_reader_open(p->run.conf->state, &p->how.ledger, &failure) != LEDGER_OK && failure.err != LEDGER_ABSENT)
		log_event(LOG_CONFIG_WARNING, NULL, "%s; what was brought before is not known", failure.text);
}

static void begin_document(void)
{
	struct record *j = record_new();

	record_time(j, "time", (int64_t)time(NULL) * 1000);
	record_print(&j, stdout, true);
	fputs(",\"mailboxes\":[", stdout);
}

static int exit_code(const struct planning *p)
{
	if (p->brief != 0)
		return EXIT_LEFT_OUT;
	if (p->refused)
		return EXIT_REFUSED;
	if (p->gone_bad)
		return EXIT_LEFT_OUT;
	return p->not_planned != 0 ? EXIT_LATER : 0;
}

static int plan_run(struct planning *p, const char *config, char **patterns, int n)
{
	struct run *r = &p->run;
	int rc = run_load(r, config);

	if (rc != 0)
		return rc;
	r->mode = SCHED_VERIFY;
	r->patterns = patterns;
	r->pattern_n = n;
	r->funnel = on_sched;
	r->owner = p;
	rc = run_open(r);
	if (rc != 0)
		return rc;
	open_ledger(p);
	r->env.look = JOB_PLAN;
	r->env.plan = &p->how;
	p->done = calloc((size_t)sched_mailboxes(r->sched) + 1, sizeof(*p->done));
	p->timer = timer_new(r->loop, on_timer, p);
	if (p->done == NULL || p->timer == NULL)
		abort();
	progress_init(&p->progress, STDERR_FILENO);
	log_set_guard(before_line, NULL, p);
	if (p->progress.terminal)
		timer_set(p->timer, SHOW_EVERY);
	if (p->json)
		begin_document();
	rc = run_go(r);
	progress_hide(&p->progress);
	print_rest(p);
	return rc != 0 ? rc : exit_code(p);
}

static int plan(int argc, char **argv)
{
	static const struct option own[] = {
		{ "scan", no_argument, NULL, OPT_SCAN },
		{ "no-wait", no_argument, NULL, OPT_NO_WAIT },
		{ "json", no_argument, NULL, OPT_JSON },
		{ 0 },
	};
	struct planning state = { 0 };
	struct command_options options;
	int rc = command_read_options(&command_plan, argc, argv, &options, own, take, &state);

	if (rc == -1)
		rc = plan_run(&state, options.config, argv + optind, argc - optind);
	log_set_guard(NULL, NULL, NULL);
	timer_free(&state.timer);
	run_done(&state.run);
	ledger_reader_close(&state.how.ledger);
	free(state.done);
	return rc;
}

const struct verb command_plan = {
	.name = "plan",
	.arguments = "[MAILBOX...]",
	.summary = "Says of each folder where it would go, and what would not; writes nothing.",
	.options = "      --scan                    ask the source for the size of each message\n"
		   "      --no-wait                 end when only parked mailboxes remain\n"
		   "      --json                    as JSON\n",
	.configured = true,
	.run = plan,
};
