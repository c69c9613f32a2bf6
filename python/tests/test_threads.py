import os
import unittest

import underthread

underthread.install()

import _thread
import threading

from programs import MAY_FORK, OURS, STOCK, Program, run, wait_for


class Start(unittest.TestCase):
    def test_returns_the_ident_that_the_thread_sees(self):
        seen = []
        done = threading.Event()
        ident = _thread.start_new_thread(lambda: (seen.append(_thread.get_ident()), done.set()), ())
        done.wait()
        self.assertEqual(seen, [ident])

    def test_passes_arguments_and_keywords(self):
        seen, done = [], threading.Event()

        def take(*arguments, **keywords):
            seen.append((arguments, keywords))
            done.set()

        _thread.start_new_thread(take, (1, 2), {"three": 3})
        done.wait()
        self.assertEqual(seen, [((1, 2), {"three": 3})])

    def test_count_includes_a_thread_from_its_start_to_its_end(self):
        lock = _thread.allocate_lock()
        lock.acquire()
        before = _thread._count()
        _thread.start_new_thread(lock.acquire, ())
        self.assertEqual(_thread._count(), before + 1)
        lock.release()
        wait_for(lambda: _thread._count() == before, "the end of the thread")

    def test_the_kernel_knows_a_threads_name_cut_to_whole_characters(self):
        self.assertEqual(
            run(
                """
                import threading
                def comm():
                    with open("/proc/thread-self/comm") as file: seen.append(file.read().rstrip("\\n"))
                seen = []
                class Renamed(threading.Thread):
                    def run(self): comm()
                for name in "worker", "a-name-that-is-too-long", 14 * "x" + "\\xe4", "half \\ud800":
                    thread = threading.Thread(target=comm, name=name)
                    thread.start()
                    thread.join()
                thread = Renamed()
                thread.name = "renamed"
                thread.start()
                thread.join()
                print([name for name in seen if not name.startswith(("python", "half"))])
                """
            ),
            "['worker', 'a-name-that-is-', 'xxxxxxxxxxxxxx', 'renamed']\n",
        )

    def test_native_id_is_the_kernels_and_is_in_the_list_of_the_process(self):
        seen = []

        def look():
            seen.append(str(_thread.get_native_id()) in os.listdir("/proc/self/task"))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        self.assertEqual(seen, [True])

    def test_what_it_was_given_goes_with_the_thread(self):
        class Callable:
            def __call__(self, *_):
                pass

            def __del__(self):
                gone.set()

        gone = threading.Event()
        _thread.start_new_thread(Callable(), ())
        # Not one long wait: without a GIL, the thread that made an object has to be running to drop it.
        wait_for(gone.is_set, "the end of what it was given")

    def test_exceptions_and_exits_are_reported_as_by_the_interpreter(self):
        text = """
            import _thread, sys, threading
            def fail(): raise ValueError("no")
            def leave(): sys.exit(3)
            def leave_too(): _thread.exit()
            def leave_with_text(): sys.exit("text")
            def begin(function):
                ends.append(_thread._set_sentinel())
                ends[0].acquire()
                begun.release()
                function()
            for function in (fail, leave, leave_too, leave_with_text):
                if hasattr(_thread, "start_joinable_thread"):  # from 3.13 on there are no sentinels
                    _thread.start_joinable_thread(function).join()
                    continue
                ends, begun = [], _thread.allocate_lock()
                begun.acquire()
                _thread.start_new_thread(begin, (function,))
                begun.acquire()
                ends[0].acquire()
            threading.Thread(target=fail).start()
            """
        with Program(text) as program:
            theirs, ours = program.run(STOCK), program.run(OURS)
        import re

        hide = lambda text: re.sub("0x[0-9a-f]+", "0x", text)
        self.assertIn("Exception ignored in thread started by", theirs.stderr)
        self.assertEqual(hide(theirs.stderr), hide(ours.stderr))
        self.assertEqual(theirs.returncode, ours.returncode)

    def test_audit_events_are_the_interpreters_own(self):
        text = """
            import sys, threading, _thread
            def audit(event, arguments):
                if event.startswith("_thread"): print(event, arguments[1:])
            sys.addaudithook(audit)
            lock = _thread.allocate_lock()
            lock.acquire()
            _thread.start_new_thread(lambda **_: lock.release(), (), {"a": 1})
            lock.acquire()
            _thread.start_new_thread(lock.release, ())
            lock.acquire()
            """
        self.assertEqual(run(text, STOCK), run(text))

    def test_one_that_cannot_start_says_why_and_the_process_lives_on(self):
        out = run(
            """
            import _thread, threading
            _thread.stack_size(1 << 46)
            before = _thread._count()
            for start in (lambda: _thread.start_new_thread(print, ()), threading.Thread().start):
                try:
                    start()
                except RuntimeError as error:
                    print(error)
            print(_thread._count() - before, threading.active_count())
            _thread.stack_size(0)
            thread = threading.Thread(target=print, args=["started"])
            thread.start()
            thread.join()
            """
        ).splitlines()
        self.assertRegex(out[0], "^can't start new thread: .")
        self.assertEqual(out[1:], [out[0], "0 1", "started"])

    def test_stack_size_is_what_threads_get(self):
        out = run(
            """
            import _thread, ctypes, threading
            libc = ctypes.CDLL(None)
            def stack():
                attributes, address, size = ctypes.create_string_buffer(256), ctypes.c_void_p(), ctypes.c_size_t()
                libc.pthread_getattr_np(ctypes.c_void_p(threading.get_ident()), attributes)
                libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
                print(size.value)
            for size in (300_000, 1 << 20, 64 << 20):
                _thread.stack_size(size)
                thread = threading.Thread(target=stack)
                thread.start()
                thread.join()
            """
        )
        self.assertEqual([int(line) // 4096 for line in out.split()], [74, 256, 16384])

    def test_threads_of_the_interpreters_own_and_ours_work_together(self):
        out = run(
            """
            import threading
            import underthread
            begin, end = threading.Event(), threading.Event()
            thread = threading.Thread(target=lambda: (begin.set(), end.wait()))
            thread.start()
            begin.wait()
            underthread.install()
            import _thread
            print(underthread.is_active(),
                  # 3.13 has no such name.
                  getattr(threading, "_start_new_thread", _thread.start_new_thread) is _thread.start_new_thread,
                  any(isinstance(value, getattr(_thread, "_ThreadHandle", _thread.LockType))
                      for value in vars(thread).values()))
            print(_thread._count())
            late = threading.Thread(target=lambda: (thread.join(), print("joined")))
            late.start()
            end.set()
            late.join()
            """,
            STOCK,
        )
        self.assertEqual(out, "True True False\n1\njoined\n")

    def test_many_start_and_end(self):
        out = run(
            """
            import threading
            total = []
            for _ in range(40):
                threads = [threading.Thread(target=total.append, args=[1]) for _ in range(50)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
            print(len(total), threading.active_count())
            """
        )
        self.assertEqual(out, "2000 1\n")


class Fork(unittest.TestCase):
    def test_the_child_starts_threads_and_waits_for_them(self):
        out = run(
            """
            import os, threading, _thread
            lock, stop = threading.Lock(), threading.Event()
            others = [threading.Thread(target=stop.wait) for _ in range(4)]
            for thread in others: thread.start()
            if (child := os.fork()) == 0:
                result = []
                with lock:
                    threads = [threading.Thread(target=lambda: result.append(lock.acquire(timeout=60)) or lock.release())
                               for _ in range(4)]
                    for thread in threads: thread.start()
                for thread in threads: thread.join()
                print(result, [thread.is_alive() for thread in others], threading.active_count())
                print(_thread.get_native_id() == os.getpid(), flush=True)
                os._exit(0)
            print(os.waitpid(child, 0)[1])
            stop.set()
            """,
            flags=MAY_FORK,
        )
        self.assertEqual(out, "[True, True, True, True] [False, False, False, False] 1\nTrue\n0\n")

    def test_a_thread_that_forks_is_the_main_thread_of_the_child(self):
        out = run(
            """
            import _thread, os, signal, sys, threading
            def fork():
                if (child := os.fork()) == 0:
                    print(threading.current_thread() is threading.main_thread(), flush=True)
                    lock = threading.Lock()
                    lock.acquire()
                    try:
                        threading.Thread(target=_thread.interrupt_main, daemon=True).start()
                        lock.acquire()
                    except KeyboardInterrupt:
                        print("interrupted", flush=True)
                    os._exit(0)
                print(os.waitpid(child, 0)[1])
            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
            """,
            flags=MAY_FORK,
        )
        self.assertEqual(out, "True\ninterrupted\n0\n")

    def test_a_waiting_main_thread_does_not_disturb_a_fork_by_another(self):
        out = run(
            """
            import os, threading
            lock = threading.Lock()
            lock.acquire()
            def fork():
                for _ in range(20):
                    if (child := os.fork()) == 0:
                        lock._at_fork_reinit()
                        mine = threading.Thread(target=lock.acquire)
                        mine.start()
                        mine.join()
                        os._exit(lock.locked())
                    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 1: print("wrong")
                lock.release()
            threading.Thread(target=fork).start()
            lock.acquire()
            print("done")
            """,
            flags=MAY_FORK,
        )
        self.assertEqual(out, "done\n")


if __name__ == "__main__":
    unittest.main()
