"""A reader of the log who does not read holds up nothing."""
import fcntl
import os
import subprocess

from func import fakes
from func.case import GODWIT, login, wait_until
from lab import process
from lab.fakeimapd import mailbox


def test_nobody_reads_the_log(case):
    source, target = fakes.box(300), fakes.box(keep=0)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    # What it says before: the pipe is full from the beginning.
    os.write(writer, b"." * 4096)
    child = process.start([GODWIT, "daemon", "-c", str(case.config), "--log-level", "debug"], stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    try:
        wait_until(lambda: len(target.digests()) == len(source.digests()), "everything is copied")
        assert target.digests() == source.digests()
        with open(reader, errors="replace") as file:
            # The reader comes back: what was kept comes by itself, in order.
            lines = []
            while not any("synced: 300 copied" in line for line in lines):
                lines.append(file.readline())
                assert lines[-1], "the log ended without it"
            assert "mailbox" in lines[0] or "godwit" in lines[0], lines[0]
            child.terminate()
            file.read()
        assert child.wait(20) == 0, child.returncode
    finally:
        if child.returncode is None:
            process.stop(child)
