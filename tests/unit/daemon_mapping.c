/* mapping: where each folder goes, by roles, rules, what was brought before, and what the target can have. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "error.h"
#include "failmalloc.h"
#include "leaks.h"
#include "mapping.h"
#include "mapping_name.h"

TestSuite(mapping, .fini = leaks_check);
TestSuite(folder_rules, .fini = leaks_check);

#define NS ATTR_BIT(NOSELECT)

struct side_folder {
	const char *wire;
	uint32_t attrs;
};

#define SIDE(...) ((const struct side_folder[]){ __VA_ARGS__, { NULL, 0 } })

static int by_path(const void *a, const void *b)
{
	return span_cmp(((const struct survey_folder *)a)->path, ((const struct survey_folder *)b)->path);
}

static void survey_make(struct survey *s, enum side side, char delimiter, const char *prefix, const struct side_folder *f)
{
	survey_init(s, side);
	s->style = (struct name_style){ .delimiter = delimiter, .prefix = span_str(prefix) };
	s->folder = calloc(40, sizeof(*s->folder));
	for (; f->wire != NULL; f++) {
		struct survey_folder *made = &s->folder[s->folder_n++];
		struct buf path;

		buf_init(&path, 1000);
		cr_assert(name_to_path(&path, span_str(f->wire), &s->style) == 0);
		*made = (struct survey_folder){ .wire = span_str(f->wire), .attrs = f->attrs, .delimiter = delimiter };
		cr_assert(arena_copy(&s->memory, buf_span(&path), &made->path) == 0);
		buf_done(&path);
	}
	qsort(s->folder, s->folder_n, sizeof(*s->folder), by_path);
}

/* What a test says of a mapping. */
struct given {
	const struct side_folder *source, *target;
	char source_delimiter, target_delimiter; /* 0: '/'; 'N': NIL */
	const char *target_prefix, *target_foreign;
	struct conf_migration rules;
	const struct ledger_folder *row;
	size_t row_n;
};

#define LIST(...) { .item = (const char *[]){ __VA_ARGS__ }, .n = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), .line = 7 }

static char delimiter_of(char c)
{
	return c == 0 ? '/' : c == 'N' ? 0 : c;
}

static void write_entry(FILE *out, const struct mapping_entry *e)
{
	static const char *const by[] = { "", " (ledger)", " (map)", " (role)" };

	fprintf(out, "%.*s", SPAN_ARG(e->from->path));
	if (e->excluded) {
		fputs(" -\n", out);
		return;
	}
	if (e->twin) {
		fputs(" twin\n", out);
		return;
	}
	if (!span_eq(e->path, e->from->path))
		fprintf(out, " > %.*s", SPAN_ARG(e->path));
	fprintf(out, "%s%s%s", by[e->by], e->use ? " use " : "", e->use ? role_name(e->role) : "");
	if (e->renamed != NULL)
		fprintf(out, " renamed");
	if (e->spare.n != 0)
		fprintf(out, " or %.*s", SPAN_ARG(e->spare));
	if (e->wanted.n != 0)
		fprintf(out, " not %.*s", SPAN_ARG(e->wanted));
	fputs(e->to != NULL ? "\n" : " new\n", out);
}

/* One line for each folder: "SOURCE > TARGET (who decided)", and "new" where the target does not have it. */
static void expect(const struct given *g, const char *right)
{
	struct survey from, to;
	struct conf_error err = { "" };
	struct folder_rules *rules = folder_rules_new(&g->rules, "f", &err);
	struct mapping m;
	struct arena memory;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	cr_assert(rules != NULL, "%s", err.text);
	survey_make(&from, SOURCE, delimiter_of(g->source_delimiter), "", g->source);
	survey_make(&to, TARGET, delimiter_of(g->target_delimiter), g->target_prefix, g->target);
	if (g->target_foreign != NULL)
		to.foreign[to.foreign_n++] = span_str(g->target_foreign);
	arena_init(&memory, 1 << 20);
	cr_assert(mapping_make(&m, rules, &from, &to, g->row, g->row_n, &memory) == 0);
	for (size_t i = 0; i < m.entry_n; i++)
		if (!m.entry[i].level)
			write_entry(out, &m.entry[i]);
	if (m.conflict[0] != NULL) {
		char words[300];

		mapping_print_conflict(&m, words, sizeof(words));
		fprintf(out, "%s\n", words);
	}
	fclose(out);
	cr_expect_str_eq(text, right);
	free(text);
	arena_done(&memory);
	survey_done(&from);
	survey_done(&to);
	folder_rules_free(&rules);
}

