/*
 * utf7: modified UTF-7 of mailbox names (RFC 3501 section 5.1.3, RFC 9051 appendix A.1) to and from UTF-8.
 */
#ifndef GODWIT_UTF7_H
#define GODWIT_UTF7_H

#include "buf.h"

/* Appends the UTF-8 form of `in`. PROTO_ERR_SYNTAX when `in` is not valid modified UTF-7 (8-bit bytes, bad base64, lone
 * surrogates, printable ASCII in base64, other ASCII outside, missing '-', a shift right behind a shift); then nothing was
 * appended. Only the one form that utf7_encode() gives is valid, so that a name survives the way there and back. */
int utf7_decode(struct buf *out, struct span in);
/* Appends the modified UTF-7 form of valid UTF-8; PROTO_ERR_SYNTAX when `utf8` is not valid (overlong, surrogates, > 10FFFF). */
int utf7_encode(struct buf *out, struct span utf8);
/* True for well-formed UTF-8 (RFC 3629). */
bool utf8_is_valid(struct span s);
/* The bytes (1 to 4) of the well-formed character at the beginning of s, or 0 when there is none. */
size_t utf8_take(struct span s, uint32_t *ret);

#endif
