#include "command.h"

#include "error.h"
#include "log.h"
#include "password.h"
#include "progress.h"
#include "run.h"
#include "value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIGRATION "copy"
#define SHOW_EVERY 100 /* ms */

enum {
	OPT_SOURCE_PASSWORD_FILE = COMMAND_OPTION_OWN,
	OPT_TARGET_PASSWORD_FILE,
	OPT_CA_FILE,
	OPT_ALLOW_PLAINTEXT,
	OPT_CONNECTIONS,
	OPT_STATE
};

#define CONNECTIONS_MAX 16

struct copy {
	struct run run;
	struct conf conf;
	struct conf_server servers[SIDES];
	struct conf_migration migration;
	const char *password_file[SIDES];
	char password[SIDES][PASSWORD_SIZE];
	const char *state; /* --state */
	int connections;   /* --connections, to each server */
	char *folder;      /* in it, of this pair */
	struct progress progress;
	struct timer *timer;
	bool began; /* past the login */
	int rc;
};

static int take_connections(struct copy *copy, const char *value)
{
	struct conf_error err;
	int64_t n;
	if (conf_value_int(value, &n, &err) != 0 || n < 1 || n > CONNECTIONS_MAX)
		return command_usage(&command_copy, "--connections %s: a number from 1 to %d is expected", value, CONNECTIONS_MAX);
	copy->connections = (int)n;
	return -1;
}

static int take(void *arg, int val, const char *value)
{
	struct copy *copy = arg;
	switch (val) {
	case OPT_SOURCE_PASSWORD_FILE:
		copy->password_file[SOURCE] = value;
		break;
	case OPT_TARGET_PASSWORD_FILE:
		copy->password_file[TARGET] = value;
		break;
	case OPT_CA_FILE:
		copy->servers[SOURCE].ca_file = copy->servers[TARGET].ca_file = value;
		break;
	case OPT_ALLOW_PLAINTEXT:
		copy->servers[SOURCE].allow_plaintext = copy->servers[TARGET].allow_plaintext = true;
		break;
	case OPT_CONNECTIONS:
		return take_connections(copy, value);
	case OPT_STATE:
		copy->state = value;
		break;
	}
	return -1;
}

static int read_urls(struct copy *copy, char **argv)
{
	static const char *const names[SIDES] = { "SOURCE", "TARGET" };
	struct conf_error err;
	for (int side = 0; side < SIDES; side++) {
		struct conf_url *url = &copy->servers[side].url;
		if (conf_url_read(argv[side], url, &err) != 0)
			return command_usage(&command_copy, "%s %s", names[side], err.text);
		if (url->user == NULL)
			return command_usage(&command_copy, "%s names no user: imaps://USER@%s", names[side], url->host);
	}
	return -1;
}

static int read_password(struct copy *copy, enum side side)
{
	static const char *const variable[SIDES] = { "GODWIT_SOURCE_PASSWORD", "GODWIT_TARGET_PASSWORD" };
	struct conf_error err;
	char prompt[512], origin[CONF_URL_ORIGIN_MAX];
	int rc;
	if (copy->password_file[side] != NULL) {
		rc = password_read_file(copy->password_file[side], copy->password[side], &err);
	} else {
		rc = password_read_env(variable[side], copy->password[side], &err);
		if (rc == 1) {
			if (conf_url_origin(&copy->servers[side].url, origin, sizeof(origin)) != 0)
				snprintf(origin, sizeof(origin), "%s", copy->servers[side].url.host);
			snprintf(prompt, sizeof(prompt), "Password of \"%.200s\" at the %s %s: ", copy->servers[side].url.user,
				side_name(side), origin);
			rc = password_prompt(prompt, copy->password[side], &err);
		}
	}
	if (rc == 1)
		return command_usage(&command_copy,
			"no password for the %s: set %s, or use --%s-password-file FILE; without a terminal nobody can be asked",
			side_name(side), variable[side], side_name(side));
	return rc == 0 ? -1 : command_usage(&command_copy, "%s", err.text);
}

/* FNV-1a, 64 bits, with the zero at the end: keeps what cannot stand in a file name apart. */
static uint64_t hash(uint64_t h, const char *s)
{
	do {
		h ^= (unsigned char)*s;
		h *= UINT64_C(0x100000001b3);
	} while (*s++ != '\0');
	return h;
}

