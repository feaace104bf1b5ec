#include "resp.h"

#include "err.h"
#include "failmalloc.h"
#include "framer.h"
#include "leaks.h"
#include "proto_resp_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(proto_resp, .fini = leaks_check);

static void say_frame(struct text *t, const struct frame *f, struct arena *a)
{
	struct resp r;
	struct resp_fetch begin;
	int err = 0;

	arena_reset(a);
	if (f->kind == FRAME_LINE) {
		err = resp_parse(f->bytes, f->streamed, a, &r);
		if (err == 0)
			say_resp(t, &r);
	} else if (f->kind == FRAME_BODY_BEGIN) {
		err = resp_parse_fetch_begin(f->bytes, f->streamed, a, &begin);
		if (err == 0) {
			say(t, "BEGIN");
			say_fetch(t, &begin);
		}
	} else {
		return;
	}
	if (err != 0)
		say(t, "!%d", err);
	say(t, "|");
}

/* Through the framer and the parser, in two pieces. */
static void parse(struct span in, size_t cut, struct text *t)
{
	static const struct framer_limits limits = { .line_max = 65536, .body_max = 65536 };
	struct framer *f = framer_new(&limits);
	struct arena a;

	cr_assert(f != NULL);
	arena_init(&a, 65536);
	t->n = 0;
	t->p[0] = '\0';
	for (unsigned i = 0; i < 2; ++i) {
		struct span part = i == 0 ? span_first(in, cut) : span_from(in, cut);
		char *bytes = malloc(part.n + 1);
		if (part.n > 0)
			memcpy(bytes, part.p, part.n);
		struct span piece = span_of(bytes, part.n);
		struct frame frame;
		do {
			cr_assert_eq(framer_next(f, &piece, &frame), 0);
			say_frame(t, &frame, &a);
		} while (frame.kind != FRAME_NONE);
		free(bytes);
	}
	arena_done(&a);
	framer_free(&f);
}

struct sample {
	const char *in, *out;
};

static void samples_check(const struct sample *samples, size_t n)
{
	static struct text t;

	for (size_t i = 0; i < n; ++i) {
		const struct sample *s = &samples[i];
		struct span in = span_str(s->in);
		for (size_t cut = 0; cut <= in.n; ++cut) {
			parse(in, cut, &t);
			cr_expect_str_eq(t.p, s->out, "\"%s\" cut at %zu: \"%s\" and not \"%s\"", s->in, cut, t.p, s->out);
		}
	}
}

#define CHECK_ALL(table) samples_check(table, sizeof(table) / sizeof(table[0]))

