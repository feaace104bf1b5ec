#include "mailboxes.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "columns.h"
#include "error.h"
#include "value.h"

#define CHUNK 16384
#define FIELD_RAW_MAX (2 * MAILBOXES_FIELD_MAX + 1024)	/* with doubled quotes and blanks */
#define TEXTS_FIRST_MAX (64u * 1024 * 1024)
#define NO_TEXT UINT32_MAX	/* a password that the list does not have */
#define SHOWN 128		/* bytes of a user in a message */

/* A list being read. */
struct reader {
	const char *path;
	struct mailbox_list *list;
	const struct mailbox_admins *admins;
	struct conf_error *err;
	bool failed;		/* err is filled in; the parser's callbacks cannot say so */

	struct columns columns;
	bool header_done;

	uint32_t line;		/* of the byte at hand */
	uint32_t row_line;	/* where its row begins */
	uint32_t field_line;	/* where its field begins */
	bool in_row;
	bool after_cr;
	size_t field_raw;	/* bytes of the field so far, quotes included */
	size_t field_n;		/* fields of the row so far */
	struct mailbox_row row;

	uint32_t *slots;	/* hash of target users: row + 1, 0 is free */
	size_t slot_n;		/* a power of two, or 0 */
};

static int reader_fail(struct reader *r, uint32_t line, const char *what)
{
	r->failed = true;
	return conf_error_at(r->err, r->path, (int)line, "%s", what);
}

static int reader_out_of_memory(struct reader *r)
{
	return reader_fail(r, r->line, "out of memory; free some");
}

/* realloc() would leave passwords behind where the block had been. */
static int texts_reserve(struct reader *r, size_t more)
{
	struct mailbox_list *list = r->list;
	size_t cap = list->text_cap + list->text_cap / 2;
	char *texts;

	if (list->text_cap - list->text_n >= more)
		return 0;
	if (list->text_n + more > UINT32_MAX)
		return reader_fail(r, r->line, "more than 4 GB of values; split the list");
	if (cap < list->text_n + more)
		cap = list->text_n + more;
	texts = malloc(cap);
	if (!texts)
		return reader_out_of_memory(r);
	if (list->texts) {
		memcpy(texts, list->texts, list->text_n);
		explicit_bzero(list->texts, list->text_cap);
		free(list->texts);
	}
	list->texts = texts;
	list->text_cap = cap;
	return 0;
}

/* FNV-1a over the user with ASCII letters in lower case */
static uint64_t user_hash(const char *user)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *user; user++) {
		unsigned char c = (unsigned char)*user;

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		hash = (hash ^ c) * UINT64_C(1099511628211);
	}
	return hash ^ hash >> 32;
}

static bool user_equal(const char *a, const char *b)
{
	for (;; a++, b++) {
		unsigned char x = (unsigned char)*a, y = (unsigned char)*b;

		if (x >= 'A' && x <= 'Z')
			x += 'a' - 'A';
		if (y >= 'A' && y <= 'Z')
			y += 'a' - 'A';
		if (x != y)
			return false;
		if (x == '\0')
			return true;
	}
}

/* The slot that holds the user, or the free one where it belongs. */
static uint32_t *slot_find(const struct reader *r, const char *user)
{
	size_t i = user_hash(user) & (r->slot_n - 1);

	while (r->slots[i] != 0 &&
	       !user_equal(mailboxes_get(r->list, r->slots[i] - 1, MAILBOX_TARGET_USER), user))
		i = (i + 1) & (r->slot_n - 1);
	return &r->slots[i];
}

/* Keeps the table at most half full. */
static int slots_reserve(struct reader *r)
{
	size_t n = r->slot_n ? r->slot_n * 2 : 1024;

	if (r->list->row_n < r->slot_n / 2)
		return 0;
	free(r->slots);
	r->slots = calloc(n, sizeof(*r->slots));
	if (!r->slots)
		return reader_out_of_memory(r);
	r->slot_n = n;
	for (size_t i = 0; i < r->list->row_n; i++)
		*slot_find(r, mailboxes_get(r->list, i, MAILBOX_TARGET_USER)) = (uint32_t)i + 1;
	return 0;
}

static int rows_reserve(struct reader *r)
{
	struct mailbox_list *list = r->list;
	size_t cap = list->row_cap ? list->row_cap + list->row_cap / 2 : 256;
	struct mailbox_row *rows;

	if (list->row_n < list->row_cap)
		return 0;
	rows = reallocarray(list->rows, cap, sizeof(*rows));
	if (!rows)
		return reader_out_of_memory(r);
	list->rows = rows;
	list->row_cap = cap;
	return 0;
}

