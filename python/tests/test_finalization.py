"""What is asked of `_thread` while the interpreter ends is answered as by the interpreter's own."""

import sys
import unittest

from programs import OURS, STOCK, run

# Run when the program's module goes: later than atexit. What it needs it has: its globals are gone.
AT_THE_END = """
import _thread, sys, threading
held, free, reentered = _thread.allocate_lock(), _thread.allocate_lock(), _thread.RLock()
held.acquire()
# Their frames would keep the globals: so there is none.
if hasattr(_thread, "start_joinable_thread"): alive = _thread.start_joinable_thread(held.acquire, daemon=True)
owned = _thread.RLock()
_thread.start_new_thread(owned.acquire, ())
while owned.acquire(False): owned.release()
class AtTheEnd:
    def __del__(self, names={{**vars(_thread), **globals()}}, texts={texts!r}, is_finalizing=sys.is_finalizing):
        print(is_finalizing())
        for what, text in texts.items():
            try: print(what, eval(text, names), flush=True)
            except BaseException as error: print(what, type(error).__name__, error, flush=True)
at_the_end = AtTheEnd()
"""

TEXTS = {
    "try of a held lock": "held.acquire(False)",
    "no wait for a held lock": "held.acquire(True, 0)",
    "acquire of a held lock": "held.acquire(True, 0.01)",
    "acquire of a held RLock": "owned.acquire(True, 0.01)",
    "try of a held RLock": "owned.acquire(False)",
    "acquire of a free lock": "free.acquire(), free.release()",
    "acquire of a free RLock": "reentered.acquire(), reentered.acquire(), reentered.release(), reentered.release()",
    "making of locks": "allocate_lock().acquire(), RLock().acquire()",
    "a local": "setattr(_local(), 'x', 1)",
    "join of a thread that runs": "alive.join(0.01)",
}
STARTS = {
    "start": "start_new_thread(int, ()) and 1",
    "start of a joinable thread": "start_joinable_thread(int)",
}


class Finalization(unittest.TestCase):
    def test_errors_are_the_interpreters_own(self):
        texts = dict(TEXTS)
        # Before 3.12 the interpreter's own starts a thread that never runs.
        if sys.version_info >= (3, 12):
            texts.update(STARTS)
        text = AT_THE_END.format(texts=texts)
        theirs, ours = run(text, STOCK), run(text, OURS)
        self.assertEqual((theirs.splitlines()[0], len(theirs.splitlines())), ("True", len(texts) + 1))
        self.assertEqual(theirs, ours)

    def test_what_the_program_has_registered_for_the_end_can_be_limited_and_interrupted(self):
        out = run(
            """
            import atexit, threading
            def at_the_end():
                import underthread
                held = threading.Lock()
                held.acquire()
                try:
                    with underthread.time_limit(0.05): held.acquire()
                except TimeoutError: print("limited")
            atexit.register(at_the_end)
            """
        )
        self.assertEqual(out, "limited\n")

    def test_the_module_is_whole_as_long_as_the_interpreters_own(self):
        # Kept by another module, which goes after the program's.
        text = """
            import _thread, _frozen_importlib, threading
            class Late:
                def __del__(self, module=_thread, importlib=_frozen_importlib, print=print):
                    print(module.allocate_lock(), importlib._thread.get_ident() > 0, flush=True)
            threading.late = Late()
            """
        theirs, ours = run(text, STOCK), run(text, OURS)
        self.assertIn("<unlocked _thread.lock object", theirs)
        self.assertIn("<unlocked _thread.lock object", ours)

    def test_what_was_sent_and_cannot_be_raised_any_more_is_not_raised_as_something_else(self):
        out = run(
            """
    import atexit, os, threading
    go_on, done = os.pipe(), os.pipe()
    def last():
        os.write(go_on[1], b"x")
        os.read(done[0], 1)
    # Before ours, and so run after it.
    atexit.register(last)
    import underthread
    underthread.install()
    begun = threading.Lock()
    begun.acquire()
    def work():
        try:
            begun.release()
            os.read(go_on[0], 1)
            for _ in range(1000): pass
        except KeyError: pass
        except BaseException as error: print(repr(error), flush=True)
        os.write(done[1], b"x")
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    begun.acquire()
    # It may come before the read, and is then raised there.
    print(underthread.interrupt(thread, KeyError))
    """
        )
        self.assertEqual(out, "True\n")


if __name__ == "__main__":
    unittest.main()
