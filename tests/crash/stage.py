"""Two boxes, two servers, a proxy that reads along, and godwit between: put back to the same beginning as often as is wanted.

The UIDs and UIDVALIDITYs of the two sides have nothing in common, so that a mix-up does not go unseen."""
import collections
import dataclasses
import os
import select
import signal
import threading

from func.case import SANITIZER, Case, login, site
from lab import reader
from lab.fakebox import Box
from lab.fakeimapd import mailbox
from lab.faultproxy import FaultProxy
from lab.imap import Client

from . import shim

PATIENCE = 60
PLAIN = "GODWIT_PLAIN" in os.environ    # without sanitizers a run takes a quarter of the time
QUICK = {"settle": "0s", "login_retry_interval": "10ms", "max_login_retries": 3}
CHANGING = ("APPEND", "CREATE", "DELETE", "STORE", "UID STORE", "EXPUNGE", "UID EXPUNGE")
TARGET_UID, TARGET_UIDVALIDITY = 70001, 555000


class Wrong(AssertionError):
    """What was promised is not so."""


# --- mail ---------------------------------------------------------------------------------------------------------------------

def message(number, size=200, named=True, dated=True, text=None):
    """Bytes of a message; those with the same number have the same name and date, whatever the text is."""
    head = b"From: ann@example.org\r\nSubject: %d\r\n" % number
    if named:
        head += b"Message-ID: <%d@example.org>\r\n" % number
    if dated:
        head += b"Date: Sat, 1 Feb 2020 03:04:%02d +0000\r\n" % (number % 60)
    line = b"%s number %d of the fixture" % (text or b"message", number)
    return head + b"\r\n" + (line + b"." * 2000000)[:max(len(line), size - len(head) - 4)] + b"\r\n"


def fill(box):
    """A few odd messages in two folders: twins, some without a name or a date, one that is streamed, keywords, gaps in the UIDs."""
    inbox = box.folder("INBOX")
    inbox.add(body=message(1))
    inbox.add(body=message(2), flags=["\\Seen"])
    inbox.add(body=message(2), flags=["\\Seen"])                # its twin
    inbox.add(uid=inbox.uidnext + 4, body=message(3, dated=False), flags=["\\Flagged", "$Forwarded"])
    inbox.add(body=message(4, named=False))
    inbox.add(body=message(5, 70000), date="02-Mar-2021 10:20:30 +0545")    # too large to wait until it is whole
    inbox.add(body=message(6, text=b"one way"))
    inbox.add(body=message(6, text=b"another"))                # the same name, date and size
    for text in (b"message", b"MESSAGE", b"message"):           # without a name at all, two of them the same
        inbox.add(body=message(7, named=False, dated=False, text=text))
    two = box.folder("Two", subscribed=True)
    two.add(body=message(11, 700))
    two.add(body=message(1))                                    # also in INBOX
    two.add(body=message(12), flags=["\\Answered", "\\Draft", "zebra"])
    box.folder("Empty")
    return box


def fill_more(box):
    """What comes after the first pass: in a known folder, and in a new one."""
    inbox = box.folder("INBOX")
    inbox.add(body=message(21))
    inbox.add(body=message(2), flags=["\\Seen"])                # a third one
    inbox.add(body=message(22, 900), flags=["zebra"])
    box.folder("Three", subscribed=True).add(body=message(31))


# --- settings -----------------------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Setting:
    """`prepare(stage)` brings both boxes and the ledger to where the pass that will be broken begins. `without`: capabilities that the target
    lacks. `options`: further arguments of a Box, by side; what these refuse is refused in the pass that will be broken. `servers`, `rules`: keys of the
    servers and of the migration. `stride`: there are so many steps that only every so-manieth is tried. A further case is one entry in SETTINGS."""
    name: str
    prepare: object = None
    without: tuple = ()
    options: dict = dataclasses.field(default_factory=dict, hash=False)
    servers: dict = dataclasses.field(default_factory=dict, hash=False)
    rules: dict = dataclasses.field(default_factory=dict, hash=False)
    stride: int = 1

    def sweeps(self):
        """Whether echoes can be found: by UIDs that the target tells, and that stay."""
        return "UIDPLUS" not in self.without and not any("keeps_uidvalidity" in o for o in self.options.values())

    def further(self):
        """What a further pass must not send. An adopted message is given the flags of the source (+FLAGS): behind each new fence, and a pass later where
        the target does not tell UIDs."""
        adopts = "UIDPLUS" in self.without or any("keeps_uidvalidity" in o for o in self.options.values())
        return tuple(name for name in CHANGING if not adopts or "STORE" not in name)


