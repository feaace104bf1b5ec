"""Which messages are copied: the rules of a migration, and what the target says that it takes. What is left out is never fetched, is told, and comes when the
rules are others."""
import json
import re

from func import fakes
from func.case import login, site
from lab.fakeimapd import mailbox

DAYS = ("31-Dec-2019 23:59:59 +0000", "01-Jan-2020 00:00:00 +0000", "15-Jun-2021 12:00:00 +0200", "31-Dec-2023 23:59:59 -0500",
        "01-Jan-2024 00:00:00 +0000")


class Watch:
    """A hook that keeps the command lines."""

    def __init__(self):
        self.lines = []

    def __call__(self, name, _number, line):
        self.lines.append((name, line))

    def fetched(self):
        """UIDs whose bodies were asked for."""
        found = set()
        for name, line in self.lines:
            match = re.search(r"UID FETCH (\S+) .*BODY\.PEEK\[\]", line) if name == "UID FETCH" else None
            for part in match[1].split(",") if match else ():
                low, _, high = part.partition(":")
                found.update(range(int(low), int(high or low) + 1))
        return found

    def scans(self):
        """Looks at messages for their sizes and dates."""
        return [line for name, line in self.lines if name == "UID FETCH" and "RFC822.SIZE" in line]


class Pair:
    def __init__(self, case, source, target):
        self.case, self.source, self.target = case, source, target
        self.watch = source.hook = Watch()
        self.servers = [case.serve(mailbox(b)) for b in (source, target)]

    def once(self, code, *arguments, settings=None, connections=1, **rules):
        self.watch.lines.clear()
        self.case.pair(*(site(s, connections_per_mailbox=connections) for s in self.servers), [login("ann")], rules,
                       **{"login_retry_interval": "10ms", **(settings or {})})
        return self.case.run("once", *arguments).exits(code)

    def has(self, wanted, folder="INBOX"):
        """The target has just these messages of the source, each once."""
        messages = self.source.folder(folder).messages
        got, want = sorted(self.target.digests(folder)), sorted(m.sha256() for m in messages if wanted(m))
        assert got == want, (len(got), len(want))

    def report(self, code):
        program = self.case.run("report", "-c", str(self.case.config), "--format", "json").exits(code)
        return json.loads(program.out)["mailboxes"][0]

    def verify(self, code):
        program = self.case.run("verify", "-c", str(self.case.config), "--json").exits(code)
        return json.loads(program.out)["mailboxes"][0]


def large_one(box, size=3_000_000, uid=6):
    """Among messages that are small."""
    message = box.folder("INBOX").messages[uid - 1]
    message.size = message.announced_size = size
    return box


def test_max_size(case):
    pair = Pair(case, large_one(fakes.box(10)), fakes.box(first_uid=500))
    program = pair.once(1, max_size="1M")
    pair.has(lambda m: m.uid != 6)
    assert 6 not in pair.watch.fetched() and pair.watch.fetched() >= {1, 5, 7, 10}
    [line] = program.lines("a message is left out")
    assert "UID 6: " in line and "3000000 bytes" in line and "1048576" in line and "max_size" in line, line
    found = pair.report(1)
    [item] = found["items"]
    assert (item["kind"], item["uid"], item["size"], found["verdict"]) == ("left out", 6, 3000000, "incomplete")
    assert item["message_id"] == "<generated.6@example.org>"
    [different] = [d for f in pair.verify(1)["folders"] for d in f["differences"]]
    assert different["kind"] == "left out" and "max_size" in different["reason"], different


def test_the_limit_among_the_capabilities(case):
    pair = Pair(case, large_one(fakes.box(10)), fakes.box(extra=("APPENDLIMIT=1000000",), first_uid=500))
    program = pair.once(1)
    pair.has(lambda m: m.uid != 6)
    assert 6 not in pair.watch.fetched()
    [line] = program.lines("a message is left out")
    assert "3000000 bytes" in line and "1000000" in line and "APPENDLIMIT" in line, line
    # The smaller of the two counts.
    pair.target.folder("INBOX").messages.clear()
    case.forget()
    program = pair.once(1, max_size="2K")
    assert len(program.lines("a message is left out: .*max_size")) == 9 and not pair.target.digests()


