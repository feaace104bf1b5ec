"""Messages as servers have them, and not as the RFCs say: what is odd about one stops nothing, and is told."""
import hashlib
import json

from func import fakes
from func.case import login
from lab.fakebox import Session
from lab.fakeimapd import mailbox

CLOCK = "it has no readable date: it has the time at which it was copied"
HEADER = "its INTERNALDATE is missing or impossible: it has the date of its header"


def pair(case, source, target, rules=(), **settings):
    """source, target: a Box, or the behaviour of a server."""
    servers = [case.serve(s if callable(s) else mailbox(s)) for s in (source, target)]
    case.pair(*servers, [login("ann")], rules, **{"login_retry_interval": "10ms", "max_login_retries": 3, "settle": "10ms", **settings})
    return servers


def told(case, code=0):
    """What the report has: UID -> (kind, reason)."""
    program = case.run("report", "-c", str(case.config), "--format", "json").exits(code)
    [found] = json.loads(program.out)["mailboxes"]
    return {i["uid"]: (i["kind"], i["reason"]) for i in found["items"]}


def behaving(box, **items):
    """A behaviour in which FETCH answers these items by functions of the message, which return what is behind the item's name; None: nothing at all."""
    class Odd(Session):
        async def fetch_one(self, number, message, names):
            if not any(n.decode() in items for n in names):
                return await super().fetch_one(number, message, names)
            words, rest = [], list(names)
            for name in names:
                if name.decode() in items:
                    rest.remove(name)
                    value = items[name.decode()](message)
                    if value is not None:
                        words.append(name + b" " + value)
            send, first = self.c.send, []

            async def with_words(data):
                if not first and b" FETCH (" in data:
                    first.append(1)
                    head, _, tail = data.partition(b" FETCH (")
                    data = head + b" FETCH (" + b" ".join(words + [b""]) + tail
                await send(data)
            self.c.send = with_words
            try:
                await super().fetch_one(number, message, rest)
            finally:
                self.c.send = send

    async def behave(connection):
        await Odd(connection, box).run()
    return behave


def with_dates(*headers, size=2000):
    """A message for each Date field; None: it has none."""
    box = fakes.box(0)
    for index, header in enumerate(headers):
        date = b"" if header is None else b"Date: " + header + b"\r\n"
        body = date + b"Message-ID: <d%d@example.org>\r\n\r\n" % index + b"x" * size + b"\r\n"
        box.folder("INBOX").add(body=body, date="00-Jan-0000 00:00:00 +0000")
    return box


DATES = ((b"Wed, 17 Jul 1996 02:44:25 -0700 (PDT)", "17-Jul-1996 02:44:25 -0700"), (b"1 Feb 03 4:05 EST", "01-Feb-2003 04:05:00 -0500"),
         (b"yesterday", ""), (None, ""))


def stored(box):
    return [m.date for m in sorted(box.folder("INBOX").messages, key=lambda m: m.head or m.body)]


def dates(case, source, answer):
    target = fakes.box(0, first_uid=70)
    servers = pair(case, answer, target)
    program = case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    got = {m.sha256(): m.date for m in target.folder("INBOX").messages}
    assert [got[m.sha256()] for m in source.folder("INBOX").messages] == [w for _, w in DATES], got
    assert told(case) == {1: ("altered", HEADER), 2: ("altered", HEADER), 3: ("altered", CLOCK), 4: ("altered", CLOCK)}, told(case)
    assert len(program.lines("messages are not as on the source")) >= 2
    return servers, target


def test_impossible_INTERNALDATEs(case):
    source = with_dates(*(d for d, _ in DATES))
    servers, target = dates(case, source, source)
    # By the date of its header it is recognised, too.
    del target.folder("INBOX").messages[2:]
    case.forget()
    case.pair(*servers, [login("ann")], login_retry_interval="10ms", settle="10ms")
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines("synced: 2 copied, 2 adopted"), program.err
    assert fakes.digests(source) == fakes.digests(target)


