"""The service: passes, what it tells the service manager, stops, and two of them at once."""

import socket

from func import fakes, shared
from func.case import assert_equal, login
from lab import corpus, fill
from lab.corpus import Message
from lab.fakeimapd import mailbox
from lab.imap import Client


def test_a_later_pass_picks_up_what_is_new(case):
    old, new = shared.old(), shared.new()
    user = shared.user(old, new)
    fill.fill(old, user, shared.password(user), corpus.small(5))
    case.pair(old, new, [login(user)], pass_interval="1s")
    program = case.start("daemon")
    program.wait_for("synced: 5 copied")
    with Client.to(old, user, shared.password(user)) as client:
        fill.append(client, ("INBOX",), [Message(b"Subject: late\r\n\r\nlate\r\n", ("\\Seen",))])
    program.wait_for("synced: 1 copied")
    program.wait_for("synced: 0 copied")
    program.terminate().exits(0)
    assert_equal(shared.read(old, user), shared.read(new, user))


def test_the_service_manager_is_told(case):
    path = str(case.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.settimeout(30)
        case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box())), [login("ann")])
        program = case.start("daemon", environment={"NOTIFY_SOCKET": path})
        lines = []

        def until(word):
            while not any(line.startswith(word) for line in lines):
                lines.extend(told.recv(4096).decode().split("\n"))

        until("READY=1")
        until("STATUS=1 mailboxes: ")
        assert "STOPPING=1" not in lines
        program.wait_for("synced: 1 copied")
        program.terminate()
        until("STOPPING=1")
        program.exits(0)


def test_the_daemon_is_not_ready_when_it_cannot_start(case):
    path = str(case.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.setblocking(False)
        case.write("godwit.conf", "nonsense = 1\n")
        case.run("daemon", environment={"NOTIFY_SOCKET": path}).exits(78)
        try:
            said = told.recv(4096)
        except BlockingIOError:
            said = b""
        assert b"READY" not in said


def test_two_on_one_ledger(case):
    old, new = case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box()))
    case.pair(old, new, [login("ann")])
    first = case.start("daemon")
    first.wait_for("synced: 1 copied")
    before = (old.count, new.count)
    second = case.run("once").exits(75)
    assert str(first.pid) in second.err, second.err
    assert (old.count, new.count) == before, "it connected all the same"
    first.terminate().exits(0)
    case.run("once").exits(0)


def test_settings_that_differ_are_said_at_the_start(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box())), [login("ann")], max_login_retries=7)
    program = case.start("daemon")
    program.wait_for("overridden by the setting max_login_retries: 7 \\(default 60\\)")
    program.wait_for("synced")
    assert not program.lines("login_retry_interval")
    program.terminate().exits(0)


def test_a_parked_mailbox_does_not_keep_the_daemon_from_others(case):
    old, new = shared.old(), shared.new()
    good, bad = shared.user(old, new), shared.user(old)
    fill.fill(old, good, shared.password(good), corpus.small(2))
    case.pair(old, new, [login(bad), login(good)], login_retry_interval="1h", pass_interval="1s")
    program = case.start("daemon")
    program.wait_for("%s: synced: 2 copied" % good)
    program.wait_for("%s: synced: 0 copied" % good)
    assert len(program.lines("cannot log in")) == 1
    new.add_user(bad, shared.password(bad))
    program.terminate().exits(0)
    assert dict(case.ledger("SELECT name, state FROM mailboxes"))["m/" + bad] == "parked"


