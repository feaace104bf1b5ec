"""godwit verify against servers that lie, refuse, and go away."""
import json
import re

from func import fakes
from func.case import login, site
from lab.fakebox import Session
from lab.fakeimapd import mailbox


def verify(case, *arguments, **options):
    return case.run("verify", "-c", str(case.config), *arguments, **options)


def look(case, *arguments, code):
    [found] = json.loads(verify(case, "--json", *arguments).exits(code).out)["mailboxes"]
    return found


def items(found):
    return [d for f in found["folders"] for d in f["differences"]]


def copied(case, source, target, code=0, **settings):
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")], **settings)
    case.run("once").exits(code)


def test_a_source_that_lies_about_sizes(case):
    """RFC822.SIZE tells nothing then: the bytes do."""
    source, target = fakes.box(10), fakes.box()
    for m in source.folder("INBOX").messages[3:6]:
        m.announced_size = m.size + 7
    copied(case, source, target)
    found = look(case, code=1)
    assert (found["equal"], found["altered"]) == (7, 3)
    assert {tuple(d["differs"]) for d in items(found)} == {("size",)}
    assert "announced size 3,007 / 3,000 bytes, --deep tells more" in verify(case).exits(1).out
    # Nothing was altered: what came is the same.
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(deep_copy(source))), [login("ann")])
    assert look(case, "--deep", code=0)["equal"] == 10


def deep_copy(source):
    """A Box with the same messages under other UIDs; bodies that were appended are not kept by a Box."""
    made = fakes.box()
    made.folder("INBOX").uidnext = 50
    for m in source.folder("INBOX").messages:
        made.folder("INBOX").add(body=b"".join(m.chunks()), flags=m.flags, date=m.date)
    return made


def test_subscriptions(case):
    source = fakes.box(2)
    source.folder("INBOX").subscribed = True
    source.folder("Box").add(size=300)
    source.folder("Box").subscribed = True
    target = fakes.box()
    copied(case, source, target)
    assert target.folder("Box").subscribed and look(case, code=0)["unsubscribed"] == 0
    target.folder("Box").subscribed = False
    target.folder("INBOX").subscribed = True
    found = look(case, code=1)
    assert (found["equal"], found["unsubscribed"]) == (3, 1)
    [item] = items(found)
    assert item["kind"] == "unsubscribed" and item["source_uid"] is None
    assert re.search(r"Box\n    unsubscribed .*\n? *subscribed on the source, and not on the target", verify(case).exits(1).out)


def test_keywords_are_the_same_in_any_case(case):
    source = fakes.box(2)
    source.folder("INBOX").messages[0].flags = ["$Work", "later", "\\Seen"]
    target = deep_copy(source)
    target.folder("INBOX").messages[0].flags = ["\\Seen", "\\Recent", "Later", "$WORK"]
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    assert look(case, code=0)["equal"] == 2
    target.folder("INBOX").messages[0].flags.append("$Workers")
    assert look(case, code=1)["flags_differ"] == 1


def test_what_was_left_out_is_known(case):
    source = fakes.box(10)
    bad = source.folder("INBOX").messages[5]
    bad.body = b"Message-ID: <bad@example.org>\r\n\r\nNobody wants me.\r\n"
    bad.size = bad.announced_size = len(bad.body)
    target = fakes.box(append_answer=lambda _n, m: b"NO [CANNOT] not this one" if b"Nobody" in (m.body or b"") else None)
    copied(case, source, target, code=1)
    found = look(case, code=1)
    [item] = items(found)
    assert (found["equal"], found["left_out"], found["missing"]) == (9, 1, 0)
    assert (item["kind"], item["source_uid"], item["message_id"]) == ("left out", 6, "<bad@example.org>")
    assert item["reason"] == "NO [CANNOT] not this one"
    assert "9 of 10 messages equal in 1 folder; 1 left out" in verify(case).exits(1).out


def refusing(uids, items="BODY.PEEK[]"):
    """A hook that refuses a FETCH in which one of these UIDs is asked for."""
    def hook(_name, _number, line):
        found = re.search(r"UID FETCH (\S+) \((.*)\)", line)
        if not found or items not in found[2]:
            return None
        for part in found[1].split(","):
            low, _, high = part.partition(":")
            if any(int(low) <= uid <= int(high or low) for uid in uids):
                return "answer", b"NO [EXPIRED] a sector is bad"
        return None
    return hook


def test_a_message_that_cannot_be_read(case):
    """It is told, and does not hide the others."""
    source = fakes.box(40)
    target = deep_copy(source)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    assert look(case, "--deep", code=0)["equal"] == 40
    source.hook = refusing({7, 23})
    found = look(case, "--deep", code=1)
    assert (found["equal"], found["unreadable"], found["extra"]) == (38, 2, 2)
    bad = [d for d in items(found) if d["kind"] == "unreadable"]
    assert sorted(d["source_uid"] for d in bad) == [7, 23] and {d["side"] for d in bad} == {"source"}
    assert {d["reason"] for d in bad} == {"NO [EXPIRED] a sector is bad"}
    assert "unreadable    source, UID 7" in verify(case, "--deep").exits(1).out
    # The other items of it can be had.
    assert look(case, code=0)["equal"] == 40


