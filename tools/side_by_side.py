#!/usr/bin/env python3
"""Run index_stdlib.py on underthread and on Python's own _thread, and index_files; compare them.

Prints the numbers side by side with the time that each took. Exit status 0 only if all of them say
the same of every identifier.
"""

import argparse
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "examples", "python", "index_stdlib.py")

# What must be the same in every run, besides the index itself.
NUMBERS = ("files read", "bytes read", "could not be read", "identifiers", "different identifiers")


class Run:
    def __init__(self, title, command, index):
        self.title = title
        self.command = command + ["--index", index]
        self.index = index
        self.status = None
        self.seconds = 0.0
        self.output = b""
        self.said = {}
        self.counts = {}

    def start_and_wait(self):
        """Runs it with the terminal for itself; False: Ctrl-C was pressed."""
        print(f"{self.title}:", file=sys.stderr, flush=True)
        began = time.perf_counter()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        try:
            self.output = process.communicate()[0]
        except KeyboardInterrupt:
            self.output = stop(process)
            return False
        self.seconds = time.perf_counter() - began
        self.status = process.returncode
        for line in self.output.decode(errors="backslashreplace").splitlines():
            name, colon, value = line.partition(": ")
            if colon:
                self.said[name] = value
        if self.status == 0:
            with open(self.index, "rb") as file:
                for line in file:
                    count, name = line.split()
                    self.counts[name] = int(count)
        return True


def stop(process):
    """A terminal sends Ctrl-C to both of us; `kill` may have sent it to us alone."""
    for _ in range(2):
        try:
            return process.communicate(timeout=1)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    process.kill()
    return process.communicate()[0]


def read_all_once(root):
    """So that the first run is not the only one to pay for a cold disk."""
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            if name.endswith(".py") and os.path.isfile(path) and os.access(path, os.R_OK):
                with open(path, "rb") as file:
                    file.read()


def print_table(runs, top):
    names = list(runs[0].counts)[:top]
    rows = [[""] + [run.title for run in runs]]
    rows.append(["time"] + [f"{run.seconds:.2f} s" for run in runs])
    for number in ("threads",) + NUMBERS:
        rows.append([number] + [run.said.get(number, "?") for run in runs])
    for name in names:
        shown = name.decode(errors="backslashreplace")
        rows.append([shown] + [str(run.counts.get(name, 0)) for run in runs])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:])]
        print("  ".join([f"{row[0]:<{widths[0]}}"] + cells))
    print()
    for run in runs:
        print(f"{run.title} ran on: {run.said.get('_thread', '?')}")


def differences(runs):
    first = runs[0]
    for other in runs[1:]:
        for number in NUMBERS:
            if first.said.get(number) != other.said.get(number):
                yield f"{number}: {first.title} and {other.title}"
        for name in sorted(first.counts.keys() | other.counts.keys()):
            if first.counts.get(name, 0) != other.counts.get(name, 0):
                yield f"{name.decode(errors='backslashreplace')}: {first.title} and {other.title}"


def end_by_sigint():
    """So that the shell which started us sees it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def run_all(options, directory):
    def run(title, *command):
        return Run(title, [*command, "--root", options.root], os.path.join(directory, title))

    runs = [
        run("Python, underthread", sys.executable, "-m", "underthread", PROGRAM),
        run("Python, its own", sys.executable, PROGRAM),
        run("C++, underthread", options.index_files),
    ]
    read_all_once(options.root)
    for one in runs:
        whole = one.start_and_wait()
        if not whole or one.status != 0:
            sys.stdout.buffer.write(one.output)
            sys.stdout.flush()
        if not whole:
            raise KeyboardInterrupt
        if one.status != 0:
            sys.exit(f"side_by_side: {one.title} ended with status {one.status}")
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index-files", required=True, help="the executable index_files")
    parser.add_argument("--root", default=sysconfig.get_path("stdlib"), help="what they read")
    parser.add_argument("--top", type=int, default=20, help="how many identifiers to print")
    options = parser.parse_args()

    try:
        with tempfile.TemporaryDirectory() as directory:
            runs = run_all(options, directory)
    except KeyboardInterrupt:
        end_by_sigint()

    print_table(runs, options.top)
    if runs[0].said["_thread"] == runs[1].said["_thread"]:
        sys.exit("side_by_side: the first run was not on underthread")
    different = list(differences(runs))
    if different:
        for line in different[:10]:
            print(f"DIFFERENT: {line}", file=sys.stderr)
        sys.exit(f"side_by_side: THE NUMBERS DIFFER, in {len(different)} places")
    print(f"The same numbers three times, of all {len(runs[0].counts)} identifiers.")


if __name__ == "__main__":
    main()
