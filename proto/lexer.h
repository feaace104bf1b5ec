/*
 * lexer: the tokens of one complete response (see framer.h). Never reads beyond the span, does not recurse, knows the
 * one streamed literal by its offset.
 */
#ifndef GODWIT_LEXER_H
#define GODWIT_LEXER_H

#include "arena.h"

#define LEXER_DEPTH_MAX 32

enum token_kind {
	TOKEN_END,      /* CRLF, or the end of the bytes */
	TOKEN_ATOM,     /* any run of bytes other than blank ( ) " CTL and the '{' of a literal */
	TOKEN_QUOTED,   /* unescaped; a backslash before other bytes than '"' and '\' stands for itself */
	TOKEN_LITERAL,
	TOKEN_STREAMED, /* the body literal; `text` is empty */
	TOKEN_NIL,      /* `text` as written, since a folder may be called so */
	TOKEN_OPEN,     /* ( */
	TOKEN_CLOSE     /* ) */
};

struct token {
	enum token_kind kind;
	struct span text;
};

struct lexer {
	struct span in;  /* what is left */
	size_t at;       /* offset of in.p in the response */
	size_t streamed;
	struct arena *arena; /* for unescaping */
};

void lexer_init(struct lexer *l, struct span response, size_t streamed, struct arena *arena);
/* Skips blanks, takes one token. 0, PROTO_ERR_SYNTAX, PROTO_ERR_NOMEM, PROTO_ERR_CAP. */
int lexer_next(struct lexer *l, struct token *ret);
/* The same; brackets with their content belong to an atom: BODY[HEADER.FIELDS (A B)]<0>. For the names of FETCH
 * items. */
int lexer_item(struct lexer *l, struct token *ret);
/* lexer_next() without taking the token. */
int lexer_peek(struct lexer *l, struct token *ret);
/* Takes one token that has to be of this kind. */
int lexer_expect(struct lexer *l, enum token_kind kind);
/* Takes a number (u32/u64; too large is PROTO_ERR_RANGE), an astring or nstring (NIL is empty), or skips one value:
 * a token or a whole parenthesised list (deeper than LEXER_DEPTH_MAX: PROTO_ERR_CAP). The streamed literal is no
 * value here: PROTO_ERR_SYNTAX. On an error of these nothing is taken. */
int lexer_u32(struct lexer *l, uint32_t *ret);
int lexer_u64(struct lexer *l, uint64_t *ret);
int lexer_astring(struct lexer *l, struct span *ret);
int lexer_skip_value(struct lexer *l);
/* Takes "(...)" and returns the bytes between. */
int lexer_list(struct lexer *l, struct span *ret);
/* The rest up to the CRLF at the end of the response, leading blanks removed: the human text of a status response. */
struct span lexer_rest(struct lexer *l);
/* Takes the keyword at the front: the bytes up to a blank, '(', '[' or line end, blanks before it skipped. May be
 * empty. The framer uses it, too, so that both see the same response. */
struct span lexer_word(struct span *s);

#endif
