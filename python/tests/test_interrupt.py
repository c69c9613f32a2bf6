"""Ctrl-C and interrupt_main end every wait of the main thread that is ours, at once."""

import os
import re
import signal
import time
import unittest

from programs import OURS, Program, is_asleep, run, wait_for

# What the main thread waits in. None of them is ever released, so that only an interrupt ends it.
WAITS = {
    "Lock.acquire": "lock.acquire()",
    "Lock.acquire with a limit": "lock.acquire(timeout=3600)",
    "with Lock": "\n    with lock: pass",
    "RLock.acquire": "rlock.acquire()",
    "RLock.acquire with a limit": "rlock.acquire(timeout=3600)",
    "Queue.get": "queue.Queue().get()",
    "Queue.get with a limit": "queue.Queue().get(timeout=3600)",
    "Event.wait": "threading.Event().wait()",
    "Condition.wait": "\n    with condition: condition.wait()",
    "Condition.wait with a limit": "\n    with condition: condition.wait(3600)",
    "Semaphore.acquire": "threading.Semaphore(0).acquire()",
    "Barrier.wait": "threading.Barrier(2).wait()",
    "Thread.join": "thread.join()",
    "Thread.join with a limit": "thread.join(3600)",
    "Future.result": "concurrent.futures.Future().result()",
}

PROGRAM = """
import concurrent.futures, queue, signal, sys, threading, time, _thread
signal.signal(signal.SIGINT, signal.default_int_handler)
lock, rlock, condition = threading.Lock(), threading.RLock(), threading.Condition()
lock.acquire()
thread = threading.Thread(target=lambda: rlock.acquire() and lock.acquire(), daemon=True)
thread.start()
sys.path.insert(0, {tests!r})
from programs import is_asleep, wait_for
wait_for(lambda: is_asleep("self", thread.native_id), "the other thread")
sent = 0.0
def interrupt():
    global sent
    wait_for(lambda: is_asleep("self", threading.main_thread().native_id), "the main thread")
    sent = time.monotonic()
    _thread.interrupt_main()
if {by_thread}:
    threading.Thread(target=interrupt, daemon=True).start()
else:
    print("ready", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - sent, flush=True)
"""


