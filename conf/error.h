/*
 * error: the one text a configuration file or a mailbox list is refused with.
 *
 * Nothing in this folder prints or logs: what is wrong is returned, and the
 * caller decides where it goes. A text is complete and made for the operator:
 * "FILE:LINE: what is wrong; what would be right". It never holds a password.
 */
#ifndef CONF_ERROR_H
#define CONF_ERROR_H

struct conf_error {
	char text[512];		/* one line of UTF-8, always terminated */
};

/*
 * Writes a text without a place. Too long a text is cut at a character. Always
 * returns -1, so that a caller can say "return conf_error_set(...)".
 */
int conf_error_set(struct conf_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The same with "FILE:LINE: " before it, or "FILE: " when line is 0. Of a very
 * long file name only the end is kept, so that there is room for the message.
 */
int conf_error_at(struct conf_error *err, const char *file, int line,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
