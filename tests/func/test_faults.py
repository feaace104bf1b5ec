"""Servers that stop answering, break off, lie and talk nonsense in the middle of the work."""
from func import fakes
from func.case import login, site
from lab.fakeimapd import mailbox, per_connection, script

MEGABYTE = 1 << 20


def both(case, source, target, rows=None, **settings):
    """Serves two boxes and configures one migration."""
    old, new = (s if hasattr(s, "events") else case.serve(mailbox(s)) for s in (source, target))
    settings = {"login_retry_interval": "100ms", "max_login_retries": 3, **settings}
    case.pair(old, new, rows or [login("ann")], **settings)
    return old, new


def appended(server):
    return sorted(e["sha256"] for e in server.events if e["event"] == "appended")


def test_a_source_that_stops_in_the_middle_of_a_message(case):
    """Its mailbox waits for its next attempt; the others go on."""
    bad, good = fakes.box(3), {"g%d" % i: fakes.box(3) for i in range(3)}
    bad.folder("INBOX").messages[1].stall_at = 1000
    targets = {name: fakes.box() for name in ("bad", *good)}
    old = case.serve(fakes.by_user({"bad": bad, **good}))
    new = case.serve(fakes.by_user(targets))
    both(case, old, new, [login(name) for name in targets], command_timeout="500ms", max_login_retries=2, max_mailboxes=4,
         login_retry_interval="1h")
    program = case.start("once")
    program.wait_for("m/bad: .*(no answer|timed out|timeout|nothing)")
    for name in good:
        assert fakes.digests(targets[name]) == fakes.digests(good[name])
    bad.folder("INBOX").messages[1].stall_at = None
    program.terminate().wait()
    assert program.code in (75, 1)
    assert not [e for e in new.events if e["event"] == "torn"], "a message was begun that could not be finished"
    case.run("once", "--no-wait")


def test_a_stalled_source_goes_on_when_it_answers_again(case):
    source, target = fakes.box(6), fakes.box()
    source.folder("INBOX").messages[3].stall_at = 1000
    source.folder("INBOX").messages[3].times = 1
    both(case, source, target, command_timeout="500ms")
    program = case.run("once").exits(0)
    assert program.lines("m/ann: ")
    assert fakes.digests(source) == fakes.digests(target)


def test_a_target_that_stops_answering(case):
    def hook(name, number, _line):
        return ("stall",) if name == "APPEND" and number == 1 else None

    source, target = fakes.box(6), fakes.box(hook=hook)
    both(case, source, target, command_timeout="500ms")
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target)


def test_a_message_that_is_cut_off_never_arrives_in_pieces(case):
    """The connection is closed rather than the literal filled up; the next attempt brings it whole."""
    source, target = fakes.box(), fakes.box()
    big = source.folder("INBOX").add(size=5 * MEGABYTE, cut_at=3 * MEGABYTE, times=1)
    source.folder("INBOX").add(size=3000)
    _, new = both(case, source, target)
    program = case.run("once").exits(0)
    torn = [e for e in new.events if e["event"] == "torn"]
    assert len(torn) == 1 and torn[0]["size"] == 5 * MEGABYTE and torn[0]["missing"] >= 2 * MEGABYTE, torn
    assert appended(new) == fakes.digests(source) == fakes.digests(target)
    assert big.failed == 1 and program.lines("warning: m/ann: source: .*(closed|lost)")


def test_a_small_message_that_is_cut_off_costs_the_target_nothing(case):
    source, target = fakes.box(5), fakes.box()
    cut = source.folder("INBOX").messages[2]
    cut.cut_at, cut.times = 2999, 1
    _, new = both(case, source, target)
    case.run("once").exits(0)
    assert not [e for e in new.events if e["event"] == "torn"]
    assert appended(new) == fakes.digests(source)
    assert cut.failed == 1


def test_a_message_that_is_reset_every_time(case):
    """What never comes whole is not stored, and not forgotten: the exit code tells."""
    source, target = fakes.box(3), fakes.box()
    source.folder("INBOX").messages[1].reset_at = 500
    _, new = both(case, source, target)
    program = case.start("once")
    program.wait_for("m/ann: ")
    code = program.wait().code
    assert code in (1, 75), code
    good = [m.sha256() for m in source.folder("INBOX").messages if m.reset_at is None]
    assert set(appended(new)) <= set(good) and len(appended(new)) == len(set(appended(new)))


def test_a_literal_that_announces_too_much(case):
    """The source says more bytes than it sends: the answer's rest would be taken for mail."""
    source, target = fakes.box(3), fakes.box()
    lying = source.folder("INBOX").messages[1]
    lying.literal_size = lying.size + 100
    _, new = both(case, source, target, command_timeout="500ms", max_login_retries=2)
    program = case.run("once")
    assert program.code in (1, 75), program.code
    true = fakes.digests(source)
    assert all(d in true for d in appended(new)), "a message with the server's own words in it was stored"


