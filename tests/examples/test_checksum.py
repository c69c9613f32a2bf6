"""The pool of threads: what it finds, and that Ctrl-C ends it wherever its threads are."""

import os
import signal
import tempfile
import time
import unittest
import zlib
from pathlib import Path

from programs import BUILD, finish, open_for_writing, run, start

CHECKSUM = str(BUILD / "examples" / "checksum")


class Checksum(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def fifo(self, name):
        path = str(self.folder / name)
        os.mkfifo(path)
        return path

    def test_each_file_has_its_line_in_the_order_given(self):
        contents = [bytes([number]) * number * 1000 for number in range(20)]
        paths = [self.file(f"{number}", content) for number, content in enumerate(contents)]
        wanted = "".join(f"{zlib.crc32(content):08x}  {path}\n" for content, path in zip(contents, paths))
        for threads in "1", "3", "50":
            self.assertEqual(run(self, [CHECKSUM, "-j", threads, *paths]), (0, wanted, ""))

    def test_a_file_that_cannot_be_read_is_named_and_the_others_are_done(self):
        good = self.file("good", b"good")
        status, out, err = run(self, [CHECKSUM, str(self.folder / "none"), good, str(self.folder)])
        self.assertEqual((status, out), (1, f"{zlib.crc32(b'good'):08x}  {good}\n"))
        self.assertEqual(err, f"{self.folder}/none: No such file or directory\n{self.folder}: Is a directory\n")

    def test_ctrl_c_ends_threads_that_wait_for_a_pipe(self):
        done = self.file("done", b"done")
        opened, never = self.fifo("opened"), self.fifo("never")
        # One thread waits for somebody who opens, the other for somebody who writes.
        process = start(self, [CHECKSUM, "-j", "2", done, opened, never])
        open_for_writing(self, opened, process)
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        self.assertEqual((status, out), (-signal.SIGINT, f"{zlib.crc32(b'done'):08x}  {done}\n"))
        self.assertEqual(err, "stopped\nKeyboardInterrupt\n")

    def test_ctrl_c_ends_it_at_any_moment(self):
        paths = [self.file(f"{number}", bytes(30_000)) for number in range(10)]
        lines = [f"{zlib.crc32(bytes(30_000)):08x}  {path}\n" for path in paths]
        for step in range(40):
            process = start(self, [CHECKSUM, *paths])
            # Paced, not waited for: the moments are what is tried.
            time.sleep(step * 0.0005)
            process.send_signal(signal.SIGINT)
            status, out, err = finish(process)
            if status == 0:
                self.assertEqual((out, err), ("".join(lines), ""))
            else:
                self.assertEqual(status, -signal.SIGINT)
                self.assertLessEqual(set(out.splitlines(True)), set(lines))
                self.assertIn(err, ("", "stopped\nKeyboardInterrupt\n", "KeyboardInterrupt\n"))

    def test_what_it_does_not_understand_gets_its_usage(self):
        for arguments in [], ["-j", "0", "x"], ["-j", "4"]:
            self.assertEqual(run(self, [CHECKSUM, *arguments])[::2], (2, f"usage: {CHECKSUM} [-j THREADS] FILE...\n"))


if __name__ == "__main__":
    unittest.main()
