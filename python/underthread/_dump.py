"""Dumps that are asked for: by ``kill -QUIT``, by ``underthread dump PID``, after a time (``--dump-after``)."""

# Not `signal`, which takes as long to import as all the rest.
import _signal  # type: ignore
import _thread
import os
import sys

from underthread import _inspect, _install

VARIABLE = "UNDERTHREAD_DUMP_SIGNAL"
DEFAULT = "QUIT"

# What ends the process whatever it does, stops it, comes from a fault of the very thread, or is what processes and
# timers ask by.
_UNUSABLE = ("KILL", "STOP", "SEGV", "BUS", "FPE", "ILL", "URG")


def signal_number(name):
    """The number of a signal: "QUIT", "SIGQUIT", "3"; 0 for "none"; None for "off", which other processes cannot
    ask either. @raises ValueError"""
    word = name.strip().upper()
    if word in ("NONE", "OFF", "0"):
        return None if word == "OFF" else 0
    word = word[3:] if word.startswith("SIG") and word[3:] else word
    number = int(word) if word.isdecimal() else getattr(_signal, "SIG" + word, None)
    if not isinstance(number, int) or number not in _signal.valid_signals():
        raise ValueError("{!r} is no signal".format(name))
    if number in [getattr(_signal, "SIG" + each) for each in _UNUSABLE]:
        raise ValueError("{} cannot be used for dumps".format(name))
    return number


_error_is_said = False


def set_up(default=None):
    """What the environment says; ``default`` where that says nothing: that one is taken only if nothing handles it.
    What is said wrongly is one line on stderr, and the default."""
    global _error_is_said
    if not _install.is_active():
        return
    name = os.environ.get(VARIABLE, "").strip()
    is_asked = bool(name)
    try:
        number = signal_number(name or default or "off")
    except ValueError as error:
        if not _error_is_said:
            _inspect.write("underthread: {}: {}\n".format(VARIABLE, error))
        _error_is_said = True
        number, is_asked = signal_number(default or "off"), False
    if number is None:
        return
    try:
        take(number, only_if_unused=not is_asked)
    except (OSError, RuntimeError) as error:
        # A program that hosts Python, another thread than main.
        if is_asked:
            _inspect.write("underthread: {}={}: {}\n".format(VARIABLE, name, error))


def take(number, only_if_unused=False):
    """From now on signal ``number`` (0: none) makes a dump on stderr, and other processes may ask for one."""
    core = _install.core._underthread
    if not core.take_dump_requests(_answer, number, only_if_unused):
        core.take_dump_requests(_answer, 0, False)
    _lend_stacks(core)


def refuse():
    """Nothing makes dumps any more; the signals have the action that they had."""
    _install.core._underthread.take_dump_requests(None, 0, False)


def after(seconds):
    """A dump on stderr in so many seconds. @raises RuntimeError"""
    if not _install.core._underthread.dump_after(seconds):
        raise RuntimeError("no signal or no timer is to be had")


def _answer(is_json, all_of_it):
    # Interrupts are held off here, and what is raised is the dump's own.
    try:
        stacks = _stacks(all_of_it[0])
        if is_json:
            return _inspect.dump_json(*all_of_it, stacks=stacks)
        return "underthread: process {}\n{}\n".format(os.getpid(), _inspect.dump_text(*all_of_it, stacks=stacks))
    except Exception as error:
        if is_json:
            return _inspect._json({"process": os.getpid(), "error": repr(error)}) + "\n"
        return "underthread: process {}: the dump has failed: {!r}\n".format(os.getpid(), error)


def _stacks(threads):
    """None: all that there are."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    here = _thread.get_ident()
    if any(thread[_inspect._IS_MAIN] and thread[_inspect._IDENT] == here for thread in threads):
        return None
    # Without a GIL all threads are stopped for it, and the main one, which has not answered, may be in C for ever.
    return {here: sys._getframe()}


def _lend_stacks(core):
    """Lets faulthandler's signal handler, which shows Python's stacks without the GIL, be called by ours."""
    import faulthandler

    most = os.sysconf("SC_OPEN_MAX")
    # Nobody's, most likely: the system gives the lowest that is free.
    descriptor = min(most, 1024) - 1 if most > 0 else 1023
    number = core.unused_signal()
    if number:
        faulthandler.register(number, file=descriptor, all_threads=True, chain=False)
        core.set_stacks_signal(number, descriptor)
