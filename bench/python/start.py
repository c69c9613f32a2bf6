"""What `python -m underthread --site on` adds to the start of the interpreter that runs this: start.py PACKAGE [TURNS]

Two virtual environments have a copy of PACKAGE; one is switched on. In turns, each runs `python -c pass`. Prints a line
of JSON: how long it took and how much of a processor, in ms: what is added, the median of the turns' differences;
the medians of each; and what is added to the fastest of all by the fastest of all.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time


def environment(folder, package, on):
    """The python of a new virtual environment, with the package as an installer leaves it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    copy = pathlib.Path(packages, "underthread")
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    extension = "_core" + sysconfig.get_config_var("EXT_SUFFIX")
    shutil.copy(package / extension, copy / extension)
    subprocess.run([python, "-m", "compileall", "-q", copy], check=True)
    if on:
        subprocess.run([python, "-m", "underthread", "--site", "on"], check=True, stdout=subprocess.DEVNULL)
    return python


def start(python):
    """ms until it has ended, and ms of a processor."""
    began = time.perf_counter()
    child = os.posix_spawn(python, [python, "-c", "pass"], os.environ)
    _, status, used = os.wait4(child, 0)
    took = time.perf_counter() - began
    if status:
        raise SystemExit(f"{python} ended with {status}")
    return took * 1e3, (used.ru_utime + used.ru_stime) * 1e3


def main():
    package, turns = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 100
    for name in list(os.environ):
        if name.startswith(("PYTHON", "UNDERTHREAD")):
            del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        pythons = {on: environment(pathlib.Path(folder, on), package, on == "on") for on in ("on", "off")}
        found = {on: [] for on in pythons}
        for turn in range(turns + 3):
            # Whoever is first has another machine than whoever is second; the first few fill caches.
            for on in sorted(found, reverse=bool(turn % 2)):
                found[on].append(start(pythons[on]))
    said = {}
    for what, place in (("ms", 0), ("cpu_ms", 1)):
        on, off = ([turn[place] for turn in found[which][3:]] for which in ("on", "off"))
        said[f"added_{what}"] = statistics.median(ours - theirs for ours, theirs in zip(on, off))
        said.update({f"on_{what}": statistics.median(on), f"off_{what}": statistics.median(off)})
        said[f"fastest_added_{what}"] = min(on) - min(off)
    print(json.dumps({name: round(value, 3) for name, value in said.items()}))


if __name__ == "__main__":
    main()
