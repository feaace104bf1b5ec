"""Messages that are recognised by their bytes alone: without Message-ID, with the same name as others, with a size that lies. Without a ledger that knows
them, each is on the target once after the pass, and nothing is sent that was there."""
import collections
import random

from crash.stage import message
from func.case import login
from lab.fakebox import Box
from lab.fakeimapd import mailbox

DATE = "17-Jul-1996 02:44:25 -0700"


def nameless(text, size=200):
    """All of the same size, without Message-ID and Date."""
    return (b"From: ann@example.org\r\nSubject: a draft\r\n\r\n%s" % text).ljust(size - 2, b".") + b"\r\n"


def odd():
    """What cannot be told apart without a look inside; twins among it."""
    yield from (nameless(b"one"), nameless(b"two"), nameless(b"one"), nameless(b"three"))
    yield from (message(1, named=False), message(1, named=False, text=b"MESSAGE"), message(1, named=False))
    yield from (message(2, text=b"one way"), message(2, text=b"another"), message(2, text=b"one way"))
    yield from (message(3), message(3))


class Scene:
    def __init__(self, case, bodies, without=(), hooks=(None, None), **settings):
        self.case = case
        self.source = Box(first_uid=301, hook=hooks[0])
        self.target = Box(first_uid=70001, first_uidvalidity=555000, without=without, hook=hooks[1])
        for body in bodies:
            self.source.folder("INBOX").add(body=body, date=DATE)
        self.servers = [case.serve(mailbox(box)) for box in (self.source, self.target)]
        case.pair(*self.servers, [login("ann")], settle="0s", login_retry_interval="10ms", **settings)

    def messages(self, box):
        return box.folder("INBOX").messages

    def run(self, code=0, same=True):
        for server in self.servers:
            server.events.clear()
        appends = self.target.appends
        program = self.case.run("once").exits(code)
        if same:
            assert self.held(self.target) == self.held(self.source)
        self.sent = self.target.appends - appends
        return program

    @staticmethod
    def held(box):
        return collections.Counter((m.body, m.date) for m in box.folder("INBOX").messages)

    def lose(self, *bodies):
        """Takes one of each out of the target."""
        for body in bodies:
            at = [m.body for m in self.messages(self.target)].index(body)
            del self.messages(self.target)[at]

    def read(self, side):
        """UIDs whose bodies were asked for."""
        uids = set()
        for line in self.servers[side].commands("BODY.PEEK"):
            if "BODY.PEEK[]" in line:
                for part in line.split()[3].split(","):
                    low, _, high = part.partition(":")
                    uids |= set(range(int(low), int(high or low) + 1))
        return uids & {m.uid for box in (self.source, self.target) for m in self.messages(box)}


def test_a_lost_ledger_doubles_nothing(case):
    scene = Scene(case, odd())
    scene.run()
    random.Random(1).shuffle(scene.messages(scene.target))
    for uid, one in enumerate(scene.messages(scene.target), 80001):
        one.uid = uid
    scene.target.folder("INBOX").uidnext = 90000
    case.forget()
    program = scene.run()
    assert scene.sent == 0, program.err
    assert case.ledger("SELECT copied, adopted FROM folders") == [(0, 12)]
    scene.run()
    assert scene.sent == 0 and not scene.read(0) and not scene.read(1)


def test_what_is_missing_is_sent_and_nothing_else(case):
    """Each of the odd ones is gone from the target once, alone."""
    bodies = list(odd())
    scene = Scene(case, bodies)
    scene.run()
    for body in sorted(set(bodies)):
        scene.lose(body)
        case.forget()
        scene.run()
        assert scene.sent == 1, body
    scene.lose(*sorted(set(bodies)))
    case.forget()
    scene.run()
    assert scene.sent == len(set(bodies))


def test_what_the_ledger_says_is_true(case):
    """A message whose name others have is taken for itself: its flags follow, not those of its like."""
    scene = Scene(case, odd())
    scene.run()
    scene.messages(scene.target).reverse()
    for uid, one in enumerate(scene.messages(scene.target), 80001):
        one.uid = uid
    scene.target.folder("INBOX").uidnext = 90000
    case.forget()
    scene.run()
    for one in scene.messages(scene.source):
        if b"two" in one.body or b"another" in one.body or b"MESSAGE" in one.body:
            one.flags = ["\\Flagged"]
    scene.run()
    for one in scene.messages(scene.target):
        assert one.flags == (["\\Flagged"] if b"two" in one.body or b"another" in one.body or b"MESSAGE" in one.body else [])


def test_another_UIDVALIDITY_doubles_nothing(case):
    scene = Scene(case, odd())
    scene.run()
    for box in (scene.source, scene.target):
        box.change_uidvalidity()
        program = scene.run()
        assert scene.sent == 0 and program.lines("UIDVALIDITY changed"), program.err


def test_without_UIDPLUS(case):
    scene = Scene(case, odd(), without=("UIDPLUS",))
    scene.run()
    case.forget()
    scene.run()
    assert scene.sent == 0


def test_mail_of_the_targets_own_is_taken_for_nothing_else(case):
    """A draft of the target's user, with the size and date of the source's, and one with the same name."""
    scene = Scene(case, [nameless(b"one"), message(2, text=b"one way")])
    own = [nameless(b"two"), nameless(b"six"), message(2, text=b"another"), message(2, text=b"a third")]
    for body in own:
        scene.target.folder("INBOX").add(body=body, date=DATE)
    for _ in range(2):
        scene.run(same=False)
        assert scene.held(scene.target) == scene.held(scene.source) + collections.Counter((body, DATE) for body in own)
        case.forget()