/* A pair of accounts has a folder of its own: readable, and never that of another pair. */
static void pair_name(const struct copy *copy, char *buf, size_t size)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	char part[SIDES][64];
	for (int side = 0; side < SIDES; side++) {
		const struct conf_url *url = &copy->servers[side].url;
		char origin[CONF_URL_ORIGIN_MAX];
		if (conf_url_origin(url, origin, sizeof(origin)) != 0)
			snprintf(origin, sizeof(origin), "%s", url->host);
		h = hash(hash(h, origin), url->user);
		snprintf(part[side], sizeof(part[side]), "%s", url->user);
		for (char *p = part[side]; *p != '\0'; p++)
			if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._-+", *p) == NULL ||
				(p == part[side] && *p == '.'))
				*p = '_';
	}
	snprintf(buf, size, "%s--%s-%016llx", part[SOURCE], part[TARGET], (unsigned long long)h);
}

/* All folders of the path, for us alone. */
static int make_folders(char *path)
{
	for (char *p = path + 1; ; p++) {
		char c = *p;
		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		int rc = mkdir(path, 0700);
		int e = errno;
		*p = c;
		if (rc != 0 && e != EEXIST) {
			errno = e;
			return -1;
		}
		if (c == '\0')
			return 0;
	}
}

static int make_state(struct copy *copy)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char pair[192], *parent;
	int n;
	if (copy->state != NULL)
		n = asprintf(&parent, "%s", copy->state);
	else if (base != NULL && base[0] == '/')
		n = asprintf(&parent, "%s/godwit", base);
	else if (home != NULL && home[0] == '/')
		n = asprintf(&parent, "%s/.local/state/godwit", home);
	else
		return command_usage(&command_copy, "there is no home folder to remember in what was copied; use --state FOLDER");
	if (n < 0)
		abort();
	if (parent[0] == '\0' || make_folders(parent) != 0) {
		fprintf(stderr, "godwit copy: %s: cannot be made: %s\n", parent, parent[0] == '\0' ? "it has no name" : strerror(errno));
		free(parent);
		return EXIT_LEDGER;
	}
	pair_name(copy, pair, sizeof(pair));
	if (asprintf(&copy->folder, "%s/%s", parent, pair) < 0)
		abort();
	free(parent);
	return -1;
}

static void make_conf(struct copy *copy)
{
	conf_defaults(&copy->conf);
	for (int side = 0; side < SIDES; side++) {
		copy->servers[side].name = copy->servers[side].url.host;
		copy->servers[side].connections_per_mailbox = copy->connections;
		copy->servers[side].max_connections = copy->connections + 1; /* one is always kept for others */
	}
	copy->migration = (struct conf_migration){
		.name = MIGRATION,
		.source = &copy->servers[SOURCE],
		.target = &copy->servers[TARGET],
	};
	copy->conf.max_mailboxes = 1;
	copy->conf.servers = copy->servers;
	copy->conf.server_n = SIDES;
	copy->conf.migrations = &copy->migration;
	copy->conf.migration_n = 1;
}

/* Trouble that goes away by itself is no refusal, whatever the login was answered. */
static int exit_of(const struct outcome *o)
{
	if (o->at == AT_LOGIN && o->refused && o->code != CODE_UNAVAILABLE && o->code != CODE_INUSE &&
		o->code != CODE_SERVERBUG && o->code != CODE_THROTTLED && o->code != CODE_TEMPFAIL)
		return EXIT_REFUSED;
	return o->heal == HEAL_TIME ? EXIT_LATER : EXIT_LEFT_OUT;
}

static void on_sched(void *owner, const struct sched_event *ev)
{
	struct copy *copy = owner;
	if (ev->kind != SCHED_ENDED || ev->outcome == NULL)
		return;
	copy->rc = ev->outcome->radius == RADIUS_NONE ? 0 : exit_of(ev->outcome);
	if (ev->outcome->radius == RADIUS_NONE || ev->outcome->at == AT_WORK)
		copy->began = true;
	progress_hide(&copy->progress);
}

static void on_timer(void *arg)
{
	struct copy *copy = arg;
	const struct mailbox_progress *p = sched_progress(copy->run.sched, 0);
	if (p != NULL)
		progress_show(&copy->progress, p, loop_now(copy->run.loop));
	else if (sched_state(copy->run.sched, 0) == MAILBOX_RUNNING || sched_state(copy->run.sched, 0) == MAILBOX_QUEUED)
		progress_wait(&copy->progress, "connecting and logging in ...");
	else if (sched_state(copy->run.sched, 0) == MAILBOX_PARKED)
		progress_wait(&copy->progress, "waiting before connecting again ...");
	timer_set(copy->timer, SHOW_EVERY);
}

