"""Mailboxes with folders of all kinds, and what must become of them."""
import hashlib
import json

from func.case import login
from lab.fakebox import Box
from lab.fakeimapd import mailbox


def mail(folder, number):
    return ("Subject: %d\r\nMessage-ID: <%d@%s>\r\nDate: Sat, 1 Feb 2020 03:04:05 +0000\r\n\r\n%s\r\n" % (
        number, number, hashlib.md5(folder.encode()).hexdigest(), folder)).encode()


def old(folders, **options):
    """A Box with two messages in each folder; name -> attributes, or just names."""
    made = Box(**options)
    for name in folders:
        attributes = folders[name] if isinstance(folders, dict) else ()
        folder = made.folder(name, attributes=attributes)
        for number in range(0 if "\\Noselect" in attributes else 2):
            folder.add(body=mail(name, number))
    return made


def new(folders=(), **options):
    made = Box(first_uid=100, first_uidvalidity=77000, **options)
    for name in folders:
        made.folder(name, attributes=folders[name] if isinstance(folders, dict) else ())
    return made


def of(*names):
    """What a folder holds when the mail of these folders has come."""
    return sorted(hashlib.sha256(mail(n, i)).hexdigest() for n in names for i in range(2))


def held(box):
    return {f.name: sorted(m.sha256() for m in f.messages) for f in box.folders.values() if f.messages}


def pair(case, source, target, rules=(), **settings):
    """Returns the two servers. `rules`: of the migration; lists are written as they are."""
    servers = case.serve(mailbox(source)), case.serve(mailbox(target))
    rules = dict(rules)
    lists = {k: rules.pop(k) for k in list(rules) if isinstance(rules[k], (list, tuple))}
    case.pair(*servers, [login("ann")], rules, **settings)
    text = "".join("    %s = { %s }\n" % (k, ", ".join(json.dumps(x) for x in v)) for k, v in lists.items())
    config = case.config.read_text()
    case.config.write_text(config[:config.rindex("}")] + text + "}\n")
    return servers


def once(case, code=0):
    return case.run("once", "--log-level", "info").exits(code)


def comes(case, source, target, right, code=0, again=True):
    """After a pass the target holds that, and nothing else; a second pass, with or without the ledger, changes nothing."""
    program = once(case, code)
    assert held(target) == right, held(target)
    for forget in (False, True) if again else ():
        if forget:
            case.forget()
        once(case, code)
        assert held(target) == right, (forget, held(target))
    return program


def verified(case, code=0):
    return case.run("verify", "-c", str(case.config)).exits(code)
