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

struct body_digest {
	EVP_MD_CTX *ctx;
};

/* As above: no digest, no program. */
struct body_digest *body_digest_new(void)
{
	struct body_digest *d = calloc(1, sizeof(*d));

	if (d == NULL || (d->ctx = EVP_MD_CTX_new()) == NULL)
		abort();
	return d;
}

void body_digest_free(struct body_digest **d)
{
	if (*d == NULL)
		return;
	EVP_MD_CTX_free((*d)->ctx);
	free(*d);
	*d = NULL;
}

void body_digest_begin(struct body_digest *d)
{
	if (EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
		abort();
}

void body_digest_add(struct body_digest *d, struct span bytes)
{
	EVP_DigestUpdate(d->ctx, bytes.p, bytes.n);
}

struct identity body_digest_end(struct body_digest *d)
{
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
	struct identity id;

	if (EVP_DigestFinal_ex(d->ctx, md, NULL) != 1)
		abort();
	memcpy(&id, md, sizeof(id));
	return id;
}

/* Messages that look alike are a chain, so that a folder full of one message costs no more than any other. */
struct suspect {
	struct identity id;
	uint32_t uid;
	uint32_t next; /* as in struct chain */
};

struct chain {
	uint32_t first; /* the item, counted from 1, that has its identity; 0: the slot is free */
	uint32_t left;  /* the first that is not taken; 0: none */
	uint32_t last;
};

struct suspects {
	struct suspect *item; /* in the order in which they were added */
	size_t size, used, left;
	struct chain *slot; /* open addressing; a power of two, at most half full */
	size_t slots, chains;
};

#define SUSPECTS_FIRST 32

struct suspects *suspects_new(void)
{
	struct suspects *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->item = malloc(SUSPECTS_FIRST * sizeof(*s->item));
	s->slot = calloc(2 * SUSPECTS_FIRST, sizeof(*s->slot));
	s->size = SUSPECTS_FIRST;
	s->slots = 2 * SUSPECTS_FIRST;
	if (s->item == NULL || s->slot == NULL)
		suspects_free(&s);
	return s;
}

void suspects_free(struct suspects **s)
{
	if (*s == NULL)
		return;
	free((*s)->item);
	free((*s)->slot);
	free(*s);
	*s = NULL;
}

/* The chain of this identity, or the free slot where it would begin. */
static struct chain *find(const struct suspects *s, struct chain *slot, size_t slots, struct identity id)
{
	size_t at = id.half[0] & (slots - 1);

	for (; slot[at].first != 0; at = (at + 1) & (slots - 1)) {
		const struct identity *other = &s->item[slot[at].first - 1].id;

		if (other->half[0] == id.half[0] && other->half[1] == id.half[1])
			break;
	}
	return &slot[at];
}

static bool make_room(struct suspects *s)
{
	if (s->used == s->size) {
		struct suspect *bigger = s->used >= UINT32_MAX / 2 ? NULL : realloc(s->item, s->size * 2 * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		s->item = bigger;
		s->size *= 2;
	}
	if ((s->chains + 1) * 2 > s->slots) {
		struct chain *bigger = calloc(s->slots * 2, sizeof(*bigger));

		if (bigger == NULL)
			return false;
		for (size_t i = 0; i < s->slots; i++)
			if (s->slot[i].first != 0)
				*find(s, bigger, s->slots * 2, s->item[s->slot[i].first - 1].id) = s->slot[i];
		free(s->slot);
		s->slot = bigger;
		s->slots *= 2;
	}
	return true;
}

bool suspects_add(struct suspects *s, struct identity id, uint32_t uid)
{
	struct chain *c;
	uint32_t new;

	if (!make_room(s))
		return false;
	c = find(s, s->slot, s->slots, id);
	s->item[s->used++] = (struct suspect){ .id = id, .uid = uid };
	new = (uint32_t)s->used;
	if (c->first == 0) {
		c->first = new;
		s->chains++;
	}
	if (c->left == 0)
		c->left = new;
	else
		s->item[c->last - 1].next = new;
	c->last = new;
	s->left++;
	return true;
}

uint32_t suspects_take(struct suspects *s, struct identity id)
{
	struct chain *c = find(s, s->slot, s->slots, id);
	const struct suspect *taken;

	if (c->first == 0 || c->left == 0)
		return 0;
	taken = &s->item[c->left - 1];
	c->left = taken->next;
	s->left--;
	return taken->uid;
}

size_t suspects_left(const struct suspects *s)
{
	return s->left;
}
