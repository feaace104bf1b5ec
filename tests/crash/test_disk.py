"""A ledger that cannot be written or read, or is damaged: said, with a way out, and nothing is lost."""
import os

from crash import crash, disk
from crash.stage import BY_NAME, Stage

LONG = bool(os.environ.get("GODWIT_LONG"))


def test_the_ledgers_disk_fails_or_has_damaged_it(case):
    del case
    for summary in crash.run_disk(1 if LONG else 29, LONG):
        crash.say("    " + str(summary))
        assert not summary.wrong, "\n".join(summary.wrong[:5])
        assert summary.kinds["told"] and summary.trials >= 30, summary


def test_a_ledger_from_a_newer_version(case):
    stage = Stage(case.folder, BY_NAME["new mail"])
    try:
        assert disk.meet(stage, disk.newer(stage, stage.disk)) == "told"
    finally:
        stage.close()
