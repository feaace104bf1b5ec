#include "command.h"

#include "overview.h"
#include "progress.h"
#include "record.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_MAX_COLUMNS 32

enum { OPT_ALL = COMMAND_OPTION_OWN, OPT_STATE, OPT_MIGRATION, OPT_JSON, OPT_LEDGER };

struct view {
	struct overview o;
	bool all, json, named;
	bool state[MAILBOX_STATE_N]; /* wanted */
	bool by_state;
	bool timed;                  /* somebody who is shown waits for a timer */
	int64_t now;                 /* wall ms */
};

/* "held" or "held,failed". */
static int take_states(struct view *s, const char *value)
{
	while (true) {
		size_t n = strcspn(value, ",");
		int i = 0;

		while (i < MAILBOX_STATE_N && (strlen(mailbox_state_name((enum mailbox_state)i)) != n ||
				memcmp(mailbox_state_name((enum mailbox_state)i), value, n) != 0))
			i++;
		if (i == MAILBOX_STATE_N)
			return command_usage(&command_status,
				"there is no state \"%.*s\": queued, running, parked, held, synced, done or failed", (int)n, value);
		s->state[i] = s->by_state = true;
		if (value[n] == '\0')
			return -1;
		value += n + 1;
	}
}

static int take(void *arg, int val, const char *value)
{
	struct view *s = arg;

	switch (val) {
	case OPT_ALL:
		s->all = true;
		break;
	case OPT_JSON:
		s->json = true;
		break;
	case OPT_STATE:
		return take_states(s, value);
	case OPT_MIGRATION:
		overview_only(&s->o, value);
		break;
	case OPT_LEDGER:
		s->o.ledger = value;
		break;
	}
	return -1;
}

/* What needs a person, unless something else was asked for. */
static bool is_shown(const struct view *s, const struct overview_row *r)
{
	if (!r->chosen)
		return false;
	if (s->by_state)
		return s->state[r->m.state];
	return s->all || s->named || r->m.state == MAILBOX_HELD || r->m.state == MAILBOX_FAILED;
}

static const char *colour_of(enum mailbox_state state)
{
	switch (state) {
	case MAILBOX_FAILED:
		return "\033[31m";
	case MAILBOX_HELD:
		return "\033[35m";
	case MAILBOX_PARKED:
		return "\033[33m";
	case MAILBOX_RUNNING:
		return "\033[32m";
	default:
		return "";
	}
}

/* The summary. */

static const enum mailbox_state order[MAILBOX_STATE_N] = { MAILBOX_QUEUED, MAILBOX_RUNNING, MAILBOX_PARKED, MAILBOX_HELD,
	MAILBOX_FAILED, MAILBOX_SYNCED, MAILBOX_DONE };

static void print_counts(const char *name, size_t width, const struct overview_sum *sum, bool colour)
{
	char text[PROGRESS_TEXT];

	table_cell(stdout, name, width, true);
	table_right(stdout, progress_print_count(text, sum->mailboxes), 10);
	for (int i = 0; i < MAILBOX_STATE_N; i++) {
		enum mailbox_state state = order[i];
		bool tint = colour && sum->state[state] != 0 && colour_of(state)[0] != '\0';

		fputs(tint ? colour_of(state) : "", stdout);
		if (sum->state[state] == 0)
			table_right(stdout, "-", 8);
		else
			table_right(stdout, progress_print_count(text, sum->state[state]), 8);
		fputs(tint ? "\033[0m" : "", stdout);
	}
	putchar('\n');
}

