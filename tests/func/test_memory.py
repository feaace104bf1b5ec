"""Memory is bounded by the settings, not by the mail."""
import os
import time

from func import fakes
from func.case import login, wait_until
from lab.fakeimapd import mailbox

MEGABYTE = 1 << 20
BOUND = 16 * MEGABYTE


def peak(case, size, target=None):
    """What it needed for one message of that size."""
    source, target = fakes.box(), target or fakes.box(keep=0)
    source.folder("INBOX").add(size=size)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    program = case.start("daemon", plain=True)
    program.wait_for("synced: 1 copied")
    used = program.peak()
    program.terminate().exits(0)
    assert target.digests() == source.digests()
    case.forget()
    return used


def plain(function):
    """Under the sanitizers, what is freed stays for a while: these tests need a build without them."""
    return function if os.environ.get("GODWIT_PLAIN") else None


def a_message_of_300_MB(case):
    small, large = peak(case, 3000), peak(case, 300 * MEGABYTE)
    print("    %.1f MB for 3 KB, %.1f MB for 300 MB" % (small / MEGABYTE, large / MEGABYTE))
    assert large - small < BOUND, (small, large)


def a_target_that_does_not_read(case):
    connections = []
    source, target = fakes.box(), fakes.box(keep=0, stop_reading_at=MEGABYTE)
    for size in (64 * MEGABYTE, 3000, 64 * MEGABYTE):
        source.folder("INBOX").add(size=size)
    old = case.serve(fakes.watched(mailbox(source), connections))
    new = case.serve(mailbox(target))
    case.pair(old, new, [login("ann")])
    program = case.start("daemon", plain=True)
    new.wait_for("stopped_reading", timeout=30)
    quiet(connections[0])
    # What is on its way: the kernels' buffers on loopback, and ours.
    assert connections[0].sent < 40 * MEGABYTE, "the source was not paused"
    assert program.peak() < 40 * MEGABYTE, program.peak()
    target.go_on(new)
    program.wait_for("synced: 3 copied")
    assert program.peak() < 40 * MEGABYTE, program.peak()
    program.terminate().exits(0)
    assert target.digests() == source.digests()


def quiet(connection, pause=0.3):
    """Returns when nothing has been sent for a moment."""
    state = [connection.sent, time.monotonic()]

    def still():
        if connection.sent != state[0]:
            state[:] = connection.sent, time.monotonic()
        return time.monotonic() - state[1] > pause

    wait_until(still, "the source is not read any more")


def many_messages(case):
    """A folder of 20,000 messages needs no more than one of 200."""
    used = []
    for count in (200, 20_000):
        source, target = fakes.box(count, size=250), fakes.box(keep=0)
        case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
        program = case.start("daemon", plain=True)
        program.wait_for("synced: %d copied" % count)
        used.append(program.peak())
        program.terminate().exits(0)
        case.forget()
    assert used[1] - used[0] < 4 * MEGABYTE, used


def many_parked(case):
    """A list of 20,000 mailboxes that wait."""
    from lab.process import free_port
    port = free_port()
    used = []
    for count in (10, 20_000):
        down = {"url": "imap://127.0.0.1:%d" % port, "allow_plaintext": True}
        case.configure({"old": down, "new": down}, {"m": ("old", "new", [login("user%d@example.org" % i) for i in range(count)])},
                       login_retry_interval="1h")
        program = case.start("daemon", plain=True)
        program.wait_for("server (old|new): down")
        program.wait_for("server (old|new): down")
        wait_until(lambda: parked(case) == count, "all are parked")
        used.append(program.peak())
        program.terminate().exits(0)
        case.forget()
    assert (used[1] - used[0]) / 20_000 < 1000, used


def parked(case):
    import sqlite3
    try:
        return case.ledger("SELECT count(*) FROM mailboxes WHERE state = 'parked'")[0][0]
    except sqlite3.Error:
        return -1


test_a_message_of_300_MB = plain(a_message_of_300_MB)
test_a_target_that_does_not_read = plain(a_target_that_does_not_read)
test_many_messages = plain(many_messages)
test_many_parked_mailboxes = plain(many_parked)


def test_a_large_message_with_the_sanitizers(case):
    """The way of a large message, with every access looked at."""
    source, target = fakes.box(2), fakes.box(keep=0, stop_reading_at=MEGABYTE)
    source.folder("INBOX").add(size=30 * MEGABYTE)
    source.folder("INBOX").add(size=3000)
    new = case.serve(mailbox(target))
    case.pair(case.serve(mailbox(source)), new, [login("ann")])
    program = case.start("once")
    new.wait_for("stopped_reading", timeout=30)
    target.go_on(new)
    program.exits(0)
    assert fakes.digests(source) == fakes.digests(target)
