/*
 * keydoc: what a reader is told about the keys, made from keys.def: the sample
 * configuration file, and the KEYS section of godwit.conf(5) in mdoc.
 */
#ifndef CONF_KEYDOC_H
#define CONF_KEYDOC_H

#include <stdio.h>

/* Both write to out and leave its error flag to the caller. */
void keydoc_write_sample(FILE *out);
void keydoc_write_man(FILE *out);

#endif
