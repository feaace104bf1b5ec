"""Where folders go: by their roles, by the operator's rules, and where the target cannot have their names."""
import hashlib
import json

from func.foldering import comes, held, mail, new, of, old, once, pair, verified


def test_by_role(case):
    source = old({"INBOX": (), "Gesendet": ["\\Sent"], "Gesendet/2019": (), "Weg": ["\\Trash", "\\HasNoChildren"], "Sent": ()})
    source.folder("Gesendet").subscribed = True
    target = new({"Sent": ["\\Sent"], "Deleted Items": ["\\Trash"]})
    pair(case, source, target)
    program = comes(case, source, target, {"INBOX": of("INBOX"), "Sent": of("Gesendet"), "Sent/2019": of("Gesendet/2019"), "Deleted Items": of("Weg"),
                                           "Sent (2)": of("Sent")})
    assert program.lines(r'folder "Sent": the folder is called "Sent \(2\)" on the target: another folder goes to that of its name'), program.err
    assert target.folders["Sent"].subscribed and set(target.folders) == {"INBOX", "Sent", "Sent/2019", "Deleted Items", "Sent (2)"}
    assert verified(case).out.startswith("m/ann: equal")


def test_by_role_with_names_only(case):
    source, target = old(["INBOX", "Gesendete Elemente", "Papierkorb"]), new(["Sent Items", "Trash"])
    pair(case, source, target)
    comes(case, source, target, {"INBOX": of("INBOX"), "Sent Items": of("Gesendete Elemente"), "Trash": of("Papierkorb")})


def test_roles_off(case):
    source, target = old({"Gesendet": ["\\Sent"]}), new({"Sent": ["\\Sent"]}, extra=("CREATE-SPECIAL-USE",))
    _, server = pair(case, source, target, {"special_use": "off"})
    comes(case, source, target, {"Gesendet": of("Gesendet")})
    assert [c.split(" ", 1)[1] for c in server.commands("CREATE")] == ["CREATE Gesendet"]


def test_roles_are_asked_for(case):
    """A LIST with RETURN tells them on request only."""
    source, target = old({"Gesendet": ["\\Sent"]}, extra=("SPECIAL-USE",)), new()
    server, _ = pair(case, source, target)
    once(case)
    assert [c for c in server.commands("LIST") if "RETURN (SPECIAL-USE STATUS (" in c], server.commands()


def test_made_for_a_role(case):
    source = old({"Gesendet": ["\\Sent"], "Alle": ["\\All"], "Post": ()})
    target = new(extra=("CREATE-SPECIAL-USE",))
    _, server = pair(case, source, target)
    comes(case, source, target, {n: of(n) for n in ("Gesendet", "Alle", "Post")})
    assert target.folders["Gesendet"].attributes == ["\\Sent"] and target.folders["Alle"].attributes == []
    assert sorted(c.split(" ", 1)[1] for c in server.commands("CREATE")) == ["CREATE Alle", "CREATE Gesendet (USE (\\Sent))", "CREATE Post"]


def test_a_target_that_refuses_the_role(case):
    source = old({"Gesendet": ["\\Sent"], "Drafts": ["\\Drafts"]})
    source.folder("Drafts").messages.clear()
    target = new(extra=("CREATE-SPECIAL-USE",), hook=lambda name, _n, line: ("answer", b"NO [USEATTR] not here") if "USE" in line and name == "CREATE" else None)
    pair(case, source, target)
    comes(case, source, target, {"Gesendet": of("Gesendet")})
    assert "Drafts" in target.folders


def test_what_was_brought_somewhere_goes_on_there(case):
    """A rule, or a role, that comes later would bring everything twice."""
    source, target = old({"Gesendet": ["\\Sent"], "A": ()}), new({"Sent": ["\\Sent"]})
    pair(case, source, target, {"special_use": "off"})
    once(case)
    right = {"Gesendet": of("Gesendet"), "A": of("A")}
    assert held(target) == right
    pair(case, source, target, {"map": ["A => B"]})
    source.folder("A").add(body=mail("A", 2))
    program = once(case)
    right["A"] = sorted(right["A"] + [hashlib.sha256(mail("A", 2)).hexdigest()])
    assert held(target) == right, held(target)
    assert program.lines(r'folder "A": the folder goes on to "A", where it was brought before, not to "B"'), program.err
    verified(case)
    # The operator renames it on the target: then the rule counts, and nothing comes twice.
    target.folders["B"] = target.folders.pop("A")
    target.folders["B"].name = "B"
    once(case)
    assert held(target) == {"Gesendet": right["Gesendet"], "B": right["A"]}
    verified(case)


