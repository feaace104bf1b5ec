#include <criterion/criterion.h>

#include "identity.h"
#include "leaks.h"

TestSuite(identity, .fini = leaks_check);

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
