"""The page: README.md in the folder of the results, with all tables, goals, plots, and how to repeat it."""
import json
import os
import platform
import re
import shutil
import statistics
import subprocess

from . import faults, goals, growth, plan, plots, table, view
from .tools import all_tools


def _first_line(*command):
    if not shutil.which(command[0]):
        return "absent"
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    return (done.stdout.splitlines() or ["?"])[0].strip()


def _mount(folder):
    """On what kind of file system a folder lies."""
    folder = os.path.realpath(folder) + "/"
    with open("/proc/mounts") as file:
        mounts = [line.split()[1:3] for line in file]
    return max(((where, kind) for where, kind in mounts if folder.startswith(where.rstrip("/") + "/")), key=lambda m: len(m[0]))[1]


def machine(folder):
    """{what: words}; `folder`: where the servers keep their mail."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1])
    return {"processor": "%d × %s" % (os.cpu_count(), model[1] if model else platform.machine()), "memory": "%.0f GB" % (memory / 1e6),
            "kernel": platform.release(), "mail on": _mount(folder)}


def versions(program, dovecot):
    found = {"godwit": _first_line(program, "--version"), "Dovecot": _first_line(dovecot, "--version"), "mbsync": _first_line("mbsync", "--version"),
             "imapsync": _first_line("imapsync", "--version")}
    top = os.path.dirname(os.path.abspath(__file__))
    commit = _first_line("git", "-C", top, "describe", "--always", "--dirty")
    if re.fullmatch(r"[\w.-]+", commit):
        found["godwit"] += " (%s)" % commit
    return found


def _about(record):
    settings = record.of("settings")
    out = ["| | |", "|---|---|"]
    for line in settings[:1]:
        out += ["| %s | %s |" % item for item in {**line["machine"], **line["versions"]}.items()]
    out += ["| servers | two Dovecots on this machine, Maildir, fsync as shipped (`mail_fsync = optimized`) |",
            "| measured | %s |" % ", ".join(sorted({s["date"] for s in settings})),
            "| command | %s |" % " · ".join("`%s`" % c for c in dict.fromkeys(s["command"] for s in settings))]
    return out


def noise(record, views):
    """What the machine did besides."""
    marks = record.of("calibration")
    out = []
    if marks:
        def spread(key):
            values = [m[key] for m in marks]
            return "%.2f–%.2f s, median %.2f s: the slowest takes %.2f × the fastest" % (
                min(values), max(values), statistics.median(values), max(values) / min(values))
        out += ["A fixed piece of work was done %d times between the runs, from the beginning to the end:" % len(marks), "",
                "- hashing 192 MB on one core: %s;" % spread("cpu"), "- writing and syncing 200 files of 4 KB: %s." % spread("disk"), ""]
    cores = os.cpu_count()
    shares = [r.others_cpu / (r.finished * cores) for c in views for runs in c.runs.values() for r in runs if r.finished > 0.3]
    if shares:
        out += ["While tools ran, other processes (the kernel's own, the hypervisor's guests, this benchmark) took %.0f %% of the machine's CPU in the "
                "median run, and %.0f %% in the worst." % (100 * statistics.median(shares), 100 * max(shares)), ""]
        if statistics.median(shares) > 0.15:
            out += ["**The machine was not quiet: the times are not to be believed; ratios within a turn are better, but not good.**", ""]
    return out


def _growth(record):
    lines = record.of("growth")
    if not lines:
        return []
    rows, points = [], []
    for n in sorted({line["messages"] for line in lines}):
        here = [line for line in lines if line["messages"] == n]
        failed = [line for line in here if line["failed"]]
        if failed:
            rows.append([format(n, ","), "**failed**: %s" % failed[0]["failed"]] + ["–"] * 8)
            continue

        def mid(key, here=here):
            return statistics.median(line[key] for line in here)
        points.append((n, mid("cpu")))
        rows.append([format(n, ","), "%d" % len(here), "%.2f" % mid("wall"), "%.0f" % (mid("wall") / n * 1e6), "%.1f" % (mid("cpu") / n * 1e6),
                     "%.0f" % (mid("source_cpu") / n * 1e6), "%.0f" % (mid("target_cpu") / n * 1e6), "%.1f" % (mid("kb") / 1024),
                     "%.2f" % mid("again_wall"), "%.1f" % (mid("again_kb") / 1024)])
    out = ["## Cost over the size of a folder", "", growth.ABOUT + ". “again” is a second pass with nothing new.", "",
           *table.markdown(("messages", "runs", "wall s", "wall µs/msg", "CPU µs/msg", "source's CPU µs/msg", "target's CPU µs/msg", "memory MB",
                            "again: wall s", "again: memory MB"), rows), ""]
    found = growth.exponent([p for p in points if p[0] >= 10_000] if len([p for p in points if p[0] >= 10_000]) > 1 else points)
    if found is not None:
        out += ["CPU of godwit grows with the number of messages to the power of %.2f (1 is linear)." % found, ""]
    return out


def _memory(record):
    lines = record.of("memory")
    if not lines:
        return []
    words = {"small": "running, 40 messages of 2 to 4 KB each", "large": "running, a message of 5 MB each",
             "idle": "logged in on both sides, servers that say no more", "parked": "parked: the server is not there"}
    rows = [[words[l["what"]], format(l["n"], ","), "%d" % l["connections"], "%.1f" % (l["kb"] / 1024)] for l in lines]
    return ["## Memory over the number of mailboxes", "", "Peak resident memory of the process. Connections: the most at the same time (other sockets of the process included).", "",
            *table.markdown(("mailboxes", "number", "connections", "peak MB"), rows), ""]


NOTES = """\
Medians; min–max is the noise of the machine. `runs`: other tools that take longer than the limit of `--slow` run once only. × is the median of the ratios
within a turn: all tools of a table run directly after one another. Memory: the largest process, or the sum over all where several run at once.
Round trips: turns of the busiest connection, as the proxy counts them; with pipelining, answers that cross what is sent are counted, too. Every run
was verified. A tool that would take many minutes for a shape is not run on it but, together with godwit, on a smaller one; nothing is extrapolated."""


def write(record, program=None):
    """Writes README.md, results.json and the plots into the record's folder; returns the page's text."""
    views = view.cells(record)
    order = [t.name for t in all_tools()]
    order.insert(1, "godwit, good only")
    found = goals.all_goals(views, record)
    made, why = plots.draw(record.folder, views, record)
    missed = [g for g in found if g.value is not None and not g.met]
    out = ["# Benchmark", "", *_about(record), "", "## Goals", "",
           "%d met, %d missed, %d not measured." % (sum(g.value is not None and g.met for g in found), len(missed), sum(g.value is None for g in found)),
           "", *table.goals(found), ""]
    failed = record.of("failed")
    out += ["- %s: **failed**: %s" % (f["what"], f["why"]) for f in failed] + [""] * bool(failed)
    if made:
        out += ["## Plots", ""] + [line for name, caption in made for line in ("![%s](%s.png)" % (caption, name), "")]
    else:
        out += ["No plots: %s." % why, ""]
    out += ["## Noise", "", *noise(record, views), "## Tables", "", NOTES, ""]
    for cell in sorted(views, key=plan.place):
        out += table.cell(cell, order)
    out += ["- `%s`: %s." % (t.name, t.note) for t in all_tools() if t.note and any(t.name in c.runs for c in views)]
    out += ["", *faults.section(record), *_growth(record), *_memory(record)]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"
    with open(os.path.join(record.folder, "README.md"), "w") as page:
        page.write(text)
    with open(os.path.join(record.folder, "results.json"), "w") as file:
        json.dump({"goals": [dict(vars(g), met=g.value is not None and g.met) for g in found], "lines": record.lines}, file, indent=1)
        file.write("\n")
    return text
