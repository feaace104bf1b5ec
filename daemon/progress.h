/*
 * progress: numbers for people, and the progress of one mailbox: on a terminal a line that is drawn over and over, elsewhere a line now and then.
 *
 * A terminal's line never wraps: what does not fit is left out, least important first. It gets out of the way of log lines (log_set_guard).
 */
#ifndef GODWIT_PROGRESS_H
#define GODWIT_PROGRESS_H

#include "mailbox.h"

#include <stddef.h>

#define PROGRESS_TEXT 32 /* room for any of the texts below */

/* "1,234,567" */
const char *progress_print_count(char *buf, uint64_t n);
/* "0 B", "999 B", "1.0 kB", "56.7 MB" */
const char *progress_print_bytes(char *buf, uint64_t bytes);
/* "0.3 s", "42 s", "1 m 12 s", "2 h 05 m", "3 d 04 h" */
const char *progress_print_time(char *buf, uint64_t ms);

/* At most `columns` columns wide, in the locale's encoding. rate: bytes per second; left: ms, UINT64_MAX when not known. Returns the columns used. */
size_t progress_print_line(char *buf, size_t size, const struct mailbox_progress *p, uint64_t rate, uint64_t left,
	size_t columns);

struct progress {
	int fd;
	bool terminal;
	bool drawn;
	uint64_t begun;       /* ms; 0: not yet */
	uint64_t last;        /* of the last line, ms */
	uint64_t rate_at, rate_bytes, rate;
};

/* fd is stderr, but for tests. */
void progress_init(struct progress *pr, int fd);
/* Draws (terminal), or writes a line when it is time for one. `now`: monotonic ms. Call it ten times a second at most. */
void progress_show(struct progress *pr, const struct mailbox_progress *p, uint64_t now);
/* Draws `text`, ASCII without control characters, while there is nothing to count (terminal); else does nothing. */
void progress_wait(struct progress *pr, const char *text);
/* Takes the terminal's line away. */
void progress_hide(struct progress *pr);

#endif
