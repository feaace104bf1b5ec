#!/usr/bin/python3
"""Proves that the comparer sees every kind of damage: tampers with a copy on a real server, one way at a time."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lab import fill, reader  # noqa: E402
from lab.corpus import Folder, Message, internaldate  # noqa: E402
from lab.dovecot import Dovecot  # noqa: E402
from lab.imap import Client  # noqa: E402
from lab.varied import varied  # noqa: E402

BODY = b"Subject: tampered\r\nMessage-ID: <a@example.org>\r\n\r\nThe body of it.\r\n"
FLIPPED = BODY.replace(b"body", b"bodx")
DATE = internaldate(1500000000, "+0545")


def base(**changes):
    """A small mailbox; `changes` replaces parts of it."""
    message = Message(changes.get("body", BODY), changes.get("flags", ("\\Seen", "$Label1")), changes.get("date", DATE))
    other = Message(BODY.replace(b"<a@", b"<b@"), ("\\Flagged",), internaldate(1400000000))
    inbox = {"drop": [other], "double": [message, message, other], "only": [message],
             "swap": [other, message]}.get(changes.get("inbox"), [message, other])
    folders = [Folder(("INBOX",), inbox, True), Folder(("Kept",), [message], changes.get("subscribed", True)),
               Folder(("Empty",), [], False)]
    return [f for f in folders if f.path != changes.get("without")] + changes.get("more", [])


# What is done to the copy, and a word that the one sentence about it must hold.
TAMPERINGS = (
    ("a byte flipped", dict(body=FLIPPED), "missing"),
    ("a message dropped", dict(inbox="drop"), "INBOX: message"),
    ("a message doubled", dict(inbox="double"), "there once too often"),
    ("a date one second later", dict(date=internaldate(1500000001, "+0545")), "(+1 s)"),
    ("a system flag missing", dict(flags=("$Label1",)), "flags were"),
    ("a system flag more", dict(flags=("\\Seen", "\\Deleted", "$Label1")), "flags were"),
    ("a keyword missing", dict(flags=("\\Seen",)), "keywords were"),
    ("a keyword more", dict(flags=("\\Seen", "$Label1", "Extra")), "keywords were"),
    ("a folder missing", dict(without=("Kept",)), "folder Kept is missing"),
    ("an empty folder missing", dict(without=("Empty",)), "folder Empty is missing"),
    ("a folder more", dict(more=[Folder(("More",), [], False)]), "folder More is extra"),
    ("a subscription missing", dict(subscribed=False), "subscription of Kept is missing"),
)

passed = failed = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED: %s %s" % (what, detail))


def tampered(server):
    users = ["t%d" % i for i in range(len(TAMPERINGS))]
    for user in users + ["base", "again"]:
        server.add_user(user, "secret")
    for user in ("base", "again"):
        fill.fill(server, user, "secret", base())
    original, again = reader.read(server, "base", "secret"), reader.read(server, "again", "secret")
    check("equal copies are equal", reader.compare(original, again) == [], reader.compare(original, again))
    for user, (what, changes, word) in zip(users, TAMPERINGS):
        fill.fill(server, user, "secret", base(**changes))
        found = reader.compare(original, reader.read(server, user, "secret"))
        check(what, found and any(word in sentence for sentence in found), found)
    server.add_user("order", "secret")
    fill.fill(server, "order", "secret", base(inbox="swap"))
    swapped = reader.read(server, "order", "secret")
    check("another order is equal", reader.compare(original, swapped) == [])
    check("another order is seen when asked for", any("order" in s for s in reader.compare(original, swapped, order=True)))


def tampered_in_place(server):
    """On the varied corpus: a change on the server itself, after both sides were equal."""
    for user in ("va", "vb"):
        server.add_user(user, "secret")
        fill.fill(server, user, "secret", varied(7, big=1))
    a = reader.read(server, "va", "secret")
    check("varied copies are equal", reader.compare(a, reader.read(server, "vb", "secret")) == [])
    messages = {m.digest for f in a.folders.values() for m in f}
    check("nothing is seen double that is not", len(messages) < sum(map(len, a.folders.values())))
    with Client.to(server, "vb", "secret") as client:
        steps = ((b"SELECT INBOX", b"STORE 5 FLAGS.SILENT (\\Draft foo)"), (b"SELECT Flags", b"UID EXPUNGE 4:5"),
                 (b"UNSELECT", b"UNSUBSCRIBE INBOX"), (b"NOOP", b"DELETE \"Archive/All gone\""))
        for before, step in steps:
            old = len(reader.compare(a, reader.read(server, "vb", "secret")))
            client.command(before)
            client.command(step)
            new = reader.compare(a, reader.read(server, "vb", "secret"))
            check("after %s" % step.decode(), len(new) > old, new)


def zones_and_separators(folder):
    with Dovecot(folder, "dots", separator=".", prefix="INBOX.", tz="Asia/Kathmandu", users={"v": "secret"}) as dots, \
            Dovecot(folder, "boxes", format="sdbox", tls="none", users={"v": "secret"}) as boxes:
        for server in (dots, boxes):
            fill.fill(server, "v", "secret", varied(7, big=1))
        a, b = reader.read(dots, "v", "secret"), reader.read(boxes, "v", "secret")
        check("other separator, prefix, format and zone are equal", reader.compare(a, b) == [], reader.compare(a, b))
        check("another zone is seen when asked for", any("zone" in s for s in reader.compare(a, b, exact_zone=True)))
        expected = sum(len(list(f.messages)) - len(f.removed) for f in varied(7, big=1))
        check("all messages are read", sum(map(len, a.folders.values())) == expected)


def main():
    with tempfile.TemporaryDirectory() as folder:
        with Dovecot(folder, "server", users={}) as server:
            tampered(server)
            tampered_in_place(server)
        zones_and_separators(folder)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
