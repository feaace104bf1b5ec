#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "echoes.h"
#include "err.h"
#include "failmalloc.h"
#include "leaks.h"

TestSuite(echoes, .fini = leaks_check);

static struct identity id(uint64_t n)
{
	return (struct identity){ { n * 7919, n } };
}

/* What is found, as "uid=twin/source ...", the UIDs of what had to be read before it. */
static const char *found(struct echoes *e, uint32_t sends)
{
	static char text[500];
	struct echo *echo;
	size_t n, at = 0;

	text[0] = '\0';
	cr_assert_eq(echoes_find(e, sends, &echo, &n), 0);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u=%u/%u", i == 0 ? "" : " ", (unsigned)echo[i].uid,
			(unsigned)echo[i].twin, (unsigned)echo[i].source);
	free(echo);
	return text;
}

static bool is_told(struct echoes *e, uint32_t sends, size_t i)
{
	struct echo *echo;
	size_t n;
	bool told;

	cr_assert_eq(echoes_find(e, sends, &echo, &n), 0);
	cr_assert_lt(i, n);
	told = echo[i].told;
	free(echo);
	return told;
}

static bool is_set(struct uidset *s, const char *uids)
{
	struct uidset wanted = { 0 };
	bool same;

	cr_assert(uids[0] == '\0' || uidset_parse(&wanted, span_str(uids)) == 0);
	same = s->n == wanted.n;
	for (size_t i = 0; same && i < s->n; i++)
		same = s->r[i].lo == wanted.r[i].lo && s->r[i].hi == wanted.r[i].hi;
	uidset_done(s);
	uidset_done(&wanted);
	return same;
}

static bool doubts_of_both(struct echoes *e, const char *target, const char *source)
{
	struct uidset t = { 0 }, s = { 0 };
	bool same;

	cr_assert_eq(echoes_doubtful(e, &t, &s), 0);
	same = is_set(&t, target);
	return is_set(&s, source) && same;
}

static bool doubts(struct echoes *e, const char *uids)
{
	return doubts_of_both(e, uids, "");
}

Test(echoes, only_what_is_the_same_byte_by_byte)
{
	struct echoes e = { 0 };

	cr_assert_eq(echoes_add_stranger(&e, 10, id(1)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 11, id(2)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 12, id(3)), 0);
	cr_assert_eq(echoes_add_sent(&e, 5, 1005, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 6, 1006, id(2)), 0);
	cr_assert_eq(echoes_add_sent(&e, 7, 1007, id(9)), 0);
	cr_assert(doubts(&e, "5:6,10:11"));
	echoes_add_body(&e, 5, id(100));
	echoes_add_body(&e, 10, id(100));
	echoes_add_body(&e, 6, id(200));
	echoes_add_body(&e, 11, id(201));
	echoes_add_body(&e, 12, id(100));
	cr_expect_str_eq(found(&e, 5), "10=5/1005");
	echoes_done(&e);
}

Test(echoes, what_was_not_read_is_none)
{
	struct echoes e = { 0 };

	cr_assert_eq(echoes_add_stranger(&e, 10, id(1)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 11, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 5, 1005, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 6, 1006, id(1)), 0);
	cr_assert(doubts(&e, "5:6,10:11"));
	echoes_add_body(&e, 11, id(100));
	cr_expect_str_eq(found(&e, 5), "");
	echoes_done(&e);
}

/* Of equal ones the latest, and no more than were sent in vain. */
Test(echoes, no_more_than_were_sent)
{
	struct echoes e = { 0 };

	for (uint32_t uid = 10; uid < 17; uid++)
		cr_assert_eq(echoes_add_stranger(&e, uid, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 5, 1005, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 6, 1006, id(1)), 0);
	cr_assert(doubts(&e, "5:6,10:16"));
	for (uint32_t uid = 5; uid < 17; uid++)
		echoes_add_body(&e, uid, id(100));
	cr_expect_str_eq(found(&e, 0), "");
	cr_expect_str_eq(found(&e, 1), "16=6/1006 15=5/1005");
	cr_expect_str_eq(found(&e, 2), "16=6/1006 15=5/1005 14=6/1006 13=5/1005");
	cr_expect_str_eq(found(&e, UINT32_MAX), "16=6/1006 15=5/1005 14=6/1006 13=5/1005 12=6/1006 11=5/1005 10=6/1006");
	echoes_done(&e);
}

