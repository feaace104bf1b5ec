/*
 * columns: the header line of a mailbox list: which column holds which value.
 */
#ifndef CONF_COLUMNS_H
#define CONF_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "mailboxes.h"

struct conf_error;

#define COLUMNS_MAX 8

struct columns {
	enum mailbox_field field[COLUMNS_MAX];	/* by place in the row */
	size_t n;				/* columns of the header */
	bool has[MAILBOX_FIELD_N];
	bool exchange;
	const char *seen[COLUMNS_MAX];		/* the names of the table */
	const char *unknown;			/* the first one, in unknown_buf */
	char unknown_buf[64];
	bool not_utf8;
};

/* Takes the next column's name; too many are counted and refused at the end. */
void columns_add(struct columns *columns, const char *name, size_t len);

/*
 * Judges the whole header. Returns 0, or -1 with a text without its place. A
 * name from the file is repeated only when the line is clearly a header: the
 * first line of a list without one has passwords in it.
 */
int columns_check(struct columns *columns, const struct mailbox_admins *admins,
		  struct conf_error *err);

#endif
