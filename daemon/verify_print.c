#include "verify_print.h"

#include "progress.h"
#include "table.h"

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static const struct {
	unsigned bit;
	const char *name;
} attributes[] = {
	{ COMPARE_FLAGS, "flags" },
	{ COMPARE_DATE, "internaldate" },
	{ COMPARE_SIZE, "size" },
	{ COMPARE_BYTES, "bytes" },
	{ COMPARE_HEADER, "header" },
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

bool verify_is_different(const struct verify_counts *c)
{
	uint64_t n = c->folders_missing;

	for (int k = 0; k < VERIFY_KIND_N; k++)
		if (k != VERIFY_EXTRA)
			n += c->kind[k];
	return n != 0;
}

/* Text. */

/* "1,234 / 1,240 bytes" */
static void print_sizes(FILE *out, const struct verify_item *i)
{
	char text[PROGRESS_TEXT];

	fprintf(out, "%s / ", progress_print_count(text, i->size[SOURCE]));
	fprintf(out, "%s bytes", progress_print_count(text, i->size[TARGET]));
}

static void print_difference(FILE *out, const struct verify_item *i, unsigned bit)
{
	switch (bit) {
	case COMPARE_FLAGS:
		fputs("flags (", out);
		table_text(out, i->flags[SOURCE]);
		fputs(") / (", out);
		table_text(out, i->flags[TARGET]);
		fputs(")", out);
		break;
	case COMPARE_DATE:
		fputs("INTERNALDATE ", out);
		table_text(out, i->date[SOURCE]);
		fputs(" / ", out);
		table_text(out, i->date[TARGET]);
		break;
	case COMPARE_SIZE:
		if ((i->what & COMPARE_BYTES) != 0)
			break;
		fputs("announced size ", out);
		print_sizes(out, i);
		fputs(", --deep tells more", out);
		break;
	case COMPARE_BYTES:
		fputs("its bytes differ, ", out);
		print_sizes(out, i);
		break;
	default:
		fputs("Message-ID or Date differ", out);
		break;
	}
}

static void next_line(FILE *out)
{
	fputs("\n                  ", out);
}

/* "source / target", what it is about on each side. */
static void print_differences(FILE *out, const struct verify_item *i)
{
	for (size_t k = 0; k < ATTRIBUTES; k++) {
		if ((i->what & attributes[k].bit) == 0 || (attributes[k].bit == COMPARE_SIZE && (i->what & COMPARE_BYTES) != 0))
			continue;
		next_line(out);
		print_difference(out, i, attributes[k].bit);
	}
}

/* "UID 17 / 12, 01-Feb-2020 03:04:05 +0000, 12.3 kB" */
static int print_numbers(char *buf, size_t size, const struct verify_item *i)
{
	enum side side = i->uid[SOURCE] != 0 ? SOURCE : TARGET;
	char uid[32] = "", bytes[PROGRESS_TEXT];

	if (i->uid[SOURCE] != 0 && i->uid[TARGET] != 0)
		snprintf(uid, sizeof(uid), "UID %u / %u", (unsigned)i->uid[SOURCE], (unsigned)i->uid[TARGET]);
	else if (i->uid[side] != 0)
		snprintf(uid, sizeof(uid), "UID %u", (unsigned)i->uid[side]);
	return snprintf(buf, size, "%s%s%s%s%s%s%s", i->kind == VERIFY_UNREADABLE ? side_name(i->side) : "",
		i->kind == VERIFY_UNREADABLE && uid[0] != '\0' ? ", " : "", uid, i->date[side][0] != '\0' ? ", " : "", i->date[side],
		i->size[side] != 0 ? ", " : "", i->size[side] != 0 ? progress_print_bytes(bytes, i->size[side]) : "");
}

static void print_item(const struct verify_print *p, const struct verify_item *i)
{
	const char *ours = i->kind != VERIFY_EXTRA && i->kind != VERIFY_TWICE ? "" :
		i->ours == OURS_YES ? "; ours" : i->ours == OURS_NO ? "; not ours" : "";
	char numbers[128];
	size_t width = 18 + strlen(ours);

	fprintf(p->out, "    %-12s  ", verify_kind_name(i->kind));
	width += (size_t)print_numbers(numbers, sizeof(numbers), i);
	table_text(p->out, numbers);
	if (i->message_id[0] != '\0') {
		if (p->columns != 0 && width + 2 + table_width(i->message_id) > p->columns)
			next_line(p->out);
		else
			fputs(", ", p->out);
		table_text(p->out, i->message_id);
	}
	fputs(ours, p->out);
	print_differences(p->out, i);
	if (i->reason[0] != '\0') {
		next_line(p->out);
		table_text(p->out, i->reason);
	}
	putc('\n', p->out);
}

static void begin_text(struct verify_print *p, const struct verify_folder *f)
{
	if (p->item)
		return;
	p->item = true;
	fputs("  ", p->out);
	table_text(p->out, f->source_path[0] != '\0' ? f->source_path : f->target_path);
	if (f->source_path[0] != '\0' && strcmp(f->source_path, f->target_path) != 0) {
		fputs(" (on the target: ", p->out);
		table_text(p->out, f->target_path);
		putc(')', p->out);
	}
	fputs(f->absent ? ": the target does not have this folder\n" : f->source_path[0] == '\0' ? ": only on the target" : "\n", p->out);
}

static void print_text(struct verify_print *p, const struct verify_event *ev)
{
	const struct verify_folder *f = ev->folder;
	const struct verify_counts *c = ev->counts;
	char equal[PROGRESS_TEXT], all[PROGRESS_TEXT];

	switch (ev->kind) {
	case VERIFY_FOLDER:
		p->item = false;
		if (f->absent || f->source_path[0] == '\0')
			begin_text(p, f);
		break;
	case VERIFY_ITEM:
		begin_text(p, f);
		print_item(p, ev->item);
		break;
	case VERIFY_FOLDER_END:
		if (f->source_path[0] == '\0')
			fprintf(p->out, ", %s message%s%s\n", progress_print_count(all, c->messages[TARGET]), plural(c->messages[TARGET]),
				f->ours == OURS_YES ? "; it was on the source when they were brought" : "");
		else if (p->item)
			fprintf(p->out, "    %s of %s message%s equal\n", progress_print_count(equal, c->equal),
				progress_print_count(all, c->messages[SOURCE]), plural(c->messages[SOURCE]));
		break;
	}
}

void verify_print_counts(FILE *out, const struct verify_counts *c)
{
	char equal[PROGRESS_TEXT], all[PROGRESS_TEXT];
	const char *before = "; ";

	fprintf(out, "%s of %s message%s equal in %s folder%s", progress_print_count(equal, c->equal),
		progress_print_count(all, c->messages[SOURCE]), plural(c->messages[SOURCE]),
		progress_print_count((char[PROGRESS_TEXT]){ 0 }, c->folders), plural(c->folders));
	if (c->folders_missing != 0) {
		fprintf(out, "; %s folder%s missing", progress_print_count(all, c->folders_missing), plural(c->folders_missing));
		before = ", ";
	}
	for (int k = 0; k < VERIFY_KIND_N; k++) {
		if (c->kind[k] == 0 || k == VERIFY_EXTRA)
			continue;
		fprintf(out, "%s%s %s", before, progress_print_count(all, c->kind[k]), verify_kind_name((enum verify_kind)k));
		before = ", ";
	}
	if (c->kind[VERIFY_EXTRA] != 0)
		fprintf(out, "; %s extra on the target", progress_print_count(all, c->kind[VERIFY_EXTRA]));
	if (c->folders_extra != 0)
		fprintf(out, "; %s folder%s only there", progress_print_count(all, c->folders_extra), plural(c->folders_extra));
}

/* JSON. */

void verify_record_counts(struct record *r, const struct verify_counts *c)
{
	static const char *const names[VERIFY_KIND_N] = {
		[VERIFY_MISSING] = "missing",
		[VERIFY_LEFT_OUT] = "left_out",
		[VERIFY_ALTERED] = "altered",
		[VERIFY_FLAGS] = "flags_differ",
		[VERIFY_TWICE] = "twice",
		[VERIFY_UNSUBSCRIBED] = "unsubscribed",
		[VERIFY_UNREADABLE] = "unreadable",
		[VERIFY_EXTRA] = "extra",
	};

	record_number(r, "source_messages", c->messages[SOURCE]);
	record_number(r, "target_messages", c->messages[TARGET]);
	record_number(r, "equal", c->equal);
	for (int k = 0; k < VERIFY_KIND_N; k++)
		record_number(r, names[k], c->kind[k]);
	record_number(r, "extra_ours", c->ours);
}

static void record_ours(struct record *r, enum verify_ours ours)
{
	if (ours == OURS_UNKNOWN)
		record_null(r, "ours");
	else
		record_flag(r, "ours", ours == OURS_YES);
}

static void record_count(struct record *r, const char *name, uint64_t n)
{
	if (n != 0)
		record_number(r, name, n);
	else
		record_null(r, name);
}

static void item_json(FILE *out, const struct verify_item *i)
{
	struct record *r = record_new();
	const char *differs[ATTRIBUTES];
	size_t n = 0;

	for (size_t k = 0; k < ATTRIBUTES; k++)
		if ((i->what & attributes[k].bit) != 0)
			differs[n++] = attributes[k].name;
	record_text(r, "kind", verify_kind_name(i->kind));
	if (i->kind == VERIFY_UNREADABLE)
		record_text(r, "side", side_name(i->side));
	record_count(r, "source_uid", i->uid[SOURCE]);
	record_count(r, "target_uid", i->uid[TARGET]);
	record_text_or_null(r, "message_id", i->message_id);
	record_text_or_null(r, "source_internaldate", i->date[SOURCE]);
	record_text_or_null(r, "target_internaldate", i->date[TARGET]);
	record_count(r, "source_size", i->size[SOURCE]);
	record_count(r, "target_size", i->size[TARGET]);
	if (n != 0)
		record_texts(r, "differs", differs, n);
	if ((i->what & COMPARE_FLAGS) != 0) {
		record_text(r, "source_flags", i->flags[SOURCE]);
		record_text(r, "target_flags", i->flags[TARGET]);
	}
	if (i->kind == VERIFY_EXTRA || i->kind == VERIFY_TWICE)
		record_ours(r, i->ours);
	record_text_or_null(r, "reason", i->reason);
	record_print(&r, out, false);
}

static void folder_json(FILE *out, const struct verify_folder *f)
{
	struct record *r = record_new();

	record_text_or_null(r, "folder", f->source_path);
	record_text(r, "target_folder", f->target_path);
	record_flag(r, "on_target", !f->absent);
	if (f->source_path[0] == '\0')
		record_ours(r, f->ours);
	record_print(&r, out, true);
}

static void print_json(struct verify_print *p, const struct verify_event *ev)
{
	struct record *r;

	switch (ev->kind) {
	case VERIFY_FOLDER:
		fputs(p->folder ? ",\n " : "\n ", p->out);
		folder_json(p->out, ev->folder);
		fputs(",\"differences\":[", p->out);
		p->folder = true;
		p->item = false;
		break;
	case VERIFY_ITEM:
		fputs(p->item ? ",\n  " : "\n  ", p->out);
		item_json(p->out, ev->item);
		p->item = true;
		break;
	case VERIFY_FOLDER_END:
		r = record_new();
		verify_record_counts(r, ev->counts);
		fputs("],\"counts\":", p->out);
		record_print(&r, p->out, false);
		putc('}', p->out);
		break;
	}
}

void verify_print(struct verify_print *p, const struct verify_event *ev)
{
	if (p->json)
		print_json(p, ev);
	else
		print_text(p, ev);
}
