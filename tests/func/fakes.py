"""Behaviours for the scripted servers that more than one test wants."""
from lab.fakebox import Box
from lab.fakeimapd import mailbox


def box(count=0, size=3000, **options):
    """A Box with `count` generated messages in INBOX."""
    made = Box(**options)
    for _ in range(count):
        made.folder("INBOX").add(size=size)
    return made


def watched(behaviour, connections):
    """The same behaviour; each Connection is put into the list, so that a test can look at its counts."""
    async def behave(connection):
        connections.append(connection)
        await behaviour(connection)
    return behave


def by_user(boxes, rest=None):
    """A Box for each user."""
    from lab.fakebox import Session

    class Many(Session):
        def let_in(self, user, password, behalf=""):
            answer = super().let_in(user, password, behalf)
            if self.user:
                self.box = boxes.get(self.user, rest or self.box)
            return answer

    async def behave(connection):
        await Many(connection, next(iter(boxes.values()))).run()
    return behave


def digests(made, name="INBOX"):
    return sorted(made.digests(name))


__all__ = ["box", "by_user", "digests", "mailbox", "watched"]
