"""The programs that are counted, each run under the tool that counts."""

import os
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

FOLDER = Path(os.environ["UNDERTHREAD_BUILD_DIR"]) / "tests" / "counts"

# How a program ends that cannot be counted in its build; it writes why.
SKIPPED = 77

# Far more than any of them needs.
PATIENCE = 120


def find(tool):
    if not shutil.which(tool):
        raise unittest.SkipTest(f"{tool} is missing; script/setup installs it")
    return tool


def run(program, under=(), **environment):
    """What the program wrote to stdout; `under` is a command that runs it."""
    process = subprocess.Popen(
        [*under, str(FOLDER / program)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        # The tool, and what it runs.
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    if process.returncode == SKIPPED:
        raise unittest.SkipTest(out.strip())
    if process.returncode != 0:
        raise AssertionError(f"{program} ended with {process.returncode}: {out}{err}")
    return out
