"""`python -m underthread PROGRAM` does what `python PROGRAM` does."""

import os
import re
import signal
import subprocess
import sys
import unittest
import zipfile

from programs import OURS, PATIENCE, STOCK, Program, run

import underthread

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


# As the script that an installer makes for the entry point underthread.__main__:main.
SCRIPT = """\
import re
import sys
from underthread.__main__ import main
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit(main())
"""


def run_script(*arguments, cwd=None):
    with Program(SCRIPT, "underthread") as script:
        return subprocess.run(
            [*STOCK, os.path.join(script.directory, "underthread"), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=cwd,
        )


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

    def test_in_a_current_directory_that_has_been_removed(self):
        gone = os.path.join(self.program.directory, "gone")
        ends = []
        for on in (STOCK, OURS):
            for words in ([os.path.join(self.program.directory, "who.py")], ["-c", WHO]):
                os.mkdir(gone)
                command = ["sh", "-c", f'rmdir "{gone}"; exec "$@"', "sh", *on, *words]
                ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=gone)
                ends.append((ended.returncode, re.sub("0x[0-9a-f]+", "0x", ended.stdout), ended.stderr))
        self.assertEqual(ends[:2], ends[2:])

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
                ended = self.run_with("--help") if " " in name else run_script("--help")
                self.assertTrue(ended.stdout.startswith(f"usage: {name} [--no-children] [-m"))
                self.assertIn(f"\n       {name} --site on|off|status", ended.stdout)

    def test_the_script_underthread_is_the_same_as_the_module(self):
        with Program(WHO) as program:
            program.write("package/__main__.py", WHO)
            for command in ("program.py a", "-m program --help", "package", "-c " + WHO, "missing.py"):
                with self.subTest(command):
                    words = command.split(" ", 1) if command.startswith("-c") else command.split()
                    theirs = program.run(STOCK, *words)
                    ours = run_script(*words, cwd=program.directory)
                    hide = lambda text: re.sub("0x[0-9a-f]+", "0x", text)
                    self.assertEqual(
                        (theirs.returncode, hide(theirs.stdout), theirs.stderr),
                        (ours.returncode, hide(ours.stdout), ours.stderr),
                    )


