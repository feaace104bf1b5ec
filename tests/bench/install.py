"""What else can be compared with, and which packages bring it. Nothing is installed unless asked for."""
import os
import shutil
import subprocess

IMAPSYNC = ("libauthen-ntlm-perl libcgi-pm-perl libcrypt-openssl-rsa-perl libdata-uniqid-perl libdigest-hmac-perl libdist-checkconflicts-perl "
            "libencode-imaputf7-perl libfile-copy-recursive-perl libfile-tail-perl libhtml-parser-perl libio-socket-inet6-perl libio-socket-ssl-perl "
            "libio-tee-perl libjson-perl libjson-webtoken-perl libmail-imapclient-perl libparse-recdescent-perl libproc-processtable-perl "
            "libreadonly-perl libregexp-common-perl libsys-meminfo-perl libterm-readkey-perl libtest-mockobject-perl libtest-pod-perl "
            "libunicode-string-perl liburi-perl libwww-perl procps").split()
WANTED = (("mbsync", "isync", "the comparison with mbsync"), ("gnuplot", "gnuplot-nox", "the plots"))


def advice():
    """What is missing, a sentence each."""
    for program, package, what in WANTED:
        if not shutil.which(program):
            yield "%s is not installed; `apt install %s`, or scripts/bench --install, adds %s" % (program, package, what)
    if not shutil.which("imapsync"):
        yield ("imapsync is not in PATH; it is no Debian package: get it from its project, and its Perl modules by scripts/bench --install; "
               "that adds the comparison with imapsync")


def main():
    packages = [package for _, package, _ in WANTED] + IMAPSYNC
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if os.getuid() != 0:
        command = ["sudo", *command]
    print("bench: " + " ".join(command))
    done = subprocess.run(command, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"), check=False)
    if not shutil.which("imapsync"):
        print("bench: imapsync itself is no Debian package: get it from its project, and put it into PATH")
    return 1 if done.returncode else 0
