"""Throw-away Dovecot servers on loopback, each in a folder of its own.

    with Dovecot(folder, "old", users={"ann": "secret"}) as old:
        ... old.imap_port, old.imaps_port, old.ca_file ...

What Dovecot ships is kept where it matters to a client or to a measurement (fsync, the delay after a failed login);
limits are raised so that some hundred connections work."""
import functools
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

from . import certs, process
from .process import Missing

BINARIES = ("/usr/sbin/dovecot", "/usr/local/sbin/dovecot", "/opt/dovecot/sbin/dovecot")
IMAP_MODULES = ("/usr/lib/dovecot/imap", "/usr/libexec/dovecot/imap", "/usr/local/libexec/dovecot/imap")
LUA_MODULE = "/usr/lib/dovecot/modules/auth/libauthdb_lua.so"

# What Dovecot offers after login. Taking something away from 2.3 needs the whole list to be spelled out.
CAPABILITIES = {"2.3": """IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS
THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1
CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY
PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE""".split()}
CAPABILITIES["2.4"] = CAPABILITIES["2.3"] + ["COMPRESS=DEFLATE", "INPROGRESS", "REPLACE"]


def find_binary():
    found = next((b for b in BINARIES if os.access(b, os.X_OK)), None) or shutil.which("dovecot")
    if not found:
        raise Missing("Dovecot is not installed: apt install dovecot-imapd")
    if found == BINARIES[0] and not any(os.path.exists(m) for m in IMAP_MODULES):
        raise Missing("Dovecot is installed without IMAP: apt install dovecot-imapd")
    if found == BINARIES[0] and syntax(found) == "2.4" and not os.path.exists(LUA_MODULE):
        raise Missing("Dovecot is installed without Lua: apt install dovecot-auth-lua")
    return found


@functools.lru_cache
def syntax(binary):
    """Which configuration this Dovecot reads: "2.3" or "2.4"."""
    said = subprocess.run([binary, "--version"], stdout=subprocess.PIPE, check=True, timeout=10).stdout.decode()
    return "2.4" if tuple(map(int, re.findall(r"\d+", said)[:2])) >= (2, 4) else "2.3"


