/*
 * conf: the configuration file.
 *
 * conf_load() reads the whole file, checks it and all that it refers to, and
 * returns a struct that nobody changes afterwards; a reload loads a second one
 * and compares. Paths in it are absolute: one that is relative in the file
 * starts at the file's own folder. Times are milliseconds.
 *
 * Invariants: every field holds a value in its range (keys.def); the names of
 * servers are unique, so are the names of migrations; a migration's source and
 * target point into servers[] of the same struct.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "value.h"

enum conf_compress {
	CONF_COMPRESS_AUTO,	/* where bandwidth and CPU say so */
	CONF_COMPRESS_ON,
	CONF_COMPRESS_OFF,
};

struct conf_server {
	const char *name;
	struct conf_url url;		/* its user is NULL */
	const char *ca_file;		/* NULL: the system's certificates */
	bool allow_plaintext;
	const char *admin_user;		/* NULL: every user logs in himself */
	const char *admin_password_file;	/* NULL when admin_user is */
	enum conf_compress compress;
	int max_connections;
	int connections_per_mailbox;
	int line;			/* of the section in the file */
};

enum conf_deletions {
	CONF_DELETIONS_KEEP,
	CONF_DELETIONS_MIRROR
};

enum conf_special_use {
	CONF_SPECIAL_USE_AUTO,
	CONF_SPECIAL_USE_OFF
};

enum conf_namespaces {
	CONF_NAMESPACES_PERSONAL,
	CONF_NAMESPACES_ALL
};

struct conf_list {
	const char **item;
	size_t n;
	const char *text;		/* as it would stand in the file; NULL: not set */
	int line;			/* of the key */
};

struct conf_migration {
	const char *name;
	const char *source_name;
	const char *target_name;
	const struct conf_server *source;
	const struct conf_server *target;
	const char *mailboxes;		/* the mailbox list: mailboxes_load() */
	enum conf_deletions deletions;
	int max_deletions;		/* percent of a folder */
	bool repair_echoes;
	enum conf_special_use special_use;
	struct conf_list map;		/* what they say is checked by who uses them */
	struct conf_list include;
	struct conf_list exclude;
	const char *prefix;		/* NULL: none */
	enum conf_namespaces namespaces;
	int64_t max_size;		/* bytes of a message; 0: any */
	int64_t since, before;		/* days as 20200131; 0: any */
	unsigned repair;		/* newlines 1, nul 2, lines 4, end 8 */
	bool newest_first;
	bool skip_deleted;
	int line;
};

struct conf {
	const char *state;
	const char *control;
	int max_login_retries;
	int64_t login_retry_interval_ms;
	int64_t pass_interval_ms;
	int max_mailboxes;
	int64_t connect_timeout_ms;
	int64_t login_timeout_ms;
	int64_t login_grace_ms;
	int64_t settle_ms;
	int64_t command_timeout_ms;
	int64_t shutdown_timeout_ms;

	struct conf_server *servers;
	size_t server_n;
	struct conf_migration *migrations;	/* may be none: the caller judges */
	size_t migration_n;

	const char *file;		/* NULL when there is none */
	const char **warnings;		/* whole lines for the log, "FILE: ..." */
	size_t warning_n;
	char **owned;			/* private: the strings above */
	size_t owned_n;
};

/*
 * Returns 0 and a new struct that the caller frees with conf_free(), or
 * EX_CONFIG (78) with a text in err; *ret is then NULL.
 */
int conf_load(const char *file, struct conf **ret, struct conf_error *err);

/* Frees *conf and makes it NULL; conf or *conf may be NULL. */
void conf_free(struct conf **conf);

/* Fills in what holds without a file. The struct then owns nothing. */
void conf_defaults(struct conf *conf);

/* The server with that name, or NULL. */
const struct conf_server *conf_server_find(const struct conf *conf, const char *name);

/* A key whose value is not the default one; the texts live during the call. */
struct conf_override {
	const char *section;		/* "", "server" or "migration" */
	const char *title;		/* name of the section, NULL when global */
	const char *name;
	const char *value;		/* in force, "90s" */
	const char *default_value;	/* "60s"; "" when there is none */
	bool reloadable;
};

/*
 * Calls fn (unless NULL) for each key that has a default and another value, in
 * the order of keys.def, the global ones first. Returns how many there are.
 */
size_t conf_overrides(const struct conf *conf,
		      void (*fn)(const struct conf_override *override, void *arg), void *arg);

#endif
