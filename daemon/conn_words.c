#include "conn_words.h"

#include "buf.h"

#include <stdio.h>
#include <stdlib.h>

/* A line of a login is short; what does not fit is not worth keeping. */
#define LINE_ARENA (64u * 1024)
/* A shorter password is part of half of all words; masking it would tell more than it hides. */
#define PASSWORD_MASKED_FROM 4

static void keep(char *to, size_t size, struct span words)
{
	words = span_trim(words);
	size_t n = 0;
	for (size_t i = 0; i < words.n && n < size - 1; i++)
		if (words.p[i] != '\0')
			to[n++] = words.p[i];
	if (n == size - 1) {
		/* Not in the middle of a character. */
		while (n > 0 && ((unsigned char)to[n - 1] & 0xc0) == 0x80)
			n--;
		if (n > 0 && (unsigned char)to[n - 1] >= 0xc0)
			n--;
	}
	to[n] = '\0';
}

static void keep_status(struct conn_words *w, const struct resp *r, struct span words)
{
	if (r->kind == RESP_TAGGED) {
		w->refused = r->status.status != STATUS_OK;
		if (w->refused) {
			keep(w->refusal, sizeof(w->refusal), words);
			w->refusal_code = r->status.code;
		}
	} else if (r->status.status == STATUS_BYE) {
		w->bye = true;
		keep(w->parting, sizeof(w->parting), words);
		w->parting_code = r->status.code;
	} else if (r->status.status == STATUS_NO || r->status.status == STATUS_BAD || r->status.code == CODE_ALERT) {
		keep(w->other, sizeof(w->other), words);
		w->other_code = r->status.code;
	}
}

static void keep_caps(struct conn_words *w, const struct resp *r)
{
	if (r->kind == RESP_CAPABILITY)
		w->during = r->caps;
	else if ((r->kind == RESP_TAGGED || r->kind == RESP_STATUS) && r->status.code == CODE_CAPABILITY)
		w->during = r->status.caps;
	if (r->kind == RESP_TAGGED) {
		w->caps = w->during;
		w->during = (struct resp_caps){ 0 };
	}
}

/* A refusal too odd to be parsed is one all the same. */
static void keep_unparsed(struct conn_words *w, struct span words)
{
	if (span_starts_nocase(words, SPAN("NO ")) || span_starts_nocase(words, SPAN("BAD "))) {
		w->refused = true;
		w->refusal_code = CODE_NONE;
		keep(w->refusal, sizeof(w->refusal), words);
	}
}

void conn_words_line(struct conn_words *w, struct span line)
{
	while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
		line.n--;
	struct span words = span_from(line, span_find(line, ' '));
	words = span_trim(words);
	if (!w->greeted) {
		w->greeted = true;
		if (!span_starts_nocase(line, SPAN("* "))) {
			w->garbage = true;
			keep(w->other, sizeof(w->other), line);
			return;
		}
	}
	if (line.n == 0 || line.p[0] == '+')
		return;
	struct buf whole;
	struct arena arena;
	struct resp r;
	buf_init(&whole, LINE_ARENA);
	arena_init(&arena, LINE_ARENA);
	if (buf_append(&whole, line) == 0 && buf_append(&whole, SPAN("\r\n")) == 0 &&
	    resp_parse(buf_span(&whole), SIZE_MAX, &arena, &r) == 0) {
		keep_caps(w, &r);
		if (r.kind == RESP_TAGGED || r.kind == RESP_STATUS)
			keep_status(w, &r, words);
	} else if (line.p[0] != '*') {
		keep_unparsed(w, words);
	}
	arena_done(&arena);
	buf_done(&whole);
}

static void mask_one(char *text, size_t size, const char *secret)
{
	size_t n = strlen(secret), len = strlen(text);
	for (char *at = strstr(text, secret); at != NULL; at = strstr(at + 3, secret)) {
		char *behind = at + n;
		size_t rest = len - (size_t)(behind - text);
		size_t room = size - 1 - (size_t)(at - text);
		if (room < 3) {
			*at = '\0';
			return;
		}
		if (rest > room - 3)
			rest = room - 3;
		memmove(at + 3, behind, rest);
		memcpy(at, "***", 3);
		at[3 + rest] = '\0';
		len = (size_t)(at - text) + 3 + rest;
	}
	/* The words may have been cut in the middle of it. */
	for (size_t part = n - 1; part >= PASSWORD_MASKED_FROM; part--) {
		if (part <= len && memcmp(text + len - part, secret, part) == 0) {
			memcpy(text + len - part, "***", sizeof("***"));
			return;
		}
	}
}

/* Without the padding: servers that echo may cut. */
static char *base64_of(const char *p, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc(n / 3 * 4 + 5), *to = text;
	if (text == NULL)
		return NULL;
	uint32_t bits = 0;
	unsigned have = 0;
	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | (unsigned char)p[i];
		for (have += 8; have >= 6; have -= 6)
			*to++ = digit[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*to++ = digit[bits << (6 - have) & 63];
	*to = '\0';
	return text;
}

static void mask_base64(char *text, size_t size, const char *p, size_t n)
{
	char *secret = base64_of(p, n);
	if (secret == NULL) {
		/* Better no words than the wrong ones. */
		text[0] = '\0';
		return;
	}
	mask_one(text, size, secret);
	explicit_bzero(secret, strlen(secret));
	free(secret);
}

void conn_words_mask(char *text, size_t size, const struct endpoint *ep, const struct credentials *login)
{
	bool admin = ep->admin_user != NULL;
	const char *password = admin ? ep->admin_password : login->password;
	struct span parts[] = { span_str(admin ? login->user : ""), span_str(admin ? ep->admin_user : login->user), span_str(password) };
	if (parts[2].n < PASSWORD_MASKED_FROM)
		return;
	/* First the message of SASL PLAIN (RFC 4616): the password may stand in it as it does alone. */
	size_t plain_n = parts[0].n + parts[1].n + parts[2].n + 2;
	char *plain = malloc(plain_n), *to = plain;
	if (plain == NULL) {
		text[0] = '\0';
		return;
	}
	for (int i = 0; i < 3; i++) {
		if (i > 0)
			*to++ = '\0';
		memcpy(to, parts[i].p, parts[i].n);
		to += parts[i].n;
	}
	mask_base64(text, size, plain, plain_n);
	explicit_bzero(plain, plain_n);
	free(plain);
	mask_one(text, size, password);
	mask_base64(text, size, password, parts[2].n);
}

void conn_words_refused(struct conn_failure *f, enum code code, const char *words, const struct endpoint *ep, const struct credentials *login)
{
	char whose[200] = "";
	int n = 0;
	if (ep->admin_user != NULL)
		n = snprintf(whose, sizeof(whose), " (login of \"%.80s\" on behalf of \"%.80s\")", ep->admin_user, login->user);
	*f = (struct conn_failure){ .fault = CONN_FAULT_LOGIN, .code = code };
	snprintf(f->text, sizeof(f->text), "%.*s%s", (int)sizeof(f->text) - 1 - n, words, whose);
}
