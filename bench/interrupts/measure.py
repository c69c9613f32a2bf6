#!/usr/bin/env python3
"""Measures interrupts in C++, and on every interpreter that BUILD has the package for, ours and its own.

    measure.py BUILD [--trials N] [--cap SECONDS] --output FILE

What Python's own `_thread` does not notice lasts --cap seconds, and costs nothing: all interpreters try that at
once. Then each is measured on ours, alone; what the machine itself takes is measured between its trials.
FILE gets one object: what was measured, and on what. script/bench makes the tables of it.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def pythons(build):
    """(name, path) of each interpreter that has an extension in the build, the oldest version first."""
    listed = subprocess.run([ROOT / "script" / "pythons"], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in listed.splitlines():
        path, version, kind, _ = line.split("\t")
        question = "import importlib.util as u; print(u.find_spec('underthread._core') is not None)"
        has_it = subprocess.run(
            [path, "-c", question], env=environment(build), capture_output=True, text=True
        ).stdout.strip()
        if has_it == "True":
            found[version + ("t" if kind == "free-threaded" else "")] = path
    return sorted(found.items(), key=lambda item: [int(part) for part in item[0].rstrip("t").split(".")])


def environment(build):
    return dict(os.environ, PYTHONPATH=str(build / "python"))


def command(build, path, ours, options):
    waits = [str(HERE / "waits.py"), "--trials", str(options.trials), "--cap", str(options.cap)]
    if ours:
        waits += ["--floor", str(build / "bench" / "interrupts_floor")]
    # A background job has SIGINT ignored, and so would what it starts.
    return ["env", "--default-signal=INT", path, *(["-m", "underthread"] if ours else []), *waits]


def rows_of(output):
    return [json.loads(line) for line in output.splitlines()]


def note(text):
    print(text, file=sys.stderr, flush=True)


def processor():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--cap", type=float, default=2.0)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    build = options.build.resolve()
    found = pythons(build)
    runs = []

    note(f"Python's own _thread, on {len(found)} interpreters at once")
    stock = [
        (name, subprocess.Popen(command(build, path, False, options), stdout=subprocess.PIPE, text=True))
        for name, path in found
    ]
    for name, process in stock:
        runs.append(dict(who=name, ours=False, rows=rows_of(process.communicate()[0])))

    note("C++")
    done = subprocess.run(
        [build / "bench" / "interrupts_waits", str(options.trials)], check=True, stdout=subprocess.PIPE, text=True
    )
    runs.append(dict(who="C++", ours=True, rows=rows_of(done.stdout)))
    for name, path in found:
        note(f"underthread on Python {name}")
        done = subprocess.run(
            command(build, path, True, options),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(build),
        )
        runs.append(dict(who=name, ours=True, rows=rows_of(done.stdout)))

    options.output.write_text(
        json.dumps(
            dict(
                trials=options.trials,
                cap=options.cap,
                machine=f"{processor()}, {os.cpu_count()} processors, Linux {platform.release().partition('-')[0]}",
                runs=runs,
            )
        )
    )


if __name__ == "__main__":
    main()
