"""A proxy that reads along: it knows commands, literals and answers of IMAP without TLS, and can break a dialogue at any part of it.

    with FaultProxy({"target": port}, on_part=decide) as proxy:
        ... connect to proxy.host, proxy.ports["target"] ...

What passes is cut into parts: a line, or (a piece of) a literal. For each part `on_part(part)` is called in the proxy's thread, before any
byte of it is passed on. It may be a coroutine function, and returns None (pass it on) or what to do instead:

    ("cut",)             both ends are closed, the part is lost
    ("reset",)           the same with RST
    ("half_close",)      the receiver sees the end of the stream, the other direction goes on
    ("blackhole",)       nothing passes any more, in both directions; the connections stay
    ("swallow",)         this part is lost, all others pass
    ("trickle", n, s, m) n bytes every s seconds from here on, in this direction, until m bytes have passed so
    ("replace", bytes)   other bytes in its place
    ("refuse", bytes)    of the first part of a command: none of it is passed on, the client gets this answer; {tag} stands for its tag
    ("bye", bytes)       the client gets these last words, then the connection ends
    ("hold",)            this part and all behind it in this direction are kept: see Held
    ("split", n, action) the first n bytes pass, then the action is taken

After kill(), or with `lag`, what a client had sent before it died is in flight: `held` has it, to be delivered or dropped when the test wants."""
import asyncio
import inspect
import re
import socket
import struct
import threading

HOST = "127.0.0.1"
PIECE = 1 << 16
LITERAL = re.compile(rb"~?\{(\d+)(\+|-)?\}\r\n$")


class Part:
    """`number`: counts the parts of all connections since reset(). `kind`: "line" or "literal". `name`: of the command, or of the
    response: "* FETCH", "+", "OK APPEND", "greeting". `first`, `last`: whether the command or response begins or ends with this part."""
    __slots__ = ("number", "site", "link", "direction", "kind", "name", "tag", "data", "whole", "first", "last")

    def __repr__(self):
        return "%d: %s %s %s %s%s" % (self.number, self.site, {"up": ">", "down": "<"}[self.direction], self.name, self.kind,
                                      " %d" % len(self.data))


class Parser:
    """Cuts the bytes of one direction into (kind, name, tag, data, first, last)."""

    def __init__(self, link, direction):
        self.link, self.direction = link, direction
        self.buffer, self.literal = bytearray(), 0
        self.name, self.tag, self.first = "", b"", True

    def feed(self, data):
        self.buffer += data
        while True:
            if self.literal:
                size = min(self.literal, PIECE)
                if len(self.buffer) < size:
                    return
                self.literal -= size
                yield self._part("literal", size, False)
                continue
            end = self.buffer.find(b"\n") + 1
            if not end:
                return
            line = bytes(self.buffer[:end])
            if self.first:
                self._begin(line)
            literal = LITERAL.search(line)
            self.literal = int(literal[1]) if literal else 0
            yield self._part("line", end, not literal)

    def _part(self, kind, size, last):
        data, first = bytes(self.buffer[:size]), self.first
        del self.buffer[:size]
        self.first = last
        return kind, self.name, self.tag, data, first, last

    def _begin(self, line):
        words = line.split(None, 3)
        self.tag, self.name = b"", ""
        if not words:
            return
        if self.direction == "up":
            if self.link.asking and len(words) == 1:
                self.name = "continuation"
                return
            self.tag = words[0]
            self.name = words[1].upper().decode("ascii", "replace") if len(words) > 1 else ""
            if self.name == "UID" and len(words) > 2:
                self.name += " " + words[2].upper().decode("ascii", "replace")
            self.link.asking = self.name in ("AUTHENTICATE", "IDLE")
            self.link.commands[self.tag] = self.name
            return
        word = words[1].upper().decode("ascii", "replace") if len(words) > 1 else ""
        if not self.link.greeted:
            self.link.greeted = True
            self.name = "greeting"
        elif words[0] == b"+":
            self.name = "+"
        elif words[0] == b"*":
            if word.isdigit() and len(words) > 2:
                word = words[2].upper().decode("ascii", "replace")
            self.name = "* " + word.rstrip("\r\n")
        else:
            self.tag = words[0]
            self.name = "%s %s" % (word, self.link.commands.pop(self.tag, "?"))

    def rest(self):
        return bytes(self.buffer)


