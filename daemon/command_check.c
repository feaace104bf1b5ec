#include "command.h"

#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define COLUMNS_MAX 400

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
	if (ev->kind != SCHED_ENDED || ev->object == NULL)
		return;
	for (int side = 0; side < SIDES; side++) {
		const struct outcome *o = mailbox_check_result(ev->object, (enum side)side);
		/* Stopped: a side without a failure may be one without a result. */
		if (o->radius != RADIUS_NONE || ev->outcome->radius == RADIUS_NONE || !run_was_stopped(&check->run))
			note(check, ev->mailbox, (enum side)side, o);
	}
}

static size_t columns_of(const char *s)
{
	mbstate_t state = { 0 };
	size_t columns = 0, n;
	for (wchar_t wc; *s != '\0'; s += n) {
		n = mbrtowc(&wc, s, strlen(s), &state);
		if (n == (size_t)-1 || n == (size_t)-2) {
			state = (mbstate_t){ 0 };
			n = 1;
			columns++;
			continue;
		}
		columns += wcwidth(wc) > 0 ? (size_t)wcwidth(wc) : 0;
	}
	return columns;
}

/* A cell of that many columns; what is too long for it goes on beyond when it is the last one or there is no terminal, else it is cut. Control
 * characters in a server's words become '?'. */
static void print_cell(const char *s, size_t columns, bool cut, bool last)
{
	mbstate_t state = { 0 };
	size_t used = 0, n;
	bool too_long = cut && columns_of(s) > columns;
	for (wchar_t wc; *s != '\0'; s += n) {
		n = mbrtowc(&wc, s, strlen(s), &state);
		bool shown = n != (size_t)-1 && n != (size_t)-2 && wcwidth(wc) >= 0;
		size_t w = shown ? (size_t)wcwidth(wc) : 1;
		if (too_long && used + w + 2 > columns)
			break;
		if (shown) {
			fwrite(s, 1, n, stdout);
		} else {
			putchar('?');
			state = (mbstate_t){ 0 };
			n = 1;
		}
		used += w;
	}
	if (too_long) {
		fputs("..", stdout);
		used += 2;
	}
	if (last)
		putchar('\n');
	else
		printf("%*s", (int)(used < columns ? columns - used : 0) + 2, "");
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* 0: no terminal. */
static size_t terminal_columns(void)
{
	struct winsize size;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

static const char *words_of(const struct check *check, uint32_t mailbox, enum side side)
{
	const char *words = check->rows[mailbox].words[side];
	return words != NULL ? words : "not checked";
}

static void print_table(const struct check *check)
{
	static const char *const title[] = { "MAILBOX", "SOURCE", "TARGET" };
	const struct sched *s = check->run.sched;
	size_t width[3] = { strlen(title[0]), strlen(title[1]), strlen(title[2]) };
	for (uint32_t i = 0; i < sched_mailboxes(s); i++) {
		char *name = sched_name(s, i);
		width[0] = larger(width[0], columns_of(name));
		free(name);
		for (int side = 0; side < SIDES; side++)
			width[1 + side] = larger(width[1 + side], columns_of(words_of(check, i, (enum side)side)));
	}
	size_t columns = terminal_columns();
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
	for (int i = 0; i < 3; i++)
		print_cell(title[i], width[i], false, i == 2);
	for (uint32_t i = 0; i < sched_mailboxes(s); i++) {
		char *name = sched_name(s, i);
		print_cell(name, width[0], false, false);
		free(name);
		print_cell(words_of(check, i, SOURCE), width[1], cut, false);
		print_cell(words_of(check, i, TARGET), width[2], cut, true);
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
