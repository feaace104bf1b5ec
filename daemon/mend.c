#include "mend.h"

#include <stdio.h>
#include <stdlib.h>

struct mend *mend_add(struct mend **list, uint32_t uid, unsigned kinds, const char *why)
{
	struct mend *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->uid = uid;
	m->kinds = kinds;
	snprintf(m->why, sizeof(m->why), "%s", why);
	m->next = *list;
	*list = m;
	return m;
}

struct mend *mend_find(struct mend *list, uint32_t uid)
{
	while (list != NULL && list->uid != uid)
		list = list->next;
	return list;
}

void mend_done(struct mend **list)
{
	while (*list != NULL) {
		struct mend *gone = *list;

		*list = gone->next;
		free(gone);
	}
}
