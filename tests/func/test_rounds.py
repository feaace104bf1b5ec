"""What happens between and after the rounds of a folder: nothing may be recorded before it is true, nothing may wait for what cannot come,
nothing may be left out without a word."""

import time

from func import fakes
from func.case import login
from lab.fakebox import Session
from lab.fakeimapd import mailbox


def pair(case, source, target, **settings):
    """source, target: a Box, or the behaviour of a server."""
    serve = [case.serve(s if callable(s) else mailbox(s)) for s in (source, target)]
    case.pair(*serve, [login("ann")], **{"login_retry_interval": "10ms", "max_login_retries": 3, **settings})


def count(box):
    return len(box.digests())


def test_a_break_in_a_redo_round_loses_nothing(case):
    source = fakes.box(10)
    bad = source.folder("INBOX").messages[9]
    bad.body = b"Subject: bad\r\n\r\nbad\r\n"
    bad.size = bad.announced_size = len(bad.body)

    def hook(name, number, _line):
        # The window, then each message alone: the fourth of these is not answered.
        return ("cut",) if name == "APPEND" and number == 5 else None

    target = fakes.box(hook=hook, append_answer=lambda n, m: b"NO too bad" if m.body and b"bad" in m.body[:14] else None)
    pair(case, source, target)
    case.run("once").exits(1)
    assert count(target) == 9
    case.run("once").exits(1)
    assert count(target) == 9


def test_a_refused_range_does_not_double_what_is_there(case):
    armed = []

    def hook(name, _number, line):
        if armed and name == "UID FETCH" and "BODY.PEEK[]" in line:
            armed.pop()
            return ("answer", b"NO cannot read one of them")
        return None

    source, target = fakes.box(10, hook=hook), fakes.box()
    pair(case, source, target)
    case.run("once").exits(0)
    folder = target.folder("INBOX")
    del folder.messages[9]
    del folder.messages[0]
    case.forget()
    armed.append(1)
    case.run("once").exits(0)
    assert count(target) == len(set(target.digests())) == 10


def test_an_empty_folder_that_cannot_be_made_is_told(case):
    def hook(name, _number, _line):
        if name != "CREATE":
            return None
        time.sleep(0.2)  # behind the ledger's answer, as at any real distance
        return ("answer", b"NO [CANNOT] Invalid mailbox name")

    source, target = fakes.box(2), fakes.box(hook=hook)
    source.folder("Odd")
    pair(case, source, target)
    program = case.run("once").exits(1)
    assert program.lines("Odd.*left out")


def test_a_folder_that_is_always_refused_is_no_progress(case):
    def hook(name, _number, line):
        return ("answer", b"NO [NOPERM] not yours") if name == "EXAMINE" and "Bad" in line else None

    source, target = fakes.box(0, hook=hook), fakes.box()
    source.folder("Bad").add(size=2000)
    source.folder("INBOX").add(size=2000, cut_at=500)
    pair(case, source, target, settle="10ms")
    case.run("once").exits(1)
    assert source.counts.get("EXAMINE") < 20


def test_a_target_that_tells_no_status_is_looked_at(case):
    armed = []

    def hook(name, _number, _line):
        return ("answer", b"NO cannot tell") if armed and name == "STATUS" else None

    source, target = fakes.box(5), fakes.box(hook=hook, without=("LIST-STATUS",))
    pair(case, source, target)
    case.run("once").exits(0)
    case.forget()
    armed.append(1)
    case.run("once")
    assert count(target) == 5


def test_a_message_that_is_listed_and_never_sent_is_told(case):
    async def behave(connection):
        class Silent(Session):
            bodies = False

            def chosen(self, text, by_uid):
                return [x for x in super().chosen(text, by_uid) if not (self.bodies and x[1].uid == 4)]

            async def do_uid_fetch(self, words):
                items = words[1] if isinstance(words[1], list) else [words[1]]
                self.bodies = any(item.upper() == b"BODY.PEEK[]" for item in items)
                return await super().do_uid_fetch(words)

        await Silent(connection, source).run()

    source, target = fakes.box(8), fakes.box()
    pair(case, behave, target)
    program = case.run("once").exits(1)
    assert program.lines("UID 4.*left out")
    assert count(target) == 7


