#include <criterion/criterion.h>
#include <stdlib.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"
#include "name.h"

TestSuite(name, .fini = leaks_check);

static struct name_style style_of(char delimiter, const char *prefix)
{
	return (struct name_style){ .delimiter = delimiter, .prefix = span_str(prefix) };
}

static void assert_path(const char *wire, struct name_style style, const char *path)
{
	struct buf b = { .cap = 1000 };

	cr_assert_eq(buf_add_char(&b, '>'), 0);
	cr_assert_eq(name_to_path(&b, span_str(wire), &style), 0, "%s", wire);
	cr_assert(span_eq(span_from(buf_span(&b), 1), span_str(path)), "%s: %.*s, not >%s", wire,
		  SPAN_ARG(buf_span(&b)), path);
	buf_done(&b);
}

static void assert_wire(const char *path, struct name_style style, const char *wire)
{
	struct buf b = { .cap = 1000 };

	cr_assert_eq(buf_add_char(&b, '>'), 0);
	cr_assert_eq(name_from_path(&b, span_str(path), &style), 0, "%s", path);
	cr_assert(span_eq(span_from(buf_span(&b), 1), span_str(wire)), "%s: %.*s, not >%s", path,
		  SPAN_ARG(buf_span(&b)), wire);
	buf_done(&b);
}

static void assert_no_wire(const char *path, struct name_style style)
{
	struct buf b = { .cap = 1000 };

	cr_assert_eq(buf_add_char(&b, '>'), 0);
	cr_assert_eq(name_from_path(&b, span_str(path), &style), PROTO_ERR_NAME, "%s", path);
	cr_assert(span_eq(buf_span(&b), SPAN(">")));
	buf_done(&b);
}

static void assert_both(const char *wire, struct name_style style, const char *path)
{
	assert_path(wire, style, path);
	assert_wire(path, style, wire);
}

