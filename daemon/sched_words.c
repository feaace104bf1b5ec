#include "sched_p.h"

#include <stdio.h>

/* "60 s" */
static const char *interval(char *buf, size_t size, uint64_t ms)
{
	if (ms % 1000 == 0)
		snprintf(buf, size, "%llu s", (unsigned long long)(ms / 1000));
	else
		snprintf(buf, size, "%llu ms", (unsigned long long)ms);
	return buf;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

struct log_context entry_context(const struct sched *s, const struct entry *en)
{
	return (struct log_context){
		.migration = s->migrations[en->migration].name,
		.mailbox = en->login[TARGET].user,
	};
}

void say_dial(const struct active *a, enum side side)
{
	struct log_context ctx = entry_context(a->s, &a->s->entries[a->entry]);
	const struct limits *l = &active_server(a, side)->limits;
	ctx.side = (int)side + 1;
	log_event(LOG_DIAL, &ctx, "dialling server %s (connection %u of %u)", l->server, (unsigned)l->used, (unsigned)l->max);
}

void say_slot(const struct active *a, bool taken)
{
	struct log_context ctx = entry_context(a->s, &a->s->entries[a->entry]);
	log_event(LOG_SLOT, &ctx, "slot %s (%u of %u)", taken ? "taken" : "returned",
		(unsigned)a->s->step_n[STEP_RUNNING], (unsigned)a->s->limits.max_mailboxes);
}

void say_lanes(const struct active *a, const struct outcome *refused)
{
	struct log_context ctx = entry_context(a->s, &a->s->entries[a->entry]);
	if (refused == NULL) {
		log_event(LOG_LANES, &ctx, "connection %u of up to %u to each server", a->lanes + 1, a->spec.lanes);
		return;
	}
	ctx.side = (int)refused->side + 1;
	log_event(LOG_LANES_REFUSED, &ctx, "no further connection: %s; it goes on with %u", refused->text, a->lanes + 1);
}

/* Never 0. */
static uint32_t hash(const struct outcome *o)
{
	uint32_t h = 0x811c9dc5 ^ (uint32_t)o->side;
	for (const char *p = o->text; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x01000193;
	return h | 1;
}

void say_retry(const struct sched *s, struct entry *en, const struct outcome *o)
{
	uint32_t h = hash(o);
	if (en->said == h && en->attempts % 10 != 0)
		return;
	en->said = h;
	struct log_context ctx = entry_context(s, en);
	uint32_t left = sched_attempts(s) - en->attempts;
	char every[32];
	interval(every, sizeof(every), s->limits.login_retry_interval);
	ctx.side = (int)o->side + 1;
	if (o->at == AT_WORK)
		log_event(LOG_MAILBOX_BROKEN, &ctx,
			"the connection was lost before %s, after %u attempt%s: %s; will try every %s for another %u attempt%s "
			"before reporting failure",
			s->mode == SCHED_VERIFY ? "all was compared" : "anything was copied", (unsigned)en->attempts, plural(en->attempts), o->text, every, (unsigned)left, plural(left));
	else
		log_event(LOG_LOGIN_RETRY, &ctx,
			"cannot log in as \"%s\" after %u attempt%s: %s; will try every %s for another %u attempt%s before reporting failure",
			en->login[o->side].user, (unsigned)en->attempts, plural(en->attempts), o->text, every, (unsigned)left,
			plural(left));
}

void say_failed(const struct sched *s, const struct entry *en, const struct outcome *o)
{
	struct log_context ctx = entry_context(s, en);
	if (o->at == AT_WORK)
		log_event(LOG_MAILBOX_FAILED, &ctx, "failed to work with the %s mailbox with the address \"%s\" after %u attempt%s: %s",
			side_name(o->side), en->login[o->side].user, (unsigned)en->attempts, plural(en->attempts), o->text);
	else
		log_event(LOG_LOGIN_FAILED, &ctx, "failed to log in to the %s mailbox with the address \"%s\" after %u attempt%s: %s",
			side_name(o->side), en->login[o->side].user, (unsigned)en->attempts, plural(en->attempts), o->text);
}

void say_again(const struct sched *s, const struct entry *en)
{
	struct log_context ctx = entry_context(s, en);
	log_event(LOG_LOGIN_OK_AGAIN, &ctx, "logged in on both sides again after %u failed attempt%s", (unsigned)en->attempts,
		plural(en->attempts));
}

void say_synced(const struct sched *s, const struct entry *en, const struct mailbox_progress *p)
{
	struct log_context ctx = entry_context(s, en);
	char flags[64] = "", deleted[64] = "", not_selected[64] = "";
	if (p->flags_changed > 0)
		snprintf(flags, sizeof(flags), ", %llu flag%s changed", (unsigned long long)p->flags_changed, plural(p->flags_changed));
	if (p->deleted > 0)
		snprintf(deleted, sizeof(deleted), ", %llu deleted", (unsigned long long)p->deleted);
	if (p->not_selected > 0)
		snprintf(not_selected, sizeof(not_selected), ", %llu not selected", (unsigned long long)p->not_selected);
	log_event(LOG_MAILBOX_SYNCED, &ctx, "synced: %llu copied, %llu adopted, %llu left out%s%s%s", (unsigned long long)p->copied,
		(unsigned long long)p->adopted, (unsigned long long)p->left_out, not_selected, flags, deleted);
}

void say_paused(const struct sched *s, const struct entry *en)
{
	struct log_context ctx = entry_context(s, en);
	log_event(LOG_MAILBOX_PAUSED, &ctx, "%s", en->reason != NULL ? en->reason : "held");
}

void say_done(const struct sched *s, const struct entry *en)
{
	struct log_context ctx = entry_context(s, en);
	log_event(LOG_MAILBOX_DONE, &ctx, "done: no more passes will come");
}

void say_ended(const struct sched *s, const struct entry *en, enum log_kind kind, const struct outcome *o)
{
	struct log_context ctx = entry_context(s, en);
	ctx.side = (int)o->side + 1;
	if (kind == LOG_MAILBOX_HELD)
		log_event(kind, &ctx, "held, waits for a person: %s", o->text);
	else if (kind == LOG_MAILBOX_BROKEN)
		log_event(kind, &ctx, "the connection was lost: %s; goes on with a new one", o->text);
	else
		log_event(kind, &ctx, "failed: %s", o->text);
}

void say_admin_refused(const struct sched *s, const struct limits *l)
{
	struct log_context ctx = { .server = l->server };
	char every[32];
	log_event(LOG_ADMIN_REFUSED, &ctx,
		"its administrator cannot log in: %s; one mailbox tries it every %s, that counts as an attempt of all that wait for it",
		l->words, interval(every, sizeof(every), s->limits.login_retry_interval));
}

void say_admin_accepted(const struct limits *l)
{
	struct log_context ctx = { .server = l->server };
	log_event(LOG_ADMIN_ACCEPTED, &ctx, "its administrator can log in again");
}

void say_server_down(const struct sched *s, const struct limits *l)
{
	struct log_context ctx = { .server = l->server };
	char every[32];
	log_event(LOG_SERVER_DOWN, &ctx,
		"down, after %u failures in a row: %s; one mailbox tries it every %s, that counts as an attempt of all that wait for it",
		(unsigned)LIMITS_FAILURES, l->words, interval(every, sizeof(every), s->limits.login_retry_interval));
}

void say_server_up(const struct limits *l)
{
	struct log_context ctx = { .server = l->server };
	log_event(LOG_SERVER_UP, &ctx, "up again");
}
