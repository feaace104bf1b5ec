#include "plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "err.h"

#define TEXTS_MAX ((size_t)256 << 20)

enum plan_step { PLAN_SURVEY, PLAN_QUOTA, PLAN_SCAN, PLAN_ENDED };

struct plan {
	const struct mailbox_env *env;
	const struct mailbox_spec *spec;
	struct peer *peer[SIDES];  /* borrowed; NULL once lost */
	enum plan_step step;
	struct outcome outcome;
	plan_ended_fn *ended;
	void *owner;
	struct timer *soon;
	struct arena memory;
	struct survey survey[SIDES];
	bool surveyed[SIDES];
	struct ledger_folder *row; /* of the ledger, with their texts in `memory` */
	size_t row_n, row_size;
	int error;                 /* while they are being read */
	struct mapping mapping;
	struct plan_folder *folder;
	size_t at;                 /* the folder that is being scanned */
	bool refused;              /* it could not be opened, or listed */
	struct plan_result result;
};

const char *plan_fate_name(enum plan_fate f)
{
	static const char *const names[] = {
#define X(name, text) text,
		PLAN_FATES(X)
#undef X
	};
	return names[f];
}

/* Ends. */

static void tell_end(void *arg)
{
	struct plan *p = arg;

	p->ended(p->owner, &p->outcome);
}

static void end(struct plan *p)
{
	if (p->step == PLAN_ENDED)
		return;
	p->step = PLAN_ENDED;
	timer_set(p->soon, 0);
}

static void fail(struct plan *p, const struct outcome *why)
{
	if (p->step != PLAN_ENDED)
		p->outcome = *why;
	end(p);
}

static void fail_proto(struct plan *p, enum side side, int err)
{
	struct outcome why;

	outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, side, "%s", proto_strerror(err));
	fail(p, &why);
}

void plan_stop(struct plan *p)
{
	struct outcome why;

	outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, SOURCE, "stopped");
	fail(p, &why);
}

/* What the ledger knows. */

static const char *keep(struct plan *p, struct span text)
{
	char *copy = arena_alloc(&p->memory, text.n + 1);

	if (copy == NULL) {
		p->error = PROTO_ERR_NOMEM;
		return "";
	}
	if (text.n != 0)
		memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return copy;
}

static void take_id(void *arg, const struct ledger_mailbox *m)
{
	*(int64_t *)arg = m->id;
}

static void take_row(void *arg, const struct ledger_folder *f)
{
	struct plan *p = arg;

	if (p->row_n == p->row_size) {
		size_t size = p->row_size == 0 ? 16 : p->row_size * 2;
		struct ledger_folder *bigger = realloc(p->row, size * sizeof(*bigger));

		if (bigger == NULL) {
			p->error = PROTO_ERR_NOMEM;
			return;
		}
		p->row = bigger;
		p->row_size = size;
	}
	p->row[p->row_n] = *f;
	p->row[p->row_n].source_path = keep(p, span_str(f->source_path));
	p->row[p->row_n].target_path = keep(p, span_str(f->target_path));
	p->row_n++;
}

/* A ledger that cannot be read is as good as none. */
static void read_ledger(struct plan *p)
{
	struct ledger_reader *l = p->env->plan->ledger;
	int64_t id = 0;

	if (l == NULL || ledger_read_mailboxes(l, p->spec->name, take_id, &id) != LEDGER_OK || id == 0)
		return;
	if (ledger_read_folders(l, id, take_row, p) != LEDGER_OK)
		p->row_n = 0;
}

static uint64_t brought(const struct plan *p, const struct plan_folder *f)
{
	for (size_t i = 0; i < p->row_n; i++)
		if (strcmp(p->row[i].source_path, f->source_path) == 0 && strcmp(p->row[i].target_path, f->target_path) == 0 &&
			p->row[i].source_uidvalidity == f->from->uidvalidity && f->exists)
			return p->row[i].copied + p->row[i].adopted;
	return 0;
}

/* Folders. */

static bool can_be_written(struct plan *p, struct span path)
{
	struct buf b;
	bool yes;

	buf_init(&b, 64u << 10);
	yes = name_from_path(&b, path, &p->survey[TARGET].style) == 0;
	buf_done(&b);
	return yes;
}

