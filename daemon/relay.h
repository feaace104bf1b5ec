/*
 * relay: the way of messages from the reader (source) to the writer (target): a queue of messages in order, bounded in bytes. A small message is
 * handed on when it is whole: then a source that breaks off costs nothing. A large one is handed on as it arrives, and never kept whole.
 *
 *   reader: relay_begin, relay_bytes..., relay_end        writer: relay_head, relay_take..., relay_pop
 *
 * Above the high water the reader pauses the source; below the low water it goes on.
 */
#ifndef GODWIT_RELAY_H
#define GODWIT_RELAY_H

#include "buf.h"

#define RELAY_SMALL (64u << 10) /* bytes; larger messages are streamed */
#define RELAY_HIGH (256u << 10)
#define RELAY_LOW (128u << 10)

struct folder;

enum relay_kind {
	RELAY_MESSAGE,
	RELAY_MARK, /* all of the folder's source UIDs below `uid` have gone through */
	RELAY_END   /* nothing more of this folder in this round */
};

struct relay_item {
	enum relay_kind kind;
	bool known;      /* uid, date and flags are there */
	bool whole;      /* all bytes have arrived */
	uint8_t most;    /* messages in its APPEND, 0 for any number: it, or another one, was refused in company */
	bool begun;      /* the writer has announced it */
	bool dropped;    /* the writer has no use for it: its bytes are thrown away */
	uint8_t date_n;
	uint16_t flags_n;
	uint32_t uid;
	struct folder *folder;
	uint64_t size;   /* bytes of the message */
	uint64_t left;   /* bytes not yet taken by the writer */
	uint64_t missing;/* bytes not yet brought by the reader */
};

struct relay {
	struct relay_item *ring;
	size_t ring_size, first, n;
	struct buf bytes;  /* of the messages, in order, from the head's next byte on */
	struct buf text;   /* date and flags of the known messages, in order */
	bool open;         /* the tail is a message whose end has not come */
};

void relay_init(struct relay *r);
void relay_done(struct relay *r);
bool relay_is_full(const struct relay *r);
bool relay_is_low(const struct relay *r);

/* The reader's end. 0 or, with nothing changed, PROTO_ERR_NOMEM, PROTO_ERR_CAP. One message at a time is open. */
int relay_begin(struct relay *r, struct folder *f, uint64_t size, uint8_t most);
int relay_know(struct relay *r, uint32_t uid, struct span date, struct span flags);
int relay_bytes(struct relay *r, struct span bytes);
void relay_end(struct relay *r);
struct relay_item *relay_tail(struct relay *r);
/* The bytes of the open message that have come, while the writer has not begun with it. */
struct span relay_tail_bytes(struct relay *r);
/* Takes back the open message. False when the writer has begun to send it and has a use for it, or has done with it. */
bool relay_take_back(struct relay *r);
/* The message that was begun is still in the queue: its last bytes may go out, and it be popped, before its end is told. */
bool relay_is_open(const struct relay *r);
int relay_mark(struct relay *r, enum relay_kind kind, struct folder *f, uint32_t uid);

/* The writer's end. NULL: the queue is empty. */
struct relay_item *relay_head(struct relay *r);
struct span relay_date(const struct relay *r);
struct span relay_flags(const struct relay *r);
/* Bytes of the head that are here. */
struct span relay_ready(const struct relay *r);
void relay_take(struct relay *r, size_t n);
/* All bytes of the head have come and were taken or dropped. */
void relay_pop(struct relay *r);

#endif
