/* ledger_schema: the tables, version LEDGER_VERSION. Times are wall milliseconds since 1970; texts are UTF-8; no secrets, ever. */
#include "ledger_p.h"

/* Messages (uid 0: folders) that were left out, altered, repaired. */
#define SKIPS(name, more)                                                                                              \
	"CREATE TABLE " name " (\n"                                                                                    \
	"	mailbox INTEGER NOT NULL REFERENCES mailboxes (id),\n"                                                 \
	"	folder_path TEXT NOT NULL,                 -- of the source\n"                                         \
	"	uid INTEGER NOT NULL,\n"                                                                               \
	"	kind TEXT NOT NULL DEFAULT 'left out',     -- skip_kind_name()\n"                                      \
	"	folder INTEGER REFERENCES folders (id),    -- NULL: it has no row\n"                                   \
	"	message_id TEXT NOT NULL,\n"                                                                           \
	"	internaldate TEXT NOT NULL DEFAULT '',\n"                                                              \
	"	size INTEGER NOT NULL DEFAULT 0,           -- bytes; 0: not known\n"                                   \
	"	reason TEXT NOT NULL,\n" more                                                                          \
	"	PRIMARY KEY (mailbox, folder_path, uid, kind)\n"                                                       \
	") WITHOUT ROWID;\n"

/* Of messages that are not selected, many are in one row. No comments in them: ALTER TABLE cannot read what it makes of those. */
#define SKIPS_MESSAGES "messages INTEGER NOT NULL DEFAULT 1"
#define SKIPS_UIDS "uids TEXT NOT NULL DEFAULT ''"
/* The rules by which source_next came about. */
#define FOLDERS_SELECTION "selection TEXT NOT NULL DEFAULT ''"

/* What a later pass did with messages that were brought before. */
#define FOLLOWS(more)                                                                                                  \
	"CREATE TABLE follows (\n"                                                                                     \
	"	folder INTEGER PRIMARY KEY REFERENCES folders (id),\n"                                                 \
	"	batch INTEGER NOT NULL,                    -- the flags of batches up to this one count no more:\n"    \
	"	flags TEXT NOT NULL,                       -- these do, by source UIDs\n"                              \
	"	gone TEXT NOT NULL                         -- source UIDs that vanished and were dealt with\n" more    \
	");\n"

/* What may be changed on the target already, and is not among those flags: '+\Seen=1:4 -work=9', added and taken away, source UIDs; and HIGHESTMODSEQ of
 * the target before that. No comments in them: ALTER TABLE cannot read what it makes of those. */
#define TRIED "tried TEXT NOT NULL DEFAULT ''"
#define TRIED_AT "target_modseq INTEGER NOT NULL DEFAULT 0"

/* What a break leaves behind. */
#define ECHO_COLUMNS(X)                                                                                                \
	X("open_floor") X("open_next") X("echo_floor") X("echo_next") X("echo_batch") X("echo_sends") X("echo_looks")
#define NEW_COLUMN(name) "	" name " INTEGER NOT NULL DEFAULT 0,\n"
#define ADD_COLUMN(name) "ALTER TABLE folders ADD COLUMN " name " INTEGER NOT NULL DEFAULT 0;\n"

