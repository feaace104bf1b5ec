"""Orders of the operator to the daemon that runs: retry, pause, resume, finish; and the socket on which they come."""
import json
import os
import pathlib
import re
import socket
import stat
import threading

from crash import shim
from func import fakes
from func.case import login, site, wait_until
from lab.fakeimapd import mailbox

HOUR = {"login_retry_interval": "1h", "pass_interval": "1h"}


def target(**options):
    """Its UIDs are not the source's."""
    return fakes.box(first_uid=5000, first_uidvalidity=77, **options)


def order(case, *words):
    return case.run(words[0], "-c", str(case.config), *words[1:])


def states(case):
    """What status says: name -> (state, reason)."""
    found = json.loads(case.run("status", "-c", str(case.config), "--json").exits(0).out)
    return {m["mailbox"]: (m["state"], m["reason"]) for m in found["mailboxes"]}


def until(case, name, state):
    """The reason, when the daemon says that the mailbox is in that state."""
    def found():
        try:
            answer = ask(case, "GET", "/v1/status")
        except (FileNotFoundError, ConnectionRefusedError):
            return None  # it is being started
        mailboxes = json.loads(answer[2])["mailboxes"] if answer[0] == 200 else []
        return [m["reason"] for m in mailboxes if (m["mailbox"], m["state"]) == (name, state)]
    return wait_until(found, "%s is %s" % (name, state))[0]


class Gate:
    """A hook that stops a server at a command of that number, until it is opened."""

    def __init__(self, command, number):
        self.command, self.number, self.reached, self.open = command, number, threading.Event(), threading.Event()

    def __call__(self, name, number, _line):
        if name == self.command and number == self.number:
            self.reached.set()
            self.open.wait(60)


def users(case, boxes, **settings):
    """For each name, (source, target): servers and a migration of their own, so that nobody waits behind a gate of another."""
    servers = {side + name: site(case.serve(mailbox(box))) for name, pair in boxes.items() for side, box in zip(("old-", "new-"), pair)}
    case.configure(servers, {name: ("old-" + name, "new-" + name, [login(name)]) for name in boxes}, **{**HOUR, **settings})


# --- pause and resume ---------------------------------------------------------------------------------------------------------


def test_a_running_mailbox_is_stopped_held_and_goes_on(case):
    gate = Gate("APPEND", 3)
    source, new = fakes.box(400, size=30000), target(hook=gate)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(new)), [login("ann")], settle="10ms", **HOUR)
    daemon = case.start("daemon")
    assert gate.reached.wait(60)
    assert order(case, "pause", "m/ann").exits(0).out == "m/ann: being stopped, then paused\n"
    assert states(case)["m/ann"] == ("running", "being paused: what is on its way is finished")
    gate.open.set()
    assert until(case, "m/ann", "held") == "paused by the operator"
    assert 0 < len(new.digests()) < 400, "it was not stopped on its way"
    assert order(case, "pause", "m/ann").exits(0).out == "m/ann: paused already\n"
    assert order(case, "resume", "m/ann").exits(0).out == "m/ann: queued\n"
    until(case, "m/ann", "synced")
    assert sorted(new.digests()) == sorted(source.digests())
    daemon.terminate().exits(0)


def test_a_paused_mailbox_stays_so_through_a_kill(case):
    gate = Gate("APPEND", 3)
    ann, bob = (fakes.box(400, size=30000), target(hook=gate)), (fakes.box(1), target())
    users(case, {"ann": ann, "bob": bob}, settle="10ms")
    daemon = case.start("daemon")
    assert gate.reached.wait(60)
    until(case, "bob/bob", "synced")
    order(case, "pause", "--all").exits(0)
    daemon.kill_now()
    daemon.wait()
    gate.open.set()
    for command in ("daemon", "once"):
        program = case.start(command, "--log-level", "info")
        if command == "once":
            program.exits(75)
            assert program.lines("2 mailboxes are paused and left alone")
            assert len(re.findall(r": 1 mailbox: 0 synced, 1 held;", program.out)) == 2, program.out
        else:
            assert until(case, "ann/ann", "held") == until(case, "bob/bob", "held") == "paused by the operator"
            program.terminate().exits(0)
        assert not program.lines(": started"), "a pass was made"
    assert {(state, paused) for state, paused in case.ledger("SELECT state, paused FROM mailboxes")} == {("held", 1)}
    daemon = case.start("daemon")
    daemon.wait_for("2 mailboxes in 2 migrations")
    assert "2 mailboxes: queued" in order(case, "resume", "--all").exits(0).out
    until(case, "ann/ann", "synced")
    until(case, "bob/bob", "synced")
    assert sorted(ann[1].digests()) == sorted(ann[0].digests()) and sorted(bob[1].digests()) == sorted(bob[0].digests())
    daemon.terminate().exits(0)


