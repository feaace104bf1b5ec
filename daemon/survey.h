/*
 * survey: what folders one side has: NAMESPACE, LIST and LSUB in one flight, then what STATUS tells of each folder (in the same
 * flight where the server has LIST-STATUS, RFC 5819, else in a second one).
 */
#ifndef GODWIT_SURVEY_H
#define GODWIT_SURVEY_H

#include "name.h"
#include "outcome.h"
#include "peer.h"

struct survey_folder {
	struct span wire, path;
	uint32_t attrs;      /* ATTR_BIT */
	char delimiter;
	unsigned has;        /* of enum folder_status_item; 0: it has not told, or refused */
	uint32_t messages, uidnext, uidvalidity;
	uint64_t modseq;     /* HIGHESTMODSEQ; 0: it has not told */
	uint64_t size;       /* bytes of all messages, with FS_SIZE in `has` */
	uint64_t append_limit; /* bytes, by FS_APPENDLIMIT; UINT64_MAX: none */
	char refused[160];   /* the server's words when STATUS was refused; "" else */
};

struct survey {
	enum side side;
	struct arena memory;
	struct name_style style;
	struct span foreign[16];      /* prefixes of other users' and shared namespaces */
	size_t foreign_n;
	bool all;                     /* by the caller, before survey_start(): folders of the other namespaces, too */
	bool sizes;                   /* the same: STATUS=SIZE is asked for, where it is offered (RFC 8438) */
	struct survey_folder *folder; /* sorted by path when done; see `all` */
	size_t folder_n, folder_size;
	struct span *subscribed;      /* paths, sorted; until done: wire names */
	size_t subscribed_n, subscribed_size;
	unsigned pending;             /* commands without their answer */
	size_t next_status;           /* folders asked for by STATUS so far */
	bool with_status;             /* LIST-STATUS is used */
	bool namespace_known, listed;
};

void survey_init(struct survey *s, enum side side);
void survey_done(struct survey *s);
/* Sends the first flight. 0 or PROTO_ERR_*. */
int survey_start(struct survey *s, struct peer *p);
enum survey_result { SURVEY_GOES_ON, SURVEY_COMPLETE, SURVEY_FAILED };
/* Takes an event of the peer. On SURVEY_FAILED *why says it. */
enum survey_result survey_on(struct survey *s, struct peer *p, const struct session_event *ev, struct outcome *why);
/* Binary search by path; NULL: not there. */
struct survey_folder *survey_find(const struct survey *s, struct span path);
/* It is no mere level of the hierarchy. */
bool survey_can_open(const struct survey_folder *f);
/* The wire name belongs to other users' or shared folders, by NAMESPACE. */
bool survey_is_foreign(const struct survey *s, struct span wire);
bool survey_is_subscribed(const struct survey *s, struct span path);

#endif
