"""A process forks while one of its threads holds a lock, which nobody can release in the child."""

import os
import threading

log_lock = threading.Lock()
holds, may_release = threading.Event(), threading.Event()


def write():
    with log_lock:
        holds.set()
        may_release.wait()


writer = threading.Thread(target=write, name="writer")
writer.start()
holds.wait()
child = os.fork()
if child == 0:
    with log_lock:
        os._exit(0)
_, status = os.waitpid(child, 0)
may_release.set()
print("the child ended with status", os.waitstatus_to_exitcode(status))
