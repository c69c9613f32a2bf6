// Starting threads: `start_new_thread`, and what belongs to a thread's start and end.
#pragma once

#include "cpython/cpython.h"
#include "state/module_state.h"

namespace underthread::python {

/// `_thread.start_new_thread(function, args[, kwargs])`
PyObject* start_new_thread(PyObject* module, PyObject* arguments);

/// Sets `state.threads_are_allowed`. False: a Python error is set.
bool find_whether_threads_are_allowed(ModuleState& state);

#if UNDERTHREAD_HAS_SENTINEL
/// `_thread._set_sentinel()`
PyObject* set_sentinel(PyObject* module, PyObject*);
#else
/// `_thread.start_joinable_thread(function, handle=None, daemon=True)`
PyObject* start_joinable_thread(PyObject* module, PyObject* arguments, PyObject* names);
#endif

#if UNDERTHREAD_NAMES_THREADS
/// `_thread.set_name(name)`
PyObject* set_name(PyObject* module, PyObject* arguments, PyObject* names);
#endif

/// `_thread._count()`
PyObject* count(PyObject* module, PyObject*);

/// `_thread.stack_size([size])`
PyObject* stack_size(PyObject* module, PyObject* arguments);

/// Gives our threads the stack size that the interpreter's own were to get.
/// @return false: a Python error is set
bool adopt_stack_size();

/// `_thread.exit()`
PyObject* exit_thread(PyObject* module, PyObject*);

}  // namespace underthread::python
