/*
 * reader: the source's side of a lane. Walks the folders that have something to copy, and keeps FETCH commands for UID ranges in flight up to a byte
 * budget, across folder borders, so that round trips do not count. Bodies go into the relay as they arrive.
 *
 * A folder about which nothing is in doubt is fetched directly, flags and dates together with the bodies. After a break, or
 * when the target has messages that are not recorded, it is scanned first (UID, flags, date, size, Message-ID, Date), and only what the target does not have is fetched.
 * Where there is much on the target, the whole folder is scanned once before that, to count its names (suspects.h).
 */
#ifndef GODWIT_READER_H
#define GODWIT_READER_H

#include "flow.h"
#include "mend.h"
#include "peer.h"
#include "selection.h"
#include "uidset.h"
#include "work.h"

struct lane;
struct folder;

enum reader_job_kind { READ_EXAMINE, READ_BODIES, READ_SCAN, READ_META, READ_LIST, READ_COUNT, READ_DIGEST };

/* One command in flight. Servers may answer several FETCHes interleaved, or the later one first: what arrives is told apart by the selected
 * folder and the UID, never by the order of commands; what a job promises is handed on only when all before it are done. */
struct reader_job {
	enum reader_job_kind kind;
	bool done;
	bool single;           /* one message alone */
	bool few;              /* messages that go into small windows */
	bool unnamed;          /* a body came without its UID */
	struct folder *folder;
	struct folder *ends;   /* after this job nothing more of that folder comes in this round */
	uint32_t lo, hi;       /* UIDs asked for */
	uint32_t mark;         /* 0, or: all UIDs below have come when this job is done */
	uint64_t estimate;     /* bytes, counted against the budget */
	struct uidset seen;    /* whose bodies have come */
	struct uidset asked;   /* what a scan found, if this was asked for by UID; empty: a range */
};

#define READER_JOBS 64

/* Where the date that is stored comes from. */
enum reader_dated { DATED_INTERNALDATE, DATED_HEADER, DATED_CLOCK };

struct reader {
	struct reader_job job[READER_JOBS]; /* ring, in the order of sending */
	unsigned first, jobs;
	bool mixes;                   /* the server was seen to answer a later FETCH before an earlier one was through */
	struct folder *selected;      /* whose EXAMINE was answered last; NULL: none */
	struct work work;             /* being asked for */
	struct uidset wanted;         /* careful, single: found by the scan, to be fetched */
	uint32_t window_hi, cut;      /* of the scan */
	size_t scanned;
	struct uidset not_selected[SELECTION_WHY_N]; /* of the window that is scanned */
	bool scanning;
	uint64_t asked;               /* estimated bytes under way */
	struct flow flow;
	uint64_t bodies, body_bytes;
	uint64_t average;             /* bytes of a message, so far */
	bool paused;                  /* the relay is full */
	/* The body that is arriving. */
	bool in_body, discard;
	uint64_t too_large;           /* it is thrown away: its bytes, more than it may have; else 0 */
	/* The single message whose body is to come: what the fetch before told of it. */
	uint32_t meta_uid;
	bool meta_known;
	char meta_date[32];
	enum reader_dated meta_dated;
	bool meta_odd;                /* it has flags that no client can set, or more than one command can carry */
	struct buf meta_flags;
	/* The single message that is repaired while it comes; NULL: it is not. */
	struct mend *mend;
	struct repair repair;
	struct buf mended;
	struct buf scratch;
};

void reader_init(struct reader *r);
void reader_done(struct reader *r);
/* Bodies are asked for and have not all come. */
bool reader_is_fetching(const struct lane *l);
/* Sends what may be sent now. */
void reader_pump(struct lane *l);
void reader_on(struct lane *l, const struct session_event *ev);
/* No more is asked for; what still comes is thrown away, but for a large message that is being sent. */
void reader_stop(struct lane *l);
/* The relay has room again. */
void reader_resume(struct lane *l);

#endif
