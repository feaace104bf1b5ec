#include "command.h"

#include "log.h"
#include "progress.h"
#include "run.h"
#include "table.h"
#include "unreached.h"
#include "verify_print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHOW_EVERY 200 /* ms */

enum { OPT_DEEP = COMMAND_OPTION_OWN, OPT_IGNORE_FLAGS, OPT_NO_WAIT, OPT_JSON };

/* What is to be printed of a mailbox that is being compared: it waits in a file without a name until that is through, so that mailboxes are not mixed. */
struct report {
	struct report *next;
	char *mailbox;
	struct verify_print print;
};

struct verifying {
	struct run run;
	struct verify_env how;
	bool json;
	struct report *reports;
	struct progress progress;
	struct timer *timer;
	uint32_t equal, different, not_verified;
	bool refused;  /* a credential or certificate */
	bool gone_bad; /* held, or failed otherwise */
	bool *done;    /* of each mailbox */
	int error;     /* errno of the temporary files */
};

/* Gathering. */

static struct report *report_of(struct verifying *v, const char *mailbox)
{
	struct report *r = v->reports;

	while (r != NULL && strcmp(r->mailbox, mailbox) != 0)
		r = r->next;
	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r));
	if (r == NULL || (r->mailbox = strdup(mailbox)) == NULL)
		abort();
	r->print.json = v->json;
	r->print.columns = table_terminal(stdout);
	r->print.out = tmpfile();
	if (r->print.out == NULL && v->error == 0)
		v->error = errno;
	r->next = v->reports;
	v->reports = r;
	return r;
}

static void report_free(struct verifying *v, struct report *r)
{
	struct report **at = &v->reports;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (r->print.out != NULL)
		fclose(r->print.out);
	free(r->mailbox);
	free(r);
}

static void on_verify(void *arg, const struct verify_event *ev)
{
	struct verifying *v = arg;
	struct report *r = report_of(v, ev->mailbox);

	if (r->print.out != NULL)
		verify_print(&r->print, ev);
}

/* Printing. */

static void copy_out(struct verifying *v, FILE *from)
{
	char buf[16384];
	size_t n;

	if (from == NULL)
		return;
	if (fflush(from) != 0 && v->error == 0)
		v->error = errno;
	rewind(from);
	while ((n = fread(buf, 1, sizeof(buf), from)) != 0)
		fwrite(buf, 1, n, stdout);
	if (ferror(from) && v->error == 0)
		v->error = errno != 0 ? errno : EIO;
}

static void begin_mailbox(struct verifying *v)
{
	progress_hide(&v->progress);
	if (v->json)
		fputs(v->equal + v->different + v->not_verified == 0 ? "\n" : ",\n", stdout);
}

static void print_compared(struct verifying *v, const char *name, const struct verify_counts *c)
{
	bool different = verify_is_different(c);
	struct report *r = report_of(v, name);
	struct record *j;

	begin_mailbox(v);
	if (v->json) {
		j = record_new();
		record_text(j, "mailbox", name);
		record_text(j, "verdict", different ? "different" : "equal");
		record_number(j, "folders_missing", c->folders_missing);
		record_number(j, "folders_extra", c->folders_extra);
		verify_record_counts(j, c);
		record_print(&j, stdout, true);
		fputs(",\"folders\":[", stdout);
		copy_out(v, r->print.out);
		fputs("]}", stdout);
	} else {
		table_text(stdout, name);
		fputs(different ? ": different: " : ": equal: ", stdout);
		verify_print_counts(stdout, c);
		putchar('\n');
		copy_out(v, r->print.out);
	}
	fflush(stdout);
	if (different)
		v->different++;
	else
		v->equal++;
	report_free(v, r);
}

static void print_not_verified(struct verifying *v, uint32_t mailbox)
{
	begin_mailbox(v);
	unreached_print(v->run.sched, mailbox, "not verified", v->json);
	v->not_verified++;
}

static void print_rest(struct verifying *v)
{
	uint32_t all = sched_mailboxes(v->run.sched);

	for (uint32_t i = 0; i < all; i++)
		if (!v->done[i])
			print_not_verified(v, i);
	if (v->json)
		fputs("]}\n", stdout);
	else if (all > 1)
		printf("%u mailboxes: %u equal, %u different, %u not verified\n", (unsigned)all, (unsigned)v->equal,
			(unsigned)v->different, (unsigned)v->not_verified);
}

/* Events. */

static void on_sched(void *owner, const struct sched_event *ev)
{
	struct verifying *v = owner;
	char *name;

	if (ev->kind != SCHED_ENDED)
		return;
	name = sched_name(v->run.sched, ev->mailbox);
	if (ev->outcome != NULL && ev->outcome->radius == RADIUS_NONE) {
		v->done[ev->mailbox] = true;
		print_compared(v, name, mailbox_verify_counts(ev->object));
	} else {
		enum mailbox_state state = sched_state(v->run.sched, ev->mailbox);

		/* The next attempt begins anew. */
		report_free(v, report_of(v, name));
		if (state == MAILBOX_FAILED || state == MAILBOX_HELD) {
			if (ev->outcome != NULL && ev->outcome->refused)
				v->refused = true;
			else
				v->gone_bad = true;
		}
	}
	free(name);
}

