#!/usr/bin/python3
"""What compression is worth on a slow line: the same mailboxes copied with compress = "off", "on" and "auto", over proxies that carry so many
bytes a second. Prints a Markdown table; every copy is read back. Not part of scripts/bench: its runs are long by design.

    python3 -B tests/bench/slow.py [--rate 1000000] [--rtt 20] [-n 3] GODWIT"""
import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from lab import corpus, fill, reader  # noqa: E402
from lab.dovecot import Dovecot  # noqa: E402
from lab.proxy import Proxy  # noqa: E402

PASSWORD = "secret"
MODES = ("off", "on", "auto")


def letters():
    writer = corpus.Writer("slow")
    return [corpus.Folder((name,), [corpus.Message(writer.headers(1500000000 + i) + writer.text(20000), (), corpus.internaldate(1500000000 + i))
                                    for i in range(150)]) for name in ("INBOX", *("Box %d" % i for i in range(9)))]


SHAPES = {"text of 20 KB": letters, "sizes as in real mail, most bytes in attachments": lambda: corpus.realistic(500, "slow", 10)}


def configure(folder, mode, ports, source, target):
    text = 'state = "%s/state"\ncontrol = "%s/control.sock"\n' % (folder, folder)
    for name, port in zip(("old", "new"), ports):
        text += 'server "%s" {\n url = "imap://127.0.0.1:%d"\n allow_plaintext = true\n compress = "%s"\n}\n' % (name, port, mode)
    text += 'migration "slow" {\n source = "old"\n target = "new"\n mailboxes = "list.csv"\n}\n'
    for name, content in (("godwit.conf", text), ("list.csv", "source_user,source_password,target_user,target_password\n%s,%s,%s,%s\n" % (
            source, PASSWORD, target, PASSWORD))):
        with open(os.path.join(folder, name), "w") as out:
            out.write(content)
        os.chmod(os.path.join(folder, name), 0o600)


def run(program, folder, proxies):
    """(seconds, CPU seconds, bytes on the source's line, on the target's, lines of the log about the lines)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    done = subprocess.run([program, "once", "-c", os.path.join(folder, "godwit.conf"), "--log-level", "info"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=1800)
    took, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise SystemExit("slow: godwit ended with %d:\n%s" % (done.returncode, said))
    down, up = (sum(c[way] for c in proxy.read_stats()) for proxy, way in zip(proxies, ("down", "up")))
    return (took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, down, up,
            re.findall(r"(?m)^godwit: (\w+: \w+: (?:the line is|compressing).*)$", said))


def shape(args, root, number, name, make):
    users = {"%s%d" % (mode, turn): PASSWORD for mode in MODES for turn in range(args.n)}
    with Dovecot(root, "old%d" % number, tls="none", users={"ann": PASSWORD}, compress=True) as old, \
            Dovecot(root, "new%d" % number, tls="none", users=users, compress=True) as new:
        fill.fill(old, "ann", PASSWORD, make())
        before = reader.read(old, "ann", PASSWORD)
        size = sum(e.size for entries in before.folders.values() for e in entries)
        results = {mode: [] for mode in MODES}
        for turn in range(args.n):
            for mode in MODES:
                user = "%s%d" % (mode, turn)
                folder = os.path.join(root, "run%d-%s" % (number, user))
                os.mkdir(folder)
                proxies = [Proxy([(s.host, s.imap_port)], rtt_ms=args.rtt, rate=args.rate, stats=os.path.join(folder, s.name)).start()
                           for s in (old, new)]
                try:
                    configure(folder, mode, [p.ports[0] for p in proxies], "ann", user)
                    results[mode].append(run(args.program, folder, proxies))
                finally:
                    for proxy in proxies:
                        proxy.stop()
                if differences := reader.compare(before, reader.read(new, user, PASSWORD)):
                    raise SystemExit("slow: %s is no copy: %s" % (user, differences[:3]))
    print("\n%s: %.1f MB, %g MB/s on each side, RTT %g ms\n" % (name, size / 1e6, args.rate / 1e6, args.rtt))
    print("| compress | seconds | MB/s | CPU of godwit, ms per MB | bytes from the source, MB | to the target, MB |\n|---|---|---|---|---|---|")
    for mode in MODES:
        took, cpu, down, up = (statistics.median(r[i] for r in results[mode]) for i in range(4))
        print("| %s | %.1f | %.2f | %.1f | %.1f | %.1f |" % (mode, took, size / 1e6 / took, 1e9 * cpu / size, down / 1e6, up / 1e6))
    for line in results["auto"][-1][4]:
        print("\n    %s" % line)
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="GODWIT")
    parser.add_argument("--rate", type=int, default=1_000_000, help="bytes a second in each direction of each side (1000000)")
    parser.add_argument("--rtt", type=float, default=20, help="ms (20)")
    parser.add_argument("-n", type=int, default=1, help="turns; the median counts (1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slow-") as root:
        os.chmod(root, 0o755)
        for number, (name, make) in enumerate(SHAPES.items()):
            shape(args, root, number, name, make)


if __name__ == "__main__":
    main()
