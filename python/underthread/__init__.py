"""Python's ``_thread`` on underthread's threads and locks.

``python -m underthread app.py`` runs a program on them. In a program, ``underthread.install()`` puts
them in place, best before ``threading`` is imported, and ``underthread.uninstall()`` puts back what was
there; ``underthread.is_active()`` says which of the two it is.

PYTEST_DONT_REWRITE: it may be there before pytest is.
"""

from underthread import _install

__version__ = "0.1.0"
__all__ = [
    "DeadlockError",
    "dump",
    "hold_interrupts",
    "install",
    "interrupt",
    "is_active",
    "name",
    "on_deadlock",
    "prompt_interrupts",
    "snapshot",
    "time_limit",
    "uninstall",
]

_core = _install.core
is_active = _install.is_active
uninstall = _install.uninstall


def install():
    """Replaces ``_thread``, and what modules have taken from it so far. Does nothing the second time.

    Locks that exist already stay what they are; they and ours can be used side by side. Where ours
    cannot work, a RuntimeWarning says why, and the program stays on stock ``_thread``. The same, without a
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
        _install.heed_environment()


def prompt_interrupts(on=None):
    """Sets whether ``interrupt_main`` is noticed at once, whatever the main thread waits for; ``None`` only
    asks. Returns what it was before. Anything but True, False, 1, 0 and None is a TypeError.

    It is so from the start, unless ``UNDERTHREAD_PROMPT=0`` is in the environment. Without it
    ``interrupt_main`` and signals have stock CPython's timing; ``interrupt`` and ``time_limit`` still end
    waits for locks and threads.
    """
    if on is not None and not (isinstance(on, int) and on in (0, 1)):
        raise TypeError("prompt_interrupts() takes True, False or None, not {!r}".format(on))
    if _core is None:
        return False
    return _core._underthread.prompt_interrupts(*(() if on is None else (on,)))


def interrupt(thread, exc=KeyboardInterrupt):
    """Raises an exception in a thread, at once: while it runs, and in every wait that can be ended.

    ``thread`` is a Thread or an ident, ``exc`` a class or an instance. False if there is no such thread
    (any more), else True. What is sent to a thread is raised there in the order in which it was sent, each
    once. A thread that is just given a lock keeps it, and gets the exception after that.

    A RuntimeError if underthread is not installed in this process: no wait would end then.
    """
    if not is_active():
        raise RuntimeError(_install.why_inactive())
    return _core._underthread.interrupt(thread, exc)


def snapshot():
    """All threads that underthread knows, what each waits for and who holds that: a Snapshot, whose ``threads`` and
    ``locks`` are lists of plain objects.

    Each wait was true at one moment; different ones are some microseconds apart. Nobody is stopped.
    """
    from underthread import _snapshot

    return _snapshot.Snapshot._of(*_own("snapshot")())


def dump(file=None, *, json=False):
    """Writes what all threads wait for, who holds it, and their stacks, what matters most first.

    ``file`` is stderr if it is not given. ``json``: for machines, as docs/inspect.md says.
    """
    from underthread import _inspect

    _inspect.write((_inspect.dump_json if json else _inspect.dump_text)(*_own("snapshot")()), file)


def name(lock, name):
    """Says what a lock or an RLock is called in snapshots, dumps and reports; ``None``: nothing."""
    _own("name")(lock, name)


def on_deadlock(handler):
    """Calls ``handler(text, certain)`` for each deadlock that is found from now on, in the thread whose wait would
    close it, before that wait. What it raises ends the wait. ``None``: none is looked for.

    ``certain`` is False where a wait of it has a limit, or where a thread that is no part of it may end it: a lock
    that was taken by ``acquire()`` may be released by any.
    """
    if not is_active():
        raise RuntimeError(_install.why_inactive())
    from underthread import _deadlock

    _deadlock.on_deadlock(handler)


def __getattr__(name):
    # Not at the start of each process.
    if name == "DeadlockError":
        from underthread._deadlock import DeadlockError

        return DeadlockError
    raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))


def _own(name):
    if _core is None:
        raise RuntimeError(_install.stays_stock())
    return getattr(_core._underthread, name)


if _core is not None:
    hold_interrupts = _core._underthread.hold_interrupts
    time_limit = _core._underthread.time_limit
else:

    def hold_interrupts():
        return _own("hold_interrupts")()

    def time_limit(seconds):
        return _own("time_limit")(seconds)
