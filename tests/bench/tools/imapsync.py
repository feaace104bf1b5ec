"""imapsync: one process per mailbox, one after the other, and several at a time."""
import os
import shlex
import shutil

from . import Tool

# What it does besides copying is switched off: sizes of all folders before and after, the log, the look for a new release.
FAST = "--nofoldersizes --nofoldersizesatend --nolog --noreleasecheck --noid --nomodulesversion --noexpungeaftereach".split()


class Imapsync(Tool):
    name = "imapsync"
    again = True
    processes = 1

    def missing(self):
        return None if shutil.which("imapsync") else "not found"

    def command(self, job):
        secret = os.path.join(job.folder, "password")
        with open(secret, "w") as out:
            out.write(job.password + "\n")
        os.chmod(secret, 0o600)
        security = []
        for side in "12":
            if job.plain:
                security += ["--nossl" + side, "--notls" + side]
            else:
                security += ["--ssl" + side, "--sslargs" + side, "SSL_verify_mode=1", "--sslargs" + side, "SSL_ca_file=" + job.ca_file]
        lines = []
        for number, (source, target) in enumerate(job.pairs):
            temporary = os.path.join(job.folder, "tmp%d" % number)
            os.makedirs(temporary, exist_ok=True)
            lines.append(shlex.join([
                "imapsync", "--host1", job.host, "--port1", str(job.source_port), "--user1", source, "--passfile1", secret,
                "--host2", job.host, "--port2", str(job.target_port), "--user2", target, "--passfile2", secret,
                "--tmpdir", temporary, "--pidfile", "", *security, *FAST]) + " >/dev/null")
        with open(os.path.join(job.folder, "commands"), "w") as out:
            out.write("\n".join(lines) + "\n")
        return ["xargs", "-P", str(self.processes), "-d", "\n", "-n", "1", "-a", "commands", "sh", "-c", 'eval "$0"'], {}


class ImapsyncParallel(Imapsync):
    processes = max(8, 2 * (os.cpu_count() or 1))
    name = "imapsync-x%d" % processes
    many = True
    sample_ms = 250
    note = "one process per mailbox, %d at a time (eight, or twice the cores when that is more)" % processes


TOOLS = [Imapsync(), ImapsyncParallel()]
