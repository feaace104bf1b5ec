"""A small blocking IMAP client for the lab: fills servers and reads them back. Shares nothing with the program under test."""
import base64
import re
import socket
import ssl


class Refused(Exception):
    """A tagged NO or BAD; the text is the server's."""


class Client:
    def __init__(self, host, port, security="none", ca_file=None, timeout=60):
        """`security`: "none", "starttls" or "imaps". Certificates are verified against `ca_file` when it is given."""
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.capabilities, self._count, self.untagged = set(), 0, []
        context = ssl.create_default_context(cafile=ca_file) if ca_file else ssl._create_unverified_context()
        if security == "imaps":
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("rb", 1 << 18)
        self.greeting = self.read()
        if security == "starttls":
            self.command(b"STARTTLS")
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
            self.file = self.sock.makefile("rb", 1 << 18)

    @classmethod
    def to(cls, server, user, password, security=None, timeout=60):
        """Logged in to something with host, imap_port, imaps_port and ca_file (a Dovecot, a dict of lab.json)."""
        get = server.get if isinstance(server, dict) else lambda key: getattr(server, key)
        security = security or "none"
        port = get("imaps_port") if security == "imaps" else get("imap_port")
        client = cls(get("host"), port, security, get("ca_file") if security != "none" else None, timeout)
        client.login(user, password)
        return client

    def login(self, user, password):
        secret = base64.b64encode(("\0%s\0%s" % (user, password)).encode())
        tag = self.send(b"AUTHENTICATE PLAIN")
        answer = self.read()
        if answer[0] == b"+":
            self.sock.sendall(secret + b"\r\n")
            answer = None
        self.finish(tag, answer)
        self.command(b"CAPABILITY")

    # --- commands -------------------------------------------------------------------------------------------------

    def tag(self):
        self._count += 1
        return b"L%d" % self._count

    def send(self, line):
        tag = self.tag()
        self.sock.sendall(tag + b" " + line + b"\r\n")
        return tag

    def finish(self, tag, answer=None):
        """Reads to the tagged answer; returns the untagged ones, and raises Refused for NO and BAD."""
        seen = []
        while True:
            answer = answer or self.read()
            if answer[0] == tag:
                self.text = answer
                if answer[1] != b"OK":
                    raise Refused((b" ".join(a for a in answer[1:] if isinstance(a, bytes))).decode("utf-8", "replace"))
                return seen
            if answer[0] == b"*" and answer[1] == b"CAPABILITY":
                self.capabilities = {c.decode().upper() for c in answer[2:]}
            seen.append(answer)
            answer = None

    def command(self, line):
        return self.finish(self.send(line))

    def has(self, capability):
        return capability.upper() in self.capabilities

    def logout(self):
        try:
            self.command(b"LOGOUT")
        except (OSError, EOFError, Refused):
            pass
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- answers --------------------------------------------------------------------------------------------------

    def read(self):
        """One response as a list: [tag or * or +, words...]; lists are lists, strings are bytes, NIL is None.

        Status responses (OK NO BAD BYE PREAUTH, +) keep their text as one piece: their text is not IMAP syntax."""
        line = self._line()
        first, _, rest = line.partition(b" ")
        word, _, text = rest.partition(b" ")
        if first == b"+":
            return [first, rest]
        if word.upper() in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
            return [first, word.upper(), text]
        stack = [[first]]
        while True:
            literal = re.search(rb"~?\{(\d+)\}$", rest)
            _tokens(rest[:literal.start()] if literal else rest, stack)
            if not literal:
                break
            stack[-1].append(self._exactly(int(literal[1])))
            rest = self._line()
        return stack[0]

    def _line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server closed the connection" + (" in the middle of a line" if line else ""))
        return line[:-2]

    def _exactly(self, size):
        data = self.file.read(size)
        if len(data) != size:
            raise EOFError("the server closed the connection in the middle of a literal")
        return data


_TOKEN = re.compile(rb' *(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|([^ ()"\[]*\[[^\]]*\][^ ()"]*|[^ ()"]+))')


def _tokens(text, stack):
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            if not text[position:].strip():
                return
            raise ValueError("cannot read: %r" % text[position:position + 80])
        position = match.end()
        if match[1]:
            inner = []
            stack[-1].append(inner)
            stack.append(inner)
        elif match[2]:
            stack.pop()
        elif match[3] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[3]))
        else:
            stack[-1].append(None if match[4].upper() == b"NIL" else match[4])


def pairs(items):
    """(NAME value NAME value) as a dict with upper-case names."""
    return {items[i].upper(): items[i + 1] for i in range(0, len(items) - 1, 2)}


def quote(text):
    """A quoted string, or a literal would be needed: the lab's names are all 7-bit on the wire."""
    text = text if isinstance(text, bytes) else text.encode("ascii")
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def encode_name(text):
    """Modified UTF-7 (RFC 3501 section 5.1.3)."""
    out, run = [], ""

    def flush():
        if run:
            packed = base64.b64encode(run.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
            out.append("&" + packed.decode() + "-")

    for char in text:
        if " " <= char <= "~":
            flush()
            run = ""
            out.append("&-" if char == "&" else char)
        else:
            run += char
    flush()
    return "".join(out)


def decode_name(wire):
    wire = wire.decode("utf-8", "surrogateescape") if isinstance(wire, bytes) else wire

    def unpack(match):
        if not match[1]:
            return "&"
        packed = match[1].replace(",", "/")
        return base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-16-be")

    return re.sub(r"&([^-]*)-", unpack, wire)


class Namespace:
    """Where the personal folders are: turns wire names into paths and back."""

    def __init__(self, client):
        self.prefix, self.separator = "", "/"
        personal = None
        if client.has("NAMESPACE"):
            for answer in client.command(b"NAMESPACE"):
                if answer[1] == b"NAMESPACE" and answer[2]:
                    personal = answer[2][0]
        if personal:
            self.prefix = personal[0].decode()
            self.separator = personal[1].decode() if personal[1] else None
        else:
            for answer in client.command(b'LIST "" ""'):
                if answer[1] == b"LIST":
                    self.separator = answer[3].decode() if answer[3] else None

    def path(self, wire):
        name = decode_name(wire)
        if name.upper() == "INBOX":
            return ("INBOX",)
        if self.prefix and name.startswith(self.prefix):
            name = name[len(self.prefix):]
        parts = name.split(self.separator) if self.separator else [name]
        return tuple(parts)

    def wire(self, path):
        if tuple(path) == ("INBOX",):
            return b"INBOX"
        return encode_name(self.prefix + (self.separator or "/").join(path)).encode("ascii")
