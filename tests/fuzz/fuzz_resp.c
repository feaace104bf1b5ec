/*
 * What a server may send: framer and parser over any bytes, in one piece and in pieces, must do no harm and agree.
 *
 * The input: which limits (1 byte), how many sizes follow (1 byte, modulo 32), sizes of the pieces, used in turn; then
 * the server's bytes.
 */
#include "err.h"
#include "framer.h"
#include "resp.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that one run told, as a digest. */
struct tale {
	uint64_t digest;
	uint64_t body;  /* bytes of streamed literals */
	int err;
};

#define CHECK(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s: %d\n", #condition, __LINE__), abort()))

static void tell(struct tale *t, const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; ++i)
		t->digest = (t->digest ^ c[i]) * 0x100000001b3u;
}

static void tell_number(struct tale *t, uint64_t v)
{
	tell(t, &v, sizeof(v));
}

static void tell_span(struct tale *t, struct span s)
{
	tell_number(t, s.n);
	tell(t, s.p, s.n);
}

static void tell_flags(struct tale *t, const struct flags *f)
{
	tell_number(t, f->system);
	for (size_t i = 0; i < f->keyword_n; ++i)
		tell_span(t, f->keywords[i]);
}

static void tell_fetch(struct tale *t, const struct resp_fetch *f)
{
	tell_number(t, f->has);
	tell_number(t, f->uid);
	tell_number(t, f->announced_size);
	tell_number(t, f->modseq);
	tell_number(t, f->body_form);
	tell_flags(t, &f->flags);
	tell_span(t, f->internaldate);
	tell_span(t, f->header);
	tell_span(t, f->body);
	tell_span(t, f->emailid);
	CHECK(((f->has & FETCH_BODY) != 0) == (f->body_form != BODY_NONE));
	CHECK(((f->has & FETCH_UID) != 0) == (f->uid != 0));
}

static void tell_status(struct tale *t, const struct resp_status *s)
{
	tell_number(t, s->status);
	tell_number(t, s->code);
	tell_number(t, s->uidvalidity);
	tell_span(t, s->code_name);
	tell_span(t, s->code_args);
	tell_span(t, s->text);
	tell_span(t, s->uids);
	tell_span(t, s->uids_to);
	tell_flags(t, &s->flags);
}

static void tell_resp(struct tale *t, const struct resp *r)
{
	tell_number(t, r->kind);
	switch (r->kind) {
	case RESP_TAGGED:
		CHECK(r->tag.n > 0);
		tell_span(t, r->tag);
		tell_status(t, &r->status);
		break;
	case RESP_STATUS:
	case RESP_CONTINUE:
		tell_status(t, &r->status);
		break;
	case RESP_LIST:
	case RESP_LSUB:
		tell_span(t, r->list.name);
		break;
	case RESP_FOLDER_STATUS:
		tell_span(t, r->folder_status.name);
		tell_number(t, r->folder_status.has);
		break;
	case RESP_SEARCH:
		tell_span(t, r->search.numbers);
		break;
	case RESP_ESEARCH:
		tell_span(t, r->esearch.tag);
		tell_span(t, r->esearch.all);
		break;
	case RESP_FLAGS:
		tell_flags(t, &r->flags);
		break;
	case RESP_VANISHED:
		tell_span(t, r->vanished.uids);
		break;
	case RESP_FETCH:
		CHECK(r->fetch.seq > 0);
		tell_fetch(t, &r->fetch);
		break;
	case RESP_NAMESPACE:
		for (size_t i = 0; i < 3; ++i) {
			for (size_t j = 0; j < r->namespace.class[i].n; ++j)
				tell_span(t, r->namespace.class[i].entry[j].prefix);
		}
		break;
	case RESP_OTHER:
		tell_span(t, r->other);
		break;
	default:
		tell_number(t, r->number);
		break;
	}
}

/* A copy of its very size: a read beyond it is seen. */
static char *copy_of(struct span s)
{
	char *p = malloc(s.n);

	CHECK(p != NULL);
	memcpy(p, s.p, s.n);
	return p;
}