def test_impossible_INTERNALDATEs_of_large_messages(case):
    source = with_dates(*(d for d, _ in DATES), size=200000)
    dates(case, source, source)


def test_no_INTERNALDATE_at_all(case):
    source = with_dates(*(d for d, _ in DATES))
    dates(case, source, behaving(source, INTERNALDATE=lambda m: None))


def test_INTERNALDATE_NIL(case):
    source = with_dates(*(d for d, _ in DATES))
    dates(case, source, behaving(source, INTERNALDATE=lambda m: b"NIL"))


def test_dates_long_ago(case):
    source, target = fakes.box(0), fakes.box(0)
    wanted = ["30-Dec-1899 00:00:00 +0000", "31-Dec-1969 23:59:59 +0000", "01-Jan-0001 00:00:00 +0000", "31-Dec-9999 23:59:59 +0000"]
    for date in wanted:
        source.folder("INBOX").add(size=900, date=date)
    pair(case, source, target)
    case.run("once").exits(0)
    assert [m.date for m in target.folder("INBOX").messages] == wanted
    assert told(case) == {}


def sizes(case, value):
    """RFC822.SIZE as told: in the first pass, in a later one, and in a careful one."""
    source, target = fakes.box(5), fakes.box(first_uid=90)
    pair(case, behaving(source, **{"RFC822.SIZE": value}), target)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    for _ in range(3):
        source.folder("INBOX").add(size=1500)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    source.folder("Careful").add(size=1500)
    target.folder("Careful").add(size=1600)
    case.run("once").exits(0)
    assert set(fakes.digests(source, "Careful")) < set(fakes.digests(target, "Careful"))
    case.pair(*(s for s in (case.serve(behaving(source, **{"RFC822.SIZE": value})), case.serve(mailbox(fakes.box())))), [login("ann")],
              {"max_size": "1K"}, login_retry_interval="10ms")
    case.forget()
    program = case.run("once").exits(1)
    assert len(program.lines("a message is left out: it has .* bytes, more than the 1024 of max_size")) == 9, program.err


def test_a_size_of_0(case):
    sizes(case, lambda m: b"0")


def test_a_size_that_is_NIL(case):
    sizes(case, lambda m: b"NIL")


def test_a_size_that_is_not_told(case):
    sizes(case, lambda m: None)


def test_a_body_that_is_NIL(case):
    source, target = fakes.box(8), fakes.box()

    async def behave(connection):
        class Without(Session):
            async def fetch_one(self, number, message, names):
                if message.uid != 4 or b"BODY.PEEK[]" not in names:
                    return await super().fetch_one(number, message, names)
                await self.c.send(b"* %d FETCH (UID 4 FLAGS () INTERNALDATE \"%s\" BODY[] NIL)\r\n" % (number, message.date.encode()))
        await Without(connection, source).run()

    pair(case, behave, target)
    case.run("once").exits(1)
    assert fakes.digests(target) == sorted(m.sha256() for m in source.folder("INBOX").messages if m.uid != 4)
    assert told(case, 1) == {4: ("left out", "the source gave no body for it (NIL)")}


def test_empty_messages_and_other_small_ones(case):
    source, target = fakes.box(0), fakes.box(0)
    for body in (b"", b"", b"\r\n", b"X", b"\0", b"\n", b"\r", b"Subject: only a header\r\n", b"Subject: no line end"):
        source.folder("INBOX").add(body=body)
    pair(case, source, target)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    assert target.digests().count(hashlib.sha256(b"").hexdigest()) == 2


