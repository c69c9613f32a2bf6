"""What is done about a deadlock: the modes of ``--deadlock``, and a program's own handler."""

import os
import sys

from underthread import _inspect, _install

MODES = ("report", "raise", "exit", "off")
VARIABLE = "UNDERTHREAD_DEADLOCK"

# sysexits.h's EX_SOFTWARE.
EXIT_STATUS = 70


class DeadlockError(RuntimeError):
    """A wait that would have closed a deadlock. The thread keeps what it holds."""

    __module__ = "underthread"


def set_mode(mode):
    """Sets what is done about deadlocks from now on. @raises ValueError"""
    handlers = {"report": _report, "raise": _raise, "exit": _exit, "off": None}
    if mode not in handlers:
        raise ValueError("{!r} is none of {}".format(mode, ", ".join(MODES)))
    _install.core._underthread.set_deadlock_handler(handlers[mode])


def set_up(default=None):
    """What the environment says; ``default`` where that says nothing. What it says wrongly is one line on
    stderr, and the default."""
    if not _install.is_active():
        return
    mode = os.environ.get(VARIABLE, "").strip().lower()
    if mode and mode not in MODES:
        _inspect.write("underthread: {}={!a} is none of {}\n".format(VARIABLE, mode, ", ".join(MODES)))
        mode = ""
    mode = mode or default
    if mode:
        set_mode(mode)


def on_deadlock(handler):
    """Calls ``handler(text, certain)`` for each deadlock that is found from now on, in the thread whose wait would
    close it, before that wait. What it raises ends the wait. ``None``: none is looked for."""
    if handler is not None and not callable(handler):
        raise TypeError("on_deadlock() takes a function or None, not {!r}".format(handler))
    told = handler and (lambda kind, *rest: handler(_inspect.deadlock_text(kind, *rest), kind == "certain"))
    _install.core._underthread.set_deadlock_handler(told)


def _report(*deadlock):
    _inspect.write("underthread: {}\n".format(_inspect.deadlock_text(*deadlock)))


def _raise(kind, *rest):
    if kind != "certain":
        _report(kind, *rest)
        return
    raise DeadlockError(_inspect.deadlock_text(kind, *rest))


def _exit(*deadlock):
    _report(*deadlock)
    if deadlock[0] == "certain":
        for stream in sys.stdout, sys.stderr:
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(EXIT_STATUS)
