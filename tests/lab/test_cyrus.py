#!/usr/bin/python3
"""Tests the throw-away Cyrus: ports, TLS, users, separators and namespaces, admins and proxies, UNAUTHENTICATE, crash, nothing left behind."""
import base64
import os
import signal
import ssl
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)
from lab import fill, reader, test_dovecot as other  # noqa: E402
from lab.corpus import Folder, Message  # noqa: E402
from lab.cyrus import Cyrus  # noqa: E402
from lab.imap import Client, Namespace, Refused  # noqa: E402
from lab.test_dovecot import check, raised  # noqa: E402


def some_mail():
    return [Folder(path, [Message(b"Subject: %d\r\n\r\nbody %d\r\n" % (n, n), ("\\Seen", "Later"), " 1-Feb-2020 10:00:%02d +0100" % n)
                          for n in range(3)]) for path in (("INBOX",), ("Work",), ("Work", "Deep"))]


def act(client, user, by, password):
    """AUTHENTICATE PLAIN with an initial response, on behalf of `user`."""
    return client.command(b"AUTHENTICATE PLAIN " + base64.b64encode(("%s\0%s\0%s" % (user, by, password)).encode()))


def kinds(folder):
    for number, (separator, alternate, tls, prefix) in enumerate((
            (".", False, "starttls+imaps", "INBOX."), ("/", True, "none", ""), ("/", False, "none", "INBOX/"), (".", True, "none", ""))):
        with Cyrus(folder, "kind%d" % number, tls=tls, separator=separator, alternate=alternate,
                   auth_failure_delay="0s", users={"ann": "one"}) as server:
            for security in ("starttls", "imaps", "none") if tls != "none" else ("none",):
                with Client.to(server, "ann", "one", security) as client:
                    check("capabilities", all(map(client.has, ("UIDPLUS", "LITERAL+", "MULTIAPPEND", "COMPRESS=DEFLATE"))))
                    check("not for everybody", not client.has("UNAUTHENTICATE"))
                    space = Namespace(client)
                    check("namespace", (space.prefix, space.separator) == (prefix, separator) == (server.prefix, server.separator),
                          (space.prefix, space.separator))
            wrote = fill.fill(server, "ann", "one", some_mail())
            read = reader.read(server, "ann", "one")
            check("mail", wrote[0] == 9 and {path: len(found) for path, found in read.folders.items()} ==
                  {("INBOX",): 3, ("Work",): 3, ("Work", "Deep"): 3}, read.folders.keys())
            check("subscriptions", read.subscribed == set(read.folders), read.subscribed)
            server.add_user("bob", "two")
            check("a user added", not raised(Refused, Client.to, server, "bob", "two"))
            server.set_password("bob", "three")
            check("a password changed", not raised(Refused, Client.to, server, "bob", "three")
                  and raised(Refused, Client.to, server, "bob", "two"))
            server.remove_user("bob")
            check("a user removed", raised(Refused, Client.to, server, "bob", "three"))
            check("the log", "login: " in server.log())
    with Cyrus(folder, "less", tls="none", capability_remove=("MULTIAPPEND",), users={"ann": "one"}) as server:
        with Client.to(server, "ann", "one") as client:
            check("capabilities taken away", not client.has("MULTIAPPEND") and client.has("UIDPLUS"))


def certificates(folder):
    with Cyrus(folder, "expired", cert="expired", users={"ann": "one"}) as server:
        check("certificate", "expired" in str(raised(ssl.SSLError, Client.to, server, "ann", "one", "imaps")))


def admins(folder):
    users = {"ann": "one", "bob": "two"}
    for unauthenticate in False, True:
        with Cyrus(folder, "admins%d" % unauthenticate, tls="none", users=users, admins={"boss": "b"}, proxies={"mover": "m"},
                   unauthenticate=unauthenticate, auth_failure_delay="0s") as server:
            for by, password in ("boss", "b"), ("mover", "m"):
                with Client(server.host, server.imap_port) as client:
                    act(client, "ann", by, password)
                    client.command(b"CAPABILITY")
                    check("UNAUTHENTICATE offered", client.has("UNAUTHENTICATE") == unauthenticate)
                    client.command(b"SELECT INBOX")
                    refused = raised(Refused, client.command, b"UNAUTHENTICATE")
                    check("UNAUTHENTICATE", bool(refused) != unauthenticate, refused)
                    if refused:
                        continue
                    check("a closed folder", raised(Refused, client.command, b"FETCH 1 UID"))
                    check("refused in between", raised(Refused, act, client, "bob", by, "wrong"))
                    act(client, "bob", by, password)
                    client.command(b"CREATE INBOX.Of-bob" if by == "boss" else b"CREATE INBOX.Of-bob-too")
                    client.command(b"CAPABILITY")
                    check("offered again", client.has("UNAUTHENTICATE"))
            check("no proxy", raised(Refused, lambda: act(Client(server.host, server.imap_port), "bob", "ann", "one")))
            theirs = [set(reader.read(server, *user).folders) for user in users.items()]
            check("to each his own", theirs == [{("INBOX",)}, {("INBOX",), ("Of-bob",), ("Of-bob-too",)} if unauthenticate
                                                else {("INBOX",)}], theirs)


def faults(folder):
    server = Cyrus(folder, "faults", tls="none", users={"ann": "one"}).start()
    port = server.imap_port
    for end in server.stop, server.kill:
        client = Client.to(server, "ann", "one")
        end()
        check("clients notice", raised((EOFError, OSError, Refused), lambda: [client.command(b"NOOP") for _ in range(2)]))
        server.start()
        check("the port stays", port == server.imap_port)
        check("it serves again", not raised((OSError, Refused), Client.to, server, "ann", "one"))
    client = Client.to(server, "ann", "one")
    client.sock.settimeout(0.3)
    server.freeze()
    check("frozen", raised(TimeoutError, client.command, b"NOOP"))
    server.thaw()
    check("thawed", not raised(OSError, Client.to, server, "ann", "one"))
    server.freeze()
    server.stop()
    check("stopped while frozen", server.process is None)


def nothing_left(folder):
    """The server ends with the test that started it, even when that is killed."""
    code = ("import sys; sys.path.insert(0, %r); sys.dont_write_bytecode = True\n"
            "from lab.cyrus import Cyrus\ns = Cyrus(%r, 'orphan').start(); print(s.pid, flush=True); sys.stdin.read()")
    child = subprocess.Popen([sys.executable, "-c", code % (TESTS, folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.wait()
    other.check_ended(pid)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for test in kinds, certificates, admins, faults, nothing_left:
            test(folder)
    print("%d passed, %d failed" % (other.passed, other.failed))
    return 1 if other.failed else 0


if __name__ == "__main__":
    sys.exit(main())
