#!/usr/bin/python3
"""Breaks godwit at every step, byte and part, and looks whether anything is lost or doubled. GODWIT names the program, GODWIT_PLAIN one without sanitizers.

    crash.py steps                      kill -9 at every part of the dialogue and every step of the ledger, in all settings: see trial.py
    crash.py steps --setting first --stride 7
    crash.py steps --setting first --point protocol:103:before --disk "nothing unsynced" --landing "after the re-send"
    crash.py faults bytes               cut, reset, half-closed, swallowed, trickled at every byte: see swarm.py
    crash.py faults parts               NO, BAD, BYE, nonsense, lost answers, lying literals at every part
    crash.py faults changes             what other clients do meanwhile, at every part
    crash.py faults bytes --fault target:cut:417:up
    crash.py disk                       a ledger that cannot be written or read, or is damaged: see disk.py
    crash.py list                       the settings, and how many steps each has"""
import argparse
import collections
import errno
import pathlib
import sys
import time

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from crash import disk, pool, swarm, trial  # noqa: E402
from crash.stage import BY_NAME, PLAIN, SETTINGS  # noqa: E402


class Summary:
    """What was tried, and what was wrong."""

    def __init__(self, title):
        self.title, self.points, self.trials, self.echoes = title, 0, 0, 0
        self.kinds, self.wrong = collections.Counter(), []

    def add(self, other):
        self.points, self.trials, self.echoes = self.points + other.points, self.trials + other.trials, self.echoes + other.echoes
        self.kinds += other.kinds
        self.wrong += other.wrong
        return self

    def __str__(self):
        kinds = ", ".join("%s %d" % item for item in self.kinds.items())
        return "%s: %d points, %d trials (%s), %d wrong%s" % (
            self.title, self.points, self.trials, kinds, len(self.wrong),
            "; %d echoes of what landed late" % self.echoes if self.echoes else "")


def say(text):
    print(text, flush=True)


# --- steps --------------------------------------------------------------------------------------------------------------------

def points_of(setting, steps, stride=1, offset=0):
    """Every `stride`-th of all points of a setting, from `offset` on, and at least one of each kind."""
    parts, first_append, last_append, ledger = steps
    kinds = ([trial.Point(setting, "protocol", n, how) for n in range(1, parts + 1) for how in ("before", "half")],
             [trial.Point(setting, "protocol", n, "under way") for n in range(first_append, last_append + 1)],
             [trial.Point(setting, "ledger", n, how) for n in range(1, ledger + 1) for how in ("before", "torn")])
    return [point for every in kinds for point in every[offset % max(min(stride, len(every)), 1)::stride]]


def run_steps(settings, stride=1, offset=0, thorough=True):
    """A Summary for each setting."""
    found = {}
    with pool.Pool() as workers:
        tasks = []
        for number, (name, steps, wrong) in enumerate(workers.imap(pool.count_steps, settings)):
            found[name] = Summary(name)
            found[name].wrong += [wrong] if wrong else []
            tasks += [(p, thorough, None) for p in points_of(name, steps, stride * BY_NAME[name].stride, offset + number)]
        for result in workers.imap_unordered(pool.run_point, tasks):
            summary = found[result.point.setting]
            summary.points += result.reached
            summary.trials += result.trials
            summary.echoes += result.echoes
            summary.kinds.update(result.landings)
            summary.wrong += result.wrong
            for wrong in result.wrong:
                say("WRONG: " + wrong)
    return list(found.values())


# --- faults -------------------------------------------------------------------------------------------------------------------

WITHOUT = ((), ("UIDPLUS",), ("MULTIAPPEND",), ("LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE", "LIST-EXTENDED"))


def run_faults(kind, stride=1, offset=0, without=((),), only=None):
    """A Summary for each kind of target."""
    found = []
    with pool.Pool() as workers:
        for number, lacks in enumerate(without):
            summary = Summary("%s, %s" % (kind, "without " + " ".join(lacks) if lacks else "with everything"))
            every = only or [f for n, f in enumerate(swarm.all_faults(kind, workers.apply(pool.swarm_lengths, (lacks,))))
                             if n % stride == (offset + number) % stride or f.what in swarm.RARE]
            tasks = []
            for waits in (True, False):
                some = [f for f in every if (f.what in swarm.WAITS) == waits]
                tasks += [(some[i:i + pool.SWARM], lacks) for i in range(0, len(some), pool.SWARM)]
            for results in workers.imap_unordered(pool.run_swarm, tasks):
                for fault, echoes, told, wrong in results:
                    summary.points += 1
                    summary.trials += 1
                    summary.kinds[fault.what] += 1
                    summary.kinds["left out and told"] += told
                    summary.echoes += echoes if fault.what in swarm.WAITS else 0
                    if wrong:
                        summary.wrong.append(wrong)
                        say("WRONG: " + wrong)
            found.append(summary)
    return found


