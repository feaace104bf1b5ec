"""godwit copy: one mailbox, in the foreground."""
import os
import pty
import re
import select
import time

from func import fakes, shared
from func.case import GODWIT, assert_equal, assert_no
from lab.fakeimapd import mailbox, refuse_login
from lab.process import free_port

from real.test_copies import mail


def passwords(source, target):
    return {"GODWIT_SOURCE_PASSWORD": source, "GODWIT_TARGET_PASSWORD": target}


def urls(old, new, user, there):
    return old.url(user), new.url(there)


def run(case, *arguments, environment=None, **options):
    home = {"HOME": str(case.folder), "XDG_STATE_HOME": ""}
    return case.run("copy", *arguments, environment={**home, **(environment or {})}, **options)


def fake_urls(old, new, user="ann"):
    return tuple("imap://%s@127.0.0.1:%d" % (user, s.port) for s in (old, new))


def test_a_mailbox_is_copied(case):
    old, new = shared.old(), shared.new()
    user, before = shared.filled(old, mail)
    there = shared.user(new)
    program = run(case, "--ca-file", old.ca_file, *urls(old, new, user, there),
                  environment=passwords(shared.password(user), shared.password(there))).exits(0)
    assert_equal(before, shared.read(new, there))
    count = sum(map(len, before.folders.values()))
    assert re.match(r"%d messages copied \([\d.]+ MB\), 0 adopted, 0 left out; " % count, program.out), program.out
    assert "\x1b" not in program.err and "\r" not in program.err, "no terminal, no bar"
    assert_no([program.out, program.err], shared.password(user))

    again = run(case, "--ca-file", old.ca_file, *urls(old, new, user, there),
                environment=passwords(shared.password(user), shared.password(there))).exits(0)
    assert again.out.startswith("0 messages copied (0 B), 0 adopted, 0 left out;"), again.out
    assert_equal(before, shared.read(new, there))


def test_passwords_out_of_files(case):
    old = case.serve(mailbox(fakes.box(3, users={"ann": "old secret"})))
    target = fakes.box(users={"ann": "new secret"})
    new = case.serve(mailbox(target))
    one, two = case.write("one", "old secret\n"), case.write("two", "new secret")
    for path in (one, two):
        path.chmod(0o600)
    run(case, "--allow-plaintext", "--source-password-file", str(one), "--target-password-file", str(two),
        *fake_urls(old, new)).exits(0)
    assert len(target.digests()) == 3


def test_no_password_and_nobody_to_ask(case):
    old, new = case.serve(mailbox(fakes.box(3))), case.serve(mailbox(fakes.box()))
    program = run(case, "--allow-plaintext", *fake_urls(old, new)).exits(64)
    assert "GODWIT_SOURCE_PASSWORD" in program.err and old.count == 0


def test_a_refused_login(case):
    old, new = case.serve(mailbox(fakes.box(3))), case.serve(refuse_login("[AUTHENTICATIONFAILED] The account sleeps."))
    program = run(case, "--allow-plaintext", *fake_urls(old, new), environment=passwords("a", "b")).exits(77)
    assert "[AUTHENTICATIONFAILED] The account sleeps." in program.err
    assert new.count == 1


def test_a_certificate_that_is_not_trusted(case):
    old, new = shared.old(), shared.new()
    user = shared.user(old, new)
    secret = shared.password(user)
    program = run(case, *urls(old, new, user, user), environment=passwords(secret, secret)).exits(77)
    assert "certificate" in program.err, program.err


def test_a_server_that_is_not_there(case):
    old = case.serve(mailbox(fakes.box(3)))
    program = run(case, "--allow-plaintext", fake_urls(old, old)[0], "imap://ann@127.0.0.1:%d" % free_port(),
                  environment=passwords("a", "b")).exits(75)
    assert "Connection refused" in program.err


def test_a_password_in_the_URL_is_refused(case):
    old, new = case.serve(mailbox(fakes.box(3))), case.serve(mailbox(fakes.box()))
    source, target = fake_urls(old, new)
    program = run(case, "--allow-plaintext", source.replace("ann@", "ann:hunter22@"), target,
                  environment=passwords("a", "b")).exits(64)
    assert "password" in program.err
    assert_no([program.err, program.out], "hunter22")
    assert old.count == new.count == 0


