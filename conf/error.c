#include "error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

#define FILE_SHOWN 200		/* bytes of a file name in a message */

/* Removes the first bytes of a character whose last ones were cut off. */
static void error_trim(char *text, size_t len)
{
	size_t tail = 0;	/* bytes after the last leading byte */
	unsigned char lead;

	while (tail < len && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == len)
		return;
	lead = (unsigned char)text[len - 1 - tail];
	if (lead >= 0xc0 && tail < (lead < 0xe0 ? 1u : lead < 0xf0 ? 2u : 3u))
		text[len - 1 - tail] = '\0';
}

/* Names from a file are repeated; what no log or terminal should get is not. */
static void error_clean(char *text)
{
	bool utf8 = conf_value_is_utf8(text, strlen(text));

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			*text = '?';
	}
}

static void error_print(struct conf_error *err, size_t at, const char *format,
			va_list args) __attribute__((format(printf, 3, 0)));

static void error_print(struct conf_error *err, size_t at, const char *format,
			va_list args)
{
	size_t room = sizeof(err->text) - at;
	int n = vsnprintf(err->text + at, room, format, args);

	if (n < 0)
		err->text[at] = '\0';
	else if ((size_t)n >= room)
		error_trim(err->text, sizeof(err->text) - 1);
	error_clean(err->text);
}

int conf_error_set(struct conf_error *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_print(err, 0, format, args);
	va_end(args);
	return -1;
}

int conf_error_at(struct conf_error *err, const char *file, int line,
		  const char *format, ...)
{
	size_t len = strlen(file);
	const char *dots = "";
	va_list args;
	int n;

	if (len > FILE_SHOWN) {
		file += len - FILE_SHOWN;
		while (((unsigned char)*file & 0xc0) == 0x80)
			file++;
		dots = "...";
	}
	if (line > 0)
		n = snprintf(err->text, sizeof(err->text), "%s%s:%d: ", dots, file, line);
	else
		n = snprintf(err->text, sizeof(err->text), "%s%s: ", dots, file);
	va_start(args, format);
	error_print(err, n < 0 ? 0 : (size_t)n, format, args);
	va_end(args);
	return -1;
}
