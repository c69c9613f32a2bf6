// The names that a program gives its locks.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The function `name(lock, name or None)`. A lock of another type is a TypeError.
PyObject* name_lock(PyObject* module, PyObject* arguments);

}  // namespace underthread::python