class Interrupt(unittest.TestCase):
    def program(self, wait, by_thread):
        tests = os.path.dirname(os.path.abspath(__file__))
        return Program(PROGRAM.format(wait=wait, by_thread=by_thread, tests=tests))

    def test_interrupt_main_ends_a_wait_at_once(self):
        for name, wait in WAITS.items():
            with self.subTest(name), self.program(wait, True) as program:
                ended = program.run(OURS)
                self.assertEqual((ended.returncode, ended.stderr), (0, ""))
                found = re.fullmatch(r"interrupted (.*)\n", ended.stdout)
                # Measured: well below a millisecond. The bound is for a loaded machine.
                self.assertLess(float(found[1]), 1)

    def test_ctrl_c_ends_a_wait_at_once(self):
        for name, wait in WAITS.items():
            with self.subTest(name), self.program(wait, False) as program:
                child = program.start(OURS)
                self.addCleanup(child.kill)
                self.assertEqual(child.stdout.readline(), "ready\n")
                wait_for(lambda: is_asleep(child.pid), "the main thread waits")
                sent = time.monotonic()
                child.send_signal(signal.SIGINT)
                out, err = child.communicate(timeout=60)
                self.assertLess(time.monotonic() - sent, 5)
                self.assertTrue(out.startswith("interrupted "), out)
                self.assertEqual((child.returncode, err), (0, ""))

    def test_a_handler_that_returns_leaves_the_wait_and_its_deadline_as_they_were(self):
        out = run(
            """
            import signal, sys, threading, time, _thread
            calls, done = [], False
            # 3.9 can ask for one signal only.
            signals = [signal.SIGUSR1] if sys.version_info >= (3, 10) else []
            signal.signal(*signals or [signal.SIGINT], lambda *_: calls.append(1))
            lock = threading.Lock()
            lock.acquire()
            begin = time.monotonic()
            def interrupt():
                while not done and time.monotonic() < begin + 20:
                    seen = len(calls)
                    _thread.interrupt_main(*signals)
                    while not done and len(calls) == seen: time.sleep(0.0001)
            thread = threading.Thread(target=interrupt)
            thread.start()
            got = lock.acquire(timeout=0.3)
            end = time.monotonic()
            done = True
            print(got, 0.3 <= end - begin < 5, len(calls) > 5)
            thread.join()
            """
        )
        self.assertEqual(out, "False True True\n")

    def test_a_handler_may_release_what_is_waited_for(self):
        out = run(
            """
            import signal, sys, threading, _thread
            lock = threading.Lock()
            signals = [signal.SIGUSR1] if sys.version_info >= (3, 10) else []
            signal.signal(*signals or [signal.SIGINT], lambda *_: lock.release())
            lock.acquire()
            threading.Thread(target=_thread.interrupt_main, args=signals).start()
            print(lock.acquire(), lock.locked())
            """
        )
        self.assertEqual(out, "True True\n")

    def test_a_handler_that_is_due_runs_before_the_wait_begins(self):
        out = run(
            """
            import operator, threading, _thread
            call = operator.methodcaller("__call__")
            lock = threading.Lock()
            lock.acquire()
            try:
                # One after the other from C: the interpreter looks for handlers nowhere between.
                list(map(call, [_thread.interrupt_main, lock.acquire]))
            except KeyboardInterrupt:
                print("interrupted")
            """
        )
        self.assertEqual(out, "interrupted\n")

    def test_interrupts_for_default_and_ignored_signals_do_nothing(self):
        out = run(
            """
            import signal, threading, _thread
            lock = threading.Lock()
            for handler in (signal.SIG_DFL, signal.SIG_IGN):
                signal.signal(signal.SIGINT, handler)
                lock.acquire()
                def interrupt():
                    for _ in range(100): _thread.interrupt_main()
                    lock.release()
                threading.Thread(target=interrupt).start()
                print(lock.acquire())
                lock.release()
            """
        )
        self.assertEqual(out, "True\nTrue\n")

    def test_acquire_restore_is_not_interrupted(self):
        out = run(
            """
            import linecache, sys, threading, _thread
            condition = threading.Condition()
            main = threading.main_thread()
            def restores():
                frame = sys._current_frames()[main.ident]
                return "_acquire_restore" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            def interrupt():
                with condition:
                    condition.notify()
                    # It goes on, and waits for the lock again, which is ours.
                    while not restores(): pass
                    for _ in range(50): _thread.interrupt_main()
            try:
                with condition:
                    thread = threading.Thread(target=interrupt)
                    thread.start()
                    try:
                        condition.wait()
                    finally:
                        print(condition._is_owned())
            except KeyboardInterrupt:
                print("interrupted")
            thread.join()
            """
        )
        self.assertEqual(out, "True\ninterrupted\n")

    def test_an_interrupt_is_never_lost_and_comes_once(self):
        out = run(
            """
            import threading, _thread
            lock, go, stop = threading.Lock(), threading.Lock(), False
            lock.acquire()
            go.acquire()
            def interrupt():
                for _ in range(3000):
                    go.acquire()
                    _thread.interrupt_main()
            thread = threading.Thread(target=interrupt)
            thread.start()
            caught = 0
            for _ in range(3000):
                try:
                    go.release()
                    lock.acquire()
                except KeyboardInterrupt:
                    caught += 1
            thread.join()
            print(caught)
            """
        )
        self.assertEqual(out, "3000\n")

    def test_ctrl_c_ends_the_process_as_by_the_signal(self):
        with Program("import threading; print('ready', flush=True); threading.Event().wait()") as program:
            child = program.start(OURS)
            self.addCleanup(child.kill)
            self.assertEqual(child.stdout.readline(), "ready\n")
            wait_for(lambda: is_asleep(child.pid), "the main thread waits")
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=60)
            self.assertEqual(child.returncode, -signal.SIGINT)
            self.assertTrue(err.endswith("KeyboardInterrupt\n"), err)


if __name__ == "__main__":
    unittest.main()
