#include "verify_p.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "mapping.h"

#define TEXTS_MAX ((size_t)256 << 20)

const char *verify_kind_name(enum verify_kind k)
{
	static const char *const names[] = {
#define X(name, text) text,
		VERIFY_KINDS(X)
#undef X
	};
	return k < VERIFY_KIND_N ? names[k] : "unknown";
}

const char *verify_keep(struct arena *a, struct span text)
{
	char *copy = arena_alloc(a, text.n + 1);

	if (copy == NULL)
		return NULL;
	if (text.n != 0)
		memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return copy;
}

const struct verify_pair *verify_pair_now(const struct verify *v)
{
	return &v->pair[v->at];
}

/* Ends. */

static void tell_end(void *arg)
{
	struct verify *v = arg;

	v->ended(v->owner, &v->outcome);
}

/* The owner frees it: not while somebody of it is still on the stack. */
static void end(struct verify *v)
{
	if (v->step == VERIFY_ENDED)
		return;
	v->step = VERIFY_ENDED;
	timer_set(v->soon, 0);
}

void verify_fail(struct verify *v, const struct outcome *why)
{
	if (v->step != VERIFY_ENDED)
		v->outcome = *why;
	end(v);
}

void verify_fail_proto(struct verify *v, enum side side, int err)
{
	struct outcome why;

	outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, side, "%s", proto_strerror(err));
	verify_fail(v, &why);
}

void verify_stop(struct verify *v)
{
	struct outcome why;

	outcome_set(&why, RADIUS_CONNECTION, HEAL_TIME, SOURCE, "stopped");
	verify_fail(v, &why);
}

/* Telling. */

static void tell(struct verify *v, const struct verify_event *ev)
{
	struct verify_event full = *ev;

	full.mailbox = v->spec->name;
	full.folder = &v->folder;
	v->how->tell(v->how->arg, &full);
}

static void add_counts(struct verify_counts *to, const struct verify_counts *from)
{
	for (int side = 0; side < SIDES; side++)
		to->messages[side] += from->messages[side];
	to->equal += from->equal;
	for (int k = 0; k < VERIFY_KIND_N; k++)
		to->kind[k] += from->kind[k];
	to->ours += from->ours;
}

static void begin_folder(struct verify *v)
{
	const struct verify_pair *p = verify_pair_now(v);

	v->folder = (struct verify_folder){ .source_path = p->source_path, .target_path = p->target_path,
		.absent = p->folder[TARGET] == NULL };
	if (p->folder[SOURCE] == NULL) {
		v->folder.ours = verify_ledger_folder_ours(v, p->target_path);
		v->all.folders_extra++;
	} else {
		v->all.folders++;
		v->all.folders_missing += v->folder.absent;
	}
	v->counts = (struct verify_counts){ 0 };
	v->progress.folder = p->folder[SOURCE] != NULL ? p->source_path : p->target_path;
	tell(v, &(struct verify_event){ .kind = VERIFY_FOLDER });
	if (p->folder[SOURCE] != NULL && p->folder[TARGET] != NULL &&
		survey_is_subscribed(&v->survey[SOURCE], p->folder[SOURCE]->path) &&
		!survey_is_subscribed(&v->survey[TARGET], p->folder[TARGET]->path))
		verify_tell_unsubscribed(v);
}

static void end_folder(struct verify *v)
{
	add_counts(&v->all, &v->counts);
	v->progress.folders_done++;
	v->progress.folder = NULL;
	tell(v, &(struct verify_event){ .kind = VERIFY_FOLDER_END, .counts = &v->counts });
}

/* One folder after the other. */

static bool is_busy(const struct verify *v)
{
	return v->side[SOURCE].pending + v->side[TARGET].pending != 0;
}

static int start_side(struct verify *v, enum side side)
{
	const struct survey_folder *f = verify_pair_now(v)->folder[side];
	struct verify_side *s = &v->side[side];

	verify_side_reset(s);
	s->folder = f;
	if (f == NULL)
		return 0;
	if ((f->has & FS_MESSAGES) != 0 && f->messages == 0)
		return 0;
	return verify_list(v, side);
}

