"""Connections that serve one mailbox after the other (UNAUTHENTICATE), and servers that have trouble with it."""
from func import fakes
from func.case import assert_no, site
from lab.fakebox import Session

SECRET = "boss's own secret"
USERS = ["user%d" % n for n in range(6)]
OFFER = ("UNAUTHENTICATE",)


def serve(case, boxes, trouble=None, refuse=None):
    """A server with a box for each user. `trouble(session, when)` is awaited at "leave", "left", "enter", "entered", the last two only
    for logins that are not the first ones of their connection; what it returns at "leave" and "enter" is the answer.
    `refuse`: a user for whom nobody is let in."""
    async def nothing(_session, _when):
        return None

    class Again(Session):
        first = True

        async def command(self, line):
            await super().command(line)
            words = line.upper().split()
            if words[1] == b"UNAUTHENTICATE" and not self.user:
                self.first = False
                await (trouble or nothing)(self, "left")
            elif words[1] == b"AUTHENTICATE" and self.user and not self.first:
                await (trouble or nothing)(self, "entered")

        async def do_unauthenticate(self, words):
            return await (trouble or nothing)(self, "leave") or await super().do_unauthenticate(words)

        async def do_authenticate(self, words):
            answer = None if self.first else await (trouble or nothing)(self, "enter")
            return answer or await super().do_authenticate(words)

        def let_in(self, user, password, behalf=""):
            if behalf == refuse:
                self.c.note("turned away", user=behalf, again=not self.first)
                return b"NO [AUTHENTICATIONFAILED] no, %s; by the way" % password.encode()
            answer = super().let_in(user, password, behalf)
            if self.user:
                self.box = boxes[self.user]
            return answer

    async def behave(connection):
        await Again(connection, boxes[USERS[0]]).run()
    return case.serve(behave)


def boxes(**options):
    return {user: fakes.box(3 + n, **{"extra": OFFER, **options}) for n, user in enumerate(USERS)}


def migrate(case, old, new, old_keys=None, **settings):
    """One mailbox at a time from a server with an administrator."""
    secret = case.write("boss.secret", SECRET)
    case.pair(site(old, admin_user="boss", admin_password_file=secret, **(old_keys or {})), site(new), [],
              **{"max_mailboxes": 1, "max_login_retries": 3, "login_retry_interval": "20ms", **settings})
    case.write_list("m.csv", [(u, u, "x") for u in USERS], ("source_user", "target_user", "target_password"))


def target(case):
    made = {user: fakes.box() for user in USERS}
    return case.serve(fakes.by_user(made)), made


def compare(have, got, users=None):
    for user in users or USERS:
        assert fakes.digests(have[user]) == fakes.digests(got[user]), user


def logins(old):
    """The user names of each connection."""
    found = {}
    for event in old.events:
        if event["event"] == "login":
            found.setdefault(event["connection"], []).append(event["user"])
    return list(found.values())


def most_open(server):
    now = most = 0
    for event in server.events:
        now += {"open": 1, "closed": -1}.get(event["event"], 0)
        most = max(most, now)
    return most


def test_one_mailbox_after_the_other(case):
    have = boxes()
    old = serve(case, have)
    new, got = target(case)
    migrate(case, old, new)
    program = case.run("once", "--log-level", "debug").exits(0)
    compare(have, got)
    # The next mailbox logs in while the present one is copied: two connections, each for half of them.
    assert old.count == 2 and sorted(sum(logins(old), [])) == USERS, logins(old)
    assert len(old.commands("UNAUTHENTICATE")) == len(USERS) and old.commands("LOGOUT"), old.commands()
    assert_no([program.err], SECRET)
    assert len(program.lines(r"> g\d+ AUTHENTICATE PLAIN \*\*\*$")) == len(USERS) - 2, program.lines("AUTH")


def test_never_more_than_max_connections(case):
    have = boxes()
    old = serve(case, have)
    new, got = target(case)
    migrate(case, old, new, {"max_connections": 2}, max_mailboxes=4)
    case.run("once").exits(0)
    compare(have, got)
    assert old.count == most_open(old) == 2, old.events


def test_check_uses_them_again(case):
    have = boxes()
    old = serve(case, have)
    new, _got = target(case)
    migrate(case, old, new, {"max_connections": 2})
    case.run("check").exits(0)
    assert old.count <= 2 and sorted(sum(logins(old), [])) == USERS, logins(old)


def test_without_initial_responses(case):
    have = boxes(without=("SASL-IR",))
    old = serve(case, have)
    new, got = target(case)
    migrate(case, old, new)
    program = case.run("once", "--log-level", "debug").exits(0)
    compare(have, got)
    assert old.count == 2 and old.commands("AUTHENTICATE PLAIN") == [x for x in old.commands("AUTHENTICATE") if x.endswith("PLAIN")]
    assert_no([program.err], SECRET)


def test_not_for_users_with_passwords_of_their_own(case):
    have = boxes()
    old = serve(case, have)
    new, got = target(case)
    case.pair(site(old), site(new), [(u, "x", u, "x") for u in USERS], max_mailboxes=1)
    case.run("once").exits(0)
    compare(have, got)
    assert old.count == len(USERS) and not old.commands("UNAUTHENTICATE")


def test_not_where_it_is_not_offered(case):
    have = boxes(extra=())
    old = serve(case, have)
    new, got = target(case)
    migrate(case, old, new)
    case.run("once").exits(0)
    compare(have, got)
    assert old.count == len(USERS) and not old.commands("UNAUTHENTICATE")


