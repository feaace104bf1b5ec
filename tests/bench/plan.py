"""What one run measures, the most important first: time may end before it does."""
import dataclasses

from .shapes import SHAPES

TURNS = 5


@dataclasses.dataclass(frozen=True)
class Cell:
    """One shape at one round-trip time: one table."""
    shape: object
    rtt: float
    plain: bool
    tools: tuple        # names
    turns: int = TURNS

    @property
    def key(self):
        return "%s %dx%d/%g/%s" % (self.shape.name, self.shape.mailboxes, self.shape.messages, self.rtt, "plain" if self.plain else "tls")

    @property
    def title(self):
        return "%s, RTT %g ms, %s" % (self.shape, self.rtt, "plaintext" if self.plain else "TLS")


IMAPSYNC_X = "imapsync-x"   # the beginning of its name: the number depends on the machine
BOTH = ("godwit", "limit")
# A tool that would need many minutes for a shape is not run on it, but together with godwit on a smaller one: `few` for `one`, `some` for `many`.
PLAN = (
    ("one", (0, 100), False, BOTH + ("mbsync",)),
    ("one", (25,), False, BOTH + ("godwit-x4", "limit-x4", "mbsync", "doveadm")),
    ("many", (0,), False, BOTH + ("mbsync-x4", "doveadm", IMAPSYNC_X)),
    ("many", (25, 100), False, BOTH),
    ("delta", (100,), False, ("godwit", "mbsync")),
    ("bad", (25,), False, ("godwit", "godwit, good only")),
    ("few", (0, 25, 100), False, BOTH + ("mbsync", "doveadm", "imapsync")),
    ("some", (25,), False, BOTH + ("mbsync", "mbsync-x4", "doveadm")),
    ("some", (100,), False, BOTH + ("mbsync-x4", IMAPSYNC_X)),
    ("large", (0,), False, BOTH + ("mbsync", "doveadm", "imapsync")),
    ("large", (25, 100), False, BOTH + ("mbsync",)),
    ("delta", (0,), False, ("godwit", "mbsync", "doveadm", "imapsync")),
    ("delta", (25,), False, ("godwit", "mbsync", "doveadm")),
    ("one", (0,), True, BOTH),
    ("large", (0,), True, BOTH),
    ("many", (0,), True, BOTH),
    ("some", (0,), False, BOTH + ("mbsync", "mbsync-x4", "imapsync")),
    ("penalty", (25,), False, ("godwit", "godwit, good only")),
    ("huge", (25,), False, BOTH),
)
# The costly ones are not repeated so often.
FEWER = {"huge": 1, "large": 3, "penalty": 1}


def default(quick=False):
    cells = [Cell(SHAPES[name], float(rtt), plain, tools, FEWER.get(name, TURNS)) for name, rtts, plain, tools in PLAN for rtt in rtts]
    if not quick:
        return cells
    # Every shape once, not far away.
    seen, chosen = set(), []
    for cell in cells:
        if (cell.shape.name, cell.plain) not in seen and not (cell.plain and cell.shape.name != "one") and cell.shape.name != "penalty":
            seen.add((cell.shape.name, cell.plain))
            chosen.append(dataclasses.replace(cell, shape=cell.shape.quickly(), rtt=min(cell.rtt, 25.0), turns=1))
    few = next(c for c in cells if c.shape.name == "few" and c.rtt == 25)
    return chosen + [dataclasses.replace(few, shape=few.shape.quickly(), turns=1)]


def own(shapes, rtts, plain, tools, turns):
    """What the command line asks for. No names of tools: all."""
    return [Cell(shape, rtt, plain, tuple(tools or ()), turns) for shape in shapes for rtt in rtts]


def choose(cell, tools):
    """Those of `tools` that the cell wants and that can do it."""
    def wanted(tool):
        return not cell.tools or any(tool.name == name or (name == IMAPSYNC_X and tool.name.startswith(name)) for name in cell.tools)
    return [tool for tool in tools if wanted(tool) and tool.suits(cell.shape)]


def place(view):
    """Where a cell stands on the page: by shape as in the plan, then by distance."""
    shapes = [row[0] for row in PLAN]
    return shapes.index(view.shape) if view.shape in shapes else len(shapes), view.shape, view.plain, view.rtt
