// `_thread._local`: an object with other attributes in every thread.
//
// Each thread that uses a local has a part of it: the dict of its attributes there. The local knows
// its parts, so that the collector sees a cycle through one, and takes them along when it goes; a
// thread has a table of its parts, by which it finds them, and takes them along when it goes.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The type `_thread._local`; null: a Python error is set. `stock`: the interpreter's own
/// `_thread`.
PyTypeObject* make_local_type(PyObject* module, PyObject* stock);

/// The type of a thread's table; not for Python code. Null: a Python error is set.
PyTypeObject* make_locals_type(PyObject* module);

}  // namespace underthread::python
