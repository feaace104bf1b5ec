#!/usr/bin/python3
"""Records the transcripts of dovecot/ from real servers of the lab. The client's lines are those that proto/session writes.

    tests/wire/record.py FOLDER      (writes FOLDER/*.wire; needs dovecot-imapd)"""
import os
import pathlib
import re
import socket
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab.dovecot import Dovecot  # pylint: disable=import-error,wrong-import-position

SCAN = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"
MESSAGES = [
    b"From: ann@example.org\r\nMessage-ID: <1@example.org>\r\nDate: Wed, 17 Jul 1996 02:44:25 -0700\r\n\r\nfirst\r\n",
    b"Message-ID: <2@example.org>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\n8-bit: gr\xc3\xbc\xc3\x9fe \xff\r\n)\r\n* 9 EXISTS\r\n",
    b"\r\n",
    b"Subject: no line end\r\n\r\n{5}",
    b"Message-ID: <5@example.org>\r\n\r\n" + b"".join(b"line %d of a longer message\r\n" % i for i in range(12)),
]


def escape(data):
    return "".join(chr(b) if 0x20 <= b < 0x7f and b != 0x25 else "%%%02X" % b for b in data)


class Dialogue:
    """A logged-in connection that writes down what goes over it."""

    def __init__(self, server, user, title):
        self.lines = ["# " + title, "# Recorded: Dovecot 2.3.19, %s." % server.format]
        self.sock = socket.create_connection((server.host, server.imap_port), 10)
        self.sock.settimeout(10)
        self.bytes = b""
        self._line()
        self.sock.sendall(b"x LOGIN %s secret\r\n" % user.encode())
        while not self._line().startswith(b"x "):
            pass

    def _line(self):
        while b"\n" not in self.bytes:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError(self.lines[-5:])
            self.bytes += more
        line, self.bytes = self.bytes.split(b"\n", 1)
        return line + b"\n"

    def _write(self, who, data):
        *lines, rest = data.split(b"\r\n")
        self.lines += ["%s: %s" % (who, escape(line)) for line in lines]
        if rest:
            self.lines.append("%s-: %s" % (who, escape(rest)))

    def put(self, data):
        self._write("C", data)
        self.sock.sendall(data)

    def until(self, start):
        """Reads to the line that begins with `start`; literals are skipped as what they are."""
        while True:
            line = got = self._line()
            while literal := re.search(rb"\{(\d+)\}\r\n$", line):
                size = int(literal[1])
                while len(self.bytes) < size:
                    self.bytes += self.sock.recv(65536)
                got += self.bytes[:size]
                self.bytes = self.bytes[size:]
                line = self._line()
                got += line
            self._write("S", got)
            if got.startswith(start):
                return got

    def ask(self, *lines):
        """Commands sent together, and all their answers."""
        self.put(b"".join(line + b"\r\n" for line in lines))
        open_tags = {line.split()[0] for line in lines}
        while open_tags:  # Dovecot answers some out of order
            open_tags.discard(self.until(b"").split()[0])

    def append(self, tag, name, messages, plus):
        """One APPEND with these messages: (arguments, bytes)."""
        self.put(tag + b" APPEND " + name)
        for arguments, body in messages:
            self.put(b" %s{%d%s}\r\n" % (arguments, len(body), b"+" if plus else b""))
            if not plus and not self.until(b"").startswith(b"+"):
                return
            self.put(body)
        self.put(b"\r\n")
        self.until(tag + b" ")

    def save(self, folder, name):
        self.sock.close()
        text = "\n".join(self.lines) + "\n"
        # What was sent in pieces of a line is one line of the transcript.
        text = re.sub(r"^C-: (.*)\nC(-?): ", r"C\2: \1", text, flags=re.M)
        while (joined := re.sub(r"^C-: (.*)\nC(-?): ", r"C\2: \1", text, flags=re.M)) != text:
            text = joined
        with open(os.path.join(folder, name + ".wire"), "w") as out:
            out.write(text)


def fill(d, plus=True):
    dates = [b'"17-Jul-1996 02:44:25 -0700" ', b"", b'(\\Seen \\Flagged $Forwarded) "01-Feb-2024 00:00:00 +0545" ', b"(\\Draft) ", b"(\\Answered) "]
    d.ask(b"g1 CAPABILITY")
    d.append(b"g2", b"INBOX", list(zip(dates, MESSAGES)), plus)


def main(out):
    with tempfile.TemporaryDirectory() as folder:
        names = ("ann", "bob", "cid", "dan", "eve", "fay")
        users = {name: "secret" for name in names}
        with Dovecot(folder, "old", tls="none", users=users) as old, \
                Dovecot(folder, "dots", tls="none", users=users, separator=".", prefix="INBOX.", format="mdbox",
                        capability_remove=("LITERAL+", "MULTIAPPEND", "ESEARCH")) as dots:
            record(old, dots, out)


