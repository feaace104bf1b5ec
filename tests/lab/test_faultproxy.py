#!/usr/bin/python3
"""Tests the reading proxy: how it cuts a dialogue into parts, and what each of its actions does to both ends."""
import os
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab.fakebox import Box  # noqa: E402
from lab.fakeimapd import FakeServer, mailbox  # noqa: E402
from lab.faultproxy import FaultProxy  # noqa: E402
from lab.imap import Client, Refused  # noqa: E402

passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED: %s %s" % (what, detail))


def outcome(function):
    try:
        return function()
    except (Refused, OSError, EOFError, ValueError) as error:
        return error


def append(client, body, number=b"x"):
    client.sock.sendall(b"%s APPEND INBOX {%d+}\r\n%s\r\n" % (number, len(body), body))


def subjects(box):
    return [m.body for m in box.folder("INBOX").messages]


def parts(proxy, client):
    seen = []
    proxy.on_part = lambda part: seen.append((part.direction, part.kind, part.name, part.first, part.last))
    append(client, b"A: 1\r\n\r\none")
    client.finish(b"x")
    check("an APPEND in parts", seen == [
        ("up", "line", "APPEND", True, False), ("up", "literal", "APPEND", False, False), ("up", "line", "APPEND", False, True),
        ("down", "line", "OK APPEND", True, True)], seen)


def acts(action, wanted, direction="up"):
    """Takes the action once, at NOOP or its answer; returns the client."""
    box = Box()
    with FakeServer(mailbox(box)) as server, FaultProxy({"one": server.port}) as proxy:
        client = Client(proxy.host, proxy.ports["one"], timeout=2)
        client.login("ann", "any")
        done = []
        proxy.on_part = lambda part: None if done or part.direction != direction else done.append(part) or action
        got = outcome(lambda: client.command(b"NOOP"))
        check("%s %s" % (action[0], direction), wanted(got), repr(got))
        client.sock.close()


def held():
    """What a dead client had sent is delivered when the test wants."""
    for deliver in (True, False):
        box = Box()
        with FakeServer(mailbox(box)) as server, FaultProxy({"one": server.port}) as proxy:
            client = Client(proxy.host, proxy.ports["one"])
            client.login("ann", "any")
            append(client, b"A: 1\r\n\r\none")
            client.finish(b"x")

            def on_part(part):
                if part.name == "APPEND":
                    proxy.kill()
                    return ("hold",)
                return None
            proxy.on_part = on_part
            append(client, b"A: 2\r\n\r\ntwo", b"y")
            append(client, b"A: 3\r\n\r\nthree", b"z")
            client.sock.shutdown(socket.SHUT_WR)
            proxy.clients_gone()
            check("two are held", len(proxy.held) == 1 and len(proxy.held[0].commands()) == 2)
            check("and not there", len(subjects(box)) == 1)
            commands = proxy.held[0].commands()
            proxy.deliver() if deliver else proxy.drop()
            check("delivered" if deliver else "dropped", len(subjects(box)) == (3 if deliver else 1), subjects(box))
            proxy.call(proxy.land("one", commands))
            check("landed", len(subjects(box)) == (5 if deliver else 3), subjects(box))
            client.sock.close()


def halves():
    """A command of which the server has a part is told whole."""
    box = Box()
    with FakeServer(mailbox(box)) as server, FaultProxy({"one": server.port}) as proxy:
        client = Client(proxy.host, proxy.ports["one"])
        client.login("ann", "any")

        def on_part(part):
            if part.kind == "literal":
                proxy.kill()
                return ("split", 4, ("hold",))
            return None
        proxy.on_part = on_part
        append(client, b"A: 1\r\n\r\none")
        client.sock.shutdown(socket.SHUT_WR)
        proxy.clients_gone()
        check("whole", proxy.held[0].commands() == [b"x APPEND INBOX {11+}\r\nA: 1\r\n\r\none\r\n"], proxy.held[0].commands())
        proxy.deliver()
        check("the rest arrives", subjects(box) == [b"A: 1\r\n\r\none"], subjects(box))
        client.sock.close()


def lagging():
    box = Box()
    with FakeServer(mailbox(box)) as server, FaultProxy({"one": server.port}, lag=30) as proxy:
        client = Client(proxy.host, proxy.ports["one"])
        client.login("ann", "any")
        append(client, b"A: 1\r\n\r\none")
        client.sock.shutdown(socket.SHUT_WR)
        proxy.clients_gone()
        check("what lags is held when the client ends", len(proxy.held) == 1 and len(proxy.held[0].commands()) == 1)
        proxy.drop()
        check("and dropped", not subjects(box))


def main():
    box = Box()
    with FakeServer(mailbox(box)) as server, FaultProxy({"one": server.port}) as proxy:
        client = Client(proxy.host, proxy.ports["one"])
        client.login("ann", "any")
        parts(proxy, client)
        client.sock.close()
    for action in (("cut",), ("reset",), ("bye", b"* BYE bye\r\n")):
        acts(action, lambda got: isinstance(got, (OSError, EOFError, Refused, ValueError)))
    acts(("split", 3, ("reset",)), lambda got: isinstance(got, (OSError, EOFError)), "down")
    acts(("half_close",), lambda got: isinstance(got, (OSError, EOFError)))
    acts(("blackhole",), lambda got: isinstance(got, TimeoutError))
    acts(("swallow",), lambda got: isinstance(got, TimeoutError), "down")
    acts(("refuse", b"{tag} NO not you\r\n"), lambda got: isinstance(got, Refused) and "not you" in str(got))
    acts(("replace", b"* OK nothing\r\n"), lambda got: isinstance(got, TimeoutError), "down")
    acts(("trickle", 1, 0.001, 9), lambda got: isinstance(got, list))
    held()
    halves()
    lagging()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
