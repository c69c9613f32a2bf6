"""interrupt_main ends a main thread's system calls at once, and nothing that the program does with signals breaks."""

import os
import signal
import sys
import textwrap
import unittest

from programs import AWAIT_MAIN, MAY_FORK, OURS, STOCK, Program, run

# System calls, and waits of the interpreter's that are not ours. None of them ends by itself.
WAITS = {
    "time.sleep": "time.sleep(3600)",
    "socket.recv": "left.recv(1)",
    "socket.recv with a limit": "left.settimeout(3600); left.recv(1)",
    "socket.accept": "listening.accept()",
    "select.select": "select.select([read], [], [])",
    "select.poll": "poll.poll()",
    "select.epoll": "epoll.poll()",
    "os.read": "os.read(read, 1)",
    "os.waitpid": "os.waitpid(child.pid, 0)",
    "subprocess.wait": "child.wait()",
    "input": "sys.stdin = open(read, closefd=False); input()",
    "fcntl.flock": "fcntl.flock(again, fcntl.LOCK_EX)",
    "open of a FIFO": "open(fifo)",
    "SimpleQueue.get": "queue.SimpleQueue().get()",
    "multiprocessing.Lock": "process_lock.acquire()",
    "multiprocessing.Event": "multiprocessing.Event().wait()",
    "signal.sigtimedwait": "signal.sigtimedwait([signal.SIGUSR2], 3600)",
}

SETUP = """
    import fcntl, multiprocessing, os, queue, select, signal, socket, subprocess, sys, tempfile
    import threading, time, _thread
    left, right = socket.socketpair()
    listening = socket.create_server(("127.0.0.1", 0))
    read, write = os.pipe()
    poll = select.poll()
    poll.register(read)
    epoll = select.epoll()
    epoll.register(read)
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    file = tempfile.NamedTemporaryFile()
    fcntl.flock(file, fcntl.LOCK_EX)
    again = open(file.name)
    fifo = file.name + ".fifo"
    os.mkfifo(fifo)
    process_lock = multiprocessing.Lock()
    process_lock.acquire()
    """


def caught():
    """A program's text: the signals that have a handler in the process, as a set."""
    return """
    def caught():
        with open("/proc/self/status") as status:
            mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
        # 32 and 33 are the C library's own. The last is noted for, and never sent.
        return {bit + 1 for bit in range(64) if mask >> bit & 1} - {32, 33, 64}
    """


def run_awaiting(text, **options):
    """`run`, where the program knows `await_main`, and its text as AWAIT_MAIN."""
    return run(f"AWAIT_MAIN = {AWAIT_MAIN!r}\n{AWAIT_MAIN}" + textwrap.dedent(text), **options)


