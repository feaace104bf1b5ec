/*
 * resp_p: what the parts of resp share. The parsers take what stands behind the keyword of a response; *ret is all
 * zero before, and of no worth after an error.
 */
#ifndef GODWIT_RESP_P_H
#define GODWIT_RESP_P_H

#include "lexer.h"
#include "resp.h"

/* True for what looks like a sequence-set without '*': digits, ',' and ':', beginning and ending with a digit. */
bool resp_is_set(struct span s);
/* Blank-separated capabilities; unknown ones are skipped. */
void resp_caps_parse(struct span text, struct resp_caps *ret);

/* `rest`: "[code] text" without CRLF. */
int resp_status_parse(struct span rest, enum status status, struct arena *a, struct resp_status *ret);
/* The bytes of "(UID 1 ...)". `begin`: stops behind the streamed literal. */
int resp_fetch_parse(struct lexer *l, bool begin, struct resp_fetch *ret);
int resp_list_parse(struct lexer *l, struct resp *ret);
int resp_folder_status_parse(struct lexer *l, struct resp *ret);
int resp_namespace_parse(struct lexer *l, struct resp *ret);
int resp_quota_parse(struct lexer *l, struct resp *ret);

#endif
