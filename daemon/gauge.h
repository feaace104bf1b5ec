/*
 * gauge: watches the connections to servers with compress = "auto", and has them compressed where the line is what holds them up. It takes
 * the samples from which line.h decides: one timer for all connections, which runs while there are any. What it has found out about a server stays for the
 * connections that come later.
 */
#ifndef GODWIT_GAUGE_H
#define GODWIT_GAUGE_H

#include "conn.h"
#include "session.h"
#include "side.h"

#include <sys/queue.h>

struct gauge;
/* NULL when memory is out. */
struct gauge *gauge_new(struct loop *l);
/* All its members must have left. */
void gauge_free(struct gauge **g);

typedef void gauge_compress_fn(void *arg);

/* One connection, part of whoever owns it; zero when it has not joined. Between gauge_join() and gauge_leave() conn and session stay. */
struct gauge_member {
	LIST_ENTRY(gauge_member) entry;
	struct gauge_way *way; /* NULL: has not joined */
	struct conn *conn;
	struct session *session;
	gauge_compress_fn *compress;
	void *arg;
	uint64_t moved;        /* plain bytes in the direction of the copy since the last sample */
	uint64_t busy, closed; /* of conn_tcp() at that time */
	bool measured;         /* these two are there */
	bool paused, was_paused, compressed;
};

/* A connection that is logged in, not compressed, and could be. True: it should be from the beginning. Else compress(arg) is called, from the loop, when
 * it should. */
bool gauge_join(struct gauge *g, struct gauge_member *m, const struct endpoint *ep, enum side side, struct conn *conn, struct session *session,
	gauge_compress_fn *compress, void *arg);
void gauge_leave(struct gauge_member *m);
/* The following do nothing for one that has not joined. Plain bytes came, or were written: */
void gauge_came(struct gauge_member *m, size_t n);
void gauge_went(struct gauge_member *m, size_t n);
/* Its owner does not want more bytes, or does again. */
void gauge_pause(struct gauge_member *m, bool paused);
/* What compress() asked for was done; was refused by the server, and the member leaves. */
void gauge_compressed(struct gauge_member *m);
void gauge_refused(struct gauge_member *m);

#endif
