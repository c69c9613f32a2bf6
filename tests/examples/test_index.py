"""index_stdlib.py on the stock _thread and on underthread, and index_files: one and the same."""

import os
import signal
import string
import sysconfig
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import programs
from programs import PATIENCE, Terminal, finish, open_for_writing, run, start

WORD_BYTES = frozenset((string.ascii_letters + string.digits + "_").encode()) | frozenset(
    range(128, 256)
)


def count_identifiers(text):
    """The definition once more, letter by letter."""
    counts = Counter()
    word = b""
    for byte in text + b" ":
        if byte in WORD_BYTES:
            word += bytes([byte])
        else:
            if word and chr(word[0]) not in string.digits:
                counts[word] += 1
            word = b""
    return counts


def index_of(counts):
    ranking = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return b"".join(b"%11d  %s\n" % (count, name) for name, count in ranking)


class Index:
    command = None
    thread_module = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.root = self.directory / "root"
        self.root.mkdir()

    def write(self, name, content=b""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def index_command(self, *flags):
        return [*self.command, "--root", str(self.root), *flags]

    def run_index(self, *flags):
        return run(self, self.index_command(*flags))

    def start_endless(self, *flags, **options):
        """A program that never gets past the second of its two files."""
        self.write("a.py", b"one two two")
        os.mkfifo(self.root / "b.py")
        return start(self, self.index_command("--threads", "1", *flags), **options)

    def test_index_is_exact(self):
        texts = {
            "plain.py": b"def f(x):\n    return x\n",
            "numbers.py": b"1 0x1f 1e5 2nd x2 _3 3_ 12abc34 a1b2",
            "borders.py": b"a.b,c(d)[e]{f}'g'\"h\"#i\\nj\r\nk\tl\0m-n",
            "bytes.py": b"na\xc3\xafve \xff\xfe 1\xff \x80 x\x7fy",
            "no_newline.py": b"last",
            "empty.py": b"",
            "package/module.py": b"self self self",
            "package.py/__init__.py": b"a directory may have such a name",
            "deep/er/x.py": b"ties: zz aa Aa _a 0",
        }
        for name, text in texts.items():
            self.write(name, text)
        self.write("elsewhere/real.txt", b"read by its link only")
        (self.root / "link.py").symlink_to(self.root / "elsewhere" / "real.txt")
        texts["link.py"] = b"read by its link only"
        for name in "site-packages/x.py", "deep/dist-packages/x.py", "notes.txt", "x.pyc", "py":
            self.write(name, b"not counted")
        (self.root / "loop").symlink_to(self.root)
        (self.root / "loop.py").symlink_to(self.root / "package")

        counts = sum((count_identifiers(text) for text in texts.values()), Counter())
        expected = index_of(counts)
        for threads in "1", "2", "7":
            with self.subTest(threads=threads):
                index = self.directory / "index"
                status, out, err = self.run_index(
                    "--threads", threads, "--top", "3", "--index", str(index)
                )
                self.assertEqual((status, err), (0, ""))
                self.assertEqual(index.read_bytes(), expected)
                lines = out.splitlines()
                self.assertEqual(lines[:3], expected.decode("latin-1").splitlines()[:3])
                self.assertEqual(
                    lines[3:-1],
                    [
                        "",
                        f"files read: {len(texts)} of {len(texts)}",
                        f"bytes read: {sum(map(len, texts.values()))}",
                        "could not be read: 0",
                        f"identifiers: {sum(counts.values())}",
                        f"different identifiers: {len(counts)}",
                        f"threads: {threads}",
                    ],
                )

    def test_twenty_are_printed(self):
        self.write("a.py", b" ".join(b"name%d" % number for number in range(30)))
        status, out, _ = self.run_index()
        self.assertEqual(status, 0)
        self.assertEqual(out.splitlines().index(""), 20)

    def test_says_which_thread_module(self):
        self.write("a.py", b"x")
        _, out, _ = self.run_index()
        self.assertRegex(out.splitlines()[-1], self.thread_module)

    def test_unreadable_is_reported_and_counted(self):
        self.write("a.py", b"fine")
        (self.root / "b.py").symlink_to(self.root / "nowhere")  # root, too, cannot read that
        status, out, err = self.run_index()
        self.assertEqual(status, 0)
        self.assertIn("files read: 1 of 2\n", out)
        self.assertIn("could not be read: 1\n", out)
        self.assertNotIn("PARTIAL", out)
        self.assertRegex(err, r"^index_\w+: cannot read .*/b\.py: No such file or directory\n$")

    def test_nothing_to_read_is_an_error(self):
        status, out, err = self.run_index()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"^index_\w+: no \.py files under .*/root\n$")

    def test_missing_root_is_an_error(self):
        self.root.rmdir()
        status, out, err = self.run_index()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"^index_\w+: no such directory: .*/root\n$")

    def test_wrong_usage(self):
        for flags, message in [
            (["--threads", "0"], "--threads: a whole number from 1 to 1000 is wanted, not '0'"),
            (["--threads", "two"], "--threads: a whole number from 1 to 1000 is wanted, not 'two'"),
            (["--seconds", "0"], "--seconds: a number above 0 is wanted, not '0'"),
            (["--seconds", "-1"], "--seconds: a number above 0 is wanted, not '-1'"),
            (["--seconds", "nan"], "--seconds: a number above 0 is wanted, not 'nan'"),
            (["--seconds", "1e300"], "--seconds: a number above 0 is wanted, not '1e300'"),
            (["--top", "1.5"], "--top: a whole number from 1 to 1000000 is wanted, not '1.5'"),
            (["--top"], "--top"),
            (["--nonsense"], "--nonsense"),
            (["extra"], "unrecognized arguments: extra"),
        ]:
            with self.subTest(flags=flags):
                status, out, err = self.run_index(*flags)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("usage: ", err)
                self.assertIn(message, err)

    def test_help(self):
        status, out, err = run(self, [*self.command, "--help"])
        self.assertEqual((status, err), (0, ""))
        for flag in "--root", "--threads", "--seconds", "--top", "--index", "--no-progress":
            self.assertIn(flag, out)

    def test_results_that_cannot_be_written_are_an_error(self):
        self.write("a.py", b"x")
        with open("/dev/full", "wb") as full:
            status, _, err = run(self, self.index_command(), stdout=full)
        self.assertNotEqual(status, 0)
        self.assertIn("No space left on device", err)

    def test_sigint_stops_at_once_and_keeps_what_was_read(self):
        index = self.directory / "index"
        process = self.start_endless("--index", str(index))
        open_for_writing(self, self.root / "b.py", process)
        process.send_signal(signal.SIGINT)
        status, out, err = finish(process)
        self.assertEqual(status, -signal.SIGINT)
        self.assertIn("          2  two\n          1  one\n\nfiles read: 1 of 2\n", out)
        self.assertTrue(out.endswith("\nPARTIAL: Ctrl-C\n"), out)
        self.assertNotIn("Traceback", err)
        self.assertFalse(index.exists(), "a partial index was written")

    def check_time_is_up(self, process):
        status, out, err = finish(process)
        self.assertEqual((status, err), (124, ""))
        # On a busy machine the time may be up before anything has been read, or even listed.
        self.assertRegex(out, r"\nfiles read: (1 of 2|0 of 2|0 of 0)\n")
        self.assertTrue(out.endswith("\nPARTIAL: 0.5 seconds were up\n"), out)

    def test_seconds_stop_it(self):
        index = self.directory / "index"
        self.check_time_is_up(self.start_endless("--seconds", "0.5", "--index", str(index)))
        self.assertFalse(index.exists(), "a partial index was written")

    def test_seconds_stop_it_where_sigint_is_ignored(self):
        process = self.start_endless(
            "--seconds", "0.5", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
        )
        process.send_signal(signal.SIGINT)
        self.check_time_is_up(process)

    def test_seconds_that_are_enough_change_nothing(self):
        self.write("a.py", b"x")
        status, out, err = self.run_index("--seconds", str(PATIENCE))
        self.assertEqual((status, err), (0, ""))
        self.assertNotIn("PARTIAL", out)

    def test_ctrl_c_ends_it_while_nobody_reads_the_results(self):
        self.write("a.py", b" ".join(b"name%d" % number for number in range(20000)))
        process = start(self, self.index_command("--top", "20000"))
        # More than the pipe holds: it blocks, having printed something.
        self.assertTrue(os.read(process.stdout.fileno(), 1))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), -signal.SIGINT)

    def test_terminal_shows_progress_and_ctrl_c_works(self):
        self.write("a.py", b"one two two")
        os.mkfifo(self.root / "b.py")
        terminal = Terminal(self, self.index_command("--threads", "1"))
        terminal.read_until("] 1/2 files, 0.0 MB")
        terminal.press(b"\x03")
        self.assertEqual(terminal.finish(), -signal.SIGINT)
        self.assertIn("PARTIAL: Ctrl-C", terminal.seen)

    def test_terminal_shows_the_end_of_progress(self):
        self.write("a.py", b"x")
        terminal = Terminal(self, self.index_command())
        self.assertEqual(terminal.finish(), 0)
        self.assertIn("\r[##############################] 1/1 files, 0.0 MB\r\n", terminal.seen)

    def test_no_progress_if_so_asked(self):
        self.write("a.py", b"x")
        terminal = Terminal(self, self.index_command("--no-progress"))
        self.assertEqual(terminal.finish(), 0)
        self.assertNotIn("files,", terminal.seen)


