"""Tests that now and then hang or fail on stock, for a fault of the interpreter that a later version does not have.
They run on neither side: what they do says nothing of ours."""

import collections

# suite    what has the test
# test     as `python -m test --ignore` takes it
# mended   the first version of each branch without the fault; what is older has it
Known = collections.namedtuple("Known", "suite test mended why")

KNOWN = [
    # The thread that feeds the pool waits for a lock that whoever joins it holds. Stock 3.13.0: 6 of 120 runs
    # of the test, on two busy processors, never ended.
    Known("test_concurrent_futures", "test_shutdown_deadlock_pickle", [(3, 12, 8), (3, 13, 1)], "python/cpython#125451"),
]


def has_fault(version, mended):
    """`version` and those in `mended` are (major, minor, micro)."""
    branch = [first for first in mended if first[:2] == version[:2]]
    return version < (branch[0] if branch else min(mended))


def left_out(suite, version):
    """[Known] of a suite on an interpreter of that version."""
    return [known for known in KNOWN if known.suite == suite and has_fault(version, known.mended)]
