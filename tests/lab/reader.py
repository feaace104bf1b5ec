"""The independent reader: reads a whole mailbox over IMAP and compares it with another.

It shares nothing with the program under test. Nothing is changed on the server: folders are opened with EXAMINE and
bodies are fetched with BODY.PEEK[]."""
import calendar
import collections
import dataclasses
import hashlib
import re

from .corpus import MONTHS
from .imap import Client, Namespace, pairs, quote

SYSTEM = {"\\seen": "\\Seen", "\\answered": "\\Answered", "\\flagged": "\\Flagged", "\\deleted": "\\Deleted",
          "\\draft": "\\Draft"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """What must be the same of one message. Keywords are compared without regard to case (RFC 3501 2.3.2)."""
    digest: str
    instant: int        # INTERNALDATE, seconds since the epoch
    printed: str        # INTERNALDATE as the server prints it, zone and all
    flags: frozenset
    keywords: frozenset
    size: int = dataclasses.field(compare=False, default=0)
    uid: int = dataclasses.field(compare=False, default=0)
    about: str = dataclasses.field(compare=False, default="")


@dataclasses.dataclass
class Mailbox:
    folders: dict       # path (tuple of decoded names) -> list of Entry, in the order of the UIDs
    subscribed: set     # paths
    noselect: set       # paths that hold no mail and exist only for their children


def read(server, user, password, security=None):
    """Reads everything of `user` at `server` (a Dovecot, or its description out of lab.json)."""
    with Client.to(server, user, password, security) as client:
        mailbox = read_client(client)
        client.logout()
    return mailbox


def read_client(client):
    namespace = Namespace(client)
    folders, noselect = {}, set()
    for path, attributes in _list(client, namespace, b"LIST"):
        if {"\\noselect", "\\nonexistent"} & attributes:
            noselect.add(path)
        else:
            folders[path] = None
    for path in folders:
        folders[path] = _folder(client, namespace.wire(path))
    subscribed = {path for path, attributes in _list(client, namespace, b"LSUB") if "\\noselect" not in attributes}
    return Mailbox(folders, subscribed, noselect)


def _list(client, namespace, command):
    for answer in client.command(command + b' "" "*"'):
        if answer[1] == command:
            name = answer[4]
            yield namespace.path(b"NIL" if name is None else name), {a.decode().lower() for a in answer[2]}


def _folder(client, wire):
    client.command(b"EXAMINE " + quote(wire))
    entries = []
    tag = client.send(b"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    # Answers are looked at one by one, so that a big folder is not held in memory.
    while True:
        answer = client.read()
        if answer[0] == tag:
            client.finish(tag, answer)
            break
        if len(answer) > 3 and answer[2] == b"FETCH":
            item = pairs(answer[3])
            if b"BODY[]" in item:
                entries.append(_entry(item))
    return sorted(entries, key=lambda e: e.uid)


def _entry(item):
    body = item[b"BODY[]"] or b""
    flags, keywords = set(), set()
    for flag in item[b"FLAGS"]:
        lower = flag.decode("utf-8", "replace").lower()
        if lower in SYSTEM:
            flags.add(SYSTEM[lower])
        elif lower != "\\recent":
            keywords.add(lower)
    printed = item[b"INTERNALDATE"].decode()
    subject = re.search(rb"(?im)^subject:[ \t]*([^\r\n]*)", body[:20000])
    return Entry(hashlib.sha256(body).hexdigest(), instant(printed), printed, frozenset(flags), frozenset(keywords),
                 len(body), int(item[b"UID"]), subject[1].decode("utf-8", "replace")[:60] if subject else "")


def instant(printed):
    """Seconds since the epoch of an INTERNALDATE such as " 1-Feb-2020 10:00:00 +0545"."""
    match = re.fullmatch(r" ?(\d+)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", printed)
    if not match:
        raise ValueError("not an INTERNALDATE: %r" % printed)
    day, month, year, hour, minute, second, sign, zh, zm = match.groups()
    offset = (int(zh) * 60 + int(zm)) * (-60 if sign == "-" else 60)
    return calendar.timegm((int(year), MONTHS.index(month.capitalize()) + 1, int(day), int(hour), int(minute),
                            int(second))) - offset


# --- comparing ---------------------------------------------------------------------------------------------------------

def compare(a, b, exact_zone=False, subscriptions=True, extra_folders=True, extra_messages=True, order=False,
            map_path=None):
    """Differences from `a` (what should be) to `b` (what is), as readable sentences; an empty list when equal.

    `exact_zone`: INTERNALDATE must be printed with the same zone, not only name the same instant.
    `extra_folders`, `extra_messages`: False when the target may have more (mail of its own).
    `order`: messages of a folder must also be in the same order.
    `map_path`: function from a path of `a` to the path expected in `b`."""
    map_path = map_path or (lambda path: path)
    found = []
    expected = {map_path(path): entries for path, entries in a.folders.items()}
    for path in sorted(expected):
        if path not in b.folders:
            found.append("folder %s is missing%s" % (show(path), ", it should hold %d messages" % len(expected[path])))
            continue
        found += _compare_folder(show(path), expected[path], b.folders[path], exact_zone, extra_messages, order)
    if extra_folders:
        for path in sorted(set(b.folders) - set(expected)):
            if path != ("INBOX",) or b.folders[path]:
                found.append("folder %s is extra, it holds %d messages" % (show(path), len(b.folders[path])))
    if subscriptions:
        wanted = {map_path(path) for path in a.subscribed}
        found += ["subscription of %s is missing" % show(path) for path in sorted(wanted - b.subscribed)]
        if extra_folders:
            found += ["subscription of %s is extra" % show(path) for path in sorted(b.subscribed - wanted)]
    return found


def show(path):
    return " › ".join(path)


def _key(entry, exact_zone):
    return (entry.digest, entry.printed.strip() if exact_zone else entry.instant, entry.flags, entry.keywords)


def _compare_folder(name, wanted, present, exact_zone, extra_messages, order):
    left = collections.Counter(_key(e, exact_zone) for e in wanted)
    right = collections.Counter(_key(e, exact_zone) for e in present)
    missing, extra = [], []
    for entries, over, out in ((wanted, left - right, missing), (present, right - left, extra)):
        for entry in entries:
            key = _key(entry, exact_zone)
            if over[key] > 0:
                over[key] -= 1
                out.append(entry)
    found = []
    # What has the same bytes on both sides is one message that was altered, not one lost and another gained.
    by_digest = collections.defaultdict(list)
    for entry in extra:
        by_digest[entry.digest].append(entry)
    for entry in missing:
        if by_digest[entry.digest]:
            other = by_digest[entry.digest].pop(0)
            extra.remove(other)
            found += ["%s: %s: %s" % (name, _tell(entry), what) for what in _altered(entry, other, exact_zone)]
        else:
            found.append("%s: %s is missing" % (name, _tell(entry)))
    if extra_messages:
        known = {e.digest for e in wanted}
        found += ["%s: %s is %s" % (name, _tell(e), "there once too often" if e.digest in known else "extra")
                  for e in extra]
    if order and not found and [e.digest for e in wanted] != [e.digest for e in present]:
        found.append("%s: the messages are in another order" % name)
    return found


def _tell(entry):
    return "message UID %d (%d bytes%s)" % (entry.uid, entry.size, ", %r" % entry.about if entry.about else "")


def _altered(a, b, exact_zone):
    if a.instant != b.instant:
        yield "INTERNALDATE was %s and is %s (%+d s)" % (a.printed.strip(), b.printed.strip(), b.instant - a.instant)
    elif exact_zone and a.printed.strip() != b.printed.strip():
        yield "INTERNALDATE was %s and is %s (same instant, other zone)" % (a.printed.strip(), b.printed.strip())
    for what, old, new in (("flags were", a.flags, b.flags), ("keywords were", a.keywords, b.keywords)):
        if old != new:
            yield "%s (%s) and are (%s)" % (what, " ".join(sorted(old)), " ".join(sorted(new)))