def test_the_limit_of_a_folder(case):
    source, target = large_one(fakes.box(8)), fakes.box(extra=("APPENDLIMIT",), first_uid=500)
    for size in (2000, 50000):
        source.folder("Old").add(size=size)
    target.folder("INBOX").append_limit = 2_000_000
    target.folder("Old").append_limit = 40000
    pair = Pair(case, source, target)
    program = pair.once(1)
    pair.has(lambda m: m.uid != 6)
    pair.has(lambda m: m.size < 40000, "Old")
    assert len(program.lines("a message is left out: it has 50000 bytes, more than the 40000 ")) == 1
    # It takes more now: what was left out comes.
    target.folder("INBOX").append_limit = target.folder("Old").append_limit = 4_000_000
    pair.once(0)
    pair.has(lambda m: True)
    pair.has(lambda m: True, "Old")


def test_a_folder_without_a_limit(case):
    source, target = large_one(fakes.box(8)), fakes.box(extra=("APPENDLIMIT",), first_uid=500)
    pair = Pair(case, source, target)
    pair.once(0)
    pair.has(lambda m: True)


def test_a_source_that_announces_less(case):
    """What turns out to be too large is not sent."""
    source = large_one(fakes.box(10))
    source.folder("INBOX").messages[5].announced_size = 2000
    pair = Pair(case, source, fakes.box(extra=("APPENDLIMIT=1000000",), first_uid=500))
    program = pair.once(1)
    pair.has(lambda m: m.uid != 6)
    assert len(program.lines("UID 6: a message is left out: it has 3000000 bytes")) == 1
    assert not [c for c in pair.servers[1].commands() if "{3000000" in c]


def test_TOOBIG(case):
    """A target that tells its limit only when it is too late."""
    source = large_one(fakes.box(10))
    pair = Pair(case, source, fakes.box(append_answer=lambda _n, m: b"NO [TOOBIG] over the quota for a message" if m.size > 10**6 else None,
                                        first_uid=500))
    program = pair.once(1)
    pair.has(lambda m: m.uid != 6)
    assert len(program.lines("UID 6: a message is left out: NO .TOOBIG.")) == 1


def days():
    """In INBOX a message of each day, two of them \\Deleted; more in Old."""
    source = fakes.box(0)
    for index, date in enumerate(DAYS):
        source.folder("INBOX").add(size=2000 + index, date=date, flags=("\\Seen", "\\Deleted")[:index % 3])
    for index in range(300):
        source.folder("Old").add(size=3000, date=DAYS[0] if index < 290 else DAYS[2])
    return source


def test_since_and_before(case):
    """By the day that the source's INTERNALDATE has in its own zone."""
    pair = Pair(case, days(), fakes.box(first_uid=500))
    program = pair.once(1, "--log-level", "info", since="2020-01-01", before="2024-01-01")
    chosen = [m.uid for m in pair.source.folder("INBOX").messages][1:4]
    pair.has(lambda m: m.uid in chosen)
    pair.has(lambda m: m.uid > 290, "Old")
    assert pair.watch.fetched() <= {2, 3, 4} | set(range(291, 301))
    assert not program.lines("a message is left out")
    assert program.lines("synced: 13 copied, 0 adopted, 0 left out, 292 not selected")
    found = pair.report(1)
    assert (found["verdict"], found["not_selected"], found["left_out"]) == ("complete, as selected", 292, 0)
    counted = sorted((i["folder"], i["messages"], i["reason"]) for i in found["items"])
    assert counted == [("INBOX", 1, "it arrived before 2020-01-01 (since)"), ("INBOX", 1, "it did not arrive before 2024-01-01 (before)"),
                       ("Old", 290, "it arrived before 2020-01-01 (since)")], counted
    assert {i["kind"] for i in found["items"]} == {"not selected"}
    found = pair.verify(1)
    assert (found["missing"], found["left_out"], found["equal"]) == (0, 292, 13)
    program = case.run("report", "-c", str(case.config)).exits(1)
    assert re.search(r"not selected +Old: 290 messages\n +it arrived before 2020-01-01", program.out), program.out


