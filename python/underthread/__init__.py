"""Python's ``_thread`` on underthread's threads and locks.

``python -m underthread app.py`` runs a program on them. In a program, ``underthread.install()`` puts
them in place, best before ``threading`` is imported, and ``underthread.uninstall()`` puts back what was
there; ``underthread.is_active()`` says which of the two it is.
"""

from underthread import _install

__version__ = "0.1.0"
__all__ = ["install", "is_active", "prompt_interrupts", "uninstall"]

_core = _install.core
is_active = _install.is_active
uninstall = _install.uninstall


def install():
    """Replaces ``_thread``, and what modules have taken from it so far. Does nothing the second time.

    Locks that exist already stay what they are; they and ours can be used side by side. Where ours
    cannot work, a RuntimeWarning says why, and the program stays on Python's own. The same, without a
    warning, if ``UNDERTHREAD=0`` is in the environment.
    """
    if is_active() or _install.is_switched_off():
        return
    if _install.obstacle:
        # Not at the start of each process.
        import warnings

        warnings.warn(_install.stays_stock(), RuntimeWarning, stacklevel=2)
    else:
        _install.replace()


def prompt_interrupts(on=None):
    """Sets whether ``interrupt_main`` is noticed at once, whatever the main thread waits for; without an
    argument it only asks. The answer is what it was before.

    It is so from the start, unless ``UNDERTHREAD_PROMPT=0`` is in the environment. Without it the main
    thread is still woken from waits for locks, but not from system calls.
    """
    if _core is None:
        return False
    return _core._underthread_prompt_interrupts(*(() if on is None else (on,)))
