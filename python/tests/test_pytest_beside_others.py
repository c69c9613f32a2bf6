"""pytest --hang-timeout beside other plugins and debuggers; how it is asked for."""

import os
import re
import sys
import unittest

from programs import PATIENCE, Program
from pytest_suites import Suite, environment, set_up as setUpModule


class OtherPlugins(Suite):
    def test_xdist(self):
        how = self.run_suite(
            """
            def test_hangs(): queue.Queue().get()
            # Not a sleep: execnet before 2.1 may run the first test of a worker in another thread than main.
            def test_waits(): threading.Event().wait()
            def test_after(): pass
            """,
            "-n", "2", plugins=["xdist.plugin", "xdist.looponfail"],
        )  # fmt: skip
        self.assertIn(" has waited ", self.assert_took_too_long("test_hangs", "test_hangs"))
        self.assert_took_too_long("test_waits", "test_waits")
        self.assertEqual(how["test_after"], "PASSED")
        self.assertIn("hang_timeout: 0.5 s for setup, call and teardown each", self.out)

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
        # Nobody is asked to cancel any more (before 3.11 that is not counted), and no task is left but those of this test.
        assert not getattr(asyncio.current_task(), "cancelling", int)()
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
        how = self.run_suite(text, "--timeout", "0.5", plugins=["pytest_timeout"], limit="3600")
        self.assertIn(
            "hang_timeout: 3600 s for setup, call and teardown each; pytest-timeout has 0.5 s for a whole test: "
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
            "def test_hangs(): time.sleep(3600)\n", "-o", "faulthandler_timeout=0.2", limit="1"
        )  # fmt: skip
        self.assertIn("Timeout (0:00:00.2", self.ended.stderr)
        self.assert_took_too_long("test_hangs", "test_hangs", seconds="1")


class Debuggers(Suite):
    def test_nothing_is_raised_while_somebody_debugs(self):
        program = self.suite(
            """
            import bdb
            def test_pdb(): breakpoint()
            def test_bdb(): bdb.Bdb().runcall(time.sleep, 0.9)
            def test_set_trace():
                import pdb
                pdb.set_trace()
            def test_hangs(): time.sleep(3600)
            """
        )
        with program.start([sys.executable], *self.command(), env=environment()) as process:
            self.addCleanup(process.kill)
            out, err = process.communicate("import time; time.sleep(0.9)\nc\n" * 2, timeout=PATIENCE)
        self.assertIn("test_it.py::test_hangs FAILED", out, err)
        self.assertIn("1 failed, 3 passed", out, err)

    def test_pdb_is_entered_where_the_test_hangs(self):
        program = self.suite("def test_hangs():\n    here = 'found'\n    queue.Queue().get()\n")
        with program.start([sys.executable], *self.command("--pdb"), env=environment()) as process:
            out, err = process.communicate("import time; time.sleep(0.9)\nu\nu\np here\nq\n", timeout=PATIENCE)
        self.assertIn("entering PDB", out)
        self.assertIn("(Pdb) 'found'\n", out)
        self.assertIn("1 failed", out)


class Asking(Suite):
    HANGS = "def test_hangs(): time.sleep(3600)\ndef test_after(): pass\n"

    def test_the_configuration_file_and_markers(self):
        how = self.run_suite(
            """
            def test_hangs(): time.sleep(3600)
            @pytest.mark.hang_timeout(0)
            def test_none(): time.sleep(0.9)
            @pytest.mark.hang_timeout(60)
            def test_longer(): time.sleep(0.9)
            @pytest.mark.hang_timeout(seconds=0.2)
            def test_shorter(): time.sleep(3600)
            """,
            "--strict-markers",
            limit=None,
            files={"pytest_ini": "[pytest]\nhang_timeout = 0.5\n"},
        )
        self.assert_took_too_long("test_hangs", "test_hangs")
        self.assert_took_too_long("test_shorter", "test_shorter", seconds="0.2")
        self.assertEqual((how["test_none"], how["test_longer"]), ("PASSED", "PASSED"))

    def test_a_marker_alone_asks(self):
        how = self.run_suite(
            "@pytest.mark.hang_timeout(0.5)\ndef test_hangs(): queue.Queue().get()\ndef test_long(): time.sleep(0.9)\n", limit=None
        )
        self.assertIn("MainThread has waited", self.assert_took_too_long("test_hangs", "test_hangs"))
        self.assertEqual(how["test_long"], "PASSED")

    def test_0_is_off_for_markers_too(self):
        how = self.run_suite(
            "@pytest.mark.hang_timeout(0.1)\ndef test_long():\n    time.sleep(0.9)\n    assert not underthread.is_active()\n",
            limit="0",
            files={"pytest_ini": "[pytest]\nhang_timeout = 0.5\n"},
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


NO_REWRITE_WARNING = ("-W", "error::pytest.PytestAssertRewriteWarning")


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
        self.run_installed(program, [sys.executable], *NO_REWRITE_WARNING)
        self.assertIn("1 passed", self.out)
        self.assertNotIn("hang_timeout", self.out)

    def test_it_is_found_and_installs_before_conftest_files(self):
        program = self.suite(
            "def test_hangs(): queue.Queue().get()\n",
            conftest_py="import underthread\nassert underthread.is_active()\n",
        )
        for on in [sys.executable], [sys.executable, "-m", "underthread"]:
            self.run_installed(program, on, "--hang-timeout", "0.5", *NO_REWRITE_WARNING)
            self.assert_took_too_long("test_hangs", "test_hangs")
            self.assertNotIn("AssertRewrite", self.out + self.ended.stderr)

    def test_with_xdist_too(self):
        program = self.suite("def test_hangs(): queue.Queue().get()\n")
        self.run_installed(program, [sys.executable], "--hang-timeout", "0.5", "-n", "2")
        self.assert_took_too_long("test_hangs", "test_hangs")


if __name__ == "__main__":
    unittest.main()
