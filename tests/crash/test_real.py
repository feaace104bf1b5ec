"""The same against real servers: killed with APPENDs under way, which land when they like; connections that fail at random bytes."""
import os
import random
import signal

from crash import trial
from crash.stage import CHANGING, Wrong, judge
from func import shared
from func.case import login, site
from lab import corpus, fill
from lab.faultproxy import FaultProxy

LONG = bool(os.environ.get("GODWIT_LONG"))

def some():
    return corpus.realistic(40, seed=8, folders=3)


class Pair:
    """Two Dovecots with the proxy between; a fresh user on the target for each trial."""

    def __init__(self, case, new, **settings):
        self.case, self.new = case, new
        self.uidplus = "UIDPLUS" not in new.capability_remove
        self.old = shared.old_plain()
        self.user, self.before = shared.filled(self.old, some)
        self.proxy = case.use(FaultProxy({"source": self.old.imap_port, "target": new.imap_port}))
        self.rules = {"repair_echoes": True}
        self.settings = {"settle": "0s", "login_retry_interval": "10ms", "command_timeout": "5s", **settings}
        self.there = self.program = None

    def fresh(self):
        self.there = shared.user(self.new)
        # UIDs of the target are not those of the source.
        fill.fill(self.new, self.there, shared.password(self.there), [corpus.Folder(("INBOX",), [corpus.Message(b"Subject: 0\r\n\r\n0\r\n")] * 5,
                                                                                   True, frozenset(range(5)))])
        self.case.forget() if self.case.state.exists() else None
        sites = {name: site(server, "plain", port=self.proxy.ports[name]) for name, server in (("source", self.old), ("target", self.new))}
        self.case.pair(sites["source"], sites["target"], [login(self.user, target=self.there)], self.rules, **self.settings)

    def run(self, on_part=None):
        self.proxy.reset(on_part)
        self.program = self.case.start("once")
        self.program.wait()
        self.proxy.clients_gone()
        return self.program

    def kill(self):
        self.proxy.kill()
        self.program.killed = True
        self.program.child.send_signal(signal.SIGKILL)

    def finish(self, allowed=()):
        got = shared.read(self.new, self.there)
        echoes = judge(self.before, got, allowed)
        sent = []
        self.run(lambda part: sent.append(part.name) if part.site == "target" and part.direction == "up" and part.first and
                 part.name in CHANGING and (self.uidplus or "STORE" not in part.name) else None).exits(0)
        if sent:
            raise Wrong("a further pass sent %s" % sent)
        return echoes


def landed(case, new, seed, trials):
    """Held from a random part of an APPEND on, killed when nothing more came; then each landing."""
    pair, rng, count = Pair(case, new), random.Random(seed), 0
    for number in range(trials):
        landing = trial.LANDINGS[number % len(trial.LANDINGS)]
        pair.fresh()
        at, seen = rng.randrange(1, 60), []

        def hold(part):
            if part.site == "target" and part.name == "APPEND":
                seen.append(part)
                if len(seen) == at:
                    pair.proxy.loop.call_later(0.1, pair.kill)
                    return ("hold",)
            return None

        pair.run(hold)
        held = [h for h in pair.proxy.held if h.link.site == "target"]
        under_way = [c for h in held for c in h.commands()]
        count += bool(under_way)
        for other in pair.proxy.held:
            if other not in held:
                pair.proxy.call(other.drop())
        if landing == "never":
            pair.proxy.drop()
        elif landing == "before the restart":
            pair.proxy.held = held
            pair.proxy.deliver()
        done = []

        async def late(part):
            if done or part.site != "target":
                return
            if (part.direction == "up" and part.name == "APPEND") if landing == "after the look-up" else part.name == "OK APPEND":
                done.append(part)
                for one in held:
                    await one.deliver()

        is_late = landing in trial.LANDINGS[2:]
        # The held connection must outlive the proxy's reset.
        pair.proxy.links = [link for link in pair.proxy.links if not is_late or link.held not in held]
        pair.run(late if is_late else None).exits(0)
        if is_late and not done:
            for one in held:
                pair.proxy.call(one.deliver())
        if is_late:
            pair.run().exits(0)
        pair.finish(list(trial.literals(under_way)) if is_late and not pair.uidplus else ())
    assert count > trials // 2, "APPENDs were under way in %d trials only" % count


def test_what_was_under_way_lands_when_it_likes(case):
    landed(case, shared.new_plain(), 1, 60 if LONG else 8)


def test_what_was_under_way_lands_without_UIDPLUS(case):
    landed(case, shared.dovecot("plain-without-uidplus", tls="none", capability_remove=("UIDPLUS",)), 2, 60 if LONG else 4)


def test_connections_fail_at_random_bytes(case):
    # Bytes that are with the server when a connection ends are carried out by it while the next one looks: that is what settle is for.
    pair, rng = Pair(case, shared.new_plain(), settle="300ms", command_timeout="3s"), random.Random(3)
    size = sum(e.size for entries in pair.before.folders.values() for e in entries)
    for _ in range(60 if LONG else 8):
        pair.fresh()
        where = rng.choice((("source", "down"), ("target", "up")))
        at, action = rng.randrange(size), rng.choice(("cut", "reset", "half_close", "blackhole"))
        passed, fired = [0], []

        def fail(part):
            if fired or (part.site, part.direction) != where:
                return None
            begin, passed[0] = passed[0], passed[0] + len(part.data)
            if begin <= at < passed[0]:
                fired.append(part)
                return ("split", at - begin, (action,))
            return None

        program = pair.run(fail)
        assert fired and program.code == 0, (where, at, action, program.err)
        pair.finish()
