"""Logins of an administrator on behalf of the mailboxes' users."""
import base64

from func import fakes, shared
from func.case import assert_equal, assert_no, login, site
from lab import corpus, fill, reader
from lab.cyrus import Cyrus
from lab.fakeimapd import mailbox, refuse_login

SECRET = "mover's own secret"


def masters():
    return shared.dovecot("masters", masters={"mover": SECRET})


def admin(case, server, user="mover", password=SECRET, **keys):
    """The keys of a server where an administrator logs in."""
    file = case.write("admin-%d.secret" % len(list(case.folder.glob("*.secret"))), password + "\nnot this line\n")
    return site(server, admin_user=user, admin_password_file=file, **keys)


def lists(case, header, *rows):
    case.write_list("m.csv", rows, header)


def test_master_users_of_dovecot_on_both_sides(case):
    old, new = masters(), shared.dovecot("new-masters", masters={"boss": "boss's secret"})
    users = [shared.user(old, new) for _ in range(3)]
    for number, user in enumerate(users):
        fill.fill(old, user, shared.password(user), corpus.small(4 + number, seed=number))
    case.pair(admin(case, old), admin(case, new, "boss", "boss's secret"), [])
    lists(case, ("source_user", "target_user"), *zip(users, users))
    assert case.run("check").exits(0).out.count("ok") >= len(users)
    case.run("once").exits(0)
    for user in users:
        assert_equal(shared.read(old, user), shared.read(new, user))


def test_one_side_has_passwords(case):
    old, new = masters(), shared.new()
    user = shared.user(old)
    new.add_user("other-" + user, "quite another")
    fill.fill(old, user, shared.password(user), corpus.small(5))
    case.pair(admin(case, old), site(new), [])
    lists(case, ("target_password", "source_user", "target_user"), ("quite another", user, "other-" + user))
    case.run("once").exits(0)
    assert_equal(shared.read(old, user), reader.read(new, "other-" + user, "quite another"))


def test_exchange_lists(case):
    old, new = masters(), shared.new()
    user = shared.user(old, new)
    fill.fill(old, user, shared.password(user), corpus.small(5))
    case.pair(admin(case, old), site(new), [])
    lists(case, ("EmailAddress", "UserName", "Password"), (user, user, shared.password(user)))
    case.run("once").exits(0)
    assert_equal(shared.read(old, user), shared.read(new, user))
    case.pair(admin(case, old), admin(case, masters()), [])
    lists(case, ("EmailAddress", "UserName", "Password"), (user, user, "x"))
    assert "the column Password is of no use: the admin_user of server " in case.run("once").exits(65).err


def test_a_refused_admin_is_named(case):
    old, new = masters(), shared.new()
    user = shared.user(old, new)
    case.pair(admin(case, old, password="not " + SECRET), site(new), [], max_login_retries=1)
    lists(case, ("source_user", "target_user", "target_password"), (user, user, shared.password(user)))
    program = case.run("once", "--log-level", "debug").exits(1)
    assert program.lines(r'failed to log in to the source mailbox with the address "%s" after 1 attempt: NO \[AUTHENTICATIONFAILED\] '
                         r'Authentication failed. \(login of "mover" on behalf of "%s"\)' % (user, user)), program.err
    checked = case.run("check").exits(77)
    assert 'login of "mover" on behalf of "%s"' % user in checked.out, checked.out
    assert_no([program.err, program.out, checked.out, checked.err], SECRET)


def test_an_admin_that_may_not_act_for_others(case):
    old, new = masters(), shared.new()
    user, plain = shared.user(old, new), shared.user(old)
    case.pair(admin(case, old, plain, shared.password(plain)), site(new), [], max_login_retries=1)
    lists(case, ("source_user", "target_user", "target_password"), (user, user, shared.password(user)))
    program = case.run("once").exits(1)
    assert program.lines(r'log in to the source mailbox .*login of "%s" on behalf of "%s"' % (plain, user)), program.err


def test_words_that_give_the_secret_away_are_masked(case):
    message = base64.b64encode(b"ann\0mover\0" + SECRET.encode()).decode().rstrip("=")
    bad = case.serve(refuse_login("you said %s, that is %s" % (message, SECRET)))
    case.pair(admin(case, bad), site(case.serve(mailbox(fakes.box(1)))), [], max_login_retries=1)
    lists(case, ("source_user", "target_user", "target_password"), ("ann", "ann", "x"))
    program = case.run("once", "--log-level", "debug").exits(1)
    assert program.lines(r'NO you said \*\*\*, that is \*\*\* \(login of "mover" on behalf of "ann"\)'), program.err
    assert_no([program.err], SECRET)
    assert_no([program.err], message[:12])
    assert bad.commands("AUTHENTICATE PLAIN") and not bad.commands("LOGIN")