def test_nothing_new_costs_nothing(case):
    pair = Pair(case, days(), fakes.box(first_uid=500))
    pair.once(1, since="2020-01-01", skip_deleted=True)
    program = pair.once(1, since="2020-01-01", skip_deleted=True)
    assert not pair.watch.scans() and not pair.watch.fetched(), pair.watch.lines
    assert "292 left out" in program.out, program.out
    # Only what is new is looked at.
    pair.source.folder("Old").add(size=2500, date=DAYS[3])
    pair.source.folder("Old").add(size=2501, date=DAYS[0])
    program = pair.once(1, since="2020-01-01", skip_deleted=True)
    assert pair.watch.fetched() == {301} and [x for x in pair.watch.scans() if "301:" in x] == pair.watch.scans() and "293 left out" in program.out, program.out


def test_skip_deleted(case):
    pair = Pair(case, days(), fakes.box(first_uid=500))
    pair.once(1, skip_deleted=True)
    pair.has(lambda m: "\\Deleted" not in m.flags)
    [item] = pair.report(1)["items"]
    assert item["messages"] == 1 and "\\Deleted" in item["reason"], item


def test_a_wider_selection_brings_the_rest(case):
    pair = Pair(case, days(), fakes.box(first_uid=500))
    pair.once(1, since="2021-01-01", skip_deleted=True)
    assert len(pair.target.digests()) == 2 and len(pair.target.digests("Old")) == 10
    pair.source.folder("Old").add(size=2500, date=DAYS[3])
    program = pair.once(1, "--log-level", "info", since="2020-01-01")
    assert program.lines("synced: 3 copied, 0 adopted"), program.err
    pair.has(lambda m: m.uid != 1)
    pair.has(lambda m: m.uid > 290, "Old")
    assert pair.watch.fetched() & set(range(291, 301)) == set()
    assert pair.report(1)["not_selected"] == 291
    pair.once(0)
    pair.has(lambda m: True)
    pair.has(lambda m: True, "Old")
    assert pair.report(0)["verdict"] == "complete"
    # Rules after all was brought: nothing is taken away, and nothing looked for.
    pair.once(0, since="2022-01-01")
    assert not pair.watch.scans() and not pair.watch.fetched(), pair.watch.lines
    pair.has(lambda m: True)


def test_a_wider_selection_and_a_target_without_UIDPLUS(case):
    pair = Pair(case, days(), fakes.box(first_uid=500, without=("UIDPLUS",)))
    pair.once(1, since="2021-01-01")
    pair.once(0)
    pair.has(lambda m: True)
    pair.has(lambda m: True, "Old")


def test_a_break_in_the_look_at_what_was_left_out(case):
    """The rules are others, and the connection breaks: the next pass goes on with it."""
    pair = Pair(case, days(), fakes.box(first_uid=500))
    pair.once(1, since="2021-01-01")
    cut = []

    def hook(name, number, line):
        if name == "APPEND" and "Old" in line:
            cut.append(number)
            if len(cut) == 2:
                return ("cut",)
        return None

    pair.target.hook = hook
    pair.once(0, settings={"settle": "10ms", "login_retry_interval": "10ms"})
    assert len(cut) >= 2
    pair.has(lambda m: True)
    pair.has(lambda m: True, "Old")


