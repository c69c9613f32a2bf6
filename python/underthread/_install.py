"""Loads the extension as ``_thread``, puts it in the place of stock ``_thread``, and takes it out again."""

# At the start of each process, with --site on: nothing is imported here that is not there by then. What
# `importlib` is made of is, and itself it is not.
import _frozen_importlib
import _frozen_importlib_external
import _imp
import os
import sys

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
    pickle by. The spec says no location, so that the module has no ``__file__``: stock
    ``_thread`` has none.
    """
    if _is_ours(sys.modules.get("_thread")):
        return sys.modules["_thread"]
    if sys.implementation.name != "cpython" or not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Unusable(
            "it runs on CPython {}.{} to {}.{}; this is {} {}.{}.{}".format(
                *OLDEST, *NEWEST, sys.implementation.name, *sys.version_info[:3]
            )
        )
    found = _frozen_importlib_external.PathFinder.find_spec(_NAME, sys.modules[__package__].__path__)
    if found is None:
        raise Unusable(
            "the extension is missing for this interpreter: no _core{} in {}".format(
                _imp.extension_suffixes()[0], os.path.dirname(__file__)
            )
        )
    loader = _frozen_importlib_external.ExtensionFileLoader("_thread", found.origin)
    spec = _frozen_importlib.ModuleSpec("_thread", loader, origin=found.origin)
    try:
        module = _frozen_importlib.module_from_spec(spec)
        loader.exec_module(module)
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

# Stock ``_thread``. None if it was replaced before this module was loaded: nothing refers to it then.
stock = sys.modules.get("_thread")
if _is_ours(stock):
    stock = None


def _pairs():
    """What is to be replaced, and by what: each thing of stock ``_thread`` that differs from ours, and ours."""
    pairs = [(stock, core)]
    for name, theirs in vars(stock).items():
        ours = getattr(core, name, theirs)
        # A value, as TIMEOUT_MAX is one, may be anybody's: its identity says nothing.
        if ours is not theirs and callable(theirs) and not name.startswith("__"):
            pairs.append((theirs, ours))
    return pairs


# Asked once, before anybody can have patched one of the two modules.
_PAIRS = _pairs() if core and stock else []


# What UNDERTHREAD in the environment may be, in any case and with blanks around it. The .pth file
# (_environment.py) and _children/sitecustomize.py ask for OFF themselves, so that a process that is switched off
# does not load the package; python/tests/test_install.py compares.
OFF = ("0", "off", "no", "false")
ON = ("", "1", "on", "yes", "true")

_value_is_said = False


def is_switched_off():
    """True if the environment says that this process is to stay on stock ``_thread``.

    A value that says neither leaves it on, with one line on stderr.
    """
    global _value_is_said
    value = os.environ.get("UNDERTHREAD", "")
    word = value.strip().lower()
    if word in OFF:
        return True
    if word not in ON and not _value_is_said and sys.stderr is not None:
        _value_is_said = True
        sys.stderr.write(
            "underthread: UNDERTHREAD={!a} is neither off ({}) nor on ({} or empty); underthread stays on\n".format(
                value, ", ".join(OFF), ", ".join(ON[1:])
            )
        )
    return False


def is_active():
    """True when ``_thread`` is underthread's in this interpreter."""
    return _is_ours(sys.modules.get("_thread"))


def stays_stock():
    return "underthread: {}; this process stays on stock _thread".format(obstacle)


def why_inactive():
    """What to tell a caller of something that needs ``_thread`` to be ours, where it is not."""
    if obstacle:
        return stays_stock()
    if is_switched_off():
        return "underthread is switched off in this process: UNDERTHREAD={} is in the environment".format(
            os.environ["UNDERTHREAD"].strip()
        )
    return "underthread is not installed in this process: call underthread.install() first"


_obstacle_is_said = False


def install_at_start():
    """As ``install``, for what starts a process: one line on stderr says what is wrong, and says it once."""
    global _obstacle_is_said
    if is_active() or is_switched_off():
        return
    if not obstacle:
        replace()
        heed_environment()
    elif sys.stderr is not None and not _obstacle_is_said:
        _obstacle_is_said = True
        sys.stderr.write(stays_stock() + "\n")


def heed_environment():
    if os.environ.get("UNDERTHREAD_DEADLOCK"):
        from underthread import _deadlock

        _deadlock.set_up()
    if os.environ.get("UNDERTHREAD_DUMP_SIGNAL"):
        from underthread import _dump

        _dump.set_up()


def replace():
    _put(core, _PAIRS)


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
    _put(stock, [(ours, theirs) for theirs, ours in _PAIRS])


def _put(module, pairs):
    """Makes ``module`` the ``_thread`` of this interpreter, while other threads go on starting threads."""
    _threading_may_know_both_kinds()
    _exchange(pairs)
    sys.modules["_thread"] = module
    # If another thread has imported it since.
    _threading_may_know_both_kinds()


def _exchange(pairs):
    """Replaces the first of each pair by the second, everywhere that it is a module's attribute.

    By identity, whatever the attribute is called: ``threading._start_new_thread``, ``functools.RLock``,
    ``_frozen_importlib._thread``.
    """
    core._underthread.replace_references(
        [
            # Not vars(module): a lazy module would load itself.
            object.__getattribute__(module, "__dict__")
            for name, module in list(sys.modules.items())
            if isinstance(module, type(sys))
            and module is not stock
            and module is not core
            # We know both by name.
            and name.partition(".")[0] != __package__
        ],
        pairs,
    )


def _threading_may_know_both_kinds():
    # From 3.13 on that makes a difference to it; before, all was done with locks, and any lock will do.
    if sys.modules.get("threading") is not None and hasattr(stock, "_shutdown"):
        from underthread import _both_kinds

        _both_kinds.join()
