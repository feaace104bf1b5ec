"""scripts/bench --faults: the same breaks for godwit and for other tools, and what is lost, doubled, torn or altered when they are through.

Each trial has a fresh user on the target. A tool is broken once at a random place (killed: three times), then started again at once until it says that all is
well, and once more. All speak through lab/faultproxy.py, without TLS; settings as shipped, but for the time between two attempts of godwit. What the target
holds is compared by lab/reader.py."""
import collections
import dataclasses
import os
import random
import signal
import subprocess
import time

from lab import corpus, fill, process, reader
from lab.faultproxy import FaultProxy

from . import place as places, table, verify
from .tools import Job, all_tools

TOOLS = ("godwit", "mbsync", "imapsync")
MESSAGES = 80
ROUNDS = 3          # of all breaks for all tools; a minute each without imapsync
BUDGET = 300.0      # seconds; no round is begun that would not be ready by then
RUNS = 6            # a tool that has not come to a good end by then is stuck
PATIENCE = 120.0    # seconds for one run
JUDGED = ("lost", "doubled", "torn", "altered", "stuck")


class Broken:
    """One run of a tool that may be killed from the proxy's thread."""

    def __init__(self, command, environment, folder):
        self.said = open(os.path.join(folder, "said"), "ab")
        self.child = process.start(command, cwd=folder, env={**os.environ, **environment}, stdout=self.said, stderr=self.said)

    def kill(self):
        if self.child.poll() is None:
            process.kill_group(self.child.pid, signal.SIGKILL)

    def wait(self):
        """Whether it came to a good end."""
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        process.stop(self.child)
        self.said.close()
        return self.child.returncode == 0


class Trial:
    """What a kind of break may use. `met`: how many breaks happened."""

    def __init__(self, proxy, start, forget, rng, size):
        self.proxy, self.start, self.forget, self.rng, self.size = proxy, start, forget, rng, size
        self.program, self.met = None, 0

    def run(self, on_part=None):
        self.proxy.reset(on_part)
        self.program = self.start()
        good = self.program.wait()
        self.proxy.clients_gone()
        return good

    def after_bytes(self, site, direction, count, act):
        """An on_part that acts once, when so many bytes have passed."""
        passed, done = [0], []

        def on_part(part):
            if done or part.site != site or part.direction != direction:
                return None
            begin, passed[0] = passed[0], passed[0] + len(part.data)
            if begin <= count < passed[0]:
                done.append(part)
                self.met += 1
                return act(part, count - begin)
            return None
        return on_part


def unbroken(trial):
    trial.run()
    trial.met += 1


