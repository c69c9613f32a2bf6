"""Found through PYTHONPATH by each Python process that a program under ``python -m underthread`` starts.

Any Python may find it, an old one too: it says what is wrong in one line and never fails.
"""

import os
import sys


def start():
    # As if it had not been there: the program's path, and the sitecustomize that comes now.
    here = os.path.dirname(__file__)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)

    folder = os.environ.get("UNDERTHREAD_CHILDREN")
    # As _install.is_switched_off, which is not loaded then.
    value = os.environ.get("UNDERTHREAD", "")
    if not folder or value.strip().lower() in ("0", "off", "no", "false"):
        return
    path = sys.path[:]
    # Last: it may be a folder with much else in it.
    sys.path.append(folder)
    try:
        import underthread._install

        underthread._install.install_at_start()
        import underthread._deadlock

        underthread._deadlock.set_up("report")
        if underthread._install.is_active():
            import underthread._dump

            underthread._dump.set_up(underthread._dump.DEFAULT)
    except Exception as error:
        if sys.stderr is not None:
            sys.stderr.write(
                "underthread: cannot be loaded (%s: %s); this process stays on stock _thread\n"
                % (type(error).__name__, error)
            )
    finally:
        sys.path[:] = path


start()
# The name is kept: Python 2 would clear a module that nobody knows any more.
this = sys.modules.pop("sitecustomize")
# If there is none, the interpreter is told so by the exception that it expects then.
import sitecustomize  # type: ignore
