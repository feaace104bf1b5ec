/*
 * Names that the target may refuse: whether it does shows only when they are tried. That is done before anything else, while both sides' folders are being looked
 * at, so that afterwards each folder has one name for good.
 */
#include "err.h"
#include "pass.h"

#define REQUESTS_MAX 64 /* CREATEs in flight */

/* False: it cannot be sent, and never will be. */
static bool send_create(struct pass *p, size_t i, bool spare)
{
	const struct mapping_entry *e = &p->mapping.entry[i];
	struct peer *target = p->lane[0]->peer[TARGET];
	struct buf wire;
	uint32_t tag;
	int err;

	buf_init(&wire, 64u << 10);
	err = name_from_path(&wire, spare ? e->spare : e->path, &p->survey[TARGET].style);
	if (err == 0) {
		err = session_folder(peer_session(target), CMD_CREATE, buf_span(&wire), false, &tag);
		if (err != 0)
			pass_fail_proto(p, TARGET, err);
	}
	buf_done(&wire);
	if (err != 0)
		return false;
	session_set_user(peer_session(target), tag, (uint64_t)i << 1 | spare);
	p->names.pending++;
	return true;
}

static void pump(struct pass *p)
{
	struct pass_names *n = &p->names;

	for (; p->step == PASS_SURVEY && n->next < p->mapping.entry_n && n->pending < REQUESTS_MAX; n->next++)
		if (p->mapping.entry[n->next].spare.n != 0 && !send_create(p, n->next, false) && p->step == PASS_SURVEY)
			send_create(p, n->next, true);
	if (p->step != PASS_SURVEY)
		return;
	if (n->pending == 0) {
		n->under_way = false;
		pass_look_again(p);
	} else {
		peer_flush(p->lane[0]->peer[TARGET]);
	}
}

bool pass_names_begin(struct pass *p)
{
	size_t i = 0;

	while (i < p->mapping.entry_n && p->mapping.entry[i].spare.n == 0)
		i++;
	if (p->names.tried || i == p->mapping.entry_n || p->lane[0]->peer[TARGET] == NULL)
		return false;
	p->names = (struct pass_names){ .tried = true, .under_way = true, .next = i };
	pump(p);
	return true;
}

void pass_names_on(struct pass *p, const struct session_event *ev)
{
	struct outcome why = { .radius = RADIUS_NONE };

	if (ev->kind != EVENT_DONE || ev->command != CMD_CREATE)
		return;
	p->names.pending--;
	if (ev->resp.status.status != STATUS_OK) {
		outcome_of_reply(&why, TARGET, CMD_CREATE, &ev->resp.status);
		if (why.radius != RADIUS_FOLDER && why.radius != RADIUS_NONE) {
			pass_fail(p, &why);
			return;
		}
		/* Also when it is said to exist: it was not listed, so it is one that only looks different. */
		if ((ev->user & 1) == 0)
			send_create(p, (size_t)(ev->user >> 1), true);
	}
	pump(p);
}
