"""What python/tests/conformance says of two runs of a suite."""

import os
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
sys.path.insert(0, str(ROOT / "python" / "tests" / "conformance"))
import compare
import suite


def run(outcome="", is_lost=False, **tests):
    return suite.Run({name: endings.split() for name, endings in tests.items()}, outcome, is_lost)


class Differences(unittest.TestCase):
    def found(self, stock, ours):
        return [(found.test, found.ours) for found in compare.differences(stock, ours)]

    def test_equal_runs_have_none_even_if_both_fail(self):
        both = run("exit status 2", a="passed", b="failed", c="skipped")
        self.assertEqual(self.found(both, both), [])
        self.assertEqual(compare.notes(both, both)[0], "b: failed on both")

    def test_a_test_that_fails_is_skipped_or_does_not_run_is_one(self):
        stock = run(a="passed", b="passed", c="passed", d="passed passed", e="passed")
        ours = run(a="failed", b="skipped", d="passed", e="passed")
        self.assertEqual(
            self.found(stock, ours), [("a", "failed"), ("b", "skipped"), ("c", "not run"), ("d", "run 1 times")]
        )

    def test_what_only_ours_has_counts_if_it_fails(self):
        self.assertEqual(self.found(run(a="passed"), run(a="passed", b="failed", c="passed")), [("b", "failed")])

    def test_what_only_stock_fails_is_none(self):
        self.assertEqual(self.found(run(a="failed"), run(a="passed")), [])

    def test_a_hang_is_one_also_if_both_hang(self):
        hang = run("hangs", True, a="failed")
        self.assertEqual(self.found(hang, hang), [(None, "hangs")])
        self.assertEqual(self.found(hang, run(a="passed")), [(None, "well")])

    def test_a_process_with_the_other_thread_module_is_one(self):
        self.assertEqual(self.found(run(a="passed"), run("1 of its", a="passed")), [(None, "1 of its")])

    def test_alone_tells_what_comes_and_goes(self):
        for stock, ours, verdict in (("passed", "failed", "differs"), ("passed", "passed", "failed once, passed alone"),
                                     ("failed", "passed", "fails on stock too, alone"),
                                     ("failed", "failed", "fails on stock too, alone")):
            difference = compare.Difference("a", "passed", "failed")
            difference.tried_again(stock, ours)
            self.assertEqual(difference.verdict, verdict)


class Reading(unittest.TestCase):
    def read(self, output, report=None):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.xml")
            if report is not None:
                path.write_text(report)
            return suite.read_tests(path, output)

    def test_a_failed_sub_test_fails_its_test_though_the_report_leaves_it_out(self):
        report = '<testsuites><testsuite><testcase name="test.test_x.C.test_a" result="completed"/></testsuite></testsuites>'
        for line in ("FAIL: test_b (test.test_x.C.test_b) (i=1)", "FAIL: test_b (test.test_x.C) (i=1)"):
            with self.subTest(line):
                self.assertEqual(
                    self.read("=====\n" + line + "\n", report),
                    {"test.test_x.C.test_a": ["passed"], "test.test_x.C.test_b": ["failed"]},
                )

    def test_without_a_report_the_output_says_which_began(self):
        self.assertEqual(
            list(self.read("test_a (test.test_x.C.test_a) ... ok\ntest_b (test.test_x.C.test_b)\nWhat it does ... ")),
            ["test.test_x.C.test_a", "test.test_x.C.test_b"],
        )


if __name__ == "__main__":
    unittest.main()
