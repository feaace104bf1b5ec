"""godwit verify against real servers: whatever is done to the target behind its back is found, and named."""
import json
import os
import pathlib
import re
import subprocess

from func import shared
from func.case import GODWIT, login, site
from lab import corpus, fill
from lab.corpus import Folder, Message, internaldate
from lab.imap import Client, quote

from real.test_copies import mail

DAY = 86400


def message(number, more=b"", name=True, body=b"Nothing of interest.\r\n"):
    head = b"Message-ID: <m%d@example.org>\r\nDate: Sat, 1 Feb 2020 03:04:05 +0000\r\n" % number if name else b""
    return Message(head + b"Subject: number %d\r\n%s\r\n%s" % (number, more, body), ("\\Seen",) if number % 2 else (),
                   internaldate(1580526245 + number * DAY))


def some():
    """A gap at the source, so that UIDs differ between the sides."""
    yield Folder(("INBOX",), [message(n) for n in range(1, 21)], removed=frozenset((0, 1)))
    yield Folder(("Old", "Deep"), [message(n) for n in range(30, 40)])
    yield Folder(("Empty",), [])


class Pair:
    """A mailbox that was copied; `run()` compares, `change()` gives a client to spoil the target with."""

    def __init__(self, case, folders=None, copied=True):
        self.case, self.old, self.new = case, shared.old_plain(), shared.new_plain()
        self.user = shared.user(self.old)
        self.there = shared.user(self.new)
        fill.fill(self.old, self.user, shared.password(self.user), list(folders or some()))
        case.pair(site(self.old), site(self.new), [login(self.user, target=self.there)])
        if copied:
            case.run("once").exits(0)

    def source(self):
        return Client.to(self.old, self.user, shared.password(self.user))

    def target(self):
        return Client.to(self.new, self.there, shared.password(self.there))

    def run(self, *arguments):
        return self.case.run("verify", "-c", str(self.case.config), *arguments)

    def look(self, *arguments, code):
        """The mailbox's object out of the JSON."""
        [found] = json.loads(self.run("--json", *arguments).exits(code).out)["mailboxes"]
        assert found["mailbox"] == "m/" + self.there
        return found

    def spoil(self, message, old, new):
        """Changes a message of the target on the disk; its time stays, which is the INTERNALDATE."""
        place = pathlib.Path(self.new.mail_path(self.there))
        [path] = [p for p in place.rglob("*") if p.is_file() and p.parent.name in ("cur", "new") and message in p.read_bytes()]
        before = path.stat()
        path.write_bytes(path.read_bytes().replace(old, new))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def store(client, folder, uid, what):
    client.command(b"SELECT " + folder)
    client.command(b"UID STORE %d %s" % (uid, what))


def remove(client, folder, uid):
    store(client, folder, uid, b"+FLAGS.SILENT (\\Deleted)")
    client.command(b"UID EXPUNGE %d" % uid)


def uid_of(client, folder, number):
    client.command(b"SELECT " + folder)
    [answer] = [a for a in client.command(b'UID SEARCH HEADER MESSAGE-ID "<m%d@example.org>"' % number) if a[1] == b"SEARCH"]
    return int(answer[2])


def differences(found):
    return [(f["folder"], d) for f in found["folders"] for d in f["differences"]]


def test_equal(case):
    pair = Pair(case)
    program = pair.run().exits(0)
    assert program.out == "m/%s: equal: 28 of 28 messages equal in 3 folders\n" % pair.there and program.err == ""
    found = pair.look(code=0)
    assert found["verdict"] == "equal" and found["equal"] == 28 and found["source_messages"] == found["target_messages"] == 28
    assert [(f["folder"], f["counts"]["equal"]) for f in found["folders"] if f["counts"]["equal"]] == [("INBOX", 18), ("Old/Deep", 10)]
    assert differences(found) == []