/* What the column is called in this list. */
static const char *reader_column(const struct reader *r, enum mailbox_field field)
{
	for (size_t i = 0; i < r->columns.n; i++) {
		if (r->columns.field[i] == field)
			return r->columns.seen[i];
	}
	return "";
}

static int row_check_values(struct reader *r)
{
	const char *why = NULL;
	int field = 0;

	for (; field < MAILBOX_FIELD_N && !why; field++) {
		const char *text = r->row.at[field] == NO_TEXT ? NULL : r->list->texts + r->row.at[field];
		bool is_user = field == MAILBOX_SOURCE_USER || field == MAILBOX_TARGET_USER;

		if (!text)
			continue;
		if (*text == '\0')
			why = "is empty; every mailbox needs one";
		else if (is_user && !conf_value_is_utf8(text, strlen(text)))
			why = "is not UTF-8; save the list as UTF-8";
		else if (is_user)
			for (; *text; text++)
				if ((unsigned char)*text < 0x20 || *text == 0x7f)
					why = "has a line break or another control character "
					      "in it; leave that out";
	}
	if (!why)
		return 0;
	r->failed = true;
	return conf_error_at(r->err, r->path, (int)r->row_line, "%s %s",
			     reader_column(r, (enum mailbox_field)(field - 1)), why);
}

static int row_check_count(struct reader *r)
{
	if (r->field_n == r->columns.n)
		return 0;
	r->failed = true;
	return conf_error_at(r->err, r->path, (int)r->row_line, "%zu value%s where the header has "
			     "%zu columns; %s", r->field_n, r->field_n == 1 ? "" : "s", r->columns.n,
			     r->field_n < r->columns.n ? "give every column a value" :
			     "put a value with a comma in it in double quotes");
}

static void row_end(struct reader *r)
{
	struct mailbox_list *list = r->list;
	const char *user;
	uint32_t *slot;

	if (row_check_count(r) < 0)
		return;
	if (!r->columns.has[MAILBOX_SOURCE_PASSWORD])
		r->row.at[MAILBOX_SOURCE_PASSWORD] = NO_TEXT;
	if (r->admins->target)
		r->row.at[MAILBOX_TARGET_PASSWORD] = NO_TEXT;
	else if (!r->columns.has[MAILBOX_TARGET_PASSWORD])
		r->row.at[MAILBOX_TARGET_PASSWORD] = r->row.at[MAILBOX_SOURCE_PASSWORD];
	if (row_check_values(r) < 0)
		return;
	if (list->row_n == MAILBOXES_ROW_MAX) {
		reader_fail(r, r->row_line, "more than 1000000 mailboxes; split the list");
		return;
	}
	if (rows_reserve(r) < 0 || slots_reserve(r) < 0)
		return;
	user = list->texts + r->row.at[MAILBOX_TARGET_USER];
	slot = slot_find(r, user);
	if (*slot != 0) {
		r->failed = true;
		conf_error_at(r->err, r->path, (int)r->row_line, "%s \"%.*s\" stands on line %u "
			      "already; leave one of them out",
			      reader_column(r, MAILBOX_TARGET_USER), SHOWN, user,
			      (unsigned)list->rows[*slot - 1].line);
		return;
	}
	r->row.line = r->row_line;
	list->rows[list->row_n++] = r->row;
	*slot = (uint32_t)list->row_n;
}

static void header_end(struct reader *r)
{
	struct conf_error why;

	r->header_done = true;
	if (columns_check(&r->columns, r->admins, &why) < 0)
		reader_fail(r, r->row_line, why.text);
}

static void on_row(int c, void *data)
{
	struct reader *r = data;

	(void)c;
	if (r->failed)
		return;
	if (r->header_done)
		row_end(r);
	else
		header_end(r);
	r->in_row = false;
	r->field_n = 0;
}

static void on_field(void *text, size_t len, void *data)
{
	struct reader *r = data;
	struct mailbox_list *list = r->list;
	size_t place = r->field_n++;

	r->field_raw = 0;
	if (r->failed)
		return;
	if (!r->header_done) {
		columns_add(&r->columns, text, len);
		return;
	}
	if (place >= r->columns.n)
		return;		/* on_row() refuses the row */
	if (len > MAILBOXES_FIELD_MAX) {
		reader_fail(r, r->field_line, "a value of more than 4096 bytes; shorten it, "
			    "or close its double quote");
		return;
	}
	if (texts_reserve(r, len + 1) < 0)
		return;
	r->row.at[r->columns.field[place]] = (uint32_t)list->text_n;
	memcpy(list->texts + list->text_n, text, len);
	list->text_n += len;
	list->texts[list->text_n++] = '\0';
}

