"""Logins that are refused: how often, how long, with which words; and what happens when they are not refused any more."""
import time

from func import fakes, shared
from func.case import assert_equal, login, site, wait_until
from lab import corpus, fill
from lab.fakeimapd import mailbox, refuse_login

WORDS = "[AUTHENTICATIONFAILED] Not today, ann."


def attempts(server):
    return len(server.commands("AUTHENTICATE")) + len(server.commands("LOGIN "))


def side(case, name):
    good, bad = case.serve(mailbox(fakes.box(3))), case.serve(refuse_login(WORDS))
    servers = {"old": site(bad if name == "source" else good), "new": site(bad if name == "target" else good)}
    case.configure(servers, {"m": ("old", "new", [login("ann.s", "pw-source", "ann.t", "pw-target")])},
                   max_login_retries=3, login_retry_interval="200ms")
    program = case.run("once").exits(1)
    user = "ann.s" if name == "source" else "ann.t"
    assert program.lines("the number of .* overridden") == [
        "godwit: the number of login attempts is overridden by the setting max_login_retries: 3 (default 60)"]
    assert program.lines("the interval .* overridden") == [
        "godwit: the interval between login attempts is overridden by the setting login_retry_interval: 200ms (default 60s)"]
    assert program.lines("log in") == [
        'godwit: warning: m/ann.t: %s: cannot log in as "%s" after 1 attempt: NO %s; '
        "will try every 200 ms for another 2 attempts before reporting failure" % (name, user, WORDS),
        'godwit: error: m/ann.t: failed to log in to the %s mailbox with the address "%s" after 3 attempts: NO %s' % (
            name, user, WORDS)]
    assert attempts(bad) == 3 and bad.count == 3, bad.commands()
    opened = [e["time"] for e in bad.events if e["event"] == "open"]
    assert all(b - a >= 0.19 for a, b in zip(opened, opened[1:])), opened


def test_the_target_refuses(case):
    side(case, "target")


def test_the_source_refuses(case):
    side(case, "source")


def test_a_setting_that_is_not_overridden_is_not_said(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(refuse_login()), [login("ann")], max_login_retries=1)
    program = case.run("once").exits(1)
    assert len(program.lines("is overridden by the setting max_login_retries: 1")) == 1
    assert not program.lines("login_retry_interval")
    assert program.lines("after 1 attempt:") and not program.lines("will try")


def test_settings_that_are_no_matter_of_logins_are_said_on_request(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(refuse_login()), [login("ann")], max_login_retries=1)
    assert not case.run("once").exits(1).lines("the setting state is")
    assert len(case.run("once", "--log-level", "info").exits(1).lines("the setting state is")) == 1


def test_another_reason_is_told_at_once(case):
    from lab.fakeimapd import per_connection
    bad = case.serve(per_connection([refuse_login("one"), refuse_login("one"), refuse_login("another")]))
    case.pair(case.serve(mailbox(fakes.box(1))), bad, [login("ann")], max_login_retries=5, login_retry_interval="20ms")
    program = case.run("once").exits(1)
    lines = program.lines("cannot log in")
    assert [("one" in x, "another;" in x) for x in lines] == [(True, False), (False, True)], lines
    assert "after 3 attempts" in lines[1] and attempts(bad) == 5


def test_a_mailbox_that_appears_later_is_copied(case):
    old, new = shared.old(), shared.new()
    user = shared.user(old)
    fill.fill(old, user, shared.password(user), corpus.small(5))
    case.pair(old, new, [login(user)], login_retry_interval="100ms")
    program = case.start("once")
    program.wait_for("target: cannot log in as .* after 1 attempt: .*AUTHENTICATIONFAILED")
    new.add_user(user, shared.password(user))
    program.exits(0)
    assert program.lines("logged in on both sides again")
    assert_equal(shared.read(old, user), shared.read(new, user))


def test_attempts_survive_a_restart(case):
    bad = case.serve(refuse_login(WORDS))
    case.pair(case.serve(mailbox(fakes.box(1))), bad, [login("ann")], max_login_retries=3, login_retry_interval="2s")
    first = case.start("once")
    first.wait_for("after 1 attempt:.*another 2 attempts")
    first.terminate().exits(75)
    [(state, used, due)] = case.ledger("SELECT state, attempts, next_attempt FROM mailboxes")
    assert (state, used) == ("parked", 1) and due > time.time() * 1000 - 2000
    second = case.start("once")
    bad.wait_for("open", 2)
    assert bad.events[-1]["time"] * 1000 >= due - 5 or \
        [e for e in bad.events if e["event"] == "open"][1]["time"] * 1000 >= due - 5, "it came before its time"
    second.exits(1)
    assert attempts(bad) == 3
    assert second.lines("after 3 attempts: NO ")
    assert not [x for x in second.lines("after 1 attempt")]
    [(state, used)] = case.ledger("SELECT state, attempts FROM mailboxes")
    assert (state, used) == ("failed", 3)


def test_no_wait_leaves_when_only_parked_ones_remain(case):
    old, new = shared.old(), shared.new()
    good, bad = shared.user(old, new), shared.user(old)
    fill.fill(old, good, shared.password(good), corpus.small(5))
    case.pair(old, new, [login(bad), login(good)], login_retry_interval="1h")
    program = case.run("once", "--no-wait").exits(75)
    assert program.out.startswith("m: 2 mailboxes: 1 synced, 1 parked; 5 messages copied ("), program.out
    assert_equal(shared.read(old, good), shared.read(new, good))


def test_failed_mailboxes_are_tried_again_by_the_next_once(case):
    bad = case.serve(refuse_login(WORDS))
    case.pair(case.serve(mailbox(fakes.box(1))), bad, [login("ann")], max_login_retries=2, login_retry_interval="20ms")
    case.run("once").exits(1)
    case.run("once").exits(1)
    assert attempts(bad) == 4


def test_passwords_of_every_kind_log_in(case):
    passwords = ['with "quotes"', "comma, and semicolon;", "Grüße 日本語", "back\\slash\\", " spaces ", "percent%20%", "{5}", "a\tb"]
    users = ["user%d@example.org" % i for i in range(len(passwords))]
    old = case.serve(mailbox(fakes.box(2, users=dict(zip(users, passwords)))))
    new = case.serve(fakes.by_user({u: fakes.box(users=dict(zip(users, passwords))) for u in users}))
    case.pair(old, new, [(u, p, u, p) for u, p in zip(users, passwords)])
    case.run("once").exits(0)
    assert sorted(e["user"] for e in old.events if e["event"] == "login") == users
    assert sorted(e["user"] for e in new.events if e["event"] == "login") == users