def test_everything_that_there_is_is_equal_also_deep(case):
    old, new = shared.old_plain(), shared.new_plain()
    user, before = shared.filled(old, mail)
    there = shared.user(new)
    case.pair(site(old), site(new), [login(user, target=there)])
    case.run("once").exits(0)
    count = sum(map(len, before.folders.values()))
    for arguments in ((), ("--deep",)):
        program = case.run("verify", "-c", str(case.config), *arguments).exits(0)
        assert "equal: {0:,} of {0:,} messages".format(count) in program.out, program.out


def test_without_a_ledger_and_beside_a_daemon(case):
    pair = Pair(case)
    daemon = case.start("daemon")
    daemon.wait_for("waiting for the next pass")
    pair.run().exits(0)
    daemon.terminate().exits(0)
    case.forget()
    with pair.target() as client:
        remove(client, b"INBOX", uid_of(client, b"INBOX", 7))
        fill.append(client, ("INBOX",), [message(90)])
    found = pair.look(code=1)
    (_, missing), (_, extra) = differences(found)
    assert missing["message_id"] == "<m7@example.org>" and missing["reason"] is None
    assert extra["kind"] == "extra" and extra["ours"] is None
    assert not case.state.exists()


def test_a_message_that_was_deleted_on_the_target(case):
    pair = Pair(case)
    with pair.target() as client:
        uid = uid_of(client, b"INBOX", 7)
        remove(client, b"INBOX", uid)
    program = pair.run().exits(1)
    assert "different: 27 of 28 messages equal in 3 folders; 1 missing\n" in program.out
    assert re.search(r"^    missing       UID 7, 08-Feb-2020 03:04:05 \+0000, 1\d\d B, <m7@example\.org>\n"
                     r" {18}it was brought as UID %d, and is gone from there$" % uid, program.out, re.M), program.out
    [(folder, item)] = differences(pair.look(code=1))
    assert uid != 7 and (folder, item["kind"], item["source_uid"], item["target_uid"]) == ("INBOX", "missing", 7, None)


def test_a_message_of_the_users_own(case):
    pair = Pair(case)
    with pair.target() as client:
        fill.append(client, ("INBOX",), [message(90)])
    program = pair.run().exits(0)
    assert "equal: 28 of 28 messages equal in 3 folders; 1 extra on the target\n" in program.out
    [(folder, item)] = differences(pair.look(code=0))
    assert (folder, item["kind"], item["message_id"], item["ours"]) == ("INBOX", "extra", "<m90@example.org>", False)


def test_a_message_that_the_source_has_lost_is_extra_and_ours(case):
    pair = Pair(case)
    with pair.source() as client:
        remove(client, b"INBOX", 9)
    [(_, item)] = differences(pair.look(code=0))
    assert (item["kind"], item["message_id"], item["ours"]) == ("extra", "<m9@example.org>", True)


def test_multiplicity(case):
    """Three here and two there, one here and two there: a set would not see it."""
    twins = [message(1), message(1), message(1), message(2), message(3)]
    for m in twins:
        m.date, m.flags = twins[0].date, ()
    pair = Pair(case, [Folder(("INBOX",), twins)])
    with pair.target() as client:
        remove(client, b"INBOX", 2)
        fill.append(client, ("INBOX",), [twins[3]])
    found = pair.look(code=1)
    assert found["equal"] == 4 and found["missing"] == 1 and found["twice"] == 1
    missing, twice = (d for _, d in differences(found))
    assert missing["message_id"] == "<m1@example.org>" and (twice["kind"], twice["message_id"], twice["ours"]) == (
        "twice", "<m2@example.org>", False)


def test_flags_that_were_changed(case):
    pair = Pair(case)
    with pair.target() as client:
        uid = uid_of(client, b"INBOX", 8)
        store(client, b"INBOX", uid, b"FLAGS (\\Flagged Work)")
    program = pair.run().exits(1)
    assert "27 of 28 messages equal in 3 folders; 1 flags differ" in program.out
    assert r"flags () / (\Flagged Work)" in program.out
    [(_, item)] = differences(pair.look(code=1))
    assert (item["kind"], item["source_uid"], item["target_uid"], item["differs"]) == ("flags differ", 8, uid, ["flags"])
    assert (item["source_flags"], item["target_flags"]) == ("", "\\Flagged Work")
    assert pair.look("--ignore-flags", code=0)["equal"] == 28


