/*
 * What a pass leaves out or alters: said once, and recorded.
 */
#include <stdio.h>

#include "err.h"
#include "log.h"
#include "pass.h"

#define ROWS 256 /* in one call to the ledger */

void pass_add_skip(struct pass *p, struct folder *f, uint32_t uid, const char *reason)
{
	struct ledger_skip row = { .folder = f->row.id, .mailbox = p->spec->ledger_id,
		.folder_path = f->row.source_path, .uid = uid, .message_id = "", .reason = reason };

	ledger_add_skips(p->env->ledger, &row, 1, NULL, NULL);
	if (uid != 0)
		(void)uidset_add(&f->unnamed, uid); /* out of memory, it stays without a name */
}

void pass_leave_out_message(struct pass *p, struct folder *f, uint32_t uid, const char *reason)
{
	struct log_context ctx = pass_context(p, f, uid);

	log_event(LOG_MESSAGE_LEFT_OUT, &ctx, "a message is left out: %s", reason);
	pass_add_skip(p, f, uid, reason);
	/* Nor is it looked for again in this pass; out of memory, it is told twice. */
	(void)uidset_add(&f->delivered, uid);
	losses_forget(&f->losses, uid);
	f->failed = true;
	p->progress.left_out++;
	pass_count(p, 1);
}

void pass_not_selected(struct pass *p, struct folder *f, const struct uidset *uids, const char *reason)
{
	struct ledger_skip row = { .kind = SKIP_NOT_SELECTED, .folder = f->row.id, .mailbox = p->spec->ledger_id,
		.folder_path = f->row.source_path, .message_id = "", .internaldate = "", .reason = reason };
	struct buf text;
	size_t at = 0;

	if (uids->n == 0)
		return;
	buf_init(&text, 1u << 20);
	if (uidset_print(uids, &text, &at, SIZE_MAX) == 0 && buf_add_char(&text, '\0') == 0) {
		row.uid = uids->r[0].lo;
		row.messages = uidset_count(uids);
		row.uids = buf_span(&text).p;
		ledger_add_skips(p->env->ledger, &row, 1, NULL, NULL);
		p->progress.not_selected += row.messages;
		pass_count(p, row.messages);
	} else {
		pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
	}
	buf_done(&text);
}

void pass_alter_messages(struct pass *p, struct folder *f, const struct uidset *uids, enum skip_kind kind, const char *reason)
{
	struct log_context ctx = pass_context(p, f, 0);
	struct ledger_skip rows[ROWS];
	struct uidset_walk w = { 0 };
	uint32_t uid;
	size_t n = 0;

	if (uids->n == 0)
		return;
	log_event(LOG_MESSAGE_ALTERED, &ctx, "%llu messages are not as on the source: %s", (unsigned long long)uidset_count(uids), reason);
	p->progress.altered += uidset_count(uids);
	(void)uidset_add_set(&f->unnamed, uids);
	do {
		uid = uidset_walk(uids, &w);
		if (uid != 0)
			rows[n++] = (struct ledger_skip){ .folder = f->row.id, .mailbox = p->spec->ledger_id, .kind = kind,
				.folder_path = f->row.source_path, .uid = uid, .message_id = "", .internaldate = "", .reason = reason };
		if (n == ROWS || (uid == 0 && n != 0)) {
			ledger_add_skips(p->env->ledger, rows, n, NULL, NULL);
			n = 0;
		}
	} while (uid != 0);
}

void pass_alter_folder(struct pass *p, struct folder *f, const char *reason)
{
	struct log_context ctx = pass_context(p, f, 0);
	struct ledger_skip row = { .folder = f->row.id, .mailbox = p->spec->ledger_id, .kind = SKIP_ALTERED,
		.folder_path = f->row.source_path, .message_id = "", .internaldate = "", .reason = reason };

	if (f->row.id == 0)
		log_event(LOG_FOLDER_RENAMED, &ctx, "%s", reason);
	ledger_add_skips(p->env->ledger, &row, 1, NULL, NULL);
}

void pass_tell_losses(struct pass *p, struct folder *f, const struct uidset *stored)
{
	struct uidset uids = { 0 };
	int err = 0;

	for (size_t i = 0; i < f->losses.n && err == 0; i++) {
		struct loss *l = &f->losses.loss[i];

		uidset_reset(&uids);
		err = loss_take(l, stored, &uids);
		pass_alter_messages(p, f, &uids, l->kind, l->reason);
	}
	uidset_done(&uids);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
}

void pass_leave_out_subscription(struct pass *p, struct span path, const char *reason)
{
	struct log_context ctx = pass_context(p, NULL, 0);
	char text[600];

	if (survey_find(&p->survey[SOURCE], path) == NULL)
		return;
	log_event(LOG_SUBSCRIBE_FAILED, &ctx, "the subscription of %.*s is left out: %s", SPAN_ARG(path), reason);
	snprintf(text, sizeof(text), "its subscription: %s", reason);
	for (size_t i = 0; i < p->folder_n; i++)
		if (span_eq(span_str(p->folder[i].row.source_path), path) && p->folder[i].step != FOLDER_LEFT_OUT)
			pass_add_skip(p, &p->folder[i], 0, text);
}
