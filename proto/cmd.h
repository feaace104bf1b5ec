/*
 * cmd: one command as it goes to the server: text, and the places in it where the client must wait (a synchronising literal,
 * RFC 9051 section 4.3) or where the bytes of a message, that are never held here, come between.
 */
#ifndef GODWIT_CMD_H
#define GODWIT_CMD_H

#include "buf.h"

/* Which literals may be sent without waiting (RFC 7888). */
enum literal_mode {
	LITERAL_SYNC,
	LITERAL_MINUS, /* those of up to 4096 bytes */
	LITERAL_PLUS
};

enum cmd_mark_kind {
	CMD_WAIT, /* stop until "+" */
	CMD_BODY  /* `size` bytes from elsewhere belong here */
};

struct cmd_mark {
	size_t at; /* offset in the text */
	enum cmd_mark_kind kind;
	uint64_t size;
};

struct cmd {
	struct buf text;
	struct cmd_mark *mark;
	size_t mark_n, mark_size;
	enum literal_mode mode;
	uint64_t sync_above; /* literals of messages larger than this wait for "+" even with LITERAL+, so that a refused one is not uploaded; UINT64_MAX: never */
	bool utf8_quoted;    /* UTF8=ACCEPT: quoted strings may hold UTF-8 */
	size_t secret_from, secret_to; /* bytes of the text that logs must not show; equal: none */
};

void cmd_init(struct cmd *c, size_t cap, enum literal_mode mode);
void cmd_done(struct cmd *c);
/* All return 0, PROTO_ERR_NOMEM or PROTO_ERR_CAP; an error adds nothing. */
int cmd_text(struct cmd *c, struct span raw);             /* as it is */
int cmd_str(struct cmd *c, const char *raw);
/* An astring: atom where possible, else quoted, else a literal (bytes with CR, LF, 8-bit; NUL is PROTO_ERR_SYNTAX). */
int cmd_astring(struct cmd *c, struct span s);
/* The announcement of a message literal and the mark for its bytes: " {n}CRLF" or " {n+}CRLF"; `binary`: "~{n}" (RFC 3516). */
int cmd_body(struct cmd *c, uint64_t size, bool binary);
/* The message of SASL PLAIN (RFC 4616 section 2) in base64: `user` on behalf of `behalf` (empty: as himself), with his password. It is the command's secret: masked in
 * logs, overwritten at the end. NUL in one of them is PROTO_ERR_SYNTAX. */
int cmd_plain(struct cmd *c, struct span behalf, struct span user, struct span password);
/* Stop here until "+". */
int cmd_wait(struct cmd *c);
/* Appends the command for a log: secrets as ***, bodies as their announcement, no CRLF. */
int cmd_redacted(const struct cmd *c, struct buf *out);

#endif
