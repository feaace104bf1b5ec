#include "control_request.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned refuse(char words[CONTROL_WORDS], unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static unsigned refuse(char words[CONTROL_WORDS], unsigned status, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(words, CONTROL_WORDS, format, ap);
	va_end(ap);
	return status;
}

unsigned control_request_route(struct control_request *rq, const char *method, const char *path, char words[CONTROL_WORDS])
{
	static const char orders[] = "/v1/mailboxes/";
	*rq = (struct control_request){ .limit = CONTROL_PAGE };
	if (strcmp(path, "/v1/status") == 0) {
		rq->what = CONTROL_STATUS;
		return strcmp(method, "GET") == 0 ? 0 : refuse(words, 405, "%s is to be asked for with GET", path);
	}
	rq->what = CONTROL_ORDER;
	for (int i = 0; i < SCHED_ORDER_N && strncmp(path, orders, sizeof(orders) - 1) == 0; i++) {
		if (strcmp(path + sizeof(orders) - 1, sched_order_name((enum sched_order)i)) != 0)
			continue;
		rq->order = (enum sched_order)i;
		return strcmp(method, "POST") == 0 ? 0 : refuse(words, 405, "%s is to be asked for with POST", path);
	}
	return refuse(words, 404, "there is nothing at %.100s", path);
}

/* A number of digits only. */
static bool read_number(const char *text, uint32_t *ret)
{
	uint64_t n = 0;
	if (text == NULL || text[0] == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)n;
	return true;
}

unsigned control_request_argument(struct control_request *rq, const char *name, const char *value, char words[CONTROL_WORDS])
{
	bool after = strcmp(name, "after") == 0;
	if (rq->what != CONTROL_STATUS || (!after && strcmp(name, "limit") != 0))
		return refuse(words, 400, "there is no argument \"%.60s\"", name);
	if (!read_number(value, after ? &rq->after : &rq->limit))
		return refuse(words, 400, "%s must be a number", name);
	if (rq->limit < 1 || rq->limit > CONTROL_PAGE)
		return refuse(words, 400, "limit must be between 1 and %u", CONTROL_PAGE);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned take_names(struct control_request *rq, const json_t *list, char words[CONTROL_WORDS])
{
	size_t n = json_array_size(list), kept = 0;
	if (n == 0)
		return refuse(words, 400, "\"mailboxes\" must be a list of names, one at least");
	if (n > CONTROL_NAMES_MAX)
		return refuse(words, 400, "no more than %u mailboxes can be named at once", CONTROL_NAMES_MAX);
	rq->names = calloc(n, sizeof(*rq->names));
	if (rq->names == NULL)
		return refuse(words, 500, "out of memory");
	for (; rq->n < n; rq->n++) {
		const char *name = json_string_value(json_array_get(list, rq->n));
		if (name == NULL || name[0] == '\0')
			return refuse(words, 400, "\"mailboxes\" must be a list of names; number %zu is none", rq->n + 1);
		rq->names[rq->n] = strdup(name);
		if (rq->names[rq->n] == NULL)
			return refuse(words, 500, "out of memory");
	}
	/* Named twice is meant once. */
	qsort(rq->names, n, sizeof(*rq->names), by_text);
	for (size_t i = 0; i < n; i++)
		if (kept > 0 && strcmp(rq->names[kept - 1], rq->names[i]) == 0)
			free(rq->names[i]);
		else
			rq->names[kept++] = rq->names[i];
	rq->n = kept;
	return 0;
}

static unsigned take_object(struct control_request *rq, const json_t *object, char words[CONTROL_WORDS])
{
	static const char either[] = "the body must be {\"mailboxes\": [NAME, ...]} or {\"all\": true}";
	const json_t *list = json_object_get(object, "mailboxes"), *all = json_object_get(object, "all");
	if (!json_is_object(object) || json_object_size(object) != 1 || (list == NULL && all == NULL))
		return refuse(words, 400, either);
	if (list != NULL)
		return json_is_array(list) ? take_names(rq, list, words) : refuse(words, 400, either);
	rq->all = json_is_true(all);
	return rq->all ? 0 : refuse(words, 400, either);
}

unsigned control_request_body(struct control_request *rq, const char *body, size_t n, char words[CONTROL_WORDS])
{
	json_error_t why;
	if (rq->what == CONTROL_STATUS)
		return n == 0 ? 0 : refuse(words, 400, "this request has no body");
	json_t *json = json_loadb(n == 0 ? "" : body, n, JSON_REJECT_DUPLICATES, &why);
	if (json == NULL)
		return refuse(words, 400, "the body is no JSON: line %d, column %d: %s", why.line, why.column, why.text);
	unsigned status = take_object(rq, json, words);
	json_decref(json);
	return status;
}

void control_request_done(struct control_request *rq)
{
	for (size_t i = 0; i < rq->n; i++)
		free(rq->names[i]);
	free(rq->names);
	*rq = (struct control_request){ 0 };
}
