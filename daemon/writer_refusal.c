/*
 * A message that was refused alone, by words that are known: it may be sent once more in another form. As a literal8 its bytes are the same; without keywords, or
 * repaired where the operator wants that, it is told.
 */
#include <stdio.h>

#include "err.h"
#include "pass.h"

static bool has_keywords(const struct batch *b)
{
	for (size_t i = 0; i < b->flag_n; i++)
		if (b->flag[i].name[0] != '\\')
			return true;
	return false;
}

static bool without_keywords(struct lane *l, struct window *win, uint32_t uid, const struct outcome *why, int *err)
{
	struct folder *f = win->folder;
	char text[700];

	(void)l;
	if (!has_keywords(&win->batch) || !repair_is_about_flags(span_str(why->text)) || uidset_has(&f->bare, uid))
		return false;
	snprintf(text, sizeof(text), "the target refused it with its keywords, so they were left out: %s", why->text);
	*err = uidset_add(&f->bare, uid);
	if (*err == 0)
		*err = losses_note(&f->losses, uid, SKIP_ALTERED, "flags", text);
	return true;
}

/* RFC 3516 section 4.4: the only legal way for NUL bytes. */
static bool as_binary(struct lane *l, struct folder *f, uint32_t uid, unsigned kinds, int *err)
{
	if ((kinds & REPAIR_NUL) == 0 || !peer_has(l->peer[TARGET], CAP_BINARY) || uidset_has(&f->binary, uid))
		return false;
	*err = uidset_add(&f->binary, uid);
	return true;
}

static bool repaired(struct lane *l, struct folder *f, uint32_t uid, unsigned kinds, const struct outcome *why, int *err)
{
	struct mend *m = mend_find(f->mend, uid);

	kinds &= l->pass->spec->rules.repair;
	/* Another refusal of what was repaired already may ask for more. */
	if (kinds == 0 || (m != NULL && (kinds & ~m->kinds) == 0))
		return false;
	if (m == NULL)
		m = mend_add(&f->mend, uid, 0, why->text);
	if (m == NULL) {
		*err = PROTO_ERR_NOMEM;
		return true;
	}
	*m = (struct mend){ .next = m->next, .uid = uid, .kinds = m->kinds | kinds };
	snprintf(m->why, sizeof(m->why), "%s", why->text);
	return true;
}

bool writer_try_otherwise(struct lane *l, struct window *win, const struct outcome *why)
{
	uint32_t uid = uidset_at(&win->batch.source, 0);
	unsigned kinds = repair_for(span_str(why->text));
	int err = 0;

	if (!without_keywords(l, win, uid, why, &err) && !as_binary(l, win->folder, uid, kinds, &err) &&
		!repaired(l, win->folder, uid, kinds, why, &err))
		return false;
	if (err == 0)
		err = pass_redo(win->folder, uid);
	(void)writer_failed(l, err);
	return true;
}
