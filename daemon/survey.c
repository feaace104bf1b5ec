#include "survey.h"

#include "err.h"

#include <stdio.h>
#include <stdlib.h>

#define FOLDERS_MAX 200000
#define MEMORY_MAX (64u << 20)
#define STATUS_FLIGHT 128
#define STATUS_ITEMS (FS_MESSAGES | FS_UIDNEXT | FS_UIDVALIDITY)

/* Where nothing has happened shows in the source's HIGHESTMODSEQ (RFC 7162 section 3.1.7). */
static unsigned status_items(const struct survey *s, struct peer *p)
{
	unsigned items = STATUS_ITEMS;

	if (s->side == SOURCE && peer_has(p, CAP_CONDSTORE))
		items |= FS_HIGHESTMODSEQ;
	/* Without a number among the capabilities each folder has its own (RFC 7889 section 3). */
	if (s->side == TARGET && peer_has(p, CAP_APPENDLIMIT))
		items |= FS_APPENDLIMIT;
	if (s->sizes && (peer_has(p, CAP_STATUS_SIZE) || peer_has(p, CAP_IMAP4REV2)))
		items |= FS_SIZE;
	return items;
}

void survey_init(struct survey *s, enum side side)
{
	memset(s, 0, sizeof(*s));
	s->side = side;
	arena_init(&s->memory, MEMORY_MAX);
}

void survey_done(struct survey *s)
{
	arena_done(&s->memory);
	free(s->folder);
	free(s->subscribed);
	memset(s, 0, sizeof(*s));
}

static int sent(struct survey *s, int err)
{
	if (err == 0)
		s->pending++;
	return err;
}

int survey_start(struct survey *s, struct peer *p)
{
	struct session *ss = peer_session(p);
	unsigned options = 0;
	uint32_t tag;
	int err = 0;

	s->with_status = peer_has(p, CAP_LIST_EXTENDED) && peer_has(p, CAP_LIST_STATUS);
	if (peer_has(p, CAP_NAMESPACE))
		err = sent(s, session_simple(ss, CMD_NAMESPACE, &tag));
	/* A plain LIST has these attributes, too; a LIST with RETURN has what it is asked for (RFC 6154 section 2). */
	if (s->with_status)
		options = peer_has(p, CAP_SPECIAL_USE) ? LIST_STATUS | LIST_SPECIAL_USE : LIST_STATUS;
	if (err == 0)
		err = sent(s, session_list(ss, SPAN("*"), options, status_items(s, p), &tag));
	if (err == 0)
		err = sent(s, session_lsub(ss, SPAN("*"), &tag));
	peer_flush(p);
	return err;
}

static int grow(void **array, size_t *size, size_t n, size_t each)
{
	size_t more = *size == 0 ? 32 : *size * 2;
	void *bigger;

	if (n < *size)
		return 0;
	if (n >= FOLDERS_MAX)
		return PROTO_ERR_CAP;
	bigger = realloc(*array, more * each);
	if (bigger == NULL)
		return PROTO_ERR_NOMEM;
	*array = bigger;
	*size = more;
	return 0;
}

static int add_listed(struct survey *s, const struct resp_list *l)
{
	struct survey_folder f = { .attrs = l->attrs, .delimiter = l->delimiter };
	int err = grow((void **)&s->folder, &s->folder_size, s->folder_n, sizeof(*s->folder));

	if (err == 0)
		err = arena_copy(&s->memory, l->name, &f.wire);
	if (err != 0)
		return err;
	s->folder[s->folder_n++] = f;
	return 0;
}

static int add_subscribed(struct survey *s, const struct resp_list *l)
{
	int err;

	/* LSUB's "%" rule reports parents as \Noselect that are not subscribed themselves (RFC 3501 section 6.3.9). */
	if ((l->attrs & ATTR_BIT(NOSELECT)) != 0)
		return 0;
	err = grow((void **)&s->subscribed, &s->subscribed_size, s->subscribed_n, sizeof(*s->subscribed));
	if (err == 0)
		err = arena_copy(&s->memory, l->name, &s->subscribed[s->subscribed_n]);
	if (err == 0)
		s->subscribed_n++;
	return err;
}

static bool is_inbox(struct span wire)
{
	return span_eq_nocase(wire, SPAN("INBOX"));
}

