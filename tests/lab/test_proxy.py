#!/usr/bin/python3
"""Tests the delaying proxy: round trips, throughput, order of bytes, cuts, stalls, statistics."""
import hashlib
import os
import random
import socket
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab.proxy import Proxy  # noqa: E402

passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED: %s %s" % (what, detail))


class Server:
    """Greets, then echoes; or sends / swallows everything, as the first byte of the client asks (E, S, D)."""

    def __init__(self, size):
        self.size = size
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            client.sendall(b"+")
            how = client.recv(1)
            if how == b"S":
                piece = memoryview(bytes(1 << 20))
                for _ in range(self.size >> 20):
                    client.sendall(piece)
            total = 0
            buffer = bytearray(1 << 20)
            while how in (b"E", b"D"):
                n = client.recv_into(buffer)
                if not n:
                    break
                total += n
                if how == b"E":
                    client.sendall(buffer[:n])
            if how == b"D":
                client.sendall(b"%d" % total)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            client.close()


def drain(sock):
    total, buffer = 0, bytearray(1 << 20)
    while True:
        n = sock.recv_into(buffer)
        if not n:
            return total
        total += n


def dial(proxy, how):
    sock = socket.create_connection((proxy.host, proxy.ports[0]), timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    check("greeting", sock.recv(1) == b"+")
    sock.sendall(how)
    return sock


def round_trips(server, folder, rtt):
    with Proxy([("127.0.0.1", server.port)], rtt_ms=rtt, stats=os.path.join(folder, "s%d" % rtt)) as proxy:
        begin = time.monotonic()
        sock = dial(proxy, b"E")
        opened = time.monotonic() - begin
        begin = time.monotonic()
        for _ in range(10):
            sock.sendall(b"ping")
            sock.recv(4)
        each = (time.monotonic() - begin) / 10 * 1000
        check("10 round trips at %d ms" % rtt, rtt <= each < rtt + 3, "%.2f ms" % each)
        check("opening takes two round trips", 2 * rtt <= opened * 1000 < 2 * rtt + 10, opened)
        stats = proxy.read_stats()
        check("turns and bytes", stats[0]["turns"] == 10 and stats[0]["up"] == 41 and stats[0]["down"] == 41, stats)
        sock.close()


def throughput(server, rtt):
    with Proxy([("127.0.0.1", server.port)], rtt_ms=rtt) as proxy:
        for how in b"S", b"D":
            sock = dial(proxy, how)
            begin = time.monotonic()
            if how == b"S":
                total = drain(sock)
            else:
                piece = memoryview(bytes(1 << 20))
                for _ in range(server.size >> 20):
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
                total = int(sock.recv(100))
            took = time.monotonic() - begin
            rate = total / took / 1e6
            check("all bytes %s" % how, total == server.size, total)
            check("%s: more than 200 MB/s at %d ms" % (how.decode(), rtt), rate > 200, "%.0f MB/s" % rate)
            print("rtt %d %s: %.0f MB/s" % (rtt, how.decode(), rate))
            sock.close()
        with open("/proc/%d/stat" % proxy.pid) as file:
            fields = file.read().split()
        print("cpu of the proxy for %d MB: %d ms" % (2 * server.size >> 20, 10 * (int(fields[13]) + int(fields[14]))))


def rates(folder):
    """Two connections share a line; the other direction is another line."""
    server = Server(2 << 20)
    with Proxy([("127.0.0.1", server.port)], rate=2 << 20, stats=os.path.join(folder, "rates")) as proxy:
        socks = [dial(proxy, b"S") for _ in range(2)]
        got, begin = [], time.monotonic()
        threads = [threading.Thread(target=lambda s=s: got.append(drain(s))) for s in socks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        took = time.monotonic() - begin
        check("all bytes of both", got == [2 << 20] * 2, got)
        check("4 MB at 2 MB/s", 1.9 < took < 4, took)
        sock = dial(proxy, b"D")
        begin = time.monotonic()
        sock.sendall(bytes(4 << 20))
        sock.shutdown(socket.SHUT_WR)
        check("all bytes up", int(sock.recv(100)) == 4 << 20)
        took = time.monotonic() - begin
        check("4 MB up at 2 MB/s", 1.9 < took < 4, took)
    with Proxy([("127.0.0.1", server.port)], rate=1 << 20, rtt_ms=100) as proxy:
        sock, sizes, end = dial(proxy, b"S"), {}, time.monotonic() + 1
        sock.recv(1)
        while (now := time.monotonic()) < end:
            sizes[int(now * 20)] = sizes.get(int(now * 20), 0) + len(sock.recv(1 << 16))
        middle = [sizes.get(at, 0) for at in range(min(sizes) + 1, max(sizes))]
        check("bytes come evenly", middle and max(middle) < 3 * sum(middle) / len(middle), middle)


def same_bytes(server, rate=0):
    data = random.Random(1).randbytes(20 << 20)
    with Proxy([("127.0.0.1", server.port)], rtt_ms=7, rate=rate, buffer=1 << 20) as proxy:
        sock = dial(proxy, b"E")
        got = hashlib.sha256()

        def reader():
            while piece := sock.recv(1 << 16):
                got.update(piece)
        thread = threading.Thread(target=reader)
        thread.start()
        for start in range(0, len(data), 99991):
            sock.sendall(data[start:start + 99991])
        sock.shutdown(socket.SHUT_WR)
        thread.join(20)
        check("the same bytes with a small buffer", got.digest() == hashlib.sha256(data).digest())


def faults(server):
    target = [("127.0.0.1", server.port)]
    with Proxy(target, rtt_ms=4, cut=("down", 100001), times=1) as proxy:
        sock = dial(proxy, b"S")
        total = 0
        try:
            while piece := sock.recv(4096):
                total += len(piece)
            check("cut ends with a reset", False)
        except ConnectionResetError:
            check("cut", total <= 100000, total)
        sock = dial(proxy, b"S")
        check("only the first connection is cut", drain(sock) == server.size)
    with Proxy(target, stall=("up", 1000)) as proxy:
        sock = dial(proxy, b"E")
        sock.sendall(b"x" * 5000)
        sock.settimeout(0.3)
        total = 0
        try:
            while total < 5000:
                total += len(sock.recv(10000))
        except TimeoutError:
            pass
        check("stall", total <= 999, total)
    with Proxy(target, rtt_ms=4) as proxy:
        sock = dial(proxy, b"E")
        sock.sendall(b"abc")
        check("before", sock.recv(3) == b"abc")
        proxy.cut_all()
        try:
            check("cut_all", sock.recv(1) is None)
        except ConnectionResetError:
            check("cut_all", True)


def main():
    server = Server(256 << 20)
    with tempfile.TemporaryDirectory() as folder:
        for rtt in (0, 25, 100):
            round_trips(server, folder, rtt)
        for rtt in (0, 25, 100):
            throughput(server, rtt)
        same_bytes(server)
        same_bytes(server, 30 << 20)
        rates(folder)
        faults(server)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