class Dovecot:
    def __init__(self, dir, name, tls="starttls+imaps", format="maildir", separator="/", prefix="", users=None,
                 capability_remove=(), capability_add=(), fsync="optimized", extra_config="", cert="good",
                 auth_failure_delay=None, auth_penalty=True, tz="UTC", max_userip_connections=1000,
                 imap_service_count=1, masters=None, host="127.0.0.1", detach=False, compress=False):
        """`tls`: "starttls+imaps" (both ports) or "none" (imap_port only, login in plaintext).
        `cert`: "good", "wrong-host", "expired", "other-ca", or a pair of files (certificate, key).
        `auth_failure_delay`: e.g. "0 secs"; None keeps Dovecot's 2 secs. `auth_penalty` False takes away the growing
        delay that it gives to an address with many failures. `masters`: name -> password, of accounts that may log in on
        behalf of others. `tz`: the zone in which INTERNALDATE is printed.
        `compress`: COMPRESS=DEFLATE, which 2.3 has in a plugin and 2.4 always offers."""
        if tls not in ("starttls+imaps", "none"):
            raise ValueError("tls: %r" % tls)
        self.binary = find_binary()
        self.syntax = syntax(self.binary)
        self.name, self.tls, self.format, self.separator, self.prefix = name, tls, format, separator, prefix
        self.capability_remove = {c.upper() for c in capability_remove}
        self.capability_add = list(capability_add)
        self.fsync, self.extra_config, self.tz = fsync, extra_config, tz
        self.auth_failure_delay, self.auth_penalty = auth_failure_delay, auth_penalty
        self.max_userip_connections, self.imap_service_count = max_userip_connections, imap_service_count
        self.masters, self.host, self.detach = dict(masters or {}), host, detach
        self.compress = compress
        self.folder = os.path.join(os.path.realpath(dir), name)
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.users_folder = os.path.join(self.folder, "users")
        self.log_file = os.path.join(self.folder, "log")
        self.config_file = os.path.join(self.folder, "dovecot.conf")
        self.mail_folder = os.path.join(self.folder, "mail")
        self.ca = certs.Authority(os.path.join(os.path.realpath(dir), "ca"))
        self.ca_file = self.ca.ca_file
        self.cert_file, self.key_file = self.ca.by_kind(cert) if isinstance(cert, str) else cert
        self.imap_port = self.imaps_port = None
        self.process, self.pid = None, None
        self.users = dict(users or {})
        self._run = None

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, timeout=10.0):
        """Returns when both ports greet. The ports are kept over stop() and start()."""
        if self.process:
            return self
        self._make_folders()
        self._write_users()
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
        with open(self.config_file, "w") as out:
            out.write(self.config())
        offset = os.path.getsize(self.log_file) if os.path.exists(self.log_file) else 0
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": self.tz}
        process.raise_file_limit()
        with open(os.path.join(self.folder, "stderr"), "wb") as errors:
            self.process = process.start([self.binary, "-F", "-c", self.config_file], detach=self.detach,
                                         env=environment, stdout=errors, stderr=errors, cwd=self.folder)
        self.pid = self.process.pid
        try:
            process.await_greetings(self.process, self.host, self.imap_port, self.imaps_port, timeout)
        except BaseException as error:
            self.kill()
            with open(os.path.join(self.folder, "stderr"), errors="replace") as file:
                said = file.read()
            if os.path.exists(self.log_file):
                with open(self.log_file, errors="replace") as file:
                    file.seek(offset)
                    said += file.read()
            if "Address already in use" in said:
                raise OSError("port taken") from None
            if isinstance(error, Exception):
                raise RuntimeError("Dovecot %s did not start (%s): %s" % (self.name, error, said.strip()[-2000:]))
            raise
        return self

    def stop(self, timeout=5.0):
        """A shutdown as by an operator; clients that are still there are disconnected after it."""
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
        if self._run and not self._run.startswith(self.folder):
            shutil.rmtree(self._run, ignore_errors=True)
        self._run = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()  # nothing of it is needed any more, and a clean stop takes Dovecot a second

    # --- users ------------------------------------------------------------------------------------------------------

    def add_user(self, user, password):
        self.users[user] = password
        os.makedirs(self.users_folder, exist_ok=True)
        put_user(self.users_folder, user, password)

    def remove_user(self, user):
        del self.users[user]
        drop_user(self.users_folder, user)

    set_password = add_user

    def mail_path(self, user):
        return os.path.join(self.mail_folder, user)

    def log(self):
        with open(self.log_file, errors="replace") as file:
            return file.read()

    def _write_users(self):
        os.makedirs(self.users_folder, exist_ok=True)
        with open(self.users_folder + ".conf", "w") as out:
            out.write(LOOKUP[self.syntax] % self.users_folder)
        with open(os.path.join(self.folder, "masters"), "w") as out:
            out.writelines("%s:{PLAIN}%s\n" % master for master in self.masters.items())
        for gone in set(os.listdir(self.users_folder)) - set(self.users):
            os.unlink(os.path.join(self.users_folder, gone))
        for user, password in self.users.items():
            put_user(self.users_folder, user, password)

    # --- configuration ----------------------------------------------------------------------------------------------

    def url(self, user=None, secure=True):
        login = user + "@" if user else ""
        if secure and self.imaps_port:
            return "imaps://%s%s:%d" % (login, self.host, self.imaps_port)
        return "imap://%s%s:%d" % (login, self.host, self.imap_port)

    def describe(self):
        """What a caller on the command line needs to know; see scripts/lab."""
        return {"name": self.name, "pid": self.pid, "host": self.host, "imap_port": self.imap_port,
                "imaps_port": self.imaps_port, "ca_file": self.ca_file, "tls": self.tls, "format": self.format,
                "separator": self.separator, "prefix": self.prefix, "folder": self.folder,
                "log": self.log_file, "users_folder": self.users_folder, "users": self.users}

    def _make_folders(self):
        os.makedirs(self.mail_folder, exist_ok=True)
        if os.getuid() == 0:
            owner = pwd.getpwnam("mail")
            os.chown(self.mail_folder, owner.pw_uid, owner.pw_gid)
            process.let_others_pass(self.folder)
        # The paths of Unix sockets are short; Dovecot's run folder holds some with long names.
        self._run = os.path.join(self.folder, "run")
        if len(self._run) > 70:
            self._run = tempfile.mkdtemp(prefix="lab-")
            os.chmod(self._run, 0o755)

    def _capability(self):
        if not self.capability_remove and not self.capability_add:
            return ""
        if self.syntax == "2.4":
            changed = ["%s = no" % c for c in self.capability_remove] + ["%s = yes" % c for c in self.capability_add]
            return "imap_capability {\n  %s\n}\n" % "\n  ".join(changed)
        offered = CAPABILITIES[self.syntax] + ["COMPRESS=DEFLATE"] * self.compress
        kept = [c for c in offered if c.upper() not in self.capability_remove]
        return "imap_capability = %s\n" % " ".join(kept + self.capability_add)

    def config(self):
        user = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        root = user == "root"
        layout = "maildir++" if self.format == "maildir" and self.separator != "/" else "fs"
        values = {
            "folder": self.folder, "run": self._run, "host": self.host, "log": self.log_file,
            "imap_port": self.imap_port, "imaps_port": self.imaps_port or 0, "users": self.users_folder,
            "mail": self.mail_folder, "format": self.format, "layout": layout,
            "path": "Maildir" if self.format == "maildir" else self.format, "fsync": self.fsync, "separator": self.separator,
            "prefix": self.prefix, "userip": self.max_userip_connections,
            "imap_count": self.imap_service_count,
            "uid": "mail" if root else user, "gid": "mail" if root else group,
            "ssl": "yes" if self.tls != "none" else "no", "cert": self.cert_file, "key": self.key_file,
            "extra": self._capability() + self.extra_config + (COMPRESS if self.compress and self.syntax == "2.3" else ""),
        }
        text = SYNTAX[self.syntax] % values + BASE % values
        if self.masters:
            text += MASTERS[self.syntax] % values
        if self.auth_failure_delay is not None:
            text += "auth_failure_delay = %s\n" % self.auth_failure_delay
        if not self.auth_penalty:
            text += "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"
        if not root:
            text += ORDINARY % {"user": user, "group": group}
        return text


