"""Many small mailboxes in one run of godwit, and another fault in the dialogue of each: at a byte, or at a part of it. godwit may try again as it likes; when
it is through, each target holds exactly what its source holds, and a further run sends nothing."""
import collections
import copy
import dataclasses
import hashlib
import random

from lab import reader
from lab.fakebox import Box, Session
from lab.faultproxy import FaultProxy
from lab.imap import Client

from func.case import login, site

from .stage import CHANGING, PLAIN, TARGET_UID, TARGET_UIDVALIDITY, Wrong, judge, message

SIDES = ("source", "target")
TIMES = {"settle": "0s", "login_retry_interval": "10ms", "max_login_retries": 6, "connect_timeout": "60s", "max_mailboxes": 60}



def fill(box):
    inbox = box.folder("INBOX")
    inbox.add(body=message(1))
    inbox.add(uid=inbox.uidnext + 2, body=message(2, named=False), flags=["\\Seen", "zebra"])
    inbox.add(body=message(1))
    box.folder("Two", subscribed=True).add(body=message(3))
    box.folder("Two").add(body=message(4, 70000))      # sent on while it arrives
    return box


# --- faults at a byte ------------------------------------------------------------------------------------------------------------

BYTE_FAULTS = {
    "cut": ("cut",),
    "reset": ("reset",),
    "half_close": ("half_close",),
    "blackhole": ("blackhole",),
    "trickle": ("trickle", 8, 0.002, 4000),        # never long without any progress
    "slow trickle": ("trickle", 1, 0.015, 700),    # an APPEND is given up before its last byte is there, and then lands
}

# --- faults at a part ------------------------------------------------------------------------------------------------------------
# What to do with the part; None: this part is not of that kind.


def refused(answer):
    return lambda part: ("refuse", b"{tag} " + answer + b"\r\n") if part.direction == "up" and part.first and part.tag else None


def swallowed(part):
    """A whole response. Half a message that is lost is another fault: see cut_short()."""
    return ("swallow",) if part.direction == "down" and part.first and part.last else None


def bye(part):
    return ("bye", b"* BYE [UNAVAILABLE] The house is closing.\r\n") if part.first else None


def cut_short(part):
    return ("replace", part.data[:-7]) if part.direction == "down" and part.kind == "literal" else None


def too_long(part):
    return ("replace", part.data + b"seven\r\n") if part.direction == "down" and part.kind == "literal" else None


def nonsense(part):
    return ("replace", b"* 7 NONSENSE (((\r\n") if part.direction == "down" and part.first and part.last else None


PART_FAULTS = {
    "NO": refused(b"NO not now"),
    "NO [UNAVAILABLE]": refused(b"NO [UNAVAILABLE] not now"),
    "BAD": refused(b"BAD not understood"),
    "BYE": bye,
    "swallow": swallowed,
    "short literal": cut_short,
    "long literal": too_long,
    "nonsense": nonsense,
}

RARE = ("short literal", "long literal")

# Where godwit may have to wait for its deadline.
WAITS = ("blackhole", "slow trickle", *PART_FAULTS)

# --- other people's doings -------------------------------------------------------------------------------------------------------
# Called with the Box while godwit works. A real server shows an open session what it had, or ends it: so folders are replaced, not changed.


def _other_folder(box, old_name, **changes):
    folder = copy.copy(box.folders[old_name])
    folder.messages = [copy.copy(m) for m in folder.messages]
    for key, value in changes.items():
        setattr(folder, key, value)
    box.folders[folder.name] = folder
    return folder


def expunge_first(boxes):
    folder = boxes["source"].folder("INBOX")
    if folder.messages:
        del folder.messages[0]


def expunge_last(boxes):
    folder = boxes["source"].folder("INBOX")
    if folder.messages:
        del folder.messages[-1]


def expunge_all(boxes):
    boxes["source"].folder("INBOX").messages.clear()


def deliver(boxes):
    boxes["source"].folder("INBOX").add(body=message(77, 300))


def deliver_twin(boxes):
    boxes["source"].folder("INBOX").add(body=message(1))


def move(boxes):
    source = boxes["source"]
    if source.folder("INBOX").messages and "Two" in source.folders:
        moved = source.folder("INBOX").messages.pop(0)
        source.folder("Two").add(body=moved.body, flags=moved.flags, date=moved.date)


def flag(boxes):
    for one in boxes["source"].folder("INBOX").messages:
        one.flags = ["\\Flagged", "later"]


def new_uidvalidity(boxes):
    folder = _other_folder(boxes["source"], "INBOX", uidvalidity=424242)
    for uid, one in enumerate(folder.messages, 9):
        one.uid = uid
    folder.uidnext = 9 + len(folder.messages)


def target_new_uidvalidity(boxes):
    folder = _other_folder(boxes["target"], "INBOX", uidvalidity=939393)
    for uid, one in enumerate(folder.messages, 5):
        one.uid = uid
    folder.uidnext = 5 + len(folder.messages)