def test_a_byte_that_was_changed_is_found_by_deep_alone(case):
    pair = Pair(case)
    pair.spoil(b"<m11@", b"Nothing of interest", b"Nothing of Interest")
    pair.run().exits(0)
    [(folder, item)] = differences(pair.look("--deep", code=1))
    assert (folder, item["kind"], item["message_id"], item["differs"]) == ("INBOX", "altered", "<m11@example.org>", ["bytes"])
    assert item["source_size"] == item["target_size"] == len(message(11).body)
    assert item["source_uid"] == 11 and item["target_uid"] not in (None, 11)
    assert "its bytes differ, " in pair.run("--deep").exits(1).out


def test_a_byte_that_was_changed_in_a_message_without_a_name(case):
    pair = Pair(case, [Folder(("INBOX",), [message(n, name=False) for n in range(1, 6)])])
    pair.run("--deep").exits(0)
    pair.spoil(b"number 3", b"interest", b"Interest")
    case.forget()
    [(_, item)] = differences(pair.look("--deep", code=1))
    assert (item["kind"], item["differs"], item["message_id"], item["source_uid"]) == ("altered", ["bytes"], None, 3)


def replace(client, old, new):
    """What a bad tool would have done."""
    uid = uid_of(client, b"INBOX", old)
    fill.append(client, ("INBOX",), [new])
    remove(client, b"INBOX", uid)


def test_what_was_altered(case):
    """The date of one, the size of another, both of a third; a fourth has another Message-ID."""
    pair = Pair(case)
    with pair.target() as client:
        replace(client, 5, Message(message(5).body, message(5).flags, internaldate(1000000000)))
        replace(client, 6, Message(message(6, b"X-Seen-By: scanner\r\n").body, message(6).flags, message(6).date))
        replace(client, 7, Message(message(7, b"X-Seen-By: scanner\r\n").body, (), internaldate(1000000000)))
        replace(client, 8, Message(message(8).body.replace(b"<m8@", b"<M8!@"), message(8).flags, message(8).date))
    for arguments, sizes in (((), ["size"]), (("--deep",), ["size", "bytes"])):
        found = pair.look(*arguments, code=1)
        by_name = {d["message_id"]: d for _, d in differences(found) if d["kind"] == "altered"}
        assert set(by_name) == {"<m5@example.org>", "<m6@example.org>", "<m7@example.org>"}, by_name
        assert by_name["<m5@example.org>"]["differs"] == ["internaldate"]
        assert by_name["<m5@example.org>"]["target_internaldate"] == "09-Sep-2001 01:46:40 +0000"
        assert by_name["<m6@example.org>"]["differs"] == sizes
        assert by_name["<m7@example.org>"]["differs"] == ["flags", "internaldate"] + sizes
        assert by_name["<m6@example.org>"]["target_size"] == by_name["<m6@example.org>"]["source_size"] + 20
        rest = [(d["kind"], d["message_id"]) for _, d in differences(found) if d["kind"] != "altered"]
        assert rest == [("missing", "<m8@example.org>"), ("extra", "<M8!@example.org>")]
        assert found["equal"] == 24


def test_a_header_that_was_altered_in_place_is_known_by_the_ledger(case):
    pair = Pair(case)
    pair.spoil(b"<m12@", b"<m12@", b"<mXY@")
    for cache in pathlib.Path(pair.new.mail_path(pair.there)).rglob("dovecot.index.cache"):
        cache.unlink()
    [(_, item)] = differences(pair.look(code=1))
    assert (item["kind"], item["differs"], item["source_uid"]) == ("altered", ["header"], 12)