static void print_work(const struct overview_sum *sum)
{
	char copied[PROGRESS_TEXT], bytes[PROGRESS_TEXT], adopted[PROGRESS_TEXT], count[PROGRESS_TEXT];

	printf("%s message%s copied (%s), %s adopted", progress_print_count(copied, sum->copied), sum->copied == 1 ? "" : "s",
		progress_print_bytes(bytes, sum->bytes), progress_print_count(adopted, sum->adopted));
	for (int k = 0; k < SKIP_KIND_N; k++)
		if (sum->skips[k] != 0)
			printf(", %s %s", progress_print_count(count, sum->skips[k]), skip_kind_name((enum skip_kind)k));
	fputs(sum->skips[SKIP_LEFT_OUT] + sum->skips[SKIP_ALTERED] + sum->skips[SKIP_REPAIRED] + sum->skips[SKIP_ECHO] + sum->skips[SKIP_NOT_SELECTED] != 0 ?
			"; \"godwit report\" names them\n" : "\n", stdout);
}

static void print_summary(const struct view *s, bool colour)
{
	struct overview_sum sum = overview_sum(&s->o, SIZE_MAX);
	size_t width = strlen("MIGRATION"), shown = 0;

	for (size_t i = 0; i < s->o.migration_n; i++)
		width = table_width(s->o.migrations[i]) > width ? table_width(s->o.migrations[i]) : width;
	if (width > 14)
		width = 14;
	table_cell(stdout, "MIGRATION", width, false);
	fputs(" MAILBOXES", stdout);
	for (int i = 0; i < MAILBOX_STATE_N; i++) {
		char title[16];
		const char *name = mailbox_state_name(order[i]);
		size_t n = 0;

		for (; name[n] != '\0'; n++)
			title[n] = (char)(name[n] - 32);
		title[n] = '\0';
		table_right(stdout, title, 8);
	}
	putchar('\n');
	for (size_t i = 0; i < s->o.migration_n; i++) {
		struct overview_sum one = overview_sum(&s->o, i);

		if (one.mailboxes == 0)
			continue;
		print_counts(s->o.migrations[i], width, &one, colour);
		shown++;
	}
	if (shown > 1)
		print_counts("together", width, &sum, colour);
	putchar('\n');
	print_work(&sum);
	if (s->o.owner != 0)
		printf("godwit is at work (pid %ld)\n", s->o.owner);
	else
		printf("godwit is not running%s\n", s->o.reader == NULL ? "; there is no ledger yet" : "");
}

/* The mailboxes. */

#define REASON_MAX 160

static const char *reason_of(const struct overview_row *r, char buf[REASON_MAX])
{
	char done[PROGRESS_TEXT], all[PROGRESS_TEXT];

	if (r->m.reason[0] != '\0')
		return r->m.reason;
	if (r->progress.known && r->progress.messages != 0) {
		snprintf(buf, REASON_MAX, "%s of %s messages, %llu of %llu folders", progress_print_count(done, r->progress.messages_done),
			progress_print_count(all, r->progress.messages), (unsigned long long)r->progress.folders_done,
			(unsigned long long)r->progress.folders);
		return buf;
	}
	if (!r->listed)
		return "it is in no mailbox list any more";
	return r->m.id == 0 ? "new" : "";
}

static const char *next_of(const struct view *s, const struct overview_row *r, char buf[TABLE_TIME])
{
	if (r->m.next_attempt == 0)
		return "-";
	return r->m.next_attempt <= s->now ? "now" : table_span(buf, r->m.next_attempt - s->now);
}

static void print_row(const struct view *s, const struct overview_row *r, size_t width, size_t columns, bool colour)
{
	char text[TABLE_TIME], buf[REASON_MAX];
	const char *tint = colour ? colour_of(r->m.state) : "", *reason = reason_of(r, buf);
	size_t used = width + 2 + 7 + 2 + 5 + (s->timed ? 2 + 4 : 0);
	bool cut = columns != 0 && !s->named;

	table_cell(stdout, r->m.name, width, cut);
	printf("  %s", tint);
	table_cell(stdout, mailbox_state_name(r->m.state), 7, false);
	printf("%s  ", tint[0] != '\0' ? "\033[0m" : "");
	table_cell(stdout, r->m.since == 0 ? "-" : table_span(text, s->now - r->m.since), 5, false);
	if (s->timed) {
		fputs("  ", stdout);
		table_cell(stdout, next_of(s, r, text), 4, false);
	}
	if (reason[0] != '\0') {
		fputs("  ", stdout);
		if (cut && used + 2 + table_width(reason) > columns)
			table_cell(stdout, reason, columns > used + 12 ? columns - used - 2 : 10, true);
		else
			table_text(stdout, reason);
	}
	putchar('\n');
}

