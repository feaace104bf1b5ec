#include "identity.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "header.h"

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

struct identity identity_with(struct identity a, struct identity b)
{
	/* Both are digests: a sum is as good as one of them. */
	return (struct identity){ { a.half[0] * 3 + b.half[0], a.half[1] * 3 + b.half[1] } };
}

bool identity_is_strong(struct span header)
{
	struct buf id;
	bool strong;

	buf_init(&id, 16);
	strong = header_field(header, SPAN("Message-ID"), &id);
	buf_done(&id);
	return strong;
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
