/*
 * wire: reads a transcript of tests/wire (the format is in tests/wire/README.md): what client and server said, in order, and
 * the commands in it, taken apart so that a test can give them to a session.
 */
#ifndef GODWIT_TESTS_WIRE_H
#define GODWIT_TESTS_WIRE_H

#include "session.h"

/* Bytes of one side without a pause in between. */
struct wire_turn {
	bool is_server;
	size_t from, n; /* of the side's bytes */
};

enum wire_action_kind {
	WIRE_COMMAND, /* text: a whole command, CRLF included; of APPEND the tag, the command and the name */
	WIRE_MESSAGE, /* text: what announces one message of an APPEND, CRLF included */
	WIRE_END      /* the CRLF behind the last message */
};

struct wire_action {
	enum wire_action_kind kind;
	size_t at;        /* offset in the client's bytes */
	struct span text;
};

struct wire {
	char *client, *server;
	size_t client_n, server_n;
	struct wire_turn *turn;
	size_t turn_n;
	struct wire_action *action;
	size_t action_n;
	int expect;             /* E: the error that ends the session; 0 */
	unsigned open;          /* O: commands that are never answered */
	size_t line_max;        /* L: limits; 0: the default */
	uint64_t body_max;
	char error[256];        /* why wire_read() failed */
};

/* False with w->error set. wire_free() in both cases. */
bool wire_read(struct wire *w, const char *path);
void wire_free(struct wire *w);
/* Gives an action to the session; 0, or what the session's function said. PROTO_ERR_NAME: not a command that a session can give. */
int wire_act(const struct wire_action *a, struct session *s);

#endif
