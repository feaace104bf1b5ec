#include "identity.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* One header field's name is at the start of a line; its value goes on over folded lines. Blanks of any kind do not count: servers fold and
 * unfold as they please. */
static void digest_header(EVP_MD_CTX *ctx, struct span header)
{
	char out[512];
	size_t n = 0;
	bool line_start = true;

	for (size_t i = 0; i < header.n; i++) {
		char c = header.p[i];
		bool folded = line_start && (c == ' ' || c == '\t');

		/* A field that ends is a border: "A: x" + "B: y" is not "A: xB: y". */
		if (line_start && !folded && i != 0 && c != '\r' && c != '\n')
			out[n++] = '\n';
		line_start = c == '\n';
		if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
			out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		if (n >= sizeof(out) - 2) {
			EVP_DigestUpdate(ctx, out, n);
			n = 0;
		}
	}
	EVP_DigestUpdate(ctx, out, n);
}

struct identity identity_of(struct span header, struct date date, uint64_t size)
{
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
	struct identity id;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	/* Out of memory makes all messages look alike here, so it must not pass silently as a match: no digest, no program. */
	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		abort();
	EVP_DigestUpdate(ctx, &date.instant, sizeof(date.instant));
	EVP_DigestUpdate(ctx, &size, sizeof(size));
	digest_header(ctx, header);
	EVP_DigestFinal_ex(ctx, md, NULL);
	EVP_MD_CTX_free(ctx);
	memcpy(&id, md, sizeof(id));
	return id;
}

struct suspect {
	struct identity id;
	uint32_t uid;   /* 0: taken, or never used */
	uint32_t order; /* UIDs with equal identity are taken in the order in which they were added */
};

struct suspects {
	struct suspect *slot; /* open addressing; a power of two, at most half full */
	size_t slots, used, left;
};

#define SUSPECTS_FIRST 64

struct suspects *suspects_new(void)
{
	struct suspects *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->slot = calloc(SUSPECTS_FIRST, sizeof(*s->slot));
	s->slots = SUSPECTS_FIRST;
	if (s->slot == NULL)
		suspects_free(&s);
	return s;
}

void suspects_free(struct suspects **s)
{
	if (*s == NULL)
		return;
	free((*s)->slot);
	free(*s);
	*s = NULL;
}

static void place(struct suspect *slot, size_t slots, const struct suspect *new)
{
	size_t at = new->id.half[0] & (slots - 1);

	while (slot[at].order != 0)
		at = (at + 1) & (slots - 1);
	slot[at] = *new;
}

bool suspects_add(struct suspects *s, struct identity id, uint32_t uid)
{
	if ((s->used + 1) * 2 > s->slots) {
		struct suspect *bigger = calloc(s->slots * 2, sizeof(*bigger));

		if (bigger == NULL)
			return false;
		for (size_t i = 0; i < s->slots; i++)
			if (s->slot[i].order != 0)
				place(bigger, s->slots * 2, &s->slot[i]);
		free(s->slot);
		s->slot = bigger;
		s->slots *= 2;
	}
	s->used++;
	s->left++;
	place(s->slot, s->slots, &(struct suspect){ id, uid, (uint32_t)s->used });
	return true;
}

uint32_t suspects_take(struct suspects *s, struct identity id)
{
	struct suspect *best = NULL;
	uint32_t uid;

	for (size_t at = id.half[0] & (s->slots - 1); s->slot[at].order != 0; at = (at + 1) & (s->slots - 1)) {
		struct suspect *c = &s->slot[at];

		if (c->uid != 0 && c->id.half[0] == id.half[0] && c->id.half[1] == id.half[1] &&
			(best == NULL || c->order < best->order))
			best = c;
	}
	if (best == NULL)
		return 0;
	uid = best->uid;
	best->uid = 0;
	s->left--;
	return uid;
}

size_t suspects_left(const struct suspects *s)
{
	return s->left;
}
