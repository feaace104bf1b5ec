"""The corpus for functional tests: one of everything that has ever been lost or altered on the way."""
from .corpus import Folder, Message, Writer, internaldate

OLD = 946684799 - 86400 * 120  # September 1999
NAMES = ("Sent", "Drafts", "Trash", "With space", "Entwürfe", "日本語", "Σχέδια", "📬 Post", "A & B", "&AOQ-", "50% off",
         "star*red", 'say "hi"', "back\\slash", "semi;colon", "it's", "[Gmail]", "UPPER", "{12}", "NIL")
KEYWORDS = ("$Forwarded", "$Label1", "Junk", "NonJunk", "$MDNSent", "Projekt-7", "todo")
SYSTEM = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")
ZONES = ("+0000", "+0545", "-1130", "+0100", "-0330", "+1400")


def varied(seed=1, dots=False, big=3):
    """`dots`: also names with a "." in them, which a server with "." as its separator cannot hold.
    `big`: how many messages of 1 to 3 MB."""
    writer = Writer("varied %s" % seed)
    rng = writer.random
    folders = [Folder(("INBOX",), _oddities(writer, big), True, frozenset((0, 3, 8)))]
    names = list(NAMES) + (["v1.2.3"] if dots else [])
    for index, name in enumerate(names):
        messages = [_plain(writer, i) for i in range(rng.randrange(1, 8))]
        removed = frozenset((1,)) if len(messages) > 2 else frozenset()
        folders.append(Folder((name,), messages, index % 3 != 1, removed))
    folders.append(Folder(("Empty",), (), True))
    folders.append(Folder(("Empty unsubscribed",), (), False))
    deep = tuple("abcdefgh")
    folders.append(Folder(deep, [_plain(writer, 0)], False))  # its parents hold no mail
    folders.append(Folder(("Archive",), [_plain(writer, 0)], True))
    folders.append(Folder(("Archive", "2019"), [_plain(writer, i) for i in range(5)], True, frozenset((0,))))
    folders.append(Folder(("Archive", "2019", "Größe & Maß"), [_plain(writer, i) for i in range(3)], False))
    folders.append(Folder(("Archive", "All gone"), [_plain(writer, i) for i in range(3)], True, frozenset((0, 1, 2))))
    folders.append(Folder(("Flags",), list(_all_flags(writer)), True))
    return folders


def _date(rng, index=0):
    zone = ZONES[index % len(ZONES)]
    return internaldate(rng.randrange(OLD, 1735689600), zone)


def _plain(writer, index):
    rng = writer.random
    zone = ZONES[index % len(ZONES)]
    instant = rng.randrange(OLD, 1735689600)
    flags = tuple(f for f in SYSTEM[:3] + KEYWORDS[:4] if rng.random() < 0.25)
    return Message(writer.message(rng.randrange(900, 20000), instant, zone), flags, internaldate(instant, zone))


def _all_flags(writer):
    for flag in SYSTEM + KEYWORDS:
        yield Message(writer.message(1200, OLD), (flag,), _date(writer.random))
    yield Message(writer.message(1200, OLD), SYSTEM + KEYWORDS, _date(writer.random))
    yield Message(writer.message(1200, OLD), (), _date(writer.random))


def _oddities(writer, big):
    rng = writer.random
    bodies = []
    head = writer.headers(OLD)
    twin = head + b"I am here twice.\r\n"
    bodies += [twin, head + b"Same Message-ID, another text.\r\n", writer.message(3000, OLD)]
    bodies.append(writer.headers(OLD, message_id=False) + b"No Message-ID.\r\n")
    bodies.append(writer.headers(OLD, message_id=False) + b"No Message-ID, either.\r\n")
    bodies.append(writer.headers(OLD))                                   # an empty body
    bodies.append(writer.headers(OLD)[:-2])                              # header only, no empty line
    bodies.append(b"Subject: short\r\n\r\nno final line end")
    bodies.append(b"\r\nno header at all\r\n")
    bodies.append(b"X")
    bodies.append(b"From nobody Thu Jan  1 00:00:00 1970\r\nSubject: mbox line\r\n\r\n>From and From \r\nFrom me\r\n")
    bodies.append(writer.headers(OLD) + bytes(range(128, 256)) * 20 + b"\r\n")             # 8 bit, not UTF-8
    bodies.append(writer.headers(OLD) + b"x" * 70000 + b"\r\n")                            # one very long line
    bodies.append(writer.headers(OLD, extra=("X-Long: " + "y" * 9000,)) + b"long header\r\n")
    bodies.append(writer.headers(OLD, extra=("X-Folded: a", "\tb", " c")) + b".\r\n..\r\n.\r\n")
    bodies.append(writer.headers(OLD) + b"trailing lines\r\n" + b"\r\n" * 40)
    bodies.append(b"Subject: =?utf-8?B?4pyT?=\r\nmessage-id:   <folded.%d@example.org>\r\n\r\nx)\r\nA1 OK done\r\n"
                  b"* BYE\r\n{5}\r\n" % rng.getrandbits(30))
    bodies.append(b"Message-ID:\r\n\r\nempty Message-ID\r\n")
    bodies.append(b"Bcc: \xff\xfe raw header bytes\r\nDate: not a date\r\n\r\nbroken header\r\n")
    bodies += [writer.message(size, OLD + size) for size in (16000, 40000, 65536, 200000)]
    for i in range(big):
        bodies.append(writer.message(1_000_000 + i * 1_000_000, OLD + i))
    result = [Message(body, tuple(f for f in SYSTEM[:3] if rng.random() < 0.3), _date(rng, i))
              for i, body in enumerate(bodies)]
    # The first is removed after writing, so that the twins are others; they are the same in everything.
    double = Message(twin, ("\\Seen",), internaldate(OLD, "+0545"))
    return result + [double, double]
