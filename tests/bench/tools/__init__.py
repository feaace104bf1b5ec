"""One file per tool. A tool turns a Job into a command; adding one means adding its class to all_tools()."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be copied, from where to where, this time."""
    shape: object
    place: object
    rtt: float
    folder: str             # for this run alone; the command runs in it
    pairs: tuple            # (user on the source, user on the target)
    bad: tuple              # the same, whose source refuses the password
    password: str
    source_port: int
    target_port: int
    plain: bool
    ca_file: str
    host: str = "127.0.0.1"


class Tool:
    name = ""
    copies = True           # False: the target is not touched
    again = False           # whether it knows passes with nothing new
    bad = False             # whether it can be given mailboxes that cannot log in
    strip_header = None     # a header that the tool adds to messages
    state = ""              # in job.folder: what it keeps of a single mailbox between two runs
    subscriptions = True    # whether it is expected to bring the subscriptions
    sample_ms = 0           # > 0: memory is summed up over its processes
    note = ""               # for the foot of the table
    always = False          # measured in every turn, however long it takes
    many = False            # for shapes with several mailboxes only

    def suits(self, shape):
        return (not shape.again or self.again) and (not shape.bad or self.bad) and (not self.many or shape.mailboxes > 1)

    def missing(self):
        """Why the tool cannot be run here, or None."""
        return None

    def command(self, job):
        """Writes what it needs into job.folder; returns (list of arguments, environment)."""
        raise NotImplementedError

    def repeat(self, job):
        """The same for a second pass, when command() has run in this folder."""
        return self.command(job)

    def stamp(self, job):
        """Whether the times of its lines are wanted; see finish()."""
        return False

    def exits(self, job):
        """The exit codes that are right."""
        return (0,)

    def finish(self, job, result):
        """Looks at what it said, in the file job.folder/said; may set result.wall to the time that counts, and result.failed."""

    def check(self, job, result, total):
        """What the tool's own output proves wrong, as a sentence, or "". `total`: bytes of the source's messages."""
        return ""


def all_tools():
    from . import doveadm, godwit, imapsync, limit, mbsync
    return [*godwit.TOOLS, *limit.TOOLS, *mbsync.TOOLS, *doveadm.TOOLS, *imapsync.TOOLS]
