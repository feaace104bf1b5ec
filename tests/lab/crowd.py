"""Thousands of small mailboxes, written to and read from the disk of a Dovecot (Maildir) without asking it: over IMAP it would take an hour."""
import collections
import hashlib
import os
import pwd
import random
import shutil

PASSWORD = "secret"
ROOM = """\
default_client_limit = 20000
verbose_proctitle = yes
service imap {
  process_limit = %(sessions)d
}
service imap-login {
  client_limit = %(sessions)d
  process_limit = 4
}
service anvil {
  client_limit = 20000
}
service auth {
  client_limit = 20000
}
"""


def room(sessions):
    """Configuration of a Dovecot for so many sessions at once: lab.dovecot.Dovecot(extra_config=...)."""
    return ROOM % {"sessions": sessions}


def users(count, letter="u"):
    return ["%s%05d" % (letter, i) for i in range(count)]


def _owner():
    found = pwd.getpwnam("mail") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    return found.pw_uid, found.pw_gid


def add(server, names):
    for name in names:
        server.add_user(name, PASSWORD)


def fill(server, names, messages=3, smallest=600, largest=4000, seed=1):
    """Users with mail in INBOX; the UIDs begin at another number for each. Returns the number of bytes of a message on the average."""
    rng, total = random.Random(seed), 0
    add(server, names)
    for name in names:
        home = server.mail_path(name)
        maildir = os.path.join(home, "Maildir")
        for folder in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(maildir, folder))
        with open(os.path.join(maildir, "dovecot-uidlist"), "w") as out:
            out.write("3 V%d N%d G%032x\n" % (rng.randrange(1 << 20, 1 << 30), rng.randrange(1, 5000), rng.getrandbits(128)))
        for number in range(messages):
            text = _message(rng, name, number, rng.randrange(smallest, largest))
            when = rng.randrange(1_000_000_000, 1_700_000_000)
            path = os.path.join(maildir, "cur", "%d.M%dP1.crowd,S=%d:2,%s" % (
                when, number, len(text), "".join(f for f in "FRS" if rng.random() < 0.5)))
            with open(path, "wb") as out:
                out.write(text)
            os.utime(path, (when, when))
            total += len(text)
        _give(home)
    return total // max(1, len(names) * messages)


def _give(home):
    uid, gid = _owner()
    os.chown(home, uid, gid)
    for folder, folders, files in os.walk(home):
        for name in folders + files:
            os.chown(os.path.join(folder, name), uid, gid)


def _message(rng, name, number, size):
    head = ("From: %s@old.example\nTo: %s@new.example\nSubject: message %d\nMessage-ID: <%d.%016x@%s.example>\n"
            "Date: Mon, 01 Jan 2024 00:00:00 +0000\n\n" % (name, name, number, number, rng.getrandbits(64), name)).encode()
    return head + b"".join(b"%060x\n" % rng.getrandbits(240) for _ in range(max(1, (size - len(head)) // 61)))


def contents(server, name):
    """What is in the INBOX of a user, as a multiset of (digest, time of arrival, flags)."""
    found = collections.Counter()
    maildir = os.path.join(server.mail_path(name), "Maildir")
    for folder in ("cur", "new"):
        try:
            files = os.listdir(os.path.join(maildir, folder))
        except FileNotFoundError:
            continue
        for file in files:
            path = os.path.join(maildir, folder, file)
            with open(path, "rb") as message:
                digest = hashlib.sha256(message.read().replace(b"\r\n", b"\n")).hexdigest()
            flags = file.rpartition(":2,")[2] if ":2," in file else ""
            found[digest, int(os.stat(path).st_mtime), "".join(sorted(flags))] += 1
    return found


def compare(source, target, names, copies=None):
    """The names whose mail is not the same on both."""
    return [a for a, b in zip(names, copies or names) if contents(source, a) != contents(target, b)]


def forget(server, names):
    for name in names:
        shutil.rmtree(server.mail_path(name), ignore_errors=True)
