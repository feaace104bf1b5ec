/*
 * value: texts into typed values.
 *
 * Every reader takes a whole, terminated text, never NULL, and either stores
 * the value and returns 0, or leaves *ret alone and returns -1 with a text in
 * err that wants a subject before it: "has a password in it; ...". The caller
 * knows the subject (the key, the argument) and the place.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_error;

/* "true" "yes" "on" / "false" "no" "off", in any case */
int conf_value_bool(const char *text, bool *ret, struct conf_error *err);

/* a whole decimal number with an optional minus sign */
int conf_value_int(const char *text, int64_t *ret, struct conf_error *err);

/* bytes: "512K" "10M" "1G" (powers of 1024); a bare number is refused */
int conf_value_size(const char *text, int64_t *ret, struct conf_error *err);

/* milliseconds: "500ms" "90s" "5m" "24h" "7d"; a bare number is refused */
int conf_value_duration(const char *text, int64_t *ret, struct conf_error *err);

/* a day, "2020-01-31", as the number 20200131 */
int conf_value_date(const char *text, int64_t *ret, struct conf_error *err);
/* "" for 0. */
void conf_value_print_date(int64_t day, char *buf, size_t size);

/* Writes ms or bytes in the largest unit that is exact: "90s", "1h", "10M". */
void conf_value_print_duration(int64_t ms, char *buf, size_t size);
void conf_value_print_size(int64_t bytes, char *buf, size_t size);

/* True when the bytes are well-formed UTF-8 (RFC 3629). */
bool conf_value_is_utf8(const char *text, size_t len);

/*
 * Where a mailbox is: an IMAP URL (RFC 5092) of the iserver form.
 * imaps:// speaks TLS from the first byte (port 993), imap:// begins in plain
 * text and then asks for STARTTLS (port 143).
 */
struct conf_url {
	bool tls_first;
	char *host;		/* owned; an IPv6 address stands without brackets */
	uint16_t port;		/* never 0 */
	char *user;		/* owned; percent-decoded UTF-8, NULL when not given */
};

#define CONF_URL_ORIGIN_MAX 280	/* room that any origin fits in */

/*
 * On success the caller owns ret's strings: conf_url_done(). The text of an
 * error never repeats the URL, since a password may stand in it.
 */
int conf_url_read(const char *text, struct conf_url *ret, struct conf_error *err);

/*
 * Writes "imaps://host:port", with brackets around IPv6 and without the user.
 * Returns 0, or -1 when size bytes are not enough.
 */
int conf_url_origin(const struct conf_url *url, char *buf, size_t size);

/* Frees the strings and zeroes the struct; it may be zero already. */
void conf_url_done(struct conf_url *url);

#endif
