"""godwit plan: what it says is what a pass then does, and it only looks."""
import json

from func.case import login
from func.foldering import held, mail, new, old, once, pair
from lab.fakeimapd import mailbox

LOOKING = {"CAPABILITY", "LOGIN", "AUTHENTICATE", "ENABLE", "ID", "NAMESPACE", "LIST", "LSUB", "STATUS", "GETQUOTAROOT", "NOOP", "LOGOUT",
           "EXAMINE", "FETCH", "COMPRESS"}


def plan(case, *arguments, code=0):
    return case.run("plan", "-c", str(case.config), *arguments).exits(code)


def look(case, *arguments, code=0):
    [found] = json.loads(plan(case, "--json", *arguments, code=code).out)["mailboxes"]
    return found


def where(found):
    return {f["folder"]: f["target_folder"] or f["fate"] for f in found["folders"]}


def only_looked(*servers):
    for server in servers:
        names = {e["name"] for e in server.events if e["event"] == "command"}
        assert names and names <= LOOKING, names - LOOKING


def source_box(**options):
    made = old({"INBOX": (), "Level": ["\\Noselect"], "Level/v1.2": (), "Gesendet": ["\\Sent"], "Papierkorb": ["\\Trash"], "Old": (), "50% off": ()}, **options)
    made.folder("Empty")
    return made


RULES = {"exclude": ["\\Trash"], "map": ["Old => New/Name"]}
RIGHT = {"INBOX": "INBOX", "Level/v1.2": "Level/v1_2", "Gesendet": "Sent", "Papierkorb": "excluded", "Old": "New/Name", "50% off": "50% off",
         "Empty": "Empty"}


def target_box(**options):
    return new({"Sent": ["\\Sent"]}, separator=".", **options)


def test_what_it_says_is_what_comes(case):
    source, target = source_box(), target_box()
    servers = pair(case, source, target, RULES)
    found = look(case)
    assert where(found) == RIGHT, where(found)
    assert (found["verdict"], found["messages"], found["messages_to_come"], found["folders_made"]) == ("would be complete", 10, 10, 4), found
    by = {f["folder"]: f for f in found["folders"]}
    assert (by["Gesendet"]["by"], by["Gesendet"]["role"], by["Gesendet"]["exists"]) == ("role", "\\Sent", True)
    assert (by["Old"]["by"], by["Old"]["exists"], by["50% off"]["note"]) == ("map", False, '"50_ off" if the target refuses that name')
    assert by["Level/v1.2"]["note"] == "the target cannot have a folder of its name" and by["INBOX"]["bytes"] is None
    only_looked(*servers)
    assert held(target) == {} and not case.state.exists()
    once(case)
    assert set(held(target)) == {v.replace("/", ".") for v in RIGHT.values()} - {"excluded", "Empty"}
    # And then nothing more is to come.
    found = look(case)
    assert where(found) == RIGHT and (found["messages"], found["messages_to_come"], found["folders_made"]) == (10, 0, 0), found


def test_as_text(case):
    pair(case, source_box(extra=("STATUS=SIZE",)), target_box(extra=("QUOTA", "APPENDLIMIT=5000"), quota=b"STORAGE 10 512"), RULES)
    lines = plan(case).out.splitlines()
    size = sum(len(mail(n, i)) for n in ("INBOX", "Level/v1.2", "Gesendet", "Old", "50% off") for i in range(2))
    assert lines[0] == "m/ann: would be complete: 10 messages (%.1f kB) in 6 folders, 4 of them to be made; 1 excluded" % (size / 1000), lines
    text = "\n".join(lines)
    for words in ("to Sent (\\Sent)", "to New/Name, new, by the map", "excluded", "to Level/v1_2, new: the target cannot have",
                  "quota of the target: 10.2 kB of 524.3 kB used, about %.1f kB to come" % (size / 1000),
                  "the target takes messages of up to 5.0 kB; --scan tells how many are larger"):
        assert words in text, (words, text)


def test_sizes_by_a_scan(case):
    source, target = source_box(), target_box(extra=("APPENDLIMIT=5000",))
    source.folder("INBOX").add(size=4000)
    source.folder("Old").add(size=5001)
    source.folder("Old").add(size=5000)
    servers = pair(case, source, target, RULES)
    found = look(case, code=0)
    assert found["too_big"] is None and found["bytes"] is None and found["append_limit"] == 5000
    found = look(case, "--scan", code=1)
    assert (found["verdict"], found["too_big"]) == ("would be incomplete", 1), found
    assert found["bytes"] == sum(m.size for f in source.folders.values() if f.name != "Papierkorb" for m in f.messages), found
    assert {f["folder"]: f["too_big"] for f in found["folders"] if f["too_big"]} == {"Old": 1}
    only_looked(*servers)


def test_no_room(case):
    source = source_box(extra=("STATUS=SIZE",))
    source.folder("INBOX").add(size=200_000)
    for quota, right in ((b"STORAGE 400 512", "has no room"), (b"STORAGE 10 512", "would be complete"), (b"MESSAGE 3 10", "has no room"),
                         (b"STORAGE 10 512 MESSAGE 3 1000", "would be complete"), (b"STORAGE 600 512", "has no room"), (b"odd -1", "would be complete")):
        pair(case, source, target_box(extra=("QUOTA",), quota=quota), RULES)
        assert look(case, code=0 if "complete" in right else 1)["verdict"] == right, quota


def test_a_quota_that_is_not_told(case):
    target = target_box(extra=("QUOTA",), hook=lambda name, _n, _l: ("answer", b"NO no quota here") if name == "GETQUOTAROOT" else None)
    pair(case, source_box(), target, RULES)
    assert look(case)["quota_bytes"] is None


def test_what_would_be_left_out(case):
    source = old(["INBOX", "A", "B", "C"], without=("LIST-STATUS",), hook=lambda name, _n, line: ("answer", b"NO locked") if name == "STATUS" and line.split()[2] == "C" else None)
    pair(case, source, new(), {"map": ["A => B"]})
    found = look(case, code=1)
    assert where(found) == {"INBOX": "INBOX", "A": "B", "B": "B", "C": "left out"} and found["verdict"] == "would be held", found
    assert found["conflict"].startswith('the folders "B" and "A" of the source would both go to "B"')
    assert {f["folder"]: f["note"] for f in found["folders"]}["C"] == "NO locked"
    pair(case, source, new())
    assert look(case, code=1)["verdict"] == "would be incomplete"


def test_a_login_that_is_refused(case):
    good, bad = old(["INBOX"]), new(users={"ann": "another"})
    pair(case, good, bad, (), max_login_retries=1)
    assert "m/ann: not known: " in plan(case, code=77).out
    assert look(case, code=77)["state"] == "failed"


def test_some_of_many(case):
    servers = case.serve(mailbox(old(["INBOX", "A"]))), case.serve(mailbox(new()))
    case.pair(*servers, [login("ann"), login("bob"), login("eve")])
    assert [m["mailbox"] for m in json.loads(plan(case, "--json", "m/bob").out)["mailboxes"]] == ["m/bob"]
    assert plan(case).out.splitlines()[-1] == "3 mailboxes: 3 would be complete, 0 not, 0 not known"
    plan(case, "m/nobody", code=64)
