"""Memory of godwit over the number of mailboxes: running, idle, parked."""
import os
import shutil
import subprocess
import threading
import time

from lab import corpus, fill, process
from lab.certs import Authority
from lab.fakeimapd import FakeServer

from . import place as places
from .tools import Job, godwit

RUNNING, IDLE, PARKED = (1, 8, 32, 128), (1, 8, 50, 200), 100_000
LARGE = 5_000_000
RTT = 25            # far enough for all of them to be under way at once
PATIENCE = 240.0
COST = 45.0         # seconds for one of the three, on two quiet cores


class Watch:
    """A godwit whose memory and connections are looked at while it runs."""

    def __init__(self, command, cwd):
        self.kb = self.connections = 0
        with open(os.path.join(cwd, "said"), "wb") as said:
            self.child = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        self.end = time.monotonic() + PATIENCE

    def look(self):
        """False when it has ended."""
        folder = "/proc/%d" % self.child.pid
        try:
            with open(folder + "/status") as file:
                self.kb = max([self.kb, *(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))])
            links = [os.readlink("%s/fd/%s" % (folder, name)) for name in os.listdir(folder + "/fd")]
            self.connections = max(self.connections, sum(link.startswith("socket:") for link in links))
        except OSError:
            pass  # a descriptor that was closed meanwhile, or the process has gone
        if time.monotonic() > self.end:
            self.stop()
            raise TimeoutError("not ready after %d s" % PATIENCE)
        return self.child.poll() is None

    def to_the_end(self, pause=0.02):
        while self.look():
            time.sleep(pause)
        return self.child.returncode

    def until(self, condition, pause=0.02):
        while self.look():
            if condition(self):
                return True
            time.sleep(pause)
        return False

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10)


def _job(folder, source_port, target_port, ca_file, pairs, plain=False):
    return Job(shape=None, place=None, rtt=0, folder=folder, pairs=pairs, bad=(), password=places.PASSWORD, source_port=source_port,
               target_port=target_port, plain=plain, ca_file=ca_file)


def running(folder, program, most, save):
    """`most`: no more mailboxes than that."""
    with places.Place(os.path.join(folder, "place")) as place:
        for what, make, counts in (("small", lambda i: corpus.small(40, "memory %d" % i), RUNNING),
                                   ("large", lambda i: corpus.large(1, LARGE, "memory %d" % i), (1, 8, 32))):
            counts = [n for n in counts if n <= most]
            users = ["%s%d" % (what, i) for i in range(max(counts))]
            for number, user in enumerate(users):
                place.source.add_user(user, places.PASSWORD)
                fill.fill(place.source, user, places.PASSWORD, make(number))
            for n in counts:
                save(what, n, _run_once(place, folder, program, users[:n]))


def _run_once(place, folder, program, users):
    work = os.path.join(folder, "work")
    os.makedirs(work)
    copies = place.fresh_users(users)
    job = _job(work, *place.ports(RTT), place.ca_file, ())
    godwit.configure(job, [(user, places.PASSWORD, copy) for user, copy in zip(users, copies)], len(users))
    watch = Watch([program, "once", "-c", "godwit.conf"], work)
    try:
        if watch.to_the_end() != 0:
            with open(os.path.join(work, "said"), errors="replace") as said:
                raise RuntimeError("godwit ended with %d: %s" % (watch.child.returncode, said.read()[-1000:]))
    finally:
        watch.stop()
        place.forget(copies)
        shutil.rmtree(work)
    return watch


async def _lets_in_and_says_no_more(connection):
    await connection.send(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
    while True:
        tag, _, rest = (await connection.line()).partition(b" ")
        name = rest.split(b" ")[0].upper()
        if name == b"CAPABILITY":
            await connection.send(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
        elif name in (b"LOGIN", b"AUTHENTICATE"):
            await connection.send(tag + b" OK logged in\r\n")
            connection.server.let_in()
            break
    await connection.stall()


class Silent(FakeServer):
    """Counts those that are logged in."""

    def __init__(self, cert):
        super().__init__(_lets_in_and_says_no_more, "imaps", cert)
        self.inside, self._lock = 0, threading.Lock()

    def let_in(self):
        with self._lock:
            self.inside += 1


def idle(folder, program, most, save):
    """Connections that are secured and logged in, whose server then says no more."""
    authority = Authority(os.path.join(folder, "ca"))
    for n in (n for n in IDLE if n <= most):
        work = os.path.join(folder, "work")
        os.makedirs(work)
        cert = authority.by_kind("good")
        with Silent(cert) as source, Silent(cert) as target:
            job = _job(work, source.port, target.port, authority.ca_file, ())
            godwit.configure(job, [("u%d" % i, "p", "t%d" % i) for i in range(n)], n)
            watch = Watch([program, "once", "-c", "godwit.conf"], work)
            try:
                if not watch.until(lambda w: source.inside == n and target.inside == n):
                    raise RuntimeError("godwit ended")
                save("idle", n, watch)
            finally:
                watch.stop()
        shutil.rmtree(work)


def parked(folder, program, most, save):
    """A list whose server is not there."""
    count = PARKED if most >= max(RUNNING) else 1000
    for n in (1, count):
        work = os.path.join(folder, "work")
        os.makedirs(work)
        port = process.free_port()
        job = _job(work, port, port, "", (), plain=True)
        godwit.configure(job, [("user%d@example.org" % i, "password", "user%d@example.org" % i) for i in range(n)], 50,
                         'login_retry_interval = "1h"')
        watch = Watch([program, "once", "--no-wait", "-c", "godwit.conf"], work)
        try:
            if watch.to_the_end() != 75:
                raise RuntimeError("godwit ended with %d" % watch.child.returncode)
            save("parked", n, watch)
        finally:
            watch.stop()
        shutil.rmtree(work)


def measure(folder, program, record, say, late, quick=False):
    """What the record holds already is not measured again. `late(cost)`: whether there is no time for so many seconds."""
    most = 8 if quick else max(RUNNING + IDLE)

    def save(what, n, watch):
        record.add("memory", what=what, n=n, kb=watch.kb, connections=watch.connections)
        say("memory, %s, %d mailboxes: %.1f MB, %d connections" % (what, n, watch.kb / 1024, watch.connections))

    for function, whats in ((running, ("small", "large")), (idle, ("idle",)), (parked, ("parked",))):
        if all(record.of("memory", what=what) for what in whats):
            continue
        if late(COST):
            say("memory, %s: no time" % whats[0])
            continue
        # What is thrown away now would make the runs behind it dear; see Place.forget().
        place = os.path.join(folder, whats[0])
        os.makedirs(place, exist_ok=True)
        try:
            function(place, program, most, save)
        except (RuntimeError, TimeoutError) as error:
            record.add("failed", what="memory, " + whats[0], why=str(error))
            say("memory, %s: FAILED: %s" % (whats[0], error))