def test_the_map(case):
    source = old(["INBOX", "Old/Name", "Old/Name/below", "Lists.one", "Other"])
    target = new()
    pair(case, source, target, {"map": ["Old/Name => New/Name", "/^Lists\\.(.*)$/ => Lists/\\1"], "prefix": "Alt"})
    comes(case, source, target, {"Alt/INBOX": of("INBOX"), "Alt/New/Name": of("Old/Name"), "Alt/New/Name/below": of("Old/Name/below"),
                                 "Alt/Lists/one": of("Lists.one"), "Alt/Other": of("Other")})
    verified(case)


def test_include_and_exclude(case):
    source = old({"INBOX": (), "Projects": (), "Projects/a/b": (), "Papierkorb": ["\\Trash"], "Papierkorb/x": (), "Other": ()})
    target = new()
    pair(case, source, target, {"include": ["INBOX", "Projects/**", "\\Trash"], "exclude": ["\\Trash"]})
    comes(case, source, target, {n: of(n) for n in ("INBOX", "Projects", "Projects/a/b")})
    assert set(target.folders) == {"INBOX", "Projects", "Projects/a/b"}
    assert "extra" not in verified(case).out


def test_two_folders_to_one_are_refused(case):
    source, target = old(["INBOX", "A", "B"]), new()
    _, server = pair(case, source, target, {"map": ["A => C", "B => C"]})
    words = 'the folders "A" and "B" of the source would both go to "C"; the setting map must send them to two'
    program = once(case, 1)
    assert program.lines("held, waits for a person: " + words), program.err
    assert held(target) == {} and set(target.folders) == {"INBOX"} and not server.commands("APPEND")
    [(state, reason)] = case.ledger("SELECT state, reason FROM mailboxes")
    assert state == "held" and reason.endswith(words), reason
    assert words in verified(case, 1).out


def test_the_delimiter_in_a_name(case):
    source, target = old(["v1.2", "v1_2"]), new(separator=".", prefix="INBOX.")
    pair(case, source, target)
    program = comes(case, source, target, {"INBOX.v1_2": of("v1.2"), "INBOX.v1_2 (2)": of("v1_2")})
    assert program.lines(r'folder "v1.2": the folder is called "v1_2" on the target: the target cannot have a folder of its name')
    report = json.loads(case.run("report", "-c", str(case.config), "--format", "json").out)
    [found] = report["mailboxes"]
    assert found["verdict"] == "complete, with changes" and {i["folder"] for i in found["items"]} == {"v1.2", "v1_2"}, found
    verified(case)


def refuse(words):
    """Refuses folders with these words in their names."""
    def hook(name, _number, line):
        return ("answer", b"NO Invalid mailbox name") if name == "CREATE" and any(w in line for w in words) else None
    return hook


def test_a_name_that_the_target_refuses(case):
    source = old(["INBOX", "50% off", "50% off/more", " two  blanks ", "Files", "Files/x", "Nothing", "A"])
    target = new(hook=refuse(("%", "  ", " Files", "Files/", "Nothing")))
    pair(case, source, target)
    program = comes(case, source, target, {"INBOX": of("INBOX"), "50_ off": of("50% off"), "50_ off/more": of("50% off/more"),
                                           "two blanks": of(" two  blanks "), "Files (2)": of("Files"), "Files (2)/x": of("Files/x"), "A": of("A")}, code=1)
    assert program.lines(r'folder "50% off": the folder is called "50_ off" on the target: the target does not take its name'), program.err
    assert program.lines(r'folder "Nothing": the folder is left out: NO Invalid mailbox name'), program.err
    assert "Nothing" in verified(case, 1).out


def test_a_break_while_names_are_tried(case):
    """Nobody knows then whether the folder was made: it is looked at."""
    for after in (False, True):
        def hook(name, number, line):
            if name != "CREATE" or number != 1:
                return None
            if after:
                target.folder("50% off")
            return ("cut",)

        source, target = old(["INBOX", "50% off"]), new(hook=hook)
        pair(case, source, target, login_retry_interval="10ms")
        comes(case, source, target, {"INBOX": of("INBOX"), "50% off": of("50% off")})
        case.forget()


