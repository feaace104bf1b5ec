/*
 * name: wire name (what a server calls a folder, with its delimiter and its namespace prefix, in modified UTF-7) to and from
 * the folder path, the form in which godwit compares, maps, stores and shows folders.
 *
 * A path is UTF-8; its levels are joined by '/'. Inside a level '/' is written "\/" and '\' is written "\\", so a path is
 * unambiguous whatever delimiters two servers have. The first level INBOX is always written in capitals.
 *
 * The prefix is not part of the path: with "INBOX." the wire name "INBOX.Sent" has the path "Sent". Only a name that would then
 * be mistaken for INBOX itself keeps it: "INBOX.INBOX" has the path "INBOX/INBOX". A name outside the prefix is taken whole.
 */
#ifndef GODWIT_NAME_H
#define GODWIT_NAME_H

#include "buf.h"

/* One side's way of naming: the personal namespace of RFC 2342. */
struct name_style {
	char delimiter;     /* 0: the server has no hierarchy (NIL) */
	struct span prefix; /* wire bytes, e.g. "INBOX."; may be empty */
	bool utf8;          /* UTF8=ACCEPT is in force: wire names are plain UTF-8 */
};

/* Appends the path of a wire name. A level that is not valid modified UTF-7 is taken as it is (valid UTF-8, or bytes mapped to
 * U+FFFD), since a folder with a strange name is still a folder; its wire name is then not what name_from_path() gives.
 * Only PROTO_ERR_NOMEM and PROTO_ERR_CAP. */
int name_to_path(struct buf *out, struct span wire, const struct name_style *style);
/* Appends the wire name of a path. PROTO_ERR_NAME when a level is empty or contains the delimiter, there is more than one
 * level and no delimiter, the path is not valid, or plain UTF-8 would have to hold a control character. */
int name_from_path(struct buf *out, struct span path, const struct name_style *style);
/* True when the wire name lies under the namespace prefix (the prefix alone does not), or is INBOX. */
bool name_is_within(struct span wire, const struct name_style *style);
/* The length in bytes of the parent's path, or 0 for a path of one level. */
size_t name_parent(struct span path);
/* The length in bytes of the first level of a path, as it stands there. */
size_t name_level(struct span path);
/* Appends the text of one level of a path, and the other way round. PROTO_ERR_NAME (when a '\' stands before something else), _NOMEM, _CAP. */
int name_from_level(struct buf *out, struct span level);
int name_to_level(struct buf *out, struct span text);
/* True when these bytes are a path: no empty level, each '\' before a '/' or a '\'. */
bool name_is_path(struct span path);

#endif
