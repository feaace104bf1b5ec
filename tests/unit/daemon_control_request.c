/* What somebody may ask for on the operator's socket, and how what he may not is refused. */
#include "control_request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failmalloc.h"
#include "leaks.h"

static struct control_request rq;
static char words[CONTROL_WORDS];

static void after(void)
{
	control_request_done(&rq);
	control_request_done(&rq);
	leaks_check();
}

TestSuite(daemon_control_request, .fini = after);

static unsigned route(const char *method, const char *path)
{
	control_request_done(&rq);
	words[0] = '\0';
	return control_request_route(&rq, method, path, words);
}

static unsigned body(const char *text)
{
	cr_assert_eq(route("POST", "/v1/mailboxes/pause"), 0);
	return control_request_body(&rq, text, strlen(text), words);
}

static unsigned argument(const char *name, const char *value)
{
	cr_assert_eq(route("GET", "/v1/status"), 0);
	return control_request_argument(&rq, name, value, words);
}

Test(daemon_control_request, each_order_has_its_path)
{
	char path[64];
	for (int i = 0; i < SCHED_ORDER_N; i++) {
		snprintf(path, sizeof(path), "/v1/mailboxes/%s", sched_order_name((enum sched_order)i));
		cr_expect_eq(route("POST", path), 0);
		cr_expect(rq.what == CONTROL_ORDER && (int)rq.order == i);
		cr_expect_eq(route("GET", path), 405);
		cr_expect_not_null(strstr(words, "POST"));
	}
	cr_expect_eq(route("GET", "/v1/status"), 0);
	cr_expect(rq.what == CONTROL_STATUS && rq.after == 0 && rq.limit == CONTROL_PAGE);
	cr_expect_eq(route("POST", "/v1/status"), 405);
}

Test(daemon_control_request, other_paths)
{
	static const char *const paths[] = { "", "/", "/v1", "/v1/status/", "/v1/Status", "/v2/status", "/v1/mailboxes", "/v1/mailboxes/",
		"/v1/mailboxes/pauses", "/v1/mailboxes/paus", "/v1/mailboxes/pause/", "/v1/mailboxes//pause", "v1/status" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		cr_expect_eq(route("GET", paths[i]), 404, "%s", paths[i]);
		cr_expect_neq(words[0], '\0');
	}
	char *longer = malloc(5000);
	memset(longer, '/', 4999);
	longer[4999] = '\0';
	cr_expect_eq(route("GET", longer), 404);
	free(longer);
}

Test(daemon_control_request, arguments_of_status)
{
	cr_expect_eq(argument("after", "4294967295"), 0);
	cr_expect_eq(rq.after, UINT32_MAX);
	cr_expect_eq(argument("limit", "1"), 0);
	cr_expect_eq(rq.limit, 1);
	cr_expect_eq(argument("limit", "500"), 0);
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1.0", "4294967296", "99999999999999999999999", "one" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(argument("after", bad[i]), 400, "%s", bad[i]);
		cr_expect_eq(argument("limit", bad[i]), 400, "%s", bad[i]);
	}
	cr_expect_eq(argument("after", NULL), 400);
	cr_expect_eq(argument("limit", "0"), 400);
	cr_expect_eq(argument("limit", "501"), 400);
	cr_expect_eq(argument("all", "1"), 400);
	cr_expect_eq(argument("", ""), 400);
	cr_assert_eq(route("POST", "/v1/mailboxes/pause"), 0);
	cr_expect_eq(control_request_argument(&rq, "after", "1", words), 400);
}

Test(daemon_control_request, names_are_sorted_and_each_is_meant_once)
{
	cr_assert_eq(body(" {\"mailboxes\": [\"m/b\", \"m/a\", \"m/b\", \"m/\\u00e4\", \"m/b\"]} "), 0);
	cr_expect(!rq.all && rq.n == 3);
	cr_expect_str_eq(rq.names[0], "m/a");
	cr_expect_str_eq(rq.names[1], "m/b");
	cr_expect_str_eq(rq.names[2], "m/\xc3\xa4");
	cr_expect_eq(body("{\"all\":true}"), 0);
	cr_expect(rq.all && rq.n == 0);
}