static bool is_in_conflict(const struct plan *p, const struct mapping_entry *e)
{
	return p->mapping.conflict[0] == e || p->mapping.conflict[1] == e;
}

static const char *note_of(struct plan *p, const struct mapping_entry *e)
{
	char text[600];

	if (e->wanted.n != 0)
		snprintf(text, sizeof(text), "brought there before; by the settings it would go to \"%.*s\"", SPAN_ARG(e->wanted));
	else if (e->spare.n != 0)
		snprintf(text, sizeof(text), "\"%.*s\" if the target refuses that name", SPAN_ARG(e->spare));
	else if (e->renamed != NULL)
		snprintf(text, sizeof(text), "%s", e->renamed);
	else
		return "";
	return keep(p, span_str(text));
}

static void set_fate(struct plan *p, struct plan_folder *f, const struct mapping_entry *e)
{
	const struct survey_folder *from = e->from;
	unsigned needed = FS_MESSAGES | FS_UIDNEXT | FS_UIDVALIDITY;

	f->fate = PLAN_LEFT_OUT;
	if (e->excluded) {
		f->fate = PLAN_EXCLUDED;
	} else if (e->twin) {
		f->note = "another folder of the source has the same name";
	} else if (is_in_conflict(p, e)) {
		f->fate = PLAN_CONFLICT;
	} else if ((from->has & needed) != needed || from->uidnext == 0) {
		f->note = from->refused[0] != '\0' ? from->refused : "the source does not tell what is in it (STATUS)";
	} else if (e->to == NULL && !can_be_written(p, e->path)) {
		f->note = "the target cannot have a folder of this name";
	} else {
		f->fate = PLAN_GOES;
		f->note = note_of(p, e);
	}
}

static void make_folder(struct plan *p, struct plan_folder *f, const struct mapping_entry *e)
{
	static const char *const by[] = { "name", "ledger", "map", "role" };

	*f = (struct plan_folder){ .source_path = keep(p, e->from->path), .target_path = "", .role = role_name(e->role), .by = by[e->by], .note = "",
		.from = e->from, .exists = e->to != NULL, .messages_known = (e->from->has & FS_MESSAGES) != 0, .messages = e->from->messages,
		.bytes_known = (e->from->has & FS_SIZE) != 0 || ((e->from->has & FS_MESSAGES) != 0 && e->from->messages == 0), .bytes = e->from->size };
	set_fate(p, f, e);
	if (f->fate == PLAN_GOES || f->fate == PLAN_CONFLICT)
		f->target_path = keep(p, e->path);
	if (f->fate == PLAN_GOES) {
		f->target_messages = e->to != NULL ? e->to->messages : 0;
		f->brought = brought(p, f);
	}
}

static int make_folders(struct plan *p)
{
	char words[400];
	int err;

	read_ledger(p);
	err = mapping_make(&p->mapping, p->spec->rules.folders, &p->survey[SOURCE], &p->survey[TARGET], p->row, p->row_n, &p->memory);
	if (err != 0)
		return err;
	p->folder = calloc(p->mapping.entry_n + 1, sizeof(*p->folder));
	if (p->folder == NULL)
		return PROTO_ERR_NOMEM;
	p->result.conflict = "";
	if (p->mapping.conflict[0] != NULL) {
		mapping_print_conflict(&p->mapping, words, sizeof(words));
		p->result.conflict = keep(p, span_str(words));
	}
	for (size_t i = 0; i < p->mapping.entry_n; i++)
		if (!p->mapping.entry[i].level)
			make_folder(p, &p->folder[p->result.folder_n++], &p->mapping.entry[i]);
	return p->error;
}

