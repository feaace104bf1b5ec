#include "keydoc.h"

#include <stdbool.h>
#include <string.h>

#include "keys.h"

/* What stands in the sample where a key has no default, or a better example. */
struct example {
	enum conf_section section;
	const char *name;
	const char *value;
};

struct sample_section {
	enum conf_section section;
	const char *title;
	const char *comment;
	struct example examples[12];
};

static const struct sample_section sample_sections[] = {
	{ CONF_SECTION_SERVER, "old", "A server that mailboxes are copied from or to.",
	  { { CONF_SECTION_SERVER, "url", "imaps://imap.old.example" },
	    { CONF_SECTION_SERVER, "ca_file", "/etc/ssl/certs/old-ca.pem" },
	    { CONF_SECTION_SERVER, "admin_user", "mover" },
	    { CONF_SECTION_SERVER, "admin_password_file", "/etc/godwit/old.secret" } } },
	{ CONF_SECTION_SERVER, "new", NULL,
	  { { CONF_SECTION_SERVER, "url", "imaps://imap.new.example" } } },
	{ CONF_SECTION_MIGRATION, "acme", "Which mailboxes go from where to where; "
	  "a path that is relative starts here.",
	  { { CONF_SECTION_MIGRATION, "source", "old" },
	    { CONF_SECTION_MIGRATION, "target", "new" },
	    { CONF_SECTION_MIGRATION, "mailboxes", "acme.csv" },
	    { CONF_SECTION_MIGRATION, "map", "{ \"Old/Name => New/Name\", \"/Lists\\\\.(.*)/ => Lists/\\\\1\" }" },
	    { CONF_SECTION_MIGRATION, "include", "{ \"INBOX\", \"Projects/**\" }" },
	    { CONF_SECTION_MIGRATION, "exclude", "{ \"\\\\Trash\", \"\\\\Junk\" }" },
	    { CONF_SECTION_MIGRATION, "prefix", "Old mail" },
	    { CONF_SECTION_MIGRATION, "max_size", "50M" },
	    { CONF_SECTION_MIGRATION, "since", "2020-01-01" },
	    { CONF_SECTION_MIGRATION, "before", "2026-01-01" },
	    { CONF_SECTION_MIGRATION, "repair", "newlines nul lines end" } } },
};

static const char *type_names[] = {
	[CONF_TYPE_STRING] = "text",
	[CONF_TYPE_PATH] = "path",
	[CONF_TYPE_URL] = "URL",
	[CONF_TYPE_BOOL] = "true or false",
	[CONF_TYPE_CHOICE] = "",
	[CONF_TYPE_WORDS] = "",
	[CONF_TYPE_INT] = "number",
	[CONF_TYPE_SIZE] = "size",
	[CONF_TYPE_DURATION] = "duration",
	[CONF_TYPE_LIST] = "list",
	[CONF_TYPE_DATE] = "day, YYYY-MM-DD",
};

static bool keydoc_has_range(const struct conf_key *key)
{
	return key->type == CONF_TYPE_INT || key->type == CONF_TYPE_SIZE ||
	       key->type == CONF_TYPE_DURATION;
}

static bool keydoc_is_bare(const struct conf_key *key)
{
	return key->type == CONF_TYPE_INT || key->type == CONF_TYPE_BOOL || key->type == CONF_TYPE_LIST;
}

static void keydoc_write_setting(FILE *out, const char *before, const struct conf_key *key,
				 const char *value)
{
	const char *quote = keydoc_is_bare(key) ? "" : "\"";

	fprintf(out, "%s%s = %s%s%s\n", before, key->name, quote, value, quote);
}

static void keydoc_write_comment(FILE *out, const char *before, const struct conf_key *key)
{
	char min[32], max[32];

	fprintf(out, "%s# %s", before, key->meaning);
	if (keydoc_has_range(key)) {
		conf_key_print_number(key, key->min, min, sizeof(min));
		conf_key_print_number(key, key->max, max, sizeof(max));
		fprintf(out, " (%s to %s)", min, max);
	}
	if (key->type == CONF_TYPE_CHOICE) {
		conf_key_print_choices(key, min, sizeof(min));
		fprintf(out, " (%s)", min);
	}
	if (key->type == CONF_TYPE_WORDS)
		fprintf(out, " (some of: %s; or off)", key->unit);
	fputc('\n', out);
}

