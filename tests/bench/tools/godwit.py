"""godwit: `godwit once` with one configuration, whatever the shape."""
import os
import re

from . import Tool

CONF = """\
state = "{folder}/state"
control = "{folder}/control.sock"
max_mailboxes = {parallel}
{retries}
server "source" {{
    url = "{scheme}://{host}:{source_port}"
    {trust}
    max_connections = {connections}
    {each}
}}
server "target" {{
    url = "{scheme}://{host}:{target_port}"
    {trust}
    max_connections = {connections}
    {each}
}}
migration "bench" {{
    source = "source"
    target = "target"
    mailboxes = "mailboxes.csv"
}}
"""
# For the shapes with mailboxes that cannot log in: fewer slots than mailboxes, so that there is something to stand in the way of.
RETRIES = 'max_login_retries = 3\nlogin_retry_interval = "1s"'
SLOTS = 10


def configure(job, pairs, parallel, retries="", connections=None, each=1):
    """Writes configuration and mailbox list. `pairs`: (user on the source, its password, user on the target); `each`: connections per mailbox."""
    values = dict(vars(job), parallel=parallel, connections=connections or parallel, retries=retries,
                  each="connections_per_mailbox = %d" % each if each > 1 else "",
                  scheme="imap" if job.plain else "imaps",
                  trust="allow_plaintext = true" if job.plain else 'ca_file = "%s"' % job.ca_file)
    with open(os.path.join(job.folder, "godwit.conf"), "w") as out:
        out.write(CONF.format(**values))
    with open(os.path.join(job.folder, "mailboxes.csv"), "w") as out:
        out.write("source_user,source_password,target_user,target_password\n")
        out.writelines("%s,%s,%s,%s\n" % (source, password, target, job.password) for source, password, target in pairs)
    os.chmod(os.path.join(job.folder, "mailboxes.csv"), 0o600)


class Godwit(Tool):
    name = "godwit"
    again = bad = always = True
    parallel = 50           # the default of max_mailboxes
    each = 1                # connections_per_mailbox, as shipped
    state = "state"
    program = None          # set by the command line

    def __init__(self, name="godwit", program=None):
        self.name = name
        if program:
            self.program = program

    def missing(self):
        if self.program and os.access(self.program, os.X_OK):
            return None
        return "not built"

    def rows(self, job):
        rows = [(source, job.password, target) for source, target in job.pairs]
        # The bad ones stand between the good ones, the first of them at the head of the list.
        for number, (source, target) in enumerate(job.bad):
            rows.insert(number * (1 + len(job.pairs) // len(job.bad)), (source, "not " + job.password, target))
        return rows

    def command(self, job):
        if job.shape.bad:
            configure(job, self.rows(job), SLOTS, RETRIES, connections=2 * SLOTS)
            return [self.program, "once", "-c", "godwit.conf", "--log-level", "info"], {}
        configure(job, self.rows(job), self.parallel, each=self.each)
        return [self.program, "once", "-c", "godwit.conf"], {}

    def repeat(self, job):
        return [self.program, "once", "-c", "godwit.conf"], {}

    def stamp(self, job):
        return bool(job.shape.bad)

    def exits(self, job):
        return (1, 75) if job.bad else (0,)

    def finish(self, job, result):
        if job.shape.bad:
            result.wall, result.failed = last_synced(os.path.join(job.folder, "said"), {target for _, target in job.pairs}, result)


def last_synced(said, wanted, result):
    """(the time at which the last mailbox that is wanted was complete, what is wrong)"""
    last, left = 0.0, set(wanted)
    with open(said, errors="replace") as lines:
        for line in lines:
            synced = re.match(r"([\d.]+) .*\b(?:MAILBOX_SYNCED|synced:)", line)
            name = next((n for n in left if re.search(r"/%s(?![\w-])" % re.escape(n), line)), None) if synced else None
            if name:
                left.remove(name)
                last = float(synced[1])
    return (result.wall, result.failed or "%d mailboxes are not said to be synced" % len(left)) if left else (last, result.failed)


class GoodOnly(Godwit):
    note = "the same configuration, without the mailboxes that cannot log in"

    def suits(self, shape):
        return shape.bad > 0

    def rows(self, job):
        return [(source, job.password, target) for source, target in job.pairs]

    def exits(self, job):
        return (0,)


class Split(Godwit):
    each = 4
    again = bad = False
    note = "with connections_per_mailbox = %d on both servers" % each

    def suits(self, shape):
        return super().suits(shape) and shape.mailboxes == 1


TOOLS = [Godwit(), Split("godwit-x4"), GoodOnly("godwit, good only")]