ODD = (b"Message-ID: <same@example.org>\r\nDate: Sat, 1 Feb 2020 03:04:05 +0000\r\n\r\none\r\n",
       b"Message-ID: <same@example.org>\r\nDate: Sat, 1 Feb 2020 03:04:05 +0000\r\n\r\none\r\n",
       b"Message-ID: <same@example.org>\r\nDate: Sat, 1 Feb 2020 03:04:05 +0000\r\n\r\ntwo\r\n",
       b"Message-ID: <SAME@example.org>\r\nDate: Sat, 1 Feb 2020 03:04:05 +0000\r\n\r\ntwo, and more\r\n",
       b"Subject: nobody\r\n\r\nwithout a name\r\n", b"Subject: nobody\r\n\r\nwithout a name\r\n",
       b"Subject: NUL\r\n\r\n\0\0 within \0\r\n", b"Subject: bare\n\nLF\nonly\n", b"Subject: bare\r\rCR\ronly\r",
       b"Subject: 8 bit \xe4\xff\x80\r\n\r\n" + bytes(range(256)) * 40, b"Subject: long\r\n\r\n" + b"y" * 100_000 + b"\r\n",
       b"Subject: long, no end\r\n\r\n" + b"z" * 100_000, b"From ann Sat Feb  1 00:00:00 2020\r\nSubject: mbox\r\n\r\n>From\r\n",
       b"Subject: much\r\nReferences: " + b"<r@example.org>\r\n " * 62000 + b"\r\n\r\nafter a megabyte\r\n",
       b"Message-ID: <" + b"i" * 20000 + b"@example.org>\r\n\r\nlong name\r\n", b"g1 OK done\r\n* BYE\r\n{1000000}\r\n")


def test_odd_bytes_pass_and_are_recognised(case):
    """As they are; and when the ledger is lost, none of them comes twice."""
    source, target = fakes.box(0), fakes.box(0, keep=4 << 20, first_uid=300)
    for body in ODD:
        source.folder("INBOX").add(body=body)
    servers = pair(case, source, target)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    case.forget()
    folder = target.folder("INBOX")
    del folder.messages[10], folder.messages[2], folder.messages[0]
    case.pair(*servers, [login("ann")], login_retry_interval="10ms", settle="10ms")
    program = case.run("once").exits(0)
    # What has no name at all may be somebody's: it is sent again rather than taken for one of them.
    assert set(source.digests()) == set(target.digests())
    nameless = sorted(m.sha256() for m in source.folder("INBOX").messages if b"Message-ID" not in m.body)
    named = [d for d in target.digests() if d not in nameless]
    assert sorted(named) == sorted(d for d in source.digests() if d not in nameless), program.err


def test_flags_that_nobody_can_set(case):
    source, target = fakes.box(5), fakes.box()
    flags = {2: ["\\Seen", "\\Forwarded", "$ok"], 3: ["\\Recent", "\\Flagged"], 4: ["gr\u00fcn", "\\X-EON-HAS-ATTACHMENT"]}
    for message in source.folder("INBOX").messages:
        message.flags = flags.get(message.uid, [])
    pair(case, source, target)
    case.run("once").exits(0)
    assert [sorted(m.flags) for m in target.folder("INBOX").messages] == [[], ["$ok", "\\Seen"], ["\\Flagged"], [], []]
    found = told(case)
    assert set(found) == {2, 4} and {kind for kind, _ in found.values()} == {"altered"}, found


def test_more_keywords_than_a_line_can_carry(case):
    source, target = fakes.box(3), fakes.box()
    source.folder("INBOX").messages[1].flags = ["\\Seen"] + ["keyword-%05d-%s" % (i, "k" * 50) for i in range(3000)]
    pair(case, source, target)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    [kept] = [m.flags for m in target.folder("INBOX").messages if m.flags]
    assert "\\Seen" in kept and 50 < len(kept) < 3000 and set(kept) <= set(source.folder("INBOX").messages[1].flags)
    assert set(told(case)) == {2}


class Flags(Session):
    """A server that keeps only some flags."""
    kept = "\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent"

    async def do_select(self, words, read_only=False):
        send = self.c.send

        async def other(data):
            await send(data.replace(b"\\Draft \\*)] flags", b"\\Draft)] flags").replace(
                b"[PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)]", b"[PERMANENTFLAGS (%s)]" % self.kept.encode()))
        self.c.send = other
        try:
            return await super().do_select(words, read_only)
        finally:
            self.c.send = send


def forbidding(box, kept=None):
    async def behave(connection):
        session = Flags(connection, box)
        session.kept = session.kept if kept is None else kept
        await session.run()
    return behave


