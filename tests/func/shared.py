"""Dovecots that live as long as the run of the tests: a test takes users of its own on them."""
import atexit
import itertools
import os
import shutil
import tempfile

from lab import fill, reader
from lab.dovecot import Dovecot

_servers, _filled, _root = {}, {}, None
_numbers = itertools.count(1)


def folder():
    global _root
    if not _root:
        _root = tempfile.mkdtemp(prefix="godwit-real-")
        os.chmod(_root, 0o755)
        atexit.register(_end)
    return _root


def _end():
    for server in _servers.values():
        server.kill()
    shutil.rmtree(_root, ignore_errors=True)


def dovecot(name, **options):
    """The server of that name, started when it is first asked for."""
    if name not in _servers:
        _servers[name] = Dovecot(folder(), name, **{"auth_failure_delay": "0 secs", "auth_penalty": False, **options}).start()
    return _servers[name]


def old():
    return dovecot("old")


def new():
    return dovecot("new")


def old_plain():
    return dovecot("old-plain", tls="none")


def new_plain():
    return dovecot("new-plain", tls="none")


def user(server, *others):
    """A fresh user on that server, and the same one on others; the password is "secret of NAME", as login() has it."""
    name = "user%d" % next(_numbers)
    for one in (server, *others):
        one.add_user(name, password(name))
    return name


def troubles():
    """What the servers complained of in their logs."""
    for server in _servers.values():
        for line in server.log().splitlines():
            if any(word in line for word in ("Error: ", "Fatal: ", "Panic: ")):
                yield "%s: %s" % (server.name, line)


def password(name):
    return "secret of " + name


def filled(server, corpus):
    """(user, what the independent reader found there) of a mailbox with that corpus; made once per server, for reading only.

    `corpus`: a function without arguments, known by its name, that returns the folders."""
    key = (server.name, corpus.__name__)
    if key not in _filled:
        name = user(server)
        fill.fill(server, name, password(name), corpus())
        _filled[key] = name, reader.read(server, name, password(name))
    return _filled[key]


def read(server, name):
    return reader.read(server, name, password(name))
