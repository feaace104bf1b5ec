#!/usr/bin/python3
"""A server that logs a client in by a script of options and then does one simple thing with its bytes. Prints its port,
and ends when its standard input does. What it does of its own will it does when a line came after the login."""
import argparse
import os
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

parser = argparse.ArgumentParser()
parser.add_argument("--greeting", default="* OK ready")
parser.add_argument("--caps", default="IMAP4rev1")
parser.add_argument("--login", default="OK logged in", help="lines split at '|'; '@' stands for the tag, '%%' for what was sent")
parser.add_argument("--after", default="hold")
parser.add_argument("--proof", default="", help="of a dialogue: what CAPABILITY is answered by; as --login")
parser.add_argument("--compress", default="OK go", help="of a dialogue: the answer to COMPRESS")
parser.add_argument("--garbage", default="", help="of a dialogue: what is sent in place of deflate behind that answer; hexadecimal")
parser.add_argument("--amount", type=int, default=0)
parser.add_argument("--proxy", default="", help="is no server, but a proxy (HTTP CONNECT) that takes all names for this address")
parser.add_argument("--tls", choices=("first", "start", "refuse"))
parser.add_argument("--certificate", default="good", help="good, wrong_host, expired")
parser.add_argument("--certificates", help="folder")
parser.add_argument("--stop-at", default="", help="greeting, capability, starttls, handshake, login: says nothing from there on")
parser.add_argument("--close-at", default="", help="the same, but closes")
args = parser.parse_args()
context = None


