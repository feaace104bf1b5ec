"""Writes a corpus to a server over IMAP, thousands of messages in seconds.

Uses MULTIAPPEND and LITERAL+ when they are offered; without them, one message after another."""
from . import corpus as corpora
from .imap import Client, Namespace, Refused, quote
from .varied import varied

BATCH_BYTES, BATCH_COUNT = 8 << 20, 200


def corpus(name, seed=1, messages=100, size=10 << 20, folders=1):
    """A corpus by its name on the command line."""
    if name == "varied":
        return varied(seed)
    if name == "realistic":
        return corpora.realistic(messages, seed, folders)
    if name == "small":
        return corpora.small(messages, seed)
    if name == "large":
        return corpora.large(messages, size, seed)
    if name == "folders":
        return corpora.many_folders(folders, messages, seed)
    raise ValueError("no such corpus: %s" % name)


def fill(server, user, password, folders, security=None):
    """Writes `folders` (see corpus.Folder) into a user's mailbox; returns (messages, bytes) that are there afterwards."""
    with Client.to(server, user, password, security) as client:
        done = write(client, folders)
        client.logout()
    return done


def write(client, folders):
    namespace = Namespace(client)
    count = total = 0
    for folder in folders:
        wire = quote(namespace.wire(folder.path))
        if folder.path != ("INBOX",):
            try:
                client.command(b"CREATE " + wire)
            except Refused as refused:
                if "EXISTS" not in str(refused):
                    raise
        if folder.subscribed:
            client.command(b"SUBSCRIBE " + wire)
        first = _uidnext(client, wire) if folder.removed else 0
        here, sizes = _append(client, wire, folder.messages)
        count, total = count + here, total + sum(sizes)
        if folder.removed:
            _remove(client, wire, first, folder.removed)
            count, total = count - len(folder.removed), total - sum(sizes[i] for i in folder.removed)
    return count, total


def append(client, path, messages):
    """Adds messages (corpus.Message) to one folder that exists."""
    return _append(client, quote(Namespace(client).wire(path)), messages)[0]


def _append(client, wire, messages):
    batch, size, count, sizes = [], 0, 0, []
    many = client.has("MULTIAPPEND") and client.has("LITERAL+")
    for message in messages:
        batch.append(message)
        size += len(message.body)
        sizes.append(len(message.body))
        if not many or size >= BATCH_BYTES or len(batch) >= BATCH_COUNT:
            _send(client, wire, batch)
            count, size, batch = count + len(batch), 0, []
    if batch:
        _send(client, wire, batch)
        count += len(batch)
    return count, sizes


def _send(client, wire, batch):
    plus = client.has("LITERAL+")
    tag = client.tag()
    out = [tag + b" APPEND " + wire]
    for message in batch:
        flags = " ".join(message.flags).encode()
        out.append(b' (%s) "%s" {%d%s}\r\n' % (flags, message.date.encode(), len(message.body), b"+" if plus else b""))
        if not plus:
            client.sock.sendall(b"".join(out))
            answer = client.read()
            if answer[0] != b"+":
                client.finish(tag, answer)
            out = []
        out.append(message.body)
    out.append(b"\r\n")
    client.sock.sendall(b"".join(out))
    client.finish(tag)


def _uidnext(client, wire):
    for answer in client.command(b"STATUS " + wire + b" (UIDNEXT)"):
        if answer[1] == b"STATUS":
            return int(answer[3][1])
    raise ValueError("no UIDNEXT for %r" % wire)


def _remove(client, wire, first, indexes):
    """Expunges some of the messages just written, by UID, so that those with \\Deleted of the corpus stay."""
    client.command(b"SELECT " + wire)
    uids = b",".join(b"%d" % (first + i) for i in sorted(indexes))
    client.command(b"UID STORE " + uids + b" +FLAGS.SILENT (\\Deleted)")
    client.command(b"UID EXPUNGE " + uids)
    client.command(b"UNSELECT")
