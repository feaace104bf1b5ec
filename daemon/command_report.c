#include "command.h"

#include "overview.h"
#include "progress.h"
#include "record.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OPT_FORMAT = COMMAND_OPTION_OWN, OPT_MIGRATION, OPT_LEDGER };

/* What can be said of a mailbox: as of its last complete pass, and never better than the truth. */
#define VERDICTS(X)                                                                                                    \
	X(COMPLETE, "complete")                                                                                        \
	X(CHANGED, "complete, with changes") /* nothing is missing, but messages were altered, repaired, or there twice */           \
	X(SELECTED, "complete, as selected")  /* nothing is missing but what the migration's rules do not want */         \
	X(INCOMPLETE, "incomplete")          /* something was left out */                                              \
	X(UNDER_WAY, "under way")            /* a pass is due, or is being made */                                     \
	X(HELD, "waits for a person")                                                                                  \
	X(FAILED, "failed")
enum verdict {
#define X(name, text) VERDICT_##name,
	VERDICTS(X)
#undef X
	VERDICT_N
};
static const char *const verdict_names[] = {
#define X(name, text) text,
	VERDICTS(X)
#undef X
};

struct report;
/* How it is written: a part after the other, in this order; what is NULL is not written. */
struct format {
	const char *name;
	void (*begin)(struct report *r);
	void (*mailbox)(struct report *r);
	void (*folders)(struct report *r); /* they follow */
	void (*folder)(struct report *r, const struct ledger_folder *f, const uint64_t skips[SKIP_KIND_N]);
	void (*items)(struct report *r);   /* the same */
	void (*item)(struct report *r, const struct ledger_skip *s);
	void (*mailbox_end)(struct report *r);
	void (*end)(struct report *r);
};

struct report {
	struct overview o;
	const struct format *format;
	const struct overview_row *row; /* the mailbox */
	enum verdict verdict;           /* of it */
	const char *before;             /* JSON: what separates the next element from what is written */
};

static enum verdict verdict_of(const struct overview_row *row)
{
	switch (row->m.state) {
	case MAILBOX_SYNCED:
	case MAILBOX_DONE:
		if (row->m.skips[SKIP_LEFT_OUT] != 0)
			return VERDICT_INCOMPLETE;
		if (row->m.skips[SKIP_NOT_SELECTED] != 0)
			return VERDICT_SELECTED;
		return row->m.skips[SKIP_ALTERED] + row->m.skips[SKIP_REPAIRED] + row->m.skips[SKIP_ECHO] != 0 ? VERDICT_CHANGED : VERDICT_COMPLETE;
	case MAILBOX_HELD:
		return VERDICT_HELD;
	case MAILBOX_FAILED:
		return VERDICT_FAILED;
	default:
		return VERDICT_UNDER_WAY;
	}
}

/* --- text --- */

static void text_begin(struct report *r)
{
	size_t count[VERDICT_N] = { 0 }, all = 0;
	const char *before = ": ";
	char text[PROGRESS_TEXT];

	for (size_t i = 0; i < r->o.row_n; i++)
		if (r->o.rows[i].chosen) {
			count[verdict_of(&r->o.rows[i])]++;
			all++;
		}
	printf("%s mailbox%s", progress_print_count(text, all), all == 1 ? "" : "es");
	for (int v = 0; v < VERDICT_N; v++) {
		if (count[v] == 0)
			continue;
		printf("%s%s %s", before, progress_print_count(text, count[v]), verdict_names[v]);
		before = "; ";
	}
	putchar('\n');
}

static void text_mailbox(struct report *r)
{
	const struct ledger_mailbox *m = &r->row->m;
	char copied[PROGRESS_TEXT], bytes[PROGRESS_TEXT], adopted[PROGRESS_TEXT], when[TABLE_TIME];

	putchar('\n');
	table_text(stdout, m->name);
	printf(": %s", verdict_names[r->verdict]);
	if (r->verdict > VERDICT_INCOMPLETE) {
		printf(r->verdict == VERDICT_UNDER_WAY ? " (%s)" : "", mailbox_state_name(m->state));
		fputs(m->reason[0] != '\0' ? ": " : "", stdout);
		table_text(stdout, m->reason);
	}
	fputs(r->row->listed ? "" : " (it is in no mailbox list any more)", stdout);
	printf("\n    %s message%s copied (%s), %s adopted\n    last complete pass: %s\n", progress_print_count(copied, m->copied),
		m->copied == 1 ? "" : "s", progress_print_bytes(bytes, m->bytes),
		progress_print_count(adopted, m->adopted), table_time(when, m->last_synced));
}

