"""Runs one tool once and takes its measures, and those of the two servers and the way between."""
import dataclasses
import hashlib
import json
import os
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")


def build(name, *libraries):
    """Compiles one of the C programs here; returns its path. Built once per user and version of its source."""
    folder = os.path.join(tempfile.gettempdir(), "bench-tools-%d" % os.getuid())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.lstat(folder).st_uid != os.getuid():
        raise SystemExit("bench: %s belongs to somebody else" % folder)
    source = os.path.join(HERE, name + ".c")
    with open(source, "rb") as file:
        program = os.path.join(folder, "%s-%s" % (name, hashlib.sha256(file.read()).hexdigest()[:16]))
    if not os.path.exists(program):
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
    others_cpu: float = 0.0  # of the machine: whatever is neither the tool nor the servers nor the way between
    turns: int = 0          # of the connection with the most; 0 where there is no proxy
    connections: int = 0
    finished: float = 0.0   # the end of the whole command, where `wall` is the end of what counts
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


class Machine:
    """CPU seconds of all processes since it was made, as the kernel counts them; those of a hypervisor's other guests included."""

    def __init__(self):
        self.start = self._busy()

    @staticmethod
    def _busy():
        with open("/proc/stat") as file:
            ticks = [int(f) for f in file.readline().split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / TICK  # without idle and iowait

    def used(self):
        return self._busy() - self.start


def process_cpu(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def run(command, place, proxies, timeout, cwd, env=None, sample_ms=0, stamp=False, exits=(0,)):
    """Runs a tool's command (a list). What it says goes to a file in `cwd`, `said`; the end of it is kept in the result. `stamp`: each line behind the
    seconds since the start. `exits`: what it may end with."""
    result_file, said_file = os.path.join(cwd, "measures.json"), os.path.join(cwd, "said")
    os.sync()  # what the run before left to be written must not slow this one down
    servers = ServerCpu(place.source), ServerCpu(place.target)
    turns, machine, way = Turns(proxies), Machine(), sum(process_cpu(p.pid) for p in proxies)
    with open(said_file, "wb") as said:
        subprocess.run([build("measure"), result_file, str(timeout), str(sample_ms), str(int(stamp)), *command], cwd=cwd,
                       stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})), check=True)
    with open(result_file) as file:
        result = Result(**json.load(file))
    busy, way = machine.used(), sum(process_cpu(p.pid) for p in proxies) - way
    result.source_cpu, result.target_cpu = (s.used() for s in servers)
    result.others_cpu = max(0.0, busy - way - result.cpu - result.server_cpu)
    result.finished = result.wall
    result.turns, result.connections = turns.used()
    with open(said_file, errors="replace") as file:
        result.said = file.read()[-4000:]
    if result.timed_out:
        result.failed = "not ready after %d s" % timeout
    elif result.signal:
        result.failed = "ended by signal %d" % result.signal
    elif result.exit not in exits:
        result.failed = "exit status %d" % result.exit
    return result
