"""The benchmark, in small: it runs, verifies, goes on where it was, and writes its page."""
import json
import os
import subprocess
import sys

from bench import faults, maildir
from func import shared
from func.case import GODWIT
from lab import corpus, fill, reader

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts", "bench")


def bench(case, *arguments, codes=(0,)):
    done = subprocess.run([sys.executable, "-B", SCRIPT, "--out", str(case.folder / "out"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, GODWIT=os.path.abspath(GODWIT)), text=True, timeout=200, check=False)
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout, done.stderr


def runs(case, kind="run"):
    with open(case.folder / "out" / "runs.jsonl") as file:
        return [line for line in map(json.loads, file) if line["kind"] == kind]


def test_the_benchmark_measures_verifies_and_goes_on(case):
    small = ("--shape", "few,delta,bad", "--messages", "24", "--rtt", "5", "--tools", "godwit,limit")
    page, _ = bench(case, *small, "-n", "1")
    first = runs(case)
    assert {(r["cell"].split()[0], r["tool"]) for r in first} == {
        ("few", "godwit"), ("few", "limit"), ("delta", "godwit"), ("bad", "godwit"), ("bad", "godwit, good only")}
    assert all(not r["failed"] and r["wall"] > 0 and r["turns"] > 0 for r in first)
    by = {(r["cell"].split()[0], r["tool"]): r for r in first}
    # The bad ones are tried to the end; what counts is the end of the good ones.
    assert by["bad", "godwit"]["wall"] < by["bad", "godwit"]["finished"]
    for words in ("## Goals", "≤ 1.25 × limit", "## Noise", "few: 1 mailbox of 24 messages", "`scripts/bench "):
        assert words in page, page
    # The same command has nothing left to do; another turn is added to what is there.
    bench(case, *small, "-n", "1")
    assert runs(case) == first
    bench(case, "--shape", "few", "--messages", "24", "--rtt", "5", "--tools", "godwit", "-n", "2")
    assert runs(case)[:len(first)] == first and [r["turn"] for r in runs(case)[len(first):]] == [1]


def test_tools_are_broken_and_what_they_leave_is_judged(case):
    page, _ = bench(case, "--faults", "-n", "1", "--tools", "godwit", codes=(0, 1))
    found = {line["what"]: line for line in runs(case, "fault")}
    assert list(found) == list(faults.BREAKS) and "| %s |" % list(found)[-1] in page, page
    for what, line in found.items():
        # It may be through before it is killed three times.
        assert 1 <= line["met"] <= (3 if "three" in what else 1), line
        wrong = {name: line[name] for name in faults.JUDGED if line[name]}
        assert not wrong or set(wrong) == {"doubled"} and "later" in what, line


def test_mail_written_without_dovecot_is_what_it_would_have_written(case):
    server = shared.old()
    users = [shared.user(server) for _ in range(2)]
    wanted = list(corpus.realistic(30, "maildir")[0].messages)
    fill.fill(server, users[0], shared.password(users[0]), [corpus.Folder(("INBOX",), wanted)])
    count, total = maildir.fill(server, users[1], shared.password(users[1]), [corpus.Folder(("INBOX",), wanted)])
    assert (count, total) == (30, sum(len(m.body) for m in wanted))
    one, other = (reader.read(server, user, shared.password(user)) for user in users)
    assert not reader.compare(one, other), reader.compare(one, other)
    assert sum(e.size for e in other.folders["INBOX",]) == total
