/*
 * flags: the flags of one message: the five system flags that can be kept, and keywords (RFC 9051 section 2.3.2). \Recent is
 * read and dropped: it belongs to the session, not to the message. Other flags that begin with a backslash are counted as
 * `unknown` and dropped: servers answer BAD to those that they do not know. So are keywords that no client may send, with
 * 8-bit bytes or ']' in them: some servers have them, and a message is not worth losing over one.
 */
#ifndef GODWIT_FLAGS_H
#define GODWIT_FLAGS_H

#include "arena.h"
#include "buf.h"

/* In the order in which they are printed. */
#define FLAGS_SYSTEM(X)                                                                                                \
	X(FLAG_ANSWERED, 1u, "\\Answered")                                                                             \
	X(FLAG_DELETED, 2u, "\\Deleted")                                                                               \
	X(FLAG_DRAFT, 4u, "\\Draft")                                                                                   \
	X(FLAG_FLAGGED, 8u, "\\Flagged")                                                                               \
	X(FLAG_SEEN, 16u, "\\Seen")

enum flag {
#define X(name, bit, text) name = bit,
	FLAGS_SYSTEM(X)
#undef X
};

struct flags {
	unsigned system;          /* of enum flag */
	const struct span *keywords; /* sorted, ASCII case ignored; no two alike */
	size_t keyword_n;
	unsigned unknown;         /* dropped flags, \Recent not counted */
	bool any_keyword;         /* "\*" was among them: PERMANENTFLAGS allows new keywords */
};

/* Parses the inside of a parenthesised flag list, blanks between; keywords point into `text`, the array lives in the arena.
 * Words with bytes no flag can have are counted as unknown. PROTO_ERR_NOMEM, PROTO_ERR_CAP. */
int flags_parse(struct flags *ret, struct span text, struct arena *a);
/* Appends the canonical text "\Answered \Seen $Forwarded": equal sets give equal bytes. */
int flags_print(struct buf *out, const struct flags *f);
/* Whether PERMANENTFLAGS allows the flag of this name. */
bool flags_allow(const struct flags *permanent, struct span name);
/* Takes away what PERMANENTFLAGS does not allow; returns how many flags went, or SIZE_MAX when the arena is exhausted (then
 * f is unchanged). The arena is used only when some, but not all keywords go. */
size_t flags_restrict(struct flags *f, const struct flags *permanent, struct arena *a);

#endif
