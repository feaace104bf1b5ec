"""One functional test: a folder of its own, the program run in it, and everything that it started ended with it.

    def test_something(case):
        old, new = case.serve(mailbox(Box())), case.serve(mailbox(Box()))
        case.configure({"old": site(old), "new": site(new)}, {"m": ("old", "new", [login("ann")])})
        case.run("once").exits(0)"""
import csv
import fcntl
import os
import pathlib
import pty
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios
import time

from lab import process, reader
from lab.fakeimapd import FakeServer

from . import shared
from .tap import Tap

GODWIT = os.environ.get("GODWIT", "godwit")
PATIENCE = 60.0  # seconds for anything that is expected to happen
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|DEADLYSIGNAL")
COLUMNS = ("source_user", "source_password", "target_user", "target_password")


def login(source, password=None, target=None, target_password=None):
    """A row of a mailbox list; the same login on both sides unless told otherwise."""
    password = password or "secret of " + source
    return source, password, target or source, target_password or (password if target is None else "secret of " + target)


def site(server, how=None, port=None, **keys):
    """The keys of a server's section. `how`: "imaps", "starttls" or "plain"; `port`: of something in front of it."""
    found = {}
    if isinstance(server, FakeServer):
        how = how or {"none": "plain"}.get(server.tls, server.tls)
        port = port or server.port
    else:
        how = how or ("plain" if server.tls == "none" else "imaps")
        port = port or (server.imaps_port if how == "imaps" else server.imap_port)
        if how != "plain":
            found["ca_file"] = server.ca_file
    found["url"] = "%s://%s:%d" % ("imaps" if how == "imaps" else "imap", server.host, port)
    if how == "plain":
        found["allow_plaintext"] = True
    return {**found, **keys}


def wait_until(condition, what, patience=PATIENCE):
    """Polls: for what has no event to wait on. Returns what the condition returned."""
    end, pause = time.monotonic() + patience, 0.001
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (patience, what))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.03)


def value(thing):
    if isinstance(thing, bool):
        return "true" if thing else "false"
    return str(thing) if isinstance(thing, int) else '"%s"' % thing


class Program:
    """A godwit that runs. Its output goes to files, so that it is never held up by a reader."""

    def __init__(self, case, argv, environment, plain=False):
        self.number = len(case.programs) + 1
        self.argv = [os.environ["GODWIT_PLAIN"] if plain else GODWIT, *argv]
        self.out_file, self.err_file = (case.folder / ("%s.%d" % (name, self.number)) for name in ("stdout", "stderr"))
        self.killed = False
        with open(self.out_file, "wb") as out, open(self.err_file, "wb") as err:
            self.child = process.start(self.argv, stdout=out, stderr=err, cwd=case.folder, env=environment)
        self.pid = self.child.pid
        self.started = time.monotonic()

    @property
    def out(self):
        return self.out_file.read_text("utf-8", "replace")

    @property
    def err(self):
        return self.err_file.read_text("utf-8", "replace")

    def lines(self, pattern):
        """The lines of the log in which the regular expression is found."""
        return [line for line in self.err.splitlines() if re.search(pattern, line)]

    def wait_for(self, pattern, count=1, patience=PATIENCE):
        """Waits until `count` lines of the log match; returns them."""
        def found():
            lines = self.lines(pattern)
            if len(lines) < count and self.child.poll() is not None and len(self.lines(pattern)) < count:
                raise AssertionError("godwit ended (%s) without %d lines with %r" % (self.child.returncode, count, pattern))
            return lines if len(lines) >= count else None
        return wait_until(found, "%d lines with %r" % (count, pattern), patience)

    def wait(self, patience=PATIENCE):
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError("godwit did not end within %g s" % patience) from None
        finally:
            if self.child.returncode is not None and self.child in process._running:
                process._running.remove(self.child)
        if SANITIZER.search(self.err):
            raise AssertionError("a sanitizer found something")
        if self.child.returncode < 0 and not self.killed:
            raise AssertionError("godwit was ended by signal %d" % -self.child.returncode)
        return self

    @property
    def code(self):
        return self.child.returncode

    def exits(self, code):
        """Waits for the end, which must come with that exit code."""
        self.wait()
        if self.code != code:
            raise AssertionError("exit code %d, not %d" % (self.code, code))
        return self

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)
        return self

    def kill_now(self):
        """As in a power cut. May be called from any thread; wait() is due after it."""
        self.killed = True
        self.child.send_signal(signal.SIGKILL)

    def peak(self):
        """The most memory that it had so far, in bytes."""
        with open("/proc/%d/status" % self.pid) as file:
            return int(re.search(r"VmHWM:\s*(\d+) kB", file.read())[1]) << 10


