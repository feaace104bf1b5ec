/*
 * repair: what a target does not take is changed so that it does, byte for byte as it comes by: bare newlines, NUL bytes, over-long lines, a missing
 * line end. Pure, and of constant memory. The same bytes in give the same bytes out, however they are cut: so the length of what comes out is found by a first
 * run over the message, and announced before the second.
 */
#ifndef GODWIT_REPAIR_H
#define GODWIT_REPAIR_H

#include "buf.h"

/* What may be repaired, by name: REPAIR(name, bit, words for people). */
#define REPAIRS(X)                                                                                                     \
	X(NEWLINES, 1u, "newlines", "bare newlines became CRLF")                                                       \
	X(NUL, 2u, "nul", "NUL bytes were taken out")                                                                  \
	X(LINES, 4u, "lines", "lines of more than 998 bytes were cut")                                                 \
	X(END, 8u, "end", "the line end that was missing was added")
enum repair_kind {
#define X(name, bit, text, words) REPAIR_##name = bit,
	REPAIRS(X)
#undef X
};

/* What would heal a refusal with these words, of enum repair_kind; 0: that is not known. */
unsigned repair_for(struct span words);
/* The target refused keywords or flags, by these words. */
bool repair_is_about_flags(struct span words);

struct repair {
	unsigned kinds;   /* allowed */
	unsigned done;    /* what was changed */
	size_t column;    /* bytes of the line so far */
	bool cr;          /* the last byte was a CR that is not written yet */
	bool ended;       /* the last that was written is CRLF */
};

void repair_begin(struct repair *r, unsigned kinds);
/* Appends to `out` what becomes of `in`. 0, or the errors of buf_append(). */
int repair_add(struct repair *r, struct span in, struct buf *out);
int repair_end(struct repair *r, struct buf *out);
/* "bare newlines became CRLF; NUL bytes were taken out" */
void repair_words(unsigned kinds, char *text, size_t size);

#endif
