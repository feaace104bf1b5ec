"""The command line of the lab: scripts/lab. What runs is written to DIR/lab.json."""
import argparse
import concurrent.futures
import json
import os
import signal
import sys
import time

from . import dovecot, fill, process, reader
from .dovecot import Dovecot, Missing
from .proxy import Proxy

OPTIONS = ("tls", "format", "separator", "prefix", "fsync", "cert", "auth_failure_delay", "tz", "extra_config")


def load(folder):
    try:
        with open(os.path.join(folder, "lab.json")) as file:
            return json.load(file)
    except FileNotFoundError:
        raise SystemExit("lab: nothing was started in %s" % folder)


def save(lab):
    file = os.path.join(lab["dir"], "lab.json")
    with open(file + ".new", "w") as out:
        json.dump(lab, out, indent=2, ensure_ascii=False)
        out.write("\n")
    os.rename(file + ".new", file)


def alive(entry):
    """Whether the process is still the one that was started: numbers of processes are used again."""
    try:
        with open("/proc/%d/cmdline" % entry["pid"], "rb") as file:
            return entry["mark"].encode() in file.read()
    except OSError:
        return False


def end(entry, timeout=5.0):
    if not alive(entry):
        return
    os.kill(entry["pid"], signal.SIGTERM)
    until = time.monotonic() + timeout
    while alive(entry) and time.monotonic() < until:
        time.sleep(0.01)  # not our child: there is nothing to wait on
    # Dovecot's processes stay after their master while a client does. They are of the group of what was alive just now.
    process.kill_group(entry["pid"])


# --- commands -------------------------------------------------------------------------------------------------------------

def start(args):
    folder = os.path.realpath(args.dir)
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(os.path.join(folder, "lab.json")) and any(map(alive, load(folder)["servers"].values())):
        raise SystemExit("lab: something runs in %s already; stop it first: scripts/lab stop %s" % (folder, args.dir))
    users = {"user%d" % i: "secret%d" % i for i in range(1, args.users + 1)}
    common = {"format": args.format, "separator": args.separator, "prefix": args.prefix, "tls": args.tls}
    if args.no_auth_delay:
        common.update(auth_failure_delay="0 secs", auth_penalty=False)
    own = {}
    for setting in args.set or ():
        key, equals, value = setting.partition("=")
        server, dot, name = key.partition(".")
        if not equals or not dot or name not in OPTIONS:
            raise SystemExit("lab: --set SERVER.NAME=VALUE, where NAME is one of: %s" % ", ".join(OPTIONS))
        own.setdefault(server, {})[name] = value
    lab = {"dir": folder, "users": users, "servers": {}, "proxies": {}}
    try:
        for name in args.servers.split(","):
            server = Dovecot(folder, name, users=users, detach=True, **{**common, **own.get(name, {})})
            server.start()
            lab["servers"][name] = dict(server.describe(), mark=server.config_file)
    finally:
        save(lab)
    write_samples(lab)
    show(lab)
    if args.json:
        print(json.dumps(lab, indent=2))
    return 0


def write_samples(lab):
    """A configuration and a list of mailboxes that fit the first two servers."""
    names = list(lab["servers"])
    with open(os.path.join(lab["dir"], "mailboxes.csv"), "w") as out:
        out.write("source_user,source_password,target_user,target_password\n")
        out.writelines("%s,%s,%s,%s\n" % (u, p, u, p) for u, p in lab["users"].items())
    os.chmod(os.path.join(lab["dir"], "mailboxes.csv"), 0o600)
    lines = ['state = "%s/state"' % lab["dir"], 'control = "%s/control.sock"' % lab["dir"], ""]
    for name, server in lab["servers"].items():
        lines += ['server "%s" {' % name, '    url = "%s"' % url(server), '    ca_file = "%s"' % server["ca_file"]]
        if server["tls"] == "none":
            lines.append("    allow_plaintext = true")
        lines += ["    max_connections = 100", "}"]
    if len(names) > 1:
        lines += ['migration "lab" {', '    source = "%s"' % names[0], '    target = "%s"' % names[1],
                  '    mailboxes = "mailboxes.csv"', "}"]
    with open(os.path.join(lab["dir"], "godwit.conf"), "w") as out:
        out.write("\n".join(lines) + "\n")


def url(server):
    if server["imaps_port"]:
        return "imaps://%s:%d" % (server["host"], server["imaps_port"])
    return "imap://%s:%d" % (server["host"], server["imap_port"])


