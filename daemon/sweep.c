#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>

#include "asking.h"
#include "err.h"
#include "log.h"
#include "pass.h"

#define NAME_ITEMS (FETCH_UID | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_HEADER)

/* Told by number: it may be one that was just said to be there. */
static const char being_changed[] = "the folder is being changed by somebody else";

static void next_folder(struct pass *p);
static void go_on(struct pass *p);

static void forget_folder(struct sweep *s)
{
	uidset_reset(&s->recorded);
	uidset_reset(&s->there);
	uidset_reset(&s->wanted);
	uidset_reset(&s->untold);
	uidset_reset(&s->removed);
	known_done(&s->sent);
	echoes_done(&s->echoes);
	free(s->echo);
	free(s->detail);
	s->echo = NULL;
	s->detail = NULL;
	s->echo_n = s->detail_n = s->detail_size = 0;
	s->failed = false;
	for (int side = 0; side < SIDES; side++)
		s->same[side] = s->in_body[side] = false;
	s->objection = NULL;
	s->pending = 0;
}

void sweep_done(struct sweep *s)
{
	forget_folder(s);
	uidset_done(&s->recorded);
	uidset_done(&s->there);
	uidset_done(&s->wanted);
	uidset_done(&s->untold);
	uidset_done(&s->removed);
	body_digest_free(&s->digest[SOURCE]);
	body_digest_free(&s->digest[TARGET]);
	if (s->texts.cap != 0)
		arena_done(&s->texts);
}

static struct session *target_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[TARGET]);
}

static struct session *source_session(struct pass *p)
{
	return peer_session(p->lane[0]->peer[SOURCE]);
}

static struct folder *folder_in_hand(struct pass *p)
{
	return &p->folder[p->sweep.at];
}

/* Steps. */

static void saved(struct lane *l, struct folder *f, int64_t id)
{
	(void)f, (void)id;
	if (l->pass->step != PASS_SWEEP)
		return;
	l->pass->sweep.at++;
	next_folder(l->pass);
}

/* What is left on the target, and may go, goes once the operator wants it. */
static void save(struct pass *p)
{
	struct sweep *s = &p->sweep;
	struct folder *f = folder_in_hand(p);
	struct ledger_echoes *e = &f->row.echoes;
	struct pass_call *call = pass_call_new(p->lane[0], f, saved);
	bool left = false;

	for (size_t i = 0; i < s->echo_n; i++)
		left = left || (s->echo[i].told && !uidset_has(&s->removed, s->echo[i].uid));
	if (call == NULL) {
		pass_fail_proto(p, TARGET, PROTO_ERR_NOMEM);
		return;
	}
	s->step = SWEEP_SAVES;
	if (e->looks > 2)
		e->looks--;
	else
		e->looks = left;
	if (e->looks == 0)
		*e = (struct ledger_echoes){ 0 };
	ledger_save_echoes(p->env->ledger, f->row.id, e, pass_call_done, call);
}

static void skip(struct pass *p, const char *reason)
{
	struct log_context ctx = pass_context(p, folder_in_hand(p), 0);

	if (!p->sweep.failed)
		log_event(LOG_SWEEP_FAILED, &ctx, "what may have landed twice is not looked for this time: %s", reason);
	p->sweep.failed = true;
}

static int list(struct pass *p)
{
	struct sweep *s = &p->sweep;
	struct folder *f = folder_in_hand(p);
	char criteria[32];
	int n = snprintf(criteria, sizeof(criteria), "UID %u:*", f->row.echoes.floor);
	uint32_t tag;
	int err = session_folder(target_session(p), CMD_EXAMINE, f->target_wire, false, &tag);

	s->step = SWEEP_LISTS;
	s->pending = 1;
	if (err == 0)
		err = session_search(target_session(p), span_of(criteria, (size_t)n), &tag);
	s->pending += err == 0;
	return err;
}

/* What is there and not recorded. "floor:*" brings the last message even when its UID is lower (RFC 9051 section 9, seq-range). */
static int find_strangers(struct sweep *s, uint32_t floor)
{
	struct uidset_walk w = { 0 };
	uint32_t uid;
	int err = 0;

	while (err == 0 && (uid = uidset_walk(&s->there, &w)) != 0)
		if (uid >= floor && !uidset_has(&s->recorded, uid))
			err = uidset_add(&s->wanted, uid);
	return err;
}

