"""Runs the cells of a plan, turn after turn, and keeps what comes out."""
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time

from . import calibrate, maildir, measure, place as places, plan, verify
from .tools import Job

RUN_TIMEOUT = 600.0
CALIBRATE_EVERY = 90.0  # seconds


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


class Bench:
    """First each cell once, then each once more, and so on: whenever it ends, there is a bit of everything."""

    def __init__(self, folder, record, tools, slow, deadline, keep=False):
        self.folder, self.record, self.tools, self.slow, self.deadline, self.keep = folder, record, tools, slow, deadline, keep
        self._places = {}   # what the servers must be like -> (place, verifier)
        self.count, self.calibrated, self.copied, self.cost = 0, 0.0, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for place, _ in self._places.values():
            place.__exit__()

    def at(self, cell):
        """(place, verifier)"""
        key = cell.plain, cell.shape.options
        if key not in self._places:
            place = places.Place(os.path.join(self.folder, "place%d" % len(self._places)), tls="none" if cell.plain else "starttls+imaps",
                                 **dict(cell.shape.options))
            self._places[key] = place.__enter__(), verify.Verifier(place)
        return self._places[key]

    def late(self, cost=0.0):
        return time.monotonic() + cost > self.deadline

    def calibrate(self, now=False):
        if now or time.monotonic() - self.calibrated > CALIBRATE_EVERY:
            self.record.add("calibration", **calibrate.measure(os.path.join(self.folder, "calibration")))
            self.calibrated = time.monotonic()

    def turn(self, cells, number):
        """One turn over all cells that want so many."""
        for cell in cells:
            if number >= cell.turns:
                continue
            if self.late(self.cost.get(cell.key, 0.0)):
                say("%s: no time for turn %d" % (cell.title, number + 1))
                continue
            self.calibrate()
            try:
                self.cell(cell, number)
            except (OSError, RuntimeError, EOFError, ValueError, subprocess.SubprocessError) as error:
                # A server that died, a disk that is full: the other cells are still worth having.
                self.record.add("failed", what=cell.title, why="%s: %s" % (type(error).__name__, error))
                say("%s: FAILED: %r" % (cell.title, error))

    def cell(self, cell, number):
        """All tools on one shape at one round-trip time, one after the other: A B C, then C B A."""
        due = [t for t in plan.choose(cell, self.tools) if self._due(cell, t, number)]
        if number % 2:
            due.reverse()  # nobody always comes first
        if not due:
            return
        self._prepare(cell)
        begin = time.monotonic()
        for tool in due:
            absent = tool.missing()
            if absent:
                if not self.record.of("absent", cell=cell.key, tool=tool.name):
                    self.record.add("absent", cell=cell.key, tool=tool.name, why=absent)
                continue
            result = self.run(tool, cell, number)
            self.record.add("run", cell=cell.key, tool=tool.name, turn=number,
                            **dict(dataclasses.asdict(result), said=result.said[-1500:] if result.failed else ""))
        self.cost[cell.key] = time.monotonic() - begin

    def _due(self, cell, tool, number):
        runs = self.record.of("run", cell=cell.key, tool=tool.name)
        if any(run["turn"] == number for run in runs):
            return False
        return not runs or not (runs[0]["failed"] or (runs[0]["finished"] > self.slow and not tool.always))

    def _prepare(self, cell):
        shape, (place, verifier) = cell.shape, self.at(cell)
        if shape not in place.filled:
            say("filling: %s" % shape)
        messages, _ = place.fill(shape)
        users = place.users(shape)
        verifier.prepare(users)
        if not self.record.of("cell", key=cell.key):
            self.record.add("cell", key=cell.key, shape=shape.name, size=shape.size, title=cell.title, rtt=cell.rtt, plain=cell.plain,
                            mailboxes=shape.mailboxes, again=shape.again, bad=shape.bad, messages=messages, bytes=verifier.bytes(users))

    def _job(self, cell, tool):
        self.count += 1
        shape, folder = cell.shape, os.path.join(self.folder, "runs", "%03d-%s" % (self.count, re.sub(r"[^\w-]+", "-", tool.name)))
        os.makedirs(folder)
        place, _ = self.at(cell)
        users, bad = place.users(shape), place.bad_users(shape)
        copies = place.fresh_users([*users, *bad])
        source_port, target_port = place.ports(cell.rtt)
        return Job(shape=shape, place=place, rtt=cell.rtt, folder=folder, pairs=tuple(zip(users, copies)),
                   bad=tuple(zip(bad, copies[len(users):])), password=places.PASSWORD, source_port=source_port,
                   target_port=target_port, plain=cell.plain, ca_file=place.ca_file)

    def _measure(self, job, tool, command, environment):
        result = measure.run(command, job.place, job.place.proxies(job.rtt), RUN_TIMEOUT, job.folder, environment,
                             tool.sample_ms, tool.stamp(job), tool.exits(job))
        tool.finish(job, result)
        return result

    def run(self, tool, cell, number):
        """One measured run, verified."""
        if cell.shape.again:
            return self._again(tool, cell)
        job = self._job(cell, tool)
        result = self._measure(job, tool, *tool.command(job))
        result.failed = result.failed or tool.check(job, result, self.at(cell)[1].bytes([user for user, _ in job.pairs]))
        self._verify(job, tool, result, whole=number == 0)
        self._tell(tool, cell, result)
        self._forget(job)
        return result

    def _again(self, tool, cell):
        """The second pass of a tool over mailboxes that it has copied before; they are kept from turn to turn."""
        if (cell.key, tool.name) not in self.copied:
            job = self._job(cell, tool)
            first = self._measure(job, tool, *tool.command(job))
            self._verify(job, tool, first, whole=True)
            if first.failed:
                self._tell(tool, cell, first)
                self._forget(job)
                return first
            self.copied[cell.key, tool.name] = job
        job = self.copied[cell.key, tool.name]
        result = self._measure(job, tool, *tool.repeat(job))
        self._verify(job, tool, result, whole=False)
        self._tell(tool, cell, result)
        return result

    def _verify(self, job, tool, result, whole):
        """One mailbox is compared whole, if that is wanted and it is not huge; all are counted, messages and bytes, every time."""
        if tool.copies and not result.failed:
            one = len(job.pairs) // 2 if whole and job.shape.messages <= maildir.MANY else None
            result.failed = self.at(job)[1].check(job.pairs, tool, one)

    def _tell(self, tool, cell, result):
        say("%s %s, RTT %g%s, %s: %.2f s%s" % (
            cell.shape.name, cell.shape.size, cell.rtt, ", plain" if cell.plain else "", tool.name, result.wall,
            ", FAILED: %s\n%s" % (result.failed, result.said[-1500:]) if result.failed else ""))

    def _forget(self, job):
        job.place.forget([copy for _, copy in (*job.pairs, *job.bad)])
        if not self.keep:
            shutil.rmtree(job.folder)
