"""Worker processes for trials. What a process starts, and what it leaves on the disk, ends with it."""
import ctypes
import multiprocessing
import os
import shutil
import signal
import tempfile

from func.case import Case

from . import disk, swarm, trial
from .stage import BY_NAME, Stage, Wrong

JOBS = max(2, os.cpu_count() or 2)
SWARM = 60      # mailboxes in one run
TROUBLE = (Wrong, AssertionError, OSError, TimeoutError)


class Worker:
    """What a process keeps: one stage for each setting."""
    stages, root = {}, None

    @classmethod
    def folder(cls):
        return tempfile.mkdtemp(dir=cls.root)

    @classmethod
    def stage(cls, name):
        if name not in cls.stages:
            cls.stages[name] = Stage(cls.folder(), BY_NAME[name])
        return cls.stages[name]

    @classmethod
    def forget(cls, name):
        """The stage may be in any state."""
        stage = cls.stages.pop(name, None)
        if stage:
            stage.close()


def _begin(root):
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)     # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker.root = root


class Pool:
    def __enter__(self):
        # A tmpfs: no disk is slowed down by what is synced again and again.
        self.root = tempfile.mkdtemp(prefix="godwit-crash-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.pool = multiprocessing.get_context("fork").Pool(JOBS, _begin, (self.root,))
        return self.pool

    def __exit__(self, *_):
        self.pool.terminate()
        self.pool.join()
        shutil.rmtree(self.root, ignore_errors=True)


# --- what a worker does: each returns its task's name, a result, and what was wrong ("" or words) --------------------------------

def count_steps(name):
    try:
        return name, trial.count_steps(Worker.stage(name)), ""
    except TROUBLE as wrong:
        return name, (0, 0, 0, 0), str(wrong)


def run_point(task):
    point, thorough, only = task
    try:
        return trial.run_point(Worker.stage(point.setting), point, thorough, only)
    except TROUBLE as wrong:
        Worker.forget(point.setting)
        return trial.Result(point, True, wrong=["%s: %s" % (point, wrong)])


def swarm_lengths(without):
    case = Case(Worker.folder())
    try:
        return swarm.lengths(case, without)
    finally:
        case.close()


def run_swarm(task):
    """[(fault, echoes, told, wrong)] of those that were met."""
    faults, without = task
    case = Case(Worker.folder())
    try:
        return [(one.fault, one.echoes, one.told, wrong) for one, wrong in swarm.Swarm(case, faults, without).run()]
    except TROUBLE as wrong:
        return [(faults[0], 0, False, "%s and those after it: %s" % (faults[0], wrong))]
    finally:
        case.close()
        shutil.rmtree(case.folder, ignore_errors=True)


def count_disk(task):
    name, reads = task
    return name, reads, disk.count(Worker.stage(name), reads)


def run_failing(task):
    name, failing = task
    try:
        return "%s, %s" % (name, failing), disk.fail(Worker.stage(name), failing), ""
    except TROUBLE as wrong:
        Worker.forget(name)
        return "%s, %s" % (name, failing), "wrong", str(wrong)


def damaged_disks(name):
    """The ledger's files before a pass, and when one was killed when half of its APPENDs had left."""
    stage = Worker.stage(name)
    stage.put_back()
    steps = trial.count_steps(stage)
    trial.break_it(stage, trial.Point(name, "protocol", (steps[1] + steps[2]) // 2, "before"))
    stage.proxy.drop()
    killed = disk.shim.read_disk(stage.case.state)
    killed.pop("ledger.sqlite-shm", None)
    boxes = {side: box.snapshot() for side, box in stage.boxes.items()}
    return (stage.disk, stage.begin), (killed, boxes)


def run_damaged(task):
    setting, name, damaged, boxes = task
    try:
        return name, disk.meet(Worker.stage(setting), damaged, boxes), ""
    except TROUBLE as wrong:
        Worker.forget(setting)
        return name, "wrong", str(wrong)
