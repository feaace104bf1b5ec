#include "control_client.h"

#include "record.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)64 << 20)

struct control_client {
	CURL *easy; /* keeps its connection from one request to the next */
	struct curl_slist *json;
	char error[CURL_ERROR_SIZE];
};

static size_t take(char *data, size_t one, size_t n, void *arg)
{
	struct control_reply *r = arg;
	(void)one; /* is 1 */
	if (n > BODY_MAX - r->n)
		return 0;
	char *bigger = realloc(r->body, r->n + n + 1);
	if (bigger == NULL)
		return 0;
	r->body = bigger;
	memcpy(r->body + r->n, data, n);
	r->n += n;
	r->body[r->n] = '\0';
	return n;
}

struct control_client *control_client_new(const char *socket)
{
	struct control_client *c = calloc(1, sizeof(*c));
	if (c == NULL || (c->easy = curl_easy_init()) == NULL ||
		(c->json = curl_slist_append(NULL, "Content-Type: application/json")) == NULL)
		abort();
	curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(c->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, take);
	return c;
}

void control_client_free(struct control_client **c)
{
	if (c == NULL || *c == NULL)
		return;
	curl_easy_cleanup((*c)->easy);
	curl_slist_free_all((*c)->json);
	free(*c);
	*c = NULL;
}

/* The words of an answer that refuses. */
static void refused(struct control_reply *r)
{
	json_t *json = r->body != NULL ? json_loadb(r->body, r->n, 0, NULL) : NULL;
	const char *words = json_string_value(json_object_get(json, "error"));
	if (words != NULL)
		snprintf(r->words, sizeof(r->words), "%s", words);
	else
		snprintf(r->words, sizeof(r->words), "it answered with HTTP status %u", r->status);
	json_decref(json);
}

void control_client_ask(struct control_client *c, const char *path, struct record **body, long seconds, struct control_reply *ret)
{
	char url[256], *text = NULL;
	size_t n = 0;
	long number = 0;
	*ret = (struct control_reply){ 0 };
	snprintf(url, sizeof(url), "http://godwit%s", path);
	curl_easy_setopt(c->easy, CURLOPT_URL, url);
	curl_easy_setopt(c->easy, CURLOPT_TIMEOUT, seconds);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, ret);
	if (body != NULL) {
		text = record_take(body, &n);
		curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->json);
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, text);
	} else {
		curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
	}
	c->error[0] = '\0';
	CURLcode rc = curl_easy_perform(c->easy);
	if (rc == CURLE_OK) {
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &number);
		ret->status = (unsigned)number;
	} else {
		if (rc == CURLE_COULDNT_CONNECT)
			curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &number);
		ret->error = (int)number;
		snprintf(ret->words, sizeof(ret->words), "%s",
			number != 0 ? strerror((int)number) : c->error[0] != '\0' ? c->error : curl_easy_strerror(rc));
	}
	if (ret->status != 0 && ret->status != 200)
		refused(ret);
	free(text);
}

void control_reply_done(struct control_reply *r)
{
	free(r->body);
	*r = (struct control_reply){ 0 };
}

bool control_reply_is_absent(const struct control_reply *r)
{
	return r->status == 0 && (r->error == ENOENT || r->error == ENOTDIR || r->error == ECONNREFUSED);
}
