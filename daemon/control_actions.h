/*
 * control_actions: what the operator asks for on the socket is done to the sched, and answered when it is durable in the ledger.
 *
 * An order is for all the mailboxes that are named, or for none: a name that does not exist refuses it. The mailboxes are gone through a part in each turn of the loop, one order
 * after the other; meanwhile the sched goes on.
 */
#ifndef GODWIT_CONTROL_ACTIONS_H
#define GODWIT_CONTROL_ACTIONS_H

#include "control.h"

struct actions;
struct actions *actions_new(struct loop *l, struct sched *s);
/* After control_close(): nobody waits for an answer any more. */
void actions_free(struct actions **a);
/* A control_funnel and a sched_funnel, both with the actions as the owner. */
void actions_on_request(void *owner, struct control_call *call, const struct control_request *rq);
void actions_on_sched(void *owner, const struct sched_event *ev);

#endif
