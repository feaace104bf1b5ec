"""Made-up mailboxes, the same for the same seed: what fill.py writes to a server."""
import base64
import dataclasses
import functools
import math
import random
import statistics
import time
from typing import Iterable

WORDS = ("the and to of a in for is on that by this with you it not or be are from at as your all have new more an was "
         "we will home can us about if page my has search free but our one other do no information time they site he up "
         "may what which their news out use any there see only so his when contact here business who web also now help "
         "get view online first am been would how were services some these click its like service than find price date "
         "invoice meeting project budget report draft holiday contract customer server delivery question answer "
         "Grüße Zürich façade naïve").split()
PEOPLE = ("Ann Archer", "Bob Baker", "Carol Chandler", "Dave Dyer", "Erin Eyre", "Frank Fletcher", "Grace Glover")
ZONES = ("+0000", "+0100", "-0500", "+0545", "-1130", "+1245", "-0330", "+0200")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
LINE = 78  # a base64 line of 76 characters and its CRLF


@dataclasses.dataclass
class Message:
    body: bytes
    flags: tuple = ()
    date: str = "01-Jan-2020 00:00:00 +0000"


@dataclasses.dataclass
class Folder:
    path: tuple
    messages: Iterable = ()
    subscribed: bool = True
    removed: frozenset = frozenset()  # indexes of messages that are expunged after all are written: gaps in the UIDs


def internaldate(instant, zone="+0000"):
    offset = (int(zone[1:3]) * 60 + int(zone[3:])) * (-60 if zone[0] == "-" else 60)
    t = time.gmtime(instant + offset)
    return "%2d-%s-%d %02d:%02d:%02d %s" % (t.tm_mday, MONTHS[t.tm_mon - 1], t.tm_year, t.tm_hour, t.tm_min, t.tm_sec, zone)


def header_date(instant, zone="+0000"):
    day, month, year = internaldate(instant, zone).split()[0].strip().split("-")
    return "%s %s %s %s" % (day, month, year, " ".join(internaldate(instant, zone).split()[1:]))


@functools.lru_cache(maxsize=None)
def _pools():
    """Lines of text, and a megabyte of base64. The same for every seed: what differs is where they are cut."""
    rng = random.Random("pools")
    lines = [" ".join(rng.choices(WORDS, k=rng.randrange(8, 13))).encode("utf-8") for _ in range(4000)]
    return lines, base64.encodebytes(rng.randbytes(57 * 20000)).replace(b"\n", b"\r\n")


