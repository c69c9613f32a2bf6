// What the standard `threading` holds, in a program that has imported it. Nothing here imports it,
// or runs code of it.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// `threading.name`, a reference. Null and no error: `threading` is not imported, or has none.
PyObject* of_threading(const char* name);

/// `object.name`, a reference. Null and no error: it has none.
PyObject* attribute_of(PyObject* object, const char* name);

}  // namespace underthread::python
