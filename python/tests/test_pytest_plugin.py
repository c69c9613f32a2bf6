"""A test that hangs fails alone: pytest --hang-timeout."""

import re
import unittest

from pytest_suites import Suite, set_up as setUpModule


class Waits(Suite):
    def test_a_test_fails_wherever_it_waits_and_the_rest_goes_on(self):
        waits = {
            "lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
            "queue": "queue.Queue().get()",
            "simple_queue": "queue.SimpleQueue().get()",
            "join": "thread = threading.Thread(target=threading.Event().wait, daemon=True); thread.start(); thread.join()",
            "recv": "a, b = socket.socketpair(); a.recv(1)",
            "sleep": "time.sleep(3600)",
            "subprocess": "subprocess.run(['sleep', '3600'])",
            "python": "while True: pass",
        }
        text = "".join(f"def test_{name}():\n    {code}\ndef test_after_{name}(): pass\n" for name, code in waits.items())
        for options in [], ["-s"]:
            with self.subTest(options=options):
                how = self.run_suite(text, *options)
                self.assertEqual(self.ended.returncode, 1, self.out)
                for name in waits:
                    report = self.assert_took_too_long(f"test_{name}", f"test_{name}")
                    self.assertRegex(report, r"\ntest_it\.py:\d+: ")
                    self.assertRegex(report, r"- call: what all threads did -+\n\d threads?: ")
                self.assertEqual(how["test_after_python"], "PASSED")
                self.assertIn(f"{len(waits)} failed, {len(waits)} passed", self.out)

    def test_the_report_says_what_was_waited_for_and_who_held_it(self):
        self.run_suite(
            """
            def test_accounts():
                lock, held, end = threading.Lock(), threading.Event(), threading.Event()
                underthread.name(lock, "accounts")
                def clerk():
                    with lock:
                        held.set()
                        end.wait()
                threading.Thread(target=clerk, name="clerk", daemon=True).start()
                held.wait()
                with lock: pass
            """
        )
        report = self.assert_took_too_long("test_accounts", "test_accounts")
        self.assertRegex(report, r"\nE +MainThread has waited .* for lock 'accounts', held by clerk\n")
        self.assertRegex(report, r"\n> +with lock: pass\n")
        dump = report.partition("what all threads did")[2]
        self.assertRegex(dump, r"\nclerk \(ident \d+, native id \d+\) has waited .*\n(  at .*\n)*  at .*test_it\.py:12 in clerk: end\.wait")
        # The stack ends at the test, and the watcher is not told of.
        self.assertRegex(dump, r"\nMainThread .* held by clerk\n  at .*test_it\.py:15 in test_accounts: with lock: pass\n[-=\n]")
        self.assertTrue(dump.splitlines()[1].startswith("2 threads: 2 in waits"), dump)
        # The thread is still there.
        self.assertRegex(
            report, r"- threads that the test has left behind, after teardown -+\nclerk .*\n  at .* in clerk: end\.wait\(\)\n"
        )

    def test_setup_and_teardown_have_the_time_for_themselves(self):
        how = self.run_suite(
            """
            torn_down = []
            @pytest.fixture
            def outer(request):
                yield
                torn_down.append(request.node.name)
            @pytest.fixture
            def slow_setup(outer):
                time.sleep(3600)
            @pytest.fixture
            def slow_teardown(outer):
                yield
                time.sleep(3600)
            def test_setup(slow_setup): pass
            def test_teardown(slow_teardown): pass
            def test_call(outer): time.sleep(3600)
            class TestCase(unittest.TestCase):
                def setUp(self): self.addCleanup(print, "case is cleaned up")
                def tearDown(self): print("case is torn down")
                def test_case(self): time.sleep(3600)
            class TestSetUp(unittest.TestCase):
                def setUp(self): time.sleep(3600)
                def test_set_up(self): pass
            class TestTearDown(unittest.TestCase):
                def tearDown(self): time.sleep(3600)
                def test_tear_down(self): pass
            @pytest.fixture
            def half(): time.sleep(0.4); yield; time.sleep(0.4)
            @pytest.mark.hang_timeout(1)
            def test_three_times(half): time.sleep(0.4)
            def test_all_is_torn_down(): assert torn_down == ["test_setup", "test_teardown", "test_call"]
            """
        )
        self.assert_took_too_long("ERROR at setup of test_setup", "test_setup", "setup")
        self.assert_took_too_long("ERROR at teardown of test_teardown", "test_teardown", "teardown")
        self.assert_took_too_long("test_call", "test_call")
        report = self.assert_took_too_long("TestCase.test_case", "TestCase::test_case")
        self.assertIn("case is torn down\ncase is cleaned up\n", report)
        self.assert_took_too_long("TestSetUp.test_set_up", "TestSetUp::test_set_up")
        self.assert_took_too_long("TestTearDown.test_tear_down", "TestTearDown::test_tear_down")
        self.assertEqual((how["test_three_times"], how["test_all_is_torn_down"]), ("PASSED", "PASSED"))

    def test_what_catches_the_exception_does_not_save_the_test(self):
        how = self.run_suite(
            """
            import contextlib
            def test_exception():
                try: time.sleep(3600)
                except Exception: pass
            def test_timeout_error():
                with pytest.raises(TimeoutError): queue.Queue().get()
            def test_raises():
                with pytest.raises(BaseException): time.sleep(3600)
            def test_suppress():
                with contextlib.suppress(BaseException): time.sleep(3600)
            def test_another():
                try: time.sleep(3600)
                finally: raise ValueError("in its stead")
            def test_skips():
                try: time.sleep(3600)
                finally: pytest.skip("no")
            class TestCase(unittest.TestCase):
                def test_case(self):
                    with self.assertRaises(BaseException): time.sleep(3600)
                def test_case_raises(self):
                    try: time.sleep(3600)
                    finally: raise ValueError("in its stead")
            @pytest.mark.xfail(raises=ValueError)
            def test_xfail():
                try: time.sleep(3600)
                finally: raise ValueError
            def test_in_destructor():
                class Slow:
                    def __del__(self): time.sleep(3600)
                slow = Slow()
                del slow
            def test_after(): pass
            """,
            "-W", "ignore::pytest.PytestUnraisableExceptionWarning",
        )  # fmt: skip
        for name in "exception timeout_error raises suppress another skips xfail in_destructor".split():
            self.assertEqual(how[f"test_{name}"], "FAILED", name)
            self.assert_took_too_long(f"test_{name}", f"test_{name}")
        for name in "test_case", "test_case_raises":
            self.assert_took_too_long(f"TestCase.{name}", f"TestCase::{name}")
            self.assertEqual(how[f"TestCase::{name}"], "FAILED", name)
        # Code that catches what it knows does not catch it.
        self.assertNotIn("how it ended", self.report("test_exception") + self.report("test_timeout_error"))
        self.assertIn("how it ended after that -", self.report("test_another"))
        self.assertIn("by ValueError: in its stead", self.report("test_another"))
        self.assertIn("as if nothing had been raised in it", self.report("test_raises"))
        self.assertRegex(self.report("test_raises"), r"\n> +with pytest.raises\(BaseException\): time.sleep")
        self.assertEqual(how["test_after"], "PASSED")

    def test_what_a_test_replaces_is_not_what_limits_it(self):
        how = self.run_suite(
            """
            import builtins
            def test_replaces(monkeypatch):
                monkeypatch.setattr(builtins, "open", None)
                monkeypatch.setattr(time, "monotonic", lambda: 0)
                monkeypatch.setattr(time, "sleep", None)
                monkeypatch.setattr(threading, "Lock", None)
                queue.Queue.get(underthread.queue)
            def test_uninstalls():
                underthread.uninstall()
                time.sleep(3600)
            def test_after(): underthread.install()
            underthread.queue = queue.Queue()
            """
        )
        self.assert_took_too_long("test_replaces", "test_replaces")
        self.assert_took_too_long("test_uninstalls", "test_uninstalls")
        self.assertEqual(how["test_after"], "PASSED")

    def test_a_test_that_waits_again_in_its_clean_up_is_raised_in_again(self):
        how = self.run_suite(
            """
            def test_again():
                try: time.sleep(3600)
                finally: queue.Queue().get()
            def test_after(): pass
            """,
            files={"conftest_py": "import pytest_underthread._watcher as w\nw.GRACE = 1\n"},
        )
        self.assert_took_too_long("test_again", "test_again")
        self.assertEqual(how["test_after"], "PASSED")