def rename(boxes):
    """The old name is gone: what was copied under it stays on the target."""
    source = boxes["source"]
    if "Two" in source.folders:
        _other_folder(source, "Two", name="Renamed")
        del source.folders["Two"]


def remove(boxes):
    boxes["source"].folders.pop("Two", None)


def recreate(boxes):
    boxes["source"].folders.pop("Two", None)
    boxes["source"].folder("Two", subscribed=True).add(body=message(88))


def target_remove(boxes):
    boxes["target"].folders.pop("Two", None)


def target_deliver(boxes):
    boxes["target"].folder("INBOX").add(body=message(99))


def target_deliver_twin(boxes):
    """The target's user has the same message from elsewhere: whoever copies it does not know whose it is, but nothing is lost."""
    boxes["target"].folder("INBOX").add(body=message(1))


CHANGES = {f.__name__.replace("_", " "): f for f in (
    expunge_first, expunge_last, expunge_all, deliver, deliver_twin, move, flag, new_uidvalidity, target_new_uidvalidity, rename, remove, recreate,
    target_remove, target_deliver, target_deliver_twin)}

UNREST = (expunge_first, expunge_last, deliver, deliver_twin, move, flag)     # all the time, by another client


@dataclasses.dataclass(frozen=True)
class Fault:
    """`number`: of the byte in that direction, from 0, over all connections; or of the part of that side, from 1; or a seed."""
    side: str
    what: str
    number: int
    direction: str = ""

    def __str__(self):
        where = "byte %d %s" % (self.number, self.direction) if self.direction else "part %d" % self.number
        return "%s at %s of the %s" % (self.what, where, self.side)


class Mailbox:
    """One of the swarm: its boxes, and the fault that it will meet."""

    def __init__(self, fault, without):
        self.fault, self.fired, self.without = fault, "", without
        self.boxes = {"source": fill(Box()),
                      "target": Box(without=without, first_uid=TARGET_UID, first_uidvalidity=TARGET_UIDVALIDITY)}
        self.bytes, self.parts = collections.Counter(), collections.Counter()
        self.inside = set()     # (side, direction, offset) in the middle of something large
        self.sent, self.given = [], collections.Counter()
        self.armed, self.echoes, self.told, self.given_up = True, 0, False, False
        self.rng = random.Random(fault.number)

    def _held(self, side):
        return collections.Counter((folder.name, hashlib.sha256(one.body).hexdigest()) for folder in self.boxes[side].folders.values()
                                   for one in folder.messages)

    def on_part(self, side, part):
        if not self.armed:
            if side == "target" and part.direction == "up" and part.first and part.name in CHANGING and \
                    not ("UIDPLUS" in self.without and part.name == "UID STORE"):   # see Setting.further()
                self.sent.append(part.name)
            return None
        begin = self.bytes[side, part.direction]
        self.bytes[side, part.direction] += len(part.data)
        self.parts[side] += 1
        f = self.fault
        if f.what == "none" and len(part.data) > 1000:
            self.inside.update((side, part.direction, begin + n) for n in range(16, len(part.data) - 16))
        if f.what == "unrest":
            self.fired = "seed %d" % f.number
            if self.rng.random() < 0.15:
                self.change(self.rng.choice(UNREST))
            return None
        if self.fired or side != f.side:
            return None
        if f.direction:
            if f.direction == part.direction and begin <= f.number < begin + len(part.data):
                self.fired = repr(part)
                return ("split", f.number - begin, BYTE_FAULTS[f.what])
            return None
        if self.parts[side] != f.number:
            return None
        if f.what in CHANGES:
            self.fired = str(part)
            self.change(CHANGES[f.what])
            return None
        action = PART_FAULTS[f.what](part)
        self.fired = repr(part) if action else ""
        return action

    def change(self, function):
        before = {side: self._held(side) for side in SIDES}
        function(self.boxes)
        # What is gone from the source may be on the target by now; what another brought to the target is there as well.
        for (_, digest), n in ((before["source"] - self._held("source")) + (self._held("target") - before["target"])).items():
            self.given[digest] += n

    def judge(self, read):
        wanted, got = read("source", self.boxes), read("target", self.boxes)
        allowed = self.given
        if self.given_up:
            allowed = [e.digest for entries in wanted.folders.values() for e in entries]
        if self.fault.what in ("rename", "remove", "move"):
            # Folders and messages that were copied before stay where they were.
            for path, entries in list(got.folders.items()):
                if path not in wanted.folders:
                    del got.folders[path]
                    got.subscribed.discard(path)
        if self.fault.what in ("flag", "unrest") and "UIDPLUS" in self.without:
            # There the flags stay as they were brought.
            for mailbox in (wanted, got):
                for path, entries in mailbox.folders.items():
                    mailbox.folders[path] = [dataclasses.replace(e, flags=frozenset(), keywords=frozenset()) for e in entries]
        if self.told:
            # A server that refuses a message has the last word, but then the message is named.
            for path, entries in wanted.folders.items():
                held = [e.digest for e in got.folders.get(path, ())]
                missing = [e for e in entries if e.digest not in held]
                if len(missing) == 1:
                    entries.remove(missing[0])
        self.echoes = judge(wanted, got, allowed)


