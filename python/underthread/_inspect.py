"""What threads wait for and who holds it, as text and as objects.

Part of it runs in a thread that is about to wait, for a report of a deadlock: nothing is imported there that a
program may be importing at that moment, and nothing takes a lock of the program's.
"""

import os
import sys

# The order of what the extension's tuples hold: python/src/inspect/seen_objects.h.
_IDENT, _NATIVE_ID, _NAME, _IS_MAIN, _HOLDS, _WAIT = range(6)
_KIND, _ADDRESS, _LOCK_NAME, _LASTED, _LEFT, _INTERRUPTIBLE, _BLOCKER, _ONLY_IT = range(8)


def python_thread(ident):
    """The Thread object of an ident; None: there is none."""
    threading = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    return active.get(ident) if isinstance(active, dict) else None


def thread_name(thread):
    """What a thread is called in a sentence."""
    named = python_thread(thread[_IDENT])
    name = getattr(named, "_name", None) or thread[_NAME]
    if name:
        return printable(str(name))
    return "main thread" if thread[_IS_MAIN] else "thread {}".format(thread[_NATIVE_ID])


def thread_text(thread):
    return "{} (ident {}, native id {})".format(thread_name(thread), thread[_IDENT], thread[_NATIVE_ID])


def lock_text(kind, address, name):
    return "{} {!r}".format(kind, name) if name else "{} at {:#x}".format(kind, address)


def time_text(seconds):
    for unit, size in ("s", 1), ("ms", 1e-3), ("us", 1e-6):
        if seconds >= size or unit == "us":
            return "{:.{}f} {}".format(seconds / size, 1 if seconds / size < 10 else 0, unit)


def _holder_text(wait, is_itself, holder):
    if is_itself:
        # A condition's waiter has acquired its lock once before, for another to release it.
        return ", which it holds itself" if wait[_ONLY_IT] else ", which another thread is to release"
    return ", held by {}{}".format(holder, "" if wait[_ONLY_IT] else " (any thread may release it)")


def wait_text(thread, names):
    """What a thread does, after its name. ``names``: of other threads, by ident."""
    wait = thread[_WAIT]
    if wait is None:
        return "runs, or waits for something else"
    lasted, blocker = time_text(wait[_LASTED]), wait[_BLOCKER]
    holder = "a thread that has ended" if blocker == 0 else names.get(blocker, "thread (ident {})".format(blocker))
    if wait[_ADDRESS]:
        text = "has waited {} for {}".format(lasted, lock_text(wait[_KIND], wait[_ADDRESS], wait[_LOCK_NAME]))
        if blocker is not None:
            text += _holder_text(wait, blocker == thread[_IDENT], holder)
    elif wait[_KIND] == "join" and blocker is not None:
        text = "has waited {} for {} to end".format(lasted, holder)
    elif wait[_KIND] == "sleep":
        text = "has slept for {}".format(lasted)
    else:
        text = "has waited {}".format(lasted)
    if wait[_LEFT] is not None:
        text += ", for at most {} more".format(time_text(wait[_LEFT]))
    return text


# Files whose frames are only on the way to what waits: those of the package, of our plugin of pytest, and of threading.
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_OWN = (_PACKAGE + os.sep, os.path.join(os.path.dirname(_PACKAGE), "pytest_underthread", ""))
_LAUNCHER = os.path.join(_PACKAGE, "_launch.py")


def _is_on_the_way(filename):
    threading = sys.modules.get("threading")
    return filename.startswith(_OWN) or filename == getattr(threading, "__file__", None)


def frames(frame):
    """(file, line, function) of a stack, the innermost first, without what is ours there, and what is behind the
    launcher."""
    found = []
    while frame is not None and frame.f_code.co_filename != _LAUNCHER:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            found.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return found


