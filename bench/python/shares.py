"""Where the time goes in `threading` and `queue`: in their own Python code, or in `_thread`: shares.py

Prints a line of JSON for each operation: ns that one takes, how often it calls a lock, and ns that so many calls take by
themselves. Nobody else wants the locks. As it is it measures the interpreter's own `_thread`; under
`python -m underthread` ours.
"""

import json
import queue
import sys
import threading
import time

LOCKS = (type(threading.Lock()), type(threading.RLock()))


def per_turn(body, turns=50_000):
    """ns, the best of five: what else the machine does only makes it longer."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter_ns()
        for _ in range(turns):
            body()
        best = min(best, time.perf_counter_ns() - began)
    return best / turns


def calls(body):
    """How often `body` calls a lock."""
    count = 0

    def note(_frame, event, called):
        nonlocal count
        count += event == "c_call" and isinstance(getattr(called, "__self__", None), LOCKS)

    sys.setprofile(note)
    try:
        body()
    finally:
        sys.setprofile(None)
    return count


def operations():
    condition = threading.Condition()
    event = threading.Event()
    was_set = threading.Event()
    was_set.set()
    semaphore = threading.Semaphore()
    items = queue.Queue()

    def notify():
        with condition:
            condition.notify()

    def set_and_clear():
        event.set()
        event.clear()

    def wait():
        was_set.wait()

    def acquire_and_release():
        semaphore.acquire()
        semaphore.release()

    def put_and_get():
        items.put(None)
        items.get()

    yield "`with condition: condition.notify()`", notify
    yield "`event.set(); event.clear()`", set_and_clear
    yield "`event.wait()` when it is set", wait
    yield "`semaphore.acquire(); semaphore.release()`", acquire_and_release
    yield "`queue.put(x); queue.get()`", put_and_get


def main():
    lock = threading.Lock()
    acquire, release = lock.acquire, lock.release

    def five_pairs():
        acquire(), release(), acquire(), release(), acquire(), release(), acquire(), release(), acquire(), release()

    nothing = per_turn(lambda: None)
    one_call = (per_turn(five_pairs) - nothing) / 10
    for name, body in operations():
        count = calls(body)
        print(json.dumps(dict(work=name, ns=per_turn(body) - nothing, calls=count, in_calls=count * one_call)))


if __name__ == "__main__":
    main()
