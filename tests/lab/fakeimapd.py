#!/usr/bin/python3
"""A scripted IMAP server for what a real one cannot be made to do: silence, cuts, lies, refusals.

    with FakeServer(blackhole) as server:                       # accepts, never speaks
        ... server.host, server.port ...
    with FakeServer(script([("send", b"* OK hi\\r\\n"), ("expect", rb"(\\S+) LOGIN .*"), ("reset",)])) as server: ...
    with FakeServer(mailbox(box)) as server: ...                # an in-memory server, see fakebox.py

A behaviour is an async function that gets a Connection and is called for each one. All of them run in one thread of
their own, so tests may be plain functions. Events go to `server.events` and, as JSON lines, to the file `log`."""
import asyncio
import json
import os
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from lab import fakeimapd  # one copy of the module: fakebox.py imports it, too
    sys.exit(fakeimapd.main())

HOST = "127.0.0.1"


class Closed(Exception):
    """The connection is over, by the client's or the script's doing."""


class Connection:
    """One client. `cut_at` and `reset_at` end the connection when so many bytes have been sent on it."""

    def __init__(self, server, reader, writer, number):
        self.server, self.reader, self.writer, self.number = server, reader, writer, number
        self.sent = self.received = 0
        self.cut_at = self.reset_at = None
        self.trickle_chunk = self.trickle_pause = 0
        self.tag = b"*"

    def note(self, event, **more):
        self.server.note(event, connection=self.number, **more)

    async def send(self, data):
        """Sends and waits while the client does not read."""
        stop = min((n for n in (self.cut_at, self.reset_at) if n is not None), default=None)
        over = stop is not None and self.sent + len(data) >= stop
        if over:
            data = data[:max(0, stop - self.sent)]
        step = self.trickle_chunk or max(len(data), 1)
        for start in range(0, len(data), step):
            self.writer.write(data[start:start + step])
            await self._drain()
            self.sent += len(data[start:start + step])
            if self.trickle_pause:
                await asyncio.sleep(self.trickle_pause)
        if over:
            await (self.cut() if self.cut_at == stop else self.reset())

    async def _drain(self):
        try:
            await self.writer.drain()
        except OSError:
            raise Closed("client gone") from None

    async def line(self):
        """The next line without its CRLF."""
        try:
            line = await self.reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, OSError):
            raise Closed("client gone") from None
        self.received += len(line)
        return line.rstrip(b"\r\n")

    async def some(self, most):
        """Up to `most` bytes; Closed when the client has gone."""
        try:
            data = await self.reader.read(most)
        except OSError:
            data = b""
        if not data:
            raise Closed("client gone")
        self.received += len(data)
        return data

    async def expect(self, pattern):
        """Reads a line, which must match (bytes: a regular expression). Its first word is the tag from now on."""
        line = await self.line()
        self.note("command", line=line.decode("utf-8", "replace"))
        match = re.fullmatch(pattern, line, re.I | re.S)
        if not match:
            self.note("unexpected", wanted=pattern.decode("utf-8", "replace"), line=line.decode("utf-8", "replace"))
            await self.cut()
        self.tag = line.split(b" ")[0]
        return match

    async def starttls(self):
        await self.writer.start_tls(self.server.context)

    async def cut(self):
        """All that was sent arrives, then the connection ends."""
        self.note("cut", sent=self.sent)
        self.writer.close()
        raise Closed("cut")

    async def reset(self):
        """RST: what the client has not read yet may be lost."""
        self.note("reset", sent=self.sent)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Closed("reset")

    async def stall(self):
        """Reads nothing and says nothing, for as long as the server runs."""
        self.note("stall")
        self.writer.transport.pause_reading() if self.writer.transport.is_reading() else None
        await self.server.stopping.wait()
        raise Closed("stopped")