Test(name, both_ways)
{
	assert_both("INBOX", style_of('/', ""), "INBOX");
	assert_both("INBOX/a", style_of('/', ""), "INBOX/a");
	assert_both("a/b/c", style_of('/', ""), "a/b/c");
	assert_both("a.b.c", style_of('.', ""), "a/b/c");
	assert_both("a\\b\\c", style_of('\\', ""), "a/b/c");
	assert_both("a/b", style_of('.', ""), "a\\/b");
	assert_both("a\\b", style_of('.', ""), "a\\\\b");
	assert_both("a\\b", style_of('/', ""), "a\\\\b");
	assert_both("\\/\\.//", style_of('.', ""), "\\\\\\/\\\\/\\/\\/");
	assert_both("a.b", style_of('/', ""), "a.b");
	assert_both("a/b.c\\d", style_of(0, ""), "a\\/b.c\\\\d");
	assert_both("&U,BTFw-/&ZeVnLIqe-", style_of('/', ""),
		    "\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	assert_both("R&-D.x&-", style_of('.', ""), "R&D/x&");
	assert_both(" a / b ", style_of('/', ""), " a / b ");
	assert_both("a/INBOX", style_of('/', ""), "a/INBOX");
	assert_both("a/inbox", style_of('/', ""), "a/inbox");
}

Test(name, the_prefix_is_not_part_of_the_path)
{
	assert_both("INBOX", style_of('.', "INBOX."), "INBOX");
	assert_both("INBOX.Sent", style_of('.', "INBOX."), "Sent");
	assert_both("INBOX.Sent.2020", style_of('.', "INBOX."), "Sent/2020");
	assert_both("INBOX/Sent", style_of('/', "INBOX/"), "Sent");
	assert_both("user.x.Sent", style_of('.', "user.x."), "Sent");
	assert_both("INBOX", style_of('.', "user.x."), "INBOX");
	assert_path("inbox.Sent", style_of('.', "INBOX."), "Sent");
	assert_path("Inbox", style_of('.', "INBOX."), "INBOX");
	assert_path("USER.x.Sent", style_of('.', "user.x."), "USER/x/Sent");
	assert_path("shared.Sent", style_of('.', "INBOX."), "shared/Sent");
	assert_path("INBOXES", style_of('.', "INBOX."), "INBOXES");
	assert_path("INBOX.", style_of('.', "INBOX."), "INBOX/");
	assert_both("#mh/a", style_of('/', "#mh/"), "a");
}

Test(name, no_two_names_become_inbox)
{
	assert_both("INBOX.INBOX", style_of('.', "INBOX."), "INBOX/INBOX");
	assert_both("INBOX.inbox", style_of('.', "INBOX."), "INBOX/inbox");
	assert_both("INBOX.INBOX.INBOX", style_of('.', "INBOX."), "INBOX/INBOX/INBOX");
	assert_both("INBOX.INBOX.a", style_of('.', "INBOX."), "INBOX/a");
	assert_both("INBOX.INBOX.INBOX.a", style_of('.', "INBOX."), "INBOX/INBOX/a");
	assert_both("user.x.INBOX", style_of('.', "user.x."), "user/x/INBOX");
	assert_both("user.x.INBOX.INBOX", style_of('.', "user.x."), "INBOX/INBOX");
	assert_both("user.x.user.x.INBOX", style_of('.', "user.x."), "user/x/user/x/INBOX");
	assert_both("user.x.user.x.a", style_of('.', "user.x."), "user/x/a");
	assert_both("user.x.INBOX.a", style_of('.', "user.x."), "INBOX/a");
	assert_both("INBOX/INBOX", style_of('/', ""), "INBOX/INBOX");
}

Test(name, inbox_is_written_in_capitals)
{
	assert_path("inbox", style_of('/', ""), "INBOX");
	assert_path("iNbOx/a", style_of('/', ""), "INBOX/a");
	assert_path("inboxes/a", style_of('/', ""), "inboxes/a");
	assert_path("inbox", style_of(0, ""), "INBOX");
	assert_path("inbox/a", style_of(0, ""), "inbox\\/a");
	assert_wire("inbox", style_of('.', "INBOX."), "INBOX");
	assert_wire("Inbox/a", style_of('.', ""), "INBOX.a");
}

Test(name, a_strange_name_is_taken_as_it_is)
{
	assert_path("R&D/a", style_of('/', ""), "R&D/a");
	assert_path("a&b.&ZeVnLIqe-", style_of('.', ""), "a&b/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	assert_path("Gel\xc3\xb6scht", style_of('/', ""), "Gel\xc3\xb6scht");
	assert_path("Gel\xf6scht", style_of('/', ""), "Gel\xef\xbf\xbdscht");
	assert_path("\xff\xc3\xb6\xc3/\xe2\x98", style_of('/', ""),
		    "\xef\xbf\xbd\xc3\xb6\xef\xbf\xbd/\xef\xbf\xbd\xef\xbf\xbd");
	assert_path("&\\/", style_of('.', ""), "&\\\\\\/");
	assert_path("a//b/", style_of('/', ""), "a//b/");
	assert_path("/a", style_of('/', ""), "/a");
	assert_path("", style_of('/', ""), "");
}

Test(name, utf8_accept)
{
	struct name_style utf8 = { .delimiter = '/', .prefix = SPAN("INBOX/"), .utf8 = true };

	assert_both("INBOX/Gel\xc3\xb6scht/R&D", utf8, "Gel\xc3\xb6scht/R&D");
	assert_both("INBOX/&ZeVnLIqe-", utf8, "&ZeVnLIqe-");
	assert_both("INBOX", utf8, "INBOX");
	assert_path("INBOX/a\xff", utf8, "a\xef\xbf\xbd");
	assert_no_wire("a\nb", utf8);
	assert_no_wire("a\x7f", utf8);
	assert_no_wire("a\xff", utf8);
	assert_no_wire("a\xed\xa0\x80", utf8);
}

Test(name, what_a_server_cannot_express)
{
	assert_no_wire("", style_of('/', ""));
	assert_no_wire("/", style_of('/', ""));
	assert_no_wire("/a", style_of('/', ""));
	assert_no_wire("a/", style_of('/', ""));
	assert_no_wire("a//b", style_of('/', ""));
	assert_no_wire("a\\/b", style_of('/', ""));
	assert_no_wire("a/b.c", style_of('.', ""));
	assert_no_wire("a.b", style_of('.', "INBOX."));
	assert_no_wire("a\\\\b", style_of('\\', ""));
	assert_no_wire("a/b", style_of(0, ""));
	assert_no_wire("a\xff", style_of('/', ""));
	assert_no_wire("\xc0\x80", style_of('/', ""));
	assert_no_wire("a\\", style_of('/', ""));
	assert_no_wire("a\\b", style_of('/', ""));
	assert_no_wire("a\\/", style_of('/', ""));
	/* A delimiter that modified UTF-7 needs itself. */
	assert_no_wire("R&D", style_of('&', ""));
	assert_no_wire("\xc3\xb6", style_of('-', ""));
	assert_wire("a/b", style_of('-', ""), "a-b");
	/* The prefix is the server's own: a delimiter within it is no level of the path. */
	assert_wire("a", style_of(0, "x/y"), "x/ya");
}

Test(name, within)
{
	static const struct {
		const char *wire, *prefix;
		bool within;
	} rows[] = {
		{ "INBOX", "INBOX.", true },       { "inbox", "INBOX.", true },    { "INBOX.a", "INBOX.", true },
		{ "inbox.a", "INBOX.", true },     { "INBOX.", "INBOX.", false },  { "INBOXES", "INBOX.", false },
		{ "shared.a", "INBOX.", false },   { "a", "INBOX.", false },       { "a", "", true },
		{ "INBOX", "user.x.", true },      { "user.x.a", "user.x.", true }, { "user.y.a", "user.x.", false },
		{ "USER.x.a", "user.x.", false },  { "user.x", "user.x.", false }, { "INBOX.a", "user.x.", false },
		{ "inBOX.x.a", "INBOX.x.", true }, { "INBOX.X.a", "INBOX.x.", false }, { "", "", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct name_style style = style_of('.', rows[i].prefix);

		cr_assert_eq(name_is_within(span_str(rows[i].wire), &style), rows[i].within, "%s in %s", rows[i].wire,
			     rows[i].prefix);
	}
}

Test(name, parent)
{
	cr_assert_eq(name_parent(SPAN("a/b/c")), 3);
	cr_assert_eq(name_parent(SPAN("a/b")), 1);
	cr_assert_eq(name_parent(SPAN("abc")), 0);
	cr_assert_eq(name_parent(SPAN_NONE), 0);
	cr_assert_eq(name_parent(SPAN("a\\/b")), 0);
	cr_assert_eq(name_parent(SPAN("a\\/b/c\\/d")), 4);
	cr_assert_eq(name_parent(SPAN("a\\\\/b")), 3);
	cr_assert_eq(name_parent(SPAN("a\\\\\\/b")), 0);
	cr_assert_eq(name_parent(SPAN("a\\")), 0);
	cr_assert_eq(name_parent(SPAN("a/")), 1);
}

/* All paths that a few awkward levels make, in every style: to the wire and back, and no two with one wire name. */
static const char *const levels[] = { "INBOX", "a", "x/y", "x.y", "x\\y", "\\", "/", "\xc3\xb6&", " ",
				      "inboxes", "user", "x" };
enum {
	LEVEL_N = sizeof(levels) / sizeof(levels[0]),
	PATH_MAX_N = LEVEL_N * LEVEL_N * LEVEL_N + LEVEL_N * LEVEL_N + LEVEL_N,
};

static void append_escaped(struct buf *path, const char *level)
{
	for (; *level != '\0'; level++) {
		if (*level == '/' || *level == '\\')
			cr_assert_eq(buf_add_char(path, '\\'), 0);
		cr_assert_eq(buf_add_char(path, *level), 0);
	}
}

/* The i-th path; false when a level holds the delimiter or there are too many levels. */
static bool make_path(size_t i, char delimiter, struct buf *path)
{
	bool possible = true;

	for (size_t n = 0;; n++) {
		const char *level = levels[i % LEVEL_N];

		append_escaped(path, level);
		possible = possible && (delimiter == 0 || strchr(level, delimiter) == NULL);
		if (i < LEVEL_N)
			return possible && (delimiter != 0 || n == 0);
		i = i / LEVEL_N - 1;
		cr_assert_eq(buf_add_char(path, '/'), 0);
	}
}

static int compare_texts(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static void round_trip_all(const struct name_style *style)
{
	static struct span wires[PATH_MAX_N];
	struct buf all = { .cap = 1 << 20 };
	size_t n = 0;
	char *unused;

	cr_assert_eq(buf_reserve(&all, 1 << 19, &unused), 0);
	for (size_t i = 0; i < PATH_MAX_N; i++) {
		struct buf path = { .cap = 200 }, wire = { .cap = 200 }, back = { .cap = 200 };
		bool possible = make_path(i, style->delimiter, &path);

		cr_assert_eq(name_from_path(&wire, buf_span(&path), style), possible ? 0 : PROTO_ERR_NAME, "%.*s",
			     SPAN_ARG(buf_span(&path)));
		if (possible) {
			size_t from = all.n;

			cr_assert_eq(name_to_path(&back, buf_span(&wire), style), 0);
			cr_assert(span_eq(buf_span(&back), buf_span(&path)), "%.*s, not %.*s", SPAN_ARG(buf_span(&back)),
				  SPAN_ARG(buf_span(&path)));
			cr_assert(name_is_within(buf_span(&wire), style));
			cr_assert_eq(buf_append(&all, buf_span(&wire)), 0);
			wires[n++] = span_from(buf_span(&all), from);
		}
		buf_done(&path);
		buf_done(&wire);
		buf_done(&back);
	}
	cr_assert_geq(n, style->delimiter != 0 ? 500 : LEVEL_N);
	qsort(wires, n, sizeof(wires[0]), compare_texts);
	for (size_t i = 1; i < n; i++)
		cr_assert(!span_eq(wires[i], wires[i - 1]), "%.*s twice", SPAN_ARG(wires[i]));
	buf_done(&all);
}

Test(name, round_trips_in_every_style)
{
	static const struct {
		char delimiter;
		const char *prefix;
	} styles[] = {
		{ '/', "" }, { '.', "" }, { '\\', "" }, { 0, "" }, { '.', "INBOX." }, { '/', "INBOX/" },
		{ '\\', "INBOX\\" },
		{ '.', "user.x." }, { '/', "user/x/" },
	};

	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
		struct name_style style = style_of(styles[i].delimiter, styles[i].prefix);

		round_trip_all(&style);
		style.utf8 = true;
		round_trip_all(&style);
	}
}

static void with_each_failure(int (*function)(struct buf *, struct span, const struct name_style *), const char *in,
			      const char *wanted)
{
	struct name_style style = style_of('.', "INBOX.");
	size_t length = strlen(wanted);

	for (size_t cap = 1; cap <= length + 1; cap++) {
		struct buf b = { .cap = cap };
		int err;

		cr_assert_eq(buf_add_char(&b, 'x'), 0);
		err = function(&b, span_str(in), &style);
		cr_assert_eq(err, cap < length + 1 ? PROTO_ERR_CAP : 0, "cap %zu: %d", cap, err);
		cr_assert_eq(b.n, cap < length + 1 ? 1 : length + 1);
		buf_done(&b);
	}
	for (size_t n = 1;; n++) {
		struct buf b = { .cap = 1000 };
		int err;

		failmalloc_arm(n);
		err = function(&b, span_str(in), &style);
		failmalloc_disarm();
		cr_assert_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		cr_assert(span_eq(buf_span(&b), err != 0 ? SPAN_NONE : span_str(wanted)));
		buf_done(&b);
		if (err == 0) {
			cr_assert_gt(n, 2);
			break;
		}
	}
}

Test(name, caps_and_failed_allocations_append_nothing)
{
	const char *wire = "INBOX.&U,BTFw-.R&D\\/.0123456789012345678901234567890123456789012345678901234567890123456789\\/";
	const char *path = "\xe5\x8f\xb0\xe5\x8c\x97/R\\/D/0123456789012345678901234567890123456789012345678901234567890123456789";

	with_each_failure(name_to_path, wire,
			  "\xe5\x8f\xb0\xe5\x8c\x97/R&D\\\\\\//"
			  "0123456789012345678901234567890123456789012345678901234567890123456789\\\\\\/");
	with_each_failure(name_from_path, path,
			  "INBOX.&U,BTFw-.R/D.0123456789012345678901234567890123456789012345678901234567890123456789");
}