def test_what_is_answered_is_durable(case):
    """The disk is slow: while the first order is being saved the second one waits; when the kill comes both have been answered."""
    users(case, {name: (fakes.box(0), target()) for name in ("ann", "bob")})
    case.state.mkdir(mode=0o700)
    daemon = case.start("daemon", environment=shim.environment(case.state, case.folder / "journal", slow=700))
    until(case, "ann/ann", "synced")
    until(case, "bob/bob", "synced")
    for name in ("ann/ann", "bob/bob"):
        order(case, "pause", name).exits(0)
    daemon.kill_now()
    daemon.wait()
    daemon = case.start("daemon")
    for name in ("ann/ann", "bob/bob"):
        assert until(case, name, "held") == "paused by the operator"
    daemon.terminate().exits(0)


def test_what_waits_is_held_where_it_waits(case):
    gate = Gate("APPEND", 1)
    boxes = {name: (fakes.box(2), target()) for name in ("ann", "carl", "dora")}
    boxes["bob"] = fakes.box(2, users={}), target()     # cannot log in
    boxes["emil"] = fakes.box(2), target(hook=gate)     # has the only slot, until the gate is open

    def behind_emil(name, _number, _line):
        if name in ("LOGIN", "AUTHENTICATE"):
            gate.reached.wait(60)

    boxes["fritz"] = fakes.box(2, hook=behind_emil), target()
    users(case, boxes, max_mailboxes=1)
    daemon = case.start("daemon")
    assert gate.reached.wait(60)
    until(case, "bob/bob", "parked")
    waiting = [name for name, (state, _) in states(case).items() if state in ("queued", "parked", "synced")]
    assert len(waiting) == 5
    program = order(case, "pause", *waiting).exits(0)
    assert len(program.out.splitlines()) == 5
    gate.open.set()
    until(case, "emil/emil", "synced")
    for name in waiting:
        assert until(case, name, "held") == "paused by the operator"
    daemon.terminate().exits(0)
    # What was dialled already when the order came has left nothing behind.
    for name in ("bob", "fritz"):
        assert not boxes[name][1].digests()


# --- retry ----------------------------------------------------------------------------------------------------------------------


def test_a_parked_and_a_failed_mailbox_are_tried_now(case):
    for retries, state in ((60, "parked"), (1, "failed")):
        source, new = fakes.box(3, users={}), target()
        case.pair(case.serve(mailbox(source)), case.serve(mailbox(new)), [login("ann")], max_login_retries=retries, **HOUR)
        daemon = case.start("daemon")
        until(case, "m/ann", state)
        source.users = None
        assert order(case, "retry", "m/ann").exits(0).out == "m/ann: tried now\n"
        until(case, "m/ann", "synced")
        assert sorted(new.digests()) == sorted(source.digests())
        assert order(case, "retry", "m/ann").exits(1).out == "m/ann: nothing to retry: it is synced\n"
        assert order(case, "retry", "--all").exits(0).out == "1 mailbox: nothing to retry: it is synced\n"
        daemon.terminate().exits(0)
        case.forget()


def test_a_retry_that_fails_begins_the_attempts_anew(case):
    source = fakes.box(3, users={})
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target())), [login("ann")], max_login_retries=2, **HOUR)
    daemon = case.start("daemon")
    daemon.wait_for("cannot log in")
    order(case, "retry", "m/ann").exits(0)
    daemon.wait_for("cannot log in", 2)
    until(case, "m/ann", "parked")
    daemon.terminate().exits(0)
    assert case.ledger("SELECT state, attempts FROM mailboxes") == [("parked", 1)]


# --- finish -----------------------------------------------------------------------------------------------------------------------


