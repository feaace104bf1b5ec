/* conn_p: what conn.c (bytes) and conn_dial.c (getting there) share. */
#ifndef GODWIT_CONN_P_H
#define GODWIT_CONN_P_H

#include "buf.h"
#include "conn.h"

#include <curl/curl.h>
#include <sys/queue.h>
#include <uv.h>

/* Bytes read at a time. */
#define CONN_IN_CHUNK 65536
/* Bytes handed to TLS at a time: one record. */
#define CONN_OUT_CHUNK 16384
/* Bytes read from one connection before the others have their turn. */
#define CONN_TURN_BYTES (256u * 1024)
#define CONN_HIGH_WATER (64u * 1024)
#define CONN_LOW_WATER (16u * 1024)
#define CONN_OUT_CAP (8u * 1024 * 1024)

TAILQ_HEAD(conn_queue, conn);

struct dialer {
	struct loop *loop;
	CURLM *multi;             /* NULL: the dialer is being freed */
	uv_timer_t timer;         /* curl's */
	uv_idle_t idle;           /* runs while the queue is not empty */
	int handles;              /* of the two that are not closed yet */
	size_t conns;
	struct conn_queue queue;  /* connections that go on at the next turn without waiting for their sockets */
	uint64_t turn;
	char in[CONN_IN_CHUNK];   /* what was read just now, lent to the owner */
	char out[CONN_OUT_CHUNK]; /* what is being written by TLS, see conn_send() */
};

enum conn_state {
	CONN_DIALING, /* `dialing` is there; curl has the socket */
	CONN_OPEN,    /* `poll` is there */
	CONN_BROKEN,  /* `broken` is to be told at the next turn */
	CONN_OVER     /* CONN_DOWN was told, or conn_close() called */
};

struct dialing;

struct conn {
	struct dialer *d;
	const struct endpoint *ep;
	conn_funnel *funnel;
	void *owner;
	enum conn_state state;
	CURL *easy;
	struct dialing *dialing;
	uv_poll_t *poll;
	int polled;            /* UV_READABLE, UV_WRITABLE: what poll waits for */
	bool tls;
	bool paused;
	bool held;             /* the owner may hold what it has not worked off: it hears CONN_DATA after conn_resume(), be it empty */
	bool full;             /* until CONN_DRAINED */
	bool busy;             /* in the funnel: the memory must stay */
	bool closed;           /* free it behind the funnel */
	bool queued;
	uint64_t queued_turn;
	TAILQ_ENTRY(conn) entry;
	struct buf in;         /* read, but not taken */
	struct buf out;        /* written, but not sent */
	size_t refused;        /* bytes TLS was offered and will want to see again; 0: none */
	CURLcode write_error;  /* CURLE_OK: none; told when what came before is read */
	long write_errno;
	enum conn_fault broken;
	uint64_t bytes_in, bytes_out;
};

/* Goes on with the connection at the next turn of the loop. */
void conn_queue(struct conn *c);
/* False when the owner closed the connection from within; then it must not be touched any more. */
bool conn_tell(struct conn *c, const struct conn_event *ev);
/* Lets go of everything but the memory of the conn itself, then tells. The same return value. */
bool conn_tell_down(struct conn *c, const struct conn_failure *failure);
/* Logged in: takes the socket over from curl and tells. */
void conn_open(struct conn *c, const struct resp_caps *caps);
/* One turn of a connection that was queued. */
void conn_turn(struct conn *c);
void conn_drop(struct conn *c);
void dialing_free(struct dialing **g);
/* "HOST:PORT", for the texts of failures. */
const char *conn_where(const struct conn *c, char *text, size_t size);

#endif
