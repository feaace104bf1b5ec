/*
 * table: text in columns, for terminals and files. Widths are those of a terminal, in the locale's encoding; control characters and broken bytes in
 * somebody else's words become '?', so that they cannot do anything to the terminal.
 */
#ifndef GODWIT_TABLE_H
#define GODWIT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Columns that the text takes. */
size_t table_width(const char *s);
/* Writes the text. */
void table_text(FILE *out, const char *s);
/* Writes the text and fills up with blanks to that many columns. What is too long goes on beyond, or, with `cut`, ends in "..". */
void table_cell(FILE *out, const char *s, size_t columns, bool cut);
/* The same, the blanks in front. */
void table_right(FILE *out, const char *s, size_t columns);
/* Columns of the terminal behind the file, 0: it is none. */
size_t table_terminal(FILE *out);
/* May it be coloured: a terminal that can, and nobody has objected (NO_COLOR). */
bool table_has_colour(FILE *out);

#define TABLE_TIME 32 /* room for the texts below */
/* "2026-11-23 06:21:00", local time, of wall ms since 1970; "never" for 0. */
const char *table_time(char buf[TABLE_TIME], int64_t wall);
/* "2026-11-23T06:21:00Z"; "" for 0. */
const char *table_iso(char buf[TABLE_TIME], int64_t wall);
/* How long, in at most four columns: "42s", "17m", "23h", "365d". Negative as 0. */
const char *table_span(char buf[TABLE_TIME], int64_t ms);

#endif
