#!/usr/bin/env python3
"""Count the identifiers of Python's standard library.

Worker threads take its .py files from a queue and count into one shared index under a lock. This is
an ordinary threaded program: it needs Python 3.9 and nothing else, and does not know underthread.

An identifier is a run, as long as it can be, of ASCII letters, digits, underscores and bytes above
127, that does not start with a digit. Keywords and words in strings and comments count like others.

The files are all those under --root whose names end in ".py", except below site-packages and
dist-packages, which are not the standard library. Links to directories are not followed. A file or
directory that cannot be read is reported and counted, and the work goes on.

Exit status: 0 all was read; 1 it could not be done; 2 wrong usage; 124 the time was up; killed
by SIGINT after Ctrl-C. In the last two cases the results say that they are partial.
"""

import _thread  # only to say which one it is
import argparse
import os
import queue
import re
import signal
import sys
import sysconfig
import threading
from collections import Counter

IDENTIFIER = re.compile(rb"(?<![\w\x80-\xff])[A-Za-z_\x80-\xff][\w\x80-\xff]*")

# The main thread looks up this often, in seconds: to move the bar, and whether it is to stop.
TICK = 0.1


class Job:
    """What the threads share. The lock guards all that is not itself made for sharing."""

    def __init__(self, threads):
        self.lock = threading.Lock()
        self.queue = queue.Queue()
        self.listed = False
        self.files = 0
        self.files_left = 0
        self.working = threads
        self.index = Counter()
        self.files_read = 0
        self.bytes_read = 0
        self.unreadable = []
        self.interrupted = False
        self.time_is_up = False
        self.stop = threading.Event()
        self.finished = threading.Event()


def list_files(root, job):
    """The files to read, as bytes, in the order of their paths."""

    def cannot_list(reason):
        with job.lock:
            job.unreadable.append((reason.filename, reason.strerror))

    files = []
    for directory, subdirectories, names in os.walk(os.fsencode(root), onerror=cannot_list):
        if job.interrupted:
            break
        subdirectories[:] = [
            name for name in subdirectories if name not in (b"site-packages", b"dist-packages")
        ]
        files += [os.path.join(directory, name) for name in names if name.endswith(b".py")]
    return sorted(files)


def work(job):
    try:
        while not job.stop.is_set():
            path = job.queue.get()
            if path is None:
                return
            try:
                with open(path, "rb") as file:
                    text = file.read()
            except OSError as reason:
                with job.lock:
                    job.files_left -= 1
                    job.unreadable.append((path, reason.strerror))
                continue
            # Counted first and merged after, so that the lock is held for a moment only.
            counts = Counter(IDENTIFIER.findall(text))
            with job.lock:
                job.index.update(counts)
                job.files_left -= 1
                job.files_read += 1
                job.bytes_read += len(text)
    finally:
        with job.lock:
            job.working -= 1
            if job.working == 0:
                job.finished.set()


def watch(job, seconds):
    if not job.finished.wait(seconds):
        job.time_is_up = True


