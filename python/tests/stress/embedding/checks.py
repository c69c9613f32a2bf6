"""What works in every interpreter that a program hosts. `run` prints the name of each check that has held."""

import underthread

underthread.install()

import _thread
import os
import queue
import threading
import time


class Stop(BaseException):
    pass


# Not `signal`: to import it changes SIGINT's action, which a host may have kept to itself.
held = threading.Lock()
held.acquire()
main = threading.main_thread()
started = []


def start(function):
    thread = threading.Thread(target=function)
    thread.start()
    started.append(thread.native_id)
    return thread


def await_asleep(thread):
    """Returns when that thread waits in the kernel, and not for the GIL, which would have woken it meanwhile."""
    before, now = [], ["R"]
    while now != before or len(now) != 2:
        time.sleep(0.001)
        with open(f"/proc/self/task/{thread.native_id}/status") as status:
            before, now = now, [line for line in status if line.startswith(("State:\tS", "voluntary"))]


def await_left():
    """Returns when the system has none of the threads that were started: up to 3.12 one is joined before."""
    while any(os.path.exists(f"/proc/self/task/{native_id}") for native_id in started):
        time.sleep(0.001)


def spin():
    while True:
        len("")


def sleep():
    time.sleep(3600)


def raised(error, wait):
    """Whether `wait` is ended by that, and by nothing else."""
    try:
        wait()
    except error:
        return True


def end_of_limit(wait):
    def limited():
        with underthread.time_limit(0.05):
            wait()

    return raised(TimeoutError, limited)


def in_worker(function):
    results = []
    start(lambda: results.append(function())).join()
    return results == [True]


def while_main_waits(send):
    """Starts a thread that does it then."""

    def work():
        await_asleep(main)
        send()

    return start(work)


def beside_another_thread(function):
    """True if `function` says so in a program that has several threads: then a thread keeps the time."""
    over = threading.Event()
    thread = start(over.wait)
    try:
        return function()
    finally:
        over.set()
        thread.join()


def threads():
    lock, numbers, total = threading.RLock(), queue.Queue(), [0]

    def work():
        for number in iter(numbers.get, None):
            with lock:
                total[0] += number

    workers = [start(work) for _ in range(4)]
    for number in [*range(1000), *[None] * 4]:
        numbers.put(number)
    for worker in workers:
        worker.join()
    return total == [499500]


def interrupt_of_a_worker_in_a_lock():
    caught = []
    worker = start(lambda: caught.append(raised(Stop, held.acquire)))
    await_asleep(worker)
    accepted = underthread.interrupt(worker, Stop)
    worker.join()
    return accepted and caught == [True]


def interrupt_of_a_worker_in_code():
    caught, runs = [], threading.Event()

    def work():
        runs.set()
        spin()

    worker = start(lambda: caught.append(raised(Stop, work)))
    runs.wait()
    accepted = underthread.interrupt(worker, Stop)
    worker.join()
    return accepted and caught == [True]


def ended_by(send, error, wait):
    """Whether the main thread's wait ends by what another thread does meanwhile."""

    def sent():
        while_main_waits(send)
        wait()

    return raised(error, sent)


def ctrl_c():
    """In the thread that calls this."""
    import signal

    signal.raise_signal(signal.SIGINT)


def ctrl_c_for_the_process():
    """In a thread that the system picks."""
    import signal

    os.kill(os.getpid(), signal.SIGINT)


CHECKS = {
    "threads": threads,
    "interrupt of a worker in a lock": interrupt_of_a_worker_in_a_lock,
    "interrupt of a worker in code": interrupt_of_a_worker_in_code,
    "interrupt of main in a lock": lambda: ended_by(lambda: underthread.interrupt(main, Stop), Stop, held.acquire),
    "interrupt of main in a sleep": lambda: ended_by(lambda: underthread.interrupt(main, Stop), Stop, sleep),
    "interrupt_main in a lock": lambda: ended_by(_thread.interrupt_main, KeyboardInterrupt, held.acquire),
    "interrupt_main in a sleep": lambda: ended_by(_thread.interrupt_main, KeyboardInterrupt, sleep),
    "limit of main in a lock": lambda: end_of_limit(held.acquire),
    "limit of main in a sleep": lambda: end_of_limit(sleep),
    "limit of main in a sleep beside another thread": lambda: beside_another_thread(lambda: end_of_limit(sleep)),
    "limit of a worker in a lock": lambda: in_worker(lambda: end_of_limit(held.acquire)),
    "limit of a worker in code": lambda: in_worker(lambda: end_of_limit(spin)),
    "Ctrl-C in a lock": lambda: ended_by(ctrl_c, KeyboardInterrupt, held.acquire),
    "Ctrl-C for the process in a lock": lambda: ended_by(ctrl_c_for_the_process, KeyboardInterrupt, held.acquire),
    "Ctrl-C for the process in a sleep": lambda: ended_by(ctrl_c_for_the_process, KeyboardInterrupt, sleep),
}


def run(*names):
    for name in names:
        if CHECKS[name]() is not True:
            raise AssertionError(f"does not work: {name}")
        await_left()
        print(name)