/* What was under way at the break, and is recorded by now. */
static int find_sent(struct sweep *s, uint32_t next)
{
	int err = 0;

	for (size_t i = 0; i < s->sent.run_n && err == 0; i++) {
		const struct known_run *r = &s->sent.run[i];
		uint32_t n = r->source >= next ? 0 : next - r->source < r->n ? next - r->source : r->n;

		if (n != 0 && r->target != 0)
			err = uidset_add_range(&s->wanted, r->target, r->target + n - 1);
		else if (n != 0)
			err = uidset_add_range(&s->untold, r->source, r->source + n - 1);
	}
	return err;
}

static uint32_t source_of(const struct sweep *s, uint32_t target)
{
	for (size_t i = 0; i < s->sent.run_n; i++) {
		const struct known_run *r = &s->sent.run[i];

		if (r->target != 0 && target >= r->target && target - r->target < r->n)
			return r->source + (target - r->target);
	}
	return 0;
}

static int ask(struct pass *p, enum sweep_step step, unsigned items)
{
	struct sweep *s = &p->sweep;

	s->step = step;
	return asking_fetch(target_session(p), &s->wanted, items, &s->pending);
}

static int ask_sent(struct pass *p)
{
	struct sweep *s = &p->sweep;
	uint32_t tag;
	int err;

	uidset_reset(&s->wanted);
	err = s->echoes.strangers == 0 ? 0 : find_sent(s, folder_in_hand(p)->row.echoes.next);
	if (err == 0)
		err = ask(p, SWEEP_SENT, NAME_ITEMS);
	if (err != 0 || s->untold.n == 0)
		return err;
	err = session_folder(source_session(p), CMD_EXAMINE, folder_in_hand(p)->source_wire, false, &tag);
	s->pending += err == 0;
	return err == 0 ? asking_fetch(source_session(p), &s->untold, NAME_ITEMS, &s->pending) : err;
}

/* What was sent, and is not there any more, may be one of the strangers: the source says what it was. */
static int ask_missing(struct pass *p)
{
	struct sweep *s = &p->sweep;
	struct uidset_walk w = { 0 };
	uint32_t uid, tag;
	int err = 0;

	s->step = SWEEP_MISSING;
	s->echoes.lost = uidset_count(&s->untold);
	uidset_reset(&s->untold);
	while (err == 0 && (uid = uidset_walk(&s->wanted, &w)) != 0)
		err = uidset_add(&s->untold, source_of(s, uid));
	if (err != 0 || s->untold.n == 0)
		return err;
	err = session_folder(source_session(p), CMD_EXAMINE, folder_in_hand(p)->source_wire, false, &tag);
	s->pending += err == 0;
	return err == 0 ? asking_fetch(source_session(p), &s->untold, NAME_ITEMS, &s->pending) : err;
}

static int ask_bodies(struct pass *p)
{
	struct sweep *s = &p->sweep;
	int err;

	s->echoes.lost += uidset_count(&s->untold);
	uidset_reset(&s->wanted);
	uidset_reset(&s->untold);
	err = echoes_doubtful(&s->echoes, &s->wanted, &s->untold);
	if (err == 0)
		err = ask(p, SWEEP_BODIES, FETCH_UID | FETCH_BODY);
	return err == 0 ? asking_fetch(source_session(p), &s->untold, FETCH_UID | FETCH_BODY, &s->pending) : err;
}

/* The echo, and what makes it one. Of the same group as the echo before it, it has that already. */
static int want(struct sweep *s, const struct echo *e)
{
	int err = uidset_add(&s->wanted, e->uid);

	for (size_t i = 0; i < e->same_n && err == 0 && (e == s->echo || e[-1].same != e->same); i++)
		err = uidset_add(&s->wanted, e->same[i].uid);
	return err;
}

static int ask_details(struct pass *p)
{
	struct sweep *s = &p->sweep;
	int err = echoes_find(&s->echoes, folder_in_hand(p)->row.echoes.sends, &s->echo, &s->echo_n);

	uidset_reset(&s->wanted);
	for (size_t i = 0; i < s->echo_n && err == 0; i++) {
		err = want(s, &s->echo[i]);
		if (err == 0)
			err = uidset_add(&s->wanted, s->echo[i].twin);
	}
	if (err == 0 && s->echo_n != 0) {
		s->detail_size = (size_t)uidset_count(&s->wanted);
		s->detail = calloc(s->detail_size, sizeof(*s->detail));
		err = s->detail == NULL ? PROTO_ERR_NOMEM : 0;
	}
	return err == 0 ? ask(p, SWEEP_TELLS, NAME_ITEMS | FETCH_FLAGS) : err;
}

