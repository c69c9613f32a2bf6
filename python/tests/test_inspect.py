"""What a program is told of its threads and locks: snapshot(), dump(), name()."""

import unittest

from programs import MAY_FORK, run

SETUP = """
    import io, os, sys, threading, time, _thread, underthread
    from underthread import snapshot
    # A thread that `waits` until the program ends it.
    def waiting(wait, **options):
        thread = threading.Thread(target=wait, daemon=True, **options)
        thread.start()
        while seen(thread) is None or seen(thread).wait is None: time.sleep(0.001)
        return thread
    def seen(thread):
        return next((one for one in snapshot().threads if one.ident == thread.ident), None)
    """


class Inspect(unittest.TestCase):
    def assert_prints(self, text, *lines):
        self.assertEqual(run(SETUP + text, flags=MAY_FORK).splitlines(), list(lines))

    def test_a_snapshot_says_who_waits_for_which_lock_and_who_holds_it(self):
        self.assert_prints(
            """
    lock = threading.Lock()
    underthread.name(lock, "accounts")
    with lock:
        thread = waiting(lambda: lock.acquire(timeout=3600), name="clerk")
        one = seen(thread)
        print(one.name, one.daemon, one.is_main, one.native_id == thread.native_id, one.holds_interrupts)
        wait = one.wait
        print(wait.kind, wait.address == id(lock), wait.lock_name, wait.blocker == threading.get_ident(), wait.only_it)
        print(0 < wait.lasted < 60, 3500 < wait.left <= 3600, wait.interruptible)
        [known] = snapshot().locks
        print(known.kind, known.name, known.is_held, known.holder == threading.get_ident(), known.is_scoped, known.waiting)
        print(snapshot().threads[0].is_main, snapshot().threads[0].wait)
    """,
            "clerk True False True False",
            "lock True accounts True True",
            "True True True",
            "lock accounts True True True 1",
            "True None",
        )

    def test_each_kind_of_wait_is_named(self):
        self.assert_prints(
            """
    rlock, lock = threading.RLock(), threading.Lock()
    rlock.acquire(), lock.acquire()
    at_rlock = waiting(rlock.acquire)
    joiner = waiting(at_rlock.join)
    at_event = waiting(threading.Event().wait)
    at_lock = waiting(lock.acquire)
    print([seen(thread).wait.kind for thread in (at_rlock, joiner, at_event, at_lock)])
    print(seen(at_rlock).wait.only_it, seen(at_lock).wait.only_it)
    print(seen(joiner).wait.blocker == at_rlock.ident, seen(joiner).wait.only_it, seen(joiner).wait.address)
    print(seen(at_event).wait.blocker == at_event.ident, seen(at_event).wait.left)
    print(seen(at_rlock).wait.address == id(rlock))
    rlock.release(), lock.release()
    """,
            "['rlock', 'join', 'lock', 'lock']",
            "True False",
            "True True 0",
            "True None",
            "True",
        )

    def test_a_name_goes_with_its_lock_and_can_be_taken_back(self):
        out = run(
            SETUP
            + """
    names = lambda: sorted(lock.name for lock in snapshot().locks)
    lock, rlock = threading.Lock(), threading.RLock()
    class Mine(type(rlock)): pass
    mine = Mine()
    underthread.name(lock, "a"); underthread.name(rlock, "b"); underthread.name(mine, "\\u00e4\\ud800")
    print(ascii(names()))
    underthread.name(lock, "c"); del rlock, mine
    print(names())
    underthread.name(lock, None); underthread.name(lock, None)
    print(names())
    for bad in (3, "x"), (lock, 3), ([], "x"):
        try: underthread.name(*bad)
        except TypeError as error: print(error)
    """
        )
        self.assertEqual(
            out.splitlines(),
            [
                r"['a', 'b', '\xe4\\ud800']",
                "['c']",
                "[]",
                "name() takes a lock or an RLock that is underthread's, not 3",
                "a lock's name is a str, or None for none, not 3",
                "name() takes a lock or an RLock that is underthread's, not []",
            ],
        )

    def test_a_dump_begins_with_what_matters_most(self):
        out = run(
            SETUP
            + """
    lock = threading.Lock()
    underthread.name(lock, "accounts")
    with lock:
        def clerk():
            with lock: pass
        waiting(clerk, name="clerk"), waiting(threading.Event().wait, name="idle")
        file = io.StringIO()
        underthread.dump(file)
        print(file.getvalue())
    """
        )
        lines = out.splitlines()
        self.assertEqual(lines[0], "3 threads: 2 in waits of underthread, 1 elsewhere")
        self.assertRegex(lines[1], r"^most waited for: lock '?.*, by 1 thread; .* has held it for .* or more$")
        heads = [line for line in lines[2:] if line and not line.startswith(" ")]
        self.assertRegex(heads[0], r"^(MainThread|idle) \(ident \d+, native id \d+\) ")
        self.assertRegex(out, r"\nclerk .* has waited .* for lock 'accounts', held by MainThread\n  at .*program.py:\d+ in clerk: with lock: pass\n")
        self.assertRegex(out, r"\nidle .* has waited .* which another thread is to release\n")
        self.assertRegex(out, r"\nMainThread .* runs, or waits for something else\n  at .*program.py:\d+ in <module>: underthread.dump")

    def test_a_dump_goes_to_stderr_past_what_python_keeps(self):
        self.assert_prints(
            """
    sys.stderr = open(os.path.join(os.getcwd(), "errors"), "w")
    underthread.dump()
    print(open(sys.stderr.name).read().splitlines()[0])
    sys.stderr = None
    underthread.dump()
    """,
            "1 thread: 0 in waits of underthread, 1 elsewhere",
        )

    def test_a_child_of_a_fork_has_one_thread(self):
        self.assert_prints(
            """
    lock = threading.Lock()
    lock.acquire()
    waiting(lock.acquire)
    sys.stdout.flush()
    if os.fork() == 0:
        print(len(snapshot().threads), snapshot().locks, flush=True)
        os._exit(0)
    os.wait()
    """,
            "1 []",
        )

    def test_snapshots_beside_a_storm_name_no_false_holder(self):
        self.assert_prints(
            """
    locks = [threading.Lock() for _ in range(3)]
    addresses = {id(lock) for lock in locks}
    over = False
    def work(turn):
        while not over:
            turn += 1
            lock = locks[turn % 3]
            if turn % 11 == 0:
                thread = threading.Thread(target=lock.locked)
                thread.start(); thread.join()
            elif turn % 5 == 0:
                if lock.acquire(timeout=0.0001): lock.release()
            else:
                with lock: pass
    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads: thread.start()
    wrong = 0
    for _ in range(2000):
        for one in snapshot().threads:
            if one.wait and one.wait.address in addresses:
                wrong += one.wait.blocker in (one.ident, threading.get_ident())
    over = True
    for thread in threads: thread.join()
    print(wrong)
    """,
            "0",
        )


if __name__ == "__main__":
    unittest.main()
