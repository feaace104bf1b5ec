/* main: what holds for the whole process, then the command. */
#include "command.h"
#include "log.h"
#include "run.h"

#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
#ifndef GODWIT_SANITIZERS
	/* No core dump, no ptrace, no /proc/PID/environ for others: passwords are in this memory. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	umask(077);
	/* Only what characters are: numbers and messages stay as they are. */
	setlocale(LC_CTYPE, "");

	const char *name = argc > 1 ? argv[1] : "";
	if (strcmp(name, "--version") == 0) {
		puts("godwit " PACKAGE_VERSION);
		return 0;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return command_help.run(1, (char *[]){ argv[0], NULL });
	const struct verb *c = command_find(name);
	if (c == NULL) {
		if (name[0] != '\0')
			return command_unknown(name);
		fputs("godwit: which command? See \"godwit help\"\n", stderr);
		return EXIT_USAGE;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		fputs("godwit: libcurl cannot be started\n", stderr);
		return EXIT_CONFIGURATION;
	}
	int rc = c->run(argc - 1, argv + 1);
	log_end(1000);
	curl_global_cleanup();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("godwit: standard output cannot be written\n", stderr);
		rc = rc == 0 ? EXIT_LEFT_OUT : rc;
	}
	return rc;
}