def flagged():
    source = fakes.box(30)
    flags = {3: ["\\Seen", "$MDNSent"], 5: ["\\Flagged", "$Label1"], 6: ["work", "\\Draft", "$mdnsent"], 20: ["$Label1"]}
    for message in source.folder("INBOX").messages:
        message.flags = flags.get(message.uid, ["\\Answered"])
    source.folder("Other").add(size=1000, flags=["$Label1"])
    return source


def test_keywords_that_the_target_does_not_keep(case):
    source, target = flagged(), fakes.box(first_uid=40)
    new = pair(case, source, forbidding(target))[1]
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    by_digest = {m.sha256(): sorted(m.flags) for m in target.folder("INBOX").messages}
    got = {m.uid: by_digest[m.sha256()] for m in source.folder("INBOX").messages if by_digest[m.sha256()] != ["\\Answered"]}
    assert got == {3: ["$MDNSent", "\\Seen"], 5: ["\\Flagged"], 6: ["$mdnsent", "\\Draft"], 20: []}, got
    assert not [c for c in new.commands("APPEND") if "$Label1" in c or "work" in c]
    program = case.run("report", "-c", str(case.config), "--format", "json").exits(0)
    [found] = json.loads(program.out)["mailboxes"]
    altered = sorted((i["folder"], i["uid"], i["reason"]) for i in found["items"])
    assert [(f, u) for f, u, _ in altered] == [("INBOX", 5), ("INBOX", 6), ("INBOX", 20), ("Other", 1)], altered
    assert "$Label1" in altered[0][2] and "work" in altered[1][2] and "PERMANENTFLAGS" in altered[1][2], altered
    assert found["verdict"] == "complete, with changes"


def test_a_target_that_keeps_any_keyword_is_asked_once(case):
    boxes = {name: flagged() for name in ("ann", "bob", "carl")}
    targets = {name: fakes.box(first_uid=40) for name in boxes}
    old, new = case.serve(fakes.by_user(boxes)), case.serve(fakes.by_user(targets))
    case.pair(old, new, [login(n) for n in boxes], max_mailboxes=1)
    case.run("once").exits(0)
    for name in boxes:
        assert fakes.digests(boxes[name]) == fakes.digests(targets[name])
        assert sorted(f for m in targets[name].folder("INBOX").messages for f in m.flags if f[0] != "\\") == sorted(
            f for m in boxes[name].folder("INBOX").messages for f in m.flags if f[0] != "\\")
    assert len(new.commands("SELECT")) == 1, new.commands("SELECT")


def test_a_target_that_tells_no_flags(case):
    source, target = flagged(), fakes.box(first_uid=40)
    pair(case, source, forbidding(target, ""))
    case.run("once").exits(0)
    assert any("$Label1" in m.flags for m in target.folder("INBOX").messages)
    assert told(case) == {}


def test_keywords_that_are_refused_with_the_message(case):
    """By their characters, or their number: the message comes without them."""
    source, target = fakes.box(12), fakes.box(first_uid=40)
    for message in source.folder("INBOX").messages:
        message.flags = ["\\Seen"] + (["a:b"] if message.uid == 4 else ["fine"] if message.uid == 5 else [])
    target.append_answer = lambda _n, m: b"BAD Invalid flag in Append command" if "a:b" in m.flags else None
    pair(case, source, target)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    assert sorted(f for m in target.folder("INBOX").messages for f in m.flags if f != "\\Seen") == ["fine"]
    [(uid, (kind, reason))] = told(case).items()
    assert (uid, kind) == (4, "altered") and "Invalid flag" in reason, reason
    # And one that is refused for another reason is left out with these words.
    source.folder("INBOX").messages[8].flags = ["fine"]
    case.forget()
    target.folder("INBOX").messages.clear()
    target.append_answer = lambda _n, m: b"NO your flags are ugly" if m.sha256() == source.folder("INBOX").messages[8].sha256() else None
    program = case.run("once").exits(1)
    assert len(program.lines("UID 9: a message is left out: NO your flags are ugly")) == 1