class Deadlocks(Suite):
    # The limit is never over here.
    def test_a_deadlock_fails_its_test_when_it_closes(self):
        how = self.run_suite(
            """
            class Two:
                def __init__(self):
                    self.a, self.b = threading.Lock(), threading.Lock()
                    self.both = threading.Barrier(2)
                def take(self, first, second):
                    with first:
                        self.both.wait()
                        with second: pass
            def test_workers():
                two = Two()
                one = threading.Thread(target=two.take, args=(two.a, two.b), name="one")
                other = threading.Thread(target=two.take, args=(two.b, two.a), name="other")
                one.start(); other.start()
                other.join()
                one.join()
                queue.Queue().get()
            def test_main():
                two = Two()
                one = threading.Thread(target=two.take, args=(two.a, two.b), name="one")
                one.start()
                two.take(two.b, two.a)
                queue.Queue().get()
            def test_self():
                lock = threading.Lock()
                with lock:
                    with lock: pass
            def test_swallowed():
                lock = threading.Lock()
                with lock:
                    try: lock.acquire()
                    except BaseException: pass
            def test_after(): pass
            """,
            "-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning",
            limit="3600",
        )  # fmt: skip
        threads = (
            r"deadlock: 2 threads wait for each other\n"
            r"E +(\w+) \(ident .* for lock at .*, held by (\w+)\nE +at .*test_it.py:\d+ in take: with second: pass\n"
        )
        self.assertRegex(self.report("test_workers"), r"Failed: hang_timeout: test_it\.py::test_workers \(call\): " + threads)
        self.assertRegex(self.report("test_main"), r"Failed: hang_timeout: test_it\.py::test_main \(call\): " + threads)
        self.assertIn("deadlock: a thread waits for itself\n", self.report("test_self"))
        self.assertIn("deadlock: a thread waits for itself\n", self.report("test_swallowed"))
        # It was ended by the DeadlockError in one of them, so that none is left.
        self.assertNotIn("left behind", self.report("test_workers"))
        self.assertEqual((how["test_swallowed"], how["test_after"]), ("FAILED", "PASSED"))

    def test_a_deadlock_of_threads_of_an_earlier_test_is_not_this_tests(self):
        how = self.run_suite(
            """
            a, b = threading.Lock(), threading.Lock()
            go, both, threads = threading.Event(), threading.Barrier(2), []
            def take(first, second):
                with first:
                    both.wait(), go.wait()
                    with second: pass
            def test_earlier():
                for args in (a, b), (b, a):
                    threads.append(threading.Thread(target=take, args=args))
                    threads[-1].start()
            def test_later():
                go.set()
                for thread in threads: thread.join()
            """,
            "-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning",
            limit="3600",
        )  # fmt: skip
        self.assertEqual(how, {"test_earlier": "PASSED", "test_later": "PASSED"})

    def test_the_environment_comes_first(self):
        how = self.run_suite(
            """
            def test_self():
                lock = threading.Lock()
                with lock:
                    with lock: pass
            """,
            env={"UNDERTHREAD_DEADLOCK": "off"},
        )
        self.assert_took_too_long("test_self", "test_self")


