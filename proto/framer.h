/*
 * framer: cuts a server's bytes into responses, resumable at any byte. A response is a line together with the literals
 * in it, up to the CRLF that ends it. Small literals are kept inside the line's bytes ("{3}\r\nabc"); the literal of a
 * message body in a FETCH response, BODY[] BINARY[] or RFC822 (with or without <offset>), is not: it is handed on in
 * pieces as it arrives, and the line then goes on behind it. In the kept bytes such a literal is its announcement
 * "{n}\r\n" only; `streamed` is the offset of its '{' (SIZE_MAX: none). Only the first body literal of a response is
 * streamed, a second one counts as small.
 *
 * The human text of OK, NO, BAD, BYE, PREAUTH and "+" cannot hold literals: "{5}" at its end is text. A line that ends
 * in a bare LF is accepted.
 */
#ifndef GODWIT_FRAMER_H
#define GODWIT_FRAMER_H

#include "buf.h"

struct framer_limits {
	size_t line_max;    /* bytes of one response with its small literals, without streamed ones */
	uint64_t body_max;  /* bytes of a streamed literal */
};

enum frame_kind {
	FRAME_NONE,       /* all of `in` is used up; more bytes are needed */
	FRAME_LINE,       /* `bytes`: a complete response, CRLF included */
	FRAME_BODY_BEGIN, /* `bytes`: the response so far, ends with "{n}\r\n"; `size` is n */
	FRAME_BODY_DATA,  /* `bytes`: the next piece of the body, borrowed from `in` */
	FRAME_BODY_END    /* the body is complete; the rest of the line follows */
};

struct frame {
	enum frame_kind kind;
	struct span bytes; /* valid until the next call */
	uint64_t size;
	size_t streamed;
	bool literal8;     /* "~{n}" (RFC 3516) */
};

struct framer;
/* NULL when memory is out. */
struct framer *framer_new(const struct framer_limits *limits);
void framer_free(struct framer **f);
/* Takes bytes off the front of *in and says what they complete. 0, PROTO_ERR_NOMEM, PROTO_ERR_CAP (a line or
 * literal is longer than allowed), PROTO_ERR_SYNTAX; after an error the framer is dead and repeats it. A line that
 * lies whole within `in` is not copied. */
int framer_next(struct framer *f, struct span *in, struct frame *ret);
/* Frees what is kept between responses; does nothing in the middle of one. Not before the last frame is done with. */
void framer_trim(struct framer *f);

#endif
