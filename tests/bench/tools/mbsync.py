"""mbsync (isync): one configuration with all channels, and one process per mailbox, four at a time."""
import os
import re
import shutil
import subprocess

from . import Tool

# It looks for names only in certificates, not for addresses.
STORE = """\
IMAPStore {name}{number}
Host localhost
Port {port}
User {user}
Pass {password}
AuthMechs {auth}
{type} {security}
{trust}

"""
CHANNEL = """\
Channel c{number}
Far :source{number}:
Near :target{number}:
Patterns *
Sync Pull
Create Near
CopyArrivalDate yes
SyncState {folder}/sync{number}/

"""


def version():
    said = subprocess.run(["mbsync", "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return tuple(int(n) for n in re.findall(r"\d+", said)[:2])


class Mbsync(Tool):
    name = "mbsync"
    again = True
    strip_header = "X-TUID"
    state = "sync0"
    subscriptions = False
    note = "adds a header, X-TUID, to every message, and brings no subscriptions: neither is held against it; FSync is off"

    def missing(self):
        return None if shutil.which("mbsync") else "not found"

    def _config(self, job, numbers, file):
        kind = "TLSType" if version() >= (1, 5) else "SSLType"
        trust = "" if job.plain else "SystemCertificates no\nCertificateFile %s" % job.ca_file
        with open(os.path.join(job.folder, file), "w") as out:
            out.write("FSync no\n\n")
            for number in numbers:
                for name, port, user in zip(("source", "target"), (job.source_port, job.target_port), job.pairs[number]):
                    out.write(STORE.format(name=name, number=number, port=port, user=user, trust=trust,
                                           password=job.password, type=kind, security="None" if job.plain else "IMAPS",
                                           auth="LOGIN"))
                os.makedirs(os.path.join(job.folder, "sync%d" % number), exist_ok=True)
                out.write(CHANNEL.format(number=number, folder=job.folder))
        os.chmod(os.path.join(job.folder, file), 0o600)

    def command(self, job):
        self._config(job, range(len(job.pairs)), "mbsyncrc")
        return ["mbsync", "-q", "-c", "mbsyncrc", "-a"], {"HOME": job.folder}


class MbsyncParallel(Mbsync):
    name = "mbsync-x4"
    many = True
    sample_ms = 100
    note = "one process per mailbox, four at a time"

    def command(self, job):
        for number in range(len(job.pairs)):
            self._config(job, [number], "mbsyncrc%d" % number)
        script = "seq 0 %d | xargs -P 4 -I N mbsync -q -c mbsyncrcN -a" % (len(job.pairs) - 1)
        return ["sh", "-c", script], {"HOME": job.folder}


TOOLS = [Mbsync(), MbsyncParallel()]
