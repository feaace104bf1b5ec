#include <criterion/criterion.h>

#include "failmalloc.h"
#include "identity.h"
#include "leaks.h"

TestSuite(identity, .fini = leaks_check);
TestSuite(suspects, .fini = leaks_check);

static const struct date noon = { .instant = 1000000000, .zone = 0 };

static struct identity of(const char *header)
{
	return identity_of(span_str(header), noon, 1234);
}

static bool same(struct identity a, struct identity b)
{
	return a.half[0] == b.half[0] && a.half[1] == b.half[1];
}

Test(identity, each_part_counts)
{
	const struct span header = SPAN("Message-ID: <a@b>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n");
	struct identity id = identity_of(header, noon, 1234);

	cr_assert(same(id, identity_of(header, noon, 1234)));
	cr_assert_not(same(id, identity_of(header, noon, 1235)));
	cr_assert_not(same(id, identity_of(header, noon, 1234 + (UINT64_C(1) << 32))));
	cr_assert_not(same(id, identity_of(header, (struct date){ .instant = 1000000001 }, 1234)));
	cr_assert_not(same(id, identity_of(header, (struct date){ .instant = -1000000000 }, 1234)));
	for (size_t i = 0; i < header.n; i++) {
		char other[128];

		if (strchr(" \r\n", header.p[i]) != NULL)
			continue;
		memcpy(other, header.p, header.n);
		other[i] = '#';
		cr_assert_not(same(id, identity_of(span_of(other, header.n), noon, 1234)), "byte %zu", i);
	}
}

/* The same moment told in another zone is the same. */
Test(identity, zones_do_not_count)
{
	cr_assert(same(identity_of(SPAN("x"), noon, 1),
		identity_of(SPAN("x"), (struct date){ .instant = noon.instant, .zone = 120 }, 1)));
}

Test(identity, folding_does_not_count)
{
	struct identity id = of("Message-ID: <a@b>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n");

	cr_assert(same(id, of("Message-ID:\r\n <a@b>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n")));
	cr_assert(same(id, of("Message-ID:<a@b>\r\nDate:\tMon,\r\n\t1 Jan 2024\r\n  00:00:00 +0000\r\n")));
	cr_assert(same(id, of("Message-ID: <a@b> \nDate: Mon, 1 Jan 2024 00:00:00 +0000\n")));
}

Test(identity, fields_do_not_run_together)
{
	cr_assert_not(same(of("A: x\r\nB: y\r\n"), of("A: xB: y\r\n")));
	cr_assert_not(same(of("A: x\r\nB: y\r\n"), of("A: x\r\n B: y\r\n")));
	cr_assert_not(same(of(""), of("A:\r\n")));
	cr_assert(same(of(""), of("\r\n")));
}

/* Longer than what is digested at once, with borders at every place. */
Test(identity, long_headers_count_to_the_end)
{
	enum { LONG = 2000 };
	char a[LONG], b[LONG];

	for (size_t i = 0; i < LONG; i++)
		a[i] = i % 7 == 6 ? '\n' : (char)('a' + i % 23);
	for (size_t n = 1; n < LONG; n++) {
		memcpy(b, a, n);
		cr_assert(same(identity_of(span_of(a, n), noon, 1), identity_of(span_of(b, n), noon, 1)));
		if (a[n - 1] == '\n')
			continue;
		b[n - 1] = '#';
		cr_assert_not(same(identity_of(span_of(a, n), noon, 1), identity_of(span_of(b, n), noon, 1)), "byte %zu", n);
	}
}

static struct identity made(uint64_t a, uint64_t b)
{
	return (struct identity){ { a, b } };
}

static void add(struct suspects *s, struct identity id, uint32_t uid)
{
	size_t left = suspects_left(s);

	cr_assert(suspects_add(s, id, uid));
	cr_assert_eq(suspects_left(s), left + 1);
}

Test(suspects, nobody_is_there)
{
	struct suspects *s = suspects_new();

	cr_assert_not_null(s);
	cr_assert_eq(suspects_left(s), 0);
	cr_assert_eq(suspects_take(s, made(0, 0)), 0);
	cr_assert_eq(suspects_take(s, made(1, 2)), 0);
	suspects_free(&s);
	cr_assert_null(s);
	suspects_free(&s);
}

Test(suspects, each_is_taken_once_and_in_order)
{
	struct suspects *s = suspects_new();

	add(s, made(7, 7), 10);
	add(s, made(8, 8), 11);
	add(s, made(7, 7), 12);
	add(s, made(7, 7), UINT32_MAX);
	cr_assert_eq(suspects_take(s, made(7, 7)), 10);
	cr_assert_eq(suspects_left(s), 3);
	cr_assert_eq(suspects_take(s, made(7, 7)), 12);
	cr_assert_eq(suspects_take(s, made(7, 7)), UINT32_MAX);
	cr_assert_eq(suspects_take(s, made(7, 7)), 0);
	cr_assert_eq(suspects_left(s), 1);
	cr_assert_eq(suspects_take(s, made(8, 8)), 11);
	cr_assert_eq(suspects_left(s), 0);
	suspects_free(&s);
}

