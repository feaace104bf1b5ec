"""What was sent before a break and lands when it has been sent again. Only that is an echo: whatever else looks like one stays where it is."""
import collections
import json

from crash.stage import message
from func.case import login
from lab.fakebox import Box
from lab.fakeimapd import mailbox

DATE = "01-Feb-2020 03:04:05 +0000"
LATER = "01-Feb-2020 03:04:06 +0000"


class Scene:
    """Five messages; the connection breaks when `stored` of them are on the target and recorded. The others are sent again."""

    def __init__(self, case, stored=2, repair=True, own=(), breaks=1, plus=True, copies=1, **box):
        self.case = case
        self.source = Box(first_uid=301)
        for number in range(5):
            self.source.folder("INBOX").add(body=message(number, 300), flags=["\\Flagged"] if number == 3 else [])
        for _ in range(copies - 1):
            self.source.folder("INBOX").add(body=message(4, 300))
        self.left = breaks
        self.hook = None
        self.target = Box(first_uid=70001, first_uidvalidity=555000, without=("MULTIAPPEND",) if plus else ("MULTIAPPEND", "UIDPLUS"), hook=self.on_command, **box)
        for body, date in own:
            self.inbox.add(body=body, date=date)
        self.stored = stored
        self.servers = [case.serve(mailbox(box)) for box in (self.source, self.target)]
        self.configure(repair)
        self.first = case.run("once").exits(0)
        assert self.left == 0 and self.first.lines("m/ann: .*cut|m/ann: .*closed|m/ann: .*broken|connection"), self.first.err
        assert self.mail()[message(4, 300)] == max(copies, len(own))

    def configure(self, repair):
        self.case.pair(*self.servers, [login("ann")], {"repair_echoes": True} if repair else {}, settle="0s", login_retry_interval="10ms")

    def on_command(self, name, number, line):
        if name == "APPEND" and number > self.stored and self.left:
            self.left -= 1
            return ("cut",)
        return self.hook(name, number, line) if self.hook else None

    @property
    def inbox(self):
        return self.target.folder("INBOX")

    def lands(self, number, date=DATE, **more):
        """Again, from nowhere."""
        return self.inbox.add(body=message(number, 300), date=date, **more)

    def mail(self):
        return collections.Counter(m.body for m in self.inbox.messages)

    def uids(self):
        return [m.uid for m in self.inbox.messages]

    def run(self, code=0):
        for server in self.servers:
            server.events.clear()
        return self.case.run("once").exits(code)

    def changed(self):
        return [w for w in ("STORE", "EXPUNGE", "APPEND") if self.servers[1].commands(w)]

    def stays(self):
        """Nothing is removed, and nothing told."""
        before = self.uids()
        for _ in range(2):
            program = self.run()
            assert self.uids() == before and not self.changed(), self.servers[1].commands()
            assert not program.lines("twice"), program.err
        return program

    def items(self):
        [row] = json.loads(self.case.run("report", "--format", "json", "-c", self.case.folder / "godwit.conf").exits(0).out)["mailboxes"]
        return row


def test_what_lands_late_is_removed(case):
    scene = Scene(case)
    before = scene.uids()
    echoes = [scene.lands(3, flags=["\\Flagged"]), scene.lands(4)]
    program = scene.run()
    assert scene.uids() == before
    for one, number in zip(echoes, (3, 4)):
        [line] = program.lines("landed late, as UID %d " % one.uid)
        assert "INBOX" in line and "<%d@example.org>" % number in line and "was removed" in line, line
    expunges = scene.servers[1].commands("UID EXPUNGE")
    assert [line.split()[-1] for line in expunges] == ["%d:%d" % (echoes[0].uid, echoes[1].uid)], expunges
    row = scene.items()
    assert row["verdict"] == "complete, with changes" and row["echoes"] == 2
    for one, item, number in zip(echoes, row["items"], (3, 4)):
        assert (item["kind"], item["folder"], item["uid"], item["message_id"]) == ("echo", "INBOX", 301 + number, "<%d@example.org>" % number)
        assert "UID %d " % one.uid in item["reason"] and item["internaldate"] == DATE and item["size"] == 300
    scene.stays()


