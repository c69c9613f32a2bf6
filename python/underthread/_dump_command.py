"""``underthread dump PID``: asks another process for a dump, and prints it.

By that process's own request signal, which is sent only if its handler is there: a name in /proc/PID/maps says
which one it is, and goes when the process becomes another. The answer comes through a pipe of ours.
"""

import os
import select
import sys
import time

from underthread import _install

USAGE = "usage: underthread dump [--json] [--timeout SECONDS] PID"
_NOTICE = "/memfd:underthread-dump:"

# The other says at once that it has been asked; unless it is stopped, or has no processor.
_PATIENCE = 5.0


class _Failed(Exception):
    pass


def main(words):
    """The exit status: 0, 1 if there is no dump, 2 if the words are wrong."""
    process, is_json, patience = None, False, 30.0
    words = list(words)
    try:
        while words:
            word = words.pop(0)
            if word in ("--help", "-h"):
                print(USAGE)
                return 0
            if word == "--json":
                is_json = True
            elif word == "--timeout" or word.startswith("--timeout="):
                value = word.partition("=")[2] or (words.pop(0) if words else "")
                patience = float(value)
                if not 0 < patience < 1e6:
                    raise ValueError(value)
            elif process is None and word.isdigit() and int(word) > 0:
                process = int(word)
            else:
                raise ValueError(word)
        if process is None:
            raise ValueError("")
    except ValueError as error:
        why = str(error)
        sys.stderr.write("underthread: dump takes the number of a process{}\n{}\n".format(
            ", and not {}".format(why) if why else "", USAGE))
        return 2
    try:
        _write(_ask(process, is_json, patience), is_json)
    except _Failed as error:
        sys.stderr.write("underthread: {}\n".format(error))
        return 1
    return 0


def _write(answer, is_json):
    kind, text = answer[:1], answer[1:]
    if is_json and kind == b"p":
        from underthread import _inspect

        text = _inspect._json({"plain": text.decode("utf-8", "replace")}).encode() + b"\n"
    sys.stdout.flush()
    while text:
        text = text[os.write(1, text):]


def _ask(process, is_json, patience):
    """What it answers, after the first '.'."""
    if _install.core is None:
        raise _Failed(_install.obstacle)
    number = _request_signal(process)
    reader, writer = os.pipe()
    try:
        try:
            _install.core._underthread.ask_for_dump(process, number, writer, is_json)
        except OSError as error:
            raise _Failed("process {} cannot be asked: {}".format(process, error.strerror))
        first = _read(reader, time.monotonic() + min(_PATIENCE, patience))
        if first is None:
            raise _Failed(_why_silent(process, number))
    finally:
        # It has the pipe by now, or never will: the end of what it writes is to be seen.
        os.close(writer)
    answer = bytearray(first)
    until = time.monotonic() + patience
    try:
        # A process that it has forked meanwhile may hold the pipe open.
        while not answer.endswith(b"\0"):
            more = _read(reader, until)
            if more is None:
                raise _Failed("process {} has begun to answer, and has not gone on in {:g} s".format(process, patience))
            if not more:
                break
            answer += more
    finally:
        os.close(reader)
    if not answer.endswith(b"\0"):
        raise _Failed("process {} has ended, or become another, before it had answered".format(process))
    return bytes(answer[1:-1])


def _read(descriptor, until):
    """None: nothing has come by then; b"": nothing more will."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0, until - time.monotonic()) * 1000):
        return None
    return os.read(descriptor, 65536)


def _request_signal(process):
    """The number of the signal by which it can be asked. Where it cannot, it is left alone."""
    try:
        with open("/proc/{}/maps".format(process), "rb") as file:
            maps = file.read().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        raise _Failed("there is no process {}".format(process))
    except OSError as error:
        raise _Failed(_why_forbidden(process, error))
    found = maps.partition(_NOTICE)[2].split(maxsplit=1)
    if not found or not found[0].isdigit():
        if "/underthread/_core." in maps:
            raise _Failed(
                "process {} ({}) is on underthread, and takes no requests: it was not started by `underthread FILE`, "
                "or with --dump-signal off. UNDERTHREAD_DUMP_SIGNAL=none in its environment lets it take them".format(
                    process, _command(process)))
        raise _Failed("process {} ({}) is not on underthread: start it by `underthread FILE`".format(
            process, _command(process)))
    number = int(found[0])
    if not _status(process, "SigCgt") >> (number - 1) & 1:
        raise _Failed("process {} has reset signal {}, by which it could be asked".format(process, number))
    return number


def _status(process, field, thread=""):
    """A line of /proc/PID/status: a set of signals as a number, else its text."""
    try:
        with open("/proc/{}{}/status".format(process, thread)) as file:
            for line in file:
                name, _, value = line.partition(":")
                if name == field:
                    return int(value, 16) if field.startswith("Sig") else value.strip()
    except OSError:
        pass
    return 0 if field.startswith("Sig") else ""


def _command(process):
    try:
        with open("/proc/{}/cmdline".format(process), "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        words = []
    text = " ".join(os.fsdecode(word) for word in words if word) or _status(process, "Name") or "unknown"
    return ascii(text)[1:-1] if len(text) <= 60 else ascii(text[:57])[1:-1] + "..."


def _why_forbidden(process, error):
    owner = _status(process, "Uid").split()
    if owner and int(owner[0]) != os.getuid():
        import pwd

        try:
            name = pwd.getpwuid(int(owner[0])).pw_name
        except KeyError:
            name = "user {}".format(owner[0])
        return "process {} is {}'s: ask as {} (sudo -u {} …)".format(process, name, name, name)
    return "process {} cannot be looked at: {}".format(process, error.strerror)


def _why_silent(process, number):
    state = _status(process, "State")
    if not state:
        return "process {} has ended".format(process)
    if state[0] in "Tt":
        return "process {} is stopped ({}): it answers when it goes on".format(process, state)
    if state[0] == "Z":
        return "process {} has ended, and its parent has not taken note of that".format(process)
    owner = _status(process, "Uid").split()
    if owner and int(owner[0]) != os.getuid():
        return _why_forbidden(process, OSError())
    try:
        threads = os.listdir("/proc/{}/task".format(process))
    except OSError:
        threads = []
    if threads and all(_status(process, "SigBlk", "/task/" + each) >> (number - 1) & 1 for each in threads):
        return "process {} blocks signal {} in all its threads".format(process, number)
    return "process {} does not answer (state {})".format(process, state)
