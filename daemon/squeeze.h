/*
 * squeeze: what stands between a peer's conn and its session once the connection is compressed (COMPRESS=DEFLATE, RFC 4978): a stream of
 * deflate in each direction, and the piece of plain bytes that the session has not taken yet.
 *
 * Outwards the bytes of one turn of the loop are compressed as one, and flushed at its end; while the socket is full, not before it takes bytes
 * again. So no byte waits longer than it would without compression, and few flushes cost bytes.
 * Inwards one piece of plain bytes is there at a time, however small it was when it came. A paused session leaves it where it is.
 */
#ifndef GODWIT_SQUEEZE_H
#define GODWIT_SQUEEZE_H

#include "conn.h"
#include "side.h"

struct squeeze;
/* Both are borrowed. The source is hardly sent anything, and gets the small deflater. NULL when memory is out. */
struct squeeze *squeeze_new(struct loop *l, struct conn *c, enum side side);
/* Before the conn is closed: nothing is written any more. The plain bytes stay until squeeze_free(). */
void squeeze_stop(struct squeeze *q);
void squeeze_free(struct squeeze **q);

/* What conn_write() returns. */
int squeeze_write(struct squeeze *q, struct span bytes);
/* Hands all that was written to the conn, now. */
void squeeze_flush(struct squeeze *q);
/* To be called at CONN_DRAINED. */
void squeeze_drained(struct squeeze *q);

/* The plain bytes that are not taken yet; whoever takes some takes them off the front. */
struct span *squeeze_plain(struct squeeze *q);
/* When there are none left: makes the next ones of the front of *data; *ret: how many, 0 when nothing comes of it before there is more data. 0;
 * PROTO_ERR_SYNTAX: this is not deflate; PROTO_ERR_NOMEM. */
int squeeze_next(struct squeeze *q, struct span *data, size_t *ret);
/* Bytes held, all told. */
size_t squeeze_memory(const struct squeeze *q);

#endif
