"""Throw-away Cyrus servers on loopback, each in a folder of its own.

    with Cyrus(folder, "new", users={"ann": "secret"}, admins={"boss": "secret"}) as new:
        ... new.imap_port, new.imaps_port, new.ca_file ...

Debian's packages of Cyrus and Dovecot exclude each other. So scripts/setup unpacks Cyrus into a folder of its own, and what runs here
runs from there, as an ordinary user. A mailbox comes into being when its user logs in for the first time."""
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

from . import certs, process
from .process import Missing

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cyrus_preload.c")
REALM = "lab"


def find_root():
    """Where scripts/setup put it."""
    own = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for cache in (os.environ.get("GODWIT_LAB_CACHE"), "/var/cache/godwit-lab", os.path.join(own, "godwit-lab")):
        if cache and os.access(os.path.join(cache, "cyrus/usr/lib/cyrus/bin/imapd"), os.X_OK):
            return os.path.join(cache, "cyrus")
    raise Missing("Cyrus is not there: run scripts/setup")


class Cyrus:
    def __init__(self, dir, name, tls="starttls+imaps", separator=".", alternate=False, users=None, admins=None, proxies=None,
                 capability_remove=(), unauthenticate=False, auth_failure_delay=None, extra_config="", cert="good", tz="UTC", host="127.0.0.1",
                 detach=False):
        """`tls`, `cert`, `tz`: as in Dovecot's class. `separator`: "." or "/". `alternate`: folders stand beside INBOX, not below it.
        `users`, `admins`, `proxies`: name -> password. An admin may log in on behalf of others and see everybody's folders; a
        proxy may do only the first. `auth_failure_delay`: e.g. "0s"; None keeps Cyrus's 3 seconds. `unauthenticate`: offer UNAUTHENTICATE to such logins, see cyrus_preload.c."""
        if tls not in ("starttls+imaps", "none") or separator not in (".", "/"):
            raise ValueError("tls, separator: %r" % ((tls, separator),))
        self.root = find_root()
        self.name, self.tls, self.separator, self.alternate = name, tls, separator, alternate
        self.prefix = "" if alternate else "INBOX" + separator
        self.capability_remove = [c.upper() for c in capability_remove]
        self.auth_failure_delay = auth_failure_delay
        self.unauthenticate, self.extra_config, self.tz = unauthenticate, extra_config, tz
        self.host, self.detach = host, detach
        self.admins, self.proxies = dict(admins or {}), dict(proxies or {})
        self.users = {**(users or {}), **self.admins, **self.proxies}
        self.folder = os.path.join(os.path.realpath(dir), name)
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.log_file = os.path.join(self.folder, "log")
        self.passwords_file = os.path.join(self.folder, "sasldb")
        self.ca = certs.Authority(os.path.join(os.path.realpath(dir), "ca"))
        self.ca_file = self.ca.ca_file
        self.cert_file, self.key_file = self.ca.by_kind(cert) if isinstance(cert, str) else cert
        self.imap_port = self.imaps_port = None
        self.process, self.pid = None, None
        self._sockets = None
        # Cyrus gives up being root, and with that the wish to end with its parent: it never becomes root.
        self._user = pwd.getpwnam("mail") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self._as = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, timeout=20.0):
        """Returns when both ports greet. The ports are kept over stop() and start()."""
        if self.process:
            return self
        self._make_folders()
        chosen = self.imap_port is not None
        for attempt in range(5):
            if not chosen:
                self.imap_port = process.free_port(self.host)
                self.imaps_port = process.free_port(self.host) if self.tls != "none" else None
            try:
                return self._start_once(timeout)
            except OSError:
                if chosen or attempt == 4:
                    raise
        return self

    def _start_once(self, timeout):
        for file, text in (("imapd.conf", self.config()), ("cyrus.conf", self.services())):
            with open(os.path.join(self.folder, file), "w") as out:
                out.write(text)
        offset = len(self.log())
        process.raise_file_limit()
        arguments = [self._program("master"), "-C", self.folder + "/imapd.conf", "-M", self.folder + "/cyrus.conf",
                     "-p", self._var + "/master.pid", "-D"]
        with open(os.path.join(self.folder, "stderr"), "wb") as errors:
            self.process = process.start(arguments, detach=self.detach, env=self._environment(), stdout=errors, stderr=errors,
                                         cwd=self._var, **self._as)
        self.pid = self.process.pid
        try:
            process.await_greetings(self.process, self.host, self.imap_port, self.imaps_port, timeout)
        except BaseException as error:
            self.kill()
            with open(os.path.join(self.folder, "stderr"), errors="replace") as file:
                said = file.read() + self.log()[offset:]
            if "Address already in use" in said:
                raise OSError("port taken") from None
            if isinstance(error, Exception):
                raise RuntimeError("Cyrus %s did not start (%s): %s" % (self.name, error, said.strip()[-2000:]))
            raise
        return self

    def stop(self, timeout=5.0):
        """A shutdown as by an operator."""
        if self.process:
            process.stop(self.process, timeout)
            self._gone()

    def kill(self):
        """As in a power cut: master and all children at once, in the middle of whatever they do."""
        if self.process:
            process.kill_group(self.process.pid)
            self.process.wait(5.0)
            process.stop(self.process)
            self._gone()

    def freeze(self):
        """The server stops answering, connections stay open."""
        process.kill_group(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        process.kill_group(self.process.pid, signal.SIGCONT)

    def _gone(self):
        self.process = None
        if self._sockets and not self._sockets.startswith(self.folder):
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._sockets = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    # --- users ------------------------------------------------------------------------------------------------------

    def add_user(self, user, password):
        """A user, or a new password. Works while the server runs."""
        if re.search(r"[\r\n\0@]", user):
            raise ValueError("not possible as the name of a user: %r" % user)
        self.users[user] = password
        if os.path.isdir(self._var):
            self._passwords("-p", "-c", user, input=password.encode())

    set_password = add_user

    def remove_user(self, user):
        """The user can log in no more; the mail stays."""
        del self.users[user]
        self._passwords("-d", user)

    def _passwords(self, *arguments, input=b""):
        done = subprocess.run([os.path.join(self.root, "usr/sbin/saslpasswd2"), "-f", self.passwords_file, "-u", REALM, *arguments],
                              input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, **self._as)
        if done.returncode != 0:
            raise RuntimeError("saslpasswd2: %s" % done.stdout.decode("utf-8", "replace").strip())

    def mail_path(self, user):
        """The folder of the user's INBOX."""
        return os.path.join(self._var, "spool/user", user.replace(".", "^"))

    def log(self):
        try:
            with open(self.log_file, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    # --- configuration ----------------------------------------------------------------------------------------------

    def url(self, user=None, secure=True):
        login = user + "@" if user else ""
        if secure and self.imaps_port:
            return "imaps://%s%s:%d" % (login, self.host, self.imaps_port)
        return "imap://%s%s:%d" % (login, self.host, self.imap_port)

    def describe(self):
        """What a caller on the command line needs to know; see scripts/lab."""
        return {"name": self.name, "pid": self.pid, "host": self.host, "imap_port": self.imap_port,
                "imaps_port": self.imaps_port, "ca_file": self.ca_file, "tls": self.tls, "separator": self.separator,
                "prefix": self.prefix, "folder": self.folder, "log": self.log_file, "users": self.users}

    @property
    def _var(self):
        return os.path.join(self.folder, "var")

    def _program(self, name):
        return os.path.join(self.root, "usr/lib/cyrus/bin", name)

    def _environment(self):
        libraries = [os.path.join(self.root, "usr/lib", found) for found in sorted(os.listdir(os.path.join(self.root, "usr/lib")))
                     if os.path.exists(os.path.join(self.root, "usr/lib", found, "libcyrus.so.0"))]
        found = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": self.tz, "CYRUS_USER": self._user.pw_name,
                 "LD_LIBRARY_PATH": ":".join(libraries), "LD_PRELOAD": os.path.join(self.folder, "preload.so"),
                 "LAB_LOG": self.log_file}
        if self.unauthenticate:
            found["LAB_UNAUTHENTICATE"] = "1"
        return found

    def _make_folders(self):
        new = not os.path.isdir(self._var)
        # The paths of Unix sockets are short.
        self._sockets = self._var + "/socket"
        if len(self._sockets) > 70:
            self._sockets = tempfile.mkdtemp(prefix="lab-")
        for folder in (self._var, self._sockets, *(self._var + "/" + f for f in ("config", "config/db", "config/socket", "config/proc",
                                                                                "config/log", "spool"))):
            os.makedirs(folder, exist_ok=True)
            self._own(folder)
        # The library and the key are ours, in folders where the server's user cannot look.
        shutil.copy(process.build(PRELOAD, "-shared", "-fPIC"), self.folder + "/preload.so")
        os.chmod(self.folder + "/preload.so", 0o755)
        if self.tls != "none":
            for file, kept in ((self.cert_file, "cert.pem"), (self.key_file, "key.pem")):
                shutil.copy(file, os.path.join(self._var, kept))
                os.chmod(os.path.join(self._var, kept), 0o600)
                self._own(os.path.join(self._var, kept))
        for file in (self.log_file, self.passwords_file) if new else ():
            open(file, "a").close()
            self._own(file)
        if os.getuid() == 0:
            process.let_others_pass(self.folder)
        if new:
            os.unlink(self.passwords_file)
            os.chmod(self.folder, 0o1777)  # saslpasswd2 makes its file anew, as the server's user
            for user, password in self.users.items():
                self.add_user(user, password)

    def _own(self, file):
        if os.getuid() == 0:
            os.chown(file, self._user.pw_uid, self._user.pw_gid)

    def config(self):
        lines = {
            "configdirectory": self._var + "/config", "defaultpartition": "default", "partition-default": self._var + "/spool",
            "servername": REALM, "cyrus_user": self._user.pw_name, "syslog_prefix": "cyrus",
            "sasl_pwcheck_method": "auxprop", "sasl_auxprop_plugin": "sasldb", "sasl_sasldb_path": self.passwords_file,
            "sasl_mech_list": "PLAIN LOGIN", "allowplaintext": "yes", "autocreate_quota": "0",
            "unixhierarchysep": "yes" if self.separator == "/" else "no", "altnamespace": "yes" if self.alternate else "no",
            "lmtpsocket": self._sockets + "/lmtp", "idlesocket": self._sockets + "/idle", "notifysocket": self._sockets + "/notify",
        }
        for key, value in (("admins", " ".join(self.admins)), ("proxyservers", " ".join(self.proxies)),
                           ("suppress_capabilities", " ".join(self.capability_remove)),
                           ("failedloginpause", self.auth_failure_delay)):
            if value:  # an empty one is an error
                lines[key] = value
        if self.tls != "none":
            lines.update(tls_server_cert=self._var + "/cert.pem", tls_server_key=self._var + "/key.pem")
        return "".join("%s: %s\n" % line for line in lines.items()) + self.extra_config

    def services(self):
        own = "-C %s/imapd.conf" % self.folder
        text = 'START {\n  recover cmd="%s %s -r"\n}\nSERVICES {\n' % (self._program("ctl_cyrusdb"), own)
        for name, port, option in (("imap", self.imap_port, ""), ("imaps", self.imaps_port, " -s")):
            if port:
                text += '  %s cmd="%s %s%s" listen="%s:%d" prefork=1 maxchild=1200\n' % (
                    name, self._program("imapd"), own, option, self.host, port)
        return text + "}\nEVENTS {\n}\n"
