/*
 * Runs a fuzz target on files, without libFuzzer: those given, else all in $srcdir/tests/fuzz/seeds/SEEDS.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t seed[1 << 20];

static int run(const char *path)
{
	FILE *in = fopen(path, "rb");

	if (in == NULL) {
		perror(path);
		return 1;
	}
	size_t n = fread(seed, 1, sizeof(seed), in);
	fclose(in);
	(void)LLVMFuzzerTestOneInput(seed, n);
	return 0;
}

int main(int argc, char **argv)
{
	const char *top = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
	char folder[512], path[1024];
	unsigned number = 0;
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= run(argv[i]);
	if (argc > 1)
		return failed;
	snprintf(folder, sizeof(folder), "%s/tests/fuzz/seeds/%s", top, SEEDS);
	DIR *dir = opendir(folder);
	if (dir == NULL) {
		perror(folder);
		return 1;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		failed |= run(path);
		number++;
	}
	closedir(dir);
	printf("%u seeds\n", number);
	return failed != 0 || number == 0;
}