def draw_bar(job):
    done = job.files - job.files_left
    bar = "#" * (30 * done // max(job.files, 1))
    sys.stderr.write(f"\r[{bar:<30}] {done}/{job.files} files, {job.bytes_read / 1e6:.1f} MB")
    sys.stderr.flush()


def run(job, options):
    """Reads all the files, or those that could be read until it had to stop."""
    show_bar = options.progress and sys.stderr.isatty()
    try:
        # Daemons, so that one that is stuck in a read does not keep an interrupted program alive.
        if options.seconds is not None:
            threading.Thread(target=watch, args=(job, options.seconds), daemon=True).start()
        for number in range(options.threads):
            threading.Thread(target=work, args=(job,), name=f"worker-{number}", daemon=True).start()
        files = list_files(options.root, job)
        job.files = job.files_left = len(files)
        job.listed = not job.interrupted
        for path in files:
            job.queue.put(path)
        for _ in range(options.threads):
            job.queue.put(None)
        while not (job.finished.wait(TICK) or job.interrupted or job.time_is_up):
            if show_bar:
                draw_bar(job)
    finally:
        job.stop.set()
        if show_bar:
            draw_bar(job)
            sys.stderr.write("\n")


def what_cut_it_short(job, options):
    if job.interrupted:
        return "Ctrl-C"
    if job.listed and job.files_left == 0:
        return ""
    return f"{options.seconds:g} seconds were up" if job.time_is_up else "a worker failed"


def which_thread_module():
    return _thread.__spec__.origin


def report(job, options, cut_short):
    """Writes the results to stdout, and to --index if they are whole; False: there are none."""
    for path, reason in sorted(job.unreadable):
        print(f"index_stdlib: cannot read {os.fsdecode(path)}: {reason}", file=sys.stderr)
    if not job.files and not cut_short:
        print(f"index_stdlib: no .py files under {options.root}", file=sys.stderr)
        return False

    ranking = sorted(job.index.items(), key=lambda item: (-item[1], item[0]))
    lines = [b"%11d  %s" % (count, name) for name, count in ranking]
    out = lines[: options.top] + [
        b"",
        b"files read: %d of %d" % (job.files_read, job.files),
        b"bytes read: %d" % job.bytes_read,
        b"could not be read: %d" % len(job.unreadable),
        b"identifiers: %d" % sum(job.index.values()),
        b"different identifiers: %d" % len(ranking),
        b"threads: %d" % options.threads,
        b"_thread: %s" % os.fsencode(which_thread_module()),
    ]
    if cut_short:
        out.append(b"PARTIAL: %s" % cut_short.encode())
    sys.stdout.buffer.write(b"\n".join(out) + b"\n")
    sys.stdout.flush()
    if options.index and not cut_short:
        with open(options.index, "wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
    return True


def parse_arguments():
    def number(convert, most, wanted):
        def parse(text):
            try:
                value = convert(text)
                if 0 < value <= most:
                    return value
            except ValueError:
                pass
            raise argparse.ArgumentTypeError(f"{wanted} is wanted, not {text!r}")

        return parse

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        description="Count the identifiers of Python's standard library, in threads.",
        epilog="Ctrl-C stops at once and prints the results so far.",
    )
    add = parser.add_argument
    add(
        "--threads",
        metavar="N",
        type=number(int, 1000, "a whole number from 1 to 1000"),
        default=cpus,
        help="how many threads read and count (default: one for each CPU)",
    )
    add(
        "--seconds",
        metavar="N",
        type=number(float, threading.TIMEOUT_MAX, "a number above 0"),
        help="stop after so long, with the results so far and exit status 124",
    )
    add(
        "--top",
        metavar="N",
        type=number(int, 1000000, "a whole number from 1 to 1000000"),
        default=20,
        help="how many of the commonest identifiers to print (default: 20)",
    )
    add(
        "--root",
        metavar="DIR",
        default=sysconfig.get_path("stdlib"),
        help="where the .py files are (default: %(default)s)",
    )
    add("--index", metavar="FILE", help="write all identifiers and their counts to FILE")
    add(
        "--no-progress",
        dest="progress",
        action="store_false",
        help="no progress bar, even on a terminal",
    )
    return parser.parse_args()


def main():
    options = parse_arguments()
    if not os.path.isdir(options.root):
        sys.exit(f"index_stdlib: no such directory: {options.root}")
    job = Job(options.threads)

    def stop(signum, frame):
        # It raises nothing: an exception that comes within Condition.wait, on any _thread, may find its
        # lock released. The next Ctrl-C ends the program wherever it is.
        job.interrupted = True
        signal.signal(signum, signal.SIG_DFL)

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    try:
        run(job, options)
        # Results that nobody reads must not hold up whoever presses Ctrl-C now.
        if signal.getsignal(signal.SIGINT) is stop:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        with job.lock:
            cut_short = what_cut_it_short(job, options)
            done = report(job, options, cut_short)
    except (OSError, RuntimeError) as reason:
        sys.exit(f"index_stdlib: {reason}")
    if cut_short == "Ctrl-C":
        # Ended by the signal itself, so that a shell that runs us in a loop leaves the loop.
        os.kill(os.getpid(), signal.SIGINT)
    if cut_short and job.time_is_up:
        sys.exit(124)
    sys.exit(0 if done and not cut_short else 1)


if __name__ == "__main__":
    main()
