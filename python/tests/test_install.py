import os
import sys
import textwrap
import unittest

from programs import AWAIT_MAIN, LEFT_ON, OURS, STOCK, SWITCHED_OFF, UNKNOWN, Program, run, says_unknown


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
            print(underthread.is_active(), _thread is core, Lock is getattr(core, 'lock', core.allocate_lock), local is core._local,
                  begin is core.start_new_thread, functools.RLock is core.RLock, threading._CRLock is core.RLock)
            with concurrent.futures.ThreadPoolExecutor(2) as executor:
                print(list(executor.map(abs, [-1, -2])))
            """,
            STOCK,
        )
        self.assertEqual(out, "True True True True True True True\n[1, 2]\n")

    def test_the_extension_needs_no_cxx_library_of_the_system(self):
        out = run(
            """
            import underthread
            with open("/proc/self/maps") as file:
                maps = file.read()
            print("/underthread/_core." in maps, "libstdc++" in maps)
            """,
            STOCK,
        )
        self.assertEqual(out, "True False\n")

    def test_what_is_only_equal_stays(self):
        out = run(
            """
            import _thread, sys, types
            class Equal:
                def __eq__(self, other): return True
                def __hash__(self): return hash(_thread.allocate_lock)
            late = sys.modules["late"] = types.ModuleType("late")
            late.equal = mine = Equal()
            late.same, late.value = _thread.allocate_lock, _thread.TIMEOUT_MAX
            import underthread
            underthread.install()
            print(late.equal is mine, late.same is underthread._core.allocate_lock, late.value == _thread.TIMEOUT_MAX)
            """,
            STOCK,
        )
        self.assertEqual(out, "True True True\n")

    def test_replace_references_takes_dicts_and_pairs_and_says_so(self):
        out = run(
            """
            from underthread import _core
            replace_references = _core._underthread.replace_references
            before, first, second = object(), object(), object()
            values = {1: before, 2: "other"}
            print(replace_references([values, {}], [(before, first), (before, second)]), values == {1: first, 2: "other"})
            for wrong in (([1], []), ([], [1]), ([], [(1,)]), ((), [])):
                try: replace_references(*wrong)
                except TypeError: print("TypeError")
            """,
            STOCK,
        )
        self.assertEqual(out, "None True\n" + 4 * "TypeError\n")

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

    # Of each kind that this interpreter has. What is in one is said by its own standard output.
    SUBINTERPRETERS = """
        import sys
        try: import _interpreters as interpreters
        except ImportError: import _xxsubinterpreters as interpreters
        if sys.version_info >= (3, 13): kinds = [("isolated",), ("legacy",)]
        else: kinds = [()]
        for kind in kinds:
            print(kind, flush=True)
            other = interpreters.create(*kind)
            error = interpreters.run_string(other, """ + "\"\"\"if True:" + """
                {first}
                import _thread, threading
                with threading.Lock(), threading.RLock(): print(type(threading.Lock()), flush=True)
                threading.local().x = 1
                for daemon in (False, True):
                    try:
                        thread = threading.Thread(target=print, args=["run"], kwargs=dict(flush=True), daemon=daemon)
                        thread.start()
                        thread.join()
                    except RuntimeError as error: print(error, flush=True)
                {last}
            """ + "\"\"\"" + """)
            if error: print(error)
            interpreters.destroy(other)
        """

    def test_a_subinterpreter_has_its_own_which_does_what_the_interpreters_own_would(self):
        theirs = run(self.SUBINTERPRETERS.format(first="", last=""), STOCK)
        begin = "import underthread; before = underthread.is_active(); underthread.install()"
        check = "print(before, underthread.is_active(), underthread._core is _thread, flush=True)"
        ours = run(self.SUBINTERPRETERS.format(first=begin, last=check) + "import underthread; print(underthread.is_active())", OURS)
        lines = ours.splitlines()
        self.assertIn("lock", theirs)
        self.assertEqual([line for line in lines if not line.startswith(("True", "False"))], theirs.splitlines())
        self.assertEqual([line for line in lines if line.startswith(("True", "False"))],
                         ["False True True"] * theirs.count("class") + ["True"])


class Uninstall(unittest.TestCase):
    def test_puts_back_what_modules_had_and_have_taken(self):
        out = run(
            """
            import _frozen_importlib, _thread as stock, functools, importlib, sys, threading, types
            before = [dict(vars(module)) for module in (stock, threading, functools, _frozen_importlib)]
            import underthread
            underthread.install()
            late = types.ModuleType("late")
            sys.modules["late"] = late
            exec("import _thread; from _thread import allocate_lock as make, RLock", vars(late))
            print(late.make is underthread._core.allocate_lock, late._thread is underthread._core)
            underthread.uninstall()
            import _thread
            print(_thread is stock, underthread.is_active(), late._thread is stock,
                  late.make is stock.allocate_lock, late.RLock is stock.RLock)
            both = {"_start_joinable_thread", "_thread_shutdown"}
            after = [vars(module) for module in (stock, threading, functools, _frozen_importlib)]
            for old, new in zip(before, after):
                print({name for name in old if old[name] is not new[name]} <= both, old.keys() == new.keys())
            """,
            STOCK,
        )
        self.assertEqual(out, "True True\nTrue False True True True\n" + 4 * "True True\n")

    def test_install_may_come_again_and_each_may_come_twice(self):
        out = run(
            """
            import _thread as stock, threading
            import underthread
            names = {"core": underthread._core, "stock": stock}
            for _ in range(3):
                underthread.install()
                underthread.install()
                import _thread
                thread = threading.Thread(target=print, args=["run"])
                thread.start()
                thread.join()
                print(underthread.is_active(), _thread is names["core"], type(threading.RLock()) is _thread.RLock)
                underthread.uninstall()
                underthread.uninstall()
                import _thread
                print(underthread.is_active(), _thread is names["stock"], type(threading.RLock()) is _thread.RLock)
                print(underthread._core is names["core"])
            """,
            STOCK,
        )
        self.assertEqual(out, 3 * "run\nTrue True True\nFalse True True\nTrue\n")

    def test_locks_and_threads_of_ours_go_on_working(self):
        out = run(
            """
            import threading
            condition, local, began = threading.Condition(), threading.local(), threading.Event()
            seen = []
            def work():
                local.x = 1
                began.set()
                with condition: condition.wait_for(lambda: seen)
                seen.append(local.x)
            thread = threading.Thread(target=work)
            thread.start()
            began.wait()
            import underthread
            underthread.uninstall()
            with condition:
                seen.append(0)
                condition.notify()
            thread.join()
            print(seen, thread.is_alive(), threading.active_count(), underthread.is_active())
            """
        )
        self.assertEqual(out, "[0, 1] False 1 False\n")

    def test_a_thread_made_before_a_change_starts_after_it(self):
        out = run(
            """
            import threading, underthread
            for change in (underthread.install, underthread.uninstall, underthread.install):
                thread = threading.Thread(target=lambda: print("run"))
                change()
                thread.start()
                thread.join()
                print(thread.is_alive())
            """,
            STOCK,
        )
        self.assertEqual(out, 3 * "run\nFalse\n")

    def test_what_did_not_install_does_nothing(self):
        out = run("import underthread; print(underthread.uninstall(), underthread.is_active())", STOCK)
        self.assertEqual(out, "None False\n")

    def test_what_someone_else_has_put_there_stays(self):
        out = run(
            """
            import threading, underthread
            mine = threading._allocate_lock = lambda: 1
            underthread.uninstall()
            print(threading._allocate_lock is mine)
            """
        )
        self.assertEqual(out, "True\n")


class WhileThreadsStart(unittest.TestCase):
    """install and uninstall, while other threads start threads."""

    def test_a_thread_made_before_starts_at_each_moment_of_a_change(self):
        out = run(
            """
            import threading, underthread
            from underthread import _install
            exchange = _install._exchange
            def start():
                thread = made.pop()
                thread.start()
                thread.join()
                print(end="run " if not thread.is_alive() else "alive ")
            def exchange_and_start(pairs):
                start()
                exchange(pairs)
                start()
            _install._exchange = exchange_and_start
            for change in 2 * (underthread.install, underthread.uninstall):
                made = [threading.Thread(target=int, daemon=daemon) for daemon in (False, True, False)]
                change()
                start()
                print(underthread.is_active())
            """,
            STOCK,
        )
        self.assertEqual(out, 2 * "run run run True\nrun run run False\n")

    def test_no_start_and_no_join_fails_in_a_storm_of_them(self):
        out = run(
            """
            import sys, threading, time, underthread
            sys.setswitchinterval(1e-5)
            is_over, wrong, started, changes = threading.Event(), [], [], 0
            def start_many():
                while not is_over.is_set():
                    made = [threading.Thread(target=int, daemon=number % 2 == 0) for number in range(20)]
                    for thread in made:
                        try:
                            thread.start()
                            thread.join()
                            if thread.is_alive(): wrong.append("alive after join")
                        except Exception as error: wrong.append(error)
                    started.append(len(made))
            starters = [threading.Thread(target=start_many) for _ in range(3)]
            for starter in starters: starter.start()
            # Each sees many changes.
            while changes < 300 or len(started) < 30:
                underthread.install()
                time.sleep(0.0005)
                underthread.uninstall()
                time.sleep(0.0005)
                changes += 1
            is_over.set()
            for starter in starters: starter.join()
            print(wrong, threading.active_count())
            """,
            STOCK,
        )
        self.assertEqual(out, "[] 1\n")

    @unittest.skipIf(sys.version_info < (3, 13), "threading has no handles")
    def test_threads_of_both_kinds_keep_their_handles_and_the_new_ones_get_the_new(self):
        out = run(
            """
            import _thread, threading, underthread
            core, StockHandle = underthread._core, [_thread._ThreadHandle]  # not in a module's attribute
            handle = lambda thread: next(value for value in vars(thread).values() if "_ThreadHandle" in repr(value))
            before = threading.Thread(target=int)
            underthread.install()
            after = threading.Thread(target=int)
            print(type(handle(before)) is StockHandle[0], type(handle(after)) is core._ThreadHandle,
                  isinstance(handle(after), threading._ThreadHandle), threading._make_thread_handle is core._make_thread_handle)
            for thread in before, after:
                thread.start()
                thread.join()
                print(handle(thread).is_done(), thread.is_alive())
            # What is no handle of either kind is told what stock tells.
            for wrong in 1, object():
                try: threading._start_joinable_thread(int, handle=wrong)
                except TypeError as error: print(error)
            started = threading._start_joinable_thread(int)
            started.join()
            print(type(started) is core._ThreadHandle)
            """,
            STOCK,
        )
        wrong = "'handle' must be a _ThreadHandle\n"
        self.assertEqual(out, f"True True True True\nTrue False\nTrue False\n{wrong}{wrong}True\n")


class Exit(unittest.TestCase):
    """Threads of both kinds that are no daemons are waited for at the end."""

    # A thread that is not waited for sees that the end has come, or is not heard of again. What one
    # that is waited for sees is that it does not come, for a moment.
    WORK = """
        import atexit, sys, threading, underthread
        over = threading.Event()
        atexit.register(over.set)
        def begin(name, after=threading.main_thread(), then=None):
            def work():
                began.set()
                threading.main_thread().join()
                after.join()
                late = over.wait(0.1)
                if then: then()
                print(end=name + (" late " if late else " "), flush=True)
            began = threading.Event()
            thread = threading.Thread(target=work)
            thread.start()
            began.wait()
            return thread
        """

    def end(self, text, on):
        return sorted(run(textwrap.dedent(self.WORK) + textwrap.dedent(text), on).split())

    def test_the_interpreters_own_are_after_install(self):
        text = """
            begin("first")
            underthread.install()
            begin("second")
            """
        self.assertEqual(self.end(text, STOCK), ["first", "second"])

    def test_ours_are_after_uninstall(self):
        text = """
            begin("first")
            underthread.uninstall()
            begin("second")
            """
        self.assertEqual(self.end(text, OURS), ["first", "second"])

    @unittest.skipIf(sys.version_info[:2] == (3, 12), "3.12 starts no thread once the main thread has ended")
    def test_ours_are_after_an_install_while_the_main_thread_waits_for_others(self):
        text = AWAIT_MAIN + textwrap.dedent("""
            def install():
                await_main()
                underthread.install()
                begin("second", threading.current_thread())
            begin("first", then=install)
            """)
        self.assertEqual(self.end(text, STOCK), ["first", "second"])

    @unittest.skipIf(sys.version_info[:2] == (3, 12), "3.12 starts no thread once the main thread has ended")
    def test_the_interpreters_own_are_after_an_uninstall_while_the_main_thread_waits_for_others(self):
        text = AWAIT_MAIN + textwrap.dedent("""
            def uninstall():
                await_main()
                underthread.uninstall()
                begin("second", threading.current_thread())
            begin("first", then=uninstall)
            """)
        self.assertEqual(self.end(text, OURS), ["first", "second"])

    @unittest.skipIf(sys.version_info[:2] == (3, 12), "3.12 starts no thread once the main thread has ended")
    def test_those_are_that_others_start_meanwhile(self):
        text = """
            made = threading.Thread(target=lambda: print(end="late " if over.wait(0.1) else "made ", flush=True))
            first = begin("first")
            underthread.install()
            begin("second", first, made.start)
            underthread.uninstall()
            """
        self.assertEqual(self.end(text, STOCK), ["first", "made", "second"])


class WhereItCannotWork(unittest.TestCase):
    BREAK = {
        "a newer version": "sys.version_info = (3, 16, 0, 'final', 0)",
        "an older version": "sys.version_info = (3, 8, 1, 'final', 0)",
        "another implementation": "sys.implementation.name = 'other'",
        "no extension": "import _frozen_importlib_external as m; m.PathFinder = type('PathFinder', (m.PathFinder,), {'find_spec': lambda *_: None})",
        "one that does not load": """
                import _frozen_importlib_external as machinery
                class ExtensionFileLoader(machinery.ExtensionFileLoader):
                    def exec_module(self, module): 1 / 0
                machinery.ExtensionFileLoader = ExtensionFileLoader""",
    }
    SAYS = {
        "a newer version": r"it runs on CPython 3\.9 to 3\.15; this is cpython 3\.16\.0",
        "an older version": r"it runs on CPython 3\.9 to 3\.15; this is cpython 3\.8\.1",
        "another implementation": r"it runs on CPython 3\.9 to 3\.15; this is other 3\..*",
        "no extension": r"the extension is missing for this interpreter: no _core\..* in .*",
        "one that does not load": r"its extension does not load: ZeroDivisionError: division by zero",
    }
    STAYS = "; this process stays on stock _thread\n"

    def test_install_warns_once_and_leaves_the_program_as_it_is(self):
        for case, text in self.BREAK.items():
            text = f"""if True:
                import _thread, sys, threading
                before = vars(threading).copy()
                {text}
                import underthread
                for _ in range(2):
                    underthread.install()
                    underthread.uninstall()
                print(underthread.is_active(), sys.modules["_thread"] is _thread, vars(threading) == before)
                """
            with self.subTest(case), Program(text) as program:
                ended = program.run(STOCK)
                self.assertEqual((ended.returncode, ended.stdout), (0, "False True True\n"))
                lines = ended.stderr.splitlines(keepends=True)
                self.assertRegex(lines[0], f": RuntimeWarning: underthread: {self.SAYS[case]}{self.STAYS}")
                # The line of the program that it is about, and no more.
                self.assertEqual([line.strip() for line in lines[1:]], ["underthread.install()"])

    def test_the_launcher_says_so_in_one_line_and_runs_the_program(self):
        for case, text in self.BREAK.items():
            text = f"""if True:
                import sys
                {text}
                from underthread.__main__ import main
                sys.argv = ["underthread", "-c", "import underthread; print(underthread.is_active())"]
                main()
                """
            with self.subTest(case), Program(text) as program:
                ended = program.run(STOCK)
                self.assertEqual((ended.returncode, ended.stdout), (0, "False\n"))
                self.assertRegex(ended.stderr, f"^underthread: {self.SAYS[case]}{self.STAYS}$")


class Environment(unittest.TestCase):
    """UNDERTHREAD in the environment. The other places that ask for it: test_site, test_children,
    test_underthread_python."""

    TEXT = """
        import underthread
        for _ in range(2):
            underthread.install()
            underthread._install.install_at_start()
        print(underthread.is_active())
        """

    def check(self, value, out, err):
        for on in (STOCK, OURS):
            with self.subTest(on=on, value=value), Program(self.TEXT) as program:
                ended = program.run(on, env=dict(os.environ, UNDERTHREAD=value))
                self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, out, err))

    def test_values_that_switch_it_off_do_so_and_nothing_is_said(self):
        for value in SWITCHED_OFF:
            self.check(value, "False\n", "")

    def test_values_that_leave_it_on_do_so_and_nothing_is_said(self):
        for value in LEFT_ON:
            self.check(value, "True\n", "")

    def test_any_other_value_leaves_it_on_and_is_said_once(self):
        for value in UNKNOWN:
            self.check(value, "True\n", says_unknown(value))

    def test_a_value_is_said_without_breaking_the_line(self):
        self.check("a\nb\x1b", "True\n", says_unknown("a\nb\x1b"))


class NotInstalled(unittest.TestCase):
    """What needs `_thread` to be ours says so where it is not."""

    INTERRUPT = """
        import threading, underthread
        def interrupt():
            try: print(underthread.interrupt(threading.main_thread().ident + 1, KeyError))
            except RuntimeError as error: print(error)
        """
    INSTALL_FIRST = "underthread is not installed in this process: call underthread.install() first\n"

    def test_interrupt_says_what_to_call_before_install_and_after_uninstall(self):
        text = """
            for change in (lambda: None, underthread.install, underthread.uninstall):
                change()
                interrupt()
            """
        out = run(textwrap.dedent(self.INTERRUPT) + textwrap.dedent(text), STOCK)
        self.assertEqual(out, self.INSTALL_FIRST + "False\n" + self.INSTALL_FIRST)

    def test_interrupt_says_what_has_switched_it_off(self):
        with Program(textwrap.dedent(self.INTERRUPT) + "underthread.install(); interrupt()") as program:
            ended = program.run(STOCK, env=dict(os.environ, UNDERTHREAD=" Off "))
        says = "underthread is switched off in this process: UNDERTHREAD=Off is in the environment\n"
        self.assertEqual((ended.stdout, ended.stderr), (says, ""))

    def test_interrupt_says_why_it_cannot_work_here(self):
        text = "import sys; sys.implementation.name = 'other'\n" + textwrap.dedent(self.INTERRUPT)
        out = run(text + "interrupt()", STOCK)
        self.assertRegex(out, "^underthread: it runs on CPython .*; this process stays on stock _thread\n$")

    def test_holds_and_limits_of_time_are_usable(self):
        out = run(
            """
            import underthread
            with underthread.hold_interrupts(), underthread.time_limit(60) as limit: pass
            print(limit.expired, underthread.is_active())
            """,
            STOCK,
        )
        self.assertEqual(out, "False False\n")


class PromptInterrupts(unittest.TestCase):
    ASK = """
        import sys
        {}
        import underthread
        prompt_interrupts = underthread.prompt_interrupts
        print([prompt_interrupts(on) for on in (False, None, True, None, 0, None, 1, None)])
        for wrong in ("no", 2, -1, 1.0, b"", [], object):
            try: prompt_interrupts(wrong)
            except TypeError as error: print(error)
        print(prompt_interrupts())
        """
    WRONG = "".join(
        f"prompt_interrupts() takes True, False or None, not {wrong!r}\n" for wrong in ("no", 2, -1, 1.0, b"", [], object)
    )

    def test_takes_booleans_and_names_any_other_value_in_a_type_error(self):
        for on in (STOCK, OURS):
            self.assertEqual(
                run(self.ASK.format(""), on),
                f"[True, False, False, True, True, False, False, True]\n{self.WRONG}True\n",
            )

    def test_the_same_where_it_cannot_work(self):
        self.assertEqual(
            run(self.ASK.format("sys.implementation.name = 'other'"), STOCK),
            f"{8 * [False]}\n{self.WRONG}False\n",
        )


class BuiltIn(unittest.TestCase):
    """Where `_thread` was ours from the beginning, as in an interpreter of ours."""

    BEGIN = """
        import sys, underthread
        ours = underthread._core
        underthread.install()
        ours._underthread_version = "0"
        for name in [name for name in sys.modules if name.startswith("underthread")]: del sys.modules[name]
        before = set(sys.modules)
        import underthread
        """

    def test_it_is_known_by_its_version_and_no_other_is_loaded(self):
        text = """
            import _thread
            print(underthread.is_active(), underthread._core is ours is _thread)
            underthread.install()
            print(underthread.is_active(), sys.modules["_thread"] is ours)
            """
        out = run(textwrap.dedent(self.BEGIN) + textwrap.dedent(text), STOCK)
        self.assertEqual(out, "True True\nTrue True\n")

    def test_uninstall_says_that_there_is_nothing_to_put_back(self):
        text = """
            try: underthread.uninstall()
            except RuntimeError as error: print(error)
            print(underthread.is_active())
            """
        out = run(textwrap.dedent(self.BEGIN) + textwrap.dedent(text), STOCK).splitlines()
        self.assertRegex(out[0], "^underthread cannot be uninstalled: .* no other to put back$")
        self.assertEqual(out[1:], ["True"])


if __name__ == "__main__":
    unittest.main()
