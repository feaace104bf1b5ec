/*
 * mapping: where a folder of the source goes on the target. What copies and what compares ask here, so that they cannot disagree.
 */
#ifndef GODWIT_MAPPING_H
#define GODWIT_MAPPING_H

#include "arena.h"
#include "mailbox.h"

/* Path to path (name.h). The result lives as long as source_path and the arena. 0 or PROTO_ERR_*. */
int mapping_target(const struct mailbox_spec *spec, struct span source_path, struct arena *a, struct span *ret);

#endif
