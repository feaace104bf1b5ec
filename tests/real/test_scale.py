"""Many mailboxes running at once, in small; scripts/bench scale does it in full."""
import os

from bench import scale
from func.case import GODWIT
from lab import crowd

REGISTERED, RUNNING = 120, 40


def test_all_slots_taken_at_once(case):
    place = scale.Crowd(str(case.folder), REGISTERED, RUNNING, messages=2, rtt=250)
    with place:
        result = scale.run(os.path.abspath(GODWIT), place, hold=True)
        print("    %s" % result["loop"])
        assert result["exit"] == 0, result["failures"]
        assert result["running"] == RUNNING, result["running"]
        assert result["synced"] == REGISTERED, result["synced"]
        assert not result["failures"], result["failures"]
        wrong = crowd.compare(place.source, place.target, place.names)
        assert not wrong, wrong[:10]
        assert result["descriptors"] < 2 * (RUNNING + RUNNING // 8 + 1) + 128, result["descriptors"]
