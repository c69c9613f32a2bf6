"""What looks at threads from outside sees ours: tracebacks, frames, tracing and profiling."""

import re
import unittest

from programs import OURS, STOCK, run

WAITING = """
import faulthandler, sys, threading, _thread
sys.stderr = sys.stdout
lock, begun = threading.Lock(), threading.Lock()
lock.acquire()
begun.acquire()
idents = []
def waits_for_the_lock():
    idents.append(_thread.get_ident())
    begun.release()  # no frame of Python's own
    lock.acquire()
thread = threading.Thread(target=waits_for_the_lock)
thread.start()
begun.acquire()
"""


def same(case, text):
    """The program prints the same on both, and something; what it printed."""
    theirs, ours = (re.sub("0x[0-9a-f]+", "0x", run(text, on)) for on in (STOCK, OURS))
    case.assertEqual(theirs, ours)
    case.assertTrue(ours)
    return ours


class Tools(unittest.TestCase):
    def test_current_frames_have_our_threads(self):
        out = same(
            self,
            WAITING
            + "frames = sys._current_frames()\n"
            + "print(sorted(frames) == sorted([idents[0], _thread.get_ident()]), frames[idents[0]].f_code.co_name)\n"
            + "lock.release()\n",
        )
        self.assertEqual(out, "True waits_for_the_lock\n")

    def test_faulthandler_shows_where_our_threads_are(self):
        text = (
            WAITING
            + "import tempfile\n"
            + "with tempfile.TemporaryFile('w+') as file:\n"
            + "    faulthandler.dump_traceback(file, all_threads=True)\n"
            + "    file.seek(0)\n"
            + "    print(*[line.strip() for line in file if 'File' not in line or 'program.py' in line], sep='\\n')\n"
            + "lock.release()\n"
        )
        # The launcher's own frames are below the program's, and not in its file.
        out = [re.sub(".*/", "", line) for line in run(text).splitlines()]
        self.assertIn("waits_for_the_lock", "\n".join(out))
        self.assertEqual(sum(line.startswith(("Thread 0x", "Current thread 0x")) for line in out), 2)

    def test_tracing_and_profiling_reach_our_threads(self):
        out = same(
            self,
            """
            import sys, threading
            def work(): return 1
            for switch in (threading.settrace, threading.setprofile):
                seen = []
                def note(frame, event, argument):
                    if frame.f_code is work.__code__: seen.append(event)
                    return note
                switch(note)
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                switch(None)
                print(seen)
            """,
        )
        self.assertEqual(out, "['call', 'line', 'return']\n['call', 'return']\n")

    def test_tracing_reaches_our_threads_that_run(self):
        same(
            self,
            """
            import sys, threading
            begun, lock, seen = threading.Event(), threading.Lock(), []
            lock.acquire()
            def inner(): return 1
            def work():
                begun.set()
                lock.acquire()
                inner()
            thread = threading.Thread(target=work)
            thread.start()
            begun.wait()
            # From 3.12 on.
            if hasattr(threading, "settrace_all_threads"):
                threading.settrace_all_threads(lambda frame, event, _: seen.append(frame.f_code.co_name))
                lock.release()
                thread.join()
                threading.settrace_all_threads(None)
            else:
                lock.release()
                thread.join()
            print(seen.count("inner"))
            """,
        )


if __name__ == "__main__":
    unittest.main()
