"""Loads the extension as ``_thread``, and puts it where the interpreter's own was."""

import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, PathFinder
from importlib.util import module_from_spec

_NAME = __package__ + "._core"


def load_core():
    """The extension, loaded under the name ``_thread``.

    The name is what its functions and types show as their ``__module__``, which programs compare and
    pickle by. The spec says no location, so that the module has no ``__file__``: the interpreter's own
    has none.
    """
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    found = PathFinder.find_spec(_NAME, sys.modules[__package__].__path__)
    if found is None:
        raise ImportError(
            "underthread: the extension is missing for this interpreter: no _core"
            + EXTENSION_SUFFIXES[0]
            + " beside "
            + __file__
        )
    spec = ModuleSpec(
        "_thread", ExtensionFileLoader("_thread", found.origin), origin=found.origin
    )
    core = module_from_spec(spec)
    spec.loader.exec_module(core)
    sys.modules[_NAME] = core
    return core


def replace(stock, core):
    """Replaces the module ``stock`` by ``core`` everywhere that a module's attribute is the one, or
    something out of it.

    By identity, whatever the attribute is called: ``threading._start_new_thread``, ``functools.RLock``,
    ``_frozen_importlib._thread``.
    """
    replacements = {id(stock): core}
    for name, theirs in vars(stock).items():
        ours = getattr(core, name, theirs)
        if ours is not theirs and not name.startswith("__"):
            replacements[id(theirs)] = ours

    sys.modules["_thread"] = core
    for module in list(sys.modules.values()):
        if module is stock or not isinstance(module, type(sys)):
            continue
        # Not vars(module): a lazy module would load itself.
        attributes = object.__getattribute__(module, "__dict__")
        for name, value in list(attributes.items()):
            ours = replacements.get(id(value))
            if ours is not None:
                attributes[name] = ours
