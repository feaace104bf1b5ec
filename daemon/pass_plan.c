/*
 * From two surveys and the ledger's rows to the folders of a pass: where each goes, and what is known of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "log.h"
#include "pass.h"

static const char *keep_text(struct pass *p, struct span s)
{
	char *text = arena_alloc(&p->memory, s.n + 1);

	if (text == NULL)
		return NULL;
	if (s.n != 0)
		memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return text;
}

static int keep_wire(struct pass *p, struct span path, struct span *ret)
{
	struct buf b;
	int err;

	buf_init(&b, 64u << 10);
	err = name_from_path(&b, path, &p->survey[TARGET].style);
	if (err == 0)
		err = arena_copy(&p->memory, buf_span(&b), ret);
	buf_done(&b);
	return err;
}

static int row_order(const void *a, const void *b)
{
	const struct ledger_folder *x = a, *y = b;
	int order = strcmp(x->source_path, y->source_path);

	return order != 0 ? order : strcmp(x->target_path, y->target_path);
}

/* The rows are in order: a mailbox may have ten thousand folders. */
static const struct ledger_folder *known_row(const struct pass *p, const struct folder *f)
{
	return p->row_n != 0 ? bsearch(&f->row, p->row, p->row_n, sizeof(*p->row), row_order) : NULL;
}

/* APPENDs were under way at a break, and may land when what is missing has been looked for and sent again: in this pass, or behind it. */
static void owe_sweep(struct folder *f, const struct ledger_folder *row, bool fence)
{
	struct ledger_echoes *e = &f->row.echoes;

	if (e->floor == 0) {
		e->floor = fence ? (f->on_target ? f->target_uidnext : 1) : row->floor > row->open_floor ? row->floor : row->open_floor;
		/* Below it may be mail of the target's own, that looks like ours. */
		if (!fence && row->open_floor == 0)
			e->floor = 0;
		e->batch = fence ? 0 : row->last_batch;
	}
	if (e->floor == 0)
		return;
	if (fence)
		e->next = f->uidnext;
	else if (row->open_next > e->next)
		e->next = row->open_next;
	e->sends++;
	e->looks = SWEEP_LOOKS;
}

/* What the operator wants, and what the target can take. */
static int take_rules(struct pass *p, struct folder *f, const struct survey_folder *to)
{
	const struct resp_caps *caps = session_caps(peer_session(p->lane[0]->peer[TARGET]));
	const struct selection *rules = &p->spec->rules.selection;
	char text[SELECTION_TEXT];

	f->limit = caps->append_limit_known ? caps->append_limit : UINT64_MAX;
	if (to != NULL && (to->has & FS_APPENDLIMIT) != 0 && to->append_limit < f->limit)
		f->limit = to->append_limit;
	f->judged = selection_is_any(rules, f->limit);
	f->newest_first = p->spec->rules.newest_first;
	selection_print(rules, f->limit, text);
	f->row.selection = keep_text(p, span_str(text));
	return f->row.selection == NULL ? PROTO_ERR_NOMEM : 0;
}

/* What other rules left out may be wanted now: all that is not recorded is looked at once more. */
static void look_again_by_rules(struct folder *f, const struct ledger_folder *was)
{
	if (was->selection == NULL || was->selection[0] == '\0' || strcmp(was->selection, f->row.selection) == 0)
		return;
	f->row.source_next = 1;
	f->careful = true;
}

