"""Breaks, refusals and half answers while a later pass looks at what was brought before."""
import signal

from func import fakes
from func.case import login
from lab.fakebox import Session
from lab.fakeimapd import mailbox

FIRST = 1000    # UIDs of the target begin here: they must not be taken for those of the source
MESSAGES = 12


class Watch:
    """The hook of a box: acts at the first command of that name with these words, once armed."""

    def __init__(self):
        self.name = self.words = self.act = None
        self.met, self.commands = 0, []

    def arm(self, name, words, act):
        self.name, self.words, self.act, self.met, self.commands = name, words, act, 0, []

    def __call__(self, name, _number, line):
        self.commands.append(name)
        if name != self.name or self.words not in line or self.met:
            return None
        self.met += 1
        return self.act() if callable(self.act) else self.act


def begin(case, behave=None, rules=(), folders=("INBOX", "Two"), target=(), **source):
    """Two boxes after a first pass, with a Watch each. `behave(box)`: another server for the source. `target`: more capabilities of the target."""
    boxes = fakes.box(hook=Watch(), **source), fakes.box(first_uid=FIRST, first_uidvalidity=777, hook=Watch(), extra=target)
    for name in folders:
        for _ in range(MESSAGES):
            boxes[0].folder(name).add(size=600)
    servers = [case.serve(behave(boxes[0]) if behave else mailbox(boxes[0])), case.serve(mailbox(boxes[1]))]
    case.pair(*servers, [login("ann")], rules, login_retry_interval="20ms", max_login_retries=3, settle="0s", command_timeout="3s")
    case.run("once").exits(0)
    same(*boxes)
    return boxes


def change(source):
    """Flags that come, a message that goes, one that comes."""
    for folder in source.folders.values():
        for message in folder.messages:
            message.flags = ["\\Seen", "work"] if message.uid % 2 else ["\\Flagged"]
        folder.touch(*folder.messages)
        del folder.messages[3]
        folder.add(size=650)


def whole(box, name):
    return sorted((message.sha256(), sorted(message.flags)) for message in box.folder(name).messages)


def same(source, target):
    for name in source.folders:
        assert whole(source, name) == whole(target, name), (name, whole(source, name), whole(target, name))


MIRROR = {"deletions": "mirror", "max_deletions": 100}


def test_a_folder_is_not_opened_when_flags_are_looked_for(case):
    """EXAMINE refused by the source, SELECT refused by the target, for the flags and for the deletions: told, nothing deleted, and made good."""
    for side, name in (("source", "EXAMINE"), ("target", "SELECT")):
        source, target = begin(case, rules=MIRROR)
        for folder in source.folders.values():      # nothing new: the only EXAMINE is that of the follow step
            folder.messages[1].flags = ["work"]
            del folder.messages[3]
        watch = source.hook if side == "source" else target.hook
        watch.arm(name, "Two", ("answer", b"NO [NOPERM] not now"))
        program = case.run("once")
        assert watch.met == 1 and program.lines("Two.*not followed this time"), program.err
        assert "UID EXPUNGE" not in target.hook.commands, "something failed: nothing is deleted"
        case.run("once").exits(0)
        same(source, target)
        case.forget()


def test_a_refused_SELECT_before_the_expunge(case):
    source, target = begin(case, rules=MIRROR, folders=("INBOX",))
    del source.folder("INBOX").messages[3]
    target.hook.arm("SELECT", "INBOX", ("answer", b"NO [NOPERM] not now"))
    case.run("once")
    assert target.hook.met == 1 and len(target.digests()) == MESSAGES
    case.run("once").exits(0)
    same(source, target)


def stop_at(case, side, name, words):
    source, target = begin(case, rules=MIRROR)
    change(source)
    running = []

    def act():
        running[0].child.send_signal(signal.SIGTERM)
        return ("delay", 0.5)

    watch = source.hook if side == "source" else target.hook
    watch.arm(name, words, act)
    running.append(case.start("once"))
    program = running[0].wait()
    assert watch.met == 1, (side, name)
    assert program.code in (0, 75), program.code
    case.run("once").exits(0)
    same(source, target)
    case.run("once").exits(0)
    same(source, target)


def test_a_stop_while_flags_are_asked_for(case):
    stop_at(case, "source", "UID SEARCH", "")


def test_a_stop_while_flags_are_written(case):
    stop_at(case, "target", "UID STORE", "work")


def test_a_stop_while_something_is_expunged(case):
    stop_at(case, "target", "UID EXPUNGE", "")


def lost_at(case, side, name, words, how):
    source, target = begin(case, rules=MIRROR)
    change(source)
    watch = source.hook if side == "source" else target.hook
    watch.arm(name, words, (how,))
    program = case.run("once").exits(0)
    assert watch.met == 1 and program.lines("the connection was lost|no answer within"), program.err
    same(source, target)
    case.run("once").exits(0)
    same(source, target)


def test_the_source_is_lost_while_flags_are_asked_for(case):
    lost_at(case, "source", "UID SEARCH", "", "cut")


