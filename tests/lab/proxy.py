"""Starts delayproxy.c, the TCP proxy that adds a round-trip time (and faults) to loopback.

    with Proxy([("127.0.0.1", old.imap_port)], rtt_ms=25, stats=folder + "/stats.json") as proxy:
        ... connect to proxy.host, proxy.ports[0] ...
"""
import json
import os
import selectors
import signal
import subprocess
import time

from . import process

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delayproxy.c")


def build():
    return process.build(SOURCE)


class Proxy:
    def __init__(self, targets, rtt_ms=0, rate=0, buffer=64 << 20, stats=None, cut=None, stall=None, times=0, handshake=True,
                 ports=None, host="127.0.0.1", detach=False):
        """`targets`: list of (host, port); one listener for each, their ports in `self.ports`, in the same order.
        `rate`: bytes a second that each target's line carries in each direction (0: no limit).
        `cut`, `stall`: (direction "up" or "down", bytes): fault when so much has passed, on the first `times`
        connections (0: on all). `stats`: file for per-connection counts, see read_stats()."""
        self.targets, self.host, self.stats_file, self.detach = list(targets), host, stats, detach
        self.argv = [build(), "--rtt", str(rtt_ms), "--buffer", str(buffer), "--times", str(times)]
        for name, fault in (("--cut", cut), ("--stall", stall)):
            if fault:
                self.argv += [name, "%s:%d" % fault]
        if rate:
            self.argv += ["--rate", str(rate)]
        if stats:
            self.argv += ["--stats", stats]
        if not handshake:
            self.argv.append("--no-handshake")
        self.ports = list(ports) if ports else [0] * len(self.targets)
        self.process = self.pid = None

    def start(self, timeout=10.0):
        wanted = [port or process.free_port(self.host) for port in self.ports]
        forwards = ["%s:%d=%s:%d" % (self.host, port, *target) for port, target in zip(wanted, self.targets)]
        environment = dict(os.environ, DELAYPROXY_DETACHED="1") if self.detach else None
        self.process = process.start(self.argv + forwards, detach=self.detach, stdout=subprocess.PIPE, env=environment)
        self.pid = self.process.pid
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            said, end = b"", time.monotonic() + timeout
            while said.count(b"\n") < len(forwards):
                if not selector.select(max(0, end - time.monotonic())):
                    self.stop()
                    raise TimeoutError("the proxy did not start")
                piece = os.read(self.process.stdout.fileno(), 4096)
                if not piece:
                    self.stop()
                    raise RuntimeError("the proxy did not start")
                said += piece
        self.process.stdout.close()
        self.ports = [int(line) for line in said.split()]
        return self

    def stop(self):
        if self.process:
            process.stop(self.process, 3.0)
            self.process = None

    def cut_all(self):
        """Resets all connections now."""
        self.process.send_signal(signal.SIGUSR1)

    def toggle_stall(self):
        """Passes nothing more on any connection, until called again."""
        self.process.send_signal(signal.SIGUSR2)

    def read_stats(self, timeout=5.0):
        """List of dicts: connection, listener (port), open, up, down (bytes), turns (round trips), seconds."""
        if self.process:
            before = self._dump()
            self.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + timeout
            while self._dump() == before:
                if time.monotonic() > end:
                    raise TimeoutError("the proxy wrote no statistics")
                time.sleep(0.002)  # the file appears by rename; there is nothing to wait on but its name
        with open(self.stats_file) as file:
            return sorted(json.load(file)["connections"], key=lambda c: c["connection"])

    def _dump(self):
        try:
            with open(self.stats_file) as file:
                return json.load(file)["dump"]
        except FileNotFoundError:
            return 0

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
