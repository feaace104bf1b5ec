"""What the benchmark makes of what it has measured. Needs no servers and no godwit."""
import json
import os
import shutil

from bench import bench, faults, goals, growth, maildir, page, plan, record, shapes, table, view
from bench.measure import Result
from bench.tools import all_tools, godwit, limit
from lab import corpus, reader


def made(case, *cells, others=()):
    """A record: cells as (shape, rtt, {tool: [wall of each turn, or a text: failed]}, more fields)."""
    found = record.Record(str(case.folder / "results"), {"godwit": "x"})
    for shape, rtt, tools, *more in cells:
        key = "%s/%g" % (shape, rtt)
        found.add("cell", **{**dict(key=key, shape=shape, size="1 × 10", title=key, rtt=rtt, plain=False, mailboxes=1, again=False, bad=0, messages=10,
                                    bytes=1000), **(more[0] if more else {})})
        for tool, walls in tools.items():
            for turn, wall in enumerate(walls):
                result = Result(wall=wall, finished=wall, user=0.2, source_cpu=1.0, target_cpu=3.0) if isinstance(wall, float) else Result(failed=wall)
                found.add("run", cell=key, tool=tool, turn=turn, **vars(result))
    for kind, fields in others:
        found.add(kind, **fields)
    return found


def judged(case, *cells, others=()):
    """{what: goal}; of several goals for the same thing the first, the others by (what, goal)"""
    found = made(case, *cells, others=others)
    judgements = {}
    for goal in goals.all_goals(view.cells(found), found):
        judgements.setdefault(goal.what if goal.what not in judgements else (goal.what, goal.goal), goal)
    return judgements


def test_a_ratio_is_the_median_of_those_within_a_turn(case):
    # The second turn was slow for both: of the medians (2.0 and 1.5) the ratio would be another.
    cell, = view.cells(made(case, ("one", 0, {"godwit": [1.0, 9.0, 2.0], "limit": [1.0, 6.0, 1.5], "mbsync": [4.0]})))
    assert cell.wall("godwit") == 2.0
    assert abs(cell.ratio("godwit", "limit") - 2.0 / 1.5) < 1e-9
    # A tool that ran once is compared with the turn that it ran in.
    assert cell.ratio("mbsync", "godwit") == 4.0
    assert cell.ratio("godwit", "imapsync") is None


def test_a_tool_that_fails_now_and_then_has_no_time(case):
    cell, = view.cells(made(case, ("one", 0, {"godwit": [1.0, "lost a message"], "limit": [1.0, 1.0]})))
    assert cell.wall("godwit") is None and cell.ratio("godwit", "limit") is None
    assert "**failed**" in table.row(cell, "godwit")[1]
    assert any("lost a message" in line for line in table.cell(cell, ["godwit", "limit"]))


def test_goals_at_their_bounds(case):
    found = judged(case, ("one", 0, {"godwit": [1.25], "limit": [1.0], "mbsync": [1.25]}),
                   ("one", 25, {"godwit": [1.26], "limit": [1.0], "mbsync": [2.0]}))
    near, far = found["one mailbox, one (1 × 10), RTT 0"], found["one mailbox, one (1 × 10), RTT 25"]
    assert near.goal == far.goal == "≤ 1.25 × limit"
    assert near.met and near.verdict == "met (+0.25 s)"
    assert far.verdict == "**missed** by 1 % (+0.26 s, two round trips are 0.05 s)", far.verdict
    assert found["one mailbox, worst of 2 cells"].met
    assert found["one mailbox, one (1 × 10), RTT 25", "≥ 2 × as fast as mbsync"].verdict == "**missed** by 21 % (the limit is 2.0 × as fast)"
    found = judged(case, ("few", 25, {"godwit": [1.0], "imapsync": [30.0]}), ("few", 100, {"godwit": [1.0], "imapsync": [100.0]}))
    by_goal = {g.goal: g for g in found.values() if "imapsync" in g.goal}
    assert by_goal["≥ 40 × as fast as imapsync"].verdict == "**missed** by 25 %"
    assert by_goal["≥ 100 × as fast as imapsync"].verdict == "met"