def passed(stage):
    stage.source_box_filled()
    stage.complete()


def new_mail(stage):
    passed(stage)
    fill_more(stage.boxes["source"])


def broken(stage):
    """A pass that was broken when about half of INBOX had been answered for: the next one has to look."""
    if not stage.boxes["source"].folder("INBOX").messages:
        stage.source_box_filled()
    seen = []

    def on_part(part):
        if part.site == "target" and part.name == "APPEND" and part.last:
            seen.append(part)
            if len(seen) == 2:
                stage.kill()
        return None
    stage.run(on_part=on_part)
    stage.proxy.deliver()
    stage.keep_disk()


def lost_ledger(stage):
    new_mail(stage)
    target = stage.boxes["target"].folder("INBOX")
    del target.messages[1]
    stage.disk = {}


def source_fence(stage):
    new_mail(stage)
    stage.boxes["source"].change_uidvalidity()


def target_fence(stage):
    new_mail(stage)
    stage.boxes["target"].change_uidvalidity()


def target_folder_gone(stage):
    new_mail(stage)
    del stage.boxes["target"].folders["Two"]


def own_mail(stage):
    """The target's user has mail there already: one of it is also in the source, and is recognised; he has a copy of that, too."""
    stage.source_box_filled()
    for number in (51, 51, 1, 1):
        stage.boxes["target"].folder("INBOX").add(body=message(number))
    mine = message(7, named=False, dated=False, text=b"of mine")
    stage.boxes["target"].folder("INBOX").add(body=mine)
    stage.own = collections.Counter({("INBOX", message(51)): 2, ("INBOX", message(1)): 1, ("INBOX", mine): 1})


def flags_and_deletions(stage):
    """Flags that came and went, one of two twins gone, and new mail beside them."""
    passed(stage)
    inbox, two = stage.boxes["source"].folder("INBOX"), stage.boxes["source"].folder("Two")
    for folder in (inbox, two):
        folder.touch(*folder.messages)
    inbox.messages[0].flags = ["\\Answered", "fresh"]
    inbox.messages[3].flags = ["$Forwarded"]
    two.messages[2].flags = []
    del inbox.messages[1]
    del two.messages[0]
    fill_more(stage.boxes["source"])


def flags(stage):
    passed(stage)
    for folder in stage.boxes["source"].folders.values():
        for number, one in enumerate(folder.messages):
            one.flags = [["work", "\\Seen"], ["\\Flagged"], []][number % 3]
        folder.touch(*folder.messages)


def deletions(stage):
    passed(stage)
    for folder in stage.boxes["source"].folders.values():
        del folder.messages[1::2]


def many(stage):
    """Enough for several connections."""
    inbox = stage.boxes["source"].folder("INBOX")
    for number in range(1, 601):
        inbox.add(uid=inbox.uidnext + (number % 50 == 0), body=message(number % 590, 120))
    stage.boxes["source"].folder("Two").add(body=message(1))


def many_broken(stage):
    many(stage)
    broken(stage)


def refuse_a_fetch(_name, number, line):
    return ("answer", b"NO cannot read one of them") if number == 1 and "BODY.PEEK[]" in line else None


def refuse_a_window(number, _message):
    return b"NO cannot store one of them" if number == 2 else None


