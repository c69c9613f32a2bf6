"""The version is said in several places, and is the same in all."""

import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])


class Version(unittest.TestCase):
    def test_cmake_the_package_and_the_changelog_agree(self):
        def version(path, pattern):
            return re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE).group(1)

        cmake = version("CMakeLists.txt", r"VERSION (\d+\.\d+\.\d+) LANGUAGES")
        self.assertEqual(version("python/underthread/__init__.py", r'^__version__ = "(.*)"'), cmake)
        self.assertEqual(version("CHANGELOG.md", r"^## (\d+\.\d+\.\d+)"), cmake)


if __name__ == "__main__":
    unittest.main()
