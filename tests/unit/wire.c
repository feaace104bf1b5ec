#include "wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"

static bool fail(struct wire *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct wire *w, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(w->error, sizeof(w->error), format, ap);
	va_end(ap);
	return false;
}

/* The lines of the file. */

static void *grown(void *p, size_t n, size_t one)
{
	p = realloc(p, n * one);
	if (p == NULL)
		abort();
	return p;
}

static void add(struct wire *w, bool is_server, struct span bytes)
{
	char **all = is_server ? &w->server : &w->client;
	size_t *n = is_server ? &w->server_n : &w->client_n;

	if (bytes.n == 0)
		return;
	if (w->turn_n == 0 || w->turn[w->turn_n - 1].is_server != is_server) {
		w->turn = grown(w->turn, w->turn_n + 1, sizeof(*w->turn));
		w->turn[w->turn_n++] = (struct wire_turn){ .is_server = is_server, .from = *n };
	}
	w->turn[w->turn_n - 1].n += bytes.n;
	*all = grown(*all, *n + bytes.n, 1);
	memcpy(*all + *n, bytes.p, bytes.n);
	*n += bytes.n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Takes the escapes out, in place. */
static bool unescape(char *line, size_t *n)
{
	size_t to = 0;

	for (size_t i = 0; i < *n; i++) {
		if (line[i] != '%') {
			line[to++] = line[i];
			continue;
		}
		if (*n - i < 3 || hex(line[i + 1]) < 0 || hex(line[i + 2]) < 0)
			return false;
		line[to++] = (char)(hex(line[i + 1]) * 16 + hex(line[i + 2]));
		i += 2;
	}
	*n = to;
	return true;
}

static bool error_lookup(struct span name, int *ret)
{
#define X(error, value, text)                                                                                          \
	if (span_eq(name, SPAN(#error))) {                                                                             \
		*ret = error;                                                                                          \
		return true;                                                                                           \
	}
	PROTO_ERRORS(X)
#undef X
	return false;
}

static bool take_line(struct wire *w, char *line, size_t n)
{
	struct span mark = span_first(span_of(line, n), span_find(span_of(line, n), ':'));
	struct span rest = span_from(span_of(line, n), mark.n + 2);
	uint32_t count = 1;

	if (n == 0 || line[0] == '#')
		return true;
	if (mark.n >= n || (mark.n + 1 < n && line[mark.n + 1] != ' '))
		return false;
	if (span_eq(mark, SPAN("E")))
		return error_lookup(rest, &w->expect);
	if (span_eq(mark, SPAN("O")))
		return span_to_u32(rest, &w->open);
	if (span_eq(mark, SPAN("L line")) && span_to_u32(rest, &count))
		w->line_max = count;
	else if (span_eq(mark, SPAN("L body")) && span_to_u32(rest, &count))
		w->body_max = count;
	if (mark.p[0] == 'L')
		return w->line_max != 0 || w->body_max != 0;
	n -= n > mark.n + 1 ? mark.n + 2 : mark.n + 1;
	if ((mark.p[0] != 'C' && mark.p[0] != 'S') || !unescape((char *)(uintptr_t)rest.p, &n))
		return false;
	if (mark.n > 2 && mark.p[1] == '*' && !span_to_u32(span_from(mark, 2), &count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		add(w, mark.p[0] == 'S', span_of(rest.p, n));
	if (mark.n == 1)
		add(w, mark.p[0] == 'S', SPAN("\r\n"));
	return mark.n == 1 || (mark.n == 2 && mark.p[1] == '-') || mark.p[1] == '*';
}

/* The commands in the client's bytes. */

static void add_action(struct wire *w, enum wire_action_kind kind, size_t from, size_t to)
{
	w->action = grown(w->action, w->action_n + 1, sizeof(*w->action));
	w->action[w->action_n++] = (struct wire_action){ kind, from, span_of(w->client + from, to - from) };
}

/* The literal announced at the end of the line that ends at `end`; false: none. */
static bool announced(const struct wire *w, size_t from, size_t end, uint64_t *size, bool *waits)
{
	size_t open = end - 2;

	if (end - from < 5 || w->client[end - 3] != '}')
		return false;
	while (open > from && w->client[open] != '{')
		open--;
	*waits = w->client[end - 4] != '+';
	return span_to_u64(span_of(w->client + open + 1, end - 3 - (*waits ? 0 : 1) - (open + 1)), size);
}

/* Whether the server's turn behind this offset ends with "+". */
static bool is_asked_for(const struct wire *w, size_t at)
{
	size_t i = 0;

	while (i < w->turn_n && (w->turn[i].is_server || w->turn[i].from + w->turn[i].n <= at))
		i++;
	if (i == 0 || i == w->turn_n || w->turn[i].from != at || !w->turn[i - 1].is_server)
		return false;
	const struct wire_turn *t = &w->turn[i - 1];
	size_t end = t->from + t->n - 2, begin = end;
	while (begin > t->from && w->server[begin - 1] != '\n')
		begin--;
	return w->server[begin] == '+';
}

static size_t line_end(const struct wire *w, size_t from)
{
	struct span rest = span_of(w->client + from, w->client_n - from);
	size_t at = span_find(rest, '\n');

	return at == SIZE_MAX ? SIZE_MAX : from + at + 1;
}

static size_t skip_body(const struct wire *w, size_t end, uint64_t size)
{
	return size > w->client_n - end ? w->client_n : end + (size_t)size;
}

/* An APPEND from its "g1 APPEND name" on; returns where the next command begins. */
static size_t find_messages(struct wire *w, size_t from, size_t name_end)
{
	size_t at = name_end;

	add_action(w, WIRE_COMMAND, from, name_end);
	w->action[w->action_n - 1].at = from;
	for (;;) {
		size_t end = line_end(w, at);
		uint64_t size;
		bool waits;

		if (end == SIZE_MAX)
			return w->client_n;
		if (!announced(w, at, end, &size, &waits)) {
			add_action(w, WIRE_END, at, end);
			return end;
		}
		add_action(w, WIRE_MESSAGE, at, end);
		if (waits && !is_asked_for(w, end))
			return end;
		at = skip_body(w, end, size);
	}
}

static size_t word_end(struct span s, size_t from)
{
	while (from < s.n && s.p[from] != ' ' && s.p[from] != '\r')
		from++;
	return from;
}

static struct span next_word(struct span *s);
static bool take_astring(struct span *s, char *text, struct span *ret);

static bool find_commands(struct wire *w)
{
	size_t at = 0;

	while (at < w->client_n) {
		size_t end = line_end(w, at), from = at;
		struct span line, rest;
		uint64_t size;
		bool waits, refused = false;

		if (end == SIZE_MAX)
			return fail(w, "the client's last line has no end");
		line = rest = span_of(w->client + at, w->client_n - at);
		next_word(&rest);
		if (span_eq(next_word(&rest), SPAN("APPEND"))) {
			char text[256];
			struct span name;

			if (!take_astring(&rest, text, &name))
				return fail(w, "bad name in APPEND");
			at = find_messages(w, at, at + (line.n - rest.n));
			continue;
		}
		while (!refused && announced(w, from, end, &size, &waits)) {
			refused = waits && !is_asked_for(w, end);
			if (refused)
				return fail(w, "a literal in a name is not asked for");
			from = skip_body(w, end, size);
			end = line_end(w, from);
			if (end == SIZE_MAX)
				return fail(w, "the client's last line has no end");
		}
		add_action(w, WIRE_COMMAND, at, end);
		at = end;
	}
	return true;
}

bool wire_read(struct wire *w, const char *path)
{
	FILE *in = fopen(path, "rb");
	char *line = NULL;
	size_t size = 0;
	unsigned number = 0;
	bool ok = true;
	ssize_t n;

	*w = (struct wire){ 0 };
	if (in == NULL)
		return fail(w, "%s cannot be read", path);
	while (ok && (n = getline(&line, &size, in)) >= 0) {
		number++;
		if (n > 0 && line[n - 1] == '\n')
			n--;
		ok = take_line(w, line, (size_t)n);
	}
	fclose(in);
	free(line);
	if (!ok)
		return fail(w, "%s:%u is not understood", path, number);
	return find_commands(w);
}

void wire_free(struct wire *w)
{
	free(w->client);
	free(w->server);
	free(w->turn);
	free(w->action);
	*w = (struct wire){ 0 };
}

/* A command's text back into the call that makes it. */

static struct span next_word(struct span *s)
{
	size_t end;
	struct span word;

	while (s->n > 0 && s->p[0] == ' ')
		*s = span_of(s->p + 1, s->n - 1);
	end = word_end(*s, 0);
	word = span_first(*s, end);
	*s = span_of(s->p + end, s->n - end);
	return word;
}

/* Atom, quoted string or literal; `text` has 256 bytes for what is unescaped. */
static bool take_astring(struct span *s, char *text, struct span *ret)
{
	size_t n = 0, i = 1;
	uint64_t size;

	while (s->n > 0 && s->p[0] == ' ')
		*s = span_of(s->p + 1, s->n - 1);
	if (s->n > 0 && s->p[0] == '{') {
		size_t close = span_find(*s, '}');

		if (close >= s->n || !span_to_u64(span_of(s->p + 1, close - 1 - (s->p[close - 1] == '+')), &size) || size > s->n - close - 3)
			return false;
		*ret = span_of(s->p + close + 3, (size_t)size);
		*s = span_of(ret->p + ret->n, s->n - close - 3 - ret->n);
		return true;
	}
	if (s->n == 0 || s->p[0] != '"') {
		*ret = next_word(s);
		return ret->n != 0;
	}
	for (; i < s->n && s->p[i] != '"' && n < 255; i++) {
		if (s->p[i] == '\\')
			i++;
		text[n++] = s->p[i];
	}
	*ret = span_of(text, n);
	*s = span_of(s->p + i + 1, s->n - i - 1);
	return true;
}

/* Takes "(...)" or what stands before the end of the line. */
static struct span take_list(struct span *s)
{
	struct span t = span_trim(span_first(*s, s->n - 2));
	size_t close = span_find(t, ')');

	if (t.n == 0 || t.p[0] != '(' || close == SIZE_MAX)
		return SPAN_NONE;
	*s = span_of(t.p + close + 1, s->n - (size_t)(t.p + close + 1 - s->p));
	return span_of(t.p + 1, close - 1);
}

struct word {
	const char *name;
	unsigned bit;
};

static unsigned words_in(struct span s, const struct word *table, size_t n)
{
	unsigned bits = 0;

	while (s.n > 0) {
		struct span one = next_word(&s);

		for (size_t i = 0; i < n; i++)
			if (span_eq(one, span_str(table[i].name)))
				bits |= table[i].bit;
	}
	return bits;
}

static const struct word status_words[] = {
	{ "MESSAGES", FS_MESSAGES }, { "UIDNEXT", FS_UIDNEXT }, { "UIDVALIDITY", FS_UIDVALIDITY }, { "UNSEEN", FS_UNSEEN },
	{ "SIZE", FS_SIZE }, { "HIGHESTMODSEQ", FS_HIGHESTMODSEQ }, { "APPENDLIMIT", FS_APPENDLIMIT },
	{ "DELETED", FS_DELETED }, { "RECENT", FS_RECENT },
};
static const struct word fetch_words[] = {
	{ "UID", FETCH_UID }, { "FLAGS", FETCH_FLAGS }, { "INTERNALDATE", FETCH_INTERNALDATE }, { "RFC822.SIZE", FETCH_SIZE },
	{ "MODSEQ", FETCH_MODSEQ }, { "EMAILID", FETCH_EMAILID }, { "BODY.PEEK[HEADER.FIELDS", FETCH_HEADER },
	{ "BODY.PEEK[]", FETCH_BODY },
};
static const struct word list_words[] = {
	{ "SUBSCRIBED", LIST_SUBSCRIBED }, { "SPECIAL-USE", LIST_SPECIAL_USE }, { "CHILDREN", LIST_CHILDREN }, { "STATUS", LIST_STATUS },
};
#define N(table) (sizeof(table) / sizeof((table)[0]))

static int act_list(struct session *s, struct span rest, bool lsub)
{
	char text[256];
	struct span pattern, options;
	unsigned bits, items;
	uint32_t tag;
	size_t at;

	next_word(&rest); /* "" */
	if (!take_astring(&rest, text, &pattern))
		return PROTO_ERR_NAME;
	if (lsub)
		return session_lsub(s, pattern, &tag);
	at = span_search_nocase(rest, SPAN("RETURN ("));
	options = at == SIZE_MAX ? SPAN_NONE : span_from(span_first(rest, rest.n - 3), at + 8);
	bits = words_in(options, list_words, N(list_words));
	at = span_search_nocase(options, SPAN("STATUS ("));
	items = at == SIZE_MAX ? 0 : words_in(span_first(span_from(options, at + 8), options.n - at - 9), status_words, N(status_words));
	return session_list(s, pattern, bits, items, &tag);
}

static int act_fetch(struct session *s, struct span rest, enum command c)
{
	struct span set = next_word(&rest), items = span_from(rest, 2), since;
	uint64_t changed = 0;
	uint32_t tag;
	size_t at = span_search_nocase(items, SPAN(" (CHANGEDSINCE "));

	if (at != SIZE_MAX) {
		since = span_from(items, at + 15);
		if (!span_to_u64(span_first(since, since.n - 3), &changed))
			return PROTO_ERR_NAME;
		items = span_first(items, at + 2);
	}
	items = span_first(items, items.n - 3);
	return session_fetch(s, c, set, words_in(items, fetch_words, N(fetch_words)), changed, &tag);
}

static int act_uid(struct session *s, struct span rest)
{
	struct span verb = next_word(&rest), set, how, list;
	uint32_t tag;
	char text[32];

	if (span_eq(verb, SPAN("FETCH")))
		return act_fetch(s, rest, CMD_UID_FETCH);
	if (span_eq(verb, SPAN("SEARCH"))) {
		rest = span_trim(span_first(rest, rest.n - 2));
		if (span_starts_nocase(rest, SPAN("RETURN (ALL) ")))
			rest = span_from(rest, 13);
		return session_search(s, rest, &tag);
	}
	set = next_word(&rest);
	if (span_eq(verb, SPAN("EXPUNGE")))
		return session_uid_expunge(s, set, &tag);
	how = next_word(&rest);
	list = take_list(&rest);
	if (!span_eq(verb, SPAN("STORE")) || how.n >= sizeof(text))
		return PROTO_ERR_NAME;
	memcpy(text, how.p, how.n);
	text[how.n] = '\0';
	return session_store(s, set, text, list, &tag);
}

static int act_id(struct session *s, struct span rest)
{
	static char text[8][256];
	struct span pair[8], list = take_list(&rest);
	uint32_t tag;
	size_t n = 0;

	while (span_trim(list).n > 0 && n < 8) {
		if (!take_astring(&list, text[n], &pair[n]))
			return PROTO_ERR_NAME;
		n++;
	}
	return session_id(s, pair, n / 2, &tag);
}

static int act_on_folder(struct session *s, struct span verb, struct span rest)
{
	static const enum command folder[] = { CMD_CREATE, CMD_SUBSCRIBE, CMD_UNSUBSCRIBE, CMD_DELETE, CMD_EXAMINE, CMD_SELECT };
	char text[256];
	struct span name;
	uint32_t tag;

	if (!take_astring(&rest, text, &name))
		return PROTO_ERR_NAME;
	if (span_eq(verb, SPAN("APPEND")))
		return session_append_begin(s, name, &tag);
	if (span_eq(verb, SPAN("STATUS")))
		return session_status(s, name, words_in(take_list(&rest), status_words, N(status_words)), &tag);
	for (size_t i = 0; i < N(folder); i++)
		if (span_eq(verb, span_str(command_name(folder[i]))))
			return session_folder(s, folder[i], name, span_search_nocase(rest, SPAN("(CONDSTORE)")) != SIZE_MAX, &tag);
	return PROTO_ERR_NAME;
}

static int act_command(struct session *s, struct span text)
{
	static const enum command simple[] = { CMD_NOOP, CMD_CAPABILITY, CMD_NAMESPACE, CMD_UNSELECT, CMD_CLOSE, CMD_LOGOUT, CMD_UNAUTHENTICATE };
	struct span rest = text, verb;
	uint32_t tag;

	next_word(&rest);
	verb = next_word(&rest);
	for (size_t i = 0; i < N(simple); i++)
		if (span_eq(verb, span_str(command_name(simple[i]))))
			return session_simple(s, simple[i], &tag);
	if (span_eq(verb, SPAN("COMPRESS")))
		return session_simple(s, CMD_COMPRESS, &tag);
	if (span_eq(verb, SPAN("ENABLE")))
		return session_enable(s, span_trim(span_first(rest, rest.n - 2)), &tag);
	if (span_eq(verb, SPAN("ID")))
		return act_id(s, rest);
	if (span_eq(verb, SPAN("LIST")) || span_eq(verb, SPAN("LSUB")))
		return act_list(s, rest, verb.p[1] == 'S');
	if (span_eq(verb, SPAN("FETCH")))
		return act_fetch(s, rest, CMD_FETCH);
	if (span_eq(verb, SPAN("UID")))
		return act_uid(s, rest);
	return act_on_folder(s, verb, rest);
}

static int act_message(struct session *s, struct span rest)
{
	struct append_message m = { 0 };
	char text[256];
	size_t open;

	m.flags = take_list(&rest);
	rest = span_trim(span_first(rest, rest.n - 2));
	if (rest.n > 0 && rest.p[0] == '"' && !take_astring(&rest, text, &m.date))
		return PROTO_ERR_NAME;
	rest = span_trim(rest);
	m.binary = rest.n > 0 && rest.p[0] == '~';
	open = m.binary ? 2 : 1;
	if (rest.n < open + 2 || !span_to_u64(span_of(rest.p + open, rest.n - open - 1 - (rest.p[rest.n - 2] == '+')), &m.size))
		return PROTO_ERR_NAME;
	return session_append_message(s, &m);
}

int wire_act(const struct wire_action *a, struct session *s)
{
	switch (a->kind) {
	case WIRE_COMMAND:
		return act_command(s, a->text);
	case WIRE_MESSAGE:
		return act_message(s, a->text);
	case WIRE_END:
		break;
	}
	return session_append_end(s);
}
