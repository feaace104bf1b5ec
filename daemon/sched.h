/*
 * sched: which mailbox when. Slots, connections per server, the retry timers, servers that are down.
 *
 *   queued --permits on both servers--> dialling --both logged in--> ready --slot--> running --> synced / failed / held
 *                                          | login failed                               | connection lost
 *                                          v                                            v
 *                                        parked (a timer; no slot, no connection) <-----+
 *
 * A slot is taken only when both sides are logged in: a mailbox that cannot log in never holds one. While a login is going on the mailbox
 * holds a connection permit on each server. How many may be dialling is bounded by the free slots and a little more (the next ones log in while the present ones
 * copy), not counting those whose login takes longer than `login_grace` (or than a few times the usual login): they are somebody's trouble, not everybody's. When their other side is
 * already logged in and that server's permits are used up, that connection is given back and dialled again later. After a failed login that side is
 * dialled first, and the other one when it is up.
 *
 * A server that cannot be connected to (not: that refuses a login) several times in a row is down: one mailbox at a time
 * probes it at each interval, and what it meets counts as an attempt for all that were due.
 *
 * The operator (sched_order): a paused mailbox is held until he resumes it, through restarts; no pass is made for it, of `once` neither. A finishing one is done
 * with the first pass that was begun after he asked and left nothing out; passes that fail, or leave something out, are made again as usual.
 *
 * Who is tried anew: `once` and `copy` begin again with failed and held mailboxes, from the first attempt. A start of the daemon gives each of them
 * one attempt. Done ones are left alone. A parked one goes on where it was, at its time.
 *
 * Waiting mailboxes cost an entry of about 120 bytes and the words of their reason. There is one timer, sched_clock.arm.
 */
#ifndef GODWIT_SCHED_H
#define GODWIT_SCHED_H

#include "limits.h"
#include "mailbox.h"

enum sched_mode {
	SCHED_ONCE,   /* one pass over everything */
	SCHED_DAEMON, /* passes every pass_interval */
	SCHED_CHECK,  /* JOB_CHECK, one attempt each, no ledger */
	SCHED_VERIFY  /* JOB_VERIFY or JOB_PLAN (env->look), as SCHED_ONCE, no ledger */
};

struct sched_limits {
	uint32_t max_mailboxes;
	uint32_t max_login_retries;      /* attempts in all; 0 counts as 1 */
	uint64_t login_retry_interval;   /* ms */
	uint64_t login_grace;            /* ms */
	uint64_t pass_interval;          /* ms; daemon only */
	uint64_t shutdown_timeout;       /* ms */
};

#define SCHED_NEVER UINT64_MAX

struct sched_clock {
	uint64_t (*now)(void *arg);          /* monotonic, ms */
	int64_t (*wall)(void *arg);          /* ms since 1970 */
	void (*arm)(void *arg, uint64_t ms); /* sched_tick() is due in that many ms, or SCHED_NEVER; replaces an earlier setting */
	void *arg;
};

enum sched_event_kind {
	SCHED_ENDED,  /* an attempt or a pass of `mailbox` is over; its new state is set */
	SCHED_IDLE,   /* nothing is queued, dialling or running; sched_waiting() wait on the timer. Told each time it becomes so. */
	SCHED_BROKEN, /* nothing can go on, words says why; what runs is being stopped, SCHED_STOPPED follows */
	SCHED_SAVED,  /* sched_saved() has grown */
	SCHED_STOPPED /* nothing is running any more, nothing will start */
};

struct sched_event {
	enum sched_event_kind kind;
	uint32_t mailbox;              /* SCHED_ENDED */
	const struct mailbox *object;  /* the same, before it is freed; NULL when it ended without being dialled */
	const struct outcome *outcome; /* the same; NULL as above */
	const struct outcome *refusal; /* why it was not dialled; NULL when it was */
	const char *words;             /* SCHED_BROKEN; SCHED_ENDED: the reason, "" for none */
};

/* Called from sched_tick(), from mailboxes' events and from the ledger's answers only. May call anything here but sched_free(). */
typedef void sched_funnel(void *owner, const struct sched_event *ev);

/* Of one migration. */
struct sched_counts {
	uint32_t mailboxes;
	uint32_t state[MAILBOX_STATE_N];
	uint32_t paused; /* held by the operator, or about to be */
	uint64_t copied, adopted, left_out, folders_left_out, not_selected, bytes; /* by this process */
};