def pattern(start, n):
    """Bytes whose value depends on where they are."""
    words = struct.pack("<%dI" % (n // 4 + 2), *range(start // 4, start // 4 + n // 4 + 2))
    return words[start % 4:start % 4 + n]


class Ended(Exception):
    pass


def phase(name, sock):
    if args.stop_at == name:
        time.sleep(3600)
    if args.close_at == name:
        raise Ended


def line(sock):
    got = b""
    while not got.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            raise Ended
        got += byte
    return got.decode("latin-1").rstrip("\r\n")


def say(sock, text):
    sock.sendall(text.encode("latin-1") + b"\r\n")


def secure(sock):
    phase("handshake", sock)
    return context.wrap_socket(sock, server_side=True)


def log_in(sock):
    phase("greeting", sock)
    if args.greeting:
        say(sock, args.greeting)
    secured = args.tls == "first"
    while True:
        tag, command = line(sock).split(" ", 1)
        verb = command.split(" ")[0].upper()
        if verb == "CAPABILITY":
            phase("capability", sock)
            offer = " STARTTLS" if args.tls in ("start", "refuse") and not secured else ""
            say(sock, "* CAPABILITY %s%s" % (args.caps, offer))
            say(sock, tag + " OK done")
        elif verb == "STARTTLS":
            phase("starttls", sock)
            if args.tls == "refuse":
                say(sock, tag + " NO not today")
                continue
            say(sock, tag + " OK go")
            sock = secure(sock)
            secured = True
        elif verb in ("LOGIN", "AUTHENTICATE"):
            phase("login", sock)
            answers = args.login.split("|")
            for i, a in enumerate(answers):
                say(sock, a.replace("@", tag).replace("%", command) if "@" in a or a.startswith("*") else
                    tag + " " + a.replace("%", command))
            return sock
        else:
            say(sock, tag + " BAD unknown")


def hold(sock):
    while sock.recv(65536):
        pass


def echo(sock):
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sock.sendall(data)


def slow_echo(sock):
    """Takes little at a time, and now and then nothing: the other side's writes must wait."""
    got = 0
    out = bytearray()
    while got < args.amount:
        data = sock.recv(65536)
        if not data:
            return
        out += data
        if (got >> 22) != ((got + len(data)) >> 22):
            time.sleep(0.05)
        got += len(data)
        if len(out) > 1 << 20 or got >= args.amount:
            sock.sendall(out)
            out.clear()
    hold(sock)


def source(sock):
    sent = 0
    while sent < args.amount:
        n = min(1 << 20, args.amount - sent)
        sock.sendall(pattern(sent, n))
        sent += n
    hold(sock)


def bye(sock):
    say(sock, "* BYE shutting down")


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def literal(sock, size):
    """Reads the bytes of a literal; tells whether they are the pattern's."""
    got, right = 0, True
    while got < size:
        data = sock.recv(min(65536, size - got))
        if not data:
            raise Ended
        right = right and data == pattern(got, len(data))
        got += len(data)
    return right


class Deflated:
    """A socket whose bytes are compressed in both directions (RFC 4978)."""

    def __init__(self, sock):
        self.sock, self.got = sock, b""
        self.inflater, self.deflater = zlib.decompressobj(-15), zlib.compressobj(6, zlib.DEFLATED, -15)

    def recv(self, n):
        self.got = self.got or self.inflater.decompress(self.inflater.unconsumed_tail, 65536)
        while not self.got:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self.got = self.inflater.decompress(data, 65536)
        piece, self.got = self.got[:n], self.got[n:]
        return piece

    def sendall(self, data):
        self.sock.sendall(self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH))

    def close(self):
        self.sock.close()


def compress(sock, tag):
    say(sock, tag + " " + args.compress)
    if not args.compress.startswith("OK"):
        return sock
    sock.sendall(bytes.fromhex(args.garbage))
    return Deflated(sock)


def answer(sock, tag, verb, rest):
    """One command of a dialogue. Folder names say what is to happen."""
    if verb == "CAPABILITY":
        if args.proof:
            for a in args.proof.split("|"):
                say(sock, a.replace("@", tag))
            return
        say(sock, "* CAPABILITY " + args.caps)
    elif verb == "NOOP":
        say(sock, "* 7 EXISTS")
    elif verb == "APPEND":
        size = int(rest.rsplit("{", 1)[1].rstrip("}+"))
        if not rest.endswith("+}"):
            say(sock, "+ go on")
        if "slow" in rest:
            time.sleep(0.2)
        right = literal(sock, size)
        line(sock)
        say(sock, tag + (" OK [APPENDUID 1 5] done" if right or "blind" in rest else " NO wrong bytes"))
        return
    elif verb == "UID":
        say(sock, "* 1 FETCH (UID 1 BODY[] {%d}" % args.amount)
        for at in range(0, args.amount, 1 << 20):
            sock.sendall(pattern(at, min(1 << 20, args.amount - at)))
        say(sock, ")")
    elif "flood" in rest:
        sock.sendall(b"* 1 EXISTS\r\n" * args.amount)
    elif "silence" in rest:
        return
    elif "trickle" in rest:
        for _ in range(8):
            time.sleep(0.1)
            sock.sendall(b"* OK w")
            sock.sendall(b"ait\r\n")
    elif "drip" in rest or "drizzle" in rest:       # a response that never ends, byte by byte; slower, and less slow
        sock.sendall(b"* OK ")
        for _ in range(60):
            time.sleep(0.25 if "drip" in rest else 0.03)
            sock.sendall(b"w")
        sock.sendall(b"\r\n")
    elif "patience" in rest:                        # short ones, with much time between
        for _ in range(3):
            time.sleep(0.6)
            sock.sendall(b"* OK\r\n")
    elif "goodbye" in rest:
        say(sock, "* BYE [UNAVAILABLE] closing down")
        time.sleep(0.1)
        say(sock, tag + " OK you still got that")
        raise Ended
    elif "farewell" in rest:
        say(sock, tag + " OK done")
        say(sock, "* BYE idle too long")
        time.sleep(3600)
    elif "nonsense" in rest:
        say(sock, "zz99 OK never asked")
    say(sock, tag + " OK done")


def dialogue(sock):
    while True:
        words = line(sock).split(" ", 2) + [""]
        if words[1].upper() == "COMPRESS":
            sock = compress(sock, words[0])
            continue
        answer(sock, words[0], words[1].upper(), words[2])


AFTER = {"dialogue": dialogue, "hold": hold, "echo": echo, "slow-echo": slow_echo, "source": source, "bye": bye, "close": lambda sock: None, "gone": lambda sock: None, "reset": reset}


def pump(a, b):
    while True:
        data = a.recv(65536)
        if not data:
            break
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)


def proxy(sock):
    verb, where, _ = line(sock).split(" ")
    while line(sock):
        pass
    if verb != "CONNECT":
        raise Ended
    with socket.create_connection((args.proxy, int(where.rsplit(":", 1)[1]))) as other:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=pump, args=(other, sock), daemon=True).start()
        pump(sock, other)


def serve(sock):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if args.proxy:
            proxy(sock)
            return
        if args.tls == "first":
            sock = secure(sock)
        sock = log_in(sock)
        if args.after in ("source", "bye", "close", "reset"):
            line(sock)  # what comes in one read behind the login's answer is lost in libcurl
        AFTER[args.after](sock)
    except (Ended, OSError, ValueError):
        pass
    finally:
        sock.close()


def accept(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


if args.tls in ("first", "start"):
    from lab import certs
    cert, key = getattr(certs.Authority(args.certificates), args.certificate)()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
os.write(1, b"%d\n" % listener.getsockname()[1])
sys.stdin.buffer.read()
os._exit(0)
