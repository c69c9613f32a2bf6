"""``python -m underthread``: runs a program as ``python`` would, on underthread's threads and locks."""

import io
import os
import pkgutil
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader

import underthread
from underthread import _inherit, _install

_USAGE = """\
usage: {0} [--no-children] [-m MODULE | -c COMMAND | FILE | -] [ARGUMENT ...]
       {0} --site on|off|status [--user]

Runs a Python program with `_thread` replaced by underthread's threads and locks, and so the Python
processes that it starts, unless they ignore their environment (-E, -I) or have no site (-S).

  -m MODULE      run a module, as `python -m MODULE`
  -c COMMAND     run the text of a program
  FILE           run a script, or a directory or zip file with a __main__.py
  -              run a program read from standard input
  --no-children  leave the processes that it starts as they are
  --site on      from now on, in each Python process of this environment: writes underthread.pth into
                 its site-packages; with --user into yours
  --site off     no longer: removes it
  --site status  say which it is; the exit status is 0 if it is on and 1 if not
  --version      print the versions of underthread and Python
  --help         print this

UNDERTHREAD=0 (or off, no, false) in the environment leaves a process as it is, and those that inherit it.
"""


def main():
    arguments = sys.argv[1:]
    children = arguments[:1] != ["--no-children"]
    if not children:
        del arguments[0]
    if not arguments:
        sys.stderr.write(_usage())
        sys.exit(2)
    first = arguments[0]
    if first in ("--help", "-h"):
        sys.stdout.write(_usage())
    elif first in ("--version", "-V"):
        print(f"underthread {underthread.__version__} (Python {sys.version.split()[0]})")
    elif first == "--site":
        _site(arguments[1:])
    elif first.startswith(("-m", "-c")):
        # As for python itself, the value may stick to its letter.
        words = ([first[2:]] if first[2:] else []) + arguments[1:]
        if not words:
            _refuse(f"argument expected for the {first} option")
        start = _start_module if first[1] == "m" else _start_command
        _run(start, children, first[:2], words[0], words[1:])
    elif first == "-":
        _run(_start_command, children, "-", None, arguments[1:])
    elif first.startswith("-"):
        _refuse(f"unknown option {first}")
    else:
        _run(_start_path, children, first, first, arguments[1:])


def _is_module():
    """True under `python -m underthread`, false under the script `underthread`."""
    return os.path.basename(sys.argv[0]) == "__main__.py"


def _usage():
    return _USAGE.format("python -m underthread" if _is_module() else os.path.basename(sys.argv[0]))


def _refuse(why):
    sys.stderr.write(f"underthread: {why}\n{_usage()}")
    sys.exit(2)


def _site(words):
    # It is no part of running a program.
    from underthread import _environment

    actions = {"on": _environment.on, "off": _environment.off, "status": _environment.status}
    if not words or words[0] not in actions or words[1:] not in ([], ["--user"]):
        _refuse("--site takes on, off or status, and then --user or nothing")
    sys.exit(actions[words[0]](user=bool(words[1:])))


def _run(start, children, name, program, arguments):
    _install.install_at_start()
    if children and not _install.obstacle:
        _inherit.reach_children(os.environ)
    else:
        _inherit.leave_children(os.environ)
    # The directory of the script `underthread` is no concern of the program's.
    if not _is_module():
        _replace_first_path(os.getcwd())
    sys.argv = [name, *arguments]
    # The interpreter's own __main__ is what runs us; the program's is to be as new as python's.
    module = type(sys)("__main__")
    module.__dict__["__loader__"] = BuiltinImporter
    if _main_has("__annotations__"):
        module.__dict__["__annotations__"] = {}
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    cached = {"__cached__": None} if _main_has("__cached__") else {}
    sys.modules["__main__"] = module
    try:
        start(program, module.__dict__, cached)
    except SystemExit:
        raise
    except BaseException as error:
        # It leaves through us, since the interpreter is to treat it as it treats any that leaves a
        # program; only where it came from is to start with the program.
        _report_from(_skip_ours(error.__traceback__))
        raise


def _main_has(name):
    """Which names a new __main__ has differs from version to version; ours was one."""
    return name in vars(sys.modules["__main__"])


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
    if not _safe_path():
        sys.path[0] = entry


def _safe_path():
    # Before 3.11 only -I keeps sys.path so.
    return getattr(sys.flags, "safe_path", sys.flags.isolated)


def _start_module(name, *_):
    # The current directory is first in sys.path already. What follows is what the interpreter itself
    # calls for `-m`.
    runpy._run_module_as_main(name)


def _start_command(command, namespace, cached):
    _replace_first_path("")
    if command is None:
        name = namespace["__file__"] = "<stdin>"
        namespace.update(cached)
        command = sys.stdin.buffer.read()
    else:
        name = "<string>"
    code = compile(command, name, "exec", dont_inherit=True)
    if name == "<string>" and sys.version_info >= (3, 13):
        _show_in_tracebacks(code, command, name)
    exec(code, namespace)


def _show_in_tracebacks(code, command, name):
    # As the interpreter does it, and where.
    import linecache

    if hasattr(linecache, "_interactive_cache"):
        linecache._register_code(code, command, name)
    else:
        lines = [line + "\n" for line in command.splitlines()]
        linecache.cache[name] = (len(command), None, lines, name)


def _start_path(path, namespace, cached):
    whole = os.path.join(os.getcwd(), path)
    if pkgutil.get_importer(whole) is not None:
        # A directory or a zip file. It is where the program is, so it is there with safe_path too.
        _replace_first_path(whole) if not _safe_path() else sys.path.insert(0, whole)
        runpy._run_module_as_main("__main__", alter_argv=False)
        return
    _replace_first_path(os.path.dirname(_resolve(whole)))
    code, loader = _read_script(whole)
    namespace.update(__file__=whole, **cached)
    namespace["__loader__"] = loader("__main__", whole)
    exec(code, namespace)


def _resolve(path):
    """As python does for sys.path[0]: what a link like /dev/stdin leads to may be no path."""
    whole = os.path.realpath(path)
    if os.path.exists(whole):
        return whole
    is_link = os.path.islink(path)
    return os.path.join(os.path.dirname(path), os.readlink(path)) if is_link else path


def _read_script(path):
    try:
        # Read once, from front to back: it may be a pipe.
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(
            f"{getattr(sys, 'orig_argv', [sys.executable])[0]}: can't open file {path!r}: "
            f"[Errno {error.errno}] {error.strerror}\n"
        )
        sys.exit(2)
    code = pkgutil.read_code(io.BytesIO(source))
    if code is not None:
        return code, SourcelessFileLoader
    return compile(source, path, "exec", dont_inherit=True), SourceFileLoader
