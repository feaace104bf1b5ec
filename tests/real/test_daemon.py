"""The service: passes, what it tells the service manager, stops, and two of them at once."""

import socket
import threading

from func import fakes, shared
from func.case import assert_equal, login, site
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


def test_paused_resumed_and_finished_between_real_servers(case):
    old, new = shared.old(), shared.new()
    user = shared.user(old, new)
    fill.fill(old, user, shared.password(user), corpus.large(200, 20000, most=40000))
    fill.fill(new, user, shared.password(user), corpus.small(3, seed=9))  # so that no UID is that of the other side
    own = shared.read(new, user).folders[("INBOX",)]
    tap = case.tap(new.imaps_port)
    case.pair(site(old), site(new, port=tap.port), [login(user)], pass_interval="1h", settle="10ms")
    answers, answered = [], threading.Event()

    def pause():
        answers.append(case.run("pause", "-c", str(case.config), "m/" + user))
        answered.set()

    # Nothing reaches the target until the order has been answered.
    tap.at("up", 2 << 20, pause)
    daemon = case.start("daemon")
    daemon.wait_for("paused by the operator")
    assert answered.wait(60) and answers[0].out == "m/%s: being stopped, then paused\n" % user
    assert 3 < len(shared.read(new, user).folders[("INBOX",)]) < 203
    case.run("resume", "-c", str(case.config), "m/" + user).exits(0)
    daemon.wait_for("synced: ")
    with Client.to(old, user, shared.password(user)) as client:
        fill.append(client, ("INBOX",), [Message(b"Subject: late\r\n\r\nlate\r\n", ("\\Seen",))])
    case.run("finish", "-c", str(case.config), "m/" + user).exits(0)
    daemon.wait_for("done: no more passes will come")
    daemon.terminate().exits(0)
    found = shared.read(new, user).folders[("INBOX",)]
    assert found[:3] == own and sorted(e.digest for e in found[3:]) == sorted(e.digest for e in shared.read(old, user).folders[("INBOX",)])
