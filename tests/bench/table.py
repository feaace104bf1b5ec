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


def times(value, reference):
    return "%.2f" % (value / reference) if value and reference else "–"


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
        times(mid, wall(cell, "limit")), times(mid, wall(cell, "mbsync"))]


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
            "Round trips: turns of the busiest connection, as the proxy counts them.", ""]
    out += ["- `%s`: %s." % (t.name, t.note) for t in tools if t.note and any(t.name in c["runs"] for c in cells)]
    return "\n".join(out).rstrip() + "\n"


def as_json(cells, about):
    def cell_json(cell):
        return dict({k: cell[k] for k in ("shape", "title", "rtt", "messages", "bytes", "absent")},
                    limit_ratio=_ratio(cell, "limit"), mbsync_ratio=_ratio(cell, "mbsync"),
                    runs={n: [dataclasses.asdict(r) for r in runs] for n, runs in cell["runs"].items()})
    return {"about": about, "cells": [cell_json(c) for c in cells]}


def _ratio(cell, name):
    mine, other = wall(cell, "godwit"), wall(cell, name)
    return mine / other if mine and other else None


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
