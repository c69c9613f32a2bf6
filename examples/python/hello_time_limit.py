"""A block that may take half a second, and a thread that is told to stop while it waits."""

import queue
import threading

import underthread

nobody_puts_anything = queue.Queue()

try:
    with underthread.time_limit(0.5):  # in any thread; limits may be nested
        nobody_puts_anything.get()
except TimeoutError as error:
    print(error)


def work():
    try:
        begun.set()
        nobody_puts_anything.get()
    finally:
        with underthread.hold_interrupts():  # what must be whole
            print("cleaned up")


begun = threading.Event()
worker = threading.Thread(target=work)
worker.start()
begun.wait()
underthread.interrupt(worker, SystemExit)  # raised where it waits
worker.join()
