/*
 * session_p: what session.c (events, order of bytes) and session_commands.c (the commands) share.
 */
#ifndef GODWIT_SESSION_P_H
#define GODWIT_SESSION_P_H

#include "session.h"

/* A command from its queueing until it is answered and nothing of it is left to be sent. */
struct flight {
	struct flight *next;
	uint32_t tag;
	enum command command;
	uint64_t user;
	struct cmd cmd;
	size_t sent;        /* bytes of the text */
	size_t mark;        /* the next mark */
	uint64_t body_sent; /* bytes of the body at that mark */
	bool open;          /* an APPEND that is not ended: its text may grow */
	bool begun;         /* something of it may be sent: an APPEND waits for its first message */
	bool answered;
};

struct session {
	struct session_limits limits;
	struct framer *framer;
	struct arena arena;
	struct resp_caps caps;
	struct flight *first, *last;
	struct flight *out;    /* the first of which something is to be sent; NULL: none */
	struct flight *append; /* the open one; NULL: none */
	bool append_refused;   /* the last APPEND was answered before it was ended */
	unsigned inflight;     /* not answered */
	size_t unsent;         /* bytes of text */
	uint32_t next_tag;
	int err;
	bool bye, logged_out;
	bool utf8;             /* UTF8=ACCEPT is enabled */
	bool alone;            /* UNAUTHENTICATE or AUTHENTICATE is not answered */
	bool in_body;          /* a streamed body has begun, its response has not ended */
	struct buf held;       /* a response whose body is told in three events */
	enum { HELD_NONE, HELD_DATA, HELD_END } held_step;
	char text[160];        /* the error in words */
};

/* 0, or why the command cannot be queued now. */
int session_may_queue(const struct session *s, enum command c);
/* Takes over the command's text; on error the cmd is freed, too. */
int session_queue(struct session *s, enum command c, struct cmd *cmd, uint32_t tag, uint32_t *ret_tag);
/* Sets the mode of literals by what the server offers. */
void session_cmd_init(const struct session *s, struct cmd *c);
/* Forgets the open APPEND, of which nothing was sent. */
void session_take_back(struct session *s, struct flight *f);
/* Ends the line of the open APPEND. */
void session_append_close(struct session *s);
/* Moves the output past what is finished. */
void session_advance(struct session *s);

#endif
