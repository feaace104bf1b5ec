/* conf_load(): the outline by scan, the values by libConfuse, the checks by keys. */
#include <assert.h>
#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "conf.h"
#include "keys.h"
#include "scan.h"

#define FILE_CAP (4 * 1024 * 1024)	/* bytes of a configuration file */
#define TITLE_CAP 64
#define SHOWN 64			/* bytes of a name in a message */
#define KEY_CAP 32			/* keys of one section, sections included */

/* A load in progress. */
struct loader {
	const char *file;	/* as the caller named it */
	char *folder;		/* absolute, without a slash at its end */
	char *text;
	struct scan scan;
	cfg_t *cfg;
	struct conf *conf;
	struct conf_error *err;
};

#define LOAD_FAIL(l, line, ...) conf_error_at((l)->err, (l)->file, (line), __VA_ARGS__)

static int load_out_of_memory(struct loader *l)
{
	return LOAD_FAIL(l, 0, "out of memory; free some");
}

/* Takes text (NULL: there was no memory), to be freed with the struct. */
static char *load_own(struct loader *l, char *text)
{
	struct conf *conf = l->conf;
	char **owned = NULL;

	if (text)
		owned = reallocarray(conf->owned, conf->owned_n + 1, sizeof(*owned));
	if (!owned) {
		free(text);
		load_out_of_memory(l);
		return NULL;
	}
	conf->owned = owned;
	conf->owned[conf->owned_n++] = text;
	return text;
}

static int load_warn(struct loader *l, char *text)
{
	struct conf *conf = l->conf;
	const char **warnings;

	text = load_own(l, text);
	if (!text)
		return -1;
	warnings = reallocarray(conf->warnings, conf->warning_n + 1, sizeof(*warnings));
	if (!warnings)
		return load_out_of_memory(l);
	conf->warnings = warnings;
	conf->warnings[conf->warning_n++] = text;
	return 0;
}

static int load_bytes(struct loader *l, int fd, size_t *ret_len)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, l->text + len, FILE_CAP + 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len <= FILE_CAP) || (n < 0 && errno == EINTR));
	if (n < 0)
		return LOAD_FAIL(l, 0, "%s; it must be a text file", strerror(errno));
	if (len > FILE_CAP)
		return LOAD_FAIL(l, 0, "more than %d MB; name a configuration file",
				 FILE_CAP / 1024 / 1024);
	*ret_len = len;
	return 0;
}