def test_a_finished_mailbox_gets_a_last_pass_and_no_other(case):
    ann, bob = (fakes.box(3), target()), (fakes.box(1), target())
    users(case, {"ann": ann, "bob": bob}, pass_interval="1s")
    daemon = case.start("daemon")
    until(case, "ann/ann", "synced")
    ann[0].folder("INBOX").add(size=777)
    assert order(case, "finish", "ann/ann").exits(0).out in ("ann/ann: a last pass, then done\n", "ann/ann: running: one more pass, then done\n")
    assert until(case, "ann/ann", "done") == "its last pass left nothing out"
    assert sorted(ann[1].digests()) == sorted(ann[0].digests())
    assert order(case, "finish", "ann/ann").exits(0).out == "ann/ann: done already\n"
    assert order(case, "pause", "ann/ann").exits(1).out == "ann/ann: nothing to pause: it is done\n"
    ann[0].folder("INBOX").add(size=888)
    passes, others = len(daemon.lines("ann: started")), len(daemon.lines("bob: synced"))
    daemon.wait_for("bob: synced", others + 3)
    assert len(daemon.lines("ann: started")) == passes
    daemon.terminate().exits(0)
    case.run("once").exits(0)
    assert len(ann[1].digests()) == 4
    daemon = case.start("daemon")
    daemon.wait_for("bob: synced")
    assert len(daemon.lines("ann: started")) == 0
    assert order(case, "resume", "ann/ann").exits(0).out == "ann/ann: queued: passes are made again, it is not done\n"
    daemon.wait_for("ann: synced: 1 copied")
    assert sorted(ann[1].digests()) == sorted(ann[0].digests())
    daemon.terminate().exits(0)


def test_the_pass_that_runs_is_not_the_last_one(case):
    """A message that comes while a pass is being made is still brought."""
    gate = Gate("APPEND", 1)
    source, new = fakes.box(3), target(hook=gate)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(new)), [login("ann")], **HOUR)
    daemon = case.start("daemon")
    assert gate.reached.wait(60)
    source.folder("INBOX").add(size=999)
    assert order(case, "finish", "m/ann").exits(0).out == "m/ann: running: one more pass, then done\n"
    gate.open.set()
    until(case, "m/ann", "done")
    assert sorted(new.digests()) == sorted(source.digests())
    daemon.terminate().exits(0)


def test_a_last_pass_that_fails_is_made_again(case):
    source, new = fakes.box(3), target()
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(new)), [login("ann")], **HOUR)
    daemon = case.start("daemon")
    until(case, "m/ann", "synced")
    source.users = {}
    source.folder("INBOX").add(size=999)
    order(case, "finish", "m/ann").exits(0)
    assert until(case, "m/ann", "parked").startswith("last pass: source: ")
    daemon.kill_now()
    daemon.wait()
    daemon = case.start("daemon")
    assert until(case, "m/ann", "parked").startswith("last pass: source: ")
    source.users = None
    order(case, "retry", "m/ann").exits(0)
    until(case, "m/ann", "done")
    assert sorted(new.digests()) == sorted(source.digests())
    daemon.terminate().exits(0)


def test_what_a_last_pass_leaves_out_keeps_it_from_being_done(case):
    refused = [1]
    source = fakes.box(3)
    new = target(append_answer=lambda n, m: b"NO too bad" if refused and m.size == 999 else None)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(new)), [login("ann")], **HOUR)
    daemon = case.start("daemon")
    until(case, "m/ann", "synced")
    source.folder("INBOX").add(size=999)
    order(case, "finish", "m/ann").exits(0)
    daemon.wait_for("left out: ")
    wait_until(lambda: "not done" in states(case)["m/ann"][1], "the reason")
    assert states(case)["m/ann"] == ("synced", "1 messages and 0 folders were left out; not done, a last pass is due")
    order(case, "finish", "m/ann").exits(0)
    until(case, "m/ann", "done")
    daemon.terminate().exits(0)
    case.run("once").exits(1)  # the message is still missing, and that is still said


# --- who is meant -----------------------------------------------------------------------------------------------------------------