/* A stranger whose twin is not there any more is the only one of its kind. */
Test(echoes, none_without_a_twin)
{
	struct echoes e = { 0 };

	cr_expect_str_eq(found(&e, 1), "");
	cr_assert_eq(echoes_add_stranger(&e, 10, id(1)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 11, id(1)), 0);
	cr_assert(doubts(&e, ""));
	cr_expect_str_eq(found(&e, 1), "");
	echoes_done(&e);
}

Test(echoes, the_same_bytes_with_another_date_are_another_message)
{
	struct echoes e = { 0 };

	cr_assert_eq(echoes_add_stranger(&e, 10, id(1)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 11, id(2)), 0);
	cr_assert_eq(echoes_add_sent(&e, 5, 1005, id(1)), 0);
	cr_assert(doubts(&e, "5,10"));
	for (uint32_t uid = 5; uid < 12; uid++)
		echoes_add_body(&e, uid, id(100));
	cr_expect_str_eq(found(&e, 3), "10=5/1005");
	echoes_done(&e);
}

/* The target did not tell its UIDs: what was sent is among the strangers. */
Test(echoes, as_many_as_were_sent_and_not_told_are_none)
{
	struct echoes e = { 0 };

	for (uint32_t uid = 10; uid < 15; uid++)
		cr_assert_eq(echoes_add_stranger(&e, uid, id(1)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 20, id(2)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 21, id(2)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 30, id(3)), 0);
	cr_assert_eq(echoes_add_sent(&e, 0, 1001, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 0, 1002, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 0, 1003, id(2)), 0);
	cr_assert_eq(echoes_add_sent(&e, 0, 1004, id(2)), 0);
	cr_assert_eq(echoes_add_sent(&e, 0, 1005, id(4)), 0);
	cr_assert(doubts_of_both(&e, "10:14", "1001:1002"));
	for (uint32_t uid = 10; uid < 14; uid++)
		echoes_add_body(&e, uid, id(100));
	echoes_add_body(&e, 14, id(200));
	echoes_add_source_body(&e, 1001, id(100));
	cr_expect_str_eq(found(&e, 1), "13=10/1001");
	cr_expect_str_eq(found(&e, 2), "13=10/1001 12=10/1001");
	cr_expect_str_eq(found(&e, 9), "13=10/1001 12=10/1001 11=10/1001");
	echoes_done(&e);
}

/* One of two that were recorded is not there any more. */
Test(echoes, one_that_was_moved_away_and_back_is_none)
{
	struct echoes e = { 0 };

	cr_assert_eq(echoes_add_stranger(&e, 10, id(1)), 0);
	cr_assert_eq(echoes_add_stranger(&e, 11, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 5, 1005, id(1)), 0);
	cr_assert_eq(echoes_add_sent(&e, 0, 1006, id(1)), 0);
	cr_assert(doubts_of_both(&e, "5,10:11", "1006"));
	for (uint32_t uid = 5; uid < 12; uid++)
		echoes_add_body(&e, uid, id(100));
	echoes_add_source_body(&e, 1006, id(100));
	cr_expect_str_eq(found(&e, 2), "11=5/1005");
	cr_expect(is_told(&e, 2, 0));
	/* The source has other bytes by now. */
	e.item[1].body = id(101);
	cr_expect_str_eq(found(&e, 2), "11=5/1005 10=5/1005");
	cr_expect(is_told(&e, 2, 0));
	cr_expect_not(is_told(&e, 2, 1));
	e.lost = 1;
	cr_expect_not(is_told(&e, 2, 0));
	e.lost = UINT32_MAX;
	cr_expect_not(is_told(&e, 2, 0));
	echoes_done(&e);
}

Test(echoes, memory)
{
	size_t n = 0;

	do {
		struct echoes e = { 0 };
		struct uidset s = { 0 };
		struct echo *echo = NULL;
		size_t found_n = 0;
		int err = 0;

		failmalloc_arm(++n);
		for (uint32_t uid = 100; uid < 200 && err == 0; uid++)
			err = echoes_add_stranger(&e, uid, id(uid % 3));
		for (uint32_t uid = 1; uid < 100 && err == 0; uid++)
			err = echoes_add_sent(&e, uid, uid, id(uid % 3));
		if (err == 0)
			err = echoes_doubtful(&e, &s, &s);
		if (err == 0)
			err = echoes_find(&e, 1, &echo, &found_n);
		failmalloc_disarm();
		cr_expect_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0);
		free(echo);
		echoes_done(&e);
		uidset_done(&s);
	} while (failmalloc_fired());
}
