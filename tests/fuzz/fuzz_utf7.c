/*
 * Modified UTF-7: whatever decodes is valid UTF-8 and comes back through encode and decode; whatever encodes decodes to the
 * same bytes, and is printable ASCII.
 */
#include "err.h"
#include "utf7.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s: %d\n", #condition, __LINE__), abort()))
#define CAP (1 << 20)

static void decode_and_back(struct span in)
{
	struct buf utf8, wire, again;
	int err;

	buf_init(&utf8, CAP);
	buf_init(&wire, CAP);
	buf_init(&again, CAP);
	err = utf7_decode(&utf8, in);
	CHECK(err == 0 || err == PROTO_ERR_SYNTAX);
	CHECK(err == 0 || utf8.n == 0);
	if (err == 0) {
		CHECK(utf8_is_valid(buf_span(&utf8)));
		CHECK(utf7_encode(&wire, buf_span(&utf8)) == 0);
		CHECK(utf7_decode(&again, buf_span(&wire)) == 0);
		CHECK(span_eq(buf_span(&again), buf_span(&utf8)));
	}
	buf_done(&utf8);
	buf_done(&wire);
	buf_done(&again);
}

static void encode_and_back(struct span in)
{
	struct buf wire, again;
	int err;

	buf_init(&wire, CAP);
	buf_init(&again, CAP);
	err = utf7_encode(&wire, in);
	CHECK(err == (utf8_is_valid(in) ? 0 : PROTO_ERR_SYNTAX));
	if (err == 0) {
		for (size_t i = 0; i < wire.n; i++)
			CHECK((unsigned char)buf_span(&wire).p[i] < 0x7f && (unsigned char)buf_span(&wire).p[i] >= 0x20);
		CHECK(utf7_decode(&again, buf_span(&wire)) == 0);
		CHECK(span_eq(buf_span(&again), in));
	}
	buf_done(&wire);
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;
	char *copy;

	if (size > CAP / 8)
		return 0;
	copy = malloc(size + 1); /* not one byte more than may be read */
	CHECK(copy != NULL);
	memcpy(copy, data, size);
	copy = realloc(copy, size != 0 ? size : 1);
	CHECK(copy != NULL);
	in = span_of(copy, size);
	decode_and_back(in);
	encode_and_back(in);
	free(copy);
	return 0;
}