class Threads(Suite):
    def test_what_outlives_the_test_rightly_is_not_left_behind(self):
        self.run_suite(
            """
            def start(name):
                threading.Thread(target=wait, daemon=True, name=name).start()
            def wait():
                # A thread of underthread's own looks after this.
                with underthread.time_limit(3600): threading.Event().wait()
            @pytest.fixture(scope="module")
            def server(): start("server")
            @pytest.fixture
            def client(): start("client")
            def test_it(server, client):
                start("own")
                while len(os.listdir("/proc/self/task")) != 6: time.sleep(0.001)
                assert 0
            """
        )
        left = self.report("test_it").partition("threads that the test has left behind, after teardown")[2]
        self.assertEqual(re.findall(r"^(\w+) \(ident", left, re.M), ["client", "own"])

    def test_the_watcher_is_not_seen_and_not_forked(self):
        how = self.run_suite(
            """
            import conftest
            def test_it():
                # The watcher runs: a limit is in force.
                assert len(os.listdir("/proc/self/task")) == 2
                assert [threading.main_thread()] == threading.enumerate()
            def test_fork():
                pid = os.fork()
                if not pid: os._exit(len(os.listdir("/proc/self/task")))
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
                assert conftest.seen == [1]
                time.sleep(3600)
            def test_child_goes_on():
                pid = os.fork()
                if not pid:
                    # It is not limited.
                    time.sleep(0.9)
                    os._exit(7)
                time.sleep(3600)
            def test_after(): assert len(os.listdir("/proc/self/task")) == 2
            """,
            "-W", "error:This process",
            files={
                "conftest_py": "import os\nseen = []\n"
                "os.register_at_fork(before=lambda: seen.append(len(os.listdir('/proc/self/task'))))\n"
            },
        )  # fmt: skip
        self.assert_took_too_long("test_fork", "test_fork")
        self.assert_took_too_long("test_child_goes_on", "test_child_goes_on")
        self.assertEqual((how["test_it"], how["test_after"]), ("PASSED", "PASSED"))


