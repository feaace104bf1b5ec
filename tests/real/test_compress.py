"""Copies over connections that are compressed (COMPRESS=DEFLATE), read back by the independent reader."""
from func import fakes, shared
from func.case import assert_equal, login, site
from lab import corpus
from lab.proxy import Proxy

from real.test_copies import mail

ON = r"debug: %s: %s: compressed from here on"


def text():
    """What compresses well: small messages, and one of 3 MB."""
    return corpus.small(300, seed=7) + [corpus.Folder(("Large",), [
        corpus.Message(corpus.Writer("large text").headers(1500000000) + corpus.Writer("large text").text(3 << 20))])]


def some():
    return corpus.realistic(160, seed=6, folders=4)


def pair():
    return tuple(shared.dovecot("compress-" + name, compress=True) for name in ("old", "new"))


def compressed(program):
    for side, name in (("source", "old"), ("target", "new")):
        assert program.lines(ON % (side, name)), "the %s was not compressed" % side
    return program


def test_one_of_everything_arrives_over_compressed_connections(case):
    old, new = pair()
    user, before = shared.filled(old, mail)
    there = shared.user(new)
    case.pair(site(old, compress="on"), site(new, compress="on"), [login(user, target=there)])
    compressed(case.run("once", "--log-level", "debug")).exits(0)
    assert_equal(before, shared.read(new, there), exact_zone=True, order=True)
    assert before == shared.read(old, user), "the source changed"


def test_fewer_bytes_travel(case):
    old, new = (shared.dovecot("compress-plain-" + name, compress=True, tls="none") for name in ("old", "new"))
    user, before = shared.filled(old, text)
    there = shared.user(new)
    size = sum(e.size for entries in before.folders.values() for e in entries)
    taps = case.tap(old.imap_port), case.tap(new.imap_port)
    case.pair(site(old, port=taps[0].port, compress="on"), site(new, port=taps[1].port, compress="on"), [login(user, target=there)])
    compressed(case.run("once", "--log-level", "debug")).exits(0)
    assert_equal(before, shared.read(new, there))
    assert taps[0].down < size / 2 and taps[1].up < size / 2, (size, taps[0].down, taps[1].up)


def test_one_side_alone(case):
    old, new = pair()
    user, before = shared.filled(old, text)
    there = shared.user(new)
    case.pair(site(old), site(new, compress="on"), [login(user, target=there)])
    program = case.run("once", "--log-level", "debug").exits(0)
    assert program.lines(ON % ("target", "new")) and not program.lines(ON % ("source", "old"))
    assert_equal(before, shared.read(new, there))


def test_a_server_without_it_is_no_failure(case):
    old, new = (shared.dovecot("bare-" + n, capability_remove=("COMPRESS=DEFLATE",)) for n in ("old", "new"))
    user, before = shared.filled(old, text)
    there = shared.user(new)
    case.pair(site(old, compress="on"), site(new, compress="on"), [login(user, target=there)])
    program = case.run("once", "--log-level", "debug").exits(0)
    assert program.lines("debug: target: new: the server does not offer COMPRESS=DEFLATE")
    assert_equal(before, shared.read(new, there))


