"""From interrupt_main() to the first line of its handler, in each kind of wait of the main thread.

    waits.py [--trials N] [--cap SECONDS] [--floor PROGRAM] [--list] [WAIT]...

Prints a line of JSON for each wait. As it is it measures the interpreter's own `_thread`; under
`python -m underthread` it measures ours, and other threads too. Each trial is an interrupt that is sent 1 to
1.5 ms after the wait began. One that is not noticed until --cap seconds have passed is let go, and the wait is
not tried again.
"""

import argparse
import json
import os
import queue
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import _thread

OURS = sys.modules["_thread"].__name__ == "_thread" and hasattr(_thread, "_underthread")
FOR_EVER = 3600


class Stop(Exception):
    pass


def nothing():
    pass


class Waits:
    """Each method prepares one wait: (what waits, what ends it if nobody else does, what cleans up)."""

    def __init__(self, cap):
        # What nobody could end on the interpreter's own `_thread` ends by itself there.
        self.long = FOR_EVER if OURS else cap + 0.2

    # Ours.

    def lock_acquire(self):
        "lock.acquire()"
        lock = threading.Lock()
        lock.acquire()
        return lock.acquire, lock.release, nothing

    def lock_acquire_timeout(self):
        "lock.acquire(timeout=…)"
        lock = threading.Lock()
        lock.acquire()
        return (lambda: lock.acquire(timeout=FOR_EVER)), lock.release, nothing

    def condition_wait(self):
        "Condition.wait"
        condition = threading.Condition()

        def wait():
            with condition:
                condition.wait()

        def end():
            with condition:
                condition.notify()

        return wait, end, nothing

    def event_wait(self):
        "Event.wait"
        event = threading.Event()
        return event.wait, event.set, nothing

    def thread_join(self):
        "Thread.join"
        event = threading.Event()
        thread = threading.Thread(target=event.wait)
        thread.start()

        def clean_up():
            event.set()
            thread.join()

        return thread.join, event.set, clean_up

    def queue_get(self):
        "Queue.get"
        items = queue.Queue()
        return items.get, lambda: items.put(1), nothing

    # The system's.

    def sleep(self):
        "time.sleep"
        return (lambda: time.sleep(self.long)), nothing, nothing

    def recv(self):
        "socket.recv"
        left, right = socket.socketpair()

        def clean_up():
            left.close()
            right.close()

        return (lambda: left.recv(1)), (lambda: right.send(b"x")), clean_up

    def accept(self):
        "socket.accept"
        listening = socket.create_server(("127.0.0.1", 0))

        def end():
            socket.create_connection(listening.getsockname()).close()

        return listening.accept, end, listening.close

    def pipe_wait(self, wait_on):
        read, write = os.pipe()

        def clean_up():
            os.close(read)
            os.close(write)

        return (lambda: wait_on(read)), (lambda: os.write(write, b"x")), clean_up

    def select_select(self):
        "select.select"
        return self.pipe_wait(lambda read: select.select([read], [], []))

    def select_poll(self):
        "select.poll"

        def wait(read):
            poll = select.poll()
            poll.register(read, select.POLLIN)
            poll.poll()

        return self.pipe_wait(wait)

    def select_epoll(self):
        "select.epoll"

        def wait(read):
            with select.epoll() as epoll:
                epoll.register(read, select.EPOLLIN)
                epoll.poll()

        return self.pipe_wait(wait)

    def os_read(self):
        "os.read"
        return self.pipe_wait(lambda read: os.read(read, 1))

    def waitpid(self):
        "os.waitpid"
        child = subprocess.Popen(["sleep", str(FOR_EVER)])

        def clean_up():
            child.kill()
            child.wait()

        return (lambda: os.waitpid(child.pid, 0)), child.kill, clean_up

    def input(self):
        "input"
        read, write = os.pipe()
        before = sys.stdin
        sys.stdin = open(read)

        def clean_up():
            sys.stdin.close()
            sys.stdin = before
            os.close(write)

        return input, (lambda: os.write(write, b"\n")), clean_up

    def flock(self):
        "fcntl.flock"
        import fcntl

        one = tempfile.NamedTemporaryFile()
        other = open(one.name)
        fcntl.flock(one, fcntl.LOCK_EX)

        def clean_up():
            other.close()
            one.close()

        return (lambda: fcntl.flock(other, fcntl.LOCK_EX)), (lambda: fcntl.flock(one, fcntl.LOCK_UN)), clean_up

    def fifo(self):
        "open of a FIFO"
        folder = tempfile.TemporaryDirectory()
        path = os.path.join(folder.name, "fifo")
        os.mkfifo(path)
        return (lambda: open(path).close()), (lambda: open(path, "w").close()), folder.cleanup

    def simple_queue(self):
        "SimpleQueue.get"
        items = queue.SimpleQueue()
        return items.get, lambda: items.put(1), nothing

    def multiprocessing_lock(self):
        "multiprocessing.Lock"
        import multiprocessing

        lock = multiprocessing.Lock()
        lock.acquire()
        return lock.acquire, lock.release, nothing

    def asyncio_loop(self):
        "an asyncio loop"
        import asyncio

        loop = asyncio.new_event_loop()
        for_ever = loop.create_future()

        def clean_up():
            for_ever.cancel()
            loop.run_until_complete(asyncio.gather(for_ever, return_exceptions=True))
            loop.close()

        end = lambda: loop.call_soon_threadsafe(lambda: for_ever.done() or for_ever.set_result(None))
        return (lambda: loop.run_until_complete(for_ever)), end, clean_up