class Swarm:
    """A list of faults, run as one."""

    def __init__(self, case, faults, without=()):
        self.case = case
        patience = "4s" if any(f.what in WAITS for f in faults) else "60s"
        self.mailboxes = [Mailbox(f, without) for f in faults]
        self.servers = {side: case.serve(self._behaviour(side)) for side in SIDES}
        ports = {"%s %d" % (side, i): self.servers[side].port for i in range(len(faults)) for side in SIDES}
        self.proxy = case.use(FaultProxy(ports))
        servers = {name: site(self.servers[name.split()[0]], port=port) for name, port in self.proxy.ports.items()}
        case.configure({name.replace(" ", ""): keys for name, keys in servers.items()},
                       {"m%d" % i: ("source%d" % i, "target%d" % i, [login("u%d" % i)], {"repair_echoes": True}) for i in range(len(faults))},
                       command_timeout=patience, login_timeout=patience, **TIMES)

    def _behaviour(self, side):
        mailboxes = self.mailboxes

        class Many(Session):
            def let_in(self, user, password, behalf=""):
                self.box = mailboxes[int(user[1:])].boxes[side]
                return super().let_in(user, password, behalf)

        async def behave(connection):
            await Many(connection, Box()).run()
        return behave

    def _on_part(self, part):
        side, number = part.site.split()
        return self.mailboxes[int(number)].on_part(side, part)

    def _godwit(self):
        self.proxy.reset(self._on_part)
        program = self.case.run("once", plain=PLAIN, patience=200)
        self.proxy.clients_gone()
        return program

    def _read(self, side, boxes):
        number = next(i for i, m in enumerate(self.mailboxes) if m.boxes is boxes)
        server = self.servers[side]
        with Client(server.host, server.port) as client:
            client.login("u%d" % number, "any")
            return reader.read_client(client)

    def run(self):
        """Returns (mailbox, what is wrong or "") for each fault that was met."""
        first = self._godwit()
        for one in self.mailboxes:
            one.armed = False
        second = self._godwit()
        said = "\n".join(first.err.splitlines() + ["--- the run after it"] + second.err.splitlines())
        found = []
        for number, one in enumerate(self.mailboxes):
            one.sent.clear()
            one.told = one.fault.what in ("NO", "BAD") and bool(first.lines(r"\bm%d/.* a message is left out: " % number))
            # What still trickles towards the server lands late.
            one.given_up = one.fault.what == "slow trickle" and bool(first.lines(r"\bm%d/.* no answer within" % number))
            found.append("" if second.code == 0 else self._words(number, second))
            try:
                one.judge(self._read)
            except Wrong as wrong:
                found[-1] += str(wrong)
        third = self._godwit()
        for number, one in enumerate(self.mailboxes):
            if one.sent:
                found[number] += "; a further run sent %s" % ", ".join(one.sent)
            if third.code != 0:
                found[number] += self._words(number, third)
            try:
                one.judge(self._read)
            except Wrong as wrong:
                found[number] += "; after a further run: %s" % wrong
        result = [(one, wrong and "%s (%s): %s\n%s" % (one.fault, one.fired, wrong, self._said(number, said)))
                  for number, (one, wrong) in enumerate(zip(self.mailboxes, found)) if one.fired]
        code = 1 if any(one.told for one in self.mailboxes) else 0
        if (second.code != code or third.code != code) and not any(wrong for _, wrong in result):
            raise Wrong("exit codes %d, %d, %d:\n%s" % (first.code, second.code, third.code, said[-3000:]))
        return result

    @staticmethod
    def _words(number, program):
        lines = program.lines(r"\bm%d/" % number)
        return "; ".join(lines[:3])

    @staticmethod
    def _said(number, said):
        return "\n".join("    | " + line[:300] for line in said.splitlines() if ("m%d/" % number) in line or line.startswith("---"))


# --- all faults of a kind ---------------------------------------------------------------------------------------------------------

def lengths(case, without=()):
    """([(side, direction, offset) of the bytes that are worth a fault], parts by side) of a dialogue without faults."""
    swarm = Swarm(case, [Fault("none", "none", 0)], without)
    swarm.run()
    one = swarm.mailboxes[0]
    every = [(side, direction, n) for (side, direction), most in sorted(one.bytes.items()) for n in range(most)]
    return [place for place in every if place not in one.inside], one.parts


def all_faults(kind, counts):
    """Every fault of "bytes", "parts" or "changes"."""
    places, parts = counts
    if kind == "bytes":
        return [Fault(side, what, n, direction) for side, direction, n in places for what in BYTE_FAULTS]
    found = [Fault(side, what, n) for side in SIDES for n in range(1, parts[side] + 1)
             for what in (PART_FAULTS if kind == "parts" else CHANGES)]
    return found + ([Fault("source", "unrest", seed) for seed in range(200)] if kind == "changes" else [])
