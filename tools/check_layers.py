#!/usr/bin/env python3
"""Checks what keeps the core small and testable, and says where it is broken as file:line: what.

    tools/check_layers.py [FOLDER]      FOLDER: the project; default: the one that this file is in

Layers, from the top; each includes only itself and what is below it:

    python      python/src, whose folders are rooms, from the top:
                module, threads, types, waits, inspect, interrupts, state, cpython
    api         include/underthread/*.h, src/*.h, src/*.cpp
    lot         include/underthread/lot, src/lot
    os          src/os

Everything else is in RULES: a pattern, where it is forbidden, and why. Comments and strings do not
count. It reads text, not C++: a rule that can be evaded on purpose still catches what slips in.
"""

import os.path
import pathlib
import re
import sys

LAYERS = ["os", "lot", "api", "python"]

# The rooms of python/src, from the bottom: each includes only itself and what is below it.
ROOMS = ["cpython", "state", "interrupts", "inspect", "waits", "types", "threads", "module"]

# Public headers with more than one text. Each with its reason.
MAY_DEPEND_ON_COMPILER = {
    "include/underthread/thread_safety.h": "what the compilers' checkers are told, each in its own words",
}

# Where the GIL may be released. Each with its reason.
MAY_RELEASE_GIL = {
    "python/src/cpython/gil.cpp": "the place for it",
    "python/src/interrupts/timekeeper.cpp": "a thread without a state of its own, which attaches for a moment",
}

# Headers of the interpreter, which python/src is about.
PYTHON_HEADERS = {"Python.h", "frameobject.h", "structmember.h", "internal/pycore_interp.h"}

CORE = ("os", "lot", "api")
ABOVE_OS = ("lot", "api", "python")

# A function called by its plain or global name: not a member, not another namespace's.
CALL = r"(?<![\w.>:~])(?:::\s*)?(?:%s)\s*\("

RULES = [
    # (what is wrong, where, pattern)
    ("waiting outside src/os: wait in the lot", ABOVE_OS, CALL % "|".join([
        r"pthread_(?:mutex|cond|rwlock|barrier|spin)_\w+", r"pthread_join", r"pthread_timedjoin_np",
        r"sem_(?:wait|timedwait|clockwait|trywait)", r"(?:clock_)?nanosleep", r"u?sleep",
        r"p?poll", r"p?select", r"epoll_p?wait2?", r"pause", r"sigsuspend", r"sig(?:timed)?wait(?:info)?",
        r"wait(?:pid|id)", r"sched_yield", r"(?:thrd|mtx|cnd)_\w+", r"syscall", r"flock", r"lockf"])),
    ("waiting outside src/os: wait in the lot", ABOVE_OS, r"\b(?:SYS_futex|__NR_futex|FUTEX_\w+)\b"),
    ("waiting outside src/os: wait in the lot", ABOVE_OS,
     r"\bstd\s*::\s*(?:(?:recursive_|shared_)?(?:timed_)?mutex|condition_variable(?:_any)?|j?thread|"
     r"counting_semaphore|binary_semaphore|latch|barrier|future|shared_future|promise|async|call_once|"
     r"atomic_wait\w*|atomic_notify\w*)\b"),
    ("waiting outside src/os: wait in the lot", ABOVE_OS,
     r"\bthis_thread\s*::\s*(?:sleep_for|sleep_until|yield)\b"),
    ("waiting outside src/os: wait in the lot", ABOVE_OS, r"(?:\.|->)\s*notify_(?:one|all)\s*\("),
    ("the clock outside src/os: ask os::now()", ABOVE_OS,
     r"\b(?:steady_clock|high_resolution_clock)\s*::\s*now\b|\b(?:clock_gettime|gettimeofday|timespec_get)\b"),
    ("a fence: use the orderings of the atomics themselves", LAYERS,
     r"\b(?:std\s*::\s*)?atomic_(?:thread|signal)_fence\b|\b__sync_synchronize\b|\b__atomic_\w+_fence\b"),
    ("pthread_cancel: a thread is interrupted, never cancelled", LAYERS, r"\bpthread_cancel\b"),
    ("std::function or shared_ptr in the lot: it allocates; take callbacks by reference", ("lot",),
     r"\b(?:std\s*::\s*function\b|shared_ptr\b|make_shared\b)"),
    ("catch (...) in the extension: it would stop the unwinding that ends a thread at exit", ("python",),
     r"\bcatch\s*\(\s*\.\.\.\s*\)"),
    ("noexcept in the extension: the unwinding that ends a thread at exit may pass here", ("python",),
     r"\bnoexcept\b"),
]

