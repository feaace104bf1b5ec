"""The raw limits: prepared bytes replayed by ../rawlimit.c, which parses nothing."""
import dataclasses
import json
import os

from lab.imap import Client, Namespace, pairs, quote

from .. import measure, place as places
from . import Tool


@dataclasses.dataclass(frozen=True)
class Way:
    """How the bytes are cut. The defaults are what came out best; see ../tune.py and the README."""
    messages: int = 200         # of one MULTIAPPEND, no more than
    bytes: int = 4 << 20        # the same
    span: int = 200             # messages per FETCH
    sessions: int = 50          # at the same time, on each side
    split: int = 1              # sessions per mailbox, on each side

    def __str__(self):
        return "%d messages or %d KB in an APPEND, %d in a FETCH, %d sessions%s" % (
            self.messages, self.bytes >> 10, self.span, self.sessions, ", %d for a mailbox" % self.split if self.split > 1 else "")


def _read(server, user, password):
    """Yields (wire name, [(flags, date, body)]) per folder. Once, before anything is measured."""
    with Client.to(server, user, password) as client:
        namespace = Namespace(client)
        for path in places.folders(client):
            wire, messages = namespace.wire(path), []
            client.command(b"EXAMINE " + quote(wire))
            for answer in client.command(b"UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])"):
                if len(answer) > 3 and answer[2] == b"FETCH":
                    item = pairs(answer[3])
                    flags = b" ".join(f for f in item[b"FLAGS"] if f.lower() != b"\\recent")
                    messages.append((flags, item[b"INTERNALDATE"], item[b"BODY[]"]))
            yield wire, messages
        subscribed = [a[4] for a in client.command(b'LSUB "" "*"') if a[1] == b"LSUB"]
        yield None, subscribed
        client.logout()


class Script:
    """Commands for ../rawlimit.c, with their tags."""

    def __init__(self, letters):
        self.letters, self.lengths, self.pieces = letters, [], []

    def add(self, *pieces):
        tag = b"%s%d" % (self.letters, len(self.lengths))
        self.pieces += [tag, b" ", *pieces, b"\r\n"]
        self.lengths.append((len(tag) + 3 + sum(map(len, pieces)), tag))

    def write(self, path):
        with open(path, "wb") as out:
            out.writelines(b"%d %s\n" % line for line in self.lengths)
            out.write(b"\n")
            out.writelines(self.pieces)


def _share(count, way, part):
    """Which of `count` messages are the part-th session's: (first, end)"""
    share = -(-count // way.split)
    return min(part * share, count), min((part + 1) * share, count)


def _append_script(folders, way, part):
    script = Script(b"A")
    for wire, messages in folders:
        if wire is None:
            for name in messages if part == 0 else ():
                script.add(b"SUBSCRIBE ", quote(name))
            continue
        name = quote(wire)
        if wire.upper() != b"INBOX":
            script.add(b"CREATE ", name)
        pieces, count, size = [], 0, 0
        for flags, date, body in messages[slice(*_share(len(messages), way, part))]:
            pieces += [b' (%s) "%s" {%d+}\r\n' % (flags, date, len(body)), body]
            count, size = count + 1, size + len(body)
            if count >= way.messages or size >= way.bytes:
                script.add(b"APPEND ", name, *pieces)
                pieces, count, size = [], 0, 0
        if pieces:
            script.add(b"APPEND ", name, *pieces)
    return script


def _fetch_script(folders, way, part):
    script = Script(b"QZXJKQ")
    for wire, messages in folders:
        if wire is None:
            continue
        first, end = _share(len(messages), way, part)
        if first < end:
            script.add(b"EXAMINE ", quote(wire))
        for begin in range(first, end, way.span):
            script.add(b"FETCH %d:%d (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])" % (begin + 1, min(begin + way.span, end)))
    if not script.lengths:
        script.add(b"CAPABILITY")  # an answer is known by the line end before its tag: some line must come first
    return script


class Limit(Tool):
    sides = ("fetch", "append")
    always = True

    def __init__(self, way=Way()):
        self.way = way

    def command(self, job):
        lines = []
        for source, target in job.pairs:
            fetches, appends = self._scripts(job, source)
            if "fetch" in self.sides:
                lines += ["fetch %s %d %s %s %s\n" % (job.host, job.source_port, source, job.password, fetch) for fetch in fetches]
            if "append" in self.sides:
                lines += ["append %s %d %s %s %s\n" % (job.host, job.target_port, target, job.password, append) for append in appends]
        with open(os.path.join(job.folder, "jobs"), "w") as out:
            out.writelines(lines)
        trust = ["--plain"] if job.plain else ["--ca", job.ca_file]
        return [measure.build("rawlimit", "-lssl", "-lcrypto"), *trust, "--sessions", str(self.way.sessions), "jobs"], {}

    def _scripts(self, job, user):
        """Files, made once: ([fetch], [append]), one of each for each session of a mailbox."""
        folder = os.path.join(job.place.folder, "scripts")
        start = os.path.join(folder, "%s-%d-%d-%d-%d" % (user, self.way.messages, self.way.bytes, self.way.span, self.way.split))
        made = [["%s.%s%d" % (start, side, part) for part in range(self.way.split)] for side in ("fetch", "append")]
        if not os.path.exists(made[1][-1]):
            os.makedirs(folder, exist_ok=True)
            folders = list(_read(job.place.source, user, job.password))
            for part in range(self.way.split):
                _fetch_script(folders, self.way, part).write(made[0][part])
                _append_script(folders, self.way, part).write(made[1][part])
        return made

    def check(self, job, result, total):
        seen = {line["side"]: line for line in map(json.loads, filter(lambda l: l.startswith("{"), result.said.splitlines()))}
        for side in self.sides:
            moved = seen.get(side, {}).get("in" if side == "fetch" else "out", 0)
            if moved < total:
                return "%s: %d bytes passed, should be more than %d" % (side, moved, total)
        return ""


class LimitBoth(Limit):
    name = "limit"

    @property
    def note(self):
        return "reads the source and replays prepared bytes to the target, both at once, parsing nothing: %s" % self.way


class LimitAppend(Limit):
    name, sides = "limit-append", ("append",)
    note = "the target's half of limit alone"


class LimitFetch(Limit):
    name, sides, copies = "limit-fetch", ("fetch",), False
    note = "the source's half of limit alone"


class LimitSplit(LimitBoth):
    name = "limit-x4"

    def suits(self, shape):
        return super().suits(shape) and shape.mailboxes == 1


TOOLS = [LimitBoth(), LimitSplit(Way(split=4)), LimitAppend(), LimitFetch()]
