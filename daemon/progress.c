#include "progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define LINE_BYTES 1024
#define COLUMNS_DEFAULT 80
#define COLUMNS_MAX 200
#define BAR_COLUMNS 20
#define FOLDER_COLUMNS_MIN 12
#define LINE_EVERY 10000u /* ms between lines where there is no terminal */
#define RATE_EVERY 1000u

const char *progress_print_count(char *buf, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *p = buf;
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return buf;
}

const char *progress_print_bytes(char *buf, uint64_t bytes)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	if (bytes < 1000) {
		snprintf(buf, PROGRESS_TEXT, "%u B", (unsigned)bytes);
		return buf;
	}
	double value = (double)bytes / 1000;
	size_t unit = 0;
	/* What would be rounded to 1000.0 belongs to the next unit. */
	while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(buf, PROGRESS_TEXT, "%.1f %s", value, units[unit]);
	return buf;
}

const char *progress_print_time(char *buf, uint64_t ms)
{
	unsigned long long s = ms / 1000;
	if (ms < 10000)
		snprintf(buf, PROGRESS_TEXT, "%u.%u s", (unsigned)(ms / 1000), (unsigned)(ms % 1000 / 100));
	else if (s < 60)
		snprintf(buf, PROGRESS_TEXT, "%llu s", s);
	else if (s < 3600)
		snprintf(buf, PROGRESS_TEXT, "%llu m %02llu s", s / 60, s % 60);
	else if (s < 24 * 3600)
		snprintf(buf, PROGRESS_TEXT, "%llu h %02llu m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, PROGRESS_TEXT, "%llu d %02llu h", s / (24 * 3600), s / 3600 % 24);
	return buf;
}

/* The next character: its bytes in *len, its columns. What cannot be shown is one column wide and *len bytes long, *ok false. */
static size_t char_columns(const char *s, mbstate_t *state, size_t *len, bool *ok)
{
	wchar_t wc;
	size_t n = mbrtowc(&wc, s, strlen(s), state);
	*ok = false;
	if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
		*state = (mbstate_t){ 0 };
		*len = 1;
		return 1;
	}
	*len = n;
	int w = wcwidth(wc);
	if (w < 0)
		return 1;
	*ok = true;
	return (size_t)w;
}

static size_t text_columns(const char *s)
{
	mbstate_t state = { 0 };
	size_t columns = 0, len;
	bool ok;
	for (; *s != '\0'; s += len)
		columns += char_columns(s, &state, &len, &ok);
	return columns;
}

/* As much of the end of `s` as fits: of a path the end says most. Returns the columns used. */
static size_t put_folder(char *buf, size_t size, const char *s, size_t columns)
{
	size_t all = text_columns(s), used = 0, n = 0, len;
	bool cut = all > columns, ok;
	mbstate_t state = { 0 };
	if (columns < 2 && cut) {
		buf[0] = '\0';
		return 0;
	}
	if (cut) {
		while (*s != '\0' && all + 2 > columns) {
			all -= char_columns(s, &state, &len, &ok);
			s += len;
		}
		n = (size_t)snprintf(buf, size, "..");
		used = 2;
	}
	for (; *s != '\0'; s += len) {
		size_t w = char_columns(s, &state, &len, &ok);
		if (used + w > columns || n + len + 1 > size)
			break;
		if (ok) {
			memcpy(buf + n, s, len);
			n += len;
		} else {
			buf[n++] = '?';
		}
		used += w;
	}
	buf[n] = '\0';
	return used;
}

static void put_bar(char *buf, uint64_t done, uint64_t all)
{
	size_t full = all == 0 ? 0 : (size_t)((double)done / (double)all * BAR_COLUMNS);
	if (full > BAR_COLUMNS)
		full = BAR_COLUMNS;
	buf[0] = '[';
	memset(buf + 1, '#', full);
	memset(buf + 1 + full, '.', BAR_COLUMNS - full);
	memcpy(buf + 1 + BAR_COLUMNS, "]", 2);
}