def test_a_size_that_lies_does_not_matter(case):
    source, target = fakes.box(), fakes.box()
    for lie in (0, 1, 2999, 3001, 10 * MEGABYTE, 4294967295):
        source.folder("INBOX").add(size=3000, announced_size=lie)
    _, new = both(case, source, target)
    case.run("once").exits(0)
    assert appended(new) == fakes.digests(source) == fakes.digests(target)


def parting(case, side, command, number=1):
    """BYE in the middle of a command, once."""
    done = []

    async def behave(connection):
        from lab.fakebox import Session

        class Leaving(Session):
            async def command(self, line):
                if command in line and not done:
                    done.append(1)
                    await self.c.send(b"* BYE [UNAVAILABLE] The house is closing.\r\n")
                    await self.c.cut()
                await super().command(line)
        await Leaving(connection, boxes[side]).run()

    boxes = {"source": fakes.box(20), "target": fakes.box()}
    servers = {name: case.serve(behave if name == side else mailbox(box)) for name, box in boxes.items()}
    both(case, servers["source"], servers["target"])
    program = case.run("once").exits(0)
    assert done and program.lines("m/ann: .*The house is closing"), program.err
    assert fakes.digests(boxes["source"]) == fakes.digests(boxes["target"])


def test_the_source_says_BYE_to_a_FETCH(case):
    parting(case, "source", b"FETCH")


def test_the_source_says_BYE_to_an_EXAMINE(case):
    parting(case, "source", b"EXAMINE")


def test_the_source_says_BYE_to_a_LIST(case):
    parting(case, "source", b" LIST ")


def test_the_target_says_BYE_to_an_APPEND(case):
    parting(case, "target", b" APPEND ")


def test_the_target_says_BYE_to_a_LIST(case):
    parting(case, "target", b" LIST ")


GARBAGE = {
    "binary": bytes(range(256)) * 8,
    "no_end": b"* " + b"x" * 3_000_000,
    "brackets": b"* LIST " + b"(" * 100_000 + b"\r\n",
    "a_literal_of_four_gigabytes": b"* LIST () \"/\" {4294967295}\r\nabc\r\n",
    "a_literal_beyond_all": b"* 1 FETCH (UID 1 BODY[] {99999999999999999999999}\r\nabc\r\n",
    "tags_of_nobody": b"zzz1 OK really\r\n" * 10,
    "numbers": b"* 99999999999999999999 EXISTS\r\n* -1 EXISTS\r\n* 0 FETCH (UID 0)\r\n",
    "a_plus": b"+ go on\r\n" * 100,
    "nul": b"* OK \0\0\0\r\n\0\r\n",
}


def nonsense(case, side, text, command):
    """In place of the answer to a command, once."""
    done = []

    async def behave(connection):
        from lab.fakebox import Session

        class Raving(Session):
            async def command(self, line):
                if command in line and not done:
                    done.append(1)
                    await self.c.send(text)
                    await self.c.cut()
                await super().command(line)
        await Raving(connection, boxes[side]).run()

    boxes = {"source": fakes.box(10), "target": fakes.box()}
    servers = {name: case.serve(behave if name == side else mailbox(box)) for name, box in boxes.items()}
    both(case, servers["source"], servers["target"], command_timeout="2s", login_retry_interval="20ms")
    program = case.run("once").exits(0)
    assert done and program.lines("warning: m/ann: "), "nothing was said of it"
    assert fakes.digests(boxes["source"]) == fakes.digests(boxes["target"])


def garbage(case, side, command):
    for name, text in GARBAGE.items():
        try:
            nonsense(case, side, text, command)
        except AssertionError as error:
            raise AssertionError("%s: %s" % (name, error)) from error
        case.forget()


def test_garbage_from_the_source_in_the_survey(case):
    garbage(case, "source", b" LIST ")


def test_garbage_from_the_source_in_a_FETCH(case):
    garbage(case, "source", b"FETCH")


def test_garbage_from_the_target_in_the_survey(case):
    garbage(case, "target", b" LIST ")


def test_garbage_from_the_target_in_an_APPEND(case):
    garbage(case, "target", b" APPEND ")


def test_garbage_for_a_greeting(case):
    server = case.serve(script([("send", b"SSH-2.0-OpenSSH_9.2\r\n"), ("stall",)]))
    case.pair(case.serve(mailbox(fakes.box(1))), server, [login("ann")], max_login_retries=1, login_timeout="2s")
    program = case.run("once").exits(1)
    assert program.lines("failed to log in to the target .*SSH-2.0"), program.err


