#include "overview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX ((size_t)4 << 30)

const char *overview_keep(struct overview *o, const char *text)
{
	struct span copy;

	if (arena_copy(&o->texts, span_of(text, strlen(text) + 1), &copy) != 0)
		abort();
	return copy.p;
}

static struct overview_row *add_row(struct overview *o)
{
	if (o->row_n == o->row_size) {
		o->row_size = o->row_size == 0 ? 64 : o->row_size * 2;
		o->rows = reallocarray(o->rows, o->row_size, sizeof(*o->rows));
		if (o->rows == NULL)
			abort();
	}
	o->rows[o->row_n] = (struct overview_row){ .m = { .state = MAILBOX_QUEUED, .reason = "" } };
	return &o->rows[o->row_n++];
}

/* The migration of this name, n bytes long. There are few. */
static uint32_t find_migration(struct overview *o, const char *name, size_t n)
{
	char *text;

	for (size_t i = 0; i < o->migration_n; i++)
		if (strlen(o->migrations[i]) == n && memcmp(o->migrations[i], name, n) == 0)
			return (uint32_t)i;
	text = strndup(name, n);
	o->migrations = reallocarray(o->migrations, o->migration_n + 1, sizeof(*o->migrations));
	if (text == NULL || o->migrations == NULL)
		abort();
	o->migrations[o->migration_n] = overview_keep(o, text);
	free(text);
	return (uint32_t)o->migration_n++;
}

static void add_lists(struct overview *o)
{
	for (size_t i = 0; i < o->run.list_n; i++) {
		const char *migration = o->run.conf->migrations[i].name;
		uint32_t at = find_migration(o, migration, strlen(migration));

		for (size_t row = 0; row < o->run.lists[i].row_n; row++) {
			struct overview_row *r = add_row(o);
			char *name;

			if (asprintf(&name, "%s/%s", migration, mailboxes_get(&o->run.lists[i], row, MAILBOX_TARGET_USER)) < 0)
				abort();
			r->m.name = overview_keep(o, name);
			r->migration = at;
			r->listed = true;
			free(name);
		}
	}
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct overview_row *rows = arg;

	return strcmp(rows[*(const uint32_t *)a].m.name, rows[*(const uint32_t *)b].m.name);
}

void overview_sort(struct overview *o)
{
	o->by_name = reallocarray(o->by_name, o->row_n + 1, sizeof(*o->by_name));
	if (o->by_name == NULL)
		abort();
	for (size_t i = 0; i < o->row_n; i++)
		o->by_name[i] = (uint32_t)i;
	o->by_name_n = o->row_n;
	if (o->row_n != 0)
		qsort_r(o->by_name, o->row_n, sizeof(*o->by_name), by_name, o->rows);
}

struct overview_row *overview_find(const struct overview *o, const char *name)
{
	size_t lo = 0, hi = o->by_name_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(name, o->rows[o->by_name[mid]].m.name);

		if (cmp == 0)
			return &o->rows[o->by_name[mid]];
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static void take_mailbox(void *arg, const struct ledger_mailbox *m)
{
	struct overview *o = arg;
	struct overview_row *r = overview_find(o, m->name);

	if (r == NULL) {
		const char *slash = strchr(m->name, '/');

		r = add_row(o);
		r->listed = o->ledger != NULL;
		r->migration = find_migration(o, m->name, slash != NULL ? (size_t)(slash - m->name) : strlen(m->name));
	}
	r->m = *m;
	r->m.name = overview_keep(o, m->name);
	r->m.reason = overview_keep(o, m->reason);
	if (r->m.state == MAILBOX_RUNNING && o->owner == 0) {
		r->m.state = MAILBOX_QUEUED;
		r->m.reason = "it was being copied when godwit was ended";
	}
}

static int take_ledger(struct overview *o)
{
	int err;

	overview_sort(o); /* the listed ones: where rows of the ledger find theirs */
	err = ledger_read_mailboxes(o->reader, NULL, take_mailbox, o);
	if (err == LEDGER_OK)
		return 0;
	fprintf(stderr, "%s\n", ledger_reader_error(o->reader));
	return EXIT_LEDGER;
}

void overview_only(struct overview *o, const char *migration)
{
	o->only = reallocarray(o->only, o->only_n + 1, sizeof(*o->only));
	if (o->only == NULL)
		abort();
	o->only[o->only_n++] = migration;
}

static bool is_wanted(const struct overview *o, const char *migration)
{
	size_t i = 0;

	while (i < o->only_n && strcmp(o->only[i], migration) != 0)
		i++;
	return i < o->only_n || o->only_n == 0;
}

static int choose(struct overview *o, const struct verb *c, char **patterns, int n)
{
	bool *met = calloc((size_t)n + 1, sizeof(*met));
	int rc = 0;

	if (met == NULL)
		abort();
	for (size_t i = 0; i < o->only_n && rc == 0; i++) {
		size_t at = 0;

		while (at < o->migration_n && strcmp(o->migrations[at], o->only[i]) != 0)
			at++;
		if (at == o->migration_n)
			rc = command_usage(c, "there is no migration \"%s\"", o->only[i]);
	}
	for (size_t i = 0; i < o->row_n; i++)
		o->rows[i].chosen = run_fits(o->rows[i].m.name, patterns, n, met) &&
			is_wanted(o, o->migrations[o->rows[i].migration]);
	for (int i = 0; i < n && rc == 0; i++)
		if (!met[i])
			rc = command_usage(c, "there is no mailbox \"%s\"", patterns[i]);
	free(met);
	return rc;
}

int overview_open(struct overview *o, const struct verb *c, const char *config, char **patterns, int pattern_n)
{
	struct ledger_failure failure;
	int rc;

	arena_init(&o->texts, TEXTS_MAX);
	if (o->ledger == NULL) {
		rc = run_load(&o->run, config);
		if (rc != 0)
			return rc;
		add_lists(o);
	}
	o->state = o->ledger != NULL ? o->ledger : o->run.conf->state;
	rc = ledger_reader_open(o->state, &o->reader, &failure);
	if (rc != LEDGER_OK && (rc != LEDGER_ABSENT || o->ledger != NULL)) {
		fprintf(stderr, "%s\n", failure.text);
		return EXIT_LEDGER;
	}
	if (rc == LEDGER_OK) {
		o->owner = ledger_owner(o->state);
		rc = take_ledger(o);
		if (rc != 0)
			return rc;
	}
	return choose(o, c, patterns, pattern_n);
}

void overview_close(struct overview *o)
{
	ledger_reader_close(&o->reader);
	free(o->rows);
	free(o->by_name);
	free(o->migrations);
	free(o->only);
	arena_done(&o->texts);
	run_done(&o->run);
	*o = (struct overview){ 0 };
}

struct overview_sum overview_sum(const struct overview *o, size_t migration)
{
	struct overview_sum sum = { 0 };

	for (size_t i = 0; i < o->row_n; i++) {
		const struct overview_row *r = &o->rows[i];

		if (!r->chosen || (migration != SIZE_MAX && r->migration != migration))
			continue;
		sum.mailboxes++;
		sum.state[r->m.state]++;
		sum.unlisted += !r->listed;
		sum.copied += r->m.copied;
		sum.adopted += r->m.adopted;
		sum.bytes += r->m.bytes;
		for (int k = 0; k < SKIP_KIND_N; k++)
			sum.skips[k] += r->m.skips[k];
	}
	return sum;
}
