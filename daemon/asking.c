#include "asking.h"

#include "err.h"

int asking_fetch(struct session *s, const struct uidset *uids, unsigned items, unsigned *pending)
{
	struct buf text;
	size_t at = 0;
	uint32_t tag;
	int err = 0;

	buf_init(&text, ASKING_LINE * 2);
	while (err == 0 && at < uids->n) {
		buf_reset(&text);
		err = uidset_print(uids, &text, &at, ASKING_LINE);
		if (err == 0)
			err = session_fetch(s, CMD_UID_FETCH, buf_span(&text), items, 0, &tag);
		*pending += err == 0;
	}
	buf_done(&text);
	return err;
}

bool asking_found(const struct resp *r, struct uidset *ret, int *err)
{
	struct span rest;

	*err = 0;
	if (r->kind == RESP_ESEARCH) {
		/* Without ALL there is none. */
		if (r->esearch.has_all)
			*err = uidset_parse(ret, r->esearch.all);
		return r->esearch.uid;
	}
	for (rest = r->search.numbers; rest.n != 0 && *err == 0;) {
		size_t end = span_find(rest, ' ');

		*err = uidset_parse(ret, span_first(rest, end));
		rest = end == SIZE_MAX ? SPAN_NONE : span_from(rest, end + 1);
	}
	return true;
}
