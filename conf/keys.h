/*
 * keys: the table of keys.def as data, and what follows from a row alone.
 *
 * Invariants: conf_keys[] is in the order of keys.def, grouped by section;
 * every default in it passes its own row's checks.
 */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_error;

#define CONF_HOUR_MS (INT64_C(60) * 60 * 1000)

enum conf_section {
	CONF_SECTION_GLOBAL,
	CONF_SECTION_SERVER,
	CONF_SECTION_MIGRATION,
};

enum conf_type {
	CONF_TYPE_STRING,	/* const char * */
	CONF_TYPE_PATH,		/* const char *, absolute */
	CONF_TYPE_URL,		/* struct conf_url */
	CONF_TYPE_BOOL,		/* bool */
	CONF_TYPE_CHOICE,	/* an enum that begins with 0 */
	CONF_TYPE_WORDS,	/* unsigned, a bit for each word of the unit */
	CONF_TYPE_INT,		/* int */
	CONF_TYPE_SIZE,		/* int64_t, bytes */
	CONF_TYPE_DURATION,	/* int64_t, milliseconds */
	CONF_TYPE_LIST,		/* struct conf_list */
	CONF_TYPE_DATE,		/* int64_t, 20200131; 0: not set */
};

struct conf_key {
	enum conf_section section;
	enum conf_type type;
	const char *name;
	size_t offset;		/* of the field in its section's struct */
	const char *def;	/* NULL: required, "": not set */
	int64_t min, max;	/* INT, SIZE, DURATION: both included */
	const char *unit;
	bool reloadable;
	const char *meaning;
};

extern const struct conf_key conf_keys[];
extern const size_t conf_key_n;

/* "server", "migration"; "" for the keys outside of any section */
const char *conf_section_name(enum conf_section section);

/* The row with that name (len bytes, not terminated), or NULL. */
const struct conf_key *conf_key_find(enum conf_section section, const char *name, size_t len);

/* The name in that section that looks most like it, sections' names included. */
const char *conf_key_nearest(enum conf_section section, const char *name, size_t len);

/*
 * Gives every key of the section its default: object is a struct conf,
 * conf_server or conf_migration. Texts point into the table. Required keys and
 * those without a default become zero or NULL.
 */
void conf_key_defaults(enum conf_section section, void *object);

/* INT, SIZE, DURATION, DATE: the field of that key in its section's struct. */
int64_t conf_key_number(const struct conf_key *key, const void *object);
void conf_key_set_number(const struct conf_key *key, void *object, int64_t number);

/* INT, SIZE, DURATION, DATE: reads and checks the range; see value.h for errors. */
int conf_key_read_number(const struct conf_key *key, const char *text, int64_t *ret,
			 struct conf_error *err);

/* CHOICE: reads one of the words, in any case; see value.h for errors. */
int conf_key_read_choice(const struct conf_key *key, const char *text, unsigned *ret,
			 struct conf_error *err);

/* WORDS: reads any of the words with blanks or commas in between, in any case, or "off" for none. */
int conf_key_read_words(const struct conf_key *key, const char *text, unsigned *ret,
			struct conf_error *err);
void conf_key_print_words(const struct conf_key *key, unsigned value, char *buf, size_t size);

/* CHOICE: writes the word of that value. */
void conf_key_print_choice(const struct conf_key *key, unsigned value, char *buf, size_t size);

/* CHOICE: writes all words for people: "auto, on or off". */
void conf_key_print_choices(const struct conf_key *key, char *buf, size_t size);

/* Writes a number as it would stand in the file, without quotes. */
void conf_key_print_number(const struct conf_key *key, int64_t number, char *buf, size_t size);

#endif