def test_sizes_that_lie(case):
    """On either side, for one or for all."""
    bodies = [message(number) for number in range(10)]
    for side, uids in ((0, {303}), (1, {70004}), (0, None), (1, None)):
        scene = Scene(case, bodies)
        scene.run()
        box = (scene.source, scene.target)[side]
        for one in scene.messages(box):
            if uids is None or one.uid in uids:
                one.announced_size = one.size + 7
        case.forget()
        scene.run()
        assert scene.sent == 0, (side, uids)
        assert len(scene.read(0)) == len(scene.read(1)) == (len(uids) if uids else 10)
        case.forget()


def test_only_what_is_doubtful_is_read(case):
    bodies = [message(number) for number in range(100)]
    bodies[40] = nameless(b"one")
    bodies[60], bodies[70] = message(7, text=b"one way"), message(7, text=b"another")
    del bodies[7]
    scene = Scene(case, bodies)
    # Mail of the target's own, without a name, but of another date: there is nothing like it in the source.
    scene.run()
    scene.target.folder("INBOX").add(body=nameless(b"own"), date="18-Jul-1996 02:44:25 -0700")
    case.forget()
    scene.run(same=False)
    assert scene.sent == 0
    for side, box in ((0, scene.source), (1, scene.target)):
        doubtful = {m.uid for m in scene.messages(box) if m.date == DATE and m.body in (bodies[39], bodies[59], bodies[69])}
        assert len(doubtful) == 3 and scene.read(side) == doubtful, (scene.read(side), doubtful)


def test_the_others_of_a_name_are_far_away(case):
    """Further than a window of the scan; only the last of the three is on the target."""
    bodies = [message(number, 120) for number in range(1400)]
    bodies[3], bodies[900], bodies[1390] = (message(5000, text=text) for text in (b"one way", b"another", b"a third"))
    scene = Scene(case, bodies)
    scene.run()
    scene.lose(bodies[3], bodies[900], bodies[700])
    case.forget()
    scene.run()
    assert scene.sent == 3


def test_many_without_a_name(case):
    """More than fit into one command, with UIDs that have gaps."""
    bodies = [nameless(b"%d" % (number // 2)) for number in range(3000)]
    scene = Scene(case, bodies)
    scene.run()
    for box in (scene.source, scene.target):
        for one in scene.messages(box):
            one.uid = 3 * one.uid
        box.folder("INBOX").uidnext *= 3
    scene.lose(*bodies[0:3000:300])
    case.forget()
    scene.run()
    assert scene.sent == 10 and len([line for line in scene.servers[1].commands("BODY.PEEK") if "BODY.PEEK[]" in line]) > 1


def test_a_break_while_they_are_read(case):
    cuts = []

    def cut(side):
        def hook(_name, _number, line):
            if cuts and cuts[0] == side and "BODY.PEEK[]" in line:
                cuts.pop()
                return ("cut",)
            return None
        return hook

    scene = Scene(case, odd(), hooks=(cut(0), cut(1)))
    scene.run()
    for side in (0, 1):
        scene.lose(nameless(b"two"), message(2, text=b"one way"))
        case.forget()
        cuts.append(side)
        scene.run()
        assert not cuts and scene.sent == 2


def test_after_a_break_the_bytes_count(case):
    """What has landed when the connection breaks at the third message: that message, or another with its name and size."""
    for body in (message(2), nameless(b"two")):
        for landed, sent in ((body, 4), (body.replace(b"ann@", b"ANN@"), 5)):
            left = [1]

            def hook(name, number, _line):
                if name == "APPEND" and number == 3 and left:
                    left.pop()
                    scene.target.folder("INBOX").add(body=landed, date=DATE)
                    return ("cut",)
                return None

            scene = Scene(case, [message(0), message(1), body, message(3), message(4)], without=("MULTIAPPEND",), hooks=(None, hook))
            scene.run(same=False)
            assert not left and scene.sent == sent, (landed, scene.sent)
            extra = scene.held(scene.target) - scene.held(scene.source)
            assert extra == (collections.Counter({(landed, DATE): 1}) if sent == 5 else collections.Counter())
            assert not scene.held(scene.source) - scene.held(scene.target)
            case.forget()


def test_bodies_that_the_target_refuses(case):
    """What cannot be read is not recognised: it is sent again, and nothing is lost."""
    scene = Scene(case, [message(1), nameless(b"one"), nameless(b"two")])
    scene.run()
    case.forget()
    scene.target.hook = lambda _name, _number, line: ("answer", b"NO cannot read it") if "BODY.PEEK[]" in line else None
    scene.run(same=False)
    assert scene.sent == 2
    assert scene.held(scene.target) == scene.held(scene.source) + collections.Counter((nameless(b), DATE) for b in (b"one", b"two"))


def test_bodies_that_the_source_refuses(case):
    scene = Scene(case, [message(1), nameless(b"one"), nameless(b"two")])
    scene.run()
    case.forget()
    scene.source.hook = lambda _name, _number, line: ("answer", b"NO cannot read it") if "BODY.PEEK[]" in line else None
    program = scene.run(1)
    assert scene.sent == 0 and len(program.lines("a message is left out: .*cannot read it")) == 2, program.err
    scene.source.hook = None
    case.forget()
    scene.run()
    assert scene.sent == 0