class FakeServer:
    def __init__(self, behaviour, tls="none", cert=None, log=None, port=0, host=HOST):
        """`tls`: "none", "imaps", or "starttls" (the context is there for behaviours that offer it).
        `cert`: (certificate file, key file), see certs.Authority."""
        self.behaviour, self.tls, self.host, self.port = behaviour, tls, host, port
        self.log_file = open(log, "w", buffering=1) if log else None
        self.events, self.count = [], 0
        self._changed = threading.Condition()
        self.context = None
        if cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*cert)
        self._thread = self.loop = None

    # --- for tests, from any thread ---------------------------------------------------------------------------------

    def start(self):
        ready, trouble = threading.Event(), []

        def run():
            try:
                asyncio.run(self._serve(ready))
            except Exception as error:
                trouble.append(error)
            ready.set()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if not ready.wait(10) or trouble:
            raise RuntimeError("the scripted server did not start: %s" % trouble)
        return self

    def stop(self):
        if self._thread and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.stopping.set)
            self._thread.join(5)
        if self.log_file:
            self.log_file.close()
            self.log_file = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def wait_for(self, event, count=1, timeout=10.0, **fields):
        """Waits until `event` has happened `count` times; returns those events. Raises TimeoutError."""
        def found():
            with_fields = [e for e in self.events if e["event"] == event]
            return [e for e in with_fields if all(e.get(k) == v for k, v in fields.items())]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, timeout):
                raise TimeoutError("%s happened %d times, not %d" % (event, len(found()), count))
            return found()

    def commands(self, word=None):
        """The command lines seen so far; with `word` those that hold it."""
        lines = [e["line"] for e in list(self.events) if e["event"] == "command"]
        return [x for x in lines if word is None or re.search(r"\b%s\b" % re.escape(word), x, re.I)]

    # --- inside -----------------------------------------------------------------------------------------------------

    def note(self, event, **more):
        entry = {"time": round(time.time(), 6), "event": event, **more}
        with self._changed:
            self.events.append(entry)
            if self.log_file:
                self.log_file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._changed.notify_all()

    async def _serve(self, ready):
        self.loop, self.stopping, self._tasks = asyncio.get_running_loop(), asyncio.Event(), set()
        server = await asyncio.start_server(self._connected, self.host, self.port, limit=1 << 20, backlog=1024,
                                            ssl=self.context if self.tls == "imaps" else None)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.stopping.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.count += 1
        connection = Connection(self, reader, writer, self.count)
        connection.note("open")
        reason = "end"
        try:
            await self.behaviour(connection)
        except Closed as closed:
            reason = str(closed)
        except asyncio.CancelledError:
            reason = "stopped"
        except (OSError, ValueError) as error:
            reason = "error: %r" % error
            connection.note("error", text=repr(error))
        finally:
            self._tasks.discard(task)
            connection.note("closed", reason=reason, sent=connection.sent, received=connection.received)
            writer.close()


# --- ready behaviours -------------------------------------------------------------------------------------------------------

async def blackhole(connection):
    """Accepts, never speaks."""
    await connection.stall()


async def greet_then_silent(connection):
    await connection.send(b"* OK ready\r\n")
    await connection.stall()


async def accept_then_cut(connection):
    await connection.cut()


