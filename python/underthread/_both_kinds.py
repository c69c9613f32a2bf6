"""A ``threading`` that may know threads of both kinds, the interpreter's own and ours, from 3.13 on."""

import sys

from underthread._install import core, stock


def join():
    """Lets it start and join both.

    It leaves to ``_thread`` to say, at the end, which threads are still to be waited for, and each kind
    knows only its own. A Thread gets its handle when it is made, and only the kind that made the handle
    can start it.
    """
    attributes = vars(sys.modules["threading"])
    for name, value in list(attributes.items()):
        if value is stock._shutdown or value is core._shutdown:
            attributes[name] = _shutdown
        elif value is stock.start_joinable_thread or value is core.start_joinable_thread:
            attributes[name] = _start_joinable_thread


# One more for each thread that threading has started since it may know both kinds.
_starts = 0


def _start_joinable_thread(function, handle=None, daemon=True):
    global _starts
    _starts += 1
    if isinstance(handle, stock._ThreadHandle):
        kind = stock
    elif isinstance(handle, core._ThreadHandle):
        kind = core
    else:
        kind = sys.modules["_thread"]
    return kind.start_joinable_thread(function, handle=handle, daemon=daemon)


def _shutdown():
    while True:
        before = _starts
        stock._shutdown()
        core._shutdown()
        # While it waited for one kind, a thread may have started one of the other.
        if _starts == before:
            return
