"""Everything at once, for a while, and an account at the end: interrupts, time limits, holds, signals, forks, thread
starts and ends, somebody else's asynchronous exceptions, subinterpreters.

    python -m underthread python/tests/soak/interrupts.py SECONDS [SEED]

Every interrupt that was accepted must be raised once, in its own thread, or have been overwritten by somebody else's
PyThreadState_SetAsyncExc, or have come to a thread that ended first. The exit status is 0 if that is so; the last line
says what was counted.
"""

import ctypes
import gc
import os
import random
import signal
import sys
import threading
import time

import underthread
from underthread import hold_interrupts, interrupt, time_limit

SECONDS = float(sys.argv[1])
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
# Up to 3.10, and on 3.14, an exception may come between a block and its `__enter__` or `__exit__`.
KEEPS_WITH = sys.version_info >= (3, 11) and sys.version_info[:2] != (3, 14)
# What is raised in a destructor stays there.
gc.disable()


class Stop(BaseException):
    """Sent by `interrupt`, to one thread."""

    def __init__(self, thread):
        super().__init__()
        self.thread = thread
        self.taken = 0


class Foreign(BaseException):
    """Told to the interpreter by somebody else."""


class FromHandler(BaseException):
    """Raised by a signal's handler."""


main = threading.main_thread()
end = time.monotonic() + SECONDS
done = False
wrong = []
counts = dict.fromkeys(
    ["sent", "refused", "taken", "limits", "signals", "handled", "forks", "threads", "foreign", "subinterpreters"], 0
)
counting = threading.Lock()
set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
never = threading.Lock()
never.acquire()
shared = threading.RLock()
# A fork's child hangs on stock CPython where another thread runs a subinterpreter.
one_interpreter = threading.Lock()


def count(what, number=1):
    with hold_interrupts():
        with counting:
            counts[what] += number


def take(error, thread):
    """Counts what has been raised in `thread`: the error, and all that were under way when it came."""
    with hold_interrupts():
        seen = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            if isinstance(error, Stop) and not error.taken:
                error.taken += 1
                with counting:
                    counts["taken"] += 1
                if error.thread is not thread:
                    wrong.append(f"{thread.name} got what was sent to {error.thread.name}")
            error = error.__context__




def limited(chance):
    limit = time_limit(chance.random() * 2e-3)
    begin = 0
    try:
        with limit:
            begin = time.monotonic()
            spend(chance)
    except TimeoutError as error:
        take(error, threading.current_thread())
        count("limits")
        if not limit.expired:
            wrong.append("a limit was raised and has not expired")
    else:
        # Where a hold may be lost as a lock may, nothing is raised in the thread that has lost it.
        if begin and limit.expired and KEEPS_WITH:
            wrong.append("a limit had expired and was not raised")


def generator(chance):
    with time_limit(chance.random() * 1e-3):
        yield
        spend(chance)


def spend(chance):
    kind = chance.randrange(5)
    if kind == 0:
        never.acquire(timeout=chance.random() * 1e-3)
    elif kind == 1:
        for _ in range(chance.randrange(500)):
            pass
    elif kind == 2:
        # Up to 3.10 an exception may come between a block and its `__exit__`, and the lock of a `with` is lost.
        if shared.acquire(timeout=1e-3):
            never.acquire(timeout=chance.random() * 2e-4)
            shared.release()
    elif kind == 3:
        time.sleep(chance.random() * 2e-4)
    else:
        threading.Event().wait(chance.random() * 1e-3)


def held(chance):
    with hold_interrupts():
        spend(chance)
        with hold_interrupts():
            spend(chance)


def from_generator(chance):
    step = generator(chance)
    try:
        next(step)
        for _ in range(chance.randrange(300)):
            pass
        next(step, None)
    except TimeoutError as error:
        take(error, threading.current_thread())
        count("limits")


def fork(chance):
    """The child has nothing of what is pending here, and limits, interrupts and holds of its own."""
    with hold_interrupts(), one_interpreter:
        child = os.fork()
        if child == 0:
            os._exit(check_child())
        status = None
        while not status:
            pid, result = os.waitpid(child, os.WNOHANG)
            status = pid and [result]
            never.acquire(timeout=1e-3)
        if status != [0]:
            wrong.append(f"a child ended with {status[0]}")
        with counting:
            counts["forks"] += 1


def check_child():
    """In the child, which goes on holding interrupts off."""
    try:
        signal.alarm(30)
        account = underthread._core._underthread.account()
        if account["pending"] or account["accepted"]:
            return 2
        with time_limit(0.001) as limit:
            never.acquire(timeout=0.01)
        if not limit.expired:
            return 3
        return 0 if interrupt(threading.current_thread(), Stop(None)) else 4
    except BaseException:
        return 5


def start_one(chance):
    """A thread that is interrupted while it begins, runs or ends."""

    def run():
        try:
            spend(chance)
        except BaseException as error:
            take(error, threading.current_thread())

    thread = threading.Thread(target=run)
    thread.start()
    # Not its ident, which may be another's by now.
    send(thread, thread)
    thread.join()
    count("threads")


def send(thread, target):
    if target is None:
        return
    # Counted with the sending, whatever comes to this thread meanwhile.
    with hold_interrupts():
        accepted = interrupt(target, Stop(thread))
        with counting:
            counts["sent" if accepted else "refused"] += 1


class Worker(threading.Thread):
    def __init__(self, number):
        super().__init__(name=f"worker {number}")
        self.chance = random.Random(SEED * 100 + number)

    def run(self):
        endure(self.work_on, self)

    def work_on(self):
        while not done:
            work(self.chance)