/* What the ledger knows, if it is still about the same folders (a changed UIDVALIDITY, or a target folder that is gone, is a fence). */
static void take_row(struct pass *p, struct folder *f, const struct ledger_folder *row, const struct survey_folder *to)
{
	const char *source_path = f->row.source_path, *target_path = f->row.target_path, *selection = f->row.selection;
	uint32_t target_uidvalidity = to != NULL ? to->uidvalidity : 0;
	bool fence = false;

	if (row == NULL) {
		f->row.source_next = 1;
		f->row.floor = 1;
		f->careful = to != NULL && ((to->has & FS_MESSAGES) == 0 || to->messages != 0);
	} else {
		fence = row->source_uidvalidity != f->uidvalidity || (!f->on_target && row->copied + row->adopted != 0) ||
			(target_uidvalidity != 0 && row->target_uidvalidity != target_uidvalidity &&
				(row->target_uidvalidity != 0 || row->copied + row->adopted != 0));
		f->row = *row;
		f->row.source_path = source_path;
		f->row.target_path = target_path;
		f->row.selection = selection;
		f->careful = row->open || fence;
		f->forget = fence;
		f->broken = row->open && !fence;
		if (fence) {
			struct log_context ctx = pass_context(p, f, 0);

			f->row.source_next = 1;
			f->row.floor = 1;
			f->row.copied = f->row.adopted = 0;
			f->row.target_uidvalidity = 0;
			f->row.source_modseq = 0;
			f->row.echoes = (struct ledger_echoes){ 0 };
			log_event(LOG_FOLDER_FENCED, &ctx, "%s; what is on the target is looked at anew",
				row->source_uidvalidity != f->uidvalidity ? "the source's UIDVALIDITY changed" :
				!f->on_target ? "the folder is gone from the target" :
						"the target's UIDVALIDITY changed");
		}
		if (row->open)
			owe_sweep(f, row, fence);
		look_again_by_rules(f, row);
	}
	f->row.open_floor = f->on_target ? f->target_uidnext : 1;
	f->row.open_next = f->uidnext;
	f->was_next = row == NULL || fence ? 1 : row->open ? f->uidnext : row->source_next;
	f->was_modseq = f->row.source_modseq;
	f->was_messages = f->row.source_messages;
	f->row.mailbox = p->spec->ledger_id;
	f->row.source_uidvalidity = f->uidvalidity;
	if (target_uidvalidity != 0)
		f->row.target_uidvalidity = target_uidvalidity;
	if (f->row.source_next == 0 || (f->row.open && f->row.source_next >= f->uidnext))
		f->row.source_next = 1; /* all was sent, but the end was not reached: count once more */
	/* It was not brought to its end before, unless it was empty then. */
	f->uncounted = f->row.open && f->row.source_next > 1 && f->row.source_uidnext <= 1;
	f->safe_next = f->told_next = f->count_next = f->row.source_next;
	f->floor = f->row.floor;
	/* A target without messages, or whose messages all lie below the floor, holds nothing that we do not know. */
	if (!f->on_target || (f->target_uidnext != 0 && f->row.floor >= f->target_uidnext))
		f->looked = true;
}

static bool needs_copying(const struct folder *f)
{
	return f->messages != 0 && f->row.source_next < f->uidnext;
}

/* What the operator may wonder at. */
static void say_mapping(struct pass *p, struct folder *f, const struct mapping_entry *e)
{
	struct log_context ctx = pass_context(p, f, 0);
	char text[600];

	if (e->wanted.n != 0)
		log_event(LOG_FOLDER_KEPT, &ctx, "the folder goes on to \"%s\", where it was brought before, not to \"%.*s\"; rename it on the target to change that",
			f->row.target_path, SPAN_ARG(e->wanted));
	if (e->renamed == NULL)
		return;
	snprintf(text, sizeof(text), "the folder is called \"%s\" on the target: %s", f->row.target_path, e->renamed);
	pass_alter_folder(p, f, text);
}

/* 0, or PROTO_ERR_*; a folder that cannot be taken along is left out with its reason. */
static int plan_folder(struct pass *p, struct folder *f, const struct mapping_entry *e)
{
	const struct survey_folder *from = e->from, *to = e->to;
	int err;

	f->source_wire = from->wire;
	f->row.source_path = keep_text(p, from->path);
	f->row.target_path = keep_text(p, e->path);
	if (f->row.source_path == NULL || f->row.target_path == NULL)
		return PROTO_ERR_NOMEM;
	if (e->twin) {
		pass_leave_out_folder(p, f, "another folder of the source has the same name");
		return 0;
	}
	if ((from->has & (FS_MESSAGES | FS_UIDNEXT | FS_UIDVALIDITY)) != (FS_MESSAGES | FS_UIDNEXT | FS_UIDVALIDITY) ||
		from->uidnext == 0) {
		pass_leave_out_folder(p, f, from->refused[0] != '\0' ? from->refused :
				"the source does not tell what is in it (STATUS)");
		return 0;
	}
	f->messages = from->messages;
	f->uidnext = from->uidnext;
	f->uidvalidity = from->uidvalidity;
	f->modseq = from->modseq;
	f->use = e->use ? e->role : ROLE_NONE;
	f->on_target = to != NULL;
	if (to != NULL) {
		f->target_wire = to->wire;
		f->target_messages = to->messages;
		f->target_uidnext = to->uidnext;
	} else {
		err = keep_wire(p, e->path, &f->target_wire);
		if (err == PROTO_ERR_NAME) {
			pass_leave_out_folder(p, f, "the target cannot have a folder of this name");
			return 0;
		}
		if (err != 0)
			return err;
	}
	err = take_rules(p, f, to);
	if (err != 0)
		return err;
	take_row(p, f, known_row(p, f), to);
	say_mapping(p, f, e);
	f->step = needs_copying(f) || f->forget ? FOLDER_OPENING : FOLDER_IDLE;
	if (f->row.id == 0 && f->step == FOLDER_IDLE)
		f->step = FOLDER_OPENING;
	if (f->step == FOLDER_OPENING)
		p->open_folders++;
	else
		p->progress.folders_done++;
	return 0;
}