def test_a_name_that_does_not_exist_keeps_all_from_being_done(case):
    users(case, {name: (fakes.box(1), target()) for name in ("ann", "bob")})
    daemon = case.start("daemon")
    until(case, "ann/ann", "synced")
    program = order(case, "pause", "ann/ann", "ann/bod", "bob").exits(64)
    assert 'there is no mailbox "ann/bod", "bob"; nothing was done' in program.err and not program.out
    assert states(case)["ann/ann"][0] == "synced"
    assert "which mailboxes" in order(case, "pause").exits(64).err
    assert "exclude each other" in order(case, "pause", "--all", "ann/ann").exits(64).err
    assert order(case, "pause", "ann/ann", "ann/ann").exits(0).out == "ann/ann: paused\n"
    assert 'there is no mailbox "m/\ufffd"' in order(case, "pause", os.fsdecode(b"m/\xff")).exits(64).err
    daemon.terminate().exits(0)


def test_many_at_once(case):
    """More than are looked at in one turn of the loop, and more than one page of status."""
    from lab.fakeimapd import refuse_login

    old, new = case.serve(refuse_login()), case.serve(mailbox(target()))
    names = ["u%d" % i for i in range(2300)]
    case.configure({"old": site(old), "new": site(new)}, {"m": ("old", "new", [login(name) for name in names])},
                   max_login_retries=60, **HOUR)
    daemon = case.start("daemon")
    daemon.wait_for("2300 mailboxes in 1 migration")
    program = order(case, "pause", "--all").exits(0)
    assert sum(int(line.split()[0]) for line in program.out.splitlines()) == 2300, program.out
    wait_until(lambda: {state for state, _ in states(case).values()} == {"held"}, "all are held")
    some = ["m/" + name for name in names[100:2200]]
    program = order(case, "finish", *some).exits(0)
    assert [line.split(":")[0] for line in program.out.splitlines()] == sorted(some)
    assert daemon.lines("pause of all 2300 mailboxes, asked for by uid %d .*: 2300 changed" % os.getuid())
    daemon.terminate().exits(0)
    assert case.ledger("SELECT count(*), sum(paused), sum(finishing) FROM mailboxes") == [(2300, 2300, 2100)]


# --- the socket -------------------------------------------------------------------------------------------------------------------


