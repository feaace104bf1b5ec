"""Plots by gnuplot, PNG and SVG, from what was measured."""
import os
import shutil
import statistics
import subprocess

from . import goals, plan
from .view import find

TOOLS = (("limit", "#000000", 7), ("limit-x4", "#777777", 6), ("godwit", "#d62728", 7), ("godwit-x4", "#ff9896", 6), ("mbsync", "#1f77b4", 5), ("mbsync-x4", "#1f77b4", 4), ("doveadm", "#2ca02c", 9),
         ("imapsync", "#9467bd", 11), ("imapsync-x", "#9467bd", 10))
HEAD = """\
set encoding utf8
set border 3 lw 1.2 lc rgb "#444444"
set tics nomirror out
set grid y lc rgb "#dddddd" lw 1 dt 1
set key outside bottom center horizontal Left reverse samplen 2 spacing 1.3 width 2
set style fill solid 0.85 noborder
"""
TERMINALS = (("png", 'pngcairo size 1000,560 font "sans,12" lw 1.4'), ("svg", 'svg size 1000,560 font "sans,14" lw 1.2 background "#ffffff"'))


def _gnuplot(folder, name, script, data):
    """Writes NAME.png and NAME.svg. `data`: block name -> rows."""
    blocks = "".join("$%s << EOD\n%s\nEOD\n" % (block, "\n".join(" ".join(map(str, row)) for row in rows)) for block, rows in data.items())
    for kind, terminal in TERMINALS:
        text = "set terminal %s\nset output '%s'\n%s%s%s\n" % (terminal, os.path.join(folder, "%s.%s" % (name, kind)), HEAD, blocks, script)
        done = subprocess.run(["gnuplot"], input=text, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError("gnuplot: %s: %s" % (name, done.stdout.strip()[-1000:]))
    return name


def _look(tool):
    """(place in the key, color, kind of point)"""
    for number, (name, color, point) in enumerate(TOOLS):
        if tool == name or name.endswith("-x") and tool.startswith(name):
            return number, color, point
    return len(TOOLS), "#8c564b", 13


def _log_range(values):
    """A range around them, and tics at 1, 2 and 5 that gnuplot would not set by itself."""
    low, high = min(values) / 1.5, max(values) * 1.5
    tics = [digit * 10.0 ** power for power in range(-3, 9) for digit in (1, 2, 5)]
    return "set yrange [%g:%g]\nset ytics (%s)\n" % (low, high, ", ".join("%g" % t for t in tics if low <= t <= high))


def throughput(folder, views):
    """Messages per second over round-trip time: one plot for each shape that was measured at two distances or more."""
    made = []
    for shape, about in (("one", "one mailbox"), ("few", "one small mailbox"), ("many", "many small mailboxes"), ("large", "one mailbox of large messages")):
        here = sorted({c.rtt for c in views if c.shape == shape and not c.plain})
        cells = [find(views, shape, rtt) for rtt in here]
        if len(here) < 2:
            continue
        mb = shape == "large"
        data, lines = {}, []
        for tool in sorted({t for c in cells for t in c.runs}, key=_look):
            rows = []
            for c in cells:
                walls = [r.wall for r in c.good(tool)]
                if walls:
                    amount = c.bytes / 1e6 if mb else c.messages
                    rows.append((c.rtt, amount / statistics.median(walls), amount / max(walls), amount / min(walls)))
            if rows:
                _, color, point = _look(tool)
                block = "d%d" % len(data)
                data[block] = rows
                lines.append("$%s using 1:2:3:4 with yerrorlines lc rgb '%s' pt %d ps 1.3 lw 2 title '%s'" % (block, color, point, tool))
        if not lines:
            continue
        script = ("set title '%s: %s, TLS'\nset xlabel 'round-trip time, ms'\nset ylabel '%s per second'\nset logscale y\n%s"
                  "set xtics (%s)\nset xrange [-4:%g]\nset grid x lc rgb '#eeeeee' lt 1\nplot %s" % (
                      "Throughput over distance", "%s (%s)" % (about, cells[0].size), "MB" if mb else "messages",
                      _log_range([y for rows in data.values() for r in rows for y in r[1:]]),
                      ", ".join("%g" % r for r in here), max(here) + 4, ", ".join(lines)))
        made.append((_gnuplot(folder, "throughput-" + shape, script, data), "Throughput over round-trip time, %s." % about))
    return made


def limits(folder, views):
    """Wall time of godwit as a multiple of the limit's, cell by cell, with the range over the turns."""
    rows = []
    for c in sorted(views, key=plan.place):
        if c.ratio("godwit", "limit") is None:
            continue
        theirs = {r.turn: r.wall for r in c.good("limit")}
        turns = [r.wall / theirs[r.turn] for r in c.good("godwit") if r.turn in theirs]
        rows.append((len(rows), c.ratio("godwit", "limit"), min(turns), max(turns), '"%s %g ms%s"' % (c.shape, c.rtt, " plain" if c.plain else "")))
    if not rows:
        return []
    top = max(1.5, max(r[3] for r in rows) * 1.08)
    script = ("set title 'Wall time of godwit, as a multiple of what the servers can do at best'\nset ylabel 'godwit / limit'\nset yrange [0:%g]\n"
              "set xrange [-0.6:%g]\nset boxwidth 0.6\nset xtics rotate by 35 right noenhanced\n"
              "plot $d using 1:2:xtic(5) with boxes lc rgb '#d62728' title 'median', $d using 1:2:3:4 with yerrorbars lc rgb '#444444' pt 7 ps 0.2 lw 1.5 title 'range of turns', "
              "%g with lines lc rgb '#2ca02c' dt 2 lw 2 title 'goal, %g', 1 with lines lc rgb '#000000' lw 1.5 title 'limit'" % (
                  top, len(rows) - 0.4, goals.LIMIT, goals.LIMIT))
    return [(_gnuplot(folder, "limit", script, {"d": rows}), "Wall time against the limit.")]


def memory(folder, record):
    series = (("small", "running, small mail", "#d62728", 7), ("large", "running, messages of 5 MB", "#1f77b4", 5), ("idle", "logged in, idle", "#2ca02c", 9))
    data, lines = {}, []
    for what, title, color, point in series:
        rows = sorted((line["n"], line["kb"] / 1024) for line in record.of("memory", what=what))
        if len(rows) > 1:
            data[what] = rows
            lines.append("$%s using 1:2 with linespoints lc rgb '%s' pt %d ps 1.3 lw 2 title '%s'" % (what, color, point, title))
    if not lines:
        return []
    most = max(n for rows in data.values() for n, _ in rows)
    script = ("set title 'Memory of the process over mailboxes (two TLS connections each)'\nset xlabel 'mailboxes at the same time'\nset ylabel 'peak resident memory, MB'\n"
              "set xrange [0:%g]\nset yrange [0:*]\nset grid x lc rgb '#eeeeee' lt 1\n"
              "plot %s, %g+%g/1024.0*x with lines lc rgb '#888888' dt 2 lw 1.5 title 'goal: %d KB more for each that runs'" % (
                  most * 1.05, ", ".join(lines), min(mb for rows in data.values() for _, mb in rows), goals.RUNNING_KB, goals.RUNNING_KB))
    return [(_gnuplot(folder, "memory", script, data), "Memory over the number of mailboxes.")]


def growth(folder, record):
    by = {}
    for line in record.of("growth"):
        if not line["failed"]:
            by.setdefault(line["messages"], []).append(line)
    if len(by) < 2:
        return []
    rows = []
    for n, lines in sorted(by.items()):
        def mid(key):
            return statistics.median(key(line) for line in lines)
        rows.append((n, mid(lambda l: l["wall"]) / n * 1e6, mid(lambda l: l["cpu"]) / n * 1e6,
                     mid(lambda l: l["source_cpu"] + l["target_cpu"]) / n * 1e6, mid(lambda l: l["kb"]) / 1024))
    script = ("set title 'Cost of a message over the size of its folder'\nset xlabel 'messages in the folder'\nset ylabel 'µs per message'\n"
              "set y2label 'peak memory, MB'\nset logscale xy\nset format x '10^{%%T}'\n%sset y2range [0:%g]\nset y2tics nomirror out\nset border 11\n"
              "set xrange [%g:%g]\n"
              "plot $d using 1:2 with linespoints lc rgb '#000000' pt 7 ps 1.3 lw 2 title 'wall', "
              "$d using 1:4 with linespoints lc rgb '#888888' pt 5 ps 1.3 lw 2 title 'CPU of the servers', "
              "$d using 1:3 with linespoints lc rgb '#d62728' pt 7 ps 1.3 lw 2 title 'CPU of godwit', "
              "$d using 1:5 axes x1y2 with linespoints lc rgb '#1f77b4' pt 9 ps 1.3 lw 2 dt 2 title 'memory of godwit (right)'" % (
                  _log_range([y for r in rows for y in r[1:4]]), max(r[4] for r in rows) * 1.15, min(r[0] for r in rows) * 0.7, max(r[0] for r in rows) * 1.4))
    return [(_gnuplot(folder, "growth", script, {"d": rows}), "Cost over the size of a folder.")]


def draw(folder, views, record):
    """([(name, caption)], why there are none)"""
    if not shutil.which("gnuplot"):
        return [], "gnuplot is not installed (Debian: gnuplot-nox)"
    try:
        return [*throughput(folder, views), *limits(folder, views), *memory(folder, record), *growth(folder, record)], ""
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
