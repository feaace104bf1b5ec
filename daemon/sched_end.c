#include "sched_p.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t sched_attempts(const struct sched *s)
{
	if (s->mode == SCHED_CHECK || s->limits.max_login_retries == 0)
		return 1;
	return s->limits.max_login_retries;
}

void entry_park(struct sched *s, uint32_t e, uint64_t ms)
{
	struct entry *en = &s->entries[e];
	en->next_attempt = s->clock.wall(s->clock.arg) + (int64_t)ms;
	entry_heap_push(s, e, s->clock.now(s->clock.arg) + ms);
}

#define REASON (sizeof(((struct outcome *)0)->text) + 32)

static const char *reason_of(const struct entry *en, const struct outcome *o, char buf[REASON])
{
	snprintf(buf, REASON, "%s%s: %s", en->finishing ? "last pass: " : "", side_name(o->side), o->text);
	return buf;
}

/* Counts a failed attempt: parked, or failed when it was the last. `quiet`: dialled by nobody, the server's line has said it for all. */
static void entry_count(struct sched *s, uint32_t e, const struct outcome *o, bool quiet)
{
	struct entry *en = &s->entries[e];
	char reason[REASON];
	reason_of(en, o, reason);
	if (en->attempts < UINT32_MAX)
		en->attempts++;
	en->broke = o->at == AT_WORK;
	en->doubt = o->at == AT_LOGIN ? (uint8_t)(1 + o->side) : 0;
	if (en->attempts >= sched_attempts(s)) {
		entry_set(s, e, MAILBOX_FAILED, reason);
		if (s->mode != SCHED_CHECK)
			say_failed(s, en, o);
		return;
	}
	entry_set(s, e, MAILBOX_PARKED, reason);
	entry_park(s, e, s->limits.login_retry_interval);
	if (!quiet)
		say_retry(s, en, o);
}

void entry_refuse(struct sched *s, uint32_t e, enum side side)
{
	const struct server *server = &s->servers[s->migrations[s->entries[e].migration].server[side]];
	bool admin = s->mode == SCHED_CHECK || limits_door(&server->limits, s->clock.now(s->clock.arg)) != DOOR_DOWN;
	struct outcome o = { .radius = RADIUS_SERVER, .heal = HEAL_TIME, .at = AT_LOGIN, .side = side,
		.fault = admin ? CONN_FAULT_LOGIN : CONN_FAULT_CONNECT, .refused = admin };
	snprintf(o.text, sizeof(o.text), "%s", admin ? server->admin.words : server->limits.words);
	entry_count(s, e, &o, true);
	sched_tell(s, &(struct sched_event){ .kind = SCHED_ENDED, .mailbox = e, .refusal = &o, .words = sched_reason(s, e) });
}

/* Somebody is logged in there: a login that is not answered is that mailbox's trouble, not the server's. */
static bool server_is_used(const struct sched *s, const struct server *server)
{
	for (int step = 0; step < STEP_N; step++) {
		const struct active *a;
		TAILQ_FOREACH(a, &s->steps[step], link)
			for (int side = 0; side < SIDES; side++)
				if (active_server(a, (enum side)side) == server &&
					mailbox_is_up(a->mailbox, (enum side)side))
					return true;
	}
	return false;
}

static bool is_connect_failure(const struct sched *s, const struct server *server, const struct outcome *o)
{
	if (o->radius == RADIUS_SERVER)
		return true;
	if (o->at != AT_LOGIN)
		return false;
	switch (o->fault) {
	case CONN_FAULT_RESOLVE:
	case CONN_FAULT_CONNECT:
	case CONN_FAULT_TLS:
	case CONN_FAULT_NO_TLS:
		return true;
	case CONN_FAULT_TIMEOUT:
		return !o->greeted || !server_is_used(s, server);
	default:
		return false;
	}
}

/* One side of it is the probe of that server; source and target may be the same server. */
static bool is_probe(const struct active *a, const struct server *server)
{
	return (a->probe[SOURCE] && active_server(a, SOURCE) == server) ||
	       (a->probe[TARGET] && active_server(a, TARGET) == server);
}

void probe_over(struct active *a, const struct server *server)
{
	for (int side = 0; side < SIDES; side++)
		if (active_server(a, (enum side)side) == server)
			a->probe[side] = false;
}

static void vouched(struct active *a, const struct server *server)
{
	for (int side = 0; side < SIDES; side++)
		if (active_server(a, (enum side)side) == server)
			a->vouches[side] = false;
}

