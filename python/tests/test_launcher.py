"""`python -m underthread PROGRAM` does what `python PROGRAM` does."""

import os
import re
import signal
import subprocess
import sys
import unittest
import zipfile

from programs import OURS, PATIENCE, STOCK, Program

WHO = """\
import sys
main = sys.modules["__main__"]
print(__name__, sys.argv, sys.path, __package__, __spec__, __doc__)
print(main.__dict__ is globals(), list(vars(main)), type(__loader__))
print(globals().get("__file__"), globals().get("__cached__"), globals().get("__annotations__"), sys._getframe().f_code.co_filename)
"""

FILES = {
    "who.py": WHO,
    "package/__init__.py": "",
    "package/__main__.py": WHO,
    "package/module.py": WHO,
    "directory/__main__.py": WHO,
    "empty/there.py": "",
    "fails.py": "def f(): 1 / 0\nf()\n",
    "chain.py": "try:\n    1 / 0\nexcept Exception as error:\n    raise ValueError('x') from error\n",
    "syntax.py": "x = = 3\n",
    "exit_7.py": "import sys; sys.exit(7)\n",
    "exit_text.py": "import sys; sys.exit('bye')\n",
    "exit_none.py": "raise SystemExit\n",
    "exit_tuple.py": "raise SystemExit((1, 2))\n",
    "interrupted.py": "def f(): raise KeyboardInterrupt\nf()\n",
    "imports.py": "import missing_module\n",
    "imports_failing.py": "import fails\n",
    "hook.py": """\
import atexit, sys
def hook(kind, value, traceback):
    lines = []
    while traceback:
        lines.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
        traceback = traceback.tb_next
    print(kind, value, lines, sys.last_traceback is value.__traceback__, sys.excepthook is hook)
sys.excepthook = hook
atexit.register(lambda: print(sys.excepthook is hook))
def f(): 1 / 0
f()
""",
    "pickles.py": """\
import pickle
class Mine: pass
print(type(pickle.loads(pickle.dumps(Mine()))) is Mine, pickle.dumps(Mine, 0))
""",
    "processes.py": """\
import multiprocessing, sys
def work(x): return x + 1
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(work, [1, 2, 3]))
""",
    "threads.py": """\
import threading
print(threading.main_thread().name, threading.enumerate() == [threading.main_thread()])
def fail(): raise KeyError(1)
thread = threading.Thread(target=fail, name="T")
thread.start()
thread.join()
""",
    "warns.py": "import warnings\ndef f(): warnings.warn('careful', stacklevel=2)\nf()\n",
}

COMMANDS = [
    "who.py",
    "./who.py a -x --help",
    "package/../who.py -m",
    "link/link.py",
    "package",
    "directory a",
    "./directory",
    "program.zip a b",
    "-m who 1 -m",
    "-mwho",
    "-m package",
    "-m package.module --version",
    "-m package.missing",
    "-m missing_module",
    "-m empty",
    "-m fails",
    "-m syntax",
    "-m interrupted",
    "missing.py",
    "who.py/missing.py",
    "a/very/missing.py",
    "empty",
    "fails.py",
    "chain.py",
    "syntax.py",
    "exit_7.py",
    "exit_text.py",
    "exit_none.py",
    "exit_tuple.py",
    "interrupted.py",
    "imports.py",
    "imports_failing.py",
    "hook.py",
    "pickles.py",
    "processes.py",
    "threads.py",
    "warns.py",
    "compiled.pyc a",
    "-c print(__name__,__import__('sys').argv,__import__('sys').path) a b",
    "-c 1/0",
    "-",
]


