/*
 * UID sets: any text is refused without a trace or becomes a set that prints and parses to itself; and additions and
 * removals agree with a table of 256 bits.
 *
 * The input: text; or, when its first byte is 0, operations of three bytes each.
 */
#include "err.h"
#include "uidset.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s: %d\n", #condition, __LINE__), abort()))

static void check_is_set(const struct uidset *s)
{
	for (size_t i = 0; i < s->n; i++) {
		CHECK(s->r[i].lo >= 1 && s->r[i].lo <= s->r[i].hi);
		CHECK(i == 0 || s->r[i].lo - 1 > s->r[i - 1].hi);
	}
}

static void print(const struct uidset *s, struct buf *out, size_t max)
{
	size_t at = 0;

	while (at < s->n) {
		size_t before = at;

		CHECK(out->n == 0 || buf_add_char(out, ',') == 0);
		CHECK(uidset_print(s, out, &at, max) == 0);
		CHECK(at > before);
	}
}

static void check_text(struct span text, bool list, size_t max)
{
	struct uidset s = { 0 }, again = { 0 };
	struct buf out;
	int err = list ? uidset_parse_list(&s, text) : uidset_parse(&s, text);

	buf_init(&out, 1 << 20);
	CHECK(err == 0 || err == PROTO_ERR_SYNTAX || err == PROTO_ERR_RANGE);
	CHECK(err == 0 || s.n == 0);
	if (err == 0) {
		CHECK(s.n > 0);
		if (!list)
			check_is_set(&s);
		print(&s, &out, max);
		CHECK((list ? uidset_parse_list(&again, buf_span(&out)) : uidset_parse(&again, buf_span(&out))) == 0);
		CHECK(uidset_count(&again) == uidset_count(&s) && uidset_max(&again) == uidset_max(&s));
		CHECK(again.n == s.n && memcmp(again.r, s.r, s.n * sizeof(s.r[0])) == 0);
	}
	buf_done(&out);
	uidset_done(&s);
	uidset_done(&again);
}

static void check_operations(const uint8_t *data, size_t size)
{
	bool model[257] = { false };
	struct uidset s = { 0 };
	struct uidset_walk walk = { 0 };
	uint64_t count = 0;

	for (size_t i = 0; i + 2 < size; i += 3) {
		unsigned lo = data[i + 1] + 1u, hi = data[i + 2] + 1u;
		bool on = data[i] % 2 == 0;

		CHECK((on ? uidset_add_range(&s, lo, hi) : uidset_remove_range(&s, lo, hi)) == 0);
		check_is_set(&s);
		for (unsigned u = lo < hi ? lo : hi; u <= (lo < hi ? hi : lo); u++)
			model[u] = on;
	}
	for (uint32_t u = 1; u <= 256; u++) {
		uint32_t next = u;

		CHECK(uidset_has(&s, u) == model[u]);
		count += model[u];
		while (next <= 256 && !model[next])
			next++;
		CHECK(uidset_next(&s, u) == (next <= 256 ? next : 0));
		if (model[u])
			CHECK(uidset_walk(&s, &walk) == u);
	}
	CHECK(uidset_walk(&s, &walk) == 0);
	CHECK(uidset_count(&s) == count);
	uidset_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size == 0 || size > 20000)
		return 0;
	if (data[0] == 0) {
		check_operations(data + 1, size - 1);
		return 0;
	}
	copy = malloc(size);
	CHECK(copy != NULL);
	memcpy(copy, data, size);
	check_text(span_of(copy, size), false, 1 + size % 50);
	check_text(span_of(copy, size), true, 1 + size % 50);
	free(copy);
	return 0;
}
