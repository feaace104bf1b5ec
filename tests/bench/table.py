"""What is shown: Markdown for people, JSON for programs."""
import dataclasses
import os
import platform
import statistics
import subprocess

COLUMNS = ("tool", "runs", "wall s", "min–max", "msg/s", "MB/s", "CPU s", "servers' CPU s", "memory MB", "round trips", "exit",
           "× limit", "× mbsync")


def _median(runs, key):
    return statistics.median(key(r) for r in runs)


def good(runs):
    return [r for r in runs if not r.failed]


def wall(cell, name):
    """Median, or None when a run failed or there is none."""
    runs = cell["runs"].get(name, [])
    return _median(runs, lambda r: r.wall) if runs and len(good(runs)) == len(runs) else None


def ratio(cell, name, reference):
    """Median over the turns, so that a slow minute, which hits both, does not count; of the medians when one was run less often."""
    mine, other = cell["runs"].get(name, []), cell["runs"].get(reference, [])
    if wall(cell, name) is None or wall(cell, reference) is None:
        return None
    if len(mine) != len(other):
        return wall(cell, name) / wall(cell, reference)
    return statistics.median(a.wall / b.wall for a, b in zip(mine, other))


def times(value):
    return "–" if value is None else "%.2f" % value


def row(cell, name):
    absent = cell["absent"].get(name)
    if absent:
        return [name, "absent: " + absent] + ["–"] * (len(COLUMNS) - 2)
    runs = cell["runs"][name]
    failed = [r for r in runs if r.failed]
    if failed:
        return [name, "%d, %d **failed**" % (len(runs), len(failed))] + ["–"] * (len(COLUMNS) - 5) + [
            "%d" % failed[0].exit, "–", "–"]
    mid = wall(cell, name)
    return [
        name, "%d" % len(runs), "%.2f" % mid, "%.2f–%.2f" % (min(r.wall for r in runs), max(r.wall for r in runs)),
        "%.0f" % (cell["messages"] / mid), "%.1f" % (cell["bytes"] / mid / 1e6), "%.2f" % _median(runs, lambda r: r.cpu),
        "%.2f" % _median(runs, lambda r: r.server_cpu), "%.1f" % (_median(runs, lambda r: r.memory_kb) / 1024),
        "%d" % _median(runs, lambda r: r.turns) if cell["rtt"] else "–", "0",
        times(ratio(cell, name, "limit")), times(ratio(cell, name, "mbsync"))]


def markdown(cells, tools, about):
    out = ["# Benchmark", "", about, ""]
    for cell in cells:
        out += ["## %s, RTT %g ms" % (cell["title"], cell["rtt"]), "",
                "%d messages, %.1f MB." % (cell["messages"], cell["bytes"] / 1e6), "",
                "| " + " | ".join(COLUMNS) + " |", "|" + "|".join(["---"] + ["---:"] * (len(COLUMNS) - 1)) + "|"]
        out += ["| " + " | ".join(row(cell, t.name)) + " |" for t in tools if t.name in cell["runs"] or t.name in cell["absent"]]
        wrong = ["- %s: **failed**: %s" % (name, r.failed) for name, runs in cell["runs"].items() for r in runs if r.failed]
        out += [""] + wrong + [""] * bool(wrong)
    out += ["Medians; `min–max` is the noise of the machine. Memory: the largest process, or the sum over all where several run at once. ",
            "× is the median of the ratios within a turn. Round trips: turns of the busiest connection, as the proxy counts them: with",
            "pipelining, answers that cross what is sent are counted, too.", ""]
    out += ["- `%s`: %s." % (t.name, t.note) for t in tools if t.note and any(t.name in c["runs"] for c in cells)]
    return "\n".join(out).rstrip() + "\n"


def as_json(cells, about):
    def cell_json(cell):
        return dict({k: cell[k] for k in ("shape", "title", "rtt", "messages", "bytes", "absent")},
                    limit_ratio=ratio(cell, "godwit", "limit"), mbsync_ratio=ratio(cell, "godwit", "mbsync"),
                    runs={n: [dataclasses.asdict(r) for r in runs] for n, runs in cell["runs"].items()})
    return {"about": about, "cells": [cell_json(c) for c in cells]}


def _first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=10)
        return (done.stdout.splitlines() or ["?"])[0].strip()
    except OSError:
        return "absent"


def about(args, place):
    return "%d cores, Linux %s; Dovecot %s, Maildir, %s; %s; runs: %d." % (
        os.cpu_count(), platform.release(), _first_line(place.source.binary, "--version").split(" ")[0],
        "plaintext" if args.plain else "TLS", _first_line("mbsync", "--version"), args.n)
