"""shim.c from Python: builds it, reads its journal, and makes the disks that a power loss may leave behind."""
import dataclasses
import os
import pathlib
import shutil
import struct

from lab import process

SOURCE = pathlib.Path(__file__).with_name("shim.c")
SECTOR = 512


def build():
    """The library, built once per user and version of its source."""
    return process.build(str(SOURCE), "-shared", "-fPIC")


def environment(folder, journal, at=0, how="before", end="kill", times=0, reads=False, slow=0):
    """What to start a program with. `how`: "before", "torn", or an errno."""
    options = os.environ.get("ASAN_OPTIONS", "quarantine_size_mb=1:detect_leaks=1")
    return {"LD_PRELOAD": build(), "SHIM_DIR": str(folder), "SHIM_JOURNAL": str(journal), "SHIM_AT": str(at), "SHIM_HOW": str(how),
            "SHIM_END": end, "SHIM_SLOW": str(slow), "SHIM_TIMES": str(times), "SHIM_READS": "yes" if reads else "",
            "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}


@dataclasses.dataclass(frozen=True)
class Op:
    step: int
    kind: str       # c create, w write, t truncate, s sync, d sync of the folder, r rename, u unlink, p read
    file: str
    to: str
    offset: int
    data: bytes


def read_journal(path):
    data, at, found = pathlib.Path(path).read_bytes() if os.path.exists(path) else b"", 0, []

    def take(form):
        nonlocal at
        value = struct.unpack_from("=" + form, data, at)
        at += struct.calcsize("=" + form)
        return value[0]

    def text():
        nonlocal at
        n = take("H")
        at += n
        return data[at - n:at]

    try:
        while at < len(data):
            step, kind, file, to, offset, n = take("I"), chr(take("B")), text().decode(), text().decode(), take("Q"), take("I")
            if len(data) - at < n:
                break
            found.append(Op(step, kind, file, to, offset, data[at:at + n]))
            at += n
    except struct.error:
        pass    # the program was killed while it wrote its last record
    return found


# --- disks ------------------------------------------------------------------------------------------------------------------
# A disk is a dict: name of a file -> its bytes. Lost after a power cut is what was not synced: of a file its writes, of the folder the names.

def read_disk(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir() if p.is_file()}


def write_disk(folder, disk):
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for name, data in disk.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)


def _change(data, op):
    if op.kind == "t":
        return data[:op.offset] + bytes(max(0, op.offset - len(data)))
    data = data + bytes(max(0, op.offset - len(data)))
    return data[:op.offset] + op.data + data[op.offset + len(op.data):]


def unsynced(ops):
    """Those whose effect a power loss may take back."""
    left = []
    for op in ops:
        if op.kind == "s":
            left = [o for o in left if not (o.file == op.file and o.kind in "wt")]
        elif op.kind == "d":
            left = [o for o in left if o.kind not in "cru"]
        elif op.kind in "wtcru":
            left.append(op)
    return left


def replay(base, ops, lost=()):
    """The disk after the steps, without the effect of the lost ones. A file whose creation is lost has lost all."""
    disk, lost, without_name = dict(base), set(map(id, lost)), {}
    for op in ops:
        gone = id(op) in lost
        if op.kind == "c":
            (without_name if gone else disk)[op.file] = b""
        elif op.kind in "wt" and not gone:
            place = without_name if op.file in without_name else disk
            place[op.file] = _change(place.get(op.file, b""), op)
        elif op.kind == "u" and not gone:
            disk.pop(op.file, None)
            without_name.pop(op.file, None)
        elif op.kind == "r" and not gone and op.file in disk:
            disk[op.to] = disk.pop(op.file)
    return disk


def power_losses(base, ops, actual, thorough):
    """Names and disks that may be there after a power loss: nothing of what was not synced, any prefix of it, each alone, each missing, and torn
    sectors. Without `thorough`: a few of them. Each disk once; that of a mere kill, where nothing is lost, is not among them."""
    left = unsynced(ops)
    seen = [actual]

    def those(name, lost, torn=None):
        chosen = ops
        if torn:
            half = dataclasses.replace(torn, data=torn.data[:len(torn.data) // 2 // SECTOR * SECTOR])
            chosen = [half if o is torn else o for o in ops]
        disk = replay(base, chosen, lost)
        disk.pop("ledger.sqlite-shm", None)
        if disk not in seen:
            seen.append(disk)
            yield name, disk

    yield from those("nothing unsynced", left)
    if not left:
        return
    yield from those("the last only", left[:-1])
    yield from those("all but the first", left[:1])
    if left[-1].kind == "w" and len(left[-1].data) > SECTOR:
        yield from those("the last one torn", (), left[-1])
    if thorough:
        for i in range(1, len(left)):
            yield from those("the first %d" % i, left[i:])
        for i, op in enumerate(left):
            yield from those("all but number %d" % (i + 1), [op])
            yield from those("number %d only" % (i + 1), [o for o in left if o is not op])
