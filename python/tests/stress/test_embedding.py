"""Programs in C that host the interpreter: it starts and ends as often as they like, in whatever thread, and their
signals, threads and timers are as they were.

Each is a file in `embedding`, compiled here as the interpreter says that its hosts are to be.
"""

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import unittest

import underthread
from programs import PATIENCE

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "embedding")
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(underthread.__file__)))

# What stock CPython itself leaves: SIGPIPE and SIGXFSZ are ignored from then on.
LEFT_BY_STOCK = (f"signal {int(signal.SIGPIPE)}:", f"signal {int(signal.SIGXFSZ)}:", "ignored:")
# And each signal that had a handler in Python has SA_ONSTACK, which says nothing where there is no handler any more.
FLAGS_OF_NO_HANDLER = "flags of signal"

hosts = {}
folder = None


def words(*names):
    return [word for name in names for word in shlex.split(sysconfig.get_config_var(name) or "")]


def compiler():
    """The command of a C compiler: the one that made the interpreter, if it is there; None: there is none."""
    for command in (shlex.split(os.environ.get("CC", "")), words("CC"), ["cc"]):
        if command and shutil.which(command[0]):
            return command
    return None


def libpython():
    """What a host is linked with; None: this interpreter has no library."""
    libdir, shared = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and libdir and shared:
        path = os.path.join(libdir, shared)
        if os.path.exists(path):
            return [path, f"-Wl,-rpath,{libdir}", *words("LIBS", "SYSLIBS", "LINKFORSHARED")]
    for place, name in ("LIBPL", "LIBRARY"), ("LIBDIR", "LIBRARY"):
        path = os.path.join(sysconfig.get_config_var(place) or "", sysconfig.get_config_var(name) or "")
        if os.path.isfile(path) and path.endswith(".a"):
            # All of it: extensions find the interpreter in the program. It may have been compiled for a program at a
            # fixed address, as Debian's.
            whole = ["-no-pie", "-Wl,--whole-archive", path, "-Wl,--no-whole-archive"]
            return [*whole, *words("MODLIBS", "LIBS", "SYSLIBS", "LIBM", "LINKFORSHARED")]
    return None


def setUpModule():
    global folder
    include = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(include, "Python.h")):
        raise unittest.SkipTest(f"{sys.executable} has no headers: no Python.h in {include}")
    library = libpython()
    if not library:
        raise unittest.SkipTest(f"{sys.executable} has no libpython that a program could be linked with")
    command = compiler()
    if not command:
        raise unittest.SkipTest("there is no C compiler: install gcc, or name one in CC")
    folder = tempfile.TemporaryDirectory()
    for file in sorted(os.listdir(SOURCES)):
        name, suffix = os.path.splitext(file)
        if suffix != ".c":
            continue
        hosts[name] = os.path.join(folder.name, name)
        # Its headers are the system's: what they warn of is not ours to mend.
        made = subprocess.run(
            [*command, "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-isystem", include]
            + [os.path.join(SOURCES, file), "-o", hosts[name], *library],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if made.returncode != 0:
            raise AssertionError(f"{file} does not compile:\n{made.stdout}")


def tearDownModule():
    if folder:
        folder.cleanup()


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "UNDERTHREAD"))}
    return {
        **kept,
        # A host is in no environment that the interpreter could find itself by.
        "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}",
        "PYTHONPATH": os.pathsep.join([PACKAGE, SOURCES]),
        "PYTHONDONTWRITEBYTECODE": "1",
        # The host prints too.
        "PYTHONUNBUFFERED": "1",
    }


