"""The main thread waits for a lock, for ever. Another interrupts it, and it notices at once."""

import _thread
import time

nobody_releases_it = _thread.allocate_lock()
nobody_releases_it.acquire()
interrupted_at = 0.0


def interrupt():
    global interrupted_at
    time.sleep(0.5)
    interrupted_at = time.monotonic()
    _thread.interrupt_main()


_thread.start_new_thread(interrupt, ())
try:
    nobody_releases_it.acquire()  # on Python's own _thread: for ever
except KeyboardInterrupt:
    print(f"interrupted after {1000 * (time.monotonic() - interrupted_at):.1f} ms")
