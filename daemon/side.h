/* side: the two sides of a mailbox. Never indexed by 1 - side. */
#ifndef GODWIT_SIDE_H
#define GODWIT_SIDE_H

enum side { SOURCE, TARGET };
#define SIDES 2

static inline const char *side_name(enum side s)
{
	return s == SOURCE ? "source" : "target";
}

#endif
