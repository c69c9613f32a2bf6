"""What gdb/underthread-gdb.py says of a process and of its core file is what the library says of itself.

Core files are made by gdb: the system's own may go anywhere, or nowhere.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("UNDERTHREAD_SOURCE_DIR", HERE.parent.parent))
BUILD = pathlib.Path(os.environ["UNDERTHREAD_BUILD_DIR"])
GDB = os.environ.get("UNDERTHREAD_GDB", "gdb")
STRIP = os.environ.get("CMAKE_STRIP") or "strip"
PYTHON = os.environ.get("UNDERTHREAD_GDB_PYTHON")
SCRIPT = SOURCE / "gdb" / "underthread-gdb.py"

TIME = re.compile(r"\d+(\.\d+)? (s|ms|us)\b")
# What the script says more than the library: its own numbers; and a core has no present.
MORE = re.compile(r", gdb thread \d+")
DEADLOCK = re.compile(r"(?:possible )?deadlock: ")


def gdb(*commands, files=()):
    """What gdb prints with the script and these commands."""
    words = [GDB, "-nx", "-batch", "-ex", "set auto-load no", "-x", SCRIPT]
    for command in commands:
        words += ["-ex", command]
    # With a wrong debuginfod in the environment it would wait for the network.
    environment = {key: value for key, value in os.environ.items() if key != "DEBUGINFOD_URLS"}
    done = subprocess.run([str(word) for word in [*words, *files]], text=True, env=environment, timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout


def between(text, begin, end=None):
    """The lines after the line `begin` and before the next that is or begins with `end`."""
    lines = text.splitlines()
    lines = lines[lines.index(begin) + 1 :]
    if end is not None:
        lines = lines[: next(number for number, line in enumerate(lines) if line.startswith(end))]
    return lines


def table(lines):
    """A table without what differs from one look to the next, and the lines that the library's own has not."""
    lines = [TIME.sub("T", MORE.sub("", line)) for line in lines]
    lines = [re.sub("at least T|an unknown time", "T", line) for line in lines]
    lines = [line.replace("until T after the last wait began", "for at most T more") for line in lines]
    return [line for line in lines if not DEADLOCK.match(line) and not line.startswith("times end ")]


def deadlocks(lines):
    """(what it is, who is in it), for each, in order."""
    found = []
    for line in lines:
        line = line.replace("underthread: ", "", 1)
        if DEADLOCK.match(line):
            found.append((line, []))
        else:
            found[-1][1].append(line.split()[0])
    return sorted((line, sorted(names)) for line, names in found)


class Stuck:
    """A program that is stuck, and what it has printed up to the line `last`."""

    def __init__(self, test, command, last, **options):
        self.process = subprocess.Popen([str(word) for word in command], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, **options)
        test.addClassCleanup(self.end)
        self.text = ""
        for line in self.process.stdout:
            self.text += line
            if last in line:
                return
        raise AssertionError(f"{command} has ended and printed {self.text}")

    def end(self):
        self.process.kill()
        self.process.communicate()

    def gdb(self, *commands):
        return gdb(f"attach {self.process.pid}", *commands)


class Gdb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="underthread-gdb-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    @classmethod
    def both(cls, stuck, program):
        """What the script says of the process, and of its core file."""
        core = cls.folder / "core"
        commands = "echo LOCKS\\n", "underthread locks", "echo DEADLOCKS\\n", "underthread deadlocks", "echo END\\n"
        live = stuck.gdb(*commands, f"generate-core-file {core}")
        if not core.exists():
            raise AssertionError(f"gdb has made no core file:\n{live}")
        return live, gdb(*commands, files=[program, core])

    def check_times(self, lines):
        """Of a core: each thread but the last has waited for at least some time before the last wait began."""
        waits = [line for line in lines if " has waited " in line]
        self.assertTrue(waits)
        for line in waits:
            self.assertRegex(line, r"has waited at least \d")


