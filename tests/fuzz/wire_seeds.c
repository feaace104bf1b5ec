/*
 * Runs a fuzz target on the transcripts of tests/wire, without libFuzzer:
 *
 *   seeds              runs those under $srcdir/tests/wire
 *   seeds FILE...      runs these inputs, of the target's own form
 *   seeds -w FOLDER    writes the transcripts there, in the target's form, for libFuzzer to begin with
 *
 * With WIRE_SEEDS_SERVER only the server's bytes are used, as fuzz_resp.c wants them.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEED_MAX (1 << 20)
static uint8_t seed[SEED_MAX];
static size_t seed_n;

static void put(unsigned byte)
{
	if (seed_n < SEED_MAX)
		seed[seed_n++] = (uint8_t)byte;
}

#ifdef WIRE_SEEDS_SERVER
static void make_seed(const struct wire *w)
{
	static const uint8_t head[] = { 0, 3, 0, 6, 40 };

	for (size_t i = 0; i < sizeof(head); i++)
		put(head[i]);
	for (size_t i = 0; i < w->server_n; i++)
		put((unsigned char)w->server[i]);
}
#else
/* See the operations in fuzz_session.c. Any command does: what counts are the tags. */
static void put_action(const struct wire_action *a)
{
	if (a->kind == WIRE_COMMAND && span_search_nocase(span_first(a->text, 12), SPAN(" APPEND ")) != SIZE_MAX) {
		put(2), put(0);
	} else if (a->kind == WIRE_COMMAND) {
		put(0), put(span_search_nocase(span_first(a->text, 14), SPAN(" UID ")) != SIZE_MAX ? 12 : 0);
	} else if (a->kind == WIRE_MESSAGE) {
		put(3), put(9);
	} else {
		put(4), put(0);
	}
	put(8), put(0);
}

static void make_seed(const struct wire *w)
{
	size_t action = 0;

	put(w->line_max != 0 || w->body_max != 0 ? 5 : 1);
	for (size_t i = 0; i < w->turn_n; i++) {
		const struct wire_turn *t = &w->turn[i];

		for (; !t->is_server && action < w->action_n && w->action[action].at < t->from + t->n; action++)
			put_action(&w->action[action]);
		for (size_t at = 0; t->is_server && at < t->n; at += 200) {
			size_t n = t->n - at < 200 ? t->n - at : 200;

			put(9), put((unsigned)n);
			for (size_t k = 0; k < n; k++)
				put((unsigned char)w->server[t->from + at + k]);
		}
	}
}
#endif

static bool run_transcript(const char *path, const char *write_to, unsigned number)
{
	struct wire w;
	bool ok = wire_read(&w, path);

	if (ok) {
		seed_n = 0;
		make_seed(&w);
		(void)LLVMFuzzerTestOneInput(seed, seed_n);
	} else {
		fprintf(stderr, "%s\n", w.error);
	}
	wire_free(&w);
	if (ok && write_to != NULL) {
		char name[512];
		snprintf(name, sizeof(name), "%s/wire-%u", write_to, number);
		FILE *out = fopen(name, "wb");
		ok = out != NULL && fwrite(seed, 1, seed_n, out) == seed_n;
		if (out != NULL)
			fclose(out);
	}
	return ok;
}

static bool run_folder(const char *folder, const char *write_to, unsigned *number)
{
	DIR *dir = opendir(folder);
	bool ok = dir != NULL;

	for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
		char path[1024];
		size_t n = strlen(e->d_name);

		if (n < 5 || strcmp(e->d_name + n - 5, ".wire") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		ok = run_transcript(path, write_to, ++*number);
	}
	if (dir != NULL)
		closedir(dir);
	return ok;
}

static bool run_file(const char *path)
{
	FILE *in = fopen(path, "rb");

	if (in == NULL)
		return false;
	seed_n = fread(seed, 1, sizeof(seed), in);
	fclose(in);
	(void)LLVMFuzzerTestOneInput(seed, seed_n);
	return true;
}

int main(int argc, char **argv)
{
	static const char *const families[] = { "dovecot", "cyrus", "courier", "exchange", "gmail", "broken" };
	const char *top = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
	const char *write_to = argc == 3 && strcmp(argv[1], "-w") == 0 ? argv[2] : NULL;
	unsigned number = 0;

	for (int i = 1; write_to == NULL && i < argc; i++)
		if (!run_file(argv[i]))
			return 1;
	for (size_t i = 0; (argc == 1 || write_to != NULL) && i < sizeof(families) / sizeof(families[0]); i++) {
		char folder[512];

		snprintf(folder, sizeof(folder), "%s/tests/wire/%s", top, families[i]);
		if (!run_folder(folder, write_to, &number))
			return 1;
	}
	printf("%u transcripts\n", number);
	return argc > 1 || number > 0 ? 0 : 1;
}
