"""What the README shows is what is in the tree."""

import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
README = (ROOT / "README.md").read_text(encoding="utf-8")


class Readme(unittest.TestCase):
    def test_its_examples_are_the_files_that_the_tests_run(self):
        shown = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```\n", README, re.DOTALL)
        self.assertEqual(
            [path for path, _ in shown],
            [
                "examples/python/hello_interrupt.py",
                "examples/python/hello_time_limit.py",
                "examples/hello_interrupt.cpp",
            ],
        )
        for path, text in shown:
            with self.subTest(path):
                self.assertEqual(text, (ROOT / path).read_text(encoding="utf-8"))

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
