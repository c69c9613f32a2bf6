"""A thread that stalls is interrupted by its handle, and nothing that it has read is lost."""

import fcntl
import os
import signal
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

from programs import BUILD, finish, open_for_writing, run, start

# fcntl has a name for it from 3.10 on.
F_GETPIPE_SZ = 1032
WATCHDOG = str(BUILD / "examples" / "watchdog")


class Watchdog(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "fifo")
        os.mkfifo(self.path)
        self.stalled = f"{self.path} has stalled; opening it again\n"

    def test_a_file_is_copied(self):
        plain = self.path + ".txt"
        Path(plain).write_bytes(b"line\n" * 10_000)
        self.assertEqual(run(self, [WATCHDOG, "60", plain]), (0, "line\n" * 10_000, ""))

    def test_one_that_nobody_opens_is_given_up(self):
        status, out, err = run(self, [WATCHDOG, "0.05", self.path])
        self.assertEqual((status, out, err), (1, "", 3 * self.stalled + f"{self.path} is given up\n"))

    def open(self):
        """Whoever opens it to read need not wait, and never finds its end."""
        descriptor = os.open(self.path, os.O_RDWR)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def test_one_that_falls_silent_is_opened_again_and_what_came_is_kept(self):
        pipe = self.open()
        process = start(self, [WATCHDOG, "0.05", self.path, "1000000"])
        for number in range(5):
            os.write(pipe, b"line %d\n" % number)
            self.assertEqual(process.stdout.readline(), b"line %d\n" % number)
            self.assertEqual(process.stderr.readline().decode(), self.stalled)
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        self.assertEqual((status, out), (-signal.SIGINT, ""))
        self.assertEqual(err.replace(self.stalled, ""), "KeyboardInterrupt\n")

    def test_nothing_is_lost_where_it_is_interrupted_all_the_time(self):
        pipe = self.open()
        stderr = tempfile.TemporaryFile()  # which takes all that it says, while nobody reads it
        self.addCleanup(stderr.close)
        process = start(self, [WATCHDOG, "0.0001", self.path, "1000000"], stderr=stderr)
        for number in range(1000):
            os.write(pipe, b"%d\n" % number)
            if number % 10 == 0:
                time.sleep(0.001)  # paced, so that it stalls in between
        self.assertEqual([int(process.stdout.readline()) for _ in range(1000)], list(range(1000)))
        process.send_signal(signal.SIGINT)
        status, out, _ = finish(process)
        stderr.seek(0)
        said = stderr.read().decode().replace(self.stalled, "")
        self.assertEqual((status, out, said), (-signal.SIGINT, "", "KeyboardInterrupt\n"))

    def test_ctrl_c_ends_it_wherever_it_is(self):
        for is_opened in False, True:
            process = start(self, [WATCHDOG, "60", self.path])
            if is_opened:
                open_for_writing(self, self.path, process)
            else:
                while not any("reader" in Path(task).read_text() for task in self.names(process)):
                    time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            self.assertEqual(finish(process), (-signal.SIGINT, "", "KeyboardInterrupt\n"))

    def names(self, process):
        return [f"/proc/{process.pid}/task/{task}/comm" for task in os.listdir(f"/proc/{process.pid}/task")]

    def test_output_that_nobody_takes_is_no_stall_and_ctrl_c_ends_it_there(self):
        process = start(self, [WATCHDOG, "0.01", "/dev/zero"])
        full = fcntl.fcntl(process.stdout, F_GETPIPE_SZ)
        while int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder) < full:
            time.sleep(0.001)
        looks = self.looks(process)
        while self.looks(process) < looks + 10:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        self.assertEqual((status, err), (-signal.SIGINT, "KeyboardInterrupt\n"))

    def looks(self, process):
        """How often the main thread has gone to sleep: once between two looks at the reader."""
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def test_a_file_that_is_not_there_is_named(self):
        self.assertEqual(run(self, [WATCHDOG, "1", "/none"]), (1, "", "/none: No such file or directory\n"))

    def test_what_it_does_not_understand_gets_its_usage(self):
        for arguments in [], ["x", "y"], ["0", "y"], ["1e300", "y"], ["1"], ["1", "y", "0"]:
            self.assertEqual(run(self, [WATCHDOG, *arguments])[::2], (2, f"usage: {WATCHDOG} SECONDS FILE [TIMES]\n"))


if __name__ == "__main__":
    unittest.main()