static void text_folders(struct report *r)
{
	(void)r;
	printf("    %-31s%9s%9s%9s%9s%9s\n", "FOLDER", "COPIED", "ADOPTED", "LEFT OUT", "ALTERED", "REPAIRED");
}

static void text_number(uint64_t n)
{
	char text[PROGRESS_TEXT];

	table_right(stdout, n != 0 ? progress_print_count(text, n) : "-", 9);
}

static void text_folder(struct report *r, const struct ledger_folder *f, const uint64_t skips[SKIP_KIND_N])
{
	(void)r;
	fputs("    ", stdout);
	table_cell(stdout, f->source_path, 31, false);
	text_number(f->copied);
	text_number(f->adopted);
	for (int k = 0; k <= SKIP_REPAIRED; k++) /* there is no room for echoes: they are named below */
		text_number(skips[k]);
	putchar('\n');
	if (strcmp(f->source_path, f->target_path) != 0) {
		fputs("      on the target: ", stdout);
		table_text(stdout, f->target_path);
		putchar('\n');
	}
}

static void text_item(struct report *r, const struct ledger_skip *s)
{
	char uid[PROGRESS_TEXT + 16] = "", size[PROGRESS_TEXT + 2] = "", bytes[PROGRESS_TEXT];
	size_t columns = table_terminal(stdout), width;

	(void)r;
	if (s->uid != 0)
		snprintf(uid, sizeof(uid), ", UID %u", (unsigned)s->uid);
	else if (s->kind == SKIP_NOT_SELECTED)
		snprintf(uid, sizeof(uid), ": %s message%s", progress_print_count(bytes, s->messages), s->messages == 1 ? "" : "s");
	if (s->size != 0)
		snprintf(size, sizeof(size), ", %s", progress_print_bytes(bytes, s->size));
	printf("    %-8s  ", skip_kind_name(s->kind));
	table_text(stdout, s->folder_path);
	fputs(uid, stdout);
	fputs(s->internaldate[0] != '\0' ? ", " : "", stdout);
	table_text(stdout, s->internaldate);
	fputs(size, stdout);
	width = 14 + table_width(s->folder_path) + strlen(uid) + 2 + strlen(s->internaldate) + strlen(size) + 2;
	if (s->message_id[0] != '\0') {
		fputs(columns != 0 && width + table_width(s->message_id) > columns ? "\n              " : ", ", stdout);
		table_text(stdout, s->message_id);
	}
	fputs("\n              ", stdout);
	table_text(stdout, s->reason);
	putchar('\n');
}

/* --- CSV (RFC 4180): one row for each mailbox, folder and message; the first column says which --- */

