"""Round trips do not scale with messages or folders: measured in round trips, over a line with 100 ms for each."""
import time

from func import fakes, shared
from func.case import assert_equal, login, site
from lab import corpus, fill
from lab.proxy import Proxy

RTT = 0.1


def trips(case, old, new, user, command="once"):
    """How many round trips a run took."""
    line = case.use(Proxy([(old.host, old.imap_port), (new.host, new.imap_port)], rtt_ms=RTT * 1000))
    case.pair(site(old, port=line.ports[0]), site(new, port=line.ports[1]), [login(user)], login_retry_interval="1h")
    started = time.monotonic()
    case.run(command).exits(0)
    took = (time.monotonic() - started) / RTT
    line.stop()
    return took


def filled(old, new, folders):
    user = shared.user(old, new)
    fill.fill(old, user, shared.password(user), folders)
    return user


def few_and_many(case, few, many, more, new=None):
    """The many may take no more than `more` round trips longer."""
    old, new = shared.old_plain(), new or shared.new_plain()
    took = []
    for folders in (few, many):
        user = filled(old, new, folders)
        took.append(trips(case, old, new, user))
        assert_equal(shared.read(old, user), shared.read(new, user))
        case.forget()
    assert took[1] - took[0] < more, "round trips: %.1f and %.1f" % tuple(took)


def test_messages(case):
    few_and_many(case, corpus.small(20), corpus.small(500), 12)


def test_messages_without_MULTIAPPEND(case):
    few_and_many(case, corpus.small(20), corpus.small(500), 25,
                 shared.dovecot("plain-without-multiappend", tls="none", capability_remove=("MULTIAPPEND",)))


def test_folders(case):
    few_and_many(case, corpus.many_folders(3, 3), corpus.many_folders(60, 3), 15)


def test_a_pass_with_nothing_new(case):
    """60 folders, and nothing to do: under a second at 100 ms."""
    old, new = shared.old_plain(), shared.new_plain()
    user = filled(old, new, corpus.many_folders(60, 2))
    trips(case, old, new, user)
    took = trips(case, old, new, user)
    assert took < 12, "round trips: %.1f" % took


def test_without_LITERAL_plus_only_the_messages_wait(case):
    """One round trip for each message is what that target asks for, and no more than that."""
    old, new = shared.old_plain(), shared.dovecot("plain-without-literal", tls="none", capability_remove=("LITERAL+", "MULTIAPPEND"))
    user = filled(old, new, corpus.small(20))
    took = trips(case, old, new, user)
    assert took < 20 + 20 + 15, "round trips: %.1f" % took
    assert_equal(shared.read(old, user), shared.read(new, user))


def test_one_command_for_many_messages(case):
    """Without a line at all: the commands are counted."""
    from lab.fakeimapd import mailbox
    source, target = fakes.box(300, size=500), fakes.box()
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [login("ann")])
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    assert len(new.commands("APPEND")) <= 10, len(new.commands("APPEND"))
    assert len(old.commands("FETCH")) <= 10, old.commands("FETCH")
