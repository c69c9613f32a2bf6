"""A test that hangs fails alone: pytest with --hang-timeout, over small suites."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from programs import PATIENCE, Program, wait_for

NEEDED = ("pytest", "xdist", "pytest_asyncio", "pytest_timeout", "anyio")
DEBIAN = "/usr/lib/python3/dist-packages"
# What those are made of. Nothing else of Debian's folder is shown to an interpreter that is not Debian's.
PARTS = NEEDED + (
    "_pytest", "pluggy", "iniconfig", "packaging", "attr", "attrs", "execnet", "sniffio", "idna", "exceptiongroup",
    "tomli", "pygments", "typing_extensions",
)  # fmt: skip

farm = None


def setUpModule():
    """Where this interpreter has not what is needed, Debian's packages are made visible to it: they are all Python."""
    global farm
    farm = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(farm.cleanup)
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return
    for name in os.listdir(DEBIAN) if os.path.isdir(DEBIAN) else []:
        if name in PARTS or name.partition(".")[0] in PARTS:
            os.symlink(os.path.join(DEBIAN, name), os.path.join(farm.name, name))
    found = run_python("-c", "import " + ", ".join(NEEDED))
    if found.returncode:
        raise AssertionError(
            "the tests of the pytest plugin need {}. Install them:\n"
            "    apt-get install python3-pytest python3-pytest-xdist python3-pytest-asyncio python3-pytest-timeout "
            "python3-anyio\n"
            "    or {} -m pip install pytest pytest-xdist pytest-asyncio pytest-timeout anyio\n{}".format(
                ", ".join(NEEDED), sys.executable, found.stderr
            )
        )


def environment(**changes):
    without = {"UNDERTHREAD_DEADLOCK", "PYTEST_ADDOPTS", "PYTEST_TIMEOUT"}
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), farm.name]))
    return {
        **{name: value for name, value in os.environ.items() if name not in without},
        "PYTHONPATH": path,
        "COLUMNS": "200",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **changes,
    }


def run_python(*arguments):
    return subprocess.run([sys.executable, *arguments], env=environment(), capture_output=True, text=True)


BEGIN = """
import asyncio, os, queue, socket, subprocess, sys, threading, time, unittest
import pytest, underthread
"""


