/* plan_print: what plan has to tell of one mailbox, as text or as JSON. */
#ifndef GODWIT_PLAN_PRINT_H
#define GODWIT_PLAN_PRINT_H

#include <stdio.h>

#include "plan.h"

/* Lines: a summary, the folders, the target's room. */
void plan_print_text(FILE *out, const char *mailbox, const struct plan_result *r);
/* One object, without the end of the line. */
void plan_print_json(FILE *out, const char *mailbox, const struct plan_result *r);

#endif
