"""Whole copies between Dovecot and Cyrus, both ways, in both kinds of namespace; judged by the independent reader."""
import re

from func import shared
from func.case import assert_equal, login
from lab import corpus, fill, reader
from lab.cyrus import Cyrus
from lab.varied import varied

KINDS = ((".", False), ("/", True))
REFUSED = ("50% off", "back\\slash", 'say "hi"', "semi;colon", "{12}")  # Cyrus takes no such names


def plain():
    """Of the varied mail what Cyrus can hold: no header that is none, and none of those names."""
    folders = [f for f in varied(3, big=2) if f.path[0] not in REFUSED]
    for folder in folders:
        gone = [i for i, m in enumerate(folder.messages) if m.body == b"X"]
        folder.messages = [m for i, m in enumerate(folder.messages) if i not in gone]
    return folders


def cyrus(case, number, user="ann"):
    """One that leaves 8 bit headers as they are: as shipped, it writes an X over each such byte."""
    separator, alternate = KINDS[number]
    return case.use(Cyrus(case.folder, "cyrus%d" % number, separator=separator, alternate=alternate, users={user: "x"},
                          auth_failure_delay="0s", extra_config="munge8bit: no\n"))


def read(server, user, source=None):
    """Cyrus makes the folders on the way to a deep one; Dovecot does not."""
    mailbox = reader.read(server, user, "x")
    for path in source.noselect if source else ():
        if not mailbox.folders.get(path, True):
            del mailbox.folders[path]
    return mailbox


def both_passes(case, old, new, rows):
    case.pair(old, new, rows)
    copied = [re.search(r"synced: (\d+) copied, (\d+) adopted, (\d+) left out", case.run("once", "--log-level", "info").exits(0).err).groups()
              for _ in range(2)]
    assert copied[0][0] != "0" and copied[0][1:] == ("0", "0") and copied[1] == ("0", "0", "0"), copied


def to_cyrus(case, number):
    old, new = shared.old(), cyrus(case, number)
    user, mail = shared.filled(old, plain)
    both_passes(case, old, new, [login(user, shared.password(user), "ann", "x")])
    assert_equal(mail, read(new, "ann", mail))


def from_cyrus(case, number):
    old, new = cyrus(case, number), shared.new()
    fill.fill(old, "ann", "x", plain())
    user = shared.user(new)
    both_passes(case, old, new, [login("ann", "x", user, shared.password(user))])
    assert_equal(read(old, "ann"), shared.read(new, user))


def test_to_cyrus(case):
    to_cyrus(case, 0)


def test_to_cyrus_in_the_alternate_namespace(case):
    to_cyrus(case, 1)


def test_from_cyrus(case):
    from_cyrus(case, 0)


def test_from_cyrus_in_the_alternate_namespace(case):
    from_cyrus(case, 1)


def test_what_cyrus_does_not_take_is_said(case):
    old, new = shared.old(), cyrus(case, 0)
    user = shared.user(old)
    one = corpus.Message(b"Subject: one\r\nMessage-ID: <one@example.org>\r\n\r\nbody\r\n")
    folders = [corpus.Folder(("INBOX",), [corpus.Message(b"X"), one])]
    folders += [corpus.Folder((name,), [corpus.Message(b"Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody\r\n" % (i, i))]) for i, name in enumerate(REFUSED)]
    fill.fill(old, user, shared.password(user), folders)
    case.pair(old, new, [login(user, shared.password(user), "ann", "x")])
    program = case.run("once").exits(1)
    assert program.lines(r'folder "INBOX", UID 1: a message is left out: NO Message contains invalid header'), program.err
    assert program.lines(r'folder "semi;colon": the folder is called "semi_colon" on the target: the target does not take its name'), program.err
    found = read(new, "ann")
    right = ("INBOX", "50_ off", "back_slash", "say _hi_", "semi_colon", "_12_")
    assert {path: len(messages) for path, messages in found.folders.items()} == {(name,): 1 for name in right}, found.folders
    # Without the ledger the same names are found again.
    case.forget()
    case.run("once").exits(1)
    assert read(new, "ann").folders == found.folders


def test_made_for_its_role(case):
    """Cyrus has CREATE-SPECIAL-USE, and tells what it has made so; then mail from elsewhere finds it by that."""
    old, new = shared.old(), cyrus(case, 0)
    first, second = shared.user(old), shared.user(old)
    one, two = (corpus.Message(b"Subject: %s\r\n\r\nbody\r\n" % w) for w in (b"one", b"two"))
    fill.fill(old, first, shared.password(first), [corpus.Folder(("Gesendet",), [one])])
    fill.fill(old, second, shared.password(second), [corpus.Folder(("Sent Items",), [two]), corpus.Folder(("Sent Items", "2019"), [two])])
    for user in (first, second):
        case.pair(old, new, [login(user, shared.password(user), "ann", "x")])
        case.forget() if case.state.exists() else None
        case.run("once").exits(0)
    found = read(new, "ann")
    assert {path: len(messages) for path, messages in found.folders.items() if messages} == {("Gesendet",): 2, ("Gesendet", "2019"): 1}, found.folders


def test_killed_in_the_middle_of_a_copy_to_cyrus(case):
    old, new = shared.old(), cyrus(case, 0)
    user = shared.user(old)
    fill.fill(old, user, shared.password(user), corpus.small(400, seed=9))
    case.pair(old, new, [login(user, shared.password(user), "ann", "x")])
    program = case.start("once", "--log-level", "debug")
    program.wait_for("APPEND: OK")
    program.kill_now()
    program.wait()
    case.run("once").exits(0)
    assert_equal(shared.read(old, user), read(new, "ann"))
