/*
 * sched_p: what the files of sched share. sched.c has the interface and the turn; sched_start.c decides who starts; sched_end.c what becomes of a mailbox
 * whose attempt is over; sched_order.c what the operator asks for; sched_entry.c queues, heap, and rows for the ledger; sched_lanes.c further connections of one that runs; sched_words.c what is said.
 *
 * An entry is what waits: compact, one per mailbox. An active is what holds permits: from dialling to the end, in the list of its step.
 */
#ifndef GODWIT_SCHED_P_H
#define GODWIT_SCHED_P_H

#include "log.h"
#include "sched.h"

#include <sys/queue.h>

#define NO_ENTRY UINT32_MAX

/* An active, from dialling to running. */
enum step {
	STEP_FRESH,   /* dialling, younger than login_grace: counted by the start rule */
	STEP_SLOW,    /* dialling, older */
	STEP_REDIAL,  /* one side is up, the other was hung up, or not dialled yet, and waits for a permit */
	STEP_READY,   /* both are up, waits for a slot */
	STEP_RUNNING, /* has a slot */
	STEP_N
};

struct active {
	TAILQ_ENTRY(active) link;
	struct sched *s;
	uint32_t entry;
	enum step step;
	uint64_t since;       /* monotonic ms, of the step */
	uint64_t stop_until;  /* monotonic ms; paused: then at once; SCHED_NEVER: it is not, or that was done */
	bool asked;           /* to stop, by the operator */
	bool last;            /* finishing was asked for before its pass began */
	struct mailbox *mailbox;
	struct mailbox_spec spec;
	char *name;
	bool permit[SIDES];   /* held */
	unsigned lanes;       /* further pairs of permits held */
	unsigned lane_logins; /* of them: counted among the servers' logins under way */
	unsigned leaving;     /* of them: asked back */
	bool probe[SIDES];    /* this dial is the server's probe */
	bool vouches[SIDES];  /* the same, for the login of its administrator */
	bool login[SIDES];    /* counted among the server's logins under way */
	uint64_t took;        /* ms; the longer of its logins */
	uint64_t dialled[SIDES]; /* monotonic ms */
};
TAILQ_HEAD(active_list, active);

struct entry {
	struct credentials login[SIDES];
	char *reason;         /* NULL: none */
	struct active *active;
	int64_t ledger_id;
	int64_t since;        /* wall ms, of the state */
	int64_t next_attempt; /* wall ms; 0: none */
	int64_t last_synced;
	uint64_t due;         /* monotonic ms, while in the heap */
	uint32_t next, prev;  /* in the queue of its migration */
	uint32_t heap_at;     /* NO_ENTRY: not in the heap */
	uint32_t attempts;
	uint32_t said;        /* hash of the trouble that was told last; 0: none: its end is told, too, and the same is not told again */
	uint16_t migration;
	uint8_t state;        /* enum mailbox_state */
	uint8_t doubt;        /* 1 + the side whose login failed last: it is dialled first, alone; 0: none */
	bool dirty : 1;       /* in the list of rows to save */
	bool alone : 1;       /* a pass with several pairs of connections broke: the next ones have one */
	bool broke : 1;       /* the last attempt ended at work, not at the login */
	bool barred : 1;      /* an administrator was refused for it: he is to be tried with others first */
	bool paused : 1;      /* by the operator; it is held, or its mailbox is being stopped */
	bool finishing : 1;   /* by the operator; not when it is done */
};

struct migration {
	const char *name;
	uint32_t server[SIDES];
	uint32_t first, last; /* the queue */
	struct mailbox_rules rules;
	uint64_t login_usual; /* ms until both sides are up, of late; 0: not known */
	uint64_t grace_seen;  /* ms; the longest that one of the logins under way was given */
	struct sched_counts counts;
};

struct server {
	const struct endpoint *endpoint;
	struct limits limits;
	/* Where an administrator logs in for the users: a wrong password of his must not be tried for each of them. */
	struct limits admin;
	bool admin_tried;     /* since he was refused, one more was tried at once */
	bool admin_last;      /* the next probe is the last of the queue, not the first: in a list the bad ones may stand together */
	bool admin_told;      /* that it is refused */
	uint32_t per_mailbox; /* connections of one mailbox */
	bool wanted;          /* in this turn somebody had no permit there */
};

struct sched {
	enum sched_mode mode;
	struct sched_limits limits;
	struct sched_clock clock;
	const struct mailbox_env *env;
	sched_funnel *funnel;
	void *owner;

	struct entry *entries;
	uint32_t entry_n, entry_size;
	struct migration *migrations;
	uint32_t migration_n;
	struct server *servers;
	uint32_t server_n;

	uint32_t *heap;       /* entries by due */
	uint32_t heap_n;
	uint32_t *dirty;      /* entries whose rows are to be saved: a ring */
	uint32_t dirty_first, dirty_n;
	uint32_t saving;      /* calls that save rows; the other rows wait, each only once, until they are answered */
	uint64_t marked, handed, saved; /* rows that were to be saved so far, were handed to the ledger, are durable */
	uint32_t queued_n;
	uint32_t turn;        /* the migration to be asked first */

