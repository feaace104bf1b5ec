/*
 * command: one file per command, command_NAME.c; the table of them, their help, and the options that all have, in command_help.c.
 */
#ifndef GODWIT_COMMAND_H
#define GODWIT_COMMAND_H

#include <getopt.h>
#include <stdbool.h>

#define CONF_FILE "/etc/godwit/godwit.conf"

/* One of them (`enum command` is what IMAP calls commands). */
struct verb {
	const char *name;
	const char *arguments; /* after the options: "SOURCE TARGET"; "" none */
	const char *summary;   /* one line */
	const char *options;   /* help of its own options, whole lines; "" none */
	bool configured;       /* takes -c */
	int (*run)(int argc, char **argv); /* argv[0] is its name; returns the exit code */
};

extern const struct verb command_copy, command_once, command_daemon, command_check, command_status, command_report, command_verify, command_plan,
	command_retry, command_pause, command_resume, command_finish, command_help;

/* NULL: no such command. */
const struct verb *command_find(const char *name);

struct command_options {
	const char *config;
	bool level_set;        /* --log-level was given, and is in force */
};

/* Values of `val` for a command's own long options. */
#define COMMAND_OPTION_OWN 0x1000

/*
 * Reads the options: the common ones into ret, the command's own by take(arg, val, optarg), which returns 0 or an exit code. own ends with a row of zeroes. Afterwards
 * argv[optind] is the first argument. Returns -1 to go on, or the exit code: 0 after --help, 64 after words on stderr. NULL: no own options.
 */
int command_read_options(const struct verb *c, int argc, char **argv, struct command_options *ret,
	const struct option *own, int (*take)(void *arg, int val, const char *value), void *arg);
/* Says on stderr what is wrong, and where help is. Returns 64. */
int command_usage(const struct verb *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says on stderr that godwit has no such command, or option in its place. Returns 64. */
int command_unknown(const char *name);
/* 64 when there are arguments and none are expected, else -1. */
int command_no_arguments(const struct verb *c, int argc, char **argv);

#endif