def test_what_was_not_measured_is_not_met(case):
    found = judged(case, ("one", 0, {"godwit": [1.0], "limit": ["exit status 1"]}))
    goal = found["one mailbox, one (1 × 10), RTT 0"]
    assert goal.value is None and goal.verdict == "not measured: limit failed: exit status 1"
    assert all(g.value is None for g in found.values() if not g.what.startswith("CPU"))
    assert all("not measured" in g.verdict for g in found.values() if g.value is None)


def test_goals_of_many_cpu_delta_and_bad(case):
    found = judged(
        case, ("many", 0, {"godwit": [2.0], "limit": [1.0], "imapsync-x8": [19.0]}, {"mailboxes": 200}),
        ("delta", 100, {"godwit": [0.9, 1.1, 1.2], "mbsync": [9.0]}, {"again": True}),
        ("bad", 25, {"godwit": [1.01, 3.0, 1.0], "godwit, good only": [1.0, 1.0, 1.0]}, {"mailboxes": 40, "bad": 4}))
    assert found["many mailboxes, many (1 × 10), RTT 0"].verdict == "**missed** by 60 % (+1.00 s)"
    assert found["many mailboxes, many (1 × 10), RTT 0", "≥ 10 × as fast as imapsync-x8"].verdict == "**missed** by 5 % (the limit is 19.0 × as fast)"
    cpu = found["CPU of godwit, many (1 × 10), RTT 0, worst of 1"]
    assert abs(cpu.value - 0.05) < 1e-9 and cpu.met  # 0.2 of 1 + 3
    assert cpu.verdict == "met (the limit, which parses nothing, needs 0.05)"
    assert found["delta pass with nothing new, delta (1 × 10), RTT 100"].verdict == "**missed** by 10 %"
    assert found["good mailboxes beside 4 that cannot log in, bad (1 × 10), RTT 25"].verdict == "met"


def test_goals_of_memory(case):
    def line(what, n, kb, connections):
        return "memory", dict(what=what, n=n, kb=kb, connections=connections)

    found = judged(case, others=(
        line("idle", 1, 10_000, 2), line("idle", 51, 19_000, 102),                                # 90 KB for each
        line("small", 1, 10_000, 2), line("small", 32, 10_000 + 31 * 600, 64),                     # 600 KB for each
        line("parked", 1, 8000, 0), line("parked", 100_000, 50_000, 0)))
    by_what = {g.what.split(" (")[0]: g for g in found.values()}
    assert round(by_what["memory for an idle connection"].value) == 90 and by_what["memory for an idle connection"].met
    running = by_what["memory for a running mailbox, small mail"]
    assert round(running.value) == 600 and not running.met
    assert by_what["memory of the process, 32 running, small mail"].met
    assert by_what["memory of the process, 32 running, messages of 5 MB"].value is None
    assert by_what["memory of the process, 100,000 parked"].met


def test_growth_is_told_as_an_exponent(case):
    assert abs(growth.exponent([(1000, 1.0), (100_000, 100.0)]) - 1) < 1e-9
    assert abs(growth.exponent([(10, 1.0), (1000, 10_000.0)]) - 2) < 1e-9
    assert growth.exponent([(10, 1.0)]) is None
    del case


def test_the_end_of_the_good_ones_is_read_from_the_log(case):
    said = case.folder / "said"
    said.write_text("0.1 godwit: bench/t1-bad1: started\n1.5 godwit: bench/t1-bad10: synced: 1 copied, 0 adopted, 0 left out\n"
                    "3.5 godwit: bench/t1-bad1: synced: 1 copied, 0 adopted, 0 left out\n9.9 godwit: warning: bench/t1-bad-bad0: failed\n")
    result = Result(wall=10.0)
    assert godwit.last_synced(str(said), {"t1-bad1", "t1-bad10"}, result) == (3.5, "")
    assert godwit.last_synced(str(said), {"t1-bad1"}, result) == (3.5, "")
    assert godwit.last_synced(str(said), {"t1-bad10"}, result) == (1.5, "")
    wall, wrong = godwit.last_synced(str(said), {"t1-bad1", "t1-bad2"}, result)
    assert wall == 10.0 and "1 mailbox" in wrong


