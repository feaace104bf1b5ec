"""Runs after the first: nothing twice, nothing lost, whatever happened in between."""
import random
import re

from func import shared
from func.case import assert_equal, login, site
from lab import corpus, fill
from lab.corpus import Folder, Message, internaldate
from lab.imap import Client
from lab.proxy import Proxy

from real.test_copies import mail


def some():
    return corpus.realistic(160, seed=5, folders=4)


def named():
    """Everything that has a Message-ID or a Date, or both."""
    for folder in mail():
        folder.messages = [m for m in folder.messages if re.search(rb"(?im)^(message-id|date):\s*\S", m.body.partition(b"\r\n\r\n")[0])]
        folder.removed = frozenset()
        yield folder


def test_a_second_run_appends_nothing(case):
    old, new = shared.old_plain(), shared.new_plain()
    user, before = shared.filled(old, mail)
    there = shared.user(new)
    tap = case.tap(new.imap_port)
    tap.keep = True
    case.pair(site(old), site(new, port=tap.port), [login(user, target=there)])
    case.run("once").exits(0)
    assert tap.commands("APPEND") > 0
    tap.reset()
    second = case.run("once").exits(0)
    assert tap.count == 1 and tap.commands("APPEND") == 0, bytes(tap.sent)
    assert second.out == "" and second.err == "", "cron would send mail"
    assert_equal(before, shared.read(new, there))


def test_only_what_is_new_is_copied(case):
    old, new = shared.old_plain(), shared.new_plain()
    user = shared.user(old, new)
    fill.fill(old, user, shared.password(user), corpus.small(20) + [Folder(("Box",), [Message(b"Subject: 1\r\n\r\n1\r\n")])])
    tap = case.tap(new.imap_port)
    tap.keep = True
    case.pair(site(old), site(new, port=tap.port), [login(user)])
    case.run("once").exits(0)
    with Client.to(old, user, shared.password(user)) as client:
        fill.append(client, ("Box",), [Message(b"Subject: 2\r\n\r\nfresh\r\n", ("\\Flagged",), internaldate(1600000000))])
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("APPEND") == 1 and bytes(tap.sent).count(b"\r\nfresh\r\n") == 1
    assert_equal(shared.read(old, user), shared.read(new, user))


def test_a_lost_ledger_costs_no_duplicates(case):
    old, new = shared.old_plain(), shared.new_plain()
    user, before = shared.filled(old, named)
    there = shared.user(new)
    tap = case.tap(new.imap_port)
    tap.keep = True
    case.pair(site(old), site(new, port=tap.port), [login(user, target=there)])
    case.run("once").exits(0)
    case.forget()
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("APPEND") == 0
    assert_equal(before, shared.read(new, there))


def test_a_lost_ledger_loses_no_message_without_a_name(case):
    """Neither Message-ID nor Date: what looks the same by date and size alone may be another message."""
    old, new = shared.old_plain(), shared.new_plain()
    user = shared.user(old, new)
    date = internaldate(1500000000)
    fill.fill(old, user, shared.password(user), [Folder(("INBOX",), [Message(b"Subject: a\r\n\r\none\r\n", (), date)])])
    fill.fill(new, user, shared.password(user), [Folder(("INBOX",), [Message(b"Subject: a\r\n\r\ntwo\r\n", (), date)])])
    case.pair(old, new, [login(user)])
    case.run("once").exits(0)
    assert_equal(shared.read(old, user), shared.read(new, user), extra_messages=False)
    assert len(shared.read(new, user).folders[("INBOX",)]) == 2


def test_mail_of_the_targets_own_stays(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, some)
    there = shared.user(new)
    own = Message(b"Subject: mine\r\nMessage-ID: <own@example.org>\r\n\r\nI was here.\r\n", ("\\Flagged", "mine"))
    fill.fill(new, there, shared.password(there), [Folder(("INBOX",), [own, own]), Folder(("Own",), [own])])
    kept = shared.read(new, there)
    case.pair(old, new, [login(user, target=there)])
    case.run("once").exits(0)
    got = shared.read(new, there)
    assert_equal(before, got, extra_folders=False, extra_messages=False)
    assert_equal(kept, got, extra_folders=False, extra_messages=False)
    assert len(got.folders[("INBOX",)]) == len(before.folders[("INBOX",)]) + 2


