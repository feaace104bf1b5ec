#include "losses.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

void losses_done(struct losses *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->loss[i].reason);
		uidset_done(&l->loss[i].uids);
	}
	free(l->loss);
	*l = (struct losses){ 0 };
}

static struct loss *find(struct losses *l, enum skip_kind kind, const char *what, const char *reason)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->loss[i].kind == kind && strcmp(l->loss[i].what, what) == 0 && strcmp(l->loss[i].reason, reason) == 0)
			return &l->loss[i];
	return NULL;
}

static struct loss *add(struct losses *l, enum skip_kind kind, const char *what, const char *reason)
{
	struct loss *bigger = realloc(l->loss, (l->n + 1) * sizeof(*bigger));
	char *text = strdup(reason);

	if (bigger != NULL)
		l->loss = bigger;
	if (bigger == NULL || text == NULL) {
		free(text);
		return NULL;
	}
	l->loss[l->n] = (struct loss){ .kind = kind, .what = what, .reason = text };
	return &l->loss[l->n++];
}

int losses_note(struct losses *l, uint32_t uid, enum skip_kind kind, const char *what, const char *reason)
{
	struct loss *found;

	if (l->n >= LOSSES_MAX && find(l, kind, what, reason) == NULL)
		reason = "not all of it could be kept";
	found = find(l, kind, what, reason);
	if (found == NULL)
		found = add(l, kind, what, reason);
	return found == NULL ? PROTO_ERR_NOMEM : uidset_add(&found->uids, uid);
}

void losses_forget_kind(struct losses *l, uint32_t uid, enum skip_kind kind)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->loss[i].kind == kind)
			(void)uidset_remove_range(&l->loss[i].uids, uid, uid); /* out of memory, it is told of one that was left out */
}

void losses_forget(struct losses *l, uint32_t uid)
{
	for (int kind = 0; kind < SKIP_KIND_N; kind++)
		losses_forget_kind(l, uid, (enum skip_kind)kind);
}

int loss_take(struct loss *l, const struct uidset *stored, struct uidset *ret)
{
	struct uidset_walk w = { 0 };
	uint32_t uid;
	int err = 0;

	while (l->uids.n != 0 && err == 0 && (uid = uidset_walk(stored, &w)) != 0) {
		if (!uidset_has(&l->uids, uid))
			continue;
		err = uidset_add(ret, uid);
		if (err == 0)
			err = uidset_remove_range(&l->uids, uid, uid);
	}
	return err;
}
