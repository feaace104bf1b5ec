"""Faults of the connections, refusals, and other people's doings, at every byte and part of a dialogue with --long, else at some."""
import os

from crash import crash

LONG = bool(os.environ.get("GODWIT_LONG"))


def faults(kind, stride, floor, needed):
    found = crash.run_faults(kind, 1 if LONG else stride, without=crash.WITHOUT if LONG else crash.WITHOUT[:1])
    for summary in found:
        crash.say("    " + str(summary))
        assert not summary.wrong, "\n".join(summary.wrong[:5])
        assert summary.trials >= floor, "only %d trials" % summary.trials
        assert all(summary.kinds[name] for name in needed), summary.kinds


def test_a_connection_fails_at_a_byte(case):
    del case
    faults("bytes", 101, 250, crash.swarm.BYTE_FAULTS)


def test_a_command_is_refused_or_an_answer_is_lost_or_lies(case):
    del case
    faults("parts", 3, 60, crash.swarm.PART_FAULTS)


def test_others_change_the_mailbox_while_it_is_copied(case):
    del case
    faults("changes", 13, 100, (*crash.swarm.CHANGES, "unrest"))
