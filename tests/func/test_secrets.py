"""Passwords are nowhere but in the list and on the wire."""
import os

from func import fakes
from func.case import login
from lab.fakeimapd import mailbox, refuse_login

SOURCE, TARGET, THIRD = "hunter22-Source", 'q"uo\\te-Tärget', "third-refused-one"


def look(case, program):
    """Everything that others may see of a running program."""
    folder = "/proc/%d" % program.pid
    for name in ("cmdline", "environ", "status"):
        with open(os.path.join(folder, name), "rb") as file:
            yield name, file.read()


def written(case):
    for path in [*case.state.rglob("*"), *case.folder.glob("std*")]:
        if path.is_file():
            yield str(path), path.read_bytes()


def none_of(things, secrets):
    seen = 0
    for name, data in things:
        seen += 1
        for secret in secrets:
            for form in (secret.encode(), secret.replace("\\", "\\\\").replace('"', '\\"').encode(),
                         __import__("base64").b64encode(secret.encode()).rstrip(b"=")[:-1]):
                assert form not in data, "%s holds a password: ...%r" % (name, data[max(0, data.index(form) - 60):][:120])
    assert seen >= 3


def test_nowhere(case):
    """At the most talkative level, with a server that repeats what it was told."""
    target = fakes.box()
    old, new = case.serve(mailbox(fakes.box(3, users={"ann": SOURCE}))), case.serve(mailbox(target))
    echo = case.serve(refuse_login("[AUTHENTICATIONFAILED] wrong password: " + THIRD))
    from func.case import site
    case.configure({"old": site(old), "new": site(new), "echo": site(echo)},
                   {"m": ("old", "new", [("ann", SOURCE, "ann", TARGET)]), "n": ("old", "echo", [("ann", SOURCE, "ann", THIRD)])},
                   login_retry_interval="1h")
    program = case.start("daemon", "--log-level", "debug")
    program.wait_for("synced: 3 copied")
    program.wait_for("n/ann: .*cannot log in")
    none_of(look(case, program), (SOURCE, TARGET, THIRD))
    none_of(written(case), (SOURCE, TARGET, THIRD))
    program.terminate().exits(0)
    none_of(written(case), (SOURCE, TARGET, THIRD))
    case.run("once", "--no-wait", "--log-level", "debug").exits(75)
    case.run("check", "--log-level", "debug").exits(77)
    none_of(written(case), (SOURCE, TARGET, THIRD))
    assert program.lines(r"wrong password: \*\*\*")


def test_the_ledger_is_for_its_owner_alone(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box())), [login("ann")])
    case.run("once").exits(0)
    assert case.state.stat().st_mode & 0o777 == 0o700
    for path in case.state.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_password_in_an_error_about_the_list(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box())), [])
    for rows in ("ann,%s,ann,%s\n" % (SOURCE, THIRD), "source_user,source_password,target_user,target_password\nann,%s\n" % SOURCE,
                 "source_user,source_password,target_user,target_password\nann,%s,bob,%s,%s\n" % (SOURCE, THIRD, THIRD)):
        case.write("m.csv", rows)
        program = case.run("once").exits(65)
        assert SOURCE not in program.err and THIRD not in program.err


def test_no_words_of_a_server_forge_a_line(case):
    new = case.serve(refuse_login("[ALERT] bad\x1b[31m\x07words\u202e"))
    case.pair(case.serve(mailbox(fakes.box(1))), new, [login("ann")], max_login_retries=1)
    program = case.run("once").exits(1)
    assert "\x1b" not in program.err and "\x07" not in program.err and "\u202e" not in program.err
    assert program.lines(r"bad\\x1b\[31m")
