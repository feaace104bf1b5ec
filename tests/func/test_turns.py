"""Round trips do not scale with messages or folders.

What a run takes on a line without delay is taken off what it takes on a long one: the rest is round trips."""
import time

from func import fakes, shared
from func.case import assert_equal, login, site
from lab import corpus, fill
from lab.fakeimapd import mailbox
from lab.proxy import Proxy

RTT = 0.3


def took(case, old, new, folders, rtt, again=False):
    """How long a run took on such a line."""
    user = shared.user(old, new)
    fill.fill(old, user, shared.password(user), folders)
    line = case.use(Proxy([(old.host, old.imap_port), (new.host, new.imap_port)], rtt_ms=rtt * 1000))
    if again:
        case.pair(old, new, [login(user)])
        case.run("once").exits(0)
    case.pair(site(old, port=line.ports[0]), site(new, port=line.ports[1]), [login(user)])
    started = time.monotonic()
    case.run("once").exits(0)
    seconds = time.monotonic() - started
    line.stop()
    assert_equal(shared.read(old, user), shared.read(new, user))
    case.forget()
    return seconds


def trips(case, most, folders, new=None, **options):
    """Seven are: connect, log in, look on both sides, say what there is, ask for the mail, send it. Not many more may be added."""
    both = shared.old_plain(), new or shared.new_plain()
    near, far = (took(case, *both, folders, rtt, **options) for rtt in (0, RTT))
    count = (far - near) / RTT
    assert count < most, "%.1f round trips (%.2f s, %.2f s without delay)" % (count, far, near)


def test_500_messages(case):
    trips(case, 15, corpus.small(500))


def test_500_messages_without_MULTIAPPEND(case):
    trips(case, 20, corpus.small(500),
          shared.dovecot("plain-without-multiappend", tls="none", capability_remove=("MULTIAPPEND",)))


def test_60_folders(case):
    trips(case, 15, corpus.many_folders(60, 3))


def test_60_folders_with_nothing_new(case):
    trips(case, 8, corpus.many_folders(60, 2), again=True)


def test_without_LITERAL_plus_only_the_messages_wait(case):
    """One round trip for each message is what that target asks for, and no more than that."""
    new = shared.dovecot("plain-without-literal", tls="none", capability_remove=("LITERAL+", "MULTIAPPEND"))
    trips(case, 20 + 20 + 15, corpus.small(20), new)


def test_few_commands_for_many_messages(case):
    source, target = fakes.box(300, size=500), fakes.box()
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [login("ann")])
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    assert 1 <= len(new.commands("APPEND")) <= 10, len(new.commands("APPEND"))
    assert 1 <= len(old.commands("FETCH")) <= 10, old.commands("FETCH")
