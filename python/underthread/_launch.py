"""``python -m underthread``: runs a program as ``python`` would, on underthread's threads and locks."""

import io
import os
import pkgutil
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader

import underthread

_USAGE = """\
usage: python -m underthread [-m MODULE | -c COMMAND | FILE | -] [ARGUMENT ...]

Runs a Python program with `_thread` replaced by underthread's threads and locks.

  -m MODULE   run a module, as `python -m MODULE`
  -c COMMAND  run the text of a program
  FILE        run a script, or a directory or zip file with a __main__.py
  -           run a program read from standard input
  --version   print the versions of underthread and Python
  --help      print this
"""


def main():
    arguments = sys.argv[1:]
    if not arguments:
        sys.stderr.write(_USAGE)
        sys.exit(2)
    first = arguments[0]
    if first in ("--help", "-h"):
        sys.stdout.write(_USAGE)
    elif first in ("--version", "-V"):
        print(f"underthread {underthread.__version__} (Python {sys.version.split()[0]})")
    elif first.startswith(("-m", "-c")):
        # As for python itself, the value may stick to its letter.
        words = ([first[2:]] if first[2:] else []) + arguments[1:]
        if not words:
            _refuse(f"argument expected for the {first} option")
        start = _start_module if first[1] == "m" else _start_command
        _run(start, first[:2], words[0], words[1:])
    elif first == "-":
        _run(_start_command, "-", None, arguments[1:])
    elif first.startswith("-"):
        _refuse(f"unknown option {first}")
    else:
        _run(_start_path, first, first, arguments[1:])


def _refuse(why):
    sys.stderr.write(f"underthread: {why}\n{_USAGE}")
    sys.exit(2)


def _run(start, name, program, arguments):
    underthread.install()
    sys.argv = [name, *arguments]
    # The interpreter's own __main__ is what runs us; the program's is to be as new as python's.
    module = type(sys)("__main__")
    module.__dict__.update(__loader__=BuiltinImporter, __annotations__={})
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = module
    try:
        start(program, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        # It leaves through us, since the interpreter is to treat it as it treats any that leaves a
        # program; only where it came from is to start with the program.
        _report_from(_skip_ours(error.__traceback__))
        raise


def _report_from(traceback):
    """Lets the excepthook that the program leaves behind see this traceback, once."""
    hook = sys.excepthook

    def excepthook(kind, value, _):
        sys.excepthook = hook
        sys.last_traceback = value.__traceback__ = traceback
        hook(kind, value, traceback)

    sys.excepthook = excepthook


def _skip_ours(traceback):
    ours = (__file__, runpy.run_module.__code__.co_filename)
    while traceback and traceback.tb_frame.f_code.co_filename in ours:
        traceback = traceback.tb_next
    return traceback


def _replace_first_path(entry):
    """Puts `entry` where `-m underthread` has put the current directory, if it has."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _start_module(name, _):
    # The current directory stays first in sys.path: it is what `-m` puts there. What follows is what
    # the interpreter itself calls for `-m`.
    runpy._run_module_as_main(name)


def _start_command(command, namespace):
    _replace_first_path("")
    if command is None:
        name = namespace["__file__"] = "<stdin>"
        namespace["__cached__"] = None
        command = sys.stdin.buffer.read()
    else:
        name = "<string>"
    exec(compile(command, name, "exec", dont_inherit=True), namespace)


def _start_path(path, namespace):
    whole = os.path.join(os.getcwd(), path)
    if pkgutil.get_importer(whole) is not None:
        # A directory or a zip file. It is where the program is, so it is there with safe_path too.
        _replace_first_path(whole) if not sys.flags.safe_path else sys.path.insert(0, whole)
        runpy._run_module_as_main("__main__", alter_argv=False)
        return
    _replace_first_path(os.path.dirname(_resolve(whole)))
    code, loader = _read_script(whole)
    namespace.update(__file__=whole, __cached__=None, __loader__=loader("__main__", whole))
    exec(code, namespace)


def _resolve(path):
    """As python does for sys.path[0]: what a link like /dev/stdin leads to may be no path."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError:
        is_link = os.path.islink(path)
        return os.path.join(os.path.dirname(path), os.readlink(path)) if is_link else path


def _read_script(path):
    try:
        # Read once, from front to back: it may be a pipe.
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(
            f"{sys.orig_argv[0]}: can't open file {path!r}: "
            f"[Errno {error.errno}] {error.strerror}\n"
        )
        sys.exit(2)
    code = pkgutil.read_code(io.BytesIO(source))
    if code is not None:
        return code, SourcelessFileLoader
    return compile(source, path, "exec", dont_inherit=True), SourceFileLoader
