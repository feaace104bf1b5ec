/*
 * reader_p: what the reader's two files share. reader.c decides what is asked for and when; reader_answer.c takes what comes.
 */
#ifndef GODWIT_READER_P_H
#define GODWIT_READER_P_H

#include "pass.h"

#define READER_WANTED_MAX 4096 /* UIDs of one scan kept in memory */
#define READER_AVERAGE (16u << 10) /* bytes of a message before any was seen; counts as much as */
#define READER_PRIOR 16            /* messages */
#define READER_META (FETCH_UID | FETCH_FLAGS | FETCH_INTERNALDATE)

/* The i-th command in flight, the oldest first. */
static inline struct reader_job *reader_job_at(struct reader *r, unsigned i)
{
	return &r->job[(r->first + i) % READER_JOBS];
}

/* A FETCH for the digests of the first of these messages, which are taken out. 0 or PROTO_ERR_*. */
int reader_digest(struct lane *l, struct folder *f, struct uidset *uids);
/* All messages of the scan's window are adopted or wanted. 0 or PROTO_ERR_*. */
int reader_window_over(struct lane *l);
/* All UIDs below have come when the range that ends with `hi` has; 0: that cannot be said yet, or not by this lane. */
uint32_t reader_mark_of(const struct work *t, uint32_t hi);
/* reader_mend.c. A body begins: when it is one to be repaired, and is not measured only, *size becomes what it will have. 0 or PROTO_ERR_*, as below. */
int reader_mend_begin(struct reader *r, struct reader_job *j, uint64_t *size);
/* Nothing of it goes into the relay. */
bool reader_is_measuring(const struct reader *r);
int reader_mend_data(struct lane *l, struct span bytes);
int reader_mend_end(struct lane *l);
int reader_mend_measured(struct lane *l, struct reader_job *j);
/* Tells the writer that nothing more of the folder comes in this round. */
void reader_end_round(struct lane *l, struct folder *f);

#endif
