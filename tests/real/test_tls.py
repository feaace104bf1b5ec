"""Encryption: what is not proved is refused, with the reason; plaintext only where it is asked for by name."""
import os
import tempfile

from func import fakes, shared
from func.case import login, site
from lab.certs import Authority
from lab.fakeimapd import mailbox, no_starttls

SECRET = "secret of ann"


def authority():
    return Authority(os.path.join(shared.folder(), "ca"))


def attempt(case, server, **keys):
    """The program with that target; returns the line that says why it failed."""
    case.configure({"old": site(case.serve(mailbox(fakes.box(1)))), "new": {**site(server), **keys}},
                   {"m": ("old", "new", [login("ann")])}, max_login_retries=1)
    program = case.run("once").exits(1)
    [line] = program.lines("failed to log in to the target")
    return line


def secured(case, kind, how="imaps"):
    server = case.serve(mailbox(fakes.box(starttls=how == "starttls")), tls=how, cert=authority().by_kind(kind))
    server.ca_file = authority().ca_file
    return server


def refused(case, kind, words, how="imaps", ca_file=None):
    server = secured(case, kind, how)
    line = attempt(case, server, ca_file=ca_file or server.ca_file)
    assert any(word in line for word in words), line
    assert not [e for e in server.events if e["event"] == "login" or SECRET in str(e)]


def test_a_good_certificate(case):
    for how in ("imaps", "starttls"):
        server = secured(case, "good", how)
        case.pair(case.serve(mailbox(fakes.box(1))), site(server, ca_file=server.ca_file), [login("ann")])
        case.run("once").exits(0)
        assert [e for e in server.events if e["event"] == "appended"]
        case.forget()


def test_an_unknown_authority(case):
    refused(case, "other-ca", ("unable to get local issuer", "self-signed", "self signed", "unknown"))


def test_the_systems_authorities_do_not_know_ours(case):
    server = secured(case, "good")
    line = attempt(case, server)
    assert "certificate" in line, line
    assert not [e for e in server.events if e["event"] == "login"]


def test_a_certificate_of_another_host(case):
    refused(case, "wrong-host", ("name", "host", "127.0.0.1"))


def test_an_expired_certificate(case):
    refused(case, "expired", ("expired",))


def test_an_expired_certificate_behind_STARTTLS(case):
    refused(case, "expired", ("expired",), "starttls")


def test_a_certificate_of_another_host_behind_STARTTLS(case):
    refused(case, "wrong-host", ("name", "host", "127.0.0.1"), "starttls")


def test_no_STARTTLS(case):
    server = case.serve(no_starttls())
    line = attempt(case, server, url="imap://127.0.0.1:%d" % server.port, allow_plaintext=False)
    assert "STARTTLS" in line
    assert not server.commands("LOGIN") and not server.commands("AUTHENTICATE")


def test_a_refused_STARTTLS(case):
    def hook(name, _number, _line):
        return ("answer", b"NO [UNAVAILABLE] not today") if name == "STARTTLS" else None

    server = case.serve(mailbox(fakes.box(starttls=True, hook=hook)), tls="starttls", cert=authority().good())
    line = attempt(case, server, ca_file=authority().ca_file)
    assert "STARTTLS" in line and "not today" in line, line
    assert not [e for e in server.events if e["event"] == "login"]


def test_plaintext_works_where_it_is_asked_for(case):
    target = fakes.box()
    case.pair(case.serve(mailbox(fakes.box(2))), case.serve(mailbox(target)), [login("ann")])
    assert "allow_plaintext = true" in case.config.read_text()
    case.run("once").exits(0)
    assert len(target.digests()) == 2


def test_a_CA_file_that_is_not_there(case):
    server = secured(case, "good")
    case.pair(case.serve(mailbox(fakes.box(1))), site(server, ca_file=tempfile.gettempdir() + "/no-such.pem"), [login("ann")])
    program = case.run("once")
    assert program.code in (1, 78) and "no-such.pem" in program.err, program.err


def test_commands_injected_before_STARTTLS_are_not_taken(case):
    """What a man in the middle adds behind the answer to STARTTLS, in the same packet, must not count as secured."""
    async def behave(connection):
        await connection.send(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\r\n")
        while True:
            line = await connection.line()
            connection.note("command", line=line.decode("utf-8", "replace"))
            tag, _, name = line.partition(b" ")
            if name.upper() == b"STARTTLS":
                await connection.send(tag + b" OK begin\r\n* OK injected\r\n" + tag + b" OK logged in\r\n")
                await connection.starttls()
            elif name.upper() == b"CAPABILITY":
                await connection.send(b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
            else:
                await connection.cut()

    server = case.serve(behave, tls="starttls", cert=authority().good())
    attempt(case, server, ca_file=authority().ca_file)
    assert not [x for x in server.commands() if "LOGIN" in x.upper() or "AUTHENTICATE" in x.upper()], server.commands()