#define EXPECT(right, ...) expect(&(const struct given){ __VA_ARGS__ }, right)

Test(mapping, as_they_are)
{
	EXPECT("A new\nA/b new\nINBOX\n", .source = SIDE({ "INBOX", 0 }, { "A", 0 }, { "A/b", 0 }), .target = SIDE({ "INBOX", 0 }));
	EXPECT("A/b new\nINBOX\n", .source = SIDE({ "inbox", 0 }, { "A", NS }, { "A/b", 0 }), .target = SIDE({ "InBox", 0 }));
	EXPECT("A new\nINBOX\nINBOX/x new\n", .source = SIDE({ "INBOX", 0 }, { "INBOX.x", 0 }, { "A", 0 }), .source_delimiter = '.',
		.target = SIDE({ "INBOX", 0 }), .target_delimiter = '.', .target_prefix = "INBOX.");
	/* It is there, but cannot be opened. */
	EXPECT("A new\n", .source = SIDE({ "A", 0 }), .target = SIDE({ "A", NS }));
}

Test(mapping, roles_by_attributes)
{
	EXPECT("Ausgang > Sent (role)\nINBOX\nWeg > Papierkorb (role)\n",
		.source = SIDE({ "INBOX", 0 }, { "Ausgang", ATTR_BIT(SENT) }, { "Weg", ATTR_BIT(TRASH) | ATTR_BIT(HASNOCHILDREN) }),
		.target = SIDE({ "INBOX", 0 }, { "Sent", ATTR_BIT(SENT) }, { "Papierkorb", ATTR_BIT(TRASH) }));
	/* What is below goes along. */
	EXPECT("Ausgang > Sent (role)\nAusgang/2019 > Sent/2019 new\nAusgang/2019/x > Sent/2019/x new\nAusgang2 new\n",
		.source = SIDE({ "Ausgang", ATTR_BIT(SENT) }, { "Ausgang/2019", 0 }, { "Ausgang/2019/x", 0 }, { "Ausgang2", 0 }),
		.target = SIDE({ "Sent", ATTR_BIT(SENT) }));
	/* Where the target has none it is made for it, by its own name. */
	EXPECT("Ausgang use \\Sent new\n", .source = SIDE({ "Ausgang", ATTR_BIT(SENT) }), .target = SIDE({ "INBOX", 0 }));
	/* Attributes count more than names. */
	EXPECT("Ausgang > Post (role)\nSent\n", .source = SIDE({ "Ausgang", ATTR_BIT(SENT) }, { "Sent", 0 }),
		.target = SIDE({ "Sent", 0 }, { "Post", ATTR_BIT(SENT) }));
}

Test(mapping, roles_by_names)
{
	EXPECT("Entw\xc3\xbcrfe > Drafts (role)\nGesendete Elemente > Sent Items (role)\nPAPIERKORB > Trash (role)\nSpam > Junk (role)\n",
		.source = SIDE({ "Gesendete Elemente", 0 }, { "Entw&APw-rfe", 0 }, { "PAPIERKORB", 0 }, { "Spam", 0 }),
		.target = SIDE({ "Sent Items", 0 }, { "Drafts", 0 }, { "Trash", 0 }, { "Junk", 0 }));
	/* One side says it, the other does not. */
	EXPECT("Gesendet > Sent (role)\n", .source = SIDE({ "Gesendet", 0 }), .target = SIDE({ "Sent", ATTR_BIT(SENT) }));
	EXPECT("[Gmail]/Sent Mail > Sent (role)\n", .source = SIDE({ "[Gmail]", NS }, { "[Gmail]/Sent Mail", ATTR_BIT(SENT) }),
		.target = SIDE({ "Sent", 0 }));
	/* The same name on both sides counts more than any other. */
	EXPECT("Sent Items (role)\n", .source = SIDE({ "Sent Items", 0 }), .target = SIDE({ "Sent", 0 }, { "Sent Items", 0 }));
	EXPECT("Sent (role)\nSent Items\n", .source = SIDE({ "Sent Items", 0 }, { "Sent", 0 }), .target = SIDE({ "Sent", 0 }, { "Sent Items", 0 }));
}

