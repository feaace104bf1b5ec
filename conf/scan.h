/*
 * scan: the outline of a configuration file: which key and which section
 * stands on which line.
 *
 * libConfuse reads the values, but it cannot be asked where one stood, counts
 * a line with a comment more than once, takes a section whose closing brace
 * is missing for complete, and keeps only the last of two equal keys. So the
 * form is checked here first, and the lines of all messages come from here.
 *
 * What passes is a subset of what libConfuse reads: one value per key, or a list
 * of values in braces without comments, strings on one line, no ${VARIABLE}s (a file must mean the
 * same to cron and to the daemon), no functions or nested sections.
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct conf_error;

enum scan_kind {
	SCAN_KEY,
	SCAN_SECTION,		/* followed by its keys and a SCAN_END */
	SCAN_END,
};

struct scan_item {
	enum scan_kind kind;
	int line;		/* from 1 */
	const char *name;	/* into the text, not terminated */
	size_t name_len;
	const char *title;	/* SCAN_SECTION: as written; NULL when missing */
	size_t title_len;
	bool list;		/* SCAN_KEY: its value is a list */
};

struct scan {
	struct scan_item *items;
	size_t item_n;
	size_t item_cap;
};

/*
 * text is borrowed for as long as the items are used. Returns 0, or -1 with a
 * whole text, file name and line included; scan_done() is due in both cases.
 */
int scan_text(const char *text, const char *file, struct scan *ret, struct conf_error *err);

void scan_done(struct scan *scan);

#endif
