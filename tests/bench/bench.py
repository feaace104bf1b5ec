"""The benchmark's command line; scripts/bench."""
import argparse
import datetime
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from lab import dovecot

from . import cells, faults, growth, install, memory, page, plan, record as records, table, tune, view
from .cells import say
from .shapes import SHAPES
from .tools import all_tools, godwit

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROWTH_BY_DEFAULT = 100_000     # messages; --growth goes on to the end


def parse(argv=None):
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="godwit beside other tools and beside what two Dovecots can do: a page with tables, goals and plots. "
        "Without options: everything, in about half an hour on two quiet cores. What is interrupted goes on when it is started again.")
    what = parser.add_argument_group("what").add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="all shapes scaled down, one turn, two distances: does it work at all; 1 to 2 minutes")
    what.add_argument("--growth", action="store_true", help="only: cost over the size of a folder, 1,000 to 1,000,000 messages")
    what.add_argument("--memory", action="store_true", help="only: memory over the number of mailboxes")
    what.add_argument("--tune", action="store_true", help="only: the best way to cut the bytes of the raw limit")
    what.add_argument("--faults", action="store_true",
                      help="only: godwit, mbsync and imapsync are broken, -n times in each of several ways (%d); what is lost, doubled, torn; minutes" %
                      faults.ROUNDS)
    what.add_argument("--page", action="store_true", help="only: write the page anew from what is in --out")
    what.add_argument("--install", action="store_true", help="only: install what more can be compared with, and gnuplot (Debian packages)")
    own = parser.add_argument_group("another plan than the default")
    own.add_argument("--shape", help="what is copied, of: %s" % ", ".join(SHAPES))
    own.add_argument("--rtt", help="round-trip times in ms (0,25,100)")
    own.add_argument("--tools", help="names, of: %s" % ", ".join(t.name for t in all_tools() if "," not in t.name))
    own.add_argument("--plain", action="store_true", help="without TLS")
    own.add_argument("--messages", type=int, metavar="N", help="no more than N messages in a shape")
    how = parser.add_argument_group("how")
    how.add_argument("-n", type=int, help="turns; the median counts (%d)" % plan.TURNS)
    how.add_argument("--slow", type=float, default=10.0, metavar="S",
                     help="another tool that takes longer than this is run once only (10 s)")
    how.add_argument("--budget", type=float, metavar="S", help="nothing is begun that would not be ready by then (1800 s; of --faults, %d)" % faults.BUDGET)
    how.add_argument("--out", metavar="DIR", help="folder of the results (build-bench/results; of --quick, build-bench/quick)")
    how.add_argument("--fresh", action="store_true", help="take away what is in --out, and begin anew")
    how.add_argument("--also", action="append", default=[], metavar="NAME=PROGRAM", help="another build of godwit, to be compared; can be repeated")
    how.add_argument("--keep", metavar="DIR", help="work in DIR, and leave what the tools wrote and said there")
    args = parser.parse_args(argv)
    names = [t.name for t in all_tools()]
    unknown = [s for s in (args.shape or "").split(",") if s and s not in SHAPES]
    unknown += [t for t in (args.tools or "").split(",") if t and t not in names]
    if unknown:
        parser.error("no such shape or tool: %s" % ", ".join(unknown))
    if args.n is not None and args.n < 1:
        parser.error("-n must be 1 or more")
    args.budget = args.budget or (faults.BUDGET if args.faults else 1800.0)
    if any("=" not in a for a in args.also):
        parser.error("--also NAME=PROGRAM")
    try:
        args.rtts = [float(r) for r in (args.rtt or "0,25,100").split(",")]
    except ValueError:
        parser.error("--rtt: not a list of numbers: %s" % args.rtt)
    return args


def plan_of(args):
    """The cells to be run."""
    if args.growth or args.memory or args.faults or args.page:
        return []
    if not (args.shape or args.rtt or args.tools or args.plain or args.messages):
        found = plan.default(args.quick)
        return [plan.dataclasses.replace(c, turns=args.n) for c in found] if args.n else found
    shapes = [SHAPES[s] for s in (args.shape or "one,many").split(",")]
    shapes = [s.quickly() if args.quick else s for s in shapes]
    shapes = [s.scaled(args.messages or sys.maxsize) for s in shapes]
    turns = args.n or (1 if args.quick else plan.TURNS)
    tools = (args.tools or "").split(",") if args.tools else ()
    return plan.own(shapes, args.rtts, args.plain, [*tools, *(["godwit, good only"] if "godwit" in tools else [])], turns)


