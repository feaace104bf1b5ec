/* confdoc sample|man: a tool of the build; what keydoc writes goes to stdout. */
#include <stdio.h>
#include <string.h>

#include "keydoc.h"

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "sample") == 0) {
		keydoc_write_sample(stdout);
	} else if (argc == 2 && strcmp(argv[1], "man") == 0) {
		keydoc_write_man(stdout);
	} else {
		fputs("usage: confdoc sample|man\n", stderr);
		return 64;
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