static int begin_removal(struct pass *p)
{
	struct sweep *s = &p->sweep;
	uint32_t tag;
	int err;

	s->objection = !p->spec->rules.repair_echoes ? "repair_echoes is off" :
		!peer_has(p->lane[0]->peer[TARGET], CAP_UIDPLUS) ? "the target cannot expunge single messages (UIDPLUS)" : NULL;
	if (s->objection != NULL)
		return 0;
	err = sweep_choose(s);
	if (err != 0 || s->removed.n == 0)
		return err;
	s->same[TARGET] = false;
	s->step = SWEEP_SELECTS;
	err = session_folder(target_session(p), CMD_SELECT, folder_in_hand(p)->target_wire, false, &tag);
	s->pending += err == 0;
	return err;
}

/* Users go on working: what is not as it was a moment ago is left. */
static int ask_again(struct pass *p)
{
	struct sweep *s = &p->sweep;
	int err = 0;

	uidset_reset(&s->wanted);
	for (size_t i = 0; i < s->detail_n && err == 0; i++)
		err = uidset_add(&s->wanted, s->detail[i].uid);
	sweep_forget_flags(s);
	return err == 0 ? ask(p, SWEEP_CHECKS, FETCH_UID | FETCH_FLAGS) : err;
}

static int expunge(struct pass *p)
{
	struct sweep *s = &p->sweep;
	struct buf text;
	size_t at = 0;
	uint32_t tag;
	int err;

	s->step = SWEEP_EXPUNGES;
	uidset_reset(&s->removed);
	err = s->objection == NULL ? sweep_choose(s) : 0;
	buf_init(&text, ASKING_LINE * 2);
	while (err == 0 && at < s->removed.n) {
		buf_reset(&text);
		err = uidset_print(&s->removed, &text, &at, ASKING_LINE);
		if (err == 0)
			err = session_store(target_session(p), buf_span(&text), "+FLAGS.SILENT", SPAN("\\Deleted"), &tag);
		s->pending += err == 0;
		if (err == 0)
			err = session_uid_expunge(target_session(p), buf_span(&text), &tag);
		s->pending += err == 0;
	}
	buf_done(&text);
	return err;
}

/* All answers to the step are here: the next one. What asks for nothing is over at once. */
static int advance(struct pass *p)
{
	struct sweep *s = &p->sweep;
	int err;

	switch (s->step) {
	case SWEEP_LISTS:
		err = find_strangers(s, folder_in_hand(p)->row.echoes.floor);
		return err == 0 ? ask(p, SWEEP_STRANGERS, NAME_ITEMS) : err;
	case SWEEP_STRANGERS:
		return ask_sent(p);
	case SWEEP_SENT:
		return ask_missing(p);
	case SWEEP_MISSING:
		return ask_bodies(p);
	case SWEEP_BODIES:
		return ask_details(p);
	case SWEEP_TELLS:
		return begin_removal(p);
	case SWEEP_SELECTS:
		return ask_again(p);
	case SWEEP_CHECKS:
		return expunge(p);
	default:
		return 0;
	}
}

static void go_on(struct pass *p)
{
	struct sweep *s = &p->sweep;
	int err = 0;

	while (p->step == PASS_SWEEP && s->pending == 0 && err == 0 && !s->failed && s->step < SWEEP_EXPUNGES) {
		enum sweep_step before = s->step;

		err = advance(p);
		if (s->step == before)
			break;
	}
	if (err != 0) {
		pass_fail_proto(p, TARGET, err);
		return;
	}
	for (int side = 0; side < SIDES; side++)
		if (p->lane[0]->peer[side] != NULL)
			peer_flush(p->lane[0]->peer[side]);
	if (p->step != PASS_SWEEP || s->pending != 0)
		return;
	if (s->failed) {
		s->at++;
		next_folder(p);
		return;
	}
	sweep_tell(p);
	save(p);
}

/* What the ledger knows. */

static void take_recorded(void *arg, int err, const char *const *source, const char *const *target, size_t n)
{
	struct pass *p = pass_call_pass(arg);
	struct folder *f = pass_call_folder(arg);
	int bad = 0;

	(void)source;
	for (size_t i = 0; f != NULL && i < n && bad == 0; i++)
		if (target[i][0] != '\0')
			bad = uidset_parse(&p->sweep.recorded, span_str(target[i]));
	if (bad != 0)
		skip(p, "the ledger's record of the folder cannot be read");
	pass_call_done(arg, err);
}

