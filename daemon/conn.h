/*
 * conn: bytes to and from one server. libcurl gets there (happy eyeballs, TLS, STARTTLS, login) through
 * CURLOPT_CONNECT_ONLY on its multi-socket interface; from then on the connection is ours: bytes in, bytes out, pause and resume.
 * A name is looked up once for all that dial it (resolve.h), and TLS sessions are resumed among connections with the same endpoint.
 *
 * All that happens is told to the owner's funnel as one of the events below. A conn is the owner's from conn_dial() until
 * conn_close(), which may be called from within the funnel; nothing is told after it. After CONN_DOWN nothing more comes, the conn is still to be closed.
 */
#ifndef GODWIT_CONN_H
#define GODWIT_CONN_H

#include "loop.h"
#include "resp.h"

enum compress {
	COMPRESS_OFF,
	COMPRESS_ON,
	COMPRESS_AUTO /* when it pays: see gauge.h */
};

struct endpoint {            /* borrowed for the life of the conn */
	const char *server;  /* its name in the configuration, for log lines */
	const char *host;
	uint16_t port;
	bool tls_first;          /* imaps; else STARTTLS is required */
	bool allow_plaintext;    /* STARTTLS where offered, else none */
	const char *ca_file;     /* NULL: the system's */
	const char *admin_user;  /* logs in on behalf of the users (SASL PLAIN, RFC 4616); NULL: they do so themselves */
	const char *admin_password;
	enum compress compress;  /* COMPRESS=DEFLATE where offered; the peer's business */
	bool *any_keyword;       /* somebody's folder there was seen to take any keyword: the pass's business; NULL: that is not kept */
	uint64_t connect_timeout; /* ms: name, TCP, TLS from the first byte */
	uint64_t login_timeout;   /* ms: from there until the login is answered, STARTTLS included */
};

struct credentials {         /* borrowed until CONN_UP or CONN_DOWN */
	const char *user;
	const char *password;     /* not used where an administrator logs in */
};

enum conn_fault {
	CONN_FAULT_RESOLVE,   /* the host name has no address */
	CONN_FAULT_CONNECT,   /* refused, unreachable */
	CONN_FAULT_TIMEOUT,   /* in connecting or logging in */
	CONN_FAULT_TLS,       /* handshake, certificate, host name */
	CONN_FAULT_NO_TLS,    /* STARTTLS is not offered and plaintext was not asked for */
	CONN_FAULT_LOGIN,     /* the server refused the login */
	CONN_FAULT_LOST,      /* closed or reset */
	CONN_FAULT_GARBAGE,   /* the other end does not speak IMAP */
	CONN_FAULT_FILES,     /* this process may not open more files; the server has no part in it */
	CONN_FAULT_MEMORY
};

struct conn_failure {
	enum conn_fault fault;
	enum code code;       /* response code of the server's words, or CODE_NONE */
	bool bye;             /* the words came in a BYE */
	bool greeted;         /* the server had greeted before the login failed */
	char text[512];       /* one line for people: the server's own words for a refused login, else what went wrong and where */
};

enum conn_event_kind {
	CONN_UP,      /* logged in; `caps` as far as the server told them after the login (bits 0: ask) */
	CONN_DATA,    /* *data: take bytes off its front; what is left is kept, and nothing more is read until conn_resume(), which may be
	               * called from within. Empty when there was a pause and nothing has come since: go on with what you held */
	CONN_DRAINED, /* what was written is below the low water again, after conn_is_full() was true */
	CONN_DOWN     /* failure */
};

struct conn_event {
	enum conn_event_kind kind;
	struct span *data;
	const struct resp_caps *caps;
	const struct conn_failure *failure;
};

typedef void conn_funnel(void *owner, const struct conn_event *ev);

/* One per loop: the curl multi and its timer. NULL when memory is out. */
struct dialer;
struct dialer *dialer_new(struct loop *l);
/* All its connections must be closed. */
void dialer_free(struct dialer **d);
struct loop *dialer_loop(struct dialer *d);

/* Never fails at once: what goes wrong comes as CONN_DOWN. NULL only when memory is out. */
struct conn;
struct conn *conn_dial(struct dialer *d, const struct endpoint *ep, const struct credentials *login,
	conn_funnel *funnel, void *owner);
/* Drops the connection at once, in any state. */
void conn_close(struct conn **c);

/* Takes all bytes: sends what the socket takes, keeps the rest. 0, or PROTO_ERR_NOMEM. A broken connection is told by CONN_DOWN later, never from within. */
int conn_write(struct conn *c, struct span bytes);
/* Small pieces are kept until the end of the turn, so that they travel together. This sends them now, as far as the socket takes them: before a
 * conn_close() that should not lose them. */
void conn_flush(struct conn *c);
/* What is written from here on holds a password: memory of ours that it went through is overwritten before it is given back. Until what is written now has left. */
void conn_keep_secret(struct conn *c);
/* Bytes kept because the socket did not take them, and whether they are above the high water (64 KiB): then the writer should wait for CONN_DRAINED. */
size_t conn_pending(const struct conn *c);
bool conn_is_full(const struct conn *c);
/* Stops reading / goes on reading; going on re-delivers kept bytes first, at the next turn of the loop, without waiting for the socket. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);
/* How the bytes are protected: "TLSv1.3, resumed", "TLSv1.3", "TLS" when no more is known, or "plaintext". */
const char *conn_describe(const struct conn *c, char *text, size_t size);
/* Microseconds since the connection was made: bytes were waiting to be sent or acknowledged; of these, the receiver had no room for them. */
struct conn_tcp {
	uint64_t busy, closed;
};
/* The socket of an open connection, for looking at it; else -1. */
int conn_fd(const struct conn *c);
/* False when the kernel does not tell. */
bool conn_tcp(const struct conn *c, struct conn_tcp *ret);
/* Bytes read and written since the login, for deadlines and reports. */
uint64_t conn_bytes_in(const struct conn *c);
uint64_t conn_bytes_out(const struct conn *c);

#endif
