"""In the steady state a message costs no allocation of its own: what the copy needs, it has."""
import os
import pathlib

from func import fakes
from func.case import login
from lab import fakeimapd, process
from lab.fakeimapd import mailbox

COUNTER = pathlib.Path(fakeimapd.__file__).with_name("mallocs.c")


def allocations(case, messages):
    """How many the whole run makes for so many messages."""
    source, target = fakes.box(messages, size=2500), fakes.box(keep=0)
    case.pair(case.serve(mailbox(source)), case.serve(mailbox(target)), [login("ann")])
    told = case.folder / "mallocs"
    library = process.build(str(COUNTER), "-shared", "-fPIC")
    case.start("once", plain=True, environment={"LD_PRELOAD": library, "MALLOCS_FILE": str(told)}).exits(0)
    assert target.digests() == source.digests()
    case.forget()
    return int(told.read_text())


def a_message_more_costs_hardly_an_allocation(case):
    few, many = allocations(case, 1000), allocations(case, 3000)
    each = (many - few) / 2000
    print("    %.2f allocations per message (%d in all for 1,000, %d for 3,000)" % (each, few, many))
    # What is counted here is by window, by piece of the source, and by row of the ledger.
    # By window, by row of the ledger, and by what is read at once: of small messages that may be less than one.
    assert each < 2.5, each


if os.environ.get("GODWIT_PLAIN"):
    test_a_message_more_costs_hardly_an_allocation = a_message_more_costs_hardly_an_allocation
