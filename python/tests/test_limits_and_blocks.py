"""A time limit belongs to its thread and to its block: it is raised nowhere else, and a block that overran raises."""

import sys
import unittest

from limited import OVER, SETUP
from programs import MAY_FORK, run


class Blocks(unittest.TestCase):
    def assert_prints(self, text, *lines, flags=()):
        self.assertEqual(run(SETUP + text, flags=flags).splitlines(), list(lines))

    def test_a_block_that_overran_in_one_call_raises_at_its_end(self):
        self.assert_prints(
            """
    def work():
        limit = time_limit(0.05)
        with limit: sum(range(10**7))
    def check():
        print(*{told(work) for _ in range(5)})
        # Another exception leaves it as it is.
        limit = time_limit(0)
        try:
            with hold_interrupts():
                with limit: raise KeyError("of the block")
        except KeyError as error: print(error, limit.expired)
    check()
    in_thread(check)
    """,
            *[OVER, "'of the block' True"] * 2,
        )

    def test_of_nested_ones_that_are_over_at_once_the_outer_is_raised(self):
        self.assert_prints(
            """
    def nested():
        try:
            with time_limit(0.05) as outer:
                try:
                    with time_limit(0.0501): held.acquire()
                except TimeoutError:
                    if outer.expired: raise
                held.acquire()
        except TimeoutError as error: return str(error).partition(" (")[0]
    print({nested() for _ in range(10)})
    in_thread(lambda: print({nested() for _ in range(10)}))
    """,
            *["{'%s'}" % OVER] * 2,
        )

    def test_while_its_generator_is_suspended_its_consumer_is_left_alone(self):
        for where in "work()", "in_thread(work)":
            self.assert_prints(
                f"""
    def rows():
        with time_limit(0.05):
            yield
            held.acquire(timeout=60)
    def work():
        step = rows()
        next(step)
        held.acquire(timeout=0.1)
        spin(0.1)
        print("consumed")
        # Where it goes on, its time is up.
        print(told(next, step) or told(step.close))
    {where}
    """,
                "consumed",
                OVER,
            )

    def test_one_that_is_over_while_interrupts_are_held_off_waits_for_its_suspended_generator(self):
        self.assert_prints(
            """
    def rows():
        with time_limit(0.05) as limit:
            with underthread.hold_interrupts():
                while not limit.expired: pass
                yield "held"
            time.sleep(3600)
    kept = rows()
    print(next(kept))
    print(told(next, kept))
    def steps():
        with time_limit(0.05) as limit:
            yield
            while not limit.expired: pass
            yield "suspended"
            time.sleep(3600)
    kept = steps()
    next(kept)
    with underthread.hold_interrupts(): print(next(kept))
    print(told(next, kept))
    """,
            "held",
            OVER,
            "suspended",
            OVER,
        )

    def test_one_that_was_raised_and_caught_in_its_block_leaves_others_in_force(self):
        self.assert_prints(
            """
    def retry():
        with time_limit(0.15):
            for attempt in range(3):
                print(told(acquire_within, 0.1))
    def acquire_within(seconds):
        with time_limit(seconds): held.acquire()
    def clean_up():
        with time_limit(0.05):
            try: held.acquire()
            except TimeoutError: print(told(acquire_within, 0.05))
    for where in lambda function: told(function), in_thread:
        where(retry)
        where(clean_up)
    def rows():
        with time_limit(0.01):
            try: held.acquire()
            except TimeoutError: yield
    kept = rows()
    next(kept)
    print(told(acquire_within, 0.05))
    """,
            *["the time limit of 0.1 s is over", "the time limit of 0.15 s is over", "the time limit of 0.1 s is over", OVER]
            * 2,
            OVER,
        )

    def test_a_function_below_a_generator_is_limited_in_its_code_in_any_thread(self):
        self.assert_prints(
            """
    def limited(row):
        start = time.monotonic()
        with time_limit(0.05): spin(60)
    def enters(row):
        with contextlib.ExitStack() as stack:
            stack.enter_context(time_limit(0.05))
            spin(60)
    def rows(): return list(limited(row) for row in [1])
    def entered_rows(): return list(enters(row) for row in [1])
    async def main(): limited(1)
    for function in rows, entered_rows, lambda: asyncio.run(main()):
        print(told(function))
        # Without a GIL nobody can see what another thread runs.
        if getattr(sys, "_is_gil_enabled", lambda: True)(): in_thread(lambda: print(told(function)))
    """,
            *[OVER] * (6 if getattr(sys, "_is_gil_enabled", lambda: True)() else 3),
        )

    def test_a_generator_that_another_thread_closes_leaves_nothing_in_its_own(self):
        self.assert_prints(
            """
    import gc, weakref
    def rows(seconds):
        with time_limit(seconds):
            spin(2 * seconds)
            yield
    class Stop(BaseException): pass
    made, go, gone = [], threading.Semaphore(0), threading.Semaphore(0)
    def work():
        for number in range(20):
            made.append(rows(0.001))
            next(made[-1])
            gone.release()
            go.acquire()
            with time_limit(3600), hold_interrupts(): pass
        try:
            with hold_interrupts():
                gone.release()
                go.acquire()
        except Stop: print("stopped")
    thread = threading.Thread(target=work)
    thread.start()
    for number in range(20):
        gone.acquire()
        made.pop().close()
        go.release()
    gone.acquire()
    print(underthread.interrupt(thread, Stop))
    go.release()
    thread.join()
    gc.collect()
    print(sum(type(each).__name__ == "time_limit" for each in gc.get_objects()))
    """,
            "True",
            "stopped",
            "0",
        )

    def test_a_generator_that_is_resumed_late_is_raised_in_at_once_in_a_wait(self):
        self.assert_prints(
            """
    def rows():
        with time_limit(0.05):
            yield
            held.acquire()
    def late():
        kept = rows()
        next(kept)
        time.sleep(0.5)
        start = time.monotonic()
        print(told(next, kept), time.monotonic() - start < 0.2)
    late()
    in_thread(late)
    """,
            *[f"{OVER} True"] * 2,
        )

    def test_it_may_be_entered_for_a_block_by_an_exit_stack(self):
        self.assert_prints(
            """
    def work():
        with contextlib.ExitStack() as stack:
            stack.enter_context(time_limit(0.05))
            held.acquire()
    print(told(work))
    in_thread(lambda: print(told(work)))
    """,
            *[OVER] * 2,
        )

    def test_one_of_a_thread_that_has_ended_is_not_raised_in_the_next(self):
        # The C library gives a new thread the ident of one that has ended.
        self.assert_prints(
            """
    kept = []
    def rows():
        with time_limit(0.05): yield
    def first():
        kept.append(rows())
        next(kept[-1])
    def second():
        idents.add(_thread.get_ident())
        held.acquire(timeout=0.1)
        spin(0.05)
    for _ in range(3):
        idents = set()
        in_thread(first)
        in_thread(second)
    print(len(idents))
    for each in kept: each.close()
    """,
            "1",
        )

    def test_one_object_is_one_threads(self):
        self.assert_prints(
            """
    limit = time_limit(3600)
    entered, refused = [], []
    ready = threading.Barrier(8)
    def work():
        ready.wait()
        try: limit.__enter__()
        except RuntimeError: refused.append(1)
        else: entered.append(1)
        ready.wait()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(len(entered), len(refused))
    """,
            "1 7",
        )