def forgetful(box, uids, words=b"BODY.PEEK[]", left=None):
    """A server of which an answer to FETCH leaves messages out, as if they were not there: the first one to a command with these words, or as many as
    `left` is long."""
    class Forgetful(Session):
        forgets = False

        def chosen(self, text, by_uid):
            return [x for x in super().chosen(text, by_uid) if not (self.forgets and x[1].uid in uids)]

        async def do_uid_fetch(self, given):
            items = given[1] if isinstance(given[1], list) else [given[1]]
            self.forgets = bool(left) and any(item.upper().startswith(words) for item in items)
            if self.forgets:
                left.pop()
            answer = await super().do_uid_fetch(given)
            self.forgets = False
            return answer

    left = [1] if left is None else left

    async def behave(connection):
        await Forgetful(connection, box).run()
    return behave


def test_messages_that_a_range_leaves_out_are_brought(case):
    source, target = fakes.box(8), fakes.box()
    pair(case, forgetful(source, {1, 4, 5}), target)
    case.run("once").exits(0)
    assert sorted(target.digests()) == sorted(source.digests())


def test_what_was_left_out_before_a_break_is_brought_after_it(case):
    """All that the first range gave is recorded, and source_next is behind it: only a count can tell that one is missing."""
    source = fakes.box(700, size=2000)      # more than one range
    last = source.folder("INBOX").messages[-1]
    last.cut_at, last.times = 100, 1
    target = fakes.box()
    pair(case, forgetful(source, {2}), target, max_login_retries=1)
    case.run("once").exits(0)
    assert last.failed == 1
    assert sorted(target.digests()) == sorted(source.digests())
    case.run("once").exits(0)
    assert sorted(target.digests()) == sorted(source.digests())


def test_messages_that_a_scan_leaves_out_are_brought_or_found(case):
    """The ledger is lost: one of those that are left out is on the target already, the other is not."""
    source, target, left = fakes.box(8), fakes.box(first_uid=500), []
    pair(case, forgetful(source, {3, 4}, b"BODY.PEEK[HEADER", left), target)
    case.run("once").exits(0)
    case.forget()
    del target.folder("INBOX").messages[3]
    left.append(1)
    case.run("once").exits(0)
    assert not left
    assert sorted(target.digests()) == sorted(source.digests())


def test_new_mail_that_is_gone_again_ends_the_pass(case):
    source, target = fakes.box(3), fakes.box()
    pair(case, source, target)
    case.run("once").exits(0)
    source.folder("INBOX").uidnext += 5
    case.run("once").exits(0)
    assert count(target) == 3


def test_two_names_that_look_alike_are_not_one_folder(case):
    source, target = fakes.box(0), fakes.box()
    source.folder("a&b").add(size=2000)
    source.folder("a&-b").add(size=2100)
    pair(case, source, target)
    program = case.run("once").exits(1)
    assert program.lines("another folder of the source has the same name")


def test_an_odd_keyword_does_not_cost_the_mailbox(case):
    source, target = fakes.box(3), fakes.box()
    source.folder("INBOX").messages[1].flags = ["50%off"]
    pair(case, source, target)
    case.run("once")
    assert count(target) == 3


def test_many_keywords_do_not_cost_the_mailbox(case):
    source, target = fakes.box(0), fakes.box()
    for _ in range(150):
        source.folder("INBOX").add(size=500, flags=["kw-%d-%s" % (k, "x" * 40) for k in range(20)])
    pair(case, source, target)
    case.run("once").exits(0)
    assert count(target) == 150


def test_a_folder_that_is_whole_again_is_no_longer_told(case):
    armed = []

    def hook(name, _number, line):
        return ("answer", b"NO cannot tell now") if armed and name == "STATUS" and "Box" in line else None

    source, target = fakes.box(2, hook=hook, without=("LIST-STATUS",)), fakes.box()
    source.folder("Box").add(size=2000)
    pair(case, source, target)
    case.run("once").exits(0)
    armed.append(1)
    case.run("once").exits(1)
    armed.clear()
    case.run("once").exits(0)


def test_one_refused_range_of_a_sparse_folder(case):
    armed = [1]

    def hook(name, _number, line):
        if armed and name == "UID FETCH" and "BODY.PEEK[]" in line:
            armed.pop()
            return ("answer", b"NO cannot read one of them")
        return None

    source, target = fakes.box(0, hook=hook), fakes.box()
    source.folder("INBOX").add(uid=1, size=500)
    source.folder("INBOX").add(uid=4000000000, size=600)
    pair(case, source, target)
    case.run("once").exits(0)
    assert count(target) == 2
