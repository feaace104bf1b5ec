"""One pass over a mailbox with one of everything, between real servers, read back by the independent reader."""
from func import shared
from func.case import assert_equal, login, site
from lab.corpus import Folder, Message, internaldate
from lab.imap import Client
from lab.varied import varied


def mail():
    return varied(1, big=2)


def copy(case, old, new, how=None, corpus=mail):
    """Copies a mailbox with that corpus; returns what was on the source before, and is there afterwards on both."""
    user, before = shared.filled(old, corpus)
    there = shared.user(new)
    case.pair(site(old, how), site(new, how), [login(user, target=there)])
    case.run("once").exits(0)
    return before, shared.read(old, user), shared.read(new, there)


def same(case, old, new, how=None, corpus=mail, **options):
    before, after, got = copy(case, old, new, how, corpus)
    assert sum(map(len, before.folders.values())) > 100 or corpus is not mail
    assert_equal(before, got, **options)
    assert before == after, "the source changed"


def test_everything_arrives_over_imaps(case):
    same(case, shared.old(), shared.new(), exact_zone=True, order=True)


def test_everything_arrives_over_starttls(case):
    same(case, shared.old(), shared.new(), "starttls")


def test_slashes_become_dots(case):
    same(case, shared.old(), shared.dovecot("dots", separator="."))


def test_dots_become_slashes(case):
    same(case, shared.dovecot("dots-old", separator="."), shared.new())


def test_a_prefix_is_added(case):
    same(case, shared.old(), shared.dovecot("prefix", separator=".", prefix="INBOX."))


def test_a_prefix_is_taken_away(case):
    same(case, shared.dovecot("prefix-old", separator=".", prefix="INBOX."), shared.new())


def test_maildir_to_mdbox(case):
    same(case, shared.old(), shared.dovecot("mdbox", format="mdbox"))


def test_the_instant_is_kept_when_the_server_prints_another_zone(case):
    new = shared.dovecot("kathmandu", tz="Asia/Kathmandu")
    before, _, got = copy(case, shared.old(), new)
    assert_equal(before, got)
    assert any(e.printed.endswith("+0545") for e in got.folders[("INBOX",)])


def without(case, *capabilities):
    name = "-".join(("without",) + capabilities).lower().replace("+", "").replace("=", "")
    new = shared.dovecot(name, capability_remove=capabilities)
    with Client.to(new, (user := shared.user(new)), shared.password(user)) as client:
        assert not any(client.has(c) for c in capabilities)
    same(case, shared.old(), new)


def test_a_target_without_LITERAL_plus(case):
    without(case, "LITERAL+")


def test_a_target_without_MULTIAPPEND(case):
    without(case, "MULTIAPPEND")


def test_a_target_without_UIDPLUS(case):
    without(case, "UIDPLUS")


def test_a_target_without_LIST_STATUS(case):
    without(case, "LIST-STATUS")


def test_a_target_without_NAMESPACE(case):
    without(case, "NAMESPACE")


def test_a_target_without_any_of_them(case):
    without(case, "LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE", "LIST-EXTENDED", "SPECIAL-USE")


def test_a_source_without_any_of_them(case):
    old = shared.dovecot("bare-old", capability_remove=("LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "NAMESPACE",
                                                        "LIST-EXTENDED", "SPECIAL-USE", "CONDSTORE", "QRESYNC", "ESEARCH"))
    same(case, old, shared.new())


def test_twins_stay_two(case):
    twin = Message(b"Subject: twin\r\nMessage-ID: <twin@example.org>\r\n\r\nBoth.\r\n", ("\\Seen",), internaldate(1500000000))

    def twins():
        return [Folder(("INBOX",), [twin, twin, twin]), Folder(("Twins",), [twin, twin])]

    before, _, got = copy(case, shared.old(), shared.new(), corpus=twins)
    assert_equal(before, got)
    assert [len(got.folders[path]) for path in (("INBOX",), ("Twins",))] == [3, 2]


def test_Recent_stays_for_the_users_own_program(case):
    """EXAMINE: what is new to the user is new afterwards."""
    old, new = shared.old(), shared.new()
    user = shared.user(old, new)
    with Client.to(old, user, shared.password(user)) as client:
        for _ in range(3):
            body = b"Subject: new\r\n\r\nfor the user\r\n"
            client.sock.sendall(b"X APPEND INBOX {%d+}\r\n%s\r\n" % (len(body), body))
            client.finish(b"X")
    case.pair(old, new, [login(user)])
    case.run("once").exits(0)
    with Client.to(old, user, shared.password(user)) as client:
        flags = [a for a in client.command(b"SELECT INBOX") if a[2:] == [b"RECENT"]]
        assert flags == [[b"*", b"3", b"RECENT"]], flags
        assert not any(b"\\Seen" in str(a).encode() for a in client.command(b"FETCH 1:* FLAGS"))


def test_a_difference_on_the_target_is_seen(case):
    """The whole chain: what proves the other tests would tell if a copy were not one."""
    user, before = shared.filled(shared.old(), mail)
    new = shared.new()
    there = shared.user(new)
    case.pair(shared.old(), new, [login(user, target=there)])
    case.run("once").exits(0)
    assert_equal(before, shared.read(new, there))
    with Client.to(new, there, shared.password(there)) as client:
        client.command(b'SELECT "Archive/2019"')
        client.command(b"STORE 1 +FLAGS (\\Draft)")
    try:
        assert_equal(before, shared.read(new, there))
    except AssertionError as error:
        assert "1 differences" in str(error) and "Archive › 2019" in str(error) and "\\Draft" in str(error), str(error)
    else:
        raise AssertionError("a flag that was set on the target was not seen")
