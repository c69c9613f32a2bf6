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
            # runpy's frames are in stock CPython's tracebacks of -m; in ours they are not.
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
        for arguments, says in (
            ([], "no program is named"),
            (["--"], "no program is named"),
            (["-u"], "no program is named"),
            (["--wrong"], "unknown option --wrong"),
            (["-Z", "x.py"], "unknown option -Z"),
            (["-uZ", "x.py"], "unknown option -Z"),
            (["-x", "x.py"], "unknown option -x"),
            (["-m"], "argument expected for the -m option"),
            (["-c"], "argument expected for the -c option"),
            (["-uc"], "argument expected for the -c option"),
            (["-u", "-X"], "argument expected for the -X option"),
            (["-W"], "argument expected for the -W option"),
            (["--check-hash-based-pycs"], "argument expected for the --check-hash-based-pycs option"),
        ) + (((["-P", "x.py"], "unknown option -P"),) if sys.version_info < (3, 11) else ()):
            with self.subTest(arguments):
                ended = self.run_with(*arguments)
                self.assertEqual((ended.returncode, ended.stdout), (2, ""))
                self.assertTrue(ended.stderr.startswith(f"underthread: {says}\nusage: python -m underthread "), ended.stderr)

    def test_help_and_version(self):
        ended = self.run_with("--help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertTrue(ended.stdout.startswith("usage: python -m underthread "))
        self.assertIn("  OPTION         an option of python: -b -B ", ended.stdout)
        for words in (["-h"], ["-?"], ["-u", "--help"], ["-uh"]):
            self.assertEqual(self.run_with(*words).stdout, ended.stdout)
        for words in (["--version"], ["-V"], ["-u", "--version"], ["-uV"]):
            ended = self.run_with(*words)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertRegex(ended.stdout, r"^underthread [0-9.]+ \(Python 3\.[0-9.]+[a-z0-9+]*\)\n$")

    def test_where_gdbs_script_is(self):
        path = self.run_with("--gdb-script").stdout.rstrip("\n")
        with open(path) as script:
            self.assertIn("underthread locks", script.read())

    def test_the_name_that_it_was_called_by_is_in_the_usage(self):
        for name in ("underthread", "python -m underthread"):
            with self.subTest(name):
                ended = self.run_with("--help") if " " in name else run_script("--help")
                self.assertTrue(ended.stdout.startswith(f"usage: {name} [--no-children] [--deadlock MODE] [--dump-signal NAME] "))
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
        # But for those that are built in: no file of the current directory is taken for them.
        ours = ("underthread", "atexit", "faulthandler")

        def modules(*words):
            names = self.program.run(STOCK, *words).stdout.split()
            return {name for name in names if not any(each in name for each in ours)}

        by_module = modules("-m", "program")
        plain = modules("program.py")
        self.assertEqual(modules("-m", "underthread", "program.py") - by_module, set())
        self.assertEqual(modules("-m", "underthread", "-m", "program") - by_module, set())
        self.assertEqual(modules("-m", "underthread", "-c", self.LIST) - by_module, modules("-c", self.LIST) - by_module)
        start = os.path.join(os.path.dirname(underthread.__file__), "__main__.py")
        self.assertEqual(modules(start, "program.py"), plain)
        self.assertEqual(modules(start, "-m", "program"), by_module)

    def test_those_in_the_current_directory_are_not_run_because_of_us(self):
        self.program.write("planted/empty.py", "")
        program = os.path.join(self.program.directory, "program.py")
        _, by_module = self.run_there("-m", "empty")
        for words in ([program], ["-c", "pass"], ["-m", "empty"]):
            _, theirs = self.run_there(*words)
            for options in ([], ["-B"]):
                with self.subTest(words=words, options=options):
                    _, ours = self.run_there("-m", "underthread", *options, *words)
                    self.assertEqual(ours - by_module - theirs, set())
                    _, ours = self.run_there(self.script, *options, *words)
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
        for how in (["-m", "underthread"], [self.script], ["-m", "underthread", "-B"]):
            with self.subTest(how):
                self.assertEqual(self.run_there(*how, program)[0], theirs)

    def test_those_in_its_own_folder_are_the_programs(self):
        program = self.ask("planted")
        elsewhere = os.path.join(self.program.directory, "bin")
        for words in ([program], ["-m", "ask"], ["-c", "import ask"]):
            theirs, _ = self.run_there(*words)
            self.assertIn("'pkgutil'", theirs)
            for how in (["-m", "underthread"], [self.script], ["-m", "underthread", "-B"]):
                with self.subTest(words=words, how=how):
                    self.assertEqual(self.run_there(*how, *words)[0], theirs)
        ended = subprocess.run([*OURS, program], capture_output=True, text=True, timeout=PATIENCE, cwd=elsewhere)
        self.assertEqual((ended.stdout, ended.stderr), (self.run_there(program)[0], ""))


# What a program can see of how its interpreter was started.
STATE = """\
import os, sys
if len(sys.argv) > 1:
    import _thread
    print(hasattr(_thread, "_underthread_version"), file=open(sys.argv[1], "w"))
print(sys.flags, sys._xoptions, sys.warnoptions, sys.argv[:1], sys.path, getattr(sys, "orig_argv", None))
print(sys.executable, sys.stdout.write_through, __debug__, sys.dont_write_bytecode, sys.pycache_prefix)
with open("/proc/self/status") as status:
    print([line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt"))])
print(sorted(os.listdir("/proc/self/fd")), "site" in sys.modules)
"""


class PythonsOptions(unittest.TestCase):
    """Options of python itself before the program."""

    OPTIONS = [
        "-u", "-b", "-bb", "-B", "-d", "-E", "-i", "-I", "-O", "-OO", "-q", "-R", "-s", "-S",
        "-uB", "-uBs", "-Es", "-X dev", "-Xdev", "-X utf8 -X faulthandler", "-Xpycache_prefix=x", "-W ignore", "-Wignore",
        "-W error -W ignore::DeprecationWarning", "-BW ignore", "-BWignore", "-BXdev -u", "-u -- ",
        "--check-hash-based-pycs always -u", "-W error", "-X importtime", "-v",
    ]  # fmt: skip
    if sys.version_info >= (3, 11):
        OPTIONS += ["-P", "-uP", "-PB"]

    def setUp(self):
        self.program = Program(STATE)
        self.addCleanup(self.program.__exit__)
        self.script = self.program.write("bin/underthread", SCRIPT)
        self.module = Program("")
        self.addCleanup(self.module.__exit__)
        self.package = os.path.dirname(os.path.abspath(underthread.__file__))

    def assertSame(self, theirs, ours, compare_stderr=True):
        # The signals that dumps are asked for by are taken: test_dump.
        environment = {**os.environ, "UNDERTHREAD_DUMP_SIGNAL": "off"}
        ended = [self.program.run(STOCK, *words, env=environment) for words in (theirs, ours)]
        if not compare_stderr:
            for each in ended:
                each.stderr = ""
        theirs, ours = ((each.returncode, each.stdout, each.stderr) for each in ended)
        self.assertEqual(theirs, ours)

    def test_are_taken_as_python_takes_them(self):
        active = os.path.join(self.program.directory, "active")
        for options in self.OPTIONS:
            words = [*options.split(), "program.py", active]
            for how in (["-m", "underthread"], [self.script]):
                with self.subTest(options, how=how[0]):
                    # With -v and importtime there is more to load.
                    self.assertSame(words, [*how, *words], options not in ("-v", "-X importtime"))
                    with open(active) as file:
                        self.assertEqual(file.read(), "True\n")
                    os.unlink(active)

    def test_those_that_the_launcher_had_itself_are_kept(self):
        for before, how, after in (
            ("-X dev", "-m underthread", "-u"),
            ("-B -W ignore", "-m underthread", "-W error"),
            ("-u", "-munderthread", "-B"),
            ("-B", "-um underthread", "-s"),
            ("-B", "-umunderthread", "-s"),
            ("-X dev -OO", self.script, "-bb"),
            ("", "-um underthread", ""),
            ("-B", "-m underthread", ""),
            ("-B", self.script, ""),
            ("-i", "-m underthread", "-u"),
        ):
            with self.subTest(before=before, how=how, after=after):
                letter = ["-u"] if how.startswith("-u") else []
                theirs = [*before.split(), *letter, *after.split(), "program.py"]
                self.assertSame(theirs, [*before.split(), *how.split(), *after.split(), "program.py"])

    def test_before_each_kind_of_program(self):
        self.program.write("package/__main__.py", STATE)
        self.program.write("-dash.py", STATE)
        for program in (["-m", "package"], ["package"], ["-c", STATE], ["-"], ["--", "-dash.py"], ["program.py", "-Z", "-m"]):
            for how in (["-m", "underthread"], [self.script]):
                with self.subTest(program=program, how=how[0]):
                    program = [word for word in program if word != "-Z"]
                    self.assertSame(["-B", "-W", "ignore", *program], [*how, "-B", "-W", "ignore", *program])
        for words in (["-Bc", "import sys; print(sys.argv, sys.flags)", "a"], ["-Bcimport sys; print(sys.argv)", "-u"], ["-Bm", "package"]):
            with self.subTest(words):
                hide = "import sys; sys.orig_argv = []\n"
                self.program.write("package/__main__.py", hide + STATE)
                self.assertSame(words, ["-m", "underthread", *words])

    def test_a_session_after_the_program_is_in_its_namespace(self):
        for text in ("x = 5\n", "x = 5; 1 / 0\n", "x = 5; import sys; sys.exit(3)\n"):
            with self.subTest(text):
                self.program.write("session.py", text)
                ends = []
                for how in ([], ["-m", "underthread"], [self.script]):
                    ended = subprocess.run(
                        [STOCK[0], *how, "-i", "session.py"],
                        input="x + 1\n__name__\n",
                        cwd=self.program.directory,
                        capture_output=True,
                        text=True,
                        timeout=PATIENCE,
                    )
                    ends.append((ended.returncode, ended.stdout, ended.stderr))
                self.assertIn("6", ends[0][1])
                self.assertEqual(ends[0], ends[1])
                self.assertEqual(ends[0], ends[2])

    def test_the_process_stays_the_same(self):
        process = self.program.start(OURS, "-u", "-c", "import os; print(os.getpid())")
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual((out, err), (f"{process.pid}\n", ""))

    def test_no_children_may_be_before_or_after_them(self):
        look = "import os; print('UNDERTHREAD_CHILDREN' in os.environ)"
        for words, out in (
            (["-u"], "True\n"),
            (["--no-children", "-u"], "False\n"),
            (["-u", "--no-children"], "False\n"),
            (["-u", "--no-children", "-B"], "False\n"),
        ):
            with self.subTest(words):
                ended = self.program.run(OURS, *words, "-c", look)
                self.assertEqual((ended.stdout, ended.stderr), (out, ""))

    def test_the_package_is_found_whatever_they_do_to_the_path(self):
        text = "import sys, _thread; print(hasattr(_thread, '_underthread_version'), sys.argv, sys.path)"
        program = self.program.write("look.py", text)
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "UNDERTHREAD_CHILDREN")}
        folder = os.path.dirname(self.package)
        for options in ["-I"], ["-E"], ["-S"], ["-I", "-S"], ["-s"], ["-P"]:
            if options == ["-P"] and sys.version_info < (3, 11):
                continue
            for name, env, cwd in (
                ("PYTHONPATH", dict(clean, PYTHONPATH=folder), "/"),
                ("current directory", clean, folder),
            ):
                with self.subTest(options=options, only_in=name):
                    theirs = subprocess.run(
                        [STOCK[0], *options, program, "a"], capture_output=True, text=True, cwd=cwd, env=env
                    )
                    ours = subprocess.run(
                        [*OURS, *options, program, "a"], capture_output=True, text=True, cwd=cwd, env=env
                    )
                    self.assertEqual((ours.stdout, ours.stderr), (theirs.stdout.replace("False", "True", 1), ""))

    def test_run_by_its_path_it_is_the_package_beside_it_and_none_that_the_path_leads_to(self):
        other = self.program.write("other/underthread/__init__.py", "print('another')")
        env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(other)))
        start = os.path.join(self.package, "__main__.py")
        for path in (start, self.package):
            ended = self.program.run([STOCK[0], path], "-c", "import sys; print(sys.path[0] == '')", env=env)
            self.assertEqual((ended.stdout, ended.stderr), ("True\n", ""))

    def test_an_interpreter_that_cannot_be_started_again_is_said(self):
        text = """
            import sys
            from underthread.__main__ import main
            sys.executable, sys.argv = {!r}, ["underthread", "-u", "-c", "print(1)"]
            main()
            """
        for executable, status, says in (
            ("", 2, "underthread: python's own options cannot be taken here: sys.executable does not say which "),
            ("/missing/python", 1, "underthread: cannot start /missing/python again: No such file or directory\n"),
        ):
            with self.subTest(executable), Program(text.format(executable)) as program:
                ended = program.run(STOCK)
                self.assertEqual((ended.returncode, ended.stdout), (status, ""))
                self.assertTrue(ended.stderr.startswith(says), ended.stderr)

    def test_where_the_command_line_is_not_known_the_options_that_flags_show_are_kept(self):
        look = "import sys; print(sys.flags.bytes_warning, sys.stdout.write_through)"
        call = "import sys; from underthread.__main__ import main; "
        for words in (
            ["-bb", "-c", call + "main()", "-u", "-c", look],
            ["-bb", "-c", f"{call} sys.argv = ['', '-u', '-c', {look!r}]; main()"],
        ):
            ended = self.program.run(STOCK, *words)
            self.assertEqual((ended.stdout, ended.stderr), ("2 True\n", ""))


if __name__ == "__main__":
    unittest.main()