Test(proto_resp, status)
{
	static const struct sample samples[] = {
		{ "* OK hello  there \r\n", "STATUS OK text=<hello  there >|" },
		{ "* ok\r\n* NO\r\n* bad \r\n", "STATUS OK|STATUS NO|STATUS BAD|" },
		{ "* BYE [UNAVAILABLE] later\n", "STATUS BYE [UNAVAILABLE] name=<UNAVAILABLE> text=<later>|" },
		{ "* PREAUTH hi {5}\r\n", "STATUS PREAUTH text=<hi {5}>|" },
		{ "a1 OK done\r\n", "TAGGED tag=<a1> OK text=<done>|" },
		{ "a1 OK\r\na2 NO \r\na3 BAD x\r\n", "TAGGED tag=<a1> OK|TAGGED tag=<a2> NO|TAGGED tag=<a3> BAD text=<x>|" },
		{ "a1 NO [authenticationfailed] no\r\n",
			"TAGGED tag=<a1> NO [AUTHENTICATIONFAILED] name=<authenticationfailed> text=<no>|" },
		{ "a1 BYE x\r\n", "!-3|" },
		{ "a1 FOO x\r\n", "!-3|" },
		{ "a1\r\n", "!-3|" },
		{ "\r\n", "!-3|" },
		{ "*\r\n* \r\n*  \r\n", "!-3|!-3|!-3|" },
		{ "\"a1\" OK x\r\n", "!-3|" },
		{ "(a1) OK\r\n", "!-3|" },
		{ "+\r\n+ \r\n+ go on {3}\r\n+x\r\n", "CONTINUE|CONTINUE|CONTINUE text=<go on {3}>|CONTINUE text=<x>|" },
		{ "+ [ALERT] x\r\n", "CONTINUE text=<[ALERT] x>|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, codes)
{
	static const struct sample samples[] = {
		{ "* OK [UIDVALIDITY 4294967295] x\r\n",
			"STATUS OK [UIDVALIDITY] name=<UIDVALIDITY> args=<4294967295> uidvalidity=4294967295 text=<x>|" },
		{ "* OK [UIDNEXT 7]\r\n", "STATUS OK [UIDNEXT] name=<UIDNEXT> args=<7> uidnext=7|" },
		{ "* OK [HIGHESTMODSEQ 18446744073709551615] x\r\n", "STATUS OK [HIGHESTMODSEQ] name=<HIGHESTMODSEQ> "
			"args=<18446744073709551615> modseq=18446744073709551615 text=<x>|" },
		{ "* OK [PERMANENTFLAGS (\\Answered $a \\*)] text\r\n", "STATUS OK [PERMANENTFLAGS] name=<PERMANENTFLAGS> "
			"args=<(\\Answered $a \\*)> flags=<\\Answered $a> any=1 text=<text>|" },
		{ "* OK [PERMANENTFLAGS ()] none\r\n",
			"STATUS OK [PERMANENTFLAGS] name=<PERMANENTFLAGS> args=<()> text=<none>|" },
		{ "* OK [PERMANENTFLAGS(\\Seen)]\r\n",
			"STATUS OK [PERMANENTFLAGS] name=<PERMANENTFLAGS> args=<(\\Seen)> flags=<\\Seen>|" },
		{ "* OK [PERMANENTFLAGS (\\Seen a]b \\*)] t\r\n", "STATUS OK [PERMANENTFLAGS] name=<PERMANENTFLAGS> "
			"args=<(\\Seen a]b \\*)> flags=<\\Seen> unknown=1 any=1 text=<t>|" },
		{ "a OK [APPENDUID 38505 3955] ok\r\n", "TAGGED tag=<a> OK [APPENDUID] name=<APPENDUID> args=<38505 3955> "
			"uidvalidity=38505 uids=<3955> text=<ok>|" },
		{ "a OK [APPENDUID 38505 3955:3957,9] ok\r\n", "TAGGED tag=<a> OK [APPENDUID] name=<APPENDUID> "
			"args=<38505 3955:3957,9> uidvalidity=38505 uids=<3955:3957,9> text=<ok>|" },
		{ "a OK [COPYUID 1 304,319:320 3956:3958]\r\n", "TAGGED tag=<a> OK [COPYUID] name=<COPYUID> "
			"args=<1 304,319:320 3956:3958> uidvalidity=1 uids=<304,319:320> to=<3956:3958>|" },
		{ "* OK [CAPABILITY IMAP4rev1 literal+ AUTH=PLAIN APPENDLIMIT=35651584] hi\r\n",
			"STATUS OK [CAPABILITY] name=<CAPABILITY> args=<IMAP4rev1 literal+ AUTH=PLAIN APPENDLIMIT=35651584> "
			"IMAP4rev1 LITERAL+ limit=35651584 text=<hi>|" },
		{ "* OK [READ-ONLY] x\r\n", "STATUS OK [READ-ONLY] name=<READ-ONLY> text=<x>|" },
		{ "* NO [BADCHARSET (UTF-8 \"]\")] x\r\n",
			"STATUS NO [BADCHARSET] name=<BADCHARSET> args=<(UTF-8 \"]\")> text=<x>|" },
		{ "* NO [BADCHARSET (\"\\\"]\")] x\r\n", "STATUS NO [BADCHARSET] name=<BADCHARSET> args=<(\"\\\"]\")> text=<x>|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, unknown_and_odd_codes)
{
	static const struct sample samples[] = {
		{ "* OK [XFOO] x\r\n", "STATUS OK [?] name=<XFOO> text=<x>|" },
		{ "* OK [XFOO a [b] c] x\r\n", "STATUS OK [?] name=<XFOO> args=<a [b] c> text=<x>|" },
		{ "* OK [XFOO a [b c] x\r\n", "STATUS OK [?] name=<XFOO> args=<a [b c> text=<x>|" },
		{ "* OK [XFOO \"a] x\r\n", "STATUS OK [?] name=<XFOO> args=<\"a> text=<x>|" },
		{ "* OK [XFOO (a] x\r\n", "STATUS OK [?] name=<XFOO> args=<(a> text=<x>|" },
		{ "* OK [XFOO )] x\r\n", "STATUS OK [?] name=<XFOO> args=<)> text=<x>|" },
		{ "* OK [ALERT never closed\r\n", "STATUS OK text=<[ALERT never closed>|" },
		{ "* OK [\r\n", "STATUS OK text=<[>|" },
		{ "* OK [] x\r\n", "STATUS OK text=<[] x>|" },
		{ "* OK []\r\n", "STATUS OK text=<[]>|" },
		{ "* OK [ ALERT ]x\r\n", "STATUS OK [ALERT] name=<ALERT> text=<x>|" },
		{ "* OK[ALERT]x\r\n", "STATUS OK [ALERT] name=<ALERT> text=<x>|" },
		{ "* OK [mail.example.com] ready [x]\r\n", "STATUS OK [?] name=<mail.example.com> text=<ready [x]>|" },
		{ "* OK x [ALERT] y\r\n", "STATUS OK text=<x [ALERT] y>|" },
		/* The answer counts for more than a code that is broken. */
		{ "* OK [UIDVALIDITY 4294967296] x\r\n", "STATUS OK [?] name=<UIDVALIDITY> args=<4294967296> text=<x>|" },
		{ "* OK [UIDVALIDITY 0] x\r\n", "STATUS OK [?] name=<UIDVALIDITY> args=<0> text=<x>|" },
		{ "* OK [UIDVALIDITY] x\r\n", "STATUS OK [?] name=<UIDVALIDITY> text=<x>|" },
		{ "* OK [UIDNEXT 1 2] x\r\n", "STATUS OK [?] name=<UIDNEXT> args=<1 2> text=<x>|" },
		{ "* OK [UIDNEXT 0]\r\n", "STATUS OK [?] name=<UIDNEXT> args=<0>|" },
		{ "* OK [HIGHESTMODSEQ 18446744073709551616]\r\n",
			"STATUS OK [?] name=<HIGHESTMODSEQ> args=<18446744073709551616>|" },
		{ "* OK [PERMANENTFLAGS NIL]\r\n", "STATUS OK [?] name=<PERMANENTFLAGS> args=<NIL>|" },
		{ "* OK [PERMANENTFLAGS (\\Seen ()]\r\n", "STATUS OK [?] name=<PERMANENTFLAGS> args=<(\\Seen ()>|" },
		{ "* OK [PERMANENTFLAGS (\\Seen \"x\")]\r\n", "STATUS OK [PERMANENTFLAGS] name=<PERMANENTFLAGS> args=<(\\Seen \"x\")> flags=<\\Seen> unknown=1|" },
		{ "a OK [APPENDUID 1] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1> text=<x>|" },
		{ "a OK [APPENDUID 1 a] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1 a> text=<x>|" },
		{ "a OK [APPENDUID 1 *] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1 *> text=<x>|" },
		{ "a OK [APPENDUID 1 1,] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1 1,> text=<x>|" },
		{ "a OK [APPENDUID 1 ,1] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1 ,1> text=<x>|" },
		{ "a OK [APPENDUID 1 1::2] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1 1::2> text=<x>|" },
		{ "a OK [APPENDUID 0 1] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<0 1> text=<x>|" },
		{ "a OK [APPENDUID 1 1 1] x\r\n", "TAGGED tag=<a> OK [?] name=<APPENDUID> args=<1 1 1> text=<x>|" },
		{ "a OK [COPYUID 1 2] x\r\n", "TAGGED tag=<a> OK [?] name=<COPYUID> args=<1 2> text=<x>|" },
		{ "a OK [COPYUID 1  2  3 ] x\r\n",
			"TAGGED tag=<a> OK [COPYUID] name=<COPYUID> args=<1  2  3> uidvalidity=1 uids=<2> to=<3> text=<x>|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, capabilities)
{
	static const struct sample samples[] = {
		{ "* CAPABILITY IMAP4rev1 LITERAL- X-FOO UIDPLUS\r\n", "CAPABILITY IMAP4rev1 LITERAL- UIDPLUS|" },
		{ "* capability  imap4REV2   compress=deflate \r\n", "CAPABILITY IMAP4rev2 COMPRESS=DEFLATE|" },
		{ "* CAPABILITY\r\n", "CAPABILITY|" },
		{ "* CAPABILITY APPENDLIMIT\r\n* CAPABILITY APPENDLIMIT=x\r\n", "CAPABILITY APPENDLIMIT|CAPABILITY|" },
		{ "* CAPABILITY APPENDLIMIT=18446744073709551616\r\n* CAPABILITY appendlimit=0\r\n",
			"CAPABILITY|CAPABILITY limit=0|" },
		{ "* CAPABILITY STATUS=SIZE IMAP4 IDLE2 IDLE\r\n", "CAPABILITY STATUS=SIZE IDLE|" },
		{ "* ENABLED CONDSTORE UTF8=ACCEPT\r\n* ENABLED\r\n", "ENABLED CONDSTORE UTF8=ACCEPT|ENABLED|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, lists)
{
	static const struct sample samples[] = {
		{ "* LIST () \"/\" a\r\n", "LIST attrs=0 delimiter=/ name=<a>|" },
		{ "* LSUB (\\Noinferiors \\nonexistent \\X) \".\" \"a b\"\r\n", "LSUB attrs=5 delimiter=. name=<a b>|" },
		{ "* LIST (\\Trash) \"\\\\\" \"a\\\\b\\\"c\"\r\n", "LIST attrs=8000 delimiter=\\ name=<a\\b\"c>|" },
		{ "* LIST () NIL INBOX\r\n", "LIST attrs=0 delimiter=0 name=<INBOX>|" },
		{ "* LIST () \"\" a\r\n", "LIST attrs=0 delimiter=0 name=<a>|" },
		{ "* LIST () {1}\r\n/ {5}\r\na\"\r\nb\r\n", "LIST attrs=0 delimiter=/ name=<a\"\r\nb>|" },
		{ "* LIST () \"/\" ~{1}\r\na\r\n", "LIST attrs=0 delimiter=/ name=<a>|" },
		{ "* LIST () \"/\" 2019\r\n", "LIST attrs=0 delimiter=/ name=<2019>|" },
		{ "* LIST () \"/\" NIL\r\n", "LIST attrs=0 delimiter=/ name=<NIL>|" },
		{ "* LIST () \"/\" \"\"\r\n", "LIST attrs=0 delimiter=/ name=<>|" },
		{ "* LIST () \"/\" [Gmail]/Tous&AOk-\r\n", "LIST attrs=0 delimiter=/ name=<[Gmail]/Tous&AOk->|" },
		{ "* LIST () \"/\" BODY[a\r\n", "LIST attrs=0 delimiter=/ name=<BODY[a>|" },
		{ "* LIST () \"/\" foo{3}\r\n", "LIST attrs=0 delimiter=/ name=<foo{3}>|" },
		{ "* LIST () \"/\" caf\303\251 \r\n", "LIST attrs=0 delimiter=/ name=<caf\303\251>|" },
		{ "* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\")) (x y)\r\n", "LIST attrs=0 delimiter=/ name=<a>|" },
		{ "* LIST () \"/\" a (\"OLDNAME\" ({1}\r\nb))\r\n", "LIST attrs=0 delimiter=/ name=<a>|" },
		{ "* LIST\r\n", "!-3|" },
		{ "* LIST () \"/\"\r\n", "!-3|" },
		{ "* LIST () \"//\" a\r\n", "!-3|" },
		{ "* LIST () () a\r\n", "!-3|" },
		{ "* LIST NIL \"/\" a\r\n", "!-3|" },
		{ "* LIST (\"x\") \"/\" a\r\n", "!-3|" },
		{ "* LIST (\\Sent \"/\" a\r\n", "!-3|" },
		{ "* LIST () \"/\" Sent Items\r\n", "!-3|" },
		{ "* LIST () \"/\" a (\"CHILDINFO\"\r\n", "!-3|" },
		{ "* LIST () \"/\" (a)\r\n", "!-3|" },
		{ "* LIST () \"/\" \"a\r\n", "!-3|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, folder_status)
{
	static const struct sample samples[] = {
		{ "* STATUS \"a b\" (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5 UNSEEN 2) \r\n",
			"FOLDER name=<a b> has=15 messages=3 uidnext=4 uidvalidity=5 unseen=2|" },
		{ "* STATUS a (messages 0 SIZE 18446744073709551615 HIGHESTMODSEQ 9 APPENDLIMIT 7 DELETED 1 RECENT 2)\r\n",
			"FOLDER name=<a> has=497 deleted=1 recent=2 size=18446744073709551615 modseq=9 limit=7|" },
		{ "* STATUS a (APPENDLIMIT NIL)\r\n", "FOLDER name=<a> has=64 limit=18446744073709551615|" },
		{ "* STATUS {3}\r\na b (MAILBOXID (F1) X-FOO NIL Y \"z\" MESSAGES 1)\r\n", "FOLDER name=<a b> has=1 messages=1|" },
		{ "* STATUS 12 ()\r\n", "FOLDER name=<12> has=0|" },
		{ "* STATUS NIL( )\r\n", "FOLDER name=<NIL> has=0|" },
		{ "* STATUS a (MESSAGES 4294967296)\r\n", "!-4|" },
		{ "* STATUS a (SIZE 18446744073709551616)\r\n", "!-4|" },
		{ "* STATUS a (MESSAGES)\r\n", "!-3|" },
		{ "* STATUS a (MESSAGES -1)\r\n", "!-3|" },
		{ "* STATUS a (MESSAGES 1\r\n", "!-3|" },
		{ "* STATUS a (X)\r\n", "!-3|" },
		{ "* STATUS a (\"X\" 1)\r\n", "!-3|" },
		{ "* STATUS a (MESSAGES 1) x\r\n", "!-3|" },
		{ "* STATUS a b (MESSAGES 1)\r\n", "!-3|" },
		{ "* STATUS a\r\n", "!-3|" },
		{ "* STATUS (MESSAGES 1)\r\n", "!-3|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, searches)
{
	static const struct sample samples[] = {
		{ "* SEARCH\r\n* SEARCH \r\n", "SEARCH|SEARCH|" },
		{ "* SEARCH 2 84  882 \r\n", "SEARCH numbers=<2 84  882>|" },
		{ "* SEARCH 2 5 (MODSEQ 917162500)\r\n", "SEARCH numbers=<2 5> modseq=917162500|" },
		{ "* SEARCH (MODSEQ 9) \r\n", "SEARCH modseq=9|" },
		{ "* SEARCH 4294967295\r\n* SEARCH 4294967296\r\n", "SEARCH numbers=<4294967295>|!-4|" },
		{ "* SEARCH 1 x\r\n", "!-3|" },
		{ "* SEARCH 1,2\r\n", "!-3|" },
		{ "* SEARCH \"1\"\r\n", "!-3|" },
		{ "* SEARCH 1 (FOO 1)\r\n", "!-3|" },
		{ "* SEARCH 1 (MODSEQ 1) 2\r\n", "!-3|" },
		{ "* SEARCH 1 (MODSEQ 1\r\n", "!-3|" },
		{ "* ESEARCH (TAG \"x\") UID ALL 1:5,9 COUNT 3\r\n", "ESEARCH tag=<x> uid all set=<1:5,9> count=3|" },
		{ "* ESEARCH (TAG x) MIN 2 MAX 7 COUNT 0 MODSEQ 12\r\n", "ESEARCH tag=<x> min=2 max=7 count=0 modseq=12|" },
		{ "* ESEARCH UID\r\n* ESEARCH\r\n", "ESEARCH uid|ESEARCH|" },
		{ "* ESEARCH (TAG {1}\r\n\" MAILBOX a UIDVALIDITY 5) uid X (1 (2)) ALL 3 \r\n",
			"ESEARCH tag=<\"> uid all set=<3>|" },
		{ "* ESEARCH () COUNT 2\r\n", "ESEARCH count=2|" },
		{ "* ESEARCH ALL 1 UID 5\r\n", "ESEARCH all set=<1>|" },
		{ "* ESEARCH (TAG \"x\"\r\n", "!-3|" },
		{ "* ESEARCH (\"x\") ALL 1\r\n", "!-3|" },
		{ "* ESEARCH (TAG) ALL 1\r\n", "!-3|" },
		{ "* ESEARCH ALL\r\n", "!-3|" },
		{ "* ESEARCH ALL 1:*\r\n", "!-3|" },
		{ "* ESEARCH ALL \"1\"\r\n", "!-3|" },
		{ "* ESEARCH COUNT 4294967296\r\n", "!-4|" },
		{ "* ESEARCH MIN x\r\n", "!-3|" },
		{ "* ESEARCH X\r\n", "!-3|" },
		{ "* ESEARCH 1 (2) (3)\r\n", "!-3|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, small_ones)
{
	static const struct sample samples[] = {
		{ "* 0 EXISTS\r\n* 4294967295 recent\r\n* 1 EXPUNGE \r\n", "EXISTS 0|RECENT 4294967295|EXPUNGE 1|" },
		{ "* 4294967296 EXISTS\r\n", "!-4|" },
		{ "* 0 EXPUNGE\r\n", "!-4|" },
		{ "* 1x EXISTS\r\n", "!-3|" },
		{ "* 1 EXISTS x\r\n", "!-3|" },
		{ "* 99999999999 FOO {2}\r\n\r\n\r\n* 1\r\n", "OTHER text=<99999999999 FOO {2}\r\n\r\n>|OTHER text=<1>|" },
		{ "* FLAGS (\\Seen $a \\Recent)\r\n* FLAGS ()\r\n", "FLAGS flags=<\\Seen $a>|FLAGS|" },
		{ "* FLAGS\r\n", "!-3|" },
		{ "* FLAGS (\\Seen) x\r\n", "!-3|" },
		{ "* VANISHED 1:3,9\r\n", "VANISHED uids=<1:3,9>|" },
		{ "* VANISHED (EARLIER) 1:3\r\n", "VANISHED earlier uids=<1:3>|" },
		{ "* VANISHED (LATER) 1\r\n", "!-3|" },
		{ "* VANISHED (EARLIER 1\r\n", "!-3|" },
		{ "* VANISHED (EARLIER)\r\n", "!-3|" },
		{ "* VANISHED 1 2\r\n", "!-3|" },
		{ "* VANISHED *\r\n", "!-3|" },
		{ "* ID (\"name\" \"x\")\r\n", "OTHER text=<ID (\"name\" \"x\")>|" },
		{ "* XFOO\r\n", "OTHER text=<XFOO>|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, namespaces)
{
	static const struct sample samples[] = {
		{ "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", "NAMESPACE (<>/) () ()|" },
		{ "* NAMESPACE NIL nil NIL\r\n", "NAMESPACE () () ()|" },
		{ "* NAMESPACE ((\"INBOX.\" \".\")(\"x\" NIL)) ((\"~\" \"\\\\\") ({2}\r\n#a \"/\")) ((\"#s/\" \"/\"))\r\n",
			"NAMESPACE (<INBOX.>.<x>0) (<~>\\<#a>/) (<#s/>/)|" },
		{ "* NAMESPACE ((\"\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\") \"T\" NIL)(\"a\" \"/\")) NIL NIL \r\n",
			"NAMESPACE (<>/<a>/) () ()|" },
		{ "* NAMESPACE () NIL NIL\r\n", "NAMESPACE () () ()|" },
		{ "* NAMESPACE ((NIL \"/\")) NIL NIL\r\n", "NAMESPACE (<>/) () ()|" },
		{ "* NAMESPACE NIL NIL\r\n", "!-3|" },
		{ "* QUOTA \"User quota\" (STORAGE 10 512 X-OTHER 3 4 message 7 100)\r\n", "QUOTA storage 10/512 messages 7/100|" },
		{ "* QUOTA \"\" ()\r\n", "QUOTA|" },
		{ "* QUOTA {2}\r\nab (STORAGE 0 0)\r\n", "QUOTA storage 0/0|" },
		{ "* QUOTA \"\" (STORAGE 10)\r\n", "QUOTA|" },
		{ "* QUOTA \"\" (STORAGE -1 5)\r\n", "QUOTA|" },
		{ "* QUOTA\r\n", "QUOTA|" },
		{ "* NAMESPACE NIL NIL NIL NIL\r\n", "!-3|" },
		{ "* NAMESPACE ((\"\")) NIL NIL\r\n", "!-3|" },
		{ "* NAMESPACE ((\"\" \"/\") NIL NIL\r\n", "!-3|" },
		{ "* NAMESPACE ((\"\" \"//\")) NIL NIL\r\n", "!-3|" },
		{ "* NAMESPACE (\"\" \"/\") NIL NIL\r\n", "!-3|" },
		{ "* NAMESPACE a NIL NIL\r\n", "!-3|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, fetch)
{
	static const struct sample samples[] = {
		{ "* 5 FETCH (UID 7 FLAGS (\\Seen $a) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286)\r\n",
			"FETCH 5 has=15 uid=7 flags=<\\Seen $a> date=<17-Jul-1996 02:44:25 -0700> size=4286|" },
		{ "* 5 fetch (rfc822.size 18446744073709551615 Flags () uid 4294967295) \r\n",
			"FETCH 5 has=11 uid=4294967295 size=18446744073709551615|" },
		{ "* 5 FETCH (FLAGS (\\Recent \\X \\*) MODSEQ (12) EMAILID (M6d) THREADID NIL)\r\n",
			"FETCH 5 has=146 unknown=1 any=1 modseq=12 email=<M6d>|" },
		{ "* 5 FETCH (FLAGS (BODY[x \\Seen) UID 1)\r\n", "FETCH 5 has=3 uid=1 flags=<\\Seen BODY[x>|" },
		{ "* 5 FETCH ()\r\n* 5 FETCH( UID  1 )\r\n", "FETCH 5 has=0|FETCH 5 has=1 uid=1|" },
		{ "* 5 FETCH (UID 1 UID 2)\r\n", "FETCH 5 has=1 uid=2|" },
		{ "* 5 FETCH (INTERNALDATE NIL EMAILID NIL)\r\n", "FETCH 5 has=0|" },
		{ "* 5 FETCH (X-GM-MSGID 1278455344230334865 X-GM-LABELS (\"\\\\Inbox\" a) X \"(\" UID 3)\r\n",
			"FETCH 5 has=1 uid=3|" },
		{ "* 5 FETCH (ENVELOPE (\"d\" \"a) {3}\" ((NIL NIL \"x\" {3}\r\n))))) NIL) "
			"BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"x\") NIL NIL \"7BIT\" 1152 23)(\"A\" \"B\") \"MIXED\") "
			"BODY (\"TEXT\" (\"a\" \"b\")) UID 3)\r\n", "FETCH 5 has=1 uid=3|" },
		{ "* 5 FETCH (BODY[1.MIME] NIL BINARY.SIZE[1] 5 BINARY[1] {1}\r\n) UID 3)\r\n", "FETCH 5 has=33 uid=3|" },
		{ "* 0 FETCH (UID 1)\r\n", "!-4|" },
		{ "* 4294967296 FETCH (UID 1)\r\n", "!-4|" },
		{ "* 1x FETCH (UID 1)\r\n", "!-3|" },
		{ "* 5 FETCH (UID 0)\r\n", "!-4|" },
		{ "* 5 FETCH (UID 4294967296)\r\n", "!-4|" },
		{ "* 5 FETCH (RFC822.SIZE 18446744073709551616)\r\n", "!-4|" },
		{ "* 5 FETCH (RFC822.SIZE NIL UID 3)\r\n", "FETCH 5 has=1 uid=3|" },
		{ "* 5 FETCH (RFC822.SIZE none UID 3)\r\n", "!-3|" },
		{ "* 5 FETCH (MODSEQ (18446744073709551616))\r\n", "!-4|" },
		{ "* 5 FETCH\r\n", "!-3|" },
		{ "* 5 FETCH UID 1\r\n", "!-3|" },
		{ "* 5 FETCH (UID)\r\n", "!-3|" },
		{ "* 5 FETCH (UID 1\r\n", "!-3|" },
		{ "* 5 FETCH (UID 1) x\r\n", "!-3|" },
		{ "* 5 FETCH (\"UID\" 1)\r\n", "!-3|" },
		{ "* 5 FETCH (FLAGS \\Seen)\r\n", "!-3|" },
		{ "* 5 FETCH (FLAGS (\"x\"))\r\n", "FETCH 5 has=2 unknown=1|" },
		{ "* 5 FETCH (INTERNALDATE 5)\r\n", "!-3|" },
		{ "* 5 FETCH (MODSEQ 12)\r\n", "!-3|" },
		{ "* 5 FETCH (MODSEQ (12)\r\n", "!-3|" },
		{ "* 5 FETCH (EMAILID M6d)\r\n", "!-3|" },
		{ "* 5 FETCH (EMAILID ())\r\n", "!-3|" },
		{ "* 5 FETCH (EMAILID \"x\")\r\n", "!-3|" },
		{ "* 5 FETCH (X)\r\n", "!-3|" },
		{ "* 5 FETCH (X (a) UID 1\r\n", "!-3|" },
		{ "* 5 FETCH (BODY[HEADER (A UID 1)\r\n", "!-3|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, fetch_with_text)
{
	static const struct sample samples[] = {
		{ "* 5 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID DATE)] {6}\r\nA: )\r\n UID 9)\r\n",
			"FETCH 5 has=33 uid=9 header=<A: )\r\n>|" },
		{ "* 5 FETCH (BODY[HEADER.FIELDS (\"A]\" {2}\r\nB])] \"x\\\"y\" UID 9)\r\n",
			"FETCH 5 has=33 uid=9 header=<x\"y>|" },
		{ "* 5 FETCH (RFC822.HEADER {2}\r\nab BODY[TEXT]<0> NIL)\r\n", "FETCH 5 has=32|" },
		{ "* 5 FETCH (BODY[HEADER] x)\r\n", "!-3|" },
		{ "* 5 FETCH (BODY[HEADER] (x))\r\n", "!-3|" },
		{ "* 5 FETCH (BODY[] \"a\\\\b\" UID 1)\r\n", "FETCH 5 has=65 uid=1 body:inline body=<a\\b>|" },
		{ "* 5 FETCH (BODY[] \"\" UID 1)\r\n", "FETCH 5 has=65 uid=1 body:inline|" },
		{ "* 5 FETCH (BODY[] NIL UID 1)\r\n", "FETCH 5 has=65 uid=1 body:nil|" },
		{ "* 5 FETCH (BINARY[] nil)\r\n* 5 FETCH (RFC822 \"x\")\r\n",
			"FETCH 5 has=64 body:nil|FETCH 5 has=64 body:inline body=<x>|" },
		{ "* 5 FETCH (BODY[]<0> \"ab\")\r\n", "FETCH 5 has=64 body:inline body=<ab>|" },
		{ "* 5 FETCH (BODY[] x)\r\n", "!-3|" },
		{ "* 5 FETCH (BODY[])\r\n", "!-3|" },
	};

	CHECK_ALL(samples);
}

Test(proto_resp, fetch_with_streamed_body)
{
	static const struct sample samples[] = {
		{ "* 5 FETCH (UID 7 FLAGS (\\Seen) BODY[] {4}\r\n)\r\n* MODSEQ (3))\r\n",
			"BEGIN 5 has=67 uid=7 flags=<\\Seen> body:streamed|"
			"FETCH 5 has=83 uid=7 flags=<\\Seen> modseq=3 body:streamed|" },
		{ "* 5 FETCH (BODY[] {2}\r\nab UID 7)\r\n", "BEGIN 5 has=64 body:streamed|FETCH 5 has=65 uid=7 body:streamed|" },
		{ "* 5 FETCH (BODY[]<0> {2}\r\nabUID 7)\r\n", "BEGIN 5 has=64 body:streamed|FETCH 5 has=65 uid=7 body:streamed|" },
		{ "* 5 fetch (body[]{2}\nab)\n", "BEGIN 5 has=64 body:streamed|FETCH 5 has=64 body:streamed|" },
		{ "* 5 FETCH (RFC822 {0}\r\n)\r\n", "BEGIN 5 has=64 body:streamed|FETCH 5 has=64 body:streamed|" },
		{ "* 5 FETCH (BINARY[] ~{2}\r\n\001\r UID 7)\r\n",
			"BEGIN 5 has=64 body:streamed|FETCH 5 has=65 uid=7 body:streamed|" },
		{ "* 5 FETCH (X {1}\r\n) RFC822.HEADER {2}\r\nab BODY[] {2}\r\nab RFC822 {2}\r\ncd UID 2)\r\n",
			"BEGIN 5 has=96 header=<ab> body:streamed|FETCH 5 has=97 uid=2 header=<ab> body:streamed|" },
		{ "* 5 FETCH (BODY[] NIL RFC822 {2}\r\ncd BODY[] NIL BODY[] \"x\")\r\n",
			"BEGIN 5 has=64 body:streamed|FETCH 5 has=64 body:streamed|" },
		/* A body where none can be: within a list, within a section, as a name, without list, of message 0. */
		{ "* 5 FETCH (X (BODY[] {2}\r\nab))\r\n", "!-3|!-3|" },
		{ "* 5 FETCH (BODY[A BODY[] {2}\r\nab] NIL)\r\n", "!-3|!-3|" },
		{ "* 5 FETCH (X BODY[] {2}\r\nab UID 1)\r\n", "!-3|!-3|" },
		{ "* 5 FETCH (FLAGS RFC822 {2}\r\nab UID 1)\r\n", "!-3|!-3|" },
		{ "* 5 FETCH BODY[] {2}\r\nab)\r\n", "!-3|!-3|" },
		{ "* 5 FETCH (UID 1) BODY[] {2}\r\nab\r\n", "!-3|!-3|" },
		{ "* 0 FETCH (BODY[] {2}\r\nab)\r\n", "!-4|!-4|" },
		{ "* 99999999999 FETCH (BODY[] {2}\r\nab)\r\n", "!-4|!-4|" },
		{ "* 5x FETCH (BODY[] {2}\r\nab)\r\n", "!-3|!-3|" },
		{ "* 5 FETCH (BODY[] {2}\r\nab UID x)\r\n", "BEGIN 5 has=64 body:streamed|!-3|" },
	};

	CHECK_ALL(samples);
}

/* A caller's mistake, or a framer's: the parser does not hide that the body has no place. */
Test(proto_resp, streamed_offset_must_be_met)
{
	struct arena a;
	struct resp r = { .number = 77 };
	struct resp_fetch f = { .seq = 77 };

	arena_init(&a, 4096);
	cr_assert_eq(resp_parse(SPAN("* OK {2}\r\n"), 5, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse(SPAN("* 1 FETCH (UID 1)\r\n"), 5, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse(SPAN("* 1 FETCH (UID 1)\r\n"), 500, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse(SPAN_NONE, SIZE_MAX, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(r.number, 77, "a failed call leaves its result alone");
	cr_assert_eq(resp_parse_fetch_begin(SPAN("* 1 FETCH (UID 1)\r\n"), SIZE_MAX, &a, &f), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse_fetch_begin(SPAN("* 1 FETCH (UID 1 BODY[] {1}\r\n x"), 24, &a, &f), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse_fetch_begin(SPAN("1 FETCH (BODY[] {1}\r\n"), 16, &a, &f), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse_fetch_begin(SPAN("* 1 FLETCH (BODY[] {1}\r\n"), 19, &a, &f), PROTO_ERR_SYNTAX);
	cr_assert_eq(f.seq, 77);
	arena_done(&a);
}

Test(proto_resp, nul_bytes)
{
	struct arena a;
	struct resp r;

	arena_init(&a, 4096);
	cr_assert_eq(resp_parse(SPAN("* OK [ALERT] a\0b\r\n"), SIZE_MAX, &a, &r), 0);
	cr_assert(span_eq(r.status.text, SPAN("a\0b")));
	cr_assert_eq(resp_parse(SPAN("* LIST () \"/\" \"a\0b\"\r\n"), SIZE_MAX, &a, &r), 0);
	cr_assert(span_eq(r.list.name, SPAN("a\0b")));
	cr_assert_eq(resp_parse(SPAN("* LIST () \"/\" a\0b\r\n"), SIZE_MAX, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse(SPAN("* 1 FETCH (UID 1\0)\r\n"), SIZE_MAX, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse(SPAN("a\0 OK x\r\n"), SIZE_MAX, &a, &r), PROTO_ERR_SYNTAX);
	cr_assert_eq(resp_parse(SPAN("\0\r\n"), SIZE_MAX, &a, &r), PROTO_ERR_SYNTAX);
	arena_done(&a);
}

static int parse_nested(const char *head, size_t depth, const char *tail)
{
	size_t n = strlen(head) + 2 * depth + strlen(tail);
	char *text = malloc(n + 1), *p = text;
	struct arena a;
	struct resp r;

	cr_assert(text != NULL);
	memcpy(p, head, strlen(head));
	p += strlen(head);
	memset(p, '(', depth);
	memset(p + depth, ')', depth);
	memcpy(p + 2 * depth, tail, strlen(tail));
	arena_init(&a, 4096);
	int err = resp_parse(span_of(text, n), SIZE_MAX, &a, &r);
	arena_done(&a);
	free(text);
	return err;
}

Test(proto_resp, depth_is_limited)
{
	cr_assert_eq(parse_nested("* 1 FETCH (BODYSTRUCTURE ", 32, " UID 1)\r\n"), 0);
	cr_assert_eq(parse_nested("* 1 FETCH (BODYSTRUCTURE ", 33, " UID 1)\r\n"), PROTO_ERR_CAP);
	cr_assert_eq(parse_nested("* 1 FETCH (FLAGS ", 1000000, ")\r\n"), PROTO_ERR_CAP);
	cr_assert_eq(parse_nested("* STATUS a (X ", 1000000, ")\r\n"), PROTO_ERR_CAP);
	cr_assert_eq(parse_nested("* LIST () \"/\" a ", 1000000, "\r\n"), PROTO_ERR_CAP);
	cr_assert_eq(parse_nested("* NAMESPACE ", 1000000, " NIL NIL\r\n"), PROTO_ERR_CAP);
	cr_assert_eq(parse_nested("* ESEARCH X ", 1000000, "\r\n"), PROTO_ERR_CAP);
	cr_assert_eq(parse_nested("* OK [X ", 1000000, "] x\r\n"), 0);
}

/* Much of one thing in one line neither takes long nor more memory than the arena may have. */
Test(proto_resp, long_lines_end_soon, .timeout = 20)
{
	static const struct {
		const char *head, *part, *tail;
		int err;
	} samples[] = {
		{ "* OK [", "[", "\r\n", 0 },
		{ "* OK [", "(", "] x\r\n", 0 },
		{ "* OK [", "\"\\", "\r\n", 0 },
		{ "* 1 FETCH (FLAGS (", "a ", "))\r\n", PROTO_ERR_CAP },
		{ "* 1 FETCH (", "BODY[ ", ")\r\n", PROTO_ERR_SYNTAX },
		{ "* 1 FETCH (", "BODY[] NIL ", ")\r\n", 0 },
		{ "* 1 FETCH (", "X {", " x)\r\n", 0 },
		{ "* NAMESPACE (", "(\"\" \"/\")", ") NIL NIL\r\n", PROTO_ERR_CAP },
		{ "* SEARCH", " 1", "\r\n", 0 },
		{ "* LIST (", "\\Sent ", ") NIL a\r\n", 0 },
		{ "* LIST () NIL ", "a{1", "\r\n", 0 },
	};
	size_t repeat = 100000;

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); ++i) {
		size_t part = strlen(samples[i].part), n;
		char *text = malloc(200 + repeat * part);
		struct arena a;
		struct resp r;
		cr_assert(text != NULL);
		n = strlen(samples[i].head);
		memcpy(text, samples[i].head, n);
		for (size_t j = 0; j < repeat; ++j, n += part)
			memcpy(text + n, samples[i].part, part);
		memcpy(text + n, samples[i].tail, strlen(samples[i].tail));
		n += strlen(samples[i].tail);
		arena_init(&a, 65536);
		cr_expect_eq(resp_parse(span_of(text, n), SIZE_MAX, &a, &r), samples[i].err, "%s%s...", samples[i].head,
			samples[i].part);
		cr_expect_leq(a.used, 65536);
		arena_done(&a);
		free(text);
	}
}

Test(proto_resp, arena_cap)
{
	static const char *const texts[] = {
		"* LIST () \"/\" \"\\\\a long name that has to be unescaped\"\r\n",
		"* 1 FETCH (FLAGS (a b))\r\n",
		"* OK [PERMANENTFLAGS (a b)] x\r\n",
		"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
		struct arena a;
		struct resp r;
		arena_init(&a, 16);
		cr_expect_eq(resp_parse(span_str(texts[i]), SIZE_MAX, &a, &r), PROTO_ERR_CAP, "%s", texts[i]);
		arena_done(&a);
	}
}

Test(proto_resp, every_allocation_may_fail)
{
	static const char *const texts[] = {
		"* LIST () \"\\\\\" \"\\\"\"\r\n",
		"* STATUS \"\\\"\" ()\r\n",
		"* 1 FETCH (FLAGS (a b))\r\n",
		"* 1 FETCH (BODY[] \"\\\"\")\r\n",
		"* 1 FETCH (BODY[HEADER] \"\\\"\")\r\n",
		"* 1 FETCH (INTERNALDATE \"\\\"\")\r\n",
		"* 1 FETCH (EMAILID (\"\\\"\"))\r\n",
		"* FLAGS (a)\r\n",
		"* OK [PERMANENTFLAGS (a b)] x\r\n",
		"* NAMESPACE ((\"\\\\\" \"/\")) NIL NIL\r\n",
		"* ESEARCH (TAG \"\\\\\")\r\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
		size_t n = 0;
		do {
			struct arena a;
			struct resp r = { .number = 77 };
			arena_init(&a, 65536);
			failmalloc_arm(++n);
			int err = resp_parse(span_str(texts[i]), SIZE_MAX, &a, &r);
			failmalloc_disarm();
			cr_expect_eq(err, failmalloc_fired() ? PROTO_ERR_NOMEM : 0, "%s", texts[i]);
			cr_expect(err == 0 || r.number == 77);
			arena_done(&a);
		} while (failmalloc_fired());
		cr_expect_gt(n, 1, "%s", texts[i]);
	}
}

Test(proto_resp, names)
{
	for (unsigned i = 0; i < CAP_N; ++i)
		cr_expect_eq(cap_lookup(span_str(cap_name((enum cap)i))), (enum cap)i);
	for (unsigned i = CODE_NONE + 1; i < CODE_OTHER; ++i)
		cr_expect_eq(code_lookup(span_str(code_name((enum code)i))), (enum code)i);
	cr_assert_eq(cap_lookup(SPAN("imap4REV1")), CAP_IMAP4REV1);
	cr_assert_eq(cap_lookup(SPAN("IMAP4rev")), CAP_N);
	cr_assert_eq(cap_lookup(SPAN_NONE), CAP_N);
	cr_assert_eq(code_lookup(SPAN("alert")), CODE_ALERT);
	cr_assert_eq(code_lookup(SPAN("ALERTS")), CODE_OTHER);
	cr_assert_eq(code_lookup(SPAN_NONE), CODE_OTHER);
	cr_assert_str_eq(code_name(CODE_NONE), "");
	cr_assert_str_eq(code_name(CODE_OTHER), "");
	cr_assert_str_eq(status_name(STATUS_PREAUTH), "PREAUTH");
	cr_assert_str_eq(status_name(STATUS_OK), "OK");
}
