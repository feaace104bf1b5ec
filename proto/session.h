/*
 * session: an IMAP client session without I/O (RFC 9051 section 3), from the authenticated state on. The driver puts in the
 * server's bytes and takes out one event at a time; commands become bytes that it takes out and sends. The session keeps tags,
 * what is in flight, capabilities, and the order of bytes: command text, waits for "+", message literals.
 *
 *   in:  session_next(s, &span, &event) until event.kind is EVENT_NONE
 *   out: session_output(s) -> span; session_sent(s, n); message bytes go behind it whenever session_body_due(s) > 0, each piece
 *        announced by session_body_sent(s, n)
 *
 * Commands may be pipelined freely, up to limits.inflight_max (not behind UNAUTHENTICATE and LOGOUT); output order is command
 * order. COMPRESS (RFC 4978 section 3) may be given at any time, also while an APPEND is open: it is sent when all commands before it are
 * answered, and those behind it are held back until it is answered itself. session_next() stops exactly behind that answer: what follows
 * EVENT_DONE with OK in the input, and what session_output() gives from then on, is the driver's to inflate and deflate. UNAUTHENTICATE waits in the same way. Tags are "g1", "g2", …. At a synchronising literal output stops until "+"; a "+" that nothing waits for is ignored. When the
 * server answers a command that stands at such a wait, the rest of that command is dropped, and the session goes on with the next. When it
 * answers one in the middle of the bytes of a message, the rest of these bytes is still due (RFC 7888 section 4): EVENT_DONE tells,
 * session_body_due() stays > 0.
 *
 * The body of a message comes as BODY_BEGIN, BODY_DATA…, BODY_END, also when the server sends a quoted string (body_form BODY_INLINE).
 * A body that is NIL (BODY_NIL: the server has none) gives BODY_END alone.
 *
 * An untagged response is said to belong to the oldest command that has been sent, at least in part, and is not answered. Servers that work on
 * several commands at once (Dovecot does: UID FETCH, UID SEARCH, UID STORE, FETCH) may mean another: what it says (UID, TAG "g7") counts more.
 *
 * Nothing is trusted: tags that are not in flight or of which nothing was sent yet, lines and literals beyond the limits, bytes that are not IMAP are errors; an error is
 * final for the session (the connection is to be closed), session_error() says in words what it was.
 */
#ifndef GODWIT_SESSION_H
#define GODWIT_SESSION_H

#include "cmd.h"
#include "framer.h"
#include "resp.h"
#include "uidset.h"

enum command {
	CMD_NOOP, CMD_CAPABILITY, CMD_ENABLE, CMD_NAMESPACE, CMD_ID, CMD_LIST, CMD_LSUB, CMD_STATUS, CMD_CREATE, CMD_SUBSCRIBE, CMD_UNSUBSCRIBE,
	CMD_EXAMINE, CMD_SELECT, CMD_UNSELECT, CMD_CLOSE, CMD_FETCH, CMD_UID_FETCH, CMD_UID_STORE, CMD_UID_SEARCH, CMD_UID_EXPUNGE, CMD_APPEND, CMD_LOGOUT,
	CMD_COMPRESS, CMD_UNAUTHENTICATE, CMD_AUTHENTICATE, CMD_DELETE, CMD_RENAME, CMD_GETQUOTAROOT
};
const char *command_name(enum command c);

struct session_limits {
	struct framer_limits framer;
	size_t arena_max;     /* bytes for one response */
	size_t command_max;   /* bytes of one command's text */
	size_t output_max;    /* bytes of commands not yet sent */
	unsigned inflight_max;
	uint64_t sync_above;  /* see cmd.h */
};
extern const struct session_limits session_limits_default; /* 1 MiB, 4 GiB, 1 MiB, 64 KiB, 1 MiB, 512, 32 MiB */

enum session_event_kind {
#define EVENT(name, text) EVENT_##name,
#include "events.def"
#undef EVENT
};