def refuse_login(text="[AUTHENTICATIONFAILED] Authentication failed.", delay=0.0, bye=False):
    """Answers NO with `text` to every login."""
    async def behave(connection):
        await connection.send(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN] ready\r\n")
        while True:
            line = await connection.line()
            tag, _, rest = line.partition(b" ")
            words = rest.split() or [b""]
            name = words[0].upper()
            connection.note("command", line=line.decode("utf-8", "replace"))
            if name == b"CAPABILITY":
                await connection.send(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN\r\n" + tag + b" OK done\r\n")
            elif name in (b"LOGIN", b"AUTHENTICATE"):
                rounds = 0 if name == b"LOGIN" or len(words) > 2 else 2 if words[1].upper() == b"LOGIN" else 1
                for challenge in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6")[:rounds]:
                    await connection.send(b"+ " + (challenge if rounds == 2 else b"") + b"\r\n")
                    await connection.line()
                await asyncio.sleep(delay)
                if bye:
                    await connection.send(b"* BYE " + text.encode() + b"\r\n")
                    await connection.cut()
                await connection.send(tag + b" NO " + text.encode() + b"\r\n")
            elif name == b"LOGOUT":
                await connection.send(b"* BYE see you\r\n" + tag + b" OK done\r\n")
                await connection.cut()
            else:
                await connection.send(tag + (b" OK done" if name == b"NOOP" else b" BAD not now") + b"\r\n")
    return behave


def no_starttls():
    """Offers only plaintext."""
    return refuse_login("[PRIVACYREQUIRED] nothing here is secured")


def script(steps):
    """Plays steps on each connection; what a step sends may hold {tag}, the tag of the last expected line.

    ("send", bytes) ("expect", regular expression) ("exact", bytes) ("cut",) ("reset",) ("stall",) ("starttls",)
    ("cut_at", n) ("reset_at", n) ("trickle", bytes, chunk, seconds) ("read", n) ("read_all",) ("mailbox", Box)"""
    async def behave(connection):
        for name, *rest in steps:
            if name == "send":
                await connection.send(rest[0].replace(b"{tag}", connection.tag))
            elif name == "expect":
                await connection.expect(rest[0])
            elif name == "exact":
                await connection.expect(re.escape(rest[0]))
            elif name in ("cut_at", "reset_at"):
                setattr(connection, name, rest[0])
            elif name == "trickle":
                connection.trickle_chunk, connection.trickle_pause = rest[1:]
                await connection.send(rest[0].replace(b"{tag}", connection.tag))
                connection.trickle_chunk = connection.trickle_pause = 0
            elif name == "read":
                left = rest[0]
                while left:
                    left -= len(await connection.some(min(left, 1 << 16)))
            elif name == "read_all":
                while True:
                    await connection.some(1 << 16)
            elif name == "mailbox":
                await mailbox(rest[0])(connection)
            else:  # cut, reset, stall, starttls
                await getattr(connection, name)()
        await connection.cut()
    return behave


def per_connection(behaviours, rest=None):
    """The first connection gets the first behaviour, and so on; all further ones `rest`, or the last of the list."""
    async def behave(connection):
        index = connection.number - 1
        await (behaviours[index] if index < len(behaviours) else rest or behaviours[-1])(connection)
    return behave


def mailbox(box):
    from .fakebox import Session

    async def behave(connection):
        await Session(connection, box).run()
    return behave


def read_script(file):
    """A script from a file of lines: `S: text` sends, `C: regex` expects, CUT, RESET, STALL, CUT_AT n, RESET_AT n."""
    steps = []
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip(b"\r\n")
            word, _, rest = line.partition(b" ")
            if not line or line.startswith(b"#"):
                continue
            if word in (b"S:", b"C:"):
                steps.append(("send", rest + b"\r\n") if word == b"S:" else ("expect", rest))
            elif word in (b"CUT", b"RESET", b"STALL", b"STARTTLS", b"READ_ALL"):
                steps.append((word.decode().lower(),))
            elif word in (b"CUT_AT", b"RESET_AT", b"READ"):
                steps.append((word.decode().lower(), int(rest)))
            else:
                raise ValueError("%s:%d: not a step: %r" % (file, number, line))
    return script(steps)


# --- command line -----------------------------------------------------------------------------------------------------------

def main(argv=None):
    import argparse
    import ctypes
    from .fakebox import Box
    parser = argparse.ArgumentParser(prog="fakeimapd.py", description="A scripted IMAP server. Prints its port, serves until SIGTERM.")
    parser.add_argument("behaviour", choices=("blackhole", "greet-then-silent", "accept-then-cut", "refuse-login",
                                              "no-starttls", "mailbox", "script"))
    parser.add_argument("--script", help="file of steps, for the behaviour script")
    parser.add_argument("--text", default="[AUTHENTICATIONFAILED] Authentication failed.", help="of refuse-login")
    parser.add_argument("--tls", choices=("none", "imaps", "starttls"), default="none")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", help="file for events, JSON lines")
    parser.add_argument("--user", action="append", metavar="NAME:PASSWORD", help="of mailbox (default: any)")
    parser.add_argument("--messages", type=int, default=0, help="generated messages in INBOX of mailbox")
    parser.add_argument("--size", type=int, default=3000, help="of each of them")
    parser.add_argument("--without", action="append", default=[], metavar="CAPABILITY")
    parser.add_argument("--cut-message", type=int, metavar="UID", help="cut in the middle of this message's literal")
    parser.add_argument("--cut-at", type=int, default=0, metavar="N", help="after N bytes of it")
    args = parser.parse_args(argv)
    box = Box(users=dict(u.split(":", 1) for u in args.user) if args.user else None, without=args.without,
              starttls=args.tls == "starttls")
    for uid in range(1, args.messages + 1):
        box.folder("INBOX").add(size=args.size, cut_at=args.cut_at if uid == args.cut_message else None)
    behaviour = {"blackhole": blackhole, "greet-then-silent": greet_then_silent, "accept-then-cut": accept_then_cut,
                 "refuse-login": refuse_login(args.text), "no-starttls": no_starttls(), "mailbox": mailbox(box),
                 "script": read_script(args.script) if args.script else None}[args.behaviour]
    server = FakeServer(behaviour, args.tls, (args.cert, args.key) if args.cert else None, args.log, args.port)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG: do not outlive the test
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    server.start()
    print(server.port, flush=True)
    signal.sigwait((signal.SIGTERM, signal.SIGINT))
    server.stop()
    return 0