class Prompt(unittest.TestCase):
    def test_interrupt_main_ends_a_system_call(self):
        for name, wait in WAITS.items():
            with self.subTest(name):
                out = run(
                    SETUP
                    + f"""
    def interrupt():
        # At any moment: before the call, between the last look and the call, in the call.
        time.sleep(0.002 * turn)
        _thread.interrupt_main()
        ended.release()
    ended = _thread.allocate_lock()
    ended.acquire()
    try:
        for turn in range(8):
            try:
                # Not a Thread, whose start waits by a Condition: that is not safe against an exception.
                _thread.start_new_thread(interrupt, ())
                while True:
                    {wait}
            except KeyboardInterrupt:
                print("interrupted")
            ended.acquire()
    finally:
        os.unlink(fifo)
        child.communicate("")
    """
                )
                self.assertEqual(out, "interrupted\n" * 8)

    def test_interrupt_main_ends_an_asyncio_loop(self):
        out = run(
            """
            import asyncio, threading, _thread
            async def main():
                thread.start()
                await asyncio.sleep(3600)
            for _ in range(8):
                thread = threading.Thread(target=_thread.interrupt_main)
                try: asyncio.run(main())
                except KeyboardInterrupt: print("interrupted")
                thread.join()
            """
        )
        self.assertEqual(out, "interrupted\n" * 8)

    def test_interrupt_main_ends_a_handler_that_waits(self):
        out = run(
            """
            import signal, threading, time, _thread
            lock = threading.Lock()
            lock.acquire()
            def handler(*_):
                thread.start()
                time.sleep(3600)
            signal.signal(signal.SIGUSR1, handler)
            for turn in range(8):
                thread = threading.Thread(target=_thread.interrupt_main)
                # In a wait of ours it is found by other means.
                outer = threading.Thread(target=signal.pthread_kill, args=(threading.main_thread().ident, signal.SIGUSR1))
                try:
                    if turn % 2: signal.raise_signal(signal.SIGUSR1)
                    outer.start()
                    lock.acquire()
                except KeyboardInterrupt: print("interrupted")
                thread.join()
                if not turn % 2: outer.join()
            """
        )
        self.assertEqual(out, "interrupted\n" * 8)

    def test_each_interrupt_runs_the_handler_once(self):
        out = run(
            """
            import random, select, signal, threading, time, _thread
            calls = taken = 0
            class Stop(BaseException): pass
            def handler(*_):
                global calls
                calls += 1
                raise Stop
            signal.signal(signal.SIGINT, handler)
            lock = threading.Lock()
            lock.acquire()
            def wait(kind):
                if kind == 0: time.sleep(3600)
                elif kind == 1: select.select([], [], [], 3600)
                else: lock.acquire(timeout=3600)
            ready = threading.Semaphore(0)
            def interrupt():
                chance = random.Random(1)
                for _ in range(2000):
                    ready.acquire()
                    end = time.perf_counter() + chance.choice((0, 1e-5, 5e-5, 1e-4, 5e-4))
                    while time.perf_counter() < end: pass
                    _thread.interrupt_main()
            thread = threading.Thread(target=interrupt)
            thread.start()
            while taken < 2000:
                try:
                    ready.release()
                    wait(taken % 3)
                except Stop:
                    taken += 1
            thread.join()
            print(taken, calls)
            """
        )
        self.assertEqual(out, "2000 2000\n")

    def test_a_real_signal_ends_a_wait_whichever_thread_takes_it(self):
        out = run(
            """
            import random, signal, threading, _thread
            class Stop(Exception): pass
            def handler(*_):
                raise Stop
            signal.signal(signal.SIGUSR1, handler)
            lock, turn = _thread.allocate_lock(), _thread.allocate_lock()
            lock.acquire(); turn.acquire()
            def interrupt():
                chance = random.Random(1)
                for number in range(1000):
                    turn.acquire()
                    # At any moment: just before the main thread falls asleep too.
                    for _ in range(chance.randrange(3000)): pass
                    if number % 2: signal.raise_signal(signal.SIGUSR1)
                    else: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            _thread.start_new_thread(interrupt, ())
            taken = 0
            while taken < 1000:
                try:
                    turn.release()
                    lock.acquire()
                except Stop:
                    taken += 1
            print(taken)
            """
        )
        self.assertEqual(out, "1000\n")

    def test_a_signal_of_a_handler_that_was_set_before_a_thread_started_ends_a_system_call(self):
        out = run_awaiting(
            """
            import signal, threading, time, _thread
            class Stop(Exception): pass
            def handler(*_): raise Stop
            threading.Thread(target=int).start()
            for number in signal.SIGUSR1, signal.SIGUSR2:
                signal.signal(number, handler)
                def work(number=number):
                    await_main()
                    signal.raise_signal(number)
                threading.Thread(target=work).start()
                try: time.sleep(3600)
                except Stop: print("stopped")
            """
        )
        self.assertEqual(out, "stopped\n" * 2)

    def test_a_subinterpreter_interrupts_the_main_thread_and_it_is_nudged_no_longer_than_that(self):
        out = run_awaiting(
            """
            import threading, time, _thread
            try: import _interpreters as interpreters
            except ImportError: import _xxsubinterpreters as interpreters
            def make():
                try: return interpreters.create("legacy")
                except TypeError: return interpreters.create(isolated=False)
            text = "\\n".join([
                "import underthread",
                "underthread.install()",
                "import _thread",
                "def interrupt():",
                "    await_main()",
                "    _thread.interrupt_main()",
                "_thread.start_new_thread(interrupt, ())",
            ])
            def sleeps():
                with open("/proc/self/status") as status:
                    return next(int(line.split()[1]) for line in status if line.startswith("voluntary"))
            threading.Thread(target=int).start()
            other = make()
            for _ in range(3):
                try:
                    interpreters.run_string(other, AWAIT_MAIN + text)
                    time.sleep(3600)
                except KeyboardInterrupt: print("interrupted")
            before = sleeps()
            time.sleep(1)
            # One is this sleep; if it were still nudged it would be ten.
            print(sleeps() - before < 5)
            interpreters.destroy(other)
            """
        )
        self.assertEqual(out, "interrupted\n" * 3 + "True\n")

    def test_python_cpython_80719(self):
        # "interrupt_main() no longer interrupts Lock.wait"
        out = run_awaiting(
            """
            import threading, _thread
            condition = threading.Condition()
            lock = _thread.allocate_lock()
            lock.acquire()
            def interrupt():
                await_main()
                _thread.interrupt_main()
            for wait in condition.wait, threading.Event().wait, lock.acquire:
                try:
                    threading.Thread(target=interrupt).start()
                    with condition: wait()
                except KeyboardInterrupt: print("interrupted")
            """
        )
        self.assertEqual(out, "interrupted\n" * 3)

    def test_python_cpython_74112(self):
        # IDLE: a thread hears from the window that Ctrl-C was pressed, and the shell sleeps.
        out = run_awaiting(
            """
            import os, socket, sys, threading, time, _thread
            window, shell = socket.socketpair()
            def listen():
                while shell.recv(1): _thread.interrupt_main()
            listener = threading.Thread(target=listen)
            listener.start()
            read, write = os.pipe()
            sys.stdin = open(read)
            def press():
                await_main()
                window.send(b"!")
            for wait in (lambda: time.sleep(3600)), input, (lambda: os.read(read, 1)):
                try:
                    threading.Thread(target=press).start()
                    wait()
                except KeyboardInterrupt: print("interrupted")
            window.close()
            listener.join()
            """
        )
        self.assertEqual(out, "interrupted\n" * 3)

    def test_c_code_that_takes_an_interrupt_for_a_failure_returns_early_as_with_ctrl_c(self):
        out = run_awaiting(
            """
            import ctypes, threading, time, _thread
            def interrupt():
                await_main()
                _thread.interrupt_main()
            before = time.monotonic()
            try:
                threading.Thread(target=interrupt).start()
                ctypes.CDLL(None).sleep(60)
                time.sleep(60)
            except KeyboardInterrupt: print("interrupted", time.monotonic() - before < 30)
            """
        )
        self.assertEqual(out, "interrupted True\n")

    def test_it_works_before_threading_is_imported_and_while_the_interpreter_ends(self):
        out = run_awaiting(
            """
            import underthread
            underthread.install()
            import _thread, atexit, sys, time
            def wait():
                def interrupt():
                    await_main()
                    _thread.interrupt_main()
                try:
                    _thread.start_new_thread(interrupt, ())
                    time.sleep(3600)
                except KeyboardInterrupt: print("interrupted", "threading" in sys.modules)
            wait()
            import threading
            threading.Thread(target=int).start()
            if sys.version_info < (3, 12): atexit.register(wait)
            """,
            on=STOCK,
            flags=["-S"],  # what is installed may import threading
        )
        self.assertEqual(
            out,
            "interrupted False\n" + "interrupted True\n" * (sys.version_info < (3, 12)),
        )

    def test_a_handler_that_returns_leaves_the_call_its_time(self):
        out = run_awaiting(
            """
            import signal, threading, time, _thread
            calls = []
            signal.signal(signal.SIGINT, lambda *_: calls.append(time.monotonic()))
            begin = time.monotonic()
            def interrupt():
                await_main()
                _thread.interrupt_main()
            thread = threading.Thread(target=interrupt)
            thread.start()
            time.sleep(0.5)
            end = time.monotonic()
            thread.join()
            print(calls[0] < end, end - begin >= 0.5)
            """
        )
        self.assertEqual(out, "True True\n")

    def test_a_default_or_ignored_handler_is_not_even_a_nudge(self):
        out = run(
            caught()
            + """
    import signal, threading, time, _thread
    for action in (signal.SIG_DFL, signal.SIG_IGN):
        signal.signal(signal.SIGINT, action)
        before = caught()
        thread = threading.Thread(target=_thread.interrupt_main)
        thread.start()
        thread.join()
        print(caught() - before)
    """
        )
        self.assertEqual(out, "set()\nset()\n")

    def test_a_signal_that_the_program_handles_is_left_alone(self):
        for when in ("before", "after"):
            with self.subTest(when):
                out = run(
                    f"""
                    import signal, threading, time, _thread
                    calls = []
                    def interrupted():
                        thread = threading.Thread(target=_thread.interrupt_main)
                        try:
                            thread.start()
                            while True: time.sleep(3600)
                        except KeyboardInterrupt: print("interrupted")
                        thread.join()
                    if {when == "after"}: interrupted()
                    signal.signal(signal.SIGURG, lambda *_: calls.append(1))
                    interrupted()
                    interrupted()
                    print(calls)
                    signal.raise_signal(signal.SIGURG)
                    print(calls)
                    """
                )
                self.assertEqual(out, "interrupted\n" * (3 if when == "after" else 2) + "[]\n[1]\n")

    def nudges(self, **environment):
        """(the signals that have a handler after a nudge and had none before, stderr)"""
        text = (
            caught()
            + """
    import threading, time, _thread
    before = caught()
    sleeps = False
    def interrupt():
        # In a wait of ours it would be woken without a signal.
        while not sleeps: pass
        _thread.interrupt_main()
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        sleeps = True
        while True: time.sleep(0.01)  # it comes at the end of one at the latest
    except KeyboardInterrupt: pass
    thread.join()
    print(*caught() - before)
    """
        )
        with Program(text) as program:
            ended = program.run(OURS, env=dict(os.environ, **environment))
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return [int(number) for number in ended.stdout.split()], ended.stderr

    def test_a_number_of_our_own_is_one_that_nobody_handles(self):
        out = run(
            """
            import signal, threading
            def handler(*_): pass
            last = signal.SIGRTMAX
            signal.signal(last, handler)
            before = [signal.getsignal(number) for number in range(1, last + 1)]
            threading.Thread(target=int).start()
            after = [signal.getsignal(number) for number in range(1, last + 1)]
            print([number + 1 for number in range(last) if before[number] != after[number]] == [last - 1])
            """
        )
        self.assertEqual(out, "True\n")

    def test_the_number_of_our_own_does_what_it_does_on_stock(self):
        # Only Python's own table has a handler for it: sent, it ends the process.
        with Program(
            """
            import os, signal, threading
            threading.Thread(target=int).start()
            print(callable(signal.getsignal(signal.SIGRTMAX)), flush=True)
            os.kill(os.getpid(), signal.SIGRTMAX)
            """
        ) as program:
            ended = program.run(OURS)
        self.assertEqual((ended.returncode, ended.stdout), (-signal.SIGRTMAX, "True\n"))

    def test_the_number_can_be_set(self):
        # SIGURG, whose action is the default one again; a real-time signal would end the process.
        self.assertEqual(self.nudges(), ([], ""))
        self.assertEqual(self.nudges(UNDERTHREAD_NUDGE="50"), ([50], ""))
        for wrong in ("0", "-1", "66", "1x", "URG", "9", "11", "19", "32"):
            with self.subTest(wrong):
                numbers, err = self.nudges(UNDERTHREAD_NUDGE=wrong)
                self.assertEqual(numbers, [])
                self.assertRegex(err, "UNDERTHREAD_NUDGE is no signal's number")

    def test_it_can_be_switched_off(self):
        self.assertEqual(self.nudges(UNDERTHREAD_PROMPT="0"), ([], ""))
        out = run(
            """
            import underthread
            print(underthread.prompt_interrupts(), underthread.prompt_interrupts(False))
            print(underthread.prompt_interrupts(), underthread.prompt_interrupts(True), underthread.prompt_interrupts())
            """
        )
        self.assertEqual(out, "True True\nFalse False True\n")

    def test_a_fork_child_can_be_interrupted(self):
        for forker in ("main()", "threading.Thread(target=main).start()"):
            with self.subTest(forker):
                out = run(
                    f"""
                    import os, threading, time, _thread
                    def interrupted():
                        try:
                            threading.Thread(target=_thread.interrupt_main).start()
                            while True: time.sleep(3600)
                        except KeyboardInterrupt: return True
                    if not interrupted(): print("parent")
                    def main():
                        child = os.fork()
                        if child == 0: os._exit(0 if interrupted() else 1)
                        print(os.waitpid(child, 0)[1])
                    {forker}
                    """,
                    flags=MAY_FORK,
                )
                self.assertEqual(out, "0\n")

    def test_a_blocked_nudge_is_no_harm(self):
        out = run(
            """
            import signal, threading, time, _thread
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            thread = threading.Thread(target=_thread.interrupt_main)
            try:
                thread.start()
                while True: time.sleep(0.01)
            except KeyboardInterrupt: print("interrupted when the call ended")
            thread.join()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
            """
        )
        self.assertEqual(out, "interrupted when the call ended\n")


if __name__ == "__main__":
    unittest.main()
