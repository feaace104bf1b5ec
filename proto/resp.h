/*
 * resp: one response, typed (RFC 9051 section 7, and what RFC 3501 has besides). All spans point into the response's
 * bytes or into the arena and live as long as those.
 *
 * Leniency: an untagged response of an unknown kind is RESP_OTHER; an unknown item inside FETCH, STATUS, LIST, ESEARCH
 * is skipped; an unknown response code, and a known one whose arguments are broken, is CODE_OTHER with its name: the
 * answer to the command counts for more. A response that is broken in a known item is PROTO_ERR_SYNTAX,
 * PROTO_ERR_RANGE when a number is too large, or is 0 where the RFCs forbid it.
 */
#ifndef GODWIT_RESP_H
#define GODWIT_RESP_H

#include "arena.h"
#include "date.h"
#include "flags.h"

enum cap {
#define CAP(name, text) CAP_##name,
#include "caps.def"
#undef CAP
	CAP_N
};

enum code {
	CODE_NONE,
#define CODE(name, text) CODE_##name,
#include "codes.def"
#undef CODE
	CODE_OTHER
};

enum attr {
#define ATTR(name, text) ATTR_INDEX_##name,
#include "attrs.def"
#undef ATTR
	ATTR_INDEX_N
};
#define ATTR_BIT(name) (1u << ATTR_INDEX_##name)

enum status {
	STATUS_OK,
	STATUS_NO,
	STATUS_BAD,
	STATUS_BYE,
	STATUS_PREAUTH
};

enum resp_kind {
	RESP_TAGGED,    /* status; tag */
	RESP_STATUS,    /* untagged OK NO BAD BYE PREAUTH: status */
	RESP_CONTINUE,  /* "+": status.text */
	RESP_CAPABILITY,
	RESP_ENABLED,   /* caps */
	RESP_LIST,
	RESP_LSUB,
	RESP_FOLDER_STATUS,
	RESP_SEARCH,
	RESP_ESEARCH,
	RESP_FLAGS,     /* flags */
	RESP_EXISTS,    /* number */
	RESP_RECENT,
	RESP_EXPUNGE,
	RESP_VANISHED,  /* vanished */
	RESP_FETCH,
	RESP_NAMESPACE,
	RESP_QUOTA,
	RESP_OTHER      /* other: the line without "* " and CRLF */
};

struct resp_caps {
	uint64_t bits;             /* 1 << enum cap */
	bool append_limit_known;
	uint64_t append_limit;     /* APPENDLIMIT=n (RFC 7889) */
};

static inline bool caps_has(const struct resp_caps *c, enum cap cap)
{
	return (c->bits >> cap & 1) != 0;
}

struct resp_status {
	enum status status;
	enum code code;
	struct span code_name; /* as written */
	struct span code_args; /* raw, behind the name */
	struct span text;      /* for people */
	/* Typed arguments, where the code has them: */
	uint32_t uidvalidity;  /* UIDVALIDITY, APPENDUID, COPYUID */
	uint32_t uidnext;      /* UIDNEXT */
	uint64_t modseq;       /* HIGHESTMODSEQ */
	struct span uids;      /* APPENDUID: the new UIDs, a uid-set as text; COPYUID: the source's */
	struct span uids_to;   /* COPYUID: the target's */
	struct flags flags;    /* PERMANENTFLAGS */
	struct resp_caps caps; /* CAPABILITY */
};

struct resp_list {
	uint32_t attrs;    /* ATTR_BIT */
	char delimiter;    /* 0: NIL */
	struct span name;  /* wire name, unquoted */
};

enum folder_status_item {
	FS_MESSAGES = 1,
	FS_UIDNEXT = 2,
	FS_UIDVALIDITY = 4,
	FS_UNSEEN = 8,
	FS_SIZE = 16,
	FS_HIGHESTMODSEQ = 32,
	FS_APPENDLIMIT = 64,
	FS_DELETED = 128,
	FS_RECENT = 256
};