def run(host, *arguments):
    """The lines that it printed. It must end well, and print nothing to stderr."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [hosts[host], *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=environment(),
            cwd=folder.name,
        )
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = f"none: it still ran after {PATIENCE} s"
            process.kill()
            process.wait()
        out.seek(0)
        errors.seek(0)
        printed, complaints = out.read(), errors.read()
    if status != 0 or complaints:
        raise AssertionError(f"status {status}\n--- stdout\n{printed}\n--- stderr\n{complaints}")
    return printed.splitlines()


def checks(*names):
    """A text that runs these checks of `embedding/checks.py`."""
    return f"import checks; checks.run(*{names!r})"


THREADS = ("threads", "interrupt of a worker in a lock", "interrupt of a worker in code")
INTERRUPTS_OF_MAIN = (
    "interrupt of main in a lock",
    "interrupt of main in a sleep",
    "interrupt_main in a lock",
    "interrupt_main in a sleep",
)
LIMITS_OF_MAIN = ("limit of main in a lock", "limit of main in a sleep")
LIMITS_BESIDE_A_THREAD = ("limit of main in a sleep beside another thread",)
LIMITS_OF_WORKERS = ("limit of a worker in a lock", "limit of a worker in code")
CTRL_C = ("Ctrl-C in a lock", "Ctrl-C for the process in a lock", "Ctrl-C for the process in a sleep")
LIMITS = LIMITS_OF_MAIN + LIMITS_BESIDE_A_THREAD + LIMITS_OF_WORKERS
ALL = THREADS + INTERRUPTS_OF_MAIN + LIMITS + CTRL_C
INSTALL = "import underthread; underthread.install()"


# How the lines begin by which a host says that something is not as it was.
DIFFERENCES = ("signal ", FLAGS_OF_NO_HANDLER, "blocked:", "ignored:", "caught:", "threads:", "fds:", "timers:")


def split_rounds(lines):
    """What each interpreter has printed, and what it has left: pairs of lists."""
    rounds, printed, left = [], [], []
    for line in lines:
        if line == "finalized":
            left = []
            rounds.append((printed, left))
            printed = []
        else:
            (left if line.startswith(DIFFERENCES) else printed).append(line)
    return rounds


def without_flags_of_no_handler(lines):
    return [line for line in lines if not line.startswith(FLAGS_OF_NO_HANDLER)]


class Rounds(unittest.TestCase):
    """One interpreter after another in a process. Each begins and ends as a process's only one does."""

    def both(self, *texts, handles=None):
        """What the host's interpreters print and leave, on ours and on stock `_thread`."""
        handles = handles or [1] * len(texts)
        stock = ["import signal, threading" if has else "import threading" for has in handles]
        return [split_rounds(run("rounds", *itertools.chain(*zip(handles, some)))) for some in (texts, stock)]

    def assert_works(self, *rounds, handles=None):
        """Each: the names of checks, or a list: a text and what it prints. Nothing is left but what stock leaves."""
        texts = [each[0] if isinstance(each, list) else checks(*each) for each in rounds]
        ours, theirs = self.both(*texts, handles=handles)
        self.assertEqual((len(ours), len(theirs)), (len(rounds), len(rounds)))
        for each, (printed, left), (_, left_by_stock) in zip(rounds, ours, theirs):
            self.assertEqual(printed, each[1:] if isinstance(each, list) else list(each))
            by_stock = without_flags_of_no_handler(left_by_stock)
            self.assertEqual([line for line in by_stock if not line.startswith(LEFT_BY_STOCK)], [])
            self.assertEqual(without_flags_of_no_handler(left), by_stock)

    def test_all_works_in_each_and_nothing_is_left(self):
        self.assert_works(ALL, ALL)

    def test_threads_are_interrupted_in_each(self):
        self.assert_works(THREADS, THREADS)

    def test_main_is_interrupted_in_each(self):
        self.assert_works(INTERRUPTS_OF_MAIN, INTERRUPTS_OF_MAIN)

    def test_main_is_limited_in_each(self):
        self.assert_works(LIMITS_OF_MAIN, LIMITS_OF_MAIN)

    def test_main_is_limited_in_each_beside_another_thread(self):
        self.assert_works(LIMITS_BESIDE_A_THREAD, LIMITS_BESIDE_A_THREAD)

    def test_workers_are_limited_in_each(self):
        self.assert_works(LIMITS_OF_WORKERS, LIMITS_OF_WORKERS)

    def test_ctrl_c_works_in_each(self):
        self.assert_works(CTRL_C, CTRL_C)

    def test_ctrl_c_works_in_the_tenth(self):
        # What is put in front of the handler in each has no room for ten.
        self.assert_works(*[CTRL_C[:1]] * 10)

    def test_flags_of_signals_without_a_handler_are_as_stock_leaves_them(self):
        # Not those of the signal that was reserved: a host that compares what sigaction says sees them.
        (ours,), (theirs,) = self.both(checks(*INTERRUPTS_OF_MAIN))
        self.assertEqual(ours, (list(INTERRUPTS_OF_MAIN), theirs[1]))

    def test_one_without_signal_handlers_does_not_find_the_signal_that_the_one_before_reserved(self):
        # To look whether it is still reserved is to import `_signal`, which takes SIGINT.
        names = ("threads", "interrupt of main in a lock", "limit of main in a lock", "limit of a worker in a lock")
        without = f"""{checks(*names)}
caught = next(int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("SigCgt"))
print("SIGINT has a handler:", bool(caught >> 1 & 1))
"""
        with_them = THREADS + INTERRUPTS_OF_MAIN + LIMITS_OF_MAIN + CTRL_C
        without = [without, *names, "SIGINT has a handler: False"]
        self.assert_works(with_them, without, with_them, handles=[1, 0, 1])

    def test_a_hold_that_was_never_left_ends_with_its_interpreter(self):
        hold = [INSTALL + "\nhold = underthread.hold_interrupts(); hold.__enter__()"]
        self.assert_works(hold, INTERRUPTS_OF_MAIN + LIMITS_OF_MAIN + CTRL_C)

    def test_a_limit_that_was_never_left_ends_with_its_interpreter(self):
        for seconds in 0.01, 3600:
            for beside in "pass", "import threading; threading.Thread(target=int).start()":
                with self.subTest(seconds=seconds, beside=beside):
                    limit = f"{INSTALL}\n{beside}\nlimit = underthread.time_limit({seconds}); limit.__enter__()"
                    self.assert_works([limit], INTERRUPTS_OF_MAIN + LIMITS_OF_MAIN)

    def test_prompt_interrupts_are_what_the_environment_says_in_each(self):
        text = INSTALL + "\nprint(underthread.prompt_interrupts(False))"
        self.assert_works([text, "True"], [text, "True"])