def put_user(users_folder, user, password):
    """Adds a user to a running server, or changes the password: one file per user, which is read at every login.

    A passwd-file would not do: Dovecot looks at it again only after a second."""
    if re.search(r"[\r\n/\0]", user) or user.startswith("."):
        raise ValueError("not possible as the name of a user: %r" % user)
    fresh = "%s.%d.new" % (users_folder, os.getpid())
    with open(fresh, "w") as out:
        out.write(password)
    os.chmod(fresh, 0o644)
    os.rename(fresh, os.path.join(users_folder, user))


def drop_user(users_folder, user):
    os.unlink(os.path.join(users_folder, user))


# How the file of a user is read: by a dict in 2.3, by a script in 2.4, which has no such dict any more.
LOOKUP = {"2.3": """\
uri = fs:posix:prefix=%s/
default_pass_scheme = PLAIN
key password {
  key = %%u
  format = value
}
passdb_fields {
  password = %%{dict:password}
}
""", "2.4": """\
function auth_password_verify(request, password)
  local file = io.open("%s/" .. request.user, "rb")
  if not file then
    return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, "no such user"
  end
  local right = file:read("a")
  file:close()
  if password ~= right then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "wrong password"
  end
  return dovecot.auth.PASSDB_RESULT_OK, {}
end
"""}

MASTERS = {"2.3": """\
passdb {
  driver = passwd-file
  args = %(folder)s/masters
  master = yes
}
""", "2.4": """\
passdb passwd-file {
  passwd_file_path = %(folder)s/masters
  master = yes
}
"""}

# What the two versions call differently. BASE, which both understand, follows. The login process of 2.3 is the
# "high-performance" one: one process serves all connections until they are logged in, and all TLS after that. That of 2.4.1
# panics now and then when a client goes without a word, and takes the TLS of all others with it: there, each has its own.
SYNTAX = {"2.3": """\
ssl_cert = <%(cert)s
ssl_key = <%(key)s
disable_plaintext_auth = no
mail_location = %(format)s:~/%(path)s:LAYOUT=%(layout)s
passdb {
  driver = dict
  args = %(users)s.conf
}
userdb {
  driver = static
  args = uid=%(uid)s gid=%(gid)s home=%(mail)s/%%u
}
service imap-login {
  service_count = 0
  client_limit = 2000
  process_limit = 4
}
service imap {
  service_count = %(imap_count)s
}
""", "2.4": """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = %(cert)s
ssl_server_key_file = %(key)s
auth_allow_cleartext = yes
mail_driver = %(format)s
mail_path = ~/%(path)s
mailbox_list_layout = %(layout)s
passdb lua {
  lua_file = %(users)s.conf
  use_worker = no
}
userdb static {
  fields {
    uid = %(uid)s
    gid = %(gid)s
    home = %(mail)s/%%{user}
  }
}
service imap-login {
  restart_request_count = 1
  client_limit = 1
  process_limit = 1200
}
service imap {
  restart_request_count = %(imap_count)s
}
"""}

# `listen` is loopback only. The special-use folders are those of the shipped configuration.
BASE = """\
protocols = imap
listen = %(host)s
base_dir = %(run)s
state_dir = %(folder)s/state
instance_name = lab
log_path = %(log)s
info_log_path = %(log)s
auth_verbose = yes
ssl = %(ssl)s
auth_mechanisms = plain login
mail_fsync = %(fsync)s
mail_max_userip_connections = %(userip)s
mail_uid = %(uid)s
mail_gid = %(gid)s
first_valid_uid = 1
default_vsz_limit = 1G
default_client_limit = 8000
default_process_limit = 1200
namespace inbox {
  inbox = yes
  separator = %(separator)s
  prefix = %(prefix)s
  mailbox Drafts {
    special_use = \\Drafts
  }
  mailbox Junk {
    special_use = \\Junk
  }
  mailbox Sent {
    special_use = \\Sent
  }
  mailbox "Sent Messages" {
    special_use = \\Sent
  }
  mailbox Trash {
    special_use = \\Trash
  }
}
service imap-login {
  inet_listener imap {
    port = %(imap_port)d
  }
  inet_listener imaps {
    port = %(imaps_port)d
    ssl = yes
  }
  process_min_avail = 1
}
service imap {
  process_limit = 1200
}
%(extra)s
"""

COMPRESS = """\
mail_plugins = $mail_plugins zlib
protocol imap {
  mail_plugins = $mail_plugins imap_zlib
}
"""

# Without root there is no other user to change to, and no chroot.
ORDINARY = """\
default_internal_user = %(user)s
default_internal_group = %(group)s
default_login_user = %(user)s
service anvil {
  chroot =
}
service imap-login {
  chroot =
}
service stats {
  chroot =
}
service imap-urlauth-login {
  chroot =
}
"""
