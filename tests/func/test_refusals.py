"""A target that does not take everything: the rest arrives, and what did not is said."""
from func import fakes
from func.case import login
from lab.fakeimapd import mailbox

BAD = b"Subject: bad\r\nMessage-ID: <bad@example.org>\r\n\r\nNobody wants me.\r\n"


def is_bad(message):
    return message.body == BAD


def one_of(case, answer, without=(), **box):
    """One message of eleven is refused."""
    source = fakes.box(10)
    source.folder("INBOX").messages[5].body = BAD
    source.folder("INBOX").messages[5].size = source.folder("INBOX").messages[5].announced_size = len(BAD)
    target = fakes.box(append_answer=lambda number, message: answer if is_bad(message) else None, without=without, **box)
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [login("ann")])
    program = case.run("once").exits(1)
    good = sorted(m.sha256() for m in source.folder("INBOX").messages if m.body != BAD)
    assert fakes.digests(target) == good, "the others must arrive, each once"
    [line] = program.lines("a message is left out")
    assert line.startswith('godwit: warning: m/ann: folder "INBOX", UID 6: ') and answer.decode() in line, line
    assert "1 left out" in program.out
    [(folder, uid, reason)] = case.ledger("SELECT folder_path, uid, reason FROM skips")
    assert (folder, uid) == ("INBOX", 6) and answer.decode() in reason
    # It stays left out, and the exit code does not forget it.
    again = case.run("once").exits(1)
    assert fakes.digests(target) == good and "1 left out" in again.out, again.out


def test_the_neighbours_of_a_refused_message_go_in_company_again(case):
    """One of ninety: not ninety commands more."""
    appends = []

    def hook(name, _number, line):
        if name == "APPEND":
            appends.append(line)
        return None

    source = fakes.box(90)
    bad = source.folder("INBOX").messages[40]
    bad.body = BAD
    bad.size = bad.announced_size = len(BAD)
    target = fakes.box(hook=hook, append_answer=lambda number, message: b"NO [CANNOT] not this one" if is_bad(message) else None)
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [login("ann")])
    case.run("once").exits(1)
    assert fakes.digests(target) == sorted(m.sha256() for m in source.folder("INBOX").messages if m.body != BAD)
    assert len(appends) <= 1 + 12 + 8, len(appends)


def test_NO(case):
    one_of(case, b"NO [CANNOT] Message contains NUL characters")


def test_BAD(case):
    one_of(case, b"BAD Invalid header")


def test_LIMIT(case):
    one_of(case, b"NO [LIMIT] Message size exceeds fixed maximum message size")


def test_NO_without_LITERAL_plus(case):
    one_of(case, b"NO not this one", without=("LITERAL+",))


def test_NO_without_MULTIAPPEND(case):
    one_of(case, b"NO not this one", without=("MULTIAPPEND",))


def test_NO_without_UIDPLUS(case):
    one_of(case, b"NO not this one", without=("UIDPLUS",))


def test_NO_without_any_of_them(case):
    one_of(case, b"NO not this one", without=("LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE"))


def test_NO_in_place_of_the_plus(case):
    """Refused before the message was sent: nothing of it may be sent then."""
    source = fakes.box(6)
    target = fakes.box(without=("LITERAL+", "MULTIAPPEND"), before_literal=lambda number: b"NO [TOOBIG] no" if number == 3 else None)
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [login("ann")])
    case.run("once")
    case.run("once")
    assert set(target.digests()) <= set(source.digests()) and len(target.digests()) == len(set(target.digests())) >= 5
    assert not [c for c in new.commands() if "generated" in c], "mail was sent as a command"


def test_a_large_message_is_refused(case):
    source = fakes.box(4)
    source.folder("INBOX").add(size=3_000_000)
    source.folder("INBOX").add(size=2000)
    target = fakes.box(append_answer=lambda _n, m: b"NO [LIMIT] too big" if m.size > 2_000_000 else None)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    program = case.run("once").exits(1)
    assert len(target.digests()) == 5
    [line] = program.lines("a message is left out")
    assert "UID 5: " in line and "too big" in line


