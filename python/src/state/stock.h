// The interpreter's own `_thread`, asked for what it says of itself. Ours says the same, word for
// word, in whatever version of the interpreter it finds itself.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// Gives the functions of a module the documentation of those of the same names in `stock`.
void document_functions(PyMethodDef* functions, PyObject* stock);

/// Gives methods the documentation of those of the same names in `stock`, and ends the table early
/// by those that `stock` does not have: 3.11 got `RLock._recursion_count` on the way. Does nothing
/// to a table that was given to it before.
/// @return false: a Python error is set
bool document_methods(PyMethodDef* methods, PyTypeObject* stock);

/// A type of the interpreter's own `_thread`, as a new reference; null: a Python error is set.
PyTypeObject* stock_type(PyObject* stock, const char* name);

/// Adds to our module what it does not have and `stock` does: what has nothing to do with how
/// threads wait, is the interpreter's own business, or is newer than this. @return false: a Python
/// error is set
bool take_over_the_rest(PyObject* module, PyObject* stock);

/// Whether a type of ours, or one derived from it, may be called with these arguments, as the
/// interpreter's own of that name may; false: its error is set.
bool accepts_no_arguments(PyTypeObject* type, const char* name, PyObject* arguments,
                          PyObject* names);

}  // namespace underthread::python