Test(mapping, views_are_roles_only_where_both_sides_say_so)
{
	EXPECT("[Gmail]/Alle Nachrichten new\n", .source = SIDE({ "[Gmail]/Alle Nachrichten", ATTR_BIT(ALL) }), .target = SIDE({ "INBOX", 0 }));
	EXPECT("[Gmail]/Alle Nachrichten > [Gmail]/All Mail (role)\n", .source = SIDE({ "[Gmail]/Alle Nachrichten", ATTR_BIT(ALL) }),
		.target = SIDE({ "[Gmail]/All Mail", ATTR_BIT(ALL) }));
}

Test(mapping, roles_off)
{
	EXPECT("Ausgang new\n", .source = SIDE({ "Ausgang", ATTR_BIT(SENT) }), .target = SIDE({ "Sent", ATTR_BIT(SENT) }),
		.rules = { .special_use = CONF_SPECIAL_USE_OFF });
	/* They are still known. */
	EXPECT("Ausgang -\n", .source = SIDE({ "Ausgang", ATTR_BIT(SENT) }), .target = SIDE({ "Sent", ATTR_BIT(SENT) }),
		.rules = { .special_use = CONF_SPECIAL_USE_OFF, .exclude = LIST("\\sent") });
}

/* A folder that stands in the way of a role moves aside. */
Test(mapping, two_that_would_go_to_one)
{
	EXPECT("Gesendet > Sent (role)\nSent > Sent (2) renamed new\nSent/2019 > Sent (2)/2019 new\n",
		.source = SIDE({ "Gesendet", ATTR_BIT(SENT) }, { "Sent", 0 }, { "Sent/2019", 0 }), .target = SIDE({ "Sent", ATTR_BIT(SENT) }));
	/* Two names on the wire that look the same: one cannot be told from the other. */
	EXPECT("a\xef\xbf\xbd new\na\xef\xbf\xbd twin\n", .source = SIDE({ "a\xfe", 0 }, { "a\xff", 0 }), .target = SIDE({ "INBOX", 0 }));
}

Test(mapping, the_map)
{
	EXPECT("Archive.2019 > Archiv/2019 (map) new\nOld > New/Name (map) new\nOld/x > New/Name/x new\nOlder new\n",
		.source = SIDE({ "Old", 0 }, { "Old/x", 0 }, { "Older", 0 }, { "Archive.2019", 0 }), .target = SIDE({ "INBOX", 0 }),
		.rules = { .map = LIST("Old => New/Name", "/^Archive\\.(.*)$/ => Archiv/\\1", "Old => Never") });
	/* A regular expression fits all of a path; the first rule counts; a role. */
	EXPECT("Old new\nOlder > X (map) new\nSent > Y (map) new\n", .source = SIDE({ "Old", 0 }, { "Older", 0 }, { "Sent", ATTR_BIT(SENT) }),
		.target = SIDE({ "Gesendet", ATTR_BIT(SENT) }), .rules = { .map = LIST("/lde/ => No", "/Ol.*r|Ol/ => X", "\\Sent => Y") });
	/* A level above that nobody lists. */
	EXPECT("Old/x > New/x new\n", .source = SIDE({ "Old/x", 0 }), .target = SIDE({ "INBOX", 0 }), .rules = { .map = LIST("Old => New") });
	EXPECT("INBOX > Post (map) new\n", .source = SIDE({ "INBOX", 0 }), .target = SIDE({ "INBOX", 0 }), .rules = { .map = LIST("Inbox => Post") });
}

Test(mapping, the_prefix)
{
	EXPECT("A > Alt/A new\nINBOX > Alt/INBOX new\nOld > Alt/New (map) new\nSent > Alt/Sent new\n",
		.source = SIDE({ "INBOX", 0 }, { "A", 0 }, { "Old", 0 }, { "Sent", ATTR_BIT(SENT) }),
		.target = SIDE({ "INBOX", 0 }, { "Sent", ATTR_BIT(SENT) }), .rules = { .map = LIST("Old => New"), .prefix = "Alt" });
}

