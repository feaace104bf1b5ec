/*
 * conn_words: what a server says while libcurl logs in, line by line: the capabilities that hold afterwards, and its own words when it
 * refuses. Bounded whatever it says.
 */
#ifndef GODWIT_CONN_WORDS_H
#define GODWIT_CONN_WORDS_H

#include "conn.h"

struct conn_words {
	bool greeted;           /* a line has come */
	bool garbage;           /* the first one is not IMAP's; `other` has its beginning */
	bool refused;           /* the last tagged response was NO or BAD: `refusal` */
	bool bye;               /* `parting` */
	enum code refusal_code, parting_code, other_code;
	char refusal[256];
	char parting[256];
	char other[256];        /* an untagged NO, BAD or ALERT */
	struct resp_caps caps;  /* told during the last completed command: after a login that succeeded, the login's */
	struct resp_caps during;
};

/* Takes one line of the server's in. */
void conn_words_line(struct conn_words *w, struct span line);
/* Replaces what would give the password away, plain or as a SASL message, by "***". In place; `text` never grows beyond `size`. */
void conn_words_mask(char *text, size_t size, const struct endpoint *ep, const struct credentials *login);
/* A login that the server refused with these words, masked already: adds whose login it was when it was not the user's own. */
void conn_words_refused(struct conn_failure *f, enum code code, const char *words, const struct endpoint *ep, const struct credentials *login);

#endif