GIL = re.compile(r"\b(?:Py_BEGIN_ALLOW_THREADS|Py_UNBLOCK_THREADS|PyEval_SaveThread|PyEval_RestoreThread|"
                 r"PyEval_ReleaseThread)\b")
ATOMIC = re.compile(r"\batomic(?:_flag|_\w+|_ref)?(?:\s*<[^;{}()]*>)?\s*[&*]?\s*(\w+)\s*[;={(,)\[]")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.MULTILINE)


def without_comments(text, strings=True):
    """The text with comments, and strings too if `strings` is false, blanked; every line keeps its number."""
    token = re.compile(
        r"//[^\n]*|/\*.*?\*/"
        r"|R\"([^()\\ \n]{0,16})\(.*?\)\1\""
        r"|\"(?:\\.|[^\"\\\n])*\""
        # An apostrophe within a number separates digits.
        r"|\b\d(?:'?[\w.])*"
        r"|'(?:\\.|[^'\\\n])+'", re.DOTALL)

    def blank(match):
        found = match.group()
        is_comment = found.startswith(("//", "/*"))
        if is_comment or (not strings and not found[0].isdigit()):
            return re.sub(r"[^\n]", " ", found)
        return found

    return token.sub(blank, text)


def layer_of(path):
    """The layer of a file, by its path in the project; None: not ours to check."""
    for folder, layer in (("python/src/", "python"), ("include/underthread/lot/", "lot"),
                          ("include/underthread/", "api"), ("src/os/", "os"), ("src/lot/", "lot"),
                          ("src/", "api")):
        if path.startswith(folder):
            return layer
    return None


def room_of(path):
    """The room of a file of python/src; None: it is in none."""
    parts = path.split("/")
    return parts[2] if path.startswith("python/src/") and len(parts) == 4 else None


def included(root, path, bracket, name):
    """The path in the project of what `#include` names; None: not in the project."""
    if bracket == "<":
        return f"include/{name}" if name.startswith("underthread/") else None
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    for found in (beside, os.path.normpath(f"python/src/{name}")):
        if (root / found).exists():
            return found
    return os.path.normpath(f"src/{name}")


def function_scopes(code):
    """Yields (position, statement) for each statement that stands directly in a function's body."""
    scopes = []
    start = 0
    depth = 0
    for position, character in enumerate(code):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth = max(0, depth - 1)
        elif character in ";{}":
            statement = code[start:position]
            if scopes and scopes[-1][0] == "function":
                yield start + len(statement) - len(statement.lstrip()), statement.strip()
            if character == "{":
                head = re.sub(r"\[\[.*?\]\]|alignas\s*\([^)]*\)|__attribute__\s*\(\(.*?\)\)", "", statement,
                              flags=re.DOTALL)
                if re.search(r"\bnamespace\b|^\s*extern\s*$|^\s*extern\s*\" *\"\s*$", head):
                    kind = "namespace"
                elif re.search(r"\b(?:class|struct|union|enum)\b", head) and "(" not in head:
                    kind = "class"
                else:
                    kind = "function"
                # A lambda's body stands within parentheses that are still open: keep count.
                scopes.append((kind, depth))
                depth = 0
            elif character == "}" and scopes:
                depth = scopes.pop()[1]
            start = position + 1


def check_rooms(path, target, name):
    """Yields what is wrong with one include between files of python/src."""
    room, below = room_of(path), room_of(target)
    if below not in ROOMS or ROOMS.index(below) > ROOMS.index(room):
        yield f'the room {room} includes "{name}", which is above it'


