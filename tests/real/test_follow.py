"""Passes after the first: what changes on the source about messages that were brought before, and what users do on the target."""
import re

from func import shared
from func.case import assert_equal, login, site
from lab import corpus, fill
from lab.corpus import Folder, Message, internaldate
from lab.imap import Client

# Dovecot with what it has, and without what shows cheaply that something changed.
PLAIN = ("CONDSTORE", "QRESYNC", "ESEARCH", "LIST-STATUS")


def store(server, user, folder, uids, how, flags):
    with Client.to(server, user, shared.password(user)) as client:
        client.command(b"SELECT " + folder)
        client.command(b"UID STORE %s %s (%s)" % (uids.encode(), how.encode(), flags.encode()))


def pair(case, old, new, rows, **rules):
    """As case.pair(), with rules for the migration."""
    case.pair(old, new, rows)
    text = case.config.read_text().rstrip()
    assert text.endswith("}")
    case.write("godwit.conf", text[:-1] + "".join("    %s = %s\n" % (k, v if isinstance(v, int) else '"%s"' % v)
                                                 for k, v in rules.items()) + "}\n")


def expunge(server, user, folder, uids):
    with Client.to(server, user, shared.password(user)) as client:
        client.command(b"SELECT " + folder)
        client.command(b"UID STORE %s +FLAGS (\\Deleted)" % uids.encode())
        client.command(b"UID EXPUNGE %s" % uids.encode())


def begin(case, source=None, target=None, **rules):
    """A mailbox that was copied once: its UIDs have gaps on the source, and its target has mail of its own, so that no UID is the same on both sides."""
    old, new = source or shared.old_plain(), target or shared.new_plain()
    user, there = shared.user(old), shared.user(new)
    folders = corpus.small(40, "follow") + [Folder(("Box",), corpus.small(9, "follow box")[0].messages)]
    fill.fill(old, user, shared.password(user), folders)
    own = Message(b"Subject: mine\r\nMessage-ID: <own@example.org>\r\n\r\nI was here.\r\n", ("\\Flagged",), internaldate(1500000000))
    fill.fill(new, there, shared.password(there), [Folder(("INBOX",), [own] * 7), Folder(("Box",), [own] * 3)])
    tap = case.tap(new.imap_port)
    tap.keep = True
    pair(case, site(old), site(new, port=tap.port), [login(user, target=there)], **rules)
    case.run("once").exits(0)
    tap.reset()
    return old, new, user, there, tap


def same(old, new, user, there):
    """The target has what the source has, and its own mail as it was."""
    got = shared.read(new, there)
    for path, entries in got.folders.items():
        own = [e for e in entries if e.instant == 1500000000]
        assert len(own) == {("INBOX",): 7, ("Box",): 3}.get(path, 0) and all(e.flags == {"\\Flagged"} for e in own), (path, own)
        got.folders[path] = [e for e in entries if e.instant != 1500000000]
    assert_equal(shared.read(old, user), got)


def follows(case, source=None):
    old, new, user, there, tap = begin(case, source)
    store(old, user, b"INBOX", "2:9,12", "+FLAGS", "\\Seen \\Answered")
    store(old, user, b"INBOX", "5,20:30", "-FLAGS", "\\Seen \\Flagged \\Answered")
    store(old, user, b"INBOX", "7:8", "+FLAGS", "$Forwarded work")
    store(old, user, b"Box", "3", "FLAGS", "\\Draft other")
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines(r"synced: 0 copied, 0 adopted, 0 left out, \d+ flags changed"), program.err
    same(old, new, user, there)
    tap.reset()
    again = case.run("once").exits(0)
    assert tap.commands("UID STORE") == 0 and again.err == ""
    same(old, new, user, there)
    # And once more: what was written last is what counts.
    store(old, user, b"INBOX", "2:9", "-FLAGS", "\\Answered work")
    case.run("once").exits(0)
    same(old, new, user, there)
    return tap


