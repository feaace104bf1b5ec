#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

struct override_walk {
	void (*fn)(const struct conf_override *override, void *arg);
	void *arg;
	size_t n;
};

void conf_free(struct conf **conf)
{
	struct conf *c;

	if (!conf || !*conf)
		return;
	c = *conf;
	for (size_t i = 0; c->servers && i < c->server_n; i++)
		conf_url_done(&c->servers[i].url);
	for (size_t i = 0; i < c->owned_n; i++)
		free(c->owned[i]);
	free(c->owned);
	free(c->warnings);
	free(c->servers);
	free(c->migrations);
	free(c);
	*conf = NULL;
}

void conf_defaults(struct conf *conf)
{
	*conf = (struct conf){ 0 };
	conf_key_defaults(CONF_SECTION_GLOBAL, conf);
}

const struct conf_server *conf_server_find(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->server_n; i++) {
		if (strcmp(conf->servers[i].name, name) == 0)
			return &conf->servers[i];
	}
	return NULL;
}

/* The value of a key as text; buf holds it where it is not kept as text. */
static const char *override_text(const struct conf_key *key, const void *object,
				 char *buf, size_t size)
{
	const char *field = (const char *)object + key->offset;
	struct conf_list list;
	const char *text;
	unsigned choice;
	bool truth;

	switch (key->type) {
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		memcpy(&text, field, sizeof(text));
		return text ? text : "";
	case CONF_TYPE_BOOL:
		memcpy(&truth, field, sizeof(truth));
		return truth ? "true" : "false";
	case CONF_TYPE_CHOICE:
		memcpy(&choice, field, sizeof(choice));
		conf_key_print_choice(key, choice, buf, size);
		return buf;
	case CONF_TYPE_WORDS:
		memcpy(&choice, field, sizeof(choice));
		conf_key_print_words(key, choice, buf, size);
		return buf;
	case CONF_TYPE_INT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_DATE:
		conf_key_print_number(key, conf_key_number(key, object), buf, size);
		return buf;
	case CONF_TYPE_LIST:
		memcpy(&list, field, sizeof(list));
		return list.text ? list.text : "";
	case CONF_TYPE_URL:
		break;
	}
	return "";
}

/* standard: an object of the same section with nothing but defaults */
static void override_section(struct override_walk *walk, enum conf_section section,
			     const char *title, const void *object, const void *standard)
{
	for (size_t i = 0; i < conf_key_n; i++) {
		const struct conf_key *key = &conf_keys[i];
		char buf[32], standard_buf[32];
		struct conf_override override = {
			.section = conf_section_name(section), .title = title,
			.name = key->name, .reloadable = key->reloadable,
		};

		if (key->section != section || !key->def)
			continue;
		override.value = override_text(key, object, buf, sizeof(buf));
		override.default_value = override_text(key, standard, standard_buf,
						       sizeof(standard_buf));
		if (strcmp(override.value, override.default_value) == 0)
			continue;
		override.default_value = key->def;
		walk->n++;
		if (walk->fn)
			walk->fn(&override, walk->arg);
	}
}

size_t conf_overrides(const struct conf *conf,
		      void (*fn)(const struct conf_override *override, void *arg), void *arg)
{
	struct override_walk walk = { .fn = fn, .arg = arg };
	struct conf_server server = { 0 };
	struct conf_migration migration = { 0 };
	struct conf standard;

	conf_defaults(&standard);
	conf_key_defaults(CONF_SECTION_SERVER, &server);
	conf_key_defaults(CONF_SECTION_MIGRATION, &migration);
	override_section(&walk, CONF_SECTION_GLOBAL, NULL, conf, &standard);
	for (size_t i = 0; i < conf->server_n; i++)
		override_section(&walk, CONF_SECTION_SERVER, conf->servers[i].name,
				 &conf->servers[i], &server);
	for (size_t i = 0; i < conf->migration_n; i++)
		override_section(&walk, CONF_SECTION_MIGRATION, conf->migrations[i].name,
				 &conf->migrations[i], &migration);
	return walk.n;
}
