/*
 * mailboxes: the mailbox list, a CSV file with a header line.
 *
 * Columns, in any order and in any case: source_user, source_password,
 * target_user, target_password. Or those of Exchange's migration batches:
 * EmailAddress (the target's user), UserName and Password (the source's
 * login). An Exchange batch is imported where the target mailbox needs no
 * login; here it does: a further column TargetPassword holds it, and without
 * that column the password of the source is used on both sides.
 *
 * Where an administrator logs in on behalf of the users, the column of that
 * side's passwords is left out: one that nobody uses is an error, so that no
 * passwords lie about without need.
 *
 * Invariants: no value is empty; users are UTF-8 without control characters;
 * no two rows have the same target user, compared without regard to the case
 * of ASCII letters, as nearly every server does.
 *
 * A row costs 20 bytes and its texts once; passwords are overwritten before
 * their memory is given back.
 */
#ifndef CONF_MAILBOXES_H
#define CONF_MAILBOXES_H

#include <stddef.h>
#include <stdint.h>

struct conf_error;

#define MAILBOXES_FIELD_MAX 4096	/* bytes of one value */
#define MAILBOXES_ROW_MAX 1000000

enum mailbox_field {
	MAILBOX_SOURCE_USER,
	MAILBOX_SOURCE_PASSWORD,
	MAILBOX_TARGET_USER,
	MAILBOX_TARGET_PASSWORD,
	MAILBOX_FIELD_N,
};

struct mailbox_row {
	uint32_t at[MAILBOX_FIELD_N];	/* private: where in the texts */
	uint32_t line;			/* where the row begins in the file */
};

struct mailbox_list {
	struct mailbox_row *rows;	/* in the order of the file */
	size_t row_n;
	size_t row_cap;
	char *texts;			/* private: all values, each terminated */
	size_t text_n;
	size_t text_cap;
};

/*
 * The servers where an administrator logs in on behalf of the users, by name;
 * NULL: there, every user does himself and needs a password.
 */
struct mailbox_admins {
	const char *source;
	const char *target;
};

/*
 * Returns 0, or EX_DATAERR (65) with "FILE:LINE: ..." in err and an empty list.
 * A list without rows is no error. mailboxes_free() is due after success.
 */
int mailboxes_load(const char *path, const struct mailbox_admins *admins, struct mailbox_list *ret,
		   struct conf_error *err);

/*
 * A value of a row (row < row_n), valid until mailboxes_free(). NULL for a
 * password that the list does not have, since an administrator logs in.
 */
const char *mailboxes_get(const struct mailbox_list *list, size_t row, enum mailbox_field field);

/* Wipes and frees; the list may be NULL or zero, and is empty afterwards. */
void mailboxes_free(struct mailbox_list *list);

#endif