class SameAsPython(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = Program(WHO)
        cls.addClassCleanup(cls.program._directory.cleanup)
        for name, text in FILES.items():
            cls.program.write(name, text)
        here = cls.program.directory
        os.mkdir(os.path.join(here, "link"))
        os.symlink("../who.py", os.path.join(here, "link", "link.py"))
        with zipfile.ZipFile(os.path.join(here, "program.zip"), "w") as archive:
            archive.writestr("__main__.py", WHO)
        import py_compile

        py_compile.compile(
            os.path.join(here, "who.py"), os.path.join(here, "compiled.pyc"), dfile="who.py"
        )

    def compare(self, arguments, options=()):
        ends = []
        for on in (STOCK, OURS):
            ended = self.program.run([on[0], *options, *on[1:]], *arguments)
            # runpy's frames are in the interpreter's own tracebacks of -m; in ours they are not.
            runpy = r'  File ".*\brunpy(\.py|>)", line .*\n(    .*\n)*'
            err = re.sub(runpy, "", ended.stderr)
            ends.append((ended.returncode, re.sub("0x[0-9a-f]+", "0x", ended.stdout), err))
        self.assertEqual(*ends)
        return ends[0]

    def test_arguments_path_main_module_status_and_traceback(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.compare(command.split())

    def test_the_same_with_a_safe_path(self):
        for command in ("who.py", "directory", "program.zip", "-c print(__import__('sys').path)"):
            with self.subTest(command):
                self.compare(command.split(), ["-P"])

    def test_a_program_from_standard_input(self):
        ends = []
        for on in (STOCK, OURS):
            for text in (WHO, "1/0\n"):
                ended = subprocess.run(
                    [*on, "-", "a"],
                    input=text,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    cwd=self.program.directory,
                )
                ends.append((ended.returncode, ended.stdout, ended.stderr))
        self.assertEqual(ends[:2], ends[2:])

    def test_a_program_from_a_pipe_with_a_name(self):
        ends = []
        for on in (STOCK, OURS):
            ended = subprocess.run(
                [*on, "/dev/stdin", "a"],
                input=WHO,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                cwd=self.program.directory,
            )
            ends.append((ended.returncode, re.sub("0x[0-9a-f]+", "0x", ended.stdout), ended.stderr))
        self.assertEqual(*ends)
        self.assertEqual(ends[0][0], 0)

    def test_a_missing_file_has_status_2(self):
        self.assertEqual(self.compare(["missing.py"])[0], 2)

    def test_an_uncaught_keyboard_interrupt_ends_it_by_the_signal(self):
        for command in (["interrupted.py"], ["-m", "interrupted"]):
            self.assertEqual(self.compare(command)[0], -signal.SIGINT)


class Itself(unittest.TestCase):
    def run_with(self, *arguments):
        return subprocess.run([*OURS, *arguments], capture_output=True, text=True, timeout=PATIENCE)

    def test_is_in_place_when_the_program_runs(self):
        ended = self.run_with(
            "-c",
            "import underthread, _thread, threading, functools, _frozen_importlib; print(underthread.is_active(),"
            "_thread is underthread._core is _frozen_importlib._thread, functools.RLock is _thread.RLock,"
            "threading.Lock is getattr(_thread, 'lock', _thread.allocate_lock))",
        )
        self.assertEqual((ended.stdout, ended.stderr), ("True True True True\n", ""))

    def test_no_arguments_or_unknown_ones_print_the_usage_and_status_2(self):
        for arguments in ([], ["--wrong"], ["-m"], ["-c"]):
            ended = self.run_with(*arguments)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""))
            self.assertIn("usage: python -m underthread ", ended.stderr)

    def test_help_and_version(self):
        ended = self.run_with("--help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertTrue(ended.stdout.startswith("usage: python -m underthread "))
        ended = self.run_with("--version")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertRegex(ended.stdout, r"^underthread [0-9.]+ \(Python 3\.[0-9.]+[a-z0-9+]*\)\n$")

    def test_the_name_that_it_was_called_by_is_in_the_usage(self):
        for name in ("underthread", "python -m underthread"):
            with self.subTest(name):
                ended = self.run_with("--help") if " " in name else self.run_script("--help")
                self.assertTrue(ended.stdout.startswith(f"usage: {name} [--no-children] [-m"))
                self.assertIn(f"\n       {name} --site on|off|status", ended.stdout)

    def run_script(self, *arguments, cwd=None):
        """As the script that an installer makes for the entry point underthread.__main__:main."""
        with Program(
            """
            import sys
            from underthread.__main__ import main
            if __name__ == "__main__": sys.exit(main())
            """,
            "underthread",
        ) as script:
            return subprocess.run(
                [*STOCK, os.path.join(script.directory, "underthread"), *arguments],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                cwd=cwd,
            )

    def test_the_script_underthread_is_the_same_as_the_module(self):
        with Program(WHO) as program:
            program.write("package/__main__.py", WHO)
            for command in ("program.py a", "-m program --help", "package", "-c " + WHO, "missing.py"):
                with self.subTest(command):
                    words = command.split(" ", 1) if command.startswith("-c") else command.split()
                    theirs = program.run(STOCK, *words)
                    ours = self.run_script(*words, cwd=program.directory)
                    hide = lambda text: re.sub("0x[0-9a-f]+", "0x", text)
                    self.assertEqual(
                        (theirs.returncode, hide(theirs.stdout), theirs.stderr),
                        (ours.returncode, hide(ours.stdout), ours.stderr),
                    )


if __name__ == "__main__":
    unittest.main()