static void add_up(struct plan *p)
{
	struct plan_result *r = &p->result;

	r->folder = p->folder;
	r->bytes_known = true;
	for (size_t i = 0; i < r->folder_n; i++) {
		const struct plan_folder *f = &p->folder[i];
		uint64_t to_come = f->messages > f->brought ? f->messages - f->brought : 0;

		r->folders[f->fate]++;
		if (f->fate != PLAN_GOES)
			continue;
		r->made += !f->exists;
		r->messages += f->messages;
		r->messages_to_come += to_come;
		r->bytes += f->bytes;
		r->bytes_to_come += to_come != 0 ? (uint64_t)((double)f->bytes * (double)to_come / (double)f->messages) : 0;
		r->bytes_known = r->bytes_known && f->bytes_known;
		r->too_big += f->too_big;
	}
}

/* The scan. */

static void scan_next(struct plan *p)
{
	uint32_t tag;
	int err;

	while (p->at < p->result.folder_n && (p->folder[p->at].fate != PLAN_GOES || p->folder[p->at].messages == 0))
		p->at++;
	if (p->at == p->result.folder_n) {
		p->result.scanned = true;
		add_up(p);
		end(p);
		return;
	}
	p->refused = false;
	p->folder[p->at].bytes = 0;
	err = session_folder(peer_session(p->peer[SOURCE]), CMD_EXAMINE, p->folder[p->at].from->wire, false, &tag);
	if (err == 0)
		err = session_fetch(peer_session(p->peer[SOURCE]), CMD_FETCH, SPAN("1:*"), FETCH_SIZE, 0, &tag);
	if (err != 0)
		fail_proto(p, SOURCE, err);
	else
		peer_flush(p->peer[SOURCE]);
}

static void scan_on(struct plan *p, const struct session_event *ev)
{
	struct plan_folder *f = &p->folder[p->at];
	struct outcome why;

	if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_FETCH && (ev->resp.fetch.has & FETCH_SIZE) != 0) {
		f->bytes += ev->resp.fetch.announced_size;
		f->too_big += p->result.append_limit_known && ev->resp.fetch.announced_size > p->result.append_limit;
	}
	if (ev->kind != EVENT_DONE)
		return;
	if (ev->resp.status.status != STATUS_OK && !p->refused) {
		outcome_of_reply(&why, SOURCE, ev->command, &ev->resp.status);
		if (why.radius == RADIUS_CONNECTION) {
			fail(p, &why);
			return;
		}
		p->refused = true;
		f->note = keep(p, span_str(why.text));
		if (ev->command == CMD_EXAMINE)
			f->fate = PLAN_LEFT_OUT;
	}
	if (ev->command != CMD_FETCH)
		return;
	f->bytes_known = !p->refused;
	p->at++;
	scan_next(p);
}

/* The target's room. */

static void tighter(struct plan_room *r, const struct quota_resource *q, uint64_t unit)
{
	uint64_t used = q->used > UINT64_MAX / unit ? UINT64_MAX : q->used * unit;
	uint64_t limit = q->limit > UINT64_MAX / unit ? UINT64_MAX : q->limit * unit;
	uint64_t left = limit > used ? limit - used : 0;

	if (q->known && (!r->known || left < (r->limit > r->used ? r->limit - r->used : 0)))
		*r = (struct plan_room){ true, used, limit };
}

static void quota_is_known(struct plan *p)
{
	if (p->env->plan->scan) {
		p->step = PLAN_SCAN;
		scan_next(p);
		return;
	}
	add_up(p);
	end(p);
}

static void quota_on(struct plan *p, const struct session_event *ev)
{
	if (ev->kind == EVENT_RESPONSE && ev->resp.kind == RESP_QUOTA) {
		tighter(&p->result.storage, &ev->resp.quota.storage, 1024);
		tighter(&p->result.count, &ev->resp.quota.messages, 1);
	} else if (ev->kind == EVENT_DONE && ev->command == CMD_GETQUOTAROOT) {
		/* Refused: it is not known, then. */
		quota_is_known(p);
	}
}

static void all_surveyed(struct plan *p)
{
	const struct resp_caps *caps = session_caps(peer_session(p->peer[TARGET]));
	uint32_t tag;
	int err = make_folders(p);

	p->result.append_limit_known = caps->append_limit_known;
	p->result.append_limit = caps->append_limit;
	p->step = PLAN_QUOTA;
	if (err == 0 && !peer_has(p->peer[TARGET], CAP_QUOTA)) {
		quota_is_known(p);
		return;
	}
	if (err == 0)
		err = session_folder(peer_session(p->peer[TARGET]), CMD_GETQUOTAROOT, SPAN("INBOX"), false, &tag);
	if (err != 0)
		fail_proto(p, TARGET, err);
	else
		peer_flush(p->peer[TARGET]);
}