static void before_line(void *arg)
{
	struct copy *copy = arg;
	progress_hide(&copy->progress);
}

static int copy_run(struct copy *copy)
{
	struct run *r = &copy->run;
	struct credentials login[SIDES];
	for (int side = 0; side < SIDES; side++)
		login[side] = (struct credentials){ copy->servers[side].url.user, copy->password[side] };
	make_conf(copy);
	r->conf = &copy->conf;
	r->mode = SCHED_ONCE;
	r->login_retries = 1;
	r->state = copy->folder;
	r->funnel = on_sched;
	r->owner = copy;
	int rc = run_open(r);
	if (rc != 0)
		return rc;
	sched_add_mailbox(r->sched, 0, login);
	progress_init(&copy->progress, STDERR_FILENO);
	log_set_guard(before_line, NULL, copy);
	copy->timer = timer_new(r->loop, on_timer, copy);
	if (copy->timer == NULL)
		abort();
	timer_set(copy->timer, SHOW_EVERY);
	copy->rc = EXIT_LATER;
	rc = run_go(r);
	progress_hide(&copy->progress);
	if (rc != 0)
		return rc;
	if (copy->began)
		run_print_work(r, 0);
	if (sched_state(r->sched, 0) == MAILBOX_SYNCED && run_left_out(r, 0) > 0)
		return EXIT_LEFT_OUT;
	return run_was_stopped(r) && sched_state(r->sched, 0) != MAILBOX_SYNCED ? EXIT_LATER : copy->rc;
}

static int copy_prepare(struct copy *copy, int argc, char **argv)
{
	if (argc - optind != SIDES)
		return command_usage(&command_copy, "%s", argc - optind < SIDES ? "SOURCE and TARGET are needed" :
			"there are too many arguments");
	int rc = read_urls(copy, argv + optind);
	const char *ca_file = copy->servers[SOURCE].ca_file;
	if (rc == -1 && ca_file != NULL && access(ca_file, R_OK) != 0)
		rc = command_usage(&command_copy, "%s: cannot be read: %s", ca_file, strerror(errno));
	for (int side = 0; side < SIDES && rc == -1; side++)
		rc = read_password(copy, (enum side)side);
	return rc == -1 ? make_state(copy) : rc;
}

static int copy_main(int argc, char **argv)
{
	static const struct option own[] = {
		{ "source-password-file", required_argument, NULL, OPT_SOURCE_PASSWORD_FILE },
		{ "target-password-file", required_argument, NULL, OPT_TARGET_PASSWORD_FILE },
		{ "ca-file", required_argument, NULL, OPT_CA_FILE },
		{ "allow-plaintext", no_argument, NULL, OPT_ALLOW_PLAINTEXT },
		{ "connections", required_argument, NULL, OPT_CONNECTIONS },
		{ "state", required_argument, NULL, OPT_STATE },
		{ 0 },
	};
	struct copy copy = { .connections = 1 };
	struct command_options options;
	int rc = command_read_options(&command_copy, argc, argv, &options, own, take, &copy);
	if (rc == -1)
		rc = copy_prepare(&copy, argc, argv);
	if (rc == -1)
		rc = copy_run(&copy);
	log_set_guard(NULL, NULL, NULL);
	timer_free(&copy.timer);
	run_done(&copy.run);
	for (int side = 0; side < SIDES; side++) {
		password_wipe(copy.password[side]);
		conf_url_done(&copy.servers[side].url);
	}
	free(copy.folder);
	return rc;
}

const struct verb command_copy = {
	.name = "copy",
	.arguments = "SOURCE TARGET",
	.summary = "Copies one mailbox, now. SOURCE and TARGET are IMAP URLs: imaps://USER@HOST[:PORT], or imap:// for STARTTLS.",
	.options = "      --source-password-file FILE\n"
		   "      --target-password-file FILE\n"
		   "                                the password is the first line of FILE; else it is taken from\n"
		   "                                GODWIT_SOURCE_PASSWORD, GODWIT_TARGET_PASSWORD, or asked for\n"
		   "      --ca-file FILE            certificates to trust instead of the system's\n"
		   "      --allow-plaintext         imap:// may go on, passwords included, without encryption\n"
		   "      --connections N           to each server, for a large mailbox (default 1)\n"
		   "      --state FOLDER            where to remember what was copied\n"
		   "                                (default $XDG_STATE_HOME/godwit or ~/.local/state/godwit)\n",
	.run = copy_main,
};