def test_a_record_goes_on_where_it_was_cut(case):
    folder = str(case.folder / "out")
    first = record.Record(folder, {"godwit": "a", "plan": "full"})
    first.add("run", cell="c", tool="t", turn=0)
    with open(first.file, "a") as out:
        out.write('{"kind": "run", "cell"')
    second = record.Record(folder, {"godwit": "a", "plan": "full"})
    second.add("run", cell="c", tool="t", turn=1)
    assert [line["turn"] for line in record.Record(folder, {"godwit": "a", "plan": "full"}).of("run", cell="c")] == [0, 1]
    try:
        record.Record(folder, {"godwit": "b", "plan": "full"})
    except record.Other as other:
        assert "another godwit" in str(other) and "--fresh" in str(other)
    else:
        raise AssertionError("results of two programs would be mixed")


def test_the_page_says_what_is_missed_and_what_is_missing(case):
    found = made(case, ("one", 0, {"godwit": [2.0, 2.2], "limit": [1.0, 1.0], "mbsync": [3.0, 3.0]}), ("few", 0, {"godwit": ["torn"]}), others=(
        ("settings", dict(machine={"processor": "p"}, versions={"godwit": "g"}, date="2020-01-01", command="scripts/bench -n 2")),
        ("absent", dict(cell="one/0", tool="imapsync", why="not found")),
        ("calibration", dict(cpu=1.0, disk=2.0)), ("calibration", dict(cpu=1.5, disk=2.0)),
        ("growth", dict(messages=10_000, turn=0, wall=1.0, cpu=0.1, kb=1000, source_cpu=1.0, target_cpu=1.0, again_wall=0.1, again_kb=900, failed="")),
        ("growth", dict(messages=100_000, turn=0, wall=9.0, cpu=1.0, kb=1000, source_cpu=9.0, target_cpu=9.0, again_wall=0.1, again_kb=900, failed=""))))
    text = page.write(found)
    for words in ("`scripts/bench -n 2`", "| ≤ 1.25 × limit | 2.10 | **missed** by 68 % (+1.10 s) |", "absent: not found", "**failed**: torn",
                  "1.50 × the fastest", "to the power of 1.00", "| 2.10 | 2.00–2.20 |"):
        assert words in text, (words, text)
    with open(os.path.join(found.folder, "results.json")) as file:
        assert any(g["value"] is not None and not g["met"] for g in json.load(file)["goals"])


def test_plots_are_drawn_of_whatever_was_measured(case):
    if not shutil.which("gnuplot"):
        return
    found = made(case, *(("one", rtt, {"godwit": [1.0 + rtt], "limit": [1.0], "some build": [2.0]}) for rtt in (0, 25)), others=(
        *(("memory", dict(what="small", n=n, kb=10_000 + n, connections=2 * n)) for n in (1, 8)),
        *(("growth", dict(messages=n, turn=0, wall=1.0, cpu=0.1, kb=1000, source_cpu=1.0, target_cpu=1.0, again_wall=0.1, again_kb=900, failed=""))
          for n in (1000, 10_000))))
    text = page.write(found)
    for name in ("throughput-one", "limit", "memory", "growth"):
        assert "(%s.png)" % name in text
        for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
            data = (case.folder / "results" / (name + "." + kind)).read_bytes()
            assert data.startswith(magic) and len(data) > 3000, (name, kind, len(data))


def test_a_page_without_gnuplot_says_so(case):
    before = os.environ["PATH"]
    os.environ["PATH"] = str(case.folder)
    try:
        text = page.write(made(case, ("one", 0, {"godwit": [1.0], "limit": [1.0]})))
    finally:
        os.environ["PATH"] = before
    assert "No plots: gnuplot is not installed" in text


def test_plans_name_tools_and_shapes_that_are_there(case):
    tools = all_tools()
    for cell in [*plan.default(), *plan.default(quick=True)]:
        chosen = {t.name for t in plan.choose(cell, tools)}
        for name in cell.tools:
            assert any(t == name or name == plan.IMAPSYNC_X and t.startswith(name) for t in chosen), (cell.key, name)
    assert {c.shape.name for c in plan.default(quick=True)} >= {"one", "few", "large", "many", "some", "delta", "bad", "huge"}
    args = bench.parse(["--shape", "many", "--messages", "100", "--rtt", "25", "-n", "2"])
    cell, = bench.plan_of(args)
    assert (cell.shape.mailboxes, cell.shape.messages, cell.rtt, cell.turns) == (5, 20, 25.0, 2)
    del case


