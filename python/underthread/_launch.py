"""``python -m underthread``: runs a program as ``python`` would, on underthread's threads and locks.

Nothing is imported here that is not there when a program starts. Under ``-m`` the current directory is first in
``sys.path``, and a file in it may have the name of a module of the standard library.
"""

import _frozen_importlib
import _frozen_importlib_external
import io
import marshal
import os
import sys

import underthread
from underthread import _deadlock, _inherit, _install

_USAGE = """\
usage: {0} [--no-children] [--deadlock MODE] [--dump-signal NAME] [--dump-after SECONDS] [OPTION ...]
       {2} [-m MODULE | -c COMMAND | FILE | -] [ARGUMENT ...]
       {0} dump [--json] PID
       {0} --site on|off|status [--user]
       {0} --gdb-script

Runs a Python program with `_thread` replaced by underthread's threads and locks, and so the Python
processes that it starts, unless they ignore their environment (-E, -I) or have no site (-S).

  -m MODULE      run a module, as `python -m MODULE`
  -c COMMAND     run the text of a program
  FILE           run a script, or a directory or zip file with a __main__.py
  -              run a program read from standard input
  OPTION         an option of python: {1},
                 -W FILTER, -X OPTION, --check-hash-based-pycs WHEN;
                 the interpreter is started again with it
  --no-children  leave the processes that it starts as they are
  --deadlock MODE
                 what to do where threads would wait for each other for ever: report it on stderr
                 (what is done without this), raise DeadlockError, exit with status 70, or off;
                 UNDERTHREAD_DEADLOCK=MODE in the environment says the same
  --dump-signal NAME
                 which signal writes what all threads wait for to stderr: QUIT (what is done without
                 this), another, none, or off, which the command dump is refused with
                 too; UNDERTHREAD_DUMP_SIGNAL=NAME says the same
  --dump-after SECONDS
                 writes that once, if the program still runs then
  dump PID       asks another process that runs so for it, and prints it; with --json for machines.
                 A program of that name is run as ./dump
  --site on      from now on, in each Python process of this environment: writes underthread.pth into
                 its site-packages; with --user into yours
  --site off     no longer: removes it
  --site status  say which it is; the exit status is 0 if it is on and 1 if not
  --gdb-script   print where the script for gdb is that shows who waits for what, in a core file or a process:
                 gdb -x SCRIPT PYTHON CORE, then `underthread locks`
  --version      print the versions of underthread and Python
  --help         print this

UNDERTHREAD=0 (or off, no, false) in the environment leaves a process as it is, and those that inherit it.
"""

# The options of python that have no value, and those that have one. -c and -m have one too, and are the last.
_FLAGS = "bBdEiIOPqRsSuv" if sys.version_info >= (3, 11) else "bBdEiIOqRsSuv"
_VALUED = "WX"
_LONG_VALUED = ("--check-hash-based-pycs",)


def main():
    _remove_first_path()
    words, options, program, children, after = sys.argv[1:], [], [], True, None
    if words[:1] == ["dump"]:
        _dump(words[1:])
    while words and not program:
        word = words.pop(0)
        if word == "--no-children":
            children = False
        elif word == "--deadlock" or word.startswith("--deadlock="):
            _set_deadlock(word.partition("=")[2] or _value("--deadlock", words))
        elif word == "--dump-signal" or word.startswith("--dump-signal="):
            _set_dump_signal(word.partition("=")[2] or _value("--dump-signal", words))
        elif word == "--dump-after" or word.startswith("--dump-after="):
            after = _dump_seconds(word.partition("=")[2] or _value("--dump-after", words))
        elif word == "--site":
            _site(words)
        elif word == "--gdb-script":
            _gdb_script()
        elif word == "--help":
            _help()
        elif word == "--version":
            _version()
        elif word in _LONG_VALUED:
            options += [word, _value(word, words)]
        elif word == "--":
            # What follows is a file, or standard input, whatever it begins with.
            program = [word]
        elif word == "-" or not word.startswith("-"):
            program = [word]
        elif word.startswith("--"):
            _refuse(f"unknown option {word}")
        else:
            program = _read_letters(word, words, options)
    program += words
    if program in ([], ["--"]):
        _refuse("no program is named")
    if options:
        ours = [] if children else ["--no-children"]
        ours += [] if after is None else ["--dump-after", repr(after)]
        _start_again(options, ours + program)
    _run(program, children, after)


