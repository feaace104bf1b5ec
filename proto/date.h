/*
 * date: INTERNALDATE, RFC 9051 section 9 date-time: "17-Jul-1996 02:44:25 -0700".
 */
#ifndef GODWIT_DATE_H
#define GODWIT_DATE_H

#include "span.h"

struct date {
	int64_t instant; /* seconds since 1970-01-01 UTC; may be negative */
	int16_t zone;    /* minutes east of UTC */
};

#define DATE_TEXT 27 /* bytes of "17-Jul-1996 02:44:25 -0700" and a NUL */

/* False (and *ret untouched) for anything but a possible date: day of month, hour, minute, second (60 allowed) and zone are checked. A day of one
 * digit may be written " 7" or "7". */
bool date_parse(struct span text, struct date *ret);
/* Writes the 26 characters and a NUL. Years outside 0..9999 are clamped. */
void date_print(struct date d, char ret[DATE_TEXT]);

/* The calendar day in the date's own zone, as 20200131. */
uint32_t date_day(struct date d);

/* A date as headers have it (RFC 5322 sections 3.3 and 4.3): "Wed, 17 Jul 1996 02:44:25 -0700 (PDT)". The day of the week, the seconds and the zone may be
 * missing (UTC then), the year may have two or three digits. False as above. */
bool date_parse_header(struct span text, struct date *ret);

#endif