def endure(step, thread, depth=12):
    """Calls `step` again until it returns by itself, and counts what is raised meanwhile. Another exception may come
    while one is counted: then the next caller does it. In frames of their own: 3.12 and 3.13 leave the jump of a loop
    out of the `try` around it."""
    while True:
        try:
            return endure(step, thread, depth - 1) if depth else step()
        except BaseException as error:
            take(error, thread)


def work(chance):
    chance.choice([spend, spend, limited, limited, held, from_generator])(chance)


def signal_main():
    """Signals that any thread takes; two that come before one is handled are one."""
    chance = random.Random(SEED + 1)
    while not done:
        number = chance.choice([signal.SIGUSR1, signal.SIGUSR2])
        kind = chance.randrange(3)
        if kind == 0:
            signal.raise_signal(number)
        elif kind == 1:
            os.kill(os.getpid(), number)
        else:
            signal.pthread_kill(main.ident, number)
        count("signals")
        never.acquire(timeout=chance.random() * 5e-3)


def send_to_all():
    chance = random.Random(SEED + 2)
    while not done:
        # Not so many that one comes wherever another is counted.
        while underthread._core._underthread.account()["pending"] > 3 and not done:
            never.acquire(timeout=1e-3)
        thread = chance.choice(targets)
        send(thread, thread if chance.randrange(2) else thread.ident)
        never.acquire(timeout=chance.random() * 1e-3)


def tell_what_is_foreign():
    chance = random.Random(SEED + 3)
    while not done:
        thread = chance.choice(workers)
        told = ctypes.py_object(Foreign) if chance.randrange(4) else None
        with hold_interrupts():
            set_async_exc(ctypes.c_ulong(thread.ident), told)
        count("foreign")
        never.acquire(timeout=chance.random() * 2e-2)


def fork_and_start():
    chance = random.Random(SEED + 4)
    while not done:
        start_one(chance)
        if not chance.randrange(20):
            fork(chance)


def use_subinterpreters():
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    code = f"import sys; sys.path[:] = {sys.path!r}\n" + (
        "import threading, underthread\n"
        "underthread.install()\n"
        "with underthread.time_limit(5): pass\n"
        "try:\n"
        "    with underthread.time_limit(0.001): threading.Event().wait()\n"
        "except TimeoutError: pass\n"
    )
    while not done:
        with one_interpreter:
            try:
                made = interpreters.create("legacy")
            except TypeError:
                made = interpreters.create(isolated=False)
            failed = interpreters.run_string(made, code)
            if failed is not None:
                wrong.append(f"in a subinterpreter: {failed}")
            interpreters.destroy(made)
        count("subinterpreters")
        never.acquire(timeout=0.2)


def handler(signum, frame):
    counts["handled"] += 1
    if counts["handled"] % 3 == 0:
        raise FromHandler


def hook(arguments):
    if isinstance(arguments.exc_value, (Stop, Foreign)):
        take(arguments.exc_value, arguments.thread)
    else:
        wrong.append(f"{arguments.thread.name}: {arguments.exc_value!r}")


def unraisable(report):
    """What comes to a thread that is not yet, or no longer, in code that could catch it."""
    error = report.exc_value
    while error is not None and not isinstance(error, Stop):
        error = error.__context__
    if error is not None:
        take(error, error.thread)
        if error.thread.ident != threading.get_ident():
            wrong.append(f"thread {threading.get_ident()} got what was sent to {error.thread.name}")


def main_loop(chance):
    while time.monotonic() < end:
        work(chance)
        if not chance.randrange(200):
            fork(chance)


threading.excepthook = hook
sys.unraisablehook = unraisable
signal.signal(signal.SIGUSR1, handler)
signal.signal(signal.SIGUSR2, handler)
workers = [Worker(number) for number in range(3)]
targets = [*workers, main]
# What sends is not itself sent to.
servants = [
    threading.Thread(target=function, name=function.__name__)
    for function in (signal_main, send_to_all, tell_what_is_foreign, fork_and_start, use_subinterpreters)
]
# Without a GIL an exception that somebody else has overwritten may still be raised. And before 3.11 one that nobody
# holds off may come between `__enter__` and the block, and the lock of a `with` is lost.
if not HAS_GIL or sys.version_info < (3, 11):
    servants = [each for each in servants if each.name != "tell_what_is_foreign"]
chance = random.Random(SEED)


phase = "start"


def everything():
    """All that the main thread does, to be called again wherever it was interrupted."""
    global phase, done
    if phase == "start":
        with hold_interrupts():
            phase = "work"
            for each in workers + servants:
                each.start()
    if phase == "work":
        main_loop(chance)
        done = True
        phase = "end"
    with hold_interrupts():
        for each in servants + workers:
            each.join()
    # What is still pending comes now.
    for _ in range(10000):
        pass


endure(everything, main)
account = underthread._core._underthread.account()
lost = account["accepted"] - account["raised"] - account["overwritten"] - account["dropped"] - account["pending"]
print(sys.version.split()[0], f"seed {SEED}:", counts, account, flush=True)
if counts["sent"] != account["accepted"]:
    wrong.append(f"{counts['sent']} were said to be sent, {account['accepted']} were accepted")
if lost:
    wrong.append(f"{lost} are not accounted for")
if account["pending"]:
    wrong.append(f"{account['pending']} are still pending, and nobody is left who would hold them off")
if counts["taken"] != account["raised"]:
    wrong.append(f"{account['raised']} were raised, {counts['taken']} were taken")
for what in wrong[:20]:
    print("wrong:", what)
sys.exit(1 if wrong else 0)