/* Reads the whole file into l->text. */
static int load_text(struct loader *l)
{
	int fd = open(l->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	int rc;

	if (fd < 0)
		return LOAD_FAIL(l, 0, "%s; create it or name another one with -c", strerror(errno));
	l->text = malloc(FILE_CAP + 2);
	rc = l->text ? load_bytes(l, fd, &len) : load_out_of_memory(l);
	close(fd);
	if (rc < 0)
		return -1;
	l->text[len] = '\0';
	if (strlen(l->text) != len) {
		int line = 1;

		for (const char *p = l->text; *p; p++)
			line += *p == '\n';
		return LOAD_FAIL(l, line, "a NUL byte; it must be a text file");
	}
	if (strncmp(l->text, "\xef\xbb\xbf", 3) == 0)	/* a byte order mark */
		memmove(l->text, l->text + 3, len - 2);
	return 0;
}

/* Finds the folder that relative paths start at. */
static int load_folder(struct loader *l)
{
	const char *slash = strrchr(l->file, '/');
	char *named = slash ? strndup(l->file, (size_t)(slash - l->file) + 1) : strdup(".");

	if (!named)
		return load_out_of_memory(l);
	l->folder = realpath(named, NULL);
	free(named);
	if (!l->folder)
		return LOAD_FAIL(l, 0, "its folder: %s; name it with its whole path",
				 strerror(errno));
	if (strcmp(l->folder, "/") == 0)
		l->folder[0] = '\0';
	return 0;
}

static bool load_item_is(const struct scan_item *item, const char *name)
{
	return item->name_len == strlen(name) && memcmp(item->name, name, item->name_len) == 0;
}

static bool load_item_is_section(const struct scan_item *item, enum conf_section *ret)
{
	if (load_item_is(item, "server"))
		*ret = CONF_SECTION_SERVER;
	else if (load_item_is(item, "migration"))
		*ret = CONF_SECTION_MIGRATION;
	else
		return false;
	return true;
}

static int load_unknown(struct loader *l, enum conf_section section,
			const struct scan_item *item, const char *what)
{
	int shown = item->name_len < SHOWN ? (int)item->name_len : SHOWN;

	for (int other = CONF_SECTION_GLOBAL; other <= CONF_SECTION_MIGRATION; other++) {
		if (!conf_key_find((enum conf_section)other, item->name, item->name_len))
			continue;
		if (other == CONF_SECTION_GLOBAL)
			return LOAD_FAIL(l, item->line, "%.*s stands in a section; "
					 "write it outside of the braces", shown, item->name);
		return LOAD_FAIL(l, item->line, "%.*s stands in the wrong place; write it into "
				 "a section %s \"NAME\" { ... }", shown, item->name,
				 conf_section_name((enum conf_section)other));
	}
	return LOAD_FAIL(l, item->line, "unknown %s \"%.*s\"; did you mean \"%s\"?", what, shown,
			 item->name, conf_key_nearest(section, item->name, item->name_len));
}

/* Is a title there, and one that can be part of a mailbox's name? */
static int load_check_title(struct loader *l, const struct scan_item *item, const char *section)
{
	if (!item->title || item->title_len == 0)
		return LOAD_FAIL(l, item->line, "a section %s without a name; "
				 "write %s \"NAME\" { ... }", section, section);
	if (item->title_len > TITLE_CAP)
		return LOAD_FAIL(l, item->line, "the name of a section is longer than %d bytes; "
				 "shorten it", TITLE_CAP);
	for (size_t i = 0; i < item->title_len; i++) {
		unsigned char c = (unsigned char)item->title[i];

		if (c < 0x20 || c == 0x7f || strchr("/\"'\\$", c))
			return LOAD_FAIL(l, item->line, "the name of a section has a /, a quote or "
					 "the like in it; use letters, digits, - . and _");
	}
	if (!conf_value_is_utf8(item->title, item->title_len))
		return LOAD_FAIL(l, item->line, "the name of a section is not UTF-8; "
				 "save the file as UTF-8");
	return 0;
}

static int load_check_section(struct loader *l, const struct scan_item *item,
			      enum conf_section *ret)
{
	if (!load_item_is_section(item, ret)) {
		if (conf_key_find(CONF_SECTION_GLOBAL, item->name, item->name_len))
			return LOAD_FAIL(l, item->line, "%.*s is not a section; write %.*s = VALUE",
					 (int)item->name_len, item->name,
					 (int)item->name_len, item->name);
		return load_unknown(l, CONF_SECTION_GLOBAL, item, "section");
	}
	if (load_check_title(l, item, conf_section_name(*ret)) < 0)
		return -1;
	for (const struct scan_item *p = l->scan.items; p < item; p++) {
		if (p->kind == SCAN_SECTION && load_item_is(p, conf_section_name(*ret)) &&
		    p->title_len == item->title_len &&
		    memcmp(p->title, item->title, p->title_len) == 0)
			return LOAD_FAIL(l, item->line, "%s \"%.*s\" stands on line %d already; "
					 "give each %s its own name", conf_section_name(*ret),
					 (int)p->title_len, p->title, p->line,
					 conf_section_name(*ret));
	}
	return 0;
}

static int load_check_key(struct loader *l, enum conf_section section, size_t first,
			  const struct scan_item *item)
{
	const struct conf_key *key;
	enum conf_section named;

	if (section == CONF_SECTION_GLOBAL && load_item_is_section(item, &named))
		return LOAD_FAIL(l, item->line, "%s is a section; write %s \"NAME\" { ... }",
				 conf_section_name(named), conf_section_name(named));
	key = conf_key_find(section, item->name, item->name_len);
	if (!key)
		return load_unknown(l, section, item, "key");
	if (item->list && key->type != CONF_TYPE_LIST)
		return LOAD_FAIL(l, item->line, "%s is given a list; write one value", key->name);
	for (const struct scan_item *p = l->scan.items + first; p < item; p++) {
		if (p->kind == SCAN_SECTION)
			while (p < item && p->kind != SCAN_END)
				p++;
		else if (p->kind == SCAN_KEY && p->name_len == item->name_len &&
			 memcmp(p->name, item->name, item->name_len) == 0)
			return LOAD_FAIL(l, item->line, "%.*s stands on line %d already; "
					 "leave one of them out", (int)item->name_len, item->name,
					 p->line);
	}
	return 0;
}

/* Names and titles, before libConfuse sees the file; counts the sections. */
static int load_check_names(struct loader *l)
{
	enum conf_section section = CONF_SECTION_GLOBAL;
	size_t first = 0;

	for (size_t i = 0; i < l->scan.item_n; i++) {
		const struct scan_item *item = &l->scan.items[i];

		if (item->kind == SCAN_SECTION) {
			if (load_check_section(l, item, &section) < 0)
				return -1;
			first = i + 1;
			l->conf->server_n += section == CONF_SECTION_SERVER;
			l->conf->migration_n += section == CONF_SECTION_MIGRATION;
		} else if (item->kind == SCAN_END) {
			section = CONF_SECTION_GLOBAL;
			first = 0;
		} else if (load_check_key(l, section, first, item) < 0) {
			return -1;
		}
	}
	return 0;
}

static cfg_opt_t load_option(const struct conf_key *key)
{
	if (key->type == CONF_TYPE_LIST)
		return (cfg_opt_t)CFG_STR_LIST(key->name, NULL, CFGF_NODEFAULT);
	return (cfg_opt_t)CFG_STR(key->name, NULL, CFGF_NODEFAULT);
}

/* The keys of one section as libConfuse wants them: all of them texts. */
static size_t load_options(enum conf_section section, cfg_opt_t *opts)
{
	size_t n = 0;

	for (size_t i = 0; i < conf_key_n; i++) {
		if (conf_keys[i].section != section)
			continue;
		assert(n < KEY_CAP - 3);	/* two sections and the end follow */
		opts[n++] = load_option(&conf_keys[i]);
	}
	opts[n] = (cfg_opt_t)CFG_END();
	return n;
}

/* What scan lets pass and libConfuse does not would be a mistake of ours. */
static void load_confuse_error(cfg_t *cfg, const char *format, va_list args)
{
	(void)cfg;
	(void)format;
	(void)args;
}

static int load_parse(struct loader *l)
{
	cfg_opt_t opts[KEY_CAP], server_opts[KEY_CAP], migration_opts[KEY_CAP];
	size_t n = load_options(CONF_SECTION_GLOBAL, opts);

	load_options(CONF_SECTION_SERVER, server_opts);
	load_options(CONF_SECTION_MIGRATION, migration_opts);
	opts[n++] = (cfg_opt_t)CFG_SEC("server", server_opts, CFGF_MULTI | CFGF_TITLE);
	opts[n++] = (cfg_opt_t)CFG_SEC("migration", migration_opts, CFGF_MULTI | CFGF_TITLE);
	opts[n] = (cfg_opt_t)CFG_END();
	l->cfg = cfg_init(opts, CFGF_NONE);
	if (!l->cfg)
		return load_out_of_memory(l);
	cfg_set_error_function(l->cfg, load_confuse_error);
	if (cfg_parse_buf(l->cfg, l->text) != CFG_SUCCESS ||
	    cfg_size(l->cfg, "server") != l->conf->server_n ||
	    cfg_size(l->cfg, "migration") != l->conf->migration_n)
		return LOAD_FAIL(l, 0, "libConfuse cannot read it; compare it with the sample");
	return 0;
}

/* name: an absolute path, or one that starts at the folder of the file */
static char *load_path(struct loader *l, const char *name)
{
	char *path;

	if (name[0] == '/')
		path = strdup(name);
	else if (asprintf(&path, "%s/%s", l->folder, name) < 0)
		path = NULL;
	return load_own(l, path);
}

static int load_check_control(struct loader *l, const struct conf_key *key, int line,
			      const char *path)
{
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (strlen(path) > room)
		return LOAD_FAIL(l, line, "%s is longer than a socket's path can be; "
				 "shorten it to %zu bytes", key->name, room);
	return 0;
}

/* systemd gives a service its credentials in a folder of its own, with modes that say less than the access lists beside them. */
static bool load_is_credential(const char *path)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	size_t n = folder ? strlen(folder) : 0;

	return n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* Is there a file that can be read? Passwords in it are to be nobody else's. */
static int load_check_file(struct loader *l, const struct conf_key *key, int line,
			   const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st = { 0 };
	int rc = fd < 0 ? -1 : fstat(fd, &st);
	bool secret = key->section == CONF_SECTION_MIGRATION ||
		      strcmp(key->name, "admin_password_file") == 0;
	char *text;

	if (rc == 0 && S_ISDIR(st.st_mode)) {
		rc = -1;
		errno = EISDIR;
	}
	if (rc < 0)
		LOAD_FAIL(l, line, "%s is \"%.200s\": %s; it must be a file that can be read",
			  key->name, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (rc < 0 || !secret || (st.st_mode & 077) == 0 || load_is_credential(path))
		return rc;
	if (asprintf(&text, "%s: holds passwords and has the mode %04o, open to others than its "
		     "owner; chmod 600 it", path, (unsigned)(st.st_mode & 07777)) < 0)
		text = NULL;
	return load_warn(l, text);
}

/* STRING and PATH */
static int load_set_text(struct loader *l, const struct conf_key *key, const char *value,
			 int line, void *field)
{
	bool is_file = key->type == CONF_TYPE_PATH && key->section != CONF_SECTION_GLOBAL;
	const char *text;

	if (*value == '\0')
		return LOAD_FAIL(l, line, "%s is empty; %s", key->name,
				 key->def ? "give it a value or leave it out" : "give it a value");
	text = key->type == CONF_TYPE_PATH ? load_path(l, value) : load_own(l, strdup(value));
	if (!text)
		return -1;
	memcpy(field, &text, sizeof(text));
	if (is_file)
		return load_check_file(l, key, line, text);
	if (key->type == CONF_TYPE_PATH && strcmp(key->name, "control") == 0)
		return load_check_control(l, key, line, text);
	return 0;
}

/* The subject that value.h leaves out goes before its text. */
static int load_refuse(struct loader *l, const struct conf_key *key, int line,
		       const struct conf_error *why)
{
	return LOAD_FAIL(l, line, "%s %s", key->name, why->text);
}

static int load_set_url(struct loader *l, const struct conf_key *key, const char *value,
			int line, struct conf_url *url)
{
	struct conf_error why;

	if (conf_url_read(value, url, &why) < 0)
		return load_refuse(l, key, line, &why);
	if (url->user)
		return LOAD_FAIL(l, line, "%s names a user; leave USER@ out, "
				 "the users stand in the mailbox list", key->name);
	return 0;
}

static int load_set(struct loader *l, const struct conf_key *key, const char *value, int line,
		    void *object)
{
	void *field = (char *)object + key->offset;
	struct conf_error why;
	int64_t number;

	switch (key->type) {
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		return load_set_text(l, key, value, line, field);
	case CONF_TYPE_URL:
		return load_set_url(l, key, value, line, field);
	case CONF_TYPE_BOOL:
		if (conf_value_bool(value, field, &why) < 0)
			return load_refuse(l, key, line, &why);
		return 0;
	case CONF_TYPE_CHOICE:
		if (conf_key_read_choice(key, value, field, &why) < 0)
			return load_refuse(l, key, line, &why);
		return 0;
	case CONF_TYPE_WORDS:
		if (conf_key_read_words(key, value, field, &why) < 0)
			return load_refuse(l, key, line, &why);
		return 0;
	case CONF_TYPE_INT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_LIST:
	case CONF_TYPE_DATE:
		break;
	}
	if (conf_key_read_number(key, value, &number, &why) < 0)
		return load_refuse(l, key, line, &why);
	conf_key_set_number(key, object, number);
	return 0;
}

/* A list as it would stand in the file. */
static char *load_list_text(const struct conf_list *list)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputc('{', out);
	for (size_t i = 0; i < list->n; i++) {
		fputs(i > 0 ? ", \"" : " \"", out);
		for (const char *p = list->item[i]; *p; p++)
			fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
		fputc('"', out);
	}
	fputs(" }", out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int load_set_list(struct loader *l, const struct conf_key *key, cfg_t *cfg, int line,
			 struct conf_list *list)
{
	size_t n = cfg_size(cfg, key->name);
	const char **item;

	if (n == 0)
		return LOAD_FAIL(l, line, "%s is empty; give it a value or leave it out", key->name);
	item = (const char **)(void *)load_own(l, calloc(n, sizeof(*item)));
	if (!item)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const char *value = cfg_getnstr(cfg, key->name, (unsigned)i);

		if (!value || *value == '\0' || !conf_value_is_utf8(value, strlen(value)))
			return LOAD_FAIL(l, line, "a value of %s is empty or not UTF-8; "
					 "give it another or leave it out", key->name);
		item[i] = load_own(l, strdup(value));
		if (!item[i])
			return -1;
	}
	*list = (struct conf_list){ .item = item, .n = n, .line = line };
	list->text = load_own(l, load_list_text(list));
	return list->text ? 0 : -1;
}

/*
 * Sets the keys of one object from the items of its section, up to the SCAN_END
 * or the end of the file. Sections met on the way are passed by.
 */
static int load_object(struct loader *l, enum conf_section section, cfg_t *cfg, size_t first,
		       int line, void *object)
{
	uint64_t seen = 0;		/* a bit for each key of the table */

	assert(conf_key_n <= 64);
	for (size_t i = first; i < l->scan.item_n && l->scan.items[i].kind != SCAN_END; i++) {
		const struct scan_item *item = &l->scan.items[i];
		const struct conf_key *key;
		const char *value;

		if (item->kind == SCAN_SECTION) {
			while (l->scan.items[i].kind != SCAN_END)
				i++;
			continue;
		}
		key = conf_key_find(section, item->name, item->name_len);
		seen |= UINT64_C(1) << (key - conf_keys);
		if (key->type == CONF_TYPE_LIST) {
			if (load_set_list(l, key, cfg, item->line, (void *)((char *)object + key->offset)) < 0)
				return -1;
			continue;
		}
		value = cfg_getstr(cfg, key->name);
		if (!value)
			return load_out_of_memory(l);
		if (load_set(l, key, value, item->line, object) < 0)
			return -1;
	}
	for (size_t i = 0; i < conf_key_n; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section == section && !key->def && !(seen >> i & 1))
			return LOAD_FAIL(l, line, "%s is missing in %s \"%s\"; it is %s", key->name,
					 conf_section_name(section), cfg_title(cfg), key->meaning);
	}
	return 0;
}

/* An administrator is a name and a password, or nobody. */
static int load_check_admin(struct loader *l, const struct conf_server *s)
{
	if (!s->admin_user != !s->admin_password_file)
		return LOAD_FAIL(l, s->line, "server \"%s\" has %s without %s; write both, or none",
				 s->name, s->admin_user ? "admin_user" : "admin_password_file",
				 s->admin_user ? "admin_password_file" : "admin_user");
	for (const char *p = s->admin_user; p && *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return LOAD_FAIL(l, s->line, "admin_user of server \"%s\" has a control "
					 "character in it; leave that out", s->name);
	}
	if (s->admin_user && !conf_value_is_utf8(s->admin_user, strlen(s->admin_user)))
		return LOAD_FAIL(l, s->line, "admin_user of server \"%s\" is not UTF-8; "
				 "save the file as UTF-8", s->name);
	return 0;
}

/* Nothing can be between a day and an earlier one. */
static int load_check_days(struct loader *l, const struct conf_migration *m)
{
	if (m->since != 0 && m->before != 0 && m->since >= m->before)
		return LOAD_FAIL(l, m->line, "migration \"%s\" has a since that is not earlier than its before; "
				 "nothing would be copied", m->name);
	return 0;
}

static int load_sections(struct loader *l)
{
	struct conf *conf = l->conf;
	unsigned server = 0, migration = 0;
	const char *name;

	for (size_t i = 0; i < l->scan.item_n; i++) {
		const struct scan_item *item = &l->scan.items[i];

		if (item->kind != SCAN_SECTION)
			continue;
		name = load_own(l, strndup(item->title, item->title_len));
		if (!name)
			return -1;
		if (load_item_is(item, "server")) {
			struct conf_server *s = &conf->servers[server];

			conf_key_defaults(CONF_SECTION_SERVER, s);
			s->name = name;
			s->line = item->line;
			if (load_object(l, CONF_SECTION_SERVER, cfg_getnsec(l->cfg, "server", server),
					i + 1, item->line, s) < 0 || load_check_admin(l, s) < 0)
				return -1;
			server++;
		} else {
			struct conf_migration *m = &conf->migrations[migration];

			conf_key_defaults(CONF_SECTION_MIGRATION, m);
			m->name = name;
			m->line = item->line;
			if (load_object(l, CONF_SECTION_MIGRATION,
					cfg_getnsec(l->cfg, "migration", migration),
					i + 1, item->line, m) < 0 || load_check_days(l, m) < 0)
				return -1;
			migration++;
		}
	}
	return 0;
}

/* The line of a key in the section that begins on that line. */
static int load_key_line(const struct loader *l, int section_line, const char *title,
			 const char *name)
{
	const struct scan_item *item = l->scan.items;

	while (item->kind != SCAN_SECTION || item->line != section_line ||
	       item->title_len != strlen(title) ||
	       memcmp(item->title, title, item->title_len) != 0)
		item++;
	while (!load_item_is(item, name))
		item++;
	return item->line;
}

static int load_side(struct loader *l, const struct conf_migration *m, const char *key,
		     const char *name, const struct conf_server **ret)
{
	*ret = conf_server_find(l->conf, name);
	if (*ret)
		return 0;
	return LOAD_FAIL(l, load_key_line(l, m->line, m->name, key), "%s is \"%.*s\", but there is "
			 "no such server; write a section server \"%.*s\" { ... } or name another",
			 key, SHOWN, name, SHOWN, name);
}

/* A server may stand behind the migration that names it: look at the end. */
static int load_sides(struct loader *l)
{
	for (size_t i = 0; i < l->conf->migration_n; i++) {
		struct conf_migration *m = &l->conf->migrations[i];

		if (load_side(l, m, "source", m->source_name, &m->source) < 0 ||
		    load_side(l, m, "target", m->target_name, &m->target) < 0)
			return -1;
	}
	return 0;
}

static int load_all(struct loader *l)
{
	struct conf *conf = l->conf;

	if (load_text(l) < 0 || load_folder(l) < 0)
		return -1;
	conf->file = load_own(l, strdup(l->file));
	if (!conf->file)
		return -1;
	if (scan_text(l->text, l->file, &l->scan, l->err) < 0 || load_check_names(l) < 0)
		return -1;
	if (conf->server_n > 0)
		conf->servers = calloc(conf->server_n, sizeof(*conf->servers));
	if (conf->migration_n > 0)
		conf->migrations = calloc(conf->migration_n, sizeof(*conf->migrations));
	if ((conf->server_n > 0 && !conf->servers) || (conf->migration_n > 0 && !conf->migrations))
		return load_out_of_memory(l);
	if (load_parse(l) < 0 ||
	    load_object(l, CONF_SECTION_GLOBAL, l->cfg, 0, 0, conf) < 0 ||
	    load_sections(l) < 0)
		return -1;
	return load_sides(l);
}

int conf_load(const char *file, struct conf **ret, struct conf_error *err)
{
	struct loader l = { .file = file, .err = err };
	int rc;

	*ret = NULL;
	l.conf = malloc(sizeof(*l.conf));
	if (!l.conf) {
		load_out_of_memory(&l);
		return EX_CONFIG;
	}
	conf_defaults(l.conf);
	rc = load_all(&l);
	if (l.cfg)
		cfg_free(l.cfg);
	scan_done(&l.scan);
	free(l.folder);
	free(l.text);
	if (rc < 0) {
		conf_free(&l.conf);
		return EX_CONFIG;
	}
	*ret = l.conf;
	return 0;
}