	struct active_list steps[STEP_N];
	uint32_t step_n[STEP_N];
	uint64_t late_at;     /* before that no login is older than its grace */
	uint32_t turn_entries, turn_starts; /* worked off in this turn */

	bool several;         /* a mailbox may have several connections somewhere */
	bool started, idle, stopping, stopped_now, broken, over;
	uint64_t stop_until;  /* stopping: then at once */
	uint64_t asked_until; /* the first of those that were asked to stop has had its time; SCHED_NEVER: there is none */
};

/* sched_entry.c */
void entry_queue(struct sched *s, uint32_t e);
uint32_t entry_unqueue(struct sched *s, uint32_t migration);
/* Takes it out of the queue, or the heap, if it is in one. */
void entry_unwait(struct sched *s, uint32_t e);
void entry_heap_push(struct sched *s, uint32_t e, uint64_t due);
/* The entry that is due at `now` or before, taken out; NO_ENTRY: none. */
uint32_t entry_heap_pop(struct sched *s, uint64_t now);
/* Sets state and reason ("" none) and marks the row to be saved. */
void entry_set(struct sched *s, uint32_t e, enum mailbox_state state, const char *reason);
void entry_reason(struct entry *en, const char *reason);
/* Saves the marked rows in the ledger. */
void entry_flush(struct sched *s);

/* sched_order.c */
/* It is paused and nothing of it runs: held. */
void entry_hold(struct sched *s, uint32_t e);
void entry_pause(struct sched *s, uint32_t e, bool paused);
/* Paused mailboxes that have had their time to stop. */
void stop_asked(struct sched *s, uint64_t now);

/* sched_start.c */
/* Wakes who is due, starts who may; not more than one turn of the loop can bear. */
void start_turn(struct sched *s, uint64_t now);
/* It stopped for that reason: another turn is due very soon. */
bool start_has_more(const struct sched *s);
/* Both servers' windows have room for one login more each. */
bool start_may_log_in(const struct server *source, const struct server *target);
/* Those whose login takes long do not count as starting any more. */
void start_age(struct sched *s, uint64_t now);
/* It is logged in on both sides. */
void start_took(struct active *a);
void active_login_over(struct active *a, enum side side);

/* sched.c */
void active_on_mailbox(void *owner, const struct mailbox_event *ev);
void run_ready(struct sched *s);
void active_step(struct active *a, enum step step);
void active_give(struct active *a, enum side side);
struct server *active_server(const struct active *a, enum side side);
void sched_tell(struct sched *s, const struct sched_event *ev);
void sched_break(struct sched *s, const char *words);

/* sched_lanes.c */
/* Pairs of connections that the mailbox may use. */
unsigned lanes_allowed(const struct sched *s, uint32_t e);
/* Gives what is free, and nobody waits for, to passes that can use more connections. */
void lanes_grow(struct sched *s);
/* Asks for some of it back when mailboxes wait for a server's permits. */
void lanes_shrink(struct sched *s);
void lanes_dialled(struct active *a);
void lanes_gone(struct active *a, const struct outcome *why);
void lanes_give(struct active *a);

/* sched_end.c: the mailbox's funnel for MAILBOX_ENDED; frees the active. */
void active_end(struct active *a, const struct outcome *outcome);
/* The server's probe, if this one has it, has had its answer. */
void probe_over(struct active *a, const struct server *server);
/* The server is down, or its administrator is refused: counts an attempt without dialling. */
void entry_refuse(struct sched *s, uint32_t e, enum side side);
/* The administrator of that side's server was let in. */
void admin_accepted(struct active *a, enum side side);
void entry_park(struct sched *s, uint32_t e, uint64_t ms);
uint32_t sched_attempts(const struct sched *s);

/* sched_words.c */
struct log_context entry_context(const struct sched *s, const struct entry *en);
void say_dial(const struct active *a, enum side side);
void say_slot(const struct active *a, bool taken);
void say_lanes(const struct active *a, const struct outcome *refused);
/* An attempt that failed and will be made again: said when the words are new, and every tenth time. */
void say_retry(const struct sched *s, struct entry *en, const struct outcome *o);
/* The attempts are used up. */
void say_failed(const struct sched *s, const struct entry *en, const struct outcome *o);
void say_again(const struct sched *s, const struct entry *en);
void say_synced(const struct sched *s, const struct entry *en, const struct mailbox_progress *p);
void say_paused(const struct sched *s, const struct entry *en);
void say_done(const struct sched *s, const struct entry *en);
void say_ended(const struct sched *s, const struct entry *en, enum log_kind kind, const struct outcome *o);
void say_server_down(const struct sched *s, const struct limits *l);
void say_server_up(const struct limits *l);
void say_admin_refused(const struct sched *s, const struct limits *l);
void say_admin_accepted(const struct limits *l);

#endif
