// What one interpreter has of the module.
#pragma once

#include <Python.h>

namespace underthread::python {

struct ModuleState {
  PyTypeObject* lock_type;
  PyTypeObject* rlock_type;
  PyTypeObject* local_type;
  PyTypeObject* local_part_type;
  PyObject* stock_count;  ///< the interpreter's own `_count`, for threads that it started itself
  Py_ssize_t threads;     ///< ours that run, or are about to. Guarded by the GIL.
};

ModuleState& state_of(PyObject* module);

/// The type of parts that goes with a local's type; null: a Python error is set.
PyTypeObject* local_part_type(PyTypeObject* local_type);

}  // namespace underthread::python
