"""underthread.interrupt raises an exception in any thread, at once, once, and nothing is lost by it."""

import sys
import unittest

from programs import run

SETUP = """
    import gc, os, queue, select, signal, sys, threading, time, _thread, underthread
    # What is raised in a destructor or a weak reference's callback stays there, as with Ctrl-C.
    gc.disable()
    from underthread import interrupt
    main = threading.main_thread()
    held = threading.Lock()
    held.acquire()
    endless = threading.Thread(target=held.acquire, daemon=True)
    endless.start()
    def wait_for_notice():
        condition = threading.Condition()
        with condition: condition.wait()
    def spin():
        while True: len("")
    class Stop(BaseException): pass
    def stop_of(error):
        # Condition.wait of threading: it has let go of its lock and does not wait yet, and its `with` says so.
        if isinstance(error, RuntimeError) and str(error) in ("cannot release un-acquired lock", "release unlocked lock"):
            error = error.__context__
        if not isinstance(error, Stop): raise error
        return error
    read, write = os.pipe()
    def in_thread(function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        thread.start()
        return thread
    """

# What a thread can be busy with: waits of ours, and Python code.
BUSY = [
    "held.acquire()",
    "held.acquire(timeout=3600)",
    "held.__enter__()",
    "threading.Event().wait()",
    "threading.Event().wait(3600)",
    "wait_for_notice()",
    "queue.Queue().get()",
    "threading.Semaphore(0).acquire()",
    "threading.Barrier(2).wait()",
    "endless.join()",
    "endless.join(3600)",
    "spin()",
]


# In the main thread on every version; in others the interpreter looks around in them only since 3.15.
SYSTEM_CALLS = ["time.sleep(3600)", "select.select([read], [], [])", "os.read(read, 1)"]
SINCE_3_15 = sys.version_info >= (3, 15)


