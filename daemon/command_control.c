/* retry, pause, resume, finish: what the daemon that runs is to do with mailboxes. */
#include "command.h"

#include "control_client.h"
#include "record.h"
#include "run.h"
#include "table.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE 600 /* s: a hundred thousand rows may have to be saved on a slow disk */

enum { OPT_ALL = COMMAND_OPTION_OWN };

static int take(void *arg, int val, const char *value)
{
	bool *all = arg;
	(void)value;
	if (val == OPT_ALL)
		*all = true;
	return -1;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

/* 0; 1 when one that was named was left as it is, because nothing fits there; 75 when it is no answer of ours. */
static int print_reply(const struct verb *c, const struct control_reply *reply, bool all)
{
	json_t *json = json_loadb(reply->body != NULL ? reply->body : "", reply->n, 0, NULL);
	const json_t *one;
	size_t i;
	if (!json_is_integer(json_object_get(json, "changed"))) {
		fprintf(stderr, "godwit %s: the daemon was asked, but its answer cannot be read; \"godwit status\" tells what became of it\n", c->name);
		json_decref(json);
		return EXIT_LATER;
	}
	json_array_foreach(json_object_get(json, "mailboxes"), i, one) {
		table_text(stdout, text_of(one, "mailbox"));
		printf(": %s\n", text_of(one, "words"));
	}
	json_array_foreach(json_object_get(json, "summary"), i, one) {
		long long n = json_integer_value(json_object_get(one, "mailboxes"));
		printf("%lld mailbox%s: %s\n", n, n == 1 ? "" : "es", text_of(one, "words"));
	}
	bool unfit = json_integer_value(json_object_get(json, "unfit")) > 0;
	json_decref(json);
	return unfit && !all ? EXIT_LEFT_OUT : 0;
}

static int explain(const struct verb *c, const struct conf *conf, const struct control_reply *reply)
{
	const char *name = c->name, *socket = conf->control;
	if (control_reply_is_absent(reply)) {
		fprintf(stderr, "godwit %s: no daemon answers on %s: %s; start \"godwit daemon\", which alone can do this; if it runs, the setting "
			"control of %s is not the one that it was started with\n", name, socket, reply->words, conf->file);
		return EXIT_LATER;
	}
	switch (reply->status) {
	case 0:
		fprintf(stderr, "godwit %s: the daemon cannot be asked on %s: %s%s\n", name, socket, reply->words,
			reply->error == 0 ? "; whether it has done it, \"godwit status\" tells" : "");
		return reply->error == EACCES || reply->error == EPERM ? EXIT_REFUSED : EXIT_LATER;
	case 400:
	case 404:
	case 413:
		fprintf(stderr, "godwit %s: %s\n", name, reply->words);
		return EXIT_USAGE;
	case 403:
		fprintf(stderr, "godwit %s: the daemon on %s refuses: %s\n", name, socket, reply->words);
		return EXIT_REFUSED;
	case 500:
		fprintf(stderr, "godwit %s: %s\n", name, reply->words);
		return EXIT_LEDGER;
	default:
		fprintf(stderr, "godwit %s: the daemon on %s cannot do it now: %s\n", name, socket, reply->words);
		return EXIT_LATER;
	}
}

static int ask(const struct verb *c, const struct conf *conf, enum sched_order order, char **names, int n)
{
	struct control_client *client = control_client_new(conf->control);
	struct record *body = record_new();
	struct control_reply reply;
	char path[64];
	if (n == 0)
		record_flag(body, "all", true);
	else
		record_texts(body, "mailboxes", (const char *const *)names, (size_t)n);
	snprintf(path, sizeof(path), "/v1/mailboxes/%s", sched_order_name(order));
	control_client_ask(client, path, &body, PATIENCE, &reply);
	int rc = reply.status == 200 ? print_reply(c, &reply, n == 0) : explain(c, conf, &reply);
	control_reply_done(&reply);
	control_client_free(&client);
	return rc;
}

static int give_order(const struct verb *c, enum sched_order order, int argc, char **argv)
{
	static const struct option own[] = {
		{ "all", no_argument, NULL, OPT_ALL },
		{ 0 },
	};
	bool all = false;
	struct command_options options;
	struct conf_error err;
	struct conf *conf = NULL;
	int rc = command_read_options(c, argc, argv, &options, own, take, &all);
	if (rc != -1)
		return rc;
	int n = argc - optind;
	if (all && n > 0)
		return command_usage(c, "names of mailboxes and --all exclude each other");
	if (!all && n == 0)
		return command_usage(c, "which mailboxes? MIGRATION/TARGET_USER, several of them, or --all");
	rc = conf_load(options.config, &conf, &err);
	if (rc != 0)
		fprintf(stderr, "%s\n", err.text);
	else
		rc = ask(c, conf, order, argv + optind, n);
	conf_free(&conf);
	return rc;
}

#define ORDER(name_, order, text)                                                                                      \
	static int name_(int argc, char **argv)                                                                        \
	{                                                                                                              \
		return give_order(&command_##name_, order, argc, argv);                                                \
	}                                                                                                              \
	const struct verb command_##name_ = {                                                                          \
		.name = #name_,                                                                                        \
		.arguments = "MAILBOX.../--all",                                                                       \
		.summary = text,                                                                                       \
		.options = "      --all                     all mailboxes\n",                                          \
		.configured = true,                                                                                    \
		.run = name_,                                                                                          \
	};

ORDER(retry, SCHED_RETRY, "Tells the daemon to try parked, held or failed mailboxes now.")
ORDER(pause, SCHED_PAUSE, "Tells the daemon to stop with mailboxes, and to hold them until they are resumed.")
ORDER(resume, SCHED_RESUME, "Tells the daemon to go on with mailboxes that are held or done.")
ORDER(finish, SCHED_FINISH, "Tells the daemon to make a last pass over mailboxes, then they are done.")