def test_a_folder_of_which_nothing_can_be_read(case):
    source = fakes.box(2000, size=400)
    source.hook = refusing(set(range(1, 2001)), "")
    server = case.serve(mailbox(source))
    case.pair(server, case.serve(mailbox(deep_copy(source))), [login("ann")])
    found = look(case, code=1)
    assert found["unreadable"] >= 1 and found["equal"] == 0 and found["missing"] == 0
    assert len([c for c in server.commands() if "UID FETCH" in c]) < 600, "it gives up"


def test_a_folder_that_cannot_be_opened(case):
    source = fakes.box(3)
    source.folder("Other").add()
    target = deep_copy(source)
    target.folder("Other").add()
    target.hook = lambda name, _n, line: ("answer", b"NO [NOPERM] not yours") if name == "EXAMINE" and "Other" in line else None
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    found = look(case, code=1)
    [item] = items(found)
    assert (item["kind"], item["side"], item["reason"]) == ("unreadable", "target", "NO [NOPERM] not yours")
    assert found["equal"] == 3 and found["missing"] == 0, "what cannot be looked at is not called missing"


def test_a_server_that_lists_less_than_it_has(case):
    source = fakes.box(5)
    target = deep_copy(source)

    class Hiding(Session):
        async def fetch_one(self, number, message, names):
            if message.uid != 52:
                await super().fetch_one(number, message, names)

    async def behave(connection):
        await Hiding(connection, target).run()
    case.pair(case.serve(mailbox(source)), case.serve(behave), [login("ann")])
    found = look(case, code=1)
    assert (found["equal"], found["unreadable"], found["missing"]) == (4, 1, 1)
    assert "the target says that it has 5 messages, and lists 4" in [d["reason"] for d in items(found)]


def test_a_connection_that_breaks_is_made_again(case):
    source = fakes.box(10)
    target = deep_copy(source)
    source.folder("Other").add()
    target.folder("Other").add()
    seen = []

    def once(name, _number, line):
        if name == "EXAMINE" and "Other" in line and not seen:
            seen.append(line)
            return ("cut",)
        return None
    source.hook = once
    target.folder("INBOX").messages.pop()
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")], login_retry_interval="10ms")
    program = verify(case).exits(1)
    assert seen and program.lines("the connection was lost before all was compared, after 1 attempt")
    assert program.out.count("missing") == 2, "once in the summary, once in the list: " + program.out


def test_a_server_that_says_goodbye_for_good(case):
    source, target = fakes.box(10), fakes.box()
    target.hook = lambda name, _n, _l: ("cut",) if name == "EXAMINE" else None
    target.folder("INBOX").add()
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")], max_login_retries=2, login_retry_interval="10ms")
    program = verify(case).exits(1)
    assert re.match(r"m/ann: not verified: target: ", program.out), program.out


def test_two_folders_with_one_name(case):
    """Of two names that mean the same path only the first is copied: the messages of the other are missing."""
    source = fakes.box(0, separator=".", prefix="INBOX.")
    source.folder("INBOX.Sent").add(size=500)
    source.folder("Sent").add(size=700)
    copied(case, source, fakes.box(separator="."), code=1)
    found = look(case, code=1)
    assert found["equal"] == 1 and found["missing"] + found["left_out"] == 1, found


def test_without_UIDPLUS_nobody_knows_whose_it_is(case):
    source, target = fakes.box(4), fakes.box(without=("UIDPLUS",))
    copied(case, source, target)
    source.folder("INBOX").messages.pop()
    [item] = items(look(case, code=0))
    assert (item["kind"], item["ours"]) == ("extra", None)


def test_a_new_UIDVALIDITY_makes_the_ledger_void(case):
    source, target = fakes.box(4), fakes.box()
    copied(case, source, target)
    target.folder("INBOX").messages.pop()
    assert items(look(case, code=1))[0]["reason"].startswith("it was brought as UID 4")
    source.folder("INBOX").uidvalidity += 1
    assert items(look(case, code=1))[0]["reason"] is None


def test_on_a_terminal(case):
    """What does not fit into 80 columns goes on in the next line; how far it is, is drawn and taken away."""
    source = fakes.box(3)
    for m in source.folder("INBOX").messages:
        m.body = b"Message-ID: <a.name.as.long.as.they.are.today.%d@example.org>\r\n\r\nx\r\n" % m.uid
        m.size = m.announced_size = len(m.body)
    target = fakes.box(hook=lambda name, _n, _l: ("delay", 0.5) if name == "EXAMINE" else None)
    target.folder("INBOX").add(size=200)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    code, shown = case.on_terminal("verify", "-c", str(case.config))
    lines = [x.rpartition("\r")[2].replace("\x1b[K", "") for x in shown.split("\n")]
    assert code == 1 and "0 of 1 mailbox compared; under way: " in shown, shown
    assert lines[0].startswith("m/ann: different: 0 of 3 messages equal in 1 folder; 3 missing; 1 extra"), lines
    assert " " * 18 + "<a.name.as.long.as.they.are.today.2@example.org>" in lines, lines
    assert not [x for x in lines[1:] if len(x) > 80], lines


def test_verify_is_told_by_help(case):
    text = case.run("help", "verify").exits(0).out
    assert "--deep" in text and "--ignore-flags" in text and "verify" in case.run("help").out
    case.configure({"old": site(case.serve(mailbox(fakes.box())))}, {})
    assert case.run("verify", "-c", str(case.config)).exits(78).out == ""
