"""The goals of the project, and what was measured of each: as ratios within one run, met or missed and by how much."""
import dataclasses

from .view import find, slope

LIMIT, CPU, BAD, DELTA = 1.25, 0.1, 1.02, 1.0
MBSYNC, IMAPSYNC = {25: 2, 100: 5}, {25: 40, 100: 100}
MANY_IMAPSYNC = 10
IDLE_KB, RUNNING_KB, RUNNING_32_MB, PARKED_MB = 100, 512, 32, 100
RTTS = (0, 25, 100)


@dataclasses.dataclass
class Goal:
    what: str
    goal: str
    value: float = None     # None: not measured
    bound: float = 0.0
    least: bool = False     # the bound is a lower one
    unit: str = ""
    why: str = ""           # why it was not measured, or a remark

    @property
    def met(self):
        return self.value >= self.bound if self.least else self.value <= self.bound

    @property
    def measured(self):
        if self.value is None:
            return "–"
        return ("%.2f" if abs(self.value) < 100 else "%.0f") % self.value + self.unit

    @property
    def verdict(self):
        if self.value is None:
            return "not measured" + (": " + self.why if self.why else "")
        if self.met:
            said = "met"
        elif self.least:
            said = "**missed** by %.0f %%" % (100 * (1 - self.value / self.bound))
        else:
            said = "**missed** by %.0f %%" % (100 * (self.value / self.bound - 1))
        return said + (" (%s)" % self.why if self.why else "")


def _ratio(cell, tool, other):
    """(ratio of the walls, why there is none)"""
    if cell is None:
        return None, "this cell was not run"
    for name in (tool, other):
        if name in cell.absent:
            return None, "%s: %s" % (name, cell.absent[name])
        if not cell.runs.get(name):
            return None, "%s was not run" % name
        if not cell.good(name):
            return None, "%s failed: %s" % (name, next(r.failed for r in cell.runs[name] if r.failed))
    return cell.ratio(tool, other), ""


def _where(cell):
    return "%s (%s), RTT %g%s" % (cell.shape, cell.size, cell.rtt, ", plaintext" if cell.plain else "")


def _single(views):
    """The cells of one mailbox, in which everything is copied."""
    return [c for c in views if c.mailboxes == 1 and not c.again]


def _beside_limit(cell, what):
    value, why = _ratio(cell, "godwit", "limit")
    if value is not None:
        # A client has to ask what there is before it can fetch, and to fetch before it can append: two round trips that the limit does not make.
        why = "%+.2f s" % (cell.wall("godwit") - cell.wall("limit")) + (", two round trips are %.2f s" % (cell.rtt / 500) if cell.rtt else "")
    return Goal("%s, %s" % (what, _where(cell)), "≤ %.2f × limit" % LIMIT, value, LIMIT, why=why)


def one_mailbox(views):
    for cell in _single(views):
        if "limit" in cell.runs:
            yield _beside_limit(cell, "one mailbox")
    beside = [(c, _ratio(c, "godwit", "mbsync")[0]) for c in _single(views)]
    beside = [(c, value) for c, value in beside if value is not None]
    worst = max(beside, key=lambda b: b[1], default=None)
    yield Goal("one mailbox, worst of %d cells" % len(beside), "≤ 1.00 × mbsync", worst and worst[1], 1.0,
               why=_where(worst[0]) if worst else "mbsync was not run")
    for shape in ("one", "few"):
        for rtt, bound in MBSYNC.items():
            yield _faster(views, shape, rtt, "mbsync", bound)
    for rtt, bound in IMAPSYNC.items():
        yield _faster(views, "few", rtt, "imapsync", bound)


def _faster(views, shape, rtt, tool, bound):
    cell = find(views, shape, rtt)
    value, why = _ratio(cell, tool, "godwit")
    if value is not None and value < bound:
        best, _ = _ratio(cell, tool, "limit")
        why = "the limit is %.1f × as fast" % best if best else ""
    return Goal(("one mailbox" if cell is None or cell.mailboxes == 1 else "many mailboxes") + ", %s" % (
        _where(cell) if cell else "%s, RTT %g" % (shape, rtt)), "≥ %d × as fast as %s" % (bound, tool), value, bound, True, why=why)


def many_mailboxes(views):
    for shape in ("many", "some"):
        for cell in (c for c in views if c.shape == shape and "limit" in c.runs):
            yield _beside_limit(cell, "many mailboxes")
    for rtt in RTTS:
        cells = [c for c in (find(views, "many", rtt), find(views, "some", rtt)) if c]
        names = [(c, name) for c in cells for name in (*c.runs, *c.absent) if name.startswith("imapsync-x")]
        if names:
            yield _faster(views, names[0][0].shape, rtt, names[0][1], MANY_IMAPSYNC)


def _share(cell, tool):
    """CPU of a tool as a part of the servers'."""
    return cell.median(tool, lambda r: r.cpu / r.server_cpu if r.server_cpu else None)


def cpu(views):
    for shape in ("one", "large", "many", "huge"):
        for plain in (False, True):
            shares = [(_share(c, "godwit"), c) for c in views if c.shape == shape and c.plain == plain]
            share, cell = max((s for s in shares if s[0] is not None), key=lambda s: s[0], default=(None, None))
            if cell:
                least = _share(cell, "limit")
                yield Goal("CPU of godwit, %s, worst of %d" % (_where(cell), len(shares)), "≤ %.1f × the servers'" % CPU, share, CPU,
                           why="the limit, which parses nothing, needs %.2f" % least if least else "")


def memory(record):
    """Lines of kind memory: what, n, kb (peak), connections (the most at once)."""
    def points(what, x="connections"):
        return [(line[x], line["kb"]) for line in record.of("memory", what=what)]

    idle = slope(points("idle"))
    yield Goal("memory for an idle connection (TLS; slope over their number)", "≤ %d KB" % IDLE_KB, idle, IDLE_KB, unit=" KB")
    for what, about in (("small", "small mail"), ("large", "messages of 5 MB")):
        each = slope([(connections / 2, kb) for connections, kb in points(what)])
        yield Goal("memory for a running mailbox, %s (slope over their number)" % about, "≤ %d KB" % RUNNING_KB, each, RUNNING_KB, unit=" KB")
        most = max((line["kb"] for line in record.of("memory", what=what, n=32)), default=None)
        yield Goal("memory of the process, 32 running, %s" % about, "≤ %d MB" % RUNNING_32_MB, most and most / 1024, RUNNING_32_MB, unit=" MB")
    parked = max((line["kb"] for line in record.of("memory", what="parked", n=100_000)), default=None)
    yield Goal("memory of the process, 100,000 parked", "≤ %d MB" % PARKED_MB, parked and parked / 1024, PARKED_MB, unit=" MB")


def others(views):
    cell = find(views, "delta", 100)
    yield Goal("delta pass with nothing new%s" % (", %s" % _where(cell) if cell else ", RTT 100"), "≤ %.0f s" % DELTA,
               cell and cell.wall("godwit"), DELTA, unit=" s", why="" if cell else "this cell was not run")
    bad = next((c for c in views if c.shape == "bad"), None)
    value, why = _ratio(bad, "godwit", "godwit, good only")
    yield Goal("good mailboxes beside %s that cannot log in%s" % (bad.bad if bad else "some", ", %s" % _where(bad) if bad else ""),
               "≤ %.2f × without them" % BAD, value, BAD, why=why)


def all_goals(views, record):
    return [*one_mailbox(views), *many_mailboxes(views), *cpu(views), *memory(record), *others(views)]