static void start_folder(struct verify *v)
{
	int err = 0;

	v->step = VERIFY_LIST;
	v->differ.n = v->diff_n = v->asked = v->named = 0;
	uidset_reset(&v->twice);
	arena_reset(&v->folder_texts);
	begin_folder(v);
	for (int side = 0; side < SIDES && err == 0; side++) {
		err = start_side(v, (enum side)side);
		if (err != 0)
			verify_fail_proto(v, (enum side)side, err);
	}
}

/* Folders that only the target has are told and not looked into: they are no part of what is compared. */
static void tell_extra(struct verify *v)
{
	const struct survey_folder *f = verify_pair_now(v)->folder[TARGET];

	begin_folder(v);
	v->counts.messages[TARGET] = f->messages;
	tell(v, &(struct verify_event){ .kind = VERIFY_FOLDER_END, .counts = &v->counts });
	v->progress.folders_done++;
}

static void next_folder(struct verify *v)
{
	for (v->at++; v->at < v->pair_n && verify_pair_now(v)->folder[SOURCE] == NULL; v->at++)
		tell_extra(v);
	if (v->at < v->pair_n)
		start_folder(v);
	else
		end(v);
}

/* Less came than the folder holds: messages may have gone meanwhile, so it is counted once more before that is said. */
static bool list_again(struct verify *v, enum side side, int *err)
{
	struct verify_side *s = &v->side[side];
	uint64_t came = s->list.n + s->lost;
	char words[128];

	if (!s->opened || s->failed || !s->exists_known || came >= s->exists)
		return false;
	if (!s->again && s->lost == 0) {
		s->again = true;
		*err = verify_list(v, side);
		return *err == 0;
	}
	snprintf(words, sizeof(words), "the %s says that it has %u messages, and lists %llu", side_name(side), (unsigned)s->exists,
		(unsigned long long)came);
	verify_tell_unreadable(v, side, 0, s->exists - came, words);
	return false;
}

static void no_key(struct verify_side *s, enum side side)
{
	for (size_t i = 0; i < s->list.n; i++) {
		s->list.entry[i].key[0] = (uint32_t)side + 1;
		s->list.entry[i].key[1] = 0;
	}
}

/* What has no partner on either side is asked for its headers: something of it may have been altered. */
static int hash_again(struct verify *v)
{
	int err = 0;

	v->step = VERIFY_HASH;
	for (int side = 0; side < SIDES && err == 0; side++) {
		struct verify_side *s = &v->side[side];

		uidset_reset(&s->wanted);
		for (size_t i = 0; i < s->list.n && err == 0; i++)
			err = uidset_add(&s->wanted, s->list.entry[i].uid);
		no_key(s, (enum side)side);
		s->width = VERIFY_NAMES * 2;
		if (err == 0)
			err = verify_pump(v, (enum side)side);
	}
	return err;
}

static int begin_naming(struct verify *v)
{
	int err = verify_make_diffs(v);

	if (err == 0)
		err = verify_ledger_explain(v);
	v->step = VERIFY_NAME;
	return err;
}

static int all_listed(struct verify *v)
{
	struct verify_side *from = &v->side[SOURCE], *to = &v->side[TARGET];
	int err = 0;

	for (int side = 0; side < SIDES; side++)
		if (list_again(v, (enum side)side, &err) || err != 0)
			return err;
	for (int side = 0; side < SIDES; side++) {
		compare_settle(&v->side[side].list);
		v->counts.messages[side] = v->side[side].list.n;
	}
	if (from->failed || to->failed) {
		/* Nothing can be said of the others. */
		compare_list_reset(&from->list);
		compare_list_reset(&to->list);
	}
	err = compare_match(&from->list, &to->list, 0, &v->differ, &v->counts.equal, &v->twice);
	if (err == 0 && from->list.n != 0 && to->list.n != 0)
		err = verify_ledger_pair(v);
	if (err != 0)
		return err;
	return from->list.n != 0 && to->list.n != 0 ? hash_again(v) : begin_naming(v);
}

