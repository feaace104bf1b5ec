/*
 * log: lines for people on stderr. A line says where (mailbox, side, folder, UID) from its context, then what. One line for one
 * transition of a mailbox, none for a message at the normal level.
 *
 * Nobody waits for a reader of stderr: what it does not take is kept, up to 256 KB, and written later; what is too much is lost, and that is said.
 *
 * Each kind of line is a row of logs.def: name, level. Secrets never reach this module: whoever has one does not log it.
 */
#ifndef GODWIT_LOG_H
#define GODWIT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "side.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_kind {
#define LOG(name, level) LOG_##name,
#include "logs.def"
#undef LOG
	LOG_KIND_N
};

/* All members may be NULL or 0. Lives on the caller's stack. */
struct log_context {
	const char *migration;
	const char *mailbox;
	const char *server;
	const char *folder;
	uint32_t uid;
	int side; /* enum side + 1; 0: none */
};

/* Lines above this level are dropped. Default LOG_LEVEL_NOTICE. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error" "warning" "notice" "info" "debug"; -1: none of them. */
int log_level_parse(const char *name);
/* With a time in front of each line (a daemon without a journal), or without (a terminal). */
void log_set_timestamps(int on);
/* Called before and after each line, so that a progress bar can get out of the way; NULL: nothing. */
void log_set_guard(void (*before)(void *), void (*after)(void *), void *arg);
/* Control characters in the arguments' bytes are shown as \xNN: a server's words cannot forge a line. */
void log_event(enum log_kind kind, const struct log_context *ctx, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Called when lines begin to be kept, and at once if some are: log_flush() is due now and then until it says that all is written. NULL: nobody. */
void log_set_behind(void (*fn)(void *), void *arg);
bool log_flush(void);
/* At the end of the process: waits for the reader, so long for each 4 KB. */
void log_end(int wait_ms);
const char *log_kind_name(enum log_kind kind);

#endif