def test_flags_follow(case):
    follows(case)


def test_flags_follow_without_CONDSTORE(case):
    follows(case, shared.dovecot("old-without-condstore", tls="none", capability_remove=PLAIN))


def test_a_folder_in_which_nothing_happened_is_not_opened(case):
    old, new, user, there, _ = begin(case)
    up, down = case.tap(old.imap_port), case.tap(new.imap_port)
    up.keep = down.keep = True
    case.pair(site(old, port=up.port), site(new, port=down.port), [login(user, target=there)])
    case.run("once").exits(0)
    for tap in (up, down):
        opened = [tap.commands(word) for word in ("EXAMINE", "SELECT", "UID FETCH", "FETCH", "UID STORE", "APPEND", "CREATE")]
        assert not any(opened), bytes(tap.sent)
    store(old, user, b"Box", "3", "+FLAGS", "\\Draft")
    up.reset()
    down.reset()
    case.run("once").exits(0)
    assert up.commands("EXAMINE") == 1 and b"CHANGEDSINCE" in up.sent and down.commands("SELECT") == 1, bytes(up.sent)
    same(old, new, user, there)


def test_what_a_user_changed_on_the_target_stays(case):
    old, new, user, there, tap = begin(case)
    before = {e.digest: e for e in shared.read(new, there).folders[("INBOX",)]}
    target_uids = "8:20"
    store(new, there, b"INBOX", target_uids, "+FLAGS", "\\Deleted mine")
    store(new, there, b"INBOX", target_uids, "-FLAGS", "\\Seen")
    mine = {e.digest: e for e in shared.read(new, there).folders[("INBOX",)]}
    assert sum(before[d].flags != mine[d].flags for d in before) >= 13
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("UID STORE") == 0
    assert {e.digest: e for e in shared.read(new, there).folders[("INBOX",)]} == mine
    # The source changes other flags of the same messages: these follow, the user's stay.
    store(old, user, b"INBOX", "1:40", "+FLAGS", "news")
    case.run("once").exits(0)
    after = {e.digest: e for e in shared.read(new, there).folders[("INBOX",)]}
    source = {e.digest for e in shared.read(old, user).folders[("INBOX",)]}
    for digest, entry in after.items():
        assert entry.flags == mine[digest].flags, entry
        assert entry.keywords == mine[digest].keywords | ({"news"} if digest in source else set()), entry


def test_new_mail_and_changed_flags_in_one_pass(case):
    old, new, user, there, _ = begin(case)
    with Client.to(old, user, shared.password(user)) as client:
        fill.append(client, ("INBOX",), [Message(b"Subject: new\r\n\r\nfresh %d\r\n" % n, ("\\Flagged",), internaldate(1600000000 + n))
                                         for n in range(5)])
        client.command(b"SELECT INBOX")
        client.command(b"UID STORE 3:6,41:42 +FLAGS (\\Seen todo)")
        client.command(b"UID MOVE 10:12 Box")
    case.run("once").exits(0)
    got = shared.read(new, there)
    wanted = shared.read(old, user)
    # Deletions are not followed unless asked for: what was moved is where it is now, and still where it was.
    assert_equal(wanted, got, extra_messages=False)
    assert len(got.folders[("INBOX",)]) == len(wanted.folders[("INBOX",)]) + 3 + 7
    assert len(got.folders[("Box",)]) == len(wanted.folders[("Box",)]) + 3


def test_a_break_among_the_changes_is_made_good(case):
    old, new, user, there, tap = begin(case)
    for turn in range(3):
        store(old, user, b"INBOX", "2:%d" % (9 + turn), "+FLAGS", "\\Seen turn%d" % turn)
        store(old, user, b"Box", "1:%d" % (3 + turn), "+FLAGS", "turn%d" % turn)
        running = []

        def kill(number=[0]):
            running[0].kill_now()
        # Somewhere between the SELECT and the last STORE.
        tap.at("up", tap.up + 400 + 120 * turn, kill)
        running.append(case.start("once"))
        running[0].wait()
    case.run("once").exits(0)
    same(old, new, user, there)
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("UID STORE") == 0