def test_without_repair_echoes_it_is_told_and_stays(case):
    scene = Scene(case, repair=False)
    before = scene.uids()
    echo = scene.lands(4)
    for told in (1, 0, 0):
        program = scene.run()
        assert len(program.lines("landed late, as UID %d .*repair_echoes is off" % echo.uid)) == told, program.err
        assert scene.uids() == before + [echo.uid] and not scene.changed()
    [item] = scene.items()["items"]
    assert "it stays: repair_echoes is off" in item["reason"]
    scene.configure(True)
    scene.run()
    assert scene.uids() == before
    [item] = scene.items()["items"]
    assert "was removed" in item["reason"]


def test_two_passes_look_and_no_more(case):
    scene = Scene(case)
    assert case.ledger("SELECT echo_looks FROM folders") == [(2,)]
    scene.run()
    assert scene.servers[1].commands("SEARCH")
    assert case.ledger("SELECT echo_floor, echo_next, echo_batch, echo_sends, echo_looks FROM folders") == [(0, 0, 0, 0, 0)]
    echo = scene.lands(4)
    scene.run()
    assert echo.uid in scene.uids() and not scene.servers[1].commands("SEARCH")


def test_a_pass_that_is_not_broken_owes_no_look(case):
    scene = Scene.__new__(Scene)
    scene.left, scene.stored, scene.hook = 0, 0, None
    source, scene.target = Box(), Box(first_uid=70001)
    for number in range(5):
        source.folder("INBOX").add(body=message(number))
    old, new = case.serve(mailbox(source)), case.serve(mailbox(scene.target))
    case.pair(old, new, [login("ann")], {"repair_echoes": True})
    for _ in range(2):
        case.run("once").exits(0)
    assert not new.commands("SEARCH") and case.ledger("SELECT echo_looks FROM folders") == [(0,)]


def test_mail_of_the_targets_own_stays(case):
    """The same name, date and size with another body; the same bytes with another date; a message that is not in the source."""
    scene = Scene(case)
    for number in range(10, 20):
        scene.inbox.add(body=message(4, 300).replace(b"of the fixture", b"of number %d.." % number), date=DATE)
        assert scene.inbox.messages[-1].size == 300
    scene.lands(4, date=LATER)
    scene.inbox.add(body=message(77, 300), date=DATE)
    scene.stays()


def test_a_copy_of_what_was_not_under_way_stays(case):
    """It was recorded before the break."""
    scene = Scene(case)
    scene.lands(0)
    scene.stays()


def test_a_copy_of_what_came_after_the_break_stays(case):
    scene = Scene(case)
    scene.source.folder("INBOX").add(body=message(6, 300))
    scene.hook = lambda name, number, line: scene.lands(6) and None if name == "SEARCH" or name == "UID SEARCH" else None
    program = scene.run()
    assert scene.mail()[message(6, 300)] == 2 and not program.lines("twice"), program.err


def test_what_was_there_before_stays(case):
    """Copies of the user's own; one of them is taken for the source's, the other stays, though nothing tells it from an echo but its UID."""
    scene = Scene(case, own=[(message(4, 300), DATE), (message(4, 300), DATE)])
    assert scene.mail()[message(4, 300)] == 2
    assert case.ledger("SELECT echo_looks FROM folders") == [(2,)]
    scene.stays()


def test_no_more_go_than_were_sent_in_vain(case):
    """A user copied the echo: one of three stays beside the message."""
    scene = Scene(case)
    uids = [scene.lands(4).uid for _ in range(3)]
    program = scene.run()
    assert scene.mail()[message(4, 300)] == 3 and uids[2] not in scene.uids()
    assert len(program.lines("was removed")) == 1


