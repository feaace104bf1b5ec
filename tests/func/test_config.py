"""What is wrong with the configuration or a list is told with its place, before anything is touched."""
from func import fakes
from func.case import login, site
from lab.fakeimapd import mailbox

GOOD = """state = "state"
server "old" {
    url = "imap://127.0.0.1:%d"
    allow_plaintext = true
}
server "new" {
    url = "imap://127.0.0.1:%d"
    allow_plaintext = true
}
migration "m" {
    source = "old"
    target = "new"
    mailboxes = "list.csv"
}
"""
LIST = "source_user,source_password,target_user,target_password\nann,a,ann,b\n"


class Servers:
    def __init__(self, case):
        self.case = case
        self.both = [case.serve(mailbox(fakes.box(count))) for count in (1, 0)]
        self.good = GOOD % tuple(s.port for s in self.both)

    def refused(self, code, place, *words, conf=None, rows=LIST, command="once"):
        self.case.write("godwit.conf", conf if conf is not None else self.good)
        if rows is None:
            (self.case.folder / "list.csv").unlink(missing_ok=True)
        else:
            self.case.write("list.csv", rows)
        program = self.case.run(command).exits(code)
        assert "%s/%s" % (self.case.folder, place) in program.err, (place, program.err)
        for word in words:
            assert word in program.err, (word, program.err)
        assert program.out == "" and not self.case.state.exists()
        assert sum(s.count for s in self.both) == 0, "it connected all the same"
        return program


def test_good_values_are_taken(case):
    servers = Servers(case)
    case.write("godwit.conf", servers.good)
    case.write("list.csv", LIST)
    case.run("once").exits(0)
    assert case.state.exists() and servers.both[1].wait_for("appended")


def test_bad_settings(case):
    servers = Servers(case)
    for text, line, words in (
            ("max_login_retry = 3\n", 1, ("max_login_retry", "max_login_retries")),
            ("# a comment\n\nmax_mailboxes = 0\n", 3, ("max_mailboxes", "0", "10000")),
            ("max_mailboxes = many\n", 1, ("max_mailboxes",)),
            ('login_retry_interval = "60"\n', 1, ("login_retry_interval", "60")),
            ('login_retry_interval = "2 fortnights"\n', 1, ("login_retry_interval",)),
            ("max_mailboxes = 3\nmax_mailboxes = 4\n", 2, ("max_mailboxes",))):
        servers.refused(78, "godwit.conf:%d: " % line, *words, conf=text + servers.good)
    servers.refused(78, "godwit.conf:12: ", "nowhere", conf=servers.good.replace('target = "new"', 'target = "nowhere"'))
    servers.refused(78, "godwit.conf", "url", conf=servers.good.replace("imap://", "http://", 1))
    servers.refused(78, "godwit.conf", "there is no migration", conf=servers.good[:servers.good.index("migration")])


def test_every_command_that_reads_it_refuses_it(case):
    servers = Servers(case)
    for command in ("once", "daemon", "check"):
        servers.refused(78, "godwit.conf:1: ", "nonsense", conf="nonsense = 1\n" + servers.good, command=command)
        servers.refused(65, "list.csv:2: ", rows="source_user,source_password,target_user,target_password\nann\n", command=command)


def test_no_file(case):
    program = case.run("once", "-c", str(case.folder / "none.conf")).exits(78)
    assert str(case.folder / "none.conf") in program.err and "No such file" in program.err
    assert not case.state.exists()


def test_bad_lists(case):
    servers = Servers(case)
    head = LIST.splitlines()[0] + "\n"
    for rows, line, words in (
            ("source_user,source_password,target_user,colour\nann,a,ann,red\n", 1, ("colour",)),
            ("source_user,source_password,target_user\nann,a,ann\n", 1, ("target_password",)),
            ("ann,hunter22,ann,hunter22\n", 1, ()),
            (head + "ann,a,ann,b\nbob,a\n", 3, ()),
            (head + "ann,a,ann,b\nbob,a,Ann,b\n", 3, ("Ann", "2")),
            (head + "ann,a,,b\n", 2, ("target_user",)),
            (head + '"ann\n', 2, ())):
        program = servers.refused(65, "list.csv:%d: " % line, *words, rows=rows)
        assert "hunter22" not in program.err


