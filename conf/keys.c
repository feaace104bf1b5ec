#include "keys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "conf.h"
#include "error.h"
#include "value.h"

#define NAME_MAX_LEN 64		/* longer words are compared by their beginning */

#define YES true
#define NO false
#define STRUCT_GLOBAL struct conf
#define STRUCT_SERVER struct conf_server
#define STRUCT_MIGRATION struct conf_migration
#define C_STRING const char *
#define C_PATH const char *
#define C_URL struct conf_url
#define C_BOOL bool
#define C_CHOICE unsigned
#define C_WORDS unsigned
#define C_INT int
#define C_SIZE int64_t
#define C_DURATION int64_t
#define C_LIST struct conf_list
#define C_DATE int64_t

/* A field whose C type is not the one of its row would be overwritten wrongly. */
#define CONF_KEY(sect, key, field, kind, ...)                                            \
	_Static_assert(_Generic(((STRUCT_##sect *)0)->field, C_##kind: 1, default: 0),   \
		       "the field of " #key " does not have the type of its row");
#include "keys.def"
#undef CONF_KEY

#define CONF_KEY(sect, key, field, kind, standard, low, high, counts, live, text)        \
	{ CONF_SECTION_##sect, CONF_TYPE_##kind, #key, offsetof(STRUCT_##sect, field),   \
	  standard, low, high, counts, live, text },
const struct conf_key conf_keys[] = {
#include "keys.def"
};
#undef CONF_KEY

const size_t conf_key_n = sizeof(conf_keys) / sizeof(conf_keys[0]);

const char *conf_section_name(enum conf_section section)
{
	switch (section) {
	case CONF_SECTION_SERVER:
		return "server";
	case CONF_SECTION_MIGRATION:
		return "migration";
	case CONF_SECTION_GLOBAL:
		break;
	}
	return "";
}

const struct conf_key *conf_key_find(enum conf_section section, const char *name, size_t len)
{
	for (size_t i = 0; i < conf_key_n; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section == section && strlen(key->name) == len &&
		    memcmp(key->name, name, len) == 0)
			return key;
	}
	return NULL;
}

/* Levenshtein's distance: how many letters to change, add or remove. */
static size_t key_distance(const char *a, size_t a_len, const char *b)
{
	size_t b_len = strlen(b);
	size_t row[NAME_MAX_LEN + 1];

	if (a_len > NAME_MAX_LEN)
		a_len = NAME_MAX_LEN;
	if (b_len > NAME_MAX_LEN)
		b_len = NAME_MAX_LEN;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

const char *conf_key_nearest(enum conf_section section, const char *name, size_t len)
{
	static const char *const sections[] = { "server", "migration" };
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < conf_key_n; i++) {
		size_t distance;

		if (conf_keys[i].section != section)
			continue;
		distance = key_distance(name, len, conf_keys[i].name);
		if (distance < best) {
			best = distance;
			nearest = conf_keys[i].name;
		}
	}
	for (size_t i = 0; section == CONF_SECTION_GLOBAL && i < 2; i++) {
		size_t distance = key_distance(name, len, sections[i]);

		if (distance < best) {
			best = distance;
			nearest = sections[i];
		}
	}
	return nearest;
}

void conf_key_print_number(const struct conf_key *key, int64_t number, char *buf, size_t size)
{
	if (key->type == CONF_TYPE_DURATION)
		conf_value_print_duration(number, buf, size);
	else if (key->type == CONF_TYPE_SIZE)
		conf_value_print_size(number, buf, size);
	else if (key->type == CONF_TYPE_DATE)
		conf_value_print_date(number, buf, size);
	else
		snprintf(buf, size, "%" PRId64, number);
}

int conf_key_read_number(const struct conf_key *key, const char *text, int64_t *ret,
			 struct conf_error *err)
{
	char min[32], max[32];
	int64_t number;
	int rc;

	if (key->type == CONF_TYPE_DATE)
		return conf_value_date(text, ret, err);
	if (key->type == CONF_TYPE_DURATION)
		rc = conf_value_duration(text, &number, err);
	else if (key->type == CONF_TYPE_SIZE)
		rc = conf_value_size(text, &number, err);
	else
		rc = conf_value_int(text, &number, err);
	if (rc < 0)
		return -1;
	if (number < key->min || number > key->max) {
		conf_key_print_number(key, key->min, min, sizeof(min));
		conf_key_print_number(key, key->max, max, sizeof(max));
		return conf_error_set(err, "is %.64s; it must be between %s and %s", text, min, max);
	}
	*ret = number;
	return 0;
}

/* Steps to the next word of a list with blanks in between; its length, 0 at the end. */
static size_t choice_next(const char **at)
{
	*at += strspn(*at, " ");
	return strcspn(*at, " ");
}

int conf_key_read_choice(const struct conf_key *key, const char *text, unsigned *ret,
			 struct conf_error *err)
{
	const char *at = key->unit;
	char choices[128];
	unsigned n = 0;

	for (size_t len; (len = choice_next(&at)) > 0; at += len, n++) {
		if (strlen(text) == len && strncasecmp(at, text, len) == 0) {
			*ret = n;
			return 0;
		}
	}
	conf_key_print_choices(key, choices, sizeof(choices));
	return conf_error_set(err, "is \"%.64s\"; it must be %s", text, choices);
}

int conf_key_read_words(const struct conf_key *key, const char *text, unsigned *ret,
			struct conf_error *err)
{
	static const char between[] = " ,\t";
	unsigned value = 0;
	char word[32];
	bool any = false;

	for (const char *at = text + strspn(text, between); *at; at += strspn(at, between)) {
		size_t len = strcspn(at, between);
		unsigned choice;

		snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), at);
		any = true;
		if (strcasecmp(word, "off") == 0 && value == 0 && at[len + strspn(at + len, between)] == '\0')
			break;
		if (len >= sizeof(word) || conf_key_read_choice(key, word, &choice, err) < 0) {
			any = false;
			break;
		}
		value |= 1u << choice;
		at += len;
	}
	if (!any)
		return conf_error_set(err, "is \"%.64s\"; it must be some of the words %s, or off", text, key->unit);
	*ret = value;
	return 0;
}

void conf_key_print_words(const struct conf_key *key, unsigned value, char *buf, size_t size)
{
	size_t used = 0;
	char word[32];

	snprintf(buf, size, "off");
	for (unsigned i = 0; i < 32 && used < size; i++) {
		if ((value >> i & 1) == 0)
			continue;
		conf_key_print_choice(key, i, word, sizeof(word));
		used += (size_t)snprintf(buf + used, size - used, "%s%s", used == 0 ? "" : " ", word);
	}
}

void conf_key_print_choice(const struct conf_key *key, unsigned value, char *buf, size_t size)
{
	const char *at = key->unit;
	size_t len;

	for (len = choice_next(&at); value > 0 && len > 0; value--) {
		at += len;
		len = choice_next(&at);
	}
	snprintf(buf, size, "%.*s", (int)len, at);
}

void conf_key_print_choices(const struct conf_key *key, char *buf, size_t size)
{
	const char *at = key->unit;
	size_t used = 0;

	buf[0] = '\0';
	for (size_t len; (len = choice_next(&at)) > 0 && used < size; at += len) {
		bool last = at[len] == '\0';

		used += (size_t)snprintf(buf + used, size - used, "%s%.*s",
					 used == 0 ? "" : last ? " or " : ", ", (int)len, at);
	}
}

int64_t conf_key_number(const struct conf_key *key, const void *object)
{
	const char *field = (const char *)object + key->offset;
	int64_t number;
	int small;

	if (key->type != CONF_TYPE_INT) {
		memcpy(&number, field, sizeof(number));
		return number;
	}
	memcpy(&small, field, sizeof(small));
	return small;
}

void conf_key_set_number(const struct conf_key *key, void *object, int64_t number)
{
	char *field = (char *)object + key->offset;
	int small = (int)number;

	if (key->type == CONF_TYPE_INT)
		memcpy(field, &small, sizeof(small));
	else
		memcpy(field, &number, sizeof(number));
}

static void key_default(const struct conf_key *key, void *object)
{
	char *field = (char *)object + key->offset;
	const char *text = key->def && *key->def ? key->def : NULL;
	struct conf_error err;
	int64_t number = 0;
	unsigned choice = 0;
	bool truth = false;
	int rc = 0;

	switch (key->type) {
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		memcpy(field, &text, sizeof(text));
		break;
	case CONF_TYPE_URL:
		assert(!text);	/* its strings would have no owner */
		memset(field, 0, sizeof(struct conf_url));
		break;
	case CONF_TYPE_LIST:
		assert(!text);
		memset(field, 0, sizeof(struct conf_list));
		break;
	case CONF_TYPE_BOOL:
		if (text)
			rc = conf_value_bool(text, &truth, &err);
		memcpy(field, &truth, sizeof(truth));
		break;
	case CONF_TYPE_CHOICE:
	case CONF_TYPE_WORDS:
		rc = key->type == CONF_TYPE_CHOICE ? conf_key_read_choice(key, key->def, &choice, &err) :
			conf_key_read_words(key, key->def, &choice, &err);
		memcpy(field, &choice, sizeof(choice));
		break;
	case CONF_TYPE_INT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_DATE:
		if (text)
			rc = conf_key_read_number(key, text, &number, &err);
		conf_key_set_number(key, object, number);
		break;
	}
	assert(rc == 0);	/* a row of keys.def contradicts itself */
}

void conf_key_defaults(enum conf_section section, void *object)
{
	for (size_t i = 0; i < conf_key_n; i++) {
		if (conf_keys[i].section == section)
			key_default(&conf_keys[i], object);
	}
}
