"""What the interpreter's own `_thread` answers to a wrong use, ours answers too, word for word."""

import unittest

import programs
import wanted

SETUP = """
import _thread, copy, pickle, re, weakref
lock, held, rlock = _thread.allocate_lock(), _thread.allocate_lock(), _thread.RLock()
held.acquire()
local = _thread._local()

class Index:
    def __init__(self, value): self.value = value
    def __index__(self): return self.value

class Unclear:
    def __bool__(self): raise ValueError("neither")

class Sub(_thread.RLock): pass

class WithInit(_thread.RLock):
    def __init__(self, a): pass

class WithNew(_thread.RLock):
    def __new__(cls, *a): return super().__new__(cls, *a)

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
    print(re.sub("ident=[1-9][0-9]*", "ident=n", re.sub("0x[0-9a-f]+", "0x", shown)))
"""

# What only some versions have, the others say that they have not, in both kinds.
SETUP_OF_HANDLES = """
def attempt_join(handle):
    # What a thread says that joins itself, said by the main thread.
    try: handle.join()
    except RuntimeError as error: answers.append(str(error))
answers = []
if hasattr(_thread, "_ThreadHandle"):
    fresh, handle = _thread._ThreadHandle(), _thread._ThreadHandle()
    foreign = _thread._make_thread_handle(1)
    running = _thread.start_joinable_thread(held.acquire)
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

MAKES = ["()", "(1)", "(1, 2)", "(a=1)", "(1, a=1)"]

ROWS = [
    *(f"{which}{call}" for which in ("_thread.allocate_lock", "_thread.LockType", "_thread.lock", "_thread.RLock", "Sub",
                                     "WithInit", "WithNew", "_thread._local", "_thread._ThreadHandle", "lock.__init__",
                                     "rlock.__init__", "local.__init__") for call in MAKES),
    *(f"{what}.__new__({what}{arguments})" for what in ("_thread.LockType", "_thread.RLock", "_thread._local")
      for arguments in ("", ", 1", ", a=1")),
    *(f"object.__new__(_thread.{what})" for what in ("LockType", "RLock", "_local", "_ThreadHandle")),
    *(f"_thread.{what}.__new__(int)" for what in ("LockType", "RLock", "_local", "_ThreadHandle")),
    *(f"type('Sub', (_thread.{what},), {{}})" for what in ("LockType", "RLock", "_local", "_ThreadHandle")),
    *(f"(setattr(_thread.{what}, 'attribute', 1), delattr(_thread.{what}, 'attribute'))" for what in ("LockType", "RLock", "_local", "_ThreadHandle")),
    *(f"{how}({what})" for what in ("lock", "rlock", "Sub()", "local", "_thread._ThreadHandle()")
      for how in ("copy.copy", "copy.deepcopy", "pickle.dumps", "(lambda it: pickle.dumps(it, 0))", "vars", "len", "weakref.ref")),
    *(f"{what}.{how}" for what in ("_thread.allocate_lock()", "_thread.RLock()")
      for how in ("__enter__(1)", "__enter__(0)", "__enter__('a')", "__enter__(True, -2)", "__enter__(blocking=False)",
                  "__enter__(wrong=1)", "__exit__()", "__exit__(1)", "__exit__(1, 2, 3)", "__exit__(None, None, None)",
                  "__exit__(1, 2, 3, 4)", "__exit__(a=1)", "__exit__(None, None, None, a=1)", "release(a=1)", "locked()",
                  "locked(1)", "_at_fork_reinit(1)", "attribute", "__class__", "__dict__")),
    *(f"_thread.{what}" for what in ("LockType.acquire()", "LockType.acquire(1)", "LockType.release(rlock)", "RLock.release(lock)",
                                     "RLock.acquire(lock)", "LockType.__enter__(rlock)", "_ThreadHandle.join(lock)")),
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
    "lock.acquire(False)",
    "lock.acquire(False)",
    "lock.release()",
    "lock.locked(1)",
    "lock.acquire_lock(0)",
    "lock.locked_lock()",
    "lock.release_lock()",
    "lock._at_fork_reinit(1)",
    "held._at_fork_reinit()",
    "held.locked()",
    "lock.attribute",
    "setattr(lock, 'attribute', 1)",
    "lock < lock",
    "_thread.LockType.acquire(rlock)",
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
    "rlock._recursion_count(1)",
    "rlock._release_save()[0]",
    "rlock._is_owned()",
    "rlock._acquire_restore()",
    "rlock._acquire_restore(1)",
    "rlock._acquire_restore((1,))",
    "rlock._acquire_restore((1, 2, 3))",
    "rlock._acquire_restore(('a', 1))",
    "rlock._acquire_restore((1, 'a'))",
    "_thread.RLock()._acquire_restore([1, 2])",
    "rlock._acquire_restore(1, 2)",
    "_thread.RLock()._acquire_restore((1.5, 1))",
    "_thread.RLock()._acquire_restore((1, -1))",
    "rlock._acquire_restore(None)",
    "rlock._acquire_restore((3, _thread.get_ident()))",
    "repr(rlock).replace(str(_thread.get_ident()), 'me')",
    "rlock.release(), rlock.release(), rlock.release()",
    "rlock",
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
]

JOINS = ["()", "(None)", "('a')", "(0)", "(0.0)", "(0.001)", "(1, 2)", "(timeout=0)", "(wrong=1)", "(2**70)",
         "(float('nan'))", "(Index(0))"]

# In this order: what is done to a handle shows in what comes after.
ROWS_OF_HANDLES = [
    "fresh",
    "fresh.ident",
    "setattr(fresh, 'ident', 1)",
    "fresh.attribute",
    "setattr(fresh, 'attribute', 1)",
    "fresh == fresh, fresh < fresh",
    "fresh.is_done()",
    "fresh.is_done(1)",
    "fresh._set_done()",
    "fresh._set_done(1)",
    *(f"fresh.join{call}" for call in JOINS),
    "fresh.join(-1)",
    "_thread._make_thread_handle()",
    "_thread._make_thread_handle('a')",
    "_thread._make_thread_handle(1.5)",
    "_thread._make_thread_handle(None)",
    "_thread._make_thread_handle(-1)",
    "_thread._make_thread_handle(2**70)",
    "_thread._make_thread_handle(True)",
    "_thread._make_thread_handle(Index(1))",
    "_thread._make_thread_handle(1, 2)",
    "_thread._make_thread_handle(ident=1)",
    "_thread._make_thread_handle(0).ident",
    "_thread._make_thread_handle(0).join(0)",
    "_thread._make_thread_handle(_thread.get_ident()).join()",
    "_thread._make_thread_handle(_thread.get_ident()).join(0)",
    "_thread._make_thread_handle(_thread.get_ident())._set_done()",
    "foreign",
    "foreign.ident",
    "foreign.is_done()",
    "foreign.join(0)",
    "foreign.join(0.001)",
    "_thread.start_joinable_thread(int, handle=foreign)",
    "foreign._set_done()",
    "foreign.is_done()",
    "foreign._set_done()",
    "foreign.join()",
    "foreign",
    "_thread.start_joinable_thread(int, handle=foreign)",
    "_thread.start_joinable_thread()",
    "_thread.start_joinable_thread(1)",
    "_thread.start_joinable_thread(None)",
    "_thread.start_joinable_thread(int, 1)",
    "_thread.start_joinable_thread(int, handle=1)",
    "_thread.start_joinable_thread(int, handle=lock)",
    "_thread.start_joinable_thread(1, handle=1)",
    "_thread.start_joinable_thread(int, None, True, 3)",
    "_thread.start_joinable_thread(int, wrong=1)",
    "_thread.start_joinable_thread(int, function=int)",
    "_thread.start_joinable_thread(int, daemon=Unclear())",
    "_thread.start_joinable_thread(int).join()",
    "_thread.start_joinable_thread(int, None).join()",
    "_thread.start_joinable_thread(int, None, False).join()",
    "_thread.start_joinable_thread(int, None, 'a').join()",
    "_thread.start_joinable_thread(function=int, handle=None, daemon=0).join(60)",
    "_thread.start_joinable_thread(int, handle=handle) is handle",
    "_thread.start_joinable_thread(int, handle=handle)",
    "handle.join(60)",
    "handle.is_done()",
    "handle",
    *(f"handle.join{call}" for call in JOINS),
    "handle.join(-1)",
    "handle._set_done()",
    "handle._set_done()",
    "_thread.start_joinable_thread(int, handle=handle)",
    "(lambda: [mine := _thread._ThreadHandle(), _thread.start_joinable_thread(lambda: attempt_join(mine), handle=mine).join(), answers][1:])()",
    "running.is_done()",
    "running",
    *(f"running.join{call}" for call in JOINS if call not in ("()", "(None)")),
    "_thread.start_joinable_thread(int, handle=running)",
    "running._set_done()",
    "running.is_done()",
    "running.join()",
    "_thread._shutdown()",
    "_thread._shutdown(1)",
    "held.release()",
    "_thread._is_main_interpreter(1)",
    "_thread._is_main_interpreter()",
    "_thread.daemon_threads_allowed(1)",
    "_thread.daemon_threads_allowed()",
    "_thread._get_main_thread_ident(1)",
    "_thread._get_main_thread_ident() == _thread.get_ident()",
]

NAMES = ["()", "(1)", "(None)", "('a')", "('a', 'b')", "(name='a')", "(wrong='a')", "(b'a')", "('a\\0b')", "('\\ud800')",
         "('\xe4' * 20)", "('')"]
ROWS_OF_NAMES = [f"_thread.set_name{call}" for call in NAMES]


class Misuse(unittest.TestCase):
    def compare(self, setup, rows):
        text = setup + "".join(f"attempt({row!r})\n" for row in rows)
        theirs = programs.run(text, programs.STOCK).splitlines()
        ours = programs.run(text, programs.OURS).splitlines()
        self.assertEqual((len(theirs), len(ours)), (len(rows), len(rows)))
        keys = wanted.differences("What misuse is told")
        for row, their, our in zip(rows, theirs, ours):
            with self.subTest(row):
                if row in keys:
                    self.assertNotEqual(their, our, "said to differ, and does not")
                else:
                    self.assertEqual(their, our)

    def test_answers_are_the_interpreters_own(self):
        self.compare(SETUP, ROWS)

    def test_answers_of_handles_are_the_interpreters_own(self):
        self.compare(SETUP + SETUP_OF_HANDLES, ROWS_OF_HANDLES)

    def test_answers_to_names_of_threads_are_the_interpreters_own(self):
        self.compare(SETUP, ROWS_OF_NAMES)

    def test_every_documented_difference_is_tried(self):
        tried = {*ROWS, *ROWS_OF_HANDLES, *ROWS_OF_NAMES}
        self.assertEqual([row for row in wanted.differences("What misuse is told") if row not in tried], [])


if __name__ == "__main__":
    unittest.main()