/*
 * One byte at a time: the parser does not tell where in its input a field or a
 * mistake stood, and a record may go over several lines.
 */
static int reader_byte(struct reader *r, struct csv_parser *csv, unsigned char c)
{
	bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

	if (c == '\0')
		return reader_fail(r, r->line, "a NUL byte; the list must be UTF-8 text");
	if (!r->in_row && !blank) {
		r->in_row = true;
		r->row_line = r->line;
		r->field_raw = 0;
	}
	if (r->field_raw++ == 0)
		r->field_line = r->line;
	if (r->in_row && r->field_raw > FIELD_RAW_MAX)
		return reader_fail(r, r->field_line, "a value of more than 4096 bytes; shorten it, "
				   "or close its double quote");
	if (csv_parse(csv, &c, 1, on_field, on_row, r) != 1) {
		if (csv_error(csv) != CSV_EPARSE)
			return reader_out_of_memory(r);
		return reader_fail(r, r->line, "a double quote in the wrong place; put the whole "
				   "value in double quotes and double those in it");
	}
	if (c == '\r' || (c == '\n' && !r->after_cr))
		r->line++;
	r->after_cr = c == '\r';
	return r->failed ? -1 : 0;
}

static int reader_bytes(struct reader *r, struct csv_parser *csv, int fd)
{
	unsigned char chunk[CHUNK];
	bool first = true;
	ssize_t n = 0;
	int rc = 0;

	while (rc == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		ssize_t i = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (first && n >= 3 && memcmp(chunk, "\xef\xbb\xbf", 3) == 0)
			i = 3;	/* a byte order mark */
		first = false;
		for (; i < n && rc == 0; i++)
			rc = reader_byte(r, csv, chunk[i]);
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (n < 0) {
		r->failed = true;
		return conf_error_at(r->err, r->path, 0, "%s; it must be a file that can be read",
				     strerror(errno));
	}
	return rc;
}

static int reader_all(struct reader *r, struct csv_parser *csv, int fd)
{
	struct stat st;

	/* The texts are never longer than the file: no growing, one block. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    texts_reserve(r, st.st_size < TEXTS_FIRST_MAX ? (size_t)st.st_size + 1
							   : TEXTS_FIRST_MAX) < 0)
		return -1;
	if (reader_bytes(r, csv, fd) < 0)
		return -1;
	if (csv_fini(csv, on_field, on_row, r) != 0)
		return reader_fail(r, r->field_line, "a double quote is not closed; "
				   "close it with another one");
	if (r->failed)
		return -1;
	if (!r->header_done)
		return reader_fail(r, 1, "the header line is missing; the first line names the "
				   "columns: source_user, source_password, target_user, "
				   "target_password");
	return 0;
}

int mailboxes_load(const char *path, const struct mailbox_admins *admins, struct mailbox_list *ret,
		   struct conf_error *err)
{
	struct reader r = { .path = path, .list = ret, .admins = admins, .err = err, .line = 1 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct csv_parser csv;
	int rc;

	*ret = (struct mailbox_list){ 0 };
	if (fd < 0) {
		conf_error_at(err, path, 0, "%s; it must be a file that can be read",
			      strerror(errno));
		return EX_DATAERR;
	}
	csv_init(&csv, CSV_STRICT | CSV_STRICT_FINI);
	/* One block for the longest field: none is freed with a password in it. */
	csv_set_blk_size(&csv, FIELD_RAW_MAX + 2);
	rc = reader_all(&r, &csv, fd);
	close(fd);
	if (csv.entry_buf)
		explicit_bzero(csv.entry_buf, csv_get_buffer_size(&csv));
	csv_free(&csv);
	free(r.slots);
	if (rc == 0)
		return 0;
	mailboxes_free(ret);
	return EX_DATAERR;
}

const char *mailboxes_get(const struct mailbox_list *list, size_t row, enum mailbox_field field)
{
	uint32_t at = list->rows[row].at[field];

	return at == NO_TEXT ? NULL : list->texts + at;
}

void mailboxes_free(struct mailbox_list *list)
{
	if (!list)
		return;
	if (list->texts)
		explicit_bzero(list->texts, list->text_cap);
	free(list->texts);
	free(list->rows);
	*list = (struct mailbox_list){ 0 };
}
