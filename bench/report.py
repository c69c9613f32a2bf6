"""What the pages of script/bench are made of: tables of Markdown, and the place in a page that they belong to."""

import argparse
import json
import os
import pathlib
import platform
import re
import sys


def machine():
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{(names or ['unknown'])[0]}, {os.cpu_count()} processors, Linux {platform.release().partition('-')[0]}"


def quantile(numbers, share):
    numbers = sorted(numbers)
    return numbers[min(len(numbers) - 1, int(share * len(numbers)))]


def rows_of(file):
    """What a measuring program has printed (row.h): by work and by who did it."""
    rows = {}
    for row in map(json.loads, file.read_text().splitlines()):
        rows.setdefault(row["work"], {})[row["who"]] = row
    return rows


class Table:
    """A table of Markdown, as wide as its cells."""

    def __init__(self, *head):
        self.lines = [head]

    def add(self, *cells):
        self.lines.append(cells)

    def __str__(self):
        widths = [max(len(line[column]) for line in self.lines) for column in range(len(self.lines[0]))]

        def text(cells):
            first, *rest = (cell.ljust(width) if column == 0 else cell.rjust(width)
                            for column, (cell, width) in enumerate(zip(cells, widths)))  # fmt: skip
            return "| " + " | ".join([first, *rest]) + " |"

        rule = "|" + "|".join(
            "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
        )
        return "\n".join([text(self.lines[0]), rule + "|", *map(text, self.lines[1:])])


class Goals:
    """A table of what was wanted, and whether it is so."""

    def __init__(self):
        self.table = Table("what", "beside", "measured", "wanted", "")

    def add(self, what, peer, measured, wanted, at_least=False):
        kept = measured >= wanted if at_least else measured <= wanted
        sign = "≥" if at_least else "≤"
        figure = str(measured) if isinstance(measured, int) else f"{measured:.2f}"
        self.table.add(what, peer, figure, f"{sign} {wanted:g}", "kept" if kept else "**not kept**")

    def __str__(self):
        return str(self.table)


def put_into(page, name, text):
    """Replaces what the page has between its lines `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before = page.read_text(encoding="utf-8")
    new, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n\n{end}", before, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{page} has no place for it, between {begin.strip()} and {end.strip()}")
    page.write_text(new, encoding="utf-8")


def write(doc, place, parts):
    """What a tables.py does: `parts` gets the files that it was given, and yields the paragraphs and tables."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=pathlib.Path, metavar="PAGE")
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    text = "\n\n".join(parts(options.files))
    if options.into:
        put_into(options.into, place, text)
    else:
        print(text)