class WithoutSignalHandlers(unittest.TestCase):
    WORKS = (*THREADS, "interrupt of main in a lock", "limit of main in a lock", *LIMITS_OF_WORKERS)

    def assert_looks(self, text, *lines):
        for way in [], ["config"]:
            with self.subTest(way):
                self.assertEqual(run("without_signal_handlers", text, *way), [*lines, "finalized"])

    def test_what_is_not_a_system_call_is_interrupted_and_limited(self):
        text = f"import host\nhost.look('begun')\n{checks(*self.WORKS)}\nhost.look('over')"
        self.assert_looks(text, "begun", *self.WORKS, "over")

    def test_no_action_is_changed_while_a_limit_is_in_force(self):
        # One that is over in a system call does not end that, and is raised behind it.
        self.assert_looks(
            """
import host, checks, time
from underthread import time_limit
with time_limit(3600):
    host.look("of main")
over = checks.threading.Event()
thread = checks.start(over.wait)
with time_limit(3600):
    host.look("of main, beside a thread")
def work():
    with time_limit(3600): host.look("of a worker")
checks.start(work).join()
begun = time.monotonic()
try:
    with time_limit(0.01):
        time.sleep(0.2)
        print("not raised behind the call")
except TimeoutError: host.look(f"over, and the call went on: {time.monotonic() - begun >= 0.2}")
over.set()
thread.join()
checks.await_left()
""",
            "of main",
            "of main, beside a thread",
            "of a worker",
            "over, and the call went on: True",
        )

    def test_no_action_is_changed_while_an_interrupt_is_pending(self):
        # Main is in a system call, which the interrupt does not end: it is raised when the call ends by itself.
        self.assert_looks(
            """
import host, checks, os, underthread
read, write = os.pipe()
def work():
    checks.await_asleep(checks.main)
    assert underthread.interrupt(checks.main, checks.Stop)
    host.look("pending")
    os.write(write, b"x")
try:
    checks.start(work)
    got = os.read(read, 1)
    print(got)
    while True: pass
except checks.Stop: host.look("raised")
os.close(read), os.close(write)
checks.await_left()
""",
            "pending",
            "raised",
        )

    def test_no_action_is_changed_while_a_hold_is_held(self):
        self.assert_looks(
            """
import host, checks, _thread, underthread
def held_off():
    with underthread.hold_interrupts():
        host.look("held")
        assert underthread.interrupt(_thread.get_ident(), checks.Stop)
        host.look("held, and one is pending")
try: held_off()
except checks.Stop: host.look("released")
def work():
    try: held_off()
    except checks.Stop: host.look("released in a worker")
checks.start(work).join()
checks.await_left()
""",
            "held",
            "held, and one is pending",
            "released",
            "held",
            "held, and one is pending",
            "released in a worker",
        )