/* Those that are parked go on by themselves, but a password that is refused does not heal by that. */
static void print_rest(const struct view *s, size_t hidden, size_t failing)
{
	char text[PROGRESS_TEXT];

	if (hidden == 0 || s->by_state)
		return;
	printf("\n%s more", progress_print_count(text, hidden));
	if (failing != 0)
		printf(", %s of them parked because an attempt failed (\"godwit status --state parked\" says why)", progress_print_count(text, failing));
	else
		fputs(", in need of nobody", stdout);
	fputs(": \"godwit status --all\", or --state STATE\n", stdout);
}

static void print_mailboxes(struct view *s, bool colour)
{
	size_t columns = table_terminal(stdout), width = strlen("MAILBOX"), shown = 0, chosen = 0, failing = 0;

	for (size_t i = 0; i < s->o.row_n; i++) {
		chosen += s->o.rows[i].chosen;
		if (!is_shown(s, &s->o.rows[i])) {
			failing += s->o.rows[i].chosen && s->o.rows[i].m.state == MAILBOX_PARKED;
			continue;
		}
		shown++;
		s->timed = s->timed || s->o.rows[i].m.next_attempt != 0;
		width = table_width(s->o.rows[i].m.name) > width ? table_width(s->o.rows[i].m.name) : width;
	}
	if (columns != 0 && !s->named && width > NAME_MAX_COLUMNS + (columns > 80 ? (columns - 80) / 2 : 0))
		width = NAME_MAX_COLUMNS + (columns > 80 ? (columns - 80) / 2 : 0);
	if (shown != 0) {
		fputs(s->named ? "" : "\n", stdout);
		table_cell(stdout, "MAILBOX", width, false);
		printf("  STATE    SINCE  %sREASON\n", s->timed ? "NEXT  " : "");
	}
	for (size_t i = 0; i < s->o.row_n; i++)
		if (is_shown(s, &s->o.rows[i]))
			print_row(s, &s->o.rows[i], width, columns, colour);
	print_rest(s, chosen - shown, failing);
}

/* JSON. */

static void put_skips(struct record *r, const uint64_t skips[SKIP_KIND_N])
{
	record_number(r, "left_out", skips[SKIP_LEFT_OUT]);
	record_number(r, "altered", skips[SKIP_ALTERED]);
	record_number(r, "repaired", skips[SKIP_REPAIRED]);
	record_number(r, "echoes", skips[SKIP_ECHO]);
	record_number(r, "not_selected", skips[SKIP_NOT_SELECTED]);
}

static void print_migration(const struct overview *o, size_t migration)
{
	struct overview_sum sum = overview_sum(o, migration);
	struct record *r = record_new(), *states = record_new();

	record_text(r, "migration", o->migrations[migration]);
	record_number(r, "mailboxes", sum.mailboxes);
	for (int i = 0; i < MAILBOX_STATE_N; i++)
		record_number(states, mailbox_state_name((enum mailbox_state)i), sum.state[i]);
	record_put(r, "states", &states);
	record_number(r, "copied", sum.copied);
	record_number(r, "adopted", sum.adopted);
	record_number(r, "bytes", sum.bytes);
	put_skips(r, sum.skips);
	record_print(&r, stdout, false);
}

static void put_progress(struct record *r, const struct overview_progress *p)
{
	struct record *progress = record_new();

	record_number(progress, "folders", p->folders);
	record_number(progress, "folders_done", p->folders_done);
	record_number(progress, "messages", p->messages);
	record_number(progress, "messages_done", p->messages_done);
	record_number(progress, "bytes", p->bytes);
	record_number(progress, "bytes_done", p->bytes_done);
	record_put(r, "progress", &progress);
}