struct session_event {
	enum session_event_kind kind;
	uint32_t tag;          /* DONE, GO_AHEAD: the command; else the oldest command in flight, to which a server that works in order is answering (0: none) */
	enum command command;  /* of `tag`, when it is not 0 */
	uint64_t user;         /* of `tag`: what session_set_user() gave it */
	struct resp resp;      /* DONE: kind RESP_TAGGED; RESPONSE; BODY_BEGIN, BODY_END: kind RESP_FETCH. Valid until the next call. */
	uint64_t size;         /* BODY_BEGIN: bytes of the literal */
	bool binary;           /* BODY_BEGIN: literal8 */
	struct span data;      /* BODY_DATA: borrowed from the input */
};

struct session;
/* `limits` may be NULL for the defaults. NULL when memory is out. */
struct session *session_new(const struct session_limits *limits);
void session_free(struct session **s);

/* Takes bytes off the front of *in; 0, or a negative PROTO_ERR_* that is final. Call again until the kind is EVENT_NONE, then *in is empty.
 * An error of memory may be met anywhere; it is final, too. */
int session_next(struct session *s, struct span *in, struct session_event *ev);
/* What went wrong, for people: "the server sent a line longer than 1048576 bytes". "" when nothing did. */
const char *session_error(const struct session *s);

/* Bytes to be sent now; empty when there are none, or while a "+" is awaited, or while body bytes are due. */
struct span session_output(struct session *s);
void session_sent(struct session *s, size_t n);
/* Bytes of a message literal that may be sent now, after everything of session_output(). 0: none, or not yet. */
uint64_t session_body_due(const struct session *s);
/* n <= session_body_due(). When it was the last of the literal the text behind it becomes output. */
void session_body_sent(struct session *s, uint64_t n);
/* The command whose bytes are due; 0: none. */
uint32_t session_body_tag(const struct session *s);
/* True while a message is announced in a command that is not dropped, and its bytes are not all sent: the connection can then only be gone on
 * with or closed. */
bool session_is_mid_body(const struct session *s);

/* Capabilities as last told (CAPABILITY response or response code); session_hint_caps() brings what was learnt before the session began. */
const struct resp_caps *session_caps(const struct session *s);
void session_hint_caps(struct session *s, const struct resp_caps *caps);
unsigned session_inflight(const struct session *s); /* commands without their tagged response, unsent ones included */
bool session_has_bye(const struct session *s);
/* Attaches a number of the driver's to a command in flight; comes back in each event. */
void session_set_user(struct session *s, uint32_t tag, uint64_t user);
/* The command as text for a log, secrets masked; 0 or an error. For a tag in flight; a long one (> 512 bytes) that is sent has only its name. */
int session_describe(const struct session *s, uint32_t tag, struct buf *out);

/* Commands. Each returns 0 and a tag (> 0), or, with nothing changed: PROTO_ERR_NOMEM; _CAP (too long; too many in flight or unsent); _STATE
 * (after BYE, LOGOUT or an error; while an APPEND is open, but for COMPRESS; until UNAUTHENTICATE or AUTHENTICATE is answered); _SYNTAX (NUL in a name, control
 * bytes in a set, flags, criteria). Names are wire names. */
int session_simple(struct session *s, enum command c, uint32_t *ret_tag); /* NOOP CAPABILITY NAMESPACE UNSELECT CLOSE LOGOUT COMPRESS UNAUTHENTICATE */
int session_enable(struct session *s, struct span names, uint32_t *ret_tag);
/* AUTHENTICATE PLAIN (RFC 4616), after UNAUTHENTICATE (RFC 8437): as `user`, on behalf of `behalf` (empty: of himself). With the initial response
 * (RFC 4959) where SASL-IR is offered, else it waits for "+". The password is in memory until the answer has come.
 * Nothing goes behind it before that: Cyrus loses it. */
