"""As many connections as the limit of open files bears, and none more."""
import re
import subprocess

from func import fakes
from func.case import GODWIT, assert_no, login, site, wait_until
from lab import process
from lab.fakeimapd import greet_then_silent, mailbox


def test_logins_that_hang_do_not_use_up_the_open_files(case):
    """A hundred logins that hang: their connections would be more than the process may have."""
    source, target = fakes.box(20), fakes.box(keep=0)
    old, new, silent = case.serve(mailbox(source)), case.serve(mailbox(target)), case.serve(greet_then_silent)
    many = {"max_connections": 500}
    case.configure(
        {"silent": site(silent, **many), "old": site(old), "new": site(new, **many)},
        {"hang": ("silent", "new", [login("hang%d" % i) for i in range(200)]), "good": ("old", "new", [login("ann")])},
        max_mailboxes=10, login_grace="50ms", login_timeout="1h", connect_timeout="1h")
    log = case.folder / "log"
    with open(log, "wb") as said:
        child = process.start(["sh", "-c", 'ulimit -n 240; exec "$0" "$@"', GODWIT, "daemon", "-c", str(case.config), "--log-level", "debug"],
                              stdout=subprocess.DEVNULL, stderr=said)
    try:
        wait_until(lambda: "good/ann: synced: 20 copied" in log.read_text("utf-8", "replace"), "the good one is copied")
        assert target.digests() == source.digests()
        wait_until(lambda: len(set(re.findall(r"hang/(\w+): source: dialling", log.read_text("utf-8", "replace")))) > 20, "more are dialled than may run")
        lines = log.read_text("utf-8", "replace").splitlines()
        assert len([line for line in lines if "counts as" in line and "open files" in line]) == 2, lines[:10]
        assert_no(lines, "cannot log in")
        assert_no(lines, ": down, ")
        child.terminate()
        assert child.wait(20) == 0, child.returncode
    finally:
        if child.returncode is None:
            process.stop(child)