def _read_letters(word, words, options):
    """Reads a word of options as python does, and a value from the words after it.

    Adds to ``options`` what is for python. Returns -c or -m with its value, if that is in it.
    """
    for position, letter in enumerate(word[1:], 1):
        option = "-" + letter
        if letter in "h?":
            _help()
        elif letter == "V":
            _version()
        elif letter in _VALUED or letter in "cm":
            rest = word[position + 1 :]
            value = rest or _value(option, words)
            if letter in "cm":
                if position > 1:
                    options.append(word[:position])
                return [option, value]
            options += [word] if rest else [word, value]
            return []
        elif letter not in _FLAGS:
            _refuse(f"unknown option {option}")
    options.append(word)
    return []


def _value(option, words):
    if not words:
        _refuse(f"argument expected for the {option} option")
    return words.pop(0)


def _set_deadlock(mode):
    if mode not in _deadlock.MODES:
        _refuse(f"--deadlock takes {', '.join(_deadlock.MODES)}, not {mode}")
    # For the processes that it starts too, and for this one if it is started again.
    os.environ[_deadlock.VARIABLE] = mode


def _set_dump_signal(name):
    from underthread import _dump

    try:
        _dump.signal_number(name)
    except ValueError as error:
        _refuse(f"--dump-signal: {error}")
    os.environ[_dump.VARIABLE] = name


def _dump_seconds(text):
    try:
        seconds = float(text)
        if 0 < seconds < 1e9:
            return seconds
    except ValueError:
        pass
    _refuse(f"--dump-after takes seconds, more than 0 and less than a billion, not {text}")


def _dump(words):
    from underthread import _dump_command

    sys.exit(_dump_command.main(words))


def _help():
    sys.stdout.write(_usage())
    sys.exit(0)


def _version():
    print(f"underthread {underthread.__version__} (Python {sys.version.split()[0]})")
    sys.exit(0)


def _gdb_script():
    print(os.path.join(os.path.dirname(os.path.abspath(__file__)), "_gdb", "underthread-gdb.py"))
    sys.exit(0)


def _start_again(options, words):
    """Replaces this process by one of the same interpreter, with those options too, which runs the same program.

    It runs __main__.py by its path: with -I, -E, -S or -P the package may not be found by its name.
    """
    before = _options_of_this_process()
    if before is None:
        import subprocess

        before = subprocess._args_from_interpreter_flags()
    if not sys.executable:
        _refuse("python's own options cannot be taken here: sys.executable does not say which python to start again")
    start = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    try:
        os.execv(sys.executable, [sys.executable, *before, *options, start, *words])
    except OSError as error:
        sys.stderr.write(f"underthread: cannot start {sys.executable} again: {error.strerror}\n")
        sys.exit(1)


def _options_of_this_process():
    """The words between ``python`` and what names us, or None: they are not known."""
    words = getattr(sys, "orig_argv", None) or _command_line()
    ours = sys.argv[1:]
    # Unless somebody has changed sys.argv, or calls main() from the text of -c.
    if len(words) < len(ours) + 2 or words[len(words) - len(ours) :] != ours or sys.argv[0] == "-c":
        return None
    before = words[1 : len(words) - len(ours)]
    last = before.pop()
    if _is_run_by_name():
        # `-m underthread`, with both words in one or not, and with other letters before the m or not.
        letters = last[: last.index("m")] if last.startswith("-") else before.pop()[:-1]
        if letters != "-":
            before.append(letters)
    elif before[-1:] == ["--"]:
        before.pop()
    return before


