#!/usr/bin/python3
"""Runs the functional tests: each function test_* of each file test_*.py in tests/func, tests/real and tests/crash, given a fresh folder.

GODWIT names the program. A test fails by an exception; it gets a Case (see tests/func/case.py). Every test has a bound in time. With --long those in
tests/crash go through all that they know instead of a part of it, for hours."""

import argparse
import faulthandler
import importlib.util
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
BOUND = 240  # seconds for one test
LONG_BOUND = 12 * 3600


class TooLong(Exception):
    pass


def load(path):
    spec = importlib.util.spec_from_file_location("tests_" + path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def collect(only):
    for folder in ("func", "real", "crash"):
        for path in sorted((HERE / folder).glob("test_*.py")):
            module = load(path)
            for name, function in vars(module).items():
                if name.startswith("test_") and callable(function):
                    title = f"{folder}/{path.stem[5:]}: {name[5:].replace('_', ' ')}"
                    if not only or only in title or only in name:
                        yield title, function


def run_one(title, function, bound):
    from func.case import Case  # pylint: disable=import-outside-toplevel

    folder = pathlib.Path(tempfile.mkdtemp(prefix="godwit-test-"))
    started = time.monotonic()

    def too_long(_signal, _frame):
        raise TooLong(f"not done after {bound} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(bound)
    case = Case(folder)
    try:
        function(case)
        signal.alarm(0)
        print(f"PASS {title} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except Exception:  # pylint: disable=broad-except
        signal.alarm(0)
        print(f"FAIL {title}", flush=True)
        traceback.print_exc(file=sys.stdout)
        case.explain()
        return False
    finally:
        signal.alarm(0)
        case.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--results")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args()
    faulthandler.enable()
    if not os.environ.get("GODWIT"):
        sys.exit("tests/run.py: GODWIT must name the program")
    if args.long:
        os.environ["GODWIT_LONG"] = "yes"
    counts = {True: 0, False: 0}
    for title, function in collect(args.only):
        if args.list:
            print(title)
            continue
        counts[run_one(title, function, LONG_BOUND if args.long else BOUND)] += 1
    if args.results:
        pathlib.Path(args.results).write_text(f"passed {counts[True]}\nfailed {counts[False]}\n", encoding="utf-8")
    print(f"{counts[True]} passed, {counts[False]} failed")
    sys.exit(0 if counts[False] == 0 else 1)


if __name__ == "__main__":
    main()
