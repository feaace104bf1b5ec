"""What is copied: one entry of SHAPES per corpus. A shape makes the same mail every time."""
import dataclasses
from typing import Callable

from lab import corpus


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    mailboxes: int
    messages: int               # in each mailbox
    make: Callable              # (number of the mailbox, messages) -> folders for lab.fill
    about: str
    quick: tuple = (1, 100)     # mailboxes, messages when only a look is wanted
    again: bool = False         # what is measured is a second pass, with nothing new
    bad: int = 0                # so many mailboxes more whose password the source refuses
    options: tuple = ()         # of both Dovecots, beside what is shipped: pairs (name, value), see lab/dovecot.py

    def scaled(self, most):
        """The same shape with no more than `most` messages in all: fewer mailboxes if there are several, else smaller."""
        if self.mailboxes * self.messages <= most:
            return self
        if self.mailboxes > 1:
            return dataclasses.replace(self, mailboxes=max(2, most // self.messages))
        return dataclasses.replace(self, messages=most)

    def quickly(self):
        mailboxes, messages = self.quick
        return dataclasses.replace(self, mailboxes=mailboxes, messages=messages, bad=min(self.bad, 2))

    @property
    def size(self):
        return "%d × %s" % (self.mailboxes, format(self.messages, ","))

    def __str__(self):
        return "%s: %s of %s messages, %s" % (
            self.name, "1 mailbox" if self.mailboxes == 1 else "%d mailboxes" % self.mailboxes, format(self.messages, ","), self.about)


def _folders(number, messages):
    return corpus.many_folders(min(60, max(1, messages // 2)), max(2, messages // 60), "folders %d" % number)


def _small(number, messages):
    return corpus.small(messages, "small %d" % number)


# The corpora: "small" is text of 2 to 4 KB; "mix" has sizes as in real mail, 10 KB on average here (median 4 KB, largest 1 MB) so that there
# can be many, and 50 KB in the shapes `real` and `mixed`; "large" is 10 to 40 MB each.
SHAPES = {shape.name: shape for shape in (
    Shape("one", 1, 10_000, lambda number, messages: corpus.realistic(
        messages, "one %d" % number, 5, median=4000, mean=10_000, largest=1_000_000), "sizes as in real mail (10 KB on average), in 5 folders",
        quick=(1, 300)),
    Shape("few", 1, 500, _small, "2 to 4 KB each", quick=(1, 30)),
    Shape("large", 1, 12, lambda number, messages: corpus.large(messages, 10_000_000, "large %d" % number, 40_000_000),
          "10 to 40 MB each", quick=(1, 2)),
    Shape("many", 200, 20, _small, "2 to 4 KB each", quick=(8, 20)),
    Shape("some", 40, 20, _small, "2 to 4 KB each", quick=(4, 10)),
    Shape("delta", 1, 1200, _folders, "in 60 folders, copied before: a pass with nothing new", quick=(1, 24), again=True),
    # As shipped, Dovecot lets everybody at an address wait after a failed login there; an operator puts the migration's address
    # into login_trusted_networks. What the wait does is `penalty`.
    Shape("bad", 40, 200, _small, "2 to 4 KB each, and 4 mailboxes that cannot log in; the source trusts the address", quick=(8, 20), bad=4,
          options=(("auth_penalty", False),)),
    Shape("penalty", 40, 200, _small, "2 to 4 KB each, and 4 mailboxes that cannot log in, for which the source lets all others wait", quick=(8, 20), bad=4),
    Shape("huge", 1, 100_000, _small, "2 to 4 KB each, in 1 folder", quick=(1, 1000)),
    Shape("real", 1, 2000, lambda number, messages: corpus.realistic(messages, "one %d" % number),
          "sizes as in real mail (50 KB on average)"),
    Shape("folders", 1, 1200, _folders, "in 60 folders"),
    Shape("mixed", 20, 100, lambda number, messages: corpus.realistic(messages, "mixed %d" % number, 5),
          "sizes as in real mail (50 KB on average), in 5 folders", quick=(4, 20)),
)}
