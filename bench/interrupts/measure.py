#!/usr/bin/env python3
"""Measures interrupts in C++, and on every interpreter that BUILD has the package for, ours and its own.

    measure.py BUILD [--trials N] [--cap SECONDS] --output FILE

What Python's own `_thread` does not notice lasts --cap seconds, and costs nothing: all interpreters try that at
once. Then each is measured on ours, alone; what the machine itself takes is measured between its trials.
FILE gets one object: what was measured, and on what. script/bench makes the tables of it.
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent

sys.path.insert(0, str(HERE.parent))
import pythons
from report import machine


def command(build, path, ours, options):
    waits = [HERE / "waits.py", "--trials", options.trials, "--cap", options.cap]
    if ours:
        waits += ["--floor", build / "bench" / "interrupts_floor"]
    return pythons.command(path, ours, *waits)


def rows_of(output):
    return [json.loads(line) for line in output.splitlines()]


def note(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--cap", type=float, default=2.0)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    build = options.build.resolve()
    found = pythons.found(build)
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
            env=pythons.environment(build),
        )
        runs.append(dict(who=name, ours=True, rows=rows_of(done.stdout)))

    options.output.write_text(
        json.dumps(
            dict(
                trials=options.trials,
                cap=options.cap,
                machine=machine(),
                runs=runs,
            )
        )
    )


if __name__ == "__main__":
    main()
