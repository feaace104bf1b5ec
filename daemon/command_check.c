#include "command.h"

#include "run.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a side came to; NULL: not known. */
struct row {
	char *words[SIDES];
};

struct check {
	struct run run;
	struct row *rows; /* of each mailbox, in the order of the lists */
	bool refused;
};

static const char ok[] = "ok";

static void note(struct check *check, uint32_t mailbox, enum side side, const struct outcome *o)
{
	char **words = &check->rows[mailbox].words[side];
	free(*words);
	*words = strdup(o->radius == RADIUS_NONE ? ok : o->text);
	if (o->radius != RADIUS_NONE && o->refused)
		check->refused = true;
}

static void on_sched(void *owner, const struct sched_event *ev)
{
	struct check *check = owner;
	if (ev->kind == SCHED_ENDED && ev->refusal != NULL)
		note(check, ev->mailbox, ev->refusal->side, ev->refusal);
	if (ev->kind != SCHED_ENDED || ev->object == NULL)
		return;
	for (int side = 0; side < SIDES; side++) {
		const struct outcome *o = mailbox_check_result(ev->object, (enum side)side);
		/* Stopped: a side without a failure may be one without a result. */
		if (o->radius != RADIUS_NONE || ev->outcome->radius == RADIUS_NONE || !run_was_stopped(&check->run))
			note(check, ev->mailbox, (enum side)side, o);
	}
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static const char *words_of(const struct check *check, uint32_t mailbox, enum side side)
{
	const char *words = check->rows[mailbox].words[side];
	return words != NULL ? words : "not checked";
}

/* Names are whole; a reason that is too long is cut. */
static void print_row(const char *const cell[3], const size_t width[3], bool cut)
{
	for (int i = 0; i < 3; i++) {
		bool cut_this = cut && i > 0 && table_width(cell[i]) > width[i];
		table_cell(stdout, cell[i], i < 2 || cut_this ? width[i] : 0, cut_this);
		fputs(i < 2 ? "  " : "\n", stdout);
	}
}

static void print_table(const struct check *check)
{
	static const char *const title[] = { "MAILBOX", "SOURCE", "TARGET" };
	const struct sched *s = check->run.sched;
	size_t width[3] = { strlen(title[0]), strlen(title[1]), strlen(title[2]) };
	for (uint32_t i = 0; i < sched_mailboxes(s); i++) {
		char *name = sched_name(s, i);
		width[0] = larger(width[0], table_width(name));
		free(name);
		for (int side = 0; side < SIDES; side++)
			width[1 + side] = larger(width[1 + side], table_width(words_of(check, i, (enum side)side)));
	}
	size_t columns = table_terminal(stdout);
	bool cut = columns != 0 && width[0] + width[1] + width[2] + 4 > columns;
	if (cut) {
		/* The reasons share what the names leave; what a short one does not need is the other's. */
		size_t rest = columns > width[0] + 4 + 40 ? columns - width[0] - 4 : 40;
		size_t half = rest / 2;
		if (width[1] <= half)
			width[2] = rest - width[1];
		else if (width[2] <= half)
			width[1] = rest - width[2];
		else
			width[1] = width[2] = half;
	}
	print_row(title, width, false);
	for (uint32_t i = 0; i < sched_mailboxes(s); i++) {
		char *name = sched_name(s, i);
		print_row((const char *[]){ name, words_of(check, i, SOURCE), words_of(check, i, TARGET) }, width, cut);
		free(name);
	}
}

static bool all_ok(const struct check *check)
{
	for (uint32_t i = 0; i < sched_mailboxes(check->run.sched); i++)
		for (int side = 0; side < SIDES; side++)
			if (strcmp(words_of(check, i, (enum side)side), ok) != 0)
				return false;
	return true;
}

static int check_run(struct check *check, const struct command_options *options)
{
	struct run *r = &check->run;
	int rc = run_load(r, options->config);
	if (rc != 0)
		return rc;
	r->mode = SCHED_CHECK;
	r->funnel = on_sched;
	r->owner = check;
	rc = run_open(r);
	if (rc != 0)
		return rc;
	check->rows = calloc((size_t)sched_mailboxes(r->sched) + 1, sizeof(*check->rows));
	if (check->rows == NULL)
		abort();
	rc = run_go(r);
	print_table(check);
	if (rc != 0 || all_ok(check))
		return rc;
	return check->refused ? EXIT_REFUSED : EXIT_LEFT_OUT;
}

static int check(int argc, char **argv)
{
	struct check state = { 0 };
	struct command_options options;
	int rc = command_read_options(&command_check, argc, argv, &options, NULL, NULL, NULL);
	if (rc == -1)
		rc = command_no_arguments(&command_check, argc, argv);
	if (rc == -1)
		rc = check_run(&state, &options);
	if (state.rows != NULL)
		for (uint32_t i = 0; i < sched_mailboxes(state.run.sched); i++)
			for (int side = 0; side < SIDES; side++)
				free(state.rows[i].words[side]);
	free(state.rows);
	run_done(&state.run);
	return rc;
}

const struct verb command_check = {
	.name = "check",
	.arguments = "",
	.summary = "Logs in to both sides of every mailbox and opens INBOX there; writes nothing.",
	.options = "",
	.configured = true,
	.run = check,
};
