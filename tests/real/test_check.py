"""godwit check: both sides of every mailbox, and nothing written."""
import re

from func import fakes, shared
from func.case import login, site
from lab.fakeimapd import mailbox, refuse_login
from lab.process import free_port


def row(program, name):
    """The cells of a mailbox's line."""
    [line] = [x for x in program.out.splitlines() if x.startswith(name + " ")]
    return re.split(r" {2,}", line.strip())[1:]


def untouched(case):
    assert not case.state.exists(), "a ledger was made"


def test_all_is_well(case):
    old, new = shared.old(), shared.new()
    users = [shared.user(old, new) for _ in range(3)]
    case.pair(old, new, [login(user) for user in users])
    program = case.run("check").exits(0)
    assert program.out.splitlines()[0].split() == ["MAILBOX", "SOURCE", "TARGET"]
    for user in users:
        assert row(program, "m/" + user) == ["ok", "ok"]
    untouched(case)


def test_refused_logins(case):
    old, new = shared.old(), shared.new()
    both, source, target = shared.user(old, new), shared.user(old), shared.user(new)
    case.pair(old, new, [login(user) for user in (both, source, target)])
    program = case.run("check").exits(77)
    assert row(program, "m/" + both) == ["ok", "ok"]
    good, words = row(program, "m/" + source)
    assert good == "ok" and "[AUTHENTICATIONFAILED]" in words
    words, good = row(program, "m/" + target)
    assert good == "ok" and "[AUTHENTICATIONFAILED]" in words
    untouched(case)


def test_a_server_that_is_not_there(case):
    old = shared.old()
    user = shared.user(old)
    port = free_port()
    case.configure({"old": site(old), "new": {"url": "imaps://127.0.0.1:%d" % port}}, {"m": ("old", "new", [login(user)])})
    program = case.run("check").exits(1)
    good, words = row(program, "m/" + user)
    assert good == "ok" and "127.0.0.1:%d" % port in words and "refused" in words
    untouched(case)


def test_one_attempt_only(case):
    bad = case.serve(refuse_login())
    case.pair(case.serve(mailbox(fakes.box())), bad, [login("ann")], max_login_retries=60, login_retry_interval="10ms")
    case.run("check").exits(77)
    assert bad.count == 1


def test_nothing_but_reading(case):
    old, new = case.serve(mailbox(fakes.box(3))), case.serve(mailbox(fakes.box(3)))
    case.pair(old, new, [login("ann")])
    case.run("check").exits(0)
    for server in (old, new):
        names = {e["name"] for e in server.events if e["event"] == "command"}
        assert "EXAMINE" in names
        assert not names & {"SELECT", "APPEND", "CREATE", "STORE", "UID STORE", "SUBSCRIBE", "DELETE"}, names
    untouched(case)


def test_more_mailboxes_than_connections(case):
    old, new = shared.old(), shared.new()
    users = [shared.user(old, new) for _ in range(12)]
    case.configure({"old": site(old, max_connections=2), "new": site(new, max_connections=2)},
                   {"m": ("old", "new", [login(user) for user in users])})
    program = case.run("check").exits(0)
    assert [x.split()[0] for x in program.out.splitlines()[1:]] == ["m/" + user for user in users]
