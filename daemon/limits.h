/*
 * limits: what one server may be asked to bear: how many connections at once, and whether it is there at all.
 *
 * Permits: never more than `max` are out; each is given back exactly once.
 *
 * Breaker: LIMITS_FAILURES failures to connect in a row, without a success between, and the server is down. For one interval nobody dials
 * it; after that one at a time may probe it. A failed probe begins the next interval, any success ends the whole. A refused login is a
 * success of the server: it is there.
 *
 * The same breaker serves for the login of an administrator, for whom a refused login is the failure: limits_doubt() lets it begin as if it were down,
 * and due for a probe.
 *
 * Logins: how many may be under way at once. Begins with LOGINS_FIRST, grows while logins are about as quick as the quickest of late, shrinks while
 * they are several times slower: more at once would only make each of them wait longer, and at last run out of time. A login that
 * fails says nothing.
 *
 * Pure: no clock, no log. `now` is in ms of any clock that does not go back.
 */
#ifndef GODWIT_LIMITS_H
#define GODWIT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define LIMITS_FAILURES 3
#define LOGINS_FIRST 64u
#define LOGINS_LEAST 8u

struct limits {
	const char *server;  /* its name, borrowed */
	uint32_t max, used;
	uint32_t failures;   /* in a row */
	bool down;
	bool probing;        /* down, and a probe is under way */
	uint64_t down_until; /* when down: before that nobody dials */
	uint32_t logins;     /* under way */
	uint32_t window;     /* how many may be */
	uint64_t quickest;   /* us, of a login, of late; 0: not known */
	char words[512];     /* of the last failure */
};

enum limits_door {
	DOOR_OPEN,
	DOOR_PROBE, /* the server is down, its interval is over: one may dial, after limits_probe() */
	DOOR_BUSY,  /* the server is down and a probe is under way: wait for what it meets */
	DOOR_DOWN   /* the server is down: what is due now counts as failed */
};

/* max is at least 1. */
void limits_init(struct limits *l, const char *server, uint32_t max);

/* n permits, or none and false. */
bool limits_take(struct limits *l, uint32_t n);
void limits_give(struct limits *l);

bool limits_may_log_in(const struct limits *l, uint32_t n);
/* A login begins, also one beyond the window; it is over, or counts no longer. */
void limits_login(struct limits *l);
void limits_login_over(struct limits *l);
/* One has succeeded. */
void limits_login_took(struct limits *l, uint64_t ms);

enum limits_door limits_door(const struct limits *l, uint64_t now);
/* Nothing is known yet: the first dial is a probe. */
void limits_doubt(struct limits *l);
/* Somebody knows better than the interval: when down, one may probe it now. */
void limits_hurry(struct limits *l);
/* DOOR_PROBE: the caller's dial is the probe, until limits_failed(probe), limits_succeeded(), or limits_probe_void() when it ended without an answer. */
void limits_probe(struct limits *l);
void limits_probe_void(struct limits *l);
/* The server could not be connected to. True when it has just become down. */
bool limits_failed(struct limits *l, bool probe, uint64_t now, uint64_t interval, const char *words);
/* It answered. True when it was down until now. */
bool limits_succeeded(struct limits *l);

#endif
