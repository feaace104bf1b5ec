"""Folders between real servers with other delimiters, prefixes and names; what plan says is what the independent reader finds afterwards."""
import json
import zlib

from func import shared
from func.case import login
from lab import corpus, fill, reader
from lab.cyrus import Cyrus


def message(words):
    number = zlib.crc32(words.encode())
    return corpus.Message(b"Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody\r\n" % (number, number))


def folder(*path):
    return corpus.Folder(path, [message("/".join(path) + " %d" % i) for i in range(2)])


SOURCE = ("INBOX",), ("Gesendete Elemente",), ("Papierkorb",), ("Papierkorb", "alt"), ("Projekte", "Größe"), ("Old", "Name"), ("Spam",), ("A", "b", "c")
RIGHT = {("INBOX",): ("INBOX",), ("Gesendete Elemente",): ("Sent",), ("Papierkorb",): ("Trash",), ("Papierkorb", "alt"): ("Trash", "alt"),
         ("Projekte", "Größe"): ("Projekte", "Größe"), ("Old", "Name"): ("New", "Name"), ("A", "b", "c"): ("A", "b", "c")}


def goes(case, old, user, new, there, password, more=()):
    """`more`: folders of the source besides, and where they go."""
    more = dict(more)
    fill.fill(old, user[0], user[1], [folder(*path) for path in (*SOURCE, *more)])
    fill.fill(new, there, password, [corpus.Folder(("Sent",), []), corpus.Folder(("Trash",), [])])
    case.pair(old, new, [login(user[0], user[1], there, password)])
    text = case.config.read_text()
    case.config.write_text(text[:text.rindex("}")] + '    exclude = { "\\\\Junk" }\n    map = { "/Old/(.*)/ => New/\\\\1" }\n}\n')
    right = {**RIGHT, **more}
    [found] = json.loads(case.run("plan", "-c", str(case.config), "--json").exits(0).out)["mailboxes"]
    planned = {f["folder"]: f["target_folder"] for f in found["folders"]}
    path = lambda levels: "/".join(levels)  # noqa: E731
    expected = {**{path(k): path(v) for k, v in right.items()}, "Spam": None}
    assert {k: planned[k] for k in expected} == expected, planned  # Cyrus has folders on the way to deep ones, too
    before = reader.read(old, *user)
    for _ in range(2):
        case.run("once").exits(0)
        got = reader.read(new, there, password)
        assert {v: sorted(e.digest for e in got.folders[v]) for v in right.values()} == \
            {v: sorted(e.digest for e in before.folders[k]) for k, v in right.items()}, sorted(got.folders)
        assert sum(map(len, got.folders.values())) == 2 * len(right), sorted(got.folders)
    assert case.run("verify", "-c", str(case.config)).exits(0).out.startswith("m/%s: equal" % there)


def between_dovecots(case, old, new, more=()):
    user, there = shared.user(old), shared.user(new)
    goes(case, old, (user, shared.password(user)), new, there, shared.password(there), more)


def test_slashes(case):
    between_dovecots(case, shared.old(), shared.new(), {("v1.2",): ("v1.2",), ("50% off",): ("50% off",)})


def test_slashes_to_dots(case):
    between_dovecots(case, shared.old(), shared.dovecot("dots", separator="."), {("v1.2",): ("v1_2",), ("v1.2", "x.y"): ("v1_2", "x_y")})


def test_dots_to_slashes(case):
    between_dovecots(case, shared.dovecot("dots-old", separator="."), shared.new())


def test_slashes_to_a_prefix(case):
    between_dovecots(case, shared.old(), shared.dovecot("prefix", separator=".", prefix="INBOX."), {("v1.2",): ("v1_2",)})


def test_a_prefix_to_slashes(case):
    between_dovecots(case, shared.dovecot("prefix-old", separator=".", prefix="INBOX."), shared.new())


def cyrus(case, separator, alternate):
    return case.use(Cyrus(case.folder, "cyrus", separator=separator, alternate=alternate, users={"ann": "x"}, auth_failure_delay="0s"))


def test_to_cyrus(case):
    old = shared.old()
    user = shared.user(old)
    goes(case, old, (user, shared.password(user)), cyrus(case, ".", False), "ann", "x")


def test_to_cyrus_with_slashes(case):
    old = shared.old()
    user = shared.user(old)
    goes(case, old, (user, shared.password(user)), cyrus(case, "/", True), "ann", "x", {("v1.2",): ("v1.2",)})


def test_from_cyrus(case):
    new = shared.dovecot("prefix", separator=".", prefix="INBOX.")
    there = shared.user(new)
    goes(case, cyrus(case, "/", False), ("ann", "x"), new, there, shared.password(there), {("v1.2",): ("v1_2",)})