def break_at(case, tap, direction, words):
    """Kills the program before these words pass."""
    running = []
    tap.when(direction, words, lambda: running[0].kill_now())
    running.append(case.start("once"))
    running[0].wait()
    assert running[0].killed


def broken_store(case, target=None):
    """STOREs that were carried out, and whose answer did not come."""
    old, new, user, there, tap = begin(case, target=target)
    store(old, user, b"INBOX", "2:9", "+FLAGS", "later")
    store(old, user, b"INBOX", "2:9", "-FLAGS", "\\Seen \\Flagged \\Answered work")
    break_at(case, tap, "down", b"OK Store completed")
    return old, new, user, there, tap


def test_a_user_changes_what_a_break_left_unrecorded(case):
    old, new, user, there, tap = broken_store(case)
    mine = [e for e in shared.read(new, there).folders[("INBOX",)] if "later" in e.keywords]
    assert len(mine) == 8, "the first STORE was carried out"
    # Source UIDs 2 to 4 and 8: seven messages were there before.
    store(new, there, b"INBOX", "9:11,15", "-FLAGS", "later")
    # Broken off once more: what was found out before is not forgotten over what is tried then.
    store(old, user, b"INBOX", "20:22", "+FLAGS", "other")
    break_at(case, tap, "up", b"UID STORE")
    case.run("once").exits(0)
    after = shared.read(new, there).folders[("INBOX",)]
    assert sum("later" in e.keywords for e in after) == 4, "the user's word is the last one"
    rest = {e.digest: e for e in shared.read(old, user).folders[("INBOX",)]}
    for e in after:
        if e.digest in rest:
            assert e.flags == rest[e.digest].flags and e.keywords | {"later"} == rest[e.digest].keywords | {"later"}, (e, rest[e.digest])
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("UID STORE") == 0
    # What the source changes from now on follows again.
    store(old, user, b"INBOX", "2:9", "-FLAGS", "later")
    store(old, user, b"INBOX", "2:5", "+FLAGS", "\\Draft")
    case.run("once").exits(0)
    same(old, new, user, there)


def test_a_break_before_the_target_did_anything(case):
    """What was only tried is done by the next pass, whatever users do with other messages meanwhile."""
    old, new, user, there, tap = begin(case)
    store(old, user, b"INBOX", "2:9", "+FLAGS", "later")
    store(old, user, b"INBOX", "2:9", "-FLAGS", "\\Seen work")
    break_at(case, tap, "up", b"UID STORE")
    store(new, there, b"INBOX", "30:32", "+FLAGS", "mine")
    case.run("once").exits(0)
    store(new, there, b"INBOX", "30:32", "-FLAGS", "mine")
    same(old, new, user, there)


def test_a_break_at_a_target_without_CONDSTORE(case):
    """It cannot tell what became of the STOREs: they are repeated."""
    old, new, user, there, tap = broken_store(case, shared.dovecot("new-without-condstore", tls="none", capability_remove=PLAIN))
    case.run("once").exits(0)
    same(old, new, user, there)


def test_many_flags_in_pieces(case):
    """More messages than one command line can name."""
    old, new = shared.old_plain(), shared.new_plain()
    user, there = shared.user(old), shared.user(new)
    fill.fill(old, user, shared.password(user), [Folder(("INBOX",), [
        Message(b"Subject: %d\r\n\r\n%d\r\n" % (n, n), (), internaldate(1400000000 + n)) for n in range(3200)])])
    tap = case.tap(new.imap_port)
    tap.keep = True
    case.pair(site(old), site(new, port=tap.port), [login(user, target=there)])
    case.run("once").exits(0)
    for first in (1, 1601):
        store(old, user, b"INBOX", ",".join(str(n) for n in range(first, first + 1600, 2)), "+FLAGS", "\\Seen")
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("UID STORE") >= 2, tap.commands("UID STORE")
    assert max(len(line) for line in bytes(tap.sent).split(b"\r\n")) < 8192
    assert_equal(shared.read(old, user), shared.read(new, there))


