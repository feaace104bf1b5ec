/*
 * header: one field out of a message's header (RFC 5322 section 2.2), for people: to name a message in a list.
 */
#ifndef GODWIT_HEADER_H
#define GODWIT_HEADER_H

#include "buf.h"

/* `text`: a header, or a message from its first byte on; what is behind the first empty line is not looked at. Appends the value of the first field of that
 * name (ASCII case ignored) as one line: blanks at the ends gone, folds and runs of blanks one blank, control characters '?'; of a long one as much as
 * fits into the buf. False when there is no such field, or it is empty. */
bool header_field(struct span text, struct span name, struct buf *out);

#endif