static const char *keydoc_example(const struct sample_section *s, const struct conf_key *key)
{
	for (size_t i = 0; i < sizeof(s->examples) / sizeof(s->examples[0]); i++) {
		if (s->examples[i].name && strcmp(s->examples[i].name, key->name) == 0)
			return s->examples[i].value;
	}
	return NULL;
}

/* A key that may be left out stands there as a comment. */
static void keydoc_write_section(FILE *out, const struct sample_section *s)
{
	fputc('\n', out);
	if (s->comment)
		fprintf(out, "# %s\n", s->comment);
	fprintf(out, "%s \"%s\" {\n", conf_section_name(s->section), s->title);
	for (size_t i = 0; i < conf_key_n; i++) {
		const struct conf_key *key = &conf_keys[i];
		const char *example = keydoc_example(s, key);

		if (key->section != s->section || (!s->comment && !example))
			continue;
		if (s->comment)
			keydoc_write_comment(out, "    ", key);
		keydoc_write_setting(out, key->def ? "    #" : "    ", key,
				     example ? example : key->def);
	}
	fputs("}\n", out);
}

void keydoc_write_sample(FILE *out)
{
	fputs("# The configuration of godwit; see godwit.conf(5).\n"
	      "# What is commented out shows the default, or an example.\n", out);
	for (size_t i = 0; i < conf_key_n; i++) {
		if (conf_keys[i].section != CONF_SECTION_GLOBAL)
			continue;
		fputc('\n', out);
		keydoc_write_comment(out, "", &conf_keys[i]);
		keydoc_write_setting(out, "#", &conf_keys[i], conf_keys[i].def);
	}
	for (size_t i = 0; i < sizeof(sample_sections) / sizeof(sample_sections[0]); i++)
		keydoc_write_section(out, &sample_sections[i]);
}

static void keydoc_write_man_key(FILE *out, const struct conf_key *key)
{
	char min[32], max[32];

	fprintf(out, ".It Ic %s\n%s", key->name, type_names[key->type]);
	if (keydoc_has_range(key)) {
		conf_key_print_number(key, key->min, min, sizeof(min));
		conf_key_print_number(key, key->max, max, sizeof(max));
		fprintf(out, " from %s to %s", min, max);
		if (*key->unit)
			fprintf(out, " %s", key->unit);
	}
	if (key->type == CONF_TYPE_CHOICE) {
		conf_key_print_choices(key, min, sizeof(min));
		fputs(min, out);
	}
	if (key->type == CONF_TYPE_WORDS)
		fprintf(out, "some of the words %s, or off", key->unit);
	if (!key->def)
		fputs(", required", out);
	else if (*key->def)
		fprintf(out, ", default %s", key->def);
	else
		fputs(", not set by default", out);
	fprintf(out, ".\n.br\n%c%s.\n", key->meaning[0] >= 'a' && key->meaning[0] <= 'z' ?
		key->meaning[0] - 'a' + 'A' : key->meaning[0], key->meaning + 1);
	if (!key->reloadable)
		fputs("A change takes effect at the next start.\n", out);
}

void keydoc_write_man(FILE *out)
{
	static const char *const heads[] = {
		[CONF_SECTION_GLOBAL] = "Keys outside of the sections",
		[CONF_SECTION_SERVER] = "Keys of a section server",
		[CONF_SECTION_MIGRATION] = "Keys of a section migration",
	};

	fputs(".Sh KEYS\n", out);
	for (int section = CONF_SECTION_GLOBAL; section <= CONF_SECTION_MIGRATION; section++) {
		fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", heads[section]);
		for (size_t i = 0; i < conf_key_n; i++) {
			if ((int)conf_keys[i].section == section)
				keydoc_write_man_key(out, &conf_keys[i]);
		}
		fputs(".El\n", out);
	}
}
