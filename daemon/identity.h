/*
 * identity: what makes a message on the target recognisable as one of the source's, without a stamp: its INTERNALDATE, its size, its Message-ID
 * and its Date. The headers are compared without the blanks and line breaks that servers fold differently.
 */
#ifndef GODWIT_IDENTITY_H
#define GODWIT_IDENTITY_H

#include "date.h"

/* A name of a message: equal ones are told apart by nothing but their bytes. */
struct identity {
	uint64_t half[2];
};

/* `header`: the answer to BODY[HEADER.FIELDS (MESSAGE-ID DATE)]. Servers may announce other sizes than messages have: who reckons with that gives 0. */
struct identity identity_of(struct span header, struct date date, uint64_t size);
/* Both together. */
struct identity identity_with(struct identity a, struct identity b);
/* It has a Message-ID, so that another message with this identity is hardly another one. */
bool identity_is_strong(struct span header);

/* The SHA-256 of a message's bytes, as they come; the first half of it. */
struct body_digest;
struct body_digest *body_digest_new(void);
void body_digest_free(struct body_digest **d);
void body_digest_begin(struct body_digest *d);
void body_digest_add(struct body_digest *d, struct span bytes);
struct identity body_digest_end(struct body_digest *d);

#endif
