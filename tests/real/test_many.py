"""Many mailboxes, some of them bad: the bad ones stand in nobody's way."""
import re

from func import shared
from func.case import assert_equal, login, site
from lab import corpus, fill
from lab.dovecot import Dovecot
from lab.fakeimapd import blackhole, greet_then_silent, refuse_login
from lab.process import free_port

GOOD, BAD, SLOTS, CONNECTIONS = 40, 3, 8, 12


def test_bad_mailboxes_hold_no_slot(case):
    old, new = shared.old(), shared.new()
    users = [shared.user(old, new) for _ in range(GOOD)]
    for i, user in enumerate(users):
        fill.fill(old, user, shared.password(user), corpus.small(4, seed=i))
    bad = [shared.user(old) for _ in range(BAD)]
    source, target = case.tap(old.imaps_port), case.tap(new.imaps_port)
    refusing, hole, silent = case.serve(refuse_login()), case.serve(blackhole), case.serve(greet_then_silent)
    closed = {"url": "imap://127.0.0.1:%d" % free_port(), "allow_plaintext": True}
    many = {"max_connections": CONNECTIONS}
    servers = {"old": site(old, port=source.port, **many), "new": site(new, port=target.port, **many),
               "refusing": site(refusing), "hole": site(hole), "silent": site(silent), "closed": closed}
    rows = [login(name) for name in bad]
    # The bad ones come first: whoever waits for them waits now.
    migrations = {name: ("old", name, rows) for name in ("hole", "silent", "refusing", "closed")}
    migrations["good"] = ("old", "new", [login(user) for user in users])
    case.configure(servers, migrations, max_mailboxes=SLOTS, max_login_retries=60, login_retry_interval="1h",
                   connect_timeout="1h", login_timeout="1h", login_grace="100ms")
    program = case.start("once", "--log-level", "debug")
    program.wait_for("synced: 4 copied", GOOD)
    # Now, while all of the bad ones still wait: some for an answer, some for their next attempt.
    assert len(program.lines("refusing/.*cannot log in .* after 1 attempt:")) == BAD
    assert not program.lines("(hole|silent)/.*(cannot log in|failed)")
    assert hole.count >= 1 and silent.count >= 1
    program.terminate().exits(75)

    taken = program.lines("slot taken")
    assert len(taken) == GOOD and all(" good/" in line for line in taken)
    used = [int(re.search(r"slot taken \((\d+) of %d\)" % SLOTS, line)[1]) for line in taken]
    assert 1 < max(used) <= SLOTS, used
    assert 2 < source.peak <= CONNECTIONS and 2 < target.peak <= CONNECTIONS, (source.peak, target.peak)
    for user in users:
        assert_equal(shared.read(old, user), shared.read(new, user))
    states = dict(case.ledger("SELECT name, state FROM mailboxes"))
    assert all(states["good/" + user] == "synced" for user in users)
    assert all(states["refusing/" + user] == "parked" for user in bad)


def test_each_bad_mailbox_fails_with_its_reason(case):
    old = shared.old()
    bad = shared.user(old)
    refusing = case.serve(refuse_login("[AUTHENTICATIONFAILED] Not you."))
    hole, silent, port = case.serve(blackhole), case.serve(greet_then_silent), free_port()
    servers = {"old": site(old), "refusing": site(refusing), "hole": site(hole), "silent": site(silent),
               "closed": {"url": "imap://127.0.0.1:%d" % port, "allow_plaintext": True}}
    names = ("refusing", "hole", "silent", "closed")
    case.configure(servers, {name: ("old", name, [login(bad)]) for name in names}, max_login_retries=2,
                   login_retry_interval="50ms", connect_timeout="300ms", login_timeout="300ms")
    program = case.run("once").exits(1)
    for name, words in (("refusing", r"\[AUTHENTICATIONFAILED\] Not you\."), ("hole", r"no greeting from 127\.0\.0\.1"),
                        ("silent", r"no answer .*127\.0\.0\.1"), ("closed", "127.0.0.1:%d: Connection refused" % port)):
        assert len(program.lines("error: %s/%s: .*after 2 attempts: .*%s" % (name, bad, words))) == 1, name
        assert re.search(r"(?m)^%s: 1 mailbox: 0 synced, 1 failed;" % name, program.out)


def test_max_mailboxes_is_kept_by_good_ones_too(case):
    old, new = shared.old(), shared.new()
    users = [shared.user(old, new) for _ in range(6)]
    for user in users:
        fill.fill(old, user, shared.password(user), corpus.small(5))
    case.pair(old, new, [login(user) for user in users], max_mailboxes=1)
    program = case.run("once", "--log-level", "debug").exits(0)
    assert len(program.lines(r"slot taken \(1 of 1\)")) == 6 and len(program.lines("slot taken")) == 6
    held = 0
    for line in program.lines("slot (taken|returned)"):
        held += 1 if "taken" in line else -1
        assert 0 <= held <= 1, line


def test_a_server_that_was_down_is_used_when_it_is_up(case):
    old = shared.old()
    new = case.use(Dovecot(shared.folder(), "sometimes"))
    users = [shared.user(old, new) for _ in range(5)]
    for user in users:
        fill.fill(old, user, shared.password(user), corpus.small(3))
    new.kill()
    case.pair(old, new, [login(user) for user in users], login_retry_interval="100ms")
    program = case.start("once")
    program.wait_for("server new: down")
    new.start()
    program.exits(0)
    assert program.lines("server new: up again")
    for user in users:
        assert_equal(shared.read(old, user), shared.read(new, user))