def test_OVERQUOTA_holds_the_mailbox(case):
    source = fakes.box(10)
    target = fakes.box(append_answer=lambda number, _m: b"NO [OVERQUOTA] The account is full" if number > 4 else None,
                       without=("MULTIAPPEND",))
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")], login_retry_interval="10ms")
    program = case.run("once").exits(1)
    assert len(program.lines("held, waits for a person: NO \\[OVERQUOTA\\] The account is full")) == 1
    assert "1 held" in program.out
    [(state, reason)] = case.ledger("SELECT state, reason FROM mailboxes")
    assert state == "held" and "The account is full" in reason
    assert not program.lines("a message is left out")
    # A person has made room.
    target.append_answer = None
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)


def test_TRYCREATE(case):
    """The folder was deleted while it was being filled: made again, and filled."""
    gone = []

    def hook(name, _number, line):
        if name == "APPEND" and "Box" in line and not gone:
            gone.append(1)
            target.folders.pop("Box", None)

    source, target = fakes.box(2), fakes.box(hook=hook)
    for _ in range(5):
        source.folder("Box").add(size=2000)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")], login_retry_interval="10ms")
    program = case.run("once")
    assert gone
    if program.code != 0:
        case.run("once").exits(0)
    assert fakes.digests(source, "Box") == fakes.digests(target, "Box")
    assert fakes.digests(source) == fakes.digests(target)


def test_a_folder_that_cannot_be_made(case):
    def hook(name, _number, line):
        return ("answer", b"NO [CANNOT] Invalid mailbox name") if name == "CREATE" and "Odd" in line else None

    source, target = fakes.box(2), fakes.box(hook=hook)
    source.folder("Odd").add(size=2000)
    source.folder("Even").add(size=2000)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    program = case.run("once").exits(1)
    assert len(program.lines('folder "Odd": the folder is left out: .*Invalid mailbox name')) == 1
    assert fakes.digests(source) == fakes.digests(target) and fakes.digests(source, "Even") == fakes.digests(target, "Even")
    assert "Odd" not in target.folders


def test_a_folder_that_comes_into_being_meanwhile(case):
    def hook(name, _number, line):
        if name == "CREATE" and "Box" in line:
            target.folder("Box")

    source, target = fakes.box(1), fakes.box(hook=hook)
    source.folder("Box").add(size=2000)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    case.run("once").exits(0)
    assert fakes.digests(source, "Box") == fakes.digests(target, "Box")


def test_throttling_is_obeyed(case):
    """Not now: nothing is left out, the mailbox comes again."""
    source = fakes.box(5)
    target = fakes.box(append_answer=lambda number, _m: b"NO [UNAVAILABLE] Server busy" if number == 1 else None)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")], login_retry_interval="50ms")
    program = case.run("once").exits(0)
    assert program.lines("Server busy") and not program.lines("left out: ")
    assert fakes.digests(source) == fakes.digests(target)


def test_a_message_that_the_source_cannot_give(case):
    """One message of the source is broken there: the others arrive, that one is said."""
    broken = []

    async def behave(connection):
        from lab.fakebox import Session

        class Broken(Session):
            async def do_uid_fetch(self, words):
                items = words[1] if isinstance(words[1], list) else [words[1]]
                if any(i.upper().startswith(b"BODY") and b"HEADER" not in i.upper() for i in items) and any(
                        m.uid == 4 for _, m in self.chosen(words[0], True)):
                    broken.append(words[0])
                    for number, message in list(self.chosen(words[0], True)):
                        if message.uid == 4:
                            return b"NO cannot read it"
                        await self.fetch_one(number, message, [b"UID"] + [i.upper() for i in items if i.upper() != b"UID"])
                return await super().do_uid_fetch(words)
        await Broken(connection, source).run()

    source, target = fakes.box(8), fakes.box()
    case.pair(case.serve(behave), case.serve(mailbox(target)), [login("ann")])
    program = case.run("once").exits(1)
    assert broken
    good = sorted(m.sha256() for m in source.folder("INBOX").messages if m.uid != 4)
    assert fakes.digests(target) == good
    [line] = program.lines("a message is left out")
    assert "UID 4: " in line and "cannot read it" in line
    assert "7 messages copied (21.0 kB), 0 adopted, 1 left out" in program.out
