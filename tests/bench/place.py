"""Where it happens: two Dovecots, the proxies between, the mail of the source, and fresh users on the target."""
import concurrent.futures
import os

from lab import fill
from lab.dovecot import Dovecot
from lab.imap import Client, Namespace, quote
from lab.proxy import Proxy

from . import maildir

PASSWORD = "secret"


class Place:
    def __init__(self, folder, **options):
        """`options`: of both Dovecots, see lab/dovecot.py."""
        self.folder = folder
        self.source = Dovecot(folder, "source", users={}, **options)
        self.target = Dovecot(folder, "target", users={}, **options)
        self.ca_file = self.source.ca_file
        self._proxies, self._count, self.filled = {}, 0, {}

    def __enter__(self):
        self.source.start()
        self.target.start()
        return self

    def __exit__(self, *_):
        for proxies in self._proxies.values():
            for proxy in proxies:
                proxy.stop()
        self.source.kill()
        self.target.kill()

    def proxies(self, rtt):
        """The two proxies of a round-trip time; none at 0, where the tools talk to the servers directly."""
        if rtt and rtt not in self._proxies:
            self._proxies[rtt] = [
                Proxy([(server.host, self.port(server))], rtt_ms=rtt,
                      stats=os.path.join(self.folder, "%s-%g.json" % (server.name, rtt))).start()
                for server in (self.source, self.target)]
        return self._proxies.get(rtt, [])

    @staticmethod
    def port(server):
        return server.imaps_port or server.imap_port

    def ports(self, rtt):
        """(source, target)"""
        proxies = self.proxies(rtt)
        if proxies:
            return tuple(proxy.ports[0] for proxy in proxies)
        return self.port(self.source), self.port(self.target)

    def users(self, shape):
        return ["%s%d" % (shape.name, i) for i in range(shape.mailboxes)]

    def _warm_up(self, shape):
        """Reads the mail once, so that the first tool does not pay for Dovecot's cache and the disk."""
        for user in self.users(shape):
            with Client.to(self.source, user, PASSWORD) as client:
                for path in folders(client):
                    client.command(b"EXAMINE " + quote(Namespace(client).wire(path)))
                    tag = client.send(b"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
                    while client.read()[0] != tag:
                        pass
                client.logout()

    def bad_users(self, shape):
        """Those whose password a tool is told wrong."""
        return ["%s-bad%d" % (shape.name, i) for i in range(shape.bad)]

    def fill(self, shape):
        """Writes the mail of a shape once; returns (messages, bytes)."""
        if shape in self.filled:
            return self.filled[shape]

        def one(item):
            number, user = item
            folders = shape.make(number, shape.messages)
            if shape.messages > maildir.MANY and self.source.format == "maildir":
                return maildir.fill(self.source, user, PASSWORD, folders)
            return fill.fill(self.source, user, PASSWORD, folders)

        for user in [*self.users(shape), *self.bad_users(shape)]:
            self.source.add_user(user, PASSWORD)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = list(pool.map(one, enumerate(self.users(shape))))
        self.filled[shape] = sum(d[0] for d in done), sum(d[1] for d in done)
        self._warm_up(shape)
        return self.filled[shape]

    def fresh_users(self, names):
        """New users on the target, one for each of the source's names, in their order."""
        self._count += 1
        users = ["t%d-%s" % (self._count, name) for name in names]
        for user in users:
            self.target.add_user(user, PASSWORD)
        return users

    def forget(self, users):
        """Gives back the space, but not the files: ext4 does not use an inode again in the first minute, and whoever makes a file walks over
        all of those, one by one. The run that follows would pay for it with up to three times the CPU of its servers."""
        for user in users:
            self.target.remove_user(user)
            for folder, _, files in os.walk(self.target.mail_path(user)):
                for name in files:
                    os.truncate(os.path.join(folder, name), 0)


def folders(client):
    """Paths of the folders that can hold mail."""
    namespace = Namespace(client)
    return [namespace.path(a[4]) for a in client.command(b'LIST "" "*"')
            if a[1] == b"LIST" and not {b"\\NOSELECT", b"\\NONEXISTENT"} & {f.upper() for f in a[2]}]


def counts(server, user):
    """Folder path -> (messages, bytes); what holds no mail is left out: not every tool makes empty folders."""
    found = {}
    with Client.to(server, user, PASSWORD) as client:
        namespace = Namespace(client)
        for path in folders(client):
            for status in client.command(b"STATUS " + quote(namespace.wire(path)) + b" (MESSAGES SIZE)"):
                if status[1] == b"STATUS" and int(status[3][1]):
                    found[path] = int(status[3][1]), int(status[3][3])
        client.logout()
    return found
