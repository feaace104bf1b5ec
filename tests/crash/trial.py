"""One break, and all that may follow from it: on every disk that it may leave behind, with every landing of what was under way, the next complete pass
ends with exactly the source's messages on the target, and a further pass sends nothing."""
import dataclasses
import hashlib
import re

from . import shim
from .stage import Wrong

LAG = 0.02      # seconds that an APPEND is under way where the ledger's steps are broken, so that some are

SLOW = 20       # milliseconds that a sync of the ledger takes where the dialogue is broken: nobody may be ahead of what is durable

LANDINGS = ("never", "before the restart", "after the look-up", "after the re-send")


@dataclasses.dataclass(frozen=True)
class Point:
    """Where a pass is broken. `kind`: "protocol": kill -9 when the part of that number comes, or when half of it has passed ("half"), or when an APPEND is
    held from that part on and the client has gone on as far as it does ("under way"); "ledger": before that step of the ledger, or when half of a write is
    done ("torn")."""
    setting: str
    kind: str
    number: int
    how: str

    def __str__(self):
        return "%s, %s step %d %s" % (self.setting, self.kind, self.number, self.how)


@dataclasses.dataclass
class Result:
    point: Point
    reached: bool = False
    where: str = ""
    trials: int = 0
    landings: dict = dataclasses.field(default_factory=dict)
    echoes: int = 0
    wrong: list = dataclasses.field(default_factory=list)


def count_steps(stage):
    """(parts of the dialogue, the first and the last that is of an APPEND, steps of the ledger) of a pass that is not broken."""
    stage.put_back(refusing=True)
    stage.journal.unlink(missing_ok=True)
    names = []
    program = stage.run(on_part=lambda part: names.append(part.name) or None,
                        environment=shim.environment(stage.case.state, stage.journal))
    if program.code != 0:
        raise Wrong("%s: the pass that nothing breaks ends with %d:\n%s" % (stage.setting.name, program.code, program.err))
    stage.refusing = False
    stage.judge()
    appends = [number for number, name in enumerate(names, 1) if name == "APPEND"] or [1]
    return len(names), appends[0], appends[-1], max((op.step for op in shim.read_journal(stage.journal)), default=0)


def break_it(stage, point):
    """Runs the pass up to the point; returns (whether it was reached, where it was)."""
    stage.put_back(refusing=True)
    stage.journal.unlink(missing_ok=True)
    where = []

    def on_part(part):
        if part.number != point.number:
            return None
        where.append(repr(part))
        if point.how == "under way":
            if part.site == "target" and part.name == "APPEND":
                stage.proxy.loop.call_later(LAG, stage.kill)
                return ("hold",)
            where.append("no APPEND")
        if part.direction == "down" and point.how == "half":
            where.append("as before it")    # whoever is dead does not see half of an answer
        if not stage.kill():
            where.append("it had ended")
        if part.direction == "down":
            return None
        return ("split", len(part.data) // 2, ("hold",)) if point.how == "half" else ("hold",)

    if point.kind == "protocol":
        stage.run(on_part=on_part, environment=shim.environment(stage.case.state, stage.journal, slow=SLOW if point.how == "before" else 0))
    else:
        end = ("kill", "abort", "exit")[point.number % 3]
        stage.run(lag=LAG, environment=shim.environment(stage.case.state, stage.journal, point.number, point.how, end))
        if stage.program.code in (98, -6, -9):
            stage.program.killed = True
            where.append("ledger step %d" % point.number)
    return len(where) == 1, where[0] if where else ""


def literals(commands):
    """The digests of the messages in these APPENDs."""
    for command in commands:
        at = 0
        while announced := re.compile(rb"\{(\d+)\+?\}\r\n").search(command, at):
            at = announced.end() + int(announced[1])
            yield hashlib.sha256(command[announced.end():at]).hexdigest()


class Aftermath:
    """What is left of a broken pass."""

    def __init__(self, stage, thorough):
        self.stage = stage
        self.under_way = [c for held in stage.proxy.held if held.link.site == "target" for c in held.commands("APPEND")]
        stage.proxy.drop()
        stage.refusing = False
        self.boxes = {name: box.snapshot() for name, box in stage.boxes.items()}
        disk = shim.read_disk(stage.case.state)
        self.disks = [("all written", disk)]
        self.disks += shim.power_losses(stage.disk, shim.read_journal(stage.journal), disk, thorough)
        self.landings = LANDINGS if self.under_way else ("nothing under way",)

    async def land(self):
        """Over a connection of its own; that is no reason for another UIDVALIDITY."""
        box = self.stage.boxes["target"]
        keeps, box.keeps_uidvalidity = box.keeps_uidvalidity, True
        await self.stage.proxy.land("target", self.under_way)
        box.keeps_uidvalidity = keeps

    def follow(self, disk, landing):
        """The next pass, and those after it. Returns how many echoes were left."""
        stage, landed = self.stage, []
        late = landing in ("after the look-up", "after the re-send")
        stage.put_back(self.boxes, disk)
        if landing == "before the restart":
            stage.proxy.call(self.land())

        async def on_part(part):
            if landed or part.site != "target":
                return
            if (part.direction == "up" and part.name == "APPEND") if landing == "after the look-up" else part.name == "OK APPEND":
                landed.append(part)
                await self.land()

        program = stage.run(on_part=on_part if late else None)
        if program.code != 0:
            raise Wrong("the next pass ended with %d:\n%s" % (program.code, program.err[-1500:]))
        if late and not landed:
            # Behind the pass: the one after it sweeps once more.
            stage.proxy.call(self.land())
            stage.judge(list(literals(self.under_way)))
            program = stage.run()
            if program.code != 0:
                raise Wrong("the second pass ended with %d:\n%s" % (program.code, program.err[-1500:]))
        allowed = list(literals(self.under_way)) if late and not stage.setting.sweeps() else ()
        echoes = stage.judge(allowed)
        sent = []
        program = stage.run(on_part=lambda part: sent.append(part.name) if part.site == "target" and part.direction == "up" and part.first and
                            part.name in stage.setting.further() else None)
        if program.code != 0:
            raise Wrong("a further pass ended with %d:\n%s" % (program.code, program.err[-1500:]))
        if sent:
            raise Wrong("a further pass sent %s" % ", ".join(sent))
        stage.judge(allowed)
        return echoes


    def trials(self):
        """All landings on the disk of a kill and on that of a plain power loss; on other disks, the two that do not depend on what comes then."""
        for number, (name, disk) in enumerate(self.disks):
            for landing in self.landings if number < 2 else self.landings[:2]:
                yield name, disk, landing


def run_point(stage, point, thorough=False, only=None):
    """`only`: (name of a disk or None, landing or None). `thorough`: all disks that a step of the ledger may leave."""
    result = Result(point)
    result.reached, result.where = break_it(stage, point)
    if not result.reached:
        return result
    after = Aftermath(stage, thorough and point.kind == "ledger")
    if point.kind == "protocol":
        del after.disks[2:]
    if point.how == "torn":
        del after.disks[1:]     # the others are those of the kill before it
    for name, disk, landing in after.trials():
        if only and (only[0] not in (None, name) or only[1] not in (None, landing)):
            continue
        result.trials += 1
        result.landings[landing] = result.landings.get(landing, 0) + 1
        try:
            result.echoes += after.follow(disk, landing)
        except (Wrong, OSError, TimeoutError) as wrong:
            result.wrong.append("%s (%s); disk: %s; landing: %s: %s" % (point, result.where, name, landing, wrong))
    return result