def _command_line():
    # Python 3.9 has no sys.orig_argv.
    try:
        with open("/proc/self/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def _is_run_by_name():
    """True under `python -m underthread`, false under the script `underthread` and where __main__.py is run by its
    path."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name != "__main__"


def _usage():
    name = os.path.basename(sys.argv[0])
    if name == "__main__.py":
        name = "python -m underthread"
    return _USAGE.format(name, " ".join("-" + letter for letter in _FLAGS), " " * len(name))


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


def _run(program, children, dump_after):
    _install.install_at_start()
    _deadlock.set_up("report")
    _take_dump_requests(dump_after)
    if children and not _install.obstacle:
        _inherit.reach_children(os.environ)
    else:
        _inherit.leave_children(os.environ)
    before = _options_of_this_process()
    if before is not None and hasattr(sys, "orig_argv"):
        sys.orig_argv = [sys.orig_argv[0], *before, *program]
    first = program[0]
    if first == "--":
        del program[0]
    if first in ("-m", "-c"):
        start, what = _start_module if first == "-m" else _start_command, program.pop(1)
    elif program[0] == "-":
        start, what = _start_command, None
    else:
        start, what = _start_path, program[0]
    sys.argv = program
    # The present __main__ is the launcher's; the program gets a new one, as python makes it.
    module = type(sys)("__main__")
    module.__dict__["__loader__"] = _frozen_importlib.BuiltinImporter
    if _main_has("__annotations__"):
        module.__dict__["__annotations__"] = {}
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    cached = {"__cached__": None} if _main_has("__cached__") else {}
    sys.modules["__main__"] = module
    try:
        start(what, module.__dict__, cached)
    except BaseException as error:
        # It leaves through us, since the interpreter is to treat it as it treats any that leaves a
        # program; only where it came from is to start with the program. A SystemExit is reported with -i only.
        if not isinstance(error, SystemExit) or sys.flags.inspect:
            _report_from(_skip_ours(error.__traceback__))
        raise


def _take_dump_requests(after):
    if not _install.is_active():
        return
    from underthread import _dump

    _dump.set_up(_dump.DEFAULT)
    if after is not None:
        try:
            _dump.after(after)
        except RuntimeError as error:
            sys.stderr.write(f"underthread: --dump-after: {error}\n")


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


# The files whose frames a traceback of the program is not to begin with.
_OURS = [__file__]


def _skip_ours(traceback):
    while traceback and traceback.tb_frame.f_code.co_filename in _OURS:
        traceback = traceback.tb_next
    return traceback


def _remove_first_path():
    """Removes what python has put first in ``sys.path`` to run us: the current directory under ``-m``, else the
    directory of the script. Neither is the program's."""
    if not _safe_path() and (not _is_run_by_name() or sys.path[:1] == [_current_directory()]):
        del sys.path[:1]


def _current_directory():
    """None if it has been removed; python leaves it out of ``sys.path`` then."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _put_first_path(entry):
    """Puts ``entry`` where python would have put it to run the program."""
    if entry is not None and not _safe_path():
        sys.path.insert(0, entry)
    _forget_what_is_hidden(entry)


def _safe_path():
    # Before 3.11 only -I keeps sys.path so.
    return getattr(sys.flags, "safe_path", sys.flags.isolated)


def _forget_what_is_hidden(entry):
    """Forgets modules that were loaded to run us where the program would find others by their names.

    With ``python app.py`` a ``types.py`` beside app.py is what ``import types`` finds.
    """
    names = list(sys.modules)
    # In the order in which their imports ended. What the start of any program imports ends with `site`, or with
    # the making of __main__ where there is none.
    last = "__main__" if sys.flags.no_site else "site"
    for name in names[names.index(last) + 1 :] if last in names else []:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        # Built-in and frozen modules go before all that a path leads to.
        if "." in name or name == __package__ or not getattr(spec, "has_location", False):
            continue
        found = _frozen_importlib_external.PathFinder.find_spec(name)
        if found is not None and found.has_location and found.origin != spec.origin:
            for other in names:
                if other.partition(".")[0] == name:
                    sys.modules.pop(other, None)
    # What is cached of the program's folder is not to be older than the program.
    sys.path_importer_cache.pop(entry, None)


def _start_module(name, *_):
    _run_as_main(_current_directory(), name)


def _run_as_main(entry, name, **options):
    # The interpreter calls the same function. It is imported before the program's folder is in sys.path.
    import runpy

    _OURS.append(runpy.run_module.__code__.co_filename)
    _put_first_path(entry)
    runpy._run_module_as_main(name, **options)


def _start_command(command, namespace, cached):
    _put_first_path("")
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
    whole = os.path.join(_current_directory() or "", path)
    if _has_importer(whole):
        # A directory or a zip file. It is where the program is, so it is there with safe_path too.
        if _safe_path():
            sys.path.insert(0, whole)
        _run_as_main(whole, "__main__", alter_argv=False)
        return
    _put_first_path(os.path.dirname(_resolve(whole)))
    code, loader = _read_script(whole)
    namespace.update(__file__=whole, **cached)
    namespace["__loader__"] = loader("__main__", whole)
    exec(code, namespace)


def _has_importer(path):
    for hook in sys.path_hooks:
        try:
            return hook(path) is not None
        except ImportError:
            pass
    return False


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
        if isinstance(error, FileNotFoundError) and os.path.basename(path).isidentifier():
            sys.stderr.write(f"underthread: there is no command {os.path.basename(path)!r} either; the commands are: dump\n")
        sys.exit(2)
    if source.startswith(_frozen_importlib_external.MAGIC_NUMBER):
        # Three more words of four bytes: flags, and what is known of the source.
        return marshal.loads(source[16:]), _frozen_importlib_external.SourcelessFileLoader
    code = compile(source, path, "exec", dont_inherit=True)
    return code, _frozen_importlib_external.SourceFileLoader