# --- disk ---------------------------------------------------------------------------------------------------------------------

def run_disk(stride=1, thorough=True):
    """A disk that fails, and damage: a Summary for each."""
    failing, damage = Summary("a disk that fails"), Summary("a ledger that is damaged")
    with pool.Pool() as workers:
        tasks = []
        for name, reads, steps in workers.imap(pool.count_disk, [(n, r) for n in ("first", "new mail") for r in (False, True)]):
            for number, error in enumerate((errno.EIO,) if reads else (errno.ENOSPC, errno.EIO, errno.EROFS)):
                tasks += [(name, disk.Failing(n, error, times, reads)) for times in (0, 1)
                          for n in range(1 + (number + times) % stride, steps + 1, stride)]
        _gather(failing, workers.imap_unordered(pool.run_failing, tasks))
        setting, tasks = "new mail", []
        for kind, (good, boxes) in zip(("at rest", "killed"), workers.apply(pool.damaged_disks, (setting,))):
            tasks += [(setting, "%s, %s" % (kind, name), damaged, boxes) for name, damaged in disk.damages(good, thorough)]
        _gather(damage, workers.imap_unordered(pool.run_damaged, tasks))
    return [failing, damage]


def _gather(summary, results):
    for name, outcome, wrong in results:
        summary.points += 1
        summary.trials += 1
        summary.kinds[outcome] += 1
        if wrong:
            summary.wrong.append("%s: %s" % (name, wrong))
            say("WRONG: " + summary.wrong[-1])


# --- command line ---------------------------------------------------------------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(prog="crash.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "faults", "disk", "list"))
    parser.add_argument("kind", nargs="?", choices=("bytes", "parts", "changes"), default="parts")
    parser.add_argument("--setting", action="append", choices=sorted(BY_NAME), metavar="NAME")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="no more than two disks for each point")
    parser.add_argument("--point", metavar="KIND:NUMBER:HOW")
    parser.add_argument("--disk")
    parser.add_argument("--landing")
    parser.add_argument("--fault", metavar="SIDE:WHAT:NUMBER[:DIRECTION]")
    args = parser.parse_args()
    args.setting = args.setting or [s.name for s in SETTINGS]
    return args


def main():
    args = arguments()
    begin = time.monotonic()
    if args.what == "list":
        with pool.Pool() as workers:
            for name, steps, wrong in workers.imap(pool.count_steps, args.setting):
                say("%-50s %4d parts of the dialogue, %4d steps of the ledger %s" % (name, steps[0], steps[3], wrong))
        return 0
    if args.point:
        kind, number, how = args.point.split(":")
        point = trial.Point(args.setting[0], kind, int(number), how)
        with pool.Pool() as workers:
            result = workers.apply(pool.run_point, ((point, True, (args.disk, args.landing)),))
        say("%s: %s; %d trials, %d echoes" % ("reached" if result.reached else "not reached", result.where, result.trials, result.echoes))
        say("\n".join(result.wrong))
        return 1 if result.wrong else 0
    if args.what == "steps":
        found = run_steps(args.setting, args.stride, args.offset, not args.quick)
    elif args.what == "faults":
        only = None
        if args.fault:
            side, what, number, *direction = args.fault.split(":")
            only = [swarm.Fault(side, what, int(number), *direction)]
        found = run_faults(args.kind, args.stride, args.offset, WITHOUT if not only else ((),), only)
    else:
        found = run_disk(args.stride, not args.quick)
    for summary in found:
        say(str(summary))
    total = Summary("all")
    for summary in found:
        total.add(summary)
    say("%s; %.0f s, %d at a time%s" % (total, time.monotonic() - begin, pool.JOBS, "" if PLAIN else ", with sanitizers"))
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