Test(daemon_control_request, bodies_that_are_refused)
{
	static const char *const bad[] = {
		"", " ", "nonsense", "{", "{}", "[]", "null", "true", "\"m/a\"", "{\"all\":false}", "{\"all\":1}", "{\"all\":\"true\"}", "{\"all\":null}",
		"{\"mailboxes\":[]}", "{\"mailboxes\":\"m/a\"}", "{\"mailboxes\":{}}", "{\"mailboxes\":[1]}", "{\"mailboxes\":[\"m/a\",null]}",
		"{\"mailboxes\":[\"\"]}", "{\"mailboxes\":[[\"m/a\"]]}", "{\"mailboxes\":[\"m/a\"],\"all\":true}", "{\"mailboxes\":[\"m/a\"],\"force\":true}",
		"{\"all\":true,\"all\":true}", "{\"mailboxes\":[\"m/a\"]} x", "{\"mailboxes\":[\"m/a\"]", "{\"mailboxes\":[\"m/a\\u0000b\"]}",
		"{\"mailboxes\":[\"m/\xff\"]}", "{\"mailboxes\":[\"m/\\ud800\"]}", "{\"ALL\":true}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(body(bad[i]), 400, "%s", bad[i]);
		cr_expect_neq(words[0], '\0');
		cr_expect(!rq.all, "%s", bad[i]);
	}
	cr_expect_eq(body("{\"mailboxes\":[\"m/a\", 7]}"), 400);
	cr_expect_not_null(strstr(words, "number 2"));
	cr_assert_eq(route("POST", "/v1/mailboxes/pause"), 0);
	cr_expect_eq(control_request_body(&rq, "{\"all\":true}\0", 13, words), 400, "a byte 0 is no JSON");
	cr_assert_eq(route("POST", "/v1/mailboxes/pause"), 0);
	cr_expect_eq(control_request_body(&rq, NULL, 0, words), 400);
}

Test(daemon_control_request, a_status_has_no_body)
{
	cr_assert_eq(route("GET", "/v1/status"), 0);
	cr_expect_eq(control_request_body(&rq, NULL, 0, words), 0);
	cr_expect_eq(control_request_body(&rq, "{}", 2, words), 400);
}

Test(daemon_control_request, a_heap_of_brackets)
{
	char *deep = malloc(100001);
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	cr_expect_eq(body(deep), 400);
	free(deep);
}

static char *many(size_t n)
{
	char *text = malloc(n * 10 + 32), *p = text;
	p += sprintf(p, "{\"mailboxes\":[");
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%s\"%zu\"", i > 0 ? "," : "", i);
	sprintf(p, "]}");
	return text;
}

Test(daemon_control_request, as_many_names_as_there_may_be)
{
	char *text = many(CONTROL_NAMES_MAX);
	cr_expect_eq(body(text), 0);
	cr_expect_eq(rq.n, CONTROL_NAMES_MAX);
	free(text);
	text = many(CONTROL_NAMES_MAX + 1);
	cr_expect_eq(body(text), 400);
	cr_expect_not_null(strstr(words, "no more than 10000"));
	free(text);
}

/* Any byte changed, any beginning: refused, or read as something that is whole. */
Test(daemon_control_request, whatever_comes)
{
	static const char good[] = "{\"mailboxes\": [\"m/ann\", \"m/b\\u00e4r\", \"m/\xc3\xa4\"]}";
	char text[sizeof(good)];
	for (size_t cut = 0; cut < sizeof(good) - 1; cut++) {
		memcpy(text, good, cut);
		text[cut] = '\0';
		cr_expect_eq(body(text), 400, "%s", text);
	}
	for (size_t at = 0; at < sizeof(good) - 1; at++)
		for (int byte = 1; byte < 256; byte++) {
			memcpy(text, good, sizeof(good));
			text[at] = (char)byte;
			unsigned status = body(text);
			cr_assert(status == 400 || (status == 0 && !rq.all && rq.n >= 1 && rq.n <= 3));
			for (size_t i = 0; status == 0 && i < rq.n; i++)
				cr_assert(rq.names[i][0] != '\0');
		}
}

Test(daemon_control_request, without_memory_nothing_is_meant)
{
	size_t n = 0;
	do {
		cr_assert_eq(route("POST", "/v1/mailboxes/pause"), 0);
		failmalloc_arm(++n);
		unsigned status = control_request_body(&rq, "{\"mailboxes\":[\"a\",\"b\"]}", 23, words);
		failmalloc_disarm();
		cr_expect(failmalloc_fired() ? status == 500 : status == 0 && rq.n == 2, "%zu: %u", n, status);
	} while (failmalloc_fired());
	cr_expect(n > 1);
}