static void take_sent(void *arg, int err, const char *const *source, const char *const *target, size_t n)
{
	struct pass *p = pass_call_pass(arg);
	struct folder *f = pass_call_folder(arg);
	int bad = 0;

	for (size_t i = 0; f != NULL && i < n && bad == 0; i++)
		bad = known_add(&p->sweep.sent, span_str(source[i]), span_str(target[i]), SPAN_NONE, false);
	if (bad != 0)
		skip(p, "the ledger's record of the folder cannot be read");
	pass_call_done(arg, err);
}

static void loaded(struct lane *l, struct folder *f, int64_t id)
{
	struct pass *p = l->pass;
	int err;

	(void)f, (void)id;
	if (p->step != PASS_SWEEP || p->sweep.step != SWEEP_LOADS)
		return;
	err = p->sweep.failed ? 0 : list(p);
	if (err != 0)
		pass_fail_proto(p, TARGET, err);
	else
		go_on(p);
}

static bool is_due(const struct pass *p, const struct folder *f)
{
	uint32_t looks = f->row.echoes.looks;

	return (looks > 1 || (looks == 1 && p->spec->rules.repair_echoes)) && f->row.id != 0 && f->step != FOLDER_LEFT_OUT && f->row.target_uidvalidity != 0;
}

static void next_folder(struct pass *p)
{
	struct sweep *s = &p->sweep;
	struct pass_call *recorded, *sent;
	struct folder *f;

	while (s->at < p->folder_n && !is_due(p, &p->folder[s->at]))
		s->at++;
	forget_folder(s);
	s->step = SWEEP_IDLE;
	if (s->at == p->folder_n) {
		s->over = true;
		pass_check_end(p);
		return;
	}
	f = folder_in_hand(p);
	s->step = SWEEP_LOADS;
	arena_reset(&s->texts);
	recorded = pass_call_new(p->lane[0], f, NULL);
	if (recorded != NULL)
		ledger_load_sets(p->env->ledger, f->row.id, UINT32_MAX, f->row.echoes.floor, take_recorded, recorded);
	/* What another folder brought there, before the rules changed, is no stranger either. */
	for (size_t i = 0; i < p->row_n && recorded != NULL; i++) {
		if (p->row[i].id == f->row.id || strcmp(p->row[i].target_path, f->row.target_path) != 0)
			continue;
		recorded = pass_call_new(p->lane[0], f, NULL);
		if (recorded != NULL)
			ledger_load_sets(p->env->ledger, p->row[i].id, UINT32_MAX, f->row.echoes.floor, take_recorded, recorded);
	}
	sent = recorded == NULL ? NULL : pass_call_new(p->lane[0], f, loaded);
	if (sent != NULL)
		ledger_load_sets_after(p->env->ledger, f->row.id, f->row.echoes.batch, take_sent, sent);
	else
		pass_fail_proto(p, TARGET, PROTO_ERR_NOMEM);
}

bool sweep_begin(struct pass *p)
{
	size_t i = 0;

	while (i < p->folder_n && !is_due(p, &p->folder[i]))
		i++;
	if (i == p->folder_n || p->lane[0]->peer[SOURCE] == NULL || p->lane[0]->peer[TARGET] == NULL)
		return false;
	p->step = PASS_SWEEP;
	arena_init(&p->sweep.texts, 64u << 20);
	p->sweep.digest[SOURCE] = body_digest_new();
	p->sweep.digest[TARGET] = body_digest_new();
	next_folder(p);
	return true;
}

/* Answers. */

static int on_fetch(struct sweep *s, enum side side, const struct resp_fetch *m)
{
	struct uidset *asked = side == TARGET ? &s->wanted : &s->untold;
	struct identity name;
	struct date date;
	int err;

	if (s->step == SWEEP_CHECKS && side == TARGET && (m->has & FETCH_UID) == 0)
		s->objection = being_changed;
	if (s->step == SWEEP_CHECKS)
		return side == TARGET ? sweep_keep_flags(s, m) : 0;
	if ((m->has & NAME_ITEMS) != NAME_ITEMS || !uidset_has(asked, m->uid) || !date_parse(m->internaldate, &date))
		return 0;
	if (s->step == SWEEP_TELLS)
		return side == TARGET && (m->has & FETCH_FLAGS) != 0 ? sweep_keep_detail(s, m) : 0;
	if (s->step != SWEEP_STRANGERS && s->step != SWEEP_SENT && s->step != SWEEP_MISSING)
		return 0;
	/* Each once, however often it is told. */
	err = uidset_remove_range(asked, m->uid, m->uid);
	if (err != 0)
		return err;
	name = identity_of(m->header, date, 0);
	if (s->step == SWEEP_STRANGERS)
		return side == TARGET ? echoes_add_stranger(&s->echoes, m->uid, name) : 0;
	return side == TARGET ? echoes_add_sent(&s->echoes, m->uid, source_of(s, m->uid), name) :
				echoes_add_sent(&s->echoes, 0, m->uid, name);
}

