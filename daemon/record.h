/*
 * record: one JSON object (RFC 8259), built member by member and written as one line. Bytes that are not UTF-8, in somebody else's words, become U+FFFD. Aborts when
 * memory is out.
 */
#ifndef GODWIT_RECORD_H
#define GODWIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct record;
struct record *record_new(void);
void record_free(struct record **r);
void record_text(struct record *r, const char *name, const char *text);
/* The same, null when the text is empty. */
void record_text_or_null(struct record *r, const char *name, const char *text);
/* An array of texts. */
void record_texts(struct record *r, const char *name, const char *const *texts, size_t n);
/* Numbers above INT64_MAX become that. */
void record_number(struct record *r, const char *name, uint64_t n);
void record_flag(struct record *r, const char *name, bool yes);
void record_null(struct record *r, const char *name);
/* Wall ms since 1970 as "2026-11-23T06:21:00Z", 0 as null. */
void record_time(struct record *r, const char *name, int64_t wall);
/* Takes over *inner. */
void record_put(struct record *r, const char *name, struct record **inner);
/* Adds to an array, which is made with its first item; all are taken over. */
void record_append(struct record *r, const char *name, struct record **item);
/* The object as text, to be freed; *n: its length. Frees *r. */
char *record_take(struct record **r, size_t *n);
/* Writes the object without a line end; `open` leaves out the closing brace, so that more can be written behind. Frees *r. */
void record_print(struct record **r, FILE *out, bool open);

#endif
