// What a program wants to be called for a deadlock.
#pragma once

#include "cpython/cpython.h"
#include "lot/thread_record.h"

namespace underthread::python {

struct ModuleState;

/// The function `set_deadlock_handler(callable or None)`; returns what was set before. It is called
/// as seen_objects.h's `deadlock_tuple` says, in the thread that is about to wait; what it raises
/// ends that wait.
PyObject* set_deadlock_handler(PyObject* module, PyObject* handler);

/// Whether waits are to tell: Wait::tells_deadlock. Not those of the handler itself.
bool deadlocks_are_told(const ModuleState& state);

/// In a thread whose wait has ended in WaitEnd::deadlock. False: a Python error is set.
bool tell_deadlock(const ModuleState& state, lot::ThreadRecord& me);

}  // namespace underthread::python