def record(old, dots, out):
    d = Dialogue(old, "ann", "MULTIAPPEND with non-synchronising literals")
    fill(d)
    d.save(out, "multiappend")

    d = Dialogue(old, "ann", "a folder is scanned, and its messages are fetched")
    d.ask(b"g1 CAPABILITY", b"g2 ID (\"name\" \"godwit\")")
    d.ask(b"g3 EXAMINE INBOX (CONDSTORE)", b"g4 UID FETCH 1:* " + SCAN)
    d.ask(b"g5 UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)])")
    d.ask(b"g6 UID FETCH 1:3 (UID BODY.PEEK[])", b"g7 UID FETCH 4:5 (UID BODY.PEEK[])", b"g8 UID FETCH 99 (BODY.PEEK[])")
    d.ask(b"g9 UID FETCH 1:* (UID FLAGS MODSEQ) (CHANGEDSINCE 1)")
    d.ask(b"g10 UNSELECT", b"g11 LOGOUT")
    d.save(out, "fetch")

    d = Dialogue(old, "bob", "folders are made, listed and counted")
    d.ask(b"g1 CAPABILITY", b"g2 NAMESPACE", b'g3 CREATE a/b', b'g4 CREATE "a \\"q\\" \\\\b"', b'g5 CREATE "&AOk-t&AOk-"', b"g6 SUBSCRIBE a/b",
          b'g7 CREATE "2024"', b"g8 CREATE a/b")
    d.ask(b'g9 LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE CHILDREN)', b'g10 LSUB "" "*"',
          b'g11 LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY SIZE HIGHESTMODSEQ))')
    d.ask(b"g12 STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", b"g13 STATUS nowhere (MESSAGES)", b"g14 UNSUBSCRIBE a/b", b"g15 DELETE a/b")
    d.put(b"g16 CREATE {4+}\r\nx\r\ny\r\n")
    d.until(b"g16 ")
    d.save(out, "folders")

    d = Dialogue(old, "cid", "flags, searches and expunges")
    fill(d)
    d.ask(b"g3 SELECT INBOX (CONDSTORE)", b"g4 UID STORE 1:2 +FLAGS.SILENT (\\Deleted \\Seen)", b"g5 UID STORE 3 FLAGS.SILENT ($Label1)",
          b"g6 UID SEARCH RETURN (ALL) DELETED", b"g7 UID SEARCH RETURN (ALL) UID 900", b"g8 UID EXPUNGE 1:2", b"g9 NOOP",
          b"g10 ENABLE QRESYNC", b"g11 FETCH 1:* (UID FLAGS)", b"g12 FETCH 9 (UID)", b"g13 UID STORE 3 +FLAGS.SILENT (\\Bogus)", b"g14 CLOSE")
    d.save(out, "flags")

    d = Dialogue(old, "dan", "APPENDs that are refused after their literal, which the server reads and forgets")
    d.ask(b"g1 CAPABILITY")
    d.append(b"g2", b"nowhere", [(b"", MESSAGES[0])], True)
    d.put(b"g3 APPEND nowhere {%d+}\r\n" % len(MESSAGES[0]) + MESSAGES[0] + b"\r\n" + b"g4 NOOP\r\n")
    d.until(b"g3 ")
    d.until(b"g4 ")
    d.append(b"g5", b"nowhere", [(b"", body) for body in MESSAGES], True)
    d.ask(b"g6 NOOP")
    d.save(out, "append-refused")

    d = Dialogue(old, "dan", "an APPEND that is not understood: the server takes the bytes of the message for commands")
    d.ask(b"g1 CAPABILITY")
    d.put(b'g2 APPEND INBOX "99-Foo-2024 00:00:00 +0000" {%d+}\r\n' % len(MESSAGES[0]) + MESSAGES[0] + b"\r\n")
    d.until(b"g2 ")
    d.until(b"From: BAD")
    d.lines.append("E: PROTO_ERR_SYNTAX")
    d.save(out, "append-not-understood")

    d = Dialogue(dots, "eve", "one message after another, each literal waited for; namespace INBOX. and dots")
    d.ask(b"g1 CAPABILITY", b"g2 NAMESPACE")
    for i, body in enumerate(MESSAGES):
        d.append(b"g%d" % (3 + i), b"INBOX", [(b"(\\Seen) ", body)], False)
    d.append(b"g8", b"INBOX.nowhere", [(b"", MESSAGES[0])], False)
    d.ask(b"g9 CREATE INBOX.a.b", b"g10 CREATE INBOX.x/y", b'g11 LIST "" "*"', b"g12 EXAMINE INBOX", b"g13 UID FETCH 1:* " + SCAN,
          b"g14 UID SEARCH ALL", b"g15 FETCH 1:* (BODY.PEEK[])")
    d.put(b"g16 CREATE {2}\r\n")
    d.until(b"+")
    d.put(b"\xc3\xa9\r\n")
    d.until(b"g16 ")
    d.ask(b"g17 LOGOUT")
    d.save(out, "sync-literals")


if __name__ == "__main__":
    main(sys.argv[1])
