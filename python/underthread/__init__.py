"""Python's ``_thread`` on underthread's threads and locks.

``python -m underthread app.py`` runs a program on them. In a program, ``underthread.install()`` puts
them in place, best before ``threading`` is imported; ``underthread.is_active()`` says whether they are.
"""

import sys

__version__ = "0.1.0"
__all__ = ["install", "is_active"]

if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11):
    raise ImportError(
        "underthread runs on CPython 3.11; this is {} {}.{}.{}".format(
            sys.implementation.name, *sys.version_info[:3]
        )
    )

from underthread import _install

_core = _install.load_core()


def is_active():
    """True when ``_thread`` is underthread's in this interpreter."""
    return sys.modules.get("_thread") is _core


def install():
    """Replaces ``_thread``, and what modules have taken from it so far. Does nothing the second time.

    Locks that exist already stay what they are; they and ours can be used side by side.
    """
    if not is_active():
        _install.replace(sys.modules["_thread"], _core)
