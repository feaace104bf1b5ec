/*
 * password: where the passwords of `copy` come from: a file, the environment, or a prompt. Never the command line.
 */
#ifndef GODWIT_PASSWORD_H
#define GODWIT_PASSWORD_H

#include "error.h"

#include <stddef.h>

#define PASSWORD_SIZE 4097 /* with the terminating zero */

/* The first line of the file. All three return 0, or -1 with a text that names the place, never the password. */
int password_read_file(const char *file, char buf[PASSWORD_SIZE], struct conf_error *err);
/* Takes it out of the environment, too. 1: it is not set. */
int password_read_env(const char *name, char buf[PASSWORD_SIZE], struct conf_error *err);
/* Asks on the terminal, without echo; the terminal is as before afterwards, also when a signal ends the process. 1: there is no terminal. */
int password_prompt(const char *prompt, char buf[PASSWORD_SIZE], struct conf_error *err);
void password_wipe(char buf[PASSWORD_SIZE]);

#endif