def test_folders_that_are_missing_and_others(case):
    pair = Pair(case)
    with pair.target() as client:
        client.command(b'DELETE "Old/Deep"')
        client.command(b'DELETE "Empty"')
        client.command(b'CREATE "Own"')
        fill.append(client, ("Own",), [message(1), message(2)])
    program = pair.run().exits(1)
    assert "18 of 28 messages equal in 3 folders; 2 folders missing, 10 missing; 1 folder only there" in program.out
    assert "  Empty: the target does not have this folder\n" in program.out
    assert "  Own: only on the target, 2 messages\n" in program.out
    found = pair.look(code=1)
    missing = [d for f, d in differences(found) if f == "Old/Deep"]
    assert sorted(d["message_id"] for d in missing) == ["<m%d@example.org>" % n for n in range(30, 40)]
    assert {d["kind"] for d in missing} == {"missing"} and len(differences(found)) == 10
    own = next(f for f in found["folders"] if f["target_folder"] == "Own")
    assert own["folder"] is None and own["ours"] is False and own["counts"]["target_messages"] == 2
    assert [f["on_target"] for f in found["folders"] if f["folder"] in ("Empty", "INBOX", "Old/Deep")] == [False, True, False]


def test_a_folder_that_the_source_has_lost(case):
    pair = Pair(case)
    with pair.source() as client:
        client.command(b'DELETE "Old/Deep"')
    found = pair.look(code=0)
    gone = next(f for f in found["folders"] if f["target_folder"] == "Old/Deep")
    assert gone["folder"] is None and gone["ours"] is True and found["folders_extra"] == 1


def test_what_is_newer_than_the_last_pass(case):
    pair = Pair(case)
    with pair.source() as client:
        fill.append(client, ("INBOX",), [message(50)])
    [(_, item)] = differences(pair.look(code=1))
    assert (item["kind"], item["message_id"], item["reason"]) == ("missing", "<m50@example.org>", "it is newer than the last pass")


def test_folders_have_other_names_on_the_wire(case):
    old, new = shared.old_plain(), shared.dovecot("verify-dots", tls="none", separator=".", prefix="INBOX.")
    user, there = shared.user(old), shared.user(new)
    fill.fill(old, user, shared.password(user), [*some(),
                                                 Folder(("Entwürfe", "Größe & Co"), [message(1)])])
    case.pair(site(old), site(new), [login(user, target=there)])
    case.run("once").exits(0)
    case.run("verify", "-c", str(case.config)).exits(0)
    with Client.to(new, there, shared.password(there)) as client:
        names = [a[4] for a in client.command(b'LIST "" "*"') if a[1] == b"LIST"]
        [wire] = [n for n in names if b"&-" in n]
        client.command(b"SELECT " + quote(wire))
        client.command(b"STORE 1 +FLAGS (\\Deleted)")
        client.command(b"EXPUNGE")
    out = case.run("verify", "-c", str(case.config)).exits(1).out
    assert "  Entwürfe/Größe & Co\n" in out, out


def test_thousands_of_messages(case):
    """More than one FETCH, more than one round of names, in folders with gaps."""
    pair = Pair(case, [Folder(("INBOX",), [message(n, body=b"x\r\n") for n in range(1, 2801)], removed=frozenset(range(0, 500)))])
    assert pair.look(code=0)["equal"] == 2300
    with pair.target() as client:
        client.command(b"SELECT INBOX")
        client.command(b"STORE 1001:1250 +FLAGS.SILENT (\\Deleted)")
        client.command(b"EXPUNGE")
        client.command(b"STORE 1001:1130 +FLAGS.SILENT (Changed)")
    for arguments in ((), ("--deep",)):
        found = pair.look(*arguments, code=1)
        assert (found["missing"], found["flags_differ"], found["equal"]) == (250, 130, 2300 - 380)
        missing = [d for _, d in differences(found) if d["kind"] == "missing"]
        assert [d["source_uid"] for d in missing] == list(range(1501, 1751))
        assert [d["message_id"] for d in missing] == ["<m%d@example.org>" % n for n in range(1501, 1751)]
        assert {d["reason"].split(" as UID ")[0] for d in missing} == {"it was brought"}