void admin_accepted(struct active *a, enum side side)
{
	struct server *server = active_server(a, side);
	if (server->endpoint->admin_user == NULL)
		return;
	a->s->entries[a->entry].barred = false;
	limits_succeeded(&server->admin);
	vouched(a, server);
	if (server->admin_told)
		say_admin_accepted(&server->admin);
	server->admin_tried = server->admin_told = false;
	server->admin_last = true;
}

/* A refused login of an administrator. It may be that user's trouble: then the next one's is accepted. So it takes LIMITS_FAILURES in a row where he was
 * let in before, and then, as in the beginning, one more is tried at once before all wait. */
static void learn_admin(struct active *a, enum side side, const struct outcome *o)
{
	struct sched *s = a->s;
	struct server *server = active_server(a, side);
	struct limits *l = &server->admin;
	uint64_t interval = server->admin_tried ? s->limits.login_retry_interval : 0;
	bool was_down = l->down, probe = a->vouches[side];
	if (server->endpoint->admin_user == NULL || o->radius == RADIUS_NONE || o->at != AT_LOGIN || o->fault != CONN_FAULT_LOGIN)
		return;
	if (o->code == CODE_AUTHORIZATIONFAILED) { /* the password is right (RFC 5530 section 3) */
		admin_accepted(a, side);
		return;
	}
	if (o->code != CODE_AUTHENTICATIONFAILED && o->code != CODE_EXPIRED && o->code != CODE_NONE)
		return;
	s->entries[a->entry].barred = true;
	limits_failed(l, probe, s->clock.now(s->clock.arg), interval, o->text);
	vouched(a, server);
	if (!l->down || (was_down && !probe))
		return;
	if (server->admin_tried && !server->admin_told && s->mode != SCHED_CHECK) {
		say_admin_refused(s, l);
		server->admin_told = true;
	}
	server->admin_tried = true;
}

/* What the end of an attempt tells about the servers. */
static void learn(struct active *a, const struct outcome *o)
{
	struct sched *s = a->s;
	if (s->mode == SCHED_CHECK && !s->stopping)
		for (int side = 0; side < SIDES; side++)
			learn_admin(a, (enum side)side, mailbox_check_result(a->mailbox, (enum side)side));
	else if (!a->asked && o->radius != RADIUS_NONE && !s->stopping)
		learn_admin(a, o->side, o);
	for (int side = 0; side < SIDES; side++)
		if (a->vouches[side]) {
			limits_probe_void(&active_server(a, (enum side)side)->admin);
			a->vouches[side] = false;
		}
	/* One that was asked to stop says nothing of its server. */
	if (!a->asked && o->radius != RADIUS_NONE && !s->stopping && s->mode != SCHED_CHECK) {
		struct server *server = active_server(a, o->side);
		struct limits *l = &server->limits;
		if (is_connect_failure(s, server, o)) {
			if (limits_failed(l, is_probe(a, server), s->clock.now(s->clock.arg), s->limits.login_retry_interval, o->text))
				say_server_down(s, l);
			probe_over(a, server);
		} else if (o->at == AT_LOGIN && o->fault == CONN_FAULT_LOGIN) {
			if (limits_succeeded(l))
				say_server_up(l);
			probe_over(a, server);
		}
	}
	for (int side = 0; side < SIDES; side++)
		if (a->probe[side]) {
			limits_probe_void(&active_server(a, (enum side)side)->limits);
			a->probe[side] = false;
		}
}

static void add_counts(struct sched_counts *c, const struct mailbox_progress *p)
{
	c->copied += p->copied;
	c->adopted += p->adopted;
	c->left_out += p->left_out;
	c->not_selected += p->not_selected;
	c->folders_left_out += p->folders_left_out + p->folders_not_followed;
	c->bytes += p->bytes_copied;
}

static void requeue(struct sched *s, uint32_t e, const char *reason)
{
	entry_set(s, e, MAILBOX_QUEUED, reason);
	entry_queue(s, e);
}

static void done(struct sched *s, uint32_t e)
{
	struct entry *en = &s->entries[e];
	en->finishing = false;
	entry_pause(s, e, false);
	entry_set(s, e, MAILBOX_DONE, "its last pass left nothing out");
	say_done(s, en);
}

