import unittest

from programs import OURS, STOCK, Program, run


class Install(unittest.TestCase):
    def test_importing_the_package_replaces_nothing(self):
        out = run(
            """
            import _thread, underthread
            print(underthread.is_active(), type(_thread.allocate_lock()) is underthread._core.LockType)
            import underthread._core as core
            print(core is underthread._core, core.__name__)
            """,
            STOCK,
        )
        self.assertEqual(out, "False False\nTrue _thread\n")

    def test_replaces_what_modules_have_taken(self):
        out = run(
            """
            import threading, functools, queue, logging, concurrent.futures.thread
            from threading import Lock, local
            from _thread import start_new_thread as begin
            import _thread
            import underthread
            underthread.install()
            core = underthread._core
            print(underthread.is_active(), _thread is core, Lock is core.allocate_lock, local is core._local,
                  begin is core.start_new_thread, functools.RLock is core.RLock, threading._CRLock is core.RLock)
            with concurrent.futures.ThreadPoolExecutor(2) as executor:
                print(list(executor.map(abs, [-1, -2])))
            """,
            STOCK,
        )
        self.assertEqual(out, "True True True True True True True\n[1, 2]\n")

    def test_twice_is_as_once(self):
        out = run(
            """
            import underthread
            underthread.install()
            import _thread
            before = vars(_thread).copy()
            underthread.install()
            print(before == vars(_thread), underthread.is_active())
            """,
            STOCK,
        )
        self.assertEqual(out, "True True\n")

    def test_locks_made_before_go_on_working(self):
        out = run(
            """
            import threading
            condition, event, lock = threading.Condition(), threading.Event(), threading.Lock()
            class Sub(threading.Thread):
                def run(self):
                    with lock, condition:
                        ready.append(1)
                        condition.notify()
            ready = []
            import underthread
            underthread.install()
            thread = Sub()
            with condition:
                thread.start()
                while not ready: condition.wait()
            thread.join()
            print(isinstance(thread, threading.Thread), threading.current_thread() is threading.main_thread())
            """,
            STOCK,
        )
        self.assertEqual(out, "True True\n")

    def test_a_lazy_module_stays_lazy(self):
        out = run(
            """
            import importlib.util, sys
            spec = importlib.util.find_spec("this")
            spec.loader = importlib.util.LazyLoader(spec.loader)
            module = importlib.util.module_from_spec(spec)
            sys.modules["this"] = module
            spec.loader.exec_module(module)
            import underthread
            underthread.install()
            print(underthread.is_active())
            """,
            STOCK,
        )
        self.assertEqual(out, "True\n")

    def test_an_interpreter_that_is_not_supported_is_told_so(self):
        text = "import sys; sys.version_info = (3, 8, 1, 'final', 0); import underthread"
        with Program(text) as program:
            ended = program.run(STOCK)
        self.assertEqual(ended.returncode, 1)
        self.assertTrue(
            ended.stderr.endswith("ImportError: underthread runs on CPython 3.11; this is cpython 3.8.1\n")
        )

    def test_a_subinterpreter_has_its_own(self):
        out = run(
            """
            import _xxsubinterpreters as interpreters
            import underthread
            other = interpreters.create()
            interpreters.run_string(other, '''if True:
                import _thread, underthread
                print(underthread.is_active())
                underthread.install()
                import threading
                with threading.Lock(), threading.RLock(): print(underthread.is_active())
                threading.local().x = 1
                try: threading.Thread(target=int).start()
                except RuntimeError as error: print(error)
            ''')
            interpreters.destroy(other)
            print(underthread.is_active())
            """
        )
        self.assertEqual(
            out, "False\nTrue\nthread is not supported for isolated subinterpreters\nTrue\n"
        )


if __name__ == "__main__":
    unittest.main()