static struct survey_folder *find_wire(struct survey *s, struct span wire)
{
	/* Answers to STATUS mostly come in the order of the folders, just behind the LIST line in LIST-STATUS. */
	for (size_t i = s->folder_n; i-- > 0;)
		if (span_eq(s->folder[i].wire, wire) || (is_inbox(wire) && is_inbox(s->folder[i].wire)))
			return &s->folder[i];
	return NULL;
}

static void add_status(struct survey *s, const struct session_event *ev)
{
	const struct resp_folder_status *st = &ev->resp.folder_status;
	struct survey_folder *f = NULL;

	if (ev->tag != 0 && ev->command == CMD_STATUS && span_eq(s->folder[ev->user - 1].wire, st->name))
		f = &s->folder[ev->user - 1];
	if (f == NULL)
		f = find_wire(s, st->name);
	if (f == NULL)
		return;
	f->has = st->has;
	f->messages = st->messages;
	f->uidnext = st->uidnext;
	f->uidvalidity = st->uidvalidity;
	f->size = st->size;
	f->modseq = (st->has & FS_HIGHESTMODSEQ) != 0 ? st->highestmodseq : 0;
	f->append_limit = (st->has & FS_APPENDLIMIT) != 0 ? st->append_limit : UINT64_MAX;
}

static int add_namespace(struct survey *s, const struct resp_namespace *ns)
{
	int err = 0;

	s->namespace_known = true;
	if (ns->class[0].n != 0) {
		s->style.delimiter = ns->class[0].entry[0].delimiter;
		err = arena_copy(&s->memory, ns->class[0].entry[0].prefix, &s->style.prefix);
	}
	for (int class = 1; class < 3 && err == 0; class++)
		for (size_t i = 0; i < ns->class[class].n && err == 0; i++)
			if (ns->class[class].entry[i].prefix.n != 0 && s->foreign_n < 16)
				err = arena_copy(&s->memory, ns->class[class].entry[i].prefix,
					&s->foreign[s->foreign_n++]);
	return err;
}

bool survey_is_foreign(const struct survey *s, struct span wire)
{
	for (size_t i = 0; i < s->foreign_n; i++) {
		struct span p = s->foreign[i];

		/* "shared/" also means the root "shared" itself. */
		if (wire.n >= p.n ? span_eq(span_first(wire, p.n), p) : wire.n + 1 == p.n && span_eq(wire, span_first(p, wire.n)))
			return true;
	}
	return false;
}

/* Namespaces may differ in their delimiters. */
static int to_path(struct survey *s, struct span wire, char delimiter, struct span *ret)
{
	struct name_style style = s->style;
	struct buf b;
	int err;

	if (delimiter != 0 && s->all && survey_is_foreign(s, wire))
		style.delimiter = delimiter;
	buf_init(&b, 1u << 20);
	err = name_to_path(&b, wire, &style);
	if (err == 0)
		err = arena_copy(&s->memory, buf_span(&b), ret);
	buf_done(&b);
	return err;
}

static int by_path(const void *a, const void *b)
{
	return span_cmp(((const struct survey_folder *)a)->path, ((const struct survey_folder *)b)->path);
}