def test_the_source_says_nothing_when_flags_are_asked_for(case):
    lost_at(case, "source", "UID SEARCH", "", "stall")


def test_the_target_is_lost_while_flags_are_written(case):
    lost_at(case, "target", "UID STORE", "work", "reset")


def test_the_target_is_lost_between_two_STOREs_and_tells_what_changed(case):
    """With CONDSTORE: that the first STORE has changed a message does not say that the second one did."""
    source, target = begin(case, rules=MIRROR, target=("CONDSTORE",))
    change(source)
    target.hook.arm("UID STORE", "work", ("cut",))
    program = case.run("once").exits(0)
    assert target.hook.met == 1 and program.lines("the connection was lost"), program.err
    same(source, target)


def test_a_user_touches_messages_that_no_STORE_has_reached(case):
    source, target = begin(case, folders=("INBOX",), target=("CONDSTORE",))
    change(source)
    inbox = target.folder("INBOX")

    def user():
        for message in inbox.messages[:MESSAGES]:
            message.flags = message.flags + ["mine"]
        inbox.touch(*inbox.messages[:MESSAGES])
        return ("cut",)

    target.hook.arm("UID STORE", "", user)
    case.run("once").exits(0)
    assert target.hook.met == 1
    old = [message for message in inbox.messages if "mine" in message.flags]
    assert len(old) == MESSAGES
    for message in old:
        message.flags.remove("mine")
    assert {flag for message in old for flag in message.flags} == {"\\Seen", "\\Flagged", "work"}, old
    wanted = {message.sha256(): set(message.flags) for message in source.folder("INBOX").messages}
    there = [message for message in old if message.sha256() in wanted]
    assert len(there) == MESSAGES - 1 and all(set(message.flags) == wanted[message.sha256()] for message in there)


def test_the_target_is_lost_before_an_expunge(case):
    lost_at(case, "target", "UID EXPUNGE", "", "cut")


def test_the_target_is_lost_before_it_is_opened(case):
    lost_at(case, "target", "SELECT", "", "cut")


def forgetful(bodies, uids, times=1):
    """The source leaves messages out of so many answers to UID FETCH, as if they were not there: of those with bodies, or of those without."""
    left = [None] * times

    def behave(box):
        class Forgetful(Session):
            forgets = False

            def chosen(self, text, by_uid):
                return [x for x in super().chosen(text, by_uid) if not (self.forgets and x[1].uid in uids)]

            async def do_uid_fetch(self, words):
                items = words[1] if isinstance(words[1], list) else [words[1]]
                self.forgets = bool(left) and armed[0] and (b"BODY.PEEK[]" in [i.upper() for i in items]) == bodies
                if self.forgets:
                    left.pop()
                answer = await super().do_uid_fetch(words)
                self.forgets = False
                return answer

        async def run(connection):
            await Forgetful(connection, box).run()
        return run
    armed = [False]
    return behave, armed, left


def test_flags_of_a_message_that_an_answer_leaves_out(case):
    """It is there (SEARCH): it is not deleted, and its flags follow in the next pass."""
    behave, armed, left = forgetful(False, {5})
    source, target = begin(case, behave, MIRROR, folders=("INBOX",))
    for message in source.folder("INBOX").messages:
        message.flags = ["work"]
    armed[0] = True
    case.run("once").exits(0)
    assert not left and len(target.digests()) == MESSAGES
    assert sum(m.flags == ["work"] for m in target.folder("INBOX").messages) == MESSAGES - 1
    case.run("once").exits(0)
    same(source, target)


def test_a_new_message_that_an_answer_leaves_out(case):
    behave, armed, left = forgetful(True, {MESSAGES + 2})
    source, target = begin(case, behave, MIRROR, folders=("INBOX",))
    change(source)
    for _ in range(3):
        source.folder("INBOX").add(size=660)
    armed[0] = True
    case.run("once").exits(0)
    assert not left
    same(source, target)


def test_a_deletion_that_does_not_raise_HIGHESTMODSEQ(case):
    """CONDSTORE without QRESYNC: an expunge alone leaves it as it was."""
    source, target = begin(case, rules=MIRROR, folders=("INBOX",), extra=("CONDSTORE",))
    inbox = source.folder("INBOX")
    before = inbox.modseq
    del inbox.messages[2]
    assert inbox.modseq == before
    case.run("once").exits(0)
    same(source, target)
    # One goes and one comes: as many as before.
    del inbox.messages[4]
    inbox.add(size=640)
    case.run("once").exits(0)
    same(source, target)
    # Nothing happened: nothing is asked.
    source.hook.commands.clear()
    case.run("once").exits(0)
    assert "EXAMINE" not in source.hook.commands


def test_flags_follow_with_CONDSTORE_when_both_happen(case):
    source, target = begin(case, rules=MIRROR, extra=("CONDSTORE",))
    change(source)
    case.run("once").exits(0)
    same(source, target)
