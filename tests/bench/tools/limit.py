"""The raw limits: prepared bytes replayed by ../rawlimit.c, which parses nothing."""
import json
import os

from lab.imap import Client, Namespace, pairs, quote

from .. import measure, place as places
from . import Tool

WINDOW_MESSAGES, WINDOW_BYTES = 50, 1 << 20     # of one MULTIAPPEND
RANGE = 200                                     # messages per FETCH
SESSIONS = 50                                   # at the same time, on each side: as many as godwit is given


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


def _append_script(folders):
    script = Script(b"A")
    for wire, messages in folders:
        if wire is None:
            for name in messages:
                script.add(b"SUBSCRIBE ", quote(name))
            continue
        name = quote(wire)
        if wire.upper() != b"INBOX":
            script.add(b"CREATE ", name)
        pieces, count, size = [], 0, 0
        for flags, date, body in messages:
            pieces += [b' (%s) "%s" {%d+}\r\n' % (flags, date, len(body)), body]
            count, size = count + 1, size + len(body)
            if count >= WINDOW_MESSAGES or size >= WINDOW_BYTES:
                script.add(b"APPEND ", name, *pieces)
                pieces, count, size = [], 0, 0
        if pieces:
            script.add(b"APPEND ", name, *pieces)
    return script


def _fetch_script(folders):
    script = Script(b"QZXJKQ")
    for wire, messages in folders:
        if wire is None or not messages:
            continue
        script.add(b"EXAMINE ", quote(wire))
        for first in range(1, len(messages) + 1, RANGE):
            script.add(b"FETCH %d:%d (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])" % (
                first, min(first + RANGE - 1, len(messages))))
    return script


class Limit(Tool):
    sides = ("fetch", "append")
    _made = set()

    def command(self, job):
        folder = os.path.join(job.place.folder, "scripts")
        os.makedirs(folder, exist_ok=True)
        lines = []
        for source, target in job.pairs:
            self._prepare(job, folder, source)
            if "fetch" in self.sides:
                lines.append("fetch %s %d %s %s %s/%s.fetch\n" % (job.host, job.source_port, source, job.password, folder, source))
            if "append" in self.sides:
                lines.append("append %s %d %s %s %s/%s.append\n" % (job.host, job.target_port, target, job.password, folder, source))
        with open(os.path.join(job.folder, "jobs"), "w") as out:
            out.writelines(lines)
        trust = ["--plain"] if job.plain else ["--ca", job.ca_file]
        return [measure.build("rawlimit", "-lssl", "-lcrypto"), *trust, "--sessions", str(SESSIONS), "jobs"], {}

    def _prepare(self, job, folder, user):
        if (folder, user) in self._made:
            return
        folders = list(_read(job.place.source, user, job.password))
        _append_script(folders).write(os.path.join(folder, user + ".append"))
        _fetch_script(folders).write(os.path.join(folder, user + ".fetch"))
        self._made.add((folder, user))

    def check(self, job, result, total):
        seen = {line["side"]: line for line in map(json.loads, filter(lambda l: l.startswith("{"), result.said.splitlines()))}
        for side in self.sides:
            moved = seen.get(side, {}).get("in" if side == "fetch" else "out", 0)
            if moved < total:
                return "%s: %d bytes passed, should be more than %d" % (side, moved, total)
        return ""


class LimitBoth(Limit):
    name = "limit"
    note = "reads the source and replays prepared bytes to the target, both at once, parsing nothing; %d sessions on each side" % SESSIONS


class LimitAppend(Limit):
    name, sides = "limit-append", ("append",)
    note = "the target's half of limit alone"


class LimitFetch(Limit):
    name, sides, copies = "limit-fetch", ("fetch",), False
    note = "the source's half of limit alone"


TOOLS = [LimitBoth(), LimitAppend(), LimitFetch()]
