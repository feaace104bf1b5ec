#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One line, its newline included: some readers of a pipe or of the journal take no more. */
#define LINE_MAX_BYTES 8192
#define CUT_MARK "..."
/* What is kept for a reader that does not read, and how much is written at once when poll() says that there is room: a pipe has room for that. */
#define BACKLOG_BYTES ((size_t)256 * 1024)
#define WRITE_BYTES ((size_t)4096)

static enum log_level level_now = LOG_LEVEL_NOTICE;
static bool timestamps;
static struct {
	void (*before)(void *);
	void (*after)(void *);
	void *arg;
} guard;

/* Not yet written. */
static struct {
	char *p; /* BACKLOG_BYTES, from the first need on */
	size_t n;
	unsigned long lost; /* lines, since the last one that was kept */
	void (*behind)(void *);
	void *arg;
} backlog;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static const struct {
	const char *name;
	enum log_level level;
} kinds[LOG_KIND_N] = {
#define LOG(name, level) { #name, level },
#include "logs.def"
#undef LOG
};

struct line {
	char p[LINE_MAX_BYTES];
	size_t n;
	bool cut;
};

void log_set_level(enum log_level level)
{
	level_now = level;
}

enum log_level log_get_level(void)
{
	return level_now;
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (strcmp(name, level_names[i]) == 0)
			return (int)i;
	return -1;
}

void log_set_timestamps(int on)
{
	timestamps = on != 0;
}

void log_set_guard(void (*before)(void *), void (*after)(void *), void *arg)
{
	guard.before = before;
	guard.after = after;
	guard.arg = arg;
}

const char *log_kind_name(enum log_kind kind)
{
	return kinds[kind].name;
}

/* All of the bytes or none, so that a cut never falls inside a character or an escape. */
static bool line_add(struct line *l, const char *p, size_t n)
{
	if (l->cut || n > sizeof(l->p) - sizeof(CUT_MARK) - l->n) {
		l->cut = true;
		return false;
	}
	memcpy(l->p + l->n, p, n);
	l->n += n;
	return true;
}

static void line_str(struct line *l, const char *s)
{
	line_add(l, s, strlen(s));
}

/* Bytes of the well-formed character (RFC 3629) at p; 0: not one. *ret is its code point. */
static size_t utf8_char(const unsigned char *p, size_t n, uint32_t *ret)
{
	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	size_t want = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
	if (want == 0 || want > n)
		return 0;
	uint32_t c = p[0] & (0xffu >> (want + 1));
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((want == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) || (want == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	*ret = c;
	return want;
}

/* What moves the cursor, colours the terminal, begins a line or turns the direction of writing. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0x200e || c == 0x200f ||
	       (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void line_escaped(struct line *l, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strlen(s);
	while (n > 0 && !l->cut) {
		uint32_t c = 0;
		size_t len = utf8_char(p, n, &c);
		if (len > 0 && !is_control(c)) {
			line_add(l, (const char *)p, len);
		} else {
			if (len == 0)
				len = 1;
			for (size_t i = 0; i < len; i++)
				line_add(l, (const char[]){ '\\', 'x', hex[p[i] >> 4], hex[p[i] & 15] }, 4);
		}
		p += len;
		n -= len;
	}
}

static void line_head(struct line *l, enum log_level level)
{
	if (timestamps) {
		time_t now = time(NULL);
		struct tm tm;
		char when[32];
		gmtime_r(&now, &tm);
		line_add(l, when, strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ ", &tm));
	}
	line_str(l, "godwit: ");
	if (level != LOG_LEVEL_NOTICE && level != LOG_LEVEL_INFO) {
		line_str(l, level_names[level]);
		line_str(l, ": ");
	}
}

static void line_context(struct line *l, const struct log_context *ctx)
{
	if (ctx->migration != NULL) {
		line_escaped(l, ctx->migration);
		line_str(l, ctx->mailbox != NULL ? "/" : ": ");
	}
	if (ctx->mailbox != NULL) {
		line_escaped(l, ctx->mailbox);
		line_str(l, ": ");
	}
	if (ctx->side != 0) {
		line_str(l, side_name((enum side)(ctx->side - 1)));
		line_str(l, ": ");
	} else if (ctx->server != NULL) {
		line_str(l, "server ");
		line_escaped(l, ctx->server);
		line_str(l, ": ");
	}
	if (ctx->folder != NULL) {
		line_str(l, "folder \"");
		line_escaped(l, ctx->folder);
		line_str(l, ctx->uid != 0 ? "\", " : "\": ");
	}
	if (ctx->uid != 0) {
		char uid[32];
		line_add(l, uid, (size_t)snprintf(uid, sizeof(uid), "UID %u: ", (unsigned)ctx->uid));
	}
}

__attribute__((format(printf, 2, 0))) static void line_text(struct line *l, const char *format, va_list ap)
{
	char text[LINE_MAX_BYTES];
	int n = vsnprintf(text, sizeof(text), format, ap);
	if (n < 0) {
		line_escaped(l, format);
		return;
	}
	bool cut = (size_t)n >= sizeof(text);
	if (cut) {
		/* Not in the middle of a character. */
		size_t end = sizeof(text) - 1;
		while (end > 0 && ((unsigned char)text[end - 1] & 0xc0) == 0x80)
			end--;
		if (end > 0 && (unsigned char)text[end - 1] >= 0xc0)
			end--;
		text[end] = '\0';
	}
	line_escaped(l, text);
	l->cut = l->cut || cut;
}

