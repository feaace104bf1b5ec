"""Many mailboxes at once: how much memory, how many descriptors, how long the loop kept others waiting. See README.md; `scripts/bench scale`."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from lab import crowd, process
from lab.dovecot import Dovecot
from lab.proxy import Proxy

CONF = """\
state = "{folder}/state"
control = "{folder}/control.sock"
max_mailboxes = {running}
server "source" {{
    url = "{scheme}://127.0.0.1:{source_port}"
    {trust}
    max_connections = {connections}
}}
server "target" {{
    url = "{scheme}://127.0.0.1:{target_port}"
    {trust}
    max_connections = {connections}
}}
migration "crowd" {{
    source = "source"
    target = "target"
    mailboxes = "crowd.csv"
}}
"""
BESIDE = 200    # sessions that a server must have room for beside those that run: logins, and what is being closed


class Crowd:
    """Two Dovecots with room for many sessions, and the mailboxes of the source."""

    def __init__(self, folder, registered, running, messages=3, plain=False, rtt=0, fsync="optimized"):
        os.chmod(folder, 0o755)
        self.folder, self.plain, self.running = folder, plain, running
        self.names = crowd.users(registered)
        extra = crowd.room(running + running // 8 + BESIDE)
        self.source, self.target = (Dovecot(folder, name, tls="none" if plain else "starttls+imaps", users={}, extra_config=extra,
                                            max_userip_connections=100000, fsync=fsync) for name in ("source", "target"))
        self.proxies, self.rtt = [], rtt
        crowd.fill(self.source, self.names, messages)
        crowd.add(self.target, self.names)

    def __enter__(self):
        self.source.start()
        self.target.start()
        if self.rtt:
            self.proxies = [Proxy([("127.0.0.1", s.imap_port if self.plain else s.imaps_port)], rtt_ms=self.rtt).start()
                            for s in (self.source, self.target)]
        return self

    def __exit__(self, *_):
        for proxy in self.proxies:
            proxy.stop()
        self.source.kill()
        self.target.kill()

    def ports(self):
        if self.proxies:
            return [p.ports[0] for p in self.proxies]
        return [s.imap_port if self.plain else s.imaps_port for s in (self.source, self.target)]

    def configure(self, connections=None):
        """Writes the configuration and the list; returns the name of the file."""
        source_port, target_port = self.ports()
        with open(os.path.join(self.folder, "godwit.conf"), "w") as out:
            out.write(CONF.format(
                folder=self.folder, running=self.running, connections=connections or self.running + self.running // 8 + 1,
                scheme="imap" if self.plain else "imaps", source_port=source_port, target_port=target_port,
                trust="allow_plaintext = true" if self.plain else 'ca_file = "%s"' % self.source.ca_file))
        with open(os.path.join(self.folder, "crowd.csv"), "w") as out:
            out.write("source_user,source_password,target_user,target_password\n")
            out.writelines("{0},{1},{0},{1}\n".format(name, crowd.PASSWORD) for name in self.names)
        os.chmod(os.path.join(self.folder, "crowd.csv"), 0o600)
        return os.path.join(self.folder, "godwit.conf")


class Watch(threading.Thread):
    """Looks at a process from outside, ten times a second. The memory of the connections is what it has above its beginning."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.samples = pid, []

    def run(self):
        while True:
            try:
                with open("/proc/%d/status" % self.pid) as file:
                    rss = int(re.search(r"VmRSS:\s*(\d+) kB", file.read())[1])
                files = len(os.listdir("/proc/%d/fd" % self.pid))
            except (OSError, TypeError):
                return
            self.samples.append((time.monotonic(), rss, files))
            time.sleep(0.1)


