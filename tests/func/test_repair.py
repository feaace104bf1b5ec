"""What a target refuses for what can be repaired, where the operator wants that: and nothing else, and not without a word."""
import hashlib
import json
import re

from func import fakes
from func.case import login
from lab.fakeimapd import mailbox

HEAD = b"Message-ID: <bad@example.org>\r\nSubject: bad\r\n\r\n"
ALL = "newlines, nul, lines, end"


def bare(m):
    return re.search(rb"(?<!\r)\n|\r(?!\n)", m.body) is not None


def cyrus(m):
    """In the words of Cyrus, and of others where it has none."""
    if b"\0" in m.body and not m.binary:
        return b"NO Message contains NUL characters"
    if bare(m):
        return b"NO Message contains bare newlines"
    if max(map(len, m.body.split(b"\r\n"))) > 998:
        return b"BAD Command Argument Error. 11"
    if not m.body.endswith(b"\r\n"):
        return b"NO a message must end with CRLF"
    return None


class Trial:
    def __init__(self, case, *bodies, answer=cyrus, **options):
        self.case = case
        self.source = fakes.box(12)
        for body in bodies:
            self.source.folder("INBOX").add(body=body, flags=["\\Flagged"], date="05-May-2005 05:05:05 +0000")
        self.source.folder("INBOX").add(size=1234)
        self.refusals = []
        self.target = fakes.box(first_uid=100, keep=4 << 20, append_answer=self.answer, **options)
        self.judge = answer
        self.servers = [case.serve(mailbox(b)) for b in (self.source, self.target)]

    def answer(self, _number, message):
        words = self.judge(message)
        if words:
            self.refusals.append(words)
        return words

    def once(self, code, **rules):
        self.case.pair(*self.servers, [login("ann")], rules, login_retry_interval="10ms", settle="10ms")
        return self.case.run("once").exits(code)

    def has(self, *bodies):
        """Besides those that nobody refuses, these."""
        good = [m.sha256() for m in self.source.folder("INBOX").messages if m.body is None]
        assert sorted(self.target.digests()) == sorted(good + [hashlib.sha256(b).hexdigest() for b in bodies])
        for message in self.target.folder("INBOX").messages:
            if message.body in bodies:
                assert (message.flags, message.date) == (["\\Flagged"], "05-May-2005 05:05:05 +0000")

    def told(self, code):
        program = self.case.run("report", "-c", str(self.case.config), "--format", "json").exits(code)
        [found] = json.loads(program.out)["mailboxes"]
        return found["verdict"], [(i["kind"], i["uid"], i["reason"]) for i in found["items"]]


def repaired(case, rule, body, wanted, words):
    trial = Trial(case, body)
    trial.once(1)
    trial.has()
    [(kind, uid, reason)] = trial.told(1)[1]
    assert (kind, uid) == ("left out", 13) and reason == trial.refusals[-1].decode()
    # Allowed from now on: what was left out is no matter of the rules, so it is looked for once more when the ledger is gone.
    case.forget()
    trial.target.folder("INBOX").messages.clear()
    trial.once(0, repair=rule)
    trial.has(wanted)
    verdict, items = trial.told(0)
    [(kind, uid, reason)] = items
    assert (verdict, kind, uid) == ("complete, with changes", "repaired", 13), items
    assert words in reason and trial.refusals[-1].decode() in reason, reason
    tried = len(trial.refusals)
    trial.once(0, repair=rule)
    trial.has(wanted)
    assert len(trial.refusals) == tried


def test_bare_newlines(case):
    repaired(case, "newlines", HEAD + b"a\nb\r\nc\rd\r\n", HEAD + b"a\r\nb\r\nc\r\nd\r\n", "bare newlines became CRLF")


def test_bare_newlines_of_a_large_message(case):
    repaired(case, "newlines", HEAD + b"a line\n" * 70000, HEAD + b"a line\r\n" * 70000, "bare newlines became CRLF")


def test_nul_bytes(case):
    repaired(case, "nul", HEAD + b"a\0b\0\0\r\n", HEAD + b"ab\r\n", "NUL bytes were taken out")


def test_long_lines(case):
    repaired(case, "lines", HEAD + b"x" * 2500 + b"\r\n", HEAD + b"x" * 998 + b"\r\n" + b"x" * 998 + b"\r\n" + b"x" * 504 + b"\r\n",
             "lines of more than 998 bytes were cut")


def test_a_missing_line_end(case):
    repaired(case, "end", HEAD + b"no end", HEAD + b"no end\r\n", "the line end that was missing was added")


def test_one_after_the_other(case):
    """Each refusal tells of one thing only."""
    trial = Trial(case, HEAD + b"a\0\nb\n" + b"x" * 1200, HEAD + b"all is well\r\n")
    trial.once(0, repair=ALL)
    trial.has(HEAD + b"a\r\nb\r\n" + b"x" * 998 + b"\r\n" + b"x" * 202 + b"\r\n", HEAD + b"all is well\r\n")
    [(kind, uid, reason)] = trial.told(0)[1]
    assert (kind, uid) == ("repaired", 13)
    for words in ("bare newlines became CRLF", "NUL bytes were taken out", "lines of more than 998 bytes were cut",
                  "the line end that was missing was added"):
        assert words in reason, reason


def test_only_what_is_allowed(case):
    trial = Trial(case, HEAD + b"a\nb\r\n", HEAD + b"a\0b\r\n")
    trial.once(1, repair="nul")
    trial.has(HEAD + b"ab\r\n")
    items = trial.told(1)[1]
    assert sorted((k, u) for k, u, _ in items) == [("left out", 13), ("repaired", 14)], items
    assert ("left out", 13, "NO Message contains bare newlines") in items


def test_only_where_the_refusal_is_known(case):
    trial = Trial(case, HEAD + b"a\nb\0\r\n", answer=lambda m: b"NO I do not like it" if m.body and b"a\nb" in m.body else None)
    trial.once(1, repair=ALL)
    trial.has()
    assert [i[0] for i in trial.told(1)[1]] == ["left out"]


def test_a_refusal_that_is_not_true(case):
    """Nothing of the kind is in it: it is left out with the server's words, and not sent for ever."""
    trial = Trial(case, HEAD + b"fine\r\n", answer=lambda m: b"NO Message contains bare newlines" if m.body and b"fine" in m.body else None)
    trial.once(1, repair=ALL)
    trial.has()
    assert trial.told(1)[1] == [("left out", 13, "NO Message contains bare newlines")]
    assert len(trial.refusals) <= 3


def test_a_repaired_message_that_is_refused_too(case):
    trial = Trial(case, HEAD + b"a\nb\r\n", answer=lambda m: cyrus(m) or (b"NO not that one, either" if b"a\r\nb" in (m.body or b"") else None))
    trial.once(1, repair=ALL)
    trial.has()
    assert trial.told(1)[1] == [("left out", 13, "NO not that one, either")]


def test_nul_bytes_as_they_are_where_the_target_can(case):
    """literal8 (RFC 3516): nothing is changed, and nothing to be told."""
    for size in (0, 300_000):
        body = HEAD + b"a\0b\0\0\r\n" + b"x\r\n" * (size // 3)
        trial = Trial(case, body, extra=("BINARY",))
        trial.once(0)
        trial.has(body)
        assert trial.told(0) == ("complete", [])
        case.forget()
