"""How a program with threads ends."""

import unittest

from programs import OURS, STOCK, Program


class Exit(unittest.TestCase):
    def ends_cleanly(self, text, times, expected=""):
        with Program(text) as program:
            for turn in range(times):
                self.assertEqual(self.ending(program.run(OURS)), (0, expected, ""), f"exit {turn}")

    def ending(self, process):
        return process.returncode, process.stdout, process.stderr

    def test_waits_for_threads_that_are_not_daemons(self):
        self.ends_cleanly(
            """
            import threading
            def work():
                threading.main_thread().join()
                print("after main")
            threading.Thread(target=work).start()
            """,
            5,
            "after main\n",
        )

    def test_stops_daemon_threads_wherever_they_are(self):
        self.ends_cleanly(
            """
            import queue, threading
            lock, rlock, condition, event = threading.Lock(), threading.RLock(), threading.Condition(), threading.Event()
            items, local = queue.Queue(), threading.local()
            held = threading.Lock()
            held.acquire()
            def contend():
                while True:
                    with lock: pass
            def reenter():
                while True:
                    with rlock, rlock: pass
            def start():
                while True:
                    thread = threading.Thread(target=int)
                    thread.start()
                    thread.join()
            def wait_with_a_limit():
                while True: event.wait(0.0003)
            def wait():
                with condition: condition.wait()
            def store():
                while True: local.x = threading.local()
            def spawn():
                while True: threading.Thread(target=held.acquire, daemon=True).start()
            for function in (contend, contend, reenter, reenter, start, start, wait_with_a_limit, wait, store,
                             items.get, held.acquire):
                threading.Thread(target=function, daemon=True).start()
            """,
            60,
        )

    def test_a_thread_may_join_the_main_thread_while_the_interpreter_ends(self):
        self.ends_cleanly(
            """
            import threading
            for _ in range(3):
                threading.Thread(target=threading.main_thread().join).start()
            """,
            300,
        )

    def test_daemons_may_be_starting_when_it_ends(self):
        self.ends_cleanly(
            """
            import threading, _thread
            lock = threading.Lock()
            def breed(left):
                try:
                    if left: _thread.start_new_thread(breed, (left - 1,))
                except RuntimeError: pass  # from 3.12 on none is started when it ends
                with lock: pass
            for _ in range(20): _thread.start_new_thread(breed, (50,))
            """,
            30,
        )

    def test_status_and_streams_are_the_interpreters_own(self):
        text = """
            import atexit, sys, threading
            atexit.register(lambda: print("at exit", threading.active_count()))
            threading.Thread(target=lambda: threading.main_thread().join() or print("thread"), name="T").start()
            def fail(): 1 / 0
            thread = threading.Thread(target=fail, name="T2")
            thread.start()
            thread.join()
            sys.exit("bye")
            """
        with Program(text) as program:
            theirs, ours = program.run(STOCK), program.run(OURS)
        self.assertEqual(self.ending(theirs), self.ending(ours))
        self.assertEqual((ours.returncode, ours.stdout), (1, "thread\nat exit 1\n"))


if __name__ == "__main__":
    unittest.main()