struct sched;
/* All pointers are borrowed for the life of the sched. Aborts when memory is out (as do the calls that add). */
struct sched *sched_new(enum sched_mode mode, const struct sched_limits *limits, const struct sched_clock *clock,
	const struct mailbox_env *env, sched_funnel *funnel, void *owner);
/* Drops what is running, at once. */
void sched_free(struct sched **s);

/* Before sched_start(). They return the index of what was added, counted from 0. */
uint32_t sched_add_server(struct sched *s, const struct endpoint *ep, uint32_t max_connections);
/* How many connections one mailbox may have there; 1 unless said. A mailbox uses as many on both sides. They are a gift: given when no mailbox
 * waits to be started, never the last ones of a server, and asked back when mailboxes wait that cannot be started without them. */
void sched_set_per_mailbox(struct sched *s, uint32_t server, uint32_t connections);
uint32_t sched_add_migration(struct sched *s, const char *name, uint32_t source_server, uint32_t target_server);
/* Before its first mailbox starts; nothing of it unless said. */
void sched_set_rules(struct sched *s, uint32_t migration, const struct mailbox_rules *rules);
uint32_t sched_add_mailbox(struct sched *s, uint32_t migration, const struct credentials login[SIDES]);
/* What the ledger knows of a mailbox. */
void sched_restore(struct sched *s, uint32_t mailbox, const struct ledger_mailbox *row);

/* The first sched_tick() comes from the timer, never from within. */
void sched_start(struct sched *s);
void sched_tick(struct sched *s);
/* Nothing new starts; what runs is stopped, after shutdown_timeout (or with `now`) at once. */
void sched_stop(struct sched *s, bool now);

/* What the operator may ask for. */
#define SCHED_ORDERS(X)                                                                                                \
	X(RETRY, "retry")   /* a parked, held or failed one: try it now, attempts start anew */                         \
	X(PAUSE, "pause")   /* hold it; what runs is stopped as by sched_stop() */                                     \
	X(RESUME, "resume") /* a held or done one: back to the queue */                                                \
	X(FINISH, "finish") /* a last pass, then done */
enum sched_order {
#define X(name, text) SCHED_##name,
	SCHED_ORDERS(X)
#undef X
	SCHED_ORDER_N
};
const char *sched_order_name(enum sched_order o);
#define SCHED_EFFECTS(X)                                                                                               \
	X(CHANGED, "changed")                                                                                          \
	X(ALREADY, "already") /* it was so before */                                                                   \
	X(UNFIT, "unfit")     /* a mailbox in this state cannot be meant; it was left as it is */
enum sched_effect {
#define X(name, text) SCHED_##name,
	SCHED_EFFECTS(X)
#undef X
	SCHED_EFFECT_N
};
const char *sched_effect_name(enum sched_effect e);
/* Between sched_start() and sched_stop(). `words`: what becomes of it, NULL when it is unfit. sched_tick() is due when all orders have been given; what they changed is durable
 * when sched_saved() has come to what sched_marked() was then. */
enum sched_effect sched_order(struct sched *s, uint32_t mailbox, enum sched_order o, const char **words);
bool sched_is_started(const struct sched *s);
bool sched_takes_orders(const struct sched *s);
uint64_t sched_marked(const struct sched *s);
uint64_t sched_saved(const struct sched *s);

uint32_t sched_mailboxes(const struct sched *s);
uint32_t sched_migrations(const struct sched *s);
/* On the timer. */
uint32_t sched_waiting(const struct sched *s);
const char *sched_migration_name(const struct sched *s, uint32_t migration);
const struct sched_counts *sched_counts(const struct sched *s, uint32_t migration);
const struct limits *sched_server(const struct sched *s, uint32_t server);
uint32_t sched_migration_of(const struct sched *s, uint32_t mailbox);
enum mailbox_state sched_state(const struct sched *s, uint32_t mailbox);
/* "" when there is nothing to say. */
const char *sched_reason(const struct sched *s, uint32_t mailbox);
/* As the ledger has it, or is about to. `name` NULL, `reason` valid until the next event; no counts. */
struct ledger_mailbox sched_row(const struct sched *s, uint32_t mailbox);
/* MIGRATION/TARGET_USER, to be freed. */
char *sched_name(const struct sched *s, uint32_t mailbox);
/* NULL while it is not running. */
const struct mailbox_progress *sched_progress(const struct sched *s, uint32_t mailbox);

#endif
