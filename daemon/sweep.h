/*
 * sweep: looks on the target for echoes (echoes.h) in folders whose copying was broken: at the end of the pass behind the break, and of the one behind that.
 * Each is told; where the operator wants it (repair_echoes) they are expunged: UID STORE \Deleted, UID EXPUNGE (RFC 4315 section 2.1), or not at all. The
 * ledger knows which folders are to be swept, and from which UIDs on (struct ledger_echoes).
 *
 *   load what is recorded (ledger) -> which UIDs are there -> what the unrecorded ones are -> what was sent and looks like them -> the bytes of these
 *   -> their flags -> SELECT -> their flags once more -> expunge -> save
 *
 * One folder after the other, on the pass's first lane. What a target without UIDPLUS has stored is asked for on the source, too; there echoes are only told.
 */
#ifndef GODWIT_SWEEP_H
#define GODWIT_SWEEP_H

#include "arena.h"
#include "echoes.h"
#include "known.h"
#include "session.h"
#include "side.h"

/* Looks that are owed after a break. The last one is that for what is left on the target, and is owed as long as there is some. */
#define SWEEP_LOOKS 3

struct pass;

enum sweep_step {
	SWEEP_IDLE,
	SWEEP_LOADS,
	SWEEP_LISTS,    /* EXAMINE, UID SEARCH */
	SWEEP_STRANGERS, /* UID FETCH, as the next five */
	SWEEP_SENT,
	SWEEP_MISSING,  /* on the source */
	SWEEP_BODIES,
	SWEEP_TELLS,
	SWEEP_SELECTS,
	SWEEP_CHECKS, /* UID FETCH */
	SWEEP_EXPUNGES,
	SWEEP_SAVES
};

/* A message that is to be told of. Texts in the arena. */
struct sweep_detail {
	uint32_t uid;
	const char *flags, *message_id, *date; /* flags NULL: it is not there any more */
	uint64_t size;
};

struct sweep {
	size_t at;              /* the folder in hand */
	enum sweep_step step;
	bool over;
	bool same[SIDES];       /* it is the folder that the ledger knows, by UIDVALIDITY */
	const char *objection;  /* why nothing may be expunged; NULL: it may */
	char refusal[600];
	bool failed;            /* it is not swept this time */
	unsigned pending;       /* commands without their answer */
	struct uidset recorded, there; /* target UIDs */
	struct known sent;      /* what was recorded behind the break */
	struct uidset wanted;   /* target UIDs that are asked for */
	struct uidset untold;   /* source UIDs that are asked for: their target UIDs were not told, or are not there any more */
	struct echoes echoes;
	struct body_digest *digest[SIDES];
	bool in_body[SIDES];
	struct echo *echo;
	size_t echo_n;
	struct uidset removed;
	struct sweep_detail *detail; /* of echoes, and of all that is recorded and the same */
	size_t detail_n, detail_size;
	struct arena texts;
};

void sweep_done(struct sweep *s);
/* False: there is nothing to be swept. */
bool sweep_begin(struct pass *p);
void sweep_on(struct pass *p, enum side side, const struct session_event *ev);

/* sweep_tell.c */
/* Keeps what is told of an echo or its twin. 0 or PROTO_ERR_*. */
int sweep_keep_detail(struct sweep *s, const struct resp_fetch *m);
/* The echoes that may be expunged, into `removed`: those that have no flag which their twin has not, while all that is recorded and the same is there to
 * stay (no \Deleted). 0 or PROTO_ERR_NOMEM. */
int sweep_choose(struct sweep *s);
/* All that was told of flags is void; and what is told of them again. 0 or PROTO_ERR_*. */
void sweep_forget_flags(struct sweep *s);
int sweep_keep_flags(struct sweep *s, const struct resp_fetch *m);
/* Log and ledger. */
void sweep_tell(struct pass *p);

#endif