class OwnHandlers(unittest.TestCase):
    def assert_called(self, text, *lines):
        self.assertEqual(run("own_handlers", text), [*(f"{line}: 1 1 1 1" for line in lines), "after the end: 1 1 1 1"])

    # SIGINT is the host's: no KeyboardInterrupt comes of it.
    INTERRUPTS = ("interrupt of main in a lock", "interrupt of main in a sleep")
    WORKS = THREADS + INTERRUPTS + LIMITS

    def test_are_called_as_often_as_signals_are_raised_and_keep_their_actions(self):
        text = f"import host\nhost.raise_signals('begun')\n{checks(*self.WORKS)}\nhost.raise_signals('over')"
        expected = ["begun: 1 1 1 1", *self.WORKS, "over: 1 1 1 1", "after the end: 1 1 1 1"]
        self.assertEqual(run("own_handlers", text), expected)

    def test_are_called_at_once_while_interrupts_are_held_off_or_limited(self):
        self.assert_called(
            """
import host, checks, underthread
with underthread.hold_interrupts():
    host.raise_signals("held")
with underthread.time_limit(3600):
    host.raise_signals("limited")
def work():
    with underthread.time_limit(3600): host.raise_signals("a worker is limited")
    with underthread.hold_interrupts(): host.raise_signals("a worker holds")
checks.start(work).join()
checks.await_left()
""",
            "held",
            "limited",
            "a worker is limited",
            "a worker holds",
        )

    def test_the_signal_that_is_reserved_is_not_the_one_that_ends_system_calls(self):
        # The host has a handler for the one that either would be: SIGRTMAX, SIGURG.
        out = run(
            "own_handlers",
            f"""
import checks, signal
checks.run("interrupt of main in a sleep")
reserved = [n for n in signal.valid_signals() if getattr(signal.getsignal(n), "__name__", "") == "_underthread_handle"]
caught = next(int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("SigCgt"))
print(len(reserved), [caught >> n - 1 & 1 for n in reserved])
""",
        )
        self.assertEqual(out, ["interrupt of main in a sleep", "1 [0]", "after the end: 1 1 1 1"])


