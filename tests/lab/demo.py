"""The demonstration, scripts/demo: two servers, twelve mailboxes, two of which cannot log in at first.

The program is named by GODWIT. Nothing of what it says decides whether the demonstration succeeded: its exit codes do,
and what the independent reader finds on both servers afterwards."""
import concurrent.futures
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

from . import corpus, fill, process, reader
from .dovecot import Dovecot, Missing
from .varied import varied

MISSING, WRONG = "frank", "judy"
PEOPLE = (MISSING, WRONG, "ann", "bob", "carol", "dave", "erin", "grace", "heidi", "ivan", "karl", "lena")
RETRIES, INTERVAL = 6, 3
BOUND = 100  # seconds, for all that follows the build

CONF = """\
state = "state"
max_mailboxes = 2
max_login_retries = {retries}
login_retry_interval = "{interval}s"

server "old" {{
    url = "{old}"
    ca_file = "{ca}"
}}
server "new" {{
    url = "{new}"
    ca_file = "{ca}"
}}
migration "acme" {{
    source = "old"
    target = "new"
    mailboxes = "acme.csv"
}}
"""


class Failed(Exception):
    pass


def bold(text):
    return "\033[1m%s\033[0m" % text if sys.stdout.isatty() else text


def title(text):
    print("\n" + bold(text))


def say(text):
    print(textwrap.fill(text, columns(), initial_indent="  ", subsequent_indent="  ", break_long_words=False,
                        break_on_hyphens=False), flush=True)


def columns():
    return min(shutil.get_terminal_size((110, 24)).columns, 110)


def wrapped(head, text):
    return textwrap.fill(text, columns(), initial_indent=head, subsequent_indent=" " * (len(head) + 2),
                         break_long_words=False, break_on_hyphens=False)


def show_file(name, text):
    print("\n  " + bold(name))
    print(textwrap.indent(text.rstrip(), "    "))


# --- the stage ----------------------------------------------------------------------------------------------------------

def mail_of(number, user):
    """A varied corpus for three of them, and for the others what people have: mostly small messages, a few large."""
    if number in (0, 3, 6):
        return varied(100 + number, big=1)
    return corpus.realistic(30 + 12 * number, 100 + number, 2 + number % 4)


def set_up(folder):
    passwords = {user: "%s-secret" % user for user in PEOPLE}
    options = {"auth_penalty": False}  # it would slow the second one's attempts down as well, since both come from here
    old = Dovecot(folder, "old", users=passwords, **options).start()
    print("  old server: %s, %d accounts" % (old.url(), len(passwords)))
    new = Dovecot(folder, "new", users={u: p for u, p in passwords.items() if u != MISSING}, separator=".", **options).start()
    print("  new server: %s, %d accounts; another hierarchy separator than the old one" % (new.url(), len(new.users)))
    new.set_password(WRONG, "another-secret")
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda item: fill.fill(old, item[1], passwords[item[1]], mail_of(*item)), enumerate(PEOPLE)))
    print("  mail on the old server: %d messages, %.1f MB, written in %.1f s" % (
        sum(d[0] for d in done), sum(d[1] for d in done) / 1e6, time.monotonic() - begin), flush=True)
    return old, new, passwords


def write_configuration(folder, old, new, passwords):
    conf = CONF.format(retries=RETRIES, interval=INTERVAL, old=old.url(), new=new.url(), ca=old.ca_file)
    with open(os.path.join(folder, "godwit.conf"), "w") as out:
        out.write(conf)
    write_list(folder, passwords)
    return conf


