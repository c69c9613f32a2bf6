#!/usr/bin/env python3
"""Draws what script/bench has measured: pictures.py --into FOLDER FILE...

FILE: contended.json, waiters.json, or some python.json; each kind becomes a picture in FOLDER. Needs matplotlib.
"""

import argparse
import json
import pathlib
import statistics

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from pythons import version
from report import rows_of

OURS = "#c0392b"
OTHERS = ["#2980b9", "#27ae60", "#8e44ad", "#7f8c8d", "#d68910", "#16a085", "#2c3e50", "#a04000", "#5d6d7e"]


def colours(names):
    """Ours stands out."""
    others = iter(OTHERS)
    return {name: OURS if name.startswith("underthread") else next(others) for name in names}


def median(row, what):
    return statistics.median(row[what])


def contended(file):
    """Throughput against fairness: a panel for each number of threads, a colour for each lock, a mark for each amount of
    work."""
    cells = {tuple(cell.split(", ")): rows for cell, rows in rows_of(file).items()}
    threads = list(dict.fromkeys(number for number, _ in cells))
    marks = dict(zip(dict.fromkeys(work for _, work in cells), "os^"))
    colour = colours(next(iter(cells.values())))
    figure, panels = plt.subplots(2, 2, figsize=(9, 8), sharey=True)
    for panel, title in zip(panels.flat, threads):
        for work, mark in marks.items():
            rows = cells[title, work]
            for lock, row in rows.items():
                throughput = median(row, "per_second") / median(rows["std::mutex"], "per_second")
                panel.plot(throughput, median(row, "fairness"), mark, color=colour[lock], alpha=0.85)
        panel.set(title=title, xscale="log", ylim=(-0.03, 1.03), xlabel="throughput, of std::mutex's", ylabel="fairness")
        panel.set_xticks([0.1, 0.2, 0.5, 1, 2, 5], labels=["0.1", "0.2", "0.5", "1", "2", "5"])
        panel.minorticks_off()
        panel.grid(color="#e5e5e5")
    legend = [plt.Line2D([], [], color=colour[lock], marker="o", linestyle="", label=lock) for lock in colour]
    legend += [
        plt.Line2D([], [], color="#999", marker=mark, linestyle="", label=f"{work} outside") for work, mark in marks.items()
    ]
    figure.tight_layout()
    figure.subplots_adjust(bottom=0.17)
    figure.legend(handles=legend, loc="lower center", ncol=4, frameon=False)
    return "performance-fairness.svg"


def waiters(file):
    """What a release takes, against how many threads wait."""
    works = rows_of(file)
    places = list(dict.fromkeys(work.split(" wait ")[1] for work in works))
    colour = colours(next(iter(works.values())))
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for panel, place in zip(panels, places):
        for lock in colour:
            numbers = {int(work.split()[0]): rows[lock] for work, rows in works.items() if work.endswith(f" {place}")}
            heights = [median(row, "ns") / 1000 for row in numbers.values()]
            panel.plot(list(numbers), heights, "o-", color=colour[lock], label=lock)
        panel.set(title=f"waiting {place}", xscale="log", ylim=(0, None), xlabel="threads that wait")
        panel.grid(color="#e5e5e5")
    panels[0].set_ylabel("a release that wakes, µs")
    panels[0].legend(frameon=False)
    figure.tight_layout()
    return "performance-waiters.svg"


def python(*files):
    """Ours, of the interpreter's own: a panel for each work, a bar for each interpreter."""
    runs = sorted(
        (run for file in files for run in json.loads(file.read_text())["runs"]), key=lambda run: version(run["python"])
    )
    columns = 3
    works = list(dict.fromkeys(work for run in runs for work in run["rows"]))
    lines = -(-len(works) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(9, 0.5 + lines * (0.55 + 0.2 * len(runs))), sharex=True)
    for panel in panels.flat[len(works) :]:
        panel.set_visible(False)
    for panel, work in zip(panels.flat, works):
        names = [run["python"] for run in runs if work in run["rows"]]
        rows = [run["rows"][work] for run in runs if work in run["rows"]]
        ratios = [median(row, "ours") / median(row, "stock") for row in rows]
        panel.barh(names, ratios, color=[OURS if ratio <= 1 else "#7f8c8d" for ratio in ratios], height=0.7)
        panel.axvline(1, color="#222", linewidth=0.8)
        panel.set_title(rows[0]["work"].replace("`", ""), fontsize=7)
        panel.set_xlim(0, 2)
        panel.set_ylim(len(runs) - 0.5, -0.5)
        panel.tick_params(labelsize=7)
        for number, ratio in enumerate(ratios):
            panel.text(min(ratio, 1.7) + 0.03, number, f"{ratio:.2f}", va="center", fontsize=6)
    figure.tight_layout()
    return "performance-pythons.svg"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=pathlib.Path, metavar="FOLDER", required=True)
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    # Text stays text, and the same figures make the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "underthread", "font.size": 9})
    for draw in (contended, waiters, python):
        files = [file for file in options.files if file.stem == draw.__name__]
        if not files:
            continue
        path = options.into / draw(*files)
        plt.savefig(path, metadata={"Date": None})
        plt.close()
        # It leaves blanks at the ends of lines.
        path.write_text("".join(line.rstrip() + "\n" for line in path.read_text().splitlines()))


if __name__ == "__main__":
    main()
