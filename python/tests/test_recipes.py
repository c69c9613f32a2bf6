"""The recipes of docs/recipes.md do what the page says. Their text is taken from the page."""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import unittest

from processes import Process
from programs import AWAIT_MAIN, OURS, STOCK, Program, wait_for

PAGE = os.path.join(os.environ["UNDERTHREAD_SOURCE_DIR"], "docs", "recipes.md")
SINCE_3_15 = sys.version_info >= (3, 15)

with open(PAGE, encoding="utf-8") as page:
    TEXT = page.read()
RECIPES = dict(re.findall(r"^<!-- recipe: (\S+) -->\n```\w+\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


def table(name):
    """The rows of a table of the page, each as the texts of its cells."""
    lines = TEXT.partition(f"<!-- table: {name} -->\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def program_with(text, *recipes):
    program = Program(text)
    for recipe in recipes:
        program.write(recipe, RECIPES[recipe])
    return program


def run(text, *recipes, on=OURS, env=None, stderr=""):
    """What a program printed that imports those recipes. It must end well, with nothing else on stderr."""
    with program_with(text, *recipes) as program:
        ended = program.run(on, env={**os.environ, **(env or {})})
    if ended.returncode != 0 or not re.fullmatch(stderr, ended.stderr, re.DOTALL):
        raise AssertionError(f"status {ended.returncode}\n--- stdout\n{ended.stdout}\n--- stderr\n{ended.stderr}")
    return ended.stdout


class Page(unittest.TestCase):
    def test_every_python_block_of_the_page_has_a_name_and_a_test(self):
        self.assertEqual(len(re.findall("^```python$", TEXT, re.MULTILINE)), sum(n.endswith(".py") for n in RECIPES))
        with open(os.path.abspath(__file__), encoding="utf-8") as file:
            tests = file.read()
        for name in RECIPES:
            with self.subTest(name):
                self.assertIn(f'"{name}"', tests)


class LimitedServer(unittest.TestCase):
    SETUP = """
        import queue, socket, sys, threading, time, urllib.error, urllib.request
        from http.server import ThreadingHTTPServer
        from limited_server import Handler
        import underthread
        silent, other = socket.socketpair()
        class Short(Handler):
            limit = 0.2
            def log_message(self, *_): pass
            def respond(self):
                if self.path == "/waits": queue.Queue().get()
                if self.path == "/event": threading.Event().wait(3600)
                if self.path == "/computes":
                    while True: len("")
                if self.path == "/silent":
                    silent.settimeout(0.1)
                    silent.recv(1)
                if self.path == "/drips":
                    silent.settimeout(3600)
                    while True:
                        other.send(b".")
                        silent.recv(1)
                return b"in time"
        server = ThreadingHTTPServer(("127.0.0.1", 0), Short)
        def get(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}") as reply:
                    return reply.status, reply.read().decode()
            except urllib.error.HTTPError as error: return error.code, error.reason
        threading.Thread(target=server.serve_forever).start()
        """

    def test_a_request_over_its_limit_is_answered_with_503_whatever_it_waits_for(self):
        out = run(
            self.SETUP
            + """
        for path in "/", "/waits", "/event", "/computes", "/drips", "/": print(path, *get(path))
        server.shutdown()
        """,
            "limited_server.py",
        )
        over = "503 the time limit of 0.2 s is over"
        self.assertEqual(
            out.splitlines(),
            [
                "/ 200 in time",
                f"/waits {over} (waiting for a lock)",
                f"/event {over} (waiting for a lock)",
                f"/computes {over}",
                f"/drips {over}",
                "/ 200 in time",
            ],
        )

    def test_a_socket_in_a_request_ends_by_its_own_timeout(self):
        out = run(
            self.SETUP
            + """
        Short.limit = 3600
        print(*get("/silent"))
        server.shutdown()
        """,
            "limited_server.py",
        )
        self.assertEqual(out, "503 timed out\n")

    def test_a_client_that_sends_nothing_loses_its_connection(self):
        out = run(
            self.SETUP
            + """
        Short.timeout = Handler.__dict__["timeout"] / 30
        with socket.create_connection(server.server_address) as client: print(client.recv(1))
        server.shutdown()
        """,
            "limited_server.py",
        )
        self.assertEqual(out, "b''\n")

    def test_a_limit_ends_recv_in_a_thread_since_3_15_and_before_that_only_the_peer_does(self):
        out = run(
            """
        import socket, threading, time, underthread
        ours, peer = socket.socketpair()
        def work():
            global limit
            try:
                with underthread.time_limit(0.05) as limit:
                    begun.set()
                    ours.recv(1)
            except TimeoutError: print("over")
        begun = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        while not limit.expired: time.sleep(0.001)
        # Where recv is ended by it, it has the time for that. The byte says which of the two ended it.
        thread.join(0.3)
        peer.send(b"x")
        thread.join()
        try: ours.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError: print("recv had lasted until the byte came")
        """
        )
        self.assertEqual(out, "over\n" if SINCE_3_15 else "over\nrecv had lasted until the byte came\n")


class Interrupting(unittest.TestCase):
    def test_an_interrupt_is_raised_in_its_block_if_it_was_accepted_and_else_nowhere(self):
        out = run(
            """
        import collections, gc, random, sys, threading
        from interruptible import Interruptible
        class Stop(BaseException): pass
        sys.setswitchinterval(1e-6)
        gc.disable()
        chance = random.Random(1)
        def spin(count): return sum(1 for _ in range(count))
        def task(count):
            begun.append(True)
            spin(count)
        # Each try is a block, and then other code of the same thread.
        def work():
            while True:
                turn.acquire()
                if not block: break
                raised = False
                try: block.run(task, chance.randrange(2000))
                except Stop: raised = True
                try: spin(20)
                except Stop: wrong.append("after the block")
                told.append(raised)
                done.release()
        wrong, told, seen, delay = [], [], collections.Counter(), 0
        turn, done = threading.Semaphore(0), threading.Semaphore(0)
        worker = threading.Thread(target=work)
        worker.start()
        # The delay goes to where the block ends at about the moment when the interrupt is sent.
        while sum(seen.values()) < 4000 or min(seen[True], seen[False]) < 500:
            block, begun, early = Interruptible(), [], chance.random() < 0.05
            turn.release()
            while not (begun or early): pass
            spin(delay)
            accepted = block.interrupt(Stop)
            delay = max(0, delay + (20 if accepted else -20))
            if accepted and block.interrupt(Stop): wrong.append("twice")
            done.acquire()
            if told[-1] != accepted: wrong.append((told[-1], accepted))
            if block.interrupt(Stop): wrong.append("after its end")
            seen[accepted] += 1
        block = None
        turn.release()
        worker.join()
        print(wrong)
        """,
            "interruptible.py",
        )
        self.assertEqual(out, "[]\n")

    def test_what_comes_while_the_block_closes_is_raised_when_that_is_done(self):
        out = run(
            """
        import threading
        from interruptible import Interruptible
        class Stop(BaseException): pass
        ended, ready, sent = threading.Event(), threading.Event(), threading.Event()
        class Lock:
            inner = threading.Lock()
            def __enter__(self):
                if threading.current_thread() is worker and ended.is_set():
                    ready.set()
                    sent.wait()
                    print("closes")
                self.inner.acquire()
            def __exit__(self, *_): self.inner.release()
        block = Interruptible()
        block._lock = Lock()
        def work():
            try: block.run(ended.set)
            except Stop: print("raised")
        worker = threading.Thread(target=work)
        worker.start()
        ready.wait()
        print(block.interrupt(Stop), flush=True)
        sent.set()
        worker.join()
        print(Lock.inner.locked())
        """,
            "interruptible.py",
        )
        self.assertEqual(out, "True\ncloses\nraised\nFalse\n")

    def test_what_is_sent_before_the_block_is_raised_at_its_start(self):
        out = run(
            """
        from interruptible import Interruptible
        block = Interruptible()
        print(block.interrupt(KeyError("early")), block.interrupt(KeyError))
        try: block.run(print, "not run")
        except KeyError as error: print(error)
        """,
            "interruptible.py",
        )
        self.assertEqual(out, "True False\n'early'\n")


class StopWorkers(unittest.TestCase):
    def start(self, text):
        program = Program(text)
        self.addCleanup(program.__exit__)
        program.write("interruptible.py", RECIPES["interruptible.py"])
        return Process(self, program)

    def test_a_signal_ends_the_program_with_its_status_once_all_workers_have_cleaned_up(self):
        for signum, status in (signal.SIGTERM, 143), (signal.SIGINT, 130):
            with self.subTest(signum):
                process = self.start(RECIPES["stop_workers.py"])
                process.await_threads(5)
                process.send(signum)
                self.assertEqual(process.finish(), (status, "cleaned up\n" * 4, ""))

    def test_the_signal_may_come_while_workers_start_and_while_they_work(self):
        text = RECIPES["stop_workers.py"].replace("if __name__", "if not __name__")
        text += """
import os, sys, time
def signal_after(microseconds):
    if os.fork() == 0:
        time.sleep(microseconds / 1e6)
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(0)
for number in range(20): jobs.put(lambda: sum(range(100)))
signal.signal(signal.SIGTERM, stop)
signal_after(int(sys.argv[1]))
sys.exit(main())
"""
        with Program(text) as program:
            program.write("interruptible.py", RECIPES["interruptible.py"])
            for microseconds in range(0, 3000, 200):
                with self.subTest(microseconds):
                    ended = program.run(OURS, program.name, str(microseconds))
                    self.assertEqual((ended.returncode, ended.stderr), (143, ""))
                    # Those that had begun; none is left behind, or the program would not have ended.
                    self.assertRegex(ended.stdout, r"\A(cleaned up\n){0,4}\Z")

    def test_more_signals_do_not_cut_the_clean_up_short(self):
        text = RECIPES["stop_workers.py"].replace(
            'print("cleaned up', 'print("begun\\n", end="", flush=True); go_on.wait(); print("cleaned up'
        )
        text = text.replace(
            "def serve",
            "go_on = threading.Event()\n"
            "threading.Thread(target=lambda: input() or go_on.set(), daemon=True).start()\n\n\n"
            "def serve",
        )
        process = self.start(text)
        slept = process.await_threads(6)
        for signum in signal.SIGTERM, signal.SIGTERM, signal.SIGINT:
            process.send(signum)
            slept = process.await_sleep(slept)
        process.process.stdin.write("\n")
        process.process.stdin.flush()
        status, out, err = process.finish()
        self.assertEqual((status, out.count("begun"), out.count("cleaned up"), err), (143, 4, 4, ""))


class Pools(unittest.TestCase):
    def test_an_interrupted_idle_worker_loses_the_next_task_and_is_not_replaced(self):
        out = run(
            """
        import threading, underthread
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        worker = pool.submit(threading.current_thread).result()
        underthread.interrupt(worker, SystemExit)
        future = pool.submit(print, "not run")
        worker.join()
        more = pool.submit(print, "not run either")
        print(future.done(), more.done(), [t for t in threading.enumerate() if t is not threading.main_thread()])
        """,
            stderr="Exception in worker.*SystemExit\n",
        )
        self.assertEqual(out, "False False []\n")

    def test_a_stopped_task_ends_with_interrupted_and_no_other_task_or_worker_is_hit(self):
        out = run(
            """
        import collections, gc, queue, random, sys, threading
        from concurrent.futures import CancelledError, ThreadPoolExecutor
        from pool_tasks import Interrupted, Task
        sys.setswitchinterval(1e-6)
        gc.disable()
        chance = random.Random(1)
        def spin(count): return sum(1 for _ in range(count))
        def task(count):
            begun.append(True)
            return spin(count)
        seen, workers, delay = collections.Counter(), set(), 0
        ends = ("CancelledError", True), ("Interrupted", True), ("result", False)
        with ThreadPoolExecutor(1) as pool:
            # As above: the delay goes to where the task ends at about the moment when it is stopped.
            while sum(seen.values()) < 3000 or min(seen[end] for end in ends) < 100:
                count, begun, early = chance.randrange(2000), [], chance.random() < 0.2
                first, second = Task(pool, task, count), pool.submit(spin, 20)
                third = pool.submit(threading.get_ident)
                while not (begun or early): pass
                if not early: spin(delay)
                stopped = first.stop()
                if not early: delay = max(0, delay + (20 if stopped else -20))
                try: how = "result" if first.future.result() == count else "wrong"
                except (CancelledError, Interrupted) as error: how = type(error).__name__
                seen[how, stopped] += 1
                assert second.result() == 20
                workers.add(third.result())
            waiting = Task(pool, queue.Queue().get)
            while not waiting.future.running(): pass
            print(waiting.stop(), waiting.stop(), type(waiting.future.exception()).__name__)
        print(sorted(set(seen) - set(ends)), len(workers))
        """,
            "interruptible.py",
            "pool_tasks.py",
        )
        self.assertEqual(
            out.splitlines(),
            ["True False Interrupted", "[] 1"],
        )


class Asyncio(unittest.TestCase):
    def test_a_limit_in_the_thread_ends_it_and_asyncio_run_does_not_wait(self):
        out = run(
            """
        import asyncio, concurrent.futures, queue
        from limited_thread import in_thread, limited
        async def main():
            print(await in_thread(3600, pow, 2, 5))
            try: await in_thread(0.05, queue.Queue().get)
            except TimeoutError as error: print(error)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                try: await asyncio.get_running_loop().run_in_executor(pool, limited, 0.05, queue.Queue().get)
                except TimeoutError as error: print(error)
        asyncio.run(main())
        """,
            "limited_thread.py",
        )
        self.assertEqual(out, "32\n" + "the time limit of 0.05 s is over (waiting for a lock)\n" * 2)

    def test_wait_for_leaves_the_thread_waiting(self):
        out = run(
            """
        import asyncio, queue
        items = queue.Queue()
        async def main():
            try: await asyncio.wait_for(asyncio.to_thread(items.get), 0.05)
            except (asyncio.TimeoutError, TimeoutError): print("over")
            items.put("for a thread that still waits")
        asyncio.run(main())  # waits for it
        print(items.empty())
        """
        )
        self.assertEqual(out, "over\nTrue\n")

    def test_time_limit_in_a_task_cancels_what_it_awaits_and_interrupts_what_does_not_await(self):
        out = run(
            """
        import asyncio, underthread
        async def limited(wait):
            try:
                with underthread.time_limit(0.05): await wait()
            except TimeoutError as error: print(error)
        async def forever(): await asyncio.Event().wait()
        async def busy():
            while True: len("")
        async def other(): return [await asyncio.sleep(0, n) for n in range(50)]
        async def main():
            for wait in forever, busy:
                _, numbers = await asyncio.gather(limited(wait), other())
                print(numbers == list(range(50)))
        asyncio.run(main())
        """
        )
        self.assertEqual(out, "the time limit of 0.05 s is over\nTrue\n" * 2)

    @unittest.skipIf(sys.version_info < (3, 11), "asyncio.timeout came with 3.11")
    def test_asyncio_timeout_works_as_ever(self):
        out = run(
            """
        import asyncio
        async def main():
            try:
                async with asyncio.timeout(0.05): await asyncio.Event().wait()
            except TimeoutError: print("over")
        asyncio.run(main())
        """
        )
        self.assertEqual(out, "over\n")


class CtrlC(unittest.TestCase):
    PROGRAM = """
        import queue, signal, sys, threading, time
        from concurrent.futures import ThreadPoolExecutor
        shape, handler = sys.argv[1:]
        if handler == "stop_threads":
            from stop_threads import stop_threads
            signal.signal(signal.SIGINT, stop_threads)
        def work():
            try:
                begun.release()
                if shape == "sleep": time.sleep(3600)
                queue.Queue().get()
            finally: print("cleaned up\\n", end="", flush=True)
        begun = threading.Semaphore(0)
        def say():
            for _ in range(2): begun.acquire()
            print("busy", flush=True)
        if shape in ("threads", "sleep"):
            for _ in range(2): threading.Thread(target=work).start()
            say()
        elif shape == "executor":
            executor = ThreadPoolExecutor(2)
            for _ in range(2): executor.submit(work)
            say()
        else:
            with ThreadPoolExecutor(2) as executor:
                futures = [executor.submit(work) for _ in range(6 if shape == "queued" else 2)]
                say()
                if shape != "with": futures[0].result()
        """

    def presses(self, shape, on, handler):
        """How often Ctrl-C had to be pressed, and whether the threads cleaned up, as the page says it."""
        with program_with(self.PROGRAM, "stop_threads.py") as program:
            process = Process(self, program, on, program.name, shape, handler)
            self.assertEqual(process.read_line(), "busy\n")
            count, slept = 0, process.await_sleep()
            while not process.has_ended():
                process.send(signal.SIGINT)
                count += 1
                self.assertLess(count, 10)
                slept = process.await_sleep(slept)
            _, out, _ = process.finish()
        whole = out.count("cleaned up") >= (6 if shape == "queued" else 2)
        return f"{count}, {'cleaned up' if whole else 'not cleaned up'}"

    def test_it_has_to_be_pressed_as_often_as_the_page_says(self):
        rows = table("ctrl-c")
        self.assertEqual(len(rows), 5)
        for shape, stock, ours, with_handler in rows:
            shape = shape.split("`")[1]
            for on, handler, expected in (
                (STOCK, "none", stock),
                (OURS, "none", ours),
                (OURS, "stop_threads", with_handler),
            ):
                with self.subTest(shape, on=on, handler=handler):
                    self.assertEqual(self.presses(shape, on, handler), expected)

    def test_the_second_ends_a_program_whose_threads_sleep_and_since_3_15_one_is_enough(self):
        self.assertEqual(
            self.presses("sleep", OURS, "stop_threads"), "1, cleaned up" if SINCE_3_15 else "2, not cleaned up"
        )

    def test_the_handler_raises_keyboard_interrupt_in_the_main_thread(self):
        text = """
        import signal, threading
        from stop_threads import stop_threads
        signal.signal(signal.SIGINT, stop_threads)
        print("busy", flush=True)
        try: threading.Event().wait()
        except KeyboardInterrupt: print("interrupted")
        """
        with program_with(text, "stop_threads.py") as program:
            process = Process(self, program)
            self.assertEqual(process.read_line(), "busy\n")
            process.await_sleep()
            process.send(signal.SIGINT)
            self.assertEqual(process.finish(), (0, "interrupted\n", ""))

    def test_one_is_enough_for_a_pool_with_tasks_in_its_queue(self):
        text = """
        import queue, threading
        from stop_pool import run_all
        begun = threading.Semaphore(0)
        def work(number):
            try:
                begun.release()
                queue.Queue().get()
            finally: print("cleaned up\\n", end="", flush=True)
        def say():
            for _ in range(2): begun.acquire()
            print("busy", flush=True)
        print(run_all(abs, [-1, 2], 2), flush=True)
        threading.Thread(target=say).start()
        try: run_all(work, range(6), 2)
        except KeyboardInterrupt: print("stopped")
        """
        with program_with(text, "stop_pool.py", "pool_tasks.py", "interruptible.py") as program:
            process = Process(self, program)
            self.assertEqual([process.read_line(), process.read_line()], ["[1, 2]\n", "busy\n"])
            process.await_sleep()
            process.send(signal.SIGINT)
            self.assertEqual(process.finish(), (0, "cleaned up\n" * 2 + "stopped\n", ""))

    def test_what_a_task_raises_ends_the_others(self):
        out = run(
            """
        import queue
        from stop_pool import run_all
        def work(number):
            if number == 0: raise KeyError("first")
            queue.Queue().get()
        try: run_all(work, range(6), 3)
        except KeyError as error: print(error)
        """,
            "stop_pool.py",
            "pool_tasks.py",
            "interruptible.py",
        )
        self.assertEqual(out, "'first'\n")


class Options(unittest.TestCase):
    def test_each_is_taken_as_python_takes_it(self):
        rows = table("options")
        self.assertGreaterEqual(len(rows), 7)
        text = """
        import sys, warnings
        print(sys.flags, sys.warnoptions, sys._xoptions, sys.argv[1:], __debug__, sys.stdout.line_buffering)
        print(getattr(sys, "orig_argv", None), sys.stdout.write_through)
        """
        with Program(text, "app.py") as program:
            for row in rows:
                stock, ours = (shlex.split(cell.strip("`")) for cell in row)
                with self.subTest(" ".join(ours)):
                    self.assertEqual((stock[0], ours[0]), ("python", "python"))
                    self.assertIn("-m underthread", " ".join(ours))
                    told = [program.run(STOCK, *words[1:]) for words in (stock, ours)]
                    self.assertEqual([each.returncode for each in told], [0, 0])
                    self.assertEqual(told[0].stdout, told[1].stdout)
                    self.assertEqual(told[0].stderr, told[1].stderr)

    def test_the_process_id_stays(self):
        with Program("import os, _thread; print(os.getpid(), hasattr(_thread, '_underthread'))") as program:
            process = Process(self, program, [*OURS, "-u", "-X", "dev"])
            self.assertEqual(process.finish(), (0, f"{process.pid} True\n", ""))


class Servers(unittest.TestCase):
    APPLICATION = """
        import queue, sys, underthread
        from limited_app import Limited
        def answer(environ, start_response):
            try:
                if environ["PATH_INFO"] == "/waits": queue.Queue().get()
            finally: print("cleaned up", file=sys.stderr, flush=True)
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield f"on underthread: {underthread.is_active()}".encode()
        app = Limited(answer, 0.2)
        """

    def test_install_after_a_fork_is_enough_for_the_threads_of_the_worker(self):
        # What post_fork relies on, with the standard library's server in the place of gunicorn's worker.
        text = """
        import os, sys, threading, urllib.error, urllib.request
        import socketserver, wsgiref.simple_server
        class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer): pass
        class Handler(wsgiref.simple_server.WSGIRequestHandler):
            def log_message(self, *_): pass
        server = Server(("127.0.0.1", 0), Handler)
        assert not hasattr(__import__("_thread"), "_underthread")
        if os.fork() == 0:
            import gunicorn_conf
            gunicorn_conf.post_fork(None, None)
            from application import app
            server.set_app(app)
            for _ in range(2): server.handle_request()
            server.server_close()
            os._exit(0)
        for path in "/", "/waits":
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}") as reply:
                    print(reply.status, reply.read().decode())
            except urllib.error.HTTPError as error: print(error.code, error.read().decode())
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        """
        with program_with(text, "gunicorn_conf.py", "limited_app.py") as program:
            program.write("application.py", self.APPLICATION)
            ended = program.run(STOCK)
        self.assertEqual(
            (ended.returncode, ended.stdout.splitlines(), ended.stderr),
            (
                0,
                ["200 on underthread: True", "503 the time limit of 0.2 s is over (waiting for a lock)", "0"],
                "cleaned up\n" * 2,
            ),
        )

    @unittest.skipUnless(importlib.util.find_spec("gunicorn"), "gunicorn is not installed for this interpreter")
    def test_gunicorn_limits_requests_and_ends_on_sigterm(self):
        import http.client
        import socket

        ways = {
            "post_fork": (["-m", "gunicorn", "-c", "gunicorn_conf.py"], RECIPES["gunicorn_conf.py"]),
            "-m underthread": (
                ["-m", "underthread", "-m", "gunicorn", "-c", "gunicorn_conf.py"],
                RECIPES["gunicorn_conf.py"].partition("def post_fork")[0],
            ),
        }
        for name, (words, configuration) in ways.items():
            with self.subTest(name), program_with("", "limited_app.py") as program:
                program.write("application.py", self.APPLICATION.replace("0.2", "2"))
                program.write("gunicorn_conf.py", configuration)
                path = os.path.join(program.directory, "socket")
                log = open(os.path.join(program.directory, "log"), "w+")
                self.addCleanup(log.close)
                server = subprocess.Popen(
                    [sys.executable, *words, "--bind", f"unix:{path}", "application:app"],
                    cwd=program.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, "HOME": program.directory},
                )

                def kill(group=server.pid):
                    try:
                        os.killpg(group, signal.SIGKILL)
                    except ProcessLookupError:
                        pass

                self.addCleanup(server.wait)
                self.addCleanup(kill)

                def ask(target):
                    connection = http.client.HTTPConnection("localhost")
                    connection.sock = socket.socket(socket.AF_UNIX)
                    self.addCleanup(connection.sock.close)
                    connection.sock.settimeout(60)
                    connection.sock.connect(path)
                    connection.request("GET", target)
                    return connection

                def told(connection):
                    reply = connection.getresponse()
                    found = reply.status, reply.read().decode()
                    connection.close()
                    return found

                def is_up():
                    try:
                        ask("/").close()
                    except OSError:
                        return server.poll() is not None
                    return True

                wait_for(is_up, "a server that listens")
                over = (503, "the time limit of 2 s is over (waiting for a lock)")
                self.assertEqual(told(ask("/")), (200, "on underthread: True"))
                self.assertEqual(told(ask("/waits")), over)
                # A request that waits when SIGTERM comes ends by its limit, long before graceful_timeout.
                waiting = ask("/waits")
                self.assertEqual(told(ask("/")), (200, "on underthread: True"))
                server.send_signal(signal.SIGTERM)
                self.assertEqual(told(waiting), over)
                self.assertEqual(server.wait(60), 0)

    def test_the_unit_of_systemd_runs_the_program_and_its_signal_ends_it_with_success(self):
        unit = {}
        for line in RECIPES["app.service"].splitlines():
            name, equals, value = line.partition("=")
            if equals:
                unit[name] = value
        python, *words = shlex.split(unit["ExecStart"])
        self.assertEqual(os.path.basename(python), "python")
        with program_with("", "stop_workers.py", "interruptible.py") as program:
            words[-1] = os.path.join(program.directory, os.path.basename(words[-1]))
            process = Process(self, program, [sys.executable], *words)
            process.await_threads(5)
            process.send(getattr(signal, unit["KillSignal"]))
            status, out, err = process.finish()
        self.assertEqual((str(status), out, err), (unit["SuccessExitStatus"], "cleaned up\n" * 4, ""))


class AtRisk(unittest.TestCase):
    PROGRAM = (
        AWAIT_MAIN
        + """
import _thread, sys, threading
from MODULE import Reply
reply = Reply()
def other():
    await_main()
    _thread.interrupt_main()
    if not OFF: noticed.wait()
    results.append(put())
def put():
    # What put() would wait for, without waiting.
    if not reply.changed.acquire(blocking=False): return False
    reply.changed.release()
    reply.put(1)
    return True
noticed, results = threading.Event(), []
thread = threading.Thread(target=other)
thread.start()
try: reply.get()
except KeyboardInterrupt: print("interrupted")
noticed.set()
thread.join()
print("put", *results)
"""
    )

    def outcome(self, module, off):
        text = self.PROGRAM.replace("MODULE", module).replace("OFF", str(off))
        env = {"UNDERTHREAD_PROMPT": "0"} if off else {}
        return run(text, "at_risk.py", "safe.py", env=env).splitlines()

    def test_code_that_is_not_safe_in_wait_leaves_its_condition_acquired(self):
        self.assertEqual(self.outcome("at_risk", off=False), ["interrupted", "put False"])

    def test_with_prompt_interrupts_off_the_reply_comes_through_as_on_stock(self):
        self.assertEqual(self.outcome("at_risk", off=True), ["interrupted", "put True"])

    def test_code_that_holds_it_by_with_is_safe_and_prompt(self):
        self.assertEqual(self.outcome("safe", off=False), ["interrupted", "put True"])


if __name__ == "__main__":
    unittest.main()