def test_bad_usage(case):
    for arguments, word in (((), "SOURCE and TARGET"), (("imap://a@b",), "SOURCE and TARGET"),
                            (("imap://a@b", "imap://a@b", "more"), "too many"), (("http://a@b", "imap://a@b"), "imap"),
                            (("imap://b", "imap://a@b"), "user"), (("--nonsense", "imap://a@b", "imap://a@b"), "nonsense"),
                            (("--ca-file", "not-there.pem", "imaps://a@b", "imaps://a@b"), "not-there.pem: cannot be read")):
        program = run(case, *arguments, environment=passwords("a", "b")).exits(64)
        assert word in program.err, (arguments, program.err)
    assert not (case.folder / ".local").exists()


def test_plaintext_only_where_it_is_asked_for(case):
    old, new = case.serve(mailbox(fakes.box(3))), case.serve(mailbox(fakes.box()))
    program = run(case, *fake_urls(old, new), environment=passwords("first-secret", "other-secret")).exits(77)
    assert "STARTTLS" in program.err
    assert not [e for e in old.events + new.events if e["event"] == "login"]


def on_terminal(case, arguments, environment, answers=()):
    """Runs it on a terminal of its own; types each answer when its prompt has come. Returns (exit code, all that was shown)."""
    pid, terminal = pty.fork()
    if pid == 0:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GODWIT")}
        os.chdir(case.folder)
        os.execve(GODWIT, [GODWIT, "copy", *arguments],
                  {**kept, "HOME": str(case.folder), "XDG_STATE_HOME": "", "LC_ALL": "C.UTF-8", "TERM": "xterm", **environment})
    shown, answers, end = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], 1)
        if not ready:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
        if answers and answers[0][0] in shown:
            os.write(terminal, answers.pop(0)[1])
    else:
        os.kill(pid, 9)
    os.close(terminal)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")


def test_progress_on_a_terminal(case):
    source = fakes.box(30, size=100_000)
    # Slow enough for some pictures to be drawn.
    old, new = case.serve(mailbox(source)), case.serve(mailbox(fakes.box(append_delay=0.3)))
    code, shown = on_terminal(case, ["--allow-plaintext", *fake_urls(old, new)], passwords("first-secret", "other-secret"))
    assert code == 0, shown
    assert "\r" in shown.replace("\r\n", "") and re.search(r"\d+ ?%|\d+ of \d+|\d+/\d+", shown), shown
    assert "30 messages copied" in shown.splitlines()[-1]
    assert_no([shown], "first-secret")


def test_a_slow_login_is_no_silence_on_a_terminal(case):
    old, new = case.serve(mailbox(fakes.box(1))), case.serve(refuse_login(delay=0.5))
    code, shown = on_terminal(case, ["--allow-plaintext", *fake_urls(old, new)], passwords("first-secret", "other-secret"))
    assert code == 77, shown
    assert "\rconnecting and logging in ..." in shown and "logging in" not in shown.splitlines()[-1].split("\033[K")[-1], shown


def test_passwords_are_asked_for_on_a_terminal(case):
    old = case.serve(mailbox(fakes.box(3, users={"ann": "typed one"})))
    target = fakes.box(users={"ann": "typed two"})
    new = case.serve(mailbox(target))
    code, shown = on_terminal(case, ["--allow-plaintext", *fake_urls(old, new)], {},
                              [(b"at the source", b"typed one\n"), (b"at the target", b"typed two\n")])
    assert code == 0 and len(target.digests()) == 3, shown
    assert_no([shown], "typed one")
    assert_no([shown], "typed two")


def test_plain_lines_without_a_terminal(case):
    source, target = fakes.box(5), fakes.box()
    program = run(case, "--allow-plaintext", *fake_urls(case.serve(mailbox(source)), case.serve(mailbox(target))),
                  environment=passwords("a", "b")).exits(0)
    assert program.out.count("\n") == 1 and program.out.startswith("5 messages copied (15.0 kB), 0 adopted, 0 left out; ")
    assert fakes.digests(source) == fakes.digests(target)


def test_interrupted_and_run_again(case):
    source, target = fakes.box(200, size=20_000), fakes.box()
    new = case.serve(mailbox(target))
    old = case.serve(mailbox(source))
    home = {"HOME": str(case.folder), "XDG_STATE_HOME": "", **passwords("a", "b")}
    arguments = ("--allow-plaintext", *fake_urls(old, new))
    tap = case.tap(new.port)
    tap.at("up", 1_000_000, lambda: program.terminate())
    tapped = (arguments[0], arguments[1], arguments[2].replace(str(new.port), str(tap.port)))
    program = case.start("copy", *tapped, environment=home)
    program.exits(75)
    assert 0 < len(target.digests()) < 200
    case.run("copy", *tapped, environment=home).exits(0)
    assert fakes.digests(source) == fakes.digests(target)
