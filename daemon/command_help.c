#include "command.h"

#include "log.h"
#include "run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_MAX 12
#define COMMON_N 5

static const struct verb *const commands[] = {
	&command_copy, &command_once, &command_daemon, &command_check, &command_plan, &command_verify, &command_status, &command_report,
	&command_retry, &command_pause, &command_resume, &command_finish, &command_help,
};
#define COMMAND_N (sizeof(commands) / sizeof(commands[0]))

const struct verb *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_N; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void print_all(FILE *out)
{
	fputs("usage: godwit COMMAND [OPTION...] [ARGUMENT...]\n"
	      "       godwit --version\n\n"
	      "Moves mailboxes from one IMAP server to another.\n\n", out);
	for (size_t i = 0; i < COMMAND_N; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n\"godwit help COMMAND\" tells more; see also godwit(1) and godwit.conf(5).\n", out);
}

static void print_one(FILE *out, const struct verb *c)
{
	fprintf(out, "usage: godwit %s [OPTION...]%s%s\n\n%s\n\n%s", c->name, c->arguments[0] != '\0' ? " " : "", c->arguments,
		c->summary, c->options);
	if (c->configured)
		fputs("  -c, --config FILE             configuration file (default " CONF_FILE ")\n", out);
	fputs("      --log-level LEVEL         error, warning, notice, info or debug\n"
	      "  -h, --help                    this text\n", out);
}

int command_usage(const struct verb *c, const char *format, ...)
{
	va_list ap;
	fprintf(stderr, "godwit %s: ", c->name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "; see \"godwit help %s\"\n", c->name);
	return EXIT_USAGE;
}

int command_unknown(const char *name)
{
	fprintf(stderr, "godwit: %s \"%s\"; see \"godwit help\"\n", name[0] == '-' ? "unknown option" : "there is no command",
		name);
	return EXIT_USAGE;
}

int command_no_arguments(const struct verb *c, int argc, char **argv)
{
	if (optind < argc)
		return command_usage(c, "unexpected argument \"%s\"", argv[optind]);
	return -1;
}

/* What getopt_long() did not like: the option as it was written, without its value, which may be a secret in the wrong place. */
static int bad_option(const struct verb *c, int opt, char **argv)
{
	const char *word = argv[optind - 1];
	char name[64];
	if (optopt != 0 && optopt < 128)
		snprintf(name, sizeof(name), "-%c", optopt);
	else
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	if (opt == ':')
		return command_usage(c, "option %s needs a value", name);
	if (optopt != 0 && optopt >= 128)
		return command_usage(c, "option %s takes no value", name);
	return command_usage(c, "unknown option %s", name);
}

static int set_level(const struct verb *c, const char *name)
{
	int level = log_level_parse(name);
	if (level < 0)
		return command_usage(c, "unknown log level \"%s\": error, warning, notice, info or debug", name);
	log_set_level((enum log_level)level);
	return -1;
}

int command_read_options(const struct verb *c, int argc, char **argv, struct command_options *ret,
	const struct option *own, int (*take)(void *arg, int val, const char *value), void *arg)
{
	enum { OPT_LEVEL = 0x100 };
	struct option all[OWN_MAX + COMMON_N] = {
		{ "help", no_argument, NULL, 'h' },
		{ "log-level", required_argument, NULL, OPT_LEVEL },
	};
	size_t n = 2;
	if (c->configured)
		all[n++] = (struct option){ "config", required_argument, NULL, 'c' };
	for (; own != NULL && own->name != NULL && n + 1 < OWN_MAX + COMMON_N; own++)
		all[n++] = *own;
	*ret = (struct command_options){ .config = CONF_FILE };
	opterr = 0;
	optind = 0;
	int opt, rc = -1;
	while (rc == -1 && (opt = getopt_long(argc, argv, c->configured ? ":hc:" : ":h", all, NULL)) != -1) {
		switch (opt) {
		case 'h':
			print_one(stdout, c);
			return 0;
		case 'c':
			ret->config = optarg;
			break;
		case OPT_LEVEL:
			rc = set_level(c, optarg);
			ret->level_set = true;
			break;
		case '?':
		case ':':
			return bad_option(c, opt, argv);
		default:
			rc = take(arg, opt, optarg);
			break;
		}
	}
	return rc;
}

static int help(int argc, char **argv)
{
	struct command_options options;
	int rc = command_read_options(&command_help, argc, argv, &options, NULL, NULL, NULL);
	if (rc != -1)
		return rc;
	if (optind == argc) {
		print_all(stdout);
		return 0;
	}
	const struct verb *c = command_find(argv[optind]);
	if (c == NULL)
		return command_unknown(argv[optind]);
	if (optind + 1 < argc)
		return command_usage(&command_help, "unexpected argument \"%s\"", argv[optind + 1]);
	print_one(stdout, c);
	return 0;
}

const struct verb command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "Tells how godwit, or one of its commands, is used.",
	.options = "",
	.run = help,
};