def show(lab):
    for name, server in lab["servers"].items():
        ports = "imap %d%s" % (server["imap_port"], ", imaps %d" % server["imaps_port"] if server["imaps_port"] else "")
        print("%-8s %s  pid %d  %s:  %s" % (name, "runs" if alive(server) else "DEAD", server["pid"], server["host"], ports))
        print("         CA %s\n         log %s" % (server["ca_file"], server["log"]))
    for name, proxy in lab["proxies"].items():
        ports = "imap %d%s" % (proxy["imap_port"], ", imaps %d" % proxy["imaps_port"] if proxy["imaps_port"] else "")
        print("%-8s %s  pid %d  %s:  %s  (proxy to %s, RTT %g ms)" % (
            name, "runs" if alive(proxy) else "DEAD", proxy["pid"], proxy["host"], ports, proxy["server"], proxy["rtt_ms"]))
    users = list(lab["users"].items())
    if users:
        print("users    %s%s (passwords %s%s)" % (users[0][0], " … " + users[-1][0] if len(users) > 1 else "",
                                                  users[0][1], " … " + users[-1][1] if len(users) > 1 else ""))


def stop(args):
    lab = load(os.path.realpath(args.dir))
    for entry in list(lab["proxies"].values()) + list(lab["servers"].values()):
        end(entry)
    return 0


def status(args):
    lab = load(os.path.realpath(args.dir))
    if args.json:
        print(json.dumps(lab, indent=2, ensure_ascii=False))
    else:
        show(lab)
    return 0 if all(map(alive, list(lab["servers"].values()) + list(lab["proxies"].values()))) else 3


def chosen_users(lab, args):
    if not args.user:
        return lab["users"]
    missing = [u for u in args.user if u not in lab["users"]]
    if missing:
        raise SystemExit("lab: no such user: %s" % ", ".join(missing))
    return {u: lab["users"][u] for u in args.user}


def server_of(lab, name):
    if name not in lab["servers"]:
        raise SystemExit("lab: no such server: %s" % name)
    return lab["servers"][name]


def fill_command(args):
    lab = load(os.path.realpath(args.dir))
    server, users = server_of(lab, args.server), chosen_users(lab, args)

    def one(number, user, password):
        made = fill.corpus(args.corpus, args.seed + number, args.messages, args.size, args.folders)
        return fill.fill(server, user, password, made)

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        done = list(pool.map(lambda item: one(item[0], *item[1]), enumerate(users.items())))
    print("%d mailbox%s, %d messages, %.1f MB in %.1f s" % (
        len(done), "" if len(done) == 1 else "es", sum(d[0] for d in done), sum(d[1] for d in done) / 1e6, time.monotonic() - begin))
    return 0


def compare_command(args):
    lab = load(os.path.realpath(args.dir))
    a, b = server_of(lab, args.a), server_of(lab, args.b)
    different = 0
    for user, password in chosen_users(lab, args).items():
        found = reader.compare(reader.read(a, user, password), reader.read(b, args.b_user or user, password),
                               exact_zone=args.exact_zone, extra_folders=not args.allow_extra,
                               extra_messages=not args.allow_extra, subscriptions=not args.no_subscriptions)
        for sentence in found:
            print("%s: %s" % (user, sentence))
        different += bool(found)
    print("%d mailboxes compared, %d differ" % (len(chosen_users(lab, args)), different))
    return 1 if different else 0


def proxy_command(args):
    lab = load(os.path.realpath(args.dir))
    if args.stop:
        for entry in lab["proxies"].values():
            end(entry)
        lab["proxies"] = {}
        save(lab)
        return 0
    for name in (args.servers.split(",") if args.servers else lab["servers"]):
        server = server_of(lab, name)
        targets = [(server["host"], p) for p in (server["imap_port"], server["imaps_port"]) if p]
        stats = os.path.join(lab["dir"], "proxy-%s-%g.json" % (name, args.rtt))
        fault = {k: (v.split(":")[0], int(v.split(":")[1])) for k, v in (("cut", args.cut), ("stall", args.stall)) if v}
        proxy = Proxy(targets, rtt_ms=args.rtt, rate=args.rate, stats=stats, times=args.times, detach=True, **fault).start()
        lab["proxies"]["%s-%g" % (name, args.rtt)] = {
            "server": name, "pid": proxy.pid, "mark": stats, "host": proxy.host, "imap_port": proxy.ports[0],
            "imaps_port": proxy.ports[1] if len(proxy.ports) > 1 else None, "rtt_ms": args.rtt, "stats": stats,
            "ca_file": server["ca_file"], "tls": server["tls"]}
        save(lab)
    show(lab)
    return 0