static void folder_opened(struct lane *l, struct folder *f, int64_t id)
{
	f->row.id = id;
	if (f->step != FOLDER_OPENING)
		return;
	f->step = FOLDER_COPYING;
	writer_check_folder(l, f); /* its end may have come before */
	pass_pump(l->pass);
}

static int open_folder(struct pass *p, struct folder *f)
{
	struct pass_call *call = pass_call_new(p->lane[0], f, folder_opened);

	if (call == NULL)
		return PROTO_ERR_NOMEM;
	f->row.open = needs_copying(f) || f->careful;
	ledger_save_folder(p->env->ledger, &f->row, f->forget, pass_call_id, call);
	ledger_clear_skips(p->env->ledger, p->spec->ledger_id, f->row.source_path, f->row.source_next, NULL, NULL);
	if (!needs_copying(f))
		return 0;
	p->progress.messages += f->row.source_next == 1 || f->uidnext - f->row.source_next > f->messages ?
		f->messages : f->uidnext - f->row.source_next;
	return work_add(&p->work, f, ROUND_FIRST);
}

static void open_or_fail(struct pass *p, struct folder *f)
{
	if (open_folder(p, f) != 0)
		pass_fail_proto(p, SOURCE, PROTO_ERR_NOMEM);
	pass_pump(p);
}

static void sets_loaded(struct lane *l, struct folder *f, int64_t id)
{
	struct pass *p = l->pass;

	(void)id;
	if (f->recorded_bad)
		pass_leave_out_folder(p, f, "the ledger's record of it cannot be read");
	else if (f->step == FOLDER_OPENING)
		open_or_fail(p, f);
}

/* What was recorded above the marks, before the break. */
static void take_sets(void *arg, int err, const char *const *source, const char *const *target, size_t n)
{
	struct folder *f = pass_call_folder(arg);
	int bad = 0;

	for (size_t i = 0; i < n && bad == 0 && err == 0 && f != NULL; i++) {
		bad = uidset_parse(&f->recorded, span_str(source[i]));
		if (bad == 0 && target[i][0] != '\0')
			bad = uidset_parse(&f->recorded_target, span_str(target[i]));
	}
	if (bad != 0)
		f->recorded_bad = true;
	pass_call_done(arg, err);
}

static int open_all(struct pass *p)
{
	int err = 0;

	for (size_t i = 0; i < p->folder_n && err == 0; i++) {
		struct folder *f = &p->folder[i];
		struct pass_call *call;

		if (f->step != FOLDER_OPENING)
			continue;
		if (f->row.id == 0 || !f->careful || f->forget) {
			err = open_folder(p, f);
			continue;
		}
		call = pass_call_new(p->lane[0], f, sets_loaded);
		if (call == NULL)
			return PROTO_ERR_NOMEM;
		ledger_load_sets(p->env->ledger, f->row.id, f->uncounted ? 1 : f->row.source_next, f->row.floor, take_sets, call);
	}
	return err;
}

/* What was brought of a folder that the source no longer has stays, and the folder with it: it may come back, or have another name now. Where deletions are mirrored
 * that is worth saying. */
static void tell_vanished(struct pass *p)
{
	for (size_t i = 0; i < p->row_n && p->spec->rules.mirror_deletions; i++) {
		const struct ledger_folder *row = &p->row[i];
		struct log_context ctx = { .mailbox = p->spec->name, .folder = row->source_path };
		struct ledger_skip skip = { .kind = SKIP_ALTERED, .folder = row->id, .mailbox = p->spec->ledger_id, .folder_path = row->source_path,
			.message_id = "", .internaldate = "", .reason = "the folder is gone from the source; what was brought of it stays on the target" };

		if (row->copied + row->adopted == 0 || survey_find(&p->survey[SOURCE], span_str(row->source_path)) != NULL)
			continue;
		log_event(LOG_FOLDER_VANISHED, &ctx, "%s", skip.reason);
		ledger_add_skips(p->env->ledger, &skip, 1, NULL, NULL);
	}
}

int pass_plan(struct pass *p)
{
	const struct survey *from = &p->survey[SOURCE];
	int err = 0;

	/* What is left out as a whole is found again, or not. */
	ledger_clear_skips(p->env->ledger, p->spec->ledger_id, "", UINT32_MAX, NULL, NULL);
	p->folder = calloc(from->folder_n + 1, sizeof(*p->folder));
	if (p->folder == NULL)
		return PROTO_ERR_NOMEM;
	if (p->row_n > 1)
		qsort(p->row, p->row_n, sizeof(*p->row), row_order);
	tell_vanished(p);
	for (size_t i = 0; i < from->folder_n && err == 0; i++) {
		if (p->mapping.entry[i].level || p->mapping.entry[i].excluded)
			continue;
		err = plan_folder(p, &p->folder[p->folder_n++], &p->mapping.entry[i]);
	}
	p->progress.folders = (uint32_t)p->folder_n;
	return err == 0 ? open_all(p) : err;
}
