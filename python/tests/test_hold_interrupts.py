"""underthread.hold_interrupts: nothing interrupts the block, and what came is delivered where it is left."""

import sys
import unittest

from programs import run

SETUP = """
    import gc, os, signal, sys, threading, time, _thread
    from underthread import hold_interrupts, interrupt, time_limit
    gc.disable()
    class Stop(BaseException): pass
    main = threading.main_thread()
    def in_thread(function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        thread.start()
        return thread
    """


class HoldInterrupts(unittest.TestCase):
    def assert_prints(self, text, *lines):
        self.assertEqual(run(SETUP + text).splitlines(), list(lines))

    def test_it_postpones_what_is_sent_to_a_thread(self):
        self.assert_prints(
            """
    def work():
        try:
            with hold_interrupts():
                ready.release()
                print(sent.acquire(), sent.acquire(timeout=0.05), len([n for n in range(1000)]))
        except Stop: print("stopped")
    for target in [lambda: thread, lambda: thread.ident]:
        ready, sent = threading.Semaphore(0), threading.Semaphore(0)
        thread = in_thread(work)
        ready.acquire()
        print(interrupt(target(), Stop))
        sent.release()
        thread.join()
    """,
            *["True", "True False 1000", "stopped"] * 2,
        )

    def test_it_postpones_ctrl_c_and_interrupt_main(self):
        for come in (
            "signal.raise_signal(signal.SIGINT)",
            "_thread.interrupt_main()",
            "in_thread(_thread.interrupt_main).join()",
            "in_thread(os.kill, os.getpid(), signal.SIGINT).join()",
            "in_thread(interrupt, main).join()",
        ):
            with self.subTest(come):
                self.assert_prints(
                    f"""
    before = signal.getsignal(signal.SIGINT)
    try:
        with hold_interrupts():
            {come}
            time.sleep(0.05)
            print("whole")
        print("never")
    except KeyboardInterrupt: print("interrupted")
    print(signal.getsignal(signal.SIGINT) is before)
    """,
                    "whole",
                    "interrupted",
                    "True",
                )

    def test_handlers_run_where_the_block_is_left_in_the_order_of_their_numbers(self):
        self.assert_prints(
            """
    def handler(signum, frame): print(signum == signal.SIGUSR1, signum == signal.SIGUSR2, frame is not None)
    signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR2, handler)
    with hold_interrupts():
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        print("whole")
    print("left")
    """,
            "whole",
            "True False True",
            "False True True",
            "left",
        )

    def test_nothing_is_lost_when_several_raise(self):
        self.assert_prints(
            """
    def handler(signum, frame): raise Stop(signal.Signals(signum).name)
    signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR2, handler)
    caught = []
    try:
        try:
            try:
                with hold_interrupts():
                    interrupt(main, Stop("sent"))
                    signal.raise_signal(signal.SIGUSR2)
                    signal.raise_signal(signal.SIGUSR1)
            finally: time.sleep(0)
        finally: time.sleep(0)
        time.sleep(3600)
    except Stop as last:
        while last: caught.append(last.args[0]); last = last.__context__
    try: time.sleep(0.05)
    except Stop as late: caught.insert(0, late.args[0])
    print(sorted(caught))
    """,
            "['SIGUSR1', 'SIGUSR2', 'sent']",
        )

    def test_it_nests(self):
        self.assert_prints(
            """
    try:
        try:
            with hold_interrupts():
                with hold_interrupts():
                    interrupt(main, Stop)
                    _thread.interrupt_main()
                print("still held")
        finally: time.sleep(0.05)
    except (KeyboardInterrupt, Stop) as last: print(sorted([type(last).__name__, type(last.__context__).__name__]))
    """,
            "still held",
            "['KeyboardInterrupt', 'Stop']",
        )

    def test_an_exception_of_the_block_is_kept_as_context(self):
        self.assert_prints(
            """
    try:
        with hold_interrupts():
            interrupt(main, Stop)
            raise ValueError("of the block")
    except Stop as stop: print(repr(stop.__context__))
    """,
            "ValueError('of the block')",
        )

    def test_a_handler_that_is_set_in_the_block_stays(self):
        self.assert_prints(
            """
    with hold_interrupts():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
    """,
            "True",
        )

    def test_a_time_limit_ends_where_the_block_is_left_or_not_at_all(self):
        self.assert_prints(
            """
    try:
        with time_limit(0.01) as limit:
            with hold_interrupts():
                while not limit.expired: time.sleep(0.001)
                print("whole")
            print("never")
    except TimeoutError: print("over")
    with hold_interrupts():
        with time_limit(0.01) as limit:
            while not limit.expired: time.sleep(0.001)
    time.sleep(0.01)
    print(limit.expired)
    """,
            "whole",
            "over",
            "True",
        )

    def test_a_handler_that_is_saved_or_called_in_the_block_is_the_programs_own(self):
        self.assert_prints(
            """
    try:
        with hold_interrupts():
            own = signal.getsignal(signal.SIGINT)
            saved = signal.signal(signal.SIGINT, signal.SIG_IGN)
            print(own is saved is signal.default_int_handler)
            try: saved(1 << 30, None)
            except KeyboardInterrupt: print("called")
        signal.signal(signal.SIGINT, saved)
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt: print("interrupted")
    """,
            "True",
            "called",
            "interrupted",
        )

    def test_the_wakeup_fd_is_written_once_and_at_the_end(self):
        self.assert_prints(
            """
    calls = []
    signal.signal(signal.SIGUSR1, lambda *_: calls.append(1))
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    def written():
        try: return os.read(read, 100)
        except BlockingIOError: return b""
    with hold_interrupts():
        signal.raise_signal(signal.SIGUSR1)
        print(calls, written())
    print(calls, written() == bytes([signal.SIGUSR1]))
    """,
            "[] b''",
            "[1] True",
        )

    def test_handlers_in_c_stay_in_front_and_run_at_the_end(self):
        self.assert_prints(
            """
    import faulthandler
    read, write = os.pipe()
    os.set_blocking(read, False)
    calls = []
    signal.signal(signal.SIGUSR1, lambda *_: calls.append(1))
    faulthandler.register(signal.SIGUSR1, file=write, chain=True)
    def dumps():
        try: return os.read(read, 100000).count(b"most recent call first")
        except BlockingIOError: return 0
    for _ in range(3):
        with hold_interrupts():
            signal.raise_signal(signal.SIGUSR1)
            print(len(calls), dumps())
        print(len(calls), dumps())
    print(faulthandler.unregister(signal.SIGUSR1))
    signal.raise_signal(signal.SIGUSR1)
    print(len(calls), dumps())
    """,
            *["0 0", "1 1", "1 0", "2 1", "2 0", "3 1", "True", "4 0"],
        )

    def test_with_prompt_interrupts_off_nothing_is_lost_either(self):
        self.assert_prints(
            """
    import underthread
    underthread.prompt_interrupts(False)
    for come in (lambda: signal.raise_signal(signal.SIGINT)), _thread.interrupt_main:
        try:
            with hold_interrupts():
                come()
                print("whole")
            print("never")
        except KeyboardInterrupt: print("interrupted")
    """,
            *["whole", "interrupted"] * 2,
        )

    def test_a_signal_that_is_blocked_at_the_end_is_handled_all_the_same(self):
        # The system has handed it over once already.
        self.assert_prints(
            """
    calls = []
    signal.signal(signal.SIGUSR1, lambda *_: calls.append(1))
    with hold_interrupts():
        signal.raise_signal(signal.SIGUSR1)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    print(calls, signal.sigpending())
    """,
            "[1] set()",
        )

    def test_the_child_of_another_threads_fork_holds_nothing_off(self):
        self.assert_prints(
            """
    def fork():
        child = os.fork()
        if child == 0:
            try:
                signal.raise_signal(signal.SIGINT)
                os._exit(1)
            except KeyboardInterrupt: os._exit(0)
        print(os.waitpid(child, 0)[1])
    import warnings
    warnings.simplefilter("ignore")
    with hold_interrupts(): in_thread(fork).join()
    """,
            "0",
        )

    def test_a_generator_in_the_block_of_a_thread_that_has_ended_can_be_closed(self):
        self.assert_prints(
            """
    def rows():
        with hold_interrupts(): yield
    kept = rows()
    in_thread(next, kept).join()
    kept.close()
    print("closed")
    """,
            "closed",
        )

    def test_a_generator_in_the_block_that_another_thread_closes_holds_its_own_off_no_longer(self):
        self.assert_prints(
            """
    signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
    def rows():
        with hold_interrupts(): yield
    kept = rows()
    next(kept)
    os.kill(os.getpid(), signal.SIGUSR1)
    print("held")
    in_thread(kept.close).join()
    os.kill(os.getpid(), signal.SIGUSR1)
    print("again")
    try:
        with time_limit(0.05): time.sleep(3600)
    except TimeoutError: print("limited")
    worker_kept, turn, closed = rows(), threading.Lock(), threading.Lock()
    turn.acquire(); closed.acquire()
    def work():
        next(worker_kept)
        turn.release()
        try:
            while not closed.acquire(timeout=0.001): pass
        except Stop: print("stopped")
    worker = in_thread(work)
    turn.acquire()
    print(interrupt(worker, Stop))
    worker_kept.close()
    worker.join()
    """,
            "held",
            "handled",
            "handled",
            "again",
            "limited",
            "True",
            "stopped",
        )

    def test_it_is_used_by_with_and_in_one_thread(self):
        self.assert_prints(
            """
    hold = hold_interrupts()
    def wrong(function, *arguments):
        try: function(*arguments)
        except (RuntimeError, TypeError) as error: print(error)
    wrong(hold.__exit__, None, None, None)
    wrong(hold_interrupts, 1)
    with hold:
        wrong(hold.__enter__)
        in_thread(wrong, hold.__exit__, None, None, None).join()
    with hold: print("again")
    """,
            "this hold_interrupts() holds nothing off: its block has not been entered, or has been left",
            "hold_interrupts() takes no arguments",
            "this hold_interrupts() is in use: this thread is in its block; make one for each block",
            "another thread holds interrupts off by this hold_interrupts(): only that can leave its block",
            "again",
        )

    def test_it_may_be_used_while_the_interpreter_ends(self):
        self.assert_prints(
            """
    class AtTheEnd:
        def __del__(self):
            with hold_interrupts(): os.write(1, b"whole\\n")
    at_the_end = AtTheEnd()
    """,
            "whole",
        )

    def test_a_lock_that_is_handed_over_meanwhile_is_kept(self):
        self.assert_prints(
            """
    lock = threading.Lock()
    lock.acquire()
    def work():
        with hold_interrupts():
            ready.release()
            with lock: print(lock.locked())
    def report(arguments): print(arguments.exc_type.__name__, lock.locked())
    threading.excepthook = report
    ready = threading.Semaphore(0)
    thread = in_thread(work)
    ready.acquire()
    interrupt(thread, Stop)
    lock.release()
    thread.join()
    """,
            "True",
            "Stop False",
        )

    @unittest.skipIf(sys.version_info < (3, 11), "operator.call")
    def test_an_audit_hook_that_forbids_to_compile_changes_nothing(self):
        # What was sent just before the block is withdrawn from the interpreter where it is entered.
        out = run(
            """
    import functools, operator, sys, threading, underthread
    underthread.interrupt(0, KeyError)
    def hook(event, _):
        if event == "compile": raise PermissionError
    sys.addaudithook(hook)
    def work():
        hold = underthread.hold_interrupts()
        send = functools.partial(underthread._core._underthread.interrupt, threading.get_ident(), KeyError("sent"))
        tuple(map(operator.call, [send, hold.__enter__]))
        print("held")
        try: hold.__exit__(None, None, None)
        except KeyError as error: print(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    """
        )
        self.assertEqual(out.splitlines(), ["held", "'sent'"])

    @unittest.skipIf(sys.version_info < (3, 11), "operator.call")
    def test_a_handler_of_a_signal_that_came_just_before_does_not_leave_the_hold_in_force(self):
        out = run(
            """
    import functools, operator, signal, _thread, underthread
    class Stop(Exception): pass
    def handler(*_): raise Stop
    signal.signal(signal.SIGUSR1, handler)
    send = functools.partial(_thread.interrupt_main, signal.SIGUSR1)
    hold = underthread.hold_interrupts()
    with hold: pass
    try: tuple(map(operator.call, [send, hold.__enter__]))
    except Stop: print("before the block")
    try:
        send()
        for _ in range(1000): pass
        print("held off")
    except Stop: print("not held off")
    with hold: pass
    """
        )
        self.assertEqual(out.splitlines(), ["before the block", "not held off"])


if __name__ == "__main__":
    unittest.main()