class AnotherMainThread(unittest.TestCase):
    """The interpreter is started in a thread other than the process's first: that is main."""

    def assert_works(self, *rounds):
        expected = []
        for names in rounds:
            expected += [*names, "finalized", "the first thread was interrupted 0 times"]
        self.assertEqual(run("another_main_thread", *[checks(*names) for names in rounds]), expected)

    def test_is_interrupted_and_limited_and_the_first_thread_is_not(self):
        self.assert_works(THREADS + INTERRUPTS_OF_MAIN + LIMITS + ("Ctrl-C in a lock",))

    def test_of_the_next_interpreter_is_another_one(self):
        names = THREADS + INTERRUPTS_OF_MAIN + LIMITS_OF_MAIN + ("Ctrl-C in a lock",)
        self.assert_works(names, names)

    def test_is_woken_by_a_signal_that_the_first_thread_takes(self):
        out = run("another_main_thread", checks(*CTRL_C))
        self.assertEqual(out[:-1], [*CTRL_C, "finalized"])

    def test_is_known_where_a_worker_imports_the_package(self):
        # Main has never called anything of ours, and sleeps. Nothing is reserved yet, which needs the main thread: so
        # its sleep is ended by a signal's handler.
        out = run(
            "another_main_thread",
            """
import threading, time
def work():
    import checks, _thread
    checks.await_asleep(checks.main)
    _thread.interrupt_main()
thread = threading.Thread(target=work)
thread.start()
try: time.sleep(3600)
except KeyboardInterrupt: print("stopped")
thread.join()
""",
        )
        self.assertEqual(out, ["stopped", "finalized", "the first thread was interrupted 0 times"])


class OwnThread(unittest.TestCase):
    SETUP = """
import checks, gc, _thread, threading, underthread
from checks import Stop, held
gc.disable()
ident = native_id = None
class Thread: pass
thread = Thread()
def attach():
    global ident
    ident, thread.native_id = _thread.get_ident(), threading.get_native_id()
    with threading.Lock(): pass
def nothing_comes():
    for _ in range(10000): len("")
    assert not held.acquire(timeout=0.1)
    for _ in range(10000): len("")
    print("nothing came")
def later_ones_come():
    # The thread itself is in C code, so another one interrupts it.
    def work():
        checks.await_asleep(thread)
        assert underthread.interrupt(ident, Stop)
    for _ in range(2):
        assert checks.raised(Stop, lambda: (checks.start(work), held.acquire()))
    assert checks.end_of_limit(held.acquire)
    assert checks.end_of_limit(checks.spin)
    print("later ones came")
"""
    SECOND = "nothing_comes()\nlater_ones_come()\nchecks.await_left()"
    LINES = ["nothing came", "later ones came", "finalized"]

    def assert_forgotten(self, first, meanwhile="pass", lines=LINES):
        self.assertEqual(run("own_thread", self.SETUP, f"attach()\n{first}", meanwhile, self.SECOND), lines)

    def test_an_interrupt_of_a_state_that_has_gone_is_not_raised_in_the_next(self):
        self.assert_forgotten("pass", "assert underthread.interrupt(ident, Stop)")

    # Without a GIL the states of others cannot be told apart: one that is behind another comes to the next.
    @unittest.skipUnless(HAS_GIL, "states are not known without a GIL")
    def test_several_of_a_state_that_has_gone_are_not_raised_in_the_next(self):
        self.assert_forgotten("pass", "assert all([underthread.interrupt(ident, Stop) for _ in range(3)])")

    def test_a_hold_of_a_state_that_has_gone_is_not_the_next_ones(self):
        hold = "hold = underthread.hold_interrupts()\nhold.__enter__()"
        self.assert_forgotten(hold)
        self.assert_forgotten(hold, "assert underthread.interrupt(ident, Stop)")

    def test_a_limit_of_a_state_that_has_gone_is_not_the_next_ones(self):
        for seconds in 0.01, 0.05, 3600:
            with self.subTest(seconds):
                self.assert_forgotten(f"limit = underthread.time_limit({seconds})\nlimit.__enter__()")

    def test_is_interrupted_in_a_lock_in_each_of_its_states(self):
        self.assert_forgotten("later_ones_come()\nchecks.await_left()", lines=["later ones came", *self.LINES])

    def test_nothing_is_accepted_for_a_thread_that_is_not_attached(self):
        # The thread that has come and gone is the one whose ident is asked for; main asks once it has been joined.
        self.assert_forgotten(
            "import atexit\natexit.register(lambda: print(underthread.interrupt(ident, Stop)))",
            lines=["nothing came", "later ones came", "False", "finalized"],
        )