class OnStock(Index, unittest.TestCase):
    command = programs.ON_STOCK
    thread_module = r"^_thread: built-in$"


@unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
class OnUnderthread(Index, unittest.TestCase):
    command = programs.ON_UNDERTHREAD
    thread_module = r"^_thread: .*/underthread/_core\..*\.so$"


class InCpp(Index, unittest.TestCase):
    command = programs.IN_CPP
    thread_module = r"^_thread: underthread's C\+\+ library$"

    def test_root_is_needed(self):
        status, out, err = run(self, self.command)
        self.assertEqual((status, out), (2, ""))
        self.assertIn("index_files: error: --root DIR is needed", err)


class StandardLibrary(unittest.TestCase):
    def index(self, name, command):
        root = sysconfig.get_path("stdlib")
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, name)
            status, out, err = run(self, [*command, "--root", root, "--index", path])
            self.assertEqual((status, err), (0, ""))
            with open(path, "rb") as file:
                index = file.read()
        # The last line says which _thread it was, and must differ.
        return index, out.splitlines()[:-1]

    @unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
    def test_same_index_on_underthread(self):
        self.compare(programs.ON_UNDERTHREAD)

    def test_same_index_in_cpp(self):
        self.compare(programs.IN_CPP)

    def compare(self, command):
        index, lines = self.index("here", command)
        stock_index, stock_lines = self.index("stock", programs.ON_STOCK)
        self.assertGreater(len(stock_index), 100_000)
        self.assertEqual(lines, stock_lines)
        self.assertTrue(index == stock_index, "the indexes differ")


if __name__ == "__main__":
    unittest.main()