static void on_body(struct sweep *s, enum side side, const struct session_event *ev)
{
	struct identity body;

	if (s->step != SWEEP_BODIES)
		return;
	if (ev->kind == EVENT_BODY_BEGIN) {
		s->in_body[side] = true;
		body_digest_begin(s->digest[side]);
	} else if (ev->kind == EVENT_BODY_DATA && s->in_body[side]) {
		body_digest_add(s->digest[side], ev->data);
	} else if (ev->kind == EVENT_BODY_END && s->in_body[side]) {
		s->in_body[side] = false;
		body = body_digest_end(s->digest[side]);
		if ((ev->resp.fetch.has & FETCH_UID) == 0)
			return;
		if (side == TARGET)
			echoes_add_body(&s->echoes, ev->resp.fetch.uid, body);
		else
			echoes_add_source_body(&s->echoes, ev->resp.fetch.uid, body);
	}
}

static void on_done(struct pass *p, enum side side, const struct session_event *ev)
{
	struct sweep *s = &p->sweep;
	struct outcome why;

	s->pending--;
	if (ev->resp.status.status != STATUS_OK) {
		outcome_of_reply(&why, side, ev->command, &ev->resp.status);
		/* All mail has been copied: a refusal here holds nothing up. */
		if (why.radius == RADIUS_CONNECTION || why.radius > RADIUS_MAILBOX) {
			pass_fail(p, &why);
			return;
		}
		if (s->step >= SWEEP_SELECTS) {
			snprintf(s->refusal, sizeof(s->refusal), "the target refused: %s", why.text);
			s->objection = s->refusal;
			uidset_reset(&s->removed);
			s->step = SWEEP_EXPUNGES;
		} else {
			skip(p, why.text);
		}
	} else if ((ev->command == CMD_EXAMINE || ev->command == CMD_SELECT) && !s->same[side]) {
		skip(p, side == TARGET ? "the target's UIDVALIDITY changed, or is not told" : "the source's UIDVALIDITY changed, or is not told");
	}
	if (s->pending == 0)
		go_on(p);
}

void sweep_on(struct pass *p, enum side side, const struct session_event *ev)
{
	struct sweep *s = &p->sweep;
	const struct resp *r = &ev->resp;
	int err = 0;

	if (s->step <= SWEEP_LOADS || s->step == SWEEP_SAVES)
		return;
	if (ev->kind == EVENT_BODY_BEGIN || ev->kind == EVENT_BODY_DATA || ev->kind == EVENT_BODY_END) {
		on_body(s, side, ev);
	} else if (ev->kind == EVENT_RESPONSE && r->kind == RESP_FETCH) {
		err = on_fetch(s, side, &r->fetch);
	} else if (ev->kind == EVENT_RESPONSE && r->kind == RESP_STATUS && r->status.code == CODE_UIDVALIDITY && ev->tag != 0) {
		s->same[side] = r->status.uidvalidity ==
			(side == TARGET ? folder_in_hand(p)->row.target_uidvalidity : folder_in_hand(p)->uidvalidity);
	} else if (ev->kind == EVENT_RESPONSE && (r->kind == RESP_SEARCH || r->kind == RESP_ESEARCH) && s->step == SWEEP_LISTS && side == TARGET) {
		if (!asking_found(r, &s->there, &err) || (err != 0 && err != PROTO_ERR_NOMEM)) {
			skip(p, "the target's answer to SEARCH cannot be read");
			err = 0;
		}
	} else if (ev->kind == EVENT_RESPONSE && (r->kind == RESP_EXPUNGE || r->kind == RESP_VANISHED) && s->step == SWEEP_CHECKS && side == TARGET) {
		s->objection = being_changed;
	} else if (ev->kind == EVENT_DONE && s->pending != 0) {
		on_done(p, side, ev);
	}
	if (err != 0)
		pass_fail_proto(p, side, err);
}
