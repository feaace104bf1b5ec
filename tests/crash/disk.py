"""A disk that is full, read-only, or fails; a ledger that is damaged, cut short, or from another version. godwit says so, with the file and the way out, and exits
with 74; when the disk is well again, or the way out was gone, the next pass ends with exactly the source's messages on the target. What it does not notice
must do no harm."""
import dataclasses
import errno
import random
import re
import sqlite3

from . import shim
from .stage import Wrong

EX_IOERR = 74
WORDS = {errno.ENOSPC: "full|No space", errno.EIO: "Input/output error|I/O error", errno.EROFS: "Read-only|readonly|read-only"}
LEDGER = "ledger.sqlite"
WAY_OUT = re.compile(r"move (it|the file)( and its -wal)? away")


@dataclasses.dataclass(frozen=True)
class Failing:
    """The steps from `number` on fail, `times` of them (0: all). `reads`: reads are the steps."""
    number: int
    error: int
    times: int = 0
    reads: bool = False

    def __str__(self):
        return "%s from %s %d on%s" % (errno.errorcode[self.error], "read" if self.reads else "step", self.number,
                                       ", %d times" % self.times if self.times else "")


def finish(stage):
    """A complete pass, and one that does nothing."""
    program = stage.run()
    if program.code != 0:
        raise Wrong("the next pass ended with %d:\n%s" % (program.code, program.err[-1500:]))
    stage.judge()
    sent = []
    stage.run(on_part=lambda part: sent.append(part.name) if part.site == "target" and part.direction == "up" and part.first and
              part.name in stage.setting.further() else None)
    if stage.program.code != 0 or sent:
        raise Wrong("a further pass ended with %d and sent %s" % (stage.program.code, sent))


def count(stage, reads):
    stage.put_back()
    stage.journal.unlink(missing_ok=True)
    stage.run(environment=shim.environment(stage.case.state, stage.journal, reads=reads))
    return max((op.step for op in shim.read_journal(stage.journal)), default=0)


def fail(stage, failing):
    """Returns what became of it: "not reached", "absorbed", or "told"."""
    stage.put_back()
    stage.journal.unlink(missing_ok=True)
    program = stage.run(environment=shim.environment(stage.case.state, stage.journal, failing.number, failing.error, times=failing.times,
                                                     reads=failing.reads))
    if program.code == 0:
        stage.judge()
        outcome = "absorbed"
    elif program.code != EX_IOERR:
        raise Wrong("exit code %d:\n%s" % (program.code, program.err[-1500:]))
    else:
        said = program.lines("error: ")
        if not said or not any(str(stage.case.state) in line for line in said):
            raise Wrong("nothing was said of the file:\n" + program.err[-1500:])
        # A fault that is over when godwit looks for its reason has none that can be told.
        if failing.times == 0 and not any(re.search(WORDS[failing.error], line) for line in said):
            raise Wrong("nothing was said of the reason:\n" + program.err[-1500:])
        outcome = "told"
    finish(stage)
    return outcome


# --- damage -------------------------------------------------------------------------------------------------------------------

def damages(disk, thorough, seed=1):
    """Names and damaged disks: bits that turned, files cut short, pages of zeros, files gone."""
    rng = random.Random(seed)
    for name, data in sorted(disk.items()):
        if name == "lock" or name.endswith("-shm") or not data:
            continue
        step = 61 if thorough else max(len(data) // 40, 1)
        for at in range(0, len(data), step):
            at = min(len(data) - 1, at + rng.randrange(step))
            bad = bytearray(data)
            bad[at] ^= 1 << rng.randrange(8)
            yield "%s: a bit of byte %d turned" % (name, at), {**disk, name: bytes(bad)}
        for size in range(0, len(data), 512 if thorough else max(len(data) // 10, 1)):
            yield "%s cut to %d bytes" % (name, size), {**disk, name: data[:size]}
        for page in range(0, len(data), 4096):
            yield "%s: zeros from byte %d on" % (name, page), {**disk, name: data[:page] + bytes(len(data[page:page + 4096])) +
                                                             data[page + 4096:]}
        yield "%s is of another kind" % name, {**disk, name: b"This is no ledger at all.\n" * 50}
        yield "%s is gone" % name, {k: v for k, v in disk.items() if k != name}


def newer(stage, disk):
    """The disk with a ledger of a version that is not known yet."""
    shim.write_disk(stage.case.state, disk)
    connection = sqlite3.connect(stage.case.state / LEDGER)
    connection.execute("PRAGMA user_version = 4711")
    connection.close()
    return shim.read_disk(stage.case.state)


def meet(stage, disk, boxes=None):
    """Passes that meet this disk, beside these boxes. Returns "unnoticed" or "told"; the way out is what the message says."""
    stage.put_back(boxes, disk)
    outcome = "unnoticed"
    for _ in range(2):
        program = stage.run()
        if program.code == 0:
            stage.judge()
            continue
        if program.code != EX_IOERR:
            raise Wrong("exit code %d:\n%s" % (program.code, program.err[-1500:]))
        if outcome == "told" or not any(WAY_OUT.search(line) and str(stage.case.state / LEDGER) in line for line in program.lines("error: ")):
            raise Wrong("no way out was told:\n" + program.err[-1500:])
        outcome = "told"
        for name in (LEDGER, LEDGER + "-wal"):
            (stage.case.state / name).unlink(missing_ok=True)
    finish(stage)
    return outcome
