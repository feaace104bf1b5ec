#!/usr/bin/python3
"""Tests the scripted server: against the lab's own client and reader, with and without TLS."""
import hashlib
import imaplib
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import certs, fakeimapd, fill, reader  # noqa: E402
from lab.corpus import Folder, Message  # noqa: E402
from lab.fakebox import Box  # noqa: E402
from lab.fakeimapd import FakeServer, mailbox, script  # noqa: E402
from lab.imap import Client, Refused, quote  # noqa: E402
from lab.varied import varied  # noqa: E402

passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED: %s %s" % (what, detail))


def address(server, **more):
    return {"host": server.host, "imap_port": server.port, "imaps_port": server.port, **more}


def raised(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return error
    return None


def silence():
    with FakeServer(fakeimapd.blackhole) as server:
        sock = socket.create_connection((server.host, server.port), timeout=0.2)
        check("blackhole", raised(TimeoutError, sock.recv, 1))
        server.wait_for("stall")
    with FakeServer(fakeimapd.greet_then_silent) as server:
        sock = socket.create_connection((server.host, server.port), timeout=0.2)
        check("greeting", sock.recv(100) == b"* OK ready\r\n")
        sock.sendall(b"a NOOP\r\n")
        check("then silent", raised(TimeoutError, sock.recv, 1))
    with FakeServer(fakeimapd.refuse_login("[UNAVAILABLE] come back later")) as server:
        error = raised(Refused, Client.to, address(server), "ann", "secret")
        check("refused login", error and "[UNAVAILABLE] come back later" in str(error), error)


def scripts(folder):
    steps = [("send", b"* OK hi\r\n"), ("expect", rb"\S+ CAPABILITY"), ("send", b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
             ("expect", rb"\S+ LOGIN .*"), ("reset",)]
    with FakeServer(script(steps), log=os.path.join(folder, "events")) as server:
        client = imaplib.IMAP4(server.host, server.port)
        check("script resets", raised((ConnectionResetError, imaplib.IMAP4.abort), client.login, "a", "b"))
        server.wait_for("closed")
    with open(os.path.join(folder, "events")) as file:
        names = [json.loads(line)["event"] for line in file]
    check("event log", names == ["open", "command", "command", "reset", "closed"], names)
    with FakeServer(script([("cut_at", 7), ("send", b"0123456789")])) as server:
        sock = socket.create_connection((server.host, server.port), timeout=5)
        check("cut at a byte", b"".join(iter(lambda: sock.recv(100), b"")) == b"0123456")
    with FakeServer(script([("trickle", b"* OK hi\r\n", 1, 0.001), ("cut",)])) as server:
        sock = socket.create_connection((server.host, server.port), timeout=5)
        check("trickle", b"".join(iter(lambda: sock.recv(100), b"")) == b"* OK hi\r\n")


def source_and_target(folder):
    made = [f for f in varied(3, big=1)]
    for f in made:
        f.removed = frozenset()
    for without in ((), ("LITERAL+", "MULTIAPPEND", "UIDPLUS"), ("NAMESPACE", "LIST-EXTENDED", "LIST-STATUS")):
        one, two = Box(without=without), Box(separator=".", prefix="INBOX.")
        with FakeServer(mailbox(one)) as a, FakeServer(mailbox(two)) as b:
            for server in (a, b):
                fill.fill(address(server), "ann", "x", made)
            first, second = (reader.read(address(s), "ann", "x") for s in (a, b))
            check("two boxes hold the same %s" % (without,), reader.compare(first, second) == [],
                  reader.compare(first, second)[:5])
            check("all is there", sum(map(len, first.folders.values())) == sum(len(list(f.messages)) for f in made))
    ca = certs.Authority(os.path.join(folder, "ca"))
    for tls in "imaps", "starttls":
        with FakeServer(mailbox(Box(users={"ann": "x"}, starttls=tls == "starttls")), tls=tls, cert=ca.good()) as server:
            client = Client.to(address(server, ca_file=ca.ca_file), "ann", "x", tls)
            check(tls, isinstance(client.sock, ssl.SSLSocket) and client.has("UIDPLUS"))
            check("wrong password", raised(Refused, Client.to, address(server, ca_file=ca.ca_file), "ann", "y", tls))


def big_messages():
    box = Box()
    big = box.folder("INBOX").add(size=300 << 20)
    with FakeServer(mailbox(box)) as server:
        client = Client.to(address(server), "ann", "x")
        client.command(b"EXAMINE INBOX")
        begin = time.monotonic()
        client.sock.sendall(b"f UID FETCH 1 BODY.PEEK[]\r\n")
        line = client._line()
        digest, left = hashlib.sha256(), int(line.split(b"{")[1][:-1])
        check("announced", left == 300 << 20)
        while left:
            data = client.file.read(min(left, 1 << 20))
            digest.update(data)
            left -= len(data)
        print("300 MB fetched in %.1f s" % (time.monotonic() - begin))
        check("300 MB are as announced", digest.hexdigest() == big.sha256())
        client.command(b"NOOP") if client._line() == b")" and client._line().startswith(b"f OK") else check("end", False)
        begin = time.monotonic()
        client.sock.sendall(b"g APPEND INBOX {%d+}\r\n" % (300 << 20))
        for chunk in big.chunks():
            client.sock.sendall(chunk)
        client.sock.sendall(b"\r\n")
        client.finish(b"g")
        print("300 MB appended in %.1f s" % (time.monotonic() - begin))
        check("the digest of 300 MB", box.digests()[0] == box.digests()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    check("streamed, not held", peak < 150, "%d MB" % peak)


def faults():
    box = Box()
    box.folder("INBOX").add(size=100000, cut_at=50000, times=1)
    box.folder("INBOX").add(size=5000, announced_size=4999)
    with FakeServer(mailbox(box)) as server:
        check("cut in the literal", raised(EOFError, reader.read, address(server), "ann", "x"))
        check("the second time is well", len(reader.read(address(server), "ann", "x").folders[("INBOX",)]) == 2)
        check("the cut is in the events", server.wait_for("cut"))
    refuse = Box(append_answer=lambda n, m: b"NO [OVERQUOTA] full" if n == 2 else None)
    with FakeServer(mailbox(refuse)) as server:
        error = raised(Refused, fill.fill, address(server), "a", "x", [Folder(("INBOX",), [Message(b"x"), Message(b"y")])])
        check("MULTIAPPEND is all or nothing", "OVERQUOTA" in str(error) and refuse.digests() == [], error)
    hooked = Box(hook=lambda name, number, line: ("reset",) if name == "EXAMINE" and number == 2 else None)
    with FakeServer(mailbox(hooked)) as server:
        reader.read(address(server), "ann", "x")
        check("the second EXAMINE resets", raised((ConnectionResetError, EOFError), reader.read, address(server), "a", "x"))
        check("commands", len(server.commands("EXAMINE")) == 2, server.commands())
    slow = Box(stop_reading_at=1000)
    with FakeServer(mailbox(slow)) as server:
        client = Client.to(address(server), "ann", "x")
        client.sock.settimeout(0.3)
        client.sock.sendall(b"a APPEND INBOX {%d+}\r\n" % (64 << 20))
        check("back-pressure", raised(TimeoutError, client.sock.sendall, bytes(64 << 20)))
        client.close()
        slow.go_on(server)
        check("torn", server.wait_for("torn") and slow.digests() == [])


def command_line(folder):
    log = os.path.join(folder, "log")
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fakeimapd.py")
    child = subprocess.Popen([program, "mailbox", "--messages", "5", "--log", log, "--user", "ann:x"], stdout=subprocess.PIPE)
    port = int(child.stdout.readline())
    found = reader.read({"host": "127.0.0.1", "imap_port": port}, "ann", "x")
    check("command line", len(found.folders[("INBOX",)]) == 5)
    child.terminate()
    check("ends when asked", child.wait(5) == 0)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for test, args in ((silence, ()), (scripts, (folder,)), (source_and_target, (folder,)), (big_messages, ()),
                           (faults, ()), (command_line, (folder,))):
            test(*args)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