def test_a_flag_that_the_target_does_not_take_is_told(case):
    old = shared.old_plain()
    new = shared.dovecot("short-keywords", tls="none", extra_config="mail_max_keyword_length = 22\n")
    user, there = shared.user(old), shared.user(new)
    fill.fill(old, user, shared.password(user), corpus.small(12, "short keywords"))
    case.pair(old, new, [login(user, target=there)])
    case.run("once").exits(0)
    store(old, user, b"INBOX", "2:4", "+FLAGS", "a-keyword-of-some-length \\Draft")
    program = case.run("once").exits(0)
    [line] = program.lines("3 messages are not as on the source: the target does not change the flag a-keyword-of-some-length: ")
    rows = case.ledger("SELECT uid, kind, reason FROM skips ORDER BY uid")
    assert [row[:2] for row in rows] == [(n, "altered") for n in (2, 3, 4)] and "a-keyword" in rows[0][2], (rows, line)
    drafts = [e for e in shared.read(new, there).folders[("INBOX",)] if "\\Draft" in e.flags]
    assert len(drafts) == 3 and not any("a-keyword-of-some-length" in e.keywords for e in drafts), "the others follow"
    # It is not tried again with every pass, and the report goes on to say it.
    again = case.run("once").exits(0)
    assert not again.lines("not as on the source") and len(case.ledger("SELECT uid FROM skips")) == 3


def test_adopted_messages_get_the_flags_of_the_source(case):
    """What was there before keeps its own flags, and those of the source come to it."""
    old, new = shared.old_plain(), shared.new_plain()
    user, there = shared.user(old), shared.user(new)
    mail = [m for m in corpus.small(12, "adopted flags")[0].messages]
    for m in mail:
        m.flags = ("\\Seen", "work")
    fill.fill(old, user, shared.password(user), [Folder(("INBOX",), mail)])
    for m in mail:
        m.flags = ("\\Flagged",)
    fill.fill(new, there, shared.password(there), [Folder(("INBOX",), mail)])
    case.pair(old, new, [login(user, target=there)])
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines("synced: 0 copied, 12 adopted"), program.err
    for entry in shared.read(new, there).folders[("INBOX",)]:
        assert entry.flags == {"\\Flagged", "\\Seen"} and entry.keywords == {"work"}, entry
    assert len(shared.read(new, there).folders[("INBOX",)]) == 12


def test_many_changed_folders_in_one_pass(case):
    """Some with changed flags, some with deletions, some with both, some with nothing."""
    old, new = shared.old_plain(), shared.new_plain()
    user, there = shared.user(old), shared.user(new)
    fill.fill(old, user, shared.password(user), [Folder(("F%02d" % n,), corpus.small(8, "many %d" % n)[0].messages) for n in range(24)])
    pair(case, old, new, [login(user, target=there)], deletions="mirror")
    case.run("once").exits(0)
    for n in range(24):
        folder = b"F%02d" % n
        if n % 2:
            store(old, user, folder, "2:5", "+FLAGS", "\\Answered k%d" % n)
        if n % 3 == 0:
            expunge(old, user, folder, "1,8")
    case.run("once").exits(0)
    assert_equal(shared.read(old, user), shared.read(new, there))


def test_a_target_folder_that_was_made_anew_is_not_taken_for_the_old_one(case):
    old, new, user, there, tap = begin(case, deletions="mirror")
    with Client.to(new, there, shared.password(there)) as client:
        client.command(b"DELETE Box")
        client.command(b"CREATE Box")
    own = Message(b"Subject: mine\r\nMessage-ID: <own@example.org>\r\n\r\nI was here.\r\n", ("\\Flagged",), internaldate(1500000000))
    fill.fill(new, there, shared.password(there), [Folder(("Box",), [own] * 3)])
    expunge(old, user, b"Box", "1:2")
    store(old, user, b"Box", "3:9", "+FLAGS", "\\Draft")
    case.run("once").exits(0)
    same(old, new, user, there)


