#!/usr/bin/python3
"""Tests the throw-away servers themselves: start, stop, crash, freeze, users, certificates, capabilities, nothing left behind."""
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)
from lab.dovecot import CAPABILITIES, Dovecot  # noqa: E402
from lab.imap import Client, Refused  # noqa: E402

passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED: %s %s" % (what, detail))


def raised(kind, function, *args, **more):
    try:
        function(*args, **more)
    except kind as error:
        return error
    return None


def kinds(folder):
    for number, (format, separator, prefix, tls) in enumerate((
            ("maildir", "/", "", "starttls+imaps"), ("maildir", ".", "INBOX.", "none"),
            ("sdbox", "/", "", "none"), ("mdbox", ".", "", "starttls+imaps"))):
        begin = time.monotonic()
        with Dovecot(folder, "kind%d" % number, tls=tls, format=format, separator=separator, prefix=prefix,
                     users={"ann": "one"}) as server:
            check("starts at once", time.monotonic() - begin < 1.5)
            for security in ("starttls", "imaps", "none") if tls != "none" else ("none",):
                with Client.to(server, "ann", "one", security) as client:
                    check("capabilities", {c.upper() for c in CAPABILITIES[server.syntax]} == client.capabilities,
                          client.capabilities)
            server.add_user("bob", "two")
            check("a user added", not raised(Refused, Client.to, server, "bob", "two"))
            server.set_password("bob", "three")
            check("a password changed", not raised(Refused, Client.to, server, "bob", "three"))
    with Dovecot(folder, "less", capability_remove=("MULTIAPPEND", "LITERAL+"), auth_failure_delay="0 secs",
                 users={"ann": "one"}) as server:
        with Client.to(server, "ann", "one") as client:
            check("capabilities taken away", not client.has("MULTIAPPEND") and not client.has("LITERAL+")
                  and client.has("UIDPLUS"))
            check("no compression unless asked for", server.syntax == "2.4" or not client.has("COMPRESS=DEFLATE"))
        server.remove_user("ann")
        check("a user removed", raised(Refused, Client.to, server, "ann", "one"))


    for removed in ((), ("MULTIAPPEND",)):
        with Dovecot(folder, "compress%d" % len(removed), compress=True, capability_remove=removed, users={"ann": "one"}) as server:
            with Client.to(server, "ann", "one") as client:
                check("compression", client.has("COMPRESS=DEFLATE") and client.has("MULTIAPPEND") == (not removed))
                check("compression begins", not raised(Refused, client.command, b"COMPRESS DEFLATE"))


def certificates(folder):
    for kind, words in (("good", None), ("expired", "expired"), ("wrong-host", "not valid for"), ("other-ca", "issuer")):
        with Dovecot(folder, "cert-" + kind, cert=kind, users={"ann": "one"}) as server:
            error = raised(ssl.SSLError, Client.to, server, "ann", "one", "imaps")
            check("certificate " + kind, words in str(error) if words else not error, error)


def faults(folder):
    server = Dovecot(folder, "faults", users={"ann": "one"}).start()
    ports = server.imap_port, server.imaps_port
    for end in server.stop, server.kill:
        client = Client.to(server, "ann", "one")
        end()
        check("clients notice", raised((EOFError, OSError, Refused), lambda: [client.command(b"NOOP") for _ in range(2)]))
        server.start()
        check("the ports stay", ports == (server.imap_port, server.imaps_port))
        check("it serves again", not raised((OSError, Refused), Client.to, server, "ann", "one"))
    client = Client.to(server, "ann", "one")
    client.sock.settimeout(0.3)
    server.freeze()
    check("frozen", raised(TimeoutError, client.command, b"NOOP"))
    server.thaw()
    check("thawed", not raised(OSError, Client.to, server, "ann", "one"))
    connections = [Client.to(server, "ann", "one") for _ in range(200)]
    check("200 connections", all(not raised(Exception, c.command, b"NOOP") for c in connections))
    server.freeze()
    server.stop()
    check("stopped while frozen", server.process is None)


def nothing_left(folder):
    """The server ends with the test that started it, even when that is killed."""
    code = ("import sys; sys.path.insert(0, %r); sys.dont_write_bytecode = True\n"
            "from lab.dovecot import Dovecot\ns = Dovecot(%r, 'orphan').start(); print(s.pid, flush=True); sys.stdin.read()")
    child = subprocess.Popen([sys.executable, "-c", code % (TESTS, folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.wait()
    check_ended(pid)


def check_ended(pid):
    end = time.monotonic() + 5
    while running(pid) and time.monotonic() < end:
        time.sleep(0.02)  # not our child: there is nothing to wait on
    check("ends with its parent", not running(pid))


def running(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return bool(file.read())
    except OSError:
        return False


def main():
    with tempfile.TemporaryDirectory() as folder:
        for test in kinds, certificates, faults, nothing_left:
            test(folder)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
