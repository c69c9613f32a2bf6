"""What Python programs do with locks and threads, each timed: works.py [--list] [WORK]...

Prints a line of JSON for each work: what it was, what one of it took, and in what. As it is it measures the
interpreter's own `_thread`; under `python -m underthread` ours. measure.py lets the two take turns.
"""

import argparse
import concurrent.futures
import json
import os
import queue
import sys
import threading
import time

NS = "ns"
BYTES = "bytes"
works = {}


def work(title, unit=NS):
    def add(function):
        works[function.__name__] = (title, unit, function)
        return function

    return add


def per_turn(body, turns):
    """ns for one turn of `body(turns)`, the best of three: what else the machine does only makes it longer."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter_ns()
        body(turns)
        best = min(best, time.perf_counter_ns() - began)
    return best / turns


def in_threads(*bodies):
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@work("`lock.acquire(); lock.release()`")
def acquire_release():
    lock = threading.Lock()

    def body(turns):
        acquire, release = lock.acquire, lock.release
        for _ in range(turns):
            acquire()
            release()

    return per_turn(body, 500_000)


@work("`with lock: pass`")
def with_lock():
    lock = threading.Lock()

    def body(turns):
        for _ in range(turns):
            with lock:
                pass

    return per_turn(body, 500_000)


@work("`with rlock: pass`")
def with_rlock():
    lock = threading.RLock()

    def body(turns):
        for _ in range(turns):
            with lock:
                pass

    return per_turn(body, 500_000)


@work("`with rlock: pass`, held already")
def with_rlock_again():
    lock = threading.RLock()

    def body(turns):
        with lock:
            for _ in range(turns):
                with lock:
                    pass

    return per_turn(body, 500_000)


@work("`lock.acquire(False)` that fails")
def failing_try():
    lock = threading.Lock()
    lock.acquire()

    def body(turns):
        acquire = lock.acquire
        for _ in range(turns):
            acquire(False)

    return per_turn(body, 500_000)


@work("`lock.acquire(timeout=1)` that succeeds, and release")
def timed():
    lock = threading.Lock()

    def body(turns):
        acquire, release = lock.acquire, lock.release
        for _ in range(turns):
            acquire(timeout=1)
            release()

    return per_turn(body, 300_000)


@work("two threads to and fro, by two locks")
def ping_pong_locks():
    def body(turns):
        a, b = threading.Lock(), threading.Lock()
        a.acquire()
        b.acquire()

        def one():
            for _ in range(turns):
                a.release()
                b.acquire()

        def other():
            for _ in range(turns):
                a.acquire()
                b.release()

        in_threads(one, other)

    return per_turn(body, 3_000)


@work("two threads to and fro, by two Events")
def ping_pong_events():
    def body(turns):
        a, b = threading.Event(), threading.Event()

        def one():
            for _ in range(turns):
                a.set()
                b.wait()
                b.clear()

        def other():
            for _ in range(turns):
                a.wait()
                a.clear()
                b.set()

        in_threads(one, other)

    return per_turn(body, 2_000)


@work("two threads to and fro, by one Condition")
def ping_pong_condition():
    def body(turns):
        condition = threading.Condition()
        turn = [0]

        def player(mine):
            with condition:
                for _ in range(turns):
                    while turn[0] != mine:
                        condition.wait()
                    turn[0] = 1 - mine
                    condition.notify()

        in_threads(lambda: player(0), lambda: player(1))

    return per_turn(body, 2_000)


def through_a_queue(pairs, turns):
    items = queue.Queue(100)

    def put():
        for number in range(turns // pairs):
            items.put(number)

    def get():
        for _ in range(turns // pairs):
            items.get()

    in_threads(*[put] * pairs, *[get] * pairs)


@work("an item through a `queue.Queue`, 1 to 1")
def queue_1():
    return per_turn(lambda turns: through_a_queue(1, turns), 20_000)


@work("an item through a `queue.Queue`, 4 to 4")
def queue_4():
    return per_turn(lambda turns: through_a_queue(4, turns), 20_000)


@work("`ThreadPoolExecutor.map` of nothing, an item")
def pool_map():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return per_turn(lambda turns: list(pool.map(int, range(turns))), 3_000)


@work("`Thread`: start and join")
def start_join():
    def body(turns):
        for _ in range(turns):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

    return per_turn(body, 500)


def worst_wait(threads):
    """The longest wait for a lock that each holds for 50 us, in a second."""
    lock = threading.Lock()
    worst = [0] * threads
    over = time.perf_counter_ns() + 1_000_000_000

    def hold(number):
        while True:
            began = time.perf_counter_ns()
            with lock:
                now = time.perf_counter_ns()
                worst[number] = max(worst[number], now - began)
                while time.perf_counter_ns() < now + 50_000:
                    pass
            if now > over:
                return

    in_threads(*[lambda number=number: hold(number) for number in range(threads)])
    return max(worst)


@work("longest of all waits, 2 threads, lock held 50 us")
def fairness_2():
    return worst_wait(2)


@work("longest of all waits, 4 threads, lock held 50 us")
def fairness_4():
    return worst_wait(4)


def in_parallel(threads, one_lock):
    """ns between two acquisitions, whoever's."""

    def body(turns):
        shared = threading.Lock()

        def take():
            lock = shared if one_lock else threading.Lock()
            for _ in range(turns // threads):
                with lock:
                    pass

        in_threads(*[take] * threads)

    return per_turn(body, 200_000)


# Where there is a GIL, one thread has its turn.
if not getattr(sys, "_is_gil_enabled", lambda: True)():

    @work("2 threads take one lock")
    def one_lock_2():
        return in_parallel(2, True)

    @work("8 threads take one lock")
    def one_lock_8():
        return in_parallel(8, True)

    @work("2 threads take a lock each")
    def lock_each_2():
        return in_parallel(2, False)

    @work("8 threads take a lock each")
    def lock_each_8():
        return in_parallel(8, False)


def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@work("memory of a Lock, of a million", BYTES)
def memory():
    places = [None] * 1_000_000
    before = resident()
    for number in range(len(places)):
        places[number] = threading.Lock()
    return (resident() - before) / len(places)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="prints the names of the works")
    parser.add_argument("names", nargs="*", metavar="WORK", help="only these")
    options = parser.parse_args()
    unknown = set(options.names) - set(works)
    if unknown:
        parser.error(f"there is no work {', '.join(sorted(unknown))}; --list prints them")
    if options.list:
        print(*works, sep="\n")
        return
    # In a process that has had a thread, as those have who need locks.
    in_threads(int)
    for name, (title, unit, function) in works.items():
        if not options.names or name in options.names:
            print(json.dumps(dict(work=title, unit=unit, value=function())), flush=True)


if __name__ == "__main__":
    sys.exit(main())
