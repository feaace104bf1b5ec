/*
 * failmalloc: makes the n-th allocation of the code under test fail. Link with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc: only calls from objects linked into the test itself are counted, those
 * of shared libraries are not. One thread.
 *
 *   size_t n = 0;
 *   do {
 *           failmalloc_arm(++n);
 *           err = thing_do(...);
 *           failmalloc_disarm();
 *           ... when failmalloc_fired(): err is PROTO_ERR_NOMEM and nothing changed ...
 *   } while (failmalloc_fired());
 */
#ifndef GODWIT_FAILMALLOC_H
#define GODWIT_FAILMALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the n-th allocation (from 1) returns NULL with ENOMEM, those before and after it succeed; 0 only counts. The
 * count begins again at 0. */
void failmalloc_arm(size_t n);
/* No allocation fails any more; count and fired keep what they are. */
void failmalloc_disarm(void);
/* Allocations asked for between arm and disarm, the failed one included. */
size_t failmalloc_count(void);
/* Whether the armed allocation was reached. */
bool failmalloc_fired(void);

#endif