Test(mapping, the_map_may_not_bring_two_to_one)
{
	EXPECT("A > C (map) new\nB > C (map) new\nthe folders \"A\" and \"B\" of the source would both go to \"C\"; the setting map must send them to two\n",
		.source = SIDE({ "A", 0 }, { "B", 0 }), .target = SIDE({ "INBOX", 0 }), .rules = { .map = LIST("/[AB]/ => C") });
	EXPECT("A > B (map) new\nB new\nthe folders \"B\" and \"A\" of the source would both go to \"B\"; the setting map must send them to two\n",
		.source = SIDE({ "A", 0 }, { "B", 0 }), .target = SIDE({ "INBOX", 0 }), .rules = { .map = LIST("A => B") });
	/* What is not taken along does not count. */
	EXPECT("A > B (map) new\nB -\n", .source = SIDE({ "A", 0 }, { "B", 0 }), .target = SIDE({ "INBOX", 0 }),
		.rules = { .map = LIST("A => B"), .exclude = LIST("B") });
}

Test(mapping, include_and_exclude)
{
	EXPECT("A -\nA/b new\nA/b/c -\nINBOX -\nTrash -\nTrash/x -\n",
		.source = SIDE({ "INBOX", 0 }, { "A", 0 }, { "A/b", 0 }, { "A/b/c", 0 }, { "Trash", 0 }, { "Trash/x", 0 }), .target = SIDE({ "INBOX", 0 }),
		.rules = { .include = LIST("A/*", "\\Trash"), .exclude = LIST("\\Trash") });
}

Test(mapping, where_it_was_brought_before_it_goes_on)
{
	const struct ledger_folder row[] = { { .source_path = "Gesendet", .target_path = "Gesendet", .copied = 3 },
		{ .source_path = "A", .target_path = "B", .copied = 0 }, { .source_path = "C", .target_path = "D", .open = true } };

	EXPECT("Gesendet (ledger)\n", .source = SIDE({ "Gesendet", ATTR_BIT(SENT) }),
		.target = SIDE({ "Sent", ATTR_BIT(SENT) }, { "Gesendet", 0 }), .row = row, .row_n = 3);
	/* Not any more on the target: by what holds now. */
	EXPECT("Gesendet > Sent (role)\n", .source = SIDE({ "Gesendet", ATTR_BIT(SENT) }), .target = SIDE({ "Sent", ATTR_BIT(SENT) }), .row = row, .row_n = 3);
	EXPECT("A new\nC > D (ledger)\n", .source = SIDE({ "A", 0 }, { "C", 0 }), .target = SIDE({ "B", 0 }, { "D", 0 }), .row = row, .row_n = 3);
	EXPECT("Gesendet (ledger) not Alt/Gesendet\n", .source = SIDE({ "Gesendet", 0 }), .target = SIDE({ "Gesendet", 0 }), .row = row, .row_n = 3,
		.rules = { .prefix = "Alt" });
	EXPECT("Gesendet (ledger) not X\n", .source = SIDE({ "Gesendet", 0 }), .target = SIDE({ "Gesendet", 0 }), .row = row, .row_n = 3,
		.rules = { .map = LIST("Gesendet => X") });
	EXPECT("Gesendet (ledger)\nPost > Gesendet (map)\nthe folders \"Gesendet\" and \"Post\" of the source would both go to \"Gesendet\"; "
	       "the setting map must send them to two\n", .source = SIDE({ "Gesendet", 0 }, { "Post", 0 }), .target = SIDE({ "Gesendet", 0 }), .row = row, .row_n = 3,
		.rules = { .map = LIST("Post => Gesendet") });
}

