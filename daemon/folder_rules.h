/*
 * folder_rules: what the operator says of folders in one migration: which are taken along, and where they go. Made once from the configuration, then only read.
 *
 * All of it speaks of paths (name.h). A pattern is a role ("\\Trash": the folder with that role and all below it), or a path in which * stands for any
 * text within a level, ** for any text, ? for one character; behind a slash, at the end, ** is the folder itself, too. A rule of the map is "FROM => TO"; FROM is a path, a role, or a regular
 * expression (POSIX, extended) between slashes, which must fit the whole path, and whose groups are \1 to \9 in TO.
 */
#ifndef GODWIT_FOLDER_RULES_H
#define GODWIT_FOLDER_RULES_H

#include "arena.h"
#include "conf.h"
#include "role.h"

struct folder_rules;
/* NULL, with file, line and words in err: what is wrong. `file` is for the words only. */
struct folder_rules *folder_rules_new(const struct conf_migration *m, const char *file, struct conf_error *err);
void folder_rules_free(struct folder_rules **r);

/* `r` may be NULL everywhere: nothing is said. */
/* Is it taken along? 1, 0, or PROTO_ERR_NOMEM. `roles`: a bit (1 << enum role) for each role that the folder or one above it has. */
int folder_rules_take(const struct folder_rules *r, struct span path, unsigned roles);
/* Where the map sends the folder; the result lives as long as rules and arena. 1; 0: no rule fits; or PROTO_ERR_*. */
int folder_rules_map(const struct folder_rules *r, struct span path, enum role role, struct arena *a, struct span *ret);
struct span folder_rules_prefix(const struct folder_rules *r);
bool folder_rules_special_use(const struct folder_rules *r);
bool folder_rules_all_namespaces(const struct folder_rules *r);

/* Does the pattern, a valid one that is no role, fit the path? 1, 0, or PROTO_ERR_NOMEM. */
int folder_rules_fits(struct span pattern, struct span path);

#endif
