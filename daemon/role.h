/*
 * role: what a folder is for (RFC 6154), as its server says, or by its name.
 */
#ifndef GODWIT_ROLE_H
#define GODWIT_ROLE_H

#include "span.h"

#include <stdint.h>

enum role {
	ROLE_NONE,
#define ROLE(name, text, bit, placed) ROLE_##name,
#include "roles.def"
#undef ROLE
	ROLE_N
};

/* "\\Sent"; "" for ROLE_NONE. */
const char *role_name(enum role r);
/* By "\\Sent", ASCII case ignored. ROLE_NONE: there is none. */
enum role role_lookup(struct span name);
/* See roles.def. */
bool role_is_placed(enum role r);
/* By the attributes of LIST; the first of several. */
enum role role_of_attrs(uint32_t attrs);
/* By its path. `rank`: its place in the list of names, the lower the better. */
enum role role_of_path(struct span path, unsigned *rank);

#endif