Test(suspects, taken_ones_make_room_for_more_of_their_kind)
{
	struct suspects *s = suspects_new();

	add(s, made(7, 7), 1);
	cr_assert_eq(suspects_take(s, made(7, 7)), 1);
	add(s, made(7, 7), 2);
	add(s, made(7, 7), 3);
	cr_assert_eq(suspects_take(s, made(7, 7)), 2);
	add(s, made(7, 7), 4);
	cr_assert_eq(suspects_take(s, made(7, 7)), 3);
	cr_assert_eq(suspects_take(s, made(7, 7)), 4);
	cr_assert_eq(suspects_take(s, made(7, 7)), 0);
	suspects_free(&s);
}

/* Half an identity is none, and neighbours in the table are not confused. */
Test(suspects, both_halves_count)
{
	struct suspects *s = suspects_new();

	for (uint32_t i = 0; i < 20; i++)
		add(s, made(5, i), 100 + i);
	for (uint32_t i = 0; i < 20; i++)
		add(s, made(5 + ((uint64_t)i << 40), 99), 200 + i);
	cr_assert_eq(suspects_take(s, made(5, 20)), 0);
	cr_assert_eq(suspects_take(s, made(6, 0)), 0);
	for (uint32_t i = 20; i-- > 0;) {
		cr_assert_eq(suspects_take(s, made(5 + ((uint64_t)i << 40), 99)), 200 + i);
		cr_assert_eq(suspects_take(s, made(5, i)), 100 + i);
	}
	cr_assert_eq(suspects_left(s), 0);
	suspects_free(&s);
}

/* Against what they should be: 3 of each of 3000 identities. */
Test(suspects, many)
{
	enum { KINDS = 3000, EACH = 3 };
	struct suspects *s = suspects_new();

	for (uint32_t uid = 1; uid <= KINDS * EACH; uid++)
		add(s, made((uid % KINDS) * UINT64_C(0x9e3779b97f4a7c15), uid % KINDS), uid);
	for (uint32_t round = 0; round < EACH; round++)
		for (uint32_t kind = 0; kind < KINDS; kind++) {
			uint32_t uid = (kind == 0 ? KINDS : kind) + round * KINDS;

			cr_assert_eq(suspects_take(s, made(kind * UINT64_C(0x9e3779b97f4a7c15), kind)), uid);
		}
	cr_assert_eq(suspects_left(s), 0);
	for (uint32_t kind = 0; kind < KINDS; kind++)
		cr_assert_eq(suspects_take(s, made(kind * UINT64_C(0x9e3779b97f4a7c15), kind)), 0);
	suspects_free(&s);
}

/* A folder full of one message must not take hours: with a walk over all of them for each this would not end in time. */
Test(suspects, all_alike, .timeout = 20)
{
	enum { MANY = 1000000 };
	struct suspects *s = suspects_new();

	for (uint32_t uid = 1; uid <= MANY; uid++)
		cr_assert(suspects_add(s, made(7, 7), uid));
	for (uint32_t uid = 1; uid <= MANY; uid++)
		cr_assert(suspects_take(s, made(7, 7)) == uid);
	cr_assert_eq(suspects_take(s, made(7, 7)), 0);
	suspects_free(&s);
}

Test(suspects, out_of_memory)
{
	size_t n = 0;

	do {
		uint32_t uid = 0;
		struct suspects *s;

		failmalloc_arm(++n);
		s = suspects_new();
		for (; s != NULL && uid < 300; uid++)
			if (!suspects_add(s, made(uid / 2, uid / 2), uid + 1))
				break;
		failmalloc_disarm();
		if (s == NULL) {
			cr_assert(failmalloc_fired());
			continue;
		}
		cr_assert_eq(failmalloc_fired(), uid != 300);
		/* What is there is whole, and goes on. */
		cr_assert_eq(suspects_left(s), uid);
		for (; uid < 300; uid++)
			add(s, made(uid / 2, uid / 2), uid + 1);
		for (uid = 0; uid < 300; uid++)
			cr_assert_eq(suspects_take(s, made(uid / 2, uid / 2)), uid + 1);
		suspects_free(&s);
	} while (failmalloc_fired());
	cr_assert_gt(n, 5);
}

static struct identity digest(const char *const *pieces, size_t n)
{
	struct body_digest *d = body_digest_new();
	struct identity id;

	body_digest_begin(d);
	body_digest_add(d, SPAN("of another message"));
	body_digest_begin(d);
	for (size_t i = 0; i < n; i++)
		body_digest_add(d, span_str(pieces[i]));
	id = body_digest_end(d);
	body_digest_free(&d);
	cr_expect_null(d);
	return id;
}

Test(identity, bytes_whatever_the_pieces)
{
	const char *whole[] = { "Subject: x\r\n\r\nbody\r\n" };
	const char *pieces[] = { "Subj", "ect: x\r", "", "\n\r\nbody\r\n" };
	const char *other[] = { "Subject: x\r\n\r\nBody\r\n" };

	cr_expect(same(digest(whole, 1), digest(pieces, 4)));
	cr_expect_not(same(digest(whole, 1), digest(other, 1)));
	cr_expect_not(same(digest(whole, 1), digest(pieces, 3)));
}