SETTINGS = [
    Setting("first", lambda stage: stage.source_box_filled()),
    Setting("new mail", new_mail),
    Setting("after a break", broken),
    Setting("lost ledger", lost_ledger),
    Setting("source fence", source_fence),
    Setting("target fence", target_fence),
    Setting("target folder gone", target_folder_gone),
    Setting("own mail", own_mail),
    # What is refused is sent behind what came after it.
    Setting("first, with refusals", lambda stage: stage.source_box_filled(),
            options={"source": {"hook": refuse_a_fetch}, "target": {"append_answer": refuse_a_window}}),
    Setting("flags and deletions", flags_and_deletions, rules={"deletions": "mirror", "max_deletions": 100}),
    Setting("flags", flags),
    Setting("flags, with CONDSTORE", flags, options={"source": {"extra": ("CONDSTORE",)}, "target": {"extra": ("CONDSTORE",)}}),
    Setting("deletions", deletions, rules={"deletions": "mirror", "max_deletions": 100}),
    Setting("flags and deletions, with CONDSTORE", flags_and_deletions, rules={"deletions": "mirror", "max_deletions": 100},
            options={"source": {"extra": ("CONDSTORE",)}, "target": {"extra": ("CONDSTORE",)}}),
    Setting("several connections", many, servers={"connections_per_mailbox": 3}, stride=37),
    Setting("several connections, after a break", many_broken, servers={"connections_per_mailbox": 3}, stride=37),
    Setting("several connections, without UIDPLUS", many, ("UIDPLUS",), servers={"connections_per_mailbox": 3}, stride=37),
    Setting("first, without UIDPLUS", lambda stage: stage.source_box_filled(), ("UIDPLUS",)),
    Setting("first, without MULTIAPPEND", lambda stage: stage.source_box_filled(), ("MULTIAPPEND",)),
    Setting("first, without LITERAL+", lambda stage: stage.source_box_filled(), ("LITERAL+",)),
    Setting("first, without anything", lambda stage: stage.source_box_filled(),
            ("LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE", "LIST-EXTENDED")),
    Setting("new mail, without anything", new_mail,
            ("LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE", "LIST-EXTENDED")),
    Setting("after a break, without UIDPLUS", broken, ("UIDPLUS",)),
    Setting("after a break, without MULTIAPPEND", broken, ("MULTIAPPEND",)),
    Setting("first, UIDVALIDITY of the target not kept", lambda stage: stage.source_box_filled(),
            options={"target": {"keeps_uidvalidity": False}}),
    Setting("new mail, UIDVALIDITY of the source not kept", new_mail, options={"source": {"keeps_uidvalidity": False}}),
]
BY_NAME = {s.name: s for s in SETTINGS}


# --- the stage ----------------------------------------------------------------------------------------------------------------

