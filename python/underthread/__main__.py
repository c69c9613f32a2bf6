"""Where the launcher begins: under `python -m underthread`, in the script `underthread`, and by the path of this
file, as _launch.py starts the interpreter again. The package need not be where a path leads to it then."""

if __name__ == "__main__" and not __package__:
    import os
    import sys

    _path = sys.path[:]
    # First: it is to be this package, and no other of that name.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        import underthread._launch
    finally:
        sys.path[:] = _path

from underthread._launch import main

# The script `underthread` calls it too.
__all__ = ["main"]

if __name__ == "__main__":
    main()
