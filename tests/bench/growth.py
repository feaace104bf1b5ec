"""What a message costs in a folder of 1,000 and in one of 1,000,000."""
import math
import os
import shutil
import time

from lab import fill
from lab.corpus import Folder, Message, internaldate

from . import measure as measures, place as places
from .tools import Job, godwit

SIZES = (1000, 10_000, 100_000, 1_000_000)
RUNS = {1000: 5, 10_000: 3, 100_000: 2}     # else once
TIMEOUT = 3600.0
# Neither side syncs to the disk, and the mail lies in large files: what is looked at is godwit, and the filling must end some day.
STORAGE = {"format": "mdbox", "fsync": "never"}
ABOUT = "mail of about 1 KB in INBOX, mdbox without fsync on both sides, TLS, RTT 0"
TEXT = b"The quick brown fox jumps over the lazy dog, and godwit flies past both of them.\r\n" * 8


def message(number):
    """A short message of its own."""
    instant = 1_300_000_000 + number * 317
    head = ("Return-Path: <ann%d@example.org>\r\nReceived: from mx%d.example.org by mail.example.org with ESMTPS id %08x; Mon, 4 Mar 2019 10:00:00 +0000\r\n"
            "Date: Mon, 4 Mar 2019 10:00:00 +0000\r\nFrom: Ann Archer <ann%d@example.org>\r\nTo: Bob Baker <bob@example.org>\r\n"
            "Subject: number %d\r\nMessage-ID: <%d.%x@example.org>\r\n\r\n" % (
                number % 1000, number % 9, number * 2654435761 % (1 << 32), number % 1000, number, number, number * 40503))
    return Message(head.encode() + TEXT + b"%d\r\n" % number, ("\\Seen",) if number % 3 else (), internaldate(instant))


def measure(folder, program, record, say, most, late=lambda cost: False):
    """Sizes up to `most`; what the record holds already is not measured again. `late(cost)`: whether there is no time for that."""
    due = [n for n in SIZES if n <= most and len(record.of("growth", messages=n)) < RUNS.get(n, 1)]
    if not due:
        return
    with places.Place(folder, **STORAGE) as place:
        for n in due:
            # Ten times the messages, ten times as long: for the filling and for the runs.
            last = max((line["took"] for line in record.of("growth", messages=n // 10)), default=1.0)
            if late(last * 10):
                say("growth, %d messages: no time" % n)
                break
            begin = time.monotonic()
            user = "folder%d" % n
            place.source.add_user(user, places.PASSWORD)
            say("filling: a folder of %d messages" % n)
            count, total = fill.fill(place.source, user, places.PASSWORD, [Folder(("INBOX",), map(message, range(n)))])
            for turn in range(len(record.of("growth", messages=n)), RUNS.get(n, 1)):
                line = _run(place, os.path.join(folder, "work"), program, user, count, turn)
                record.add("growth", messages=n, bytes=total, took=time.monotonic() - begin, **line)
                say("growth, %d messages: %.1f s, %.1f µs of CPU per message, %.1f MB; again: %.2f s%s" % (
                    n, line["wall"], line["cpu"] / n * 1e6, line["kb"] / 1024, line["again_wall"],
                    "; FAILED: " + line["failed"] if line["failed"] else ""))
                begin = time.monotonic()
            place.source.remove_user(user)
            shutil.rmtree(place.source.mail_path(user), ignore_errors=True)


def _run(place, work, program, user, count, turn):
    os.makedirs(work)
    copies = place.fresh_users([user])
    source_port, target_port = place.ports(0)
    job = Job(shape=None, place=place, rtt=0, folder=work, pairs=((user, copies[0]),), bad=(), password=places.PASSWORD,
              source_port=source_port, target_port=target_port, plain=False, ca_file=place.ca_file)
    godwit.configure(job, [(user, places.PASSWORD, copies[0])], 1)
    command = [program, "once", "-c", "godwit.conf"]
    first = measures.run(command, place, [], TIMEOUT, work)
    again = measures.run(command, place, [], TIMEOUT, work)
    failed = first.failed or again.failed
    if not failed and places.counts(place.target, copies[0]).get(("INBOX",), (0, 0)) != places.counts(place.source, user)[("INBOX",)]:
        failed = "the target does not hold what the source does"
    place.forget(copies)
    shutil.rmtree(work)
    return {"turn": turn, "wall": first.wall, "cpu": first.cpu, "kb": first.max_rss_kb, "source_cpu": first.source_cpu,
            "target_cpu": first.target_cpu, "again_wall": again.wall, "again_cpu": again.cpu, "again_kb": again.max_rss_kb,
            "failed": failed, "said": (first.said + again.said)[-1000:] if failed else ""}


def exponent(points):
    """How cost grows between the smallest and the largest (n, cost): 1 is linear, 2 quadratic. None for fewer than two."""
    points = sorted(points)
    if len({n for n, _ in points}) < 2 or points[0][1] <= 0:
        return None
    return math.log(points[-1][1] / points[0][1]) / math.log(points[-1][0] / points[0][0])