OF_OURS = ["lock_acquire", "lock_acquire_timeout", "condition_wait", "event_wait", "thread_join", "queue_get"]
OF_THE_SYSTEM = [
    "sleep", "recv", "accept", "select_select", "select_poll", "select_epoll", "os_read", "waitpid", "input",
    "flock", "fifo", "simple_queue", "multiprocessing_lock", "asyncio_loop",
]  # fmt: skip
IN_ANOTHER_THREAD = ["lock_acquire", "queue_get"]


class Floor:
    """What pthread_kill takes to end a read() on this machine, asked between the trials."""

    def __init__(self, program):
        self.process = program and subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def measure(self):
        if not self.process:
            return []
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return [int(self.process.stdout.readline())]

    def close(self):
        if self.process:
            self.process.communicate()


class Trials:
    """One wait, again and again: interrupted by another thread, which lets go of what is not noticed."""

    def __init__(self, prepare, send, cap):
        self.prepare = prepare
        self.send = send
        self.cap = cap
        self.went = threading.Event()
        self.done = threading.Event()
        self.entered = []
        self.sent = 0
        self.end = nothing
        self.over = False

    def noticed(self):
        self.entered.append(time.monotonic_ns())
        raise Stop

    def interrupt(self):
        while True:
            self.went.wait()
            self.went.clear()
            if self.over:
                return
            time.sleep(0.001 + random.random() / 2000)
            self.sent = time.monotonic_ns()
            self.send()
            if not self.done.wait(self.cap):
                self.end()
                self.done.wait()
            self.done.clear()

    def one(self):
        wait, self.end, clean_up = self.prepare()
        self.entered.clear()
        self.went.set()
        try:
            wait()
            while not self.entered:
                time.sleep(0)
        except Stop:
            pass
        self.done.set()
        took = self.entered[0] - self.sent
        clean_up()
        return took, len(self.entered) > 1

    def run(self, trials, floor):
        found = dict(ns=[], floor=[], lost=0, twice=0)
        for _ in range(trials):
            took, twice = self.one()
            found["twice"] += twice
            found["ns"].append(took)
            found["floor"] += floor.measure()
            if took >= self.cap * 1e9:
                found["lost"] += 1
                break
        return found


def in_main(prepare, options, floor):
    trials = Trials(prepare, _thread.interrupt_main, options.cap)
    signal.signal(signal.SIGINT, lambda signum, frame: trials.noticed())
    thread = threading.Thread(target=trials.interrupt)
    thread.start()
    found = trials.run(options.trials, floor)
    trials.over = True
    trials.went.set()
    thread.join()
    return found


def in_another_thread(prepare, options, floor):
    import underthread

    target = []
    trials = Trials(prepare, lambda: underthread.interrupt(target[0], Stop), options.cap)
    found = {}

    def one():
        wait, trials.end, clean_up = prepare()
        trials.entered.clear()
        trials.went.set()
        try:
            wait()
            while True:
                time.sleep(0)
        except Stop:
            trials.entered.append(time.monotonic_ns())
        trials.done.set()
        took = trials.entered[0] - trials.sent
        clean_up()
        return took, False

    trials.one = one
    target.append(threading.Thread(target=lambda: found.update(trials.run(options.trials, floor))))
    target[0].start()
    thread = threading.Thread(target=trials.interrupt)
    thread.start()
    target[0].join()
    trials.over = True
    trials.went.set()
    thread.join()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--cap", type=float, default=2.0)
    parser.add_argument("--floor", metavar="PROGRAM")
    parser.add_argument("--list", action="store_true", help="prints the names of the waits")
    parser.add_argument("names", nargs="*", metavar="WAIT", help="only these")
    options = parser.parse_args()
    rows = [(name, "ours", name, in_main) for name in OF_OURS]
    rows += [(name, "system", name, in_main) for name in OF_THE_SYSTEM]
    if OURS:
        rows += [(f"{name}_in_another_thread", "ours", name, in_another_thread) for name in IN_ANOTHER_THREAD]
    if options.list:
        print(*(row[0] for row in rows), sep="\n")
        return
    unknown = set(options.names) - {row[0] for row in rows}
    if unknown:
        parser.error(f"there is no wait {', '.join(sorted(unknown))}; --list prints them")
    floor = Floor(options.floor)
    waits = Waits(options.cap)
    for name, kind, method, measure in rows:
        if options.names and name not in options.names:
            continue
        prepare = getattr(waits, method)
        title = prepare.__doc__ + (", another thread" if measure is in_another_thread else "")
        found = measure(prepare, options, floor)
        print(json.dumps(dict(wait=title, kind=kind, **found)), flush=True)
    floor.close()


if __name__ == "__main__":
    main()
