"""Looks for the best way to cut the bytes of the raw limit: a limit that something is faster than is none.

Only the target's half is tried where that is what takes the time, and the source's half for the length of a FETCH."""
import dataclasses

from .plan import Cell
from .shapes import SHAPES
from .tools import limit

BASE = limit.Way()


def _ways(**lists):
    return [dataclasses.replace(BASE, **{name: value}) for name, values in lists.items() for value in values]


# What is tried on which shape, with which half.
TRIALS = (
    ("one", limit.LimitAppend, [dataclasses.replace(BASE, messages=m, bytes=b << 20) for m, b in (
        (1, 1), (10, 1), (50, 1), (100, 1), (200, 4), (1000, 16), (100_000, 1000))]),
    ("one", limit.LimitBoth, _ways(split=(1, 2, 4))),
    ("few", limit.LimitAppend, _ways(messages=(10, 50, 100, 200, 500))),
    ("large", limit.LimitAppend, _ways(bytes=(1, 1 << 20, 1 << 30))),
    ("one", limit.LimitFetch, _ways(span=(1, 50, 200, 1000, 10_000))),
    ("many", limit.LimitBoth, _ways(sessions=(2, 4, 8, 16, 32, 50, 100))),
)


def cells(rtts, turns, shapes=()):
    """[(Cell, tools)]; with names of shapes, of those only."""
    found = []
    for name, half, ways in TRIALS:
        if shapes and name not in shapes:
            continue
        tools = []
        for way in ways:
            tool = half(way)
            tool.name = "%s: %s" % (tool.name, way)
            tools.append(tool)
        for rtt in rtts:
            found.append((Cell(SHAPES[name].scaled(2000), rtt, False, tuple(t.name for t in tools), turns), tools))
    return found
