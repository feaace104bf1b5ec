#include "naming.h"

#include "err.h"
#include "header.h"
#include "pass.h"

#define AT_ONCE 200 /* messages in one FETCH */
#define LINE_MAX 7000 /* bytes of their UIDs */

#define ITEMS (FETCH_UID | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_HEADER)

static struct session *source_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[SOURCE]);
}

/* The first messages that are without a name, as a set; they are taken out. */
static int take_some(struct folder *f, struct buf *out)
{
	struct uidset some = { 0 };
	struct uidset_walk w = { 0 };
	uint32_t uid;
	size_t n = 0, at = 0;
	int err = 0;

	while (err == 0 && n < AT_ONCE && (uid = uidset_walk(&f->unnamed, &w)) != 0) {
		err = uidset_add(&some, uid);
		n++;
	}
	if (err == 0)
		err = uidset_print(&some, out, &at, LINE_MAX);
	/* What did not fit into the line waits for the next. */
	for (size_t i = 0; i < at && err == 0; i++)
		err = uidset_remove_range(&f->unnamed, some.r[i].lo, some.r[i].hi);
	uidset_done(&some);
	return err;
}

static int ask(struct pass *p, struct folder *f)
{
	struct buf set;
	uint32_t tag;
	int err = 0;

	if (!p->naming.opened) {
		err = session_folder(source_session(p), CMD_EXAMINE, f->source_wire, false, &tag);
		p->naming.opened = true;
		p->naming.pending += err == 0;
	}
	buf_init(&set, LINE_MAX * 2);
	if (err == 0)
		err = take_some(f, &set);
	if (err == 0)
		err = session_fetch(source_session(p), CMD_UID_FETCH, buf_span(&set), ITEMS, 0, &tag);
	p->naming.pending += err == 0;
	p->naming.asked += AT_ONCE;
	buf_done(&set);
	return err;
}

static void pump(struct pass *p)
{
	struct naming *n = &p->naming;
	int err = 0;

	while (n->pending == 0 && n->at < p->folder_n && err == 0) {
		struct folder *f = &p->folder[n->at];

		if (f->unnamed.n != 0 && n->asked < NAMING_MAX) {
			err = ask(p, f);
		} else {
			n->at++;
			n->opened = false;
		}
	}
	if (err != 0)
		n->at = p->folder_n;
	n->over = n->pending == 0 && n->at == p->folder_n;
	if (p->lane[0]->peer[SOURCE] != NULL)
		peer_flush(p->lane[0]->peer[SOURCE]);
}

bool naming_begin(struct pass *p)
{
	size_t i = 0;

	while (i < p->folder_n && p->folder[i].unnamed.n == 0)
		i++;
	if (i == p->folder_n || p->lane[0]->peer[SOURCE] == NULL)
		return false;
	p->step = PASS_NAME;
	pump(p);
	return !p->naming.over;
}

static void name_one(struct pass *p, const struct folder *f, const struct resp_fetch *m)
{
	struct ledger_skip row = { .mailbox = p->spec->ledger_id, .folder_path = f->row.source_path, .uid = m->uid,
		.size = m->announced_size };
	char date[DATE_TEXT] = "";
	struct buf id;
	struct date d;

	buf_init(&id, 1000);
	header_field(m->header, SPAN("Message-ID"), &id);
	if (id.n == id.cap)
		buf_truncate(&id, id.n - 1);
	if (date_parse(m->internaldate, &d))
		date_print(d, date);
	if (buf_add_char(&id, '\0') == 0) {
		row.message_id = buf_span(&id).p;
		row.internaldate = date;
		ledger_name_skips(p->env->ledger, &row, 1, NULL, NULL);
	}
	buf_done(&id);
}

/* Another folder by now, or none: its messages are not those that were left out. */
static void drop_folder(struct pass *p)
{
	uidset_reset(&p->folder[p->naming.at].unnamed);
}

void naming_on(struct pass *p, enum side side, const struct session_event *ev)
{
	struct naming *n = &p->naming;
	const struct resp *r = &ev->resp;
	struct folder *f = n->at < p->folder_n ? &p->folder[n->at] : NULL;

	if (side != SOURCE || f == NULL)
		return;
	if (ev->kind == EVENT_RESPONSE && r->kind == RESP_FETCH && n->opened && (r->fetch.has & ITEMS) == ITEMS) {
		name_one(p, f, &r->fetch);
	} else if (ev->kind == EVENT_RESPONSE && r->kind == RESP_STATUS && r->status.code == CODE_UIDVALIDITY && ev->tag != 0 &&
		ev->command == CMD_EXAMINE && r->status.uidvalidity != f->uidvalidity) {
		drop_folder(p);
		n->opened = false;
	} else if (ev->kind == EVENT_DONE && n->pending != 0) {
		n->pending--;
		if (ev->command == CMD_EXAMINE && r->status.status != STATUS_OK) {
			drop_folder(p);
			n->opened = false;
		}
		pump(p);
		pass_check_end(p);
	}
}
