"""A ``threading`` that may know threads of both kinds, stock and ours, from 3.13 on."""

import atexit
import sys

from underthread._install import core, stock


def join():
    """Lets ``threading`` start and join both, whichever of the two ``_thread`` is.

    It leaves to ``_thread`` to say, at the end, which threads are still to be waited for, and each kind
    knows only its own. A Thread gets its handle when it is made, and only the kind that made the handle
    can start it. So this comes before the references in ``threading`` are replaced: a thread that others
    start while they are may have a handle of either kind.
    """
    attributes = vars(sys.modules["threading"])
    is_new = False
    for name, value in list(attributes.items()):
        if value is stock._shutdown or value is core._shutdown:
            attributes[name] = _shutdown
            is_new = True
        elif value is stock.start_joinable_thread or value is core.start_joinable_thread:
            attributes[name] = _start_joinable_thread
    main_thread = attributes.get("_main_thread")
    if is_new and main_thread is not None and not main_thread.is_alive():
        # The main thread waits for the others already, by the function of one kind. This is what it calls
        # next.
        atexit.register(_shutdown)


# Another object after each start by threading.
_last_start = None


def _start_joinable_thread(function, handle=None, daemon=True):
    global _last_start
    if isinstance(handle, stock._ThreadHandle):
        kind = stock
    elif isinstance(handle, core._ThreadHandle):
        kind = core
    else:
        kind = sys.modules["_thread"]
    handle = kind.start_joinable_thread(function, handle=handle, daemon=daemon)
    # Not before: _shutdown, if it has seen the new object, no longer looks for the thread.
    _last_start = object()
    return handle


def _shutdown():
    while True:
        before = _last_start
        stock._shutdown()
        core._shutdown()
        # While it waited for one kind, a thread may have started one of the other. That thread was waited for
        # itself, so what it has started is known by now.
        if _last_start is before:
            return