class Held:
    """What a client had sent and the server has not got. The connection to the server is still there."""

    def __init__(self, link):
        self.link, self.parts, self.tail = link, [], b""
        self.begun = link.unfinished if link.unfinished and not link.unfinished[-1].last else []

    def commands(self, name="APPEND"):
        """The whole commands of that name, as bytes; also one that the server has a part of."""
        found, now = [], b""
        for part in self.begun + self.parts:
            now = part.whole if part.first else now + part.whole
            if part.last and part.name == name:
                found.append(now)
        return found

    async def deliver(self):
        """The server gets it now, and then the end of the stream; returns when it has dealt with all."""
        link = self.link
        try:
            link.server[1].write(b"".join(p.data for p in self.parts) + self.tail)
            await link.server[1].drain()
            link.server[1].write_eof()
            await asyncio.wait_for(link.server_done.wait(), 20)
        except OSError:
            pass
        link.server[1].close()

    async def drop(self):
        self.link.server[1].transport.abort()
        await asyncio.wait_for(self.link.server_done.wait(), 20)


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, site, number, client, server):
        self.proxy, self.site, self.number, self.client, self.server = proxy, site, number, client, server
        self.commands, self.greeted, self.asking = {}, False, False
        self.dead = asyncio.Event()         # nothing passes any more: cut, reset, or a black hole
        self.gone = asyncio.Event()         # the client has ended
        self.server_done, self.client_done = asyncio.Event(), asyncio.Event()
        self.trickle = {"up": None, "down": None}
        self.shut = {"up": False, "down": False}
        self.held, self.unfinished = None, []     # parts of the command that is passing
        self.refusal = self.parser_up = None

    def hold(self):
        if not self.held:
            self.held = Held(self)
            self.proxy.held.append(self.held)
        return self.held

    def cut(self):
        self.dead.set()
        for _, writer in (self.client, self.server):
            writer.close()

    def reset(self):
        self.dead.set()
        for _, writer in (self.client, self.server):
            _reset(writer)


def _reset(writer):
    sock = writer.get_extra_info("socket")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    writer.transport.abort()


