"""Encryption: what is not proved is refused, with the reason; plaintext only where it is asked for by name."""
import os
import subprocess
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


def test_later_connections_resume_the_TLS_session_of_the_first(case):
    """Against Dovecot, whose login process keeps its keys while it lives: 2.3 in the lab has one for all, 2.4 one for each."""
    old, new = shared.old(), shared.new()
    users = [shared.user(old, new) for _ in range(4)]
    for how in ("imaps", "starttls"):
        case.pair(site(old, how), site(new, how), [login(user) for user in users], max_mailboxes=1)
        program = case.run("once", "--log-level", "debug").exits(0)
        for name in ("old", "new"):
            assert len(program.lines(r"logged in to server %s \(TLSv1\.[23]" % name)) >= 4
            resumed = program.lines(r"logged in to server %s \(TLSv1\.[23], resumed\)" % name)
            # The first ones may be under way together.
            assert len(resumed) >= 2 or old.syntax != "2.3", program.lines("logged in to")
        case.forget()


LOOKUPS = r"""
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	size_t n = strlen(host);
	FILE *out = fopen("%(count)s", "a");
	fprintf(out, "%%s\n", host);
	fclose(out);
	return real(n > 5 && strcmp(host + n - 5, ".test") == 0 ? "127.0.0.1" : host, service, hints, ret);
}
"""


def test_a_hundred_dials_ask_for_each_name_once(case):
    """By what the C library is asked: a library in front of it counts, and answers for names that nobody has."""
    counter = case.folder / "lookups.so"
    count = case.folder / "lookups"
    source = case.write("lookups.c", LOOKUPS % {"count": count})
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", counter, source, "-ldl"], check=True)
    old, new = shared.old_plain(), shared.new_plain()
    users = [shared.user(old, new) for _ in range(50)]
    sites = [site(old, url="imap://old.test:%d" % old.imap_port), site(new, url="imap://new.test:%d" % new.imap_port)]
    for keys in sites:
        keys["max_connections"] = 50
    case.pair(*sites, [login(user) for user in users])
    # AddressSanitizer wants to be the first that is loaded.
    case.run("once", environment={"LD_PRELOAD": str(counter), "ASAN_OPTIONS": "verify_asan_link_order=0"}).exits(0)
    assert sorted(count.read_text().split()) == ["new.test", "old.test"], count.read_text()
