"""godwit status and godwit report: what the lists and the ledger say, for people and for programs."""
import csv
import io
import json
import os
import re
import sqlite3

from func import fakes
from func.case import login, site
from lab.fakeimapd import mailbox, refuse_login

BAD = b"Subject: bad\r\nMessage-ID: <bad@example.org>\r\n\r\nNobody wants me, \"not, even\" her.\r\n"


def setting(case, **settings):
    """ann is copied, but for one message; bob cannot log in; carl's target is full; dora has nothing. A second migration has none."""
    source, full = fakes.box(10), fakes.box(2)
    source.folder("INBOX").messages[5].body = BAD
    source.folder("INBOX").messages[5].size = source.folder("INBOX").messages[5].announced_size = len(BAD)
    source.folder("Old").add(size=500)
    target = fakes.box(append_answer=lambda _n, m: b"NO [CANNOT] it has a \"quote\", and a comma" if m.body == BAD else None)
    quota = fakes.box(append_answer=lambda _n, _m: b"NO [OVERQUOTA] Quota exceeded")
    old = case.serve(fakes.by_user({"ann": source, "carl": full, "dora": fakes.box()}))
    new = case.serve(fakes.by_user({"ann": target, "carl": quota, "dora": fakes.box()}))
    bad = case.serve(refuse_login("[AUTHENTICATIONFAILED] The account sleeps."))
    case.configure({"old": site(old), "new": site(new), "bad": site(bad)},
                   {"m": ("old", "new", [login("ann"), login("carl"), login("dora")]), "n": ("bad", "new", [login("bob")])},
                   **{"max_login_retries": 1, **settings})


def status(case, *arguments, **options):
    return case.run("status", "-c", str(case.config), *arguments, **options)


def report(case, *arguments, **options):
    return case.run("report", "-c", str(case.config), *arguments, **options)


def table(text):
    """Rows of the summary: name -> counts."""
    lines = text.splitlines()
    assert lines[0].split() == ["MIGRATION", "MAILBOXES", "QUEUED", "RUNNING", "PARKED", "HELD", "FAILED", "SYNCED", "DONE"]
    rows = {}
    for line in lines[1:lines.index("")]:
        name, *counts = line.split()
        rows[name] = [int(c.replace("-", "0")) for c in counts]
    return rows


def test_before_the_first_pass(case):
    setting(case)
    program = status(case).exits(0)
    assert table(program.out) == {"m": [3, 3, 0, 0, 0, 0, 0, 0], "n": [1, 1, 0, 0, 0, 0, 0, 0], "together": [4, 4, 0, 0, 0, 0, 0, 0]}
    assert "there is no ledger yet" in program.out and "MAILBOX " not in program.out
    assert not case.state.exists()
    program = report(case).exits(75)
    assert program.out.startswith("4 mailboxes: 4 under way\n")
    found = json.loads(status(case, "--json").out)
    assert [m["state"] for m in found["mailboxes"]] == ["queued"] * 4 and found["pid"] is None
    assert {m["last_synced"] for m in found["mailboxes"]} == {None}


def test_status_after_a_pass(case):
    setting(case)
    case.run("once").exits(1)
    program = status(case).exits(0)
    assert table(program.out) == {"m": [3, 0, 0, 0, 1, 0, 2, 0], "n": [1, 0, 0, 0, 0, 1, 0, 0], "together": [4, 0, 0, 0, 1, 1, 2, 0]}
    assert "10 messages copied" in program.out and "1 left out" in program.out and "godwit is not running" in program.out
    shown = {line.split()[0]: line for line in program.out.splitlines() if "/" in line.split(" ")[0]}
    assert set(shown) == {"m/carl", "n/bob"}, "only what needs a person"
    assert re.search(r"held +\d+s +target: NO \[OVERQUOTA\] Quota exceeded$", shown["m/carl"]), shown
    assert re.search(r"failed +\d+s +source: .*The account sleeps\.", shown["n/bob"]), shown
    assert "2 more, in need of nobody" in program.out and "\x1b" not in program.out


def names(program):
    return [line.split()[0] for line in program.out.splitlines() if re.match(r"[mn]/", line)]


