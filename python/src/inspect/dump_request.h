// A dump that is asked for by a signal: by a person (`kill -QUIT`), another process
// (`underthread dump PID`), or a timer (`--dump-after`).
//
// There are two ways to make one. The good one is a Python function, which shows the stacks: in the
// main thread, at its next check, or after a twentieth of a second in a thread that waits for
// something of ours. Where nobody has begun within a fifth of a second (nobody gives the GIL away,
// or the main thread is somewhere in C and nobody waits), the signal handler writes the library's
// own (underthread/dump.h), which needs nothing from anybody, as it was when it was asked for, and
// lets faulthandler write the stacks. Neither stops or ends anything: what asked for a dump is told
// by the text alone.
//
// Process-wide: the signals, which have their action before back when they are given back; timers,
// while a request is under way; a page of memory by whose name other processes find whom to ask
// and by which signal. All belong to the main interpreter. In the child of a fork what was asked is
// the parent's.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

struct ModuleState;

/// The function `take_dump_requests(handler or None, signum, only_if_unused)`: from now on
/// `handler(is_json, (threads, locks, deadlocks))` returns the text. `signum`: by which people ask;
/// 0: none. `only_if_unused`: not one that has a handler; returns False where that is so. None:
/// nobody is to ask any more. In the main thread of the main interpreter; elsewhere a RuntimeError.
PyObject* take_dump_requests(PyObject* module, PyObject* arguments);

/// The function `unused_signal()`: a real-time signal about which nobody does anything; 0: none.
PyObject* unused_signal(PyObject* module, PyObject*);

/// The function `set_stacks_signal(signum, descriptor)`: faulthandler has been registered for that
/// signal, to write to that descriptor: what it has installed is called from our handler, and the
/// signal gets its default action back. The descriptor need not be open.
PyObject* set_stacks_signal(PyObject* module, PyObject* arguments);

/// The function `dump_after(seconds)`: asks for a dump on stderr then, once.
PyObject* dump_after(PyObject* module, PyObject* arguments);

/// The function `ask_for_dump(pid, signum, descriptor, is_json)`, for another process than that:
/// the answer is written to this one's descriptor, a pipe: a '.' at once, then 'g' or 'p' (plain,
/// never JSON), then the text and a zero.
PyObject* ask_for_dump(PyObject* module, PyObject* arguments);

/// Makes what was asked for, if this thread is of the interpreter whose dumps they are. With the
/// GIL. @return false: a Python error is set, by the handler of a signal that came meanwhile
bool make_requested_dumps(const ModuleState& state);

/// The module goes: nobody is to ask any more.
void refuse_dump_requests(ModuleState& state);

}  // namespace underthread::python
