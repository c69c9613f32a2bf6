"""Dumps that another process asks for: `underthread dump PID`."""

import json
import os
import signal
import subprocess
import unittest

from dumped import Running, ask
from programs import OURS, Program, wait_for


class DumpCommand(unittest.TestCase):
    def test_it_prints_what_another_process_does(self):
        program = Running(self, "dead_lock(); say_ready(); read()", "--deadlock", "off").await_ready()
        ended = ask(program.pid)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertTrue(ended.stdout.startswith(f"underthread: process {program.pid}\n3 threads: "), ended.stdout)
        self.assertRegex(ended.stdout, "(?m)^deadlock: ")
        program.answer()
        self.assertEqual(program.stderr, "")

    def test_json_has_all_of_it(self):
        program = Running(
            self,
            r'''
    underthread.name(threading.Lock(), "gone")
    dead_lock()
    def f(): time.sleep(3600)
    begin(f, 'a "name" \\ \u00e4\U0001f600')
    say_ready()
    read()
    ''',
            "--deadlock", "off",
        ).await_ready()
        all_of_it = json.loads(ask("--json", program.pid).stdout)
        self.assertEqual(all_of_it["process"], program.pid)
        threads = {thread["name"]: thread for thread in all_of_it["threads"]}
        self.assertEqual(set(threads), {"MainThread", "one", "two", 'a "name" \\ \u00e4\U0001f600'})
        one, two = threads["one"], threads["two"]
        self.assertEqual((one["wait"]["kind"], one["wait"]["lock_name"]), ("lock", "orders"))
        self.assertEqual((one["wait"]["blocker"], one["wait"]["left"], one["daemon"]), (two["ident"], None, True))
        self.assertEqual(one["stack"][0]["function"], "take")
        self.assertIsNone(threads["MainThread"]["wait"])
        [deadlock] = all_of_it["deadlocks"]
        self.assertEqual((deadlock["kind"], set(deadlock["threads"])), ("certain", {one["ident"], two["ident"]}))
        self.assertEqual({lock["name"]: lock["holder"] for lock in all_of_it["locks"]}, {"accounts": one["ident"], "orders": two["ident"]})
        program.answer()

    def test_in_json_what_a_signal_handler_has_written_is_text(self):
        program = Running(self, "stick(ctypes.PyDLL(None))").await_asleep()
        self.assertIn("no thread could take the GIL", json.loads(ask("--json", program.pid).stdout)["plain"])

    def test_the_child_of_a_fork_and_a_python_process_that_was_started_can_be_asked(self):
        text = """
    import subprocess
    if sys.argv[1:] == ["started"]:
        print(os.getpid(), flush=True)
        time.sleep(3600)
    started = subprocess.Popen([sys.executable, __file__, "started"], stdout=subprocess.PIPE, text=True)
    print(started.stdout.readline().strip(), flush=True)
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        time.sleep(3600)
    read()
    started.kill()
    os.kill(child, signal.SIGKILL)
    started.wait(), os.wait()
    """
        program = Running(self, text)
        pids = [int(program.process.stdout.readline()) for _ in range(2)]
        for pid in pids:
            self.assertIn(f"underthread: process {pid}\n1 thread: ", ask(pid).stdout)
        program.answer()
        self.assertEqual(program.stderr, "")

    def test_a_fork_while_dumps_are_asked_for_hinders_neither(self):
        program = Running(
            self,
            """
    say_ready()
    for _ in range(100):
        if os.fork() == 0: os._exit(0)
        os.wait()
    print("went on")
    read()
    """,
        ).await_ready()
        for _ in range(5):
            self.assertIn("1 thread: ", ask(program.pid).stdout)
        self.assertEqual(program.answer(), "went on\n")

    def test_a_process_that_has_become_another_is_left_alone(self):
        program = Running(self, "say_ready(); read(); os.execv(sys.executable, [sys.executable, '-I', '-c', 'import time; time.sleep(3600)'])").await_asleep()
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        wait_for(lambda: "is not on underthread" in ask(program.pid).stderr, "another program")
        self.assertIsNone(program.process.poll())

    def test_a_process_that_cannot_be_asked_is_left_alone(self):
        stock = subprocess.Popen([OURS[0], "-c", "print(1, flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(stock.wait)
        self.addCleanup(stock.kill)
        stock.stdout.readline()
        ended = ask(stock.pid)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn(f"underthread: process {stock.pid} (", ended.stderr)
        self.assertIn(") is not on underthread: start it by `underthread FILE`\n", ended.stderr)
        self.assertIsNone(stock.poll())
        stock.communicate(b"\n")

        off = Running(self, "say_ready(); read()", "--dump-signal", "off").await_ready()
        self.assertIn("is on underthread, and takes no requests", ask(off.pid).stderr)
        self.assertEqual(ask(stock.pid).stderr, f"underthread: there is no process {stock.pid}\n")
        off.answer()

    def test_one_that_does_not_answer_is_told_why(self):
        program = Running(self, "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); say_ready(); read()").await_ready()
        self.assertRegex(ask("--timeout", "0.3", program.pid).stderr, r"process \d+ blocks signal \d+ in all its threads")
        program.answer()
        program = Running(self, "say_ready(); read()").await_ready()
        os.kill(program.pid, signal.SIGSTOP)
        self.assertRegex(ask("--timeout", "0.3", program.pid).stderr, r"process \d+ is stopped ")
        os.kill(program.pid, signal.SIGCONT)
        program.answer()
        program = Running(
            self, "signal.signal(signal.SIGURG, signal.SIG_DFL); say_ready(); read()"
        ).await_ready()
        self.assertRegex(ask(program.pid).stderr, r"process \d+ has reset signal \d+, by which it could be asked")
        program.answer()

    def test_who_asks_and_goes_away_leaves_nothing_behind(self):
        # SIGPIPE has its default action: it would end the program.
        program = Running(
            self,
            """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for i in range(50): begin(lambda: time.sleep(3600), "sleeper %d" % i)
    before = len(os.listdir("/proc/self/fd"))
    say_ready()
    read()
    print(len(os.listdir("/proc/self/fd")) - before)
    """,
        ).await_ready()
        for _ in range(10):
            asking = subprocess.Popen([*OURS, "dump", str(program.pid)], stdout=subprocess.PIPE)
            asking.stdout.read(1)
            asking.kill()
            asking.wait()
            asking.stdout.close()
        ask(program.pid)
        self.assertEqual(program.answer(), "0\n")

    def test_wrong_words_are_an_error(self):
        for words in ((), ("x",), ("-1",), ("1", "2"), ("--timeout", "0", "1"), ("--timeout",), ("--yaml", "1")):
            ended = ask(*words)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""), words)
            self.assertIn("\nusage: underthread dump [--json] [--timeout SECONDS] PID\n", ended.stderr)
        self.assertEqual(ask("--help").returncode, 0)

    def test_a_word_that_is_neither_a_file_nor_a_command_is_told_so(self):
        with Program("print('mine')", name="dump") as program:
            self.assertIn("there is no command 'dmup' either; the commands are: dump\n", program.run(OURS, "dmup").stderr)
            self.assertEqual(program.run(OURS, "./dump").stdout, "mine\n")


if __name__ == "__main__":
    unittest.main()