def test_a_server_without_plain(case):
    bad = case.serve(mailbox(fakes.box(1, mechanisms=("LOGIN",))))
    case.pair(admin(case, bad), site(case.serve(mailbox(fakes.box(1)))), [], max_login_retries=1)
    lists(case, ("source_user", "target_user", "target_password"), ("ann", "ann", "x"))
    assert case.run("once").exits(1).lines(r"offers no way to log in on behalf of others \(AUTH=PLAIN\)")
    assert not bad.commands("LOGIN") and not bad.commands("AUTHENTICATE")


def test_mistakes_in_the_configuration(case):
    old, new = masters(), shared.new()
    case.pair(site(old, admin_user="mover"), site(new), [login("ann")])
    assert "has admin_user without admin_password_file; write both, or none" in case.run("once").exits(78).err
    case.pair(site(old, admin_user="mover", admin_password_file=case.write("empty", "\nx\n")), site(new), [])
    lists(case, ("source_user", "target_user", "target_password"), ("ann", "ann", "x"))
    assert "empty: the first line is empty; it should be the password" in case.run("once").exits(78).err
    case.pair(admin(case, old), site(new), [login("ann")])
    assert "1: the column source_password is of no use: the admin_user of server \"old\"" in case.run("once").exits(65).err
    (case.folder / "admin-0.secret").chmod(0o644)
    case.pair(admin(case, old), site(new), [])
    lists(case, ("source_user", "target_user", "target_password"))
    assert not case.run("once").exits(0).lines("secret: holds passwords")
    case.pair(site(old, admin_user="mover", admin_password_file=case.folder / "admin-0.secret"), site(new), [])
    lists(case, ("source_user", "target_user", "target_password"))
    assert case.run("once").exits(0).lines("admin-0.secret: holds passwords and has the mode 0644")


def test_admins_and_proxies_of_cyrus(case):
    for number, (kind, by) in enumerate((("admins", "boss"), ("proxies", "mover"))):
        old = case.use(Cyrus(case.folder, kind, users={"ann": "one", "bob": "two"}, auth_failure_delay="0s", **{kind: {by: SECRET}}))
        new = shared.new()
        mails = {}
        for user, password in ("ann", "one"), ("bob", "two"):
            fill.fill(old, user, password, corpus.small(6, seed=10 * number + len(mails)))
            mails[user] = reader.read(old, user, password), "%s-%s" % (user, kind)
            new.add_user(mails[user][1], "x")
        case.state = case.folder / ("state-%d" % number)
        case.pair(admin(case, old, by), site(new), [])
        lists(case, ("source_user", "target_user", "target_password"), *((user, target, "x") for user, (_, target) in mails.items()))
        case.run("once").exits(0)
        for mail, target in mails.values():
            assert_equal(mail, reader.read(new, target, "x"))
        refused = case.write("wrong", "wrong\n")
        case.pair(site(old, admin_user=by, admin_password_file=refused), site(new), [], max_login_retries=1)
        lists(case, ("source_user", "target_user", "target_password"), ("ann", mails["ann"][1], "x"))
        assert case.run("once").exits(1).lines('login of "%s" on behalf of "ann"' % by)


def crowd(case, count, known, password=SECRET, **settings):
    """`count` users of one administrator at scripted servers; the source lets him in for those that are `known`."""
    from lab.fakebox import Session

    source, target = fakes.box(2, users={"mover": SECRET}), fakes.box()

    class Masters(Session):
        def let_in(self, user, given, behalf=""):
            if not known(behalf):
                return b"NO [AUTHENTICATIONFAILED] Authentication failed."
            return super().let_in(user, given, behalf)

    async def behave(connection):
        await Masters(connection, source).run()
    old, new = case.serve(behave), case.serve(mailbox(target))
    case.pair(admin(case, old, password=password), site(new), [], **settings)
    lists(case, ("source_user", "target_user", "target_password"), *(("u%02d" % n, "u%02d" % n, "x") for n in range(count)))
    return old, new


def test_a_wrong_password_of_an_admin_is_not_tried_for_each_user(case):
    """He, and the address, would be banned."""
    old, _ = crowd(case, 40, lambda user: True, "not " + SECRET, max_login_retries=4, login_retry_interval="300ms")
    program = case.run("once").exits(1)
    logins = len(old.commands("AUTHENTICATE"))
    # Two to begin with, and one for each interval.
    assert 2 <= logins <= 2 + 4, logins
    assert len(program.lines("its administrator cannot log in: NO .AUTHENTICATIONFAILED. ")) == 1, program.err
    assert case.ledger("SELECT state, count(*) FROM mailboxes GROUP BY state") == [("failed", 40)]
    checked = case.run("check").exits(77)
    assert len(old.commands("AUTHENTICATE")) == logins + 2
    assert checked.out.count('login of "mover" on behalf of') == 40, checked.out


def test_users_that_an_admin_cannot_act_for_stall_nobody(case):
    crowd(case, 40, lambda user: user >= "u10", login_retry_interval="1h")
    case.run("once", "--no-wait").exits(75)
    assert case.ledger("SELECT state, count(*) FROM mailboxes GROUP BY state ORDER BY state") == [("parked", 10), ("synced", 30)]
