/* peer_p: what peer.c (the stream of events) and peer_compress.c share. */
#ifndef GODWIT_PEER_P_H
#define GODWIT_PEER_P_H

#include "peer.h"

/* Plain bytes given to the session before others have their turn: a few compressed ones can be many. */
#define PEER_TURN_BYTES (1u << 20)

enum peer_state {
	PEER_DIALING, /* the conn is on its way */
	PEER_PROVING, /* CAPABILITY is under way, and nothing is known before its answer */
	PEER_READY,   /* PEER_UP was told */
	PEER_AWAY,    /* between two users: `again` is there */
	PEER_OVER     /* PEER_DOWN was told, or peer_close() called */
};

enum compression {
	COMPRESSION_NONE,
	COMPRESSION_WANTED,  /* to be asked for when the peer has no command of its own in flight */
	COMPRESSION_ASKED,
	COMPRESSION_ON,      /* `squeeze` is there */
	COMPRESSION_REFUSED  /* not to be asked for again */
};

struct peer {
	struct dialer *dialer;
	struct conn *conn;       /* NULL in PEER_AWAY: to be dialled at the next turn */
	struct squeeze *squeeze; /* NULL: the conn's bytes are the session's */
	struct gauge_member gauge;
	struct session *session;
	struct timer *timer;
	struct loop *loop;
	const struct endpoint *ep;
	struct again *again;
	uint64_t again_since; /* loop_now() of the beginning of what must not take longer than a login */
	bool *spoilt;         /* of peer_occupy() */
	struct peer_limits limits;
	peer_funnel *funnel;
	void *owner;
	enum side side;
	enum peer_state state;
	enum compression compression;
	uint32_t own;       /* tag of the peer's own command in flight; 0: none */
	bool proved;        /* CAPABILITY was answered by capabilities */
	bool paused;
	bool drained;       /* to be told after the pause */
	bool busy;          /* in the funnel, or in conn's: the memory must stay */
	bool closed;        /* free it behind that */
	uint32_t logged;    /* the last tag that was written to the log */
	uint64_t last;      /* loop_now() of the last progress, as far as it was noticed */
	uint64_t moved;     /* bytes in either direction since then */
	uint64_t out_seen;  /* conn_bytes_out() when it was noticed */
	uint64_t asked, rtt; /* ms: when the capabilities were asked for; until the answer */
	uint64_t bytes_in, bytes_out; /* of the conn, once it is gone */
	struct conn_failure parting;  /* the server's BYE; text "" while there is none */
};

void peer_tell(struct peer *p, const struct peer_event *ev);
void peer_fail(struct peer *p, enum conn_fault fault, const char *what);
/* One command of the peer's own; false when it could not be given. */
bool peer_say(struct peer *p, enum command c);

/* A connection is about to begin. */
void peer_compress_init(struct peer *p);
/* What the server offers is known, and no command of the peer's own is in flight. */
void peer_compress_consider(struct peer *p);
/* COMPRESS was answered. */
void peer_compress_done(struct peer *p, const struct resp_status *s);
/* The connection is lost, or given up. */
void peer_compress_down(struct peer *p);
/* The session has used up what there was: inflates more of what came. False: not now, or not any more. */
bool peer_compress_refill(struct peer *p, struct span *data, size_t *budget);

#endif