def test_two_breaks_may_leave_two(case):
    scene = Scene(case, breaks=2)
    uids = [scene.lands(4).uid for _ in range(3)]
    scene.run()
    assert scene.mail()[message(4, 300)] == 2 and uids[0] in scene.uids()


def test_one_without_its_twin_stays(case):
    """A user moved the message away and back again: it is the only one."""
    scene = Scene(case)
    scene.inbox.messages = [m for m in scene.inbox.messages if m.body != message(4, 300)]
    scene.lands(4)
    scene.stays()


def test_an_echo_with_a_users_flag_stays(case):
    scene = Scene(case)
    echo = scene.lands(4, flags=["\\Answered"])
    program = scene.run()
    assert echo.uid in scene.uids() and not scene.changed()
    assert program.lines("as UID %d .*it stays: it has flags that the other one has not" % echo.uid), program.err


def test_an_echo_whose_twin_has_more_flags_goes(case):
    scene = Scene(case)
    [twin] = [m for m in scene.inbox.messages if m.body == message(3, 300)]
    twin.flags.append("\\Seen")
    echo = scene.lands(3, flags=["\\Flagged", "\\Deleted"])
    scene.run()
    assert echo.uid not in scene.uids() and twin.uid in scene.uids() and twin.flags == ["\\Flagged", "\\Seen"]


def test_a_target_that_refuses_is_asked_again(case):
    for command in ("UID STORE", "UID EXPUNGE", "SELECT"):
        scene = Scene(case)
        echo = scene.lands(4)
        scene.hook = lambda name, number, line: ("answer", b"NO not today") if name == command else None
        program = scene.run()
        assert echo.uid in scene.uids() and program.lines("it stays: the target refused: .*not today"), program.err
        scene.hook = None
        scene.run()
        assert echo.uid not in scene.uids()
        case.forget()


def test_a_search_that_is_refused_is_made_up_for(case):
    scene = Scene(case)
    echo = scene.lands(4)
    scene.hook = lambda name, number, line: ("answer", b"NO not today") if name == "UID SEARCH" else None
    for _ in range(2):
        program = scene.run()
        assert echo.uid in scene.uids() and program.lines("not looked for this time: .*not today"), program.err
    scene.hook = None
    scene.run()
    assert echo.uid not in scene.uids()


def test_a_break_in_the_sweep_is_made_up_for(case):
    for command in ("UID SEARCH", "UID FETCH", "UID STORE", "UID EXPUNGE"):
        scene = Scene(case)
        echo = scene.lands(4)
        cuts = [1]
        scene.hook = lambda name, number, line: ("cut",) if name == command and cuts and cuts.pop() else None
        scene.run()
        assert not cuts and echo.uid not in scene.uids(), command
        scene.stays()
        case.forget()


def test_another_UIDVALIDITY_is_not_swept(case):
    scene = Scene(case)
    before = scene.uids()
    echo = scene.lands(4)
    seen = []

    def renumber(name, _number, _line):
        if name == "SELECT" and not seen:
            seen.append(name)
            scene.inbox.uidvalidity += 1

    scene.hook = renumber
    program = scene.run()
    assert seen and scene.uids() == before + [echo.uid] and program.lines("UIDVALIDITY"), program.err


def test_without_UIDPLUS_it_is_told_and_stays(case):
    scene = Scene(case, plus=False)
    before = scene.uids()
    scene.lands(4, date=LATER)
    scene.inbox.add(body=message(4, 300).replace(b"of the fixture", b"of another one"), date=DATE)
    echo = scene.lands(4)
    program = scene.run()
    [line] = program.lines("twice")
    assert "UID 305 of the source (<4@example.org>)" in line and "landed late, as UID %d beside UID %d;" % (echo.uid, before[4]) in line, line
    assert len(scene.uids()) == 8 and not scene.changed()
    [item] = scene.items()["items"]
    assert (item["kind"], item["uid"], item["message_id"]) == ("echo", 305, "<4@example.org>")
    assert not scene.run().lines("twice") and not scene.servers[1].commands("SEARCH")