/* Writes what can be written without waiting longer than that; returns how much. What nobody can ever read counts as written. */
static size_t write_some(const char *p, size_t n, int wait_ms)
{
	size_t done = 0;
	while (done < n) {
		struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };
		size_t piece = n - done < WRITE_BYTES ? n - done : WRITE_BYTES;
		int ready = poll(&fd, 1, wait_ms);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready == 0)
			break;
		ssize_t r = write(STDERR_FILENO, p + done, piece);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			break;
		if (r < 0)
			return n;
		done += (size_t)r;
	}
	return done;
}

static bool keep(const char *p, size_t n)
{
	if (backlog.p == NULL)
		backlog.p = malloc(BACKLOG_BYTES);
	if (backlog.p == NULL || n > BACKLOG_BYTES - backlog.n)
		return false;
	memcpy(backlog.p + backlog.n, p, n);
	backlog.n += n;
	return true;
}

static void write_or_keep(const char *p, size_t n)
{
	size_t done = backlog.n == 0 ? write_some(p, n, 0) : 0;
	bool was_behind = backlog.n > 0;
	if (done == n)
		return;
	/* Of a line that was begun the rest must follow: there is always room for that, for then nothing is kept. */
	if (!keep(p + done, n - done))
		backlog.lost++;
	else if (!was_behind && backlog.behind != NULL)
		backlog.behind(backlog.arg);
}

static void tell_lost(void)
{
	char text[96];
	if (backlog.lost == 0 || backlog.n > 0)
		return;
	int n = snprintf(text, sizeof(text), "godwit: warning: %lu line%s of the log lost: nobody has read %s\n", backlog.lost,
		backlog.lost == 1 ? "" : "s", backlog.lost == 1 ? "it" : "them");
	backlog.lost = 0;
	write_or_keep(text, (size_t)n);
}

static bool flush(int wait_ms)
{
	size_t done = write_some(backlog.p, backlog.n, wait_ms);
	backlog.n -= done;
	if (backlog.n > 0)
		memmove(backlog.p, backlog.p + done, backlog.n);
	tell_lost();
	return backlog.n == 0;
}

bool log_flush(void)
{
	return backlog.n == 0 || flush(0);
}

void log_end(int wait_ms)
{
	if (backlog.n > 0)
		flush(wait_ms);
	free(backlog.p);
	backlog.p = NULL;
	backlog.n = backlog.lost = 0;
}

void log_set_behind(void (*fn)(void *), void *arg)
{
	backlog.behind = fn;
	backlog.arg = arg;
	/* What was kept before there was anybody to tell. */
	if (fn != NULL && backlog.n > 0)
		fn(arg);
}

static void line_write(struct line *l)
{
	if (l->cut) {
		memcpy(l->p + l->n, CUT_MARK, sizeof(CUT_MARK) - 1);
		l->n += sizeof(CUT_MARK) - 1;
	}
	l->p[l->n++] = '\n';
	log_flush();
	write_or_keep(l->p, l->n);
}

void log_event(enum log_kind kind, const struct log_context *ctx, const char *format, ...)
{
	enum log_level level = kinds[kind].level;
	if (level > level_now)
		return;
	int saved = errno;
	struct line l;
	l.n = 0;
	l.cut = false;
	line_head(&l, level);
	if (ctx != NULL)
		line_context(&l, ctx);
	va_list ap;
	va_start(ap, format);
	line_text(&l, format, ap);
	va_end(ap);
	if (guard.before != NULL)
		guard.before(guard.arg);
	line_write(&l);
	if (guard.after != NULL)
		guard.after(guard.arg);
	errno = saved;
}