def cut(case, side, direction):
    """The connections of one side break, three times, in the middle of what is compressed."""
    servers = pair()
    old, new = servers
    user, before = shared.filled(old, some)
    there = shared.user(new)
    size = sum(e.size for entries in before.folders.values() for e in entries)
    proxy = case.use(Proxy([(servers[side].host, servers[side].imaps_port)], cut=(direction, size // 8), times=3,
                           stats=str(case.folder / "stats")))
    ports = [proxy.ports[0] if i == side else None for i in range(2)]
    case.pair(site(old, port=ports[0], compress="on"), site(new, port=ports[1], compress="on"), [login(user, target=there)],
              login_retry_interval="100ms")
    program = compressed(case.run("once", "--log-level", "debug")).exits(0)
    assert program.lines("warning: m/%s: %s: the connection was lost" % (there, ("source", "target")[side]))
    assert len(proxy.read_stats()) >= 3
    assert_equal(before, shared.read(new, there))


def test_a_target_that_breaks_off(case):
    cut(case, 1, "up")


def test_a_source_that_breaks_off(case):
    cut(case, 0, "down")


def letters():
    """30 MB of text."""
    writer = corpus.Writer("letters")
    return [corpus.Folder((name,), [corpus.Message(writer.message(12000, 1500000000 + i), (), corpus.internaldate(1500000000 + i))
                                    for i in range(500)]) for name in ("INBOX", "Second", "Third", "Fourth", "Fifth")]


def test_a_slow_line_is_found_and_the_copy_goes_on_compressed(case):
    """Without a word in the configuration. The source alone is behind a slow line; what is not copied then comes without it."""
    old, new = (shared.dovecot("compress-plain-" + name, compress=True, tls="none") for name in ("old", "new"))
    user, before = shared.filled(old, letters)
    there = shared.user(new)
    line = case.use(Proxy([(old.host, old.imap_port)], rate=600_000))
    case.pair(site(old, port=line.ports[0]), site(new), [login(user, target=there)])
    program = case.start("once", "--log-level", "debug")
    program.wait_for(r"godwit: source: old: the line is the brake \(0\.[3-6]\d MB/s\); compressing")
    program.wait_for(ON % ("source", "old"))
    assert not program.lines(ON % ("target", "new"))
    program.terminate().wait()
    case.pair(old, new, [login(user, target=there)])
    case.run("once").exits(0)
    assert_equal(before, shared.read(new, there))


def test_loopback_is_no_slow_line(case):
    old, new = (shared.dovecot("compress-plain-" + name, compress=True, tls="none") for name in ("old", "new"))
    user, before = shared.filled(old, letters)
    there = shared.user(new)
    case.pair(old, new, [login(user, target=there)])
    program = case.run("once", "--log-level", "debug").exits(0)
    assert not program.lines("COMPRESS DEFLATE") and not program.lines("brake")
    assert_equal(before, shared.read(new, there))


def test_a_slow_server_is_no_slow_line(case):
    """As slow as the line of the other test, but message by message; long enough to be found out, were it one."""
    source = fakes.box(extra=("COMPRESS=DEFLATE",), trickle=(60000, 0.04))
    for _ in range(40):
        source.folder("INBOX").add(size=59000)
    target = fakes.box(extra=("COMPRESS=DEFLATE",))
    old, new = case.serve(fakes.mailbox(source)), case.serve(fakes.mailbox(target))
    case.pair(old, new, [login("ann")])
    program = case.run("once", "--log-level", "debug").exits(0)
    assert not new.commands("COMPRESS") and not old.commands("COMPRESS") and not program.lines("brake")
    assert fakes.digests(source) == fakes.digests(target)


def scripted(case, answer):
    """A target that answers COMPRESS in its own way, the first time."""
    def hook(name, number, _line):
        return ("answer", answer) if name == "COMPRESS" and number == 1 else None

    source, target = fakes.box(20), fakes.box(hook=hook, extra=("COMPRESS=DEFLATE",))
    old, new = case.serve(fakes.mailbox(source)), case.serve(fakes.mailbox(target))
    case.pair(old, site(new, compress="on"), [login("ann")], login_retry_interval="100ms")
    program = case.run("once", "--log-level", "debug").exits(0)
    assert fakes.digests(source) == fakes.digests(target)
    return program, new


def test_a_refusal_is_no_failure(case):
    program, new = scripted(case, b"NO [COMPRESSIONACTIVE] TLS does that")
    assert program.lines("debug: target: new: the server does not compress: TLS does that")
    assert len(new.commands("COMPRESS")) == 1 and new.count == 1


def test_garbage_behind_the_OK_is_a_broken_connection(case):
    """The next attempt is refused (the server does not know the command then), and brings everything."""
    program, new = scripted(case, b"OK go\r\n* OK still here")
    lines = program.lines("warning: m/ann: target: .*said that it compresses")
    assert len(lines) == 1, lines
    assert len(new.commands("COMPRESS")) == 2 and new.count == 2


def test_what_does_not_bear_compression_is_asked_for_it_once(case):
    """Something between here and the server lets COMPRESS through, but not what follows. What was found out is remembered: the next attempt brings everything."""
    def hook(name, _number, _line):
        return ("answer", b"OK go\r\n* OK still plain") if name == "COMPRESS" else None

    source, target = fakes.box(hook=hook, extra=("COMPRESS=DEFLATE",)), fakes.box(keep=0)
    for _ in range(80):
        source.folder("INBOX").add(size=59000)
    old, new = case.serve(fakes.mailbox(source)), case.serve(fakes.mailbox(target))
    line = case.use(Proxy([("127.0.0.1", old.port)], rate=600_000))
    case.pair(site(old, port=line.ports[0]), new, [login("ann")], login_retry_interval="100ms")
    program = case.run("once", "--log-level", "debug").exits(0)
    assert program.lines("the line is the brake") and len(old.commands("COMPRESS")) == 1, old.commands("COMPRESS")
    assert fakes.digests(source) == fakes.digests(target)