def test_a_name_that_only_looks_different(case):
    """Exchange has no two folders that differ in case only."""
    def hook(name, _number, line):
        return ("answer", b"NO [ALREADYEXISTS] Mailbox already exists") if name == "CREATE" and line.endswith(" PROJECTS") else None

    source, target = old(["Projects", "PROJECTS"]), new(["Projects"], hook=hook)
    pair(case, source, target)
    comes(case, source, target, {"Projects": of("Projects"), "PROJECTS (2)": of("PROJECTS")})
    verified(case)


def test_case_counts_where_the_target_says_so(case):
    source, target = old(["Projects", "PROJECTS"]), new(["Projects"])
    pair(case, source, target)
    comes(case, source, target, {"Projects": of("Projects"), "PROJECTS": of("PROJECTS")})


def test_folders_of_others(case):
    namespaces = b'(("" "/")) (("user/" "/")) (("shared/" "/"))'
    source = old({"INBOX": (), "user/bob/Sent": ["\\Sent"], "shared": ["\\Noselect"], "shared/team": ()}, namespaces=namespaces)
    target = new(["Sent"])
    pair(case, source, target)
    comes(case, source, target, {"INBOX": of("INBOX")})
    target = new(["Sent"], namespaces=namespaces)
    pair(case, source, target, {"namespaces": "all"})
    case.forget()
    # The target has a place for others' folders: none of this mail may get there.
    comes(case, source, target, {"INBOX": of("INBOX"), "user (2)/bob/Sent": of("user/bob/Sent"), "shared (2)/team": of("shared/team")})
    verified(case)


def test_namespaces_that_are_nil(case):
    source, target = old(["INBOX", "A/b"], namespaces=b"NIL NIL NIL"), new(namespaces=b"NIL NIL NIL", separator=".")
    pair(case, source, target)
    comes(case, source, target, {"INBOX": of("INBOX"), "A.b": of("A/b")})


def test_no_namespace_and_a_prefix_all_the_same(case):
    """Nobody says that folders stand below INBOX: a rule does."""
    source = old(["INBOX", "INBOX.Sent", "INBOX.a.b"], separator=".", without=("NAMESPACE",))
    target = new(["Sent"])
    pair(case, source, target, {"map": ["/INBOX/(.*)/ => \\1"]})
    comes(case, source, target, {"INBOX": of("INBOX"), "Sent": of("INBOX.Sent"), "a/b": of("INBOX.a.b")})


def test_INBOX_in_INBOX(case):
    source, target = old(["inbox", "INBOX.INBOX", "INBOX.inbox.a"], separator=".", prefix="INBOX."), new()
    pair(case, source, target)
    once(case)
    assert held(target)["INBOX"] == of("inbox") and sum(map(len, held(target).values())) == 6, held(target)


def test_folders_that_do_not_open(case):
    """None of them ends the mailbox, and what was left out is said."""
    source = old({"INBOX": (), "Level": ["\\Noselect"], "Level/a": (), "Ghost": ["\\Noselect", "\\NonExistent"], "Locked": (), "Calendar": ()},
                 without=("LIST-STATUS",),
                 hook=lambda name, _n, line: ("answer", b"NO [NOPERM] not yours") if name == "STATUS" and "Locked" in line else
                 ("answer", b"NO it is no mail") if name == "EXAMINE" and "Calendar" in line else None)
    target = new(hook=lambda name, _n, line: ("answer", b"NO no") if name == "SUBSCRIBE" else None)
    source.folder("Level/a").subscribed = True
    pair(case, source, target)
    program = comes(case, source, target, {"INBOX": of("INBOX"), "Level/a": of("Level/a")}, code=1)
    assert program.lines(r'folder "Locked": the folder is left out: NO \[NOPERM\] not yours')
    assert program.lines(r'folder "Calendar": the folder is left out: NO it is no mail')
    assert program.lines("the subscription of Level/a is left out: NO no")
    assert not program.lines("Level\":|Ghost")


def test_rules_that_make_no_sense(case):
    for rules, words in (({"map": ["A"]}, 'map has "A"; write "FROM => TO"'), ({"exclude": ["\\Thrash"]}, "which is no role"),
                         ({"map": ["/(/ => x"]}, "regular expression /(/"), ({"prefix": "a//b"}, "prefix is")):
        pair(case, old(["INBOX"]), new(), rules)
        for command in ("once", "check"):
            program = case.run(command).exits(78)
            assert program.err.startswith("%s:" % case.config) and words in program.err, program.err
