"""``python -m underthread --site``: every Python process of an environment, by a .pth file in its
site-packages. Each function returns the exit status."""

import csv
import glob
import io
import os
import site
import sys
import sysconfig

from underthread import _install

# What follows `import` in a .pth file is compiled and run by `site` at each start, in a virtual environment
# twice. So it must be short, must not fail, nor say the same thing twice, nor say anything once this package
# is gone; a folder that outlives it (__pycache__) is still a package to Python.
_LINE = """\
# "python -m underthread --site on" has written this, and "--site off" removes it.
import sys; hasattr(sys.modules["_thread"], "_underthread_version") or exec({!a}, {{}})
"""
_START = """\
import os, sys
if os.environ.get("UNDERTHREAD", "").strip().lower() not in {!r}:
 try:
  {}
  underthread._install.install_at_start()
 except Exception as error:
  exec({!a})
"""
_IMPORT = "import underthread._install"
# The package may be where only PYTHONPATH leads; that folder may hold much else, so it comes last and does
# not stay.
_IMPORT_FROM = """\
path = sys.path[:]
  try:
   sys.path.append({!a})
   import underthread._install
  finally:
   sys.path[:] = path\
"""
# Compiled only where it is needed.
_FAILED = """\
gone = isinstance(error, ModuleNotFoundError) and error.name in ("underthread", "underthread._install")
if not gone and "underthread.pth" not in sys.modules and sys.stderr:
 sys.modules["underthread.pth"] = None
 says = "underthread: cannot be loaded (%s: %s); this process stays on stock _thread"
 print(says % (type(error).__name__, error), file=sys.stderr)
"""


def on(user):
    if _install.obstacle:
        return _fail(_install.obstacle)
    if user and not site.ENABLE_USER_SITE:
        return _fail("Python does not read {} here".format(_folder(user)))
    path = _path(user)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    is_here = os.path.realpath(package) == os.path.realpath(_folder(user))
    start = _START.format(_install.OFF, _IMPORT if is_here else _IMPORT_FROM.format(package), _FAILED)
    try:
        if user:
            os.makedirs(_folder(user), exist_ok=True)
        _write(path, _LINE.format(start).encode("ascii"))
    except OSError as error:
        return _fail("cannot write {}: {}".format(path, error.strerror))
    print("on: {}".format(path))
    _record(user, _with_our_line, "uninstalling the package will leave {}")
    return 0


def off(user):
    path = _path(user)
    try:
        os.unlink(path)
    except FileNotFoundError:
        print("off: it was not on, there is no {}".format(path))
    except OSError as error:
        return _fail("cannot remove {}: {}".format(path, error.strerror))
    else:
        print("off: removed {}".format(path))
    _record(user, _without_our_line, "it still lists {}")
    if not user and _is_on(user=True):
        print("still on for you: {}; --site off --user removes it".format(_path(user=True)))
    return 0


def status(user):
    found = [_path(whose) for whose in ([True] if user else [False, True]) if _is_on(whose)]
    print("on: {}".format(", ".join(found)) if found else "off: no {}".format(_path(user)))
    active = "underthread" if _install.is_active() else "stock _thread"
    print("this process: {}".format(active))
    if _install.is_switched_off():
        value = os.environ["UNDERTHREAD"].strip()
        print("UNDERTHREAD={} is set: processes that inherit it stay on stock _thread".format(value))
    if _install.obstacle:
        print("it cannot work here: {}".format(_install.obstacle))
    return 0 if found else 1


def _record(user, change, if_not):
    """Changes the RECORD of the package, if an installer has put the package into that folder.

    An installer removes what RECORD lists. A RECORD that cannot be changed is a message, which ends with
    `if_not`, and no failure: the .pth file works without it.
    """
    for path in glob.glob(os.path.join(glob.escape(_folder(user)), "underthread-*.dist-info", "RECORD")):
        try:
            with open(path, "rb") as file:
                before = file.read()
            after = change(before)
            if after != before:
                _write(path, after, like=path)
        except (OSError, ValueError, csv.Error) as error:
            why = getattr(error, "strerror", None) or error
            sys.stderr.write(
                "underthread: cannot change {}: {}; {}\n".format(path, why, if_not.format(_path(user)))
            )


# No hash and no size: both may be left out.
_RECORD_LINE = b"underthread.pth,,"


def _with_our_line(record):
    rows = csv.reader(io.StringIO(record.decode("utf-8"), newline=""))
    if any(row and row[0] == "underthread.pth" for row in rows):
        return record
    end = b"\r\n" if b"\r\n" in record else b"\n"
    if record and not record.endswith(b"\n"):
        # Its last line has no end, and then ours has none: so it can be restored exactly.
        return record + end + _RECORD_LINE
    return record + _RECORD_LINE + end


def _without_our_line(record):
    lines = record.splitlines(keepends=True)
    kept = [line for line in lines if line.rstrip(b"\r\n") != _RECORD_LINE]
    if lines and lines[-1] == _RECORD_LINE and kept:
        kept[-1] = kept[-1].rstrip(b"\r\n")
    return b"".join(kept)


def _write(path, content, like=None):
    """Writes a file, which is there whole or as it was before, with the mode of the file `like`."""
    # The name does not end in .pth: nobody reads it before it is whole.
    unfinished = "{}.{}".format(path, os.getpid())
    try:
        with open(unfinished, "xb") as file:
            if like:
                os.fchmod(file.fileno(), os.stat(like).st_mode & 0o7777)
            file.write(content)
        os.replace(unfinished, path)
    except OSError:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise


def _folder(user):
    return site.getusersitepackages() if user else sysconfig.get_path("purelib")


def _path(user):
    return os.path.join(_folder(user), "underthread.pth")


def _is_on(user):
    return bool(not user or site.ENABLE_USER_SITE) and os.path.exists(_path(user))


def _fail(why):
    sys.stderr.write("underthread: {}\n".format(why))
    return 1
