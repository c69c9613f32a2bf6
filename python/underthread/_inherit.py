"""What the Python processes that a program starts find in their environment: PYTHONPATH leads them to
``_children/sitecustomize.py``, UNDERTHREAD_CHILDREN that to this package."""

import os
import sys

# The real path: in a build folder the modules are links, each by itself.
FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "_children")


def reach_children(environment):
    if os.pathsep in FOLDER:
        sys.stderr.write(
            "underthread: child processes stay on stock _thread: "
            "PYTHONPATH cannot hold {}\n".format(FOLDER)
        )
        return
    entries = _entries(environment)
    if FOLDER not in entries:
        entries.insert(0, FOLDER)
    environment["PYTHONPATH"] = os.pathsep.join(entries)
    environment["UNDERTHREAD_CHILDREN"] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def leave_children(environment):
    """What a launcher above us has set is not for our children."""
    environment.pop("UNDERTHREAD_CHILDREN", None)
    entries = _entries(environment)
    if FOLDER in entries:
        entries.remove(FOLDER)
        if entries:
            environment["PYTHONPATH"] = os.pathsep.join(entries)
        else:
            del environment["PYTHONPATH"]


def _entries(environment):
    # An empty PYTHONPATH is none; an empty entry in it is the current directory.
    path = environment.get("PYTHONPATH")
    return path.split(os.pathsep) if path else []