def test_without_UIDPLUS_by_now_nothing_is_removed(case):
    scene = Scene(case)
    scene.target.capabilities.remove("UIDPLUS")
    echo = scene.lands(4)
    program = scene.run()
    assert echo.uid in scene.uids() and program.lines("it stays: .*UIDPLUS"), program.err
    assert not scene.changed()


def twin_of(scene, number):
    [twin] = [m for m in scene.inbox.messages if m.body == message(number, 300)]
    return twin


def kept(scene, echo, why):
    """The echo is left, and told."""
    program = scene.run()
    assert echo.uid in scene.uids() and not scene.changed(), scene.servers[1].commands()
    assert program.lines("as UID %d .*it stays: %s" % (echo.uid, why)), program.err


def test_an_echo_whose_twin_is_marked_as_deleted_stays(case):
    """The user saw it twice, and will be rid of one of them when the mail program purges."""
    scene = Scene(case)
    twin = twin_of(scene, 4)
    twin.flags.append("\\Deleted")
    kept(scene, scene.lands(4), "the other one is marked as deleted")
    twin.flags.remove("\\Deleted")
    before = scene.uids()
    scene.run()
    assert scene.uids() == before[:-1]


def test_a_twin_that_goes_before_the_expunge_keeps_the_echo(case):
    def mark(scene, twin):
        twin.flags.append("\\Deleted")

    def purge(scene, twin):
        scene.inbox.messages.remove(twin)

    for change, why in ((mark, "the other one is marked as deleted"), (purge, "one of them is not there any more")):
        scene = Scene(case)
        twins, echoes = [twin_of(scene, 3), twin_of(scene, 4)], [scene.lands(3, flags=["\\Flagged"]), scene.lands(4)]
        scene.hook = lambda name, number, line: change(scene, twins.pop()) if name == "SELECT" and len(twins) == 2 else None
        program = scene.run()
        assert len(twins) == 1 and echoes[1].uid in scene.uids() and echoes[0].uid not in scene.uids(), program.err
        assert program.lines("as UID %d .*it stays: %s" % (echoes[1].uid, why)), program.err
        case.forget()


def test_what_users_change_behind_the_check_keeps_the_echo(case):
    for news in (b"* 5 EXPUNGE", b"* 5 FETCH (FLAGS (\\Deleted))"):
        scene = Scene(case)
        echo, opened = scene.lands(4), []

        def change(name, _number, line):
            if name == "SELECT":
                opened.append(name)
            return ("tell", news) if name == "UID FETCH" and opened else None

        scene.hook = change
        kept(scene, echo, "the folder is being changed by somebody else")
        scene.hook = None
        scene.run()
        assert echo.uid not in scene.uids()
        case.forget()


def moved_away_and_back(scene):
    one = [m for m in scene.inbox.messages if m.body == message(4, 300)][0]
    scene.inbox.messages.remove(one)
    return scene.lands(4)


def test_one_of_two_that_was_moved_away_and_back_stays(case):
    scene = Scene(case, copies=2)
    moved_away_and_back(scene)
    scene.stays()


def test_an_echo_beside_one_that_was_moved_away_and_back_goes_alone(case):
    scene = Scene(case, copies=2)
    moved_away_and_back(scene)
    before = scene.uids()
    scene.lands(4)
    scene.run()
    assert scene.uids() == before


def test_one_that_was_moved_away_and_back_and_is_not_in_the_source_any_more_stays(case):
    scene = Scene(case, copies=2)
    back = moved_away_and_back(scene)
    inbox = scene.source.folder("INBOX")
    inbox.messages = [m for m in inbox.messages if m.body != message(4, 300)]
    before = scene.uids()
    program = scene.run()
    assert scene.uids() == before and not scene.changed()
    assert program.lines("as UID %d .*it stays: nobody knows" % back.uid), program.err
