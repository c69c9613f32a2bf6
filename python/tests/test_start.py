"""A start whose thread fails before it has begun says so, and never hangs (python/cpython#140746)."""

import importlib.util
import sys
import unittest

from programs import STOCK, run

# Fails on its way, the way a new thread does when there is no memory.
BROKEN = """
import signal, sys, threading, _thread

class Broken(threading.Thread):
    def _bootstrap(self):
        raise MemoryError("nothing left")
"""

# Prints how `thread.start()` went, and what is left of it.
TELL = """
def tell(thread):
    try:
        thread.start()
    except RuntimeError as error:
        print(error)
        print(type(error.__cause__).__name__)
    else:
        print("started")
    print(thread.is_alive(), threading.enumerate() == [threading.main_thread()], threading.active_count())
"""


class StartTest(unittest.TestCase):
    def assert_prints(self, text, *lines, flags=()):
        self.assertEqual(run(BROKEN + TELL + text, flags=flags).splitlines(), list(lines))

    def test_the_interpreters_own_waits_for_ever(self):
        # The thread has gone, nothing is left to set its event, and `start` still waits.
        text = """
import os, time
known = threading.Event()
_bootstrap = Broken._bootstrap
def note(self):
    known.ident = _thread.get_native_id()
    known.set()
    _bootstrap(self)
Broken._bootstrap = note
broken = Broken()
starter = threading.Thread(target=broken.start, daemon=True)
starter.start()
known.wait()
while os.path.exists(f"/proc/self/task/{known.ident}"):
    time.sleep(0.001)
starter.join(0.2)
print(starter.is_alive(), broken._started.is_set(), flush=True)
os._exit(0)
"""
        quiet = "sys.unraisablehook = lambda unraisable: None\n"
        self.assertEqual(run(BROKEN + quiet + text, on=STOCK).split(), ["True", "False"])

    def test_a_thread_without_memory_raises_where_it_was_started(self):
        self.assert_prints(
            "tell(Broken())",
            "can't start new thread: MemoryError: nothing left",
            "MemoryError",
            "False True 1",
        )

    def test_the_first_error_is_named_and_not_what_came_of_it(self):
        # `_bootstrap_inner` cleans up what it has not set up yet, and fails at that.
        self.assert_prints(
            """
def fail(self):
    raise MemoryError
threading.Thread._set_native_id = fail
tell(threading.Thread())
""",
            "can't start new thread: MemoryError",
            "MemoryError" if sys.version_info < (3, 11) else "KeyError",
            "False True 1",
        )

    def test_a_thread_that_exits_or_returns_before_it_has_begun_has_not_started(self):
        self.assert_prints(
            """
Broken._bootstrap = lambda self: sys.exit(3)
tell(Broken())
Broken._bootstrap = lambda self: None
tell(Broken())
""",
            "can't start new thread: SystemExit: 3",
            "SystemExit",
            "False True 1",
            "can't start new thread: it ended before it had begun",
            "NoneType",
            "False True 1",
        )

    def test_a_daemon_is_no_exception(self):
        self.assert_prints(
            "tell(Broken(daemon=True))",
            "can't start new thread: MemoryError: nothing left",
            "MemoryError",
            "False True 1",
        )

    def test_a_thread_of_a_pool_that_fails_fails_the_submit(self):
        self.assert_prints(
            """
import concurrent.futures
started = threading.Thread._bootstrap
threading.Thread._bootstrap = Broken._bootstrap
pool = concurrent.futures.ThreadPoolExecutor(1)
try:
    pool.submit(print)
except RuntimeError as error:
    print(error)
threading.Thread._bootstrap = started
""",
            "can't start new thread: MemoryError: nothing left",
        )

    def test_a_failure_after_it_has_begun_is_not_the_starters(self):
        self.assert_prints(
            """
def note(unraisable):
    print(unraisable.exc_type.__name__)
sys.unraisablehook = note
class Late(threading.Thread):
    def _bootstrap(self):
        self._started.set()
        with threading._active_limbo_lock:
            del threading._limbo[self]
        raise MemoryError
late = Late(daemon=True)
late.start()
while _thread._count():
    pass
print("started")
""",
            "MemoryError",
            "started",
        )

    def test_a_function_of_a_thread_that_is_not_its_bootstrap_is_not_waited_for(self):
        self.assert_prints(
            """
thread = threading.Thread(target=print, args=("ran",))
_thread.start_new_thread(thread.run, ())
while _thread._count():
    pass
""",
            "ran",
        )

    def test_what_a_handler_raises_while_a_thread_begins_leaves_the_thread_alone(self):
        # `Thread.start` takes an Exception from the start itself for a failed one.
        self.assert_prints(
            """
known = threading.Event()
go = threading.Event()
class Slow(threading.Thread):
    def _bootstrap(self):
        known.set()
        go.wait()
        super()._bootstrap()
def interrupt():
    known.wait()
    _thread.interrupt_main()
def stop(signum, frame):
    raise error
signal.signal(signal.SIGINT, stop)
for error in ValueError("stop"), KeyboardInterrupt():
    known.clear()
    go.clear()
    slow = Slow(target=print, args=("ran",))
    helper = threading.Thread(target=interrupt)
    helper.start()
    try:
        slow.start()
    except BaseException as raised:
        print(raised is error)
    go.set()
    slow._started.wait()
    slow.join()
    helper.join()
    print(slow.is_alive(), threading.enumerate() == [threading.main_thread()])
""",
            "True",
            "ran",
            "False True",
            "True",
            "ran",
            "False True",
        )

    def test_what_a_handler_raises_as_a_thread_starts_is_not_a_start_that_failed(self):
        # The thread's first act is the signal.
        self.assert_prints(
            """
import os
class Stop(Exception): pass
def handler(*_): raise Stop
signal.signal(signal.SIGUSR1, handler)
import underthread
results = set()
for act in (lambda: os.kill(os.getpid(), signal.SIGUSR1)), (lambda: underthread.interrupt(threading.main_thread(), Stop)):
    for _ in range(100):
        thread = threading.Thread(target=act)
        try:
            try:
                thread.start()
                while True: pass
            except Stop: results.add("Stop")
        except Exception as error: results.add(repr(error))
        thread.join()
print(results, threading._limbo)
""",
            "{'Stop'} {}",
        )

    def test_a_start_that_fails_while_its_starter_holds_interrupts_off_says_so(self):
        self.assert_prints(
            """
import underthread
with underthread.hold_interrupts(): tell(Broken())
""",
            "can't start new thread: MemoryError: nothing left",
            "MemoryError",
            "False True 1",
        )

    def test_a_limit_that_ends_a_start_leaves_the_thread_alone(self):
        self.assert_prints(
            """
import underthread
go = threading.Event()
class Slow(threading.Thread):
    def _bootstrap(self):
        go.wait()
        super()._bootstrap()
def start():
    go.clear()
    slow = Slow(target=print, args=("ran",))
    try:
        with underthread.time_limit(0.01): slow.start()
    except TimeoutError as error: print(type(error.__context__).__name__)
    go.set()
    slow._started.wait()
    slow.join()
    print(threading._limbo)
start()
starter = threading.Thread(target=start)
starter.start()
starter.join()
""",
            *["NoneType", "ran", "{}"] * 2,
        )

    def test_a_thread_that_fails_when_its_starter_has_gone_tells_it_itself(self):
        self.assert_prints(
            """
known = threading.Event()
go = threading.Event()
class Slow(Broken):
    def _bootstrap(self):
        known.set()
        go.wait()
        super()._bootstrap()
def interrupt():
    known.wait()
    _thread.interrupt_main()
def note(unraisable):
    print(unraisable.exc_type.__name__)
    told.set()
told = threading.Event()
sys.unraisablehook = note
_thread.start_new_thread(interrupt, ())
try:
    Slow().start()
except KeyboardInterrupt:
    print("interrupted")
go.set()
told.wait()
""",
            "interrupted",
            "MemoryError",
        )

    @unittest.skipUnless(importlib.util.find_spec("_testcapi"), "needs CPython's own test module")
    def test_no_allocation_that_fails_makes_a_start_hang(self):
        # Each start goes one allocation further than the one before, in starter and thread.
        self.assert_prints(
            """
import os, _testcapi
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
thread = None
def attempt():
    global thread
    thread = threading.Thread(target=_thread._count)
    _testcapi.set_nomemory(first, first + width)
    thread.start()
for width in 1, 2, 5:
    for first in range(120):
        try:
            try:
                attempt()
            except Exception:
                pass
        except MemoryError:
            pass
        while True:
            try:
                _testcapi.remove_mem_hooks()
                break
            except MemoryError:
                pass
        # As on stock, a starter that has no memory to leave a `with` leaves the event's lock locked, and the new
        # thread waits for it.
        while _thread._count():
            if thread and thread._started._cond._lock.locked():
                try:
                    thread._started._cond._lock.release()
                except RuntimeError:
                    pass
print("never")
""",
            "never",
        )

    @unittest.skipIf(sys.version_info >= (3, 13), "its handle belongs to one start there")
    def test_a_thread_that_has_not_begun_can_be_started_again(self):
        self.assert_prints(
            """
broken = Broken(target=print, args=("ran",))
tell(broken)
del Broken._bootstrap
broken.start()
broken.join()
""",
            "can't start new thread: MemoryError: nothing left",
            "MemoryError",
            "False True 1",
            "ran",
        )


if __name__ == "__main__":
    unittest.main()
