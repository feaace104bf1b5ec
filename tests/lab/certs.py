"""A certificate authority for one lab run, made with openssl(1): good certificates and the usual bad ones."""
import os
import shutil
import subprocess
import time

HOSTS = ("localhost", "127.0.0.1", "::1")


def _openssl(*args):
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    if done.returncode != 0:
        raise RuntimeError("openssl %s failed: %s" % (args[0], done.stdout.decode("utf-8", "replace").strip()))


def _stamp(instant):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(instant))


def _alt_names(hosts):
    return ",".join(("IP:" if ":" in h or h.replace(".", "").isdigit() else "DNS:") + h for h in hosts)


class Authority:
    """One CA in a folder of its own. `ca_file` is what a client should trust.

    Making one that exists already reuses it, so that all servers of a lab run share it."""

    def __init__(self, folder, common_name="lab CA"):
        if not shutil.which("openssl"):
            raise RuntimeError("openssl(1) is missing: apt install openssl")
        self.folder = os.path.abspath(folder)
        self.ca_file = os.path.join(self.folder, "ca.pem")
        self.ca_key = os.path.join(self.folder, "ca.key")
        self._config = os.path.join(self.folder, "ca.cnf")
        if os.path.exists(self.ca_file):
            return
        os.makedirs(self.folder, exist_ok=True)
        now = time.time()
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", self.ca_key, "-out", self.ca_file + ".new", "-days", "3650", "-sha256",
                 "-subj", "/CN=%s %d" % (common_name, now * 1000),
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        os.rename(self.ca_file + ".new", self.ca_file)

    def make(self, name, hosts=HOSTS, not_before=None, not_after=None):
        """Makes a server certificate; returns (certificate file, key file). Times are seconds since the epoch."""
        base = os.path.join(self.folder, name)
        cert, key = base + ".pem", base + ".key"
        if os.path.exists(cert):
            return cert, key
        now = time.time()
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", key, "-out", base + ".csr", "-subj", "/CN=" + hosts[0])
        # `openssl x509` of OpenSSL 3.0 cannot set a start date in the past; `openssl ca` can.
        work = base + ".work"
        os.makedirs(work, exist_ok=True)
        config = CONFIG % {"work": work, "cert": self.ca_file, "key": self.ca_key, "names": _alt_names(hosts)}
        for file, text in (("index", ""), ("index.attr", "unique_subject = no\n"),
                           ("serial", os.urandom(15).hex().upper() + "\n"), ("ca.cnf", config)):
            with open(os.path.join(work, file), "w") as out:
                out.write(text)
        _openssl("ca", "-batch", "-notext", "-config", os.path.join(work, "ca.cnf"), "-in", base + ".csr",
                 "-out", cert + ".new",
                 "-startdate", _stamp(not_before if not_before is not None else now - 86400),
                 "-enddate", _stamp(not_after if not_after is not None else now + 365 * 86400))
        shutil.rmtree(work)
        os.rename(cert + ".new", cert)
        return cert, key

    def good(self):
        return self.make("server")

    def wrong_host(self):
        """Trusted, but made out to another name."""
        return self.make("wrong-host", hosts=("imap.elsewhere.example",))

    def expired(self):
        now = time.time()
        return self.make("expired", not_before=now - 30 * 86400, not_after=now - 86400)

    def other_ca(self):
        """Right name, valid dates, but of an authority that the client does not know."""
        return Authority(os.path.join(self.folder, "other"), "another CA").make("server")

    def by_kind(self, kind):
        return {"good": self.good, "wrong-host": self.wrong_host, "expired": self.expired,
                "other-ca": self.other_ca}[kind]()


CONFIG = """
[ca]
default_ca = lab
[lab]
new_certs_dir = %(work)s
database = %(work)s/index
serial = %(work)s/serial
certificate = %(cert)s
private_key = %(key)s
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = %(names)s
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