/* What the beginning promised the whole response must hold. */
static void line_check(struct tale *t, const struct frame *f, unsigned begun)
{
	char *line = copy_of(f->bytes);
	struct arena a;
	struct resp r;

	arena_init(&a, 16384);
	int err = resp_parse(span_of(line, f->bytes.n), f->streamed, &a, &r);
	tell_number(t, (uint64_t)err);
	if (err == 0) {
		tell_resp(t, &r);
		if (f->streamed != SIZE_MAX)
			CHECK(r.kind == RESP_FETCH && (r.fetch.has & begun) == begun);
	}
	arena_done(&a);
	free(line);
}

static unsigned begin_check(struct tale *t, const struct frame *f)
{
	char *line = copy_of(f->bytes);
	struct arena a;
	struct resp_fetch r;
	unsigned has = 0;

	arena_init(&a, 16384);
	int err = resp_parse_fetch_begin(span_of(line, f->bytes.n), f->streamed, &a, &r);
	tell_number(t, (uint64_t)err);
	if (err == 0) {
		CHECK(r.body_form == BODY_STREAMED);
		tell_fetch(t, &r);
		has = r.has;
	}
	arena_done(&a);
	free(line);
	return has;
}

/* Puts the bytes in, in pieces of sizes[0], sizes[1]...; no sizes: in one. */
static struct tale run(const struct framer_limits *limits, struct span in, const uint8_t *sizes, size_t sizes_n)
{
	struct tale t = { .digest = 0xcbf29ce484222325u };
	struct framer *f = framer_new(limits);
	uint64_t left = 0;
	unsigned begun = 0;

	CHECK(f != NULL);
	for (size_t turn = 0; in.n > 0 && t.err == 0; ++turn) {
		struct span piece = span_first(in, sizes_n > 0 ? (size_t)sizes[turn % sizes_n] + 1 : in.n);
		char *bytes = copy_of(piece);
		struct span rest = span_of(bytes, piece.n);
		struct frame frame = { .kind = FRAME_LINE };
		while (t.err == 0 && frame.kind != FRAME_NONE) {
			t.err = framer_next(f, &rest, &frame);
			if (t.err != 0)
				break;
			if (frame.kind == FRAME_LINE) {
				CHECK(left == 0 && frame.bytes.n <= limits->line_max);
				CHECK(frame.bytes.p[frame.bytes.n - 1] == '\n');
				line_check(&t, &frame, begun);
				begun = 0;
			} else if (frame.kind == FRAME_BODY_BEGIN) {
				CHECK(frame.size <= limits->body_max && frame.bytes.p[frame.streamed] == '{');
				tell_number(&t, frame.literal8);
				begun = begin_check(&t, &frame);
				left = frame.size;
			} else if (frame.kind == FRAME_BODY_DATA) {
				CHECK(frame.bytes.n > 0 && frame.bytes.n <= left);
				left -= frame.bytes.n;
				t.body += frame.bytes.n;
				tell(&t, frame.bytes.p, frame.bytes.n);
			} else if (frame.kind == FRAME_BODY_END) {
				CHECK(left == 0);
			}
		}
		CHECK(t.err != 0 || rest.n == 0);
		free(bytes);
		in = span_from(in, piece.n);
	}
	framer_free(&f);
	CHECK(f == NULL);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct framer_limits limits[] = {
		{ 1048576, 4294967296u }, { 64, 40 }, { 400, 1000 }, { 4096, 100 }
	};

	if (size < 2)
		return 0;
	const struct framer_limits *l = &limits[data[0] % 4];
	size_t n = data[1] % 32;
	if (size < 2 + n)
		return 0;
	struct span in = span_of((const char *)data + 2 + n, size - 2 - n);
	struct tale whole = run(l, in, NULL, 0);
	struct tale pieces = run(l, in, data + 2, n);
	CHECK(whole.digest == pieces.digest && whole.body == pieces.body && whole.err == pieces.err);
	return 0;
}
