"""underthread.time_limit: a TimeoutError in the block when its time is up, and never after it."""

import sys
import unittest

from programs import run

SETUP = """
    import decimal, gc, os, select, signal, sys, threading, time, _thread, underthread
    from underthread import time_limit
    gc.disable()
    main = threading.main_thread()
    held = threading.Lock()
    held.acquire()
    read, write = os.pipe()
    def spin():
        while True: len("")
    def in_thread(function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        thread.start()
        return thread
    """

OURS = ["held.acquire()", "held.acquire(timeout=3600)", "threading.Event().wait()", "spin()"]
# Where it ends a wait of ours, its text says what that was for.
A_LOCK = " (waiting for a lock)"
FOREIGN = ["time.sleep(3600)", "select.select([read], [], [])", "os.read(read, 1)"]


def is_for_a_lock(wait):
    return "acquire" in wait or "Event" in wait


class TimeLimit(unittest.TestCase):
    def assert_prints(self, text, *lines, flags=()):
        self.assertEqual(run(SETUP + text, flags=flags).splitlines(), list(lines))

    def test_it_ends_whatever_the_main_thread_does(self):
        for wait in OURS + FOREIGN:
            with self.subTest(wait):
                self.assert_prints(
                    f"""
    for _ in range(5):
        try:
            with time_limit(0.01) as limit:
                {wait}
        except TimeoutError as error: print(error, limit.expired)
    """,
                    *[f"the time limit of 0.01 s is over{A_LOCK * is_for_a_lock(wait)} True"] * 5,
                )

    def test_it_ends_whatever_is_ours_in_any_thread_and_since_3_15_system_calls(self):
        for wait in OURS + (FOREIGN if sys.version_info >= (3, 15) else []):
            with self.subTest(wait):
                self.assert_prints(
                    f"""
    def work():
        for _ in range(5):
            try:
                with time_limit(0.01) as limit:
                    {wait}
            except TimeoutError as error: print(error, limit.expired)
    in_thread(work).join()
    """,
                    *[f"the time limit of 0.01 s is over{A_LOCK * is_for_a_lock(wait)} True"] * 5,
                )

    def test_it_never_comes_after_the_block(self):
        # Blocks that end at about the moment when their time is up.
        for where in "work()", "in_thread(work).join()":
            self.assert_prints(
                f"""
    import random
    late = inside = 0
    def work():
        global late, inside
        chance = random.Random(1)
        try:
            for _ in range(2000):
                try:
                    with time_limit(0.0001):
                        held.acquire(timeout=chance.random() * 0.0002)
                        for _ in range(chance.randrange(200)): pass
                except TimeoutError: inside += 1
                for _ in range(100): pass
        except TimeoutError: late += 1
    {where}
    print(late, inside > 0)
    """,
                "0 True",
            )

    def test_the_first_of_nested_ones_to_be_over_is_told(self):
        self.assert_prints(
            """
    for first, second in (0.01, 3600), (3600, 0.01):
        try:
            with time_limit(first) as outer:
                try:
                    with time_limit(second) as inner:
                        held.acquire()
                except TimeoutError:
                    print("inner", outer.expired, inner.expired)
                    if outer.expired: raise
        except TimeoutError: print("outer")
    with time_limit(3600):
        for _ in range(3):
            try:
                with time_limit(0.01): held.acquire()
            except TimeoutError as error: print(error)
    """,
            "inner True False",
            "outer",
            "inner False True",
            *[f"the time limit of 0.01 s is over{A_LOCK}"] * 3,
        )

    def test_many_threads_have_each_its_own(self):
        self.assert_prints(
            """
    results = []
    def work(number):
        limit = time_limit(0.01 if number % 2 else 3600)
        try:
            with limit:
                if number % 2: held.acquire()
        except TimeoutError: pass
        results.append(limit.expired == bool(number % 2))
    for thread in [in_thread(work, number) for number in range(50)]: thread.join()
    print(len(results), all(results))
    """,
            "50 True",
        )

    def test_nothing_and_none(self):
        self.assert_prints(
            """
    with time_limit(None) as limit: time.sleep(0.01)
    print(limit, limit.expired)
    try:
        with time_limit(0): spin()
    except TimeoutError as error: print(error)
    """,
            "time_limit(None) False",
            "the time limit of 0 s is over",
        )

    def test_what_it_is_given_is_checked(self):
        self.assert_prints(
            """
    def wrong(function, *arguments):
        try: function(*arguments)
        except Exception as error: print(type(error).__name__, error)
    wrong(time_limit, -1)
    wrong(time_limit, float("nan"))
    for value in 1e30, 1e10, float("inf"), 10**400, "1", decimal.Decimal(1): wrong(time_limit, value)
    limit = time_limit(3600)
    wrong(limit.__exit__, None, None, None)
    with limit:
        wrong(limit.__enter__)
        elsewhere = threading.Thread(target=wrong, args=(limit.__exit__, None, None, None))
        elsewhere.start()
        elsewhere.join()
    with limit: print("again")
    """,
            *[
                f"{kind} time_limit() takes a number of seconds from 0 to 9223372036, "
                f"or None for no limit; not {value}"
                for kind, value in (
                    ("ValueError", "-1"),
                    ("ValueError", "nan"),
                    ("OverflowError", "1e+30"),
                    ("OverflowError", "10000000000.0"),
                    ("ValueError", "inf"),
                    ("OverflowError", f"1{'0' * 400}"),
                    ("TypeError", "'1'"),
                    ("TypeError", "Decimal('1')"),
                )
            ],
            "RuntimeError this time_limit(3600) is not in force",
            "RuntimeError this time_limit(3600) is in force already: make one for each block",
            "RuntimeError this time_limit(3600) is in force in another thread",
            "again",
        )

    def test_the_childs_limit_goes_on_after_a_fork(self):
        self.assert_prints(
            """
    try:
        with time_limit(0.2):
            child = os.fork()
            held.acquire()
    except TimeoutError as error: os.write(1, f"{error}\\n".encode())
    if child == 0: os._exit(0)
    os.waitpid(child, 0)
    """,
            *[f"the time limit of 0.2 s is over{A_LOCK}"] * 2,
            flags=("-W", "ignore:This process"),
        )

    def test_a_program_of_one_thread_stays_one(self):
        self.assert_prints(
            """
    def count(): return len(os.listdir("/proc/self/task"))
    with time_limit(3600): print(count(), threading.active_count(), _thread._count())
    try:
        with time_limit(0.01): time.sleep(3600)
    except TimeoutError: print(count())
    """,
            "1 1 0",
            "1",
        )

    def test_nobody_keeps_time_when_there_is_no_limit(self):
        self.assert_prints(
            """
    def count(): return len(os.listdir("/proc/self/task"))
    def work():
        with time_limit(3600): print(count(), threading.active_count(), _thread._count())
    in_thread(work).join()
    while count() > 1: time.sleep(0.01)
    in_thread(work).join()
    """,
            *["3 2 1"] * 2,
        )

    def test_a_process_may_end_within_limits(self):
        self.assert_prints(
            """
    time_limit(3600).__enter__()
    def work():
        with time_limit(3600):
            print("waits", flush=True)
            turn.release()
            held.acquire()
    turn = threading.Semaphore(0)
    threading.Thread(target=work, daemon=True).start()
    turn.acquire()
    """,
            "waits",
        )


if __name__ == "__main__":
    unittest.main()
