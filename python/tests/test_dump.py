"""Dumps that a person or a timer asks for: kill -QUIT, --dump-after; and what they leave behind: nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest

from dumped import SETUP, Running, ask
from programs import OURS, PATIENCE, Program, is_asleep, run, wait_for

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


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
            time.sleep(0.0005)  # paced
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
    # While one is under way it has a timer.
    while open("/proc/self/timers").read(): pass
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
        for name, why in (("KILL", "KILL cannot be used for dumps"), ("URG", "URG cannot be used for dumps"), ("HUPP", "'HUPP' is no signal"), ("99", "'99' is no signal")):
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
