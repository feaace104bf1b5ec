/*
 * control: HTTP on the operator's socket. The only file that knows libmicrohttpd, which runs on the loop by its epoll descriptor. What is asked for is
 * the owner's business (control_actions.c); what is malformed, too long, or comes from somebody who may not ask is refused here.
 *
 * Each request that is told gets exactly one answer, at once or later; the loop is never held up for it. Answers are JSON; one that refuses is {"error": WORDS}.
 */
#ifndef GODWIT_CONTROL_H
#define GODWIT_CONTROL_H

#include "control_request.h"
#include "control_socket.h"
#include "record.h"

struct control;
struct control_call; /* a request that waits for its answer */

/* rq lives until the answer. May answer from within; may not close. */
typedef void control_funnel(void *owner, struct control_call *call, const struct control_request *rq);

/* `path` is borrowed. An enum control_err. */
int control_open(struct loop *l, const char *path, control_funnel *funnel, void *owner, struct control **ret, struct control_failure *failure);
/* Who has no answer yet is told that godwit is stopping, and the socket goes. */
void control_close(struct control **c);
/* Takes over *body. `call` is gone after it. */
void control_answer(struct control_call *call, unsigned status, struct record **body);
void control_refuse(struct control_call *call, unsigned status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
