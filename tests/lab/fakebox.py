"""An in-memory IMAP server for fakeimapd.py: good enough to be a source or a target, and to fail at a chosen place.

Generated messages are streamed and never held in memory, appended ones are read streaming: what is kept of a large one is
its digest. Every user sees the same Box."""
import asyncio
import base64
import copy
import hashlib
import re

from .fakeimapd import Closed
from .imap import _tokens, quote

CAPABILITIES = ("IMAP4rev1 SASL-IR ENABLE ID NAMESPACE UNSELECT CHILDREN LITERAL+ MULTIAPPEND UIDPLUS LIST-EXTENDED "
                "LIST-STATUS").split()
CHUNK = 1 << 18
SYSTEM = "\\Answered \\Flagged \\Deleted \\Seen \\Draft"


class Message:
    """A message with a `body`, or one that is generated with exactly `size` bytes.

    `announced_size`: what RFC822.SIZE says when it lies. `cut_at`, `reset_at`, `stall_at`: what happens when so many bytes of
    its literal have been sent. `literal_size`: what the literal announces when that lies."""

    def __init__(self, uid, size=3000, body=None, flags=(), date="01-Feb-2020 03:04:05 +0000", announced_size=None,
                 cut_at=None, reset_at=None, stall_at=None, literal_size=None, times=0):
        self.uid, self.body, self.flags, self.date = uid, body, list(flags), date
        self.size = len(body) if body is not None else size
        self.announced_size = self.size if announced_size is None else announced_size
        self.cut_at, self.reset_at, self.stall_at, self.literal_size = cut_at, reset_at, stall_at, literal_size
        self.times = times      # how often it fails so; 0: always
        self.modseq = 1
        self.failed = 0
        self.digest = None      # of appended messages
        self.head = None

    def headers(self):
        if self.head is not None:
            return self.head
        if self.body is not None:
            return self.body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        return (b"Date: Sat, 1 Feb 2020 03:04:05 +0000\r\nFrom: ann@example.org\r\nTo: bob@example.org\r\n"
                b"Subject: generated %d\r\nMessage-ID: <generated.%d@example.org>\r\n\r\n" % (self.uid, self.uid))

    def chunks(self):
        if self.body is not None:
            yield self.body
            return
        if self.digest:
            raise ValueError("the body of an appended message of this size is not kept")
        head = self.headers()[:self.size]
        yield head
        left, line = self.size - len(head), b"generated %09d " % self.uid + b"x" * 50 + b"\r\n"
        pool = line * (CHUNK // len(line))
        while left > len(pool):
            yield pool
            left -= len(pool)
        if left:
            yield (pool[:left - 2] + b"\r\n")[-left:]

    def sha256(self):
        if self.digest:
            return self.digest
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


class Folder:
    def __init__(self, name, uidvalidity, uidnext=1, attributes=(), subscribed=False):
        self.name, self.uidvalidity, self.attributes, self.subscribed = name, uidvalidity, list(attributes), subscribed
        self.messages, self.uidnext, self.modseq = [], uidnext, 1
        self.append_limit = None  # what STATUS tells of it; None: it does not

    def touch(self, *messages):
        """They changed: with CONDSTORE (RFC 7162) it shows. An expunge does not, as at servers without QRESYNC."""
        self.modseq += 1
        for message in messages:
            message.modseq = self.modseq

    def add(self, uid=None, **message):
        """Puts a message in; the arguments are those of Message."""
        made = Message(uid or self.uidnext, **message)
        self.uidnext = made.uid + 1
        self.messages.append(made)
        self.touch(made)
        return made

    def item(self, name):
        return {"MESSAGES": len(self.messages), "RECENT": 0, "UIDNEXT": self.uidnext, "UIDVALIDITY": self.uidvalidity, "HIGHESTMODSEQ": self.modseq,
                "UNSEEN": sum("\\Seen" not in m.flags for m in self.messages),
                "APPENDLIMIT": self.append_limit, "SIZE": sum(m.size for m in self.messages)}.get(name)


class Box:
    """What the server holds and how it behaves. Change it while it runs, from the test's thread.

    `users`: name -> password; None lets everybody in. `without`: capabilities not offered. `hook(name, number, line)` is
    called for each command, `number` counting those of that name over all connections from 1; it may return
    ("answer", b"NO [UNAVAILABLE] ..."), ("cut",), ("reset",), ("stall",), ("delay", seconds),
    ("tell", b"* 5 EXPUNGE"), which comes before the answer, or None.
    `append_answer(number, message)`: called for every message appended, before it is stored; an answer such as
    b"NO [OVERQUOTA] full" refuses the whole command. `before_literal(number)`: the same, in place of the "+".
    `stop_reading_at`: in each literal, after so many bytes, nothing is read until `go_on()`.
    `mechanisms`: of SASL, as offered; a login on behalf of another (PLAIN) is always possible.
    `append_delay`: seconds between having a message and storing it; it is stored even when the client has gone.
    `first_uid`, `first_uidvalidity`: where the numbers of new folders begin, so that those of two boxes differ.
    `keeps_uidvalidity`: False: another one for each connection.
    `namespaces`: what NAMESPACE answers, as bytes, in place of `prefix` and `separator`; `quota`: the list of resources, b"STORAGE 10 512"."""

    def __init__(self, users=None, without=(), extra=(), separator="/", prefix="", starttls=False, hook=None,
                 append_answer=None, before_literal=None, stop_reading_at=None, append_delay=0, keep=1 << 20,
                 greeting="ready", trickle=None, mechanisms=("PLAIN", "LOGIN"), first_uid=1, first_uidvalidity=1000,
                 keeps_uidvalidity=True, namespaces=None, quota=None):
        self.mechanisms = mechanisms
        self.namespaces, self.quota = namespaces, quota
        self.users, self.separator, self.prefix, self.starttls = users, separator, prefix, starttls
        self.capabilities = [c for c in CAPABILITIES if c not in without] + list(extra)
        self.hook, self.append_answer, self.before_literal = hook, append_answer, before_literal
        self.stop_reading_at, self.append_delay, self.keep = stop_reading_at, append_delay, keep
        self.greeting, self.trickle = greeting, trickle
        self.first_uid, self.first_uidvalidity, self.keeps_uidvalidity = first_uid, first_uidvalidity, keeps_uidvalidity
        self.folders, self.counts, self.appends, self.made = {}, {}, 0, -1
        self.resume = None
        self.folder("INBOX")

    def folder(self, name, **options):
        """The folder of that wire name, made when it is not there."""
        if name.upper() == "INBOX":
            name = "INBOX"
        if name not in self.folders:
            self.made += 1
            self.folders[name] = Folder(name, self.first_uidvalidity + self.made, self.first_uid, **options)
        return self.folders[name]

    def snapshot(self):
        """The mail, to be given to put_back()."""
        return copy.deepcopy(self.folders), self.made

    def put_back(self, snapshot):
        self.folders, self.made = copy.deepcopy(snapshot)

    def change_uidvalidity(self):
        """Gives another UIDVALIDITY to all folders, and other UIDs to their messages."""
        for folder in self.folders.values():
            folder.uidvalidity += 100000
            for message in folder.messages:
                message.uid += 3
            folder.uidnext += 3

    def digests(self, name="INBOX"):
        return [m.sha256() for m in self.folders[name].messages]

    def go_on(self, server):
        """Ends the back-pressure of `stop_reading_at`."""
        self.stop_reading_at = None
        if self.resume:
            server.loop.call_soon_threadsafe(self.resume.set)


class Session:
    def __init__(self, connection, box):
        self.c, self.box = connection, box
        self.user = self.selected = None
        self.read_only = self.secured = False
        if not box.keeps_uidvalidity:
            for folder in box.folders.values():
                folder.uidvalidity += 1
        if box.trickle:
            connection.trickle_chunk, connection.trickle_pause = box.trickle

    async def run(self):
        await self.c.send(b"* OK [CAPABILITY %s] %s\r\n" % (self.offered(), self.box.greeting.encode()))
        while True:
            await self.command(await self.c.line())

    def offered(self):
        words = list(self.box.capabilities)
        if not self.user:
            words = [w for w in words if w in ("IMAP4rev1", "SASL-IR", "ENABLE", "ID", "LITERAL+", "LITERAL-")]
            if self.box.starttls and not self.secured:
                words.append("STARTTLS")
            words += ["AUTH=" + m for m in self.box.mechanisms]
        return " ".join(words).encode()

    async def command(self, line):
        tag, _, rest = line.partition(b" ")
        name = rest.split(b" ")[0].upper().decode("utf-8", "replace")
        shown = line.decode("utf-8", "replace")
        if name == "UID":
            name = " ".join(rest.upper().decode("utf-8", "replace").split(" ")[:2])
        self.c.note("command", line=shown, name=name)
        number = self.box.counts[name] = self.box.counts.get(name, 0) + 1
        answer = self.box.hook(name, number, shown) if self.box.hook else None
        if answer and answer[0] == "delay":
            await asyncio.sleep(answer[1])
        elif answer and answer[0] == "answer":
            await self.c.send(tag + b" " + answer[1] + b"\r\n")
            return
        elif answer and answer[0] == "tell":
            await self.c.send(answer[1] + b"\r\n")
        elif answer:
            await getattr(self.c, answer[0])()
        if name == "APPEND":
            await self.append(tag, rest[7:])
            return
        stack = [[]]
        while literal := re.search(rb"\{(\d+)([+-]?)\}$", rest):
            _tokens(rest[:literal.start()], stack)
            if not literal[2]:
                await self.c.send(b"+ go on\r\n")
            stack[-1].append(await self.exactly(int(literal[1])))
            rest = await self.c.line()
        try:
            _tokens(rest, stack)
        except (ValueError, IndexError):
            await self.c.send(tag + b" BAD cannot read that\r\n")
            return
        words = stack[0]
        method = getattr(self, "do_" + name.lower().replace(" ", "_"), None)
        free = ("CAPABILITY", "NOOP", "LOGOUT", "LOGIN", "AUTHENTICATE", "STARTTLS", "ID")
        if not method or (not self.user and name not in free):
            await self.c.send(tag + b" BAD unknown or not allowed now: " + name.encode() + b"\r\n")
            return
        try:
            done = await method(words[2:] if name.startswith("UID ") else words[1:])
        except (IndexError, TypeError, AttributeError, ValueError) as error:
            self.c.note("malformed", line=shown, text=repr(error))
            done = b"BAD cannot read that"
        if done is not None:
            await self.c.send(tag + b" " + done + b"\r\n")
        if name == "STARTTLS":
            await self.c.starttls()
            self.secured = True

    async def exactly(self, size):
        data = b""
        while len(data) < size:
            data += await self.c.some(size - len(data))
        return data

    # --- any state ----------------------------------------------------------------------------------------------------

    async def do_capability(self, _):
        await self.c.send(b"* CAPABILITY %s\r\n" % self.offered())
        return b"OK done"

    async def do_noop(self, _):
        return b"OK done"

    do_check = do_noop

    async def do_id(self, _):
        await self.c.send(b'* ID ("name" "fake")\r\n')
        return b"OK done"

    async def do_starttls(self, _):
        return b"OK begin now"

    async def do_unauthenticate(self, _):
        if "UNAUTHENTICATE" not in self.box.capabilities:
            return b"BAD no such command"
        self.user = self.selected = None
        self.read_only = False
        return b"OK [CAPABILITY %s] who are you?" % self.offered()

    async def do_logout(self, _):
        await self.c.send(b"* BYE see you\r\n")
        return b"OK done"

    async def do_login(self, words):
        return self.let_in(words[0].decode(), words[1].decode())

    async def do_authenticate(self, words):
        if words[0].upper() == b"PLAIN":
            answer = words[1] if len(words) > 1 else await self.ask(b"")
            parts = base64.b64decode(answer + b"==").split(b"\0")
            return self.let_in(parts[1].decode(), parts[2].decode(), parts[0].decode())
        if words[0].upper() == b"LOGIN":
            user = words[1] if len(words) > 1 else await self.ask(b"VXNlcm5hbWU6")
            password = await self.ask(b"UGFzc3dvcmQ6")
            return self.let_in(base64.b64decode(user).decode(), base64.b64decode(password).decode())
        return b"NO no such mechanism"

    async def ask(self, challenge):
        await self.c.send(b"+ " + challenge + b"\r\n")
        return await self.c.line()

    def let_in(self, user, password, behalf=""):
        if self.box.users is not None and self.box.users.get(user) != password:
            self.c.note("refused", user=user)
            return b"NO [AUTHENTICATIONFAILED] Authentication failed."
        self.user = behalf or user
        self.c.note("login", user=self.user, by=user)
        return b"OK [CAPABILITY %s] Logged in" % self.offered()

    # --- folders ------------------------------------------------------------------------------------------------------

    def find(self, word):
        name = (word or b"NIL").decode()
        return self.box.folders.get("INBOX" if name.upper() == "INBOX" else name)

    async def do_namespace(self, _):
        own = b"((%s %s)) NIL NIL" % (quote(self.box.prefix), quote(self.box.separator))
        await self.c.send(b"* NAMESPACE %s\r\n" % (self.box.namespaces or own))
        return b"OK done"

    async def do_enable(self, words):
        await self.c.send(b"* ENABLED\r\n")
        return b"OK done"

    async def do_list(self, words, answer=b"LIST", only_subscribed=False):
        if words and isinstance(words[0], list):
            only_subscribed = any(w.upper() == b"SUBSCRIBED" for w in words.pop(0))
        patterns = words[1] if isinstance(words[1], list) else [words[1]]
        returned = words[3] if len(words) > 3 else []
        status = next((returned[i + 1] for i, w in enumerate(returned) if isinstance(w, bytes) and w.upper() == b"STATUS"), None)
        if patterns == [b""]:
            await self.c.send(b'* LIST (\\Noselect) %s ""\r\n' % quote(self.box.separator))
            return b"OK done"
        out = []
        for folder in list(self.box.folders.values()):
            if only_subscribed and not folder.subscribed or not any(
                    self.matches(folder.name, (words[0] + p).decode()) for p in patterns):
                continue
            attributes = list(folder.attributes)
            children = any(f.startswith(folder.name + self.box.separator) for f in self.box.folders)
            attributes.append("\\HasChildren" if children else "\\HasNoChildren")
            if folder.subscribed and answer == b"LIST":
                attributes.append("\\Subscribed")
            out.append(b"* %s (%s) %s %s\r\n" % (answer, " ".join(attributes).encode(), quote(self.box.separator),
                                                 quote(folder.name)))
            if status and "\\Noselect" not in folder.attributes:
                out.append(self.status_line(folder, status))
        await self.c.send(b"".join(out))
        return b"OK done"

    def matches(self, name, pattern):
        expression = re.escape(pattern).replace(r"\*", ".*").replace("%", "[^%s]*" % re.escape(self.box.separator))
        return re.fullmatch(expression, name, re.I if name == "INBOX" else 0)

    async def do_lsub(self, words):
        return await self.do_list(words, b"LSUB", True)

    def status_line(self, folder, items):
        values = ((i, folder.item(i.decode().upper())) for i in items)
        return b"* STATUS %s (%s)\r\n" % (quote(folder.name), b" ".join(b"%s %d" % v for v in values if v[1] is not None))

    async def do_status(self, words):
        folder = self.find(words[0])
        if not folder:
            return b"NO [NONEXISTENT] no such folder"
        await self.c.send(self.status_line(folder, words[1]))
        return b"OK done"

    async def do_create(self, words):
        if self.find(words[0]):
            return b"NO [ALREADYEXISTS] it exists"
        attributes = [a.decode() for a in words[1][1]] if len(words) > 1 else ()
        if attributes and "CREATE-SPECIAL-USE" not in self.box.capabilities:
            return b"BAD too many words"
        self.box.folder(words[0].decode().rstrip(self.box.separator), attributes=attributes)
        return b"OK done"

    async def do_getquotaroot(self, words):
        if not self.find(words[0]):
            return b"NO [NONEXISTENT] no such folder"
        await self.c.send(b'* QUOTAROOT %s "all of it"\r\n* QUOTA "all of it" (%s)\r\n' % (words[0], self.box.quota or b""))
        return b"OK done"

    async def do_delete(self, words):
        folder = self.find(words[0])
        if not folder:
            return b"NO [NONEXISTENT] no such folder"
        del self.box.folders[folder.name]
        return b"OK done"

    async def do_subscribe(self, words, yes=True):
        folder = self.find(words[0])
        if not folder:
            return b"NO [NONEXISTENT] no such folder"
        folder.subscribed = yes
        return b"OK done"

    async def do_unsubscribe(self, words):
        return await self.do_subscribe(words, False)

    async def do_select(self, words, read_only=False):
        folder = self.selected = self.find(words[0])
        self.read_only = read_only
        if not folder or "\\Noselect" in folder.attributes:
            self.selected = None
            return b"NO [NONEXISTENT] no such folder"
        await self.c.send(b"* FLAGS (%s)\r\n* OK [PERMANENTFLAGS (%s)] flags\r\n* %d EXISTS\r\n* 0 RECENT\r\n"
                          b"* OK [UIDVALIDITY %d] valid\r\n* OK [UIDNEXT %d] next\r\n" % (
                              SYSTEM.encode(), b"" if read_only else SYSTEM.encode() + b" \\*", len(folder.messages),
                              folder.uidvalidity, folder.uidnext))
        if "CONDSTORE" in self.box.capabilities:
            await self.c.send(b"* OK [HIGHESTMODSEQ %d] highest\r\n" % folder.modseq)
        return b"OK [READ-%s] done" % (b"ONLY" if read_only else b"WRITE")

    async def do_examine(self, words):
        return await self.do_select(words, True)

    async def do_unselect(self, _):
        self.selected = None
        return b"OK done"

    do_close = do_unselect

    # --- messages -----------------------------------------------------------------------------------------------------

    def chosen(self, text, by_uid):
        """(sequence number, message) of a set such as 1:5,9,20:*"""
        messages = list(self.selected.messages) if self.selected else []
        top = messages[-1].uid if by_uid and messages else len(messages)
        ranges = []
        for part in text.decode().split(","):
            ends = [top if e == "*" else int(e) for e in part.split(":")]
            ranges.append((min(ends), max(ends)))
        for number, message in enumerate(messages, 1):
            key = message.uid if by_uid else number
            if any(low <= key <= high for low, high in ranges):
                yield number, message

    async def do_fetch(self, words, by_uid=False):
        items = words[1] if isinstance(words[1], list) else [words[1]]
        names = [i.upper() for i in items if isinstance(i, bytes)]
        if by_uid and b"UID" not in names:
            names.insert(0, b"UID")
        since = int(words[2][1]) if len(words) > 2 and words[2][0].upper() == b"CHANGEDSINCE" else 0
        names += [b"MODSEQ"] if since else []
        for number, message in self.chosen(words[0], by_uid):
            if not since or message.modseq > since:
                await self.fetch_one(number, message, names)
        return b"OK done" if self.selected else b"BAD no folder is open"

    async def do_uid_fetch(self, words):
        return await self.do_fetch(words, True)

    async def fetch_one(self, number, message, names):
        out = [b"* %d FETCH (" % number]
        for index, name in enumerate(names):
            out.append(b" " if index else b"")
            name = name.replace(b".PEEK", b"")
            if name == b"UID":
                out.append(b"UID %d" % message.uid)
            elif name == b"FLAGS":
                out.append(b"FLAGS (%s)" % " ".join(message.flags).encode())
            elif name == b"INTERNALDATE":
                out.append(b'INTERNALDATE "%s"' % message.date.encode())
            elif name == b"MODSEQ":
                out.append(b"MODSEQ (%d)" % message.modseq)
            elif name == b"RFC822.SIZE":
                out.append(b"RFC822.SIZE %d" % message.announced_size)
            elif name.startswith(b"BODY[HEADER"):
                fields = header_fields(message.headers(), name)
                out.append(b"%s {%d}\r\n%s" % (name, len(fields), fields))
            elif name.startswith(b"BODY["):
                size = message.size if message.literal_size is None else message.literal_size
                await self.c.send(b"".join(out) + b"BODY[] {%d}\r\n" % size)
                out = []
                await self.send_body(message)
        await self.c.send(b"".join(out) + b")\r\n")

    async def send_body(self, message):
        fault = [(at, what) for what, at in (("cut", message.cut_at), ("reset", message.reset_at), ("stall", message.stall_at))
                 if at is not None and (not message.times or message.failed < message.times)]
        sent = 0
        for chunk in message.chunks():
            if fault and sent + len(chunk) >= fault[0][0]:
                await self.c.send(chunk[:fault[0][0] - sent])
                message.failed += 1
                await getattr(self.c, fault[0][1])()
            await self.c.send(chunk)
            sent += len(chunk)

    async def do_store(self, words, by_uid=False):
        if not self.selected or self.read_only:
            return b"NO not open for writing"
        action, given = words[1].upper(), [f.decode() for f in (words[2] if isinstance(words[2], list) else words[2:])]
        for number, message in self.chosen(words[0], by_uid):
            kept = [f for f in message.flags if f not in given]
            self.selected.touch(message)
            message.flags = given if action.startswith(b"FLAGS") else kept + given if action[:1] == b"+" else kept
            if b".SILENT" not in action:
                uid = b"UID %d " % message.uid if by_uid else b""
                await self.c.send(b"* %d FETCH (%sFLAGS (%s))\r\n" % (number, uid, " ".join(message.flags).encode()))
        return b"OK done"

    async def do_uid_store(self, words):
        return await self.do_store(words, True)

    async def do_uid_search(self, words):
        uids = [m.uid for m in self.selected.messages] if self.selected else []
        if len(words) > 1 and words[-2].upper() == b"UID":
            uids = [m.uid for _, m in self.chosen(words[-1], True)]
        await self.c.send(b"* SEARCH" + b"".join(b" %d" % u for u in uids) + b"\r\n")
        return b"OK done"

    async def do_expunge(self, words, by_uid=False):
        if not self.selected or self.read_only:
            return b"NO not open for writing"
        chosen = self.chosen(words[0] if by_uid else b"1:*", by_uid)
        for number, message in reversed(list(chosen)):
            if "\\Deleted" in message.flags:
                self.selected.messages.remove(message)
                await self.c.send(b"* %d EXPUNGE\r\n" % number)
        return b"OK done"

    async def do_uid_expunge(self, words):
        return await self.do_expunge(words, True)

    # --- APPEND -------------------------------------------------------------------------------------------------------

    async def append(self, tag, rest):
        """Reads all messages of one command; stores all of them or none (RFC 3502)."""
        name, new, refusal = None, [], None
        while True:
            literal = re.search(rb"~?\{(\d+)([+-]?)\}$", rest)
            stack = [[]]
            _tokens(rest[:literal.start()] if literal else rest, stack)
            words = stack[0]
            if name is None and words:
                name = words.pop(0) or b"NIL"
            if not literal:
                break
            size = int(literal[1])
            if name is None:
                if not literal[2]:
                    await self.c.send(b"+ go on\r\n")
                name = await self.exactly(size)
                rest = await self.c.line()
                continue
            self.box.appends += 1
            if not literal[2]:
                early = self.box.before_literal(self.box.appends) if self.box.before_literal else None
                early = early or (None if self.find(name) else b"NO [TRYCREATE] no such folder")
                if early:
                    await self.c.send(tag + b" " + early + b"\r\n")
                    return
                await self.c.send(b"+ go on\r\n")
            flags = [f.decode() for f in words.pop(0)] if words and isinstance(words[0], list) else []
            message = Message(0, size=size, flags=flags, date=words[0].decode() if words else "")
            message.binary = literal[0].startswith(b"~")
            await self.receive(message, name)
            if self.box.append_answer and not refusal:
                refusal = self.box.append_answer(self.box.appends, message)
            new.append(message)
            rest = await self.c.line()
            if not rest:
                break
        if len(new) > 1 and "MULTIAPPEND" not in self.box.capabilities:
            refusal = b"BAD one message only"
        if self.box.append_delay:
            await asyncio.shield(asyncio.sleep(self.box.append_delay))
        folder = self.find(name)
        if refusal or not folder or not self.user or not new:
            refusal = refusal or (b"BAD nothing to append" if folder else b"NO [TRYCREATE] no such folder")
            self.c.note("append_refused", folder=name.decode(), count=len(new), answer=refusal.decode())
            await self.c.send(tag + b" " + refusal + b"\r\n")
            return
        for message in new:
            message.uid = folder.uidnext
            folder.uidnext += 1
            folder.messages.append(message)
            folder.touch(message)
            self.c.note("appended", folder=folder.name, uid=message.uid, size=message.size, sha256=message.digest,
                        flags=message.flags, date=message.date)
        uids = b"%d" % new[0].uid + (b":%d" % new[-1].uid if len(new) > 1 else b"")
        code = b"[APPENDUID %d %s] " % (folder.uidvalidity, uids) if "UIDPLUS" in self.box.capabilities else b""
        await self.c.send(tag + b" OK " + code + b"done\r\n")

    async def receive(self, message, name):
        digest, left, kept = hashlib.sha256(), message.size, bytearray()
        try:
            while left:
                read = message.size - left
                if self.box.stop_reading_at is not None and read >= self.box.stop_reading_at:
                    self.c.note("stopped_reading", read=read)
                    self.box.resume = self.box.resume or asyncio.Event()
                    await self.box.resume.wait()
                most = left if self.box.stop_reading_at is None else min(left, self.box.stop_reading_at - read)
                data = await self.c.some(min(CHUNK, most))
                digest.update(data)
                left -= len(data)
                if len(kept) < self.box.keep:
                    kept += data
        except Closed:
            self.c.note("torn", folder=name.decode(), size=message.size, missing=left)
            raise
        message.digest = digest.hexdigest()
        message.head = bytes(kept).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        if message.size <= self.box.keep:
            message.body = bytes(kept)


def header_fields(head, name):
    """What BODY[HEADER.FIELDS (A B)] or BODY[HEADER] answers."""
    wanted = re.search(rb"\(([^)]*)\)", name)
    if not wanted:
        return head
    wanted = {w.strip(b'"').lower() for w in wanted[1].split()}
    fields = re.findall(rb"(?:^|(?<=\r\n))([^:\r\n]+):((?:[^\r\n]*\r\n)(?:[ \t][^\r\n]*\r\n)*)", head)
    return b"".join(n + b":" + v for n, v in fields if n.strip().lower() in wanted) + b"\r\n"