class Sources:
    """Lines of source files, each file read once."""

    # linecache may be just being imported.
    def __init__(self):
        self._files = {}

    def line(self, filename, number):
        """That line, without blanks around it; "": it cannot be read."""
        if filename not in self._files:
            self._files[filename] = self._read(filename)
        lines = self._files[filename]
        return printable(lines[number - 1].decode("utf-8", "replace").strip()) if 0 < number <= len(lines) else ""

    @staticmethod
    def _read(filename):
        try:
            # A pipe or a terminal would be read from, and waited for.
            descriptor = os.open(filename, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                status = os.fstat(descriptor)
                if status.st_mode & 0o170000 != 0o100000 or status.st_size > _LARGEST_SOURCE:
                    return []
                parts = []
                while True:
                    part = os.read(descriptor, 1 << 20)
                    if not part:
                        return b"".join(parts).split(b"\n")
                    parts.append(part)
            finally:
                os.close(descriptor)
        except Exception:
            return []  # whatever is gone, the file or os itself


_LARGEST_SOURCE = 16 << 20


def printable(text):
    """Without what a terminal would take for orders."""
    return text if text.isprintable() else "".join(
        each if each.isprintable() else ascii(each)[1:-1] for each in text)


def frame_text(filename, number, function, sources):
    line = sources.line(filename, number)
    return "{}:{} in {}{}".format(printable(filename), number, function, ": " + line if line else "")


def place_text(frame):
    """Where a stack waits: its innermost frame that is the program's."""
    all_frames = frames(frame)
    for place in all_frames:
        if not _is_on_the_way(place[0]):
            return frame_text(*place, Sources())
    return frame_text(*all_frames[0], Sources()) if all_frames else ""


def deadlock_text(kind, is_orphaned, threads):
    names = {thread[_IDENT]: thread_name(thread) for thread in threads}
    what = "possible deadlock" if kind == "possible" else "deadlock"
    if is_orphaned:
        head = "a thread waits for one that is no more"
    elif len(threads) == 1:
        head = "a thread waits for itself"
    else:
        head = "{} threads wait for each other".format(len(threads))
        if kind == "timed":
            head += ", one of them for a limited time"
    lines = ["{}: {}".format(what, head)]
    stacks = sys._current_frames()
    for thread in threads:
        lines.append("  {} {}".format(thread_text(thread), wait_text(thread, names)))
        place = place_text(stacks.get(thread[_IDENT]))
        if place:
            lines.append("    at {}".format(place))
    return "\n".join(lines)


def _deadlock_line(kind, is_orphaned, idents, names):
    head = {"possible": "possible deadlock", "timed": "deadlock for a limited time"}.get(kind, "deadlock")
    last = "a thread that has ended" if is_orphaned else _name_in(names, idents[0])
    return "{}: {}".format(head, " -> ".join([_name_in(names, each) for each in idents] + [last]))


def _name_in(names, ident):
    return names.get(ident, "thread (ident {})".format(ident))


def dump_text(threads, locks, deadlocks, shown=lambda frames: frames, stacks=None):
    """All of it, what matters most first; ends with a newline. ``shown``: of a stack's frames, those to be shown;
    ``stacks``: frames by ident, those of all threads if it is not given."""
    names = {thread[_IDENT]: thread_name(thread) for thread in threads}
    waiting = [thread for thread in threads if thread[_WAIT]]
    lines = ["{} thread{}: {} in waits of underthread, {} elsewhere".format(
        len(threads), "" if len(threads) == 1 else "s", len(waiting), len(threads) - len(waiting))]
    # Not those of waiters of conditions: each has its own.
    crowded = {thread[_WAIT][_ADDRESS] for thread in waiting
               if thread[_WAIT][_BLOCKER] != thread[_IDENT] or thread[_WAIT][_ONLY_IT]}
    most = next((lock for lock in locks if lock[6] and lock[1] in crowded), None)
    if most:
        kind, address, name, _, holder, _, count, held = most
        line = "most waited for: {}, by {} thread{}".format(
            lock_text(kind, address, name), count, "" if count == 1 else "s")
        if holder in names:
            line += "; {} has held it for {} or more".format(names[holder], time_text(held))
        lines.append(line)
    if deadlocks:
        more = len(deadlocks) - 1
        lines.append(_deadlock_line(*deadlocks[0], names) + ("; and {} more".format(more) if more else ""))
    stuck = {ident for deadlock in deadlocks for ident in deadlock[2]}
    holders = {thread[_WAIT][_BLOCKER] for thread in waiting}
    stacks, sources = sys._current_frames() if stacks is None else stacks, Sources()

    def interest(thread):
        # Deadlocks, who holds what others wait for, then who has waited longest, then the rest.
        wait, ident = thread[_WAIT], thread[_IDENT]
        return (ident not in stuck, ident not in holders, wait is None, -wait[_LASTED] if wait else 0)

    for thread in sorted(threads, key=interest):
        lines += ["", "{} {}".format(thread_text(thread), wait_text(thread, names))]
        if thread[_HOLDS]:
            lines.append("  it holds interrupts off")
        lines += ["  at {}".format(frame_text(*frame, sources)) for frame in shown(frames(stacks.get(thread[_IDENT])))]
    free = [lock for lock in locks if not lock[6]]
    if free:
        lines.append("")
    for kind, address, name, is_held, holder, _, _, _ in free:
        state = "held by {}".format(names.get(holder, "a thread that has ended")) if is_held else "free"
        lines.append("{}: {}".format(lock_text(kind, address, name), state))
    return "\n".join(lines) + "\n"


def dump_json(threads, locks, deadlocks, stacks=None):
    """The same for machines, on one line, with a newline. What is in it: docs/inspect.md."""
    stacks = sys._current_frames() if stacks is None else stacks
    return _json({
        "process": os.getpid(),
        "threads": [_thread_object(thread, stacks.get(thread[_IDENT])) for thread in threads],
        "locks": [dict(zip(_LOCK_FIELDS, lock)) for lock in locks],
        "deadlocks": [dict(zip(("kind", "is_orphaned", "threads"), deadlock)) for deadlock in deadlocks],
    }) + "\n"


_WAIT_FIELDS = ("kind", "address", "lock_name", "lasted", "left", "interruptible", "blocker", "only_it")
_LOCK_FIELDS = ("kind", "address", "name", "is_held", "holder", "is_scoped", "waiting", "held")


def _thread_object(thread, frame):
    named, wait = python_thread(thread[_IDENT]), thread[_WAIT]
    return {
        "ident": thread[_IDENT],
        "native_id": thread[_NATIVE_ID],
        "name": str(getattr(named, "_name", None) or thread[_NAME]),
        "daemon": getattr(named, "_daemonic", None),
        "is_main": thread[_IS_MAIN],
        "holds_interrupts": thread[_HOLDS],
        "wait": wait and dict(zip(_WAIT_FIELDS, wait)),
        "stack": [dict(zip(("file", "line", "function"), each)) for each in frames(frame)],
    }


def _json(value):
    # Not by the module json, which the program may be just importing, in this very thread.
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return '"{}"'.format("".join(map(_json_character, value)))
    if isinstance(value, dict):
        return "{{{}}}".format(", ".join("{}: {}".format(_json(key), _json(each)) for key, each in value.items()))
    if isinstance(value, list):
        return "[{}]".format(", ".join(map(_json, value)))
    return repr(value)


def _json_character(character):
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return "\\u{:04x}\\u{:04x}".format(0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
    return character if " " <= character < "\x7f" and character not in '"\\' else "\\u{:04x}".format(code)


def write(text, file=None):
    """To where errors go: past the file object where that has a descriptor, since its lock may be what is
    waited for."""
    file = sys.stderr if file is None else file
    if file is None:
        return
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError, ValueError):
        file.write(text)
        return
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data):]
