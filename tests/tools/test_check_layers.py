"""Every rule of tools/check_layers.py fires on a planted violation, and not on what looks like one."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR", HERE.parent.parent))
CHECK = SOURCE / "tools" / "check_layers.py"
spec = importlib.util.spec_from_file_location("check_layers", CHECK)
check_layers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_layers)


class CheckLayers(unittest.TestCase):
    def complaints(self, files):
        """What the check says about a project of these files: {path: text}."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return check_layers.check(pathlib.Path(folder))

    def assert_found(self, path, planted, part, **others):
        """`planted`, on the third line of `path`, is what is complained about, and nothing else is."""
        files = {path: f"// a file\n\n{planted}\n"}
        files.update({name.replace("__", "/"): text for name, text in others.items()})
        lines = self.complaints(files)
        self.assertTrue(lines, f"nothing found in: {planted}")
        for line in lines:
            self.assertTrue(line.startswith(f"{path}:3: "), line)
            self.assertIn(part, line)

    def assert_clean(self, path, text):
        self.assertEqual(self.complaints({path: text}), [])

    def test_upward_includes(self):
        for path, planted in (
                ("src/os/parker.cpp", '#include "lot/parking_lot.h"'),
                ("src/os/parker.h", '#include "latch.h"'),
                ("src/os/parker.h", "#include <underthread/lot/wait.h>"),
                ("src/lot/mutex.h", "#include <underthread/deadline.h>"),
                ("src/lot/mutex.cpp", '#include "latch.h"'),
                ("src/lot/mutex.cpp", '#include "../latch.h"'),
                ("include/underthread/lot/wait.h", "#include <underthread/lock.h>"),
                ("src/lock.cpp", '#include "../python/src/state/module_state.h"')):
            with self.subTest(path=path, planted=planted):
                self.assert_found(path, planted, "above it")

    def test_rooms_of_the_extension(self):
        for path, planted, header in (
                ("python/src/cpython/gil.cpp", '#include "interrupts/guard.h"', "python/src/interrupts/guard.h"),
                ("python/src/interrupts/guard.cpp", '#include "waits/blocking.h"', "python/src/waits/blocking.h"),
                ("python/src/types/lock_object.h", '#include "../module/module.h"', "python/src/module/module.h")):
            with self.subTest(path=path, planted=planted):
                self.assert_found(path, planted, "above it", **{header.replace("/", "__"): ""})
        self.assertEqual(
            self.complaints({
                "python/src/waits/blocking.cpp": '#include "interrupts/guard.h"',
                "python/src/interrupts/guard.h": ""
            }), [])
        self.assertIn("in no room", self.complaints({"python/src/elsewhere/lock.cpp": "int one;"})[0])
        self.assertIn("in no room", self.complaints({"python/src/lock.cpp": "int one;"})[0])

    def test_a_public_header_includes_public_headers_alone(self):
        self.assert_found("include/underthread/lock.h", '#include "lot/mutex.h"', "not installed")
        self.assert_found("include/underthread/lock.h", '#include "os/futex.h"', "not installed")

    def test_system_headers(self):
        for header in ("pthread.h", "unistd.h", "sys/mman.h", "linux/futex.h", "signal.h", "errno.h"):
            for path in ("src/lock.cpp", "src/lot/mutex.cpp", "include/underthread/lock.h", "python/src/module/module.cpp"):
                with self.subTest(header=header, path=path):
                    self.assert_found(path, f"#include <{header}>", "system header")

    def test_waiting_outside_os(self):
        for planted in ("pthread_mutex_lock(&mutex);", "pthread_cond_wait(&condition, &mutex);", "sem_wait(&s);",
                        "sem_timedwait(&s, &t);", "nanosleep(&t, nullptr);", "usleep(1);", "sleep(1);", "::sleep(1);",
                        "poll(nullptr, 0, -1);", "select(0, a, b, c, d);", "std::mutex mutex;",
                        "std::condition_variable condition;", "std::this_thread::sleep_for(one);",
                        "std::this_thread::yield();", "sched_yield();", "syscall(202, &word, 0);", "f(SYS_futex);",
                        "word.notify_one();", "std::thread thread(f);", "std::call_once(flag, f);",
                        "std::atomic<int> word; word.wait(1);", "std::atomic<T*> words[4]; words[2].wait(1);"):
            for path in ("src/lock.cpp", "src/lot/mutex.cpp", "python/src/module/module.cpp"):
                with self.subTest(planted=planted, path=path):
                    self.assert_found(path, planted, "waiting outside src/os")

    def test_waiting_in_os_is_what_it_is_for(self):
        self.assert_clean("src/os/futex.cpp", "#include <pthread.h>\nvoid f() { sem_wait(&s); nanosleep(&t, 0); }\n")

    def test_clock(self):
        for planted in ("auto t = std::chrono::steady_clock::now();", "clock_gettime(CLOCK_MONOTONIC, &t);"):
            with self.subTest(planted=planted):
                self.assert_found("src/lot/parking_lot.cpp", planted, "the clock outside src/os")

    def test_fences(self):
        for path in ("src/os/parker.cpp", "src/lot/parking_lot.cpp"):
            with self.subTest(path=path):
                self.assert_found(path, "std::atomic_thread_fence(order);", "a fence")

    def test_pthread_cancel(self):
        self.assert_found("src/os/native_thread.cpp", "pthread_cancel(thread);", "pthread_cancel")

    def test_thread_locals(self):
        model = '[[gnu::tls_model("initial-exec")]] '
        here = model + "extern constinit thread_local ThreadHead* this_thread;\n"
        defined = model + "constinit thread_local ThreadHead* this_thread = nullptr;\n"
        good = {"include__underthread__lot__thread_head.h": here, "src__lot__thread_record.cpp": defined}
        plain = {name.replace("__", "/"): text for name, text in good.items()}
        self.assertEqual(self.complaints(plain), [])
        for path in ("src/lock.cpp", "src/os/futex.cpp", "include/underthread/lock.h"):
            with self.subTest(path=path):
                self.assert_found(path, "thread_local int mine = 0;", "a thread-local other", **good)
        # A second definition of the one name, in the layer that may have one.
        self.assert_found("src/lot/zzz.cpp", "thread_local ThreadHead* this_thread = nullptr;",
                          "a thread-local other", **good)

    def test_the_thread_local_is_initial_exec(self):
        self.assert_found("src/lot/thread_record.cpp", "constinit thread_local ThreadHead* this_thread = nullptr;",
                          "without initial-exec")

    def test_statics_in_functions(self):
        for planted in ("int f() { static int n = 0; return n; }",
                        "void f() { if (a) { static const T t; } }",
                        "struct S { void f() { static T t; } };",
                        "auto x = g([] { static T t; return t; });"):
            for path in ("src/lock.cpp", "src/os/fatal.cpp", "include/underthread/lock.h"):
                with self.subTest(planted=planted, path=path):
                    self.assert_found(path, planted, "a static within a function")

    def test_other_statics_are_not_in_functions(self):
        self.assert_clean("src/lock.cpp", """
            namespace underthread { namespace {
            static int at_namespace_scope = 0;
            struct alignas(64) S { static int f(int a = g({1})); static constexpr int n = 1; };
            enum class E : int { a, b };
            }
            int f() { static constexpr int n = 0; static_assert(n == 0); return static_cast<int>(n); }
            extern "C" { static int c; }
            }""")

    def test_function_and_shared_ptr_in_the_lot(self):
        for planted in ("std::function<void()> f;", "std::shared_ptr<int> p;", "auto p = std::make_shared<int>();"):
            with self.subTest(planted=planted):
                self.assert_found("src/lot/parking_lot.cpp", planted, "std::function or shared_ptr")

    def test_conditional_compilation_in_public_headers(self):
        for planted in ("#if defined(__linux__)", "#ifdef X", "#ifndef X", "# if 1"):
            for path in ("include/underthread/lock.h", "include/underthread/lot/wait.h"):
                with self.subTest(planted=planted, path=path):
                    self.assert_found(path, planted, "#if in a public header")

    def test_catch_all_and_noexcept_in_the_extension(self):
        self.assert_found("python/src/module/module.cpp", "try { f(); } catch (...) {}", "catch (...)")
        self.assert_found("python/src/module/module.cpp", "void f() noexcept;", "noexcept")

    def test_gil(self):
        for planted in ("Py_BEGIN_ALLOW_THREADS", "s = PyEval_SaveThread();", "PyEval_RestoreThread(s);"):
            with self.subTest(planted=planted):
                self.assert_found("python/src/types/lock_object.cpp", planted, "the GIL is released")
        self.assert_clean("python/src/cpython/gil.cpp", "void f() { auto* s = PyEval_SaveThread(); PyEval_RestoreThread(s); }")

    def test_what_only_looks_like_a_violation(self):
        self.assert_clean("src/lock.cpp", r"""
            // std::mutex mutex; nanosleep(&t, nullptr); #include <pthread.h>
            /* sem_wait(&s);
               sched_yield(); */
            const char* text = "std::mutex \" sleep(1)"; const char* raw = R"x(std::mutex " )x";
            const int n = 1'000'000; const char quote = '"', apostrophe = '\'';
            void f() { parker.sleep(1); parker->sleep(1); lot::park(key); latch.wait(until); x.select(1); }
            #include <csignal>
            #include <cerrno>
            """)
        self.assert_clean("python/src/module/module.cpp", '#include <Python.h>\n#include <underthread/lock.h>\n')

    def test_an_apostrophe_in_a_number_hides_nothing(self):
        self.assert_found("src/lock.cpp", "const int n = 1'000; sched_yield(); const int m = 1'0;", "waiting")

    def test_a_project_without_sources_is_not_called_clean(self):
        self.assertEqual(len(self.complaints({})), 1)

    def test_exit_status(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "src", "lock.cpp")
            file.parent.mkdir()
            for text, status, said in (("int a;\n", 0, ""), ("#include <poll.h>\n", 1, "src/lock.cpp:1: ")):
                file.write_text(text)
                done = subprocess.run([sys.executable, str(CHECK), folder], text=True, stdout=subprocess.PIPE)
                self.assertEqual(done.returncode, status)
                self.assertTrue(done.stdout.startswith(said), done.stdout)

    def test_this_project(self):
        done = subprocess.run([sys.executable, str(CHECK)], text=True, stdout=subprocess.PIPE)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
