"""What the README shows is what is in the tree."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "cpp.md").read_text(encoding="utf-8")


class Readme(unittest.TestCase):
    def test_its_examples_are_the_files_that_the_tests_run(self):
        shown = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```\n", README, re.DOTALL)
        self.assertEqual(
            [path for path, _ in shown],
            [
                "examples/python/hangs/transfer.py",
                "examples/python/hello_interrupt.py",
                "examples/python/hello_time_limit.py",
                "examples/hello_interrupt.cpp",
            ],
        )
        for path, text in shown:
            with self.subTest(path):
                self.assertEqual(text, (ROOT / path).read_text(encoding="utf-8"))

    def test_what_the_guide_shows_of_the_examples_is_in_them(self):
        shown = re.findall(r"<!-- (\S+) -->\n```cpp\n(.*?)```\n", GUIDE, re.DOTALL)
        self.assertEqual(len(shown), 3)
        for path, text in shown:
            with self.subTest(path):
                self.assertIn(text, (ROOT / path).read_text(encoding="utf-8"))

    def test_the_guides_other_code_compiles(self):
        """Each piece in a function of its own, with what it takes for granted declared before it."""
        pieces = re.findall(r"(?<!-->\n)```cpp\n(.*?)```\n", GUIDE, re.DOTALL)
        self.assertGreater(len(pieces), 8)
        prelude = (ROOT / "tests" / "tools" / "guide.h").read_text(encoding="utf-8")
        program = prelude + "".join(f"void piece_{number}() {{\n{piece}}}\n" for number, piece in enumerate(pieces))
        done = subprocess.run(
            [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-I", str(ROOT / "include"), "-x", "c++", "-"],
            input=program, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_every_document_that_a_page_links_to_exists(self):
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
            for link in re.findall(r"[^[]\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
                with self.subTest(page=page.name, link=link):
                    self.assertTrue((page.parent / link).exists())

    def test_every_public_header_is_included_by_the_one_that_has_all(self):
        headers = ROOT / "include" / "underthread"
        text = (headers / "underthread.h").read_text(encoding="utf-8")
        included = set(re.findall(r"#include <underthread/(\w+\.h)>", text))
        self.assertEqual(included, {path.name for path in headers.glob("*.h")} - {"underthread.h"})


if __name__ == "__main__":
    unittest.main()