def talk(case, request, patience=30):
    """Sends bytes, returns (status, head, body) of the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience)
        connection.connect(str(case.folder / "control.sock"))
        connection.sendall(request)
        data = b""
        while more := connection.recv(65536):
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else None, head.decode(), body.decode()


def ask(case, method, path, body=b"", close=True):
    return talk(case, b"%s %s HTTP/1.1\r\nHost: godwit\r\n%sContent-Length: %d\r\n\r\n%s" % (
        method.encode(), path.encode(), b"Connection: close\r\n" if close else b"", len(body), body))


def idle(case, **settings):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(target())), [login("ann")], **{**HOUR, **settings})
    daemon = case.start("daemon")
    daemon.wait_for("synced: 1 copied")
    return daemon


def test_without_a_daemon(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(target())), [login("ann")])
    for command in ("retry", "pause", "resume", "finish"):
        program = order(case, command, "m/ann").exits(75)
        assert str(case.folder / "control.sock") in program.err and 'start "godwit daemon"' in program.err
    assert not case.state.exists()
    case.run("pause", "-c", "nowhere.conf", "m/ann").exits(78)


def test_requests_that_are_wrong_are_told_so(case):
    daemon = idle(case)
    path = "/v1/mailboxes/pause"
    for status, words, answer in (
            (400, "no JSON", ask(case, "POST", path, b'{"mailboxes": ["m/ann"')),
            (400, "no JSON", ask(case, "POST", path)),
            (400, "the body must be", ask(case, "POST", path, b"[]")),
            (400, "the body must be", ask(case, "POST", path, b'{"all": false}')),
            (400, "number 2 is none", ask(case, "POST", path, b'{"mailboxes": ["m/ann", 7]}')),
            (400, "no JSON", ask(case, "POST", path, b'{"mailboxes": ["m/\xff"]}')),
            (400, "no JSON", ask(case, "POST", path, b"[" * 100000)),
            (400, "no argument", ask(case, "POST", path + "?all=1", b'{"all": true}')),
            (400, "limit must be", ask(case, "GET", "/v1/status?limit=0")),
            (400, "after must be a number", ask(case, "GET", "/v1/status?after=-1")),
            (400, "no body", ask(case, "GET", "/v1/status", b"x")),
            (404, 'there is no mailbox "m/bob"', ask(case, "POST", path, b'{"mailboxes": ["m/bob", "m/ann"]}')),
            (404, "nothing at /v2/status", ask(case, "GET", "/v2/status")),
            (404, "nothing at /v1/mailboxes/drop", ask(case, "POST", "/v1/mailboxes/drop", b'{"all": true}')),
            (405, "asked for with POST", ask(case, "GET", path)),
            (405, "asked for with GET", ask(case, "DELETE", "/v1/status")),
            (413, "longer than 1048576 bytes", ask(case, "POST", path, b" " * 1048577))):
        assert answer[0] == status and words in json.loads(answer[2])["error"], (status, words, answer)
        if status == 405:
            assert re.search(r"(?m)^Allow: (GET|POST)\r?$", answer[1])
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer = talk(case, b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode() +
                  chunk * 40 + b"0\r\n\r\n")
    assert answer[0] == 413, answer
    assert talk(case, b"\x16\x03\x01 nonsense\r\n\r\n")[0] in (400, None)
    assert states(case)["m/ann"][0] == "synced", "nothing of that was done"
    assert ask(case, "POST", path, b'{"mailboxes": ["m/ann"]}')[0] == 200
    assert states(case)["m/ann"][0] == "held"
    daemon.terminate().exits(0)


def test_half_a_request_holds_up_nobody(case):
    daemon = idle(case)
    halves = []
    for _ in range(20):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(case.folder / "control.sock"))
        connection.sendall(b"POST /v1/mailboxes/pause HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        halves.append(connection)
    order(case, "pause", "m/ann").exits(0)
    daemon.terminate().exits(0)
    for connection in halves:
        connection.close()


def test_status_in_pages(case):
    boxes = {name: (fakes.box(1), target()) for name in ("ann", "bob", "carl", "dora", "emil")}
    users(case, boxes)
    daemon = case.start("daemon")
    for name in boxes:
        until(case, name + "/" + name, "synced")
    order(case, "pause", "carl/carl").exits(0)
    seen, after = [], 0
    while after is not None:
        status, head, body = ask(case, "GET", "/v1/status?after=%d&limit=2" % after)
        assert status == 200 and "application/json" in head
        page = json.loads(body)
        assert len(page["mailboxes"]) <= 2 and page["pid"] == daemon.pid
        seen += page["mailboxes"]
        after = page["next"]
    assert [m["mailbox"] for m in seen] == [name + "/" + name for name in boxes]
    assert [m["state"] for m in seen] == ["synced", "synced", "held", "synced", "synced"]
    assert [m["paused"] for m in seen] == [False, False, True, False, False]
    assert [(m["migration"], m["states"]["synced"], m["paused"]) for m in page["migrations"][1:3]] == [("bob", 1, 0), ("carl", 0, 1)]
    assert json.loads(ask(case, "GET", "/v1/status?after=99")[2])["mailboxes"] == []
    daemon.terminate().exits(0)


def test_status_knows_how_far_a_running_mailbox_is(case):
    gate = Gate("APPEND", 3)
    source = fakes.box(400, size=30000)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target(hook=gate))), [login("ann")], **HOUR)
    daemon = case.start("daemon")
    assert gate.reached.wait(60)
    found = json.loads(ask(case, "GET", "/v1/status")[2])["mailboxes"][0]
    assert found["state"] == "running" and found["progress"]["messages"] == 400
    program = case.run("status", "-c", str(case.config), "--all").exits(0)
    assert re.search(r"m/ann +running .* \d+ of 400 messages", program.out), program.out
    gate.open.set()
    until(case, "m/ann", "synced")
    daemon.terminate().exits(0)


def test_the_socket_is_its_owner_s(case):
    daemon = idle(case)
    path = case.folder / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_ISSOCK(path.stat().st_mode)
    if os.getuid() == 0:
        # Whoever gets past the mode is asked who he is.
        os.chmod(case.folder, 0o755)
        os.chmod(path, 0o666)
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            answers = [ask(case, "POST", "/v1/mailboxes/pause", b'{"all": true}')[0], ask(case, "GET", "/v1/status")[0]]
            os._exit(0 if answers == [403, 403] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert states(case)["m/ann"][0] == "synced"
    daemon.terminate().exits(0)
    assert not path.exists(), "it is gone with the daemon"


def test_a_second_daemon_does_not_take_the_socket(case):
    daemon = idle(case)
    config = case.config.read_text()
    case.write("other.conf", config.replace('state"', 'other"'))
    second = case.run("daemon", "-c", str(case.folder / "other.conf"), configured=False).exits(75)
    assert "another godwit answers on %s" % (case.folder / "control.sock") in second.err
    assert order(case, "pause", "m/ann").exits(0).out == "m/ann: paused\n", "the first one still has it"
    # Behind a daemon that was killed nobody answers.
    daemon.kill_now()
    daemon.wait()
    assert (case.folder / "control.sock").exists()
    order(case, "resume", "m/ann").exits(75)
    daemon = case.start("daemon")
    daemon.wait_for("1 mailbox in 1 migration")
    order(case, "resume", "m/ann").exits(0)
    daemon.terminate().exits(0)


def test_what_is_no_socket_is_left_alone(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(target())), [login("ann")])
    case.write("control.sock", "precious")
    program = case.run("daemon").exits(78)
    assert "is no socket" in program.err and (case.folder / "control.sock").read_text() == "precious"
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(target())), [login("ann")],
              control=case.folder / "no" / "where" / "control.sock")
    assert "no/where" in case.run("daemon").exits(78).err


class Canned:
    """Something else that listens on the socket, and has one answer for all."""

    def __init__(self, path, answer):
        self.path, self.answer = path, answer
        self.listener = socket.socket(socket.AF_UNIX)

    def start(self):
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    data = b""
                    while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
                        data += more
                    connection.sendall(self.answer)
        except OSError:
            pass  # the end

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink()


def http(status, body):
    return b"HTTP/1.1 %d Word\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


def test_whatever_answers_instead_of_the_daemon(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(target())), [login("ann")], control=case.folder / "other.sock")
    for code, words, answer in (
            (77, "refuses: who are you", http(403, b'{"error": "who are you"}')),
            (75, "cannot do it now: later", http(503, b'{"error": "later"}')),
            (74, "disk full", http(500, b'{"error": "disk full"}')),
            (64, "no such thing", http(404, b'{"error": "no such thing"}')),
            (75, "its answer cannot be read", http(200, b'{"changed": 1')),
            (75, "its answer cannot be read", http(200, b'[{"changed": 1}]')),
            (75, "HTTP status 302", http(302, b"moved")),
            (75, "HTTP status 418", http(418, b'{"error": 7}')),
            (75, "cannot be asked on", b"220 mail.example.org ESMTP\r\n"),
            (75, "cannot be asked on", b"")):
        canned = Canned(case.folder / "other.sock", answer)
        canned.start()
        program = order(case, "pause", "m/ann").exits(code)
        assert words in program.err and not program.out, program.err
        canned.stop()
    # Status has the ledger, then, and says so.
    case.write("theirs.conf", case.config.read_text().replace("other.sock", "control.sock"))
    daemon = case.start("daemon", "-c", str(case.folder / "theirs.conf"), configured=False)
    daemon.wait_for("synced: 1 copied")
    for words, answer in (("disk full; this is what its ledger has", http(500, b'{"error": "disk full"}')), ("", http(503, b"{}")),
                          ("", http(200, b"[1, 2")), ("", http(200, b'{"mailboxes": [7, {"mailbox": "m/ann", "state": "odd"}], "next": "x"}'))):
        canned = Canned(case.folder / "other.sock", answer)
        canned.start()
        program = case.run("status", "-c", str(case.config), "m/ann").exits(0)
        assert re.search("m/ann +synced", program.out) and (words in program.err if words else not program.err), (words, program.err)
        canned.stop()
    daemon.terminate().exits(0)


def test_an_order_to_a_daemon_that_stops(case):
    """Who has been told that it is done finds it done, who has not been told is told that."""
    gate = Gate("APPEND", 3)
    source, new = fakes.box(400, size=30000), target(hook=gate)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(new)), [login("ann")], shutdown_timeout="30s", **HOUR)
    daemon = case.start("daemon")
    assert gate.reached.wait(60)
    daemon.terminate()
    daemon.wait_for("stopping")
    program = order(case, "pause", "m/ann").exits(75)
    assert "godwit is stopping; nothing was done" in program.err
    gate.open.set()
    daemon.exits(0)
    assert case.ledger("SELECT paused FROM mailboxes") == [(0,)]
    assert not pathlib.Path(case.folder / "control.sock").exists()