class Suite(unittest.TestCase):
    def suite(self, text, **files):
        program = Program(BEGIN)
        self.addCleanup(program.__exit__)
        program.write("test_it.py", BEGIN + "\n" + __import__("textwrap").dedent(text))
        for name, content in files.items():
            program.write(name.replace("_py", ".py").replace("_ini", ".ini"), content)
        return program

    def command(self, *options, plugins=(), limit="0.3"):
        limits = ["--hang-timeout", limit] if limit is not None else []
        loaded = [word for name in ("pytest_underthread", *plugins) for word in ("-p", name)]
        return ["-m", "pytest", "-v", "-p", "no:cacheprovider", *loaded, *limits, *options]

    def run_suite(self, text, *options, plugins=(), limit="0.3", files={}, env={}):
        """Runs it; what it printed, and how each test of it ended: {name: "PASSED"}, {(name, phase): its report}."""
        program = self.suite(text, **files)
        self.ended = program.run(
            [sys.executable], *self.command(*options, plugins=plugins, limit=limit), env=environment(**env)
        )
        self.out = self.ended.stdout
        return dict(
            re.findall(r"^(?:\[gw\d\] .* )?(?:test_it\.py::)(\S+) (PASSED|FAILED|ERROR|XFAIL|SKIPPED)", self.out, re.M)
            + [(name, how) for how, name in re.findall(r"^\[gw\d\] .* (PASSED|FAILED|ERROR) test_it\.py::(\S+)", self.out, re.M)]
        )

    def report(self, title):
        """The report with that title: "test_x", "ERROR at teardown of test_x"."""
        found = re.search(r"^_+ {} _+\n(.*?)(?=^_{{5,}} |^={{5,}} )".format(re.escape(title)), self.out, re.M | re.S)
        self.assertTrue(found, f"no report {title!r} in\n{self.out}{self.ended.stderr}")
        return found[1]

    def assert_took_too_long(self, title, name, phase="call", seconds="0.3"):
        report = self.report(title)
        self.assertIn(f"Failed: hang_timeout: test_it.py::{name} ({phase}) took more than {seconds} s\n", report)
        return report


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
            def half(): time.sleep(0.2); yield; time.sleep(0.2)
            def test_three_times(half): time.sleep(0.2)
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
        self.assertIn("how it ended after that -", self.report("test_another"))
        self.assertIn("by ValueError: in its stead", self.report("test_another"))
        self.assertIn("as if nothing had been raised in it", self.report("test_raises"))
        self.assertRegex(self.report("test_raises"), r"\n> +with pytest.raises\(BaseException\): time.sleep")
        self.assertEqual(how["test_after"], "PASSED")

    def test_a_test_that_waits_again_in_its_clean_up_is_raised_in_again(self):
        how = self.run_suite(
            """
            def test_again():
                try: time.sleep(3600)
                finally: queue.Queue().get()
            def test_after(): pass
            """,
            files={"conftest_py": "import pytest_underthread._watcher as w\nw.GRACE = 0.2\n"},
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
                threading.Thread(target=threading.Event().wait, daemon=True, name=name).start()
            @pytest.fixture(scope="module")
            def server(): start("server")
            @pytest.fixture
            def client(): start("client")
            def test_it(server, client):
                start("own")
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
                    time.sleep(0.5)
                    os._exit(7)
                time.sleep(3600)
            def test_after(): assert len(os.listdir("/proc/self/task")) == 2
            """,
            "-W", "error",
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
    SOON = {"conftest_py": "import pytest_underthread._watcher as w\nw.GRACE = 0.3\n"}

    def test_a_thread_that_does_not_come_back_ends_the_run(self):
        for options in [], ["-s"]:
            with self.subTest(options=options):
                how = self.run_suite(self.STUCK, *options, files=self.SOON)
                self.assertEqual(self.ended.returncode, 1)
                self.assertIn(
                    "underthread: hang_timeout: test_it.py::test_stuck (call) took more than 0.3 s\n"
                    "underthread: the thread has not come back since, to have an exception raised in it. "
                    "The run ends here.\n",
                    self.ended.stderr,
                )
                self.assertRegex(self.ended.stderr, r"\nMainThread .*\n  at .*test_it\.py:\d+ in test_stuck: ctypes")
                self.assertIn("printed before", self.ended.stdout if options else self.ended.stderr)
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
        self.assertIn("underthread: hang_timeout: test_it.py::test_stuck (call) took more than 0.3 s", self.ended.stderr)
        for name in "test_before", "test_after", "test_after_2":
            self.assertEqual(how[name], "PASSED")


class OtherPlugins(Suite):
    def test_xdist(self):
        how = self.run_suite(
            """
            def test_hangs(): queue.Queue().get()
            def test_sleeps(): time.sleep(3600)
            def test_after(): pass
            """,
            "-n", "2", plugins=["xdist.plugin", "xdist.looponfail"],
        )  # fmt: skip
        self.assertIn("MainThread has waited", self.assert_took_too_long("test_hangs", "test_hangs"))
        self.assert_took_too_long("test_sleeps", "test_sleeps")
        self.assertEqual(how["test_after"], "PASSED")
        self.assertIn("hang_timeout: 0.3 s for setup, call and teardown each", self.out)

    ASYNC = """
    left = []
    def same_loop():
        left.append(asyncio.get_running_loop())
        return all(each is left[0] for each in left)
    async def wait():
        try: await asyncio.Event().wait()
        finally: left.append(asyncio.get_running_loop())
    {mark}
    async def test_awaits(): await wait()
    {mark}
    async def test_blocks(): time.sleep(3600)
    {mark}
    async def test_swallows():
        try: await wait()
        except asyncio.CancelledError: pass
    {mark}
    async def test_after():
        # Each task that waited has been ended, in its loop.
        assert len(left) == 2
        # None but those that run this test.
        assert len(asyncio.all_tasks()) <= {tasks}
        await asyncio.sleep(0)
    """

    def check_async(self, how):
        report = self.assert_took_too_long("test_awaits", "test_awaits")
        self.assertRegex(report, r"\n> +async def test_awaits\(\): await wait\(\)\n")
        self.assertRegex(
            self.assert_took_too_long("test_blocks", "test_blocks"), r"\n> +async def test_blocks\(\): time.sleep\(3600\)\n"
        )
        self.assert_took_too_long("test_swallows", "test_swallows")
        self.assertEqual(how["test_after"], "PASSED", self.out)

    def test_pytest_asyncio(self):
        text = self.ASYNC.format(mark="@pytest.mark.asyncio", tasks=1)
        self.check_async(self.run_suite(text, plugins=["pytest_asyncio.plugin"]))

    def test_pytest_asyncio_with_one_loop_for_all(self):
        text = self.ASYNC.format(mark="@one_loop", tasks=1)
        begin = """
    import inspect, pytest_asyncio
    if int(pytest_asyncio.__version__.split(".")[0]):
        one_loop = pytest.mark.asyncio(loop_scope="module")
    else:
        one_loop = pytest.mark.asyncio
        @pytest.fixture(scope="module")
        def event_loop():
            loop = asyncio.new_event_loop()
            yield loop
            loop.close()
"""
        text = begin + text.replace("assert len(left) == 2", "assert len(left) == 2 and same_loop()")
        self.check_async(self.run_suite(text, plugins=["pytest_asyncio.plugin"]))

    def test_anyio(self):
        begin = """
    @pytest.fixture(scope="module")
    def anyio_backend(): return "asyncio"
    # One runner for all.
    @pytest.fixture(scope="module", autouse=True)
    async def resource(anyio_backend): yield
"""
        text = begin + self.ASYNC.format(mark="@pytest.mark.anyio", tasks=3)
        text = text.replace("assert len(left) == 2", "assert len(left) == 2 and same_loop()")
        self.check_async(self.run_suite(text, plugins=["anyio.pytest_plugin"]))

    def test_an_asynchronous_test_case(self):
        how = self.run_suite(
            """
            class TestCase(unittest.IsolatedAsyncioTestCase):
                async def asyncTearDown(self): print("torn down")
                async def test_awaits(self): await asyncio.sleep(3600)
                async def test_blocks(self): time.sleep(3600)
                async def test_other(self): await asyncio.sleep(0)
            """
        )
        for name in "test_awaits", "test_blocks":
            report = self.assert_took_too_long(f"TestCase.{name}", f"TestCase::{name}")
            self.assertIn("torn down", report)
        self.assertEqual(how["TestCase::test_other"], "PASSED")

    def test_pytest_timeout(self):
        text = "def test_hangs(): time.sleep(3600)\ndef test_after(): pass\n"
        how = self.run_suite(text, "--timeout", "0.3", plugins=["pytest_timeout"], limit="3600")
        self.assertIn(
            "hang_timeout: 3600 s for setup, call and teardown each; pytest-timeout has 0.3 s for a whole test: "
            "that limit is over first, and ends it\n",
            self.out,
        )
        self.assertRegex(self.report("test_hangs"), r"Failed: Timeout \(?>")
        self.assertEqual(how["test_after"], "PASSED")
        self.run_suite(text, "--timeout", "3600", plugins=["pytest_timeout"])
        self.assertIn("pytest-timeout has 3600 s for a whole test: hang_timeout is over first, and ends it\n", self.out)
        self.assert_took_too_long("test_hangs", "test_hangs")
        self.run_suite(text, plugins=["pytest_timeout"])
        self.assertNotIn("pytest-timeout has", self.out)

    def test_pytests_own_faulthandler_timeout(self):
        self.run_suite(
            "def test_hangs(): time.sleep(3600)\n", "-o", "faulthandler_timeout=0.2", limit="0.6"
        )  # fmt: skip
        self.assertIn("Timeout (0:00:00.2", self.ended.stderr)
        self.assert_took_too_long("test_hangs", "test_hangs", seconds="0.6")


class Debuggers(Suite):
    def test_nothing_is_raised_while_somebody_debugs(self):
        program = self.suite(
            """
            import bdb
            def test_pdb(): breakpoint()
            def test_bdb(): bdb.Bdb().runcall(time.sleep, 0.5)
            def test_set_trace():
                import pdb
                pdb.set_trace()
            def test_hangs(): time.sleep(3600)
            """
        )
        # `breakpoint` of Python, past pytest's own.
        env = environment(PYTHONBREAKPOINT="pdb.Pdb.set_trace")
        env.pop("PYTHONBREAKPOINT")
        with program.start([sys.executable], *self.command(), env=env) as process:
            self.addCleanup(process.kill)
            out, err = process.communicate("import time; time.sleep(0.5)\nc\n" * 2, timeout=PATIENCE)
        self.assertIn("test_it.py::test_hangs FAILED", out, err)
        self.assertIn("1 failed, 3 passed", out, err)

    def test_pdb_is_entered_where_the_test_hangs(self):
        program = self.suite("def test_hangs():\n    here = 'found'\n    queue.Queue().get()\n")
        with program.start([sys.executable], *self.command("--pdb"), env=environment()) as process:
            out, err = process.communicate("import time; time.sleep(0.5)\nu\nu\nu\nu\np here\nq\n", timeout=PATIENCE)
        self.assertIn("entering PDB", out)
        self.assertIn("1 failed", out)


class Asking(Suite):
    HANGS = "def test_hangs(): time.sleep(3600)\ndef test_after(): pass\n"

    def test_the_configuration_file_and_markers(self):
        how = self.run_suite(
            """
            def test_hangs(): time.sleep(3600)
            @pytest.mark.hang_timeout(0)
            def test_none(): time.sleep(0.5)
            @pytest.mark.hang_timeout(60)
            def test_longer(): time.sleep(0.5)
            @pytest.mark.hang_timeout(seconds=0.2)
            def test_shorter(): time.sleep(3600)
            """,
            "--strict-markers",
            limit=None,
            files={"pytest_ini": "[pytest]\nhang_timeout = 0.3\n"},
        )
        self.assert_took_too_long("test_hangs", "test_hangs")
        self.assert_took_too_long("test_shorter", "test_shorter", seconds="0.2")
        self.assertEqual((how["test_none"], how["test_longer"]), ("PASSED", "PASSED"))

    def test_a_marker_alone_asks(self):
        how = self.run_suite(
            "@pytest.mark.hang_timeout(0.3)\ndef test_hangs(): queue.Queue().get()\ndef test_long(): time.sleep(0.5)\n", limit=None
        )
        self.assertIn("MainThread has waited", self.assert_took_too_long("test_hangs", "test_hangs"))
        self.assertEqual(how["test_long"], "PASSED")

    def test_0_is_off_for_markers_too(self):
        how = self.run_suite(
            "@pytest.mark.hang_timeout(0.1)\ndef test_long():\n    time.sleep(0.5)\n    assert not underthread.is_active()\n",
            limit="0",
            files={"pytest_ini": "[pytest]\nhang_timeout = 0.3\n"},
        )
        self.assertEqual(how, {"test_long": "PASSED"})

    def test_bad_numbers_are_refused(self):
        for value in "-1", "nan", "inf", "soon", "":
            self.run_suite(self.HANGS, limit=value)
            self.assertEqual(self.ended.returncode, 4, value)
            self.assertIn(f"--hang-timeout takes a number of seconds, or 0 for no limit; not {value!r}", self.ended.stderr)
        self.run_suite(self.HANGS, limit=None, files={"pytest_ini": "[pytest]\nhang_timeout = 5 s\n"})
        self.assertEqual(self.ended.returncode, 4)
        self.assertIn(
            "hang_timeout in the configuration file takes a number of seconds, or 0 for no limit; not '5 s'", self.ended.stderr
        )

    def test_a_bad_marker_fails_its_test_alone(self):
        bad = {"": "()", "1, 2": "(1, 2)", "1, method=3": "(1, method=3)", "-1": "-1", "'x'": "'x'", "None": "None", "True": "True"}
        text = "".join(
            f"@pytest.mark.hang_timeout({given})\ndef test_{at}(): pass\n" for at, given in enumerate(bad)
        )
        how = self.run_suite(text + "def test_after(): pass\n")
        for at, shown in enumerate(bad.values()):
            report = self.report(f"ERROR at setup of test_{at}")
            self.assertIn(f"test_it.py::test_{at}: the marker hang_timeout takes ", report)
            self.assertIn(f"not {shown}\n", report)
        self.assertNotIn("at teardown", self.out)
        self.assertEqual(how["test_after"], "PASSED")

    def test_where_underthread_cannot_be_active(self):
        off = "underthread is switched off in this process: UNDERTHREAD=0 is in the environment"
        self.run_suite("def test_it(): pass\n", env={"UNDERTHREAD": "0"})
        self.assertEqual(self.ended.returncode, 4)
        self.assertIn(f"--hang-timeout: {off}", self.ended.stderr)
        how = self.run_suite(
            "def test_it(): pass\n", limit=None, files={"pytest_ini": "[pytest]\nhang_timeout = 5\n"}, env={"UNDERTHREAD": "0"}
        )
        self.assertEqual(how, {"test_it": "PASSED"})
        self.assertIn(f"hang_timeout: off, a test that hangs will hang the run: {off}\n", self.out)
        self.assertIn(f"PytestConfigWarning: hang_timeout in the configuration file is without effect: {off}", self.out)


class EntryPoint(Suite):
    """As pytest finds it in an environment where the package is installed."""

    def installed(self, program):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "pyproject.toml")
        with open(root) as file:
            entry = re.search(r'\[project\.entry-points\.pytest11\]\n(\w+) = "(\w+)"\n', file.read())
        self.assertTrue(entry)
        information = "site/underthread-0.1.0.dist-info/"
        program.write(information + "METADATA", "Metadata-Version: 2.1\nName: underthread\nVersion: 0.1.0\n")
        program.write(information + "RECORD", "underthread/__init__.py,,\npytest_underthread/__init__.py,,\n")
        program.write(information + "entry_points.txt", f"[pytest11]\n{entry[1]} = {entry[2]}\n")
        env = environment()
        del env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        env["PYTHONPATH"] += os.pathsep + os.path.join(program.directory, "site")
        return env

    def run_installed(self, program, on, *options):
        self.ended = program.run(on, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options, env=self.installed(program))
        self.out = self.ended.stdout
        self.assertIn("underthread-0.1.0", self.out)

    def test_a_run_that_does_not_ask_does_not_load_underthread(self):
        program = Program(
            """
            import sys, _thread, os
            def test_it():
                assert "pytest_underthread" in sys.modules
                assert not [name for name in sys.modules if name.partition(".")[0] == "underthread"]
                assert not [name for name in sys.modules if name.startswith("pytest_underthread.")]
                assert not hasattr(_thread, "_underthread_version")
                assert len(os.listdir("/proc/self/task")) == 1
            """,
            "test_it.py",
        )
        self.addCleanup(program.__exit__)
        self.run_installed(program, [sys.executable], "-W", "error")
        self.assertIn("1 passed", self.out)
        self.assertNotIn("hang_timeout", self.out)

    def test_it_is_found_and_installs_before_conftest_files(self):
        program = self.suite(
            "def test_hangs(): queue.Queue().get()\n",
            conftest_py="import underthread\nassert underthread.is_active()\n",
        )
        for on in [sys.executable], [sys.executable, "-m", "underthread"]:
            self.run_installed(program, on, "--hang-timeout", "0.3", "-W", "error")
            self.assert_took_too_long("test_hangs", "test_hangs")
            self.assertNotIn("warning", self.out + self.ended.stderr)

    def test_with_xdist_too(self):
        program = self.suite("def test_hangs(): queue.Queue().get()\n")
        self.run_installed(program, [sys.executable], "--hang-timeout", "0.3", "-n", "2")
        self.assert_took_too_long("test_hangs", "test_hangs")


if __name__ == "__main__":
    unittest.main()
