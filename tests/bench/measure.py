"""Runs one tool once and takes its measures, and those of the two servers and the way between."""
import dataclasses
import json
import os
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")


def build(name, *libraries):
    """Compiles one of the C programs here; returns its path. Made again when the source is newer."""
    folder = os.path.join(tempfile.gettempdir(), "bench-tools-%d" % os.getuid())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.lstat(folder).st_uid != os.getuid():
        raise SystemExit("bench: %s belongs to somebody else" % folder)
    source, program = os.path.join(HERE, name + ".c"), os.path.join(folder, name)
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        fresh = "%s.%d" % (program, os.getpid())
        subprocess.run(["cc", "-O2", "-g", "-Wall", "-o", fresh, source, *libraries], check=True)
        os.rename(fresh, program)
    return program


@dataclasses.dataclass
class Result:
    wall: float = 0.0
    user: float = 0.0
    sys: float = 0.0
    max_rss_kb: int = 0
    sum_rss_kb: int = 0
    exit: int = 0
    signal: int = 0
    timed_out: bool = False
    source_cpu: float = 0.0
    target_cpu: float = 0.0
    turns: int = 0          # of the connection with the most; 0 where there is no proxy
    connections: int = 0
    failed: str = ""        # why the result is not to be trusted
    said: str = ""

    @property
    def cpu(self):
        return self.user + self.sys

    @property
    def server_cpu(self):
        return self.source_cpu + self.target_cpu

    @property
    def memory_kb(self):
        return max(self.max_rss_kb, self.sum_rss_kb)


class ServerCpu:
    """CPU seconds of a Dovecot with all of its processes, those that have ended included."""

    def __init__(self, server):
        self.master = server.pid
        self.start = self.total()

    def total(self):
        ticks = 0
        for pid, fields in self._processes():
            ticks += int(fields[11]) + int(fields[12])
            if pid == self.master:
                ticks += int(fields[13]) + int(fields[14])  # of children that have ended: Dovecot's have none of their own
        return ticks / TICK

    def _processes(self):
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/stat" % name) as file:
                        fields = file.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.master:  # its session
                    yield int(name), fields

    def sessions(self):
        """How many users' processes are still there."""
        count = 0
        for pid, fields in self._processes():
            try:
                with open("/proc/%d/comm" % pid) as file:
                    count += fields[0] != "Z" and file.read().strip() == "imap"
            except OSError:
                pass
        return count

    def used(self, timeout=5.0):
        """Since it was made. Waits until the sessions are closed, so that their ends are counted where they belong."""
        end = time.monotonic() + timeout
        while self.sessions() and time.monotonic() < end:
            time.sleep(0.02)
        return self.total() - self.start


class Turns:
    """Round trips that were counted by the proxies since it was made."""

    def __init__(self, proxies):
        self.proxies = [(proxy, self._newest(proxy)) for proxy in proxies]

    @staticmethod
    def _newest(proxy):
        return max((c["connection"] for c in proxy.read_stats()), default=-1)

    def used(self):
        mine = [c for proxy, newest in self.proxies for c in proxy.read_stats() if c["connection"] > newest]
        return max((c["turns"] for c in mine), default=0), len(mine)


def run(command, place, proxies, timeout, cwd, env=None, sample_ms=0):
    """Runs a tool's command (a list). What it says goes to a file in `cwd`; the end of it is kept in the result."""
    result_file, said_file = os.path.join(cwd, "measures.json"), os.path.join(cwd, "said")
    os.sync()  # what the run before left to be written must not slow this one down
    servers = ServerCpu(place.source), ServerCpu(place.target)
    turns = Turns(proxies)
    with open(said_file, "wb") as said:
        subprocess.run([build("measure"), result_file, str(timeout), str(sample_ms), *command], cwd=cwd, stdin=subprocess.DEVNULL,
                       stdout=said, stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})), check=True)
    with open(result_file) as file:
        result = Result(**json.load(file))
    result.source_cpu, result.target_cpu = (s.used() for s in servers)
    result.turns, result.connections = turns.used()
    with open(said_file, errors="replace") as file:
        result.said = file.read()[-4000:]
    if result.timed_out:
        result.failed = "not ready after %d s" % timeout
    elif result.signal:
        result.failed = "ended by signal %d" % result.signal
    elif result.exit:
        result.failed = "exit status %d" % result.exit
    return result


def median(results, key):
    return statistics.median(key(r) for r in results)