def test_many_mailboxes_at_once(case):
    old, new = shared.old_plain(), shared.new_plain()
    users = [shared.user(old, new) for _ in range(12)]
    for number, user in enumerate(users):
        fill.fill(old, user, shared.password(user), corpus.small(10 + number, seed=number))
    case.configure({"old": site(old, max_connections=4), "new": site(new, max_connections=4)},
                   {"m": ("old", "new", [login(user) for user in users]), "n": ("old", "new", [login(shared.user(old, new))])})
    case.run("once").exits(0)
    with Client.to(new, users[3], shared.password(users[3])) as client:
        remove(client, b"INBOX", 4)
    program = case.run("verify", "-c", str(case.config)).exits(1)
    lines = [x for x in program.out.splitlines() if x.startswith(("m/", "n/"))]
    assert len(lines) == 13 and sum(": equal: " in x for x in lines) == 12
    assert "m/%s: different: 12 of 13" % users[3] in program.out
    assert program.out.endswith("13 mailboxes: 12 equal, 1 different, 0 not verified\n")
    case.run("verify", "-c", str(case.config), "n/*").exits(0)
    two = case.run("verify", "-c", str(case.config), "m/" + users[3], "m/" + users[5]).exits(1)
    assert sorted(x.split(":")[0] for x in two.out.splitlines() if x.startswith("m/")) == sorted("m/" + u for u in (users[3], users[5]))
    assert 'no mailbox "m/nobody"' in case.run("verify", "-c", str(case.config), "m/nobody").exits(64).err


def test_logins_that_are_refused(case):
    old, new = shared.old_plain(), shared.new_plain()
    good, bad = shared.user(old, new), shared.user(new)
    case.pair(old, new, [login(good), login(bad)], max_login_retries=1)
    program = case.run("verify", "-c", str(case.config)).exits(77)
    assert "m/%s: equal: 0 of 0" % good in program.out
    assert re.search(r"^m/%s: not verified: source: .*AUTHENTICATIONFAILED" % bad, program.out, re.M), program.out
    found = json.loads(case.run("verify", "-c", str(case.config), "--json").exits(77).out)["mailboxes"]
    assert {m["mailbox"]: m["verdict"] for m in found} == {"m/" + good: "equal", "m/" + bad: "not verified"}
    case.configure({"old": site(old), "new": site(new)}, {"m": ("old", "new", [login(good), login(bad)])}, login_retry_interval="1h")
    assert case.run("verify", "-c", str(case.config), "--no-wait").exits(75).out.count("not verified") == 2  # and in the last line


def test_the_source_and_the_target_are_as_before(case):
    pair = Pair(case)
    before = shared.read(pair.old, pair.user), shared.read(pair.new, pair.there)
    with pair.target() as client:
        client.command(b"SELECT INBOX")
        client.command(b"STORE 1:* -FLAGS (\\Seen)")
    seen = shared.read(pair.new, pair.there)
    tap = case.tap(pair.new.imap_port)
    tap.keep = True
    case.pair(site(pair.old), site(pair.new, port=tap.port), [login(pair.user, target=pair.there)])
    pair.run("--deep").exits(1)
    assert shared.read(pair.old, pair.user) == before[0] and shared.read(pair.new, pair.there) == seen
    words = set(re.findall(rb"(?m)^g\d+ ([A-Z]+(?: FETCH)?)", bytes(tap.sent)))
    assert words and words <= {b"CAPABILITY", b"NAMESPACE", b"LIST", b"LSUB", b"STATUS", b"EXAMINE", b"UID FETCH", b"NOOP", b"LOGOUT"}, words
    assert b"BODY[" not in bytes(tap.sent).replace(b"BODY.PEEK[", b"")


def test_words_that_cannot_be_written_are_no_success(case):
    Pair(case, [Folder(("INBOX",), [message(1)])])
    with open("/dev/full", "wb") as out:
        child = subprocess.run([GODWIT, "verify", "-c", str(case.config)], stdout=out, stderr=subprocess.PIPE, timeout=60, check=False)
    assert child.returncode == 1 and b"standard output" in child.stderr
