"""What the interpreter's own `_thread` answers to a wrong use, ours answers too, word for word."""

import unittest

import programs

SETUP = """
import _thread
lock, held, rlock = _thread.allocate_lock(), _thread.allocate_lock(), _thread.RLock()
held.acquire()
local = _thread._local()

class Index:
    def __init__(self, value): self.value = value
    def __index__(self): return self.value

class Sub(_thread.RLock): pass

class Careful(_thread._local):
    at_class = 1
    def __init__(self, *arguments): self.arguments = arguments
    @property
    def computed(self): return 5

def attempt(expression):
    try:
        shown = repr(eval(expression, globals()))
    except BaseException as error:
        shown = f"{type(error).__name__}: {error}"
    import re
    print(re.sub("0x[0-9a-f]+", "0x", shown))
"""

ACQUIRES = [
    "()",
    "(1)",
    "(0)",
    "('a')",
    "(None)",
    "(1.5)",
    "(2**40)",
    "(-2**40)",
    "(Index(1))",
    "(Index(2**40))",
    "(True, 'a')",
    "(True, None)",
    "(True, -1)",
    "(True, -1.0)",
    "(True, -2)",
    "(True, -0.5)",
    "(True, -1e-12)",
    "(True, 0)",
    "(True, 1e-12)",
    "(True, float('nan'))",
    "(True, float('inf'))",
    "(True, float('-inf'))",
    "(True, 2**62)",
    "(True, 2**70)",
    "(True, _thread.TIMEOUT_MAX)",
    "(True, _thread.TIMEOUT_MAX + 1)",
    "(True, 9223372036)",
    "(True, 9223372037)",
    "(True, Index(1))",
    "(False, 1)",
    "(False, 0)",
    "(False, -1)",
    "(False, -2)",
    "(False, 2**70)",
    "(True, 1, 2)",
    "(blocking=True)",
    "(blocking=False)",
    "(blocking='a')",
    "(timeout=0)",
    "(timeout=-2)",
    "(timeout=1, blocking=False)",
    "(True, blocking=True)",
    "(wrong=1)",
    "(True, wrong=1)",
    "(**{'time' + 'out': 0})",
]

ROWS = [
    *(f"{which}.acquire{call}" for which in ("_thread.allocate_lock()", "_thread.RLock()") for call in ACQUIRES),
    "held.acquire(False)",
    "held.acquire(True, 0)",
    "held.acquire(timeout=0.001)",
    "held.locked()",
    "held",
    "lock",
    "rlock",
    "Sub()",
    "lock.release()",
    "lock.release(1)",
    "lock.release_lock()",
    "lock.__exit__()",
    "lock.__exit__(1, 2, 3)",
    "lock.__exit__(a=1)",
    "lock.__enter__('a')",
    "lock.__enter__(False)",
    "lock.__enter__(False)",
    "lock.__exit__(1)",
    "lock.locked(1)",
    "lock.acquire_lock(0)",
    "lock.locked_lock()",
    "lock.release_lock()",
    "lock._at_fork_reinit(1)",
    "held._at_fork_reinit()",
    "held.locked()",
    "lock.attribute",
    "setattr(lock, 'attribute', 1)",
    "setattr(_thread.LockType, 'attribute', 1)",
    "_thread.LockType()",
    "_thread.LockType.__new__(_thread.LockType)",
    "type('Sub', (_thread.LockType,), {})",
    "lock < lock",
    "__import__('copy').copy(lock)",
    "__import__('pickle').dumps(rlock)",
    "_thread.LockType.acquire(rlock)",
    "_thread.RLock(1, 2, a=3)",
    "rlock.release()",
    "rlock.release(1)",
    "rlock.__exit__()",
    "rlock._release_save()",
    "rlock._release_save(1)",
    "rlock._is_owned()",
    "rlock._is_owned(1)",
    "rlock.acquire() and rlock.acquire()",
    "rlock._is_owned()",
    "rlock._recursion_count()",
    "rlock._release_save()[0]",
    "rlock._is_owned()",
    "rlock._acquire_restore()",
    "rlock._acquire_restore(1)",
    "rlock._acquire_restore((1,))",
    "rlock._acquire_restore((1, 2, 3))",
    "rlock._acquire_restore(('a', 1))",
    "rlock._acquire_restore((1, 'a'))",
    "rlock._acquire_restore((3, _thread.get_ident()))",
    "repr(rlock).replace(str(_thread.get_ident()), 'me')",
    "rlock.release(), rlock.release(), rlock.release()",
    "rlock",
    "_thread.allocate_lock(1)",
    "_thread.allocate_lock(a=1)",
    "_thread.allocate(1)",
    "_thread.start_new_thread()",
    "_thread.start_new_thread(1, 2)",
    "_thread.start_new_thread(print)",
    "_thread.start_new_thread(print, 2)",
    "_thread.start_new_thread(print, [])",
    "_thread.start_new_thread(print, (), 2)",
    "_thread.start_new_thread(print, (), {}, 3)",
    "_thread.start_new_thread(print, (), a=1)",
    "_thread.start_new(1, 2)",
    "_thread.stack_size()",
    "_thread.stack_size(-1)",
    "_thread.stack_size(1)",
    "_thread.stack_size(32767)",
    "_thread.stack_size('a')",
    "_thread.stack_size(1.5)",
    "_thread.stack_size(1, 2)",
    "_thread.stack_size(2**70)",
    "_thread.stack_size(40000)",
    "_thread.stack_size(0)",
    "_thread.stack_size()",
    "_thread.interrupt_main(0)",
    "_thread.interrupt_main(-1)",
    "_thread.interrupt_main(65)",
    "_thread.interrupt_main('a')",
    "_thread.interrupt_main(1.5)",
    "_thread.interrupt_main(1, 2)",
    "_thread.interrupt_main(2**40)",
    "_thread.interrupt_main(signum=2)",
    "_thread.interrupt_main(64)",
    "_thread.exit()",
    "_thread.exit(1)",
    "_thread.exit_thread()",
    "_thread._count()",
    "_thread._count(1)",
    "_thread._set_sentinel(1)",
    "_thread._set_sentinel()",
    "_thread._excepthook(1)",
    "_thread._excepthook()",
    "_thread._ExceptHookArgs((1, 2, 3))",
    "_thread._local(1)",
    "_thread._local(a=1)",
    "_thread._local(*(), **{})",
    "local.missing",
    "delattr(local, 'missing')",
    "setattr(local, '__dict__', {})",
    "delattr(local, '__dict__')",
    "_thread._local.__getattribute__(local, 1)",
    "_thread._local.__setattr__(local, 1, 2)",
    "local.__dict__",
    "local.__class__",
    "setattr(Careful(), '__dict__', 1)",
    "Careful(1, 2).arguments",
    "Careful(1).__dict__",
    "Careful().computed",
    "setattr(Careful(), 'computed', 1)",
    "Careful().at_class",
    "__import__('copy').copy(local)",
]


class Misuse(unittest.TestCase):
    def test_answers_are_the_interpreters_own(self):
        text = SETUP + "".join(f"attempt({row!r})\n" for row in ROWS)
        theirs = programs.run(text, programs.STOCK).splitlines()
        ours = programs.run(text, programs.OURS).splitlines()
        self.assertEqual(len(theirs), len(ROWS))
        self.assertEqual(len(ours), len(ROWS))
        for row, their, our in zip(ROWS, theirs, ours):
            with self.subTest(row):
                self.assertEqual(their, our)


if __name__ == "__main__":
    unittest.main()
