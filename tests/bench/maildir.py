"""Writes mail into a Dovecot's Maildir without Dovecot: for folders of 100,000 messages, which would take minutes over IMAP.

INBOX only. Nothing is synced to the disk: a source is read only."""
import os
import pwd

from lab import reader
from lab.imap import Client

MANY = 20_000   # from here on it is worth the trouble
LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}


def fill(server, user, password, folders):
    """As lab.fill.fill(): returns (messages, bytes)."""
    inbox = os.path.join(server.mail_path(user), "Maildir")
    for name in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(inbox, name))
    count = total = 0
    keywords = []
    for folder in folders:
        if folder.path != ("INBOX",) or folder.removed:
            raise ValueError("INBOX only")
        for message in folder.messages:
            _write(os.path.join(inbox, "cur"), count, message, keywords)
            count, total = count + 1, total + len(message.body)
    with open(os.path.join(inbox, "dovecot-keywords"), "w") as out:
        out.writelines("%d %s\n" % line for line in enumerate(keywords))
    _give_away(server.mail_path(user))
    with Client.to(server, user, password, timeout=300) as client:
        client.command(b"SUBSCRIBE INBOX")
        client.command(b"EXAMINE INBOX")  # Dovecot makes its index
        client.logout()
    return count, total


def _write(folder, number, message, keywords):
    flags = []
    for flag in message.flags:
        if flag not in LETTERS and flag not in keywords:
            keywords.append(flag)
        flags.append(LETTERS.get(flag) or chr(ord("a") + keywords.index(flag)))
    body = message.body.replace(b"\r\n", b"\n")
    instant = reader.instant(message.date)
    path = os.path.join(folder, "%d.M%dP1.bench,S=%d,W=%d:2,%s" % (instant, number, len(body), len(message.body), "".join(sorted(flags))))
    with open(path, "wb") as out:
        out.write(body)
    os.utime(path, (instant, instant))


def _give_away(folder):
    """Dovecot's mail user owns what it is to read."""
    if os.getuid() != 0:
        return
    owner = pwd.getpwnam("mail")
    for parent, _, names in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in names)]:
            os.chown(path, owner.pw_uid, owner.pw_gid)