class Writer:
    """Makes messages. Big parts are cut from pools made once, so that 100 MB take about a second."""

    def __init__(self, seed, domain="example.org"):
        self.random = random.Random("%s" % seed)
        self.domain = domain
        self.count = 0
        self.text_lines, self.base64_pool = _pools()

    def headers(self, instant, zone="+0000", extra=(), message_id=True, kind="text/plain; charset=utf-8"):
        self.count += 1
        sender, to = self.random.sample(PEOPLE, 2)
        lines = ["Return-Path: <%s@%s>" % (sender.split()[0].lower(), self.domain),
                 "Received: from mx%d.%s by mail.%s with ESMTPS id %08x; %s" % (
                     self.random.randrange(9), self.domain, self.domain, self.random.getrandbits(32),
                     header_date(instant, zone)),
                 "Date: " + header_date(instant, zone),
                 "From: %s <%s@%s>" % (sender, sender.split()[0].lower(), self.domain),
                 "To: %s <%s@%s>" % (to, to.split()[0].lower(), self.domain),
                 "Subject: " + " ".join(w for w in self.random.choices(WORDS, k=6) if w.isascii())]
        if message_id:
            lines.append("Message-ID: <%d.%016x@%s>" % (self.count, self.random.getrandbits(64), self.domain))
        lines += ["MIME-Version: 1.0", "Content-Type: " + kind, *extra]
        if kind.startswith("text/plain"):
            lines.append("Content-Transfer-Encoding: 8bit")
        return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"

    def text(self, size):
        """About `size` bytes of text in lines."""
        out, total = [], 0
        while total < size:
            start = self.random.randrange(len(self.text_lines))
            for line in self.text_lines[start:start + 50]:
                out.append(line)
                total += len(line) + 2
                if total >= size:
                    break
        return b"\r\n".join(out) + b"\r\n"

    def attachment(self, size):
        """About `size` bytes of base64."""
        out = []
        while size > 0:
            start = self.random.randrange(2000) * LINE
            piece = self.base64_pool[start:start + max(LINE, size // LINE * LINE)]
            out.append(piece)
            size -= max(len(piece), 1)
            if size < LINE:
                break
        return b"".join(out)

    def message(self, size, instant, zone="+0000"):
        """A whole message of about `size` bytes: text when small, with an attachment when large."""
        if size < 16000:
            head = self.headers(instant, zone)
            return head + self.text(max(20, size - len(head)))
        mark = "=_%024x" % self.random.getrandbits(96)
        head = self.headers(instant, zone, kind='multipart/mixed; boundary="%s"' % mark)
        intro = self.text(1500)
        rest = size - len(head) - len(intro) - 400
        return b"".join((
            head, b"--", mark.encode(), b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", intro,
            b"--", mark.encode(), b'\r\nContent-Type: application/pdf; name="report.pdf"\r\n'
            b'Content-Disposition: attachment; filename="report.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n',
            self.attachment(rest), b"--", mark.encode(), b"--\r\n"))


def _flags(rng):
    some = []
    if rng.random() < 0.7:
        some.append("\\Seen")
    if rng.random() < 0.2:
        some.append("\\Answered")
    if rng.random() < 0.05:
        some.append("\\Flagged")
    if rng.random() < 0.05:
        some.append("$Forwarded")
    return tuple(some)


def _instant(rng):
    return rng.randrange(1262304000, 1735689600)  # 2010 to 2024


def sizes_like_mail(count, median=8000, mean=60000, smallest=900, largest=4_000_000):
    """`count` sizes of a log-normal distribution, evenly spread over its quantiles: the total depends on no seed."""
    normal = statistics.NormalDist()
    sigma = math.sqrt(2 * math.log(mean / median))
    return [int(min(largest, max(smallest, median * math.exp(sigma * normal.inv_cdf((i + 0.5) / count)))))
            for i in range(count)]


def realistic(count, seed=1, folders=1, **spread):
    """Sizes as in real mail; 2,000 messages are about 100 MB. Spread over INBOX and folders under Archive.
    `spread`: what sizes_like_mail() is to be told."""
    writer = Writer("realistic %s" % seed)
    sizes = sizes_like_mail(count, **spread)
    writer.random.shuffle(sizes)
    paths = [("INBOX",)] + [("Archive", str(2010 + i)) for i in range(folders - 1)]

    def messages(mine):
        for size in mine:
            instant = _instant(writer.random)
            yield Message(writer.message(size, instant), _flags(writer.random), internaldate(instant))

    return [Folder(path, messages(sizes[i::len(paths)])) for i, path in enumerate(paths)]


def small(count, seed=1):
    """`count` messages of 2 to 4 KB in INBOX."""
    writer = Writer("small %s" % seed)

    def messages():
        for _ in range(count):
            instant = _instant(writer.random)
            size = writer.random.randrange(2000, 4000)
            yield Message(writer.message(size, instant), _flags(writer.random), internaldate(instant))

    return [Folder(("INBOX",), messages())]


def large(count, size, seed=1, most=None):
    """`count` messages of about `size` bytes in INBOX; with `most`, evenly spread from `size` to `most`."""
    writer = Writer("large %s" % seed)
    sizes = [size + ((most or size) - size) * i // max(1, count - 1) for i in range(count)]
    writer.random.shuffle(sizes)

    def messages():
        for size in sizes:
            instant = _instant(writer.random)
            yield Message(writer.message(size, instant), (), internaldate(instant))

    return [Folder(("INBOX",), messages())]


def many_folders(folders=60, count=10, seed=1):
    """Many folders with few messages each: for passes with nothing new."""
    writer = Writer("folders %s" % seed)

    def messages():
        for _ in range(count):
            instant = _instant(writer.random)
            yield Message(writer.message(2500, instant), _flags(writer.random), internaldate(instant))

    return [Folder(("INBOX",), messages())] + [
        Folder(("Folders", "%03d" % i), messages(), subscribed=i % 2 == 0) for i in range(folders - 1)]