def test_a_break_counts_nothing_twice(case):
    pair = Pair(case, days(), fakes.box(first_uid=500))
    pair.source.folder("Old").messages[100].date = pair.source.folder("Old").messages[200].date = DAYS[2]
    pair.source.folder("Old").messages[200].cut_at, pair.source.folder("Old").messages[200].times = 100, 1
    pair.once(1, since="2020-01-01", settings={"settle": "10ms"})
    pair.has(lambda m: m.date != DAYS[0])
    pair.has(lambda m: m.date != DAYS[0], "Old")
    assert pair.report(1)["not_selected"] == 1 + 288


def test_a_message_without_a_date_is_not_left_out_for_it(case):
    source = fakes.box(3)
    source.folder("INBOX").messages[1].date = "00-Jan-0000 00:00:00 +0000"
    pair = Pair(case, source, fakes.box(first_uid=500))
    pair.once(1, since="2022-01-01")
    pair.has(lambda m: m.uid == 2)


def newest(case, count, settings=None, **options):
    source = fakes.box(0)
    for index in range(count):
        source.folder("INBOX").add(uid=index * 3 + 5, size=900 + index)
    return Pair(case, source, fakes.box(first_uid=5000, **options))


def test_newest_first(case):
    pair = newest(case, 500)
    pair.once(0, newest_first=True)
    pair.has(lambda m: True)
    sizes = [m.size - 900 for m in pair.target.folder("INBOX").messages]
    assert min(sizes[:100]) >= 395 and max(sizes[-100:]) <= 105, sizes
    pair.once(0, newest_first=True)
    assert not pair.watch.scans() and not pair.watch.fetched(), pair.watch.lines
    # The ledger knows which became which.
    pair.source.folder("INBOX").messages[77].flags.append("\\Flagged")
    pair.once(0, newest_first=True)
    flagged = [m.size - 900 for m in pair.target.folder("INBOX").messages if m.flags]
    assert flagged == [77], flagged


def test_newest_first_with_a_selection_and_several_connections(case):
    pair = newest(case, 1500)
    pair.once(1, newest_first=True, max_size="2K", connections=3)
    pair.has(lambda m: m.size <= 2048)
    pair.once(0, newest_first=True, connections=3)
    pair.has(lambda m: True)


def test_newest_first_and_a_break(case):
    """What was brought before the break is in the upper half, and is not brought again."""
    pair = newest(case, 900)
    message = pair.source.folder("INBOX").messages[450]
    message.cut_at, message.times = 500, 1
    pair.once(0, newest_first=True, settings={"settle": "10ms"})
    pair.has(lambda m: True)


def test_newest_first_in_a_folder_with_gaps(case):
    """Nearly all of it where the density of its UIDs does not say so."""
    source = fakes.box(0)
    for index in range(4300):
        source.folder("INBOX").add(uid=index + 1, size=300)
    source.folder("INBOX").add(uid=4_000_000_000, size=400)
    pair = Pair(case, source, fakes.box(first_uid=5000, extra=("APPENDLIMIT=1000000",)))
    pair.once(0, newest_first=True)
    pair.has(lambda m: True)
    assert pair.target.folder("INBOX").messages[0].size == 400


def test_quota_in_other_words(case):
    for words in (b"NO Over quota", b"NO [ALERT] You exceeded your mail quota.", b"NO Quota limit will be exceeded", b"NO Mailbox is full",
                  b"NO [LIMIT] mailbox full"):
        appends = []
        target = fakes.box(append_answer=lambda n, _m, words=words: appends.append(n) or words, first_uid=500)
        source = fakes.box(10)
        pair = Pair(case, source, target)
        program = pair.once(1)
        assert program.lines("held, waits for a person") and not program.lines("a message is left out"), (words, program.err)
        assert len([c for c in pair.servers[1].commands("APPEND")]) == 1, words
        target.append_answer = None
        pair.once(0)
        pair.has(lambda m: True)
        case.forget()
