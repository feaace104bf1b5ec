/*
 * outcome: what went wrong, said as what it destroys and what heals it. One table (outcome.def) turns a server's reply into that;
 * the retry decision is then made from these two words alone.
 */
#ifndef GODWIT_OUTCOME_H
#define GODWIT_OUTCOME_H

#include "conn.h"
#include "session.h"
#include "side.h"

enum radius {
	RADIUS_NONE,       /* nothing is wrong */
	RADIUS_MESSAGE,    /* this message is left out */
	RADIUS_FOLDER,     /* this folder is left out */
	RADIUS_CONNECTION, /* the connection is gone; the mailbox can go on with a new one */
	RADIUS_MAILBOX,    /* nothing more can be done for this mailbox now */
	RADIUS_SERVER,     /* the same will happen to every mailbox of this server */
	RADIUS_RUN         /* nothing can go on: the ledger cannot be written */
};

enum heal {
	HEAL_TIME,     /* try again later */
	HEAL_OPERATOR, /* a person must do something */
	HEAL_NEVER
};

enum outcome_at {
	AT_LOGIN, /* connecting and logging in: parked and counted as a login attempt */
	AT_WORK   /* after that */
};

struct outcome {
	enum radius radius;
	enum heal heal;
	enum outcome_at at;
	enum side side;
	enum conn_fault fault; /* for failures of a connection */
	bool greeted;          /* the same: the server was there, and had greeted */
	bool refused;          /* a credential or certificate was refused */
	enum code code;
	char text[512];        /* one line, the server's own words where it had any */
};

/* A command that was answered NO or BAD. */
void outcome_of_reply(struct outcome *ret, enum side side, enum command command, const struct resp_status *status);
/* True, and *ret is set: the server says BYE; nothing more may be asked for (RFC 9051 section 7.1.5). */
bool outcome_of_bye(struct outcome *ret, enum side side, const struct session_event *ev);
/* A connection that failed, while connecting (at AT_LOGIN) or later. */
void outcome_of_failure(struct outcome *ret, enum side side, enum outcome_at at, const struct conn_failure *failure);
/* Our own words. */
void outcome_set(struct outcome *ret, enum radius radius, enum heal heal, enum side side, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif
