/*
 * identity: what makes a message on the target recognisable as one of the source's, without a stamp: its INTERNALDATE, its size, its Message-ID
 * and its Date. The headers are compared without the blanks and line breaks that servers fold differently.
 *
 * suspects: the messages of a target folder that might be ours, each to be taken at most once, in UID order.
 */
#ifndef GODWIT_IDENTITY_H
#define GODWIT_IDENTITY_H

#include "date.h"

struct identity {
	uint64_t half[2];
};

/* `header`: the answer to BODY[HEADER.FIELDS (MESSAGE-ID DATE)]. */
struct identity identity_of(struct span header, struct date date, uint64_t size);

/* The SHA-256 of a message's bytes, as they come; the first half of it. */
struct body_digest;
struct body_digest *body_digest_new(void);
void body_digest_free(struct body_digest **d);
void body_digest_begin(struct body_digest *d);
void body_digest_add(struct body_digest *d, struct span bytes);
struct identity body_digest_end(struct body_digest *d);

struct suspects;
/* NULL when memory is out. */
struct suspects *suspects_new(void);
void suspects_free(struct suspects **s);
/* Add in ascending UID order. False when memory is out. */
bool suspects_add(struct suspects *s, struct identity id, uint32_t uid);
/* Takes out the first with this identity; 0 when there is none. */
uint32_t suspects_take(struct suspects *s, struct identity id);
size_t suspects_left(const struct suspects *s);

#endif
