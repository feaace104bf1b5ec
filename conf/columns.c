#include "columns.h"

#include <string.h>
#include <strings.h>

#include "error.h"
#include "value.h"

#define NATIVE "source_user, source_password, target_user, target_password"
#define EXCHANGE "EmailAddress, UserName, Password and, where it differs, TargetPassword"

struct column {
	const char *name;
	enum mailbox_field field;
	bool exchange;
	bool optional;
};

static const struct column known[] = {
	{ "source_user", MAILBOX_SOURCE_USER, false, false },
	{ "source_password", MAILBOX_SOURCE_PASSWORD, false, false },
	{ "target_user", MAILBOX_TARGET_USER, false, false },
	{ "target_password", MAILBOX_TARGET_PASSWORD, false, false },
	{ "EmailAddress", MAILBOX_TARGET_USER, true, false },
	{ "UserName", MAILBOX_SOURCE_USER, true, false },
	{ "Password", MAILBOX_SOURCE_PASSWORD, true, false },
	{ "TargetPassword", MAILBOX_TARGET_PASSWORD, true, true },
};

#define KNOWN_N (sizeof(known) / sizeof(known[0]))

static const struct column *column_find(const char *name, size_t len)
{
	for (size_t i = 0; i < KNOWN_N; i++) {
		if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0)
			return &known[i];
	}
	return NULL;
}

/* Keeps the name for the message, cut at a character. */
static void column_keep_unknown(struct columns *columns, const char *name, size_t len)
{
	size_t room = sizeof(columns->unknown_buf) - 1;

	if (!conf_value_is_utf8(name, len))
		columns->not_utf8 = true;
	if (len > room) {
		len = room;
		while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(columns->unknown_buf, name, len);
	columns->unknown_buf[len] = '\0';
	columns->unknown = columns->unknown_buf;
}

void columns_add(struct columns *columns, const char *name, size_t len)
{
	const struct column *column;
	size_t place = columns->n++;

	while (len > 0 && (*name == ' ' || *name == '\t')) {
		name++;
		len--;
	}
	while (len > 0 && (name[len - 1] == ' ' || name[len - 1] == '\t'))
		len--;
	column = column_find(name, len);
	if (!column && !columns->unknown)
		column_keep_unknown(columns, name, len);
	if (place >= COLUMNS_MAX)
		return;
	columns->seen[place] = column ? column->name : NULL;
	if (column)
		columns->field[place] = column->field;
}

static const struct column *column_named(const char *name)
{
	return column_find(name, strlen(name));
}

/* No known name at all: what the line looks like instead. */
static int columns_refuse_all(const struct columns *columns, struct conf_error *err)
{
	if (columns->n == 1 && strchr(columns->unknown_buf, ';'))
		return conf_error_set(err, "the columns are separated by semicolons; "
				      "separate them by commas");
	if (columns->n == 1 && strchr(columns->unknown_buf, '\t'))
		return conf_error_set(err, "the columns are separated by tabs; "
				      "separate them by commas");
	return conf_error_set(err, "this is no header line; the first line names the columns: "
			      NATIVE);
}

static int columns_check_known(struct columns *columns, struct conf_error *err)
{
	size_t n = columns->n < COLUMNS_MAX ? columns->n : COLUMNS_MAX;
	size_t named = 0;

	for (size_t i = 0; i < n; i++) {
		if (columns->seen[i] && named++ == 0)
			columns->exchange = column_named(columns->seen[i])->exchange;
	}
	if (named == 0)
		return columns_refuse_all(columns, err);
	if (columns->not_utf8)
		return conf_error_set(err, "a column's name is not UTF-8; save the list as UTF-8");
	if (columns->unknown)
		return conf_error_set(err, "unknown column \"%s\"; the columns are %s",
				      columns->unknown, columns->exchange ? EXCHANGE : NATIVE);
	return 0;
}

/* The server whose administrator makes the column useless, or NULL. Exchange's Password is for both sides where TargetPassword is missing. */
static const char *column_useless(const struct columns *columns, enum mailbox_field field,
				  const struct mailbox_admins *admins)
{
	bool both = columns->exchange && !columns->has[MAILBOX_TARGET_PASSWORD];

	if (field == MAILBOX_TARGET_PASSWORD || (field == MAILBOX_SOURCE_PASSWORD && both && admins->source))
		return admins->target;
	return field == MAILBOX_SOURCE_PASSWORD ? admins->source : NULL;
}

static int columns_check_needed(const struct columns *columns, const struct mailbox_admins *admins,
				struct conf_error *err)
{
	for (size_t i = 0; i < KNOWN_N; i++) {
		const struct column *column = &known[i];
		const char *server = column_useless(columns, column->field, admins);

		if (column->exchange != columns->exchange)
			continue;
		if (columns->has[column->field] && server)
			return conf_error_set(err, "the column %s is of no use: the admin_user of server "
					      "\"%s\" logs in for all; leave the column out",
					      column->name, server);
		if (!columns->has[column->field] && !server && !column->optional)
			return conf_error_set(err, "the column %s is missing; the columns are %s",
					      column->name, columns->exchange ? EXCHANGE : NATIVE);
	}
	return 0;
}

int columns_check(struct columns *columns, const struct mailbox_admins *admins,
		  struct conf_error *err)
{
	if (columns_check_known(columns, err) < 0)
		return -1;
	for (size_t i = 0; i < columns->n && i < COLUMNS_MAX; i++) {
		const struct column *column = column_named(columns->seen[i]);

		for (size_t j = 0; j < i; j++) {
			if (columns->seen[j] == columns->seen[i])
				return conf_error_set(err, "the column %s stands twice; "
						      "leave one of them out", columns->seen[i]);
		}
		if (column->exchange != columns->exchange)
			return conf_error_set(err, "the column %s is of another kind of list than "
					      "%s; the columns are either " NATIVE ", or " EXCHANGE,
					      columns->seen[i], columns->seen[0]);
		columns->has[column->field] = true;
	}
	return columns_check_needed(columns, admins, err);
}