Test(mapping, names_that_the_target_cannot_have)
{
	EXPECT("a.b > a_b renamed new\n", .source = SIDE({ "a.b", 0 }), .target = SIDE({ "INBOX", 0 }), .target_delimiter = '.');
	EXPECT("a.b > a_b renamed new\na_b > a_b (2) renamed new\n", .source = SIDE({ "a.b", 0 }, { "a_b", 0 }), .target = SIDE({ "INBOX", 0 }),
		.target_delimiter = '.');
	EXPECT("A/B > A_B renamed new\n", .source = SIDE({ "A", NS }, { "A/B", 0 }), .target = SIDE({ "INBOX", 0 }), .target_delimiter = 'N');
	EXPECT("INBOX\nINBOX/x > INBOX_x renamed new\nINBOX/x/y > INBOX_x/y new\n", .source = SIDE({ "INBOX", 0 }, { "INBOX/x", 0 }, { "INBOX/x/y", 0 }),
		.target = SIDE({ "INBOX", ATTR_BIT(NOINFERIORS) }));
	EXPECT("shared/x > shared (2)/x renamed new\n", .source = SIDE({ "shared", NS }, { "shared/x", 0 }), .target = SIDE({ "INBOX", 0 }),
		.target_foreign = "shared/");
}

Test(mapping, names_that_the_target_may_refuse_have_a_spare)
{
	EXPECT(" a  b or a b new\n", .source = SIDE({ " a  b", 0 }), .target = SIDE({ "INBOX", 0 }));
	EXPECT("50% off or 50_ off new\n", .source = SIDE({ "50% off", 0 }), .target = SIDE({ "INBOX", 0 }));
	/* What the target has shows what became of it. */
	EXPECT("50% off > 50_ off renamed\n", .source = SIDE({ "50% off", 0 }), .target = SIDE({ "50_ off", 0 }));
	EXPECT("50% off\n", .source = SIDE({ "50% off", 0 }), .target = SIDE({ "50_ off", 0 }, { "50% off", 0 }));
	/* Another one has that name. */
	EXPECT("50% off or 50_ off (2) new\n50_ off\n", .source = SIDE({ "50% off", 0 }, { "50_ off", 0 }), .target = SIDE({ "50_ off", 0 }));
	/* Microsoft's and Gmail's own. */
	EXPECT("Files or Files (2) new\nMy Files new\n", .source = SIDE({ "Files", 0 }, { "My Files", 0 }), .target = SIDE({ "INBOX", 0 }));
	EXPECT("Files > Files (2) renamed\n", .source = SIDE({ "Files", 0 }), .target = SIDE({ "Files (2)", 0 }));
	EXPECT("Files > Files (2) renamed\nFiles 3 new\nFiles/x > Files (2)/x new\nFiles/x/y > Files (2)/x/y\n",
		.source = SIDE({ "Files", 0 }, { "Files 3", 0 }, { "Files/x", 0 }, { "Files/x/y", 0 }),
		.target = SIDE({ "Files (2)", 0 }, { "Files (2)/x/y", 0 }));
	/* Case. */
	EXPECT("ABC or ABC (2) new\n", .source = SIDE({ "ABC", 0 }), .target = SIDE({ "Abc", 0 }));
	EXPECT("ABC new\nabc or abc (2) new\n", .source = SIDE({ "ABC", 0 }, { "abc", 0 }), .target = SIDE({ "INBOX", 0 }));
	EXPECT("ABC\nabc\n", .source = SIDE({ "ABC", 0 }, { "abc", 0 }), .target = SIDE({ "ABC", 0 }, { "abc", 0 }));
}

Test(mapping, subscriptions)
{
	struct survey from, to;
	struct conf_migration conf = { .map = LIST("Old => New"), .exclude = LIST("Gone/**") };
	struct conf_error err;
	struct folder_rules *rules = folder_rules_new(&conf, "f", &err);
	struct mapping m;
	struct arena memory;
	struct span path;

	survey_make(&from, SOURCE, '/', "", SIDE({ "Old", 0 }, { "Gone/x", 0 }, { "Ausgang", ATTR_BIT(SENT) }));
	survey_make(&to, TARGET, '/', "", SIDE({ "Sent", ATTR_BIT(SENT) }));
	arena_init(&memory, 1 << 20);
	cr_assert(mapping_make(&m, rules, &from, &to, NULL, 0, &memory) == 0);
	cr_expect(mapping_subscription(&m, SPAN("Ausgang"), &path) && span_eq(path, SPAN("Sent")));
	cr_expect(mapping_subscription(&m, SPAN("Old"), &path) && span_eq(path, SPAN("New")));
	cr_expect(mapping_subscription(&m, SPAN("Old/not there"), &path) && span_eq(path, SPAN("New/not there")));
	cr_expect(!mapping_subscription(&m, SPAN("Gone/x"), &path));
	cr_expect(!mapping_subscription(&m, SPAN("Gone/y"), &path));
	arena_done(&memory);
	survey_done(&from);
	survey_done(&to);
	folder_rules_free(&rules);
}

