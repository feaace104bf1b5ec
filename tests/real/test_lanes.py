"""Several connections to each server for one mailbox (connections_per_mailbox)."""
import random

from func import shared
from func.case import assert_equal, login, site
from lab import corpus
from lab.corpus import Folder
from lab.proxy import Proxy

CONNECTIONS = 3


def huge(messages=2400):
    """One folder with nearly everything, and some small ones."""
    return corpus.small(messages, "huge") + [Folder(("Small %d" % n,), corpus.small(5, "small %d" % n)[0].messages) for n in range(4)]


def large():
    return corpus.small(900, "large")


def several(server, **keys):
    return site(server, connections_per_mailbox=CONNECTIONS, **keys)


def in_order(server, user):
    """INBOX as digests in the order of UIDs."""
    return [entry.digest for entry in sorted(shared.read(server, user).folders[("INBOX",)], key=lambda e: e.uid)]


def test_one_huge_folder_is_shared_by_all(case):
    old, new = shared.old_plain(), shared.new_plain()
    user, before = shared.filled(old, huge)
    there = shared.user(new)
    up, down = case.tap(old.imap_port), case.tap(new.imap_port)
    down.keep = True
    case.pair(several(old, port=up.port), several(new, port=down.port), [login(user, target=there)])
    program = case.run("once", "--log-level", "debug").exits(0)
    assert up.count == down.count == CONNECTIONS, (up.count, down.count)
    assert len(program.lines(r"connection \d of up to %d to each server" % CONNECTIONS)) == CONNECTIONS - 1
    # Each of them opened the huge folder, and each brought messages into it.
    assert down.commands("APPEND") >= CONNECTIONS
    assert_equal(before, shared.read(new, there))
    down.reset()
    case.run("once").exits(0)
    assert down.commands("APPEND") == 0 and down.count == 1, "nothing to do is nothing to share"


def test_nothing_is_shared_unless_it_is_asked_for(case):
    old, new = shared.old_plain(), shared.new_plain()
    user, before = shared.filled(old, huge)
    there = shared.user(new)
    up, down = case.tap(old.imap_port), case.tap(new.imap_port)
    case.pair(several(old, port=up.port), site(new, port=down.port), [login(user, target=there)])
    case.run("once").exits(0)
    assert up.count == down.count == 1
    assert in_order(old, user) == in_order(new, there), "with one connection the order of the messages is kept"
    assert_equal(before, shared.read(new, there))


def test_a_server_that_takes_no_more_connections(case):
    old, new = shared.old_plain(), shared.dovecot("one-connection", tls="none", max_userip_connections=1)
    user, before = shared.filled(old, huge)
    there = shared.user(new)
    case.pair(several(old), several(new), [login(user, target=there)])
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines("no further connection: .*; it goes on with 1"), program.err
    assert_equal(before, shared.read(new, there))


def test_the_servers_limits_come_first(case):
    old, new = shared.old_plain(), shared.new_plain()
    user, before = shared.filled(old, huge)
    there = [shared.user(new) for _ in range(3)]
    up = case.tap(old.imap_port)
    case.pair(several(old, port=up.port, max_connections=4), several(new), [login(user, target=one) for one in there])
    case.run("once").exits(0)
    assert up.peak <= 4, up.peak
    for one in there:
        assert_equal(before, shared.read(new, one))


def test_killed_and_run_again_with_several_connections(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, huge)
    size = sum(e.size for entries in before.folders.values() for e in entries)
    there = shared.user(new)
    tap = case.tap(new.imaps_port)
    case.pair(several(old), several(new, port=tap.port), [login(user, target=there)], login_retry_interval="100ms")
    rng = random.Random(7)
    for _ in range(4):
        running = []
        tap.at("up", tap.up + rng.randrange(size // 16, size // 4), lambda: running[0].kill_now())
        running.append(case.start("once"))
        running[0].wait()
        assert running[0].killed
    for _ in range(2):
        case.run("once").exits(0)
        assert_equal(before, shared.read(new, there))


def test_one_of_several_connections_is_lost(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, huge)
    size = sum(e.size for entries in before.folders.values() for e in entries)
    there = shared.user(new)
    proxy = case.use(Proxy([(new.host, new.imaps_port)], cut=("up", size // 8), times=2, stats=str(case.folder / "stats")))
    case.pair(several(old), several(new, port=proxy.ports[0]), [login(user, target=there)], login_retry_interval="50ms")
    program = case.run("once").exits(0)
    assert program.lines("the connection was lost")
    for _ in range(2):
        assert_equal(before, shared.read(new, there))
        case.run("once").exits(0)


def test_without_LITERAL_and_MULTIAPPEND(case):
    """Where each APPEND waits for its answer."""
    new = shared.dovecot("without-literal-multiappend", capability_remove=("LITERAL+", "MULTIAPPEND"))
    old = shared.old()
    user, before = shared.filled(old, large)
    there = shared.user(new)
    tap = case.tap(new.imaps_port)
    case.pair(several(old), several(new, port=tap.port), [login(user, target=there)])
    case.run("once", patience=180).exits(0)
    assert tap.count > 1
    assert_equal(before, shared.read(new, there))
