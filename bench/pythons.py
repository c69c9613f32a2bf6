"""The interpreters that a build has the package for, and how to run a program on each, on ours and on its own."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def version(name):
    return [int(part) for part in name.rstrip("t").split(".")]


def environment(build):
    return dict(os.environ, PYTHONPATH=str(build / "python"))


def found(build):
    """(name, path) of each, the oldest version first."""
    listed = subprocess.run([ROOT / "script" / "pythons"], check=True, capture_output=True, text=True).stdout
    paths = {}
    for line in listed.splitlines():
        path, number, kind, _ = line.split("\t")
        question = "import importlib.util as u; print(u.find_spec('underthread._core') is not None)"
        answer = subprocess.run([path, "-c", question], env=environment(build), capture_output=True, text=True)
        if answer.stdout.strip() == "True":
            paths[number + ("t" if kind == "free-threaded" else "")] = path
    return sorted(paths.items(), key=lambda item: version(item[0]))


def command(path, ours, *arguments):
    # A background job has SIGINT ignored, and so would what it starts.
    return ["env", "--default-signal=INT", path, *(["-m", "underthread"] if ours else []), *map(str, arguments)]
