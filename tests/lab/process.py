"""Child processes that never outlive the lab: stopped by pid, at exit, and when their parent dies."""
import atexit
import ctypes
import os
import random
import signal
import socket
import subprocess
import threading
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


def free_port(host="127.0.0.1"):
    """A port that nobody listens on.

    Taken from below the kernel's range for outgoing connections, so that a server that is stopped and started again
    finds its port still free."""
    pick = random.SystemRandom()
    for _ in range(200):
        port = pick.randrange(20000, 32000)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
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


@atexit.register
def _stop_all():
    for child in list(_running):
        try:
            stop(child, 3.0)
        except Exception:  # at exit: the next child matters more than this one's story
            kill_group(child.pid)
