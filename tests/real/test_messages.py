"""Odd messages as a real server has them: out of files that were put into its folders by other programs."""
import hashlib
import os
import pathlib
import pwd

from func import shared
from func.case import assert_equal, login
from lab.imap import Client

HEAD = b"Message-ID: <%s@example.org>\nDate: Sat, 1 Feb 2020 03:04:05 +0000\n"
# As they are in files: lines end with LF there.
FILES = {
    "nul": HEAD % b"nul" + b"\na\0b\0\0\n",
    "cr": HEAD % b"cr" + b"Subject: bare\rCR\n\na\rb\r\rc\n",
    "crlf": (HEAD % b"crlf").replace(b"\n", b"\r\n") + b"\r\nCRLF in the file\r\n",
    "mixed": HEAD % b"mixed" + b"\nLF\nCRLF\r\nLF\n",
    "line": HEAD % b"line" + b"\n" + b"y" * 100_000 + b"\n",
    "header": HEAD % b"header" + b"References: " + b"<r@example.org>\n " * 62_000 + b"<r@example.org>\n\nafter a megabyte\n",
    "end": HEAD % b"end" + b"\nno line end",
    "alone": HEAD % b"alone",
    "unended": (HEAD % b"unended").rstrip(b"\n"),
    "bytes": HEAD % b"bytes" + b"Subject: \xe4\xf6\xff\n\n" + bytes(b for b in range(1, 256) if b not in (10, 13)) * 500 + b"\n",
    "from": b"From ann Sat Feb  1 00:00:00 2020\n" + HEAD % b"from" + b"\n>From and From\nFrom\n",
    "twin1": HEAD % b"twin" + b"\nthe same\n",
    "twin2": HEAD % b"twin" + b"\nthe same\n",
    "twin3": HEAD % b"twin" + b"\nanother\n",
    "nameless1": b"Subject: nobody\n\nthe same\n",
    "nameless2": b"Subject: nobody\n\nthe same\n",
    "nothing": b"\nno header\n",
    "x": b"x",
}
DAYS = {"crlf": 0, "mixed": 1, "twin1": 86400, "twin2": 86400, "twin3": 86400}


def put(server, user, files):
    """Into INBOX, which must be there."""
    folder = pathlib.Path(server.mail_path(user)) / "Maildir" / "cur"
    for number, (name, text) in enumerate(files.items()):
        path = folder / ("%d.M%dP1.odd:2,%s" % (1_000_000_000 + number, number, "FS"[:number % 3]))
        path.write_bytes(text)
        instant = DAYS.get(name, 1_580_000_000 + number)
        os.utime(path, (instant, instant))
        if os.getuid() == 0:
            owner = pwd.getpwnam("mail")
            os.chown(path, owner.pw_uid, owner.pw_gid)


def filled(files):
    old = shared.old()
    user = shared.user(old)
    with Client.to(old, user, shared.password(user)) as client:
        client.command(b"SELECT INBOX")
    put(old, user, files)
    return user, shared.read(old, user)


def test_odd_files(case):
    user, before = filled(FILES)
    assert len(before.folders[("INBOX",)]) == len(FILES)
    new = shared.new()
    there = shared.user(new)
    case.pair(shared.old(), new, [login(user, target=there)], settle="10ms")
    case.run("once").exits(0)
    got = shared.read(new, there)
    assert_equal(before, got)
    # What is there is recognised without the ledger; only what has no name at all is sent again.
    case.forget()
    case.run("once").exits(0)
    again = shared.read(new, there)
    nameless = {hashlib.sha256(FILES[n].replace(b"\n", b"\r\n")).hexdigest() for n in ("nameless1", "nothing", "x")}
    named = [[e.digest for e in m.folders[("INBOX",)] if e.digest not in nameless] for m in (got, again)]
    assert sorted(named[0]) == sorted(named[1]) and len(named[0]) == len(FILES) - 4
    case.run("verify", "-c", str(case.config)).exits(1 if len(again.folders[("INBOX",)]) != len(FILES) else 0)


def test_an_empty_file(case):
    """Dovecot lists it, and takes none."""
    files = {"good": FILES["end"], "empty": b"", "better": FILES["line"]}
    user, before = filled(files)
    new = shared.new()
    there = shared.user(new)
    case.pair(shared.old(), new, [login(user, target=there)])
    program = case.run("once")
    good = {e.digest for e in before.folders[("INBOX",)] if e.size}
    assert {e.digest for e in shared.read(new, there).folders[("INBOX",)]} >= good
    if program.code:
        [line] = program.lines("a message is left out: ")
        assert "UID 2" in line, line


def test_newest_first_and_rules_on_a_real_server(case):
    user, before = filled({str(n): HEAD % b"%d" % n + b"\n" + b"text\n" * (n * 10) for n in range(250)})
    new = shared.new()
    there = shared.user(new)
    case.pair(shared.old(), new, [login(user, target=there)], {"newest_first": True, "max_size": "10K"})
    case.run("once").exits(1)
    chosen = [e for e in before.folders[("INBOX",)] if e.size <= 10240]
    got = shared.read(new, there).folders[("INBOX",)]
    assert sorted(e.digest for e in got) == sorted(e.digest for e in chosen) and len(chosen) < 250
    case.pair(shared.old(), new, [login(user, target=there)])
    case.run("once").exits(0)
    assert_equal(before, shared.read(new, there))


def test_keywords_that_a_real_server_refuses(case):
    user, before = filled({"end": FILES["end"], "line": FILES["line"]})
    with Client.to(shared.old(), user, shared.password(user)) as client:
        client.command(b"SELECT INBOX")
        client.command(b"UID STORE 1 +FLAGS (short a-keyword-of-some-length)")
        client.command(b"UID STORE 2 +FLAGS (short)")
    new = shared.dovecot("short-keywords", tls="none", extra_config="mail_max_keyword_length = 22\n")
    there = shared.user(new)
    case.pair(shared.old(), new, [login(user, target=there)])
    program = case.run("once").exits(0)
    got = shared.read(new, there).folders[("INBOX",)]
    assert sorted(e.digest for e in got) == sorted(e.digest for e in before.folders[("INBOX",)])
    assert sorted(len(e.keywords) for e in got) == [0, 1], got
    assert len(program.lines("1 messages are not as on the source: the target refused it with its keywords.*Keyword length")) == 1