class Case:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.config = self.folder / "godwit.conf"
        self.programs, self._opened = [], []

    # --- what is started ----------------------------------------------------------------------------------------------

    def use(self, thing):
        """Starts something that has start() and stop(); it is ended with the test."""
        thing.start()
        self._opened.append(thing)
        return thing

    def serve(self, behaviour, **options):
        return self.use(FakeServer(behaviour, **options))

    def tap(self, port):
        return self.use(Tap(port))

    def start(self, command, *arguments, environment=None, configured=None, plain=False):
        """Starts the program with the configuration file, if there is one and the command takes it."""
        if configured is None:
            configured = command in ("once", "daemon", "check") and self.config.exists()
        argv = [command, *(["-c", str(self.config)] if configured else []), *arguments]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GODWIT", "NOTIFY", "JOURNAL", "LC_", "LANG"))}
        kept["LC_ALL"] = "C.UTF-8"
        kept.setdefault("ASAN_OPTIONS", "quarantine_size_mb=1:detect_leaks=1")
        program = Program(self, argv, {**kept, **(environment or {})}, plain)
        self.programs.append(program)
        return program

    def run(self, command, *arguments, patience=PATIENCE, **options):
        return self.start(command, *arguments, **options).wait(patience)

    def on_terminal(self, *argv, environment=None):
        """Runs it with a terminal of 80 columns; returns (exit code, all that was shown)."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GODWIT", "LC_", "LANG", "NO_COLOR"))}
        child = process.start([GODWIT, *argv], stdout=its, stderr=its, cwd=self.folder,
                              env={**kept, "LC_ALL": "C.UTF-8", "TERM": "xterm", **(environment or {})})
        os.close(its)
        shown, end = b"", time.monotonic() + PATIENCE
        try:
            while time.monotonic() < end and (data := os.read(ours, 65536)):
                shown += data
        except OSError:
            pass  # the other end is closed
        os.close(ours)
        child.wait(PATIENCE)
        process._running.remove(child)
        return child.returncode, shown.decode("utf-8", "replace").replace("\r\n", "\n")

    # --- configuration --------------------------------------------------------------------------------------------------

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        path.chmod(0o600)
        return path

    def write_list(self, name, rows, header=COLUMNS):
        with open(self.folder / name, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)  # blanks at the ends count only within quotes
            writer.writerow(header)
            writer.writerows(rows)
        (self.folder / name).chmod(0o600)

    def configure(self, servers, migrations, **settings):
        """`servers`: name -> keys, see site(); `migrations`: name -> (source, target, rows of login()), and keys of its own as a fourth."""
        settings = {"state": self.state, "control": self.folder / "control.sock", **settings}
        text = ["%s = %s" % (k, value(v)) for k, v in settings.items()]
        for name, keys in servers.items():
            text += ['server "%s" {' % name, *("    %s = %s" % (k, value(v)) for k, v in keys.items()), "}"]
        for name, (source, target, rows, *keys) in migrations.items():
            self.write_list(name + ".csv", rows)
            text += ['migration "%s" {' % name, '    source = "%s"' % source, '    target = "%s"' % target,
                     '    mailboxes = "%s.csv"' % name, *("    %s = %s" % (k, value(v)) for rules in keys for k, v in rules.items()), "}"]
        self.write("godwit.conf", "\n".join(text) + "\n")

    def pair(self, old, new, rows, rules=(), **settings):
        """One migration "m" from `old` to `new`, which are servers or what site() made of them. `rules`: keys of the migration."""
        old, new = (s if isinstance(s, dict) else site(s) for s in (old, new))
        self.configure({"old": old, "new": new}, {"m": ("old", "new", rows, dict(rules))}, **settings)

    def forget(self):
        """Loses the ledger."""
        shutil.rmtree(self.state)

    def ledger(self, query):
        """Rows out of the ledger of a program that has ended."""
        connection = sqlite3.connect("file:%s?mode=ro" % (self.state / "ledger.sqlite"), uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    # --- the end ----------------------------------------------------------------------------------------------------------

    def explain(self):
        for program in self.programs:
            state = "running" if program.code is None else "exit %d" % program.code
            print("--- %s (%s)" % (" ".join(program.argv), state))
            for name, text in (("stdout", program.out), ("stderr", program.err)):
                if text.strip():
                    print("    %s:\n%s" % (name, "\n".join("    | " + x[:300] for x in text.splitlines()[-40:])))

        for line in list(shared.troubles())[-10:]:
            print("    server " + line[:300])

    def close(self):
        for program in self.programs:
            if program.child.returncode is None:
                program.child.kill()
                program.child.wait(5)
            if program.child in process._running:
                process._running.remove(program.child)
        for thing in reversed(self._opened):
            getattr(thing, "kill", thing.stop)()


# --- what is looked at ------------------------------------------------------------------------------------------------------

def assert_equal(wanted, got, **options):
    differences = reader.compare(wanted, got, **options)
    if differences:
        raise AssertionError("%d differences:\n    %s" % (len(differences), "\n    ".join(differences[:20])))


def assert_no(texts, words):
    for text in texts:
        if words in text:
            raise AssertionError("%r stands in %r" % (words, text[:300]))
