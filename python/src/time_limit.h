// `underthread.time_limit(seconds)`: a block that is interrupted by a TimeoutError when its time is
// up, in any thread, as by `interrupt`.
//
// One thread per interpreter keeps the time, from the first limit until none has been in force for
// a while: only Python code can send, and none runs in a signal handler or under a timer.
#pragma once

#include "cpython.h"

namespace underthread::python {

struct ModuleState;

/// The type; null: a Python error is set.
PyTypeObject* make_time_limit_type(PyObject* module);

/// `after_fork()`: in the child, where nobody keeps the time of limits that are in force.
PyObject* keep_time_after_fork(PyObject* module, PyObject*);

}  // namespace underthread::python
