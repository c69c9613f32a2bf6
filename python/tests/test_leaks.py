"""What is made and dropped again and again leaves nothing behind."""

import unittest

from programs import run

MAKERS = {
    "locks": "lock = _thread.allocate_lock(); lock.acquire(); weakref.ref(lock); lock.release()",
    "held locks": "_thread.allocate_lock().acquire()",
    "RLocks": "lock = _thread.RLock(); lock.acquire(); lock.acquire(); lock._release_save()",
    "subclasses of RLock": "Sub().me = 1",
    "cycles through an RLock": "lock = Sub(); lock.me = lock; del lock",
    "locals": "local = threading.local(); local.x = 1",
    "cycles through a local": "local = Local(); local.me = local; del local",
    "threads": "thread = threading.Thread(target=int); thread.start(); thread.join()",
    "threads without a Thread": "done = _thread.allocate_lock(); done.acquire(); _thread.start_new_thread(done.release, ()); done.acquire()",
    "threads that use a local": "thread = threading.Thread(target=setattr, args=(shared, 'x', [])); thread.start(); thread.join()",
    "threads that fail": "thread = threading.Thread(target=fail); thread.start(); thread.join()",
    "starts that fail": "\n    _thread.stack_size(1 << 46)\n    try: threading.Thread(target=int).start()\n"
    "    except RuntimeError: pass\n    _thread.stack_size(0)",
    "calls that fail": "\n    try: _thread.allocate_lock().release()\n    except RuntimeError: pass",
    "waits that time out": "held.acquire(timeout=0.00001)",
    "handles": "hasattr(_thread, '_ThreadHandle') and _thread._ThreadHandle()",
    "handles of threads": "hasattr(_thread, '_ThreadHandle') and _thread.start_joinable_thread(int).join()",
    "handles that stand for others": "hasattr(_thread, '_ThreadHandle') and _thread._make_thread_handle(1)._set_done()",
}

PROGRAM = """
import _thread, gc, sys, threading, weakref
class Sub(_thread.RLock): pass
class Local(_thread._local): pass
shared, held = threading.local(), _thread.allocate_lock()
held.acquire()
threading.excepthook = lambda *_: None
def fail(): 1 / 0
def make():
    {make}
def memory():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4
before = _thread._count()
def settle():
    # A thread that nobody can join is still counted for a moment.
    while _thread._count() > before: pass
    for _ in range(3): gc.collect()
    return sys.getallocatedblocks(), memory()
lows = []
for _ in range(6):
    for _ in range({times}): make()
    lows.append(settle())
# What leaks does so each time, whatever else comes and goes: a round that leaves nothing is enough.
print(min(later[0] - earlier[0] for earlier, later in zip(lows[1:], lows[2:])),
      min(later[1] - earlier[1] for earlier, later in zip(lows[1:], lows[2:])))
"""


class Leaks(unittest.TestCase):
    def test_nothing_stays_of_what_is_dropped(self):
        times = 300
        for name, make in MAKERS.items():
            with self.subTest(name):
                out = run(PROGRAM.format(make=make, times=times))
                blocks, kilobytes = map(int, out.split())
                self.assertLess(blocks, times // 2)
                # What has no block of Python's: 1 kB each would be 300.
                self.assertLess(kilobytes, times // 2)


if __name__ == "__main__":
    unittest.main()
