"""How a program ends whose daemon threads wait."""

import sysconfig
import unittest

from programs import OURS, STOCK, Program

# Daemon threads that are in one kind of wait when the interpreter ends, as the first argument says.
PARKED = """
    import os, queue, sys, threading, time
    lock, rlock, condition, never = threading.Lock(), threading.RLock(), threading.Condition(), threading.Event()
    lock.acquire()
    rlock.acquire()
    barrier, semaphore, items, simple = threading.Barrier(99), threading.Semaphore(0), queue.Queue(), queue.SimpleQueue()
    full = queue.Queue(1)
    full.put(None)
    sleeper = threading.Thread(target=never.wait, daemon=True)
    sleeper.start()
    main = threading.main_thread()

    def wait_for_condition():
        with condition: condition.wait()
    def start():
        while True:
            try: threading.Thread(target=int, daemon=True).start()
            except RuntimeError: never.wait()  # 3.12 starts none when it ends
    waits = {
        "lock": lock.acquire,
        "lock with a timeout": lambda: lock.acquire(timeout=1000),
        "lock with a short timeout": lambda: [lock.acquire(timeout=0.0005) for _ in iter(int, 1)],
        "RLock": rlock.acquire,
        "RLock with a timeout": lambda: rlock.acquire(timeout=1000),
        "Condition": wait_for_condition,
        "Event": never.wait,
        "Event with a timeout": lambda: never.wait(1000),
        "Queue.get": items.get,
        "Queue.get with a timeout": lambda: items.get(timeout=1000),
        "Queue.put": lambda: full.put(None),
        "SimpleQueue": simple.get,
        "join": sleeper.join,
        "join with a timeout": lambda: sleeper.join(1000),
        "join of the main thread": main.join,
        "Semaphore": semaphore.acquire,
        "Barrier": barrier.wait,
        "sleep": lambda: time.sleep(1000),
        "start": start,
    }
    if not sys.argv[1:]:
        print(*waits, sep="\\n")
        sys.exit()
    kind, status = sys.argv[1], int(sys.argv[2])
    begun = []
    def park():
        begun.append(None)
        waits[kind]()
    threads = [threading.Thread(target=park, daemon=True) for _ in range(4)]
    for thread in threads: thread.start()
    def asleep(thread):
        with open(f"/proc/self/task/{thread.native_id}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"
    # Those that go on and on are never all asleep.
    while len(begun) < 4 or kind not in ("start", "lock with a short timeout") and not all(map(asleep, threads)):
        time.sleep(0.0001)
    print("parked")
    sys.exit(status)
    """


def ending(process):
    return process.returncode, process.stdout, process.stderr


class Parked(unittest.TestCase):
    def test_daemons_in_any_wait_end_as_on_the_interpreters_own(self):
        with Program(PARKED) as program:
            for kind in program.run(STOCK).stdout.splitlines():
                for status in (0, 3):
                    with self.subTest(kind, status=status):
                        arguments = (program.name, kind, str(status))
                        # Stock without a GIL may crash or hang where threads start while it ends.
                        if kind != "start" or not sysconfig.get_config_var("Py_GIL_DISABLED"):
                            theirs = ending(program.run(STOCK, *arguments))
                            self.assertEqual(theirs, (status, "parked\n", ""))
                        for turn in range(3):
                            ended = ending(program.run(OURS, *arguments))
                            self.assertEqual(ended, (status, "parked\n", ""), f"exit {turn}")


if __name__ == "__main__":
    unittest.main()
