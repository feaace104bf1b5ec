"""A TCP forwarder that counts: connections open at once, bytes, commands; and that acts when so many bytes have passed."""
import asyncio
import re
import threading


class Tap:
    """Forwards to a port on loopback. `peak`: most connections at once; `up`, `down`: bytes to and from the server."""

    def __init__(self, target, host="127.0.0.1"):
        self.target, self.host, self.port = target, host, 0
        self.open = self.peak = self.count = self.up = self.down = 0
        self.sent = bytearray()  # what clients said, when `keep` is set
        self.keep = False
        self._at = []            # (direction, bytes, function)
        self._when = []          # (direction, words, function)
        self._loop = self._thread = None

    def start(self):
        ready = threading.Event()

        def run():
            asyncio.run(self._serve(ready))

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the tap did not start")
        return self

    def stop(self):
        if self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(5)

    def at(self, direction, count, function):
        """Calls `function` once, in the tap's thread, before the bytes that reach that count of all connections are passed on."""
        self._at.append((direction, count, function))

    def when(self, direction, words, function):
        """The same, before the bytes in which these words are; they must come in one piece."""
        self._when.append((direction, words, function))

    def reset(self):
        self.peak, self.count, self.up, self.down = self.open, 0, 0, 0
        self.sent.clear()

    def commands(self, word):
        """How many command lines of that name were sent; needs `keep`, and no TLS."""
        return len(re.findall(rb"(?:^|\r\n)\S+ %s\b" % word.encode(), bytes(self.sent)))

    async def _serve(self, ready):
        self._loop, self._stopping, tasks = asyncio.get_running_loop(), asyncio.Event(), set()

        async def connected(reader, writer):
            task = asyncio.current_task()
            tasks.add(task)
            try:
                await self._forward(reader, writer)
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, self.host, 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader, writer):
        self.count += 1
        # An end that came before this connection may be taken up behind it: first let it be counted.
        await asyncio.sleep(0.005)
        self.open += 1
        self.peak = max(self.peak, self.open)
        server = None
        gone = False

        def client_gone(_task):
            nonlocal gone
            if not gone:
                gone = True
                self.open -= 1

        try:
            server_reader, server = await asyncio.open_connection(self.host, self.target)
            up = asyncio.ensure_future(self._pump(reader, server, "up"))
            up.add_done_callback(client_gone)
            down = asyncio.ensure_future(self._pump(server_reader, writer, "down"))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                # The server's last words still go to the client; a client that has gone takes its connection with it.
                if up.done() and not down.done():
                    await asyncio.wait((down,), timeout=0.2)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        finally:
            client_gone(None)
            if server:
                server.close()

    async def _pump(self, reader, writer, direction):
        while True:
            data = await reader.read(1 << 16)
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            passed = getattr(self, direction) + len(data)
            setattr(self, direction, passed)
            if self.keep and direction == "up":
                self.sent += data
            for entry in [e for e in self._at if e[0] == direction and e[1] <= passed]:
                self._at.remove(entry)
                entry[2]()
            for entry in [e for e in self._when if e[0] == direction and e[1] in data]:
                self._when.remove(entry)
                entry[2]()
            writer.write(data)
            await writer.drain()