size_t progress_print_line(char *buf, size_t size, const struct mailbox_progress *p, uint64_t rate, uint64_t left,
	size_t columns)
{
	/* In the order shown; `rank`: dropped first when it does not fit. */
	struct {
		char text[96];
		int rank;
	} part[5] = { { .rank = 4 }, { .rank = 0 }, { .rank = 1 }, { .rank = 2 }, { .rank = 3 } };
	char a[PROGRESS_TEXT], b[PROGRESS_TEXT];
	enum { BAR, MESSAGES, BYTES, RATE, LEFT, PARTS };

	if (p->bytes > 0)
		put_bar(part[BAR].text, p->bytes_done, p->bytes);
	else
		put_bar(part[BAR].text, p->messages_done, p->messages);
	snprintf(part[MESSAGES].text, sizeof(part[MESSAGES].text), "%s/%s", progress_print_count(a, p->messages_done),
		progress_print_count(b, p->messages));
	if (p->bytes > 0)
		snprintf(part[BYTES].text, sizeof(part[BYTES].text), "%s/%s", progress_print_bytes(a, p->bytes_done),
			progress_print_bytes(b, p->bytes));
	else
		snprintf(part[BYTES].text, sizeof(part[BYTES].text), "%s", progress_print_bytes(a, p->bytes_copied));
	snprintf(part[RATE].text, sizeof(part[RATE].text), "%s/s", progress_print_bytes(a, rate));
	if (left != UINT64_MAX)
		snprintf(part[LEFT].text, sizeof(part[LEFT].text), "%s left", progress_print_time(a, left));

	const char *folder = p->folder != NULL ? p->folder : "";
	size_t want = text_columns(folder);
	if (want > FOLDER_COLUMNS_MIN)
		want = FOLDER_COLUMNS_MIN;
	size_t tail = 0;
	for (int rank = 4; ; rank--) {
		tail = 0;
		for (int i = 0; i < PARTS; i++)
			if (part[i].rank <= rank && part[i].text[0] != '\0')
				tail += 2 + strlen(part[i].text);
		if (rank < 0 || want + tail <= columns)
			break;
		for (int i = 0; i < PARTS; i++)
			if (part[i].rank == rank)
				part[i].text[0] = '\0';
	}
	size_t used = put_folder(buf, size, folder, columns - tail);
	size_t n = strlen(buf);
	for (int i = 0; i < PARTS; i++) {
		size_t len = strlen(part[i].text);
		if (len == 0 || n + len + 3 > size)
			continue;
		memcpy(buf + n, "  ", 2);
		memcpy(buf + n + 2, part[i].text, len + 1);
		n += 2 + len;
		used += 2 + len;
	}
	return used;
}

void progress_init(struct progress *pr, int fd)
{
	const char *term = getenv("TERM");
	*pr = (struct progress){ .fd = fd, .terminal = isatty(fd) && (term == NULL || strcmp(term, "dumb") != 0) };
}

static void put(const struct progress *pr, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = write(pr->fd, p, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return;
		p += r;
		n -= (size_t)r;
	}
}

static void measure(struct progress *pr, const struct mailbox_progress *p, uint64_t now)
{
	if (now - pr->rate_at < RATE_EVERY)
		return;
	uint64_t moved = p->bytes_copied > pr->rate_bytes ? p->bytes_copied - pr->rate_bytes : 0;
	uint64_t present = moved * 1000 / (now - pr->rate_at);
	pr->rate = pr->rate == 0 ? present : (pr->rate * 3 + present) / 4;
	pr->rate_at = now;
	pr->rate_bytes = p->bytes_copied;
}

static uint64_t time_left(const struct progress *pr, const struct mailbox_progress *p, uint64_t now)
{
	uint64_t done = p->bytes > 0 ? p->bytes_done : p->messages_done;
	uint64_t all = p->bytes > 0 ? p->bytes : p->messages;
	if (done == 0 || done > all || now - pr->begun < 2 * RATE_EVERY)
		return UINT64_MAX;
	return (uint64_t)((double)(now - pr->begun) * (double)(all - done) / (double)done);
}

static void show_on_terminal(struct progress *pr, const struct mailbox_progress *p, uint64_t now)
{
	struct winsize size;
	size_t columns = COLUMNS_DEFAULT;
	if (ioctl(pr->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		columns = size.ws_col;
	if (columns > COLUMNS_MAX)
		columns = COLUMNS_MAX;
	char line[LINE_BYTES] = "\r";
	/* The last column stays free: some terminals wrap as soon as it is written. */
	progress_print_line(line + 1, sizeof(line) - 8, p, pr->rate, time_left(pr, p, now), columns - 1);
	size_t n = strlen(line);
	memcpy(line + n, "\033[K", 3);
	put(pr, line, n + 3);
	pr->drawn = true;
}

void progress_show(struct progress *pr, const struct mailbox_progress *p, uint64_t now)
{
	if (pr->begun == 0) {
		pr->begun = pr->last = pr->rate_at = now != 0 ? now : 1;
		pr->rate_bytes = p->bytes_copied;
	}
	measure(pr, p, now);
	if (pr->terminal) {
		show_on_terminal(pr, p, now);
		return;
	}
	if (now - pr->last < LINE_EVERY)
		return;
	pr->last = now;
	char a[PROGRESS_TEXT], b[PROGRESS_TEXT], c[PROGRESS_TEXT], line[256];
	int n = snprintf(line, sizeof(line), "%s of %s messages, %s copied, %s/s\n", progress_print_count(a, p->messages_done),
		progress_print_count(b, p->messages), progress_print_bytes(c, p->bytes_copied),
		progress_print_bytes((char[PROGRESS_TEXT]){ 0 }, pr->rate));
	put(pr, line, (size_t)n);
}

void progress_wait(struct progress *pr, const char *text)
{
	char line[COLUMNS_MAX];
	if (!pr->terminal)
		return;
	int n = snprintf(line, sizeof(line), "\r%.*s\033[K", COLUMNS_DEFAULT - 1, text);
	put(pr, line, (size_t)n);
	pr->drawn = true;
}

void progress_hide(struct progress *pr)
{
	if (pr->drawn)
		put(pr, "\r\033[K", 4);
	pr->drawn = false;
}
