"""The standard library's users of `_thread`, at work on ours."""

import unittest

from programs import run


class Libraries(unittest.TestCase):
    def same(self, text, expected):
        self.assertEqual(run(text), expected)

    def test_condition_hands_over_in_both_directions(self):
        self.same(
            """
            import threading
            for lock in (None, threading.Lock(), threading.RLock()):
                condition, turn, seen = threading.Condition(lock), ["a"], []
                def play(mine, other):
                    for _ in range(500):
                        with condition:
                            condition.wait_for(lambda: turn[0] == mine)
                            seen.append(mine)
                            turn[0] = other
                            condition.notify()
                threads = [threading.Thread(target=play, args=pair) for pair in ("ab", "ba")]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                print("".join(seen) == "ab" * 500)
            """,
            "True\nTrue\nTrue\n",
        )

    def test_condition_keeps_a_reentered_lock(self):
        self.same(
            """
            import threading
            condition = threading.Condition()
            def notify():
                with condition: condition.notify_all()
            with condition, condition, condition:
                thread = threading.Thread(target=notify)
                thread.start()
                print(condition.wait(60), condition._is_owned())
            print(condition._is_owned())
            thread.join()
            """,
            "True True\nFalse\n",
        )

    def test_event_semaphore_barrier_and_timer(self):
        self.same(
            """
            import threading
            event, semaphore, barrier = threading.Event(), threading.BoundedSemaphore(2), threading.Barrier(5)
            inside, most = [], []
            def work():
                barrier.wait()
                with semaphore:
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                event.wait()
            threads = [threading.Thread(target=work) for _ in range(5)]
            for thread in threads: thread.start()
            timer = threading.Timer(0.01, event.set)
            timer.start()
            for thread in threads + [timer]: thread.join()
            print(max(most) <= 2, event.wait(0), threading.Event().wait(0.01))
            """,
            "True True False\n",
        )

    def test_queues(self):
        self.same(
            """
            import queue, threading
            for kind in (queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue):
                items, got, last = kind(*[3][: kind is not queue.SimpleQueue]), [], 1000
                def take():
                    while (item := items.get()) < last: got.append(item)
                threads = [threading.Thread(target=take) for _ in range(4)]
                for thread in threads: thread.start()
                for item in range(400): items.put(item)
                while not items.empty(): pass
                for thread in threads: items.put(last)
                for thread in threads: thread.join()
                print(sorted(got) == list(range(400)))
            tasks = queue.Queue()
            tasks.put(1)
            threading.Thread(target=lambda: tasks.get() and tasks.task_done()).start()
            tasks.join()
            try: tasks.get(timeout=0.01)
            except queue.Empty: print("empty")
            """,
            "True\nTrue\nTrue\nTrue\nempty\n",
        )

    def test_executor(self):
        self.same(
            """
            import concurrent.futures as futures, threading
            with futures.ThreadPoolExecutor(4, initializer=threading.local) as executor:
                jobs = [executor.submit(pow, number, 2) for number in range(100)]
                print(sum(job.result() for job in futures.as_completed(jobs)))
                print(executor.submit(lambda: 1 / 0).exception())
                never = threading.Event()
                job = executor.submit(never.wait)
                try: job.result(timeout=0.01)
                except futures.TimeoutError: print("timed out")
                never.set()
            """,
            "328350\ndivision by zero\ntimed out\n",
        )

    def test_logging_from_many_threads_writes_whole_lines(self):
        self.same(
            """
            import io, logging, threading
            stream = io.StringIO()
            logging.basicConfig(stream=stream, format="%(threadName)s %(message)s")
            def work():
                for number in range(200): logging.warning("line %d", number)
            threads = [threading.Thread(target=work) for _ in range(6)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            lines = stream.getvalue().splitlines()
            print(len(lines), all(line.startswith("Thread-") and " line " in line for line in lines))
            """,
            "1200 True\n",
        )

    def test_asyncio_subprocess_and_tempfile(self):
        self.same(
            """
            import asyncio, subprocess, sys, tempfile, threading
            async def main():
                return await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(5)))
            print(asyncio.run(main()))
            print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, timeout=60).stdout)
            with tempfile.TemporaryFile() as file: print(file.write(b"x"))
            """,
            "[1, 2, 4, 8, 16]\nb'1\\n'\n1\n",
        )


if __name__ == "__main__":
    unittest.main()