# --- deletions ----------------------------------------------------------------------------------------------------------------

def mirrors(case, source=None):
    old, new, user, there, tap = begin(case, source, deletions="mirror")
    expunge(old, user, b"INBOX", "3:5,9,40")
    expunge(old, user, b"Box", "1")
    store(old, user, b"INBOX", "1:2,6:8", "+FLAGS", "\\Flagged")
    with Client.to(old, user, shared.password(user)) as client:
        client.command(b"SELECT INBOX")
        client.command(b"UID MOVE 20:21 Box")
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines(r"synced: 2 copied, 0 adopted, 0 left out, \d+ flags changed, 8 deleted"), program.err
    same(old, new, user, there)
    tap.reset()
    case.run("once").exits(0)
    assert tap.commands("UID EXPUNGE") == tap.commands("UID STORE") == 0
    same(old, new, user, there)


def test_deletions_are_mirrored_when_asked_for(case):
    mirrors(case)


def test_deletions_are_mirrored_without_CONDSTORE_and_ESEARCH(case):
    mirrors(case, shared.dovecot("old-without-condstore", tls="none", capability_remove=PLAIN))


def moves(case, source=None, **rules):
    old, new, user, there, tap = begin(case, source, **rules)
    with Client.to(old, user, shared.password(user)) as client:
        client.command(b"SELECT INBOX")
        client.command(b"UID STORE 20 +FLAGS (\\Flagged moved)")
        client.command(b"UID MOVE 20:24 Box")
    tap.reset()
    return old, new, user, there, tap


def test_a_moved_message_where_deletions_are_kept(case):
    """It is where it is now, and still where it was."""
    old, new, user, there, tap = moves(case)
    before = shared.read(new, there).folders[("INBOX",)]
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines("synced: 5 copied, 0 adopted, 0 left out"), program.err
    got, wanted = shared.read(new, there), shared.read(old, user)
    assert_equal(wanted, got, extra_messages=False)
    assert sorted(e.digest for e in got.folders[("INBOX",)]) == sorted(e.digest for e in before)
    assert len(got.folders[("Box",)]) == len(wanted.folders[("Box",)]) + 3
    assert tap.commands("UID EXPUNGE") == tap.commands("UID STORE") == 0


def test_a_moved_message_where_deletions_are_mirrored(case):
    """It is copied to where it is now before it is deleted where it was."""
    old, new, user, there, tap = moves(case, deletions="mirror")
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines("synced: 5 copied, 0 adopted, 0 left out.* 5 deleted"), program.err
    sent = bytes(tap.sent)
    assert tap.commands("UID EXPUNGE") == 1 and sent.rindex(b" APPEND Box") < sent.index(b"\\Deleted") < sent.index(b" UID EXPUNGE ")
    same(old, new, user, there)


def test_a_moved_message_that_cannot_be_copied_is_not_deleted(case):
    old, new, user, there, tap = begin(case, deletions="mirror")
    before = shared.read(new, there)
    with Client.to(old, user, shared.password(user)) as client:
        client.command(b"SELECT INBOX")
        client.command(b"UID MOVE 20 Box")
    pair(case, site(old), site(new, port=tap.port), [login(user, target=there)], deletions="mirror", max_size="1K")
    case.run("once").exits(1)
    assert tap.commands("UID EXPUNGE") == 0
    assert_equal(before, shared.read(new, there))


