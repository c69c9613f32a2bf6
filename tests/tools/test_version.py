"""The package's __init__.py says the version; all else reads it there, or is compared here."""

import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])


def said(path, pattern):
    return re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE).group(1)


VERSION = said(ROOT / "python/underthread/__init__.py", r'^__version__ = "(\d+\.\d+\.\d+)"$')


class Version(unittest.TestCase):
    def test_the_changelog_begins_with_it(self):
        self.assertEqual(said(ROOT / "CHANGELOG.md", r"^## (\d+\.\d+\.\d+)"), VERSION)

    @unittest.skipUnless("UNDERTHREAD_BUILD_DIR" in os.environ, "no build: ctest says where it is")
    def test_the_build_has_it(self):
        build = pathlib.Path(os.environ["UNDERTHREAD_BUILD_DIR"])
        self.assertEqual(said(build / "CMakeCache.txt", r"^CMAKE_PROJECT_VERSION:STATIC=(.*)$"), VERSION)
        self.assertEqual(said(build / "underthread.pc", r"^Version: (.*)$"), VERSION)


if __name__ == "__main__":
    unittest.main()
