"""A mailbox with several connections (connections_per_mailbox), at targets that lack something, refuse something, or are wanted by others."""
from func import fakes
from func.case import login, site
from lab.fakebox import Session
from lab.fakeimapd import mailbox

MESSAGES = 1500
FIRST = 70001   # UIDs of the target begin here: they must not be taken for those of the source


def source_box(messages=MESSAGES, **options):
    box = fakes.box(messages, size=700, **options)
    box.folder("Two").add(size=900)
    return box


def several(case, source, target, connections=3, rows=None, **settings):
    """source, target: a Box, or the behaviour of a server. Returns taps that count connections."""
    servers = [case.serve(s if callable(s) else mailbox(s)) for s in (source, target)]
    taps = [case.tap(server.port) for server in servers]
    keys = [site(server, port=tap.port, connections_per_mailbox=connections) for server, tap in zip(servers, taps)]
    case.pair(*keys, rows or [login("ann")], **{"login_retry_interval": "20ms", "settle": "0s", **settings})
    return taps


def same(source, target):
    for name in source.folders:
        assert fakes.digests(source, name) == fakes.digests(target, name), name


def target_box(**options):
    return fakes.box(first_uid=FIRST, **options)


def test_a_target_that_does_not_tell_UIDs(case):
    source, target = source_box(), target_box(without=("UIDPLUS",))
    _, down = several(case, source, target)
    case.run("once").exits(0)
    assert down.count == 3
    same(source, target)
    before = target.appends
    case.run("once").exits(0)
    assert target.appends == before


def test_a_break_at_a_target_that_does_not_tell_UIDs(case):
    source, target = source_box(), target_box(without=("UIDPLUS",))
    running = []

    def hook(name, _number, _line):
        if name == "APPEND" and running and target.digests():
            running.pop().kill_now()

    target.hook = hook
    several(case, source, target)
    program = case.start("once")
    running.append(program)
    program.wait()
    assert program.killed and 0 < len(target.digests()) < MESSAGES
    for _ in range(2):
        case.run("once").exits(0)
        same(source, target)


def test_what_is_there_already_is_found(case):
    """Careful: the ledger is lost, and half of the messages are gone from the target."""
    source, target = source_box(), target_box()
    _, down = several(case, source, target)
    case.run("once").exits(0)
    case.forget()
    del target.folder("INBOX").messages[::2]
    left, down.count = target.appends, 0
    case.run("once").exits(0)
    assert down.count > 1
    assert target.appends - left == MESSAGES // 2, "only what is not there is sent"
    same(source, target)


def test_a_break_and_what_is_there_already(case):
    for without in ((), ("UIDPLUS",), ("MULTIAPPEND",)):
        source, target = source_box(), target_box(without=without)
        running = []

        def hook(name, _number, _line):
            if name == "APPEND" and running and len(target.digests()) > (400 if "MULTIAPPEND" in without else 0):
                running.pop().kill_now()

        target.hook = hook
        several(case, source, target)
        program = case.start("once")
        running.append(program)
        program.wait()
        assert program.killed and 0 < len(target.digests()) < MESSAGES, without
        case.run("once").exits(0)
        same(source, target)
        case.run("once").exits(0)
        same(source, target)
        case.forget()


def test_a_folder_that_is_not_there_yet_for_the_others(case):
    """The CREATE takes its time on the first connection; the others must not send into the folder before."""
    source = source_box(0)
    for _ in range(MESSAGES):
        source.folder("Large").add(size=700)
    target = target_box(hook=lambda name, _number, line: ("delay", 0.3) if name == "CREATE" and "Large" in line else None)
    several(case, source, target)
    case.run("once").exits(0)
    same(source, target)


def test_a_folder_that_another_client_deletes_meanwhile(case):
    """[TRYCREATE] to all connections; what had been stored is gone with the folder, and is brought by the next pass."""
    source = source_box(0)
    for _ in range(MESSAGES):
        source.folder("Large").add(size=700)
    done = []

    def hook(name, number, _line):
        if name == "APPEND" and number > 2 and target.folder("Large").messages and not done:
            done.append(target.folders.pop("Large"))

    target = target_box(hook=hook)
    several(case, source, target)
    program = case.run("once")
    assert done and program.code in (0, 1), program.err
    for _ in range(2):
        case.run("once").exits(0)
    same(source, target)


def test_connections_are_given_back_to_those_who_wait(case):
    """Ann has all that the servers allow when bob's turn comes. He must not wait for her last message."""
    boxes = {"ann": source_box(6000), "bob": fakes.box(3)}
    targets = {"ann": target_box(), "bob": target_box()}
    refused = []

    def hook(name, _number, _line):
        return ("delay", 0.1) if name == "APPEND" else None     # ann is not to be through before bob has come

    for box in targets.values():
        box.hook = hook

    class Late(Session):
        """Bob's first login is refused: he comes when ann has begun."""
        def let_in(self, user, password, behalf=""):
            if user == "bob" and not refused:
                refused.append(1)
                return b"NO [AUTHENTICATIONFAILED] not yet"
            self.box = boxes[user]
            return super().let_in(user, password, behalf)

    async def behave(connection):
        await Late(connection, boxes["ann"]).run()

    servers = [case.serve(behave), case.serve(fakes.by_user(targets))]
    taps = [case.tap(server.port) for server in servers]
    keys = [site(server, port=tap.port, connections_per_mailbox=3, max_connections=4) for server, tap in zip(servers, taps)]
    case.pair(*keys, [login("ann"), login("bob")], login_retry_interval="300ms", settle="0s")
    program = case.run("once", "--log-level", "debug").exits(0)
    assert refused and taps[1].peak <= 4
    order = [line.split(": ")[1] for line in program.lines("m/(ann|bob): synced")]
    assert [name.split("/")[1] for name in order] == ["bob", "ann"], program.lines("synced")
    same(boxes["ann"], targets["ann"])
    same(boxes["bob"], targets["bob"])