static int all_hashed(struct verify *v)
{
	int err = compare_match(&v->side[SOURCE].list, &v->side[TARGET].list, v->how->deep ? COMPARE_BYTES : 0, &v->differ,
		&v->counts.equal, &v->twice);

	return err == 0 ? begin_naming(v) : err;
}

/* Everything that was asked for is here: on to the next step, and over what has nothing to ask for. */
void verify_side_done(struct verify *v)
{
	int err = 0;

	while (v->step != VERIFY_ENDED && v->step != VERIFY_SURVEY && !is_busy(v) && err == 0) {
		if (v->step == VERIFY_LIST)
			err = all_listed(v);
		else if (v->step == VERIFY_HASH)
			err = all_hashed(v);
		else {
			verify_tell_named(v);
			if (!verify_name_next(v, &err) && err == 0) {
				end_folder(v);
				next_folder(v);
			}
		}
	}
	if (err != 0)
		verify_fail_proto(v, SOURCE, err);
}

/* Which folder belongs to which. */

static int plan_pair(struct verify *v, const struct mapping_entry *e, bool *used)
{
	struct verify_pair *p = &v->pair[v->pair_n];
	const struct survey_folder *from = e->from, *to = e->to;

	*p = (struct verify_pair){ .folder = { from, to }, .source_path = verify_keep(&v->memory, from->path),
		.target_path = verify_keep(&v->memory, e->path) };
	if (p->source_path == NULL || p->target_path == NULL)
		return PROTO_ERR_NOMEM;
	/* Another folder of the source has the same name: only the first one of them is copied. */
	if (e->twin)
		p->folder[TARGET] = NULL;
	else if (to != NULL)
		used[to - v->survey[TARGET].folder] = true;
	v->pair_n++;
	v->progress.messages += from->messages + (p->folder[TARGET] != NULL ? to->messages : 0);
	return 0;
}

static int plan_extra(struct verify *v, const struct survey_folder *to)
{
	struct verify_pair *p = &v->pair[v->pair_n];

	if (!survey_can_open(to) || (span_eq(to->path, SPAN("INBOX")) && to->messages == 0))
		return 0;
	*p = (struct verify_pair){ .folder = { NULL, to }, .source_path = "", .target_path = verify_keep(&v->memory, to->path) };
	v->pair_n++;
	return p->target_path != NULL ? 0 : PROTO_ERR_NOMEM;
}

static void fail_by_conflict(struct verify *v, const struct mapping *map)
{
	struct outcome why;
	char words[400];

	mapping_print_conflict(map, words, sizeof(words));
	outcome_set(&why, RADIUS_MAILBOX, HEAL_OPERATOR, SOURCE, "%s", words);
	verify_fail(v, &why);
}

static int plan(struct verify *v)
{
	const struct survey *from = &v->survey[SOURCE], *to = &v->survey[TARGET];
	bool *used = calloc(to->folder_n + 1, sizeof(*used));
	struct mapping map;
	int err = mapping_make(&map, v->spec->rules.folders, from, to, v->row, v->row_n, &v->memory);

	v->pair = calloc(from->folder_n + to->folder_n + 1, sizeof(*v->pair));
	if (v->pair == NULL || used == NULL)
		err = PROTO_ERR_NOMEM;
	if (err == 0 && map.conflict[0] != NULL)
		fail_by_conflict(v, &map);
	for (size_t i = 0; i < from->folder_n && err == 0; i++)
		if (!map.entry[i].level && !map.entry[i].excluded)
			err = plan_pair(v, &map.entry[i], used);
	for (size_t i = 0; i < to->folder_n && err == 0; i++)
		if (!used[i])
			err = plan_extra(v, &to->folder[i]);
	free(used);
	v->progress.folders = (uint32_t)v->pair_n;
	return err;
}

