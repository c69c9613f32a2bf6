#!/usr/bin/env python3
"""Runs works.py on every interpreter that BUILD has the package for, on ours and on its own in turns.

    measure.py BUILD [--rounds N] --output FILE

Each work is a process of its own in each round; start.py is about processes, and shares.py about where time goes.
FILE gets one object; tables.py makes the tables of it.
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    build = options.build.resolve()
    runs = []
    for name, path in pythons.found(build):
        print(f"Python {name}", file=sys.stderr, flush=True)
        listed = subprocess.run([path, HERE / "works.py", "--list"], check=True, capture_output=True, text=True).stdout
        values = {}
        for round_number in range(options.rounds):
            for work in listed.split():
                # Whoever is first has another machine than whoever is second.
                for ours in (True, False) if round_number % 2 else (False, True):
                    done = subprocess.run(
                        pythons.command(path, ours, HERE / "works.py", work),
                        check=True,
                        stdout=subprocess.PIPE,
                        text=True,
                        env=pythons.environment(build),
                    )
                    row = json.loads(done.stdout)
                    found = values.setdefault(work, dict(work=row["work"], unit=row["unit"], ours=[], stock=[]))
                    found["ours" if ours else "stock"].append(row["value"])
        shares = {}
        for ours in (False, True):
            done = subprocess.run(
                pythons.command(path, ours, HERE / "shares.py"),
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env=pythons.environment(build),
            )
            shares["ours" if ours else "stock"] = [json.loads(line) for line in done.stdout.splitlines()]
        # Two virtual environments that take turns themselves.
        started = subprocess.run(
            [path, HERE / "start.py", build / "python" / "underthread", str(20 * options.rounds)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        runs.append(dict(python=name, rows=values, shares=shares, start=json.loads(started.stdout)))
    options.output.write_text(json.dumps(dict(machine=machine(), rounds=options.rounds, runs=runs)))


if __name__ == "__main__":
    main()
