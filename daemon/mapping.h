/*
 * mapping: where each folder of the source goes on the target. What copies, what compares and what plans ask here, so that they cannot disagree.
 *
 * It is a function of what both sides have, of the operator's rules, and of what was brought before. In this order, what says something decides:
 *   1. the ledger: where messages of the folder were brought before, and are, they go on to. So nothing comes twice when rules or roles change.
 *   2. the map of the rules
 *   3. the role (special use): a folder for sent mail goes to the target's one. Where a side does not say what a folder is for, its name does. Not with a prefix.
 *   4. the folder above: what is below it stays below it
 *   5. its own path, below the prefix
 * What comes out is made a name that the target can have: its delimiter inside a name, levels where it has none or below a folder that cannot have any, a name that it
 * keeps for other users' folders.
 *
 * No two folders go to one: what would by 3 to 5 gets a number behind its name; what would by 2 is a conflict, and nothing is done before a person has solved it.
 *
 * Names that the target may refuse (blanks at the ends, control characters, over-long, differing from another one only in case, kept by some servers for themselves) have a
 * spare: which of both it is
 * shows in what the target has. So who copies tries to make the folder, then the spare, and then makes the mapping anew (mapping_entry.spare).
 */
#ifndef GODWIT_MAPPING_H
#define GODWIT_MAPPING_H

#include "arena.h"
#include "folder_rules.h"
#include "ledger.h"
#include "survey.h"

/* Who has decided. */
enum mapping_by { MAPPING_BY_NAME, MAPPING_BY_LEDGER, MAPPING_BY_MAP, MAPPING_BY_ROLE };

struct mapping_entry {
	const struct survey_folder *from;
	const struct survey_folder *to; /* NULL: the target does not have it, or it cannot be opened */
	bool level;        /* a mere level of the hierarchy: nothing to be copied */
	bool excluded;     /* by the rules: nothing below is of any meaning but `role` */
	bool twin;         /* an earlier folder has the same path: this one cannot be told from it, and goes nowhere */
	bool use;          /* it is to be made for its role */
	enum role role;
	enum mapping_by by;
	struct span path;  /* on the target */
	struct span spare; /* empty: none */
	const char *renamed; /* NULL, or why it does not have the name that it should */
	struct span wanted; /* where the rules would have it, when `by` is MAPPING_BY_LEDGER and that is elsewhere; else empty */
};

struct mapping {
	struct mapping_entry *entry; /* one for each folder of the source's survey, in its order */
	size_t entry_n;
	const struct mapping_entry *conflict[2]; /* NULL, or two that would go to one folder */
	/* what it was made of */
	const struct folder_rules *rules;
	const struct survey *from, *to;
	struct arena *memory;
};

/* `row`: the ledger's rows of this mailbox, in any order; may be none. All is borrowed for the life of the mapping; entries and texts are in the arena. 0, PROTO_ERR_NOMEM
 * or _CAP. */
int mapping_make(struct mapping *m, const struct folder_rules *rules, const struct survey *from, const struct survey *to,
	const struct ledger_folder *row, size_t row_n, struct arena *memory);
/* Of a path that the source subscribes to, whether there is such a folder or not. False: it is not taken along. */
bool mapping_subscription(const struct mapping *m, struct span path, struct span *ret);
/* The two folders of the conflict, in words. */
void mapping_print_conflict(const struct mapping *m, char *buf, size_t size);

#endif
