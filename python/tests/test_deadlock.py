"""Deadlocks are told by the thread that would close one: --deadlock, UNDERTHREAD_DEADLOCK, on_deadlock."""

import os
import re
import unittest

from programs import MAY_FORK, OURS, PATIENCE, Program, run

TWO = """\
import sys, threading, time, underthread
a, b = threading.Lock(), threading.Lock()
underthread.name(a, "accounts")
underthread.name(b, "orders")
both = threading.Barrier(2)
def transfer(first, second):
    with first:
        both.wait()
        try:
            with second: pass
        except underthread.DeadlockError as error:
            print(isinstance(error, RuntimeError), first.locked(), str(error).splitlines()[0], flush=True)
threads = [threading.Thread(target=transfer, args=args, name=name, daemon=True)
           for name, args in (("one", (a, b)), ("two", (b, a)))]
for thread in threads: thread.start()
if "end" in sys.argv:
    for thread in threads: thread.join()
else:
    names = lambda: {one.wait.lock_name for one in underthread.snapshot().threads if one.wait}
    while names() != {"accounts", "orders"}: time.sleep(0.001)
sys.stdin.read()
print("over")
"""

WITHOUT = {name: value for name, value in os.environ.items() if name != "UNDERTHREAD_DEADLOCK"}

REPORT = re.compile(
    r"underthread: deadlock: 2 threads wait for each other\n"
    r"  (one|two) \(ident \d+, native id \d+\) has waited .* for lock '(orders|accounts)', held by (one|two)\n"
    r"    at .*program\.py:10 in transfer: with second: pass\n"
    r"  (one|two) \(ident \d+, native id \d+\) has waited .* for lock '(orders|accounts)', held by (one|two)\n"
    r"    at .*program\.py:10 in transfer: with second: pass\n"
)

SETUP = """
    import os, sys, threading, time, underthread
    told = []
    def tell(text, certain):
        told.append((text.splitlines()[0], certain))
        if certain: raise underthread.DeadlockError(text)
    underthread.on_deadlock(tell)
    def waits(thread):
        return any(one.ident == thread.ident and one.wait for one in underthread.snapshot().threads)
    # In the kernel: what it looks at before it sleeps it has looked at.
    def is_asleep(thread):
        with open(f"/proc/self/task/{thread.native_id}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"
    def until(state):
        while not state(): time.sleep(0.001)
    def started(target):
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        until(lambda: waits(thread) and is_asleep(thread))
        return thread
    a, b = threading.Lock(), threading.Lock()
    def take_b_then_a():
        with b:
            with a: pass
    """


class Modes(unittest.TestCase):
    def setUp(self):
        program = Program(TWO)
        self.addCleanup(program.__exit__)
        self.program = program

    def run_with(self, *options, argument="", **environment):
        return self.program.run([*OURS, *options], "program.py", argument, env={**WITHOUT, **environment})

    def test_the_launcher_reports_it_once_and_the_threads_go_on_waiting(self):
        for options in [], ["--deadlock", "report"], ["--deadlock=report"]:
            with self.program.start([*OURS, *options], "program.py", env=WITHOUT) as process:
                report = "".join(process.stderr.readline() for _ in range(5))
                out, rest = process.communicate(timeout=PATIENCE)
            self.assertRegex(report, REPORT)
            self.assertEqual((process.returncode, out, rest), (0, "over\n", ""))

    def test_it_is_raised_in_the_one_that_would_close_it_which_keeps_what_it_holds(self):
        for ended in self.run_with("--deadlock=raise", argument="end"), self.run_with(
            argument="end", UNDERTHREAD_DEADLOCK="raise"
        ):
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertEqual(ended.stdout, "True True deadlock: 2 threads wait for each other\nover\n")

    def test_the_process_ends_with_status_70(self):
        ended = self.run_with("--deadlock=exit", argument="end")
        self.assertEqual((ended.returncode, ended.stdout), (70, ""))
        self.assertRegex(ended.stderr, REPORT)

    def test_off_says_nothing(self):
        ended = self.run_with("--deadlock=off")
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "over\n", ""))

    def test_the_option_comes_before_the_environment(self):
        ended = self.run_with("--deadlock=off", UNDERTHREAD_DEADLOCK="exit")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_another_mode_is_refused_and_in_the_environment_said(self):
        ended = self.run_with("--deadlock=no")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("--deadlock takes report, raise, exit, off, not no\n", ended.stderr)
        self.assertEqual(self.run_with("--deadlock").returncode, 2)
        ended = self.run_with(UNDERTHREAD_DEADLOCK="no")
        self.assertTrue(
            ended.stderr.startswith("underthread: UNDERTHREAD_DEADLOCK='no' is none of report, raise, exit, off\n")
        )

    def test_a_process_that_the_program_starts_does_the_same(self):
        self.program.write("parent.py", "import subprocess, sys\nsubprocess.run([sys.executable, 'program.py', 'end'])\n")
        ended = self.program.run([*OURS, "--deadlock=raise"], "parent.py", env=WITHOUT)
        self.assertEqual(ended.stdout, "True True deadlock: 2 threads wait for each other\nover\n")


