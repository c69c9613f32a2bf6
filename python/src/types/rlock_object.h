// `_thread.RLock`: an underthread::RLock.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The type `_thread.RLock`; null: a Python error is set.
PyTypeObject* make_rlock_type(PyObject* module, PyObject* stock);

}  // namespace underthread::python
