#!/usr/bin/env python3
"""Adds up what tests said.

    tools/tally.py sum [--passed N] [--failed N] REPORT...   prints "N passed, N failed, N skipped"
    tools/tally.py failures REPORT...                        prints what the failed tests printed

REPORT is a file from `ctest --output-junit`. A Python module is one test to ctest; here each of its own
tests counts. A report that is missing or broken is one failure. `sum` fails if a test failed or none passed.
"""

import argparse
import re
import sys
import xml.etree.ElementTree

RAN = re.compile(r"^Ran (\d+) tests? in .*$", re.MULTILINE)


def read(report):
    """The test cases of a report; None: there is none."""
    try:
        return xml.etree.ElementTree.parse(report).getroot().findall(".//testcase")
    except (OSError, xml.etree.ElementTree.ParseError):
        return None


def output(case):
    return case.findtext("system-out") or ""


def has_failed(case):
    # "notrun" without a reason: the program was not built.
    return case.get("status") == "fail" or case.find("failure") is not None


def count(case):
    """(passed, failed, skipped) of one test case."""
    failed = has_failed(case)
    if not failed and (case.find("skipped") is not None or case.get("status") != "run"):
        return 0, 0, 1
    found = list(RAN.finditer(output(case)))
    if not found:
        return (0, 1, 0) if failed else (1, 0, 0)
    ran = int(found[-1].group(1))
    ending = output(case)[found[-1].end():]

    def of(kind):
        number = re.search(rf"(?<!expected ){kind}=(\d+)", ending)
        return int(number.group(1)) if number else 0

    skipped = of("skipped")
    # A module that says it is well but did not end well (killed at exit) has failed too; and one test
    # can fail more than once, in sub-tests.
    bad = max(of("failures") + of("errors") + of("unexpected successes"), 1 if failed else 0)
    return max(ran - bad - skipped, 0), bad, skipped


def add_up(reports, passed, failed):
    total = [passed, failed, 0]
    for report in reports:
        cases = read(report)
        for counts in [count(case) for case in cases] if cases is not None else [(0, 1, 0)]:
            total = [a + b for a, b in zip(total, counts)]
    return total


def print_failures(reports):
    for report in reports:
        for case in read(report) or []:
            if has_failed(case):
                failure = case.find("failure")
                why = failure.get("message") if failure is not None else ""
                print(f"---- {case.get('name')}: {why or 'failed'}")
                print(output(case).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sum", "failures"])
    parser.add_argument("--passed", type=int, default=0)
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("reports", nargs="*")
    arguments = parser.parse_intermixed_args()
    if arguments.command == "failures":
        print_failures(arguments.reports)
        return 0
    passed, failed, skipped = add_up(arguments.reports, arguments.passed, arguments.failed)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