def check_includes(root, path, layer, text):
    public = path.startswith("include/")
    if layer == "python" and room_of(path) not in ROOMS:
        yield 0, f"a file in no room of python/src: {', '.join(ROOMS)}"
        return
    for match in INCLUDE.finditer(text):
        bracket, name = match.groups()
        target = included(root, path, bracket, name)
        if target is not None:
            below = layer_of(target)
            if below is None or LAYERS.index(below) > LAYERS.index(layer):
                yield match.start(), f'the {layer} layer includes "{name}", which is above it'
            elif layer == below == "python":
                for what in check_rooms(path, target, name):
                    yield match.start(), what
            elif public and not target.startswith("include/"):
                yield match.start(), f'a public header includes "{name}", which is not installed'
        elif (name.endswith(".h") and layer != "os"
              and not (layer == "python" and name in PYTHON_HEADERS)):
            yield match.start(), f"the system header <{name}> outside src/os"


def check_file(root, path, layer, text, atomics):
    """Yields (position, what) for all that can be said of one file.

    `atomics` are the names of all atomics in the project: `wait` is a good name for a function of ours,
    but the one that std::atomic has goes past the lot.
    """
    with_strings = without_comments(text)
    code = without_comments(text, strings=False)
    yield from check_includes(root, path, layer, with_strings)
    for what, layers, pattern in RULES:
        if layer in layers:
            for match in re.finditer(pattern, code):
                yield match.start(), what
    if layer in ABOVE_OS:
        for match in re.finditer(r"\b(\w+)(?:\[[^]]*\])?\s*(?:\.|->)\s*wait\s*\(", code):
            if match.group(1) in atomics:
                yield match.start(), "waiting outside src/os: std::atomic::wait is not the lot"
    if layer == "python" and path not in MAY_RELEASE_GIL:
        for match in GIL.finditer(code):
            yield match.start(), "the GIL is released outside python/src/cpython/gil.cpp"
    if path.startswith("include/") and path not in MAY_DEPEND_ON_COMPILER:
        for match in re.finditer(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif|else)\b", code, re.MULTILINE):
            yield match.start(), "#if in a public header: what differs by system belongs into src/os"
    if layer in CORE:
        for position, statement in function_scopes(code):
            if re.match(r"(?:thread_local\s+)?static\b(?!.*\b(?:constexpr|consteval)\b)", statement, re.DOTALL):
                yield position, "a static within a function: make it constinit, outside"


def check_thread_locals(files):
    """Yields (path, position, what): the core has one thread-local, declared once and defined once."""
    seen = set()
    for path, layer, text in files:
        if layer not in CORE:
            continue
        code = without_comments(text, strings=False)
        for match in re.finditer(r"\b(?:thread_local|__thread|_Thread_local)\b", code):
            start = max(code.rfind(stop, 0, match.start()) for stop in ";{}") + 1
            end = re.compile(r"[;={]").search(code, match.end())
            statement = code[start:end.start() if end else len(code)]
            kind = "declaration" if re.search(r"\bextern\b", statement) else "definition"
            if layer == "lot" and re.search(r"\bthis_thread\s*$", statement) and kind not in seen:
                seen.add(kind)
                # An attribute on the declaration alone does not reach the uses beside the definition.
                model = re.search(r'tls_model\s*\(\s*"initial-exec"\s*\)', without_comments(text)[start:end.start()])
                if not model:
                    yield path, match.start(), "this_thread without initial-exec: late-loaded code would pay a call"
            else:
                yield path, match.start(), "a thread-local other than lot::this_thread: put it into the record"


def check(root):
    """Returns all complaints about the project in `root`, as lines."""
    files = []
    for folder in ("include", "src", "python/src"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".c", ".inc"):
                name = path.relative_to(root).as_posix()
                layer = layer_of(name)
                if layer:
                    files.append((name, layer, path.read_text(encoding="utf-8")))
    found = set()
    texts = {name: text for name, _, text in files}
    atomics = {name for text in texts.values() for name in ATOMIC.findall(without_comments(text, strings=False))}
    for name, layer, text in files:
        found.update((name, position, what) for position, what in check_file(root, name, layer, text, atomics))
    found.update(check_thread_locals(files))
    lines = sorted({(name, texts[name].count("\n", 0, position) + 1, what) for name, position, what in found})
    if not files:
        return [f"{root}: no sources found"]
    return [f"{name}:{line}: {what}" for name, line, what in lines]


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).resolve().parent.parent)
    complaints = check(root)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