def test_the_limit_sends_every_message_once(case):
    folders = [(b"INBOX", [(b"\\Seen", b"01-Jan-2020 00:00:00 +0000", b"<%d>" % i) for i in range(11)]), (b"Sent", [(b"", b"x", b"<11>")]), (None, [b"Sent"])]
    for split in (1, 2, 4):
        way = limit.Way(messages=3, span=4, split=split)
        sent = b"".join(b"".join(limit._append_script(folders, way, part).pieces) for part in range(split))
        assert sorted(body for body in (b"<%d>" % i for i in range(12)) if sent.count(body) == 1) == sorted(b"<%d>" % i for i in range(12))
        assert sent.count(b"SUBSCRIBE") == 1
        asked = []
        for part in range(split):
            for piece in limit._fetch_script(folders, way, part).pieces:
                if piece.startswith(b"FETCH"):
                    first, last = map(int, piece.split()[1].split(b":"))
                    asked += range(first, last + 1)
        assert sorted(asked) == sorted([*range(1, 12), 1]), asked
    del case


def entry(digest, flags=(), instant=0):
    return reader.Entry(digest, instant, "", frozenset(flags), frozenset(), 1, 1, "")


def test_what_a_break_has_left_is_counted_by_kind(case):
    wanted = reader.Mailbox({("INBOX",): [entry("a"), entry("a"), entry("b"), entry("c", ["\\Seen"])], ("Two",): [entry("a")]}, set(), set())
    for there, kinds in (
            ({("INBOX",): [entry("c", ["\\Seen"]), entry("a"), entry("b"), entry("a")], ("Two",): [entry("a")]}, {}),
            ({("INBOX",): [entry("a"), entry("a"), entry("b"), entry("c", ["\\Seen"])]}, {"lost": 1}),
            ({("INBOX",): [entry("a"), entry("b"), entry("b"), entry("c", ["\\Seen"])], ("Two",): [entry("a")]}, {"lost": 1, "doubled": 1}),
            ({("INBOX",): [entry("a"), entry("a"), entry("x"), entry("c")], ("Two",): [entry("a", instant=1)]}, {"lost": 1, "torn": 1, "altered": 2}),
            ({("INBOX",): [entry("a"), entry("a"), entry("b"), entry("c", ["\\Seen"]), entry("c")], ("Two",): [entry("a")]}, {"doubled": 1}),
            ({}, {"lost": 5})):
        found = faults.judge(wanted, reader.Mailbox(there, set(), set()))
        assert {kind: n for kind, n in found.items() if n} == kinds, (there, found, kinds)
    line = dict(tool="godwit", what=list(faults.BREAKS)[1], met=3, lost=0, doubled=0, torn=0, altered=0, stuck=0)
    text = page.write(made(case, others=[("fault", dict(line, round=0)), ("fault", dict(line, round=1, doubled=2, met=0))]))
    for words in ("| %s | 2 doubled (in 1 of 2) |" % line["what"], "godwit 2; in 1 of them the break was not reached"):
        assert words in text, (words, text)


def test_shapes_are_what_they_say(case):
    for shape in shapes.SHAPES.values():
        quick = shape.quickly()
        if quick.messages * quick.mailboxes <= 2000:
            count = sum(1 for folder in quick.make(0, quick.messages) for _ in folder.messages)
            assert count == quick.messages, (shape.name, count)
    del case


def test_maildir_names_carry_what_dovecot_wants_to_know(case):
    """Size, virtual size, flags; the instant is the file's."""
    keywords = []
    message = corpus.Message(b"Subject: x\r\n\r\none\r\n", ("\\Seen", "$Forwarded", "\\Answered"), "01-Feb-2020 10:00:00 +0100")
    maildir._write(str(case.folder), 7, message, keywords)
    name, = os.listdir(case.folder)
    assert name.endswith(",S=16,W=19:2,RSa"), name
    assert keywords == ["$Forwarded"]
    assert os.stat(case.folder / name).st_mtime == 1580547600