class ModulesOfItsOwn(unittest.TestCase):
    """A program's modules may have the names of modules of the standard library, and so may files in the current
    directory. A file there that nobody asked for is not run because of us."""

    LIST = "import sys; print(*sys.modules)"

    # Notes that it was run, and is then what it hides, with a mark.
    PLANTED = """\
import sys
with open({log!r}, "a") as log:
    log.write(__name__ + "\\n")
from _frozen_importlib_external import PathFinder
spec = PathFinder.find_spec(__name__, [entry for entry in sys.path if "/planted" not in (entry or {here!r})])
if spec.submodule_search_locations:
    __path__ += spec.submodule_search_locations
exec(spec.loader.get_code(__name__), globals())
is_planted = True
"""

    @classmethod
    def setUpClass(cls):
        # What running any program loads, python's own -m and our --site too.
        out = run("import runpy, pkgutil, linecache, subprocess, warnings, underthread._environment, sys; print(*sys.modules)", STOCK)
        found = {name.partition(".")[0] for name in out.split()}
        loaded = set(run("import sys; print(*sys.modules)", STOCK).split()) - {"__main__"}
        library = os.path.dirname(os.__file__)
        cls.names = sorted(
            name
            for name in found - loaded
            if os.path.exists(os.path.join(library, name + ".py")) or os.path.exists(os.path.join(library, name, "__init__.py"))
        )
        assert {"pkgutil", "types", "importlib", "sysconfig", "warnings"} <= {*cls.names, *loaded}, cls.names

    def setUp(self):
        self.program = Program(self.LIST)
        self.addCleanup(self.program.__exit__)
        self.log = os.path.join(self.program.directory, "log")
        self.script = self.program.write("bin/underthread", SCRIPT)
        self.here = os.path.join(self.program.directory, "planted")
        for name in self.names:
            is_package = os.path.isdir(os.path.join(os.path.dirname(os.__file__), name))
            path = f"planted/{name}/__init__.py" if is_package else f"planted/{name}.py"
            self.program.write(path, self.PLANTED.format(log=self.log, here=self.here))

    def run_there(self, *words, status=(0,)):
        """Runs python in the folder with the planted modules: what it printed, and those that were run."""
        open(self.log, "w").close()
        ended = subprocess.run([*STOCK, *words], capture_output=True, text=True, timeout=PATIENCE, cwd=self.here)
        self.assertEqual((ended.returncode in status, ended.stderr), (True, ""), words)
        with open(self.log) as log:
            return ended.stdout, set(log.read().split())

    def test_the_launcher_imports_nothing_that_python_does_not(self):
        def modules(*words):
            return {name for name in self.program.run(STOCK, *words).stdout.split() if "underthread" not in name}

        by_module = modules("-m", "program")
        plain = modules("program.py")
        self.assertEqual(modules("-m", "underthread", "program.py") - by_module, set())
        self.assertEqual(modules("-m", "underthread", "-m", "program") - by_module, set())
        self.assertEqual(modules("-m", "underthread", "-c", self.LIST) - by_module, modules("-c", self.LIST) - by_module)
        script = modules(self.program.write("script.py", "import re\n" + self.LIST))
        self.assertEqual(modules(self.script, "program.py") - plain, script - plain)
        self.assertEqual(modules(self.script, "-m", "program") - by_module, script - by_module)

    def test_those_in_the_current_directory_are_not_run_because_of_us(self):
        self.program.write("planted/empty.py", "")
        program = os.path.join(self.program.directory, "program.py")
        _, by_module = self.run_there("-m", "empty")
        for words in ([program], ["-c", "pass"], ["-m", "empty"]):
            _, theirs = self.run_there(*words)
            with self.subTest(words=words):
                _, ours = self.run_there("-m", "underthread", *words)
                self.assertEqual(ours - by_module - theirs, set())
                _, ours = self.run_there(self.script, *words)
                self.assertEqual(ours - theirs, set())
        for words in (["--help"], ["--version"], ["--site", "status"]):
            with self.subTest(words):
                _, ours = self.run_there("-m", "underthread", *words, status=(0, 1))
                self.assertEqual(ours - by_module, set())
                _, ours = self.run_there(self.script, *words, status=(0, 1))
                self.assertEqual(ours, set())

    def ask(self, folder):
        """A program that says which of the modules it gets from its own folder."""
        return self.program.write(
            f"{folder}/ask.py",
            f"""
            import importlib, sys
            names = {[*self.names, "importlib"]!r}
            print([name for name in names if hasattr(importlib.import_module(name), "is_planted")])
            print([name for name in names if hasattr(__import__(name), "is_planted")])
            """,
        )

    def test_those_in_the_current_directory_are_not_those_of_a_program_elsewhere(self):
        program = self.ask("elsewhere")
        theirs, _ = self.run_there(program)
        self.assertEqual(theirs, "[]\n[]\n")
        for how in (["-m", "underthread"], [self.script]):
            with self.subTest(how):
                self.assertEqual(self.run_there(*how, program)[0], theirs)

    def test_those_in_its_own_folder_are_the_programs(self):
        program = self.ask("planted")
        elsewhere = os.path.join(self.program.directory, "bin")
        for words in ([program], ["-m", "ask"], ["-c", "import ask"]):
            theirs, _ = self.run_there(*words)
            self.assertIn("'pkgutil'", theirs)
            for how in (["-m", "underthread"], [self.script]):
                with self.subTest(words=words, how=how):
                    self.assertEqual(self.run_there(*how, *words)[0], theirs)
        ended = subprocess.run([*OURS, program], capture_output=True, text=True, timeout=PATIENCE, cwd=elsewhere)
        self.assertEqual((ended.stdout, ended.stderr), (self.run_there(program)[0], ""))


if __name__ == "__main__":
    unittest.main()
