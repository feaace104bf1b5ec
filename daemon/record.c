#include "record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

static json_t *json_of(struct record *r)
{
	return (json_t *)r;
}

struct record *record_new(void)
{
	json_t *json = json_object();

	if (json == NULL)
		abort();
	return (struct record *)json;
}

void record_free(struct record **r)
{
	json_decref(json_of(*r));
	*r = NULL;
}

/* Takes over `value`. */
static void set(struct record *r, const char *name, json_t *value)
{
	if (value == NULL || json_object_set_new(json_of(r), name, value) != 0)
		abort();
}

/* The length of the UTF-8 character at s, 0: it is none (RFC 3629). */
static size_t character(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static json_t *text_of(const char *text)
{
	static const char instead[] = "\xef\xbf\xbd";
	json_t *value = json_string(text);
	char *good, *out;

	if (value == NULL) {
		out = good = malloc(strlen(text) * (sizeof(instead) - 1) + 1);
		if (good == NULL)
			abort();
		for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
			size_t n = character(s);

			memcpy(out, n != 0 ? (const char *)s : instead, n != 0 ? n : sizeof(instead) - 1);
			out += n != 0 ? n : sizeof(instead) - 1;
			s += n != 0 ? n : 1;
		}
		*out = '\0';
		value = json_string(good);
		free(good);
	}
	return value;
}

void record_text(struct record *r, const char *name, const char *text)
{
	set(r, name, text_of(text));
}

void record_text_or_null(struct record *r, const char *name, const char *text)
{
	if (text[0] != '\0')
		record_text(r, name, text);
	else
		record_null(r, name);
}

void record_texts(struct record *r, const char *name, const char *const *texts, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		if (array == NULL || json_array_append_new(array, text_of(texts[i])) != 0)
			abort();
	set(r, name, array);
}

void record_number(struct record *r, const char *name, uint64_t n)
{
	set(r, name, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void record_flag(struct record *r, const char *name, bool yes)
{
	set(r, name, json_boolean(yes));
}

void record_null(struct record *r, const char *name)
{
	set(r, name, json_null());
}

void record_time(struct record *r, const char *name, int64_t wall)
{
	char text[TABLE_TIME];

	record_text_or_null(r, name, table_iso(text, wall));
}

void record_put(struct record *r, const char *name, struct record **inner)
{
	set(r, name, json_of(*inner));
	*inner = NULL;
}

void record_append(struct record *r, const char *name, struct record **item)
{
	json_t *array = json_object_get(json_of(r), name);

	if (array == NULL) {
		array = json_array();
		set(r, name, array);
	}
	if (json_array_append_new(array, json_of(*item)) != 0)
		abort();
	*item = NULL;
}

char *record_take(struct record **r, size_t *n)
{
	char *text = json_dumps(json_of(*r), JSON_COMPACT);

	if (text == NULL)
		abort();
	*n = strlen(text);
	record_free(r);
	return text;
}

void record_print(struct record **r, FILE *out, bool open)
{
	char *text = json_dumps(json_of(*r), JSON_COMPACT);

	if (text == NULL)
		abort();
	fwrite(text, 1, strlen(text) - (open ? 1 : 0), out);
	free(text);
	record_free(r);
}
