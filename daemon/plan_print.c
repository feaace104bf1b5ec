#include "plan_print.h"

#include "progress.h"
#include "record.h"
#include "table.h"

static const char *verdict(const struct plan_result *r)
{
	if (r->folders[PLAN_CONFLICT] != 0)
		return "would be held";
	return plan_is_over_quota(r) ? "has no room" : plan_is_short(r) ? "would be incomplete" : "would be complete";
}

static void print_summary(FILE *out, const char *mailbox, const struct plan_result *r)
{
	char messages[PROGRESS_TEXT], bytes[PROGRESS_TEXT], more[PROGRESS_TEXT];

	table_text(out, mailbox);
	fprintf(out, ": %s: %s message%s", verdict(r), progress_print_count(messages, r->messages), r->messages == 1 ? "" : "s");
	if (r->bytes_known)
		fprintf(out, " (%s)", progress_print_bytes(bytes, r->bytes));
	fprintf(out, " in %llu folder%s, %llu of them to be made", (unsigned long long)r->folders[PLAN_GOES], r->folders[PLAN_GOES] == 1 ? "" : "s",
		(unsigned long long)r->made);
	if (r->messages_to_come != r->messages)
		fprintf(out, "; %s message%s to come", progress_print_count(more, r->messages_to_come), r->messages_to_come == 1 ? "" : "s");
	for (int fate = PLAN_EXCLUDED; fate < PLAN_FATE_N; fate++)
		if (r->folders[fate] != 0)
			fprintf(out, "; %llu %s", (unsigned long long)r->folders[fate], plan_fate_name((enum plan_fate)fate));
	fputc('\n', out);
	if (r->conflict[0] != '\0') {
		fputs("    ", out);
		table_text(out, r->conflict);
		fputc('\n', out);
	}
}

static void print_folder(FILE *out, const struct plan_folder *f, size_t width)
{
	char messages[PROGRESS_TEXT], bytes[PROGRESS_TEXT];

	fputs("    ", out);
	table_cell(out, f->source_path, width, false);
	fputs("  ", out);
	table_right(out, f->messages_known ? progress_print_count(messages, f->messages) : "?", 9);
	fputs("  ", out);
	table_right(out, f->bytes_known ? progress_print_bytes(bytes, f->bytes) : "?", 9);
	fputs("  ", out);
	if (f->target_path[0] != '\0') {
		fputs("to ", out);
		table_text(out, f->target_path);
	}
	if (f->fate != PLAN_GOES)
		fprintf(out, "%s%s", f->target_path[0] != '\0' ? ": " : "", plan_fate_name(f->fate));
	else
		fprintf(out, "%s%s%s%s%s", f->exists ? "" : ", new", f->role[0] != '\0' ? " (" : "", f->role, f->role[0] != '\0' ? ")" : "",
			f->by[0] == 'm' ? ", by the map" : "");
	if (f->note[0] != '\0') {
		fputs(": ", out);
		table_text(out, f->note);
	}
	if (f->too_big != 0)
		fprintf(out, "; %llu too big", (unsigned long long)f->too_big);
	fputc('\n', out);
}

static void print_room(FILE *out, const struct plan_result *r)
{
	char a[PROGRESS_TEXT], b[PROGRESS_TEXT], c[PROGRESS_TEXT];

	if (r->storage.known) {
		fprintf(out, "    quota of the target: %s of %s used", progress_print_bytes(a, r->storage.used), progress_print_bytes(b, r->storage.limit));
		if (r->bytes_known)
			fprintf(out, ", about %s to come", progress_print_bytes(c, r->bytes_to_come));
		fputc('\n', out);
	}
	if (r->count.known)
		fprintf(out, "    quota of the target: %s of %s messages used, %s to come\n", progress_print_count(a, r->count.used),
			progress_print_count(b, r->count.limit), progress_print_count(c, r->messages_to_come));
	if (r->append_limit_known && r->scanned)
		fprintf(out, "    the target takes messages of up to %s: %s %s larger\n", progress_print_bytes(a, r->append_limit),
			progress_print_count(b, r->too_big), r->too_big == 1 ? "is" : "are");
	else if (r->append_limit_known)
		fprintf(out, "    the target takes messages of up to %s; --scan tells how many are larger\n", progress_print_bytes(a, r->append_limit));
}

void plan_print_text(FILE *out, const char *mailbox, const struct plan_result *r)
{
	size_t width = 0;

	print_summary(out, mailbox, r);
	for (size_t i = 0; i < r->folder_n; i++)
		if (table_width(r->folder[i].source_path) > width)
			width = table_width(r->folder[i].source_path);
	for (size_t i = 0; i < r->folder_n; i++)
		print_folder(out, &r->folder[i], width < 40 ? width : 40);
	print_room(out, r);
}

static void put_known(struct record *j, const char *name, bool known, uint64_t n)
{
	if (known)
		record_number(j, name, n);
	else
		record_null(j, name);
}

static void put_room(struct record *j, const char *name, const struct plan_room *r)
{
	struct record *inner;

	if (!r->known) {
		record_null(j, name);
		return;
	}
	inner = record_new();
	record_number(inner, "used", r->used);
	record_number(inner, "limit", r->limit);
	record_put(j, name, &inner);
}

static void print_folder_json(FILE *out, const struct plan_folder *f)
{
	struct record *j = record_new();

	record_text(j, "folder", f->source_path);
	record_text(j, "fate", plan_fate_name(f->fate));
	record_text_or_null(j, "target_folder", f->target_path);
	record_text_or_null(j, "role", f->role);
	if (f->fate == PLAN_GOES) {
		record_text(j, "by", f->by);
		record_flag(j, "exists", f->exists);
		record_number(j, "target_messages", f->target_messages);
		record_number(j, "brought", f->brought);
	}
	put_known(j, "messages", f->messages_known, f->messages);
	put_known(j, "bytes", f->bytes_known, f->bytes);
	record_number(j, "too_big", f->too_big);
	record_text_or_null(j, "note", f->note);
	record_print(&j, out, false);
}

void plan_print_json(FILE *out, const char *mailbox, const struct plan_result *r)
{
	struct record *j = record_new();

	record_text(j, "mailbox", mailbox);
	record_text(j, "verdict", verdict(r));
	record_text_or_null(j, "conflict", r->conflict);
	record_number(j, "folders_going", r->folders[PLAN_GOES]);
	record_number(j, "folders_made", r->made);
	record_number(j, "folders_excluded", r->folders[PLAN_EXCLUDED]);
	record_number(j, "folders_left_out", r->folders[PLAN_LEFT_OUT]);
	record_number(j, "messages", r->messages);
	put_known(j, "bytes", r->bytes_known, r->bytes);
	record_number(j, "messages_to_come", r->messages_to_come);
	put_known(j, "bytes_to_come", r->bytes_known, r->bytes_to_come);
	put_room(j, "quota_bytes", &r->storage);
	put_room(j, "quota_messages", &r->count);
	put_known(j, "append_limit", r->append_limit_known, r->append_limit);
	put_known(j, "too_big", r->scanned, r->too_big);
	record_print(&j, out, true);
	fputs(",\"folders\":[", out);
	for (size_t i = 0; i < r->folder_n; i++) {
		fputs(i == 0 ? "\n" : ",\n", out);
		print_folder_json(out, &r->folder[i]);
	}
	fputs("]}", out);
}
