/*
 * control_client: asks the daemon on its socket. Blocks, for as long as an answer may take. libcurl is known here for that.
 */
#ifndef GODWIT_CONTROL_CLIENT_H
#define GODWIT_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct record;

struct control_reply {
	unsigned status;  /* of HTTP; 0: there was no answer */
	int error;        /* there was none: errno of the connecting, 0 when it was something else */
	char words[512];  /* status is not 200: why, for people */
	char *body;       /* status is 200: JSON, owned; a byte 0 is behind it */
	size_t n;
};

struct control_client;
/* `socket` is borrowed. Aborts when memory is out. */
struct control_client *control_client_new(const char *socket);
void control_client_free(struct control_client **c);
/* `path` as in "/v1/status". *body is taken over and sent with POST; NULL: GET. `seconds`: the most that it may take. control_reply_done() is due. */
void control_client_ask(struct control_client *c, const char *path, struct record **body, long seconds, struct control_reply *ret);
void control_reply_done(struct control_reply *r);
/* Nobody is there to answer, as opposed to somebody who does not do it. */
bool control_reply_is_absent(const struct control_reply *r);

#endif
