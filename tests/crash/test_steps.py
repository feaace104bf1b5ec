"""kill -9, abort and power loss at the steps of a pass: every one of them with --long, else some of each kind. What is under way lands never, before the
restart, after the look-up, or after the re-send."""
import os

from crash import crash

LONG = bool(os.environ.get("GODWIT_LONG"))


def steps(settings, stride, floor, under_way=True):
    """`floor`: fewer trials than that mean that nothing was tried. `under_way`: whether APPENDs were."""
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
    assert not under_way or total.kinds["never"] and total.kinds["before the restart"] and late, total.kinds


def test_a_first_pass_is_broken(case):
    del case
    steps(["first", "first, without MULTIAPPEND", "first, with refusals"], 17, 100)


def test_a_later_pass_is_broken(case):
    del case
    steps(["new mail", "own mail", "several connections", "several connections, after a break"], 61, 50)


def test_a_pass_that_follows_is_broken(case):
    del case
    steps(["flags", "flags, with CONDSTORE", "deletions", "flags and deletions", "flags and deletions, with CONDSTORE"], 83, 40, under_way=False)


def test_a_careful_pass_is_broken(case):
    del case
    steps(["after a break", "after a break, without MULTIAPPEND", "lost ledger", "source fence", "target fence", "target folder gone"], 83, 50)


def test_a_pass_to_a_target_that_lacks_something_is_broken(case):
    del case
    steps([s.name for s in crash.SETTINGS if s.without or "UIDVALIDITY" in s.name], 109, 50)