class Programs(Gdb):
    """In C++: a stripped one, and a library in it that has an underthread of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in "stuck", "module.so":
            subprocess.run([STRIP, BUILD / "tests" / "gdb" / name, "-o", cls.folder / name], check=True)
        cls.program, cls.module = cls.folder / "stuck", cls.folder / "module.so"
        cls.stuck = Stuck(cls, [cls.program, cls.module], "stuck\n")
        cls.live, cls.core = cls.both(cls.stuck, cls.program)
        cls.known = table(between(cls.stuck.text, "snapshot:", "child:"))

    def test_there_is_nothing_to_read_but_memory(self):
        for file in self.program, self.module:
            for section in b".symtab", b".debug_info":
                self.assertNotIn(section, file.read_bytes())

    def first_copy(self, text):
        return between(text, f"underthread in {self.program}:", "underthread in ")

    def second_copy(self, text):
        return between(text, f"underthread in {self.module}:", "DEADLOCKS")

    def test_a_process_is_shown_as_it_shows_itself(self):
        self.assertEqual(table(self.first_copy(self.live)), self.known)

    def test_so_is_its_core(self):
        self.assertEqual(table(self.first_copy(self.core)), self.known)

    def test_a_forks_child_has_one_thread_and_the_names(self):
        *lines, pid = between(self.stuck.text, "child:", "stuck")
        told = gdb(f"attach {pid.split()[0]}", "underthread locks")
        self.assertEqual(table(self.first_copy(told)), lines)
        self.assertTrue(lines[0].startswith("1 thread: 0 in waits"), lines)
        self.assertIn("  lock 'accounts': held by a thread that has ended", lines)

    def test_the_summary_comes_first_and_has_five_lines_at_most(self):
        for text in self.live, self.core:
            summary = self.first_copy(text)
            summary = summary[: next(number for number, line in enumerate(summary) if line.startswith("  "))]
            self.assertLessEqual(len(summary), 4)  # and a line that says which copy it is
            self.assertEqual(summary[2], "deadlock: one -> two -> one; and 3 more")

    def test_deadlocks_are_those_that_the_library_has_found(self):
        found = deadlocks(between(self.stuck.text, "deadlocks:", "snapshot:"))
        self.assertEqual(len(found), 4)
        for text in self.live, self.core:
            told = between(text[text.index("DEADLOCKS") :], f"underthread in {self.program}:", "underthread in ")
            self.assertEqual(deadlocks(told), found)

    def test_each_copy_of_the_library_is_shown(self):
        for text in self.live, self.core:
            lines = self.second_copy(text)
            self.assertEqual(lines[0], "2 threads: 1 in waits of underthread, 1 elsewhere")
            self.assertRegex(lines[-1], r"in the module \(.*\) has waited .* for lock 'of the module', held by the main thread$")

    def test_a_core_has_no_present_and_counts_to_the_last_wait(self):
        (last,) = (line for line in self.first_copy(self.core) if line.startswith("  last "))
        self.assertRegex(last, r"has slept for at least \d.* until 36\d\d s after the last wait began")
        self.check_times(self.first_copy(self.core))
        # The module's is the last.
        self.assertIn("has waited an unknown time for lock 'of the module'", self.second_copy(self.core)[-1])
        # A process has one: it has been stuck since before it said so.
        for copy in self.first_copy, self.second_copy:
            self.assertNotRegex("\n".join(copy(self.live)), "at least|unknown|times end")

    def test_gdbs_own_numbers_lead_to_the_threads(self):
        (line,) = (line for line in self.first_copy(self.core) if line.startswith("  orphan "))
        number, native_id = re.search(r"gdb thread (\d+)", line).group(1), re.search(r"native id (\d+)", line).group(1)
        told = gdb(f"thread {number}", files=[self.program, self.folder / "core"])
        self.assertRegex(told, rf"Switching to thread {number} .*LWP {native_id}\b")

    def test_the_core_alone_has_a_copy_whose_file_is_not_there(self):
        away = self.folder / "away"
        self.program.rename(away)
        self.addCleanup(away.rename, self.program)
        self.module.rename(self.folder / "module-away")
        self.addCleanup((self.folder / "module-away").rename, self.module)
        told = gdb("underthread locks", files=["-c", self.folder / "core"])
        self.assertEqual(told.count("in waits of underthread"), 2, told)
        self.assertIn("\ndeadlock: one -> two -> one; and 3 more\n", told)
        self.assertIn("for lock 'of the module', held by the main thread", told)

    def test_the_core_alone_has_it_where_the_program_is_another(self):
        told = gdb("underthread locks", files=[shutil.which("cat"), self.folder / "core"])
        self.assertIn("\ndeadlock: one -> two -> one; and 3 more\n", told)

    def test_another_layout_is_refused(self):
        data = self.program.read_bytes()
        head = b"underthread post-mortem\0" + (1).to_bytes(4, sys.byteorder)
        # The program has a decoy besides.
        self.assertEqual(data.count(head), 2)
        other = self.folder / "other-layout"
        other.write_bytes(data.replace(head, head[:-4] + (99).to_bytes(4, sys.byteorder)))
        other.chmod(0o755)
        told = Stuck(type(self), [other], "stuck\n").gdb("underthread locks")
        self.assertIn(
            f"underthread: the library in {other} has its memory described in version 99, and this script knows version "
            "1: use the script that came with that library\n", told)


class Errors(Gdb):
    def test_without_a_process(self):
        self.assertIn("underthread: there is no process to look at: start gdb with PROGRAM CORE, or with -p PID\n",
                      gdb("underthread locks"))

    def test_without_underthread(self):
        cat = Stuck(type(self), ["sh", "-c", "echo ready; exec cat"], "ready\n")
        told = cat.gdb("underthread locks")
        self.assertRegex(told, "\nunderthread: no underthread is in the memory of .*: it is not linked with it, or ")
        self.assertNotIn("Traceback", told)


@unittest.skipUnless(PYTHON, "a build without the Python package")
class PythonProgram(Gdb):
    """In Python, with a stripped extension."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        package = cls.folder / "underthread"
        shutil.copytree(BUILD / "python" / "underthread", package)
        for extension in package.glob("*.so"):
            subprocess.run([STRIP, extension], check=True)
        environment = dict(os.environ, PYTHONPATH=str(cls.folder), UNDERTHREAD_DEADLOCK="off")
        cls.stuck = Stuck(cls, [PYTHON, "-m", "underthread", HERE / "stuck.py"], "]]", env=environment)
        cls.threads = json.loads(cls.stuck.text)
        cls.live, cls.core = cls.both(cls.stuck, os.path.realpath(PYTHON))

    def test_threads_locks_and_the_deadlock(self):
        for text in self.live, self.core:
            lines = [TIME.sub("T", MORE.sub("", line)) for line in between(text, "LOCKS", "DEADLOCKS")]
            self.assertIn("3 threads: 2 in waits of underthread, 1 elsewhere", lines)
            native = {ident: native_id for ident, native_id, *_ in self.threads}
            for ident, native_id, kind, name, blocker in self.threads:
                wanted = rf"  thread \(ident {ident}, native id {native_id}\) has waited (T|at least T|an unknown time) for "
                wanted += rf"{kind} '{name}', held by thread {native[blocker]}"
                self.assertEqual(sum(re.fullmatch(wanted, line) is not None for line in lines), 1, lines)
            told = deadlocks(between(text, "DEADLOCKS", "END"))
            self.assertEqual(told, [("deadlock: 2 threads wait for each other", ["thread", "thread"])])


if __name__ == "__main__":
    unittest.main()
