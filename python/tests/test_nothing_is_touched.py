"""What is the program's stays the program's: an inventory around each function of the API, around install and
uninstall, a fork, and the start of threads. What docs/interrupts.md names is left out."""

import signal
import sys
import unittest

from programs import MAY_FORK, OURS, STOCK, run

# The whole of what a process has that is not memory. The reserved signal is the last real-time one; its entry in
# Python's table is ours.
INVENTORY = """
    import ctypes, os, signal, sys, threading, time, _thread
    import underthread
    libc = ctypes.CDLL(None, use_errno=True)
    class Action(ctypes.Structure):
        _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16), ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p)]
    def flags(number):
        action = Action()
        libc.sigaction(number, None, ctypes.byref(action))
        # Not SA_SIGINFO: a front wants to be told more. Nor SA_RESTORER, which is the C library's.
        return action.flags & ~0x4000004, action.mask[0]
    def read(name):
        with open("/proc/self/" + name) as file: return file.read()
    def inventory():
        # Up to 3.12 a thread is joined a moment before it has left the system.
        while len(os.listdir("/proc/self/task")) != threading.active_count(): time.sleep(0.001)
        lines = [line.split() for line in read("status").splitlines()]
        status = {line[0]: line[1] for line in lines if line[0] in ("SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "Threads:")}
        # 32 and 33 are the C library's, from the first thread on.
        status["SigCgt:"] = int(status["SigCgt:"], 16) & ~(3 << 31)
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        return {
            "status": status,
            "timers": read("timers"),
            "fds": sorted(os.listdir("/proc/self/fd")),
            "handlers": [signal.getsignal(number) for number in range(1, signal.SIGRTMAX)],
            "flags": [flags(number) for number in range(1, signal.SIGRTMAX + 1)],
            "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
            "wakeup": fd,
            "threads": threading.enumerate(),
            "itimer": signal.getitimer(signal.ITIMER_REAL),
            "environment": dict(os.environ),
        }
    def handler(*_): pass
    signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGTERM, handler)
    signal.siginterrupt(signal.SIGTERM, False)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    held = threading.Lock()
    held.acquire()
    def in_thread(function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        thread.start()
        thread.join()
    def interrupted(send, wait):
        sleeps = []
        def work():
            while not sleeps: pass
            send()
        thread = threading.Thread(target=work)
        thread.start()
        try:
            sleeps.append(1)
            while True: wait()
        except KeyboardInterrupt: pass
        thread.join()
    main = threading.main_thread()
    def limited(wait):
        try:
            with underthread.time_limit(0.01): wait()
        except TimeoutError: pass
    def sleep(): time.sleep(3600)
    def spin():
        while True: len("")
    def differs(before, after):
        return {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    """

CALLS = {
    "a start": "in_thread(int)",
    "interrupt_main": "interrupted(_thread.interrupt_main, sleep)",
    "interrupt_main in code": "interrupted(_thread.interrupt_main, lambda: len(''))",
    "interrupt_main in a wait of ours": "interrupted(_thread.interrupt_main, held.acquire)",
    "interrupt of main": "interrupted(lambda: underthread.interrupt(main), sleep)",
    "interrupt of main in a wait of ours": "interrupted(lambda: underthread.interrupt(main), held.acquire)",
    "interrupt of a thread": "in_thread(lambda: underthread.interrupt(_thread.get_ident(), SystemExit))",
    "a limit that is over in a call": "limited(sleep)",
    "a limit that is over in code": "limited(spin)",
    "a limit that is over in a wait of ours": "limited(held.acquire)",
    "a limit that is left": "limited(int)",
    "a hold": "underthread.hold_interrupts().__enter__().__exit__(None, None, None)",
    "prompt_interrupts": "underthread.prompt_interrupts(underthread.prompt_interrupts())",
    "a wait of ours": "held.acquire(timeout=0.05)",
    "install": "underthread.install()",
    "uninstall": "underthread.uninstall()",
}


