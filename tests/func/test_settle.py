"""After a break the target is given time for what was under way, where something may be sent again: nowhere else, and not for ever."""
import sqlite3

from func import fakes
from func.case import login
from lab.fakeimapd import mailbox


def looks(case, change):
    """How often a pass asks for the target's folders when the ledger knows of a break in the folder "Two", and the source was changed like that."""
    source, target = fakes.box(3), fakes.box(keep=0)
    for _ in range(3):
        source.folder("Two").add(size=500)
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [login("ann")], settle="400ms")
    case.run("once").exits(0)
    with sqlite3.connect(case.state / "ledger.sqlite") as ledger:
        assert ledger.execute("UPDATE folders SET open = 1 WHERE source_path = 'Two'").rowcount == 1
    before = len(new.commands("LIST"))
    change(source)
    case.run("once").exits(0)
    return len(new.commands("LIST")) - before


def test_a_broken_folder_is_waited_for(case):
    assert looks(case, lambda source: None) > 1


def test_a_folder_that_is_gone_is_not(case):
    assert looks(case, lambda source: source.folders.pop("Two")) == 1


def test_a_folder_that_was_emptied_is_not(case):
    assert looks(case, lambda source: source.folder("Two").messages.clear()) == 1