def test_an_endless_greeting(case):
    server = case.serve(script([("trickle", b"* OK " + b"x" * 4_000_000, 65536, 0.001), ("stall",)]))
    case.pair(case.serve(mailbox(fakes.box(1))), server, [login("ann")], max_login_retries=1, login_timeout="2s")
    case.run("once").exits(1)


def test_the_server_is_gone_for_a_while(case):
    from lab.fakeimapd import accept_then_cut
    source, target = fakes.box(5), fakes.box()
    new = case.serve(per_connection([accept_then_cut, accept_then_cut], mailbox(target)))
    both(case, source, new)
    program = case.run("once").exits(0)
    assert program.lines("after 1 attempt: .*closed the connection")
    assert fakes.digests(source) == fakes.digests(target)


def test_a_late_answer_is_not_a_second_copy(case):
    """The target has stored what it was given, but the connection ends before it says so."""
    done = []

    async def behave(connection):
        from lab.fakebox import Session

        class Mute(Session):
            async def append(self, tag, rest):
                if done:
                    await super().append(tag, rest)
                    return
                done.append(1)
                send, self.c.send = self.c.send, silent
                try:
                    await super().append(tag, rest)
                finally:
                    self.c.send = send
                await self.c.cut()

        async def silent(_data):
            pass
        await Mute(connection, target).run()

    for without in ((), ("UIDPLUS",), ("MULTIAPPEND",)):
        done.clear()
        source, target = fakes.box(12), fakes.box(without=without)
        twin = b"Subject: twin\r\nMessage-ID: <twin@example.org>\r\n\r\nBoth.\r\n"
        for _ in range(2):
            source.folder("INBOX").add(body=twin)
        both(case, source, case.serve(behave))
        case.run("once").exits(0)
        assert done and fakes.digests(source) == fakes.digests(target)
        case.forget()


def test_folders_that_the_source_does_not_open(case):
    def hook(name, _number, line):
        return ("answer", b"NO [NOPERM] not for you") if name == "EXAMINE" and "Secret" in line else None

    source, target = fakes.box(3, hook=hook), fakes.box()
    source.folder("Secret").add(size=500)
    source.folder("Open").add(size=500)
    both(case, source, target)
    program = case.run("once").exits(1)
    assert len(program.lines('m/ann: folder "Secret": the folder is left out: .*not for you')) == 1
    assert fakes.digests(source) == fakes.digests(target)
    assert fakes.digests(source, "Open") == fakes.digests(target, "Open")


def test_messages_that_come_while_the_pass_runs_are_for_the_next(case):
    def hook(name, number, _line):
        if name == "APPEND" and number == 1:
            source.folder("INBOX").add(size=4000)

    source, target = fakes.box(5), fakes.box(hook=hook)
    both(case, source, target)
    case.run("once").exits(0)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target) and len(source.digests()) == 6


def test_messages_that_go_while_the_pass_runs_are_no_loss(case):
    def hook(name, number, _line):
        if name == "UID FETCH" and number == 1:
            del source.folder("INBOX").messages[2:4]

    source, target = fakes.box(6, hook=hook), fakes.box()
    both(case, source, target)
    case.run("once").exits(0)
    assert fakes.digests(source) == fakes.digests(target) and len(target.digests()) == 4


def test_a_changed_UIDVALIDITY_is_looked_at_anew(case):
    source, target = fakes.box(6), fakes.box()
    _, new = both(case, source, target)
    case.run("once").exits(0)
    folder = source.folder("INBOX")
    folder.uidvalidity += 7
    for uid, message in enumerate(folder.messages, 101):
        message.body, message.uid = b"".join(message.chunks()), uid
    folder.uidnext = 200
    folder.add(size=3500)
    program = case.run("once").exits(0)
    assert program.lines('folder "INBOX": .*UIDVALIDITY changed')
    assert fakes.digests(source) == fakes.digests(target) and len(appended(new)) == 7
    target.folder("INBOX").uidvalidity += 7
    case.run("once").exits(0)
    assert len(appended(new)) == 7


def test_one_site_in_both_roles(case):
    """The same server on both sides, with no more connections than are allowed."""
    boxes = {"from": fakes.box(5), "to": fakes.box()}
    server = case.serve(fakes.by_user(boxes))
    tap = case.tap(server.port)
    case.configure({"one": site(server, port=tap.port, max_connections=2)}, {"m": ("one", "one", [login("from", target="to")])})
    case.run("once").exits(0)
    assert fakes.digests(boxes["from"]) == fakes.digests(boxes["to"]) and tap.peak == 2