class FaultProxy:
    def __init__(self, targets, on_part=None, lag=0.0, host=HOST):
        """`targets`: name of a site -> port. `lag`: seconds that APPENDs are under way to the server."""
        self.targets, self.host, self.lag = dict(targets), host, lag
        self.on_part = on_part
        self.ports, self.links, self.held, self.trouble = {}, [], [], []
        self.parts = 0
        self.killed = False
        self._thread = self.loop = None

    # --- for tests, from any thread -------------------------------------------------------------------------------

    def start(self):
        ready, trouble = threading.Event(), []

        def run():
            try:
                asyncio.run(self._serve(ready))
            except Exception as error:      # told to start()
                trouble.append(error)
            ready.set()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if not ready.wait(10) or trouble:
            raise RuntimeError("the proxy did not start: %s" % trouble)
        return self

    def stop(self):
        if self._thread and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(5)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def call(self, coroutine, timeout=30):
        """Runs a coroutine in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def reset(self, on_part=None, lag=0.0):
        """Forgets what was; for the next run of a program."""
        async def again():
            for link in self.links:
                link.cut()
            self.links, self.held, self.trouble = [], [], []
            self.parts, self.killed, self.lag = 0, False, lag
            self.on_part = on_part
        self.call(again())

    def clients_gone(self):
        """Waits until every client has ended and all that it had sent is in `held`, or with the server."""
        async def gone():
            for link in list(self.links):
                await asyncio.wait_for(link.client_done.wait(), 20)
        self.call(gone())
        if self.trouble:
            raise self.trouble.pop()

    def kill(self):
        """The clients are dead from now on: what they had sent is held. Call it in on_part, or before the program is killed."""
        self.killed = True

    def deliver(self):
        for held in self.held:
            self.call(held.deliver())
        self.held = []

    def drop(self):
        for held in self.held:
            self.call(held.drop())
        self.held = []

    async def land(self, site, commands, user="ann", password="any"):
        """Sends commands over a connection of their own, and waits until the server has dealt with them: what was held lands, and may do so
        again and again from the same state."""
        reader, writer = await asyncio.open_connection(self.host, self.targets[site], limit=1 << 20)
        writer.write(b"l LOGIN %s %s\r\n" % (user.encode(), password.encode()) + b"".join(commands))
        writer.write_eof()
        while await asyncio.wait_for(reader.read(PIECE), 20):
            pass
        writer.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _serve(self, ready):
        self.loop, self._stopping, self._tasks = asyncio.get_running_loop(), asyncio.Event(), set()
        servers = []
        for name, port in self.targets.items():
            server = await asyncio.start_server(
                lambda r, w, name=name, port=port: self._connected(name, port, r, w), self.host, 0, backlog=1024)
            self.ports[name] = server.sockets[0].getsockname()[1]
            servers.append(server)
        ready.set()
        await self._stopping.wait()
        for server in servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, site, port, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            try:
                server = await asyncio.open_connection(self.host, port, limit=1 << 20)
            except OSError:
                writer.close()
                return
            for one in (writer, server[1]):
                one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, site, len(self.links) + 1, (reader, writer), server)
            self.links.append(link)
            down = asyncio.ensure_future(self._down(link))
            try:
                await self._up(link)
            finally:
                link.gone.set()
                link.client_done.set()
                try:
                    await down
                finally:
                    writer.close()
                    if not link.held:
                        server[1].close()
        except (OSError, asyncio.CancelledError):
            writer.close()
        finally:
            self._tasks.discard(task)

    async def _read(self, reader):
        try:
            return await reader.read(PIECE)
        except OSError:
            return b""

    async def _up(self, link):
        """Client to server."""
        parser, queue = Parser(link, "up"), asyncio.Queue()
        link.parser_up = parser
        sender = asyncio.ensure_future(self._send_up(link, queue))
        try:
            while data := await self._read(link.client[0]):
                for found in parser.feed(data):
                    queue.put_nowait((self.loop.time() + (self.lag if found[1] == "APPEND" else 0), found))
        finally:
            link.gone.set()
            queue.put_nowait(None)
            await sender
        if link.held or (self.killed and not link.dead.is_set()):
            link.hold().tail = parser.rest()
        elif link.dead.is_set() or link.shut["up"]:
            link.server[1].close()
        else:
            try:
                link.server[1].write(parser.rest())
                link.server[1].write_eof()
            except OSError:
                pass

    async def _send_up(self, link, queue):
        """What still waits for its time when the client is gone is in flight."""
        while entry := await queue.get():
            due, found = entry
            if (wait := due - self.loop.time()) > 0:
                try:
                    await asyncio.wait_for(link.gone.wait(), wait)
                    link.hold()
                except asyncio.TimeoutError:
                    pass
            await self._pass(link, "up", found)

    async def _down(self, link):
        """Server to client."""
        parser = Parser(link, "down")
        try:
            while data := await self._read(link.server[0]):
                for found in parser.feed(data):
                    await self._pass(link, "down", found)
            if not link.dead.is_set() and not self.killed:
                if rest := parser.rest():
                    await self._write(link, "down", rest)
                if not link.shut["down"]:
                    link.client[1].write_eof()
        except OSError:
            pass
        finally:
            link.server_done.set()

    def _make(self, link, direction, found):
        part = Part()
        part.kind, part.name, part.tag, part.data, part.first, part.last = found
        part.site, part.link, part.direction, part.whole = link.site, link, direction, part.data
        self.parts += 1
        part.number = self.parts
        return part

    async def _pass(self, link, direction, found):
        part = self._make(link, direction, found)
        if link.dead.is_set():
            return
        if direction == "up" and (link.held or self.killed):
            link.hold().parts.append(part)
            return
        if self.killed:
            return
        if direction == "up" and link.refusal:
            await self._refuse(link, part)
            return
        if direction == "up":
            link.unfinished = (link.unfinished if not part.first else []) + [part]
        try:
            action = self.on_part(part) if self.on_part else None
            if inspect.isawaitable(action):
                action = await action
        except Exception as error:      # the test's own: it is told by clients_gone()
            self.trouble.append(error)
            action = ("cut",)
        await self._act(link, direction, part, action)

    async def _act(self, link, direction, part, action):
        if action is None:
            await self._write(link, direction, part.data)
            return
        name, *rest = action
        if name == "cut":
            link.cut()
        elif name == "reset":
            link.reset()
        elif name == "half_close":
            link.shut[direction] = True
            link.server[1].write_eof() if direction == "up" else link.client[1].write_eof()
        elif name == "blackhole":
            link.dead.set()
        elif name == "trickle":
            link.trickle[direction] = list(rest)
            await self._write(link, direction, part.data)
        elif name == "replace":
            await self._write(link, direction, rest[0].replace(b"{tag}", part.tag))
        elif name == "refuse":
            link.refusal = rest[0].replace(b"{tag}", part.tag)
            await self._refuse(link, part)
        elif name == "bye":
            await self._write(link, "down", rest[0])
            link.cut()
        elif name == "hold":
            link.unfinished = [p for p in link.unfinished if p is not part]
            link.hold().parts.append(part)
        elif name == "split":
            await self._write(link, direction, part.data[:rest[0]])
            part.data = part.data[rest[0]:]
            await self._act(link, direction, part, rest[1])
        elif name != "swallow":
            raise ValueError("no such action: %s" % name)

    async def _refuse(self, link, part):
        """A command ends with its last part, or where the client waits to be asked for a literal."""
        waits = part.kind == "line" and (found := LITERAL.search(part.data)) and found[2] != b"+"
        if part.last or waits:
            await self._write(link, "down", link.refusal)
            link.refusal, link.parser_up.first, link.parser_up.literal = None, True, 0

    async def _write(self, link, direction, data):
        writer = link.server[1] if direction == "up" else link.client[1]
        if link.shut[direction] or writer.is_closing():
            return
        slow = link.trickle[direction]
        try:
            while data:
                size = slow[0] if slow and slow[2] > 0 else len(data)
                writer.write(data[:size])
                data = data[size:]
                await writer.drain()
                if slow and slow[2] > 0:
                    slow[2] -= size
                    await asyncio.sleep(slow[1])
        except OSError:
            pass
