"""`python -m underthread --site`: every Python process of an environment."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from programs import LEFT_ON, PATIENCE, SWITCHED_OFF, UNKNOWN, says_unknown

import underthread

PACKAGE = os.path.dirname(os.path.abspath(underthread.__file__))

ACTIVE = "import sys, _thread; print(hasattr(_thread, '_underthread_version'))"


class Environment:
    """A virtual environment, to be thrown away, and a home."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory()
        self.directory = os.path.realpath(self._directory.name)
        self.venv = os.path.join(self.directory, "venv")
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", self.venv], check=True, timeout=PATIENCE
        )
        self.python = os.path.join(self.venv, "bin", "python")
        asked = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        self.packages = asked.stdout.strip()
        self.file = os.path.join(self.packages, "underthread.pth")

    def remove(self):
        self._directory.cleanup()

    def run(self, *arguments, python=None, **variables):
        """Runs it without a path to our package, unless `variables` have one."""
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "UNDERTHREAD"))
        }
        env.update(variables, HOME=os.path.join(self.directory, "home"))
        return subprocess.run(
            [python or self.python, *arguments],
            cwd=self.directory,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def switch(self, *words, **variables):
        variables.setdefault("PYTHONPATH", os.path.dirname(PACKAGE))
        return self.run("-m", "underthread", "--site", *words, **variables)

    def copy_package(self, folder):
        copy = os.path.join(folder, "underthread")
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        return copy


class Site(unittest.TestCase):
    def setUp(self):
        self.environment = Environment()
        self.addCleanup(self.environment.remove)

    def assertEnded(self, ended, status, out, err=""):
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (status, out, err))

    def test_on_reaches_every_process_and_off_ends_it(self):
        environment = self.environment
        self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n")
        self.assertEnded(environment.switch("on"), 0, f"on: {environment.file}\n")
        for flags in ([], ["-E"], ["-I"], ["-s"]):
            self.assertEnded(environment.run(*flags, "-c", ACTIVE), 0, "True\n")
        self.assertEnded(environment.run("-S", "-c", ACTIVE), 0, "False\n")
        self.assertEnded(environment.switch("on"), 0, f"on: {environment.file}\n")
        self.assertEnded(environment.run("-c", ACTIVE), 0, "True\n")
        self.assertEnded(environment.run("-c", ACTIVE, UNDERTHREAD="0"), 0, "False\n")
        self.assertEnded(environment.switch("off"), 0, f"off: removed {environment.file}\n")
        self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n")
        self.assertNotIn("underthread.pth", " ".join(os.listdir(environment.packages)))

    def test_off_says_whether_it_was_on(self):
        environment = self.environment
        never = f"off: it was not on, there is no {environment.file}\n"
        self.assertEnded(environment.switch("off"), 0, never)
        environment.switch("on")
        self.assertEnded(environment.switch("off"), 0, f"off: removed {environment.file}\n")
        self.assertEnded(environment.switch("off"), 0, never)

    def test_switched_off_a_process_does_not_load_the_package(self):
        environment = self.environment
        environment.switch("on")
        text = "import sys; print('underthread' in sys.modules)"
        self.assertEnded(environment.run("-c", text), 0, "True\n")
        for value in SWITCHED_OFF:
            with self.subTest(value=value):
                self.assertEnded(environment.run("-c", text, UNDERTHREAD=value), 0, "False\n")
                self.assertIn(
                    f"UNDERTHREAD={value.strip()} is set: processes that inherit it stay on stock _thread\n",
                    environment.switch("status", UNDERTHREAD=value).stdout,
                )

    def test_any_other_value_leaves_a_process_on(self):
        environment = self.environment
        environment.switch("on")
        for value in LEFT_ON:
            with self.subTest(value=value):
                self.assertEnded(environment.run("-c", ACTIVE, UNDERTHREAD=value), 0, "True\n")
        for value in UNKNOWN:
            with self.subTest(value=value):
                ended = environment.run("-c", ACTIVE, UNDERTHREAD=value)
                self.assertEnded(ended, 0, "True\n", says_unknown(value))

    def test_reaches_children_whatever_their_environment_is(self):
        environment = self.environment
        environment.switch("on")
        text = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {ACTIVE!r}], env={{}})"
        self.assertEnded(environment.run("-c", text), 0, "True\n")

    def added(self, text):
        """What the program prints, a word for each thing, with ours on and not without."""
        environment = self.environment
        environment.copy_package(environment.packages)
        # To read the first .pth file of all imports a codec.
        with open(os.path.join(environment.packages, "other.pth"), "w") as file:
            file.write("# nothing")
        theirs = environment.run("-c", text)
        environment.switch("on", PYTHONPATH="")
        ours = environment.run("-c", text)
        self.assertEqual((theirs.stderr, ours.stderr), ("", ""))
        return set(ours.stdout.split()) - set(theirs.stdout.split())

    def test_a_start_imports_two_modules_of_the_package_and_no_file_of_the_standard_library(self):
        # Built in is atexit: what the program registers there later runs before interrupts and limits end.
        wanted = {"underthread", "underthread._install", "underthread._core", "atexit"}
        self.assertEqual(self.added("import sys; print(*sys.modules)"), wanted)

    def test_a_start_loads_the_extension_and_what_each_program_in_cpp_needs(self):
        text = """if True:
            with open("/proc/self/maps") as maps:
                print(*{line.split()[-1].rpartition("/")[2] for line in maps if ".so" in line})
            """
        allowed = r"_core\..*\.so|lib(stdc\+\+|gcc_s|m|c)\.so\.[\d.]+|lib(c|m)-[\d.]+\.so"
        self.assertEqual([name for name in self.added(text) if not re.fullmatch(allowed, name)], [])

    def test_status_says_where_and_whether(self):
        environment = self.environment
        ours, theirs = "this process: underthread\n", "this process: stock _thread\n"
        off = "UNDERTHREAD=0 is set: processes that inherit it stay on stock _thread\n"
        self.assertEnded(environment.switch("status"), 1, f"off: no {environment.file}\n{theirs}")
        environment.switch("on")
        self.assertEnded(environment.switch("status"), 0, f"on: {environment.file}\n{ours}")
        self.assertEnded(
            environment.switch("status", UNDERTHREAD="0"), 0, f"on: {environment.file}\n{theirs}{off}"
        )

    def test_leaves_the_path_and_how_libraries_are_loaded_as_they_are(self):
        environment = self.environment
        text = "import sys; print(sys.path, 'threading' in sys.modules, sys.getdlopenflags())"
        theirs = environment.run("-c", text)
        environment.switch("on")
        ours = environment.run("-c", text)
        self.assertEnded(ours, 0, theirs.stdout)

    def test_a_package_in_the_environment_is_found_where_it_is(self):
        environment = self.environment
        environment.copy_package(environment.packages)
        self.assertEnded(environment.switch("on", PYTHONPATH=""), 0, f"on: {environment.file}\n")
        with open(environment.file) as file:
            self.assertNotIn(environment.directory, file.read())
        self.assertEnded(environment.run("-c", ACTIVE), 0, "True\n")

    def test_once_the_package_is_gone_nothing_happens(self):
        environment = self.environment
        copy = environment.copy_package(environment.packages)
        environment.switch("on", PYTHONPATH="")
        self.assertEnded(environment.run("-c", ACTIVE), 0, "True\n")
        # As an installer leaves it that does not know of a file written since.
        for name in os.listdir(copy):
            if name != "__pycache__":
                path = os.path.join(copy, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n")
        shutil.rmtree(copy)
        self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n")

    def test_a_broken_package_is_one_line_and_the_process_runs(self):
        environment = self.environment
        copy = environment.copy_package(environment.packages)
        environment.switch("on", PYTHONPATH="")
        stays = "; this process stays on stock _thread\n"
        for name, text, says in (
            ("__init__.py", "1 / 0", "cannot be loaded (ZeroDivisionError: division by zero)"),
            ("__init__.py", "import missing", "cannot be loaded (ModuleNotFoundError: No module named 'missing')"),
            ("_install.py", "x = = 3", "cannot be loaded (SyntaxError: invalid syntax (_install.py, line 1))"),
        ):
            with self.subTest(text), open(os.path.join(PACKAGE, name)) as file:
                whole = file.read()
                with open(os.path.join(copy, name), "w") as file:
                    file.write(text)
                self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n", f"underthread: {says}{stays}")
                with open(os.path.join(copy, name), "w") as file:
                    file.write(whole)
        for name in os.listdir(copy):
            if name.endswith(".so"):
                os.unlink(os.path.join(copy, name))
        ended = environment.run("-c", ACTIVE)
        self.assertEqual((ended.returncode, ended.stdout), (0, "False\n"))
        self.assertRegex(
            ended.stderr, f"^underthread: the extension is missing for this interpreter: .*{stays}$"
        )
        ended = environment.switch("on", PYTHONPATH="")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn("the extension is missing for this interpreter", ended.stderr.splitlines()[-1])

    def test_a_folder_that_cannot_be_written_is_said_and_left_as_it_is(self):
        environment = self.environment
        # A file in the way: root may write into any folder.
        os.rename(environment.packages, environment.packages + ".away")
        open(environment.packages, "w").close()
        ended = environment.switch("on")
        self.assertEnded(
            ended, 1, "", f"underthread: cannot write {environment.file}: Not a directory\n"
        )
        os.unlink(environment.packages)
        os.rename(environment.packages + ".away", environment.packages)
        # Written, but it cannot get its name.
        os.mkdir(environment.file)
        ended = environment.switch("on")
        self.assertEnded(ended, 1, "", f"underthread: cannot write {environment.file}: Is a directory\n")
        self.assertEqual(
            [name for name in os.listdir(environment.packages) if name.startswith("underthread")],
            ["underthread.pth"],
        )

    def install(self, record_end="\r\n"):
        """Installs the package as an installer does: with a dist-info. Returns the path of its RECORD."""
        environment = self.environment
        environment.copy_package(environment.packages)
        information = os.path.join(environment.packages, "underthread-0.1.0.dist-info")
        os.mkdir(information)
        for name, text in (
            ("METADATA", "Metadata-Version: 2.1\nName: underthread\nVersion: 0.1.0\n"),
            ("WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\n"),
            ("INSTALLER", "pip\n"),
        ):
            with open(os.path.join(information, name), "w") as file:
                file.write(text)
        record = os.path.join(information, "RECORD")
        paths = [
            os.path.relpath(os.path.join(folder, name), environment.packages)
            for top in (os.path.join(environment.packages, "underthread"), information)
            for folder, _, names in os.walk(top)
            for name in names
        ]
        with open(record, "w", newline="") as file:
            for path in paths:
                file.write(f"{path},sha256=4kZs,12{record_end}")
            # A name that needs quotes and one beyond ASCII, as an installer writes them.
            file.write(f'"underthread/a,\xe4.txt",,{record_end}')
            file.write("underthread-0.1.0.dist-info/RECORD,,")
        return record

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return file.read()

    def test_on_is_in_the_record_once_and_off_restores_the_record_byte_for_byte(self):
        environment = self.environment
        record = self.install()
        os.chmod(record, 0o640)
        for end in (b"", b"\r\n", b"\n"):
            with self.subTest(end=end):
                with open(record, "rb+") as file:
                    before = file.read().rstrip(b"\r\n") + end
                    file.seek(0)
                    file.truncate()
                    file.write(before)
                for _ in range(2):
                    self.assertEnded(environment.switch("on", PYTHONPATH=""), 0, f"on: {environment.file}\n")
                    during = self.read(record)
                    self.assertTrue(during.startswith(before))
                    self.assertEqual(during[len(before) :].strip(), b"underthread.pth,,")
                self.assertEqual(os.stat(record).st_mode & 0o777, 0o640)
                self.assertEqual(environment.switch("off", PYTHONPATH="").returncode, 0)
                self.assertEqual(self.read(record), before)
        self.assertEqual([name for name in os.listdir(os.path.dirname(record)) if "RECORD" in name], ["RECORD"])

    def test_a_line_of_the_installers_own_stays_in_the_record(self):
        environment = self.environment
        record = self.install()
        with open(record, "a", newline="") as file:
            file.write("\r\nunderthread.pth,sha256=abc,3\r\n")
        before = self.read(record)
        environment.switch("on", PYTHONPATH="")
        self.assertEqual(self.read(record), before)
        environment.switch("off", PYTHONPATH="")
        self.assertEqual(self.read(record), before)

    def test_a_record_that_cannot_be_written_is_one_line_and_on_works(self):
        environment = self.environment
        record = self.install()
        # A folder in the way: root may write any file.
        os.unlink(record)
        os.mkdir(record)
        says = f"underthread: cannot change {record}: Is a directory; "
        self.assertEnded(
            environment.switch("on", PYTHONPATH=""),
            0,
            f"on: {environment.file}\n",
            f"{says}uninstalling the package will leave {environment.file}\n",
        )
        self.assertEnded(
            environment.switch("off", PYTHONPATH=""),
            0,
            f"off: removed {environment.file}\n",
            f"{says}it still lists {environment.file}\n",
        )
        # Not written by an installer: not text.
        os.rmdir(record)
        with open(record, "wb") as file:
            file.write(b"\xff\n")
        ended = environment.switch("on", PYTHONPATH="")
        self.assertEqual((ended.returncode, ended.stdout), (0, f"on: {environment.file}\n"))
        self.assertIn(f"underthread: cannot change {record}: ", ended.stderr)
        self.assertEqual(self.read(record), b"\xff\n")

    def test_what_is_installed_elsewhere_has_its_record_left_alone(self):
        environment = self.environment
        other = os.path.join(environment.packages, "underthread_more-1.0.dist-info", "RECORD")
        os.mkdir(os.path.dirname(other))
        with open(other, "wb") as file:
            file.write(b"underthread_more.py,,\n")
        self.assertEnded(environment.switch("on"), 0, f"on: {environment.file}\n")
        self.assertEqual(self.read(other), b"underthread_more.py,,\n")

    def test_pip_uninstall_takes_the_file_with_it(self):
        try:
            import pip
        except ImportError:
            self.skipTest("this interpreter has no pip (Debian: python3-pip)")
        environment = self.environment
        self.install()
        # pip removes folders that it has emptied.
        open(os.path.join(environment.packages, "other.txt"), "w").close()
        environment.switch("on", PYTHONPATH="")
        self.assertTrue(os.path.exists(environment.file))
        self.assertEnded(environment.run("-c", ACTIVE), 0, "True\n")
        # The virtual environment has none of its own.
        ended = environment.run(
            "-m", "pip", "uninstall", "-y", "underthread", PYTHONPATH=os.path.dirname(os.path.dirname(pip.__file__))
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("Successfully uninstalled underthread-0.1.0", ended.stdout)
        self.assertEqual(os.listdir(environment.packages), ["other.txt"])
        self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n")

    def test_user_is_for_interpreters_that_read_it(self):
        environment = self.environment
        ended = environment.switch("on", "--user")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertRegex(ended.stderr, "^underthread: Python does not read .*/home/.* here\n$")

        with open(os.path.join(environment.venv, "pyvenv.cfg")) as file:
            text = file.read().replace("system-site-packages = false", "system-site-packages = true")
        with open(os.path.join(environment.venv, "pyvenv.cfg"), "w") as file:
            file.write(text)
        ended = environment.switch("on", "--user")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertRegex(ended.stdout, "^on: .*/home/.*/underthread.pth\n$")
        self.assertFalse(os.path.exists(environment.file))
        self.assertEnded(environment.run("-c", ACTIVE), 0, "True\n")
        self.assertEnded(environment.run("-s", "-c", ACTIVE), 0, "False\n")
        self.assertEqual(environment.switch("status").returncode, 0)
        self.assertIn("still on for you", environment.switch("off").stdout)
        self.assertEqual(environment.switch("off", "--user").returncode, 0)
        self.assertEnded(environment.run("-c", ACTIVE), 0, "False\n")

    def test_wrong_words_print_the_usage_and_status_2(self):
        for words in ([], ["maybe"], ["on", "off"], ["on", "--user", "more"]):
            ended = self.environment.switch(*words)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""))
            self.assertIn("usage: ", ended.stderr)


if __name__ == "__main__":
    unittest.main()
