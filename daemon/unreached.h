/*
 * unreached: what the commands that only look (verify, plan) print of a mailbox of which they could not tell anything.
 */
#ifndef GODWIT_UNREACHED_H
#define GODWIT_UNREACHED_H

#include "sched.h"

/* On stdout: one line, or a JSON object without a line's end. `verdict`: "not verified", "not known". */
void unreached_print(const struct sched *s, uint32_t mailbox, const char *verdict, bool json);

#endif
