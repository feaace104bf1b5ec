#include <criterion/criterion.h>

#include "err.h"
#include "failmalloc.h"
#include "leaks.h"
#include "suspects.h"

TestSuite(suspects, .fini = leaks_check);

static struct identity made(uint64_t a, uint64_t b)
{
	return (struct identity){ { a, b } };
}

static struct identity id(uint64_t n)
{
	return made(n * UINT64_C(0x9e3779b97f4a7c15), n);
}

static void add(struct suspects *s, struct identity name, uint32_t uid)
{
	size_t left = suspects_left(s);

	cr_assert(suspects_add(s, name, uid, 100, true));
	cr_assert_eq(suspects_left(s), left + 1);
}

/* What is answered: the UID of a clear one, 0: it is not there, UINT32_MAX: doubtful. */
static uint32_t ask(struct suspects *s, struct identity name, uint64_t size, bool strong)
{
	uint32_t uid = 0;

	switch (suspects_ask(s, name, size, strong, &uid)) {
	case SUSPECTS_CLEAR:
		return uid;
	case SUSPECTS_NONE:
		return 0;
	default:
		return UINT32_MAX;
	}
}

static bool unread(struct suspects *s, struct identity name, const char *uids)
{
	struct uidset got = { 0 }, wanted = { 0 };
	bool same;

	cr_assert_eq(suspects_unread(s, name, &got), 0);
	cr_assert(uids[0] == '\0' || uidset_parse(&wanted, span_str(uids)) == 0);
	same = got.n == wanted.n;
	for (size_t i = 0; same && i < got.n; i++)
		same = got.r[i].lo == wanted.r[i].lo && got.r[i].hi == wanted.r[i].hi;
	uidset_done(&got);
	uidset_done(&wanted);
	return same;
}

Test(suspects, nobody_is_there)
{
	struct suspects *s = suspects_new();

	cr_assert_not_null(s);
	cr_expect_eq(suspects_left(s), 0);
	suspects_count(s, id(1));
	suspects_counted(s);
	cr_expect_eq(ask(s, made(0, 0), 0, true), 0);
	cr_expect_eq(ask(s, id(1), 100, true), 0);
	cr_expect(unread(s, id(1), ""));
	cr_expect_eq(suspects_read(s, 1, id(5)), 0);
	cr_expect_eq(suspects_take(s, id(1), id(5)), 0);
	suspects_free(&s);
	cr_assert_null(s);
	suspects_free(&s);
}

Test(suspects, clear_is_what_is_one_on_both_sides)
{
	struct suspects *s = suspects_new();

	for (uint32_t i = 1; i <= 7; i++)
		cr_assert(suspects_add(s, id(i), i * 10, 100, i != 2));
	add(s, id(3), 31);
	for (uint32_t i = 1; i <= 7; i++)
		suspects_count(s, id(i));
	suspects_count(s, id(4));
	cr_expect_eq(ask(s, id(1), 100, true), UINT32_MAX, "before all are counted");
	suspects_counted(s);
	cr_expect_eq(ask(s, id(1), 100, true), 10);
	cr_expect_eq(ask(s, id(1), 100, true), 0, "it is taken");
	cr_expect_eq(ask(s, id(2), 100, true), UINT32_MAX, "the target's has no Message-ID");
	cr_expect_eq(ask(s, id(3), 100, true), UINT32_MAX, "two on the target");
	cr_expect_eq(ask(s, id(4), 100, true), UINT32_MAX, "two on the source");
	cr_expect_eq(ask(s, id(5), 101, true), UINT32_MAX, "another size");
	cr_expect_eq(ask(s, id(6), 100, false), UINT32_MAX, "no Message-ID");
	cr_expect_eq(ask(s, id(7), 100, true), 70);
	cr_expect_eq(suspects_left(s), 6);
	cr_expect_eq(suspects_bytes(s), 800);
	suspects_free(&s);
}

Test(suspects, bytes_tell_doubtful_ones_apart)
{
	struct suspects *s = suspects_new();

	add(s, id(1), 10);
	add(s, id(2), 11);
	add(s, id(1), 12);
	add(s, id(1), 13);
	cr_expect(unread(s, id(1), "10,12:13"));
	cr_assert_eq(suspects_read(s, 12, id(100)), 0);
	cr_expect(unread(s, id(1), "10,13"));
	cr_assert_eq(suspects_read(s, 10, id(200)), 0);
	cr_assert_eq(suspects_read(s, 13, id(100)), 0);
	cr_assert_eq(suspects_read(s, 11, id(100)), 0);
	cr_assert_eq(suspects_read(s, 13, id(200)), 0); /* told twice: the first counts */
	cr_expect(unread(s, id(1), ""));
	cr_expect_eq(suspects_take(s, id(1), id(300)), 0);
	cr_expect_eq(suspects_take(s, id(1), id(100)), 12);
	cr_expect_eq(suspects_take(s, id(1), id(100)), 13);
	cr_expect_eq(suspects_take(s, id(1), id(100)), 0);
	cr_expect_eq(ask(s, id(1), 100, true), UINT32_MAX);
	cr_expect_eq(suspects_take(s, id(1), id(200)), 10);
	cr_expect_eq(ask(s, id(1), 100, true), 0);
	cr_expect_eq(suspects_take(s, id(2), id(200)), 0);
	cr_expect_eq(suspects_take(s, id(2), id(100)), 11);
	cr_expect_eq(suspects_left(s), 0);
	suspects_free(&s);
}

