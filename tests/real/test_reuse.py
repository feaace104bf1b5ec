"""Connections of an administrator that serve one mailbox after the other (UNAUTHENTICATE)."""
import re

from func import shared
from func.case import assert_equal, site
from lab import corpus, fill, reader
from lab.cyrus import Cyrus

SECRET = "mover's own secret"
USERS = ["user%d" % n for n in range(10)]


def cyrus(case, name, **options):
    options = {"users": {u: "x" for u in USERS}, "admins": {"boss": SECRET}, "unauthenticate": True, "auth_failure_delay": "0s", **options}
    return case.use(Cyrus(case.folder, name, **options))


def admin(case, server, **keys):
    return site(server, admin_user="boss", admin_password_file=case.write("boss.secret", SECRET + "\n"), **keys)


def filled(server):
    """Another corpus for each user; what the reader found."""
    found = {}
    for number, user in enumerate(USERS):
        fill.fill(server, user, "x", corpus.small(5 + number, seed=100 + number))
        found[user] = reader.read(server, user, "x")
    return found


def connections(server):
    """The user names of each connection to Cyrus, in order, by its log."""
    found, by = [], {}
    for pid, words in re.findall(r"cyrus/imaps?\[(\d+)\]: (.*)", server.log()):
        if words.startswith("accepted connection"):
            by[pid] = []
            found.append(by[pid])
        elif match := re.match(r"login: \S+ \[\S+\] (\S+) PLAIN", words):
            by[pid].append(match[1])
    return [users for users in found if users]


def test_ten_mailboxes_from_cyrus(case):
    old, new = cyrus(case, "old"), shared.new()
    mails = filled(old)
    names = {user: shared.user(new) for user in USERS}
    before = len(connections(old))
    case.pair(admin(case, old), site(new), [], max_mailboxes=2)
    case.write_list("m.csv", [(u, names[u], shared.password(names[u])) for u in USERS], ("source_user", "target_user", "target_password"))
    program = case.run("once", "--log-level", "debug").exits(0)
    for user in USERS:
        assert_equal(mails[user], shared.read(new, names[user]))
    used = connections(old)[before:]
    assert len(used) <= 4 and sorted(sum(used, [])) == sorted(USERS), used
    assert SECRET not in program.err and len(program.lines("AUTHENTICATE PLAIN \\*\\*\\*")) == len(USERS) - len(used), program.err


def test_ten_mailboxes_to_cyrus(case):
    old, new = shared.old(), cyrus(case, "new", alternate=True, separator="/")
    sources = {}
    for number, user in enumerate(USERS):
        sources[user] = shared.user(old)
        fill.fill(old, sources[user], shared.password(sources[user]), corpus.small(5 + number, seed=200 + number))
    case.pair(site(old), admin(case, new), [], max_mailboxes=2)
    case.write_list("m.csv", [(sources[u], shared.password(sources[u]), u) for u in USERS], ("source_user", "source_password", "target_user"))
    case.run("once").exits(0)
    used = connections(new)
    assert len(used) <= 4 and sorted(sum(used, [])) == sorted(USERS), used
    for user in USERS:
        assert_equal(shared.read(old, sources[user]), reader.read(new, user, "x"))
    # A second pass finds nothing to do, over few connections again.
    before = len(connections(new))
    case.run("once").exits(0)
    assert len(connections(new)) - before <= 4, connections(new)[before:]
    for user in USERS:
        assert_equal(shared.read(old, sources[user]), reader.read(new, user, "x"))


def test_cyrus_as_shipped_does_not_offer_it(case):
    """Only to administrators' own sessions. Nothing is used again, and nothing goes wrong."""
    old, new = cyrus(case, "old", unauthenticate=False), shared.new()
    mails = filled(old)
    names = {user: shared.user(new) for user in USERS}
    before = len(connections(old))
    case.pair(admin(case, old), site(new), [], max_mailboxes=2)
    case.write_list("m.csv", [(u, names[u], shared.password(names[u])) for u in USERS], ("source_user", "target_user", "target_password"))
    case.run("once").exits(0)
    for user in USERS:
        assert_equal(mails[user], shared.read(new, names[user]))
    assert len(connections(old)) - before == len(USERS)


def test_compressed_connections_are_not_used_again(case):
    """Where the compression ends in the stream cannot be told for sure."""
    old, new = cyrus(case, "old"), shared.new()
    mails = filled(old)
    names = {user: shared.user(new) for user in USERS}
    before = len(connections(old))
    case.pair(admin(case, old, compress="on"), site(new), [], max_mailboxes=2)
    case.write_list("m.csv", [(u, names[u], shared.password(names[u])) for u in USERS], ("source_user", "target_user", "target_password"))
    case.run("once").exits(0)
    for user in USERS:
        assert_equal(mails[user], shared.read(new, names[user]))
    assert len(connections(old)) - before == len(USERS)