def test_a_source_whose_target_refuses_is_used_again(case):
    have = boxes()
    old = serve(case, have)
    made = {user: fakes.box(users={u: "x" for u in USERS if u != USERS[1]}) for user in USERS}
    new = case.serve(fakes.by_user(made))
    migrate(case, old, new)
    case.run("once").exits(1)
    compare(have, made, [u for u in USERS if u != USERS[1]])
    assert old.count <= 3, logins(old)


# --- trouble ----------------------------------------------------------------------------------------------------------------

def run_with(case, trouble, code=0, **settings):
    """All mail arrives in spite of the trouble, and no attempt is counted (unless the exit code says so)."""
    have = boxes()
    old = serve(case, have, trouble)
    new, got = target(case)
    migrate(case, old, new, **settings)
    program = case.run("once", "--log-level", "debug").exits(code)
    if code == 0:
        compare(have, got)
        assert not program.lines("attempt:|failed to log in"), program.err
    assert_no([program.err], SECRET)
    return old, program, have, got


def test_refuses_to_unauthenticate(case):
    async def trouble(_session, when):
        return b"NO not today" if when == "leave" else None
    old, program, *_ = run_with(case, trouble)
    assert old.count == len(USERS) and 1 <= len(old.commands("UNAUTHENTICATE")) <= 2, old.commands("UNAUTHENTICATE")
    assert len(program.lines("no connection is kept any more")) == 1


def test_dies_when_nobody_is_logged_in(case):
    async def trouble(session, when):
        if when == "left":
            await session.c.cut()
    old, *_ = run_with(case, trouble)
    assert old.count == len(USERS) and len(old.commands("UNAUTHENTICATE")) == len(USERS)


def test_dies_at_unauthenticate(case):
    async def trouble(session, when):
        if when == "leave":
            await session.c.reset()
    run_with(case, trouble)


def test_dies_at_the_next_login(case):
    async def trouble(session, when):
        if when == "enter":
            await session.c.reset()
    old, *_ = run_with(case, trouble)
    assert old.count > 2


def test_says_goodbye_at_the_next_login(case):
    async def trouble(session, when):
        if when == "enter":
            await session.c.send(b"* BYE enough for today\r\n")
            await session.c.cut()
    run_with(case, trouble)


def test_goodbye_with_the_answer_to_unauthenticate(case):
    async def trouble(session, when):
        if when == "leave":
            await session.c.send(b"* BYE enough for today\r\n")
    run_with(case, trouble)


def test_does_not_answer_the_next_login(case):
    async def trouble(session, when):
        if when == "enter":
            await session.c.stall()
    old, *_ = run_with(case, trouble, login_timeout="300ms")
    assert old.count > 2


def test_does_not_answer_unauthenticate(case):
    async def trouble(session, when):
        if when == "leave":
            await session.c.stall()
    run_with(case, trouble, login_timeout="300ms")


def test_does_not_understand_the_next_login(case):
    async def trouble(_session, when):
        return b"BAD already authenticated" if when == "enter" else None
    old, *_ = run_with(case, trouble)
    assert len(old.commands("UNAUTHENTICATE")) <= 3, old.commands("UNAUTHENTICATE")


def test_answers_that_are_left_over(case):
    async def trouble(session, when):
        if when == "leave":
            await session.c.send(b"* 7 EXISTS\r\n* 3 EXPUNGE\r\n* OK by the way\r\n")
    old, *_ = run_with(case, trouble)
    assert old.count == 2


def test_tells_of_folders_when_nobody_is_logged_in(case):
    async def trouble(session, when):
        if when == "left":
            await session.c.send(b"* 7 EXISTS\r\n")
    old, *_ = run_with(case, trouble)
    assert old.count >= len(USERS) - 1 and len(old.commands("UNAUTHENTICATE")) <= 3


def test_a_body_when_nobody_is_logged_in(case):
    async def trouble(session, when):
        if when == "left":
            await session.c.send(b"* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n")
    old, *_ = run_with(case, trouble)
    assert old.count >= len(USERS) - 1


def test_small_talk_between_two_users(case):
    async def trouble(session, when):
        if when in ("left", "entered"):
            await session.c.send(b"* OK [ALERT] the weather is fine\r\n* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UNAUTHENTICATE\r\n")
    old, *_ = run_with(case, trouble)
    assert old.count == 2, logins(old)


def test_a_login_that_is_refused_over_an_open_connection(case):
    """Counted, parked and told as over a new one, in the same words."""
    said = []
    for offer in OFFER, ():
        have = boxes(extra=offer)
        old = serve(case, have, refuse=USERS[3])
        new, got = target(case)
        case.state = case.folder / ("state-%d" % len(said))
        migrate(case, old, new)
        program = case.run("once").exits(1)
        compare(have, got, [u for u in USERS if u != USERS[3]])
        said.append(program.lines("log in"))
        assert len([e for e in old.events if e["event"] == "turned away"]) == 3
        assert not offer or any(e["again"] for e in old.events if e["event"] == "turned away")
    assert said[0] == said[1] == [
        'godwit: warning: m/user3: source: cannot log in as "user3" after 1 attempt: NO [AUTHENTICATIONFAILED] no, ***; by the way '
        '(login of "boss" on behalf of "user3"); will try every 20 ms for another 2 attempts before reporting failure',
        'godwit: error: m/user3: failed to log in to the source mailbox with the address "user3" after 3 attempts: '
        'NO [AUTHENTICATIONFAILED] no, ***; by the way (login of "boss" on behalf of "user3")'], said