Test(suspects, what_cannot_be_read_is_not_asked_for_again)
{
	struct suspects *s = suspects_new();
	struct uidset asked = { 0 };

	for (uint32_t uid = 10; uid < 15; uid++)
		add(s, id(1), uid);
	cr_assert_eq(suspects_unread(s, id(1), &asked), 0);
	cr_assert_eq(suspects_read(s, 12, id(100)), 0);
	suspects_tried(s, &asked);
	cr_expect(unread(s, id(1), ""));
	cr_assert_eq(suspects_read(s, 13, id(100)), 0);
	cr_expect_eq(suspects_take(s, id(1), id(100)), 12);
	cr_expect_eq(suspects_take(s, id(1), id(100)), 0);
	cr_expect_eq(suspects_left(s), 4);
	uidset_done(&asked);
	suspects_free(&s);
}

Test(suspects, in_any_order_of_UIDs)
{
	struct suspects *s = suspects_new();
	const uint32_t uids[] = { 30, 10, 20, 5 };

	for (size_t i = 0; i < 4; i++)
		add(s, id(1), uids[i]);
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(suspects_read(s, uids[i], id(uids[i])), 0);
	for (size_t i = 0; i < 4; i++)
		cr_expect_eq(suspects_take(s, id(1), id(uids[i])), uids[i]);
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
	suspects_counted(s);
	cr_assert_eq(ask(s, made(5, 20), 100, true), 0);
	cr_assert_eq(ask(s, made(6, 0), 100, true), 0);
	for (uint32_t i = 20; i-- > 0;) {
		cr_assert_eq(ask(s, made(5 + ((uint64_t)i << 40), 99), 100, true), 200 + i);
		cr_assert_eq(ask(s, made(5, i), 100, true), 100 + i);
	}
	cr_assert_eq(suspects_left(s), 0);
	suspects_free(&s);
}

/* Against what they should be: 3 of each of 3000 names, each with bytes of its own. */
Test(suspects, many)
{
	enum { KINDS = 3000, EACH = 3 };
	struct suspects *s = suspects_new();

	for (uint32_t uid = 1; uid <= KINDS * EACH; uid++)
		add(s, id(uid % KINDS), uid);
	for (uint32_t uid = 1; uid <= KINDS * EACH; uid++)
		cr_assert_eq(suspects_read(s, uid, id(uid / KINDS)), 0);
	for (uint32_t round = 0; round < EACH; round++)
		for (uint32_t kind = 1; kind < KINDS; kind++)
			cr_assert_eq(suspects_take(s, id(kind), id(round)), kind + round * KINDS);
	cr_assert_eq(suspects_left(s), EACH);
	suspects_free(&s);
}

/* A folder full of one message must not take hours: with a walk over all of them for each this would not end in time. */
Test(suspects, all_alike, .timeout = 30)
{
	enum { MANY = 1000000 };
	struct suspects *s = suspects_new();
	struct uidset asked = { 0 };

	for (uint32_t uid = 1; uid <= MANY; uid++)
		cr_assert(suspects_add(s, id(7), uid, 100, false));
	for (uint32_t i = 0; i < 10000; i++)
		cr_assert_eq(suspects_unread(s, id(7), &asked), 0);
	cr_assert_eq(uidset_count(&asked), MANY);
	for (uint32_t uid = 1; uid <= MANY; uid++)
		cr_assert(suspects_read(s, uid, id(9)) == 0);
	uidset_reset(&asked);
	for (uint32_t i = 0; i < 10000; i++)
		cr_assert_eq(suspects_unread(s, id(7), &asked), 0);
	cr_assert_eq(asked.n, 0);
	for (uint32_t uid = 1; uid <= MANY; uid++)
		cr_assert(suspects_take(s, id(7), id(9)) == uid);
	cr_assert_eq(suspects_take(s, id(7), id(9)), 0);
	uidset_done(&asked);
	suspects_free(&s);
}

Test(suspects, out_of_memory)
{
	size_t n = 0;

	do {
		uint32_t uid = 0, read = 0;
		struct suspects *s;

		failmalloc_arm(++n);
		s = suspects_new();
		while (s != NULL && uid < 300 && suspects_add(s, id(uid / 2), uid + 1, 100, true))
			uid++;
		while (uid == 300 && read < 300 && suspects_read(s, read + 1, id(9)) == 0)
			read++;
		failmalloc_disarm();
		if (s == NULL) {
			cr_assert(failmalloc_fired());
			continue;
		}
		cr_assert_eq(failmalloc_fired(), read != 300);
		/* What is there is whole, and goes on. */
		cr_assert_eq(suspects_left(s), uid);
		for (; uid < 300; uid++)
			add(s, id(uid / 2), uid + 1);
		for (; read < 300; read++)
			cr_assert_eq(suspects_read(s, read + 1, id(9)), 0);
		for (uid = 0; uid < 300; uid++)
			cr_assert_eq(suspects_take(s, id(uid / 2), id(9)), uid + 1);
		suspects_free(&s);
	} while (failmalloc_fired());
	cr_assert_gt(n, 7);
}