def user_command(args):
    lab = load(os.path.realpath(args.dir))
    for name in (args.servers.split(",") if args.servers else lab["servers"]):
        users_folder = server_of(lab, name)["users_folder"]
        if args.action == "remove":
            dovecot.drop_user(users_folder, args.name)
        else:
            dovecot.put_user(users_folder, args.name, args.password or "secret")
    if args.action == "remove":
        lab["users"].pop(args.name, None)
    else:
        lab["users"][args.name] = args.password or "secret"
    save(lab)
    return 0


def parse(argv):
    top = argparse.ArgumentParser(prog="lab", description="Throw-away IMAP servers on loopback, with mail in them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, run, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("dir", metavar="DIR", help="the folder of this lab")
        sub.set_defaults(run=run)
        return sub

    sub = command("start", start, "start servers; writes lab.json, godwit.conf and mailboxes.csv to DIR")
    sub.add_argument("--servers", default="old,new", help="names, with commas (default: old,new)")
    sub.add_argument("--users", type=int, default=1, help="how many users: user1 with password secret1, and so on")
    sub.add_argument("--format", default="maildir", choices=("maildir", "sdbox", "mdbox"))
    sub.add_argument("--separator", default="/", choices=("/", "."))
    sub.add_argument("--prefix", default="", help='of the namespace, such as "INBOX."')
    sub.add_argument("--tls", default="starttls+imaps", choices=("starttls+imaps", "none"))
    sub.add_argument("--no-auth-delay", action="store_true", help="answer a wrong password at once")
    sub.add_argument("--set", action="append", metavar="SERVER.NAME=VALUE",
                     help="for one server only: %s" % ", ".join(OPTIONS))
    sub.add_argument("--json", action="store_true")
    command("stop", stop, "stop all servers and proxies of DIR; the files stay")
    sub = command("status", status, "what runs; exit status 3 when something that was started does not")
    sub.add_argument("--json", action="store_true")
    sub = command("fill", fill_command, "write mail to a server, the same for the same seed")
    sub.add_argument("server", metavar="SERVER")
    sub.add_argument("--user", action="append", help="may be repeated (default: all)")
    sub.add_argument("--corpus", default="varied", choices=("varied", "realistic", "small", "large", "folders"))
    sub.add_argument("--messages", type=int, default=100, help="per mailbox (corpus folders: per folder)")
    sub.add_argument("--size", type=int, default=10 << 20, help="of each message of the corpus large")
    sub.add_argument("--folders", type=int, default=1, help="of the corpora realistic and folders")
    sub.add_argument("--seed", type=int, default=1, help="of the first mailbox; the next have the next numbers")
    sub.add_argument("--jobs", type=int, default=4)
    sub = command("compare", compare_command, "compare users of two servers; exit status 1 when they differ")
    sub.add_argument("--a", default="old", help="what should be (default: old)")
    sub.add_argument("--b", default="new", help="what is (default: new)")
    sub.add_argument("--user", action="append", help="may be repeated (default: all)")
    sub.add_argument("--b-user", help="the user's name on the second server when it is another")
    sub.add_argument("--exact-zone", action="store_true", help="INTERNALDATE must have the same zone, too")
    sub.add_argument("--allow-extra", action="store_true", help="the second may hold more")
    sub.add_argument("--no-subscriptions", action="store_true")
    sub = command("proxy", proxy_command, "put delaying proxies in front of the servers")
    sub.add_argument("--rtt", type=float, default=25, help="milliseconds (default: 25)")
    sub.add_argument("--servers", help="names, with commas (default: all)")
    sub.add_argument("--rate", type=int, default=0, help="bytes a second in each direction (default: no limit)")
    sub.add_argument("--cut", metavar="up|down:BYTES", help="reset connections when so much has passed")
    sub.add_argument("--stall", metavar="up|down:BYTES", help="pass nothing more when so much has passed")
    sub.add_argument("--times", type=int, default=0, help="fault on the first N connections only")
    sub.add_argument("--stop", action="store_true", help="stop the proxies")
    sub = command("user", user_command, "add, change or remove a user while the servers run")
    sub.add_argument("action", choices=("add", "password", "remove"))
    sub.add_argument("name")
    sub.add_argument("password", nargs="?")
    sub.add_argument("--servers", help="names, with commas (default: all)")
    return top.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    try:
        return args.run(args)
    except Missing as missing:
        print("lab: %s" % missing, file=sys.stderr)
        return 69
    except (RuntimeError, OSError, ValueError) as error:
        print("lab: %s" % error, file=sys.stderr)
        return 1
