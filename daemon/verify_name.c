/* What differs, put into words: asked for once more by its UIDs, and told. */
#include "verify_p.h"

#include <stdlib.h>

#include "err.h"

int verify_add_diff(struct verify *v, const struct verify_diff *d)
{
	if (v->diff_n == v->diff_size) {
		size_t size = v->diff_size == 0 ? 32 : v->diff_size + v->diff_size / 2;
		struct verify_diff *bigger = realloc(v->diff, size * sizeof(*bigger));

		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		v->diff = bigger;
		v->diff_size = size;
	}
	v->diff[v->diff_n++] = *d;
	return 0;
}

/* The bytes as they came, or 0: then it is asked what the server announces. */
static uint32_t size_of(const struct verify *v, const struct compare_entry *e)
{
	return v->how->deep ? e->size : 0;
}

static int add_left(struct verify *v, enum side side)
{
	const struct compare_list *l = &v->side[side].list;
	int err = 0;

	for (size_t i = 0; i < l->n && err == 0; i++) {
		struct verify_diff d = { .kind = VERIFY_MISSING };

		d.uid[side] = l->entry[i].uid;
		d.size[side] = size_of(v, &l->entry[i]);
		if (side == TARGET)
			d.kind = uidset_has(&v->twice, d.uid[TARGET]) ? VERIFY_TWICE : VERIFY_EXTRA;
		err = verify_add_diff(v, &d);
	}
	return err;
}

int verify_make_diffs(struct verify *v)
{
	int err = 0;

	for (size_t i = 0; i < v->differ.n && err == 0; i++) {
		const struct compare_pair *p = &v->differ.pair[i];

		err = verify_add_diff(v, &(struct verify_diff){
				.kind = p->what == COMPARE_FLAGS ? VERIFY_FLAGS : VERIFY_ALTERED,
				.what = p->what,
				.uid = { p->source.uid, p->target.uid },
				.size = { size_of(v, &p->source), size_of(v, &p->target) },
			});
	}
	for (int side = 0; side < SIDES && err == 0; side++)
		err = add_left(v, (enum side)side);
	return err;
}

static int by_kind(const void *x, const void *y)
{
	const struct verify_diff *a = x, *b = y;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	for (int side = 0; side < SIDES; side++)
		if (a->uid[side] != b->uid[side])
			return a->uid[side] < b->uid[side] ? -1 : 1;
	return 0;
}

bool verify_name_next(struct verify *v, int *err)
{
	size_t end;

	if (v->named == 0 && v->diff_n != 0)
		qsort(v->diff, v->diff_n, sizeof(*v->diff), by_kind);
	if (v->named == v->diff_n)
		return false;
	end = v->diff_n - v->named > VERIFY_NAMES ? v->named + VERIFY_NAMES : v->diff_n;
	arena_reset(&v->names);
	for (int side = 0; side < SIDES && *err == 0; side++) {
		struct verify_side *s = &v->side[side];

		s->name_n = 0;
		s->width = VERIFY_NAMES;
		uidset_reset(&s->wanted);
		for (size_t i = v->named; i < end && *err == 0; i++)
			if (v->diff[i].uid[side] != 0)
				*err = uidset_add(&s->wanted, v->diff[i].uid[side]);
		if (*err == 0)
			*err = verify_pump(v, (enum side)side);
	}
	v->asked = end;
	return true;
}

static const struct verify_detail *detail_of(const struct verify_side *s, uint32_t uid)
{
	static const struct verify_detail nothing = { .message_id = "", .date = "", .flags = "" };

	for (size_t i = 0; i < s->name_n && uid != 0; i++)
		if (s->name[i].uid == uid)
			return &s->name[i];
	return &nothing;
}

static void tell_item(struct verify *v, const struct verify_item *item, uint64_t n)
{
	v->counts.kind[item->kind] += n;
	if (item->kind == VERIFY_EXTRA && item->ours == OURS_YES)
		v->counts.ours += n;
	v->how->tell(v->how->arg, &(struct verify_event){ .kind = VERIFY_ITEM, .mailbox = v->spec->name, .folder = &v->folder,
		.item = item });
}

void verify_tell_named(struct verify *v)
{
	for (; v->named < v->asked; v->named++) {
		const struct verify_diff *d = &v->diff[v->named];
		struct verify_item item = { .kind = d->kind, .what = d->what, .ours = d->ours, .message_id = "",
			.reason = d->reason != NULL ? d->reason : "" };

		for (int side = 0; side < SIDES; side++) {
			const struct verify_detail *detail = detail_of(&v->side[side], d->uid[side]);

			item.uid[side] = d->uid[side];
			item.date[side] = detail->date;
			item.flags[side] = detail->flags;
			item.size[side] = d->size[side] != 0 ? d->size[side] : detail->size;
			if (item.message_id[0] == '\0')
				item.message_id = detail->message_id;
		}
		tell_item(v, &item, 1);
	}
}

void verify_tell_unsubscribed(struct verify *v)
{
	tell_item(v, &(struct verify_item){ .kind = VERIFY_UNSUBSCRIBED, .message_id = "", .date = { "", "" }, .flags = { "", "" },
		.reason = "subscribed on the source, and not on the target" }, 1);
}

void verify_tell_unreadable(struct verify *v, enum side side, uint32_t uid, uint64_t messages, const char *reason)
{
	struct verify_item item = { .kind = VERIFY_UNREADABLE, .message_id = "", .date = { "", "" }, .flags = { "", "" },
		.reason = reason };

	item.side = side;
	item.uid[side] = uid;
	tell_item(v, &item, messages);
}
