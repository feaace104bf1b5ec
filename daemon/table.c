#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define COLUMNS_MAX 400

/* One character: its bytes, and its columns; not shown as it is: one '?'. */
static size_t next(const char *s, mbstate_t *state, size_t *columns, bool *shown)
{
	wchar_t wc;
	size_t n = mbrtowc(&wc, s, strlen(s), state);

	*shown = n != (size_t)-1 && n != (size_t)-2 && wcwidth(wc) >= 0;
	*columns = *shown ? (size_t)wcwidth(wc) : 1;
	if (!*shown) {
		*state = (mbstate_t){ 0 };
		return n == (size_t)-1 || n == (size_t)-2 || n == 0 ? 1 : n;
	}
	return n;
}

size_t table_width(const char *s)
{
	mbstate_t state = { 0 };
	size_t sum = 0, columns;
	bool shown;

	while (*s != '\0') {
		s += next(s, &state, &columns, &shown);
		sum += columns;
	}
	return sum;
}

/* As much as fits; returns the columns used. */
static size_t put(FILE *out, const char *s, size_t most)
{
	mbstate_t state = { 0 };
	size_t used = 0, columns, n;
	bool shown;

	for (; *s != '\0'; s += n) {
		n = next(s, &state, &columns, &shown);
		if (used + columns > most)
			break;
		if (shown)
			fwrite(s, 1, n, out);
		else
			putc('?', out);
		used += columns;
	}
	return used;
}

void table_text(FILE *out, const char *s)
{
	put(out, s, SIZE_MAX);
}

void table_cell(FILE *out, const char *s, size_t columns, bool cut)
{
	size_t used;

	if (cut && columns > 2 && table_width(s) > columns) {
		used = put(out, s, columns - 2);
		fputs("..", out);
		used += 2;
	} else {
		used = put(out, s, SIZE_MAX);
	}
	fprintf(out, "%*s", (int)(used < columns ? columns - used : 0), "");
}

void table_right(FILE *out, const char *s, size_t columns)
{
	size_t width = table_width(s);

	fprintf(out, "%*s", (int)(width < columns ? columns - width : 0), "");
	table_text(out, s);
}

size_t table_terminal(FILE *out)
{
	struct winsize size;
	int fd = fileno(out);

	if (fd < 0 || !isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

bool table_has_colour(FILE *out)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return table_terminal(out) != 0 && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

const char *table_time(char buf[TABLE_TIME], int64_t wall)
{
	time_t seconds = (time_t)(wall / 1000);
	struct tm tm;

	if (wall == 0)
		snprintf(buf, TABLE_TIME, "never");
	else if (localtime_r(&seconds, &tm) == NULL || strftime(buf, TABLE_TIME, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		buf[0] = '\0';
	return buf;
}

const char *table_iso(char buf[TABLE_TIME], int64_t wall)
{
	time_t seconds = (time_t)(wall / 1000);
	struct tm tm;

	if (wall == 0 || gmtime_r(&seconds, &tm) == NULL || strftime(buf, TABLE_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		buf[0] = '\0';
	return buf;
}

const char *table_span(char buf[TABLE_TIME], int64_t ms)
{
	long long s = ms < 0 ? 0 : (long long)(ms / 1000);

	if (s < 100)
		snprintf(buf, TABLE_TIME, "%llds", s);
	else if (s < 100 * 60)
		snprintf(buf, TABLE_TIME, "%lldm", s / 60);
	else if (s < 100 * 3600)
		snprintf(buf, TABLE_TIME, "%lldh", s / 3600);
	else
		snprintf(buf, TABLE_TIME, "%lldd", s / 86400);
	return buf;
}
