#include "overview.h"

#include "control_client.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE 10 /* s, for each page */

/* Wall ms of "2026-11-23T06:21:00Z"; 0: none. */
static int64_t time_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	struct tm tm = { 0 };
	const char *end = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;

	return end != NULL && *end == '\0' ? (int64_t)timegm(&tm) * 1000 : 0;
}

static uint64_t number_of(const json_t *object, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(object, name));

	return n > 0 ? (uint64_t)n : 0;
}

static enum mailbox_state state_of(const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "state"));
	int i = 0;

	while (i < MAILBOX_STATE_N && (name == NULL || strcmp(mailbox_state_name((enum mailbox_state)i), name) != 0))
		i++;
	return (enum mailbox_state)i;
}

static void take_mailbox(struct overview *o, const json_t *one)
{
	const char *name = json_string_value(json_object_get(one, "mailbox"));
	const char *reason = json_string_value(json_object_get(one, "reason"));
	const json_t *progress = json_object_get(one, "progress");
	struct overview_row *r = name != NULL ? overview_find(o, name) : NULL;
	enum mailbox_state state = state_of(one);

	/* Lists may have changed since the daemon read them. */
	if (r == NULL || state == MAILBOX_STATE_N)
		return;
	r->m.state = state;
	r->m.reason = reason != NULL && strcmp(reason, r->m.reason) != 0 ? overview_keep(o, reason) : r->m.reason;
	r->m.attempts = (uint32_t)number_of(one, "attempts");
	r->m.next_attempt = time_of(one, "next_attempt");
	r->m.since = time_of(one, "since");
	r->m.last_synced = time_of(one, "last_synced");
	r->m.paused = json_is_true(json_object_get(one, "paused"));
	r->m.finishing = json_is_true(json_object_get(one, "finishing"));
	if (progress != NULL)
		r->progress = (struct overview_progress){
			.known = true,
			.folders = number_of(progress, "folders"),
			.folders_done = number_of(progress, "folders_done"),
			.messages = number_of(progress, "messages"),
			.messages_done = number_of(progress, "messages_done"),
			.bytes = number_of(progress, "bytes"),
			.bytes_done = number_of(progress, "bytes_done"),
		};
}

/* Returns where the next page begins, 0: this was the last one. */
static uint64_t take_page(struct overview *o, const struct control_reply *reply)
{
	json_t *json = json_loadb(reply->body != NULL ? reply->body : "", reply->n, 0, NULL);
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(json, "mailboxes"), i, one)
		take_mailbox(o, one);
	uint64_t next = number_of(json, "next");
	json_decref(json);
	return next;
}

void overview_ask(struct overview *o)
{
	struct control_client *client;
	struct control_reply reply;
	uint64_t from = 0, next = 0;
	char path[64];

	/* "once" has the ledger, too, and no socket. */
	if (o->owner == 0 || o->ledger != NULL)
		return;
	overview_sort(o);
	client = control_client_new(o->run.conf->control);
	do {
		from = next;
		snprintf(path, sizeof(path), "/v1/status?after=%llu", (unsigned long long)from);
		control_client_ask(client, path, NULL, PATIENCE, &reply);
		next = reply.status == 200 ? take_page(o, &reply) : 0;
		if (reply.status != 200 && reply.status != 503 && !control_reply_is_absent(&reply))
			fprintf(stderr, "the daemon does not answer on %s: %s; this is what its ledger has\n", o->run.conf->control,
				reply.words);
		control_reply_done(&reply);
	} while (next > from);
	control_client_free(&client);
}
