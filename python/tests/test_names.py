"""What can be asked of `_thread` without using it, ours answers as the interpreter's own does."""

import json
import unittest

import programs
import wanted

DESCRIBE = """
import _thread, inspect, json, re, sys

FLAGS = {3: "MANAGED_WEAKREF", 4: "MANAGED_DICT", 7: "DISALLOW_INSTANTIATION", 8: "IMMUTABLETYPE", 9: "HEAPTYPE",
         10: "BASETYPE", 11: "HAVE_VECTORCALL", 12: "READY", 14: "HAVE_GC", 20: "IS_ABSTRACT", 22: "MATCH_SELF"}
VALID_VERSION_TAG = 19  # the interpreter's cache

said = {}

def say(key, value):
    said[key] = re.sub("0x[0-9a-f]+", "0x", value) if isinstance(value, str) else value

def describe(key, thing):
    if thing is None or isinstance(thing, str): return say(key, repr(thing))
    say(key, type(thing).__name__)
    if isinstance(thing, (int, float)): return
    for name in ("__module__", "__name__", "__qualname__", "__text_signature__", "__doc__"):
        say(key + " " + name, getattr(thing, name, None))
    if not callable(thing): return
    try:
        say(key + " signature", str(inspect.signature(thing)))
    except (TypeError, ValueError) as error:
        say(key + " signature", type(error).__name__)

def describe_type(name, kind):
    say(name + " repr", repr(kind))
    say(name + " mro", [base.__module__ + "." + base.__name__ for base in kind.__mro__])
    for bit in range(32):
        if bit != VALID_VERSION_TAG and kind.__flags__ >> bit & 1: say(name + " flag " + FLAGS.get(bit, str(bit)), True)
    say(name + " has weak references", bool(kind.__weakrefoffset__))
    say(name + " dictoffset", kind.__dictoffset__)
    try:
        kind.attribute = 1
        del kind.attribute
        say(name + " attributes can be set", True)
    except TypeError as error:
        say(name + " attributes can be set", str(error))
    for inner, value in vars(kind).items(): describe(name + "." + inner, value)

for fact in ("__name__", "__package__", "__doc__"): say("_thread " + fact, getattr(_thread, fact))
for name in dir(_thread):
    if name.startswith("__"): continue
    thing = getattr(_thread, name)
    describe(name, thing)
    if isinstance(thing, type) and thing.__module__ == "_thread": describe_type(name, thing)
say("TIMEOUT_MAX is", _thread.TIMEOUT_MAX)
say("error is", repr(_thread.error))

class Lock(_thread.RLock): pass
class Local(_thread._local): pass
lock, rlock, child = _thread.allocate_lock(), _thread.RLock(), Lock()
objects = {"lock": lock, "rlock": rlock, "child of RLock": child, "local": _thread._local(), "child of _local": Local()}
if hasattr(_thread, "_ThreadHandle"): objects["handle"] = _thread._ThreadHandle()
for state in ("", ", held"):
    for name, thing in objects.items():
        say("repr of " + name + state, repr(thing).replace(str(_thread.get_ident()), "me"))
        say("dir of " + name + state, dir(thing))
    for each in (lock, rlock, child): each.acquire(False)
print(json.dumps(said))
"""


class Names(unittest.TestCase):
    maxDiff = None

    def test_all_but_the_documented_differences_is_the_interpreters_own(self):
        theirs = json.loads(programs.run(DESCRIBE, programs.STOCK))
        ours = json.loads(programs.run(DESCRIBE, programs.OURS))
        keys = wanted.differences("What shows")
        found = {key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)}
        for key in sorted(found.difference(keys)):
            with self.subTest(key):
                self.fail(f"Python's own: {theirs.get(key)!r}, ours: {ours.get(key)!r}")
        self.assertEqual([key for key in keys if key not in found], [], "said to differ, and does not")

    def test_what_threading_exports_is_the_same(self):
        text = "import threading; print(sorted(vars(threading)), threading.__all__)"
        self.assertEqual(programs.run(text, programs.STOCK), programs.run(text))

    def test_functions_pickle_by_name(self):
        text = """
            import _thread, pickle
            for name in ("allocate_lock", "start_new_thread", "get_ident", "RLock", "_local"):
                thing = getattr(_thread, name)
                print(pickle.dumps(thing, 0), pickle.loads(pickle.dumps(thing)) is thing)
            """
        self.assertEqual(programs.run(text, programs.STOCK), programs.run(text))


if __name__ == "__main__":
    unittest.main()