def killed(case, new, seed, kills=3, mailboxes=4):
    """Kills godwit again and again, after so many bytes, also while it recovers; then lets it finish, and once more for nothing."""
    old = shared.old()
    user, before = shared.filled(old, some)
    size = mailboxes * sum(e.size for entries in before.folders.values() for e in entries)
    there = [shared.user(new) for _ in range(mailboxes)]
    tap = case.tap(new.imaps_port)
    # Dovecot's login process, through which TLS goes, now and then panics when a client is gone: that is waited for.
    case.pair(site(old), site(new, port=tap.port), [login(user, target=one) for one in there], login_retry_interval="100ms")
    rng = random.Random(seed)
    for _ in range(kills):
        running = []
        tap.at("up", tap.up + rng.randrange(20000, size // kills), lambda: running[0].kill_now())
        running.append(case.start("once"))
        running[0].wait()
        assert running[0].killed
    for _ in range(2):
        case.run("once").exits(0)
        for one in there:
            assert_equal(before, shared.read(new, one))


def count(mailbox):
    return sum(map(len, mailbox.folders.values()))


def test_killed_and_run_again(case):
    killed(case, shared.new(), 1)


def test_killed_and_run_again_without_UIDPLUS(case):
    killed(case, shared.dovecot("without-uidplus", capability_remove=("UIDPLUS",)), 2)


def test_killed_and_run_again_without_MULTIAPPEND(case):
    killed(case, shared.dovecot("without-multiappend", capability_remove=("MULTIAPPEND",)), 3)


def test_killed_and_run_again_without_anything(case):
    names = ("LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE", "LIST-EXTENDED", "SPECIAL-USE")
    new = shared.dovecot("-".join(("without",) + names).lower().replace("+", "").replace("=", ""), capability_remove=names)
    killed(case, new, 4)


def test_the_connection_to_the_target_is_cut_again_and_again(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, some)
    there = shared.user(new)
    size = sum(e.size for entries in before.folders.values() for e in entries)
    proxy = case.use(Proxy([(new.host, new.imaps_port)], cut=("up", size // 4), times=3,
                          stats=str(case.folder / "stats")))
    case.pair(site(old), site(new, port=proxy.ports[0]), [login(user, target=there)], login_retry_interval="50ms")
    program = case.run("once").exits(0)
    assert program.lines("warning: m/%s: target: the connection was lost" % there)
    assert len(proxy.read_stats()) >= 3
    assert_equal(before, shared.read(new, there))


def test_the_connection_to_the_source_is_cut_again_and_again(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, some)
    there = shared.user(new)
    size = sum(e.size for entries in before.folders.values() for e in entries)
    proxy = case.use(Proxy([(old.host, old.imaps_port)], cut=("down", size // 4), times=3,
                          stats=str(case.folder / "stats")))
    case.pair(site(old, port=proxy.ports[0]), site(new), [login(user, target=there)], login_retry_interval="50ms")
    program = case.run("once").exits(0)
    assert program.lines("warning: m/%s: source: the connection was lost" % there)
    assert len(proxy.read_stats()) >= 3
    assert_equal(before, shared.read(new, there))


def stopped(case, command):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, some)
    there = shared.user(new)
    tap = case.tap(new.imaps_port)
    case.pair(site(old), site(new, port=tap.port), [login(user, target=there)], shutdown_timeout="5s")
    tap.at("up", 1_000_000, lambda: program.terminate())
    program = case.start(command)
    program.wait(5 + 5)
    assert program.code == (75 if command == "once" else 0)
    assert program.lines("stopping")
    there_now = count(shared.read(new, there))
    assert 0 < there_now < count(before), there_now
    last = case.run("once", "--log-level", "info").exits(0)
    assert last.lines(r"synced: %d copied, 0 adopted, 0 left out" % (count(before) - there_now))
    assert_equal(before, shared.read(new, there))


def test_once_is_stopped_in_the_middle(case):
    stopped(case, "once")


def test_the_daemon_is_stopped_in_the_middle(case):
    stopped(case, "daemon")


def test_a_target_folder_that_was_deleted_is_filled_again(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, some)
    there = shared.user(new)
    case.pair(old, new, [login(user, target=there)])
    case.run("once").exits(0)
    gone = next(path for path in before.folders if len(path) > 1)
    with Client.to(new, there, shared.password(there)) as client:
        client.command(b'DELETE "%s"' % "/".join(gone).encode())
    case.run("once").exits(0)
    assert_equal(before, shared.read(new, there))