/* `last`: finishing had been asked for before the pass began. */
static void synced(struct sched *s, uint32_t e, const struct mailbox_progress *p, bool last)
{
	struct entry *en = &s->entries[e];
	en->attempts = 0;
	en->said = 0;
	en->broke = en->alone = false;
	en->last_synced = s->clock.wall(s->clock.arg);
	if (s->mode == SCHED_CHECK || s->mode == SCHED_VERIFY) {
		entry_set(s, e, MAILBOX_SYNCED, "");
		return;
	}
	char reason[128] = "";
	const char *due = en->finishing ? "; not done, a last pass is due" : "";
	if (p->left_out + p->folders_left_out > 0)
		snprintf(reason, sizeof(reason), "%llu messages and %u folders were left out%s",
			(unsigned long long)p->left_out, (unsigned)p->folders_left_out, due);
	else if (p->folders_not_followed > 0)
		snprintf(reason, sizeof(reason), "changed flags of %u folders were not followed%s",
			(unsigned)p->folders_not_followed, due);
	else if (p->deletions_held > 0)
		snprintf(reason, sizeof(reason), "%llu deletions were held back%s", (unsigned long long)p->deletions_held, due);
	say_synced(s, en, p);
	if (en->finishing && last && reason[0] == '\0') {
		done(s, e);
		return;
	}
	entry_set(s, e, MAILBOX_SYNCED, reason);
	if (en->paused)
		entry_hold(s, e);
	else if (en->finishing && !last)
		requeue(s, e, "a last pass is due");
	else if (s->mode == SCHED_DAEMON)
		entry_park(s, e, s->limits.pass_interval);
}

/* The server asks for patience: coming back at once would make it worse. */
static bool wants_patience(const struct outcome *o)
{
	switch (o->code) {
	case CODE_THROTTLED:
	case CODE_UNAVAILABLE:
	case CODE_INUSE:
	case CODE_SERVERBUG:
	case CODE_TEMPFAIL:
	case CODE_LIMIT:
		return true;
	default:
		return strcasestr(o->text, "throttled") != NULL;
	}
}

/* The attempt failed: where to with the mailbox? */
static void failed(struct sched *s, uint32_t e, const struct outcome *o, const struct mailbox_progress *p)
{
	struct entry *en = &s->entries[e];
	char reason[REASON];
	reason_of(en, o, reason);
	if (o->at == AT_LOGIN || s->mode == SCHED_CHECK) {
		entry_count(s, e, o, false);
	} else if (o->heal == HEAL_NEVER) {
		entry_set(s, e, MAILBOX_FAILED, reason);
		say_ended(s, en, LOG_MAILBOX_FAILED, o);
	} else if (o->heal == HEAL_OPERATOR) {
		en->attempts = 0;
		entry_set(s, e, MAILBOX_HELD, reason);
		say_ended(s, en, LOG_MAILBOX_HELD, o);
	} else if (p->any && o->radius == RADIUS_CONNECTION) {
		en->attempts = 0;
		say_ended(s, en, LOG_MAILBOX_BROKEN, o);
		if (wants_patience(o)) {
			entry_set(s, e, MAILBOX_PARKED, reason);
			entry_park(s, e, s->limits.login_retry_interval);
		} else {
			requeue(s, e, reason);
		}
	} else {
		entry_count(s, e, o, false);
	}
}

void active_end(struct active *a, const struct outcome *o)
{
	struct sched *s = a->s;
	uint32_t e = a->entry;
	struct entry *en = &s->entries[e];
	const struct mailbox_progress *p = mailbox_progress(a->mailbox);
	struct outcome late;

	/* It was logged in on both sides and waited for a slot: no trouble with the login. */
	if (a->step == STEP_READY && o->at == AT_LOGIN) {
		late = *o;
		late.at = AT_WORK;
		o = &late;
	}
	learn(a, o);
	add_counts(&s->migrations[en->migration].counts, p);
	enum step step = a->step;
	active_step(a, STEP_N);
	if (step == STEP_RUNNING)
		say_slot(a, false);
	for (int side = 0; side < SIDES; side++) {
		active_login_over(a, (enum side)side);
		if (a->permit[side])
			active_give(a, (enum side)side);
	}
	if (a->lanes > 0 && o->radius != RADIUS_NONE && o->radius != RADIUS_RUN && !s->stopping && !a->asked)
		en->alone = true;
	lanes_give(a);
	en->active = NULL;

	if (o->radius == RADIUS_NONE)
		synced(s, e, p, a->last);
	else if (o->radius == RADIUS_RUN)
		entry_set(s, e, MAILBOX_QUEUED, "");
	else if (en->paused)
		entry_hold(s, e);
	else if (a->asked && !s->stopping)
		requeue(s, e, en->finishing ? "a last pass is due" : "");
	else if (s->stopping || s->broken)
		entry_set(s, e, MAILBOX_QUEUED, en->reason != NULL && en->attempts > 0 ? en->reason : "stopped");
	else
		failed(s, e, o, p);
	sched_tell(s, &(struct sched_event){ .kind = SCHED_ENDED, .mailbox = e, .object = a->mailbox, .outcome = o,
		.words = sched_reason(s, e) });
	if (o->radius == RADIUS_RUN)
		sched_break(s, o->text);
	mailbox_free(&a->mailbox);
	free(a->name);
	free(a);
}
