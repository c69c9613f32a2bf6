import unittest

from programs import OURS, STOCK, run

class Join(unittest.TestCase):
    def test_one_that_is_interrupted_leaves_the_thread_alive(self):
        # python/cpython#90882: up to 3.12 threading itself takes the thread for ended.
        text = """
            import os, signal, sys, threading, time
            begun, go_on, ended = threading.Event(), threading.Event(), []
            def work():
                begun.set()
                go_on.wait()
                ended.append(True)
            thread = threading.Thread(target=work)
            thread.start()
            begun.wait()
            main = threading.get_ident()
            def interrupt():
                # Into the wait itself: there is nothing below it that runs Python code.
                while sys._current_frames()[main].f_code.co_name not in ("join", "_wait_for_tstate_lock"):
                    time.sleep(0.001)
                os.kill(os.getpid(), signal.SIGINT)
            threading.Thread(target=interrupt).start()
            try:
                thread.join()
            except KeyboardInterrupt:
                print("interrupted", end=" ")
            print(thread.is_alive(), thread in threading.enumerate(), end=" ")
            go_on.set()
            thread.join()
            print(ended, thread.is_alive())
            """
        self.assertEqual(run(text, OURS), "interrupted True True [True] False\n")

    def test_one_that_has_ended_is_joined_at_once_and_again(self):
        text = """
            import threading
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
            thread.join()
            thread.join(0)
            print(thread.is_alive())
            """
        self.assertEqual(run(text, OURS), run(text, STOCK))

    def test_a_sentinel_is_locked_as_long_as_its_thread_runs(self):
        # threading drops sentinels that are not, and waits for the others at the end.
        text = """
            import threading, _thread
            if not hasattr(_thread, "_set_sentinel"):
                print("none")
                raise SystemExit
            sentinel = _thread._set_sentinel()
            print(sentinel.locked(), end=" ")
            sentinel.acquire()
            print(sentinel.locked(), repr(sentinel)[:7], end=" ")
            seen = []
            thread = threading.Thread(target=lambda: seen.append(sentinel.locked()))
            thread.start()
            thread.join()
            print(seen)
            sentinel.release()
            """
        self.assertEqual(run(text, OURS), run(text, STOCK))


if __name__ == "__main__":
    unittest.main()
