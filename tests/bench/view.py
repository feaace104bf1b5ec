"""The record as tables and goals look at it: cells with their runs, medians, ratios."""
import dataclasses
import statistics

from .measure import Result

FIELDS = {f.name for f in dataclasses.fields(Result)}


@dataclasses.dataclass
class Run(Result):
    turn: int = 0


class CellView:
    def __init__(self, about):
        """`about`: the record's line of kind cell."""
        self.about, self.runs, self.absent = about, {}, {}

    def __getattr__(self, name):
        try:
            return self.about[name]
        except KeyError:
            raise AttributeError(name) from None

    def good(self, tool):
        """Its runs; none when one of them failed: a tool that is wrong now and then is not fast."""
        runs = self.runs.get(tool, [])
        return [] if any(r.failed for r in runs) else runs

    def median(self, tool, key):
        runs = self.good(tool)
        return statistics.median(key(r) for r in runs) if runs else None

    def wall(self, tool):
        return self.median(tool, lambda r: r.wall)

    def ratio(self, tool, other, key=lambda r: r.wall):
        """Median of the ratios within a turn, so that a slow minute, which hits both, does not count. None: not both were measured."""
        mine, theirs = ({r.turn: key(r) for r in self.good(name)} for name in (tool, other))
        ratios = [mine[turn] / theirs[turn] for turn in mine if turn in theirs and theirs[turn]]
        return statistics.median(ratios) if ratios else None


def cells(record):
    found = {line["key"]: CellView(line) for line in record.of("cell")}
    for line in record.of("run"):
        if line["cell"] in found:
            run = Run(turn=line["turn"], **{k: v for k, v in line.items() if k in FIELDS})
            found[line["cell"]].runs.setdefault(line["tool"], []).append(run)
    for line in record.of("absent"):
        if line["cell"] in found:
            found[line["cell"]].absent[line["tool"]] = line["why"]
    return list(found.values())


def find(views, shape, rtt, plain=False):
    """The largest cell of that shape there, or None."""
    found = [c for c in views if c.shape == shape and c.rtt == rtt and c.plain == plain]
    return max(found, key=lambda c: c.messages) if found else None


def slope(points):
    """Of the straight line that fits (x, y) best; None for fewer than two different x."""
    if len({x for x, _ in points}) < 2:
        return None
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
