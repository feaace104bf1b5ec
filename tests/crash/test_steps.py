"""kill -9, abort and power loss at the steps of a pass: every one of them with --long, else some of each kind. What is under way lands never, before the
restart, after the look-up, or after the re-send."""
import os

from crash import crash

LONG = bool(os.environ.get("GODWIT_LONG"))


def steps(settings, stride, floor):
    """`floor`: fewer trials than that mean that nothing was tried."""
    stride = 1 if LONG else stride
    found = crash.run_steps(settings, stride, thorough=LONG)
    total = crash.Summary("%d settings" % len(settings))
    for summary in found:
        if LONG:
            crash.say("    " + str(summary))
        total.add(summary)
    crash.say("    " + str(total))
    assert not total.wrong, "\n".join(total.wrong[:5])
    assert total.trials >= floor, "only %d trials" % total.trials
    late = total.kinds["after the look-up"] + total.kinds["after the re-send"]
    assert total.kinds["never"] and total.kinds["before the restart"] and late, total.kinds


def test_a_first_pass_is_broken(case):
    del case
    steps(["first", "first, without MULTIAPPEND", "first, with refusals"], 17, 100)


def test_a_later_pass_is_broken(case):
    del case
    steps(["new mail", "own mail", "flags and deletions", "several connections"], 61, 50)


def test_a_careful_pass_is_broken(case):
    del case
    steps(["after a break", "after a break, without MULTIAPPEND", "lost ledger", "source fence", "target fence", "target folder gone"], 83, 50)


def test_a_pass_to_a_target_that_lacks_something_is_broken(case):
    del case
    steps([s.name for s in crash.SETTINGS if s.without or s.options], 109, 50)
