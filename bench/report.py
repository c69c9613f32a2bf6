"""What the pages of script/bench are made of: tables of Markdown, and the place in a page that they belong to."""

import os
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


def put_into(page, name, text):
    """Replaces what the page has between its lines `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before = page.read_text(encoding="utf-8")
    new, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n\n{end}", before, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{page} has no place for it, between {begin.strip()} and {end.strip()}")
    page.write_text(new, encoding="utf-8")