class Stage:
    def __init__(self, folder, setting):
        self.setting, self.case = setting, Case(folder)
        self.boxes = {
            "source": Box(**setting.options.get("source", {})),
            "target": Box(without=setting.without, first_uid=TARGET_UID, first_uidvalidity=TARGET_UIDVALIDITY,
                          **setting.options.get("target", {}))}
        self.refusing = False       # whether the servers refuse what the setting says
        for box in self.boxes.values():
            box.hook, box.append_answer = self._only_refusing(box.hook), self._only_refusing(box.append_answer)
        self.servers = {name: self.case.serve(mailbox(box)) for name, box in self.boxes.items()}
        self.proxy = self.case.use(FaultProxy({name: server.port for name, server in self.servers.items()}))
        sites = {name: site(server, port=self.proxy.ports[name], **setting.servers) for name, server in self.servers.items()}
        self.case.pair(sites["source"], sites["target"], [login("ann")], {"repair_echoes": True, **setting.rules}, **QUICK)
        self.journal = self.case.folder / "journal"
        self.disk, self.own, self.program = {}, collections.Counter(), None
        self._started, self._handle = threading.Event(), None
        setting.prepare(self)
        self.begin = {name: box.snapshot() for name, box in self.boxes.items()}
        self.wanted = self.expected()

    def _only_refusing(self, function):
        return function and (lambda *what: function(*what) if self.refusing else None)

    def source_box_filled(self):
        fill(self.boxes["source"])

    def close(self):
        self.case.close()

    def put_back(self, boxes=None, disk=None, refusing=False):
        """To the beginning, or to a state in between."""
        self.refusing = refusing
        for name, box in self.boxes.items():
            box.put_back((boxes or self.begin)[name])
            box.counts, box.appends = {}, 0
            self.servers[name].events.clear()
        shim.write_disk(self.case.state, self.disk if disk is None else disk)

    # --- godwit ---------------------------------------------------------------------------------------------------------------

    def kill(self):
        """In the proxy's thread: kill -9 now. What it had sent and is not passed on yet is held. False: it had ended by itself."""
        self.proxy.kill()
        if not self._started.wait(PATIENCE):
            raise Wrong("the program was not started")
        if self._ended(0):
            return False
        self.program.killed = True
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self._ended(PATIENCE)
        return True

    def run(self, on_part=None, lag=0.0, environment=None, command="once"):
        """Runs godwit to its end. The ledger is what is on the disk."""
        self.proxy.reset(on_part, lag)
        self._started.clear()
        if self.case.programs:
            last = self.case.programs.pop()
            last.out_file.unlink()
            last.err_file.unlink()
        if not self.case.state.exists():
            self.case.state.mkdir(mode=0o700)
        self.program = self.case.start(command, environment=environment, plain=PLAIN)
        self._handle = os.pidfd_open(self.program.pid)
        self._started.set()
        try:
            if not self._ended(PATIENCE):
                raise Wrong("godwit did not end within %d s:\n%s" % (PATIENCE, self.program.err[-2000:]))
            self.program.child.wait()
            self.proxy.clients_gone()
        finally:
            os.close(self._handle)
        if SANITIZER.search(self.program.err):
            raise Wrong("a sanitizer found something:\n" + self.program.err[-4000:])
        return self.program

    def _ended(self, patience):
        """Waits; without the polling of subprocess."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return poll.poll(patience * 1000)

    def complete(self, **options):
        """A complete pass, on the disk as it is; what is written becomes the stage's disk."""
        program = self.run(**options)
        if program.code != 0:
            raise Wrong("a complete pass ended with %d:\n%s" % (program.code, program.err[-2000:]))
        self.keep_disk()

    def keep_disk(self):
        self.disk = shim.read_disk(self.case.state)
        self.disk.pop("ledger.sqlite-shm", None)

    # --- judging --------------------------------------------------------------------------------------------------------------

    def read(self, side):
        """By the independent reader, not through the proxy."""
        with Client(self.servers[side].host, self.servers[side].port) as client:
            client.login("ann", "any")
            return reader.read_client(client)

    def expected(self):
        wanted = self.read("source")
        if self.own:
            target = self.read("target")
            digests = collections.Counter({(path, reader.hashlib.sha256(body).hexdigest()): n for (path, body), n in self.own.items()})
            for path, entries in target.folders.items():
                for entry in entries:
                    if digests[("/".join(path), entry.digest)] > 0:
                        digests[("/".join(path), entry.digest)] -= 1
                        wanted.folders[path].append(entry)
        return wanted

    def judge(self, allowed=()):
        return judge(self.wanted, self.read("target"), allowed)


def _key(entry):
    return entry.digest, entry.instant, entry.flags, entry.keywords


def judge(wanted, got, allowed=()):
    """Compares what a target holds with what it should hold. `allowed`: digests of messages that may be there once too often, each as often as it is
    named. Returns how many of these there were."""
    echoes, allowed = 0, collections.Counter(allowed)
    for path, entries in got.folders.items() if allowed else ():
        should = wanted.folders.get(path, ())
        over = collections.Counter(e.digest for e in entries)
        over -= collections.Counter(e.digest for e in should)
        # Of messages with the same bytes, those with the right flags and date are the ones that should be there.
        right = collections.Counter(map(_key, should))
        strange = []
        for entry in entries:
            strange += [entry] if right[_key(entry)] <= 0 else []
            right[_key(entry)] -= 1
        for entry in strange:
            if over[entry.digest] > 0 and allowed[entry.digest] > 0:
                over[entry.digest] -= 1
                allowed[entry.digest] -= 1
                entries.remove(entry)
                echoes += 1
    found = reader.compare(wanted, got)
    if found:
        raise Wrong("; ".join(found[:6]))
    return echoes