struct resp_folder_status {
	struct span name;  /* wire name */
	unsigned has;      /* of enum folder_status_item */
	uint32_t messages, uidnext, uidvalidity, unseen, deleted, recent;
	uint64_t size, highestmodseq, append_limit; /* append_limit: UINT64_MAX when NIL */
};

enum fetch_item {
	FETCH_UID = 1,
	FETCH_FLAGS = 2,
	FETCH_INTERNALDATE = 4,
	FETCH_SIZE = 8,
	FETCH_MODSEQ = 16,
	FETCH_HEADER = 32, /* any BODY[section] but BODY[], and RFC822.HEADER: `header` */
	FETCH_BODY = 64,   /* BODY[], BINARY[], RFC822 */
	FETCH_EMAILID = 128
};

enum body_form {
	BODY_NONE,
	BODY_STREAMED,
	BODY_INLINE, /* quoted string, or a second literal: `body` */
	BODY_NIL
};

struct resp_fetch {
	uint32_t seq;
	unsigned has;                /* of enum fetch_item */
	uint32_t uid;
	struct flags flags;
	struct span internaldate;    /* as written */
	uint64_t announced_size;     /* RFC822.SIZE; may lie */
	uint64_t modseq;
	struct span header;          /* NIL: empty */
	enum body_form body_form;
	struct span body;
	struct span emailid;
};

struct resp_search {
	struct span numbers;   /* blank-separated, as written */
	uint64_t modseq;       /* 0: none */
};

struct resp_esearch {
	struct span tag;
	bool uid;
	bool has_all;
	uint32_t min, max;     /* 0: absent */
	bool has_count;
	uint32_t count;
	struct span all;       /* uid-set text */
	uint64_t modseq;
};

struct resp_vanished {
	bool earlier;
	struct span uids;
};

struct resp_namespace_entry {
	struct span prefix;
	char delimiter; /* 0: NIL */
};
struct resp_namespace {
	/* personal, other users', shared; a NIL class has n 0 */
	struct {
		const struct resp_namespace_entry *entry;
		size_t n;
	} class[3];
};

struct resp_quota {            /* of one root (RFC 9208 section 5.2.1); resources of other kinds are skipped, and
                                * what cannot be read is not known */
	struct quota_resource {
		bool known;
		uint64_t used, limit; /* STORAGE: units of 1024 bytes */
	} storage, messages;
};

struct resp {
	enum resp_kind kind;
	struct span tag;       /* RESP_TAGGED */
	uint32_t number;       /* EXISTS, RECENT, EXPUNGE */
	union {
		struct resp_status status;
		struct resp_caps caps;
		struct resp_list list;
		struct resp_folder_status folder_status;
		struct resp_search search;
		struct resp_esearch esearch;
		struct flags flags;
		struct resp_vanished vanished;
		struct resp_fetch fetch;
		struct resp_namespace namespace;
		struct resp_quota quota;
		struct span other;
	};
};

/* Parses a complete response (FRAME_LINE). PROTO_ERR_SYNTAX, PROTO_ERR_RANGE, PROTO_ERR_NOMEM, PROTO_ERR_CAP
 * (arena, depth of lists). With a streamed literal the result is a RESP_FETCH with BODY_STREAMED, or an error. */
int resp_parse(struct span response, size_t streamed, struct arena *arena, struct resp *ret);
/* Parses the beginning of a FETCH response up to its streamed literal (FRAME_BODY_BEGIN): what came before it. */
int resp_parse_fetch_begin(struct span beginning, size_t streamed, struct arena *arena, struct resp_fetch *ret);

const char *cap_name(enum cap cap);
const char *code_name(enum code code); /* "" for CODE_NONE and CODE_OTHER */
const char *status_name(enum status status);
enum cap cap_lookup(struct span name);   /* CAP_N: unknown */
enum code code_lookup(struct span name); /* CODE_OTHER: unknown */

#endif