/* What a stranger has named so that a spreadsheet would take it for a formula stays a text by what is put in front of it. */
static void csv_text(const char *text)
{
	putchar('"');
	if (*text != '\0' && strchr("=+-@\t\r", *text) != NULL)
		putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void csv_number(uint64_t n)
{
	printf(",%llu", (unsigned long long)n);
}

static void csv_begin(struct report *r)
{
	(void)r;
	fputs("row,mailbox,verdict,state,folder,target_folder,uid,message_id,internaldate,size,copied,adopted,left_out,altered,repaired,echoes,"
	      "not_selected,bytes,last_synced,reason\r\n", stdout);
}

static void csv_front(const struct report *r, const char *what)
{
	fputs(what, stdout);
	putchar(',');
	csv_text(r->row->m.name);
	putchar(',');
	csv_text(verdict_names[r->verdict]);
	printf(",%s,", mailbox_state_name(r->row->m.state));
}

static void csv_mailbox(struct report *r)
{
	const struct ledger_mailbox *m = &r->row->m;
	char text[TABLE_TIME];

	csv_front(r, "mailbox");
	fputs(",,,,,", stdout);
	csv_number(m->copied);
	csv_number(m->adopted);
	for (int k = 0; k < SKIP_KIND_N; k++)
		csv_number(m->skips[k]);
	csv_number(m->bytes);
	printf(",%s,", table_iso(text, m->last_synced));
	csv_text(m->reason);
	fputs("\r\n", stdout);
}

static void csv_folder(struct report *r, const struct ledger_folder *f, const uint64_t skips[SKIP_KIND_N])
{
	csv_front(r, "folder");
	csv_text(f->source_path);
	putchar(',');
	csv_text(f->target_path);
	fputs(",,,,", stdout);
	csv_number(f->copied);
	csv_number(f->adopted);
	for (int k = 0; k < SKIP_KIND_N; k++)
		csv_number(skips[k]);
	fputs(",,,\r\n", stdout);
}

static void csv_item(struct report *r, const struct ledger_skip *s)
{
	csv_front(r, skip_kind_name(s->kind));
	csv_text(s->folder_path);
	fputs(",,", stdout);
	if (s->uid != 0)
		printf("%u", (unsigned)s->uid);
	putchar(',');
	csv_text(s->message_id);
	putchar(',');
	csv_text(s->internaldate);
	putchar(',');
	if (s->size != 0)
		printf("%llu", (unsigned long long)s->size);
	fputs(",,,,,,,", stdout);
	if (s->kind == SKIP_NOT_SELECTED)
		printf("%llu", (unsigned long long)s->messages);
	fputs(",,,", stdout);
	csv_text(s->reason);
	fputs("\r\n", stdout);
}

/* --- JSON --- */

static void json_begin(struct report *r)
{
	struct record *j = record_new();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	record_time(j, "time", (int64_t)now.tv_sec * 1000);
	record_flag(j, "running", r->o.owner != 0);
	record_print(&j, stdout, true);
	fputs(",\"mailboxes\":[", stdout);
	r->before = "\n";
}

static void put_counts(struct record *j, uint64_t copied, uint64_t adopted, const uint64_t skips[SKIP_KIND_N])
{
	record_number(j, "copied", copied);
	record_number(j, "adopted", adopted);
	record_number(j, "left_out", skips[SKIP_LEFT_OUT]);
	record_number(j, "altered", skips[SKIP_ALTERED]);
	record_number(j, "repaired", skips[SKIP_REPAIRED]);
	record_number(j, "echoes", skips[SKIP_ECHO]);
	record_number(j, "not_selected", skips[SKIP_NOT_SELECTED]);
}

static void json_mailbox(struct report *r)
{
	struct record *j = record_new();

	record_text(j, "mailbox", r->row->m.name);
	record_text(j, "migration", r->o.migrations[r->row->migration]);
	record_text(j, "verdict", verdict_names[r->verdict]);
	record_text(j, "state", mailbox_state_name(r->row->m.state));
	record_text(j, "reason", r->row->m.reason);
	record_time(j, "last_synced", r->row->m.last_synced);
	record_number(j, "bytes", r->row->m.bytes);
	put_counts(j, r->row->m.copied, r->row->m.adopted, r->row->m.skips);
	record_flag(j, "listed", r->row->listed);
	fputs(r->before, stdout);
	record_print(&j, stdout, true);
}

static void json_folders(struct report *r)
{
	fputs(",\"folders\":[", stdout);
	r->before = "\n ";
}

static void json_folder(struct report *r, const struct ledger_folder *f, const uint64_t skips[SKIP_KIND_N])
{
	struct record *j = record_new();

	record_text(j, "folder", f->source_path);
	record_text(j, "target_folder", f->target_path);
	put_counts(j, f->copied, f->adopted, skips);
	fputs(r->before, stdout);
	record_print(&j, stdout, false);
	r->before = ",\n ";
}

static void json_items(struct report *r)
{
	fputs("],\"items\":[", stdout);
	r->before = "\n ";
}

static void json_item(struct report *r, const struct ledger_skip *s)
{
	struct record *j = record_new();

	record_text(j, "kind", skip_kind_name(s->kind));
	record_text(j, "folder", s->folder_path);
	if (s->kind == SKIP_NOT_SELECTED)
		record_number(j, "messages", s->messages);
	if (s->uid != 0)
		record_number(j, "uid", s->uid);
	else
		record_null(j, "uid");
	record_text_or_null(j, "message_id", s->message_id);
	record_text_or_null(j, "internaldate", s->internaldate);
	if (s->size != 0)
		record_number(j, "size", s->size);
	else
		record_null(j, "size");
	record_text(j, "reason", s->reason);
	fputs(r->before, stdout);
	record_print(&j, stdout, false);
	r->before = ",\n ";
}

static void json_mailbox_end(struct report *r)
{
	fputs("]}", stdout);
	r->before = ",\n";
}

static void json_end(struct report *r)
{
	(void)r;
	fputs("]}\n", stdout);
}

static const struct format formats[] = {
	{ .name = "text", .begin = text_begin, .mailbox = text_mailbox, .folders = text_folders, .folder = text_folder, .item = text_item },
	{ .name = "csv", .begin = csv_begin, .mailbox = csv_mailbox, .folder = csv_folder, .item = csv_item },
	{ .name = "json", .begin = json_begin, .mailbox = json_mailbox, .folders = json_folders, .folder = json_folder,
		.items = json_items, .item = json_item, .mailbox_end = json_mailbox_end, .end = json_end },
};

/* --- one mailbox --- */

struct folder_row {
	struct ledger_folder f;
	char *paths[2];
	uint64_t skips[SKIP_KIND_N];
};

struct skip_row {
	struct ledger_skip s;
	char *texts[4];
};

struct details {
	struct folder_row *folder;
	size_t folder_n;
	struct skip_row *skip;
	size_t skip_n;
};

static char *copy(const char *text)
{
	char *s = strdup(text);

	if (s == NULL)
		abort();
	return s;
}

static void keep_folder(void *arg, const struct ledger_folder *f)
{
	struct details *d = arg;
	struct folder_row *row;

	d->folder = reallocarray(d->folder, d->folder_n + 1, sizeof(*d->folder));
	if (d->folder == NULL)
		abort();
	row = &d->folder[d->folder_n++];
	*row = (struct folder_row){ .f = *f, .paths = { copy(f->source_path), copy(f->target_path) } };
	row->f.source_path = row->paths[0];
	row->f.target_path = row->paths[1];
}

static void count_skip(struct details *d, const struct ledger_skip *s)
{
	for (size_t i = 0; i < d->folder_n; i++)
		if (strcmp(d->folder[i].f.source_path, s->folder_path) == 0) {
			d->folder[i].skips[s->kind] += s->messages;
			break;
		}
}

/* What is not selected is told once for each folder and reason, without its UIDs. */
static bool is_counted(struct details *d, const struct ledger_skip *s)
{
	for (size_t i = d->skip_n; i-- > 0 && s->kind == SKIP_NOT_SELECTED && strcmp(d->skip[i].s.folder_path, s->folder_path) == 0;)
		if (d->skip[i].s.kind == s->kind && strcmp(d->skip[i].s.reason, s->reason) == 0) {
			d->skip[i].s.messages += s->messages;
			return true;
		}
	return false;
}

static void keep_skip(void *arg, const struct ledger_skip *s)
{
	struct details *d = arg;
	struct skip_row *row;

	count_skip(d, s);
	if (is_counted(d, s))
		return;
	d->skip = reallocarray(d->skip, d->skip_n + 1, sizeof(*d->skip));
	if (d->skip == NULL)
		abort();
	row = &d->skip[d->skip_n++];
	*row = (struct skip_row){ .s = *s,
		.texts = { copy(s->folder_path), copy(s->message_id), copy(s->internaldate), copy(s->reason) } };
	row->s.folder_path = row->texts[0];
	row->s.message_id = row->texts[1];
	row->s.internaldate = row->texts[2];
	row->s.reason = row->texts[3];
	if (s->kind == SKIP_NOT_SELECTED)
		row->s.uid = 0;
}

static void details_done(struct details *d)
{
	for (size_t i = 0; i < d->folder_n; i++)
		for (int k = 0; k < 2; k++)
			free(d->folder[i].paths[k]);
	for (size_t i = 0; i < d->skip_n; i++)
		for (int k = 0; k < 4; k++)
			free(d->skip[i].texts[k]);
	free(d->folder);
	free(d->skip);
}

static int print_mailbox(struct report *r)
{
	const struct format *f = r->format;
	int64_t id = r->row->m.id;
	struct details d = { 0 };
	int err = LEDGER_OK;

	if (id != 0)
		err = ledger_read_folders(r->o.reader, id, keep_folder, &d);
	if (err == LEDGER_OK && id != 0)
		err = ledger_read_skips(r->o.reader, id, NULL, keep_skip, &d);
	if (err == LEDGER_OK) {
		f->mailbox(r);
		if (f->folders != NULL && (d.folder_n != 0 || f->items != NULL))
			f->folders(r);
		for (size_t i = 0; i < d.folder_n; i++)
			f->folder(r, &d.folder[i].f, d.folder[i].skips);
		if (f->items != NULL)
			f->items(r);
		for (size_t i = 0; i < d.skip_n; i++)
			f->item(r, &d.skip[i].s);
		if (f->mailbox_end != NULL)
			f->mailbox_end(r);
	}
	details_done(&d);
	return err;
}

/* --- the command --- */

static int take(void *arg, int val, const char *value)
{
	struct report *r = arg;

	switch (val) {
	case OPT_FORMAT:
		for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
			if (strcmp(formats[i].name, value) == 0) {
				r->format = &formats[i];
				return -1;
			}
		return command_usage(&command_report, "there is no format \"%s\": text, csv or json", value);
	case OPT_MIGRATION:
		overview_only(&r->o, value);
		break;
	case OPT_LEDGER:
		r->o.ledger = value;
		break;
	}
	return -1;
}

static int report_run(struct report *r, const char *config, char **patterns, int n)
{
	int rc = overview_open(&r->o, &command_report, config, patterns, n);
	bool bad = false, later = false;

	if (rc != 0)
		return rc;
	r->format->begin(r);
	for (size_t i = 0; i < r->o.row_n; i++) {
		r->row = &r->o.rows[i];
		r->verdict = verdict_of(r->row);
		if (!r->row->chosen)
			continue;
		if (print_mailbox(r) != LEDGER_OK) {
			fprintf(stderr, "%s\n", ledger_reader_error(r->o.reader));
			return EXIT_LEDGER;
		}
		bad = bad || r->verdict == VERDICT_SELECTED || r->verdict == VERDICT_INCOMPLETE || r->verdict == VERDICT_HELD || r->verdict == VERDICT_FAILED;
		later = later || r->verdict == VERDICT_UNDER_WAY;
	}
	if (r->format->end != NULL)
		r->format->end(r);
	return bad ? EXIT_LEFT_OUT : later ? EXIT_LATER : 0;
}

static int report(int argc, char **argv)
{
	static const struct option own[] = {
		{ "format", required_argument, NULL, OPT_FORMAT },
		{ "migration", required_argument, NULL, OPT_MIGRATION },
		{ "ledger", required_argument, NULL, OPT_LEDGER },
		{ 0 },
	};
	struct report state = { .format = &formats[0] };
	struct command_options options;
	int rc = command_read_options(&command_report, argc, argv, &options, own, take, &state);

	if (rc == -1)
		rc = report_run(&state, options.config, argv + optind, argc - optind);
	overview_close(&state.o);
	return rc;
}

const struct verb command_report = {
	.name = "report",
	.arguments = "[MAILBOX...]",
	.summary = "Tells what became of every mailbox, and names each message that was left out.",
	.options = "      --format FORMAT           text, csv or json\n"
		   "      --migration NAME          the mailboxes of this migration; may be repeated\n"
		   "      --ledger FOLDER           look at the ledger there, without a configuration\n",
	.configured = true,
	.run = report,
};
