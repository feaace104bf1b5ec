#include "role.h"

#include "resp.h"

static const struct {
	struct span name;
	uint32_t bit;
	bool placed;
} roles[ROLE_N] = {
	[ROLE_NONE] = { { "", 0 }, 0, false },
#define ROLE(role, text, bit, placed) [ROLE_##role] = { { text, sizeof(text) - 1 }, bit, placed },
#include "roles.def"
#undef ROLE
};

static const struct {
	enum role role;
	struct span path;
} names[] = {
#define NAME(role, text) { ROLE_##role, { text, sizeof(text) - 1 } },
#include "roles.def"
#undef NAME
};

const char *role_name(enum role r)
{
	return roles[r].name.p;
}

enum role role_lookup(struct span name)
{
	for (int r = ROLE_NONE + 1; r < ROLE_N; r++)
		if (span_eq_nocase(roles[r].name, name))
			return (enum role)r;
	return ROLE_NONE;
}

bool role_is_placed(enum role r)
{
	return roles[r].placed;
}

enum role role_of_attrs(uint32_t attrs)
{
	for (int r = ROLE_NONE + 1; r < ROLE_N; r++)
		if ((attrs & roles[r].bit) != 0)
			return (enum role)r;
	return ROLE_NONE;
}

/* Where servers keep such folders, besides the top. */
static struct span without_home(struct span path)
{
	static const struct span homes[] = { { "INBOX/", 6 }, { "[Gmail]/", 8 }, { "[Google Mail]/", 14 } };

	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++)
		if (span_starts_nocase(path, homes[i]))
			return span_from(path, homes[i].n);
	return path;
}

enum role role_of_path(struct span path, unsigned *rank)
{
	path = without_home(path);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_eq_nocase(names[i].path, path)) {
			*rank = i;
			return names[i].role;
		}
	return ROLE_NONE;
}
