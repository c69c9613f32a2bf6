"""What pip makes of us, with the interpreter that runs this: an sdist, a wheel, an installed package."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR") or pathlib.Path(__file__).parents[2])
VERSION = re.search(r'^__version__ = "(.*)"', (ROOT / "python/underthread/__init__.py").read_text(), re.M).group(1)
# Files of the repository that are no use to whoever builds from an sdist.
NOT_IN_SDIST = {".ci/run", ".gitignore"}

WHERE = """
import _thread, sys
print(_thread.__spec__.origin)
print(sys.modules["underthread"].__version__)
"""

PATHS = "import sys; print(sys.prefix, sys.base_prefix, sys.path, sys.version)"


def run(*command, **options):
    """Runs a command and returns what it printed; what a failing one printed is in the exception."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("PYTHONPATH", "UNDERTHREAD_PYTHONS")}
    done = subprocess.run([str(word) for word in command], text=True, cwd=options.get("cwd", os.sep), env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise AssertionError(f"{done.args} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


def tracked():
    """The repository's files; None: this is not one."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return None
    # What is new and not ignored would be packed too.
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="underthread-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        try:
            cls.builder = cls.venv("builder")
        except AssertionError as error:
            # Debian keeps what makes one in a package of its own (python3-venv).
            raise unittest.SkipTest(f"this interpreter makes no virtual environments: {error}")
        try:
            run(cls.builder, "-m", "pip", "download", "--retries=0", "--no-deps", "-d", cls.folder / "probe",
                "scikit-build-core")
        except AssertionError:
            raise unittest.SkipTest("no package index")
        run(cls.builder, "-m", "pip", "install", "build")
        # The wheel is built from the sdist.
        run(cls.builder, "-m", "build", "--outdir", cls.folder / "made", ROOT)
        (cls.sdist,) = (cls.folder / "made").glob("*.tar.gz")
        (cls.wheel,) = (cls.folder / "made").glob("*.whl")

    @classmethod
    def venv(cls, name):
        run(sys.executable, "-m", "venv", cls.folder / name)
        return cls.folder / name / "bin" / "python"

    def check_installed(self, python):
        prefix = python.parent.parent
        for command in ([python, "-m", "underthread"], [python.parent / "underthread"]):
            with self.subTest(command=command):
                origin, version = run(*command, "-c", WHERE).splitlines()
                self.assertTrue(origin.startswith(f"{prefix}/lib"), origin)
                self.assertEqual(version, VERSION)
        self.assertIn("Version: " + VERSION, run(python, "-m", "pip", "show", "underthread"))
        script = pathlib.Path(run(python, "-m", "underthread", "--gdb-script").strip())
        self.assertEqual(script.read_text(), (ROOT / "gdb" / "underthread-gdb.py").read_text())
        launcher = python.parent / "underthread-python"
        if launcher.exists():
            # It is of this environment, and needs nothing of the folder that it was built in.
            self.assertEqual(run(launcher, "-c", PATHS), run(python, "-c", PATHS))

    def test_the_sdist_is_the_repository(self):
        with tarfile.open(self.sdist) as sdist:
            names = {name.partition("/")[2] for name in sdist.getnames()}
        self.assertLessEqual({"CMakeLists.txt", "pyproject.toml", "LICENSE", "src/lock.cpp", "tests/CMakeLists.txt",
                              "python/tests/test_lock.py", "PKG-INFO"}, names)
        files = tracked()
        if files is not None:
            self.assertEqual(names - {"PKG-INFO"}, files - NOT_IN_SDIST)

    def test_the_wheel_holds_the_package_and_its_licence(self):
        with zipfile.ZipFile(self.wheel) as wheel:
            names = set(wheel.namelist())
            entry_points = wheel.read(f"underthread-{VERSION}.dist-info/entry_points.txt").decode()
        information = f"underthread-{VERSION}.dist-info/"
        package = ROOT / "python"
        modules = {path.relative_to(package).as_posix() for name in ("underthread", "pytest_underthread")
                   for path in (package / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        others = {name for name in names if not name.startswith(information)}
        # It is there for an interpreter that has a library to link with.
        others.discard(f"underthread-{VERSION}.data/scripts/underthread-python")
        extension = "underthread/_core" + sysconfig.get_config_var("EXT_SUFFIX")
        self.assertEqual(others, modules | {extension, "underthread/_gdb/underthread-gdb.py"})
        self.assertLessEqual({information + name for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")},
                             names)
        self.assertIn("[pytest11]\npytest_underthread = pytest_underthread", entry_points.replace("=", " = ").replace("  ", " "))

    def test_the_wheel_works_in_a_fresh_environment(self):
        python = self.venv("from-wheel")
        run(python, "-m", "pip", "install", "--no-index", self.wheel)
        self.check_installed(python)
        self.check_types(python)

    def check_types(self, python):
        try:
            run(python, "-m", "pip", "install", "mypy")
        except AssertionError:
            return  # the newest interpreters come before the checkers; python/tests/test_stubs.py runs with all
        # What is in no stub is taken from the source: modules for children and for gdb only, a name that an
        # except clause has removed. And _core is no module by that name; test_stubs looks at it.
        allowed = self.folder / "allowed"
        allowed.write_text("underthread._children.*\nunderthread._gdb.*\nunderthread._install.error\nunderthread._core\n")
        run(python, "-m", "mypy.stubtest", "--ignore-unused-allowlist", "--allowlist", allowed, "underthread")
        program = self.folder / "typed.py"
        program.write_text("import underthread\nunderthread.install()\nreveal_type(underthread._core.allocate_lock())\n")
        self.assertIn("lock", run(python, "-m", "mypy", "--strict", program).lower())

    def test_a_clone_can_be_installed_and_stays_as_it_is(self):
        before = tracked()
        python = self.venv("from-clone")
        run(python, "-m", "pip", "install", ROOT)
        self.check_installed(python)
        self.assertEqual(tracked(), before)


if __name__ == "__main__":
    unittest.main()
