"""Programs that hang, and what docs/inspect.md shows of them: each is diagnosed by one command."""

import os
import re
import signal
import sys
import unittest

import programs
from programs import BUILD, PATIENCE, SOURCE, run, start

FOLDER = SOURCE / "examples" / "python" / "hangs"
PAGE = (SOURCE / "docs" / "inspect.md").read_text(encoding="utf-8")


def as_shown(text):
    """Without what differs from run to run."""
    text = re.sub(r"(?m)^( *at ).*/(\w+\.py:\d+)", r"\1\2", text)
    text = re.sub(r"\b0x[0-9a-f]+|\b\d+(\.\d+)? (us|ms|s)\b|(?<=ident )\d+|(?<=native id )\d+|(?<=process )\d+", "#", text)
    # Which of the two comes last to close it.
    return re.sub(r"\b(one|two)\b", "#", text)


def shown(command):
    """What the page shows below that command, up to the next one; a line of "…" stands for any lines."""
    found = re.search(r"^    \$ {}\n((?:    (?!\$ ).*\n|\n(?=    ))+)".format(re.escape(command)), PAGE, re.M)
    assert found, f"the page does not show {command}"
    return re.sub(r"^    ", "", found[1], flags=re.M)


@unittest.skipUnless(programs.HAS_PACKAGE, programs.NO_PACKAGE)
class Hangs(unittest.TestCase):
    def assert_shown(self, command, text):
        parts = [re.escape(part) for part in as_shown(shown(command)).rstrip("\n").split("…")]
        self.assertRegex(as_shown(text), r"\A" + r"[\s\S]*".join(parts) + r"[\s\S]*\Z" if len(parts) > 1 else r"\A" + parts[0] + r"\n+\Z")

    def command_line(self, command):
        words = command.split()
        assert words[0] == "python"
        return dict(command=[sys.executable, *words[1:]], cwd=FOLDER, env={**os.environ, "PYTHONWARNINGS": "ignore"})

    def test_a_deadlock_is_told_with_the_lines_and_may_end_the_program(self):
        command = "python -m underthread --deadlock exit transfer.py"
        status, out, err = run(self, **self.command_line(command))
        self.assertEqual((status, out), (70, ""))
        self.assert_shown(command, err)

    def test_a_lock_that_is_taken_again_from_del(self):
        command = "python -m underthread --deadlock exit log_in_del.py"
        status, out, err = run(self, **self.command_line(command))
        self.assertEqual(status, 70)
        self.assert_shown(command, out + err)

    def test_a_lock_that_a_fork_has_left_behind(self):
        command = "python -m underthread --deadlock exit fork_with_held_lock.py"
        status, out, err = run(self, **self.command_line(command))
        self.assertEqual(status, 0)
        self.assert_shown(command, err + out)

    def test_a_pool_that_starves_itself(self):
        command = "python -m underthread --dump-after 1 starved_pool.py"
        process = start(self, **self.command_line(command))
        text = b""
        while not text.endswith(b"\n\n") or b"in page" not in text:
            text += process.stderr.read1()
        process.send_signal(signal.SIGKILL)
        self.assert_shown(command, text.decode())

    def test_cpp(self):
        status, out, err = run(self, [str(BUILD / "examples" / "transfer")])
        self.assertEqual((status, err), (0, ""))
        told = r"not moved: deadlock: 2 threads wait for each other\n(  .* for lock .*, held by #\n){2}"
        # The lock is free before it is told.
        self.assertRegex(as_shown(out), rf"\A({told}moved\n|moved\n{told})\Z")


if __name__ == "__main__":
    unittest.main()
