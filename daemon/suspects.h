/*
 * suspects: the messages of a target folder that might be ours, and whether one of the source is among them. Each is taken at most once.
 *
 * A name (identity_of() without the size) is clear when it has a Message-ID, one message on either side has it, and both sides announce the same size:
 * then it is the same message. Any other is doubtful: its messages, on both sides, must be read, and are told apart by the digest of their bytes.
 *
 *   suspects_add...  [suspects_count..., suspects_counted]  suspects_ask; doubtful: suspects_unread, suspects_read..., suspects_tried, suspects_take
 *
 * Pure. Memory: 32 bytes for each message, 48 to 96 for each name.
 */
#ifndef GODWIT_SUSPECTS_H
#define GODWIT_SUSPECTS_H

#include "identity.h"
#include "uidset.h"

enum suspects_answer {
	SUSPECTS_NONE,    /* it is not there */
	SUSPECTS_CLEAR,   /* it is, and is taken */
	SUSPECTS_DOUBTFUL
};

struct suspects;
/* NULL when memory is out. */
struct suspects *suspects_new(void);
void suspects_free(struct suspects **s);
/* False when memory is out. `strong`: identity_is_strong(). */
bool suspects_add(struct suspects *s, struct identity name, uint32_t uid, uint64_t size, bool strong);
/* Those that are not taken; the sizes announced of all. */
size_t suspects_left(const struct suspects *s);
uint64_t suspects_bytes(const struct suspects *s);

/* The source has a message of this name. Until all are counted no name is clear. */
void suspects_count(struct suspects *s, struct identity name);
void suspects_counted(struct suspects *s);
bool suspects_are_counted(const struct suspects *s);

enum suspects_answer suspects_ask(struct suspects *s, struct identity name, uint64_t size, bool strong, uint32_t *ret_uid);
/* Adds the UIDs of this name whose bytes are not known, to none or to those of other names. 0 or PROTO_ERR_NOMEM, here and below. */
int suspects_unread(struct suspects *s, struct identity name, struct uidset *ret);
int suspects_read(struct suspects *s, uint32_t uid, struct identity body);
/* What has not been read of these cannot be. */
void suspects_tried(struct suspects *s, const struct uidset *uids);
/* Takes one of this name with these bytes; 0: there is none. */
uint32_t suspects_take(struct suspects *s, struct identity name, struct identity body);

#endif