class Deadlock(unittest.TestCase):
    def assert_prints(self, text, *lines):
        self.assertEqual(run(SETUP + text, flags=MAY_FORK).splitlines(), list(lines))

    def test_a_lock_taken_again_by_its_holder(self):
        self.assert_prints(
            """
    class Logs:
        def __del__(self):
            with a: pass
    def signal_handler():
        with a: pass
    for again in signal_handler, a.acquire:
        with a:
            try: again()
            except underthread.DeadlockError as error: print(str(error).splitlines()[0])
    import sys
    sys.unraisablehook = lambda error: print(error.exc_type.__name__, "Logs.__del__" in f"{error.object} {error.err_msg}")
    one = Logs()
    with a: del one
    """,
            "deadlock: a thread waits for itself",
            "deadlock: a thread waits for itself",
            "DeadlockError True",
        )

    def test_a_bare_lock_that_its_thread_takes_again_is_none(self):
        self.assert_prints(
            """
    event, condition, queue = threading.Event(), threading.Condition(), __import__("queue").Queue()
    def wait():
        with condition: condition.wait()
    threads = [started(event.wait), started(wait), started(queue.get)]
    event.set(), queue.put(1)
    with condition: condition.notify()
    for thread in threads: thread.join()
    print(told)
    """,
            "[]",
        )

    def test_a_join_is_part_of_one(self):
        self.assert_prints(
            """
    def work():
        with a: pass
    with a:
        thread = started(work)
        try: thread.join()
        except underthread.DeadlockError as error: print(str(error).splitlines()[0])
    thread.join()
    print(len(told))
    """,
            "deadlock: 2 threads wait for each other",
            "1",
        )

    def test_an_rlock_is_part_of_one(self):
        self.assert_prints(
            """
    r = threading.RLock()
    def work():
        with r:
            with a: pass
    with a:
        thread = started(work)
        try: r.acquire()
        except underthread.DeadlockError as error: print(str(error).splitlines()[0])
    """,
            "deadlock: 2 threads wait for each other",
        )

    def test_what_ends_by_itself_is_told_and_never_raised(self):
        self.assert_prints(
            """
    with a:
        thread = started(take_b_then_a)
        for _ in range(3): print(b.acquire(timeout=0.02))
        try:
            with underthread.time_limit(0.02): b.acquire()
        except TimeoutError as error: print(error)
    thread.join()
    print(*told)
    """,
            "False",
            "False",
            "False",
            "the time limit of 0.02 s is over (waiting for a lock)",
            "('deadlock: 2 threads wait for each other, one of them for a limited time', False)",
        )

    def test_a_bare_hold_makes_it_possible_only(self):
        self.assert_prints(
            """
    def work():
        b.acquire()
        with a: pass
    with a:
        thread = started(work)
        threading.Timer(0.05, b.release).start()
        print(b.acquire())
    print(*told)
    """,
            "True",
            "('possible deadlock: 2 threads wait for each other', False)",
        )

    def test_the_main_threads_is_found_though_it_looks_around(self):
        # A main thread that waits begins with 10 ms, after which it sees to its signals.
        self.assert_prints(
            """
    with a:
        thread = started(take_b_then_a)
        try: b.acquire()
        except underthread.DeadlockError: print("raised")
    thread.join()
    print([certain for _, certain in told])
    """,
            "raised",
            "[True]",
        )

    def test_in_the_child_of_a_fork_a_lock_of_a_thread_that_is_not_there(self):
        self.assert_prints(
            """
    def work():
        with a: threading.Event().wait()
    thread = threading.Thread(target=work, daemon=True); thread.start()
    until(a.locked)
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            with a: pass
        except underthread.DeadlockError as error: print(*[line.partition(", held")[2] for line in str(error).splitlines()[1:2]], flush=True)
        os._exit(0)
    os.wait()
    """,
            " by a thread that has ended",
        )

    def test_the_handler_itself_may_wait_and_what_it_is_must_be_callable(self):
        self.assert_prints(
            """
    r = threading.RLock()
    def tell(text, certain):
        with r: pass
        print(a.acquire(timeout=0.01))
        raise ValueError("as it likes")
    underthread.on_deadlock(tell)
    try:
        with a:
            with a: pass
    except ValueError as error: print(error)
    underthread.on_deadlock(None)
    with a: print(a.acquire(timeout=0.01))
    try: underthread.on_deadlock(3)
    except TypeError as error: print(error)
    """,
            "False",
            "as it likes",
            "False",
            "on_deadlock() takes a function or None, not 3",
        )


if __name__ == "__main__":
    unittest.main()
