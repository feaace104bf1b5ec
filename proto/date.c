#include "date.h"

enum { ZONE_MAX = 23 * 60 + 59, DAY = 86400 };

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* First and last second of the years 0..9999, the ones that have four digits. */
static const int64_t local_min = -62167219200, local_max = 253402300799;

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of(unsigned year, unsigned month)
{
	static const unsigned char days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month] + (month == 1 && is_leap(year));
}

/* Days from 0000-01-01 (proleptic Gregorian) to the first day of the year. */
static int64_t days_before(unsigned year)
{
	if (year == 0)
		return 0;
	return (int64_t)year * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1;
}

/* Exactly n digits at *at; moves on. */
static bool take_digits(struct span text, size_t *at, size_t n, unsigned *ret)
{
	unsigned v = 0;

	if (n > text.n - *at)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(unsigned char)text.p[*at + i] - '0';

		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	*at += n;
	*ret = v;
	return true;
}

static bool take_char(struct span text, size_t *at, char c)
{
	if (*at >= text.n || text.p[*at] != c)
		return false;
	++*at;
	return true;
}

static bool take_day(struct span text, size_t *at, unsigned *ret)
{
	if (take_char(text, at, ' '))
		return take_digits(text, at, 1, ret);
	return take_digits(text, at, 2, ret) || take_digits(text, at, 1, ret);
}

static bool take_month(struct span text, size_t *at, unsigned *ret)
{
	struct span word = span_first(span_from(text, *at), 3);

	for (unsigned i = 0; i < 12; i++)
		if (span_eq_nocase(word, span_of(month_names[i], 3))) {
			*at += 3;
			*ret = i;
			return true;
		}
	return false;
}

static bool take_day_of_year(struct span text, size_t *at, int64_t *ret)
{
	unsigned day, month, year;

	if (!take_day(text, at, &day) || !take_char(text, at, '-') || !take_month(text, at, &month) ||
	    !take_char(text, at, '-') || !take_digits(text, at, 4, &year))
		return false;
	if (day < 1 || day > days_of(year, month))
		return false;
	*ret = days_before(year) + day - 1;
	for (unsigned i = 0; i < month; i++)
		*ret += days_of(year, i);
	return true;
}