/* Whatever allocation fails, that is said, and nothing is lost. */
Test(mapping, out_of_memory)
{
	const struct ledger_folder row = { .source_path = "Kept", .target_path = "Kept", .copied = 1 };
	struct conf_migration conf = { .map = LIST("/Old(.*)/ => New\\1", "Kept => Other"), .exclude = LIST("Gone/**") };
	struct survey from, to;
	struct conf_error err;
	struct folder_rules *rules = folder_rules_new(&conf, "f", &err);
	size_t n = 0;

	survey_make(&from, SOURCE, '/', "", SIDE({ "Old", 0 }, { "Gone/x", 0 }, { "Ausgang", ATTR_BIT(SENT) }, { "50% off", 0 }, { "v1.2", 0 }, { "Kept", 0 }));
	survey_make(&to, TARGET, '.', "", SIDE({ "Sent", ATTR_BIT(SENT) }, { "Kept", 0 }));
	to.foreign[to.foreign_n++] = SPAN("shared.");
	do {
		struct mapping m;
		struct arena memory;
		int rc;

		arena_init(&memory, 1 << 20);
		failmalloc_arm(++n);
		rc = mapping_make(&m, rules, &from, &to, &row, 1, &memory);
		failmalloc_disarm();
		cr_expect_eq(rc, failmalloc_fired() ? PROTO_ERR_NOMEM : 0, "%zu: %d", n, rc);
		arena_done(&memory);
	} while (failmalloc_fired());
	cr_expect(n > 10);
	survey_done(&from);
	survey_done(&to);
	folder_rules_free(&rules);
}

static void expect_plain(const char *path, const char *right)
{
	struct name_style style = { .delimiter = '/' };
	struct arena a;
	struct span made;

	arena_init(&a, 1 << 20);
	cr_assert(mapping_name_plain(span_str(path), &style, &a, &made) == 0);
	cr_expect(span_eq(made, span_str(right)), "%s: %.*s", path, SPAN_ARG(made));
	arena_done(&a);
}

Test(mapping, plain_names)
{
	char level[1000], cut[2000];

	expect_plain("a/b", "a/b");
	expect_plain(" / a b ", "_/a b");
	expect_plain("a\tb\x7f" "c", "a_b_c");
	expect_plain("a\\/b\\\\c", "a_b_c");
	memset(level, 'x', 300);
	level[300] = '\0';
	snprintf(cut, sizeof(cut), "a/%.255s/b", level);
	char path[2000];

	snprintf(path, sizeof(path), "a/%s/b", level);
	expect_plain(path, cut);
	/* Whole characters: 3 bytes on the wire for two bytes of UTF-8, roughly. */
	for (size_t i = 0; i < 400; i += 2)
		memcpy(level + i, "\xc3\xa4", 3);
	struct name_style style = { .delimiter = '/' };
	struct arena a;
	struct span made;
	struct buf wire;

	arena_init(&a, 1 << 20);
	buf_init(&wire, 4000);
	cr_assert(mapping_name_plain(span_str(level), &style, &a, &made) == 0);
	cr_assert(name_from_path(&wire, made, &style) == 0);
	cr_expect(wire.n <= 255 && wire.n >= 248 && made.n % 2 == 0, "%zu", wire.n);
	buf_done(&wire);
	arena_done(&a);
}

static void fits(const char *pattern, const char *path)
{
	cr_expect(folder_rules_fits(span_str(pattern), span_str(path)) == 1, "%s does not fit %s", pattern, path);
}

static void fits_not(const char *pattern, const char *path)
{
	cr_expect(0 == folder_rules_fits(span_str(pattern), span_str(path)), "%s fits %s", pattern, path);
}

