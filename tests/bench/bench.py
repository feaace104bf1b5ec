"""The benchmark's command line; scripts/bench."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from lab import reader

from . import measure, place as places, table, verify
from .shapes import SHAPES
from .tools import Job, all_tools, godwit

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUN_TIMEOUT = 600.0


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="godwit beside other tools and beside what two Dovecots can do.")
    parser.add_argument("--rtt", default="0,25,100", help="round-trip times in ms (0,25,100)")
    parser.add_argument("--shape", default="one,many", help="what is copied, of: %s (one,many)" % ", ".join(SHAPES))
    parser.add_argument("-n", type=int, default=3, help="runs of each; the median counts (3)")
    parser.add_argument("--tools", help="names, of: %s (all)" % ", ".join(t.name for t in all_tools()))
    parser.add_argument("--quick", action="store_true", help="RTT 0, one run, no more than 300 messages")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--slow", type=float, default=20.0, metavar="S",
                        help="a tool that takes longer than this is run once only (20 s)")
    parser.add_argument("--budget", type=float, default=840.0, metavar="S",
                        help="no second and third runs when more than this is used up, in proportion (840 s)")
    parser.add_argument("--messages", type=int, metavar="N", help="no more than N messages in all")
    parser.add_argument("--json", metavar="FILE", help="all measures of all runs")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=PROGRAM",
                        help="another build of godwit, to be compared; can be repeated")
    parser.add_argument("--keep", metavar="DIR", help="work in DIR, and leave what the tools wrote and said there")
    args = parser.parse_args()
    if args.quick:
        args.rtt, args.n, args.messages = "0", 1, min(args.messages or 300, 300)
    args.rtts = [float(r) for r in args.rtt.split(",")]
    unknown = [s for s in args.shape.split(",") if s not in SHAPES]
    known = {t.name: t for t in all_tools()}
    unknown += [t for t in (args.tools or "").split(",") if t and t not in known]
    if unknown or args.n < 1:
        parser.error("no such shape or tool: %s" % ", ".join(unknown) if unknown else "-n must be 1 or more")
    args.shapes = [SHAPES[s].scaled(args.messages or sys.maxsize) for s in args.shape.split(",")]
    args.chosen = [known[t] for t in args.tools.split(",")] if args.tools else all_tools()
    for name, equals, program in (a.partition("=") for a in args.also):
        if not equals:
            parser.error("--also NAME=PROGRAM")
        args.chosen.insert(1, godwit.Godwit(name, os.path.abspath(program)))
    return args


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


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


class Bench:
    def __init__(self, args, place):
        self.args, self.place = args, place
        self.verifier = verify.Verifier(place)
        self.count, self.cells = 0, len(args.shapes) * len(args.rtts)
        self.begin = time.monotonic()

    def late(self, number):
        """Whether the cells up to this one have had their share of the time."""
        return time.monotonic() - self.begin > self.args.budget * (number + 1) / self.cells

    def cell(self, number, shape, rtt):
        """All tools on one shape at one round-trip time, in turns: A B C A B C."""
        messages, _ = self.place.fill(shape)
        users = self.place.users(shape)
        self.verifier.prepare(users)
        tools = [t for t in self.args.chosen if t.shapes is None or shape.name in t.shapes]
        cell = {"shape": shape.name, "title": str(shape), "rtt": rtt, "messages": messages, "bytes": self.verifier.bytes(users),
                "runs": {}, "absent": {t.name: t.missing() for t in tools if t.missing()}}
        present = [t for t in tools if t.name not in cell["absent"]]
        for turn in range(self.args.n):
            if turn and self.late(number):
                say("%s, RTT %g: no time for more than %d runs" % (shape.name, rtt, turn))
                break
            for tool in present:
                runs = cell["runs"].setdefault(tool.name, [])
                if runs and (runs[0].failed or runs[0].wall > self.args.slow):
                    continue
                runs.append(self.run(tool, shape, rtt, cell["bytes"], turn))
        return cell

    def run(self, tool, shape, rtt, total, turn):
        self.count += 1
        folder = os.path.join(self.place.folder, "runs", "%03d-%s" % (self.count, tool.name))
        os.makedirs(folder)
        copies = self.place.fresh_users(shape)
        source_port, target_port = self.place.ports(rtt)
        job = Job(shape=shape, place=self.place, rtt=rtt, folder=folder, pairs=tuple(zip(self.place.users(shape), copies)),
                  password=places.PASSWORD, source_port=source_port, target_port=target_port, plain=self.place.plain,
                  ca_file=self.place.ca_file)
        command, environment = tool.command(job)
        result = measure.run(command, self.place, self.place.proxies(rtt), RUN_TIMEOUT, folder, environment, tool.sample_ms)
        result.failed = result.failed or tool.check(job, result, total)
        if tool.copies and not result.failed:
            # One mailbox is compared whole, in the first turn; all are counted, messages and bytes, in every turn.
            result.failed = self.verifier.check(job.pairs, tool, len(job.pairs) // 2 if turn == 0 else None)
        say("%s, RTT %g, %s: %.2f s%s" % (shape.name, rtt, tool.name, result.wall,
                                          ", FAILED: %s\n%s" % (result.failed, result.said[-1500:]) if result.failed else ""))
        self.place.forget(copies)
        if not self.args.keep:
            shutil.rmtree(folder)
        return result


def warm_up(place, shape):
    """Reads the source once, so that the first tool does not pay for Dovecot's index and the disk."""
    for user in place.users(shape):
        reader.read(place.source, user, places.PASSWORD)


def main():
    args = arguments()
    if any(t.name == "godwit" for t in args.chosen):
        godwit.Godwit.program = build_godwit()
    folder = os.path.abspath(args.keep) if args.keep else tempfile.mkdtemp(prefix="bench-")
    os.makedirs(folder, exist_ok=True)
    begin, cells = time.monotonic(), []
    try:
        with places.Place(folder, args.plain) as place:
            about = table.about(args, place)
            bench = Bench(args, place)
            for shape in args.shapes:
                say("filling: %s" % shape)
                place.fill(shape)
                warm_up(place, shape)
                cells += [bench.cell(len(cells) + i, shape, rtt) for i, rtt in enumerate(args.rtts)]
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    say("%.0f s" % (time.monotonic() - begin))
    print(table.markdown(cells, args.chosen, about))
    if args.json:
        with open(args.json, "w") as out:
            json.dump(table.as_json(cells, about), out, indent=1)
            out.write("\n")
    return 1 if any(r.failed for c in cells for runs in c["runs"].values() for r in runs) else 0