def test_a_folder_that_vanished_stays_and_that_is_said(case):
    old, new, user, there, tap = begin(case, deletions="mirror")
    before = shared.read(new, there)
    with Client.to(old, user, shared.password(user)) as client:
        client.command(b"DELETE Box")
    for _ in range(2):
        program = case.run("once", "--log-level", "info").exits(0)
        assert len(program.lines('folder "Box": the folder is gone from the source; what was brought of it stays')) == 1
        assert_equal(before, shared.read(new, there))
        assert case.ledger("SELECT folder_path, uid, kind FROM skips") == [("Box", 0, "altered")]
    report = case.run("report", "--ledger", str(case.state))
    assert "gone from the source" in report.out, report.out
    fill.fill(old, user, shared.password(user), [Folder(("Box",), corpus.small(9, "follow box")[0].messages)])
    case.run("once").exits(0)
    assert not case.ledger("SELECT uid FROM skips")
    same(old, new, user, there)


def test_deletions_stop_at_the_ceiling(case):
    old, new, user, there, tap = begin(case, deletions="mirror")
    before = shared.read(new, there)
    expunge(old, user, b"INBOX", "1:11")
    for _ in range(2):
        program = case.run("once").exits(0)
        assert program.lines("11 of 40 messages vanished from the source, more than max_deletions = 10 percent: nothing is deleted")
        assert tap.commands("UID EXPUNGE") == 0
        assert_equal(before, shared.read(new, there))
    # The operator's word.
    pair(case, site(old), site(new, port=tap.port), [login(user, target=there)], deletions="mirror", max_deletions=50)
    case.run("once").exits(0)
    same(old, new, user, there)


def test_nothing_is_deleted_in_a_pass_in_which_something_failed(case):
    old, new, user, there, tap = begin(case, deletions="mirror", max_size="20K")
    before = shared.read(new, there)
    expunge(old, user, b"INBOX", "1:2")
    with Client.to(old, user, shared.password(user)) as client:
        fill.append(client, ("Box",), [Message(b"Subject: x\r\n\r\n" + b"x\r\n" * 9000, (), internaldate(1600000000))])
    program = case.run("once").exits(1)
    assert program.lines("2 messages vanished from the source; nothing is deleted: something was left out in this pass"), program.err
    assert tap.commands("UID EXPUNGE") == 0
    assert_equal(before, shared.read(new, there))
    case.run("once").exits(1)
    assert tap.commands("UID EXPUNGE") == 1, "what could not be copied stands in the report; the pass after it went well"


def test_nothing_is_deleted_without_UIDPLUS(case):
    new = shared.dovecot("plain-without-uidplus", tls="none", capability_remove=("UIDPLUS",))
    old, new, user, there, tap = begin(case, target=new, deletions="mirror")
    before = shared.read(new, there)
    expunge(old, user, b"INBOX", "1:2")
    case.run("once").exits(0)
    assert tap.commands("UID EXPUNGE") == tap.commands("EXPUNGE") == tap.commands("CLOSE") == 0
    assert_equal(before, shared.read(new, there))


def test_what_was_there_before_is_never_deleted(case):
    """Adopted: the same message, but not brought by us."""
    old, new = shared.old_plain(), shared.new_plain()
    user, there = shared.user(old), shared.user(new)
    folders = list(corpus.small(12, "adopted"))
    folders[0].messages = list(folders[0].messages)
    for server, name in ((old, user), (new, there)):
        fill.fill(server, name, shared.password(name), folders)
    before = shared.read(new, there)
    pair(case, old, new, [login(user, target=there)], deletions="mirror")
    program = case.run("once", "--log-level", "info").exits(0)
    assert program.lines("synced: 0 copied, 12 adopted"), program.err
    expunge(old, user, b"INBOX", "1:3")
    case.run("once").exits(0)
    assert_equal(before, shared.read(new, there))


def test_deletions_are_kept_unless_asked_for(case):
    old, new, user, there, tap = begin(case)
    before = shared.read(new, there)
    expunge(old, user, b"INBOX", "1:3")
    case.run("once").exits(0)
    assert tap.commands("UID STORE") == 0
    assert_equal(before, shared.read(new, there))
