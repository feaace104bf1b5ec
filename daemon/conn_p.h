/* conn_p: what conn.c (events), conn_io.c (bytes), conn_dialer.c (curl on the loop), conn_dial.c (getting there), conn_site.c and conn_failure.c share. */
#ifndef GODWIT_CONN_P_H
#define GODWIT_CONN_P_H

#include "buf.h"
#include "conn.h"
#include "conn_words.h"
#include "resolve.h"

#include <curl/curl.h>
#include <sys/queue.h>
#include <uv.h>

/* Bytes read at a time. */
#define CONN_IN_CHUNK 65536
/* Bytes handed to TLS at a time: one record. */
#define CONN_OUT_CHUNK 16384
/* Encrypted bytes taken from the socket at a time. */
#define CONN_SEALED_CHUNK 65536
/* Bytes read from one connection before the others have their turn. */
#define CONN_TURN_BYTES (256u * 1024)
/* us for all connections together, before those that do not wait for them have theirs */
#define CONN_TURN_US 5000u
#define CONN_HIGH_WATER (64u * 1024)
#define CONN_LOW_WATER (16u * 1024)
#define CONN_OUT_CAP (8u * 1024 * 1024)

/* Room for a host and a port. */
#define CONN_WHERE 300

TAILQ_HEAD(conn_queue, conn);
struct site;

struct dialer {
	struct loop *loop;
	CURLM *multi;             /* NULL: the dialer is being freed */
	struct resolver *resolver;
	SLIST_HEAD(, site) sites; /* as many as there are servers */
	uv_timer_t timer;         /* curl's */
	uv_idle_t idle;           /* runs while the queue is not empty */
	uv_prepare_t prepare;     /* runs while `unsent` is not empty */
	int handles;              /* of the three that are not closed yet */
	size_t conns;
	struct conn_queue queue;  /* connections that go on at the next turn without waiting for their sockets */
	uint64_t turn;
	struct conn_queue unsent; /* connections with small pieces that go before the loop waits */
	struct conn *sealed_of;   /* whose bytes are in sealed_in, see conn_io.c; NULL: nobody's */
	struct span sealed;       /* the part that is still to be decrypted */
	char sealed_in[CONN_SEALED_CHUNK];
	char in[CONN_IN_CHUNK];   /* what was read just now, lent to the owner */
	char out[CONN_OUT_CHUNK]; /* what is being written by libcurl's TLS, see conn_io.c */
};

enum conn_state {
	CONN_DIALING, /* `dialing` is there; curl has the socket */
	CONN_OPEN,    /* `poll` is there */
	CONN_BROKEN,  /* `broken` is to be told at the next turn */
	CONN_OVER     /* CONN_DOWN was told, or conn_close() called */
};

enum conn_way {
	CONN_WAY_CURL,
	CONN_WAY_SOCKET,
	CONN_WAY_TLS
};

/* While libcurl is at work, and before. */
struct dialing {
	struct conn_words words;
	const struct credentials *login;
	struct timer *timer;
	struct waiting *waiting;    /* for the name's addresses, or NULL */
	struct curl_slist *resolve; /* these, for libcurl */
	uint64_t started;           /* loop_now() */
	uint64_t resolved;          /* the same, when libcurl began */
	int no_files;               /* EMFILE or ENFILE where that kept us from opening a socket, or 0 */
	char error[CURL_ERROR_SIZE];
	char url[];
};

struct ssl_st;