class Processes(unittest.TestCase):
    def assert_prints(self, text, *lines, flags=()):
        self.assertEqual(sorted(run(SETUP + text, flags=flags).splitlines()), sorted(lines))

    def test_a_fork_does_not_warn_where_the_program_has_one_thread(self):
        self.assert_prints(
            """
    def work():
        with time_limit(60): pass
    in_thread(work)
    work()
    child = os.fork()
    if child == 0: os._exit(0)
    print(os.waitpid(child, 0)[1])
    """,
            "0",
            flags=("-W", "error"),
        )

    def test_limits_and_holds_of_the_thread_that_forks_go_on_in_its_child_and_in_the_childs(self):
        for where in "work()", "in_thread(work)":
            self.assert_prints(
                f"""
    def work():
        try:
            # It may be over before the hold ends, which raises it then.
            with time_limit(0.05):
                with hold_interrupts():
                    child = os.fork()
                    grandchild = os.fork() if child == 0 else 1
                    who = "parent" if child else "child" if grandchild else "grandchild"
                    held.acquire(timeout=0.01)
                held.acquire()
        except TimeoutError as error: os.write(1, f"{{who}} {{str(error).partition(' (')[0]}}\\n".encode())
        if grandchild != 1 and grandchild: os.waitpid(grandchild, 0)
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
    {where}
    """,
                *[f"{name} {OVER}" for name in ("parent", "child", "grandchild")],
                flags=MAY_FORK,
            )

    def test_a_child_of_multiprocessing_is_in_none_of_the_blocks_that_it_was_started_in(self):
        # It runs on top of their stack, and never leaves them.
        self.assert_prints(
            """
    import multiprocessing
    def stop(*_): raise KeyboardInterrupt
    def limited():
        held.acquire(timeout=2.3)
        os.write(1, b"done\\n")
    def stopped():
        try:
            os.write(begun[1], b"x")
            held.acquire()
        except KeyboardInterrupt: os.write(1, b"stopped\\n")
    def work():
        context = multiprocessing.get_context("fork")
        first, second = context.Process(target=limited), context.Process(target=stopped)
        with time_limit(2): first.start()
        with hold_interrupts(): second.start()
        os.read(begun[0], 1)
        os.kill(second.pid, signal.SIGTERM)
        first.join(), second.join()
        os.write(1, b"%d %d\\n" % (first.exitcode, second.exitcode))
    begun = os.pipe()
    signal.signal(signal.SIGTERM, stop)
    work()
    in_thread(work)
    """,
            *["done", "stopped", "0 0"] * 2,
            flags=MAY_FORK,
        )

    def test_what_is_pending_is_the_parents(self):
        for where in "work()", "in_thread(work)":
            self.assert_prints(
                f"""
    def work():
        me = threading.current_thread()
        who = "parent"
        try:
            with hold_interrupts():
                in_thread(underthread.interrupt, me)
                child = os.fork()
                if child == 0: who = "child"
            os.write(1, f"{{who}} nothing\\n".encode())
        except KeyboardInterrupt: os.write(1, f"{{who}} interrupted\\n".encode())
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
    {where}
    """,
                "parent interrupted",
                "child nothing",
                flags=MAY_FORK,
            )

    def test_a_subinterpreter_may_end_right_behind_a_limit(self):
        self.assert_prints(
            """
    try: import _interpreters as interpreters
    except ImportError: import _xxsubinterpreters as interpreters
    code = f"import sys; sys.path[:] = {sys.path!r}\\n" + (
        "import threading, underthread\\n"
        "underthread.install()\\n"
        "with underthread.time_limit(60): pass\\n"
        "try:\\n"
        "    with underthread.time_limit(0.001): threading.Event().wait()\\n"
        "except TimeoutError: pass\\n")
    def work():
        for _ in range(5):
            try: made = interpreters.create("legacy")
            except TypeError: made = interpreters.create(isolated=False)
            failed = interpreters.run_string(made, code)
            if failed: print(failed)
            interpreters.destroy(made)
    in_thread(work)
    print("alive")
    """,
            "alive",
        )


if __name__ == "__main__":
    unittest.main()
