"""Dovecot's own migration: `doveadm backup -R` from an imapc: source, run as the target server's administrator."""
import os
import shlex
import shutil

from lab import dovecot

from . import Tool

AHEAD = 500     # messages asked for before they are needed; as shipped it is 0, and every message costs a round trip


class Doveadm(Tool):
    name = "doveadm"
    again = True
    processes = 4
    note = ("`doveadm backup` from imapc with mail_prefetch_count=%d; it writes the target's Maildir itself: no target server, no target protocol, "
            "so its CPU holds the target's share; several mailboxes: %d at a time; repeated with its state (-s)" % (AHEAD, processes))

    def missing(self):
        if not shutil.which("doveadm"):
            return "not found"
        try:
            return None if dovecot.syntax(dovecot.find_binary()) == "2.3" else "not tried with Dovecot 2.4"
        except dovecot.Missing as missing:
            return str(missing)

    def _lines(self, job, stated):
        options = ["imapc_host=" + ("localhost" if not job.plain else job.host), "imapc_port=%d" % job.source_port,
                   "imapc_password=" + job.password, "mail_prefetch_count=%d" % AHEAD,
                   "imapc_features=rfc822.size fetch-headers"]
        options += ["imapc_ssl=no"] if job.plain else ["imapc_ssl=imaps", "imapc_ssl_verify=yes", "ssl_client_ca_file=" + job.ca_file]
        for number, (source, target) in enumerate(job.pairs):
            words = ["doveadm", "-c", job.place.target.config_file]
            for option in [*options, "imapc_user=" + source]:
                words += ["-o", option]
            words += ["backup", "-R", "-u", target]
            state = os.path.join(job.folder, "state%d" % number)
            if job.shape.again:
                yield "%s -s %s imapc: >%s.new && mv %s.new %s" % (
                    shlex.join(words), '"$(cat %s)"' % state if stated else "''", state, state, state)
            else:
                yield shlex.join(words) + " imapc:"

    def command(self, job, stated=False):
        with open(os.path.join(job.folder, "commands"), "w") as out:
            out.writelines(line + "\n" for line in self._lines(job, stated))
        return ["xargs", "-P", str(self.processes), "-d", "\n", "-n", "1", "-a", "commands", "sh", "-c", 'eval "$0"'], {}

    def repeat(self, job):
        return self.command(job, stated=True)


TOOLS = [Doveadm()]
