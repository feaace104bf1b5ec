"""One file per tool. A tool turns a Job into a command; adding one means adding its class to ALL."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be copied, from where to where, this time."""
    shape: object
    place: object
    rtt: float
    folder: str             # empty, for this run alone; the command runs in it
    pairs: tuple            # (user on the source, user on the target)
    password: str
    source_port: int
    target_port: int
    plain: bool
    ca_file: str
    host: str = "127.0.0.1"


class Tool:
    name = ""
    copies = True           # False: the target is not touched
    strip_header = None     # a header that the tool adds to messages
    subscriptions = True    # whether it is expected to bring the subscriptions
    sample_ms = 0           # > 0: memory is summed up over its processes
    note = ""               # for the foot of the table
    shapes = None           # names of the shapes that it is run for; None: all

    def missing(self):
        """Why the tool cannot be run here, or None."""
        return None

    def command(self, job):
        """Writes what it needs into job.folder; returns (list of arguments, environment)."""
        raise NotImplementedError

    def check(self, job, result, total):
        """What the tool's own output proves wrong, as a sentence, or "". `total`: bytes of the source's messages."""
        return ""


def all_tools():
    from . import godwit, imapsync, limit, mbsync
    return [*godwit.TOOLS, *limit.TOOLS, *mbsync.TOOLS, *imapsync.TOOLS]