const char ledger_schema[] =
	"CREATE TABLE mailboxes (\n"
	"	id INTEGER PRIMARY KEY,\n"
	"	name TEXT NOT NULL UNIQUE,                 -- MIGRATION/TARGET_USER\n"
	"	state TEXT NOT NULL,                       -- mailbox_state_name()\n"
	"	reason TEXT NOT NULL DEFAULT '',\n"
	"	attempts INTEGER NOT NULL DEFAULT 0,\n"
	"	next_attempt INTEGER NOT NULL DEFAULT 0,\n"
	"	since INTEGER NOT NULL DEFAULT 0,\n"
	"	last_synced INTEGER NOT NULL DEFAULT 0,\n"
	"	copied INTEGER NOT NULL DEFAULT 0,\n"
	"	adopted INTEGER NOT NULL DEFAULT 0,\n"
	"	bytes INTEGER NOT NULL DEFAULT 0,\n"
	"	paused INTEGER NOT NULL DEFAULT 0,         -- held by the operator\n"
	"	finishing INTEGER NOT NULL DEFAULT 0       -- the next pass that leaves nothing out is the last one\n"
	");\n"

	"CREATE TABLE folders (\n"
	"	id INTEGER PRIMARY KEY,\n"
	"	mailbox INTEGER NOT NULL REFERENCES mailboxes (id),\n"
	"	source_path TEXT NOT NULL,\n"
	"	target_path TEXT NOT NULL,\n"
	"	source_uidvalidity INTEGER NOT NULL,\n"
	"	target_uidvalidity INTEGER NOT NULL,\n"
	"	source_next INTEGER NOT NULL,              -- every source UID below is accounted for\n"
	"	floor INTEGER NOT NULL,                    -- every target UID below is accounted for\n"
	"	open INTEGER NOT NULL,                     -- APPENDs may have left that are not in batches\n"
	"	source_messages INTEGER NOT NULL,\n"
	"	source_uidnext INTEGER NOT NULL,\n"
	"	source_modseq INTEGER NOT NULL,\n"
	"	copied INTEGER NOT NULL DEFAULT 0,\n"
	"	adopted INTEGER NOT NULL DEFAULT 0,\n"
	ECHO_COLUMNS(NEW_COLUMN)
	"	" FOLDERS_SELECTION ",\n"
	"	UNIQUE (mailbox, source_path, target_path)\n"
	");\n"

	/* The n-th source UID became the n-th target UID. */
	"CREATE TABLE batches (\n"
	"	id INTEGER PRIMARY KEY,\n"
	"	folder INTEGER NOT NULL REFERENCES folders (id),\n"
	"	source_lo INTEGER NOT NULL,\n"
	"	source_hi INTEGER NOT NULL,\n"
	"	target_lo INTEGER,                         -- NULL: the target does not tell UIDs\n"
	"	target_hi INTEGER,\n"
	"	source_uids TEXT NOT NULL,                 -- in the notation of COPYUID\n"
	"	target_uids TEXT NOT NULL,\n"
	"	flags TEXT NOT NULL,                       -- what was written, by source UIDs\n"
	"	adopted INTEGER NOT NULL DEFAULT 0         -- all of them were there before\n"
	");\n"
	"CREATE INDEX batches_source ON batches (folder, source_hi);\n"
	"CREATE INDEX batches_target ON batches (folder, target_hi);\n"

	FOLLOWS("	, " TRIED ", " TRIED_AT "\n")

	SKIPS("skips", "	" SKIPS_MESSAGES ", " SKIPS_UIDS ",\n");

const char *const ledger_upgrades[LEDGER_VERSION] = {
	/* Skips have a kind, and say more of the message. */
	[1] = SKIPS("skips_2", "")
		"INSERT INTO skips_2 (mailbox, folder_path, uid, folder, message_id, reason)"
		" SELECT mailbox, folder_path, uid, folder, message_id, reason FROM skips;\n"
		"DROP TABLE skips;\n"
		"ALTER TABLE skips_2 RENAME TO skips;\n",
	/* Flags are followed. */
	[2] = "ALTER TABLE batches ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;\n" FOLLOWS(""),
	/* The operator has a say. */
	[3] = "ALTER TABLE mailboxes ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;\n"
	      "ALTER TABLE mailboxes ADD COLUMN finishing INTEGER NOT NULL DEFAULT 0;\n",
	/* What a break leaves in doubt. */
	[4] = "ALTER TABLE follows ADD COLUMN " TRIED ";\n"
	      "ALTER TABLE follows ADD COLUMN " TRIED_AT ";\n",
	/* Echoes are looked for. */
	[5] = ECHO_COLUMNS(ADD_COLUMN),
	/* The operator selects. */
	[6] = "ALTER TABLE skips ADD COLUMN " SKIPS_MESSAGES ";\n"
	      "ALTER TABLE skips ADD COLUMN " SKIPS_UIDS ";\n"
	      "ALTER TABLE folders ADD COLUMN " FOLDERS_SELECTION ";\n",
};