class NothingIsTouched(unittest.TestCase):
    def test_by_any_call(self):
        for name, call in CALLS.items():
            with self.subTest(name):
                # What is reserved, and what modules are loaded, is before the first inventory.
                out = run(
                    INVENTORY
                    + f"""
    in_thread(int)
    for _ in range(2):
        before = inventory()
        {call}
        print(differs(before, inventory()))
    """
                )
                self.assertEqual(out, "{}\n{}\n")

    def test_by_the_first_call_of_a_process(self):
        # The entry of the reserved signal in Python's table, and nothing else.
        for name, call in CALLS.items():
            with self.subTest(name):
                out = run(INVENTORY + f"\n    before = inventory()\n    {call}\n    print(differs(before, inventory()))\n")
                self.assertEqual(out, "{}\n")

    def test_by_a_fork(self):
        out = run(
            INVENTORY
            + """
    in_thread(limited, held.acquire)
    before = inventory()
    with underthread.time_limit(3600), underthread.hold_interrupts():
        child = os.fork()
    after = inventory()
    differences = differs(before, after)
    os.write(1, f"{'child' if child == 0 else 'parent'} {differences}\\n".encode())
    if child == 0: os._exit(0)
    os.waitpid(child, 0)
    """,
            flags=MAY_FORK,
        )
        self.assertEqual(sorted(out.splitlines()), ["child {}", "parent {}"])

    def test_in_a_program_that_uses_none_of_it(self):
        text = INVENTORY.replace("import underthread\n", "\n") + "    print({**inventory(), 'environment': 0, 'handlers': 0})\n"
        theirs, ours = run(text, on=STOCK), run(text, on=OURS)
        # Ours was started by another module, and what that has read is closed.
        self.assertEqual(theirs, ours)

    def test_errno_is_kept(self):
        out = run(
            INVENTORY
            + """
    ctypes.set_errno(7)
    lock = threading.Lock()
    with lock: pass
    limited(held.acquire)
    with underthread.hold_interrupts(): signal.raise_signal(signal.SIGUSR1)
    print(ctypes.get_errno())
    """
        )
        self.assertEqual(out, "7\n")

    def test_a_program_that_handles_every_signal_waits_as_on_stock(self):
        for what in "lambda s, f: seen.append(s)", "signal.SIG_IGN":
            for first in 1, signal.SIGRTMIN:
                with self.subTest(what, first=first):
                    out = run(
                        f"""
                        import queue, signal, threading, underthread
                        seen = []
                        for number in range({int(first)}, signal.NSIG):
                            try: signal.signal(number, {what})
                            except (OSError, ValueError): pass
                        threading.Thread(target=int).start()
                        threading.Event().wait(0.05)
                        try: queue.Queue().get(timeout=0.05)
                        except queue.Empty: pass
                        with underthread.hold_interrupts(): pass
                        try:
                            with underthread.time_limit(0.05): threading.Event().wait()
                        except TimeoutError: print(seen)
                        """
                    )
                    self.assertEqual(out, "[]\n")

    def test_signals_that_are_reset_or_handled_later_cost_no_limit(self):
        for change in "signal.SIG_DFL", "lambda s, f: calls.append(s)":
            for where in "held.acquire()", "time.sleep(3600)":
                for when in "before", "within":
                    with self.subTest(change, where=where, when=when):
                        # Left out, as docs/interrupts.md says: a program of one thread whose handlers change within
                        # the block, and one that has a handler for every signal, are not interrupted in a call.
                        if where != "held.acquire()" and (when == "within" or "calls" in change):
                            continue
                        out = run(
                            f"""
                            import signal, threading, time, underthread
                            calls = []
                            def change():
                                for number in range(1, signal.NSIG):
                                    try: signal.signal(number, {change})
                                    except (OSError, ValueError): pass
                                signal.signal(signal.SIGINT, signal.default_int_handler)
                            threading.Thread(target=int).start()
                            held = threading.Lock()
                            held.acquire()
                            if "{when}" == "before": change()
                            try:
                                with underthread.time_limit(0.05):
                                    if "{when}" == "within": change()
                                    {where}
                            except TimeoutError: print({'calls' if when == 'before' else '[]'})
                            """
                        )
                        self.assertEqual(out, "[]\n")

    def test_the_reserved_number_keeps_its_action_where_all_handlers_are_saved_and_set_again(self):
        out = run(
            """
            import signal, threading, underthread
            def actions():
                with open("/proc/self/status") as status:
                    return next(line for line in status if line.startswith("SigCgt"))
            held = threading.Lock()
            held.acquire()
            with underthread.time_limit(3600): pass
            before = actions()
            saved = {number: signal.getsignal(number) for number in range(1, signal.NSIG)}
            for number, handler in saved.items():
                try: signal.signal(number, handler)
                except (OSError, ValueError, TypeError): pass
            held.acquire(timeout=0.05)
            print(actions() == before)
            try:
                with underthread.time_limit(0.05): held.acquire()
            except TimeoutError: print("limited")
            """,
            # The signals that dumps are asked for by are the program's to reset: test_dump.
            [*OURS, "--dump-signal", "off"],
        )
        self.assertEqual(out, "True\nlimited\n")

    def test_a_signal_that_another_thread_takes_leaves_no_action_behind_the_next_wait(self):
        out = run(
            """
            import signal, threading
            signal.signal(signal.SIGUSR1, lambda *_: None)
            def is_caught():
                with open("/proc/self/status") as status:
                    mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
                return bool(mask >> (signal.SIGURG - 1) & 1)
            thread = threading.Thread(target=signal.raise_signal, args=[signal.SIGUSR1])
            thread.start()
            # Not by a wait of ours.
            while thread.is_alive(): pass
            held = threading.Lock()
            held.acquire()
            held.acquire(timeout=0.02)
            print(is_caught())
            """,
            # It is a signal of requests for dumps too: test_dump.
            [*OURS, "--dump-signal", "off"],
        )
        self.assertEqual(out, "False\n")

    @unittest.skipIf(sys.version_info < (3, 10), "interrupt_main takes no number there")
    def test_a_nudge_is_not_taken_by_a_sigwait(self):
        out = run(
            """
            import os, signal, threading, _thread
            signal.signal(signal.SIGTERM, lambda s, f: print("handled"))
            # Both orders: who is blocked when a thread starts, and who is not.
            for wanted in {signal.SIGURG, signal.SIGUSR1}, signal.valid_signals():
                waits = threading.Event()
                def work():
                    waits.wait()
                    while "sigtimedwait" not in open(f"/proc/self/task/{os.getpid()}/wchan").read(): pass
                    _thread.interrupt_main(signal.SIGTERM)
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
                threading.Thread(target=work).start()
                signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
                waits.set()
                print(signal.Signals(signal.sigwait(wanted)).name)
            """
        )
        self.assertEqual(sorted(out.split()), ["SIGUSR1", "SIGUSR1", "handled", "handled"])

    @unittest.skipIf(sys.version_info < (3, 10), "interrupt_main takes no number there")
    def test_a_nudge_is_not_taken_by_one_of_many_sigwaits_at_one_place(self):
        # Where a thread was seen in another call it is not looked at again.
        out = run(
            """
            import os, signal, threading, time, _thread
            signal.signal(signal.SIGTERM, lambda s, f: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})
            done, taken = threading.Event(), set()
            def work():
                while not done.is_set():
                    _thread.interrupt_main(signal.SIGTERM)
                    time.sleep(0.0002)
            thread = threading.Thread(target=work)
            thread.start()
            end = time.monotonic() + 1
            while time.monotonic() < end:
                taken.add(signal.sigtimedwait({signal.SIGURG}, 0.0005))
                time.sleep(0.0005)
            done.set()
            thread.join()
            print(taken)
            """
        )
        self.assertEqual(out, "{None}\n")


if __name__ == "__main__":
    unittest.main()