static void survey_event(struct plan *p, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (p->surveyed[side])
		return;
	switch (survey_on(&p->survey[side], p->peer[side], ev, &why)) {
	case SURVEY_FAILED:
		fail(p, &why);
		break;
	case SURVEY_COMPLETE:
		p->surveyed[side] = true;
		if (p->surveyed[SOURCE] && p->surveyed[TARGET])
			all_surveyed(p);
		break;
	default:
		break;
	}
}

/* Events of the peers. */

static bool is_bye(struct plan *p, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (!outcome_of_bye(&why, side, ev))
		return false;
	fail(p, &why);
	return true;
}

static void on_peer(struct plan *p, enum side side, const struct peer_event *ev)
{
	struct outcome why;

	if (p->step == PLAN_ENDED)
		return;
	if (ev->kind == PEER_DOWN) {
		outcome_of_failure(&why, side, AT_WORK, ev->failure);
		p->peer[side] = NULL;
		fail(p, &why);
	} else if (ev->kind == PEER_SESSION && !is_bye(p, side, ev->session)) {
		if (p->step == PLAN_SURVEY)
			survey_event(p, side, ev->session);
		else if (p->step == PLAN_QUOTA && side == TARGET)
			quota_on(p, ev->session);
		else if (p->step == PLAN_SCAN && side == SOURCE)
			scan_on(p, ev->session);
	}
}

static void on_source(void *owner, const struct peer_event *ev)
{
	on_peer(owner, SOURCE, ev);
}

static void on_target(void *owner, const struct peer_event *ev)
{
	on_peer(owner, TARGET, ev);
}

/* Life. */

struct plan *plan_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	plan_ended_fn *ended, void *owner)
{
	struct plan *p = calloc(1, sizeof(*p));
	int err = 0;

	if (p == NULL)
		return NULL;
	p->env = env;
	p->spec = spec;
	p->peer[SOURCE] = source;
	p->peer[TARGET] = target;
	p->ended = ended;
	p->owner = owner;
	arena_init(&p->memory, TEXTS_MAX);
	survey_init(&p->survey[SOURCE], SOURCE);
	survey_init(&p->survey[TARGET], TARGET);
	p->survey[SOURCE].all = folder_rules_all_namespaces(spec->rules.folders);
	p->survey[SOURCE].sizes = true;
	p->soon = timer_new(env->loop, tell_end, p);
	if (p->soon == NULL) {
		plan_free(&p);
		return NULL;
	}
	peer_lend(source, on_source, p);
	peer_lend(target, on_target, p);
	for (int side = 0; side < SIDES && err == 0; side++)
		err = survey_start(&p->survey[side], p->peer[side]);
	if (err != 0)
		fail_proto(p, SOURCE, err);
	return p;
}

void plan_free(struct plan **ret)
{
	struct plan *p = *ret;

	if (p == NULL)
		return;
	*ret = NULL;
	timer_free(&p->soon);
	for (int side = 0; side < SIDES; side++)
		survey_done(&p->survey[side]);
	free(p->folder);
	free(p->row);
	arena_done(&p->memory);
	free(p);
}

const struct plan_result *plan_result(const struct plan *p)
{
	return &p->result;
}

static bool is_over(const struct plan_room *r, uint64_t more)
{
	return r->known && (r->used > r->limit || more > r->limit - r->used);
}

bool plan_is_over_quota(const struct plan_result *r)
{
	return (r->messages_to_come != 0 && is_over(&r->count, r->messages_to_come)) ||
		(r->bytes_to_come != 0 && is_over(&r->storage, r->bytes_to_come));
}

bool plan_is_short(const struct plan_result *r)
{
	return r->folders[PLAN_LEFT_OUT] + r->folders[PLAN_CONFLICT] + r->too_big != 0 || plan_is_over_quota(r);
}