static void print_mailbox(const struct overview *o, const struct overview_row *row)
{
	struct record *r = record_new();

	record_text(r, "mailbox", row->m.name);
	record_text(r, "migration", o->migrations[row->migration]);
	record_text(r, "state", mailbox_state_name(row->m.state));
	record_text(r, "reason", row->m.reason);
	record_number(r, "attempts", row->m.attempts);
	record_time(r, "next_attempt", row->m.next_attempt);
	record_time(r, "since", row->m.since);
	record_time(r, "last_synced", row->m.last_synced);
	record_number(r, "copied", row->m.copied);
	record_number(r, "adopted", row->m.adopted);
	record_number(r, "bytes", row->m.bytes);
	put_skips(r, row->m.skips);
	record_flag(r, "listed", row->listed);
	record_flag(r, "paused", row->m.paused);
	record_flag(r, "finishing", row->m.finishing);
	if (row->progress.known)
		put_progress(r, &row->progress);
	record_print(&r, stdout, false);
}

/* All that is chosen, unless states are asked for: a program can leave out what it does not want. */
static void print_document(const struct view *s)
{
	struct record *r = record_new();
	const char *before = "";

	record_time(r, "time", s->now);
	if (s->o.owner != 0)
		record_number(r, "pid", (uint64_t)s->o.owner);
	else
		record_null(r, "pid");
	record_print(&r, stdout, true);
	fputs(",\"migrations\":[", stdout);
	for (size_t i = 0; i < s->o.migration_n; i++) {
		fputs(before, stdout);
		print_migration(&s->o, i);
		before = ",\n";
	}
	fputs("],\"mailboxes\":[", stdout);
	before = "\n";
	for (size_t i = 0; i < s->o.row_n; i++) {
		const struct overview_row *row = &s->o.rows[i];

		if (!row->chosen || (s->by_state && !s->state[row->m.state]))
			continue;
		fputs(before, stdout);
		print_mailbox(&s->o, row);
		before = ",\n";
	}
	fputs("]}\n", stdout);
}

static int status_run(struct view *s, const char *config, char **patterns, int n)
{
	struct timespec now;
	int rc = overview_open(&s->o, &command_status, config, patterns, n);

	if (rc != 0)
		return rc;
	overview_ask(&s->o);
	clock_gettime(CLOCK_REALTIME, &now);
	s->now = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	s->named = n > 0;
	if (s->json) {
		print_document(s);
		return 0;
	}
	bool colour = table_has_colour(stdout);
	if (!s->named)
		print_summary(s, colour);
	print_mailboxes(s, colour);
	return 0;
}

static int status(int argc, char **argv)
{
	static const struct option own[] = {
		{ "all", no_argument, NULL, OPT_ALL },
		{ "state", required_argument, NULL, OPT_STATE },
		{ "migration", required_argument, NULL, OPT_MIGRATION },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "ledger", required_argument, NULL, OPT_LEDGER },
		{ 0 },
	};
	struct view state = { 0 };
	struct command_options options;
	int rc = command_read_options(&command_status, argc, argv, &options, own, take, &state);

	if (rc == -1)
		rc = status_run(&state, options.config, argv + optind, argc - optind);
	overview_close(&state.o);
	return rc;
}

const struct verb command_status = {
	.name = "status",
	.arguments = "[MAILBOX...]",
	.summary = "Tells where all mailboxes stand, and which need a person.",
	.options = "      --all                     all mailboxes, not only those that need a person\n"
		   "      --state STATE[,STATE...]  those in these states\n"
		   "      --migration NAME          those of this migration; may be repeated\n"
		   "      --json                    everything, as JSON\n"
		   "      --ledger FOLDER           look at the ledger there, without a configuration\n",
	.configured = true,
	.run = status,
};