class Hold(threading.Thread):
    """Stops the source's session of each mailbox that has a slot, until so many have one at once; then lets all of them go on."""

    def __init__(self, server, log, running, registered):
        super().__init__(daemon=True)
        self.server, self.log, self.running, self.registered, self.most, self.over = server, log, running, registered, 0, threading.Event()

    def _sessions(self):
        """(pid, user) as Dovecot tells in the titles of its processes: imap: [user address state]"""
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % name) as file:
                    if int(file.read().rpartition(")")[2].split()[3]) != self.server.pid:
                        continue
                with open("/proc/%s/cmdline" % name) as file:
                    user = re.search(r"imap/?\w*:? ?\[(\S+) ", file.read())
            except OSError:
                continue
            if user:
                yield int(name), user[1]

    def run(self):
        stopped, seen, has_slot = set(), 0, set()
        # When all have had one, some were through before they could be stopped.
        while self.most < self.running and len(has_slot) < self.registered and not self.over.is_set():
            with open(self.log, errors="replace") as file:
                file.seek(seen)
                text = file.read()
                seen = file.tell()
            for user, count in re.findall(r"/(\w+): slot taken \((\d+) of", text):
                has_slot.add(user)
                self.most = max(self.most, int(count))
            for pid, user in self._sessions():
                if user in has_slot and pid not in stopped:
                    stopped.add(pid)
                    _signal(pid, signal.SIGSTOP)
            time.sleep(0.02)
        for pid in stopped:
            _signal(pid, signal.SIGCONT)


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def numbers(line):
    return [float(n) for n in re.findall(r"\d+(?:\.\d+)?", line)]


def run(program, crowd_, command="once", hold=False):
    """One run; returns what was measured as a dictionary. `hold`: lets nobody finish until all slots are taken."""
    conf = crowd_.configure()
    log = os.path.join(crowd_.folder, "log")
    begin = time.monotonic()
    with open(log, "wb") as said:
        child = process.start([program, command, "-c", conf, "--log-level", "debug"],
                              stdout=subprocess.DEVNULL, stderr=said)
    watch = Watch(child.pid)
    watch.start()
    holder = Hold(crowd_.source, log, crowd_.running, len(crowd_.names))
    if hold:
        holder.start()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    watch.join(1)
    holder.over.set()
    if hold:
        holder.join()
    with open(log, errors="replace") as file:
        lines = file.read().splitlines()
    taken = [numbers(line.rpartition("(")[2])[0] for line in lines if ": slot taken (" in line]
    first = next((s for s in watch.samples if s[2] < 30), watch.samples[0] if watch.samples else (0, 0, 0))
    peak = max(watch.samples, key=lambda s: s[1], default=(0, 0, 0))
    most = max((s[2] for s in watch.samples), default=0)
    running = int(max(taken, default=0))
    meters = {name: next((line for line in reversed(lines) if ": %s: " % name in line), "") for name in ("loop", "ledger")}
    return {"exit": child.returncode, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_kb": usage.ru_maxrss,
            "registered": len(crowd_.names), "running": running, "descriptors": most,
            "kb_per_running": (peak[1] - first[1]) / max(1, running),
            "mailboxes_per_s": len(crowd_.names) / wall, "loop": meters["loop"].partition("loop: ")[2],
            "ledger": meters["ledger"].partition("ledger: ")[2], "log": log,
            "synced": sum(": synced: " in line for line in lines),
            "failures": [line for line in lines if re.search(r": (error|warning): ", line)][:20]}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="scripts/bench scale", description=__doc__)
    parser.add_argument("--registered", type=int, default=10000)
    parser.add_argument("--running", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=3, help="in each mailbox (3)")
    parser.add_argument("--rtt", type=float, default=100, help="in ms (100)")
    parser.add_argument("--no-hold", action="store_true", help="do not make so many run at once: let them end as they can")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--keep", metavar="DIR", help="work in DIR, and leave it")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    from .bench import build_godwit  # pylint: disable=import-outside-toplevel
    program = build_godwit()
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as temporary:
        folder = args.keep or temporary
        os.makedirs(folder, exist_ok=True)
        with Crowd(folder, args.registered, args.running, args.messages, args.plain, args.rtt) as place:
            result = run(program, place, hold=not args.no_hold)
            wrong = crowd.compare(place.source, place.target, place.names)
        result["wrong"] = len(wrong)
        if wrong:
            print("not the same on both sides: %s" % ", ".join(wrong[:10]), file=sys.stderr)
        for line in result["failures"]:
            print(line, file=sys.stderr)
        for key, value in result.items():
            if key not in ("log", "failures"):
                print("%-16s %s" % (key, "%.2f" % value if isinstance(value, float) else value))
        if args.json:
            with open(args.json, "w") as out:
                json.dump(result, out, indent=1)
    return 1 if wrong or result["exit"] else 0
