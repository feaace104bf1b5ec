#include "batch.h"

#include <stdlib.h>

#include "err.h"

#define FLAGS_MAX 256 /* different flags in one batch; more of them are stored on the target, but not remembered */

void batch_reset(struct batch *b)
{
	for (size_t i = 0; i < b->flag_n; i++) {
		free(b->flag[i].name);
		uidset_done(&b->flag[i].uids);
	}
	b->flag_n = 0;
	uidset_reset(&b->source);
	uidset_reset(&b->target);
	b->messages = b->adopted = 0;
	b->bytes = 0;
}

void batch_done(struct batch *b)
{
	batch_reset(b);
	free(b->flag);
	uidset_done(&b->source);
	uidset_done(&b->target);
	*b = (struct batch){ 0 };
}

/* *ret is NULL for a keyword that is one too many. */
static int find_flag(struct batch *b, struct span name, struct batch_flag **ret)
{
	struct batch_flag *bigger;
	size_t size = b->flag_size == 0 ? 8 : b->flag_size * 2;
	char *copy;

	*ret = NULL;
	for (size_t i = 0; i < b->flag_n && *ret == NULL; i++)
		if (span_eq_nocase(span_str(b->flag[i].name), name))
			*ret = &b->flag[i];
	if (*ret != NULL || (b->flag_n >= FLAGS_MAX && name.p[0] != '\\'))
		return 0;
	if (b->flag_n == b->flag_size) {
		bigger = realloc(b->flag, size * sizeof(*bigger));
		if (bigger == NULL)
			return PROTO_ERR_NOMEM;
		b->flag = bigger;
		b->flag_size = size;
	}
	copy = malloc(name.n + 1);
	if (copy == NULL)
		return PROTO_ERR_NOMEM;
	memcpy(copy, name.p, name.n);
	copy[name.n] = '\0';
	*ret = &b->flag[b->flag_n++];
	**ret = (struct batch_flag){ .name = copy };
	return 0;
}

int batch_add(struct batch *b, uint32_t source_uid, struct span flags, uint64_t bytes)
{
	int err = uidset_push(&b->source, source_uid);

	while (err == 0 && flags.n != 0) {
		size_t end = span_find(flags, ' ');
		struct batch_flag *f;

		err = find_flag(b, span_first(flags, end), &f);
		if (err == 0 && f != NULL)
			err = uidset_add(&f->uids, source_uid);
		flags = end == SIZE_MAX ? SPAN_NONE : span_from(flags, end + 1);
	}
	b->messages++;
	b->bytes += bytes;
	return err;
}

static int push_all(struct uidset *to, const struct uidset *from)
{
	struct uidset_walk w = { 0 };
	uint32_t uid;
	int err = 0;

	while (err == 0 && (uid = uidset_walk(from, &w)) != 0)
		err = uidset_push(to, uid);
	return err;
}

int batch_move(struct batch *to, struct batch *from)
{
	int err;

	if (to->messages == 0) {
		struct batch empty = *to;

		*to = *from;
		*from = empty;
		return 0;
	}
	err = push_all(&to->source, &from->source);
	if (err == 0)
		err = push_all(&to->target, &from->target);
	for (size_t i = 0; i < from->flag_n && err == 0; i++) {
		struct batch_flag *f;

		err = find_flag(to, span_str(from->flag[i].name), &f);
		if (err == 0 && f != NULL)
			err = uidset_add_set(&f->uids, &from->flag[i].uids);
	}
	to->messages += from->messages;
	to->adopted += from->adopted;
	to->bytes += from->bytes;
	batch_reset(from);
	return err;
}

static int print_all(const struct uidset *s, struct buf *out)
{
	size_t at = 0;

	return s->n == 0 ? 0 : uidset_print(s, out, &at, SIZE_MAX);
}

int batch_row(const struct batch *b, struct buf *texts, struct ledger_batch *ret)
{
	size_t target, flags;
	int err;

	buf_reset(texts);
	err = print_all(&b->source, texts);
	if (err == 0)
		err = buf_add_char(texts, '\0');
	target = texts->n;
	if (err == 0)
		err = print_all(&b->target, texts);
	if (err == 0)
		err = buf_add_char(texts, '\0');
	flags = texts->n;
	for (size_t i = 0; i < b->flag_n && err == 0; i++) {
		if (i != 0)
			err = buf_add_char(texts, ' ');
		if (err == 0)
			err = buf_add_str(texts, b->flag[i].name);
		if (err == 0)
			err = buf_add_char(texts, '=');
		if (err == 0)
			err = print_all(&b->flag[i].uids, texts);
	}
	if (err == 0)
		err = buf_add_char(texts, '\0');
	if (err != 0)
		return err;
	ret->source_uids = buf_span(texts).p;
	ret->target_uids = buf_span(texts).p + target;
	ret->flags = buf_span(texts).p + flags;
	ret->copied = b->messages - b->adopted;
	ret->adopted = b->adopted;
	ret->bytes = b->bytes;
	return 0;
}
