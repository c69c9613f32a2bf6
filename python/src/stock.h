// The interpreter's own `_thread`, asked for what it says of itself. Ours says the same, word for
// word, in whatever version of the interpreter it finds itself.
#pragma once

#include <Python.h>

namespace underthread::python {

/// Gives the functions of a module the documentation of those of the same names in `stock`.
void document_functions(PyMethodDef* functions, PyObject* stock);

/// Gives methods the documentation of those of the same names in `stock`, and ends the table early
/// by those that `stock` does not have: 3.11 got `RLock._recursion_count` on the way.
/// @return false: a Python error is set
bool document_methods(PyMethodDef* methods, PyTypeObject* stock);

/// A type of the interpreter's own `_thread`, as a new reference; null: a Python error is set.
PyTypeObject* stock_type(PyObject* stock, const char* name);

}  // namespace underthread::python
