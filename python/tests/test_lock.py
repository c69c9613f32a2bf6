import gc
import sys
import time
import unittest
import weakref

import underthread

underthread.install()

import _thread
import threading

from programs import MAY_FORK, is_asleep, run, wait_for


def waiter_of(lock, how=lambda lock: lock.acquire()):
    """A thread that waits for a held lock: it has begun to, and sleeps."""
    thread = threading.Thread(target=lambda: how(lock), daemon=True)
    thread.start()
    wait_for(lambda: is_asleep("self", thread.native_id), "a thread that waits")
    return thread


class LockTests(unittest.TestCase):
    def test_is_ours(self):
        self.assertIs(type(threading.Lock()), underthread._core.LockType)

    def test_is_sixteen_bytes_more_than_an_object(self):
        # A list of weak references, and the lock's four bytes with what the interpreter believes of it.
        self.assertEqual(_thread.LockType.__basicsize__, object.__basicsize__ + 16)

    def test_try_does_not_wait(self):
        lock = _thread.allocate_lock()
        self.assertTrue(lock.acquire(False))
        begin = time.monotonic()
        self.assertFalse(lock.acquire(False))
        self.assertFalse(lock.acquire(True, 0))
        self.assertLess(time.monotonic() - begin, 1)

    def test_timed_wait_ends_at_its_deadline_and_not_before(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        begin = time.monotonic()
        self.assertFalse(lock.acquire(timeout=0.05))
        self.assertGreaterEqual(time.monotonic() - begin, 0.05)
        self.assertTrue(lock.locked())

    def test_timed_wait_gets_a_lock_that_is_released_in_time(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        got = []
        thread = waiter_of(lock, lambda lock: got.append(lock.acquire(timeout=60)))
        lock.release()
        thread.join()
        self.assertEqual(got, [True])

    def test_any_thread_may_release(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        thread = threading.Thread(target=lock.release)
        thread.start()
        thread.join()
        self.assertFalse(lock.locked())

    def test_foreign_release_of_a_with_block_leaves_its_end_without_a_lock(self):
        lock = _thread.allocate_lock()
        with self.assertRaisesRegex(RuntimeError, "release unlocked lock"):
            with lock:
                thread = threading.Thread(target=lock.release)
                thread.start()
                thread.join()
                self.assertFalse(lock.locked())

    def test_release_wakes_a_waiter(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        thread = waiter_of(lock)
        lock.release()
        thread.join()
        self.assertTrue(lock.locked())

    def test_acquire_twice_and_be_released_by_another_is_legal(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        main = threading.main_thread().native_id

        def release():
            wait_for(lambda: is_asleep("self", main), "the main thread waits")
            lock.release()

        thread = threading.Thread(target=release)
        thread.start()
        lock.acquire()
        thread.join()
        self.assertTrue(lock.locked())

    @unittest.skipIf(sys.version_info < (3, 13), "before 3.13, `locked` is a flag: see the next")
    def test_a_lock_handed_to_a_thread_that_waits_reads_locked(self):
        lock = _thread.allocate_lock()
        for _ in range(20):
            lock.acquire()
            thread = waiter_of(lock)
            # It is handed over to who has waited for a millisecond. There is no state to wait for.
            time.sleep(0.005)
            self.assertEqual((lock.release(), lock.locked()), (None, True))
            thread.join()
            lock.release()

    @unittest.skipIf(sys.version_info >= (3, 13), "from 3.13 on, what `locked` says is the truth: see the last")
    def test_a_lock_handed_to_a_thread_without_the_gil_reads_unlocked(self):
        # Who waits for the GIL asks for it after so long, and would get it between two calls.
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1000)
        lock = _thread.allocate_lock()
        for _ in range(200):
            lock.acquire()
            thread = waiter_of(lock)
            # The waiter may have the word of the lock as soon as this is done; that it has the lock
            # must not be seen before it has the GIL, and it cannot have that within one statement.
            result = (lock.release(), lock.locked())
            self.assertEqual(result, (None, False))
            thread.join()
            self.assertTrue(lock.locked())
            lock.release()

    def test_a_held_lock_may_be_dropped(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        gone = weakref.ref(lock)
        del lock
        self.assertIsNone(gone())

    def test_is_tracked_and_collected(self):
        class Holder:
            pass

        holder = Holder()
        holder.lock, holder.me = threading.Lock(), holder
        gone = weakref.ref(holder.lock)
        self.assertTrue(gc.is_tracked(holder.lock))
        del holder
        gc.collect()
        self.assertIsNone(gone())

    def test_mutual_exclusion(self):
        lock, total = threading.Lock(), 0

        def add():
            nonlocal total
            for _ in range(2000):
                with lock:
                    seen = total
                    if seen % 64 == 0:
                        time.sleep(0)  # lets another thread have the GIL, and not the lock
                    total = seen + 1

        threads = [threading.Thread(target=add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(total, 16000)

    def test_reinit_in_the_child_of_a_fork_frees_a_lock_of_a_thread_that_is_not_there(self):
        out = run(
            """
            import os, threading
            lock, rlock = threading.Lock(), threading.RLock()
            held, done = threading.Event(), threading.Event()
            def hold():
                with lock, rlock:
                    held.set()
                    done.wait()
            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            if (child := os.fork()) == 0:
                print(lock.acquire(False), rlock.acquire(False))
                lock._at_fork_reinit()
                rlock._at_fork_reinit()
                print(lock)
                print(rlock.acquire(), lock.acquire(), flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            done.set()
            """,
            flags=MAY_FORK,
        )
        self.assertRegex(out, "False False\n<unlocked _thread.lock object at 0x[0-9a-f]+>\nTrue True\n")


class RLockTests(unittest.TestCase):
    def test_is_ours(self):
        self.assertIs(type(threading.RLock()), underthread._core.RLock)

    def test_is_sixteen_bytes_more_than_an_object(self):
        # A list of weak references, and the lock with its count.
        self.assertEqual(_thread.RLock.__basicsize__, object.__basicsize__ + 16)

    def test_reenters_and_unlocks_at_the_last_release(self):
        lock = threading.RLock()
        others = []

        def try_from_another_thread():
            thread = threading.Thread(target=lambda: others.append(lock.acquire(False)))
            thread.start()
            thread.join()

        with lock:
            with lock:
                pass
            try_from_another_thread()
        try_from_another_thread()
        self.assertEqual(others, [False, True])

    def test_only_its_holder_may_release(self):
        lock = threading.RLock()
        lock.acquire()
        errors = []

        def release():
            for action in (lock.release, lock._release_save):
                try:
                    action()
                except RuntimeError as error:
                    errors.append(str(error))

        thread = threading.Thread(target=release)
        thread.start()
        thread.join()
        self.assertEqual(errors, ["cannot release un-acquired lock"] * 2)
        lock.release()

    def test_save_and_restore_keep_the_count(self):
        lock = threading.RLock()
        for _ in range(3):
            lock.acquire()
        state = lock._release_save()
        self.assertEqual(state, (3, threading.get_ident()))
        self.assertFalse(lock._is_owned())
        lock._acquire_restore(state)
        for _ in range(3):
            lock.release()
        self.assertFalse(lock._is_owned())

    def test_restore_waits_for_whoever_has_it(self):
        lock = threading.RLock()
        lock.acquire()
        lock.acquire()
        state = lock._release_save()
        with lock:
            thread = waiter_of(lock, lambda lock: (lock._acquire_restore(state), lock.release()))
        # It holds it once more: twice restored, once released. A thread that ended holding it is not
        # its holder any more, and nobody is.
        wait_for(lambda: not thread.is_alive(), "the end of the waiter")
        self.assertFalse(lock.acquire(False))

    def test_timed_wait_ends_at_its_deadline(self):
        lock = threading.RLock()
        thread = threading.Thread(target=lock.acquire)
        thread.start()
        thread.join()
        begin = time.monotonic()
        self.assertFalse(lock.acquire(timeout=0.05))
        self.assertGreaterEqual(time.monotonic() - begin, 0.05)

    def test_subclasses_have_attributes_and_weak_references(self):
        class Named(_thread.RLock):
            def __init__(self, name):
                self.name = name

        lock = Named("a")
        with lock:
            self.assertEqual(lock.name, "a")
            self.assertRegex(repr(lock), "<locked .*Named object owner=[0-9]+ count=1 at 0x")
        gone = weakref.ref(lock)
        del lock
        self.assertIsNone(gone())


if __name__ == "__main__":
    unittest.main()
