import unittest

import programs

DESCRIBE = """
import _thread

def describe(label, thing):
    print(label, type(thing).__name__, getattr(thing, "__module__", None),
          getattr(thing, "__qualname__", None), repr(getattr(thing, "__text_signature__", None)),
          repr(getattr(thing, "__doc__", None)), sep=" | ")

print(dir(_thread), _thread.__name__, _thread.__package__, repr(_thread.__doc__))
print(_thread.TIMEOUT_MAX, _thread.error)
for name in dir(_thread):
    if not name.startswith("__"):
        describe(name, getattr(_thread, name))
for kind in (_thread.LockType, _thread.RLock, _thread._local, _thread._ExceptHookArgs):
    print(kind, kind.__mro__, hex(kind.__flags__ & ~(1 << 19)), bool(kind.__weakrefoffset__),
          kind.__dictoffset__, kind.__doc__)
    for name, thing in vars(kind).items():
        describe(name, thing)
"""


class Names(unittest.TestCase):
    maxDiff = None

    def test_names_types_signatures_and_documentation_are_the_interpreters_own(self):
        theirs = programs.run(DESCRIBE, programs.STOCK)
        ours = programs.run(DESCRIBE, programs.OURS)
        self.assertEqual(theirs.splitlines(), ours.splitlines())

    def test_what_threading_exports_is_the_same(self):
        text = "import threading; print(sorted(vars(threading)), threading.__all__)"
        self.assertEqual(programs.run(text, programs.STOCK), programs.run(text))

    def test_functions_pickle_by_name(self):
        text = """
            import _thread, pickle
            for name in ("allocate_lock", "start_new_thread", "get_ident", "RLock", "LockType"):
                thing = getattr(_thread, name)
                print(pickle.dumps(thing, 0), pickle.loads(pickle.dumps(thing)) is thing)
            """
        text = text.replace('"LockType"', '"_local"')
        self.assertEqual(programs.run(text, programs.STOCK), programs.run(text))


if __name__ == "__main__":
    unittest.main()
