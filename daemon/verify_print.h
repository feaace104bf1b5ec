/* verify_print: what verify has to tell of one mailbox, as text or as JSON, folder by folder. */
#ifndef GODWIT_VERIFY_PRINT_H
#define GODWIT_VERIFY_PRINT_H

#include <stdio.h>

#include "record.h"
#include "verify.h"

/* Begins as zeroes, but for `out`, `json` and `columns`. */
struct verify_print {
	FILE *out;
	bool json;
	size_t columns; /* of the terminal: what does not fit goes on in the next line; 0: there is none */
	bool folder, item; /* one was written already (JSON: of this list; text: of this folder) */
};

/* Text: the folders in which something is to be told, a line or more for each message. JSON: the elements of an array of folders. */
void verify_print(struct verify_print *p, const struct verify_event *ev);

/* "1,198 of 1,206 messages equal in 5 folders; 2 missing, 1 altered; 4 extra on the target", without the end of the line. */
void verify_print_counts(FILE *out, const struct verify_counts *c);
void verify_record_counts(struct record *r, const struct verify_counts *c);
/* Something of the source is not, or not as it was, on the target; or nothing can be said of it. */
bool verify_is_different(const struct verify_counts *c);

#endif