static int by_span(const void *a, const void *b)
{
	return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* Names to paths, the personal ones only, each once, sorted: parents come before their children. */
static int settle(struct survey *s)
{
	size_t n = 0;
	int err = 0;

	if (s->style.delimiter == 0)
		for (size_t i = 0; i < s->folder_n && s->style.delimiter == 0; i++)
			s->style.delimiter = s->folder[i].delimiter;
	for (size_t i = 0; i < s->folder_n && err == 0; i++) {
		if (!s->all && survey_is_foreign(s, s->folder[i].wire))
			continue;
		err = to_path(s, s->folder[i].wire, s->folder[i].delimiter, &s->folder[i].path);
		if (err == 0 && s->folder[i].path.n != 0)
			s->folder[n++] = s->folder[i];
	}
	s->folder_n = n;
	if (n != 0)
		qsort(s->folder, n, sizeof(*s->folder), by_path);
	n = 0;
	for (size_t i = 0; i < s->subscribed_n && err == 0; i++) {
		if (!s->all && survey_is_foreign(s, s->subscribed[i]))
			continue;
		err = to_path(s, s->subscribed[i], 0, &s->subscribed[n]);
		if (err == 0 && s->subscribed[n].n != 0)
			n++;
	}
	s->subscribed_n = n;
	if (n != 0)
		qsort(s->subscribed, n, sizeof(*s->subscribed), by_span);
	n = 0;
	for (size_t i = 0; i < s->folder_n; i++)
		/* The same folder listed twice; two names that only look alike as paths stay two. */
		if (n == 0 || !span_eq(s->folder[n - 1].path, s->folder[i].path) ||
			!(span_eq(s->folder[n - 1].wire, s->folder[i].wire) ||
				(is_inbox(s->folder[n - 1].wire) && is_inbox(s->folder[i].wire))))
			s->folder[n++] = s->folder[i];
	s->folder_n = n;
	return err;
}

bool survey_can_open(const struct survey_folder *f)
{
	return (f->attrs & (ATTR_BIT(NOSELECT) | ATTR_BIT(NONEXISTENT))) == 0;
}

/* A second flight for servers without LIST-STATUS, and for those that left a folder out of it. */
static int ask_status(struct survey *s, struct peer *p)
{
	uint32_t tag;
	int err = 0;

	while (s->next_status < s->folder_n && s->pending < STATUS_FLIGHT && err == 0) {
		struct survey_folder *f = &s->folder[s->next_status++];

		if (!survey_can_open(f) || f->has != 0)
			continue;
		err = sent(s, session_status(peer_session(p), f->wire, status_items(s, p), &tag));
		if (err == 0)
			session_set_user(peer_session(p), tag, s->next_status);
	}
	return err;
}

static int take_response(struct survey *s, const struct session_event *ev)
{
	const struct resp *r = &ev->resp;

	switch (r->kind) {
	case RESP_NAMESPACE:
		return s->namespace_known ? 0 : add_namespace(s, &r->namespace);
	case RESP_LIST:
		return s->listed ? 0 : add_listed(s, &r->list);
	case RESP_LSUB:
		return s->listed ? 0 : add_subscribed(s, &r->list);
	case RESP_FOLDER_STATUS:
		add_status(s, ev);
		return 0;
	default:
		return 0;
	}
}

/* True when the answer ends the survey badly. */
static bool take_done(struct survey *s, const struct session_event *ev, struct outcome *why)
{
	const struct resp_status *st = &ev->resp.status;

	s->pending--;
	if (st->status == STATUS_OK)
		return false;
	outcome_of_reply(why, s->side, ev->command, st);
	switch (ev->command) {
	case CMD_NAMESPACE:
	case CMD_LSUB:
		return why->radius == RADIUS_CONNECTION;
	case CMD_STATUS:
		if (why->radius == RADIUS_CONNECTION)
			return true;
		snprintf(s->folder[ev->user - 1].refused, sizeof(s->folder[0].refused), "%.159s", why->text);
		return false;
	default:
		why->radius = why->radius == RADIUS_CONNECTION ? RADIUS_CONNECTION : RADIUS_MAILBOX;
		return true;
	}
}

enum survey_result survey_on(struct survey *s, struct peer *p, const struct session_event *ev, struct outcome *why)
{
	int err = 0;

	if (ev->kind == EVENT_RESPONSE)
		err = take_response(s, ev);
	else if (ev->kind == EVENT_DONE && take_done(s, ev, why))
		return SURVEY_FAILED;
	if (err == 0 && ev->kind == EVENT_DONE && !s->listed && s->pending == 0) {
		s->listed = true;
		err = settle(s);
	}
	if (err == 0 && s->listed)
		err = ask_status(s, p);
	if (err != 0) {
		outcome_set(why, RADIUS_MAILBOX, HEAL_TIME, s->side, "the list of folders: %s", proto_strerror(err));
		return SURVEY_FAILED;
	}
	return s->listed && s->pending == 0 ? SURVEY_COMPLETE : SURVEY_GOES_ON;
}

struct survey_folder *survey_find(const struct survey *s, struct span path)
{
	struct survey_folder key = { .path = path };

	return s->folder_n == 0 ? NULL : bsearch(&key, s->folder, s->folder_n, sizeof(key), by_path);
}

bool survey_is_subscribed(const struct survey *s, struct span path)
{
	return s->subscribed_n != 0 && bsearch(&path, s->subscribed, s->subscribed_n, sizeof(path), by_span) != NULL;
}
