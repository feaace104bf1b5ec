"""Whether a run did what it was measured for. The fastest way to copy mail is not to."""
import re

from lab import reader
from lab.imap import Client

from . import place as places


class Stripping(Client):
    """Takes a header line away from all bodies: some tools mark what they bring."""
    header = b""

    def read(self):
        answer = super().read()
        if len(answer) > 3 and answer[2] == b"FETCH":
            answer[3] = [self._strip(a) if isinstance(a, bytes) and self.header in a[:100000] else a for a in answer[3]]
        return answer

    def _strip(self, body):
        head, empty, rest = body.partition(b"\r\n\r\n")
        return re.sub(b"(?im)^" + re.escape(self.header) + b":[^\n]*\n", b"", head + b"\r\n") [:-2] + empty + rest


def read(server, user, strip):
    if not strip:
        return reader.read(server, user, places.PASSWORD)
    with Stripping.to(server, user, places.PASSWORD) as client:
        client.header = strip.encode()
        mailbox = reader.read_client(client)
        client.logout()
    return mailbox


class Verifier:
    """Keeps what it has read of the source, so that it is read once."""

    def __init__(self, place):
        self.place = place
        self._counts, self._mailboxes = {}, {}

    def prepare(self, users):
        for user in users:
            if user not in self._counts:
                self._counts[user] = places.counts(self.place.source, user)

    def bytes(self, users):
        return sum(size for user in users for _, size in self._counts[user].values())

    def check(self, pairs, tool, whole):
        """The first thing that is wrong, as a sentence, or "". `whole`: of which pair everything is compared, or None."""
        for number, (user, copy) in enumerate(pairs):
            wanted, present = self._counts[user], places.counts(self.place.target, copy)
            if tool.strip_header:
                wanted, present = ({p: c for p, (c, _) in side.items()} for side in (wanted, present))
            for path in sorted(set(wanted) | set(present)):
                if wanted.get(path) != present.get(path):
                    return "%s, %s: (messages, bytes) should be %s and are %s" % (
                        user, reader.show(path), wanted.get(path, "none"), present.get(path, "none"))
            if number == whole:
                found = self._compare(user, copy, tool)
                if found:
                    return "%s: %s%s" % (user, found[0], " (and %d more)" % (len(found) - 1) if found[1:] else "")
        return ""

    def _compare(self, user, copy, tool):
        if user not in self._mailboxes:
            self._mailboxes[user] = read(self.place.source, user, None)
        return reader.compare(self._mailboxes[user], read(self.place.target, copy, tool.strip_header),
                              subscriptions=tool.subscriptions)
