"""Dumps that are asked for: kill -QUIT, `underthread dump PID`, --dump-after; and what they leave behind: nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

from programs import OURS, PATIENCE, Program, is_asleep, run, wait_for

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

# What programs here begin with: `begin(f)` starts a thread; `say_ready()` lets the test go on, and `read()` waits for
# its answer.
SETUP = """
    import ctypes, os, signal, sys, threading, time, underthread
    def begin(function, name):
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        return thread
    def waits(thread):
        return any(one.ident == thread.ident and one.wait for one in underthread.snapshot().threads)
    def await_wait(thread):
        while not waits(thread): time.sleep(0.001)
    def say_ready():
        print("ready", flush=True)
    def read():
        return sys.stdin.readline()
    # Two threads that wait for each other.
    def dead_lock():
        a, b = threading.Lock(), threading.Lock()
        underthread.name(a, "accounts"), underthread.name(b, "orders")
        both = threading.Barrier(2)
        def take(mine, other):
            with mine:
                both.wait()
                with other: pass
        threads = [begin(lambda: take(a, b), "one"), begin(lambda: take(b, a), "two")]
        for thread in threads: await_wait(thread)
        # In the barrier they wait as well.
        while not (a.locked() and b.locked() and len(underthread.snapshot().deadlocks) == 1): time.sleep(0.001)
        return threads
    # In C for ever, with or without the GIL, and not to be woken by a signal.
    def stick(library):
        mutex = (ctypes.c_char * 64)()
        library.pthread_mutex_lock(mutex)
        say_ready()
        library.pthread_mutex_lock(mutex)
    def status(name):
        with open("/proc/self/status") as file:
            return next(line.split()[1] for line in file if line.startswith(name + ":"))
    """


class Running:
    """A program that runs beside the test, with what it has written to stderr so far."""

    def __init__(self, test, text, *flags, environment=None):
        program = Program(SETUP + text)
        self.process = program.start([*OURS, *flags], env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        self.started = time.monotonic()
        self._stderr = ""
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        test.addCleanup(self._clean_up, program)

    def _read_stderr(self):
        for line in self.process.stderr:
            self._stderr += line

    def await_ready(self):
        line = self.process.stdout.readline()
        if line != "ready\n":
            self.process.kill()
            self._reader.join()
            raise AssertionError(f"not ready: {line!r}\n{self._stderr}")
        return self

    def await_asleep(self):
        """Ready, and in its `read()` or `stick()`."""
        self.await_ready()
        wait_for(lambda: is_asleep(self.pid), "its main thread's sleep")
        return self

    def quit(self, signum=signal.SIGQUIT):
        self.process.send_signal(signum)
        return self

    def await_text(self, text):
        """What stderr has when it has that text."""
        try:
            return wait_for(lambda: text in self._stderr and self._stderr, repr(text))
        except AssertionError as error:
            raise AssertionError(f"{error}; there is\n{self._stderr}") from None

    def answer(self, line="\n"):
        """Lets it go on. @return what it prints, and stderr; it must end well"""
        try:
            self.process.stdin.write(line)
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it reads nothing
        # A program that hangs is killed, which ends what it prints.
        killer = threading.Timer(PATIENCE, self.process.kill)
        killer.start()
        out = self.process.stdout.read()
        self.process.wait()
        killer.cancel()
        self._reader.join()
        if self.process.returncode != 0:
            raise AssertionError(f"status {self.process.returncode}\n{out}\n{self._stderr}")
        return out

    @property
    def stderr(self):
        return self._stderr

    def _clean_up(self, program):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in self.process.stdin, self.process.stdout, self.process.stderr:
            stream.close()
        program.__exit__()


def ask(*words, **options):
    return subprocess.run([*OURS, "dump", *map(str, words)], capture_output=True, text=True, timeout=PATIENCE, **options)


class DumpBySignal(unittest.TestCase):
    def test_a_quit_signal_writes_what_all_threads_wait_for_and_the_program_goes_on(self):
        program = Running(
            self,
            """
    dead_lock()
    say_ready()
    read()
    print("went on")
    """,
            "--deadlock", "off",
        ).await_asleep().quit()
        text = program.await_text(" in <module>: read()")
        self.assertTrue(text.startswith(f"underthread: process {program.pid}\n3 threads: 2 in waits of underthread, 1 elsewhere\n"), text)
        self.assertRegex(text, "(?m)^deadlock: (one -> two -> one|two -> one -> two)$")
        self.assertNotIn("holds interrupts off", text)
        self.assertRegex(text, r"(?m)^one \(ident \d+, native id \d+\) has waited \S+ \w+ for lock 'orders', held by two$")
        self.assertIn(" in take: with other: pass\n", text)
        self.assertEqual(program.answer(), "went on\n")

    def test_it_shows_a_wait_of_the_main_thread_and_the_deadlock_that_this_is_part_of(self):
        program = Running(
            self,
            """
    a, b = threading.Lock(), threading.Lock()
    a.acquire()
    def other():
        with b:
            b_is_held.set()
            with a: pass
    b_is_held = threading.Event()
    with threading.Lock():
        thread = begin(other, "other")
        b_is_held.wait()
        await_wait(thread)
        say_ready()
        try:
            with b: pass
        except KeyboardInterrupt: print("went on")
        a.release()
    """,
            "--deadlock", "off",
        ).await_ready()
        # Ready, it may not be in its wait yet.
        text = wait_for(
            lambda: program.quit() and "possible deadlock: " in program.await_text("underthread: process") and program.stderr,
            "a deadlock",
        )
        self.assertRegex(text, "(?m)^possible deadlock: (MainThread -> other -> MainThread|other -> MainThread -> other)$")
        self.assertRegex(text, r"MainThread \(ident \d+, native id \d+\) has waited \S+ \w+ for lock at 0x\w+, held by other")
        program.process.send_signal(signal.SIGINT)
        self.assertEqual(program.answer(), "went on\n")

    @unittest.skipUnless(HAS_GIL, "there is no GIL to keep")
    def test_where_nobody_gives_the_gil_away_the_signal_handler_writes_it(self):
        program = Running(
            self,
            """
    dead_lock()
    stick(ctypes.PyDLL(None))
    """,
            "--deadlock", "off",
        ).await_asleep().quit()
        text = program.await_text("in <module>")
        self.assertIn(f"underthread: process {program.pid}: no thread could take the GIL within 0.2 s; ", text)
        self.assertRegex(text, "(?m)^deadlock: ")
        self.assertRegex(text, r"\n  one \(ident .* has waited \S+ \w+ for lock 'orders', held by two\n")
        # The stack of each, under its ident.
        for ident in re.findall(r"\(ident (\d+) = 0x", text):
            self.assertRegex(text, f"(?i)thread 0x0*{int(ident):x} ")
        self.assertIn(" in take\n", text)
        self.assertIsNone(program.process.poll())

    def test_where_the_main_thread_is_stuck_in_c_another_that_waits_writes_it(self):
        program = Running(
            self,
            """
    dead_lock()
    stick(ctypes.CDLL(None))
    """,
            "--deadlock", "off",
        ).await_asleep().quit()
        text = program.await_text(" in take: with other: pass\n")
        self.assertIn("(ident ", text)
        self.assertNotIn("no thread could take the GIL", text)
        if HAS_GIL:
            program.await_text(" in stick: library.pthread_mutex_lock(mutex)")

    def test_it_comes_while_interrupts_are_held_off_and_while_the_main_thread_computes(self):
        program = Running(
            self,
            """
    with underthread.hold_interrupts():
        say_ready()
        while "done" not in globals():
            sum(range(1000))
            if os.path.exists("done"): done = True
    print("went on")
    """,
        ).await_ready().quit()
        text = program.await_text(" in <module>: ")
        self.assertIn("  it holds interrupts off\n", text)
        self.assertNotIn("no thread could take", text)
        with open(os.path.join(os.readlink(f"/proc/{program.pid}/cwd"), "done"), "w"):
            pass
        self.assertEqual(program.answer(), "went on\n")

    def test_a_wait_that_was_interrupted_before_it_began_is_not_shown(self):
        # Its thread has waited for something before, which may be gone.
        program = Running(
            self,
            """
    import _thread
    until = time.monotonic() + 5
    def ask():
        while time.monotonic() < until:
            os.kill(os.getpid(), signal.SIGQUIT)
            time.sleep(0.0005)
    _thread.start_new_thread(ask, ())
    def nothing(): pass
    while time.monotonic() < until:
        thread = threading.Thread(target=nothing)
        thread.start()
        thread.join()
    print("went on")
    """,
        )
        self.assertEqual(program.answer(), "went on\n")
        self.assertIn("underthread: process", program.stderr)

    def test_threads_that_run_start_and_end_meanwhile_do_not_crash_it(self):
        # faulthandler looks at them while they do.
        program = Running(
            self,
            """
    import _thread
    def descend(depth):
        return descend(depth - 1) if depth else 0
    # None of them waits for anything of ours, so that none can be asked.
    def work():
        descend(200)
        _thread.start_new_thread(work, ())
    for i in range(4): _thread.start_new_thread(work, ())
    mutex = (ctypes.c_char * 64)()
    ctypes.CDLL(None).pthread_mutex_lock(mutex)
    say_ready()
    library = ctypes.CDLL(None)
    class Time(ctypes.Structure): _fields_ = [("seconds", ctypes.c_long), ("ns", ctypes.c_long)]
    library.pthread_mutex_timedlock(mutex, ctypes.byref(Time(int(time.time()) + 6, 0)))
    os._exit(0)
    """,
        ).await_ready()
        while program.process.poll() is None:
            program.quit()
            time.sleep(0.01)  # paced
        self.assertEqual(program.process.returncode, 0, program.stderr[-2000:])
        self.assertIn("no thread could take the GIL within", program.stderr)

    def test_a_program_that_resets_the_signal_of_timers_is_not_ended_by_it(self):
        program = Running(
            self,
            """
    for n in signal.valid_signals():
        if n not in (signal.SIGQUIT, signal.SIGKILL, signal.SIGSTOP, 32, 33): signal.signal(n, signal.SIG_DFL)
    stick(ctypes.CDLL(None))
    """,
            "--dump-after", "0.5",
        ).await_asleep().quit()
        program.await_text(": it has no timer to wait for a thread with; this is what")
        wait_for(lambda: time.monotonic() > program.started + 1, "the time of --dump-after")
        self.assertIsNone(program.process.poll())

    def test_a_request_that_nobody_could_answer_any_more_ends_nothing(self):
        program = Running(
            self,
            """
    class Last:
        def __del__(self, kill=os.kill, pid=os.getpid(), sleep=ctypes.PyDLL(None).usleep):
            kill(pid, 3)
            sleep(400000)
    keep = Last()
    keep.itself = keep
    say_ready()
    """,
        ).await_ready()
        program.answer()

    def test_a_file_that_has_the_number_of_a_closed_stderr_is_left_alone(self):
        with Program(SETUP + """
    file = open("data", "w")
    file.write("mine")
    file.flush()
    os.kill(os.getpid(), signal.SIGQUIT)
    time.sleep(0.5)
    print(open("data").read())
    """) as program:
            ended = subprocess.run(
                ["sh", "-c", 'exec "$@" 2>&-', "sh", *OURS, "program.py"], cwd=program.directory, stdout=subprocess.PIPE, text=True)
        self.assertEqual(ended.stdout, "mine\n")

    def test_a_program_that_is_read_from_a_pipe_is_not_read_from(self):
        with Program(SETUP + """
    os.kill(os.getpid(), signal.SIGQUIT)
    print("went on")
    """) as program:
            path = os.path.join(program.directory, "fifo")
            os.mkfifo(path)
            writer = subprocess.Popen(["sh", "-c", f"cat {program.name} > fifo"], cwd=program.directory)
            ended = program.run(OURS, "fifo")
            writer.wait()
        self.assertEqual((ended.returncode, ended.stdout), (0, "went on\n"))

    def test_a_stderr_that_nobody_reads_does_not_stop_it(self):
        with Program(SETUP + """
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.set_blocking(2, False)
    try:
        while True: os.write(2, b"x" * 65536)
    except BlockingIOError: pass
    os.set_blocking(2, True)
    os.kill(os.getpid(), signal.SIGQUIT)
    print("went on")
    """) as program:
            self.assertEqual(program.run(OURS).stdout, "went on\n")

    def test_near_the_limit_of_recursion_the_program_gets_no_error_of_a_dump(self):
        self.assertEqual(
            subprocess.run(
                [*OURS, "-c", """if True:
                    import os, signal, sys
                    def f(n):
                        if n: return f(n - 1)
                        os.kill(os.getpid(), signal.SIGQUIT)
                    for room in range(12, 40):
                        depth = 0
                        frame = sys._getframe()
                        while frame: depth, frame = depth + 1, frame.f_back
                        f(sys.getrecursionlimit() - depth - room)
                    print("went on")"""],
                capture_output=True, text=True,
            ).stdout,
            "went on\n",
        )

    def test_an_exception_that_comes_into_the_dump_is_raised_where_it_would_be_without(self):
        for sends, error in (
            ("os.kill(os.getpid(), signal.SIGINT)", "KeyboardInterrupt()"),
            ("underthread.interrupt(threading.main_thread(), ValueError('sent'))", "ValueError('sent')"),
        ):
            program = Running(
                self,
                """
    inspect = sys.modules["underthread._inspect"]
    dump_text = inspect.dump_text
    def interrupted_dump_text(*all_of_it, **options):
        %s
        return dump_text(*all_of_it, **options)
    inspect.dump_text = interrupted_dump_text
    say_ready()
    try: time.sleep(3600)
    except BaseException as error: print(repr(error))
    """
                % sends,
            )
            program.await_asleep().quit()
            self.assertEqual(program.answer(), error + "\n")
            self.assertIn("\n1 thread: ", program.stderr)

    def test_a_dump_that_fails_says_so_and_the_program_goes_on(self):
        program = Running(
            self,
            """
    def fail(*_, **options): raise LookupError("odd")
    sys.modules["underthread._inspect"].dump_text = sys.modules["underthread._inspect"].dump_json = fail
    say_ready()
    read()
    """,
        ).await_asleep().quit()
        program.await_text(f"underthread: process {program.pid}: the dump has failed: LookupError('odd')\n")
        self.assertEqual(json.loads(ask("--json", program.pid).stdout)["error"], "LookupError('odd')")
        program.answer()

    def test_many_at_once_are_answered_or_dropped_and_nothing_is_lost(self):
        program = Running(
            self,
            """
    say_ready()
    done = []
    def one(): done.append(1)
    for _ in range(2000): threading.Thread(target=one).start()
    while threading.active_count() > 1: time.sleep(0.001)
    print(len(done))
    read()
    """,
        ).await_ready()
        for _ in range(200):
            program.quit()
        program.await_text("underthread: process")
        self.assertEqual(program.answer(), "2000\n")

    def test_a_program_that_handles_the_signal_itself_does_and_is_asked_by_dump_all_the_same(self):
        program = Running(
            self,
            """
    print(signal.getsignal(signal.SIGQUIT) == signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, lambda *_: print("mine", flush=True))
    say_ready()
    read()
    """,
        )
        self.assertEqual(program.process.stdout.readline(), "True\n")
        program.await_asleep().quit()
        self.assertEqual(program.process.stdout.readline(), "mine\n")
        wait_for(lambda: is_asleep(program.pid), "its read()")
        self.assertIn(" in <module>: read()", ask(program.pid).stdout)
        program.answer()
        self.assertEqual(program.stderr, "")

    def test_which_signal_it_is_can_be_said(self):
        for flags, environment in ((("--dump-signal", "USR1"), {}), (("--dump-signal=sigusr1",), {}), ((), {"UNDERTHREAD_DUMP_SIGNAL": "10"})):
            program = Running(self, "say_ready(); read()", *flags, environment=environment).await_ready()
            program.quit(signal.SIGUSR1).await_text("underthread: process")
            program.answer()
        program = Running(self, "say_ready(); read()", "--dump-signal", "none").await_ready()
        self.assertIn("1 thread: ", ask(program.pid).stdout)
        program.quit()
        program.process.wait(PATIENCE)
        self.assertEqual(program.process.returncode, -signal.SIGQUIT)

    def test_what_is_no_signal_is_an_error(self):
        for name, why in (("KILL", "KILL cannot be used for dumps"), ("HUPP", "'HUPP' is no signal"), ("99", "'99' is no signal")):
            ended = subprocess.run([*OURS, "--dump-signal", name, "-c", ""], capture_output=True, text=True)
            self.assertEqual(ended.returncode, 2)
            self.assertTrue(ended.stderr.startswith(f"underthread: --dump-signal: {why}\n"), ended.stderr)
            ended = subprocess.run(
                [*OURS, "-c", "print(1)"], capture_output=True, text=True, env={**os.environ, "UNDERTHREAD_DUMP_SIGNAL": name}
            )
            self.assertEqual((ended.stdout, ended.stderr), ("1\n", f"underthread: UNDERTHREAD_DUMP_SIGNAL: {why}\n"))

    def test_installed_in_a_program_it_takes_none_unless_the_environment_says_so(self):
        text = """
    import os, underthread
    underthread.install()
    with open("/proc/self/status") as file: mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    print(mask >> 2 & 1)
    """
        for environment, taken in (({}, "0\n"), ({"UNDERTHREAD_DUMP_SIGNAL": "QUIT"}, "1\n")):
            with Program(text) as program:
                self.assertEqual(program.run([OURS[0]], env={**os.environ, **environment}).stdout, taken)


class DumpCommand(unittest.TestCase):
    def test_it_prints_what_another_process_does(self):
        program = Running(self, "dead_lock(); say_ready(); read()", "--deadlock", "off").await_ready()
        ended = ask(program.pid)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertTrue(ended.stdout.startswith(f"underthread: process {program.pid}\n3 threads: "), ended.stdout)
        self.assertRegex(ended.stdout, "(?m)^deadlock: ")
        program.answer()
        self.assertEqual(program.stderr, "")

    def test_json_has_all_of_it(self):
        program = Running(
            self,
            r'''
    underthread.name(threading.Lock(), "gone")
    dead_lock()
    def f(): time.sleep(3600)
    begin(f, 'a "name" \\ \u00e4\U0001f600')
    say_ready()
    read()
    ''',
            "--deadlock", "off",
        ).await_ready()
        all_of_it = json.loads(ask("--json", program.pid).stdout)
        self.assertEqual(all_of_it["process"], program.pid)
        threads = {thread["name"]: thread for thread in all_of_it["threads"]}
        self.assertEqual(set(threads), {"MainThread", "one", "two", 'a "name" \\ \u00e4\U0001f600'})
        one, two = threads["one"], threads["two"]
        self.assertEqual((one["wait"]["kind"], one["wait"]["lock_name"]), ("lock", "orders"))
        self.assertEqual((one["wait"]["blocker"], one["wait"]["left"], one["daemon"]), (two["ident"], None, True))
        self.assertEqual(one["stack"][0]["function"], "take")
        self.assertIsNone(threads["MainThread"]["wait"])
        [deadlock] = all_of_it["deadlocks"]
        self.assertEqual((deadlock["kind"], set(deadlock["threads"])), ("certain", {one["ident"], two["ident"]}))
        self.assertEqual({lock["name"]: lock["holder"] for lock in all_of_it["locks"]}, {"accounts": one["ident"], "orders": two["ident"]})
        program.answer()

    def test_in_json_what_a_signal_handler_has_written_is_text(self):
        program = Running(self, "stick(ctypes.PyDLL(None))").await_asleep()
        self.assertIn("no thread could take the GIL", json.loads(ask("--json", program.pid).stdout)["plain"])

    def test_the_child_of_a_fork_and_a_python_process_that_was_started_can_be_asked(self):
        text = """
    import subprocess
    if sys.argv[1:] == ["started"]:
        print(os.getpid(), flush=True)
        time.sleep(3600)
    started = subprocess.Popen([sys.executable, __file__, "started"], stdout=subprocess.PIPE, text=True)
    print(started.stdout.readline().strip(), flush=True)
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        time.sleep(3600)
    read()
    started.kill()
    os.kill(child, signal.SIGKILL)
    started.wait(), os.wait()
    """
        program = Running(self, text)
        pids = [int(program.process.stdout.readline()) for _ in range(2)]
        for pid in pids:
            self.assertIn(f"underthread: process {pid}\n1 thread: ", ask(pid).stdout)
        program.answer()
        self.assertEqual(program.stderr, "")

    def test_a_fork_while_dumps_are_asked_for_hinders_neither(self):
        program = Running(
            self,
            """
    say_ready()
    for _ in range(100):
        if os.fork() == 0: os._exit(0)
        os.wait()
    print("went on")
    read()
    """,
        ).await_ready()
        for _ in range(5):
            self.assertIn("1 thread: ", ask(program.pid).stdout)
        self.assertEqual(program.answer(), "went on\n")

    def test_a_process_that_has_become_another_is_left_alone(self):
        program = Running(self, "say_ready(); read(); os.execv(sys.executable, [sys.executable, '-I', '-c', 'import time; time.sleep(3600)'])").await_asleep()
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        wait_for(lambda: "is not on underthread" in ask(program.pid).stderr, "another program")
        self.assertIsNone(program.process.poll())

    def test_a_process_that_cannot_be_asked_is_left_alone(self):
        stock = subprocess.Popen([OURS[0], "-c", "print(1, flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(stock.wait)
        self.addCleanup(stock.kill)
        stock.stdout.readline()
        ended = ask(stock.pid)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn(f"underthread: process {stock.pid} (", ended.stderr)
        self.assertIn(") is not on underthread: start it by `underthread FILE`\n", ended.stderr)
        self.assertIsNone(stock.poll())
        stock.communicate(b"\n")

        off = Running(self, "say_ready(); read()", "--dump-signal", "off").await_ready()
        self.assertIn("is on underthread, and takes no requests", ask(off.pid).stderr)
        self.assertEqual(ask(stock.pid).stderr, f"underthread: there is no process {stock.pid}\n")
        off.answer()

    def test_one_that_does_not_answer_is_told_why(self):
        program = Running(self, "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); say_ready(); read()").await_ready()
        self.assertRegex(ask("--timeout", "0.3", program.pid).stderr, r"process \d+ blocks signal \d+ in all its threads")
        program.answer()
        program = Running(self, "say_ready(); read()").await_ready()
        os.kill(program.pid, signal.SIGSTOP)
        self.assertRegex(ask("--timeout", "0.3", program.pid).stderr, r"process \d+ is stopped ")
        os.kill(program.pid, signal.SIGCONT)
        program.answer()
        program = Running(
            self, "signal.signal(signal.SIGURG, signal.SIG_DFL); say_ready(); read()"
        ).await_ready()
        self.assertRegex(ask(program.pid).stderr, r"process \d+ has reset signal \d+, by which it could be asked")
        program.answer()

    def test_who_asks_and_goes_away_leaves_nothing_behind(self):
        # SIGPIPE has its default action: it would end the program.
        program = Running(
            self,
            """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for i in range(50): begin(lambda: time.sleep(3600), "sleeper %d" % i)
    before = len(os.listdir("/proc/self/fd"))
    say_ready()
    read()
    print(len(os.listdir("/proc/self/fd")) - before)
    """,
        ).await_ready()
        for _ in range(10):
            asking = subprocess.Popen([*OURS, "dump", str(program.pid)], stdout=subprocess.PIPE)
            asking.stdout.read(1)
            asking.kill()
            asking.wait()
            asking.stdout.close()
        ask(program.pid)
        self.assertEqual(program.answer(), "0\n")

    def test_wrong_words_are_an_error(self):
        for words in ((), ("x",), ("-1",), ("1", "2"), ("--timeout", "0", "1"), ("--timeout",), ("--yaml", "1")):
            ended = ask(*words)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""), words)
            self.assertIn("\nusage: underthread dump [--json] [--timeout SECONDS] PID\n", ended.stderr)
        self.assertEqual(ask("--help").returncode, 0)

    def test_a_word_that_is_neither_a_file_nor_a_command_is_told_so(self):
        with Program("print('mine')", name="dump") as program:
            self.assertIn("there is no command 'dmup' either; the commands are: dump\n", program.run(OURS, "dmup").stderr)
            self.assertEqual(program.run(OURS, "./dump").stdout, "mine\n")


class DumpAfter(unittest.TestCase):
    def test_it_is_written_once_if_the_program_still_runs(self):
        program = Running(self, "say_ready(); read(); print('went on')", "--dump-after", "0.1").await_ready()
        program.await_text(" in <module>: ")
        self.assertEqual(program.answer(), "went on\n")
        self.assertEqual(program.stderr.count("underthread: process"), 1)

    def test_it_is_for_the_process_that_was_started_again_with_options_of_python(self):
        program = Running(self, "say_ready(); read()", "--dump-after=0.1", "-X", "dev").await_ready()
        program.await_text(" in <module>: ")
        program.answer()

    def test_a_program_that_ends_before_says_nothing(self):
        ended = subprocess.run([*OURS, "--dump-after", "3600", "-c", "print(1)"], capture_output=True, text=True)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "1\n", ""))

    def test_what_is_no_time_is_an_error(self):
        for text in ("0", "-1", "nan", "inf", "x"):
            ended = subprocess.run([*OURS, "--dump-after", text, "-c", ""], capture_output=True, text=True)
            self.assertEqual(ended.returncode, 2)
            self.assertIn(f"underthread: --dump-after takes seconds, more than 0 and less than a billion, not {text}\n", ended.stderr)


class NothingIsLeft(unittest.TestCase):
    def test_a_dump_leaves_no_thread_descriptor_or_timer(self):
        self.assertEqual(
            run(
                SETUP
                + """
    def inventory():
        with open("/proc/self/timers") as file: timers = file.read()
        return len(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd")), timers, status("SigBlk"), status("SigCgt")
    before = inventory()
    save, (reader, writer) = os.dup(2), os.pipe()
    os.dup2(writer, 2)
    os.kill(os.getpid(), signal.SIGQUIT)
    while b"in <module>" not in os.read(reader, 65536): pass
    os.dup2(save, 2)
    for each in save, reader, writer: os.close(each)
    print(inventory() == before)
    """
            ),
            "True\n",
        )

    def test_the_signals_have_their_actions_again_when_dumps_are_refused_and_at_the_end(self):
        self.assertEqual(
            run(
                SETUP
                + """
    from underthread import _dump
    def taken():
        with open("/proc/self/maps") as file: has_notice = "underthread-dump" in file.read()
        return int(status("SigCgt"), 16) & (1 << signal.SIGQUIT - 1 | 1 << signal.SIGURG - 1), has_notice
    print(taken())
    _dump.refuse()
    print(taken())
    """
            ),
            "(4194308, True)\n(0, False)\n",
        )


if __name__ == "__main__":
    unittest.main()