int session_authenticate(struct session *s, struct span behalf, struct span user, struct span password, uint32_t *ret_tag);
/* ID with pairs of name and value, all quoted (RFC 2971); n pairs. */
int session_id(struct session *s, const struct span *pairs, size_t n, uint32_t *ret_tag);
enum list_option {
	LIST_SUBSCRIBED = 1,  /* RETURN (SUBSCRIBED) */
	LIST_SPECIAL_USE = 2, /* RETURN (SPECIAL-USE) */
	LIST_CHILDREN = 4,
	LIST_STATUS = 8       /* RETURN (STATUS (items)) */
};
/* LIST "" pattern, RETURN (...) when options are given; status_items of enum folder_status_item. */
int session_list(struct session *s, struct span pattern, unsigned options, unsigned status_items, uint32_t *ret_tag);
int session_lsub(struct session *s, struct span pattern, uint32_t *ret_tag);
int session_status(struct session *s, struct span name, unsigned status_items, uint32_t *ret_tag);
/* EXAMINE SELECT CREATE SUBSCRIBE UNSUBSCRIBE DELETE GETQUOTAROOT; `condstore` adds (CONDSTORE) to the first two. */
int session_folder(struct session *s, enum command c, struct span name, bool condstore, uint32_t *ret_tag);
/* CREATE of a folder for a purpose (RFC 6154 section 3): `use` is an attribute such as "\\Sent". */
int session_create(struct session *s, struct span name, const char *use, uint32_t *ret_tag);
/* FETCH by sequence number, or UID FETCH: set as text ("1:*" is fine), items of enum fetch_item; FETCH_HEADER means
 * BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)], FETCH_BODY means BODY.PEEK[]. changed_since > 0 adds CHANGEDSINCE. */
int session_fetch(struct session *s, enum command c, struct span set, unsigned items, uint64_t changed_since, uint32_t *ret_tag);
/* UID STORE set how flags; how is "FLAGS.SILENT", "+FLAGS.SILENT" or "-FLAGS.SILENT". */
int session_store(struct session *s, struct span set, const char *how, struct span flags, uint32_t *ret_tag);
/* UID SEARCH criteria, with RETURN (ALL) when the server has ESEARCH. */
int session_search(struct session *s, struct span criteria, uint32_t *ret_tag);
int session_uid_expunge(struct session *s, struct span set, uint32_t *ret_tag);

/* APPEND, one or more messages in one command (more than one: MULTIAPPEND, RFC 3502):
 *   session_append_begin, then for each message session_append_message and its bytes, then session_append_end.
 * Nothing is sent before the first message. The next message is PROTO_ERR_STATE while bytes of the one before are not all sent;
 * session_append_end may come earlier: then other commands can be queued behind the bytes that are still to be sent.
 *
 * The answer may come early (a refusal). From EVENT_DONE for the tag on, one rule: send what session_body_due() asks for, or close the connection, and
 * nothing more for this command; the session itself ends the line. In terms of the functions, when the APPEND was not yet ended:
 * session_append_is_open() becomes false with the last byte due, or at once when none is; session_append_message is PROTO_ERR_STATE;
 * session_append_end does nothing and returns 0, as long as no other APPEND was begun.
 *
 * BAD is no refusal like NO: the server may not have understood that bytes follow, and take the bytes of the message for commands (Dovecot 2.3
 * does so after a date, a flag or an atom that it cannot read). When they go without "+", close the connection at BAD. */
int session_append_begin(struct session *s, struct span name, uint32_t *ret_tag);
struct append_message {
	struct span flags; /* canonical text without parentheses; may be empty */
	struct span date;  /* 26 characters of date-time, or empty: the server's clock */
	uint64_t size;     /* bytes */
	bool binary;       /* literal8 */
};
int session_append_message(struct session *s, const struct append_message *m);
/* With no message queued the command is taken back: nothing is sent and there is no EVENT_DONE. PROTO_ERR_STATE after an
 * error, and when none is open but for the case above. */
int session_append_end(struct session *s);
/* True while an APPEND that has begun is not ended. */
bool session_append_is_open(const struct session *s);

#endif
