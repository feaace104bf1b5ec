/*
 * doubt: messages of the source that a scan has found, of which only the bytes can tell whether they are on the target already (suspects.h). Both sides of the
 * lane are asked for the bodies of just these; they go through a digest and are not kept.
 *
 * A window of the scan at a time: while its doubtful messages are being read the lane scans no further and fetches nothing else.
 */
#ifndef GODWIT_DOUBT_H
#define GODWIT_DOUBT_H

#include "session.h"
#include "suspects.h"

struct folder;
struct lane;

enum doubt_step {
	DOUBT_NONE,
	DOUBT_COLLECTS, /* the scan goes on */
	DOUBT_WAITS,    /* bodies that were asked for before are still coming */
	DOUBT_READS
};

struct doubt_item {
	struct identity name, body;
	uint32_t uid;
	bool read;
};

struct doubt {
	enum doubt_step step;
	struct folder *folder;
	struct doubt_item *item;
	size_t n, size;
	struct uidset ours;    /* source UIDs still to be asked for */
	struct uidset theirs;  /* target UIDs that are read */
	bool theirs_due;       /* they are to be asked for, by the writer */
	bool ours_under_way, theirs_under_way;
	struct body_digest *digest[2]; /* by side */
	bool in_body[2];
};

void doubt_done(struct doubt *d);
/* 0 or PROTO_ERR_NOMEM. */
int doubt_add(struct lane *l, struct folder *f, uint32_t uid, struct identity name);
/* The scan of the window is through. False: there is nothing to be read. */
bool doubt_begin(struct lane *l);
/* Goes on if it can. */
void doubt_pump(struct lane *l);
/* Bodies that come from this side are ours. */
bool doubt_is_reading(const struct lane *l, int side);
void doubt_on_body(struct lane *l, int side, const struct session_event *ev);
/* What was asked for has been answered, or refused. */
void doubt_answered(struct lane *l, int side);
/* Nothing more comes of it. */
void doubt_drop(struct lane *l);

#endif
