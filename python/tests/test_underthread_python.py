"""underthread-python takes python's command line, and `_thread` is ours in it and in what it starts."""

import importlib.util
import os
import subprocess
import sys
import unittest

from programs import AWAIT_MAIN, LEFT_ON, PATIENCE, STOCK, SWITCHED_OFF, UNKNOWN, Program, says_unknown

LAUNCHER = os.environ.get("UNDERTHREAD_LAUNCHER", "")

# The main thread waits for a lock; on the interpreter's own `_thread` nothing would wake it before the end.
ASK = AWAIT_MAIN + """
import _thread, signal, time

def interrupt():
    await_main()
    _thread.interrupt_main()

def is_ours():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lock = _thread.allocate_lock()
    lock.acquire()
    start = time.monotonic()
    try:
        _thread.start_new_thread(interrupt, ())
        lock.acquire(True, 10)
    except KeyboardInterrupt:
        pass
    return time.monotonic() - start < 5
"""

WHO = ASK + """
import sys
print(is_ours(), sys.argv[1:])
"""

PROCESSES = """\
import multiprocessing, subprocess, sys
from ask import is_ours

def ask(_):
    return is_ours()

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(ask, range(2)))
    for options in [], ["-S"], ["-I"], ["-E"]:
        print(options, subprocess.check_output([sys.executable, *options, "who.py"], text=True), end="")
"""

WHERE = """\
import sys, sysconfig
print(sys.prefix, sys.exec_prefix, sys.base_prefix, sys.flags, sys.path[1:], sysconfig.get_paths(), sys.version)
"""


@unittest.skipUnless(LAUNCHER, "this interpreter has no library that a launcher can be linked with")
class Launcher(unittest.TestCase):
    def setUp(self):
        self.program = Program(WHO, "who.py")
        self.addCleanup(self.program.__exit__)
        self.program.write("ask.py", ASK)
        self.program.write("package/__main__.py", WHO)
        self.program.write("where.py", WHERE)

    def output(self, *arguments, on=(LAUNCHER,), **options):
        ended = self.program.run(on, *arguments, **options)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), ended)
        return ended.stdout

    def test_ours_whatever_the_command_line_says(self):
        for options in [], ["-S"], ["-I"], ["-E"], ["-s"], ["-I", "-S"], ["-X", "dev"], ["-OO", "-B"]:
            for program in ["who.py"], ["package"], ["-c", WHO]:
                with self.subTest(options=options, program=program[0]):
                    self.assertEqual(self.output(*options, *program, "-x", "y"), "True ['-x', 'y']\n")
        self.assertEqual(self.output("-m", "package", "-x"), "True ['-x']\n")
        self.assertEqual(self.output("-S", "-m", "package"), "True []\n")
        ended = subprocess.run([LAUNCHER, "-"], input=WHO, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((ended.stdout, ended.stderr), ("True []\n", ""))

    def test_ours_in_all_that_it_starts(self):
        self.program.write("processes.py", PROCESSES)
        self.assertEqual(
            self.output("processes.py").splitlines(),
            [f"{method} [True, True]" for method in ("fork", "spawn", "forkserver")]
            + [f"{options} True []" for options in ([], ["-S"], ["-I"], ["-E"])])

    def test_finds_what_the_interpreter_finds(self):
        for options in [], ["-S"], ["-I"], ["-E"]:
            with self.subTest(options=options):
                theirs = self.output(*options, "where.py", on=STOCK)
                self.assertEqual(self.output(*options, "where.py"), theirs)
        self.assertEqual(self.output("-V"), self.output("-V", on=STOCK))
        self.assertEqual(self.output("-c", "import sys; print(sys.executable)"), LAUNCHER + "\n")

    def test_the_environment_switches_it_off_by_the_words_of_the_package(self):
        text = "import _thread; print(hasattr(_thread, '_underthread_version'))"
        for values, out, says in (
            (SWITCHED_OFF, "False\n", lambda value: ""),
            (LEFT_ON, "True\n", lambda value: ""),
            (UNKNOWN, "True\n", says_unknown),
        ):
            for value in values:
                with self.subTest(value=value):
                    ended = self.program.run([LAUNCHER], "-c", text, env=dict(os.environ, UNDERTHREAD=value))
                    self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, out, says(value)))

    def test_exits_as_the_interpreter_does(self):
        for text in "import sys; sys.exit(7)", "1 / 0", "x = = 3", "import os, signal; os.kill(os.getpid(), 2)":
            with self.subTest(text):
                theirs = self.program.run(STOCK, "-c", text)
                ours = self.program.run([LAUNCHER], "-c", text)
                self.assertEqual((ours.returncode, ours.stderr), (theirs.returncode, theirs.stderr))

    def test_its_virtual_environments_are_on_it(self):
        self.output("-m", "venv", "--without-pip", "environment")
        python = os.path.join(self.program.directory, "environment", "bin", "python")
        for options in [], ["-S"], ["-I"]:
            self.assertEqual(self.output(*options, "who.py", on=[python]), "True []\n")
        where = "import sys; print(sys.executable, sys.prefix, sys.base_prefix)"
        self.assertEqual(
            self.output("-c", where, on=[python]).split(),
            [python, os.path.join(self.program.directory, "environment"), sys.base_prefix])

    def test_in_a_virtual_environment_it_is_of_it(self):
        self.output("-m", "venv", "--without-pip", "environment", on=STOCK)
        folder = os.path.join(self.program.directory, "environment", "bin")
        launcher = os.path.join(folder, "underthread-python")
        os.symlink(LAUNCHER, launcher)
        self.assertEqual(self.output("-S", "who.py", on=[launcher]), "True []\n")
        self.assertEqual(self.output("where.py", on=[launcher]),
                         self.output("where.py", on=[os.path.join(folder, "python")]))
        # What it says its base is, venv makes links to.
        base = self.output("-c", "import sys; print(sys._base_executable)", on=[launcher]).strip()
        self.assertTrue(os.path.exists(base), base)

    @unittest.skipUnless(importlib.util.find_spec("test.test_thread"), "this interpreter has no test package")
    def test_pythons_own_tests_pass(self):
        ended = self.program.run([LAUNCHER], "-m", "test", "test_thread")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)


if __name__ == "__main__":
    unittest.main()