static void begin_listing(struct verify *v)
{
	int err = verify_ledger_mailbox(v);

	if (err == 0)
		err = plan(v);
	if (err != 0)
		verify_fail_proto(v, SOURCE, err);
	if (v->step == VERIFY_ENDED)
		return;
	v->at = SIZE_MAX; /* next_folder() counts on from here */
	next_folder(v);
	verify_side_done(v);
}

static void survey_event(struct verify *v, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (v->surveyed[side])
		return;
	switch (survey_on(&v->survey[side], v->peer[side], ev, &why)) {
	case SURVEY_FAILED:
		verify_fail(v, &why);
		break;
	case SURVEY_COMPLETE:
		v->surveyed[side] = true;
		if (v->surveyed[SOURCE] && v->surveyed[TARGET])
			begin_listing(v);
		break;
	default:
		break;
	}
}

/* Events of the peers. */

/* Nothing more may be asked for. */
static bool is_bye(struct verify *v, enum side side, const struct session_event *ev)
{
	struct outcome why;

	if (!outcome_of_bye(&why, side, ev))
		return false;
	verify_fail(v, &why);
	return true;
}

static void on_peer(struct verify *v, enum side side, const struct peer_event *ev)
{
	struct outcome why;

	if (v->step == VERIFY_ENDED)
		return;
	if (ev->kind == PEER_DOWN) {
		outcome_of_failure(&why, side, AT_WORK, ev->failure);
		v->peer[side] = NULL;
		verify_fail(v, &why);
	} else if (ev->kind == PEER_SESSION && !is_bye(v, side, ev->session)) {
		if (v->step == VERIFY_SURVEY)
			survey_event(v, side, ev->session);
		else
			verify_on(v, side, ev->session);
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

struct verify *verify_new(const struct mailbox_env *env, const struct mailbox_spec *spec, struct peer *source, struct peer *target,
	verify_ended_fn *ended, void *owner)
{
	struct verify *v = calloc(1, sizeof(*v));
	int err = 0;

	if (v == NULL)
		return NULL;
	v->env = env;
	v->how = env->verify;
	v->spec = spec;
	v->peer[SOURCE] = source;
	v->peer[TARGET] = target;
	v->ended = ended;
	v->owner = owner;
	arena_init(&v->memory, TEXTS_MAX);
	arena_init(&v->folder_texts, TEXTS_MAX);
	arena_init(&v->names, TEXTS_MAX);
	buf_init(&v->scratch, 128u << 10);
	survey_init(&v->survey[SOURCE], SOURCE);
	survey_init(&v->survey[TARGET], TARGET);
	v->survey[SOURCE].all = folder_rules_all_namespaces(spec->rules.folders);
	v->soon = timer_new(env->loop, tell_end, v);
	if (v->soon == NULL) {
		verify_free(&v);
		return NULL;
	}
	peer_lend(source, on_source, v);
	peer_lend(target, on_target, v);
	for (int side = 0; side < SIDES && err == 0; side++)
		err = survey_start(&v->survey[side], v->peer[side]);
	if (err != 0)
		verify_fail_proto(v, SOURCE, err);
	return v;
}

void verify_free(struct verify **ret)
{
	struct verify *v = *ret;

	if (v == NULL)
		return;
	*ret = NULL;
	timer_free(&v->soon);
	for (int side = 0; side < SIDES; side++) {
		survey_done(&v->survey[side]);
		verify_side_free(&v->side[side]);
	}
	compare_pairs_done(&v->differ);
	uidset_done(&v->twice);
	free(v->pair);
	free(v->diff);
	free(v->row);
	arena_done(&v->memory);
	arena_done(&v->folder_texts);
	arena_done(&v->names);
	buf_done(&v->scratch);
	free(v);
}

const struct mailbox_progress *verify_progress(const struct verify *v)
{
	return &v->progress;
}

const struct verify_counts *verify_counts(const struct verify *v)
{
	return &v->all;
}
