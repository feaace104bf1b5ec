#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "error.h"

#define SHOWN 64		/* bytes of a refused value in a message */

struct unit {
	const char *name;
	int64_t factor;
};

/* Ascending: printing looks for the last one that divides. */
static const struct unit duration_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "K", 1024 },
	{ "M", 1024 * 1024 },
	{ "G", 1024 * 1024 * 1024 },
	{ NULL, 0 },
};

int conf_value_bool(const char *text, bool *ret, struct conf_error *err)
{
	static const char *const yes[] = { "true", "yes", "on" };
	static const char *const no[] = { "false", "no", "off" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(text, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
		if (strcasecmp(text, no[i]) == 0) {
			*ret = false;
			return 0;
		}
	}
	return conf_error_set(err, "is \"%.*s\"; it must be true or false", SHOWN, text);
}

/*
 * Reads the digits at the start of text and returns what follows them, or NULL
 * when there are none or the number is beyond 64 bits.
 */
static const char *value_digits(const char *text, int64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 ? end : NULL;
}

int conf_value_int(const char *text, int64_t *ret, struct conf_error *err)
{
	bool minus = text[0] == '-';
	int64_t number = 0;
	const char *rest = value_digits(text + minus, &number);

	if (!rest || *rest != '\0')
		return conf_error_set(err, "is \"%.*s\"; it must be a whole number",
				      SHOWN, text);
	*ret = minus ? -number : number;
	return 0;
}

static int value_with_unit(const char *text, const struct unit *units,
			   const char *right, int64_t *ret, struct conf_error *err)
{
	int64_t number = 0, product;
	const char *rest = value_digits(text, &number);

	if (!rest)
		return conf_error_set(err, "is \"%.*s\"; it must be %s", SHOWN, text, right);
	if (*rest == '\0')
		return conf_error_set(err, "is \"%.*s\", a number without a unit; it must be %s",
				      SHOWN, text, right);
	for (; units->name; units++) {
		if (strcmp(rest, units->name) != 0)
			continue;
		if (__builtin_mul_overflow(number, units->factor, &product))
			return conf_error_set(err, "is \"%.*s\", which is too large; it must be %s",
					      SHOWN, text, right);
		*ret = product;
		return 0;
	}
	return conf_error_set(err, "is \"%.*s\"; it must be %s", SHOWN, text, right);
}

int conf_value_size(const char *text, int64_t *ret, struct conf_error *err)
{
	return value_with_unit(text, size_units,
			       "a number with one of the units K M G, like \"10M\"", ret, err);
}

int conf_value_duration(const char *text, int64_t *ret, struct conf_error *err)
{
	return value_with_unit(text, duration_units,
			       "a number with one of the units ms s m h d, like \"90s\"", ret, err);
}

static int days_in(int year, int month)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

int conf_value_date(const char *text, int64_t *ret, struct conf_error *err)
{
	int number[3] = { 0 };	/* year, month, day */
	bool right = strlen(text) == 10;

	for (int i = 0, part = 0; i < 10 && right; i++) {
		if (i == 4 || i == 7) {
			right = text[i] == '-';
			part++;
		} else {
			right = text[i] >= '0' && text[i] <= '9';
			number[part] = number[part] * 10 + (text[i] - '0');
		}
	}
	if (!right || number[0] == 0 || number[1] < 1 || number[1] > 12 || number[2] < 1 ||
	    number[2] > days_in(number[0], number[1]))
		return conf_error_set(err, "is \"%.*s\"; it must be a day like \"2020-01-31\"", SHOWN, text);
	*ret = (number[0] * 100 + number[1]) * 100 + number[2];
	return 0;
}

void conf_value_print_date(int64_t day, char *buf, size_t size)
{
	if (day == 0)
		snprintf(buf, size, "%s", "");
	else
		snprintf(buf, size, "%04d-%02d-%02d", (int)(day / 10000), (int)(day / 100 % 100), (int)(day % 100));
}

static void value_print_unit(int64_t number, const struct unit *units, const char *base,
			     char *buf, size_t size)
{
	const char *name = base;
	int64_t factor = 1;

	for (; number != 0 && units->name; units++) {
		if (number % units->factor == 0) {
			name = units->name;
			factor = units->factor;
		}
	}
	snprintf(buf, size, "%" PRId64 "%s", number / factor, name);
}

void conf_value_print_duration(int64_t ms, char *buf, size_t size)
{
	value_print_unit(ms, duration_units, ms == 0 ? "s" : "ms", buf, size);
}

void conf_value_print_size(int64_t bytes, char *buf, size_t size)
{
	value_print_unit(bytes, size_units, "", buf, size);
}

/* Length of the UTF-8 character at p, of which len bytes are there; 0: malformed. */
static size_t value_utf8_char(const unsigned char *p, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;	/* shorter forms exist */
	else if (p[0] == 0xed)
		high = 0x9f;	/* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;	/* beyond U+10FFFF */
	if (n > len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

bool conf_value_is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	while (len > 0) {
		size_t n = value_utf8_char(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}