static bool take_time(struct span text, size_t *at, int64_t *ret)
{
	unsigned hour, minute, second;

	if (!take_digits(text, at, 2, &hour) || !take_char(text, at, ':') || !take_digits(text, at, 2, &minute) ||
	    !take_char(text, at, ':') || !take_digits(text, at, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	*ret = (int64_t)hour * 3600 + minute * 60 + second;
	return true;
}

static bool take_zone(struct span text, size_t *at, int16_t *ret)
{
	unsigned hour, minute;
	bool west = take_char(text, at, '-');

	if (!west && !take_char(text, at, '+'))
		return false;
	if (!take_digits(text, at, 2, &hour) || !take_digits(text, at, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ret = (int16_t)(hour * 60 + minute);
	if (west)
		*ret = (int16_t)-*ret;
	return true;
}

bool date_parse(struct span text, struct date *ret)
{
	size_t at = 0;
	int64_t days, seconds;
	int16_t zone;

	if (!take_day_of_year(text, &at, &days) || !take_char(text, &at, ' ') || !take_time(text, &at, &seconds) ||
	    !take_char(text, &at, ' ') || !take_zone(text, &at, &zone) || at != text.n)
		return false;
	ret->instant = local_min + days * DAY + seconds - zone * 60;
	ret->zone = zone;
	return true;
}

static void put_digits(char *to, unsigned v, size_t n)
{
	while (n-- > 0) {
		to[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* The local second of the date, clamped to four-digit years. */
static int64_t local_of(int64_t instant, int zone)
{
	int64_t shift = (int64_t)zone * 60;

	if (instant < local_min - shift)
		return local_min;
	if (instant > local_max - shift)
		return local_max;
	return instant + shift;
}

struct calendar {
	unsigned year, month, day; /* month from 0 */
	unsigned second;           /* of the day */
};

static struct calendar calendar_of(int64_t instant, int zone)
{
	int64_t since = local_of(instant, zone) - local_min, days = since / DAY;
	struct calendar c = { .year = (unsigned)(days / 366), .second = (unsigned)(since % DAY) };

	while (days_before(c.year + 1) <= days)
		c.year++;
	days -= days_before(c.year);
	while (days >= days_of(c.year, c.month))
		days -= days_of(c.year, c.month++);
	c.day = (unsigned)days + 1;
	return c;
}

uint32_t date_day(struct date d)
{
	struct calendar c = calendar_of(d.instant, d.zone);

	return (c.year * 100 + c.month + 1) * 100 + c.day;
}

void date_print(struct date d, char ret[DATE_TEXT])
{
	int zone = d.zone > ZONE_MAX ? ZONE_MAX : d.zone < -ZONE_MAX ? -ZONE_MAX : d.zone;
	struct calendar c = calendar_of(d.instant, zone);
	unsigned away = (unsigned)(zone < 0 ? -zone : zone);

	memcpy(ret, "dd-Mon-yyyy hh:mm:ss +zone", DATE_TEXT);
	put_digits(ret, c.day, 2);
	memcpy(ret + 3, month_names[c.month], 3);
	put_digits(ret + 7, c.year, 4);
	put_digits(ret + 12, c.second / 3600, 2);
	put_digits(ret + 15, c.second / 60 % 60, 2);
	put_digits(ret + 18, c.second % 60, 2);
	ret[21] = zone < 0 ? '-' : '+';
	put_digits(ret + 22, away / 60 * 100 + away % 60, 4);
}

/* Headers. */

static void skip_blanks(struct span text, size_t *at)
{
	while (*at < text.n && (text.p[*at] == ' ' || text.p[*at] == '\t'))
		++*at;
}

/* RFC 5322 section 4.3: two and three digits of obsolete years. */
static bool take_any_year(struct span text, size_t *at, unsigned *ret)
{
	if (take_digits(text, at, 4, ret))
		return true;
	if (take_digits(text, at, 3, ret)) {
		*ret += 1900;
		return true;
	}
	if (!take_digits(text, at, 2, ret))
		return false;
	*ret += *ret < 50 ? 2000 : 1900;
	return true;
}

static bool take_hour(struct span text, size_t *at, int64_t *ret)
{
	unsigned hour, minute, second = 0;

	if ((!take_digits(text, at, 2, &hour) && !take_digits(text, at, 1, &hour)) || !take_char(text, at, ':') ||
		!take_digits(text, at, 2, &minute))
		return false;
	if (take_char(text, at, ':') && !take_digits(text, at, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	*ret = (int64_t)hour * 3600 + minute * 60 + second;
	return true;
}

/* Names that are not of North America say nothing (RFC 5322 section 4.3). */
static int16_t named_zone(struct span name)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (span_starts_nocase(name, span_str(zones[i].name)))
			return (int16_t)(zones[i].hours * 60);
	return 0;
}

bool date_parse_header(struct span text, struct date *ret)
{
	size_t at = 0, comma = span_find(text, ',');
	unsigned day, month, year;
	int64_t days, seconds;
	int16_t zone;

	if (comma != SIZE_MAX)
		at = comma + 1;
	skip_blanks(text, &at);
	if (!take_digits(text, &at, 2, &day) && !take_digits(text, &at, 1, &day))
		return false;
	skip_blanks(text, &at);
	if (!take_month(text, &at, &month))
		return false;
	skip_blanks(text, &at);
	if (!take_any_year(text, &at, &year) || day < 1 || day > days_of(year, month))
		return false;
	skip_blanks(text, &at);
	if (!take_hour(text, &at, &seconds))
		return false;
	skip_blanks(text, &at);
	if (!take_zone(text, &at, &zone))
		zone = named_zone(span_from(text, at));
	days = days_before(year) + day - 1;
	for (unsigned i = 0; i < month; i++)
		days += days_of(year, i);
	ret->instant = local_min + days * DAY + seconds - zone * 60;
	ret->zone = zone;
	return true;
}
