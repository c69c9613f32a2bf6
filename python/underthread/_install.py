"""Loads the extension as ``_thread``, puts it where the interpreter's own was, and takes it out again."""

import os
import sys
from importlib._bootstrap import module_from_spec
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, PathFinder

OLDEST, NEWEST = (3, 9), (3, 15)

_NAME = __package__ + "._core"


class Unusable(Exception):
    """Ours cannot work here; the text says why."""


def _is_ours(module):
    # An interpreter whose built-in _thread is ours (underthread-python) has loaded no extension: the
    # module itself says what it is.
    return hasattr(module, "_underthread_version")


def _load():
    """The extension, loaded under the name ``_thread``.

    The name is what its functions and types show as their ``__module__``, which programs compare and
    pickle by. The spec says no location, so that the module has no ``__file__``: the interpreter's own
    has none.
    """
    if _is_ours(sys.modules.get("_thread")):
        return sys.modules["_thread"]
    if sys.implementation.name != "cpython" or not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Unusable(
            "it runs on CPython {}.{} to {}.{}; this is {} {}.{}.{}".format(
                *OLDEST, *NEWEST, sys.implementation.name, *sys.version_info[:3]
            )
        )
    found = PathFinder.find_spec(_NAME, sys.modules[__package__].__path__)
    if found is None:
        raise Unusable(
            "the extension is missing for this interpreter: no _core{} in {}".format(
                EXTENSION_SUFFIXES[0], os.path.dirname(__file__)
            )
        )
    spec = ModuleSpec(
        "_thread", ExtensionFileLoader("_thread", found.origin), origin=found.origin
    )
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:
        # Whatever it is: a symbol that this interpreter has not, a name that its _thread has not.
        raise Unusable("its extension does not load: {}: {}".format(type(error).__name__, error))
    return module


# Why ours cannot work here, or None.
obstacle = None
try:
    core = _load()
    # By that name it is no module. At its end the interpreter empties modules, those that came last first,
    # and finds it as _thread, where its own was: programs may still use that then.
    sys.modules[_NAME] = type(sys.implementation)(**vars(core))  # type: ignore
except Unusable as error:
    core, obstacle = None, str(error)

# The interpreter's own. None if it was replaced before we came: nobody knows it then.
stock = sys.modules.get("_thread")
if _is_ours(stock):
    stock = None


def _pairs():
    """What is to be exchanged: the interpreter's own and ours, of each that differs."""
    pairs = [(stock, core)]
    for name, theirs in vars(stock).items():
        ours = getattr(core, name, theirs)
        # A value, as TIMEOUT_MAX is one, may be anybody's: its identity says nothing.
        if ours is not theirs and callable(theirs) and not name.startswith("__"):
            pairs.append((theirs, ours))
    return pairs


# Asked once, before anybody can have patched one of the two modules.
_PAIRS = _pairs() if core and stock else []


def is_switched_off():
    """True if the environment says that this process is to stay on the interpreter's own."""
    return os.environ.get("UNDERTHREAD") == "0"


def is_active():
    """True when ``_thread`` is underthread's in this interpreter."""
    return _is_ours(sys.modules.get("_thread"))


def stays_stock():
    return "underthread: {}; this process stays on Python's own _thread".format(obstacle)


def install_at_start():
    """As ``install``, for what starts a process: one line on stderr says what is wrong."""
    if is_active() or is_switched_off():
        return
    if not obstacle:
        replace()
    elif sys.stderr is not None:
        sys.stderr.write(stays_stock() + "\n")


def replace():
    _exchange({id(theirs): ours for theirs, ours in reversed(_PAIRS)})
    sys.modules["_thread"] = core
    _join_both_kinds()


def uninstall():
    """Puts back what ``install`` has replaced, and what modules have taken from ours since.

    Does nothing if ours is not in place. Threads and locks of ours go on working. A RuntimeError if
    ``_thread`` was ours before this package was loaded, as under ``underthread-python``: nothing was
    replaced then.
    """
    if not is_active():
        return
    if stock is None:
        raise RuntimeError(
            "underthread cannot be uninstalled: _thread was underthread's before the package was "
            "loaded, so there is no other to put back"
        )
    _exchange({id(ours): theirs for theirs, ours in reversed(_PAIRS)})
    sys.modules["_thread"] = stock
    _join_both_kinds()


def _exchange(replacements):
    """Replaces, everywhere that it is a module's attribute, each object by what is to stand for its id.

    By identity, whatever the attribute is called: ``threading._start_new_thread``, ``functools.RLock``,
    ``_frozen_importlib._thread``.
    """
    for name, module in list(sys.modules.items()):
        if module is stock or module is core or not isinstance(module, type(sys)):
            continue
        # We know both by name.
        if name.partition(".")[0] == __package__:
            continue
        # Not vars(module): a lazy module would load itself.
        attributes = object.__getattribute__(module, "__dict__")
        for name, value in list(attributes.items()):
            replacement = replacements.get(id(value))
            if replacement is not None:
                attributes[name] = replacement


def _join_both_kinds():
    """Lets a ``threading`` that may know threads of both kinds start and join both.

    From 3.13 on it leaves to ``_thread`` to say, at the end, which threads are still to be waited for,
    and each kind knows only its own. A Thread gets its handle when it is made, and only the kind that
    made the handle can start it. Before, all of this was done with locks, and any lock will do.
    """
    threading = sys.modules.get("threading")
    if threading is None or not hasattr(stock, "_shutdown"):
        return
    attributes = vars(threading)
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