def test_a_list_that_cannot_be_read(case):
    servers = Servers(case)
    servers.refused(78, "godwit.conf:13: ", str(case.folder / "list.csv"), "No such file", rows=None)
    (case.folder / "list.csv").mkdir()
    program = case.run("once").exits(78)
    assert "list.csv" in program.err and not case.state.exists()


def test_a_list_that_others_can_read_is_warned_of(case):
    servers = Servers(case)
    case.write("godwit.conf", servers.good)
    case.write("list.csv", LIST).chmod(0o644)
    program = case.run("once").exits(0)
    assert len(program.lines("warning: .*list.csv: .*0644")) == 1


def test_all_bad_lists_are_told(case):
    servers = Servers(case)
    more = servers.good[servers.good.index("migration"):].replace('"m"', '"n"').replace("list.csv", "other.csv")
    case.write("other.csv", "nonsense\n")
    program = servers.refused(65, "list.csv:1: ", "other.csv:1: ", conf=servers.good + more, rows="rubbish\n")
    assert program.err.count("\n") == 2


def test_Exchanges_header_is_read(case):
    servers = Servers(case)
    case.write("godwit.conf", servers.good)
    case.write("list.csv", "EmailAddress,UserName,Password\nann@new.example,ann-old,the password\n")
    case.run("once").exits(0)
    assert [e["user"] for e in servers.both[0].events if e["event"] == "login"] == ["ann-old"]
    assert [e["user"] for e in servers.both[1].events if e["event"] == "login"] == ["ann@new.example"]


def test_columns_in_any_order(case):
    source, target = fakes.box(1, users={"s": "sp"}), fakes.box(users={"t": "tp"})
    old, new = case.serve(mailbox(source)), case.serve(mailbox(target))
    case.pair(old, new, [])
    case.write_list("m.csv", [("tp", "s", "t", "sp")], ("target_password", "source_user", "target_user", "source_password"))
    case.run("once").exits(0)
    assert len(target.digests()) == 1


def test_no_mailboxes_is_no_error(case):
    case.pair(case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box())), [])
    program = case.run("once").exits(0)
    assert program.out == program.err == ""


def test_a_ledger_that_cannot_be_written(case):
    old, new = case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box()))
    case.pair(old, new, [login("ann")], state="/proc/nothing/here")
    program = case.run("once")
    assert program.code == 74 and "/proc/nothing" in program.err, (program.code, program.err)
    assert old.count == new.count == 0


def test_a_damaged_ledger_is_said_and_not_overwritten(case):
    old, new = case.serve(mailbox(fakes.box(1))), case.serve(mailbox(fakes.box()))
    case.pair(old, new, [login("ann")])
    case.state.mkdir(mode=0o700)
    (case.state / "ledger.sqlite").write_bytes(b"not a database" * 1000)
    program = case.run("once")
    assert program.code == 74 and "ledger.sqlite" in program.err, (program.code, program.err)
    assert (case.state / "ledger.sqlite").read_bytes().startswith(b"not a database")
    assert old.count == new.count == 0


def test_usage(case):
    for arguments, word in ((("nonsense",), 'there is no command "nonsense"'), (("",), "help"),
                            (("--nonsense",), 'unknown option "--nonsense"'),
                            (("help", "nonsense"), 'there is no command "nonsense"; see "godwit help"\n')):
        program = case.run(*arguments).exits(64)
        assert word in program.err
    for arguments in (("once", "--nonsense"), ("once", "more"), ("check", "more"), ("daemon", "more"), ("once", "-c")):
        program = case.run(*arguments, configured=False).exits(64)
        assert "godwit" in program.err and "help" in program.err, program.err


def test_help_and_version(case):
    overview = case.run("help").exits(0).out
    for command in ("copy", "once", "daemon", "check", "status", "report", "retry", "pause", "resume", "finish"):
        assert command in overview
        text = case.run("help", command).exits(0).out
        assert "godwit " + command in text
        assert case.run(command, "--help", configured=False).exits(0).out == text
    assert case.run("--help").exits(0).out == overview
    assert case.run("--version").exits(0).out.startswith("godwit ")
    assert "--no-wait" in case.run("help", "once").out and "--ca-file" in case.run("help", "copy").out


def test_one_server_for_both_sides_needs_two_connections(case):
    server = case.serve(mailbox(fakes.box(1)))
    case.configure({"one": site(server, max_connections=1)}, {"m": ("one", "one", [login("ann")])})
    program = case.run("once").exits(78)
    assert "max_connections" in program.err and server.count == 0