struct conn {
	struct dialer *d;
	const struct endpoint *ep;
	conn_funnel *funnel;
	void *owner;
	enum conn_state state;
	CURL *easy;
	enum conn_way way;
	int fd;
	struct ssl_st *ssl;    /* CONN_WAY_TLS: libcurl's, see conn_io.c */
	struct dialing *dialing;
	uv_poll_t *poll;
	int polled;            /* UV_READABLE, UV_WRITABLE: what poll waits for */
	bool tls;
	bool crossed;          /* TLS wants to write before it can read on */
	bool paused;
	bool held;             /* the owner may hold what it has not worked off: it hears CONN_DATA after conn_resume(), be it empty */
	bool secret;           /* until `out` is empty: wipe what it goes through */
	bool full;             /* until CONN_DRAINED */
	bool busy;             /* in the funnel: the memory must stay */
	bool closed;           /* free it behind the funnel */
	bool queued;
	uint64_t queued_turn;
	TAILQ_ENTRY(conn) entry;
	bool unsent;
	TAILQ_ENTRY(conn) unsent_entry;
	struct buf in;         /* read, but not taken */
	struct buf out;        /* written, but not sent */
	struct buf sealed;     /* read, but not decrypted, while sealed_in is another's */
	size_t refused;        /* bytes libcurl's TLS was offered and will want to see again; 0: none */
	int io_errno;          /* of the last failure on the direct way; 0: none */
	const char *io_reason; /* the same, OpenSSL's words; NULL: none */
	CURLcode write_error;  /* CURLE_OK: none; told when what came before is read */
	const char *why;       /* more about it; NULL: nothing is known */
	enum conn_fault broken;
	uint64_t bytes_in, bytes_out;
};

/* Goes on with the connection at the next turn of the loop. */
void conn_queue(struct conn *c);
/* Sends what was kept at the end of this turn. */
void conn_send_later(struct conn *c);
/* False when the owner closed the connection from within; then it must not be touched any more. */
bool conn_tell(struct conn *c, const struct conn_event *ev);
/* Lets go of everything but the memory of the conn itself, then tells. The same return value. */
bool conn_tell_down(struct conn *c, const struct conn_failure *failure);
/* Logged in: takes the socket over from curl and tells. */
void conn_open(struct conn *c, const struct resp_caps *caps);
/* One turn of a connection that was queued. */
void conn_turn(struct conn *c);
/* The end of the turn: sends what was kept. */
void conn_send_unsent(struct conn *c);
void conn_drop(struct conn *c);

/* --- conn_io.c --- */

/* Logged in: finds the way for the bytes. */
void conn_io_begin(struct conn *c, int fd);
/* Before libcurl closes it. */
void conn_io_end(struct conn *c);
/* CURLE_OK: *ret bytes; in reading 0 is the end. CURLE_AGAIN: when the socket is ready. Else io_errno and io_reason may tell more. */
CURLcode conn_io_recv(struct conn *c, char *p, size_t n, size_t *ret);
/* What was answered by CURLE_AGAIN is to be offered again, with what has come behind it or not. */
CURLcode conn_io_send(struct conn *c, const char *p, size_t n, size_t *ret);
/* A proxy of the environment may be between us and the server. */
bool conn_io_may_be_proxied(void);
/* libcurl's TLS is the OpenSSL that we are linked with. */
bool conn_io_knows_tls(void);

/* --- conn_dial.c --- */

void dialing_free(struct dialing **g);
/* "HOST:PORT", for the texts of failures. */
const char *conn_where(const struct conn *c, char text[CONN_WHERE]);

/* libcurl is through. */
void conn_dial_done(struct conn *c, CURLcode result);

/* --- conn_failure.c --- */

void conn_failure_set(struct conn_failure *f, enum conn_fault fault, enum code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* libcurl gave up. */
void conn_failure_of(struct conn_failure *f, CURLcode result, struct conn *c);
/* We did, behind a BYE. */
void conn_failure_of_bye(struct conn_failure *f, struct conn *c);

/* --- conn_site.c --- */

/* What is common to all connections with such an endpoint, for the life of the dialer. NULL when memory is out. */
struct site *conn_site(struct dialer *d, const struct endpoint *ep);
/* Its TLS sessions are kept, and resumed. */
CURLcode conn_site_join(struct site *s, CURL *easy);
/* A TLS session may be the reason why a dial failed. */
void conn_site_forget(struct dialer *d, const struct endpoint *ep);
/* No connection is left. */
void conn_sites_done(struct dialer *d);

#endif