def build_godwit():
    """$GODWIT, or a plain optimised build of this tree."""
    given = os.environ.get("GODWIT")
    if given:
        return os.path.abspath(given)
    folder = os.path.join(TOP, "build-bench")
    if not os.path.exists(os.path.join(TOP, "configure")):
        _quietly([os.path.join(TOP, "autogen.sh")], TOP)
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, "config.status")):
        _quietly([os.path.join(TOP, "configure"), "-q", "CFLAGS=-O2 -g"], folder)
    _quietly(["make", "-s", "-j", str(os.cpu_count()), "godwit"], folder)
    return os.path.join(folder, "godwit")


def _quietly(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SystemExit("bench: %s failed:\n%s" % (" ".join(command), done.stdout.decode("utf-8", "replace")[-4000:]))


def open_record(args, program):
    out = os.path.abspath(args.out or os.path.join(TOP, "build-bench", "quick" if args.quick else "results"))
    if args.fresh:
        shutil.rmtree(out, ignore_errors=True)
    identity = {"godwit": "?", "plan": "quick" if args.quick else "full"}
    with open(program, "rb") as file:
        identity["godwit"] = hashlib.sha256(file.read()).hexdigest()[:16]
    try:
        return records.Record(out, identity)
    except records.Other as other:
        raise SystemExit("bench: %s" % other)


def measure(args, record, program, folder):
    """Everything that is asked for, the most important first."""
    deadline = time.monotonic() + args.budget
    todo, tools = plan_of(args), all_tools()
    for name, _, other in (a.partition("=") for a in args.also):
        tools.insert(1, godwit.Godwit(name, os.path.abspath(other)))
        todo = [plan.dataclasses.replace(c, tools=c.tools + (name,) if c.tools else ()) for c in todo]
    own = args.shape or args.rtt or args.tools or args.plain or args.messages
    everything = not (args.growth or args.memory or args.faults or own)
    record.add("settings", machine=page.machine(folder), versions=page.versions(program, dovecot.find_binary()),
               date=datetime.date.today().isoformat(), command=shlex.join(["scripts/bench", *sys.argv[1:]]))
    with cells.Bench(folder, record, tools, args.slow, deadline, bool(args.keep)) as bench:
        if args.faults:
            faults.measure(os.path.join(folder, "faults"), record, say, args.n or faults.ROUNDS, bench.late, (args.tools or "").split(",") if args.tools else ())
            return
        bench.calibrate(now=True)
        bench.turn(todo, 0)
        if everything or args.memory:
            memory.measure(os.path.join(folder, "memory"), program, record, say, bench.late, args.quick)
        if everything or args.growth:
            growth.measure(os.path.join(folder, "growth"), program, record, say,
                           10_000 if args.quick else growth.SIZES[-1] if args.growth else GROWTH_BY_DEFAULT,
                           (lambda cost: False) if args.growth else bench.late)
        for number in range(1, max([c.turns for c in todo], default=0)):
            bench.turn(todo, number)
        bench.calibrate(now=True)


def run_tune(args, program, folder):
    """A table for each trial, on stdout; nothing is kept."""
    record = records.Record(os.path.join(folder, "tune"), {"godwit": "?"})
    trials = tune.cells(args.rtts, args.n or 3, [s for s in (args.shape or "").split(",") if s])
    with cells.Bench(folder, record, [], args.slow, time.monotonic() + args.budget) as bench:
        for number in range(max(c.turns for c, _ in trials)):
            for cell, bench.tools in trials:
                bench.turn([cell], number)
    order = [tool.name for _, tools in trials for tool in tools]
    for found in view.cells(record):
        print("\n".join(table.cell(found, order)))


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was measured is kept then, too
    args = parse()
    if args.install:
        return install.main()
    for words in install.advice():
        say(words)
    program = godwit.Godwit.program = build_godwit()
    begin = time.monotonic()
    if args.page:
        print(page.write(open_record(args, program)))
        return 0
    folder = os.path.abspath(args.keep) if args.keep else tempfile.mkdtemp(prefix="bench-")
    os.makedirs(folder, exist_ok=True)
    record = None if args.tune else open_record(args, program)
    try:
        if args.tune:
            run_tune(args, program, folder)
            return 0
        measure(args, record, program, folder)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what is left to do is short
        say("interrupted: what was measured is kept, and the same command goes on")
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(page.write(record))
    say("%.0f s; the page, the plots and the numbers are in %s" % (time.monotonic() - begin, record.folder))
    wrong = [line for kind in ("run", "growth") for line in record.of(kind) if line["failed"]] + record.of("failed")
    wrong += [line for line in record.of("fault", tool="godwit") if any(line[what] for what in faults.JUDGED)]
    return 1 if wrong else 0
