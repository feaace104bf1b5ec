#include "unreached.h"

#include <stdio.h>
#include <stdlib.h>

#include "record.h"
#include "table.h"

void unreached_print(const struct sched *s, uint32_t mailbox, const char *verdict, bool json)
{
	const char *reason = sched_reason(s, mailbox);
	char *name = sched_name(s, mailbox);
	struct record *j;

	if (reason[0] == '\0')
		reason = "stopped";
	if (json) {
		j = record_new();
		record_text(j, "mailbox", name);
		record_text(j, "verdict", verdict);
		record_text(j, "state", mailbox_state_name(sched_state(s, mailbox)));
		record_text(j, "reason", reason);
		record_print(&j, stdout, false);
	} else {
		table_text(stdout, name);
		printf(": %s: ", verdict);
		table_text(stdout, reason);
		putchar('\n');
	}
	free(name);
}