def test_status_shows_what_is_asked_for(case):
    setting(case)
    case.run("once").exits(1)
    assert names(status(case, "--all")) == ["m/ann", "m/carl", "m/dora", "n/bob"]
    assert names(status(case, "--state", "synced")) == ["m/ann", "m/dora"]
    assert names(status(case, "--state", "synced,failed")) == ["m/ann", "m/dora", "n/bob"]
    assert names(status(case, "--all", "--migration", "n")) == ["n/bob"]
    assert names(status(case, "m/d*", "n/bob")) == ["m/dora", "n/bob"]
    assert names(status(case, "--state", "held", "m/*")) == ["m/carl"]
    for wrong, words in ((("m/nobody",), 'no mailbox "m/nobody"'), (("--state", "asleep"), 'no state "asleep"'),
                         (("--migration", "x"), 'no migration "x"')):
        program = status(case, *wrong).exits(64)
        assert words in program.err and program.out == "", program.err
    assert "no format" in report(case, "--format", "pdf").exits(64).err


def test_status_as_JSON(case):
    setting(case)
    case.run("once").exits(1)
    found = json.loads(status(case, "--json").exits(0).out)
    by_name = {m["mailbox"]: m for m in found["mailboxes"]}
    assert list(by_name) == ["m/ann", "m/carl", "m/dora", "n/bob"]
    assert (by_name["m/ann"]["state"], by_name["m/ann"]["copied"], by_name["m/ann"]["left_out"]) == ("synced", 10, 1)
    assert by_name["m/carl"]["state"] == "held" and "OVERQUOTA" in by_name["m/carl"]["reason"]
    assert by_name["n/bob"]["attempts"] == 1 and by_name["n/bob"]["last_synced"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", by_name["m/dora"]["last_synced"])
    assert [(m["migration"], m["mailboxes"], m["states"]["synced"]) for m in found["migrations"]] == [("m", 3, 2), ("n", 1, 0)]
    assert [m["mailbox"] for m in json.loads(status(case, "--json", "--state", "held").out)["mailboxes"]] == ["m/carl"]


def test_a_parked_mailbox_has_its_time(case):
    setting(case, max_login_retries=5, login_retry_interval="1h")
    case.run("once", "--no-wait").exits(1)
    [line] = [x for x in status(case, "n/bob").out.splitlines() if x.startswith("n/bob")]
    assert re.match(r"n/bob +parked +\d+s +(59|60)m +source: ", line), line
    [row] = json.loads(status(case, "--json", "n/bob").out)["mailboxes"]
    assert row["state"] == "parked" and row["next_attempt"] > row["since"]
    out = status(case).out
    assert "3 more, 1 of them parked because an attempt failed" in out and "in need of nobody" not in out, out


def test_formulas_in_CSV_stay_texts(case):
    source = fakes.box(1)
    source.folder("=HYPERLINK(1)").add(size=500)
    source.folder("+a").add(size=500)
    target = fakes.box(hook=lambda name, _n, line: ("answer", b"NO [CANNOT] -not this one") if name == "CREATE" else None)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    case.run("once").exits(1)
    rows = list(csv.DictReader(report(case, "--format", "csv").exits(1).out.splitlines()))
    assert {row["folder"] for row in rows} >= {"'=HYPERLINK(1)", "'+a", "INBOX"}, rows
    assert not any((value or "")[:1] in "=+-@" for row in rows for value in row.values() if value), rows


def test_beside_a_daemon(case):
    setting(case)
    daemon = case.start("daemon")
    daemon.wait_for("failed to log in")
    daemon.wait_for("synced: ", count=2)
    found = json.loads(status(case, "--json").exits(0).out)
    assert found["pid"] == daemon.pid
    assert "godwit is at work (pid %d)" % daemon.pid in status(case).out
    report(case).exits(1)
    daemon.terminate().exits(0)
    assert "godwit is not running" in status(case).out


def test_what_was_running_when_godwit_was_killed(case):
    setting(case)
    case.run("once").exits(1)
    connection = sqlite3.connect(case.state / "ledger.sqlite")
    connection.execute("UPDATE mailboxes SET state = 'running' WHERE name = 'm/dora'")
    connection.commit()
    connection.close()
    [row] = json.loads(status(case, "--json", "m/dora").out)["mailboxes"]
    assert row["state"] == "queued" and "ended" in row["reason"], row
    assert "m/dora: under way (queued)" in report(case, "m/dora").exits(75).out


def test_a_mailbox_that_is_in_no_list_any_more(case):
    setting(case)
    case.run("once").exits(1)
    case.write_list("m.csv", [login("carl"), login("dora"), login("eve")])
    found = {m["mailbox"]: m for m in json.loads(status(case, "--json").out)["mailboxes"]}
    assert list(found) == ["m/carl", "m/dora", "m/eve", "n/bob", "m/ann"]
    assert found["m/ann"]["listed"] is False and found["m/eve"]["listed"] is True and found["m/eve"]["state"] == "queued"
    assert "in no mailbox list any more" in report(case, "m/ann").exits(1).out


def test_the_report_for_people(case):
    setting(case)
    case.run("once").exits(1)
    program = report(case).exits(1)
    assert program.out.startswith("4 mailboxes: 1 complete; 1 incomplete; 1 waits for a person; 1 failed\n"), program.out
    parts = {part.split(":")[0]: part.splitlines() for part in program.out.split("\n\n")[1:]}
    assert set(parts) == {"m/ann", "m/carl", "m/dora", "n/bob"}
    ann = parts["m/ann"]
    assert ann[0] == "m/ann: incomplete" and ann[1].lstrip().startswith("10 messages copied (")
    assert ["INBOX", "9", "-", "1", "-", "-"] in [x.split() for x in ann] and ["Old", "1", "-", "-", "-", "-"] in [x.split() for x in ann]
    at = next(i for i, x in enumerate(ann) if "left out" in x and "INBOX, UID 6" in x)
    assert 'NO [CANNOT] it has a "quote", and a comma' in ann[at + 1]
    assert parts["m/dora"][0] == "m/dora: complete"
    assert parts["m/carl"][0].startswith("m/carl: waits for a person: target: NO [OVERQUOTA]")
    assert parts["n/bob"][0].startswith("n/bob: failed: source: ") and "never" in parts["n/bob"][2]
    assert all(len(x) <= 80 for x in ann[1:5]), ann
    report(case, "m/dora").exits(0)
    report(case, "--migration", "n").exits(1)


def test_the_report_as_CSV(case):
    setting(case)
    case.run("once").exits(1)
    rows = list(csv.DictReader(io.StringIO(report(case, "--format", "csv").exits(1).out, newline="")))
    assert not [r for r in rows if None in r or None in r.values()], "the same columns everywhere"
    assert [(r["row"], r["mailbox"], r["verdict"]) for r in rows if r["row"] == "mailbox"] == [
        ("mailbox", "m/ann", "incomplete"), ("mailbox", "m/carl", "waits for a person"), ("mailbox", "m/dora", "complete"),
        ("mailbox", "n/bob", "failed")]
    [inbox] = [r for r in rows if r["row"] == "folder" and (r["mailbox"], r["folder"]) == ("m/ann", "INBOX")]
    assert (inbox["copied"], inbox["left_out"], inbox["target_folder"]) == ("9", "1", "INBOX")
    [item] = [r for r in rows if r["row"] == "left out"]
    assert (item["mailbox"], item["folder"], item["uid"]) == ("m/ann", "INBOX", "6")
    assert 'it has a "quote", and a comma' in item["reason"]


def test_the_report_as_JSON(case):
    setting(case)
    case.run("once").exits(1)
    found = json.loads(report(case, "--format", "json").exits(1).out)
    ann, carl, dora, bob = found["mailboxes"]
    assert [m["verdict"] for m in (ann, carl, dora, bob)] == ["incomplete", "waits for a person", "complete", "failed"]
    assert {f["folder"]: f["copied"] for f in ann["folders"]} == {"INBOX": 9, "Old": 1}
    [item] = ann["items"]
    assert (item["kind"], item["folder"], item["uid"]) == ("left out", "INBOX", 6) and "[CANNOT]" in item["reason"]
    assert (item["message_id"], item["internaldate"], item["size"]) == ("<bad@example.org>", "01-Feb-2020 03:04:05 +0000", len(BAD))
    assert dora["items"] == [] and bob["folders"] == []


def test_what_was_altered_and_repaired(case):
    setting(case)
    case.run("once").exits(1)
    connection = sqlite3.connect(case.state / "ledger.sqlite")
    connection.execute("INSERT INTO skips (mailbox, folder_path, uid, kind, message_id, internaldate, size, reason)"
                       " SELECT id, 'INBOX', 3, 'altered', '<three@x>', '17-Jul-1996 02:44:25 -0700', 12345, ? FROM mailboxes"
                       " WHERE name = 'm/dora'", (b"the keyword \xff\x1b[2J cannot be kept".decode("latin-1"),))
    connection.execute("INSERT INTO skips (mailbox, folder_path, uid, kind, message_id, reason)"
                       " SELECT id, 'INBOX', 3, 'repaired', '', CAST(x'6120ff' AS TEXT) FROM mailboxes WHERE name = 'm/dora'")
    connection.commit()
    connection.close()
    program = report(case, "m/dora").exits(0)
    assert "m/dora: complete, with changes" in program.out and "\x1b" not in program.out
    assert "altered   INBOX, UID 3, 17-Jul-1996 02:44:25 -0700, 12.3 kB, <three@x>" in program.out
    [dora] = json.loads(report(case, "--format", "json", "m/dora").out)["mailboxes"]
    assert dora["verdict"] == "complete, with changes"
    assert [(i["kind"], i["size"], i["internaldate"]) for i in dora["items"]] == [
        ("altered", 12345, "17-Jul-1996 02:44:25 -0700"), ("repaired", None, None)]
    assert dora["items"][1]["reason"] == "a \ufffd"


def unwanted(source, *uids):
    for m in source.folder("INBOX").messages:
        if m.uid in uids:
            m.body = b"Message-ID: <bad%d@example.org>\r\n\r\nNobody wants me.\r\n" % m.uid
            m.size = m.announced_size = len(m.body)


def refuse_unwanted(_number, message):
    return b"NO [CANNOT] no" if b"Nobody wants me" in (message.body or b"") else None


def test_many_that_are_left_out_have_their_names(case):
    source = fakes.box(600, size=300)
    bad = set(range(3, 600, 2))
    unwanted(source, *bad)
    other = source.folder("Other")
    other.add(body=b"Message-ID:\r\n  <folded@example.org>\r\n\r\nNobody wants me.\r\n", date="03-Mar-2021 01:02:03 -0500")
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(fakes.box(append_answer=refuse_unwanted))), [login("ann")])
    case.run("once").exits(1)
    rows = case.ledger("SELECT folder_path, uid, message_id, internaldate FROM skips")
    assert {(u, i) for f, u, i, _ in rows if f == "INBOX"} == {(u, "<bad%d@example.org>" % u) for u in bad}
    assert [r for r in rows if r[0] == "Other"] == [("Other", 1, "<folded@example.org>", "03-Mar-2021 01:02:03 -0500")]