Test(folder_rules, patterns)
{
	fits("A", "A");
	fits_not("A", "a");
	fits_not("A", "AB");
	fits_not("A", "A/B");
	fits("A*", "A");
	fits("A*", "ABC");
	fits_not("A*", "A/B");
	fits("A**", "A/B");
	fits("*/B", "A/B");
	fits_not("*/B", "A/A/B");
	fits("**/B", "A/A/B");
	fits("A/**", "A");
	fits("A/**", "A/B/C");
	fits_not("A/**", "AB");
	fits("**", "anything/at all");
	fits("a?c", "abc");
	fits("a?c", "a\xc3\xa4" "c");
	fits("a?c", "a\\/c");
	fits_not("a?c", "a/c");
	fits_not("a?c", "ac");
	fits("a\\*c", "a*c");
	fits_not("a\\*c", "abc");
	fits("a\\/c", "a\\/c");
	fits_not("a\\/c", "a/c");
	fits("a*c", "a\\/c");
	fits_not("", "a");
}

/* A pattern with many stars must not take for ever. */
Test(folder_rules, many_stars, .timeout = 20)
{
	char path[20001];

	memset(path, 'a', 20000);
	path[20000] = '\0';
	fits_not("**a**a**a**a**a**a**a**a**a**a**b", path);
}

static void refuses(struct conf_migration m, const char *right)
{
	struct conf_error err = { "" };
	struct folder_rules *r;

	m.line = 3;
	r = folder_rules_new(&m, "f", &err);
	cr_expect_null(r);
	folder_rules_free(&r);
	cr_expect(strncmp(err.text, right, strlen(right)) == 0, "%s", err.text);
}

Test(folder_rules, what_is_wrong_is_said)
{
	refuses((struct conf_migration){ .map = LIST("a") }, "f:7: map has \"a\"; write \"FROM => TO\"");
	refuses((struct conf_migration){ .map = LIST("a => ") }, "f:7: map has \"a => \"; write \"FROM => TO\"");
	refuses((struct conf_migration){ .map = LIST("a => b//c") }, "f:7: map leads to \"b//c\", which is no folder: levels are divided by /");
	refuses((struct conf_migration){ .map = LIST("a => b\\1") }, "f:7: map leads to \"b\\1\", which is no folder");
	refuses((struct conf_migration){ .map = LIST("/a => b") }, "f:7: map begins with \"/a\", which is no folder");
	refuses((struct conf_migration){ .map = LIST("/a(/ => b") }, "f:7: map has the regular expression /a(/: Unmatched ( or \\(; correct it");
	refuses((struct conf_migration){ .map = LIST("/(a)/ => b\\2") }, "f:7: map leads to \"b\\2\", but /(a)/ has only 1 groups");
	refuses((struct conf_migration){ .map = LIST("\\Sentt => b") }, "f:7: map names \"\\Sentt\", which is no role; write \\\\Sent, ");
	refuses((struct conf_migration){ .include = LIST("a", "/b") }, "f:7: include names \"/b\", which is no pattern for a folder");
	refuses((struct conf_migration){ .exclude = LIST("\\Nothing") }, "f:7: exclude names \"\\Nothing\", which is no role");
	refuses((struct conf_migration){ .prefix = "a/" }, "f:3: prefix is \"a/\", which is no folder");
}

/* No name is that of two roles. */
Test(mapping, role_names)
{
	static const struct {
		enum role role;
		const char *name;
	} names[] = {
#define NAME(role, text) { ROLE_##role, text },
#include "roles.def"
#undef NAME
	};
	unsigned rank;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_expect(role_of_path(span_str(names[i].name), &rank) == names[i].role && rank == i, "%s", names[i].name);
		cr_expect(name_is_path(span_str(names[i].name)), "%s", names[i].name);
	}
	cr_expect(role_of_path(SPAN("INBOX/sent"), &rank) == ROLE_SENT);
	cr_expect(role_of_path(SPAN("[Google Mail]/Papierkorb"), &rank) == ROLE_TRASH);
	cr_expect(role_of_path(SPAN("Work/Sent"), &rank) == ROLE_NONE);
	cr_expect(role_lookup(SPAN("\\junk")) == ROLE_JUNK && role_lookup(SPAN("\\Noselect")) == ROLE_NONE && role_lookup(SPAN("")) == ROLE_NONE);
	cr_expect_str_eq(role_name(ROLE_NONE), "");
}
