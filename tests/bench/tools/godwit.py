"""godwit: `godwit once` with one configuration, whatever the shape."""
import os

from . import Tool

CONF = """\
state = "{folder}/state"
control = "{folder}/control.sock"
max_mailboxes = {parallel}
server "source" {{
    url = "{scheme}://{host}:{source_port}"
    {trust}
    max_connections = {parallel}
}}
server "target" {{
    url = "{scheme}://{host}:{target_port}"
    {trust}
    max_connections = {parallel}
}}
migration "bench" {{
    source = "source"
    target = "target"
    mailboxes = "mailboxes.csv"
}}
"""


class Godwit(Tool):
    name = "godwit"
    parallel = 50           # the default of max_mailboxes
    program = None          # set by the command line

    def __init__(self, name="godwit", program=None):
        self.name = name
        if program:
            self.program = program

    def missing(self):
        if self.program and os.access(self.program, os.X_OK):
            return None
        return "not built"

    def command(self, job):
        values = dict(vars(job), parallel=self.parallel, scheme="imap" if job.plain else "imaps",
                      trust="allow_plaintext = true" if job.plain else 'ca_file = "%s"' % job.ca_file)
        with open(os.path.join(job.folder, "godwit.conf"), "w") as out:
            out.write(CONF.format(**values))
        with open(os.path.join(job.folder, "mailboxes.csv"), "w") as out:
            out.write("source_user,source_password,target_user,target_password\n")
            out.writelines("%s,%s,%s,%s\n" % (a, job.password, b, job.password) for a, b in job.pairs)
        os.chmod(os.path.join(job.folder, "mailboxes.csv"), 0o600)
        return [self.program, "once", "-c", "godwit.conf"], {}


TOOLS = [Godwit()]
