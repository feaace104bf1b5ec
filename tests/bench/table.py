"""Tables in Markdown."""
COLUMNS = ("tool", "runs", "wall s", "min–max", "msg/s", "MB/s", "CPU s", "source's CPU s", "target's CPU s", "memory MB", "round trips",
           "× limit", "× mbsync")


def markdown(header, rows, numbers=True):
    return ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] + ["---:" if numbers else "---"] * (len(header) - 1)) + "|",
            *("| " + " | ".join(row) + " |" for row in rows)]


def times(value):
    return "–" if value is None else "%.2f" % value


def row(cell, name):
    """One tool's line in the table of a cell."""
    if name in cell.absent and not cell.runs.get(name):
        return [name, "absent: " + cell.absent[name]] + ["–"] * (len(COLUMNS) - 2)
    runs = cell.runs[name]
    failed = [r for r in runs if r.failed]
    if failed:
        return [name, "%d, %d **failed**" % (len(runs), len(failed))] + ["–"] * (len(COLUMNS) - 2)
    wall = cell.wall(name)
    speed = ["–", "–"] if cell.again else ["%.0f" % (cell.messages / wall), "%.1f" % (cell.bytes / wall / 1e6)]
    return [
        name, "%d" % len(runs), "%.2f" % wall, "%.2f–%.2f" % (min(r.wall for r in runs), max(r.wall for r in runs)), *speed,
        "%.2f" % cell.median(name, lambda r: r.cpu), "%.2f" % cell.median(name, lambda r: r.source_cpu),
        "%.2f" % cell.median(name, lambda r: r.target_cpu),
        "%.1f" % (cell.median(name, lambda r: r.memory_kb) / 1024),
        "%d" % cell.median(name, lambda r: r.turns) if cell.rtt else "–",
        times(cell.ratio(name, "limit")), times(cell.ratio(name, "mbsync"))]


def cell(view, order):
    """A section: title, table, what failed."""
    names = sorted({*view.runs, *view.absent}, key=lambda n: order.index(n) if n in order else len(order))
    out = ["### %s" % view.title, "", "%s messages, %.1f MB." % (format(view.messages, ","), view.bytes / 1e6), ""]
    out += markdown(COLUMNS, [row(view, name) for name in names])
    wrong = sorted({"- %s: **failed**: %s" % (name, r.failed) for name, runs in view.runs.items() for r in runs if r.failed})
    return out + ([""] + wrong if wrong else []) + [""]


def goals(found):
    return markdown(("what", "goal", "measured", "verdict"), [[g.what, g.goal, g.measured, g.verdict] for g in found], False)