class TheEnd(Suite):
    # What no exception ends: a call in C of a thread that blocks all signals.
    STUCK = """
    def test_before(): pass
    def test_stuck():
        import ctypes, signal
        print("printed before")
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        ctypes.CDLL(None).sleep(3600)
    def test_after(): pass
    def test_after_2(): pass
    """
    SOON = {"conftest_py": "import pytest_underthread._watcher as w\nw.GRACE = 1\n"}

    def test_a_thread_that_does_not_come_back_ends_the_run(self):
        for options in [], ["-s"]:
            with self.subTest(options=options):
                how = self.run_suite(self.STUCK, *options, files=self.SOON)
                self.assertEqual(self.ended.returncode, 1)
                self.assertIn(
                    "underthread: hang_timeout: test_it.py::test_stuck (call) took more than 0.5 s\n"
                    "underthread: the thread has not come back since, to have an exception raised in it. "
                    "The run ends here.\n",
                    self.ended.stderr,
                )
                self.assertRegex(self.ended.stderr, r"\nMainThread .*\n  at .*test_it\.py:\d+ in test_stuck: ctypes")
                # First what matters, past the capture.
                _, end, rest = self.ended.stderr.partition("The run ends here.")
                self.assertIn("printed before", self.ended.stdout if options else rest)
                self.assertEqual(how["test_before"], "PASSED")
                self.assertNotIn("test_after", how)

    def test_a_test_that_goes_on_after_each_exception_ends_the_run(self):
        self.run_suite(
            """
            def test_never():
                while True:
                    try: time.sleep(3600)
                    except BaseException: pass
            """,
            files=self.SOON,
        )
        self.assertEqual(self.ended.returncode, 1)
        self.assertIn("underthread: 3 exceptions have been raised in it, and it goes on. The run ends here.\n", self.ended.stderr)

    def test_with_xdist_only_its_worker_ends(self):
        how = self.run_suite(self.STUCK, "-n", "2", plugins=["xdist.plugin", "xdist.looponfail"], files=self.SOON)
        self.assertRegex(self.out, r"worker '?gw\d'? crashed while running '?test_it\.py::test_stuck")
        self.assertIn("underthread: hang_timeout: test_it.py::test_stuck (call) took more than 0.5 s", self.ended.stderr)
        for name in "test_before", "test_after", "test_after_2":
            self.assertEqual(how[name], "PASSED")


if __name__ == "__main__":
    unittest.main()
