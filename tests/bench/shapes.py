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

    def scaled(self, most):
        """The same shape with no more than `most` messages in all: fewer mailboxes if there are several, else smaller."""
        if self.mailboxes * self.messages <= most:
            return self
        if self.mailboxes > 1:
            return dataclasses.replace(self, mailboxes=max(2, most // self.messages))
        return dataclasses.replace(self, messages=most)

    def __str__(self):
        if self.mailboxes == 1:
            return "1 mailbox of %d messages, %s" % (self.messages, self.about)
        return "%d mailboxes of %d messages, %s" % (self.mailboxes, self.messages, self.about)


SHAPES = {shape.name: shape for shape in (
    Shape("one", 1, 2000, lambda number, messages: corpus.realistic(messages, "one %d" % number),
          "sizes as in real mail"),
    Shape("many", 100, 20, lambda number, messages: corpus.small(messages, "many %d" % number), "2 to 4 KB each"),
    Shape("folders", 1, 1200, lambda number, messages: corpus.many_folders(60, messages // 60, "folders %d" % number),
          "in 60 folders"),
    Shape("mixed", 20, 100, lambda number, messages: corpus.realistic(messages, "mixed %d" % number, 5),
          "sizes as in real mail, in 5 folders"),
)}