def killed(trial):
    """What had left the tool before is carried out by the servers, while the next run begins."""
    def die(_part, _at):
        trial.program.kill()
    for _ in range(3):
        trial.run(trial.after_bytes("target", "up", trial.rng.randrange(trial.size // 3), die))


def killed_and_landing_late(trial):
    """What was under way arrives when the next run has looked and begins to send."""
    seen, at = [], trial.rng.randrange(1, 100)

    def hold(part):
        if part.site == "target" and part.name == "APPEND":
            seen.append(part)
            if len(seen) == at:
                trial.met += 1
                trial.proxy.loop.call_later(0.2, die)
                return ("hold",)
        return None

    def die():
        trial.proxy.kill()
        trial.program.kill()

    async def land(part):
        if held and part.site == "target" and part.direction == "up" and part.name == "APPEND":
            await held.pop().deliver()

    trial.run(hold)
    held = [h for h in trial.proxy.held if h.link.site == "target" and h.commands()]
    for other in trial.proxy.held:
        if other not in held:
            trial.proxy.call(other.drop())
    # What is held must outlive the proxy's reset.
    trial.proxy.links = [link for link in trial.proxy.links if link.held not in held]
    trial.run(land)
    for late in held:
        trial.proxy.call(late.deliver())


def reset(site, direction):
    def broken(trial):
        trial.run(trial.after_bytes(site, direction, trial.rng.randrange(trial.size), lambda part, at: ("split", at, ("reset",))))
    return broken


def answer_lost(trial):
    """It is stored, and whoever sent it does not know."""
    at, seen = trial.rng.randrange(1, 6), []

    def on_part(part):
        if part.name == "OK APPEND":
            seen.append(part)
            if len(seen) == at:
                trial.met += 1
                return ("reset",)
        return None
    trial.run(on_part)


def state_lost(trial):
    """What the tool keeps of its own is gone, between two runs."""
    trial.run()
    trial.forget()
    trial.met += 1


BREAKS = {
    "nothing: two runs": unbroken,
    "killed (-9), three times": killed,
    "killed, and what was under way lands later": killed_and_landing_late,
    "connection to the source reset": reset("source", "down"),
    "connection to the target reset": reset("target", "up"),
    "answer to an APPEND lost, connection reset": answer_lost,
    "the tool's own state lost": state_lost,
}


def judge(wanted, got):
    """{what: how many messages}, of two Mailboxes."""
    found = collections.Counter()
    for path in set(wanted.folders) | set(got.folders):
        should, there = (m.folders.get(path, ()) for m in (wanted, got))
        a, b = (collections.Counter(e.digest for e in entries) for entries in (should, there))
        found["lost"] += (a - b).total()
        for digest, n in (b - a).items():
            found["doubled" if digest in a else "torn"] += n
        same = collections.Counter((e.digest, e.instant, e.flags, e.keywords) for e in should)
        same &= collections.Counter((e.digest, e.instant, e.flags, e.keywords) for e in there)
        found["altered"] += (a & b).total() - same.total()
    return found


class Faults:
    def __init__(self, folder, place):
        self.folder, self.place, self.count = folder, place, 0
        self.source = "faults"
        place.source.add_user(self.source, places.PASSWORD)
        fill.fill(place.source, self.source, places.PASSWORD, corpus.realistic(MESSAGES, seed=4, folders=4))
        self.wanted = reader.read(place.source, self.source, places.PASSWORD)
        self.size = sum(e.size for entries in self.wanted.folders.values() for e in entries)

    def trial(self, tool, name, number):
        """{what: how many}, with "met": how many breaks happened."""
        self.count += 1
        folder = os.path.join(self.folder, "%03d-%s" % (self.count, tool.name))
        os.makedirs(folder)
        there = "t%d" % self.count
        self.place.target.add_user(there, places.PASSWORD)
        with FaultProxy({"source": self.place.source.imap_port, "target": self.place.target.imap_port}) as proxy:
            job = Job(shape=SHAPE, place=self.place, rtt=0, folder=folder, pairs=((self.source, there),), bad=(), password=places.PASSWORD,
                      source_port=proxy.ports["source"], target_port=proxy.ports["target"], plain=True, ca_file="")
            command, environment = tool.command(job)
            if tool.name == "godwit":
                with open(os.path.join(folder, "godwit.conf"), "a") as out:
                    out.write('login_retry_interval = "1s"\n')

            def forget():
                if tool.state:
                    for name in os.listdir(os.path.join(folder, tool.state)):
                        os.unlink(os.path.join(folder, tool.state, name))

            trial = Trial(proxy, lambda: Broken(command, environment, folder), forget, random.Random("%s %d" % (name, number)), self.size)
            BREAKS[name](trial)
            stuck = not any(trial.run() for _ in range(RUNS))
            trial.run()
        found = judge(self.wanted, verify.read(self.place.target, there, tool.strip_header))
        return {**{what: found[what] for what in JUDGED}, "stuck": int(stuck), "met": trial.met}


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the tools ask a shape for."""
    bad: int = 0
    again: bool = False
    mailboxes: int = 1


SHAPE = Shape()


def measure(folder, record, say, rounds, late, names=()):
    """Round after round until there are so many in the record, as long as there is time: `late(cost)` says when a round of so many seconds would not be ready."""
    tools = [t for t in all_tools() if t.name in (names or TOOLS) and t.name in TOOLS]
    for tool in [t for t in tools if t.missing()]:
        say("%s: %s" % (tool.name, tool.missing()))
        tools.remove(tool)
    done = {t.name: {line["round"] for line in record.of("fault", tool=t.name)} for t in tools}
    with places.Place(folder, tls="none") as place:
        faults, cost = Faults(folder, place), 0.0
        for number in range(rounds):
            todo = [t for t in tools if number not in done[t.name]]
            if todo and late(cost):
                say("no time for round %d" % (number + 1))
                break
            begin = time.monotonic()
            for tool in todo:
                lines = []
                for name in BREAKS:
                    found = faults.trial(tool, name, number)
                    lines.append(dict(tool=tool.name, round=number, what=name, **found))
                    say("%s, round %d, %s: %s" % (tool.name, number + 1, name, words([found])))
                for line in lines:      # a round counts when all of it is there
                    record.add("fault", **line)
            cost = max(cost, time.monotonic() - begin)


def words(found):
    """What was wrong in these trials, all together."""
    sums = ["%d %s" % (n, what) for what in JUDGED if (n := sum(f[what] for f in found))]
    hit = sum(any(f[what] for what in JUDGED) for f in found)
    return "%s%s" % (", ".join(sums), "" if len(found) == 1 else " (in %d of %d)" % (hit, len(found))) if sums else "–"


def section(record):
    """Lines of the page."""
    lines = record.of("fault")
    if not lines:
        return []
    tools = [t for t in TOOLS if record.of("fault", tool=t)]
    rows = [[name, *(words(record.of("fault", tool=t, what=name)) for t in tools)] for name in BREAKS]
    rounds = ["%s %d" % (t, len({line["round"] for line in record.of("fault", tool=t)})) for t in tools]
    unmet = sum(not line["met"] for line in lines)
    return ["## Breaks", "", "A mailbox of %d messages is copied, and the tool broken at a random place; then it runs again until it says that all is well (%d times at "
            "most: else it is stuck), and once more. Messages that are wrong then, in all trials together (trials of each: %s%s). Lost: not on the target; doubled: "
            "there once too often; torn: with other bytes than any of the source; altered: other flags, keywords or date." % (
                MESSAGES, RUNS, ", ".join(rounds), "; in %d of them the break was not reached" % unmet if unmet else ""), "",
            *table.markdown(("break", *tools), rows), "", *("- `%s`: %s." % (t.name, t.note) for t in all_tools() if t.name in tools and t.note), ""]
