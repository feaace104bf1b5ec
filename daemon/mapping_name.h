/*
 * mapping_name: paths made such that a server can have them.
 */
#ifndef GODWIT_MAPPING_NAME_H
#define GODWIT_MAPPING_NAME_H

#include "arena.h"
#include "name.h"

/* The nearest path that can be written there at all: a delimiter inside a name becomes '_', an empty level "_", and where there are no levels they are joined by '_'.
 * The path itself when nothing is wrong with it. All return 0, PROTO_ERR_NOMEM or _CAP. */
int mapping_name_fit(struct span path, const struct name_style *style, struct arena *a, struct span *ret);
/* What every server should take: no control characters, no blanks at the ends of levels or several in a row, nothing of %*"\/;{}<>|^~?:#& and no level of more than 255 bytes on
 * the wire. What is wrong becomes '_'; what is too long is cut. */
int mapping_name_plain(struct span path, const struct name_style *style, struct arena *a, struct span *ret);
/* A name that some servers keep for what is no folder of mail. */
bool mapping_name_is_reserved(struct span path);
/* "A/B (2)" of "A/B"; `first`: "A (2)/B". */
int mapping_name_number(struct span path, unsigned n, bool first, struct arena *a, struct span *ret);
/* With ASCII letters in lower case. */
int mapping_name_fold(struct span path, struct arena *a, struct span *ret);
/* `a`/`b`; b alone when a is empty. */
int mapping_name_join(struct span a, struct span b, struct arena *memory, struct span *ret);

#endif