def test_names_that_cannot_be_had_are_no_failure(case):
    for trouble in (("cut",), ("answer", b"NO [SERVERBUG] not now"), ("answer", b"BAD what?")):
        source = fakes.box(5)
        unwanted(source, 2)
        # In the first pass over a folder nothing but the naming asks for headers.
        source.hook = lambda _n, _c, line, t=trouble: t if "HEADER.FIELDS" in line else None
        case.pair(case.serve(mailbox(source)), case.serve(mailbox(fakes.box(append_answer=refuse_unwanted))), [login("ann")])
        program = case.run("once").exits(1)
        assert "1 synced" in program.out and not program.lines("lost|held|failed"), program.err
        assert case.ledger("SELECT uid, message_id, reason FROM skips") == [(2, "", "NO [CANNOT] no")]
        case.forget()


def test_a_ledger_without_a_configuration(case):
    setting(case)
    case.run("once").exits(1)
    program = case.run("report", "--ledger", str(case.state)).exits(1)
    assert "m/ann: incomplete" in program.out and "no mailbox list" not in program.out
    assert "left out  INBOX, UID 6, 01-Feb-2020 03:04:05 +0000, %d B, <bad@example.org>\n" % len(BAD) in program.out
    assert names(case.run("status", "--all", "--ledger", str(case.state)).exits(0)) == ["m/ann", "m/carl", "m/dora", "n/bob"]
    assert "no ledger" in case.run("status", "--ledger", str(case.folder)).exits(74).err


def test_a_ledger_that_cannot_be_read(case):
    setting(case)
    os.makedirs(case.state)
    (case.state / "ledger.sqlite").write_bytes(b"Dear diary, this is longer than a hundred bytes, so nobody takes it for "
                                               b"something that is empty, or that has just begun.")
    for command in (status, report):
        program = command(case).exits(74)
        assert "ledger.sqlite" in program.err and program.out == ""


def test_colour_only_on_a_terminal(case):
    setting(case)
    case.run("once").exits(1)
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        code, shown = case.on_terminal("status", "-c", str(case.config), environment=extra)
        assert code == 0 and ("\x1b[31m" in shown) == coloured, shown
        assert "m/carl" in shown and not too_wide(shown), shown
    assert not too_wide(case.on_terminal("report", "-c", str(case.config))[1])


def too_wide(shown):
    return [x for x in shown.splitlines() if len(re.sub(r"\x1b\[[\d;]*[mK]", "", x.rpartition("\r")[2])) > 80]