static void on_timer(void *arg)
{
	struct verifying *v = arg;
	const struct sched *s = v->run.sched;
	uint64_t done = 0, all = 0;
	char text[128], a[PROGRESS_TEXT], b[PROGRESS_TEXT];

	for (uint32_t i = 0; i < sched_mailboxes(s); i++) {
		const struct mailbox_progress *p = sched_progress(s, i);

		done += p != NULL ? p->messages_done : 0;
		all += p != NULL ? p->messages : 0;
	}
	snprintf(text, sizeof(text), "%u of %u mailbox%s compared; under way: %s of %s messages", (unsigned)(v->equal + v->different),
		(unsigned)sched_mailboxes(s), sched_mailboxes(s) == 1 ? "" : "es", progress_print_count(a, done < all ? done : all),
		progress_print_count(b, all));
	progress_wait(&v->progress, text);
	timer_set(v->timer, SHOW_EVERY);
}

static void before_line(void *arg)
{
	struct verifying *v = arg;

	progress_hide(&v->progress);
}

/* The command. */

static int take(void *arg, int val, const char *value)
{
	struct verifying *v = arg;

	(void)value;
	switch (val) {
	case OPT_DEEP:
		v->how.deep = true;
		break;
	case OPT_IGNORE_FLAGS:
		v->how.ignore_flags = true;
		break;
	case OPT_NO_WAIT:
		v->run.no_wait = true;
		break;
	case OPT_JSON:
		v->json = true;
		break;
	}
	return -1;
}

/* What the ledger knows is of use, but is not needed. */
static void open_ledger(struct verifying *v)
{
	struct ledger_failure failure;

	if (ledger_reader_open(v->run.conf->state, &v->how.ledger, &failure) == LEDGER_OK)
		return;
	if (failure.err != LEDGER_ABSENT)
		log_event(LOG_CONFIG_WARNING, NULL, "%s; what it knows is not told", failure.text);
}

static void begin_document(const struct verifying *v)
{
	struct record *j = record_new();

	record_time(j, "time", (int64_t)time(NULL) * 1000);
	record_flag(j, "deep", v->how.deep);
	record_print(&j, stdout, true);
	fputs(",\"mailboxes\":[", stdout);
}

static int exit_code(const struct verifying *v)
{
	if (v->error != 0) {
		fprintf(stderr, "godwit verify: a temporary file cannot be used: %s\n", strerror(v->error));
		return EXIT_LEDGER;
	}
	if (v->different != 0)
		return EXIT_LEFT_OUT;
	if (v->refused)
		return EXIT_REFUSED;
	if (v->gone_bad)
		return EXIT_LEFT_OUT;
	return v->not_verified != 0 ? EXIT_LATER : 0;
}

static int verify_run(struct verifying *v, const char *config, char **patterns, int n)
{
	struct run *r = &v->run;
	int rc = run_load(r, config);

	if (rc != 0)
		return rc;
	r->mode = SCHED_VERIFY;
	r->patterns = patterns;
	r->pattern_n = n;
	r->funnel = on_sched;
	r->owner = v;
	rc = run_open(r);
	if (rc != 0)
		return rc;
	v->how.tell = on_verify;
	v->how.arg = v;
	open_ledger(v);
	r->env.look = JOB_VERIFY;
	r->env.verify = &v->how;
	v->done = calloc((size_t)sched_mailboxes(r->sched) + 1, sizeof(*v->done));
	v->timer = timer_new(r->loop, on_timer, v);
	if (v->done == NULL || v->timer == NULL)
		abort();
	progress_init(&v->progress, STDERR_FILENO);
	log_set_guard(before_line, NULL, v);
	if (v->progress.terminal)
		timer_set(v->timer, SHOW_EVERY);
	if (v->json)
		begin_document(v);
	rc = run_go(r);
	progress_hide(&v->progress);
	print_rest(v);
	return rc != 0 ? rc : exit_code(v);
}

static int verify(int argc, char **argv)
{
	static const struct option own[] = {
		{ "deep", no_argument, NULL, OPT_DEEP },
		{ "ignore-flags", no_argument, NULL, OPT_IGNORE_FLAGS },
		{ "no-wait", no_argument, NULL, OPT_NO_WAIT },
		{ "json", no_argument, NULL, OPT_JSON },
		{ 0 },
	};
	struct verifying state = { 0 };
	struct command_options options;
	int rc = command_read_options(&command_verify, argc, argv, &options, own, take, &state);

	if (rc == -1)
		rc = verify_run(&state, options.config, argv + optind, argc - optind);
	log_set_guard(NULL, NULL, NULL);
	timer_free(&state.timer);
	run_done(&state.run);
	while (state.reports != NULL)
		report_free(&state, state.reports);
	ledger_reader_close(&state.how.ledger);
	free(state.done);
	return rc;
}

const struct verb command_verify = {
	.name = "verify",
	.arguments = "[MAILBOX...]",
	.summary = "Compares both sides, from the servers, and names each message that differs; writes nothing.",
	.options = "      --deep                    fetch all messages and compare their bytes\n"
		   "      --ignore-flags            do not compare flags and keywords\n"
		   "      --no-wait                 end when only parked mailboxes remain\n"
		   "      --json                    as JSON\n",
	.configured = true,
	.run = verify,
};
