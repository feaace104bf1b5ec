"""Child processes that never outlive the lab: stopped by pid, at exit, and when their parent dies."""
import atexit
import ctypes
import hashlib
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


class Missing(RuntimeError):
    """Something that the lab needs is not installed; the text says what."""


_given = set()


def free_port(host="127.0.0.1"):
    """A port that nobody listens on.

    Taken from below the kernel's range for outgoing connections, so that a server that is stopped and started again
    finds its port still free. None is given out twice in one process: what it was asked for may not listen yet."""
    pick = random.SystemRandom()
    for _ in range(200):
        port = pick.randrange(20000, 32000)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
                _given.add(port)
                return port
            except OSError:
                continue
    raise RuntimeError("no free port found on %s" % host)


def start(argv, detach=False, **options):
    """Starts a child in a session of its own. Unless detached it is ended with this process, whatever ends that."""
    # The kernel's death signal follows the *thread* that forked: a helper thread that returns must not end the child.
    follow = not detach and threading.current_thread() is threading.main_thread()

    def in_child():
        if follow:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    child = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL, preexec_fn=in_child, **options)
    if not detach:
        _running.append(child)
    return child


def stop(child, timeout=5.0):
    """Asks the child to end, then makes it, and all that it left behind; returns its exit status. Bounded.

    Dovecot's own processes outlive a stopped master for as long as their clients stay."""
    if child.returncode is None:
        child.send_signal(signal.SIGCONT)  # a frozen process would not see the next one
        child.terminate()
        _await_end(child.pid, timeout)
        # Before its number is given back by wait(), so that it cannot be another's by now.
        kill_group(child.pid)
        child.wait(5.0)
    if child in _running:
        _running.remove(child)
    return child.returncode


def _await_end(pid, timeout):
    """Waits until a child has ended, without reaping it."""
    end, pause = time.monotonic() + timeout, 0.0005
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and time.monotonic() < end:
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def kill_group(pid, sig=signal.SIGKILL):
    """Signals a child and all that it started (they share its session's process group)."""
    try:
        os.killpg(pid, sig)
    except ProcessLookupError:
        pass


def build(source, *options):
    """A program or library of the lab's from its C source, built once per user and version of the source."""
    with open(source, "rb") as file:
        digest = hashlib.sha256(file.read() + " ".join(options).encode()).hexdigest()[:16]
    folder = os.path.join(tempfile.gettempdir(), "lab-tools-%d" % os.getuid())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.lstat(folder).st_uid != os.getuid():
        raise RuntimeError("%s belongs to somebody else" % folder)
    made = os.path.join(folder, "%s-%s" % (os.path.splitext(os.path.basename(source))[0], digest))
    if not os.path.exists(made):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            raise Missing("a C compiler is missing: apt install gcc libc6-dev")
        fresh = "%s.%d" % (made, os.getpid())
        subprocess.run([compiler, "-O2", "-std=gnu11", *options, "-o", fresh, source], check=True, timeout=60)
        os.rename(fresh, made)
    return made


# --- what the servers of the lab share ----------------------------------------------------------------------------------

def let_others_pass(folder):
    """The mail user must reach `folder`. Folders of ours under the temporary folder are opened for passing through."""
    temporary = os.path.realpath(tempfile.gettempdir())
    while folder != "/":
        info = os.stat(folder)
        if not info.st_mode & stat.S_IXOTH:
            if info.st_uid != os.getuid() or not folder.startswith(temporary + "/"):
                raise RuntimeError("%s cannot be entered by other users, but the mail user must: chmod o+x it" % folder)
            os.chmod(folder, stat.S_IMODE(info.st_mode) | 0o011)
        folder = os.path.dirname(folder)


def raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 65536 if os.getuid() == 0 else hard
    if soft != resource.RLIM_INFINITY and soft < want:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(want, hard)))
        except (OSError, ValueError):
            pass  # fewer connections then; servers say so in their logs


def await_greetings(child, host, imap_port, imaps_port, timeout):
    """Returns when a server that is starting greets on its ports (None: it has none there)."""
    end = time.monotonic() + timeout
    for port, secure in ((imap_port, False), (imaps_port, True)):
        while port:
            if child.poll() is not None:
                raise RuntimeError("exit status %d" % child.returncode)
            if time.monotonic() > end:
                raise TimeoutError("no greeting on port %d" % port)
            try:
                with socket.create_connection((host, port), timeout=2) as sock:
                    if secure:
                        context = ssl._create_unverified_context()  # bad certificates are among the wanted ones
                        with context.wrap_socket(sock) as wrapped:
                            ok = wrapped.recv(4)
                    else:
                        ok = sock.recv(4)
                if ok == b"* OK":
                    break
            except OSError:
                time.sleep(0.005)  # the port is not bound yet, and nothing tells when it will be


@atexit.register
def _stop_all():
    for child in list(_running):
        try:
            stop(child, 3.0)
        except Exception:  # at exit: the next child matters more than this one's story
            kill_group(child.pid)