def write_list(folder, passwords):
    with open(os.open(os.path.join(folder, "acme.csv"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write("source_user,source_password,target_user,target_password\n")
        for user in PEOPLE:
            out.write("%s,%s-secret,%s,%s\n" % (user, user, user, passwords[user]))


# --- running it ---------------------------------------------------------------------------------------------------------

class Once:
    """`godwit once`, its lines shown as they come, with the seconds since its start."""

    def __init__(self, folder, deadline, *options):
        self.begin, self.deadline = time.monotonic(), deadline
        self.lines, self.shown, self.synced, self.ended = queue.Queue(), 0, set(), False
        argv = ["once", "-c", "godwit.conf", *options]
        print("\n  $ godwit %s\n" % " ".join(argv), flush=True)
        self.child = process.start([os.environ["GODWIT"], *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.decode("utf-8", "replace").rstrip())
        self.lines.put(None)

    def note(self, text):
        """Something that the demonstration itself has done or seen."""
        print(bold(wrapped("%6.1f s > " % (time.monotonic() - self.begin), text)), flush=True)

    def follow(self, until=lambda: False, seconds=None):
        """Shows lines until `until()`, or that many seconds have passed, or the end. True when it has not ended."""
        stop = min(self.deadline, time.monotonic() + seconds) if seconds else self.deadline
        while not self.ended and not until():
            left = stop - time.monotonic()
            if left <= 0:
                if stop == self.deadline:
                    raise Failed("godwit did not come to its end within %d s" % BOUND)
                return True
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                continue
            if line is None:
                self.ended = True
                break
            print(wrapped("%6.1f s | " % (time.monotonic() - self.begin), line.removeprefix("godwit: ")), flush=True)
            self.shown += 1
            for user in PEOPLE:
                if ("acme/%s:" % user) in line and " synced" in line:
                    self.synced.add(user)
        return not self.ended

    def end(self):
        self.follow()
        code = self.child.wait(10.0)
        print("%s  exit code %d, after %.1f s" % ("\n" if self.shown else "", code, time.monotonic() - self.begin), flush=True)
        return code

    def connections(self):
        """How many TCP connections the process has at this moment, as the kernel knows it."""
        inodes = set()
        with open("/proc/%d/net/tcp" % self.child.pid) as table:
            for line in list(table)[1:]:
                inodes.add("socket:[%s]" % line.split()[9])
        folder, count = "/proc/%d/fd" % self.child.pid, 0
        for name in os.listdir(folder):
            try:
                count += os.readlink(os.path.join(folder, name)) in inodes
            except OSError:
                pass  # closed meanwhile
        return count


def first_run(folder, new, deadline):
    once = Once(folder, deadline, "--log-level", "info")
    good = set(PEOPLE) - {MISSING, WRONG}
    if not once.follow(lambda: once.synced >= good, 40):
        once.end()
        raise Failed("godwit ended before the demonstration was over")
    if not once.synced >= good:
        raise Failed("not all of the ten good mailboxes were synced within 40 s")
    took = time.monotonic() - once.begin
    once.note("All ten mailboxes that can log in are done after %.1f s. %s and %s stand first in the list, and only two are "
              "copied at a time: the ten behind them went past." % (took, MISSING.capitalize(), WRONG.capitalize()))
    # Between two attempts a parked mailbox holds nothing.
    if not once.follow(lambda: once.connections() == 0, 0.01):
        raise Failed("godwit ended while two mailboxes were waiting")
    until = time.monotonic() + 3 * INTERVAL
    while (open_now := once.connections()) != 0 and time.monotonic() < until:
        once.follow(seconds=0.05)
    if open_now:
        raise Failed("parked mailboxes held %d connections" % open_now)
    once.note("The two that are left are parked on a timer. godwit has no connection open at this moment (/proc says so).")
    once.follow(seconds=1.0)
    new.add_user(MISSING, "%s-secret" % MISSING)
    once.note("The administrator of the new server makes %s's account now. Nobody tells godwit." % MISSING.capitalize())
    if not once.follow(lambda: MISSING in once.synced, 3 * INTERVAL + 10):
        raise Failed("godwit ended before %s was done" % MISSING)
    if MISSING in once.synced:
        once.note("%s is in. %s's password is still wrong." % (MISSING.capitalize(), WRONG.capitalize()))
    return once.end()


# --- looking at both sides ----------------------------------------------------------------------------------------------

def compare(old, new, passwords):
    """A line for each mailbox; returns those whose target is not exactly what the source is."""
    print("\n  %-8s %8s %9s %9s   %s" % ("mailbox", "folders", "messages", "MB", "on the new server"))
    different = set()
    for user in PEOPLE:
        source = reader.read(old, user, "%s-secret" % user)
        messages = [e for entries in source.folders.values() for e in entries]
        target = reader.read(new, user, passwords[user])
        found = reader.compare(source, target)
        empty = not any(target.folders.values())
        verdict = "the same" if not found else "nothing there" if empty else "%d differences" % len(found)
        print("  %-8s %8d %9d %9.1f   %s" % (user, len(source.folders), len(messages), sum(e.size for e in messages) / 1e6,
                                            verdict), flush=True)
        if found:
            different.add(user)
            if not empty:
                print(textwrap.indent("\n".join(found[:5]), "           "))
    return different


def expect(what, found, wanted):
    if found != wanted:
        raise Failed("%s: %s, but it should be %s" % (what, found, wanted))


def show(folder, deadline):
    title("1. Two mail servers on this machine, with TLS, and mail in one of them")
    old, new, passwords = set_up(folder)
    listed = dict(passwords)
    real = dict(passwords, **{WRONG: "another-secret"})

    title("2. What is to be done")
    conf = write_configuration(folder, old, new, listed)
    show_file("godwit.conf", conf)
    show_file("acme.csv", "source_user,source_password,target_user,target_password\n%s,***,%s,***\n%s,***,%s,***\n… and ten more" % (
        MISSING, MISSING, WRONG, WRONG))
    print()
    say("Two mailboxes are in trouble, and stand first in the list: %s has no account on the new server yet, and of %s the list "
        "has a wrong password there." % (MISSING, WRONG))

    title("3. One pass over all of them")
    code = first_run(folder, new, deadline)
    expect("the exit code", code, 1)
    say("1 means: finished, but something failed. %s was given up after %d attempts; with the defaults it would have been 60 "
        "attempts, a minute apart, and nobody would have waited for it either." % (WRONG.capitalize(), RETRIES))

    title("4. Is it true? Another program reads both servers and compares every message: bytes, date, flags, keywords")
    different = compare(old, new, real)
    expect("mailboxes that differ", sorted(different), [WRONG])

    title("5. The administrator corrects %s's password in the list, and runs the same once more" % WRONG.capitalize())
    write_list(folder, real)
    once = Once(folder, deadline)
    expect("the exit code of the second run", once.end(), 0)
    if not once.shown:
        say("It said nothing, as is fit for cron: all is well.")
    different = compare(old, new, real)
    expect("mailboxes that differ after the second run", sorted(different), [])


CLOSING = """\
Twelve mailboxes had to be moved, two of them could not log in. The ten others were copied at once. The one whose account was \
made meanwhile was copied without anybody asking for it. The one with a wrong password was given up, by name and with the \
server's own words, and the exit code was 1. After its password was corrected the second run copied it, sent nothing a second \
time, and ended with 0. Both servers hold the same mail, each message exactly once."""


def on_signal(number, _frame):
    raise SystemExit(128 + number)


def main(argv):
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGHUP, on_signal)
    folder = tempfile.mkdtemp(prefix="godwit-demo-")
    keep = "--keep" in argv
    try:
        show(folder, time.monotonic() + BOUND)
        title("It came out as it should")
        say(CLOSING)
        return 0
    except (Failed, Missing, OSError, RuntimeError, subprocess.SubprocessError) as error:
        print("\n" + bold("The demonstration FAILED: %s" % error), flush=True)
        keep = True
        return 1
    except KeyboardInterrupt:
        print("\n  interrupted; stopping the servers", flush=True)
        return 130
    finally:
        process._stop_all()  # pylint: disable=protected-access
        if keep:
            print("  The servers' folders, their logs and the configuration are in %s" % folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