class InterruptThread(unittest.TestCase):
    def test_it_ends_whatever_a_thread_waits_for(self):
        for busy in BUSY + (SYSTEM_CALLS if SINCE_3_15 else []):
            with self.subTest(busy):
                out = run(
                    SETUP
                    + f"""
    def work():
        try:
            turn.release()
            {busy}
        except (Stop, RuntimeError) as error:
            print(stop_of(error).args[0])
    for number in range(20):
        turn = threading.Semaphore(0)
        thread = in_thread(work)
        turn.acquire()
        # At any moment: before the wait, at its beginning, in it.
        for _ in range(number * 300): pass
        assert interrupt(thread, Stop(number))
        thread.join()
    """
                )
                self.assertEqual(out.split(), [str(number) for number in range(20)])

    def test_it_ends_whatever_the_main_thread_waits_for(self):
        for busy in BUSY + SYSTEM_CALLS + ["queue.SimpleQueue().get()"]:
            with self.subTest(busy):
                out = run(
                    SETUP
                    + f"""
    def work(number):
        for _ in range(number * 300): pass
        interrupt(main, Stop(number))
    for number in range(20):
        thread = threading.Thread(target=work, args=(number,))
        try:
            thread.start()
            {busy}
        except (Stop, RuntimeError) as error:
            print(stop_of(error).args[0])
        thread.join()
    """
                )
                self.assertEqual(out.split(), [str(number) for number in range(20)])

    @unittest.skipUnless(SINCE_3_15, "before 3.15 only the main thread looks around in a system call")
    def test_each_of_many_ends_a_system_call_of_a_thread_once(self):
        out = run(
            SETUP
            + """
    taken = []
    def work():
        while len(taken) < 100:
            try:
                turn.release()
                os.read(read, 1)
            except Stop as stop: taken.append(stop.args[0])
        try: print(os.read(read, 1))
        except Stop: print("once more")
    turn = threading.Semaphore(0)
    thread = in_thread(work)
    for number in range(100):
        turn.acquire()
        assert interrupt(thread, Stop(number))
    while len(taken) < 100: time.sleep(0.001)
    os.write(write, b"x")
    thread.join()
    print(taken == list(range(100)))
    """
        )
        self.assertRegex(out, "^b'x'\nTrue\n$")

    def test_a_class_is_made_an_instance_and_an_instance_is_raised_itself(self):
        out = run(
            SETUP
            + """
    sent = Stop("this one")
    def work(kind):
        try:
            turn.release()
            held.acquire()
        except Stop as stop:
            print(stop is sent, type(stop) is Stop, stop.args)
    for what in sent, Stop:
        turn = threading.Semaphore(0)
        thread = in_thread(work, what)
        turn.acquire()
        interrupt(thread.ident, what)
        thread.join()
    for what in sent, Stop:
        try:
            interrupt(main, what)
            held.acquire()
        except Stop as stop:
            print(stop is sent, type(stop) is Stop, stop.args)
    """
        )
        self.assertEqual(out.splitlines(), ["True True ('this one',)", "False True ()"] * 2)

    def test_what_it_is_given_is_checked(self):
        out = run(
            SETUP
            + """
    for arguments in (main, 3), (main, "Stop"), (main, None), (main, object), ("main",), (3.0, Stop), (None,), (True,):
        try: interrupt(*arguments)
        except TypeError as error: print(error)
    """
        )
        self.assertEqual(
            out.splitlines(),
            [
                *[
                    "interrupt() raises exceptions, classes or instances derived from BaseException, "
                    f"not {what}"
                    for what in ("3", "'Stop'", "None", "<class 'object'>")
                ],
                *[
                    f"interrupt() takes a Thread or its ident (an int), not {what}"
                    for what in ("'main'", "3.0", "None", "True")
                ],
            ],
        )

    def test_it_says_whether_the_thread_was_there(self):
        out = run(
            SETUP
            + """
    ended = in_thread(int)
    ended.join()
    print(interrupt(ended), interrupt(threading.Thread()), interrupt(1), interrupt(0), interrupt(-1), interrupt(2**70))
    print(interrupt(endless, SystemExit), interrupt(endless.ident, SystemExit))
    endless.join()
    print(interrupt(endless))
    """
        )
        self.assertEqual(
            out.splitlines(), ["False False False False False False", "True True", "False"]
        )

    def test_one_that_is_not_among_those_that_run_yet_is_not_waited_for_where_it_cannot_come(self):
        # In the thread itself, in code that runs amid its start; and in one that holds what it needs for that.
        out = run(
            """
    import gc, threading, underthread
    thread = threading.Thread(target=int)
    def amid(phase, _):
        if threading.get_ident() == thread.ident and phase == "start" and amid in gc.callbacks:
            gc.callbacks.remove(amid)
            print(thread in threading._limbo, underthread.interrupt(thread, SystemExit))
    thresholds = gc.get_threshold()
    gc.callbacks.append(amid)
    gc.set_threshold(1)
    thread.start()
    gc.set_threshold(*thresholds)
    thread.join()
    class Event(threading.Event):
        def wait(self, timeout=None):
            while not thread.ident: pass
            with threading._active_limbo_lock:
                if thread in threading._limbo: print(underthread.interrupt(thread, SystemExit))
                else: print(False)
            return super().wait(timeout)
    thread = threading.Thread(target=int)
    thread._started = Event()
    with threading._active_limbo_lock: pass
    thread.start()
    thread.join()
    """
        )
        self.assertEqual(out.splitlines(), ["True False", "False"])

    def test_a_thread_that_has_ended_is_not_its_successor(self):
        # The C library gives a new thread the ident of one that has ended.
        out = run(
            SETUP
            + """
    def work():
        turn.release()
        held.acquire(timeout=0.2)
        print("not interrupted")
    for _ in range(100):
        ended = in_thread(int)
        ended.join()
        turn = threading.Semaphore(0)
        successor = in_thread(work)
        turn.acquire()
        if successor.ident == ended.ident: break
        interrupt(successor, SystemExit)
        successor.join()
    print(interrupt(ended))
    successor.join()
    """
        )
        self.assertEqual(out.splitlines(), ["False", "not interrupted"])

    def test_several_are_raised_in_the_order_in_which_they_were_sent(self):
        out = run(
            SETUP
            + """
    def work():
        try:
            try:
                with underthread.hold_interrupts():
                    ready.release()
                    go.acquire()
            finally: held.acquire()
        except Stop as second:
            results.append([second.__context__.args[0], second.args[0]])
    ready, go = threading.Semaphore(0), threading.Semaphore(0)
    results = []
    for target in [lambda: thread, lambda: thread.ident] * 100:
        thread = in_thread(work)
        ready.acquire()
        interrupt(target(), Stop(1))
        interrupt(target(), Stop(2))
        go.release()
        thread.join()
    print(results == [[1, 2]] * 200)
    """
        )
        self.assertEqual(out, "True\n")

    def test_each_is_raised_once_wherever_it_comes(self):
        # In a wait, at its beginning, at its end, in code between, in code that is about to catch one.
        for target in "thread", "main":
            out = run(
                SETUP
                + f"""
    import random
    count = 2000
    taken = []
    chance = random.Random(1)
    turn = threading.Semaphore(0)
    lock = threading.Lock()
    def work():
        for number in range(count):
            try:
                turn.release()
                while True:
                    kind = chance.randrange(3)
                    if kind == 0: held.acquire(timeout=chance.random() * 1e-4)
                    elif kind == 1:
                        with lock: pass
                    else: held.acquire()
            except Stop as stop:
                taken.append(stop.args[0])
    def interrupt_all(target):
        for number in range(count):
            turn.acquire()
            for _ in range(random.randrange(2000)): pass
            interrupt(target, Stop(number))
    if "{target}" == "main":
        sender = in_thread(interrupt_all, main)
        work()
        sender.join()
    else:
        thread = in_thread(work)
        interrupt_all(thread)
        thread.join()
    print(taken == list(range(count)), lock.acquire(False))
    """
            )
            self.assertEqual(out, "True True\n")

    def test_many_of_a_class_leave_nothing_behind(self):
        out = run(
            SETUP
            + """
    class Other(BaseException): pass
    taken = 0
    def work():
        global taken
        while taken < 200:
            try:
                turn.release()
                held.acquire()
            except (Stop, Other): taken += 1
    turn = threading.Semaphore(0)
    thread = in_thread(work)
    gc.collect()
    for number in range(200):
        turn.acquire()
        interrupt(thread, Other if number % 2 else Stop())
    thread.join()
    # The interpreter is told of classes of ours, which are kept, and which nobody sees.
    print(gc.collect(), len(Stop.__subclasses__()), len(Other.__subclasses__()))
    """
        )
        self.assertEqual(out, "0 0 0\n")

    def test_exceptions_that_look_after_their_subclasses_see_none(self):
        out = run(
            SETUP
            + """
    seen = []
    class Meta(type):
        def __init__(cls, *_): seen.append(cls.__name__)
        def __call__(cls, *arguments):
            if cls.__name__ not in ("A", "B", "C"): seen.append("called")
            return super().__call__(*arguments)
    class A(BaseException, metaclass=Meta): pass
    class B(BaseException):
        def __init_subclass__(cls, *, code): seen.append(code)
    class C(B, code=5): pass
    class Slots(BaseException): __slots__ = "one", "two"
    def work():
        try:
            turn.release()
            held.acquire()
        except BaseException as error: print(type(error).__name__, type(error).__subclasses__())
    for kind in A, C, Slots, OSError, UnicodeDecodeError("ascii", b"", 0, 1, "why"):
        turn = threading.Semaphore(0)
        thread = in_thread(work)
        turn.acquire()
        before = seen[:]
        assert interrupt(thread, kind)
        thread.join()
        assert seen == before, seen
        if kind is Slots: break
    print(seen)
    """
        )
        self.assertEqual(out.splitlines(), ["A []", "C []", "Slots []", "['A', 5]"])

    def test_what_a_class_says_of_being_made_its_caller_hears(self):
        out = run(
            SETUP
            + """
    class Other(BaseException):
        def __new__(cls): return 5
    for kind in UnicodeDecodeError, Other:
        try: interrupt(endless, kind)
        except TypeError as error: print(error)
    print(endless.is_alive())
    interrupt(endless, SystemExit)
    """
        )
        first, second, alive = out.splitlines()
        self.assertRegex(first, "5 arguments|required|argument")
        self.assertRegex(second, "should have returned an instance of BaseException, not 5$")
        self.assertEqual(alive, "True")

    # Without one the second comes as soon as the first is caught, before that can be counted.
    @unittest.skipUnless(getattr(sys, "_is_gil_enabled", lambda: True)(), "needs a GIL")
    def test_somebody_elses_exceptions_leave_ours_their_way(self):
        # One that is overwritten is dropped, as on stock; those after it come.
        out = run(
            SETUP
            + """
    import ctypes
    tell = ctypes.pythonapi.PyThreadState_SetAsyncExc
    class Theirs(BaseException): pass
    got = []
    def work():
        while len(got) < 3:
            try:
                turn.release()
                while True: len("")
            except (Stop, Theirs) as error: got.append(type(error).__name__)
    turn = threading.Semaphore(0)
    thread = in_thread(work)
    turn.acquire()
    tell(ctypes.c_ulong(thread.ident), ctypes.py_object(Theirs))
    turn.acquire()
    interrupt(thread, Stop)
    tell(ctypes.c_ulong(thread.ident), None)
    interrupt(thread, Stop)
    while len(got) < 2: pass
    turn.acquire()
    interrupt(thread, Stop)
    if len(got) < 3: thread.join(60)
    if thread.is_alive(): interrupt(thread, Stop)
    thread.join()
    print(got[0], set(got[1:]))
    """
        )
        self.assertEqual(out, "Theirs {'Stop'}\n")

    def test_once_it_is_raised_in_a_wait_traced_code_runs_on(self):
        # Up to 3.12 what is withdrawn from the interpreter leaves a flag set; on 3.11 traced code then hung.
        out = run(
            SETUP
            + """
    import cProfile
    def work():
        try:
            turn.release()
            held.acquire()
        except Stop: print("stopped")
    def limited():
        try:
            with underthread.time_limit(0.01): held.acquire()
        except TimeoutError: print("limited")
    def traced(): return sum(range(3))
    turn = threading.Semaphore(0)
    for ended in work, limited:
        thread = in_thread(ended)
        if ended is work:
            turn.acquire()
            interrupt(thread, Stop)
        thread.join()
        sys.settrace(lambda *event: None)
        traced()
        sys.settrace(None)
        cProfile.Profile().runcall(traced)
        print("traced")
    """
        )
        self.assertEqual(out.split(), ["stopped", "traced", "limited", "traced"])

    @unittest.skipUnless(getattr(sys, "_is_gil_enabled", lambda: True)(), "the interpreter has no GIL to keep")
    def test_what_is_behind_one_that_somebody_overwrites_comes_without_another_look(self):
        out = run(
            SETUP
            + """
    import ctypes
    tell = ctypes.pythonapi.PyThreadState_SetAsyncExc
    none = None
    class First(BaseException): pass
    # All that this thread does in a row, it does before the other runs; and that one makes no call of ours.
    sys.setswitchinterval(3600)
    def work():
        while "Stop" not in got:
            try:
                ready.append(1)
                while True: time.sleep(0)
            except (First, Stop) as error: got.append(type(error).__name__)
    for number in range(10):
        got, ready = [], []
        thread = in_thread(work)
        while not ready: time.sleep(0)
        ident = ctypes.c_ulong(thread.ident)
        interrupt(thread, First)
        interrupt(thread, Stop)
        tell(ident, none)
        end = time.monotonic() + 60
        while not got and time.monotonic() < end: time.sleep(0.001)
        print(*got)
        if not got: interrupt(thread, Stop)
        thread.join()
    """
        )
        self.assertEqual(out, "Stop\n" * 10)

    def test_a_thread_that_was_handed_a_lock_keeps_it(self):
        # The lock and the exception come at the same moment, a time-out now and then too.
        out = run(
            SETUP
            + """
    import random
    lock = threading.Lock()
    turn = threading.Semaphore(0)
    results = []
    def work():
        has = False
        try:
            turn.release()
            has = lock.acquire(timeout=random.choice([-1, 1e-4]))
            while True: len("")
        except Stop:
            # The exception comes behind the call, whose result may be lost with it; not the lock.
            results.append(has or lock.locked())
            if lock.locked(): lock.release()
    for number in range(1000):
        lock.acquire()
        thread = in_thread(work)
        turn.acquire()
        for _ in range(random.randrange(1000)): pass
        lock.release()
        interrupt(thread, Stop)
        thread.join()
        assert lock.acquire(False)
        lock.release()
    print(len(results))
    """
        )
        self.assertEqual(out, "1000\n")

    def test_a_condition_takes_its_lock_again_before_the_exception_leaves(self):
        out = run(
            SETUP
            + """
    import inspect
    lines, first = inspect.getsourcelines(threading.Condition.wait)
    retake = first + next(number for number, line in enumerate(lines) if "_acquire_restore" in line)
    def is_retaking(ident):
        frame = sys._current_frames().get(ident)
        return frame and frame.f_code is threading.Condition.wait.__code__ and frame.f_lineno == retake
    condition = threading.Condition()
    turn = threading.Semaphore(0)
    results = []
    def work():
        try:
            with condition:
                turn.release()
                try:
                    while True: condition.wait()
                finally: results.append(condition._is_owned())
        except Stop: results.append("stopped")
    for number in range(100):
        thread = in_thread(work)
        turn.acquire()
        with condition:
            condition.notify()
            while not is_retaking(thread.ident): time.sleep(0)
            interrupt(thread, Stop)
            time.sleep(0.001)
        thread.join()
    print(results == [True, "stopped"] * 100, condition.acquire(False))
    """
        )
        self.assertEqual(out, "True True\n")

    def test_a_thread_that_is_just_beginning_or_ending_is_no_harm(self):
        out = run(
            SETUP
            + """
    import random
    sys.unraisablehook = threading.excepthook = lambda report: None
    for number in range(1000):
        thread = threading.Thread(target=int)
        thread.start()
        for _ in range(random.randrange(300)): pass
        interrupt(thread, Stop)
        thread.join()
    interrupt(endless, SystemExit)
    endless.join()
    print(threading.enumerate() == [main], threading._limbo)
    """
        )
        self.assertEqual(out, "True {}\n")

    def test_a_handler_of_a_signal_can_interrupt(self):
        out = run(
            SETUP
            + """
    def handler(*_): interrupt(main, Stop("by a handler"))
    signal.signal(signal.SIGUSR1, handler)
    try:
        signal.raise_signal(signal.SIGUSR1)
        time.sleep(3600)
    except Stop as stop: print(stop)
    """
        )
        self.assertEqual(out, "by a handler\n")

    def test_a_process_may_end_with_exceptions_that_nobody_took(self):
        self.assertEqual(
            run(
                SETUP
                + """
    with underthread.hold_interrupts():
        interrupt(main, Stop(1))
        interrupt(endless, SystemExit)
        import os
        if os.fork() == 0:
            print("child", flush=True)
            os._exit(0)
        os.wait()
        print("end", flush=True)
        os._exit(0)
    """,
                flags=("-W", "ignore:This process"),
            ).split()[-1],
            "end",
        )


if __name__ == "__main__":
    unittest.main()