class Subinterpreters(unittest.TestCase):
    LIMITS = {
        "over in a lock": """
import threading, underthread
underthread.install()
lock = threading.Lock()
lock.acquire()
try:
    with underthread.time_limit(0.01): lock.acquire()
except TimeoutError: pass
""",
        "over in code": """
import underthread
underthread.install()
try:
    with underthread.time_limit(0.01):
        while True: len("")
except TimeoutError: pass
""",
        "left in time": """
import underthread
underthread.install()
with underthread.time_limit(3600): pass
""",
        "about to be over": """
import underthread
underthread.install()
try:
    with underthread.time_limit(0.0002): pass
except TimeoutError: pass
""",
        "in a generator that is suspended": """
import underthread
underthread.install()
def limited():
    with underthread.time_limit(0.001): yield
generator = limited()
next(generator)
""",
        "of a thread": """
import threading, underthread
underthread.install()
lock = threading.Lock()
lock.acquire()
def work():
    try:
        with underthread.time_limit(0.01): lock.acquire()
    except TimeoutError: pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
    }

    def ours_and_theirs(self, main, each, count=50):
        """What many subinterpreters leave, on ours and on stock `_thread`."""
        ours = run("subinterpreters", count, main, each)
        theirs = run("subinterpreters", 3, "import signal, threading", "import threading")
        return without_flags_of_no_handler(ours), without_flags_of_no_handler(theirs)

    def test_end_right_behind_a_limit(self):
        for name, text in self.LIMITS.items():
            with self.subTest(name):
                self.assertEqual(*self.ours_and_theirs(INSTALL, text))

    def test_leave_nothing_where_the_main_interpreter_does_not_have_the_package(self):
        for name, text in self.LIMITS.items():
            with self.subTest(name):
                self.assertEqual(*self.ours_and_theirs("pass", text))

    def test_end_while_the_main_interpreter_has_a_limit(self):
        main = INSTALL + "\nlimit = underthread.time_limit(3600); limit.__enter__()"
        self.assertEqual(*self.ours_and_theirs(main, self.LIMITS["over in a lock"]))


class ThreadsAtTheEnd(unittest.TestCase):
    """The interpreter ends while a thread waits in a lock of ours and another's limit is in force."""

    TEXT = """
import threading, time, underthread
underthread.install()
held = threading.Lock()
held.acquire()
waits = []
def limited():
    waits.append(threading.get_native_id())
    try:
        with underthread.time_limit({seconds}): {wait}
    except TimeoutError: pass
    {behind}
def plain():
    waits.append(threading.get_native_id())
    held.acquire()
threading.Thread(target=plain, daemon=True).start()
threading.Thread(target=limited, daemon={daemon}).start()
def is_asleep(native_id):
    with open(f"/proc/self/task/{{native_id}}/stat") as stat: return stat.read().rpartition(")")[2].split()[0] == "S"
while len(waits) < 2 or not all(map(is_asleep, waits)): time.sleep(0.001)
"""

    def assert_ends(self, seconds, *lines, milliseconds=0, **how):
        words = {"wait": "held.acquire()", "behind": "held.acquire()", "daemon": True, **how}
        text = self.TEXT.format(seconds=seconds, **words)
        for _ in range(20):
            self.assertEqual(run("threads_at_the_end", text, milliseconds), [*lines, "finalized"])

    def test_of_a_limit_that_is_not_over(self):
        self.assert_ends(3600)

    def test_of_a_limit_that_is_over_at_about_then(self):
        self.assert_ends(0.02)

    def test_of_a_limit_that_is_over_afterwards(self):
        # The host goes on, and the wait's time is up in a process that has no interpreter.
        self.assert_ends(0.3, milliseconds=400)

    def test_of_a_limit_in_a_system_call(self):
        self.assert_ends(0.02, wait="time.sleep(3600)")

    def test_of_a_limit_in_code(self):
        self.assert_ends(3600, wait="\n            while True: time.sleep(0.001)")

    def test_which_waits_for_a_limited_thread_that_is_no_daemon(self):
        self.assert_ends(0.1, "over", behind="print('over')", daemon=False)


if __name__ == "__main__":
    unittest.main()
